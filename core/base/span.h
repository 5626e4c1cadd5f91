/* core/base/span.h: bytes that belong to somebody else. Not NUL-terminated; may hold any byte. */
#ifndef TIEOUT_CORE_BASE_SPAN_H
#define TIEOUT_CORE_BASE_SPAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *data; /* borrowed */
    size_t size;
};

static inline struct span span_of(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

static inline int span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || a.data == b.data || memcmp(a.data, b.data, a.size) == 0);
}

static inline int span_is(struct span a, const char *text)
{
    return span_equal(a, span_of(text));
}

/* Byte order, shorter first where one is the start of the other. */
static inline int span_compare(struct span a, struct span b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n && a.data != b.data ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

#endif
