/* index/shard.c: see shard.h; the hot loop is apply_units.
 *
 * Lines touched per record: the batch's own (coming in), one bucket, and, on a hit, the entry. Buckets are
 * asked for PREFETCH records ahead, candidates' entries half as far.
 */
#include "index/shard.h"
#include "core/base/mem.h"
#include "core/base/short.h"
#include "core/rules/verdict.h"
#include "index/image_ids.h"
#include "index/log_told.h"
#include "index/packed_table.h"
#include "index/pairs.h"
#include "index/table.h"
#include <stdlib.h>

enum {
    SEGMENT_UNITS = 32768, /* 2 MiB */
    SEGMENT_SHIFT = 15,
    SEGMENTS_MAX = 1 << 17, /* 256 GiB a shard */
    PIECE_UNITS = 1024,     /* 64 KiB: what small budgets are given out by */
    HUGE_FROM = 16 << 20,   /* shards that may hold this much take huge pages */
    SIZE_CLASSES = 8,       /* free lists for entries of 1..8 units; longer ones are freed in parts */
    BUCKETS_AT_FIRST = 2048,
    PREFETCH = 24,
    /* A core follows some twenty misses at once, and what is asked for while it does is dropped, not queued: so lines are
     * asked for a few at a time, between records. */
    BUCKETS_AHEAD = 20,
    ENTRIES_AHEAD = 10,
    ASK_AT_ONCE = 4,
    /* A shard whose memory is full gives partitions away and takes them back one by one, each into a shard of
     * the next level, which divides by other bits of the hash: 256 ways, then 64 ways a level. */
    SUB_PARTITIONS = 64,
    SUB_BITS = 6,
    LEVEL_LAST = 4,
    BUCKETS_OF_SUB = 256,
    MOVE_AHEAD = 3,     /* buckets, where all are looked at */
    PACKED_AHEAD = 20,  /* buckets */
    PACKED_BEHIND = 10, /* what they lead to */
    /* Buckets, half a MiB: what a table of so many leads to is in the second-level cache, and asking for it costs what it wins. */
    PACKED_NEAR_TO = 8192,
    PACKED_RING = 64, /* hashes of records asked for; more than PACKED_AHEAD + ASK_AT_ONCE */
    SUB_MEMORY_MIN = 256 << 10,
    KEPT_KINDS = 2,    /* records, packed ones */
    CROWD_SHARE = 8,   /* of the entries: a key that has so much is a crowd */
    LEAVE_AT_ONCE = 4, /* one of so many units leaves when room is made */
    LEAVE_AT_ONCE_LARGE = 8,
    LEAVE_LARGE =
        32 << 20, /* bytes: where looking at all of it once more costs less than what leaves too early */
    /* One key of so many never lets its image go, so that it is seen how often a pair would have to come back: from one of
     * CALLED_BACK_SHARE on, and a few, images stay. */
    SAMPLED_KEYS = 256,
    CALLED_BACK_SHARE = 8,
    CALLED_BACK_FREE = 32,
    CHAIN_LOOKED_AT = 4 /* entries: a longer chain is looked at in the end */
};

/* What a record that leaves at once is not. */
enum {
    STAYS_PLAIN = RECORD_CARRIED | RECORD_CROWDED,
    STAYS = STAYS_PLAIN | RECORD_GONE | RECORD_VOIDED | RECORD_REJECT | RECORD_NO_KEY | RECORD_EXCLUDED |
            RECORD_DEAD
};

/* What is known of a pair that left, where a side is a log. */
struct left_image {
    struct image_at at[SIDES];
    uint8_t state; /* enum left_state */
    uint8_t many;  /* other pairs have its print */
};
enum left_state {
    LEFT,        /* nothing else came under its print */
    LEFT_CALLED, /* something may have: its images come back */
    LEFT_BACK,   /* they did, and the key is judged whole */
    LEFT_AGAIN   /* they did, and it is a pair as before, perhaps by a later image */
};

/* A key with open records. */
struct waiting {
    uint32_t head, hash_hi;
};

struct index {
    struct index_config config;
    unsigned level;
    uint32_t partition_count;
    struct table table;
    /* Usual records alone under their key (config.packs). A key with more, or with one that does not fit, is in `table`, and has a
     * slot here that says so; a key that cannot be packed is in `table` alone. So a key is looked for in one place. */
    struct packed_table packed;
    struct record *segments[SEGMENTS_MAX];
    uint32_t segment_count;
    uint32_t segment_at; /* where entries are taken from */
    uint32_t next_unit;  /* in it */
    uint32_t unit_limit; /* in it, as far as memory is accounted for */
    uint32_t last_limit; /* of the newest segment */
    int huge, plain;
    struct image_ids image_ids;                /* of long chains */
    uint64_t entry_bytes_top, table_bytes_top; /* when they were given back before the end */
    uint32_t free_list[SIZE_CLASSES + 1];
    struct spool *pairs; /* by partition: as index/pairs.h says; behind them, one of struct row_ref: records
                            without a first key */
    struct pair_trail trail[HASH_PARTITIONS];
    struct spool *
        kept; /* by partition: records of those that left, then packed ones of those that left; NULL before one did */
    uint32_t left_count; /* partitions that left */
    uint8_t left[HASH_PARTITIONS];
    uint64_t live_max; /* bytes for table and entries; 0: no limit */
    struct pair_totals totals;
    struct tally others;     /* records of other bill dates, which are no part of a task */
    struct tally superseded; /* images that are no records: replaced, or moved to another key */
    struct index_counts counts;
    /* after settle */
    struct waiting *waiting; /* by partition */
    uint32_t waiting_start[HASH_PARTITIONS + 1];
    uint32_t *packed_waiting; /* by partition: numbers in `packed` */
    uint32_t packed_start[HASH_PARTITIONS + 1];
    uint32_t cursor;   /* of next: a partition; those that stayed first */
    int turn;          /* of next: 0 those that stayed, 1 those that left, 2 records without a first key */
    struct index *sub; /* of the partition at hand, or kept for the next one */
    int sub_open;
    /* scratch */
    uint32_t *seen;
    size_t seen_room;
    struct left_pair *flat;
    size_t flat_room, flat_count;
    struct pair_sift sift;
    /* of the partition at hand: prints of keys whose records go to config.crowd; all_crowd: all do */
    uint32_t *crowds;
    uint32_t crowd_count, crowd_room;
    int all_crowd;
    uint64_t pair_bytes_top;
    struct log_days log_days;
    /* Images that leave; see the part "images that left". */
    int has_images, images_go;
    uint64_t sampled,
        sampled_again; /* pairs of sampled keys that would have left; records that came to one */
    uint16_t stays;    /* flags of records that do not leave at once */
    int is_judging;    /* what comes back may take more than the limit says: pairs_exceed has seen to it */
    struct left_image *left_images; /* beside `flat` */
    size_t left_image_room;
    struct waiting *back; /* keys of images that came back, under which nobody waited before */
    uint32_t back_count, back_room;
};

static inline struct record *entry_at(const struct index *s, uint32_t number)
{
    return s->segments[number >> SEGMENT_SHIFT] + (number & (SEGMENT_UNITS - 1));
}

static uint64_t live_held(const struct index *s)
{
    return s->counts.entry_bytes + ((uint64_t)s->table.mask + 1) * sizeof(struct bucket) +
           packed_table_bytes(&s->packed) + image_ids_bytes(&s->image_ids);
}

/* 1 when the shard may hold so many bytes more. */
static int may_grow(const struct index *s, uint64_t more)
{
    if (s->is_judging)
        return 1;
    return s->live_max == 0 || live_held(s) + more <= s->live_max;
}

/* Where records are packed, pairs take what nobody else needs, and make way when more has to wait: a pair on disk is a third of
 * a record there, and it stands for two. So they stay below what is left beside `more`. */
static enum err pairs_yield(struct index *s, uint64_t more, struct diag *diag)
{
    if (!s->config.packs || s->config.memory_max == 0)
        return OK;
    const uint64_t least = shard_packs_pair_least(s->config.memory_max), live = live_held(s) + more,
                   all = s->live_max + least;
    return s->pairs->ops->limit(s->pairs, all > live + least ? all - live : least, diag);
}

/* Free units become an entry of the free lists. */
static inline void entry_give(struct index *s, uint32_t number, uint32_t units)
{
    while (UNLIKELY(units > SIZE_CLASSES)) {
        entry_give(s, number, SIZE_CLASSES);
        number += SIZE_CLASSES;
        units -= SIZE_CLASSES;
    }
    entry_at(s, number)->hash_hi = s->free_list[units];
    s->free_list[units] = number;
}

/* Makes unit_limit - next_unit at least `units`. 0 when memory is full (diag is empty) or out. */
static int segment_more(struct index *s, uint32_t units, struct diag *diag)
{
    for (;;) {
        if (s->segment_count && s->next_unit + units <= s->unit_limit)
            return 1;
        const uint32_t piece = s->huge ? SEGMENT_UNITS : PIECE_UNITS;
        if (s->segment_count && s->unit_limit < SEGMENT_UNITS) { /* in the newest segment only */
            if (!may_grow(s, (uint64_t)piece * RECORD_UNIT))
                return 0;
            if (pairs_yield(s, (uint64_t)piece * RECORD_UNIT, diag) != OK)
                return 0;
            s->unit_limit += piece;
            s->last_limit = s->unit_limit;
            s->counts.entry_bytes += (uint64_t)piece * RECORD_UNIT;
            continue;
        }
        /* What is left of a segment goes to the free lists, so that one long entry does not waste it. */
        while (s->segment_count && s->next_unit < s->unit_limit)
            entry_give(s, s->segment_at << SEGMENT_SHIFT | s->next_unit++, 1);
        if (s->segment_count && s->segment_at + 1 < s->segment_count) { /* used before */
            s->segment_at++;
            s->next_unit = 0;
            s->unit_limit = s->segment_at + 1 == s->segment_count ? s->last_limit : SEGMENT_UNITS;
            continue;
        }
        if (s->segment_count == SEGMENTS_MAX) {
            diag_set(diag, ERR_MACHINE, "memory", "use more threads: each has an index of its own",
                     "a shard's index is full");
            return 0;
        }
        if (!may_grow(s, (uint64_t)piece * RECORD_UNIT))
            return 0;
        /* Where records are packed the first one has the few that are not. */
        struct record *segment =
            mem_map((size_t)SEGMENT_UNITS * RECORD_UNIT, s->huge && (s->segment_count || !s->config.packs));
        if (!segment) {
            mem_fail(diag, (size_t)SEGMENT_UNITS * RECORD_UNIT, "the index's entries");
            return 0;
        }
        s->segments[s->segment_count++] = segment;
        s->segment_at = s->segment_count - 1;
        s->next_unit = 0;
        s->unit_limit = s->last_limit = 0;
    }
}

/* NO_ENTRY when memory is full (diag is empty) or out. */
static inline uint32_t entry_take(struct index *s, uint32_t units, struct diag *diag)
{
    if (LIKELY(units <= SIZE_CLASSES && s->free_list[units] != NO_ENTRY)) {
        uint32_t number = s->free_list[units];
        s->free_list[units] = entry_at(s, number)->hash_hi;
        return number;
    }
    if (UNLIKELY(s->segment_count == 0 || s->next_unit + units > s->unit_limit) &&
        !segment_more(s, units, diag))
        return NO_ENTRY;
    uint32_t number = s->segment_at << SEGMENT_SHIFT | s->next_unit;
    s->next_unit += units;
    return number;
}

/* All entries are free: give them out from the first one on. */
static void entries_reset(struct index *s)
{
    image_ids_fini(&s->image_ids);
    for (unsigned i = 0; i <= SIZE_CLASSES; i++)
        s->free_list[i] = NO_ENTRY;
    s->segment_at = 0;
    s->next_unit = 0;
    s->unit_limit = s->segment_count == 1 ? s->last_limit : s->segment_count ? SEGMENT_UNITS : 0;
}

static inline enum side side_of(const struct record *r)
{
    return r->flags & RECORD_CHANNEL ? CHANNEL : LOCAL;
}

static inline struct record_layout layout_of(const struct index *s, const struct record *r)
{
    return s->config.layout[r->flags & RECORD_CHANNEL];
}

/* What the hot loop is compiled for. */
struct road {
    int sub;   /* a shard of a partition that came back */
    int plain; /* bills on both sides and nothing but key, amount and status compared: key bytes come first,
                  and nothing is behind them */
};

static inline __attribute__((always_inline)) uint32_t units_of(const struct index *s, const struct record *r,
                                                               const struct road road)
{
    return record_units(road.plain ? r->key_size : record_var_size(r, layout_of(s, r)));
}

/* The half of a hash that a level's slots hold: at the first level the high one, whose shard and partition
 * bits say no more once a partition is on its own. */
static inline uint32_t tag_of(const struct record *r, const struct road road)
{
    return road.sub ? r->hash_lo : r->hash_hi;
}

