/* index/pairs.h: pairs that left, remembered in ten or eleven bytes each.
 *
 *      0        8          16      20       24
 *      +--------+----------+-------+--------+------------------+ ... +-----------------------+
 *      | local  | channel  | count | unused | prints u32  -->  |     |  <-- pairs of places  |
 *      +--------+----------+-------+--------+------------------+ ... +-----------------------+
 *
 * A frame of a partition's pairs: prints from its front, places from its end, so prints are gone through without the
 * places (pair_sift). The print is the low half of the key's hash (the partition says eight bits more). A place is told
 * by its distance from the highest of its side so far: near in time order; shuffled, the record that came last is near
 * it, and the other one anywhere before. Both distances stand behind four bits that say how wide they are, six to eight
 * bytes in all, or, where they are too far, seventeen. What is highest when a frame begins is in its head.
 *
 *     pair_begin       where pair_has_room says 0, with a new frame
 *       pair_put       while it has room
 *     pair_end         before anybody reads it
 *     pair_walk_begin, then pair_next `count` times
 *
 * Behind the places stands, for each side that is a log, where in its event the row is (struct image_at), in four bytes and more, the
 * last one first: without it the row is not found again.
 *
 * Pairs come back in the order in which they were put. Threads: one owner.
 */
#ifndef TIEOUT_INDEX_PAIRS_H
#define TIEOUT_INDEX_PAIRS_H

#include "core/base/check.h"
#include "core/model/record.h"

enum {
    PAIR_LONG_BYTES = 17,
    PAIR_ROOM = 4 + PAIR_LONG_BYTES,
    PAIR_LONG = 7, /* the form of distances that take eight bytes each */
    IMAGE_AT_ROOM = 13
};

struct pair_head {
    uint64_t local, channel; /* the highest places before it */
    uint32_t count, unused;
};
_Static_assert(sizeof(struct pair_head) == 24, "prints begin behind it");

/* Where a partition's pairs go; a line of its own. Zeroes: nowhere yet. */
struct pair_trail {
    _Alignas(64) uint64_t local; /* the highest places */
    uint64_t channel;
    uint8_t *low, *high; /* what is free of its frame */
    struct pair_head *head;
    uint64_t count; /* in all frames */
};

struct left_pair {
    uint64_t local, channel; /* places */
    uint32_t print;
    uint32_t repeats; /* of its print: pairs behind this one, the first with it */
};

/* Behind the form (the upper three bits) one bit says whether the channel's distance is the larger one; then come the smaller and
 * the larger one. */
enum {
    PAIR_NEAR = 0, /* six bytes: 22 bits and 22 */
    PAIR_FAR = 1,  /* seven: 20 and 32 */
    PAIR_WIDE = 2, /* eight: 24 and 36 */
    PAIR_APART = 3 /* eight: 20 and 40 */
};
static const uint8_t pair_bytes[4] = {6, 7, 8, 8};
static const uint8_t pair_bits[4][2] = {{22, 22}, {20, 32}, {24, 36}, {20, 40}};

static inline uint64_t pair_fold(uint64_t to, uint64_t from)
{
    const int64_t distance = (int64_t)(to - from);
    return (uint64_t)distance << 1 ^ (uint64_t)(distance >> 63);
}

static inline uint64_t pair_unfold(uint64_t from, uint64_t folded)
{
    return from + (folded >> 1 ^ (0 - (folded & 1)));
}

static inline void pair_store(uint8_t *to, uint64_t word)
{
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(to, &word, sizeof word);
}

