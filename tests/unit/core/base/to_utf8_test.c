/* core/base/to_utf8: what is in GBK's table is what iconv says, and nothing else is taken. */
#include "core/base/to_utf8.h"
#include "tests/support/check_test.h"
#include <iconv.h>

static size_t by_iconv(const char *charset, const char *text, size_t size, char *out, size_t room)
{
    iconv_t handle = iconv_open("UTF-8", charset);
    char *from = (char *)text, *to = out;
    size_t from_left = size, to_left = room;
    size_t bad = iconv(handle, &from, &from_left, &to, &to_left);
    iconv_close(handle);
    return bad == (size_t)-1 || from_left ? SIZE_MAX : room - to_left;
}

TEST(every_pair_of_bytes_is_read_as_iconv_reads_it)
{
    static const char *const charsets[] = {"GBK", "GB18030"};
    for (int c = 0; c < 2; c++) {
        struct to_utf8 conversion;
        to_utf8_open(&conversion);
        int wrong = 0;
        for (unsigned pair = 0; pair < 65536; pair += 7) {
            char text[3] = {(char)(pair >> 8), (char)pair, 'x'}, a[16], b[16];
            size_t x = to_utf8_convert(&conversion, charsets[c], (struct span){text, 3}, a, sizeof a),
                   y = by_iconv(charsets[c], text, 3, b, sizeof b);
            wrong += x != y || (x != SIZE_MAX && memcmp(a, b, x) != 0);
        }
        EXPECT(wrong == 0);
        to_utf8_close(&conversion);
    }
}

TEST(four_byte_characters_and_latin1_go_through_iconv)
{
    struct to_utf8 conversion;
    char out[32];
    to_utf8_open(&conversion);
    EXPECT(to_utf8_convert(&conversion, "GB18030", span_of("a\x81\x30\x81\x30z"), out, sizeof out) == 4);
    EXPECT(memcmp(out, "a\xc2\x80z", 4) == 0);
    EXPECT(to_utf8_convert(&conversion, "ISO-8859-1", span_of("\xe9"), out, sizeof out) == 2);
    EXPECT(memcmp(out, "\xc3\xa9", 2) == 0);
    EXPECT(to_utf8_convert(&conversion, "GBK", span_of("\xb2"), out, sizeof out) == SIZE_MAX);
    EXPECT(to_utf8_convert(&conversion, "GBK", span_of("\xb2\xe2"), out, 2) == SIZE_MAX);
    to_utf8_close(&conversion);
}

TEST(ascii_is_told_from_the_rest_at_every_place)
{
    char text[24];
    memset(text, 'a', sizeof text);
    for (size_t size = 0; size <= sizeof text; size++) {
        EXPECT(text_is_ascii((struct span){text, size}));
        for (size_t at = 0; at < size; at++) {
            text[at] = (char)0x80;
            EXPECT(!text_is_ascii((struct span){text, size}));
            text[at] = 'a';
        }
    }
}
