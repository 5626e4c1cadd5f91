/* tests/unit/index/pairs_test.c: what is remembered of pairs comes back as it was */
#include "core/base/prng.h"
#include "index/pairs.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

static uint64_t some_place(struct prng *prng, uint64_t near)
{
    static const uint64_t edges[] = {
        0, 1, 127, 128, ((uint64_t)1 << 40) - 1, (uint64_t)1 << 39, (uint64_t)1 << 32};
    switch (prng_below(prng, 4)) {
    case 0:
        return edges[prng_below(prng, sizeof edges / sizeof *edges)];
    case 1:
        return prng_below(prng, (uint64_t)1 << 40);
    default: /* in time order */
        return (near + prng_below(prng, 200000) - 50000) & (((uint64_t)1 << 40) - 1);
    }
}

TEST(pairs_come_back_in_the_order_in_which_they_were_put)
{
    enum { PAIRS = 20000 };
    struct prng prng = {20261121};
    struct left_pair *pairs = calloc(PAIRS, sizeof *pairs);
    uint8_t *bytes = malloc((size_t)PAIRS * PAIR_ROOM);
    struct pair_trail in = {0}, out = {0};
    size_t size = 0, at = 0;
    for (int i = 0; i < PAIRS; i++) {
        pairs[i].local = some_place(&prng, in.local);
        pairs[i].channel = some_place(&prng, in.channel);
        pairs[i].print = (uint32_t)prng_next(&prng);
        uint32_t used = pair_put(bytes + size, &in, pairs[i].print, pairs[i].local, pairs[i].channel);
        EXPECT(used <= PAIR_ROOM);
        size += used;
    }
    EXPECT(in.count == PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        struct left_pair pair;
        at += pair_take(bytes + at, &out, &pair);
        EXPECT(pair.local == pairs[i].local && pair.channel == pairs[i].channel &&
               pair.print == pairs[i].print);
    }
    EXPECT(at == size);
    free(bytes);
    free(pairs);
}

TEST(a_pair_near_the_one_before_takes_eleven_bytes)
{
    struct pair_trail trail = {.local = 500000000, .channel = 490000000};
    uint8_t bytes[PAIR_ROOM];
    EXPECT(pair_put(bytes, &trail, 1, 500067000, 489000000) == 11);
    EXPECT(pair_put(bytes, &trail, 1, 500067000, 489000000) == 7);
}
