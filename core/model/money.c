/* core/model/money.c: see money.h */
#include "core/model/money.h"
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

enum { MICRO_DIGITS = 6 };
static const uint64_t power10[20] = {1ull,
                                     10ull,
                                     100ull,
                                     1000ull,
                                     10000ull,
                                     100000ull,
                                     1000000ull,
                                     10000000ull,
                                     100000000ull,
                                     1000000000ull,
                                     10000000000ull,
                                     100000000000ull,
                                     1000000000000ull,
                                     10000000000000ull,
                                     100000000000000ull,
                                     1000000000000000ull,
                                     10000000000000000ull,
                                     100000000000000000ull,
                                     1000000000000000000ull,
                                     10000000000000000000ull};

/* digits[.digits] with the decimal point moved `shift` places to the left, in units of 10^-6. */
static int parse_scaled(const char *text, size_t size, int shift, int64_t *micro)
{
    const char *p = text, *end = text + size;
    int negative = 0;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    uint64_t value = 0;
    const char *first = p;
    while (p < end && (unsigned char)(*p - '0') <= 9) {
        if (value > (UINT64_MAX - 9) / 10)
            return 0;
        value = value * 10 + (uint64_t)(*p++ - '0');
    }
    if (p == first)
        return 0;
    int decimals = shift;
    if (p < end && *p == '.') {
        const char *point = ++p;
        for (; p < end && (unsigned char)(*p - '0') <= 9; p++) {
            if (decimals >= MICRO_DIGITS) {
                if (*p != '0') /* a seventh significant decimal */
                    return 0;
                continue;
            }
            if (value > (UINT64_MAX - 9) / 10)
                return 0;
            value = value * 10 + (uint64_t)(*p - '0');
            decimals++;
        }
        if (p == point)
            return 0;
    }
    if (p != end)
        return 0;
    unsigned __int128 scaled = (unsigned __int128)value * power10[MICRO_DIGITS - decimals];
    if (scaled > INT64_MAX) /* -2^63 is refused too, so that every amount can be negated */
        return 0;
    *micro = negative ? -(int64_t)scaled : (int64_t)scaled;
    return 1;
}

#if defined(__SSE4_1__)
/* Up to 16 digits with or without a point, all at once: the point is taken out by a shuffle, and three multiply-adds make a
 * number of the digits. 0 where it does not apply; parse_scaled then has the last word. Reads 16 bytes from `text` on, inside its page. */
__attribute__((no_sanitize("address"))) static inline int parse_quick(const char *text, size_t size, int64_t *micro)
{
    if (size > 16 || size == 0 || ((uintptr_t)text & 4095) > 4096 - 16)
        return 0;
    __m128i v = _mm_loadu_si128((const __m128i *)text);
    __m128i digits = _mm_sub_epi8(v, _mm_set1_epi8('0'));
    unsigned odd = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(digits, _mm_set1_epi8(10)), digits));
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
    *micro = (int64_t)(value * power10[MICRO_DIGITS - decimals]);
    return 1;
}
#else
static inline int parse_quick(const char *text, size_t size, int64_t *micro)
{
    (void)text;
    (void)size;
    (void)micro;
    return 0;
}
#endif

int money_parse(const char *text, size_t size, int64_t *micro)
{
    if (size && text[0] == '-' && parse_quick(text + 1, size - 1, micro)) {
        *micro = -*micro;
        return 1;
    }
    return parse_quick(text, size, micro) || parse_scaled(text, size, 0, micro);
}

int money_parse_minor(const char *text, size_t size, int exponent, int64_t *micro)
{
    return parse_scaled(text, size, exponent, micro);
}

size_t money_print(char out[MONEY_TEXT_MAX], money_total micro, int exponent)
{
    int negative = micro < 0;
    unsigned __int128 value = negative ? -(unsigned __int128)micro : (unsigned __int128)micro;
    int decimals = MICRO_DIGITS;
    for (; decimals > exponent && value % 10 == 0; decimals--)
        value /= 10;
    for (; decimals < exponent; decimals++) /* more decimals than micro has: no ISO 4217 currency, but stay right */
        value *= 10;
    char buffer[MONEY_TEXT_MAX], *p = buffer + sizeof buffer;
    int digits = 0;
    do {
        if (digits == decimals && decimals > 0)
            *--p = '.';
        *--p = (char)('0' + (int)(value % 10));
        value /= 10;
        digits++;
    } while (value || digits <= decimals);
    if (negative)
        *--p = '-';
    size_t n = (size_t)(buffer + sizeof buffer - p);
    memcpy(out, p, n);
    out[n] = 0;
    return n;
}
