/* core/engine/crowd_rest.c: P3 to P3d and P6 of a crowd: what is left of one key. */
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"

/* A row that has its verdict, or goes on to the next key. */
static enum err part_with(struct crowd *c, struct full *row)
{
    row->met = 1;
    return row->verdict == VERDICT_OPEN ? judge_go_on(c->w, row, &c->refs[row - c->rows], NULL, c->pass)
                                        : judge_emit(c->w, row);
}

enum err crowd_rest_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    enum err err = crowd_lay(c, items, count);
    (void)context;
    if (err != OK)
        return err;
    crowd_sort(c->order, count, sizeof *c->order, crowd_by_key);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        for (to = from + 1; to < count && span_equal(c->order[to]->key, c->order[from]->key); to++) {
        }
        if (!resolve_rest(c->job, &c->w->scratch, c->order + from, to - from, c->pass + 1))
            err = mem_fail(&c->w->diag, 0, "the records of one key");
    }
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = part_with(c, c->order[i]);
    return err;
}

/* What is left of one key: more than is held. */ static enum err rest_open(struct crowd *c,
                                                                            struct crowd_rest *r)
{
    memset(r, 0, sizeof *r);
    arena_init(&r->first.arena);
    arena_init(&r->of_side[LOCAL].arena);
    arena_init(&r->of_side[CHANNEL].arena);
    return crowd_bag_open(c, &r->parts, SIDES + 1);
}

static void rest_close(struct crowd_rest *r)
{
    arena_fini(&r->first.arena);
    arena_fini(&r->of_side[LOCAL].arena);
    arena_fini(&r->of_side[CHANNEL].arena);
    crowd_bag_close(r->parts);
}

struct crowd_bag crowd_rest_part(const struct crowd_rest *r, uint32_t first, uint32_t end)
{
    struct crowd_bag bag = {r->parts, first, end, {0, 0}};
    for (uint32_t i = first; i < end; i++) {
        bag.size.count += r->sizes[i].count;
        bag.size.bytes += r->sizes[i].bytes;
    }
    return bag;
}

enum err crowd_rest_add(struct crowd *c, struct crowd_rest *r, const struct crowd_item *item,
                        const struct full *row)
{
    enum err err = r->first.is_there ? OK : crowd_keep(c, &r->first, item);
    if (err == OK && !span_equal(row->key, r->first.row.key)) {
        crowd_count(&r->sizes[SIDES], item);
        return crowd_bag_put(c, r->parts, SIDES, item);
    }
    if (err == OK && !r->of_side[row->side].is_there)
        err = crowd_keep(c, &r->of_side[row->side], item);
    if (err != OK)
        return err;
    r->several_sigmas[row->side] |= sigma_compare(c->job, row, &r->of_side[row->side].row) != 0;
    r->currencies[row->side][row->currency] = 1;
    sums_add(c->job, &r->sums, &r->first.row, row);
    if (c->job->match.group.given)
        group_add(c->job, &r->group, row);
    crowd_count(&r->sizes[row->side], item);
    return crowd_bag_put(c, r->parts, row->side, item);
}

static enum err part_rest(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = crowd_rest_add(c, context, &items[i], &c->rows[i]);
    return err;
}

static enum err tell_rest(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    const struct crowd_rest *r = context;
    enum err err = OK;
    (void)items;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        if (r->is == REST_UNCLEAR)
            resolve_unclear(row, c->pass + 1);
        else if (r->is == REST_SET)
            set_finish(&r->verdict, row, c->pass + 1);
        else if (r->is == REST_GROUP)
            group_finish(c->job, &r->verdict, row, c->pass + 1);
        else if (!c->job->match.group.given)
            resolve_repeat(row, c->pass + 1);
        err = part_with(c, row);
    }
    return err;
}

