/* core/rules/plain.h: usual rows of a plain source, from their separators to records, in few instructions.
 *
 * normalizer_plain says what to look for, or NULL where the source is not plain. plain_block takes rows that follow each other,
 * column by column: each loop has all registers for itself, and rows do not wait for each other. It stops at the
 * first row that is not as usual: another currency or date than the row before's, amounts that are not digits and a
 * point, or no record at all; then normalize_hot has the last word. Both give the same record for the rows that this one
 * takes (tests/unit/core/rules/plain_test.c).
 *
 * It reads up to PLAIN_FRONT bytes before a cell's end and PLAIN_BEHIND bytes from its beginning on: a row that
 * begins nearer to its buffer's first byte is not taken, and behind the last row there must be so many bytes. Hot, so
 * in line in the loop over rows. Threads: a plan is immutable, a struct norm_scratch has one owner.
 */
#ifndef TIEOUT_CORE_RULES_PLAIN_H
#define TIEOUT_CORE_RULES_PLAIN_H

#include "core/base/hash.h"
#include "core/model/currency.h"
#include "core/model/day.h"
#include "core/model/packed.h"
#include "core/rules/normalize.h"
#include "core/rules/plain_order.h"
#include "core/rules/shortened.h"
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

enum { TELLS_NOTHING = -2 };
enum { PLAIN_FRONT = 32, PLAIN_BEHIND = 64, PLAIN_KEY_MAX = 64, PLAIN_BLOCK = 64 };
_Static_assert(PLAIN_FRONT > (int)PACKED_FRONT && PLAIN_BEHIND >= (int)PACKED_RAW_MAX + 2,
               "a packed key reads no farther");

/* Columns of the source; -1: there is none. */
struct plain_plan {
    struct dict *words;
    uint64_t hash_seed;
    struct span channel_constant; /* of the key, where it is no column */
    int currency, amount, direction, fee, time, status, channel, key;
    /* Text parts of all keys besides `key`, and `channel` if channel_is_number: a spreadsheet may have shortened them. */
    int numbers[KEYS_MAX * KEY_PARTS_MAX];
    int number_count;
    uint8_t channel_is_number;
    /* Columns side by side, the time and what of direction and currency is beside it, compared as one; the first
     * is -1: there are none. */
    int shape_first, shape_last;
    uint64_t number; /* of its normalizer, in this process; from 1 */
    uint16_t unit_day;
    uint8_t side_flag, job_currency, wants_channel;
    /* aggregates: texts that tell cells apart, by column (-1: the constant) */
    uint8_t counts, counts_hours, fee_income, notes_odd;
    uint8_t keeps_ids, ids_odd; /* a book remembers occurrence ids: by this column, or the long way */
    int occurrence;             /* -1: there is none */
    /* What match.csv is told of a row besides its record (core/ops/tap.h): the local side's biz_type, the channel's
     * channel_order_no; -1: the constant. TELLS_NOTHING: the row's own text is not what it says, or its place in the order is more. */
    int told;
    struct span told_constant;
    /* Where a row stands in ≺ (plain_order.h): columns of the canonical fields up to sub_merchant_no that K1 does not have; -1: the constant. */
    struct order_bases *bases; /* NULL: the row's own texts are not what they say, or nobody asks */
    int order_columns[ORDER_FIELDS];
    struct span order_constants[ORDER_FIELDS];
    unsigned order_count;
    const struct zone *zone;
    int note_columns[AGGREGATE_DIMS];
    struct span note_constants[AGGREGATE_DIMS];
};

/* Rows that were taken, column by column. */
struct plain_block {
    int64_t amount_micro[PLAIN_BLOCK];
    uint64_t hash[PLAIN_BLOCK];
    uint16_t day[PLAIN_BLOCK], status[PLAIN_BLOCK], channel[PLAIN_BLOCK];
    uint8_t currency[PLAIN_BLOCK], is_out[PLAIN_BLOCK];
    uint8_t negative[PLAIN_BLOCK]; /* the amount's sign in the row */
    struct packed_key packed[PLAIN_BLOCK];
};

