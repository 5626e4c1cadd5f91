/* io/source/replica.h: a server's log, as it comes, into a capture.
 *
 * Connects, looks at the server's settings, asks for the log from where the capture ends, and feeds it until it is told to stop.
 * A connection that breaks is made again, later and later, from the last checkpoint's place; what the server refuses, and a place
 * that it does not have any more, ends it: it never jumps.
 *
 * Threads: one owner. Talk goes to stderr.
 */
#ifndef TIEOUT_IO_SOURCE_REPLICA_H
#define TIEOUT_IO_SOURCE_REPLICA_H

#include "core/config/job.h"

struct replica_config {
    const struct job *job;
    enum side side;
    const char *directory;           /* of the capture */
    int catch_up;                    /* stop when everything that was committed at the start is captured */
    const volatile int *interrupted; /* set by a signal: stop after a checkpoint */
};

/* OK: caught up, or interrupted. ERR_PEER: the server is not there (at the start) or refuses; ERR_STATE: it does not have our
 * place any more; ERR_INPUT: what it sends cannot be understood. */
enum err replica_capture(const struct replica_config *config, struct diag *diag);

#endif
