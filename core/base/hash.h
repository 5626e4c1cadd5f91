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
