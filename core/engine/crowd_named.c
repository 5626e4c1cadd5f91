/* core/engine/crowd_named.c: P2 of records that are known, without their rows, to be of one key and sigma.
 *
 * Items of one name, amount and currency agree in all that is compared. How many there are of each date on each side says how many
 * pairs they make (P2 goes by dates, and dates come first in the order), and nobody asks who is whose partner: so pairs are
 * counted, not made. Rows are read again only of a date that has more records than pairs, to tell which are left: those that
 * come last in the order.
 */
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"

void crowd_named_add(struct crowd_named *named, const struct crowd_item *item)
{
    if (!named->is_any) {
        named->first = *item;
        named->is_any = 1;
    }
    named->is_not |= !item->name || item->name != named->first.name ||
                     item->amount_micro != named->first.amount_micro ||
                     item->currency != named->first.currency;
    named->count[item->ref.side]++;
}

/* ---- pairs, by dates ---- */

/* Records of a side that have one date; of them `paired`, the first ones in the order, have partners. */
struct dated {
    uint64_t count, paired;
    uint16_t day;
};

struct dates {
    struct dated *of[SIDES];
    uint32_t count[SIDES], room[SIDES];
    struct dated_run {
        uint64_t pairs;
        uint16_t days[SIDES];
    } * runs;
    uint32_t run_count, run_room;
    uint64_t pairs;
};

static void dates_fini(struct dates *dates)
{
    mem_give(dates->of[LOCAL]);
    mem_give(dates->of[CHANNEL]);
    mem_give(dates->runs);
}

/* Dates of a side come in their order. */
static enum err dates_add(struct crowd *c, struct dates *dates, int side, uint16_t day, uint64_t count)
{
    if (mem_list_more(&dates->of[side], dates->count[side], &dates->room[side], 4, "dates", &c->w->diag) !=
        OK)
        return ERR_MACHINE;
    dates->of[side][dates->count[side]++] = (struct dated){count, 0, day};
    return OK;
}

/* As pair_exact of rules/verdict.c pairs them one by one. */
static enum err pair_dates(struct crowd *c, struct dates *dates)
{
    uint32_t at[SIDES] = {0, 0};
    uint64_t gone[SIDES] = {0, 0}; /* of the date at hand */
    enum err err = OK;
    while (err == OK && at[LOCAL] < dates->count[LOCAL] && at[CHANNEL] < dates->count[CHANNEL]) {
        struct dated *const d[SIDES] = {&dates->of[LOCAL][at[LOCAL]], &dates->of[CHANNEL][at[CHANNEL]]};
        const uint16_t days[SIDES] = {d[LOCAL]->day, d[CHANNEL]->day};
        const uint64_t left[SIDES] = {d[LOCAL]->count - gone[LOCAL], d[CHANNEL]->count - gone[CHANNEL]};
        if (window_holds(&c->job->match, days[LOCAL], days[CHANNEL])) {
            const uint64_t pairs = left[LOCAL] < left[CHANNEL] ? left[LOCAL] : left[CHANNEL];
            err = mem_list_more(&dates->runs, dates->run_count, &dates->run_room, 4, "dates", &c->w->diag);
            if (err != OK)
                break;
            dates->runs[dates->run_count++] = (struct dated_run){pairs, {days[LOCAL], days[CHANNEL]}};
            dates->pairs += pairs;
            for (int side = 0; side < SIDES; side++) {
                d[side]->paired += pairs;
                gone[side] += pairs;
            }
        } else {
            const int side = days[CHANNEL] < days[LOCAL] ? CHANNEL : LOCAL;
            gone[side] += left[side];
        }
        for (int side = 0; side < SIDES; side++)
            if (gone[side] == d[side]->count) {
                gone[side] = 0;
                at[side]++;
            }
    }
    return err;
}

static enum err emit_pairs(struct crowd *c, const struct crowd_item *like, const struct dates *dates)
{
    enum err err = OK;
    for (uint32_t i = 0; i < dates->run_count; i++) {
        struct full rows[SIDES];
        for (int side = 0; side < SIDES; side++)
            rows[side] = (struct full){.side = (uint8_t)side,
                                       .amount_micro = like->amount_micro,
                                       .currency = like->currency,
                                       .day = dates->runs[i].days[side],
                                       .verdict = VERDICT_OPEN};
        resolve_alike(&rows[LOCAL], &rows[CHANNEL], c->pass + 1);
        for (uint64_t k = 0; err == OK && k < dates->runs[i].pairs; k++) {
            err = judge_emit(c->w, &rows[LOCAL]);
            if (err == OK)
                err = judge_emit(c->w, &rows[CHANNEL]);
        }
    }
    return err;
}

