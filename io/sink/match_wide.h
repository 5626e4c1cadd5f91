/* io/sink/match_wide.h: a part of match_taps.c: rows of a block onto the shelf, with AVX-512.
 *
 * take_wide does what take_local_rows and take_channel_rows do, column by column: rows do not wait for each other, and what is the same
 * for rows that look alike (channel, length, letters; of local ones day and biz_type too) is looked up once for all of them, by
 * their *head* (struct early_head). A row that is otherwise in some column is a bit there, and is asked about by itself. Not in line, as what
 * it may use is not for its callers. */
#ifndef TIEOUT_IO_SINK_MATCH_WIDE_H
#define TIEOUT_IO_SINK_MATCH_WIDE_H

#include "io/sink/shelf_wide.h"

#if HAS_WIDE

enum {
    WIDE_LANES = 8,
    HEAD_BITS = 16, /* of a packed key: its length, letters, channel */
    HEAD_KIND_SHIFT =
        48, /* behind letters, four at most: of a local row its type, and from KIND_DAY on its day */
    KIND_DAY = 8
};

/* Rows of a block, column by column. */
struct wide_rows {
    _Alignas(64) uint64_t high[PLAIN_BLOCK]; /* of the number */
    _Alignas(64) uint64_t low[PLAIN_BLOCK];
    _Alignas(64) uint64_t heads[PLAIN_BLOCK];
    _Alignas(64) uint64_t from[PLAIN_BLOCK];   /* the first number of its part, its upper 64 bits */
    _Alignas(64) uint64_t shifts[PLAIN_BLOCK]; /* of its part */
    _Alignas(64) uint64_t own[PLAIN_BLOCK][2]; /* the channel's number, 0 in its first two bytes */
    _Alignas(64) uint16_t kinds[PLAIN_BLOCK];
    _Alignas(64) uint8_t head_of[PLAIN_BLOCK]; /* its index among the lane's */
    uint8_t own_head[PLAIN_BLOCK];             /* what stands in the first of these two */
    uint32_t parts[PLAIN_BLOCK];
};

