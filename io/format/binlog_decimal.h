/* io/format/binlog_decimal.h: DECIMAL values, inlined where every row has some. Private to io/format.
 *
 * Groups of nine digits in four bytes each, the incomplete group at the outer end of either part in fewer bytes; most
 * significant first. The first bit is the sign, inverted, and all bits of a negative number are flipped, so that memcmp sorts.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_DECIMAL_H
#define TIEOUT_IO_FORMAT_BINLOG_DECIMAL_H

#include "core/base/check.h"
#include "core/model/cell.h"
#include "io/format/binlog_event.h"

static const uint8_t decimal_bytes_of_digits[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
static const uint32_t decimal_power_of_ten[10] = {1,      10,      100,      1000,      10000,
                                                  100000, 1000000, 10000000, 100000000, 1000000000};

/* The value of up to nine digits; `first` undoes the sign bit where it stands in this group. */
static inline uint32_t decimal_digits(const uint8_t **p, unsigned digits, uint32_t flip, uint32_t first)
{
    const uint8_t *at = *p;
    switch (decimal_bytes_of_digits[digits]) {
    case 0:
        return 0;
    case 1:
        *p += 1;
        return (at[0] ^ (flip & 0xff)) ^ first;
    case 2:
        *p += 2;
        return ((uint32_t)(at[0] << 8 | at[1]) ^ (flip & 0xffff)) ^ first << 8;
    case 3:
        *p += 3;
        return ((uint32_t)(at[0] << 16 | at[1] << 8 | at[2]) ^ (flip & 0xffffff)) ^ first << 16;
    default:
        *p += 4;
        return ((uint32_t)read_be(at, 4) ^ flip) ^ first << 24;
    }
}

/* Both parts of a DECIMAL with up to 18 digits before the point and 9 behind it, without its sign; `flip`: 0 where it is positive,
 * else UINT32_MAX. 0: not a DECIMAL. */
static inline __attribute__((always_inline)) int decimal_parts(const uint8_t *p, unsigned whole,
                                                               unsigned scale, uint32_t flip,
                                                               uint64_t *whole_value, uint32_t *fraction)
{
    uint32_t first = 0x80, too_large = 0;
    uint64_t value = 0;
    if (whole % 9) {
        uint32_t group = decimal_digits(&p, whole % 9, flip, first);
        too_large |= group >= decimal_power_of_ten[whole % 9];
        value = group;
        first = 0;
    }
    for (unsigned i = 0; i < whole / 9; i++) {
        uint32_t group = decimal_digits(&p, 9, flip, first);
        too_large |= group >= decimal_power_of_ten[9];
        value = value * decimal_power_of_ten[9] + group;
        first = 0;
    }
    *whole_value = value;
    *fraction = decimal_digits(&p, scale, flip, first);
    too_large |= scale && *fraction >= decimal_power_of_ten[scale];
    return !too_large;
}

/* A DECIMAL of up to 18 digits, at most 9 of them behind the point, as CELL_DECIMAL. 0: not a DECIMAL. */
static inline int decimal_read(struct cell *cell, const uint8_t *p, unsigned precision, unsigned scale)
{
    const uint32_t flip = *p & 0x80 ? 0 : UINT32_MAX;
    uint64_t value;
    uint32_t fraction;
    const int is_right = decimal_parts(p, precision - scale, scale, flip, &value, &fraction);
    value = value * decimal_power_of_ten[scale] + fraction;
    cell->kind = CELL_DECIMAL;
    cell->size = scale;
    cell->i64 = flip ? -(int64_t)value : (int64_t)value;
    return is_right;
}

/* How a DECIMAL of 4 to 9 bytes is cut: a column's own. */
struct decimal_shape {
    uint8_t lead_shift; /* its first four bytes, without those of the next group */
    uint8_t groups;     /* of nine digits, behind the lead */
    uint8_t scale;
    uint8_t lead_digits : 4, size : 4;
    uint32_t tail_mask; /* its last four bytes, without those of the group before */
};

