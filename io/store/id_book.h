/* io/store/id_book.h: what a task tells the book of its records' occurrence ids, and asks of those of earlier days.
 *
 *     id_book_open        the files of the days that the task looks back to
 *       id_book_store     goes to the run: core/ops/id_store.h
 *       id_book_seal      beside the other files of the task, before its results are published
 *       id_book_commit    in the task's transaction; id_book_sweep behind it
 *       id_book_tell      what was found
 *     id_book_close
 *
 * A file a task and revision, `ids/TASK-rREVISION.ids`, cut by bill date. A record is looked for among those that tasks of the last `ids.keep`
 * days took in; of its own bill date only, if it states one, where the job says so, or where its id is all it has. Files stay for RERUN_DAYS more, so that a day done again sees what it saw. Threads: the control thread,
 * but for the store, which any worker calls.
 */
#ifndef TIEOUT_IO_STORE_ID_BOOK_H
#define TIEOUT_IO_STORE_ID_BOOK_H

#include "core/config/job.h"
#include "core/ops/id_store.h"
#include "io/store/id_file.h"
#include "io/store/task.h"

extern const char id_book_schema[]; /* may be run again */

struct id_book;
struct id_reach {
    int keep_days;
    enum ids_date date;
};
enum err id_book_open(struct id_book **out, struct state *state, const struct task *task,
                      struct id_reach reach, struct diag *diag);
struct id_store *id_book_store(struct id_book *book);
/* All workers are done with the store. `*file`: what state_files_publish puts in place; NULL: no record had an id. */
enum err id_book_seal(struct id_book *book, const char **file, struct diag *diag);
enum err id_book_commit(struct id_book *book, int64_t now_s, struct diag *diag);
/* Removes the files that the commit has given up. */
void id_book_sweep(struct id_book *book);
/* Lines for people: who came before and when, and what could not be told. */
void id_book_tell(const struct id_book *book);
void id_book_close(struct id_book *book);

/* Every file of the book, held against what state.db says of it. `*files` counts them. */
enum err id_book_check(struct state *state, uint64_t *files, struct diag *diag);

#endif
