/* index/packed_table.h: packed records that wait: buckets of tags as in index/table.h, and records of half a line behind them.
 *
 *     packed_table_open
 *       packed_find        then packed_remove, packed_escape or, when it is not there, packed_insert (where packed_has_room)
 *       packed_table_more  when there is no room
 *     packed_table_fini
 *
 * A search that finds nothing touches one line, one that finds two; a record that is put takes the room of the one that left
 * last, which is at hand. Records with PACKED_ESCAPED stand for a key whose records are elsewhere.
 *
 * Threads: one owner.
 */
#ifndef TIEOUT_INDEX_PACKED_TABLE_H
#define TIEOUT_INDEX_PACKED_TABLE_H

#include "core/base/diag.h"
#include "core/model/packed.h"
#include "index/table.h"

enum {
    PACKED_CHUNK_SHIFT = 16, /* 2 MiB, so that huge pages can carry them */
    PACKED_CHUNK_SMALL_SHIFT = 11,
    PACKED_FIRST = 8192, /* records of the first chunk, where they are large, as long as these are enough */
    PACKED_ESCAPED_SHIFT = 57
};
#define PACKED_ESCAPED (UINT64_C(1) << PACKED_ESCAPED_SHIFT)

struct packed_table {
    struct table table;     /* heads are numbers of records */
    struct packed **chunks; /* pointers for chunk_room */
    uint32_t chunk_count, chunk_room, shift;
    uint32_t room; /* records that the chunks hold */
    uint32_t used; /* records that were given out once */
    uint32_t free; /* the one that left last; its `sigma` says the next; NO_ENTRY: none */
    int huge;
    uint64_t seed;
};

/* Of the buckets; `table` is zeroes. */
enum err packed_table_open(struct packed_table *table, uint64_t seed, int huge, uint32_t buckets,
                           struct diag *diag);
void packed_table_fini(struct packed_table *table);
/* No record is there any more, the memory is: `table.table` is the caller's to empty. */
static inline void packed_table_reset(struct packed_table *table)
{
    table->used = 0;
    table->free = NO_ENTRY;
}
/* Bytes held, and by how many packed_table_more makes them more. */
uint64_t packed_table_bytes(const struct packed_table *table);
uint64_t packed_more_bytes(const struct packed_table *table);
/* As many as there may be when there is more. */
static inline uint64_t packed_records_max(const struct packed_table *table)
{
    return ((uint64_t)table->chunk_count + 1) << table->shift;
}
/* Buckets or records, whichever are short. After a failure only packed_table_fini may follow. */
enum err packed_table_more(struct packed_table *table, struct diag *diag);

static inline struct packed *packed_at(const struct packed_table *table, uint32_t number)
{
    return table->chunks[number >> table->shift] + (number & ((1u << table->shift) - 1));
}
static inline uint32_t packed_tag(uint64_t hash)
{
    return (uint32_t)hash;
}
static inline int packed_has_room(const struct packed_table *table)
{
    return (table->table.keys < table->table.keys_max) &
           ((table->free != NO_ENTRY) | (table->used < table->room));
}

struct packed_found {
    struct packed *record;
    uint32_t bucket;
    unsigned slot;
};

/* 1: it is there. */
static inline __attribute__((always_inline)) int packed_find(const struct packed_table *table,
                                                             const uint64_t key[2], uint64_t hash,
                                                             struct packed_found *found)
{
    const uint32_t tag = packed_tag(hash);
    /* Once around at most, as in find_key (shard_in.h). */
    for (uint32_t i = table_home(&table->table, tag), left = table->table.mask + 1; left;
         left--, i = (i + 1) & table->table.mask) {
        const struct bucket *bucket = &table->table.buckets[i];
        for (unsigned bits = bucket_matches(bucket, tag); bits; bits &= bits - 1) {
            const unsigned slot = (unsigned)__builtin_ctz(bits);
            if (bucket->head[slot] == NO_ENTRY)
                continue;
            struct packed *record = packed_at(table, bucket->head[slot]);
            if (LIKELY(!((record->key[0] ^ key[0]) | (record->key[1] ^ key[1])))) {
                *found = (struct packed_found){record, i, slot};
                return 1;
            }
        }
        if (LIKELY(!bucket->passed[passed_class(tag)]))
            return 0;
    }
    return 0;
}

/* Puts a record whose key is not there. There is room. */
static inline __attribute__((always_inline)) void packed_insert(struct packed_table *table,
                                                                const struct packed *record, uint64_t hash)
{
    uint32_t number = table->free;
    struct packed *to;
    if (LIKELY(number != NO_ENTRY)) {
        to = packed_at(table, number);
        table->free = (uint32_t)to->sigma;
        /* Where many are put in a row, each would wait for the one before to say where it is. */
        if (LIKELY(table->free != NO_ENTRY))
            __builtin_prefetch(packed_at(table, table->free), 1);
    } else {
        number = table->used++;
        to = packed_at(table, number);
    }
    *to = *record;
    table_put(&table->table, packed_tag(hash), packed_tag(hash), number);
}

/* Takes out what was found. */
static inline __attribute__((always_inline)) void packed_remove(struct packed_table *table, uint64_t hash,
                                                                const struct packed_found *found)
{
    const uint32_t number = table->table.buckets[found->bucket].head[found->slot];
    found->record->sigma = table->free;
    table->free = number;
    table_remove(&table->table, packed_tag(hash), found->bucket, found->slot);
}

/* The record found is elsewhere now; its key stays. */
static inline void packed_escape(struct packed_found *found)
{
    found->record->rest |= PACKED_ESCAPED;
}
static inline int packed_is_escaped(const struct packed *p)
{
    return p->rest >> PACKED_ESCAPED_SHIFT & 1;
}

#endif
