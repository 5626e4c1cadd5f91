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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct binlog_run runs[2];
        for (int k = 0; k < 2; k++) {
            struct diag diag;
            runs[k] = (struct binlog_run){
                .options = &options[i], .chunk = k ? 61 : size + 1, .want = k ? 100 : 1, .is_newest = 1};
            enum step step = run_file(&runs[k], data, size, "fuzz", &diag);
            if (step == STEP_FAILED && diag.err != ERR_INPUT && diag.err != ERR_MACHINE)
                abort();
            if (step == STEP_FAILED)
                runs[k].row_count = SIZE_MAX;
        }
        /* Cut another way, the file is the same. XA may bring its rows in another order. */
        if (runs[0].row_count != runs[1].row_count)
            abort();
    }
    return 0;
}

#ifndef TIEOUT_FUZZ
int main(int count, char **paths)
{
    return replay(count, paths, LLVMFuzzerTestOneInput, 0);
}
#endif