/* Whether keys are packed (struct outbox), and the seed of their hash then. */
struct plain_packs {
    int packs;
    uint64_t seed;
};

/* NULL: rows of this source take normalize_hot. Borrowed from the normalizer. */
const struct plain_plan *normalizer_plain(const struct normalizer *normalizer);

/* What a row that plain_block took says beside its record. 0: it is not usual after all. */
int plain_note(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
               const uint32_t *seps, uint32_t columns);

/* By what a row that plain_block took will be known again, as normalize_hot has it. */
void plain_id(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
              const uint32_t *seps, uint32_t columns, const struct record *record);

/* Row `i`'s record, all but the place. */
static inline void plain_put(const struct plain_block *block, uint32_t i, struct span key, uint8_t side_flag,
                             struct record *r)
{
    r->hash_lo = (uint32_t)block->hash[i];
    r->hash_hi = (uint32_t)(block->hash[i] >> 32);
    r->amount_micro = block->amount_micro[i];
    r->day = block->day[i];
    r->key_size = (uint16_t)key.size;
    r->status = block->status[i];
    r->channel = block->channel[i];
    r->flags = (uint16_t)(side_flag | block->is_out[i] * RECORD_OUT);
    r->currency = block->currency[i];
    short_copy(r->var, key.data, key.size);
}

/* Another currency than the row before's becomes the one remembered; 0 when there is none of that name. */
int plain_new_currency(struct norm_scratch *s, struct span text);

static inline __attribute__((always_inline)) struct span plain_cell(const uint8_t *bytes,
                                                                    const uint32_t *seps, int column)
{
    const uint32_t from = seps[(int64_t)column - 1] + 1; /* seps[-1] is one less than the row's beginning */
    return (struct span){(const char *)bytes + from, seps[column] - from};
}

/* The same without the carriage return at the end of a row of so many columns; 0: no row has one. */
static inline __attribute__((always_inline)) struct span
plain_cell_of(const uint8_t *bytes, const uint32_t *seps, int column, uint32_t columns)
{
    struct span text = plain_cell(bytes, seps, column);
    if (columns && column + 1 == (int)columns)
        text.size -= text.size && text.data[text.size - 1] == '\r';
    return text;
}

#if defined(__SSE4_1__)

/* By where the point stands among 16 bytes whose last is the cell's last (16: nowhere): how to take it out, the
 * sizes of cells which are amounts then (a bit each; 0: an empty one), and what makes millionths of it. */
struct plain_point {
    int8_t take[16];
    uint32_t sizes, scale;
};
extern const struct plain_point plain_points[17];
/* 16 bytes from `16 - n` on: the last n are set. From `n` on: all but the last n are. */
extern const uint8_t plain_masks[32];

/* Digits, the cell's last one at the end, as `point` has them. */
static inline uint64_t plain_digits(__m128i digits, const struct plain_point *point)
{
    __m128i d = _mm_shuffle_epi8(digits, _mm_loadu_si128((const __m128i *)point->take));
    d = _mm_maddubs_epi16(d, _mm_set1_epi16(10 | 1 << 8));
    d = _mm_madd_epi16(d, _mm_set1_epi32(100 | 1 << 16));
    d = _mm_packus_epi32(d, d);
    d = _mm_madd_epi16(d, _mm_set1_epi32(10000 | 1 << 16));
    const uint64_t halves = (uint64_t)_mm_cvtsi128_si64(d);
    return ((halves & 0xFFFFFFFF) * 100000000u + (halves >> 32)) * point->scale;
}

