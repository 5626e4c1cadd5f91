/* tests/unit/core/rules/sets_test.c: sets of records, FX, schedules and proposals, each as a worked case, with the rows given
 * in many orders */
#include "core/base/arena.h"
#include "core/base/prng.h"
#include "core/model/currency.h"
#include "core/rules/fees.h"
#include "core/rules/rates.h"
#include "core/rules/subset.h"
#include "core/rules/verdict.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <unistd.h>

enum { ROWS_MAX = 64, DAY = 44880 };

struct set {
    struct job job;
    struct arena arena;
    struct full rows[ROWS_MAX];
    uint32_t count;
};

static struct span text_of(struct set *g, const char *text)
{
    return arena_copy(&g->arena, span_of(text));
}

static void begin(struct set *g)
{
    memset(g, 0, sizeof *g);
    arena_init(&g->arena);
    g->job.match.window_before = g->job.match.window_after = 1;
    g->job.match.key_count = 1;
    g->job.match.compare[0] = FIELD_STATUS;
    g->job.match.compare_count = 1;
    g->job.non_monetary[0] = "FAILED";
    g->job.non_monetary_count = 1;
    g->job.match.group.gross = -1;
    g->job.match.group.count_field = FIELD_SLOTS;
}

static void end(struct set *g)
{
    arena_fini(&g->arena);
}

/* An amount in cents. */
static struct full *add(struct set *g, enum side side, int64_t cents, const char *currency,
                        const char *status)
{
    struct full *row = &g->rows[g->count++];
    memset(row, 0, sizeof *row);
    row->side = (uint8_t)side;
    row->amount_micro = cents * 10000;
    row->out = cents < 0;
    row->currency = currency_find(currency, 3);
    row->day = DAY;
    row->place = g->count * 100;
    row->verdict = VERDICT_OPEN;
    row->key = text_of(g, "KEY");
    char canonical[200], sigma[100], number[16];
    row->text[FIELD_STATUS] = text_of(g, status);
    row->text[FIELD_CURRENCY] = text_of(g, currency);
    row->monetary = (uint8_t)job_status_is_monetary(&g->job, row->text[FIELD_STATUS]);
    snprintf(number, sizeof number, "%04u", g->count);
    row->occurrence = side == CHANNEL ? text_of(g, number) : (struct span){"", 0};
    sigma[0] = sigma[1] = sigma[2] = 0;
    sigma[3] = 3; /* the currency's length, as in length-prefixed parts */
    const int n =
        snprintf(sigma + 4, sizeof sigma - 4, "%s|%s|%s", currency, row->out ? "OUT" : "IN", status);
    row->sigma = arena_copy(&g->arena, (struct span){sigma, 4 + (size_t)n});
    snprintf(canonical, sizeof canonical, "%020lld|%s", (long long)cents + 1000000, sigma + 4);
    row->canonical = text_of(g, canonical);
    return row;
}

static struct full *local(struct set *g, int64_t cents)
{
    return add(g, LOCAL, cents, "CNY", "SUCCESS");
}
static struct full *channel(struct set *g, int64_t cents)
{
    return add(g, CHANNEL, cents, "CNY", "SUCCESS");
}

static void shuffle(struct set *g, uint64_t seed, struct full *rows[ROWS_MAX])
{
    struct prng prng = {seed};
    for (uint32_t i = 0; i < g->count; i++) {
        uint32_t at = (uint32_t)prng_below(&prng, i + 1);
        rows[i] = rows[at];
        rows[at] = &g->rows[i];
    }
}

static void judge(struct set *g, uint64_t seed)
{
    struct full *rows[ROWS_MAX];
    struct verdict_scratch scratch = {0};
    shuffle(g, seed, rows);
    EXPECT(resolve_group(&g->job, &scratch, rows, g->count, 1));
    uint32_t open = 0;
    for (uint32_t i = 0; i < g->count; i++)
        if (rows[i]->verdict == VERDICT_OPEN) {
            rows[i]->key_no = 1;
            rows[open++] = rows[i];
        }
    if (g->job.match.reversals)
        resolve_reversals(rows, open);
    for (uint32_t i = 0; i < g->count; i++)
        if (g->rows[i].verdict == VERDICT_OPEN)
            resolve_alone(&g->job, &g->rows[i]);
    verdict_scratch_fini(&scratch);
}

