/* io/format/binlog.h: row-based binlogs of MySQL and MariaDB, bytes -> row images.
 *
 * Pure: bytes in memory go in, row images come out. It opens nothing and waits for nothing. Two layers, so
 * that many cores can decode while only a cheap hop over event headers is sequential:
 *
 *     binlog_walk_open
 *       binlog_walk_file            once per file, in the order of the log
 *         binlog_walk_step          any number of times, over consecutive bytes from offset 0
 *         binlog_walk_end           when the file has no more bytes
 *     binlog_walk_close
 *
 *     binlog_rows_open              one per worker
 *       binlog_rows_begin           a piece of a file, as the walk cut it, and its finished groups
 *         binlog_rows_step          until STEP_DONE: one row image after the other
 *     binlog_rows_close
 *
 * The walk finds the groups (transactions) and how they ended. The rows layer goes over every event of a
 * piece, verifies its checksum, and decodes the row events that lie in committed groups of the list it was
 * given. So: give every piece that the walk took to some rows object once, and no byte of the file stays
 * unverified.
 *
 * A group that is still open where a step ends is in no list yet; it begins at binlog_walk_pending_begin().
 * When it ends, a later step tells of it in binlog_walk_behind(), since its bytes lie before that step's:
 * read them again and give them to ONE rows object in consecutive pieces, each with that group in `groups`
 * (table maps are kept from piece to piece while a group lasts). The same holds for XA: a group that ended in
 * XA PREPARE is told of when its XA COMMIT or XA ROLLBACK comes, with the offsets and the file index of the
 * prepared part. The locks of a prepared transaction keep others off its rows, so folding its images at the
 * place of the PREPARE is right. With `want` well below the size of the bytes given, groups are behind only
 * if they are larger than the difference, or XA.
 *
 * What is not understood stops: STEP_FAILED with ERR_INPUT and "FILE@POSITION: ..." in the diag (BIN-17,
 * P13).
 *
 * Memory   A walk keeps a list of groups, of prepared XA transactions, and nothing per row. A rows object
 * keeps the tables it met (a few kB each), and a buffer for what it inflates. No allocation per row, but for
 * JSON, SET and converted text that outgrow the arena. Cells point into the piece, into the table's labels or
 * into the rows object. Threads  One owner per object. Options and format may be shared, they are only read.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_H
#define TIEOUT_IO_FORMAT_BINLOG_H

#include "core/base/diag.h"
#include "core/model/cell.h"
#include <stddef.h>
#include <stdint.h>

enum { BINLOG_MAGIC_SIZE = 4, BINLOG_HEADER_SIZE = 19, BINLOG_COLUMNS_MAX = 4096 };

/* A table to decode. Names are compared by their bytes. */
struct binlog_watch {
    const char *database, *table;
    /* Column names in order, for logs whose metadata does not name them; NULL for none. Names in the log win.
     * A name may be followed by ` signed` or ` unsigned`, for logs that do not tell signs either (MySQL
     * before 8.0, MariaDB NO_LOG). */
    const char *const *columns;
    int column_count;
};

/* Borrowed by walk and rows objects; outlives them. */
struct binlog_options {
    const struct binlog_watch
        *watch; /* watch_count 0: every table is decoded (inspect), statements are only counted */
    int watch_count;
    /* Columns that the caller reads, by name; others are skipped without being formatted. NULL: all. A table
     * that lacks one of them is no error here: table->needed says so with -1. The primary key's columns are
     * always decoded. */
    const char *const *needed;
    int needed_count;
    /* 1: columns that nobody names are called "@1", "@2", ... (inspect). 0: a watched table without names
     * stops. */
    int unnamed_ok;
    uint32_t event_bytes_max; /* an event that claims more is refused; 0: 1 GiB + 1 MiB */
};

enum binlog_flavour { BINLOG_MYSQL, BINLOG_MARIADB };

