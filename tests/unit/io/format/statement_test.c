/* tests/unit/io/format/statement_test.c: bank statements become rows, or are refused; how their bytes come changes nothing. */
#include "io/format/statement.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <string.h>

typedef enum err (*open_fn)(struct statement **out, const char *path, struct diag *diag);

static int is_about_entries; /* 1: rows are their last column only, else all but that */

/* The rows without quotes, or the code of the refusal. Fed `piece` bytes at a time. */
static char *rows_of(open_fn open_it, const char *bytes, size_t size, size_t piece, struct diag *diag)
{
    struct statement *s;
    memset(diag, 0, sizeof *diag);
    EXPECT(open_it(&s, "bank", diag) == OK);
    enum err err = OK;
    for (size_t at = 0; err == OK; at += piece) {
        size_t n = at >= size ? 0 : size - at < piece ? size - at : piece;
        err = statement_feed(s, (const uint8_t *)bytes + (n ? at : 0), n, n == 0, diag);
        if (n == 0)
            break;
    }
    char *out = malloc(s->size + 100);
    size_t used = 0;
    if (err == OK) {
        for (size_t i = 0, line = 0; i < s->size; i++) {
            if (s->text[i] != '\n')
                continue;
            size_t last = i; /* where the last cell's comma is */
            while (s->text[last] != ',' || s->text[last + 1] != '"')
                last--;
            for (size_t k = is_about_entries ? last + 1 : line; k < (is_about_entries ? i : last); k++)
                if (s->text[k] != '"')
                    out[used++] = s->text[k];
            out[used++] = '\n';
            line = i + 1;
        }
    } else {
        EXPECT(err == ERR_INPUT && diag->what[0] && diag->hint[0]);
        used = (size_t)sprintf(out, "%s", diag->code);
    }
    out[used] = 0;
    statement_close(s);
    return out;
}

static void expect_bytes(open_fn open_it, const char *bytes, size_t size, const char *want)
{
    static const size_t pieces[] = {1 << 20, 1, 2, 3, 7, 64};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct diag diag;
        char *found = rows_of(open_it, bytes, size, pieces[i], &diag);
        if (strcmp(found, want) != 0)
            fprintf(stderr, "in pieces of %zu: want\n%s\ngot\n%s\n%s\n", pieces[i], want, found, diag.what);
        EXPECT(strcmp(found, want) == 0);
        free(found);
    }
}

static void expect(open_fn open_it, const char *text, const char *want)
{
    expect_bytes(open_it, text, strlen(text), want);
}

/* ---- MT940 ---- */

#define HEAD ":20:REF1\r\n:25:ACC/1\r\n:28C:5/1\r\n:60F:C260104EUR100,00\r\n"

TEST(an_mt940_entry_becomes_a_row)
{
    expect(
        mt940_open,
        HEAD ":61:2601050105CR12,5NTRFORD1//BANK1\r\n:86:first line\r\nsecond "
             "line\r\n:62F:C260105EUR112,50\r\n-\r\n",
        "54,5,REF1,ACC/1,EUR,12.5,C,,BOOK,2026-01-05,2026-01-05,ORD1,BANK1,,NTRF,first line second line\n");
    /* Without an entry date the value date counts; without a comma's decimals it is whole; a funds letter is passed over. */
    expect(mt940_open, HEAD ":61:260105DN7,NMSCNONREF\n:62F:C260105EUR93,\n",
           "54,5,REF1,ACC/1,EUR,7,D,,BOOK,2026-01-05,2026-01-05,,,,NMSC,\n");
}

