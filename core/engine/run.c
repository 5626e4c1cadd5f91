/* core/engine/run.c: workers, lanes, and the loop that reads and feeds.
 *
 * Each worker decodes chunks and owns shards. A record goes from the worker that decoded it to the shard's
 * owner in a batch, through a ring that only these two use; empties come back through another. A worker that
 * must wait (for room, for its turn, for the disk) feeds its own shards meanwhile, so nobody waits in a
 * circle:
 *
 *     claim order is one total order, and a chunk waits only for chunks claimed before it;
 *     a full ring is emptied by its owner whatever that owner is waiting for.
 */
#include "core/engine/run.h"
#include "core/base/mem.h"
#include "core/base/topology.h"
#include "core/engine/crowd.h"
#include "core/ops/tap.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LATER_HASHES = 1 << 20, LATER_BYTES_MAX = 4 << 20 }; /* of one later key and side */

double run_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void run_fail(struct run *run, const struct diag *diag)
{
    pthread_mutex_lock(&run->diag_lock);
    if (run->diag->err == OK)
        *run->diag = *diag;
    pthread_mutex_unlock(&run->diag_lock);
    atomic_store(&run->failed, 1);
}

static struct lane *lane_of(struct run *run, uint32_t from, uint32_t to)
{
    return &run->lanes[from * run->worker_count + to];
}

/* ---- batches ---- */

static enum err apply(struct worker *w, const struct batch *batch, uint32_t shard)
{
    if (UNLIKELY(!w->shards[shard])) /* counts_only */
        return OK;
    const double began = run_seconds();
    enum err err = w->run->config->index->apply(w->shards[shard], batch, &w->diag);
    w->times.apply_seconds += run_seconds() - began;
    return err;
}

/* Feeds this worker's shards with what others sent. 1 when there was something; -1 on failure. */
static int drain(struct worker *w)
{
    struct run *run = w->run;
    int did = 0;
    for (uint32_t from = 0; from < run->worker_count; from++) {
        struct lane *lane = lane_of(run, from, w->number);
        struct batch *batch;
        while (from != w->number && (batch = spsc_pop(&lane->full))) {
            did = 1;
            if (batch->end)
                w->ends_seen++;
            else if (!run_failed(run) && apply(w, batch, batch->shard) != OK) {
                run_fail(run, &w->diag);
                return -1;
            }
            if (!spsc_push(&lane->empty, batch))
                CHECK(!"a ring of empties has room for every batch of its lane");
        }
    }
    return did;
}

/* After a turn in which nothing could be done: spin a little, then yield, then sleep for longer and longer,
 * so that a worker that waits for one whose core is taken by others does not burn the core it has. */
static void rest(struct worker *w, int did)
{
    enum { SPINS = 64, YIELDS = 192, SLEEP_NS_MAX = 200000 };
    if (did) {
        w->idle_turns = 0;
        return;
    }
    w->times.idle++;
    const double began = run_seconds();
    if (w->idle_turns < SPINS) {
        w->idle_turns++;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    } else if (w->idle_turns < YIELDS) {
        w->idle_turns++;
        sched_yield();
    } else {
        long ns = 5000L << ((w->idle_turns - YIELDS) / 8);
        if (ns < SLEEP_NS_MAX)
            w->idle_turns++;
        struct timespec pause = {0, ns < SLEEP_NS_MAX ? ns : SLEEP_NS_MAX};
        nanosleep(&pause, NULL);
    }
    w->times.wait_seconds += run_seconds() - began;
}

static struct batch *take_empty(struct worker *w, uint32_t to)
{
    struct lane *lane = lane_of(w->run, w->number, to);
    for (;;) {
        struct batch *batch = w->spare_count[to] ? w->spare[to * BATCHES_PER_LANE + --w->spare_count[to]]
                                                 : spsc_pop(&lane->empty);
        if (batch) {
            batch->used = batch->count = batch->packed = batch->end = 0;
            return batch;
        }
        if (run_failed(w->run))
            return NULL;
        rest(w, drain(w));
    }
}

static enum err stopped(struct worker *w)
{
    return diag_set(&w->diag, ERR_INTERRUPTED, "interrupted",
                    "run the same command again; nothing was published", "stopped before the end");
}

static enum err flush(struct outbox *outbox, uint32_t shard, struct diag *diag)
{
    struct worker *w = (struct worker *)outbox;
    uint32_t owner = shard_owner(w->run, shard);
    struct batch *batch = outbox->open[shard];
    (void)diag; /* the source was given &w->diag */
    atomic_fetch_add_explicit(&w->run->rows_done, batch->count, memory_order_relaxed);
    if (run_failed(w->run))
        return stopped(w);
    if (owner == w->number) {
        enum err err = apply(w, batch, shard);
        batch->used = batch->count = batch->packed = 0;
        return err;
    }
    batch->shard = shard;
    struct lane *lane = lane_of(w->run, w->number, owner);
    if (!spsc_push(&lane->full, batch))
        CHECK(!"a ring has room for every batch of its lane");
    outbox->open[shard] = take_empty(w, owner);
    if (!outbox->open[shard])
        return stopped(w);
    outbox->open[shard]->shard = shard;
    return OK;
}

/* ---- reading ---- */

/* How far a side may go ahead while the other one's packed file is waited for. What it brings meets nobody yet: the index
 * should stay in the caches, and the unpacker may need the core. */
enum { LEAD_BYTES = 4 << 20, SIZE_ASKED_EVERY = 16 };

