/* core/rules/sets.c: records that are right only together: splits, partial captures, settlements, reversals
 * (core/README.md, decisions 29 to 31 and 33). Whole sets, never a choice among them: a choice is a proposal
 * (subset.h). */
#include "core/model/currency.h"
#include "core/rules/pass.h"
#include <stdlib.h>

/* All open records of a key, side by side. */
struct open_set {
    struct full **rows[SIDES];
    uint32_t count[SIDES];
    money_total gross[SIDES], fees[SIDES];
    uint32_t with_fee;
    uint16_t first_day[SIDES], last_day[SIDES]; /* of those that have one */
    uint16_t days;                              /* 1 when not all bill dates are equal */
};

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

/* 0 when the open records cannot be of one set at all. */
static int take_set(const struct job *job, const struct verdict_scratch *s, struct open_set *set)
{
    *set = (struct open_set){.count = {s->count[LOCAL], s->count[CHANNEL]}};
    const struct full *first = NULL;
    for (int side = 0; side < SIDES; side++) {
        set->rows[side] = s->rows[side];
        if (!s->count[side])
            return 0;
        for (uint32_t i = 0; i < s->count[side]; i++) {
            const struct full *row = s->rows[side][i];
            first = first ? first : row;
            if (!row->monetary || row->currency != first->currency || !fields_agree(job, first, row))
                return 0;
            set->gross[side] += full_gross(row);
            set->fees[side] += row->has_fee ? row->fee_micro : 0;
            set->with_fee += row->has_fee;
            set->days |= row->day != first->day;
            if (!row->day)
                continue;
            if (!set->first_day[side] || row->day < set->first_day[side])
                set->first_day[side] = row->day;
            if (row->day > set->last_day[side])
                set->last_day[side] = row->day;
        }
    }
    return 1;
}

static void finish_set(const struct open_set *set, enum class_id class_id, uint64_t reasons, int key_no)
{
    if (set->count[LOCAL] == 1 && set->count[CHANNEL] == 1) {
        pair(set->rows[LOCAL][0], set->rows[CHANNEL][0], class_id, reasons, key_no);
        return;
    }
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < set->count[side]; i++)
            finish_member(set->rows[side][i], class_id, reasons, key_no, full_gross(set->rows[side][i]));
}

static uint64_t group_reason(const struct open_set *set)
{
    return REASON_BIT(REASON_GROUP) | (set->days ? REASON_BIT(REASON_DAY_CUT) : 0);
}

int pass_splits(const struct job *job, struct verdict_scratch *s, int key_no)
{
    struct open_set set;
    if (!take_set(job, s, &set) || set.gross[LOCAL] != set.gross[CHANNEL])
        return 0;
    if (compares_fee(job) && (set.fees[LOCAL] != set.fees[CHANNEL] ||
                              (set.with_fee && set.with_fee != set.count[LOCAL] + set.count[CHANNEL])))
        return 0;
    /* Every difference of days lies between these two. */
    if (!window_holds(&job->match, set.last_day[LOCAL], set.first_day[CHANNEL]) ||
        !window_holds(&job->match, set.first_day[LOCAL], set.last_day[CHANNEL]))
        return 0;
    finish_set(&set, CLASS_MATCH, group_reason(&set), key_no);
    return 1;
}

int pass_partials(const struct job *job, struct verdict_scratch *s, int key_no)
{
    const struct partial_rules *rules = &job->match.partials;
    const enum side whole = rules->whole, parts = whole == LOCAL ? CHANNEL : LOCAL;
    struct open_set set;
    if (!take_set(job, s, &set) || set.gross[whole] == 0)
        return 0;
    const int sign = set.gross[whole] < 0 ? -1 : 1;
    const money_total expected = set.gross[whole] * sign, reached = set.gross[parts] * sign;
    money_total captured = 0, returned = 0;
    for (uint32_t i = 0; i < set.count[parts]; i++) {
        const money_total part = (money_total)full_gross(set.rows[parts][i]) * sign;
        *(part < 0 ? &returned : &captured) += part < 0 ? -part : part;
    }
    if (returned > captured && !rules->over_refund_ignored) {
        finish_set(&set, CLASS_MISMATCH, REASON_BIT(REASON_OVER_REFUND), key_no);
    } else if (reached == expected) {
        finish_set(&set, CLASS_MATCH, group_reason(&set), key_no);
    } else if (reached > expected) {
        finish_set(&set, CLASS_MISMATCH, REASON_BIT(REASON_OVER), key_no);
    } else {
        int waits = 0;
        for (uint32_t i = 0; i < set.count[whole]; i++)
            waits |= record_waits(job, set.rows[whole][i]);
        if (!waits) {
            finish_set(&set, CLASS_MISMATCH, REASON_BIT(REASON_UNDER), key_no);
            return 1;
        }
        const money_total remains = (expected - reached) * sign;
        for (int side = 0; side < SIDES; side++)
            for (uint32_t i = 0; i < set.count[side]; i++) {
                struct full *row = set.rows[side][i];
                finish_member(row, CLASS_SUSPENSE, REASON_BIT(REASON_PARTIAL), key_no, full_gross(row));
                row->remains_micro = remains > INT64_MAX    ? INT64_MAX
                                     : remains < -INT64_MAX ? -INT64_MAX
                                                            : (int64_t)remains;
            }
    }
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

void pass_group(const struct job *job, struct verdict_scratch *s, int key_no)
{
    const struct group_rules *rules = &job->match.group;
    money_total sums[CURRENCY_COUNT_MAX] = {0};
    uint64_t members[SIDES] = {0}, wanted = 0;
    int stated = 0;
    int waits = 0, equal = 1;
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < s->count[side]; i++) {
            const struct full *row = s->rows[side][i];
            if (!row->monetary)
                continue;
            members[side]++;
            waits |= record_waits(job, row);
            sums[row->currency] += (money_total)value_of(rules, row) * (side == CHANNEL ? 1 : -1);
            if (rules->count_field != FIELD_SLOTS && side != rules->gross)
                add_wanted(&wanted, &stated, row->text[rules->count_field]);
        }
    if (!members[LOCAL] || !members[CHANNEL])
        return;
    for (unsigned c = 0; c < CURRENCY_COUNT_MAX; c++)
        equal &= sums[c] == 0;
    const int complete = rules->count_field == FIELD_SLOTS || (stated && members[rules->gross] >= wanted);
    const enum class_id class_id = !complete && waits  ? CLASS_SUSPENSE
                                   : complete && equal ? CLASS_MATCH
                                                       : CLASS_MISMATCH;
    const enum reason reason = class_id == CLASS_SUSPENSE ? REASON_PARTIAL
                               : class_id == CLASS_MATCH  ? REASON_GROUP
                                                          : REASON_GROUP_SUM;
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < s->count[side]; i++)
            if (s->rows[side][i]->monetary)
                finish_member(s->rows[side][i], class_id, REASON_BIT(reason), key_no,
                              value_of(rules, s->rows[side][i]));
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
