/* io/source/log_common.c: see log_common.h. A hot file: no options asked, no allocation and no logging per row. */
#include "io/source/log_common.h"
#include "core/base/short.h"
#include "core/rules/image_quick.h"
#include "io/format/csv_scan.h"
#include "io/source/log_run.h"
#include <stddef.h>

/* What `value` has in common with the numbers around it. */
static __attribute__((noinline)) void number_turn(struct log_number *n, uint64_t value)
{
    const uint64_t high = value / 100000000;
    *n = (struct log_number){.from = high * 100000000, .span = 100000000, .low_size = 8};
    n->zero = n->from;
    if (high) {
        char text[CELL_NUMBER_MAX] = {0};
        n->high_size = (uint32_t)number_text(text, high, 0).size;
        memcpy(&n->high, text, 8);
        return;
    }
    uint64_t more = 10000000; /* the least of as many digits */
    for (; more > 1 && value < more; more /= 10)
        n->low_size--;
    n->from = more > 1 ? more : 0;
    n->span = 10 * more - n->from;
}

/* Before the first of some rows. */
static inline void number_begin(struct log_number *n, uint64_t value)
{
    if (UNLIKELY(value - n->from >= n->span))
        number_turn(n, value);
}

/* What a row's words and its hour mean, where it is not what they meant in the row before. */
static __attribute__((noinline)) int common_turn(struct log_run *run, struct log_common *c, uint32_t letters,
                                                 uint64_t status, uint64_t time)
{
    const struct image_memo *memo = &run->scratch->image.memo;
    struct image_quick *quick = &run->quick;
    if ((letters & 0xFF) != 3 ||
        (letters >> 8 != quick->memo_letters && !image_new_currency(quick, letters >> 8)))
        return 0;
    const struct image_word *word = &memo->status[image_word_slot(status)];
    const struct image_day *day = &memo->days[image_day_slot(time)];
    if (word->raw != status || !word->meaning || day->time != time)
        return 0;
    if (UNLIKELY(run->one_day) && day->day != quick->unit_day)
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
                   offsetof(struct record, var) == RECORD_HEAD_BYTES,
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

/* ---- groups ---- */

enum { LANES = 8 };

/* Of the rows that wait. */
struct group {
    int64_t amount[LOG_GROUP];
    uint64_t low[LOG_GROUP], hash[LOG_GROUP]; /* low: the last eight digits of the number, as text */
};

/* 64-bit numbers of LANES rows; where a machine's vectors are shorter the compiler takes some of them. */
typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

/* An amount's last two groups of digits lie in eight bytes: the first in the upper half. */
#define DIGITS_A(p, bytes) (((bytes) >> 32 ^ (p).digits[0].flip) & (p).digits[0].mask)
#define DIGITS_B(p, bytes) (((bytes) >> (p).second ^ (p).digits[1].flip) & (p).digits[1].mask)
/* Is anything of a row not as it must be: its number, the rest? Of numbers, or of lanes. */
#define IS_OTHER(n, number) ((number) - (n).from >= (n).span)
#define ARE_ODD(p, time, a, b)                                                                               \
    ((((time) >> 24 & 63) >= 60u) | (((time) >> 30 & 63) >= 60u) |                                           \
     (((time)&0xFFFFFFu) >> (p).time_shift >= (p).time_limit) | ((a) >= (p).digits[0].limit) |               \
     ((b) >= (p).digits[1].limit))

#define LOG_VALUES group_values_plain
#define LOG_TARGET
#include "io/source/log_values.h"
#if defined(__x86_64__)
#define TARGET_256 __attribute__((target("avx2,bmi,bmi2,movbe")))
#define TARGET_512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,movbe")))
#define LOG_VALUES group_values_256
#define LOG_TARGET TARGET_256
#include "io/source/log_values.h"
#define LOG_VALUES group_values_512
#define LOG_TARGET TARGET_512
#include "io/source/log_values.h"
#endif

/* `was`: of changes, how what rows were is read; else NULL. */
typedef uint32_t group_values_fn(struct group *group, const struct log_group *rows,
                                 const struct log_plan *plan, const struct log_plan *was,
                                 struct log_number *number, int64_t *sum);

LANE_INLINE void group_hash(struct group *group, const struct log_group *rows, uint32_t count,
                            const struct log_plan *plan, uint64_t seed)
{
    const uint32_t key = plan->places.key, key_size = plan->places.key_size;
    for (uint32_t i = 0; i < count; i++)
        group->hash[i] = hash_bytes(rows->row[i] + key, key_size, seed);
}

/* What all records of a group have alike, and what each has of its own. */
struct group_frame {
    uint64_t words, high;
    uint32_t key_at, key_size, high_size, low_size, units;
    uint16_t id_size;
    uint64_t flags[LOG_GROUP], tail[LOG_GROUP];
};

LANE_INLINE void group_frame_make(struct group_frame *f, const struct group *group,
                                  const struct log_group *rows, const struct log_common *common)
{
    const struct record_frame frame = frame_make(&common->row, rows->more_flags, rows->back_map);
    f->key_at = common->plan.places.key;
    f->key_size = common->plan.places.key_size;
    f->high_size = common->number.high_size;
    f->low_size = common->number.low_size;
    f->high = common->number.high;
    f->words = frame.words | (uint64_t)f->key_size << 16;
    f->id_size = (uint16_t)(f->high_size + f->low_size);
    f->units = record_units(RECORD_FOLD_BYTES + f->key_size + 2u + f->id_size);
    /* All of it, whatever stands behind the rows: whole vectors. */
    for (uint32_t i = 0; i < LOG_GROUP; i++) {
        f->flags[i] = (frame.flags | (uint64_t)rows->back_event[i] << 24) +
                      ((uint64_t)group->amount[i] >> 63) * RECORD_OUT;
        f->tail[i] = frame.back_map | (uint64_t)rows->row_index[i] << 24;
    }
}

/* Words for the small fields and RECORD_FOLD_BYTES; a byte of what follows is written over and is written next. */
LANE_INLINE void record_begin(uint8_t *head, uint64_t hash, int64_t amount, uint64_t place, uint64_t words,
                              uint64_t flags, uint64_t tail)
{
    log_put_le64(head, hash);
    log_put_le64(head + 8, (uint64_t)amount);
    log_put_le64(head + 16, place);
    log_put_le64(head + 24, words);
    log_put_le64(head + 32, flags);
    log_put_le64(head + 40, tail);
}

/* Where more than the texts can be written: what follows them is written next. */
static inline int is_roomy(const struct group_frame *f)
{
    return (f->units > 1) & (f->key_size <= 32);
}

/* The records of the first `count` rows, all of one batch; how many were put, fewer than all after a failure. */
LANE_INLINE uint32_t group_put_plain(const struct group *group, const struct log_group *rows, uint32_t count,
                                     const struct group_frame *frame, uint64_t seed, struct outbox *outbox,
                                     struct diag *diag)
{
    const struct hash_short hash = hash_short_make(frame->key_size, seed);
    const uint64_t place = rows->place, words = frame->words, high = frame->high;
    const uint32_t key_at = frame->key_at, id_at = RECORD_HEAD_BYTES + RECORD_FOLD_BYTES + frame->key_size,
                   low_at = id_at + 2 + frame->high_size, units = frame->units;
    const uint16_t id_size = frame->id_size;
    uint32_t i = 0;
    while (i < count) {
        uint32_t here = count - i;
        struct batch *const batch = outbox_rooms(outbox, units, &here, diag);
        if (UNLIKELY(!batch))
            break;
        uint8_t *to = (uint8_t *)&batch->units[batch->used];
        batch->used += here * units;
        batch->count += here;
        for (const uint32_t end = i + here; i < end; i++, to += units * RECORD_UNIT) {
            const uint8_t *const row = rows->row[i], *const key = row + key_at;
            record_begin(to, hash_short_bytes(&hash, key), group->amount[i], place + (uintptr_t)row, words,
                         frame->flags[i], frame->tail[i]);
            memcpy(to + RECORD_HEAD_BYTES + RECORD_FOLD_BYTES, key, 32);
            memcpy(to + id_at, &id_size, 2);
            memcpy(to + id_at + 2, &high, 8);
            memcpy(to + low_at, &group->low[i], 8);
        }
    }
    return i;
}

/* The same into the batch of each record's shard. */
LANE_INLINE uint32_t group_put(const struct group *group, const struct log_group *rows, uint32_t count,
                               const struct group_frame *frame, struct outbox *outbox, struct diag *diag)
{
    const uint32_t key_size = frame->key_size, high_size = frame->high_size, units = frame->units;
    const int is_asked = outbox->fresh || outbox->dormant, roomy = is_roomy(frame);
    uint32_t i;
    for (i = 0; i < count; i++) {
        const uint64_t hash = group->hash[i];
        const uint8_t *const row = rows->row[i], *const key = row + frame->key_at;
        struct batch *const batch = outbox_room(outbox, hash, units, diag);
        if (UNLIKELY(!batch))
            break;
        struct record *const record = &batch->units[batch->used];
        uint8_t *const to = record->var + RECORD_FOLD_BYTES, *const id = to + key_size;
        record_begin((uint8_t *)record, hash, group->amount[i], rows->place + (uintptr_t)row, frame->words,
                     frame->flags[i], frame->tail[i]);
        if (LIKELY(roomy)) {
            memcpy(to, key, 32);
            memcpy(id, &frame->id_size, 2);
            memcpy(id + 2, &frame->high, 8);
            memcpy(id + 2 + high_size, &group->low[i], 8);
        } else {
            memcpy(to, key, key_size);
            memcpy(id, &frame->id_size, 2);
            memcpy(id + 2, &frame->high, high_size);
            memcpy(id + 2 + high_size, &group->low[i], frame->low_size);
        }
        if (UNLIKELY(is_asked))
            outbox_put_untold(outbox, batch, units);
        else
            outbox_put_unasked(batch, units);
    }
    return i;
}

/* The first `put` rows in the tally. 0 when memory is out. */
LANE_INLINE int group_tell(const struct group *group, uint32_t put, int is_whole, const struct log_plan *plan,
                           int64_t sum, uint32_t key, struct tally *tally)
{
    if (LIKELY(is_whole & !plan->negative))
        return tally_add_many(tally, key, put, sum);
    /* Nothing, with a sign before it, did not go out. */
    for (uint32_t i = 0; i < put; i++)
        if (!tally_add_many(tally, key | (group->amount[i] < 0 ? 2u : 0u), 1, group->amount[i]))
            return 0;
    return 1;
}

/* What waits becomes records, up to the first row that is not common after all; how many. Then nothing waits. */
LANE_INLINE uint32_t group_out(struct log_run *run, struct log_common *c, group_values_fn *values,
                               enum err *err, struct diag *diag)
{
    struct group group;
    int64_t sum;
    if (c->waiting.count == 0)
        return 0;
    const uint32_t count = values(&group, &c->waiting, &c->plan,
                                  c->waiting.before_size ? &c->before.plan : NULL, &c->number, &sum);
    struct group_frame frame;
    group_frame_make(&frame, &group, &c->waiting, c);
    uint32_t put;
    if (LIKELY(is_roomy(&frame) & (frame.key_size >= HASH_SHORT_MIN) && outbox_is_plain(run->outbox))) {
        put = group_put_plain(&group, &c->waiting, count, &frame, run->quick.hash_seed, run->outbox, diag);
    } else {
        group_hash(&group, &c->waiting, count, &c->plan, run->quick.hash_seed);
        put = group_put(&group, &c->waiting, count, &frame, run->outbox, diag);
    }
    if (UNLIKELY(put < count))
        *err = diag->err;
    const uint32_t key = tally_key(c->row.flags & RECORD_CHANNEL, c->row.day, c->row.currency, 0);
    if (UNLIKELY(!group_tell(&group, put, put == count, &c->plan, sum, key, &run->outbox->tally)) &&
        *err == OK)
        *err = outbox_no_memory(diag);
    c->waiting.count = 0;
    c->alike += put - (put != 0);
    return put;
}

typedef uint32_t group_out_fn(struct log_run *run, struct log_common *common, enum err *err,
                              struct diag *diag);

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
    plan->second = (unsigned)(32 - 8 * (plan->digits[1].at - plan->digits[0].at));
    most = (unsigned __int128)plan->digits[0].limit * plan->digits[1].limit * (uint64_t)power;
    if (power <= 0 || (before + most) * LOG_GROUP > INT64_MAX)
        return 0;
    plan->digits[1].times = power;
    plan->digits[0].times = power * decimal->group[first + 1].times;
    plan->before = (int64_t)before;
    plan->negative = flip ? -1 : 0;
    return 1;
}

