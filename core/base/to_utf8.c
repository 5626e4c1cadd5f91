/* core/base/to_utf8.c: see charset.h */
#include "core/base/to_utf8.h"
#include <iconv.h>
#include <pthread.h>

/* GBK's characters of two bytes, which are those of GB18030 too: iconv's answers, asked for once, since a call of it for
 * each cell costs more than all else about the row. 0: none, or more than three bytes; iconv has the last word then. */
enum { GBK_LEAD = 0x81, GBK_LEADS = 0xFE - 0x81 + 1 };
static uint8_t gbk_table[GBK_LEADS][256][3];
static int gbk_is_there;
static pthread_once_t gbk_once = PTHREAD_ONCE_INIT;

static void gbk_open(void)
{
    iconv_t gbk = iconv_open("UTF-8", "GBK"), gb18030 = iconv_open("UTF-8", "GB18030");
    for (unsigned lead = 0; gbk != (iconv_t)-1 && gb18030 != (iconv_t)-1 && lead < GBK_LEADS; lead++)
        for (unsigned trail = 0x40; trail < 0xFF; trail++) {
            char text[2] = {(char)(GBK_LEAD + lead), (char)trail}, out[2][8];
            size_t sizes[2];
            for (int i = 0; i < 2; i++) {
                char *from = text, *to = out[i];
                size_t from_left = 2, to_left = sizeof out[i];
                iconv_t handle = i ? gb18030 : gbk;
                iconv(handle, NULL, NULL, NULL, NULL);
                sizes[i] = iconv(handle, &from, &from_left, &to, &to_left) == (size_t)-1 || from_left
                               ? 0
                               : sizeof out[i] - to_left;
            }
            /* Characters that one of the two reads in another way are left to iconv. */
            if (sizes[0] == 3 && sizes[1] == 3 && memcmp(out[0], out[1], 3) == 0)
                memcpy(gbk_table[lead][trail], out[0], 3);
        }
    gbk_is_there = gbk != (iconv_t)-1 && gb18030 != (iconv_t)-1;
    if (gbk != (iconv_t)-1)
        iconv_close(gbk);
    if (gb18030 != (iconv_t)-1)
        iconv_close(gb18030);
}

/* SIZE_MAX: something that the table does not have. */
static size_t gbk_convert(struct span text, char *out, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < text.size;) {
        uint8_t lead = (uint8_t)text.data[i];
        if (used + 3 > room)
            return SIZE_MAX;
        if (lead < 0x80) {
            out[used++] = (char)lead;
            i++;
            continue;
        }
        if (lead < GBK_LEAD || lead == 0xFF || i + 1 == text.size)
            return SIZE_MAX;
        const uint8_t *utf8 = gbk_table[lead - GBK_LEAD][(uint8_t)text.data[i + 1]];
        if (!utf8[0])
            return SIZE_MAX;
        memcpy(out + used, utf8, 3);
        used += 3;
        i += 2;
    }
    return used;
}

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
    if (name[0] == 'G') { /* GBK, GB18030 */
        pthread_once(&gbk_once, gbk_open);
        size_t size = gbk_is_there ? gbk_convert(text, out, room) : SIZE_MAX;
        if (size != SIZE_MAX)
            return size;
    }
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
