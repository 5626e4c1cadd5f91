/* core/rules/sets.c: records that are right only together: splits, partial captures, settlements, reversals
 * (core/README.md, decisions 29 to 31 and 33). Whole sets, never a choice among them: a choice is a proposal
 * (subset.h). */
#include "core/rules/pass.h"
#include "core/rules/sums.h"
#include <stdlib.h>

/* The compared fields other than amount, fee, status and direction. */
static int fields_agree(const struct job *job, const struct full *a, const struct full *b)
{
    for (int i = 0; i < job->match.compare_count; i++) {
        const unsigned field = job->match.compare[i];
        if (field != FIELD_FEE && field != FIELD_STATUS && !span_equal(a->text[field], b->text[field]))
            return 0;
    }
    return 1;
}

void sums_add(const struct job *job, struct set_sums *sums, const struct full *first, const struct full *row)
{
    const int side = row->side;
    const money_total gross = full_gross(row);
    sums->unlike |=
        (uint8_t)(!row->monetary || row->currency != first->currency || !fields_agree(job, first, row));
    sums->count[side]++;
    sums->gross[side] += gross;
    *(gross < 0 ? &sums->below[side] : &sums->above[side]) += gross;
    sums->fees[side] += row->has_fee ? row->fee_micro : 0;
    sums->with_fee += row->has_fee;
    sums->waits[side] |= (uint8_t)record_waits(job, row);
    sums->days |= (uint8_t)(row->day != first->day);
    if (!row->day)
        return;
    if (!sums->first_day[side] || row->day < sums->first_day[side])
        sums->first_day[side] = row->day;
    if (row->day > sums->last_day[side])
        sums->last_day[side] = row->day;
}

static void take_set(const struct job *job, const struct verdict_scratch *s, struct set_sums *sums)
{
    *sums = (struct set_sums){0};
    const struct full *first = s->rows[s->count[LOCAL] ? LOCAL : CHANNEL][0];
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < s->count[side]; i++)
            sums_add(job, sums, first, s->rows[side][i]);
}

static int is_a_set(const struct set_sums *sums)
{
    return sums->count[LOCAL] && sums->count[CHANNEL] && !sums->unlike;
}

static uint64_t group_reason(const struct set_sums *sums)
{
    return REASON_BIT(REASON_GROUP) | (sums->days ? REASON_BIT(REASON_DAY_CUT) : 0);
}

int sums_are_split(const struct job *job, const struct set_sums *sums, struct set_verdict *verdict)
{
    if (!is_a_set(sums) || sums->gross[LOCAL] != sums->gross[CHANNEL])
        return 0;
    if (compares_fee(job) &&
        (sums->fees[LOCAL] != sums->fees[CHANNEL] ||
         (sums->with_fee && sums->with_fee != sums->count[LOCAL] + sums->count[CHANNEL])))
        return 0;
    /* Every difference of days lies between these two. */
    if (!window_holds(&job->match, sums->last_day[LOCAL], sums->first_day[CHANNEL]) ||
        !window_holds(&job->match, sums->first_day[LOCAL], sums->last_day[CHANNEL]))
        return 0;
    *verdict = (struct set_verdict){CLASS_MATCH, group_reason(sums), 0};
    return 1;
}

/* 1: more went back on `side` than was taken. What is taken comes in, but for a set whose whole side holds nothing that does: a payout
 * or a refund in parts. */
static int gives_back_more(const struct set_sums *sums, enum side whole, enum side side)
{
    const money_total in = sums->above[side], out = -sums->below[side];
    return sums->above[whole] > 0 ? out > in : in > out;
}