/* The row at `at` does not go with those before: where its values lie, and what its words mean. 0: it is left to others. */
static __attribute__((noinline)) int common_shape(struct log_common_rows *rows, const uint8_t *at)
{
    struct binlog_lanes *const b = rows->lanes;
    struct log_run *const run = rows->run;
    const struct binlog_lane *lane = b->lane;
    struct log_common *const c = rows->common;
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
           common_turn(run, c, letters, status, time);
}

static inline uint64_t row_number(const struct log_plan *plan, const uint8_t *row)
{
    return read_le64(row + plan->places.occurrence) << plan->number_shift >> plan->number_shift;
}

/* Is anything but its number not as it must be, of a row that lies like the others? */
static inline int values_are_odd(const struct log_plan *plan, const uint8_t *row)
{
    const uint64_t time = read_be64(row + plan->places.time), bytes = read_be64(row + plan->digits[0].at),
                   a = DIGITS_A(*plan, bytes), b = DIGITS_B(*plan, bytes);
    return ARE_ODD(*plan, time, a, b);
}

/* Is a row that lies like the others not common after all? Of a change: or what it was? */
static inline int row_is_odd(const struct log_common *c, const uint8_t *row, uint32_t before_size)
{
    const uint64_t number = row_number(&c->plan, row);
    int is_odd = IS_OTHER(c->number, number) | values_are_odd(&c->plan, row);
    if (before_size) {
        const uint8_t *const before = row - before_size;
        is_odd |= row_number(&c->before.plan, before) != number;
        is_odd |= values_are_odd(&c->before.plan, before);
    }
    return is_odd;
}

