/* index/shard_in.h: what the files of a shard share; shard.h is for everybody else.
 *
 *     shard.c          opening and closing, memory, pairs that leave, and the hot loops: full records and packed ones
 *     shard_images.c   a log's images: folding, leaving with their partner, and coming back
 *     shard_leave.c    partitions and crowds that leave for the disk, and partitions that come back
 *     shard_judge.c    settle and next: what is left under a key, and pairs that are not alone with their print
 *
 * What the loops call for each record is in line here; the rest is called once in a while. Threads: a shard's owner calls everything.
 */
#ifndef TIEOUT_INDEX_SHARD_IN_H
#define TIEOUT_INDEX_SHARD_IN_H

#include "core/base/mem.h"
#include "core/base/short.h"
#include "core/model/log_told.h"
#include "core/rules/verdict.h"
#include "index/image_ids.h"
#include "index/packed_table.h"
#include "index/pairs.h"
#include "index/shard.h"
#include "index/table.h"

enum {
    SEGMENT_UNITS = 32768, /* 2 MiB */
    SEGMENT_SHIFT = 15,
    SEGMENTS_MAX = 1 << 17, /* 256 GiB a shard */
    SIZE_CLASSES = 8,       /* free lists for entries of 1..8 units; longer ones are freed in parts */
    BUCKETS_AT_FIRST = 2048,
    BUCKETS_OF_SUB = 256,
    /* A shard whose memory is full gives partitions away and takes them back one by one, each into a shard of
     * the next level, which divides by other bits of the hash: 256 ways, then 64 ways a level. */
    SUB_PARTITIONS = 64,
    SUB_BITS = 6,
    LEVEL_LAST = 4,
    /* One key of so many never lets its image go, so that it is seen how often a pair would have to come back: from one of
     * CALLED_BACK_SHARE on, and a few, images stay. */
    SAMPLED_KEYS = 256,
    CALLED_BACK_SHARE = 8,
    CALLED_BACK_FREE = 32
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
    uint32_t cursor; /* of next: a partition; those that stayed first */
    int turn;        /* of next: 0 those that stayed, 1 those that left, 2 records without a first key */
    struct spool_cursor loose; /* of next: how far it came in these */
    uint32_t loose_hash;       /* of the next one of these */
    struct index *sub;         /* of the partition at hand, or kept for the next one */
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

/* ---- memory (shard.c) ---- */

/* Bytes that wait, with their tables. */
uint64_t shard_live_held(const struct index *s);
/* 1 when the shard may hold so many bytes more. */
int shard_may_grow(const struct index *s, uint64_t more);
/* Pairs make way for so many bytes more that wait. */
enum err shard_pairs_yield(struct index *s, uint64_t more, struct diag *diag);
/* 0 when memory is full (diag is empty) or out. */
int shard_segment_more(struct index *s, uint32_t units, struct diag *diag);
/* All entries are free. */
void shard_entries_reset(struct index *s);
/* 0 in *grown when memory is full. */
enum err shard_table_grow(struct index *s, int *grown, struct diag *diag);

static inline struct record *entry_at(const struct index *s, uint32_t number)
{
    return s->segments[number >> SEGMENT_SHIFT] + (number & (SEGMENT_UNITS - 1));
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

/* NO_ENTRY when memory is full (diag is empty) or out. */
static inline uint32_t entry_take(struct index *s, uint32_t units, struct diag *diag)
{
    if (LIKELY(units <= SIZE_CLASSES && s->free_list[units] != NO_ENTRY)) {
        uint32_t number = s->free_list[units];
        s->free_list[units] = entry_at(s, number)->hash_hi;
        return number;
    }
    if (UNLIKELY(s->segment_count == 0 || s->next_unit + units > s->unit_limit) &&
        !shard_segment_more(s, units, diag))
        return NO_ENTRY;
    uint32_t number = s->segment_at << SEGMENT_SHIFT | s->next_unit;
    s->next_unit += units;
    return number;
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

/* ---- pairs that left (shard.c) ---- */

__attribute__((noinline)) enum err shard_next_pair_frame(struct index *s, uint32_t partition,
                                                         struct diag *diag);
__attribute__((noinline)) enum err shard_remember_images(struct index *s, uint32_t print, uint32_t partition,
                                                         const struct left_pair *pair,
                                                         const struct image_at at[SIDES], struct diag *diag);
/* All is put: frames that are open can be read. */
void shard_end_pairs(struct index *s);

static inline enum err remember_pair(struct index *s, uint32_t print, uint32_t partition,
                                     uint64_t local_place, uint64_t channel_place, struct diag *diag)
{
    struct pair_trail *const trail = &s->trail[partition];
    if (UNLIKELY(!pair_has_room(trail, PAIR_ROOM)) && shard_next_pair_frame(s, partition, diag) != OK)
        return diag->err;
    pair_put(trail, print, local_place, channel_place);
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

static inline __attribute__((always_inline)) void
count_pair(struct index *s, const struct record *local, const struct record *channel, const struct road road)
{
    s->totals.count[local->currency]++;
    s->totals.sum[local->currency] += local->amount_micro;
    if (!road.plain && s->config.has_cost)
        s->totals.kept[local->currency] += local->amount_micro - channel->amount_micro;
    s->counts.pairs++;
}

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

/* The occurrence id's field: u16 size, bytes. */
static inline const uint8_t *occurrence_of(const struct index *s, const struct record *r)
{
    const uint8_t *at = record_extras(r, 1);
    return layout_of(s, r).has_extras ? at + 2 + record_u16(at) : at;
}

/* A packed record leaves, or comes late. */
static inline enum err keep_packed(struct index *s, const struct packed *p, uint32_t partition,
                                   struct diag *diag)
{
    s->counts.spilled++;
    return spool_put(s->kept, s->partition_count + partition, p, sizeof *p, diag);
}

static inline int is_sampled(const struct record *r)
{
    return r->hash_lo % SAMPLED_KEYS == 0;
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

/* ---- images (shard_images.c) ---- */

/* Notes an entry of a long chain; 0: they are not noted any more. */
int shard_note_image(struct index *s, uint32_t tag, uint32_t number);
uint32_t shard_image_tag(const struct index *s, uint32_t head, const struct record *e);
/* The entry of a chain that stands for the row of an image; NO_ENTRY: it has none. */
uint32_t shard_image_entry(struct index *s, uint32_t head, const struct record *r);
/* 1: `r` was taken in or is older than what is here; 0: it must be chained; -1: failed. */
int shard_fold(struct index *s, uint32_t head, const struct record *r, struct diag *diag);
/* All entries of a chain are free. */
void shard_chain_give(struct index *s, uint32_t head);
__attribute__((noinline)) void shard_note_sampled(struct index *s, uint32_t head);
enum err shard_image_leaves(struct index *s, uint32_t partition, const struct record *local,
                            const struct record *channel, struct diag *diag);
/* A chain to which a record came leaves where it is a pair now. */
__attribute__((noinline)) enum err shard_chain_leaves(struct index *s, const struct found *found,
                                                      uint32_t tag, struct diag *diag);

/* The log tells a record, or tells it no more (shard_judge.c). */
void shard_tell_left(struct index *s, const struct record *r, int sign);

/* ---- what leaves and comes back (shard_leave.c) ---- */

enum err shard_need_kept(struct index *s, struct diag *diag);
/* A record of a partition that left follows it. */
enum err shard_keep(struct index *s, uint32_t partition, const struct record *r, uint32_t units,
                    struct diag *diag);
/* What waits in partitions marked in `left` leaves. */
enum err shard_move_left(struct index *s, struct diag *diag);
enum err shard_ref_put(struct row_ref **refs, uint32_t *count, uint32_t *room, struct row_ref ref,
                       struct diag *diag);
struct row_ref shard_ref_of(const struct index *s, const struct record *e);
enum err shard_crowd_put(struct index *s, const struct row_ref *ref, struct diag *diag);
enum err shard_crowd_record(struct index *s, const struct record *r, struct diag *diag);
int shard_is_crowd(const struct index *s, uint32_t print);
enum err shard_too_many_alike(const struct index *s, uint64_t records, struct diag *diag);
/* Memory is full: crowds leave, or the partitions that hold most. */
enum err shard_make_room(struct index *s, struct diag *diag);
/* All that stayed is judged: tables and entries go. */
void shard_release_live(struct index *s);
/* Takes a partition that left into a shard of its own; its sums are its parent's when it is judged. */
enum err shard_bring_back(struct index *s, uint32_t number, struct diag *diag);
enum err shard_merge_sub(struct index *s, struct diag *diag);
/* Takers of what was set aside (shard.c). */
enum err shard_records_back(void *context, const void *bytes, uint32_t size, struct diag *diag);
enum err shard_packed_back(void *context, const void *bytes, uint32_t size, struct diag *diag);

/* ---- what is judged (shard_judge.c) ---- */

/* The local place of a pair that was given back. */
#define GIVEN_BACK UINT64_MAX

struct refs {
    struct index *index;
    struct row_ref **refs;
    uint32_t *count, *room;
    uint32_t from; /* those before are another partition's */
};

static inline const struct left_image *image_of(const struct index *s, size_t pair)
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

struct row_ref shard_ref_of_left(const struct left_pair *p, const struct left_image *image, enum side side);
enum err shard_give_back(struct left_pair *p, const struct left_image *image, struct refs *out,
                         struct diag *diag);
enum err shard_recall_images(struct index *s, uint32_t number, size_t n, size_t mask, struct refs *out,
                             uint32_t *called, struct diag *diag);
void shard_forget_recalled(struct index *s, uint32_t number);
enum err shard_settle(struct index *s, struct diag *diag);
enum step shard_next(struct index *s, struct row_ref **refs, uint32_t *ref_count, uint32_t *ref_room,
                     struct pair_ref **pairs, uint32_t *pair_count, uint32_t *pair_room, struct diag *diag);

/* ---- opening and closing (shard.c) ---- */

void shard_close(struct index *s);
enum err shard_open_level(struct index **out, const struct index_config *config, unsigned level,
                          struct diag *diag);

#endif
