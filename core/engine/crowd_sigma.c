/* core/engine/crowd_sigma.c: P2 of a crowd. */
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"

static int puts_places(const struct crowd *c)
{
    return c->pass == 0 && c->w->run->crowd_places;
}

static int have_orders(const struct crowd_item *items, uint32_t count)
{
    unsigned all = ITEM_HAS_ORDER;
    for (uint32_t i = 0; i < count; i++)
        all &= items[i].flags;
    return all != 0;
}

enum err crowd_sigma_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    uint32_t met = 0;
    struct crowd_picks picks = {.count = 0};
    struct crowd_places places = {.count = 0};
    enum err err = OK;
    (void)context;
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        struct crowd_named named = {.is_not = 0};
        to = crowd_same_hash(items, count, from);
        for (uint32_t i = from; i < to; i++)
            crowd_named_add(&named, &items[i]);
        if (crowd_is_named(&named) && !c->w->run->config->write_match) {
            err = crowd_named_slice(c, &picks, &named, items + from, to - from);
            continue;
        }
        if (crowd_is_named(&named) && puts_places(c) && have_orders(items + from, to - from)) {
            err = crowd_places_slice(c, &places, items + from, to - from);
            continue;
        }
        for (uint32_t i = from; err == OK && i < to; i++)
            if (named.count[LOCAL] && named.count[CHANNEL])
                items[met++] = items[i];
            else
                err = crowd_to_stage(c, CROWD_REST, &items[i]);
    }
    if (err == OK)
        err = crowd_picks_tell(c, &picks);
    crowd_picks_close(&picks);
    if (err == OK)
        err = crowd_places_tell(c, &places);
    crowd_places_close(&places);
    if (err == OK)
        err = crowd_lay(c, items, met);
    if (err != OK || !met)
        return err;
    crowd_sort(c->order, met, sizeof *c->order, crowd_by_key);
    for (uint32_t from = 0, to; err == OK && from < met; from = to) {
        for (to = from + 1; to < met && span_equal(c->order[to]->key, c->order[from]->key); to++) {
        }
        if (!resolve_exact(c->job, &c->w->scratch, c->order + from, to - from, c->pass + 1))
            err = mem_fail(&c->w->diag, 0, "the records of one key");
    }
    for (uint32_t i = 0; err == OK && i < met; i++) {
        struct full *row = c->order[i];
        struct crowd_item *item = &items[row - c->rows];
        item->flags |= row->sigma_matched ? ITEM_MATCHED : 0;
        err = row->verdict == VERDICT_OPEN ? crowd_to_stage(c, CROWD_REST, item) : judge_emit(c->w, row);
    }
    return err;
}

/* One sigma of one key, on more records than are held. */
struct alike {
    struct kept_row first;
    struct spool *parts; /* by side; last, what only has the same hash */
    struct crowd_size sizes[SIDES + 1];
    uint32_t *days[SIDES];
    int has_order[SIDES];
};

static enum err put_alike(struct crowd *c, struct alike *a, const struct crowd_item *item, int is_same)
{
    const uint32_t to = is_same ? item->ref.side : SIDES;
    if (is_same) {
        a->days[item->ref.side][item->day]++;
        a->has_order[item->ref.side] &= (item->flags & ITEM_HAS_ORDER) != 0;
    }
    crowd_count(&a->sizes[to], item);
    return crowd_bag_put(c, a->parts, to, item);
}

/* Of one name: nobody need look at rows. */
static enum err part_named(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = put_alike(c, context, &items[i], 1);
    return err;
}

static enum err part_alike(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct alike *a = context;
    enum err err = a->first.is_there ? OK : crowd_keep(c, &a->first, &items[0]);
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const struct full *row = &c->rows[i];
        const int is_same =
            span_equal(row->key, a->first.row.key) && sigma_compare(c->job, row, &a->first.row) == 0;
        err = put_alike(c, a, &items[i], is_same);
    }
    return err;
}

/* P2's two pointers over both sides in order go by dates, and dates come first in the order: so how many there are of each date
 * says which ranks meet. */
