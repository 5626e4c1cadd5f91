/* tests/unit/io/format/csv_test.c: the rules of CSV, row by row (io/format/csv.h) */
#include "io/format/csv.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <string.h>

static const struct csv_dialect comma = {',', '"'}, bare = {',', 0}, apostrophe = {'\t', '\''};

enum { ROOM = 8 };
struct read_row {
    enum csv_row_end end;
    struct csv_row row;
    char text[200]; /* cells, joined by | */
};

static struct read_row read_at(const struct csv_dialect *dialect, const char *text, size_t size, uint32_t at,
                               int at_end)
{
    /* In a block of its own, so that a sanitizer sees a read behind it. */
    uint8_t *bytes = malloc(size ? size : 1), *scratch = malloc(size - at + 1);
    struct cell cells[ROOM];
    struct read_row r = {0};
    memcpy(bytes, text, size);
    r.end = csv_row_read(dialect, bytes, (uint32_t)size, at, at_end, cells, ROOM, scratch, &r.row);
    size_t used = 0;
    if (r.end == CSV_ROW_WHOLE)
        for (uint32_t i = 0; i < r.row.cells && i < ROOM; i++)
            used += (size_t)snprintf(r.text + used, sizeof r.text - used, "%s%.*s", i ? "|" : "",
                                     (int)cells[i].size, cells[i].data);
    free(bytes);
    free(scratch);
    return r;
}

static int row_is(const struct csv_dialect *dialect, const char *text, const char *cells, uint32_t next,
                  uint32_t size)
{
    struct read_row r = read_at(dialect, text, strlen(text), 0, 1);
    if (r.end != CSV_ROW_WHOLE || strcmp(r.text, cells) != 0 || r.row.next != next || r.row.size != size)
        fprintf(stderr, "  ends as %d: %s, next %u, size %u\n", (int)r.end, r.text, r.row.next, r.row.size);
    return r.end == CSV_ROW_WHOLE && strcmp(r.text, cells) == 0 && r.row.next == next && r.row.size == size;
}

static int spoiled(const char *text, enum reject_code code, uint32_t column, uint32_t next, uint32_t size)
{
    struct read_row r = read_at(&comma, text, strlen(text), 0, 1);
    if (r.end != CSV_ROW_SPOILED || r.row.code != code || r.row.bad_cell != column || r.row.next != next ||
        r.row.size != size)
        fprintf(stderr, "  ends as %d, code %d, cell %u, next %u, size %u\n", (int)r.end, (int)r.row.code,
                r.row.bad_cell, r.row.next, r.row.size);
    return r.end == CSV_ROW_SPOILED && r.row.code == code && r.row.bad_cell == column && r.row.next == next &&
           r.row.size == size;
}

TEST(cells_and_line_ends)
{
    EXPECT(row_is(&comma, "a,b,c\nnext", "a|b|c", 6, 5));
    EXPECT(row_is(&comma, "a,b,c\r\nnext", "a|b|c", 7, 5));
    EXPECT(row_is(&comma, "a,b,c", "a|b|c", 5, 5));
    EXPECT(row_is(&comma, "1,2,\n", "1|2|", 5, 4));
    EXPECT(row_is(&comma, ",,\n", "||", 3, 2));
    EXPECT(row_is(&comma, " a , b \n", " a | b ", 8, 7));
    EXPECT(row_is(&comma, "a;b\n", "a;b", 4, 3));
}