TEST(marks_of_mt940_say_which_way_money_went)
{
    static const struct {
        const char *mark, *closing, *want;
    } table[] = {{"C", "C260105EUR110,00", "C,"},
                 {"D", "C260105EUR90,00", "D,"},
                 {"RC", "C260105EUR90,00", "D,R"}, /* a credit taken back */
                 {"RD", "C260105EUR110,00", "C,R"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[400], want[200];
        snprintf(text, sizeof text, HEAD ":61:260105%s10,00NTRFA\n:62F:%s\n", table[i].mark,
                 table[i].closing);
        snprintf(want, sizeof want, "54,5,REF1,ACC/1,EUR,10.00,%s,BOOK,2026-01-05,2026-01-05,A,,,NTRF,\n",
                 table[i].want);
        expect(mt940_open, text, want);
    }
    expect(mt940_open, HEAD ":61:260105X10,00NTRFA\n:62F:C260105EUR110,00\n", "mt940.entry");
    expect(mt940_open, HEAD ":61:26010510,00NTRFA\n:62F:C260105EUR110,00\n", "mt940.entry");
}

TEST(the_entry_date_of_mt940_takes_the_value_date_s_year_or_the_one_beside_it)
{
    expect(mt940_open,
           HEAD ":61:2512310102C1,00NTRFA\n:61:2601021231C1,00NTRFB\n:61:9912311231C1,00NTRFC\n:62F:"
                "C260105EUR103,00\n",
           "54,5,REF1,ACC/1,EUR,1.00,C,,BOOK,2026-01-02,2025-12-31,A,,,NTRF,\n"
           "79,6,REF1,ACC/1,EUR,1.00,C,,BOOK,2025-12-31,2026-01-02,B,,,NTRF,\n"
           "104,7,REF1,ACC/1,EUR,1.00,C,,BOOK,1999-12-31,1999-12-31,C,,,NTRF,\n");
}

TEST(a_wrapped_line_that_looks_like_a_tag_is_text)
{
    expect(mt940_open,
           HEAD ":61:260105C1,00NTRFA\n:86:at\n:26:37 o'clock\n:62F:C260105EUR101,00\n-}{5:{CHK:1}}\n",
           "54,5,REF1,ACC/1,EUR,1.00,C,,BOOK,2026-01-05,2026-01-05,A,,,NTRF,at :26:37 o'clock\n");
}

TEST(mt940_in_message_blocks_and_on_several_pages)
{
    expect(mt940_open,
           "{1:F01X}{2:I940X}{4:\n:20:R\n:25:A\n:28C:1/"
           "1\n:60F:D260104EUR1,00\n:61:260105C3,00NTRFA\n:62M:C260105EUR2,00\n-}\n"
           "{1:F01X}{4:\n:20:R\n:25:A\n:28C:1/"
           "2\n:60M:C260105EUR2,00\n:61:260105D2,00NTRFB\n:62F:C260105EUR0,00\n-}\n",
           "62,6,R,A,EUR,3.00,C,,BOOK,2026-01-05,2026-01-05,A,,,NTRF,\n"
           "159,14,R,A,EUR,2.00,D,,BOOK,2026-01-05,2026-01-05,B,,,NTRF,\n");
}

TEST(an_mt940_that_is_cut_or_does_not_add_up_is_refused)
{
    expect(mt940_open, "", "mt940.none");
    expect(mt940_open, "order,amount\nA,1\n", "mt940.none");
    expect(mt940_open, HEAD ":61:260105C1,00NTRFA\n", "mt940.cut");
    /* The head of a statement without the rest of it, be it the second one. */
    static const char whole[] = HEAD ":62F:C260105EUR100,00\n-\n",
                      second[] = ":20:REF1\r\n:25:ACC/1\r\n:28C:5/1\r\n:60F:C",
                      message[] = "{1:F01X}{2:I940X}{4:\r\n:20:R";
    for (size_t i = 1; i < sizeof second; i++) {
        char text[400];
        snprintf(text, sizeof text, "%s%.*s", whole, (int)i, second);
        const int is_balance = strstr(text + sizeof whole - 1, ":60F:") != NULL;
        expect(mt940_open, text, is_balance ? "mt940.balance" : "mt940.cut");
        expect(mt940_open, text + sizeof whole - 1, is_balance ? "mt940.balance" : "mt940.cut");
    }
    for (size_t i = 1; i < sizeof message; i++) {
        char text[400];
        snprintf(text, sizeof text, "%s%.*s", whole, (int)i, message);
        expect(mt940_open, text, "mt940.cut");
    }
    /* A message of another kind has an end, and no balances. */
    expect(mt940_open,
           "{1:F01X}{2:I910X}{4:\n:20:R\n:21:S\n:32A:260105EUR1,00\n-}\n" HEAD
           ":62F:C260105EUR100,00\n-}{5:{CHK:1}}\n{S:{SAC:}}\n",
           "");
    expect(mt940_open, HEAD ":61:260105C1,00NTRFA\n:62F:C260105EUR102,00\n", "mt940.sum");
    expect(mt940_open, HEAD ":61:260105C1,00NTRFA\n:62F:D260105EUR101,00\n", "mt940.sum");
    expect(mt940_open, HEAD ":61:260105C1,00NTRFA\n:62F:C260105USD101,00\n", "mt940.sum");
    expect(mt940_open, HEAD ":61:260105C1,00NTRFA\n" HEAD ":62F:C260105EUR100,00\n", "mt940.cut");
    expect(mt940_open, ":20:R\n:61:260105C1,00NTRFA\n", "mt940.entry");
    expect(mt940_open, ":20:R\n:62F:C260105EUR101,00\n", "mt940.balance");
    expect(mt940_open, ":20:R\n:60F:C2601EUR101,00\n", "mt940.balance");
    expect(mt940_open, HEAD ":62F:C260105EUR100,00\n:61:260105C1,00NTRFA\n", "mt940.entry");
    expect(mt940_open, HEAD ":61:260105C1.00NTRFA\n:62F:C260105EUR101,00\n", "mt940.entry");
    expect(mt940_open, HEAD ":61:260105C100NTRFA\n:62F:C260105EUR200,00\n", "mt940.entry");
    expect(mt940_open, HEAD ":61:260105C1,1234567NTRFA\n:62F:C260105EUR101,00\n", "mt940.entry");
    expect(mt940_open, HEAD ":61:260105C99999999999999,00NTRFA\n:62F:C260105EUR101,00\n", "mt940.entry");
}

/* An amount is read to its last digit: what is beyond the room is not the transaction's type. */
TEST(digits_of_mt940_beyond_any_bank_s_are_refused)
{
    expect(mt940_open,
           HEAD ":61:260105C1,0000000000000000000000000000000000005NTRFA\n:62F:C260105EUR101,00\n",
           "mt940.entry");
    expect(mt940_open, HEAD ":61:260105C000000000000000000000000000001,50000NTRFA\n:62F:C260105EUR101,50\n",
           "mt940.entry");
}

/* A statement that the bank sends again, wherever it lies then, has the same entries; another one by the same reference does not. */
TEST(entries_are_told_apart_by_their_place_in_their_statement)
{
    is_about_entries = 1;
#define TWO ":61:260105C1,00NTRFA\n:61:260105C1,00NTRFA\n:62F:C260105EUR102,00\n-\n"
    expect(
        mt940_open, HEAD TWO "a bank's own line\n" HEAD TWO,
        "5/1/C260104EUR100,00/1\n5/1/C260104EUR100,00/2\n5/1/C260104EUR100,00/1\n5/1/C260104EUR100,00/2\n");
    expect(
        mt940_open,
        HEAD TWO
        ":20:REF1\n:25:ACC/1\n:28C:5/1\n:60F:C260105EUR102,00\n:61:260105C1,00NTRFA\n:62F:C260105EUR103,00\n",
        "5/1/C260104EUR100,00/1\n5/1/C260104EUR100,00/2\n5/1/C260105EUR102,00/1\n");
#undef TWO
    is_about_entries = 0;
}

/* Two references that are the same up to where they are cut would be one. */
TEST(references_of_mt940_are_never_shortened)
{
    char text[2000], reference[400];
    memset(reference, 'x', sizeof reference);
    reference[300] = 0;
    snprintf(text, sizeof text, HEAD ":61:260105C1,00NTRF%s\n:62F:C260105EUR101,00\n", reference);
    expect(mt940_open, text, "mt940.text");
    snprintf(text, sizeof text, HEAD ":61:260105C1,00NTRFA//%s\n:62F:C260105EUR101,00\n", reference);
    expect(mt940_open, text, "mt940.text");
    snprintf(text, sizeof text, ":20:A\n:25:%s\n:60F:C260104EUR1,00\n", reference);
    expect(mt940_open, text, "mt940.text");
    /* ENC-05 */
    static const char with_nul[] = HEAD ":61:260105C1,00NTRFORD\0001\n:62F:C260105EUR101,00\n";
    expect_bytes(mt940_open, with_nul, sizeof with_nul - 1, "mt940.text");
    static const char padded[] = ":20:R\n:60F:C260104EUR1,00\n:62F:C260105EUR1,00\n-\n\0\0\0\0";
    expect_bytes(mt940_open, padded, sizeof padded - 1, "");
}

/* ---- camt ---- */

#define ENTRY(amount, mark, rest)                                                                            \
    "<Ntry><Amt Ccy=\"EUR\">" amount "</Amt><CdtDbtInd>" mark "</CdtDbtInd><Sts>BOOK</Sts>"                  \
    "<BookgDt><Dt>2026-01-05</Dt></BookgDt><ValDt><Dt>2026-01-06</Dt></ValDt>" rest "</Ntry>"
#define BALANCE(type, amount, mark)                                                                          \
    "<Bal><Tp><CdOrPrtry><Cd>" type "</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">" amount                         \
    "</Amt><CdtDbtInd>" mark "</CdtDbtInd></Bal>"
#define STATEMENT(inside)                                                                                    \
    "<Document><BkToCstmrStmt><Stmt><Id>S1</Id><Acct><Id><IBAN>DE1</IBAN></Id></Acct>" inside                \
    "</Stmt></BkToCstmrStmt></Document>"

static void expect_camt(const char *text, const char *want)
{
    /* Rows begin with byte and line; the test is about the rest. */
    static const size_t pieces[] = {1 << 20, 1, 2, 3, 7, 64};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct diag diag;
        char *found = rows_of(camt_open, text, strlen(text), pieces[i], &diag), *out = found;
        for (char *line = found; strchr(line, '\n');) {
            char *behind = strchr(strchr(line, ',') + 1, ',') + 1, *end = strchr(line, '\n') + 1;
            memmove(out, behind, (size_t)(end - behind));
            out += end - behind;
            line = end;
        }
        if (out != found)
            *out = 0;
        if (strcmp(found, want) != 0)
            fprintf(stderr, "in pieces of %zu: want\n%s\ngot\n%s\n%s\n", pieces[i], want, found, diag.what);
        EXPECT(strcmp(found, want) == 0);
        free(found);
    }
}

