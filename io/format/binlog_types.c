/* io/format/binlog_types.c: see binlog_types.h */
#include "io/format/binlog_types.h"
#include "core/base/check.h"
#include "io/format/binlog_decimal.h"
#include "io/format/binlog_event.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

size_t decimal_bytes(unsigned precision, unsigned scale)
{
    if (precision == 0 || precision > 65 || scale > 30 || scale > precision)
        return 0;
    unsigned whole = precision - scale;
    return whole / 9 * 4 + decimal_bytes_of_digits[whole % 9] + scale / 9 * 4 +
           decimal_bytes_of_digits[scale % 9];
}

/* `count` digits with leading zeros. */
static void put_digits(char *out, uint32_t value, unsigned count)
{
    for (char *to = out + count; to > out; value /= 10)
        *--to = (char)('0' + value % 10);
}

/* Groups of nine digits in four bytes each, the incomplete group at the outer end of either part in fewer
 * bytes; most significant first. The first bit is the sign, inverted, and all bits of a negative number are
 * flipped, so that memcmp sorts. Appends the digits of `count` bytes to *out; 0 when a group is too large for
 * its digits. */
static int decimal_group(char **out, const uint8_t **p, uint8_t flip, uint8_t *first, unsigned digits)
{
    unsigned bytes = decimal_bytes_of_digits[digits];
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | (uint8_t)((*p)[i] ^ flip ^ *first);
        *first = 0;
    }
    *p += bytes;
    put_digits(*out, value, digits);
    *out += digits;
    return value < decimal_power_of_ten[digits];
}

/* What nearly all amounts are: no more than 18 digits before the point and 9 behind it. */
static int decimal_print_short(char *out, const uint8_t *p, unsigned whole, unsigned scale)
{
    const uint32_t flip = *p & 0x80 ? 0 : UINT32_MAX;
    uint64_t value;
    uint32_t fraction;
    if (UNLIKELY(!decimal_parts(p, whole, scale, flip, &value, &fraction)))
        return -1;
    char *to = out;
    if (flip && (value | fraction))
        *to++ = '-';
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count)
        *to++ = digits[--count];
    if (scale) {
        *to++ = '.';
        put_digits(to, fraction, scale);
        to += scale;
    }
    return (int)(to - out);
}

int decimal_print(char out[DECIMAL_TEXT_MAX], const uint8_t *p, unsigned precision, unsigned scale)
{
    unsigned whole = precision - scale;
    if (LIKELY(whole <= 18 && scale <= 9))
        return decimal_print_short(out, p, whole, scale);
    int negative = !(*p & 0x80);
    uint8_t flip = negative ? 0xff : 0, first = 0x80;
    char digits[80];
    char *end = digits;
    int good = 1;
    if (whole % 9)
        good &= decimal_group(&end, &p, flip, &first, whole % 9);
    for (unsigned i = 0; i < whole / 9; i++)
        good &= decimal_group(&end, &p, flip, &first, 9);
    for (unsigned i = 0; i < scale / 9; i++)
        good &= decimal_group(&end, &p, flip, &first, 9);
    if (scale % 9)
        good &= decimal_group(&end, &p, flip, &first, scale % 9);
    if (!good)
        return -1;
    unsigned lead = 0;
    while (lead + 1 < whole && digits[lead] == '0')
        lead++;
    char *to = out;
    if (negative) {
        *to = '-';
        for (unsigned i = 0; i < precision; i++)
            if (digits[i] != '0') {
                to++;
                break;
            }
    }
    if (whole == 0)
        *to++ = '0';
    memcpy(to, digits + lead, whole - lead);
    to += whole - lead;
    if (scale) {
        *to++ = '.';
        memcpy(to, digits + whole, scale);
        to += scale;
    }
    return (int)(to - out);
}

/* Digits of %e are put in MySQL's shape: 1.5, 1e15, 2.5e-20, without trailing zeros. */
static int shortest_print(char out[FLOAT_TEXT_MAX], const char *e_text)
{
    char digits[24];
    int count = 0, exponent = 0;
    const char *p = e_text;
    char *to = out;
    if (*p == '-') {
        *to++ = '-';
        p++;
    }
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && count < 20)
            digits[count++] = *p;
    if (*p == 'e')
        exponent = atoi(p + 1);
    while (count > 1 && digits[count - 1] == '0')
        count--;
    if (count == 1 && digits[0] == '0')
        return (int)(to - out) + snprintf(to, 2, "0");
    if (exponent < -15 || exponent > 14) {
        *to++ = digits[0];
        if (count > 1) {
            *to++ = '.';
            memcpy(to, digits + 1, (size_t)count - 1);
            to += count - 1;
        }
        return (int)(to - out) + snprintf(to, 8, "e%d", exponent);
    }
    if (exponent < 0) {
        *to++ = '0';
        *to++ = '.';
        for (int i = -1; i > exponent; i--)
            *to++ = '0';
    }
    for (int i = 0; i < count || i <= exponent; i++) {
        if (exponent >= 0 && i == exponent + 1)
            *to++ = '.';
        *to++ = i < count ? digits[i] : '0';
    }
    return (int)(to - out);
}

