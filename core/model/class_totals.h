/* core/model/class_totals.h: what the verdicts of a run add up to. */
#ifndef TIEOUT_CORE_MODEL_CLASS_TOTALS_H
#define TIEOUT_CORE_MODEL_CLASS_TOTALS_H

#include "core/model/currency.h"
#include "core/model/money.h"
#include "core/model/words.h"

struct count_and_sum {
    uint64_t count;
    money_total sum;
};

struct class_totals {
    uint64_t count[CLASSES][SIDES];
    /* [class][side][currency] */
    uint64_t rows[CLASSES][SIDES][CURRENCY_COUNT_MAX];
    money_total sums[CLASSES][SIDES][CURRENCY_COUNT_MAX];
};

/* How suspense rolled forward, of one side and currency (I4). */
struct carry_totals {
    uint64_t opening, opened, resolved, expired, reopened, closing;
    money_total opening_sum, opened_sum, resolved_sum, expired_sum, reopened_sum, closing_sum, changed_sum;
};

#endif
