/* io/filter/utf16.h: UTF-16 as UTF-8: a filter over the text's bytes, told by its byte order mark.
 *
 * The scanner looks for bytes, so all of such a file is converted before it is scanned. Places are offsets in what comes
 * out, as for any packed file; lines are those of the file. Half a character, or one that does not exist, is an error with
 * its byte in the file as it is (unpacked, where it is packed).
 */
#ifndef TIEOUT_IO_FILTER_UTF16_H
#define TIEOUT_IO_FILTER_UTF16_H

#include "core/ops/filter.h"

/* 1 when the bytes begin with UTF-16's byte order mark. */
static inline int utf16_has_mark(const uint8_t *head, size_t size)
{
    return size >= 2 && ((head[0] == 0xFF && head[1] == 0xFE) || (head[0] == 0xFE && head[1] == 0xFF));
}

/* `inner`: where the bytes come from; NULL: from `fd`, as they are. It is the filter's from here on, also when this fails.
 * What does not begin with the mark is passed on as it is. `charset`: what the profile says that the text is, NULL for
 * UTF-8; UTF-16 where another one is said is refused. */
enum err utf16_open(struct filter **out, struct filter *inner, int fd, const char *path, const char *charset,
                    struct diag *diag);

#endif