static inline uint32_t partition_of_tag(const struct index *s, uint32_t tag)
{
    return s->level == 0 ? tag >> 8 & (HASH_PARTITIONS - 1)
                         : tag >> (32 - SUB_BITS * s->level) & (SUB_PARTITIONS - 1);
}

/* The same of a packed record, whose slot holds the low half at every level. */
static inline __attribute__((always_inline)) uint32_t partition_of_hash(const struct index *s, uint64_t hash,
                                                                        const int is_sub)
{
    return is_sub ? partition_of_tag(s, (uint32_t)hash) : hash_partition(hash);
}

/* 0 in *grown when memory is full. */
static enum err table_grow(struct index *s, int *grown, struct diag *diag)
{
    const uint64_t more = ((uint64_t)s->table.mask + 1) * sizeof(struct bucket);
    *grown = may_grow(s, more);
    if (!*grown)
        return OK;
    enum err err = pairs_yield(s, more, diag);
    return err == OK ? table_double(&s->table, diag) : err;
}

static inline __attribute__((always_inline)) int key_equal(const struct index *s, const struct record *a,
                                                           const struct record *b, const struct road road)
{
    if (a->hash_lo != b->hash_lo || a->key_size != b->key_size || a->channel != b->channel)
        return 0;
    if (road.plain)
        return short_equal(a->var, b->var, a->key_size);
    return !((a->flags ^ b->flags) & RECORD_NO_KEY) &&
           short_equal(record_key(a, layout_of(s, a).has_fold), record_key(b, layout_of(s, b).has_fold),
                       a->key_size);
}

/* What the channel kept; 0 of local records. */
static inline int64_t cost_of(const struct index *s, const struct record *r)
{
    int64_t cost;
    memcpy(&cost, record_extras(r, layout_of(s, r).has_fold) + 2, sizeof cost);
    return cost;
}

static inline __attribute__((always_inline)) int sigma_equal(const struct index *s, const struct record *a,
                                                             const struct record *b, const struct road road)
{
    if ((a->amount_micro != b->amount_micro && (road.plain || !s->config.has_cost)) ||
        a->currency != b->currency || a->status != b->status || ((a->flags ^ b->flags) & RECORD_OUT))
        return 0;
    if (road.plain || !layout_of(s, a).has_extras)
        return 1;
    const uint8_t *x = record_extras(a, layout_of(s, a).has_fold),
                  *y = record_extras(b, layout_of(s, b).has_fold);
    const uint16_t size = record_u16(x), skip = s->config.has_cost ? sizeof(int64_t) : 0;
    return size == record_u16(y) && size >= skip && memcmp(x + 2 + skip, y + 2 + skip, size - skip) == 0 &&
           (!skip || a->amount_micro + cost_of(s, a) == b->amount_micro + cost_of(s, b));
}

static inline int window_fits(const struct index *s, const struct record *local, const struct record *channel)
{
    return window_holds_days(s->config.window_before, s->config.window_after, local->day, channel->day);
}

/* ---- pairs that left ---- */

/* A frame is taken whole, so for the spool it is full at once; it is ended when the spool closes it. */
static __attribute__((noinline)) enum err next_pair_frame(struct index *s, uint32_t partition,
                                                          struct diag *diag)
{
    uint8_t *bytes = spool_room(s->pairs, partition, PAIR_ROOM, diag);
    if (!bytes)
        return diag->err;
    const uint32_t size = (uint32_t)(s->pairs->open[partition].end - bytes);
    spool_used(s->pairs, partition, size);
    pair_begin(&s->trail[partition], bytes, size);
    return OK;
}

static void pair_frame_closes(void *owner, uint32_t partition)
{
    struct index *s = owner;
    if (partition == s->partition_count) /* records without a first key */
        return;
    struct pair_trail *trail = &s->trail[partition];
    pair_end(trail);
    trail->head = NULL;
    trail->low = trail->high = NULL;
}

static inline enum err remember_pair(struct index *s, uint32_t print, uint32_t partition,
                                     uint64_t local_place, uint64_t channel_place, struct diag *diag)
{
    struct pair_trail *const trail = &s->trail[partition];
    if (UNLIKELY(!pair_has_room(trail, PAIR_ROOM)) && next_pair_frame(s, partition, diag) != OK)
        return diag->err;
    pair_put(trail, print, local_place, channel_place);
    return OK;
}

/* The same where a side is a log: its row is found again by more than its place. */
static __attribute__((noinline)) enum err remember_images(struct index *s, uint32_t print, uint32_t partition,
                                                          const struct left_pair *pair,
                                                          const struct image_at at[SIDES], struct diag *diag)
{
    struct pair_trail *const trail = &s->trail[partition];
    if (UNLIKELY(!pair_has_room(trail, PAIR_ROOM + SIDES * IMAGE_AT_ROOM)) &&
        next_pair_frame(s, partition, diag) != OK)
        return diag->err;
    pair_put(trail, print, pair->local, pair->channel);
    for (int side = 0; side < SIDES; side++)
        if (s->config.layout[side].has_fold)
            pair_put_image(trail, at[side]);
    return OK;
}

/* A pair as it was remembered; `at` is filled for sides that are logs. */
static inline void next_left(const struct index *s, struct pair_walk *walk, struct left_pair *pair,
                             struct image_at at[SIDES])
{
    pair_next(walk, pair);
    for (int side = 0; side < SIDES; side++)
        if (UNLIKELY(s->config.layout[side].has_fold))
            pair_next_image(walk, &at[side]);
}

/* All is put: frames that are open can be read. */
static void end_pairs(struct index *s)
{
    for (uint32_t p = 0; p < s->partition_count; p++)
        pair_end(&s->trail[p]);
}

static inline __attribute__((always_inline)) void
count_pair(struct index *s, const struct record *local, const struct record *channel, const struct road road)
{
    s->totals.count[local->currency]++;
    s->totals.sum[local->currency] += local->amount_micro;
    if (!road.plain && s->config.has_cost)
        s->totals.kept[local->currency] += local->amount_micro - channel->amount_micro;
    s->counts.pairs++;
}

/* ---- apply ---- */

struct found {
    uint32_t bucket;
    unsigned slot;
    uint32_t head;
};

static inline __attribute__((always_inline)) int find_key(const struct index *s, const struct record *r,
                                                          uint32_t tag, const struct road road,
                                                          struct found *found)
{
    /* Once around at most: in the end each bucket may have been passed by a key that stayed when those in it left. */
    for (uint32_t i = table_home(&s->table, tag), left = s->table.mask + 1; left;
         left--, i = (i + 1) & s->table.mask) {
        const struct bucket *bucket = &s->table.buckets[i];
        for (unsigned bits = bucket_matches(bucket, tag); bits; bits &= bits - 1) {
            unsigned slot = (unsigned)__builtin_ctz(bits);
            if (bucket->head[slot] != NO_ENTRY && key_equal(s, entry_at(s, bucket->head[slot]), r, road)) {
                *found = (struct found){i, slot, bucket->head[slot]};
                return 1;
            }
        }
        if (!bucket->passed[passed_class(tag)])
            return 0;
    }
    return 0;
}

/* Both must be inlined before the compiler finds that they have no effect and drops the calls. */
static inline __attribute__((always_inline)) void prefetch_bucket(const struct table *table, uint32_t tag)
{
    __builtin_prefetch(&table->buckets[table_home(table, tag)], 1);
}

static inline __attribute__((always_inline)) void prefetch_entry(const struct index *s, uint32_t tag,
                                                                 const int has_images)
{
    const struct bucket *bucket = &s->table.buckets[table_home(&s->table, tag)];
    for (unsigned bits = bucket_matches(bucket, tag); bits; bits &= bits - 1) {
        unsigned slot = (unsigned)__builtin_ctz(bits);
        if (bucket->head[slot] != NO_ENTRY) {
            const struct record *const entry = entry_at(s, bucket->head[slot]);
            __builtin_prefetch(entry, 1);
            if (has_images) /* of a usual one the key's end */
                __builtin_prefetch(entry + 1, 1);
        }
    }
}

/* The entry of the first slot with this tag; where there is none, some entry. */
static inline __attribute__((always_inline)) void prefetch_first_entry(const struct index *s, uint32_t tag)
{
    const struct bucket *bucket = &s->table.buckets[table_home(&s->table, tag)];
    const uint32_t head = bucket->head[__builtin_ctz(bucket_matches(bucket, tag) | 1u << (BUCKET_SLOTS - 1))];
    /* Its segment may not be there. */
    __builtin_prefetch((const void *)((uintptr_t)s->segments[head >> SEGMENT_SHIFT] +
                                      (uintptr_t)(head & (SEGMENT_UNITS - 1)) * RECORD_UNIT),
                       1);
}

/* The occurrence id's field: u16 size, bytes. */
static inline const uint8_t *occurrence_of(const struct index *s, const struct record *r)
{
    const uint8_t *at = record_extras(r, 1);
    return layout_of(s, r).has_extras ? at + 2 + record_u16(at) : at;
}

/* Is an entry the image of the row that `r`, whose id is `id`, is of? The other side, and another log of its side, have ids of their own. */
static inline int is_image_of(const struct index *s, const struct record *e, const struct record *r,
                              const uint8_t *id)
{
    if (!(e->flags & RECORD_IMAGE) || (e->flags & RECORD_DEAD) || ((e->flags ^ r->flags) & RECORD_CHANNEL))
        return 0;
    const uint8_t bits = layout_of(s, e).place_bits;
    if (bits && (e->place ^ r->place) >> bits)
        return 0;
    const uint8_t *other = occurrence_of(s, e);
    return record_u16(id) == record_u16(other) && memcmp(id + 2, other + 2, record_u16(id)) == 0;
}

/* Notes an entry of a long chain. What does not fit is forgotten as a whole: then the chain is walked. */
static int note_image(struct index *s, uint32_t tag, uint32_t number)
{
    const uint64_t more = image_ids_more(&s->image_ids);
    if ((more == 0 || may_grow(s, more)) && image_ids_add(&s->image_ids, tag, number))
        return 1;
    image_ids_fini(&s->image_ids);
    return 0;
}

static uint32_t image_tag(const struct index *s, uint32_t head, const struct record *e)
{
    const uint8_t *id = occurrence_of(s, e);
    return image_ids_tag(head, id + 2, record_u16(id));
}

static void note_chain(struct index *s, uint32_t head)
{
    if (!note_image(s, image_ids_tag(head, NULL, 0), head))
        return;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi) {
        const struct record *e = entry_at(s, number);
        if ((e->flags & RECORD_IMAGE) && !(e->flags & RECORD_DEAD) &&
            !note_image(s, image_tag(s, head, e), number))
            return;
    }
}

/* The entry of a chain that stands for the row of an image; NO_ENTRY: it has none. */
static uint32_t image_entry(struct index *s, uint32_t head, const struct record *r)
{
    const uint8_t *id = occurrence_of(s, r);
    if (s->image_ids.slots && image_ids_has(&s->image_ids, head)) {
        const uint32_t tag = image_ids_tag(head, id + 2, record_u16(id));
        uint32_t at = image_ids_first(tag), number;
        /* Another head's entries may have the tag too. */
        while ((number = image_ids_next(&s->image_ids, tag, &at)) != UINT32_MAX) {
            const struct record *e = entry_at(s, number);
            if (is_image_of(s, e, r, id) && e->hash_lo == r->hash_lo && key_equal(s, e, r, (struct road){0}))
                return number;
        }
        return NO_ENTRY;
    }
    uint32_t walked = 0;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi, walked++)
        if (is_image_of(s, entry_at(s, number), r, id)) {
            if (walked > IMAGE_CHAIN_WALKED)
                note_chain(s, head);
            return number;
        }
    if (walked > IMAGE_CHAIN_WALKED)
        note_chain(s, head);
    return NO_ENTRY;
}

/* Folds an image into the chain of its key. 1: `r` was taken in or is older than what is here; 0: it must be
 * chained; -1: failed. */
static int fold(struct index *s, uint32_t head, const struct record *r, struct diag *diag)
{
    const uint32_t number = image_entry(s, head, r);
    if (number == NO_ENTRY)
        return 0;
    struct record *e = entry_at(s, number);
    const struct record *older = r->place > e->place ? e : r;
    s->counts.superseded[side_of(r)]++;
    if (!tally_add(&s->superseded, older)) {
        mem_fail(diag, 0, "a tally");
        return -1;
    }
    if (older == r)
        return 1;
    uint32_t units = record_units(record_var_size(r, layout_of(s, r)));
    if (units <= record_units(record_var_size(e, layout_of(s, e)))) {
        const uint32_t next = e->hash_hi;
        memcpy(e, r, (size_t)units * RECORD_UNIT);
        e->hash_hi = next;
        return 1;
    }
    e->flags |= RECORD_DEAD; /* the new image is longer and gets an entry of its own; the chain's key
                                bytes stay */
    return 0;
}

/* All entries of a chain are free. */
static void chain_give(struct index *s, uint32_t head)
{
    for (uint32_t number = head, next; number != NO_ENTRY; number = next) {
        const struct record *e = entry_at(s, number);
        next = e->hash_hi;
        entry_give(s, number, record_units(record_var_size(e, layout_of(s, e))));
        s->counts.waiting--;
    }
}

