/* index/shard.c: see shard.h; the hot loops are apply_packed and apply_units.
 *
 * Lines touched per record: the batch's own (coming in), one bucket, and, on a hit, the entry. Buckets are
 * asked for PREFETCH records ahead, candidates' entries half as far.
 */
#include "index/packed_quick.h"
#include "index/shard_in.h"

enum {
    PIECE_UNITS = 1024,   /* 64 KiB: what small budgets are given out by */
    HUGE_FROM = 16 << 20, /* shards that may hold this much take huge pages */
    PREFETCH = 24,
    /* A core follows some twenty misses at once, and what is asked for while it does is dropped, not queued: so lines are
     * asked for a few at a time, between records. */
    BUCKETS_AHEAD = 20,
    ENTRIES_AHEAD = 10,
    ASK_AT_ONCE = 4,
    PACKED_AHEAD = 20,  /* buckets */
    PACKED_BEHIND = 10, /* what they lead to */
    /* Buckets, half a MiB: what a table of so many leads to is in the second-level cache, and asking for it costs what it wins. */
    PACKED_NEAR_TO = 8192,
    PACKED_RING = 64 /* hashes of records asked for; more than PACKED_AHEAD + ASK_AT_ONCE */
};

/* ---- memory ---- */

uint64_t shard_live_held(const struct index *s)
{
    return s->counts.entry_bytes + ((uint64_t)s->table.mask + 1) * sizeof(struct bucket) +
           packed_table_bytes(&s->packed) + image_ids_bytes(&s->image_ids);
}

/* 1 when the shard may hold so many bytes more. */
int shard_may_grow(const struct index *s, uint64_t more)
{
    if (s->is_judging)
        return 1;
    return s->live_max == 0 || shard_live_held(s) + more <= s->live_max;
}

/* Where records are packed, pairs take what nobody else needs, and make way when more has to wait: a pair on disk is a third of
 * a record there, and it stands for two. So they stay below what is left beside `more`. */
enum err shard_pairs_yield(struct index *s, uint64_t more, struct diag *diag)
{
    if (!s->config.packs || s->config.memory_max == 0)
        return OK;
    const uint64_t least = shard_packs_pair_least(s->config.memory_max), live = shard_live_held(s) + more,
                   all = s->live_max + least;
    return s->pairs->ops->limit(s->pairs, all > live + least ? all - live : least, diag);
}

