/* tests/oracle/oracle_sets.c: P0, currencies, sets of more than two, proposals: decisions 26 to 36 of
 * core/README.md, the plain way. */
#include "tests/oracle/oracle_inner.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arithmetic ---- */

__int128 oracle_round(__int128 numerator, __int128 denominator, enum oracle_rounding rounding)
{
    int is_negative = numerator < 0;
    __int128 n = is_negative ? -numerator : numerator, q = n / denominator, rest = n % denominator;
    __int128 above = denominator - rest; /* how far the next whole number is */
    switch (rounding) {
    case O_HALF_UP:
        q += rest >= above;
        break;
    case O_HALF_EVEN:
        q += rest > above || (rest == above && q % 2 == 1);
        break;
    case O_DOWN:
        break;
    case O_UP:
        q += rest > 0;
        break;
    }
    return is_negative ? -q : q;
}

/* Millionths in the smallest unit of a currency. */
static __int128 unit_of(const char *currency)
{
    __int128 unit = 1000000;
    for (int e = oracle_exponent((struct text){(char *)currency, 3}); e > 0; e--)
        unit /= 10;
    return unit;
}

__int128 oracle_schedule(const struct oracle_job *job, int64_t amount, const char *currency)
{
    if (amount == 0 || (amount < 0 && job->schedule.are_refunds_kept))
        return 0;
    __int128 unit = unit_of(currency), cost = oracle_magnitude(amount) * job->schedule.rate_ppm;
    cost = oracle_round(cost, 1000000 * unit, job->schedule.rounding) * unit;
    if (cost < job->schedule.min_micro)
        cost = job->schedule.min_micro;
    if (job->schedule.max_micro && cost > job->schedule.max_micro)
        cost = job->schedule.max_micro;
    return amount < 0 ? -cost : cost;
}

/* ---- P0 ---- */

static int is_word(struct text cell, const char *word)
{
    size_t n = strlen(word);
    if (n && word[n - 1] == '*')
        return cell.size >= n - 1 && memcmp(cell.data, word, n - 1) == 0;
    return text_is(cell, word);
}

static int is_sampled_out(const struct oracle_job *job, const struct orecord *r)
{
    uint64_t hash = 14695981039346656037ull;
    int is_empty = 1;
    for (int i = 0; i < job->sampling.by_count; i++) {
        struct text t = r->text[job->sampling.by[i]];
        is_empty &= t.size == 0;
        for (int shift = 24; shift >= 0; shift -= 8)
            hash = (hash ^ (t.size >> shift & 255)) * 1099511628211ull;
        for (size_t k = 0; k < t.size; k++)
            hash = (hash ^ (unsigned char)t.data[k]) * 1099511628211ull;
    }
    return !is_empty && hash % 1000000 >= job->sampling.ppm;
}

static unsigned aside_reason(const struct oracle_job *job, const struct orecord *r)
{
    if (r->is_filtered)
        return 1u << R_FILTERED;
    for (int i = 0; i < 4 && job->tests[i].words[0]; i++)
        for (int w = 0; w < 4 && job->tests[i].words[w]; w++)
            if (is_word(r->text[job->tests[i].field], job->tests[i].words[w]))
                return 1u << R_TEST;
    int is_alien = job->merchants[0] && r->text[O_MERCHANT_NO].size > 0;
    for (int i = 0; i < 8 && job->merchants[i]; i++)
        is_alien &= !text_is(r->text[O_MERCHANT_NO], job->merchants[i]);
    if (is_alien)
        return 1u << R_ALIEN_MERCHANT;
    return job->sampling.is_given && is_sampled_out(job, r) ? 1u << R_SAMPLED : 0;
}

void oracle_set_aside(struct oracle *oracle)
{
    for (int i = 0; i < oracle->count; i++) {
        unsigned reason = aside_reason(oracle->job, oracle->records[i]);
        if (reason)
            oracle_decide(oracle->records[i], O_EXCLUDED, reason);
    }
}

/* ---- P3x ---- */

static int take_digits(const char **at, int count, int64_t *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, ++*at) {
        if (!isdigit((unsigned char)**at))
            return 0;
        *value = *value * 10 + **at - '0';
    }
    return 1;
}