int sums_are_partial(const struct job *job, const struct set_sums *sums, struct set_verdict *verdict)
{
    const struct partial_rules *rules = &job->match.partials;
    const enum side whole = rules->whole, parts = whole == LOCAL ? CHANNEL : LOCAL;
    if (!is_a_set(sums) || sums->gross[whole] == 0)
        return 0;
    const int sign = sums->gross[whole] < 0 ? -1 : 1;
    const money_total expected = sums->gross[whole] * sign, reached = sums->gross[parts] * sign;
    if (!rules->over_refund_ignored &&
        (gives_back_more(sums, whole, whole) || gives_back_more(sums, whole, parts))) {
        *verdict = (struct set_verdict){CLASS_MISMATCH, REASON_BIT(REASON_OVER_REFUND), 0};
    } else if (reached == expected) {
        *verdict = (struct set_verdict){CLASS_MATCH, group_reason(sums), 0};
    } else if (reached > expected) {
        *verdict = (struct set_verdict){CLASS_MISMATCH, REASON_BIT(REASON_OVER), 0};
    } else if (!sums->waits[whole]) {
        *verdict = (struct set_verdict){CLASS_MISMATCH, REASON_BIT(REASON_UNDER), 0};
    } else {
        const money_total remains = (expected - reached) * sign;
        *verdict = (struct set_verdict){CLASS_SUSPENSE, REASON_BIT(REASON_PARTIAL),
                                        remains > INT64_MAX    ? INT64_MAX
                                        : remains < -INT64_MAX ? -INT64_MAX
                                                               : (int64_t)remains};
    }
    return 1;
}

void set_finish(const struct set_verdict *verdict, struct full *row, int key_no)
{
    finish_member(row, verdict->class_id, verdict->reasons, key_no, full_gross(row));
    if (verdict->class_id == CLASS_SUSPENSE)
        row->remains_micro = verdict->remains_micro;
}

static void finish_set(const struct verdict_scratch *s, const struct set_verdict *verdict, int key_no)
{
    if (s->count[LOCAL] == 1 && s->count[CHANNEL] == 1 && verdict->class_id != CLASS_SUSPENSE) {
        pair(s->rows[LOCAL][0], s->rows[CHANNEL][0], verdict->class_id, verdict->reasons, key_no);
        return;
    }
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < s->count[side]; i++)
            set_finish(verdict, s->rows[side][i], key_no);
}

int pass_splits(const struct job *job, struct verdict_scratch *s, int key_no)
{
    struct set_sums sums;
    struct set_verdict verdict;
    take_set(job, s, &sums);
    if (!sums_are_split(job, &sums, &verdict))
        return 0;
    finish_set(s, &verdict, key_no);
    return 1;
}

int pass_partials(const struct job *job, struct verdict_scratch *s, int key_no)
{
    struct set_sums sums;
    struct set_verdict verdict;
    if (!s->count[LOCAL] || !s->count[CHANNEL])
        return 0;
    take_set(job, s, &sums);
    if (!sums_are_partial(job, &sums, &verdict))
        return 0;
    finish_set(s, &verdict, key_no);
    return 1;
}

/* ---- P6 ---- */

/* Adds what a row says of how many members there are. What cannot be read, or is more than anything could be, is never reached:
 * such a settlement is not taken as whole. An empty cell says nothing. */
static void add_wanted(uint64_t *wanted, int *stated, struct span text)
{
    enum { DIGITS_MAX = 17 };
    static const uint64_t never = UINT64_MAX / 2;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i == DIGITS_MAX) {
            value = never;
            break;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *stated |= text.size != 0;
    *wanted = *wanted > never - value ? never : *wanted + value;
}

static int64_t value_of(const struct group_rules *rules, const struct full *row)
{
    return row->side == rules->gross ? row->amount_micro - row->cost_micro : row->amount_micro;
}

void group_add(const struct job *job, struct group_sums *sums, const struct full *row)
{
    const struct group_rules *rules = &job->match.group;
    if (!row->monetary)
        return;
    sums->members[row->side]++;
    sums->waits |= record_waits(job, row);
    sums->sums[row->currency] += (money_total)value_of(rules, row) * (row->side == CHANNEL ? 1 : -1);
    if (rules->count_field != FIELD_SLOTS && row->side != rules->gross)
        add_wanted(&sums->wanted, &sums->stated, row->text[rules->count_field]);
}