/* `count` rows side by side from `at` on, `size` bytes each with what they were before, behind those that wait. */
static inline void group_add(struct log_group *group, const uint8_t *at, uint32_t before_size, uint32_t size,
                             uint32_t count, uint32_t back_event, uint32_t row_index)
{
    const uint32_t from = group->count;
    for (uint32_t i = 0; i < count; i++) {
        group->row[from + i] = at + before_size + (size_t)i * size;
        group->back_event[from + i] = back_event + i * size;
        group->row_index[from + i] = row_index + i;
    }
    group->count = from + count;
}

/* What waits becomes records. Rows of this event that turn out to be odd, and those behind them, are the event's next again. 0: the
 * next one is odd itself, or it failed. */
LANE_INLINE int common_out(struct log_common_rows *rows, group_out_fn *out, enum err *err, struct diag *diag)
{
    struct log_common *const c = rows->common;
    const uint32_t count = c->waiting.count, put = out(rows->run, c, err, diag);
    if (UNLIKELY(*err != OK))
        return 0;
    if (UNLIKELY(put < count)) {
        rows->at = c->waiting.row[put] - c->waiting.before_size;
        rows->row_index = c->waiting.row_index[put];
        if (put == 0) {
            c->group = 1;
            return 0;
        }
    }
    c->group = c->group < LOG_GROUP ? 2 * c->group : LOG_GROUP;
    return 1;
}

