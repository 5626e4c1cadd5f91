/* core/engine/resolve.c: the rest gets its verdicts, key by key, partition by partition.
 *
 * A partition's open records are few enough to hold whole: their rows are fetched by place, grouped by key,
 * and judged by rules/verdict.c. What K1 leaves open goes, as a reference, to the partition of its next key;
 * all workers meet between keys. So memory is bounded by the largest partition, and the outcome depends on
 * nothing but which records are open.
 */
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/engine/ahead.h"
#include "core/engine/crowd.h"
#include "core/engine/judge.h"
#include "core/engine/ref_order.h"
#include "core/engine/settle.h"
#include <stdlib.h>

int judge_by_place(const void *a, const void *b)
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

/* A record, by the reference that finds its row, to a later pass. */
static enum err put_later(struct worker *w, const struct full *row, const struct row_ref *ref, int pass,
                          int gave_way)
{
    enum { SHARE = 32 }; /* of a worker's memory, for each pass */
    const struct run_config *config = w->run->config;
    struct spool **spool = &w->later[pass];
    if (!*spool) {
        enum err err = w->spill->ops->open(spool, w->spill, HASH_PARTITIONS,
                                           config->memory / config->workers / SHARE, &w->diag);
        if (err != OK)
            return err;
    }
    const uint32_t hash = (uint32_t)hash_bytes(row->key.data, row->key.size, config->hash_seed);
    struct row_ref later = *ref;
    later.key_hash = hash;
    later.dup_suspect = row->dup_suspect;
    later.met = row->met;
    later.sleeps = row->sleeps;
    later.revisited = 0;
    later.gave_way = (uint8_t)gave_way;
    return spool_put(*spool, hash % HASH_PARTITIONS, &later, sizeof later, &w->diag);
}

/* Passes in their order: those of the keys, then those behind. */
static int pass_count(const struct job *job)
{
    return job->match.key_count + PASSES_BEHIND;
}

/* Sets row->key to what the pass judges together; data NULL: the row takes no part in it. 0 when memory is out. */
int judge_key_of(const struct job *job, int pass, struct arena *arena, struct full *row)
{
    if (pass < job->match.key_count)
        return normalize_key(job, pass, arena, row);
    row->key = (struct span){NULL, 0};
    if (!row->monetary || row->record_flags & RECORD_OTHER_DAY)
        return 1;
    if (pass - job->match.key_count == PASS_REVERSALS)
        return !job->match.reversals || normalize_first_key(job, arena, row);
    return !job->match.subset.given || normalize_pool(job, arena, row);
}

/* Open records that pass by the run come in where they share a later key with one that is left open. */
static void meet_dormant(const struct worker *w, const struct full *row, int key)
{
    const struct dormant_ops *later = &w->run->config->dormant_later;
    if (!later->find)
        return;
    const uint64_t hash = normalize_later_print(w->run->config->job, later->seed, row, key);
    if (!bloom_has(later->keys, hash))
        return;
    bloom_put(later->met, hash);
    atomic_store_explicit(&w->run->dormant_met[key], 1, memory_order_relaxed);
}

/* What is still open after a pass: to the next one that it takes part in, or its end. */
enum err judge_go_on(struct worker *w, struct full *row, const struct row_ref *ref,
                     const struct row_ref *before, int pass)
{
    const struct job *job = w->run->config->job;
    for (int next = pass + 1; next < pass_count(job); next++) {
        if (!judge_key_of(job, next, &w->arena, row))
            return mem_fail(&w->diag, 0, "a key");
        if (row->key.data) {
            if (w->run->config->later.find && next < job->match.key_count && !row->carry &&
                row->repeated != REPEAT_EQUAL) {
                bloom_put(&w->run->later_fresh[next][row->side],
                          normalize_later_print(job, w->run->config->later.seed, row, next));
                atomic_store_explicit(&w->run->later_has[next][row->side], 1, memory_order_relaxed);
            }
            if (next < job->match.key_count)
                meet_dormant(w, row, next);
            enum err err = put_later(w, row, ref, next, 0);
            if (err == OK && row->before) /* they are laid together again where they are judged next */
                err = put_later(w, row, before, next, 1);
            return err;
        }
    }
    resolve_alone(job, row);
    return judge_emit(w, row);
}

enum err judge_drop(struct worker *w, struct tally *tally, uint64_t *count, const struct full *row,
                    uint8_t currency, int64_t amount)
{
    struct tally_row *sums = tally_row(tally, tally_key(row->side, row->day, currency, row->out));
    if (!sums)
        return mem_fail(&w->diag, 0, "a tally");
    sums->count++;
    sums->sum += amount;
    ++*count;
    if (w->outbox.aggregate[row->side]) { /* it was counted when it was read */
        struct row_note note;
        normalize_note(w->run->config->job, row, &note);
        const struct span texts = {(const char *)note.texts, note.size};
        struct aggregate_cell *cell = aggregate_find(
            &w->aggregate, aggregate_key(row->side, row->out, row->day, currency, note.hour), texts);
        if (!cell)
            return aggregate_failed(&w->aggregate, &w->diag);
        cell->count--;
        cell->gross -= amount;
        cell->cost -= note.cost_micro;
    }
    return OK;
}

