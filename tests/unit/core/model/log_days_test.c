/* tests/unit/core/model/log_days_test.c: sums of what a log tells, and whose record two of them differ by */
#include "core/base/prng.h"
#include "core/model/log_days.h"
#include "tests/support/check_test.h"
#include <string.h>

enum { SEED = 77 };

static struct log_print print_of(const char *name, uint64_t contents)
{
    const struct span id = {name, strlen(name)};
    const uint64_t hash = log_id_hash(id, SEED);
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
    return log_sums_name(then, now, SEED, name) == strlen(want) && strcmp(name, want) == 0;
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
