/* io/format/crc32.c: see crc32.h
 *
 * A message is a polynomial over GF(2), its CRC the remainder by P. 64 bytes are held in four registers; a
 * register moves forward over n bits by multiplying its two halves with x^(n+32) mod P and x^(n-32) mod P
 * (bits are reflected, which costs one more shift, so the constants are those of n and n+64 doubled) and
 * adding what stands there. In the end 128 bits are left, and zlib takes their remainder, so no reduction is
 * written here.
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
static int has_carryless;

__attribute__((constructor)) static void crc32_choose(void)
{
    __builtin_cpu_init();
    has_carryless = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
    fold_512[0] = power(512 + 32);
    fold_512[1] = power(512 - 32);
    fold_128[0] = power(128 + 32);
    fold_128[1] = power(128 - 32);
}

__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i x, __m128i by, __m128i next)
{
    __m128i low = _mm_clmulepi64_si128(x, by, 0x00), high = _mm_clmulepi64_si128(x, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

__attribute__((target("pclmul,sse4.1"))) static uint32_t crc32_fold(uint32_t crc, const uint8_t *p,
                                                                    size_t size)
{
    const __m128i *in = (const __m128i *)p;
    const __m128i far = _mm_loadu_si128((const __m128i *)fold_512),
                  near = _mm_loadu_si128((const __m128i *)fold_128);
    /* What came before is as if the first 32 bits were changed by it. */
    __m128i a = _mm_xor_si128(_mm_loadu_si128(in), _mm_cvtsi32_si128((int)~crc));
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
    for (; size >= 16; size -= 16, in++)
        a = fold(a, near, _mm_loadu_si128(in));
    uint8_t last[16];
    _mm_storeu_si128((__m128i *)last, a);
    /* zlib starts from all ones and inverts at the end; the start is in `a` already, so it is told to start
     * from none. */
    uLong rest = crc32(0xffffffffu, last, sizeof last);
    return (uint32_t)crc32(rest, (const uint8_t *)in, (uInt)size);
}

uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t size)
{
    if (has_carryless && size >= 64)
        return crc32_fold(crc, bytes, size);
    return (uint32_t)crc32(crc, bytes, (uInt)size);
}
#else
uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t size)
{
    return (uint32_t)crc32(crc, bytes, (uInt)size);
}
#endif
