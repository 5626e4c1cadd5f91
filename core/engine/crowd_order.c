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

/* How many of so many splitters, each of `size` bytes, are not above an item. */
static inline uint32_t not_above(const void *splitters, uint32_t count, size_t size, const void *item,
                                 int (*compare)(const void *, const void *, void *), void *context)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t mid = (low + high) / 2;
        if (compare((const char *)splitters + mid * size, item, context) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static enum err part_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct splitters *s = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        const uint32_t part =
            not_above(s->order, s->count, sizeof *s->order, &row, s->compare, (void *)c->job);
        crowd_count(&s->sizes[part], &items[i]);
        err = crowd_bag_put(c, s->parts, part, &items[i]);
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

/* ---- of one key and sigma, by the numbers that say where rows stand in their order ---- */

int crowd_by_number(const void *a, const void *b)
{
    const struct crowd_item *const x = a, *const y = b;
    if (x->ref.side != y->ref.side)
        return (int)x->ref.side - (int)y->ref.side;
    if (x->day != y->day)
        return (int)x->day - (int)y->day;
    return (x->ref.order > y->ref.order) - (x->ref.order < y->ref.order);
}

static int by_number_in(const void *a, const void *b, void *context)
{
    (void)context;
    return crowd_by_number(a, b);
}

/* The end of the items from `from` on that have one number. */
static uint32_t tie_end(const struct crowd_item *items, uint32_t count, uint32_t from)
{
    uint32_t to = from + 1;
    while (to < count && crowd_by_number(&items[to], &items[from]) == 0)
        to++;
    return to;
}

/* Items of one number are put in order by their rows, as many at a time as are held. *is_told is 0 when one number has more. */
static enum err order_ties(struct crowd *c, struct crowd_item *items, uint32_t count, int *is_told)
{
    uint32_t room = 0;
    *is_told = 1;
    for (uint32_t i = 0, to; i < count; i = to) {
        to = tie_end(items, count, i);
        struct crowd_size size = {0, 0};
        for (uint32_t k = i; k < to; k++)
            crowd_count(&size, &items[k]);
        room += to - i > 1 ? to - i : 0;
        *is_told &= to - i == 1 || !crowd_is_more(c, size);
    }
    if (!room || !*is_told)
        return OK;
    room = room < c->rows_max ? room : c->rows_max;
    struct crowd_item *tied = mem_take(room * sizeof *tied);
    enum err err = tied ? OK : mem_fail(&c->w->diag, room * sizeof *tied, "open records");
    for (uint32_t from = 0, end; err == OK && from < count; from = end) {
        struct crowd_size size = {0, 0};
        uint32_t n = 0, k = 0;
        for (uint32_t to; (end = from + k) < count; k = to - from) { /* whole ties */
            to = tie_end(items, count, end);
            struct crowd_size more = size;
            for (uint32_t i = end; to - end > 1 && i < to; i++)
                crowd_count(&more, &items[i]);
            if (n && crowd_is_more(c, more))
                break;
            size = more;
            for (uint32_t i = end; to - end > 1 && i < to; i++)
                tied[n++] = items[i];
        }
        err = crowd_lay(c, tied, n);
        if (err != OK || !n)
            continue;
        qsort_r(c->order, n, sizeof *c->order, crowd_in_order, (void *)c->job);
        n = 0;
        for (uint32_t i = from, to; i < end; i = to) {
            to = tie_end(items, end, i);
            for (uint32_t at = i; to - i > 1 && at < to; at++)
                items[at] = tied[c->order[n++] - c->rows];
        }
    }
    mem_give(tied);
    return err;
}

struct number_parts {
    struct crowd_item *splitters;
    uint32_t count;
    struct spool *spool;
    struct crowd_size sizes[SPLITTERS_MAX + 1];
};

static enum err part_by_number(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct number_parts *p = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const uint32_t part =
            not_above(p->splitters, p->count, sizeof *p->splitters, &items[i], by_number_in, NULL);
        crowd_count(&p->sizes[part], &items[i]);
        err = crowd_bag_put(c, p->spool, part, &items[i]);
    }
    return err;
}

/* From a sample in order: each above the one before, the first above the lowest, so that each part is less than the whole. */
static void choose_numbers(struct number_parts *p, uint32_t sampled, uint32_t wanted)
{
    const struct crowd_item lowest = p->splitters[0], *last = &lowest;
    for (uint32_t i = 0; i < wanted; i++) {
        const struct crowd_item next = p->splitters[(uint64_t)(i + 1) * sampled / (wanted + 1)];
        if (crowd_by_number(&next, last) <= 0)
            continue;
        p->splitters[p->count] = next;
        last = &p->splitters[p->count++];
    }
}

enum err crowd_each_by_number(struct crowd *c, const struct crowd_bag *bag, crowd_ordered_fn *take,
                              void *context)
{
    const uint32_t held = c->items_max / 2;
    struct crowd_item *items = NULL;
    uint32_t count = 0;
    enum err err;
    if (bag->size.count <= held) {
        int is_told = 1;
        err = crowd_gather(c, bag, 1, &items, &count);
        if (err == OK) {
            crowd_sort(items, count, sizeof *items, crowd_by_number);
            err = order_ties(c, items, count, &is_told);
        }
        for (uint32_t i = 0; err == OK && is_told && i < count; i++)
            err = take(c, context, &items[i], NULL);
        mem_give(items);
        return err == OK && !is_told ? crowd_each_in_order(c, bag, crowd_in_order, take, context) : err;
    }
    struct number_parts *p = mem_take_zero(1, sizeof *p);
    if (!p)
        return mem_fail(&c->w->diag, sizeof *p, "open records");
    const uint64_t pieces = crowd_bag_partitions(c, SPLITTERS_MAX + 1) - 1,
                   parts = 2 * (bag->size.count / held) + 1, wanted = parts < pieces ? parts : pieces,
                   every = bag->size.count / (wanted * SAMPLES);
    err = crowd_gather(c, bag, every ? (uint32_t)every : 1, &p->splitters, &count);
    if (err == OK) {
        crowd_sort(p->splitters, count, sizeof *p->splitters, crowd_by_number);
        choose_numbers(p, count, (uint32_t)wanted);
        if (!p->count)
            err = crowd_each_in_order(c, bag, crowd_in_order, take, context);
        else
            err = crowd_bag_open(c, &p->spool, p->count + 1);
    }
    if (err == OK && p->count)
        err = crowd_bag_each(c, bag, part_by_number, p);
    for (uint32_t i = 0; err == OK && p->count && i <= p->count; i++) {
        const struct crowd_bag part = {p->spool, i, i + 1, p->sizes[i]};
        CHECK2(part.size.count < bag->size.count, part.size.count, bag->size.count);
        if (part.size.count)
            err = crowd_each_by_number(c, &part, take, context);
        p->spool->ops->drop(p->spool, i);
    }
    crowd_bag_close(p->spool);
    mem_give(p->splitters);
    mem_give(p);
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
