/* core/rules/lean.c: see lean.h */
#include "core/rules/lean.h"
#include "core/base/mem.h"
#include "core/model/currency.h"

unsigned canonical_order(const struct job *job, unsigned order[FIELD_SLOTS])
{
    /* There are few attrs; an insertion sort does. */
    unsigned slots = FIELDS + (unsigned)job->attr_count;
    for (unsigned i = 0; i < slots; i++) {
        unsigned k = i;
        for (; k > FIELDS && strcmp(job->attrs[order[k - 1] - FIELDS], job->attrs[i - FIELDS]) > 0; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    return slots;
}

static int is_key_part(const struct job *job, unsigned field)
{
    const struct key_spec *key = &job->match.keys[0];
    for (int i = 0; i < key->part_count; i++)
        if (key->parts[i] == field)
            return 1;
    return 0;
}

static void want_cell(struct match_plan *plan, enum side side, unsigned field)
{
    struct lean_plan *p = &plan->side[side];
    if (plan->cell_at[side][field] >= 0)
        return;
    plan->cell_at[side][field] = (signed char)p->cell_count;
    p->cells[p->cell_count++] = field;
    p->wants_time |= field == FIELD_TRADE_TIME;
    p->wants_fee |= field == FIELD_FEE;
}

void match_plan_make(struct match_plan *plan, const struct job *job, int is_whole)
{
    static const unsigned shown[] = {FIELD_CHANNEL_CODE, FIELD_BIZ_ORDER_NO, FIELD_CHANNEL_ORDER_NO};
    memset(plan, 0, sizeof *plan);
    memset(plan->order_at, -1, sizeof plan->order_at);
    memset(plan->cell_at, -1, sizeof plan->cell_at);
    struct lean_plan *local = &plan->side[LOCAL];
    unsigned order[FIELD_SLOTS], slots = canonical_order(job, order), last = 0;
    for (unsigned i = 0; i < slots; i++)
        if (is_whole || is_key_part(job, order[i]))
            last = i;
    for (unsigned i = 0; i <= last; i++) {
        plan->order_at[order[i]] = (signed char)i;
        local->order[local->order_count++] = order[i];
        local->wants_time |= order[i] == FIELD_TRADE_TIME;
        local->wants_fee |= order[i] == FIELD_FEE;
    }
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        if (plan->order_at[shown[i]] < 0)
            want_cell(plan, LOCAL, shown[i]);
        /* What the local side may lack is the channel's to say; no part of a key is ever empty. */
        if (shown[i] == FIELD_CHANNEL_ORDER_NO || !is_key_part(job, shown[i]))
            want_cell(plan, CHANNEL, shown[i]);
    }
    for (int i = 0; i < job->match.compare_count; i++)
        if (plan->order_at[job->match.compare[i]] < 0)
            want_cell(plan, LOCAL, job->match.compare[i]);
}

void lean_list_fini(struct lean_list *list)
{
    mem_give(list->items);
    mem_give(list->bytes);
    *list = (struct lean_list){0};
}

int lean_list_room(struct lean_list *list, size_t size)
{
    if (mem_list_more(&list->items, list->count, &list->room, 512, "matched rows", NULL) != OK)
        return 0;
    if (list->used + size > list->bytes_room) {
        size_t room = (list->used + size) * 2;
        uint8_t *grown = mem_grow(list->bytes, room);
        if (!grown)
            return 0;
        list->bytes = grown;
        list->bytes_room = room;
    }
    return 1;
}

uint8_t *order_put_head(uint8_t *at, uint16_t day, struct span occurrence)
{
    *at++ = (uint8_t)(day >> 8);
    *at++ = (uint8_t)day;
    *at++ = occurrence.size == 0;
    for (size_t i = 0; i < occurrence.size; i++) {
        *at++ = (uint8_t)occurrence.data[i];
        if (occurrence.data[i] == 0)
            *at++ = 0xFF;
    }
    *at++ = 0;
    *at++ = 0;
    return at;
}

const uint8_t *order_skip_head(const uint8_t *at)
{
    for (at += 3; at[0] || at[1]; at++)
        at += at[0] == 0; /* 00 FF: a zero byte of the id */
    return at + 2;
}

int lean_of_full(const struct lean_plan *plan, const struct full *full, struct lean_list *list)
{
    size_t size = 16 + 2 * full->occurrence.size;
    for (unsigned i = 0; i < plan->order_count; i++)
        size += 4 + full->text[plan->order[i]].size;
    for (unsigned i = 0; i < plan->cell_count; i++)
        size += 5 + full->text[plan->cells[i]].size;
    if (!lean_list_room(list, size))
        return 0;
    uint8_t *const begin = list->bytes + list->used, *at = begin;
    if (plan->order_count)
        at = order_put_head(at, full->day, full->occurrence);
    for (unsigned i = 0; i < plan->order_count; i++)
        at = order_put_field(at, full->text[plan->order[i]]);
    uint8_t *const cells = at;
    for (unsigned i = 0; i < plan->cell_count; i++)
        at = lean_put_cell(at, full->text[plan->cells[i]]);
    list->items[list->count++] =
        (struct lean){.place = full->place,
                      .amount_micro = plan->order_count ? full->amount_micro : 0,
                      .at = list->used,
                      .order_size = (uint32_t)(cells - begin),
                      .cells_size = (uint32_t)(at - cells),
                      .day = full->day,
                      .currency = plan->order_count ? full->currency : CURRENCY_NONE,
                      .date_disagrees = (full->reasons & REASON_BIT(REASON_DATE_DISAGREES)) != 0};
    list->used += (size_t)(at - begin);
    return 1;
}
