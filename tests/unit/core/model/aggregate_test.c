/* tests/unit/core/model/aggregate_test.c: counts that leave memory come back as they were (core/model/aggregate.h) */
#include "core/base/prng.h"
#include "core/model/aggregate.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

enum { STORE_MAX = 64 << 20 };

struct memory_store {
    struct aggregate_store store; /* first */
    char *bytes;
    uint64_t puts, full_after;
};

static enum err put(struct aggregate_store *store, uint64_t offset, const void *bytes, size_t size,
                    struct diag *diag)
{
    struct memory_store *m = (struct memory_store *)store;
    if (m->puts++ == m->full_after || offset + size > STORE_MAX)
        return diag_set(diag, ERR_MACHINE, "test.full", NULL, "full");
    memcpy(m->bytes + offset, bytes, size);
    return OK;
}

static enum err get(struct aggregate_store *store, uint64_t offset, void *bytes, size_t size,
                    struct diag *diag)
{
    (void)diag;
    memcpy(bytes, ((struct memory_store *)store)->bytes + offset, size);
    return OK;
}

static struct memory_store store_open(void)
{
    return (struct memory_store){{put, get, 0}, malloc(STORE_MAX), 0, UINT64_MAX};
}

/* A row of `merchants`: some rows of a merchant are taken back, and those of every 50th all. 0 when it could not be counted. */
static int add(struct aggregate *a, uint64_t draw, unsigned merchants)
{
    struct row_note note = {.cost_micro = (int64_t)(draw % 7)};
    char text[24];
    const unsigned merchant = (unsigned)(draw >> 8) % merchants;
    row_note_put(&note, "CH", 2);
    row_note_put(&note, text, (size_t)sprintf(text, "%u", merchant));
    row_note_put(&note, "", 0);
    row_note_put(&note, draw & 1 ? "PAY" : "REFUND", draw & 1 ? 3 : 6);
    const uint64_t key =
        aggregate_key(draw >> 1 & 1, draw >> 2 & 1, (uint16_t)(20000 + (draw >> 3 & 1)), 1, HOUR_NONE);
    if (!aggregate_add(a, key, (int64_t)merchant * 1000, &note))
        return 0;
    if (merchant % 50 && draw >> 40 & 3)
        return 1;
    const struct span texts = {(const char *)note.texts, note.size};
    struct aggregate_cell *cell = aggregate_find(a, key, texts);
    if (!cell)
        return 0;
    cell->count--;
    cell->gross -= (int64_t)merchant * 1000;
    cell->cost -= note.cost_micro;
    return 1;
}

static void fill(struct aggregate *a, uint64_t seed, unsigned rows, unsigned merchants)
{
    struct prng prng;
    prng = (struct prng){seed};
    for (unsigned i = 0; i < rows; i++)
        if (!add(a, prng_next(&prng), merchants)) {
            EXPECT(!"it could not be counted");
            return;
        }
}

static void sum(void *context, const struct aggregate_cell *cell)
{
    int64_t *sums = context;
    sums[0] += cell->count;
    sums[1] += (int64_t)cell->gross;
}

/* Both are read in the same order with the same sums. */
static void expect_same(struct aggregate *want, struct aggregate *got)
{
    struct aggregate_reader *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    struct diag diag = {0};
    int64_t sums[2][2] = {{0}}, read[2] = {0, 0};
    unsigned cells = 0, wrong = 0;
    EXPECT(aggregate_each(want, sum, sums[0], &diag) == OK && aggregate_each(got, sum, sums[1], &diag) == OK);
    EXPECT(sums[0][0] == sums[1][0] && sums[0][1] == sums[1][1]);
    EXPECT(aggregate_read(a, want, &diag) == OK && aggregate_read(b, got, &diag) == OK);
    do {
        if (aggregate_next(a, &diag) != OK || aggregate_next(b, &diag) != OK) {
            wrong++;
            break;
        }
        wrong += (uint32_t)a->cell.key != (uint32_t)b->cell.key ||
                 (a->cell.key && (!span_equal(a->texts, b->texts) || a->cell.count != b->cell.count ||
                                  a->cell.gross != b->cell.gross || a->cell.cost != b->cell.cost));
        read[0] += b->cell.count * (b->cell.key != 0);
        read[1] += b->cell.key ? (int64_t)b->cell.gross : 0;
        cells++;
    } while (a->cell.key && b->cell.key && !wrong);
    EXPECT(!wrong && cells > 1000 && read[0] == sums[0][0] && read[1] == sums[0][1]);
    aggregate_read_end(a);
    aggregate_read_end(b);
    free(a);
    free(b);
}