/* Before the rows of an event: those that wait and do not go with them become records. 0: it is left to others, or it failed.
 * `far`: bytes behind a row that can be read. */
LANE_INLINE int common_begin(struct log_common_rows *rows, size_t far, enum err *err, struct diag *diag)
{
    const struct binlog_lanes *const b = rows->lanes;
    struct log_group *const waiting = &rows->common->waiting;
    const uint32_t back_map = (uint32_t)(b->row->event_offset - b->row->table_map_offset);
    const int is_far = (size_t)(b->readable - rows->at) > far;
    if (waiting->count &&
        (!is_far || waiting->more_flags != rows->more_flags || waiting->back_map != back_map))
        *err = log_common_end(rows->run, rows->common, diag);
    waiting->back_map = back_map;
    waiting->more_flags = rows->more_flags;
    return rows->run->is_ready && is_far && *err == OK;
}

/* The rows that were added of an event, from `mine` on, wait if it ends here: once it is left nothing of it may turn out to be odd. */
LANE_INLINE void common_leave(struct log_common_rows *rows, group_out_fn *out, uint32_t mine, enum err *err,
                              struct diag *diag)
{
    struct log_common *const c = rows->common;
    const struct log_group *const waiting = &c->waiting;
    int is_left = rows->at == rows->lanes->end;
    if (mine == 0 && waiting->count)
        number_begin(&c->number, row_number(&c->plan, waiting->row[0]));
    for (uint32_t i = mine; i < waiting->count; i++)
        is_left &= !row_is_odd(c, waiting->row[i], waiting->before_size);
    if (UNLIKELY(!is_left) && waiting->count && *err == OK)
        common_out(rows, out, err, diag);
}

