/* io/source/csv_wide.h: a part of csv_rows.c: what becomes of a block of usual rows, with AVX-512.
 *
 * put_packed_wide and tally_even_wide do what put_packed and tally_even do, eight rows at a time. The first also takes the room of
 * all rows at once: where a batch may be full before the block is, it leaves it to the other. Not in line, as what they may use is not
 * for their callers. */
#ifndef TIEOUT_IO_SOURCE_CSV_WIDE_H
#define TIEOUT_IO_SOURCE_CSV_WIDE_H

#include "core/ops/outbox.h"
#include "core/rules/plain_wide.h"

#if HAS_WIDE

enum {
    WIDE_LANES = 8,
    WIDE_SHARDS_MAX = 16,
    WIDE_AHEAD = 40 /* records: half a block and more, of two shards */
};

/* How many rows were put: all, or 0: it is put_packed's turn. */
PLAIN_WIDE static __attribute__((noinline)) uint32_t put_packed_wide(const struct plain_block *block,
                                                                     uint32_t count, const uint32_t *seps,
                                                                     uint32_t columns, unsigned side_flag,
                                                                     uint64_t place, struct outbox *outbox)
{
    struct packed *next[WIDE_SHARDS_MAX], *end[WIDE_SHARDS_MAX];
    _Alignas(64) uint64_t at[PLAIN_BLOCK];
    _Alignas(64) uint64_t later[PLAIN_BLOCK][2]; /* sigma and rest */
    const uint32_t shards = outbox->shard_count;
    if (UNLIKELY(shards > WIDE_SHARDS_MAX))
        return 0;
    for (uint32_t k = 0; k < shards; k++) {
        struct batch *const batch = outbox->open[k];
        if (UNLIKELY(2 * batch->used + batch->packed + count > 2 * batch->room))
            return 0;
        next[k] = end[k] = batch_next_packed(batch);
    }
    uint32_t i = 0;
    for (const uint32_t *row = seps; i < count; i++, row += columns)
        at[i] = place + 1 + row[-1];
    for (; i % WIDE_LANES; i++)
        at[i] = 0;
    const __m512i half = _mm512_set1_epi64(PACKED_AMOUNT_MAX + 1),
                  status_max = _mm512_set1_epi64(PACKED_STATUS_MAX),
                  is_channel = _mm512_set1_epi64((int64_t)packed_rest(0, 0, !!(side_flag & RECORD_CHANNEL)));
    uint64_t odd = 0;
    for (uint32_t k = 0; k < count; k += WIDE_LANES) {
        const __m512i amount = _mm512_loadu_si512(block->amount_micro + k), from = _mm512_load_si512(at + k),
                      status = _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(block->status + k))),
                      day = _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(block->day + k))),
                      currency =
                          _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(block->currency + k))),
                      out = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(block->is_out + k)));
        const __m512i over = _mm512_or_si512(_mm512_srli_epi64(_mm512_add_epi64(amount, half), 48),
                                             _mm512_srli_epi64(from, PACKED_PLACE_BITS));
        odd |= (uint64_t)(_mm512_test_epi64_mask(over, over) | _mm512_cmpgt_epu64_mask(status, status_max))
               << k;
        const __m512i sigma =
            _mm512_or_si512(_mm512_or_si512(_mm512_slli_epi64(amount, 16), _mm512_slli_epi64(currency, 8)),
                            _mm512_or_si512(_mm512_slli_epi64(status, 1), out));
        const __m512i rest =
            _mm512_or_si512(_mm512_or_si512(from, is_channel), _mm512_slli_epi64(day, PACKED_DAY_SHIFT));
        const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11),
                      high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
        _mm512_store_si512(later[k], _mm512_permutex2var_epi64(sigma, low, rest));
        _mm512_store_si512(later[k + 4], _mm512_permutex2var_epi64(sigma, high, rest));
        /* The first words of keys. */
        const __m512i firsts = _mm512_permutex2var_epi64(_mm512_loadu_si512(&block->packed[k]),
                                                         _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
                                                         _mm512_loadu_si512(&block->packed[k + 4]));
        odd |= (uint64_t)_mm512_testn_epi64_mask(firsts, firsts) << k;
    }
    if (UNLIKELY(count < PLAIN_BLOCK))
        odd &= ((uint64_t)1 << count) - 1;
    if (UNLIKELY(odd != 0))
        return 0;
    for (i = 0; i < count; i++) {
        struct packed **const to = &next[hash_shard(block->hash[i], shards)];
        struct packed *const packed = *to;
        *to = packed - 1;
        __builtin_prefetch(packed - WIDE_AHEAD, 1); /* the batch was another core's: for the next block */
        _mm_storeu_si128((__m128i *)packed->key, _mm_loadu_si128((const __m128i *)block->packed[i].word));
        _mm_storeu_si128((__m128i *)&packed->sigma, _mm_load_si128((const __m128i *)later[i]));
    }
    for (uint32_t k = 0; k < shards; k++) {
        const uint32_t put = (uint32_t)(end[k] - next[k]);
        outbox->open[k]->packed += put;
        outbox->open[k]->count += put;
    }
    return count;
}

/* As tally_even. */
PLAIN_WIDE static __attribute__((noinline)) int tally_even_wide(const struct plain_block *block,
                                                                uint32_t count, struct tally_run *sums)
{
    enum { EACH_BITS = 56 };
    const uint64_t all = count < PLAIN_BLOCK ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
    const __m512i day = _mm512_set1_epi16((int16_t)block->day[0]),
                  currency = _mm512_set1_epi8((char)block->currency[0]),
                  outs = _mm512_loadu_si512(block->is_out), half = _mm512_set1_epi64(INT64_C(1) << EACH_BITS);
    const uint64_t others = (uint64_t)_mm512_cmpneq_epi16_mask(_mm512_loadu_si512(block->day), day) |
                            (uint64_t)_mm512_cmpneq_epi16_mask(_mm512_loadu_si512(block->day + 32), day)
                                << 32 |
                            _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(block->currency), currency);
    const uint64_t is_out = _mm512_test_epi8_mask(outs, outs) & all;
    __m512i sum = _mm512_setzero_si512(), sum_out = sum, large = sum;
    for (uint32_t k = 0; k < count; k += WIDE_LANES) {
        const __m512i amount = _mm512_maskz_loadu_epi64((__mmask8)(all >> k), block->amount_micro + k);
        sum = _mm512_add_epi64(sum, amount);
        sum_out = _mm512_mask_add_epi64(sum_out, (__mmask8)(is_out >> k), sum_out, amount);
        large = _mm512_or_si512(large, _mm512_srli_epi64(_mm512_add_epi64(amount, half), EACH_BITS + 1));
    }
    if (UNLIKELY((others & all) | _mm512_test_epi64_mask(large, large)))
        return 0;
    const int64_t outs_sum = _mm512_reduce_add_epi64(sum_out);
    const uint64_t out_count = (uint64_t)__builtin_popcountll(is_out);
    sums->count[0] += count - out_count;
    sums->count[1] += out_count;
    sums->sum[0] += _mm512_reduce_add_epi64(sum) - outs_sum;
    sums->sum[1] += outs_sum;
    return 1;
}

#endif

#endif
