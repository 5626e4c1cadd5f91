/* io/source/image_fold.c: see image_fold.h */
#include "io/source/image_fold.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include <stdlib.h>
#include <string.h>

void image_fold_init(struct image_fold *fold)
{
    memset(fold, 0, sizeof *fold);
}

void image_fold_fini(struct image_fold *fold)
{
    for (size_t i = 0; i < fold->room; i++)
        if (fold->slots[i]) {
            mem_give(fold->slots[i]->block);
            mem_give(fold->slots[i]);
        }
    mem_give(fold->slots);
    mem_give(fold->by_place);
    image_fold_init(fold);
}

static size_t slot_of(const struct image_fold *fold, struct span id, uint64_t hash)
{
    size_t i = hash & (fold->room - 1);
    while (fold->slots[i] && (fold->slots[i]->hash != hash || fold->slots[i]->id_size != id.size ||
                              memcmp(fold->slots[i]->id, id.data, id.size) != 0))
        i = (i + 1) & (fold->room - 1);
    return i;
}

struct image_entry *image_fold_find(const struct image_fold *fold, struct span id)
{
    return fold->room ? fold->slots[slot_of(fold, id, hash_bytes(id.data, id.size, 0))] : NULL;
}

static enum err grow(struct image_fold *fold, struct diag *diag)
{
    size_t room = fold->room ? fold->room * 2 : 1024;
    struct image_fold grown = {.slots = mem_take_zero(room, sizeof *grown.slots), .room = room};
    if (!grown.slots)
        return mem_fail(diag, room * sizeof *grown.slots, "rows that are told in part");
    for (size_t i = 0; i < fold->room; i++) {
        struct image_entry *entry = fold->slots[i];
        if (entry)
            grown.slots[slot_of(&grown, (struct span){entry->id, entry->id_size}, entry->hash)] = entry;
    }
    mem_give(fold->slots);
    fold->slots = grown.slots;
    fold->room = room;
    return OK;
}

enum err image_fold_want(struct image_fold *fold, struct span id, struct diag *diag)
{
    enum err err = fold->count * 4 >= fold->room * 3 ? grow(fold, diag) : OK;
    if (err != OK)
        return err;
    const uint64_t hash = hash_bytes(id.data, id.size, 0);
    const size_t slot = slot_of(fold, id, hash);
    if (fold->slots[slot])
        return OK;
    struct image_entry *entry = mem_take(sizeof *entry + id.size);
    if (!entry)
        return mem_fail(diag, sizeof *entry + id.size, "rows that are told in part");
    *entry = (struct image_entry){.hash = hash, .place = UINT64_MAX, .id_size = (uint32_t)id.size};
    memcpy(entry->id, id.data, id.size);
    fold->slots[slot] = entry;
    fold->count++;
    return OK;
}

/* An image in part that is replaced stays known by its place: its record may have left with its partner, and is asked for again where
 * something else of its key comes later. */
static enum err put_aside(struct image_fold *fold, struct image_entry *entry, struct diag *diag)
{
    if (!entry->cells || entry->place == UINT64_MAX)
        return OK;
    char bytes[1 + sizeof entry->place] = {2};
    memcpy(bytes + 1, &entry->place, sizeof entry->place);
    const struct span id = {bytes, sizeof bytes};
    enum err err = image_fold_want(fold, id, diag);
    if (err != OK)
        return err;
    struct image_entry *const aside = image_fold_find(fold, id);
    mem_give(aside->block);
    aside->block = entry->block;
    aside->cells = entry->cells;
    aside->cell_count = entry->cell_count;
    aside->place = entry->place;
    entry->block = entry->cells = NULL;
    return OK;
}

enum err image_fold_put(struct image_fold *fold, struct image_entry *entry, const struct cell *cells,
                        uint32_t count, uint64_t place, struct diag *diag)
{
    size_t size = count * sizeof *cells;
    for (uint32_t i = 0; cells && i < count; i++)
        size += cells[i].kind == CELL_TEXT ? cells[i].size : 0;
    struct cell *copy = cells ? mem_take(size + 1) : NULL;
    if (cells && !copy)
        return mem_fail(diag, size, "rows that are told in part");
    char *text = copy ? (char *)(copy + count) : NULL;
    for (uint32_t i = 0; copy && i < count; i++) {
        copy[i] = cells[i];
        if (cells[i].kind == CELL_TEXT) {
            if (cells[i].size)
                memcpy(text, cells[i].data, cells[i].size);
            copy[i].data = text;
            text += cells[i].size;
        }
    }
    enum err err = put_aside(fold, entry, diag);
    if (err != OK) {
        mem_give(copy);
        return err;
    }
    mem_give(entry->block);
    entry->block = entry->cells = copy;
    entry->cell_count = count;
    entry->place = place;
    return OK;
}

enum err image_fold_keep(struct image_fold *fold, const struct cell *cells, uint32_t count, uint64_t place,
                         struct diag *diag)
{
    char bytes[1 + sizeof place] = {2};
    memcpy(bytes + 1, &place, sizeof place);
    const struct span id = {bytes, sizeof bytes};
    enum err err = image_fold_want(fold, id, diag);
    return err == OK ? image_fold_put(fold, image_fold_find(fold, id), cells, count, place, diag) : err;
}

static int by_place(const void *a, const void *b)
{
    const struct image_entry *const *x = a, *const *y = b;
    return ((*x)->place > (*y)->place) - ((*x)->place < (*y)->place);
}

enum err image_fold_seal(struct image_fold *fold, struct diag *diag)
{
    fold->by_place = mem_take((fold->count + 1) * sizeof *fold->by_place);
    if (!fold->by_place)
        return mem_fail(diag, fold->count * sizeof *fold->by_place, "rows that are told in part");
    for (size_t i = 0; i < fold->room; i++)
        if (fold->slots[i] && fold->slots[i]->cells && fold->slots[i]->place != UINT64_MAX)
            fold->by_place[fold->by_place_count++] = fold->slots[i];
    if (fold->by_place_count)
        qsort(fold->by_place, fold->by_place_count, sizeof *fold->by_place, by_place);
    return OK;
}

const struct image_entry *image_fold_at(const struct image_fold *fold, uint64_t place)
{
    size_t low = 0, high = fold->by_place_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (fold->by_place[mid]->place == place)
            return fold->by_place[mid];
        if (fold->by_place[mid]->place < place)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