/* By how much the side is ahead of the other one's share, in its own bytes. */
static int leads(const struct run *run, int side)
{
    return (unsigned __int128)run->claimed[side] * run->size[!side] >
           (unsigned __int128)run->claimed[!side] * run->size[side] +
               (unsigned __int128)LEAD_BYTES * run->size[!side];
}

/* Claims the next chunk, of the side that is less far, so that both sides go by in step. */
static enum step claim(struct worker *w, struct ticket *ticket)
{
    struct run *run = w->run;
    enum step step = STEP_DONE;
    pthread_mutex_lock(&run->claim_lock);
    while (!(run->side_done[LOCAL] && run->side_done[CHANNEL])) {
        int side = run->side_done[LOCAL] ? CHANNEL : LOCAL;
        if (!run->side_done[LOCAL] && !run->side_done[CHANNEL])
            side = (unsigned __int128)run->claimed[LOCAL] * run->size[CHANNEL] <=
                           (unsigned __int128)run->claimed[CHANNEL] * run->size[LOCAL]
                       ? LOCAL
                       : CHANNEL;
        struct source *source = run->config->sources[side];
        step = source->ops->claim(source, w->io, ticket, &w->diag);
        /* Not there yet: the other side meanwhile. */
        if (step == STEP_IDLE && !run->side_done[!side] && !(ticket->unpacking && leads(run, !side))) {
            side = !side;
            source = run->config->sources[side];
            ticket->unpacking = 0;
            step = source->ops->claim(source, w->io, ticket, &w->diag);
        }
        if (step == STEP_DONE) {
            run->side_done[side] = 1;
            continue;
        }
        if (step == STEP_MORE) {
            run->claimed[side] += ticket->end - ticket->begin;
            if (ticket->unpacking && run->claims++ % SIZE_ASKED_EVERY == 0)
                atomic_store_explicit(&run->size[side], source->ops->size(source), memory_order_relaxed);
        }
        break;
    }
    if (run->side_done[LOCAL] && run->side_done[CHANNEL])
        step = STEP_DONE;
    pthread_mutex_unlock(&run->claim_lock);
    return step;
}

static enum err read_and_feed(struct worker *w)
{
    struct run *run = w->run;
    const uint32_t depth = run->config->depth ? run->config->depth : DEPTH_DEFAULT;
    struct ticket tickets[16];
    CHECK2(depth <= 16, depth, 16);
    uint32_t first = 0, count = 0;
    uint64_t taken = 0;
    int more = 1;
    enum err err = OK;
    while ((more || count) && err == OK) {
        if (run_failed(run)) {
            err = stopped(w);
            break;
        }
        while (more && count < depth) {
            struct ticket *ticket = &tickets[(first + count) % depth];
            *ticket = (struct ticket){.buffer = (first + count) % depth};
            enum step step = claim(w, ticket);
            if (step == STEP_FAILED) {
                err = w->diag.err;
                break;
            }
            if (step == STEP_IDLE)
                break;
            if (step == STEP_DONE) {
                more = 0;
                break;
            }
            struct source *source = run->config->sources[ticket->side];
            count++;
            if ((err = source->ops->start(source, w->io, ticket, &w->diag)) != OK)
                break;
        }
        int did = drain(w);
        if (did < 0)
            err = w->diag.err;
        double began = run_seconds();
        for (uint32_t i = 0; err == OK && i < count; i++) {
            struct ticket *ticket = &tickets[(first + i) % depth];
            struct source *source = run->config->sources[ticket->side];
            if (source->ops->arrive)
                err = source->ops->arrive(source, w->io, ticket, &w->diag);
        }
        if (err == OK && !count && more)
            rest(w, did);
        w->times.scan_seconds += run_seconds() - began;
        if (err != OK || !count)
            continue;
        struct ticket *ticket = &tickets[first];
        struct source *source = run->config->sources[ticket->side];
        began = run_seconds();
        const double others = w->times.apply_seconds + w->times.wait_seconds; /* which it calls for */
        enum step step = source->ops->process(source, w->io, ticket, &w->outbox, &w->diag);
        w->times.decode_seconds +=
            run_seconds() - began - (w->times.apply_seconds + w->times.wait_seconds - others);
        if (step == STEP_FAILED) {
            err = w->diag.err;
        } else if (step == STEP_DONE) {
            atomic_fetch_add_explicit(&run->bytes_done, ticket->end - ticket->begin, memory_order_relaxed);
            w->times.chunks++;
            first = (first + 1) % depth;
            count--;
        } else {
            rest(w, did);
        }
        if (step != STEP_IDLE)
            w->idle_turns = 0;
        if (w->outbox.taken != taken) {
            atomic_fetch_add_explicit(&run->rows_done, w->outbox.taken - taken, memory_order_relaxed);
            taken = w->outbox.taken;
        }
    }
    for (uint32_t i = 0; i < count; i++) /* of a run that stops */
        mem_give(tickets[(first + i) % depth].extra);
    return err;
}

/* A turn of who waits for the others: feeds what they sent. */
static enum err feed_meanwhile(struct worker *w)
{
    if (run_failed(w->run))
        return stopped(w);
    const int did = drain(w);
    if (did < 0)
        return w->diag.err;
    rest(w, did);
    return OK;
}

