/* index/shard_leave.c: see shard_in.h; what does not fit, and what comes back */
#include "index/shard_in.h"
#include <stdlib.h>

enum {
    MOVE_AHEAD = 3, /* buckets, where all are looked at */
    SUB_MEMORY_MIN = 256 << 10,
    KEPT_KINDS = 2,    /* records, packed ones */
    CROWD_SHARE = 8,   /* of the entries: a key that has so much is a crowd */
    LEAVE_AT_ONCE = 4, /* one of so many units leaves when room is made */
    LEAVE_AT_ONCE_LARGE = 8,
    LEAVE_LARGE =
        32 << 20 /* bytes: where looking at all of it once more costs less than what leaves too early */
};

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

enum err shard_need_kept(struct index *s, struct diag *diag)
{
    return s->kept ? OK
                   : s->config.spill->ops->open(&s->kept, s->config.spill, s->partition_count * KEPT_KINDS,
                                                s->config.packs ? shard_packs_kept(s->config.memory_max)
                                                                : shard_kept_share(s->config.memory_max),
                                                diag);
}

/* A record of a partition that left follows it. */
enum err shard_keep(struct index *s, uint32_t partition, const struct record *r, uint32_t units,
                    struct diag *diag)
{
    s->counts.spilled++;
    return spool_put(s->kept, partition, r, units * RECORD_UNIT, diag);
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
enum err shard_move_left(struct index *s, struct diag *diag)
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
                    err = shard_keep(s, partition, e, units, diag);
                entry_give(s, number, units);
                s->counts.waiting--;
            }
            table_remove(&s->table, tag, i, slot);
        }
    }
    if (s->counts.waiting == 0)
        shard_entries_reset(s);
    return err;
}

enum err shard_ref_put(struct row_ref **refs, uint32_t *count, uint32_t *room, struct row_ref ref,
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

struct row_ref shard_ref_of(const struct index *s, const struct record *e)
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

enum err shard_crowd_put(struct index *s, const struct row_ref *ref, struct diag *diag)
{
    s->counts.crowded++;
    return spool_put(s->config.crowd, row_ref_share(ref, s->config.crowd_shares), ref, sizeof *ref, diag);
}

enum err shard_crowd_record(struct index *s, const struct record *r, struct diag *diag)
{
    const struct row_ref ref = shard_ref_of(s, r);
    return shard_crowd_put(s, &ref, diag);
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
            err = shard_crowd_record(s, entry_at(s, head), diag);
            for (uint32_t number = entry_at(s, head)->hash_hi, next; err == OK && number != NO_ENTRY;
                 number = next) {
                const struct record *e = entry_at(s, number);
                next = e->hash_hi;
                err = shard_crowd_record(s, e, diag);
                entry_give(s, number, record_units(record_var_size(e, layout_of(s, e))));
                s->counts.waiting--;
                ++*moved;
            }
            entry_at(s, head)->flags |= RECORD_CROWDED;
            entry_at(s, head)->hash_hi = NO_ENTRY;
        }
    return err;
}

int shard_is_crowd(const struct index *s, uint32_t print)
{
    for (uint32_t i = 0; i < s->crowd_count; i++)
        if (s->crowds[i] == print)
            return 1;
    return s->all_crowd;
}

enum err shard_too_many_alike(const struct index *s, uint64_t records, struct diag *diag)
{
    return diag_set(diag, ERR_MACHINE, "memory.group", "give --memory=SIZE more",
                    "%llu records of one order number (or of a few whose hashes agree) must be judged "
                    "together and do not fit in the memory of one shard, %llu bytes",
                    (unsigned long long)records, (unsigned long long)s->config.memory_max);
}

/* Memory is full: the partitions that hold most leave. */
enum err shard_make_room(struct index *s, struct diag *diag)
{
    uint64_t moved = 0;
    const uint64_t held = s->counts.entry_bytes / RECORD_UNIT;
    enum err err = move_crowds(s, s->level == LEVEL_LAST ? 2 : held / CROWD_SHARE + 2, &moved, diag);
    if (err != OK || moved)
        return err;
    if (s->level == LEVEL_LAST || s->left_count == s->partition_count)
        return shard_too_many_alike(s, s->counts.waiting, diag);
    err = shard_need_kept(s, diag);
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
    const uint64_t share = shard_live_held(s) < LEAVE_LARGE ? LEAVE_AT_ONCE : LEAVE_AT_ONCE_LARGE;
    for (uint32_t i = 0; i < s->partition_count && (count == 0 || leaving * share < all); i++) {
        if (s->left[sizes[i].number])
            continue;
        s->left[sizes[i].number] = 1;
        s->left_count++;
        leaving += sizes[i].halves;
        count++;
    }
    CHECK2(count > 0, s->left_count, s->partition_count); /* else there is nothing to make room for */
    return shard_move_left(s, diag);
}

/* ---- partitions that left come back ---- */

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
        err = sub->has_images ? shard_remember_images(sub, pair.print, partition, &pair, images, diag)
                              : remember_pair(sub, pair.print, partition, pair.local, pair.channel, diag);
    }
    return err;
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
    shard_entries_reset(s);
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
    s->loose = (struct spool_cursor){0};
    return err;
}

/* Table and entries are not needed any more: all that stayed is judged. */
void shard_release_live(struct index *s)
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
    shard_entries_reset(s);
}

/* Takes a partition that left into a shard of its own. */
enum err shard_bring_back(struct index *s, uint32_t number, struct diag *diag)
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
        err = s->kept->ops->read(s->kept, s->config.spill, number, shard_records_back, s->sub, diag);
    s->pairs->ops->drop(s->pairs, number);
    s->kept->ops->drop(s->kept, number);
    if (err == OK)
        err = s->kept->ops->read(s->kept, s->config.spill, s->partition_count + number, shard_packed_back,
                                 s->sub, diag);
    s->kept->ops->drop(s->kept, s->partition_count + number);
    if (err == OK)
        err = shard_settle(s->sub, diag);
    s->sub_open = 1;
    return err;
}

/* The sums of the partition at hand are its parent's. */
enum err shard_merge_sub(struct index *s, struct diag *diag)
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
