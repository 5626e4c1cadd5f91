/* core/engine/crowd_occurrence.c: P1 of a crowd. */
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"

static int by_key_and_side(const void *a, const void *b)
{
    const int c = crowd_by_key(a, b);
    return c ? c : (int)(*(struct full *const *)a)->side - (int)(*(struct full *const *)b)->side;
}

enum err crowd_occurrence_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    uint32_t several = 0;
    enum err err = OK;
    (void)context;
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        to = crowd_same_hash(items, count, from);
        if (to - from == 1 && !(items[from].flags & ITEM_APART))
            err = crowd_behind_occurrence(c, &items[from]);
        else
            for (uint32_t i = from; i < to; i++)
                items[several++] = items[i];
    }
    if (err == OK)
        err = crowd_lay(c, items, several);
    uint32_t awake = 0;
    for (uint32_t i = 0; err == OK && i < several; i++) {
        struct full *row = &c->rows[i];
        int is;
        err = crowd_is_awake(c, row, &is);
        if (err == OK && is)
            err = crowd_wake_up(c, row, &items[i]);
        if (err == OK && is)
            c->order[awake++] = row;
        else if (err == OK)
            err = crowd_sleep_on(c, row);
    }
    if (err != OK || !awake)
        return err;
    crowd_sort(c->order, awake, sizeof *c->order, by_key_and_side);
    for (uint32_t from = 0, to; from < awake; from = to) {
        for (to = from + 1; to < awake && by_key_and_side(&c->order[from], &c->order[to]) == 0; to++) {
        }
        resolve_occurrences(c->job, c->order + from, to - from, c->pass + 1);
    }
    for (uint32_t i = 0; err == OK && i < awake; i++) {
        struct full *row = c->order[i];
        err = row->verdict == VERDICT_OPEN ? crowd_behind_occurrence(c, &items[row - c->rows])
                                           : judge_emit(c->w, row);
    }
    return err;
}

/* One occurrence id, on more records than are held. */
struct repeated {
    struct kept_row lowest, carried; /* carried: the lowest that is */
    struct spool *others;            /* what only has the same hash */
    struct crowd_size other_size;
    int is_conflict, came_before;
};

static int is_same_occurrence(const struct full *a, const struct full *b)
{
    return a->side == b->side && span_equal(a->key, b->key) && span_equal(a->occurrence, b->occurrence);
}

static enum err find_lowest(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct repeated *r = context;
    enum err err = OK;
    const struct full *lowest = NULL, *carried = NULL;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const struct full *row = &c->rows[i];
        int awake = 1;
        if (items[i].flags & ITEM_APART)
            err = crowd_is_awake(c, row, &awake);
        if (err != OK || !awake)
            continue;
        if (!r->lowest.is_there)
            err = crowd_keep(c, &r->lowest, &items[i]);
        if (err != OK)
            break;
        if (!is_same_occurrence(&r->lowest.row, row)) {
            crowd_count(&r->other_size, &items[i]);
            err = r->others ? OK : crowd_bag_open(c, &r->others, 1);
            if (err == OK)
                err = crowd_bag_put(c, r->others, 0, &items[i]);
            continue;
        }
        r->is_conflict |= sigma_compare(c->job, &r->lowest.row, row) != 0 || row->repeated == REPEAT_OTHER;
        r->came_before |= row->repeated != REPEAT_NONE;
        if (row->carry && (!carried || full_compare(row, carried) < 0))
            carried = row;
        if (full_compare(row, lowest ? lowest : &r->lowest.row) < 0)
            lowest = row;
    }
    if (err == OK && carried && (!r->carried.is_there || full_compare(carried, &r->carried.row) < 0))
        err = crowd_keep(c, &r->carried, &items[carried - c->rows]);
    return err == OK && lowest ? crowd_keep(c, &r->lowest, &items[lowest - c->rows]) : err;
}

static enum err tell_repeats(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    const struct repeated *r = context;
    /* As in resolve_occurrences. */
    const struct kept_row *stays = r->came_before ? &r->carried : &r->lowest;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        int awake = 1;
        if (items[i].flags & ITEM_APART)
            err = crowd_is_awake(c, row, &awake);
        if (err == OK && !awake)
            err = crowd_sleep_on(c, row);
        if (err != OK || !awake || !is_same_occurrence(&r->lowest.row, row))
            continue;
        if ((err = crowd_wake_up(c, row, &items[i])) != OK)
            break;
        if (!r->is_conflict && stays->is_there && row->place == stays->row.place &&
            row->row_index == stays->row.row_index) {
            err = crowd_behind_occurrence(c, &items[i]);
            continue;
        }
        resolve_duplicate(row, c->pass + 1, r->is_conflict);
        err = judge_emit(c->w, row);
    }
    return err;
}

enum err crowd_occurrence_bag(struct crowd *c, const struct crowd_bag *bag)
{
    struct repeated r = {.is_conflict = 0};
    arena_init(&r.lowest.arena);
    arena_init(&r.carried.arena);
    enum err err = crowd_bag_rows(c, bag, find_lowest, &r);
    if (err == OK)
        err = crowd_bag_rows(c, bag, tell_repeats, &r);
    arena_fini(&r.lowest.arena);
    arena_fini(&r.carried.arena);
    if (err == OK && r.others) {
        const struct crowd_bag others = {r.others, 0, 1, r.other_size};
        err = crowd_occurrence_bag(c, &others);
    }
    crowd_bag_close(r.others);
    return err;
}
