/* tests/unit/io/sink/pieces_test.c: the digest of a text does not depend on how it was claimed */
#include "core/base/prng.h"
#include "io/sink/pieces.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <string.h>

enum { PARTS = 3 };

/* What pieces.h says, from libcrypto alone. */
static void digest_of(const char *text, size_t size, char out[DIGEST_TEXT])
{
    struct digest *const list = digest_open();
    uint8_t sum[SHA_SIZE];
    if (!list)
        exit(4);
    digest_begin(list);
    for (size_t at = 0; at < size; at += PIECE) {
        digest_sum(text + at, size - at < PIECE ? size - at : PIECE, sum);
        digest_put(list, sum, sizeof sum);
    }
    digest_end(list, out);
    digest_close(list);
}

/* Claims of up to `step` bytes, of which up to PARTS stand open at a time, as workers' do; they are hashed the last one first. */
static void digest_in_steps(const char *text, size_t size, size_t head, size_t step, struct prng *prng,
                            char out[DIGEST_TEXT])
{
    struct diag diag = {0};
    struct pieces *pieces;
    struct pieces_part parts[PARTS] = {0};
    char *rooms[PARTS];
    EXPECT(pieces_open(&pieces, (struct span){text, head}, &diag) == OK);
    for (unsigned i = 0; i < PARTS; i++)
        if (!(rooms[i] = malloc(PIECE + step)))
            exit(4);
    for (size_t at = head; at < size;) {
        unsigned open = 0;
        for (; open < PARTS && at < size; open++) {
            size_t n = (size_t)prng_below(prng, step + 1);
            n = n < size - at ? n : size - at;
            memcpy(rooms[open] + PIECE, text + at, n);
            pieces_claim(pieces, &parts[open], rooms[open], n);
            at += n;
        }
        for (unsigned i = open; i-- > 0;)
            EXPECT(pieces_sum(&parts[i], &diag) == OK);
        for (unsigned i = 0; i < open; i++)
            pieces_put(pieces, &parts[i]);
    }
    pieces_end(pieces, out);
    pieces_close(pieces);
    for (unsigned i = 0; i < PARTS; i++) {
        pieces_part_fini(&parts[i]);
        free(rooms[i]);
    }
}

TEST(a_text_has_one_digest_however_it_is_claimed)
{
    enum { SIZE_MAX_HERE = 12 * PIECE };
    static const size_t sizes[] = {0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 7 * PIECE + 5},
                        steps[] = {40000, PIECE, 5 * PIECE};
    char *const text = malloc(SIZE_MAX_HERE), want[DIGEST_TEXT], got[DIGEST_TEXT];
    struct prng prng = {65536};
    if (!text)
        exit(4);
    for (size_t i = 0; i < SIZE_MAX_HERE; i++)
        text[i] = (char)prng_next(&prng);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        digest_of(text, sizes[i], want);
        for (unsigned k = 0; k < sizeof steps / sizeof *steps; k++)
            for (size_t head = 0; head <= 100 && head <= sizes[i]; head += 100) {
                digest_in_steps(text, sizes[i], head, steps[k], &prng, got);
                EXPECT(strcmp(got, want) == 0);
            }
    }
    free(text);
}
