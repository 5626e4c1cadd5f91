/* tests/fuzz/fuzz_binlog.c: any bytes as a binlog: rows or a refusal with its place, never a crash, a hang or
 * a read outside.
 *
 * With libFuzzer (TIEOUT_FUZZ) checksums count as right, so that it gets past them. Without, main() replays
 * the files and folders given.
 */
#include "tests/fuzz/replay.h"
#include "tests/support/binlog_run.h"
#include <stdio.h>

static const char *const needed[] = {"order_no", "amount", "status", "paid_at", "@2", "@5"};
static const char *const columns[] = {
    "id",     "order_no", "channel",    "channel_txn_no", "amount signed", "fee",        "currency",
    "status", "flags",    "created_at", "paid_at",        "is_test",       "buyer_note", "ext"};
static const struct binlog_watch watch[] = {{"pay", "payment_order", columns, 14},
                                            {"pay", "payment_refund", NULL, 0}};
static const struct binlog_options options[] = {
    {.unnamed_ok = 1, .event_bytes_max = 1 << 24},
    {.unnamed_ok = 1, .needed = needed, .needed_count = 6, .event_bytes_max = 1 << 24},
    {.watch = watch, .watch_count = 2, .needed = needed, .needed_count = 4, .event_bytes_max = 1 << 24},
};

/* The columns that a job might read, where the table has them. */
static const struct image_plan *plan_of(const struct binlog_table *table)
{
    static struct image_plan plan;
    int at[4] = {-1, -1, -1, -1};
    for (uint32_t i = 0; i < table->column_count; i++)
        for (int k = 0; k < 4; k++)
            if (strcmp(table->columns[i].name, needed[k]) == 0)
                at[k] = (int)i;
    const int key = at[0], amount = at[1], id = table->key_count ? table->key_columns[0] : 0;
    plan = (struct image_plan){.number = 1,
                               .is_usual = 1,
                               .key = key,
                               .occurrence = id,
                               .currency = -1,
                               .amount = amount,
                               .direction = -1,
                               .fee = -1,
                               .status = at[2],
                               .time = at[3],
                               .key_column_count = 1,
                               .key_columns = {key}};
    return key >= 0 && amount >= 0 ? &plan : NULL;
}

static void try_option(const struct binlog_options *option, const uint8_t *data, size_t size, int by_lane)
{
    struct binlog_run runs[2];
    for (int k = 0; k < 2; k++) {
        struct diag diag;
        runs[k] = (struct binlog_run){
            .options = option, .chunk = k ? 61 : size + 1, .want = k ? 100 : 1, .is_newest = 1};
        if (by_lane && k == 1) {
            runs[k].chunk = size + 1;
            runs[k].plan_fn = plan_of;
        }
        enum step step = run_file(&runs[k], data, size, "fuzz", &diag);
        if (step == STEP_FAILED && diag.err != ERR_INPUT && diag.err != ERR_MACHINE)
            abort();
        if (step == STEP_FAILED)
            runs[k].row_count = SIZE_MAX;
    }
    /* Cut another way, the file is the same. XA may bring its rows in another order. A lane does not look at values that no job
     * reads, which may be what stops the other way. */
    if (runs[0].row_count != runs[1].row_count && !(by_lane && runs[0].row_count == SIZE_MAX))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { OPTIONS = sizeof options / sizeof *options };
#ifdef TIEOUT_FUZZ
    /* One way each, by its size: four times as many inputs a second, and the corpus is replayed by all of them. */
    if (size % (OPTIONS + 1) == OPTIONS)
        try_option(&options[1], data, size, 1);
    else
        try_option(&options[size % (OPTIONS + 1)], data, size, 0);
#else
    for (size_t i = 0; i < OPTIONS; i++)
        try_option(&options[i], data, size, 0);
    for (size_t i = 1; i < OPTIONS; i++)
        try_option(&options[i], data, size, 1);
#endif
    return 0;
}

#ifndef TIEOUT_FUZZ
int main(int count, char **paths)
{
    return replay(count, paths, LLVMFuzzerTestOneInput, 0);
}
#endif
