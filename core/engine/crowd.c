/* core/engine/crowd.c: see crowd.h */
#include "core/engine/crowd.h"
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"

enum { ROWS_MAX = 64 << 10 /* of one key at hand, at most: what is more is done faster in parts */ };

/* ---- what is a crowd ---- */

uint32_t crowd_rows(const struct run_config *config)
{
    if (config->group_rows)
        return config->group_rows;
    const uint64_t rows = config->memory / config->workers / 2 / ROW_BYTES;
    return rows < SLICE ? SLICE : rows > ROWS_MAX ? ROWS_MAX : (uint32_t)rows;
}

int crowd_splits(const struct run_config *config)
{
    /* Images of other days stand in the places of carried records: those are looked at together. */
    for (int side = 0; config->is_task && side < SIDES; side++)
        if (source_tells_images(config->job->sources[side].kind))
            return 0;
    return 1;
}

enum err crowd_too_many(struct worker *w, const struct row_ref *ref, uint64_t count, uint64_t needed,
                        uint64_t allowed)
{
    return diag_set(&w->diag, ERR_MACHINE, "memory.group",
                    "is the key right? If it is, give --memory=SIZE more, or --threads=1",
                    "%llu records have one key and must be judged together, for which some %llu MiB are "
                    "needed and %llu MiB allowed to each worker; one of them is at byte %llu of the %s "
                    "side",
                    (unsigned long long)count, (unsigned long long)(needed >> 20),
                    (unsigned long long)(allowed >> 20), (unsigned long long)ref->place,
                    side_name((enum side)ref->side));
}

enum err crowd_too_many_here(struct crowd *c, const struct row_ref *ref, uint64_t count)
{
    return crowd_too_many(c->w, ref, count, count * ROW_BYTES, (uint64_t)c->whole_max * ROW_BYTES);
}

/* ---- a partition of a stage ---- */

/* Moves hashes with more than `most` records each from the list to a spool. The list is sorted then. */
static enum err shed(struct crowd *c, uint32_t most)
{
    uint32_t kept = 0;
    enum err err = OK;
    crowd_sort(c->items, c->count, sizeof *c->items, crowd_by_hash);
    for (uint32_t from = 0, to; err == OK && from < c->count; from = to) {
        to = crowd_same_hash(c->items, c->count, from);
        const int leaves = to - from > most && c->shed_count < SHED_MAX;
        if (leaves && !c->shed)
            err = crowd_bag_open(c, &c->shed, SHED_MAX);
        for (uint32_t i = from; err == OK && i < to; i++)
            if (leaves)
                err = crowd_bag_put(c, c->shed, c->shed_count, &c->items[i]);
            else
                c->items[kept++] = c->items[i];
        if (leaves) {
            c->shed_hash[c->shed_count] = c->items[to - 1].hash;
            c->shed_size[c->shed_count++] = to - from;
        }
    }
    c->count = kept;
    return err;
}

static enum err take_items(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct crowd *c = context;
    const struct crowd_item *items = bytes;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < size / sizeof *items; i++) {
        const uint32_t full = c->room;
        const int is_full = c->count == full;
        if (is_full && full > 4 * c->rows_max && (err = shed(c, full / 8)) != OK)
            return err;
        if (c->count == full ||
            (is_full && c->count > full / 2)) { /* else it would be sorted over and over */
            const uint32_t room = full ? full * 2 : 1024;
            struct crowd_item *grown = mem_grow(c->items, room * sizeof *grown);
            if (!grown)
                return mem_fail(diag, room * sizeof *grown, "open records");
            c->items = grown;
            c->room = room;
        }
        uint32_t slot = 0; /* perhaps shed just now */
        while (slot < c->shed_count && c->shed_hash[slot] != items[i].hash)
            slot++;
        if (slot < c->shed_count) {
            c->shed_size[slot]++;
            err = crowd_bag_put(c, c->shed, slot, &items[i]);
        } else {
            c->items[c->count++] = items[i];
        }
    }
    return err;
}