/* Rows that are not as usual: too short, or what an item does not hold. Their numbers and heads. */
PLAIN_WIDE static inline uint64_t wide_numbers(const struct plain_block *block, uint32_t count,
                                               const uint64_t *places, const uint32_t *lines,
                                               struct wide_rows *w)
{
    const __m512i half = _mm512_set1_epi64(PACKED_AMOUNT_MAX + 1),
                  status_max = _mm512_set1_epi64(PACKED_STATUS_MAX),
                  row_least = _mm512_set1_epi64(1 << PLACE_SHIFT),
                  lines_max = _mm512_set1_epi64(TAKEN_LINES_MAX),
                  first = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
                  second = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), word = _mm512_set1_epi64(64),
                  turn = _mm512_set_epi64(0x08090A0B0C0D0E0F, 0x0001020304050607, 0x08090A0B0C0D0E0F,
                                          0x0001020304050607, 0x08090A0B0C0D0E0F, 0x0001020304050607,
                                          0x08090A0B0C0D0E0F, 0x0001020304050607);
    uint64_t odd = 0;
    for (uint32_t k = 0; k < count; k += WIDE_LANES) {
        const __m512i amount = _mm512_loadu_si512(block->amount_micro + k),
                      status = _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(block->status + k))),
                      size = _mm512_sub_epi64(_mm512_loadu_si512(places + k + 1),
                                              _mm512_loadu_si512(places + k)),
                      line = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(lines + k)));
        const __m512i over = _mm512_srli_epi64(_mm512_add_epi64(amount, half), 48);
        const __m512i pairs = _mm512_loadu_si512(&block->packed[k]),
                      more = _mm512_loadu_si512(&block->packed[k + 4]);
        const __m512i word0 = _mm512_permutex2var_epi64(pairs, first, more),
                      word1 = _mm512_permutex2var_epi64(pairs, second, more);
        odd |= (uint64_t)(_mm512_test_epi64_mask(over, over) | _mm512_cmpgt_epu64_mask(status, status_max) |
                          _mm512_cmplt_epu64_mask(size, row_least) |
                          _mm512_cmpgt_epu64_mask(line, lines_max) | _mm512_testn_epi64_mask(word0, word0))
               << k;
        /* As early_number. */
        const __m512i key_size = _mm512_and_si512(word0, _mm512_set1_epi64(31)),
                      letters = _mm512_and_si512(_mm512_srli_epi64(word0, 5), _mm512_set1_epi64(7));
        const __m512i high = _mm512_shuffle_epi8(
                          _mm512_or_si512(_mm512_srli_epi64(word0, 16), _mm512_slli_epi64(word1, 48)), turn),
                      low = _mm512_slli_epi64(_mm512_shuffle_epi8(word1, turn), 16);
        const __m512i shift = _mm512_maskz_slli_epi64(
            _mm512_cmpgt_epu64_mask(key_size, _mm512_set1_epi64(PACKED_RAW_MAX)),
            _mm512_add_epi64(_mm512_sub_epi64(_mm512_set1_epi64(PACKED_KEY_MAX), key_size), letters), 2);
        _mm512_store_si512(
            w->high + k,
            _mm512_or_si512(_mm512_or_si512(_mm512_sllv_epi64(high, shift),
                                            _mm512_srlv_epi64(low, _mm512_sub_epi64(word, shift))),
                            _mm512_sllv_epi64(low, _mm512_sub_epi64(shift, word))));
        _mm512_store_si512(w->low + k, _mm512_srli_epi64(_mm512_sllv_epi64(low, shift), 16));
        const __m512i head_bits =
                          _mm512_add_epi64(_mm512_set1_epi64(HEAD_BITS), _mm512_slli_epi64(letters, 3)),
                      kind = _mm512_cvtepu16_epi64(_mm_load_si128((const __m128i *)(w->kinds + k)));
        _mm512_store_si512(
            w->heads + k,
            _mm512_or_si512(_mm512_andnot_si512(_mm512_sllv_epi64(_mm512_set1_epi64(-1), head_bits), word0),
                            _mm512_slli_epi64(kind, HEAD_KIND_SHIFT)));
    }
    return odd;
}

/* Whether a text in sixteen bytes or less, of `size`, is a row's. */
PLAIN_WIDE static inline uint64_t wide_texts(const struct tap_rows *rows, const int column,
                                             const struct early_text *known)
{
    const __m128i text = _mm_loadu_si128((const __m128i *)known->text);
    const __mmask16 mask = (__mmask16)((1u << known->size) - 1);
    const uint32_t *seps = rows->seps;
    uint64_t other = 0;
    for (uint32_t i = 0; i < rows->count; i++, seps += rows->columns) {
        const struct span cell = plain_cell_of(rows->bytes, seps, column, rows->has_cr ? rows->columns : 0);
        other |= (uint64_t)((_mm_mask_cmpneq_epi8_mask(mask, _mm_loadu_si128((const __m128i *)cell.data),
                                                       text) != 0) |
                            (cell.size != known->size))
                 << i;
    }
    return other;
}