/* Rows that the taps took meet when all have been read; what is no pair is fed like the others. */
static enum err join_taken(struct worker *w)
{
    struct run *run = w->run;
    if (w->outbox.tap->end)
        w->outbox.tap->end(w->outbox.tap);
    atomic_fetch_add(&run->have_read, 1);
    enum err err = OK;
    while (err == OK && atomic_load(&run->have_read) < run->worker_count)
        err = feed_meanwhile(w);
    if (err != OK)
        return err;
    const double began = run_seconds(), others = w->times.apply_seconds + w->times.wait_seconds;
    err = run->config->sink->ops->join(run->config->sink, w->number, &w->outbox, &w->met, &w->diag);
    w->times.join_seconds = run_seconds() - began - (w->times.apply_seconds + w->times.wait_seconds - others);
    return err;
}

/* Sends what is left and the END marks, and feeds until everybody's END has come. */
static enum err send_ends(struct worker *w)
{
    struct run *run = w->run;
    enum err err = OK;
    for (uint32_t shard = 0; err == OK && shard < run->shard_count; shard++)
        if (w->outbox.open[shard]->count)
            err = flush(&w->outbox, shard, &w->diag);
    for (uint32_t to = 0; err == OK && to < run->worker_count; to++) {
        if (to == w->number)
            continue;
        struct batch *batch = take_empty(w, to);
        if (!batch)
            return stopped(w);
        batch->end = 1;
        if (!spsc_push(&lane_of(run, w->number, to)->full, batch))
            CHECK(!"a ring has room for every batch of its lane");
    }
    while (err == OK && w->ends_seen < run->worker_count - 1)
        err = feed_meanwhile(w);
    return err;
}

/* ---- a worker's life ---- */

/* Whether records go packed: both sides' are key, amount and status, pairs leave, and nobody asks for hashes that are the same
 * from day to day. */
static int packs(const struct run_config *config, const struct record_layout layout[SIDES])
{
    for (int side = 0; side < SIDES; side++)
        if (layout[side].has_extras || layout[side].has_fold)
            return 0;
    return !config->job->match.group.given && !config->ids && !config->fresh && !config->dormant;
}

static enum err recall_images(void *context, const struct row_ref *refs, uint32_t count, record_take_fn *take,
                              void *taker, struct diag *diag)
{
    struct worker *w = context;
    struct source *source = count ? w->run->config->sources[refs[0].side] : NULL;
    return source ? source->ops->recall(source, w->io, refs, count, take, taker, diag) : OK;
}

static enum err worker_setup(struct worker *w)
{
    struct run *run = w->run;
    const struct run_config *config = run->config;
    w->times.core = config->pin ? topology_pin(w->number) : -1;
    enum err err = config->io.open(&w->io, config->io.context, &w->diag);
    if (err == OK)
        err = config->spill.open(&w->spill, config->spill.context, &w->diag);
    if (err == OK)
        err = tally_init(&w->outbox.tally, &w->diag);
    if (err == OK)
        err = tally_init(&w->apart, &w->diag);
    if (err == OK)
        err = aggregate_init(&w->aggregate, &config->counts, &w->diag);
    for (int side = 0; side < SIDES; side++)
        w->outbox.aggregate[side] = job_counts(config->job, (enum side)side) ? &w->aggregate : NULL;
    if (err == OK)
        err = tally_init(&w->dropped, &w->diag);
    if (err == OK && config->is_task && !(w->carry = mem_take_zero(SIDES, sizeof *w->carry)))
        err = mem_fail(&w->diag, SIDES * sizeof *w->carry, "a worker");
    w->outbox.fresh = config->fresh;
    if (err == OK && config->ids)
        err = w->spill->ops->open(&w->outbox.ids, w->spill, ID_PARTITIONS,
                                  config->ids_memory / run->worker_count, &w->diag);
    w->outbox.dormant = config->dormant;
    w->outbox.met = config->met;
    w->outbox.renamed = config->renamed;
    w->outbox.shard_count = run->shard_count;
    w->outbox.flush = flush;
    w->outbox.open = mem_take_zero(run->shard_count, sizeof *w->outbox.open);
    w->shards = mem_take_zero(run->shard_count, sizeof *w->shards);
    w->spare = mem_take_zero((size_t)run->worker_count * BATCHES_PER_LANE, sizeof *w->spare);
    w->spare_count = mem_take_zero(run->worker_count, sizeof *w->spare_count);
    if (err == OK && (!w->outbox.open || !w->shards || !w->spare || !w->spare_count))
        err = mem_fail(&w->diag, 0, "a worker");
    struct index_config index = {.shard_count = run->shard_count,
                                 .window_before = config->job->match.window_before,
                                 .window_after = config->job->match.window_after,
                                 .memory_max = config->memory / run->shard_count,
                                 .spill = w->spill,
                                 .other_days_apart = config->is_task,
                                 .has_cost = job_matches_gross(config->job),
                                 .holds_all = config->job->match.group.given,
                                 .gives_back = config->write_match && job_match_is_odd(config->job),
                                 .repeats = config->ids ? &run->repeats : NULL,
                                 .seed = config->hash_seed,
                                 .unit_day = config->date,
                                 .renamed = config->renamed,
                                 .keep_pairs = config->write_match,
                                 .recall = {recall_images, w}};
    if (err == OK && !config->counts_only && crowd_splits(config)) {
        err = crowd_open(w);
        index.crowd = w->crowd[CROWD_IN];
        index.crowd_rows = crowd_rows(config);
        index.crowd_shares = CROWD_SHARES;
    }
    for (int side = 0; side < SIDES; side++) {
        index.layout[side] = config->sources[side]->ops->layout(config->sources[side]);
        if (index.layout[side].has_fold && config->is_task)
            index.words = config->words;
    }
    if (config->write_match && !config->counts_only && config->sink->ops->tap)
        w->outbox.tap = config->sink->ops->tap(config->sink, w->number);
    w->outbox.packs = index.packs = packs(config, index.layout);
    CHECK(!w->outbox.tap || !w->outbox.tap->takes ||
          (w->outbox.packs && !w->outbox.aggregate[LOCAL] && !w->outbox.aggregate[CHANNEL] &&
           !w->outbox.renamed));
    w->outbox.pack_seed = config->hash_seed;
    crowd_door_open(w);
    index.called = w->outbox.door ? &run->called : NULL;
    for (uint32_t shard = 0; err == OK && shard < run->shard_count; shard++)
        if (shard_owner(run, shard) == w->number && !config->counts_only)
            err = config->index->open(&w->shards[shard], &index, &w->diag);
    if (err != OK)
        return err;
    /* One open batch per shard, and per lane as many more as may be on the way. */
    uint32_t units = config->batch_units ? config->batch_units : BATCH_UNITS;
    if (units < record_units(RECORD_VAR_MAX + 64))
        units = record_units(RECORD_VAR_MAX + 64);
    size_t size = sizeof(struct batch) + (size_t)units * RECORD_UNIT;
    size_t count = run->shard_count + (size_t)run->worker_count * BATCHES_PER_LANE;
    w->batch_block_size = size * count;
    w->batch_block = mem_map(w->batch_block_size, 0);
    if (!w->batch_block)
        return mem_fail(&w->diag, w->batch_block_size, "batches");
    char *at = w->batch_block;
    for (size_t i = 0; i < count; i++, at += size) {
        struct batch *batch = (struct batch *)at;
        batch->room = units;
        if (i < run->shard_count) {
            w->outbox.open[i] = batch;
            batch->shard = (uint32_t)i;
        } else {
            uint32_t to = (uint32_t)(i - run->shard_count) / BATCHES_PER_LANE;
            w->spare[to * BATCHES_PER_LANE + w->spare_count[to]++] = batch;
        }
    }
    arena_init(&w->arena);
    return OK;
}

