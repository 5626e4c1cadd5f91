/* io/format/binlog_lane.c: see binlog_lane.h
 *
 * at[i] is where the i-th length of a row stands, at[length_count] where the row ends. A value of fixed size lies `back` bytes
 * before the next of these, so it needs no more than one subtraction.
 */
#include "io/format/binlog_lane.h"
#include "core/base/check.h"
#include "io/format/binlog_image.h"
#include "io/format/binlog_shape.h"

enum { LANES_FREE = 64 }; /* made without asking whether they pay */

/* ---- making ---- */

static struct lane_value value_of(const struct binlog_lane *lane, const struct table_version *version,
                                  const uint8_t *from, const uint32_t *back, int column)
{
    struct lane_value value = {.kind = LANE_NOTHING, .scale = -1};
    if (column < 0 || lane->nulls >> column & 1)
        return value;
    const struct column_plan *plan = &version->plans[column];
    value.from = from[column];
    value.back = back[column];
    value.is_unsigned = plan->is_unsigned;
    if (plan->skip == SKIP_PREFIX) {
        value.kind = plan->kind == PLAN_BYTES                                  ? LANE_TEXT
                     : plan->kind == PLAN_TEXT && plan->charset->ascii_is_same ? LANE_ASCII
                                                                               : LANE_NOTHING;
        return value;
    }
    if (plan->size == 0 || plan->size > 16)
        return value;
    const uint8_t shift = plan->size <= 8 ? (uint8_t)(64 - 8 * plan->size) : 0;
    switch (plan->kind) {
    case PLAN_INT8:
    case PLAN_INT16:
    case PLAN_INT24:
    case PLAN_INT32:
    case PLAN_INT64:
        value.kind = LANE_NUMBER;
        value.shift = shift;
        break;
    case PLAN_DECIMAL_SHORT:
        if (plan->size >= 4) {
            value.kind = LANE_DECIMAL;
            value.decimal = decimal_groups(plan->precision, plan->decimals);
            value.scale = (int8_t)plan->decimals;
        }
        break;
    case PLAN_DATETIME2:
    case PLAN_TIMESTAMP2: {
        static const uint32_t limits[4] = {1, 100, 10000, 1000000};
        const unsigned bytes = (plan->decimals + 1u) / 2;
        value.kind = plan->kind == PLAN_DATETIME2 ? LANE_DATETIME : LANE_TIMESTAMP;
        value.shift = (uint8_t)(24 - 8 * bytes);
        value.limit = limits[bytes];
        break;
    }
    default:
        break;
    }
    return value;
}

/* A status or a direction: whatever stands there, if it is short. */
static struct lane_value word_of(const struct binlog_lane *lane, const struct table_version *version,
                                 const uint8_t *from, const uint32_t *back, int column)
{
    struct lane_value value = value_of(lane, version, from, back, column);
    if (column < 0 || lane->nulls >> column & 1)
        return value;
    const struct column_plan *plan = &version->plans[column];
    if (plan->skip == SKIP_PREFIX) {
        value.kind = plan->size == 1 ? LANE_TEXT : LANE_NOTHING;
    } else if (plan->size >= 1 && plan->size <= 8) {
        value.kind = LANE_FIXED;
        value.shift = (uint8_t)(64 - 8 * plan->size);
    } else {
        value.kind = LANE_NOTHING;
    }
    return value;
}

static int is_text(const struct lane_value *value)
{
    return value->kind == LANE_TEXT || value->kind == LANE_ASCII;
}

