/* core/rules/plain.h: the usual row of a plain source, from its separators to a record, in few instructions.
 *
 * normalizer_plain says what to look for, or NULL where the source is not plain. plain_read takes a row whose every
 * cell is as usual: the currency and the date of the row before, amounts of digits and a point. Of any other row it
 * says 0, also of one that is no record: then normalize_hot has the last word. Both give the same record for the
 * rows that this one takes (tests/unit/core/rules/plain_test.c).
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
#include "core/rules/normalize.h"
#include "core/rules/shortened.h"
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

enum { PLAIN_FRONT = 16, PLAIN_BEHIND = 32, PLAIN_KEY_MAX = 64 };

/* Columns of the source; -1: there is none. */
struct plain_plan {
    struct dict *words;
    uint64_t hash_seed;
    struct span channel_constant; /* of the key, where it is no column */
    int currency, amount, direction, fee, time, status, channel, key;
    int numbers[KEYS_MAX * KEY_PARTS_MAX]; /* text parts of all keys: a spreadsheet may have shortened them */
    int number_count;
    uint16_t unit_day;
    uint8_t side_flag, job_currency, wants_channel;
    /* aggregates: texts that tell cells apart, by column (-1: the constant) */
    uint8_t counts, counts_hours, fee_income, notes_odd;
    uint8_t keeps_ids, ids_odd; /* a book remembers occurrence ids: by this column, or the long way */
    int occurrence;             /* -1: there is none */
    const struct zone *zone;
    int note_columns[AGGREGATE_DIMS];
    struct span note_constants[AGGREGATE_DIMS];
};

struct plain_row {
    int64_t amount_micro;
    uint64_t hash;
    const char *key;
    uint32_t key_size;
    uint16_t day, status, channel, flags;
    uint8_t currency;
};

/* NULL: rows of this source take normalize_hot. Borrowed from the normalizer. */
const struct plain_plan *normalizer_plain(const struct normalizer *normalizer);

/* What a row that plain_read took says beside its record. 0: it is not usual after all. */
int plain_note(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
               const uint32_t *seps);

/* By what a row that plain_read took will be known again, as normalize_hot has it. */
void plain_id(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
              const uint32_t *seps, const struct plain_row *row);

/* The key's bytes and all else but the place. */
static inline void plain_put(const struct plain_row *row, struct record *r)
{
    r->hash_lo = (uint32_t)row->hash;
    r->hash_hi = (uint32_t)(row->hash >> 32);
    r->amount_micro = row->amount_micro;
    r->day = row->day;
    r->key_size = (uint16_t)row->key_size;
    r->status = row->status;
    r->channel = row->channel;
    r->flags = row->flags;
    r->currency = row->currency;
    short_copy(r->var, row->key, row->key_size);
}

/* Another currency than the row before's becomes the one remembered; 0 when there is none of that name. */
int plain_new_currency(struct norm_scratch *s, struct span text);

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

