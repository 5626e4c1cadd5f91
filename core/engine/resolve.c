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

/* I4: what suspense had, got and gave. */
static void count_carry(struct worker *w, const struct full *row)
{
    struct carry_totals *t = &w->carry[row->side][row->currency];
    const money_total amount = row->amount_micro;
    const int is_final = verdict_is_final(row);
    if (!row->carry) {
        if (row->verdict == CLASS_SUSPENSE) {
            t->opened++;
            t->opened_sum += amount;
        }
    } else {
        if (row->carry->is_late) {
            t->reopened++;
            t->reopened_sum += row->carry->amount_micro;
        } else {
            t->opening++;
            t->opening_sum += row->carry->amount_micro;
        }
        t->changed_sum += amount - row->carry->amount_micro;
        if (is_final) {
            t->expired++;
            t->expired_sum += amount;
        } else if (row->verdict != CLASS_SUSPENSE) {
            t->resolved++;
            t->resolved_sum += amount;
        }
    }
    if (row->verdict == CLASS_SUSPENSE) {
        t->closing++;
        t->closing_sum += amount;
    }
}

/* The log tells everything but pairs of the day's own records that are exactly alike. */
static int is_plain_pair(const struct full *row)
{
    const uint64_t plain =
        REASON_BIT(REASON_EXACT) | REASON_BIT(REASON_DAY_CUT) | REASON_BIT(REASON_DATE_DISAGREES);
    return row->verdict == CLASS_MATCH && row->partner && !(row->reasons & ~plain) && !row->carry &&
           !row->partner->carry;
}

static enum err emit(struct worker *w, const struct full *row)
{
    CHECK2(row->verdict < CLASSES, row->verdict, row->place);
    count_verdict(w, row);
    if (w->carry) {
        count_carry(w, row);
        if (!(row->partner && row->side == CHANNEL) && !is_plain_pair(row)) {
            enum err err = w->run->config->sink->ops->keep(w->run->config->sink, w->number, w->io, row,
                                                           row->partner, &w->diag);
            if (err != OK)
                return err;
        }
    }
    if (row->partner && row->side == CHANNEL)
        return OK; /* written with its partner */
    if (row->verdict == CLASS_MATCH && !w->run->config->write_match)
        return OK;
    return w->run->config->sink->ops->put(w->run->config->sink, w->number, w->io, row, row->partner,
                                          &w->diag);
}

/* A record, by the reference that finds its row, to the pass of a later key. */
static enum err put_later(struct worker *w, const struct full *row, const struct row_ref *ref, int key_index)
{
    enum { SHARE = 32 }; /* of a worker's memory, for each key */
    const struct run_config *config = w->run->config;
    struct spool **spool = &w->later[key_index];
    if (!*spool) {
        enum err err = w->spill->ops->open(spool, w->spill, HASH_PARTITIONS,
                                           config->memory / config->workers / SHARE, &w->diag);
        if (err != OK)
            return err;
    }
    const uint32_t hash = (uint32_t)hash_bytes(row->key.data, row->key.size, 0);
    struct row_ref later = *ref;
    later.key_hash = hash;
    later.dup_suspect = row->dup_suspect;
    later.met = row->met;
    later.revisited = 0;
    return spool_put(*spool, hash % HASH_PARTITIONS, &later, sizeof later, &w->diag);
}

/* What is still open after the pass of one key: to the next key it has, or its end. */
static enum err go_on(struct worker *w, struct full *row, const struct row_ref *ref,
                      const struct row_ref *before, int key_index)
{
    const struct job *job = w->run->config->job;
    for (int next = key_index + 1; next < job->match.key_count; next++) {
        if (!normalize_key(job, next, &w->arena, row))
            return mem_fail(&w->diag, 0, "a key");
        if (row->key.data) {
            enum err err = put_later(w, row, ref, next);
            if (err == OK && row->before) /* they are laid together again where they are judged next */
                err = put_later(w, row, before, next);
            return err;
        }
    }
    resolve_alone(job, row);
    return emit(w, row);
}

static enum err drop(struct worker *w, struct tally *tally, uint64_t *count, const struct full *row,
                     uint8_t currency, int64_t amount)
{
    struct tally_row *sums = tally_row(tally, tally_key(row->side, row->day, currency, row->out));
    if (!sums)
        return mem_fail(&w->diag, 0, "a tally");
    sums->count++;
    sums->sum += amount;
    ++*count;
    return OK;
}

