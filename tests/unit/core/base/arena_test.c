/* tests/unit/core/base/arena_test.c: memory that is freed as a whole */
#include "core/base/arena.h"
#include "core/base/mem.h"
#include "core/base/prng.h"
#include "tests/support/check_test.h"

TEST(pieces_are_aligned_and_never_overlap)
{
    struct prng prng = {7};
    struct arena arena;
    arena_init(&arena);
    for (int round = 0; round < 3; round++) {
        enum { PIECES = 3000 };
        static unsigned char *piece[PIECES];
        static size_t size[PIECES];
        for (int i = 0; i < PIECES; i++) {
            /* Mostly small, some larger than a block. */
            size[i] =
                prng_below(&prng, 100) == 0 ? 70000 + prng_below(&prng, 400000) : prng_below(&prng, 300);
            piece[i] = arena_take(&arena, size[i]);
            EXPECT(piece[i] != NULL && (uintptr_t)piece[i] % 8 == 0);
            memset(piece[i], i & 0xFF, size[i]);
        }
        int intact = 1;
        for (int i = 0; i < PIECES; i++)
            for (size_t k = 0; k < size[i]; k++)
                intact &= piece[i][k] == (i & 0xFF);
        EXPECT(intact);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

TEST(what_was_taken_is_given_back)
{
    uint64_t before = mem_held();
    struct arena arena;
    arena_init(&arena);
    for (int i = 0; i < 1000; i++)
        EXPECT(arena_take(&arena, 1000 + (size_t)i) != NULL);
    EXPECT(arena.held >= 1000 * 1000 && mem_held() > before);
    arena_reset(&arena);
    EXPECT(arena.held <= 256 * 1024);
    arena_fini(&arena);
    EXPECT(mem_held() == before);
}

TEST(a_copy_ends_with_a_zero_byte_and_an_empty_one_is_not_null)
{
    struct arena arena;
    arena_init(&arena);
    struct span copy = arena_copy(&arena, (struct span){"a\0b", 3});
    EXPECT(copy.size == 3 && memcmp(copy.data, "a\0b", 4) == 0);
    copy = arena_copy(&arena, (struct span){NULL, 0});
    EXPECT(copy.size == 0 && copy.data && copy.data[0] == 0);
    arena_fini(&arena);
}
