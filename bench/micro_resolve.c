/* bench/micro_resolve.c: what it costs to judge a key whose records did not leave as a pair.
 *
 *     key/unlike        a local and a channel record of other amounts: mismatch
 *     key/alone         a local record: missing
 *     key/twice         a local record and two of the channel's with one occurrence id: match and duplicate
 *     key/ambiguous     three of each side, nothing of which agrees
 *     key/crowd         COPIES records of each side, all alike: pairs by their order
 *     open/N            a shard that waits with N records, of which one of ten has a partner that does not agree: settle, and next
 *                       until the last key was given back; by record
 *
 * Rows are whole already (struct full): fetching them is micro_scan's and micro_normalize's. Sketch: a struct full is some
 * eight lines; a key's rows are sorted twice, and what is compared are spans.
 */
#include "bench/shim.h"
#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include "core/rules/verdict.h"
#include "index/shard.h"
#include "io/spill/spool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES = 500, DAY = 20000, BATCH_RECORDS = 512 };

struct key_case {
    const char *name;
    uint32_t locals, channels, keys;
    enum { UNLIKE, SAME_ID, ALIKE } kind;
};

static struct span print_text(struct arena *arena, const char *format, uint32_t a, uint32_t b)
{
    char text[96];
    snprintf(text, sizeof text, format, a, b);
    return arena_copy(arena, span_of(text));
}

static void put_row(struct arena *arena, const struct key_case *c, uint32_t key, uint32_t i, struct full *row)
{
    const int is_channel = i >= c->locals;
    const uint32_t number = is_channel ? i - c->locals : i;
    const uint32_t cents = 10000 + (c->kind == UNLIKE ? number * 2 + (uint32_t)is_channel : 0);
    memset(row, 0, sizeof *row);
    row->side = is_channel ? CHANNEL : LOCAL;
    row->amount_micro = (int64_t)cents * 10000;
    row->currency = currency_find("CNY", 3);
    row->day = DAY;
    row->place = ((uint64_t)key * 1024 + i) * 128;
    row->verdict = VERDICT_OPEN;
    row->monetary = 1;
    row->key = print_text(arena, "20261119%016u", key, 0);
    row->occurrence = c->kind == SAME_ID && !is_channel
                          ? span_of("")
                          : print_text(arena, "id%010u-%u", key, c->kind == SAME_ID ? 0 : i);
    row->text[FIELD_AMOUNT] = print_text(arena, "%u.%02u", cents / 100, cents % 100);
    row->text[FIELD_STATUS] = span_of("SUCCESS");
    row->text[FIELD_CURRENCY] = span_of("CNY");
    row->sigma = span_of("CNY|IN|SUCCESS");
    row->canonical = print_text(arena, "020000|%u.%02u|CNY|IN|SUCCESS", cents / 100, cents % 100);
}

static void judge_keys(struct bench *bench, const void *context)
{
    const struct key_case *c = context;
    const uint32_t each = c->locals + c->channels, keys = (uint32_t)bench_size(c->keys, 4),
                   total = each * keys;
    struct job job = {0};
    job.match.window_before = job.match.window_after = 1;
    job.match.key_count = 1;
    job.match.compare[0] = FIELD_STATUS;
    job.match.compare_count = 1;
    struct arena arena;
    arena_init(&arena);
    struct full *fresh = mem_take(total * sizeof *fresh), *rows = mem_take(total * sizeof *rows);
    struct full **order = mem_take(total * sizeof(struct full *));
    struct verdict_scratch scratch = {0};
    if (!fresh || !rows || !order) {
        bench_wrong(bench, "no memory");
        goto out;
    }
    for (uint32_t i = 0; i < total; i++)
        put_row(&arena, c, i / each, i % each, &fresh[i]);
    while (bench_round(bench)) {
        memcpy(rows, fresh, total * sizeof *rows);
        for (uint32_t i = 0; i < total; i++)
            order[i] = &rows[i];
        uint64_t answer = 0;
        bench_begin(bench);
        for (uint32_t from = 0; from < total; from += each) {
            if (!resolve_group(&job, &scratch, order + from, each, 1)) {
                bench_wrong(bench, "no memory");
                goto out;
            }
            for (uint32_t i = from; i < from + each; i++)
                if (rows[i].verdict == VERDICT_OPEN)
                    resolve_alone(&job, &rows[i]);
        }
        bench_end(bench);
        for (uint32_t i = 0; i < total; i++)
            answer = bench_mix(answer, (uint64_t)rows[i].verdict << 8 | rows[i].reasons);
        bench_answer(bench, answer);
    }
    bench_items(bench, keys, 0);
out:
    verdict_scratch_fini(&scratch);
    mem_give(order);
    mem_give(rows);
    mem_give(fresh);
    arena_fini(&arena);
}

