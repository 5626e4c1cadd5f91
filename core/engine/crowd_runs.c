/* core/engine/crowd_runs.c: P3 of a crowd: runs of amounts that nothing pairs across. */
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"
#include <stdlib.h>

/* P3 over more than is held: records by sigma and amount fall into runs that nothing pairs across. */
struct runs {
    struct spool *ordered, *left;
    struct crowd_size ordered_size;
    uint64_t number;
    int64_t amount_micro;
    struct kept_row last;             /* of the sigma at hand */
    struct crowd_item *items;         /* whole runs */
    uint32_t count, room, run;        /* run: where the last one begins */
    struct crowd_size size, run_size; /* of all, and of those before `run` */
    struct crowd_rest *rest;
};

static enum err number_run(struct crowd *c, void *context, struct crowd_item *item, const struct full *row)
{
    struct runs *t = context;
    const int is_other = !t->last.is_there || !span_equal(t->last.row.sigma, row->sigma);
    enum err err = is_other ? crowd_keep(c, &t->last, item) : OK;
    if (is_other || !resolve_tolerance_reaches(c->job, t->amount_micro, full_gross(row)))
        t->number++;
    t->amount_micro = full_gross(row);
    item->hash = t->number;
    crowd_count(&t->ordered_size, item);
    return err == OK ? crowd_bag_put(c, t->ordered, 0, item) : err;
}

struct numbered {
    const struct crowd_item *items;
    const struct full *rows;
};

static int by_number(const void *a, const void *b, void *context)
{
    const struct numbered *n = context;
    const uint64_t x = n->items[*(struct full *const *)a - n->rows].hash,
                   y = n->items[*(struct full *const *)b - n->rows].hash;
    return (x > y) - (x < y);
}

/* Judges whole runs. */
static enum err judge_runs(struct crowd *c, struct runs *t, struct crowd_item *items, uint32_t count)
{
    enum err err = crowd_lay(c, items, count);
    struct numbered numbered = {items, c->rows};
    if (err != OK)
        return err;
    qsort_r(c->order, count, sizeof *c->order, by_number, &numbered);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        const uint64_t number = items[c->order[from] - c->rows].hash;
        for (to = from + 1; to < count && items[c->order[to] - c->rows].hash == number; to++) {
        }
        if (!resolve_tolerance(c->job, &c->w->scratch, c->order + from, to - from, c->pass + 1))
            err = mem_fail(&c->w->diag, 0, "the records of one key");
    }
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = c->order[i];
        struct crowd_item *item = &items[row - c->rows];
        item->flags |= row->sigma_matched ? ITEM_MATCHED : 0;
        err = row->verdict == VERDICT_OPEN ? crowd_rest_add(c, t->rest, item, row) : judge_emit(c->w, row);
    }
    return err;
}

static enum err gather_runs(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct runs *t = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        if (t->count && t->items[t->count - 1].hash != items[i].hash) {
            t->run = t->count;
            t->run_size = t->size;
        }
        if (t->run && crowd_is_more(c, t->size)) { /* whole runs, that is all before the one at hand */
            err = judge_runs(c, t, t->items, t->run);
            t->count -= t->run;
            memmove(t->items, t->items + t->run, t->count * sizeof *t->items);
            t->size.count -= t->run_size.count;
            t->size.bytes -= t->run_size.bytes;
            t->run = 0;
        }
        crowd_count(&t->size, &items[i]);
        if (t->size.bytes > c->whole_bytes)
            return crowd_too_many_here(c, &items[i].ref, t->size);
        if (mem_list_more(&t->items, t->count, &t->room, 1024, "open records", &c->w->diag) != OK)
            return ERR_MACHINE;
        t->items[t->count++] = items[i];
    }
    return err;
}

/* `before` is what P2 left, `after` what is still left behind P3. */
enum err crowd_tolerate(struct crowd *c, const struct crowd_rest *before, struct crowd_rest *after)
{
    struct runs t = {.rest = after};
    const struct crowd_bag bag = crowd_rest_part(before, LOCAL, SIDES);
    arena_init(&t.last.arena);
    enum err err = crowd_bag_open(c, &t.ordered, 1);
    if (err == OK)
        err = crowd_each_in_order(c, &bag, crowd_by_sigma_in_order, number_run, &t);
    const struct crowd_bag ordered = {t.ordered, 0, 1, t.ordered_size};
    if (err == OK)
        err = crowd_bag_each(c, &ordered, gather_runs, &t);
    if (err == OK && t.count)
        err = judge_runs(c, &t, t.items, t.count);
    crowd_bag_close(t.ordered);
    mem_give(t.items);
    arena_fini(&t.last.arena);
    return err;
}
