/* io/format/mt940.c: SWIFT MT940 statements -> rows; see statement.h
 *
 * Lines come one by one. A tag is one of those that the format has, at the beginning of a line: a wrapped :86: line that
 * begins like a tag (":26:37 ...") is none. Between statements there may be anything: block headers, a bank's own.
 */
#include "core/base/mem.h"
#include "core/model/day.h"
#include "core/model/money.h"
#include "io/format/statement.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 64 * 1024, FIELD_ROOM = 256, TEXT_ROOM = 4096 };

struct mt940 {
    struct statement base;
    char line[LINE_MAX_BYTES + 1];
    size_t line_size;
    uint64_t offset, number; /* of the line at hand */
    int in_statement, has_opening, has_closing, is_any;
    int in_message; /* "{1:" was seen, and no statement yet */
    uint64_t began; /* line of the statement */
    char reference[FIELD_ROOM], account[FIELD_ROOM], page[FIELD_ROOM], opening[FIELD_ROOM], currency[4];
    money_total balance; /* opening and entries so far */
    /* the entry whose :86: may still follow */
    int has_entry, last_tag; /* last_tag: 61, 86, or 0 */
    struct statement_entry entry;
    char amount[32], booking[16], value[16], own_reference[FIELD_ROOM], bank_reference[FIELD_ROOM], type[8],
        text[TEXT_ROOM];
};

static enum err refuse(const struct mt940 *m, const char *code, const char *hint, struct diag *diag,
                       const char *text)
{
    return diag_set(diag, ERR_INPUT, code, hint, "%s: line %llu: %s", m->base.path,
                    (unsigned long long)m->number, text);
}

/* A reference that was cut would be another one. */
static enum err copy(struct mt940 *m, char out[FIELD_ROOM], const char *text, size_t size, struct diag *diag)
{
    if (size >= FIELD_ROOM)
        return refuse(m, "mt940.text", "is the file damaged?", diag,
                      "a reference or an account longer than any bank's");
    memcpy(out, text, size);
    out[size] = 0;
    return OK;
}

static void append_text(struct mt940 *m, const char *text)
{
    size_t used = strlen(m->text);
    snprintf(m->text + used, sizeof m->text - used, "%s%s", used ? " " : "", text);
}

static void flush_entry(struct mt940 *m)
{
    if (!m->has_entry)
        return;
    m->entry.text = m->text;
    statement_write(&m->base, &m->entry);
    m->has_entry = 0;
}

/* "1234,5" -> "1234.5"; how many characters were read, or 0. */
static size_t amount_of(const char *text, char out[32], int64_t *micro)
{
    size_t n = 0, digits = 0, commas = 0;
    while (n < 30 && (isdigit((unsigned char)text[n]) || (text[n] == ',' && !commas))) {
        commas += text[n] == ',';
        digits += text[n] != ',';
        out[n] = text[n] == ',' ? '.' : text[n];
        n++;
    }
    if (isdigit((unsigned char)text[n]) ||
        text[n] == ',') /* more than there is room for, or a second comma */
        return 0;
    size_t end = n;
    if (end && out[end - 1] == '.') /* nothing behind the comma */
        end--;
    out[end] = 0;
    return digits && commas && money_parse(out, end, micro) ? n : 0;
}

static int is_digits(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isdigit((unsigned char)text[i]))
            return 0;
    return 1;
}

/* yymmdd; 80 to 99 are of the last century. */
static void date_of(const char *text, char out[16])
{
    snprintf(out, 16, "%s%.2s-%.2s-%.2s", text[0] >= '8' ? "19" : "20", text, text + 2, text + 4);
}

/* C or D, yymmdd, currency, amount. */
static enum err balance_of(struct mt940 *m, const char *text, char currency[4], int64_t *micro,
                           struct diag *diag)
{
    char amount[32];
    if ((text[0] != 'C' && text[0] != 'D') || strlen(text) < 12 || !is_digits(text + 1, 6) ||
        !amount_of(text + 10, amount, micro))
        return refuse(m, "mt940.balance", "is this an MT940 statement?", diag,
                      "a balance is not of the form C260105EUR1234,56");
    memcpy(currency, text + 7, 3);
    currency[3] = 0;
    if (text[0] == 'D')
        *micro = -*micro;
    return OK;
}

static enum err check_closed(struct mt940 *m, struct diag *diag)
{
    if (!m->in_message && (!m->in_statement || m->has_closing))
        return OK;
    m->number = m->began;
    return refuse(m, "mt940.cut", "the file was cut off: get it again", diag,
                  m->in_message ? "the message that begins here has no statement, and no end"
                  : m->has_opening
                      ? "the statement that begins here has no closing balance (:62F: or :62M:)"
                      : "the statement that begins here has no opening balance (:60F: or :60M:)");
}

