/* io/store/budget_book.h: what the tasks of a queue spent of their tolerance budgets, in state.db.
 *
 *     budget_book_read    before a task: what those before it spent, newest revisions only
 *     budget_book_add     in its commit: what it spent itself
 *
 * Threads: the control thread.
 */
#ifndef TIEOUT_IO_STORE_BUDGET_BOOK_H
#define TIEOUT_IO_STORE_BUDGET_BOOK_H

#include "io/sink/budget_cells.h"
#include "io/store/sqlite.h"
#include "io/store/task.h"

extern const char budget_book_schema[]; /* may be run again */

enum err budget_book_read(struct budget_cells *cells, struct sqlite *db, const struct task *task,
                          struct diag *diag);
enum err budget_book_add(const struct budget_cells *cells, struct sqlite *db, const struct task *task,
                         struct diag *diag);

#endif
