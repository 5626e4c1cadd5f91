/* index/shard.c: see shard.h; the hot loop is shard_apply.
 *
 * Lines touched per record: the batch's own (coming in), one bucket, and, on a hit, the entry. Buckets are
 * asked for PREFETCH records ahead, candidates' entries half as far.
 */
#include "index/shard.h"
#include "core/base/mem.h"
#include "core/base/short.h"
#include "core/rules/verdict.h"
#include "index/table.h"

enum {
    SEGMENT_UNITS = 32768, /* 2 MiB */
    SEGMENT_SHIFT = 15,
    SEGMENTS_MAX = 1 << 17, /* 256 GiB a shard */
    SIZE_CLASSES = 8, /* free lists for entries of 1..8 units; longer ones are rare and are not used again */
    BUCKETS_AT_FIRST = 2048,
    PREFETCH = 16,
    PAIR_CHUNK = 255 /* with the link: 4 KiB */
};

/* A pair that left: 48 bits of its hash, and both places of 40 bits. */
struct left_pair {
    uint64_t a; /* hash 47..24, local place */
    uint64_t b; /* hash 23..0, channel place */
};

struct pair_chunk {
    struct pair_chunk *next; /* full ones */
    uint64_t unused;
    struct left_pair pairs[PAIR_CHUNK];
};
_Static_assert(sizeof(struct pair_chunk) == 4096, "pairs are kept by the page");

/* A key with open records. */
struct waiting {
    uint32_t head, hash_hi;
};

struct pair_block { /* first page of a block of pages */
    struct pair_block *older;
    size_t size;
};

struct index {
    struct index_config config;
    struct table table;
    struct record *segments[SEGMENTS_MAX];
    uint32_t segment_count;
    uint32_t next_unit; /* in the last segment */
    uint32_t free_list[SIZE_CLASSES + 1];
    struct pair_chunk *pairs[HASH_PARTITIONS];
    uint16_t pair_fill
        [HASH_PARTITIONS]; /* pairs in the newest chunk: here, so that an append touches one line of the chunk */
    char *pair_pages;      /* pages not given out yet */
    size_t pair_pages_left;
    struct pair_block *pair_blocks;
    struct pair_totals totals;
    struct tally superseded; /* images that are no records: replaced, or moved to another key */
    struct row_ref *loose;   /* records without a first key */
    uint32_t loose_count, loose_room;
    struct index_counts counts;
    /* after settle */
    struct waiting *waiting; /* by partition */
    uint32_t waiting_start[HASH_PARTITIONS + 1];
    /* partition's scratch */
    uint32_t *seen;
    size_t seen_room;
    struct left_pair *flat;
    size_t flat_room;
};

static inline struct record *entry_at(const struct index *s, uint32_t number)
{
    return s->segments[number >> SEGMENT_SHIFT] + (number & (SEGMENT_UNITS - 1));
}

/* 1 when the shard may hold so many bytes more. */
static int may_grow(const struct index *s, uint64_t more, struct diag *diag)
{
    uint64_t held =
        s->counts.entry_bytes + s->counts.pair_bytes + ((uint64_t)s->table.mask + 1) * sizeof(struct bucket);
    if (s->config.memory_max == 0 || held + more <= s->config.memory_max)
        return 1;
    diag_set(diag, ERR_MACHINE, "memory.index",
             "give --memory=SIZE more; this version does not spill to disk",
             "the index needs more than its memory: a shard holds %llu bytes and may hold %llu, with %llu "
             "records waiting",
             (unsigned long long)held, (unsigned long long)s->config.memory_max,
             (unsigned long long)s->counts.waiting);
    return 0;
}

