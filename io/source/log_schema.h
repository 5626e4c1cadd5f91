/* io/source/log_schema.h: what a log's table was over time, and whether its rows are still what they were told as.
 *
 * A row counts as its last image told it. That is wrong once the table changes its rows without images: a column that the job reads gets a type
 * that holds less, is dropped or comes back under another's name; or the primary key, by which images of one row are known, becomes another one.
 * So each version of the table is noted with where its rows lie, and each ALTER TABLE with its place. Two versions of which the later holds less,
 * or that have different keys, stop the run (binlog.ddl), as does a statement that takes away what a version before it had.
 *
 *     log_schema_init
 *       log_schema_see       rows of a version lie here; in any order of places
 *       log_schema_alter     a clause of a statement
 *     log_schema_fini
 *
 * Memory   A few hundred bytes for each version. Borrows job, columns and files. Threads: one at a time.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_SCHEMA_H
#define TIEOUT_IO_SOURCE_LOG_SCHEMA_H

#include "io/format/binlog_alter.h"
#include "io/source/file_set.h"
#include "io/source/log_columns.h"

struct log_schema {
    const struct source_spec *spec;    /* borrowed */
    const struct log_columns *columns; /* borrowed: what the job reads */
    const struct file_set *set;        /* borrowed: for names */
    struct schema_version *versions;
    uint32_t version_count, version_room;
    struct schema_alter *alters; /* by place */
    uint32_t alter_count, alter_room;
    int is_off; /* rows are looked at, not counted (inspect) */
};

void log_schema_init(struct log_schema *schema, const struct source_spec *spec,
                     const struct log_columns *columns, const struct file_set *set);
void log_schema_fini(struct log_schema *schema);
/* `format`: of the file. `place`: as in records. */
enum err log_schema_see(struct log_schema *schema, const struct binlog_table *table,
                        const struct binlog_format *format, uint64_t place, struct diag *diag);
enum err log_schema_alter(struct log_schema *schema, const struct binlog_alter *alter, struct diag *diag);

#endif
