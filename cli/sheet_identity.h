/* cli/sheet_identity.h: does a row of a sheet still speak of the error whose id it names?
 *
 * A spreadsheet tears rows apart when one column is sorted by itself or a block is pasted a row off: each cell is right then, and the row
 * is not. So the cells that say which order it is are held against the error of the id.
 *
 * Spreadsheets also write a number otherwise, and such a row is right: leading zeros and what is behind the fifteenth digit go, `.00`, a
 * thousands separator or an exponent come. What is a number in the error is therefore held by its digits, as far as the cell shows them;
 * text by its bytes. Text that is not ASCII may have come back in another charset: it is held only against a cell that is ASCII. Dates
 * and amounts are not held: too much becomes of them. An empty cell, and a column that is not there, are held against nothing.
 */
#ifndef TIEOUT_CLI_SHEET_IDENTITY_H
#define TIEOUT_CLI_SHEET_IDENTITY_H

#include "cli/sheet.h"
#include "core/base/text.h"
#include "io/store/sqlite.h"

enum { SHEET_HELD = 6 };
struct sheet_identity {
    int id, column[SHEET_HELD]; /* -1: not in the sheet */
};
/* Finds the columns in the head. */
void sheet_identity_init(struct sheet_identity *identity, const struct sheet *sheet);
/* `*torn`: the row names an error, and another order than that of the error; `said` gets a line for each such column. A row whose id is
 * that of no error, or of several, is not torn: whoever acts on it tells that. */
enum err sheet_identity_check(const struct sheet_identity *identity, const struct sheet *sheet,
                              struct sqlite *db, struct text *said, int *torn, struct diag *diag);
/* 1: a spreadsheet may have made `cell` of `value`. */
int sheet_cell_may_be(const char *cell, const char *value);

#endif
