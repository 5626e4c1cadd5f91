/* io/format/binlog_decimal.h: DECIMAL values, inlined where every row has some. Private to io/format.
 *
 * Groups of nine digits in four bytes each, the incomplete group at the outer end of either part in fewer bytes; most
 * significant first. The first bit is the sign, inverted, and all bits of a negative number are flipped, so that memcmp sorts.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_DECIMAL_H
#define TIEOUT_IO_FORMAT_BINLOG_DECIMAL_H

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

/* A DECIMAL of up to 18 digits, at most 9 of them behind the point, as CELL_DECIMAL. 0: not a DECIMAL. */
static inline int decimal_read(struct cell *cell, const uint8_t *p, unsigned precision, unsigned scale)
{
    const unsigned whole = precision - scale;
    const uint32_t flip = *p & 0x80 ? 0 : UINT32_MAX;
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
    uint32_t fraction = decimal_digits(&p, scale, flip, first);
    too_large |= scale && fraction >= decimal_power_of_ten[scale];
    value = value * decimal_power_of_ten[scale] + fraction;
    cell->kind = CELL_DECIMAL;
    cell->size = scale;
    cell->i64 = flip ? -(int64_t)value : (int64_t)value;
    return !too_large;
}

#endif
