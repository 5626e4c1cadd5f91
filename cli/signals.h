/* cli/signals.h: SIGINT, SIGTERM and SIGHUP end a command in good order.
 *
 * signals_catch once, before anything is written; whoever works long looks at signals_interrupted. Threads: any may look.
 */
#ifndef TIEOUT_CLI_SIGNALS_H
#define TIEOUT_CLI_SIGNALS_H

/* Not 0: a signal said stop. */
extern const volatile int *const signals_interrupted;
/* A file at its size limit (SIGXFSZ) comes back as EFBIG from then on, like a full disk. */
void signals_catch(void);

#endif