static int by_identity(const void *a, const void *b)
{
    const struct full *x = *(struct full *const *)a, *y = *(struct full *const *)b;
    const int c = span_compare(x->occurrence, y->occurrence);
    return c ? c : !x->carry - !y->carry;
}

static int takes_part(const struct full *row)
{
    return !row->asleep && !(row->record_flags & RECORD_VOIDED);
}

/* A log may tell again a row that is carried: its newest image stands in the carried one's place and has its age. What else the
 * log tells of other bill dates is no part of this task. */
static enum err fold_carried(struct worker *w, struct full *rows, uint32_t count, struct full **order,
                             int is_first)
{
    uint32_t n = 0;
    enum err err = OK;
    for (uint32_t i = 0; i < count; i++)
        if (takes_part(&rows[i]) && (rows[i].carry || (rows[i].record_flags & RECORD_IMAGE)))
            order[n++] = &rows[i];
    qsort(order, n, sizeof *order, by_identity);
    for (uint32_t i = 0; err == OK && i + 1 < n; i++) {
        struct full *old = order[i], *image = order[i + 1];
        if (!old->carry || image->carry || !span_equal(old->occurrence, image->occurrence) ||
            old->currency != image->currency)
            continue;
        image->carry = old->carry;
        image->before = old;
        image->dup_suspect |= old->dup_suspect;
        image->record_flags |= old->record_flags & (RECORD_CARRIED | RECORD_LATE);
        image->record_flags &= (uint16_t)~RECORD_OTHER_DAY;
        old->asleep = 1;
        if (is_first)
            err = drop(w, &w->dropped, &w->dropped_count[old->side], old, old->currency, old->amount_micro);
    }
    for (uint32_t i = 0; err == OK && i < count; i++)
        if (takes_part(&rows[i]) && (rows[i].record_flags & RECORD_OTHER_DAY)) {
            rows[i].asleep = 1;
            err = drop(w, &w->apart, &w->apart_count, &rows[i], rows[i].currency, rows[i].amount_micro);
        }
    return err;
}

/* Final records of one first key sleep on unless a record of this task's own inputs has come on the other side. How many
 * of the group are left. */
static enum err wake(struct worker *w, struct full **order, uint32_t *count)
{
    int fresh[SIDES] = {0, 0};
    uint32_t kept = 0;
    enum err err = OK;
    for (uint32_t i = 0; i < *count; i++)
        fresh[order[i]->side] |= !order[i]->carry;
    for (uint32_t i = 0; err == OK && i < *count; i++) {
        if (order[i]->carry && order[i]->carry->is_late && !fresh[!order[i]->side])
            err = drop(w, &w->dropped, &w->dropped_count[order[i]->side], order[i], order[i]->currency,
                       order[i]->amount_micro);
        else
            order[kept++] = order[i];
    }
    *count = kept;
    return err;
}

