/* core/engine/known.c: which records of a book's task did an earlier day take in? Asked when both sides are read, before anything is
 * judged, since two rows that come again on both sides would make an exact pair again.
 *
 *     reading     each worker: 24 bytes a record into a spool of ID_PARTITIONS parts: side, first bits of the print
 *     here        group by group (some parts together), all workers: gathered, sorted by day and print, told to the id_store
 *
 * Memory: the spool's share; a group's entries twice. Sorting: one counting pass by the print's next bits, and then neighbours.
 */
#include "core/base/mem.h"
#include "core/engine/worker.h"
#include <stdlib.h>

enum {
    GROUP_ENTRIES = 32768, /* about as many as a group has at least */
    BUCKET_LONG = 24       /* longer ones are sorted by qsort: one id on many rows */
};

struct gathered {
    struct id_entry *entries;
    uint64_t count, room;
};

static enum err gather(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct gathered *g = context;
    (void)diag;
    const uint64_t more = size / sizeof *g->entries;
    CHECK2(g->count + more <= g->room, g->count, more);
    memcpy(g->entries + g->count, bytes, size);
    g->count += more;
    return OK;
}

static int compare(const struct id_entry *a, const struct id_entry *b)
{
    if (a->print != b->print)
        return a->print < b->print ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->contents != b->contents)
        return a->contents < b->contents ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static int by_print(const void *a, const void *b)
{
    return compare(a, b);
}

/* Sorts `from` by print into `to`, whose prints agree in their first `common` bits. `counts` has room for 2^bits + 1. */
static void sort_by_print(const struct id_entry *from, struct id_entry *to, uint32_t count, unsigned common,
                          unsigned bits, uint32_t *counts)
{
    const uint32_t buckets = 1u << bits;
    memset(counts, 0, (buckets + 1) * sizeof *counts);
    for (uint32_t i = 0; i < count; i++)
        counts[(from[i].print << common >> (64 - bits)) + 1]++;
    for (uint32_t b = 0; b < buckets; b++)
        counts[b + 1] += counts[b];
    for (uint32_t i = 0; i < count; i++)
        to[counts[from[i].print << common >> (64 - bits)]++] = from[i];
    /* counts[b] is the end of bucket b now. */
    for (uint32_t b = 0, first = 0; b < buckets; first = counts[b++]) {
        if (counts[b] - first > BUCKET_LONG) {
            qsort(to + first, counts[b] - first, sizeof *to, by_print);
            continue;
        }
        for (uint32_t i = first + 1; i < counts[b]; i++) {
            const struct id_entry e = to[i];
            uint32_t at = i;
            for (; at > first && compare(&e, &to[at - 1]) < 0; at--)
                to[at] = to[at - 1];
            to[at] = e;
        }
    }
}

/* The same order, and days before it. 1: `to` holds it; 0: it was right as it was; -1: memory is out. */
static int sort_by_day(const struct id_entry *from, struct id_entry *to, uint32_t count)
{
    uint32_t i = 1;
    while (i < count && id_entry_day(&from[i]) == id_entry_day(&from[0]))
        i++;
    if (i >= count)
        return 0;
    uint32_t *counts = mem_take_zero((size_t)UINT16_MAX + 2, sizeof *counts);
    if (!counts)
        return -1;
    for (i = 0; i < count; i++)
        counts[id_entry_day(&from[i]) + 1u]++;
    for (uint32_t day = 0; day <= UINT16_MAX; day++)
        counts[day + 1] += counts[day];
    for (i = 0; i < count; i++)
        to[counts[id_entry_day(&from[i])]++] = from[i];
    mem_give(counts);
    return 1;
}

static enum err take_group(struct worker *w, uint32_t number)
{
    struct run *run = w->run;
    const uint32_t parts = 1u << run->id_group_bits, first = number * parts;
    struct gathered g = {0};
    for (uint32_t p = first; p < first + parts; p++)
        for (uint32_t i = 0; i < run->worker_count; i++)
            g.room +=
                run->workers[i].outbox.ids->ops->size(run->workers[i].outbox.ids, p) / sizeof *g.entries;
    if (g.room == 0)
        return OK;
    if (g.room > UINT32_MAX / 2)
        return diag_set(&w->diag, ERR_MACHINE, "ids", "cut the day into several files and jobs",
                        "%llu records of one side are too many for a book's memory of ids",
                        (unsigned long long)g.room);
    unsigned bits = 4;
    while (bits < 20 && (uint64_t)4 << bits < g.room)
        bits++;
    struct id_entry *sorted = mem_take(g.room * sizeof *sorted);
    uint32_t *counts = mem_take(((size_t)(1u << bits) + 1) * sizeof *counts);
    g.entries = mem_take(g.room * sizeof *g.entries);
    enum err err = g.entries && sorted && counts
                       ? OK
                       : mem_fail(&w->diag, 2 * g.room * sizeof *sorted, "ids of records");
    for (uint32_t p = first; p < first + parts; p++)
        for (uint32_t i = 0; err == OK && i < run->worker_count; i++)
            err = run->workers[i].outbox.ids->ops->read(run->workers[i].outbox.ids, w->spill, p, gather, &g,
                                                        &w->diag);
    if (err == OK) {
        const uint32_t count = (uint32_t)g.count;
        sort_by_print(g.entries, sorted, count, ID_SIDE_BITS - run->id_group_bits, bits, counts);
        const int by_day = sort_by_day(sorted, g.entries, count);
        const struct id_group group = {.entries = by_day ? g.entries : sorted,
                                       .count = count,
                                       .number = number,
                                       .side = first >> ID_SIDE_BITS ? CHANNEL : LOCAL};
        err = by_day < 0 ? mem_fail(&w->diag, 4 * UINT16_MAX, "ids of records")
                         : run->config->ids->ops->take(run->config->ids, &group, &run->repeats, &w->diag);
    }
    mem_give(counts);
    mem_give(sorted);
    mem_give(g.entries);
    return err;
}

/* How many parts make a group: as many as hold enough entries to be worth a turn. */
static unsigned group_bits(const struct run *run)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < run->worker_count; i++)
        for (uint32_t p = 0; p < ID_PARTITIONS; p++)
            bytes += run->workers[i].outbox.ids->ops->size(run->workers[i].outbox.ids, p);
    const uint64_t entries = bytes / sizeof(struct id_entry);
    unsigned bits = 0;
    while (bits < ID_SIDE_BITS && (entries << bits) / ID_PARTITIONS < GROUP_ENTRIES)
        bits++;
    return bits;
}

void worker_known(struct worker *w)
{
    struct run *run = w->run;
    enum err err = OK;
    if (w->number == 0) {
        run->asks_ids = !run_failed(run); /* else some worker may have no spool */
        run->id_group_bits = run->asks_ids ? group_bits(run) : 0;
        atomic_store(&run->next_partition, 0);
    }
    pthread_barrier_wait(&run->barrier);
    const uint32_t groups = run->asks_ids ? ID_PARTITIONS >> run->id_group_bits : 0;
    for (uint32_t g;
         err == OK && !run_failed(run) && (g = atomic_fetch_add(&run->next_partition, 1)) < groups;)
        err = take_group(w, g);
    if (err != OK)
        run_fail(run, &w->diag);
    pthread_barrier_wait(&run->barrier);
    if (w->outbox.ids)
        w->outbox.ids->ops->close(w->outbox.ids);
    w->outbox.ids = NULL;
    if (w->number == 0 && !run_failed(run) && repeats_seal(&run->repeats, &w->diag) != OK)
        run_fail(run, &w->diag);
    pthread_barrier_wait(&run->barrier);
}
