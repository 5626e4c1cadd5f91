/* io/format/bai2.c: BAI2 balance reports -> rows; see statement.h
 *
 * A record is a line of fields that ends in "/", and what 88 lines continue it with. 01 and 99 are a file, 02 and 98 a group (a
 * day, perhaps a currency), 03 and 49 an account, 16 an entry. The trailers say the sum of all amounts between them and how many
 * lines there were: a line that is lost, cut or run together with another is seen there, and the file refused.
 */
#include "core/base/mem.h"
#include "core/model/money.h"
#include "io/format/statement.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 16 * 1024, RECORD_BYTES_MAX = 64 * 1024, FIELDS_MAX = 4096, NAME_ROOM = 128 };
enum level { IN_FILE, IN_GROUP, IN_ACCOUNT, LEVELS };

struct bai2 {
    struct statement base;
    char line[LINE_BYTES_MAX + 1];
    size_t line_size;
    uint64_t offset, number; /* of the line at hand */
    char record[RECORD_BYTES_MAX + 1];
    size_t record_size;
    int code, has_slash; /* of the record; 0: none. has_slash: its last line ended in one */
    uint64_t record_offset, record_line;
    int64_t record_lines;
    const char *fields[FIELDS_MAX];
    int field_count;
    int is_open[LEVELS], is_done; /* is_done: 99 was seen */
    money_total sum[LEVELS];
    int64_t lines[LEVELS], parts[LEVELS]; /* parts: groups of the file, accounts of the group */
    char account[NAME_ROOM], as_of[16], page[NAME_ROOM], opening[48], group_currency[4], currency[4];
};

static enum err refuse(const struct bai2 *b, const char *code, const char *hint, struct diag *diag,
                       const char *text)
{
    return diag_set(diag, ERR_INPUT, code, hint, "%s: line %llu: %s", b->base.path,
                    (unsigned long long)b->record_line, text);
}

/* "" where the record has no such field. */
static const char *field(const struct bai2 *b, int i)
{
    return i < b->field_count ? b->fields[i] : "";
}

/* [+-]digits; "" is 0. */
static int whole(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '+' || *text == '-');
    const size_t n = strspn(digits, "0123456789");
    *out = 0;
    if (digits[n] || n > 18 || (n == 0 && *text))
        return 0;
    for (size_t i = 0; i < n; i++)
        *out = *out * 10 + (digits[i] - '0');
    *out = *text == '-' ? -*out : *out;
    return 1;
}

/* yymmdd; 80 to 99 are of the last century. "" stays "". */
static int date_of(const char *text, char out[16])
{
    out[0] = 0;
    if (!*text)
        return 1;
    if (strlen(text) != 6 || strspn(text, "0123456789") != 6)
        return 0;
    snprintf(out, 16, "%s%.2s-%.2s-%.2s", text[0] >= '8' ? "19" : "20", text, text + 2, text + 4);
    return 1;
}

static void cut(struct bai2 *b)
{
    b->field_count = 0;
    char *p = b->record;
    while (b->field_count < FIELDS_MAX) {
        b->fields[b->field_count++] = p;
        p = strchr(p, ',');
        if (!p)
            return;
        *p++ = 0;
    }
}

/* Where the fields of a funds type end that begins at `i`; 0: it is none. */
static int behind_funds(const struct bai2 *b, int i)
{
    const char *type = field(b, i);
    int64_t days;
    if (!*type || strcmp(type, "Z") == 0 || (strlen(type) == 1 && strchr("012", *type)))
        return i + 1;
    if (strcmp(type, "S") == 0)
        return i + 4;
    if (strcmp(type, "V") == 0)
        return i + 3;
    if (strcmp(type, "D") == 0 && whole(field(b, i + 1), &days) && days >= 0 && days < FIELDS_MAX)
        return i + 2 + 2 * (int)days;
    return 0;
}

static enum err begin(struct bai2 *b, enum level level, struct diag *diag)
{
    if (b->is_open[level] || (level > IN_FILE && !b->is_open[level - 1]))
        return refuse(b, "bai2.order", "lines are missing or doubled: get the report again", diag,
                      "a file, group or account begins where none can");
    b->is_open[level] = 1;
    b->sum[level] = 0;
    b->lines[level] = b->record_lines;
    b->parts[level] = 0;
    if (level > IN_FILE)
        b->parts[level - 1]++;
    return OK;
}

