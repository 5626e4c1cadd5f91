/* core/ops/index.h: the socket for the index: one shard per worker, written by its owner alone.
 *
 *     open
 *       apply       any number of batches; exact pairs leave at once
 *       settle      once, after the last batch: sorts by partition what is open
 *       next        until STEP_DONE: the places of records that need their rows again, whole keys at a time
 *     close
 *
 * What leaves at once is right only if nothing else of its key comes later, so each pair that left is
 * remembered (part of its hash and both places, some 11 bytes); `next` gives it back when its key turned up again. So verdicts
 * depend on which records came, never on their order. A shard stays within its memory: what does not fit goes
 * to `spill` by partitions and comes back in `next`.
 *
 * Rows that a log tells (images) leave the same way. A later image of the same row may replace one that left: then `next` has the record
 * made again (`recall`), folds it with what came of its key, and judges that.
 */
#ifndef TIEOUT_CORE_OPS_INDEX_H
#define TIEOUT_CORE_OPS_INDEX_H

#include "core/model/currency.h"
#include "core/model/dict.h"
#include "core/model/log_days.h"
#include "core/model/money.h"
#include "core/model/renamed.h"
#include "core/model/repeats.h"
#include "core/ops/crowd_door.h"
#include "core/ops/source.h"
#include "core/ops/spool.h"

struct index;

/* Records of images again, as they were when they came: refs are one side's, sorted by place. Called within `next`. */
struct index_recall {
    enum err (*images)(void *context, const struct row_ref *refs, uint32_t count, record_take_fn *take,
                       void *taker, struct diag *diag);
    void *context;
};

struct index_config {
    uint32_t shard_count;
    struct record_layout layout[SIDES];
    int window_before, window_after; /* days; -1: no limit */
    uint64_t memory_max;             /* bytes that one shard may hold; 0: no limit */
    struct spool_host *spill;        /* of the worker that owns the shard; lives longer than it */
    int other_days_apart;            /* a task: a log's records of other bill dates are no part of it */
    int has_cost; /* 1: extras begin with 8 bytes, what the channel kept: amount and it together are matched */
    int holds_all;  /* 1: no pair leaves, since keys are judged whole */
    int gives_back; /* 1: pairs that left come back in next, all of them */
    const struct repeats
        *repeats; /* filled before `next`: pairs of their keys come back; NULL: there are none */
    struct spool *
        crowd; /* takes references of keys with more than crowd_rows records, in place of next; NULL: nobody does */
    uint32_t crowd_rows, crowd_shares; /* crowd's partitions */
    /* Keys of which rows went there past the index: all that it has of their prints goes there too. Filled before `next`; NULL: none. */
    const struct called_keys *called;
    /* A task with a log: what it tells of each bill date is summed up, by this seed. NULL: nobody asks. */
    const struct dict *words;
    uint64_t seed;
    uint16_t unit_day;
    const struct renamed *renamed; /* filled before `next`; NULL: nobody asks */
    /* 1: batches have packed records, and a key that can be packed has the hash of its packed form (core/model/packed.h), made with
     * `seed`. Only where no side has extras or folds and pairs leave. */
    int packs;
    int keep_pairs; /* 1: pairs that settle makes are remembered as well, since match.csv is wanted */
    struct index_recall recall; /* `images` NULL: images never leave before `next` */
};

struct
    pair_totals { /* by currency; amounts of both sides are equal in an exact pair, but for what was kept */
    uint64_t count[CURRENCY_COUNT_MAX];
    money_total sum[CURRENCY_COUNT_MAX];  /* local side */
    money_total kept[CURRENCY_COUNT_MAX]; /* local less channel */
    /* Images that left and are judged again: each side's part of its pair is none of the sums above. */
    uint64_t back_count[SIDES][CURRENCY_COUNT_MAX];
    money_total back_sum[SIDES][CURRENCY_COUNT_MAX];
};

struct index_counts {
    uint64_t records, waiting, waiting_max, pairs, groups, table_bytes, entry_bytes, pair_bytes;
    uint64_t superseded[SIDES], moved[SIDES]; /* images */
    uint64_t other_days[SIDES];               /* records of other bill dates that are no part of the task */
    uint64_t spilled;                         /* records that went to the spill; again for each level */
    uint64_t crowded;                         /* references put to `crowd` */
    uint64_t recalled;                        /* images that left and were made again */
};

/* A pair that left, for match.csv. */
struct pair_ref {
    uint64_t local_place, channel_place;
};

struct index_ops {
    enum err (*open)(struct index **out, const struct index_config *config, struct diag *diag);
    enum err (*apply)(struct index *index, const struct batch *batch, struct diag *diag);
    enum err (*settle)(struct index *index, struct diag *diag);
    /* STEP_MORE: appended to refs (room grows through mem_grow) some keys whose records need their rows
     * again, perhaps none. `pairs`, when not NULL, gets the pairs that stay as they left. */
    enum step (*next)(struct index *index, struct row_ref **refs, uint32_t *ref_count, uint32_t *ref_room,
                      struct pair_ref **pairs, uint32_t *pair_count, uint32_t *pair_room, struct diag *diag);
    const struct pair_totals *(*totals)(const struct index *index);
    const struct tally *(*superseded)(const struct index *index);
    const struct tally *(*others)(const struct index *index);
    /* Behind the last `next`; zero without `words`. */
    const struct log_days *(*log_days)(const struct index *index);
    void (*counts)(const struct index *index, struct index_counts *counts);
    void (*close)(struct index *index);
};

#endif
