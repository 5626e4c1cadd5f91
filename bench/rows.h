/* bench/rows.h: gen's rows in memory, and what it takes to read them, for the micro benches.
 *
 *     rows_open
 *       rows_normalizer / rows_cells / ...
 *     rows_close
 *
 * Always seed 1. Memory: everything lives until rows_close. Threads: one owner.
 */
#ifndef TIEOUT_BENCH_ROWS_H
#define TIEOUT_BENCH_ROWS_H

#include "core/model/words.h"
#include "core/rules/normalize.h"
#include "io/format/csv_scan.h"

enum { ROWS_CHUNK = 256 * 1024 };

struct rows {
    char *bytes; /* the file, with CSV_SCAN_SLACK bytes of zeros behind it */
    uint64_t size, count;
    uint64_t data_begin; /* behind the header's line */
    uint64_t found;      /* rows that the last rows_scan went over */
    enum side side;
    /* for csv_scan: room for one chunk */
    uint32_t *seps, *row_ends;
    uint16_t marks[ROWS_CHUNK / CSV_MARK_BYTES + 2];
    /* rows_normalizer */
    struct job *job;
    struct norm_shared shared;
    struct normalizer *normalizer;
    struct norm_scratch scratch;
    const int *wanted;
    int wanted_count;
    struct cell *cells; /* rows_cells: wanted_count for each row */
};

/* One side of a day of `count` rows in time order; `quoted`: every cell in quotes. 0 when it cannot be made,
 * and then it has said why. */
int rows_open(struct rows *rows, uint64_t count, enum side side, int quoted);
void rows_close(struct rows *rows);

/* Goes over all rows as the source does, chunk by chunk; `each` (may be NULL) sees each chunk's result, whose
 * offsets count from `bytes`. Returns a checksum of what was found; *flags_or collects the flags. */
typedef void rows_chunk_fn(void *context, const char *bytes, const struct csv_scan_job *job,
                           const struct csv_scan_result *result);
uint64_t rows_scan(struct rows *rows, int quoted, uint32_t *flags_or, rows_chunk_fn *each, void *context);

/* Compiles the side's rules, as `tieout diff --key=... --amount=amount --compare=...` does; `columns` limits
 * the header to some of gen's columns (NULL: all). 0 as above. */
int rows_normalizer(struct rows *rows, const char *key, const char *compare, const char *const *columns);
/* Cells of the wanted columns of every row. */
int rows_cells(struct rows *rows);

#endif
