/* core/model/cell.h: one field of a row, as a format decoder found it.
 *
 * Text formats give CELL_TEXT only. The binlog decoder gives what the log holds, so that numbers are not
 * printed and parsed again. Bytes are borrowed from the decoder's buffer and live until its next step.
 */
#ifndef TIEOUT_CORE_MODEL_CELL_H
#define TIEOUT_CORE_MODEL_CELL_H

#include "core/base/span.h"

enum cell_kind {
    CELL_TEXT,  /* data, size */
    CELL_NULL,  /* SQL NULL */
    CELL_INT,   /* i64 */
    CELL_UINT,  /* u64: unsigned column, above INT64_MAX possible */
    CELL_EPOCH, /* i64: microseconds UTC (MySQL TIMESTAMP) */
    CELL_WALL,  /* i64: microseconds since 1970-01-01 00:00 on a clock without zone (MySQL DATETIME, DATE) */
    CELL_DECIMAL, /* i64 with `size` digits behind the point, 0 to 9; below 10^18 either way */
    CELL_ABSENT   /* the row image does not hold the column (MINIMAL): not NULL */
};

struct cell {
    union {
        const char *data;
        int64_t i64;
        uint64_t u64;
    };
    uint32_t size;
    uint32_t kind; /* enum cell_kind */
};

static inline struct span cell_span(const struct cell *cell)
{
    return (struct span){cell->data, cell->size};
}

enum { CELL_NUMBER_MAX = 24 };

/* `value` in decimal, at the end of `out`. */
static inline struct span cell_number_print(char out[CELL_NUMBER_MAX], uint64_t value, int negative)
{
    char *end = out + CELL_NUMBER_MAX, *p = end;
    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    if (negative)
        *--p = '-';
    return (struct span){p, (size_t)(end - p)};
}

/* A CELL_DECIMAL as the server prints it, with all digits of its scale: "-0.50". */
static inline struct span cell_decimal_print(char out[CELL_NUMBER_MAX], const struct cell *cell)
{
    char *end = out + CELL_NUMBER_MAX, *p = end;
    uint64_t value = cell->i64 < 0 ? 0 - (uint64_t)cell->i64 : (uint64_t)cell->i64;
    for (uint32_t i = 0; value || i <= cell->size; i++) {
        if (i == cell->size && i > 0)
            *--p = '.';
        *--p = (char)('0' + value % 10);
        value /= 10;
    }
    if (cell->i64 < 0)
        *--p = '-';
    return (struct span){p, (size_t)(end - p)};
}

#endif
