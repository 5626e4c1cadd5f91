/* core/engine/crowd_bag.c: see crowd_bag.h */
#include "core/engine/crowd_bag.h"
#include "core/base/mem.h"
#include "core/engine/judge.h"
#include <stdlib.h>

void crowd_sort(void *items, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    const char *const bytes = items;
    size_t i = 1;
    while (i < count && compare(bytes + (i - 1) * size, bytes + i * size) <= 0)
        i++;
    if (i < count)
        qsort(items, count, size, compare);
}

/* ---- spools and streams ---- */

/* Of a worker's memory: the index has given its own back by now. Three spools of stages may be open at once (one that is read,
 * two that are written), and five others. */
enum {
    STAGE_SHARE = 8,
    SHARE = 32,
    PIECE = 16 << 10,  /* of a partition: what should go to disk at once */
    ROWS_AT_ONCE = 256 /* of those that are looked at one by one: what they take stays in the cache */
};

static uint64_t share(const struct worker *w, uint32_t parts)
{
    return w->run->config->memory / w->run->config->workers / parts;
}

uint32_t crowd_bag_partitions(const struct crowd *c, uint64_t wanted)
{
    enum { LEAST = 4 };
    const uint64_t most = share(c->w, SHARE) / PIECE;
    return (uint32_t)(wanted <= LEAST || most <= LEAST ? LEAST : wanted < most ? wanted : most);
}

int crowd_partition_bits(const struct worker *w)
{
    int bits = 4;
    while (bits < PARTITION_BITS_MAX && (uint64_t)PIECE << (bits + 1) <= share(w, STAGE_SHARE))
        bits++;
    return bits;
}

enum err crowd_bag_open(struct crowd *c, struct spool **spool, uint32_t partitions)
{
    return c->w->spill->ops->open(spool, c->w->spill, partitions, share(c->w, SHARE), &c->w->diag);
}

void crowd_bag_close(struct spool *spool)
{
    if (spool)
        spool->ops->close(spool);
}

enum err crowd_bag_put(struct crowd *c, struct spool *spool, uint32_t partition,
                       const struct crowd_item *item)
{
    return spool_put(spool, partition, item, sizeof *item, &c->w->diag);
}

enum err crowd_open(struct worker *w)
{
    return w->spill->ops->open(&w->crowd[CROWD_IN], w->spill, CROWD_SHARES, share(w, STAGE_SHARE), &w->diag);
}

/* Both have what one has elsewhere. */
enum err crowd_told_open(struct worker *w)
{
    enum err err = w->spill->ops->open(&w->told, w->spill, CROWD_SHARES, share(w, 2 * STAGE_SHARE), &w->diag);
    return err == OK ? w->crowd[CROWD_IN]->ops->limit(w->crowd[CROWD_IN], share(w, 2 * STAGE_SHARE), &w->diag)
                     : err;
}

enum err crowd_put(struct worker *w, const struct row_ref *ref)
{
    enum err err = w->crowd[CROWD_IN] ? OK : crowd_open(w);
    if (err != OK)
        return err;
    atomic_fetch_add_explicit(&w->run->crowded, 1, memory_order_relaxed);
    return spool_put(w->crowd[CROWD_IN], row_ref_share(ref, CROWD_SHARES), ref, sizeof *ref, &w->diag);
}

enum err crowd_to_stage(struct crowd *c, int stage, struct crowd_item *item)
{
    struct worker *w = c->w;
    const int bits = crowd_partition_bits(w);
    enum err err = w->crowd[stage] ? OK
                                   : w->spill->ops->open(&w->crowd[stage], w->spill, 1u << bits,
                                                         share(w, STAGE_SHARE), &w->diag);
    item->hash = stage == CROWD_SIGMA ? item->sigma
                 : stage == CROWD_REST
                     ? item->ref.key_hash * 0x9E3779B97F4A7C15ull /* all of a key have the same */
                     : item->hash;
    return err == OK ? crowd_bag_put(c, w->crowd[stage], (uint32_t)(item->hash >> (64 - bits)), item) : err;
}

/* What P1 is done with. */
enum err crowd_behind_occurrence(struct crowd *c, struct crowd_item *item)
{
    return crowd_to_stage(c, c->job->match.group.given ? CROWD_REST : CROWD_SIGMA, item);
}

struct walk {
    struct crowd *c;
    crowd_slice_fn *take;
    void *context;
    int lays;
};

/* Another worker failed, or the run was interrupted. */
static enum err stopped(struct worker *w)
{
    return diag_set(&w->diag, ERR_INTERRUPTED, "interrupted",
                    "run the same command again; nothing was published", "stopped before the end");
}

static enum err walk_slice(struct walk *walk)
{
    struct crowd *c = walk->c;
    const uint32_t count = c->streamed;
    c->streamed = 0;
    if (run_failed(c->w->run))
        return stopped(c->w);
    if (!walk->lays)
        return walk->take(c, walk->context, c->stream, count);
    enum err err = OK;
    crowd_sort(c->stream, count, sizeof *c->stream, crowd_by_place);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        struct crowd_size size = {0, 0};
        for (to = from; to < count && to - from < ROWS_AT_ONCE && (to == from || !crowd_is_more(c, size));
             to++)
            crowd_count(&size, &c->stream[to]);
        err = crowd_lay(c, c->stream + from, to - from);
        if (err == OK)
            err = walk->take(c, walk->context, c->stream + from, to - from);
    }
    return err;
}

