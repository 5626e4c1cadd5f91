/* io/source/log_run.c: see log_run.h. A hot file: no options asked, no allocation and no logging per row. */
#include "io/source/log_run.h"
#include "core/base/check.h"
#include "core/rules/image_quick.h"
#include <stddef.h>

enum { MISSES_FREE = 1000 };

void log_run_begin(struct log_run *run, const struct normalizer *normalizer)
{
    run->normalizer = normalizer;
    run->plan = normalizer_image(normalizer);
    run->misses = 0;
    run->may_learn = run->is_ready = 0;
    run->common = (struct log_common){.time = LOG_TIME_NONE, .number = {.low = '0', .low_size = 1}};
}

static inline int spans_equal(struct span a, uint64_t number_a, struct span b, uint64_t number_b)
{
    if (!a.data || !b.data)
        return a.data == b.data && number_a == number_b;
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* ---- rows of the commonest tables ---- */

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

/* INSERT and DELETE of tables whose order number is a text, whose key is a number, and so on (lane->is_common), row after row up
 * to the first that is not like that. */
static enum err run_common(struct log_run *run, const struct binlog_lanes *b, const uint8_t **from,
                           uint32_t *row_index, unsigned more_flags, struct diag *diag)
{
    const struct binlog_lane *const lane = b->lane;
    const uint8_t *const end = b->end;
    const uint32_t count = lane->length_count, key_length = lane->key.from;
    const uint32_t back_map = (uint32_t)(b->row->event_offset - b->row->table_map_offset);
    const int64_t power = run->quick.amount_power[lane->amount.scale + 1];
    const uint8_t *at = *from, *const event = b->at - (b->offset - b->row->event_offset);
    const uint64_t event_place = run->base + b->row->event_offset;
    const uint64_t sign_bit = (uint64_t)(lane->occurrence.is_unsigned != 1) << 63;
    struct log_common *const c = &run->common;
    struct outbox *const outbox = run->outbox;
    struct tally_run sums = {0};
    struct record_frame frame = frame_make(&c->row, more_flags, back_map);
    enum err err = OK;
    if (!run->is_ready || power == 0 || count > LANE_SHORT_MAX ||
        (size_t)(b->readable - at) <= lane->reach + LANE_READ_MAX)
        return OK;
    const uint8_t *const stop = b->readable - (lane->reach + LANE_READ_MAX);
    if (c->time != LOG_TIME_NONE)
        sums.key = tally_key(c->row.flags & RECORD_CHANNEL, c->row.day, c->row.currency, 0);
    while (at < stop && (read_le64(at) & lane->null_mask) == lane->nulls) {
        const uint8_t *lengths[LANE_SHORT_MAX + 1];
        const uint8_t *const p = lane_hop(lane, lengths, at);
        if (UNLIKELY(p > end))
            break;
        const uint32_t letters = read_le32(lengths[lane->currency.from]);
        uint64_t status;
        lane_word(&status, &lane->status, lengths, 1);
        uint64_t time;
        int64_t amount;
        const uint64_t number_high = read_le64(lengths[lane->occurrence.from] - lane->occurrence.back)
                                     << lane->occurrence.shift;
        const uint64_t number = number_high >> lane->occurrence.shift;
        const struct span key = {(const char *)lengths[key_length] + 1, *lengths[key_length]};
        const int is_known =
            lane_time(&time, &lane->time, lengths, 1) &
            decimal_sum(&amount, &lane->amount.decimal, lengths[lane->amount.from] - lane->amount.back);
        if (UNLIKELY((letters != c->letters) | (status != c->status) | (time != c->time))) {
            if (!common_turn(run, letters, status, time))
                break;
            frame = frame_make(&c->row, more_flags, back_map);
            const uint32_t key_now = tally_key(c->row.flags & RECORD_CHANNEL, c->row.day, c->row.currency, 0);
            if (key_now != sums.key && UNLIKELY(!tally_run_end(&sums, &outbox->tally))) {
                err = outbox_no_memory(diag);
                break;
            }
            sums.key = key_now;
        }
        if (UNLIKELY(!is_known | (number >= 10000000000000000u) | ((number_high & sign_bit) != 0) |
                     (key.size == 0)) ||
            UNLIKELY(text_is_shortened(key) ||
                     (lane->key.kind == LANE_ASCII && !lane_is_ascii(key.data, key.size)) ||
                     __builtin_mul_overflow(amount, power, &amount)))
            break;
        log_number_set(&c->number, number);
        const unsigned out = amount < 0;
        const uint32_t id_size = c->number.high_size + c->number.low_size;
        const uint64_t hash = hash_bytes(key.data, key.size, run->quick.hash_seed);
        const uint32_t units = record_units((uint32_t)(RECORD_FOLD_BYTES + key.size + 2 + id_size));
        struct batch *batch = outbox_room(outbox, hash, units, diag);
        if (UNLIKELY(!batch)) {
            err = diag->err;
            break;
        }
        struct record *record = &batch->units[batch->used];
        const uint32_t back_event = (uint32_t)(at - event);
        record->hash_lo = (uint32_t)hash;
        record->hash_hi = (uint32_t)(hash >> 32);
        record->amount_micro = amount;
        record->place = event_place + back_event;
        frame_put(record, &frame, key.size, out, back_event, *row_index);
        uint8_t *to = record->var + RECORD_FOLD_BYTES;
        const uint16_t id_size_kept = (uint16_t)id_size;
        /* More than the text is written where there is room for it: what follows it is written next. */
        if (LIKELY((units > 1) & (key.size <= 32))) {
            memcpy(to, key.data, 32);
            to += key.size;
            memcpy(to, &id_size_kept, 2);
            memcpy(to + 2, &c->number.high, 8);
            memcpy(to + 2 + c->number.high_size, &c->number.low, 8);
        } else {
            memcpy(to, key.data, key.size);
            to += key.size;
            memcpy(to, &id_size_kept, 2);
            memcpy(to + 2, &c->number.high, c->number.high_size);
            memcpy(to + 2 + c->number.high_size, &c->number.low, c->number.low_size);
        }
        outbox_put_untold(outbox, batch, units);
        tally_run_add(&sums, out, amount);
        ++*row_index;
        at = p;
    }
    if (UNLIKELY(!tally_run_end(&sums, &run->outbox->tally)) && err == OK)
        err = outbox_no_memory(diag);
    *from = at;
    return err;
}

/* ---- all usual rows ---- */

enum err log_run(struct log_run *run, struct binlog_rows *rows, int *is_done, struct diag *diag)
{
    struct binlog_lanes b;
    run->may_learn = *is_done = 0;
    if (!run->plan || (run->misses > MISSES_FREE && run->misses > run->records) ||
        !binlog_lanes_open(&b, rows, run->plan))
        return OK;
    const uint8_t *at = b.at;
    const uint32_t op = b.row->op, first = b.row_index;
    const uint64_t back_map = b.row->event_offset - b.row->table_map_offset;
    uint32_t row_index = first;
    enum err err = OK;
    /* Farther back than a record can say: binlog_rows_step's way tells. */
    if (UNLIKELY(back_map > UINT32_MAX ||
                 b.offset + (uint64_t)(b.end - at) - b.row->event_offset > UINT32_MAX))
        return OK;
    while (at != b.end) {
        struct image_row image;
        if (b.lane->is_common && op != BINLOG_UPDATE) {
            err = run_common(run, &b, &at, &row_index, op == BINLOG_DELETE ? RECORD_GONE | RECORD_VOIDED : 0,
                             diag);
            if (UNLIKELY(err != OK) || at == b.end)
                break;
        }
        const uint8_t *behind = binlog_lanes_read(&b, at, &run->raw);
        if (UNLIKELY(!behind))
            break;
        if (op == BINLOG_UPDATE) {
            const struct image_raw before = run->raw;
            behind = binlog_lanes_read(&b, behind, &run->raw);
            if (UNLIKELY(!behind ||
                         !spans_equal(before.key, before.key_number, run->raw.key, run->raw.key_number) ||
                         !spans_equal(before.occurrence, before.occurrence_number, run->raw.occurrence,
                                      run->raw.occurrence_number)))
                break;
        }
        if (UNLIKELY(!run->is_ready ||
                     !normalize_quick(&run->quick, &run->scratch->image.memo, &run->raw, &image))) {
            run->may_learn = 1;
            break;
        }
        if (op == BINLOG_DELETE)
            image.flags |= RECORD_GONE | RECORD_VOIDED;
        const uint32_t units = image_row_units(&image);
        struct batch *batch = outbox_room(run->outbox, image.hash, units, diag);
        if (UNLIKELY(!batch)) {
            err = diag->err;
            break;
        }
        const uint64_t offset = b.offset + (uint64_t)(at - b.at);
        const uint32_t fold[3] = {(uint32_t)(offset - b.row->event_offset), (uint32_t)back_map, row_index};
        struct record *record = &batch->units[batch->used];
        image_row_put(&image, fold, record);
        record->place = run->base + offset;
        if (UNLIKELY((err = outbox_put_last(run->outbox, batch, units, diag)) != OK))
            break;
        row_index++;
        at = behind;
    }
    run->misses += at != b.end;
    run->records += row_index - first;
    *is_done = binlog_lanes_close(&b, rows, at, row_index - first);
    return err;
}
