/* tests/unit/io/format/binlog_types_test.c: decimals, dates, times and floats at their extremes. */
#include "io/format/binlog_decimal.h"
#include "io/format/binlog_json.h"
#include "io/format/binlog_types.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

/* A DECIMAL's bytes, written from its digits: the other direction, the slow way. */
static size_t encode(uint8_t *out, const char *text, unsigned precision, unsigned scale)
{
    static const unsigned bytes_of[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
    unsigned whole = precision - scale;
    char digits[80];
    int negative = *text == '-';
    text += negative;
    const char *dot = strchr(text, '.');
    size_t before = dot ? (size_t)(dot - text) : strlen(text);
    if (before == 1 && *text == '0' && whole == 0)
        text++, before = 0;
    memset(digits, '0', sizeof digits);
    memcpy(digits + whole - before, text, before);
    if (dot)
        memcpy(digits + whole, dot + 1, strlen(dot + 1));
    size_t n = 0;
    unsigned at = 0;
    unsigned groups[20], count = 0;
    if (whole % 9)
        groups[count++] = whole % 9;
    for (unsigned i = 0; i < whole / 9 + scale / 9; i++)
        groups[count++] = 9;
    if (scale % 9)
        groups[count++] = scale % 9;
    for (unsigned g = 0; g < count; g++) {
        unsigned long value = 0;
        for (unsigned i = 0; i < groups[g]; i++)
            value = value * 10 + (unsigned long)(digits[at++] - '0');
        for (unsigned i = bytes_of[groups[g]]; i-- > 0;)
            out[n++] = (uint8_t)(value >> (8 * i));
    }
    out[0] ^= 0x80;
    for (size_t i = 0; negative && i < n; i++)
        out[i] = (uint8_t)~out[i];
    return n;
}

static int decimal_is(const char *text, unsigned precision, unsigned scale)
{
    uint8_t bytes[40] = {0};
    char out[DECIMAL_TEXT_MAX + 1];
    if (encode(bytes, text, precision, scale) != decimal_bytes(precision, scale))
        return 0;
    int size = decimal_print(out, bytes, precision, scale);
    if (size < 0)
        return 0;
    out[size] = 0;
    if (precision <= 18 && scale <= 9) { /* as a number it is the same */
        struct cell cell;
        char number[CELL_NUMBER_MAX];
        EXPECT(decimal_read(&cell, bytes, precision, scale));
        struct span printed = cell_decimal_print(number, &cell);
        EXPECT(printed.size == (size_t)size && memcmp(printed.data, out, printed.size) == 0);
    }
    if (strcmp(out, text) != 0)
        fprintf(stderr, "%s: got %s\n", text, out);
    return strcmp(out, text) == 0;
}

TEST(decimal_print_gives_every_digit_at_the_extremes)
{
    EXPECT(decimal_is("0", 1, 0));
    EXPECT(decimal_is("-1", 1, 0));
    EXPECT(decimal_is("0.9", 1, 1));
    EXPECT(decimal_is("-0.9", 1, 1));
    EXPECT(decimal_is("88888888.88", 18, 2));
    EXPECT(decimal_is("-9999999999999999.99", 18, 2));
    EXPECT(decimal_is("0.01", 18, 2));
    EXPECT(decimal_is("1000000000.00", 18, 2));
    EXPECT(decimal_is("99999999999999999999999999999999999.999999999999999999999999999999", 65, 30));
    EXPECT(decimal_is("-99999999999999999999999999999999999.999999999999999999999999999999", 65, 30));
    EXPECT(decimal_is("-99999999999999999999999999999999999999999999999999999999999999999", 65, 0));
    EXPECT(decimal_is("0.000000000000000000000000000001", 30, 30));
    EXPECT(decimal_is("-123456789.987654321", 18, 9));
    EXPECT(decimal_is("-1234567890.123456789", 19, 9));
}

TEST(decimal_print_gives_back_what_was_stored_for_every_precision_and_scale)
{
    srand(1);
    for (unsigned precision = 1; precision <= 65; precision++)
        for (unsigned scale = 0; scale <= precision && scale <= 30; scale++) {
            char text[80], *to = text;
            if (rand() % 2)
                *to++ = '-';
            unsigned whole = precision - scale;
            if (whole == 0)
                *to++ = '0';
            for (unsigned i = 0; i < whole; i++)
                *to++ = (char)('0' + (i ? rand() % 10 : 1 + rand() % 9));
            if (scale)
                *to++ = '.';
            for (unsigned i = 0; i < scale; i++)
                *to++ = (char)('0' + (i ? rand() % 10 : 1 + rand() % 9));
            *to = 0;
            EXPECT(decimal_is(text, precision, scale));
        }
}

TEST(decimal_refuses_types_that_do_not_exist_and_groups_that_are_too_large)
{
    EXPECT(decimal_bytes(0, 0) == 0);
    EXPECT(decimal_bytes(66, 0) == 0);
    EXPECT(decimal_bytes(40, 31) == 0);
    EXPECT(decimal_bytes(5, 6) == 0);
    char out[DECIMAL_TEXT_MAX];
    /* 0x3b9aca00 is 10^9: one more than nine digits hold. */
    EXPECT(decimal_print(out, (const uint8_t *)"\xbb\x9a\xca\x00", 9, 0) < 0);
    EXPECT(decimal_print(out, (const uint8_t *)"\xbb\x9a\xc9\xff", 9, 0) == 9);
    EXPECT(decimal_print(out, (const uint8_t *)"\x80\x64", 4, 2) < 0);
}

static int text_is(const struct cell *cell, const char *text)
{
    return cell->kind == CELL_TEXT && cell->size == strlen(text) && memcmp(cell->data, text, cell->size) == 0;
}

static int time2_is(uint64_t value, unsigned decimals, const char *text)
{
    uint8_t bytes[6];
    unsigned size = 3 + (decimals + 1) / 2;
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    struct cell cell;
    char out[TIME_VALUE_TEXT_MAX];
    return time2_read(&cell, out, bytes, decimals) && text_is(&cell, text);
}

TEST(time_reads_both_signs_with_and_without_fractions)
{
    EXPECT(time2_is(0x800000, 0, "00:00:00"));
    EXPECT(time2_is(0x800000 + (838u << 12 | 59 << 6 | 59), 0, "838:59:59"));
    EXPECT(time2_is(0x800000 - (838u << 12 | 59 << 6 | 59), 0, "-838:59:59"));
    EXPECT(time2_is(0x7fffffffffff, 6, "-00:00:00.000001"));
    EXPECT(time2_is(0x80000000 - (1 << 8 | 50), 2, "-00:00:01.50"));
    EXPECT(time2_is(0x80000000 - 90, 1, "-00:00:00.9"));
    EXPECT(time2_is(0x8000000000 - 10, 3, "-00:00:00.001"));
    struct cell cell;
    char out[TIME_VALUE_TEXT_MAX];
    EXPECT(time_read(&cell, out, (const uint8_t *)"\x95\xfd\xff") && text_is(&cell, "-00:06:19"));
    EXPECT(!time2_read(&cell, out, (const uint8_t *)"\xff\xff\xff", 0));
}

static int datetime2_is(unsigned year, unsigned month, unsigned day, unsigned hour, unsigned minute,
                        unsigned second, unsigned micro, const char *zero_text)
{
    uint64_t v =
        (((uint64_t)(year * 13 + month) << 5 | day) << 17 | hour << 12 | minute << 6 | second) + 0x8000000000;
    uint8_t bytes[8];
    for (unsigned i = 0; i < 5; i++)
        bytes[i] = (uint8_t)(v >> (8 * (4 - i)));
    for (unsigned i = 0; i < 3; i++)
        bytes[5 + i] = (uint8_t)(micro >> (8 * (2 - i)));
    struct cell cell;
    char out[TIME_VALUE_TEXT_MAX], text[TIME_VALUE_TEXT_MAX + 40];
    if (!datetime2_read(&cell, out, bytes, 6))
        return 0;
    if (zero_text)
        return text_is(&cell, zero_text);
    int size = wall_print(out, cell.i64, 6);
    snprintf(text, sizeof text, "%04u-%02u-%02u %02u:%02u:%02u.%06u", year, month, day, hour, minute, second,
             micro);
    return cell.kind == CELL_WALL && (size_t)size == strlen(text) && memcmp(out, text, (size_t)size) == 0;
}

TEST(datetime_reads_dates_that_exist_as_numbers_and_the_others_as_text)
{
    EXPECT(datetime2_is(1, 1, 1, 0, 0, 0, 0, NULL));
    EXPECT(datetime2_is(1000, 1, 1, 0, 0, 0, 1, NULL));
    EXPECT(datetime2_is(1969, 12, 31, 23, 59, 59, 999999, NULL));
    EXPECT(datetime2_is(1970, 1, 1, 0, 0, 0, 0, NULL));
    EXPECT(datetime2_is(2000, 2, 29, 12, 0, 0, 0, NULL));
    EXPECT(datetime2_is(9999, 12, 31, 23, 59, 59, 999999, NULL));
    EXPECT(datetime2_is(0, 0, 0, 0, 0, 0, 0, "0000-00-00 00:00:00.000000"));
    EXPECT(datetime2_is(2026, 0, 0, 0, 0, 0, 0, "2026-00-00 00:00:00.000000"));
    EXPECT(datetime2_is(2026, 2, 29, 12, 0, 0, 1000, "2026-02-29 12:00:00.001000"));
    EXPECT(!datetime2_is(2026, 2, 1, 24, 0, 0, 0, NULL));
    EXPECT(!datetime2_is(2026, 2, 1, 0, 0, 0, 1000000, NULL));
    for (unsigned year = 1; year < 10000; year += 13)
        EXPECT(datetime2_is(year, 1 + year % 12, 1 + year % 28, 1, 2, 3, 4, NULL));
}

TEST(the_old_formats_are_read_too)
{
    struct cell cell;
    char out[TIME_VALUE_TEXT_MAX];
    uint64_t v = 20261119235958;
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    EXPECT(datetime_read(&cell, out, bytes) && cell.kind == CELL_WALL);
    EXPECT(wall_print(out, cell.i64, 0) == 19 && memcmp(out, "2026-11-19 23:59:58", 19) == 0);
    EXPECT(date_read(&cell, out, (const uint8_t *)"\x73\xd5\x0f") && cell.kind == CELL_WALL);
    EXPECT(wall_print(out, cell.i64, -1) == 10 && memcmp(out, "2026-11-19", 10) == 0);
    EXPECT(date_read(&cell, out, (const uint8_t *)"\0\0\0") && text_is(&cell, "0000-00-00"));
    EXPECT(timestamp_read(&cell, out, (const uint8_t *)"\xff\xff\xff\xff") && cell.kind == CELL_EPOCH &&
           cell.i64 == 4294967295 * 1000000);
    EXPECT(timestamp2_read(&cell, out, (const uint8_t *)"\0\0\0\0", 0) &&
           text_is(&cell, "0000-00-00 00:00:00"));
    EXPECT(timestamp2_read(&cell, out, (const uint8_t *)"\x7f\xff\xff\xff\x5a", 2) &&
           cell.i64 == 2147483647900000);
    EXPECT(!timestamp2_read(&cell, out, (const uint8_t *)"\x7f\xff\xff\xff\x64", 2));
    EXPECT(year_read(&cell, out, (const uint8_t *)"\xff") && text_is(&cell, "2155"));
    EXPECT(year_read(&cell, out, (const uint8_t *)"\0") && text_is(&cell, "0000"));
}

static int double_is(double value, const char *text)
{
    char out[FLOAT_TEXT_MAX];
    int size = double_print(out, value);
    return size == (int)strlen(text) && memcmp(out, text, (size_t)size) == 0;
}

/* Bytes as MariaDB 10.11 wrote them with mysql56_temporal_format=OFF (tests/live/old_times.sh has all digits). */
TEST(times_of_mariadb_before_10_1_are_read)
{
    struct cell cell;
    char out[TIME_VALUE_TEXT_MAX], text[TIME_VALUE_TEXT_MAX];
    const uint8_t b3[] = {0x00, 0x42, 0x42, 0x09, 0x6d, 0xe7, 0x59},
                  b6[] = {0x01, 0x02, 0xd1, 0xf4, 0xd5, 0x4f, 0xb6, 0x4e},
                  c6[] = {0x6a, 0xfe, 0xcb, 0x40, 0x05, 0x46, 0x4e}, d2[] = {0x11, 0xbb, 0xa5, 0xb2},
                  h6[] = {0x05, 0x7e, 0x7b, 0xbc, 0xf7, 0xff}, low[] = {0, 0, 0, 0, 0, 1},
                  all[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    EXPECT(old_datetime_read(&cell, out, b3, 3) && cell.kind == CELL_WALL &&
           wall_print(text, cell.i64, 3) == 23 && memcmp(text, "2026-11-19 10:11:12.345", 23) == 0);
    EXPECT(old_datetime_read(&cell, out, b6, 6) && wall_print(text, cell.i64, 6) == 26 &&
           memcmp(text, "2026-11-19 10:11:12.345678", 26) == 0);
    EXPECT(old_datetime_read(&cell, out, (const uint8_t *)"\0\0\0\0\0\0\0\0", 6) &&
           text_is(&cell, "0000-00-00 00:00:00.000000"));
    EXPECT(old_timestamp_read(&cell, out, c6, 6) && cell.kind == CELL_EPOCH && cell.i64 == 1795083072345678);
    EXPECT(old_timestamp_read(&cell, out, (const uint8_t *)"\0\0\0\0\0", 1) &&
           text_is(&cell, "0000-00-00 00:00:00.0"));
    EXPECT(old_time_read(&cell, out, d2, 2) && text_is(&cell, "-12:34:56.78"));
    EXPECT(old_time_read(&cell, out, h6, 6) && text_is(&cell, "838:59:59.999999"));
    EXPECT(old_time_read(&cell, out, low, 6) && text_is(&cell, "-838:59:59.999999"));
    EXPECT(!old_time_read(&cell, out, all, 6) && !old_datetime_read(&cell, out, all, 6) &&
           !old_timestamp_read(&cell, out, all, 6));
}

TEST(floats_print_the_shortest_digits_that_read_back)
{
    EXPECT(double_is(0, "0") && double_is(1.5, "1.5") && double_is(-100, "-100") && double_is(0.1, "0.1"));
    EXPECT(double_is(1e15, "1e15") && double_is(123456789012345, "123456789012345"));
    EXPECT(double_is(1.7976931348623157e308, "1.7976931348623157e308"));
    EXPECT(double_is(2.2250738585072014e-308, "2.2250738585072014e-308") && double_is(0.00001, "0.00001"));
    char out[FLOAT_TEXT_MAX];
    int size = float_print(out, 1234.567f);
    EXPECT(size == 8 && memcmp(out, "1234.567", 8) == 0);
    EXPECT(double_print(out, 1.0 / 0.0) < 0);
}

static int json_is(const char *bytes, size_t size, const char *text)
{
    struct arena arena;
    struct span got;
    arena_init(&arena);
    const char *wrong = binlog_json_print(&got, (const uint8_t *)bytes, size, &arena);
    int same = text ? !wrong && span_is(got, text) : wrong != NULL;
    if (!same)
        fprintf(stderr, "json: %s, got %.*s\n", wrong ? wrong : "no error", (int)got.size,
                got.data ? got.data : "");
    arena_fini(&arena);
    return same;
}
#define JSON_IS(bytes, text) json_is(bytes, sizeof(bytes) - 1, text)

TEST(json_prints_as_the_server_does_and_refuses_what_points_outside)
{
    EXPECT(JSON_IS("", "null"));
    EXPECT(JSON_IS("\x04\x01", "true"));
    EXPECT(JSON_IS("\x0c\x04\"\n\x01x", "\"\\\"\\n\\u0001x\""));
    EXPECT(JSON_IS("\x0b\x00\x00\x00\x00\x00\x00\xf0\x3f", "1.0"));
    EXPECT(JSON_IS("\x02\x02\x00\x0a\x00\x05\xff\xff\x04\x00\x00", "[-1, null]"));
    EXPECT(JSON_IS("\x00\x01\x00\x0c\x00\x0b\x00\x01\x00\x05\x05\x00\x61", "{\"a\": 5}"));
    /* A DECIMAL inside: type 246, 2 + 2 bytes, DECIMAL(3,1) 12.5. */
    EXPECT(JSON_IS("\x0f\xf6\x04\x03\x01\x8c\x05", "12.5"));
    EXPECT(JSON_IS("\x0f\xfc\x01\xff", "\"base64:type252:/w==\""));
    EXPECT(JSON_IS("\x00\xff\xff\x0c\x00", NULL));
    EXPECT(JSON_IS("\x02\x01\x00\x07\x00\x02\x00\x00", NULL));
    EXPECT(JSON_IS("\x0c\xff", NULL));
    EXPECT(JSON_IS("\x04\x03", NULL));
    EXPECT(JSON_IS("\x0d", NULL));
    /* Arrays in arrays: a hundred are what the server takes; more is no matter for the stack. */
    for (int depth = 90; depth <= 3000; depth += depth < 110 ? 1 : 700) {
        uint8_t *bytes = calloc(1, (size_t)depth * 7 + 8), *p = bytes;
        struct arena arena;
        struct span text;
        *p++ = 2;
        for (int i = 0; i < depth; i++) {
            const unsigned left = (unsigned)(depth - i) * 7 + 4;
            const uint8_t array[7] = {1, 0, (uint8_t)left, (uint8_t)(left >> 8), 2, 7, 0};
            memcpy(p, array, sizeof array);
            p += sizeof array;
        }
        memcpy(p, "\0\0\4\0", 4);
        arena_init(&arena);
        EXPECT((binlog_json_print(&text, bytes, (size_t)(p - bytes) + 4, &arena) == NULL) == (depth <= 100));
        arena_fini(&arena);
        free(bytes);
    }
}

/* `changes`: op, path, value in binary, three strings each. */
static int patched_is(const char *before, const char *const (*changes)[2], int count, const uint8_t *values,
                      const size_t *sizes, const char *want)
{
    uint8_t bytes[600];
    size_t n = 0, at = 0;
    for (int i = 0; i < count; i++) {
        bytes[n++] = (uint8_t)(*changes[i][0] == 'r' ? 0 : *changes[i][0] == 'i' ? 1 : 2);
        bytes[n++] = (uint8_t)strlen(changes[i][1]);
        memcpy(bytes + n, changes[i][1], strlen(changes[i][1]));
        n += strlen(changes[i][1]);
        if (*changes[i][0] == 'x')
            continue;
        bytes[n++] = (uint8_t)sizes[i];
        memcpy(bytes + n, values + at, sizes[i]);
        n += sizes[i];
        at += sizes[i];
    }
    struct arena arena;
    struct span out;
    arena_init(&arena);
    char *copy = strdup(before);
    const char *why = binlog_json_patch(&out, (struct span){copy, strlen(copy)}, bytes, n, &arena);
    int is = want ? !why && out.size == strlen(want) && memcmp(out.data, want, out.size) == 0 : why != NULL;
    if (!is)
        fprintf(stderr, "%s: got %.*s, %s\n", before, why ? 0 : (int)out.size, why ? "" : out.data,
                why ? why : "");
    /* Cut anywhere it is refused, or is the changes before the cut; never more. */
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        binlog_json_patch(&out, (struct span){copy, strlen(copy)}, part, cut, &arena);
        free(part);
    }
    free(copy);
    arena_fini(&arena);
    return is;
}

TEST(json_is_changed_by_its_paths_as_the_server_does)
{
    static const uint8_t seven[] = {5, 7, 0}; /* INT16 */
    static const size_t three[] = {3, 3, 3, 3};
    static const uint8_t sevens[] = {5, 7, 0, 5, 7, 0, 5, 7, 0};
#define PATCHED(before, op, path, want)                                                                      \
    EXPECT(patched_is(before, (const char *const[][2]){{op, path}}, 1, seven, three, want))
    PATCHED("{\"age\": 24, \"name\": \"Joe\"}", "replace", "$.age", "{\"age\": 7, \"name\": \"Joe\"}");
    PATCHED("{\"age\": 24, \"name\": \"Joe\"}", "replace", "$.name", "{\"age\": 24, \"name\": 7}");
    PATCHED("{\"age\": 24, \"name\": \"Joe\"}", "x remove", "$.age", "{\"name\": \"Joe\"}");
    PATCHED("{\"age\": 24, \"name\": \"Joe\"}", "x remove", "$.name", "{\"age\": 24}");
    PATCHED("{\"age\": 24}", "x remove", "$.age", "{}");
    PATCHED("{}", "insert", "$.a", "{\"a\": 7}");
    /* Members are in order of their keys' lengths, then bytes. */
    PATCHED("{\"b\": 1, \"aa\": 2}", "insert", "$.c", "{\"b\": 1, \"c\": 7, \"aa\": 2}");
    PATCHED("{\"b\": 1, \"aa\": 2}", "insert", "$.a", "{\"a\": 7, \"b\": 1, \"aa\": 2}");
    PATCHED("{\"b\": 1, \"aa\": 2}", "insert", "$.zz", "{\"b\": 1, \"aa\": 2, \"zz\": 7}");
    PATCHED("[1, 2, 3]", "insert", "$[1]", "[1, 7, 2, 3]");
    PATCHED("[1, 2, 3]", "insert", "$[3]", "[1, 2, 3, 7]");
    PATCHED("[]", "insert", "$[0]", "[7]");
    PATCHED("[1, [2, 3], 4]", "replace", "$[1][0]", "[1, [7, 3], 4]");
    PATCHED("[1, [2, 3], 4]", "x remove", "$[1]", "[1, 4]");
    PATCHED("[1, [2, 3], 4]", "x remove", "$[2]", "[1, [2, 3]]");
    PATCHED("{\"k\": [{\"x\": \"a, b}\", \"y\": \"q\\\"\\\\\"}]}", "replace", "$.k[0].y",
            "{\"k\": [{\"x\": \"a, b}\", \"y\": 7}]}");
    PATCHED("{\"a.b\": 1, \"c\\\"d\": 2}", "replace", "$.\"a.b\"", "{\"a.b\": 7, \"c\\\"d\": 2}");
    PATCHED("{\"a.b\": 1, \"c\\\"d\": 2}", "replace", "$.\"c\\\"d\"", "{\"a.b\": 1, \"c\\\"d\": 7}");
    PATCHED("{\"gr\303\266\303\237e\": 1}", "replace", "$.gr\303\266\303\237e",
            "{\"gr\303\266\303\237e\": 7}");
    PATCHED("24", "replace", "$", "7");
    PATCHED("{\"a\": 1}", "replace", "$.b", NULL);
    PATCHED("{\"a\": 1}", "insert", "$.a", NULL);
    PATCHED("{\"a\": 1}", "x remove", "$", NULL);
    PATCHED("{\"a\": 1}", "replace", "$.a.b", NULL);
    PATCHED("{\"a\": 1}", "replace", "$[0]", NULL);
    PATCHED("{\"a\": 1}", "replace", "a", NULL);
    PATCHED("{\"a\": 1}", "replace", "$.", NULL);
    PATCHED("{\"a\": 1}", "replace", "$[", NULL);
    PATCHED("{\"a\": 1}", "replace", "$*", NULL);
    EXPECT(patched_is("{\"a\": 1}",
                      (const char *const[][2]){{"insert", "$.b"}, {"x remove", "$.a"}, {"replace", "$.b"}}, 3,
                      sevens, (const size_t[]){3, 0, 3}, "{\"b\": 7}"));
}