/* ---- partitions that leave ---- */

struct sized_partition {
    uint64_t halves; /* of lines */
    uint32_t number;
};

static int by_size(const void *a, const void *b)
{
    const struct sized_partition *x = a, *y = b;
    if (x->halves != y->halves)
        return x->halves > y->halves ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static enum err need_kept(struct index *s, struct diag *diag)
{
    return s->kept ? OK
                   : s->config.spill->ops->open(&s->kept, s->config.spill, s->partition_count * KEPT_KINDS,
                                                s->config.packs ? shard_packs_kept(s->config.memory_max)
                                                                : shard_kept_share(s->config.memory_max),
                                                diag);
}

/* A record of a partition that left follows it. */
static enum err keep(struct index *s, uint32_t partition, const struct record *r, uint32_t units,
                     struct diag *diag)
{
    s->counts.spilled++;
    return spool_put(s->kept, partition, r, units * RECORD_UNIT, diag);
}

/* A packed record leaves, or comes late. */
static inline enum err keep_packed(struct index *s, const struct packed *p, uint32_t partition,
                                   struct diag *diag)
{
    s->counts.spilled++;
    return spool_put(s->kept, s->partition_count + partition, p, sizeof *p, diag);
}

/* The same as move_left for packed records. */
static enum err move_packed(struct index *s, struct diag *diag)
{
    enum err err = OK;
    struct packed_table *const packed = &s->packed;
    for (uint64_t i = 0; packed->table.keys && err == OK && i <= packed->table.mask; i++)
        for (unsigned slot = 0; err == OK && slot < BUCKET_SLOTS; slot++) {
            const uint32_t head = packed->table.buckets[i].head[slot],
                           soon = packed->table.buckets[(i + MOVE_AHEAD) & packed->table.mask].head[slot];
            if (soon != NO_ENTRY)
                __builtin_prefetch(packed_at(packed, soon), 1);
            if (head == NO_ENTRY)
                continue;
            struct packed *p = packed_at(packed, head);
            const uint64_t hash = packed_hash(p->key, packed->seed);
            const uint32_t partition = partition_of_hash(s, hash, s->level > 0);
            if (!s->left[partition])
                continue;
            if (!packed_is_escaped(p)) {
                err = keep_packed(s, p, partition, diag);
                s->counts.waiting--;
            }
            packed_remove(packed, hash, &(struct packed_found){p, (uint32_t)i, slot});
        }
    /* All of it for those that cannot be packed. */
    if (err == OK && s->config.packs && packed->table.keys == 0) {
        packed_table_fini(packed);
        err = packed_table_open(packed, s->config.seed, s->huge, BUCKETS_AT_FIRST, diag);
    }
    return err;
}

/* Takes what waits in partitions marked in `left` out of the tables, into `kept`. */
static enum err move_left(struct index *s, struct diag *diag)
{
    enum err err = move_packed(s, diag);
    image_ids_fini(&s->image_ids);
    for (uint32_t i = 0; s->table.keys && err == OK && i <= s->table.mask; i++) {
        struct bucket *bucket = &s->table.buckets[i];
        for (unsigned slot = 0; err == OK && slot < BUCKET_SLOTS; slot++) {
            const uint32_t head = bucket->head[slot], tag = bucket->tag[slot];
            uint32_t partition;
            if (head == NO_ENTRY || !s->left[partition = partition_of_tag(s, tag)])
                continue;
            for (uint32_t number = head, next; err == OK && number != NO_ENTRY; number = next) {
                struct record *e = entry_at(s, number);
                const uint32_t units = record_units(record_var_size(e, layout_of(s, e)));
                next = e->hash_hi;
                e->hash_hi = s->level == 0 ? tag : 0;
                if (!(e->flags & RECORD_DEAD))
                    err = keep(s, partition, e, units, diag);
                entry_give(s, number, units);
                s->counts.waiting--;
            }
            table_remove(&s->table, tag, i, slot);
        }
    }
    if (s->counts.waiting == 0)
        entries_reset(s);
    return err;
}

static enum err ref_put(struct row_ref **refs, uint32_t *count, uint32_t *room, struct row_ref ref,
                        struct diag *diag)
{
    if (*count == *room) {
        uint32_t more = *room ? *room * 2 : 256;
        struct row_ref *grown = mem_grow(*refs, (size_t)more * sizeof *grown);
        if (!grown)
            return mem_fail(diag, (size_t)more * sizeof *grown, "open records");
        *refs = grown;
        *room = more;
    }
    (*refs)[(*count)++] = ref;
    return OK;
}

static struct row_ref ref_of(const struct index *s, const struct record *e)
{
    struct row_ref ref = {.place = e->place,
                          .key_hash = e->hash_lo,
                          .side = e->flags & RECORD_CHANNEL ? CHANNEL : LOCAL,
                          .record_flags = e->flags};
    if (layout_of(s, e).has_fold) {
        memcpy(&ref.back_event, e->var, 4);
        memcpy(&ref.back_map, e->var + 4, 4);
        memcpy(&ref.row_index, e->var + 8, 4);
    }
    return ref;
}

/* ---- crowds: keys with more records than are held at once ---- */

static enum err crowd_put(struct index *s, const struct row_ref *ref, struct diag *diag)
{
    enum { TOGETHER = 2048 }; /* rows near each other are fetched together */
    const uint64_t number = s->counts.crowded++;
    const uint32_t share = (uint32_t)(number / TOGETHER % s->config.crowd_shares);
    return spool_put(s->config.crowd, share, ref, sizeof *ref, diag);
}

static enum err crowd_record(struct index *s, const struct record *r, struct diag *diag)
{
    const struct row_ref ref = ref_of(s, r);
    return crowd_put(s, &ref, diag);
}

/* Memory is full: records of a key that takes much of it leave as references, and what comes of it later goes there at once. Its
 * head stays, so that it is known. Images stay too: a later one may replace them. */
static enum err move_crowds(struct index *s, uint64_t units_min, uint64_t *moved, struct diag *diag)
{
    enum err err = OK;
    *moved = 0;
    if (!s->config.crowd || s->config.layout[LOCAL].has_fold || s->config.layout[CHANNEL].has_fold)
        return OK;
    for (uint64_t i = 0; err == OK && i <= s->table.mask; i++)
        for (unsigned slot = 0; err == OK && slot < BUCKET_SLOTS; slot++) {
            const uint32_t head = s->table.buckets[i].head[slot];
            uint64_t units = 0, count = 0;
            for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi, count++)
                units +=
                    record_units(record_var_size(entry_at(s, number), layout_of(s, entry_at(s, number))));
            if (count < 2 || units < units_min)
                continue;
            err = crowd_record(s, entry_at(s, head), diag);
            for (uint32_t number = entry_at(s, head)->hash_hi, next; err == OK && number != NO_ENTRY;
                 number = next) {
                const struct record *e = entry_at(s, number);
                next = e->hash_hi;
                err = crowd_record(s, e, diag);
                entry_give(s, number, record_units(record_var_size(e, layout_of(s, e))));
                s->counts.waiting--;
                ++*moved;
            }
            entry_at(s, head)->flags |= RECORD_CROWDED;
            entry_at(s, head)->hash_hi = NO_ENTRY;
        }
    return err;
}

static int is_crowd(const struct index *s, uint32_t print)
{
    for (uint32_t i = 0; i < s->crowd_count; i++)
        if (s->crowds[i] == print)
            return 1;
    return s->all_crowd;
}

static enum err too_many_alike(const struct index *s, uint64_t records, struct diag *diag)
{
    return diag_set(diag, ERR_MACHINE, "memory.group", "give --memory=SIZE more",
                    "%llu records of one order number (or of a few whose hashes agree) must be judged "
                    "together and do not fit in the memory of one shard, %llu bytes",
                    (unsigned long long)records, (unsigned long long)s->config.memory_max);
}

/* Memory is full: the partitions that hold most leave. */
static enum err make_room(struct index *s, struct diag *diag)
{
    uint64_t moved = 0;
    const uint64_t held = s->counts.entry_bytes / RECORD_UNIT;
    enum err err = move_crowds(s, s->level == LEVEL_LAST ? 2 : held / CROWD_SHARE + 2, &moved, diag);
    if (err != OK || moved)
        return err;
    if (s->level == LEVEL_LAST || s->left_count == s->partition_count)
        return too_many_alike(s, s->counts.waiting, diag);
    err = need_kept(s, diag);
    if (err != OK)
        return err;
    struct sized_partition sizes[HASH_PARTITIONS] = {{0}};
    uint64_t all = 0, leaving = 0;
    for (uint32_t p = 0; p < s->partition_count; p++)
        sizes[p].number = p;
    for (uint32_t i = 0; i <= s->table.mask; i++)
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            const struct bucket *bucket = &s->table.buckets[i];
            for (uint32_t number = bucket->head[slot]; number != NO_ENTRY;
                 number = entry_at(s, number)->hash_hi) {
                const struct record *e = entry_at(s, number);
                const uint32_t units = record_units(record_var_size(e, layout_of(s, e)));
                sizes[partition_of_tag(s, bucket->tag[slot])].halves += 2 * units;
                all += 2 * units;
            }
        }
    /* Packed records are one a key, so all partitions have about as many. */
    const uint64_t each = s->packed.table.keys / (s->partition_count - s->left_count);
    for (uint32_t p = 0; p < s->partition_count; p++)
        sizes[p].halves += s->left[p] ? 0 : each;
    all += s->packed.table.keys;
    qsort(sizes, s->partition_count, sizeof sizes[0], by_size);
    uint32_t count = 0;
    const uint64_t share = live_held(s) < LEAVE_LARGE ? LEAVE_AT_ONCE : LEAVE_AT_ONCE_LARGE;
    for (uint32_t i = 0; i < s->partition_count && (count == 0 || leaving * share < all); i++) {
        if (s->left[sizes[i].number])
            continue;
        s->left[sizes[i].number] = 1;
        s->left_count++;
        leaving += sizes[i].halves;
        count++;
    }
    CHECK2(count > 0, s->left_count, s->partition_count); /* else there is nothing to make room for */
    return move_left(s, diag);
}

/* ---- images that leave ---- */

static inline int is_sampled(const struct record *r)
{
    return r->hash_lo % SAMPLED_KEYS == 0;
}

/* The local and the channel record of a short chain that are all that is alive in it, and exactly alike. */
static int chain_is_pair(const struct index *s, uint32_t head, const struct record *of[SIDES])
{
    of[LOCAL] = of[CHANNEL] = NULL;
    uint32_t walked = 0;
    for (uint32_t at = head; at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if (++walked > CHAIN_LOOKED_AT)
            return 0;
        if (e->flags & RECORD_DEAD)
            continue;
        if (e->flags & s->stays || of[side_of(e)])
            return 0;
        of[side_of(e)] = e;
    }
    return of[LOCAL] && of[CHANNEL] && sigma_equal(s, of[LOCAL], of[CHANNEL], (struct road){0}) &&
           window_fits(s, of[LOCAL], of[CHANNEL]);
}

/* A record comes to the key of a sampled chain: had it been a pair, it would have to come back. */
static __attribute__((noinline)) void note_sampled(struct index *s, uint32_t head)
{
    const struct record *of[SIDES];
    s->sampled_again += chain_is_pair(s, head, of);
}

/* Whether an image and its partner may leave. Bringing back costs two rows read again, waiting a tenth of that: where a log often tells
 * more of rows that have their partner, they wait. What is judged is the same. */
static inline int images_go(struct index *s, const struct record *r)
{
    if (UNLIKELY(is_sampled(r))) {
        s->sampled++;
        s->images_go =
            s->config.recall.images && s->sampled_again * CALLED_BACK_SHARE <= s->sampled + CALLED_BACK_FREE;
        return 0;
    }
    return s->images_go;
}

/* The log tells a record, or tells it no more. */
static void tell_left(struct index *s, const struct record *r, int sign);

static enum err image_leaves(struct index *s, uint32_t partition, const struct record *local,
                             const struct record *channel, struct diag *diag)
{
    const struct record *const of[SIDES] = {local, channel};
    struct image_at at[SIDES];
    for (int side = 0; side < SIDES; side++)
        if (s->config.layout[side].has_fold) {
            at[side] = image_at_of(of[side]);
            if (s->config.words)
                tell_left(s, of[side], 1);
        }
    const struct left_pair pair = {.local = local->place, .channel = channel->place};
    return remember_images(s, local->hash_lo, partition, &pair, at, diag);
}

/* A chain to which a record came leaves where it is a pair now. */
static __attribute__((noinline)) enum err chain_leaves(struct index *s, const struct found *found,
                                                       uint32_t tag, struct diag *diag)
{
    const struct record *of[SIDES];
    if (s->config.holds_all || !chain_is_pair(s, found->head, of) || !images_go(s, of[LOCAL]))
        return OK;
    count_pair(s, of[LOCAL], of[CHANNEL], (struct road){0});
    enum err err = image_leaves(s, partition_of_tag(s, tag), of[LOCAL], of[CHANNEL], diag);
    table_remove(&s->table, tag, found->bucket, found->slot);
    chain_give(s, found->head);
    return err;
}

