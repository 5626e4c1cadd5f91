/* io/format/csv.h: one CSV row, byte by byte: the rules of the format in one place.
 *
 * RFC 4180 with any single-byte delimiter and quote: a quote opens a cell only at its first byte, a doubled
 * quote inside stands for one, rows end with \n or \r\n. A quote or carriage return anywhere else spoils the
 * row up to the next newline (SPEC.md section 2). This reader is used for headers, for rows fetched again,
 * and for chunks that csv_scan calls irregular; csv_scan must agree with it. Opens nothing, waits for
 * nothing. Threads: any.
 */
#ifndef TIEOUT_IO_FORMAT_CSV_H
#define TIEOUT_IO_FORMAT_CSV_H

#include "core/model/cell.h"
#include "core/rules/normalize.h"

enum { CSV_ROW_MAX = 1024 * 1024, CSV_COLUMNS_MAX = 10000 };

struct csv_dialect {
    uint8_t delimiter, quote; /* quote 0: none */
};

enum csv_row_end {
    CSV_ROW_WHOLE,
    CSV_ROW_BLANK,     /* nothing before the newline */
    CSV_ROW_SPOILED,   /* `code` says why; `next` is behind its newline */
    CSV_ROW_UNFINISHED /* the bytes end inside the row */
};

struct csv_row {
    uint32_t next;  /* first byte behind the row */
    uint32_t size;  /* of the row without its line end */
    uint32_t cells; /* number found; may be more than the room given */
    uint32_t bad_cell;
    enum reject_code code;
    int ends_in_quote; /* UNFINISHED: inside quotes */
};

/* Reads the row at bytes[at..size). `at_end`: the file ends at `size`, so the last row needs no newline.
 * `cells` (room of them; more are counted, not kept) point into `bytes`, or into `scratch` (size - at bytes
 * of room) where doubled quotes were undone. */
enum csv_row_end csv_row_read(const struct csv_dialect *dialect, const uint8_t *bytes, uint32_t size,
                              uint32_t at, int at_end, struct cell *cells, uint32_t room, uint8_t *scratch,
                              struct csv_row *row);

/* Goes on inside a quoted cell at `at` up to the end of its row: the first byte behind it, or UINT32_MAX when
 * the bytes end before. */
uint32_t csv_row_rest(const struct csv_dialect *dialect, const uint8_t *bytes, uint32_t size, uint32_t at,
                      int at_end);

/* Undoes the quotes of a cell that csv_scan found: `cell` starts with a quote. Doubled quotes are undone into
 * `scratch`. */
void csv_unquote(const struct csv_dialect *dialect, struct cell *cell, uint8_t *scratch);

#endif
