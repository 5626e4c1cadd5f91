/* core/rules/fees.c: see fees.h */
#include "core/rules/fees.h"
#include "core/model/currency.h"

int fees_schedule(const struct fee_schedule *schedule, int64_t amount_micro, uint8_t currency, int64_t *cost)
{
    *cost = 0;
    if (amount_micro == 0 || (amount_micro < 0 && schedule->refunds_kept))
        return 1;
    if (!money_scale(amount_micro, schedule->rate_ppm, 1000000, currency_exponent(currency),
                     schedule->rounding, cost))
        return 0;
    /* Bounds are those of what is charged; what comes back is as large. */
    const int sign = amount_micro < 0 ? -1 : 1;
    int64_t size = *cost * sign;
    if (size < schedule->min_micro)
        size = schedule->min_micro;
    if (size > schedule->max_micro)
        size = schedule->max_micro;
    *cost = size * sign;
    return 1;
}
