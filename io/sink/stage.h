/* io/sink/stage.h: a directory that appears whole or not at all.
 *
 *     stage_open -> write files into stage_path -> stage_publish -> stage_close
 *
 * The staging directory stands beside the final one, holds a lock while its run lives, and is swept by the
 * next run if that run died.
 */
#ifndef TIEOUT_IO_SINK_STAGE_H
#define TIEOUT_IO_SINK_STAGE_H

#include "core/base/diag.h"

struct stage;
/* `names`: the files that a published set may hold, NULL at the end. A final directory that holds anything
 * else is refused (ERR_USAGE): tieout replaces its own results and nothing more. */
enum err stage_open(struct stage **out, const char *final_dir, const char *const *names, struct diag *diag);
const char *stage_path(const struct stage *stage);
/* All files in it must have been fsynced. */
enum err stage_publish(struct stage *stage, struct diag *diag);
void stage_close(struct stage *stage);

#endif
