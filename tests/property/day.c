/* tests/property/day.c: see day.h */
#include "tests/property/day.h"
#include "core/base/prng.h"
#include "tests/oracle/oracle_inner.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct maker {
    struct day *day;
    struct prng prng;
    struct oracle_job *job;
    int payments, key_space, is_big;
    int nasty_percent, change_percent, reject_percent, quote_percent;
    int64_t amount_base, amount_step;
    int amount_style, same_id_percent, currency_percent, out_percent, empty_percent;
    int64_t base_day;
    int has[ORACLE_SIDES][O_SLOTS], has_occurrence[ORACLE_SIDES];
    int next_id, current_side;
};

/* What a payment is before a side spells it. */
struct payment {
    char text[O_SLOTS][240];
    int64_t amount, fee;
    int is_out, has_fee;
    int day, second, micro, stated_days_off;
    char occurrence[48];
    const char *refund; /* the second part of an occurrence id of two columns */
};

static int below(struct maker *m, int bound)
{
    return (int)prng_below(&m->prng, (uint64_t)bound);
}

static int percent(struct maker *m, int share)
{
    return below(m, 100) < share;
}

#define PICK(m, list) ((list)[below((m), (int)(sizeof(list) / sizeof(list)[0]))])

static const char *keep(struct day *day, const char *word)
{
    if (day->word_count == (int)(sizeof day->words / sizeof day->words[0]))
        abort();
    char *slot = day->words[day->word_count++];
    snprintf(slot, sizeof day->words[0], "%s", word);
    return slot;
}

/* ---- the rules of the day ---- */

static void choose_sizes(struct maker *m, int payments)
{
    static const int sizes[] = {0, 1, 2, 3, 4, 6, 8, 12, 20, 40, 80};
    m->is_big = payments > 0;
    m->payments = payments > 0 ? payments : PICK(m, sizes);
    /* From one key for all to about one for each. */
    m->key_space = 1 + m->payments / (m->is_big ? 4 : PICK(m, ((const int[]){1, 2, 3, 4, 8, 1000})));
    m->nasty_percent = percent(m, 40) ? 15 : 0;
    m->change_percent = PICK(m, ((const int[]){0, 10, 30, 60}));
    m->reject_percent = percent(m, 35) ? PICK(m, ((const int[]){3, 10, 40})) : 0;
    m->quote_percent = PICK(m, ((const int[]){0, 5, 50, 100}));
    m->same_id_percent = PICK(m, ((const int[]){0, 20, 60}));
    m->currency_percent = percent(m, 30) ? 30 : 0;
    m->out_percent = percent(m, 60) ? PICK(m, ((const int[]){5, 30, 50})) : 0;
    m->empty_percent = percent(m, 50) ? PICK(m, ((const int[]){2, 10, 30})) : 0;
    m->amount_style = below(m, 4);
    m->amount_base = PICK(m, ((const int64_t[]){100000000, 100000000, 1000000, 0, 123456789}));
    m->amount_step = PICK(m, ((const int64_t[]){1, 5000, 10000, 10000, 500000, 1000000}));
    m->base_day = PICK(
        m,
        ((const int64_t[]){20458, 20512, 20520, 20757,
                           20454})); /* of 2026: January, end of February, March 8, November 1, 1 January */
}

static const char *const attr_words[] = {"Zone_1", "memo", "shop"};

/* The compared fields besides the three that always are. */
static void choose_compare(struct maker *m)
{
    static const int usual[] = {O_STATUS,   O_STATUS,          O_FEE, O_MERCHANT_NO, O_SUB_MERCHANT_NO,
                                O_BIZ_TYPE, O_CHANNEL_ORDER_NO};
    int n = below(m, 4);
    for (int i = 0; i < n; i++)
        m->job->is_compared[PICK(m, usual)] = 1;
    for (int a = 0; a < m->job->attr_count; a++)
        if (m->day->is_diff || percent(m, 60))
            m->job->is_compared[O_FIELDS + a] = 1;
}

static void need_on_both(struct maker *m, int field)
{
    m->has[0][field] = m->has[1][field] = 1;
}

static void choose_columns(struct maker *m)
{
    static const int share[O_FIELDS] = {50, 30, 70, 50, 50, 20, 50, 60, 40, 40, 100, 50, 60};
    for (int side = 0; side < ORACLE_SIDES; side++)
        for (int f = 0; f < O_FIELDS; f++)
            m->has[side][f] = percent(m, share[f]);
    if (!m->currency_percent)
        m->has[0][O_CURRENCY] = m->has[1][O_CURRENCY] = percent(m, 20);
}

static void choose_keys(struct maker *m)
{
    static const int tuples[][3] = {{O_BIZ_ORDER_NO, -1},
                                    {O_CHANNEL_CODE, O_BIZ_ORDER_NO, -1},
                                    {O_CHANNEL_ORDER_NO, -1},
                                    {O_CHANNEL_CODE, O_CHANNEL_ORDER_NO, -1},
                                    {O_BIZ_ORDER_NO, O_MERCHANT_NO, -1},
                                    {O_MERCHANT_NO, -1},
                                    {O_FIELDS, -1},
                                    {O_BIZ_ORDER_NO, O_FIELDS, -1}};
    enum { COUNT = sizeof tuples / sizeof tuples[0] };
    int wanted = m->day->is_diff ? 1 : 1 + below(m, 3), used[COUNT] = {0};
    for (int i = 0; i < wanted; i++) {
        int t = percent(m, 50) && i == 0 ? below(m, 2) : below(m, COUNT);
        int has_attr = tuples[t][0] >= O_FIELDS || tuples[t][1] >= O_FIELDS;
        /* All that one merchant has left, with sets on top, is more than a shard of the roads may hold. */
        int is_too_wide = m->is_big && m->day->is_rules && tuples[t][0] == O_MERCHANT_NO;
        if (used[t]++ || is_too_wide || (has_attr && (m->job->attr_count == 0 || m->day->is_diff)))
            continue;
        int key = m->job->key_count++;
        for (int p = 0; tuples[t][p] >= 0 && p < 3; p++) {
            m->job->key_parts[key][m->job->key_part_count[key]++] = tuples[t][p];
            /* The job's constant may stand in for the channel code. */
            if (m->day->is_diff || tuples[t][p] != O_CHANNEL_CODE || percent(m, 50))
                need_on_both(m, tuples[t][p]);
        }
    }
    if (m->job->key_count == 0) {
        m->job->key_count = 1;
        m->job->key_parts[0][0] = O_BIZ_ORDER_NO;
        m->job->key_part_count[0] = 1;
        need_on_both(m, O_BIZ_ORDER_NO);
    }
}

/* Without their own columns such fields are the job's constants, on both sides or on one. */
static int is_constant_allowed(const struct maker *m, int field)
{
    return !m->day->is_diff &&
           ((field == O_CHANNEL_CODE && m->job->channel_code) || (field == O_BIZ_TYPE && m->job->biz_type));
}

static void choose_diff(struct maker *m)
{
    struct day *day = m->day;
    struct oracle_job plan = *m->job;
    char *at = day->key;
    /* Some columns have another name on the channel's side. */
    int renamed = percent(m, 25);
    for (int p = 0; p < plan.key_part_count[0]; p++) {
        const char *word = oracle_field_word(plan.key_parts[0][p]);
        int other = renamed;
        at += snprintf(at, 100, "%s%s%s%s", p ? "," : "", word, other ? ":their_" : "", other ? word : "");
    }
    snprintf(
        day->amount, sizeof day->amount, "%s",
        PICK(m, ((const char *const[]){"amount", "amount", "trade_amount", "amount:total", "paid:amount"})));
    at = day->compare;
    for (int f = 0; f < O_SLOTS; f++)
        if (plan.is_compared[f]) {
            const char *word = f < O_FIELDS ? oracle_field_word(f) : plan.attrs[f - O_FIELDS];
            at += snprintf(at, 100, "%s%s", at == day->compare ? "" : ",", word);
            /* A key part must have one pair of names everywhere. */
            for (int p = 0; p < plan.key_part_count[0]; p++)
                if (plan.key_parts[0][p] == f && renamed)
                    at += snprintf(at, 100, ":their_%s", word);
        }
    if (!oracle_diff_init(&day->diff, day->key, day->amount, day->compare)) {
        fprintf(stderr, "day %llu: the oracle does not understand --key=%s --amount=%s --compare=%s\n",
                (unsigned long long)day->seed, day->key, day->amount, day->compare);
        abort();
    }
    day->job = day->diff.job;
    if (percent(m, 20))
        day->currency = day->job.currency = PICK(m, ((const char *const[]){"CNY", "JPY", "USD", "KWD"}));
    if (percent(m, 20))
        day->timezone = day->job.timezone =
            PICK(m, ((const char *const[]){"UTC", "America/New_York", "Asia/Shanghai"}));
}

static void choose_words(struct maker *m, int side)
{
    static const char *const words[] = {"SUCCESS", "REFUNDED", "PROCESSING", "FAILED", "CLOSED"};
    struct oracle_source *source = &m->job->sources[side];
    int has_own_words = percent(m, 50), n = 0;
    for (int i = 0; i < 5; i++) {
        char own[16];
        snprintf(own, sizeof own, "%d", i);
        if (has_own_words && i == 4 && percent(m, 50)) {
            source->status_other = "CLOSED"; /* 4, and any other word */
            continue;
        }
        source->status_map[n++] = (struct oracle_map){has_own_words ? keep(m->day, own) : words[i], words[i]};
    }
    if (percent(m, 40)) {
        source->direction_map[0] = (struct oracle_map){"pay in", "IN"};
        source->direction_map[1] = (struct oracle_map){"refund", "OUT"};
    }
}