TEST(counts_that_left_memory_are_read_in_the_same_order_with_the_same_sums)
{
    struct memory_store m = store_open();
    struct diag diag = {0};
    struct aggregate want, got;
    aggregate_init(&want, NULL, &diag);
    aggregate_init(&got, &(struct aggregate_share){&m.store, 1}, &diag);
    fill(&want, 1, 150000, 20000);
    fill(&got, 1, 150000, 20000);
    EXPECT(got.run_count > 40 && got.held <= AGGREGATE_MEMORY_MIN); /* runs are joined before they are read */
    expect_same(&want, &got);
    aggregate_fini(&want);
    aggregate_fini(&got);
    free(m.bytes);
}

TEST(workers_add_up_whether_they_left_memory_or_not)
{
    for (unsigned small = 0; small < 8; small++) {
        struct memory_store m = store_open();
        struct diag diag = {0};
        struct aggregate want, sum_of, worker[3];
        aggregate_init(&want, NULL, &diag);
        aggregate_init(&sum_of, &(struct aggregate_share){&m.store, 512 << 10}, &diag);
        for (unsigned i = 0; i < 3; i++) {
            const unsigned rows = small >> i & 1 ? 900 : 20000;
            aggregate_init(&worker[i], &(struct aggregate_share){&m.store, 1}, &diag);
            fill(&want, i, rows, 3000);
            fill(&worker[i], i, rows, 3000);
        }
        for (unsigned i = 0; i < 3; i++) {
            EXPECT(aggregate_merge(&sum_of, &worker[i], &diag) == OK);
            aggregate_fini(&worker[i]);
        }
        expect_same(&want, &sum_of);
        aggregate_fini(&want);
        aggregate_fini(&sum_of);
        free(m.bytes);
    }
}

TEST(a_full_store_is_told)
{
    struct memory_store m = store_open();
    struct diag diag = {0};
    struct aggregate a;
    struct prng prng;
    m.full_after = 20;
    prng = (struct prng){1};
    aggregate_init(&a, &(struct aggregate_share){&m.store, 1}, &diag);
    unsigned rows = 0;
    while (rows < 100000 && add(&a, prng_next(&prng), 20000))
        rows++;
    EXPECT(rows < 100000 && aggregate_failed(&a, &diag) == ERR_MACHINE && !strcmp(diag.code, "test.full"));
    aggregate_fini(&a);
    free(m.bytes);
}

TEST(a_changed_byte_anywhere_is_met_before_it_is_used)
{
    for (uint64_t at = 0; at < 20; at += CHECK_WATCHED ? 3 : 1) { /* a sanitizer takes long */
        struct memory_store m = store_open();
        struct diag diag = {0};
        struct aggregate a;
        struct aggregate_reader *reader = malloc(sizeof *reader);
        aggregate_init(&a, &(struct aggregate_share){&m.store, 1}, &diag);
        fill(&a, 3, 30000, 20000);
        EXPECT(a.run_count > 1);
        m.bytes[at < 4 ? at * 8 : at * 7919 % m.store.used] ^= 0x10;
        int64_t sums[2] = {0, 0};
        EXPECT(aggregate_each(&a, sum, sums, &diag) == ERR_MACHINE && !strcmp(diag.code, "counts.checksum"));
        diag = (struct diag){0};
        enum err err = aggregate_read(reader, &a, &diag);
        while (err == OK && (err = aggregate_next(reader, &diag)) == OK && reader->cell.key)
            ;
        EXPECT(err == ERR_MACHINE);
        aggregate_read_end(reader);
        aggregate_fini(&a);
        free(reader);
        free(m.bytes);
    }
}

TEST(without_a_store_there_is_an_end)
{
    struct diag diag = {0};
    struct aggregate a;
    aggregate_init(&a, NULL, &diag);
    int64_t count = 0;
    char text[24];
    for (;; count++) {
        struct row_note note = {0};
        for (int dim = 0; dim < AGGREGATE_DIMS; dim++)
            row_note_put(&note, text, (size_t)sprintf(text, "%lld", (long long)count));
        if (!aggregate_add(&a, aggregate_key(0, 0, 1, 1, 0), 1, &note))
            break;
    }
    EXPECT(count == AGGREGATE_CELLS_MAX && aggregate_failed(&a, &diag) == ERR_MACHINE &&
           !strcmp(diag.code, "aggregate.cells"));
    aggregate_fini(&a);
}
