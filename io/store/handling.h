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
 * | note | any | as it was |
 * | force-match | missing and extra of one amount, each checking, open or claimed | force_matched, both |
 *
 * A pair made by hand stands until the log takes back the verdict of one of the two (its record changed, or its real partner came late):
 * then the other is open again. The next task of the queue that finds both as they were takes it up (FORCE_USED).
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
    HANDLED,
    HANDLE_SAME,     /* it was so already */
    HANDLE_CONFLICT, /* not from where it is now; `why` says */
    HANDLE_UNKNOWN   /* there is no such order, or several begin so */
};
enum { HANDLE_WHY = 300 };
/* `id`: whole, or its first 8 digits or more. */
enum err handle(struct sqlite *db, enum handle_action action, const char *id, const struct handling *handling,
                enum handle_end *end, char why[HANDLE_WHY], struct diag *diag);
enum err handle_match(struct sqlite *db, const char *id, const char *partner, const struct handling *handling,
                      enum handle_end *end, char why[HANDLE_WHY], struct diag *diag);

struct action {
    int64_t at;
    const char *actor, *what, *id, *reason, *before, *after;
};
typedef enum err action_fn(void *context, const struct action *action, struct diag *diag);
/* Of one order, oldest first; `id` NULL: of all. */
enum err handling_each(struct sqlite *db, const char *id, action_fn *each, void *context, struct diag *diag);

/* ---- pairs made by hand ---- */
enum force_state { FORCE_WAITS, FORCE_USED, FORCE_STALE };
/* The verdict of order `id` is taken back: the pair it is in, if any, is no more, and its partner is open again. */
enum err force_pair_break(struct sqlite *db, const char *id, const char *task, int64_t now_s,
                          struct diag *diag);
/* In the transaction of a task's commit, behind its reversals: the queue's pairs that stand were taken up by `task`. */
enum err force_pair_take_up(struct sqlite *db, const char *queue, const char *task, struct diag *diag);

#endif
