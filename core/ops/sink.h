/* core/ops/sink.h: the socket for results: where verdicts are written.
 *
 *     open            control thread
 *       put, put_pairs   any worker, with its own lane
 *       stage           all workers, when nothing more is put
 *     (all workers stop)
 *       finish        control thread: everything is sorted by ≺ and written beside the final place
 *     close           whatever was not published is gone
 */
#ifndef TIEOUT_CORE_OPS_SINK_H
#define TIEOUT_CORE_OPS_SINK_H

#include "core/ops/index.h"
#include "core/ops/source.h"

struct sink;
struct sink_ops {
    /* Takes a decided record (`row->verdict` is not open), with its partner for two-sided classes. `lane` is
     * the worker's number. The rows may go when put returns. */
    enum err (*put)(struct sink *sink, uint32_t lane, struct worker_io *io, const struct full *row,
                    const struct full *partner, struct diag *diag);
    /* A task: takes what outlives the run of a decided record, and of its partner if it has one: for the verdict log, and what
     * is carried on. NULL: nothing does. The rows may go when it returns. */
    enum err (*keep)(struct sink *sink, uint32_t lane, struct worker_io *io, const struct full *row,
                     const struct full *partner, struct diag *diag);
    /* Takes exact pairs that left while streaming and stayed paired, for match.csv. Any number of times; the list
     * may go when it returns. */
    enum err (*put_pairs)(struct sink *sink, uint32_t lane, const struct pair_ref *pairs, uint64_t count,
                          struct diag *diag);
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