/* An amount without sign, or an empty cell, that ends before `to`. */
static inline int plain_money(const uint8_t *to, uint32_t size, uint64_t *micro)
{
    if (UNLIKELY(size > 16))
        return 0;
    const __m128i text = _mm_loadu_si128((const __m128i *)(to - 16));
    const __m128i inside = _mm_loadu_si128((const __m128i *)(plain_masks + size));
    __m128i digits = _mm_sub_epi8(text, _mm_set1_epi8('0'));
    /* Bytes of the cell that are no digits; a point becomes 0xFE. */
    const __m128i odd =
        _mm_and_si128(_mm_cmpeq_epi8(_mm_max_epu8(digits, _mm_set1_epi8(10)), digits), inside);
    const __m128i points = _mm_and_si128(_mm_cmpeq_epi8(text, _mm_set1_epi8('.')), inside);
    const uint32_t bits = (uint32_t)_mm_movemask_epi8(odd);
    const struct plain_point *point = &plain_points[__builtin_ctz(bits | 1u << 16)];
    if (UNLIKELY((bits & (bits - 1)) || !(point->sizes >> size & 1) ||
                 (uint32_t)_mm_movemask_epi8(points) != bits))
        return 0;
    __m128i d =
        _mm_shuffle_epi8(_mm_and_si128(digits, inside), _mm_loadu_si128((const __m128i *)point->take));
    d = _mm_maddubs_epi16(d, _mm_set1_epi16(10 | 1 << 8));
    d = _mm_madd_epi16(d, _mm_set1_epi32(100 | 1 << 16));
    d = _mm_packus_epi32(d, d);
    d = _mm_madd_epi16(d, _mm_set1_epi32(10000 | 1 << 16));
    const uint64_t halves = (uint64_t)_mm_cvtsi128_si64(d);
    *micro = ((halves & 0xFFFFFFFF) * 100000000u + (halves >> 32)) * point->scale;
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

/* The same of a word that is mostly that of the row before. */
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

static inline __attribute__((always_inline)) struct span plain_cell(const uint8_t *bytes,
                                                                    const uint32_t *seps, int column)
{
    const uint32_t from = seps[(int64_t)column - 1] + 1; /* seps[-1] is one less than the row's beginning */
    return (struct span){(const char *)bytes + from, seps[column] - from};
}

/* Column c of the row is bytes[seps[c - 1] + 1, seps[c]). */
static inline __attribute__((always_inline)) int plain_read(const struct plain_plan *plan,
                                                            struct norm_scratch *s, const uint8_t *bytes,
                                                            const uint32_t *seps, struct plain_row *row)
{
    struct span text;
    uint64_t amount, fee;
    if (UNLIKELY(seps[-1] + 1 < PLAIN_FRONT))
        return 0;
    for (int i = 0; i < plan->number_count; i++) {
        text = plain_cell(bytes, seps, plan->numbers[i]);
        if (UNLIKELY(text_is_shortened(text)))
            return 0;
    }
    row->currency = plan->job_currency;
    if (plan->currency >= 0) {
        uint32_t code;
        text = plain_cell(bytes, seps, plan->currency);
        memcpy(&code, text.data, 4);
        if (UNLIKELY(text.size != 3 || (code & 0xFFFFFF) != s->currency_memo) && !plain_new_currency(s, text))
            return 0;
        row->currency = s->currency_memo_index;
    }
    text = plain_cell(bytes, seps, plan->amount);
    uint32_t negative = text.data[0] == '-';
    if (UNLIKELY(
            text.size <= negative || row->currency == CURRENCY_NONE ||
            !plain_money((const uint8_t *)text.data + text.size, (uint32_t)text.size - negative, &amount)))
        return 0;
    uint32_t out = negative & (amount != 0);
    if (plan->direction >= 0) {
        uint32_t word;
        text = plain_cell(bytes, seps, plan->direction);
        memcpy(&word, text.data, 4);
        if (text.size == 3 && (word & 0xFFFFFF) == ('O' | 'U' << 8 | 'T' << 16)) {
            out = !negative | (amount == 0);
            negative = !negative;
        } else if (UNLIKELY(text.size != 2 || (word & 0xFFFF) != ('I' | 'N' << 8))) {
            return 0;
        }
    }
    row->amount_micro = negative ? -(int64_t)amount : (int64_t)amount;
    if (plan->fee >= 0) {
        text = plain_cell(bytes, seps, plan->fee);
        const uint32_t fee_negative = text.size && text.data[0] == '-';
        if (UNLIKELY(text.size == 1 && fee_negative) ||
            UNLIKELY(!plain_money((const uint8_t *)text.data + text.size, (uint32_t)text.size - fee_negative,
                                  &fee)))
            return 0;
    }
    row->day = plan->unit_day;
    if (plan->time >= 0) {
        text = plain_cell(bytes, seps, plan->time);
        if (UNLIKELY(!plain_time(s, (const uint8_t *)text.data, (uint32_t)text.size)))
            return 0;
        row->day = s->time_memo_day;
    }
    row->flags = (uint16_t)(plan->side_flag | (out ? RECORD_OUT : 0));
    row->status = 0;
    if (plan->status >= 0) {
        text = plain_cell(bytes, seps, plan->status);
        row->status = plain_same_word(plan->words, s, text.data, (uint32_t)text.size);
    }
    row->channel = 0;
    if (plan->wants_channel) {
        text = plan->channel >= 0 ? plain_cell(bytes, seps, plan->channel) : plan->channel_constant;
        row->channel = plan->channel >= 0 ? plain_word(plan->words, &s->words, text.data, (uint32_t)text.size)
                                          : dict_number(plan->words, &s->words, text);
        if (UNLIKELY(row->channel == 0))
            return 0;
    }
    text = plain_cell(bytes, seps, plan->key);
    if (UNLIKELY(row->status == DICT_FULL || row->channel == DICT_FULL || text.size == 0 ||
                 text.size > PLAIN_KEY_MAX))
        return 0;
    row->key = text.data;
    row->key_size = (uint32_t)text.size;
    row->hash = hash_bytes(text.data, text.size, plan->hash_seed + row->channel);
    return 1;
}

#else

static inline int plain_read(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes,
                             const uint32_t *seps, struct plain_row *row)
{
    (void)plan, (void)s, (void)bytes, (void)seps, (void)row;
    return 0;
}

#endif

#endif
