/* tests/oracle/oracle_test.c: the oracle against truths written by hand: SPEC.md's worked cases first. */
#include "tests/oracle/oracle_diff.h"
#include "tests/oracle/oracle_inner.h"
#include "tests/support/check_test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one key, a few records ---- */

static struct oracle_diff diff;

/* Each case starts from `diff --key=k --amount=amount --compare=status`, with `id` as the channel's
 * occurrence id. */
static struct oracle_job *rules(const char *key, const char *compare)
{
    if (!oracle_diff_init(&diff, key, "amount", compare)) {
        fprintf(stderr, "rules: %s, %s\n", key, compare);
        abort();
    }
    return &diff.job;
}

static char outcome_text[16384];

static void say(const char *text, size_t size)
{
    size_t used = strlen(outcome_text);
    if (used + size + 1 < sizeof outcome_text) {
        memcpy(outcome_text + used, text, size);
        outcome_text[used + size] = 0;
    }
}

static void say_cell(const struct table *t, int row, const char *column)
{
    int i = table_column(t, column);
    if (i >= 0 && t->rows[row][i].size) {
        say(" ", 1);
        say(t->rows[row][i].data, t->rows[row][i].size);
    }
}

/* Every row as "class amount... reasons", class by class, joined by "; ". */
static const char *outcome(const struct oracle_job *job, const char *local, const char *channel)
{
    struct oracle *o = oracle_open(job);
    outcome_text[0] = 0;
    if (oracle_read(o, ORACLE_LOCAL, "local", local, strlen(local)) != 0 ||
        oracle_read(o, ORACLE_CHANNEL, "channel", channel, strlen(channel)) != 0) {
        say("refused", 7);
        oracle_close(o);
        return outcome_text;
    }
    oracle_match(o);
    for (int c = 0; c < O_CLASSES; c++) {
        const struct table *t = oracle_table(o, c);
        for (int r = 0; r < t->count; r++) {
            if (outcome_text[0])
                say("; ", 2);
            say(oracle_class_word(c), strlen(oracle_class_word(c)));
            const char *const shown[] = {"side",   "local_amount", "channel_amount",
                                         "delta",  "amount",       "occurrence_id",
                                         "column", "raw",          "reasons"};
            for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
                say_cell(t, r, shown[i]);
        }
    }
    oracle_close(o);
    return outcome_text;
}

/* Cells "100 FAILED 2026-01-05 id1,101": records of one key: amount, status, bill date, occurrence id; '-'
 * leaves one empty. */
static const char *side_text(char out[4096], const char *cells)
{
    size_t n = (size_t)snprintf(out, 4096, "biz_order_no,amount,status,bill_date,channel_order_no\n");
    for (const char *p = cells; *p;) {
        char record[256], word[4][64] = {"", "", "", ""};
        size_t size = strcspn(p, ",");
        snprintf(record, sizeof record, "%.*s", (int)size, p);
        p += size + (p[size] == ',');
        sscanf(record, "%63s %63s %63s %63s", word[0], word[1], word[2], word[3]);
        for (int i = 0; i < 4; i++)
            if (strcmp(word[i], "-") == 0)
                word[i][0] = 0;
        n += (size_t)snprintf(out + n, 4096 - n, "K,%s,%s,%s,%s\n", word[0], word[1], word[2], word[3]);
    }
    return out;
}

static const char *one_key(const struct oracle_job *job, const char *local, const char *channel)
{
    char l[4096], c[4096];
    return outcome(job, side_text(l, local), side_text(c, channel));
}

/* The worked case `text`, under the plain rules. */
#define IS(text, want)                                                                                       \
    do {                                                                                                     \
        const char *is_ = (text);                                                                            \
        EXPECT(strcmp(is_, (want)) == 0);                                                                    \
        if (strcmp(is_, (want)) != 0)                                                                        \
            fprintf(stderr, "   is: %s\n want: %s\n", is_, (want));                                          \
    } while (0)
#define PLAIN rules("biz_order_no", "status")

TEST(equal_records_match)
{
    IS(one_key(PLAIN, "100", "100"), "match 100.00 100.00 0.00 exact");
    IS(one_key(PLAIN, "1.1", "1.10"), "match 1.10 1.10 0.00 exact");
    IS(one_key(PLAIN, "-0", "0.000000000"), "match 0.00 0.00 0.00 exact");
}