/* All rows have this class and these reasons, and stand in one set. */
static int all_are(const struct set *g, enum class_id class_id, uint64_t reasons)
{
    int so = 1;
    for (uint32_t i = 0; i < g->count; i++)
        so &= g->rows[i].verdict == class_id && g->rows[i].reasons == reasons &&
              g->rows[i].set_id == g->rows[0].set_id;
    return so;
}

#define BIT(word) REASON_BIT(REASON_##word)
#define EACH_ORDER for (uint64_t seed = 0; seed < 16; seed++)

TEST(parts_make_a_group_where_splits_are_allowed)
{
    struct set g;
    EACH_ORDER
    {
        begin(&g);
        g.job.match.splits = 1;
        local(&g, 10000);
        channel(&g, 6000);
        channel(&g, 4000);
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MATCH, BIT(GROUP)) && g.rows[0].set_id && !g.rows[0].partner);
        EXPECT(g.rows[0].value_micro == 100000000 && g.rows[1].value_micro == 60000000);
        end(&g);
        begin(&g); /* many to many, with a refund among them */
        g.job.match.splits = 1;
        local(&g, 10000);
        local(&g, -2000);
        channel(&g, 3000);
        channel(&g, 5000);
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MATCH, BIT(GROUP)));
        end(&g);
    }
}

TEST(splits_need_equal_sums_moved_money_one_currency_and_the_window)
{
    struct set g;
    for (int what = 0; what < 5; what++) {
        begin(&g);
        g.job.match.splits = what != 4;
        local(&g, 10000);
        channel(&g, 6000);
        struct full *last = what == 0   ? channel(&g, 4001)
                            : what == 1 ? add(&g, CHANNEL, 4000, "CNY", "FAILED")
                            : what == 2 ? add(&g, CHANNEL, 4000, "USD", "SUCCESS")
                                        : channel(&g, 4000);
        if (what == 3)
            last->day = DAY + 2;
        judge(&g, (uint64_t)what);
        EXPECT(all_are(&g, CLASS_AMBIGUOUS, 0));
        end(&g);
    }
}

TEST(one_against_one_is_never_a_split)
{
    struct set g;
    begin(&g);
    g.job.match.splits = 1;
    struct full *l = add(&g, LOCAL, 10000, "CNY", "SUCCESS"), *r = add(&g, CHANNEL, 10000, "CNY", "REFUNDED");
    judge(&g, 0);
    EXPECT(l->verdict == CLASS_MISMATCH && l->reasons == BIT(STATUS) && l->partner == r);
    end(&g);
}

static void partial(struct set *g)
{
    begin(g);
    g->job.match.partials.given = 1;
}

TEST(captures_reach_fall_short_or_go_over)
{
    struct set g;
    EACH_ORDER
    {
        partial(&g);
        local(&g, 10000);
        channel(&g, 6000);
        channel(&g, 4000)->day = DAY + 30; /* the window does not apply */
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MATCH, BIT(GROUP) | BIT(DAY_CUT)));
        end(&g);

        partial(&g); /* one and one, a day too far apart for P2: a pair */
        local(&g, 10000);
        channel(&g, 10000)->day = DAY + 10;
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MATCH, BIT(GROUP) | BIT(DAY_CUT)) && g.rows[0].partner == &g.rows[1]);
        end(&g);

        partial(&g);
        local(&g, 10000);
        channel(&g, 6000);
        channel(&g, 3000);
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MISMATCH, BIT(UNDER)));
        end(&g);

        partial(&g);
        g.job.suspense_threshold[LOCAL] = 3;
        local(&g, 10000);
        channel(&g, 6000);
        channel(&g, 3000);
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_SUSPENSE, BIT(PARTIAL)) && g.rows[2].remains_micro == 10000000);
        end(&g);

        partial(&g);
        local(&g, 10000);
        channel(&g, 6000);
        channel(&g, 4001);
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MISMATCH, BIT(OVER)));
        end(&g);
    }
}

