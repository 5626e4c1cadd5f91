/* io/format/binlog_text.h: text in the server's character sets -> UTF-8. Private to io/format.
 *
 * A collation's number says the character set. UTF-8, ASCII and binary are given as they are. Others go
 * through a converter: one per set and rows object, opened when a table that needs it is first met.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_TEXT_H
#define TIEOUT_IO_FORMAT_BINLOG_TEXT_H

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/base/span.h"
#include <iconv.h>
#include <stdint.h>
#include <string.h>

enum charset_kind { CHARSET_NONE, CHARSET_LATIN1, CHARSET_ICONV };

struct charset {
    const char *name; /* MySQL's word: "gbk" */
    enum charset_kind kind;
    int ascii_is_same; /* bytes below 0x80 mean what they mean in ASCII, wherever they stand alone */
    iconv_t converter;
    struct charset *next;
};

struct charsets {
    struct charset *all;
    struct arena *arena;
};

void charsets_init(struct charsets *charsets, struct arena *arena);
void charsets_fini(struct charsets *charsets);

/* The converter for a collation. NULL in *out when none is needed, or when the collation is not known. */
enum err charset_take(struct charset **out, struct charsets *charsets, unsigned collation, struct diag *diag);

/* MySQL's word for a collation's character set, and the bytes of its longest character; "" and 0 when it is not known. */
void charset_room(unsigned collation, char name[10], uint8_t *char_bytes);

/* Converts into memory of `arena`. Text that is not valid in its set is given as it is. `.data` is NULL when
 * memory is out. */
struct span charset_convert(struct charset *charset, struct span text, struct arena *arena);

/* Is every byte below 0x80? */
static inline int text_is_ascii(const char *data, size_t size)
{
    uint64_t high = 0, head, tail;
    if (size >= 8) {
        for (size_t i = 0; i + 8 < size; i += 8) {
            memcpy(&head, data + i, 8);
            high |= head;
        }
        memcpy(&tail, data + size - 8, 8);
        return ((high | tail) & 0x8080808080808080u) == 0;
    }
    if (size >= 4) {
        uint32_t front, back;
        memcpy(&front, data, 4);
        memcpy(&back, data + size - 4, 4);
        return ((front | back) & 0x80808080u) == 0;
    }
    for (size_t i = 0; i < size; i++)
        high |= (unsigned char)data[i];
    return (high & 0x80) == 0;
}

#endif
