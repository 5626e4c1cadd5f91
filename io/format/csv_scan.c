/* io/format/csv_scan.c: see csv_scan.h. A hot file.
 *
 * What was measured here: AVX-512 with vpcompressb writes 16 offsets per store, AVX2 takes the bits one by
 * one; most of either disappears behind the copy out of the page cache.
 */
#include "io/format/csv_scan.h"
#include <stddef.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct masks {
    uint64_t newline, separator, quote, cr; /* separator: delimiter or newline */
};

/* Eight bytes at a time: bit i of the result is set where byte i equals c. */
static inline uint64_t equal8(uint64_t word, uint64_t pattern)
{
    uint64_t x = word ^ pattern;
    uint64_t t = (x & 0x7F7F7F7F7F7F7F7Full) + 0x7F7F7F7F7F7F7F7Full;
    t = ~(t | x | 0x7F7F7F7F7F7F7F7Full); /* 0x80 in bytes that are equal */
    return ((t >> 7) * 0x0102040810204080ull) >> 56;
}

static inline struct masks masks_scalar(const uint8_t *p, uint8_t delimiter, uint8_t quote)
{
    const uint64_t ones = 0x0101010101010101ull;
    struct masks m = {0, 0, 0, 0};
    for (unsigned i = 0; i < 8; i++) {
        uint64_t word;
        memcpy(&word, p + 8 * i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        m.newline |= equal8(word, ones * '\n') << (8 * i);
        m.separator |= equal8(word, ones * delimiter) << (8 * i);
        m.quote |= equal8(word, ones * quote) << (8 * i);
        m.cr |= equal8(word, ones * '\r') << (8 * i);
    }
    m.separator |= m.newline;
    return m;
}

static inline uint32_t *put_bits_scalar(uint32_t *out, uint64_t bits, uint32_t base)
{
    while (bits) {
        *out++ = base + (uint32_t)__builtin_ctzll(bits);
        bits &= bits - 1;
    }
    return out;
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt")))
#define AVX512                                                                                               \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt,lzcnt")))

AVX2 static inline struct masks masks_avx2(const uint8_t *p, uint8_t delimiter, uint8_t quote)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)p), b = _mm256_loadu_si256((const __m256i *)(p + 32));
    struct masks m;
#define BITS(c)                                                                                              \
    ((uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, _mm256_set1_epi8((char)(c)))) |           \
     (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, _mm256_set1_epi8((char)(c)))) << 32)
    m.newline = BITS('\n');
    m.separator = BITS(delimiter) | m.newline;
    m.quote = BITS(quote);
    m.cr = BITS('\r');
#undef BITS
    return m;
}

AVX2 static inline uint32_t *put_bits_avx2(uint32_t *out, uint64_t bits, uint32_t base)
{
    uint32_t count = (uint32_t)_mm_popcnt_u64(bits);
    /* Eight at a time without asking how many there are: what is too much is written over by the next block.
     */
    for (uint32_t done = 0; done < count; done += 8)
        for (int k = 0; k < 8; k++) {
            out[done + (uint32_t)k] = base + (uint32_t)_tzcnt_u64(bits);
            bits = _blsr_u64(bits);
        }
    return out + count;
}

AVX512 static inline struct masks masks_avx512(const uint8_t *p, uint8_t delimiter, uint8_t quote)
{
    __m512i v = _mm512_loadu_si512(p);
    struct masks m;
    m.newline = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\n'));
    m.separator = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8((char)delimiter)) | m.newline;
    m.quote = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8((char)quote));
    m.cr = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\r'));
    return m;
}

AVX512 static inline uint32_t *put_bits_avx512(uint32_t *out, uint64_t bits, uint32_t base)
{
    const __m512i iota =
        _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43,
                        42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22,
                        21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i packed = _mm512_maskz_compress_epi8(bits, iota), add = _mm512_set1_epi32((int)base);
    uint32_t count = (uint32_t)_mm_popcnt_u64(bits);
    _mm512_storeu_si512(out, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(packed)), add));
    if (__builtin_expect(count > 16, 0)) {
        _mm512_storeu_si512(
            out + 16, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(packed, 1)), add));
        _mm512_storeu_si512(
            out + 32, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(packed, 2)), add));
        _mm512_storeu_si512(
            out + 48, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(packed, 3)), add));
    }
    return out + count;
}
#endif

/* The loop of all kernels. Blocks are counted from the chunk's first byte so that the newline marks stand on
 * multiples of CSV_MARK_BYTES of the file; bits before `start` and behind `size` are masked away. */