/* What the FORMAT_DESCRIPTION of a file says. Plain data: copy it. */
struct binlog_format {
    char server_version[52];
    uint8_t flavour;          /* enum binlog_flavour */
    uint8_t checksum;         /* 0 none, 1 CRC32 */
    uint8_t checksum_size;    /* bytes at the end of each event: 0 or 4 */
    uint8_t in_use;           /* 1: the server had the file open when it was copied, or crashed */
    uint8_t post_header[256]; /* length of the post-header by event type; 0 where the server did not say */
};

enum binlog_gtid_kind { BINLOG_GTID_NONE, BINLOG_GTID_ANONYMOUS, BINLOG_GTID_MYSQL, BINLOG_GTID_MARIADB };
enum { BINLOG_GTID_TAG_MAX = 32, BINLOG_GTID_TEXT_MAX = 96 };

struct binlog_gtid {
    uint8_t kind;     /* enum binlog_gtid_kind */
    uint8_t tag_size; /* MySQL 8.3+; 0 for none */
    uint8_t uuid[16]; /* MySQL */
    char tag[BINLOG_GTID_TAG_MAX];
    uint32_t domain, server; /* MariaDB */
    uint64_t number;         /* MySQL gno, MariaDB sequence number */
};

/* "uuid:tag:5", "0-1-5", "" for none. Returns the length. */
size_t binlog_gtid_print(char out[BINLOG_GTID_TEXT_MAX], const struct binlog_gtid *gtid);

/* One finished event group: a transaction, or a statement that stands alone. A transaction with a ROLLBACK TO
 * SAVEPOINT in the log is told of in parts: those that hold, and, not committed, those that were undone. */
struct binlog_group {
    uint64_t begin, end;     /* byte offsets in the file: first event's start, last event's end */
    uint32_t file_index;     /* as given to binlog_walk_file */
    uint32_t timestamp;      /* of its first event, epoch seconds */
    uint8_t committed;       /* 0: rolled back, counts for nothing */
    uint8_t touches_watched; /* 1: may hold rows of a watched table (always 1 for a compressed payload) */
    uint8_t is_part;         /* 1: goes on where the group told before it ended: the same transaction */
    uint8_t xa; /* 1: decided by an XA COMMIT / ROLLBACK, offsets are those of the prepared part */
    /* Of a usual transaction, with one TABLE_MAP: where its events stand, from `begin` on. 0: none (a note is a statement's text). */
    uint32_t note_at, map_at, rows_at;
    uint32_t
        map_number; /* groups of one step that have the same have the same TABLE_MAP; 0: nothing of this is known */
    /* xa: where its XA COMMIT or ROLLBACK lies, which is when its rows came to be. */
    uint32_t decided_file;
    uint64_t decided_at;
    struct binlog_gtid gtid; /* of the group itself (for XA: of the prepared part) */
};

struct binlog_walk_counts {
    uint64_t events, groups, groups_committed, groups_rolled_back;
    uint64_t groups_unfinished;    /* open at the end of the newest file, or prepared and never decided: count
                                      for nothing */
    uint64_t events_ignored;       /* unknown types that say they may be ignored */
    uint64_t statements_unwatched; /* DML logged as text on other tables: has no row images */
};

struct binlog_walk;

enum err binlog_walk_open(struct binlog_walk **out, const struct binlog_options *options, struct diag *diag);
void binlog_walk_close(struct binlog_walk *walk);

/* Starts a file. `name` is what messages call it, borrowed until the next binlog_walk_file or close.
 * `file_size`: UINT64_MAX when it is not known; else an event that goes past it is refused at once. The file
 * before it must have been ended. */
void binlog_walk_file(struct binlog_walk *walk, const char *name, uint32_t file_index, uint64_t file_size);

/* Goes over whole events of `bytes`, which begin at `file_offset` of the file (CHECK: where the last step
 * stopped, 0 at first), until at least `want` bytes are taken and no group is open. `*taken`: bytes consumed,
 * always whole events (the magic counts to the first). STEP_MORE    stopped at a group's end after `want`
 * bytes or more; there may be more bytes in `bytes` STEP_IDLE    went over all whole events in `bytes`; give
 * the rest again with more behind it. A group may be open. binlog_walk_need() says how many bytes the next
 * event takes. STEP_DONE    `file_offset + *taken` is `file_size`: all bytes were gone over; call
 * binlog_walk_end STEP_FAILED The list of groups that ended in this step is binlog_walk_groups(), valid until
 * the next step. */