/* An amount without sign, or an empty cell, that ends before `to`. */
static inline int plain_money(const uint8_t *to, uint32_t size, uint64_t *micro)
{
    enum { CENTS = 13 }; /* where the point of 12.34 stands */
    if (UNLIKELY(size > 16))
        return 0;
    const __m128i text = _mm_loadu_si128((const __m128i *)(to - 16));
    const __m128i digits = _mm_sub_epi8(text, _mm_set1_epi8('0'));
    const uint32_t cell = 0xFFFF0000u >> size & 0xFFFF, /* its bytes, of the sixteen */
        points = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(text, _mm_set1_epi8('.')));
    /* Bytes of the cell that are no digits; a point becomes 0xFE. */
    const uint32_t bits =
        cell & (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(digits, _mm_set1_epi8(10)), digits));
    const __m128i inside = _mm_and_si128(digits, _mm_loadu_si128((const __m128i *)(plain_masks + size)));
    if (LIKELY(bits == 1u << CENTS && (points >> CENTS & 1) && size - 4 < 12)) { /* nearly all */
        *micro = plain_digits(inside, &plain_points[CENTS]);
        return 1;
    }
    const struct plain_point *point = &plain_points[__builtin_ctz(bits | 1u << 16)];
    if (UNLIKELY((bits & (bits - 1)) || !(point->sizes >> size & 1) || (points & cell) != bits))
        return 0;
    *micro = plain_digits(inside, point);
    return 1;
}

/* "2026-11-19 08:15:30", with or without a fraction, on the date that was read last. */
static inline int plain_time(const struct norm_scratch *s, const uint8_t *p, uint32_t size)
{
    const uint32_t sizes = 1u << 19 | 0x3Fu << 21;
    const __m128i low =
        _mm_setr_epi8('0', '0', ':', '0', '0', ':', '0', '0', '.', '0', '0', '0', '0', '0', '0', 0);
    const __m128i range = _mm_setr_epi8(2, 9, 0, 5, 9, 0, 5, 9, 0, 9, 9, 9, 9, 9, 9, -1);
    const __m128i date = _mm_loadu_si128((const __m128i *)p);
    const __m128i clock = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + 11)), low);
    const uint32_t same = (uint32_t)_mm_movemask_epi8(
                       _mm_cmpeq_epi8(date, _mm_loadu_si128((const __m128i *)s->time_memo))),
                   fits = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(clock, range), range));
    uint16_t hour;
    memcpy(&hour, p + 11, 2);
    return size < 32 && (sizes >> size & 1) && (same & 0x7FF) == 0x7FF &&
           !(~fits & ((1u << ((size - 11) & 31)) - 1)) && __builtin_bswap16(hour) <= ('2' << 8 | '3');
}

/* dict_number of a text with 16 bytes to read. */
static inline uint16_t plain_word(struct dict *dict, struct dict_cache *cache, const char *text,
                                  uint32_t size)
{
    if (UNLIKELY(size > SHORT_MAX || size == 0))
        return dict_number(dict, cache, (struct span){text, size});
    const __m128i word = _mm_andnot_si128(_mm_loadu_si128((const __m128i *)(plain_masks + 16 - size)),
                                          _mm_loadu_si128((const __m128i *)text));
    const struct short_text t = {(uint64_t)_mm_cvtsi128_si64(word), (uint64_t)_mm_extract_epi64(word, 1)};
    return dict_number_of(dict, cache, (struct span){text, size}, t);
}

/* Whether a column says the same in all rows: the channel in most files. Told so, and not from row to row as the status is, since
 * where channels take turns each of them would be a wrong guess. */
static inline int plain_is_even(const uint8_t *bytes, const uint32_t *seps, uint32_t columns, uint32_t ends,
                                int column, uint32_t count)
{
    const struct span first = plain_cell_of(bytes, seps, column, ends);
    if (UNLIKELY(first.size - 1 >= SHORT_MAX))
        return 0;
    const __m128i word = _mm_loadu_si128((const __m128i *)first.data);
    const uint32_t cell = (1u << first.size) - 1;
    for (uint32_t i = 1; i < count; i++) {
        const struct span text = plain_cell_of(bytes, seps + (size_t)i * columns, column, ends);
        const __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)text.data), word);
        if (text.size != first.size || (~(uint32_t)_mm_movemask_epi8(same) & cell))
            return 0;
    }
    return 1;
}

