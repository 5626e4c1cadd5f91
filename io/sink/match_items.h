/* io/sink/match_items.h: how rows of match.csv are packed on their way to the file.
 *
 * Through the tanks go pairs of places, channel rows' parts of pairs, and items of ranges: a kind, a key without what all of the
 * range have in common, and a body, both as cells (lean.h). Threads: any; all state is the caller's.
 */
#ifndef TIEOUT_IO_SINK_MATCH_ITEMS_H
#define TIEOUT_IO_SINK_MATCH_ITEMS_H

#include "core/rules/lean.h"
#include "io/sink/tank.h"

enum {
    PAIR_BYTES = 10, /* of two places */
    KIND_PAIR = 0,
    KIND_ROW = 1, /* a row that was judged, ready to be written */
    FLAG_DATE_DISAGREES = 1
};
#define MAX40 (((uint64_t)1 << 40) - 1)
#define MAX48 (((uint64_t)1 << 48) - 1)

/* A pair on its way to its range, behind the kind: its key without what all of the range have in common, as a
 * cell; then as another cell these, and the cells of the row that are not in the key. */
struct pair_head {
    uint64_t local_place, local_line, channel_place, channel_line;
    int64_t amount;
    uint16_t channel_day;
    uint8_t flags, currency;
};
/* What a channel row says of its pair, and a cell with its lean row's cells. */
struct channel_head {
    uint64_t local_place, place, line;
    uint16_t day;
    uint8_t date_disagrees;
};
/* As they are packed: places and lines of 40 bits each. They are put together in words: bytes that are written one by one and read
 * in words a moment later stop the processor until they are in its cache. */
enum { PAIR_HEAD = 32, CHANNEL_HEAD = 18 };

static inline void put_word(uint8_t *to, uint64_t word)
{
    memcpy(to, &word, sizeof word);
}

static inline void put_pair_head(uint8_t to[PAIR_HEAD], const struct pair_head *h)
{
    const uint64_t amount = (uint64_t)h->amount;
    put_word(to, h->local_place | h->local_line << 40);
    put_word(to + 8, h->local_line >> 24 | h->channel_place << 16 | h->channel_line << 56);
    put_word(to + 16, h->channel_line >> 8 | (uint64_t)h->channel_day << 32 | amount << 48);
    put_word(to + 24, amount >> 16 | (uint64_t)h->flags << 48 | (uint64_t)h->currency << 56);
}

static inline void get_pair_head(const uint8_t *from, struct pair_head *h)
{
    uint64_t w[4];
    for (unsigned i = 0; i < 4; i++)
        memcpy(&w[i], from + 8 * i, 8);
    h->local_place = w[0] & MAX40;
    h->local_line = w[0] >> 40 | (w[1] & 0xFFFF) << 24;
    h->channel_place = w[1] >> 16 & MAX40;
    h->channel_line = w[1] >> 56 | (w[2] & UINT32_MAX) << 8;
    h->channel_day = (uint16_t)(w[2] >> 32);
    h->amount = (int64_t)(w[2] >> 48 | w[3] << 16);
    h->flags = (uint8_t)(w[3] >> 48);
    h->currency = (uint8_t)(w[3] >> 56);
}

/* What pairs that look alike have in common: the channel's day, flags, currency. */
static inline uint64_t head_fixed(const uint8_t *from)
{
    uint64_t w[2];
    memcpy(w, from + 16, sizeof w);
    return (w[0] >> 32 & 0xFFFF) | w[1] >> 48 << 16;
}

static inline void put_channel_head(uint8_t to[CHANNEL_HEAD], const struct channel_head *h)
{
    put_word(to, h->local_place | h->place << 40);
    put_word(to + 8, h->place >> 24 | h->line << 16 | (uint64_t)h->date_disagrees << 56);
    memcpy(to + 16, &h->day, 2);
}

static inline uint64_t channel_local_place(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word & MAX40;
}

static inline void get_channel_head(const uint8_t *from, struct channel_head *h)
{
    uint64_t w[2];
    memcpy(w, from, 16);
    h->local_place = w[0] & MAX40;
    h->place = w[0] >> 40 | (w[1] & 0xFFFF) << 24;
    h->line = w[1] >> 16 & MAX40;
    h->date_disagrees = (uint8_t)(w[1] >> 56);
    memcpy(&h->day, from + 16, 2);
}

static inline void put40(uint8_t to[5], uint64_t value)
{
    memcpy(to, &value, 4);
    to[4] = (uint8_t)(value >> 32);
}

static inline uint64_t get40(const uint8_t from[5])
{
    uint32_t low;
    memcpy(&low, from, 4);
    return low | (uint64_t)from[4] << 32;
}

static inline struct span item_key(const uint8_t *item)
{
    struct span key;
    lean_get_cell(item + 1, &key);
    return key;
}

static inline struct span item_body(const uint8_t *item)
{
    struct span key, body;
    lean_get_cell(lean_get_cell(item + 1, &key), &body);
    return body;
}

/* Items that come block by block, of which one may lie in several. */
struct item_reader {
    struct tank *tank;
    struct tank_scan scan;
    const uint8_t *at, *end; /* of the block */
    uint8_t *carried;
    size_t used, room;
};
/* `*size` is 0 at the end. The item lives until the next call. */
enum err item_reader_next(struct item_reader *reader, const uint8_t **item, size_t *size, struct diag *diag);
void item_reader_fini(struct item_reader *reader);

#endif
