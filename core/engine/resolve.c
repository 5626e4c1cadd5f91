/* core/engine/resolve.c: the rest gets its verdicts, key by key, partition by partition.
 *
 * A partition's open records are few enough to hold whole: their rows are fetched by place, grouped by key,
 * and judged by rules/verdict.c. What K1 leaves open goes, as a reference, to the partition of its next key;
 * all workers meet between keys. So memory is bounded by the largest partition, and the outcome depends on
 * nothing but which records are open.
 */
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/engine/worker.h"
#include <stdlib.h>

static int by_side_and_place(const void *a, const void *b)
{
    const struct row_ref *x = a, *y = b;
    if (x->side != y->side)
        return (int)x->side - (int)y->side;
    return (x->place > y->place) - (x->place < y->place);
}

static int by_key(const void *a, const void *b)
{
    return span_compare((*(struct full *const *)a)->key, (*(struct full *const *)b)->key);
}

static void count_verdict(struct worker *w, const struct full *row)
{
    w->totals.count[row->verdict][row->side]++;
    w->totals.rows[row->verdict][row->side][row->currency]++;
    w->totals.sums[row->verdict][row->side][row->currency] += row->amount_micro;
    if (row->side == LOCAL || !row->partner)
        for (uint64_t bits = row->reasons; bits; bits &= bits - 1)
            w->reason_count[__builtin_ctzll(bits)]++;
    if (row->verdict == CLASS_MATCH)
        w->booked[row->currency] +=
            row->side == CHANNEL ? row->amount_micro : -(money_total)row->amount_micro;
}

static enum err emit(struct worker *w, const struct full *row)
{
    CHECK2(row->verdict < CLASSES, row->verdict, row->place);
    count_verdict(w, row);
    if (row->partner && row->side == CHANNEL)
        return OK; /* written with its partner */
    if (row->verdict == CLASS_MATCH && !w->run->config->write_match)
        return OK;
    return w->run->config->sink->ops->put(w->run->config->sink, w->number, w->io, row, row->partner,
                                          &w->diag);
}

static enum err put_later(struct worker *w, const struct full *row, const struct row_ref *ref, int key_index)
{
    struct later_list *list = &w->fresh;
    if (list->count == list->room) {
        uint64_t room = list->room ? list->room * 2 : 1024;
        struct later_ref *grown = mem_grow(list->refs, room * sizeof *grown);
        if (!grown)
            return mem_fail(&w->diag, room * sizeof *grown, "records for the next key");
        list->refs = grown;
        list->room = room;
    }
    struct later_ref *later = &list->refs[list->count++];
    later->ref = *ref;
    later->ref.dup_suspect = row->dup_suspect;
    later->ref.met = row->met;
    later->ref.revisited = 0;
    later->partition = (uint32_t)hash_bytes(row->key.data, row->key.size, 0) % HASH_PARTITIONS;
    later->key_index = (uint32_t)key_index;
    return OK;
}

/* What is still open after the pass of one key: to the next key it has, or its end. */
static enum err go_on(struct worker *w, struct full *row, const struct row_ref *ref, int key_index)
{
    const struct job *job = w->run->config->job;
    for (int next = key_index + 1; next < job->match.key_count; next++) {
        if (!normalize_key(job, next, &w->arena, row))
            return mem_fail(&w->diag, 0, "a key");
        if (row->key.data)
            return put_later(w, row, ref, next);
    }
    resolve_alone(job, row);
    return emit(w, row);
}

