/* core/ops/crowd_door.h: where usual rows of a key that very many rows have go while they are read.
 *
 * The index has nothing to do with them: such a key is judged by core/engine/crowd.h, and what that wants of a row is at hand when it
 * becomes a record. So neither are they sent nor is the file read again for them. Which keys these are is found by a sample, the first row of
 * each block: it may differ from run to run, and shows in no output, since any key may be judged so. Once a key is called, by
 * whichever worker, all that the index has of its print goes there too (index_config.called).
 *
 * Threads: a door is a worker's; what was called is all workers', and only grows until all is read.
 */
#ifndef TIEOUT_CORE_OPS_CROWD_DOOR_H
#define TIEOUT_CORE_OPS_CROWD_DOOR_H

#include "core/ops/tap.h"
#include <stdatomic.h>

enum { CALLED_MAX = 64, DOOR_SLOTS = 256 };

/* Prints of keys: the lower halves of their hashes. */
struct called_keys {
    _Atomic uint32_t count;
    uint32_t print[CALLED_MAX];
};

struct crowd_door {
    const struct called_keys *called;
    uint32_t enough; /* samples of one key, more than others of its slot have, for which it is called */
    struct door_slot {
        uint32_t print, count;
    } seen[DOOR_SLOTS];
    void (*call)(struct crowd_door *door, uint32_t print);
    /* Takes those rows of a block whose bits are set; clears the bits of those that it leaves to the index. */
    enum err (*rows)(struct crowd_door *door, const struct tap_rows *rows, uint64_t *which,
                     struct diag *diag);
};

/* Which of a block's rows go there, a bit each. */
static inline uint64_t crowd_door_which(struct crowd_door *door, const uint64_t *hash, uint32_t count)
{
    const uint32_t print = (uint32_t)hash[0];
    struct door_slot *const slot = &door->seen[print % DOOR_SLOTS];
    if (slot->print == print && ++slot->count == door->enough)
        door->call(door, print);
    else if (slot->print != print && (slot->count == 0 || --slot->count == 0)) {
        slot->print = print;
        if (door->enough == 1)
            door->call(door, print);
    }
    const uint32_t called = atomic_load_explicit(&door->called->count, memory_order_acquire);
    uint64_t which = 0;
    for (uint32_t k = 0; k < called; k++)
        for (uint32_t i = 0; i < count; i++)
            which |= (uint64_t)((uint32_t)hash[i] == door->called->print[k]) << i;
    return which;
}

#endif