/* A record of the shard's general road; one of ten keys has both sides. */
static void put_record(struct record *r, uint32_t number, enum side side)
{
    enum { KEY_SIZE = 24 };
    char key[KEY_SIZE + 1];
    memset(r, 0, sizeof *r);
    snprintf(key, sizeof key, "20261119%016u", number);
    memcpy(r->var, key, KEY_SIZE);
    const uint64_t hash = hash_bytes(key, KEY_SIZE, 42);
    r->hash_lo = (uint32_t)hash;
    r->hash_hi = (uint32_t)(hash >> 32);
    r->amount_micro = (int64_t)number * 10000 + (side == CHANNEL ? 10000 : 0);
    r->place = (uint64_t)number * 128;
    r->day = DAY;
    r->key_size = KEY_SIZE;
    r->status = r->channel = 1;
    r->currency = 1;
    r->flags = side == CHANNEL ? RECORD_CHANNEL : 0;
}

static int fill(struct index *index, struct batch *batch, uint32_t count, enum side side, uint32_t step,
                struct diag *diag)
{
    for (uint32_t i = 0; i < count; i += step) {
        put_record(&batch->units[batch->used++], i, side);
        batch->count++;
        if (batch->used == batch->room || i + step >= count) {
            if (shard_ops.apply(index, batch, diag) != OK)
                return 0;
            batch->count = batch->used = 0;
        }
    }
    return 1;
}

static void give_open(struct bench *bench, const void *context)
{
    const uint32_t count = (uint32_t)bench_size(*(const uint32_t *)context, 2000);
    struct index_config config = {.shard_count = 1, .window_before = -1, .window_after = -1};
    struct diag diag = {0};
    const struct spill_config spill = {.directory = "/tmp"};
    struct batch *batch = mem_map(sizeof *batch + BATCH_RECORDS * sizeof(struct record), 0);
    struct row_ref *refs = NULL;
    uint32_t ref_room = 0;
    if (!batch || spill_host_open(&config.spill, &spill, &diag) != OK) {
        bench_wrong(bench, "no memory");
        return;
    }
    batch->room = BATCH_RECORDS;
    const uint64_t records = count + (count + 9) / 10;
    while (bench_round(bench)) {
        struct index *index;
        if (shard_ops.open(&index, &config, &diag) != OK || !fill(index, batch, count, LOCAL, 1, &diag) ||
            !fill(index, batch, count, CHANNEL, 10, &diag)) {
            bench_wrong(bench, "the shard failed");
            break;
        }
        uint64_t given = 0, places = 0;
        bench_begin(bench);
        enum step step = shard_ops.settle(index, &diag) == OK ? STEP_MORE : STEP_FAILED;
        while (step == STEP_MORE) {
            uint32_t ref_count = 0;
            step = shard_ops.next(index, &refs, &ref_count, &ref_room, NULL, NULL, NULL, &diag);
            for (uint32_t i = 0; i < ref_count; i++)
                places += refs[i].place;
            given += ref_count;
        }
        bench_end(bench);
        if (step != STEP_DONE || given != records)
            bench_wrong(bench, "records are missing");
        bench_answer(bench, bench_mix(given, places));
        shard_ops.close(index);
    }
    bench_items(bench, records, 0);
    mem_give(refs);
    spill_host_close(config.spill);
    mem_unmap(batch, sizeof *batch + BATCH_RECORDS * sizeof(struct record));
}

void benches(void)
{
    static const struct key_case cases[] = {
        {"key/unlike", 1, 1, 1024, UNLIKE},      {"key/alone", 1, 0, 1024, UNLIKE},
        {"key/twice", 1, 2, 1024, SAME_ID},      {"key/ambiguous", 3, 3, 512, UNLIKE},
        {"key/crowd", COPIES, COPIES, 4, ALIKE},
    };
    static const uint32_t counts[] = {1 << 15, 1 << 20};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        bench_add_timed(cases[i].name, judge_keys, &cases[i]);
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "open/%u", counts[i]);
        bench_add_timed(name, give_open, &counts[i]);
    }
}
