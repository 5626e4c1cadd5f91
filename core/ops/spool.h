/* core/ops/spool.h: the socket for what does not fit: bytes set aside by partition, in memory as long as
 * their share of it lasts, then on disk.
 *
 *     host->ops->open
 *       spool_put      any number of times
 *       seal           no more puts: everything can be read
 *       read           a partition, in the order in which it was put; read_some: a piece of it
 *       drop           its memory is free again
 *     close
 *
 * A host is a worker's: its file, its ring, its read buffers. What was put together is read together (`take`
 * gets whole pieces, one after the other, at a cache line when all pieces are lines). Threads: the worker
 * that owns the host calls everything; once sealed, another worker may read with its own host.
 */
#ifndef TIEOUT_CORE_OPS_SPOOL_H
#define TIEOUT_CORE_OPS_SPOOL_H

#include "core/base/check.h"
#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct spool;

struct spool_host {
    const struct spool_ops *ops;
    uint64_t written, read; /* bytes, to and from disk */
};

/* Bytes of one frame, one after the other: what spool_put was given. */
typedef enum err spool_take_fn(void *context, const void *bytes, uint32_t size, struct diag *diag);

/* How far read_some came in a partition. {0}: it begins. */
struct spool_cursor {
    uint32_t on_disk; /* pieces that were read there */
    const void *last; /* what was taken last of what is in memory; NULL: nothing yet */
    int is_done;      /* nothing is left */
};

struct spool_ops {
    /* `memory`: what its frames may take, at least 64 KiB. With less than a page for each partition it still
     * works, but in small pieces. */
    enum err (*open)(struct spool **out, struct spool_host *host, uint32_t partitions, uint64_t memory,
                     struct diag *diag);
    /* Makes room for `size` bytes in a partition's open frame. */
    enum err (*next)(struct spool *spool, uint32_t partition, uint32_t size, struct diag *diag);
    /* From now on its frames may take so much. Where they have more, all of them go to disk. */
    enum err (*limit)(struct spool *spool, uint64_t memory, struct diag *diag);
    enum err (*seal)(struct spool *spool, struct diag *diag);
    enum err (*read)(const struct spool *spool, struct spool_host *reader, uint32_t partition,
                     spool_take_fn *take, void *context, struct diag *diag);
    /* The same in pieces of some 256 KiB, for partitions that are more than may be held at once: the next one, if any is left. Between two
     * of them others may be read, and no put or drop of this one comes. */
    enum err (*read_some)(const struct spool *spool, struct spool_host *reader, uint32_t partition,
                          struct spool_cursor *cursor, spool_take_fn *take, void *context, struct diag *diag);
    void (*drop)(struct spool *spool, uint32_t partition);
    uint64_t (*size)(const struct spool *spool, uint32_t partition); /* bytes put */
    /* 1: nothing of the partition is on disk. Once sealed, what `read` gives of it stays where it is until drop. */
    int (*is_in_memory)(const struct spool *spool, uint32_t partition);
    uint64_t (*held)(const struct spool *spool); /* bytes of memory */
    void (*close)(struct spool *spool);
};

struct spool_open {
    uint8_t *at, *end;
};
struct spool {
    const struct spool_ops *ops;
    struct spool_open *open; /* by partition */
    /* Called before a partition's open frame is closed, for owners that fill one in a way of their own; NULL: nobody is. */
    void (*closing)(void *owner, uint32_t partition);
    void *owner;
};

static inline enum err spool_put(struct spool *spool, uint32_t partition, const void *bytes, uint32_t size,
                                 struct diag *diag)
{
    struct spool_open *open = &spool->open[partition];
    if (UNLIKELY((size_t)(open->end - open->at) < size)) {
        enum err err = spool->ops->next(spool, partition, size, diag);
        if (err != OK)
            return err;
    }
    memcpy(open->at, bytes, size);
    open->at += size;
    return OK;
}

/* Room for up to `size` bytes, which the caller writes; what spool_used then says is put. NULL on failure. */
static inline uint8_t *spool_room(struct spool *spool, uint32_t partition, uint32_t size, struct diag *diag)
{
    struct spool_open *open = &spool->open[partition];
    if (UNLIKELY((size_t)(open->end - open->at) < size) &&
        spool->ops->next(spool, partition, size, diag) != OK)
        return NULL;
    return open->at;
}
static inline void spool_used(struct spool *spool, uint32_t partition, uint32_t size)
{
    spool->open[partition].at += size;
}

#endif
