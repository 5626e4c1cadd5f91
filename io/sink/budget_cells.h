/* io/sink/budget_cells.h: what of a book's tolerance budgets is spent, cell by cell (core/README.md, decision 27).
 *
 * A cell is (channel code, currency, bill date), as bytes: the code, one of the currency's index, two of the day. `before` is what
 * earlier tasks spent, `spent` what this one does. Memory: mem_take; a few cells a day. Threads: one owner.
 */
#ifndef TIEOUT_IO_SINK_BUDGET_CELLS_H
#define TIEOUT_IO_SINK_BUDGET_CELLS_H

#include "core/base/diag.h"
#include "core/base/span.h"
#include <stdint.h>

struct budget_cell {
    char *bytes;
    size_t size;
    int64_t before, spent;
    uint8_t was_over, is_over; /* a pair did not fit: nothing fits any more */
};
struct budget_cells {
    struct budget_cell *cells;
    uint32_t count, room;
};

/* The cell, made when it is not there; NULL when memory is out. Valid until the next call. */
struct budget_cell *budget_cells_at(struct budget_cells *cells, struct span bytes);
void budget_cells_fini(struct budget_cells *cells);

#endif
