/* core/model/money.c: see money.h */
#include "core/model/money.h"
#include "core/model/money_quick.h"

const uint64_t money_power10[20] = {1ull,
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
    unsigned __int128 scaled = (unsigned __int128)value * money_power10[MICRO_DIGITS - decimals];
    if (scaled > INT64_MAX) /* -2^63 is refused too, so that every amount can be negated */
        return 0;
    *micro = negative ? -(int64_t)scaled : (int64_t)scaled;
    return 1;
}

int money_parse(const char *text, size_t size, int64_t *micro)
{
    if (size && text[0] == '-' && money_quick(text + 1, size - 1, micro)) {
        *micro = -*micro;
        return 1;
    }
    return money_quick(text, size, micro) || parse_scaled(text, size, 0, micro);
}

int money_parse_minor(const char *text, size_t size, int exponent, int64_t *micro)
{
    return parse_scaled(text, size, exponent, micro);
}

size_t money_uncomma(const char *text, size_t size, char out[MONEY_TEXT_MAX])
{
    if (size > MONEY_TEXT_MAX)
        return 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '.')
            return 0;
        out[i] = text[i] == ',' ? '.' : text[i];
    }
    return size;
}

/* Of what fits into 64 bits, which no sum of one row exceeds: dividing 128 bits takes ten times as long. */
static size_t print_short(char out[MONEY_TEXT_MAX], uint64_t value, int negative, int exponent)
{
    uint64_t whole = value / 1000000;
    uint32_t part = (uint32_t)(value % 1000000);
    int decimals = MICRO_DIGITS;
    for (; decimals > exponent && part % 10 == 0; decimals--)
        part /= 10;
    char buffer[MONEY_TEXT_MAX], *p = buffer + sizeof buffer;
    for (int i = 0; i < decimals; i++, part /= 10)
        *--p = (char)('0' + part % 10);
    if (decimals > 0)
        *--p = '.';
    do {
        *--p = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole);
    if (negative)
        *--p = '-';
    const size_t n = (size_t)(buffer + sizeof buffer - p);
    memcpy(out, p, n);
    out[n] = 0;
    return n;
}

size_t money_print(char out[MONEY_TEXT_MAX], money_total micro, int exponent)
{
    int negative = micro < 0;
    if (micro == (int64_t)micro && exponent <= MICRO_DIGITS)
        return print_short(out, negative ? 0 - (uint64_t)micro : (uint64_t)micro, negative, exponent);
    unsigned __int128 value = negative ? -(unsigned __int128)micro : (unsigned __int128)micro;
    int decimals = MICRO_DIGITS;
    for (; decimals > exponent && value % 10 == 0; decimals--)
        value /= 10;
    for (; decimals < exponent;
         decimals++) /* more decimals than micro has: no ISO 4217 currency, but stay right */
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

money_total money_scale_total(money_total micro, int64_t numerator, int64_t denominator, int exponent,
                              enum rounding rounding)
{
    int64_t step = 1; /* millionths of the last decimal */
    for (int i = exponent; i < 6; i++)
        step *= 10;
    const int negative = micro < 0;
    const unsigned __int128 size = negative ? 0 - (unsigned __int128)micro : (unsigned __int128)micro;
    /* 2^63 times 10^18 is below 2^123, and 10^18 times 10^6 below 2^80. */
    const unsigned __int128 product = size * (uint64_t)numerator,
                            by = (unsigned __int128)(uint64_t)denominator * (uint64_t)step;
    unsigned __int128 whole = product / by;
    const unsigned __int128 rest = product % by, other = by - rest;
    int more = 0;
    switch (rounding) {
    case ROUND_HALF_UP:
        more = rest >= other;
        break;
    case ROUND_HALF_EVEN:
        more = rest > other || (rest == other && (whole & 1));
        break;
    case ROUND_DOWN:
        break;
    case ROUND_UP:
        more = rest != 0;
        break;
    }
    whole += (unsigned)more;
    return (money_total)(whole * (uint64_t)step) * (negative ? -1 : 1);
}

int money_scale(int64_t amount_micro, int64_t numerator, int64_t denominator, int exponent,
                enum rounding rounding, int64_t *out)
{
    /* What is above 2^63 is so before it is rounded to a multiple of a step of 10^6 at most; no 128 bits overflow: the
     * result is below 2^123 and a step. */
    const money_total total = money_scale_total(amount_micro, numerator, denominator, exponent, rounding);
    if (total > INT64_MAX || total < -INT64_MAX)
        return 0;
    *out = (int64_t)total;
    return 1;
}
