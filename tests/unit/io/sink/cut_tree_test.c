/* tests/unit/io/sink/cut_tree_test.c: a key's range is the number of cuts at or before it, whatever the keys look like */
#include "core/base/prng.h"
#include "io/sink/cut_tree.h"
#include "tests/support/check_test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 700, KEY_MAX = 700 };

static int by_text(const void *a, const void *b)
{
    return span_compare(*(const struct span *)a, *(const struct span *)b);
}

/* A key of one of several shapes, as they come: alike for long, of few bytes (zeros among them), starts of each other. */
static struct span make_key(struct prng *prng, int shape, char *room)
{
    size_t size = 0;
    if (shape == 0) {
        static const char *const channels[] = {"ALIPAY  ", "UNIONPAY", "ALIPAY"};
        size = (size_t)snprintf(room, KEY_MAX, "%sORDER_PAY    20261119%012llu",
                                channels[prng_below(prng, 3)], (unsigned long long)prng_below(prng, 1000000));
    } else if (shape == 1) {
        for (size = 0; size < 20 && prng_below(prng, 12); size++)
            room[size] = (char)prng_below(prng, 2);
    } else if (shape == 2) {
        size = (size_t)prng_below(prng, 40);
        memset(room, 'a', size);
    } else { /* alike for longer than a tree is deep */
        memset(room, 0xFE, 600);
        for (size = 600; size < 610; size++)
            room[size] = (char)prng_below(prng, 256);
        size -= (size_t)prng_below(prng, 11);
    }
    return (struct span){room, size};
}

TEST(the_number_of_cuts_at_or_before_a_key)
{
    static char rooms[2 * KEYS][KEY_MAX];
    struct span keys[KEYS], cuts[KEYS];
    for (int shape = 0; shape < 5; shape++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            struct prng prng = {0};
            prng.state = seed * 77 + (uint64_t)shape;
            const uint32_t wanted = (uint32_t)prng_below(&prng, seed < 3 ? 4 : KEYS);
            uint32_t count = 0;
            for (int i = 0; i < KEYS; i++) {
                const int of = shape < 4 ? shape : (int)prng_below(&prng, 4);
                cuts[i] = make_key(&prng, of, rooms[i]);
                keys[i] = make_key(&prng, of, rooms[KEYS + i]);
            }
            qsort(cuts, wanted, sizeof *cuts, by_text);
            for (uint32_t i = 0; i < wanted; i++)
                if (count == 0 || span_compare(cuts[count - 1], cuts[i]) != 0)
                    cuts[count++] = cuts[i];
            struct cut_tree tree;
            EXPECT(cut_tree_make(&tree, cuts, count));
            for (int i = 0; i < KEYS; i++) {
                uint32_t before = 0;
                while (before < count && span_compare(cuts[before], keys[i]) <= 0)
                    before++;
                EXPECT(cut_tree_find(&tree, keys[i]) == before);
            }
            for (uint32_t i = 0; i < count; i++)
                EXPECT(cut_tree_find(&tree, cuts[i]) == i + 1);
            cut_tree_fini(&tree);
        }
}
