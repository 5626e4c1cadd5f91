/* tests/unit/io/sink/shelf_test.c: items that were put on a shelf are all there, once, where they were put, also where it is full */
#include "core/base/prng.h"
#include "io/sink/shelf.h"
#include "tests/support/check_test.h"

enum { LANES = 3, PARTS = 5, WORDS_MAX = 5 };

/* The number'th item of a lane and part, told from all others. */
static uint64_t word_of(uint32_t lane, uint32_t part, uint64_t number, uint32_t word)
{
    return (uint64_t)lane << 56 | (uint64_t)part << 48 | number << 8 | word;
}

static void all_there(uint32_t size, uint64_t memory, uint64_t wanted, int must_be_full)
{
    struct diag diag = {0};
    struct prng prng = {.state = size + memory};
    const struct shelf_config config = {LANES, PARTS, size, memory};
    struct shelf *shelf;
    uint64_t count[LANES][PARTS] = {{0}};
    int is_full[LANES] = {0}, any_full = 0;
    EXPECT(shelf_open(&shelf, &config, &diag) == OK);
    for (uint64_t i = 0; i < wanted; i++) {
        /* One lane puts most, and one part has most. */
        const uint32_t lane = prng_below(&prng, 4) ? 0 : (uint32_t)prng_below(&prng, LANES),
                       part = prng_below(&prng, 3) ? 1 : (uint32_t)prng_below(&prng, PARTS);
        struct shelf_lane *const own = shelf_lane(shelf, lane);
        if (is_full[lane])
            continue;
        uint64_t item[WORDS_MAX];
        for (uint32_t k = 0; k < size / 8; k++)
            item[k] = word_of(lane, part, count[lane][part], k);
        is_full[lane] = !shelf_put(own, part, item, size / 8);
        count[lane][part] += !is_full[lane];
        any_full |= is_full[lane];
    }
    for (uint32_t lane = 0; lane < LANES; lane++)
        shelf_end(shelf, lane);
    EXPECT(any_full == must_be_full);
    for (uint32_t part = 0; part < PARTS; part++) {
        struct shelf_walk walk = {.part = part};
        uint64_t seen[LANES] = {0}, bytes = 0;
        while (shelf_next(shelf, &walk)) {
            EXPECT(walk.size && walk.size % size == 0);
            bytes += walk.size;
            for (size_t at = 0; at < walk.size; at += size) {
                const uint64_t *const item = (const uint64_t *)(walk.items + at);
                const uint32_t lane = (uint32_t)(item[0] >> 56);
                EXPECT(lane < LANES);
                for (uint32_t k = 0; k < size / 8; k++)
                    EXPECT(item[k] == word_of(lane, part, seen[lane], k));
                seen[lane]++;
            }
        }
        uint64_t all = 0;
        for (uint32_t lane = 0; lane < LANES; lane++) {
            EXPECT(seen[lane] == count[lane][part]);
            all += seen[lane];
        }
        EXPECT(bytes == all * size && shelf_size(shelf, part) == bytes);
    }
    /* Blocks of parts that are done with are all there, each once, and may be written to; spare ones come besides. */
    struct shelf_block *list = NULL;
    uint64_t held = 0, blocks = 0;
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (uint32_t part = 0; part < PARTS; part++)
            held += shelf_lane(shelf, lane)->parts[part].count;
    for (uint32_t part = 0; part < PARTS; part++) {
        shelf_take(shelf, part, &list);
        EXPECT(shelf_size(shelf, part) == 0);
    }
    for (uint32_t i = 0; i < LANES; i++) {
        struct shelf_block *const spare = shelf_spare(shelf, i);
        EXPECT(spare != NULL);
        spare->next = list;
        list = spare;
    }
    for (struct shelf_block *block = list; block; block = block->next, blocks++)
        memset(block + 1, (int)(blocks & 255), SHELF_PAYLOAD);
    EXPECT(blocks == held + LANES);
    for (uint32_t lane = 0; lane < LANES; lane += 2)
        shelf_clear(shelf, lane); /* the others go with it */
    shelf_close(shelf);
}

TEST(shelf_keeps_all)
{
    static const uint32_t sizes[] = {24, 40};
    for (int i = 0; i < 2; i++) {
        all_there(sizes[i], 64 << 20, 0, 0);
        all_there(sizes[i], 64 << 20, 7, 0);
        all_there(sizes[i], 64 << 20, 3000, 0);
        all_there(sizes[i], 64 << 20, 200000, 0);
        all_there(sizes[i], 6 << 20, 400000, 1);
        all_there(sizes[i], 0, 100, 1);
    }
}
