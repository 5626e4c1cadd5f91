/* cli/sheet.c: see sheet.h */
#include "cli/sheet.h"
#include "core/base/formula.h"
#include "core/base/mem.h"
#include <errno.h>
#include <string.h>

enum { BYTES_MAX = 1 << 30, CELLS_MAX = 256 };

struct sheet {
    char path[300];
    char *bytes; /* cells are cut out of it in place */
    size_t size, at;
    char separator;
    int line, next_line;
    char *cells[CELLS_MAX];
    int cell_count;
    char *head[CELLS_MAX];
    int head_count;
};

void sheet_close(struct sheet *sheet)
{
    if (!sheet)
        return;
    mem_give(sheet->bytes);
    mem_give(sheet);
}

static enum err read_all(struct sheet *s, const char *path, struct diag *diag)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return diag_set(diag, ERR_INPUT, "sheet.open",
                        "give a sheet made by: tieout errors list --format=csv", "%s: %s", path,
                        strerror(errno));
    size_t room = 1 << 16;
    enum err err = OK;
    s->bytes = mem_take(room + 1);
    while (s->bytes && err == OK) {
        size_t n = fread(s->bytes + s->size, 1, room - s->size, file);
        s->size += n;
        if (s->size < room)
            break;
        char *grown = room >= BYTES_MAX ? NULL : mem_grow(s->bytes, room * 2 + 1);
        if (room >= BYTES_MAX)
            err = diag_set(diag, ERR_INPUT, "sheet.size", NULL, "%s: more than 1 GiB is no sheet", path);
        else if (!grown)
            err = mem_fail(diag, room * 2, "a sheet");
        else
            s->bytes = grown;
        room *= 2;
    }
    if (!s->bytes)
        err = mem_fail(diag, room, "a sheet");
    if (err == OK && ferror(file))
        err = diag_set_errno(diag, errno ? errno : EIO, "sheet.read", "%s: cannot read it", path);
    fclose(file);
    if (err == OK)
        s->bytes[s->size] = 0;
    return err;
}

/* What makes a formula harmless in a spreadsheet is no part of the text. */
static char *without_apostrophe(char *cell)
{
    return formula_is_marked(span_of(cell)) ? cell + 1 : cell;
}

/* Cuts the next row into cells. */
static int take_row(struct sheet *s, struct diag *diag)
{
    while (s->at < s->size && (s->bytes[s->at] == '\n' || s->bytes[s->at] == '\r')) { /* blank lines */
        s->next_line += s->bytes[s->at] == '\n';
        s->at++;
    }
    if (s->at >= s->size)
        return 0;
    s->line = s->next_line;
    s->cell_count = 0;
    for (;;) {
        char *cell = s->bytes + s->at, *to = cell;
        if (s->bytes[s->at] == '"') {
            size_t from = s->at++;
            for (;; s->at++) {
                if (s->at >= s->size) {
                    diag_set(diag, ERR_INPUT, "sheet.quote", NULL,
                             "%s: line %d: a quote is not closed (byte %zu)", s->path, s->line, from);
                    return -1;
                }
                char c = s->bytes[s->at];
                s->next_line += c == '\n';
                if (c == '"' && s->bytes[s->at + 1] != '"') {
                    s->at++;
                    break;
                }
                s->at += c == '"';
                *to++ = c;
            }
        }
        while (s->at < s->size && s->bytes[s->at] != s->separator && s->bytes[s->at] != '\n' &&
               s->bytes[s->at] != '\r')
            *to++ = s->bytes[s->at++];
        char end = s->at < s->size ? s->bytes[s->at] : '\n';
        if (s->at < s->size)
            s->at++;
        if (end == '\r' && s->at < s->size && s->bytes[s->at] == '\n')
            s->at++;
        *to = 0;
        if (s->cell_count == CELLS_MAX) {
            diag_set(diag, ERR_INPUT, "sheet.cells", NULL, "%s: line %d: more than %d cells", s->path,
                     s->line, CELLS_MAX);
            return -1;
        }
        s->cells[s->cell_count++] = without_apostrophe(cell);
        if (end != s->separator) {
            s->next_line++;
            return 1;
        }
    }
}

enum err sheet_open(struct sheet **out, const char *path, struct diag *diag)
{
    *out = NULL;
    struct sheet *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "a sheet");
    snprintf(s->path, sizeof s->path, "%s", path);
    enum err err = read_all(s, path, diag);
    if (err == OK) {
        s->at = s->size >= 3 && memcmp(s->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        s->next_line = 1;
        const char *head = s->bytes + s->at;
        size_t size = strcspn(head, "\r\n");
        s->separator = memchr(head, '\t', size) ? '\t' : memchr(head, ';', size) ? ';' : ',';
        int got = take_row(s, diag);
        if (got == 0)
            err = diag_set(diag, ERR_INPUT, "sheet.empty", NULL, "%s: is empty", path);
        else if (got < 0)
            err = diag->err;
        s->head_count = s->cell_count;
        memcpy(s->head, s->cells, sizeof s->head);
    }
    if (err != OK) {
        sheet_close(s);
        return err;
    }
    *out = s;
    return OK;
}

int sheet_next(struct sheet *sheet, struct diag *diag)
{
    return take_row(sheet, diag);
}

int sheet_line(const struct sheet *sheet)
{
    return sheet->line;
}

int sheet_column(const struct sheet *sheet, const char *name)
{
    for (int i = 0; i < sheet->head_count; i++)
        if (strcmp(sheet->head[i], name) == 0)
            return i;
    return -1;
}

const char *sheet_cell(const struct sheet *sheet, int column)
{
    return column >= 0 && column < sheet->cell_count ? sheet->cells[column] : "";
}
