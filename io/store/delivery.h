/* io/store/delivery.h: which sink has which error, and which sinks are trusted to take one now.
 *
 *     delivery_sink_open    once a sink and run: one that is new gets all errors that are still open
 *     delivery_fan_out      visible orders become a delivery a sink
 *     delivery_claim        those that are due, at most one a chain: the next waits until the one before is acked or dead
 *     delivery_answered     in a transaction of the caller, with delivery_sink_save
 *
 * A chain is an order number (channel_code and biz_order_no, or channel_order_no where there is none), whatever records of it the messages
 * tell of: "/ALIPAY/202611190001". Of an order with no number at all it is its record.
 *
 * A delivery is recorded as acked only after the sink said so, and leaves the waiting ones only by that or as a dead letter: a push that
 * dies in between sends it again under the same id. Claiming changes nothing. Threads: the control thread; one pusher a book (its lock).
 */
#ifndef TIEOUT_IO_STORE_DELIVERY_H
#define TIEOUT_IO_STORE_DELIVERY_H

#include "io/store/sqlite.h"

extern const char delivery_schema[];

#define DELIVERY_BEHIND INT64_MAX /* next_at of what waits for an earlier one of its chain */
enum delivery_state { DELIVERY_WAITS, DELIVERY_ACKED, DELIVERY_DEAD };

/* What a sink's breaker knows; kept over runs. */
struct delivery_sink {
    int64_t failures;   /* answers in a row that were no ack */
    int64_t opened;     /* times the breaker opened since the last ack */
    int64_t open_until; /* seconds; nothing goes there before */
    char stopped[200];  /* why nothing is sent until somebody looks; "" */
};
enum err delivery_sink_open(struct sqlite *db, const char *sink, int64_t now_s, struct delivery_sink *out,
                            struct diag *diag);
enum err delivery_sink_save(struct sqlite *db, const char *sink, const struct delivery_sink *state,
                            struct diag *diag);

/* Up to `limit` orders, each for all `sinks`, in one transaction; `*count` says how many. */
enum err delivery_fan_out(struct sqlite *db, const char *const *sinks, int sink_count, int64_t limit,
                          int64_t *count, struct diag *diag);

struct delivery {
    int64_t no, tries;
    const char *id, *chain, *payload; /* valid until the callback returns */
};
typedef enum err delivery_fn(void *context, const struct delivery *delivery, struct diag *diag);
enum err delivery_claim(struct sqlite *db, const char *sink, int64_t now_s, int64_t limit, delivery_fn *each,
                        void *context, struct diag *diag);
struct delivery_answer {
    int64_t no;
    enum delivery_state state;
    int64_t next_at; /* DELIVERY_WAITS */
    const char *why; /* "" of an ack */
    int64_t now_s;
};
enum err delivery_answered(struct sqlite *db, const char *sink, const struct delivery_answer *answers,
                           unsigned count, struct diag *diag);

struct delivery_counts {
    int64_t waiting, acked, dead;
    int64_t next_at; /* of the first that waits; INT64_MAX: none does */
};
enum err delivery_count(struct sqlite *db, const char *sink, struct delivery_counts *out, struct diag *diag);
/* When the first that waits is due, and nothing more. */
enum err delivery_next(struct sqlite *db, const char *sink, int64_t *next_at, struct diag *diag);
/* What waits for later than `latest` was told to wait by a clock that was ahead, and has been set back since: it is due now. */
enum err delivery_not_behind(struct sqlite *db, const char *sink, int64_t latest, int64_t now_s,
                             struct diag *diag);
/* Dead letters wait again, for their sink to take them this time. */
enum err delivery_revive(struct sqlite *db, const char *sink, int64_t now_s, int64_t *count,
                         struct diag *diag);

/* Sinks that ever were, for `tieout status`, and the deliveries of one order, for `trace` and `errors show`. */
typedef enum err delivery_sink_fn(void *context, const char *sink, const struct delivery_sink *state,
                                  const struct delivery_counts *counts, struct diag *diag);
enum err delivery_sink_each(struct sqlite *db, delivery_sink_fn *each, void *context, struct diag *diag);
struct delivery_line {
    const char *sink, *answer;
    enum delivery_state state;
    int64_t tries, next_at, acked_at;
};
typedef enum err delivery_line_fn(void *context, const struct delivery_line *line, struct diag *diag);
enum err delivery_of_order(struct sqlite *db, const char *id, delivery_line_fn *each, void *context,
                           struct diag *diag);

#endif
