/* core/engine/settle.c: see settle.h */
#include "core/engine/settle.h"
#include "core/base/mem.h"
#include "core/engine/judge.h"
#include <stdlib.h>

/* A task: the log has not heard of the pair, since nobody knew what it would be. Its rows are fetched again. */
static enum err keep_settled(struct worker *w, const struct settled_pair *pair)
{
    const struct run_config *config = w->run->config;
    struct full rows[SIDES], before[SIDES];
    arena_reset(&w->arena);
    for (int side = 0; side < SIDES; side++) {
        struct source *source = config->sources[side];
        enum err err =
            source->ops->fetch(source, w->io, &pair->refs[side], &rows[side], 1, &w->arena, &w->diag);
        if (err == OK && pair->has_before[side])
            err =
                source->ops->fetch(source, w->io, &pair->before[side], &before[side], 1, &w->arena, &w->diag);
        if (err != OK)
            return err;
        rows[side].partner = &rows[!side];
        rows[side].verdict = pair->is_broken ? CLASS_MISMATCH : CLASS_MATCH;
        rows[side].reasons = pair->reasons;
        rows[side].key_no = pair->key_no;
        if (pair->has_before[side]) {
            rows[side].before = &before[side];
            rows[side].carry = before[side].carry;
        }
    }
    return config->sink->ops->keep(config->sink, w->number, w->io, &rows[LOCAL], &rows[CHANNEL], &w->diag);
}

/* A pair that the budget did not reach was counted as a match. */
static enum err settled(void *context, const struct settled_pair *pair, struct diag *diag)
{
    struct worker *w = context;
    (void)diag; /* the worker's own */
    const uint8_t c = pair->currency;
    for (int side = 0; pair->is_broken && side < SIDES; side++) {
        w->totals.count[CLASS_MATCH][side]--;
        w->totals.rows[CLASS_MATCH][side][c]--;
        w->totals.sums[CLASS_MATCH][side][c] -= pair->amount_micro[side];
        w->totals.count[CLASS_MISMATCH][side]++;
        w->totals.rows[CLASS_MISMATCH][side][c]++;
        w->totals.sums[CLASS_MISMATCH][side][c] += pair->amount_micro[side];
    }
    if (pair->is_broken) {
        const money_total delta = (money_total)pair->amount_micro[CHANNEL] - pair->amount_micro[LOCAL];
        w->booked[BOOKED_TOLERANCE][c] -= delta + pair->kept_micro;
        w->booked[BOOKED_FEES][c] += pair->kept_micro;
        w->reason_count[REASON_TOLERANCE]--;
        w->reason_count[REASON_FEE] -= pair->kept_micro != 0;
        w->reason_count[REASON_BUDGET]++;
    }
    return w->carry ? keep_settled(w, pair) : OK;
}

/* Tolerance pairs of all workers and keys spend their budgets in one order. */
enum err settle_budget(struct worker *w, enum err err)
{
    struct run *run = w->run;
    if (err != OK)
        run_fail(run, &w->diag);
    pthread_barrier_wait(&run->barrier);
    if (w->number == 0 && err == OK && !run_failed(run))
        err = run->config->sink->ops->settle_budget(run->config->sink, settled, w, &w->diag);
    return err;
}

static int by_hand(const void *a, const void *b)
{
    const struct hand_ref *x = a, *y = b;
    return x->hand != y->hand ? (x->hand > y->hand) - (x->hand < y->hand) : x->ref.side - y->ref.side;
}

/* Both of a pair are as they were: they are a match because somebody said so. One alone sleeps on: the other was reopened. */
static enum err pair_by_hand(struct worker *w, const struct hand_ref *hands, uint32_t count)
{
    const struct run_config *config = w->run->config;
    struct full rows[SIDES];
    enum err err = OK;
    arena_reset(&w->arena);
    for (uint32_t i = 0; err == OK && i < count && i < SIDES; i++) {
        struct source *source = config->sources[hands[i].ref.side];
        err = source->ops->fetch(source, w->io, &hands[i].ref, &rows[i], 1, &w->arena, &w->diag);
    }
    if (err != OK)
        return err;
    int reopened = 0; /* under a later key: that is another copy of it */
    for (uint32_t i = 0; i < count && i < SIDES; i++)
        reopened |= reopened_has(&w->run->reopened, &rows[i]);
    if (reopened || count != SIDES || rows[LOCAL].side != LOCAL || rows[CHANNEL].side != CHANNEL ||
        rows[LOCAL].currency != rows[CHANNEL].currency || rows[LOCAL].out != rows[CHANNEL].out) {
        for (uint32_t i = 0; err == OK && i < count; i++)
            err = judge_drop(w, &w->dropped, &w->dropped_count[rows[i].side], &rows[i], rows[i].currency,
                             rows[i].amount_micro);
        return err;
    }
    for (int side = 0; side < SIDES; side++) {
        rows[side].partner = &rows[!side];
        rows[side].verdict = CLASS_MATCH;
        rows[side].reasons |= REASON_BIT(REASON_MANUAL) | REASON_BIT(REASON_LATE) |
                              (rows[LOCAL].day != rows[CHANNEL].day ? REASON_BIT(REASON_DAY_CUT) : 0);
    }
    rows[LOCAL].reasons = rows[CHANNEL].reasons |= rows[LOCAL].reasons;
    for (int side = 0; err == OK && side < SIDES; side++)
        err = judge_emit(w, &rows[side]);
    return err;
}

/* Pairs made by hand, of all workers: whatever the passes reopened is theirs, so this comes behind them. */
enum err settle_hands(struct worker *w, enum err err)
{
    struct run *run = w->run;
    if (err != OK)
        run_fail(run, &w->diag);
    pthread_barrier_wait(&run->barrier);
    if (w->number || err != OK || run_failed(run))
        return err;
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->worker_count; i++)
        count += run->workers[i].hand_count;
    struct hand_ref *hands = mem_take_zero((size_t)count + 1, sizeof *hands);
    if (!hands)
        return mem_fail(&w->diag, count * sizeof *hands, "pairs made by hand");
    count = 0;
    for (uint32_t i = 0; i < run->worker_count; i++)
        for (uint32_t k = 0; k < run->workers[i].hand_count; k++)
            hands[count++] = run->workers[i].hands[k];
    qsort(hands, count, sizeof *hands, by_hand);
    for (uint32_t i = 0, next; err == OK && i < count; i = next) {
        for (next = i + 1; next < count && hands[next].hand == hands[i].hand; next++) {
        }
        err = pair_by_hand(w, hands + i, next - i);
    }
    mem_give(hands);
    return err;
}