/* How the file itself is written. */
static void choose_layout(struct maker *m, int side)
{
    static const char *const comments[] = {"#", "--", "id"};
    struct oracle_source *source = &m->job->sources[side];
    if (percent(m, 20))
        source->delimiter = "|;\t"[below(m, 3)];
    if (percent(m, 20))
        source->comment = PICK(m, comments);
    if (percent(m, 15))
        source->skip_lines = 1 + below(m, 3);
    source->has_no_quote = percent(m, 8);
    if (percent(m, 20))
        source->strip[O_BIZ_ORDER_NO] = "`\t ";
    if (percent(m, 20))
        source->strip[O_CHANNEL_ORDER_NO] = "'";
    if (percent(m, 20))
        source->strip[O_AMOUNT] = ", ";
    if (m->has[side][O_CURRENCY] && percent(m, 20)) {
        source->currency_map[0] = (struct oracle_map){"156", "CNY"};
        source->currency_map[1] = (struct oracle_map){"840", "USD"};
        source->currency_map[2] = (struct oracle_map){"392", "JPY"};
        source->currency_map[3] = (struct oracle_map){"414", "KWD"};
    }
}

static void choose_source(struct maker *m, int side)
{
    struct oracle_source *source = &m->job->sources[side];
    int is_debit_credit = percent(m, 10);
    choose_layout(m, side);
    if (is_debit_credit) {
        m->has[side][O_DIRECTION] = 0;
        source->debit = side ? "c debit" : "l debit";
        source->credit = side ? "c credit" : "l credit";
    }
    for (int f = 0; f < O_FIELDS + m->job->attr_count; f++) {
        char name[48];
        const char *word = f < O_FIELDS ? oracle_field_word(f) : m->job->attrs[f - O_FIELDS];
        if (f >= O_FIELDS)
            m->has[side][f] = 1;
        if (!m->has[side][f] || (f == O_AMOUNT && is_debit_credit))
            continue;
        snprintf(name, sizeof name, !source->has_no_quote && percent(m, 20) ? "%s, \"%s\"" : "%s %s",
                 side ? "c" : "l", word);
        source->column[f] = keep(m->day, name);
    }
    source->amount_is_minor = percent(m, 20);
    source->fee_is_minor = percent(m, 20);
    if (!m->has[side][O_CURRENCY] && percent(m, 20))
        source->currency = PICK(m, ((const char *const[]){"CNY", "USD"}));
    if (percent(m, 15))
        source->timezone = PICK(m, ((const char *const[]){"UTC", "Asia/Shanghai"}));
    if (percent(m, 60)) {
        m->has_occurrence[side] = 1;
        source->occurrence[0] = side ? "c id" : "l id";
        if (percent(m, 25))
            source->occurrence[1] = side ? "c refund" : "l refund";
    } else if (side == ORACLE_CHANNEL && source->column[O_CHANNEL_ORDER_NO]) {
        source->occurrence_is_field = 1;
    }
    choose_words(m, side);
}

static void choose_run(struct maker *m)
{
    struct oracle_job *job = m->job;
    for (int side = 0; side < ORACLE_SIDES; side++)
        choose_source(m, side);
    job->timezone = percent(m, 15) ? "America/New_York" : "Asia/Shanghai";
    job->currency = percent(m, 90) || !m->has[0][O_CURRENCY] || !m->has[1][O_CURRENCY] ? "CNY" : NULL;
    job->unit_date = m->day->date;
    job->cut_minutes =
        percent(m, 40) ? PICK(m, ((const int[]){23 * 60, 4 * 60, 12 * 60, 11 * 60 + 59, 1439})) : 0;
    if (percent(m, 65)) {
        job->amount_tolerance_micro = PICK(m, ((const int64_t[]){0, 1, 10000, 10000, 1000000}));
        job->amount_tolerance_ppm = PICK(m, ((const int64_t[]){0, 0, 100, 10000, 1000000}));
        if (job->is_compared[O_FEE])
            job->fee_tolerance_micro = PICK(m, ((const int64_t[]){0, 10000, 1000000}));
        if (job->is_compared[O_FEE] && percent(m, 20))
            job->fee_tolerance_ppm = 20000;
        /* Chains of amounts a tolerance apart, or half of it. */
        if (job->amount_tolerance_micro > 1 && percent(m, 70)) {
            m->amount_style = 1;
            m->amount_step = job->amount_tolerance_micro / (1 + below(m, 2));
        }
    }
    int has_dates = 1;
    for (int side = 0; side < ORACLE_SIDES; side++)
        has_dates &= m->has[side][O_BILL_DATE] || m->has[side][O_TRADE_TIME];
    job->has_window = percent(m, 85);
    job->window_before = job->window_after = 1;
    if (has_dates && job->has_window && percent(m, 60)) {
        job->window_before = below(m, 4);
        job->window_after = below(m, 4);
    }
    if (percent(m, 10))
        job->threshold[below(m, 2)] = 1;
}

/* ---- the rules that see more than pairs ---- */

/* Before the columns get their names. */
static void choose_fees(struct maker *m)
{
    struct oracle_job *job = m->job;
    int pick = below(m, 10);
    if (pick < 4)
        return;
    job->is_compared[O_FEE] = 0;
    m->has[ORACLE_CHANNEL][O_FEE] = 1;
    job->schedule.rate_ppm = PICK(m, ((const int64_t[]){6000, 10000, 38, 0, 1000000, 333333}));
    job->schedule.rounding = (enum oracle_rounding)below(m, 4);
    if (pick < 7) {
        job->fees = O_FEES_NET;
    } else if (pick < 9) {
        job->fees = O_FEES_SCHEDULE;
        job->is_compared[O_FEE] = 1;
        m->has[ORACLE_LOCAL][O_FEE] = 0;
        job->schedule.are_refunds_kept = percent(m, 30);
        job->schedule.min_micro = percent(m, 40) ? PICK(m, ((const int64_t[]){10000, 500000, 7})) : 0;
        job->schedule.max_micro =
            percent(m, 40) ? PICK(m, ((const int64_t[]){500000, 1000000, 50000000})) : 0;
    } else {
        job->fees = O_FEES_SCHEDULE_DAY;
    }
}

static void choose_settlement(struct maker *m)
{
    static const int tuples[][2] = {{O_FIELDS, -1}, {O_MERCHANT_NO, -1}, {O_FIELDS, O_MERCHANT_NO}};
    struct oracle_job *job = m->job;
    int t = m->is_big ? 0 : below(m, 3);
    job->attr_count = 2;
    for (int a = 0; a < 2; a++)
        job->attrs[a] = attr_words[a];
    for (int f = O_FIELDS; f < O_SLOTS; f++)
        job->is_compared[f] = 0;
    job->is_compared[O_FEE] = 0;
    job->group.is_given = 1;
    job->group.gross = below(m, 2);
    job->group.count = percent(m, 50) ? O_FIELDS + 1 : -1;
    job->key_count = 1;
    job->key_part_count[0] = 0;
    for (int p = 0; p < 2 && tuples[t][p] >= 0; p++) {
        job->key_parts[0][job->key_part_count[0]++] = tuples[t][p];
        need_on_both(m, tuples[t][p]);
    }
}

static void choose_rates(struct maker *m)
{
    static const char *const codes[] = {"CNY", "USD", "JPY", "KWD"};
    static const char *const rates[] = {
        "7.1053", "0.5", "150", "1", "0.00654321", "2.05", "0.33333333333333333", "7.11"};
    char *at = m->day->rates, *end = at + sizeof m->day->rates;
    at += snprintf(at, (size_t)(end - at), "date,from,to,rate\n");
    for (int day = -4; day < 13; day++)
        for (int f = 0; f < 4; f++)
            for (int t = 0; t < 4; t++) {
                time_t second = (time_t)((m->base_day + day) * 86400);
                struct tm tm;
                gmtime_r(&second, &tm);
                if (f == t || percent(m, 15))
                    continue;
                at += snprintf(at, (size_t)(end - at), "%04d-%02d-%02d,%s,%s,%s\n", tm.tm_year + 1900,
                               tm.tm_mon + 1, tm.tm_mday, codes[f], codes[t], PICK(m, rates));
            }
    if (percent(m, 4))
        snprintf(at, (size_t)(end - at), "%s\n",
                 PICK(m, ((const char *const[]){"2026-01-05,CNY,USD,0", "2026-01-05,CNY,USD,-1",
                                                "2026-01-05,CNY,USD", "2026-13-05,CNY,USD,1",
                                                "2026-01-05,CNY,USD,1234567890123456789",
                                                "2030-01-05,CNY,USD,1\n2030-01-05,CNY,USD,2"})));
    m->job->rates = m->day->rates;
    m->job->fx_rounding = (enum oracle_rounding)below(m, 4);
    m->currency_percent = 40;
    m->has[0][O_CURRENCY] = m->has[1][O_CURRENCY] = 1;
}

