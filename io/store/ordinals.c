/* io/store/ordinals.c: see ordinals.h */
#include "io/store/ordinals.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

static uint64_t lead_of(const struct entry *e)
{
    const struct entry_side *s = entry_lead(e);
    uint64_t print = hash_bytes(s->occurrence.data, s->occurrence.size, s->day);
    for (int i = 0; i < e->field_count; i++)
        print = hash_bytes(s->text[i].data, s->text[i].size, print ^ s->text[i].size);
    return print;
}

/* All that an order's id is made of. */
static uint64_t print_of(const struct entry *e, int carried)
{
    const uint64_t more[] = {e->revision, e->key_no, (uint64_t)carried};
    const uint64_t print =
        hash_bytes(more, sizeof more, hash_bytes(e->key.data, e->key.size, entry_print(e)));
    return print ? print : 1;
}

static struct ordinal *slot_of(struct ordinal *slots, uint32_t room, uint64_t print)
{
    uint32_t at = (uint32_t)(print >> 32) & (room - 1);
    while (slots[at].print && slots[at].print != print)
        at = (at + 1) & (room - 1);
    return &slots[at];
}

static int grow(struct ordinals *o)
{
    const uint32_t room = o->room ? o->room * 2 : 64;
    struct ordinal *slots = mem_take_zero(room, sizeof *slots);
    if (!slots)
        return 0;
    for (uint32_t i = 0; i < o->room; i++)
        if (o->slots[i].print)
            *slot_of(slots, room, o->slots[i].print) = o->slots[i];
    mem_give(o->slots);
    o->slots = slots;
    o->room = room;
    return 1;
}

uint32_t ordinals_next(struct ordinals *o, const struct entry *e, int carried)
{
    const uint64_t lead = lead_of(e), print = print_of(e, carried);
    if (lead != o->lead)
        ordinals_reset(o);
    o->lead = lead;
    if (o->used * 2 >= o->room && !grow(o))
        return UINT32_MAX;
    struct ordinal *slot = slot_of(o->slots, o->room, print);
    o->used += !slot->print;
    slot->print = print;
    return (uint32_t)slot->count++;
}

void ordinals_reset(struct ordinals *o)
{
    if (o->used)
        memset(o->slots, 0, o->room * sizeof *o->slots);
    o->used = 0;
    o->lead = 0;
}

void ordinals_fini(struct ordinals *o)
{
    mem_give(o->slots);
    *o = (struct ordinals){0};
}
