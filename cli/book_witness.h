/* cli/book_witness.h: whether a book's state is an older copy, by what stands where its jobs' results go (io/store/witness.h).
 *
 * Job files that cannot be read are passed over here: whoever works with them tells that. Threads: the control thread.
 */
#ifndef TIEOUT_CLI_BOOK_WITNESS_H
#define TIEOUT_CLI_BOOK_WITNESS_H

#include "core/config/job.h"
#include "io/store/state.h"

/* The folder that a job's `output.dir` names. 0; -1: its name is too long. */
int job_out_root(const struct job *job, char out[STATE_PATH_MAX]);
/* `jobs`: the folder of the job files. ERR_STATE state.older. */
enum err book_witness_check(struct state *state, const char *jobs, struct diag *diag);
/* After a commit of what people did. Best effort: somebody who handles errors may have no right to write there. */
void book_witness_leave(struct state *state, const char *jobs);

#endif