static void choose_aside(struct maker *m)
{
    struct oracle_job *job = m->job;
    for (int side = 0; side < ORACLE_SIDES; side++) {
        struct oracle_source *source = &job->sources[side];
        if (percent(m, 12))
            source->where[0] = (struct oracle_condition){side ? "c kind" : "l kind", {"pay", "top*"}};
        if (percent(m, 20))
            source->exclude[0] = (struct oracle_condition){side ? "c kind" : "l kind", {"topup", "no*"}};
    }
    if (percent(m, 15))
        job->tests[0] = (struct oracle_test){O_BIZ_ORDER_NO, {"B1*", "B0"}};
    if (percent(m, 15))
        job->tests[job->tests[0].words[0] != NULL] = (struct oracle_test){O_SUB_MERCHANT_NO, {"S1"}};
    if (percent(m, 15) && m->has[0][O_MERCHANT_NO] + m->has[1][O_MERCHANT_NO] > 0)
        job->merchants[0] = "M1";
    if (percent(m, 15) && m->has[0][O_BIZ_ORDER_NO] && m->has[1][O_BIZ_ORDER_NO]) {
        job->sampling.is_given = 1;
        job->sampling.by[job->sampling.by_count++] = O_BIZ_ORDER_NO;
        if (m->has[0][O_MERCHANT_NO] && m->has[1][O_MERCHANT_NO] && percent(m, 40))
            job->sampling.by[job->sampling.by_count++] = O_MERCHANT_NO;
        job->sampling.ppm = PICK(m, ((const uint32_t[]){500000, 900000, 1000000, 1}));
    }
}

/* After the rules that all jobs have. */
static void choose_sets(struct maker *m)
{
    struct oracle_job *job = m->job;
    for (int side = 0; side < ORACLE_SIDES; side++) {
        job->sources[side].fee_is_signed = m->has[side][O_FEE] && percent(m, 25);
        if (percent(m, 25))
            job->threshold[side] = 1 + below(m, 3);
    }
    job->reversals = percent(m, 40);
    if (percent(m, 40)) {
        job->subset.is_given = 1;
        if (m->has[0][O_MERCHANT_NO] && m->has[1][O_MERCHANT_NO] && percent(m, 50))
            job->subset.by[job->subset.by_count++] = O_MERCHANT_NO;
        job->subset.parts = PICK(m, ((const int[]){1, 2, 3, 6, 6}));
        job->subset.work = PICK(m, ((const int[]){1, 5, 30, 2000, 2000}));
        job->subset.pool = PICK(m, ((const int[]){1, 4, 40, 40}));
    }
    choose_aside(m);
    if (job->group.is_given) {
        job->amount_tolerance_micro = job->amount_tolerance_ppm = 0;
        job->fee_tolerance_micro = job->fee_tolerance_ppm = 0;
        int fees = m->has[0][O_FEE] + m->has[1][O_FEE];
        if (fees == 1 && percent(m, 50)) /* as it follows from the columns */
            job->group.gross = m->has[0][O_FEE] ? ORACLE_LOCAL : ORACLE_CHANNEL;
        return;
    }
    job->splits = percent(m, 45);
    if (percent(m, 40)) {
        job->partials.is_given = 1;
        job->partials.key = below(m, job->key_count);
        job->partials.whole = below(m, 2);
        job->partials.is_over_refund_ignored = percent(m, 40);
        /* A parent's columns stand on both sides. */
        for (int p = 0; p < job->key_part_count[job->partials.key]; p++)
            if (!m->has[0][job->key_parts[job->partials.key][p]] ||
                !m->has[1][job->key_parts[job->partials.key][p]])
                job->partials.is_given = is_constant_allowed(m, job->key_parts[job->partials.key][p]);
    }
    if ((job->amount_tolerance_micro || job->amount_tolerance_ppm) && percent(m, 60)) {
        job->has_budget = 1;
        job->budget_micro = PICK(m, ((const int64_t[]){0, 1, 10000, 30000, 50000, 2000000}));
    }
}

static void choose_rules(struct maker *m)
{
    struct oracle_job *job = m->job;
    m->day->is_diff = !m->day->is_rules && percent(m, 45);
    job->timezone = "Asia/Shanghai";
    job->currency = "CNY";
    job->attr_count = percent(m, 40) ? 1 + below(m, 3) : 0;
    for (int a = 0; a < job->attr_count; a++)
        job->attrs[a] = attr_words[a];
    if (!m->day->is_diff) {
        job->channel_code = "CH";
        job->biz_type = percent(m, 50) ? "PAY" : NULL;
    }
    choose_columns(m);
    choose_keys(m);
    choose_compare(m);
    if (m->day->is_rules) {
        /* Sums of the largest amounts only now and then. */
        m->amount_style = percent(m, 92) ? below(m, 3) : 3;
        m->change_percent = PICK(m, ((const int[]){0, 0, 10, 30}));
        m->reject_percent = percent(m, 10) ? 3 : 0;
        if (percent(m, 18))
            choose_settlement(m);
        else
            choose_fees(m);
        if (!m->job->group.is_given && percent(m, 25))
            choose_rates(m);
    }
    for (int f = 0; f < O_FIELDS; f++)
        if (job->is_compared[f] && !is_constant_allowed(m, f) &&
            !(f == O_FEE && job->fees == O_FEES_SCHEDULE))
            need_on_both(m, f);
    if (m->day->is_diff)
        choose_diff(m);
    else
        choose_run(m);
    if (m->day->is_rules)
        choose_sets(m);
    job->max_rejects[0] = job->max_rejects[1] =
        m->reject_percent || (m->empty_percent && !m->day->is_diff) ? 1000000 : 0;
}

/* ---- payments ---- */

static void order_number(struct maker *m, char out[240], char letter)
{
    static const char *const nasty[] = {
        "A,1", "A\"1", "A\n1", "A\r\n1", "=1+1", "-7",        "@x",
        "+z",  "'x",   " A1",  "A1 ",    "a1",   "1\xC3\x84", "\xE8\xAE\xA2\xE5\x8D\x95",
        "\tq", "\"",   "0",    "00",     ","};
    if (percent(m, m->empty_percent)) {
        out[0] = 0;
    } else if (percent(m, m->nasty_percent)) {
        snprintf(out, 240, "%s", PICK(m, nasty));
    } else if (m->nasty_percent && percent(m, 3)) {
        int n = 100 + below(m, 130);
        memset(out, 'L', (size_t)n);
        out[n] = 0;
    } else if (m->is_big && percent(m, 75)) {
        snprintf(out, 240, "%c%07d", letter, m->next_id++);
    } else {
        int is_skewed = m->is_big && !m->day->is_rules && m->day->seed % 3 == 0 && percent(m, 40);
        snprintf(out, 240, "%c%d", letter,
                 is_skewed ? 0 : below(m, letter == 'C' ? 4 * m->key_space : m->key_space));
    }
}

static int64_t amount(struct maker *m)
{
    static const int64_t few[] = {100000000, 100000000, 90000000, 10000000, 60000000, 40000000};
    switch (m->amount_style) {
    case 0:
        return PICK(m, few);
    case 1:
        return m->amount_base + m->amount_step * below(m, 6);
    case 2:
        return m->amount_base + m->amount_step * below(m, 200);
    default:
        return percent(m, 5)    ? INT64_MAX - below(m, 3)
               : percent(m, 10) ? below(m, 2)
                                : (int64_t)prng_below(&m->prng, 20) * 50000000;
    }
}

static const char *status_word(struct maker *m)
{
    return percent(m, 60)
               ? "SUCCESS"
               : PICK(m, ((const char *const[]){"REFUNDED", "PROCESSING", "FAILED", "CLOSED", "SUCCESS"}));
}

static const char *currency_word(struct maker *m)
{
    return percent(m, m->currency_percent) ? PICK(m, ((const char *const[]){"USD", "JPY", "KWD", "CNY"}))
                                           : "CNY";
}

static void new_id(struct maker *m, struct payment *p)
{
    static const char *const nasty[] = {"=id,", "i|", "i\\"}, *const refunds[] = {"", "", "r1", "r|1"};
    snprintf(p->occurrence, sizeof p->occurrence, "%s%d",
             m->nasty_percent && percent(m, 10) ? PICK(m, nasty) : "id", m->next_id++);
    p->refund = PICK(m, refunds);
}

static void make_payment(struct maker *m, struct payment *p)
{
    memset(p, 0, sizeof *p);
    snprintf(p->text[O_CHANNEL_CODE], 240, "%s",
             percent(m, 10) ? "" : PICK(m, ((const char *const[]){"CH", "CH", "WX"})));
    snprintf(p->text[O_BIZ_TYPE], 240, "%s", PICK(m, ((const char *const[]){"PAY", "PAY", "REFUND", ""})));
    order_number(m, p->text[O_BIZ_ORDER_NO], 'B');
    order_number(m, p->text[O_CHANNEL_ORDER_NO], 'C');
    snprintf(p->text[O_MERCHANT_NO], 240, "%s", PICK(m, ((const char *const[]){"M1", "M1", "M2", ""})));
    snprintf(p->text[O_SUB_MERCHANT_NO], 240, "%s", PICK(m, ((const char *const[]){"S1", "S1", "S1", ""})));
    snprintf(p->text[O_CURRENCY], 240, "%s", currency_word(m));
    snprintf(p->text[O_STATUS], 240, "%s", status_word(m));
    for (int a = 0; a < m->job->attr_count; a++)
        snprintf(p->text[O_FIELDS + a], 240, "%s",
                 PICK(m, ((const char *const[]){"x", "x", "x", "y", "", "a,b", "-3"})));
    p->amount = amount(m);
    p->is_out = percent(m, m->out_percent);
    p->has_fee = percent(m, 80);
    p->fee = PICK(m, ((const int64_t[]){600000, 600000, 610000, 0, -600000, 1234567}));
    p->day = (percent(m, 70) ? 0 : below(m, 5)) + (percent(m, 10) ? 4 : 0);
    p->second = percent(m, 30) ? PICK(m, ((const int[]){0, 86399, 23 * 3600, 4 * 3600, 4 * 3600 - 1,
                                                        12 * 3600, 7200 + 1800, 5400}))
                               : below(m, 86400);
    p->micro = percent(m, 10) ? PICK(m, ((const int[]){1, 500000, 999999, 120000})) : 0;
    p->stated_days_off = percent(m, 10) ? below(m, 3) - 1 : 0;
    new_id(m, p);
}

