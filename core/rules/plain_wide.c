/* core/rules/plain_wide.c: see plain_wide.h. A hot file. */
#include "core/rules/plain_wide.h"

#if HAS_WIDE

enum { LANES = 8 };

/* The first `count` rows, a bit each. */
static inline uint64_t rows_mask(uint32_t count)
{
    return count < PLAIN_BLOCK ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
}

PLAIN_WIDE static inline __m512i load_lanes(const void *from)
{
    return _mm512_loadu_si512(from);
}

/* Amounts that end in a point and two digits, of at most eight bytes, as millionths; a bit for each row that has another.
 * `negative` may be NULL: then a sign must not stand alone (plain_block, fees). */
PLAIN_WIDE static inline __attribute__((always_inline)) uint64_t
wide_money(const uint8_t *bytes, const uint32_t *seps, uint32_t columns, int column, uint32_t ends,
           uint32_t count, int64_t micro[PLAIN_BLOCK], uint8_t negative[PLAIN_BLOCK])
{
    enum { SIZE_LEAST = 4 }; /* 0.00 */
    _Alignas(64) uint64_t text[PLAIN_BLOCK];
    _Alignas(64) uint64_t room[PLAIN_BLOCK]; /* bits of the eight bytes that are not the cell's */
    uint32_t i = 0;
    for (const uint32_t *row = seps; i < count; i++, row += columns) {
        const struct span cell = plain_cell_of(bytes, row, column, ends);
        const uint32_t minus = cell.data[0] == '-';
        memcpy(&text[i], cell.data + cell.size - 8, 8);
        room[i] = 64 - 8 * (uint64_t)((uint32_t)cell.size - minus);
        if (negative)
            negative[i] = (uint8_t)minus;
    }
    for (; i % LANES; i++)
        text[i] = room[i] = 0;
    /* "ddddd.dd": bytes less `low` are digits, and 0 where the point is. */
    const __m512i low = _mm512_set1_epi64(0x30302E3030303030), top = _mm512_set1_epi64(0x0909000909090909),
                  tens = _mm512_set1_epi64(0x010A0001010A010A), hundreds = _mm512_set1_epi32(100 | 1 << 16),
                  cents = _mm512_set1_epi64(10000), thousands = _mm512_set1_epi64(10000000),
                  ones = _mm512_set1_epi64(-1), most = _mm512_set1_epi64(64 - 8 * SIZE_LEAST);
    uint64_t odd = 0;
    for (uint32_t k = 0; k < count; k += LANES) {
        const __m512i less = load_lanes(room + k);
        const __m512i digits =
            _mm512_and_si512(_mm512_sub_epi8(load_lanes(text + k), low), _mm512_sllv_epi64(ones, less));
        const __m512i over = _mm512_subs_epu8(digits, top);
        const uint32_t others =
            (uint32_t)_mm512_test_epi64_mask(over, over) | (uint32_t)_mm512_cmpgt_epu64_mask(less, most);
        odd |= (uint64_t)others << k;
        if (micro) {
            const __m512i quads = _mm512_madd_epi16(_mm512_maddubs_epi16(digits, tens), hundreds);
            _mm512_storeu_si512(micro + k,
                                _mm512_add_epi64(_mm512_mul_epu32(quads, thousands),
                                                 _mm512_mul_epu32(_mm512_srli_epi64(quads, 32), cents)));
        }
    }
    return odd & rows_mask(count);
}

