/* core/engine/crowd.c: see crowd.h */
#include "core/engine/crowd.h"
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include <stdio.h>

/* What a worker's memory is for: rows at hand, items of a partition, and spools (crowd_bag.c) some 11/32. */
enum {
    ROWS_OF_16 = 5,
    ITEMS_SHARE = 8,
    STREAM_SHARE = 12,
    ROW_BYTES = 1024, /* of a whole record, with its texts: a guess, before any was seen */
    SLICE = 4096,
    ROWS_MAX = 64 << 10, /* at hand, at most: what is more is done faster in parts */
    CROWD_MIN = 8 << 10, /* of one key: what is more is a crowd, whatever there is memory for */
    STREAM_MIN = 1024,
    STREAM_MAX = 64 << 10,
    ITEMS_MIN = 8192,
    WHOLE_MIN = 4 << 20, /* bytes: no run has so little, but those of tests */
    SHED_MAX = 240,      /* crowds that are told apart in a partition */
    PART_BITS = 5,
    PARTS = 1 << PART_BITS,
    LEVELS = 4
};

/* ---- what is a crowd ---- */

uint32_t crowd_rows(const struct run_config *config)
{
    if (config->group_rows)
        return config->group_rows;
    const uint64_t rows = config->memory / config->workers / 2 / ROW_BYTES;
    return rows < SLICE ? SLICE : rows > CROWD_MIN ? CROWD_MIN : (uint32_t)rows;
}

int crowd_splits(const struct run_config *config)
{
    /* Images of other days stand in the places of carried records: those are looked at together. */
    for (int side = 0; config->is_task && side < SIDES; side++)
        if (source_tells_images(config->job->sources[side].kind))
            return 0;
    return 1;
}

/* Why a key's rows are held together here, where others are judged in parts. */
static const char *why_together(const struct run_config *config)
{
    const struct match_rules *rules = &config->job->match;
    return !crowd_splits(config)
               ? "in a book, a side that a log tells has all rows of a key at hand, since images "
                 "take the place of carried records"
           : rules->fx.path ? "match.fx looks for a rate among all rows of a key that the passes before left"
           : rules->reversals ? "match.reversals looks among all rows of a key that the passes before left"
                              : "rows within tolerance of each other are paired together";
}

enum err crowd_too_many(struct worker *w, const struct row_ref *ref, uint64_t count, uint64_t needed,
                        uint64_t allowed)
{
    const struct run_config *config = w->run->config;
    char hint[600];
    /* One worker has what all of them have now; and some more than is counted. */
    const uint64_t mib = (uint64_t)((double)config->memory * (double)needed /
                                    (double)(allowed ? allowed : 1) / config->workers * 1.25) >>
                         20;
    snprintf(hint, sizeof hint,
             "%s. Is the key right? One of more parts (match.keys: [[channel_code, biz_order_no, ...]]) that "
             "parts "
             "them needs less; if it is right: --threads=1 --memory=%lluMiB, or more",
             why_together(config), (unsigned long long)mib + 64);
    return diag_set(&w->diag, ERR_MACHINE, "memory.group", hint,
                    "%llu records have one key and must be judged together, for which some %llu MiB are "
                    "needed and %llu MiB allowed to each worker; one of them is at byte %llu of the %s "
                    "side",
                    (unsigned long long)count, (unsigned long long)(needed >> 20),
                    (unsigned long long)(allowed >> 20), (unsigned long long)ref->place,
                    side_name((enum side)ref->side));
}

enum err crowd_too_many_here(struct crowd *c, const struct row_ref *ref, struct crowd_size size)
{
    return crowd_too_many(c->w, ref, size.count, size.bytes, c->whole_bytes);
}

/* ---- a partition of a stage ---- */

/* Items of a partition, or of a part of one, by hash. */
struct by_hash {
    struct crowd *c;
    struct spool *shed;
    uint64_t shed_hash[SHED_MAX];
    struct crowd_size shed_size[SHED_MAX];
    uint32_t shed_count;
    int level;
    /* more than are held, though no hash is a crowd: parts by further bits of it */
    struct spool *parts;
    struct crowd_size part_size[PARTS];
};

static struct crowd_size size_of(const struct crowd_item *items, uint32_t from, uint32_t to)
{
    struct crowd_size size = {0, 0};
    for (uint32_t i = from; i < to; i++)
        crowd_count(&size, &items[i]);
    return size;
}

