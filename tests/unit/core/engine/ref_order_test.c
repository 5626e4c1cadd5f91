/* tests/unit/core/engine/ref_order_test.c: references are in order, and are those that were given */
#include "core/base/prng.h"
#include "core/engine/ref_order.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <string.h>

enum { MOST = 5000 };

/* 1: in order, and refs[i].row_index tells each that was given once. Equal ones stay as they were. */
static int is_right(const struct row_ref *refs, uint32_t count, int by_hash)
{
    static uint8_t seen[MOST];
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < count; i++) {
        if (refs[i].row_index >= count || seen[refs[i].row_index]++)
            return 0;
        if (i == 0)
            continue;
        const struct row_ref *const a = &refs[i - 1], *const b = &refs[i];
        const int less = by_hash              ? (a->key_hash > b->key_hash) - (a->key_hash < b->key_hash)
                         : a->side != b->side ? a->side - b->side
                                              : (a->place > b->place) - (a->place < b->place);
        if (less > 0 || (less == 0 && a->row_index > b->row_index))
            return 0;
    }
    return 1;
}

TEST(references_are_put_in_order_whatever_their_places_are)
{
    static const uint32_t counts[] = {0, 1, 2, 63, 64, 65, 1000, 2047, 2048, 4095, 4096, MOST};
    static struct row_ref refs[MOST];
    struct prng prng = {5};
    for (unsigned bits = 1; bits <= 64; bits += 3)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
            for (int sides = 0; sides < 3; sides++) {
                const uint32_t count = counts[c];
                for (uint32_t i = 0; i < count; i++)
                    refs[i] = (struct row_ref){
                        .place = prng_next(&prng) >> (64 - bits),
                        .key_hash = (uint32_t)prng_next(&prng) >> (bits % 31),
                        .row_index = i,
                        .side = (uint8_t)(sides == 2 ? prng_next(&prng) & 1 : (uint64_t)sides)};
                refs_by_place(refs, count);
                EXPECT(is_right(refs, count, 0));
                for (uint32_t i = 0; i < count; i++)
                    refs[i].row_index = i;
                refs_by_hash(refs, count);
                EXPECT(is_right(refs, count, 1));
            }
}
