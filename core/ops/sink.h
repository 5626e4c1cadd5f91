/* core/ops/sink.h: the socket for results: where verdicts are written.
 *
 *     open            control thread
 *       put           any worker, with its own lane
 *     (all workers stop)
 *       finish        control thread: everything is sorted by ≺ and written beside the final place
 *     close           whatever was not published is gone
 */
#ifndef TIEOUT_CORE_OPS_SINK_H
#define TIEOUT_CORE_OPS_SINK_H

#include "core/ops/source.h"

struct sink;
struct sink_ops {
    /* Takes a decided record (`row->verdict` is not open), with its partner for two-sided classes. `lane` is
     * the worker's number. The rows may go when put returns. */
    enum err (*put)(struct sink *sink, uint32_t lane, struct worker_io *io, const struct full *row,
                    const struct full *partner, struct diag *diag);
};

struct sink {
    const struct sink_ops *ops;
};

#endif