TEST(a_camt_entry_becomes_a_row)
{
    expect_camt(STATEMENT(BALANCE("OPBD", "10.00", "DBIT")
                              ENTRY("12.50", "CRDT",
                                    "<AcctSvcrRef>BANK1</AcctSvcrRef><BkTxCd><Prtry><Cd>T1</Cd></Prtry></"
                                    "BkTxCd><NtryDtls><TxDtls><Refs>"
                                    "<EndToEndId>ORD1</EndToEndId><TxId>TX1</TxId></Refs><RmtInf><Ustrd>a "
                                    "&amp; b</Ustrd></RmtInf></TxDtls>"
                                    "</NtryDtls>") BALANCE("CLBD", "2.50", "CRDT")),
                "S1,DE1,EUR,12.50,C,,BOOK,2026-01-05,2026-01-06,TX1,BANK1,ORD1,T1,a & b\n");
    /* An older status, a time instead of a date, a reversal, no reference of the payer. */
    expect_camt(
        STATEMENT(
            "<Ntry><Amt "
            "Ccy=\"EUR\">1</Amt><CdtDbtInd>DBIT</CdtDbtInd><RvslInd>true</RvslInd><Sts><Cd>PDNG</Cd></Sts>"
            "<BookgDt><DtTm>2026-01-05T23:30:00+01:00</DtTm></BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>"
            "NOTPROVIDED</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>"),
        "S1,DE1,EUR,1,D,R,PDNG,2026-01-05,,,,,,\n");
}

