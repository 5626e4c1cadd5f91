/* core/base/text.h: a text that grows as it is written.
 *
 *     struct text text = {0};
 *     text_put / text_format / text_json ... any number of times
 *     text.failed? -> mem_fail      else text.data (NUL-terminated once anything was put), text.size
 *     text_fini
 *
 * Lack of memory is remembered in `failed` and asked for once, at the end. Threads: one owner.
 */
#ifndef TIEOUT_CORE_BASE_TEXT_H
#define TIEOUT_CORE_BASE_TEXT_H

#include "core/base/span.h"

struct text {
    char *data; /* from mem.h */
    size_t size, room;
    int failed;
};

void text_fini(struct text *text);
void text_reset(struct text *text); /* empty, keeps its memory */
void text_put(struct text *text, const void *bytes, size_t size);
/* Room for so many bytes more, which count as put; the caller fills them. NULL: `failed`. */
char *text_room(struct text *text, size_t size);
void text_words(struct text *text, const char *words); /* NUL-terminated */
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes. What is no UTF-8 becomes U+FFFD, a byte each, so that the result is always
 * JSON. */
void text_json(struct text *text, struct span value);
/* A CSV cell (RFC 4180), quoted where it must be; one that a spreadsheet would run as a formula gets a ' before it. */
void text_csv(struct text *text, struct span value);
/* For people: names, numbers and cells come from outside, and a terminal must not be steered by them. What steers (control characters, also
 * those of 0x80 to 0x9f, marks that turn the direction of writing) and what is no UTF-8 becomes a ?. A newline is one of them: a value
 * can forge no line. The other is in place, of text that ends with a NUL. */
void text_plain(struct text *text, struct span value);
void text_make_plain(char *text);
/* Bytes of the UTF-8 character at `bytes`: 1 to 4, or 0 when there is none (overlong forms, surrogates and what lies above U+10FFFF
 * included). */
int text_utf8(const char *bytes, size_t size);

#endif
