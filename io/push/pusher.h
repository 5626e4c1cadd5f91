/* io/push/pusher.h: tells the sinks of a book what there is to mend, and who must know of alarms.
 *
 *     push_run     until nothing is left, or nobody takes anything any more
 *
 * The settings of all sinks, and of those of alarms, are looked at before the first of them gets anything (ERR_USAGE, alarm push.settings).
 * Each sink goes at its own pace: a batch under way, its rate, its breaker. A sink that is down costs the others nothing, and matching
 * never waits for any of them. Answers are recorded in one transaction a batch, after they came.
 *
 * Memory: a batch a sink, whatever waits in the database. Threads: the caller's, and those of the libraries behind the sinks.
 */
#ifndef TIEOUT_IO_PUSH_PUSHER_H
#define TIEOUT_IO_PUSH_PUSHER_H

#include "core/config/book.h"
#include "io/store/sqlite.h"

struct push_options {
    const char *state_directory; /* the lock of pushers, and dead letters: dead/SINK.jsonl */
    int64_t deadline_s; /* gives up when no sink took anything for so long; 0: sends what is due now, once */
    const volatile int *interrupted;
    const char *sink;                              /* this one alone; NULL: all */
    int revive;                                    /* dead letters are sent again */
    void (*tell)(void *context, const char *line); /* what people should know; may be NULL */
    void *context;
};

struct push_result {
    int64_t acked, refused, retried; /* answers in this run */
    int64_t waiting, dead;           /* afterwards, of the book's sinks */
    int64_t alarms_told, alarms_waiting;
    int sinks_down;
    char why[260]; /* of the first sink that is down: "desk: answered 503" */
};

enum err push_run(struct sqlite *db, const struct book *book, const struct push_options *options,
                  struct push_result *result, struct diag *diag);

/* io/push/alarm_push.c: tells the sinks of `alarms:`; called by push_run. One message a kind: what stands since it was told last, more than
 * `storm` of them as a number and the first few. */
enum err alarm_push(struct sqlite *db, const struct book *book, const struct push_options *options,
                    struct push_result *result, struct diag *diag);
/* ERR_USAGE: an address or a secret of theirs is not there. */
enum err alarms_check(const struct book *book, struct diag *diag);

#endif