/* Judges the records that `refs` name, under one key. */
static enum err judge(struct worker *w, struct row_ref *refs, uint32_t count, int key_index)
{
    if (count == 0)
        return OK;
    const struct job *job = w->run->config->job;
    arena_reset(&w->arena);
    qsort(refs, count, sizeof *refs, by_side_and_place);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!(refs[i].record_flags & RECORD_REJECT)) {
            refs[kept++] = refs[i];
            continue;
        }
        struct source *source = w->run->config->sources[refs[i].side];
        enum err err = source->ops->late_reject(source, w->io, &refs[i], &w->diag);
        if (err != OK)
            return err;
    }
    count = kept;
    struct full *rows = mem_take((size_t)count * sizeof *rows);
    struct full **order = mem_take((size_t)count * sizeof *order);
    enum err err = rows && order
                       ? OK
                       : mem_fail(&w->diag, (size_t)count * (sizeof *rows + sizeof *order), "open records");
    uint32_t locals = 0;
    while (err == OK && locals < count && refs[locals].side == LOCAL)
        locals++;
    for (int side = LOCAL; err == OK && side < SIDES; side++) {
        uint32_t from = side == LOCAL ? 0 : locals, n = side == LOCAL ? locals : count - locals;
        struct source *source = w->run->config->sources[side];
        if (n)
            err = source->ops->fetch(source, w->io, refs + from, rows + from, n, &w->arena, &w->diag);
    }
    uint32_t grouped = 0;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &rows[i];
        row->dup_suspect = refs[i].dup_suspect;
        row->met = refs[i].met;
        if (refs[i].revisited && row->side == LOCAL) {
            w->revisited_count[row->currency]++;
            w->revisited_sum[row->currency] += row->amount_micro;
        }
        if (row->record_flags & (RECORD_VOIDED | RECORD_EXCLUDED)) {
            resolve_alone(job, row);
            err = emit(w, row);
        } else if (!normalize_key(job, key_index, &w->arena, row)) {
            err = mem_fail(&w->diag, 0, "a key");
        } else if (!row->key.data) {
            err = go_on(w, row, &refs[i], key_index);
        } else {
            order[grouped++] = row;
        }
    }
    if (err == OK)
        qsort(order, grouped, sizeof *order, by_key);
    for (uint32_t i = 0, next; err == OK && i < grouped; i = next) {
        for (next = i + 1; next < grouped && span_equal(order[next]->key, order[i]->key); next++) {
        }
        if (!resolve_group(job, &w->scratch, order + i, next - i, key_index + 1))
            err = mem_fail(&w->diag, 0, "the records of one key");
        for (uint32_t k = i; k < next; k++)
            order[k]->met = 1;
        for (uint32_t k = i; err == OK && k < next; k++)
            err = order[k]->verdict == VERDICT_OPEN ? go_on(w, order[k], &refs[order[k] - rows], key_index)
                                                    : emit(w, order[k]);
    }
    mem_give(order);
    mem_give(rows);
    return err;
}

static int by_key_hash(const void *a, const void *b)
{
    const struct row_ref *x = a, *y = b;
    return (x->key_hash > y->key_hash) - (x->key_hash < y->key_hash);
}

/* Judges whole keys, not too many records at once: their rows are held meanwhile. */
static enum err judge_slices(struct worker *w, struct row_ref *refs, uint32_t count)
{
    enum { SLICE = 8192 };
    enum err err = OK;
    if (count > SLICE)
        qsort(refs, count, sizeof *refs, by_key_hash);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        to = count - from < SLICE ? count : from + SLICE;
        while (to < count && refs[to].key_hash == refs[to - 1].key_hash)
            to++;
        err = judge(w, refs + from, to - from, 0);
    }
    return err;
}

static enum err first_key(struct worker *w)
{
    struct row_ref *refs = NULL;
    struct pair_ref *pairs = NULL;
    uint32_t count, room = 0, pair_count, pair_room = 0;
    const struct run_config *config = w->run->config;
    enum err err = OK;
    for (uint32_t shard = 0; err == OK && shard < w->run->shard_count; shard++) {
        enum step step = w->shards[shard] ? STEP_MORE : STEP_DONE;
        while (step == STEP_MORE && err == OK && !run_failed(w->run)) {
            count = pair_count = 0;
            step = config->index->next(w->shards[shard], &refs, &count, &room,
                                       config->write_match ? &pairs : NULL, &pair_count, &pair_room,
                                       &w->diag);
            err = step == STEP_FAILED ? w->diag.err : OK;
            if (err == OK && pair_count)
                err = config->sink->ops->put_pairs(config->sink, w->number, pairs, pair_count, &w->diag);
            if (err == OK)
                err = judge_slices(w, refs, count);
        }
    }
    mem_give(refs);
    mem_give(pairs);
    return err;
}

