/* tests/unit/core/rules/verdict_test.c: the worked cases of SPEC.md section 3, through resolve_group and
 * resolve_alone */
#include "core/base/arena.h"
#include "core/base/prng.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include "core/rules/verdict.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

enum { ROWS_MAX = 12 };

/* One key's records, written as in SPEC.md: "L100 R90". */
struct group {
    struct job job;
    struct arena arena;
    struct full rows[ROWS_MAX];
    uint32_t count;
    int status_compared;
};

static struct span text_of(struct group *g, const char *text)
{
    return arena_copy(&g->arena, span_of(text));
}

static void begin(struct group *g)
{
    memset(g, 0, sizeof *g);
    arena_init(&g->arena);
    g->job.match.window_before = g->job.match.window_after = 1;
    g->job.match.key_count = 1;
    g->job.match.compare[0] = FIELD_STATUS;
    g->job.match.compare_count = 1;
    g->job.non_monetary[0] = "FAILED";
    g->job.non_monetary_count = 1;
}

static void finish(struct group *g)
{
    arena_fini(&g->arena);
}

/* A record: amount in major units, an occurrence id or "", a status, a day (0: none). */
static struct full *add(struct group *g, enum side side, int amount, const char *occurrence,
                        const char *status, int day)
{
    struct full *row = &g->rows[g->count++];
    memset(row, 0, sizeof *row);
    row->side = (uint8_t)side;
    row->amount_micro = (int64_t)amount * 1000000;
    row->out = amount < 0;
    row->currency = currency_find("CNY", 3);
    row->day = (uint16_t)day;
    row->place = g->count * 100;
    row->verdict = VERDICT_OPEN;
    row->occurrence = text_of(g, occurrence);
    row->key = text_of(g, "KEY");
    char money[MONEY_TEXT_MAX], canonical[200], sigma[100];
    money_print(money, row->amount_micro, 2);
    row->text[FIELD_AMOUNT] = text_of(g, money);
    row->text[FIELD_STATUS] = text_of(g, status);
    row->text[FIELD_CURRENCY] = text_of(g, "CNY");
    row->monetary = (uint8_t)job_status_is_monetary(&g->job, row->text[FIELD_STATUS]);
    snprintf(sigma, sizeof sigma, "CNY|%s|%s", row->out ? "OUT" : "IN", status);
    snprintf(canonical, sizeof canonical, "%06d|%s|%s", day, money, sigma);
    row->sigma = text_of(g, sigma);
    row->canonical = text_of(g, canonical);
    return row;
}

static struct full *local(struct group *g, int amount)
{
    return add(g, LOCAL, amount, "", "SUCCESS", 20000);
}

static struct full *channel(struct group *g, int amount, const char *occurrence)
{
    return add(g, CHANNEL, amount, occurrence, "SUCCESS", 20000);
}

/* Judges, with the rows given in an order of the seed's. */
static void judge(struct group *g, uint64_t seed)
{
    struct full *rows[ROWS_MAX];
    struct prng prng = {seed};
    for (uint32_t i = 0; i < g->count; i++) {
        uint32_t at = (uint32_t)prng_below(&prng, i + 1);
        rows[i] = rows[at];
        rows[at] = &g->rows[i];
    }
    struct verdict_scratch scratch = {0};
    EXPECT(resolve_group(&g->job, &scratch, rows, g->count, 1));
    for (uint32_t i = 0; i < g->count; i++)
        if (g->rows[i].verdict == VERDICT_OPEN)
            resolve_alone(&g->job, &g->rows[i]);
    verdict_scratch_fini(&scratch);
}

static int is(const struct full *row, enum class_id class_id, uint64_t reasons)
{
    if (row->verdict != class_id || row->reasons != reasons)
        fprintf(stderr, "  %s %lld: %s, reasons %llx; want %s, %llx\n", side_name((enum side)row->side),
                (long long)row->amount_micro / 1000000,
                row->verdict == VERDICT_OPEN ? "open" : class_name((enum class_id)row->verdict),
                (unsigned long long)row->reasons, class_name(class_id), (unsigned long long)reasons);
    return row->verdict == class_id && row->reasons == reasons;
}

#define EXACT REASON_BIT(REASON_EXACT)
#define DUP_SUSPECT REASON_BIT(REASON_DUP_SUSPECT)
#define EACH_ORDER for (uint64_t seed = 0; seed < 24; seed++)

