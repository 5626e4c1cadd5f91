/* io/store/log_book.h: what a log told of each bill date when a task read it, in state.db, so that the next task of the queue sees what
 * became of days that are done.
 *
 *     log_book_read    what the task before had read
 *     log_book_add     in a task's commit: what it read itself
 *     log_tables_read, log_tables_add: the same of the logs' tables (io/source/log_kept.h)
 *
 * At most LOG_DAYS + LOG_AHEAD rows of 104 bytes a task and side. Threads: the control thread.
 */
#ifndef TIEOUT_IO_STORE_LOG_BOOK_H
#define TIEOUT_IO_STORE_LOG_BOOK_H

#include "core/base/text.h"
#include "core/model/log_days.h"
#include "io/store/sqlite.h"
#include "io/store/task.h"

extern const char log_book_schema[]; /* may be run again */

enum { LOG_BEGIN_MAX = 4096 };
/* Of one side. `begin` is the log's first file, of several logs each one's (core/model/log_begin.h), "" where it is not known. `told` is by days behind task->day, `ahead` by days before it; of a log
 * of a file a day it holds records of bill dates to come, which no later file has. */
enum err log_book_add(struct sqlite *db, const struct task *task, int side, const char *begin,
                      const struct log_sums told[LOG_DAYS], const struct log_sums ahead[LOG_AHEAD + 1],
                      struct diag *diag);
/* What `before` had read, in its newest revision; `told` is by days behind `day`, `ahead` by days before
 * it, and `day` itself is in ahead[0]. 1: found; 0: it kept none; -1. */
int log_book_read(struct sqlite *db, const struct task *before, uint16_t day, int side,
                  char begin[LOG_BEGIN_MAX], struct log_sums told[LOG_DAYS],
                  struct log_sums ahead[LOG_AHEAD + 1], struct diag *diag);

/* What is known of the tables of a side's logs; "" is kept as nothing. `*out` is appended to; none: nothing is. */
enum err log_tables_add(struct sqlite *db, const struct task *task, int side, struct span tables,
                        struct diag *diag);
enum err log_tables_read(struct sqlite *db, const struct task *before, int side, struct text *out,
                         struct diag *diag);

#endif