static uint32_t entry_take(struct index *s, uint32_t units, struct diag *diag)
{
    if (units <= SIZE_CLASSES && s->free_list[units] != NO_ENTRY) {
        uint32_t number = s->free_list[units];
        s->free_list[units] = entry_at(s, number)->hash_hi;
        return number;
    }
    if (s->segment_count == 0 || s->next_unit + units > SEGMENT_UNITS) {
        if (s->segment_count == SEGMENTS_MAX) {
            diag_set(diag, ERR_MACHINE, "memory", "use more threads: each has an index of its own",
                     "a shard's index is full");
            return NO_ENTRY;
        }
        /* What is left of a segment goes to the free lists, so that one long entry does not waste it. */
        while (s->segment_count && s->next_unit < SEGMENT_UNITS) {
            uint32_t number = (s->segment_count - 1) << SEGMENT_SHIFT | s->next_unit++;
            entry_at(s, number)->hash_hi = s->free_list[1];
            s->free_list[1] = number;
        }
        if (!may_grow(s, (uint64_t)SEGMENT_UNITS * RECORD_UNIT, diag))
            return NO_ENTRY;
        struct record *segment = mem_map((size_t)SEGMENT_UNITS * RECORD_UNIT, 1);
        if (!segment) {
            mem_fail(diag, (size_t)SEGMENT_UNITS * RECORD_UNIT, "the index's entries");
            return NO_ENTRY;
        }
        s->segments[s->segment_count++] = segment;
        s->next_unit = 0;
        s->counts.entry_bytes += (size_t)SEGMENT_UNITS * RECORD_UNIT;
    }
    uint32_t number = (s->segment_count - 1) << SEGMENT_SHIFT | s->next_unit;
    s->next_unit += units;
    return number;
}

static inline void entry_give(struct index *s, uint32_t number, uint32_t units)
{
    if (units > SIZE_CLASSES)
        return;
    entry_at(s, number)->hash_hi = s->free_list[units];
    s->free_list[units] = number;
}

static inline struct record_layout layout_of(const struct index *s, const struct record *r)
{
    return s->config.layout[r->flags & RECORD_CHANNEL];
}

static enum err table_grow(struct index *s, struct diag *diag)
{
    struct table bigger;
    if (!may_grow(s, ((uint64_t)s->table.mask + 1) * 2 * sizeof(struct bucket), diag))
        return ERR_MACHINE;
    enum err err = table_init(&bigger, (s->table.mask + 1) * 2, diag);
    if (err != OK)
        return err;
    for (uint64_t i = 0; i <= s->table.mask; i++)
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            uint32_t head = s->table.buckets[i].head[slot];
            if (head != NO_ENTRY)
                table_put(&bigger, s->table.buckets[i].tag[slot], s->table.buckets[i].tag[slot], head);
        }
    table_fini(&s->table);
    s->table = bigger;
    return OK;
}

static inline int key_equal(const struct index *s, const struct record *a, const struct record *b)
{
    return a->hash_lo == b->hash_lo && a->key_size == b->key_size && a->channel == b->channel &&
           !((a->flags ^ b->flags) & RECORD_NO_KEY) &&
           short_equal(record_key(a, layout_of(s, a).has_fold), record_key(b, layout_of(s, b).has_fold),
                       a->key_size);
}

static inline int sigma_equal(const struct index *s, const struct record *a, const struct record *b)
{
    if (a->amount_micro != b->amount_micro || a->currency != b->currency || a->status != b->status ||
        ((a->flags ^ b->flags) & RECORD_OUT))
        return 0;
    if (!layout_of(s, a).has_extras)
        return 1;
    const uint8_t *x = record_extras(a, layout_of(s, a).has_fold),
                  *y = record_extras(b, layout_of(s, b).has_fold);
    return record_u16(x) == record_u16(y) && memcmp(x + 2, y + 2, record_u16(x)) == 0;
}

static inline int window_fits(const struct index *s, const struct record *local, const struct record *channel)
{
    return window_holds_days(s->config.window_before, s->config.window_after, local->day, channel->day);
}

/* ---- pairs that left ---- */

