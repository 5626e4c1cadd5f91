/* core/rules/lean.h: what match.csv needs of each record of an exact pair, and no more.
 *
 *     match_plan_make     once per run
 *       normalize_lean (normalize.h)   cells -> lean row: the usual row, straight from its bytes
 *       lean_of_full                   a whole record -> the same, for rows and sources that are not usual
 *
 * Both records of an exact pair agree in amount, currency and all compared fields, so of the channel's only
 * what the local one cannot say is kept. A lean row's bytes are, one behind the other:
 *
 *     order   local side: the record's bytes in ≺ (date, occurrence id, canonical fields), up to the last field
 *             of K1: two pairs never have the same K1, so what follows hardly ever decides; of a whole plan, all fields
 *     cells   texts of the plan's fields, each with its length (lean_put_cell)
 *
 * Threads: a plan is immutable; a list has one owner.
 */
#ifndef TIEOUT_CORE_RULES_LEAN_H
#define TIEOUT_CORE_RULES_LEAN_H

#include "core/base/short.h"
#include "core/config/job.h"
#include "core/model/full.h"

struct lean_plan {
    unsigned order[FIELD_SLOTS]; /* fields in the order bytes */
    unsigned order_count;        /* 0: no order bytes at all */
    unsigned cells[FIELD_SLOTS];
    unsigned cell_count;
    int wants_time, wants_fee; /* trade_time, fee are among them */
};

struct match_plan {
    struct lean_plan side[SIDES];
    signed char order_at[FIELD_SLOTS]; /* index into side[LOCAL].order; -1: not there */
    signed char cell_at[SIDES][FIELD_SLOTS];
};

struct lean {
    uint64_t place, line; /* line from 1; 0: the source does not count them */
    int64_t amount_micro; /* and the currency: of the side that has order bytes; else 0 */
    size_t at;            /* in the list's bytes */
    uint32_t order_size, cells_size;
    uint16_t day;
    uint8_t currency, date_disagrees;
};

struct lean_list {
    struct lean *items;
    uint32_t count, room;
    uint8_t *bytes;
    size_t used, bytes_room;
};

/* `is_whole`: many pairs may have one K1, so order bytes have all fields. */
void match_plan_make(struct match_plan *plan, const struct job *job, int is_whole);
/* The fields in the order of canonical bytes: SPEC.md's, then attrs by name. Returns their number. */
unsigned canonical_order(const struct job *job, unsigned order[FIELD_SLOTS]);

void lean_list_fini(struct lean_list *list);
static inline void lean_list_reset(struct lean_list *list)
{
    list->count = 0;
    list->used = 0;
}
/* Makes room for one more item and `size` bytes behind `used`. 0 when memory is out. */
int lean_list_room(struct lean_list *list, size_t size);
/* Appends a record. 0 when memory is out. */
int lean_of_full(const struct lean_plan *plan, const struct full *full, struct lean_list *list);

/* The head of ≺ as bytes that memcmp orders: date, occurrence id (empty last; zero bytes escaped, so that no id
 * runs into what follows). Room: 5 + 2 * occurrence.size. Returns the byte behind. */
uint8_t *order_put_head(uint8_t *at, uint16_t day, struct span occurrence);
/* A field of canonical bytes: a 4-byte big-endian length and the text. */
static inline uint8_t *order_put_size(uint8_t *at, size_t size)
{
    uint32_t n = __builtin_bswap32((uint32_t)size);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = (uint32_t)size;
#endif
    memcpy(at, &n, 4);
    return at + 4;
}
static inline uint8_t *order_put_field(uint8_t *at, struct span text)
{
    at = order_put_size(at, text.size);
    short_copy(at, text.data, text.size);
    return at + text.size;
}
/* Reads one again; the byte behind it. */
static inline const uint8_t *order_get_field(const uint8_t *at, struct span *text)
{
    text->size = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    text->data = (const char *)at + 4;
    return at + 4 + text->size;
}
/* The byte behind the head of order bytes. */
const uint8_t *order_skip_head(const uint8_t *at);

/* A cell: one byte of length, or 255 and four; then the text. */
static inline uint8_t *lean_put_cell(uint8_t *at, struct span text)
{
    if (text.size < 255) {
        *at++ = (uint8_t)text.size;
    } else {
        uint32_t n = (uint32_t)text.size;
        *at++ = 255;
        memcpy(at, &n, 4);
        at += 4;
    }
    short_copy(at, text.data, text.size);
    return at + text.size;
}
static inline const uint8_t *lean_get_cell(const uint8_t *at, struct span *text)
{
    uint32_t n = *at++;
    if (n == 255) {
        memcpy(&n, at, 4);
        at += 4;
    }
    *text = (struct span){(const char *)at, n};
    return at + n;
}

#endif
