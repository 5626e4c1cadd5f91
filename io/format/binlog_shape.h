/* io/format/binlog_shape.h: rows that lie as a row before them lay, and say the same words.
 *
 * Going from length to length is a chain of loads, each waiting for the one before. Most rows have the lengths of a row shortly
 * before: then all values lie where they lay there. A shape is that row's NULLs and lengths, and what else rows have in common
 * (currency, status, time down to the hour, signs, the highest digits of number and amount), with a mask over them: whether a row
 * is like it is a comparison of a few vectors that waits for nothing, and what was found out about the one holds for the other.
 * What a key must not be (other than ASCII, or shortened by a spreadsheet) is part of the comparison.
 *
 *     binlog_shape_turn        a row of a lane that is common: where its values lie, and the shape for those that follow
 *       binlog_shape_alike     those that follow: how many lie where that row's lay. In line.
 *
 * Memory: a table's version has its shapes, for good. Threads: one owner.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_SHAPE_H
#define TIEOUT_IO_FORMAT_BINLOG_SHAPE_H

#include "core/base/short.h"
#include "io/format/binlog_lane.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    SHAPE_BYTES = 256, /* of a row, down to what is compared last; a row with more has no shape */
    SHAPE_SLOTS = 4,   /* shapes kept: rows that take turns find theirs again */
    SHAPE_READ = 64    /* bytes that a comparison may reach behind what it compares */
};

/* Where a row's values lie, from its first byte on. */
struct binlog_places {
    uint32_t size; /* of the row */
    uint32_t key, key_size, occurrence, amount, time, currency, status;
};

struct binlog_shape {
    uint8_t bytes[SHAPE_BYTES]; /* as they must be; 0 where nobody asks */
    uint8_t mask[SHAPE_BYTES];  /* all that is compared */
    uint8_t lie[SHAPE_BYTES];   /* of it, what says where values lie */
    uint8_t was[SHAPE_BYTES];   /* of it, what is asked of a row as it was before a change: all but words */
    uint32_t reach;             /* bytes that are compared; 0: no row is like it */
    struct binlog_places places;
    const struct binlog_lane *lane;
};

/* Of a table's version; all zero: empty. */
struct binlog_shapes {
    struct binlog_shape slot[SHAPE_SLOTS];
    uint32_t next;           /* the slot that is made anew next */
    uint32_t taken;          /* rows that were like the shape used last; the caller's count */
    uint32_t rest, rest_max; /* rows for which none is made, since those made were of no use */
};

/* Where the values of the row at `at` lie, which has the NULLs of `lane`; all of its bytes are there to read. `*shape`: the one to
 * hold the next rows against, with this row's words; or NULL. 0: its key is empty, or holds bytes that the lane does not take. */
int binlog_shape_turn(struct binlog_shapes *shapes, struct binlog_shape **shape, struct binlog_places *places,
                      const struct binlog_lane *lane, const uint8_t *at);

/* How many rows of shape->places.size bytes each, side by side from `at` on, are like it; `most` at most. */
typedef uint32_t binlog_shape_alike_fn(const struct binlog_shape *shape, const uint8_t *at, uint32_t most);
/* The same of changes: what a row was is like `was` (but for its words), what it is is like `is`, and both have one key; keys of the two
 * shapes are of one size. */
typedef uint32_t binlog_shape_changes_fn(const struct binlog_shape *was, const struct binlog_shape *is,
                                         const uint8_t *at, uint32_t most);

/* 1: the row at `at` is like it. shape->reach + SHAPE_READ bytes can be read. */
static inline __attribute__((always_inline)) int binlog_shape_under(const struct binlog_shape *shape,
                                                                    const uint8_t *masks, const uint8_t *at)
{
#if defined(__x86_64__)
    __m128i other = _mm_setzero_si128();
    for (uint32_t i = 0; i < shape->reach; i += 16) {
        const __m128i row = _mm_loadu_si128((const __m128i *)(const void *)(at + i)),
                      want = _mm_loadu_si128((const __m128i *)(const void *)(shape->bytes + i)),
                      mask = _mm_loadu_si128((const __m128i *)(const void *)(masks + i));
        other = _mm_or_si128(other, _mm_and_si128(_mm_xor_si128(row, want), mask));
    }
    return _mm_movemask_epi8(_mm_cmpeq_epi8(other, _mm_setzero_si128())) == 0xFFFF;
#else
    uint64_t other = 0;
    for (uint32_t i = 0; i < shape->reach; i += 8)
        other |= (read_le64(at + i) ^ read_le64(shape->bytes + i)) & read_le64(masks + i);
    return other == 0;
#endif
}

static inline int binlog_shape_same(const struct binlog_shape *shape, const uint8_t *at)
{
    return binlog_shape_under(shape, shape->mask, at);
}

static inline __attribute__((always_inline)) uint32_t binlog_shape_alike(const struct binlog_shape *shape,
                                                                         const uint8_t *at, uint32_t most)
{
    uint32_t count = 0;
    while (count < most && binlog_shape_under(shape, shape->mask, at)) {
        at += shape->places.size;
        count++;
    }
    return count;
}