static struct pair_chunk *pair_page(struct index *s, struct diag *diag)
{
    if (s->pair_pages_left == 0) {
        size_t size = (size_t)2 << 20;
        if (!may_grow(s, size, diag))
            return NULL;
        char *block = mem_map(size, 0);
        if (!block) {
            mem_fail(diag, size, "the list of pairs");
            return NULL;
        }
        struct pair_block *head = (struct pair_block *)block; /* the first page keeps the list of blocks */
        head->older = s->pair_blocks;
        head->size = size;
        s->pair_blocks = head;
        s->pair_pages = block + sizeof(struct pair_chunk);
        s->pair_pages_left = size / sizeof(struct pair_chunk) - 1;
        s->counts.pair_bytes += size;
    }
    struct pair_chunk *page = (struct pair_chunk *)s->pair_pages;
    s->pair_pages += sizeof *page;
    s->pair_pages_left--;
    return page;
}

static inline enum err remember_pair(struct index *s, uint64_t hash, uint64_t local_place,
                                     uint64_t channel_place, struct diag *diag)
{
    const uint32_t partition = hash_partition(hash);
    struct pair_chunk *chunk = s->pairs[partition];
    if (UNLIKELY(!chunk || s->pair_fill[partition] == PAIR_CHUNK)) {
        struct pair_chunk *fresh = pair_page(s, diag);
        if (!fresh)
            return ERR_MACHINE;
        fresh->next = chunk;
        s->pair_fill[partition] = 0;
        s->pairs[partition] = chunk = fresh;
    }
    const uint64_t place_mask = ((uint64_t)1 << 40) - 1;
    chunk->pairs[s->pair_fill[partition]++] =
        (struct left_pair){(hash >> 24 & 0xFFFFFF) << 40 | (local_place & place_mask),
                           (hash & 0xFFFFFF) << 40 | (channel_place & place_mask)};
    return OK;
}

static inline void count_pair(struct index *s, const struct record *local)
{
    s->totals.count[local->currency]++;
    s->totals.sum[local->currency] += local->amount_micro;
    s->counts.pairs++;
}

/* ---- apply ---- */

struct found {
    uint32_t bucket;
    unsigned slot;
    uint32_t head;
};

static inline int find_key(const struct index *s, const struct record *r, uint32_t tag, struct found *found)
{
    for (uint32_t i = table_home(&s->table, r->hash_hi);; i = (i + 1) & s->table.mask) {
        const struct bucket *bucket = &s->table.buckets[i];
        for (unsigned bits = bucket_matches(bucket, tag); bits; bits &= bits - 1) {
            unsigned slot = (unsigned)__builtin_ctz(bits);
            if (bucket->head[slot] != NO_ENTRY && key_equal(s, entry_at(s, bucket->head[slot]), r)) {
                *found = (struct found){i, slot, bucket->head[slot]};
                return 1;
            }
        }
        if (!bucket->passed)
            return 0;
    }
}

static inline __attribute__((always_inline)) void prefetch_bucket(const struct index *s, const struct record *r)
{
    __builtin_prefetch(&s->table.buckets[table_home(&s->table, r->hash_hi)], 1);
}

static inline __attribute__((always_inline)) void prefetch_entry(const struct index *s, const struct record *r)
{
    const struct bucket *bucket = &s->table.buckets[table_home(&s->table, r->hash_hi)];
    for (unsigned bits = bucket_matches(bucket, r->hash_hi); bits; bits &= bits - 1) {
        unsigned slot = (unsigned)__builtin_ctz(bits);
        if (bucket->head[slot] != NO_ENTRY)
            __builtin_prefetch(entry_at(s, bucket->head[slot]), 1);
    }
}

/* The occurrence id's field: u16 size, bytes. */
static inline const uint8_t *occurrence_of(const struct index *s, const struct record *r)
{
    const uint8_t *at = record_extras(r, 1);
    return layout_of(s, r).has_extras ? at + 2 + record_u16(at) : at;
}

/* Folds an image into the chain of its key. 1: `r` was taken in or is older than what is here; 0: it must be
 * chained; -1: failed. */