static int by_identity(const void *a, const void *b)
{
    const struct full *x = *(struct full *const *)a, *y = *(struct full *const *)b;
    const int c = span_compare(x->occurrence, y->occurrence);
    if (c || !x->carry || !y->carry)
        return c ? c : !x->carry - !y->carry;
    if (x->carry->is_late != y->carry->is_late)
        return y->carry->is_late - x->carry->is_late;
    return x->carry->since != y->carry->since ? (int)x->carry->since - (int)y->carry->since
                                              : (int)x->day - (int)y->day;
}

/* What a log with a gap tells under another first key, and says not why, is followed under neither: both records stand. */
static int same_first_key(const struct job *job, const struct full *a, const struct full *b)
{
    const struct key_spec *key = &job->match.keys[0];
    int same = 1;
    for (int i = 0; same && i < key->part_count; i++)
        same = span_equal(a->text[key->parts[i]], b->text[key->parts[i]]);
    return same;
}

static int takes_part(const struct full *row)
{
    return !row->asleep && !row->sleeps && !(row->record_flags & RECORD_VOIDED);
}

/* A log may tell again a row that is carried: its newest image stands in the carried one's place and has its age. A row that moved from
 * day to day was final more than once: of its verdicts the last may be reopened, the others stand. What else the log tells of other
 * bill dates is no part of this task. */
static enum err fold_carried(struct worker *w, struct full *rows, uint32_t count, struct full **order)
{
    uint32_t n = 0;
    enum err err = OK;
    for (uint32_t i = 0; i < count; i++)
        if (takes_part(&rows[i]) && (rows[i].carry || (rows[i].record_flags & RECORD_IMAGE)))
            order[n++] = &rows[i];
    qsort(order, n, sizeof *order, by_identity);
    for (uint32_t i = 0; err == OK && i + 1 < n; i++) {
        struct full *old = order[i], *image = order[i + 1];
        if (!old->carry || (image->carry && (!old->carry->is_late || old->carry->hand)) ||
            !span_equal(old->occurrence, image->occurrence) || old->currency != image->currency ||
            !same_first_key(w->run->config->job, old, image))
            continue;
        if (!image->carry) {
            image->carry = old->carry;
            image->before = old;
            image->dup_suspect |= old->dup_suspect;
            image->record_flags |= old->record_flags & (RECORD_CARRIED | RECORD_LATE);
            image->record_flags &= (uint16_t)~RECORD_OTHER_DAY;
        }
        old->asleep = 1;
        if (!w->refs_at_hand[old - w->rows_at_hand].gave_way)
            err = judge_drop(w, &w->dropped, &w->dropped_count[old->side], old, old->currency,
                             old->amount_micro);
    }
    for (uint32_t i = 0; err == OK && i < count; i++)
        if (takes_part(&rows[i]) && (rows[i].record_flags & RECORD_OTHER_DAY)) {
            rows[i].asleep = 1;
            err = judge_drop(w, &w->apart, &w->apart_count[rows[i].side], &rows[i], rows[i].currency,
                             rows[i].amount_micro);
        }
    return err;
}

/* The log says of the row what was known of it. */
static int is_as_it_was(const struct full *row)
{
    const struct full *was = row->before;
    return row->day == was->day && row->currency == was->currency && row->out == was->out &&
           row->amount_micro == was->amount_micro && row->monetary == was->monetary &&
           span_equal(row->canonical, was->canonical);
}

/* A final record that somebody paired by hand waits for its partner, which may have any key. */
static enum err set_aside(struct worker *w, const struct full *row, const struct row_ref *ref)
{
    if (mem_list_more(&w->hands, w->hand_count, &w->hand_room, 16, "pairs made by hand", &w->diag) != OK)
        return ERR_MACHINE;
    w->hands[w->hand_count++] = (struct hand_ref){row->carry->hand, *ref};
    return OK;
}

enum err judge_sleep_on(struct worker *w, const struct full *row, const struct row_ref *ref)
{
    if (row->carry && row->carry->hand && (!row->before || is_as_it_was(row)))
        return set_aside(w, row, row->before ? &w->refs_at_hand[row->before - w->rows_at_hand] : ref);
    return judge_drop(w, &w->dropped, &w->dropped_count[row->side], row, row->currency, row->amount_micro);
}

/* A final record that came in under a later key takes part from now on, in all sums. */
static enum err count_in(struct worker *w, const struct full *row)
{
    struct tally_row *sums =
        tally_row(&w->outbox.tally, tally_key(row->side, row->day, row->currency, row->out));
    if (!sums)
        return mem_fail(&w->diag, 0, "a tally");
    sums->count++;
    sums->sum += row->amount_micro;
    w->woken_count[row->side]++;
    if (!w->outbox.aggregate[row->side])
        return OK;
    struct row_note note;
    normalize_note(w->run->config->job, row, &note);
    return outbox_note(&w->outbox,
                       (row->side == CHANNEL ? RECORD_CHANNEL : 0u) | (row->out ? RECORD_OUT : 0u), row->day,
                       row->currency, row->amount_micro, &note, &w->diag);
}