TEST(a_repeated_occurrence_id_is_a_duplicate)
{
    IS(one_key(PLAIN, "100", "100 - - A,100 - - A"),
       "match 100.00 100.00 0.00 exact; duplicate channel 100.00 A");
    IS(one_key(PLAIN, "", "100 - - A,100 - - A"), "extra channel 100.00 A; duplicate channel 100.00 A");
}

TEST(a_repeated_occurrence_id_with_another_amount_is_a_conflict)
{
    IS(one_key(PLAIN, "100", "100 - - A,90 - - A"),
       "missing local 100.00; ambiguous channel 90.00 A conflict; ambiguous channel 100.00 A conflict");
}

TEST(two_ids_leave_one_open_and_suspected)
{
    IS(one_key(PLAIN, "100", "100 - - A,100 - - B"),
       "match 100.00 100.00 0.00 exact; extra channel 100.00 B dup_suspect");
}

TEST(without_ids_what_is_over_is_a_suspected_duplicate)
{
    IS(one_key(PLAIN, "100", "100,100"),
       "match 100.00 100.00 0.00 exact; duplicate channel 100.00 suspected");
    IS(one_key(PLAIN, "100,100", "100 - - A"),
       "match 100.00 100.00 0.00 exact; duplicate local 100.00 suspected");
}

TEST(pairs_are_made_one_to_one)
{
    IS(one_key(PLAIN, "100,100", "100 - - A,100 - - B"),
       "match 100.00 100.00 0.00 exact; match 100.00 100.00 0.00 exact");
}

TEST(the_equal_amount_is_matched_first_in_any_order)
{
    const char *want = "match 100.00 100.00 0.00 exact; extra channel 90.00 B";
    IS(one_key(PLAIN, "100", "90 - - B,100 - - A"), want);
    IS(one_key(PLAIN, "100", "100 - - A,90 - - B"), want);
}

TEST(one_against_one_tells_what_differs)
{
    IS(one_key(PLAIN, "100", "90"), "mismatch 100.00 90.00 -10.00 amount");
    IS(one_key(PLAIN, "100 FAILED", "100 SUCCESS"), "mismatch 100.00 100.00 0.00 status");
    IS(one_key(PLAIN, "100 FAILED", "99 SUCCESS"), "mismatch 100.00 99.00 -1.00 amount;status");
    IS(one_key(PLAIN, "100", "-100"), "mismatch 100.00 -100.00 -200.00 direction");
    IS(one_key(PLAIN, "100", "-90"), "mismatch 100.00 -90.00 -190.00 amount;direction");
    IS(one_key(PLAIN, "100,100", "90 - - A,90 - - B"),
       "mismatch 100.00 90.00 -10.00 amount; mismatch 100.00 90.00 -10.00 amount");
}

TEST(what_does_not_pair_is_ambiguous)
{
    IS(one_key(PLAIN, "100", "60 - - A,40 - - B"),
       "ambiguous channel 60.00 A; ambiguous channel 40.00 B; ambiguous local 100.00");
    IS(one_key(PLAIN, "100,100", "90 - - A"),
       "ambiguous channel 90.00 A; ambiguous local 100.00; ambiguous local 100.00");
}

TEST(money_that_did_not_move_is_excluded)
{
    IS(one_key(PLAIN, "100 FAILED", ""), "excluded local 100.00 non_monetary");
    IS(one_key(PLAIN, "100 SUCCESS", ""), "missing local 100.00");
    IS(one_key(PLAIN, "", "100 CLOSED"), "excluded channel 100.00 non_monetary");
}

TEST(tolerance_chains_take_the_nearest)
{
    struct oracle_job *job = PLAIN;
    job->amount_tolerance_micro = 1000000;
    IS(one_key(job, "100,102", "101,103"),
       "match 100.00 101.00 1.00 tolerance; match 102.00 103.00 1.00 tolerance");
    IS(one_key(job, "100", "101"), "match 100.00 101.00 1.00 tolerance");
    IS(one_key(job, "100", "101.01"), "mismatch 100.00 101.01 1.01 amount");
    IS(one_key(job, "100", "-100"), "mismatch 100.00 -100.00 -200.00 direction");
    IS(one_key(job, "100,100.5", "100.5"), "match 100.50 100.50 0.00 exact; missing local 100.00");
    job->amount_tolerance_micro = 0;
    job->amount_tolerance_ppm = 10000;
    IS(one_key(job, "100", "101"), "match 100.00 101.00 1.00 tolerance");
    IS(one_key(job, "101", "100"), "match 101.00 100.00 -1.00 tolerance");
    IS(one_key(job, "100", "101.000001"), "mismatch 100.00 101.000001 1.000001 amount");
}

