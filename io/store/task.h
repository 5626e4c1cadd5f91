/* io/store/task.h: tasks: a channel's day and how far it is.
 *
 * A task is (channel_code, biz_type, bill_date, batch_no). It moves along its declared edges and along no other: the database itself
 * refuses them, also to whoever opens it by hand.
 *
 *     INIT > DATA_COLLECTION > SUSPICIOUS_HANDLING > MATCHING > SECOND_SUSPICIOUS > AGGREGATION > ERROR_PUSH > DONE
 *     any of them but DONE > INIT     begun again: a killed run (which is no try that failed), a retry after FAILED or CANCELLED
 *     any of them but DONE > FAILED, CANCELLED
 *     DONE > INIT                     only as the next revision: rerun, restatement
 *
 * Whoever works at a task has a lease with a fence: a number that grows with every lease. A commit names its fence and fails when the
 * task has a higher one, so a runner that was thought dead cannot write behind its successor.
 *
 * All calls take the state's database and may stand in the caller's transaction. Memory: texts live in the caller's arena.
 * Threads: the control thread.
 */
#ifndef TIEOUT_IO_STORE_TASK_H
#define TIEOUT_IO_STORE_TASK_H

#include "core/base/arena.h"
#include "core/model/day.h"
#include "io/store/sqlite.h"

enum phase {
    PHASE_INIT,
    PHASE_COLLECT,
    PHASE_SUSPICIOUS,
    PHASE_MATCH,
    PHASE_SECOND,
    PHASE_AGGREGATE,
    PHASE_PUSH,
    PHASE_DONE,
    PHASE_FAILED,
    PHASE_CANCELLED,
    PHASES
};
const char *phase_name(enum phase phase); /* "DATA_COLLECTION" */
enum { TASK_TRIES = 3, TASK_NAME_MAX = 400 };

extern const char task_schema[];

struct task {
    int64_t id;
    const char *name; /* "ALIPAY/pay/2026-11-19/1": what people call it; its parts are in the next fields */
    const char *channel_code, *biz_type;
    uint16_t day;
    int64_t batch_no;
    const char *job; /* file in the book's folder */
    enum phase phase;
    int64_t revision; /* committed last; 0: none yet */
    int64_t wanted;   /* the revision that is to be made; revision + 1 unless DONE */
    int64_t attempts; /* tries of the wanted revision that failed */
    const char *rule_version, *manifest;
    const char *owner; /* of the lease; "" when nobody has it */
    int64_t fence;
    int64_t next_at; /* seconds since 1970: not before */
    int64_t began_at, done_at;
    int64_t exit_code;       /* of the committed revision: 0 it ties out, 1 it does not */
    const char *certificate; /* SHA-256 of the committed revision's certificate.json */
    const char *error;       /* of the last try; "" */
    int64_t error_code;      /* its exit code */
};

/* What tasks to list. Zero and NULL: all. */
struct task_filter {
    const char *channel_code, *biz_type, *name;
    uint16_t day, from_day;
    int due_only; /* neither DONE, FAILED nor CANCELLED */
    int64_t id;
};
typedef enum err task_fn(void *context, const struct task *task, struct diag *diag);
/* In order of bill date, channel, biz type, batch. `each` may not change tasks; what it keeps it copies. */
enum err task_each(struct sqlite *db, const struct task_filter *filter, task_fn *each, void *context,
                   struct diag *diag);
/* The first that the filter lets through, with its texts in `arena`. 0: there is none; -1: failed. */
int task_find(struct sqlite *db, const struct task_filter *filter, struct arena *arena, struct task *task,
              struct diag *diag);

struct task_key {
    const char *channel_code, *biz_type, *job;
    uint16_t day;
    int64_t batch_no;
};
/* Makes the task, once however often it is called; `*made` tells. */
enum err task_make(struct sqlite *db, const struct task_key *key, int64_t *id, int *made, struct diag *diag);

/* Takes the lease: the task goes to INIT with a new fence. ERR_STATE when it is not due. */
enum err task_lease(struct sqlite *db, struct task *task, const char *owner, int64_t now_s,
                    struct diag *diag);
/* Along an edge, by who has the lease. */
enum err task_move(struct sqlite *db, struct task *task, enum phase phase, struct diag *diag);
/* The try failed, which is counted: INIT again, not before `next_at`, or FAILED when the tries are used up or `for_good`. */
enum err task_fail(struct sqlite *db, struct task *task, const struct diag *why, int for_good,
                   int64_t next_at, struct diag *diag);
/* Not a failure: the bill is not there yet (`why`), or the program was told to stop (""). No try is counted. */
enum err task_wait(struct sqlite *db, struct task *task, const char *why, int64_t next_at, struct diag *diag);
/* DONE, in the transaction of the task's commit. */
struct task_done {
    const char *rule_version, *manifest, *certificate;
    int64_t exit_code, now_s;
};
enum err task_done(struct sqlite *db, struct task *task, const struct task_done *done, struct diag *diag);
/* FAILED or CANCELLED > INIT with fresh tries; DONE > INIT as the next revision (`rerun`). The fence is raised. */
enum err task_again(struct sqlite *db, const struct task *task, int rerun, struct diag *diag);
enum err task_cancel(struct sqlite *db, const struct task *task, struct diag *diag);
/* What `rerun` began and did not end is dropped: DONE again, as its last revision left it. Only where task_is_newest says 1. */
enum err task_keep(struct sqlite *db, const struct task *task, struct diag *diag);

#endif
