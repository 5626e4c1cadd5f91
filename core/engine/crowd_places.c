/* core/engine/crowd_places.c: exact pairs of a crowd that match.csv gets by their places (sink_ops.take_whole).
 *
 * Records of one name, amount and currency agree in all that is compared, so nothing about a pair of them is to be asked but who is whose
 * partner: P2 goes by ≺, and where rows stand in it their numbers say (core/rules/plain_order.h). Rows are read again only where several
 * of one date have one number; match.csv reads what it prints itself, in the order of the files.
 */
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"
#include <stdlib.h>

enum {
    PAIRS_AT_ONCE = 1024,
    PAIRS_BEHIND =
        8 /* of the index's pairs one in so many, at least: match.csv takes longer for these then */
};

struct crowd_placed {
    struct pair_ref pairs[PAIRS_AT_ONCE];
    uint32_t count;
    struct full rows[SIDES]; /* what is counted of a pair */
};

/* Records of crowds, against the pairs that the index left. */
static int are_many(const struct run *run)
{
    uint64_t pairs = 0;
    for (uint32_t i = 0; i < run->worker_count; i++)
        for (uint32_t shard = 0; shard < run->shard_count; shard++) {
            const struct worker *const w = &run->workers[i];
            const struct pair_totals *const totals =
                w->shards[shard] ? run->config->index->totals(w->shards[shard]) : NULL;
            for (int currency = 0; totals && currency < CURRENCY_COUNT_MAX; currency++)
                pairs += totals->count[currency];
        }
    return atomic_load(&run->crowded) / SIDES >= pairs / PAIRS_BEHIND;
}

enum err crowd_places_decide(struct worker *w)
{
    const struct run_config *const config = w->run->config;
    if (!config->write_match || config->is_task || compares_fee(config->job) ||
        !config->sink->ops->take_whole || !are_many(w->run))
        return OK;
    return config->sink->ops->take_whole(config->sink, &w->run->crowd_places, &w->diag);
}

enum err crowd_places_flush(struct crowd *c)
{
    struct crowd_placed *const to = c->placed;
    struct sink *const sink = c->w->run->config->sink;
    if (!to || !to->count)
        return OK;
    const uint32_t count = to->count;
    to->count = 0;
    return sink->ops->put_pairs(sink, c->w->number, to->pairs, count, &c->w->diag);
}

enum err crowd_place_pair(struct crowd *c, const struct crowd_item *local, const struct crowd_item *channel)
{
    const struct crowd_item *const items[SIDES] = {[LOCAL] = local, [CHANNEL] = channel};
    struct crowd_placed *to = c->placed;
    if (!to && !(to = c->placed = mem_take_zero(1, sizeof *to)))
        return mem_fail(&c->w->diag, sizeof *to, "pairs");
    CHECK2(local->ref.side == LOCAL && channel->ref.side == CHANNEL, local->ref.place, channel->ref.place);
    for (int side = 0; side < SIDES; side++) {
        struct full *const row = &to->rows[side];
        row->side = (uint8_t)side;
        row->amount_micro = items[side]->amount_micro;
        row->currency = items[side]->currency;
        row->day = items[side]->day;
        row->verdict = VERDICT_OPEN;
        row->reasons = 0;
    }
    resolve_alike(&to->rows[LOCAL], &to->rows[CHANNEL], c->pass + 1);
    for (int side = 0; side < SIDES; side++)
        judge_count(c->w, &to->rows[side]);
    struct count_and_sum *const placed = &c->w->placed[local->currency];
    placed->count++;
    placed->sum += local->amount_micro;
    to->pairs[to->count++] = (struct pair_ref){local->ref.place, channel->ref.place};
    return to->count == PAIRS_AT_ONCE ? crowd_places_flush(c) : OK;
}

/* ---- few enough to be held ---- */

/* The end of the items from `from` on that have one sigma, side, date and number. */
static uint32_t tie_end(const struct crowd_item *items, uint32_t count, uint32_t from)
{
    uint32_t to = from + 1;
    while (to < count && items[to].hash == items[from].hash && crowd_by_number(&items[to], &items[from]) == 0)
        to++;
    return to;
}