static int fold(struct index *s, uint32_t head, const struct record *r, struct diag *diag)
{
    const uint8_t *id = occurrence_of(s, r);
    uint32_t next;
    for (uint32_t number = head; number != NO_ENTRY; number = next) {
        struct record *e = entry_at(s, number);
        next = e->hash_hi;
        if (!(e->flags & RECORD_IMAGE) || (e->flags & RECORD_DEAD))
            continue;
        const uint8_t *other = occurrence_of(s, e);
        if (record_u16(id) != record_u16(other) || memcmp(id + 2, other + 2, record_u16(id)) != 0)
            continue;
        const struct record *older = r->place > e->place ? e : r;
        s->counts.superseded++;
        if (!tally_add(&s->superseded, older)) {
            mem_fail(diag, 0, "a tally");
            return -1;
        }
        if (older == r)
            return 1;
        uint32_t units = record_units(record_var_size(r, layout_of(s, r)));
        if (units <= record_units(record_var_size(e, layout_of(s, e)))) {
            memcpy(e, r, (size_t)units * RECORD_UNIT);
            e->hash_hi = next;
            return 1;
        }
        e->flags |= RECORD_DEAD; /* the new image is longer and gets an entry of its own; the chain's key
                                    bytes stay */
        return 0;
    }
    return 0;
}

static enum err take_in(struct index *s, const struct record *r, uint32_t units, struct diag *diag)
{
    struct found found;
    uint32_t tag = r->hash_hi;
    if (find_key(s, r, tag, &found)) {
        struct record *e = entry_at(s, found.head);
        if (LIKELY(e->hash_hi == NO_ENTRY && ((e->flags ^ r->flags) & RECORD_CHANNEL) &&
                   !((e->flags | r->flags) & RECORD_IMAGE))) {
            const struct record *local = r->flags & RECORD_CHANNEL ? e : r,
                                *channel = r->flags & RECORD_CHANNEL ? r : e;
            if (LIKELY(sigma_equal(s, e, r) && window_fits(s, local, channel))) {
                count_pair(s, local);
                enum err err =
                    remember_pair(s, (uint64_t)tag << 32 | r->hash_lo, local->place, channel->place, diag);
                uint32_t e_units = record_units(record_var_size(e, layout_of(s, e)));
                table_remove(&s->table, tag, found.bucket, found.slot);
                entry_give(s, found.head, e_units);
                s->counts.waiting--;
                return err;
            }
        }
        if (r->flags & RECORD_IMAGE) {
            int folded = fold(s, found.head, r, diag);
            if (folded)
                return folded > 0 ? OK : ERR_MACHINE;
        }
        uint32_t number = entry_take(s, units, diag);
        if (number == NO_ENTRY)
            return ERR_MACHINE;
        struct record *fresh = entry_at(s, number);
        memcpy(fresh, r, (size_t)units * RECORD_UNIT);
        e = entry_at(s, found.head);
        fresh->hash_hi = e->hash_hi; /* behind the head, so that the slot stays as it is */
        e->hash_hi = number;
    } else {
        if (UNLIKELY(s->table.keys >= s->table.keys_max)) {
            enum err err = table_grow(s, diag);
            if (err != OK)
                return err;
        }
        uint32_t number = entry_take(s, units, diag);
        if (number == NO_ENTRY)
            return ERR_MACHINE;
        struct record *fresh = entry_at(s, number);
        memcpy(fresh, r, (size_t)units * RECORD_UNIT);
        fresh->hash_hi = NO_ENTRY;
        table_put(&s->table, tag, tag, number);
    }
    s->counts.waiting++;
    if (s->counts.waiting > s->counts.waiting_max)
        s->counts.waiting_max = s->counts.waiting;
    return OK;
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
    struct row_ref ref = {
        .place = e->place, .side = e->flags & RECORD_CHANNEL ? CHANNEL : LOCAL, .record_flags = e->flags};
    if (layout_of(s, e).has_fold) {
        memcpy(&ref.back_event, e->var, 4);
        memcpy(&ref.back_map, e->var + 4, 4);
        memcpy(&ref.row_index, e->var + 8, 4);
    }
    return ref;
}