TEST(an_entry_of_several_payments_is_a_row_each_where_they_add_up)
{
#define TX(amount, reference)                                                                                \
    "<TxDtls><Refs><EndToEndId>" reference "</EndToEndId></Refs><AmtDtls><TxAmt><Amt Ccy=\"EUR\">" amount    \
    "</Amt></TxAmt></AmtDtls></TxDtls>"
    expect_camt(STATEMENT(ENTRY("3.00", "CRDT", "<NtryDtls>" TX("1.00", "A") TX("2.00", "B") "</NtryDtls>")),
                "S1,DE1,EUR,1.00,C,,BOOK,2026-01-05,2026-01-06,,,A,,\nS1,DE1,EUR,2.00,C,,BOOK,2026-01-05,"
                "2026-01-06,,,B,,\n");
    expect_camt(STATEMENT(ENTRY("3.01", "CRDT", "<NtryDtls>" TX("1.00", "A") TX("2.00", "B") "</NtryDtls>")),
                "S1,DE1,EUR,3.01,C,,BOOK,2026-01-05,2026-01-06,,,,,\n");
    expect_camt(
        STATEMENT(ENTRY("3.00", "CRDT",
                        "<NtryDtls>" TX("1.00", "A") TX("2.00", "B") TX("0", "C") "<TxDtls/></NtryDtls>")),
        "S1,DE1,EUR,3.00,C,,BOOK,2026-01-05,2026-01-06,,,,,\n");
    expect_camt(
        STATEMENT(ENTRY(
            "1.00", "CRDT",
            "<NtryDtls>" TX("3.00",
                            "A") "<TxDtls><Refs><EndToEndId>B</EndToEndId></Refs><Amt Ccy=\"EUR\">2.00</Amt>"
                                 "<CdtDbtInd>DBIT</CdtDbtInd></TxDtls></NtryDtls>")),
        "S1,DE1,EUR,3.00,C,,BOOK,2026-01-05,2026-01-06,,,A,,\nS1,DE1,EUR,2.00,D,,BOOK,2026-01-05,2026-01-06,,"
        ",B,,\n");
#undef TX
}