static inline __attribute__((always_inline)) enum err
take_in(struct index *s, const struct record *r, uint32_t units, const struct road road, struct diag *diag)
{
    const uint32_t tag = tag_of(r, road);
    struct found found;
    int chained = 0;
    for (;;) {
        if (UNLIKELY(s->left_count) && s->left[partition_of_tag(s, tag)])
            return keep(s, partition_of_tag(s, tag), r, units, diag);
        uint32_t number;
        if (find_key(s, r, tag, road, &found)) {
            struct record *e = entry_at(s, found.head);
            if (!road.plain && s->has_images && UNLIKELY(is_sampled(r)))
                note_sampled(s, found.head);
            if (LIKELY(e->hash_hi == NO_ENTRY && ((e->flags ^ r->flags) & RECORD_CHANNEL) &&
                       !((e->flags | r->flags) & (road.plain ? STAYS_PLAIN : s->stays)) &&
                       (road.plain || !s->config.holds_all))) {
                const struct record *local = r->flags & RECORD_CHANNEL ? e : r,
                                    *channel = r->flags & RECORD_CHANNEL ? r : e;
                if (LIKELY(sigma_equal(s, e, r, road) && window_fits(s, local, channel)) &&
                    (road.plain || !s->has_images || images_go(s, r))) {
                    count_pair(s, local, channel, road);
                    enum err err = road.plain || !s->has_images
                                       ? remember_pair(s, r->hash_lo, partition_of_tag(s, tag), local->place,
                                                       channel->place, diag)
                                       : image_leaves(s, partition_of_tag(s, tag), local, channel, diag);
                    uint32_t e_units = units_of(s, e, road);
                    table_remove(&s->table, tag, found.bucket, found.slot);
                    entry_give(s, found.head, e_units);
                    s->counts.waiting--;
                    return err;
                }
            }
            if (UNLIKELY(e->flags & RECORD_CROWDED))
                return crowd_record(s, r, diag);
            if (!road.plain && (r->flags & RECORD_IMAGE)) {
                int folded = fold(s, found.head, r, diag);
                if (folded)
                    return folded > 0 ? chain_leaves(s, &found, tag, diag) : ERR_MACHINE;
            }
            number = entry_take(s, units, diag);
            if (LIKELY(number != NO_ENTRY)) {
                struct record *fresh = entry_at(s, number);
                record_copy(fresh, r, units);
                e = entry_at(s, found.head);
                fresh->hash_hi = e->hash_hi; /* behind the head, so that the slot stays as it is */
                e->hash_hi = number;
                if (!road.plain && UNLIKELY(s->image_ids.slots != NULL) && (r->flags & RECORD_IMAGE) &&
                    image_ids_has(&s->image_ids, found.head))
                    note_image(s, image_tag(s, found.head, fresh), number);
                chained = s->has_images;
            }
        } else {
            int grown = 1;
            if (UNLIKELY(s->table.keys >= s->table.keys_max)) {
                enum err err = table_grow(s, &grown, diag);
                if (err != OK)
                    return err;
            }
            number = grown ? entry_take(s, units, diag) : NO_ENTRY;
            if (LIKELY(number != NO_ENTRY)) {
                struct record *fresh = entry_at(s, number);
                record_copy(fresh, r, units);
                fresh->hash_hi = NO_ENTRY;
                table_put(&s->table, tag, tag, number);
            }
        }
        if (LIKELY(number != NO_ENTRY))
            break;
        if (diag->err != OK)
            return diag->err;
        enum err err = make_room(s, diag); /* and again: its own partition may have left */
        if (err != OK)
            return err;
    }
    s->counts.waiting++;
    if (s->counts.waiting > s->counts.waiting_max)
        s->counts.waiting_max = s->counts.waiting;
    return !road.plain && chained ? chain_leaves(s, &found, tag, diag) : OK;
}

/* ---- packed records ---- */

/* Room for one more key: the table grows, or partitions leave. The list that is made of all at the end has its room, too. */
static __attribute__((noinline)) enum err packed_room(struct index *s, struct diag *diag)
{
    const uint64_t more = packed_more_bytes(&s->packed),
                   list = packed_records_max(&s->packed) * sizeof *s->packed_waiting;
    if (!may_grow(s, more + list))
        return make_room(s, diag);
    enum err err = pairs_yield(s, more, diag);
    return err == OK ? packed_table_more(&s->packed, diag) : err;
}

/* A record of a key that is not, or no longer, among the packed ones. */
static __attribute__((noinline)) enum err take_full(struct index *s, const struct record *r, uint32_t units,
                                                    struct diag *diag)
{
    return s->level ? take_in(s, r, units, (struct road){.sub = 1, .plain = 1}, diag)
                    : take_in(s, r, units, (struct road){.plain = 1}, diag);
}

/* The record found goes to `table`; its slot says so. */
static enum err escape(struct index *s, struct packed_found *found, uint64_t hash, struct diag *diag)
{
    struct record full;
    packed_open(found->record, hash, &full);
    packed_escape(found);
    s->counts.waiting--;
    return take_full(s, &full, 1, diag);
}

/* A record of a key that is in `table`, and has a slot here. When it leaves as a pair, nothing of its key is left there. */
static enum err take_escaped(struct index *s, const struct record *r, uint32_t units, const uint64_t key[2],
                             uint64_t hash, struct diag *diag)
{
    const uint64_t pairs = s->counts.pairs;
    struct packed_found found;
    enum err err = take_full(s, r, units, diag);
    if (err == OK && s->counts.pairs != pairs && packed_find(&s->packed, key, hash, &found))
        packed_remove(&s->packed, hash, &found);
    return err;
}

/* A packed record whose key is there, and is no pair with it. */
static __attribute__((noinline)) enum err meet_packed(struct index *s, const struct packed *r, uint64_t hash,
                                                      struct packed_found *found, struct diag *diag)
{
    struct record full;
    enum err err = packed_is_escaped(found->record) ? OK : escape(s, found, hash, diag);
    packed_open(r, hash, &full);
    return err == OK ? take_escaped(s, &full, 1, r->key, hash, diag) : err;
}

/* A record that is not packed, where others are: of a key that could be, it meets those. */
static __attribute__((noinline)) enum err take_beside_packed(struct index *s, const struct record *r,
                                                             uint32_t units, struct diag *diag)
{
    const struct packed_key key = packed_key_of(r->var, r->key_size, r->channel);
    if (!key.word[0])
        return take_full(s, r, units, diag);
    const uint64_t hash = packed_hash(key.word, s->packed.seed);
    CHECK2((uint32_t)hash == r->hash_lo, hash, r->hash_lo);
    struct packed_found found;
    enum err err = OK;
    while (err == OK && !s->left[partition_of_hash(s, hash, s->level > 0)]) {
        if (packed_find(&s->packed, key.word, hash, &found)) {
            if (packed_is_escaped(found.record))
                break;
            err = escape(s, &found, hash, diag);
        } else if (packed_has_room(&s->packed)) {
            const struct packed slot = {.key = {key.word[0], key.word[1]}, .rest = PACKED_ESCAPED};
            packed_insert(&s->packed, &slot, hash);
        } else {
            err = packed_room(s, diag);
        }
    }
    return err == OK ? take_escaped(s, r, units, key.word, hash, diag) : err;
}

static inline __attribute__((always_inline)) enum err
take_packed(struct index *s, const struct packed *r, uint64_t hash, const int is_sub, struct diag *diag)
{
    struct packed_found found;
    for (;;) {
        if (UNLIKELY(s->left_count) && s->left[partition_of_hash(s, hash, is_sub)])
            return keep_packed(s, r, partition_of_hash(s, hash, is_sub), diag);
        if (packed_find(&s->packed, r->key, hash, &found)) {
            const struct packed *e = found.record;
            /* Of the other side, and not elsewhere. */
            if (UNLIKELY(((e->rest ^ r->rest) >> PACKED_CHANNEL_SHIFT & 3) != 1 || e->sigma != r->sigma))
                return meet_packed(s, r, hash, &found, diag);
            const struct packed *const local = packed_is_channel(r) ? e : r, *const channel =
                                                                                 packed_is_channel(r) ? r : e;
            if (UNLIKELY(!window_holds_days(s->config.window_before, s->config.window_after,
                                            packed_day(local), packed_day(channel))))
                return meet_packed(s, r, hash, &found, diag);
            s->totals.count[packed_currency(r)]++;
            s->totals.sum[packed_currency(r)] += packed_amount(r);
            s->counts.pairs++;
            s->counts.waiting--;
            enum err err = remember_pair(s, (uint32_t)hash, partition_of_hash(s, hash, is_sub),
                                         packed_place(local), packed_place(channel), diag);
            packed_remove(&s->packed, hash, &found);
            return err;
        }
        if (LIKELY(packed_has_room(&s->packed)))
            break;
        enum err err = packed_room(s, diag); /* and again: its own partition may have left */
        if (UNLIKELY(err != OK))
            return err;
    }
    packed_insert(&s->packed, r, hash);
    s->counts.waiting++;
    if (s->counts.waiting > s->counts.waiting_max)
        s->counts.waiting_max = s->counts.waiting;
    return OK;
}

static inline __attribute__((always_inline)) uint64_t ask_packed(const struct index *s,
                                                                 const struct packed *r)
{
    const uint64_t hash = packed_hash(r->key, s->packed.seed);
    prefetch_bucket(&s->packed.table, packed_tag(hash));
    return hash;
}

/* The record with this tag; where there is none and the bucket is full, or one of its class went on, the next bucket. */
static inline __attribute__((always_inline)) void ask_behind(const struct packed_table *t, uint64_t hash)
{
    const uint32_t tag = packed_tag(hash), home = table_home(&t->table, tag);
    const struct bucket *bucket = &t->table.buckets[home];
    const unsigned vacant = bucket_free(bucket), same = bucket_matches(bucket, tag) & ~vacant;
    const uint32_t goes_on = (vacant == 0) | (bucket->passed[passed_class(tag)] != 0);
    const void *line = &t->table.buckets[(home + goes_on) & t->table.mask];
    if (same)
        line = packed_at(t, bucket->head[__builtin_ctz(same)]);
    __builtin_prefetch(line, 1);
}

static inline __attribute__((always_inline)) enum err
apply_packed(struct index *s, const struct packed *r, uint32_t count, const int is_sub, struct diag *diag)
{
    uint64_t hashes[PACKED_RING];
    const int is_far = s->packed.table.mask >= PACKED_NEAR_TO;
    for (uint32_t i = 0; i < PACKED_AHEAD && i < count; i++)
        hashes[i] = ask_packed(s, &r[i]);
    for (uint32_t i = 0; is_far && i < PACKED_BEHIND && i < count; i++)
        ask_behind(&s->packed, hashes[i]);
    for (uint32_t done = 0; done < count; done += ASK_AT_ONCE) {
        for (uint32_t i = done + PACKED_AHEAD; i < done + PACKED_AHEAD + ASK_AT_ONCE && i < count; i++)
            hashes[i % PACKED_RING] = ask_packed(s, &r[i]);
        for (uint32_t i = done + PACKED_BEHIND; is_far && i < done + PACKED_BEHIND + ASK_AT_ONCE && i < count;
             i++)
            ask_behind(&s->packed, hashes[i % PACKED_RING]);
        for (uint32_t i = done; i < done + ASK_AT_ONCE && i < count; i++) {
            enum err err = take_packed(s, &r[i], hashes[i % PACKED_RING], is_sub, diag);
            if (UNLIKELY(err != OK))
                return err;
        }
    }
    return OK;
}

static __attribute__((noinline)) enum err apply_fresh(struct index *s, const struct packed *r, uint32_t count,
                                                      struct diag *diag)
{
    return apply_packed(s, r, count, 0, diag);
}

static __attribute__((noinline)) enum err apply_back(struct index *s, const struct packed *r, uint32_t count,
                                                     struct diag *diag)
{
    return apply_packed(s, r, count, 1, diag);
}

/* A record without its first key meets nobody here. */
static enum err keep_loose(struct index *s, const struct record *r, struct diag *diag)
{
    struct row_ref ref = ref_of(s, r);
    return spool_put(s->pairs, s->partition_count, &ref, sizeof ref, diag);
}