static int by_key_and_partition(const void *a, const void *b)
{
    const struct later_ref *x = a, *y = b;
    if (x->key_index != y->key_index)
        return x->key_index < y->key_index ? -1 : 1;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

/* The first of a sorted list at or behind (key, partition). */
static uint64_t later_find(const struct later_list *list, int key_index, uint32_t partition)
{
    struct later_ref wanted = {.key_index = (uint32_t)key_index, .partition = partition};
    uint64_t low = 0, high = list->count;
    while (low < high) {
        uint64_t mid = (low + high) / 2;
        if (by_key_and_partition(&list->refs[mid], &wanted) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Takes from all workers the records of one partition of a later key. */
static enum err later_key(struct worker *w, int key_index, uint32_t partition)
{
    struct run *run = w->run;
    uint64_t count = 0;
    for (uint32_t i = 0; i < run->worker_count; i++)
        count += later_find(&run->workers[i].later, key_index, partition + 1) -
                 later_find(&run->workers[i].later, key_index, partition);
    if (count == 0)
        return OK;
    struct row_ref *refs = mem_take(count * sizeof *refs);
    if (!refs)
        return mem_fail(&w->diag, count * sizeof *refs, "open records");
    count = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        const struct later_list *list = &run->workers[i].later;
        uint64_t end = later_find(list, key_index, partition + 1);
        for (uint64_t k = later_find(list, key_index, partition); k < end; k++)
            refs[count++] = list->refs[k].ref;
    }
    enum err err = judge(w, refs, (uint32_t)count, key_index);
    mem_give(refs);
    return err;
}

/* Between keys: what this worker left for later ones joins what it had, and what is done with goes. */
static enum err merge_later(struct worker *w, int done_key)
{
    struct later_list *later = &w->later, *fresh = &w->fresh;
    uint64_t kept = 0;
    for (uint64_t i = 0; i < later->count; i++)
        if (later->refs[i].key_index > (uint32_t)done_key)
            later->refs[kept++] = later->refs[i];
    later->count = kept;
    if (kept + fresh->count > later->room) {
        struct later_ref *grown = mem_grow(later->refs, (kept + fresh->count) * sizeof *grown);
        if (!grown)
            return mem_fail(&w->diag, (kept + fresh->count) * sizeof *grown, "records for the next key");
        later->refs = grown;
        later->room = kept + fresh->count;
    }
    if (fresh->count)
        memcpy(later->refs + kept, fresh->refs, fresh->count * sizeof *fresh->refs);
    later->count += fresh->count;
    fresh->count = 0;
    if (later->count)
        qsort(later->refs, later->count, sizeof *later->refs, by_key_and_partition);
    return OK;
}

/* All verdicts are given: the workers write match.csv together, if it is asked for. */
static enum err write_matches(struct worker *w, enum err err)
{
    struct run *run = w->run;
    struct sink *sink = run->config->sink;
    const unsigned stages = sink->ops->stages(sink);
    if (err != OK)
        run_fail(run, &w->diag);
    if (stages)
        pthread_barrier_wait(&run->barrier);
    for (unsigned stage = 0; stage < stages; stage++) {
        if (err == OK && !run_failed(run) &&
            (err = sink->ops->stage(sink, stage, w->number, w->io, &w->diag)) != OK)
            run_fail(run, &w->diag);
        pthread_barrier_wait(&run->barrier);
    }
    return err;
}

enum err worker_resolve(struct worker *w)
{
    struct run *run = w->run;
    enum err err = run_failed(run) ? OK : first_key(w);
    for (int key = 1; key < run->config->job->match.key_count; key++) {
        if (err == OK)
            err = merge_later(w, key - 1);
        if (err != OK)
            run_fail(run, &w->diag);
        if (w->number == 0)
            atomic_store(&run->next_partition, 0);
        pthread_barrier_wait(&run->barrier);
        for (uint32_t p; err == OK && !run_failed(run) &&
                         (p = atomic_fetch_add(&run->next_partition, 1)) < HASH_PARTITIONS;)
            err = later_key(w, key, p);
        if (err != OK)
            run_fail(run, &w->diag);
        pthread_barrier_wait(&run->barrier);
    }
    return write_matches(w, err);
}
