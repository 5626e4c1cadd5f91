/* io/sink/sha_side.c: see sha_side.h. A hot file.
 *
 * FIPS 180-4, section 6.2, by Intel's instructions: a state is held in two registers, A B E F and C D G H from the highest word down;
 * sha256rnds2 does two rounds, and what was A B E F is C D G H then. msg1, an addition and msg2 make four words of the schedule out
 * of the sixteen before them.
 *
 * Of pieces of 64 KiB, GB a second of processor: libcrypto 1.8, two at a time 3.3, three 3.7, four 3.5: registers no longer
 * suffice.
 */
#include "io/sink/sha_side.h"
#include "core/base/check.h"
#include "io/sink/digest.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

enum { SIDES_MAX = 3, WORDS = 16, FOURS = 64 / 4, EACH_FOUR = 4 };

static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define SHA_TARGET __attribute__((target("sha,sse4.1")))

/* Messages of one size through all their blocks, and one of padding. `sides` is a constant where this is called. */
SHA_TARGET static inline __attribute__((always_inline)) void
sha_blocks(const uint8_t *bytes, size_t size, unsigned sides, uint8_t (*sums)[SHA_SIZE])
{
    const __m128i turned = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i abef[SIDES_MAX], cdgh[SIDES_MAX], words[SIDES_MAX][EACH_FOUR];
    for (unsigned s = 0; s < sides; s++) {
        abef[s] = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
        cdgh[s] = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    }
    uint8_t padding[SHA_BLOCK] = {0x80};
    for (unsigned i = 0; i < 8; i++)
        padding[SHA_BLOCK - 1 - i] = (uint8_t)((uint64_t)size * 8 >> (8 * i));
    for (size_t at = 0; at <= size; at += SHA_BLOCK) {
        __m128i abef_before[SIDES_MAX], cdgh_before[SIDES_MAX];
        for (unsigned s = 0; s < sides; s++) {
            const uint8_t *const block = at < size ? bytes + s * size + at : padding;
            for (unsigned i = 0; i < EACH_FOUR; i++)
                words[s][i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * i)), turned);
            abef_before[s] = abef[s];
            cdgh_before[s] = cdgh[s];
        }
#pragma GCC unroll 16
        for (unsigned i = 0; i < FOURS; i++) {
            const __m128i k = _mm_load_si128((const __m128i *)(constants + 4 * i));
#pragma GCC unroll 3
            for (unsigned s = 0; s < sides; s++) {
                __m128i *const w = words[s];
                const __m128i sum = _mm_add_epi32(w[i % 4], k);
                cdgh[s] = _mm_sha256rnds2_epu32(cdgh[s], abef[s], sum);
                if (i + 4 < FOURS) /* the four words that are sixteen further */
                    w[i % 4] = _mm_sha256msg2_epu32(
                        _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]),
                                      _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4)),
                        w[(i + 3) % 4]);
                abef[s] = _mm_sha256rnds2_epu32(abef[s], cdgh[s], _mm_shuffle_epi32(sum, 0x0E));
            }
        }
        for (unsigned s = 0; s < sides; s++) {
            abef[s] = _mm_add_epi32(abef[s], abef_before[s]);
            cdgh[s] = _mm_add_epi32(cdgh[s], cdgh_before[s]);
        }
    }
    for (unsigned s = 0; s < sides; s++) { /* a and b first, each with its highest byte in front */
        const __m128i upper = _mm_unpackhi_epi64(cdgh[s], abef[s]),
                      lower = _mm_unpacklo_epi64(cdgh[s], abef[s]);
        const __m128i reversed = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        _mm_storeu_si128((__m128i *)sums[s], _mm_shuffle_epi8(upper, reversed));
        _mm_storeu_si128((__m128i *)(sums[s] + 16), _mm_shuffle_epi8(lower, reversed));
    }
}

SHA_TARGET static void sha_three(const uint8_t *bytes, size_t size, uint8_t (*sums)[SHA_SIZE])
{
    sha_blocks(bytes, size, 3, sums);
}

SHA_TARGET static void sha_two(const uint8_t *bytes, size_t size, uint8_t (*sums)[SHA_SIZE])
{
    sha_blocks(bytes, size, 2, sums);
}

/* Written before main, read by any thread. */
static int has_sha;

__attribute__((constructor)) static void sha_choose(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    has_sha = __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

/* As many as go side by side; how many those were. */
static size_t take_sides(const uint8_t *bytes, size_t size, size_t count, uint8_t (*sums)[SHA_SIZE])
{
    size_t done = 0;
    if (!has_sha)
        return 0;
    /* Four are two and two, not three and one. */
    for (; count - done >= 3 && count - done != 4; done += 3)
        sha_three(bytes + done * size, size, sums + done);
    for (; count - done >= 2; done += 2)
        sha_two(bytes + done * size, size, sums + done);
    return done;
}
#else
static size_t take_sides(const uint8_t *bytes, size_t size, size_t count, uint8_t (*sums)[SHA_SIZE])
{
    (void)bytes, (void)size, (void)count, (void)sums;
    return 0;
}
#endif

void sha_side(const void *bytes, size_t size, size_t count, uint8_t (*sums)[SHA_SIZE])
{
    CHECK2(size % SHA_BLOCK == 0, size, count);
    for (size_t i = take_sides(bytes, size, count, sums); i < count; i++)
        digest_sum((const uint8_t *)bytes + i * size, size, sums[i]);
}
