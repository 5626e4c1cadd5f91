/* index/table.c: see table.h */
#include "index/table.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include <string.h>

static size_t bytes_of(uint64_t bucket_count)
{
    return (size_t)(bucket_count * sizeof(struct bucket));
}

static int is_huge(size_t size)
{
    return size >= 4u << 20;
}

static uint64_t keys_of(uint64_t bucket_count)
{
    return bucket_count * BUCKET_SLOTS * 3 / 4;
}

static void bucket_clear(struct bucket *bucket)
{
    memset(bucket->head, 0xFF, sizeof bucket->head);
    memset(bucket->passed, 0, sizeof bucket->passed);
}

enum err table_init(struct table *table, uint32_t bucket_count, struct diag *diag)
{
    *table = (struct table){.mask = bucket_count - 1, .shift = 32 - (uint32_t)__builtin_ctz(bucket_count)};
    const size_t size = bytes_of(bucket_count);
    table->buckets = mem_map(size, is_huge(size));
    if (!table->buckets)
        return mem_fail(diag, size, "the index's table");
    for (uint32_t i = 0; i < bucket_count; i++)
        bucket_clear(&table->buckets[i]);
    table->keys_max = keys_of(bucket_count);
    return OK;
}

/* ---- twice as many ---- */

/* Keys that wait for their new bucket: it is not cleared yet, or it lies behind the end. */
struct held {
    struct {
        uint32_t tag, head;
    } * keys;
    uint32_t count, room;
};

static int hold(struct held *held, uint32_t tag, uint32_t head)
{
    if (held->count == held->room) {
        const uint32_t room = held->room ? held->room * 2 : 64;
        void *grown = mem_grow(held->keys, room * sizeof *held->keys);
        if (!grown)
            return 0;
        held->keys = grown;
        held->room = room;
    }
    held->keys[held->count].tag = tag;
    held->keys[held->count++].head = head;
    return 1;
}

/* Puts a key between its bucket and the last one. 0: there is no room, and nothing has changed. */
static int put_before_end(struct table *table, uint32_t tag, uint32_t head)
{
    const uint32_t home = table_home(table, tag);
    for (uint32_t i = home; i <= table->mask; i++) {
        struct bucket *const bucket = &table->buckets[i];
        const unsigned vacant = bucket_free(bucket);
        if (vacant) {
            bucket_put(table, bucket, (unsigned)__builtin_ctz(vacant), tag, head);
            return 1;
        }
        bucket_pass(bucket, tag);
    }
    for (uint32_t i = home; i <= table->mask; i++)
        bucket_unpass(&table->buckets[i], tag);
    return 0;
}

/* Puts a key, or holds it: into `early` until its bucket is reached, into `late` until all are. */
static int put_or_hold(struct table *table, uint32_t cleared, uint32_t tag, uint32_t head, struct held *early,
                       struct held *late)
{
    if (table_home(table, tag) < cleared)
        return hold(early, tag, head);
    return put_before_end(table, tag, head) || hold(late, tag, head);
}

/* A bucket's keys go to two that lie at twice its number, so from the last one down nobody is in the way. A key that had gone on to this
 * bucket waits until its own is reached. */
enum err table_double(struct table *table, struct diag *diag)
{
    const uint64_t count = (uint64_t)table->mask + 1;
    const size_t size = bytes_of(count), more = bytes_of(2 * count);
    struct bucket *const buckets = mem_map_more(table->buckets, size, more, is_huge(more));
    struct held early = {0}, late = {0};
    if (!buckets)
        return mem_fail(diag, more, "the index's table");
    *table = (struct table){.buckets = buckets,
                            .mask = (uint32_t)(2 * count - 1),
                            .shift = table->shift - 1,
                            .keys_max = keys_of(2 * count)};
    int fits = 1;
    for (uint32_t i = (uint32_t)count; fits && i-- > 0;) {
        const struct bucket old = buckets[i];
        bucket_clear(&buckets[2 * (size_t)i]);
        bucket_clear(&buckets[2 * (size_t)i + 1]);
        unsigned put[2] = {0, 0};
        for (unsigned bits = bucket_taken(&old); fits && bits; bits &= bits - 1) {
            const unsigned slot = (unsigned)__builtin_ctz(bits);
            const uint32_t home = table_home(table, old.tag[slot]);
            if (LIKELY(home >> 1 == i)) /* its own two have nobody yet, and room for all of this bucket */
                bucket_put(table, &buckets[home], put[home & 1]++, old.tag[slot], old.head[slot]);
            else
                fits = put_or_hold(table, 2 * i, old.tag[slot], old.head[slot], &early, &late);
        }
        for (uint32_t k = early.count; fits && k-- > 0;)
            if (table_home(table, early.keys[k].tag) >= 2 * i) {
                const uint32_t tag = early.keys[k].tag, head = early.keys[k].head;
                early.keys[k] = early.keys[--early.count];
                fits = put_or_hold(table, 2 * i, tag, head, &early, &late);
            }
    }
    for (uint32_t k = 0; fits && k < late.count; k++)
        table_put(table, late.keys[k].tag, late.keys[k].tag, late.keys[k].head);
    mem_give(early.keys);
    mem_give(late.keys);
    return fits ? OK : mem_fail(diag, 0, "keys of the index's table");
}

void table_fini(struct table *table)
{
    mem_unmap(table->buckets, ((size_t)table->mask + 1) * sizeof(struct bucket));
    table->buckets = NULL;
}