enum err crowd_named_rest(struct crowd *c, const struct crowd_item *item, int is_matched)
{
    struct crowd_item left = *item;
    left.flags |= is_matched ? ITEM_MATCHED : 0;
    if (left.flags & ITEM_HAS_ORDER) { /* nobody asks any more */
        left.flags &= (uint8_t)~ITEM_HAS_ORDER;
        left.ref.order = 0;
    }
    return crowd_to_stage(c, CROWD_REST, &left);
}

/* ---- few enough to be held ---- */

void crowd_picks_close(struct crowd_picks *picks)
{
    for (int light = 0; light < 2; light++)
        mem_give(picks->of[light].items);
    mem_give(picks->lists);
    mem_give(picks->orders);
}

static int by_day(const void *a, const void *b)
{
    const struct crowd_item *x = a, *y = b;
    return (int)x->day - (int)y->day;
}

/* Local ones first, each side's by their dates: mostly there is one. */
static void lay_by_day(struct crowd_item *items, uint32_t count)
{
    uint32_t locals = 0;
    for (uint32_t i = 0; i < count; i++)
        if (items[i].ref.side == LOCAL) {
            const struct crowd_item item = items[i];
            items[i] = items[locals];
            items[locals++] = item;
        }
    for (int side = 0; side < SIDES; side++) {
        struct crowd_item *const of = items + (side == LOCAL ? 0 : locals);
        const uint32_t n = side == LOCAL ? locals : count - locals;
        uint32_t sorted = 1;
        while (sorted < n && of[sorted - 1].day <= of[sorted].day)
            sorted++;
        if (sorted < n)
            crowd_sort(of, n, sizeof *of, by_day);
    }
}

/* Items of a date of which some are left: they are told apart when all such rows of the slice are at hand. */
static enum err pick(struct crowd *c, struct crowd_picks *picks, const struct crowd_item *items,
                     uint32_t count, uint64_t paired)
{
    struct diag *diag = &c->w->diag;
    int is_light = 1;
    for (uint32_t i = 0; i < count; i++)
        is_light &= (items[i].flags & ITEM_HAS_ID) != 0;
    struct crowd_picked *to = &picks->of[is_light];
    enum err err = mem_list_more(&picks->lists, picks->count, &picks->room, 64, "open records", diag);
    if (err == OK)
        picks->lists[picks->count] = (struct crowd_pick){(uint32_t)paired, count, 0};
    for (uint32_t i = 0; err == OK && i < count; i++) {
        err = mem_list_more(&to->items, to->count, &to->room, 256, "open records", diag);
        if (err != OK)
            break;
        to->items[to->count] = items[i];
        to->items[to->count++].hash = picks->count;
    }
    picks->count++;
    return err;
}

/* The number that stands at `rank` when all are sorted. */
static uint64_t order_at(uint64_t *orders, uint32_t count, uint32_t rank)
{
    enum { FEW = 12 };
    uint32_t low = 0, high = count;
    while (high - low > FEW) {
        const uint64_t a = orders[low], b = orders[low + (high - low) / 2], d = orders[high - 1],
                       lower = a < b ? a : b, upper = a < b ? b : a,
                       middle = d < lower   ? lower
                                : d < upper ? d
                                            : upper;
        uint32_t i = low, k = high - 1;
        for (;;) {
            while (orders[i] < middle)
                i++;
            while (middle < orders[k])
                k--;
            if (i >= k)
                break;
            const uint64_t swap = orders[i];
            orders[i++] = orders[k];
            orders[k--] = swap;
        }
        /* As in lowest_first, but that several may be equal: what stands before the cut is not above the middle one, what stands behind it
         * not below. */
        const uint32_t cut = i == k ? i + 1 : i;
        if (rank < cut)
            high = cut;
        else
            low = cut;
    }
    for (uint32_t i = low + 1; i < high; i++)
        for (uint32_t k = i; k > low && orders[k] < orders[k - 1]; k--) {
            const uint64_t swap = orders[k];
            orders[k] = orders[k - 1];
            orders[k - 1] = swap;
        }
    return orders[rank];
}

