/* core/engine/crowd_pairs.c: pairs of a crowd by their rank in the order of the records. */
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"

enum err crowd_add_run(struct crowd *c, struct crowd_pairing *p, const uint64_t from[SIDES], uint64_t count)
{
    if (p->run_count == p->run_room) {
        const uint32_t room = p->run_room ? p->run_room * 2 : 16;
        struct paired_run *grown = mem_grow(p->runs, room * sizeof *grown);
        if (!grown)
            return mem_fail(&c->w->diag, room * sizeof *grown, "runs of pairs");
        p->runs = grown;
        p->run_room = room;
    }
    p->runs[p->run_count++] = (struct paired_run){{from[LOCAL], from[CHANNEL]}, count, p->total};
    p->total += count;
    return OK;
}

static uint32_t bucket_of(const struct crowd_pairing *p, uint64_t pair)
{
    return (uint32_t)(pair * p->buckets / p->total);
}

static enum err number_pair(struct crowd *c, void *context, struct crowd_item *item, const struct full *row)
{
    struct crowd_pairing *p = context;
    const uint64_t rank = p->rank++;
    (void)row;
    while (p->run < p->run_count && rank >= p->runs[p->run].from[p->side] + p->runs[p->run].count)
        p->run++;
    if (p->run == p->run_count || rank < p->runs[p->run].from[p->side]) {
        item->flags |= p->total ? ITEM_MATCHED : 0;
        return crowd_to_stage(c, CROWD_REST, item);
    }
    item->hash = p->runs[p->run].first + rank - p->runs[p->run].from[p->side];
    const uint32_t bucket = bucket_of(p, item->hash);
    p->bucket_sizes[bucket] += p->side == LOCAL;
    return crowd_bag_put(c, p->pairs, bucket + (p->side == LOCAL ? 0 : p->buckets), item);
}

/* Judges pairs: as many local as channel records, with numbers from `first` on. */
static enum err judge_pairs(struct crowd *c, struct crowd_item *items, uint32_t pairs, uint64_t first,
                            int is_alike)
{
    enum err err = crowd_lay(c, items, pairs * 2);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < pairs * 2; i++) /* lay sorted them by place */
        c->order[(items[i].ref.side == LOCAL ? 0 : pairs) + (uint32_t)(items[i].hash - first)] = &c->rows[i];
    for (uint32_t i = 0; err == OK && i < pairs; i++) {
        struct full *local = c->order[i], *channel = c->order[pairs + i];
        CHECK2(local->side == LOCAL && channel->side == CHANNEL, local->place, channel->place);
        if (is_alike)
            resolve_alike(local, channel, c->pass + 1);
        else
            resolve_unlike(c->job, local, channel, c->pass + 1);
        err = judge_emit(c->w, local);
        if (err == OK)
            err = judge_emit(c->w, channel);
    }
    return err;
}

static enum err judge_bucket(struct crowd *c, struct crowd_pairing *p, uint32_t bucket, uint64_t *first,
                             int is_alike)
{
    const uint32_t pairs = (uint32_t)p->bucket_sizes[bucket], at_once = c->slice < 2 ? 1 : c->slice / 2;
    struct crowd_item *items[SIDES] = {NULL, NULL}, *both = mem_take(at_once * 2 * sizeof *both);
    enum err err = both ? OK : mem_fail(&c->w->diag, at_once * 2 * sizeof *both, "open records");
    for (int side = 0; err == OK && side < SIDES; side++) {
        const uint32_t partition = bucket + (side == LOCAL ? 0 : p->buckets);
        const struct crowd_bag bag = {p->pairs, partition, partition + 1, pairs};
        uint32_t count = 0;
        err = crowd_gather(c, &bag, 1, &items[side], &count);
        CHECK2(err != OK || count == pairs, count, pairs);
    }
    for (uint32_t at = 0; err == OK && at < pairs && !run_failed(c->w->run); at += at_once) {
        const uint32_t here = pairs - at < at_once ? pairs - at : at_once;
        memcpy(both, items[LOCAL] + at, here * sizeof *both);
        memcpy(both + here, items[CHANNEL] + at, here * sizeof *both);
        err = judge_pairs(c, both, here, *first + at, is_alike);
    }
    *first += pairs;
    mem_give(items[LOCAL]);
    mem_give(items[CHANNEL]);
    mem_give(both);
    return err;
}

/* Pairs the records of both sides by their ranks in the order of the records, as the runs say, and judges them. */
enum err crowd_pair_by_rank(struct crowd *c, struct crowd_pairing *p, const struct crowd_bag bags[SIDES],
                            int is_alike)
{
    const uint64_t wanted = p->total / c->slice + 1;
    uint64_t first = 0;
    p->buckets = wanted > BUCKETS_MAX ? BUCKETS_MAX : (uint32_t)wanted;
    enum err err = crowd_bag_open(c, &p->pairs, 2 * p->buckets);
    for (int side = 0; err == OK && side < SIDES; side++) {
        p->side = side;
        p->rank = 0;
        p->run = 0;
        err = crowd_each_in_order(c, &bags[side], crowd_in_order, number_pair, p);
    }
    for (uint32_t bucket = 0; err == OK && p->total && bucket < p->buckets; bucket++)
        err = judge_bucket(c, p, bucket, &first, is_alike);
    crowd_bag_close(p->pairs);
    mem_give(p->runs);
    return err;
}
