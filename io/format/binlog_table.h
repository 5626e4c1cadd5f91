/* io/format/binlog_table.h: what a TABLE_MAP event says, made ready for decoding rows. Private to io/format.
 *
 * A table_version is made once per content of a TABLE_MAP and kept; rows are then decoded by its plans, one
 * per column.
 *
 * Memory   All from the arena given, but for nothing. Threads: one owner.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_TABLE_H
#define TIEOUT_IO_FORMAT_BINLOG_TABLE_H

#include "core/base/arena.h"
#include "io/format/binlog_event.h"
#include "io/format/binlog_text.h"

/* How many bytes a value takes. */
enum plan_skip {
    SKIP_FIXED, /* `size` */
    SKIP_PREFIX /* a little-endian length of `size` bytes, then so many bytes */
};

/* How the bytes become a cell. */
enum plan_kind {
    PLAN_INT8,
    PLAN_INT16,
    PLAN_INT24,
    PLAN_INT32,
    PLAN_INT64,
    PLAN_FLOAT,
    PLAN_DOUBLE,
    PLAN_DECIMAL,       /* as text */
    PLAN_DECIMAL_SHORT, /* up to 18 digits: as a number */
    PLAN_BIT,
    PLAN_YEAR,
    PLAN_DATE,
    PLAN_TIME,
    PLAN_DATETIME,
    PLAN_TIMESTAMP,
    PLAN_TIME2,
    PLAN_DATETIME2,
    PLAN_TIMESTAMP2,
    PLAN_OLD_TIME, /* MariaDB of before 10.1, with digits behind the point */
    PLAN_OLD_DATETIME,
    PLAN_OLD_TIMESTAMP,
    PLAN_ENUM,
    PLAN_SET,
    PLAN_BYTES,             /* as they are */
    PLAN_PADDED,            /* BINARY(n): the zeros at its end were cut off */
    PLAN_TEXT,              /* through `charset` */
    PLAN_COLUMN_COMPRESSED, /* MariaDB's compressed columns: a head, then zlib; then as text or bytes */
    PLAN_JSON,
    PLAN_NONE /* no value in the log for this type */
};

enum {
    OLD_TIME_UNKNOWN = 0xFF
}; /* metadata of MariaDB's old date and time columns whose digits nobody told */

struct column_plan {
    uint8_t skip; /* enum plan_skip */
    uint8_t kind; /* enum plan_kind */
    uint8_t needed;
    int8_t is_unsigned; /* 1, 0; -1: not known */
    uint8_t decimals;   /* of the second; a DECIMAL's scale */
    uint8_t precision;  /* of a DECIMAL */
    uint16_t label_count;
    uint16_t json_index;       /* which of the JSON columns */
    uint32_t size;             /* of the value, or of its length prefix */
    uint32_t scratch;          /* where its text goes in the table's scratch */
    uint32_t width;            /* BINARY(n): n */
    const struct span *labels; /* ENUM and SET, in UTF-8; NULL when the log does not name them */
    struct charset *charset;   /* NULL: bytes are given as they are */
    uint64_t day_memo;         /* DATETIME: the day met last, as it stands in the value; 0: none */
    int64_t day_memo_us;       /* when it begins */
};

/* What table_version_make needs. */
struct table_maker {
    const struct binlog_options *options;
    const struct binlog_format *format;
    const char *file;
    uint64_t offset; /* of the TABLE_MAP event */
    struct arena *arena;
    struct charsets *charsets;
    struct diag *diag;
};

struct table_version {
    struct binlog_table table; /* first: the public part */
    const uint8_t *raw;        /* the event's body behind the table id: what makes it equal to another */
    size_t raw_size;
    struct column_plan *plans;
    uint32_t json_count;
    struct cell *cells[2]; /* before, after */
    uint8_t *present[2];
    char *scratch[2];
    struct arena *arena; /* borrowed: what the programs of binlog_image.c are from */
    struct image_program *programs[32];
    uint64_t program_hits, program_misses;
    struct binlog_lane *lanes[8]; /* of binlog_lane.c */
    struct binlog_shapes *shapes; /* of binlog_shape.c; NULL: no row came by a lane yet */
    uint64_t lane_hits, lane_misses;
    struct table_version *next; /* all versions of a rows object, newest first */
};

/* Which watched table does the body name? -1: none, -2: malformed. `raw` begins behind the table id. With
 * watch_count 0 every table counts as watched and 0 is returned. */
int table_watch_index(const struct binlog_options *options, const uint8_t *raw, size_t raw_size);

/* Reads a TABLE_MAP. NULL with a filled diag when it is malformed, when nobody names its columns, or when
 * memory is out. */
struct table_version *table_version_make(const struct table_maker *maker, const uint8_t *raw, size_t raw_size,
                                         int watch_index);

#endif