static int read_rate(struct orate *rate, const struct text cells[4])
{
    const char *at = cells[0].data;
    int64_t year, month, day;
    if (cells[0].size != 10 || !take_digits(&at, 4, &year) || *at++ != '-' || !take_digits(&at, 2, &month) ||
        *at++ != '-' || !take_digits(&at, 2, &day))
        return 0;
    if (!oracle_date(cells[0], &rate->day))
        return 0;
    if (oracle_exponent(cells[1]) < 0 || oracle_exponent(cells[2]) < 0)
        return 0;
    memcpy(rate->from, cells[1].data, 4);
    memcpy(rate->to, cells[2].data, 4);
    int digits = 0, points = 0;
    rate->digits = 0;
    rate->scale = 1;
    for (size_t i = 0; i < cells[3].size; i++) {
        char c = cells[3].data[i];
        if (c == '.' && !points++ && i > 0 && i + 1 < cells[3].size)
            continue;
        if (!isdigit((unsigned char)c) || ++digits > 18)
            return 0;
        rate->digits = rate->digits * 10 + (c - '0');
        rate->scale *= points ? 10 : 1;
    }
    return rate->digits > 0;
}

int oracle_read_rates(struct oracle *oracle)
{
    struct csv_reader reader;
    struct csv_row row;
    enum csv_step step;
    int is_header = 1, ok = 1;
    csv_start(&reader, oracle->job->rates, strlen(oracle->job->rates));
    while (ok && (step = csv_next(&reader, &row)) != CSV_END) {
        if (step == CSV_BLANK)
            continue;
        ok = step == CSV_ROW && row.count == 4;
        if (ok && is_header) {
            ok = text_is(row.cells[0], "date") && text_is(row.cells[1], "from") &&
                 text_is(row.cells[2], "to") && text_is(row.cells[3], "rate");
        } else if (ok) {
            struct orate rate;
            ok = read_rate(&rate, row.cells);
            for (int i = 0; ok && i < oracle->rate_count; i++)
                ok = oracle->rates[i].day != rate.day || strcmp(oracle->rates[i].from, rate.from) != 0 ||
                     strcmp(oracle->rates[i].to, rate.to) != 0;
            oracle->rates = must_grow(oracle->rates, (size_t)(oracle->rate_count + 1) * sizeof rate);
            oracle->rates[oracle->rate_count++] = rate;
        }
        is_header = 0;
        csv_row_free(&row);
    }
    return ok && !is_header;
}

int oracle_convert(const struct oracle *oracle, const struct orecord *local, const char *currency,
                   __int128 *converted)
{
    for (int i = 0; i < oracle->rate_count; i++) {
        const struct orate *rate = &oracle->rates[i];
        if (!local->has_date || rate->day != local->day || !text_is(local->text[O_CURRENCY], rate->from) ||
            strcmp(rate->to, currency) != 0)
            continue;
        __int128 unit = unit_of(currency);
        *converted = oracle_round((__int128)local->amount * rate->digits, rate->scale * unit,
                                  oracle->job->fx_rounding) *
                     unit;
        return 1;
    }
    return 0;
}

/* All compared fields but currency, amount and fee. */
static int compare_fields(const struct orecord *a, const struct orecord *b, int with_status)
{
    int c = 0;
    for (int f = 0; f < O_SLOTS && !c; f++)
        if (oracle_is_in_sigma(f) && f != O_AMOUNT && f != O_FEE && f != O_CURRENCY &&
            (with_status || (f != O_STATUS && f != O_DIRECTION)))
            c = oracle_compare_field(a, b, f);
    return c;
}

static int compare_converted(const struct orecord *a, const struct orecord *b)
{
    int c = compare_fields(a, b, 1);
    return c ? c : oracle_compare_numbers(a->converted, b->converted);
}

static int by_converted(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = compare_converted(a, b);
    return c ? c : oracle_order(a, b);
}

