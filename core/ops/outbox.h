/* core/ops/outbox.h: where a source puts its records: one open batch per shard.
 *
 * outbox_put copies a record behind the others of its shard. When a batch is full the engine's `flush` takes
 * it and leaves an empty one; that may wait for room, and meanwhile feeds this worker's own shard, so nobody
 * waits for anybody in a circle. Threads: one owner.
 */
#ifndef TIEOUT_CORE_OPS_OUTBOX_H
#define TIEOUT_CORE_OPS_OUTBOX_H

#include "core/base/bloom.h"
#include "core/base/hash.h"
#include "core/model/aggregate.h"
#include "core/model/id_print.h"
#include "core/model/packed.h"
#include "core/model/record.h"
#include "core/model/renamed.h"
#include "core/model/tally.h"
#include "core/ops/spool.h"

struct tap;
struct crowd_door;
struct outbox {
    uint32_t shard_count;
    struct batch **open;                /* one a shard; owned by the engine */
    struct tally tally;                 /* of all records put */
    struct aggregate *aggregate[SIDES]; /* of what their rows say besides; NULL: the side is not counted */
    struct bloom
        *fresh; /* [SIDES]: first keys of this task's own records, for final ones that may be reopened; NULL:
                            nobody asks */
    struct spool
        *ids; /* struct id_entry of records that have an id, ID_PARTITIONS parts; NULL: nobody keeps them */
    /* First keys of carried records that are not fed unless somebody of the run may meet them, and those of them that
     * somebody has. NULL: there are none such. */
    const struct bloom *dormant;
    struct bloom *met;
    struct renamed *renamed; /* rows in suspense that a log tells under another key; NULL: nobody asks */
    struct tap *tap;         /* is told each row whose record is put (core/ops/tap.h); NULL: nobody is */
    struct crowd_door *
        door; /* takes usual rows of keys that very many rows have (core/ops/crowd_door.h); NULL: nobody does */
    uint64_t taken;      /* records that the tap took; they are in the tally */
    uint64_t given_back; /* and those that became records of the index after all, whoever took them */
    /* 1: records that fit go packed (index_config.packs), and a key that can be packed has the hash of its packed form,
     * by this seed, packed or not. */
    int packs;
    uint64_t pack_seed;
    /* Takes open[shard] and leaves an empty batch there. Fails only by a failure of the run, told in `diag`.
     */
    enum err (*flush)(struct outbox *outbox, uint32_t shard, struct diag *diag);
};

static inline enum err outbox_no_memory(struct diag *diag)
{
    return diag_set(diag, ERR_MACHINE, "memory", NULL, "out of memory: a tally");
}

/* The batch of a hash's shard, with room for so many units; NULL on failure. */
static inline struct batch *outbox_room(struct outbox *outbox, uint64_t hash, uint32_t units,
                                        struct diag *diag)
{
    uint32_t shard = hash_shard(hash, outbox->shard_count);
    struct batch *batch = outbox->open[shard];
    if (UNLIKELY(batch->used + units + (batch->packed + 1) / 2 > batch->room)) {
        if (outbox->flush(outbox, shard, diag) != OK)
            return NULL;
        batch = outbox->open[shard];
    }
    return batch;
}

/* 1: all records go into one batch, and nobody asks about any of them: they can be put many at once (outbox_rooms). */
static inline int outbox_is_plain(const struct outbox *outbox)
{
    return outbox->shard_count == 1 && !outbox->fresh && !outbox->dormant;
}
/* Of one that is plain: the batch, and for how many of `count` records of so many units it has room, at least one; NULL on failure. */
static inline struct batch *outbox_rooms(struct outbox *outbox, uint32_t units, uint32_t *count,
                                         struct diag *diag)
{
    struct batch *const batch = outbox_room(outbox, 0, units, diag);
    if (UNLIKELY(!batch))
        return NULL;
    const uint32_t left = (batch->room - batch->used - (batch->packed + 1) / 2) / units;
    if (UNLIKELY(left < *count))
        *count = left;
    return batch;
}

/* outbox_put_untold where nobody asks (`fresh`, `dormant`). */
static inline void outbox_put_unasked(struct batch *batch, uint32_t units)
{
    batch->used += units;
    batch->count++;
}

/* The same with room for a packed record (batch_next_packed), which is put by outbox_put_packed. */
static inline struct batch *outbox_room_packed(struct outbox *outbox, uint64_t hash, struct diag *diag)
{
    uint32_t shard = hash_shard(hash, outbox->shard_count);
    struct batch *batch = outbox->open[shard];
    if (UNLIKELY(batch->used + batch->packed / 2 >= batch->room)) {
        if (outbox->flush(outbox, shard, diag) != OK)
            return NULL;
        batch = outbox->open[shard];
    }
    return batch;
}
/* The caller adds it to the tally. */
static inline void outbox_put_packed(struct batch *batch)
{
    batch->packed++;
    batch->count++;
}

