/* core/ops/push.h: the socket for systems that errors are pushed to: a desk, a queue, a file.
 *
 *     open (each plug's own)
 *       send     a batch of messages; they and all they point to stay until each is answered
 *       poll     until every message of the batch is answered
 *       send ...
 *     close      what was not answered is unknown
 *
 * The plug fills in each message's answer; nothing else of a message changes. Every answer but PUSH_ACKED may be
 * given for a message that arrived: the other end knows it again by its id. A batch holds at most one message of a
 * chain, so within a chain the order is the caller's. An error that only concerns the plug (no route, a wrong certificate, a full
 * disk) is an answer too, so that one plug never stops another; only lack of memory comes back as an `enum err`.
 *
 * Threads: one owner; never carried over a fork.
 */
#ifndef TIEOUT_CORE_OPS_PUSH_H
#define TIEOUT_CORE_OPS_PUSH_H

#include "core/base/diag.h"
#include "core/base/span.h"

enum push_answer {
    PUSH_OPEN,    /* not answered yet */
    PUSH_ACKED,   /* it is there, and will stay */
    PUSH_RETRY,   /* not taken this time: busy, limited, failing */
    PUSH_UNKNOWN, /* perhaps taken: the answer was lost or came too late */
    PUSH_REFUSED, /* this message will never be taken */
    PUSH_STOPPED  /* nothing will be taken until a person mends the setting: rights, address, certificate */
};

struct push_message {
    struct span id;    /* 64 hex digits; NUL-terminated */
    struct span chain; /* messages of one order number, which must keep their order; NUL-terminated */
    struct span body;  /* one JSON object, without a newline */
    enum push_answer answer;
    uint32_t retry_after_s; /* what the other end asked for; 0: nothing */
    char why[160];          /* of any answer but PUSH_ACKED; printable */
};

struct push_sink;
struct push_sink_ops {
    enum err (*send)(struct push_sink *sink, struct push_message *messages, unsigned count,
                     struct diag *diag);
    /* Goes on for up to `wait_ms`; less as soon as the last answer is there. */
    enum err (*poll)(struct push_sink *sink, int wait_ms, struct diag *diag);
    void (*close)(struct push_sink *sink);
};

struct push_sink {
    const struct push_sink_ops *ops;
    unsigned open;      /* messages of the batch that are not answered */
    unsigned batch_max; /* more are never sent at once */
};

void push_answer(struct push_sink *sink, struct push_message *message, enum push_answer answer,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
const char *push_answer_name(enum push_answer answer); /* "acked" */

#endif