enum step binlog_walk_step(struct binlog_walk *walk, const uint8_t *bytes, size_t size, uint64_t file_offset,
                           size_t want, size_t *taken, struct diag *diag);

/* Groups that begin and end in the bytes that the last step took, ascending. */
const struct binlog_group *binlog_walk_groups(const struct binlog_walk *walk, size_t *count);

/* Groups that ended, or were decided, in the last step, but begin before its bytes, maybe in an older file.
 */
const struct binlog_group *binlog_walk_behind(const struct binlog_walk *walk, size_t *count);

/* Bytes from the walk's position that must be given for the next event to be whole (at least 19). */
size_t binlog_walk_need(const struct binlog_walk *walk);

/* Where the open group begins; the walk's own position when none is open. What lies before it is decided and
 * may be decoded. */
uint64_t binlog_walk_pending_begin(const struct binlog_walk *walk);

/* The file's format; valid once the first step has gone past the FORMAT_DESCRIPTION event (any step with
 * *taken > 0). It does not change within a file: a second description that differs is refused. */
const struct binlog_format *binlog_walk_format(const struct binlog_walk *walk);

/* Name of the file that follows, as the ROTATE event at the end says; "" when there was none. */
const char *binlog_walk_next_name(const struct binlog_walk *walk);

/* The file has no more bytes. Refuses a file that ends inside an event or before its FORMAT_DESCRIPTION; and,
 * when it is not the newest of the log, one that ends without ROTATE or STOP (its copy may be older than its
 * end) or inside a group. In the newest file an open group is counted as unfinished and counts for nothing.
 * `tail_size`: bytes that no step took. For the newest file, prepared XA transactions that were not decided
 * are counted as unfinished too. */
enum err binlog_walk_end(struct binlog_walk *walk, int is_newest, size_t tail_size, struct diag *diag);

const struct binlog_walk_counts *binlog_walk_counts(const struct binlog_walk *walk);

/* Clauses of ALTER TABLE statements on watched tables that the last step went over (binlog_alter.h). */
struct binlog_alter;
const struct binlog_alter *binlog_walk_alters(const struct binlog_walk *walk, size_t *count);

/* Who is asked where rows of a watched table come or go without row images, at a statement of the file that was begun as `file_index`. OK: the
 * walk goes on; else `diag` is filled, and it fails. `rows_met`: the walk went over row events of the table before. `found` lives until the
 * call returns. Without such a one the walk fails where rows were met, or binlog_walk_seen was called. */
typedef enum err binlog_erase_fn(void *context, uint32_t file_index, uint64_t offset, int rows_met,
                                 const char *found, struct diag *diag);
void binlog_walk_erases(struct binlog_walk *walk, binlog_erase_fn *ask, void *context);

/* For streams, which a server sends from somewhere in a file on (io/source/capture.h). A step is then given one event.
 *
 * The next event lies at `position`: what is before it was not sent. No group may be open, and the FORMAT_DESCRIPTION must
 * have been given. */
void binlog_walk_skip(struct binlog_walk *walk, uint64_t position);
/* The open group will not be ended: the connection is gone. It counts for nothing. */
void binlog_walk_drop(struct binlog_walk *walk);
/* 1: the event that was taken last is needed to read the rows of watched tables and to know what became of them: what begins
 * and ends groups, savepoints, XA, their TABLE_MAPs and row events. 0: a filtered copy of the log may leave it out. */
int binlog_walk_wanted(const struct binlog_walk *walk);
/* XA transactions that are prepared and not decided. */
size_t binlog_walk_prepared(const struct binlog_walk *walk);
/* Rows of all watched tables were met before this walk began: a TRUNCATE is an end. */
void binlog_walk_seen(struct binlog_walk *walk);

