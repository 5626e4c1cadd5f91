/* io/format/crc32.c: see crc32.h
 *
 * A message is a polynomial over GF(2), its CRC the remainder by P. 64 bytes are held in four registers; a
 * register moves forward over n bits by multiplying its two halves with x^(n+32) mod P and x^(n-32) mod P
 * (bits are reflected, which costs one more shift, so the constants are those of n and n+64 doubled) and
 * adding what stands there. What is left of less than 16 bytes moves the register on by that many bytes. In the end 128
 * bits are made 96, 64 and 32 by multiplying what stands too high with x^64 mod P, and Barrett's way for the last step.
 * Most events of small transactions have fewer than 64 bytes.
 */
#include "io/format/crc32.h"
#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* x^n mod P, reflected and shifted by one as the multiplication wants it. Runs once, so it may be slow. */
static uint64_t power(unsigned n)
{
    /* The highest bit stands for x^0. */
    uint32_t v = 0x80000000u;
    for (unsigned i = 0; i < n; i++)
        v = v >> 1 ^ (v & 1 ? 0xedb88320u : 0);
    return (uint64_t)v << 1;
}

/* Constants to move over 512 and over 128 bits: low half for the register's low half, which stands 64 bits
 * farther away. Written before main, read by any thread. */
static uint64_t fold_512[2], fold_128[2];
/* x^63 mod P where no bit is lost by the multiplication's shift: moves 64 bits on without the 32 that `power` adds. */
static uint64_t over_64;
static const uint64_t polynomial[2] = {0x1DB710641, 0x1F7011641}; /* P, and x^64 / P, reflected */
/* A shuffle by bytes: from entry 16 - n on it moves n bytes up, from 16 + n on n bytes down, and fills with zeros. */
static const uint8_t move_bytes[48] = {
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
static int has_carryless;

__attribute__((constructor)) static void crc32_choose(void)
{
    __builtin_cpu_init();
    has_carryless = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
    fold_512[0] = power(512 + 32);
    fold_512[1] = power(512 - 32);
    fold_128[0] = power(128 + 32);
    fold_128[1] = power(128 - 32);
    over_64 = power(63) << 31;
}

__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i x, __m128i by, __m128i next)
{
    __m128i low = _mm_clmulepi64_si128(x, by, 0x00), high = _mm_clmulepi64_si128(x, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* What 64 bits are mod P. */
__attribute__((target("pclmul,sse4.1"))) static inline uint32_t reduce_64(__m128i a)
{
    const __m128i p = _mm_loadu_si128((const __m128i *)polynomial), low_32 = _mm_setr_epi32(-1, 0, 0, 0);
    __m128i t = _mm_clmulepi64_si128(_mm_and_si128(a, low_32), p, 0x10);
    t = _mm_clmulepi64_si128(_mm_and_si128(t, low_32), p, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(a, t), 1);
}

__attribute__((target("pclmul,sse4.1"))) static inline uint32_t reduce(__m128i a)
{
    const __m128i by = _mm_cvtsi64_si128((int64_t)over_64);
    const __m128i low_32 = _mm_setr_epi32(-1, 0, 0, 0);
    /* 128 bits -> 96 -> 64, the highest powers first. */
    a = _mm_xor_si128(_mm_clmulepi64_si128(a, by, 0x00), _mm_slli_si128(_mm_srli_si128(a, 8), 8));
    a = _mm_xor_si128(_mm_clmulepi64_si128(a, by, 0x00), _mm_slli_si128(_mm_srli_si128(a, 8), 8));
    a = _mm_srli_si128(a, 8);
    /* Times x^32: the upper half of 64 bits by x^64 again, beside the lower one moved up. */
    __m128i high = _mm_slli_epi64(_mm_and_si128(a, low_32), 32);
    a = _mm_xor_si128(_mm_srli_si128(_mm_clmulepi64_si128(high, by, 0x00), 8), _mm_srli_epi64(a, 32));
    return reduce_64(a);
}

__attribute__((target("pclmul,sse4.1"))) static uint32_t crc32_fold(uint32_t crc, const uint8_t *p,
                                                                    size_t size)
{
    const uint8_t *const end = p + size;
    const __m128i *in = (const __m128i *)p;
    const __m128i far = _mm_loadu_si128((const __m128i *)fold_512),
                  near = _mm_loadu_si128((const __m128i *)fold_128);
    /* What came before is as if the first 32 bits were changed by it. */
    __m128i a = _mm_xor_si128(_mm_loadu_si128(in), _mm_cvtsi32_si128((int)~crc));
    if (size >= 64) {
        __m128i b = _mm_loadu_si128(in + 1), c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
        in += 4;
        size -= 64;
        for (; size >= 64; size -= 64, in += 4) {
            a = fold(a, far, _mm_loadu_si128(in));
            b = fold(b, far, _mm_loadu_si128(in + 1));
            c = fold(c, far, _mm_loadu_si128(in + 2));
            d = fold(d, far, _mm_loadu_si128(in + 3));
        }
        a = fold(a, near, b);
        a = fold(a, near, c);
        a = fold(a, near, d);
    } else {
        in += 1;
        size -= 16;
    }
    for (; size >= 16; size -= 16, in++)
        a = fold(a, near, _mm_loadu_si128(in));
    if (size) {
        /* The first `size` bytes of the register move over 16 bytes; its others stand in front of the last bytes. */
        const __m128i up = _mm_loadu_si128((const __m128i *)(move_bytes + size)),
                      down = _mm_loadu_si128((const __m128i *)(move_bytes + 16 + size));
        const __m128i last = _mm_loadu_si128((const __m128i *)(end - 16));
        const __m128i rest = _mm_blendv_epi8(_mm_shuffle_epi8(a, down), last, down);
        a = fold(_mm_shuffle_epi8(a, up), near, rest);
    }
    return ~reduce(a);
}

uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t size)
{
    if (has_carryless && size >= 16)
        return crc32_fold(crc, bytes, size);
    return (uint32_t)crc32(crc, bytes, (uInt)size);
}

struct crc32_tail crc32_tail_make(const uint8_t *bytes, size_t size)
{
    /* Of a CRC of 32 bits times x^n the 64 bits are as they must be: nothing stands too high. */
    return (struct crc32_tail){.shift = has_carryless ? power((unsigned)(8 * size)) : 0,
                               .crc = crc32_update(0, bytes, size)};
}

__attribute__((target("pclmul,sse4.1"))) uint32_t crc32_before(const struct crc32_tail *tail,
                                                               const uint8_t *bytes, size_t size)
{
    const __m128i before = _mm_cvtsi32_si128((int)crc32_update(0, bytes, size)),
                  by = _mm_cvtsi64_si128((int64_t)tail->shift);
    return reduce_64(_mm_clmulepi64_si128(before, by, 0x00)) ^ tail->crc;
}
#else
uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t size)
{
    return (uint32_t)crc32(crc, bytes, (uInt)size);
}
struct crc32_tail crc32_tail_make(const uint8_t *bytes, size_t size)
{
    return (struct crc32_tail){.shift = 0, .crc = crc32_update(0, bytes, size)};
}
uint32_t crc32_before(const struct crc32_tail *tail, const uint8_t *bytes, size_t size)
{
    (void)tail;
    return crc32_update(0, bytes, size);
}
#endif
