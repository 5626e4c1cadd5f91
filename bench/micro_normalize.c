/* bench/micro_normalize.c: whole rows, cells -> records; and from bytes on, with the scan before it. */
#include "bench/rows.h"
#include "bench/shim.h"
#include "core/model/record.h"
#include "core/rules/plain_wide.h"

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
    int wide;
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
        struct taken taken = {.rows = &rows, .cells = cells};
        uint32_t flags;
        rows_scan(&rows, 0, &flags, take_chunk, &taken);
        if (taken.count != rows.count || taken.rejects)
            bench_wrong(bench, "rows are missing or were rejected");
        bench_answer(bench, taken.sum);
    }
    bench_items(bench, rows.count, rows.size);
    rows_close(&rows);
}

/* Usual rows, separators to columns of a block, as io/source/csv_rows.c takes them. */
static void take_blocks(void *context, const char *bytes, const struct csv_scan_job *job,
                        const struct csv_scan_result *result)
{
    struct taken *taken = context;
    struct rows *rows = taken->rows;
    const struct plain_plan *plan = normalizer_plain(rows->normalizer);
    const struct plain_packs packs = {1, 42};
    const uint32_t columns = result->row_count ? job->rows[0] : 0;
    struct plain_block block;
    for (uint32_t r = 1; r < result->row_count;) {
        const uint32_t left = result->row_count - r, count = left < PLAIN_BLOCK ? left : PLAIN_BLOCK;
        const uint32_t *seps = job->seps + (size_t)r * columns;
        uint32_t done = 0;
#if HAS_WIDE
        if (taken->wide)
            done = plain_block_wide(plan, &rows->scratch, (const uint8_t *)bytes, seps, columns, 0, packs,
                                    count, &block);
        else
#endif
            done = plain_block(plan, &rows->scratch, (const uint8_t *)bytes, seps, columns, 0, packs, count,
                               &block);
        for (uint32_t i = 0; i < done; i++)
            taken->sum += block.hash[i] ^ (uint64_t)block.amount_micro[i];
        taken->count += done;
        r += done ? done : 1; /* the first of a time, or of a currency, is not usual */
    }
}

static void blocks(struct bench *bench, const void *context)
{
    struct rows rows;
    if (!open_rows(&rows, NULL) || !rows_cells(&rows)) {
        bench_wrong(bench, "there are no rows");
        return;
    }
    int bad_cell; /* the date is known from then on */
    normalize_hot(rows.normalizer, &rows.scratch, rows.cells, (struct record *)room, &bad_cell);
    while (bench_round(bench)) {
        struct taken taken = {.rows = &rows, .wide = context != NULL};
        uint32_t flags;
        rows_scan(&rows, 0, &flags, take_blocks, &taken);
        if (taken.count < rows.count / 2)
            bench_wrong(bench, "rows are missing");
        bench_answer(bench, taken.sum);
    }
    bench_items(bench, rows.count, rows.size);
    rows_close(&rows);
}

void benches(void)
{
    bench_add("scan_and_block/plain", blocks, NULL);
#if HAS_WIDE
    if (csv_scan_kernel() == CSV_KERNEL_AVX512)
        bench_add("scan_and_block/wide", blocks, "");
#endif
    bench_add("normalize/local", from_cells, NULL);
    bench_add("normalize/channel", from_cells, "");
    bench_add("scan_and_normalize/local", from_bytes, NULL);
    bench_add("scan_and_normalize/channel", from_bytes, "");
}
