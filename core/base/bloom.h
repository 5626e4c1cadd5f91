/* core/base/bloom.h: a set of hashes that never forgets one, and now and then believes one that was not put.
 *
 * Four bits of one 64-bit word for each hash: one cache line is touched. Threads: any may put; whoever asks comes after all of them
 * (the caller's hand-over orders that).
 */
#ifndef TIEOUT_CORE_BASE_BLOOM_H
#define TIEOUT_CORE_BASE_BLOOM_H

#include "core/base/mem.h"
#include <stdint.h>

enum { BLOOM_BITS_PER_HASH = 16 };

struct bloom {
    uint64_t *words;
    uint64_t mask; /* words - 1 */
};

/* 0 when memory is out. Takes at most `bytes_max`; with more hashes than that was made for it believes more. */
static inline int bloom_init(struct bloom *bloom, uint64_t hashes, uint64_t bytes_max)
{
    uint64_t words = 1024;
    while (words * 64 < hashes * BLOOM_BITS_PER_HASH && words * 16 <= bytes_max)
        words *= 2;
    bloom->words = (uint64_t *)mem_map(words * 8, 0);
    bloom->mask = words - 1;
    return bloom->words != NULL;
}

static inline void bloom_fini(struct bloom *bloom)
{
    if (bloom->words)
        mem_unmap(bloom->words, (bloom->mask + 1) * 8);
    bloom->words = NULL;
}

static inline uint64_t bloom_bytes(const struct bloom *bloom)
{
    return bloom->words ? (bloom->mask + 1) * 8 : 0;
}

static inline uint64_t bloom_bits(uint64_t hash)
{
    const uint64_t mixed = hash * 0x9E3779B97F4A7C15ull;
    return 1ull << (mixed >> 58) | 1ull << (mixed >> 52 & 63) | 1ull << (mixed >> 46 & 63) |
           1ull << (mixed >> 40 & 63);
}

static inline uint64_t *bloom_word(const struct bloom *bloom, uint64_t hash)
{
    return &bloom->words[hash >> 7 & bloom->mask];
}

static inline void bloom_put(struct bloom *bloom, uint64_t hash)
{
    uint64_t *word = bloom_word(bloom, hash), bits = bloom_bits(hash);
    if ((__atomic_load_n(word, __ATOMIC_RELAXED) & bits) != bits)
        __atomic_fetch_or(word, bits, __ATOMIC_RELAXED);
}

static inline int bloom_has(const struct bloom *bloom, uint64_t hash)
{
    const uint64_t bits = bloom_bits(hash);
    return (__atomic_load_n(bloom_word(bloom, hash), __ATOMIC_RELAXED) & bits) == bits;
}

#endif