/* What was written behind the batch's last unit is a record of it now; the caller adds it to the tally. */
static inline const struct record *outbox_put_untold(struct outbox *outbox, struct batch *batch,
                                                     uint32_t units)
{
    const struct record *record = &batch->units[batch->used];
    batch->used += units;
    batch->count++;
    if (UNLIKELY(outbox->fresh != NULL) &&
        !(record->flags & (RECORD_CARRIED | RECORD_NO_KEY | RECORD_OTHER_DAY | RECORD_GONE)))
        bloom_put(&outbox->fresh[record->flags & RECORD_CHANNEL], record_hash(record));
    /* Carried ones come when it was asked already who is met, and from then on the answer may not change. */
    if (UNLIKELY(outbox->dormant != NULL) && !(record->flags & (RECORD_NO_KEY | RECORD_CARRIED)) &&
        bloom_has(outbox->dormant, record_hash(record)))
        bloom_put(outbox->met, record_hash(record));
    return record;
}

/* A change took a row away from its first key: its image under the new one, which is put next, may be one in suspense, and then meets
 * final records as the task's own do. */
static inline void outbox_renamed(struct outbox *outbox, const struct record *old, const struct record *now,
                                  struct record_layout layout)
{
    if (LIKELY(!outbox->renamed))
        return;
    renamed_left(outbox->renamed, old, layout);
    if (outbox->fresh && !(now->flags & RECORD_NO_KEY))
        bloom_put(&outbox->fresh[now->flags & RECORD_CHANNEL], record_hash(now));
}

/* Sets aside by what a record will be known again. `id` is that of its row. */
static inline enum err outbox_id(struct outbox *outbox, const struct record *record,
                                 const struct id_print *id, struct diag *diag)
{
    if (!id->has)
        return OK;
    const struct id_entry entry = id_entry_of(id, record);
    return spool_put(outbox->ids, id_partition(record->flags & RECORD_CHANNEL, id->print), &entry,
                     sizeof entry, diag);
}

/* The same, with the tally. */
static inline enum err outbox_put_last(struct outbox *outbox, struct batch *batch, uint32_t units,
                                       struct diag *diag)
{
    const struct record *record = outbox_put_untold(outbox, batch, units);
    return LIKELY(tally_add(&outbox->tally, record)) ? OK : outbox_no_memory(diag);
}

/* Counts a row whose record goes out. Only where outbox->aggregate has its side. */
static inline enum err outbox_note(struct outbox *outbox, unsigned flags, uint16_t day, uint8_t currency,
                                   int64_t amount_micro, const struct row_note *note, struct diag *diag)
{
    struct aggregate *aggregate = outbox->aggregate[flags & RECORD_CHANNEL];
    const uint64_t key = aggregate_key(flags & RECORD_CHANNEL, flags & RECORD_OUT, day, currency, note->hour);
    return LIKELY(aggregate_add(aggregate, key, amount_micro, note)) ? OK : aggregate_failed(aggregate, diag);
}

/* Where `packs`: as half a line, or with the hash that goes with its key. */
static inline enum err outbox_put_packing(struct outbox *outbox, const struct record *record, uint32_t units,
                                          struct diag *diag)
{
    struct packed_key key = {{0, 0}};
    if (!(record->flags & RECORD_NO_KEY))
        key = packed_key_of(record->var, record->key_size, record->channel);
    const uint64_t hash = key.word[0] ? packed_hash(key.word, outbox->pack_seed) : record_hash(record);
    const int fits =
        key.word[0] && packed_fits(record->amount_micro, record->place, record->status, record->flags);
    struct batch *batch =
        fits ? outbox_room_packed(outbox, hash, diag) : outbox_room(outbox, hash, units, diag);
    if (UNLIKELY(!batch))
        return diag->err;
    if (fits) {
        packed_put(batch_next_packed(batch), &key, record->amount_micro, record->place, record->day,
                   record->currency, record->status, record->flags);
        outbox_put_packed(batch);
        return LIKELY(tally_add(&outbox->tally, record)) ? OK : outbox_no_memory(diag);
    }
    struct record *const put = &batch->units[batch->used];
    record_copy(put, record, units);
    put->hash_lo = (uint32_t)hash;
    put->hash_hi = (uint32_t)(hash >> 32);
    return outbox_put_last(outbox, batch, units, diag);
}

static inline enum err outbox_put(struct outbox *outbox, const struct record *record, uint32_t units,
                                  struct diag *diag)
{
    if (outbox->packs)
        return outbox_put_packing(outbox, record, units, diag);
    struct batch *batch = outbox_room(outbox, record_hash(record), units, diag);
    if (UNLIKELY(!batch))
        return diag->err;
    record_copy(&batch->units[batch->used], record, units);
    return outbox_put_last(outbox, batch, units, diag);
}

#endif
