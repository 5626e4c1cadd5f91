/* core/engine/crowd_order.c: records of a crowd in an order, however many they are. */
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"
#include <stdlib.h>

enum {
    SPLITTERS_MAX = 255, /* that put records in order, at once */
    SAMPLES = 4          /* for each of them */
};

int crowd_in_order(const void *a, const void *b, void *job)
{
    (void)job;
    return full_compare(*(struct full *const *)a, *(struct full *const *)b);
}

int crowd_by_sigma_in_order(const void *a, const void *b, void *job)
{
    const int c = sigma_compare(job, *(struct full *const *)a, *(struct full *const *)b);
    return c ? c : crowd_in_order(a, b, job);
}

struct gather {
    struct crowd_item *items;
    uint64_t seen;
    uint32_t count, every;
};

static enum err gather_items(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct gather *g = context;
    (void)c;
    for (uint32_t i = 0; i < count; i++, g->seen++)
        if (g->seen % g->every == 0)
            g->items[g->count++] = items[i];
    return OK;
}

/* All of a bag's items, or one of every so many. */
enum err crowd_gather(struct crowd *c, const struct crowd_bag *bag, uint32_t every, struct crowd_item **items,
                      uint32_t *count)
{
    struct gather g = {.every = every};
    const uint64_t room = bag->size.count / every + 1;
    g.items = mem_take(room * sizeof *g.items);
    if (!g.items)
        return mem_fail(&c->w->diag, room * sizeof *g.items, "open records");
    enum err err = crowd_bag_each(c, bag, gather_items, &g);
    *items = g.items;
    *count = g.count;
    return err;
}

/* Where records are parted so that each part is smaller. */
struct splitters {
    struct arena arena;
    struct full *rows, **order;
    uint32_t count;
    crowd_compare_fn *compare;
    struct spool *parts;
    struct crowd_size sizes[SPLITTERS_MAX + 1];
};

static enum err choose(struct crowd *c, const struct crowd_bag *bag, struct splitters *s)
{
    struct worker *w = c->w;
    struct crowd_item *items = NULL;
    struct row_ref *refs = NULL;
    uint32_t count = 0, taken = 0;
    const uint64_t by_count = bag->size.count / c->rows_max, by_bytes = bag->size.bytes / c->row_bytes;
    const uint64_t wanted = (by_count > by_bytes ? by_count : by_bytes) * 2 + 1;
    /* The sample stays at hand while the rows go by. */
    const uint64_t held = c->row_bytes / 2 / (bag->size.bytes / bag->size.count + 1) / SAMPLES + 1;
    const uint64_t pieces = crowd_bag_partitions(c, SPLITTERS_MAX + 1) - 1;
    const uint64_t most = held < pieces ? held : pieces;
    const uint32_t splitters = (uint32_t)(wanted > most ? most : wanted);
    const uint64_t every = bag->size.count / ((uint64_t)splitters * SAMPLES);
    enum err err = crowd_gather(c, bag, every ? (uint32_t)every : 1, &items, &count);
    if (err == OK) {
        refs = mem_take(count * sizeof *refs);
        s->rows = mem_take(count * sizeof *s->rows);
        s->order = mem_take(count * sizeof(struct full *));
        if (!refs || !s->rows || !s->order)
            err = mem_fail(&w->diag, count * sizeof *s->rows, "open records");
    }
    if (err == OK) {
        crowd_sort(items, count, sizeof *items, crowd_by_place);
        for (uint32_t i = 0; i < count; i++) {
            refs[i] = items[i].ref;
            s->order[i] = &s->rows[i];
        }
        taken = count;
        err = judge_fetch_some(w, refs, &taken, s->rows, c->fields, &s->arena);
        CHECK2(err != OK || taken == count, taken, count);
    }
    if (err == OK)
        err = crowd_fill(c, items, s->rows, count, &s->arena);
    if (err == OK) {
        qsort_r(s->order, count, sizeof *s->order, s->compare, (void *)c->job);
        s->count = splitters < count ? splitters : count - 1;
        /* Never the lowest: each part is less than the whole. */
        for (uint32_t i = 0; i < s->count; i++)
            s->order[i] = s->order[(uint64_t)(i + 1) * count / (s->count + 1)];
    }
    mem_give(items);
    mem_give(refs);
    return err;
}