static void change(struct maker *m, struct payment *p)
{
    switch (below(m, 12)) {
    case 0:
    case 1:
    case 2:
        if (p->amount < INT64_MAX - 10000000)
            p->amount += m->amount_step * (below(m, 5) - 2);
        p->amount = p->amount < 0 ? 0 : p->amount;
        break;
    case 3:
        p->amount = amount(m);
        break;
    case 4:
        snprintf(p->text[O_STATUS], 240, "%s", status_word(m));
        break;
    case 5:
        p->is_out = !p->is_out;
        break;
    case 6:
        snprintf(p->text[O_CURRENCY], 240, "%s", currency_word(m));
        break;
    case 7:
        p->day += below(m, 9) - 4;
        break;
    case 8:
        p->fee += 10000 * (below(m, 3) - 1);
        break;
    case 9:
        snprintf(p->text[O_MERCHANT_NO], 240, "%s", PICK(m, ((const char *const[]){"M1", "M2", ""})));
        break;
    case 10:
        p->second = below(m, 86400);
        break;
    default:
        if (m->job->attr_count)
            snprintf(p->text[O_FIELDS], 240, "%s", PICK(m, ((const char *const[]){"x", "y"})));
        else
            order_number(m, p->text[O_BIZ_ORDER_NO], 'B');
    }
}

/* ---- a side's spelling ---- */

static int currency_exponent(const char *code)
{
    return strcmp(code, "JPY") == 0 ? 0 : strcmp(code, "KWD") == 0 ? 3 : 2;
}

/* The amount's digits in units of which one is 10^6 / 10^exponent millionths, with needless signs and zeros
 * now and then. */
static void spell_amount(struct maker *m, char out[80], int64_t micro, int exponent)
{
    uint64_t magnitude = micro < 0 ? 0 - (uint64_t)micro : (uint64_t)micro, unit = 1000000;
    for (int e = 0; e < exponent; e++)
        unit /= 10;
    char *at = out;
    if (micro < 0 || (micro == 0 && percent(m, 10)))
        *at++ = '-';
    else if (percent(m, 3))
        *at++ = '+';
    at += sprintf(at, "%s%llu", percent(m, 3) ? "00" : "", (unsigned long long)(magnitude / unit));
    uint64_t rest = magnitude % unit;
    int zeros = percent(m, 30) ? below(m, 4) : 0;
    if (rest || zeros)
        *at++ = '.';
    for (unit /= 10; rest; unit /= 10) {
        *at++ = (char)('0' + (int)(rest / unit));
        rest %= unit;
    }
    while (zeros--)
        *at++ = '0';
    *at = 0;
}

