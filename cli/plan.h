/* cli/plan.h: what a run will do and why, before it does it; and afterwards, where time and memory went. */
#ifndef TIEOUT_CLI_PLAN_H
#define TIEOUT_CLI_PLAN_H

#include "core/config/job.h"
#include "core/engine/run.h"
#include "io/sink/match.h"
#include "io/source/worker_io.h"
#include <stdio.h>

struct plan {
    const struct job *job;
    struct source *const *sources;
    uint32_t threads, shards, chunk, depth;
    uint64_t memory, sort_bytes, counts_bytes, reject_bytes,
        index_bytes; /* all of it; results; aggregate.csv, 0: not counted; rejects, 0: none are allowed; index */
    uint64_t match_bytes, shelf_bytes; /* of match.csv; 0: it is not asked for */
    struct match_outlook match;        /* plan_print only */
    const char *spill_directory;
    const char *io_name;
};

/* Reads the first rows of both sides, to know how long rows and records are. */
enum err plan_print(const struct plan *plan, struct worker_io *io, FILE *out, struct diag *diag);
/* After a run that took `seconds`. Measures for a moment how fast this machine can be. */
void stats_print(const struct plan *plan, const struct run_result *result, double seconds, FILE *out);

#endif