/* Type and day of local rows. A bit for each that has another than the sample's. */
PLAIN_WIDE static inline uint64_t wide_kinds(struct early_lane *lane, const struct tap_rows *rows,
                                             uint64_t all, struct wide_rows *w)
{
    const struct early *const e = lane->early;
    const struct plain_block *const block = rows->block;
    const struct plain_plan *const plan = rows->plan;
    if (plan->told < 0 && text_index(e->types, e->type_count, &lane->type, plan->told_constant) < 0)
        return all;
    const __m512i day = _mm512_set1_epi16((int16_t)lane->day),
                  usual = _mm512_set1_epi16((int16_t)(lane->type | lane->day_index * KIND_DAY));
    _mm512_store_si512(w->kinds, usual);
    _mm512_store_si512(w->kinds + 32, usual);
    uint64_t others = (uint64_t)_mm512_cmpneq_epi16_mask(_mm512_loadu_si512(block->day), day) |
                      (uint64_t)_mm512_cmpneq_epi16_mask(_mm512_loadu_si512(block->day + 32), day) << 32;
    if (plan->told >= 0)
        others |= wide_texts(rows, plan->told, &e->types[lane->type]);
    uint64_t odd = 0;
    for (others &= all; UNLIKELY(others != 0); others &= others - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(others);
        const int day_at = day_index(lane, block->day[i]),
                  type = text_index(e->types, e->type_count, &lane->type,
                                    told_text(rows, rows->seps + (size_t)i * rows->columns, plan->told,
                                              plan->told_constant));
        odd |= (uint64_t)(day_at < 0 || type < 0) << i;
        w->kinds[i] = (uint16_t)(type | day_at * KIND_DAY);
    }
    return odd;
}

/* What rows with such a head have in common; it is known from then on. -1: they go nowhere. */
static __attribute__((noinline)) int find_head(struct early_lane *lane, enum side side, uint64_t head)
{
    const struct early *const e = lane->early;
    struct early_heads *const heads = &lane->heads[side];
    for (uint32_t i = 0; i < heads->count; i++) /* another row of the block may have had it */
        if (heads->head[i] == head)
            return (int)i;
    const uint32_t channel = channel_index(lane, head >> 8 & PACKED_CHANNEL_MAX), size = head & 31;
    const int prefix = prefix_index(e, head);
    if (channel >= e->channel_count || prefix < 0)
        return -1;
    const uint16_t kind = (uint16_t)(head >> HEAD_KIND_SHIFT),
                   number = side == LOCAL
                                ? e->stratum_of[kind / KIND_DAY][kind % KIND_DAY][channel][size][prefix]
                                : e->group_of[channel][size][prefix];
    if (number == EARLY_NONE)
        return -1;
    const struct early_span *const span = side == LOCAL ? e->strata[number].find : &e->groups[number];
    const uint32_t begin = side == LOCAL ? e->strata[number].span.begin : span->begin, at = heads->next;
    heads->next = (at + 1) % EARLY_HEADS;
    heads->count += heads->count < EARLY_HEADS;
    heads->head[at] = head;
    heads->of[at] = (struct early_head){span, e->base[side][begin].shift, begin};
    return (int)at;
}

/* Where a row goes that has such a head. */
static inline __attribute__((always_inline)) void
put_part(struct wide_rows *w, const struct shelf_lane *shelf, uint32_t i, const struct early_head *head)
{
    const uint32_t at = early_find_at(head->span, w->high[i]);
    const uint32_t part = head->begin + at;
    __builtin_prefetch(shelf->gather[part], 1);
    w->parts[i] = part;
    w->from[i] = head->span->low[at];
    w->shifts[i] = head->shift;
}

/* Where the rows go that are a bit in `wanted`. A bit for each that goes nowhere. */
PLAIN_WIDE static inline uint64_t wide_parts(struct early_lane *lane, enum side side, uint32_t count,
                                             uint64_t wanted, struct wide_rows *w)
{
    const struct early_heads *const heads = &lane->heads[side];
    uint64_t found = 0;
    __m512i which = _mm512_setzero_si512();
    for (uint32_t h = 0; h < heads->count && (wanted & ~found); h++) {
        const __m512i head = _mm512_set1_epi64((int64_t)heads->head[h]);
        uint64_t same = 0;
        for (uint32_t k = 0; k < count; k += WIDE_LANES)
            same |= (uint64_t)_mm512_cmpeq_epi64_mask(_mm512_load_si512(w->heads + k), head) << k;
        found |= same;
        which = _mm512_mask_set1_epi8(which, same, (char)h);
    }
    _mm512_store_si512(w->head_of, which);
    for (uint64_t left = wanted & found; left != 0; left &= left - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(left);
        put_part(w, lane->shelf[side], i, &heads->of[w->head_of[i]]);
    }
    uint64_t odd = 0;
    for (uint64_t left = wanted & ~found; UNLIKELY(left != 0); left &= left - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(left);
        const int at = find_head(lane, side, w->heads[i]);
        if (LIKELY(at >= 0))
            put_part(w, lane->shelf[side], i, &heads->of[at]);
        else
            odd |= (uint64_t)1 << i;
    }
    return odd;
}