/* `alike`: binlog_shape_alike; `out`: group_out. */
LANE_INLINE enum err common_rows(struct log_common_rows *rows, binlog_shape_alike_fn *alike,
                                 group_out_fn *out, struct diag *diag)
{
    const size_t far = SHAPE_BYTES + SHAPE_READ + LANE_READ_MAX;
    struct binlog_lanes *const b = rows->lanes;
    const uint8_t *const event = b->at - (b->offset - b->row->event_offset);
    struct log_common *const c = rows->common;
    struct log_group *const waiting = &c->waiting;
    enum err err = OK;
    uint32_t since = 0; /* rows like the shape */
    if (!common_begin(rows, far, &err, diag))
        return err;
    const uint8_t *const stop = b->readable - far;
    waiting->place = rows->run->base + b->offset - (uintptr_t)b->at;
    uint32_t mine = waiting->count; /* the first of this event */
    int is_on = 1;
    while (is_on && rows->at < stop && rows->at != b->end) {
        uint32_t count = 0, size = c->plan.places.size;
        if (LIKELY(c->shape != NULL)) {
            /* Rows that begin before `stop` and end before the event does. */
            const uint8_t *const last =
                b->end - rows->at < stop + size - 1 - rows->at ? b->end : stop + size - 1;
            const uint32_t left = (uint32_t)(last - rows->at) / size, room = c->group - waiting->count;
            count = alike(c->shape, rows->at, left < room ? left : room);
        }
        if (UNLIKELY(count == 0)) {
            /* What waits goes first: what it has in common is forgotten now. */
            if (waiting->count) {
                is_on = common_out(rows, out, &err, diag);
                mine = 0;
                continue;
            }
            b->shapes->taken += since;
            since = 0;
            if (!common_shape(rows, rows->at)) {
                c->shape = NULL;
                break;
            }
            size = c->plan.places.size;
            count = 1;
        }
        group_add(waiting, rows->at, 0, size, count, (uint32_t)(rows->at - event), rows->row_index);
        rows->row_index += count;
        rows->at += (size_t)count * size;
        since += count;
        if (waiting->count >= c->group || !c->shape ||
            (rows->at == b->end && rows->at - b->at > LANES * size)) {
            is_on = common_out(rows, out, &err, diag);
            mine = 0;
        }
    }
    common_leave(rows, out, mine, &err, diag);
    b->shapes->taken += since;
    return err;
}

/* ---- changes ---- */

/* How the row at `at` lay before its change, where it does not lie as those before. 0: it is left to others. */
static __attribute__((noinline)) int before_shape(struct log_common_rows *rows, const uint8_t *at)
{
    struct binlog_lanes *const b = rows->lanes;
    struct log_before *const before = &rows->common->before;
    struct log_plan *const plan = &before->plan;
    uint64_t nulls = read_le64(at);
    if (b->lane->null_mask)
        nulls &= b->lane->null_mask;
    const struct binlog_lane *const lane = binlog_lane_find(b->version, b->plan, nulls);
    if (!lane || !lane->is_common || (size_t)(b->readable - at) <= lane->reach + LANE_READ_MAX ||
        !binlog_shape_turn(b->before_shapes, &before->shape, &plan->places, lane, at) || !before->shape ||
        plan->places.size > (size_t)(b->end - at) || !plan_amount(plan, &lane->amount.decimal, 1, at) ||
        /* What was no time stops (binlog_rows_step). */
        !image_hour_is_known(&rows->run->scratch->image.memo, read_be64(at + plan->places.time) >> 36)) {
        before->shape = NULL;
        return 0;
    }
    plan->number_shift = lane->occurrence.shift;
    plan->time_shift = lane->time.shift;
    plan->time_limit = lane->time.limit;
    return 1;
}

/* How many changes side by side from rows->at on are like those before; `most` at most. */
LANE_INLINE uint32_t changes_alike(const struct log_common_rows *rows, binlog_shape_changes_fn *alike,
                                   const uint8_t *stop, uint32_t most)
{
    const struct log_common *const c = rows->common;
    const struct binlog_shape *const was = c->before.shape;
    if (UNLIKELY(!was || !c->shape || was->places.size != c->waiting.before_size ||
                 was->places.key_size != c->plan.places.key_size))
        return 0;
    /* What they are begins before `stop`, and the event does not end before they do. */
    const size_t both = was->places.size + c->plan.places.size, before_stop = (size_t)(stop - rows->at),
                 left = (size_t)(rows->lanes->end - rows->at) / both;
    if (before_stop <= was->places.size)
        return 0;
    const size_t here = (before_stop - was->places.size - 1) / both + 1;
    if (most > left)
        most = (uint32_t)left;
    return alike(was, c->shape, rows->at, here < most ? (uint32_t)here : most);
}

