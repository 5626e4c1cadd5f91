/* tests/fuzz/fuzz_charset.c: any bytes as text of each charset that a profile can name. What our table of GBK's characters says is
 * what iconv says, whole or cut, with as little room as it takes; never a step outside.
 *
 * With libFuzzer (TIEOUT_FUZZ) as it is; without, main() replays the files and folders given.
 */
#include "core/base/check.h"
#include "core/base/to_utf8.h"
#include "tests/fuzz/replay.h"
#include <iconv.h>
#include <stdint.h>
#include <stdlib.h>

enum { SIZE_MAX_FUZZ = 1 << 16 };

/* As to_utf8_convert, by nothing but iconv. */
static size_t by_iconv(const char *name, struct span text, char *out, size_t room)
{
    iconv_t handle = iconv_open("UTF-8", name);
    CHECK(handle != (iconv_t)-1);
    char *from = (char *)text.data, *to = out;
    size_t from_left = text.size, to_left = room;
    const size_t bad = iconv(handle, &from, &from_left, &to, &to_left);
    iconv_close(handle);
    return bad == (size_t)-1 || from_left ? SIZE_MAX : room - to_left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"GBK", "GB18030", "ISO-8859-1", "UTF-8"};
    if (size > SIZE_MAX_FUZZ)
        return 0;
    const struct span text = {(const char *)data, size};
    const size_t room = size * 4 + 1;
    char *ours = malloc(room), *theirs = malloc(room);
    CHECK(ours && theirs);
    struct to_utf8 conversion;
    to_utf8_open(&conversion);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t want = by_iconv(names[i], text, theirs, room),
                     got = to_utf8_convert(&conversion, names[i], text, ours, room);
        CHECK2(got == want, got, want);
        CHECK(got == SIZE_MAX || memcmp(ours, theirs, got) == 0);
        if (got == SIZE_MAX || got == 0)
            continue;
        char *exact = malloc(got);
        CHECK(exact);
        CHECK(to_utf8_convert(&conversion, names[i], text, exact, got) == got &&
              memcmp(exact, theirs, got) == 0);
        CHECK(to_utf8_convert(&conversion, names[i], text, exact, got - 1) == SIZE_MAX);
        free(exact);
    }
    to_utf8_close(&conversion);
    CHECK(text_is_ascii(text) == (by_iconv("ASCII", text, theirs, room) != SIZE_MAX));
    free(ours);
    free(theirs);
    return 0;
}

#ifndef TIEOUT_FUZZ
int main(int count, char **paths)
{
    return replay(count, paths, LLVMFuzzerTestOneInput, 100);
}
#endif
