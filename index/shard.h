/* index/shard.h: the share of the keys that one core owns.
 *
 * A shard keeps every record that has not met its partner. apply lets exact pairs leave at once and keeps the
 * rest; the order of calls and what each does is in core/ops/index.h, which this implements.
 *
 * Memory   Entries are cache lines in segments of 2 MiB, taken as they are needed and used again; the table
 * doubles. In time order few wait, and the same lines are used again and again. Threads  One owner calls
 * everything.
 */
#ifndef TIEOUT_INDEX_SHARD_H
#define TIEOUT_INDEX_SHARD_H

#include "core/ops/index.h"

extern const struct index_ops shard_ops;

/* For `tieout plan`. What an exact pair that left takes in time order, and a waiting record in the table, at the load
 * that a doubling table has on average. */
enum { SHARD_PAIR_BYTES = 11, SHARD_TABLE_BYTES = 14 };
/* Of a shard's memory: a quarter for pairs, an eighth for what left, the rest for table and entries. */
static inline uint64_t shard_pair_share(uint64_t memory)
{
    return memory / 4;
}
static inline uint64_t shard_kept_share(uint64_t memory)
{
    return memory / 8;
}
static inline uint64_t shard_live_share(uint64_t memory)
{
    return memory / 8 * 5;
}

#endif