/* The number of a word that is mostly that of the row before. */
static inline uint16_t plain_same_word(struct dict *dict, struct norm_scratch *s, const char *text,
                                       uint32_t size)
{
    if (LIKELY(size - 1 < SHORT_MAX)) {
        const __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)text),
                                            _mm_loadu_si128((const __m128i *)s->status_memo));
        if (LIKELY(size == s->status_memo_size && !(~(uint32_t)_mm_movemask_epi8(same) & ((1u << size) - 1))))
            return s->status_memo_number;
        memcpy(s->status_memo, text, SHORT_MAX);
        s->status_memo_size = size;
        return s->status_memo_number = plain_word(dict, &s->words, text, size);
    }
    return plain_word(dict, &s->words, text, size);
}

/* How a row's time, and direction and currency if they stand beside it, look. */
struct plain_parts {
    uint16_t day;
    uint8_t currency, is_out;
};

/* Of columns `first` to `last`; what stands elsewhere is left as it is. 0: not as usual. */
static inline int plain_parts(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
                              const uint32_t *seps, int first, int last, uint32_t columns,
                              struct plain_parts *parts)
{
    struct span text;
    if (plan->currency >= first && plan->currency <= last) {
        uint32_t code;
        text = plain_cell_of(bytes, seps, plan->currency, columns);
        memcpy(&code, text.data, 4);
        if (UNLIKELY(text.size != 3 || (code & 0xFFFFFF) != s->currency_memo) && !plain_new_currency(s, text))
            return 0;
        parts->currency = s->currency_memo_index;
    }
    if (plan->direction >= first && plan->direction <= last) {
        uint32_t word;
        text = plain_cell_of(bytes, seps, plan->direction, columns);
        memcpy(&word, text.data, 4);
        parts->is_out = text.size == 3 && (word & 0xFFFFFF) == ('O' | 'U' << 8 | 'T' << 16);
        if (UNLIKELY(!parts->is_out && (text.size != 2 || (word & 0xFFFF) != ('I' | 'N' << 8))))
            return 0;
    }
    if (plan->time >= first && plan->time <= last) {
        text = plain_cell_of(bytes, seps, plan->time, columns);
        if (UNLIKELY(!plain_time(s, (const uint8_t *)text.data, (uint32_t)text.size)))
            return 0;
        parts->day = s->time_memo_day;
    }
    return 1;
}

/* Whether the bytes of a row's time and what is beside it are as in an earlier row, but for the clock's digits. */
static inline __attribute__((always_inline)) int plain_fits(const struct plain_shape *shape, const uint8_t *p)
{
    __m128i fits = _mm_set1_epi8(-1);
    for (uint32_t at = 0; at < 32; at += 16) {
        const __m128i more = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + at)),
                                          _mm_load_si128((const __m128i *)(shape->low + at))),
                      range = _mm_load_si128((const __m128i *)(shape->range + at));
        fits = _mm_and_si128(fits, _mm_cmpeq_epi8(_mm_max_epu8(more, range), range));
    }
    for (uint32_t at = 32; UNLIKELY(shape->size > 32) && at < PLAIN_SHAPE; at += 16) {
        const __m128i more = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + at)),
                                          _mm_load_si128((const __m128i *)(shape->low + at))),
                      range = _mm_load_si128((const __m128i *)(shape->range + at));
        fits = _mm_and_si128(fits, _mm_cmpeq_epi8(_mm_max_epu8(more, range), range));
    }
    uint16_t hour;
    memcpy(&hour, p + shape->hour_at, 2);
    return _mm_movemask_epi8(fits) == 0xFFFF && __builtin_bswap16(hour) <= ('2' << 8 | '3');
}

/* Makes a row that plain_parts took what the next ones are compared with. */
void plain_shape_make(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
                      const uint32_t *seps, const struct plain_parts *parts);

/* A number that a spreadsheet shortened must never be a key; most cells are told by their first two bytes. */
static inline int plain_is_shortened(struct span text)
{
    const uint8_t first = (uint8_t)text.data[0], second = (uint8_t)text.data[1];
    return UNLIKELY(first <= '9' && UNLIKELY(second == '.' || second == 'E')) && text_is_shortened(text);
}