/* Those of one name, in order: as pair_exact of rules/verdict.c does it. */
static enum err pair_items(struct crowd *c, const struct crowd_item *items, uint32_t count)
{
    const struct match_rules *const match = &c->job->match;
    enum err err = OK;
    uint32_t locals = 0;
    while (locals < count && items[locals].ref.side == LOCAL)
        locals++;
    /* What is left says whether others of its sigma were matched: so that is found first. */
    int any = 0;
    for (uint32_t i = 0, k = locals; !any && i < locals && k < count;) {
        any = window_holds(match, items[i].day, items[k].day);
        if (items[k].day < items[i].day)
            k++;
        else
            i++;
    }
    uint32_t i = 0, k = locals;
    while (err == OK && i < locals && k < count) {
        if (window_holds(match, items[i].day, items[k].day))
            err = crowd_place_pair(c, &items[i++], &items[k++]);
        else if (items[k].day < items[i].day)
            err = crowd_named_rest(c, &items[k++], any);
        else
            err = crowd_named_rest(c, &items[i++], any);
    }
    while (err == OK && i < locals)
        err = crowd_named_rest(c, &items[i++], any);
    while (err == OK && k < count)
        err = crowd_named_rest(c, &items[k++], any);
    return err;
}

void crowd_places_close(struct crowd_places *places)
{
    mem_give(places->items);
    mem_give(places->ends);
}

enum err crowd_places_slice(struct crowd *c, struct crowd_places *places, struct crowd_item *items,
                            uint32_t count)
{
    struct diag *const diag = &c->w->diag;
    crowd_sort(items, count, sizeof *items, crowd_by_number);
    uint32_t i = 1;
    while (i < count && crowd_by_number(&items[i], &items[i - 1]) != 0)
        i++;
    if (i >= count)
        return pair_items(c, items, count);
    for (i = 0; i < count; i++) {
        if (mem_list_more(&places->items, places->count, &places->room, 256, "open records", diag) != OK)
            return ERR_MACHINE;
        places->items[places->count] = items[i];
        places->items[places->count++].hash = places->end_count;
    }
    if (mem_list_more(&places->ends, places->end_count, &places->end_room, 64, "open records", diag) != OK)
        return ERR_MACHINE;
    places->ends[places->end_count++] = places->count;
    return OK;
}

/* Rows of one number in order, of `count` items that are. */
struct tie {
    uint32_t from, count, filled;
};

static enum err order_ties(struct crowd *c, struct crowd_item *items, uint32_t count)
{
    uint32_t tied_count = 0, tie_count = 0;
    for (uint32_t i = 0, to; i < count; i = to) {
        to = tie_end(items, count, i);
        tied_count += to - i > 1 ? to - i : 0;
        tie_count += to - i > 1;
    }
    struct crowd_item *const tied = mem_take(tied_count * sizeof *tied);
    struct tie *const ties = mem_take(tie_count * sizeof *ties);
    enum err err = tied && ties ? OK : mem_fail(&c->w->diag, tied_count * sizeof *tied, "open records");
    for (uint32_t i = 0, to, n = 0, t = 0; err == OK && i < count; i = to) {
        to = tie_end(items, count, i);
        if (to - i == 1)
            continue;
        ties[t] = (struct tie){i, to - i, n};
        for (uint32_t k = i; k < to; k++) {
            tied[n] = items[k];
            tied[n++].hash = t;
        }
        t++;
    }
    if (err == OK)
        err = crowd_lay(c, tied, tied_count);
    for (uint32_t i = 0; err == OK && i < tied_count; i++)
        c->order[ties[tied[i].hash].filled++] = &c->rows[i];
    for (uint32_t t = 0; err == OK && t < tie_count; t++) {
        struct full **const rows = c->order + (ties[t].filled - ties[t].count);
        qsort_r(rows, ties[t].count, sizeof(struct full *), crowd_in_order, (void *)c->job);
        for (uint32_t k = 0; k < ties[t].count; k++)
            items[ties[t].from + k] = tied[rows[k] - c->rows];
    }
    mem_give(tied);
    mem_give(ties);
    return err;
}

enum err crowd_places_tell(struct crowd *c, struct crowd_places *places)
{
    enum err err = OK;
    if (places->count)
        err = order_ties(c, places->items, places->count);
    for (uint32_t i = 0, from = 0; err == OK && i < places->end_count; from = places->ends[i++])
        err = pair_items(c, places->items + from, places->ends[i] - from);
    return err;
}
