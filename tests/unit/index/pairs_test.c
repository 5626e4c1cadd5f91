/* tests/unit/index/pairs_test.c: what is remembered of pairs comes back as it was, and what has an equal is found */
#include "core/base/mem.h"
#include "core/base/prng.h"
#include "index/pairs.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

enum { FRAME = 4032, FRAMES_MAX = 256, PAIRS = 20000 };

static uint64_t some_place(struct prng *prng, uint64_t near, int kind)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     127,
                                     128,
                                     ((uint64_t)1 << 40) - 1,
                                     (uint64_t)1 << 39,
                                     (uint64_t)1 << 32,
                                     ((uint64_t)1 << 48) - 1,
                                     UINT64_MAX >> 1};
    switch (kind ? kind : (int)prng_below(prng, 4)) {
    case 1: /* up to a few bits fewer than there are */
        return prng_next(prng) >> (16 + prng_below(prng, 48));
    case 2: /* in time order */
        return near + prng_below(prng, 200000) - (near > 50000 ? 50000 : 0);
    case 3: /* anywhere before */
        return prng_below(prng, near + 1);
    default:
        return edges[prng_below(prng, sizeof edges / sizeof *edges)];
    }
}

struct frames {
    uint8_t bytes[FRAMES_MAX][FRAME] __attribute__((aligned(64)));
    struct pair_trail trail;
    uint32_t count;
};

static void put(struct frames *f, const struct left_pair *pair)
{
    if (!pair_has_room(&f->trail, PAIR_ROOM + 2 * IMAGE_AT_ROOM)) {
        pair_end(&f->trail);
        CHECK(f->count < FRAMES_MAX);
        memset(f->bytes[f->count], 0xA5, FRAME);
        pair_begin(&f->trail, f->bytes[f->count++], FRAME);
    }
    pair_put(&f->trail, pair->print, pair->local, pair->channel);
    CHECK(f->trail.low <= f->trail.high);
}

static int come_back(int kind, uint64_t seed)
{
    struct frames *f = aligned_alloc(64, (sizeof *f + 63) / 64 * 64);
    struct left_pair *pairs = calloc(PAIRS, sizeof *pairs);
    struct prng prng = {seed};
    uint32_t at = 0, wrong = 0;
    f->trail = (struct pair_trail){0};
    f->count = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        pairs[i].local = some_place(&prng, f->trail.local, kind);
        pairs[i].channel = some_place(&prng, f->trail.channel, kind);
        pairs[i].print = (uint32_t)prng_next(&prng);
        put(f, &pairs[i]);
    }
    pair_end(&f->trail);
    wrong += f->trail.count != PAIRS;
    for (uint32_t k = 0; k < f->count; k++) {
        struct pair_walk walk;
        for (uint32_t left = pair_walk_begin(&walk, f->bytes[k], FRAME); left; left--, at++) {
            struct left_pair pair;
            pair_next(&walk, &pair);
            wrong += at >= PAIRS || pair.local != pairs[at].local || pair.channel != pairs[at].channel ||
                     pair.print != pairs[at].print || pair.repeats != 0;
        }
    }
    wrong += at != PAIRS;
    free(f);
    free(pairs);
    return wrong == 0;
}

TEST(pairs_come_back_in_the_order_in_which_they_were_put)
{
    for (uint64_t seed = 1; seed < 4; seed++)
        for (int kind = 0; kind < 4; kind++)
            EXPECT(come_back(kind, seed));
}

TEST(images_of_both_sides_come_back_with_their_pairs)
{
    enum { IMAGES = 3000 };
    struct frames *f = aligned_alloc(64, (sizeof *f + 63) / 64 * 64);
    struct image_at *at = calloc(2 * IMAGES, sizeof *at);
    struct left_pair *pairs = calloc(IMAGES, sizeof *pairs);
    struct prng prng = {7};
    uint32_t n = 0, wrong = 0;
    f->trail = (struct pair_trail){0};
    f->count = 0;
    for (uint32_t i = 0; i < IMAGES; i++) {
        pairs[i] = (struct left_pair){.local = some_place(&prng, f->trail.local, 2),
                                      .channel = some_place(&prng, f->trail.channel, 0),
                                      .print = i};
        put(f, &pairs[i]);
        for (int side = 0; side < 2; side++) {
            at[2 * i + side] = (struct image_at){(uint32_t)prng_next(&prng) >> prng_below(&prng, 32),
                                                 (uint32_t)prng_next(&prng) >> prng_below(&prng, 32),
                                                 (uint32_t)prng_next(&prng) >> prng_below(&prng, 32)};
            pair_put_image(&f->trail, at[2 * i + side]);
        }
        CHECK(f->trail.low <= f->trail.high);
    }
    pair_end(&f->trail);
    for (uint32_t k = 0; k < f->count; k++) {
        struct pair_walk walk;
        for (uint32_t left = pair_walk_begin(&walk, f->bytes[k], FRAME); left; left--, n++) {
            struct left_pair pair;
            struct image_at back;
            pair_next(&walk, &pair);
            wrong += n >= IMAGES || pair.print != n || pair.local != pairs[n].local ||
                     pair.channel != pairs[n].channel;
            for (int side = 0; side < 2; side++) {
                pair_next_image(&walk, &back);
                wrong += n >= IMAGES || memcmp(&back, &at[2 * n + side], sizeof back) != 0;
            }
        }
    }
    EXPECT(wrong == 0 && n == IMAGES);
    free(f);
    free(at);
    free(pairs);
}

