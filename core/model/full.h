/* core/model/full.h: a whole record: every field, fetched again for those that the index left open.
 *
 * `text` holds each field in its normalized form, as outputs print it; canonical bytes and sigma are made of
 * these. Everything it points to lives in the arena that normalize_full was given.
 */
#ifndef TIEOUT_CORE_MODEL_FULL_H
#define TIEOUT_CORE_MODEL_FULL_H

#include "core/base/span.h"
#include "core/model/words.h"

enum { VERDICT_OPEN = CLASSES };

/* What is known of a record that was open before this task. */
struct carry {
    uint32_t tries; /* delayed_times before this task */
    uint32_t revision;
    uint32_t
        hand; /* number of the pair that somebody made of it and another, for this task to take up; 0: none */
    uint16_t since; /* bill date of the task that opened it */
    uint8_t is_late, currency;
    int64_t amount_micro; /* as it was carried */
    struct span batch_no, place;
    struct span task, reasons,
        origin;    /* is_late: the verdict that a reversal takes back, and where its row stands */
    uint64_t link; /* is_late: it was one of a pair, and its partner has the same number; 0: it stood alone */
    struct span pair; /* of the local one: the pair's entry of the verdict log, in hex */
};

struct full {
    const struct carry *carry; /* NULL: a record of this task's inputs */
    uint64_t place;            /* offset in the side's files laid end to end */
    uint64_t line;             /* of its file, from 1; 0: the source has to look */
    int64_t amount_micro, fee_micro;
    int64_t cost_micro;  /* the fee with a cost's sign; 0: none */
    int64_t taken_micro; /* fees: net: what the channel kept; amount and it together are what is matched */
    int64_t time_us;
    struct span text[FIELD_SLOTS];
    struct span occurrence; /* empty: none */
    struct span raw;        /* of a scan: the row's own bytes, until the next one; empty elsewhere */
    struct span canonical;
    struct span sigma; /* compared fields other than amount and fee: currency, direction, then each named one;
                          length-prefixed */
    struct span key;   /* the key tuple of the pass at hand; length-prefixed parts; data NULL: no key */
    uint16_t day;
    uint8_t side, currency, out, has_fee, monetary;
    uint16_t record_flags;          /* enum record_flag, as the index saw it */
    uint32_t back_event, row_index; /* images: place - back_event is the event's */
    uint32_t text_size; /* of all its cells, where only some fields are there (normalize_some); 0: all are */

    /* filled by rules/verdict.c */
    uint64_t delta_micro;  /* of a tolerance pair: what it spends of a budget */
    int64_t value_micro;   /* of a member of a set: what the set adds up */
    int64_t remains_micro; /* of a partial set that waits: what is still to come */
    uint8_t verdict;       /* enum class_id, or VERDICT_OPEN */
    uint8_t key_no;        /* of the key that decided, from 1 */
    uint8_t dup_suspect;
    uint8_t asleep;        /* a final record that nothing reopened: no part of this run */
    uint8_t sleeps;        /* a final record that may be reopened under a later key, and is in no sum yet */
    uint8_t repeated;      /* enum repeat_kind */
    uint8_t sigma_matched; /* its σ was matched on its own side under the key at hand */
    uint8_t met;           /* an earlier key was judged already; P1 looks at the others only */
    uint64_t reasons;
    uint64_t set_id;
    struct full *partner;
    const struct full *before; /* the carried record in whose place this newer image stands; NULL: none */
};

static inline int64_t full_gross(const struct full *row)
{
    return row->amount_micro + row->taken_micro;
}

/* The order of SPEC.md section 1: bill date, occurrence id with empty last, canonical bytes, place. */
int full_compare(const struct full *a, const struct full *b);

#endif
