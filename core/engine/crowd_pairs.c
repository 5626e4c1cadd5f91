/* core/engine/crowd_pairs.c: pairs of a crowd by their rank in the order of the records. */
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"

enum { BUCKETS_MAX = 128 };

/* Pairs by their numbers, so many together that their items can be held. */
struct crowd_buckets {
    struct spool *spool; /* by bucket, local ones first */
    uint32_t count;
    uint64_t first, pairs; /* numbers of all of them */
    struct crowd_size sizes[2 * BUCKETS_MAX];
};

enum err crowd_add_run(struct crowd *c, struct crowd_pairing *p, const uint64_t from[SIDES], uint64_t count)
{
    if (mem_list_more(&p->runs, p->run_count, &p->run_room, 16, "runs of pairs", &c->w->diag) != OK)
        return ERR_MACHINE;
    p->runs[p->run_count++] = (struct paired_run){{from[LOCAL], from[CHANNEL]}, count, p->total};
    p->total += count;
    return OK;
}

/* Pairs whose items are at hand together. */
static uint64_t pairs_max(const struct crowd *c)
{
    return c->items_max / 4 + 1;
}

static enum err open_buckets(struct crowd *c, struct crowd_buckets **out, uint64_t first, uint64_t pairs)
{
    struct crowd_buckets *b = *out = mem_take_zero(1, sizeof *b);
    if (!b)
        return mem_fail(&c->w->diag, sizeof *b, "pairs");
    const uint64_t wanted = pairs / pairs_max(c) + 1;
    b->count =
        wanted == 1 ? 1 : crowd_bag_partitions(c, wanted < BUCKETS_MAX ? 2 * wanted : 2 * BUCKETS_MAX) / 2;
    b->first = first;
    b->pairs = pairs;
    return crowd_bag_open(c, &b->spool, 2 * b->count);
}

static void close_buckets(struct crowd_buckets *b)
{
    if (b)
        crowd_bag_close(b->spool);
    mem_give(b);
}

static enum err put_numbered(struct crowd *c, struct crowd_buckets *b, const struct crowd_item *item)
{
    const uint64_t bucket = (item->hash - b->first) * b->count / b->pairs;
    const uint32_t partition = (uint32_t)bucket + (item->ref.side == LOCAL ? 0 : b->count);
    crowd_count(&b->sizes[partition], item);
    return crowd_bag_put(c, b->spool, partition, item);
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
    return put_numbered(c, p->buckets, item);
}

static enum err put_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = put_numbered(c, context, &items[i]);
    return err;
}

/* Judges pairs: as many local as channel records, with numbers from `first` on. */
static enum err judge_pairs(struct crowd *c, struct crowd_item *items, uint32_t pairs, uint64_t first,
                            enum pairs_are are)
{
    enum err err = crowd_lay(c, items, pairs * 2);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < pairs * 2; i++) /* lay sorted them by place */
        c->order[(items[i].ref.side == LOCAL ? 0 : pairs) + (uint32_t)(items[i].hash - first)] = &c->rows[i];
    for (uint32_t i = 0; err == OK && i < pairs; i++) {
        struct full *local = c->order[i], *channel = c->order[pairs + i];
        CHECK2(local->side == LOCAL && channel->side == CHANNEL, local->place, channel->place);
        if (are == PAIRS_ALIKE)
            resolve_alike(local, channel, c->pass + 1);
        else
            resolve_unlike(c->job, local, channel, c->pass + 1);
        err = judge_emit(c->w, local);
        if (err == OK)
            err = judge_emit(c->w, channel);
    }
    return err;
}