static enum err part_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct splitters *s = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        uint32_t low = 0, high = s->count; /* how many splitters are not above it */
        while (low < high) {
            const uint32_t mid = (low + high) / 2;
            if (s->compare(&s->order[mid], &row, (void *)c->job) <= 0)
                low = mid + 1;
            else
                high = mid;
        }
        crowd_count(&s->sizes[low], &items[i]);
        err = crowd_bag_put(c, s->parts, low, &items[i]);
    }
    return err;
}

/* Parts all of a bag's records by their order. *out: NULL, or to be closed. */
static enum err part_all(struct crowd *c, const struct crowd_bag *bag, crowd_compare_fn *compare,
                         struct splitters **out)
{
    struct splitters *s = *out = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(&c->w->diag, sizeof *s, "open records");
    arena_init(&s->arena);
    s->compare = compare;
    enum err err = choose(c, bag, s);
    if (err == OK)
        err = crowd_bag_open(c, &s->parts, s->count + 1);
    if (err == OK)
        err = crowd_bag_rows(c, bag, part_slice, s);
    arena_fini(&s->arena);
    mem_give(s->rows);
    mem_give(s->order);
    s->rows = NULL;
    s->order = NULL;
    return err;
}

static void parts_close(struct splitters *s)
{
    if (s)
        crowd_bag_close(s->parts);
    mem_give(s);
}

/* Parted no further: all of it is held, or is too little to be parted. */
static int is_held(const struct crowd *c, const struct crowd_bag *bag)
{
    return !crowd_is_more(c, bag->size) || bag->size.count < 3;
}

/* All records of a bag that is held: c->order has them in order, of c->rows, which are those of *items; the caller frees these. */
static enum err order_held(struct crowd *c, const struct crowd_bag *bag, crowd_compare_fn *compare,
                           struct crowd_item **items, uint32_t *count)
{
    enum err err = crowd_gather(c, bag, 1, items, count);
    if (err == OK)
        err = crowd_lay(c, *items, *count);
    if (err == OK)
        qsort_r(c->order, *count, sizeof *c->order, compare, (void *)c->job);
    return err;
}

enum err crowd_each_in_order(struct crowd *c, const struct crowd_bag *bag, crowd_compare_fn *compare,
                             crowd_ordered_fn *take, void *context)
{
    enum err err;
    if (is_held(c, bag)) {
        struct crowd_item *items = NULL;
        uint32_t count = 0;
        err = order_held(c, bag, compare, &items, &count);
        for (uint32_t i = 0; err == OK && i < count; i++)
            err = take(c, context, &items[c->order[i] - c->rows], c->order[i]);
        mem_give(items);
        return err;
    }
    struct splitters *s;
    err = part_all(c, bag, compare, &s);
    for (uint32_t i = 0; err == OK && i <= s->count; i++) {
        const struct crowd_bag part = {s->parts, i, i + 1, s->sizes[i]};
        CHECK2(part.size.count < bag->size.count, part.size.count, bag->size.count);
        if (part.size.count)
            err = crowd_each_in_order(c, &part, compare, take, context);
        s->parts->ops->drop(s->parts, i);
    }
    parts_close(s);
    return err;
}

struct above {
    crowd_left_fn *take;
};

static enum err take_above(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    const struct above *above = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = above->take(c, &items[i]);
    return err;
}

/* Only of the part in which the border lies the rows are read once more. */
enum err crowd_each_above(struct crowd *c, const struct crowd_bag *bag, uint64_t below, crowd_left_fn *take)
{
    struct above above = {take};
    enum err err;
    if (is_held(c, bag)) {
        struct crowd_item *items = NULL;
        uint32_t count = 0;
        err = order_held(c, bag, crowd_in_order, &items, &count);
        for (uint64_t i = below; err == OK && i < count; i++)
            err = take(c, &items[c->order[i] - c->rows]);
        mem_give(items);
        return err;
    }
    struct splitters *s;
    err = part_all(c, bag, crowd_in_order, &s);
    for (uint32_t i = 0; err == OK && i <= s->count; i++) {
        const struct crowd_bag part = {s->parts, i, i + 1, s->sizes[i]};
        CHECK2(part.size.count < bag->size.count, part.size.count, bag->size.count);
        if (part.size.count && below == 0)
            err = crowd_bag_each(c, &part, take_above, &above);
        else if (below < part.size.count)
            err = crowd_each_above(c, &part, below, take);
        below -= below < part.size.count ? below : part.size.count;
        s->parts->ops->drop(s->parts, i);
    }
    parts_close(s);
    return err;
}