/* A record without its first key meets nobody here. */
static enum err keep_loose(struct index *s, const struct record *r, struct diag *diag)
{
    return ref_put(&s->loose, &s->loose_count, &s->loose_room, ref_of(s, r), diag);
}

static enum err shard_apply(struct index *s, const struct batch *batch, struct diag *diag)
{
    const struct record *r = batch->units, *const end = batch->units + batch->used;
    const struct record *ahead = r, *half = r;
    for (unsigned i = 0; i < PREFETCH && ahead < end; i++) {
        prefetch_bucket(s, ahead);
        ahead += record_units(record_var_size(ahead, layout_of(s, ahead)));
    }
    for (unsigned i = 0; i < PREFETCH / 2 && half < ahead; i++) {
        prefetch_entry(s, half);
        half += record_units(record_var_size(half, layout_of(s, half)));
    }
    while (r < end) {
        uint32_t units = record_units(record_var_size(r, layout_of(s, r)));
        if (LIKELY(ahead < end)) {
            prefetch_bucket(s, ahead);
            ahead += record_units(record_var_size(ahead, layout_of(s, ahead)));
        }
        if (LIKELY(half < end)) {
            prefetch_entry(s, half);
            half += record_units(record_var_size(half, layout_of(s, half)));
        }
        enum err err = UNLIKELY((r->flags & (RECORD_NO_KEY | RECORD_IMAGE)) == RECORD_NO_KEY)
                           ? keep_loose(s, r, diag)
                           : take_in(s, r, units, diag);
        if (UNLIKELY(err != OK))
            return err;
        r += units;
    }
    s->counts.records += batch->count;
    return OK;
}

/* ---- settle ---- */

/* A key that one live image and one channel record share, exactly alike: what apply would have let go, had
 * the image been final. */
static int settles_now(const struct index *s, uint32_t head, const struct record **local,
                       const struct record **channel)
{
    *local = *channel = NULL;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi) {
        const struct record *e = entry_at(s, number);
        if (e->flags & (RECORD_DEAD | RECORD_REJECT) ||
            (e->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE)
            continue;
        if (e->flags & (RECORD_VOIDED | RECORD_NO_KEY))
            return 0;
        const struct record **at = e->flags & RECORD_CHANNEL ? channel : local;
        if (*at)
            return 0;
        *at = e;
    }
    return *local && *channel && ((*local)->flags & RECORD_IMAGE) && sigma_equal(s, *local, *channel) &&
           window_fits(s, *local, *channel);
}

static enum err shard_settle(struct index *s, struct diag *diag)
{
    uint64_t count = s->table.keys;
    s->waiting = mem_take((count + 1) * sizeof *s->waiting);
    if (!s->waiting)
        return mem_fail(diag, (count + 1) * sizeof *s->waiting, "the list of open records");
    /* Counting sort by partition, with the hash's high half, which the slot holds. */
    uint32_t size[HASH_PARTITIONS] = {0}, at[HASH_PARTITIONS], sum = 0;
    for (uint64_t i = 0; i <= s->table.mask; i++)
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
            if (s->table.buckets[i].head[slot] != NO_ENTRY)
                size[hash_partition((uint64_t)s->table.buckets[i].tag[slot] << 32)]++;
    for (unsigned p = 0; p < HASH_PARTITIONS; p++) {
        s->waiting_start[p] = at[p] = sum;
        sum += size[p];
    }
    s->waiting_start[HASH_PARTITIONS] = sum;
    s->counts.groups = sum;
    for (uint64_t i = 0; i <= s->table.mask; i++)
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            uint32_t head = s->table.buckets[i].head[slot], tag = s->table.buckets[i].tag[slot];
            if (head != NO_ENTRY)
                s->waiting[at[hash_partition((uint64_t)tag << 32)]++] = (struct waiting){head, tag};
        }
    return OK;
}

/* ---- partition: what needs its rows again ---- */

#define PLACE_MASK (((uint64_t)1 << 40) - 1)
/* A pair that was given back; no place is that large (PLACE_BITS, io/source/file_set.h, less one row). */
#define GIVEN_BACK PLACE_MASK

