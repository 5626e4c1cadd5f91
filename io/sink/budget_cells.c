/* io/sink/budget_cells.c: see budget_cells.h */
#include "io/sink/budget_cells.h"
#include "core/base/mem.h"
#include <string.h>

struct budget_cell *budget_cells_at(struct budget_cells *c, struct span bytes)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->cells[i].size == bytes.size && memcmp(c->cells[i].bytes, bytes.data, bytes.size) == 0)
            return &c->cells[i];
    if (mem_list_more(&c->cells, c->count, &c->room, 32, "cells of the budget", NULL) != OK)
        return NULL;
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
