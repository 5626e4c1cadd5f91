/* core/model/frame.h: records set aside, with a checksum: what a spill file is made of.
 *
 *      0       4       8      12      16              24                      64
 *      +-------+-------+------+-------+---------------+-----------------------+----------------- ...
 *      | magic | pages | used | owner | sum of data   | unused (in memory: next) | data, `used` bytes
 *      +-------+-------+------+-------+---------------+-----------------------+----------------- ...
 *
 * A frame begins on a page and takes whole pages, so that it can be written past the page cache; its data
 * begins on a cache line. `sum` covers the data and the fields before it. In the machine's byte order: a
 * frame never outlives its run.
 */
#ifndef TIEOUT_CORE_MODEL_FRAME_H
#define TIEOUT_CORE_MODEL_FRAME_H

#include "core/base/hash.h"
#include <stdint.h>

enum { FRAME_PAGE = 4096, FRAME_MAGIC = 0x46524D31 };

struct frame {
    uint32_t magic, pages, used, owner;
    uint64_t sum;
    struct frame *next; /* in memory only; NULL on disk */
    uint8_t unused[32];
    uint8_t data[];
};
_Static_assert(sizeof(struct frame) == 64, "a frame's data begins on a line");

static inline uint64_t frame_sum(const struct frame *f)
{
    return hash_bytes(f->data, f->used, (uint64_t)f->owner << 32 | f->pages);
}

#endif
