/* tests/fuzz/fuzz_bill.c: any bytes as a bill of every built-in profile, and as a statement: rows or a refusal, never a crash, a hang or
 * a read outside.
 *
 * What the scanner cuts and what the row reader cuts must be the same cells; a statement fed in pieces must give the rows that it
 * gives whole. With libFuzzer (TIEOUT_FUZZ) as it is; without, main() replays the files and folders given.
 */
#include "core/base/mem.h"
#include "core/config/profile.h"
#include "io/format/bill.h"
#include "io/format/csv_scan.h"
#include "io/format/statement.h"
#include "tests/fuzz/replay.h"
#include <stdio.h>
#include <stdlib.h>

enum { SIZE_MAX_FUZZ = 1 << 20, JOBS_MAX = 32 };

static struct job *jobs[JOBS_MAX];
static int job_count;

static void load(void)
{
    struct diag diag = {0};
    if (job_count)
        return;
    for (const struct profile_text *p = profile_texts; p->name && job_count < JOBS_MAX; p++)
        if (job_from_profile(&jobs[job_count++], p->name, NULL, NULL, &diag) != OK)
            abort();
}

/* The same cells by both roads. */
static void compare(const struct bill *bill, const uint8_t *bytes, const uint32_t *seps, uint32_t begin,
                    uint32_t end, uint32_t next, uint8_t *scratch, uint32_t columns, struct cell *cells)
{
    struct bill_row by_scan = {.bytes = bytes, .begin = begin, .end = end, .seps = seps, .scratch = scratch};
    if (end == begin || !bill_row_fits(bill, &by_scan))
        return;
    struct csv_row row;
    uint8_t *other = scratch + SIZE_MAX_FUZZ;
    enum csv_row_end how = bill_row_read(bill, bytes, next, begin, 1, cells, CSV_COLUMNS_MAX, other, &row);
    if (how != CSV_ROW_WHOLE || row.cells != columns)
        abort();
    struct bill_row by_reader = {
        .bytes = bytes, .begin = begin, .end = end, .cells = cells, .scratch = other};
    for (uint32_t i = 0; i < columns; i++) {
        struct cell a = bill_cell(bill, &by_scan, (int)i), b = bill_cell(bill, &by_reader, (int)i);
        if (!span_equal(cell_span(&a), cell_span(&b)))
            abort();
    }
    if (bill_type(bill, &by_scan) != bill_type(bill, &by_reader))
        abort();
}

static void try_bill(const struct bill_spec *spec, const uint8_t *data, uint32_t size)
{
    struct bill *bill = NULL;
    struct diag diag = {0};
    int more = 0;
    enum err err = bill_open(&bill, spec, data, size, 1, "fuzz", &more, &diag);
    if (err != OK && err != ERR_INPUT && err != ERR_MACHINE)
        abort();
    if (err != OK || !bill || bill_head(bill) != BILL_ROWS) {
        bill_close(bill);
        return;
    }
    uint32_t columns;
    bill_names(bill, &columns);
    uint8_t *bytes = calloc(1, size + 2 * CSV_SCAN_SLACK), *scratch = malloc(2 * SIZE_MAX_FUZZ + 1);
    uint32_t *block = malloc((2 * (size_t)size + 4 * CSV_SCAN_SLACK) * sizeof *block);
    struct cell *cells = malloc((CSV_COLUMNS_MAX + 1) * sizeof *cells);
    if (!bytes || !scratch || !block || !cells)
        abort();
    memcpy(bytes, data, size);
    struct bill_totals *totals = calloc(1, sizeof *totals);
    if (!totals)
        abort();
    for (uint32_t at = bill_rows_begin(bill); at < size;) {
        struct csv_row row;
        enum csv_row_end end = bill_row_read(bill, bytes, size, at, 1, cells, CSV_COLUMNS_MAX, scratch, &row);
        if (end == CSV_ROW_UNFINISHED)
            break;
        if (row.next <= at || row.next > size)
            abort();
        struct bill_row at_hand = {
            .bytes = bytes, .begin = at, .end = at + row.size, .cells = cells, .scratch = scratch};
        if (end == CSV_ROW_WHOLE && row.cells == columns && bill_is_row(bill, &at_hand))
            bill_add_totals(bill, &at_hand, bill_type(bill, &at_hand), totals);
        at = row.next;
    }
    struct csv_dialect dialect = bill_dialect(bill);
    uint32_t begin = bill_rows_begin(bill), *seps = block + 1, *rows = seps + size + CSV_SCAN_SLACK;
    struct csv_scan_job job = {.bytes = bytes,
                               .size = size,
                               .start = begin,
                               .end = size,
                               .delimiter = dialect.delimiter,
                               .quote = dialect.quote,
                               .seps = seps,
                               .rows = rows};
    struct csv_scan_result found = begin < size ? csv_scan(&job) : (struct csv_scan_result){0};
    if (!dialect.quote && !(found.flags & CSV_SAW_STRAY_CR)) {
        seps[-1] = begin - 1;
        uint32_t sep = 0;
        for (uint32_t r = 0; r < found.row_count; r++) {
            uint32_t newline = seps[rows[r] - 1], first = seps[(int64_t)sep - 1] + 1, last = newline;
            last -= last > first && bytes[last - 1] == '\r';
            if (rows[r] - sep == bill_separators(bill))
                compare(bill, bytes, seps + sep, first, last, newline + 1, scratch, columns, cells);
            sep = rows[r];
        }
    }
    free(totals);
    free(cells);
    free(block);
    free(scratch);
    free(bytes);
    bill_close(bill);
}

static void try_statement(enum err (*open)(struct statement **, const char *, struct diag *),
                          const uint8_t *data, size_t size)
{
    struct statement *whole = NULL, *cut = NULL;
    struct diag a = {0}, b = {0};
    if (open(&whole, "fuzz", &a) != OK || open(&cut, "fuzz", &b) != OK)
        abort();
    enum err at_once = statement_feed(whole, data, size, 1, &a), in_pieces = OK;
    for (size_t at = 0; in_pieces == OK && at < size; at += 61)
        in_pieces = statement_feed(cut, data + at, size - at < 61 ? size - at : 61, 0, &b);
    if (in_pieces == OK)
        in_pieces = statement_feed(cut, data, 0, 1, &b);
    if (at_once != in_pieces)
        abort();
    if (at_once == OK &&
        (whole->size != cut->size || (whole->size && memcmp(whole->text, cut->text, whole->size) != 0)))
        abort();
    statement_close(whole);
    statement_close(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    load();
    if (size == 0 || size > SIZE_MAX_FUZZ)
        return 0;
    for (int i = 0; i < job_count; i++)
        try_bill(jobs[i]->sources[CHANNEL].bill, data, (uint32_t)size);
    try_statement(mt940_open, data, size);
    try_statement(camt_open, data, size);
    try_statement(bai2_open, data, size);
    return 0;
}

#ifndef TIEOUT_FUZZ
int main(int count, char **paths)
{
    return replay(count, paths, LLVMFuzzerTestOneInput, 37);
}
#endif
