/* io/sink/budget_cells.c: see budget_cells.h */
#include "io/sink/budget_cells.h"
#include "core/base/mem.h"
#include <string.h>

struct budget_cell *budget_cells_at(struct budget_cells *c, struct span bytes)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->cells[i].size == bytes.size && memcmp(c->cells[i].bytes, bytes.data, bytes.size) == 0)
            return &c->cells[i];
    if (c->count == c->room) {
        const uint32_t room = c->room ? c->room * 2 : 32;
        struct budget_cell *grown = mem_grow(c->cells, room * sizeof *grown);
        if (!grown)
            return NULL;
        c->cells = grown;
        c->room = room;
    }
    char *copy = mem_copy_text(bytes.data, bytes.size);
    if (!copy)
        return NULL;
    c->cells[c->count] = (struct budget_cell){.bytes = copy, .size = bytes.size};
    return &c->cells[c->count++];
}

void budget_cells_fini(struct budget_cells *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        mem_give(c->cells[i].bytes);
    mem_give(c->cells);
    *c = (struct budget_cells){0};
}