TEST(days_and_windows)
{
    struct oracle_job *job = PLAIN;
    job->has_window = 1;
    job->window_before = job->window_after = 2;
    IS(one_key(job, "100 - 2026-01-05", "100 - 2026-01-06"), "match 100.00 100.00 0.00 day_cut");
    IS(one_key(job, "100 - 2026-01-05", "100 - 2026-01-14"), "mismatch 100.00 100.00 0.00 timing");
    IS(one_key(job, "100 - 2026-01-05", "90 - 2026-01-14"), "mismatch 100.00 90.00 -10.00 amount");
    IS(one_key(job, "100 - 2026-01-05", "100"), "match 100.00 100.00 0.00 exact");
    IS(one_key(job, "100 - 2026-02-28", "100 - 2026-03-02"), "match 100.00 100.00 0.00 day_cut");
    IS(one_key(job, "100 - 2026-02-28", "100 - 2026-03-03"), "mismatch 100.00 100.00 0.00 timing");
    /* Earliest first: the fifth meets the sixth, and the eighth the ninth. */
    IS(one_key(job, "100 - 2026-01-08,100 - 2026-01-05", "100 - 2026-01-09,100 - 2026-01-06"),
       "match 100.00 100.00 0.00 day_cut; match 100.00 100.00 0.00 day_cut");
    IS(one_key(job, "100 - 2026-01-01,100 - 2026-01-05", "100 - 2026-01-06"),
       "match 100.00 100.00 0.00 day_cut; duplicate local 100.00 suspected");
    job->window_before = 0;
    IS(one_key(job, "100 - 2026-01-05", "100 - 2026-01-04"), "mismatch 100.00 100.00 0.00 timing");
    job->has_window = 0;
    IS(one_key(job, "100 - 2026-01-05", "100 - 2026-01-14"), "match 100.00 100.00 0.00 day_cut");
}

TEST(tolerance_and_window_together)
{
    struct oracle_job *job = PLAIN;
    job->amount_tolerance_micro = 1000000;
    job->has_window = job->window_before = job->window_after = 1;
    IS(one_key(job, "100 - 2026-01-05", "100.5 - 2026-01-06"), "match 100.00 100.50 0.50 tolerance;day_cut");
    IS(one_key(job, "100 - 2026-01-05", "100.5 - 2026-01-07"), "mismatch 100.00 100.50 0.50 amount");
}

TEST(fees_have_a_tolerance_of_their_own)
{
    struct oracle_job *job = rules("biz_order_no", "fee");
    const char *l = "biz_order_no,amount,fee\nK,100,0.60\n";
    job->fee_tolerance_micro = 10000;
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,100,0.61\n"), "match 100.00 100.00 0.00 tolerance");
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,100,0.62\n"), "mismatch 100.00 100.00 0.00 fee");
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,100,\n"), "mismatch 100.00 100.00 0.00 fee");
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,100.01,0.6\n"), "mismatch 100.00 100.01 0.01 amount");
}

TEST(different_currencies_have_no_delta)
{
    IS(outcome(PLAIN, "biz_order_no,amount,status,currency\nK,100,,CNY\n",
               "biz_order_no,amount,status,currency\nK,99,,JPY\n"),
       "mismatch 100.00 99 currency");
}

TEST(the_next_key_takes_what_is_left)
{
    struct oracle_job *job = rules("biz_order_no", NULL);
    EXPECT(oracle_diff_add_key(&diff, "merchant_no"));
    IS(outcome(job, "biz_order_no,merchant_no,amount\nA,M,1\n,N,2\n,,3\n",
               "biz_order_no,merchant_no,amount\nB,M,1\nN,N,2\n,,3\n"),
       "match 2.00 2.00 0.00 exact; match 1.00 1.00 0.00 exact; missing local 3.00; extra channel 3.00");
    /* A mismatch under the first key is final. */
    IS(outcome(job, "biz_order_no,merchant_no,amount\nA,M,1\n",
               "biz_order_no,merchant_no,amount\nA,,2\n,M,1\n"),
       "mismatch 1.00 2.00 1.00 amount; extra channel 1.00");
}

