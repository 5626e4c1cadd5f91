/* core/rules/subset.c: see subset.h */
#include "core/rules/subset.h"
#include "core/rules/pass.h"
#include <stdlib.h>

const char *proposal_outcome_name(enum proposal_outcome outcome)
{
    static const char *const names[] = {"unique", "several", "impossible", "gave_up"};
    return names[outcome];
}

struct search {
    const struct subset_rules *rules;
    struct subset *subset;
    uint32_t count; /* candidates */
    uint64_t work;
    const struct full *taken[SUBSET_PARTS_MAX];
    int gave_up, is_cut; /* is_cut: more parts than are allowed might have made it */
};

static void visit(struct search *s, uint32_t from, money_total rest, uint32_t taken)
{
    struct proposal *p = &s->subset->proposal;
    for (uint32_t i = from; i < s->count && p->solution_count < SOLUTIONS_MAX; i++) {
        if (++s->work > s->rules->work) {
            s->gave_up = 1;
            return;
        }
        const money_total size = (money_total)magnitude(full_gross(s->subset->candidates[i]));
        if (size > rest)
            continue;
        s->taken[taken] = s->subset->candidates[i];
        if (size == rest) {
            for (uint32_t k = 0; k <= taken; k++)
                p->parts[p->solution_count][k] = s->taken[k];
            p->part_count[p->solution_count++] = taken + 1;
        } else if (s->subset->behind[i + 1] >= rest - size) {
            if (taken + 1 == s->rules->parts) {
                s->is_cut = 1;
                continue;
            }
            visit(s, i + 1, rest - size, taken + 1);
            if (s->gave_up)
                return;
        }
    }
}

static int by_size(const void *a, const void *b)
{
    const struct full *x = *(struct full *const *)a, *y = *(struct full *const *)b;
    const uint64_t p = magnitude(full_gross(x)), q = magnitude(full_gross(y));
    return p != q ? (p > q ? -1 : 1) : full_compare(x, y);
}

static void propose(const struct job *job, struct subset *subset, const struct full *target,
                    const uint32_t count[SIDES])
{
    const int64_t whole = full_gross(target);
    const int other = target->side == LOCAL ? CHANNEL : LOCAL;
    struct search s = {.rules = &job->match.subset, .subset = subset};
    for (uint32_t i = 0; i < count[other]; i++) {
        const struct full *row = subset->sorted[other][i];
        const int64_t part = full_gross(row);
        if (part == 0 || (part < 0) != (whole < 0) || magnitude(part) > magnitude(whole) ||
            !(target->side == LOCAL ? window_holds(&job->match, target->day, row->day)
                                    : window_holds(&job->match, row->day, target->day)))
            continue;
        subset->candidates[s.count++] = row;
    }
    subset->behind[s.count] = 0;
    for (uint32_t i = s.count; i-- > 0;)
        subset->behind[i] = subset->behind[i + 1] + (money_total)magnitude(full_gross(subset->candidates[i]));
    struct proposal *p = &subset->proposal;
    visit(&s, 0, (money_total)magnitude(whole), 0);
    s.gave_up |= s.is_cut && p->solution_count == 0; /* what was not looked for is not impossible */
    if (s.gave_up)
        p->solution_count = 0;
    p->outcome = s.gave_up                ? PROPOSAL_GAVE_UP
                 : p->solution_count == 0 ? PROPOSAL_IMPOSSIBLE
                 : p->solution_count == 1 ? PROPOSAL_UNIQUE
                                          : PROPOSAL_SEVERAL;
}

enum err subset_pool(const struct job *job, struct subset *subset, struct full **rows, uint32_t count,
                     int gives_up,
                     enum err (*take)(void *context, const struct proposal *proposal, struct diag *diag),
                     void *context, struct diag *diag)
{
    uint32_t of[SIDES] = {0};
    for (uint32_t i = 0; i < count; i++) {
        const int side = rows[i]->side;
        if (of[side] < SUBSET_POOL_MAX)
            subset->sorted[side][of[side]] = rows[i];
        of[side]++;
    }
    gives_up |= of[LOCAL] > job->match.subset.pool || of[CHANNEL] > job->match.subset.pool;
    for (int side = 0; side < SIDES && !gives_up; side++)
        if (of[side])
            qsort(subset->sorted[side], of[side], sizeof(struct full *), by_size);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        if (full_gross(rows[i]) == 0)
            continue;
        subset->proposal.target = rows[i];
        subset->proposal.solution_count = 0;
        subset->proposal.outcome = PROPOSAL_GAVE_UP;
        if (!gives_up)
            propose(job, subset, rows[i], of);
        err = take(context, &subset->proposal, diag);
    }
    return err;
}