static void pair_converted(struct orecord **local, int locals, struct orecord **channel, int channels,
                           int key)
{
    qsort(local, (size_t)locals, sizeof *local, by_converted);
    qsort(channel, (size_t)channels, sizeof *channel, by_converted);
    for (int l = 0, c = 0; l < locals && c < channels;) {
        int differ = compare_converted(local[l], channel[c]);
        int window = differ ? 0 : oracle_window_side(local[l], channel[c]);
        if (differ < 0 || window > 0) {
            l++;
        } else if (differ > 0 || window < 0) {
            c++;
        } else {
            unsigned fee = oracle_sorting_job->fees == O_FEES_NET && channel[c]->cost != 0 ? 1u << R_FEE : 0;
            oracle_decide_pair(local[l], channel[c], O_MATCH,
                               1u << R_FX | fee | oracle_day_cut(local[l], channel[c]), 0, key);
            l++;
            c++;
        }
    }
}

void oracle_pass_fx(const struct oracle *oracle, struct orecord **local, int locals, struct orecord **channel,
                    int channels, int key)
{
    char done[4] = ""; /* all codes up to this one are */
    struct orecord **l = must_take((size_t)(locals + 1) * sizeof *l),
                   **c = must_take((size_t)(channels + 1) * sizeof *c);
    for (;;) {
        const char *code = NULL;
        for (int i = 0; i < channels; i++) {
            const char *own = channel[i]->text[O_CURRENCY].data;
            if (strcmp(own, done) > 0 && (!code || strcmp(own, code) < 0))
                code = own;
        }
        if (!code)
            break;
        snprintf(done, sizeof done, "%s", code);
        int nl = 0, nc = 0;
        for (int i = 0; i < locals; i++)
            if (local[i]->class_id == O_OPEN && !text_is(local[i]->text[O_CURRENCY], code) &&
                oracle_convert(oracle, local[i], code, &local[i]->converted))
                l[nl++] = local[i];
        for (int i = 0; i < channels; i++)
            if (channel[i]->class_id == O_OPEN && text_is(channel[i]->text[O_CURRENCY], code)) {
                channel[i]->converted = channel[i]->gross;
                c[nc++] = channel[i];
            }
        pair_converted(l, nl, c, nc, key);
    }
    free(l);
    free(c);
}

/* ---- sets ---- */

/* The records of both sides, behind each other. */
static struct orecord **join(struct orecord **local, int locals, struct orecord **channel, int channels)
{
    struct orecord **all = must_take((size_t)(locals + channels) * sizeof *all);
    memcpy(all, local, (size_t)locals * sizeof *all);
    memcpy(all + locals, channel, (size_t)channels * sizeof *all);
    return all;
}

static void decide_set(struct orecord **all, int count, int class_id, unsigned reasons, int key)
{
    for (int i = 0; i < count; i++) {
        oracle_decide(all[i], class_id, reasons);
        all[i]->key_no = key + 1;
        all[i]->set = text_copy(all[i]->tuple.data, all[i]->tuple.size);
    }
}

static __int128 sum_gross(struct orecord **list, int count)
{
    __int128 sum = 0;
    for (int i = 0; i < count; i++)
        sum += list[i]->gross;
    return sum;
}

/* Monetary, of one currency, and equal in what sets compare. */
static int is_of_one_kind(struct orecord **all, int count)
{
    for (int i = 0; i < count; i++)
        if (!oracle_is_monetary(all[i]) || oracle_compare_field(all[0], all[i], O_CURRENCY) != 0 ||
            compare_fields(all[0], all[i], 0) != 0)
            return 0;
    return 1;
}

/* Where not all bill dates are equal. */
static unsigned set_day_cut(struct orecord **all, int count)
{
    unsigned reasons = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++)
            reasons |= oracle_day_cut(all[i], all[k]);
    return reasons;
}

