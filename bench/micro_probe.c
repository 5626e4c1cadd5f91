/* bench/micro_probe.c: the shard's hot loop: a key that is not there is taken in, a key that is there leaves
 * as a pair.
 *
 *     shard/take_in/N    N records of one side into an empty shard: every probe misses; growth of the table included
 *     shard/pair_off/N   their N partners, in an order of their own: every probe hits, the pair leaves
 *     shard/in_step/W    both sides in the same order, the channel W records behind: what a time-ordered day does
 *     packed/...         the same with packed records (core/model/packed.h), as usual rows come
 *     table/hit/P        of packed records that fill P of a hundred slots of a table larger than the second-level cache: all that
 *     table/miss/P       are there, and as many that are not, are looked for, in an order of their own, nothing asked for ahead
 *
 * Records come in batches of BATCH_UNITS, made outside of the clock. Sketch: 64 bytes a record, packed 32, one bucket
 * and, on a hit, one entry touched; so 2 lines a record from where the table lives.
 */
#include "bench/shim.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/model/packed.h"
#include "core/model/record.h"
#include "index/packed_table.h"
#include "index/shard.h"
#include "io/spill/spool.h"
#include <stdio.h>
#include <string.h>

enum { BATCH_UNITS = 512, KEY_SIZE = 24, SEED = 42, BUCKETS = 1 << 17, BUCKETS_TINY = 64 };

struct probe_case {
    uint32_t count, tiny_count;
    enum { TAKE_IN, PAIR_OFF, IN_STEP } kind;
    int packs;
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
    uint64_t hash = hash_bytes(key, KEY_SIZE, SEED);
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
    int timed, packs;
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
    feed->batch->count = feed->batch->used = feed->batch->packed = 0;
    return err == OK;
}

static struct packed packed_record(uint32_t number, enum side side, uint64_t place)
{
    char text[KEY_SIZE + 1];
    snprintf(text, sizeof text, "20261119%016llu", (unsigned long long)number * 1000003u);
    const struct packed_key key = packed_key_anywhere((const uint8_t *)text, KEY_SIZE, 1);
    struct packed p;
    packed_put(&p, &key, (int64_t)number * 10000, place, 40000, 1, 1, side == CHANNEL ? RECORD_CHANNEL : 0);
    return p;
}

static int push(struct feed *feed, uint32_t number, enum side side, uint64_t place)
{
    struct batch *batch = feed->batch;
    batch->count++;
    if (feed->packs) {
        *batch_next_packed(batch) = packed_record(number, side, place);
        batch->packed++;
    } else {
        put_record(&batch->units[batch->used++], number, side, place);
    }
    return batch->used + (batch->packed + 1) / 2 < batch->room || flush(feed);
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
    struct index_config config = {
        .shard_count = 1, .window_before = -1, .window_after = -1, .packs = c->packs, .seed = SEED};
    struct feed feed = {.bench = bench, .packs = c->packs};
    const struct spill_config spill = {.directory = "/tmp"};
    if (spill_host_open(&config.spill, &spill, &feed.diag) != OK) {
        bench_wrong(bench, "no memory");
        return;
    }
    feed.batch = mem_map(sizeof *feed.batch + BATCH_UNITS * sizeof(struct record), 0);
    if (!feed.batch) {
        bench_wrong(bench, "no memory");
        return;
    }
    feed.batch->room = BATCH_UNITS;
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
    mem_unmap(feed.batch, sizeof *feed.batch + BATCH_UNITS * sizeof(struct record));
    spill_host_close(config.spill);
}

struct load_case {
    uint32_t percent;
    int hits;
};

static void look_up(struct bench *bench, const void *context)
{
    const struct load_case *c = context;
    const uint32_t buckets = (uint32_t)bench_size(BUCKETS, BUCKETS_TINY),
                   count = (uint32_t)((uint64_t)buckets * BUCKET_SLOTS * c->percent / 100);
    struct packed_table table = {0};
    struct diag diag = {0};
    struct packed *wanted = mem_take(count * sizeof *wanted);
    if (!wanted || packed_table_open(&table, SEED, 1, buckets, &diag) != OK) {
        bench_wrong(bench, "no memory");
        goto out;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct packed p = packed_record(i, LOCAL, i);
        if (!packed_has_room(&table) && packed_table_more(&table, &diag) != OK) {
            bench_wrong(bench, "no memory");
            goto out;
        }
        packed_insert(&table, &p, packed_hash(p.key, SEED));
    }
    if (table.table.mask + 1 != buckets) {
        bench_skip(bench, "a table is never as full as this");
        goto out;
    }
    for (uint32_t i = 0; i < count; i++)
        wanted[i] = packed_record(shuffled(i, count) + (c->hits ? 0 : count), LOCAL, i);
    while (bench_round(bench)) {
        uint64_t found_count = 0;
        bench_begin(bench);
        for (uint32_t i = 0; i < count; i++) {
            struct packed_found found;
            found_count +=
                (uint64_t)packed_find(&table, wanted[i].key, packed_hash(wanted[i].key, SEED), &found);
        }
        bench_end(bench);
        if (found_count != (c->hits ? count : 0))
            bench_wrong(bench, "found what is not there, or not what is");
        bench_answer(bench, found_count);
    }
    bench_items(bench, count, 0);
out:
    packed_table_fini(&table);
    mem_give(wanted);
}

void benches(void)
{
    static const struct probe_case cases[] = {
        {4096, 512, TAKE_IN, 0},     {1 << 18, 1024, TAKE_IN, 0},  {5000000, 2048, TAKE_IN, 0},
        {4096, 512, PAIR_OFF, 0},    {1 << 18, 1024, PAIR_OFF, 0}, {5000000, 2048, PAIR_OFF, 0},
        {4096, 512, IN_STEP, 0},     {1 << 15, 1024, IN_STEP, 0},  {1 << 18, 1024, TAKE_IN, 1},
        {5000000, 2048, TAKE_IN, 1}, {1 << 18, 1024, PAIR_OFF, 1}, {5000000, 2048, PAIR_OFF, 1},
        {1 << 15, 1024, IN_STEP, 1},
    };
    static const struct load_case loads[] = {{25, 1}, {40, 1}, {55, 1}, {70, 1},
                                             {25, 0}, {40, 0}, {55, 0}, {70, 0}};
    static const char *const kinds[] = {"take_in", "pair_off", "in_step"};
    char name[64];
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(name, sizeof name, "%s/%s/%u", cases[i].packs ? "packed" : "shard", kinds[cases[i].kind],
                 cases[i].count);
        bench_add_timed(name, probe, &cases[i]);
    }
    for (unsigned i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        snprintf(name, sizeof name, "table/%s/%u", loads[i].hits ? "hit" : "miss", loads[i].percent);
        bench_add_timed(name, look_up, &loads[i]);
    }
}
