/* core/model/packed.h: the usual record in half a line.
 *
 *      0                8                16                              24
 *      +----+----+------+----------------+-----------------+---+---+---+-----------------+-----+------+-------+
 *      |head|chan| key, fourteen bytes   | amount 48 bits  | cur | status, OUT | place 40 bits | day | marks |
 *      +----+----+------+----------------+-----------------+---+---+---+-----------------+-----+------+-------+
 *
 * A key of up to 14 bytes stands there as it is. A longer one is up to four bytes of any kind and then digits only, half a byte
 * each, 28 bytes at most (26 with one letter before them). Whether a key can be packed, and what it becomes, follows from its bytes
 * and the number of its channel alone: so equal keys are packed alike or not at all, and two different keys never look the same
 * (tests/unit/core/model/packed_test.c). The first word of a key is never 0.
 *
 * Both words of sigma and of the key are compared whole. In the index an empty slot has a first word of 0; its marks are
 * index/packed_table.h's. Hot, so in line. Threads: nothing is kept.
 */
#ifndef TIEOUT_CORE_MODEL_PACKED_H
#define TIEOUT_CORE_MODEL_PACKED_H

#include "core/base/short.h"
#include "core/model/record.h"
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

struct packed {
    uint64_t key[2];
    uint64_t sigma;
    uint64_t rest;
};
_Static_assert(sizeof(struct packed) == 32 && sizeof(struct packed) * 2 == RECORD_UNIT, "two a line");

enum {
    PACKED_KEY_MAX = 28,
    PACKED_FRONT = 17, /* bytes before a key that are read and masked away */
    PACKED_RAW_MAX = 14,
    PACKED_LETTERS_MAX = 4,
    PACKED_CHANNEL_MAX = 255,
    PACKED_STATUS_MAX = 127,
    PACKED_PLACE_BITS = 40,
    PACKED_DAY_SHIFT = 40,
    PACKED_CHANNEL_SHIFT = 56
};
#define PACKED_AMOUNT_MAX ((INT64_C(1) << 47) - 1)

struct packed_key {
    uint64_t word[2]; /* word[0] == 0: it cannot be packed */
};

/* 32 bytes from `n` on: the last n are set. */
extern const uint8_t packed_masks[64];

/* What stands in the 32 bytes that end where the key does, of which `size` are the key's. */
static inline int packed_digits(const uint8_t *window, const uint8_t *key, uint32_t size, uint64_t word[2],
                                uint32_t *letters)
{
#if defined(__SSE4_1__)
    const __m128i zero = _mm_set1_epi8('0'), ten = _mm_set1_epi8(10);
    __m128i front = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)window), zero),
            back = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(window + 16)), zero);
    const uint32_t odd = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(front, ten), front)) |
                         (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(back, ten), back)) << 16;
    /* The first `32 - size` are not the key's. */
    const uint32_t of_key = odd >> (32 - size) << (32 - size);
    *letters = of_key ? size - (uint32_t)__builtin_clz(of_key) : 0;
    if (UNLIKELY(*letters > PACKED_LETTERS_MAX || *letters + size > PACKED_KEY_MAX))
        return 0;
    const uint8_t *const mask = packed_masks + size - *letters;
    front = _mm_and_si128(front, _mm_loadu_si128((const __m128i *)mask));
    back = _mm_and_si128(back, _mm_loadu_si128((const __m128i *)(mask + 16)));
    const __m128i weights = _mm_set1_epi16(16 | 1 << 8);
    const __m128i halves =
        _mm_packus_epi16(_mm_maddubs_epi16(front, weights), _mm_maddubs_epi16(back, weights));
    word[0] = (uint64_t)_mm_cvtsi128_si64(halves);
    word[1] = (uint64_t)_mm_extract_epi64(halves, 1);
    (void)key;
#else
    uint8_t bytes[16] = {0};
    *letters = 0;
    (void)window;
    for (uint32_t i = 0; i < size; i++)
        if (key[i] < '0' || key[i] > '9')
            *letters = i + 1;
    if (*letters > PACKED_LETTERS_MAX || *letters + size > PACKED_KEY_MAX)
        return 0;
    for (uint32_t i = *letters; i < size; i++) {
        const uint32_t at = 32 - size + i;
        bytes[at / 2] = (uint8_t)(bytes[at / 2] | (key[i] - '0') << (at % 2 ? 0 : 4));
    }
    memcpy(word, bytes, 16);
#endif
    return 1;
}