#define DEFINE_SCAN(NAME, ATTRIBUTE, MASKS, PUT)                                                             \
    ATTRIBUTE static struct csv_scan_result NAME(const struct csv_scan_job *job) {                           \
        struct csv_scan_result result = {0, 0, job->start, job->size, 0, job->start};                        \
        uint32_t *sep = job->seps, *row = job->rows;                                                         \
        uint64_t quotes = 0, stray = 0, cr_before = 0, returns = 0;                                          \
        uint32_t in_mark = 0, mark_at = 0;                                                                   \
        uint32_t base = job->marks ? 0 : job->start & ~63u;                                                  \
        for (; base < job->size; base += 64) {                                                               \
            struct masks m = MASKS(job->bytes + base, job->delimiter, job->quote);                           \
            if (__builtin_expect(job->size - base < 64, 0)) {                                                \
                uint64_t valid = ((uint64_t)1 << (job->size - base)) - 1;                                    \
                m.newline &= valid, m.separator &= valid, m.quote &= valid, m.cr &= valid;                   \
            }                                                                                                \
            if (job->marks) {                                                                                \
                uint64_t counted = m.newline;                                                                \
                if (__builtin_expect(job->mark_end < base + 64, 0))                                          \
                    counted =                                                                                \
                        job->mark_end > base ? counted & (((uint64_t)1 << (job->mark_end - base)) - 1) : 0;  \
                in_mark += (uint32_t)__builtin_popcountll(counted);                                          \
                if (((base + 64) & (CSV_MARK_BYTES - 1)) == 0 && base < job->mark_end) {                     \
                    job->marks[mark_at++] = (uint16_t)in_mark;                                               \
                    in_mark = 0;                                                                             \
                }                                                                                            \
            }                                                                                                \
            if (__builtin_expect(base < job->start, 0)) {                                                    \
                if (base + 64 <= job->start)                                                                 \
                    continue;                                                                                \
                uint64_t wanted = ~(uint64_t)0 << (job->start - base);                                       \
                m.newline &= wanted, m.separator &= wanted, m.quote &= wanted, m.cr &= wanted;               \
            }                                                                                                \
            quotes |= m.quote;                                                                               \
            returns |= m.cr;                                                                                 \
            stray |= (m.cr & ~(m.newline >> 1) & ~((uint64_t)1 << 63)) | (cr_before & ~m.newline & 1);       \
            cr_before = m.cr >> 63;                                                                          \
            uint32_t so_far = (uint32_t)(sep - job->seps);                                                   \
            uint64_t newlines = m.newline;                                                                   \
            while (newlines) {                                                                               \
                uint64_t lowest = newlines & (0 - newlines);                                                 \
                *row++ = so_far + (uint32_t)__builtin_popcountll(m.separator & (lowest - 1)) + 1;            \
                uint32_t behind = base + (uint32_t)__builtin_ctzll(newlines) + 1;                            \
                newlines ^= lowest;                                                                          \
                if (__builtin_expect(behind >= job->end, 0)) {                                               \
                    m.separator &= lowest | (lowest - 1);                                                    \
                    sep = PUT(sep, m.separator, base);                                                       \
                    result.stop = result.line_end = behind;                                                  \
                    goto done;                                                                               \
                }                                                                                            \
            }                                                                                                \
            sep = PUT(sep, m.separator, base);                                                               \
        }                                                                                                    \
        stray |= cr_before;                                                                                  \
        result.flags |= CSV_UNFINISHED;                                                                      \
        result.stop = row == job->rows ? job->start : job->seps[row[-1] - 1] + 1;                            \
        done : if (job->marks && mark_at * CSV_MARK_BYTES < job->mark_end) job->marks[mark_at++] =           \
            (uint16_t)in_mark;                                                                               \
        result.sep_count = (uint32_t)(sep - job->seps);                                                      \
        result.row_count = (uint32_t)(row - job->rows);                                                      \
        if (quotes)                                                                                          \
            result.flags |= CSV_SAW_QUOTE;                                                                   \
        if (returns)                                                                                         \
            result.flags |= CSV_SAW_CR;                                                                      \
        if (stray)                                                                                           \
            result.flags |= CSV_SAW_STRAY_CR;                                                                \
        return result;                                                                                       \
    }

DEFINE_SCAN(scan_scalar, , masks_scalar, put_bits_scalar)
#if defined(__x86_64__)
DEFINE_SCAN(scan_avx2, AVX2, masks_avx2, put_bits_avx2)
DEFINE_SCAN(scan_avx512, AVX512, masks_avx512, put_bits_avx512)
#endif