/* Makes unit_limit - next_unit at least `units`. 0 when memory is full (diag is empty) or out. */
int shard_segment_more(struct index *s, uint32_t units, struct diag *diag)
{
    for (;;) {
        if (s->segment_count && s->next_unit + units <= s->unit_limit)
            return 1;
        const uint32_t piece = s->huge ? SEGMENT_UNITS : PIECE_UNITS;
        if (s->segment_count && s->unit_limit < SEGMENT_UNITS) { /* in the newest segment only */
            if (!shard_may_grow(s, (uint64_t)piece * RECORD_UNIT))
                return 0;
            if (shard_pairs_yield(s, (uint64_t)piece * RECORD_UNIT, diag) != OK)
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
        if (!shard_may_grow(s, (uint64_t)piece * RECORD_UNIT))
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

/* All entries are free: give them out from the first one on. */
void shard_entries_reset(struct index *s)
{
    image_ids_fini(&s->image_ids);
    for (unsigned i = 0; i <= SIZE_CLASSES; i++)
        s->free_list[i] = NO_ENTRY;
    s->segment_at = 0;
    s->next_unit = 0;
    s->unit_limit = s->segment_count == 1 ? s->last_limit : s->segment_count ? SEGMENT_UNITS : 0;
}

/* 0 in *grown when memory is full. */
enum err shard_table_grow(struct index *s, int *grown, struct diag *diag)
{
    const uint64_t more = ((uint64_t)s->table.mask + 1) * sizeof(struct bucket);
    *grown = shard_may_grow(s, more);
    if (!*grown)
        return OK;
    enum err err = shard_pairs_yield(s, more, diag);
    return err == OK ? table_double(&s->table, diag) : err;
}

/* ---- pairs that left ---- */

/* A frame is taken whole, so for the spool it is full at once; it is ended when the spool closes it. */
__attribute__((noinline)) enum err shard_next_pair_frame(struct index *s, uint32_t partition,
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

/* The same where a side is a log: its row is found again by more than its place. */
__attribute__((noinline)) enum err shard_remember_images(struct index *s, uint32_t print, uint32_t partition,
                                                         const struct left_pair *pair,
                                                         const struct image_at at[SIDES], struct diag *diag)
{
    struct pair_trail *const trail = &s->trail[partition];
    if (UNLIKELY(!pair_has_room(trail, PAIR_ROOM + SIDES * IMAGE_AT_ROOM)) &&
        shard_next_pair_frame(s, partition, diag) != OK)
        return diag->err;
    pair_put(trail, print, pair->local, pair->channel);
    for (int side = 0; side < SIDES; side++)
        if (s->config.layout[side].has_fold)
            pair_put_image(trail, at[side]);
    return OK;
}

/* All is put: frames that are open can be read. */
void shard_end_pairs(struct index *s)
{
    for (uint32_t p = 0; p < s->partition_count; p++)
        pair_end(&s->trail[p]);
}

/* ---- apply ---- */

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

static inline __attribute__((always_inline)) enum err
take_in(struct index *s, const struct record *r, uint32_t units, const struct road road, struct diag *diag)
{
    const uint32_t tag = tag_of(r, road);
    struct found found;
    int chained = 0;
    for (;;) {
        if (UNLIKELY(s->left_count) && s->left[partition_of_tag(s, tag)])
            return shard_keep(s, partition_of_tag(s, tag), r, units, diag);
        uint32_t number;
        if (find_key(s, r, tag, road, &found)) {
            struct record *e = entry_at(s, found.head);
            if (!road.plain && s->has_images && UNLIKELY(is_sampled(r)))
                shard_note_sampled(s, found.head);
            if (LIKELY(e->hash_hi == NO_ENTRY && ((e->flags ^ r->flags) & RECORD_CHANNEL) &&
                       !((e->flags | r->flags) & (road.plain ? STAYS_PLAIN : s->stays)) &&
                       (road.plain || !s->config.holds_all))) {
                const struct record *local = r->flags & RECORD_CHANNEL ? e : r,
                                    *channel = r->flags & RECORD_CHANNEL ? r : e;
                if (LIKELY(sigma_equal(s, e, r, road) && window_fits(s, local, channel)) &&
                    (road.plain || !s->has_images || images_go(s, r))) {
                    count_pair(s, local, channel, road);
                    enum err err =
                        road.plain || !s->has_images
                            ? remember_pair(s, r->hash_lo, partition_of_tag(s, tag), local->place,
                                            channel->place, diag)
                            : shard_image_leaves(s, partition_of_tag(s, tag), local, channel, diag);
                    uint32_t e_units = units_of(s, e, road);
                    table_remove(&s->table, tag, found.bucket, found.slot);
                    entry_give(s, found.head, e_units);
                    s->counts.waiting--;
                    return err;
                }
            }
            if (UNLIKELY(e->flags & RECORD_CROWDED))
                return shard_crowd_record(s, r, diag);
            if (!road.plain && (r->flags & RECORD_IMAGE)) {
                int folded = shard_fold(s, found.head, r, diag);
                if (folded)
                    return folded > 0 ? shard_chain_leaves(s, &found, tag, diag) : ERR_MACHINE;
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
                    shard_note_image(s, shard_image_tag(s, found.head, fresh), number);
                chained = s->has_images;
            }
        } else {
            int grown = 1;
            if (UNLIKELY(s->table.keys >= s->table.keys_max)) {
                enum err err = shard_table_grow(s, &grown, diag);
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
        enum err err = shard_make_room(s, diag); /* and again: its own partition may have left */
        if (err != OK)
            return err;
    }
    s->counts.waiting++;
    if (s->counts.waiting > s->counts.waiting_max)
        s->counts.waiting_max = s->counts.waiting;
    return !road.plain && chained ? shard_chain_leaves(s, &found, tag, diag) : OK;
}

/* ---- packed records ---- */

/* Room for one more key: the table grows, or partitions leave. The list that is made of all at the end has its room, too. */
static __attribute__((noinline)) enum err packed_room(struct index *s, struct diag *diag)
{
    const uint64_t more = packed_more_bytes(&s->packed),
                   list = packed_records_max(&s->packed) * sizeof *s->packed_waiting;
    if (!shard_may_grow(s, more + list))
        return shard_make_room(s, diag);
    enum err err = shard_pairs_yield(s, more, diag);
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

/* What quick_take does not do. */
static __attribute__((noinline)) enum err take_packed(struct index *s, const struct packed *r, uint64_t hash,
                                                      const int is_sub, struct diag *diag)
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

static inline __attribute__((always_inline)) uint64_t ask_packed(const struct quick *q,
                                                                 const struct packed *r, uint64_t seed)
{
    const uint64_t hash = packed_hash(r->key, seed);
    __builtin_prefetch(quick_home(q, packed_tag(hash)), 1);
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
    const uint64_t seed = s->packed.seed;
    struct quick q;
    quick_load(&q, s);
    for (uint32_t i = 0; i < PACKED_AHEAD && i < count; i++)
        hashes[i] = ask_packed(&q, &r[i], seed);
    for (uint32_t i = 0; is_far && i < PACKED_BEHIND && i < count; i++)
        ask_behind(&s->packed, hashes[i]);
    for (uint32_t done = 0; done < count; done += ASK_AT_ONCE) {
        if (LIKELY(done + PACKED_AHEAD + ASK_AT_ONCE <= count)) {
            for (uint32_t i = done + PACKED_AHEAD; i < done + PACKED_AHEAD + ASK_AT_ONCE; i++)
                hashes[i % PACKED_RING] = ask_packed(&q, &r[i], seed);
            for (uint32_t i = done + PACKED_BEHIND; is_far && i < done + PACKED_BEHIND + ASK_AT_ONCE; i++)
                ask_behind(&s->packed, hashes[i % PACKED_RING]);
        } else {
            for (uint32_t i = done + PACKED_AHEAD; i < count; i++)
                hashes[i % PACKED_RING] = ask_packed(&q, &r[i], seed);
            for (uint32_t i = done + PACKED_BEHIND;
                 is_far && i < done + PACKED_BEHIND + ASK_AT_ONCE && i < count; i++)
                ask_behind(&s->packed, hashes[i % PACKED_RING]);
        }
        for (uint32_t i = done; i < done + ASK_AT_ONCE && i < count; i++) {
            if (LIKELY(quick_take(&q, s, &r[i], hashes[i % PACKED_RING], is_sub)))
                continue;
            quick_store(&q, s);
            enum err err = take_packed(s, &r[i], hashes[i % PACKED_RING], is_sub, diag);
            if (UNLIKELY(err != OK))
                return err;
            quick_load(&q, s);
        }
    }
    quick_store(&q, s);
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

/* ---- batches ---- */

/* A record without its first key meets nobody here. */
static enum err keep_loose(struct index *s, const struct record *r, struct diag *diag)
{
    struct row_ref ref = shard_ref_of(s, r);
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

enum err shard_records_back(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct index *s = context;
    return s->plain ? apply_units(s, bytes, size / RECORD_UNIT, (struct road){.sub = 1, .plain = 1}, diag)
                    : apply_units(s, bytes, size / RECORD_UNIT, (struct road){.sub = 1}, diag);
}

enum err shard_packed_back(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    return apply_back(context, bytes, size / (uint32_t)sizeof(struct packed), diag);
}

/* ---- opening and closing ---- */

void shard_close(struct index *s)
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

enum err shard_open_level(struct index **out, const struct index_config *config, unsigned level,
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
    shard_entries_reset(s);
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