/* As pick, where rows say where they stand in their order: only of those whose number is the border's the rows are read. */
static enum err pick_by_order(struct crowd *c, struct crowd_picks *picks, struct crowd_item *items,
                              uint32_t count, uint64_t paired)
{
    if (count > picks->order_room) {
        mem_give(picks->orders);
        picks->order_room = 0;
        picks->orders = mem_take((count + count / 2) * sizeof *picks->orders);
        if (!picks->orders)
            return mem_fail(&c->w->diag, (count + count / 2) * sizeof *picks->orders, "open records");
        picks->order_room = count + count / 2;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!(items[i].flags & ITEM_HAS_ORDER))
            return pick(c, picks, items, count, paired);
        picks->orders[i] = items[i].ref.order;
    }
    const uint64_t border = order_at(picks->orders, count, (uint32_t)paired - 1);
    uint32_t below = 0, at = 0;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++)
        if (items[i].ref.order > border) {
            err = crowd_named_rest(c, &items[i], 1);
        } else if (items[i].ref.order < border) {
            below++;
        } else {
            const struct crowd_item item = items[i];
            items[i] = items[at];
            items[at++] = item;
        }
    return err == OK && below + at > paired ? pick(c, picks, items, at, paired - below) : err;
}

enum err crowd_named_slice(struct crowd *c, struct crowd_picks *picks, const struct crowd_named *named,
                           struct crowd_item *items, uint32_t count)
{
    struct dates dates = {.pairs = 0};
    enum err err = OK;
    lay_by_day(items, count);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        for (to = from + 1;
             to < count && items[to].ref.side == items[from].ref.side && items[to].day == items[from].day;
             to++) {
        }
        err = dates_add(c, &dates, items[from].ref.side, items[from].day, to - from);
    }
    if (err == OK)
        err = pair_dates(c, &dates);
    if (err == OK)
        err = emit_pairs(c, &named->first, &dates);
    uint32_t from = 0;
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; err == OK && i < dates.count[side]; i++) {
            const struct dated *const d = &dates.of[side][i];
            if (d->paired && d->paired < d->count)
                err = pick_by_order(c, picks, items + from, (uint32_t)d->count, d->paired);
            for (uint32_t k = 0; err == OK && d->paired == 0 && k < d->count; k++)
                err = crowd_named_rest(c, &items[from + k], dates.pairs > 0);
            from += (uint32_t)d->count;
        }
    dates_fini(&dates);
    return err;
}

/* The first `wanted` in the order come first, in no order. */
static void lowest_first(struct full **rows, uint32_t count, uint32_t wanted)
{
    enum { FEW = 16 };
    uint32_t low = 0, high = count;
    while (wanted > low && wanted < high) {
        struct full **const at = rows + low, *swap;
        const uint32_t n = high - low;
        const struct full *a = at[0], *b = at[n / 2], *d = at[n - 1], *middle;
        if (n <= FEW) {
            for (uint32_t i = 1; i < n; i++)
                for (uint32_t k = i; k && full_compare(at[k], at[k - 1]) < 0; k--) {
                    swap = at[k];
                    at[k] = at[k - 1];
                    at[k - 1] = swap;
                }
            return;
        }
        middle = full_compare(a, b) < 0 ? (full_compare(b, d) < 0   ? b
                                           : full_compare(a, d) < 0 ? d
                                                                    : a)
                                        : (full_compare(a, d) < 0   ? a
                                           : full_compare(b, d) < 0 ? d
                                                                    : b);
        uint32_t i = 0, k = n - 1; /* no two are equal: places differ */
        for (;;) {
            while (full_compare(at[i], middle) < 0)
                i++;
            while (full_compare(middle, at[k]) < 0)
                k--;
            if (i >= k)
                break;
            swap = at[i];
            at[i++] = at[k];
            at[k--] = swap;
        }
        /* Those before i are not above the middle one, those behind k are not below it; where both stand is the middle one. Some are on
         * either side of it. */
        const uint32_t cut = low + (i == k ? i + 1 : i);
        if (wanted < cut)
            high = cut;
        else
            low = cut;
    }
}

