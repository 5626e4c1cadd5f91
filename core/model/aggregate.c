/* core/model/aggregate.c: see aggregate.h */
#include "core/model/aggregate.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include <stdlib.h>

enum { ROOM_AT_FIRST = 256, BLOCK = 64 * 1024 };

struct aggregate_block {
    struct aggregate_block *before;
};

enum err aggregate_init(struct aggregate *a, struct diag *diag)
{
    *a = (struct aggregate){
        .cell_room = ROOM_AT_FIRST, .text_room = ROOM_AT_FIRST, .span_room = ROOM_AT_FIRST / 2};
    a->cells = mem_take_zero(a->cell_room, sizeof *a->cells);
    a->texts = mem_take_zero(a->text_room, sizeof *a->texts);
    a->text_spans = mem_take_zero(a->span_room, sizeof *a->text_spans);
    if (a->cells && a->texts && a->text_spans)
        return OK;
    aggregate_fini(a);
    return mem_fail(diag, ROOM_AT_FIRST * sizeof *a->cells, "aggregates");
}

void aggregate_fini(struct aggregate *a)
{
    mem_give(a->cells);
    mem_give(a->texts);
    mem_give(a->text_spans);
    while (a->blocks) {
        struct aggregate_block *before = a->blocks->before;
        mem_give(a->blocks);
        a->blocks = before;
    }
    *a = (struct aggregate){0};
}

static uint32_t cell_slot(const struct aggregate_cell *cells, uint32_t room, uint64_t key)
{
    uint32_t i = (uint32_t)(key * 0x9E3779B97F4A7C15ull >> 32) & (room - 1);
    while (cells[i].key && cells[i].key != key)
        i = (i + 1) & (room - 1);
    return i;
}

static uint32_t text_slot(const struct aggregate *a, const uint32_t *slots, uint32_t room, struct span text)
{
    uint32_t i = (uint32_t)hash_bytes(text.data, text.size, 0) & (room - 1);
    while (slots[i] && !span_equal(a->text_spans[slots[i] - 1], text))
        i = (i + 1) & (room - 1);
    return i;
}

static const char *keep_bytes(struct aggregate *a, struct span text)
{
    if (text.size > a->left) {
        const size_t size = text.size > BLOCK ? text.size : BLOCK;
        struct aggregate_block *block = mem_take(sizeof *block + size);
        if (!block)
            return NULL;
        block->before = a->blocks;
        a->blocks = block;
        a->next = (char *)(block + 1);
        a->left = size;
    }
    char *at = a->next;
    memcpy(at, text.data, text.size);
    a->next += text.size;
    a->left -= text.size;
    return at;
}

/* The number of a tuple of texts; UINT32_MAX when memory is out. */
static uint32_t text_number(struct aggregate *a, struct span text)
{
    uint32_t at = text_slot(a, a->texts, a->text_room, text);
    if (a->texts[at])
        return a->texts[at] - 1;
    if ((a->text_count + 1) * 2 > a->text_room) {
        uint32_t *grown = mem_take_zero((size_t)a->text_room * 2, sizeof *grown);
        if (!grown)
            return UINT32_MAX;
        for (uint32_t i = 0; i < a->text_count; i++)
            grown[text_slot(a, grown, a->text_room * 2, a->text_spans[i])] = i + 1;
        mem_give(a->texts);
        a->texts = grown;
        a->text_room *= 2;
        at = text_slot(a, a->texts, a->text_room, text);
    }
    if (a->text_count == a->span_room) {
        struct span *grown = mem_grow(a->text_spans, (size_t)a->span_room * 2 * sizeof *grown);
        if (!grown)
            return UINT32_MAX;
        a->text_spans = grown;
        a->span_room *= 2;
    }
    const char *bytes = keep_bytes(a, text);
    if (!bytes)
        return UINT32_MAX;
    a->text_spans[a->text_count] = (struct span){bytes, text.size};
    a->texts[at] = ++a->text_count;
    return a->text_count - 1;
}

