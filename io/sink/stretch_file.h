/* io/sink/stretch_file.h: a large result file that several workers write at once, each its own stretches.
 *
 *     stretch_open
 *       stretch_claim     in the order of the file, one at a time: where the next bytes go
 *       stretch_write     any worker: copies and sends what it claimed, while others do the same
 *       stretch_wait      each lane once, when it has no more
 *     (all lanes waited)
 *     stretch_end         the rest, then the file is cut to its size and durable
 *     stretch_close
 *
 * It goes past the page cache where the file system lets it, so writes are of whole pages: what a stretch leaves of its last page
 * is kept and goes in front of the next.
 *
 * Memory   `blocks` of `block` bytes a lane, taken in stretch_open, touched when used.
 * Threads  claims: whoever has the turn, which the caller gives; a lane has one owner.
 */
#ifndef TIEOUT_IO_SINK_STRETCH_FILE_H
#define TIEOUT_IO_SINK_STRETCH_FILE_H

#include "core/base/diag.h"
#include "io/ring/ring.h"
#include <stddef.h>
#include <stdint.h>

enum { STRETCH_PAGE = 4096, STRETCH_BLOCKS_MAX = 16 };

struct stretch_file;
struct stretch_config {
    const char *directory, *name;
    uint32_t lanes, blocks; /* blocks: STRETCH_BLOCKS_MAX at most */
    size_t block;           /* bytes, whole pages */
    enum ring_backend backend;
};

/* Whole pages of the file from `from` up to `end`: `head_size` bytes that were left over, then the first of those claimed. */
struct stretch {
    uint64_t from, end;
    uint32_t head_size;
    char head[STRETCH_PAGE];
};

enum err stretch_open(struct stretch_file **out, const struct stretch_config *config, struct diag *diag);
/* The next `size` bytes of the file are these. They must live until stretch_write took them. */
void stretch_claim(struct stretch_file *file, struct stretch *stretch, const char *bytes, size_t size);
/* `bytes` as claimed. They may be used again when it returns. */
enum err stretch_write(struct stretch_file *file, uint32_t lane, const struct stretch *stretch,
                       const char *bytes, struct diag *diag);
enum err stretch_wait(struct stretch_file *file, uint32_t lane, struct diag *diag);
enum err stretch_end(struct stretch_file *file, struct diag *diag);
void stretch_close(struct stretch_file *file);

#endif
