/* io/store/ordinals.h: records that are equal in every field are told apart by a number, in the order of the log.
 *
 *     struct ordinals ordinals = {0};
 *     ordinals_next    of each entry of a segment that counts, in its order
 *     ordinals_fini    or ordinals_reset, for another segment
 *
 * Equal entries have the same leading record, so they stand together in the log: what is held is of one leading record at a time.
 * Memory: 16 bytes for each different entry of the leading record that has the most of them. Threads: one owner.
 */
#ifndef TIEOUT_IO_STORE_ORDINALS_H
#define TIEOUT_IO_STORE_ORDINALS_H

#include "core/model/entry.h"

struct ordinal {
    uint64_t print; /* 0: free */
    uint64_t count;
};
struct ordinals {
    uint64_t lead;
    struct ordinal *slots; /* room is a power of 2 */
    uint32_t used, room;
};

/* `carried`: that of the record counts as well (io/store/error_order.h). How many entries equal to this one came before it; UINT32_MAX: no memory. */
uint32_t ordinals_next(struct ordinals *ordinals, const struct entry *entry, int carried);
void ordinals_reset(struct ordinals *ordinals);
void ordinals_fini(struct ordinals *ordinals);

#endif
