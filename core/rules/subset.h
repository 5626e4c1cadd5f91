/* core/rules/subset.h: which open records of one side might make up one of the other (core/README.md, decision 32).
 *
 * Proposals only: no verdict changes. The work is counted, never timed, so that the same pool gives the same proposals
 * on every machine. Memory: `struct subset`, of which a worker has one. Threads: one owner.
 */
#ifndef TIEOUT_CORE_RULES_SUBSET_H
#define TIEOUT_CORE_RULES_SUBSET_H

#include "core/config/job.h"
#include "core/model/full.h"

enum { SOLUTIONS_MAX = 10 };
enum proposal_outcome { PROPOSAL_UNIQUE, PROPOSAL_SEVERAL, PROPOSAL_IMPOSSIBLE, PROPOSAL_GAVE_UP };
const char *proposal_outcome_name(enum proposal_outcome outcome); /* "unique" */

struct proposal {
    const struct full *target;
    enum proposal_outcome outcome;
    uint32_t solution_count;
    uint32_t part_count[SOLUTIONS_MAX];
    const struct full *parts[SOLUTIONS_MAX][SUBSET_PARTS_MAX];
};

struct subset {
    struct full *sorted[SIDES][SUBSET_POOL_MAX];
    const struct full *candidates[SUBSET_POOL_MAX];
    money_total behind[SUBSET_POOL_MAX + 1]; /* sum of all candidates from this one on */
    struct proposal proposal;
};

/* Calls `take` with the proposal for each record of a pool that is not 0; stops when it fails. `gives_up`: the pool
 * is too large to be looked at whole, and `rows` may be a part of it. */
enum err subset_pool(const struct job *job, struct subset *subset, struct full **rows, uint32_t count,
                     int gives_up,
                     enum err (*take)(void *context, const struct proposal *proposal, struct diag *diag),
                     void *context, struct diag *diag);

#endif