static void worker_teardown(struct worker *w)
{
    struct run *run = w->run;
    for (uint32_t shard = 0; w->shards && shard < run->shard_count; shard++)
        if (w->shards[shard])
            run->config->index->close(w->shards[shard]);
    for (int key = 0; key < KEYS_MAX + PASSES_BEHIND; key++)
        if (w->later[key])
            w->later[key]->ops->close(w->later[key]);
    if (w->outbox.ids)
        w->outbox.ids->ops->close(w->outbox.ids);
    for (int stage = 0; stage < CROWD_STAGES; stage++)
        if (w->crowd[stage])
            w->crowd[stage]->ops->close(w->crowd[stage]);
    crowd_door_close(w);
    run->config->spill.close(w->spill);
    mem_give(w->shards);
    mem_give(w->outbox.open);
    mem_give(w->spare);
    mem_give(w->spare_count);
    mem_unmap(w->batch_block, w->batch_block_size);
    verdict_scratch_fini(&w->scratch);
    mem_give(w->subset);
    arena_fini(&w->arena);
    mem_give(w->rows_kept);
    tally_fini(&w->outbox.tally);
    tally_fini(&w->apart);
    aggregate_fini(&w->aggregate);
    tally_fini(&w->dropped);
    mem_give(w->carry);
    mem_give(w->hands);
    run->config->io.close(w->io);
}

/* All is read and nobody sends any more: what is judged next has the memory. */
static void give_batches(struct worker *w)
{
    mem_unmap(w->batch_block, w->batch_block_size);
    w->batch_block = NULL;
    for (uint32_t shard = 0; w->outbox.open && shard < w->run->shard_count; shard++)
        w->outbox.open[shard] = NULL;
    for (uint32_t to = 0; w->spare_count && to < w->run->worker_count; to++)
        w->spare_count[to] = 0;
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct run *run = w->run;
    pthread_mutex_lock(&run->claim_lock);
    int called_off = run->called_off;
    pthread_mutex_unlock(&run->claim_lock);
    if (called_off)
        return NULL;
    double began = run_seconds();
    enum err err = worker_setup(w);
    if (err != OK)
        run_fail(run, &w->diag);
    pthread_barrier_wait(&run->barrier);
    if (!run_failed(run)) {
        err = read_and_feed(w);
        if (err == OK && w->outbox.tap && w->outbox.tap->takes)
            err = join_taken(w);
        if (err == OK)
            err = send_ends(w);
        const double settling = run_seconds();
        for (uint32_t shard = 0; err == OK && shard < run->shard_count; shard++)
            if (w->shards[shard])
                err = run->config->index->settle(w->shards[shard], &w->diag);
        if (err == OK && w->outbox.ids)
            err = w->outbox.ids->ops->seal(w->outbox.ids, &w->diag);
        w->times.settle_seconds = run_seconds() - settling;
        if (err != OK)
            run_fail(run, &w->diag);
    }
    w->times.read_seconds = run_seconds() - began;
    pthread_barrier_wait(&run->barrier);
    /* Only whole inputs are judged: what was read must be what is there, within the limit of rejects. */
    if (w->number == 0 && !run_failed(run)) {
        for (int side = 0; err == OK && side < SIDES; side++)
            err = run->config->sources[side]->ops->finish(run->config->sources[side], w->io, &w->diag);
        if (err != OK)
            run_fail(run, &w->diag);
        atomic_store(&run->stage, 1);
    }
    pthread_barrier_wait(&run->barrier);
    give_batches(w);
    began = run_seconds();
    if (run->config->ids)
        worker_known(w);
    err = run->config->counts_only ? OK : worker_resolve(w);
    if (err != OK)
        run_fail(run, &w->diag);
    w->times.resolve_seconds = run_seconds() - began;
    pthread_barrier_wait(&run->barrier);
    atomic_fetch_add(&run->finished, 1);
    return NULL;
}