/* Judges pairs whose items are few enough to be held, as many at a time as their rows can be. */
static enum err judge_held(struct crowd *c, const struct crowd_bag bags[SIDES], uint64_t first,
                           enum pairs_are are)
{
    const uint32_t pairs = (uint32_t)bags[LOCAL].size.count;
    struct crowd_item *items[SIDES] = {NULL, NULL}, *both = mem_take((size_t)pairs * 2 * sizeof *both);
    enum err err = both ? OK : mem_fail(&c->w->diag, (size_t)pairs * 2 * sizeof *both, "open records");
    for (int side = 0; err == OK && side < SIDES; side++) {
        uint32_t count = 0;
        err = crowd_gather(c, &bags[side], 1, &items[side], &count);
        CHECK2(err != OK || count == pairs, count, pairs);
    }
    for (uint32_t at = 0, here; err == OK && at < pairs && !run_failed(c->w->run); at += here) {
        struct crowd_size size = {0, 0};
        for (here = 0; at + here < pairs && (here == 0 || !crowd_is_more(c, size)); here++) {
            crowd_count(&size, &items[LOCAL][at + here]);
            crowd_count(&size, &items[CHANNEL][at + here]);
        }
        if (are == PAIRS_PLACED) { /* they were put in order, and so they come back */
            for (uint32_t i = at; err == OK && i < at + here; i++) {
                CHECK2(items[LOCAL][i].hash == first + i && items[CHANNEL][i].hash == first + i,
                       items[LOCAL][i].hash, items[CHANNEL][i].hash);
                err = crowd_place_pair(c, &items[LOCAL][i], &items[CHANNEL][i]);
            }
            continue;
        }
        memcpy(both, items[LOCAL] + at, here * sizeof *both);
        memcpy(both + here, items[CHANNEL] + at, here * sizeof *both);
        err = judge_pairs(c, both, here, first + at, are);
    }
    mem_give(items[LOCAL]);
    mem_give(items[CHANNEL]);
    mem_give(both);
    return err;
}

static enum err judge_buckets(struct crowd *c, struct crowd_buckets *b, enum pairs_are are)
{
    uint64_t first = b->first;
    enum err err = OK;
    for (uint32_t bucket = 0; err == OK && bucket < b->count && !run_failed(c->w->run); bucket++) {
        const struct crowd_bag bags[SIDES] = {
            {b->spool, bucket, bucket + 1, b->sizes[bucket]},
            {b->spool, b->count + bucket, b->count + bucket + 1, b->sizes[b->count + bucket]}};
        const uint64_t pairs = bags[LOCAL].size.count;
        CHECK2(bags[CHANNEL].size.count == pairs, bags[CHANNEL].size.count, pairs);
        if (pairs <= pairs_max(c)) {
            err = pairs ? judge_held(c, bags, first, are) : OK;
        } else { /* parted once more */
            struct crowd_buckets *finer = NULL;
            err = open_buckets(c, &finer, first, pairs);
            for (int side = 0; err == OK && side < SIDES; side++)
                err = crowd_bag_each(c, &bags[side], put_slice, finer);
            if (err == OK)
                err = judge_buckets(c, finer, are);
            close_buckets(finer);
        }
        for (int side = 0; side < SIDES; side++)
            b->spool->ops->drop(b->spool, bags[side].first);
        first += pairs;
    }
    return err;
}

/* Pairs the records of both sides by their ranks in the order of the records, as the runs say, and judges them. */
enum err crowd_pair_by_rank(struct crowd *c, struct crowd_pairing *p, const struct crowd_bag bags[SIDES],
                            enum pairs_are are)
{
    enum err err = open_buckets(c, &p->buckets, 0, p->total);
    for (int side = 0; err == OK && side < SIDES; side++) {
        p->side = side;
        p->rank = 0;
        p->run = 0;
        err = p->has_order[side] ? crowd_each_by_number(c, &bags[side], number_pair, p)
                                 : crowd_each_in_order(c, &bags[side], crowd_in_order, number_pair, p);
    }
    if (err == OK && p->total)
        err = judge_buckets(c, p->buckets, are);
    close_buckets(p->buckets);
    mem_give(p->runs);
    return err;
}
