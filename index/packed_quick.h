/* index/packed_quick.h: a part of shard.c: what happens to nearly every packed record, without calls.
 *
 * A record is put into the bucket that is its own, or leaves with the one that waits there, alike in key, sigma and day. All else (a key
 * that went on to another bucket, no room, no partner like it, a frame of pairs that is full) is take_packed's: quick_take says 0 and has
 * changed nothing. What the loop counts and where it looks stays in `struct quick` meanwhile, since each store into a record would make
 * the compiler read it from the shard anew.
 *
 *     quick_load
 *       quick_take   while it says 1
 *     quick_store    before anybody else looks at the shard; then from the beginning
 */
#ifndef TIEOUT_INDEX_PACKED_QUICK_H
#define TIEOUT_INDEX_PACKED_QUICK_H

#include "index/shard_in.h"

struct quick {
    struct bucket *buckets;
    struct packed **chunks;
    uint32_t shift, chunk_shift, chunk_mask;
    uint32_t free, used, used_max; /* records */
    uint32_t left_count;
    uint64_t keys, keys_top, keys_max;
    uint64_t pairs; /* of one currency, and their sum */
    int64_t sum;
    uint8_t currency;
};

static inline __attribute__((always_inline)) void quick_load(struct quick *q, const struct index *s)
{
    const struct packed_table *const t = &s->packed;
    *q = (struct quick){.buckets = t->table.buckets,
                        .chunks = t->chunks,
                        .shift = t->table.shift,
                        .chunk_shift = t->shift,
                        .chunk_mask = (1u << t->shift) - 1,
                        .free = t->free,
                        .used = t->used,
                        .used_max = t->room,
                        .left_count = s->left_count,
                        .keys = t->table.keys,
                        .keys_top = t->table.keys,
                        .keys_max = t->table.keys_max};
}

static inline void quick_sum(struct quick *q, struct index *s)
{
    s->totals.count[q->currency] += q->pairs;
    s->totals.sum[q->currency] += q->sum;
    s->counts.pairs += q->pairs;
    q->pairs = 0;
    q->sum = 0;
}

static inline __attribute__((always_inline)) void quick_store(struct quick *q, struct index *s)
{
    /* Each record that came or left is one key more or less. */
    const uint64_t top = s->counts.waiting + (q->keys_top - s->packed.table.keys);
    s->counts.waiting += q->keys - s->packed.table.keys;
    if (top > s->counts.waiting_max)
        s->counts.waiting_max = top;
    s->packed.table.keys = q->keys;
    s->packed.free = q->free;
    s->packed.used = q->used;
    quick_sum(q, s);
}

static inline __attribute__((always_inline)) struct packed *quick_at(const struct quick *q, uint32_t number)
{
    return q->chunks[number >> q->chunk_shift] + (number & q->chunk_mask);
}

static inline __attribute__((always_inline)) struct bucket *quick_home(const struct quick *q, uint32_t tag)
{
    return &q->buckets[(uint32_t)((uint64_t)(tag * TABLE_SPREAD) >> q->shift)];
}

/* 1: the record was taken in, or left with its partner. */
static inline __attribute__((always_inline)) int
quick_take(struct quick *q, struct index *s, const struct packed *r, uint64_t hash, const int is_sub)
{
    const uint32_t tag = packed_tag(hash), partition = partition_of_hash(s, hash, is_sub);
    if (UNLIKELY(q->left_count) && s->left[partition])
        return 0;
    struct bucket *const bucket = quick_home(q, tag);
    const unsigned same = bucket_matches(bucket, tag);
    if (same) {
        const unsigned slot = (unsigned)__builtin_ctz(same);
        const uint32_t number = bucket->head[slot];
        if (UNLIKELY(number == NO_ENTRY)) /* the tag of one that left */
            return 0;
        struct packed *const e = quick_at(q, number);
        /* Of one key, sigma and day, of two sides, and not elsewhere. */
        const uint64_t differs = (e->key[0] ^ r->key[0]) | (e->key[1] ^ r->key[1]) | (e->sigma ^ r->sigma) |
                                 ((e->rest ^ r->rest) >> PACKED_DAY_SHIFT ^
                                  UINT64_C(1) << (PACKED_CHANNEL_SHIFT - PACKED_DAY_SHIFT));
        struct pair_trail *const trail = &s->trail[partition];
        if (UNLIKELY(differs != 0) || UNLIKELY(!pair_has_room(trail, PAIR_ROOM)))
            return 0;
        const uint64_t mine = packed_place(r), other = packed_place(e);
        const int is_channel = packed_is_channel(r);
        const int64_t amount = packed_amount(r);
        const uint8_t currency = packed_currency(r);
        pair_put(trail, (uint32_t)hash, is_channel ? other : mine, is_channel ? mine : other);
        bucket->head[slot] = NO_ENTRY;
        e->sigma = q->free;
        q->free = number;
        q->keys--;
        if (UNLIKELY(currency != q->currency)) {
            quick_sum(q, s);
            q->currency = currency;
        }
        q->pairs++;
        q->sum += amount;
        return 1;
    }
    const unsigned vacant = bucket_free(bucket);
    if (UNLIKELY((vacant == 0) | (bucket->passed[passed_class(tag)] != 0) | (q->keys >= q->keys_max)))
        return 0;
    uint32_t number = q->free;
    struct packed *to;
    if (LIKELY(number != NO_ENTRY)) {
        to = quick_at(q, number);
        q->free = (uint32_t)to->sigma;
        if (LIKELY(q->free != NO_ENTRY)) /* as in packed_insert */
            __builtin_prefetch(quick_at(q, q->free), 1);
    } else if (LIKELY(q->used < q->used_max)) {
        number = q->used++;
        to = quick_at(q, number);
    } else {
        return 0;
    }
    *to = *r;
    const unsigned slot = (unsigned)__builtin_ctz(vacant);
    bucket->tag[slot] = tag;
    bucket->head[slot] = number;
    q->keys++;
    q->keys_top = q->keys > q->keys_top ? q->keys : q->keys_top;
    return 1;
}

#endif