/* Bit i is set when an odd number of bits at or below i is: inside quotes, with the opening quote and without
 * the closing one. */
static inline uint64_t prefix_xor(uint64_t x)
{
    x ^= x << 1;
    x ^= x << 2;
    x ^= x << 4;
    x ^= x << 8;
    x ^= x << 16;
    x ^= x << 32;
    return x;
}

/* With quotes. An opening quote must follow a separator, the chunk's first byte, or a quote (a doubled one
 * reads as closed and opened again); a closing quote must be followed by a separator, a carriage return
 * before a newline, or a quote. */
#define DEFINE_SCAN_QUOTED(NAME, ATTRIBUTE, MASKS, PUT)                                                      \
    ATTRIBUTE static struct csv_scan_result NAME(const struct csv_scan_job *job) {                           \
        struct csv_scan_result result = {0, 0, job->start, job->size, 0, job->start};                        \
        uint32_t *sep = job->seps, *row = job->rows;                                                         \
        uint64_t inside_before = job->in_quote ? ~(uint64_t)0 : 0, stray = 0, cr_before = 0, bad = 0;        \
        uint64_t may_open_before = 1, must_close_before = 0;                                                 \
        int skipping = job->in_quote; /* the rest of a row that is not ours */                               \
        int line_end_seen = 0;                                                                               \
        for (uint32_t base = job->start & ~63u; base < job->size; base += 64) {                              \
            struct masks m = MASKS(job->bytes + base, job->delimiter, job->quote);                           \
            uint64_t valid = ~(uint64_t)0;                                                                   \
            if (job->size - base < 64)                                                                       \
                valid = ((uint64_t)1 << (job->size - base)) - 1;                                             \
            if (base < job->start)                                                                           \
                valid &= ~(uint64_t)0 << (job->start - base);                                                \
            m.newline &= valid, m.separator &= valid, m.quote &= valid, m.cr &= valid;                       \
            uint64_t start_bit = base <= job->start ? (uint64_t)1 << ((job->start - base) & 63) : 0;         \
            uint64_t inside = prefix_xor(m.quote) ^ inside_before;                                           \
            uint64_t opens = m.quote & inside, closes = m.quote & ~inside;                                   \
            uint64_t outside_sep = m.separator & ~inside;                                                    \
            uint64_t may_open = ((outside_sep | m.quote) << 1) | may_open_before | start_bit;                \
            may_open_before = (outside_sep | m.quote) >> 63;                                                 \
            bad |= opens & ~may_open;                                                                        \
            uint64_t after_close = (closes << 1) | must_close_before;                                        \
            must_close_before = closes >> 63;                                                                \
            bad |= after_close & valid & ~(m.separator | m.quote | m.cr);                                    \
            uint64_t outside_cr = m.cr & ~inside;                                                            \
            stray |= (outside_cr & ~(m.newline >> 1) & ~((uint64_t)1 << 63)) | (cr_before & ~m.newline & 1); \
            cr_before = outside_cr >> 63;                                                                    \
            uint64_t lines = m.newline;                                                                      \
            if (!line_end_seen && base + 64 >= job->end) {                                                   \
                if (job->end > base + 1)                                                                     \
                    lines &= ~(uint64_t)0 << (job->end - 1 - base);                                          \
                if (lines) {                                                                                 \
                    unsigned at = (unsigned)__builtin_ctzll(lines);                                          \
                    line_end_seen = 1;                                                                       \
                    result.line_end = base + at + 1;                                                         \
                    if (inside >> at & 1)                                                                    \
                        result.flags |= CSV_ENDS_QUOTED;                                                     \
                }                                                                                            \
            }                                                                                                \
            inside_before = (uint64_t)((int64_t)inside >> 63);                                               \
            uint64_t separators = outside_sep, newlines = m.newline & ~inside;                               \
            if (skipping) {                                                                                  \
                if (!newlines)                                                                               \
                    continue;                                                                                \
                uint64_t lowest = newlines & (0 - newlines);                                                 \
                result.first_row = result.stop = base + (uint32_t)__builtin_ctzll(newlines) + 1;             \
                skipping = 0;                                                                                \
                separators &= ~(lowest | (lowest - 1));                                                      \
                newlines ^= lowest;                                                                          \
                if (result.first_row >= job->end)                                                            \
                    goto done;                                                                               \
            }                                                                                                \
            uint32_t so_far = (uint32_t)(sep - job->seps);                                                   \
            while (newlines) {                                                                               \
                uint64_t lowest = newlines & (0 - newlines);                                                 \
                *row++ = so_far + (uint32_t)__builtin_popcountll(separators & (lowest - 1)) + 1;             \
                uint32_t behind = base + (uint32_t)__builtin_ctzll(newlines) + 1;                            \
                newlines ^= lowest;                                                                          \
                if (behind >= job->end) {                                                                    \
                    separators &= lowest | (lowest - 1);                                                     \
                    sep = PUT(sep, separators, base);                                                        \
                    result.stop = behind;                                                                    \
                    goto done;                                                                               \
                }                                                                                            \
            }                                                                                                \
            sep = PUT(sep, separators, base);                                                                \
        }                                                                                                    \
        stray |= cr_before;                                                                                  \
        result.flags |= CSV_UNFINISHED;                                                                      \
        if (inside_before)                                                                                   \
            result.flags |= CSV_CUT_QUOTED;                                                                  \
        if (skipping)                                                                                        \
            result.first_row = result.stop = job->size;                                                      \
        else if (row != job->rows)                                                                           \
            result.stop = job->seps[row[-1] - 1] + 1;                                                        \
        done : result.sep_count = (uint32_t)(sep - job->seps);                                               \
        result.row_count = (uint32_t)(row - job->rows);                                                      \
        if (bad)                                                                                             \
            result.flags |= CSV_IRREGULAR;                                                                   \
        if (stray)                                                                                           \
            result.flags |= CSV_SAW_STRAY_CR;                                                                \
        return result;                                                                                       \
    }

