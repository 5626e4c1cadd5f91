/* core/rules/order_currency.h: the currency of an order, for rows that do not say it themselves (`of_order`).
 *
 *     order_currencies_open -> order_currencies_put (one thread) -> order_currencies_find (any thread)
 *       order_currencies_close
 *
 * A refund's table often holds the order's number and no currency. The map is filled from the side's first part before
 * the run, and only read in it.
 */
#ifndef TIEOUT_CORE_RULES_ORDER_CURRENCY_H
#define TIEOUT_CORE_RULES_ORDER_CURRENCY_H

#include "core/base/diag.h"
#include "core/base/span.h"

enum { ORDER_CURRENCIES_MAX = 1 << 26 }; /* more orders than this are refused, rather than all memory taken */

struct order_currencies;
enum err order_currencies_open(struct order_currencies **out, struct diag *diag);
void order_currencies_close(struct order_currencies *map);
/* The newest wins. */
enum err order_currencies_put(struct order_currencies *map, struct span order, uint8_t currency,
                              struct diag *diag);
/* 0: there is no such order. */
uint8_t order_currencies_find(const struct order_currencies *map, struct span order);

#endif
