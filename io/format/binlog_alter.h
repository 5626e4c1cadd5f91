/* io/format/binlog_alter.h: what an ALTER TABLE does to columns, and what a column has room for.
 *
 * A server that changes a column's values, or puts another column under its name, logs the statement and no row. So the statement is read, clause
 * by clause, as far as columns go, and two types of a column are compared: does the later one hold all that the earlier one held, as it was?
 *
 * Pure. Memory: none. Threads: any.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_ALTER_H
#define TIEOUT_IO_FORMAT_BINLOG_ALTER_H

#include "core/base/span.h"
#include "io/format/binlog.h"

enum room_family {
    ROOM_UNKNOWN, /* a type that the reader of statements does not know */
    ROOM_INT,
    ROOM_DECIMAL,
    ROOM_TEXT,
    ROOM_BYTES,
    ROOM_DATE,
    ROOM_TIME,
    ROOM_DATETIME,
    ROOM_TIMESTAMP,
    ROOM_YEAR,
    ROOM_FLOAT,
    ROOM_DOUBLE,
    ROOM_BIT,
    ROOM_ENUM,
    ROOM_SET,
    ROOM_JSON,
    ROOM_OTHER /* `size` is its type as logged */
};

/* What a column can hold. 0 and -1: not known, and not compared. */
struct binlog_room {
    uint8_t family;     /* enum room_family */
    uint8_t is_fixed;   /* CHAR, BINARY */
    int8_t is_unsigned; /* 1, 0, -1 */
    int8_t may_be_null; /* 1, 0, -1 */
    int8_t decimals;    /* of a DECIMAL or of the second; -1 */
    uint8_t char_bytes; /* of the longest character of its set; 0 */
    char set[10];       /* the character set, MySQL's word; "" */
    uint32_t label_count;
    uint64_t labels[2]; /* ENUM, SET: two bits for each label; all bits: not known */
    uint64_t
        size; /* INT: bytes; DECIMAL: digits before the point; BIT: bits; text: characters, where they are limited */
    uint64_t bytes; /* text and bytes */
};

enum alter_kind {
    ALTER_DROP,
    ALTER_RENAME,
    ALTER_TYPE,
    ALTER_SET,      /* CONVERT TO CHARACTER SET: all columns with text */
    ALTER_VERSIONED /* the table keeps its history in itself from here on */
};

enum { ALTER_NAME_MAX = 260, ALTER_TEXT_MAX = 161 };

struct binlog_alter {
    uint8_t kind;                 /* enum alter_kind */
    uint8_t is_strict;            /* it would have failed where a value does not fit */
    uint32_t file_index;          /* as given to binlog_walk_file */
    uint64_t offset;              /* of the statement's event */
    char column[ALTER_NAME_MAX];  /* what it was called; "" with ALTER_SET and ALTER_VERSIONED */
    char renamed[ALTER_NAME_MAX]; /* ALTER_RENAME: what it is called from here on */
    struct binlog_room room;      /* ALTER_TYPE; of ALTER_SET only the character set */
    char text[ALTER_TEXT_MAX];    /* the statement, its beginning */
};

struct alter_reader {
    struct span text;
    size_t at;                /* in the text; 0: nothing was read yet */
    struct binlog_alter held; /* CHANGE says two things */
    int is_held;
    int is_strict; /* the session was; not with IGNORE */
};

/* The clauses of `text`, an ALTER TABLE or CREATE TABLE statement, that matter here, one after the other; reader is {.text = text} at first, with is_strict. 0:
 * there is no other one, or the statement is about another table than `watch`. kind, column, renamed and room are set. */
int binlog_alter_next(struct alter_reader *reader, struct span database, const struct binlog_watch *watch,
                      struct binlog_alter *out);

/* What a column of a table has room for. */
void binlog_room_of(struct binlog_room *room, const struct binlog_table *table, uint32_t column);

/* 1: each value of a column with room `old` is the same value in a column with room `now`, in the same text if `as_text`. */
int binlog_room_holds(const struct binlog_room *old, const struct binlog_room *now, int as_text);
/* The same where a value that does not fit fails the statement: digits behind the point of a number or of the second are cut all the same. */
int binlog_room_holds_strict(const struct binlog_room *old, const struct binlog_room *now, int as_text);

/* "DECIMAL(12,2)", "text of 64 characters": for messages. */
void binlog_room_print(char out[64], const struct binlog_room *room);

#endif
