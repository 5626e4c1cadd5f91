/* core/rules/plain.c: see plain.h; its tables, and what is rare */
#include "core/rules/plain.h"
#include "core/model/money_quick.h"

__attribute__((noinline, cold)) int text_looks_shortened(struct span text)
{
    size_t i = 0, digits = 0;
    for (; i < text.size && ((text.data[i] >= '0' && text.data[i] <= '9') || text.data[i] == '.'); i++)
        digits += text.data[i] != '.';
    if (digits == 0 || i + 2 >= text.size || (text.data[i] != 'E' && text.data[i] != 'e') ||
        text.data[i + 1] != '+')
        return 0;
    for (i += 2; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
    return 1;
}

__attribute__((noinline, cold)) int plain_new_currency(struct norm_scratch *s, struct span text)
{
    const uint8_t found = text.size == 3 ? currency_find(text.data, 3) : 0;
    if (!found)
        return 0;
    s->currency_memo = (uint32_t)(uint8_t)text.data[0] | (uint32_t)(uint8_t)text.data[1] << 8 |
                       (uint32_t)(uint8_t)text.data[2] << 16;
    s->currency_memo_index = found;
    return 1;
}

__attribute__((noinline)) int plain_note(const struct plain_plan *plan, struct norm_scratch *s,
                                         const uint8_t *bytes, const uint32_t *seps, uint32_t columns)
{
    struct row_note *note = &s->note;
    note->size = 0;
    note->cost_micro = 0;
    note->hour = HOUR_NONE;
    for (int dim = 0; dim < AGGREGATE_DIMS; dim++) {
        const int column = plan->note_columns[dim];
        const struct span text =
            column >= 0 ? plain_cell_of(bytes, seps, column, columns) : plan->note_constants[dim];
        if (!row_note_put(note, text.data, text.size))
            return 0;
    }
    if (plan->fee >= 0) {
        const struct span text = plain_cell_of(bytes, seps, plan->fee, columns);
        const size_t sign = text.size && text.data[0] == '-';
        if (text.size && !money_quick(text.data + sign, text.size - sign, &note->cost_micro))
            return 0;
        if (sign != plan->fee_income)
            note->cost_micro = -note->cost_micro;
    }
    if (plan->time >= 0 && plan->counts_hours) {
        const struct span text = plain_cell_of(bytes, seps, plan->time, columns);
        if (text.size < 13 || !note_day_is_even(s, plan->zone, s->date_memo_count))
            return 0;
        note->hour = (uint8_t)((text.data[11] - '0') * 10 + text.data[12] - '0');
    }
    return 1;
}

__attribute__((noinline)) void plain_id(const struct plain_plan *plan, struct norm_scratch *s,
                                        const uint8_t *bytes, const uint32_t *seps, uint32_t columns,
                                        const struct record *record)
{
    const struct span id =
        plan->occurrence >= 0 ? plain_cell_of(bytes, seps, plan->occurrence, columns) : (struct span){"", 0};
    s->id.has = 0;
    if (id.size == 0)
        return;
    uint64_t key = record_hash(record), status = 0;
    s->id.odd_key = s->id.keyless = 0; /* a plain row has a key */
    s->id.undated = plan->time < 0;
    if (plan->status >= 0 && record->status) {
        if (record->status != s->id_status) {
            const struct span text = plain_cell_of(bytes, seps, plan->status, columns);
            s->id_status = record->status;
            s->id_status_hash = hash_bytes(text.data, text.size, plan->hash_seed);
        }
        status = s->id_status_hash;
    }
    if (UNLIKELY(record->channel > 1)) {
        const struct span channel =
            plan->channel >= 0 ? plain_cell_of(bytes, seps, plan->channel, columns) : plan->channel_constant;
        key = hash_bytes(record->var, record->key_size,
                         hash_bytes(channel.data, channel.size, plan->hash_seed));
        s->id.odd_key = 1;
    }
    id_print_make(&s->id, key, id, plan->side_flag & RECORD_CHANNEL, status, 0,
                  currency_code(record->currency), record->amount_micro, record->flags & RECORD_OUT);
}

#if defined(__SSE4_1__)

__attribute__((noinline)) void plain_shape_make(const struct plain_plan *plan, struct norm_scratch *s,
                                                const uint8_t *bytes, const uint32_t *seps,
                                                const struct plain_parts *parts)
{
    static const uint8_t ranges[] = {2, 9, 0, 5, 9, 0, 5, 9, 0, 9, 9, 9, 9, 9, 9};
    const int has_direction = plan->direction >= plan->shape_first && plan->direction <= plan->shape_last;
    struct plain_shape *shape =
        &s->shapes[has_direction ? (seps[plan->direction] - seps[(int64_t)plan->direction - 1]) & 1 : 0];
    const uint32_t from = seps[(int64_t)plan->shape_first - 1] + 1, size = seps[plan->shape_last] + 1 - from;
    const struct span time = plain_cell(bytes, seps, plan->time);
    const uint8_t behind = bytes[from + size - 1];
    shape->size = 0;
    /* Where a digit parts cells, a clock's digits could be taken for other cells. */
    if (size > PLAIN_SHAPE || (behind >= '0' && behind <= '9'))
        return;
    memset(shape->low, 0, sizeof shape->low);
    memset(shape->range, 0xFF, sizeof shape->range);
    memcpy(shape->low, bytes + from, size);
    memset(shape->range, 0, size);
    const uint32_t clock = (uint32_t)((const uint8_t *)time.data - bytes) - from + 11;
    for (uint32_t i = 0; i + 11 < time.size; i++) {
        shape->range[clock + i] = ranges[i];
        if (ranges[i])
            shape->low[clock + i] = '0';
    }
    shape->hour_at = clock;
    shape->date_count = s->date_memo_count;
    shape->day = parts->day;
    shape->currency = parts->currency;
    shape->is_out = parts->is_out;
    shape->size = size;
}

/* A point takes up to six digits behind it and needs one on either side; at most twelve digits stand before it. */
const struct plain_point plain_points[17] = {
    {{0}, 0, 0},
    {{0}, 0, 0},
    {{0}, 0, 0},
    {{0}, 0, 0},
    {{0}, 0, 0},
    {{0}, 0, 0},
    {{0}, 0, 0},
    {{0}, 0, 0},
    {{0}, 0, 0},
    {{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15}, 0x1FF00, 1},
    {{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15}, 0x1FF80, 10},
    {{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15}, 0x1FFC0, 100},
    {{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15}, 0x1FFE0, 1000},
    {{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15}, 0x0FFF0, 10000},
    {{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15}, 0x07FF8, 100000},
    {{0}, 0, 0},
    {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 0x01FFF, 1000000},
};

const uint8_t plain_masks[32] = {0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                                 0,    0,    0,    0,    0,    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

#endif