static inline uint64_t pair_load(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* `room`: PAIR_ROOM, and IMAGE_AT_ROOM for each side that is a log. */
static inline int pair_has_room(const struct pair_trail *trail, size_t room)
{
    return (size_t)(trail->high - trail->low) >= room;
}

/* `bytes`, of `size`, becomes the partition's frame; at least a head and PAIR_ROOM. */
static inline void pair_begin(struct pair_trail *trail, void *bytes, uint32_t size)
{
    trail->head = bytes;
    *trail->head = (struct pair_head){.local = trail->local, .channel = trail->channel};
    trail->low = (uint8_t *)(trail->head + 1);
    trail->high = (uint8_t *)bytes + size;
}

static inline void pair_end(struct pair_trail *trail)
{
    if (trail->head)
        trail->head->count = (uint32_t)(trail->low - (uint8_t *)(trail->head + 1)) / 4;
}

static inline void pair_put(struct pair_trail *trail, uint32_t print, uint64_t local, uint64_t channel)
{
    const uint64_t a = pair_fold(local, trail->local), b = pair_fold(channel, trail->channel);
    const uint64_t small = a < b ? a : b, large = a < b ? b : a, side = (uint64_t)(a < b) << 60;
    trail->local = local > trail->local ? local : trail->local;
    trail->channel = channel > trail->channel ? channel : trail->channel;
    trail->count++;
    memcpy(trail->low, &print, sizeof print);
    trail->low += sizeof print;
    /* The lines that come next: memory that nobody touched yet, and too many trails for the core to see where they lead. */
    __builtin_prefetch(trail->low + 64, 1);
    __builtin_prefetch(trail->high - 128, 1);
    if (LIKELY(large >> 22 == 0)) {
        pair_store(trail->high - 8, side | small << 38 | large << 16);
        trail->high -= 6;
    } else if (LIKELY((large >> 32 | small >> 20) == 0)) {
        pair_store(trail->high - 8, (uint64_t)PAIR_FAR << 61 | side | small << 40 | large << 8);
        trail->high -= 7;
    } else if ((large >> 36 | small >> 24) == 0) {
        pair_store(trail->high - 8, (uint64_t)PAIR_WIDE << 61 | side | small << 36 | large);
        trail->high -= 8;
    } else if ((large >> 40 | small >> 20) == 0) {
        pair_store(trail->high - 8, (uint64_t)PAIR_APART << 61 | side | small << 40 | large);
        trail->high -= 8;
    } else {
        trail->high[-1] = (uint8_t)(PAIR_LONG << 5);
        pair_store(trail->high - 9, a);
        pair_store(trail->high - PAIR_LONG_BYTES, b);
        trail->high -= PAIR_LONG_BYTES;
    }
}

struct pair_walk {
    const uint8_t *low, *high;
    uint64_t local, channel;
};

/* How many pairs there are. */
static inline uint32_t pair_walk_begin(struct pair_walk *walk, const void *bytes, uint32_t size)
{
    const struct pair_head *head = bytes;
    *walk = (struct pair_walk){(const uint8_t *)(head + 1), (const uint8_t *)bytes + size, head->local,
                               head->channel};
    return head->count;
}

static inline void pair_next(struct pair_walk *walk, struct left_pair *pair)
{
    const uint64_t word = pair_load(walk->high - 8);
    const unsigned form = (unsigned)(word >> 61);
    uint64_t a, b;
    pair->repeats = 0;
    memcpy(&pair->print, walk->low, sizeof pair->print);
    walk->low += sizeof pair->print;
    if (UNLIKELY(form == PAIR_LONG)) {
        a = pair_load(walk->high - 9);
        b = pair_load(walk->high - PAIR_LONG_BYTES);
        walk->high -= PAIR_LONG_BYTES;
    } else {
        const unsigned wide_a = pair_bits[form][0], wide_b = pair_bits[form][1];
        const uint64_t small = word << 4 >> (64 - wide_a), large = word << (4 + wide_a) >> (64 - wide_b);
        const int is_channel = word >> 60 & 1;
        a = is_channel ? small : large;
        b = is_channel ? large : small;
        walk->high -= pair_bytes[form];
    }
    pair->local = pair_unfold(walk->local, a);
    pair->channel = pair_unfold(walk->channel, b);
    walk->local = pair->local > walk->local ? pair->local : walk->local;
    walk->channel = pair->channel > walk->channel ? pair->channel : walk->channel;
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

/* Bytes needed, less one. */
static inline unsigned image_at_width(uint32_t number)
{
    return (31u - (unsigned)__builtin_clz(number | 1)) >> 3;
}

/* Its first byte, seen from the end of the frame, says how wide the three are, which follow, the highest byte of each first. So what is
 * not far (nearly all) is one word. Behind the pair that was just put, or read. */
static inline void pair_put_image(struct pair_trail *trail, struct image_at at)
{
    const unsigned event = image_at_width(at.back_event), map = image_at_width(at.back_map),
                   row = image_at_width(at.row_index), size = 4 + event + map + row;
    const unsigned tag = event | map << 2 | row << 4;
    if (LIKELY(size <= 8)) {
        uint64_t word = tag;
        word = word << (8 * event + 8) | at.back_event;
        word = word << (8 * map + 8) | at.back_map;
        word = word << (8 * row + 8) | at.row_index;
        pair_store(trail->high - 8, word << 8 * (8 - size));
        trail->high -= size;
        return;
    }
    const uint32_t number[] = {at.back_event, at.back_map, at.row_index};
    *--trail->high = (uint8_t)tag;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned left = (tag >> 2 * i & 3) + 1; left--;)
            *--trail->high = (uint8_t)(number[i] >> 8 * left);
}

static inline void pair_next_image(struct pair_walk *walk, struct image_at *at)
{
    uint64_t word = pair_load(walk->high - 8);
    const unsigned tag = (unsigned)(word >> 56), event = tag & 3, map = tag >> 2 & 3, row = tag >> 4 & 3,
                   size = 4 + event + map + row;
    if (LIKELY(size <= 8)) {
        word <<= 8;
        at->back_event = (uint32_t)(word >> (56 - 8 * event));
        word <<= 8 * event + 8;
        at->back_map = (uint32_t)(word >> (56 - 8 * map));
        word <<= 8 * map + 8;
        at->row_index = (uint32_t)(word >> (56 - 8 * row));
        walk->high -= size;
        return;
    }
    uint32_t number[3] = {0, 0, 0};
    walk->high--;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned left = (tag >> 2 * i & 3) + 1; left--;)
            number[i] = number[i] << 8 | *--walk->high;
    *at = (struct image_at){number[0], number[1], number[2]};
}

