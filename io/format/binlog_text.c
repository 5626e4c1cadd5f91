/* io/format/binlog_text.c: see binlog_text.h */
#include "io/format/binlog_text.h"
#include "core/base/mem.h"

struct collation_range {
    uint16_t first, last;
    uint8_t set;
};

enum set_number {
    SET_SAME, /* UTF-8, ASCII, binary */
    SET_BIG5,
    SET_LATIN2,
    SET_CP850,
    SET_LATIN1,
    SET_KOI8R,
    SET_UJIS,
    SET_SJIS,
    SET_CP1251,
    SET_HEBREW,
    SET_TIS620,
    SET_EUCKR,
    SET_LATIN7,
    SET_KOI8U,
    SET_GB2312,
    SET_GREEK,
    SET_CP1250,
    SET_GBK,
    SET_CP1257,
    SET_LATIN5,
    SET_ARMSCII8,
    SET_UCS2,
    SET_CP866,
    SET_MACCE,
    SET_MACROMAN,
    SET_CP852,
    SET_UTF16,
    SET_UTF16LE,
    SET_CP1256,
    SET_UTF32,
    SET_GEOSTD8,
    SET_CP932,
    SET_EUCJPMS,
    SET_GB18030
};

static const struct {
    const char *name, *iconv_name;
    uint8_t ascii_is_same;
} sets[] = {
    [SET_SAME] = {"utf8mb4", NULL, 1},
    [SET_BIG5] = {"big5", "BIG5-HKSCS", 1},
    [SET_LATIN2] = {"latin2", "ISO-8859-2", 1},
    [SET_CP850] = {"cp850", "CP850", 1},
    [SET_LATIN1] = {"latin1", NULL, 1},
    [SET_KOI8R] = {"koi8r", "KOI8-R", 1},
    [SET_UJIS] = {"ujis", "EUC-JP", 1},
    [SET_SJIS] = {"sjis", "CP932", 1},
    [SET_CP1251] = {"cp1251", "CP1251", 1},
    [SET_HEBREW] = {"hebrew", "ISO-8859-8", 1},
    [SET_TIS620] = {"tis620", "TIS-620", 1},
    [SET_EUCKR] = {"euckr", "EUC-KR", 1},
    [SET_LATIN7] = {"latin7", "ISO-8859-13", 1},
    [SET_KOI8U] = {"koi8u", "KOI8-U", 1},
    [SET_GB2312] = {"gb2312", "GB2312", 1},
    [SET_GREEK] = {"greek", "ISO-8859-7", 1},
    [SET_CP1250] = {"cp1250", "CP1250", 1},
    [SET_GBK] = {"gbk", "GBK", 1},
    [SET_CP1257] = {"cp1257", "CP1257", 1},
    [SET_LATIN5] = {"latin5", "ISO-8859-9", 1},
    [SET_ARMSCII8] = {"armscii8", "ARMSCII-8", 1},
    [SET_UCS2] = {"ucs2", "UCS-2BE", 0},
    [SET_CP866] = {"cp866", "CP866", 1},
    [SET_MACCE] = {"macce", "MAC-CENTRALEUROPE", 1},
    [SET_MACROMAN] = {"macroman", "MACINTOSH", 1},
    [SET_CP852] = {"cp852", "CP852", 1},
    [SET_UTF16] = {"utf16", "UTF-16BE", 0},
    [SET_UTF16LE] = {"utf16le", "UTF-16LE", 0},
    [SET_CP1256] = {"cp1256", "CP1256", 1},
    [SET_UTF32] = {"utf32", "UTF-32BE", 0},
    [SET_GEOSTD8] = {"geostd8", "GEORGIAN-ACADEMY", 1},
    [SET_CP932] = {"cp932", "CP932", 1},
    [SET_EUCJPMS] = {"eucjpms", "EUC-JP-MS", 1},
    [SET_GB18030] = {"gb18030", "GB18030", 1},
};

/* Ascending. What lies between is UTF-8, ASCII, binary, or a set that glibc does not know (dec8, hp8, swe7,
 * keybcs2): given as is. */