int group_decides(const struct job *job, const struct group_sums *sums, struct set_verdict *verdict)
{
    const struct group_rules *rules = &job->match.group;
    int equal = 1;
    if (!sums->members[LOCAL] || !sums->members[CHANNEL])
        return 0;
    for (unsigned c = 0; c < CURRENCY_COUNT_MAX; c++)
        equal &= sums->sums[c] == 0;
    const int complete =
        rules->count_field == FIELD_SLOTS || (sums->stated && sums->members[rules->gross] >= sums->wanted);
    if (!complete && sums->waits)
        *verdict = (struct set_verdict){CLASS_SUSPENSE, REASON_BIT(REASON_PARTIAL), 0};
    else if (complete && equal)
        *verdict = (struct set_verdict){CLASS_MATCH, REASON_BIT(REASON_GROUP), 0};
    else
        *verdict = (struct set_verdict){CLASS_MISMATCH, REASON_BIT(REASON_GROUP_SUM), 0};
    return 1;
}

void group_finish(const struct job *job, const struct set_verdict *verdict, struct full *row, int key_no)
{
    if (row->monetary)
        finish_member(row, verdict->class_id, verdict->reasons, key_no, value_of(&job->match.group, row));
}

void pass_group(const struct job *job, struct verdict_scratch *s, int key_no)
{
    struct group_sums sums = {0};
    struct set_verdict verdict;
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < s->count[side]; i++)
            group_add(job, &sums, s->rows[side][i]);
    if (!group_decides(job, &sums, &verdict))
        return;
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < s->count[side]; i++)
            group_finish(job, &verdict, s->rows[side][i], key_no);
}

/* ---- P7 ---- */

static int by_amount(const void *a, const void *b)
{
    const struct full *x = *(struct full *const *)a, *y = *(struct full *const *)b;
    if (x->side != y->side)
        return x->side < y->side ? -1 : 1;
    if (x->currency != y->currency)
        return x->currency < y->currency ? -1 : 1;
    const uint64_t p = magnitude(x->amount_micro), q = magnitude(y->amount_micro);
    if (p != q)
        return p < q ? -1 : 1;
    if ((x->amount_micro < 0) != (y->amount_micro < 0))
        return x->amount_micro < 0 ? 1 : -1;
    return full_compare(x, y);
}

static void net(struct full *row)
{
    finish(row, CLASS_MATCH, REASON_BIT(REASON_NETTED), row->key_no);
    row->set_id = set_number(row, row->key_no, (struct span){"", 0}, 1u + row->side);
    row->value_micro = row->amount_micro;
}

void resolve_reversals(struct full **rows, uint32_t count)
{
    qsort(rows, count, sizeof *rows, by_amount);
    for (uint32_t i = 0, next; i < count; i = next) { /* one side and currency */
        money_total sum = 0;
        uint32_t left = 0;
        for (next = i;
             next < count && rows[next]->side == rows[i]->side &&
             rows[next]->currency == rows[i]->currency;) { /* one magnitude: those above 0 stand first */
            const uint32_t from = next;
            uint32_t below = from, end;
            const uint64_t size = magnitude(rows[from]->amount_micro);
            for (end = from;
                 end < count && rows[end]->side == rows[i]->side &&
                 rows[end]->currency == rows[i]->currency && magnitude(rows[end]->amount_micro) == size;
                 end++)
                below += rows[end]->amount_micro > 0;
            for (uint32_t k = 0; size && from + k < below && below + k < end; k++) {
                net(rows[from + k]);
                net(rows[below + k]);
            }
            for (uint32_t k = from; size && k < end; k++)
                if (rows[k]->verdict == VERDICT_OPEN) {
                    sum += rows[k]->amount_micro;
                    left++;
                }
            next = end;
        }
        for (uint32_t k = i; left > 1 && sum == 0 && k < next; k++)
            if (rows[k]->verdict == VERDICT_OPEN && rows[k]->amount_micro)
                net(rows[k]);
    }
}