enum err judge_wake(struct worker *w, struct full *row, int pass)
{
    row->sleeps = 0;
    enum err err = reopened_put(&w->run->reopened, row, &w->diag);
    return err == OK && pass > 0 ? count_in(w, row) : err;
}

static int has_partner(struct full *const *order, uint32_t count, const struct full *row)
{
    for (uint32_t i = 0; row->carry->link && i < count; i++)
        if (order[i] != row && order[i]->carry && order[i]->carry->link == row->carry->link)
            return 1;
    return 0;
}

/* Of a row that a log tells, a later image is here: another record by now, or another final one. Under the first key images are laid together
 * (fold_carried); a later key brings each that was final. */
static int is_outdated(const struct worker *w, struct full *const *order, uint32_t count,
                       const struct full *row)
{
    if (!source_tells_images(w->run->config->job->sources[row->side].kind) || !row->occurrence.size)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct full *other = order[i];
        if (other != row && other->side == row->side && span_equal(other->occurrence, row->occurrence) &&
            (!other->sleeps || other->carry->since > row->carry->since))
            return 1;
    }
    return 0;
}

/* Final records of one key sleep on unless a record of this task's own inputs has come on the other side; of a pair whose records
 * both have the key, on any side, which is the other one of one of them. How many of the group are left. */
static enum err wake(struct worker *w, struct full **order, uint32_t *count, int pass)
{
    int fresh[SIDES] = {0, 0};
    uint32_t sleepers = 0, kept = 0;
    enum err err = OK;
    for (uint32_t i = 0; i < *count; i++) {
        struct full *row = order[i];
        fresh[row->side] |= !row->carry && row->repeated != REPEAT_EQUAL;
        if (pass == 0)
            row->sleeps = row->carry && row->carry->is_late;
        sleepers += row->sleeps;
    }
    if (sleepers == 0)
        return OK;
    for (uint32_t i = 0; i < *count; i++)
        if (order[i]->sleeps &&
            ((!fresh[!order[i]->side] && !(fresh[order[i]->side] && has_partner(order, *count, order[i]))) ||
             (pass > 0 && is_outdated(w, order, *count, order[i]))))
            order[i]->asleep = 1;
    for (uint32_t i = 0; err == OK && i < *count; i++) {
        struct full *row = order[i];
        if (row->sleeps && row->asleep) {
            if (pass == 0)
                err = judge_sleep_on(w, row, &w->refs_at_hand[row - w->rows_at_hand]);
            continue;
        }
        if (row->sleeps)
            err = judge_wake(w, row, pass);
        order[kept++] = row;
    }
    *count = kept;
    return err;
}

static enum err propose(void *context, const struct proposal *proposal, struct diag *diag)
{
    struct worker *w = context;
    return w->run->config->sink->ops->propose(w->run->config->sink, w->number, w->io, proposal, diag);
}

/* Judges records of one key. `is_part`: there are more of them than are held at once, so only what looks at each on its
 * own is done. */
static enum err judge_key(struct worker *w, struct full **rows, uint32_t count, int pass, int is_part)
{
    const struct job *job = w->run->config->job;
    if (pass < job->match.key_count) {
        if (!resolve_group(job, &w->scratch, rows, count, pass + 1))
            return mem_fail(&w->diag, 0, "the records of one key");
        for (uint32_t i = 0; i < count; i++)
            rows[i]->met = 1;
        return OK;
    }
    if (pass - job->match.key_count == PASS_REVERSALS) {
        resolve_reversals(rows, count);
        return OK;
    }
    if (!w->subset && !(w->subset = mem_take(sizeof *w->subset)))
        return mem_fail(&w->diag, sizeof *w->subset, "proposals");
    return subset_pool(job, w->subset, rows, count, is_part, propose, w, &w->diag);
}

/* judge_fetch, of which `fetched` says how far it came: it stops where the arena has more than `bytes_max`. `fields`: 0: all. */
static enum err fetch_within(struct worker *w, struct row_ref *refs, uint32_t *count, struct full *rows,
                             struct arena *arena, uint64_t fields, uint64_t bytes_max, uint32_t *fetched)
{
    enum { AT_ONCE = 256 };
    enum err err = OK;
    uint32_t kept = 0, locals = 0, at = 0;
    refs_by_place(refs, *count);
    for (uint32_t i = 0; err == OK && i < *count; i++) {
        if (!(refs[i].record_flags & RECORD_REJECT)) {
            refs[kept++] = refs[i];
            continue;
        }
        struct source *source = w->run->config->sources[refs[i].side];
        err = source->ops->late_reject(source, w->io, &refs[i], &w->diag);
    }
    *count = kept;
    while (err == OK && locals < kept && refs[locals].side == LOCAL)
        locals++;
    while (err == OK && at < kept && arena->held <= bytes_max) {
        const int side = at < locals ? LOCAL : CHANNEL;
        const uint32_t rest = (side == LOCAL ? locals : kept) - at,
                       n = bytes_max < UINT64_MAX && rest > AT_ONCE ? AT_ONCE : rest;
        struct source *source = w->run->config->sources[side];
        err = fields && source->ops->fetch_some
                  ? source->ops->fetch_some(source, w->io, refs + at, rows + at, n, fields, arena, &w->diag)
                  : source->ops->fetch(source, w->io, refs + at, rows + at, n, arena, &w->diag);
        at += n;
    }
    *fetched = at;
    for (uint32_t i = 0; err == OK && i < at; i++) {
        rows[i].dup_suspect |= refs[i].dup_suspect;
        rows[i].met = refs[i].met;
        rows[i].sleeps = refs[i].sleeps;
        rows[i].repeated = (uint8_t)repeats_find(&w->run->repeats, rows[i].side, refs[i].place);
    }
    return err;
}