static enum err meet(struct crowd *c, const struct alike *a, struct crowd_pairing *p)
{
    uint64_t rank[SIDES] = {0, 0};
    uint32_t day[SIDES] = {0, 0}, left[SIDES] = {a->days[LOCAL][0], a->days[CHANNEL][0]};
    enum err err = OK;
    for (;;) {
        for (int side = 0; side < SIDES; side++)
            while (!left[side]) {
                if (++day[side] > UINT16_MAX)
                    return err;
                left[side] = a->days[side][day[side]];
            }
        if (window_holds(&c->job->match, (uint16_t)day[LOCAL], (uint16_t)day[CHANNEL])) {
            const uint32_t pairs = left[LOCAL] < left[CHANNEL] ? left[LOCAL] : left[CHANNEL];
            if ((err = crowd_add_run(c, p, rank, pairs)) != OK)
                return err;
            for (int side = 0; side < SIDES; side++) {
                rank[side] += pairs;
                left[side] -= pairs;
            }
        } else {
            const int side = day[CHANNEL] < day[LOCAL] ? CHANNEL : LOCAL;
            rank[side] += left[side];
            left[side] = 0;
        }
    }
}

static enum err rest_as_it_is(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    enum err err = OK;
    (void)context;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = crowd_to_stage(c, CROWD_REST, &items[i]);
    return err;
}

static enum err name_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    (void)c;
    for (uint32_t i = 0; i < count; i++)
        crowd_named_add(context, &items[i]);
    return OK;
}

enum err crowd_sigma_bag(struct crowd *c, const struct crowd_bag *bag)
{
    enum { DAYS = UINT16_MAX + 1 };
    struct alike a = {.has_order = {1, 1}};
    struct crowd_pairing pairing = {.run_count = 0};
    struct crowd_named named = {.is_not = 0};
    int told = 0;
    enum err err = crowd_bag_each(c, bag, name_slice, &named);
    if (err == OK && crowd_is_named(&named) && !c->w->run->config->write_match)
        err = crowd_named_bag(c, bag, &named, &told);
    if (told)
        return err;
    if (err != OK || !named.count[LOCAL] || !named.count[CHANNEL])
        return err == OK ? crowd_bag_each(c, bag, rest_as_it_is, NULL) : err;
    arena_init(&a.first.arena);
    for (int side = 0; side < SIDES; side++)
        if (!(a.days[side] = mem_take_zero(DAYS, sizeof(uint32_t))))
            err = mem_fail(&c->w->diag, DAYS * sizeof(uint32_t), "dates");
    if (err == OK)
        err = crowd_bag_open(c, &a.parts, SIDES + 1);
    if (err == OK)
        err = crowd_is_named(&named) ? crowd_bag_each(c, bag, part_named, &a)
                                     : crowd_bag_rows(c, bag, part_alike, &a);
    arena_fini(&a.first.arena);
    const struct crowd_bag bags[SIDES] = {{a.parts, LOCAL, LOCAL + 1, a.sizes[LOCAL]},
                                          {a.parts, CHANNEL, CHANNEL + 1, a.sizes[CHANNEL]}};
    if (err == OK)
        err = meet(c, &a, &pairing);
    memcpy(pairing.has_order, a.has_order, sizeof pairing.has_order);
    for (int side = 0; side < SIDES; side++)
        mem_give(a.days[side]);
    if (err == OK && pairing.total) {
        err = crowd_pair_by_rank(c, &pairing, bags,
                                 crowd_is_named(&named) && puts_places(c) ? PAIRS_PLACED : PAIRS_ALIKE);
    } else {
        for (int side = 0; err == OK && side < SIDES; side++)
            err = crowd_bag_each(c, &bags[side], rest_as_it_is, NULL);
        mem_give(pairing.runs);
    }
    if (err == OK && a.sizes[SIDES].count) {
        const struct crowd_bag others = {a.parts, SIDES, SIDES + 1, a.sizes[SIDES]};
        err = crowd_sigma_bag(c, &others);
    }
    crowd_bag_close(a.parts);
    return err;
}
