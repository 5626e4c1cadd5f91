/* cli/log_changes.h: what a log tells of days that are done, held against what it told when the task before was done.
 *
 *     log_changes_commit    in a task's commit: tells what changed, raises alarms, keeps what the log tells now
 *
 * Carried records are the task's own and are left out (decision D11). Threads: the control thread.
 */
#ifndef TIEOUT_CLI_LOG_CHANGES_H
#define TIEOUT_CLI_LOG_CHANGES_H

#include "cli/session.h"
#include "core/base/text.h"
#include "io/store/task.h"

struct log_changes {
    struct sqlite *db;
    const struct task *task, *before; /* before->id 0: there is none */
    const struct session_outcome *outcome;
    const struct job *job;
    uint64_t seed;  /* of prints */
    int same_rules; /* the task before was done by this job file, byte for byte */
    int64_t now;
};

/* Names of days that changed are put into `days`; empty: none did. */
enum err log_changes_commit(const struct log_changes *c, struct text *days, struct diag *diag);

#endif