/* Rows of another shape are read one by one, and become the shape; how many are as usual. */
PLAIN_WIDE static inline __attribute__((always_inline)) uint32_t
wide_parts(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes, const uint32_t *seps,
           uint32_t columns, uint32_t ends, uint32_t count, struct plain_block *b)
{
    _Static_assert(offsetof(struct plain_shape, currency) == offsetof(struct plain_shape, day) + 2 &&
                       offsetof(struct plain_shape, is_out) == offsetof(struct plain_shape, day) + 3,
                   "what a shape says is one word");
    const int first = plan->shape_first, last = plan->shape_last;
    const int direction = plain_shape_direction(plan);
    _Alignas(64) uint32_t parts[PLAIN_BLOCK];
    const uint32_t *row = seps;
    uint32_t i = 0;
    for (; i < count; i++, row += columns) {
        const uint32_t from = row[(int64_t)first - 1] + 1, size = row[last] + 1 - from;
        const struct plain_shape *shape =
            &s->shapes[direction >= 0 ? (row[direction] - row[(int64_t)direction - 1]) & 1 : 0];
        const __m512i more =
            _mm512_sub_epi8(_mm512_loadu_si512(bytes + from), _mm512_loadu_si512(shape->low));
        uint16_t hour;
        memcpy(&hour, bytes + from + shape->hour_at, 2);
        memcpy(&parts[i], &shape->day, 4);
        if (UNLIKELY(_mm512_cmpgt_epu8_mask(more, _mm512_loadu_si512(shape->range)) != 0 ||
                     size != shape->size || __builtin_bswap16(hour) > ('2' << 8 | '3'))) {
            struct plain_parts told = {plan->unit_day, plan->job_currency, 0};
            if (!plain_parts(plan, s, bytes, row, first, last, ends, &told))
                break;
            plain_shape_make(plan, s, bytes, row, &told);
            parts[i] = told.day | (uint32_t)told.currency << 16 | (uint32_t)told.is_out << 24;
        }
    }
    count = i;
    for (; i % 16; i++)
        parts[i] = 0;
    for (uint32_t k = 0; k < count; k += 16) {
        const __m512i words = load_lanes(parts + k);
        _mm256_storeu_si256((__m256i *)(b->day + k), _mm512_cvtepi32_epi16(words));
        _mm_storeu_si128((__m128i *)(b->currency + k), _mm512_cvtepi32_epi8(_mm512_srli_epi32(words, 16)));
        _mm_storeu_si128((__m128i *)(b->is_out + k), _mm512_cvtepi32_epi8(_mm512_srli_epi32(words, 24)));
    }
    return count;
}

/* A cell with what ends it, which no cell has within, in sixteen bytes: so two of different sizes differ. Zeroes: it is longer. */
PLAIN_WIDE static inline __m128i ended_word(const char *text, uint64_t size)
{
    const uint32_t mask = _bzhi_u32(0xFFFF, (uint32_t)size + 1);
    return _mm_maskz_loadu_epi8((__mmask16)(size <= 16 ? mask : 0), text);
}

/* Numbers of words that came lately; a bit for each row that has another. Not of the last column where a carriage return may end it:
 * a cell may have that within. */
PLAIN_WIDE static inline __attribute__((always_inline)) uint64_t
wide_words(const struct plain_words *words, const uint8_t *bytes, const uint32_t *seps, uint32_t columns,
           int column, uint32_t count, uint16_t numbers[PLAIN_BLOCK])
{
    _Alignas(64) uint64_t lows[PLAIN_BLOCK], highs[PLAIN_BLOCK];
    uint32_t i = 0;
    for (const uint32_t *row = seps; i < count; i++, row += columns) {
        const struct span cell = plain_cell(bytes, row, column);
        const __m128i word = ended_word(cell.data, cell.size);
        _mm_storel_epi64((__m128i *)&lows[i], word);
        highs[i] = (uint64_t)_mm_extract_epi64(word, 1);
    }
    for (; i % LANES; i++)
        lows[i] = highs[i] = 0;
    const uint64_t all = rows_mask(count);
    uint64_t found = 0;
    __m512i low = _mm512_setzero_si512(), high = low;
    for (uint32_t k = 0; k < words->count && found != all; k++) {
        const __m512i word_low = _mm512_set1_epi64((int64_t)words->low[k]),
                      word_high = _mm512_set1_epi64((int64_t)words->high[k]),
                      number = _mm512_set1_epi16((int16_t)words->number[k]);
        uint64_t same = 0;
        for (uint32_t at = 0; at < count; at += LANES)
            same |= (uint64_t)_mm512_mask_cmpeq_epi64_mask(
                        _mm512_cmpeq_epi64_mask(load_lanes(lows + at), word_low), load_lanes(highs + at),
                        word_high)
                    << at;
        found |= same;
        low = _mm512_mask_mov_epi16(low, (__mmask32)same, number);
        high = _mm512_mask_mov_epi16(high, (__mmask32)(same >> 32), number);
    }
    _mm512_storeu_si512(numbers, low);
    _mm512_storeu_si512(numbers + 32, high);
    return all & ~found;
}

