/* tests/unit/io/sink/sha_side_test.c: messages side by side have the sums that each has by itself */
#include "core/base/prng.h"
#include "io/sink/digest.h"
#include "io/sink/sha_side.h"
#include "tests/support/check_test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDES_MAX = 9 };

static void to_hex(const uint8_t *sum, char out[2 * SHA_SIZE + 1])
{
    for (unsigned i = 0; i < SHA_SIZE; i++)
        sprintf(out + 2 * i, "%02x", sum[i]);
}

/* The vectors of FIPS 180-4's examples that are whole blocks, and the sum of nothing. */
TEST(the_examples_of_fips_180_4)
{
    static const struct {
        size_t size;
        const char *sum;
    } examples[] = {{0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                    {1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"}};
    uint8_t *const bytes = malloc((size_t)3 * 1000000), sums[3][SHA_SIZE];
    if (!bytes)
        exit(4);
    memset(bytes, 'a', (size_t)3 * 1000000);
    for (unsigned i = 0; i < sizeof examples / sizeof *examples; i++)
        for (size_t count = 1; count <= 3; count++) {
            memset(sums, 0, sizeof sums);
            sha_side(bytes, examples[i].size, count, sums);
            for (size_t k = 0; k < count; k++) {
                char text[2 * SHA_SIZE + 1];
                to_hex(sums[k], text);
                EXPECT(strcmp(text, examples[i].sum) == 0);
            }
        }
    free(bytes);
}

TEST(each_message_has_the_sum_that_libcrypto_says)
{
    enum { BLOCKS_MAX = 40 };
    static uint8_t bytes[SIDES_MAX * BLOCKS_MAX * SHA_BLOCK + 1], sums[SIDES_MAX + 1][SHA_SIZE];
    struct prng prng = {180};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)prng_next(&prng);
    for (size_t blocks = 0; blocks <= BLOCKS_MAX; blocks++)
        for (size_t count = 0; count <= SIDES_MAX; count++)
            for (size_t skip = 0; skip < 2; skip++) { /* wherever they lie */
                const size_t size = blocks * SHA_BLOCK;
                memset(sums, 7, sizeof sums);
                sha_side(bytes + skip, size, count, sums);
                uint8_t want[SHA_SIZE];
                for (size_t i = 0; i < count; i++) {
                    digest_sum(bytes + skip + i * size, size, want);
                    EXPECT(memcmp(sums[i], want, sizeof want) == 0);
                }
                memset(want, 7, sizeof want);
                EXPECT(memcmp(sums[count], want, sizeof want) == 0);
            }
}