/* ---- the rest of the rules: decisions 26 to 34 of core/README.md ---- */

TEST(splits_match_where_sums_are_equal)
{
    struct oracle_job *job = PLAIN;
    job->splits = 1;
    IS(one_key(job, "100", "60 - - A,40 - - B"),
       "match 60.00 60.00 group; match 40.00 40.00 group; match 100.00 -100.00 group");
    IS(one_key(job, "100", "60 - - A,30 - - B"),
       "ambiguous channel 60.00 A; ambiguous channel 30.00 B; ambiguous local 100.00");
    IS(one_key(job, "100", "60 FAILED - A,40 - - B"),
       "ambiguous channel 60.00 A; ambiguous channel 40.00 B; ambiguous local 100.00");
    /* One against one, or as many of one kind on each side, is no split. */
    IS(one_key(job, "100", "-100"), "mismatch 100.00 -100.00 -200.00 direction");
}

TEST(the_budget_is_spent_in_order_and_what_passes_it_ends_it)
{
    struct oracle_job *job = rules("biz_order_no", NULL);
    job->amount_tolerance_micro = 50000;
    job->has_budget = 1;
    job->budget_micro = 50000;
    const char *l = "biz_order_no,amount\nA,100\nB,100\nC,100\n";
    IS(outcome(job, l, "biz_order_no,amount\nA,100.03\nB,99.98\nC,100\n"),
       "match 100.00 100.03 0.03 tolerance; match 100.00 99.98 -0.02 tolerance; match 100.00 100.00 0.00 "
       "exact");
    IS(outcome(job, l, "biz_order_no,amount\nA,100.02\nB,99.96\nC,100.01\n"),
       "match 100.00 100.02 0.02 tolerance; mismatch 100.00 99.96 -0.04 budget; "
       "mismatch 100.00 100.01 0.01 budget");
}

TEST(net_fees_are_part_of_what_is_compared)
{
    struct oracle_job *job = rules("biz_order_no", NULL);
    job->fees = O_FEES_NET;
    const char *l = "biz_order_no,amount,fee\nK,100,\n";
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,99.40,0.60\n"), "match 100.00 99.40 -0.60 fee");
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,100,\n"), "match 100.00 100.00 0.00 exact");
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,100,0.60\n"), "mismatch 100.00 100.00 0.00 amount");
    job->amount_tolerance_micro = 10000;
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,99.41,0.60\n"), "match 100.00 99.41 -0.59 tolerance;fee");
    job->sources[ORACLE_CHANNEL].fee_is_signed = 1;
    IS(outcome(job, l, "biz_order_no,amount,fee\nK,99.40,-0.60\n"), "match 100.00 99.40 -0.60 fee");
}

TEST(fees_by_schedule_are_rounded_bounded_and_returned)
{
    struct oracle_job *job = rules("biz_order_no", "fee");
    job->fees = O_FEES_SCHEDULE;
    job->schedule.rate_ppm = 6000;
    EXPECT(oracle_schedule(job, 100000000, "CNY") == 600000);
    EXPECT(oracle_schedule(job, 12500000, "CNY") == 80000); /* 0.075 */
    EXPECT(oracle_schedule(job, -12500000, "CNY") == -80000);
    EXPECT(oracle_schedule(job, 12500000, "JPY") == 0);
    EXPECT(oracle_schedule(job, 12500000, "KWD") == 75000);
    job->schedule.rounding = O_HALF_EVEN;
    EXPECT(oracle_schedule(job, 12500000, "CNY") == 80000); /* 7.5 cents to the even 8 */
    EXPECT(oracle_schedule(job, 10833333, "CNY") == 60000 && oracle_schedule(job, 7500000, "CNY") == 40000);
    job->schedule.rounding = O_DOWN;
    EXPECT(oracle_schedule(job, 12500000, "CNY") == 70000);
    job->schedule.rounding = O_UP;
    EXPECT(oracle_schedule(job, 1, "CNY") == 10000 && oracle_schedule(job, 0, "CNY") == 0);
    job->schedule.min_micro = 50000;
    job->schedule.max_micro = 5000000;
    EXPECT(oracle_schedule(job, 1000000, "CNY") == 50000);
    EXPECT(oracle_schedule(job, 1000000000000, "CNY") == 5000000);
    job->schedule.are_refunds_kept = 1;
    EXPECT(oracle_schedule(job, -1000000, "CNY") == 0);
    IS(outcome(job, "biz_order_no,amount,fee\nK,100,\n", "biz_order_no,amount,fee\nK,100,0.60\n"),
       "match 100.00 100.00 0.00 exact");
    IS(outcome(job, "biz_order_no,amount,fee\nK,100,\n", "biz_order_no,amount,fee\nK,100,0.61\n"),
       "mismatch 100.00 100.00 0.00 fee");
}