enum err judge_fetch(struct worker *w, struct row_ref *refs, uint32_t *count, struct full *rows,
                     struct arena *arena)
{
    uint32_t fetched;
    return fetch_within(w, refs, count, rows, arena, 0, UINT64_MAX, &fetched);
}

enum err judge_fetch_some(struct worker *w, struct row_ref *refs, uint32_t *count, struct full *rows,
                          uint64_t fields, struct arena *arena)
{
    uint32_t fetched;
    return fetch_within(w, refs, count, rows, arena, fields, UINT64_MAX, &fetched);
}

/* 1: no key of the job is whole; 0: one is; -1: memory is out. Leaves row->key to be found again. */
static int is_without_key(struct worker *w, struct full *row)
{
    const struct job *job = w->run->config->job;
    for (int key = 0; key < job->match.key_count; key++) {
        if (!normalize_key(job, key, &w->arena, row))
            return -1;
        if (row->key.data)
            return 0;
    }
    return 1;
}

void judge_revisit(struct worker *w, const struct full *row, const struct row_ref *ref)
{
    if (!ref->revisited)
        return;
    w->revisited_count[row->side][row->currency]++;
    w->revisited_sum[row->side][row->currency] += row->amount_micro;
    w->booked[BOOKED_FEES][row->currency] += row->taken_micro;
}

enum err judge_admit(struct worker *w, struct full *row, const struct row_ref *ref,
                     const struct row_ref *before, int pass, int *admitted)
{
    const struct job *job = w->run->config->job;
    *admitted = 0;
    if (row->carry)
        row->reasons |= verdict_carry_reasons(row->carry);
    judge_revisit(w, row, ref);
    if ((row->record_flags & RECORD_VOIDED) && row->carry && row->carry->is_late)
        return judge_drop(w, &w->dropped, &w->dropped_count[row->side], row, row->currency,
                          row->amount_micro);
    if (row->record_flags & (RECORD_VOIDED | RECORD_EXCLUDED)) {
        resolve_alone(job, row);
        return judge_emit(w, row);
    }
    if (row->repeated && !row->met) { /* no P1 will see one that has no key */
        const int alone = is_without_key(w, row);
        if (alone < 0)
            return mem_fail(&w->diag, 0, "a key");
        if (alone) {
            resolve_came_before(row);
            return judge_emit(w, row);
        }
    }
    if (!judge_key_of(job, pass, &w->arena, row))
        return mem_fail(&w->diag, 0, "a key");
    if (!row->key.data && row->carry && row->carry->hand)
        return judge_sleep_on(w, row, ref);
    if (!row->key.data)
        return judge_go_on(w, row, ref, before, pass);
    *admitted = 1;
    return OK;
}

/* Of this many rows the mean is taken for that of all. */
enum { MEASURED_MIN = 256, TEXT_BYTES = 256 /* before any was seen */ };

/* Of a whole record with its texts, while it is judged. */
static uint64_t row_bytes(const struct worker *w)
{
    return sizeof(struct full) + sizeof(struct full *) + 2 * sizeof(struct row_ref) /* they are sorted */ +
           (w->text_bytes ? w->text_bytes : TEXT_BYTES);
}

/* Partitions have some rows each: what one took the next one has, since memory that is given back under a small budget comes back page by
 * page. */
enum { ROWS_KEPT = 256 };

/* So many rows, and pointers to them behind. NULL: memory is out. */
static struct full *take_rows(struct worker *w, uint32_t count)
{
    struct full *const kept = w->rows_kept;
    if (count <= w->rows_kept_room) {
        w->rows_kept = NULL;
        w->rows_kept_room = 0;
        return kept;
    }
    if (count <= ROWS_KEPT)
        count = ROWS_KEPT;
    return mem_take((size_t)count * (sizeof *kept + sizeof(struct full *)));
}

static void give_rows(struct worker *w, struct full *rows, uint32_t count)
{
    if (rows && count <= ROWS_KEPT && !w->rows_kept) {
        w->rows_kept = rows;
        w->rows_kept_room = ROWS_KEPT;
    } else {
        mem_give(rows);
    }
}

/* Judges the records that `refs` name, in one pass. Where their texts are more than `bytes_max` nothing is judged, and *too_many says so;
 * *left: how many there are still, but for late rejects. */
