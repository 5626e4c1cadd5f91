/* io/source/log_common.c: see log_common.h. A hot file: no options asked, no allocation and no logging per row. */
#include "io/source/log_common.h"
#include "core/rules/image_quick.h"
#include "io/format/csv_scan.h"
#include "io/source/log_run.h"
#include <stddef.h>

/* The number of a row as text: that of the row before, or a little more. */
static inline __attribute__((always_inline)) void log_number_set(struct log_number *n, uint64_t value)
{
    const uint64_t more = value - n->value;
    const unsigned shift = 8 * (n->low_size - 1);
    if (LIKELY(more <= 9 - (n->low >> shift & 15))) {
        n->low += more << shift;
    } else {
        char text[CELL_NUMBER_MAX] = {0};
        const uint64_t high = value / 100000000;
        n->high_size = high ? (uint32_t)number_text(text, high, 0).size : 0;
        memcpy(&n->high, text, 8);
        const uint64_t digits = eight_digits((uint32_t)(value % 100000000));
        const unsigned zeros = high ? 0 : value ? (unsigned)__builtin_ctzll(digits) / 8 : 7;
        n->low = (digits + 0x3030303030303030ull) >> 8 * zeros;
        n->low_size = 8 - zeros;
    }
    n->value = value;
}

/* What a row's words and its hour mean, where it is not what they meant in the row before. */
static __attribute__((noinline)) int common_turn(struct log_run *run, uint32_t letters, uint64_t status,
                                                 uint64_t time)
{
    struct log_common *c = &run->common;
    const struct image_memo *memo = &run->scratch->image.memo;
    struct image_quick *quick = &run->quick;
    if ((letters & 0xFF) != 3 ||
        (letters >> 8 != quick->memo_letters && !image_new_currency(quick, letters >> 8)))
        return 0;
    const struct image_word *word = &memo->status[image_word_slot(status)];
    const struct image_day *day = &memo->days[image_day_slot(time)];
    if (word->raw != status || !word->meaning || day->time != time)
        return 0;
    c->letters = letters;
    c->status = status;
    c->time = time;
    c->row.status = (uint16_t)(word->meaning - 1);
    c->row.day = day->day;
    c->row.currency = quick->memo_currency;
    c->row.channel = quick->channel;
    c->row.flags = quick->flags;
    if (quick->by_date && day->day != quick->unit_day)
        c->row.flags |= RECORD_OTHER_DAY;
    return 1;
}

/* What goes into a record's head and its fold, but for what each row has of its own. */
struct record_frame {
    uint64_t words; /* day, status and channel, where struct record has them behind `place` */
    uint64_t flags; /* and currency, and the lowest byte of back_map behind what the row brings */
    uint64_t back_map;
};

_Static_assert(offsetof(struct record, day) == 24 && offsetof(struct record, key_size) == 26 &&
                   offsetof(struct record, status) == 28 && offsetof(struct record, channel) == 30 &&
                   offsetof(struct record, flags) == 32 && offsetof(struct record, currency) == 34 &&
                   offsetof(struct record, var) == 35,
               "record_frame's words are a record's fields, the first ones lowest");

static struct record_frame frame_make(const struct log_row *row, unsigned more_flags, uint32_t back_map)
{
    return (struct record_frame){
        .words = row->day | (uint64_t)row->status << 32 | (uint64_t)row->channel << 48,
        .flags =
            (uint16_t)(row->flags | more_flags) | (uint64_t)row->currency << 16 | (uint64_t)back_map << 56,
        .back_map = back_map >> 8,
    };
}

static inline __attribute__((always_inline)) void put_le64(uint8_t *to, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "a record's fields are put as words of the other byte order"
#endif
    memcpy(to, &value, sizeof value);
}

/* Three stores for seven fields and RECORD_FOLD_BYTES; a byte of what follows is written over and is written next. */
static inline __attribute__((always_inline)) void frame_put(struct record *record,
                                                            const struct record_frame *frame,
                                                            uint64_t key_size, unsigned out,
                                                            uint32_t back_event, uint32_t row_index)
{
    uint8_t *const to = (uint8_t *)record;
    put_le64(to + 24, frame->words | key_size << 16);
    put_le64(to + 32, (frame->flags | (uint64_t)back_event << 24) + out * (uint64_t)RECORD_OUT);
    put_le64(to + 40, frame->back_map | (uint64_t)row_index << 24);
}

/* ---- groups ---- */

enum { GROUP = 32 };