static inline uint64_t pair_print(const struct left_pair *p)
{
    return p->a >> 40 << 24 | p->b >> 40;
}

struct refs {
    struct row_ref **refs;
    uint32_t *count, *room;
};

static enum err give_back(struct left_pair *p, struct refs *out, struct diag *diag)
{
    if ((p->a & PLACE_MASK) == GIVEN_BACK)
        return OK;
    struct row_ref ref = {.place = p->a & PLACE_MASK, .side = LOCAL, .revisited = 1};
    enum err err = ref_put(out->refs, out->count, out->room, ref, diag);
    ref = (struct row_ref){
        .place = p->b & PLACE_MASK, .side = CHANNEL, .record_flags = RECORD_CHANNEL, .revisited = 1};
    if (err == OK)
        err = ref_put(out->refs, out->count, out->room, ref, diag);
    p->a |= GIVEN_BACK;
    return err;
}

/* The slot of a hash in the set of pairs: empty, or 1 + the number of the first pair with it. */
static inline size_t seen_slot(const struct index *s, size_t mask, uint64_t print)
{
    size_t at = (print * 0x9E3779B97F4A7C15ull) >> 20 & mask;
    while (s->seen[at] && pair_print(&s->flat[s->seen[at] - 1]) != print)
        at = (at + 1) & mask;
    return at;
}

/* Lays a partition's pairs side by side in s->flat and makes the set of their hashes. */
static enum err flatten(struct index *s, uint32_t number, size_t *count, size_t *mask, struct diag *diag)
{
    size_t n = 0;
    for (const struct pair_chunk *c = s->pairs[number]; c; c = c->next)
        n += c == s->pairs[number] ? s->pair_fill[number] : (size_t)PAIR_CHUNK;
    size_t slots = 64;
    while (slots < n * 2)
        slots *= 2;
    if (n > s->flat_room || slots > s->seen_room) {
        mem_give(s->flat);
        mem_give(s->seen);
        s->flat_room = s->seen_room = 0;
        s->flat = mem_take((n + n / 4 + 1) * sizeof *s->flat);
        s->seen = mem_take(slots * sizeof *s->seen);
        if (!s->flat || !s->seen)
            return mem_fail(diag, n * sizeof *s->flat + slots * sizeof *s->seen,
                            "the pairs of one partition");
        s->flat_room = n + n / 4 + 1;
        s->seen_room = slots;
    }
    memset(s->seen, 0, slots * sizeof *s->seen);
    *count = 0;
    *mask = slots - 1;
    for (const struct pair_chunk *c = s->pairs[number]; c; c = c->next)
        for (uint32_t i = 0, end = c == s->pairs[number] ? s->pair_fill[number] : (uint32_t)PAIR_CHUNK;
             i < end; i++)
            s->flat[(*count)++] = c->pairs[i];
    return OK;
}