TEST(partials_are_reached_short_over_or_given_back)
{
    struct oracle_job *job = PLAIN;
    job->partials.is_given = 1;
    IS(one_key(job, "100", "60 - - A,40 - - B"),
       "match 60.00 60.00 group; match 40.00 40.00 group; match 100.00 -100.00 group");
    IS(one_key(job, "100", "60 - - A"), "mismatch 100.00 60.00 -40.00 under");
    IS(one_key(job, "100", "110 - - A"), "mismatch 100.00 110.00 10.00 over");
    IS(one_key(job, "100", "30 - - A,-50 - - B"),
       "mismatch 30.00 30.00 over_refund; mismatch -50.00 -50.00 over_refund; "
       "mismatch 100.00 -100.00 over_refund");
    IS(one_key(job, "100,-120 - - b", "60 - - A,40 - - B,-70 - - C,-50 - - D"),
       "mismatch 60.00 60.00 over_refund; mismatch 40.00 40.00 over_refund; mismatch -70.00 -70.00 "
       "over_refund; "
       "mismatch -50.00 -50.00 over_refund; mismatch 100.00 -100.00 over_refund; mismatch -120.00 120.00 "
       "over_refund");
    job->threshold[ORACLE_LOCAL] = 1;
    IS(one_key(job, "100", "60 - - A"), "suspense channel 60.00 A partial; suspense local 100.00 partial");
    job->partials.whole = ORACLE_CHANNEL;
    IS(one_key(job, "100", "60 - - A"), "mismatch 100.00 60.00 -40.00 over");
}

TEST(a_record_and_its_reversal_net_each_other)
{
    struct oracle_job *job = PLAIN;
    job->reversals = 1;
    IS(one_key(job, "100,-100", ""), "match 100.00 -100.00 netted; match -100.00 100.00 netted");
    IS(one_key(job, "100,-60,-40", ""),
       "match 100.00 -100.00 netted; match -40.00 40.00 netted; match -60.00 60.00 netted");
    IS(one_key(job, "100,-60", ""), "missing local 100.00; missing local -60.00");
    IS(one_key(job, "0,0", ""), "missing local 0.00; missing local 0.00");
}

TEST(currencies_meet_by_the_table_only)
{
    struct oracle_job *job = PLAIN;
    const char *l = "biz_order_no,amount,status,currency,bill_date\nK,0.50,,USD,2026-01-05\n";
    job->rates = "date,from,to,rate\n2026-01-05,USD,CNY,7.11\n";
    IS(outcome(job, l, "biz_order_no,amount,status,currency,bill_date\nK,3.56,,CNY,2026-01-05\n"),
       "match 0.50 3.56 fx");
    IS(outcome(job, l, "biz_order_no,amount,status,currency,bill_date\nK,3.55,,CNY,2026-01-05\n"),
       "mismatch 0.50 3.55 currency;fx");
    IS(outcome(job, l, "biz_order_no,amount,status,currency,bill_date\nK,3.56,,JPY,2026-01-05\n"),
       "mismatch 0.50 3.56 currency;fx_rate_missing");
    job->fx_rounding = O_DOWN;
    IS(outcome(job, l, "biz_order_no,amount,status,currency,bill_date\nK,3.55,,CNY,2026-01-05\n"),
       "match 0.50 3.55 fx");
    job->rates = "date,from,to,rate\n2026-01-05,USD,CNY,7.11\n2026-01-05,USD,CNY,7.12\n";
    IS(outcome(job, l, l), "refused");
}

static const char *proposals(const struct oracle_job *job, const char *local, const char *channel)
{
    struct oracle *o = oracle_open(job);
    outcome_text[0] = 0;
    EXPECT(oracle_read(o, ORACLE_LOCAL, "local", local, strlen(local)) == 0 &&
           oracle_read(o, ORACLE_CHANNEL, "channel", channel, strlen(channel)) == 0);
    oracle_match(o);
    const struct table *t = oracle_proposals(o);
    for (int r = 0; r < t->count; r++) {
        static const char *const shown[] = {"outcome", "solutions", "solution", "role", "side", "amount"};
        for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
            say_cell(t, r, shown[i]);
        say(";", 1);
    }
    oracle_close(o);
    return outcome_text;
}