/* Cells are looked through 16 bytes at a time: each end at each place of them, with any number of bytes behind. */
TEST(a_cell_ends_where_it_ends_however_long_it_is)
{
    for (uint32_t before = 0; before < 40; before++)
        for (uint32_t behind = 0; behind < 20; behind++) {
            char text[80], want[80];
            memset(text, 'x', sizeof text);
            const uint32_t size = before + 1 + behind;
            snprintf(want, sizeof want, "%.*s|%.*s", (int)before, text, (int)behind, text);
            text[before] = ',';
            struct read_row r = read_at(&comma, text, size, 0, 1);
            EXPECT(r.end == CSV_ROW_WHOLE && r.row.cells == 2 && strcmp(r.text, want) == 0);
            EXPECT(read_at(&comma, text, size, 0, 0).end == CSV_ROW_UNFINISHED);
            text[before] = '\n';
            r = read_at(&comma, text, size, 0, 1);
            EXPECT(r.end == (before ? CSV_ROW_WHOLE : CSV_ROW_BLANK) && r.row.next == before + 1 &&
                   r.row.size == before);
            text[before] = '\r';
            r = read_at(&comma, text, size, 0, 1);
            EXPECT(behind ? r.end == CSV_ROW_SPOILED && r.row.code == REJECT_CR && r.row.next == size
                          : r.end == CSV_ROW_SPOILED && r.row.code == REJECT_CR);
            text[before] = '"';
            r = read_at(&bare, text, size, 0, 1);
            EXPECT(r.end == CSV_ROW_WHOLE && r.row.cells == 1 && r.row.size == size);
            if (before == 0)
                continue;
            r = read_at(&comma, text, size, 0, 1);
            EXPECT(r.end == CSV_ROW_SPOILED && r.row.code == REJECT_QUOTE && r.row.bad_cell == 0);
        }
}

TEST(quotes)
{
    EXPECT(row_is(&comma, "\"a\",\"b\"\n", "a|b", 8, 7));
    EXPECT(row_is(&comma, "\"a,b\",c\n", "a,b|c", 8, 7));
    EXPECT(row_is(&comma, "\"a\"\"b\",c\n", "a\"b|c", 9, 8));
    EXPECT(row_is(&comma, "\"\",x\n", "|x", 5, 4));
    EXPECT(row_is(&comma, "\"\"\"\",x\n", "\"|x", 7, 6));
    EXPECT(row_is(&comma, "\"line\nline\",x\n", "line\nline|x", 14, 13));
    EXPECT(row_is(&comma, "\"line\r\nline\",x\r\n", "line\r\nline|x", 16, 14));
    EXPECT(row_is(&comma, "\"a\"\"\"\"b\"\"\",\"\"\"c\"\n", "a\"\"b\"|\"c", 17, 16));
    EXPECT(row_is(&comma, "x,\"y\"", "x|y", 5, 5));
    EXPECT(row_is(&apostrophe, "'a\tb'\tc\n", "a\tb|c", 8, 7));
    EXPECT(row_is(&bare, "\"a,b\"\n", "\"a|b\"", 6, 5));
}

TEST(what_spoils_a_row_up_to_its_newline)
{
    EXPECT(spoiled("a\"b,c\nnext", REJECT_QUOTE, 0, 6, 5));
    EXPECT(spoiled("x,\"a\"b,c\nnext", REJECT_QUOTE, 1, 9, 8));
    EXPECT(spoiled("x,\"a\" ,c\nnext", REJECT_QUOTE, 1, 9, 8));
    EXPECT(spoiled("a\rb,c\nnext", REJECT_CR, 0, 6, 5));
    EXPECT(spoiled("a,b\r", REJECT_CR, 1, 4, 4));
    EXPECT(spoiled("a,\"b\"\rc\n", REJECT_CR, 1, 8, 7));
    /* Its line end may be \r\n; that is no part of the row. */
    EXPECT(spoiled("a\"b,c\r\nnext", REJECT_QUOTE, 0, 7, 5));
    /* What opens behind the spot is not looked at: the next newline ends it. */
    EXPECT(spoiled("a\"b,\"c\nd\"\n", REJECT_QUOTE, 0, 7, 6));
    EXPECT(spoiled("\"a\nb\"c\nnext", REJECT_QUOTE, 0, 7, 6));
}

