/* core/model/log_begin.h: where the logs of a side begin, as text: the first file of each, in the order of the job, a newline between them.
 *
 *     log_begin_put      of one log more
 *     log_begin_order    of a later day against an earlier one
 */
#ifndef TIEOUT_CORE_MODEL_LOG_BEGIN_H
#define TIEOUT_CORE_MODEL_LOG_BEGIN_H

#include "core/base/span.h"
#include "core/base/text.h"

/* `file` "": not known. The `index`th of the side. */
void log_begin_put(struct text *begins, const char *file, uint32_t index);

/* 0: all begin where they did. Below 0: one of them begins with an earlier file than it did; above: none does, and one with a later file, or
 * there are as many no more. `*is` and `*was` become the two of that log; borrowed from `now` and `then`. */
int log_begin_order(const char *now, const char *then, struct span *is, struct span *was);

#endif
