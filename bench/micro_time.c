/* bench/micro_time.c: times. The normalizer's quick reading is part of normalize_hot, so it shows as the
 * difference between rows with and without a time. */
#include "bench/rows.h"
#include "bench/shim.h"
#include "core/base/prng.h"
#include "core/model/day.h"
#include "core/model/record.h"
#include <stdio.h>

enum { TEXTS = 4096, STRIDE = 48 };

static void parse(struct bench *bench, const void *context)
{
    static char texts[TEXTS][STRIDE];
    static uint8_t sizes[TEXTS];
    const char *zone = context;
    struct prng prng = {1};
    for (int i = 0; i < TEXTS; i++) {
        unsigned second = (unsigned)prng_below(&prng, 86400), milli = (unsigned)prng_below(&prng, 1000);
        sizes[i] = (uint8_t)snprintf(texts[i], STRIDE, "2026-11-19 %02u:%02u:%02u.%03u%s", second / 3600,
                                     second / 60 % 60, second % 60, milli, zone);
    }
    while (bench_round(bench)) {
        uint64_t sum = 0;
        for (int i = 0; i < TEXTS; i++) {
            int64_t us = 0;
            if (!time_parse(texts[i], sizes[i], &us))
                bench_wrong(bench, "time_parse refuses a time");
            sum += (uint64_t)us;
        }
        bench_answer(bench, sum);
    }
    bench_items(bench, TEXTS, 0);
}

static void normalize(struct bench *bench, const void *context)
{
    static const char *const with[] = {"biz_order_no", "amount", "trade_time", NULL};
    static const char *const without[] = {"biz_order_no", "amount", NULL};
    static char room[sizeof(struct record) + RECORD_VAR_MAX + 64] __attribute__((aligned(64)));
    struct record *record = (struct record *)room;
    struct rows rows;
    if (!rows_open(&rows, bench_size(20000, 500), LOCAL, 0) ||
        !rows_normalizer(&rows, "biz_order_no", NULL, context ? with : without) || !rows_cells(&rows)) {
        bench_wrong(bench, "there are no rows");
        return;
    }
    while (bench_round(bench)) {
        uint64_t sum = 0;
        const struct cell *cells = rows.cells;
        for (uint64_t i = 0; i < rows.count; i++, cells += rows.wanted_count) {
            int bad_cell;
            if (normalize_hot(rows.normalizer, &rows.scratch, cells, record, &bad_cell) != REJECT_NONE)
                bench_wrong(bench, "a row was rejected");
            sum += record_hash(record) + (uint64_t)record->amount_micro + record->day;
        }
        bench_answer(bench, sum);
    }
    bench_items(bench, rows.count, 0);
    rows_close(&rows);
}

void benches(void)
{
    bench_add("time_parse/naive", parse, "");
    bench_add("time_parse/with_offset", parse, "+08:00");
    bench_add("normalize_hot/key_amount", normalize, NULL);
    bench_add("normalize_hot/key_amount_time", normalize, "");
}
