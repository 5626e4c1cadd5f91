/* io/source/log_order.h: the files of one log, in the log's order, each once.
 *
 * Images of a row replace each other in the order of the log, so files in a wrong order are a wrong result. Names that differ in their
 * number alone are ordered by it, whatever folders they lie in; others by what the files say themselves: which transactions came before
 * them, when they were begun, which file follows. A file that is another's beginning, byte for byte, is that file, given twice or copied
 * while it was written: it is left out, and what it repeats is counted. Logs of several servers keep the order of their paths.
 *
 *     log_order_make         once the set is settled, before a byte is walked over
 *     log_order_check        before each file but the first: does it follow the one before it, as both say?
 *     log_order_repeats      each transaction: how often files that were left out hold it as well
 *     log_order_fini
 *
 * Cost: the first 64 KiB of each file; two files with the same first bytes are read once more. Threads: one at a time.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_ORDER_H
#define TIEOUT_IO_SOURCE_LOG_ORDER_H

#include "io/format/binlog_head.h"
#include "io/source/file_set.h"

struct log_order {
    struct binlog_head *heads; /* by file; NULL: the set was not looked at, nothing is checked */
    uint32_t count;
    int is_one_server;
    struct log_copy {
        uint32_t file; /* of which it is a copy */
        uint64_t size;
    } * copies;
    uint32_t copy_count;
};

/* What is known of the log before `file`. */
struct log_place {
    uint32_t file;
    const char *expected;        /* as the file before it says; "": it does not */
    const struct gtid_set *seen; /* all that was walked over */
    int all_told;                /* no transaction waits for its XA COMMIT */
};

void log_order_fini(struct log_order *order);
enum err log_order_make(struct log_order *order, struct file_set *set, struct diag *diag);
/* binlog.order: it came before the file before it; binlog.gap: there is a file between them. */
enum err log_order_check(const struct log_order *order, struct file_set *set, const struct log_place *place,
                         struct diag *diag);

static inline uint64_t log_order_repeats(const struct log_order *order, uint32_t file, uint64_t end)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < order->copy_count; i++)
        count += order->copies[i].file == file && end <= order->copies[i].size;
    return count;
}

#endif
