/* io/source/log_twice.h: one log that is given as two parts of a side.
 *
 * Tables of one name in the logs of two servers are two tables, and their rows have ids of their own (core/README.md, 25). So a log that is given
 * twice, from two folders, or as a server's and its replica's, would count each row twice. Each such part keeps a sample of its
 * transactions, which their names alone choose (GTID; without one the file's number and the position), so that two parts keep the same ones. At the
 * end those that have one name and one second are read in both logs: when their rows are the same, they are one.
 *
 *     log_sample_add     each transaction that changed a watched table
 *     log_told_twice     once all of both parts was walked over
 *
 * Two servers may have equal GTIDs (a MariaDB as it is installed, a cloned disk): names are where to look, rows are what is found.
 * Cost: a hash for each transaction, 30 KB a part. Threads: one at a time.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_TWICE_H
#define TIEOUT_IO_SOURCE_LOG_TWICE_H

#include "io/format/binlog.h"
#include "io/source/file_set.h"

enum { LOG_SAMPLE_MAX = 256 };

struct log_sample {
    uint32_t count, highest; /* highest: the item with the highest print */
    struct log_sampled {
        uint64_t print;
        struct binlog_group group;
    } items[LOG_SAMPLE_MAX];
};

/* One side of the comparison; all borrowed. */
struct log_part {
    const struct log_sample *sample;
    struct file_set *set;
    const struct binlog_format *formats; /* by file */
};

void log_sample_add(struct log_sample *sample, const struct binlog_group *group, const struct file_set *set);
/* binlog.twice: a transaction of one is in the other, row for row. */
enum err log_told_twice(const struct log_part *a, const struct log_part *b, struct diag *diag);

#endif