/* One column of a version of a table. */
struct binlog_column {
    const char *name;   /* NUL-terminated; "@3" when nobody names it and unnamed_ok is set */
    uint8_t type;       /* enum_field_types as logged, after the CHAR/ENUM/SET trick is undone */
    int8_t is_unsigned; /* 1, 0; -1: the log does not say */
    uint8_t is_key;     /* part of the primary key */
    uint8_t is_visible; /* 0: INVISIBLE */
    int8_t may_be_null; /* 1, 0 */
    uint8_t is_needed;  /* formatted into cells; else its cell is CELL_ABSENT for ever */
    uint16_t metadata;  /* as logged */
    uint16_t collation; /* number of the collation; 0: the log does not say; 63: binary */
};

/* A version of a table's schema. Interned by content in one rows object: equal content, equal pointer. Lives
 * as long as the rows object. */
struct binlog_table {
    const char *database, *name;
    uint32_t number;       /* of this version in this rows object: 0, 1, 2, ... */
    uint64_t content_hash; /* equal for equal content, in all rows objects of this process */
    int watch_index;       /* which of options.watch; -1 with watch_count 0 */
    uint32_t column_count;
    const struct binlog_column *columns;
    int key_known; /* 1: the log said what the primary key is (key_count 0 then means: there is none) */
    uint32_t key_count;
    const uint16_t *key_columns; /* column indexes, in key order */
    const int32_t *needed; /* needed_count entries: column index of options.needed[i], -1 when the table has
                              no such column */
};

enum binlog_op { BINLOG_INSERT, BINLOG_UPDATE, BINLOG_DELETE };

/* One row change. Everything it points to is valid until the next step, or as long as the piece's bytes. */
struct binlog_row {
    uint32_t op;        /* enum binlog_op */
    uint32_t row_index; /* in its event, from 0; in a compressed payload: among all rows of the payload */
    uint32_t column_count;
    uint32_t timestamp; /* of the event, epoch seconds */
    uint32_t is_whole;  /* 1: its images hold all columns */
    const struct binlog_table *table;
    /* column_count cells each, by column index; NULL where the op has no such image. A column that is not in
     * the image (MINIMAL, NOBLOB) and one that is not needed is CELL_ABSENT. Scaled kinds: CELL_WALL for DATE
     * and DATETIME, CELL_EPOCH for TIMESTAMP, CELL_UINT for BIT, CELL_DECIMAL for DECIMAL (CELL_TEXT above 18 digits), CELL_TEXT for FLOAT, DOUBLE, TIME,
     * YEAR, ENUM, SET, JSON as the server prints them, and for zero dates ("0000-00-00"), which are no dates.
     * An ENUM or SET without labels in the log is "#n". */
    const struct cell *before, *after;
    /* Bit i (of byte i / 8, lowest first): the image holds column i. NULL with the image. */
    const uint8_t *before_present, *after_present;
    uint64_t event_offset;     /* of the row event in the file (a compressed payload: of the payload event) */
    uint64_t table_map_offset; /* of its TABLE_MAP event (a payload: of the payload event) */
    /* Where the row's first image starts in the file; unique and ascending in a file. In compressed events:
     * event_offset + row_index. */
    uint64_t image_offset;
    const struct binlog_group *group;
};

/* Bytes of one file, cut at event boundaries, at least at the front. All borrowed until the next begin. */
struct binlog_piece {
    const char *file_name; /* for messages */
    const uint8_t *bytes;
    size_t size;
    uint64_t file_offset; /* of bytes[0] */
    const struct binlog_format *format;
    const struct binlog_group
        *groups; /* ascending; those to decode are committed and touch a watched table */
    size_t group_count;
    /* Offsets into `bytes` between which binlog_walk_step went over these very bytes: what it verified there is not verified again. */
    size_t walked_from, walked_to;
};