static void spell_date(struct maker *m, char out[80], int64_t day)
{
    time_t t = (time_t)(day * 86400);
    struct tm tm;
    gmtime_r(&t, &tm);
    int style = percent(m, 80) ? 0 : below(m, 3);
    snprintf(out, 80,
             style == 0   ? "%04d-%02d-%02d"
             : style == 1 ? "%04d/%02d/%02d"
                          : "%04d%02d%02d",
             tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static void spell_time(struct maker *m, char out[80], int64_t day, int second, int micro)
{
    char date[80], tail[40] = "";
    spell_date(m, date, day);
    if (percent(m, 5)) {
        snprintf(out, 80, "%.20s", date);
        return;
    }
    if (percent(m, 10))
        snprintf(tail, sizeof tail, "%s",
                 PICK(m, ((const char *const[]){"Z", "+08:00", "-05:00", "+0530", "+00"})));
    if (micro)
        snprintf(out, 80, "%.20s%c%02d:%02d:%02d.%06d%.10s", date, percent(m, 50) ? ' ' : 'T', second / 3600,
                 second / 60 % 60, second % 60, micro, tail);
    else if (second % 60 == 0 && percent(m, 30))
        snprintf(out, 80, "%.20s %02d:%02d%.10s", date, second / 3600, second / 60 % 60, tail);
    else if (percent(m, 5) && strlen(date) == 8)
        snprintf(out, 80, "%.20s%02d%02d%02d", date, second / 3600, second / 60 % 60, second % 60);
    else
        snprintf(out, 80, "%.20s %02d:%02d:%02d%.10s", date, second / 3600, second / 60 % 60, second % 60,
                 tail);
}

/* The cell of a field, or of what stands beside the fields. */
enum {
    COLUMN_DEBIT = O_SLOTS,
    COLUMN_CREDIT,
    COLUMN_OCCURRENCE,
    COLUMN_OCCURRENCE_2,
    COLUMN_NOISE,
    COLUMN_KIND
};

static void spell(struct maker *m, int side, const struct payment *p, int column, int is_turned,
                  int is_signed, char out[256])
{
    const struct oracle_source *source = &m->job->sources[side];
    const char *code = m->has[side][O_CURRENCY] ? p->text[O_CURRENCY]
                       : source->currency       ? source->currency
                                                : m->job->currency;
    static const char *const kinds[] = {"pay", "topup", "pay", "none", "pay", ""};
    int exponent = currency_exponent(code);
    out[0] = 0;
    switch (column) {
    case O_BILL_DATE:
        if (!percent(m, m->empty_percent))
            spell_date(m, out, m->base_day + p->day + p->stated_days_off);
        break;
    case O_TRADE_TIME:
        if (!percent(m, m->empty_percent))
            spell_time(m, out, m->base_day + p->day, p->second, p->micro);
        break;
    case O_DIRECTION: {
        int is_out = is_turned ? !p->is_out : p->is_out;
        if (!is_signed)
            snprintf(out, 256, "%s",
                     source->direction_map[0].from ? source->direction_map[is_out].from
                     : is_out                      ? "OUT"
                                                   : "IN");
        break;
    }
    case O_CURRENCY:
        if (!(m->job->currency && strcmp(m->job->currency, p->text[O_CURRENCY]) == 0 && percent(m, 20)))
            snprintf(out, 256, "%s", p->text[O_CURRENCY]);
        for (int i = 0; i < 8 && source->currency_map[i].from; i++)
            if (strcmp(source->currency_map[i].to, p->text[O_CURRENCY]) == 0)
                snprintf(out, 256, "%s", source->currency_map[i].from);
        break;
    case O_AMOUNT:
        spell_amount(m, out, is_turned || (is_signed && p->is_out) ? -p->amount : p->amount,
                     source->amount_is_minor ? exponent : 0);
        break;
    case COLUMN_DEBIT:
    case COLUMN_CREDIT:
        /* A sign in the debit column says nothing; the column that is not meant may hold a zero. */
        if (p->is_out == (column == COLUMN_DEBIT))
            spell_amount(m, out, column == COLUMN_DEBIT && percent(m, 10) ? -p->amount : p->amount,
                         source->amount_is_minor ? exponent : 0);
        else if (percent(m, 15))
            snprintf(out, 256, "%s", PICK(m, ((const char *const[]){"0", "0.00", "-0"})));
        break;
    case O_FEE:
        if (p->has_fee)
            spell_amount(m, out, p->fee, source->fee_is_minor ? exponent : 0);
        break;
    case O_STATUS:
        if (percent(m, m->empty_percent))
            break;
        snprintf(out, 256, "%s", p->text[O_STATUS]);
        for (int i = 0; i < 8 && source->status_map[i].from; i++)
            if (strcmp(source->status_map[i].to, p->text[O_STATUS]) == 0)
                snprintf(out, 256, "%s", source->status_map[i].from);
        break;
    case COLUMN_OCCURRENCE:
        if (!percent(m, m->empty_percent))
            snprintf(out, 256, "%s", p->occurrence);
        break;
    case COLUMN_OCCURRENCE_2:
        snprintf(out, 256, "%s", p->refund);
        break;
    case COLUMN_KIND:
        snprintf(out, 256, "%s", kinds[m->day->is_open ? below(m, 6) : (int)(p->amount / 10000 % 6)]);
        break;
    case COLUMN_NOISE:
        snprintf(out, 256, "%s",
                 PICK(m, ((const char *const[]){"", "noise", "a,b", "\"q\"", "1", "line\nline"})));
        break;
    default:
        snprintf(out, 256, "%s", p->text[column]);
    }
}

static int spoil_cell(struct maker *m, int column, char out[256])
{
    static const char *const amounts[] = {"abc",
                                          "1.2.3",
                                          "1,000",
                                          "1e3",
                                          ".5",
                                          "5.",
                                          "0.0000001",
                                          "9223372036854.775808",
                                          "--1",
                                          "+",
                                          " 1",
                                          "1 ",
                                          "-9223372036854.775808",
                                          "0x10",
                                          "NaN",
                                          "15\xEF\xBC\x8E"};
    static const char *const dates[] = {"2026-13-01",  "2026-02-29", "2026-1-5",  "today",
                                        "2026-01-05x", "0000-00-00", "2026-04-31"};
    static const char *const times[] = {
        "2026-01-05 24:00:00", "2026-01-05 23:59:60", "2026-02-30 00:00:00",      "12:00",
        "2026-01-05 1:2:3",    "0000-00-00 00:00:00", "2026-01-05 12:00:00 noon", "1767571200"};
    switch (column) {
    case COLUMN_DEBIT:
    case COLUMN_CREDIT:
    case O_AMOUNT:
    case O_FEE:
        snprintf(out, 256, "%s", column == O_AMOUNT && percent(m, 10) ? "" : PICK(m, amounts));
        return 1;
    case O_BILL_DATE:
        snprintf(out, 256, "%s", PICK(m, dates));
        return 1;
    case O_TRADE_TIME:
        snprintf(out, 256, "%s", PICK(m, times));
        return 1;
    case O_CURRENCY:
        snprintf(out, 256, "%s", PICK(m, ((const char *const[]){"XYZ", "RMB", "CNYY", "C", "156"})));
        return 1;
    case O_DIRECTION:
        snprintf(out, 256, "%s", PICK(m, ((const char *const[]){"SIDEWAYS", "I", "INOUT"})));
        return 1;
    case O_STATUS:
        if (m->day->is_diff)
            return 0;
        snprintf(out, 256, "%s", "WHO KNOWS");
        return 1;
    default:
        return 0;
    }
}

struct layout {
    int columns[40], count;
};

static const char *column_word(const struct maker *m, int side, int column)
{
    const struct oracle_source *source = &m->job->sources[side];
    return column < O_SLOTS                ? source->column[column]
           : column == COLUMN_DEBIT        ? source->debit
           : column == COLUMN_CREDIT       ? source->credit
           : column == COLUMN_OCCURRENCE   ? source->occurrence[0]
           : column == COLUMN_OCCURRENCE_2 ? source->occurrence[1]
           : column == COLUMN_KIND         ? (side ? "c kind" : "l kind")
                                           : "noise";
}

static void append_cell(struct maker *m, struct text *out, const char *cell, int is_first)
{
    const struct oracle_source *source = &m->job->sources[m->current_side];
    char delimiter = source->delimiter ? source->delimiter : ',';
    if (source->has_no_quote) {
        /* What has a meaning of its own cannot be said. */
        for (; *cell; cell++)
            text_append(out, *cell == delimiter || *cell == '\n' || *cell == '\r' ? "_" : cell, 1);
        return;
    }
    int must = strchr(cell, delimiter) || strpbrk(cell, "\"\r\n") ||
               (is_first && source->comment && strncmp(cell, source->comment, strlen(source->comment)) == 0);
    if (!must && !percent(m, m->quote_percent)) {
        text_append(out, cell, strlen(cell));
        return;
    }
    text_append(out, "\"", 1);
    for (; *cell; cell++)
        text_append(out, *cell == '"' ? "\"\"" : cell, *cell == '"' ? 2 : 1);
    text_append(out, "\"", 1);
}

static void append_delimiter(struct maker *m, struct text *out)
{
    char delimiter = m->job->sources[m->current_side].delimiter;
    text_append(out, delimiter ? &delimiter : ",", 1);
}

static void make_preamble(struct maker *m, int side)
{
    static const char *const lines[] = {"A report", "\"never closed", "", "a,b\"c,d", "------"};
    for (int i = 0; i < m->job->sources[side].skip_lines; i++) {
        const char *line = PICK(m, lines);
        text_append(&m->day->sides[side].preamble, line, strlen(line));
        text_append(&m->day->sides[side].preamble, "\n", 1);
    }
}

static struct text make_header(struct maker *m, int side, const struct layout *layout)
{
    struct text out = {0};
    for (int i = 0; i < layout->count; i++) {
        if (i)
            append_delimiter(m, &out);
        append_cell(m, &out, column_word(m, side, layout->columns[i]), i == 0);
    }
    return out;
}

/* Puts characters into a cell that are stripped again. */
static void strew(struct maker *m, const char *characters, char cell[256])
{
    size_t size = strlen(cell), at = (size_t)below(m, (int)size + 1);
    if (percent(m, 60) || size > 250)
        return;
    memmove(cell + at + 1, cell + at, size - at + 1);
    cell[at] = characters[below(m, (int)strlen(characters))];
}

static void make_row(struct maker *m, int side, const struct layout *layout, const struct payment *p,
                     struct text *out)
{
    int fault = percent(m, m->reject_percent) ? below(m, 8) : -1, is_spoiled = 0;
    int count = layout->count - (fault == 1) + (fault == 2), target = below(m, layout->count);
    /* Either the word says the direction, or the sign; now and then both do, and a sign turns the word round.
     */
    int is_signed = !m->has[side][O_DIRECTION] || percent(m, m->empty_percent);
    int is_turned = !is_signed && p->amount != 0 && percent(m, 10);
    for (int i = 0; i < count; i++) {
        char cell[256] = "more";
        if (i)
            append_delimiter(m, out);
        if (i < layout->count)
            spell(m, side, p, layout->columns[i], is_turned, is_signed, cell);
        if (i < layout->count && layout->columns[i] < O_SLOTS &&
            m->job->sources[side].strip[layout->columns[i]])
            strew(m, m->job->sources[side].strip[layout->columns[i]], cell);
        if (fault >= 3 && fault <= 5 && !is_spoiled && i >= target && i < layout->count)
            is_spoiled = spoil_cell(m, layout->columns[i], cell);
        if (fault == 0 && i == target) {
            static const char *const stray[] = {"a\"b",     "\"a\"b",    "a\rb",
                                                "\"a\n\"b", "\"a\" ",    " \"a\"",
                                                "ab\"",     "\"\"a\"\"", "\"a\nb\"\"\"c,\"\n"};
            const char *bytes = PICK(m, stray);
            text_append(out, bytes, strlen(bytes));
        } else {
            append_cell(m, out, cell, i == 0);
        }
    }
}

static void add_row(struct day_side *side, struct text row)
{
    /* Room is the power of two that holds the count. */
    if ((side->count & (side->count - 1)) == 0)
        side->rows = must_grow(side->rows, (size_t)(side->count ? 2 * side->count : 1) * sizeof *side->rows);
    side->rows[side->count++] = row;
}

static void make_layout(struct maker *m, int side, struct layout *layout)
{
    layout->count = 0;
    for (int f = 0; f < O_FIELDS + m->job->attr_count; f++)
        if (m->has[side][f] && m->job->sources[side].column[f])
            layout->columns[layout->count++] = f;
    if (m->job->sources[side].debit) {
        layout->columns[layout->count++] = COLUMN_DEBIT;
        layout->columns[layout->count++] = COLUMN_CREDIT;
    }
    if (m->has_occurrence[side])
        layout->columns[layout->count++] = COLUMN_OCCURRENCE;
    if (m->has_occurrence[side] && m->job->sources[side].occurrence[1])
        layout->columns[layout->count++] = COLUMN_OCCURRENCE_2;
    if (m->job->sources[side].where[0].column || m->job->sources[side].exclude[0].column)
        layout->columns[layout->count++] = COLUMN_KIND;
    if (percent(m, 30) || layout->count < 2)
        layout->columns[layout->count++] = COLUMN_NOISE;
    for (int i = layout->count - 1; i > 0; i--) {
        int j = below(m, i + 1), c = layout->columns[i];
        layout->columns[i] = layout->columns[j];
        layout->columns[j] = c;
    }
}

/* Whatever a comment says opens no quote. */
static struct text make_comment(struct maker *m, int side)
{
    static const char *const words[] = {"", " it is \"so", "\"", ",\"\",", " a\rb"};
    const char *word = PICK(m, words);
    struct text out = {0};
    text_append(&out, m->job->sources[side].comment, strlen(m->job->sources[side].comment));
    text_append(&out, word, strlen(word));
    return out;
}

/* ---- payments that more than two records tell of ---- */

enum { TELLINGS_MAX = 8, BATCHES = 12 };
struct tellings {
    struct payment list[ORACLE_SIDES][TELLINGS_MAX];
    int count[ORACLE_SIDES];
};

static struct payment *tell_once(struct maker *m, struct tellings *t, int side, const struct payment *payment)
{
    struct payment *p = &t->list[side][t->count[side]++];
    *p = *payment;
    if (side || t->count[side] > 1)
        new_id(m, p);
    return p;
}

static const char *code_of(const struct maker *m, int side, const struct payment *p)
{
    return m->has[side][O_CURRENCY]         ? p->text[O_CURRENCY]
           : m->job->sources[side].currency ? m->job->sources[side].currency
           : m->job->currency               ? m->job->currency
                                            : "CNY";
}

static void set_signed(struct payment *p, __int128 value)
{
    if (value > INT64_MAX || value < -INT64_MAX)
        return;
    p->is_out = value < 0;
    p->amount = (int64_t)(value < 0 ? -value : value);
}

/* The payment in two to four parts, now and then a step more or less, now and then with something given back. */
static void tell_parts(struct maker *m, struct tellings *t, int side, const struct payment *payment)
{
    int parts = 2 + below(m, 3);
    int64_t rest = payment->amount;
    if (percent(m, 15) && rest > 2 * m->amount_step && rest < INT64_MAX - m->amount_step)
        rest += m->amount_step * (below(m, 3) - 1);
    if (percent(m, 15))
        rest /= 2;
    for (int i = 0; i < parts; i++) {
        struct payment *p = tell_once(m, t, side, payment);
        p->amount = i + 1 == parts ? rest : percent(m, 70) ? rest / (parts - i) : rest / 2;
        p->amount -= i + 1 == parts ? 0 : p->amount % 10000;
        rest -= p->amount;
        if (percent(m, 20))
            p->day += below(m, 3) - 1;
        if (percent(m, 10)) {
            struct payment *back = tell_once(m, t, side, p);
            back->is_out = !back->is_out;
            if (percent(m, 50))
                p->amount *= p->amount < INT64_MAX / 2 ? 2 : 1;
        }
    }
}

static void tell_converted(struct maker *m, struct payment *p)
{
    /* As the table has it; what it lacks stays in its own currency. */
    struct oracle oracle = {.job = m->job};
    struct orecord local = {.has_date = 1, .day = m->base_day + p->day + p->stated_days_off};
    const char *to = PICK(m, ((const char *const[]){"USD", "JPY", "KWD", "CNY"}));
    __int128 converted;
    if (!m->has[0][O_BILL_DATE])
        local.day = m->base_day + p->day;
    local.amount = p->is_out ? -p->amount : p->amount;
    local.text[O_CURRENCY] = (struct text){p->text[O_CURRENCY], strlen(p->text[O_CURRENCY])};
    if (oracle_read_rates(&oracle) && oracle_convert(&oracle, &local, to, &converted)) {
        set_signed(p, converted);
        snprintf(p->text[O_CURRENCY], 240, "%s", to);
    }
    free(oracle.rates);
}

/* What the channel's row shows of a fee. */
static void settle_fee(struct maker *m, struct payment *p)
{
    const struct oracle_job *job = m->job;
    int64_t amount = p->is_out ? -p->amount : p->amount;
    if (job->fees == O_FEES_NET && percent(m, 80)) {
        int64_t cost = !p->has_fee ? 0 : job->sources[ORACLE_CHANNEL].fee_is_signed ? -p->fee : p->fee;
        set_signed(p, (__int128)amount - cost);
    } else if ((job->fees == O_FEES_SCHEDULE || job->fees == O_FEES_SCHEDULE_DAY) && percent(m, 85)) {
        __int128 due = oracle_schedule(job, amount, code_of(m, ORACLE_CHANNEL, p));
        int64_t cost = due > INT64_MAX ? INT64_MAX : due < -INT64_MAX ? -INT64_MAX : (int64_t)due;
        p->has_fee = 1;
        p->fee = job->sources[ORACLE_CHANNEL].fee_is_signed ? -cost : cost;
        if (percent(m, 10) && p->fee < INT64_MAX - 10000)
            p->fee += 10000;
    }
}

/* How often and in what pieces both sides tell of a payment. */
static void make_tellings(struct maker *m, const struct payment *payment, struct tellings *t)
{
    int kind = below(m, 100), side = below(m, 2);
    t->count[0] = t->count[1] = 0;
    if (kind < 35) {
        tell_once(m, t, ORACLE_LOCAL, payment);
        tell_once(m, t, ORACLE_CHANNEL, payment);
    } else if (kind < 55) {
        tell_once(m, t, side, payment);
        tell_parts(m, t, !side, payment);
        if (percent(m, 15))
            tell_once(m, t, side, payment);
    } else if (kind < 65) {
        tell_once(m, t, side, payment);
        struct payment *back = tell_once(m, t, side, payment);
        back->is_out = !back->is_out;
        if (percent(m, 20))
            tell_once(m, t, side, payment);
        if (percent(m, 30))
            tell_once(m, t, !side, payment);
    } else if (kind < 75) {
        /* Two of three tell the third: no pair, but a sum of 0. */
        struct payment *whole = tell_once(m, t, side, payment);
        whole->is_out = !payment->is_out;
        tell_parts(m, t, side, payment);
    } else if (kind < 85) {
        /* Parts under other numbers: only their sum tells. */
        tell_once(m, t, side, payment);
        tell_parts(m, t, !side, payment);
        for (int i = 0; i < t->count[!side]; i++) {
            order_number(m, t->list[!side][i].text[O_BIZ_ORDER_NO], 'B');
            order_number(m, t->list[!side][i].text[O_CHANNEL_ORDER_NO], 'C');
        }
    } else {
        tell_once(m, t, ORACLE_LOCAL, payment);
        struct payment *p = tell_once(m, t, ORACLE_CHANNEL, payment);
        if (p->amount < INT64_MAX - 2 * m->amount_step)
            p->amount += m->amount_step * (below(m, 3) - (p->amount > m->amount_step));
    }
    for (int i = 0; i < t->count[ORACLE_CHANNEL]; i++) {
        struct payment *p = &t->list[ORACLE_CHANNEL][i];
        if (m->job->rates && percent(m, 50))
            tell_converted(m, p);
        settle_fee(m, p);
    }
    for (int s = 0; s < ORACLE_SIDES; s++)
        for (int i = 0; i < t->count[s]; i++) {
            if (percent(m, m->change_percent))
                change(m, &t->list[s][i]);
            if (percent(m, 5) && i > 0)
                memcpy(t->list[s][i].occurrence, t->list[s][i - 1].occurrence,
                       sizeof t->list[s][i].occurrence);
        }
}

static void tell_row(struct maker *m, const struct layout *layout, int side, const struct payment *p)
{
    struct text row = {0};
    m->current_side = side;
    make_row(m, side, layout, p, &row);
    add_row(&m->day->sides[side], row);
}

/* Batches of payments on the gross side, and what was paid for each on the other. */
static void make_settlements(struct maker *m, const struct layout layouts[ORACLE_SIDES])
{
    const struct oracle_job *job = m->job;
    int gross = job->group.gross, batches = 1 + below(m, BATCHES), members[BATCHES] = {0};
    __int128 sums[BATCHES] = {0};
    static struct payment shared[BATCHES];
    for (int b = 0; b < batches; b++) {
        make_payment(m, &shared[b]);
        snprintf(shared[b].text[O_FIELDS], 240, "%s%d", percent(m, 5) ? "" : "S", b);
        if (percent(m, 5))
            shared[b].text[O_FIELDS][0] = 0;
        snprintf(shared[b].text[O_STATUS], 240, "SUCCESS");
    }
    for (int i = 0; i < m->payments; i++) {
        static struct payment p;
        int b = below(m, batches);
        make_payment(m, &p);
        for (int k = 0; k < job->key_part_count[0]; k++)
            memcpy(p.text[job->key_parts[0][k]], shared[b].text[job->key_parts[0][k]], 240);
        snprintf(p.text[O_FIELDS + 1], 240, "%d", below(m, 3));
        if (percent(m, 80))
            snprintf(p.text[O_CURRENCY], 240, "%s", shared[b].text[O_CURRENCY]);
        if (percent(m, 80))
            snprintf(p.text[O_STATUS], 240, "SUCCESS");
        int64_t cost = !p.has_fee || !m->has[gross][O_FEE] ? 0
                       : job->sources[gross].fee_is_signed ? -p.fee
                                                           : p.fee;
        if (strcmp(p.text[O_STATUS], "SUCCESS") == 0 || strcmp(p.text[O_STATUS], "REFUNDED") == 0) {
            sums[b] += (p.is_out ? -(__int128)p.amount : p.amount) - cost;
            members[b]++;
        }
        tell_row(m, &layouts[gross], gross, &p);
        if (percent(m, 4))
            tell_row(m, &layouts[gross], gross, &p);
    }
    for (int b = 0; b < batches; b++) {
        int payouts = percent(m, 80) + percent(m, 10);
        for (int i = 0; i < payouts; i++) {
            __int128 part = i + 1 < payouts ? sums[b] / 2 : sums[b];
            sums[b] -= part;
            new_id(m, &shared[b]);
            set_signed(&shared[b], part + (percent(m, 10) ? 10000 : 0));
            snprintf(shared[b].text[O_FIELDS + 1], 240, "%d",
                     (i ? 0 : members[b]) + (percent(m, 20) ? below(m, 2) : 0));
            tell_row(m, &layouts[!gross], !gross, &shared[b]);
        }
    }
}

static void make_rows(struct maker *m)
{
    struct layout layouts[ORACLE_SIDES];
    for (int side = 0; side < ORACLE_SIDES; side++) {
        struct day_side *s = &m->day->sides[side];
        make_layout(m, side, &layouts[side]);
        m->current_side = side;
        /* Only a job can name the columns of a file without a header. */
        s->has_no_header = !m->day->is_diff && percent(m, 10);
        for (int i = 0; s->has_no_header && i < layouts[side].count; i++)
            m->job->sources[side].columns[i] = column_word(m, side, layouts[side].columns[i]);
        s->header = make_header(m, side, &layouts[side]);
        make_preamble(m, side);
        s->has_crlf = percent(m, 30);
        s->has_bom = percent(m, 20);
        s->has_no_last_newline = percent(m, 30);
    }
    if (m->job->group.is_given) {
        make_settlements(m, layouts);
        return;
    }
    for (int i = 0; m->day->is_rules && i < m->payments; i++) {
        static struct tellings t;
        struct payment payment;
        make_payment(m, &payment);
        if (percent(m, 60))
            snprintf(payment.text[O_STATUS], 240, "SUCCESS");
        make_tellings(m, &payment, &t);
        for (int side = 0; side < ORACLE_SIDES; side++)
            for (int k = 0; k < t.count[side]; k++)
                tell_row(m, &layouts[side], side, &t.list[side][k]);
    }
    if (m->day->is_rules)
        return;
    static struct payment last[ORACLE_SIDES];
    int has_last[ORACLE_SIDES] = {0};
    for (int i = 0; i < m->payments; i++) {
        struct payment payment;
        make_payment(m, &payment);
        for (int side = 0; side < ORACLE_SIDES; side++) {
            int copies = percent(m, 85) + (percent(m, 8) ? 1 + below(m, 2) : 0);
            for (int c = 0; c < copies; c++) {
                struct payment p = payment;
                struct text row = {0};
                if (c && !percent(m, m->same_id_percent)) {
                    new_id(m, &p);
                    if (percent(m, 50))
                        order_number(m, p.text[O_CHANNEL_ORDER_NO], 'C');
                }
                if (percent(m, m->change_percent))
                    change(m, &p);
                if (has_last[side] && percent(m, m->same_id_percent) && percent(m, 10))
                    memcpy(p.occurrence, last[side].occurrence, sizeof p.occurrence);
                last[side] = p;
                has_last[side] = 1;
                m->current_side = side;
                make_row(m, side, &layouts[side], &p, &row);
                add_row(&m->day->sides[side], row);
                if (percent(m, 1))
                    add_row(&m->day->sides[side], text_copy("", 0));
                if (m->job->sources[side].comment && percent(m, 5))
                    add_row(&m->day->sides[side], make_comment(m, side));
            }
        }
    }
}

/* In diff the job's columns are known by their names, so it is the oracle's job that says which there are. */
static void settle_diff(struct maker *m)
{
    m->job = &m->day->job;
    for (int side = 0; side < ORACLE_SIDES; side++) {
        for (int f = 0; f < O_FIELDS; f++)
            m->has[side][f] |= !m->job->sources[side].is_optional[f];
        for (int a = 0; a < m->job->attr_count; a++)
            m->has[side][O_FIELDS + a] = 1;
    }
}

struct day *day_open(uint64_t seed, int payments, enum day_kind kind)
{
    struct day *day = must_take(sizeof *day);
    struct maker m = {.day = day, .prng = {seed * 2 + 1}, .job = &day->job};
    day->seed = seed;
    day->is_rules = kind != DAY_PLAIN;
    day->is_open = kind == DAY_OPEN;
    day->date = "2026-01-05";
    choose_sizes(&m, payments);
    choose_rules(&m);
    if (day->is_diff)
        settle_diff(&m);
    make_rows(&m);
    return day;
}

struct day *day_swap(const struct day *day)
{
    const struct oracle_source *local = &day->job.sources[ORACLE_LOCAL];
    if (day->is_diff || local->occurrence_is_field != day->job.sources[ORACLE_CHANNEL].occurrence_is_field ||
        (local->column[O_CHANNEL_ORDER_NO] && !local->occurrence[0]))
        return NULL;
    if (day->job.has_budget || day->job.fees != O_FEES_AS_COMPARED || day->job.rates)
        return NULL;
    struct day *out = must_take(sizeof *out);
    *out = *day;
    struct oracle_job *job = &out->job;
    for (int side = 0; side < ORACLE_SIDES; side++) {
        job->sources[side] = day->job.sources[!side];
        job->threshold[side] = day->job.threshold[!side];
        const struct day_side *from = &day->sides[!side];
        struct day_side *to = &out->sides[side];
        *to = *from;
        to->header = text_copy(from->header.data, from->header.size);
        to->preamble = (struct text){0};
        text_append(&to->preamble, from->preamble.data, from->preamble.size);
        to->rows = must_take((size_t)from->count * sizeof *to->rows);
        for (int i = 0; i < from->count; i++)
            to->rows[i] = text_copy(from->rows[i].data, from->rows[i].size);
    }
    job->partials.whole = !day->job.partials.whole;
    job->group.gross = !day->job.group.gross;
    job->window_before = day->job.window_after;
    job->window_after = day->job.window_before;
    return out;
}

void day_close(struct day *day)
{
    if (!day)
        return;
    for (int side = 0; side < ORACLE_SIDES; side++) {
        struct day_side *s = &day->sides[side];
        for (int i = 0; i < s->count; i++)
            free(s->rows[i].data);
        free(s->rows);
        free(s->header.data);
        free(s->preamble.data);
    }
    free(day);
}

/* ---- files ---- */

int day_file_count(const struct day_road *road, int side)
{
    return (road->parts[side] > 1 ? road->parts[side] : 1) * (road->is_doubled ? 2 : 1);
}

struct text day_file(const struct day *day, int side, const struct day_road *road, int part)
{
    const struct day_side *s = &day->sides[side];
    int parts = road->parts[side] > 1 ? road->parts[side] : 1;
    struct text out = {0};
    part %= parts; /* a doubled side has its files once more */
    int *order = must_take((size_t)s->count * sizeof *order);
    for (int i = 0; i < s->count; i++)
        order[i] = i;
    struct prng prng = {road->shuffle + (uint64_t)side};
    for (int i = s->count - 1; road->shuffle && i > 0; i--) {
        int j = (int)prng_below(&prng, (uint64_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    const char *end = s->has_crlf ? "\r\n" : "\n";
    if (s->has_bom)
        text_append(&out, "\xEF\xBB\xBF", 3);
    text_append(&out, s->preamble.data, s->preamble.size);
    if (!s->has_no_header) {
        text_append(&out, s->header.data, s->header.size);
        text_append(&out, end, strlen(end));
    }
    for (int i = part; i < s->count; i += parts) {
        const struct text *row = &s->rows[order[i]];
        text_append(&out, row->data, row->size);
        if (i + parts < s->count || !s->has_no_last_newline)
            text_append(&out, end, strlen(end));
    }
    free(order);
    return out;
}

static void yaml_text(struct text *out, const char *word)
{
    text_append(out, "\"", 1);
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            text_append(out, "\\", 1);
        text_append(out, *word == '\t' ? "\\t" : word, *word == '\t' ? 2 : 1);
    }
    text_append(out, "\"", 1);
}

__attribute__((format(printf, 2, 3))) static void yaml_line(struct text *out, const char *format, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    text_append(out, line, (size_t)n);
}

static void yaml_map(struct text *out, const struct oracle_map *map, const char *other)
{
    yaml_line(out, ", map: {");
    for (int i = 0; map[i].from; i++) {
        yaml_line(out, "%s", i ? ", " : "");
        yaml_text(out, map[i].from);
        yaml_line(out, ": %s", map[i].to);
    }
    if (other)
        yaml_line(out, ", other: %s", other);
    yaml_line(out, "}");
}

static void yaml_layout(struct text *out, const struct oracle_source *s)
{
    if (!s->delimiter && !s->comment && !s->skip_lines && !s->has_no_quote && !s->columns[0])
        return;
    yaml_line(out, "  csv:\n");
    if (s->delimiter == '\t')
        yaml_line(out, "    delimiter: tab\n");
    else if (s->delimiter)
        yaml_line(out, "    delimiter: \"%c\"\n", s->delimiter);
    if (s->comment)
        yaml_line(out, "    comment: \"%s\"\n", s->comment);
    if (s->skip_lines)
        yaml_line(out, "    skip_lines: %d\n", s->skip_lines);
    if (s->has_no_quote)
        yaml_line(out, "    quote: none\n");
    for (int i = 0; s->columns[i]; i++) {
        yaml_line(out, i ? ", " : "    header: false\n    columns: [");
        yaml_text(out, s->columns[i]);
    }
    yaml_line(out, s->columns[0] ? "]\n" : "");
}

static void yaml_conditions(struct text *out, const char *name, const struct oracle_condition *list)
{
    for (int i = 0; list[i].column; i++) {
        yaml_line(out, i ? ", " : "  %s: {", name);
        yaml_text(out, list[i].column);
        yaml_line(out, ": [");
        for (int w = 0; w < 4 && list[i].words[w]; w++)
            yaml_line(out, "%s\"%s\"", w ? ", " : "", list[i].words[w]);
        yaml_line(out, "]");
    }
    yaml_line(out, list[0].column ? "}\n" : "");
}

static void yaml_side(struct text *out, const struct oracle_job *job, int side)
{
    const struct oracle_source *s = &job->sources[side];
    const char *word = side ? "channel" : "local";
    yaml_line(out, "%s:\n  files: \"%s-*.csv\"\n  format: csv\n", word, word);
    yaml_layout(out, s);
    if (s->timezone)
        yaml_line(out, "  timezone: %s\n", s->timezone);
    if (s->occurrence[0]) {
        yaml_line(out, "  occurrence_id: [");
        yaml_text(out, s->occurrence[0]);
        if (s->occurrence[1]) {
            yaml_line(out, ", ");
            yaml_text(out, s->occurrence[1]);
        }
        yaml_line(out, "]\n");
    }
    yaml_conditions(out, "where", s->where);
    yaml_conditions(out, "exclude", s->exclude);
    yaml_line(out, "  rejects: {max: %ld}\n  fields:\n", job->max_rejects[side]);
    for (int f = 0; f < O_FIELDS; f++) {
        if (f == O_AMOUNT && s->debit) {
            yaml_line(out, "    amount: {debit: \"%s\", credit: \"%s\"%s}\n", s->debit, s->credit,
                      s->amount_is_minor ? ", unit: minor" : "");
            continue;
        }
        if (f == O_CURRENCY && s->currency)
            yaml_line(out, "    currency: {constant: %s}\n", s->currency);
        if (!s->column[f])
            continue;
        yaml_line(out, "    %s: {column: ", oracle_field_word(f));
        yaml_text(out, s->column[f]);
        if ((f == O_AMOUNT && s->amount_is_minor) || (f == O_FEE && s->fee_is_minor))
            yaml_line(out, ", unit: minor");
        if (f == O_FEE && s->fee_is_signed)
            yaml_line(out, ", sign: signed");
        if (s->strip[f]) {
            yaml_line(out, ", strip: ");
            yaml_text(out, s->strip[f]);
        }
        if (f == O_CURRENCY && s->currency_map[0].from)
            yaml_map(out, s->currency_map, NULL);
        if (f == O_STATUS && s->status_map[0].from)
            yaml_map(out, s->status_map, s->status_other);
        if (f == O_DIRECTION && s->direction_map[0].from)
            yaml_map(out, s->direction_map, NULL);
        yaml_line(out, "}\n");
    }
    if (job->attr_count)
        yaml_line(out, "    attr:\n");
    for (int a = 0; a < job->attr_count; a++) {
        yaml_line(out, "      %s: ", job->attrs[a]);
        yaml_text(out, s->column[O_FIELDS + a]);
        yaml_line(out, "\n");
    }
}

static void yaml_tolerance(struct text *out, const char *name, int64_t micro, int64_t ppm)
{
    yaml_line(out, "    %s: {absolute: \"%lld.%06lld\", ppm: %lld}\n", name, (long long)(micro / 1000000),
              (long long)(micro % 1000000), (long long)ppm);
}

static void yaml_fields(struct text *out, const struct oracle_job *job, const int *fields, int count)
{
    yaml_line(out, "[");
    for (int i = 0; i < count; i++)
        yaml_line(out, "%s%s", i ? ", " : "",
                  fields[i] < O_FIELDS ? oracle_field_word(fields[i]) : job->attrs[fields[i] - O_FIELDS]);
    yaml_line(out, "]");
}

static void yaml_amount(struct text *out, const char *name, int64_t micro)
{
    yaml_line(out, ", %s: \"%lld.%06lld\"", name, (long long)(micro / 1000000), (long long)(micro % 1000000));
}

/* What stands below `match`. */
static void yaml_sets(struct text *out, const struct oracle_job *job)
{
    static const char *const roundings[] = {"half_up", "half_even", "down", "up"};
    const char *round = roundings[job->schedule.rounding];
    if (job->fees == O_FEES_NET)
        yaml_line(out, "  fees: net\n");
    if (job->fees == O_FEES_SCHEDULE || job->fees == O_FEES_SCHEDULE_DAY) {
        yaml_line(out, "  fees: {schedule: {rate_ppm: %lld, round: %s", (long long)job->schedule.rate_ppm,
                  round);
        if (job->fees == O_FEES_SCHEDULE_DAY)
            yaml_line(out, ", level: day");
        if (job->schedule.min_micro)
            yaml_amount(out, "min", job->schedule.min_micro);
        if (job->schedule.max_micro)
            yaml_amount(out, "max", job->schedule.max_micro);
        if (job->schedule.are_refunds_kept)
            yaml_line(out, ", refunds: kept");
        yaml_line(out, "}}\n");
    }
    if (job->splits)
        yaml_line(out, "  splits: true\n");
    if (job->reversals)
        yaml_line(out, "  reversals: true\n");
    if (job->partials.is_given) {
        yaml_line(out, "  partials: {parent: ");
        yaml_fields(out, job, job->key_parts[job->partials.key], job->key_part_count[job->partials.key]);
        yaml_line(out, ", whole: %s, over_refund: %s}\n", job->partials.whole ? "channel" : "local",
                  job->partials.is_over_refund_ignored ? "ignore" : "mismatch");
    }
    if (job->group.is_given) {
        yaml_line(out, "  group: {by: ");
        yaml_fields(out, job, job->key_parts[0], job->key_part_count[0]);
        yaml_line(out, ", gross: %s", job->group.gross ? "channel" : "local");
        if (job->group.count >= 0)
            yaml_line(out, ", count: %s", job->attrs[job->group.count - O_FIELDS]);
        yaml_line(out, "}\n");
    }
    if (job->subset.is_given) {
        yaml_line(out, "  subset_sum: {by: ");
        yaml_fields(out, job, job->subset.by, job->subset.by_count);
        yaml_line(out, ", parts: %ld, work: %ld, pool: %ld}\n", job->subset.parts, job->subset.work,
                  job->subset.pool);
    }
    if (job->rates)
        yaml_line(out, "  fx: {rates: rates.csv, round: %s}\n", roundings[job->fx_rounding]);
}

static void yaml_aside(struct text *out, const struct oracle_job *job)
{
    if (job->tests[0].words[0] || job->merchants[0])
        yaml_line(out, "test_rules:\n");
    if (job->tests[0].words[0])
        yaml_line(out, "  test:\n");
    for (int i = 0; i < 4 && job->tests[i].words[0]; i++) {
        yaml_line(out, "    %s: [", oracle_field_word(job->tests[i].field));
        for (int w = 0; w < 4 && job->tests[i].words[w]; w++)
            yaml_line(out, "%s\"%s\"", w ? ", " : "", job->tests[i].words[w]);
        yaml_line(out, "]\n");
    }
    if (job->merchants[0])
        yaml_line(out, "  merchants: [%s]\n", job->merchants[0]);
    if (job->sampling.is_given) {
        yaml_line(out, "sampling: {by: ");
        yaml_fields(out, job, job->sampling.by, job->sampling.by_count);
        yaml_line(out, ", ppm: %u}\n", job->sampling.ppm);
    }
}

struct text day_yaml(const struct day *day)
{
    const struct oracle_job *job = &day->job;
    struct text out = {0};
    yaml_line(&out, "version: 1\njob: day\ntimezone: %s\ncut: \"%02d:%02d\"\n", job->timezone,
              job->cut_minutes / 60, job->cut_minutes % 60);
    if (job->channel_code)
        yaml_line(&out, "channel_code: %s\n", job->channel_code);
    if (job->biz_type)
        yaml_line(&out, "biz_type: %s\n", job->biz_type);
    if (job->currency)
        yaml_line(&out, "currency: %s\n", job->currency);
    yaml_side(&out, job, ORACLE_LOCAL);
    yaml_side(&out, job, ORACLE_CHANNEL);
    yaml_line(&out, "match:\n");
    if (!job->group.is_given) {
        yaml_line(&out, "  keys: [");
        for (int k = 0; k < job->key_count; k++) {
            yaml_line(&out, "%s", k ? ", " : "");
            yaml_fields(&out, job, job->key_parts[k], job->key_part_count[k]);
        }
        yaml_line(&out, "]\n");
    }
    yaml_line(&out, "  compare: [amount");
    for (int f = 0; f < O_SLOTS; f++)
        if (job->is_compared[f] && !(f == O_FEE && job->fees == O_FEES_SCHEDULE))
            yaml_line(&out, ", %s", f < O_FIELDS ? oracle_field_word(f) : job->attrs[f - O_FIELDS]);
    yaml_line(&out, "]\n");
    yaml_sets(&out, job);
    if (job->amount_tolerance_micro || job->amount_tolerance_ppm || job->fee_tolerance_micro ||
        job->fee_tolerance_ppm) {
        yaml_line(&out, "  tolerance:\n");
        yaml_tolerance(&out, "amount", job->amount_tolerance_micro, job->amount_tolerance_ppm);
        if (job->is_compared[O_FEE])
            yaml_tolerance(&out, "fee", job->fee_tolerance_micro, job->fee_tolerance_ppm);
        if (job->has_budget)
            yaml_line(&out, "    budget: \"%lld.%06lld\"\n", (long long)(job->budget_micro / 1000000),
                      (long long)(job->budget_micro % 1000000));
    }
    /* A day each way is what a job without the setting has. */
    if (!job->has_window)
        yaml_line(&out, "  window: none\n");
    else if (job->window_before != 1 || job->window_after != 1)
        yaml_line(&out, "  window: {before: %dd, after: %dd}\n", job->window_before, job->window_after);
    yaml_line(&out, "suspense: {threshold: {local: %d, channel: %d}}\n", job->threshold[0],
              job->threshold[1]);
    yaml_aside(&out, job);
    yaml_line(&out, "output: {dir: out, match: true}\n");
    return out;
}

static int write_file(const char *directory, const char *name, struct text text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    int ok = f && (text.size == 0 || fwrite(text.data, 1, text.size, f) == text.size);
    if (f && fclose(f) != 0)
        ok = 0;
    free(text.data);
    return ok ? 0 : -1;
}

int day_write(const struct day *day, const struct day_road *road, const char *directory)
{
    int failed = 0;
    for (int side = 0; side < ORACLE_SIDES; side++)
        for (int part = 0; part < day_file_count(road, side); part++) {
            char name[64];
            snprintf(name, sizeof name, "%s-%d.csv", side ? "channel" : "local", part);
            failed |= write_file(directory, name, day_file(day, side, road, part));
        }
    if (!day->is_diff)
        failed |= write_file(directory, "job.yaml", day_yaml(day));
    if (day->rates[0])
        failed |= write_file(directory, "rates.csv", text_copy(day->rates, strlen(day->rates)));
    return failed;
}