/* ---- sums ---- */

static enum err sums_differ(struct diag *diag, const char *which, enum side side, uint8_t currency,
                            uint64_t in, uint64_t out, money_total in_sum, money_total out_sum)
{
    char a[MONEY_TEXT_MAX], b[MONEY_TEXT_MAX];
    money_print(a, in_sum, currency_exponent(currency));
    money_print(b, out_sum, currency_exponent(currency));
    return diag_set(diag, ERR_BUG, "invariant", "please report this with the job and, if you can, the files",
                    "%s broken on the %s side: %llu records with %s %s came in, %llu with %s have a verdict",
                    which, side_name(side), (unsigned long long)in, a, currency_code(currency),
                    (unsigned long long)out, b);
}

/* I2 and I3 per side and currency, and with them I6 and I7: the verdicts' sums are the inputs' sums. I5:
 * booked deltas. */
/* What was counted of rows apart from their records is what came in. */
struct cell_sums {
    struct count_and_sum of[SIDES][CURRENCY_COUNT_MAX];
};

static void sum_cell(void *context, const struct aggregate_cell *cell)
{
    struct cell_sums *sums = context;
    struct count_and_sum *to = &sums->of[aggregate_side(cell)][aggregate_currency(cell)];
    to->count += (uint64_t)cell->count;
    to->sum += cell->gross;
}

static void sum_tally(const struct tally *t, struct count_and_sum sums[SIDES][CURRENCY_COUNT_MAX])
{
    memset(sums, 0, SIDES * sizeof *sums);
    for (uint32_t i = 0; i < t->room; i++) {
        if (!t->rows[i].key)
            continue;
        struct count_and_sum *to = &sums[tally_side(t->rows[i].key)][tally_currency(t->rows[i].key)];
        to->count += t->rows[i].count;
        to->sum += t->rows[i].sum;
    }
}

static enum err check_aggregates(const struct job *job, const struct run_result *r, struct diag *diag)
{
    struct count_and_sum in[SIDES][CURRENCY_COUNT_MAX];
    struct cell_sums counted = {0};
    sum_tally(&r->in, in);
    enum err err = aggregate_each(&r->aggregate, sum_cell, &counted, diag);
    if (err != OK)
        return err;
    for (int side = 0; side < SIDES; side++)
        for (int c = 0; job_counts(job, (enum side)side) && c < CURRENCY_COUNT_MAX; c++)
            if (in[side][c].count != counted.of[side][c].count || in[side][c].sum != counted.of[side][c].sum)
                return sums_differ(diag, "I2 or I3 (aggregates)", (enum side)side, (uint8_t)c,
                                   in[side][c].count, counted.of[side][c].count, in[side][c].sum,
                                   counted.of[side][c].sum);
    return OK;
}

static enum err check_sums(const struct job *job, struct run_result *r, struct diag *diag)
{
    struct count_and_sum came[SIDES][CURRENCY_COUNT_MAX];
    sum_tally(&r->in, came);
    for (int side = 0; side < SIDES; side++)
        for (int currency = 0; currency < CURRENCY_COUNT_MAX; currency++) {
            uint64_t in = came[side][currency].count, out = 0;
            money_total in_sum = came[side][currency].sum, out_sum = 0;
            for (int c = 0; c < CLASSES; c++) {
                out += r->totals.rows[c][side][currency];
                out_sum += r->totals.sums[c][side][currency];
            }
            /* Currency 0 is that of images that are no records; theirs went with the replaced ones. */
            if (in_sum != out_sum || in != out)
                return sums_differ(diag, "I2 or I3 (counts and sums by side and currency)", (enum side)side,
                                   (uint8_t)currency, in, out, in_sum, out_sum);
        }
    for (int side = 0; side < SIDES; side++) {
        uint64_t in = 0, out = 0;
        for (int currency = 0; currency < CURRENCY_COUNT_MAX; currency++)
            in += came[side][currency].count;
        for (int c = 0; c < CLASSES; c++)
            out += r->totals.count[c][side];
        if (in != out)
            return sums_differ(diag, "I2 (one verdict for each record)", (enum side)side, 0, in, out, 0, 0);
        uint64_t records = r->counts[side].records - r->given_way[side] - r->images_superseded[side] -
                           r->images_moved[side] - r->other_days[side];
        if (records != in)
            return sums_differ(diag, "I2 (records read)", (enum side)side, 0, records, in, 0, 0);
    }
    enum err err = check_aggregates(job, r, diag);
    if (err != OK)
        return err;
    for (int currency = 0; currency < CURRENCY_COUNT_MAX; currency++) {
        money_total booked = 0;
        for (int b = 0; b < BOOKINGS; b++)
            booked += r->booked[b][currency];
        const money_total delta =
            r->totals.sums[CLASS_MATCH][CHANNEL][currency] - r->totals.sums[CLASS_MATCH][LOCAL][currency];
        if (booked != delta)
            return sums_differ(diag, "I5 (booked deltas of matches)", CHANNEL, (uint8_t)currency, 0, 0,
                               booked, delta);
        if (r->booked[BOOKED_SETS][currency] != 0)
            return sums_differ(diag, "I5 (sums of groups and netted sets)", CHANNEL, (uint8_t)currency, 0, 0,
                               r->booked[BOOKED_SETS][currency], 0);
    }
    return OK;
}