/* Rows side by side that lie alike and say the same words. */
struct group {
    const uint8_t *at;
    uint32_t count;
    int64_t amount[GROUP];
    uint64_t low[GROUP], hash[GROUP]; /* low: of struct log_number, whose other parts are the same for all */
};

/* Amounts and numbers up to the first row that has something which is not common, or a number of another length; how many.
 * `*sum`: of the amounts. */
LANE_INLINE uint32_t group_values(struct group *group, const struct log_plan *plan, struct log_number *number,
                                  int64_t *sum)
{
    const struct log_plan p = *plan;
    const uint8_t *row = group->at;
    const uint32_t count = group->count;
    uint64_t value = read_le64(row + p.places.occurrence) << p.number_shift >> p.number_shift;
    log_number_set(number, value);
    const unsigned digit = 8 * (number->low_size - 1);
    uint64_t low = number->low, nines = 9 - (low >> digit & 15), time_before = 0;
    int64_t total = 0;
    uint32_t i;
    for (i = 0; i < count; i++, row += p.places.size) {
        const uint64_t next = read_le64(row + p.places.occurrence) << p.number_shift >> p.number_shift,
                       more = next - value, time = read_be64(row + p.places.time);
        const uint32_t a = (read_be32(row + p.digits[0].at) ^ p.digits[0].flip) & p.digits[0].mask,
                       b = (read_be32(row + p.digits[1].at) ^ p.digits[1].flip) & p.digits[1].mask;
        /* Many rows of a statement were made at one time. */
        if (UNLIKELY(time != time_before)) {
            if (UNLIKELY(((time >> 24 & 63) >= 60) | ((time >> 30 & 63) >= 60) |
                         (((uint32_t)time & 0xFFFFFF) >> p.time_shift >= p.time_limit)))
                break;
            time_before = time;
        }
        if (UNLIKELY((a >= p.digits[0].limit) | (b >= p.digits[1].limit)))
            break;
        /* The last digit grows, or all are made anew. */
        if (LIKELY(more <= nines)) {
            low += more << digit;
            nines -= more;
        } else {
            struct log_number now = *number;
            now.value = value;
            now.low = low;
            log_number_set(&now, next);
            if (now.high != number->high || now.high_size != number->high_size ||
                now.low_size != number->low_size)
                break;
            low = now.low;
            nines = 9 - (low >> digit & 15);
        }
        value = next;
        group->low[i] = low;
        const int64_t amount =
            ((a * p.digits[0].times + b * p.digits[1].times + p.before) ^ p.negative) - p.negative;
        group->amount[i] = amount;
        total += amount;
    }
    number->value = value;
    number->low = low;
    *sum = total;
    return i;
}

LANE_INLINE void group_hash(struct group *group, const struct log_plan *plan, uint64_t seed)
{
    const uint8_t *key = group->at + plan->places.key;
    const uint32_t key_size = plan->places.key_size, size = plan->places.size, count = group->count;
    for (uint32_t i = 0; i < count; i++, key += size)
        group->hash[i] = hash_bytes(key, key_size, seed);
}

/* Where the records of a group are from and go to. */
struct group_way {
    struct outbox *outbox;
    struct record_frame frame;
    uint64_t event_place;
    uint32_t back_event, row_index; /* of the first row */
};

/* Its records; how many were put, fewer than all after a failure. */
LANE_INLINE uint32_t group_put(const struct group *group, const struct log_plan *plan,
                               const struct log_number *number, const struct group_way *to_go,
                               struct diag *diag)
{
    const struct group_way way = *to_go;
    const uint32_t key_size = plan->places.key_size, size = plan->places.size, count = group->count,
                   high_size = number->high_size;
    const uint8_t *key = group->at + plan->places.key;
    const uint64_t high = number->high;
    const uint16_t id_size = (uint16_t)(high_size + number->low_size);
    const uint32_t units = record_units(RECORD_FOLD_BYTES + key_size + 2u + id_size);
    const int is_asked = way.outbox->fresh || way.outbox->dormant, is_roomy = (units > 1) & (key_size <= 32);
    uint32_t back_event = way.back_event, i;
    for (i = 0; i < count; i++, key += size, back_event += size) {
        const uint64_t hash = group->hash[i];
        struct batch *const batch = outbox_room(way.outbox, hash, units, diag);
        if (UNLIKELY(!batch))
            break;
        struct record *const record = &batch->units[batch->used];
        const int64_t amount = group->amount[i];
        put_le64((uint8_t *)record, hash);
        record->amount_micro = amount;
        record->place = way.event_place + back_event;
        frame_put(record, &way.frame, key_size, amount < 0, back_event, way.row_index + i);
        uint8_t *to = record->var + RECORD_FOLD_BYTES, *const id = to + key_size;
        /* More than the text is written where there is room for it: what follows it is written next. */
        if (LIKELY(is_roomy)) {
            memcpy(to, key, 32);
            memcpy(id, &id_size, 2);
            memcpy(id + 2, &high, 8);
            memcpy(id + 2 + high_size, &group->low[i], 8);
        } else {
            memcpy(to, key, key_size);
            memcpy(id, &id_size, 2);
            memcpy(id + 2, &high, high_size);
            memcpy(id + 2 + high_size, &group->low[i], number->low_size);
        }
        if (UNLIKELY(is_asked))
            outbox_put_untold(way.outbox, batch, units);
        else
            outbox_put_unasked(batch, units);
    }
    return i;
}

