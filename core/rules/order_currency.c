/* core/rules/order_currency.c: see order_currency.h */
#include "core/rules/order_currency.h"
#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

struct slot {
    const char *order; /* NULL: free */
    uint32_t size;
    uint8_t currency;
};

struct order_currencies {
    struct slot *slots;
    uint32_t room, count; /* room: a power of two */
    struct arena texts;
};

enum { ROOM_FIRST = 1024 };

enum err order_currencies_open(struct order_currencies **out, struct diag *diag)
{
    *out = NULL;
    struct order_currencies *map = mem_take_zero(1, sizeof *map);
    if (map) {
        arena_init(&map->texts);
        map->room = ROOM_FIRST;
        map->slots = mem_take_zero(ROOM_FIRST, sizeof *map->slots);
    }
    if (!map || !map->slots) {
        mem_give(map);
        return mem_fail(diag, ROOM_FIRST * sizeof(struct slot), "the currencies of orders");
    }
    *out = map;
    return OK;
}

void order_currencies_close(struct order_currencies *map)
{
    if (!map)
        return;
    arena_fini(&map->texts);
    mem_give(map->slots);
    mem_give(map);
}

static struct slot *slot_of(const struct order_currencies *map, struct span order)
{
    uint32_t at = (uint32_t)hash_bytes(order.data, order.size, 0) & (map->room - 1);
    while (map->slots[at].order &&
           (map->slots[at].size != order.size || memcmp(map->slots[at].order, order.data, order.size) != 0))
        at = (at + 1) & (map->room - 1);
    return &map->slots[at];
}

enum err order_currencies_put(struct order_currencies *map, struct span order, uint8_t currency,
                              struct diag *diag)
{
    if (order.size == 0)
        return OK;
    if (map->count * 2 >= map->room) {
        if (map->count >= ORDER_CURRENCIES_MAX)
            return diag_set(diag, ERR_INPUT, "of_order", "keep the currency in the refund's own table",
                            "more than %d orders, whose currencies refunds would be told by",
                            ORDER_CURRENCIES_MAX);
        struct order_currencies grown = {.room = map->room * 2};
        grown.slots = mem_take_zero(grown.room, sizeof *grown.slots);
        if (!grown.slots)
            return mem_fail(diag, grown.room * sizeof *grown.slots, "the currencies of orders");
        for (uint32_t i = 0; i < map->room; i++)
            if (map->slots[i].order)
                *slot_of(&grown, (struct span){map->slots[i].order, map->slots[i].size}) = map->slots[i];
        mem_give(map->slots);
        map->slots = grown.slots;
        map->room = grown.room;
    }
    struct slot *slot = slot_of(map, order);
    if (!slot->order) {
        struct span copy = arena_copy(&map->texts, order);
        if (!copy.data)
            return mem_fail(diag, order.size, "the currencies of orders");
        *slot = (struct slot){copy.data, (uint32_t)copy.size, currency};
        map->count++;
    }
    slot->currency = currency;
    return OK;
}

uint8_t order_currencies_find(const struct order_currencies *map, struct span order)
{
    const struct slot *slot = slot_of(map, order);
    return slot->order ? slot->currency : 0;
}
