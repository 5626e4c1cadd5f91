/* io/sink/key_sort.c: see key_sort.h. A hot file. */
#include "io/sink/key_sort.h"
#include <stdlib.h>

enum { FEW = 48 };

void word_sort(struct sort_entry *entries, struct sort_entry *other, size_t count)
{
    if (count < FEW) {
        for (size_t i = 1; i < count; i++) {
            struct sort_entry e = entries[i];
            size_t k = i;
            for (; k > 0 && entries[k - 1].word > e.word; k--)
                entries[k] = entries[k - 1];
            entries[k] = e;
        }
        return;
    }
    uint64_t vary = 0;
    int sorted = 1;
    for (size_t i = 1; i < count; i++) {
        vary |= entries[i].word ^ entries[0].word;
        sorted &= entries[i].word >= entries[i - 1].word;
    }
    if (sorted)
        return;
    /* Least significant byte first; a byte that all share costs nothing, and digits go two at a time: of theirs only the lower
     * halves differ. */
    struct sort_entry *from = entries, *to = other;
    for (unsigned b = 0; b < 8; b++) {
        if (!(vary >> (8 * b) & 255))
            continue;
        const unsigned shift = 8 * b, two = b < 7 && !(vary >> shift & 0xF0F0);
        const uint64_t high = two ? 0xF0 : 0, low = two ? 0x0F : 0xFF;
        uint32_t counts[256] = {0}, sum = 0;
        for (size_t i = 0; i < count; i++)
            counts[(from[i].word >> shift & low) | (from[i].word >> shift >> 4 & high)]++;
        for (unsigned v = 0; v < 256; v++) {
            uint32_t n = counts[v];
            counts[v] = sum;
            sum += n;
        }
        for (size_t i = 0; i < count; i++)
            to[counts[(from[i].word >> shift & low) | (from[i].word >> shift >> 4 & high)]++] = from[i];
        b += two;
        struct sort_entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != entries)
        memcpy(entries, from, count * sizeof *entries);
}

void bits_sort(uint64_t *words, uint64_t *other, size_t count, unsigned shift, unsigned bits)
{
    enum { DIGIT_MAX = 11 };
    int sorted = 1;
    for (size_t i = 1; i < count; i++)
        sorted &= words[i] >= words[i - 1];
    if (sorted)
        return;
    if (count < FEW) {
        for (size_t i = 1; i < count; i++) {
            const uint64_t w = words[i];
            size_t k = i;
            for (; k > 0 && words[k - 1] > w; k--)
                words[k] = words[k - 1];
            words[k] = w;
        }
        return;
    }
    const unsigned passes = (bits + DIGIT_MAX - 1) / DIGIT_MAX, digit = (bits + passes - 1) / passes;
    const uint64_t mask = ((uint64_t)1 << digit) - 1;
    uint64_t *from = words, *to = other;
    for (unsigned p = 0; p < passes; p++, shift += digit) {
        uint32_t counts[1 << DIGIT_MAX] = {0}, sum = 0;
        for (size_t i = 0; i < count; i++)
            counts[from[i] >> shift & mask]++;
        for (unsigned v = 0; v <= mask; v++) {
            const uint32_t n = counts[v];
            counts[v] = sum;
            sum += n;
        }
        for (size_t i = 0; i < count; i++)
            to[counts[from[i] >> shift & mask]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != words)
        memcpy(words, from, count * sizeof *words);
}

static int by_key(const void *a, const void *b, void *key)
{
    sort_key_fn *of = *(sort_key_fn **)key;
    return span_compare(of(((const struct sort_entry *)a)->item), of(((const struct sort_entry *)b)->item));
}

/* The eight bytes at `depth`, first byte highest; zeros behind the key's end. */
static inline uint64_t word_at(struct span key, size_t depth)
{
    uint64_t word = 0;
    if (depth + 8 <= key.size) {
        memcpy(&word, key.data + depth, 8);
    } else if (depth < key.size) {
        memcpy(&word, key.data + depth, key.size - depth);
    }
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return word;
#else
    return __builtin_bswap64(word);
#endif
}

static void sort_from(struct sort_entry *entries, struct sort_entry *other, size_t count, sort_key_fn *key,
                      size_t depth)
{
    for (;; depth += 8) {
        size_t shortest = SIZE_MAX;
        uint64_t same = 0;
        for (size_t i = 0; i < count; i++) {
            struct span k = key(entries[i].item);
            shortest = k.size < shortest ? k.size : shortest;
            entries[i].word = word_at(k, depth);
            same |= entries[i].word ^ entries[0].word;
        }
        if (same)
            break;
        if (shortest <= depth + 8) { /* some end here: zeros behind them look like zeros in them */
            qsort_r(entries, count, sizeof *entries, by_key, &key);
            return;
        }
    }
    word_sort(entries, other, count);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && entries[next].word == entries[i].word; next++) {
        }
        if (next - i > FEW)
            sort_from(entries + i, other + i, next - i, key, depth);
        else if (next - i > 1)
            qsort_r(entries + i, next - i, sizeof *entries, by_key, &key);
    }
}

void key_sort(struct sort_entry *entries, struct sort_entry *other, size_t count, sort_key_fn *key)
{
    if (count > 1)
        sort_from(entries, other, count, key, 0);
}
