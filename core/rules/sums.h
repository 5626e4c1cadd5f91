/* core/rules/sums.h: what a set of records adds up to, and what follows: splits, partials, settlements (core/README.md, decisions
 * 29, 30 and 33). Sums are taken record by record, in any order, so the set need not be held whole.
 *
 *     zeroes, then sums_add or group_add for each open record of a key
 *       sums_are_split, sums_are_partial, group_decides   what the set is; 0: the rule has nothing to say of it
 *         set_finish, group_finish                        for each record
 */
#ifndef TIEOUT_CORE_RULES_SUMS_H
#define TIEOUT_CORE_RULES_SUMS_H

#include "core/model/currency.h"
#include "core/model/money.h"
#include "core/rules/verdict.h"

struct set_sums {
    uint64_t count[SIDES], with_fee;
    money_total gross[SIDES], fees[SIDES];
    money_total above[SIDES], below[SIDES];     /* of gross: amounts above 0, and below */
    uint16_t first_day[SIDES], last_day[SIDES]; /* of those that have one */
    uint8_t waits[SIDES];                       /* a record would wait in suspense */
    uint8_t days;                               /* not all bill dates are equal */
    uint8_t unlike;                             /* they cannot be of one set at all */
};

struct group_sums {
    money_total sums[CURRENCY_COUNT_MAX]; /* channel - local */
    uint64_t members[SIDES], wanted;
    int stated, waits;
};

struct set_verdict {
    enum class_id class_id;
    uint64_t reasons;
    int64_t remains_micro;
};

/* `first`: any record of the set, the same in all calls. */
void sums_add(const struct job *job, struct set_sums *sums, const struct full *first, const struct full *row);
int sums_are_split(const struct job *job, const struct set_sums *sums, struct set_verdict *verdict);
int sums_are_partial(const struct job *job, const struct set_sums *sums, struct set_verdict *verdict);
void set_finish(const struct set_verdict *verdict, struct full *row, int key_no);

void group_add(const struct job *job, struct group_sums *sums, const struct full *row);
int group_decides(const struct job *job, const struct group_sums *sums, struct set_verdict *verdict);
void group_finish(const struct job *job, const struct set_verdict *verdict, struct full *row, int key_no);

#endif
