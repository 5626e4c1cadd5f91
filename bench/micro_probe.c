/* bench/micro_probe.c: the shard's hot loop: a key that is not there is taken in, a key that is there leaves
 * as a pair.
 *
 *     take_in/N      N records of one side into an empty shard: every probe misses; growth of the table
 * included pair_off/N     their N partners, in an order of their own: every probe hits, the pair leaves
 *     in_step/W      both sides in the same order, the channel W records behind: what a time-ordered day does
 *
 * Records come in batches of BATCH_RECORDS, made outside of the clock. Sketch: 64 bytes a record, one bucket
 * and, on a hit, one entry touched; so 2 lines a record from where the table lives.
 */
#include "bench/shim.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/model/record.h"
#include "index/shard.h"
#include "io/spill/spool.h"
#include <stdio.h>
#include <string.h>

enum { BATCH_RECORDS = 512, KEY_SIZE = 24 };

struct probe_case {
    uint32_t count, tiny_count;
    enum { TAKE_IN, PAIR_OFF, IN_STEP } kind;
};

/* 2^k numbers in an order of their own: an odd factor and a sum are a permutation. */
static uint32_t shuffled(uint32_t i, uint32_t count)
{
    return count & (count - 1) ? (uint32_t)(((uint64_t)i * 2654435761u) % count)
                               : (i * 2654435761u + 12345u) & (count - 1);
}

static void put_record(struct record *r, uint32_t number, enum side side, uint64_t place)
{
    char key[KEY_SIZE + 1];
    memset(r, 0, sizeof *r);
    snprintf(key, sizeof key, "20261119%016llu", (unsigned long long)number * 1000003u);
    memcpy(r->var, key, KEY_SIZE);
    uint64_t hash = hash_bytes(key, KEY_SIZE, 42);
    r->hash_lo = (uint32_t)hash;
    r->hash_hi = (uint32_t)(hash >> 32);
    r->amount_micro = (int64_t)number * 10000;
    r->place = place;
    r->day = 40000;
    r->key_size = KEY_SIZE;
    r->status = r->channel = 1;
    r->currency = 1;
    r->flags = side == CHANNEL ? RECORD_CHANNEL : 0;
}

struct feed {
    struct bench *bench;
    struct index *index;
    struct batch *batch;
    int timed;
    struct diag diag;
};

static int flush(struct feed *feed)
{
    if (feed->batch->count == 0)
        return 1;
    if (feed->timed)
        bench_begin(feed->bench);
    enum err err = shard_ops.apply(feed->index, feed->batch, &feed->diag);
    if (feed->timed)
        bench_end(feed->bench);
    feed->batch->count = feed->batch->used = 0;
    return err == OK;
}

static int push(struct feed *feed, uint32_t number, enum side side, uint64_t place)
{
    put_record(&feed->batch->units[feed->batch->used], number, side, place);
    feed->batch->used++;
    feed->batch->count++;
    return feed->batch->used < BATCH_RECORDS || flush(feed);
}

static int run_round(struct feed *feed, const struct probe_case *c, uint32_t count)
{
    int fine = 1;
    if (c->kind == IN_STEP) {
        uint32_t total = (uint32_t)bench_size(1 << 20, 1 << 13), behind = count < total ? count : total;
        feed->timed = 1;
        for (uint32_t i = 0; fine && i < total + behind; i++) {
            if (i < total)
                fine = push(feed, i, LOCAL, i);
            if (fine && i >= behind)
                fine = push(feed, i - behind, CHANNEL, i - behind);
        }
        return fine && flush(feed);
    }
    feed->timed = c->kind == TAKE_IN;
    for (uint32_t i = 0; fine && i < count; i++)
        fine = push(feed, i, LOCAL, i);
    fine = fine && flush(feed);
    if (c->kind == PAIR_OFF) {
        feed->timed = 1;
        for (uint32_t i = 0; fine && i < count; i++)
            fine = push(feed, shuffled(i, count), CHANNEL, i);
        fine = fine && flush(feed);
    }
    return fine;
}

static void probe(struct bench *bench, const void *context)
{
    const struct probe_case *c = context;
    uint32_t count = (uint32_t)bench_size(c->count, c->tiny_count);
    struct index_config config = {.shard_count = 1, .window_before = -1, .window_after = -1};
    struct feed feed = {.bench = bench};
    const struct spill_config spill = {.directory = "/tmp"};
    if (spill_host_open(&config.spill, &spill, &feed.diag) != OK) {
        bench_wrong(bench, "no memory");
        return;
    }
    feed.batch = mem_map(sizeof *feed.batch + BATCH_RECORDS * sizeof(struct record), 0);
    if (!feed.batch) {
        bench_wrong(bench, "no memory");
        return;
    }
    feed.batch->room = BATCH_RECORDS;
    struct index_counts counts = {0};
    while (bench_round(bench)) {
        if (shard_ops.open(&feed.index, &config, &feed.diag) != OK || !run_round(&feed, c, count)) {
            bench_wrong(bench, "the shard failed");
            break;
        }
        shard_ops.counts(feed.index, &counts);
        bench_answer(bench, bench_mix(counts.pairs, counts.records - counts.pairs * 2));
        if (counts.pairs * 2 != (c->kind == TAKE_IN ? 0 : counts.records))
            bench_wrong(bench, "pairs are missing");
        shard_ops.close(feed.index);
    }
    bench_items(bench, c->kind == IN_STEP ? counts.records : count, 0);
    mem_unmap(feed.batch, sizeof *feed.batch + BATCH_RECORDS * sizeof(struct record));
    spill_host_close(config.spill);
}

void benches(void)
{
    static const struct probe_case cases[] = {
        {4096, 512, TAKE_IN},  {1 << 18, 1024, TAKE_IN},  {5000000, 2048, TAKE_IN},
        {4096, 512, PAIR_OFF}, {1 << 18, 1024, PAIR_OFF}, {5000000, 2048, PAIR_OFF},
        {4096, 512, IN_STEP},  {1 << 15, 1024, IN_STEP},
    };
    static const char *const kinds[] = {"take_in", "pair_off", "in_step"};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "shard/%s/%u", kinds[cases[i].kind], cases[i].count);
        bench_add_timed(name, probe, &cases[i]);
    }
}