struct binlog_rows_counts {
    uint64_t events, bytes, rows;
    uint64_t usual; /* transactions that were gone through in one go */
};

struct binlog_rows;

enum err binlog_rows_open(struct binlog_rows **out, const struct binlog_options *options, struct diag *diag);
void binlog_rows_close(struct binlog_rows *rows);

/* Gives it the next piece. Table maps are forgotten where a group begins, so pieces may come in any order,
 * but for the pieces of one group that is cut over several: those come one after the other. */
void binlog_rows_begin(struct binlog_rows *rows, const struct binlog_piece *piece);

/* STEP_MORE: `*row` is the next row change. STEP_DONE: the piece is gone over. STEP_FAILED: as above; the
 * object is then good for close only. */
enum step binlog_rows_step(struct binlog_rows *rows, const struct binlog_row **row, struct diag *diag);

/* The same without reading: STEP_MORE: binlog_rows_step, or a lane (binlog_lane.h), has a row of binlog_rows_table to read. */
enum step binlog_rows_next(struct binlog_rows *rows, struct diag *diag);
const struct binlog_table *binlog_rows_table(const struct binlog_rows *rows);
/* Where in the file the event of that row lies (of a payload: the payload). */
uint64_t binlog_rows_offset(const struct binlog_rows *rows);

/* After STEP_DONE: bytes of the piece that were gone over. Less than its size only if it ends inside an
 * event: put the rest in front of the next piece. Pieces as the walk took them always end with a whole event.
 */
size_t binlog_rows_taken(const struct binlog_rows *rows);

const struct binlog_rows_counts *binlog_rows_counts(const struct binlog_rows *rows);

/* Decodes one known row again. `table_map` and `event` are the bytes of the TABLE_MAP event and of the row
 * event, from their offsets (more behind them does no harm; `table_map` is not looked at for a payload
 * event). STEP_MORE with `*row`, or STEP_FAILED. */
struct binlog_place {
    const char *file_name;
    const struct binlog_format *format;
    const uint8_t *table_map;
    size_t table_map_size;
    uint64_t table_map_offset;
    const uint8_t *event;
    size_t event_size;
    uint64_t event_offset;
    uint64_t image_offset; /* as binlog_row says it */
    uint32_t row_index;
};
enum step binlog_rows_again(struct binlog_rows *rows, const struct binlog_place *place,
                            const struct binlog_row **row, struct diag *diag);

/* The same from parts of an event that was verified when it was read first: `place->event` needs to hold no more of it than its
 * head, `bytes` are those from `image_offset` on, as many as the row may have. Only the TABLE_MAP is verified. STEP_MORE, or
 * STEP_IDLE: this is no such event, or these bytes are not the whole row: binlog_rows_again tells. */
enum step binlog_rows_part(struct binlog_rows *rows, const struct binlog_place *place, const uint8_t *bytes,
                           size_t size, const struct binlog_row **row);

/* One more row of the event that was opened last by one of the two: its head, and what it inflates to, are not read again. `bytes` as
 * above; of packed rows they are not looked at, but the event's own must be where they were. Packed rows are gone over one by one, so
 * they must be asked for in their order. STEP_IDLE: another event is open, or the row is not there: the two above tell. */
enum step binlog_rows_further(struct binlog_rows *rows, const struct binlog_place *place,
                              const uint8_t *bytes, size_t size, const struct binlog_row **row);
/* 1: the event that is open is packed, so its rows are not at their places. */
int binlog_rows_is_packed(const struct binlog_rows *rows);

/* Prints a cell as the server does: what inspect shows. CELL_TEXT is given back as it is, numbers in decimal,
 * CELL_WALL as the column's type says, CELL_EPOCH as epoch seconds with fraction. `out` has at least 64
 * bytes. NULL and ABSENT give an empty span. */
struct span binlog_cell_print(char out[64], const struct cell *cell, const struct binlog_column *column);

/* "TABLE_MAP", "XID"; "type 200" for one nobody knows (in a buffer of the calling thread). */
const char *binlog_event_name(unsigned type);

#endif
