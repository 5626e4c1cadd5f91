/* bench/micro_scan.c: csv_scan and csv_scan_quoted over gen's rows, in each kernel that this machine has. */
#include "bench/rows.h"
#include "bench/shim.h"
#include <stdio.h>

struct scan_case {
    enum csv_kernel kernel;
    int quoted_text, quoted_scan;
};

/* The kernels must agree; [quoted text][quoted scan]. */
static uint64_t agreed[2][2];

static void scan(struct bench *bench, const void *context)
{
    const struct scan_case *c = context;
    struct rows rows;
    if (!csv_scan_choose(c->kernel)) {
        bench_skip(bench, "this machine does not have the instructions");
        return;
    }
    if (!rows_open(&rows, bench_size(200000, 500), LOCAL, c->quoted_text)) {
        bench_wrong(bench, "there are no rows");
        return;
    }
    uint32_t flags = 0;
    while (bench_round(bench)) {
        uint64_t sum = rows_scan(&rows, c->quoted_scan, &flags, NULL, NULL);
        uint64_t *known = &agreed[c->quoted_text][c->quoted_scan];
        if (*known && *known != sum)
            bench_wrong(bench, "the kernels differ");
        *known = sum;
        bench_answer(bench, sum);
    }
    if ((flags & (CSV_IRREGULAR | CSV_SAW_STRAY_CR | CSV_UNFINISHED)) || rows.found != rows.count)
        bench_wrong(bench, "rows are missing or were found irregular");
    bench_items(bench, rows.count, rows.size);
    rows_close(&rows);
}

void benches(void)
{
    static struct scan_case cases[CSV_KERNELS * 3];
    static const char *const kernels[CSV_KERNELS] = {"scalar", "avx2", "avx512"};
    int n = 0;
    for (int kernel = 0; kernel < CSV_KERNELS; kernel++)
        for (int kind = 0; kind < 3; kind++) {
            static const char *const kinds[] = {"plain", "plain_by_quoted_scan", "all_cells_quoted"};
            char name[64];
            snprintf(name, sizeof name, "scan/%s/%s", kernels[kernel], kinds[kind]);
            cases[n] = (struct scan_case){(enum csv_kernel)kernel, kind == 2, kind >= 1};
            bench_add(name, scan, &cases[n++]);
        }
}
