/* bench/micro_normalize.c: whole rows, cells -> records; and from bytes on, with the scan before it. */
#include "bench/rows.h"
#include "bench/shim.h"
#include "core/model/record.h"

static char room[sizeof(struct record) + RECORD_VAR_MAX + 64] __attribute__((aligned(64)));

static int open_rows(struct rows *rows, const void *context)
{
    return rows_open(rows, bench_size(50000, 500), context ? CHANNEL : LOCAL, 0) &&
           rows_normalizer(rows, "channel_code,biz_order_no", "status", NULL);
}

static inline uint64_t sum_of(const struct record *record)
{
    return record_hash(record) + (uint64_t)record->amount_micro + record->day + record->currency +
           record->flags;
}

static void from_cells(struct bench *bench, const void *context)
{
    struct record *record = (struct record *)room;
    struct rows rows;
    if (!open_rows(&rows, context) || !rows_cells(&rows)) {
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
            sum += sum_of(record);
        }
        bench_answer(bench, sum);
    }
    bench_items(bench, rows.count, rows.size);
    rows_close(&rows);
}

struct taken {
    struct rows *rows;
    struct cell *cells;
    uint64_t sum, count, rejects;
};

static void take_chunk(void *context, const char *bytes, const struct csv_scan_job *job,
                       const struct csv_scan_result *result)
{
    struct taken *taken = context;
    struct record *record = (struct record *)room;
    struct rows *rows = taken->rows;
    uint32_t first = 0;
    for (uint32_t r = 0; r < result->row_count; r++) {
        for (int k = 0; k < rows->wanted_count; k++) {
            uint32_t column = (uint32_t)rows->wanted[k];
            uint32_t from = first + column ? job->seps[first + column - 1] + 1 : job->start;
            taken->cells[k] = (struct cell){
                .data = bytes + from, .size = job->seps[first + column] - from, .kind = CELL_TEXT};
        }
        int bad_cell;
        taken->rejects +=
            normalize_hot(rows->normalizer, &rows->scratch, taken->cells, record, &bad_cell) != REJECT_NONE;
        taken->sum += sum_of(record);
        taken->count++;
        first = job->rows[r];
    }
}

static void from_bytes(struct bench *bench, const void *context)
{
    struct rows rows;
    struct cell cells[64];
    if (!open_rows(&rows, context)) {
        bench_wrong(bench, "there are no rows");
        return;
    }
    while (bench_round(bench)) {
        struct taken taken = {&rows, cells, 0, 0, 0};
        uint32_t flags;
        rows_scan(&rows, 0, &flags, take_chunk, &taken);
        if (taken.count != rows.count || taken.rejects)
            bench_wrong(bench, "rows are missing or were rejected");
        bench_answer(bench, taken.sum);
    }
    bench_items(bench, rows.count, rows.size);
    rows_close(&rows);
}

void benches(void)
{
    bench_add("normalize/local", from_cells, NULL);
    bench_add("normalize/channel", from_cells, "");
    bench_add("scan_and_normalize/local", from_bytes, NULL);
    bench_add("scan_and_normalize/channel", from_bytes, "");
}