enum err crowd_picks_tell(struct crowd *c, struct crowd_picks *picks)
{
    enum err err = OK;
    for (int light = 0; err == OK && light < 2; light++) {
        struct crowd_picked *const of = &picks->of[light];
        if (!of->count)
            continue;
        c->fields = light ? crowd_key_fields(c) : 0;
        err = crowd_lay(c, of->items, of->count);
        c->fields = 0;
        uint32_t at = 0;
        for (uint32_t i = 0; i < picks->count; i++)
            picks->lists[i].filled = UINT32_MAX;
        /* Lists begin in the order in which the first of each came. */
        for (uint32_t i = 0; err == OK && i < of->count; i++) {
            struct crowd_pick *const list = &picks->lists[of->items[i].hash];
            if (list->filled == UINT32_MAX) {
                list->filled = at;
                at += list->count;
            }
            c->order[list->filled++] = &c->rows[i];
        }
        for (uint32_t i = 0; err == OK && i < picks->count; i++) {
            const struct crowd_pick *const list = &picks->lists[i];
            if (list->filled == UINT32_MAX)
                continue;
            struct full **const rows = c->order + (list->filled - list->count);
            lowest_first(rows, list->count, list->paired);
            for (uint32_t k = list->paired; err == OK && k < list->count; k++)
                err = crowd_named_rest(c, &of->items[rows[k] - c->rows], 1);
        }
    }
    return err;
}

/* ---- more than are held ---- */

struct named_bag {
    uint32_t *days[SIDES];
    uint8_t *part[SIDES]; /* of a date: 0: all are paired; 1: none is; else its list, and two more */
    struct spool *lists;
    struct crowd_size sizes[PARTITIONS_MAX];
    uint64_t paired[PARTITIONS_MAX];
    uint32_t list_count;
    int is_matched, has_ids, has_orders;
};

static enum err count_days(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct named_bag *b = context;
    (void)c;
    for (uint32_t i = 0; i < count; i++) {
        b->days[items[i].ref.side][items[i].day]++;
        b->has_ids &= (items[i].flags & ITEM_HAS_ID) != 0;
        b->has_orders &= (items[i].flags & ITEM_HAS_ORDER) != 0;
    }
    return OK;
}

static enum err list_items(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct named_bag *b = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const uint8_t part = b->part[items[i].ref.side][items[i].day];
        if (part == 1) {
            err = crowd_named_rest(c, &items[i], b->is_matched);
        } else if (part > 1) {
            crowd_count(&b->sizes[part - 2], &items[i]);
            err = crowd_bag_put(c, b->lists, part - 2u, &items[i]);
        }
    }
    return err;
}

static enum err left_item(struct crowd *c, const struct crowd_item *item)
{
    return crowd_named_rest(c, item, 1);
}

/* The border among the numbers of a list's records, digit by digit: so many records have less than `digit` in its place, and it has so
 * many. */
enum { BORDER_BITS = 16, BORDER_DIGITS = 1 << BORDER_BITS, BORDER_FEW = 64 };

struct border {
    uint32_t *counts;
    unsigned shift;  /* numbers are looked at from this bit on */
    uint64_t prefix; /* of those that may be it: what is above the digit */
    struct spool *ties;
    struct crowd_size size;
    uint64_t digit; /* with `prefix`; records below it are paired, those above are left */
    int is_parted;  /* 0: none of its own is left */
};

static enum err count_digits(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct border *b = context;
    (void)c;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t number = items[i].ref.order >> b->shift;
        if (number >> BORDER_BITS == b->prefix)
            b->counts[number & (BORDER_DIGITS - 1)]++;
    }
    return OK;
}

static enum err take_above_border(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    struct border *b = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const uint64_t number = items[i].ref.order >> b->shift;
        if (number > b->digit) {
            err = crowd_named_rest(c, &items[i], 1);
        } else if (number == b->digit && b->is_parted) {
            crowd_count(&b->size, &items[i]);
            err = crowd_bag_put(c, b->ties, 0, &items[i]);
        }
    }
    return err;
}

