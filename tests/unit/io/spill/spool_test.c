/* tests/unit/io/spool_test.c: what was set aside comes back whole, in order, or not at all */
#include "core/base/mem.h"
#include "core/base/prng.h"
#include "io/spill/spool.h"
#include "tests/support/check_test.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PARTITIONS = 9, RECORDS_MAX = 20000, RECORD_MAX = 24 * 1024 };

/* Record n of a partition: its number, its size, and bytes that follow from both. */
struct head {
    uint32_t number, size;
};

static uint32_t size_of(uint64_t seed, uint32_t partition, uint32_t number)
{
    struct prng prng;
    prng.state = seed * 1000003 + partition * 7919 + number;
    uint64_t kind = prng_below(&prng, 100);
    return (uint32_t)(sizeof(struct head) + (kind == 0   ? prng_below(&prng, RECORD_MAX - 64)
                                             : kind < 50 ? 56
                                                         : prng_below(&prng, 300)));
}

static void fill(uint8_t *record, uint32_t partition, uint32_t number, uint32_t size)
{
    struct head head = {number, size};
    memcpy(record, &head, sizeof head);
    for (uint32_t i = sizeof head; i < size; i++)
        record[i] = (uint8_t)(partition * 31 + number * 7 + i);
}

struct reading {
    uint32_t partition, next, wrong, size; /* bytes taken */
};

static enum err take(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct reading *r = context;
    static uint8_t want[RECORD_MAX + 64];
    (void)diag;
    r->size += size;
    for (uint32_t at = 0; at < size;) {
        struct head head;
        memcpy(&head, (const uint8_t *)bytes + at, sizeof head);
        if (head.size < sizeof head || head.size > size - at || head.number != r->next) {
            r->wrong++;
            return OK;
        }
        fill(want, r->partition, r->next, head.size);
        r->wrong += memcmp(want, (const uint8_t *)bytes + at, head.size) != 0;
        r->next++;
        at += head.size;
    }
    return OK;
}

static struct spool_host *host_open(enum ring_backend backend, uint64_t cache_max)
{
    struct spill_config config = {.directory = "/tmp", .backend = backend, .cache_max = cache_max};
    struct spool_host *host;
    struct diag diag = {0};
    EXPECT(spill_host_open(&host, &config, &diag) == OK);
    return host;
}

/* Puts `records` into partitions chosen at random; counts[p] says how many each got. */
static struct spool *filled(struct spool_host *host, uint64_t seed, uint64_t memory, uint32_t records,
                            uint32_t *counts)
{
    static uint8_t record[RECORD_MAX + 64];
    struct spool *spool;
    struct diag diag = {0};
    struct prng prng;
    prng.state = seed;
    EXPECT(host->ops->open(&spool, host, PARTITIONS, memory, &diag) == OK);
    memset(counts, 0, PARTITIONS * sizeof *counts);
    for (uint32_t i = 0; i < records; i++) {
        uint32_t p = (uint32_t)(prng_below(&prng, 4) ? prng_below(&prng, PARTITIONS - 1) : 0);
        uint32_t size = size_of(seed, p, counts[p]);
        fill(record, p, counts[p], size);
        counts[p]++;
        EXPECT(spool_put(spool, p, record, size, &diag) == OK);
    }
    EXPECT(host->ops->seal(spool, &diag) == OK);
    return spool;
}

/* A partition in pieces, each of which is no more than is written at once. */
static enum err read_pieces(struct spool_host *host, const struct spool *spool, struct spool_host *reader,
                            struct reading *r, struct diag *diag)
{
    struct spool_cursor cursor = {0};
    enum err err = OK;
    while (err == OK && !cursor.is_done) {
        r->size = 0;
        err = host->ops->read_some(spool, reader, r->partition, &cursor, take, r, diag);
        EXPECT(r->size <= (256 << 10) + RECORD_MAX);
    }
    return err;
}