/* What was asked for one by one is known from then on. */
PLAIN_WIDE static inline void learn_word(struct plain_words *words, struct span cell, uint16_t number)
{
    const __m128i word = ended_word(cell.data, cell.size);
    if (_mm_testz_si128(word, word))
        return;
    words->low[words->next] = (uint64_t)_mm_cvtsi128_si64(word);
    words->high[words->next] = (uint64_t)_mm_extract_epi64(word, 1);
    words->number[words->next] = number;
    words->next = (words->next + 1) % PLAIN_WORDS;
    if (words->count < PLAIN_WORDS)
        words->count++;
}

/* Keys of 15 to 28 digits, packed, and their hashes; a bit for each row that has another. */
PLAIN_WIDE static inline __attribute__((always_inline)) uint64_t
wide_keys(const struct plain_plan *plan, const uint8_t *bytes, const uint32_t *seps, uint32_t columns,
          uint32_t ends, uint64_t seed, uint32_t count, struct plain_block *b)
{
    const __m256i zero = _mm256_set1_epi8('0'), ten = _mm256_set1_epi8(10),
                  weights = _mm256_set1_epi16(16 | 1 << 8);
    uint64_t odd = 0;
    const uint32_t *row = seps;
    for (uint32_t i = 0; i < count; i++, row += columns) {
        const struct span cell = plain_cell_of(bytes, row, plan->key, ends);
        const uint32_t size = (uint32_t)cell.size, channel = b->channel[i];
        const __mmask32 mask = (__mmask32)(~(uint64_t)0 << (32 - (size & 31)));
        const __m256i digits = _mm256_maskz_sub_epi8(
            mask, _mm256_loadu_si256((const __m256i *)(cell.data + cell.size - 32)), zero);
        const __m128i halves = _mm256_cvtepi16_epi8(_mm256_maddubs_epi16(digits, weights));
        _mm_storeu_si128((__m128i *)b->packed[i].word,
                         _mm_or_si128(halves, _mm_cvtsi32_si128((int)(size | channel << 8))));
        odd |= (uint64_t)((_mm256_cmpge_epu8_mask(digits, ten) != 0) |
                          (size - PACKED_RAW_MAX - 1 >= PACKED_KEY_MAX - PACKED_RAW_MAX) |
                          (channel > PACKED_CHANNEL_MAX) | (b->currency[i] == CURRENCY_NONE))
               << i;
    }
    for (uint32_t i = 0; i < count; i++)
        b->hash[i] = packed_hash(b->packed[i].word, seed);
    return odd;
}

/* plain_flip of all rows. */
PLAIN_WIDE static inline void wide_flip(uint32_t count, struct plain_block *b)
{
    const __m512i minus = _mm512_loadu_si512(b->negative), out = _mm512_loadu_si512(b->is_out),
                  zero = _mm512_setzero_si512();
    const uint64_t is_out = _mm512_test_epi8_mask(out, out),
                   flips = _mm512_test_epi8_mask(minus, minus) ^ is_out;
    uint64_t is_some = 0;
    for (uint32_t k = 0; k < count; k += LANES) {
        const __m512i amount = _mm512_loadu_si512(b->amount_micro + k);
        is_some |= (uint64_t)_mm512_test_epi64_mask(amount, amount) << k;
        _mm512_storeu_si512(b->amount_micro + k,
                            _mm512_mask_sub_epi64(amount, (__mmask8)(flips >> k), zero, amount));
    }
    _mm512_storeu_si512(b->is_out, _mm512_maskz_set1_epi8((flips & is_some) | (is_out & ~is_some), 1));
}