TEST(one_and_one_match)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *r = channel(&g, 100, "a");
        judge(&g, seed);
        EXPECT(is(l, CLASS_MATCH, EXACT) && is(r, CLASS_MATCH, EXACT) && l->partner == r && r->partner == l &&
               l->key_no == 1);
        finish(&g);
    }
}

TEST(the_same_id_twice_is_a_duplicate)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *first = channel(&g, 100, "a"), *second = channel(&g, 100, "a");
        judge(&g, seed);
        EXPECT(is(l, CLASS_MATCH, EXACT) && is(first, CLASS_MATCH, EXACT) && is(second, CLASS_DUPLICATE, 0));
        finish(&g);
    }
}

TEST(two_ids_leave_one_open_under_suspicion)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *a = channel(&g, 100, "a"), *b = channel(&g, 100, "b");
        judge(&g, seed);
        EXPECT(is(l, CLASS_MATCH, EXACT) && is(a, CLASS_MATCH, EXACT) && is(b, CLASS_EXTRA, DUP_SUSPECT));
        finish(&g);
    }
}

TEST(without_an_id_the_copy_is_a_suspected_duplicate)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *a = channel(&g, 100, ""), *b = channel(&g, 100, "");
        judge(&g, seed);
        EXPECT(is(l, CLASS_MATCH, EXACT) && is(a, CLASS_MATCH, EXACT) &&
               is(b, CLASS_DUPLICATE, REASON_BIT(REASON_SUSPECTED)));
        finish(&g);
    }
}

TEST(two_and_two_are_two_matches)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l1 = local(&g, 100), *l2 = local(&g, 100), *a = channel(&g, 100, "a"),
                    *b = channel(&g, 100, "b");
        judge(&g, seed);
        EXPECT(is(l1, CLASS_MATCH, EXACT) && is(l2, CLASS_MATCH, EXACT) && is(a, CLASS_MATCH, EXACT) &&
               is(b, CLASS_MATCH, EXACT));
        EXPECT(l1->partner == a && l2->partner == b);
        finish(&g);
    }
}

TEST(the_equal_amount_matches_and_the_other_stays_open)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *less = channel(&g, 90, "a"), *same = channel(&g, 100, "b");
        judge(&g, seed);
        EXPECT(is(l, CLASS_MATCH, EXACT) && is(same, CLASS_MATCH, EXACT) && is(less, CLASS_EXTRA, 0));
        finish(&g);
    }
}

TEST(another_amount_is_a_mismatch)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *r = channel(&g, 90, "a");
        judge(&g, seed);
        EXPECT(is(l, CLASS_MISMATCH, REASON_BIT(REASON_AMOUNT)) &&
               is(r, CLASS_MISMATCH, REASON_BIT(REASON_AMOUNT)) && l->partner == r);
        finish(&g);
    }
}

TEST(one_against_two_parts_is_ambiguous)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *a = channel(&g, 60, "a"), *b = channel(&g, 40, "b");
        judge(&g, seed);
        EXPECT(is(l, CLASS_AMBIGUOUS, 0) && is(a, CLASS_AMBIGUOUS, 0) && is(b, CLASS_AMBIGUOUS, 0));
        EXPECT(l->set_id == a->set_id && a->set_id == b->set_id && l->set_id != 0);
        finish(&g);
    }
}

TEST(tolerance_takes_the_nearest_first)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        g.job.match.amount_tolerance.absolute_micro = 1000000;
        struct full *l1 = local(&g, 100), *l2 = local(&g, 102), *a = channel(&g, 101, "a"),
                    *b = channel(&g, 103, "b");
        judge(&g, seed);
        const uint64_t tolerance = REASON_BIT(REASON_TOLERANCE);
        EXPECT(is(l1, CLASS_MATCH, tolerance) && is(l2, CLASS_MATCH, tolerance) &&
               is(a, CLASS_MATCH, tolerance) && is(b, CLASS_MATCH, tolerance));
        EXPECT(l1->partner == a && l2->partner == b);
        finish(&g);
    }
}

