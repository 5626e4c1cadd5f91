/* index/table.c: see table.h */
#include "index/table.h"
#include "core/base/mem.h"
#include <string.h>

enum err table_init(struct table *table, uint32_t bucket_count, struct diag *diag)
{
    *table = (struct table){.mask = bucket_count - 1, .shift = 32 - (uint32_t)__builtin_ctz(bucket_count)};
    size_t size = (size_t)bucket_count * sizeof(struct bucket);
    table->buckets = mem_map(size, size >= 4u << 20);
    if (!table->buckets)
        return mem_fail(diag, size, "the index's table");
    for (uint32_t i = 0; i < bucket_count; i++)
        memset(table->buckets[i].head, 0xFF, sizeof table->buckets[i].head);
    table->keys_max = (uint64_t)bucket_count * BUCKET_SLOTS * 3 / 4;
    return OK;
}

void table_fini(struct table *table)
{
    mem_unmap(table->buckets, ((size_t)table->mask + 1) * sizeof(struct bucket));
    table->buckets = NULL;
}
