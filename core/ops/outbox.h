/* core/ops/outbox.h: where a source puts its records: one open batch per shard.
 *
 * outbox_put copies a record behind the others of its shard. When a batch is full the engine's `flush` takes
 * it and leaves an empty one; that may wait for room, and meanwhile feeds this worker's own shard, so nobody
 * waits for anybody in a circle. Threads: one owner.
 */
#ifndef TIEOUT_CORE_OPS_OUTBOX_H
#define TIEOUT_CORE_OPS_OUTBOX_H

#include "core/base/hash.h"
#include "core/model/record.h"
#include "core/model/tally.h"

struct outbox {
    uint32_t shard_count;
    struct batch **open; /* one a shard; owned by the engine */
    struct tally tally;  /* of all records put */
    /* Takes open[shard] and leaves an empty batch there. Fails only by a failure of the run, told in `diag`.
     */
    enum err (*flush)(struct outbox *outbox, uint32_t shard, struct diag *diag);
};

static inline enum err outbox_put(struct outbox *outbox, const struct record *record, uint32_t units,
                                  struct diag *diag)
{
    uint32_t shard = hash_shard(record_hash(record), outbox->shard_count);
    struct batch *batch = outbox->open[shard];
    if (UNLIKELY(batch->used + units > batch->room)) {
        enum err err = outbox->flush(outbox, shard, diag);
        if (err != OK)
            return err;
        batch = outbox->open[shard];
    }
    memcpy(&batch->units[batch->used], record, (size_t)units * RECORD_UNIT);
    batch->used += units;
    batch->count++;
    return LIKELY(tally_add(&outbox->tally, record))
               ? OK
               : diag_set(diag, ERR_MACHINE, "memory", NULL, "out of memory: a tally");
}

#endif