TEST(more_is_given_back_than_was_taken)
{
    struct set g;
    for (int ignored = 0; ignored < 2; ignored++) {
        partial(&g);
        g.job.match.partials.over_refund_ignored = ignored;
        local(&g, 10000);
        channel(&g, 6000);
        channel(&g, -6001);
        judge(&g, 1);
        EXPECT(all_are(&g, CLASS_MISMATCH, ignored ? BIT(UNDER) : BIT(OVER_REFUND)));
        end(&g);
    }
    partial(&g); /* a refund order is the other way round: 30.00 go back, in two parts */
    local(&g, -3000);
    channel(&g, -1000);
    channel(&g, -2000);
    judge(&g, 2);
    EXPECT(all_are(&g, CLASS_MATCH, BIT(GROUP)));
    end(&g);
}

TEST(a_settlement_whose_count_cannot_be_read_is_not_whole)
{
    static const char *const counts[] = {"99999999999999999999", "x", "-1", "1.0", "1 ", ""};
    struct set g;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        begin(&g);
        g.job.match.group = (struct group_rules){.given = 1, .gross = LOCAL, .count_field = FIELD_ATTR0};
        local(&g, 10000);
        channel(&g, 4000)->text[FIELD_ATTR0] = span_of(counts[i]);
        channel(&g, 6000)->text[FIELD_ATTR0] = span_of(counts[i]);
        judge(&g, (uint32_t)i);
        EXPECT(all_are(&g, CLASS_MISMATCH, BIT(GROUP_SUM)));
        end(&g);
    }
}

TEST(a_settlement_is_gross_less_fees)
{
    struct set g;
    EACH_ORDER
    {
        begin(&g);
        g.job.match.group = (struct group_rules){.given = 1, .gross = LOCAL, .count_field = FIELD_ATTR0};
        local(&g, 10000)->cost_micro = 600000;
        local(&g, -2000);
        struct full *paid = channel(&g, 7940);
        paid->text[FIELD_ATTR0] = span_of("2");
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MATCH, BIT(GROUP)) && g.rows[0].value_micro == 99400000);
        end(&g);

        begin(&g); /* three rows are said: it is not complete */
        g.job.match.group = (struct group_rules){.given = 1, .gross = LOCAL, .count_field = FIELD_ATTR0};
        g.job.suspense_threshold[CHANNEL] = (int)(seed & 1);
        local(&g, 10000);
        channel(&g, 10000)->text[FIELD_ATTR0] = span_of("3");
        judge(&g, seed);
        EXPECT(seed & 1 ? all_are(&g, CLASS_SUSPENSE, BIT(PARTIAL))
                        : all_are(&g, CLASS_MISMATCH, BIT(GROUP_SUM)));
        end(&g);

        begin(&g);
        g.job.match.group.given = 1;
        local(&g, 10000);
        channel(&g, 9999);
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MISMATCH, BIT(GROUP_SUM)));
        end(&g);
    }
}

TEST(reversals_net_to_nothing)
{
    struct set g;
    EACH_ORDER
    {
        begin(&g);
        g.job.match.reversals = 1;
        struct full *a = local(&g, 5000), *b = local(&g, -5000), *rest = local(&g, 5000);
        judge(&g, seed);
        EXPECT(b->verdict == CLASS_MATCH && b->reasons == BIT(NETTED) && b->set_id);
        EXPECT((a->verdict == CLASS_MATCH) + (rest->verdict == CLASS_MATCH) == 1);
        EXPECT(a->verdict == CLASS_MATCH); /* the earlier one by ≺ */
        EXPECT(rest->verdict == CLASS_MISSING);
        end(&g);

        begin(&g); /* no two of them, but all three */
        g.job.match.reversals = 1;
        channel(&g, 5000);
        channel(&g, -3000);
        channel(&g, -2000);
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MATCH, BIT(NETTED)));
        end(&g);

        begin(&g);
        g.job.match.reversals = 1;
        add(&g, LOCAL, 5000, "CNY", "SUCCESS");
        add(&g, LOCAL, -5000, "USD", "SUCCESS");
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MISSING, 0));
        end(&g);
    }
}

