/* index/image_ids.c: see image_ids.h */
#include "index/image_ids.h"
#include "core/base/mem.h"

static void put(struct image_slot *slots, uint32_t mask, struct image_slot slot)
{
    uint32_t at = image_ids_first(slot.tag);
    while (slots[at & mask].tag)
        at++;
    slots[at & mask] = slot;
}

int image_ids_add(struct image_ids *ids, uint32_t tag, uint32_t entry)
{
    const uint64_t more = image_ids_more(ids);
    if (more) {
        const size_t room = more / sizeof *ids->slots;
        struct image_slot *grown = room <= (size_t)1 << 31 ? mem_take_zero(room, sizeof *grown) : NULL;
        if (!grown)
            return 0;
        for (size_t i = 0; ids->slots && i <= ids->mask; i++)
            if (ids->slots[i].tag)
                put(grown, (uint32_t)(room - 1), ids->slots[i]);
        mem_give(ids->slots);
        ids->slots = grown;
        ids->mask = (uint32_t)(room - 1);
    }
    put(ids->slots, ids->mask, (struct image_slot){tag, entry});
    ids->count++;
    return 1;
}

void image_ids_fini(struct image_ids *ids)
{
    mem_give(ids->slots);
    *ids = (struct image_ids){0};
}