/* A trailer: its sum, the number of parts (not of an account's), the number of lines up to itself. */
static enum err end(struct bai2 *b, enum level level, struct diag *diag)
{
    static const char *const names[] = {"file", "group", "account"};
    int64_t sum, parts = b->parts[level], lines;
    const int at = level == IN_ACCOUNT ? 2 : 3;
    if (!b->is_open[level] || (level < IN_ACCOUNT && b->is_open[level + 1]))
        return refuse(b, "bai2.order", "lines are missing or doubled: get the report again", diag,
                      "a file, group or account ends where none is open");
    if (!whole(field(b, 1), &sum) || (level != IN_ACCOUNT && !whole(field(b, 2), &parts)) ||
        !whole(field(b, at), &lines))
        return refuse(b, "bai2.trailer", "is the file damaged?", diag, "a trailer holds what is no number");
    if (sum != b->sum[level] || lines != b->lines[level] || parts != b->parts[level])
        return diag_set(diag, ERR_INPUT, "bai2.sum",
                        "lines are missing, doubled or changed: get the report again",
                        "%s: line %llu: the trailer of the %s states a sum of %lld, %lld parts and %lld "
                        "lines; there are %lld, %lld and %lld",
                        b->base.path, (unsigned long long)b->record_line, names[level], (long long)sum,
                        (long long)parts, (long long)lines, (long long)b->sum[level],
                        (long long)b->parts[level], (long long)b->lines[level]);
    b->is_open[level] = 0;
    if (level > IN_FILE)
        b->sum[level - 1] += b->sum[level];
    b->is_done |= level == IN_FILE;
    return OK;
}

static enum err currency_of(struct bai2 *b, const char *text, char out[4], struct diag *diag)
{
    if (*text && strlen(text) != 3)
        return refuse(b, "bai2.currency", "is the file damaged?", diag,
                      "a currency that has not three letters");
    snprintf(out, 4, "%s", text);
    return OK;
}

static enum err take_group(struct bai2 *b, struct diag *diag)
{
    enum err err = begin(b, IN_GROUP, diag);
    if (err == OK && (!date_of(field(b, 4), b->as_of) || !b->as_of[0]))
        err = refuse(b, "bai2.date", "is this a BAI2 report?", diag, "a group without its date (yymmdd)");
    snprintf(b->page, sizeof b->page, "%.40s %.40s", field(b, 5),
             field(b, 7)); /* time, and whether it is a correction */
    return err == OK ? currency_of(b, field(b, 6), b->group_currency, diag) : err;
}

/* The account, and its balances and totals: they count in the sums only. */
static enum err take_account(struct bai2 *b, struct diag *diag)
{
    enum err err = begin(b, IN_ACCOUNT, diag);
    if (err != OK)
        return err;
    if (!*field(b, 1) || strlen(field(b, 1)) >= NAME_ROOM)
        return refuse(b, "bai2.account", "is this a BAI2 report?", diag,
                      "an account without a number, or longer than any bank's");
    snprintf(b->account, sizeof b->account, "%s", field(b, 1));
    err = currency_of(b, *field(b, 2) ? field(b, 2) : b->group_currency, b->currency, diag);
    for (int i = 3, next; err == OK && i < b->field_count; i = next) {
        int64_t amount;
        next = behind_funds(b, i + 3);
        if (!next || !whole(field(b, i + 1), &amount))
            return refuse(b, "bai2.amount", "is the file damaged?", diag,
                          "a balance that is no whole number, or an unknown funds type");
        b->sum[IN_ACCOUNT] += amount;
    }
    money_print(b->opening, b->sum[IN_ACCOUNT],
                0); /* all balances that the report states: as good as the opening one */
    b->base.entries = 0;
    return err;
}

static enum err take_entry(struct bai2 *b, struct diag *diag)
{
    int64_t code, amount;
    const int next = behind_funds(b, 3);
    if (!b->is_open[IN_ACCOUNT])
        return refuse(b, "bai2.order", "lines are missing or doubled: get the report again", diag,
                      "an entry outside of an account");
    if (!whole(field(b, 1), &code) || !isdigit((unsigned char)*field(b, 1)))
        return refuse(b, "bai2.code", "is the file damaged?", diag, "an entry without a type code");
    if (!next || !whole(field(b, 2), &amount) || amount < 0)
        return refuse(b, "bai2.amount", "is the file damaged?", diag,
                      "an entry whose amount is no whole number, or of an unknown funds type");
    b->sum[IN_ACCOUNT] += amount;
    /* Text is the last field, and may hold commas: they are put back. */
    for (int i = next + 2; i + 1 < b->field_count; i++)
        b->record[b->fields[i] - b->record + (ptrdiff_t)strlen(b->fields[i])] = ',';
    char digits[24], value[16] = "";
    snprintf(digits, sizeof digits, "%lld", (long long)amount);
    if (strcmp(field(b, 3), "V") == 0 && !date_of(field(b, 4), value))
        return refuse(b, "bai2.date", "is the file damaged?", diag, "a value date that is not yymmdd");
    const struct statement_entry entry = {
        .offset = b->record_offset,
        .line = b->record_line,
        .page = b->page,
        .opening = b->opening,
        .statement = b->as_of,
        .account = b->account,
        .currency = b->currency,
        .amount = digits,
        .is_debit = code >= 400 && code <= 699,
        /* What is neither credit nor debit by its code is no entry that we could place. */
        .status = code >= 100 && code <= 699 ? "BOOK" : "CODE",
        .booking_date = b->as_of,
        .value_date = value,
        .bank_reference = field(b, next),
        .reference = field(b, next + 1),
        .type = field(b, 1),
        .text = field(b, next + 2)};
    statement_write(&b->base, &entry);
    return OK;
}