static enum err pair_put(struct pair_ref **pairs, uint32_t *count, uint32_t *room, struct pair_ref pair,
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

static enum err shard_partition(struct index *s, uint32_t number, struct row_ref **refs, uint32_t *ref_count,
                                uint32_t *ref_room, struct pair_ref **pairs, uint32_t *pair_count,
                                uint32_t *pair_room, struct diag *diag)
{
    struct refs out = {refs, ref_count, ref_room};
    size_t n = 0, mask = 0;
    enum err err = flatten(s, number, &n, &mask, diag);
    /* A hash that left twice: both pairs come back, since their key has more records than a pair. */
    for (size_t i = 0; err == OK && i < n; i++) {
        uint64_t print = pair_print(&s->flat[i]);
        size_t at = seen_slot(s, mask, print);
        if (!s->seen[at]) {
            s->seen[at] = (uint32_t)i + 1;
            continue;
        }
        err = give_back(&s->flat[s->seen[at] - 1], &out, diag);
        if (err == OK)
            err = give_back(&s->flat[i], &out, diag);
    }
    for (uint32_t i = s->waiting_start[number]; err == OK && i < s->waiting_start[number + 1]; i++) {
        uint32_t head = s->waiting[i].head;
        const struct record *local, *channel;
        uint64_t print =
            ((uint64_t)s->waiting[i].hash_hi << 32 | entry_at(s, head)->hash_lo) & (((uint64_t)1 << 48) - 1);
        uint32_t left = n ? s->seen[seen_slot(s, mask, print)] : 0;
        int settled = !left && settles_now(s, head, &local, &channel);
        if (left)
            err = give_back(&s->flat[left - 1], &out, diag);
        /* For match.csv a pair goes the long way, marked as counted: the row of an image is found by more
         * than its place. */
        int counted_already = settled && s->config.keep_pairs;
        if (settled)
            count_pair(s, local);
        if (counted_already)
            settled = 0;
        for (uint32_t at = head; err == OK && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
            const struct record *e = entry_at(s, at);
            if (e->flags & RECORD_DEAD)
                continue;
            int unreadable = e->flags & RECORD_REJECT;
            if (unreadable || (e->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE) {
                s->counts.moved++;
                if (!tally_add(&s->superseded, e))
                    err = mem_fail(diag, 0, "a tally");
                if (!unreadable)
                    continue;
            }
            if (settled && !unreadable)
                continue;
            struct row_ref ref = ref_of(s, e);
            ref.revisited = (uint8_t)counted_already;
            err = ref_put(refs, ref_count, ref_room, ref, diag);
        }
    }
    for (uint32_t i = 0; number == 0 && err == OK && i < s->loose_count; i++)
        err = ref_put(refs, ref_count, ref_room, s->loose[i], diag);
    for (size_t i = 0; pairs && err == OK && i < n; i++)
        if ((s->flat[i].a & PLACE_MASK) != GIVEN_BACK)
            err = pair_put(pairs, pair_count, pair_room,
                           (struct pair_ref){s->flat[i].a & PLACE_MASK, s->flat[i].b & PLACE_MASK}, diag);
    return err;
}

/* ---- opening and closing ---- */

static void shard_close(struct index *s)
{
    if (!s)
        return;
    table_fini(&s->table);
    for (uint32_t i = 0; i < s->segment_count; i++)
        mem_unmap(s->segments[i], (size_t)SEGMENT_UNITS * RECORD_UNIT);
    for (struct pair_block *b = s->pair_blocks, *older; b; b = older) {
        older = b->older;
        mem_unmap(b, b->size);
    }
    tally_fini(&s->superseded);
    mem_give(s->waiting);
    mem_give(s->loose);
    mem_give(s->flat);
    mem_give(s->seen);
    mem_unmap(s, sizeof *s);
}

static enum err shard_open(struct index **out, const struct index_config *config, struct diag *diag)
{
    *out = NULL;
    struct index *s = mem_map(sizeof *s, 0); /* mostly the segment list, which is touched as it grows */
    if (!s)
        return mem_fail(diag, sizeof *s, "a shard");
    s->config = *config;
    for (unsigned i = 0; i <= SIZE_CLASSES; i++)
        s->free_list[i] = NO_ENTRY;
    enum err err = table_init(&s->table, BUCKETS_AT_FIRST, diag);
    if (err == OK)
        err = tally_init(&s->superseded, diag);
    if (err != OK) {
        shard_close(s);
        return err;
    }
    *out = s;
    return OK;
}

static const struct pair_totals *shard_totals(const struct index *s)
{
    return &s->totals;
}

static const struct tally *shard_superseded(const struct index *s)
{
    return &s->superseded;
}

static void shard_counts(const struct index *s, struct index_counts *counts)
{
    *counts = s->counts;
    counts->table_bytes = ((uint64_t)s->table.mask + 1) * sizeof(struct bucket);
}

const struct index_ops shard_ops = {
    .open = shard_open,
    .apply = shard_apply,
    .settle = shard_settle,
    .partition = shard_partition,
    .totals = shard_totals,
    .superseded = shard_superseded,
    .counts = shard_counts,
    .close = shard_close,
};
