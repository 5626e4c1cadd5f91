/* io/store/alarm.h: what somebody must be told: a task that failed, a bill that never came, a sink that is stopped.
 *
 *     alarm_raise     when it happens, inside or outside a transaction; once or a hundred times
 *     alarm_clear     when it is over
 *     alarm_each      those that stand, for `tieout status`
 *
 * An alarm is (kind, subject). While it stands, raising it again only counts, unless its grade rises. io/push/alarm_push.h tells the
 * sinks of book.yaml. All calls take the state's database. Threads: the control thread.
 */
#ifndef TIEOUT_IO_STORE_ALARM_H
#define TIEOUT_IO_STORE_ALARM_H

#include "core/config/book.h"
#include "io/store/sqlite.h"

extern const char alarm_schema[];

struct alarm {
    enum alarm_grade grade;
    const char *kind;    /* "task.failed" */
    const char *subject; /* "ALIPAY/pay/2026-11-19/1" */
    const char *text;    /* what happened, in a sentence */
    /* Filled by alarm_each. */
    int64_t no, count, first_at, last_at; /* seconds since 1970 */
    int64_t told_at;                      /* by alarm_untold: `sink`; else anybody; 0: nobody yet */
};

enum err alarm_raise(struct sqlite *db, const struct alarm *alarm, int64_t now_s, struct diag *diag);
/* Nothing happens when it does not stand. */
enum err alarm_clear(struct sqlite *db, const char *kind, const char *subject, int64_t now_s,
                     struct diag *diag);
typedef enum err alarm_fn(void *context, const struct alarm *alarm, struct diag *diag);
/* Worst first, then the oldest. `each` may not raise or clear. */
enum err alarm_each(struct sqlite *db, alarm_fn *each, void *context, struct diag *diag);
/* How many stand, by grade. */
enum err alarm_counts(struct sqlite *db, int64_t counts[ALARM_GRADES], struct diag *diag);

/* For the sinks: those that stand and that `sink` was not told of at this grade, or not since `again_before`; of a grade of at least
 * `least`; by kind, the oldest first. */
enum err alarm_untold(struct sqlite *db, const char *sink, enum alarm_grade least, int64_t again_before,
                      alarm_fn *each, void *context, struct diag *diag);
enum err alarm_told(struct sqlite *db, const char *sink, int64_t no, enum alarm_grade grade, int64_t now_s,
                    struct diag *diag);

#endif
