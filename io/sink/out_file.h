/* io/sink/out_file.h: a result file that is written from its beginning to its end, through a ring where it has more than one block.
 *
 *     out_open -> (out_begin -> out_put ... -> out_end) any number of times -> out_close
 *
 * Blocks are filled one after the other while those before are on their way. A large file goes past the page cache
 * (`direct`): its pages would push out the inputs', and nobody reads it soon. Threads: one at a time.
 */
#ifndef TIEOUT_IO_SINK_OUT_FILE_H
#define TIEOUT_IO_SINK_OUT_FILE_H

#include "io/ring/ring.h"
#include "io/ring/sync_set.h"
#include "io/sink/digest.h"
#include <string.h>

enum { OUT_BLOCK = 512 * 1024, OUT_BLOCKS_MAX = 4 };

struct out_file {
    enum ring_backend backend;
    struct ring *
        ring; /* of the first file that has a second block; before it NULL: most files are smaller, and a ring costs more than they do */
    int fd;
    int direct;
    char path[4500];
    char *blocks;
    unsigned block_count, filling;
    size_t sent[OUT_BLOCKS_MAX]; /* bytes on their way; 0: the block is free */
    size_t used;
    uint64_t offset; /* in the file, of the block that is being filled */
    struct sync_set
        *sync; /* the caller's: out_end leaves the file there to be made durable; NULL: it does so itself */
    struct digest *digest; /* the caller's: takes in what is written; NULL: nobody asks */
    uint64_t reserved;     /* bytes of the disk, when direct */
};

enum err out_open(struct out_file *file, enum ring_backend backend, unsigned blocks, struct diag *diag);
/* `is_made`: it is there, and empty. */
enum err out_begin(struct out_file *file, const char *directory, const char *name, int direct, int is_made,
                   struct diag *diag);
/* For a file of results: it must not be there, unless it was made before. A descriptor, or -errno. */
int out_make(const char *path, int is_made);
enum err out_next_block(struct out_file *file, struct diag *diag);
static inline enum err out_put(struct out_file *file, const void *bytes, size_t size, struct diag *diag)
{
    const char *from = bytes;
    for (;;) {
        size_t left = OUT_BLOCK - file->used, n = size < left ? size : left;
        memcpy(file->blocks + (size_t)file->filling * OUT_BLOCK + file->used, from, n);
        file->used += n;
        if (__builtin_expect(n == size && file->used < OUT_BLOCK, 1))
            return OK;
        from += n;
        size -= n;
        enum err err = out_next_block(file, diag);
        if (err != OK)
            return err;
    }
}
/* Writes what is left, makes it durable and closes it; with `err` not OK, only closes it. Returns `err`, or what
 * went wrong now. */
enum err out_end(struct out_file *file, enum err err, struct diag *diag);
void out_close(struct out_file *file);

/* A write that failed: for a full disk with what was wanted and what there is. */
enum err out_write_failed(struct diag *diag, int error, const char *code, const char *path, size_t wanted);

#endif
