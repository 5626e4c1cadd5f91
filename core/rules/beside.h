/* core/rules/beside.h: sums of records that were judged beside a run: carried ones that nobody could meet.
 *
 *     beside_init -> beside_count for each -> beside_merge -> run_add (core/engine/run.h) -> beside_fini
 *
 * Threads: one owner each.
 */
#ifndef TIEOUT_CORE_RULES_BESIDE_H
#define TIEOUT_CORE_RULES_BESIDE_H

#include "core/config/job.h"
#include "core/model/aggregate.h"
#include "core/model/class_totals.h"
#include "core/model/full.h"
#include "core/model/tally.h"

struct beside {
    struct class_totals totals;
    struct tally in;
    struct aggregate aggregate;
    struct carry_totals carry[SIDES][CURRENCY_COUNT_MAX];
    uint64_t reason_count[64], records[SIDES];
};
/* `counts`: what its aggregate may take; may be NULL (aggregate_init). */
enum err beside_init(struct beside *beside, const struct aggregate_share *counts, struct diag *diag);
void beside_fini(struct beside *beside);
/* Counts a record that has its verdict and was carried in. */
enum err beside_count(struct beside *beside, const struct job *job, const struct full *row,
                      struct diag *diag);
/* The aggregate of `from` is empty then. */
enum err beside_merge(struct beside *into, struct beside *from, struct diag *diag);

void class_totals_add(struct class_totals *into, const struct class_totals *from);
void carry_totals_add(struct carry_totals *into, const struct carry_totals *from);

#endif
