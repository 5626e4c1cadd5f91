/* io/fetch/transfer.h: one try at one file, by libcurl: SFTP, FTP, FTPS, HTTP, HTTPS.
 *
 *     transfer_open -> (transfer_get | transfer_list) any number of times -> transfer_close
 *
 * The server's identity is checked before any credential goes out: an SFTP server by its host key, a TLS server by
 * its certificate and name. Plain FTP and HTTP have no identity; they are refused unless the job says that it may
 * be so. Threads: one owner.
 */
#ifndef TIEOUT_IO_FETCH_TRANSFER_H
#define TIEOUT_IO_FETCH_TRANSFER_H

#include "core/config/job.h"
#include "io/net/secret.h"

struct transfer;

enum transfer_end {
    TRANSFER_WHOLE,
    TRANSFER_AGAIN,   /* cut off, slow, or not to be reached: try again, from where it stopped */
    TRANSFER_CHANGED, /* what is there is no longer what was begun: start over */
    TRANSFER_MISSING, /* there is no such file; perhaps not yet */
    TRANSFER_REFUSED, /* trying again would not help */
    TRANSFER_FAILED   /* the machine */
};

/* What a server says about a file; resuming wants it to say the same. */
struct transfer_mark {
    int64_t size;   /* -1: not said */
    int64_t time;   /* -1: not said */
    char etag[160]; /* "" */
};

/* `job`'s directory is what the spec's paths are relative to. Reads the secrets. `*interrupted` (may be
 * NULL), set by a signal, ends a try within a second: TRANSFER_AGAIN, as if the line had been cut. */
enum err transfer_open(struct transfer **out, const struct job *job, const struct fetch_spec *spec,
                       const volatile int *interrupted, struct diag *diag);
void transfer_close(struct transfer *transfer);
/* Writes to `fd` from `*done` on, moves `*done`, and fills `mark`; with `*done` > 0, `mark` is what was said before.
 * `seconds_left`: no try takes longer. In `diag` is why it is not whole. */
enum transfer_end transfer_get(struct transfer *transfer, const char *url, int fd, uint64_t *done,
                               struct transfer_mark *mark, int64_t seconds_left, struct diag *diag);
/* What the server says of a file, without bringing it: `mark`. */
enum transfer_end transfer_look(struct transfer *transfer, const char *url, struct transfer_mark *mark,
                                int64_t seconds_left, struct diag *diag);
/* 1 when two marks can tell that the files differ: what one of them does not say is no difference. */
int transfer_marks_differ(const struct transfer_mark *a, const struct transfer_mark *b);
/* The names in a folder (SFTP, FTP), one a line, in memory of mem.h that the caller gives back. */
enum transfer_end transfer_list(struct transfer *transfer, const char *url, char **names,
                                int64_t seconds_left, struct diag *diag);

#endif