/* Moves crowds from the list to a spool: hashes with more records than `most`, or than are held. The list is sorted then. */
static enum err shed(struct by_hash *b, uint32_t most)
{
    struct crowd *c = b->c;
    uint32_t kept = 0;
    enum err err = OK;
    crowd_sort_by_hash(c->items, c->count);
    for (uint32_t from = 0, to; err == OK && from < c->count; from = to) {
        to = crowd_same_hash(c->items, c->count, from);
        const struct crowd_size size = size_of(c->items, from, to);
        const int leaves =
            (size.count > most || crowd_is_more(c, size)) && size.count > 1 && b->shed_count < SHED_MAX;
        if (leaves && !b->shed)
            err = crowd_bag_open(c, &b->shed, SHED_MAX);
        for (uint32_t i = from; err == OK && i < to; i++)
            if (leaves)
                err = crowd_bag_put(c, b->shed, b->shed_count, &c->items[i]);
            else
                c->items[kept++] = c->items[i];
        if (leaves) {
            b->shed_hash[b->shed_count] = c->items[to - 1].hash;
            b->shed_size[b->shed_count++] = size;
        }
    }
    c->count = kept;
    return err;
}

/* The partition's number was made of the hash's uppermost bits. */
static uint32_t part_of(const struct by_hash *b, uint64_t hash)
{
    return (uint32_t)(hash >> (64 - crowd_partition_bits(b->c->w) - PART_BITS * (b->level + 1))) % PARTS;
}

static enum err put_part(struct by_hash *b, const struct crowd_item *item)
{
    const uint32_t part = part_of(b, item->hash);
    crowd_count(&b->part_size[part], item);
    return crowd_bag_put(b->c, b->parts, part, item);
}

/* The list is full: crowds leave it; if it is still half full, all of it does. */
static enum err make_room(struct by_hash *b)
{
    struct crowd *c = b->c;
    enum err err = shed(b, c->items_max / 8);
    if (err != OK || c->count <= c->items_max / 2)
        return err;
    if (b->level == LEVELS) /* nobody comes here but by chance: then they are held */
        return OK;
    err = crowd_bag_open(c, &b->parts, PARTS);
    for (uint32_t i = 0; err == OK && i < c->count; i++)
        err = put_part(b, &c->items[i]);
    c->count = 0;
    return err;
}

static enum err take_item(struct by_hash *b, const struct crowd_item *item)
{
    struct crowd *c = b->c;
    enum err err = OK;
    if (c->count >= c->items_max && !b->parts)
        err = make_room(b);
    uint32_t slot = 0;
    while (slot < b->shed_count && b->shed_hash[slot] != item->hash)
        slot++;
    if (err != OK)
        return err;
    if (slot < b->shed_count) {
        crowd_count(&b->shed_size[slot], item);
        return crowd_bag_put(c, b->shed, slot, item);
    }
    if (b->parts)
        return put_part(b, item);
    if (c->count == c->room) {
        const uint32_t twice = c->room ? c->room * 2 : 1024;
        const uint32_t room = c->room < c->items_max && twice > c->items_max ? c->items_max : twice;
        struct crowd_item *grown = mem_grow(c->items, room * sizeof *grown);
        if (!grown)
            return mem_fail(&c->w->diag, room * sizeof *grown, "open records");
        c->items = grown;
        c->room = room;
    }
    c->items[c->count++] = *item;
    return OK;
}

static enum err take_items(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    const struct crowd_item *items = bytes;
    enum err err = OK;
    (void)diag; /* the worker's own */
    for (uint32_t i = 0; err == OK && i < size / sizeof *items; i++)
        err = take_item(context, &items[i]);
    return err;
}

static enum err take_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count)
{
    enum err err = OK;
    (void)c;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = take_item(context, &items[i]);
    return err;
}

/* Brings records together by hash: `take` gets whole hashes in slices, `take_bag` each that is more than that. `part`: of the
 * level above; NULL: the partition, of all workers. */
static enum err each_hash(struct crowd *c, int stage, uint32_t partition, const struct crowd_bag *part,
                          int level, crowd_slice_fn *take, crowd_bag_fn *take_bag)
{
    struct worker *w = c->w;
    struct by_hash *b = mem_take_zero(1, sizeof *b);
    if (!b)
        return mem_fail(&w->diag, sizeof *b, "open records");
    b->c = c;
    b->level = level;
    c->count = 0;
    enum err err = part ? crowd_bag_each(c, part, take_slice, b) : OK;
    for (uint32_t i = 0; err == OK && !part && i < w->run->worker_count; i++) {
        const struct spool *spool = w->run->workers[i].crowd[stage];
        if (spool)
            err = spool->ops->read(spool, w->spill, partition, take_items, b, &w->diag);
    }
    if (err == OK)
        err = shed(b, c->rows_max);
    for (uint32_t from = 0, to; err == OK && from < c->count && !run_failed(w->run); from = to) {
        struct crowd_size size = {0, 0};
        to = from;
        do {
            const uint32_t next = crowd_same_hash(c->items, c->count, to);
            const struct crowd_size more = size_of(c->items, to, next);
            size.count += more.count;
            size.bytes += more.bytes;
            if (to > from && crowd_is_more(c, size))
                break;
            to = next;
        } while (to < c->count);
        err = take(c, NULL, c->items + from, to - from);
    }
    for (uint32_t slot = 0; err == OK && slot < b->shed_count && !run_failed(w->run); slot++) {
        const struct crowd_bag bag = {b->shed, slot, slot + 1, b->shed_size[slot]};
        err = take_bag(c, &bag);
        b->shed->ops->drop(b->shed, slot);
    }
    crowd_bag_close(b->shed);
    for (uint32_t i = 0; err == OK && b->parts && i < PARTS && !run_failed(w->run); i++) {
        const struct crowd_bag bag = {b->parts, i, i + 1, b->part_size[i]};
        if (bag.size.count)
            err = each_hash(c, stage, partition, &bag, level + 1, take, take_bag);
        b->parts->ops->drop(b->parts, i);
    }
    crowd_bag_close(b->parts);
    mem_give(b);
    return err;
}