/* What plain_block does with one row, column by column; 0: it is not as usual. */
static inline __attribute__((always_inline)) int plain_row_amount(const struct plain_plan *plan,
                                                                  const uint8_t *bytes, const uint32_t *row,
                                                                  uint32_t ends, uint32_t i,
                                                                  struct plain_block *b)
{
    const struct span text = plain_cell_of(bytes, row, plan->amount, ends);
    const uint32_t negative = text.data[0] == '-';
    uint64_t amount;
    if (UNLIKELY(text.size <= negative || !plain_money((const uint8_t *)text.data + text.size,
                                                       (uint32_t)text.size - negative, &amount)))
        return 0;
    b->amount_micro[i] = (int64_t)amount;
    b->negative[i] = (uint8_t)negative;
    return 1;
}

static inline __attribute__((always_inline)) int
plain_row_fee(const struct plain_plan *plan, const uint8_t *bytes, const uint32_t *row, uint32_t ends)
{
    const struct span cost = plain_cell_of(bytes, row, plan->fee, ends);
    const uint32_t minus = cost.size > 1 && cost.data[0] == '-';
    uint64_t fee;
    return plain_money((const uint8_t *)cost.data + cost.size, (uint32_t)cost.size - minus, &fee);
}

static inline __attribute__((always_inline)) int
plain_row_status(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
                 const uint32_t *row, uint32_t ends, uint32_t i, struct plain_block *b)
{
    const struct span text = plain_cell_of(bytes, row, plan->status, ends);
    b->status[i] = plain_same_word(plan->words, s, text.data, (uint32_t)text.size);
    return b->status[i] != DICT_FULL;
}

static inline __attribute__((always_inline)) int
plain_row_channel(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
                  const uint32_t *row, uint32_t ends, uint32_t i, struct plain_block *b)
{
    const struct span text = plain_cell_of(bytes, row, plan->channel, ends);
    b->channel[i] = plain_word(plan->words, &s->words, text.data, (uint32_t)text.size);
    return !(UNLIKELY(b->channel[i] == 0 || b->channel[i] == DICT_FULL) ||
             (plan->channel_is_number && plain_is_shortened(text)));
}

static inline __attribute__((always_inline)) int plain_row_key(const struct plain_plan *plan,
                                                               const uint8_t *bytes, const uint32_t *row,
                                                               uint32_t ends, const struct plain_packs packs,
                                                               uint32_t i, struct plain_block *b)
{
    const struct span text = plain_cell_of(bytes, row, plan->key, ends);
    if (UNLIKELY(text.size - 1 >= PLAIN_KEY_MAX || b->currency[i] == CURRENCY_NONE) ||
        plain_is_shortened(text))
        return 0;
    if (packs.packs) {
        b->packed[i] = packed_key_of((const uint8_t *)text.data, (uint32_t)text.size, b->channel[i]);
        b->hash[i] = packed_hash(b->packed[i].word, packs.seed);
        if (LIKELY(b->packed[i].word[0] != 0))
            return 1;
    }
    b->hash[i] = hash_bytes(text.data, text.size, plan->hash_seed + b->channel[i]);
    return 1;
}

/* Whether there is a shape, which does not end the row. */
static inline int plain_has_shape(const struct plain_plan *plan, uint32_t columns)
{
    return plan->shape_first >= 0 && plan->shape_last + 1 < (int)columns;
}
/* The direction's column if the shape has it, or -1: IN and OUT differ in size, and so have a shape each. */
static inline int plain_shape_direction(const struct plain_plan *plan)
{
    return plan->direction >= plan->shape_first && plan->direction <= plan->shape_last ? plan->direction : -1;
}
/* Whether it has the currency and the direction, where there are such columns. */
static inline int plain_shape_has_all(const struct plain_plan *plan, uint32_t columns)
{
    return plain_has_shape(plan, columns) &&
           !(plan->currency >= 0 &&
             (plan->currency < plan->shape_first || plan->currency > plan->shape_last)) &&
           !(plan->direction >= 0 && plain_shape_direction(plan) < 0);
}
/* Shapes of another plan, or of another date, are no longer right. */
static inline void plain_shapes_begin(const struct plain_plan *plan, struct norm_scratch *s)
{
    if (UNLIKELY(s->shape_owner != plan->number)) {
        s->shapes[0].size = s->shapes[1].size = 0;
        s->shape_owner = plan->number;
    }
    for (int k = 0; k < 2; k++) /* another date may have come meanwhile */
        if (s->shapes[k].date_count != s->date_memo_count)
            s->shapes[k].size = 0;
}

