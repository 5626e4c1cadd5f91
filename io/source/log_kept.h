/* io/source/log_kept.h: a log's table as a task of a book leaves it to the next one.
 *
 * The next day's log may be another file, and what is carried was told by the table as it was: by which columns its rows are told apart, and what
 * each column had room for. That is kept as text, one entry for each log of a side, with the place up to which it is known to be so: an offset,
 * and a hash of the bytes before it, so that the file is found again under whatever name, and no other file is taken for it.
 *
 *     log_kept_take    before the first row: the entry of this log becomes schema->kept
 *     log_kept_give    behind the last: appends this log's entry
 *
 * Memory   Of the schema. Threads: one.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_KEPT_H
#define TIEOUT_IO_SOURCE_LOG_KEPT_H

#include "core/base/text.h"
#include "io/source/log_schema.h"

/* `text`: of all logs of the side; empty: nothing is known. With `holds`, rows are carried: another table, or a log that has another name among
 * several, stops (binlog.ddl); else only the place is taken. `*since`: up to where this log was read before; 0: none of it was, or its
 * entry is not there (`*has_place` 0). */
enum err log_kept_take(struct log_schema *schema, struct file_set *set, struct span text, int holds,
                       uint64_t *since, int *has_place, struct diag *diag);
/* `end`: in the last file, up to where transactions are whole; one that goes on behind it is new to the next task. Where no row was met and
 * nothing was kept, the place alone. */
enum err log_kept_give(const struct log_schema *schema, struct file_set *set, uint64_t end, struct text *out,
                       struct diag *diag);

#endif
