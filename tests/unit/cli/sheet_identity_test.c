/* tests/unit/cli/sheet_identity_test.c: which cells may be what a spreadsheet made of an order number */
#include "cli/sheet_identity.h"
#include "tests/support/check_test.h"

static int may(const char *cell, const char *value)
{
    const int is = sheet_cell_may_be(cell, value);
    if (!is)
        fprintf(stderr, "not: \"%s\" of \"%s\"\n", cell, value);
    return is;
}

TEST(the_same_and_nothing_are_right)
{
    EXPECT(may("alK20", "alK20") && may(" alK20 ", "alK20") && may("", "alK20") && may("", ""));
    EXPECT(may("AL/-/2026-11-16/1", "AL/-/2026-11-16/1"));
}

TEST(a_number_written_otherwise_is_right)
{
    EXPECT(may("123", "000123") && may("0123", "123") && may("123.0", "123") && may("123,00", "123"));
    EXPECT(may("1,234,567", "1234567") && may("1.234.567", "01234567") && may("1'234'567.00", "1234567"));
    EXPECT(may("0", "000") && may("1200", "01200"));
    EXPECT(may("1.20E+06", "12E5") && may("1200000", "12E5"));
}

TEST(a_number_cut_short_is_right)
{
    EXPECT(may("1.23457E+17", "123456789012345678") && may("1,23457E+17", "123456789012345678"));
    EXPECT(may("1.2e+17", "0123456789012345678") && may("1E+17", "123456789012345678"));
    EXPECT(may("123456789012345000", "123456789012345678") &&
           may("123456789012345680", "123456789012345678"));
    EXPECT(may("1.00E+17", "99999999999999999") && may("1.23E+05", "123000"));
}

TEST(another_order_is_told)
{
    EXPECT(!sheet_cell_may_be("alK20", "wxK20") && !sheet_cell_may_be("alK20", "alK21"));
    EXPECT(!sheet_cell_may_be("AL", "al") && !sheet_cell_may_be("alK20", "") &&
           !sheet_cell_may_be("20", "alK20"));
    EXPECT(!sheet_cell_may_be("1234", "1235") && !sheet_cell_may_be("12340", "1234"));
    EXPECT(!sheet_cell_may_be("-1234", "1234") && !sheet_cell_may_be("alK20", "1234"));
    EXPECT(!sheet_cell_may_be("123456789012345", "123456789012346"));
    EXPECT(!sheet_cell_may_be("123456789012345678", "123456789999945678"));
    EXPECT(!sheet_cell_may_be("1.23457E+17", "123450000012345678"));
    EXPECT(!sheet_cell_may_be("1.23457E+16", "123456789012345678"));
    EXPECT(!sheet_cell_may_be("1.23E+05", "124000") && !sheet_cell_may_be("1.23E+02", "124"));
    EXPECT(!sheet_cell_may_be("1.00E+17", "19999999999999999") && !sheet_cell_may_be("1E+99999", "1"));
    EXPECT(!sheet_cell_may_be("E", "1") && !sheet_cell_may_be("1E", "1") && !sheet_cell_may_be(".", "1"));
}

TEST(letters_of_another_charset_cannot_be_told_apart)
{
    EXPECT(may("\xe6\x94\xaf\xe4\xbb\x98", "\xe6\x94\xaf\xe4\xbb\x98") &&
           may("\xd6\xa7\xb8\xb6", "\xe6\x94\xaf\xe4\xbb\x98"));
    EXPECT(may("? pay", "\xe6\x94\xaf\xe4\xbb\x98 pay"));
    EXPECT(!sheet_cell_may_be("AL", "\xe6\x94\xaf\xe4\xbb\x98") &&
           !sheet_cell_may_be("\xd6\xa7\xb8\xb6", "AL"));
}
