/* core/base/text: what people see of bytes from outside steers no terminal, and what machines see is the same value. */
#include "core/base/formula.h"
#include "core/base/text.h"
#include "tests/support/check_test.h"

static int is_shown_as(const char *bytes, const char *want)
{
    struct text text = {0};
    char own[200];
    text_plain(&text, span_of(bytes));
    snprintf(own, sizeof own, "%s", bytes);
    text_make_plain(own);
    const int same = strcmp(text.data ? text.data : "", want) == 0 && strcmp(own, want) == 0;
    text_fini(&text);
    return same;
}

TEST(control_characters_are_shown_as_question_marks)
{
    EXPECT(is_shown_as("a\x1b[31mred", "a?[31mred"));
    EXPECT(is_shown_as("one\ntwo\r\t\x7f", "one?two???"));
    EXPECT(is_shown_as("csi \xc2\x9b"
                       "2J",
                       "csi ?2J")); /* U+009B, an escape and a bracket in one */
}

TEST(marks_that_turn_the_direction_of_writing_are_too)
{
    EXPECT(is_shown_as("in\xe2\x80\xae"
                       "001",
                       "in?001"));
    EXPECT(is_shown_as("\xe2\x81\xa6x\xd8\x9cy", "?x?y"));
}

TEST(what_is_no_utf8_is_shown_as_question_marks)
{
    EXPECT(is_shown_as("a\x9b"
                       "b",
                       "a?b"));
    EXPECT(is_shown_as("\xc3", "?"));
}

TEST(letters_of_all_scripts_stay)
{
    EXPECT(is_shown_as("\xe8\xae\xa2\xe5\x8d\x95 \xc3\xa9 \xd8\xb9 \xf0\x9f\x98\x80",
                       "\xe8\xae\xa2\xe5\x8d\x95 \xc3\xa9 \xd8\xb9 \xf0\x9f\x98\x80"));
    EXPECT(is_shown_as("", ""));
}

TEST(json_escapes_them_and_keeps_their_value)
{
    struct text text = {0};
    text_json(&text, span_of("\x1b\xc2\x9b\xc3\xa9\n"));
    EXPECT(strcmp(text.data, "\"\\u001b\\u009b\xc3\xa9\\u000a\"") == 0);
    text_fini(&text);
}

TEST(cells_that_a_sheet_would_run_get_an_apostrophe_and_can_be_told_apart)
{
    static const struct {
        const char *text, *cell;
    } table[] = {{"=1", "'=1"},
                 {"'=1", "''=1"},
                 {"''=1", "'''=1"},
                 {"+a", "'+a"},
                 {"-a", "'-a"},
                 {"@a", "'@a"},
                 {"\ta", "'\ta"},
                 {"\xef\xbc\x9d", "'\xef\xbc\x9d"},    /* U+FF1D */
                 {"\xef\xbc\x8bz", "'\xef\xbc\x8bz"},  /* U+FF0B */
                 {"\xef\xbc\x8d", "'\xef\xbc\x8d"},    /* U+FF0D */
                 {"'\xef\xbc\xa0", "''\xef\xbc\xa0"},  /* U+FF20 */
                 {"\xef\xbc\x8c", "\xef\xbc\x8c"},     /* a comma in full width */
                 {"\xef\xbc", "\xef\xbc"},             /* cut off */
                 {"\xe8\xae\xa2=1", "\xe8\xae\xa2=1"}, /* not at the beginning */
                 {"'", "'"},
                 {"''", "''"},
                 {"'a", "'a"},
                 {"a=1", "a=1"},
                 {"-1.50", "-1.50"}, /* an amount */
                 {"", ""}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct text text = {0};
        text_csv(&text, span_of(table[i].text));
        text_put(&text, "", 0);
        const char *const cell = text.data ? text.data : "";
        if (strcmp(cell, table[i].cell) != 0)
            fprintf(stderr, "%s became %s\n", table[i].text, cell);
        EXPECT(strcmp(cell, table[i].cell) == 0);
        EXPECT(strcmp(cell + formula_is_marked(span_of(cell)), table[i].text) == 0);
        text_fini(&text);
    }
}
