/* core/ops/sink.h: the socket for results: where verdicts are written.
 *
 *     open            control thread
 *       tap, join       any worker, with its own lane, while and when all is read
 *       put, hold, propose, put_pairs   any worker, with its own lane
 *       settle_budget   one worker, while the others wait
 *       order           each worker, its own lane
 *       stage           all workers, when nothing more is put
 *     (all workers stop)
 *       finish        control thread: everything is sorted by ≺ and written beside the final place
 *     close           whatever was not published is gone
 */
#ifndef TIEOUT_CORE_OPS_SINK_H
#define TIEOUT_CORE_OPS_SINK_H

#include "core/ops/index.h"
#include "core/ops/outbox.h"
#include "core/ops/source.h"
#include "core/rules/subset.h"

struct sink;

/* A pair within tolerance of which the budget says at the end what it is. */
struct held_pair {
    const struct full *local, *channel;
    struct span cell; /* what it spends of: channel code, currency, bill date */
    /* Where its rows are found again, and those in whose place they stand. */
    struct row_ref refs[SIDES], before[SIDES];
    uint8_t has_before[SIDES];
};
/* The same once the budget is settled. It was counted as a match. */
struct settled_pair {
    int64_t amount_micro[SIDES];
    int64_t kept_micro; /* fees: net */
    uint64_t reasons;   /* as what it is now */
    uint8_t currency, key_no, is_broken;
    uint8_t has_before[SIDES];
    struct row_ref refs[SIDES], before[SIDES];
};
typedef enum err settled_pair_fn(void *context, const struct settled_pair *pair, struct diag *diag);
struct sink_ops {
    /* Takes a decided record (`row->verdict` is not open), with its partner for two-sided classes. `lane` is
     * the worker's number. The rows may go when put returns. */
    enum err (*put)(struct sink *sink, uint32_t lane, struct worker_io *io, const struct full *row,
                    const struct full *partner, struct diag *diag);
    /* A task: takes what outlives the run of a decided record, and of its partner if it has one: for the verdict log, and what
     * is carried on. NULL: nothing does. The rows may go when it returns. */
    enum err (*keep)(struct sink *sink, uint32_t lane, struct worker_io *io, const struct full *row,
                     const struct full *partner, struct diag *diag);
    /* Takes a pair of the class match until settle_budget; as put. */
    enum err (*hold)(struct sink *sink, uint32_t lane, struct worker_io *io, const struct held_pair *pair,
                     struct diag *diag);
    /* Once, by one worker, when all was held: goes through the pairs of each cell in ≺ of the local record, spends
     * the budget, puts them as what they are now, and tells `settled`. */
    enum err (*settle_budget)(struct sink *sink, settled_pair_fn *settled, void *context, struct diag *diag);
    /* Takes what subset_sum found for a record, with the rows at hand. */
    enum err (*propose)(struct sink *sink, uint32_t lane, struct worker_io *io,
                        const struct proposal *proposal, struct diag *diag);
    /* Takes exact pairs that left while streaming and stayed paired, for match.csv. Any number of times; the list
     * may go when it returns. */
    enum err (*put_pairs)(struct sink *sink, uint32_t lane, const struct pair_ref *pairs, uint64_t count,
                          struct diag *diag);
    /* *takes: exact pairs may be put so too of which many have one key, from now on. One worker, while the others wait, when all is read.
     * NULL: they may not. */
    enum err (*take_whole)(struct sink *sink, int *takes, struct diag *diag);
    /* What a worker's source tells of rows that it reads, before it reads any. NULL, or a NULL: nothing. */
    struct tap *(*tap)(struct sink *sink, uint32_t lane);
    /* Each worker whose tap takes rows (core/ops/tap.h), when all of them have read: these meet, pairs that agree and are alone with their
     * key stay and are added to `left`, all others are put to `outbox`. */
    enum err (*join)(struct sink *sink, uint32_t lane, struct outbox *outbox, struct pair_totals *left,
                     struct diag *diag);
    /* The lane's results are put, but for what `stage` may add: sorts them, while others still judge. */
    void (*order)(struct sink *sink, uint32_t lane);
    /* When all was put: match.csv is written by all workers together, stage by stage, with a barrier behind each.
     * 0 stages: there is nothing to do. A worker that failed, or was told to stop, leaves its stage, and the others
     * leave theirs. */
    unsigned (*stages)(const struct sink *sink);
    enum err (*stage)(struct sink *sink, unsigned stage, uint32_t lane, struct worker_io *io,
                      struct diag *diag);
};

struct sink {
    const struct sink_ops *ops;
};

#endif
