/* core/config/profile_load.c: a profile, and what a job says beside it -> struct bill_spec
 *
 * A profile is read as a job file is: every name is known or refused, with its place. What decides about money
 * has no default: the unit and the sign of every amount must be written, and so must what a kind of row is.
 */
#include "core/base/mem.h"
#include "core/config/loader.h"
#include "core/config/nearest.h"
#include "core/config/profile.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_NAMES_MAX = 64,
    WIDTHS_MAX = 256,
    WHEN_MAX = 256,
    LINE_PIECES_MAX = 64,
    MARKS_MAX = 8,
    RECORD_BYTES_MAX = 1 << 20
};

const struct profile_text *profile_find(const char *name)
{
    for (const struct profile_text *p = profile_texts; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

/* ---- layout ---- */

static enum err read_charset(struct loader *l, const struct yaml_node *node, const char *where,
                             const char **out)
{
    static const char *const WORDS[] = {"UTF-8", "GBK", "GB18030", "LATIN1"};
    static const char *const ICONV[] = {NULL, "GBK", "GB18030", "ISO-8859-1"};
    const char *text = "";
    enum err err = read_text(l, node, where, "a charset", &text);
    for (int i = 0; err == OK && i < COUNT_OF(WORDS); i++)
        if (strcmp(text, WORDS[i]) == 0) {
            *out = ICONV[i];
            return OK;
        }
    char hint[400];
    return err != OK ? err
                     : BAD(l, node, "job.value", near_hint(hint, text, WORDS, COUNT_OF(WORDS)),
                           "%s: unknown charset \"%s\"", where, text);
}

/* One byte, or a byte and the prefix of the cell that follows: ",`". */
static enum err read_delimiter(struct loader *l, const struct yaml_node *node, const char *where,
                               struct bill_spec *bill)
{
    static const char *const expected =
        "one ASCII character, or one and the prefix that begins every cell, such as \",`\"";
    const char *text = "";
    enum err err = read_text(l, node, where, expected, &text);
    if (err != OK)
        return err;
    if (strlen(text) == 2 && strcmp(text, "\\t") != 0) {
        bill->delimiter = text[0];
        bill->prefix = text[1];
        if (!strchr(",;|\t", text[0]) || !strchr("`'~", text[1]))
            return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected %s", where, text, expected);
        return OK;
    }
    return read_byte(l, node, where, expected, &bill->delimiter);
}

static enum err read_widths(struct loader *l, const struct yaml_node *node, const char *where,
                            struct bill_spec *bill)
{
    if (node->kind != YAML_LIST || node->count == 0 || node->count > WIDTHS_MAX)
        return wrong_type(l, node, where, "a list of {name: width} in the order of the file");
    bill->columns = take(l, (size_t)node->count * sizeof *bill->columns);
    bill->widths = take(l, (size_t)node->count * sizeof *bill->widths);
    if (!bill->columns || !bill->widths)
        return l->diag->err;
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        if (item->kind != YAML_MAP || item->count != 1)
            return wrong_type(l, item, where, "{name: width}");
        int64_t width = 0;
        enum err err = read_number(l, item->first, below(where, item->first->key).text, 1, 65535, &width);
        if (err != OK)
            return err;
        for (int i = 0; i < bill->column_count; i++)
            if (strcmp(bill->columns[i], item->first->key) == 0)
                return BAD(l, item, "job.doubled", "name them apart", "%s: \"%s\" is there twice", where,
                           item->first->key);
        bill->columns[bill->column_count] = item->first->key;
        bill->widths[bill->column_count++] = (int)width;
    }
    return OK;
}

/* `statement: camt`, `mt940` or `bai2`: rows are made of it, in a layout of our own. */
static enum err read_statement(struct loader *l, const struct yaml_node *node, struct bill_spec *bill)
{
    static const char *const NAMES[] = {"statement"};
    static const char *header[] = {"offset", "line", "account", "currency", "amount", "mark", "booking_date"};
    const struct yaml_node *statement = yaml_get(node, "statement");
    const char *word = "";
    enum err err = check_names(l, node, "layout", NAMES, COUNT_OF(NAMES), NULL, 0);
    if (err == OK)
        err = read_text(l, statement, "layout.statement", "camt, mt940 or bai2", &word);
    bill->flatten = strcmp(word, "camt") == 0    ? FLATTEN_CAMT
                    : strcmp(word, "mt940") == 0 ? FLATTEN_MT940
                    : strcmp(word, "bai2") == 0  ? FLATTEN_BAI2
                                                 : FLATTEN_NONE;
    if (err == OK && bill->flatten == FLATTEN_NONE)
        err = BAD(l, statement, "job.value", NULL, "layout.statement: \"%s\": expected camt, mt940 or bai2",
                  word);
    bill->format = FORMAT_CSV;
    bill->delimiter = ',';
    bill->quote = '"';
    bill->header = header;
    bill->header_count = COUNT_OF(header);
    return err;
}

static enum err read_layout(struct loader *l, const struct yaml_node *node, struct bill_spec *bill)
{
    if (yaml_get(node, "statement"))
        return read_statement(l, node, bill);
    static const char *const NAMES[] = {
        "kind", "charset",    "delimiter", "quote", "header",    "trim",  "comment", "free_text", "widths",
        "gap",  "first_cell", "companion", "empty", "name_date", "guard", "decimal", "line_ends", "entry"};
    static const char *const GUARDS[] = {"byte", "columns"};
    static const char *const MARKS[] = {"header", "rows", "skip"};
    enum err err = check_names(l, node, "layout", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *kind = yaml_get(node, "kind"), *charset = yaml_get(node, "charset"),
                           *delimiter = yaml_get(node, "delimiter"), *quote = yaml_get(node, "quote"),
                           *header = yaml_get(node, "header"), *trim = yaml_get(node, "trim"),
                           *comment = yaml_get(node, "comment"), *free_text = yaml_get(node, "free_text"),
                           *widths = yaml_get(node, "widths"), *gap = yaml_get(node, "gap"),
                           *first = yaml_get(node, "first_cell"), *companion = yaml_get(node, "companion"),
                           *empty = yaml_get(node, "empty"), *name_date = yaml_get(node, "name_date"),
                           *guard = yaml_get(node, "guard"), *decimal = yaml_get(node, "decimal"),
                           *line_ends = yaml_get(node, "line_ends");
    const char *word = "delimited";
    if (err == OK && kind)
        err = read_text(l, kind, "layout.kind", "delimited or fixed", &word);
    bill->format = strcmp(word, "fixed") == 0 ? FORMAT_FIXED : FORMAT_CSV;
    if (err == OK && bill->format == FORMAT_CSV && strcmp(word, "delimited") != 0)
        err = BAD(l, kind, "job.value", NULL, "layout.kind: \"%s\": expected delimited or fixed", word);
    if (err == OK && !charset)
        err = BAD(l, node, "job.missing", "e.g. charset: UTF-8", "layout: charset is missing");
    if (err == OK)
        err = read_charset(l, charset, "layout.charset", &bill->charset);
    bill->delimiter = bill->format == FORMAT_FIXED ? '\n' : 0;
    if (err == OK && bill->format == FORMAT_CSV && (!delimiter || !quote || !header))
        err = BAD(l, node, "job.missing", NULL, "layout: %s is missing; a delimited layout needs it",
                  !delimiter ? "delimiter"
                  : !quote   ? "quote"
                             : "header");
    if (err == OK && bill->format == FORMAT_FIXED &&
        (delimiter || quote || header || free_text || first || !widths))
        err = BAD(
            l, node, "job.value", NULL,
            "layout: a fixed layout has widths, and no delimiter, quote, header, free_text or first_cell");
    if (err == OK && delimiter)
        err = read_delimiter(l, delimiter, "layout.delimiter", bill);
    if (err == OK && quote && !(quote->kind == YAML_SCALAR && strcmp(quote->text, "none") == 0))
        err = read_byte(l, quote, "layout.quote", "one ASCII character, or none", &bill->quote);
    if (err == OK && bill->quote && bill->prefix)
        err = BAD(l, quote, "job.value", NULL, "layout: cells with a prefix are not quoted");
    if (err == OK && bill->charset &&
        (bill->prefix || (bill->format == FORMAT_CSV && bill->delimiter >= 0x40)))
        err = BAD(l, delimiter, "job.value", NULL,
                  "layout.delimiter: in %s this byte may be half of a character", bill->charset);
    if (err == OK && header)
        err = read_texts(l, header, "layout.header", "the columns by which the header is known",
                         HEADER_NAMES_MAX, &bill->header, &bill->header_count);
    if (err == OK && trim)
        err = read_text(l, trim, "layout.trim", "characters, in quotes", &bill->trim);
    if (err == OK && decimal)
        err = read_decimal(l, decimal, "layout.decimal", NULL, &bill->decimal);
    if (err == OK && comment)
        err = read_word(l, comment, "layout.comment", "what a comment line begins with", &bill->comment);
    if (err == OK && free_text)
        err = read_text(l, free_text, "layout.free_text", "a column", &bill->free_text);
    if (err == OK && free_text && bill->quote)
        err = BAD(l, free_text, "job.value", NULL, "layout.free_text: text with delimiters is quoted here");
    if (err == OK && !guard != !free_text)
        err = BAD(l, node, "job.missing",
                  "guard: {byte: tab, columns: [...]}: cells that always end with that byte",
                  "layout: free_text and guard go together");
    if (err == OK && guard) {
        err = check_names(l, guard, "layout.guard", GUARDS, COUNT_OF(GUARDS), NULL, 0);
        const struct yaml_node *byte = yaml_get(guard, "byte"), *guarded = yaml_get(guard, "columns");
        if (err == OK && (!byte || !guarded))
            err = BAD(l, guard, "job.missing", NULL, "layout.guard: byte and columns go together");
        if (err == OK)
            err = read_byte(l, byte, "layout.guard.byte", "one byte, or tab", &bill->guard);
        if (err == OK)
            err = read_texts(l, guarded, "layout.guard.columns", "columns", 16, &bill->guarded,
                             &bill->guarded_count);
    }
    if (err == OK && widths)
        err = read_widths(l, widths, "layout.widths", bill);
    const char *ends = "lines";
    if (err == OK && line_ends)
        err = read_text(l, line_ends, "layout.line_ends", "lines or none", &ends);
    bill->is_endless = strcmp(ends, "none") == 0;
    if (err == OK && !bill->is_endless && strcmp(ends, "lines") != 0)
        err = BAD(l, line_ends, "job.value", NULL, "layout.line_ends: \"%s\": expected lines or none", ends);
    if (err == OK && bill->is_endless && bill->format != FORMAT_FIXED)
        err = BAD(l, line_ends, "job.value", NULL, "layout.line_ends: only a fixed layout does without them");
    int64_t gap_size = 0;
    if (err == OK && gap)
        err = read_number(l, gap, "layout.gap", 0, 8, &gap_size);
    bill->gap = (int)gap_size;
    int64_t record_size = 0;
    for (int i = 0; err == OK && i < bill->column_count; i++)
        record_size += bill->widths[i] + gap_size;
    if (record_size > RECORD_BYTES_MAX)
        err = BAD(l, widths, "job.value", NULL, "layout.widths: %lld bytes a record; at most %d",
                  (long long)record_size, RECORD_BYTES_MAX);
    if (err == OK && companion)
        err = read_texts(l, companion, "layout.companion", "text by which a summary is known", MARKS_MAX,
                         &bill->companion, &bill->companion_count);
    if (err == OK && empty)
        err = read_texts(l, empty, "layout.empty", "text by which the channel says that there is no bill",
                         MARKS_MAX, &bill->empty, &bill->empty_count);
    if (err == OK && yaml_get(node, "entry"))
        err = read_text(l, yaml_get(node, "entry"), "layout.entry", "a pattern such as \"*detail*.csv\"",
                        &bill->entry);
    if (err == OK && name_date)
        err = read_text(l, name_date, "layout.name_date", "the text before yymmdd in the file's name",
                        &bill->name_date);
    if (err == OK && first) {
        err = check_names(l, first, "layout.first_cell", MARKS, COUNT_OF(MARKS), NULL, 0);
        const struct yaml_node *in_header = yaml_get(first, "header"), *in_rows = yaml_get(first, "rows"),
                               *skip = yaml_get(first, "skip");
        if (err == OK && (!in_header || !in_rows))
            err = BAD(l, first, "job.missing", NULL, "layout.first_cell: header and rows go together");
        if (err == OK)
            err = read_text(l, in_header, "layout.first_cell.header", "a word", &bill->header_mark);
        if (err == OK)
            err = read_text(l, in_rows, "layout.first_cell.rows", "a word", &bill->row_mark);
        if (err == OK && skip)
            err = read_texts(l, skip, "layout.first_cell.skip", "words", WHEN_MAX, &bill->skip,
                             &bill->skip_count);
    }
    return err;
}

/* ---- row types ---- */

static enum err read_row_type(struct loader *l, const struct yaml_node *node, struct bill_spec *bill)
{
    static const char *const NAMES[] = {"when", "exclude", "fields", "occurrence_id"};
    struct row_type *type = &bill->types[bill->type_count];
    struct where where = below("rows", node->key);
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    if (err == OK && bill->type_count == ROW_TYPES_MAX)
        err = BAD(l, node, "job.value", NULL, "rows: at most %d kinds", ROW_TYPES_MAX);
    if (err != OK)
        return err;
    type->name = node->key;
    const struct yaml_node *when = yaml_get(node, "when"), *exclude = yaml_get(node, "exclude");
    if (!when != !bill->type_column)
        return BAD(l, node, "job.missing", NULL,
                   bill->type_column
                       ? "%s: when is missing: the words of the type column that are of this kind"
                       : "%s: when is given, but there is no `type:` column",
                   where.text);
    if (when)
        err = read_texts(l, when, below(where.text, "when").text, "words of the type column", WHEN_MAX,
                         &type->when, &type->when_count);
    if (err == OK && exclude)
        err = read_bool(l, exclude, below(where.text, "exclude").text, &type->is_excluded);
    bill->type_count++;
    return err;
}

static int find_type(const struct bill_spec *bill, const char *name)
{
    for (int i = 0; i < bill->type_count; i++)
        if (strcmp(bill->types[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- trailer ---- */

/* The total that a trailer's number states: `count`, or {count: KIND}, {sum: COLUMN, rows: KIND, where: {COLUMN:
 * WORD}, absolute: true}. */
static enum err read_total(struct loader *l, const struct yaml_node *node, const char *where,
                           struct bill_spec *bill, int *out)
{
    static const char *const NAMES[] = {"count", "sum", "rows", "where", "non_zero", "absolute"};
    struct total total = {.type = -1};
    enum err err = OK;
    if (node->kind == YAML_SCALAR) {
        if (strcmp(node->text, "count") != 0)
            return wrong_type(l, node, where, "count, or {sum: COLUMN}, or {count: KIND OF ROWS}");
    } else {
        err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), NULL, 0);
        const struct yaml_node *count = yaml_get(node, "count"), *sum = yaml_get(node, "sum"),
                               *rows = yaml_get(node, "rows"), *only = yaml_get(node, "where"),
                               *non_zero = yaml_get(node, "non_zero"), *absolute = yaml_get(node, "absolute");
        if (err == OK && !count == !sum)
            err = BAD(l, node, "job.missing", NULL, "%s: expected count or sum", where);
        if (err == OK && sum)
            err = read_text(l, sum, where, "a column", &total.column);
        const struct yaml_node *kind = rows ? rows
                                       : count && strcmp(count->text ? count->text : "", "all") ? count
                                                                                                : NULL;
        if (err == OK && kind) {
            const char *name = "";
            err = read_text(l, kind, where, "a kind of rows", &name);
            total.type = err == OK ? find_type(bill, name) : -1;
            if (err == OK && total.type < 0)
                err = BAD(l, kind, "job.unknown", NULL, "%s: there is no kind of rows \"%s\"", where, name);
        }
        if (err == OK && only && (only->kind != YAML_MAP || only->count != 1))
            err = wrong_type(l, only, where, "{column: word}");
        if (err == OK && only) {
            total.where_column = only->first->key;
            err = read_text(l, only->first, where, "a word", &total.where_word);
        }
        if (err == OK && non_zero) {
            total.non_zero = 1;
            err = read_text(l, non_zero, where, "a column", &total.where_column);
        }
        if (err == OK && absolute)
            err = read_bool(l, absolute, where, &total.is_absolute);
    }
    if (err != OK)
        return err;
    for (int i = 0; i < bill->total_count; i++) {
        const struct total *t = &bill->totals[i];
#define SAME(a, b) ((a) == (b) || ((a) && (b) && strcmp(a, b) == 0))
        if (SAME(t->column, total.column) && t->type == total.type &&
            SAME(t->where_column, total.where_column) && SAME(t->where_word, total.where_word) &&
            t->non_zero == total.non_zero && t->is_absolute == total.is_absolute) {
            *out = i;
            return OK;
        }
#undef SAME
    }
    if (bill->total_count == TOTALS_MAX)
        return BAD(l, node, "job.value", NULL, "trailer: at most %d different totals", TOTALS_MAX);
    bill->totals[bill->total_count] = total;
    *out = bill->total_count++;
    return OK;
}

/* ["#text", {count: payment}, "text", ...] */
static enum err read_trailer_line(struct loader *l, const struct yaml_node *node, struct bill_spec *bill,
                                  struct trailer_line *line)
{
    if (node->kind != YAML_LIST || node->count < 2 || node->count > LINE_PIECES_MAX || node->count % 2 == 0)
        return wrong_type(l, node, "trailer.lines", "[text, number, text, number, ..., text]");
    line->count = node->count / 2;
    line->text = take(l, (size_t)(line->count + 1) * sizeof *line->text);
    line->totals = take(l, (size_t)line->count * sizeof *line->totals);
    if (!line->text || !line->totals)
        return l->diag->err;
    int i = 0;
    for (const struct yaml_node *item = node->first; item; item = item->next, i++) {
        enum err err = OK;
        if (i % 2)
            err = read_total(l, item, "trailer.lines", bill, &line->totals[i / 2]);
        else if (item->kind != YAML_SCALAR)
            err = wrong_type(l, item, "trailer.lines", "text before and behind each number");
        else
            line->text[i / 2] = item->text;
        if (err != OK)
            return err;
    }
    line->word = line->text[0];
    return line->word[0] ? OK : BAD(l, node, "job.value", NULL, "trailer.lines: a line begins with text");
}

static enum err read_trailer_row(struct loader *l, const struct yaml_node *node, struct bill_spec *bill,
                                 struct trailer_line *line)
{
    static const char *const NAMES[] = {"group", "report", "cells"};
    struct where where = below("trailer.rows", node->key);
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *group = yaml_get(node, "group"), *report = yaml_get(node, "report"),
                           *cells = yaml_get(node, "cells");
    line->word = node->key;
    line->group_cell = -1;
    int64_t number = 0;
    if (err == OK && group) {
        err = read_number(l, group, where.text, 1, 1000, &number);
        line->group_cell = (int)number;
    }
    if (err == OK && report)
        err = read_bool(l, report, where.text, &line->by_report);
    if (err == OK && (!cells || cells->kind != YAML_MAP || cells->count == 0))
        return wrong_type(l, cells ? cells : node, where.text, "cells: {1: count, ...}");
    if (err != OK)
        return err;
    line->totals = take(l, (size_t)cells->count * sizeof *line->totals);
    line->cells = take(l, (size_t)cells->count * sizeof *line->cells);
    if (!line->totals || !line->cells)
        return l->diag->err;
    for (const struct yaml_node *item = cells->first; item && err == OK; item = item->next, line->count++) {
        if (strcmp(item->key, "last") == 0) {
            number = -1;
        } else {
            size_t digits = strspn(item->key, "0123456789");
            number = digits && digits < 4 && !item->key[digits] ? strtol(item->key, NULL, 10) : 0;
            if (number < 1)
                return bad_at(l, item->key_line, item->key_column, "job.value", NULL,
                              "%s: \"%s\": expected the number of a cell, from 1, or last", where.text,
                              item->key);
        }
        line->cells[line->count] = (int)number;
        err = read_total(l, item, where.text, bill, &line->totals[line->count]);
    }
    return err;
}

static enum err read_trailer(struct loader *l, const struct yaml_node *node, struct bill_spec *bill)
{
    static const char *const NAMES[] = {"lines", "end", "table", "rows", "group", "report_begin"};
    enum err err = check_names(l, node, "trailer", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *lines = yaml_get(node, "lines"), *end = yaml_get(node, "end"),
                           *table = yaml_get(node, "table"), *rows = yaml_get(node, "rows"),
                           *group = yaml_get(node, "group"), *begin = yaml_get(node, "report_begin");
    if (err == OK && !!lines + !!table + !!rows != 1)
        err = BAD(l, node, "job.missing", NULL, "trailer: expected exactly one of lines, table and rows");
    const struct yaml_node *list = lines ? lines : table ? table : rows;
    if (err == OK && (list->kind == YAML_SCALAR || list->count == 0))
        err = wrong_type(l, list, "trailer", lines ? "a list of lines" : "a map");
    if (err == OK && lines && !bill->comment)
        err = BAD(l, lines, "job.missing", NULL, "trailer.lines: layout.comment says how such lines begin");
    if (err == OK && rows && !bill->row_mark)
        err = BAD(l, rows, "job.missing", NULL, "trailer.rows: layout.first_cell says what a row is");
    if (err == OK && end)
        err = read_text(l, end, "trailer.end", "the text of the line that ends the rows", &bill->end_marker);
    if (err == OK && group)
        err = read_text(l, group, "trailer.group", "a column", &bill->group_column);
    if (err == OK && begin)
        err = read_text(l, begin, "trailer.report_begin", "a row's first cell", &bill->report_begin);
    if (err != OK)
        return err;
    bill->trailer = lines ? TRAILER_LINES : table ? TRAILER_TABLE : TRAILER_ROWS;
    bill->lines = take(l, (size_t)list->count * sizeof *bill->lines);
    if (!bill->lines)
        return l->diag->err;
    for (const struct yaml_node *item = list->first; item && err == OK; item = item->next) {
        struct trailer_line *line = &bill->lines[bill->line_count++];
        line->group_cell = -1;
        if (lines) {
            err = read_trailer_line(l, item, bill, line);
        } else if (rows) {
            err = read_trailer_row(l, item, bill, line);
        } else { /* a title and what stands below it */
            line->word = item->key;
            line->count = 1;
            line->totals = take(l, sizeof *line->totals);
            err = line->totals
                      ? read_total(l, item, below("trailer.table", item->key).text, bill, line->totals)
                      : l->diag->err;
        }
    }
    return err;
}

/* ---- the whole ---- */

static enum err read_profile(struct loader *l, struct source_spec *source)
{
    static const char *const NAMES[] = {"version", "profile", "title", "channel",       "timezone", "layout",
                                        "type",    "fields",  "rows",  "occurrence_id", "trailer"};
    struct bill_spec *bill = source->bill;
    const struct yaml_node *root = bill->root;
    enum err err = check_names(l, root, "", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *version = yaml_get(root, "version"), *name = yaml_get(root, "profile"),
                           *title = yaml_get(root, "title"), *zone = yaml_get(root, "timezone"),
                           *layout = yaml_get(root, "layout"), *type = yaml_get(root, "type"),
                           *fields = yaml_get(root, "fields"), *rows = yaml_get(root, "rows"),
                           *trailer = yaml_get(root, "trailer");
    if (err == OK && (!version || version->kind != YAML_SCALAR || strcmp(version->text, "1") != 0))
        err = BAD(l, version ? version : root, "job.missing", "a profile begins with `version: 1`",
                  "version: expected 1");
    if (err == OK && (!name || !layout || !fields))
        err = BAD(l, root, "job.missing", NULL, "the setting \"%s\" is missing",
                  !name     ? "profile"
                  : !layout ? "layout"
                            : "fields");
    if (err == OK)
        err = read_word(l, name, "profile", "the profile's name", &bill->name);
    bill->title = "";
    if (err == OK && title)
        err = read_text(l, title, "title", "what kind of bill this is", &bill->title);
    if (err == OK && zone)
        err = read_zone(l, zone, "timezone", &source->timezone);
    if (err == OK)
        err = read_layout(l, layout, bill);
    if (err == OK && type)
        err = read_text(l, type, "type", "the column that tells the kinds of rows apart", &bill->type_column);
    if (err == OK && rows && (rows->kind != YAML_MAP || rows->count == 0))
        err = wrong_type(l, rows, "rows", "a map, {kind: {when: [...], fields: {...}}, ...}");
    for (const struct yaml_node *item = rows ? rows->first : NULL; item && err == OK; item = item->next)
        err = read_row_type(l, item, bill);
    if (err == OK && bill->type_count == 0) {
        if (type)
            return BAD(l, type, "job.missing", NULL, "type: there are no `rows:` that it tells apart");
        bill->types[bill->type_count++].name = "row";
    }
    if (err == OK && trailer)
        err = read_trailer(l, trailer, bill);
    return err;
}

enum err load_profile(struct loader *l, struct source_spec *source, const struct yaml_node *node,
                      const char *section)
{
    const char *name = "";
    struct where where = below(section, node->key);
    enum err err = read_text(l, node, where.text, "a profile's name, or the path of one", &name);
    if (err != OK)
        return err;
    struct bill_spec *bill = take(l, sizeof *bill);
    if (!bill)
        return l->diag->err;
    char path[4096];
    size_t size = strlen(name);
    struct yaml_node *root = NULL;
    const struct profile_text *built_in = profile_find(name);
    if (size > 5 && strcmp(name + size - 5, ".yaml") == 0) {
        snprintf(path, sizeof path, "%s%s%s", name[0] == '/' ? "" : l->job->directory,
                 name[0] == '/' ? "" : "/", name);
        err = yaml_read(&root, &l->job->arena, path, l->diag);
    } else if (built_in) {
        snprintf(path, sizeof path, "profile %s", name);
        err = yaml_read_text(&root, &l->job->arena, path,
                             (struct span){(const char *)built_in->bytes, built_in->size}, l->diag);
    } else {
        const char *names[64] = {"csv"};
        int count = 1;
        for (const struct profile_text *p = profile_texts; p->name && count < 64; p++)
            names[count++] = p->name;
        char hint[400];
        return BAD(l, node, "job.unknown", near_hint(hint, name, names, count),
                   "%s: there is no profile \"%s\"; tieout profiles lists them", where.text, name);
    }
    if (err != OK)
        return err;
    bill->path = arena_copy(&l->job->arena, span_of(path)).data;
    if (!bill->path)
        return mem_fail(l->diag, 0, "a profile");
    bill->root = root;
    source->bill = bill;
    const char *job_path = l->path;
    l->path = bill->path;
    err = read_profile(l, source);
    l->path = job_path;
    return err;
}

/* ---- fields ---- */

static enum err read_fields_into(struct loader *l, const struct yaml_node *node, const char *where,
                                 struct field_rule *fields)
{
    const char *names[FIELDS + 1];
    for (unsigned i = 0; i < FIELDS; i++)
        names[i] = field_name(i);
    names[FIELDS] = "attr";
    enum err err = node ? check_names(l, node, where, names, FIELDS + 1, NULL, 0) : OK;
    for (const struct yaml_node *child = node ? node->first : NULL; err == OK && child; child = child->next) {
        int is_attrs = strcmp(child->key, "attr") == 0;
        for (const struct yaml_node *item = is_attrs ? child->first : child; err == OK && item;
             item = is_attrs ? item->next : NULL) {
            unsigned slot = is_attrs ? slot_find(l->job, item->key) : field_find(item->key);
            if (slot == FIELD_SLOTS)
                return bad_at(l, item->key_line, item->key_column, "job.unknown",
                              "name the attr in the side's own `fields: {attr: ...}`",
                              "%s: no attr \"%s\" is declared", where, item->key);
            fields[slot] = (struct field_rule){0};
            err = read_field(l, slot, item, below(where, item->key).text, &fields[slot]);
        }
    }
    return err;
}

static enum err read_occurrence(struct loader *l, const struct yaml_node *node, const char *where,
                                struct row_type *type)
{
    const char **columns;
    if (!node)
        return OK;
    enum err err = read_texts(l, node, where, "a column name or a list of them", OCCURRENCE_PARTS_MAX,
                              &columns, &type->occurrence_count);
    for (int i = 0; err == OK && i < type->occurrence_count; i++)
        type->occurrence[i] = columns[i];
    return err;
}

/* What decides about money must have been said. */
static enum err check_type(struct loader *l, const struct bill_spec *bill, const struct row_type *type)
{
    static const unsigned money[] = {FIELD_AMOUNT, FIELD_FEE};
    const struct field_rule *amount = &type->fields[FIELD_AMOUNT];
    const struct yaml_node *root = bill->root;
    if (!amount->column && !amount->debit)
        return BAD(l, root, "job.missing", "add it to fields, or to the fields of this kind",
                   "rows.%s: amount is missing", type->name);
    for (int i = 0; i < COUNT_OF(money); i++) {
        const struct field_rule *rule = &type->fields[money[i]];
        if (!rule->column && !rule->debit)
            continue;
        if (!rule->unit_said)
            return BAD(l, root, "job.missing", "unit: major, minor or hundredths",
                       "rows.%s.%s: the unit is not said", type->name, field_name(money[i]));
        if (!rule->sign && !rule->debit && !rule->mark_debit)
            return BAD(l, root, "job.missing", "sign: signed, positive, negative (or cost, of a fee)",
                       "rows.%s.%s: nothing says what its sign means", type->name, field_name(money[i]));
    }
    if ((amount->sign == SIGN_POSITIVE && !has_source(&type->fields[FIELD_DIRECTION])) ||
        ((amount->debit || amount->mark_debit) && has_source(&type->fields[FIELD_DIRECTION])))
        return BAD(l, root, "job.missing", "direction: {constant: IN}, or a map of a column",
                   amount->debit || amount->mark_debit
                       ? "rows.%s: debit and credit give the direction already"
                       : "rows.%s: an amount without sign needs a direction",
                   type->name);
    if (type->fields[FIELD_AMOUNT].sign == SIGN_COST)
        return BAD(l, root, "job.value", NULL, "rows.%s.amount: cost is for fees", type->name);
    return OK;
}

/* A fixed layout lists its columns, so every column that is named must be among them. */
static enum err check_fixed_columns(struct loader *l, const struct bill_spec *bill,
                                    const struct row_type *type)
{
    for (unsigned slot = 0; slot < FIELD_SLOTS; slot++) {
        const struct field_rule *rule = &type->fields[slot];
        const char *names[] = {rule->column, rule->debit, rule->credit, rule->mark_column, rule->zone_column};
        for (int i = 0; i < COUNT_OF(names); i++) {
            int known = !names[i];
            for (int k = 0; k < bill->column_count && !known; k++)
                known = strcmp(names[i], bill->columns[k]) == 0;
            char hint[400];
            if (!known)
                return bad_at(l, rule->line ? rule->line : 1, rule->line ? rule->column_no : 1, "job.column",
                              near_hint(hint, names[i], bill->columns, bill->column_count),
                              "rows.%s: there is no column \"%s\" in layout.widths", type->name, names[i]);
        }
    }
    return OK;
}

enum err load_profile_fields(struct loader *l, struct source_spec *source, const struct yaml_node *node,
                             const char *section)
{
    static const char *const ROW_NAMES[] = {"fields", "exclude", "occurrence_id"};
    struct bill_spec *bill = source->bill;
    const struct yaml_node *root = bill->root, *rows = yaml_get(root, "rows"),
                           *own_rows = yaml_get(node, "rows");
    const char *job_path = l->path;
    struct where where = below(section, "fields"), where_rows = below(section, "rows");
    enum err err = OK;
    if (own_rows) {
        const char *names[ROW_TYPES_MAX];
        for (int i = 0; i < bill->type_count; i++)
            names[i] = bill->types[i].name;
        err = check_names(l, own_rows, where_rows.text, names, bill->type_count, NULL, 0);
    }
    for (int i = 0; err == OK && i < bill->type_count; i++) {
        struct row_type *type = &bill->types[i];
        const struct yaml_node *row = yaml_get(rows, type->name), *own = yaml_get(own_rows, type->name);
        l->path = bill->path;
        l->in_profile = 1;
        err = read_fields_into(l, yaml_get(root, "fields"), "fields", type->fields);
        if (err == OK)
            err = read_fields_into(l, yaml_get(row, "fields"), below("rows", type->name).text, type->fields);
        if (err == OK)
            err = read_occurrence(l,
                                  yaml_get(row, "occurrence_id") ? yaml_get(row, "occurrence_id")
                                                                 : yaml_get(root, "occurrence_id"),
                                  "occurrence_id", type);
        l->in_profile = 0;
        if (err == OK)
            err = check_type(l, bill, type);
        l->path = job_path;
        struct where at = below(where_rows.text, type->name);
        if (err == OK)
            err = read_fields_into(l, yaml_get(node, "fields"), where.text, type->fields);
        if (err == OK && own)
            err = check_names(l, own, at.text, ROW_NAMES, COUNT_OF(ROW_NAMES), NULL, 0);
        if (err == OK)
            err = read_fields_into(l, yaml_get(own, "fields"), at.text, type->fields);
        if (err == OK && yaml_get(own, "exclude"))
            err = read_bool(l, yaml_get(own, "exclude"), below(at.text, "exclude").text, &type->is_excluded);
        if (err == OK)
            err = read_occurrence(l, yaml_get(node, "occurrence_id"), below(section, "occurrence_id").text,
                                  type);
        if (err == OK)
            err = read_occurrence(l, yaml_get(own, "occurrence_id"), below(at.text, "occurrence_id").text,
                                  type);
        const struct field_rule *amount = &type->fields[FIELD_AMOUNT];
        if (err == OK && !amount->column && !amount->debit)
            err =
                BAD(l, node, "job.missing", NULL, "%s: rows of kind %s have no amount", section, type->name);
        static const unsigned money[] = {FIELD_AMOUNT, FIELD_FEE};
        for (int k = 0; err == OK && bill->decimal && k < COUNT_OF(money); k++)
            if (!type->fields[money[k]].decimal) {
                type->fields[money[k]].decimal = bill->decimal;
                if (type->fields[money[k]].strip && strchr(type->fields[money[k]].strip, bill->decimal))
                    err = BAD(l, node, "job.value", "say `decimal:` of the field, or strip something else",
                              "%s: rows of kind %s: %s strips what decimals stand behind", section,
                              type->name, field_name(money[k]));
            }
        if (err == OK && bill->format == FORMAT_FIXED)
            err = check_fixed_columns(l, bill, type);
    }
    l->path = job_path;
    l->in_profile = 0;
    /* What the rest of the job asks of a side: the fields that its records can have. */
    for (unsigned slot = 0; slot < FIELD_SLOTS; slot++)
        for (int i = 0; i < bill->type_count; i++)
            if (!has_source(&source->fields[slot]) && !bill->types[i].is_excluded)
                source->fields[slot] = bill->types[i].fields[slot];
    return err;
}
