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
#endif

#endif
