/* io/source/log_run.h: the usual rows of a row event become records in their batches, with no cells between.
 *
 *     log_run_begin
 *       log_run            rows of the event at hand, until it meets one that is not usual
 *       log_run_end        before binlog_rows_step reads that one, before the next log_run_begin, and before the piece's bytes go
 *       log_run_learn      it became a usual record after all: remembers what its words meant
 *
 * A few rows wait for those of the next event (log_common.h where they lie alike, else log_mixed.h); log_run_end makes them records.
 *
 * Threads: one owner, who owns `rows`, `scratch` and `outbox` too.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_RUN_H
#define TIEOUT_IO_SOURCE_LOG_RUN_H

#include "core/ops/outbox.h"
#include "core/rules/normalize.h"
#include "io/format/binlog_lane.h"
#include "io/source/log_common.h"
#include "io/source/log_mixed.h"

struct log_run {
    const struct normalizer *normalizer;
    const struct image_plan *plan; /* NULL: no row of this normalizer's is usual */
    struct norm_scratch *scratch;
    struct outbox *outbox;
    uint64_t base;    /* of the file, in places */
    uint64_t records; /* made here */
    /* Rows that came this far and were not usual; where they are many, nothing is tried any more. */
    uint64_t misses;
    int one_day; /* other bill dates than the task's, and what a row was, are asked for: their rows take the long way */
    int may_learn; /* `raw` is that of the next row of the event */
    int is_ready;  /* `quick` is made */
    struct image_raw raw;
    struct image_quick quick;
    struct log_common common[2]; /* of INSERT and DELETE; of UPDATE */
    struct log_mixed mixed;
};

/* Before the first row of a normalizer. */
void log_run_begin(struct log_run *run, const struct normalizer *normalizer);
/* `*is_done`: 1 when no row of the event is left. */
enum err log_run(struct log_run *run, struct binlog_rows *rows, int *is_done, struct diag *diag);
static inline enum err log_run_end(struct log_run *run, struct diag *diag)
{
    enum err err = OK;
    if (run->mixed.count)
        err = log_mixed_end(run, diag);
    for (int i = 0; i < 2 && err == OK; i++)
        if (run->common[i].waiting.count)
            err = log_common_end(run, &run->common[i], diag);
    return err;
}
static inline void log_run_learn(struct log_run *run, const struct cell *columns)
{
    if (!run->may_learn)
        return;
    run->is_ready = normalize_learn(run->normalizer, run->scratch, columns, &run->raw, &run->quick);
    log_common_forget(&run->common[0]);
    log_common_forget(&run->common[1]);
}

#endif
