/* io/store/generation.h: what a revision of a task left behind: its segment of the verdict log, its files of carried records, and how
 * suspense rolled forward.
 *
 * Files are immutable and named by task and revision. They count from the commit of the task on; what a killed run left under such a
 * name is written again. All calls take the state's database and stand in the caller's transaction. Threads: the control thread.
 */
#ifndef TIEOUT_IO_STORE_GENERATION_H
#define TIEOUT_IO_STORE_GENERATION_H

#include "core/model/currency.h"
#include "core/model/money.h"
#include "io/store/sqlite.h"
#include "io/store/task.h"
#include "io/store/verdict_log.h"

extern const char generation_schema[];

/* ---- the verdict log ---- */
struct segment {
    int64_t number; /* in the chain, from 1 */
    int64_t task, revision;
    char file[200]; /* relative to the state folder */
    char sha[VERDICT_SHA_TEXT], chain[VERDICT_SHA_TEXT];
    uint64_t entries;
};
/* Adds it behind the newest: fills number and chain. */
enum err segment_add(struct sqlite *db, struct segment *segment, struct diag *diag);
/* 1: found; 0: there is none; -1. */
int segment_find(struct sqlite *db, int64_t task, int64_t revision, struct segment *segment,
                 struct diag *diag);
/* By its place in the chain. */
int segment_at(struct sqlite *db, int64_t number, struct segment *segment, struct diag *diag);
/* The newest; number 0 where there is none. */
enum err segment_head(struct sqlite *db, struct segment *segment, struct diag *diag);

/* ---- carried records ---- */
/* CARRY_PRINTS: struct final_print (io/sink/keep.h) of each row of CARRY_FINAL, in order; CARRY_OPEN_PRINTS: struct open_print of those
 * of CARRY_OPEN. */
enum carry_kind { CARRY_OPEN, CARRY_FINAL, CARRY_PRINTS, CARRY_OPEN_PRINTS, CARRY_KINDS };
struct carry_file {
    int64_t task, revision;
    enum carry_kind kind;
    int side;
    char file[200], sha[VERDICT_SHA_TEXT];
    uint64_t records, bytes;
};
enum err carry_add(struct sqlite *db, const struct carry_file *file, struct diag *diag);
typedef enum err carry_fn(void *context, const struct carry_file *file, struct diag *diag);
/* Files of one kind and side: those of `task`, or (task 0) those of the newest revision of every task of the queue that is done and
 * before `day`, oldest first. */
struct carry_ask {
    enum carry_kind kind;
    int side;
    int64_t task;
    const char *channel_code, *biz_type;
    uint16_t day;
};
enum err carry_each(struct sqlite *db, const struct carry_ask *ask, carry_fn *each, void *context,
                    struct diag *diag);

/* ---- final records that a later task reopened: (file, offset of the row) ---- */
enum err gone_add(struct sqlite *db, int64_t task, int64_t revision, const char *file, uint64_t offset,
                  struct diag *diag);
/* Those of `file` that tasks of the queue before `day` reopened, ascending, in memory of mem_take. */
enum err gone_read(struct sqlite *db, const char *file, uint16_t before, uint64_t **offsets, uint64_t *count,
                   struct diag *diag);

/* ---- I4 ---- */
struct roll {
    int side;
    uint8_t currency;
    uint64_t opening, opened, resolved, expired, reopened, closing;
    money_total opening_sum, opened_sum, resolved_sum, expired_sum, reopened_sum, closing_sum;
    money_total changed_sum; /* a log told a carried record with another amount */
};
enum err roll_add(struct sqlite *db, int64_t task, int64_t revision, const struct roll *roll,
                  struct diag *diag);
typedef enum err roll_fn(void *context, const struct roll *roll, struct diag *diag);
enum err roll_each(struct sqlite *db, int64_t task, int64_t revision, roll_fn *each, void *context,
                   struct diag *diag);
/* 1: opening + opened - resolved - expired + reopened = closing, in records and in money. */
int roll_adds_up(const struct roll *roll);

/* ---- what a log told of a task's own bill date, so that what it tells of that date later is noticed ---- */
enum err log_day_add(struct sqlite *db, int64_t task, int64_t revision, int side, uint64_t records,
                     struct diag *diag);
/* Of the queue's task of `date` that is done, and its name. 1: found; 0: there is none; -1. */
int log_day_find(struct sqlite *db, const struct task *task, uint16_t date, int side, uint64_t *records,
                 char name[TASK_NAME_MAX], struct diag *diag);

/* The task of the queue before this one that is not cancelled, done or not; and the first behind it that was ever done. 1: found; 0:
 * there is none; -1. */
int task_before(struct sqlite *db, const struct task *task, struct arena *arena, struct task *before,
                struct diag *diag);
int task_after(struct sqlite *db, const struct task *task, struct arena *arena, struct task *after,
               struct diag *diag);
/* 1: no day before it in its queue was done again since it was done, so its results still follow from theirs; 0; -1. */
int task_is_newest(struct sqlite *db, const struct task *task, struct diag *diag);

#endif
