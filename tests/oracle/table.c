/* tests/oracle/table.c: see table.h */
#include "tests/oracle/table.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *must_take(size_t size)
{
    return must_grow(NULL, size);
}

void *must_grow(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    if (!p) {
        fprintf(stderr, "oracle: no memory for %zu bytes\n", size);
        exit(4);
    }
    if (!old)
        memset(p, 0, size);
    return p;
}

struct text text_copy(const char *data, size_t size)
{
    struct text t = {must_take(size + 1), size};
    if (size)
        memcpy(t.data, data, size);
    return t;
}

int text_compare(struct text a, struct text b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

int text_is(struct text a, const char *word)
{
    return a.size == strlen(word) && (a.size == 0 || memcmp(a.data, word, a.size) == 0);
}

void text_append(struct text *text, const char *data, size_t size)
{
    size_t need = text->size + size + 1, room = 64;
    /* Room is always the power of two that holds the size, so it need not be stored. */
    while (room < text->size + 1)
        room *= 2;
    if (!text->data || need > room) {
        while (room < need)
            room *= 2;
        text->data = must_grow(text->data, room);
    }
    if (size)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

void csv_start(struct csv_reader *reader, const char *data, size_t size)
{
    *reader = (struct csv_reader){data, size, 0, ',', '"', NULL};
    if (size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        reader->at = 3;
}

static void add_cell(struct csv_row *row, struct text cell)
{
    /* Room is the power of two that holds the count. */
    if ((row->count & (row->count - 1)) == 0)
        row->cells = must_grow(row->cells, (size_t)(row->count ? 2 * row->count : 1) * sizeof *row->cells);
    row->cells[row->count++] = cell;
}

void csv_row_free(struct csv_row *row)
{
    for (int i = 0; i < row->count; i++)
        free(row->cells[i].data);
    free(row->cells);
    *row = (struct csv_row){0};
}

/* Whether a row ends at `at`: at the end of the text, a newline, or a carriage return and a newline. */
static int row_ends(const struct csv_reader *r, size_t at)
{
    return at == r->size || r->data[at] == '\n' ||
           (r->data[at] == '\r' && at + 1 < r->size && r->data[at + 1] == '\n');
}

static void step_over_line_end(struct csv_reader *r, size_t at)
{
    if (at < r->size && r->data[at] == '\r')
        at++;
    if (at < r->size)
        at++;
    r->at = at;
}

static enum csv_step spoil(struct csv_reader *r, struct csv_row *row, size_t at)
{
    size_t start = row->offset;
    csv_row_free(row);
    while (!row_ends(r, at))
        at++;
    row->offset = start;
    row->raw_size = at - start;
    step_over_line_end(r, at);
    return CSV_SPOILED;
}

static int is_quote(const struct csv_reader *r, size_t at)
{
    return r->quote && r->data[at] == r->quote;
}

static enum csv_step cut(struct csv_row *row)
{
    size_t start = row->offset;
    csv_row_free(row);
    row->offset = start;
    return CSV_CUT;
}

enum csv_step csv_next(struct csv_reader *r, struct csv_row *row)
{
    *row = (struct csv_row){0};
    row->offset = r->at;
    if (r->at == r->size)
        return CSV_END;
    if (row_ends(r, r->at)) {
        step_over_line_end(r, r->at);
        return CSV_BLANK;
    }
    size_t at = r->at;
    if (r->comment && r->size - at >= strlen(r->comment) &&
        memcmp(r->data + at, r->comment, strlen(r->comment)) == 0) {
        while (at < r->size && r->data[at] != '\n')
            at++;
        step_over_line_end(r, at);
        return CSV_BLANK;
    }
    for (;;) {
        struct text cell = {0};
        text_append(&cell, "", 0);
        if (at < r->size && is_quote(r, at)) {
            at++;
            for (;; at++) {
                if (at == r->size) {
                    free(cell.data);
                    return cut(row);
                }
                if (is_quote(r, at)) {
                    if (at + 1 == r->size || !is_quote(r, at + 1))
                        break;
                    at++;
                }
                text_append(&cell, r->data + at, 1);
            }
            at++;
        } else {
            for (; !row_ends(r, at) && r->data[at] != r->delimiter && !is_quote(r, at) && r->data[at] != '\r';
                 at++)
                text_append(&cell, r->data + at, 1);
        }
        add_cell(row, cell);
        if (row_ends(r, at))
            break;
        if (r->data[at] == '\r' && at + 1 == r->size)
            return cut(row);
        if (r->data[at] != r->delimiter)
            return spoil(r, row, at);
        at++;
    }
    row->raw_size = at - row->offset;
    step_over_line_end(r, at);
    return CSV_ROW;
}

void csv_append_cell(struct text *out, struct text cell)
{
    int plain = 1;
    for (size_t i = 0; i < cell.size; i++)
        plain &= !strchr(",\"\r\n", cell.data[i]) || cell.data[i] == 0;
    if (plain) {
        text_append(out, cell.data, cell.size);
        return;
    }
    text_append(out, "\"", 1);
    for (size_t i = 0; i < cell.size; i++) {
        if (cell.data[i] == '"')
            text_append(out, "\"", 1);
        text_append(out, cell.data + i, 1);
    }
    text_append(out, "\"", 1);
}

struct table *table_open(const char *const *names, int width)
{
    struct table *t = must_take(sizeof *t);
    t->width = width;
    t->names = must_take((size_t)width * sizeof *t->names);
    for (int i = 0; i < width; i++)
        t->names[i] = text_copy(names[i], strlen(names[i]));
    return t;
}

void table_add(struct table *t, struct text *row)
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 16;
        t->rows = must_grow(t->rows, (size_t)t->room * sizeof *t->rows);
    }
    t->rows[t->count++] = row;
}

struct table *table_parse(const char *data, size_t size, char why[200])
{
    struct csv_reader reader;
    struct csv_row row;
    struct table *t = NULL;
    csv_start(&reader, data, size);
    for (;;) {
        enum csv_step step = csv_next(&reader, &row);
        if (step == CSV_END)
            break;
        if (step != CSV_ROW || (t && row.count != t->width)) {
            snprintf(why, 200, "byte %zu: not a row of the table (step %d, %d cells)", row.offset, (int)step,
                     row.count);
            csv_row_free(&row);
            table_close(t);
            return NULL;
        }
        if (t) {
            table_add(t, row.cells);
        } else {
            t = must_take(sizeof *t);
            t->names = row.cells;
            t->width = row.count;
        }
    }
    if (!t)
        snprintf(why, 200, "there is no header");
    return t;
}

void table_print(const struct table *t, struct text *out)
{
    for (int r = -1; r < t->count; r++)
        for (int i = 0; i < t->width; i++) {
            csv_append_cell(out, r < 0 ? t->names[i] : t->rows[r][i]);
            text_append(out, i + 1 < t->width ? "," : "\n", 1);
        }
}

int table_column(const struct table *t, const char *name)
{
    for (int i = 0; i < t->width; i++)
        if (text_is(t->names[i], name))
            return i;
    return -1;
}

void table_close(struct table *t)
{
    if (!t)
        return;
    for (int r = 0; r < t->count; r++) {
        for (int i = 0; i < t->width; i++)
            free(t->rows[r][i].data);
        free(t->rows[r]);
    }
    for (int i = 0; i < t->width; i++)
        free(t->names[i].data);
    free(t->rows);
    free(t->names);
    free(t);
}
