/* index/packed_table.c: see packed_table.h; its memory */
#include "index/packed_table.h"
#include "core/base/mem.h"
#include <string.h>

static size_t chunk_size(const struct packed_table *table)
{
    return sizeof(struct packed) << table->shift;
}

/* 1: the first chunk is still a part of one. */
static int is_small(const struct packed_table *table)
{
    return table->chunk_count == 1 && table->room < 1u << table->shift;
}

static size_t records_bytes(const struct packed_table *table)
{
    return (size_t)table->room * sizeof(struct packed);
}

enum err packed_table_open(struct packed_table *table, uint64_t seed, int huge, uint32_t buckets,
                           struct diag *diag)
{
    *table = (struct packed_table){.shift = huge ? PACKED_CHUNK_SHIFT : PACKED_CHUNK_SMALL_SHIFT,
                                   .free = NO_ENTRY,
                                   .huge = huge,
                                   .seed = seed};
    return table_init(&table->table, buckets, diag);
}

void packed_table_fini(struct packed_table *table)
{
    for (uint32_t i = 0; i < table->chunk_count; i++)
        mem_unmap(table->chunks[i], is_small(table) ? records_bytes(table) : chunk_size(table));
    mem_give(table->chunks);
    if (table->table.buckets)
        table_fini(&table->table);
    *table = (struct packed_table){.free = NO_ENTRY};
}

static uint64_t bucket_bytes(const struct packed_table *table)
{
    return table->table.buckets ? ((uint64_t)table->table.mask + 1) * sizeof(struct bucket) : 0;
}

uint64_t packed_table_bytes(const struct packed_table *table)
{
    return bucket_bytes(table) + records_bytes(table);
}

uint64_t packed_more_bytes(const struct packed_table *table)
{
    return table->table.keys >= table->table.keys_max ? bucket_bytes(table) : chunk_size(table);
}

/* A day in time order never needs more than a part of it. A huge page is cleared as a whole, through the caches, and where a host lends this machine
 * its memory it is the dearest there is (mem_map_filled). */
static enum err first_chunk(struct packed_table *table, struct diag *diag)
{
    const size_t size = PACKED_FIRST * sizeof(struct packed);
    struct packed *chunk = mem_map(size, 0);
    if (!chunk)
        return mem_fail(diag, size, "the index's packed records");
    table->chunks[table->chunk_count++] = chunk;
    table->room = PACKED_FIRST;
    return OK;
}

enum err packed_table_more(struct packed_table *table, struct diag *diag)
{
    if (table->table.keys >= table->table.keys_max)
        return table_double(&table->table, diag);
    if (table->chunk_count == (NO_ENTRY >> table->shift))
        return diag_set(diag, ERR_MACHINE, "memory", "use more threads: each has an index of its own",
                        "a shard's index is full");
    if (table->chunk_count == table->chunk_room) {
        const uint32_t room = table->chunk_room ? table->chunk_room * 2 : 16;
        struct packed **grown = mem_grow(table->chunks, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "the index's packed records");
        table->chunks = grown;
        table->chunk_room = room;
    }
    if (table->huge && table->chunk_count == 0)
        return first_chunk(table, diag);
    struct packed *chunk = mem_map(chunk_size(table), table->huge);
    if (!chunk)
        return mem_fail(diag, chunk_size(table), "the index's packed records");
    if (is_small(table)) { /* numbers stay */
        memcpy(chunk, table->chunks[0], records_bytes(table));
        mem_unmap(table->chunks[0], records_bytes(table));
        table->chunk_count = 0;
    }
    table->chunks[table->chunk_count++] = chunk;
    table->room = table->chunk_count << table->shift;
    return OK;
}
