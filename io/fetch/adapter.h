/* io/fetch/adapter.h: a program that brings the files of a channel with a signed API.
 *
 * The contract. It is run in the job's folder as
 *
 *     PROGRAM ARGUMENTS... --date=YYYY-MM-DD --channel=CODE --out=FOLDER
 *
 * with the job's `env:` in its environment (secrets go there and nowhere else). It writes files into FOLDER, which
 * is its own and empty, and says on stdout, one a line, which of them are whole:
 *
 *     NAME [CHECKSUM]          hex digits of SHA-256, SHA-1 or MD5 of the file, if the channel gave one
 *
 * What it says on stderr is shown. Exit codes: 0 these are all; 66 (EX_NOINPUT) the channel says that there is no
 * bill for this date, which makes it an empty day; 75 (EX_TEMPFAIL) not now: try again; anything else: no. At the deadline, and when we are told to stop, it gets SIGTERM, five
 * seconds later SIGKILL.
 */
#ifndef TIEOUT_IO_FETCH_ADAPTER_H
#define TIEOUT_IO_FETCH_ADAPTER_H

#include "core/config/job.h"

enum adapter_end {
    ADAPTER_DONE,
    ADAPTER_NO_BILL,
    ADAPTER_AGAIN,
    ADAPTER_REFUSED,
    ADAPTER_FAILED,
    ADAPTER_INTERRUPTED
};

/* One try; none of its processes is left behind it. `interrupted` may be NULL. `said`: its stdout, at most 64 KiB, in memory of mem.h that the caller gives back. */
enum adapter_end adapter_run(const struct job *job, const struct fetch_spec *spec, const char *date,
                             const char *channel, const char *folder, int64_t seconds_left,
                             const volatile int *interrupted, char **said, struct diag *diag);

#endif
