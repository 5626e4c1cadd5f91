/* core/base/short.h: short texts, compared and copied without a loop.
 *
 * short_load gives up to 16 bytes as two words, zero behind the text's end. It may read up to 16 bytes from
 * `text` on, but never across a page border, so it cannot fault; what it read too much is masked away.
 */
#ifndef TIEOUT_CORE_BASE_SHORT_H
#define TIEOUT_CORE_BASE_SHORT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SHORT_MAX = 16 };
struct short_text {
    uint64_t low, high;
};

static inline int short_crosses_page(const char *text)
{
    return ((uintptr_t)text & 4095) > 4096 - SHORT_MAX;
}

/* `size` is at most SHORT_MAX. */
__attribute__((no_sanitize("address", "thread"))) static inline struct short_text short_load(const char *text,
                                                                                             size_t size)
{
    struct short_text t;
    if (__builtin_expect(short_crosses_page(text), 0)) {
        t = (struct short_text){0, 0};
        memcpy(&t, text, size);
        return t;
    }
    /* The compiler must not reason about what array this is: the bytes read too much are there, and are masked away. */
    const char *bytes = text;
    __asm__("" : "+r"(bytes));
    __builtin_memcpy(&t, bytes, SHORT_MAX);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (size < 8) {
        t.low &= ((uint64_t)1 << (8 * size)) - 1;
        t.high = 0;
    } else if (size < SHORT_MAX) {
        t.high &= ((uint64_t)1 << (8 * (size - 8))) - 1;
    }
#else
    struct short_text masked = {0, 0};
    memcpy(&masked, &t, size);
    t = masked;
#endif
    return t;
}

/* memcpy for keys, without a call: two pieces that overlap. */
static inline void short_copy(uint8_t *to, const char *from, size_t size)
{
    if (size >= 16 && size <= 32) {
        char head[16], tail[16];
        memcpy(head, from, 16);
        memcpy(tail, from + size - 16, 16);
        memcpy(to, head, 16);
        memcpy(to + size - 16, tail, 16);
    } else if (size >= 8 && size < 16) {
        uint64_t head, tail;
        memcpy(&head, from, 8);
        memcpy(&tail, from + size - 8, 8);
        memcpy(to, &head, 8);
        memcpy(to + size - 8, &tail, 8);
    } else if (size >= 4 && size < 8) {
        uint32_t head, tail;
        memcpy(&head, from, 4);
        memcpy(&tail, from + size - 4, 4);
        memcpy(to, &head, 4);
        memcpy(to + size - 4, &tail, 4);
    } else if (size) { /* a text of no bytes may have no address */
        memcpy(to, from, size);
    }
}

/* memcmp == 0 for keys, without a call: eight bytes at a time, the last eight overlapping. */
static inline int short_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint64_t x, y;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return 0;
    }
    if (i == size)
        return 1;
    if (size >= 8) {
        memcpy(&x, a + size - 8, 8);
        memcpy(&y, b + size - 8, 8);
        return x == y;
    }
    for (; i < size; i++)
        if (a[i] != b[i])
            return 0;
    return 1;
}

#endif