TEST(all_of_it_comes_back_in_order)
{
    static const uint64_t memories[] = {0, 100000, 1 << 20, 1 << 30};
    const uint64_t before = mem_held();
    for (unsigned m = 0; m < sizeof memories / sizeof memories[0]; m++)
        for (uint64_t seed = 1; seed <= 5; seed++) {
            /* Past the page cache, through it, and a part of the file through it. */
            static const uint64_t cached[] = {0, 0, 0, UINT64_MAX, 200000};
            uint32_t counts[PARTITIONS];
            struct spool_host *host = host_open(seed % 2 ? RING_AUTO : RING_POSIX, cached[seed - 1]),
                              *other = host_open(RING_AUTO, seed % 2 ? 0 : UINT64_MAX);
            struct spool *spool =
                filled(host, seed, memories[m], RECORDS_MAX / (seed == 3 ? 100 : 1), counts);
            struct diag diag = {0};
            for (uint32_t p = 0; p < PARTITIONS; p++) {
                struct reading r = {.partition = p};
                EXPECT(host->ops->read(spool, p % 2 ? other : host, p, take, &r, &diag) == OK);
                EXPECT(r.wrong == 0 && r.next == counts[p]);
                r.next = 0;
                EXPECT(read_pieces(host, spool, p % 2 ? host : other, &r, &diag) == OK);
                EXPECT(r.wrong == 0 && r.next == counts[p]);
                host->ops->drop(spool, p);
                EXPECT(host->ops->size(spool, p) == 0);
            }
            EXPECT((host->written > 0) == (memories[m] < 1 << 30 && seed != 3) || seed == 3);
            EXPECT(memories[m] == 1 << 30 || host->ops->held(spool) <= memories[m] + (1 << 20));
            host->ops->close(spool);
            spill_host_close(host);
            spill_host_close(other);
        }
    EXPECT(mem_held() == before);
}

/* It grew by each long record that came when its memory was full, whatever was written. */
TEST(long_records_stay_within_the_memory)
{
    enum { LONG = 700, SHORT = 4000, MEMORY = 1 << 20 };
    static uint8_t record[RECORD_MAX];
    for (int pages_first = 0; pages_first < 2; pages_first++) {
        struct spool_host *host = host_open(RING_AUTO, UINT64_MAX);
        struct spool *spool;
        struct diag diag = {0};
        struct prng prng = {.state = 11};
        uint64_t most = 0;
        uint32_t counts[PARTITIONS] = {0};
        EXPECT(host->ops->open(&spool, host, PARTITIONS, MEMORY, &diag) == OK);
        for (uint32_t i = 0; i < LONG + (pages_first ? SHORT : 0u); i++) {
            const uint32_t p = (uint32_t)prng_below(&prng, PARTITIONS),
                           size = pages_first && i < SHORT ? 800 : 5000 + (uint32_t)prng_below(&prng, 19000);
            fill(record, p, counts[p]++, size);
            EXPECT(spool_put(spool, p, record, size, &diag) == OK);
            if (host->ops->held(spool) > most)
                most = host->ops->held(spool);
        }
        EXPECT(most <= MEMORY + MEMORY / 4);
        EXPECT(host->ops->seal(spool, &diag) == OK);
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            struct reading r = {.partition = p};
            EXPECT(host->ops->read(spool, host, p, take, &r, &diag) == OK);
            EXPECT(r.wrong == 0 && r.next == counts[p]);
        }
        host->ops->close(spool);
        spill_host_close(host);
    }
}