TEST(proposals_tell_what_adds_up)
{
    struct oracle_job *job = rules("biz_order_no", NULL);
    job->subset.is_given = 1;
    job->subset.parts = 6;
    job->subset.work = 100;
    job->subset.pool = 10;
    const char *l = "biz_order_no,amount\nA,100\n";
    IS(proposals(job, l, "biz_order_no,amount\nB,60\nC,40\n"),
       " unique 1 target local 100.00; unique 1 1 part channel 60.00; unique 1 1 part channel 40.00;"
       " impossible 0 target channel 60.00; impossible 0 target channel 40.00;");
    IS(proposals(job, l, "biz_order_no,amount\nB,60\n"),
       " impossible 0 target local 100.00; impossible 0 target channel 60.00;");
    job->subset.work = 1;
    IS(proposals(job, l, "biz_order_no,amount\nB,60\nC,40\n"),
       " gave_up target local 100.00; impossible 0 target channel 60.00; impossible 0 target channel 40.00;");
    job->subset.work = 100;
    job->subset.pool = 1;
    IS(proposals(job, l, "biz_order_no,amount\nB,60\nC,40\n"),
       " gave_up target local 100.00; gave_up target channel 60.00; gave_up target channel 40.00;");
}

TEST(settlements_add_up_once_they_are_complete)
{
    struct oracle_job *job = rules("biz_order_no", NULL);
    job->group.is_given = 1;
    job->group.gross = ORACLE_LOCAL;
    job->group.count = -1;
    const char *l = "biz_order_no,amount,fee\nS,100,0.60\nS,50,0.30\n";
    IS(outcome(job, l, "biz_order_no,amount,fee\nS,149.10,\n"),
       "match 50.00 -50.00 group; match 100.00 -100.00 group; match 149.10 149.10 group");
    IS(outcome(job, l, "biz_order_no,amount,fee\nS,149,\n"),
       "mismatch 50.00 -50.00 group_sum; mismatch 100.00 -100.00 group_sum; mismatch 149.00 149.00 "
       "group_sum");
    IS(outcome(job, l, "biz_order_no,amount,fee\nT,1,\n"),
       "missing local 50.00; missing local 100.00; extra channel 1.00");
}

TEST(what_is_set_aside_meets_nobody)
{
    struct oracle_job *job = rules("biz_order_no", NULL);
    job->tests[0] = (struct oracle_test){O_BIZ_ORDER_NO, {"TEST*"}};
    job->merchants[0] = "m1";
    const char *text = "biz_order_no,merchant_no,amount\nTEST-1,m9,1\nA,m9,2\nB,m1,3\nC,,4\n";
    IS(outcome(job, text, "biz_order_no,merchant_no,amount\n"),
       "missing local 3.00; missing local 4.00; excluded local 2.00 alien_merchant; excluded local 1.00 "
       "test");
}

TEST(a_date_that_the_file_states_wins)
{
    IS(outcome(PLAIN,
               "biz_order_no,amount,status,bill_date,trade_time\nK,1,,2026-01-05,2026-01-06 00:00:01\n",
               "biz_order_no,amount,status\nK,1,\n"),
       "match 1.00 1.00 0.00 exact;date_disagrees");
}

TEST(the_direction_column_and_the_sign_multiply)
{
    IS(outcome(PLAIN, "biz_order_no,amount,status,direction\nK,-5,,OUT\n",
               "biz_order_no,amount,status\nK,5,\n"),
       "match 5.00 5.00 0.00 exact");
    IS(outcome(PLAIN, "biz_order_no,amount,status,direction\nK,5,,OUT\n",
               "biz_order_no,amount,status\nK,-5,\n"),
       "match -5.00 -5.00 0.00 exact");
}

/* ---- rows ---- */

