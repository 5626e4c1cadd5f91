/* io/store/error_order.h: errors that somebody must mend, made from the verdict log.
 *
 *     error_orders_add     in the transaction of a task's commit, from the segment just written
 *     error_orders_due     moves what stood the re-checks on; before pushing
 *     error_order_each     what there is, by filter
 *
 * An order's id is the SHA-256, in hex, of (task, bill date, class, record key, revision), where the record key is the key tuple that
 * decided and of each side its occurrence id and its fields. So it is the same over retries, restarts and reruns, and a record that
 * changed has another. A reversal in the log closes the order of the verdict that it takes back; where that was visible already, the
 * reversal is an order of its own, so that whoever has the first one hears of it. Reversals are counted, since two may take back one
 * verdict (a late partner, and then its own task): an order whose last one is no more is again what it was.
 *
 * What is said of an order that was told already is a `change`: a row of its own that only goes to the sinks, with the order's id as
 * `order_id` and the next `order_revision`.
 *
 * node_status: checking (not visible yet) > open > claimed > resolved | void | force_matched | reversed
 * severity: 1 low, 2 medium, 3 high, 4 critical: 1 and a point for each amount and age of book.yaml that is reached, and the channel's.
 *
 * All calls take the state's database. Memory: a frame of the log. Threads: the control thread.
 */
#ifndef TIEOUT_IO_STORE_ERROR_ORDER_H
#define TIEOUT_IO_STORE_ERROR_ORDER_H

#include "core/config/book.h"
#include "core/model/entry.h"
#include "io/store/sqlite.h"
#include "io/store/task.h"
#include "io/store/verdict_log.h"

extern const char error_order_schema[], error_ids_schema[];

enum { ERROR_ID_TEXT = 65, SEVERITIES = 5 };
/* Whether sinks are told of it: not yet, as soon as they are asked, they were (a delivery a sink), never. */
enum error_visible { VISIBLE_LATER, VISIBLE_NOW, VISIBLE_TOLD, VISIBLE_NEVER };
#define CHECK_NEXT_RUN INT64_MAX

/* `segment` is a file's path; `head` what verdict_log_seal told of it, NULL: it is looked at. The same segment twice changes nothing. ERR_STATE when it is damaged. */
enum err error_orders_add(struct sqlite *db, const struct task *task, const char *segment,
                          const struct verdict_head *head, const struct book *book, int64_t now_s,
                          struct diag *diag);
/* Order `no` is in another state than its sinks were told: they hear of it. Those that were told nothing still do not. */
enum err error_order_tell_change(struct sqlite *db, int64_t no, const char *actor, const char *reason,
                                 int64_t now_s, struct diag *diag);

/* Part of an id is whether the verdict's record was carried or reopened, but of those that an older program gave (io/store/migrate.h): the
 * table error_ids says up to which revision of which task. */
struct error_ids {
    struct sqlite *db;
    int any; /* there are such */
    char task[TASK_NAME_MAX];
    int64_t revision; /* of `task`, which was asked for last */
};
enum err error_ids_open(struct error_ids *ids, struct sqlite *db, struct diag *diag);
/* 1: the id says that the record was carried; 0; -1: the state cannot be read. */
int error_ids_carried(struct error_ids *ids, const struct entry *entry, struct diag *diag);
/* The id of a verdict; `ordinal` tells records apart that are equal in every field, `carried` is of error_ids_carried. 0: no memory. */
int error_order_id(char id[ERROR_ID_TEXT], const struct entry *entry, unsigned ordinal, int carried);

/* Orders whose next re-check is due: those that still stand go on a step, and behind the last become visible. */
enum err error_orders_due(struct sqlite *db, const struct book *book, int64_t now_s, int64_t *became_visible,
                          struct diag *diag);

struct error_order {
    int64_t no; /* in the order in which they came */
    const char *id, *kind, *reverses, *task, *day, *class_name, *scenario, *error_type, *reasons,
        *node_status, *assignee;
    const char *channel_code, *biz_order_no, *channel_order_no, *currency, *payload;
    int64_t revision, severity, amount_micro, delta_micro, opened_at, changed_at, check_at;
    int has_delta, visible;
};
/* NULL, 0: all. `id` may be a beginning of it, of 8 digits at least. */
struct error_filter {
    const char *id, *task, *day, *class_name, *node_status, *channel_code, *key, *assignee;
    int64_t severity, limit, after;
    int open_only; /* checking, open, claimed */
};
typedef enum err error_fn(void *context, const struct error_order *order, struct diag *diag);
/* By number. `each` may not change orders; texts are valid until it returns. */
enum err error_order_each(struct sqlite *db, const struct error_filter *filter, error_fn *each, void *context,
                          struct diag *diag);
/* Counts by node status: "open" 3, ...; for `tieout status`. */
typedef enum err error_count_fn(void *context, const char *node_status, int64_t count, struct diag *diag);
enum err error_order_counts(struct sqlite *db, error_count_fn *each, void *context, struct diag *diag);
const char *severity_name(int64_t severity); /* "critical" */

#endif