LANE_INLINE enum err common_changes(struct log_common_rows *rows, binlog_shape_changes_fn *alike,
                                    group_out_fn *out, struct diag *diag)
{
    const size_t far = 2 * (SHAPE_BYTES + SHAPE_READ + LANE_READ_MAX); /* two images */
    struct binlog_lanes *const b = rows->lanes;
    const uint8_t *const event = b->at - (b->offset - b->row->event_offset);
    struct log_common *const c = rows->common;
    struct log_group *const waiting = &c->waiting;
    enum err err = OK;
    if (!common_begin(rows, far, &err, diag))
        return err;
    const uint8_t *const stop = b->readable - far;
    uint32_t mine = waiting->count, since = 0;
    int is_on = 1;
    while (is_on && rows->at < stop && rows->at != b->end) {
        const uint8_t *const at = rows->at;
        uint32_t count = changes_alike(rows, alike, stop, c->group - waiting->count);
        if (UNLIKELY(count == 0)) {
            /* What waits goes first: what it has in common is forgotten now. */
            if (waiting->count) {
                is_on = common_out(rows, out, &err, diag);
                mine = 0;
                continue;
            }
            b->before_shapes->taken += since;
            b->shapes->taken += since;
            since = 0;
            if (!before_shape(rows, at))
                break;
            const uint8_t *const row = at + c->before.shape->places.size;
            if (row >= stop || row >= b->end || !common_shape(rows, row)) {
                c->shape = NULL;
                break;
            }
            const struct binlog_places *const was = &c->before.plan.places, *const is = &c->plan.places;
            if (was->key_size != is->key_size || !short_equal(at + was->key, row + is->key, is->key_size))
                break;
            waiting->before_size = was->size;
            count = 1;
        }
        const uint32_t before_size = waiting->before_size, size = before_size + c->plan.places.size;
        waiting->place = rows->run->base + b->offset - (uintptr_t)b->at - before_size;
        group_add(waiting, at, before_size, size, count, (uint32_t)(at - event), rows->row_index);
        rows->row_index += count;
        rows->at += (size_t)count * size;
        since += count;
        if (waiting->count >= c->group || !c->shape ||
            (rows->at == b->end && rows->at - b->at > LANES * size)) {
            is_on = common_out(rows, out, &err, diag);
            mine = 0;
        }
    }
    common_leave(rows, out, mine, &err, diag);
    b->shapes->taken += since;
    b->before_shapes->taken += since;
    return err;
}

LANE_INLINE int common_one(struct log_common *c, const struct binlog_lanes *b, unsigned more_flags,
                           binlog_shape_alike_fn *alike)
{
    struct log_group *const waiting = &c->waiting;
    const uint8_t *const row = b->at;
    const uint64_t back_event = b->offset - b->row->event_offset;
    if (waiting->count == 0 || waiting->count + 1 >= c->group || !c->shape ||
        waiting->more_flags != more_flags || (size_t)(b->end - row) != c->plan.places.size ||
        (size_t)(b->readable - row) <= SHAPE_BYTES + SHAPE_READ + LANE_READ_MAX ||
        waiting->back_map != b->row->event_offset - b->row->table_map_offset || back_event > UINT32_MAX ||
        !alike(c->shape, row, 1) || row_is_odd(c, row, 0))
        return 0;
    group_add(waiting, row, 0, c->plan.places.size, 1, (uint32_t)back_event, b->row_index);
    b->shapes->taken++;
    return 1;
}

