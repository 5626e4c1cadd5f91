/* core/base/to_utf8.c: see charset.h */
#include "core/base/to_utf8.h"
#include <iconv.h>

void to_utf8_open(struct to_utf8 *charset)
{
    *charset = (struct to_utf8){NULL, NULL};
}

void to_utf8_close(struct to_utf8 *charset)
{
    if (charset->name)
        iconv_close((iconv_t)charset->handle);
    to_utf8_open(charset);
}

size_t to_utf8_convert(struct to_utf8 *charset, const char *name, struct span text, char *out, size_t room)
{
    if (!charset->name || (charset->name != name && strcmp(charset->name, name) != 0)) {
        to_utf8_close(charset);
        iconv_t handle = iconv_open("UTF-8", name);
        if (handle == (iconv_t)-1)
            return SIZE_MAX;
        charset->handle = (void *)handle;
        charset->name = name;
    }
    iconv_t handle = (iconv_t)charset->handle;
    iconv(handle, NULL, NULL, NULL, NULL); /* every cell begins anew */
    char *from = (char *)text.data, *to = out;
    size_t from_left = text.size, to_left = room;
    if (iconv(handle, &from, &from_left, &to, &to_left) == (size_t)-1 || from_left)
        return SIZE_MAX;
    return room - to_left;
}
