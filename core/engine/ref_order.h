/* core/engine/ref_order.h: references to rows, put in order. Internal to the engine.
 *
 * What orders them is packed into a word each, with the reference's number below it, and words are sorted by their bytes: some 60
 * instructions a reference where comparing them took 500. Memory: 48 bytes a reference while it lasts; where that is not to be had, or
 * the words are too short, they are compared after all. Threads: any.
 */
#ifndef TIEOUT_CORE_ENGINE_REF_ORDER_H
#define TIEOUT_CORE_ENGINE_REF_ORDER_H

#include "core/ops/source.h"

/* By side, then place. */
void refs_by_place(struct row_ref *refs, uint32_t count);
/* By the hash of their key. */
void refs_by_hash(struct row_ref *refs, uint32_t count);

#endif
