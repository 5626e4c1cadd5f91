/* tests/unit/io/sink/tank_test.c: what was put aside comes back, by every road; keys come back in order */
#include "core/base/prng.h"
#include "io/sink/key_sort.h"
#include "io/sink/tank.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { LANES = 2, PARTITIONS = 7, ITEM_MAX = 9000 };

/* What a lane put into a partition. */
struct put {
    uint8_t *bytes;
    size_t size;
};

static void grow_put(struct put *p, const uint8_t *bytes, size_t size)
{
    p->bytes = realloc(p->bytes, p->size + size + 1);
    memcpy(p->bytes + p->size, bytes, size);
    p->size += size;
}

/* Items of all sizes, some through tank_reserve; then both ways to read them again. */
static void there_and_back(size_t memory, int count, enum ring_backend backend, int must_spill)
{
    struct diag diag = {0};
    struct prng prng = {0};
    prng.state = (uint64_t)count + memory;
    const char *folder = getenv("TMPDIR");
    struct tank_config config = {.directory = folder ? folder : "/tmp",
                                 .lanes = LANES,
                                 .partitions = PARTITIONS,
                                 .memory = memory,
                                 .backend = backend};
    struct tank *tank;
    EXPECT(tank_open(&tank, &config, &diag) == OK);
    static struct put puts[LANES][PARTITIONS];
    memset(puts, 0, sizeof puts);
    for (int i = 0; i < count; i++) {
        uint8_t item[ITEM_MAX];
        uint32_t lane = (uint32_t)prng_below(&prng, LANES),
                 partition = (uint32_t)prng_below(&prng, PARTITIONS);
        size_t size = 1 + (size_t)prng_below(&prng, prng_below(&prng, 20) ? 120 : ITEM_MAX);
        for (size_t k = 0; k < size; k++)
            item[k] = (uint8_t)prng_next(&prng);
        uint8_t *place = prng_below(&prng, 2) ? tank_reserve(tank, lane, partition, size + 16) : NULL;
        if (place) {
            memcpy(place, item, size);
            tank_commit(tank, lane, partition, size);
        } else {
            EXPECT(tank_put(tank, lane, partition, item, size, &diag) == OK);
        }
        grow_put(&puts[lane][partition], item, size);
    }
    for (uint32_t lane = 0; lane < LANES; lane++)
        EXPECT(tank_end(tank, lane, &diag) == OK);
    EXPECT((tank_spilled(tank) > 0) == must_spill);
    struct tank_load load = {0};
    for (uint32_t partition = 0; partition < PARTITIONS; partition++) {
        EXPECT(tank_load(tank, partition, &load, &diag) == OK);
        EXPECT(tank_wait(tank, &load, &diag) == OK && load.piece_count == LANES);
        EXPECT(tank_size(tank, partition) == puts[0][partition].size + puts[1][partition].size);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            const struct put *put = &puts[lane][partition];
            EXPECT(load.pieces[lane].size == put->size &&
                   (put->size == 0 || memcmp(load.pieces[lane].bytes, put->bytes, put->size) == 0));
            struct tank_scan scan = {.lane = lane, .partition = partition};
            size_t at = 0, size;
            const uint8_t *bytes;
            while (tank_scan_next(tank, &scan, &bytes, &size, &diag) == OK && size) {
                EXPECT(at + size <= put->size && memcmp(bytes, put->bytes + at, size) == 0);
                at += size;
            }
            EXPECT(diag.err == OK && at == put->size);
            tank_scan_fini(&scan);
            free(put->bytes);
        }
    }
    tank_load_fini(&load);
    tank_close(tank);
}

TEST(what_fits_in_memory_never_reaches_the_disk)
{
    there_and_back(16 << 20, 2000, RING_AUTO, 0);
}

TEST(what_does_not_fit_goes_through_the_file)
{
    there_and_back(1, 5000, RING_AUTO, 1);
    there_and_back(1, 5000, RING_POSIX, 1);
    there_and_back(300000, 5000, RING_AUTO, 1);
}

TEST(an_empty_tank_gives_nothing)
{
    there_and_back(1, 0, RING_AUTO, 0);
}

TEST(a_full_disk_is_told_with_what_is_free)
{
    char folder[] = "/tmp/tank-XXXXXX";
    EXPECT(mkdtemp(folder) != NULL);
    if (mount("tmpfs", folder, "tmpfs", 0, "size=1m") != 0) {
        printf("skipped: no right to mount a tmpfs\n");
        rmdir(folder);
        return;
    }
    struct diag diag = {0};
    struct tank_config config = {
        .directory = folder, .lanes = 1, .partitions = 1, .memory = 1, .backend = RING_POSIX};
    struct tank *tank;
    static const uint8_t item[4096] = {1};
    enum err err = tank_open(&tank, &config, &diag);
    for (int i = 0; err == OK && i < 4096; i++)
        err = tank_put(tank, 0, 0, item, sizeof item, &diag);
    tank_close(tank);
    umount2(folder, MNT_DETACH);
    rmdir(folder);
    EXPECT(err == ERR_MACHINE && strcmp(diag.code, "out.spill") == 0);
    EXPECT(strstr(diag.what, "cannot write ") && strstr(diag.did, " of rows on their way to match.csv") &&
           strstr(diag.what, " bytes are free there"));
}

/* ---- keys ---- */

static struct span key_of(const uint8_t *item)
{
    return (struct span){(const char *)item + 1, *item};
}

static int by_key(const void *a, const void *b)
{
    return span_compare(key_of(*(const uint8_t *const *)a), key_of(*(const uint8_t *const *)b));
}

/* Keys of few different bytes, zeros among them, many with long beginnings in common or one the start of another. */
TEST(keys_are_sorted_as_memcmp_would)
{
    enum { COUNT = 20000, ROOM = 64 };
    static uint8_t items[COUNT][ROOM];
    static const uint8_t *expected[COUNT];
    static struct sort_entry entries[COUNT], other[COUNT];
    struct prng prng = {0};
    for (int shape = 0; shape < 4; shape++) {
        const size_t count = shape == 3 ? 30 : COUNT;
        prng.state = (uint64_t)shape + 1;
        for (size_t i = 0; i < count; i++) {
            size_t same = shape == 1 ? 24 : 0, size = same + prng_below(&prng, ROOM - 1 - same);
            items[i][0] = (uint8_t)size;
            for (size_t k = 0; k < size; k++)
                items[i][1 + k] = k < same     ? 'x'
                                  : shape == 2 ? (uint8_t)prng_below(&prng, 2)
                                               : (uint8_t)('0' + prng_below(&prng, 10));
            expected[i] = items[i];
            entries[i].item = items[i];
        }
        qsort(expected, count, sizeof *expected, by_key);
        key_sort(entries, other, count, key_of);
        int wrong = 0;
        for (size_t i = 0; i < count; i++)
            wrong += span_compare(key_of(expected[i]), key_of(entries[i].item)) != 0;
        EXPECT(wrong == 0);
    }
}

TEST(words_are_sorted_by_value)
{
    enum { COUNT = 5000 };
    static struct sort_entry entries[COUNT], other[COUNT];
    struct prng prng = {0};
    prng.state = 9;
    for (int shift = 0; shift < 64; shift += 9) {
        for (int i = 0; i < COUNT; i++)
            entries[i].word = prng_next(&prng) >> shift;
        word_sort(entries, other, COUNT);
        int wrong = 0;
        for (int i = 1; i < COUNT; i++)
            wrong += entries[i - 1].word > entries[i].word;
        EXPECT(wrong == 0);
    }
}