TEST(bad_rows_are_rejects)
{
    struct oracle_job *job = PLAIN;
    job->max_rejects[0] = 100;
    IS(outcome(job, "biz_order_no,amount,status\nK,,\nK,1.2.3,\nK,1\nK,1,,\nK,0.0000001,\nK,1.0000000,\n",
               "biz_order_no,amount,status\n"),
       "missing local 1.00; reject local amount K,,; reject local amount K,1.2.3,; reject local K,1; reject "
       "local K,1,,; "
       "reject local amount K,0.0000001,");
    IS(outcome(job, "biz_order_no,amount,status,currency\nK,1,,XYZ\n", "biz_order_no,amount,status\n"),
       "reject local currency K,1,,XYZ");
    IS(outcome(job,
               "biz_order_no,amount,status,trade_time\nK,1,,2026-02-29\nK,1,,2026-02-28 "
               "24:00\nK,1,,2028-02-29 23:59:59\n",
               "biz_order_no,amount,status\n"),
       "missing local 1.00; reject local trade_time K,1,,2026-02-29; reject local trade_time K,1,,2026-02-28 "
       "24:00");
}

TEST(a_stray_quote_or_return_spoils_the_row_up_to_the_newline)
{
    struct oracle_job *job = PLAIN;
    job->max_rejects[0] = 100;
    IS(outcome(job, "biz_order_no,amount,status\nK\"1,1,\r\n\"K\"2,1,\nK\r3,1,\n\"K\n4\"\"\",1,\"\"\r\n",
               "biz_order_no,amount,status\n"),
       "missing local 1.00; reject local K\"1,1,; reject local \"K\"2,1,; reject local K\r3,1,");
    IS(outcome(job, "biz_order_no,amount,status\nK\"1,\"1\n1\",\n", "biz_order_no,amount,status\n"),
       "reject local K\"1,\"1; reject local 1\",");
}

TEST(a_file_that_is_cut_or_empty_is_refused)
{
    const char *header = "biz_order_no,amount,status\n";
    IS(outcome(PLAIN, "", header), "refused");
    IS(outcome(PLAIN, header, header), "");
    IS(outcome(PLAIN, "biz_order_no,amount,status\nK,1,\"x", header), "refused");
    IS(outcome(PLAIN, "biz_order_no,amount,status\nK,1,\r", header), "refused");
    IS(outcome(PLAIN, "biz_order_no,amount\nK,1\n", header), "refused");
    IS(outcome(PLAIN, "biz_order_no,amount,status\nK,x,\n", header), "refused");
}

TEST(line_ends_marks_and_blank_lines)
{
    IS(outcome(PLAIN, "\xEF\xBB\xBF\"biz_order_no\",amount,status\r\n\r\n\nK,1,",
               "status,amount,biz_order_no\n,1,K"),
       "match 1.00 1.00 0.00 exact");
}

/* ---- money ---- */