static int by_day(const void *a, const void *b)
{
    const struct schedule_day *x = a, *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return (x->currency > y->currency) - (x->currency < y->currency);
}

struct days {
    struct schedule_day *days; /* by_day */
    int64_t *counts;
    uint32_t count, room;
    int no_memory;
};

static void take_day(void *context, const struct aggregate_cell *cell)
{
    struct days *d = context;
    if (aggregate_side(cell) != CHANNEL || d->no_memory)
        return;
    const struct schedule_day own = {aggregate_day(cell), aggregate_currency(cell), cell->gross, cell->cost};
    uint32_t low = 0, high = d->count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (by_day(&d->days[middle], &own) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == d->count || by_day(&d->days[low], &own) != 0) {
        if (d->count == d->room) {
            const uint32_t room = d->room ? d->room * 2 : 64;
            struct schedule_day *days = mem_grow(d->days, room * sizeof *days);
            d->days = days ? days : d->days;
            int64_t *counts = mem_grow(d->counts, room * sizeof *counts);
            d->counts = counts ? counts : d->counts;
            d->no_memory = !days || !counts;
            if (d->no_memory)
                return;
            d->room = room;
        }
        memmove(d->days + low + 1, d->days + low, (d->count - low) * sizeof *d->days);
        memmove(d->counts + low + 1, d->counts + low, (d->count - low) * sizeof *d->counts);
        d->days[low] = (struct schedule_day){.day = own.day, .currency = own.currency};
        d->counts[low] = 0;
        d->count++;
    }
    d->days[low].expected += own.expected;
    d->days[low].stated += own.stated;
    d->counts[low] += cell->count;
}

/* Fees by the day: sums of the channel's side against the rate (core/README.md, decision 28). */
static enum err schedule_days(const struct run *run, struct run_result *r, struct diag *diag)
{
    const struct fee_schedule *schedule = &run->config->job->match.schedule;
    struct days d = {0};
    enum err err = aggregate_each(&r->aggregate, take_day, &d, diag);
    if (err == OK && d.no_memory)
        err = mem_fail(diag, d.room * 2 * sizeof *d.days, "fees by the day");
    uint32_t days = 0;
    for (uint32_t i = 0; i < d.count; i++) /* all of a day's may have been taken back */
        if (d.counts[i])
            d.days[days++] = d.days[i];
    mem_give(d.counts);
    r->schedule = d.days;
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < days; i++) {
        struct schedule_day *day = &r->schedule[i];
        day->expected = money_scale_total(day->expected, schedule->rate_ppm, 1000000,
                                          currency_exponent(day->currency), schedule->rounding);
    }
    r->schedule_count = days;
    return OK;
}