/* One column, or some side by side, of `count` rows: how many of them are as usual. */
static inline __attribute__((always_inline)) uint32_t
plain_block_parts(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
                  const uint32_t *seps, uint32_t columns, uint32_t ends, uint32_t count,
                  struct plain_block *b)
{
    const struct plain_parts constant = {plan->unit_day, plan->job_currency, 0};
    const int first = plan->shape_first, last = plain_has_shape(plan, columns) ? plan->shape_last : -1;
    const uint32_t *row;
    uint32_t i;
    if (last >= 0) {
        const int direction = plain_shape_direction(plan);
        plain_shapes_begin(plan, s);
        for (i = 0, row = seps; i < count; i++, row += columns) {
            const uint32_t from = row[(int64_t)first - 1] + 1, size = row[last] + 1 - from;
            const struct plain_shape *shape =
                &s->shapes[direction >= 0 ? (row[direction] - row[(int64_t)direction - 1]) & 1 : 0];
            struct plain_parts parts = {shape->day, shape->currency, shape->is_out};
            if (UNLIKELY(size != shape->size || !plain_fits(shape, bytes + from))) {
                parts = constant;
                if (!plain_parts(plan, s, bytes, row, first, last, ends, &parts))
                    break;
                plain_shape_make(plan, s, bytes, row, &parts);
            }
            b->day[i] = parts.day;
            b->currency[i] = parts.currency;
            b->is_out[i] = parts.is_out;
        }
        count = i;
    } else {
        for (i = 0; i < count; i++) {
            b->day[i] = constant.day;
            b->currency[i] = constant.currency;
            b->is_out[i] = 0;
        }
    }
    if (!plain_shape_has_all(plan, columns)) {
        for (i = 0, row = seps; i < count; i++, row += columns) {
            struct plain_parts parts = {b->day[i], b->currency[i], b->is_out[i]};
            if (UNLIKELY(last >= 0 && !plain_parts(plan, s, bytes, row, 0, first - 1, ends, &parts)) ||
                UNLIKELY(!plain_parts(plan, s, bytes, row, last + 1, INT32_MAX, ends, &parts)))
                break;
            b->day[i] = parts.day;
            b->currency[i] = parts.currency;
            b->is_out[i] = parts.is_out;
        }
        count = i;
    }
    return count;
}

static inline __attribute__((always_inline)) uint32_t
plain_block_status(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
                   const uint32_t *seps, uint32_t columns, uint32_t ends, uint32_t count,
                   struct plain_block *b)
{
    const uint32_t *row;
    uint32_t i;
    if (plan->status >= 0) {
        for (i = 0, row = seps; i < count; i++, row += columns)
            if (UNLIKELY(!plain_row_status(plan, s, bytes, row, ends, i, b)))
                break;
    } else {
        for (i = 0; i < count; i++)
            b->status[i] = 0;
    }
    return i;
}