static enum err walk_items(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct walk *walk = context;
    const struct crowd_item *items = bytes;
    enum err err = OK;
    (void)diag;
    for (uint32_t i = 0; err == OK && i < size / sizeof *items; i++) {
        walk->c->stream[walk->c->streamed++] = items[i];
        if (walk->c->streamed == walk->c->stream_room)
            err = walk_slice(walk);
    }
    return err;
}

static enum err bag_walk(struct walk *walk, const struct crowd_bag *bag)
{
    struct crowd *c = walk->c;
    enum err err = bag->spool->ops->seal(bag->spool, &c->w->diag);
    c->streamed = 0;
    for (uint32_t p = bag->first; err == OK && p < bag->end; p++)
        err = bag->spool->ops->read(bag->spool, c->w->spill, p, walk_items, walk, &c->w->diag);
    return err == OK && c->streamed ? walk_slice(walk) : err;
}

enum err crowd_bag_each(struct crowd *c, const struct crowd_bag *bag, crowd_slice_fn *take, void *context)
{
    struct walk walk = {c, take, context, 0};
    return bag_walk(&walk, bag);
}

/* How a bag's records lie in their files. */
struct places {
    uint64_t low[SIDES], high[SIDES], last[SIDES];
    uint64_t count[SIDES], way[SIDES]; /* way: from each one to the next */
    struct spool *parts;
    uint32_t part_count; /* of a side */
    struct crowd_size *sizes;
};

static enum err see_places(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct places *p = context;
    (void)c;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t place = items[i].ref.place;
        const int side = items[i].ref.side;
        if (!p->count[side]++)
            p->low[side] = p->high[side] = p->last[side] = place;
        p->low[side] = place < p->low[side] ? place : p->low[side];
        p->high[side] = place > p->high[side] ? place : p->high[side];
        p->way[side] += place > p->last[side] ? place - p->last[side] : p->last[side] - place;
        p->last[side] = place;
    }
    return OK;
}

static enum err put_by_place(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct places *p = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const int side = items[i].ref.side;
        const uint64_t width = (p->high[side] - p->low[side]) / p->part_count + 1;
        const uint32_t part =
            (uint32_t)((items[i].ref.place - p->low[side]) / width) + (side == LOCAL ? 0 : p->part_count);
        crowd_count(&p->sizes[part], &items[i]);
        err = crowd_bag_put(c, p->parts, part, &items[i]);
    }
    return err;
}

enum err crowd_bag_rows(struct crowd *c, const struct crowd_bag *bag, crowd_slice_fn *take, void *context)
{
    struct walk walk = {c, take, context, 1};
    struct places p = {.parts = NULL};
    if (bag->size.count <= 2ull * c->stream_room)
        return bag_walk(&walk, bag);
    /* A slice of all over the files costs a read of some pages for each row. So they are parted by their places first, unless
     * they come nearly in order. */
    enum { WAY_MAX = 4 };
    enum err err = crowd_bag_each(c, bag, see_places, &p);
    int in_order = 1;
    for (int side = 0; side < SIDES; side++)
        in_order &= p.way[side] / WAY_MAX <= p.high[side] - p.low[side];
    if (err != OK || in_order)
        return err == OK ? bag_walk(&walk, bag) : err;
    p.part_count = crowd_bag_partitions(c, 2 * (bag->size.count / c->stream_room + 1)) / 2;
    p.sizes = mem_take_zero(2 * (size_t)p.part_count, sizeof *p.sizes);
    if (!p.sizes)
        return mem_fail(&c->w->diag, 2 * p.part_count * sizeof *p.sizes, "open records");
    err = crowd_bag_open(c, &p.parts, 2 * p.part_count);
    if (err == OK)
        err = crowd_bag_each(c, bag, put_by_place, &p);
    for (uint32_t i = 0; err == OK && i < 2 * p.part_count; i++) {
        const struct crowd_bag part = {p.parts, i, i + 1, p.sizes[i]};
        if (part.size.count)
            err = bag_walk(&walk, &part);
        p.parts->ops->drop(p.parts, i);
    }
    crowd_bag_close(p.parts);
    mem_give(p.sizes);
    return err;
}

/* ---- rows at hand ---- */

uint64_t crowd_bytes_of_weight(uint32_t weight)
{
    return (weight < 8 ? weight + 1ull : (9ull + (weight & 7)) << (weight / 8 - 1)) * 64;
}

uint8_t crowd_weight(uint64_t bytes)
{
    const uint64_t lines = (bytes + 63) / 64;
    if (lines <= 8)
        return lines ? (uint8_t)(lines - 1) : 0;
    /* 9 to 16 eighths of a power of two. */
    const unsigned power = 60 - (unsigned)__builtin_clzll(lines - 1);
    const uint64_t weight = 8 * (power + 1ull) + ((lines - 1) >> power) - 8;
    return weight < UINT8_MAX ? (uint8_t)weight : UINT8_MAX;
}

