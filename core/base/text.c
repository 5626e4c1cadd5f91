/* core/base/text.c: see text.h */
#include "core/base/text.h"
#include "core/base/formula.h"
#include "core/base/mem.h"
#include <stdarg.h>
#include <stdio.h>

void text_fini(struct text *text)
{
    mem_give(text->data);
    *text = (struct text){0};
}

void text_reset(struct text *text)
{
    text->size = 0;
    text->failed = 0;
    if (text->data)
        text->data[0] = 0;
}

static int make_room(struct text *text, size_t more)
{
    if (text->failed)
        return 0;
    if (more < text->room - text->size) /* one byte for the NUL */
        return 1;
    size_t room = (text->size + more + 1) * 2;
    room = room < 256 ? 256 : room;
    char *grown = mem_grow(text->data, room);
    if (!grown) {
        text->failed = 1;
        return 0;
    }
    text->data = grown;
    text->room = room;
    return 1;
}

void text_put(struct text *text, const void *bytes, size_t size)
{
    if (!make_room(text, size))
        return;
    if (size)
        memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = 0;
}

char *text_room(struct text *text, size_t size)
{
    if (!make_room(text, size))
        return NULL;
    char *at = text->data + text->size;
    text->size += size;
    text->data[text->size] = 0;
    return at;
}

void text_words(struct text *text, const char *words)
{
    text_put(text, words, strlen(words));
}

void text_format(struct text *text, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int size = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (size >= 0 && make_room(text, (size_t)size)) {
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

int text_utf8(const char *bytes, size_t size)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (size == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    int n = b[0] >= 0xc2 && b[0] < 0xe0   ? 2
            : b[0] >= 0xe0 && b[0] < 0xf0 ? 3
            : b[0] >= 0xf0 && b[0] < 0xf5 ? 4
                                          : 0;
    if (n == 0 || (size_t)n > size)
        return 0;
    for (int i = 1; i < n; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) || (b[0] == 0xf0 && b[1] < 0x90) ||
        (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return n;
}

/* Of the character of n bytes (0: it is none) at b. */
static int steers(const char *bytes, int n)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (n <= 1)
        return n == 0 || b[0] < 0x20 || b[0] == 0x7f;
    if (n == 2) /* U+0080 to U+009F, U+061C */
        return (b[0] == 0xc2 && b[1] < 0xa0) || (b[0] == 0xd8 && b[1] == 0x9c);
    if (n == 3 && b[0] == 0xe2) /* U+200E, F; U+2028 to E; U+2066 to 9 */
        return (b[1] == 0x80 && (b[2] == 0x8e || b[2] == 0x8f || (b[2] >= 0xa8 && b[2] <= 0xae))) ||
               (b[1] == 0x81 && b[2] >= 0xa6 && b[2] <= 0xa9);
    return 0;
}

void text_plain(struct text *text, struct span value)
{
    for (size_t i = 0; i < value.size;) {
        const int n = text_utf8(value.data + i, value.size - i);
        if (steers(value.data + i, n))
            text_put(text, "?", 1);
        else
            text_put(text, value.data + i, (size_t)n);
        i += n ? (size_t)n : 1;
    }
}

void text_make_plain(char *text)
{
    char *to = text;
    for (size_t size = strlen(text); size;) {
        const int n = text_utf8(text, size), taken = n ? n : 1;
        if (steers(text, n)) {
            *to++ = '?';
        } else {
            memmove(to, text, (size_t)taken);
            to += taken;
        }
        text += taken;
        size -= (size_t)taken;
    }
    *to = 0;
}

void text_json(struct text *text, struct span value)
{
    text_put(text, "\"", 1);
    for (size_t i = 0; i < value.size;) {
        unsigned char c = (unsigned char)value.data[i];
        int n = text_utf8(value.data + i, value.size - i);
        if (n == 0) {
            text_words(text, "\xef\xbf\xbd");
            i++;
        } else if (c < 0x20 || c == 0x7f) {
            text_format(text, "\\u%04x", c);
            i++;
        } else if (n == 2 &&
                   steers(value.data + i, n)) { /* some terminals obey U+009B as they do an escape */
            text_format(text, "\\u%04x", (c & 0x1f) << 6 | ((unsigned char)value.data[i + 1] & 0x3f));
            i += 2;
        } else {
            if (c == '"' || c == '\\')
                text_put(text, "\\", 1);
            text_put(text, value.data + i, (size_t)n);
            i += (size_t)n;
        }
    }
    text_put(text, "\"", 1);
}

/* An amount may begin with a sign and is no formula. */
static int is_number(struct span value)
{
    size_t i = value.size && (value.data[0] == '-' || value.data[0] == '+');
    size_t digits = 0, points = 0;
    for (; i < value.size; i++) {
        digits += value.data[i] >= '0' && value.data[i] <= '9';
        points += value.data[i] == '.';
        if (!((value.data[i] >= '0' && value.data[i] <= '9') || value.data[i] == '.'))
            return 0;
    }
    return digits && points <= 1;
}

void text_csv(struct text *text, struct span value)
{
    const int formula = formula_is(value) && !is_number(value);
    int quoted = 0;
    for (size_t i = 0; i < value.size && !quoted; i++)
        quoted =
            value.data[i] == '"' || value.data[i] == ',' || value.data[i] == '\n' || value.data[i] == '\r';
    if (quoted)
        text_put(text, "\"", 1);
    if (formula)
        text_put(text, "'", 1);
    for (size_t i = 0; i < value.size; i++)
        text_put(text, value.data[i] == '"' ? "\"\"" : &value.data[i], value.data[i] == '"' ? 2 : 1);
    if (quoted)
        text_put(text, "\"", 1);
}