/* ---- which pairs of a partition are not alone with their print ---- */

/* A byte in six or more a pair says which prints may come twice; only what then has an equal is read with its places.
 *
 *     pair_sift_copies   where frames do not stay
 *     pair_sift_add      each frame of the partition
 *     pair_sift_begin
 *       pair_sift_ask    prints that are somewhere else, too
 *     pair_sift_end
 *     pair_sift_reset    and from the beginning; memory is kept
 *     pair_sift_fini
 */
struct pair_sift {
    struct pair_page {
        const uint8_t *bytes;
        uint32_t size, first; /* the number of its first pair */
    } * pages;
    uint32_t page_count, page_room;
    uint8_t *copies;                              /* of pages that do not stay */
    size_t copies_room, copies_used, copies_size; /* copies_size 0: pages stay */
    uint32_t count;                               /* of pairs */
    uint8_t *marks; /* by place: 0 nobody, 1 one print, 3 perhaps an equal one too */
    size_t marks_room;
    unsigned shift;  /* 32 - bits of a place */
    uint64_t *found; /* print << 32 | 1 if it has an equal << 31 | number of the pair */
    uint32_t found_room;
    uint32_t *set, *asked;
    size_t set_room;
    uint32_t asked_count, asked_room;
    uint8_t is_log[SIDES];            /* the caller's: behind each pair stands where its image is */
    struct image_at (*images)[SIDES]; /* of the pairs that pair_sift_end gave */
    size_t images_room;
};

/* Where pages do not stay: as many bytes of them are copied, the sum of their sizes. 0: memory is out. */
int pair_sift_copies(struct pair_sift *sift, size_t size);
/* 0: memory is out. */
int pair_sift_add(struct pair_sift *sift, const void *bytes, uint32_t size);
int pair_sift_begin(struct pair_sift *sift);
int pair_sift_ask(struct pair_sift *sift, uint32_t print);
/* Pairs whose print comes more than once or was asked for, in their order, to `*pairs`, which has `*room` and grows by mem_grow; where a
 * side is a log, where their images are to sift->images. */
int pair_sift_end(struct pair_sift *sift, struct left_pair **pairs, size_t *room, size_t *count);
void pair_sift_reset(struct pair_sift *sift);
void pair_sift_fini(struct pair_sift *sift);

#endif
