/* core/base/hash.h: one hash for keys, and which of its bits say what.
 *
 * XXH3, seeded per run from getrandom: bill authors choose keys, so they must not be able to choose buckets.
 * The seed is never visible in outputs. Of the 64 bits:
 *     63..48  shard: (bits * shard_count) >> 16
 *     63..32  tag kept in the slot; its low bits choose the bucket
 *     47..40  partition of a shard: what is judged together
 *     31..0   kept in the entry: with the tag all of the hash is there again
 */
#ifndef TIEOUT_CORE_BASE_HASH_H
#define TIEOUT_CORE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline __attribute__((always_inline)) uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    if (size - 17 < 16) /* most order numbers: in line, without asking for other sizes */
        return XXH3_len_17to128_64b(data, size, XXH3_kSecret, sizeof XXH3_kSecret, seed);
    return XXH3_64bits_withSeed(data, size, seed);
}

/* hash_bytes of many texts of one size, HASH_SHORT_MIN to HASH_SHORT_MAX bytes: what their sums have in common is reckoned once. */
enum { HASH_SHORT_MIN = 17, HASH_SHORT_MAX = 32 };
struct hash_short {
    uint64_t with[4]; /* what each word of a text is mixed with: the first two, the last two */
    uint64_t begin;
    size_t last; /* where the last two words begin */
};
static inline struct hash_short hash_short_make(size_t size, uint64_t seed)
{
    struct hash_short h = {.begin = size * XXH_PRIME64_1, .last = size - 16};
    for (int i = 0; i < 4; i++) {
        const uint64_t secret = XXH_readLE64(XXH3_kSecret + 8 * i);
        h.with[i] = i & 1 ? secret - seed : secret + seed;
    }
    return h;
}
static inline __attribute__((always_inline)) uint64_t hash_short_bytes(const struct hash_short *h,
                                                                       const uint8_t *text)
{
    const uint8_t *const last = text + h->last;
    return XXH3_avalanche(
        h->begin + XXH3_mul128_fold64(XXH_readLE64(text) ^ h->with[0], XXH_readLE64(text + 8) ^ h->with[1]) +
        XXH3_mul128_fold64(XXH_readLE64(last) ^ h->with[2], XXH_readLE64(last + 8) ^ h->with[3]));
}

static inline uint32_t hash_shard(uint64_t hash, uint32_t shard_count)
{
    return (uint32_t)(((hash >> 48) * shard_count) >> 16);
}

enum { HASH_PARTITIONS = 256 };
static inline uint32_t hash_partition(uint64_t hash)
{
    return (uint32_t)(hash >> 40) & (HASH_PARTITIONS - 1);
}

#endif
