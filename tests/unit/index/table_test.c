/* tests/unit/index/table_test.c: every key that was put is found on its way, whatever was taken out in
 * between */
#include "core/base/prng.h"
#include "index/table.h"
#include "tests/support/check_test.h"

struct entry {
    uint32_t hash_lo, tag, head;
    int in;
};

/* As a search goes: on from the home bucket only where somebody went on. */
static int find(const struct table *table, const struct entry *e, uint32_t *at, unsigned *slot)
{
    for (uint32_t i = table_home(table, e->hash_lo);; i = (i + 1) & table->mask) {
        for (unsigned k = 0; k < BUCKET_SLOTS; k++)
            if (table->buckets[i].head[k] == e->head && table->buckets[i].tag[k] == e->tag) {
                *at = i;
                *slot = k;
                return 1;
            }
        if (!table->buckets[i].passed[passed_class(e->hash_lo)])
            return 0;
    }
}

static void fill_and_empty(uint32_t buckets, uint32_t homes, uint64_t seed)
{
    enum { ENTRIES = 2000 };
    static struct entry entries[ENTRIES];
    struct table table;
    struct diag diag = {0};
    struct prng prng = {seed};
    EXPECT(table_init(&table, buckets, &diag) == OK);
    for (uint32_t i = 0; i < ENTRIES; i++)
        entries[i] = (struct entry){.hash_lo = (uint32_t)prng_below(&prng, homes) * 0x10001u,
                                    .tag = (uint32_t)prng_below(&prng, 4),
                                    .head = i};
    uint64_t in = 0;
    for (int step = 0; step < 40000; step++) {
        struct entry *e = &entries[prng_below(&prng, ENTRIES)];
        uint32_t at;
        unsigned slot;
        int found = find(&table, e, &at, &slot);
        if (found != e->in) {
            fprintf(stderr, "seed %llu, step %d\n", (unsigned long long)seed, step);
            EXPECT(found == e->in);
            break;
        }
        if (found) {
            table_remove(&table, e->hash_lo, at, slot);
            e->in = 0;
            in--;
        } else if (table.keys < table.keys_max) {
            table_put(&table, e->hash_lo, e->tag, e->head);
            e->in = 1;
            in++;
        }
    }
    EXPECT(table.keys == in);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint32_t at;
        unsigned slot;
        if (entries[i].in && find(&table, &entries[i], &at, &slot))
            table_remove(&table, entries[i].hash_lo, at, slot);
    }
    /* Empty again, no bucket sends anybody on, but where so many were sent that nobody counted them. */
    int clean = table.keys == 0;
    for (uint32_t i = 0; i <= table.mask; i++)
        for (unsigned k = 0; k < PASSED_CLASSES; k++)
            clean &=
                table.buckets[i].passed[k] == 0 || (homes < 8 && table.buckets[i].passed[k] == PASSED_MAX);
    EXPECT(clean);
    table_fini(&table);
}

TEST(keys_spread_over_the_table)
{
    for (uint64_t seed = 1; seed < 5; seed++)
        fill_and_empty(128, 128, seed);
}

TEST(keys_that_all_want_a_few_buckets)
{
    for (uint64_t seed = 1; seed < 5; seed++)
        fill_and_empty(64, 3, seed);
}

/* Doubled whenever it is full, and in between: all keys are found, taken out, and leave nothing behind. `near_end`: most of them want
 * the last buckets, so that they run over the end before and after; else `spread` says how many bits of the tag vary. */
static void double_up(uint32_t buckets, unsigned spread, int near_end, uint64_t seed)
{
    enum { ENTRIES = 6000 };
    static struct entry entries[ENTRIES];
    struct table table;
    struct diag diag = {0};
    struct prng prng = {seed};
    uint32_t inverse = 1, at; /* of what table_home multiplies with */
    unsigned slot;
    for (int i = 0; i < 5; i++)
        inverse *= 2 - 0x9E3779B1u * inverse;
    EXPECT(table_init(&table, buckets, &diag) == OK);
    int wrong = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const uint32_t product = (uint32_t)prng_below(&prng, UINT64_C(1) << spread) << (32 - spread);
        const uint32_t tag = (near_end && prng_below(&prng, 8) ? product | 0xFC000000u : product) * inverse;
        entries[i] = (struct entry){tag, tag, i, 1};
        if (table.keys == table.keys_max || prng_below(&prng, 700) == 0) {
            const uint64_t keys = table.keys, most = table.keys_max;
            wrong += table_double(&table, &diag) != OK || table.keys != keys || table.keys_max < 2 * most;
            for (uint32_t k = 0; k < i; k++)
                wrong += find(&table, &entries[k], &at, &slot) != entries[k].in;
        }
        table_put(&table, tag, tag, i);
        /* Some leave again. */
        struct entry *e = &entries[prng_below(&prng, i + 1)];
        if (e->in && prng_below(&prng, 3) == 0 && find(&table, e, &at, &slot)) {
            table_remove(&table, e->hash_lo, at, slot);
            e->in = 0;
        }
    }
    int saturated = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const int found = find(&table, &entries[i], &at, &slot);
        wrong += found != entries[i].in;
        if (found)
            table_remove(&table, entries[i].hash_lo, at, slot);
    }
    for (uint32_t i = 0; i <= table.mask; i++)
        for (unsigned k = 0; k < PASSED_CLASSES; k++) {
            saturated += table.buckets[i].passed[k] == PASSED_MAX;
            wrong += table.buckets[i].passed[k] != 0 && table.buckets[i].passed[k] != PASSED_MAX;
        }
    EXPECT(wrong == 0 && table.keys == 0 && (spread < 20 || near_end || !saturated));
    table_fini(&table);
}

TEST(a_table_doubles_in_place)
{
    for (uint64_t seed = 1; seed < 6; seed++) {
        double_up(1 << seed, 32, 0, seed);
        double_up(64, 32, 1, seed);
        double_up(2, 3, 1, seed); /* all keys want four buckets at most */
        double_up(2, 6, 0, seed);
    }
}

TEST(they_run_over_the_end_of_the_table)
{
    struct table table;
    struct diag diag = {0};
    EXPECT(table_init(&table, 4, &diag) == OK);
    for (uint32_t i = 0; i < table.keys_max; i++)
        table_put(&table, 3, i, i);
    for (uint32_t i = 0; i < table.keys_max; i++) {
        struct entry e = {3, i, i, 1};
        uint32_t at;
        unsigned slot;
        EXPECT(find(&table, &e, &at, &slot));
    }
    table_fini(&table);
}