static struct rates *rates_of(const char *text, struct diag *diag)
{
    char path[] = "/tmp/tieout-rates-XXXXXX";
    struct rates *rates = NULL;
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        exit(4);
    close(fd);
    rates_open(&rates, path, diag);
    unlink(path);
    return rates;
}

TEST(two_currencies_meet_by_a_rate)
{
    struct set g;
    struct diag diag = {0};
    struct rates *rates = rates_of("date,from,to,rate\n2022-11-16,USD,CNY,7.1053\n", &diag);
    EXPECT(rates && day_parse("2022-11-16", 10) == DAY);
    EACH_ORDER
    {
        begin(&g);
        g.job.match.fx.rates = rates;
        add(&g, LOCAL, 10000, "USD", "SUCCESS");
        add(&g, CHANNEL, 71053, "CNY", "SUCCESS");
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MATCH, BIT(FX)) && g.rows[0].partner == &g.rows[1]);
        end(&g);

        begin(&g);
        g.job.match.fx.rates = rates;
        g.job.match.amount_tolerance.absolute_micro = 1000000; /* never across currencies */
        add(&g, LOCAL, 10000, "USD", "SUCCESS");
        add(&g, CHANNEL, 71054, "CNY", "SUCCESS");
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MISMATCH, BIT(CURRENCY) | BIT(FX)));
        end(&g);

        begin(&g);
        g.job.match.fx.rates = rates;
        add(&g, LOCAL, 10000, "EUR", "SUCCESS");
        add(&g, CHANNEL, 71054, "CNY", "SUCCESS");
        judge(&g, seed);
        EXPECT(all_are(&g, CLASS_MISMATCH, BIT(CURRENCY) | BIT(FX_RATE_MISSING)));
        end(&g);
    }
    rates_close(rates);
}

TEST(a_table_of_rates_is_read_whole_or_refused)
{
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "empty"},
               {"day,from,to,rate\n", ":1: expected the header"},
               {"date,from,to,rate\n2026-02-30,USD,CNY,7\n", ":2: the date is none"},
               {"date,from,to,rate\n2026-11-19,USD,CNX,7\n", ":2: expected two ISO 4217"},
               {"date,from,to,rate\n2026-11-19,USD,USD,1\n", "no rate to itself"},
               {"date,from,to,rate\n2026-11-19,USD,CNY,0\n", "above 0"},
               {"date,from,to,rate\n2026-11-19,USD,CNY,-7\n", "above 0"},
               {"date,from,to,rate\n2026-11-19,USD,CNY,7e0\n", "above 0"},
               {"date,from,to,rate\n2026-11-19,USD,CNY,1.2345678901234567890\n", "18 of them"},
               {"date,from,to,rate\n2026-11-19,USD,CNY\n", "four cells"},
               {"date,from,to,rate\n2026-11-19,USD,CNY,7\n2026-11-19,USD,CNY,7.0\n", "two rates"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag diag = {0};
        EXPECT(!rates_of(bad[i].text, &diag) && diag.err == ERR_INPUT && strstr(diag.what, bad[i].why));
    }
    struct diag diag = {0};
    struct rates *rates = rates_of("\xEF\xBB\xBF"
                                   "date,from,to,rate\r\n2026-11-19,USD,JPY,150.25\r\n\r\n",
                                   &diag);
    const uint8_t usd = currency_find("USD", 3), jpy = currency_find("JPY", 3);
    const struct rate *rate = rates ? rates_find(rates, day_parse("2026-11-19", 10), usd, jpy) : NULL;
    EXPECT(rate && rate->numerator == 15025 && rate->denominator == 100);
    EXPECT(rates && !rates_find(rates, day_parse("2026-11-19", 10), jpy, usd) &&
           !rates_find(rates, day_parse("2026-11-18", 10), usd, jpy));
    rates_close(rates);
}