static inline __attribute__((always_inline)) uint32_t
plain_block_channel(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
                    const uint32_t *seps, uint32_t columns, uint32_t ends, uint32_t count,
                    struct plain_block *b)
{
    const uint32_t *row;
    uint32_t i;
    if (plan->wants_channel && plan->channel >= 0) {
        const int is_even = count && plain_is_even(bytes, seps, columns, ends, plan->channel, count);
        const uint32_t read = is_even ? 1 : count;
        for (i = 0, row = seps; i < read; i++, row += columns)
            if (!plain_row_channel(plan, s, bytes, row, ends, i, b))
                break;
        if (is_even && i == 1)
            for (; i < count; i++)
                b->channel[i] = b->channel[0];
    } else {
        const uint16_t channel =
            plan->wants_channel ? dict_number(plan->words, &s->words, plan->channel_constant) : 0;
        if (UNLIKELY((plan->wants_channel && channel == 0) || channel == DICT_FULL))
            return 0;
        for (i = 0; i < count; i++)
            b->channel[i] = channel;
    }
    return i;
}

static inline __attribute__((always_inline)) uint32_t
plain_block_numbers(const struct plain_plan *plan, const uint8_t *bytes, const uint32_t *seps,
                    uint32_t columns, uint32_t ends, uint32_t count)
{
    for (int k = 0; k < plan->number_count; k++) {
        const uint32_t *row = seps;
        uint32_t i;
        for (i = 0; i < count; i++, row += columns)
            if (UNLIKELY(plain_is_shortened(plain_cell_of(bytes, row, plan->numbers[k], ends))))
                break;
        count = i;
    }
    return count;
}

static inline __attribute__((always_inline)) uint32_t
plain_block_keys(const struct plain_plan *plan, const uint8_t *bytes, const uint32_t *seps, uint32_t columns,
                 uint32_t ends, const struct plain_packs packs, uint32_t count, struct plain_block *b)
{
    const uint32_t *row = seps;
    uint32_t i;
    for (i = 0; i < count; i++, row += columns)
        if (UNLIKELY(!plain_row_key(plan, bytes, row, ends, packs, i, b)))
            break;
    return i;
}

/* Takes rows from the first of `count` (at most PLAIN_BLOCK) on, until one is not as usual; returns how many. Column c of
 * row i is bytes[seps[i * columns + c - 1] + 1, seps[i * columns + c]), but for a carriage return at the row's end, where there
 * may be some (`has_cr`, known when this is compiled). plain_wide.h has the same for newer machines. */
static inline __attribute__((always_inline)) uint32_t
plain_block(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes, const uint32_t *seps,
            uint32_t columns, const int has_cr, const struct plain_packs packs, uint32_t count,
            struct plain_block *b)
{
    const uint32_t ends = has_cr ? columns : 0;
    const uint32_t *row;
    uint32_t i;
    if (UNLIKELY(seps[-1] + 1 < PLAIN_FRONT))
        return 0;
    for (i = 0, row = seps; i < count; i++, row += columns) {
        if (UNLIKELY(!plain_row_amount(plan, bytes, row, ends, i, b)))
            break;
        if (plan->fee >= 0 && UNLIKELY(!plain_row_fee(plan, bytes, row, ends)))
            break;
    }
    count = plain_block_parts(plan, s, bytes, seps, columns, ends, i, b);
    count = plain_block_status(plan, s, bytes, seps, columns, ends, count, b);
    count = plain_block_channel(plan, s, bytes, seps, columns, ends, count, b);
    count = plain_block_numbers(plan, bytes, seps, columns, ends, count);
    count = plain_block_keys(plan, bytes, seps, columns, ends, packs, count, b);
    for (i = 0; i < count; i++) {
        const int64_t amount = b->amount_micro[i], flip = b->negative[i] ^ b->is_out[i];
        b->is_out[i] = amount ? (uint8_t)flip : b->is_out[i];
        b->amount_micro[i] = (amount ^ -flip) + flip;
    }
    return count;
}

#else

static inline uint32_t plain_block(const struct plain_plan *plan, struct norm_scratch *s,
                                   const uint8_t *bytes, const uint32_t *seps, uint32_t columns, int has_cr,
                                   const struct plain_packs packs, uint32_t count, struct plain_block *block)
{
    (void)plan, (void)s, (void)bytes, (void)seps, (void)columns, (void)has_cr, (void)packs, (void)count;
    (void)block;
    return 0;
}

#endif

#endif
