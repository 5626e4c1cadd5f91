/* core/base/arena.c: see arena.h */
#include "core/base/arena.h"
#include "core/base/mem.h"

enum { BLOCK_BYTES = 256 * 1024 };

struct arena_block {
    struct arena_block *older;
    size_t size; /* usable bytes behind this header */
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

void arena_fini(struct arena *arena)
{
    for (struct arena_block *b = arena->blocks, *older; b; b = older) {
        older = b->older;
        mem_give(b);
    }
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = NULL;
    for (struct arena_block *b = arena->blocks, *older; b; b = older) {
        older = b->older;
        if (!keep && b->size == BLOCK_BYTES)
            keep = b;
        else
            mem_give(b);
    }
    *arena = (struct arena){0};
    if (keep) {
        keep->older = NULL;
        arena->blocks = keep;
        arena->next = (char *)(keep + 1);
        arena->left = arena->held = keep->size;
    }
}

void *arena_take_slow(struct arena *arena, size_t size)
{
    size_t want = size > BLOCK_BYTES / 4 ? size : BLOCK_BYTES;
    struct arena_block *b = mem_take(sizeof *b + want);
    if (!b)
        return NULL;
    b->size = want;
    b->older = arena->blocks;
    arena->blocks = b;
    arena->held += want;
    char *data = (char *)(b + 1);
    if (want == size) /* a block of its own; what is left of the one before stays in use */
        return data;
    arena->next = data + size;
    arena->left = want - size;
    return data;
}

struct span arena_copy(struct arena *arena, struct span bytes)
{
    char *p = arena_take(arena, bytes.size + 1);
    if (!p)
        return (struct span){NULL, 0};
    if (bytes.size)
        memcpy(p, bytes.data, bytes.size);
    p[bytes.size] = 0;
    return (struct span){p, bytes.size};
}