static inline __attribute__((always_inline)) enum err
apply_units(struct index *s, const struct record *r, uint32_t used, const struct road road, struct diag *diag)
{
    const struct record *const end = r + used, *ahead = r, *half = r;
    for (unsigned i = 0; i < PREFETCH && ahead < end; i++) {
        prefetch_bucket(&s->table, tag_of(ahead, road));
        ahead += units_of(s, ahead, road);
    }
    for (unsigned i = 0; i < PREFETCH / 2 && half < ahead; i++) {
        prefetch_entry(s, tag_of(half, road), !road.plain && s->has_images);
        half += units_of(s, half, road);
    }
    while (r < end) {
        uint32_t units = units_of(s, r, road);
        if (LIKELY(ahead < end)) {
            __builtin_prefetch(ahead + PREFETCH); /* the batch comes from another core's cache */
            prefetch_bucket(&s->table, tag_of(ahead, road));
            ahead += units_of(s, ahead, road);
        }
        if (LIKELY(half < end)) {
            prefetch_entry(s, tag_of(half, road), !road.plain && s->has_images);
            half += units_of(s, half, road);
        }
        enum err err = UNLIKELY((r->flags & (RECORD_NO_KEY | RECORD_IMAGE)) == RECORD_NO_KEY) &&
                               !((r->flags & RECORD_CARRIED) && layout_of(s, r).has_fold)
                           ? keep_loose(s, r, diag)
                       : road.plain && UNLIKELY(s->config.packs) ? take_beside_packed(s, r, units, diag)
                                                                 : take_in(s, r, units, road, diag);
        if (UNLIKELY(err != OK))
            return err;
        r += units;
    }
    return OK;
}

/* The same for records of one line each, plain ones: asking ahead is a loop without branches. */
static __attribute__((noinline)) enum err apply_lines(struct index *s, const struct record *r, uint32_t count,
                                                      struct diag *diag)
{
    const struct road road = {.plain = 1};
    const uint32_t ahead = count < BUCKETS_AHEAD ? count : BUCKETS_AHEAD;
    for (uint32_t i = 0; i < ahead; i++)
        prefetch_bucket(&s->table, r[i].hash_hi);
    for (uint32_t i = 0; i < ahead && i < ENTRIES_AHEAD; i++)
        prefetch_first_entry(s, r[i].hash_hi);
    for (uint32_t done = 0; done < count; done += ASK_AT_ONCE) {
        if (LIKELY(done + BUCKETS_AHEAD + ASK_AT_ONCE <= count)) {
            for (uint32_t i = 0; i < ASK_AT_ONCE; i++)
                prefetch_bucket(&s->table, r[done + BUCKETS_AHEAD + i].hash_hi);
            for (uint32_t i = 0; i < ASK_AT_ONCE; i++)
                prefetch_first_entry(s, r[done + ENTRIES_AHEAD + i].hash_hi);
        } else {
            for (uint32_t i = done + BUCKETS_AHEAD; i < count; i++)
                prefetch_bucket(&s->table, r[i].hash_hi);
            for (uint32_t i = done + ENTRIES_AHEAD; i < done + ENTRIES_AHEAD + ASK_AT_ONCE && i < count; i++)
                prefetch_first_entry(s, r[i].hash_hi);
        }
        for (uint32_t i = done; i < done + ASK_AT_ONCE && i < count; i++) {
            enum err err = UNLIKELY(r[i].flags & RECORD_NO_KEY) ? keep_loose(s, &r[i], diag)
                           : UNLIKELY(s->config.packs)          ? take_beside_packed(s, &r[i], 1, diag)
                                                                : take_in(s, &r[i], 1, road, diag);
            if (UNLIKELY(err != OK))
                return err;
        }
    }
    return OK;
}

static enum err shard_apply(struct index *s, const struct batch *batch, struct diag *diag)
{
    s->counts.records += batch->count;
    if (LIKELY(batch->packed)) {
        CHECK2(s->config.packs, batch->packed, s->plain);
        enum err err = apply_fresh(s, batch_all_packed(batch), batch->packed, diag);
        if (err != OK || batch->used == 0)
            return err;
    }
    if (LIKELY(s->plain && batch->used == batch->count - batch->packed))
        return apply_lines(s, batch->units, batch->used, diag);
    return s->plain ? apply_units(s, batch->units, batch->used, (struct road){.plain = 1}, diag)
                    : apply_units(s, batch->units, batch->used, (struct road){0}, diag);
}

/* ---- settle ---- */

/* An image of an earlier bill date whose row was carried under another key: it is the task's own. */
static inline int is_renamed(const struct index *s, const struct record *e)
{
    return (e->flags & (RECORD_DEAD | RECORD_IMAGE | RECORD_OTHER_DAY | RECORD_GONE | RECORD_VOIDED |
                        RECORD_REJECT)) == (RECORD_IMAGE | RECORD_OTHER_DAY) &&
           e->day < s->config.unit_day && renamed_has(s->config.renamed, e, layout_of(s, e));
}

/* Of another bill date, in a task: no part of it, unless it is the newest image of a carried record. */
static inline int is_apart(const struct index *s, const struct record *e)
{
    return s->config.other_days_apart && (e->flags & RECORD_OTHER_DAY) && !is_renamed(s, e);
}

/* Whether a carried record is in the chain. One that the log tells as deleted, or moved to another key, is voided. */
static int settle_carried(struct index *s, uint32_t head)
{
    int carried = 0;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi)
        carried |= (entry_at(s, number)->flags & RECORD_CARRIED) != 0;
    for (uint32_t at = head; carried && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *gone = entry_at(s, at);
        if (!(gone->flags & RECORD_GONE) || (gone->flags & RECORD_DEAD))
            continue;
        const uint8_t *id = occurrence_of(s, gone);
        for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi) {
            struct record *e = entry_at(s, number);
            const uint8_t *other = e->flags & RECORD_CARRIED && !((e->flags ^ gone->flags) & RECORD_CHANNEL)
                                       ? occurrence_of(s, e)
                                       : NULL;
            if (other && record_u16(id) == record_u16(other) &&
                memcmp(id + 2, other + 2, record_u16(id)) == 0)
                e->flags |= RECORD_VOIDED;
        }
    }
    return carried;
}

/* Of a bill date too far back, or of one to come: NULL. */
static struct log_sums *sums_of(struct log_sums sums[SIDES][LOG_DAYS], const struct index *s,
                                const struct record *r)
{
    const int back = (int)s->config.unit_day - (int)r->day;
    return back >= 0 && back < LOG_DAYS ? &sums[r->flags & RECORD_CHANNEL ? CHANNEL : LOCAL][back] : NULL;
}

static void tell_record(const struct index *s, struct log_sums *sums, const struct record *r)
{
    if (!sums)
        return;
    if (r->flags & RECORD_IMAGE && r->flags & RECORD_GONE) {
        sums->deleted += (r->flags & RECORD_VOIDED) != 0;
        return;
    }
    const struct log_print print = log_print_of(r, layout_of(s, r), s->config.words, s->config.seed);
    log_sums_add(sums, &print);
}

static void tell_left(struct index *s, const struct record *r, int sign)
{
    struct log_sums *const sums = sums_of(s->log_days.told, s, r);
    struct log_sums one = {0};
    tell_record(s, sums ? &one : NULL, r);
    if (sums)
        log_sums_merge(sums, &one, sign);
}

/* 1: the log tells a carried record as it was carried. */
static int is_as_carried(const struct index *s, const struct record *carried, const struct record *image)
{
    if (image->flags & RECORD_GONE || image->day != carried->day)
        return 0;
    return log_print_of(carried, layout_of(s, carried), s->config.words, s->config.seed).print ==
           log_print_of(image, layout_of(s, image), s->config.words, s->config.seed).print;
}

/* Sums up what the log tells of the records of a chain, by bill date. Final records that may be reopened are as any other: that one
 * of them changed is told. */
static void tell_days(struct index *s, uint32_t head, int carried)
{
    for (uint32_t at = head; at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if ((e->flags & (RECORD_DEAD | RECORD_IMAGE | RECORD_REJECT)) == RECORD_IMAGE)
            tell_record(s, sums_of(s->log_days.told, s, e), e);
    }
    for (uint32_t at = head; carried && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if ((e->flags & (RECORD_DEAD | RECORD_IMAGE | RECORD_CARRIED | RECORD_LATE)) != RECORD_CARRIED ||
            !layout_of(s, e).has_fold)
            continue;
        const uint32_t number = image_entry(s, head, e);
        const struct record *image = number == NO_ENTRY ? NULL : entry_at(s, number);
        if (!image || ((image->flags ^ e->flags) & RECORD_CHANNEL) || is_as_carried(s, e, image))
            continue;
        tell_record(s, sums_of(s->log_days.was, s, e), e);
        if (!(image->flags & RECORD_REJECT))
            tell_record(s, sums_of(s->log_days.is, s, image), image);
    }
}

static int is_carried_here(const struct index *s, uint32_t head, const struct record *image)
{
    const uint8_t *id = occurrence_of(s, image);
    for (uint32_t at = head; at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        const uint8_t *other = e->flags & RECORD_CARRIED && !((e->flags ^ image->flags) & RECORD_CHANNEL)
                                   ? occurrence_of(s, e)
                                   : NULL;
        if (other && record_u16(id) == record_u16(other) && memcmp(id + 2, other + 2, record_u16(id)) == 0)
            return 1;
    }
    return 0;
}

/* Carried records that have this key by now take part as the task's own; what they were is voided under the key that they had. */
static void take_renamed(struct index *s, uint32_t head)
{
    for (uint32_t at = head; s->config.other_days_apart && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        struct record *e = entry_at(s, at);
        if (!is_renamed(s, e) || is_carried_here(s, head, e))
            continue;
        e->flags &= (uint16_t)~RECORD_OTHER_DAY;
        if (s->config.words)
            tell_record(s, sums_of(s->log_days.is, s, e), e);
    }
}

/* A key that one live image and one channel record share, exactly alike: what apply would have let go, had
 * the image been final. */
static int settles_now(const struct index *s, uint32_t head, const struct record **local,
                       const struct record **channel)
{
    *local = *channel = NULL;
    if (s->config.holds_all)
        return 0;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi) {
        const struct record *e = entry_at(s, number);
        if (e->flags & (RECORD_DEAD | RECORD_REJECT) ||
            (e->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE || is_apart(s, e))
            continue;
        if (e->flags & (RECORD_VOIDED | RECORD_NO_KEY | RECORD_CARRIED))
            return 0;
        const struct record **at = e->flags & RECORD_CHANNEL ? channel : local;
        if (*at)
            return 0;
        *at = e;
    }
    return *local && *channel && ((*local)->flags & RECORD_IMAGE) &&
           sigma_equal(s, *local, *channel, (struct road){0}) && window_fits(s, *local, *channel);
}

/* Too many pairs for one set of their hashes. */
static int pairs_exceed(const struct index *s, uint32_t partition)
{
    const uint64_t each = sizeof(struct left_pair) + 2 * sizeof *s->seen;
    /* Images that come back are records again, all of them if need be. */
    const uint64_t images =
        s->has_images ? sizeof(struct left_image) + sizeof(struct row_ref) + 2 * RECORD_UNIT : 0;
    const uint64_t share =
        s->has_images && s->level == LEVEL_LAST ? s->live_max : shard_pair_share(s->config.memory_max);
    return s->config.memory_max && s->trail[partition].count * (each + images) > share;
}

static int pairs_too_many(const struct index *s, uint32_t partition)
{
    return s->level < LEVEL_LAST && pairs_exceed(s, partition);
}

/* The same list of packed records. */
static enum err list_packed(struct index *s, struct diag *diag)
{
    const struct packed_table *const packed = &s->packed;
    uint32_t size[HASH_PARTITIONS] = {0}, at[HASH_PARTITIONS], sum = 0;
    mem_give(s->packed_waiting);
    s->packed_waiting = mem_take((packed->table.keys + 1) * sizeof *s->packed_waiting);
    if (!s->packed_waiting)
        return mem_fail(diag, (packed->table.keys + 1) * sizeof *s->packed_waiting,
                        "the list of open records");
    for (int turn = 0; turn < 2; turn++) {
        for (uint64_t i = 0; packed->table.keys && i <= packed->table.mask; i++)
            for (unsigned bits = bucket_taken(&packed->table.buckets[i]); bits; bits &= bits - 1) {
                const uint32_t head = packed->table.buckets[i].head[__builtin_ctz(bits)];
                if (packed_is_escaped(packed_at(packed, head)))
                    continue;
                const uint32_t partition = partition_of_hash(
                    s, packed_hash(packed_at(packed, head)->key, packed->seed), s->level > 0);
                if (turn == 0)
                    size[partition]++;
                else
                    s->packed_waiting[at[partition]++] = head;
            }
        for (unsigned p = 0; turn == 0 && p < s->partition_count; p++) {
            s->packed_start[p] = at[p] = sum;
            sum += size[p];
        }
    }
    s->packed_start[s->partition_count] = sum;
    s->counts.groups += sum;
    return OK;
}