int oracle_pass_partials(const struct oracle *oracle, struct orecord **local, int locals,
                         struct orecord **channel, int channels, int key)
{
    const struct oracle_job *job = oracle->job;
    int count = locals + channels, is_local_whole = job->partials.whole == ORACLE_LOCAL;
    struct orecord **all = join(local, locals, channel, channels);
    struct orecord **parts = is_local_whole ? channel : local;
    int part_count = is_local_whole ? channels : locals;
    __int128 whole = is_local_whole ? sum_gross(local, locals) : sum_gross(channel, channels);
    __int128 reached = sum_gross(parts, part_count);
    if (whole == 0 || !is_of_one_kind(all, count)) {
        free(all);
        return 0;
    }
    int sign = whole < 0 ? -1 : 1, captures = -1, gives_back_more = 0;
    for (int i = 0; i < count; i++) /* the whole side has money that came in: that are its captures */
        if ((all[i]->side == ORACLE_LOCAL) == is_local_whole && all[i]->gross > 0)
            captures = 1;
    for (int side = 0; side < 2; side++) {
        __int128 captured = 0, refunded = 0;
        for (int i = 0; i < count; i++) {
            __int128 amount = (int)all[i]->side == side ? all[i]->gross * captures : 0;
            captured += amount > 0 ? amount : 0;
            refunded += amount < 0 ? -amount : 0;
        }
        gives_back_more |= refunded > captured;
    }
    int class_id = O_MISMATCH;
    unsigned reasons;
    if (gives_back_more && !job->partials.is_over_refund_ignored) {
        reasons = 1u << R_OVER_REFUND;
    } else if (reached == whole) {
        class_id = O_MATCH;
        reasons = 1u << R_GROUP | set_day_cut(all, count);
    } else if (reached * sign > whole * sign) {
        reasons = 1u << R_OVER;
    } else if (job->threshold[job->partials.whole] > 0) {
        class_id = O_SUSPENSE;
        reasons = 1u << R_PARTIAL;
    } else {
        reasons = 1u << R_UNDER;
    }
    if (class_id == O_SUSPENSE) {
        decide_set(all, count, class_id, reasons, key);
        for (int i = 0; i < count; i++) {
            if (all[i]->is_dup_suspect)
                all[i]->reasons |= 1u << R_DUP_SUSPECT;
            oracle_print_money(&all[i]->remains, whole - reached, all[i]->text[O_CURRENCY].data);
        }
    } else if (locals == 1 && channels == 1) {
        oracle_decide_pair(local[0], channel[0], class_id, reasons, 0, key);
    } else {
        decide_set(all, count, class_id, reasons, key);
    }
    free(all);
    return 1;
}

int oracle_pass_splits(struct orecord **local, int locals, struct orecord **channel, int channels, int key)
{
    const struct oracle_job *job = oracle_sorting_job;
    int count = locals + channels;
    if (locals == channels && oracle_is_one_sigma(local, locals) && oracle_is_one_sigma(channel, channels))
        return 0;
    struct orecord **all = join(local, locals, channel, channels);
    int ok = is_of_one_kind(all, count) && sum_gross(local, locals) == sum_gross(channel, channels);
    for (int l = 0; l < locals; l++)
        for (int c = 0; c < channels; c++)
            ok &= oracle_window_side(local[l], channel[c]) == 0;
    if (job->is_compared[O_FEE]) {
        int with_fee = 0;
        __int128 difference = 0;
        for (int i = 0; i < count; i++) {
            with_fee += all[i]->has_fee;
            difference += i < locals ? -(__int128)all[i]->fee : (__int128)all[i]->fee;
        }
        ok &= (with_fee == 0 || with_fee == count) && difference == 0;
    }
    if (ok)
        decide_set(all, count, O_MATCH, 1u << R_GROUP | set_day_cut(all, count), key);
    free(all);
    return ok;
}

/* ---- P6 ---- */

static __int128 settlement_value(const struct orecord *r)
{
    int is_gross = oracle_sorting_job->group.gross == r->side;
    return (__int128)r->amount - (is_gross ? r->cost : 0);
}

static int are_sums_equal(struct orecord **members, int count)
{
    for (int i = 0; i < count; i++) {
        __int128 difference = 0;
        for (int k = 0; k < count; k++)
            if (oracle_compare_field(members[i], members[k], O_CURRENCY) == 0)
                difference += members[k]->side == ORACLE_LOCAL ? -settlement_value(members[k])
                                                               : settlement_value(members[k]);
        if (difference != 0)
            return 0;
    }
    return 1;
}

static int64_t whole_number(struct text t)
{
    int64_t value = 0;
    for (size_t i = 0; i < t.size; i++)
        value = value * 10 + (t.data[i] - '0');
    return value;
}

