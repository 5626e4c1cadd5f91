/* index/pairs.h: pairs that left, remembered in some eleven bytes each.
 *
 *      +------+------------+-----------------+-------------------+
 *      | tag  | print u32  | local, nl bytes | channel, nc bytes |     tag: nl - 1 | (nc - 1) << 4
 *      +------+------------+-----------------+-------------------+
 *
 * The print is the low half of the key's hash (the partition says eight bits more); a place is told by its distance
 * from that of the pair before in the same partition, which in time order are three bytes. Pairs of a partition are
 * read in the order in which they were put. The owner of `struct pair_trail` counts them and forgets them together.
 *
 * Behind a pair stands, for each side that is a log, where in its event the row is (struct image_at), in four bytes and more: without it
 * the row is not found again.
 */
#ifndef TIEOUT_INDEX_PAIRS_H
#define TIEOUT_INDEX_PAIRS_H

#include "core/model/record.h"

enum {
    PAIR_ROOM = 24, /* tag, print, six bytes of a place, and eight of which six count */
    PAIR_BYTES_TYPICAL = 12,
    IMAGE_AT_ROOM = 13
};

/* The last pair of a partition. */
struct pair_trail {
    uint64_t local, channel;
    uint64_t count;
};

struct left_pair {
    uint64_t local, channel; /* places; 40 bits each */
    uint32_t print;
    uint32_t repeats; /* of its print: pairs behind this one, the first with it */
};

static inline uint64_t pair_fold(uint64_t to, uint64_t from)
{
    const int64_t distance = (int64_t)(to - from);
    return (uint64_t)distance << 1 ^ (uint64_t)(distance >> 63);
}

static inline uint64_t pair_unfold(uint64_t from, uint64_t folded)
{
    return from + (folded >> 1 ^ (0 - (folded & 1)));
}

/* Bytes needed, less one. */
static inline unsigned pair_width(uint64_t folded)
{
    return (63u - (unsigned)__builtin_clzll(folded | 1)) >> 3;
}

/* Writes up to PAIR_ROOM bytes; returns how many count. */
static inline uint32_t pair_put(uint8_t *to, struct pair_trail *trail, uint32_t print, uint64_t local,
                                uint64_t channel)
{
    const uint64_t a = pair_fold(local, trail->local), b = pair_fold(channel, trail->channel);
    const unsigned wide_a = pair_width(a), wide_b = pair_width(b);
    trail->local = local;
    trail->channel = channel;
    trail->count++;
    to[0] = (uint8_t)(wide_a | wide_b << 4);
    memcpy(to + 1, &print, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(to + 5, &a, 8);
    memcpy(to + 6 + wide_a, &b, 8);
#else
    for (unsigned i = 0; i <= wide_a; i++)
        to[5 + i] = (uint8_t)(a >> 8 * i);
    for (unsigned i = 0; i <= wide_b; i++)
        to[6 + wide_a + i] = (uint8_t)(b >> 8 * i);
#endif
    return 7 + wide_a + wide_b;
}

/* The pair at `from`, whose predecessor was `trail`'s; returns its size. Reads up to PAIR_ROOM bytes, which are there
 * where pair_put wrote. */
static inline uint32_t pair_take(const uint8_t *from, struct pair_trail *trail, struct left_pair *pair)
{
    const unsigned wide_a = from[0] & 15, wide_b = from[0] >> 4;
    uint64_t a = 0, b = 0;
    pair->repeats = 0;
    memcpy(&pair->print, from + 1, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&a, from + 5, 8);
    memcpy(&b, from + 6 + wide_a, 8);
    a &= UINT64_MAX >> (56 - 8 * wide_a);
    b &= UINT64_MAX >> (56 - 8 * wide_b);
#else
    for (unsigned i = 0; i <= wide_a; i++)
        a |= (uint64_t)from[5 + i] << 8 * i;
    for (unsigned i = 0; i <= wide_b; i++)
        b |= (uint64_t)from[6 + wide_a + i] << 8 * i;
#endif
    pair->local = trail->local = pair_unfold(trail->local, a);
    pair->channel = trail->channel = pair_unfold(trail->channel, b);
    return 7 + wide_a + wide_b;
}

/* An image's way back: as in struct record's fold. */
struct image_at {
    uint32_t back_event, back_map, row_index;
};
_Static_assert(sizeof(struct image_at) == RECORD_FOLD_BYTES, "a record's fold");

static inline struct image_at image_at_of(const struct record *image)
{
    struct image_at at;
    memcpy(&at, image->var, sizeof at);
    return at;
}

static inline uint8_t *image_at_number(uint8_t *to, uint32_t number, unsigned wide)
{
    for (unsigned i = 0; i <= wide; i++)
        *to++ = (uint8_t)(number >> 8 * i);
    return to;
}

/* Writes up to IMAGE_AT_ROOM bytes; returns how many. */
static inline uint32_t image_at_put(uint8_t *to, struct image_at at)
{
    const unsigned event = pair_width(at.back_event), map = pair_width(at.back_map),
                   row = pair_width(at.row_index);
    to[0] = (uint8_t)(event | map << 2 | row << 4);
    const uint8_t *const end = image_at_number(
        image_at_number(image_at_number(to + 1, at.back_event, event), at.back_map, map), at.row_index, row);
    return (uint32_t)(end - to);
}

static inline const uint8_t *image_at_read(const uint8_t *from, uint32_t *number, unsigned wide)
{
    *number = 0;
    for (unsigned i = 0; i <= wide; i++)
        *number |= (uint32_t)*from++ << 8 * i;
    return from;
}

static inline uint32_t image_at_take(const uint8_t *from, struct image_at *at)
{
    const unsigned tag = from[0];
    const uint8_t *const end = image_at_read(
        image_at_read(image_at_read(from + 1, &at->back_event, tag & 3), &at->back_map, tag >> 2 & 3),
        &at->row_index, tag >> 4 & 3);
    return (uint32_t)(end - from);
}

#endif
