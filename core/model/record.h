/* core/model/record.h: a payment on its way to its partner.
 *
 * One cache line for nearly every order number; longer ones take more lines, side by side. A record holds
 * what decides an exact match (key, sigma, date) and its place; everything else stays in the file and is
 * fetched again by that place when the record breaks.
 *
 *      0        4        8                16               24   26   28   30   32   34 35            64
 *      +--------+--------+----------------+----------------+----+----+----+----+----+--+--------------+
 *      |hash_lo |hash_hi | amount_micro   | place          |day |keyn|stat|chan|flag|cu| var[29] ...  |
 *      +--------+--------+----------------+----------------+----+----+----+----+----+--+--------------+
 *
 * var: [fold: 12 bytes] key bytes (key_size) [extras: u16 size, bytes] [fold: u16 size, occurrence id]
 *   fold     only for sources that tell images (binlog): how far back from `place` the rows event starts, and
 * from there its table map, and the row's number in the event key      the parts of K1 other than
 * channel_code, each length-prefixed when there are several extras   compared fields other than amount,
 * currency, direction, status: each length-prefixed Which of these are there is the same for all records of a
 * side: struct record_layout.
 */
#ifndef TIEOUT_CORE_MODEL_RECORD_H
#define TIEOUT_CORE_MODEL_RECORD_H

#include "core/base/check.h"
#include "core/model/words.h"
#include <stdint.h>
#include <string.h>

enum record_flag {
    RECORD_CHANNEL = 1, /* side */
    RECORD_OUT = 2,     /* direction */
    RECORD_IMAGE = 4,   /* told by a log: the newest by place counts */
    RECORD_GONE = 8,    /* image: the row left this key, or was deleted */
    RECORD_VOIDED = 16, /* image, with GONE: deleted; its last image stands in the log */
    RECORD_NO_KEY =
        32, /* K1 has an empty part: meets nobody; an image stands under its occurrence id instead */
    RECORD_OTHER_DAY = 64, /* of another bill date; takes part, but is not this unit's to report */
    RECORD_DEAD = 128,     /* in a shard: replaced by a longer image of the same row */
    RECORD_EXCLUDED = 512, /* of a kind that meets nobody (P0); has NO_KEY too */
    RECORD_CARRIED = 1024, /* was open before this task: a verdict is never given at once */
    RECORD_LATE = 2048,    /* with CARRIED: was final, and may be reopened */
    RECORD_TEST = 4096,    /* with EXCLUDED: why (P0); none of the three: filtered */
    RECORD_TIMELESS =
        4096, /* with CARRIED, not EXCLUDED: its log told no time of it, only its task a bill date */
    RECORD_ALIEN = 8192,
    RECORD_SAMPLED_OUT = 16384,
    RECORD_CROWDED =
        32768,           /* in a shard: of a key whose records go elsewhere, this one too (index/shard.c) */
    RECORD_REJECT = 256, /* image: cannot become a record; is a reject unless a later image replaces it */
};

struct record {
    uint32_t hash_lo;
    uint32_t hash_hi; /* on its way; in a shard: `next`, the chain of its key */
    int64_t amount_micro;
    uint64_t place; /* offset in the side's files laid end to end */
    uint16_t day;
    uint16_t key_size;
    uint16_t status;  /* dictionary number, 0 when not compared */
    uint16_t channel; /* dictionary number of the key's channel_code, 0 when not in K1 */
    uint16_t flags;   /* enum record_flag */
    uint8_t currency;
    uint8_t var[29];
};
_Static_assert(sizeof(struct record) == 64, "a record is one cache line");

enum {
    RECORD_UNIT = 64,
    RECORD_INLINE = 29,
    RECORD_HEAD_BYTES = RECORD_UNIT - RECORD_INLINE, /* before `var` */
    RECORD_VAR_MAX = 24 * 1024, /* key and compared fields together; longer rows are rejects */
    RECORD_FOLD_BYTES = 12
};

struct record_layout {
    uint8_t has_extras, has_fold;
    uint8_t place_bits; /* a side of several logs: of a place, in one of them; 0: the side is one log */
    uint8_t logs; /* of these, two bits each: the first that tells rows of the same table of the same files */
};

static inline uint32_t record_units(uint32_t var_size)
{
    return var_size <= RECORD_INLINE ? 1 : 1 + (var_size - RECORD_INLINE + RECORD_UNIT - 1) / RECORD_UNIT;
}

/* Nearly all records are one line. */
static inline void record_copy(struct record *to, const struct record *from, uint32_t units)
{
    if (LIKELY(units == 1))
        memcpy(to, from, RECORD_UNIT);
    else
        memcpy(to, from, (size_t)units * RECORD_UNIT);
}

static inline uint64_t record_hash(const struct record *r)
{
    return (uint64_t)r->hash_hi << 32 | r->hash_lo;
}

static inline uint16_t record_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

/* Where var may reach in a record that has room for RECORD_VAR_MAX. */
static inline uint8_t *record_var_end(struct record *r)
{
    return (uint8_t *)r + sizeof *r - RECORD_INLINE + RECORD_VAR_MAX;
}

static inline const uint8_t *record_key(const struct record *r, int has_fold)
{
    return r->var + (has_fold ? RECORD_FOLD_BYTES : 0);
}

/* Where the extras' size field stands. */
static inline const uint8_t *record_extras(const struct record *r, int has_fold)
{
    return record_key(r, has_fold) + r->key_size;
}

enum { RECORD_LOGS = 4, RECORD_LOG_NONE = 0xFF };

/* Which log of its side tells a record's row: ids of several logs may be alike. An image is known by its place; a carried record has the
 * number in its fold's first byte, where no log of the side tells it RECORD_LOG_NONE. */
static inline unsigned record_log(const struct record *r, struct record_layout layout)
{
    if (r->flags & RECORD_CARRIED)
        return layout.has_fold ? r->var[0] : 0;
    return layout.place_bits ? (unsigned)layout.logs >> (r->place >> layout.place_bits & 3) * 2 & 3 : 0;
}

static inline uint32_t record_var_size(const struct record *r, struct record_layout layout)
{
    uint32_t size = r->key_size + (layout.has_fold ? RECORD_FOLD_BYTES : 0u);
    if (layout.has_extras)
        size += 2u + record_u16(r->var + size);
    if (layout.has_fold)
        size += 2u + record_u16(r->var + size);
    return size;
}

/* A batch: records on their way to one shard. It has one owner; pushing it into a ring gives it away. */
struct batch {
    uint32_t used;  /* units */
    uint32_t room;  /* units */
    uint32_t count; /* records */
    uint32_t shard; /* where it goes */
    uint32_t end;   /* 1: the sender has no more */
    uint32_t
        packed; /* of `count`: records of half a unit, which lie at the other end (core/model/packed.h) */
    uint32_t pad[10];
    struct record units[];
};
_Static_assert(sizeof(struct batch) == 64, "records in a batch start on a line");

#endif