static enum err begin_statement(struct mt940 *m, struct diag *diag)
{
    flush_entry(m);
    m->in_message = 0;
    enum err err = check_closed(m, diag);
    m->base.entries = 0;
    m->opening[0] = 0;
    m->in_statement = m->is_any = 1;
    m->has_opening = m->has_closing = 0;
    m->began = m->number;
    m->reference[0] = m->account[0] = m->page[0] = m->currency[0] = 0;
    m->balance = 0;
    return err;
}

/* value date, entry date, mark, funds letter, amount, type, reference // bank's reference */
static enum err entry_of(struct mt940 *m, const char *text, struct diag *diag)
{
    static const char *const hint =
        "an entry reads YYMMDD[MMDD]C|D|RC|RD[letter]amount,decimals NXXXreference";
    const char *p = text;
    int64_t micro = 0;
    if (!m->has_opening || m->has_closing)
        return refuse(m, "mt940.entry", "is this an MT940 statement?", diag,
                      "an entry outside of the opening and closing balance");
    if (strlen(p) < 10 || !is_digits(p, 6))
        return refuse(m, "mt940.entry", hint, diag, "an entry without a value date");
    date_of(p, m->value);
    snprintf(m->booking, sizeof m->booking, "%s", m->value);
    p += 6;
    if (is_digits(p, 4)) { /* the entry date's year is that of the value date, or next to it at a new year */
        int year = (m->value[0] - '0') * 1000 + (m->value[1] - '0') * 100 + (m->value[2] - '0') * 10 +
                   m->value[3] - '0';
        int month = (m->value[5] - '0') * 10 + m->value[6] - '0',
            entry_month = (p[0] - '0') * 10 + p[1] - '0';
        year += month == 12 && entry_month == 1 ? 1 : month == 1 && entry_month == 12 ? -1 : 0;
        snprintf(m->booking, sizeof m->booking, "%04d-%.2s-%.2s", year % 10000, p, p + 2);
        p += 4;
    }
    int reversal = *p == 'R';
    p += reversal;
    if (*p != 'C' && *p != 'D')
        return refuse(m, "mt940.entry", hint, diag, "an entry without its mark C, D, RC or RD");
    int debit = (*p == 'D') ^ reversal; /* a credit taken back is money out */
    p++;
    if (isalpha((unsigned char)*p))
        p++;
    size_t n = amount_of(p, m->amount, &micro);
    if (!n)
        return refuse(m, "mt940.entry", hint, diag, "an entry whose amount is not of the form 1234,56");
    p += n;
    m->balance += debit ? -(money_total)micro : (money_total)micro;
    size_t type = strlen(p) < 4 ? strlen(p) : 4;
    memcpy(m->type, p, type);
    m->type[type] = 0;
    p += type;
    const char *bank = strstr(p, "//");
    enum err err = copy(m, m->own_reference, p, bank ? (size_t)(bank - p) : strlen(p), diag);
    if (err == OK)
        err = copy(m, m->bank_reference, bank ? bank + 2 : "", bank ? strlen(bank + 2) : 0, diag);
    if (err != OK)
        return err;
    if (strcmp(m->own_reference, "NONREF") == 0) /* the format's word for none */
        m->own_reference[0] = 0;
    m->text[0] = 0;
    m->entry = (struct statement_entry){.offset = m->offset,
                                        .line = m->number,
                                        .page = m->page,
                                        .opening = m->opening,
                                        .statement = m->reference,
                                        .account = m->account,
                                        .currency = m->currency,
                                        .amount = m->amount,
                                        .is_debit = debit,
                                        .is_reversal = reversal,
                                        .status = "BOOK",
                                        .booking_date = m->booking,
                                        .value_date = m->value,
                                        .reference = m->own_reference,
                                        .bank_reference = m->bank_reference,
                                        .end_to_end = "",
                                        .type = m->type};
    m->has_entry = 1;
    return OK;
}

static enum err closing_of(struct mt940 *m, const char *text, struct diag *diag)
{
    char currency[4];
    int64_t micro = 0;
    flush_entry(m);
    enum err err = balance_of(m, text, currency, &micro, diag);
    if (err != OK)
        return err;
    if (!m->has_opening)
        return refuse(m, "mt940.balance", "is this a whole statement?", diag,
                      "a closing balance without an opening one");
    m->has_closing = 1;
    if (strcmp(currency, m->currency) == 0 && m->balance == micro)
        return OK;
    char found[MONEY_TEXT_MAX], want[MONEY_TEXT_MAX], line[200];
    money_print(found, m->balance, 2);
    money_print(want, micro, 2);
    snprintf(line, sizeof line, "the closing balance is %s %s, opening and entries give %s %s", currency,
             want, m->currency, found);
    return refuse(m, "mt940.sum", "entries are missing, doubled or changed: get the statement again", diag,
                  line);
}

