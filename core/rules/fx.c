/* core/rules/fx.c: pairs of two currencies, by a table of rates (core/README.md, decision 26) */
#include "core/base/check.h"
#include "core/model/currency.h"
#include "core/rules/pass.h"
#include "core/rules/rates.h"
#include <stdlib.h>

struct converted {
    int64_t amount;
    struct full *row;
};

static const struct rate *rate_of(const struct job *job, const struct full *local, uint8_t currency)
{
    return rates_find(job->match.fx.rates, local->day, local->currency, currency);
}

uint64_t fx_reason(const struct job *job, const struct full *local, const struct full *channel)
{
    if (!job->match.fx.rates)
        return 0;
    return rate_of(job, local, channel->currency) ? REASON_BIT(REASON_FX)
                                                  : REASON_BIT(REASON_FX_RATE_MISSING);
}

/* Sigma's first part is the currency's code, three letters behind their length. */
static struct span fields_of(const struct full *row)
{
    enum { CURRENCY_PART = 4 + 3 };
    return row->sigma.size < CURRENCY_PART
               ? row->sigma
               : (struct span){row->sigma.data + CURRENCY_PART, row->sigma.size - CURRENCY_PART};
}

static int compare_value(const struct converted *a, const struct converted *b)
{
    int c = span_compare(fields_of(a->row), fields_of(b->row));
    return c ? c : (a->amount > b->amount) - (a->amount < b->amount);
}

static int by_value(const void *a, const void *b)
{
    const struct converted *x = a, *y = b;
    int c = compare_value(x, y);
    return c ? c : full_compare(x->row, y->row);
}

static uint32_t run_of(const struct converted *rows, uint32_t count)
{
    uint32_t n = 1;
    while (n < count && compare_value(&rows[0], &rows[n]) == 0)
        n++;
    return n;
}

/* Earliest-first inside the window, as P2 does. */
static void pair_run(const struct match_rules *match, const struct converted *l, uint32_t ln,
                     const struct converted *r, uint32_t rn, int key_no)
{
    for (uint32_t i = 0, k = 0; i < ln && k < rn;) {
        if (window_holds(match, l[i].row->day, r[k].row->day)) {
            const uint64_t fee = r[k].row->taken_micro ? REASON_BIT(REASON_FEE) : 0;
            pair(l[i].row, r[k].row, CLASS_MATCH,
                 REASON_BIT(REASON_FX) | fee | day_cut_bit(l[i].row, r[k].row), key_no);
            i++;
            k++;
        } else if (r[k].row->day < l[i].row->day) {
            k++;
        } else {
            i++;
        }
    }
}

static void pair_currency(const struct job *job, struct verdict_scratch *s, uint8_t currency,
                          struct converted *l, struct converted *r, int key_no)
{
    uint32_t ln = 0, rn = 0;
    for (uint32_t i = 0; i < s->count[CHANNEL]; i++)
        if (s->rows[CHANNEL][i]->currency == currency)
            r[rn++] = (struct converted){full_gross(s->rows[CHANNEL][i]), s->rows[CHANNEL][i]};
    for (uint32_t i = 0; i < s->count[LOCAL]; i++) {
        struct full *row = s->rows[LOCAL][i];
        const struct rate *rate =
            row->verdict == VERDICT_OPEN && row->currency != currency ? rate_of(job, row, currency) : NULL;
        if (rate && money_scale(full_gross(row), rate->numerator, rate->denominator,
                                currency_exponent(currency), job->match.fx.rounding, &l[ln].amount))
            l[ln++].row = row;
    }
    if (ln)
        qsort(l, ln, sizeof *l, by_value);
    qsort(r, rn, sizeof *r, by_value);
    for (uint32_t i = 0, k = 0; i < ln && k < rn;) {
        const int c = compare_value(&l[i], &r[k]);
        const uint32_t li = run_of(l + i, ln - i), rk = run_of(r + k, rn - k);
        if (c == 0)
            pair_run(&job->match, l + i, li, r + k, rk, key_no);
        if (c <= 0)
            i += li;
        if (c >= 0)
            k += rk;
    }
}

int pass_fx(const struct job *job, struct verdict_scratch *s, int key_no)
{
    if (!job->match.fx.rates || !s->count[LOCAL] || !s->count[CHANNEL])
        return 1;
    struct converted *work =
        scratch_work(s, ((size_t)s->count[LOCAL] + s->count[CHANNEL]) * sizeof(struct converted));
    if (!work)
        return 0;
    uint8_t seen[CURRENCY_COUNT_MAX] = {0};
    for (uint32_t i = 0; i < s->count[CHANNEL]; i++)
        seen[s->rows[CHANNEL][i]->currency] = 1;
    for (unsigned c = 0; c < CURRENCY_COUNT_MAX; c++) /* numbered in order of their codes */
        if (seen[c])
            pair_currency(job, s, (uint8_t)c, work, work + s->count[LOCAL], key_no);
    drop_closed(s);
    return 1;
}