static enum err add_up(struct run *run, struct run_result *r, struct diag *diag)
{
    enum err err = tally_init(&r->in, diag);
    if (err == OK)
        err = aggregate_init(
            &r->aggregate,
            &(struct aggregate_share){run->config->counts.store, run->config->counts.memory * 2}, diag);
    if (err == OK)
        err = tally_init(&r->others, diag);
    if (err == OK && run->config->is_task && !(r->carry = mem_take_zero(SIDES, sizeof *r->carry)))
        err = mem_fail(diag, SIDES * sizeof *r->carry, "a run's sums");
    uint64_t given_back = 0;
    for (uint32_t i = 0; i < run->worker_count; i++)
        given_back += run->workers[i].outbox.given_back;
    if (err == OK && run->config->is_task && !(r->log_days = mem_take_zero(1, sizeof *r->log_days)))
        err = mem_fail(diag, sizeof *r->log_days, "a run's sums");
    for (uint32_t i = 0; err == OK && i < run->worker_count; i++) {
        struct worker *w = &run->workers[i];
        err = tally_merge(&r->in, &w->outbox.tally, 1, diag);
        for (uint32_t shard = 0; err == OK && shard < run->shard_count; shard++) {
            if (!w->shards[shard])
                continue;
            err = tally_merge(&r->in, run->config->index->superseded(w->shards[shard]), -1, diag);
            if (err == OK)
                err = tally_merge(&r->others, run->config->index->others(w->shards[shard]), 1, diag);
            if (r->log_days)
                log_days_merge(r->log_days, run->config->index->log_days(w->shards[shard]));
            const struct pair_totals *pairs = run->config->index->totals(w->shards[shard]);
            for (int c = 0; c < CURRENCY_COUNT_MAX; c++)
                for (int side = 0; side < SIDES; side++) {
                    const uint64_t stayed = pairs->count[c] - pairs->back_count[side][c];
                    r->totals.count[CLASS_MATCH][side] += stayed;
                    r->totals.rows[CLASS_MATCH][side][c] += stayed;
                    r->totals.sums[CLASS_MATCH][side][c] +=
                        pairs->sum[c] - pairs->back_sum[side][c] - (side == CHANNEL ? pairs->kept[c] : 0);
                    r->booked[BOOKED_FEES][c] -= side == CHANNEL ? pairs->kept[c] : 0;
                    if (side == LOCAL) {
                        r->pairs[c].count += stayed;
                        r->pairs[c].sum += pairs->sum[c] - pairs->back_sum[side][c];
                    }
                }
            struct index_counts counts;
            run->config->index->counts(w->shards[shard], &counts);
            for (int side = 0; side < SIDES; side++) {
                r->images_superseded[side] += counts.superseded[side];
                r->images_moved[side] += counts.moved[side];
                r->other_days[side] += counts.other_days[side];
            }
            struct index_counts *sum = &w->times.index;
            sum->records += counts.records;
            sum->waiting += counts.waiting;
            sum->waiting_max += counts.waiting_max;
            sum->pairs += counts.pairs;
            sum->groups += counts.groups;
            sum->table_bytes += counts.table_bytes;
            sum->entry_bytes += counts.entry_bytes;
            sum->pair_bytes += counts.pair_bytes;
            sum->spilled += counts.spilled;
        }
        /* A row that was given back is counted by the index; which of the workers took it nobody knows. */
        const uint64_t of_others = w->outbox.taken < given_back ? w->outbox.taken : given_back;
        given_back -= of_others;
        w->times.index.records += w->outbox.taken - of_others;
        for (int c = 0; c < CURRENCY_COUNT_MAX; c++)
            for (int side = 0; side < SIDES; side++) {
                /* Pairs that were judged again are in the verdicts now. */
                r->totals.count[CLASS_MATCH][side] += w->met.count[c] - w->revisited_count[side][c];
                r->totals.rows[CLASS_MATCH][side][c] += w->met.count[c] - w->revisited_count[side][c];
                r->totals.sums[CLASS_MATCH][side][c] += w->met.sum[c] - w->revisited_sum[side][c];
                if (side == LOCAL) {
                    r->pairs[c].count += w->met.count[c] - w->revisited_count[side][c];
                    r->pairs[c].sum += w->met.sum[c] - w->revisited_sum[side][c];
                }
            }
        for (int c = 0; c < CURRENCY_COUNT_MAX; c++) {
            r->pairs[c].count += w->placed[c].count;
            r->pairs[c].sum += w->placed[c].sum;
        }
        for (int c = 0; c < CLASSES; c++)
            for (int side = 0; side < SIDES; side++) {
                r->totals.count[c][side] += w->totals.count[c][side];
                for (int k = 0; k < CURRENCY_COUNT_MAX; k++) {
                    r->totals.rows[c][side][k] += w->totals.rows[c][side][k];
                    r->totals.sums[c][side][k] += w->totals.sums[c][side][k];
                }
            }
        for (int c = 0; c < CURRENCY_COUNT_MAX; c++)
            for (int b = 0; b < BOOKINGS; b++)
                r->booked[b][c] += w->booked[b][c];
        if (err == OK)
            err = tally_merge(&r->others, &w->apart, 1, diag);
        r->worker[i] = w->times;
        r->worker[i].spill_written = w->aggregate.written;
        if (err == OK)
            err = aggregate_merge(&r->aggregate, &w->aggregate, diag);
        if (err == OK)
            err = tally_merge(&r->in, &w->dropped, -1, diag);
        for (int side = 0; side < SIDES; side++) {
            r->other_days[side] += w->apart_count[side];
            r->given_way[side] += w->dropped_count[side];
        }
        for (int side = 0; w->carry && side < SIDES; side++)
            for (int c = 0; c < CURRENCY_COUNT_MAX; c++)
                carry_totals_add(&r->carry[side][c], &w->carry[side][c]);
        for (int b = 0; b < 64; b++)
            r->reason_count[b] += w->reason_count[b];
        for (int side = 0; side < SIDES; side++) {
            struct odd_bytes *all = &r->odd_bytes[side], *own = &w->odd_bytes[side];
            const uint64_t count = all->count + own->count;
            if (own->count && (!all->count || own->place < all->place))
                *all = *own;
            all->count = count;
            r->before_log[side] += w->before_log[side];
        }
        if (w->spill) {
            r->worker[i].spill_written += w->spill->written;
            r->worker[i].spill_read = w->spill->read;
        }
        if (w->times.read_seconds > r->read_seconds)
            r->read_seconds = w->times.read_seconds;
        if (w->times.resolve_seconds > r->resolve_seconds)
            r->resolve_seconds = w->times.resolve_seconds;
    }
    if (err == OK)
        err = tally_merge(&r->in, &r->others, -1, diag);
    for (int side = 0; err == OK && side < SIDES; side++)
        err = run->config->sources[side]->ops->limit_rejects(run->config->sources[side], run->workers[0].io,
                                                             diag);
    for (int side = 0; side < SIDES; side++)
        run->config->sources[side]->ops->counts(run->config->sources[side], &r->counts[side]);
    for (uint32_t i = 0; i < run->worker_count; i++)
        for (int side = 0; side < SIDES; side++)
            r->counts[side].records += run->workers[i].woken_count[side];
    if (err == OK)
        err = run->config->counts_only ? check_aggregates(run->config->job, r, diag)
                                       : check_sums(run->config->job, r, diag);
    return err == OK && run->config->job->match.fees == FEES_SCHEDULE_DAY ? schedule_days(run, r, diag) : err;
}

enum err run_add(struct run_result *r, const struct job *job, struct beside *beside, struct diag *diag)
{
    class_totals_add(&r->totals, &beside->totals);
    for (int side = 0; side < SIDES; side++) {
        r->counts[side].records += beside->records[side];
        for (int c = 0; c < CURRENCY_COUNT_MAX; c++)
            carry_totals_add(&r->carry[side][c], &beside->carry[side][c]);
    }
    for (int b = 0; b < 64; b++)
        r->reason_count[b] += beside->reason_count[b];
    enum err err = tally_merge(&r->in, &beside->in, 1, diag);
    if (err == OK)
        err = aggregate_merge(&r->aggregate, &beside->aggregate, diag);
    return err == OK ? check_sums(job, r, diag) : err;
}