static enum err judge_within(struct worker *w, struct row_ref *refs, uint32_t *left, int pass, int is_part,
                             uint64_t bytes_max, int *too_many)
{
    uint32_t count = *left, fetched = 0;
    *too_many = 0;
    if (count == 0)
        return OK;
    const struct job *job = w->run->config->job;
    arena_reset(&w->arena);
    struct full *const rows = take_rows(w, count);
    struct full **const order = (struct full **)(void *)(rows + count);
    enum err err =
        rows ? OK : mem_fail(&w->diag, (size_t)count * (sizeof *rows + sizeof *order), "open records");
    if (err == OK)
        err = fetch_within(w, refs, &count, rows, &w->arena, 0, bytes_max, &fetched);
    if (fetched >= MEASURED_MIN && w->arena.held / fetched > w->text_bytes)
        w->text_bytes = w->arena.held / fetched;
    if (err == OK && fetched < count) {
        arena_reset(&w->arena);
        give_rows(w, rows, count);
        *left = count;
        *too_many = 1;
        return OK;
    }
    w->rows_at_hand = rows;
    w->refs_at_hand = refs;
    uint32_t locals = 0;
    while (err == OK && locals < count && refs[locals].side == LOCAL)
        locals++;
    uint32_t grouped = 0;
    struct span sigma = {0}, key = {0};
    for (int side = LOCAL; err == OK && w->carry && side < SIDES; side++)
        if (source_tells_images(job->sources[side].kind))
            err = fold_carried(w, side == LOCAL ? rows : rows + locals,
                               side == LOCAL ? locals : count - locals, order);
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &rows[i];
        int admitted;
        if (row->asleep)
            continue;
        /* What many rows have in common is compared over and over: by its address, where it is the same text. */
        sigma = row->sigma = span_equal(row->sigma, sigma) ? sigma : row->sigma;
        err = judge_admit(w, row, &refs[i], row->before ? &refs[row->before - rows] : NULL, pass, &admitted);
        if (err == OK && admitted) {
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
        if (w->carry && pass < job->match.key_count)
            err = wake(w, order + i, &members, pass);
        if (err == OK && members)
            err = judge_key(w, order + i, members, pass, is_part);
        for (uint32_t k = i; err == OK && k < i + members; k++) {
            struct full *row = order[k];
            err = row->verdict == VERDICT_OPEN
                      ? judge_go_on(w, row, &refs[row - rows], row->before ? &refs[row->before - rows] : NULL,
                                    pass)
                      : judge_emit(w, row);
        }
    }
    give_rows(w, rows, count);
    return err;
}

static enum err judge(struct worker *w, struct row_ref *refs, uint32_t count, int pass, int is_part)
{
    int too_many;
    return judge_within(w, refs, &count, pass, is_part, UINT64_MAX, &too_many);
}

enum { REF_LIST_CROWDS = 64 };

/* The end of the records from `from` on that have one hash. */
static uint32_t same_hash(const struct row_ref *refs, uint32_t count, uint32_t from)
{
    uint32_t to = from + 1;
    while (to < count && refs[to].key_hash == refs[from].key_hash)
        to++;
    return to;
}

enum {
    SLICE = 4096,
    SLICE_LEAST = 512,
    MANY_ROWS =
        256, /* of a partition: their places lie so close that those of several are read with fewer calls */
    MANY_IMAGES = 16, /* the same of a log, whose rows are read ahead */
    AHEAD_SHARE = 8,  /* of a worker's memory, for rows of a log that are read ahead of judging, */
    AHEAD_MAX = 32 << 20,
    AHEAD_ROW = 256,   /* with so many bytes each, */
    AHEAD_LEAST = 8192 /* unless they are too few to lie close */
};
_Static_assert(SLICE >= 2 * SUBSET_POOL_MAX, "a pool that is cut is one that nobody would look at whole");

/* How many records are judged at once. Half of a worker's memory: the other half is the index's, results', and spools'. */
static uint32_t slice_rows(const struct worker *w)
{
    const struct run_config *config = w->run->config;
    const uint64_t fit = config->memory / config->workers / 2 / row_bytes(w);
    const uint32_t crowd = crowd_rows(config), some = fit < SLICE_LEAST ? SLICE_LEAST
                                                      : fit < SLICE     ? (uint32_t)fit
                                                                        : SLICE;
    return crowd < some ? crowd : some;
}

static enum err put_crowd(struct worker *w, const struct row_ref *refs, uint32_t count)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = crowd_put(w, &refs[i]);
    return err;
}

static int are_one_hash(const struct row_ref *refs, uint32_t count)
{
    uint32_t i = 1;
    while (i < count && refs[i].key_hash == refs[0].key_hash)
        i++;
    return i >= count;
}

static enum err judge_slices_of(struct worker *w, struct row_ref *refs, uint32_t count, int pass,
                                uint32_t slice);

