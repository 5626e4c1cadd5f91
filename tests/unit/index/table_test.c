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