static inline struct decimal_shape decimal_shape(unsigned precision, unsigned scale, unsigned size)
{
    const unsigned whole = precision - scale, lead = decimal_bytes_of_digits[whole % 9],
                   tail = decimal_bytes_of_digits[scale];
    return (struct decimal_shape){.lead_shift = (uint8_t)(32 - 8 * lead),
                                  .groups = (uint8_t)(whole / 9),
                                  .scale = (uint8_t)scale,
                                  .lead_digits = whole % 9 & 15,
                                  .size = size & 15,
                                  .tail_mask = tail ? UINT32_MAX >> (32 - 8 * tail) : 0};
}

static inline uint32_t read_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

/* decimal_read for values of four bytes and more. */
static inline int decimal_take(struct cell *cell, const struct decimal_shape *shape, const uint8_t *p)
{
    const int64_t negative = *p & 0x80 ? 0 : -1;
    const uint32_t flip = (uint32_t)negative, first = read_be32(p) ^ flip ^ 0x80000000u;
    uint64_t value = 0;
    uint32_t too_large = 0;
    unsigned groups = shape->groups;
    const uint8_t *at = p;
    if (shape->lead_shift != 32) {
        value = first >> shape->lead_shift;
        too_large = value >= decimal_power_of_ten[shape->lead_digits];
        at += 4 - shape->lead_shift / 8;
    } else if (groups) {
        value = first;
        too_large = first >= 1000000000u;
        at += 4;
        groups--;
    }
    for (; groups; groups--, at += 4) {
        const uint32_t group = read_be32(at) ^ flip;
        too_large |= group >= 1000000000u;
        value = value * 1000000000u + group;
    }
    uint32_t tail = (read_be32(p + shape->size - 4) ^ flip) & shape->tail_mask;
    if (UNLIKELY(at == p)) /* nothing before the point: the sign is in the fraction */
        tail = first & shape->tail_mask;
    too_large |= tail >= decimal_power_of_ten[shape->scale];
    value = value * decimal_power_of_ten[shape->scale] + tail;
    cell->kind = CELL_DECIMAL;
    cell->size = shape->scale;
    cell->i64 = ((int64_t)value ^ negative) - negative;
    return !too_large;
}

/* The same without a branch: up to three groups of digits, each loaded as the four bytes that end with it. */
struct decimal_groups {
    struct {
        uint32_t mask, limit; /* of the bytes that are its own; no digits: 0 and 1 */
        int32_t end;          /* where the load begins */
        uint32_t times;       /* what the groups before it are multiplied with */
    } group[3];
    uint32_t sign; /* the sign's bit in the first group */
};

static inline struct decimal_groups decimal_groups(unsigned precision, unsigned scale)
{
    struct decimal_groups groups = {.sign = 0};
    const unsigned whole = precision - scale,
                   digits[4] = {whole % 9, whole / 9 > 0 ? 9 : 0, whole / 9 > 1 ? 9 : 0, scale};
    unsigned count = 0;
    int32_t at = 0;
    for (unsigned i = 0; i < 4; i++) {
        const int32_t size = decimal_bytes_of_digits[digits[i]];
        if (size == 0)
            continue;
        at += size;
        if (count == 0)
            groups.sign = 0x80u << 8 * (size - 1);
        groups.group[count].mask = UINT32_MAX >> (32 - 8 * size);
        groups.group[count].limit = decimal_power_of_ten[digits[i]];
        groups.group[count].end = at - 4;
        groups.group[count++].times = decimal_power_of_ten[digits[i]];
    }
    for (; count < 3; count++) {
        groups.group[count].limit = groups.group[count].times = 1;
        groups.group[count].end = 0;
    }
    return groups;
}

/* `p` has three readable bytes before it. */
static inline int decimal_sum(int64_t *sum, const struct decimal_groups *groups, const uint8_t *p)
{
    const uint32_t flip = (uint32_t)((int8_t) ~*p >> 7);
    const uint32_t a = (read_be32(p + groups->group[0].end) ^ flip ^ groups->sign) & groups->group[0].mask,
                   b = (read_be32(p + groups->group[1].end) ^ flip) & groups->group[1].mask,
                   c = (read_be32(p + groups->group[2].end) ^ flip) & groups->group[2].mask;
    const uint64_t value = ((uint64_t)a * groups->group[1].times + b) * groups->group[2].times + c;
    *sum = ((int64_t)value ^ (int64_t)(int32_t)flip) - (int64_t)(int32_t)flip;
    return (a < groups->group[0].limit) & (b < groups->group[1].limit) & (c < groups->group[2].limit);
}

#endif