static enum err shard_settle(struct index *s, struct diag *diag)
{
    enum err err = OK;
    /* What does not fit is judged in parts of a part. */
    const int list_fits =
        s->level == LEVEL_LAST ||
        may_grow(s, s->table.keys * sizeof *s->waiting + s->packed.table.keys * sizeof *s->packed_waiting);
    uint32_t more = 0;
    for (uint32_t p = 0; p < s->partition_count; p++)
        if (!s->left[p] && (!list_fits || pairs_too_many(s, p))) {
            s->left[p] = 1;
            s->left_count++;
            more++;
        }
    if (more) {
        err = need_kept(s, diag);
        if (err == OK)
            err = move_left(s, diag);
    }
    /* What comes back needs room. */
    if (err == OK && s->left_count && s->config.packs)
        err = s->pairs->ops->limit(s->pairs, shard_pair_share(s->config.memory_max), diag);
    end_pairs(s);
    if (err == OK)
        err = s->pairs->ops->seal(s->pairs, diag);
    if (err == OK && s->kept)
        err = s->kept->ops->seal(s->kept, diag);
    if (err != OK)
        return err;
    const uint64_t count = s->table.keys;
    mem_give(s->waiting);
    s->waiting = mem_take((count + 1) * sizeof *s->waiting);
    if (!s->waiting)
        return mem_fail(diag, (count + 1) * sizeof *s->waiting, "the list of open records");
    /* Counting sort by partition, with the half of the hash which the slot holds. */
    uint32_t size[HASH_PARTITIONS] = {0}, at[HASH_PARTITIONS], sum = 0;
    for (uint64_t i = 0; count && i <= s->table.mask; i++)
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
            if (s->table.buckets[i].head[slot] != NO_ENTRY)
                size[partition_of_tag(s, s->table.buckets[i].tag[slot])]++;
    for (unsigned p = 0; p < s->partition_count; p++) {
        s->waiting_start[p] = at[p] = sum;
        sum += size[p];
    }
    s->waiting_start[s->partition_count] = sum;
    s->counts.groups += sum;
    for (uint64_t i = 0; count && i <= s->table.mask; i++)
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            uint32_t head = s->table.buckets[i].head[slot], tag = s->table.buckets[i].tag[slot];
            if (head != NO_ENTRY)
                s->waiting[at[partition_of_tag(s, tag)]++] = (struct waiting){head, tag};
        }
    return list_packed(s, diag);
}

/* ---- next: what needs its rows again ---- */

/* The local place of a pair that was given back. */
#define GIVEN_BACK UINT64_MAX

struct refs {
    struct index *index;
    struct row_ref **refs;
    uint32_t *count, *room;
    uint32_t from; /* those before are another partition's */
};

static enum err out_put(struct refs *out, struct row_ref ref, struct diag *diag)
{
    return UNLIKELY(out->index->crowd_count | out->index->all_crowd) && is_crowd(out->index, ref.key_hash)
               ? crowd_put(out->index, &ref, diag)
               : ref_put(out->refs, out->count, out->room, ref, diag);
}

/* A key is a crowd: all that has its print goes there, what is in the list already too. */
static enum err call_crowd(struct index *s, struct refs *out, uint32_t print, struct diag *diag)
{
    if (is_crowd(s, print))
        return OK;
    if (s->crowd_count == s->crowd_room) {
        const uint32_t room = s->crowd_room ? s->crowd_room * 2 : 16;
        uint32_t *grown = mem_grow(s->crowds, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "keys with many records");
        s->crowds = grown;
        s->crowd_room = room;
    }
    s->crowds[s->crowd_count++] = print;
    enum err err = OK;
    uint32_t kept = out->from;
    for (uint32_t i = out->from; err == OK && i < *out->count; i++)
        if ((*out->refs)[i].key_hash == print)
            err = crowd_put(s, &(*out->refs)[i], diag);
        else
            (*out->refs)[kept++] = (*out->refs)[i];
    *out->count = kept;
    return err;
}

static struct row_ref ref_of_left(const struct left_pair *p, const struct left_image *image, enum side side)
{
    struct row_ref ref = {.place = side == LOCAL ? p->local : p->channel,
                          .key_hash = p->print,
                          .side = (uint8_t)side,
                          .record_flags = side == LOCAL ? 0 : RECORD_CHANNEL,
                          .revisited = 1};
    if (image) {
        ref.back_event = image->at[side].back_event;
        ref.back_map = image->at[side].back_map;
        ref.row_index = image->at[side].row_index;
    }
    return ref;
}

/* `image`: where a side is a log. One that came back as a record is in the chains already. */
static enum err give_back(struct left_pair *p, const struct left_image *image, struct refs *out,
                          struct diag *diag)
{
    if (p->local == GIVEN_BACK)
        return OK;
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        const int is_image = image && out->index->config.layout[side].has_fold;
        struct row_ref ref = ref_of_left(p, is_image ? image : NULL, (enum side)side);
        if (is_image && image->state != LEFT)
            continue;
        if (is_image)
            ref.record_flags |= RECORD_IMAGE;
        err = out_put(out, ref, diag);
    }
    p->local = GIVEN_BACK;
    return err;
}

static const struct left_image *image_of(const struct index *s, size_t pair)
{
    return s->has_images ? &s->left_images[pair] : NULL;
}

/* The slot of a print in the set of pairs: empty, or 1 + the number of the first pair with it. */
static inline size_t seen_slot(const struct index *s, size_t mask, uint32_t print)
{
    size_t at = (print * 0x9E3779B97F4A7C15ull) >> 20 & mask;
    while (s->seen[at] && s->flat[s->seen[at] - 1].print != print)
        at = (at + 1) & mask;
    return at;
}

static enum err lay_flat(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct index *s = context;
    struct pair_walk walk;
    const uint32_t count = pair_walk_begin(&walk, bytes, size);
    (void)diag;
    CHECK2(count <= s->flat_room - s->flat_count, count, s->flat_room);
    for (uint32_t i = 0; i < count; i++) {
        struct image_at images[SIDES];
        next_left(s, &walk, &s->flat[s->flat_count], images);
        if (s->has_images)
            s->left_images[s->flat_count] = (struct left_image){.at = {images[LOCAL], images[CHANNEL]}};
        s->flat_count++;
    }
    return OK;
}

static enum err lay_page(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct index *s = context;
    return pair_sift_add(&s->sift, bytes, size) ? OK : mem_fail(diag, 0, "the pairs of one partition");
}

static enum err flat_all(struct index *s, uint32_t number, struct diag *diag)
{
    const size_t n = s->trail[number].count;
    if (n > s->flat_room) {
        mem_give(s->flat);
        s->flat_room = 0;
        s->flat = mem_take((n + n / 4 + 1) * sizeof *s->flat);
        if (!s->flat)
            return mem_fail(diag, n * sizeof *s->flat, "the pairs of one partition");
        s->flat_room = n + n / 4 + 1;
    }
    if (s->has_images && s->left_image_room < s->flat_room) {
        mem_give(s->left_images);
        s->left_images = mem_take(s->flat_room * sizeof *s->left_images);
        s->left_image_room = s->left_images ? s->flat_room : 0;
        if (!s->left_images)
            return mem_fail(diag, s->flat_room * sizeof *s->left_images, "the pairs of one partition");
    }
    s->flat_count = 0;
    const enum err err = s->pairs->ops->read(s->pairs, s->config.spill, number, lay_flat, s, diag);
    CHECK2(err != OK || s->flat_count == n, s->flat_count, n);
    return err;
}

/* Only those pairs that have an equal, or whose key waits. */
static enum err flat_some(struct index *s, uint32_t number, struct diag *diag)
{
    s->flat_count = 0;
    pair_sift_reset(&s->sift);
    enum err err = s->pairs->ops->read(s->pairs, s->config.spill, number, lay_page, s, diag);
    if (err != OK)
        return err;
    CHECK2(s->sift.count == s->trail[number].count, s->sift.count, s->trail[number].count);
    int fits = pair_sift_begin(&s->sift);
    for (uint32_t i = s->waiting_start[number]; fits && i < s->waiting_start[number + 1]; i++)
        fits = pair_sift_ask(&s->sift, entry_at(s, s->waiting[i].head)->hash_lo);
    for (uint32_t i = s->packed_start[number]; fits && i < s->packed_start[number + 1]; i++)
        fits = pair_sift_ask(&s->sift, (uint32_t)packed_hash(packed_at(&s->packed, s->packed_waiting[i])->key,
                                                             s->packed.seed));
    return fits && pair_sift_end(&s->sift, &s->flat, &s->flat_room, &s->flat_count)
               ? OK
               : mem_fail(diag, s->sift.count * sizeof *s->flat, "the pairs of one partition");
}

/* Lays a partition's pairs side by side in s->flat, `all` or those that something may come of, and makes room for the set of their
 * prints. */
static enum err flatten(struct index *s, uint32_t number, int all, size_t *count, size_t *mask,
                        struct diag *diag)
{
    enum err err = all || !s->pairs->ops->is_in_memory(s->pairs, number) ? flat_all(s, number, diag)
                                                                         : flat_some(s, number, diag);
    size_t slots = 64;
    while (slots < s->flat_count * 2)
        slots *= 2;
    if (err == OK && slots > s->seen_room) {
        mem_give(s->seen);
        s->seen = mem_take(slots * sizeof *s->seen);
        s->seen_room = s->seen ? slots : 0;
        if (!s->seen)
            return mem_fail(diag, slots * sizeof *s->seen, "the pairs of one partition");
    }
    if (err == OK)
        memset(s->seen, 0, slots * sizeof *s->seen);
    *mask = slots - 1;
    *count = s->flat_count;
    s->pairs->ops->drop(s->pairs, number);
    return err;
}

static enum err pair_list_put(struct pair_ref **pairs, uint32_t *count, uint32_t *room, struct pair_ref pair,
                              struct diag *diag)
{
    if (*count == *room) {
        uint32_t more = *room ? *room * 2 : 1024;
        struct pair_ref *grown = mem_grow(*pairs, (size_t)more * sizeof *grown);
        if (!grown)
            return mem_fail(diag, (size_t)more * sizeof *grown, "pairs");
        *pairs = grown;
        *room = more;
    }
    (*pairs)[(*count)++] = pair;
    return OK;
}

static enum err pairs_to_crowd(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct pair_walk walk;
    enum err err = OK;
    for (uint32_t left = pair_walk_begin(&walk, bytes, size); err == OK && left; left--) {
        struct left_pair pair;
        pair_next(&walk, &pair);
        err = give_back(&pair, NULL, context, diag);
    }
    return err;
}

/* More pairs than can be told apart, and no level is left that parts them: nearly all must be of one key. */
static enum err pairs_are_crowd(struct index *s, uint32_t number, struct refs *out, struct diag *diag)
{
    s->all_crowd = 1;
    enum err err = s->pairs->ops->read(s->pairs, s->config.spill, number, pairs_to_crowd, out, diag);
    s->pairs->ops->drop(s->pairs, number);
    return err;
}

/* ---- images that left ----
 *
 * An image that left may have been replaced since, by a record that waits, or by one that left as well. So where anything else has the print of
 * its pair, its record is made again and folded with what is there, as if it had waited. Mostly the row was told once more and nothing
 * changed that is compared: then it is a pair as before, and nobody need look at the other side's row.
 */

/* What is in a chain besides an image that came back is nothing, but perhaps the later image that took its place, exactly alike: that one,
 * else NULL. */
static struct record *left_again(const struct index *s, uint32_t head, const struct record *image)
{
    struct record *alive = NULL;
    if (s->config.keep_pairs || s->config.gives_back || repeats_has_key(s->config.repeats, image->hash_lo))
        return NULL;
    for (uint32_t at = head; at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        struct record *e = entry_at(s, at);
        if (e->flags & (RECORD_DEAD | RECORD_REJECT) ||
            (e->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE || is_apart(s, e))
            continue;
        if (alive || e->flags & s->stays)
            return NULL;
        alive = e;
    }
    return alive && alive->flags & RECORD_IMAGE && side_of(alive) == side_of(image) &&
                   alive->day == image->day && sigma_equal(s, alive, image, (struct road){0})
               ? alive
               : NULL;
}

/* Puts a record that came back under its key; the key's chain. */
static enum err put_back(struct index *s, const struct record *r, uint32_t *head, struct diag *diag)
{
    const struct road road = {.sub = s->level > 0};
    const uint32_t units = record_units(record_var_size(r, layout_of(s, r))), tag = tag_of(r, road);
    struct found found = {0};
    int grown = 1;
    const int is_there = find_key(s, r, tag, road, &found);
    if (is_there) {
        *head = found.head;
        const int folded = fold(s, found.head, r, diag);
        if (folded)
            return folded > 0 ? OK : ERR_MACHINE;
    } else if (s->table.keys >= s->table.keys_max) {
        enum err err = table_grow(s, &grown, diag);
        if (err != OK)
            return err;
    }
    const uint32_t number = entry_take(s, units, diag);
    if (number == NO_ENTRY)
        return diag->err;
    struct record *fresh = entry_at(s, number);
    record_copy(fresh, r, units);
    s->counts.waiting++;
    if (is_there) {
        struct record *e = entry_at(s, found.head);
        fresh->hash_hi = e->hash_hi;
        e->hash_hi = number;
        if (s->image_ids.slots && image_ids_has(&s->image_ids, found.head))
            note_image(s, image_tag(s, found.head, fresh), number);
        return OK;
    }
    fresh->hash_hi = NO_ENTRY;
    table_put(&s->table, tag, tag, number);
    *head = number;
    if (s->back_count == s->back_room) {
        const uint32_t room = s->back_room ? s->back_room * 2 : 64;
        struct waiting *more = mem_grow(s->back, room * sizeof *more);
        if (!more)
            return mem_fail(diag, room * sizeof *more, "images that are judged again");
        s->back = more;
        s->back_room = room;
    }
    s->back[s->back_count++] = (struct waiting){number, tag};
    return OK;
}

struct recalling {
    struct index *index;
    const struct row_ref *refs; /* key_hash: the number of its pair, while they are on their way */
};

static enum err take_recalled(void *taker, uint32_t number, const struct record *r, struct diag *diag)
{
    const struct recalling *const recalling = taker;
    struct index *const s = recalling->index;
    const uint32_t pair = recalling->refs[number].key_hash;
    struct left_image *const image = &s->left_images[pair];
    const enum side side = side_of(r);
    if (r->hash_lo != s->flat[pair].print || r->flags & s->stays || side != recalling->refs[number].side)
        return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                        "the %s side: the row at byte %llu is not what it was when it was read first",
                        side_name(side), (unsigned long long)r->place);
    s->counts.recalled++;
    s->totals.back_count[side][r->currency]++;
    s->totals.back_sum[side][r->currency] += r->amount_micro;
    if (s->config.words)
        tell_left(s, r, -1);
    uint32_t head = NO_ENTRY;
    enum err err = put_back(s, r, &head, diag);
    if (err != OK || image->many || s->config.layout[!side].has_fold)
        return err;
    /* All of its key that has waited is in the chain, and no other pair of its key left. */
    struct record *const again = left_again(s, head, r);
    if (!again)
        return OK;
    s->totals.back_count[side][r->currency]--;
    s->totals.back_sum[side][r->currency] -= r->amount_micro;
    if (s->config.words)
        tell_left(s, again, 1);
    again->flags |= RECORD_DEAD; /* it is counted */
    *(side == LOCAL ? &s->flat[pair].local : &s->flat[pair].channel) = again->place;
    image->state = LEFT_AGAIN;
    return OK;
}