/* 32 bytes more than both rows can be read. */
static inline int binlog_shape_same_key(const struct binlog_shape *was, const struct binlog_shape *is,
                                        const uint8_t *at, const uint8_t *row)
{
    return short_equal(at + was->places.key, row + is->places.key, is->places.key_size);
}

static inline __attribute__((always_inline)) uint32_t binlog_shape_changes(const struct binlog_shape *was,
                                                                           const struct binlog_shape *is,
                                                                           const uint8_t *at, uint32_t most)
{
    uint32_t count = 0;
    for (; count < most; count++) {
        const uint8_t *const row = at + was->places.size;
        if (!binlog_shape_under(was, was->was, at) || !binlog_shape_same(is, row) ||
            !binlog_shape_same_key(was, is, at, row))
            break;
        at = row + is->places.size;
    }
    return count;
}

#if defined(__x86_64__)
enum { SHAPE_DIFFERENT = 0x28 }; /* (a ^ b) & c */

/* Most rows have no more to compare than two vectors, which then are loaded once. */
__attribute__((target("avx512f"))) static inline uint32_t
binlog_shape_alike_512(const struct binlog_shape *shape, const uint8_t *at, uint32_t most)
{
    const uint32_t reach = shape->reach, size = shape->places.size;
    const __m512i want = _mm512_loadu_si512(shape->bytes), mask = _mm512_loadu_si512(shape->mask),
                  want_2 = _mm512_loadu_si512(shape->bytes + 64),
                  mask_2 = _mm512_loadu_si512(shape->mask + 64);
    uint32_t count;
    for (count = 0; count < most; count++, at += size) {
        __m512i other = _mm512_ternarylogic_epi64(_mm512_loadu_si512(at), want, mask, SHAPE_DIFFERENT);
        if (reach > 64) {
            const __m512i second =
                _mm512_ternarylogic_epi64(_mm512_loadu_si512(at + 64), want_2, mask_2, SHAPE_DIFFERENT);
            other = _mm512_or_si512(other, second);
            for (uint32_t i = 128; UNLIKELY(i < reach); i += 64)
                other = _mm512_or_si512(other, _mm512_ternarylogic_epi64(_mm512_loadu_si512(at + i),
                                                                         _mm512_loadu_si512(shape->bytes + i),
                                                                         _mm512_loadu_si512(shape->mask + i),
                                                                         SHAPE_DIFFERENT));
        }
        if (_mm512_test_epi64_mask(other, other) != 0)
            break;
    }
    return count;
}

/* Of rows with no more to compare than two vectors each, and keys of one half; others go the other way. */
__attribute__((target("avx512f,avx512bw,avx512vl"))) static inline uint32_t
binlog_shape_changes_512(const struct binlog_shape *was, const struct binlog_shape *is, const uint8_t *at,
                         uint32_t most)
{
    const uint32_t was_size = was->places.size, size = is->places.size, key_size = is->places.key_size,
                   was_key = was->places.key, key = is->places.key;
    if (UNLIKELY(was->reach > 128 || is->reach > 128 || key_size > 32))
        return binlog_shape_changes(was, is, at, most);
    const __mmask32 key_mask = (__mmask32)(((uint64_t)1 << key_size) - 1);
    const __m512i want_a = _mm512_loadu_si512(was->bytes), mask_a = _mm512_loadu_si512(was->was),
                  want_b = _mm512_loadu_si512(was->bytes + 64), mask_b = _mm512_loadu_si512(was->was + 64),
                  want_c = _mm512_loadu_si512(is->bytes), mask_c = _mm512_loadu_si512(is->mask),
                  want_d = _mm512_loadu_si512(is->bytes + 64), mask_d = _mm512_loadu_si512(is->mask + 64);
    uint32_t count;
    for (count = 0; count < most; count++) {
        const uint8_t *const row = at + was_size;
        const __m512i a = _mm512_ternarylogic_epi64(_mm512_loadu_si512(at), want_a, mask_a, SHAPE_DIFFERENT),
                      b = _mm512_ternarylogic_epi64(_mm512_loadu_si512(at + 64), want_b, mask_b,
                                                    SHAPE_DIFFERENT),
                      c = _mm512_ternarylogic_epi64(_mm512_loadu_si512(row), want_c, mask_c, SHAPE_DIFFERENT),
                      d = _mm512_ternarylogic_epi64(_mm512_loadu_si512(row + 64), want_d, mask_d,
                                                    SHAPE_DIFFERENT),
                      other = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
        const __mmask32 other_key = _mm256_mask_cmpneq_epu8_mask(
            key_mask, _mm256_loadu_si256((const __m256i *)(const void *)(at + was_key)),
            _mm256_loadu_si256((const __m256i *)(const void *)(row + key)));
        if (_mm512_test_epi64_mask(other, other) | other_key)
            break;
        at = row + size;
    }
    return count;
}
#endif

#endif
