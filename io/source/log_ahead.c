/* io/source/log_ahead.c: see log_ahead.h */
#include "io/source/log_ahead.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include <string.h>

/* Rows lie in blocks of this size, or of a row that is larger; their places and where they lie in lists of their own. */
enum { BLOCK = 256 << 10 };

struct log_ahead {
    size_t bytes, held; /* allowed; taken */
    uint64_t *places;   /* ascending */
    struct log_ahead_row **rows;
    uint32_t count, place_room, row_room;
    uint32_t found; /* where the last one was */
    char **blocks;
    uint32_t block_count, block_room;
    char *next;
    size_t left;
};

struct log_ahead *log_ahead_open(size_t bytes)
{
    struct log_ahead *ahead = mem_take_zero(1, sizeof *ahead);
    if (ahead)
        ahead->bytes = bytes;
    return ahead;
}

void log_ahead_close(struct log_ahead *ahead)
{
    if (!ahead)
        return;
    for (uint32_t i = 0; i < ahead->block_count; i++)
        mem_give(ahead->blocks[i]);
    mem_give(ahead->blocks);
    mem_give(ahead->places);
    mem_give(ahead->rows);
    mem_give(ahead);
}

/* NULL with *fits 0: there is no more room; else memory is out. */
static char *take(struct log_ahead *ahead, size_t size, int *fits)
{
    if (size > ahead->left) {
        const size_t block = size > BLOCK ? size : BLOCK;
        *fits = ahead->held + block + ahead->count * (sizeof *ahead->places + sizeof *ahead->rows) <=
                ahead->bytes;
        if (!*fits || mem_list_more(&ahead->blocks, ahead->block_count, &ahead->block_room, 16, "rows", NULL))
            return NULL;
        char *const bytes = mem_take(block);
        if (!bytes)
            return NULL;
        ahead->blocks[ahead->block_count++] = bytes;
        ahead->held += block;
        ahead->next = bytes;
        ahead->left = block;
    }
    char *const at = ahead->next;
    ahead->next += size;
    ahead->left -= size;
    return at;
}

int log_ahead_put(struct log_ahead *ahead, uint64_t place, const struct log_ahead_row *row,
                  const struct cell *image, const int *columns)
{
    CHECK2(ahead->count == 0 || place > ahead->places[ahead->count - 1], place, ahead->count);
    const size_t cells = sizeof *row + row->cell_count * sizeof *image;
    size_t size = cells;
    for (uint32_t k = 0; k < row->cell_count; k++)
        if (image[columns[k]].kind == CELL_TEXT)
            size += image[columns[k]].size;
    int fits = 1;
    if (mem_list_more(&ahead->places, ahead->count, &ahead->place_room, 4096, "rows", NULL) ||
        mem_list_more(&ahead->rows, ahead->count, &ahead->row_room, 4096, "rows", NULL))
        return -1;
    char *const bytes = take(ahead, (size + 7) & ~(size_t)7, &fits);
    if (!bytes)
        return fits ? -1 : 0;
    struct log_ahead_row *const kept = (struct log_ahead_row *)(void *)bytes;
    *kept = *row;
    char *text = bytes + cells;
    for (uint32_t k = 0; k < row->cell_count; k++) {
        struct cell *const cell = &kept->cells[k];
        *cell = image[columns[k]];
        if (cell->kind != CELL_TEXT)
            continue;
        if (cell->size)
            memcpy(text, cell->data, cell->size);
        cell->data = text;
        text += cell->size;
    }
    ahead->places[ahead->count] = place;
    ahead->rows[ahead->count++] = kept;
    return 1;
}

const struct log_ahead_row *log_ahead_find(struct log_ahead *ahead, uint64_t place)
{
    if (ahead->count == 0)
        return NULL;
    if (ahead->places[ahead->found] > place)
        ahead->found = 0;
    /* What is asked for next mostly lies some dozen rows on; else by steps that double, then halves. */
    enum { SOME = 64 };
    uint32_t low = ahead->found, step = 1;
    for (uint32_t i = 0; i < SOME && low + 1 < ahead->count && ahead->places[low + 1] <= place; i++)
        low++;
    while (low + step < ahead->count && ahead->places[low + step] <= place) {
        low += step;
        step *= 2;
    }
    for (; step; step /= 2)
        if (low + step < ahead->count && ahead->places[low + step] <= place)
            low += step;
    ahead->found = low;
    if (ahead->places[low] != place)
        return NULL;
    enum { LINE = 64, LINES = 3 };
    for (int i = 0; i < LINES; i++)
        __builtin_prefetch((const char *)ahead->rows[low] + (size_t)i * LINE);
    return ahead->rows[low];
}