struct aggregate_cell *aggregate_find(struct aggregate *a, uint64_t key, struct span texts)
{
    const uint32_t number = text_number(a, texts);
    if (number == UINT32_MAX)
        return NULL;
    key |= (uint64_t)number << 32;
    uint32_t at = cell_slot(a->cells, a->cell_room, key);
    if (!a->cells[at].key) {
        if (a->cell_count == AGGREGATE_CELLS_MAX) {
            a->too_many = 1;
            return NULL;
        }
        if ((a->cell_count + 1) * 2 > a->cell_room) {
            struct aggregate_cell *grown = mem_take_zero((size_t)a->cell_room * 2, sizeof *grown);
            if (!grown)
                return NULL;
            for (uint32_t i = 0; i < a->cell_room; i++)
                if (a->cells[i].key)
                    grown[cell_slot(grown, a->cell_room * 2, a->cells[i].key)] = a->cells[i];
            mem_give(a->cells);
            a->cells = grown;
            a->cell_room *= 2;
            at = cell_slot(a->cells, a->cell_room, key);
        }
        a->cells[at].key = key;
        a->cell_count++;
    }
    a->text_memo = number;
    a->cell_memo = at;
    return &a->cells[at];
}

enum err aggregate_failed(const struct aggregate *a, struct diag *diag)
{
    if (a->too_many)
        return diag_set(diag, ERR_MACHINE, "aggregate.cells",
                        "take out of aggregate.by what has most values, such as sub_merchant_no",
                        "more than %d cells would stand in aggregate.csv", AGGREGATE_CELLS_MAX);
    return mem_fail(diag, 0, "aggregates");
}

enum err aggregate_merge(struct aggregate *into, const struct aggregate *from, int sign, struct diag *diag)
{
    for (uint32_t i = 0; i < from->cell_room; i++) {
        const struct aggregate_cell *cell = &from->cells[i];
        if (!cell->key)
            continue;
        struct aggregate_cell *sum =
            aggregate_find(into, (uint32_t)cell->key, from->text_spans[cell->key >> 32]);
        if (!sum)
            return aggregate_failed(into, diag);
        sum->count += sign * cell->count;
        sum->gross += sign * cell->gross;
        sum->cost += sign * cell->cost;
    }
    return OK;
}

struct span aggregate_dim(const struct aggregate *a, const struct aggregate_cell *cell, int dim)
{
    const char *at = a->text_spans[cell->key >> 32].data;
    uint16_t size;
    for (;; at += 2 + size) {
        memcpy(&size, at, 2);
        if (dim-- == 0)
            return (struct span){at + 2, size};
    }
}

static int by_place(const void *x, const void *y, void *context)
{
    const struct aggregate_cell *a = x, *b = y;
    if (aggregate_side(a) != aggregate_side(b))
        return aggregate_side(a) < aggregate_side(b) ? -1 : 1;
    if (aggregate_day(a) != aggregate_day(b))
        return aggregate_day(a) < aggregate_day(b) ? -1 : 1;
    if (aggregate_hour(a) != aggregate_hour(b))
        return aggregate_hour(a) < aggregate_hour(b) ? -1 : 1;
    for (int dim = 0; dim < AGGREGATE_DIMS; dim++) {
        const int c = span_compare(aggregate_dim(context, a, dim), aggregate_dim(context, b, dim));
        if (c)
            return c;
    }
    if (aggregate_currency(a) != aggregate_currency(b))
        return aggregate_currency(a) < aggregate_currency(b) ? -1 : 1;
    return aggregate_out(a) - aggregate_out(b);
}

struct aggregate_cell *aggregate_sort(const struct aggregate *a, uint32_t *count)
{
    struct aggregate_cell *cells = mem_take(((size_t)a->cell_count + 1) * sizeof *cells);
    *count = 0;
    for (uint32_t i = 0; cells && i < a->cell_room; i++)
        if (a->cells[i].key && a->cells[i].count)
            cells[(*count)++] = a->cells[i];
    if (*count)
        qsort_r(cells, *count, sizeof *cells, by_place, (void *)a);
    return cells;
}