static enum err take_record(struct bai2 *b, struct diag *diag)
{
    const int code = b->code;
    b->code = 0;
    if (!code)
        return OK;
    for (int level = IN_FILE; level < LEVELS; level++)
        b->lines[level] += b->is_open[level] ? b->record_lines : 0;
    cut(b);
    if (b->field_count == FIELDS_MAX)
        return refuse(b, "bai2.fields", "is this a BAI2 report?", diag, "a record of more than 4095 fields");
    switch (code) {
    case 1:
        b->is_done = 0; /* another report may follow */
        return begin(b, IN_FILE, diag);
    case 2:
        return take_group(b, diag);
    case 3:
        return take_account(b, diag);
    case 16:
        return take_entry(b, diag);
    case 49:
        return end(b, IN_ACCOUNT, diag);
    case 98:
        return end(b, IN_GROUP, diag);
    default:
        return end(b, IN_FILE, diag);
    }
}

static enum err append(struct bai2 *b, const char *text, size_t size, struct diag *diag)
{
    b->has_slash = size && text[size - 1] == '/';
    size -= (size_t)b->has_slash;
    if (b->record_size + size > RECORD_BYTES_MAX)
        return refuse(b, "bai2.line", "is this a BAI2 report?", diag, "a record of more than 64 KiB");
    memcpy(b->record + b->record_size, text, size);
    b->record_size += size;
    b->record[b->record_size] = 0;
    return OK;
}

static enum err take_line(struct bai2 *b, struct diag *diag)
{
    static const int codes[] = {1, 2, 3, 16, 49, 88, 98, 99};
    size_t size = b->line_size;
    while (size && (b->line[size - 1] == '\r' || b->line[size - 1] == ' '))
        size--;
    if (!size)
        return OK;
    int code = -1;
    if (size >= 3 && isdigit((unsigned char)b->line[0]) && isdigit((unsigned char)b->line[1]) &&
        b->line[2] == ',')
        code = (b->line[0] - '0') * 10 + b->line[1] - '0';
    int known = 0;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        known |= codes[i] == code;
    enum err err = OK;
    if (code != 88) {
        err = take_record(b, diag);
        b->record_line = b->number;
        b->record_offset = b->offset;
        b->record_size = 0;
        b->record_lines = 0;
    }
    if (err != OK)
        return err;
    if (!known || memchr(b->line, 0, size) || (code == 88 && !b->code) || (b->is_done && code != 1))
        return refuse(b, known ? "bai2.line" : "bai2.none", "is this a BAI2 report?", diag,
                      "the line does not begin as a record can here (01, 02, 03, 16, 49, 88, 98 or 99)");
    b->record_lines++;
    if (code == 88) {
        err = append(b, b->has_slash ? "," : " ", 1, diag);
        if (err == OK)
            err = append(b, b->line + 3, size - 3, diag);
    } else {
        b->code = code;
        err = append(b, b->line, size, diag);
    }
    return err;
}

static enum err bai2_feed(struct statement *statement, const uint8_t *bytes, size_t size, int at_end,
                          struct diag *diag)
{
    struct bai2 *b = (struct bai2 *)statement;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < size; i++) {
        if (bytes[i] != '\n') {
            if (b->line_size == LINE_BYTES_MAX) {
                b->record_line = b->number;
                return refuse(b, "bai2.none", "is this a BAI2 report?", diag, "a line of more than 16 KiB");
            }
            b->line[b->line_size++] = (char)bytes[i];
            continue;
        }
        err = take_line(b, diag);
        b->offset += b->line_size + 1;
        b->number++;
        b->line_size = 0;
    }
    if (err == OK && at_end) {
        err = take_line(b, diag);
        b->line_size = 0;
        if (err == OK)
            err = take_record(b, diag);
        if (err == OK && !b->is_done)
            err = refuse(b, "bai2.cut", "the file was cut off: get it again", diag,
                         "the report has no end (99)");
    }
    return err == OK && b->base.no_memory ? mem_fail(diag, b->base.room, "a statement's rows") : err;
}

static void bai2_close(struct statement *statement)
{
    mem_give(statement->text);
    mem_give(statement);
}

enum err bai2_open(struct statement **out, const char *path, struct diag *diag)
{
    static const struct statement_ops ops = {bai2_feed, bai2_close};
    struct bai2 *b = mem_take_zero(1, sizeof *b);
    *out = NULL;
    if (!b)
        return mem_fail(diag, sizeof *b, "a statement");
    b->base.ops = &ops;
    b->base.path = path;
    b->number = b->record_line = 1;
    *out = &b->base;
    return OK;
}