TEST(amounts_are_exact)
{
    static const struct {
        const char *text;
        int exponent, ok;
        int64_t micro;
    } cases[] = {{"1", 0, 1, 1000000},
                 {"+1.5", 0, 1, 1500000},
                 {"-0.000001", 0, 1, -1},
                 {"0001.10", 0, 1, 1100000},
                 {"9223372036854.775807", 0, 1, INT64_MAX},
                 {"9223372036854.775808", 0, 0, 0},
                 {"-9223372036854.775808", 0, 0, 0},
                 {"99999999999999999999999999999999999999999999", 0, 0, 0},
                 {"0.0000001", 0, 0, 0},
                 {"0.10000000000000000000000000000000000000000", 0, 1, 100000},
                 {"12345", 2, 1, 123450000},
                 {"12345.5", 2, 1, 123455000},
                 {"0.00001", 2, 0, 0},
                 {"7", 0, 1, 7000000},
                 {"1234", 3, 1, 1234000},
                 {"", 0, 0, 0},
                 {".5", 0, 0, 0},
                 {"5.", 0, 0, 0},
                 {"--5", 0, 0, 0},
                 {"+", 0, 0, 0},
                 {"1e3", 0, 0, 0},
                 {"1,000", 0, 0, 0},
                 {" 1", 0, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t micro = 0;
        int ok = oracle_money((struct text){(char *)cases[i].text, strlen(cases[i].text)}, cases[i].exponent,
                              &micro);
        EXPECT(ok == cases[i].ok && micro == cases[i].micro);
    }
}

/* ---- dates and zones ---- */

static const char *cell_of_missing(const struct oracle_job *job, const char *header, const char *row,
                                   const char *column)
{
    char local[512], channel[256];
    struct oracle *o = oracle_open(job);
    snprintf(local, sizeof local, "%s\n%s\n", header, row);
    snprintf(channel, sizeof channel, "biz_order_no,amount,status\n");
    outcome_text[0] = 0;
    if (oracle_read(o, ORACLE_LOCAL, "local", local, strlen(local)) == 0 &&
        oracle_read(o, ORACLE_CHANNEL, "channel", channel, strlen(channel)) == 0) {
        oracle_match(o);
        const struct table *t = oracle_table(o, O_MISSING);
        if (t->count == 1) {
            struct text cell = t->rows[0][table_column(t, column)];
            say(cell.data, cell.size);
        }
    }
    oracle_close(o);
    return outcome_text;
}

TEST(times_zones_and_cuts)
{
    struct oracle_job *job = PLAIN;
    const char *header = "biz_order_no,amount,status,trade_time";
    IS(cell_of_missing(job, header, "K,1,,2026-01-05 23:59:58", "trade_time"), "2026-01-05T23:59:58+08:00");
    IS(cell_of_missing(job, header, "K,1,,20260105235958", "trade_time"), "2026-01-05T23:59:58+08:00");
    IS(cell_of_missing(job, header, "K,1,,2026/01/05T16:00:00.5Z", "trade_time"),
       "2026-01-06T00:00:00.500000+08:00");
    IS(cell_of_missing(job, header, "K,1,,2026-01-05T16:00:00Z", "bill_date"), "2026-01-06");
    IS(cell_of_missing(job, header, "K,1,,1969-12-31 23:59:59", "trade_time"), "1969-12-31T23:59:59+08:00");
    job->cut_minutes = 23 * 60;
    IS(cell_of_missing(job, header, "K,1,,2026-12-31 23:00:00", "bill_date"), "2027-01-01");
    IS(cell_of_missing(job, header, "K,1,,2026-12-31 22:59:59", "bill_date"), "2026-12-31");
    job->cut_minutes = 4 * 60;
    IS(cell_of_missing(job, header, "K,1,,2026-03-01 03:59:59.999999", "bill_date"), "2026-02-28");
    IS(cell_of_missing(job, header, "K,1,,2026-03-01 04:00:00", "bill_date"), "2026-03-01");
    job->cut_minutes = 0;
    job->timezone = "America/New_York";
    IS(cell_of_missing(job, header, "K,1,,2026-03-08 02:30:00", "trade_time"), "2026-03-08T03:30:00-04:00");
    IS(cell_of_missing(job, header, "K,1,,2026-03-08 01:59:59", "trade_time"), "2026-03-08T01:59:59-05:00");
    IS(cell_of_missing(job, header, "K,1,,2026-03-08 03:00:00", "trade_time"), "2026-03-08T03:00:00-04:00");
    IS(cell_of_missing(job, header, "K,1,,2026-11-01 01:30:00", "trade_time"), "2026-11-01T01:30:00-04:00");
    IS(cell_of_missing(job, header, "K,1,,2026-11-01 06:30:00Z", "trade_time"), "2026-11-01T01:30:00-05:00");
}

TEST(formulas_are_made_harmless)
{
    struct oracle_job *job = PLAIN;
    IS(cell_of_missing(job, "biz_order_no,amount,status", "=1+1,1,", "biz_order_no"), "'=1+1");
    IS(cell_of_missing(job, "biz_order_no,amount,status", "'=1,1,", "biz_order_no"), "''=1");
    IS(cell_of_missing(job, "biz_order_no,amount,status", "\xef\xbc\x9dz,1,", "biz_order_no"),
       "'\xef\xbc\x9dz");
    IS(cell_of_missing(job, "biz_order_no,amount,status", "K,-1,", "amount"), "-1.00");
}

TEST(sums_are_in_128_bits)
{
    struct oracle *o = oracle_open(PLAIN);
    const char *l = "biz_order_no,amount,status\nA,9223372036854.775807,\nB,9223372036854.775807,\nC,-1,\n",
               *c = "biz_order_no,amount,status\n";
    EXPECT(oracle_read(o, ORACLE_LOCAL, "l", l, strlen(l)) == 0 &&
           oracle_read(o, ORACLE_CHANNEL, "c", c, strlen(c)) == 0);
    oracle_match(o);
    struct text sum = oracle_sum(o, O_MISSING, ORACLE_LOCAL, "CNY");
    IS(sum.data, "18446744073708.551614");
    free(sum.data);
    EXPECT(oracle_exit_code(o) == 1);
    oracle_close(o);
}
