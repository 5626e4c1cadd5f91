/* core/base/arena.h: memory that is freed as a whole.
 *
 *     arena_init -> arena_take any number of times -> arena_reset or arena_fini
 *
 * arena_take gives 8-byte aligned bytes that live until arena_reset / arena_fini; NULL when memory is out.
 * Threads: one owner.
 */
#ifndef TIEOUT_CORE_BASE_ARENA_H
#define TIEOUT_CORE_BASE_ARENA_H

#include "core/base/span.h"

struct arena_block;
struct arena {
    struct arena_block *blocks; /* newest first */
    char *next;
    size_t left;
    size_t held; /* bytes in all blocks */
};

void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);
void arena_reset(struct arena *arena); /* keeps one block for use again */
void *arena_take_slow(struct arena *arena, size_t size);
/* Copies bytes in. `.data` is NULL when memory is out. */
struct span arena_copy(struct arena *arena, struct span bytes);

static inline void *arena_take(struct arena *arena, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if (size > arena->left)
        return arena_take_slow(arena, size);
    void *p = arena->next;
    arena->next += size;
    arena->left -= size;
    return p;
}

#endif