/* The first `put` rows in the tally. 0 when memory is out. */
LANE_INLINE int group_tell(const struct group *group, uint32_t put, const struct log_plan *plan, int64_t sum,
                           uint32_t key, struct tally *tally)
{
    if (LIKELY((put == group->count) & !plan->negative))
        return tally_add_many(tally, key, put, sum);
    /* Nothing, with a sign before it, did not go out. */
    for (uint32_t i = 0; i < put; i++)
        if (!tally_add_many(tally, key | (group->amount[i] < 0 ? 2u : 0u), 1, group->amount[i]))
            return 0;
    return 1;
}

/* ---- what rows have in common ---- */

/* How the amount of the row at `at` and of those like it is read. 0: sums of such amounts may be too large. */
static int plan_amount(struct log_plan *plan, const struct decimal_groups *decimal, int64_t power,
                       const uint8_t *at)
{
    const uint32_t place = plan->places.amount, flip = at[place] & 0x80 ? 0 : UINT32_MAX;
    const int first = decimal->group[2].mask != 0; /* of the two groups that are read row by row */
    unsigned __int128 before = 0, most;
    if (first) {
        const uint32_t lead =
            (read_be32(at + (int32_t)place + decimal->group[0].end) ^ flip ^ decimal->sign) &
            decimal->group[0].mask;
        if (lead >= decimal->group[0].limit)
            return 0;
        before =
            (unsigned __int128)lead * decimal->group[1].times * decimal->group[2].times * (uint64_t)power;
    }
    for (int i = 0; i < 2; i++)
        plan->digits[i] = (struct log_digits){.flip = flip ^ (first + i == 0 ? decimal->sign : 0),
                                              .mask = decimal->group[first + i].mask,
                                              .limit = decimal->group[first + i].limit,
                                              .at = (int32_t)place + decimal->group[first + i].end};
    most = (unsigned __int128)plan->digits[0].limit * plan->digits[1].limit * (uint64_t)power;
    if (power <= 0 || (before + most) * GROUP > INT64_MAX)
        return 0;
    plan->digits[1].times = power;
    plan->digits[0].times = power * decimal->group[first + 1].times;
    plan->before = (int64_t)before;
    plan->negative = flip ? -1 : 0;
    return 1;
}

/* The row at `at` does not go with those before: where its values lie, and what its words mean. 0: it is left to others. */
static __attribute__((noinline)) int common_shape(struct log_common_rows *rows)
{
    struct binlog_lanes *const b = rows->lanes;
    struct log_run *const run = rows->run;
    const uint8_t *const at = rows->at;
    const struct binlog_lane *lane = b->lane;
    struct log_common *const c = &run->common;
    struct log_plan *const plan = &c->plan;
    struct binlog_places *const places = &plan->places;
    const uint64_t nulls = read_le64(at) & lane->null_mask;
    if (nulls != lane->nulls) {
        lane = binlog_lane_find(b->version, b->plan, nulls);
        if (!lane || !lane->is_common)
            return 0;
        b->lane = lane;
    }
    if ((size_t)(b->readable - at) <= lane->reach + LANE_READ_MAX ||
        !binlog_shape_turn(b->shapes, &c->shape, places, lane, at) || places->size > (size_t)(b->end - at) ||
        text_is_shortened((struct span){(const char *)at + places->key, places->key_size}) ||
        !plan_amount(plan, &lane->amount.decimal, run->quick.amount_power[lane->amount.scale + 1], at))
        return 0;
    plan->number_shift = lane->occurrence.shift;
    plan->time_shift = lane->time.shift;
    plan->time_limit = lane->time.limit;
    /* Below 10^16, and so are all with the same highest bytes. */
    const uint64_t high = read_le64(at + places->occurrence) << plan->number_shift;
    if ((high >> plan->number_shift | 0xFFFFFFFFFFFF) >= 10000000000000000u ||
        (lane->occurrence.is_unsigned != 1 && high >> 63))
        return 0;
    const uint32_t letters = read_le32(at + places->currency);
    const uint64_t status = read_le64(at + places->status) << lane->status.shift >> lane->status.shift,
                   time = read_be64(at + places->time) >> 36;
    return ((letters == c->letters) & (status == c->status) & (time == c->time)) ||
           common_turn(run, letters, status, time);
}