static uint64_t text_bytes(struct span text)
{
    return text.size ? text.size / 8 * 8 + 8 : 0;
}

uint64_t crowd_row_bytes(const struct full *row)
{
    enum { SORTING = 96 /* lists of it while it is put in order, a pass's own notes */ };
    uint64_t bytes = sizeof *row + sizeof(struct row_ref) + 2 * sizeof(struct crowd_item) + SORTING;
    if (row->text_size) /* texts and canonical bytes are still to come: times are printed longer than they are written */
        bytes += 2 * row->text_size + FIELD_SLOTS * 12u + TIME_TEXT_MAX;
    for (int i = 0; !row->text_size && i < FIELD_SLOTS; i++)
        bytes += text_bytes(row->text[i]);
    bytes += text_bytes(row->occurrence) + text_bytes(row->canonical) + text_bytes(row->sigma) +
             text_bytes(row->key);
    if (row->carry)
        bytes += sizeof *row->carry + text_bytes(row->carry->batch_no) + text_bytes(row->carry->place) +
                 text_bytes(row->carry->task) + text_bytes(row->carry->reasons) +
                 text_bytes(row->carry->origin) + text_bytes(row->carry->pair);
    return bytes;
}

enum err crowd_need_rows(struct crowd *c, uint32_t count)
{
    if (count <= c->row_room)
        return OK;
    mem_give(c->refs);
    mem_give(c->rows);
    mem_give(c->order);
    c->row_room = count;
    c->refs = mem_take(count * sizeof *c->refs);
    c->rows = mem_take(count * sizeof *c->rows);
    c->order = mem_take(count * sizeof(struct full *));
    if (c->refs && c->rows && c->order)
        return OK;
    c->row_room = 0;
    return mem_fail(&c->w->diag, count * sizeof *c->rows, "open records");
}

int crowd_by_place(const void *a, const void *b)
{
    return judge_by_place(&((const struct crowd_item *)a)->ref, &((const struct crowd_item *)b)->ref);
}

enum err crowd_fill(struct crowd *c, const struct crowd_item *items, struct full *rows, uint32_t count,
                    struct arena *arena)
{
    struct span sigma = {0}, key = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct full *row = &rows[i];
        if (row->carry)
            row->reasons |= verdict_carry_reasons(row->carry);
        row->sigma_matched = items[i].flags & ITEM_MATCHED;
        if (!judge_key_of(c->job, c->pass, arena, row) || !row->key.data)
            return mem_fail(&c->w->diag, 0, "a key");
        /* What many rows have in common is compared over and over: by its address, where it is the same text. */
        sigma = row->sigma = span_equal(row->sigma, sigma) ? sigma : row->sigma;
        key = row->key = span_equal(row->key, key) ? key : row->key;
    }
    return OK;
}

/* Sorts items by side and place and fetches their rows: c->rows[i] is that of items[i]. */
enum err crowd_lay(struct crowd *c, struct crowd_item *items, uint32_t count)
{
    struct worker *w = c->w;
    uint32_t fetched = count;
    enum err err = crowd_need_rows(c, count);
    if (err != OK || !count)
        return err;
    arena_reset(&w->arena);
    crowd_sort(items, count, sizeof *items, crowd_by_place);
    for (uint32_t i = 0; i < count; i++)
        c->refs[i] = items[i].ref;
    err = judge_fetch_some(w, c->refs, &fetched, c->rows, c->fields, &w->arena);
    CHECK2(err != OK || fetched == count, fetched, count); /* what is rejected never came so far */
    w->rows_at_hand = c->rows;
    w->refs_at_hand = c->refs;
    for (uint32_t i = 0; i < count; i++)
        c->order[i] = &c->rows[i];
    return err == OK ? crowd_fill(c, items, c->rows, count, &w->arena) : err;
}

uint64_t crowd_key_fields(const struct crowd *c)
{
    const struct key_spec *key = &c->job->match.keys[c->pass];
    uint64_t fields = 0;
    for (int i = 0; i < key->part_count; i++)
        fields |= 1ull << key->parts[i];
    return fields;
}

enum err crowd_keep(struct crowd *c, struct kept_row *kept, const struct crowd_item *item)
{
    struct row_ref ref = item->ref;
    uint32_t count = 1;
    arena_reset(&kept->arena);
    kept->item = *item;
    kept->is_there = 1;
    enum err err = judge_fetch(c->w, &ref, &count, &kept->row, &kept->arena);
    CHECK(err != OK || count == 1);
    return err == OK ? crowd_fill(c, &kept->item, &kept->row, 1, &kept->arena) : err;
}

int crowd_by_key(const void *a, const void *b)
{
    return span_compare((*(struct full *const *)a)->key, (*(struct full *const *)b)->key);
}

uint32_t crowd_same_hash(const struct crowd_item *items, uint32_t count, uint32_t from)
{
    uint32_t to = from + 1;
    while (to < count && items[to].hash == items[from].hash)
        to++;
    return to;
}
