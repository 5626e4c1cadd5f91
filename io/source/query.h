/* io/source/query.h: a server's table when a run begins (`local: {query: ...}`), and what its columns are called.
 *
 * The rows are read in pieces by the primary key, in one transaction, and kept in a file as a server would have logged their
 * INSERTs: the log's decoder reads them, places name them, and the file says afterwards what was there. A pull that is cut short leaves the
 * file of the one before it.
 *
 * Threads: one owner.
 */
#ifndef TIEOUT_IO_SOURCE_QUERY_H
#define TIEOUT_IO_SOURCE_QUERY_H

#include "core/base/diag.h"
#include "core/config/job.h"
#include <stdio.h>

/* Pulls the side's table into DIR/TABLE-DATE.rows (`date` DAY_NONE: TABLE.rows), whose path and size are given back. */
enum err query_pull(char path[4096], uint64_t *size, const struct job *job, enum side side, uint16_t date,
                    struct diag *diag);
/* Prints the side's table as `columns:` and `occurrence_id:` of a job, for logs that do not name them. */
enum err query_schema(const struct job *job, enum side side, FILE *out, struct diag *diag);

#endif