/* Brings a partition's records together by hash: `take` gets whole hashes in slices, `take_bag` each that is more than that. */
static enum err each_hash(struct crowd *c, int stage, uint32_t partition, crowd_slice_fn *take,
                          crowd_bag_fn *take_bag)
{
    struct worker *w = c->w;
    enum err err = OK;
    c->count = c->shed_count = 0;
    for (uint32_t i = 0; err == OK && i < w->run->worker_count; i++) {
        const struct spool *spool = w->run->workers[i].crowd[stage];
        if (spool)
            err = spool->ops->read(spool, w->spill, partition, take_items, c, &w->diag);
    }
    if (err == OK)
        err = shed(c, c->rows_max);
    for (uint32_t from = 0, to; err == OK && from < c->count && !run_failed(w->run); from = to) {
        to = crowd_same_hash(c->items, c->count, from);
        for (uint32_t next;
             to < c->count && (next = crowd_same_hash(c->items, c->count, to)) - from <= c->slice;)
            to = next;
        err = take(c, NULL, c->items + from, to - from);
    }
    for (uint32_t slot = 0; err == OK && slot < c->shed_count && !run_failed(w->run); slot++) {
        const struct crowd_bag bag = {c->shed, slot, slot + 1, c->shed_size[slot]};
        err = take_bag(c, &bag);
        c->shed->ops->drop(c->shed, slot);
    }
    crowd_bag_close(c->shed);
    c->shed = NULL;
    return err;
}

/* ---- the stages ---- */

static enum err judge_partition(struct crowd *c, int stage, uint32_t partition)
{
    switch (stage) {
    case CROWD_IN:
        return crowd_stage_in(c, partition);
    case CROWD_OCCURRENCE:
        return each_hash(c, stage, partition, crowd_occurrence_slice, crowd_occurrence_bag);
    case CROWD_SIGMA:
        return each_hash(c, stage, partition, crowd_sigma_slice, crowd_sigma_bag);
    default:
        return each_hash(c, stage, partition, crowd_rest_slice, crowd_rest_bag);
    }
}

static enum err crowd_begin(struct crowd *c, struct worker *w, int pass)
{
    *c = (struct crowd){.w = w, .job = w->run->config->job, .pass = pass};
    c->rows_max = crowd_rows(w->run->config);
    /* The more rows at hand, the closer they lie in their files. */
    c->slice = c->rows_max;
    const uint64_t whole = w->run->config->memory / w->run->config->workers / ROW_BYTES;
    c->whole_max = whole > INT32_MAX ? INT32_MAX : whole < SLICE ? SLICE : (uint32_t)whole;
    c->stream = mem_take(c->slice * sizeof *c->stream);
    return c->stream ? OK : mem_fail(&w->diag, c->slice * sizeof *c->stream, "open records");
}

static void crowd_end(struct crowd *c)
{
    crowd_bag_close(c->shed);
    mem_give(c->stream);
    mem_give(c->items);
    mem_give(c->refs);
    mem_give(c->rows);
    mem_give(c->order);
}

enum err crowd_judge(struct worker *w, int pass, enum err err)
{
    struct run *run = w->run;
    struct crowd c = {0};
    if (err != OK)
        run_fail(run, &w->diag);
    pthread_barrier_wait(&run->barrier);
    if (!atomic_load(&run->crowded)) /* all workers see the same: nobody puts any more */
        return err;
    if (err == OK)
        err = crowd_begin(&c, w, pass);
    for (int stage = 0; stage < CROWD_STAGES; stage++) {
        if (err == OK && w->crowd[stage])
            err = w->crowd[stage]->ops->seal(w->crowd[stage], &w->diag);
        if (err != OK)
            run_fail(run, &w->diag);
        if (w->number == 0)
            atomic_store(&run->next_partition, 0);
        pthread_barrier_wait(&run->barrier);
        for (uint32_t p;
             err == OK && !run_failed(run) && (p = atomic_fetch_add(&run->next_partition, 1)) < PARTITIONS;)
            err = judge_partition(&c, stage, p);
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
    }
    crowd_end(&c);
    return err;
}
