/* core/rules/fees.h: what a channel charges, computed (core/README.md, decision 28). Pure. */
#ifndef TIEOUT_CORE_RULES_FEES_H
#define TIEOUT_CORE_RULES_FEES_H

#include "core/config/job.h"

/* The cost of a payment by the schedule; below 0 where a fee comes back. 0 when it does not fit. */
int fees_schedule(const struct fee_schedule *schedule, int64_t amount_micro, uint8_t currency, int64_t *cost);

#endif