/* How far numbers lie behind their parts' first ones, into `rest`. A bit for each that lies too far off. */
PLAIN_WIDE static inline uint32_t wide_rest(const struct wide_rows *w, uint32_t k, __m512i *rest)
{
    enum { LOW = 48 };
    const __m512i high = _mm512_load_si512(w->high + k), from = _mm512_load_si512(w->from + k),
                  shift = _mm512_load_si512(w->shifts + k), low_bits = _mm512_set1_epi64(LOW),
                  behind = _mm512_sub_epi64(high, from),
                  over = _mm512_srlv_epi64(behind, _mm512_add_epi64(shift, _mm512_set1_epi64(64 - LOW)));
    *rest = _mm512_or_si512(_mm512_or_si512(_mm512_sllv_epi64(behind, _mm512_sub_epi64(low_bits, shift)),
                                            _mm512_srlv_epi64(behind, _mm512_sub_epi64(shift, low_bits))),
                            _mm512_srlv_epi64(_mm512_load_si512(w->low + k), shift));
    return (uint32_t)(_mm512_cmplt_epu64_mask(high, from) | _mm512_test_epi64_mask(over, over));
}

/* Numbers of 15 to 28 digits, two rows at once. A bit for each row that has another. */
PLAIN_WIDE static inline uint64_t wide_own(const struct tap_rows *rows, struct wide_rows *w)
{
    enum { DIGITS = 32, EVEN = 2 };
    const __m512i zero = _mm512_set1_epi8('0'), ten = _mm512_set1_epi8(10),
                  weights = _mm512_set1_epi16(16 | 1 << 8);
    const uint32_t ends = rows->has_cr ? rows->columns : 0, *seps = rows->seps;
    uint64_t odd = 0;
    for (uint32_t i = 0; i < rows->count; i += EVEN, seps += EVEN * rows->columns) {
        const uint32_t *const more = i + 1 < rows->count ? seps + rows->columns : seps;
        const struct span one = plain_cell_of(rows->bytes, seps, rows->plan->told, ends),
                          other = plain_cell_of(rows->bytes, more, rows->plan->told, ends);
        const __mmask64 mask = (uint32_t)(0xFFFFFFFF00000000u >> one.size % 64) |
                               0xFFFFFFFF00000000u >> other.size % 64 << DIGITS;
        const __m512i digits = _mm512_maskz_sub_epi8(
            mask,
            _mm512_inserti64x4(
                _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(one.data + one.size - DIGITS))),
                _mm256_loadu_si256((const __m256i *)(other.data + other.size - DIGITS)), 1),
            zero);
        const uint64_t others = _mm512_cmpge_epu8_mask(digits, ten);
        _mm256_store_si256((__m256i *)w->own[i], _mm512_cvtepi16_epi8(_mm512_maddubs_epi16(digits, weights)));
        w->own_head[i] = (uint8_t)one.size;
        w->own_head[i + 1] = (uint8_t)other.size;
        odd |= (uint64_t)(((uint32_t)others != 0) |
                          (one.size - PACKED_RAW_MAX - 1 >= PACKED_KEY_MAX - PACKED_RAW_MAX))
                   << i |
               (uint64_t)((others >> DIGITS != 0) |
                          (other.size - PACKED_RAW_MAX - 1 >= PACKED_KEY_MAX - PACKED_RAW_MAX))
                   << i << 1;
    }
    return odd;
}