static int by_ref_place(const void *a, const void *b)
{
    const uint64_t x = ((const struct row_ref *)a)->place, y = ((const struct row_ref *)b)->place;
    return (x > y) - (x < y);
}

static void call_pair(struct index *s, size_t pair, uint32_t *called)
{
    if (s->left_images[pair].state == LEFT) {
        s->left_images[pair].state = LEFT_CALLED;
        ++*called;
    }
}

/* Images of pairs whose print something else has come back; what is no pair any more goes out with its key. */
static enum err recall_images(struct index *s, uint32_t number, size_t n, size_t mask, struct refs *out,
                              uint32_t *called, struct diag *diag)
{
    *called = 0;
    s->back_count = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t first = s->seen[seen_slot(s, mask, s->flat[i].print)] - 1;
        if (first == i)
            continue;
        s->left_images[first].many = s->left_images[i].many = 1;
        call_pair(s, first, called);
        call_pair(s, i, called);
    }
    for (uint32_t i = s->waiting_start[number]; n && i < s->waiting_start[number + 1]; i++) {
        const uint32_t left = s->seen[seen_slot(s, mask, entry_at(s, s->waiting[i].head)->hash_lo)];
        if (left)
            call_pair(s, left - 1, called);
    }
    for (size_t i = 0; s->config.repeats && s->config.repeats->count && i < n; i++)
        if (repeats_has_key(s->config.repeats, s->flat[i].print))
            call_pair(s, i, called);
    if (*called == 0)
        return OK;
    struct row_ref *refs = mem_take((size_t)*called * sizeof *refs);
    enum err err = refs ? OK : mem_fail(diag, (size_t)*called * sizeof *refs, "images that are judged again");
    s->is_judging = 1;
    for (int side = 0; err == OK && side < SIDES; side++) {
        struct recalling recalling = {s, refs};
        uint32_t count = 0;
        if (!s->config.layout[side].has_fold)
            continue;
        for (size_t i = 0; i < n; i++)
            if (s->left_images[i].state != LEFT) {
                refs[count] = ref_of_left(&s->flat[i], &s->left_images[i], (enum side)side);
                refs[count++].key_hash = (uint32_t)i;
            }
        qsort(refs, count, sizeof *refs, by_ref_place);
        err = s->config.recall.images(s->config.recall.context, refs, count, take_recalled, &recalling, diag);
    }
    s->is_judging = 0;
    mem_give(refs);
    for (size_t i = 0; err == OK && i < n; i++)
        if (s->left_images[i].state == LEFT_CALLED) {
            s->left_images[i].state = LEFT_BACK;
            err = give_back(&s->flat[i], &s->left_images[i], out, diag);
        }
    return err;
}

/* What came back for a partition has been judged: its memory is for the next one's. */
static void forget_recalled(struct index *s, uint32_t number)
{
    const struct road road = {.sub = s->level > 0};
    image_ids_fini(&s->image_ids);
    for (uint32_t i = s->waiting_start[number]; i < s->waiting_start[number + 1]; i++)
        chain_give(s, s->waiting[i].head);
    for (uint32_t i = 0; i < s->back_count; i++) {
        struct found found;
        if (!find_key(s, entry_at(s, s->back[i].head), s->back[i].hash_hi, road, &found))
            CHECK(!"a key that was put is there");
        table_remove(&s->table, s->back[i].hash_hi, found.bucket, found.slot);
        chain_give(s, s->back[i].head);
    }
    s->back_count = 0;
}

/* Records of a key that wait, or are back. `left`: a pair with its print that goes the long way, too; NULL: none. */
static enum err judge_chain(struct index *s, uint32_t head, size_t left, struct refs *out, struct diag *diag)
{
    const struct record *local, *channel;
    enum err err = OK;
    if (s->config.renamed)
        take_renamed(s, head);
    int settled = !left && !repeats_has_key(s->config.repeats, entry_at(s, head)->hash_lo) &&
                  settles_now(s, head, &local, &channel);
    const int carried = s->config.other_days_apart && settle_carried(s, head);
    if (s->config.words)
        tell_days(s, head, carried);
    if (entry_at(s, head)->flags & RECORD_CROWDED)
        err = call_crowd(s, out, entry_at(s, head)->hash_lo, diag);
    if (err == OK && left)
        err = give_back(&s->flat[left - 1], image_of(s, left - 1), out, diag);
    uint32_t members = 0;
    /* For match.csv a pair goes the long way, marked as counted: the row of an image is found by more
     * than its place. */
    int counted_already = settled && s->config.keep_pairs;
    if (settled)
        count_pair(s, local, channel, (struct road){0});
    if (counted_already)
        settled = 0;
    for (uint32_t at = head; err == OK && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if (e->flags & (RECORD_DEAD | RECORD_CROWDED))
            continue;
        int unreadable = e->flags & RECORD_REJECT;
        if (unreadable || (e->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE) {
            s->counts.moved[side_of(e)]++;
            if (!tally_add(&s->superseded, e))
                err = mem_fail(diag, 0, "a tally");
            if (!unreadable)
                continue;
        }
        if (is_apart(s, e) && !unreadable && (!carried || (e->flags & RECORD_VOIDED))) {
            s->counts.other_days[side_of(e)]++;
            if (!tally_add(&s->others, e))
                err = mem_fail(diag, 0, "a tally");
            continue;
        }
        if (settled && !unreadable)
            continue;
        struct row_ref ref = ref_of(s, e);
        ref.revisited = (uint8_t)counted_already;
        if (s->config.crowd && ++members > s->config.crowd_rows)
            err = call_crowd(s, out, ref.key_hash, diag);
        if (err == OK)
            err = out_put(out, ref, diag);
    }
    return err;
}

/* The pair with the print of a chain that goes the long way with it: its number from 1 on; 0: none. */
static size_t left_with(const struct index *s, size_t n, size_t mask, uint32_t head)
{
    const size_t left = n ? s->seen[seen_slot(s, mask, entry_at(s, head)->hash_lo)] : 0;
    /* Where both sides are logs all that left is in chains again. */
    return left && s->has_images &&
                   (s->left_images[left - 1].state == LEFT_AGAIN ||
                    (s->config.layout[LOCAL].has_fold && s->config.layout[CHANNEL].has_fold))
               ? 0
               : left;
}

/* A partition that stayed. */
static enum err judge_partition(struct index *s, uint32_t number, struct row_ref **refs, uint32_t *ref_count,
                                uint32_t *ref_room, struct pair_ref **pairs, uint32_t *pair_count,
                                uint32_t *pair_room, struct diag *diag)
{
    struct refs out = {s, refs, ref_count, ref_room, *ref_count};
    size_t n = 0, mask = 0;
    const int all =
        pairs || s->has_images || s->config.gives_back || (s->config.repeats && s->config.repeats->count);
    s->crowd_count = 0;
    s->all_crowd = 0;
    enum err err = s->level < LEVEL_LAST || !pairs_exceed(s, number) || !(s->config.crowd || s->has_images)
                       ? flatten(s, number, all, &n, &mask, diag)
                   : s->has_images ? too_many_alike(s, s->trail[number].count, diag)
                                   : pairs_are_crowd(s, number, &out, diag);
    /* A hash that left twice: both pairs come back, since their key has more records than a pair. */
    for (size_t i = 0; err == OK && i < n; i++) {
        size_t at = seen_slot(s, mask, s->flat[i].print);
        if (!s->seen[at]) {
            s->seen[at] = (uint32_t)i + 1;
            continue;
        }
        struct left_pair *first = &s->flat[s->seen[at] - 1];
        const struct left_image *image = image_of(s, s->seen[at] - 1u);
        if (s->config.crowd && ++first->repeats == s->config.crowd_rows / 2)
            err = call_crowd(s, &out, first->print, diag);
        if (err == OK && !image)
            err = give_back(first, NULL, &out, diag);
        if (err == OK && !image)
            err = give_back(&s->flat[i], NULL, &out, diag);
    }
    uint32_t called = 0;
    if (err == OK && s->has_images && n)
        err = recall_images(s, number, n, mask, &out, &called, diag);
    /* What an earlier day took in may not pair again without being looked at. */
    for (size_t i = 0; err == OK && s->config.repeats && s->config.repeats->count && i < n; i++)
        if (repeats_has_key(s->config.repeats, s->flat[i].print))
            err = give_back(&s->flat[i], image_of(s, i), &out, diag);
    for (uint32_t i = s->waiting_start[number]; err == OK && i < s->waiting_start[number + 1]; i++)
        err = judge_chain(s, s->waiting[i].head, left_with(s, n, mask, s->waiting[i].head), &out, diag);
    for (uint32_t i = 0; err == OK && called && i < s->back_count; i++)
        err = judge_chain(s, s->back[i].head, left_with(s, n, mask, s->back[i].head), &out, diag);
    for (uint32_t i = s->packed_start[number]; err == OK && i < s->packed_start[number + 1]; i++) {
        const struct packed *p = packed_at(&s->packed, s->packed_waiting[i]);
        const struct row_ref ref = {.place = packed_place(p),
                                    .key_hash = (uint32_t)packed_hash(p->key, s->packed.seed),
                                    .side = packed_is_channel(p) ? CHANNEL : LOCAL,
                                    .record_flags = packed_flags(p)};
        const uint32_t left = n ? s->seen[seen_slot(s, mask, ref.key_hash)] : 0;
        if (left)
            err = give_back(&s->flat[left - 1], NULL, &out, diag);
        if (err == OK)
            err = out_put(&out, ref, diag);
    }
    /* Images too, where match.csv is wanted: a row of theirs is found by more than its place. */
    const int all_back = s->config.gives_back || (s->config.keep_pairs && s->has_images);
    for (size_t i = 0; all_back && err == OK && i < n; i++)
        err = give_back(&s->flat[i], image_of(s, i), &out, diag);
    for (size_t i = 0; pairs && err == OK && i < n; i++)
        if (s->flat[i].local != GIVEN_BACK)
            err = pair_list_put(pairs, pair_count, pair_room,
                                (struct pair_ref){s->flat[i].local, s->flat[i].channel}, diag);
    if (called)
        forget_recalled(s, number);
    return err;
}

/* ---- partitions that left come back ---- */

static enum err shard_open_level(struct index **out, const struct index_config *config, unsigned level,
                                 struct diag *diag);
static void shard_close(struct index *s);

static enum err pairs_back(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct index *sub = context;
    struct pair_walk walk;
    enum err err = OK;
    for (uint32_t left = pair_walk_begin(&walk, bytes, size); err == OK && left; left--) {
        struct left_pair pair;
        struct image_at images[SIDES];
        next_left(sub, &walk, &pair, images);
        const uint32_t partition = partition_of_tag(sub, pair.print);
        err = sub->has_images ? remember_images(sub, pair.print, partition, &pair, images, diag)
                              : remember_pair(sub, pair.print, partition, pair.local, pair.channel, diag);
    }
    return err;
}

static enum err records_back(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct index *s = context;
    return s->plain ? apply_units(s, bytes, size / RECORD_UNIT, (struct road){.sub = 1, .plain = 1}, diag)
                    : apply_units(s, bytes, size / RECORD_UNIT, (struct road){.sub = 1}, diag);
}

static enum err packed_back(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    return apply_back(context, bytes, size / (uint32_t)sizeof(struct packed), diag);
}

/* Many a small part of a part is judged by one table; one whose keys have all gone is as new. */
static void table_reset(struct table *table)
{
    for (uint64_t i = 0; table->keys && i <= table->mask; i++) {
        memset(table->buckets[i].head, 0xFF, sizeof table->buckets[i].head);
        memset(table->buckets[i].passed, 0, sizeof table->buckets[i].passed);
    }
    table->keys = 0;
}

/* As new, with the memory that it has. */
static enum err shard_reset(struct index *s, struct diag *diag)
{
    enum err err = OK;
    table_reset(&s->table);
    if (s->config.packs && !s->packed.table.buckets) /* it was given back */
        err = packed_table_open(&s->packed, s->config.seed, s->huge, BUCKETS_OF_SUB, diag);
    else if (s->config.packs) {
        table_reset(&s->packed.table);
        packed_table_reset(&s->packed);
    }
    entries_reset(s);
    for (uint32_t p = 0; p <= s->partition_count; p++)
        s->pairs->ops->drop(s->pairs, p);
    if (s->kept) /* its frames are worth more to others */
        s->kept->ops->close(s->kept);
    s->kept = NULL;
    s->left_count = 0;
    memset(s->left, 0, sizeof s->left);
    memset(s->trail, 0, sizeof s->trail);
    const uint64_t entry_bytes = s->counts.entry_bytes;
    s->counts = (struct index_counts){.entry_bytes = entry_bytes};
    s->totals = (struct pair_totals){0};
    s->cursor = 0;
    s->turn = 0;
    return err;
}

/* Table and entries are not needed any more: all that stayed is judged. */
static void release_live(struct index *s)
{
    image_ids_fini(&s->image_ids);
    if (s->entry_bytes_top == 0 || s->segment_count)
        s->entry_bytes_top = s->counts.entry_bytes;
    for (uint32_t i = 0; i < s->segment_count; i++)
        mem_unmap(s->segments[i], (size_t)SEGMENT_UNITS * RECORD_UNIT);
    s->segment_count = 0;
    s->counts.entry_bytes = 0;
    if (s->level == 0 && s->table.buckets) {
        s->table_bytes_top =
            ((uint64_t)s->table.mask + 1) * sizeof(struct bucket) + packed_table_bytes(&s->packed);
        table_fini(&s->table);
    }
    packed_table_fini(&s->packed);
    mem_give(s->packed_waiting);
    s->packed_waiting = NULL;
    mem_give(s->waiting);
    mem_give(s->flat);
    mem_give(s->left_images);
    mem_give(s->back);
    mem_give(s->seen);
    pair_sift_fini(&s->sift);
    s->waiting = s->back = NULL;
    s->flat = NULL;
    s->left_images = NULL;
    s->seen = NULL;
    s->flat_room = s->left_image_room = s->seen_room = s->back_room = 0;
    entries_reset(s);
}

/* Takes a partition that left into a shard of its own. */
static enum err bring_back(struct index *s, uint32_t number, struct diag *diag)
{
    struct index_config config = s->config;
    config.memory_max = shard_live_share(s->config.memory_max);
    if (config.memory_max < SUB_MEMORY_MIN)
        config.memory_max = SUB_MEMORY_MIN;
    enum err err = OK;
    if (s->sub)
        err = shard_reset(s->sub, diag);
    else
        err = shard_open_level(&s->sub, &config, s->level + 1, diag);
    if (err == OK)
        err = s->pairs->ops->read(s->pairs, s->config.spill, number, pairs_back, s->sub, diag);
    if (err == OK)
        err = s->kept->ops->read(s->kept, s->config.spill, number, records_back, s->sub, diag);
    s->pairs->ops->drop(s->pairs, number);
    s->kept->ops->drop(s->kept, number);
    if (err == OK)
        err = s->kept->ops->read(s->kept, s->config.spill, s->partition_count + number, packed_back, s->sub,
                                 diag);
    s->kept->ops->drop(s->kept, s->partition_count + number);
    if (err == OK)
        err = shard_settle(s->sub, diag);
    s->sub_open = 1;
    return err;
}

/* The sums of the partition at hand are its parent's. */
static enum err merge_sub(struct index *s, struct diag *diag)
{
    const struct index *sub = s->sub;
    for (int c = 0; c < CURRENCY_COUNT_MAX; c++) {
        s->totals.count[c] += sub->totals.count[c];
        s->totals.sum[c] += sub->totals.sum[c];
        s->totals.kept[c] += sub->totals.kept[c];
        for (int side = 0; side < SIDES; side++) {
            s->totals.back_count[side][c] += sub->totals.back_count[side][c];
            s->totals.back_sum[side][c] += sub->totals.back_sum[side][c];
        }
    }
    s->counts.pairs += sub->counts.pairs;
    s->counts.groups += sub->counts.groups;
    for (int side = 0; side < SIDES; side++) {
        s->counts.superseded[side] += sub->counts.superseded[side];
        s->counts.moved[side] += sub->counts.moved[side];
        s->counts.other_days[side] += sub->counts.other_days[side];
    }
    s->counts.spilled += sub->counts.spilled;
    s->counts.crowded += sub->counts.crowded;
    s->counts.recalled += sub->counts.recalled;
    enum err err = tally_merge(&s->superseded, &sub->superseded, 1, diag);
    if (err == OK)
        err = tally_merge(&s->others, &sub->others, 1, diag);
    tally_fini(&s->sub->superseded);
    tally_fini(&s->sub->others);
    if (s->config.words) {
        log_days_merge(&s->log_days, &sub->log_days);
        s->sub->log_days = (struct log_days){0};
    }
    s->sub_open = 0;
    if (err == OK)
        err = tally_init(&s->sub->superseded, diag);
    return err == OK ? tally_init(&s->sub->others, diag) : err;
}

static enum err loose_back(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct refs *out = context;
    const struct row_ref *refs = bytes;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < size / sizeof *refs; i++)
        err = ref_put(out->refs, out->count, out->room, refs[i], diag);
    return err;
}

