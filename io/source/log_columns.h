/* io/source/log_columns.h: what the sources that read row images want of a log: one table, and the columns that the job reads.
 *
 * Borrows from the job. Threads: read-only after log_columns_init.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_COLUMNS_H
#define TIEOUT_IO_SOURCE_LOG_COLUMNS_H

#include "core/base/check.h"
#include "core/config/job.h"
#include "io/format/binlog.h"
#include <string.h>

struct log_columns {
    struct binlog_watch watch;
    const char *needed[FIELD_SLOTS * 4 + OCCURRENCE_PARTS_MAX + 2 * CONDITIONS_MAX];
    int needed_count;
    struct binlog_options options; /* points into this struct */
};

static inline void log_columns_need(struct log_columns *columns, const char *name)
{
    for (int i = 0; name && i < columns->needed_count; i++)
        if (strcmp(columns->needed[i], name) == 0)
            return;
    if (name)
        columns->needed[columns->needed_count++] = name;
}

static inline void log_columns_init(struct log_columns *columns, const struct source_spec *spec)
{
    memset(columns, 0, sizeof *columns);
    columns->watch = (struct binlog_watch){.database = spec->database,
                                           .table = spec->table,
                                           .columns = (const char *const *)spec->columns,
                                           .column_count = spec->column_count};
    for (unsigned f = 0; f < FIELD_SLOTS; f++) {
        log_columns_need(columns, spec->fields[f].column);
        log_columns_need(columns, spec->fields[f].debit);
        log_columns_need(columns, spec->fields[f].credit);
        log_columns_need(columns, spec->fields[f].mark_column ? spec->fields[f].mark_column
                                                              : spec->fields[f].zone_column);
    }
    for (int i = 0; i < spec->where_count; i++)
        log_columns_need(columns, spec->where[i].column);
    for (int i = 0; i < spec->exclude_count; i++)
        log_columns_need(columns, spec->exclude[i].column);
    for (int i = 0; i < spec->occurrence_count; i++)
        log_columns_need(columns, spec->occurrence[i]);
    columns->options = (struct binlog_options){.watch = &columns->watch,
                                               .watch_count = 1,
                                               .needed = columns->needed,
                                               .needed_count = columns->needed_count};
}

#endif