/* The channel's own numbers. A bit for each that cannot be said. */
PLAIN_WIDE static inline uint64_t wide_numbers_of_channel(const struct early *e, const struct tap_rows *rows,
                                                          uint64_t all, struct wide_rows *w)
{
    uint64_t odd = 0;
    for (uint64_t others = wide_own(rows, w) & all; UNLIKELY(others != 0); others &= others - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(others);
        const struct span text = told_text(rows, rows->seps + (size_t)i * rows->columns, rows->plan->told,
                                           rows->plan->told_constant);
        const struct packed_key own = packed_key_of((const uint8_t *)text.data, (uint32_t)text.size, 0);
        odd |= (uint64_t)!number_fits(e, &own, text.size) << i;
        w->own[i][0] = own.word[0] >> 16 << 16;
        w->own[i][1] = own.word[1];
        w->own_head[i] = (uint8_t)own.word[0];
    }
    return odd;
}

/* Columns become items on the shelf, of rows that are a bit in `wanted`. A bit for each that is not there. */
PLAIN_WIDE static inline __attribute__((always_inline)) uint64_t
wide_items(struct early_lane *lane, enum side side, const struct plain_block *block, uint32_t count,
           uint64_t wanted, const struct told_rows *told, const struct wide_rows *w)
{
    struct shelf_lines full;
    full.count = 0;
    static const _Alignas(64)
        uint64_t taken_first[WIDE_LANES][SHELF_WORDS] = {{0, 1, 8, 0},  {0, 1, 9, 0},  {2, 3, 10, 0},
                                                         {2, 3, 11, 0}, {4, 5, 12, 0}, {4, 5, 13, 0},
                                                         {6, 7, 14, 0}, {6, 7, 15, 0}},
                 channel_first[WIDE_LANES][SHELF_WORDS] = {{0, 1, 8, 9},   {0, 1, 10, 11}, {2, 3, 12, 13},
                                                           {2, 3, 14, 15}, {4, 5, 8, 9},   {4, 5, 10, 11},
                                                           {6, 7, 12, 13}, {6, 7, 14, 15}},
                 channel_then[WIDE_LANES][SHELF_WORDS] = {
                     {0, 1, 2, 3, 8},  {0, 1, 2, 3, 9},  {0, 1, 2, 3, 10}, {0, 1, 2, 3, 11},
                     {0, 1, 2, 3, 12}, {0, 1, 2, 3, 13}, {0, 1, 2, 3, 14}, {0, 1, 2, 3, 15}};
    uint64_t odd = 0;
    for (uint32_t k = 0; k < count; k += WIDE_LANES) {
        _Alignas(64) uint64_t items[WIDE_LANES][SHELF_WORDS];
        __m512i rest;
        const uint32_t which = (uint32_t)(wanted >> k & 0xFF) & ~wide_rest(w, k, &rest);
        const __m512i amount = _mm512_loadu_si512(block->amount_micro + k),
                      status = _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(block->status + k))),
                      currency =
                          _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(block->currency + k))),
                      out = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(block->is_out + k))),
                      lines = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(told->lines + k)));
        const __m512i sigma =
            _mm512_or_si512(_mm512_or_si512(_mm512_slli_epi64(amount, 16), _mm512_slli_epi64(currency, 8)),
                            _mm512_or_si512(_mm512_slli_epi64(status, 1), out));
        __m512i place = _mm512_or_si512(_mm512_loadu_si512(told->places + k),
                                        _mm512_slli_epi64(lines, TAKEN_LINES_SHIFT));
        if (side == CHANNEL)
            place = _mm512_or_si512(
                place,
                _mm512_slli_epi64(_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(w->own_head + k))),
                                  TAKEN_SIZE_SHIFT));
        const __m512i pairs[2] = {_mm512_unpacklo_epi64(rest, place), _mm512_unpackhi_epi64(rest, place)};
        if (side == LOCAL) {
            for (uint32_t i = 0; i < WIDE_LANES; i++)
                _mm512_store_si512(items[i], _mm512_permutex2var_epi64(
                                                 pairs[i % 2], _mm512_load_si512(taken_first[i]), sigma));
        } else {
            const __m512i day = _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(block->day + k)));
            const __m512i own[2] = {
                _mm512_or_si512(
                    _mm512_load_si512(w->own[k]),
                    _mm512_maskz_permutexvar_epi64(0x55, _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), day)),
                _mm512_or_si512(
                    _mm512_load_si512(w->own[k + 4]),
                    _mm512_maskz_permutexvar_epi64(0x55, _mm512_setr_epi64(4, 4, 5, 5, 6, 6, 7, 7), day))};
            for (uint32_t i = 0; i < WIDE_LANES; i++)
                _mm512_store_si512(
                    items[i], _mm512_permutex2var_epi64(
                                  _mm512_permutex2var_epi64(pairs[i % 2], _mm512_load_si512(channel_first[i]),
                                                            own[i / 4]),
                                  _mm512_load_si512(channel_then[i]), sigma));
        }
        const uint32_t words = (side == LOCAL ? LOCAL_TAKEN : CHANNEL_TAKEN) / 8,
                       left = shelf_put_wide(lane->shelf[side], w->parts + k, items, words, which, &full);
        odd |= (uint64_t)(0xFF & ~(which ^ left)) << k;
        if (UNLIKELY(left != 0)) {
            shelf_is_full(lane);
            odd |= ~UINT64_C(0) << k << (WIDE_LANES - 1) << 1;
            break;
        }
    }
    shelf_send_wide(&full);
    return odd;
}