static enum step failed(enum err err)
{
    return err == OK ? STEP_MORE : STEP_FAILED;
}

/* All is judged; only counts and sums stay. What is judged and written next needs the memory. */
static void release_all(struct index *s)
{
    release_live(s);
    shard_close(s->sub);
    s->sub = NULL;
    s->pair_bytes_top = s->pairs ? s->pairs->ops->held(s->pairs) : s->pair_bytes_top;
    if (s->pairs)
        s->pairs->ops->close(s->pairs);
    if (s->kept)
        s->kept->ops->close(s->kept);
    s->pairs = s->kept = NULL;
}

static enum step shard_next(struct index *s, struct row_ref **refs, uint32_t *ref_count, uint32_t *ref_room,
                            struct pair_ref **pairs, uint32_t *pair_count, uint32_t *pair_room,
                            struct diag *diag)
{
    for (;;) {
        if (s->sub_open) {
            enum step step =
                shard_next(s->sub, refs, ref_count, ref_room, pairs, pair_count, pair_room, diag);
            if (step != STEP_DONE)
                return step;
            if (merge_sub(s, diag) != OK)
                return STEP_FAILED;
        }
        if (s->cursor == s->partition_count) {
            s->cursor = 0;
            if (s->turn++ == 0) {
                if (s->left_count)
                    release_live(s);
                continue;
            }
            struct refs out = {s, refs, ref_count, ref_room, *ref_count};
            s->cursor = s->partition_count; /* stays done */
            if (s->turn > 2) {
                if (s->level == 0)
                    release_all(s);
                return STEP_DONE;
            }
            return failed(
                s->pairs->ops->read(s->pairs, s->config.spill, s->partition_count, loose_back, &out, diag));
        }
        const uint32_t number = s->cursor++;
        if (s->turn == 0 && !s->left[number])
            return failed(
                judge_partition(s, number, refs, ref_count, ref_room, pairs, pair_count, pair_room, diag));
        if (s->turn == 1 && s->left[number] && bring_back(s, number, diag) != OK)
            return STEP_FAILED;
    }
}

/* ---- opening and closing ---- */

static void shard_close(struct index *s)
{
    if (!s)
        return;
    shard_close(s->sub);
    if (s->pairs)
        s->pairs->ops->close(s->pairs);
    if (s->kept)
        s->kept->ops->close(s->kept);
    table_fini(&s->table);
    image_ids_fini(&s->image_ids);
    for (uint32_t i = 0; i < s->segment_count; i++)
        mem_unmap(s->segments[i], (size_t)SEGMENT_UNITS * RECORD_UNIT);
    tally_fini(&s->superseded);
    tally_fini(&s->others);
    packed_table_fini(&s->packed);
    mem_give(s->packed_waiting);
    mem_give(s->waiting);
    mem_give(s->flat);
    mem_give(s->left_images);
    mem_give(s->back);
    mem_give(s->seen);
    pair_sift_fini(&s->sift);
    mem_give(s->crowds);
    mem_unmap(s, sizeof *s);
}

static enum err shard_open_level(struct index **out, const struct index_config *config, unsigned level,
                                 struct diag *diag)
{
    *out = NULL;
    struct index *s = mem_map(sizeof *s, 0); /* mostly the segment list, which is touched as it grows */
    if (!s)
        return mem_fail(diag, sizeof *s, "a shard");
    s->config = *config;
    s->level = level;
    s->plain = 1;
    for (int side = 0; side < SIDES; side++)
        s->plain &= !config->layout[side].has_extras && !config->layout[side].has_fold && !config->holds_all;
    s->has_images = config->layout[LOCAL].has_fold || config->layout[CHANNEL].has_fold;
    /* What a record keeps besides its amount when it leaves (fees) is not undone where an image comes back. */
    s->stays = (uint16_t)(STAYS | (config->other_days_apart ? RECORD_OTHER_DAY : 0) |
                          (s->has_images && config->has_cost ? RECORD_IMAGE : 0));
    s->images_go = s->has_images && config->recall.images;
    s->partition_count = level == 0 ? HASH_PARTITIONS : SUB_PARTITIONS;
    s->live_max =
        config->packs ? shard_packs_live(config->memory_max, level) : shard_live_share(config->memory_max);
    if (s->has_images && level == 0) /* a log's own buffers and what comes back need room, too */
        s->live_max -= s->live_max / 4;
    s->huge = config->memory_max == 0 || s->live_max >= HUGE_FROM;
    CHECK2(s->plain || !s->config.packs, s->plain, level);
    entries_reset(s);
    enum err err = config->spill->ops->open(&s->pairs, config->spill, s->partition_count + 1,
                                            config->memory_max == 0 ? UINT64_MAX / 2
                                            : config->packs         ? s->live_max
                                                                    : shard_pair_share(config->memory_max),
                                            diag);
    if (err == OK) {
        s->pairs->closing = pair_frame_closes;
        s->pairs->owner = s;
        err = table_init(&s->table, level || s->config.packs ? BUCKETS_OF_SUB : BUCKETS_AT_FIRST, diag);
    }
    if (err == OK && s->config.packs)
        err = packed_table_open(&s->packed, config->seed, s->huge, level ? BUCKETS_OF_SUB : BUCKETS_AT_FIRST,
                                diag);
    if (err == OK)
        err = tally_init(&s->superseded, diag);
    if (err == OK)
        err = tally_init(&s->others, diag);
    if (err != OK) {
        shard_close(s);
        return err;
    }
    *out = s;
    return OK;
}

static enum err shard_open(struct index **out, const struct index_config *config, struct diag *diag)
{
    return shard_open_level(out, config, 0, diag);
}

static const struct pair_totals *shard_totals(const struct index *s)
{
    return &s->totals;
}

static const struct tally *shard_others(const struct index *s)
{
    return &s->others;
}

static const struct log_days *shard_log_days(const struct index *s)
{
    return &s->log_days;
}

static const struct tally *shard_superseded(const struct index *s)
{
    return &s->superseded;
}

static void shard_counts(const struct index *s, struct index_counts *counts)
{
    *counts = s->counts;
    counts->pair_bytes = s->pairs ? s->pairs->ops->held(s->pairs) : s->pair_bytes_top;
    counts->entry_bytes =
        s->counts.entry_bytes > s->entry_bytes_top ? s->counts.entry_bytes : s->entry_bytes_top;
    counts->table_bytes = s->table.buckets ? ((uint64_t)s->table.mask + 1) * sizeof(struct bucket) +
                                                 packed_table_bytes(&s->packed)
                                           : s->table_bytes_top;
}

const struct index_ops shard_ops = {
    .open = shard_open,
    .apply = shard_apply,
    .settle = shard_settle,
    .next = shard_next,
    .totals = shard_totals,
    .superseded = shard_superseded,
    .others = shard_others,
    .log_days = shard_log_days,
    .counts = shard_counts,
    .close = shard_close,
};