TEST(a_share_is_rounded_down)
{
    struct group g;
    begin(&g);
    g.job.match.amount_tolerance.ppm = 9999; /* of 100: 0.9999 */
    struct full *l = local(&g, 100), *r = channel(&g, 101, "a");
    judge(&g, 0);
    EXPECT(is(l, CLASS_MISMATCH, REASON_BIT(REASON_AMOUNT)) && r->partner == l);
    finish(&g);
    begin(&g);
    g.job.match.amount_tolerance.ppm = 10000;
    l = local(&g, 100);
    r = channel(&g, 101, "a");
    judge(&g, 0);
    EXPECT(is(l, CLASS_MATCH, REASON_BIT(REASON_TOLERANCE)) && r->partner == l);
    finish(&g);
}

TEST(tolerance_never_crosses_a_direction)
{
    struct group g;
    begin(&g);
    g.job.match.amount_tolerance.absolute_micro = 1000000000;
    struct full *l = local(&g, 1), *r = channel(&g, -1, "a");
    judge(&g, 0);
    EXPECT(is(l, CLASS_MISMATCH, REASON_BIT(REASON_DIRECTION)) &&
           is(r, CLASS_MISMATCH, REASON_BIT(REASON_DIRECTION)));
    finish(&g);
}

TEST(another_status_is_a_mismatch)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = add(&g, LOCAL, 100, "", "FAILED", 20000),
                    *r = add(&g, CHANNEL, 100, "a", "SUCCESS", 20000);
        judge(&g, seed);
        EXPECT(is(l, CLASS_MISMATCH, REASON_BIT(REASON_STATUS)) &&
               is(r, CLASS_MISMATCH, REASON_BIT(REASON_STATUS)));
        finish(&g);
    }
}

TEST(a_failed_one_alone_is_excluded)
{
    struct group g;
    begin(&g);
    struct full *l = add(&g, LOCAL, 100, "", "FAILED", 20000);
    judge(&g, 0);
    EXPECT(is(l, CLASS_EXCLUDED, REASON_BIT(REASON_NON_MONETARY)));
    finish(&g);
}

TEST(the_next_day_is_a_match_with_a_day_cut)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = add(&g, LOCAL, 100, "", "SUCCESS", 20000),
                    *r = add(&g, CHANNEL, 100, "a", "SUCCESS", 20001);
        judge(&g, seed);
        EXPECT(is(l, CLASS_MATCH, REASON_BIT(REASON_DAY_CUT)) &&
               is(r, CLASS_MATCH, REASON_BIT(REASON_DAY_CUT)));
        finish(&g);
    }
}

TEST(outside_the_window_it_is_timing)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        g.job.match.window_before = g.job.match.window_after = 2;
        struct full *l = add(&g, LOCAL, 100, "", "SUCCESS", 20000),
                    *r = add(&g, CHANNEL, 100, "a", "SUCCESS", 20009);
        judge(&g, seed);
        EXPECT(is(l, CLASS_MISMATCH, REASON_BIT(REASON_TIMING)) &&
               is(r, CLASS_MISMATCH, REASON_BIT(REASON_TIMING)));
        finish(&g);
    }
}

TEST(a_side_without_a_date_passes_the_window)
{
    struct group g;
    begin(&g);
    struct full *l = add(&g, LOCAL, 100, "", "SUCCESS", 0), *r = add(&g, CHANNEL, 100, "a", "SUCCESS", 20009);
    judge(&g, 0);
    EXPECT(is(l, CLASS_MATCH, EXACT) && is(r, CLASS_MATCH, EXACT));
    finish(&g);
}

TEST(in_against_out_is_a_mismatch)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *r = channel(&g, -100, "a");
        judge(&g, seed);
        EXPECT(is(l, CLASS_MISMATCH, REASON_BIT(REASON_DIRECTION)) &&
               is(r, CLASS_MISMATCH, REASON_BIT(REASON_DIRECTION)));
        finish(&g);
    }
}

TEST(one_id_with_two_amounts_is_a_conflict)
{
    struct group g;
    EACH_ORDER
    {
        begin(&g);
        struct full *l = local(&g, 100), *a = channel(&g, 100, "a"), *b = channel(&g, 90, "a");
        judge(&g, seed);
        const uint64_t conflict = REASON_BIT(REASON_CONFLICT);
        EXPECT(is(l, CLASS_MISSING, 0) && is(a, CLASS_AMBIGUOUS, conflict) &&
               is(b, CLASS_AMBIGUOUS, conflict) && a->set_id == b->set_id);
        finish(&g);
    }
}