/* As take_local_plain and take_channel_plain. 0: it is their turn, as something of the block is not as it mostly is. */
PLAIN_WIDE static inline __attribute__((always_inline)) int
take_wide(struct early_lane *lane, const enum side side, const struct tap_rows *rows,
          const struct told_rows *told, uint64_t *taken)
{
    const struct early *const e = lane->early;
    const uint32_t count = rows->count;
    const uint64_t all = count < PLAIN_BLOCK ? ((uint64_t)1 << count) - 1 : ~UINT64_C(0);
    struct wide_rows w;
    if (UNLIKELY(!rows->packs || !e->has_channel || told->places[count] >> PACKED_PLACE_BITS ||
                 (side == CHANNEL && rows->plan->told < 0)))
        return 0;
    uint64_t odd = 0;
    if (side == LOCAL) {
        odd = wide_kinds(lane, rows, all, &w);
    } else {
        _mm512_store_si512(w.kinds, _mm512_setzero_si512());
        _mm512_store_si512(w.kinds + 32, _mm512_setzero_si512());
        odd = wide_numbers_of_channel(e, rows, all, &w);
    }
    odd |= wide_numbers(rows->block, count, told->places, told->lines, &w);
    odd |= wide_parts(lane, side, count, all & ~odd, &w);
    odd |= wide_items(lane, side, rows->block, count, all & ~odd, told, &w);
    *taken = all & ~odd;
    return 1;
}

PLAIN_WIDE static __attribute__((noinline)) int take_local_wide(struct early_lane *lane,
                                                                const struct tap_rows *rows,
                                                                const struct told_rows *told, uint64_t *taken)
{
    return take_wide(lane, LOCAL, rows, told, taken);
}

PLAIN_WIDE static __attribute__((noinline)) int take_channel_wide(struct early_lane *lane,
                                                                  const struct tap_rows *rows,
                                                                  const struct told_rows *told,
                                                                  uint64_t *taken)
{
    return take_wide(lane, CHANNEL, rows, told, taken);
}

#endif

#endif
