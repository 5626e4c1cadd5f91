/* core/model/log_days.h: what a log tells of each bill date, in sums that are held from one task of a book to the next.
 *
 *     log_days_add     a record, or one that was deleted; any order gives the same sums
 *     log_days_merge   of several shards
 *     log_sums_*       what is left between two tasks, and whose record it was where it was one
 *
 * A record counts by its print: a hash of its primary key and its contents with the book's secret seed, the same in every run. Two sets of
 * records are held for the same where numbers and sums agree. `weighted` are sums of print times primary key, four bytes each: where the
 * sets differ by one record the key comes out by a division, so no record need be kept to be named. The last one, of print times the
 * key's hash, proves it. Memory: fixed. Threads: one owner.
 */
#ifndef TIEOUT_CORE_MODEL_LOG_DAYS_H
#define TIEOUT_CORE_MODEL_LOG_DAYS_H

#include "core/model/id_print.h"
#include "core/model/words.h"

enum {
    LOG_DAYS = 41,  /* a task's own bill date and those behind it that are looked at */
    LOG_AHEAD = 32, /* bill dates to come that are */
    LOG_STEP_DAYS = LOG_DAYS + LOG_AHEAD,
    LOG_NAME_LANES = 8,                /* 4 bytes each */
    LOG_NAME_MAX = 4 * LOG_NAME_LANES, /* a longer primary key is not named */
    LOG_SUMS_WORDS = 4 + LOG_NAME_LANES + 1
};

struct log_sums {
    uint64_t records, deleted;
    uint64_t ids, prints; /* of records */
    uint64_t weighted[LOG_NAME_LANES + 1];
};
_Static_assert(sizeof(struct log_sums) == LOG_SUMS_WORDS * 8, "sums are kept as words");

/* By side and by how many days behind the task's own. */
struct log_days {
    struct log_sums told[SIDES][LOG_DAYS]; /* all that the log tells */
    /* carried records that it tells otherwise than they were carried: as they were, as they are. The task deals with them. */
    struct log_sums was[SIDES][LOG_DAYS], is[SIDES][LOG_DAYS];
    struct log_sums timeless[SIDES]
                            [LOG_DAYS]; /* those of `was` to which only their task gave the bill date */
};

/* A log of which each day has a file of its own: what its changes behind the place that the task before had read did to each bill date but the
 * task's own, change by change: what a row was, what it is. What a row was in between takes itself away. By log_step_of. */
struct log_steps {
    struct log_sums was[LOG_STEP_DAYS], is[LOG_STEP_DAYS];
    int has_place; /* a task before kept how far it had read */
    int overlaps;  /* and that place lies in this log */
    /* Files of days before were read once more: what they tell, up to that place, of the task's own bill date. */
    int reads_again;
    struct log_sums held_was, held_is;
};

/* Where a bill date's sums are, seen from a task's; -1: too far away. */
static inline int log_step_of(uint16_t task_day, uint16_t day)
{
    const int at = (int)day - (int)task_day + LOG_DAYS - 1;
    return at >= 0 && at < LOG_STEP_DAYS ? at : -1;
}

struct log_print {
    uint64_t id, print;
    struct span name;
};

/* One record more. */
static inline void log_sums_add(struct log_sums *sums, const struct log_print *p)
{
    sums->records++;
    sums->ids += p->id;
    sums->prints += p->print;
    for (size_t lane = 0; lane < LOG_NAME_LANES && lane * 4 < p->name.size; lane++) {
        uint8_t bytes[4] = {0};
        for (size_t i = 0; i < 4 && lane * 4 + i < p->name.size; i++)
            bytes[i] = (uint8_t)p->name.data[lane * 4 + i];
        sums->weighted[lane] += p->print * ((uint64_t)bytes[0] | (uint64_t)bytes[1] << 8 |
                                            (uint64_t)bytes[2] << 16 | (uint64_t)bytes[3] << 24);
    }
    sums->weighted[LOG_NAME_LANES] += p->print * p->id;
}

void log_sums_merge(struct log_sums *into, const struct log_sums *from, int sign);
void log_days_merge(struct log_days *into, const struct log_days *from);
/* 1: no record is summed up there; what was deleted does not count. */
int log_sums_is_none(const struct log_sums *sums);
/* 1: the same records; what was deleted besides does not count. */
int log_sums_equal(const struct log_sums *a, const struct log_sums *b);
/* The primary key of the one record by which two sets differ, ended by 0; its size, 0 where they differ by more, or it is too long. `seed`
 * is that of the prints, `*log` becomes which log of the side has it (record_log). */
size_t log_sums_name(const struct log_sums *then, const struct log_sums *now, uint64_t seed,
                     char name[LOG_NAME_MAX + 1], unsigned *log);

/* What tells a primary key from others, of the same log and of other ones. */
static inline uint64_t log_id_hash(struct span id, unsigned log, uint64_t seed)
{
    return hash_bytes(id.data, id.size, seed + 0x106DA15ull + ((uint64_t)log << 32));
}

#endif
