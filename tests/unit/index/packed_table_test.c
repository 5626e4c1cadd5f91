/* tests/unit/index/packed_table_test.c: random puts and removals against a list, at loads where buckets run over */
#include "core/base/prng.h"
#include "index/packed_table.h"
#include "tests/support/check_test.h"

enum { KEYS = 20000 }; /* more than a first chunk has records */

static struct packed records[KEYS];
static int inside[KEYS];

static uint64_t hash_of(const struct packed_table *table, uint32_t i)
{
    return packed_hash(records[i].key, table->seed);
}

static int all_there(const struct packed_table *table)
{
    int wrong = 0;
    uint64_t keys = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        struct packed_found found = {0};
        const int is_there = packed_find(table, records[i].key, hash_of(table, i), &found);
        wrong += is_there != inside[i];
        keys += (uint64_t)inside[i];
        if (is_there && inside[i]) {
            const struct packed *p = found.record;
            wrong += packed_place(p) != i || p->sigma != records[i].sigma ||
                     packed_is_escaped(p) != packed_is_escaped(&records[i]);
        }
    }
    return !wrong && keys == table->table.keys;
}

static void churn(int huge, uint64_t seed)
{
    struct packed_table table = {0};
    struct diag diag = {0};
    struct prng prng = {seed};
    EXPECT(packed_table_open(&table, seed, huge, 64, &diag) == OK);
    for (uint32_t i = 0; i < KEYS; i++) {
        char text[32];
        const int size = snprintf(text, sizeof text, "%024u", i * 7919u);
        const struct packed_key key = packed_key_anywhere((const uint8_t *)text, (uint32_t)size, 1);
        packed_put(&records[i], &key, i, i, 20000, 1, 1, i % 2 ? RECORD_CHANNEL : 0);
        records[i].rest |= i % 5 ? 0 : PACKED_ESCAPED;
        inside[i] = 0;
    }
    EXPECT(all_there(&table));
    for (uint32_t step = 0; step < 180000; step++) {
        /* Mostly full, mostly empty, and back. */
        const uint32_t i = (uint32_t)prng_below(&prng, KEYS), fill = step / 40000 % 2 ? 3 : 8;
        const uint64_t hash = hash_of(&table, i);
        if (!inside[i] && prng_below(&prng, 10) < fill) {
            while (!packed_has_room(&table)) {
                const uint64_t before = packed_table_bytes(&table);
                EXPECT(packed_table_more(&table, &diag) == OK && packed_table_bytes(&table) > before);
            }
            packed_insert(&table, &records[i], hash);
            inside[i] = 1;
        } else if (inside[i] && prng_below(&prng, 10) >= fill) {
            struct packed_found found = {0};
            EXPECT(packed_find(&table, records[i].key, hash, &found));
            packed_remove(&table, hash, &found);
            inside[i] = 0;
        }
        if (step % 30000 == 29999)
            EXPECT(all_there(&table));
    }
    EXPECT(table.used > PACKED_FIRST);
    packed_table_fini(&table);
    EXPECT(packed_table_bytes(&table) == 0);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
TEST(records_are_found_until_they_are_taken_out)
{
    for (uint64_t seed = 1; seed < 4; seed++) {
        churn(0, seed);
        churn(1, seed);
    }
}
#endif

/* Each bucket is full once, and one of its keys, which went on to the next bucket, stays when the others leave. */
TEST(a_search_ends_where_every_bucket_was_passed)
{
    enum { BUCKETS = 64, EACH = BUCKET_SLOTS + 1 };
    struct packed_table table = {0};
    struct diag diag = {0};
    struct packed_found found = {0};
    EXPECT(packed_table_open(&table, 1, 0, BUCKETS, &diag) == OK);
    EXPECT(packed_has_room(&table) || packed_table_more(&table, &diag) == OK); /* room for records */
    EXPECT(table.table.mask == BUCKETS - 1);
    uint32_t inverse = 1; /* of what table_home multiplies with */
    for (int i = 0; i < 5; i++)
        inverse *= 2 - 0x9E3779B1u * inverse;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        uint32_t tag, low = 0; /* all of one class */
        do
            tag = ((bucket << table.table.shift) + low++) * inverse;
        while (passed_class(tag));
        for (uint64_t i = 0; i < EACH; i++) {
            const struct packed record = {.key = {bucket + 1, i}};
            EXPECT(packed_has_room(&table));
            packed_insert(&table, &record, tag);
        }
        for (uint64_t i = 0; i + 1 < EACH; i++) {
            const uint64_t key[2] = {bucket + 1, i};
            EXPECT(packed_find(&table, key, tag, &found));
            packed_remove(&table, tag, &found);
        }
    }
    EXPECT(table.table.keys == BUCKETS);
    const uint64_t nobody[2] = {0, 0};
    EXPECT(!packed_find(&table, nobody, 8, &found));
    packed_table_fini(&table);
}
