/* bench/micro_miss.c: what it costs to read a line that is not in the cache, which is what the index does for each record.
 *
 *     miss/dependent/S     one random line of S bytes after the other: where the next lies stands in this one
 *     miss/ahead/S         the same, but each line is asked for 16 reads ahead
 *     miss/burst_K         of 256 MiB: K lines asked for at once, then read, and the next K
 *
 * The block lies in huge pages where the machine has them; small is its twin in pages of 4 KiB. Each line is read once a
 * round, in one order for all: the answer is the sum of what stands in them.
 *
 * Sketch: 64 bytes a line. How long a burst may be tells how many lines a core can wait for at once.
 */
#include "bench/shim.h"
#include "core/base/prng.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { LINE = 64, AHEAD = 16, READS_MAX = 1 << 20, BURST_MAX = 128, PARTS_MAX = 4 };

struct line {
    uint32_t next;
    uint32_t value;
    uint8_t rest[LINE - 8];
};

struct miss_case {
    enum { DEPENDENT, ASKED_AHEAD, BURST } kind;
    uint32_t mib, burst;
    int small;
};

struct ground {
    struct line *lines;
    void *mapped;
    size_t mapped_size;
    uint32_t *order; /* the lines in the order of the chain, the first BURST_MAX of them twice */
    uint32_t count, reads;
    uint64_t sums[PARTS_MAX]; /* of each `reads` lines in that order */
};

static void ground_close(struct ground *g)
{
    free(g->order);
    if (g->mapped)
        munmap(g->mapped, g->mapped_size);
}

/* One circle through all lines, in random order; `order` says it beforehand. */
static int ground_open(struct ground *g, const struct miss_case *c)
{
    enum { HUGE_PAGE = 2 << 20 };
    size_t size = bench_tiny() ? (size_t)64 << 10 : (size_t)c->mib << 20;
    *g = (struct ground){.count = (uint32_t)(size / LINE), .mapped_size = size + HUGE_PAGE};
    g->mapped = mmap(NULL, g->mapped_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->mapped == MAP_FAILED) {
        g->mapped = NULL;
        return 0;
    }
    g->lines = (struct line *)(((uintptr_t)g->mapped + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    madvise(g->lines, size, c->small ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
    g->reads = g->count < READS_MAX ? g->count : READS_MAX;
    g->order = malloc(((size_t)g->count + BURST_MAX) * sizeof *g->order);
    if (!g->order)
        return 0;
    struct prng prng = {7};
    for (uint32_t i = 0; i < g->count; i++)
        g->order[i] = i;
    for (uint32_t i = g->count - 1; i > 0; i--) {
        uint32_t other = (uint32_t)(prng_below(&prng, i + 1)), kept = g->order[i];
        g->order[i] = g->order[other];
        g->order[other] = kept;
    }
    for (uint32_t i = 0; i < BURST_MAX; i++)
        g->order[g->count + i] = g->order[i];
    for (uint32_t i = 0; i < g->count; i++) {
        uint32_t value = g->order[i] * 2654435761u;
        g->lines[g->order[i]] = (struct line){.next = g->order[i + 1], .value = value};
        g->sums[i / g->reads] += value;
    }
    return 1;
}

/* All read along the chain, so that a line that has not come is waited for alone, as in a loop with work between its reads:
 * reads that do not hang on each other would fetch side by side what a prefetch did not bring. A round begins where the
 * last one ended, so that a block of more lines than a round reads stays cold. */
static uint64_t read_chain(const struct ground *g, uint32_t *at, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += g->lines[*at].value;
        *at = g->lines[*at].next;
    }
    return sum;
}

static uint64_t read_dependent(const struct ground *g, uint32_t from)
{
    uint32_t at = g->order[from];
    return read_chain(g, &at, g->reads);
}

static uint64_t read_ahead(const struct ground *g, uint32_t from)
{
    const uint32_t *order = g->order + from;
    uint32_t at = order[0];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < AHEAD; i++)
        __builtin_prefetch(&g->lines[order[i]]);
    for (uint32_t i = 0; i < g->reads; i++) {
        __builtin_prefetch(&g->lines[order[i + AHEAD]]);
        sum += read_chain(g, &at, 1);
    }
    return sum;
}

static uint64_t read_bursts(const struct ground *g, uint32_t from, uint32_t burst)
{
    const uint32_t *order = g->order + from;
    uint32_t at = order[0];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < g->reads; i += burst) {
        for (uint32_t k = 0; k < burst; k++)
            __builtin_prefetch(&g->lines[order[i + k]]);
        sum += read_chain(g, &at, burst);
    }
    return sum;
}

static void miss(struct bench *bench, const void *context)
{
    const struct miss_case *c = context;
    struct ground g;
    if (!ground_open(&g, c)) {
        bench_wrong(bench, "no memory");
        ground_close(&g);
        return;
    }
    uint64_t answer = 0;
    for (uint32_t part = 0; part < PARTS_MAX; part++)
        answer = bench_mix(answer, g.sums[part]);
    uint32_t from = 0;
    while (bench_round(bench)) {
        uint64_t got = c->kind == DEPENDENT     ? read_dependent(&g, from)
                       : c->kind == ASKED_AHEAD ? read_ahead(&g, from)
                                                : read_bursts(&g, from, c->burst);
        if (got != g.sums[from / g.reads])
            bench_wrong(bench, "lines were left out or read twice");
        from = from + g.reads == g.count ? 0 : from + g.reads;
        bench_answer(bench, answer);
    }
    bench_items(bench, g.reads, (uint64_t)g.reads * LINE);
    ground_close(&g);
}

void benches(void)
{
    static const struct miss_case cases[] = {
        {DEPENDENT, 4, 0, 0},     {DEPENDENT, 16, 0, 0},    {DEPENDENT, 64, 0, 0},   {DEPENDENT, 256, 0, 0},
        {DEPENDENT, 256, 0, 1},   {ASKED_AHEAD, 4, 0, 0},   {ASKED_AHEAD, 16, 0, 0}, {ASKED_AHEAD, 64, 0, 0},
        {ASKED_AHEAD, 256, 0, 0}, {ASKED_AHEAD, 256, 0, 1}, {BURST, 256, 16, 0},     {BURST, 256, 32, 0},
        {BURST, 256, 64, 0},      {BURST, 256, 128, 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct miss_case *c = &cases[i];
        char name[64];
        if (c->kind == BURST)
            snprintf(name, sizeof name, "miss/burst_%u/%uMiB", c->burst, c->mib);
        else
            snprintf(name, sizeof name, "miss/%s/%uMiB%s", c->kind == DEPENDENT ? "dependent" : "ahead",
                     c->mib, c->small ? "/small_pages" : "");
        bench_add(name, miss, c);
    }
}
