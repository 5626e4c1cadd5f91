/* io/format/binlog_image.h: one row image, bytes -> cells. The hot loop of logs. Private to io/format.
 *
 * A table is read by a program, compiled once for each set of NULLs that its rows show: a list of steps, one per column
 * that is needed or whose length stands in the row, each with the fixed bytes to pass over first. Columns of fixed size that
 * nobody needs cost nothing. Images without all columns, tables with more than 64 columns, and logs whose rows
 * have new sets of NULLs all the time are read column by column.
 *
 * Memory   Programs are from the table's arena, texts that have no place in the row from `row`. Threads  One owner.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_IMAGE_H
#define TIEOUT_IO_FORMAT_BINLOG_IMAGE_H

#include "io/format/binlog_table.h"

struct image_reader {
    struct arena row; /* texts of one row that have no place in the table's scratch */
    int sign_free;    /* 1: a sign that nobody knows is no error (inspect) */
    /* After a failure: */
    const char *wrong;
    uint32_t column;
};

/* Which columns an image holds. */
struct image_shape {
    const uint8_t *present; /* a bit per column; NULL: all */
    uint32_t count;         /* of those present */
};

/* Why a value cannot be read where the file is sound; compared by address. */
extern const char image_sign_unknown[], image_json_partial[];

/* Reads the image at `at` into version->cells[which]. `partial`: bits of the JSON columns that hold a list of changes
 * instead of a value, NULL for none. Returns the byte behind it; NULL with reader->wrong and column on failure. */
const uint8_t *image_read(struct image_reader *reader, struct table_version *version, int which,
                          const struct image_shape *shape, const uint8_t *at, const uint8_t *end,
                          const uint8_t *partial);

#endif
