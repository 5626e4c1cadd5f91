/* io/format/binlog_shape.c: see binlog_shape.h */
#include "io/format/binlog_shape.h"

enum {
    PAYS = 8,       /* rows that a shape must take to be worth its making */
    REST_MAX = 1024 /* rows without another try, where they never were */
};

static void reaches(struct binlog_shape *shape, uint32_t end)
{
    if (shape->reach < end)
        shape->reach = end;
}

static void ask(struct binlog_shape *shape, uint32_t place, uint32_t size)
{
    memset(shape->mask + place, 0xFF, size);
    reaches(shape, place + size);
}

static void take_bytes(struct binlog_shape *shape, const uint8_t *at)
{
    for (uint32_t i = 0; i < shape->reach; i++)
        shape->bytes[i] = at[i] & shape->mask[i];
}

/* Neither '.' nor 'E' behind the first letter: no spreadsheet shortened it (text_is_shortened). Most often half of the byte says
 * so, and it may be another digit. */
static void ask_not_shortened(struct binlog_shape *shape, const uint8_t *at)
{
    const uint32_t second = shape->places.key + 1;
    if (shape->places.key_size < 2)
        return;
    const uint8_t half = at[second] & 0x70;
    shape->mask[second] |= half == ('.' & 0x70) || half == ('E' & 0x70) ? 0x7F : 0x70;
    reaches(shape, second + 1);
}

static void shape_make(struct binlog_shape *shape, const struct binlog_lane *lane,
                       const struct binlog_places *places, const uint8_t *const *lengths, const uint8_t *at)
{
    const uint32_t count = lane->length_count,
                   last = (uint32_t)(lengths[count - 1] - at) + lane->lengths[count - 1].size;
    const uint8_t *const second = at + places->key + 1;
    memset(shape, 0, sizeof *shape);
    if (last > SHAPE_BYTES || places->key + places->key_size > SHAPE_BYTES ||
        places->currency + 4 > SHAPE_BYTES || places->status + 8 > SHAPE_BYTES ||
        places->time + 4 > SHAPE_BYTES || places->amount + 4 > SHAPE_BYTES ||
        places->occurrence + 8 > SHAPE_BYTES || (places->key_size > 1 && (*second == '.' || *second == 'E')))
        return;
    shape->lane = lane;
    shape->places = *places;
    for (uint32_t i = 0; i < lane->null_bytes; i++)
        shape->mask[i] = (uint8_t)(lane->null_mask >> 8 * i);
    for (uint32_t i = 0; i < count; i++)
        ask(shape, (uint32_t)(lengths[i] - at), lane->lengths[i].size);
    for (uint32_t i = 0; lane->key.kind == LANE_ASCII && i < places->key_size; i++)
        shape->mask[places->key + i] |= 0x80;
    reaches(shape, places->key + places->key_size);
    ask_not_shortened(shape, at);
    memcpy(shape->lie, shape->mask, sizeof shape->lie);
    ask(shape, places->time, 3);
    shape->mask[places->time + 3] |= 0xF0;
    reaches(shape, places->time + 4);
    /* A number's highest bytes, or its sign; of an amount the sign, and what stands before the last two groups of digits. */
    const uint32_t number_size = 8 - lane->occurrence.shift / 8u;
    if (number_size == 8)
        ask(shape, places->occurrence + 6, 2);
    else if (lane->occurrence.is_unsigned != 1)
        shape->mask[places->occurrence + number_size - 1] |= 0x80;
    reaches(shape, places->occurrence + number_size);
    shape->mask[places->amount] |= 0x80;
    ask(shape, places->amount,
        lane->amount.decimal.group[2].mask ? (uint32_t)(lane->amount.decimal.group[0].end + 4) : 0);
    reaches(shape, places->amount + 1);
    memcpy(shape->was, shape->mask, sizeof shape->was);
    ask(shape, places->currency, 4);
    ask(shape, places->status, 8 - lane->status.shift / 8u);
    take_bytes(shape, at);
}

static inline uint32_t place_of(const struct lane_value *value, const uint8_t *const *lengths,
                                const uint8_t *at)
{
    return (uint32_t)(lengths[value->from] - at) - value->back;
}

int binlog_shape_turn(struct binlog_shapes *shapes, struct binlog_shape **shape, struct binlog_places *places,
                      const struct binlog_lane *lane, const uint8_t *at)
{
    struct binlog_shape *const before = *shape;
    /* Most often only a word is another one. */
    if (before && before->lane == lane && binlog_shape_under(before, before->lie, at)) {
        take_bytes(before, at);
        return 1;
    }
    const uint8_t *lengths[LANE_SHORT_MAX + 1];
    const uint8_t *const end = lane_hop(lane, lengths, at), *const key = lengths[lane->key.from] + 1;
    *places = (struct binlog_places){
        .size = (uint32_t)(end - at),
        .key = (uint32_t)(key - at),
        .key_size = key[-1],
        .occurrence = place_of(&lane->occurrence, lengths, at),
        .amount = place_of(&lane->amount, lengths, at),
        .time = place_of(&lane->time, lengths, at),
        .currency = place_of(&lane->currency, lengths, at),
        .status = place_of(&lane->status, lengths, at),
    };
    *shape = NULL;
    if (places->key_size == 0 ||
        (lane->key.kind == LANE_ASCII && !lane_is_ascii((const char *)key, places->key_size)))
        return 0;
    if (shapes->rest) {
        shapes->rest--;
        return 1;
    }
    for (struct binlog_shape *one = shapes->slot; one < shapes->slot + SHAPE_SLOTS; one++)
        if (one->reach && one->lane == lane && binlog_shape_under(one, one->lie, at)) {
            take_bytes(one, at);
            shapes->taken = PAYS;
            *shape = one;
            return 1;
        }
    /* What was made last was of use, or else the next one waits. */
    shapes->rest_max = shapes->taken >= PAYS         ? 0
                       : shapes->rest_max < REST_MAX ? 2 * shapes->rest_max + 1
                                                     : REST_MAX;
    shapes->rest = shapes->rest_max > PAYS ? shapes->rest_max : 0;
    shapes->taken = 0;
    struct binlog_shape *const fresh = &shapes->slot[shapes->next++ % SHAPE_SLOTS];
    shape_make(fresh, lane, places, lengths, at);
    if (fresh->reach)
        *shape = fresh;
    return 1;
}
