/* core/rules/number_text.h: numbers as text, eight digits at once */
#ifndef TIEOUT_CORE_RULES_NUMBER_TEXT_H
#define TIEOUT_CORE_RULES_NUMBER_TEXT_H

#include "core/base/check.h"
#include "core/model/cell.h"
#include <string.h>

/* Eight digits of a number below 10^8, the first in the lowest byte; or of a vector of 64-bit numbers. */
#define EIGHT_DIGITS(value)                                                                                  \
    ({                                                                                                       \
        __auto_type v_ = (value);                                                                            \
        __auto_type high_ = v_ * 3518437209u >> 45; /* by 10000 */                                           \
        __auto_type halves_ = high_ | (v_ - high_ * 10000) << 32;                                            \
        __auto_type hundreds_ = (halves_ * 10486 >> 20) & 0x7F0000007Full; /* each half by 100 */            \
        __auto_type pairs_ = hundreds_ | (halves_ - hundreds_ * 100) << 16;                                  \
        __auto_type tens_ = (pairs_ * 103 >> 10) & 0x000F000F000F000Full; /* each pair by 10 */              \
        tens_ | (pairs_ - tens_ * 10) << 8;                                                                  \
    })

/* As cell_number_print, in one piece up to 10^8: what is printed is copied soon, and a store in many pieces would be waited
 * for. */
static inline struct span number_text(char out[CELL_NUMBER_MAX], uint64_t value, int negative)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (LIKELY(value < 100000000 && !negative)) {
        uint64_t digits = EIGHT_DIGITS(value);
        const unsigned zeros = value ? (unsigned)__builtin_ctzll(digits) / 8 : 7;
        digits = (digits + 0x3030303030303030ull) >> 8 * zeros;
        memcpy(out, &digits, 8);
        return (struct span){out, 8 - zeros};
    }
#endif
    return cell_number_print(out, value, negative);
}

#endif