/* Tells how far it is, where somebody asks; else joining the workers is waiting enough. */
static void watch(struct run *run)
{
    while (run->config->progress && atomic_load(&run->finished) < run->worker_count) {
        struct timespec pause = {0, 20000000};
        nanosleep(&pause, NULL);
        struct run_progress progress = {.bytes_done = atomic_load(&run->bytes_done),
                                        .bytes_all = run->size[LOCAL] + run->size[CHANNEL],
                                        .rows = atomic_load(&run->rows_done),
                                        .seconds = run_seconds() - run->started_at,
                                        .stage = atomic_load(&run->stage)};
        run->config->progress(run->config->progress_context, &progress);
    }
}

enum err run_start(struct run_result **out, const struct run_config *config, struct diag *diag)
{
    *out = NULL;
    struct run run = {
        .config = config, .worker_count = config->workers, .diag = diag, .started_at = run_seconds()};
    run.shard_count = config->shards ? config->shards : config->workers;
    if (run.shard_count < run.worker_count)
        run.shard_count = run.worker_count;
    pthread_mutex_init(&run.claim_lock, NULL);
    pthread_mutex_init(&run.diag_lock, NULL);
    repeats_init(&run.repeats);
    pthread_mutex_init(&run.fresh_lock, NULL);
    reopened_init(&run.reopened);
    reopened_init(&run.together);
    if (config->later.find)
        for (int key = 1; key < config->job->match.key_count; key++)
            for (int side = 0; side < SIDES; side++)
                if (!bloom_init(&run.later_fresh[key][side], LATER_HASHES, LATER_BYTES_MAX))
                    mem_fail(diag, LATER_BYTES_MAX, "the set of fresh keys");
    for (int side = 0; side < SIDES; side++)
        atomic_init(&run.size[side], config->sources[side]->ops->size(config->sources[side]));
    struct run_result *result = mem_take_zero(1, sizeof *result);
    size_t lanes_size = (size_t)run.worker_count * run.worker_count * sizeof *run.lanes;
    size_t workers_size = run.worker_count * sizeof *run.workers;
    run.lanes = mem_map(lanes_size, 0);
    run.workers = mem_map(workers_size, 0);
    enum err err = diag->err;
    if (result)
        result->worker = mem_take_zero(run.worker_count, sizeof *result->worker);
    if (!result || !result->worker || !run.lanes || !run.workers)
        err = mem_fail(diag, workers_size + lanes_size, "the workers");
    pthread_barrier_init(&run.barrier, NULL, run.worker_count);
    if (err == OK) {
        result->workers = run.worker_count;
        for (uint32_t i = 0; i < run.worker_count * run.worker_count; i++) {
            spsc_init(&run.lanes[i].full, run.lanes[i].full_slots, RING_SLOTS);
            spsc_init(&run.lanes[i].empty, run.lanes[i].empty_slots, RING_SLOTS);
        }
        uint32_t started = 0;
        for (uint32_t i = 0; i < run.worker_count; i++) {
            run.workers[i].run = &run;
            run.workers[i].number = i;
        }
        /* They wait at this lock until all are there: the barriers count on every one of them. */
        pthread_mutex_lock(&run.claim_lock);
        for (; started < run.worker_count && !run.called_off; started++) {
            int error =
                pthread_create(&run.workers[started].thread, NULL, worker_main, &run.workers[started]);
            if (error) {
                diag_set_errno(diag, error, "threads", "cannot start worker %u of %u", started + 1,
                               run.worker_count);
                run.called_off = 1;
                break;
            }
        }
        if (config->turn.wait)
            config->turn.wait(config->turn.context);
        run.started_at = run_seconds();
        pthread_mutex_unlock(&run.claim_lock);
        if (!run.called_off && config->meanwhile)
            config->meanwhile(config->meanwhile_context);
        if (!run.called_off)
            watch(&run);
        for (uint32_t i = 0; i < started; i++)
            pthread_join(run.workers[i].thread, NULL);
        if (config->turn.over)
            config->turn.over(config->turn.context);
        err = diag->err;
        if (err == OK && run_failed(&run))
            err = stopped(&run.workers[0]), *diag = run.workers[0].diag;
        if (err == OK)
            err = add_up(&run, result, diag);
        if (err == OK)
            *out = result;
        for (uint32_t i = 0; i < run.worker_count; i++)
            worker_teardown(&run.workers[i]);
    }
    pthread_barrier_destroy(&run.barrier);
    repeats_fini(&run.repeats);
    reopened_fini(&run.reopened);
    reopened_fini(&run.together);
    for (int key = 1; key < KEYS_MAX; key++)
        for (int side = 0; side < SIDES; side++)
            bloom_fini(&run.later_fresh[key][side]);
    mem_unmap(run.lanes, lanes_size);
    mem_unmap(run.workers, workers_size);
    if (err != OK)
        run_close(result);
    return err;
}

void run_close(struct run_result *result)
{
    if (!result)
        return;
    tally_fini(&result->in);
    aggregate_fini(&result->aggregate);
    mem_give(result->schedule);
    tally_fini(&result->others);
    mem_give(result->log_days);
    mem_give(result->carry);
    mem_give(result->worker);
    mem_give(result);
}
