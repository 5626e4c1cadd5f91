/* core/engine/settle.h: verdicts that wait until all passes of all workers are done.
 *
 * Tolerance pairs spend their budgets in one order, whoever found them; pairs that somebody made by hand are matches where the passes left both as
 * they were. Every worker calls both, with what went wrong before (a barrier stands in each); the first one does it.
 */
#ifndef TIEOUT_CORE_ENGINE_SETTLE_H
#define TIEOUT_CORE_ENGINE_SETTLE_H

#include "core/engine/worker.h"

enum err settle_budget(struct worker *w, enum err err);
enum err settle_hands(struct worker *w, enum err err);

#endif
