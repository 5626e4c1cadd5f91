/* io/fetch/fetch.h: brings one side's files of one bill date into the spool.
 *
 * fetch_files tries each file until it is there, more and more slowly, until the deadline. Threads: one at a time
 * in a process.
 */
#ifndef TIEOUT_IO_FETCH_FETCH_H
#define TIEOUT_IO_FETCH_FETCH_H

#include "core/config/job.h"

struct fetch_config {
    const struct job *job;
    enum side side;
    uint16_t date;
    int deadline_s; /* -1: the job's */
    /* Told of each file that is in the spool now: its path, size, digest, and whether it was brought now. */
    void (*file)(void *context, const char *path, uint64_t size, const char *digest, int fresh);
    void *context;
    const volatile int *interrupted; /* set by a signal: stop; may be NULL */
};

/* ERR_PEER: a server was not there, not who it should be, or has no such file; ERR_INTERRUPTED: what came is kept to go on
 * with, and no program of it runs any more; ERR_INPUT: what came is not what it
 * should be. */
enum err fetch_files(const struct fetch_config *config, struct diag *diag);

#endif