/* Ids that count upwards, on both sides, and ids that look like another key's number. */
TEST(a_set_id_names_one_set)
{
    enum { IDS = 100, KEYS = 10, SETS = 4 * IDS * KEYS };
    static uint64_t ids[SETS];
    uint32_t count = 0;
    for (int key_no = 1; key_no <= 2; key_no++)
        for (int side = 0; side < SIDES; side++)
            for (int i = 0; i < IDS * KEYS; i++) {
                char id[16], key[16];
                snprintf(id, sizeof id, "i%d", i / KEYS);
                snprintf(key, sizeof key, "%d", i % KEYS);
                struct full row = {.key = span_of(key), .occurrence = span_of(id), .side = (uint8_t)side};
                resolve_duplicate(&row, key_no, 1);
                ids[count++] = row.set_id;
            }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < i; k++)
            EXPECT(ids[i] != ids[k]);
}

TEST(alone_it_is_missing_extra_or_in_suspense)
{
    struct group g;
    begin(&g);
    struct full *l = local(&g, 100);
    judge(&g, 0);
    EXPECT(is(l, CLASS_MISSING, 0));
    finish(&g);
    begin(&g);
    struct full *r = channel(&g, 100, "a");
    judge(&g, 0);
    EXPECT(is(r, CLASS_EXTRA, 0));
    finish(&g);
    begin(&g);
    g.job.suspense_threshold[LOCAL] = 3;
    l = local(&g, 100);
    judge(&g, 0);
    EXPECT(is(l, CLASS_SUSPENSE, 0));
    finish(&g);
}

TEST(the_largest_amounts_do_not_overflow)
{
    struct group g;
    begin(&g);
    g.job.match.amount_tolerance = (struct tolerance){INT64_MAX, 1000000};
    struct full *l = local(&g, 1), *r = channel(&g, 1, "a");
    l->amount_micro = INT64_MAX;
    r->amount_micro = 1;
    judge(&g, 0);
    EXPECT(l->verdict == CLASS_MATCH && r->verdict == CLASS_MATCH);
    finish(&g);
}

/* Verdicts do not depend on the order in which the records of a key come (and sides swapped mirror them:
 * I14). */
TEST(verdicts_do_not_depend_on_the_order)
{
    static const char *const ids[] = {"", "a", "b", "c"}, *const statuses[] = {"SUCCESS", "FAILED"};
    struct prng prng = {99};
    for (int round = 0; round < 3000; round++) {
        uint64_t content = prng_next(&prng);
        uint8_t verdicts[ROWS_MAX] = {0};
        uint64_t reasons[ROWS_MAX] = {0};
        uint32_t partner[ROWS_MAX] = {0};
        int wrong = 0;
        for (uint64_t order = 0; order < 4 && !wrong; order++) {
            struct prng draw = {content};
            struct group g;
            begin(&g);
            uint32_t count = 1 + (uint32_t)prng_below(&draw, ROWS_MAX - 1);
            if (prng_below(&draw, 2))
                g.job.match.amount_tolerance.absolute_micro = 1000000;
            for (uint32_t i = 0; i < count; i++)
                add(&g, (enum side)prng_below(&draw, 2), 98 + (int)prng_below(&draw, 5),
                    ids[prng_below(&draw, 4)], statuses[prng_below(&draw, 5) == 0],
                    20000 + (int)prng_below(&draw, 4));
            judge(&g, order * 7919 + 1);
            for (uint32_t i = 0; i < count; i++) {
                uint32_t with = g.rows[i].partner ? (uint32_t)(g.rows[i].partner - g.rows) : UINT32_MAX;
                if (order == 0) {
                    verdicts[i] = g.rows[i].verdict;
                    reasons[i] = g.rows[i].reasons;
                    partner[i] = with;
                }
                wrong |=
                    verdicts[i] != g.rows[i].verdict || reasons[i] != g.rows[i].reasons || partner[i] != with;
                wrong |= g.rows[i].verdict == VERDICT_OPEN;
                int two_sided = g.rows[i].verdict == CLASS_MATCH || g.rows[i].verdict == CLASS_MISMATCH;
                wrong |= two_sided != (g.rows[i].partner != NULL);
                wrong |= two_sided && (g.rows[i].partner->partner != &g.rows[i] ||
                                       g.rows[i].partner->side == g.rows[i].side);
            }
            finish(&g);
        }
        if (wrong) {
            fprintf(stderr, "seed 99, round %d\n", round);
            EXPECT(!wrong);
            return;
        }
    }
}