/* The descriptor of the host's file: one of ours that has no name any more. */
static int spill_file(void)
{
    DIR *fds = opendir("/proc/self/fd");
    int found = -1;
    for (struct dirent *e; fds && (e = readdir(fds));) {
        char path[300], target[300];
        snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        struct stat st;
        if (n > 0 && fstat(atoi(e->d_name), &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0)
            found = atoi(e->d_name);
    }
    if (fds)
        closedir(fds);
    return found;
}

TEST(a_flipped_bit_or_a_lost_end_is_told)
{
    for (int how = 0; how < 8; how++) {
        uint32_t counts[PARTITIONS];
        struct spool_host *host = host_open(how % 2 ? RING_AUTO : RING_POSIX, how / 4 ? UINT64_MAX : 0);
        struct spool *spool = filled(host, 7, 100000, RECORDS_MAX, counts);
        EXPECT(host->written > 0);
        int fd = spill_file();
        EXPECT(fd >= 0);
        if (how % 4 < 2) {
            static uint8_t page[4096] __attribute__((aligned(4096)));
            EXPECT(pread(fd, page, sizeof page, 8192) == (ssize_t)sizeof page);
            page[100] ^= 4;
            EXPECT(pwrite(fd, page, sizeof page, 8192) == (ssize_t)sizeof page);
        } else {
            EXPECT(ftruncate(fd, 4096) == 0);
        }
        struct diag diag = {0};
        enum err err = OK;
        for (uint32_t p = 0; p < PARTITIONS && err == OK; p++) {
            struct reading r = {.partition = p};
            err = how % 2 ? read_pieces(host, spool, host, &r, &diag)
                          : host->ops->read(spool, host, p, take, &r, &diag);
            EXPECT(r.wrong == 0); /* nothing wrong is ever handed over */
        }
        EXPECT(err == ERR_MACHINE);
        EXPECT(strcmp(diag.code, how % 4 < 2 ? "spill.damaged" : "spill.read") == 0);
        host->ops->close(spool);
        spill_host_close(host);
    }
}

TEST(what_is_held_goes_to_disk_when_the_limit_falls)
{
    enum { ROUNDS = 6, EACH = 3000, LIMIT = 100000 };
    static uint8_t record[64];
    const uint64_t before = mem_held();
    for (int cached = 0; cached < 2; cached++) {
        struct spool_host *host = host_open(RING_AUTO, cached ? UINT64_MAX : 0);
        struct spool *spool;
        struct diag diag = {0};
        uint32_t counts[PARTITIONS] = {0};
        EXPECT(host->ops->open(&spool, host, PARTITIONS, 1 << 30, &diag) == OK);
        for (int round = 0; round < ROUNDS; round++) {
            for (uint32_t i = 0; i < EACH; i++) {
                const uint32_t p = i % PARTITIONS;
                fill(record, p, counts[p]++, sizeof record);
                EXPECT(spool_put(spool, p, record, sizeof record, &diag) == OK);
            }
            /* Falls, rises, falls to nothing. */
            EXPECT(host->ops->limit(spool, round % 2 ? LIMIT : 1 << 30, &diag) == OK);
            EXPECT(round % 2 == 0 || host->ops->held(spool) <= LIMIT + (256 << 10));
        }
        EXPECT(host->written > (uint64_t)ROUNDS / 2 * EACH * sizeof record);
        EXPECT(host->ops->seal(spool, &diag) == OK);
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            struct reading r = {.partition = p};
            EXPECT(host->ops->read(spool, host, p, take, &r, &diag) == OK);
            EXPECT(r.wrong == 0 && r.next == counts[p]);
        }
        host->ops->close(spool);
        spill_host_close(host);
    }
    EXPECT(mem_held() == before);
}

TEST(a_write_that_finds_no_room_says_how_much_is_free)
{
    static uint8_t record[64];
    for (int how = 0; how < 4; how++) {
        struct spool_host *host = host_open(how % 2 ? RING_AUTO : RING_POSIX, how / 2 ? UINT64_MAX : 0);
        struct spool *spool;
        struct diag diag = {0};
        enum err err = OK;
        EXPECT(host->ops->open(&spool, host, PARTITIONS, 100000, &diag) == OK);
        for (uint32_t i = 0; err == OK && i < 10 * RECORDS_MAX; i++) {
            err = spool_put(spool, i % PARTITIONS, record, sizeof record, &diag);
            if (i == RECORDS_MAX / 2) { /* its space is set aside, and then there is none */
                const int full = open("/dev/full", O_RDWR);
                EXPECT(host->written > 0 && dup2(full, spill_file()) >= 0);
                close(full);
            }
        }
        EXPECT(err == ERR_MACHINE && strcmp(diag.code, "spill.write") == 0);
        EXPECT(strstr(diag.what, "/tmp: cannot write ") != NULL &&
               strstr(diag.what, " bytes are free there") != NULL);
        host->ops->close(spool);
        spill_host_close(host);
    }
}

TEST(no_directory_is_an_error)
{
    struct spill_config config = {.directory = "/no/such/directory", .backend = RING_AUTO};
    struct spool_host *host;
    struct diag diag = {0};
    EXPECT(spill_host_open(&host, &config, &diag) == OK);
    struct spool *spool;
    EXPECT(host->ops->open(&spool, host, PARTITIONS, 0, &diag) == OK);
    uint8_t record[64] = {0};
    enum err err = OK;
    for (uint32_t i = 0; i < RECORDS_MAX && err == OK; i++)
        err = spool_put(spool, i % PARTITIONS, record, sizeof record, &diag);
    EXPECT(err == ERR_MACHINE && strcmp(diag.code, "spill.open") == 0);
    host->ops->close(spool);
    spill_host_close(host);
}