/* ---- the stages ---- */

static enum err judge_partition(struct crowd *c, int stage, uint32_t partition)
{
    if (stage != CROWD_IN && partition >= 1u << crowd_partition_bits(c->w))
        return OK;

    switch (stage) {
    case CROWD_IN:
        return crowd_stage_in(c, partition);
    case CROWD_OCCURRENCE:
        return each_hash(c, stage, partition, NULL, 0, crowd_occurrence_slice, crowd_occurrence_bag);
    case CROWD_SIGMA:
        return each_hash(c, stage, partition, NULL, 0, crowd_sigma_slice, crowd_sigma_bag);
    default:
        return each_hash(c, stage, partition, NULL, 0, crowd_rest_slice, crowd_rest_bag);
    }
}

static enum err crowd_begin(struct crowd *c, struct worker *w, int pass)
{
    *c = (struct crowd){.w = w, .job = w->run->config->job, .pass = pass};
    const uint64_t memory = w->run->config->memory / w->run->config->workers;
    const uint32_t forced = w->run->config->group_rows;
    const uint64_t items = memory / ITEMS_SHARE / sizeof(struct crowd_item);
    const uint64_t stream = memory / STREAM_SHARE / sizeof(struct crowd_item);
    c->rows_max = forced ? forced : ROWS_MAX;
    c->row_bytes = memory < WHOLE_MIN ? WHOLE_MIN / 4 : memory / 16 * ROWS_OF_16;
    c->whole_bytes = memory < 2 * WHOLE_MIN ? WHOLE_MIN : memory / 2;
    c->items_max = forced && forced < ITEMS_MIN / 8 ? forced * 8
                   : items < ITEMS_MIN              ? ITEMS_MIN
                   : items > INT32_MAX              ? INT32_MAX
                                                    : (uint32_t)items;
    c->stream_room = stream < STREAM_MIN ? STREAM_MIN : stream > STREAM_MAX ? STREAM_MAX : (uint32_t)stream;
    c->stream = mem_take(c->stream_room * sizeof *c->stream);
    return c->stream ? OK : mem_fail(&w->diag, c->stream_room * sizeof *c->stream, "open records");
}

static void crowd_end(struct crowd *c)
{
    mem_give(c->stream);
    mem_give(c->items);
    mem_give(c->refs);
    mem_give(c->rows);
    mem_give(c->order);
    mem_give(c->placed);
}

enum err crowd_judge(struct worker *w, int pass, enum err err)
{
    struct run *run = w->run;
    struct crowd c = {0};
    if (err != OK)
        run_fail(run, &w->diag);
    if (pass == 0)
        atomic_fetch_add(&run->crowded, w->told_count);
    pthread_barrier_wait(&run->barrier);
    if (!atomic_load(&run->crowded)) /* all workers see the same: nobody puts any more */
        return err;
    if (err == OK)
        err = crowd_begin(&c, w, pass);
    if (err == OK && pass == 0 && w->number == 0) /* the others read it behind the first barrier */
        err = crowd_places_decide(w);
    for (int stage = 0; stage < CROWD_STAGES; stage++) {
        if (err == OK && w->crowd[stage])
            err = w->crowd[stage]->ops->seal(w->crowd[stage], &w->diag);
        if (err == OK && pass == 0 && stage == CROWD_IN)
            err = crowd_told_begin(&c);
        if (err != OK)
            run_fail(run, &w->diag);
        if (w->number == 0)
            atomic_store(&run->next_partition, 0);
        pthread_barrier_wait(&run->barrier);
        for (uint32_t p; err == OK && !run_failed(run) &&
                         (p = atomic_fetch_add(&run->next_partition, 1)) < PARTITIONS_MAX;)
            err = judge_partition(&c, stage, p);
        if (err == OK)
            err = crowd_places_flush(&c);
        if (err != OK)
            run_fail(run, &w->diag);
        if (w->number == 0 && stage == CROWD_STAGES - 1) {
            atomic_store(&run->crowded, 0);
            crowd_forget_fresh(run);
            crowd_forget_names(run);
        }
        pthread_barrier_wait(&run->barrier);
        if (w->crowd[stage])
            w->crowd[stage]->ops->close(w->crowd[stage]);
        w->crowd[stage] = NULL;
        if (stage == CROWD_IN)
            crowd_door_close(w);
    }
    crowd_end(&c);
    return err;
}
