/* cli/sheet.h: a small CSV file that a person edited, row by row.
 *
 *     sheet_open -> sheet_next until 0 -> sheet_close
 *
 * RFC 4180; a byte order mark, \n or \r\n, and `;` or a tab instead of commas (as spreadsheets of some countries write) are fine. An
 * apostrophe that keeps a cell from being a formula is taken off. Cells are found by the name in the head.
 */
#ifndef TIEOUT_CLI_SHEET_H
#define TIEOUT_CLI_SHEET_H

#include "core/base/diag.h"

struct sheet;
enum err sheet_open(struct sheet **out, const char *path, struct diag *diag);
void sheet_close(struct sheet *sheet);
/* 1: a row is there; 0: the end; -1: it cannot be read further. */
int sheet_next(struct sheet *sheet, struct diag *diag);
int sheet_line(const struct sheet *sheet);
/* The number of a column; -1: the head has none. */
int sheet_column(const struct sheet *sheet, const char *name);
/* "" where the row is too short, or the column is -1. Valid until the next row. */
const char *sheet_cell(const struct sheet *sheet, int column);

#endif