static size_t size_of(uint64_t local, uint64_t channel)
{
    static uint8_t bytes[FRAME] __attribute__((aligned(64)));
    struct pair_trail trail = {.local = 500000000, .channel = 490000000};
    pair_begin(&trail, bytes, FRAME);
    const long before = trail.high - trail.low;
    pair_put(&trail, 1, local, channel);
    return (size_t)(before - (trail.high - trail.low));
}

TEST(a_pair_takes_ten_bytes_near_the_highest_and_eleven_where_one_is_far_before)
{
    EXPECT(size_of(500067000, 489900000) == 10);
    EXPECT(size_of(500400000, 489500000) == 10);
    EXPECT(size_of(500400000, 1000) == 11);
    EXPECT(size_of(7, 490400000) == 11);
    EXPECT(size_of(7, 493000000) == 12);
    EXPECT(size_of(500067000, 490000000 + (UINT64_C(1) << 38)) == 12);
    EXPECT(size_of(UINT64_C(1) << 47, 1) == 4 + PAIR_LONG_BYTES);
}

/* Every frame by one buffer that the next one overwrites, as those come which were on disk. */
static int add_copies(struct pair_sift *sift, const struct frames *f)
{
    static uint8_t passing[FRAME] __attribute__((aligned(64)));
    int ok = pair_sift_copies(sift, (size_t)f->count * FRAME);
    for (uint32_t k = 0; ok && k < f->count; k++) {
        memcpy(passing, f->bytes[k], FRAME);
        ok = pair_sift_add(sift, passing, FRAME);
        memset(passing, 0xA5, FRAME);
    }
    return ok;
}

/* Against looking at all. */
static int sifts_right(struct pair_sift *sift, uint32_t count, uint64_t prints, uint32_t asked, uint64_t seed)
{
    struct image_at *images = calloc(2 * (size_t)count + 1, sizeof *images);
    struct frames *f = aligned_alloc(64, (sizeof *f + 63) / 64 * 64);
    struct left_pair *pairs = calloc(count + 1, sizeof *pairs), *some = NULL;
    uint8_t *wanted = calloc(count + 1, 1);
    struct prng prng = {seed};
    size_t room = 0, some_count = 0;
    uint32_t wrong = 0, next = 0;
    f->trail = (struct pair_trail){0};
    f->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        pairs[i] = (struct left_pair){.local = some_place(&prng, f->trail.local, 3),
                                      .channel = some_place(&prng, f->trail.channel, 2),
                                      .print = (uint32_t)prng_below(&prng, prints) * 2654435761u};
        put(f, &pairs[i]);
        for (int side = 0; side < SIDES; side++)
            if (sift->is_log[side]) {
                images[2 * i + (unsigned)side] = (struct image_at){
                    (uint32_t)prng_below(&prng, 9000), (uint32_t)prng_next(&prng) >> prng_below(&prng, 32),
                    (uint32_t)prng_below(&prng, 300)};
                pair_put_image(&f->trail, images[2 * i + (unsigned)side]);
            }
    }
    pair_end(&f->trail);
    pair_sift_reset(sift);
    if (seed % 2)
        wrong += !add_copies(sift, f);
    for (uint32_t k = 0; seed % 2 == 0 && k < f->count; k++)
        wrong += !pair_sift_add(sift, f->bytes[k], FRAME);
    wrong += !pair_sift_begin(sift);
    for (uint32_t i = 0; i < asked; i++) {
        const uint32_t print = (uint32_t)prng_below(&prng, prints) * 2654435761u;
        wrong += !pair_sift_ask(sift, print);
        for (uint32_t k = 0; k < count; k++)
            if (pairs[k].print == print) {
                wanted[k] = 1;
                break;
            }
    }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = i + 1; k < count; k++)
            if (pairs[i].print == pairs[k].print)
                wanted[i] = wanted[k] = 1;
    wrong += !pair_sift_end(sift, &some, &room, &some_count);
    for (size_t i = 0; i < some_count; i++, next++) {
        while (next < count && !wanted[next])
            next++;
        wrong += next == count || some[i].print != pairs[next].print || some[i].local != pairs[next].local ||
                 some[i].channel != pairs[next].channel;
        if (next == count)
            break;
        for (unsigned side = 0; side < SIDES; side++)
            wrong += sift->is_log[side] &&
                     memcmp(&sift->images[i][side], &images[2 * next + side], sizeof *images) != 0;
    }
    for (; next < count; next++)
        wrong += wanted[next];
    mem_give(some);
    free(f);
    free(pairs);
    free(wanted);
    free(images);
    return wrong == 0;
}

TEST(pairs_with_an_equal_are_found_and_those_that_were_asked_for)
{
    struct pair_sift sift = {0};
    /* Sides that are logs, too: none, the local one, both. */
    for (uint64_t seed = 1; seed < 4; seed++) {
        sift.is_log[LOCAL] = seed > 1;
        sift.is_log[CHANNEL] = seed > 2;
        EXPECT(sifts_right(&sift, 0, 10, 3, seed));
        EXPECT(sifts_right(&sift, 1, 1, 1, seed));
        EXPECT(sifts_right(&sift, 2000, UINT32_MAX, 50, seed)); /* all alone */
        EXPECT(sifts_right(&sift, 3000, 100000, 200, seed));
        EXPECT(sifts_right(&sift, 3000, 3, 2, seed)); /* crowds */
        EXPECT(sifts_right(&sift, 700, 1, 0, seed));
    }
    pair_sift_fini(&sift);
}
