/* core/model/currency.h: ISO 4217 codes as one byte, and their exponents.
 *
 * The list is that of ISO 4217:2015 as amended to 2024
 * (https://www.six-group.com/en/products-services/financial-information/data-standards.html), with a few
 * retired codes that old bills still carry. 0 means "no currency".
 */
#ifndef TIEOUT_CORE_MODEL_CURRENCY_H
#define TIEOUT_CORE_MODEL_CURRENCY_H

#include <stddef.h>
#include <stdint.h>

enum { CURRENCY_NONE = 0, CURRENCY_COUNT_MAX = 256 };

/* The index of a three-letter code, either case; 0 when it is not one. */
uint8_t currency_find(const char *text, size_t size);
/* "CNY"; "" for 0. */
const char *currency_code(uint8_t currency);
/* Decimals: 2 for CNY, 0 for JPY, 3 for KWD, 0 for XAU; 2 for 0 and for the code that says there is none. */
int currency_exponent(uint8_t currency);
/* 0: ISO 4217 gives it no minor unit at all (metals, XDR, units of account): no column can be in one. */
int currency_has_minor(uint8_t currency);
int currency_count(void);

#endif
