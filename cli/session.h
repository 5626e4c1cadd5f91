/* cli/session.h: what diff and run have in common: a job in, results out, a report. */
#ifndef TIEOUT_CLI_SESSION_H
#define TIEOUT_CLI_SESSION_H

#include "core/config/job.h"
#include "core/config/options.h"

/* Runs the job and reports. `out_dir` is where the set goes; `date` is DAY_NONE for diff. Returns the exit
 * code, or an err with a filled diag in
 * `*diag` (diag->err tells them apart). */
int session_run(struct job *job, const struct options *options, const char *out_dir, uint16_t date,
                struct diag *diag);

#endif
