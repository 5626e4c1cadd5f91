/* core/base/to_utf8.h: text of other charsets -> UTF-8, by iconv.
 *
 *     to_utf8_open -> to_utf8_convert any number of times -> to_utf8_close
 *
 * Threads: one owner; text_is_ascii any.
 */
#ifndef TIEOUT_CORE_BASE_TO_UTF8_H
#define TIEOUT_CORE_BASE_TO_UTF8_H

#include "core/base/span.h"

struct to_utf8 {
    const char *name; /* of the conversion at hand; NULL: none is open */
    void *handle;
};

void to_utf8_open(struct to_utf8 *charset);
void to_utf8_close(struct to_utf8 *charset);
/* Bytes written to `out`; SIZE_MAX when `text` is not text in `name` (iconv's name; compared by address first), or
 * there is no room. */
size_t to_utf8_convert(struct to_utf8 *charset, const char *name, struct span text, char *out, size_t room);

/* A cell's bytes are nearly always ASCII, and few. */
static inline int text_is_ascii(struct span text)
{
    uint64_t all = 0, word;
    size_t i = 0;
    for (; i + 8 <= text.size; i += 8) {
        memcpy(&word, text.data + i, 8);
        all |= word;
    }
    for (; i < text.size; i++)
        all |= (uint8_t)text.data[i];
    return (all & 0x8080808080808080ull) == 0;
}

#endif
