/* cli/sheet_identity.c: see sheet_identity.h */
#include "cli/sheet_identity.h"
#include "core/base/mem.h"
#include "io/store/error_order.h"
#include <string.h>

enum {
    DIGITS_MAX = 300,   /* of an order number, as errors keep it */
    DIGITS_OF_CELL = 15 /* more a spreadsheet does not keep */
};

static const char *const HELD[SHEET_HELD] = {"biz_order_no", "channel_order_no", "class", "channel_code",
                                             "task",         "currency"};

/* ---- one cell ---- */

/* `0.d1 d2 d3 ... * 10^power`, d1 not 0; 0 has no digits. */
struct number {
    char digits[DIGITS_MAX];
    int count, power;
    int shown, is_scientific; /* digits that were written; with an exponent */
};

static struct span trimmed(const char *text)
{
    struct span s = span_of(text);
    while (s.size && s.data[0] == ' ')
        s = (struct span){s.data + 1, s.size - 1};
    while (s.size && s.data[s.size - 1] == ' ')
        s.size--;
    return s;
}

static int is_separator(char c)
{
    return c == '.' || c == ',' || c == ' ' || c == '\'';
}

/* `with_point`: the last separator is the decimal point; else all of them part thousands. 0: it is no number. */
static int read_number(struct number *n, struct span text, int with_point)
{
    size_t mantissa = 0, point = SIZE_MAX, before = 0;
    int exponent = 0;
    *n = (struct number){.count = 0};
    while (mantissa < text.size && text.data[mantissa] != 'E' && text.data[mantissa] != 'e')
        mantissa++;
    if (mantissa < text.size) {
        size_t at = mantissa + 1;
        const int is_negative = at < text.size && text.data[at] == '-';
        n->is_scientific = 1;
        at += at < text.size && (text.data[at] == '-' || text.data[at] == '+');
        if (at == text.size || text.size - at > 4)
            return 0;
        for (; at < text.size; at++) {
            if (text.data[at] < '0' || text.data[at] > '9')
                return 0;
            exponent = exponent * 10 + (text.data[at] - '0');
        }
        exponent = is_negative ? -exponent : exponent;
    }
    for (size_t i = 0; with_point && i < mantissa; i++)
        point = text.data[i] == '.' || text.data[i] == ',' ? i : point;
    for (size_t i = 0; i < mantissa; i++) {
        const char c = text.data[i];
        if (is_separator(c) && i > 0 && i + 1 < mantissa)
            continue;
        if (c < '0' || c > '9' || n->count == DIGITS_MAX)
            return 0;
        n->shown += n->shown > 0 || c != '0';
        before += i < point;
        if (n->count == 0 &&
            c == '0') { /* leading zeros say nothing, and those behind the point count down */
            n->power -= i > point;
            continue;
        }
        n->digits[n->count++] = c;
        n->power += i < point;
    }
    while (n->count && n->digits[n->count - 1] == '0')
        n->count--;
    n->power += exponent;
    return before > 0;
}

/* The first `count` digits. */
static int64_t leading(const struct number *n, int count)
{
    int64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value * 10 + (i < n->count ? n->digits[i] - '0' : 0);
    return value;
}

static int may_be_number(const struct number *cell, const struct number *value)
{
    if (cell->count == value->count && (cell->count == 0 || cell->power == value->power) &&
        memcmp(cell->digits, value->digits, (size_t)cell->count) == 0)
        return 1;
    /* Cut or rounded to the digits that are shown, or kept. */
    const int kept = cell->is_scientific && cell->shown < DIGITS_OF_CELL ? cell->shown : DIGITS_OF_CELL;
    if (cell->count == 0 || value->count <= kept)
        return 0;
    const int64_t is = leading(cell, kept), was = leading(value, kept);
    if (cell->power == value->power)
        return is == was || is == was + 1;
    int64_t full = 1; /* 9996 is 1.00E+4 */
    for (int i = 1; i < kept; i++)
        full *= 10;
    return cell->power == value->power + 1 && is == full && was == full * 10 - 1;
}

static int is_ascii(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] >= 0x80)
            return 0;
    return 1;
}

int sheet_cell_may_be(const char *cell, const char *value)
{
    const struct span is = trimmed(cell), was = trimmed(value);
    struct number number, read;
    if (is.size == 0 || span_equal(is, was))
        return 1;
    if (!is_ascii(was)) /* another charset, or one that has not these letters */
        return !is_ascii(is) || memchr(is.data, '?', is.size) != NULL;
    if (!read_number(&number, was, 1))
        return 0;
    const int has_exponent = memchr(is.data, 'E', is.size) || memchr(is.data, 'e', is.size);
    for (int with_point = has_exponent; with_point < 2; with_point++)
        if (read_number(&read, is, with_point) && may_be_number(&read, &number))
            return 1;
    return 0;
}

/* ---- a row ---- */

void sheet_identity_init(struct sheet_identity *identity, const struct sheet *sheet)
{
    identity->id = sheet_column(sheet, "id");
    for (int i = 0; i < SHEET_HELD; i++)
        identity->column[i] = sheet_column(sheet, HELD[i]);
}

struct check {
    const struct sheet_identity *identity;
    const struct sheet *sheet;
    struct text found; /* what is to be said of the one that was found */
    int count, differ;
};

static enum err hold(void *context, const struct error_order *o, struct diag *diag)
{
    struct check *c = context;
    const char *const values[SHEET_HELD] = {
        o->biz_order_no, o->channel_order_no, o->class_name, o->channel_code, o->task, o->currency};
    c->count++;
    for (int i = 0; i < SHEET_HELD; i++) {
        const char *cell = sheet_cell(c->sheet, c->identity->column[i]);
        if (sheet_cell_may_be(cell, values[i]))
            continue;
        c->differ = 1;
        text_format(&c->found, "line %d: %s is \"", sheet_line(c->sheet), HELD[i]);
        text_plain(&c->found, span_of(cell));
        text_format(&c->found, "\" here, and \"");
        text_plain(&c->found, span_of(values[i]));
        text_format(&c->found, "\" in the error %.12s\n", o->id);
    }
    return c->found.failed ? mem_fail(diag, c->found.size, "what is wrong in a sheet") : OK;
}

enum err sheet_identity_check(const struct sheet_identity *identity, const struct sheet *sheet,
                              struct sqlite *db, struct text *said, int *torn, struct diag *diag)
{
    const char *id = sheet_cell(sheet, identity->id);
    const size_t size = strlen(id);
    struct check c = {.identity = identity, .sheet = sheet};
    *torn = 0;
    if (size < 8 || size > ERROR_ID_TEXT - 1 || strspn(id, "0123456789abcdef") != size)
        return OK;
    const struct error_filter filter = {.id = id, .limit = 2};
    enum err err = error_order_each(db, &filter, hold, &c, diag);
    *torn = c.count == 1 && c.differ;
    if (err == OK && *torn) {
        text_put(said, c.found.data, c.found.size);
        err = said->failed ? mem_fail(diag, said->size, "what is wrong in a sheet") : OK;
    }
    text_fini(&c.found);
    return err;
}