/* `same`: binlog_shape_same. */
LANE_INLINE enum err common_rows(struct log_common_rows *rows, binlog_shape_same_fn *same, struct diag *diag)
{
    struct log_run *const run = rows->run;
    struct binlog_lanes *const b = rows->lanes;
    const uint32_t back_map = (uint32_t)(b->row->event_offset - b->row->table_map_offset);
    const uint8_t *const event = b->at - (b->offset - b->row->event_offset);
    struct log_common *const c = &run->common;
    const struct log_plan *const plan = &c->plan;
    struct group group;
    struct group_way way = {.outbox = run->outbox, .event_place = run->base + b->row->event_offset};
    enum err err = OK;
    uint32_t since = 0; /* rows like the shape */
    if (!run->is_ready || (size_t)(b->readable - rows->at) <= SHAPE_BYTES + SHAPE_READ + LANE_READ_MAX)
        return OK;
    const uint8_t *const stop = b->readable - (SHAPE_BYTES + SHAPE_READ + LANE_READ_MAX);
    way.frame = frame_make(&c->row, rows->more_flags, back_map);
    while (err == OK && rows->at < stop && rows->at != b->end) {
        const struct binlog_shape *shape = c->shape;
        if (UNLIKELY(!shape || plan->places.size > (size_t)(b->end - rows->at) || !same(shape, rows->at))) {
            b->shapes->taken += since;
            since = 0;
            if (!common_shape(rows)) {
                c->shape = NULL;
                break;
            }
            shape = c->shape;
            way.frame = frame_make(&c->row, rows->more_flags, back_map);
        }
        group.at = rows->at;
        group.count = 1;
        if (LIKELY(shape != NULL)) {
            const uint8_t *last = b->end - plan->places.size, *row = rows->at + plan->places.size;
            if (last >= stop)
                last = stop - 1;
            for (; group.count < c->group && row <= last && same(shape, row); row += plan->places.size)
                group.count++;
        }
        int64_t sum;
        group.count = group_values(&group, plan, &c->number, &sum);
        if (UNLIKELY(group.count == 0)) {
            c->group = 1;
            break;
        }
        c->group = c->group < GROUP ? 2 * c->group : GROUP;
        group_hash(&group, plan, run->quick.hash_seed);
        way.row_index = rows->row_index;
        way.back_event = (uint32_t)(rows->at - event);
        const uint32_t put = group_put(&group, plan, &c->number, &way, diag);
        if (UNLIKELY(put < group.count))
            err = diag->err;
        const uint32_t key = tally_key(c->row.flags & RECORD_CHANNEL, c->row.day, c->row.currency, 0);
        if (UNLIKELY(!group_tell(&group, put, plan, sum, key, &run->outbox->tally)) && err == OK)
            err = outbox_no_memory(diag);
        rows->row_index += put;
        rows->at += (size_t)put * plan->places.size;
        since += put;
        c->alike += put - (put != 0);
    }
    b->shapes->taken += since;
    return err;
}

static __attribute__((noinline)) enum err common_run(struct log_common_rows *rows, struct diag *diag)
{
    return common_rows(rows, binlog_shape_same, diag);
}

#if defined(__x86_64__)
static __attribute__((noinline, target("avx512f,bmi,bmi2,movbe"))) enum err
common_run_512(struct log_common_rows *rows, struct diag *diag)
{
    return common_rows(rows, binlog_shape_same_512, diag);
}
#endif

enum err log_common_run(struct log_common_rows *rows, struct diag *diag)
{
#if defined(__x86_64__)
    if (csv_scan_kernel() == CSV_KERNEL_AVX512)
        return common_run_512(rows, diag);
#endif
    return common_run(rows, diag);
}
