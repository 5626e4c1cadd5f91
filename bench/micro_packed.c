/* bench/micro_packed.c: the shard's hot loop over packed records, as a day's rows come.
 *
 *     shuffled/N     N records of each side, both in an order of their own and read side by side: half of N wait at the peak
 *     in_step/W      both sides in the same order, jumbled within W records: what a time-ordered day does
 *
 * Batches of BATCH_RECORDS of either side in turns, made outside of the clock. Sketch: 32 bytes a record come in; a bucket and, on a hit, half a line of
 * its partner and a line each of two frames are touched.
 */
#include "bench/shim.h"
#include "core/base/mem.h"
#include "core/model/packed.h"
#include "index/shard.h"
#include "io/spill/spool.h"
#include <stdio.h>

enum { BATCH_RECORDS = 512, ROW_BYTES = 131, IN_STEP_RECORDS = 1 << 20 };

struct packed_case {
    uint32_t count, tiny_count;
    int in_step;
};

/* Numbers below `count`, a power of two, in an order of the side's own: an odd factor, a sum, and halves folded are a permutation. */
static uint32_t jumbled(uint32_t i, uint32_t count, unsigned side)
{
    const unsigned half = ((unsigned)__builtin_ctz(count) + 1) / 2;
    for (unsigned round = 0; round < 2; round++) {
        i = (i * (side ? 0x9E3779B1u : 0x85EBCA6Bu) + 12345u) & (count - 1);
        i ^= i >> half;
    }
    return i;
}

static void put_record(struct packed *p, uint32_t number, unsigned side, uint32_t position)
{
    struct packed_key key = {{0, 0}};
    uint64_t digits = 0;
    for (uint32_t left = number, at = 0; at < 64; at += 4, left /= 10)
        digits |= (uint64_t)(left % 10) << (60 - at);
    key.word[0] = 24 | UINT64_C(1) << 8 | UINT64_C(0x202611) << 32;
    key.word[1] = digits;
    packed_put(p, &key, (int64_t)number * 10000, (uint64_t)position * ROW_BYTES, 20000, 1, 1,
               side ? RECORD_CHANNEL : 0);
}

static int run_round(struct bench *bench, struct index *index, struct batch *batch,
                     const struct packed_case *c, uint32_t total, uint32_t within, struct diag *diag)
{
    uint32_t done[SIDES] = {0};
    for (unsigned side = 0; done[0] < total || done[1] < total; side = !side) {
        batch->count = batch->used = batch->packed = 0;
        while (done[side] < total && batch->packed < BATCH_RECORDS) {
            const uint32_t i = done[side]++;
            const uint32_t number = c->in_step ? i / within * within + jumbled(i & (within - 1), within, side)
                                               : jumbled(i, total, side);
            put_record(batch_next_packed(batch), number, side, i);
            batch->packed++;
            batch->count++;
        }
        bench_begin(bench);
        const enum err err = shard_ops.apply(index, batch, diag);
        bench_end(bench);
        if (err != OK)
            return 0;
    }
    return 1;
}

static void packed(struct bench *bench, const void *context)
{
    const struct packed_case *c = context;
    const uint32_t within = (uint32_t)bench_size(c->count, c->tiny_count);
    const uint32_t total = c->in_step ? (uint32_t)bench_size(IN_STEP_RECORDS, 1 << 13) : within;
    struct index_config config = {.shard_count = 1,
                                  .window_before = -1,
                                  .window_after = -1,
                                  .seed = 42,
                                  .packs = 1,
                                  .memory_max = UINT64_C(4) << 30};
    const struct spill_config spill = {.directory = "/tmp"};
    const size_t size = sizeof(struct batch) + BATCH_RECORDS * sizeof(struct packed);
    struct diag diag = {0};
    struct batch *batch = mem_map(size, 0);
    if (!batch || spill_host_open(&config.spill, &spill, &diag) != OK) {
        mem_unmap(batch, size);
        bench_wrong(bench, "no memory");
        return;
    }
    batch->room = BATCH_RECORDS / 2;
    while (bench_round(bench)) {
        struct index *index;
        struct index_counts counts = {0};
        if (shard_ops.open(&index, &config, &diag) != OK) {
            bench_wrong(bench, "the shard failed");
            break;
        }
        if (!run_round(bench, index, batch, c, total, within, &diag))
            bench_wrong(bench, "the shard failed");
        shard_ops.counts(index, &counts);
        bench_answer(bench, counts.pairs);
        if (counts.pairs != total)
            bench_wrong(bench, "pairs are missing");
        shard_ops.close(index);
    }
    bench_items(bench, (uint64_t)total * 2, 0);
    spill_host_close(config.spill);
    mem_unmap(batch, size);
}

void benches(void)
{
    static const struct packed_case cases[] = {
        {1 << 19, 1 << 12, 0}, {1 << 22, 1 << 12, 0}, {1 << 10, 1 << 6, 1}, {1 << 15, 1 << 10, 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "packed/%s/%u", cases[i].in_step ? "in_step" : "shuffled",
                 cases[i].count);
        bench_add_timed(name, packed, &cases[i]);
    }
}