TEST(pending_entries_are_in_no_balance)
{
    expect_camt(STATEMENT(BALANCE("PRCD", "1.00", "CRDT") ENTRY(
                    "2.00", "CRDT", "") "<Ntry><Amt "
                                        "Ccy=\"EUR\">9.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts></"
                                        "Ntry>" BALANCE("CLBD", "3.00", "CRDT")),
                "S1,DE1,EUR,2.00,C,,BOOK,2026-01-05,2026-01-06,,,,,\nS1,DE1,EUR,9.00,C,,PDNG,,,,,,,\n");
}

TEST(a_camt_that_is_cut_or_does_not_add_up_is_refused)
{
    expect_camt("", "camt.xml");
    expect_camt("<a/>", "camt.none");
    expect_camt("<Document><Stmt>", "camt.xml");
    expect_camt(
        STATEMENT(BALANCE("OPBD", "1.00", "CRDT") ENTRY("2.00", "DBIT", "") BALANCE("CLBD", "3.00", "CRDT")),
        "camt.sum");
    expect_camt(STATEMENT(ENTRY("2,00", "CRDT", "")), "camt.amount");
    expect_camt(STATEMENT(ENTRY("-2.00", "CRDT", "")), "camt.amount");
    expect_camt(STATEMENT(ENTRY("", "CRDT", "")), "camt.amount");
    expect_camt(STATEMENT(ENTRY("2.00", "C", "")), "camt.mark");
    expect_camt(STATEMENT("<Ntry><CdtDbtInd>CRDT</CdtDbtInd></Ntry>"), "camt.entry");
    expect_camt("<!DOCTYPE x [<!ENTITY a \"b\">]>" STATEMENT(ENTRY("2.00", "CRDT", "")), "camt.doctype");
    expect_camt("<!DOCTYPE x SYSTEM \"file:///etc/passwd\">" STATEMENT(ENTRY("2.00", "CRDT", "")),
                "camt.doctype");
}

/* What the standard wants always, and what nobody may guess. */
TEST(a_camt_entry_without_its_mark_or_currency_is_refused)
{
    expect_camt(STATEMENT("<Ntry><Amt Ccy=\"EUR\">9.00</Amt><Sts>BOOK</Sts></Ntry>"), "camt.mark");
    expect_camt(STATEMENT("<Ntry><Amt>9.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts></Ntry>"),
                "camt.currency");
    expect_camt(
        STATEMENT("<Ntry><Amt Ccy=\"EURO\">9.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts></Ntry>"),
        "camt.currency");
}

TEST(camt_entries_are_told_apart_by_their_place_in_their_statement)
{
    is_about_entries = 1;
    const char *text =
        STATEMENT("<StmtPgntn><PgNb>2</PgNb></StmtPgntn>" BALANCE("OPBD", "10.00", "DBIT")
                      ENTRY("1.00", "CRDT", "") ENTRY("1.00", "CRDT", "") BALANCE("CLBD", "8.00", "DBIT"));
    expect(camt_open, text, "2/-10.00000/1\n2/-10.00000/2\n");
    expect(camt_open, STATEMENT(ENTRY("1.00", "CRDT", "")), "//1\n");
    is_about_entries = 0;
}

TEST(references_of_camt_are_never_shortened)
{
    char text[4000], reference[400];
    memset(reference, 'x', sizeof reference);
    reference[300] = 0;
    snprintf(text, sizeof text, STATEMENT(ENTRY("1", "CRDT", "<AcctSvcrRef>%s</AcctSvcrRef>")), reference);
    expect_camt(text, "camt.text");
    snprintf(
        text, sizeof text,
        STATEMENT(ENTRY("1", "CRDT",
                        "<NtryDtls><TxDtls><Refs><EndToEndId>%s</EndToEndId></Refs></TxDtls></NtryDtls>")),
        reference);
    expect_camt(text, "camt.text");
}