static const struct collation_range ranges[] = {
    {1, 1, SET_BIG5},        {2, 2, SET_LATIN2},      {4, 4, SET_CP850},      {5, 5, SET_LATIN1},
    {7, 7, SET_KOI8R},       {8, 8, SET_LATIN1},      {9, 9, SET_LATIN2},     {12, 12, SET_UJIS},
    {13, 13, SET_SJIS},      {14, 14, SET_CP1251},    {15, 15, SET_LATIN1},   {16, 16, SET_HEBREW},
    {18, 18, SET_TIS620},    {19, 19, SET_EUCKR},     {20, 20, SET_LATIN7},   {21, 21, SET_LATIN2},
    {22, 22, SET_KOI8U},     {23, 23, SET_CP1251},    {24, 24, SET_GB2312},   {25, 25, SET_GREEK},
    {26, 26, SET_CP1250},    {27, 27, SET_LATIN2},    {28, 28, SET_GBK},      {29, 29, SET_CP1257},
    {30, 30, SET_LATIN5},    {31, 31, SET_LATIN1},    {32, 32, SET_ARMSCII8}, {34, 34, SET_CP1250},
    {35, 35, SET_UCS2},      {36, 36, SET_CP866},     {38, 38, SET_MACCE},    {39, 39, SET_MACROMAN},
    {40, 40, SET_CP852},     {41, 42, SET_LATIN7},    {43, 43, SET_MACCE},    {44, 44, SET_CP1250},
    {47, 49, SET_LATIN1},    {50, 52, SET_CP1251},    {53, 53, SET_MACROMAN}, {54, 55, SET_UTF16},
    {56, 56, SET_UTF16LE},   {57, 57, SET_CP1256},    {58, 59, SET_CP1257},   {60, 61, SET_UTF32},
    {62, 62, SET_UTF16LE},   {64, 64, SET_ARMSCII8},  {66, 66, SET_CP1250},   {67, 67, SET_CP1256},
    {68, 68, SET_CP866},     {70, 70, SET_GREEK},     {71, 71, SET_HEBREW},   {74, 74, SET_KOI8R},
    {75, 75, SET_KOI8U},     {77, 77, SET_LATIN2},    {78, 78, SET_LATIN5},   {79, 79, SET_LATIN7},
    {80, 80, SET_CP850},     {81, 81, SET_CP852},     {84, 84, SET_BIG5},     {85, 85, SET_EUCKR},
    {86, 86, SET_GB2312},    {87, 87, SET_GBK},       {88, 88, SET_SJIS},     {89, 89, SET_TIS620},
    {90, 90, SET_UCS2},      {91, 91, SET_UJIS},      {92, 93, SET_GEOSTD8},  {94, 94, SET_LATIN1},
    {95, 96, SET_CP932},     {97, 98, SET_EUCJPMS},   {99, 99, SET_CP1250},   {101, 124, SET_UTF16},
    {128, 151, SET_UCS2},    {159, 159, SET_UCS2},    {160, 183, SET_UTF32},  {248, 250, SET_GB18030},
    {640, 671, SET_UCS2},    {672, 735, SET_UTF16},   {736, 767, SET_UTF32},  {2560, 2815, SET_UCS2},
    {2816, 3071, SET_UTF16}, {3072, 3327, SET_UTF32},
};

static unsigned set_of_collation(unsigned collation)
{
    /* MariaDB's collations without padding are the padding one's number and 1024. */
    if (collation >= 1024 && collation < 2048)
        collation -= 1024;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (collation >= ranges[i].first && collation <= ranges[i].last)
            return ranges[i].set;
    return SET_SAME;
}