int double_print(char out[FLOAT_TEXT_MAX], double value)
{
    if (!isfinite(value))
        return -1;
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return shortest_print(out, text);
}

int float_print(char out[FLOAT_TEXT_MAX], float value)
{
    if (!isfinite(value))
        return -1;
    char text[40];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return shortest_print(out, text);
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = y / 400, year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static int days_in(int year, int month)
{
    static const uint8_t days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static int is_date(int year, int month, int day)
{
    return year > 0 && month >= 1 && month <= 12 && day >= 1 && day <= days_in(year, month);
}

struct clock {
    int year, month, day, hour, minute, second, micro;
};

/* `,` and the first `decimals` digits of the microseconds. */
static int put_fraction(char *out, int micro, int decimals)
{
    if (decimals <= 0)
        return 0;
    char digits[7];
    put_digits(digits, (uint32_t)micro, 6);
    out[0] = '.';
    memcpy(out + 1, digits, (size_t)decimals);
    return decimals + 1;
}

static int put_clock(char *out, const struct clock *c, int decimals)
{
    put_digits(out, (uint32_t)c->year, 4);
    out[4] = '-';
    put_digits(out + 5, (uint32_t)c->month, 2);
    out[7] = '-';
    put_digits(out + 8, (uint32_t)c->day, 2);
    if (decimals < 0)
        return 10;
    out[10] = ' ';
    put_digits(out + 11, (uint32_t)c->hour, 2);
    out[13] = ':';
    put_digits(out + 14, (uint32_t)c->minute, 2);
    out[16] = ':';
    put_digits(out + 17, (uint32_t)c->second, 2);
    return 19 + put_fraction(out + 19, c->micro, decimals);
}

static void set_text(struct cell *cell, const char *text, int size)
{
    cell->kind = CELL_TEXT;
    cell->data = text;
    cell->size = (uint32_t)size;
}

static int set_clock(struct cell *cell, char *out, const struct clock *c, int decimals)
{
    if (c->year > 9999 || c->month > 12 || c->day > 31 || c->hour > 23 || c->minute > 59 || c->second > 59 ||
        c->micro > 999999)
        return 0;
    if (!is_date(c->year, c->month, c->day)) {
        set_text(cell, out, put_clock(out, c, decimals));
        return 1;
    }
    int64_t seconds =
        days_of(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
    cell->kind = CELL_WALL;
    cell->size = 0;
    cell->i64 = seconds * 1000000 + c->micro;
    return 1;
}

int date_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p)
{
    uint32_t v = read_le24(p);
    struct clock c = {.year = (int)(v >> 9), .month = (int)(v >> 5 & 15), .day = (int)(v & 31)};
    return set_clock(cell, out, &c, -1);
}

int datetime_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p)
{
    uint64_t v = read_le64(p);
    if (v > 99991231235959ull)
        return 0;
    uint32_t date = (uint32_t)(v / 1000000), time = (uint32_t)(v % 1000000);
    struct clock c = {.year = (int)(date / 10000),
                      .month = (int)(date / 100 % 100),
                      .day = (int)(date % 100),
                      .hour = (int)(time / 10000),
                      .minute = (int)(time / 100 % 100),
                      .second = (int)(time % 100)};
    return set_clock(cell, out, &c, 0);
}

/* Fractions take a byte for two digits. Returns microseconds, more than 999999 when there are too many. */
static int fraction_read(const uint8_t *p, unsigned decimals)
{
    static const int unit[4] = {0, 10000, 100, 1};
    unsigned bytes = (decimals + 1) / 2;
    return (int)read_be(p, bytes) * unit[bytes];
}

int datetime2_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals)
{
    int64_t v = (int64_t)read_be(p, 5) - 0x8000000000;
    if (v < 0)
        return 0;
    int64_t year_month = v >> 22;
    struct clock c = {.year = (int)(year_month / 13),
                      .month = (int)(year_month % 13),
                      .day = (int)(v >> 17 & 31),
                      .hour = (int)(v >> 12 & 31),
                      .minute = (int)(v >> 6 & 63),
                      .second = (int)(v & 63),
                      .micro = fraction_read(p + 5, decimals)};
    return set_clock(cell, out, &c, (int)decimals);
}

static int set_epoch(struct cell *cell, char *out, uint32_t seconds, int micro, unsigned decimals)
{
    if (micro > 999999)
        return 0;
    if (seconds == 0 && micro == 0) {
        /* The server's word for "no time": 1970-01-01 00:00:00 UTC itself cannot be stored. */
        struct clock zero = {0, 0, 0, 0, 0, 0, 0};
        set_text(cell, out, put_clock(out, &zero, (int)decimals));
        return 1;
    }
    cell->kind = CELL_EPOCH;
    cell->size = 0;
    cell->i64 = (int64_t)seconds * 1000000 + micro;
    return 1;
}

int timestamp_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p)
{
    return set_epoch(cell, out, read_le32(p), 0, 0);
}