void oracle_pass_settlement(struct orecord **group, int count)
{
    const struct oracle_job *job = oracle_sorting_job;
    struct orecord **members = must_take((size_t)count * sizeof *members);
    int n = 0, of_side[ORACLE_SIDES] = {0}, does_wait = 0;
    int64_t wanted = 0;
    for (int i = 0; i < count; i++)
        if (oracle_is_monetary(group[i])) {
            members[n++] = group[i];
            of_side[group[i]->side]++;
            does_wait |= job->threshold[group[i]->side] > 0;
            if (job->group.count >= 0 && group[i]->side != job->group.gross)
                wanted += whole_number(group[i]->text[job->group.count]);
        }
    if (of_side[0] && of_side[1]) {
        int is_complete = job->group.count < 0 || of_side[job->group.gross] >= wanted;
        if (is_complete && are_sums_equal(members, n))
            decide_set(members, n, O_MATCH, 1u << R_GROUP, 0);
        else if (is_complete || !does_wait)
            decide_set(members, n, O_MISMATCH, 1u << R_GROUP_SUM, 0);
        else
            decide_set(members, n, O_SUSPENSE, 1u << R_PARTIAL, 0);
    }
    free(members);
}

/* ---- the budget ---- */

static struct text cell_code(const struct orecord *local)
{
    return local->text[O_CHANNEL_CODE].size ? local->text[O_CHANNEL_CODE]
                                            : local->partner->text[O_CHANNEL_CODE];
}

static int compare_cells(const struct orecord *a, const struct orecord *b)
{
    const struct orecord *dated_a = a->has_date ? a : a->partner, *dated_b = b->has_date ? b : b->partner;
    int c = text_compare(cell_code(a), cell_code(b));
    if (!c)
        c = oracle_compare_field(a, b, O_CURRENCY);
    if (!c)
        c = dated_a->has_date - dated_b->has_date;
    return c || !dated_a->has_date ? c : oracle_compare_numbers(dated_a->day, dated_b->day);
}

static int by_cell(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = compare_cells(a, b);
    return c ? c : oracle_order(a, b);
}

void oracle_pass_budget(struct oracle *oracle)
{
    const struct oracle_job *job = oracle->job;
    struct orecord **list = must_take((size_t)(oracle->count + 1) * sizeof *list);
    int n = 0;
    for (int i = 0; i < oracle->count; i++) {
        struct orecord *r = oracle->records[i];
        if (r->side == ORACLE_LOCAL && r->class_id == O_MATCH && r->reasons >> R_TOLERANCE & 1)
            list[n++] = r;
    }
    qsort(list, (size_t)n, sizeof *list, by_cell);
    __int128 spent = 0;
    int is_over = 0;
    for (int i = 0; i < n; i++) {
        struct orecord *l = list[i], *c = l->partner;
        if (i == 0 || compare_cells(list[i - 1], l) != 0)
            spent = is_over = 0;
        spent += oracle_magnitude(c->gross - l->gross);
        if (job->is_compared[O_FEE])
            spent += oracle_magnitude((__int128)c->fee - l->fee);
        is_over |= spent > job->budget_micro;
        if (!is_over)
            continue;
        l->class_id = c->class_id = O_MISMATCH;
        l->reasons = c->reasons = (l->reasons & (1u << R_DAY_CUT | 1u << R_DATE_DISAGREES)) | 1u << R_BUDGET;
    }
    free(list);
}

/* ---- P7 ---- */

static int compare_purses(const struct orecord *a, const struct orecord *b)
{
    int c = text_compare(a->tuple, b->tuple);
    if (!c)
        c = a->side - b->side;
    return c ? c : oracle_compare_field(a, b, O_CURRENCY);
}

static int by_purse(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = compare_purses(a, b);
    return c ? c : oracle_order(a, b);
}

static void net(struct orecord *r)
{
    oracle_decide(r, O_MATCH, 1u << R_NETTED);
    r->key_no = r->tuple.data[0] - '0';
    text_append(&r->set, r->side ? "C" : "L", 1);
    text_append(&r->set, r->tuple.data, r->tuple.size);
}

