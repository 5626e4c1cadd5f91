/* io/sink/keep.h: what a task keeps of a decided record: its line of the verdict log, and its row among the carried ones.
 *
 * Pure functions from records to bytes: results.c sorts and merges them, io/store writes them. Threads: any.
 */
#ifndef TIEOUT_IO_SINK_KEEP_H
#define TIEOUT_IO_SINK_KEEP_H

#include "core/base/text.h"
#include "core/config/job.h"
#include "core/model/entry.h"
#include "core/model/full.h"
#include "core/rules/normalize.h"
#include "io/sink/budget_cells.h"

/* What is kept, each sorted by ≺. */
enum kept {
    BOOK_LOG,  /* entries, as core/model/entry.h encodes them */
    BOOK_OPEN, /* rows of core/config/carry.h with a struct open_print before each, of the local side; BOOK_OPEN + 1 the channel's */
    BOOK_OPEN_CHANNEL,
    BOOK_FINAL, /* the same of final records, with a struct final_print before each */
    BOOK_FINAL_CHANNEL,
    BOOK_GONE, /* where the rows of reopened records stand: FILE@OFFSET */
    BOOKS
};

/* By what a final record is found again without its row. */
struct final_print {
    uint64_t
        hash; /* of its first key; FINAL_ALWAYS: cannot be told, look at it; FINAL_NEVER: it has no first key */
    uint32_t size; /* of its row, with the newline */
    uint32_t sum;  /* of the row's bytes */
};
#define FINAL_ALWAYS 0
#define FINAL_NEVER UINT64_MAX
/* Behind the first print of a record may stand others of it: `size` 0, `sum` says what they are: the number of a later key (from 1),
 * with PRINT_BOTH_SIDES where its partner of a pair has the same key, so that a record of its own side reopens both; PRINT_BOTH_SIDES
 * alone says so of the first key; PRINT_LINK: the pair's number. */
enum { PRINT_BOTH_SIDES = 16, PRINT_LINK = 32, PRINTS_MAX = 1 + KEYS_MAX + 2 };

/* By what the next task tells that nobody meets an open record, without its row. */
struct open_print {
    uint64_t hash;  /* as above */
    uint32_t size;  /* of its row, with the newline */
    uint16_t tries; /* delayed_times; OPEN_TRIES_MAX: so many or more */
    uint16_t zero;
};
#define OPEN_TRIES_MAX UINT16_MAX
/* A record's prints: the one above, and behind it the hashes of its later keys (normalize_later_print; 0: it has no such key), two in
 * the room of one. */
union open_unit {
    struct open_print print;
    uint64_t later[2];
};
enum { OPEN_UNITS_MAX = 1 + KEYS_MAX / 2 };
static inline uint32_t open_units(const struct job *job)
{
    return 1 + (uint32_t)job->match.key_count / 2;
}
/* Of key number `key`, from 1. */
static inline uint64_t open_later(const union open_unit *units, int key)
{
    return units[1 + (key - 1) / 2].later[(key - 1) % 2];
}

struct keep_task {
    const char *name; /* "ALIPAY/pay/2026-11-19/1" */
    uint32_t revision;
    uint16_t date;
    const struct norm_shared *shared; /* the same hash as the run's */
    struct budget_cells *budgets;     /* what is spent of tolerance budgets; NULL: the job has none */
};

/* `kind` REVERSAL: of the final verdict that `row` carries (partner NULL). Places of row and partner. */
void keep_entry(struct text *out, const struct job *job, const struct keep_task *task, enum entry_kind kind,
                const struct full *row, const struct full *partner, const struct span places[2],
                const char *reasons);
/* A row without its newline. `reasons`: of a final one, NULL else; `pair`: what stands in CARRY_PAIR. One of a pair made by hand keeps its old verdict's: should the pair be
 * no more, that verdict stands again. */
void keep_row(struct text *out, const struct job *job, const struct keep_task *task, const struct full *row,
              struct span place, const char *reasons, struct span pair);
/* The first line of a file of such rows, without its newline. */
void keep_header(struct text *out, const struct job *job);
uint64_t keep_print(const struct keep_task *task, const struct full *row);
/* All of an open record but the size of its row. How many units. */
uint32_t keep_open_print(union open_unit out[OPEN_UNITS_MAX], const struct job *job,
                         const struct keep_task *task, const struct full *row);
/* The prints behind the first of a final record; `partner` of a pair, whose number is `link`. How many. */
int keep_more_prints(struct final_print out[PRINTS_MAX], const struct job *job, const struct keep_task *task,
                     const struct full *row, const struct full *partner, uint64_t link);

#endif