static int crosses_currencies(const struct crowd *c, const struct crowd_rest *r)
{
    for (int l = 0; c->job->match.fx.rates && l < CURRENCY_COUNT_MAX; l++)
        for (int k = 0; k < CURRENCY_COUNT_MAX; k++)
            if (l != k && r->currencies[LOCAL][l] && r->currencies[CHANNEL][k])
                return 1;
    return 0;
}

/* What is left of one key gets its verdicts: as resolve_rest gives them, in the same order. */
static enum err decide(struct crowd *c, struct crowd_rest *r)
{
    const struct match_rules *match = &c->job->match;
    const struct crowd_bag bags[SIDES] = {crowd_rest_part(r, LOCAL, LOCAL + 1),
                                          crowd_rest_part(r, CHANNEL, CHANNEL + 1)};
    r->is = REST_OPEN;
    if (match->group.given) {
        if (group_decides(c->job, &r->group, &r->verdict))
            r->is = REST_GROUP;
    } else if (r->sizes[LOCAL].count && r->sizes[CHANNEL].count) {
        if (match->partials.given && match->partials.key_index == c->pass &&
            sums_are_partial(c->job, &r->sums, &r->verdict)) {
            r->is = REST_SET;
        } else if (r->sizes[LOCAL].count == r->sizes[CHANNEL].count && !r->several_sigmas[LOCAL] &&
                   !r->several_sigmas[CHANNEL]) {
            struct crowd_pairing pairing = {.run_count = 0};
            const uint64_t from[SIDES] = {0, 0};
            enum err err = crowd_add_run(c, &pairing, from, r->sizes[LOCAL].count);
            return err == OK ? crowd_pair_by_rank(c, &pairing, bags, PAIRS_UNLIKE) : err;
        } else if (match->splits && sums_are_split(c->job, &r->sums, &r->verdict)) {
            r->is = REST_SET;
        } else {
            r->is = REST_UNCLEAR;
        }
    }
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++)
        err = crowd_bag_rows(c, &bags[side], tell_rest, r);
    return err;
}

/* What cannot be parted. */
static enum err judge_whole(struct crowd *c, const struct crowd_bag *bag)
{
    struct crowd_item *items = NULL;
    uint32_t count = 0;
    enum err err = crowd_gather(c, bag, 1, &items, &count);
    if (err == OK)
        err = crowd_rest_slice(c, NULL, items, count);
    mem_give(items);
    return err;
}

enum err crowd_rest_bag(struct crowd *c, const struct crowd_bag *bag)
{
    struct crowd_rest *r = mem_take_zero(2, sizeof *r); /* as it came; behind P3 */
    if (!r)
        return mem_fail(&c->w->diag, 2 * sizeof *r, "open records");
    enum err err = rest_open(c, &r[0]);
    if (err == OK)
        err = rest_open(c, &r[1]);
    if (err == OK)
        err = crowd_bag_rows(c, bag, part_rest, &r[0]);
    const struct crowd_bag all = crowd_rest_part(&r[0], LOCAL, SIDES);
    const int meet_here =
        err == OK && r[0].sizes[LOCAL].count && r[0].sizes[CHANNEL].count && !c->job->match.group.given;
    const int is_whole = meet_here && crosses_currencies(c, &r[0]),
              tolerates = !is_whole && meet_here && resolve_tolerates(c->job);
    if (is_whole)
        err = all.size.bytes > c->whole_bytes ? crowd_too_many_here(c, &r[0].first.item.ref, all.size)
                                              : judge_whole(c, &all);
    else if (tolerates)
        err = crowd_tolerate(c, &r[0], &r[1]);
    if (err == OK && !is_whole)
        err = decide(c, &r[tolerates]);
    const struct crowd_bag others = crowd_rest_part(&r[0], SIDES, SIDES + 1);
    if (err == OK && others.size.count)
        err = crowd_rest_bag(c, &others);
    rest_close(&r[0]);
    rest_close(&r[1]);
    mem_give(r);
    return err;
}
