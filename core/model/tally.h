/* core/model/tally.h: counts and sums by side, bill date, currency and direction, taken apart from matching.
 *
 * One is kept by each worker as records come in, and one by each shard for images that a later one replaced;
 * at the end they are held against the verdicts (invariants I2 and I3). Threads: one owner; tally_merge after
 * the owner stopped.
 */
#ifndef TIEOUT_CORE_MODEL_TALLY_H
#define TIEOUT_CORE_MODEL_TALLY_H

#include "core/base/diag.h"
#include "core/model/money.h"
#include "core/model/record.h"

struct tally_row {
    uint32_t key; /* day << 16 | currency << 8 | OUT << 1 | CHANNEL; plus 1 << 7, so that it is never 0 */
    uint32_t pad;
    uint64_t count;
    money_total sum;
};

struct tally {
    uint32_t memo;        /* index of the row used last */
    uint32_t count, room; /* room: power of two */
    struct tally_row *rows;
};

enum err tally_init(struct tally *tally, struct diag *diag);
void tally_fini(struct tally *tally);
/* The row of a key, made when it is new; NULL when memory is out. */
struct tally_row *tally_row(struct tally *tally, uint32_t key);
enum err tally_merge(struct tally *into, const struct tally *from, int sign, struct diag *diag);

static inline uint32_t tally_key(unsigned side, uint16_t day, uint8_t currency, int out)
{
    return (uint32_t)day << 16 | (uint32_t)currency << 8 | 1u << 7 | (out ? 2u : 0u) | side;
}
static inline unsigned tally_side(uint32_t key)
{
    return key & 1;
}
static inline int tally_out(uint32_t key)
{
    return key >> 1 & 1;
}
static inline uint8_t tally_currency(uint32_t key)
{
    return (uint8_t)(key >> 8);
}
static inline uint16_t tally_day(uint32_t key)
{
    return (uint16_t)(key >> 16);
}

/* Records of one side, day and currency that came one after the other, by direction: what a loop over rows adds to
 * without looking for a row each time. */
struct tally_run {
    uint32_t key; /* of IN; 0: empty */
    uint64_t count[2];
    money_total sum[2];
};
static inline void tally_run_add(struct tally_run *run, unsigned out, int64_t amount_micro)
{
    run->count[out]++;
    run->sum[out] += amount_micro;
}
/* Adds all of it, and empties it. 0 when memory is out. */
int tally_run_end(struct tally_run *run, struct tally *tally);

/* `count` records of one key. 0 when memory is out. */
static inline int tally_add_many(struct tally *tally, uint32_t key, uint64_t count, money_total sum)
{
    struct tally_row *row = &tally->rows[tally->memo];
    if (UNLIKELY(row->key != key) && !(row = tally_row(tally, key)))
        return 0;
    row->count += count;
    row->sum += sum;
    return 1;
}

/* 0 when memory is out. */
static inline int tally_add(struct tally *tally, const struct record *r)
{
    uint32_t key = tally_key(r->flags & RECORD_CHANNEL, r->day, r->currency, r->flags & RECORD_OUT);
    struct tally_row *row = &tally->rows[tally->memo];
    if (UNLIKELY(row->key != key) && !(row = tally_row(tally, key)))
        return 0;
    row->count++;
    row->sum += r->amount_micro;
    return 1;
}

#endif
