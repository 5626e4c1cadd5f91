/* core/model/money.h: amounts in millionths of the major unit, exactly (SPEC.md section 1).
 *
 * int64 units of 10^-6; totals in 128 bits; never a float. Text is `[+-]?digits[.digits]` with at most 6
 * significant decimals; anything else, or an overflow, is a reject. No allocation. Threads: any.
 */
#ifndef TIEOUT_CORE_MODEL_MONEY_H
#define TIEOUT_CORE_MODEL_MONEY_H

#include "core/base/span.h"
#include <stdint.h>

typedef __int128 money_total; /* a scalar: sums of int64 amounts; 2^64 of the largest fit */

enum { MONEY_TEXT_MAX = 48 }; /* bytes that money_print needs at most, with the NUL */

/* Reads a major-unit amount. Returns 1 and sets *micro, or 0. */
int money_parse(const char *text, size_t size, int64_t *micro);

/* Reads an integer amount in minor units of a currency with `exponent` decimals ("12345" fen -> 123.45).
 * Decimals are allowed as far as they fit ("12345.5" fen = 123.455). */
int money_parse_minor(const char *text, size_t size, int exponent, int64_t *micro);

/* "12,50" becomes "12.50" in `out`: returns its length, or 0 where a point stands in it or it does not fit. For text whose
 * decimals are declared to stand behind a comma; what groups the digits has been stripped. */
size_t money_uncomma(const char *text, size_t size, char out[MONEY_TEXT_MAX]);
/* Half up: a half goes away from 0. Down: to 0. Up: away from 0. */
enum rounding { ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN, ROUND_UP };
/* amount * numerator / denominator, rounded once, to `exponent` decimals. numerator: 0 to 10^18; denominator: 1 to
 * 10^18. Returns 1 and sets *out, or 0 when the result does not fit. */
int money_scale(int64_t amount_micro, int64_t numerator, int64_t denominator, int exponent,
                enum rounding rounding, int64_t *out);
/* The same of a total, which times numerator must be below 2^123. */
money_total money_scale_total(money_total micro, int64_t numerator, int64_t denominator, int exponent,
                              enum rounding rounding);

/* Prints with `exponent` decimals, or with all digits where they do not fit. -0 is 0. Returns the length. */
size_t money_print(char out[MONEY_TEXT_MAX], money_total micro, int exponent);

#endif