/* How many rows are at hand was chosen by what rows took so far; where these take much more, fewer are. */
static enum err judge_some(struct worker *w, struct row_ref *refs, uint32_t count, int pass, int splits)
{
    enum { TEXTS_OF_4 = 3, TEXTS_LEAST = 4 << 20 /* no run has so little, but those of tests */ };
    const uint64_t share = w->run->config->memory / w->run->config->workers / 4 * TEXTS_OF_4;
    int too_many;
    enum err err =
        judge_within(w, refs, &count, pass, 0, share < TEXTS_LEAST ? TEXTS_LEAST : share, &too_many);
    if (err != OK || !too_many)
        return err;
    if (!are_one_hash(refs, count))
        return judge_slices_of(w, refs, count, pass, count / 4 + 1);
    return splits ? put_crowd(w, refs, count) : judge(w, refs, count, pass, 0);
}

/* Judges whole keys, not too many records at once: their rows are held meanwhile. */
static enum err judge_slices_of(struct worker *w, struct row_ref *refs, uint32_t count, int pass,
                                uint32_t slice)
{
    const uint64_t allowed = w->run->config->memory / w->run->config->workers;
    const int splits = pass < w->run->config->job->match.key_count && crowd_splits(w->run->config);
    const uint32_t crowd = crowd_rows(w->run->config);
    enum err err = OK;
    if (count > slice)
        refs_by_hash(refs, count);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        to = count - from <= slice ? count : same_hash(refs, count, from);
        for (uint32_t next; to < count && (next = same_hash(refs, count, to)) - from <= slice;)
            to = next;
        const uint64_t needed = (uint64_t)(to - from) * row_bytes(w);
        if (splits && to - from > crowd && same_hash(refs, count, from) == to) {
            err = put_crowd(w, refs + from, to - from);
            continue;
        }
        if (to - from <= SLICE ||
            (pass < w->run->config->job->match.key_count + PASS_PROPOSALS && needed <= allowed))
            err = judge_some(w, refs + from, to - from, pass, splits);
        else if (pass < w->run->config->job->match.key_count + PASS_PROPOSALS)
            err = crowd_too_many(w, &refs[from], to - from, needed, allowed);
        else
            for (uint32_t at = from; err == OK && at < to; at += SLICE)
                err = judge(w, refs + at, to - at < SLICE ? to - at : SLICE, pass, 1);
    }
    return err;
}

static enum err judge_slices(struct worker *w, struct row_ref *refs, uint32_t count, int pass)
{
    return judge_slices_of(w, refs, count, pass, slice_rows(w));
}

static enum err first_key(struct worker *w)
{
    struct row_ref *refs = NULL;
    struct pair_ref *pairs = NULL;
    uint32_t count = 0, room = 0, pair_count, pair_room = 0;
    const struct run_config *config = w->run->config;
    const uint32_t ahead = ahead_rows(w), many = ahead ? MANY_IMAGES : MANY_ROWS;
    enum err err = OK;
    for (uint32_t shard = 0; err == OK && shard < w->run->shard_count; shard++) {
        enum step step = w->shards[shard] ? STEP_MORE : STEP_DONE;
        while (step == STEP_MORE && err == OK && !run_failed(w->run)) {
            const uint32_t before = count;
            pair_count = 0;
            step =
                config->index->next(w->shards[shard], &refs, &count, &room,
                                    config->write_match ? &pairs : NULL, &pair_count, &pair_room, &w->diag);
            err = step == STEP_FAILED ? w->diag.err : OK;
            if (err == OK && pair_count)
                err = config->sink->ops->put_pairs(config->sink, w->number, pairs, pair_count, &w->diag);
            /* Few by themselves: what they take is still in the caches, and the next ones take it anew. */
            const uint64_t most = ahead ? ahead : slice_rows(w);
            if (err == OK && (step != STEP_MORE || count - before < many || 2 * count - before > most)) {
                if (ahead)
                    err = ahead_read(w, refs, count);
                if (err == OK)
                    err = judge_slices(w, refs, count, 0);
                ahead_end(w);
                count = 0;
            }
        }
    }
    for (uint32_t shard = 0; shard < w->run->shard_count; shard++)
        if (w->shards[shard]) {
            struct index_counts counts;
            config->index->counts(w->shards[shard], &counts);
            atomic_fetch_add(&w->run->crowded, counts.crowded);
        }
    mem_give(refs);
    mem_give(pairs);
    return err;
}

/* References of a partition, but for those of crowds, which go their own way when the list is full. */
struct ref_list {
    struct worker *worker;
    struct row_ref *refs;
    uint32_t count, room;
    uint32_t most; /* above this, crowds are looked for; it grows when there are none */
    uint32_t crowds[REF_LIST_CROWDS], crowd_count;
    int splits;
    uint32_t part, parts; /* of a partition that is read part by part: which of how many */
};

/* The partition is the hash's low bits. */
static uint32_t part_of(const struct ref_list *list, uint32_t key_hash)
{
    return (uint32_t)((uint64_t)(key_hash * 0x9E3779B1u) * list->parts >> 32);
}

static int is_crowd(const struct ref_list *list, uint32_t key_hash)
{
    for (uint32_t i = 0; i < list->crowd_count; i++)
        if (list->crowds[i] == key_hash)
            return 1;
    return 0;
}

