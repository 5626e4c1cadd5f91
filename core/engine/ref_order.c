/* core/engine/ref_order.c: see ref_order.h */
#include "core/engine/ref_order.h"
#include "core/base/mem.h"
#include "core/engine/judge.h"
#include <stdlib.h>
#include <string.h>

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, FEW = 64, WORD_BITS = 64 };

static int compare_hashes(const void *a, const void *b)
{
    const struct row_ref *x = a, *y = b;
    return (x->key_hash > y->key_hash) - (x->key_hash < y->key_hash);
}

static unsigned bits_of(uint64_t value)
{
    return value ? WORD_BITS - (unsigned)__builtin_clzll(value) : 0;
}

/* Sorts `words` by the bits from `from` to `to`; `other` is as large. Where they are then. */
static uint64_t *sort_words(uint64_t *words, uint64_t *other, uint32_t count, unsigned from, unsigned to)
{
    for (unsigned shift = from; shift < to; shift += DIGIT_BITS) {
        uint32_t at[DIGITS] = {0}, sum = 0;
        for (uint32_t i = 0; i < count; i++)
            at[words[i] >> shift & (DIGITS - 1)]++;
        for (uint32_t d = 0; d < DIGITS; d++) {
            const uint32_t n = at[d];
            at[d] = sum;
            sum += n;
        }
        for (uint32_t i = 0; i < count; i++)
            other[at[words[i] >> shift & (DIGITS - 1)]++] = words[i];
        uint64_t *const sorted = other;
        other = words;
        words = sorted;
    }
    return words;
}

/* words[i] has what orders refs[i], in `bits` bits, from `low` on; below it, i. */
static void order(struct row_ref *refs, uint64_t *words, uint32_t count, unsigned low, unsigned bits)
{
    struct row_ref *const copy = (struct row_ref *)(void *)(words + 2 * (size_t)count);
    const uint64_t mask = (UINT64_C(1) << low) - 1;
    memcpy(copy, refs, count * sizeof *refs);
    words = sort_words(words, words + count, count, low, low + bits);
    for (uint32_t i = 0; i < count; i++)
        refs[i] = copy[words[i] & mask];
}

static uint64_t *take(uint32_t count)
{
    return count < FEW ? NULL : mem_take((size_t)count * (2 * sizeof(uint64_t) + sizeof(struct row_ref)));
}

void refs_by_place(struct row_ref *refs, uint32_t count)
{
    uint64_t first = UINT64_MAX, last = 0;
    unsigned sides = 0;
    uint32_t sorted = 1;
    while (sorted < count && judge_by_place(&refs[sorted - 1], &refs[sorted]) <= 0)
        sorted++;
    if (sorted >= count) /* those of a crowd come in order */
        return;
    for (uint32_t i = 0; i < count; i++) {
        first = refs[i].place < first ? refs[i].place : first;
        last = refs[i].place > last ? refs[i].place : last;
        sides |= 1u << refs[i].side;
    }
    const unsigned low = bits_of(count), place_bits = count ? bits_of(last - first) : 0,
                   side_bits = sides & (sides - 1) ? 1 : 0; /* of two sides one bit */
    uint64_t *const words = low + place_bits + side_bits > WORD_BITS ? NULL : take(count);
    if (!words) {
        qsort(refs, count, sizeof *refs, judge_by_place);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t side = side_bits ? refs[i].side : 0;
        words[i] = (side << place_bits | (refs[i].place - first)) << low | i;
    }
    order(refs, words, count, low, place_bits + side_bits);
    mem_give(words);
}

void refs_by_hash(struct row_ref *refs, uint32_t count)
{
    uint64_t *const words = take(count);
    if (!words) {
        qsort(refs, count, sizeof *refs, compare_hashes);
        return;
    }
    const unsigned low = bits_of(count);
    for (uint32_t i = 0; i < count; i++)
        words[i] = (uint64_t)refs[i].key_hash << low | i;
    order(refs, words, count, low, 32);
    mem_give(words);
}
