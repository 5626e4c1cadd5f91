/* core/engine/ahead.h: rows of logs are read ahead of judging. Internal to the engine.
 *
 * Rows are judged by key, and those of some thousand keys lie all over a log. So those of many more keys are read at once, in the
 * log's order, and wait in memory until their keys' turn comes (`ahead` of core/ops/source.h).
 *
 *     ahead_rows -> ahead_read -> (judge) -> ahead_end
 *
 * Memory: an eighth of a worker's, 32 MiB at most. Threads: each worker for itself.
 */
#ifndef TIEOUT_CORE_ENGINE_AHEAD_H
#define TIEOUT_CORE_ENGINE_AHEAD_H

#include "core/engine/worker.h"

/* How many rows are worth collecting; 0: no side is a log, or there is no memory for enough of them. */
uint32_t ahead_rows(const struct worker *w);
/* Reads those of logs; puts `refs` in order of side and place. */
enum err ahead_read(struct worker *w, struct row_ref *refs, uint32_t count);
/* Gives them up. Nothing where there are none. */
void ahead_end(struct worker *w);

#endif
