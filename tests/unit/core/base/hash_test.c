/* tests/unit/core/base/hash_test.c: a text has one hash, whoever reckons it */
#include "core/base/hash.h"
#include "core/base/prng.h"
#include "tests/support/check_test.h"

TEST(many_texts_of_one_size_have_the_hashes_that_each_has)
{
    struct prng prng = {7919};
    uint8_t text[HASH_SHORT_MAX];
    for (int round = 0; round < 2000; round++) {
        const uint64_t seed = round ? prng_next(&prng) : 0;
        for (size_t size = HASH_SHORT_MIN; size <= HASH_SHORT_MAX; size++) {
            const struct hash_short hash = hash_short_make(size, seed);
            for (size_t i = 0; i < size; i++)
                text[i] = (uint8_t)prng_next(&prng);
            EXPECT(hash_short_bytes(&hash, text) == XXH3_64bits_withSeed(text, size, seed));
            EXPECT(hash_short_bytes(&hash, text) == hash_bytes(text, size, seed));
        }
    }
}