PLAIN_WIDE static inline __attribute__((always_inline)) uint32_t
block_wide(const struct plain_plan *plan, struct norm_scratch *s, const uint8_t *bytes, const uint32_t *seps,
           uint32_t columns, const int has_cr, const struct plain_packs packs, uint32_t count,
           struct plain_block *b)
{
    const uint32_t ends = has_cr ? columns : 0;
    if (UNLIKELY(seps[-1] + 1 < PLAIN_FRONT))
        return 0;
    _mm512_storeu_si512(b->negative, _mm512_setzero_si512());
    uint64_t odd = wide_money(bytes, seps, columns, plan->amount, ends, count, b->amount_micro, b->negative);
    for (; UNLIKELY(odd != 0); odd &= odd - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(odd);
        if (!plain_row_amount(plan, bytes, seps + (size_t)i * columns, ends, i, b)) {
            count = i;
            break;
        }
    }
    if (plan->fee >= 0) {
        odd = wide_money(bytes, seps, columns, plan->fee, ends, count, NULL, NULL);
        for (; UNLIKELY(odd != 0); odd &= odd - 1) {
            const uint32_t i = (uint32_t)__builtin_ctzll(odd);
            if (!plain_row_fee(plan, bytes, seps + (size_t)i * columns, ends)) {
                count = i;
                break;
            }
        }
    }
    if (plain_shape_has_all(plan, columns)) {
        plain_shapes_begin(plan, s);
        count = wide_parts(plan, s, bytes, seps, columns, ends, count, b);
    } else {
        count = plain_block_parts(plan, s, bytes, seps, columns, ends, count, b);
    }
    if (UNLIKELY(s->words_owner != plan->number)) {
        s->status_words.count = s->channel_words.count = s->status_words.next = s->channel_words.next = 0;
        s->words_owner = plan->number;
    }
    if (plan->status >= 0 && plan->status + 1 != (int)ends) {
        odd = wide_words(&s->status_words, bytes, seps, columns, plan->status, count, b->status);
        for (; UNLIKELY(odd != 0); odd &= odd - 1) {
            const uint32_t i = (uint32_t)__builtin_ctzll(odd);
            const uint32_t *const row = seps + (size_t)i * columns;
            if (!plain_row_status(plan, s, bytes, row, ends, i, b)) {
                count = i;
                break;
            }
            learn_word(&s->status_words, plain_cell(bytes, row, plan->status), b->status[i]);
        }
    } else {
        count = plain_block_status(plan, s, bytes, seps, columns, ends, count, b);
    }
    if (plan->wants_channel && plan->channel >= 0 && plan->channel + 1 != (int)ends) {
        odd = wide_words(&s->channel_words, bytes, seps, columns, plan->channel, count, b->channel);
        for (; UNLIKELY(odd != 0); odd &= odd - 1) {
            const uint32_t i = (uint32_t)__builtin_ctzll(odd);
            const uint32_t *const row = seps + (size_t)i * columns;
            if (!plain_row_channel(plan, s, bytes, row, ends, i, b)) {
                count = i;
                break;
            }
            learn_word(&s->channel_words, plain_cell(bytes, row, plan->channel), b->channel[i]);
        }
    } else {
        count = plain_block_channel(plan, s, bytes, seps, columns, ends, count, b);
    }
    count = plain_block_numbers(plan, bytes, seps, columns, ends, count);
    if (packs.packs) {
        odd = wide_keys(plan, bytes, seps, columns, ends, packs.seed, count, b);
        for (; UNLIKELY(odd != 0); odd &= odd - 1) {
            const uint32_t i = (uint32_t)__builtin_ctzll(odd);
            if (!plain_row_key(plan, bytes, seps + (size_t)i * columns, ends, packs, i, b)) {
                count = i;
                break;
            }
        }
    } else {
        count = plain_block_keys(plan, bytes, seps, columns, ends, packs, count, b);
    }
    wide_flip(count, b);
    return count;
}

PLAIN_WIDE __attribute__((noinline)) uint32_t plain_block_wide(const struct plain_plan *plan,
                                                               struct norm_scratch *s, const uint8_t *bytes,
                                                               const uint32_t *seps, uint32_t columns,
                                                               int has_cr, const struct plain_packs packs,
                                                               uint32_t count, struct plain_block *b)
{
    return has_cr ? block_wide(plan, s, bytes, seps, columns, 1, packs, count, b)
                  : block_wide(plan, s, bytes, seps, columns, 0, packs, count, b);
}

#endif