/* `key` has PACKED_FRONT bytes before it and 16 from its beginning on that may be read. A size of 0 is no key. */
static inline __attribute__((always_inline)) struct packed_key packed_key_of(const uint8_t *key,
                                                                             uint32_t size, uint32_t channel)
{
    struct packed_key k = {{0, 0}};
    uint32_t letters = 0;
    if (UNLIKELY(size - 1 >= PACKED_KEY_MAX || channel > PACKED_CHANNEL_MAX))
        return k;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (size > PACKED_RAW_MAX) {
        if (!packed_digits(key + size - 32, key, size, k.word, &letters))
            return (struct packed_key){{0, 0}};
        uint32_t first;
        memcpy(&first, key, 4);
        k.word[0] |= (first & ((UINT64_C(1) << 8 * letters) - 1)) << 16;
    } else {
        uint64_t low, high;
        memcpy(&low, key, 8);
        memcpy(&high, key + 8, 8);
        if (size < 8) {
            low &= (UINT64_C(1) << 8 * size) - 1;
            high = 0;
        } else {
            high &= (UINT64_C(1) << 8 * (size - 8)) - 1;
        }
        k.word[0] = low << 16;
        k.word[1] = low >> 48 | high << 16;
    }
    k.word[0] |= size | letters << 5 | channel << 8;
#else
    (void)key, (void)letters; /* there all keys go as they are */
#endif
    return k;
}

/* The same for a key in a record or anywhere else: reads nothing but the key. */
struct packed_key packed_key_anywhere(const uint8_t *key, uint32_t size, uint32_t channel);
/* The key's bytes, PACKED_KEY_MAX at most; returns how many. */
uint32_t packed_key_bytes(const struct packed_key *key, uint8_t *bytes);

/* The run's hash of a packed key, in place of hash_bytes. */
static inline uint64_t packed_hash(const uint64_t word[2], uint64_t seed)
{
    const unsigned __int128 p = (unsigned __int128)(word[0] ^ seed ^ 0x9E3779B97F4A7C15ull) *
                                (word[1] ^ (seed << 32 | seed >> 32) ^ 0xC2B2AE3D27D4EB4Full);
    uint64_t hash = (uint64_t)p ^ (uint64_t)(p >> 64);
    hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93ull;
    return hash ^ hash >> 29;
}

/* 0: the record needs more than half a line. `flags` without those of side and direction must be 0. As wide as a register: a flag
 * that is put aside by halves and taken up whole waits until it is in the cache. */
static inline int packed_fits(int64_t amount_micro, uint64_t place, uint16_t status, uint64_t flags)
{
    return !((((uint64_t)amount_micro + PACKED_AMOUNT_MAX + 1) >> 48) | place >> PACKED_PLACE_BITS |
             (uint64_t)(status > PACKED_STATUS_MAX) | (flags & ~(uint64_t)(RECORD_CHANNEL | RECORD_OUT)));
}
static inline uint64_t packed_sigma(int64_t amount_micro, uint64_t currency, uint64_t status, uint64_t is_out)
{
    return (uint64_t)amount_micro << 16 | currency << 8 | status << 1 | is_out;
}
static inline uint64_t packed_rest(uint64_t place, uint64_t day, uint64_t is_channel)
{
    return place | day << PACKED_DAY_SHIFT | is_channel << PACKED_CHANNEL_SHIFT;
}
static inline void packed_put(struct packed *p, const struct packed_key *key, int64_t amount_micro,
                              uint64_t place, uint16_t day, uint8_t currency, uint16_t status, uint64_t flags)
{
    p->key[0] = key->word[0];
    p->key[1] = key->word[1];
    p->sigma = packed_sigma(amount_micro, currency, status, !!(flags & RECORD_OUT));
    p->rest = packed_rest(place, day, !!(flags & RECORD_CHANNEL));
}

static inline uint64_t packed_place(const struct packed *p)
{
    return p->rest & ((UINT64_C(1) << PACKED_PLACE_BITS) - 1);
}
static inline uint16_t packed_day(const struct packed *p)
{
    return (uint16_t)(p->rest >> PACKED_DAY_SHIFT);
}
static inline int packed_is_channel(const struct packed *p)
{
    return p->rest >> PACKED_CHANNEL_SHIFT & 1;
}
static inline int64_t packed_amount(const struct packed *p)
{
    return (int64_t)p->sigma >> 16;
}
static inline uint8_t packed_currency(const struct packed *p)
{
    return (uint8_t)(p->sigma >> 8);
}
static inline uint16_t packed_flags(const struct packed *p)
{
    return (uint16_t)((packed_is_channel(p) ? RECORD_CHANNEL : 0) | (p->sigma & 1 ? RECORD_OUT : 0));
}
/* A record of one line. `hash` is packed_hash's. */
void packed_open(const struct packed *p, uint64_t hash, struct record *record);

/* Packed records lie at a batch's end, the last one first. */
static inline struct packed *batch_next_packed(struct batch *batch)
{
    return (struct packed *)(batch->units + batch->room) - 1 - batch->packed;
}
static inline const struct packed *batch_all_packed(const struct batch *batch)
{
    return (const struct packed *)(batch->units + batch->room) - batch->packed;
}

#endif