DEFINE_SCAN_QUOTED(quoted_scalar, , masks_scalar, put_bits_scalar)
#if defined(__x86_64__)
DEFINE_SCAN_QUOTED(quoted_avx2, AVX2, masks_avx2, put_bits_avx2)
DEFINE_SCAN_QUOTED(quoted_avx512, AVX512, masks_avx512, put_bits_avx512)
#endif

/* No kernel of its own: what it reads has come from a system call a moment ago, and that costs more. */
uint64_t csv_count_newlines(const uint8_t *bytes, size_t size)
{
    uint64_t count = 0;
    for (size_t at = 0; at < size; at += 64) {
#if defined(__SSE2__)
        const __m128i newline = _mm_set1_epi8('\n');
        uint64_t bits = 0;
        for (int k = 0; k < 4; k++)
            bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(
                        _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(bytes + at + 16 * k)), newline))
                    << (16 * k);
#else
        uint64_t bits = masks_scalar(bytes + at, '\n', '\n').newline;
#endif
        if (size - at < 64)
            bits &= ((uint64_t)1 << (size - at)) - 1;
        count += (uint64_t)__builtin_popcountll(bits);
    }
    return count;
}

typedef struct csv_scan_result scan_fn(const struct csv_scan_job *job);
static scan_fn *chosen = scan_scalar, *chosen_quoted = quoted_scalar;
static enum csv_kernel chosen_kernel = CSV_KERNEL_SCALAR;

int csv_scan_choose(enum csv_kernel kernel)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (kernel == CSV_KERNEL_AVX512) {
        if (!__builtin_cpu_supports("avx512vbmi2") || !__builtin_cpu_supports("avx512bw") ||
            !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
            !__builtin_cpu_supports("bmi2"))
            return 0;
        chosen = scan_avx512;
        chosen_quoted = quoted_avx512;
        chosen_kernel = kernel;
        return 1;
    }
    if (kernel == CSV_KERNEL_AVX2) {
        if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2"))
            return 0;
        chosen = scan_avx2;
        chosen_quoted = quoted_avx2;
        chosen_kernel = kernel;
        return 1;
    }
#endif
    if (kernel != CSV_KERNEL_SCALAR)
        return 0;
    chosen = scan_scalar;
    chosen_quoted = quoted_scalar;
    chosen_kernel = kernel;
    return 1;
}

__attribute__((constructor)) static void choose_best(void)
{
    if (!csv_scan_choose(CSV_KERNEL_AVX512) && !csv_scan_choose(CSV_KERNEL_AVX2))
        csv_scan_choose(CSV_KERNEL_SCALAR);
}

enum csv_kernel csv_scan_kernel(void)
{
    return chosen_kernel;
}

const char *csv_scan_kernel_name(void)
{
    static const char *const names[CSV_KERNELS] = {"scalar", "avx2", "avx512"};
    return names[chosen_kernel];
}

struct csv_scan_result csv_scan(const struct csv_scan_job *job)
{
    return chosen(job);
}

struct csv_scan_result csv_scan_quoted(const struct csv_scan_job *job)
{
    return chosen_quoted(job);
}