static void lane_make(struct binlog_lane *lane, const struct table_version *version,
                      const struct image_plan *plan, uint64_t nulls)
{
    const uint32_t columns = version->table.column_count;
    uint8_t from[64];
    uint32_t back[64], gap = 0, first = 0;
    *lane = (struct binlog_lane){.nulls = nulls,
                                 .null_mask = columns < 64 ? ((uint64_t)1 << columns) - 1 : UINT64_MAX,
                                 .null_bytes = (columns + 7) / 8};
    /* `back` is first how far behind the last length's bytes a value begins, and turned around when the next is met. */
    for (uint32_t i = 0; i <= columns; i++) {
        const struct column_plan *column = i < columns ? &version->plans[i] : NULL;
        if (column && nulls >> i & 1)
            continue;
        if (column && column->skip == SKIP_FIXED) {
            from[i] = (uint8_t)lane->length_count;
            back[i] = gap;
            gap += column->size;
            continue;
        }
        for (uint32_t k = first; k < i; k++)
            if (!(nulls >> k & 1) && version->plans[k].skip == SKIP_FIXED)
                back[k] = gap - back[k];
        first = i + 1;
        if (!column) {
            lane->tail = gap;
            break;
        }
        if (lane->length_count == LANE_LENGTHS_MAX || column->size > 4)
            return;
        from[i] = (uint8_t)lane->length_count;
        back[i] = 0;
        lane->lengths[lane->length_count++] = (struct lane_length){
            .gap = gap, .mask = UINT32_MAX >> (32 - 8 * column->size), .size = column->size};
        gap = 0;
    }
    lane->key = value_of(lane, version, from, back, plan->key);
    lane->occurrence = value_of(lane, version, from, back, plan->occurrence);
    lane->amount = value_of(lane, version, from, back, plan->amount);
    lane->fee = value_of(lane, version, from, back, plan->fee);
    lane->currency = value_of(lane, version, from, back, plan->currency);
    lane->time = value_of(lane, version, from, back, plan->time);
    lane->status = word_of(lane, version, from, back, plan->status);
    lane->direction = word_of(lane, version, from, back, plan->direction);
    const int has_fee = plan->fee >= 0 && !(nulls >> plan->fee & 1),
              has_time = plan->time >= 0 && !(nulls >> plan->time & 1);
    int possible =
        (is_text(&lane->key) || lane->key.kind == LANE_NUMBER) &&
        (is_text(&lane->occurrence) || lane->occurrence.kind == LANE_NUMBER) &&
        (lane->amount.kind == LANE_DECIMAL || lane->amount.kind == LANE_NUMBER) &&
        (!has_fee || lane->fee.kind == LANE_DECIMAL || lane->fee.kind == LANE_NUMBER) &&
        (!has_time || lane->time.kind == LANE_DATETIME || lane->time.kind == LANE_TIMESTAMP) &&
        (plan->currency < 0 || (is_text(&lane->currency) && version->plans[plan->currency].size == 1)) &&
        (plan->status < 0 || lane->status.kind != LANE_NOTHING) &&
        (plan->direction < 0 || lane->direction.kind != LANE_NOTHING);
    for (int i = 0; i < plan->key_column_count; i++) {
        if (plan->key_columns[i] == plan->key)
            continue;
        struct lane_value value = value_of(lane, version, from, back, plan->key_columns[i]);
        if (is_text(&value))
            lane->texts[lane->text_count++] = value;
        else
            possible &= value.kind == LANE_NUMBER || (nulls >> plan->key_columns[i] & 1);
    }
    lane->is_possible = possible;
    lane->is_short = 1;
    lane->reach = lane->null_bytes + lane->tail;
    for (uint32_t i = 0; i < lane->length_count; i++) {
        lane->is_short &= lane->lengths[i].size == 1;
        lane->reach += lane->lengths[i].gap + 256;
    }
    lane->is_common = possible && lane->is_short && is_text(&lane->key) &&
                      lane->occurrence.kind == LANE_NUMBER && lane->amount.kind == LANE_DECIMAL &&
                      lane->time.kind == LANE_DATETIME && plan->currency >= 0 && plan->direction < 0 &&
                      lane->status.kind == LANE_FIXED && !has_fee && lane->text_count == 0 &&
                      lane->length_count <= LANE_SHORT_MAX;
}

const struct binlog_lane *binlog_lane_find(struct table_version *version, const struct image_plan *plan,
                                           uint64_t nulls)
{
    struct binlog_lane **slot = &version->lanes[nulls * 0x9e3779b97f4a7c15u >> 61];
    struct binlog_lane *lane = *slot;
    if (!lane || lane->nulls != nulls) {
        /* Where new sets of NULLs come all the time, lanes are not for these rows. */
        if (version->lane_misses > LANES_FREE && version->lane_misses > version->lane_hits / 64)
            return NULL;
        version->lane_misses++;
        if (!lane && !(lane = *slot = arena_take(version->arena, sizeof *lane)))
            return NULL;
        lane_make(lane, version, plan, nulls);
    }
    return lane->is_possible ? lane : NULL;
}

/* ---- a run ---- */

int binlog_lane_begin(struct binlog_lanes *run, struct table_version *version, const struct image_plan *plan,
                      const uint8_t *readable)
{
    if (version->table.column_count > 64 || readable - run->at < (ptrdiff_t)(2 * LANE_READ_MAX))
        return 0;
    if (run->end > readable - LANE_READ_MAX)
        run->end = readable - LANE_READ_MAX;
    run->readable = readable;
    if (UNLIKELY(!version->shapes)) {
        version->shapes = arena_take(version->arena, 3 * sizeof *version->shapes);
        if (!version->shapes)
            return 0;
        memset(version->shapes, 0, 3 * sizeof *version->shapes);
    }
    run->shapes = version->shapes + (run->row->op == BINLOG_UPDATE ? 2 : 0);
    run->before_shapes = version->shapes + 1;
    run->version = version;
    run->plan = plan;
    uint64_t nulls = read_le64(run->at);
    if (version->table.column_count < 64)
        nulls &= ((uint64_t)1 << version->table.column_count) - 1;
    run->lane = binlog_lane_find(version, plan, nulls);
    return run->lane != NULL;
}
