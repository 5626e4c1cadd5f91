/* io/filter/packed_bytes.h: the bytes that a filter reads, from a part of a file, through one buffer.
 *
 *     packed_bytes_init -> packed_bytes_fill, bytes used from `next` on -> packed_bytes_fini
 *
 * Threads: one owner.
 */
#ifndef TIEOUT_IO_FILTER_PACKED_BYTES_H
#define TIEOUT_IO_FILTER_PACKED_BYTES_H

#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>

struct packed_bytes {
    int fd;           /* borrowed */
    const char *path; /* borrowed */
    uint64_t at, end; /* of the file: where the next fill begins, where the part ends */
    uint8_t *block;   /* INFLATE_BACK bytes before it are the last that were used before */
    const uint8_t *next;
    size_t left;
};

enum err packed_bytes_init(struct packed_bytes *bytes, int fd, const char *path, uint64_t begin, uint64_t end,
                           struct diag *diag);
void packed_bytes_fini(struct packed_bytes *bytes);
/* Where `next` stands in the file. */
static inline uint64_t packed_bytes_offset(const struct packed_bytes *bytes)
{
    return bytes->at - bytes->left;
}
/* Called with nothing left. Nothing is left afterwards only at the end of the part. */
enum err packed_bytes_fill(struct packed_bytes *bytes, struct diag *diag);
/* The next byte; *got 0 at the end. */
enum err packed_bytes_one(struct packed_bytes *bytes, uint8_t *byte, int *got, struct diag *diag);

#endif
