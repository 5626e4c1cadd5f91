/* tests/unit/io/sink/stretch_file_test.c: stretches that are claimed in order and written in any order make one file */
#include "core/base/prng.h"
#include "io/sink/stretch_file.h"
#include "tests/support/check_test.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LANES = 3, STRETCHES = 60, SIZE_MAX_OF = 60000 };

static char folder[400];

static void one_file(enum ring_backend backend, size_t block, uint64_t seed, size_t size_max)
{
    struct diag diag = {0};
    struct prng prng = {0};
    prng.state = seed;
    const struct stretch_config config = {.directory = folder,
                                          .name = "wide.csv",
                                          .lanes = LANES,
                                          .blocks = 2,
                                          .block = block,
                                          .backend = backend};
    struct stretch_file *file;
    EXPECT(stretch_open(&file, &config, &diag) == OK);
    char *want = malloc((size_t)STRETCHES * SIZE_MAX_OF), *got;
    size_t used = 0;
    struct stretch *stretches = calloc(LANES, sizeof *stretches);
    const char *bytes[LANES];
    /* As many claims at a time as there are lanes; the last one is written first. */
    for (int i = 0; i < STRETCHES; i += LANES) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            const size_t size = (size_t)prng_below(&prng, prng_below(&prng, 3) ? size_max : 300);
            bytes[lane] = want + used;
            for (size_t k = 0; k < size; k++)
                want[used++] = (char)prng_next(&prng);
            stretch_claim(file, &stretches[lane], bytes[lane], size);
        }
        for (uint32_t lane = LANES; lane-- > 0;)
            EXPECT(stretch_write(file, lane, &stretches[lane], bytes[lane], &diag) == OK);
    }
    for (uint32_t lane = 0; lane < LANES; lane++)
        EXPECT(stretch_wait(file, lane, &diag) == OK);
    EXPECT(stretch_end(file, &diag) == OK);
    stretch_close(file);
    char path[500];
    snprintf(path, sizeof path, "%s/wide.csv", folder);
    got = malloc(used + 1);
    const int fd = open(path, O_RDONLY);
    EXPECT(fd >= 0 && read(fd, got, used + 1) == (ssize_t)used && memcmp(got, want, used) == 0);
    close(fd);
    unlink(path);
    free(want);
    free(got);
    free(stretches);
}

static void make_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tieout-stretch-XXXXXX", base ? base : "/tmp");
    EXPECT(mkdtemp(folder) != NULL);
}

TEST(stretches_of_any_size_make_one_file)
{
    make_folder();
    for (uint64_t seed = 1; seed <= 4; seed++) {
        one_file(RING_AUTO, 4096, seed, 20000);
        one_file(RING_POSIX, 8192, seed, SIZE_MAX_OF);
        one_file(RING_AUTO, 65536, seed, 900);
        one_file(RING_AUTO, 4096, seed, 8);
        one_file(RING_AUTO, 4096, seed, 1);
    }
    EXPECT(rmdir(folder) == 0);
}

TEST(a_file_that_is_there_is_not_written_over)
{
    make_folder();
    char path[500];
    snprintf(path, sizeof path, "%s/wide.csv", folder);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    struct diag diag = {0};
    const struct stretch_config config = {
        .directory = folder, .name = "wide.csv", .lanes = 1, .blocks = 2, .block = 4096};
    struct stretch_file *file;
    EXPECT(stretch_open(&file, &config, &diag) == ERR_MACHINE && file == NULL &&
           strcmp(diag.code, "out.open") == 0);
    unlink(path);
    EXPECT(rmdir(folder) == 0);
}
