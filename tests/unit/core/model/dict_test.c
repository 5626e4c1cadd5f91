/* tests/unit/core/model/dict_test.c: words as numbers, for any number of threads; and tallies */
#include "core/base/prng.h"
#include "core/model/dict.h"
#include "core/model/tally.h"
#include "tests/support/check_test.h"
#include <pthread.h>
#include <stdlib.h>

enum { WORDS = 5000, THREADS = 2 };

static struct span word_of(char room[80], unsigned index)
{
    /* Some longer than a cache slot, some that share first and last letter and length. */
    int n = snprintf(room, 80, index % 7 == 0 ? "word-longer-than-twenty-nine-bytes-%05u" : "w%05uw", index);
    return (struct span){room, (size_t)n};
}

struct asker {
    struct dict *dict;
    uint64_t seed;
    uint16_t number[WORDS];
    int wrong;
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    struct prng prng = {asker->seed};
    struct dict_cache *cache = calloc(1, sizeof *cache);
    for (int i = 0; i < WORDS * 8; i++) {
        unsigned index = i < WORDS ? (unsigned)i : (unsigned)prng_below(&prng, WORDS);
        if (asker->seed & 1 && i < WORDS)
            index = WORDS - 1 - index;
        char room[80];
        uint16_t number = dict_number(asker->dict, cache, word_of(room, index));
        if (number == 0 || number == DICT_FULL || (asker->number[index] && asker->number[index] != number))
            asker->wrong++;
        asker->number[index] = number;
    }
    free(cache);
    return NULL;
}

TEST(two_threads_get_one_number_for_one_word)
{
    struct dict *dict;
    struct diag diag = {0};
    EXPECT(dict_open(&dict, &diag) == OK);
    static struct asker askers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        askers[i].dict = dict;
        askers[i].seed = (uint64_t)i + 1;
        EXPECT(pthread_create(&threads[i], NULL, ask, &askers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    static uint8_t taken[65536];
    int same = 1, distinct = 1;
    for (unsigned i = 0; i < WORDS; i++) {
        same &= askers[0].number[i] == askers[1].number[i];
        distinct &= !taken[askers[0].number[i]];
        taken[askers[0].number[i]] = 1;
    }
    EXPECT(same && distinct && askers[0].wrong == 0 && askers[1].wrong == 0);
    EXPECT(dict_check(dict, &diag) == OK);
    dict_close(dict);
}

TEST(the_empty_word_is_zero)
{
    struct dict *dict;
    struct diag diag = {0};
    EXPECT(dict_open(&dict, &diag) == OK);
    struct dict_cache cache = {0};
    EXPECT(dict_number(dict, &cache, (struct span){"", 0}) == 0 &&
           dict_number_slow(dict, (struct span){"", 0}) == 0);
    EXPECT(dict_number(dict, &cache, (struct span){"\0", 1}) != 0);
    dict_close(dict);
    dict_close(NULL);
}

TEST(a_full_dictionary_fails_the_run_and_keeps_what_it_has)
{
    struct dict *dict;
    struct diag diag = {0};
    EXPECT(dict_open(&dict, &diag) == OK);
    char room[80];
    for (unsigned i = 0; i < DICT_WORDS_MAX; i++)
        EXPECT(dict_number_slow(dict, word_of(room, i)) != DICT_FULL);
    EXPECT(dict_check(dict, &diag) == OK);
    EXPECT(dict_number_slow(dict, word_of(room, DICT_WORDS_MAX)) == DICT_FULL);
    EXPECT(dict_number_slow(dict, word_of(room, 17)) != DICT_FULL);
    EXPECT(dict_check(dict, &diag) == ERR_INPUT && strcmp(diag.code, "words") == 0);
    dict_close(dict);
}

TEST(a_tally_adds_up_by_side_day_currency_and_direction)
{
    struct diag diag = {0};
    struct tally tally, other;
    EXPECT(tally_init(&tally, &diag) == OK && tally_init(&other, &diag) == OK);
    struct prng prng = {3};
    enum { KEYS = 2 * 40 * 9 * 2 };
    static uint64_t count[KEYS];
    static money_total sum[KEYS];
    for (int i = 0; i < 50000; i++) {
        unsigned side = (unsigned)prng_below(&prng, 2), day = (unsigned)prng_below(&prng, 40),
                 currency = (unsigned)prng_below(&prng, 9), out = (unsigned)prng_below(&prng, 2);
        struct record record = {
            .amount_micro = (int64_t)prng_next(&prng) >> 1,
            .day = (uint16_t)(day * 500),
            .currency = (uint8_t)(currency * 20),
            .flags = (uint16_t)((side ? RECORD_CHANNEL : 0) | (out ? RECORD_OUT : 0) | RECORD_IMAGE)};
        unsigned key = ((side * 40 + day) * 9 + currency) * 2 + out;
        count[key]++;
        sum[key] += record.amount_micro;
        EXPECT(tally_add(i % 3 ? &tally : &other, &record));
    }
    EXPECT(tally_merge(&tally, &other, 1, &diag) == OK);
    unsigned rows = 0, right = 0;
    for (uint32_t i = 0; i < tally.room; i++) {
        uint32_t key = tally.rows[i].key;
        if (!key)
            continue;
        unsigned at = ((tally_side(key) * 40 + tally_day(key) / 500u) * 9 + tally_currency(key) / 20u) * 2 +
                      (unsigned)tally_out(key);
        rows++;
        right += tally.rows[i].count == count[at] && tally.rows[i].sum == sum[at];
    }
    unsigned want = 0;
    for (int i = 0; i < KEYS; i++)
        want += count[i] != 0;
    EXPECT(rows == want && right == want);
    EXPECT(tally_merge(&tally, &tally, -1, &diag) == OK);
    int zero = 1;
    for (uint32_t i = 0; i < tally.room; i++)
        zero &= tally.rows[i].count == 0 && tally.rows[i].sum == 0;
    EXPECT(zero);
    tally_fini(&tally);
    tally_fini(&other);
}