static enum err take_tag(struct mt940 *m, const char *tag, const char *text, struct diag *diag)
{
    int64_t micro = 0;
    enum err err = OK;
    m->last_tag = 0;
    if (strcmp(tag, "20") == 0) {
        err = begin_statement(m, diag);
        if (err == OK)
            err = copy(m, m->reference, text, strlen(text), diag);
    } else if (strcmp(tag, "25") == 0) {
        err = copy(m, m->account, text, strlen(text), diag);
    } else if (strcmp(tag, "28") == 0 || strcmp(tag, "28C") == 0) {
        err = copy(m, m->page, text, strlen(text), diag);
    } else if (strcmp(tag, "60F") == 0 || strcmp(tag, "60M") == 0) {
        if (!m->in_statement || m->has_opening)
            err = begin_statement(m, diag);
        if (err == OK)
            err = balance_of(m, text, m->currency, &micro, diag);
        if (err == OK)
            err = copy(m, m->opening, text, strlen(text), diag);
        m->has_opening = 1;
        m->balance = micro;
    } else if (strcmp(tag, "61") == 0) {
        flush_entry(m);
        err = entry_of(m, text, diag);
        m->last_tag = 61;
    } else if (strcmp(tag, "86") == 0) {
        if (m->has_entry)
            append_text(m, text);
        m->last_tag = 86;
    } else if (strcmp(tag, "62F") == 0 || strcmp(tag, "62M") == 0) {
        err = closing_of(m, text, diag);
    }
    return err;
}

static enum err take_line(struct mt940 *m, struct diag *diag)
{
    static const char *const tags[] = {"20", "21", "25", "28",  "28C", "60F", "60M", "61", "62F", "62M",
                                       "64", "65", "86", "13D", "34F", "90C", "90D", "NS", "25P"};
    char *line = m->line;
    size_t size = m->line_size;
    while (size && (line[size - 1] == '\r' || line[size - 1] == '\0'))
        size--;
    line[size] = 0;
    if (memchr(line, 0, size)) /* what is behind it would be lost */
        return refuse(m, "mt940.text", "is the file damaged?", diag, "a zero byte in the text");
    char *block = strstr(line, "{4:"); /* the text of a block may begin on the same line */
    if (line[0] == '{' && line[1] != '5' && line[1] != 'S' && (!m->in_statement || m->has_closing) &&
        !m->in_message) { /* no line of an entry's text, and no message's trailer */
        flush_entry(m);
        m->in_statement = m->last_tag = 0;
        m->in_message = 1;
        m->began = m->number;
    }
    if (block && line[0] == '{')
        line = block + 3;
    if (line[0] == ':') {
        const char *colon = strchr(line + 1, ':');
        for (size_t i = 0; colon && i < sizeof tags / sizeof tags[0]; i++)
            if ((size_t)(colon - line - 1) == strlen(tags[i]) &&
                strncmp(line + 1, tags[i], strlen(tags[i])) == 0)
                return take_tag(m, tags[i], colon + 1, diag);
    }
    /* "-", "-}" and the like: the end of the message, be it one of another kind, which has no balances */
    if (line[0] == '-' && (m->has_closing || !m->has_opening)) {
        flush_entry(m);
        m->in_statement = m->in_message = m->last_tag = 0;
        return OK;
    }
    if (m->has_entry && (m->last_tag == 61 || m->last_tag == 86))
        append_text(m, line);
    return OK;
}

static enum err mt940_feed(struct statement *statement, const uint8_t *bytes, size_t size, int at_end,
                           struct diag *diag)
{
    struct mt940 *m = (struct mt940 *)statement;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < size; i++) {
        if (bytes[i] != '\n') {
            if (m->line_size == LINE_MAX_BYTES)
                return refuse(m, "mt940.line", "is this an MT940 statement?", diag,
                              "a line of more than 64 KiB");
            m->line[m->line_size++] = (char)bytes[i];
            continue;
        }
        err = take_line(m, diag);
        m->offset += m->line_size + 1;
        m->number++;
        m->line_size = 0;
    }
    if (err == OK && at_end) {
        const int is_tag_cut = m->line_size && m->line[0] == ':' &&
                               !memchr(m->line + 1, ':', m->line_size - 1) &&
                               (!m->in_statement || m->has_closing);
        if (is_tag_cut) /* ":2": a statement was about to begin */
            err = refuse(m, "mt940.cut", "the file was cut off: get it again", diag, "a tag without its end");
        if (err == OK && m->line_size)
            err = take_line(m, diag);
        flush_entry(m);
        if (err == OK)
            err = check_closed(m, diag);
        if (err == OK && !m->is_any)
            err = refuse(m, "mt940.none", "is this an MT940 statement?", diag,
                         "the file ends, and no statement was in it");
    }
    return err == OK && m->base.no_memory ? mem_fail(diag, m->base.room, "a statement's rows") : err;
}

static void mt940_close(struct statement *statement)
{
    mem_give(statement->text);
    mem_give(statement);
}

enum err mt940_open(struct statement **out, const char *path, struct diag *diag)
{
    static const struct statement_ops ops = {mt940_feed, mt940_close};
    struct mt940 *m = mem_take_zero(1, sizeof *m);
    *out = NULL;
    if (!m)
        return mem_fail(diag, sizeof *m, "a statement");
    m->base.ops = &ops;
    m->base.path = path;
    m->number = 1;
    *out = &m->base;
    return OK;
}
