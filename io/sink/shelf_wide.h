/* io/sink/shelf_wide.h: a block of items onto a shelf, with AVX-512: shelf_put for each of them, without waiting and without a guess. */
#ifndef TIEOUT_IO_SINK_SHELF_WIDE_H
#define TIEOUT_IO_SINK_SHELF_WIDE_H

#include "core/rules/plain_wide.h"
#include "io/sink/shelf.h"

#if HAS_WIDE

enum { SHELF_AT_ONCE = 8, SHELF_LINES = 64 };

/* Lines that are full. They are sent off by shelf_send_wide, many at once: how many there are cannot be guessed. */
struct shelf_lines {
    _Alignas(64) uint64_t line[SHELF_LINES + 1][SHELF_WORDS]; /* the one behind the last is none yet */
    uint64_t to[SHELF_LINES + 1];
    uint32_t count;
};

/* Puts those of eight items that are a bit in `which`, each the first `words` of its line. A bit for each that was not put, since the
 * shelf is full. An item is turned in its line until its first word is where the part's next one goes: so what does not fit there is at the
 * line's beginning already. */
PLAIN_WIDE static inline __attribute__((always_inline)) uint32_t
shelf_put_wide(struct shelf_lane *lane, const uint32_t parts[SHELF_AT_ONCE],
               const uint64_t items[SHELF_AT_ONCE][SHELF_WORDS], const uint32_t words, uint32_t which,
               struct shelf_lines *full)
{
    const __m512i order = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    uint32_t count = full->count;
    for (; which != 0; which &= which - 1) {
        const uint32_t i = (uint32_t)__builtin_ctz(which), part = parts[i];
        uint64_t next = lane->next[part];
        if (UNLIKELY(shelf_is_block_end(next)) && (next = shelf_block(lane, part)) == 0)
            break;
        const uint32_t at = next / 8 % SHELF_WORDS;
        uint64_t *const line = lane->gather[part];
        const __m512i turned = _mm512_permutexvar_epi64(_mm512_sub_epi64(order, _mm512_set1_epi64(at)),
                                                        _mm512_load_si512(items[i])),
                      both = _mm512_mask_mov_epi64(_mm512_load_si512(line), (__mmask8)(0xFF << at), turned);
        const uint32_t is_full = at + words >= SHELF_WORDS;
        _mm512_store_si512(full->line[count], both);
        full->to[count] = next - next % SHELF_LINE;
        count += is_full;
        _mm512_store_si512(line, _mm512_mask_mov_epi64(both, (__mmask8)(0 - is_full), turned));
        lane->next[part] = next + words * sizeof **items;
    }
    full->count = count;
    return which;
}

PLAIN_WIDE static inline void shelf_send_wide(const struct shelf_lines *full)
{
    for (uint32_t k = 0; k < full->count; k++)
        _mm512_stream_si512((__m512i *)(uintptr_t)full->to[k], _mm512_load_si512(full->line[k]));
}

#endif

#endif