int timestamp2_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals)
{
    return set_epoch(cell, out, (uint32_t)read_be(p, 4), fraction_read(p + 4, decimals), decimals);
}

static int set_time(struct cell *cell, char *out, int negative, unsigned hour, unsigned minute,
                    unsigned second, int micro, int decimals)
{
    if (hour > 838 || minute > 59 || second > 59 || micro > 999999)
        return 0;
    char *to = out;
    if (negative)
        *to++ = '-';
    unsigned width = hour > 99 ? 3 : 2;
    put_digits(to, hour, width);
    to += width;
    *to++ = ':';
    put_digits(to, minute, 2);
    to[2] = ':';
    put_digits(to + 3, second, 2);
    to += 5;
    to += put_fraction(to, micro, decimals);
    set_text(cell, out, (int)(to - out));
    return 1;
}

int time_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p)
{
    int32_t v = (int32_t)(read_le24(p) << 8) >> 8;
    uint32_t u = (uint32_t)(v < 0 ? -v : v);
    return set_time(cell, out, v < 0, u / 10000, u / 100 % 100, u % 100, 0, 0);
}

int time2_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals)
{
    /* Whole and fraction together are one number around its middle, so that memcmp sorts. */
    static const int unit[4] = {0, 10000, 100, 1};
    unsigned bytes = (decimals + 1) / 2;
    int64_t v = (int64_t)read_be(p, 3 + bytes) - ((int64_t)0x800000 << (8 * bytes));
    int negative = v < 0;
    if (negative)
        v = -v;
    int64_t whole = v >> (8 * bytes);
    int64_t fraction = (v & (((int64_t)1 << (8 * bytes)) - 1)) * unit[bytes];
    if (whole >> 22 || fraction > 999999)
        return 0;
    return set_time(cell, out, negative, (unsigned)(whole >> 12), (unsigned)(whole >> 6 & 63),
                    (unsigned)(whole & 63), (int)fraction, (int)decimals);
}

static const uint8_t old_bytes[3][7] = {{3, 4, 4, 5, 5, 5, 6}, {5, 6, 6, 7, 7, 7, 8}, {4, 5, 5, 6, 6, 7, 7}};
static const int64_t old_unit[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};

unsigned old_time_bytes(unsigned type, unsigned decimals)
{
    return old_bytes[type == TYPE_TIME ? 0 : type == TYPE_DATETIME ? 1 : 2][decimals];
}

int old_time_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals)
{
    /* Counted from below the least there is. */
    const int64_t unit = old_unit[decimals], zero = (838 * 3600 + 59 * 60 + 59 + 1) * (1000000 / unit);
    int64_t v = (int64_t)read_be(p, old_bytes[0][decimals]) - zero;
    const int negative = v < 0;
    if (negative)
        v = -v;
    if (v > zero)
        return 0;
    v *= unit;
    const int64_t seconds = v / 1000000;
    return set_time(cell, out, negative, (unsigned)(seconds / 3600), (unsigned)(seconds / 60 % 60),
                    (unsigned)(seconds % 60), (int)(v % 1000000), (int)decimals);
}

int old_datetime_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals)
{
    const uint64_t v = read_be(p, old_bytes[1][decimals]), unit = (uint64_t)old_unit[decimals],
                   in_second = 1000000 / unit;
    const uint64_t seconds = v / in_second, days = seconds / 86400, months = days / 32;
    if (months / 13 > 9999)
        return 0;
    struct clock c = {.year = (int)(months / 13),
                      .month = (int)(months % 13),
                      .day = (int)(days % 32),
                      .hour = (int)(seconds / 3600 % 24),
                      .minute = (int)(seconds / 60 % 60),
                      .second = (int)(seconds % 60),
                      .micro = (int)(v % in_second * unit)};
    return set_clock(cell, out, &c, (int)decimals);
}

int old_timestamp_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals)
{
    const int64_t micro = (int64_t)read_be(p + 4, old_bytes[2][decimals] - 4u) * old_unit[decimals];
    return micro <= 999999 && set_epoch(cell, out, (uint32_t)read_be(p, 4), (int)micro, decimals);
}

int year_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p)
{
    put_digits(out, *p ? 1900u + *p : 0, 4);
    set_text(cell, out, 4);
    return 1;
}

int wall_print(char out[TIME_VALUE_TEXT_MAX], int64_t wall_us, int decimals)
{
    int64_t seconds = wall_us / 1000000, micro = wall_us % 1000000;
    if (micro < 0) {
        micro += 1000000;
        seconds--;
    }
    int64_t days = seconds / 86400, second = seconds % 86400;
    if (second < 0) {
        second += 86400;
        days--;
    }
    int64_t z = days + 719468, era = z / 146097, day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct clock c = {.day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
                      .month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9),
                      .hour = (int)(second / 3600),
                      .minute = (int)(second / 60 % 60),
                      .second = (int)(second % 60),
                      .micro = (int)micro};
    c.year = (int)(year_of_era + era * 400 + (c.month <= 2));
    return put_clock(out, &c, decimals);
}
