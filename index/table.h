/* index/table.h: open addressing, a cache line a bucket.
 *
 *      0            28            56            64
 *      +------------+-------------+-------------+
 *      | 7 tags u32 | 7 heads u32 | 8 passed u8 |
 *      +------------+-------------+-------------+
 *
 * A slot is a tag (half of the hash) and the head of its key's chain of entries. The tag alone chooses the
 * bucket, so a table that doubles reads nothing but itself; a full bucket sends its keys on to the next one and counts them in `passed`, in eight classes by their hashes, so a search goes
 * on only where one of its class went on, and taking a key out leaves no tombstone. Counted all together, every third search for a
 * key that is not there went on at a load of two thirds, to a line that nobody had asked for. A count that came to its end stays. One owner writes; a reader that
 * sees a torn slot compares the key's bytes in the entry and finds it is another.
 */
#ifndef TIEOUT_INDEX_TABLE_H
#define TIEOUT_INDEX_TABLE_H

#include "core/base/diag.h"
#include <stdint.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { BUCKET_SLOTS = 7, PASSED_CLASSES = 8, PASSED_MAX = 255 };
#define TABLE_SPREAD 0x9E3779B1u
#define NO_ENTRY UINT32_MAX

struct bucket {
    uint32_t tag[BUCKET_SLOTS];
    uint32_t head[BUCKET_SLOTS]; /* NO_ENTRY: free */
    uint8_t passed[PASSED_CLASSES];
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");

struct table {
    struct bucket *buckets;
    uint32_t mask;  /* bucket count - 1 */
    uint32_t shift; /* 32 - log2 of the bucket count */
    uint64_t keys;
    uint64_t keys_max; /* grow when there are more */
};

/* A bit for each slot with this tag; a free slot may still have the tag it had. */
static inline unsigned bucket_matches(const struct bucket *bucket, uint32_t tag)
{
#if defined(__SSE2__)
    const __m128i wanted = _mm_set1_epi32((int)tag);
    __m128i low = _mm_load_si128((const __m128i *)bucket), high = _mm_load_si128((const __m128i *)bucket + 1);
    unsigned bits = (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(low, wanted))) |
                    (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(high, wanted))) << 4;
    return bits & ((1u << BUCKET_SLOTS) - 1);
#else
    unsigned bits = 0;
    for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
        bits |= (unsigned)(bucket->tag[slot] == tag) << slot;
    return bits;
#endif
}

/* A bit for each free slot. */
static inline unsigned bucket_free(const struct bucket *bucket)
{
#if defined(__SSE2__)
    const __m128i free = _mm_set1_epi32((int)NO_ENTRY);
    const __m128i low = _mm_loadu_si128((const __m128i *)bucket->head),
                  high = _mm_loadu_si128((const __m128i *)(bucket->head + BUCKET_SLOTS - 4));
    return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(low, free))) |
           (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(high, free))) << (BUCKET_SLOTS - 4);
#else
    unsigned bits = 0;
    for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
        bits |= (unsigned)(bucket->head[slot] == NO_ENTRY) << slot;
    return bits;
#endif
}

/* A bit for each slot with a key. At the end most buckets have none. */
static inline unsigned bucket_taken(const struct bucket *bucket)
{
    return ~bucket_free(bucket) & ((1u << BUCKET_SLOTS) - 1);
}

enum err table_init(struct table *table, uint32_t bucket_count, struct diag *diag);
void table_fini(struct table *table);
/* Twice the buckets, in place: half of the memory is what was there. For tables whose tags choose the bucket. After a failure only
 * table_fini may follow. */
enum err table_double(struct table *table, struct diag *diag);
static inline uint32_t table_home(const struct table *table, uint32_t home_hash)
{
    /* All bits choose: those of a partition that left are missing among the keys that stay, and those of the
     * shard are the same in all. */
    return (uint32_t)((uint64_t)(home_hash * TABLE_SPREAD) >> table->shift);
}
/* The low bits say little of the home, which are the high ones of a product. */
static inline unsigned passed_class(uint32_t home_hash)
{
    return home_hash & (PASSED_CLASSES - 1);
}
static inline void bucket_put(struct table *table, struct bucket *bucket, unsigned slot, uint32_t tag,
                              uint32_t head)
{
    bucket->tag[slot] = tag;
    bucket->head[slot] = head;
    table->keys++;
}
/* A key went on to the next bucket; it left, or did not stay. */
static inline void bucket_pass(struct bucket *bucket, uint32_t home_hash)
{
    uint8_t *const passed = &bucket->passed[passed_class(home_hash)];
    *passed = (uint8_t)(*passed + (*passed < PASSED_MAX));
}
static inline void bucket_unpass(struct bucket *bucket, uint32_t home_hash)
{
    uint8_t *const passed = &bucket->passed[passed_class(home_hash)];
    *passed = (uint8_t)(*passed - (*passed < PASSED_MAX));
}
/* Puts a key that is not there. `keys_max` must not be reached. */
static inline void table_put(struct table *table, uint32_t home_hash, uint32_t tag, uint32_t head)
{
    for (uint32_t i = table_home(table, home_hash);; i = (i + 1) & table->mask) {
        struct bucket *bucket = &table->buckets[i];
        const unsigned free = bucket_free(bucket);
        if (__builtin_expect(free != 0, 1)) {
            bucket_put(table, bucket, (unsigned)__builtin_ctz(free), tag, head);
            return;
        }
        bucket_pass(bucket, home_hash);
    }
}
/* Takes out the slot found at bucket `at`. */
static inline void table_remove(struct table *table, uint32_t home_hash, uint32_t at, unsigned slot)
{
    table->buckets[at].head[slot] = NO_ENTRY;
    table->keys--;
    for (uint32_t i = table_home(table, home_hash); i != at; i = (i + 1) & table->mask)
        bucket_unpass(&table->buckets[i], home_hash);
}

#endif