void oracle_pass_reversals(struct oracle *oracle)
{
    struct orecord **list = must_take((size_t)(oracle->count + 1) * sizeof *list);
    int n = 0;
    for (int i = 0; i < oracle->count; i++) {
        struct orecord *r = oracle->records[i];
        if (r->class_id != O_OPEN || !oracle_is_monetary(r) || r->amount == 0)
            continue;
        free(r->tuple.data);
        r->tuple = (struct text){0};
        for (int key = 0; key < oracle->job->key_count && r->tuple.size == 0; key++)
            r->tuple = oracle_key_tuple(r, key);
        if (r->tuple.size)
            list[n++] = r;
    }
    qsort(list, (size_t)n, sizeof *list, by_purse);
    for (int from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && compare_purses(list[from], list[to]) == 0;)
            to++;
        for (int i = from; i < to; i++)
            for (int k = i + 1; k < to && list[i]->class_id == O_OPEN; k++)
                if (list[k]->class_id == O_OPEN && (__int128)list[k]->amount + list[i]->amount == 0) {
                    net(list[i]);
                    net(list[k]);
                }
        __int128 sum = 0;
        int rest = 0;
        for (int i = from; i < to; i++)
            if (list[i]->class_id == O_OPEN) {
                sum += list[i]->amount;
                rest++;
            }
        for (int i = from; i < to && rest >= 2 && sum == 0; i++)
            if (list[i]->class_id == O_OPEN)
                net(list[i]);
    }
    free(list);
}

/* ---- P8 ---- */

enum { SOLUTIONS_MAX = 10, PARTS_MAX = 64 };

struct search {
    struct orecord **candidates;
    int count;
    long work;
    int has_given_up, is_cut, solutions;
    int taken[PARTS_MAX];
    int found[SOLUTIONS_MAX][PARTS_MAX], found_parts[SOLUTIONS_MAX];
};

static void visit(struct search *s, int from, __int128 rest, int taken)
{
    const struct oracle_job *job = oracle_sorting_job;
    for (int i = from; i < s->count && s->solutions < SOLUTIONS_MAX && !s->has_given_up; i++) {
        __int128 own = oracle_magnitude(s->candidates[i]->gross), behind = 0;
        if (++s->work > job->subset.work) {
            s->has_given_up = 1;
            return;
        }
        s->taken[taken] = i;
        if (own > rest)
            continue;
        if (own == rest) {
            memcpy(s->found[s->solutions], s->taken, sizeof s->taken);
            s->found_parts[s->solutions++] = taken + 1;
            continue;
        }
        for (int k = i + 1; k < s->count; k++)
            behind += oracle_magnitude(s->candidates[k]->gross);
        if (taken + 1 < job->subset.parts && behind >= rest - own)
            visit(s, i + 1, rest - own, taken + 1);
        else if (behind >= rest - own)
            s->is_cut = 1;
    }
}

static int compare_pools(const struct orecord *a, const struct orecord *b)
{
    const struct oracle_job *job = oracle_sorting_job;
    int c = oracle_compare_field(a, b, O_CURRENCY);
    for (int i = 0; i < job->subset.by_count && !c; i++)
        c = text_compare(a->text[job->subset.by[i]], b->text[job->subset.by[i]]);
    return c;
}

static int by_pool(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = compare_pools(a, b);
    return c ? c : oracle_order(a, b);
}

static int by_size(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = oracle_compare_numbers(oracle_magnitude(b->gross), oracle_magnitude(a->gross));
    return c ? c : oracle_order(a, b);
}

static struct text number_cell(long number)
{
    char text[32];
    return text_copy(text, (size_t)snprintf(text, sizeof text, "%ld", number));
}

static void add_proposal(struct oracle *oracle, const char *outcome, const struct search *s, int solution,
                         const struct orecord *r)
{
    struct table *t = oracle->proposals;
    struct text *row = must_take((size_t)t->width * sizeof *row), *at = row;
    *at++ = text_copy(outcome, strlen(outcome));
    *at++ = s->has_given_up ? text_copy("", 0) : number_cell(s->solutions);
    *at++ = solution ? number_cell(solution) : text_copy("", 0);
    *at++ = solution ? text_copy("part", 4) : text_copy("target", 6);
    at = oracle_record_cells(oracle->job, r, at);
    *at++ = oracle_place_cell(r);
    table_add(t, row);
}

static int by_order(const void *pa, const void *pb)
{
    return oracle_order(*(struct orecord *const *)pa, *(struct orecord *const *)pb);
}