/* Gives the records of a list behind the first `paired` in the order to the rest. */
static enum err each_above_by_order(struct crowd *c, const struct crowd_bag *list, uint64_t paired)
{
    struct border b = {.shift = 64 - BORDER_BITS};
    enum err err = OK;
    b.counts = mem_take(BORDER_DIGITS * sizeof *b.counts);
    if (!b.counts)
        return mem_fail(&c->w->diag, BORDER_DIGITS * sizeof *b.counts, "open records");
    for (;; b.shift -= BORDER_BITS) {
        memset(b.counts, 0, BORDER_DIGITS * sizeof *b.counts);
        err = crowd_bag_each(c, list, count_digits, &b);
        if (err != OK)
            break;
        uint32_t digit = 0;
        for (; paired > b.counts[digit]; digit++)
            paired -= b.counts[digit];
        b.digit = b.prefix << BORDER_BITS | digit;
        b.is_parted = paired < b.counts[digit];
        if (!b.is_parted || b.counts[digit] <= BORDER_FEW || b.shift == 0)
            break;
        b.prefix = b.digit;
    }
    mem_give(b.counts);
    if (err == OK && b.is_parted)
        err = crowd_bag_open(c, &b.ties, 1);
    if (err == OK)
        err = crowd_bag_each(c, list, take_above_border, &b);
    if (err == OK && b.size.count) {
        const struct crowd_bag ties = {b.ties, 0, 1, b.size};
        err = crowd_each_above(c, &ties, paired, left_item);
    }
    crowd_bag_close(b.ties);
    return err;
}

/* What each date's records are told by. 0: more dates than can be told apart have some that are left. */
static int plan_parts(struct named_bag *b, const struct dates *dates)
{
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < dates->count[side]; i++) {
            const struct dated *const d = &dates->of[side][i];
            uint8_t *const part = &b->part[side][d->day];
            *part = d->paired == 0;
            if (d->paired == 0 || d->paired == d->count)
                continue;
            if (b->list_count == PARTITIONS_MAX)
                return 0;
            b->paired[b->list_count] = d->paired;
            *part = (uint8_t)(2 + b->list_count++);
        }
    return 1;
}

enum err crowd_named_bag(struct crowd *c, const struct crowd_bag *bag, const struct crowd_named *named,
                         int *told)
{
    enum { DAYS = UINT16_MAX + 1 };
    struct named_bag *b = mem_take_zero(1, sizeof *b);
    struct dates dates = {.pairs = 0};
    enum err err = b ? OK : mem_fail(&c->w->diag, sizeof *b, "open records");
    for (int side = 0; err == OK && side < SIDES; side++) {
        b->days[side] = mem_take_zero(DAYS, sizeof *b->days[side]);
        b->part[side] = mem_take_zero(DAYS, sizeof *b->part[side]);
        if (!b->days[side] || !b->part[side])
            err = mem_fail(&c->w->diag, DAYS * sizeof *b->days[side], "dates");
    }
    if (err == OK) {
        b->has_ids = b->has_orders = 1;
        err = crowd_bag_each(c, bag, count_days, b);
    }
    for (int side = 0; err == OK && side < SIDES; side++)
        for (uint32_t day = 0; err == OK && day < DAYS; day++)
            if (b->days[side][day])
                err = dates_add(c, &dates, side, (uint16_t)day, b->days[side][day]);
    if (err == OK)
        err = pair_dates(c, &dates);
    *told = err == OK && plan_parts(b, &dates);
    if (*told)
        err = emit_pairs(c, &named->first, &dates);
    if (err == OK && *told && b->list_count)
        err = crowd_bag_open(c, &b->lists, b->list_count);
    if (err == OK && *told) {
        b->is_matched = dates.pairs > 0;
        err = crowd_bag_each(c, bag, list_items, b);
    }
    for (uint32_t i = 0; err == OK && *told && i < b->list_count; i++) {
        const struct crowd_bag list = {b->lists, i, i + 1, b->sizes[i]};
        c->fields = b->has_ids ? crowd_key_fields(c) : 0;
        err = b->has_orders ? each_above_by_order(c, &list, b->paired[i])
                            : crowd_each_above(c, &list, b->paired[i], left_item);
        c->fields = 0;
        b->lists->ops->drop(b->lists, i);
    }
    if (b) {
        crowd_bag_close(b->lists);
        for (int side = 0; side < SIDES; side++) {
            mem_give(b->days[side]);
            mem_give(b->part[side]);
        }
    }
    mem_give(b);
    dates_fini(&dates);
    return err;
}
