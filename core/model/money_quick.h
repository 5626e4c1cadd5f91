/* core/model/money_quick.h: the usual amount, read without a loop. Hot; for money.c and the normalizer. */
#ifndef TIEOUT_CORE_MODEL_MONEY_QUICK_H
#define TIEOUT_CORE_MODEL_MONEY_QUICK_H

#include <stddef.h>
#include <stdint.h>
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

/* In line wherever it is read, but for sanitizers, which must be told of the bytes read too much. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
#define MONEY_QUICK_INLINE __attribute__((no_sanitize("address", "thread")))
#else
#define MONEY_QUICK_INLINE __attribute__((always_inline))
#endif

enum { MICRO_DIGITS = 6 };
extern const uint64_t money_power10[20];

#if defined(__SSE4_1__)
/* Up to 16 digits with or without a point, all at once: the point is taken out by a shuffle, and three
 * multiply-adds make a number of the digits. 0 where it does not apply; money_parse then has the last word.
 * Reads 16 bytes from `text` on, inside its page. */
MONEY_QUICK_INLINE static inline int money_quick(const char *text, size_t size, int64_t *micro)
{
    if (size > 16 || size == 0 || ((uintptr_t)text & 4095) > 4096 - 16)
        return 0;
    __m128i v = _mm_loadu_si128((const __m128i *)text);
    __m128i digits = _mm_sub_epi8(v, _mm_set1_epi8('0'));
    unsigned odd =
        (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(digits, _mm_set1_epi8(10)), digits));
    odd &= (1u << size) - 1;
    unsigned point = (unsigned)size, count = (unsigned)size, decimals = 0;
    if (odd) {
        point = (unsigned)__builtin_ctz(odd);
        if ((odd & (odd - 1)) || text[point] != '.' || point == 0 || point + 1 == size)
            return 0;
        decimals = (unsigned)size - 1 - point;
        count--;
    }
    /* So many digits, scaled to millionths, stay below 10^18. */
    if (decimals > MICRO_DIGITS || count + MICRO_DIGITS - decimals > 18)
        return 0;
    const __m128i iota = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i from = _mm_add_epi8(iota, _mm_set1_epi8((char)(count - 16))); /* negative: a leading zero */
    from = _mm_sub_epi8(from, _mm_cmpgt_epi8(from, _mm_set1_epi8((char)(point - 1))));
    __m128i d = _mm_shuffle_epi8(digits, from);
    d = _mm_maddubs_epi16(d, _mm_set1_epi16(10 | 1 << 8));
    d = _mm_madd_epi16(d, _mm_set1_epi32(100 | 1 << 16));
    d = _mm_packus_epi32(d, d);
    d = _mm_madd_epi16(d, _mm_set1_epi32(10000 | 1 << 16));
    uint64_t halves = (uint64_t)_mm_cvtsi128_si64(d);
    uint64_t value = (halves & 0xFFFFFFFF) * 100000000u + (halves >> 32);
    *micro = (int64_t)(value * money_power10[MICRO_DIGITS - decimals]);
    return 1;
}
#else
static inline int money_quick(const char *text, size_t size, int64_t *micro)
{
    (void)text;
    (void)size;
    (void)micro;
    return 0;
}
#endif

#endif
