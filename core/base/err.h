/* core/base/err.h: what a function can come back with.
 *
 * An `enum err` says which kind of thing failed, and with it the program's exit code (SPEC.md section 7).
 * The words for people are in the `struct diag` (diag.h) that the function nearest to the failure fills.
 */
#ifndef TIEOUT_CORE_BASE_ERR_H
#define TIEOUT_CORE_BASE_ERR_H

enum err {
    OK = 0,
    ERR_USAGE = 2,        /* usage or configuration */
    ERR_INPUT = 3,        /* an input was refused */
    ERR_MACHINE = 4,      /* disk, memory, I/O */
    ERR_PEER = 5,         /* a database, queue or server was not there */
    ERR_STATE = 6,        /* state conflict or damaged state */
    ERR_BUG = 70,         /* an invariant broke */
    ERR_INTERRUPTED = 130 /* SIGINT or SIGTERM; 128 + 2 as shells expect */
};

/* What anything that streams comes back with. STEP_FAILED comes with a filled diag. */
enum step {
    STEP_MORE, /* did something; call again */
    STEP_IDLE, /* nothing to do until somebody else moves; do other work, then call again */
    STEP_DONE,
    STEP_FAILED
};

#endif
