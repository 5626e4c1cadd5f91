/* tests/oracle/table.h: RFC 4180 in the plainest way: a whole text in memory, a row at a time.
 *
 *     csv_start, then csv_next until it returns CSV_END or CSV_CUT
 *     table_parse or table_open + table_add, then table_close
 *
 * This is the oracle's own reader: it shares nothing with io/format/csv.c, which it judges. Running out of
 * memory ends the program, since it is only ever a test.
 */
#ifndef TIEOUT_TESTS_ORACLE_TABLE_H
#define TIEOUT_TESTS_ORACLE_TABLE_H

#include <stddef.h>

/* Bytes with a length; `data` always has a NUL behind them, which the length does not count. */
struct text {
    char *data;
    size_t size;
};

void *must_take(size_t size);
void *must_grow(void *old, size_t size);
struct text text_copy(const char *data, size_t size);
/* By bytes, the shorter of two with one beginning first. */
int text_compare(struct text a, struct text b);
int text_is(struct text a, const char *word);
/* A growing text. */
void text_append(struct text *text, const char *data, size_t size);

enum csv_step {
    CSV_ROW,
    CSV_SPOILED,
    CSV_BLANK,
    CSV_END,
    CSV_CUT /* the text ends inside a quote or after a lone CR */
};

struct csv_reader {
    const char *data;
    size_t size, at;
    char delimiter, quote; /* ',' and '"' from csv_start; quote 0: none */
    const char *comment;   /* a row that begins with it is as good as blank; NULL: none */
};
struct csv_row {
    struct text *cells; /* the row's; csv_row_free */
    int count;
    size_t offset, raw_size; /* in the text; without the line end */
};

/* Steps over a byte order mark. */
void csv_start(struct csv_reader *reader, const char *data, size_t size);
/* Fills `row`, which csv_row_free empties again. A stray quote or carriage return spoils the row up to the
 * next newline. */
enum csv_step csv_next(struct csv_reader *reader, struct csv_row *row);
void csv_row_free(struct csv_row *row);
/* Adds one cell with quotes where it needs them. */
void csv_append_cell(struct text *out, struct text cell);

/* Rows of equal width under a header. */
struct table {
    struct text *names;
    int width;
    struct text **rows;
    int count, room;
};
struct table *table_open(const char *const *names, int width);
/* Takes over the cells of `row` (an array of `width` texts). */
void table_add(struct table *table, struct text *row);
/* NULL, with a line in `why`, when the text is not a table. */
struct table *table_parse(const char *data, size_t size, char why[200]);
void table_print(const struct table *table, struct text *out);
/* -1 when there is none. */
int table_column(const struct table *table, const char *name);
void table_close(struct table *table);

#endif