TEST(money_is_scaled_exactly_and_rounded_once)
{
    static const struct {
        int64_t amount, numerator, denominator;
        int exponent;
        int64_t rounded[4]; /* half_up, half_even, down, up */
    } table[] = {{12500000, 6000, 1000000, 2, {80000, 80000, 70000, 80000}}, /* 0.075 */
                 {-12500000, 6000, 1000000, 2, {-80000, -80000, -70000, -80000}},
                 {500000, 725, 100, 2, {3630000, 3620000, 3620000, 3630000}}, /* 3.625 */
                 {1050000, 150, 1, 0, {158000000, 158000000, 157000000, 158000000}},
                 {10000, 1, 1, 2, {10000, 10000, 10000, 10000}},
                 {1, 1, 1, 2, {0, 0, 0, 10000}},
                 {INT64_MAX / 10000 * 10000,
                  1,
                  1,
                  2,
                  {INT64_MAX / 10000 * 10000, INT64_MAX / 10000 * 10000, INT64_MAX / 10000 * 10000,
                   INT64_MAX / 10000 * 10000}}};
    int64_t out;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int mode = 0; mode < 4; mode++)
            EXPECT(money_scale(table[i].amount, table[i].numerator, table[i].denominator, table[i].exponent,
                               (enum rounding)mode, &out) &&
                   out == table[i].rounded[mode]);
    EXPECT(!money_scale(INT64_MAX, 1000000000000000000, 1, 2, ROUND_DOWN, &out));
    EXPECT(money_scale(INT64_MIN + 1, 1, 1000000000000000000, 2, ROUND_UP, &out) && out == -10000);
}

TEST(a_schedule_has_bounds_and_knows_refunds)
{
    const uint8_t cny = currency_find("CNY", 3);
    struct fee_schedule s = {
        .rate_ppm = 6000, .rounding = ROUND_HALF_UP, .min_micro = 10000, .max_micro = 5000000};
    int64_t cost;
    EXPECT(fees_schedule(&s, 100000000, cny, &cost) && cost == 600000);
    EXPECT(fees_schedule(&s, 1000000, cny, &cost) && cost == 10000);      /* 0.006 becomes 0.01 */
    EXPECT(fees_schedule(&s, 10000, cny, &cost) && cost == 10000);        /* the least */
    EXPECT(fees_schedule(&s, 2000000000, cny, &cost) && cost == 5000000); /* the most */
    EXPECT(fees_schedule(&s, -100000000, cny, &cost) && cost == -600000);
    EXPECT(fees_schedule(&s, 0, cny, &cost) && cost == 0);
    s.refunds_kept = 1;
    EXPECT(fees_schedule(&s, -100000000, cny, &cost) && cost == 0);
}

/* ---- proposals ---- */

struct seen {
    const struct full *target;
    struct proposal proposal;
};

static enum err note(void *context, const struct proposal *proposal, struct diag *diag)
{
    struct seen *seen = context;
    (void)diag;
    if (proposal->target == seen->target)
        seen->proposal = *proposal;
    return OK;
}

static struct proposal propose_for(struct set *g, const struct full *target, uint64_t seed)
{
    static struct subset subset;
    static struct seen seen;
    struct full *rows[ROWS_MAX];
    struct diag diag = {0};
    seen.target = target;
    shuffle(g, seed, rows);
    EXPECT(subset_pool(&g->job, &subset, rows, g->count, 0, note, &seen, &diag) == OK);
    return seen.proposal;
}

static void pool(struct set *g)
{
    begin(g);
    g->job.match.subset = (struct subset_rules){.given = 1, .parts = 4, .work = 10000, .pool = 40};
}

