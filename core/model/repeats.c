/* core/model/repeats.c: see repeats.h */
#include "core/model/repeats.h"
#include "core/base/mem.h"

void repeats_init(struct repeats *r)
{
    *r = (struct repeats){0};
    pthread_mutex_init(&r->lock, NULL);
}

void repeats_fini(struct repeats *r)
{
    mem_give(r->items);
    mem_give(r->keys);
    pthread_mutex_destroy(&r->lock);
}

enum err repeats_add(struct repeats *r, const struct repeat *repeat, int odd_key, struct diag *diag)
{
    pthread_mutex_lock(&r->lock);
    const enum err err = mem_list_more(&r->items, r->count, &r->room, 256, "records that came before", diag);
    if (err == OK)
        r->items[r->count++] = *repeat;
    r->all_keys |= odd_key;
    pthread_mutex_unlock(&r->lock);
    return err;
}

static uint64_t slot_of(const struct repeats *r, unsigned side, uint64_t place)
{
    return ((place << 1 | side) * 0x9E3779B97F4A7C15ull >> 17) & (r->room - 1);
}

enum err repeats_seal(struct repeats *r, struct diag *diag)
{
    if (!r->count)
        return OK;
    uint64_t room = 64;
    while (room < r->count * 2)
        room *= 2;
    struct repeat *slots = mem_take_zero(room, sizeof *slots);
    r->keys = mem_take_zero((1u << REPEATS_KEY_BITS) / 64, sizeof *r->keys);
    if (!slots || !r->keys) {
        mem_give(slots);
        return mem_fail(diag, room * sizeof *slots, "records that came before");
    }
    struct repeat *items = r->items;
    r->items = slots;
    r->room = room;
    for (uint64_t i = 0; i < r->count; i++) {
        uint64_t at = slot_of(r, items[i].side, items[i].place);
        while (slots[at].kind != REPEAT_NONE)
            at = (at + 1) & (room - 1);
        slots[at] = items[i];
        const uint32_t bit = (items[i].key * 0x9E3779B1u) >> (32 - REPEATS_KEY_BITS);
        r->keys[bit / 64] |= 1ull << (bit % 64);
    }
    mem_give(items);
    return OK;
}

enum repeat_kind repeats_find_one(const struct repeats *r, unsigned side, uint64_t place)
{
    for (uint64_t at = slot_of(r, side, place); r->items[at].kind != REPEAT_NONE;
         at = (at + 1) & (r->room - 1))
        if (r->items[at].place == place && r->items[at].side == side)
            return (enum repeat_kind)r->items[at].kind;
    return REPEAT_NONE;
}
