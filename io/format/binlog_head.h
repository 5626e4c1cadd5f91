/* io/format/binlog_head.h: what a log file says of itself before its first transaction, and at its end.
 *
 * Its server and when it was begun (FORMAT_DESCRIPTION), which transactions came before it (PREVIOUS_GTIDS, GTID_LIST), and which file
 * follows (ROTATE). Pure. Nothing here is an error: a file that cannot be read is told of where it is walked over.
 *
 *     binlog_head_read      with more bytes from the file's first on, until it returns 1
 *     binlog_tail_read      the file's last bytes
 *     binlog_head_fini
 *
 * Memory   `before` has its own. Threads: one owner.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_HEAD_H
#define TIEOUT_IO_FORMAT_BINLOG_HEAD_H

#include "io/format/gtid_set.h"

enum { BINLOG_TAIL_MAX = 1024, BINLOG_HEAD_MAX = 64 << 20 };

struct binlog_head {
    int known; /* 0: the file is not a log, or damaged; then the rest says nothing */
    uint32_t server, begun_at;
    int has_before; /* it says what came before; `before` may be empty all the same */
    struct gtid_set before;
    struct binlog_format format;
};

/* 0: give at least `*need` bytes, or all if the file has fewer (`is_all`). */
int binlog_head_read(struct binlog_head *head, const uint8_t *bytes, size_t size, int is_all, size_t *need);
void binlog_head_fini(struct binlog_head *head);
/* The name in the ROTATE that the file ends with; "" when it ends otherwise. `size` at most BINLOG_TAIL_MAX. */
void binlog_tail_read(char *name, size_t room, const struct binlog_format *format, const uint8_t *bytes,
                      size_t size);

#endif