/* Hashes that make up an eighth of a full list leave it. */
static enum err shed(struct ref_list *list)
{
    uint32_t kept = 0;
    enum err err = OK;
    refs_by_hash(list->refs, list->count);
    for (uint32_t from = 0, to; err == OK && from < list->count; from = to) {
        to = same_hash(list->refs, list->count, from);
        const int leaves = to - from > list->count / 8 && list->crowd_count < REF_LIST_CROWDS;
        if (leaves)
            list->crowds[list->crowd_count++] = list->refs[from].key_hash;
        for (uint32_t i = from; err == OK && i < to; i++)
            if (leaves)
                err = crowd_put(list->worker, &list->refs[i]);
            else
                list->refs[kept++] = list->refs[i];
    }
    list->count = kept;
    if (kept > list->most / 2)
        list->most *= 2;
    return err;
}

static enum err take_refs(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct ref_list *list = context;
    const struct row_ref *refs = bytes;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < size / sizeof *refs; i++) {
        if (list->parts > 1 && part_of(list, refs[i].key_hash) != list->part)
            continue;
        if (list->splits && list->count >= list->most)
            err = shed(list);
        if (err == OK && list->crowd_count && is_crowd(list, refs[i].key_hash)) {
            err = crowd_put(list->worker, &refs[i]);
            continue;
        }
        if (mem_list_more(&list->refs, list->count, &list->room, 256, "open records", diag) != OK)
            return ERR_MACHINE;
        list->refs[list->count++] = refs[i];
    }
    return err;
}

/* In how many parts a partition is read, so that the references of one are a share of a worker's memory. Each part reads all of the partition, which
 * is little beside the rows that are fetched for it. */
static uint32_t later_parts(const struct run *run, int pass, uint32_t partition)
{
    enum { SHARE = 16, LEAST = 256 };
    const uint64_t fit = run->config->memory / run->config->workers / SHARE / sizeof(struct row_ref);
    uint64_t count = 0;
    for (uint32_t i = 0; i < run->worker_count; i++)
        if (run->workers[i].later[pass])
            count += run->workers[i].later[pass]->ops->size(run->workers[i].later[pass], partition) /
                     sizeof(struct row_ref);
    return (uint32_t)(count / (fit > LEAST ? fit : LEAST)) + 1;
}

/* Takes from all workers the records of one partition of a later pass. */
static enum err later_pass(struct worker *w, int pass, uint32_t partition)
{
    struct run *run = w->run;
    struct ref_list list = {.worker = w,
                            .splits = pass < run->config->job->match.key_count && crowd_splits(run->config),
                            .parts = later_parts(run, pass, partition)};
    enum err err = OK;
    for (; err == OK && list.part < list.parts; list.part++) {
        list.count = list.crowd_count = 0;
        list.most = crowd_rows(run->config) * 8;
        for (uint32_t i = 0; err == OK && i < run->worker_count; i++) {
            const struct spool *spool = run->workers[i].later[pass];
            if (spool)
                err = spool->ops->read(spool, w->spill, partition, take_refs, &list, &w->diag);
        }
        if (err == OK)
            err = judge_slices(w, list.refs, list.count, pass);
    }
    mem_give(list.refs);
    return err;
}

/* ---- final records that a later key reopens ---- */

struct bringing {
    struct worker *w;
    int pass; /* key_count: behind the last key, where only partners of reopened ones come */
};

static enum err bring(void *context, const struct full *full, struct diag *diag)
{
    const struct bringing *b = context;
    struct worker *w = b->w;
    const struct job *job = w->run->config->job;
    struct full row = *full;
    (void)diag; /* the worker's own */
    if (!row.carry || reopened_has(&w->run->reopened, &row))
        return OK;
    const int is_partner = row.carry->link && reopened_has_pair(&w->run->reopened, row.carry->link);
    const struct row_ref ref = {.place = row.place,
                                .side = row.side,
                                .record_flags = (uint16_t)(RECORD_CARRIED | RECORD_LATE |
                                                           (row.side == CHANNEL ? RECORD_CHANNEL : 0) |
                                                           (row.out ? RECORD_OUT : 0))};
    arena_reset(&w->arena);
    if (!is_partner) {
        if (b->pass == job->match.key_count)
            return OK;
        if (!judge_key_of(job, b->pass, &w->arena, &row))
            return mem_fail(&w->diag, 0, "a key");
        row.sleeps = 1;
        return row.key.data ? put_later(w, &row, &ref, b->pass, 0) : OK;
    }
    enum err err = reopened_put(&w->run->reopened, &row, &w->diag);
    if (err == OK)
        err = count_in(w, &row);
    row.reasons |= verdict_carry_reasons(row.carry);
    return err == OK ? judge_go_on(w, &row, &ref, NULL, b->pass - 1) : err;
}

/* One worker, while the others wait. */
static enum err bring_late(struct worker *w, int pass)
{
    struct run *run = w->run;
    const struct late_ops *later = &run->config->later;
    const int is_key = pass < run->config->job->match.key_count;
    struct late_ask ask = {.key = pass, .links = run->reopened.links ? &run->reopened.pairs : NULL};
    struct bringing bringing = {w, pass};
    enum err err = OK;
    for (int side = 0; is_key && side < SIDES; side++)
        if (atomic_load_explicit(&run->later_has[pass][side], memory_order_relaxed))
            ask.fresh[side] = &run->later_fresh[pass][side];
    if (!ask.fresh[LOCAL] && !ask.fresh[CHANNEL] && !ask.links)
        return OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        const char **paths = NULL;
        int count = 0;
        err = later->find(later->context, (enum side)side, &ask, &paths, &count, &w->diag);
        if (err == OK && count)
            err = run->config->sources[side]->ops->reopen(run->config->sources[side], w->io, CARRIED_LATE,
                                                          paths, count, bring, &bringing, &w->diag);
    }
    return err;
}

