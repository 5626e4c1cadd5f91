/* io/store/handling.h: errors handled by hand, and who did what, when, why.
 *
 *     handle           one action on one order, in the caller's transaction
 *     handle_match     says that a missing and an extra one are the same payment
 *     handling_each    the audit log of an order
 *
 * | action | from | to |
 * |---|---|---|
 * | claim | checking, open | claimed, by the actor |
 * | resolve, void | checking, open, claimed | resolved: it was mended; void: it never was an error |
 * | reopen | claimed, resolved, void | open |
 * | reopen | force_matched | both of the pair open; at once, or where a task has made its match of them, with the next task (`why` says so) |
 * | note | any | as it was |
 * | force-match | missing and extra, each checking, open or claimed; of one currency and direction, and of one amount unless `accept` is the difference | force_matched, both |
 *
 * A pair made by hand is taken up by the next task of its queue behind both verdicts: a match (`manual`) in its results, and two reversals
 * in its log (cli/by_hand.h). It stands until a record of it changes, or its real partner comes: then the other one is open again.
 *
 * Nothing is done without an entry in the audit log, which is only added to. An order's id follows from its record, so actions stay
 * with it over reruns; a record that changed has another order, which is open. Threads: the control thread.
 */
#ifndef TIEOUT_IO_STORE_HANDLING_H
#define TIEOUT_IO_STORE_HANDLING_H

#include "io/store/error_order.h"

extern const char handling_schema[];

enum handle_action {
    HANDLE_CLAIM,
    HANDLE_RESOLVE,
    HANDLE_VOID,
    HANDLE_REOPEN,
    HANDLE_NOTE,
    HANDLE_MATCH,
    HANDLE_ACTIONS
};
/* HANDLE_ACTIONS: there is no such action. */
enum handle_action handle_action_find(const char *name);
const char *handle_action_name(enum handle_action action); /* "force-match" */

struct handling {
    const char *actor, *reason;    /* reason may be "" of a claim */
    const char *expected;          /* node status that it must have still; NULL: any */
    const char *expected_assignee; /* and whose it must be; NULL: anybody's */
    int64_t now_s;
};
enum handle_end {
    HANDLED,         /* `why`: "", or what is still to come */
    HANDLE_SAME,     /* it was so already */
    HANDLE_CONFLICT, /* not from where it is now; `why` says */
    HANDLE_UNKNOWN   /* there is no such order, or several begin so */
};
enum { HANDLE_WHY = 300 };
/* `id`: whole, or its first 8 digits or more. */
enum err handle(struct sqlite *db, enum handle_action action, const char *id, const struct handling *handling,
                enum handle_end *end, char why[HANDLE_WHY], struct diag *diag);
/* `accept`: channel - local that is taken as settled, in millionths; 0: none. */
enum err handle_match(struct sqlite *db, const char *id, const char *partner, const struct handling *handling,
                      int64_t accept, enum handle_end *end, char why[HANDLE_WHY], struct diag *diag);

struct action {
    int64_t at;
    const char *actor, *what, *id, *reason, *before, *after;
};
typedef enum err action_fn(void *context, const struct action *action, struct diag *diag);
/* Of one order, oldest first; `id` NULL: of all. */
enum err handling_each(struct sqlite *db, const char *id, action_fn *each, void *context, struct diag *diag);

/* ---- pairs made by hand ---- */
/* Made by handle_match. `used_by`: the task whose results hold its match; "": none yet. `broken_by`: the task that found one of the two
 * changed or reopened; "": it stands. */
struct force_side {
    char id[ERROR_ID_TEXT];
    char task[TASK_NAME_MAX]; /* that gave the verdict */
    char biz_order_no[300];
    uint16_t day; /* of that task */
};
struct force_pair {
    int64_t no, difference_micro;
    struct force_side side[SIDES];
    char used_by[TASK_NAME_MAX], broken_by[TASK_NAME_MAX];
    uint16_t used_day; /* bill date of used_by */
    int is_replaced;   /* somebody paired one of the two again since it was broken */
    int is_undone;     /* somebody took it back */
};
#define FORCE_BY_HAND "-" /* broken_by: the one who had made it, before any task took it up */
typedef enum err force_pair_fn(void *context, const struct force_pair *pair, struct diag *diag);
/* All of a queue, by number. */
enum err force_pair_each(struct sqlite *db, const char *queue, force_pair_fn *each, void *context,
                         struct diag *diag);
/* used_by and broken_by are as in `pair` from now on. */
enum err force_pair_mark(struct sqlite *db, const struct force_pair *pair, struct diag *diag);
/* Behind the reversals of `task`: the orders of a pair that stands and is used are force_matched; those of one that is broken, and were,
 * are open, or reversed where the log takes their verdicts back. */
enum err force_pair_settle(struct sqlite *db, const struct force_pair *pair, const char *task, int64_t now_s,
                           struct diag *diag);
/* 1: the verdict of order `id` is taken back because `task` took its pair up; 0: not so; -1: failed. */
int force_pair_is_of(struct sqlite *db, const char *id, const char *task, struct diag *diag);
/* The verdict of order `id` is taken back otherwise: the pair it is in, if any, is no more, and its partner is open again unless that is
 * taken back too. */
enum err force_pair_break(struct sqlite *db, const char *id, const char *task, int64_t now_s,
                          struct diag *diag);

#endif
