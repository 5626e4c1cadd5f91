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
    CELL_ABSENT /* the row image does not hold the column (MINIMAL): not NULL */
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

#endif
