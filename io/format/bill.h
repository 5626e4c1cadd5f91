/* io/format/bill.h: the rows of a bill, as its profile lays them out.
 *
 * A profile (core/config/profiles/README.md) is compiled against a file's own header: where the rows begin, what a
 * row's cells are, of which kind it is, and which numbers its trailer states. The scanner is that of csv_scan.h
 * whatever the layout: a prefix (WeChat Pay's backtick) is scanned for as if it were the delimiter, and of fixed
 * widths only the line ends are looked for.
 *
 *     bill_open          the head of a file
 *       bill_row_read    one row, byte by byte: rows that the scanner does not cut as the header says, rows fetched
 *                        again
 *       bill_type        of which kind a row is
 *       bill_add_totals  what the trailer states is added up
 *     bill_close
 *
 * Opens nothing, waits for nothing. Threads: immutable after bill_open.
 */
#ifndef TIEOUT_IO_FORMAT_BILL_H
#define TIEOUT_IO_FORMAT_BILL_H

#include "core/config/job.h"
#include "core/model/money.h"
#include "io/format/csv.h"

enum bill_head {
    BILL_ROWS,      /* a header was found, or none is needed */
    BILL_COMPANION, /* a summary that comes beside a bill: no rows */
    BILL_EMPTY      /* the channel's word that there is no bill */
};

enum { BILL_GROUPS_MAX = 64, BILL_GROUP_NAME = 16 };

/* Sums of one group (a currency), by the profile's totals. */
struct bill_sums {
    char name[BILL_GROUP_NAME]; /* "" where the profile has no groups */
    money_total sum[TOTALS_MAX];
};
struct bill_totals {
    uint32_t count;
    int is_bad; /* a cell that should be added up is no number, or there are too many groups */
    struct bill_sums groups[BILL_GROUPS_MAX];
};

struct bill;

/* Reads the head of a file: `bytes[0..size)`; `at_end`: that is all of it. `path` is for messages. `*more` is set when
 * the header does not end in these bytes. */
enum err bill_open(struct bill **out, const struct bill_spec *spec, const uint8_t *bytes, uint32_t size,
                   int at_end, const char *path, int *more, struct diag *diag);
void bill_close(struct bill *bill);
enum bill_head bill_head(const struct bill *bill);
/* Where the rows begin. */
uint32_t bill_rows_begin(const struct bill *bill);
/* The columns' names in UTF-8; NULL at the end. */
char *const *bill_names(const struct bill *bill, uint32_t *count);
/* Column by name, or -1: a column_find_fn. */
int bill_find(void *bill, const char *name);

/* How the scanner is to be used, and how many separators a usual row has, its newline among them. */
struct csv_dialect bill_dialect(const struct bill *bill);
uint32_t bill_separators(const struct bill *bill);

/* Bytes of a record in a layout without line ends; 0: rows end with their lines. */
uint32_t bill_record_size(const struct bill *bill);

/* Reads the row at bytes[at..size) as csv_row_read does; CSV_ROW_WHOLE with row->cells = the number of columns when it
 * is a row as the profile says. A row that is not has another number there, never the same. */
enum csv_row_end bill_row_read(const struct bill *bill, const uint8_t *bytes, uint32_t size, uint32_t at,
                               int at_end, struct cell *cells, uint32_t room, uint8_t *scratch,
                               struct csv_row *row);

/* A row at hand: all its cells (from bill_row_read), or where the scanner found its separators. */
struct bill_row {
    const uint8_t *bytes;
    uint32_t begin, end;  /* without the line end */
    const uint32_t *seps; /* cell c ends at seps[c]; NULL: `cells` has them */
    const struct cell *cells;
    uint8_t *scratch; /* for quotes that are undone; moved on */
};

/* Cell of a column, trimmed and without prefix and quotes. */
struct cell bill_cell(const struct bill *bill, struct bill_row *row, int column);
/* 1 when a row that the scanner cut in the right number of cells is really cut there. */
int bill_row_fits(const struct bill *bill, const struct bill_row *row);
/* Comments and rows whose first cell says that they are something else. */
int bill_is_comment(const struct bill *bill, const uint8_t *row, uint32_t size);
int bill_is_row(const struct bill *bill, struct bill_row *row);
/* Index of the row's kind in the profile; -1: none. */
int bill_type(const struct bill *bill, struct bill_row *row);

const struct bill_spec *bill_spec(const struct bill *bill);
/* Text of the file as UTF-8, NUL-terminated; mem_give it. NULL when memory is out. */
char *bill_text(const struct bill *bill, const uint8_t *bytes, uint32_t size);
/* A number of the trailer, or one that is added up for it. 0: it is none. */
int bill_number(const struct bill *bill, struct span text, int64_t *number);
int bill_has_totals(const struct bill *bill);
void bill_add_totals(const struct bill *bill, struct bill_row *row, int type, struct bill_totals *totals);
void bill_merge_totals(struct bill_totals *into, const struct bill_totals *from);

/* The file's trailer, read in order: lines that are no rows. */
struct bill_check {
    struct bill_totals report; /* of all files of the report so far */
    int report_open;
    const char *report_path;
};
/* What a line turned out to be. */
enum bill_line { BILL_LINE_TRAILER, BILL_LINE_STRAY /* no part of the layout: a reject */ };
struct bill_odd {
    uint64_t at;   /* in the file */
    uint32_t size; /* without its line end */
    const uint8_t *bytes;
    uint8_t is_head; /* it stands before the header */
    uint8_t code;    /* enum reject_code, if it is a stray */
    uint8_t line;    /* out: enum bill_line */
    uint16_t column;
};
/* Holds what the lines state against `totals`. `last_row`: where the last row begins, or 0 when there is none.
 * ERR_INPUT when the trailer is missing, comes before a row, or disagrees. Control thread. */
enum err bill_check_file(struct bill_check *check, const struct bill *bill, struct bill_odd *lines,
                         uint32_t count, const struct bill_totals *totals, uint64_t last_row,
                         const char *path, struct diag *diag);
/* After the last file. */
enum err bill_check_end(struct bill_check *check, struct diag *diag);

#endif
