/* io/source/log_common.h: rows of the commonest tables, many at once. A part of log_run.h.
 *
 * Tables whose order number is a text, whose key is a number, and so on (lane->is_common). Rows that lie alike (binlog_shape.h) and
 * have the same words and hour go through in groups, value by value, so that each loop is short and waits for nothing.
 *
 * Threads: one owner.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_COMMON_H
#define TIEOUT_IO_SOURCE_LOG_COMMON_H

#include "io/format/binlog_shape.h"

/* Numbers below 10^16 as text: what those from `from` on, `span` of them, have in common. The first digit is in the lowest byte. */
struct log_number {
    uint64_t from, span, zero; /* zero: less it, the number is its last eight digits */
    uint64_t high;             /* the text before these */
    uint32_t low_size, high_size;
};

/* How values are read of rows that lie alike. */
struct log_plan {
    struct binlog_places places;
    /* An amount: its last two groups of digits, and what stands before them. */
    struct log_digits {
        uint32_t flip, mask, limit;
        int32_t at; /* from the row's first byte on */
        int64_t times;
    } digits[2];
    unsigned second;          /* of the eight bytes from the first of the two on: bits behind the second */
    int64_t before, negative; /* negative: -1, or 0 */
    unsigned number_shift, time_shift;
    uint32_t time_limit;
};

#define LOG_TIME_NONE UINT64_MAX /* no row's: those have 40 bits at most */

/* Rows that lie alike and say the same words, of one event or of several, which did not become records yet. */
enum { LOG_GROUP = 32 };
struct log_group {
    uint32_t count;
    uint32_t back_map;    /* from their events to those events' TABLE_MAPs */
    unsigned more_flags;  /* besides those of `row` in struct log_common */
    uint32_t before_size; /* of a change: bytes of what the row was, which lies before it; else 0 */
    uint64_t place;       /* added to a row's address: its place */
    const uint8_t *row[LOG_GROUP];
    uint32_t back_event[LOG_GROUP], row_index[LOG_GROUP];
};

/* What the row before had in common with the next: its bytes, and what they mean. */
struct log_common {
    uint64_t status, time; /* time: LOG_TIME_NONE: nothing is known yet */
    uint32_t letters;
    uint32_t group; /* rows that are taken at once: few where many are not common after all */
    struct log_row {
        uint16_t day, status, channel, flags;
        uint8_t currency;
    } row;
    uint64_t alike; /* records made of rows that lay as the row before them */
    struct log_number number;
    struct binlog_shape *shape; /* `plan` and `row` are those of rows like it; NULL: of none */
    struct log_plan plan;
    struct log_group waiting; /* of `plan` and `row` */
    /* Of changes: how rows lay before, and how what is asked of them is read. */
    struct log_before {
        struct binlog_shape *shape; /* NULL: of none */
        struct log_plan plan;
    } before;
};

static inline void log_common_init(struct log_common *common)
{
    *common = (struct log_common){.time = LOG_TIME_NONE, .group = 1};
}
/* What words mean may have changed. No rows wait. */
static inline void log_common_forget(struct log_common *common)
{
    common->time = LOG_TIME_NONE;
    common->shape = common->before.shape = NULL;
}

/* Fields of a record as one word. */
static inline __attribute__((always_inline)) void log_put_le64(uint8_t *to, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "a record's fields are put as words of the other byte order"
#endif
    memcpy(to, &value, sizeof value);
}

struct log_run;
struct log_common_rows {
    struct log_run *run;
    struct log_common *common;  /* of rows of this kind */
    struct binlog_lanes *lanes; /* its lane is common */
    const uint8_t *at;          /* the next row; where it stopped */
    uint32_t row_index;
    unsigned more_flags;
};

/* The row of an event that has no other, when rows wait for it. 1: it waits with them. */
int log_common_one(struct log_common *common, const struct binlog_lanes *lanes, unsigned more_flags);
/* The same of an UPDATE. */
int log_common_one_change(struct log_common *common, const struct binlog_lanes *lanes);
/* Takes rows of INSERT and DELETE up to the first that is not common, or to the event's end. The last of them may wait for those of
 * the next event. */
enum err log_common_run(struct log_common_rows *rows, struct diag *diag);
/* The same of UPDATE: rows whose key and id stay. */
enum err log_common_changes(struct log_common_rows *rows, struct diag *diag);
/* What waits becomes records, before its bytes go. */
enum err log_common_end(struct log_run *run, struct log_common *common, struct diag *diag);

#endif
