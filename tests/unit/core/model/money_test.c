/* tests/unit/core/model/money_test.c: amounts, exactly (SPEC.md section 1, Money) */
#include "core/base/prng.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

static int reads_as(const char *text, int64_t want)
{
    /* In a block of its own, so that a sanitizer sees a read behind the text. */
    size_t size = strlen(text);
    char *exact = malloc(size ? size : 1);
    memcpy(exact, text, size);
    int64_t micro = INT64_MIN;
    int read = money_parse(exact, size, &micro) && micro == want;
    free(exact);
    if (!read)
        fprintf(stderr, "%s: not %lld\n", text, (long long)want);
    return read;
}

TEST(what_is_an_amount)
{
    static const struct {
        const char *text;
        int64_t micro;
    } table[] = {{"0", 0},
                 {"1", 1000000},
                 {"1.1", 1100000},
                 {"1.10", 1100000},
                 {"+1.10", 1100000},
                 {"-1.10", -1100000},
                 {"-0", 0},
                 {"-0.00", 0},
                 {"007", 7000000},
                 {"0.000001", 1},
                 {"-0.000001", -1},
                 {"1.1000000", 1100000},
                 {"1.100000000000000000000000000000", 1100000},
                 {"00000000000000000000000000000001", 1000000},
                 {"123456.789012", 123456789012},
                 {"9223372036854.775807", INT64_MAX},
                 {"-9223372036854.775807", -INT64_MAX},
                 {"9223372036854.77580700", INT64_MAX},
                 {"9223372036854", 9223372036854000000},
                 {"12345678.90", 12345678900000},
                 {"88888888.88", 88888888880000}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        EXPECT(reads_as(table[i].text, table[i].micro));
}

TEST(what_is_none)
{
    static const char *const table[] = {"",
                                        "-",
                                        "+",
                                        ".",
                                        "1.",
                                        ".5",
                                        "-.5",
                                        "1..2",
                                        "1.2.3",
                                        "12.3.4",
                                        "--1",
                                        "+-1",
                                        "1-",
                                        "1 ",
                                        " 1",
                                        "1,000.00",
                                        "1_000",
                                        "1e5",
                                        "1E5",
                                        "0x10",
                                        "nan",
                                        "inf",
                                        "NULL",
                                        "\xef\xbc\x91",
                                        "1\t",
                                        "$1",
                                        "1.0000001",
                                        "0.1234567",
                                        "9223372036854.775808",
                                        "-9223372036854.775808",
                                        "9223372036855",
                                        "18446744073709.551616",
                                        "18446744073709551616",
                                        "99999999999999999999",
                                        "99999999999999999999999999999999",
                                        "1.2345670000001",
                                        "12345678901234567890.12"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t micro;
        int read = money_parse(table[i], strlen(table[i]), &micro);
        if (read)
            fprintf(stderr, "%s: read as %lld\n", table[i], (long long)micro);
        EXPECT(!read);
    }
    int64_t micro;
    EXPECT(!money_parse("1\0", 2, &micro) && !money_parse("1\n", 2, &micro));
}

TEST(minor_units_follow_the_currency)
{
    int64_t micro;
    EXPECT(money_parse_minor("12345", 5, 2, &micro) && micro == 123450000);
    EXPECT(money_parse_minor("12345", 5, 0, &micro) && micro == 12345000000);
    EXPECT(money_parse_minor("12345", 5, 3, &micro) && micro == 12345000);
    EXPECT(money_parse_minor("-1", 2, 2, &micro) && micro == -10000);
    EXPECT(money_parse_minor("12345.5", 7, 2, &micro) && micro == 123455000);
    EXPECT(money_parse_minor("1.0001", 6, 2, &micro) && micro == 10001);
    EXPECT(!money_parse_minor("1.00001", 7, 2, &micro));
    EXPECT(money_parse_minor("922337203685477", 15, 2, &micro) && micro == 9223372036854770000);
    EXPECT(!money_parse_minor("922337203685478", 15, 2, &micro));
}

static int prints(money_total micro, int exponent, const char *want)
{
    char text[MONEY_TEXT_MAX];
    size_t n = money_print(text, micro, exponent);
    if (strcmp(text, want) != 0)
        fprintf(stderr, "%s, want %s\n", text, want);
    return n == strlen(want) && strcmp(text, want) == 0;
}

TEST(printed_with_the_exponent_or_all_its_digits)
{
    EXPECT(prints(0, 2, "0.00") && prints(0, 0, "0") && prints(0, 3, "0.000"));
    EXPECT(prints(1100000, 2, "1.10") && prints(-1100000, 2, "-1.10") && prints(1100000, 0, "1.1"));
    EXPECT(prints(1, 2, "0.000001") && prints(-10, 2, "-0.00001") && prints(1234560, 2, "1.23456"));
    EXPECT(prints(5000000, 0, "5") && prints(5000000, 6, "5.000000") && prints(5000000, 8, "5.00000000"));
    EXPECT(prints(INT64_MAX, 2, "9223372036854.775807"));
    /* What fits into 64 bits is divided in 64. */
    EXPECT(prints(INT64_MIN, 2, "-9223372036854.775808") &&
           prints((money_total)INT64_MAX + 1, 2, "9223372036854.775808"));
    EXPECT(prints((money_total)INT64_MIN - 1, 0, "-9223372036854.775809") && prints(-1, 6, "-0.000001"));
    EXPECT(prints(999999, 0, "0.999999") && prints(-999990, 3, "-0.99999") && prints(10, 5, "0.00001"));
    money_total most = (money_total)INT64_MAX << 63;
    EXPECT(prints(most, 2, "85070591730234615856620279821087.277056"));
    EXPECT(prints(-most, 2, "-85070591730234615856620279821087.277056"));
}

TEST(what_is_printed_is_read_again)
{
    struct prng prng = {20261119};
    for (int i = 0; i < 200000; i++) {
        int64_t micro = (int64_t)prng_next(&prng) >> prng_below(&prng, 63), again;
        if (micro == INT64_MIN)
            continue;
        char text[MONEY_TEXT_MAX];
        size_t n = money_print(text, micro, (int)prng_below(&prng, 5));
        int same = money_parse(text, n, &again) && again == micro;
        if (!same) {
            fprintf(stderr, "seed 20261119: %lld printed as %s\n", (long long)micro, text);
            EXPECT(same);
            break;
        }
    }
}

TEST(a_value_has_one_meaning_however_it_is_cut)
{
    /* Random digits with a point somewhere, against a long-hand reading in 128 bits. */
    struct prng prng = {5};
    for (int i = 0; i < 200000; i++) {
        char text[40];
        int whole = 1 + (int)prng_below(&prng, 16), decimals = (int)prng_below(&prng, 9), n = 0;
        if (prng_below(&prng, 3) == 0)
            text[n++] = prng_below(&prng, 2) ? '-' : '+';
        __int128 value = 0;
        int lost = 0;
        for (int k = 0; k < whole; k++) {
            int digit = (int)prng_below(&prng, 10);
            text[n++] = (char)('0' + digit);
            value = value * 10 + digit;
        }
        if (decimals)
            text[n++] = '.';
        for (int k = 0; k < decimals; k++) {
            int digit = prng_below(&prng, 3) ? (int)prng_below(&prng, 10) : 0;
            text[n++] = (char)('0' + digit);
            if (k < 6)
                value = value * 10 + digit;
            else
                lost |= digit;
        }
        for (int k = decimals; k < 6; k++)
            value *= 10;
        if (text[0] == '-')
            value = -value;
        int fits = !lost && value <= INT64_MAX && value >= -(__int128)INT64_MAX;
        int64_t micro = 0;
        int read = money_parse(text, (size_t)n, &micro);
        if (read != fits || (read && micro != (int64_t)value)) {
            fprintf(stderr, "seed 5, number %d: %.*s\n", i, n, text);
            EXPECT(read == fits);
            break;
        }
    }
}

TEST(currencies_have_their_exponents)
{
    static const struct {
        const char *code;
        int exponent;
    } table[] = {{"CNY", 2}, {"USD", 2}, {"JPY", 0}, {"KRW", 0}, {"KWD", 3}, {"BHD", 3}, {"CLF", 4},
                 {"VND", 0}, {"ISK", 0}, {"EUR", 2}, {"XAU", 0}, {"XDR", 0}, {"XTS", 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t currency = currency_find(table[i].code, 3);
        EXPECT(currency != 0 && currency_exponent(currency) == table[i].exponent &&
               strcmp(currency_code(currency), table[i].code) == 0);
    }
    EXPECT(currency_find("usd", 3) == currency_find("USD", 3) && currency_find("uSd", 3) != 0);
    EXPECT(!currency_find("US", 2) && !currency_find("USDT", 4) && !currency_find("QQQ", 3) &&
           !currency_find("", 0));
    EXPECT(!currency_find("U$D", 3) && !currency_find("\xD5SD", 3) && !currency_find("[SD", 3) &&
           !currency_find("@SD", 3));
    EXPECT(strcmp(currency_code(0), "") == 0);
    EXPECT(!currency_has_minor(currency_find("XAU", 3)) && !currency_has_minor(currency_find("XUA", 3)) &&
           currency_has_minor(currency_find("JPY", 3)) && currency_has_minor(0));
}