LANE_INLINE int common_one_change(struct log_common *c, const struct binlog_lanes *b,
                                  binlog_shape_changes_fn *alike)
{
    struct log_group *const waiting = &c->waiting;
    const struct binlog_shape *const was = c->before.shape;
    const uint32_t before_size = waiting->before_size;
    const uint8_t *const at = b->at, *const row = at + before_size;
    const uint64_t back_event = b->offset - b->row->event_offset;
    if (waiting->count == 0 || waiting->count + 1 >= c->group || !c->shape || !was ||
        was->places.size != before_size || waiting->more_flags != 0 ||
        (size_t)(b->end - at) != before_size + c->plan.places.size ||
        (size_t)(b->readable - at) <= before_size + SHAPE_BYTES + SHAPE_READ + LANE_READ_MAX ||
        waiting->back_map != b->row->event_offset - b->row->table_map_offset || back_event > UINT32_MAX ||
        was->places.key_size != c->plan.places.key_size || !alike(was, c->shape, at, 1) ||
        row_is_odd(c, row, before_size))
        return 0;
    group_add(waiting, at, before_size, before_size + c->plan.places.size, 1, (uint32_t)back_event,
              b->row_index);
    b->shapes->taken++;
    b->before_shapes->taken++;
    return 1;
}

#define COMMON_ROAD(name, target_of, rows_alike, changes_are_alike)                                          \
    target_of static __attribute__((noinline))                                                               \
    uint32_t group_out##name(struct log_run *run, struct log_common *c, enum err *err, struct diag *diag)    \
    {                                                                                                        \
        return group_out(run, c, group_values##name, err, diag);                                             \
    }                                                                                                        \
    target_of static                                                                                         \
        __attribute__((noinline)) enum err common_run##name(struct log_common_rows *rows, struct diag *diag) \
    {                                                                                                        \
        return common_rows(rows, rows_alike, group_out##name, diag);                                         \
    }                                                                                                        \
    target_of static __attribute__((noinline)) enum err common_changes##name(struct log_common_rows *rows,   \
                                                                             struct diag *diag)              \
    {                                                                                                        \
        return common_changes(rows, changes_are_alike, group_out##name, diag);                               \
    }                                                                                                        \
    target_of static int common_one##name(struct log_common *c, const struct binlog_lanes *b,                \
                                          unsigned more_flags)                                               \
    {                                                                                                        \
        return common_one(c, b, more_flags, rows_alike);                                                     \
    }                                                                                                        \
    target_of static int common_one_change##name(struct log_common *c, const struct binlog_lanes *b)         \
    {                                                                                                        \
        return common_one_change(c, b, changes_are_alike);                                                   \
    }

COMMON_ROAD(_plain, , binlog_shape_alike, binlog_shape_changes)
#if defined(__x86_64__)
COMMON_ROAD(_256, TARGET_256, binlog_shape_alike, binlog_shape_changes)
COMMON_ROAD(_512, TARGET_512, binlog_shape_alike_512, binlog_shape_changes_512)
#endif

static const struct {
    enum err (*run)(struct log_common_rows *rows, struct diag *diag);
    enum err (*changes)(struct log_common_rows *rows, struct diag *diag);
    group_out_fn *out;
    int (*one)(struct log_common *common, const struct binlog_lanes *lanes, unsigned more_flags);
    int (*one_change)(struct log_common *common, const struct binlog_lanes *lanes);
} roads[CSV_KERNELS] = {
    [CSV_KERNEL_SCALAR] = {common_run_plain, common_changes_plain, group_out_plain, common_one_plain,
                           common_one_change_plain},
#if defined(__x86_64__)
    [CSV_KERNEL_AVX2] = {common_run_256, common_changes_256, group_out_256, common_one_256,
                         common_one_change_256},
    [CSV_KERNEL_AVX512] = {common_run_512, common_changes_512, group_out_512, common_one_512,
                           common_one_change_512},
#endif
};

enum err log_common_run(struct log_common_rows *rows, struct diag *diag)
{
    return roads[csv_scan_kernel()].run(rows, diag);
}

enum err log_common_changes(struct log_common_rows *rows, struct diag *diag)
{
    return roads[csv_scan_kernel()].changes(rows, diag);
}

int log_common_one(struct log_common *common, const struct binlog_lanes *b, unsigned more_flags)
{
    return roads[csv_scan_kernel()].one(common, b, more_flags);
}

int log_common_one_change(struct log_common *common, const struct binlog_lanes *b)
{
    return roads[csv_scan_kernel()].one_change(common, b);
}

enum err log_common_end(struct log_run *run, struct log_common *c, struct diag *diag)
{
    const uint32_t count = c->waiting.count;
    enum err err = OK;
    if (count) {
        const uint32_t put = roads[csv_scan_kernel()].out(run, c, &err, diag);
        CHECK2(put == count || err != OK, put, count);
    }
    return err;
}
