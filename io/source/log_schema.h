/* io/source/log_schema.h: what a log's table was over time, and whether its rows are still what they were told as.
 *
 * A row counts as its last image told it. That is wrong once the table changes its rows without images: a column that the job reads gets a type
 * that holds less, is dropped or comes back under another's name; or the primary key, by which images of one row are known, becomes another one.
 * So each version of the table is noted with where its rows lie, and each ALTER TABLE with its place. Two versions of which the later holds less,
 * or that have different keys, stop the run (binlog.ddl), as does a statement that takes away what a version before it had.
 *
 * A book carries rows from one day to the next, and the next day's log may be another file: then `kept` is the table as the task before left it
 * (io/source/log_kept.h), and what was told so is held against all that this log says behind the place where that was so.
 *
 *     log_schema_init
 *       log_schema_see       rows of a version lie here; in any order of places
 *       log_schema_alter     a clause of a statement
 *       log_schema_end       all was seen: what was kept against it, in the order of the log
 *     log_schema_fini
 *
 * Memory   A few hundred bytes for each version. Borrows job, columns and files. Threads: one at a time.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_SCHEMA_H
#define TIEOUT_IO_SOURCE_LOG_SCHEMA_H

#include "io/format/binlog_alter.h"
#include "io/source/file_set.h"
#include "io/source/log_columns.h"

enum { LOG_KEY_TEXT_MAX = 600 };

struct schema_column {
    char *name;
    struct binlog_room room;
    uint8_t is_used; /* by the job */
    uint8_t tells;   /* tells rows apart: its text must stay */
};

struct schema_version {
    uint64_t content_hash, first, last; /* places where rows of it lie */
    struct schema_column *columns;      /* those that matter */
    uint32_t column_count, key_count;
    uint16_t *
        key; /* which of them tell rows apart, by the table; none when `occurrence_id` does; of what was kept, by either */
};

struct schema_alter {
    uint64_t place;
    struct binlog_alter alter;
};

struct log_schema {
    const struct source_spec *spec;    /* borrowed */
    const struct log_columns *columns; /* borrowed: what the job reads */
    const struct file_set *set;        /* borrowed: for names */
    struct schema_version *versions;
    uint32_t version_count, version_room;
    struct schema_alter *alters; /* by place */
    uint32_t alter_count, alter_room;
    int is_off; /* rows are looked at, not counted (inspect) */
    int has_kept;
    struct schema_version
        kept; /* first = last: up to where in this log the table is known; 0: all is behind it */
};

void log_schema_init(struct log_schema *schema, const struct source_spec *spec,
                     const struct log_columns *columns, const struct file_set *set);
void log_schema_fini(struct log_schema *schema);
/* `format`: of the file. `place`: as in records. */
enum err log_schema_see(struct log_schema *schema, const struct binlog_table *table,
                        const struct binlog_format *format, uint64_t place, struct diag *diag);
enum err log_schema_alter(struct log_schema *schema, const struct binlog_alter *alter, struct diag *diag);
enum err log_schema_end(const struct log_schema *schema, struct diag *diag);

void schema_version_fini(struct schema_version *version);
/* Stops at a place, FILE@POSITION, unless the job says that it is accepted there: then a note tells of it. The file may be spelled as messages
 * do, as seen from the job's folder, by a path that ends so, or by its name alone. */
enum err log_schema_stop_kept(const struct log_schema *schema, uint64_t place, const char *found,
                              struct diag *diag);
/* The same of a statement that takes rows away, or brings some, without images. `is_again`: it was told before. */
enum err log_schema_erased(const struct log_schema *schema, uint64_t place, const char *found, int is_again,
                           struct diag *diag);

#endif