/* ---- open records that passed by, and share a later key with one that is left open ---- */

static enum err bring_open(void *context, const struct full *full, struct diag *diag)
{
    const struct bringing *b = context;
    struct worker *w = b->w;
    struct full row = *full;
    (void)diag; /* the worker's own */
    CHECK2(row.carry && !row.carry->is_late, row.side, row.place);
    const struct row_ref ref = {.place = row.place,
                                .side = row.side,
                                .record_flags =
                                    (uint16_t)(RECORD_CARRIED | (row.side == CHANNEL ? RECORD_CHANNEL : 0) |
                                               (row.out ? RECORD_OUT : 0))};
    arena_reset(&w->arena);
    if (!judge_key_of(w->run->config->job, b->pass, &w->arena, &row))
        return mem_fail(&w->diag, 0, "a key");
    if (!row.key.data)
        return diag_set(&w->diag, ERR_STATE, "state.carried", "bring the state folder back from a backup",
                        "the %s side's carried record at byte %llu has not the key that its print says",
                        side_name((enum side)row.side), (unsigned long long)row.place);
    row.met = 1; /* it was alone under the keys before, or it would have been fed */
    enum err err = count_in(w, &row);
    return err == OK ? put_later(w, &row, &ref, b->pass, 0) : err;
}

/* One worker, while the others wait; behind bring_late, whose records may meet them. */
static enum err bring_dormant(struct worker *w, int pass)
{
    struct run *run = w->run;
    const struct dormant_ops *later = &run->config->dormant_later;
    struct bringing bringing = {w, pass};
    enum err err = OK;
    if (!later->find || pass >= run->config->job->match.key_count ||
        !atomic_load_explicit(&run->dormant_met[pass], memory_order_relaxed))
        return OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        const char *path = NULL;
        err = later->find(later->context, (enum side)side, pass, &path, &w->diag);
        if (err == OK && path)
            err = run->config->sources[side]->ops->reopen(run->config->sources[side], w->io, CARRIED_OPEN,
                                                          &path, 1, bring_open, &bringing, &w->diag);
    }
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
    const double began = run_seconds();
    for (unsigned stage = 0; stage < stages; stage++) {
        if (err == OK && !run_failed(run) &&
            (err = sink->ops->stage(sink, stage, w->number, w->io, &w->diag)) != OK)
            run_fail(run, &w->diag);
        pthread_barrier_wait(&run->barrier);
    }
    w->times.match_seconds = run_seconds() - began;
    return err;
}

/* 1 when the job has such a pass. */
static int pass_is_on(const struct job *job, int pass)
{
    if (pass < job->match.key_count)
        return 1;
    return pass - job->match.key_count == PASS_REVERSALS ? job->match.reversals : job->match.subset.given;
}

enum err worker_resolve(struct worker *w)
{
    struct run *run = w->run;
    const struct job *job = run->config->job;
    enum err err = crowd_judge(w, 0, run_failed(run) ? OK : first_key(w));
    for (int pass = 1; pass < pass_count(job); pass++) {
        if ((run->config->later.find || run->config->dormant_later.find) && pass <= job->match.key_count) {
            if (err != OK)
                run_fail(run, &w->diag);
            pthread_barrier_wait(&run->barrier);
            if (w->number == 0 && err == OK && !run_failed(run) && (err = bring_late(w, pass)) != OK)
                run_fail(run, &w->diag);
            if (w->number == 0 && err == OK && !run_failed(run) && (err = bring_dormant(w, pass)) != OK)
                run_fail(run, &w->diag);
            pthread_barrier_wait(&run->barrier);
        }
        if (!pass_is_on(job, pass))
            continue;
        if (err == OK && w->later[pass])
            err = w->later[pass]->ops->seal(w->later[pass], &w->diag);
        if (err != OK)
            run_fail(run, &w->diag);
        if (w->number == 0)
            atomic_store(&run->next_partition, 0);
        pthread_barrier_wait(&run->barrier);
        for (uint32_t p; err == OK && !run_failed(run) &&
                         (p = atomic_fetch_add(&run->next_partition, 1)) < HASH_PARTITIONS;)
            err = later_pass(w, pass, p);
        if (err != OK)
            run_fail(run, &w->diag);
        pthread_barrier_wait(&run->barrier);
        if (pass < job->match.key_count)
            err = crowd_judge(w, pass, err);
    }
    if (job->match.has_budget)
        err = settle_budget(w, err);
    if (run->config->hands)
        err = settle_hands(w, err);
    if (err == OK)
        run->config->sink->ops->order(run->config->sink, w->number);
    return write_matches(w, err);
}
