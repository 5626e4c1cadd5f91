/* core/rules/beside.c: see beside.h */
#include "core/rules/beside.h"
#include "core/base/mem.h"
#include "core/rules/normalize.h"

void carry_totals_add(struct carry_totals *into, const struct carry_totals *from)
{
    into->opening += from->opening;
    into->opened += from->opened;
    into->resolved += from->resolved;
    into->expired += from->expired;
    into->reopened += from->reopened;
    into->closing += from->closing;
    into->opening_sum += from->opening_sum;
    into->opened_sum += from->opened_sum;
    into->resolved_sum += from->resolved_sum;
    into->expired_sum += from->expired_sum;
    into->reopened_sum += from->reopened_sum;
    into->closing_sum += from->closing_sum;
    into->changed_sum += from->changed_sum;
}

void class_totals_add(struct class_totals *into, const struct class_totals *from)
{
    for (int c = 0; c < CLASSES; c++)
        for (int side = 0; side < SIDES; side++) {
            into->count[c][side] += from->count[c][side];
            for (int k = 0; k < CURRENCY_COUNT_MAX; k++) {
                into->rows[c][side][k] += from->rows[c][side][k];
                into->sums[c][side][k] += from->sums[c][side][k];
            }
        }
}

enum err beside_init(struct beside *beside, const struct aggregate_share *counts, struct diag *diag)
{
    enum err err = tally_init(&beside->in, diag);
    return err == OK ? aggregate_init(&beside->aggregate, counts, diag) : err;
}

void beside_fini(struct beside *beside)
{
    tally_fini(&beside->in);
    aggregate_fini(&beside->aggregate);
}

enum err beside_count(struct beside *b, const struct job *job, const struct full *row, struct diag *diag)
{
    const money_total amount = row->amount_micro;
    struct carry_totals *carry = &b->carry[row->side][row->currency];
    struct tally_row *in = tally_row(&b->in, tally_key(row->side, row->day, row->currency, row->out));
    if (!in)
        return mem_fail(diag, 0, "a tally");
    in->count++;
    in->sum += amount;
    b->records[row->side]++;
    b->totals.count[row->verdict][row->side]++;
    b->totals.rows[row->verdict][row->side][row->currency]++;
    b->totals.sums[row->verdict][row->side][row->currency] += amount;
    for (uint64_t bits = row->reasons; bits; bits &= bits - 1)
        b->reason_count[__builtin_ctzll(bits)]++;
    carry->opening++;
    carry->opening_sum += row->carry->amount_micro;
    carry->changed_sum += amount - row->carry->amount_micro;
    if (row->verdict == CLASS_SUSPENSE) {
        carry->closing++;
        carry->closing_sum += amount;
    }
    if (job_counts(job, (enum side)row->side)) {
        struct row_note note;
        normalize_note(job, row, &note);
        if (!aggregate_add(&b->aggregate,
                           aggregate_key(row->side, row->out, row->day, row->currency, note.hour),
                           row->amount_micro, &note))
            return aggregate_failed(&b->aggregate, diag);
    }
    return OK;
}

enum err beside_merge(struct beside *into, struct beside *from, struct diag *diag)
{
    class_totals_add(&into->totals, &from->totals);
    for (int side = 0; side < SIDES; side++) {
        into->records[side] += from->records[side];
        for (int c = 0; c < CURRENCY_COUNT_MAX; c++)
            carry_totals_add(&into->carry[side][c], &from->carry[side][c]);
    }
    for (int b = 0; b < 64; b++)
        into->reason_count[b] += from->reason_count[b];
    enum err err = tally_merge(&into->in, &from->in, 1, diag);
    return err == OK ? aggregate_merge(&into->aggregate, &from->aggregate, diag) : err;
}