void charset_room(unsigned collation, char name[10], uint8_t *char_bytes)
{
    /* MariaDB's collations without padding are the padding one's number and 1024. */
    const unsigned c = collation >= 1024 && collation < 2048 ? collation - 1024 : collation;
    const unsigned set = set_of_collation(c);
    const char *word = "";
    *char_bytes = 0;
    if (set != SET_SAME) {
        word = sets[set].name;
        *char_bytes = set == SET_UTF16 || set == SET_UTF16LE || set == SET_UTF32 || set == SET_GB18030 ? 4
                      : set == SET_UJIS || set == SET_EUCJPMS                                          ? 3
                      : set == SET_BIG5 || set == SET_SJIS || set == SET_EUCKR || set == SET_GB2312 ||
                              set == SET_GBK || set == SET_UCS2 || set == SET_CP932
                          ? 2
                          : 1;
    } else if (c == 45 || c == 46 || (c >= 224 && c <= 247) || (c >= 255 && c <= 323) ||
               (c >= 2304 && c <= 2559)) {
        word = "utf8mb4";
        *char_bytes = 4;
    } else if (c == 33 || c == 76 || c == 83 || (c >= 192 && c <= 223) || (c >= 2048 && c <= 2303)) {
        word = "utf8mb3";
        *char_bytes = 3;
    } else if (c == 11 || c == 65) {
        word = "ascii";
        *char_bytes = 1;
    }
    memcpy(name, word, strlen(word) + 1);
}

void charsets_init(struct charsets *charsets, struct arena *arena)
{
    charsets->all = NULL;
    charsets->arena = arena;
}

void charsets_fini(struct charsets *charsets)
{
    for (struct charset *c = charsets->all; c; c = c->next)
        if (c->kind == CHARSET_ICONV)
            iconv_close(c->converter);
    charsets->all = NULL;
}

enum err charset_take(struct charset **out, struct charsets *charsets, unsigned collation, struct diag *diag)
{
    *out = NULL;
    unsigned set = set_of_collation(collation);
    if (set == SET_SAME)
        return OK;
    for (struct charset *c = charsets->all; c; c = c->next)
        if (c->name == sets[set].name) {
            *out = c;
            return OK;
        }
    struct charset *c = arena_take(charsets->arena, sizeof *c);
    if (!c)
        return mem_fail(diag, sizeof *c, "a character set");
    c->name = sets[set].name;
    c->ascii_is_same = sets[set].ascii_is_same;
    c->kind = CHARSET_LATIN1;
    if (sets[set].iconv_name) {
        c->kind = CHARSET_ICONV;
        c->converter = iconv_open("UTF-8", sets[set].iconv_name);
        if (c->converter == (iconv_t)-1)
            return diag_set(diag, ERR_MACHINE, "binlog.charset",
                            "install the C library's conversion modules (gconv; Debian: package libc6)",
                            "a column is in character set %s, and this machine's iconv does not know %s",
                            c->name, sets[set].iconv_name);
    }
    c->next = charsets->all;
    charsets->all = c;
    *out = c;
    return OK;
}

static size_t put_utf8(char *out, unsigned point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 63));
        return 2;
    }
    out[0] = (char)(0xe0 | point >> 12);
    out[1] = (char)(0x80 | (point >> 6 & 63));
    out[2] = (char)(0x80 | (point & 63));
    return 3;
}

/* MySQL's latin1 is Windows-1252, and the five bytes that Windows left open stand for themselves. */
static struct span latin1_convert(struct span text, struct arena *arena)
{
    static const uint16_t windows[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                         0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                         0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                         0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
    char *out = arena_take(arena, text.size * 3 + 1);
    size_t n = 0;
    if (!out)
        return (struct span){NULL, 0};
    for (size_t i = 0; i < text.size; i++) {
        unsigned byte = (unsigned char)text.data[i];
        n += put_utf8(out + n, byte >= 0x80 && byte < 0xa0 ? windows[byte - 0x80] : byte);
    }
    return (struct span){out, n};
}

struct span charset_convert(struct charset *charset, struct span text, struct arena *arena)
{
    if (text.size == 0)
        return text;
    if (charset->kind == CHARSET_LATIN1)
        return latin1_convert(text, arena);
    /* UTF-8 takes at most three bytes for one or two of any of these sets, four for four. */
    size_t room = text.size * 3 + 4;
    char *out = arena_take(arena, room);
    if (!out)
        return (struct span){NULL, 0};
    char *from = (char *)text.data, *to = out;
    size_t from_left = text.size, to_left = room;
    iconv(charset->converter, NULL, NULL, NULL, NULL);
    if (iconv(charset->converter, &from, &from_left, &to, &to_left) == (size_t)-1 || from_left)
        return text;
    return (struct span){out, room - to_left};
}