TEST(proposals_say_unique_several_impossible_or_gave_up)
{
    struct set g;
    EACH_ORDER
    {
        pool(&g);
        struct full *whole = local(&g, 10000), *a = channel(&g, 7000), *b = channel(&g, 3000);
        channel(&g, 2500);
        struct proposal p = propose_for(&g, whole, seed);
        EXPECT(p.outcome == PROPOSAL_UNIQUE && p.part_count[0] == 2 && p.parts[0][0] == a &&
               p.parts[0][1] == b);
        channel(&g, 500);
        p = propose_for(&g, whole, seed);
        EXPECT(p.outcome == PROPOSAL_SEVERAL && p.solution_count == 2);
        end(&g);

        pool(&g);
        whole = local(&g, 10000);
        channel(&g, 7000);
        channel(&g, 2999);
        channel(&g, -10000); /* against its sign */
        p = propose_for(&g, whole, seed);
        EXPECT(p.outcome == PROPOSAL_IMPOSSIBLE);
        end(&g);

        pool(&g);
        g.job.match.subset.work = 5;
        whole = local(&g, 9999);
        for (int i = 0; i < 12; i++)
            channel(&g, 2000 + 2 * i);
        p = propose_for(&g, whole, seed);
        EXPECT(p.outcome == PROPOSAL_GAVE_UP && p.solution_count == 0);
        g.job.match.subset.work = 100000;
        EXPECT(propose_for(&g, whole, seed).outcome == PROPOSAL_GAVE_UP); /* five of them were not tried */
        g.job.match.subset.parts = 5;
        EXPECT(propose_for(&g, whole, seed).outcome == PROPOSAL_IMPOSSIBLE);
        g.job.match.subset.pool = 11;
        EXPECT(propose_for(&g, whole, seed).outcome == PROPOSAL_GAVE_UP);
        end(&g);

        pool(&g); /* no more parts than allowed, and no more solutions than are shown */
        whole = local(&g, 500);
        for (int i = 0; i < 5; i++)
            channel(&g, 100);
        EXPECT(propose_for(&g, whole, seed).outcome == PROPOSAL_GAVE_UP);
        g.job.match.subset.parts = 5;
        EXPECT(propose_for(&g, whole, seed).outcome == PROPOSAL_UNIQUE);
        whole->amount_micro = 2000000;
        EXPECT(propose_for(&g, whole, seed).solution_count == 10);
        end(&g);
    }
}

/* Every subset, the plain way. */
static uint32_t count_subsets(const struct set *g, int64_t sum, uint32_t parts)
{
    uint32_t found = 0;
    for (uint32_t bits = 1; bits < 1u << (g->count - 1); bits++) {
        int64_t left = sum;
        if ((uint32_t)__builtin_popcount(bits) > parts)
            continue;
        for (uint32_t i = 0; i + 1 < g->count; i++)
            left -= bits >> i & 1 ? g->rows[i + 1].amount_micro : 0;
        found += left == 0;
    }
    return found;
}

TEST(proposals_find_what_trying_all_finds)
{
    struct set g;
    struct prng prng = {7};
    for (int round = 0; round < 300; round++) {
        pool(&g);
        struct full *whole = local(&g, 5 + (int64_t)prng_below(&prng, 60));
        const uint64_t n = 1 + prng_below(&prng, 9);
        for (uint64_t i = 0; i < n; i++)
            channel(&g, 1 + (int64_t)prng_below(&prng, 30));
        const struct proposal p = propose_for(&g, whole, (uint64_t)round);
        const uint32_t all = count_subsets(&g, whole->amount_micro, 4);
        EXPECT(p.solution_count == (all > 10 ? 10 : all) && (p.outcome != PROPOSAL_GAVE_UP || all == 0));
        /* What needs more parts than are allowed is never called impossible. */
        EXPECT(p.outcome != PROPOSAL_IMPOSSIBLE || count_subsets(&g, whole->amount_micro, 32) == 0);
        for (uint32_t i = 0; i < p.solution_count; i++) {
            int64_t sum = 0;
            for (uint32_t k = 0; k < p.part_count[i]; k++)
                sum += p.parts[i][k]->amount_micro;
            EXPECT(sum == whole->amount_micro);
        }
        end(&g);
    }
}
