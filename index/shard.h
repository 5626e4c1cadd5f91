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
enum {
    SHARD_PAIR_BYTES = 10,
    SHARD_IMAGE_BYTES = 7, /* more, for a side that is a log */
    SHARD_TABLE_BYTES = 14
};
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
/* Where records are packed: an eighth, but no more than pieces to write need, for what left; at least a sixteenth for pairs; some is spared,
 * for the program itself and for what is judged and sorted at the end, which is no less where there is little; the rest is for what
 * waits, and, as long as it does not need it, for pairs. */
static inline uint64_t shard_packs_kept(uint64_t memory)
{
    const uint64_t most = UINT64_C(8) << 20;
    return memory / 8 < most ? memory / 8 : most;
}
static inline uint64_t shard_packs_pair_least(uint64_t memory)
{
    return memory / 16;
}
static inline uint64_t shard_packs_spare(uint64_t memory)
{
    const uint64_t some = memory / 16 + (UINT64_C(6) << 20);
    return some < memory / 3 ? some : memory / 3;
}
/* A shard of a partition that came back is paid by the one it is of. */
static inline uint64_t shard_packs_live(uint64_t memory, unsigned level)
{
    return memory - shard_packs_kept(memory) - shard_packs_pair_least(memory) -
           (level ? 0 : shard_packs_spare(memory));
}

#endif