TEST(blank_and_unfinished)
{
    EXPECT(read_at(&comma, "\nx", 2, 0, 1).end == CSV_ROW_BLANK &&
           read_at(&comma, "\r\nx", 3, 0, 1).end == CSV_ROW_BLANK);
    EXPECT(read_at(&comma, "\r\nx", 3, 0, 1).row.next == 2 &&
           read_at(&comma, "ab\n\n", 4, 3, 1).end == CSV_ROW_BLANK);
    static const char *const texts[] = {"a,b", "a,",      "",         "a,b\r", "\"a\"",
                                        "\"a", "\"a\"\"", "x,\"a\nb", "a\"b"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct read_row r = read_at(&comma, texts[i], strlen(texts[i]), 0, 0);
        if (r.end != CSV_ROW_UNFINISHED)
            fprintf(stderr, "  %s\n", texts[i]);
        EXPECT(r.end == CSV_ROW_UNFINISHED);
    }
    struct read_row r = read_at(&comma, "x,\"a\nb", 6, 0, 1);
    EXPECT(r.end == CSV_ROW_UNFINISHED && r.row.ends_in_quote);
    EXPECT(read_at(&comma, "\"", 1, 0, 1).row.ends_in_quote &&
           read_at(&comma, "\"a\"\"", 4, 0, 1).row.ends_in_quote);
}

TEST(more_cells_than_room_are_counted)
{
    struct read_row r = read_at(&comma, "1,2,3,4,5,6,7,8,9,10,11\n", 24, 0, 1);
    EXPECT(r.end == CSV_ROW_WHOLE && r.row.cells == 11 && strcmp(r.text, "1|2|3|4|5|6|7|8") == 0);
}

static uint32_t rest(const char *text, uint32_t at, int at_end)
{
    size_t size = strlen(text);
    uint8_t *bytes = malloc(size ? size : 1);
    memcpy(bytes, text, size);
    uint32_t next = csv_row_rest(&comma, bytes, (uint32_t)size, at, at_end);
    free(bytes);
    return next;
}

TEST(the_rest_of_a_row_that_began_in_quotes)
{
    EXPECT(rest("inside\",b\nnext", 0, 1) == 10);
    EXPECT(rest("in\"\"side\",b\nnext", 0, 1) == 12);
    EXPECT(rest("inside\"\nnext", 0, 1) == 8 && rest("inside\"\r\nnext", 0, 1) == 9);
    EXPECT(rest("a\nb\",\"c\nd\",e\nnext", 0, 1) == 13);
    EXPECT(rest("inside\"x,\"\nnext", 0, 1) == 11); /* spoiled: up to the next newline */
    EXPECT(rest("inside\"\rx\nnext", 0, 1) == 10);
    EXPECT(rest("inside\"", 0, 1) == 7 && rest("inside\"", 0, 0) == UINT32_MAX &&
           rest("inside", 0, 1) == UINT32_MAX);
    EXPECT(rest("inside\"\"", 0, 1) == UINT32_MAX && rest("inside\",b", 0, 0) == UINT32_MAX &&
           rest("inside\",b", 0, 1) == 9);
    EXPECT(rest("xx\",b\nnext", 2, 1) == 6);
}

TEST(a_scanned_cell_loses_its_quotes)
{
    static const char *const table[][2] = {{"\"a\"", "a"},
                                           {"\"\"", ""},
                                           {"\"a\"\"b\"", "a\"b"},
                                           {"\"\"\"\"", "\""},
                                           {"\"\"\"a\"\"\"\"\"", "\"a\"\""}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t size = strlen(table[i][0]);
        char *bytes = malloc(size);
        uint8_t scratch[20];
        memcpy(bytes, table[i][0], size);
        struct cell cell = {.data = bytes, .size = (uint32_t)size, .kind = CELL_TEXT};
        csv_unquote(&comma, &cell, scratch);
        EXPECT(cell.size == strlen(table[i][1]) && memcmp(cell.data, table[i][1], cell.size) == 0);
        free(bytes);
    }
}