static void propose(struct oracle *oracle, struct orecord *target, struct orecord **pool, int count)
{
    struct search s = {.candidates = must_take((size_t)(count + 1) * sizeof *pool)};
    int of_side[ORACLE_SIDES] = {0};
    for (int i = 0; i < count; i++) {
        of_side[pool[i]->side]++;
        const struct orecord *local = target->side == ORACLE_LOCAL ? target : pool[i],
                             *channel = target->side == ORACLE_LOCAL ? pool[i] : target;
        if (pool[i]->side != target->side && (pool[i]->gross < 0) == (target->gross < 0) &&
            pool[i]->gross != 0 && oracle_magnitude(pool[i]->gross) <= oracle_magnitude(target->gross) &&
            oracle_window_side(local, channel) == 0)
            s.candidates[s.count++] = pool[i];
    }
    qsort(s.candidates, (size_t)s.count, sizeof *s.candidates, by_size);
    if (of_side[0] > oracle->job->subset.pool || of_side[1] > oracle->job->subset.pool)
        s.has_given_up = 1;
    else
        visit(&s, 0, oracle_magnitude(target->gross), 0);
    if (s.is_cut && s.solutions == 0)
        s.has_given_up = 1;
    const char *outcome = s.has_given_up     ? "gave_up"
                          : s.solutions == 0 ? "impossible"
                          : s.solutions == 1 ? "unique"
                                             : "several";
    add_proposal(oracle, outcome, &s, 0, target);
    for (int k = 0; !s.has_given_up && k < s.solutions; k++) {
        struct orecord *parts[PARTS_MAX];
        for (int i = 0; i < s.found_parts[k]; i++)
            parts[i] = s.candidates[s.found[k][i]];
        qsort(parts, (size_t)s.found_parts[k], sizeof *parts, by_order);
        for (int i = 0; i < s.found_parts[k]; i++)
            add_proposal(oracle, outcome, &s, k + 1, parts[i]);
    }
    free(s.candidates);
}

void oracle_pass_proposals(struct oracle *oracle)
{
    const char *names[80] = {"outcome", "solutions", "solution", "role"};
    int width = 4 + oracle_record_names(oracle->job, names + 4);
    names[width++] = "place";
    oracle->proposals = table_open(names, width);
    struct orecord **pool = must_take((size_t)(oracle->count + 1) * sizeof *pool),
                   **targets = must_take((size_t)(oracle->count + 1) * sizeof *targets);
    int n = 0;
    for (int i = 0; i < oracle->count; i++)
        if (oracle->records[i]->class_id == O_OPEN && oracle_is_monetary(oracle->records[i]))
            pool[n++] = oracle->records[i];
    memcpy(targets, pool, (size_t)n * sizeof *pool);
    qsort(pool, (size_t)n, sizeof *pool, by_pool);
    qsort(targets, (size_t)n, sizeof *targets, by_order);
    for (int i = 0; i < n; i++) {
        int from = 0, to;
        if (targets[i]->gross == 0)
            continue;
        while (compare_pools(pool[from], targets[i]) != 0)
            from++;
        for (to = from; to < n && compare_pools(pool[to], targets[i]) == 0;)
            to++;
        propose(oracle, targets[i], pool + from, to - from);
    }
    free(pool);
    free(targets);
}

/* ---- a day's fees ---- */

void oracle_check_day_fees(struct oracle *oracle)
{
    for (int i = 0; i < oracle->count; i++) {
        const struct orecord *r = oracle->records[i];
        __int128 amount = 0, cost = 0, unit = unit_of(r->text[O_CURRENCY].data);
        if (r->side != ORACLE_CHANNEL)
            continue;
        for (int k = 0; k < oracle->count; k++) {
            const struct orecord *other = oracle->records[k];
            if (other->side != ORACLE_CHANNEL || oracle_compare_field(r, other, O_CURRENCY) != 0 ||
                r->has_date != other->has_date || (r->has_date && r->day != other->day))
                continue;
            amount += other->amount;
            cost += other->cost;
        }
        __int128 due = oracle_round(amount * oracle->job->schedule.rate_ppm, 1000000 * unit,
                                    oracle->job->schedule.rounding) *
                       unit;
        oracle->are_day_fees_off |= due != cost;
    }
}