static uint64_t carry_reasons(const struct carry *carry)
{
    return carry->is_late ? REASON_BIT(REASON_LATE)
                          : REASON_BIT(REASON_CARRIED) | (carry->tries ? REASON_BIT(REASON_SECOND_PASS) : 0);
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
    struct span sigma = {0}, key = {0};
    for (uint32_t i = 0; err == OK && i < count; i++) {
        rows[i].dup_suspect |= refs[i].dup_suspect;
        rows[i].met = refs[i].met;
    }
    for (int side = LOCAL; err == OK && w->carry && side < SIDES; side++)
        if (source_tells_images(job->sources[side].kind))
            err = fold_carried(w, side == LOCAL ? rows : rows + locals,
                               side == LOCAL ? locals : count - locals, order, key_index == 0);
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &rows[i];
        if (row->asleep)
            continue;
        sigma = row->sigma = span_equal(row->sigma, sigma) ? sigma : row->sigma;
        if (row->carry)
            row->reasons |= carry_reasons(row->carry);
        if (refs[i].revisited && row->side == LOCAL) {
            w->revisited_count[row->currency]++;
            w->revisited_sum[row->currency] += row->amount_micro;
        }
        if ((row->record_flags & RECORD_VOIDED) && row->carry && row->carry->is_late) {
            err = drop(w, &w->dropped, &w->dropped_count[row->side], row, row->currency, row->amount_micro);
        } else if (row->record_flags & (RECORD_VOIDED | RECORD_EXCLUDED)) {
            resolve_alone(job, row);
            err = emit(w, row);
        } else if (!normalize_key(job, key_index, &w->arena, row)) {
            err = mem_fail(&w->diag, 0, "a key");
        } else if (!row->key.data) {
            err = go_on(w, row, &refs[i], row->before ? &refs[row->before - rows] : NULL, key_index);
        } else {
            /* What many rows have in common is compared over and over: by its address, where it is the same text. */
            key = row->key = span_equal(row->key, key) ? key : row->key;
            order[grouped++] = row;
        }
    }
    if (err == OK)
        qsort(order, grouped, sizeof *order, by_key);
    for (uint32_t i = 0, next; err == OK && i < grouped; i = next) {
        for (next = i + 1; next < grouped && span_equal(order[next]->key, order[i]->key); next++) {
        }
        uint32_t members = next - i;
        if (w->carry && key_index == 0)
            err = wake(w, order + i, &members);
        if (err == OK && members && !resolve_group(job, &w->scratch, order + i, members, key_index + 1))
            err = mem_fail(&w->diag, 0, "the records of one key");
        for (uint32_t k = i; k < i + members; k++)
            order[k]->met = 1;
        for (uint32_t k = i; err == OK && k < i + members; k++) {
            struct full *row = order[k];
            err = row->verdict == VERDICT_OPEN
                      ? go_on(w, row, &refs[row - rows], row->before ? &refs[row->before - rows] : NULL,
                              key_index)
                      : emit(w, row);
        }
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
static enum err judge_slices(struct worker *w, struct row_ref *refs, uint32_t count, int key_index)
{
    enum { SLICE = 4096, ROW_BYTES = 1024 /* of a whole record, with its texts */ };
    enum err err = OK;
    if (count > SLICE)
        qsort(refs, count, sizeof *refs, by_key_hash);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        to = count - from < SLICE ? count : from + SLICE;
        while (to < count && refs[to].key_hash == refs[to - 1].key_hash)
            to++;
        const uint64_t needed = (uint64_t)(to - from) * ROW_BYTES,
                       allowed = w->run->config->memory / w->run->config->workers;
        if (to - from > SLICE && needed > allowed)
            err =
                diag_set(&w->diag, ERR_MACHINE, "memory.group",
                         "is the key right? If it is, give --memory=SIZE more, or --threads=1",
                         "%u records have one key and must be judged together, for which some %llu MiB are "
                         "needed and %llu MiB allowed to each worker; one of them is at byte %llu of the %s "
                         "side",
                         to - from, (unsigned long long)(needed >> 20), (unsigned long long)(allowed >> 20),
                         (unsigned long long)refs[from].place, side_name((enum side)refs[from].side));
        else
            err = judge(w, refs + from, to - from, key_index);
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
            step =
                config->index->next(w->shards[shard], &refs, &count, &room,
                                    config->write_match ? &pairs : NULL, &pair_count, &pair_room, &w->diag);
            err = step == STEP_FAILED ? w->diag.err : OK;
            if (err == OK && pair_count)
                err = config->sink->ops->put_pairs(config->sink, w->number, pairs, pair_count, &w->diag);
            if (err == OK)
                err = judge_slices(w, refs, count, 0);
        }
    }
    mem_give(refs);
    mem_give(pairs);
    return err;
}

struct ref_list {
    struct row_ref *refs;
    uint32_t count, room;
};

static enum err take_refs(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct ref_list *list = context;
    const uint32_t more = size / (uint32_t)sizeof *list->refs;
    if (list->count + more > list->room) {
        const uint32_t room = (list->count + more) * 2;
        struct row_ref *grown = mem_grow(list->refs, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "open records");
        list->refs = grown;
        list->room = room;
    }
    memcpy(list->refs + list->count, bytes, size);
    list->count += more;
    return OK;
}

/* Takes from all workers the records of one partition of a later key. */
static enum err later_key(struct worker *w, int key_index, uint32_t partition)
{
    struct run *run = w->run;
    struct ref_list list = {0};
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < run->worker_count; i++) {
        const struct spool *spool = run->workers[i].later[key_index];
        if (spool)
            err = spool->ops->read(spool, w->spill, partition, take_refs, &list, &w->diag);
    }
    if (err == OK)
        err = judge_slices(w, list.refs, list.count, key_index);
    mem_give(list.refs);
    return err;
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
        if (err == OK && w->later[key])
            err = w->later[key]->ops->seal(w->later[key], &w->diag);
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
