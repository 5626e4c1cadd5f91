/* tests/unit/core/model/log_days_test.c: sums of what a log tells, and whose record two of them differ by */
#include "core/base/prng.h"
#include "core/model/log_begin.h"
#include "core/model/log_days.h"
#include "tests/support/check_test.h"
#include <string.h>

enum { SEED = 77 };

static struct log_print print_of(const char *name, uint64_t contents)
{
    const struct span id = {name, strlen(name)};
    const uint64_t hash = log_id_hash(id, 0, SEED);
    return (struct log_print){.id = hash, .print = id_mix(hash, contents), .name = id};
}

static void add(struct log_sums *sums, const char *name, uint64_t contents)
{
    const struct log_print p = print_of(name, contents);
    log_sums_add(sums, &p);
}

static int names(const struct log_sums *then, const struct log_sums *now, const char *want)
{
    char name[LOG_NAME_MAX + 1];
    unsigned log;
    return log_sums_name(then, now, SEED, name, &log) == strlen(want) && strcmp(name, want) == 0 && log == 0;
}

TEST(one_record_that_came_went_or_changed_is_named)
{
    struct prng prng = {5};
    for (int round = 0; round < 2000; round++) {
        char name[LOG_NAME_MAX + 1] = {0};
        struct log_sums then = {0};
        for (int i = 0; i < 20; i++) {
            snprintf(name, sizeof name, "%llu", (unsigned long long)prng_next(&prng));
            add(&then, name, prng_next(&prng));
        }
        const size_t size = 1 + prng_below(&prng, LOG_NAME_MAX);
        memset(name, 0, sizeof name);
        for (size_t i = 0; i < size; i++)
            name[i] = (char)(1 + prng_below(&prng, 255));
        struct log_sums with = then, otherwise = then;
        add(&with, name, 1);
        add(&otherwise, name, prng_next(&prng));
        EXPECT(names(&then, &with, name) && names(&with, &then, name) && names(&with, &otherwise, name));
        EXPECT(!log_sums_equal(&then, &with) && !log_sums_equal(&with, &otherwise));
    }
}

TEST(of_several_logs_the_one_is_named_whose_record_it_was)
{
    const struct span id = {"7", 1};
    char name[LOG_NAME_MAX + 1];
    for (unsigned log = 0; log < RECORD_LOGS; log++) {
        struct log_sums then = {0}, now;
        unsigned found = 99;
        add(&then, "7", 5); /* another log's row of that key */
        now = then;
        const uint64_t hash = log_id_hash(id, log, SEED);
        const struct log_print p = {.id = hash, .print = id_mix(hash, 9), .name = id};
        log_sums_add(&now, &p);
        EXPECT(log_sums_name(&then, &now, SEED, name, &found) == 1 && strcmp(name, "7") == 0 && found == log);
    }
}

static int order(const char *now, const char *then, const char *is, const char *was)
{
    struct span a, b;
    const int got = log_begin_order(now, then, &a, &b);
    EXPECT(span_compare(a, span_of(is)) == 0 && span_compare(b, span_of(was)) == 0);
    return got > 0 ? 1 : got < 0 ? -1 : 0;
}

TEST(where_several_logs_begin_is_told_log_by_log)
{
    EXPECT(order("a.1", "a.1", "", "") == 0 && order("a.1\nb.1", "a.1\nb.1", "", "") == 0);
    EXPECT(order("a.2", "a.1", "a.2", "a.1") == 1 && order("a.1", "a.2", "a.1", "a.2") == -1);
    EXPECT(order("a.1\nb.2", "a.1\nb.1", "b.2", "b.1") == 1 &&
           order("a.1\nb.1", "a.1\nb.2", "b.1", "b.2") == -1);
    /* One that begins earlier says more than one that begins later. */
    EXPECT(order("a.2\nb.1", "a.1\nb.2", "b.1", "b.2") == -1 &&
           order("a.1\nb.2", "a.2\nb.1", "a.1", "a.2") == -1);
    EXPECT(order("a.1\nb.1", "a.1", "b.1", "") == 1 && order("a.1", "a.1\nb.1", "", "b.1") == 1 &&
           order("a.1", "", "a.1", "") == 1);
    struct text begins = {0};
    log_begin_put(&begins, "a\nb", 0);
    log_begin_put(&begins, "", 1);
    log_begin_put(&begins, "c", 2);
    EXPECT(begins.size == 6 && memcmp(begins.data, "a?b\n\nc", 6) == 0);
    text_fini(&begins);
}

TEST(several_records_or_a_long_key_are_not_named)
{
    const char *const long_key = "a primary key of 33 bytes is long";
    struct log_sums then = {0}, now = {0}, one = {0};
    EXPECT(strlen(long_key) == LOG_NAME_MAX + 1);
    add(&now, "1", 1);
    add(&now, "2", 1);
    add(&one, long_key, 1);
    EXPECT(names(&then, &now, "") && names(&then, &one, "") && names(&now, &now, ""));
}

TEST(order_does_not_count_and_what_is_taken_away_is_gone)
{
    struct log_sums a = {0}, b = {0}, two = {0};
    add(&a, "1", 1);
    add(&a, "2", 2);
    add(&b, "2", 2);
    add(&b, "1", 1);
    add(&two, "2", 2);
    EXPECT(log_sums_equal(&a, &b) && memcmp(&a, &b, sizeof a) == 0);
    log_sums_merge(&a, &two, -1);
    EXPECT(!log_sums_equal(&a, &b));
    log_sums_merge(&a, &two, 1);
    EXPECT(memcmp(&a, &b, sizeof a) == 0);
}
