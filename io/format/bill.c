/* io/format/bill.c: see bill.h */
#include "io/format/bill.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/to_utf8.h"
#include "io/format/answer.h"
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEAD_LINES_MAX = 400, HEAD_TEXT = 4096, WORD_ROOM = 256 };

/* A word in the file's charset. */
struct word {
    char *bytes;
    uint32_t size;
    int type;
    int is_prefix, is_suffix; /* "T00*", "*_hold" */
};

struct compiled_total {
    int column, where_column; /* -1: none */
    struct word where;
};

struct bill {
    const struct bill_spec *spec;
    uint8_t dropped[256]; /* 1: taken off both ends of a cell */
    enum bill_head head;
    struct csv_dialect dialect; /* of the scanner */
    struct csv_dialect header_dialect;
    uint32_t rows_begin, count;
    uint32_t shift; /* empty cells before the first: 1 with a prefix */
    char **names;
    uint32_t *offsets; /* fixed */
    uint32_t row_size; /* fixed: without the line end */
    int type_column, free_column;
    int guarded[16], guarded_count;
    struct word *words;
    uint32_t word_count;
    struct compiled_total totals[TOTALS_MAX];
    int group_column;
    struct word comment, header_mark, row_mark;
};

/* ---- text ---- */

static inline struct span trim(const struct bill *bill, struct span text)
{
    while (text.size && bill->dropped[(uint8_t)text.data[0]]) {
        text.data++;
        text.size--;
    }
    while (text.size && bill->dropped[(uint8_t)text.data[text.size - 1]])
        text.size--;
    return text;
}

/* UTF-8 -> the file's charset. A word that the charset does not have is in no file of it. */
static enum err word_open(struct word *word, const char *text, const char *charset, struct diag *diag)
{
    size_t size = strlen(text), room = 4 * size + 1;
    word->bytes = mem_take(room);
    if (!word->bytes)
        return mem_fail(diag, room, "a profile's words");
    if (!charset) {
        memcpy(word->bytes, text, size);
        word->size = (uint32_t)size;
        return OK;
    }
    iconv_t handle = iconv_open(charset, "UTF-8");
    if (handle == (iconv_t)-1)
        return diag_set(diag, ERR_MACHINE, "charset", "install the C library's gconv modules",
                        "this machine cannot convert %s", charset);
    char *from = (char *)text, *to = word->bytes;
    size_t from_left = size, to_left = room;
    size_t bad = iconv(handle, &from, &from_left, &to, &to_left);
    iconv_close(handle);
    if (bad == (size_t)-1)
        return diag_set(diag, ERR_USAGE, "charset", NULL, "the profile's word \"%s\" does not exist in %s",
                        text, charset);
    word->size = (uint32_t)(room - to_left);
    return OK;
}

/* A word that may end or begin with *. */
static enum err pattern_open(struct word *word, const char *text, const char *charset, struct diag *diag)
{
    size_t n = strlen(text);
    word->is_suffix = n > 1 && text[0] == '*';
    word->is_prefix = n > 1 && text[n - 1] == '*';
    enum err err = word_open(word, text + word->is_suffix, charset, diag);
    word->size -= (uint32_t)(err == OK && word->is_prefix);
    return err;
}

static int word_is(const struct word *word, struct span text)
{
    if (word->is_prefix)
        return text.size >= word->size && memcmp(text.data, word->bytes, word->size) == 0;
    if (word->is_suffix)
        return text.size >= word->size &&
               memcmp(text.data + text.size - word->size, word->bytes, word->size) == 0;
    return text.size == word->size && memcmp(text.data, word->bytes, word->size) == 0;
}

static char *utf8_copy(const char *charset, struct span text)
{
    if (!charset || text_is_ascii(text))
        return mem_copy_text(text.data, text.size);
    struct to_utf8 conversion;
    to_utf8_open(&conversion);
    char *wide = mem_take(text.size * 4 + 1);
    size_t size = wide ? to_utf8_convert(&conversion, charset, text, wide, text.size * 4) : SIZE_MAX;
    to_utf8_close(&conversion);
    char *copy = size == SIZE_MAX ? NULL : mem_copy_text(wide, size);
    if (wide && size == SIZE_MAX)
        copy = mem_copy_text("\xef\xbf\xbd", 3); /* no name that a profile could ask for */
    mem_give(wide);
    return copy;
}

/* ---- the head ---- */

static int has_text(const struct bill_spec *spec, const char *const *texts, int count, const uint8_t *bytes,
                    uint32_t size)
{
    for (int i = 0; i < count; i++) {
        struct word word = {0};
        struct diag ignored = {0};
        int found = word_open(&word, texts[i], spec->charset, &ignored) == OK &&
                    memmem(bytes, size < HEAD_TEXT ? size : HEAD_TEXT, word.bytes, word.size) != NULL;
        mem_give(word.bytes);
        if (found)
            return 1;
    }
    return 0;
}

static void free_names(struct bill *bill)
{
    for (uint32_t i = 0; bill->names && i < bill->count; i++)
        mem_give(bill->names[i]);
    mem_give(bill->names);
    bill->names = NULL;
    bill->count = 0;
}

/* Whether this row is the header: all names by which it is known are in it. */
static enum err is_header(struct bill *bill, const struct cell *cells, uint32_t count, int *is,
                          struct diag *diag)
{
    const struct bill_spec *spec = bill->spec;
    *is = 0;
    if (count < (uint32_t)spec->header_count || count > CSV_COLUMNS_MAX)
        return OK;
    bill->names = mem_take_zero(count + 1, sizeof *bill->names);
    if (!bill->names)
        return mem_fail(diag, count * sizeof *bill->names, "a header");
    bill->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct span name = cell_span(&cells[i]);
        if (spec->prefix && name.size &&
            name.data[0] == spec->prefix) { /* some headers have it, most do not */
            name.data++;
            name.size--;
        }
        if (!(bill->names[i] = utf8_copy(spec->charset, trim(bill, name))))
            return mem_fail(diag, name.size, "a header");
    }
    for (int i = 0; i < spec->header_count; i++)
        if (bill_find(bill, spec->header[i]) < 0) {
            free_names(bill);
            return OK;
        }
    if (spec->header_mark && strcmp(bill->names[0], spec->header_mark) != 0) {
        free_names(bill);
        return OK;
    }
    *is = 1;
    return OK;
}

static enum err check_doubled(const struct bill *bill, const char *path, struct diag *diag)
{
    for (uint32_t i = 0; i < bill->count && bill->count <= 2000; i++)
        for (uint32_t k = 0; k < i && bill->names[i][0]; k++)
            if (strcmp(bill->names[k], bill->names[i]) == 0)
                return diag_set(
                    diag, ERR_INPUT, "csv.header", "rename one of them; tieout will not guess which is meant",
                    "%s: columns %u and %u are both named \"%s\"", path, k + 1, i + 1, bill->names[i]);
    return OK;
}

/* Goes through the first lines until one is the header. Lines before it may be comments, titles and the like, but
 * never as wide as the header: that would be a row that nobody reads. Where the first cell says what a row is, it says it of them too. */
static enum err find_header(struct bill *bill, const uint8_t *bytes, uint32_t size, int at_end,
                            const char *path, int *more, struct diag *diag)
{
    const struct bill_spec *spec = bill->spec;
    uint32_t at = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, lines = 0, widest = 0;
    struct cell *cells = mem_take((CSV_COLUMNS_MAX + 1) * sizeof *cells);
    uint8_t *scratch = mem_take(size + 1);
    enum err err = cells && scratch ? OK : mem_fail(diag, CSV_COLUMNS_MAX * sizeof *cells, "a header");
    int found = 0;
    for (; err == OK && !found && at < size && lines < HEAD_LINES_MAX; lines++) {
        struct csv_row row;
        enum csv_row_end end = csv_row_read(&bill->header_dialect, bytes, size, at, at_end, cells,
                                            CSV_COLUMNS_MAX + 1, scratch, &row);
        if (end == CSV_ROW_UNFINISHED) {
            *more = !at_end;
            break;
        }
        if (end == CSV_ROW_WHOLE && !bill_is_comment(bill, bytes + at, row.size)) {
            err = is_header(bill, cells, row.cells, &found, diag);
            int may_be_row =
                !bill->row_mark.bytes || word_is(&bill->row_mark, trim(bill, cell_span(&cells[0])));
            if (!found && may_be_row && row.cells > widest)
                widest = row.cells;
        }
        at = row.next;
    }
    mem_give(cells);
    mem_give(scratch);
    if (err != OK || *more)
        return err;
    bill->rows_begin = at;
    if (found && widest >= bill->count)
        return diag_set(
            diag, ERR_INPUT, "bill.header", "take out what stands before the header, or get the bill again",
            "%s: a line before the header has as many cells as the header: are rows before it?", path);
    if (found)
        return check_doubled(bill, path, diag);
    bill->head =
        has_text(spec, spec->companion, spec->companion_count, bytes, size) ? BILL_COMPANION : BILL_ROWS;
    for (int i = 0; bill->head == BILL_ROWS && i < spec->empty_count && at_end; i++)
        if (answer_says(bytes, size, spec->empty[i]))
            bill->head = BILL_EMPTY;
    if (bill->head != BILL_ROWS)
        return OK;
    char wanted[300];
    size_t used = 0;
    for (int i = 0; i < spec->header_count && used + 60 < sizeof wanted; i++)
        used +=
            (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%.48s", i ? ", " : "", spec->header[i]);
    return diag_set(diag, ERR_INPUT, "bill.header",
                    "is it another kind of bill, or another charset? tieout inspect --explain FILE says "
                    "which profile fits",
                    "%s: no line among the first %u names the columns that profile %s knows it by (%s)", path,
                    lines, spec->name, wanted);
}

static enum err open_fixed(struct bill *bill, struct diag *diag)
{
    const struct bill_spec *spec = bill->spec;
    bill->count = (uint32_t)spec->column_count;
    bill->names = mem_take_zero(bill->count + 1, sizeof *bill->names);
    bill->offsets = mem_take_zero(bill->count + 1, sizeof *bill->offsets);
    if (!bill->names || !bill->offsets)
        return mem_fail(diag, bill->count * sizeof *bill->names, "a layout");
    uint32_t at = 0;
    for (uint32_t i = 0; i < bill->count; i++) {
        if (!(bill->names[i] = mem_copy_text(spec->columns[i], strlen(spec->columns[i]))))
            return mem_fail(diag, 0, "a layout");
        bill->offsets[i] = at;
        at += (uint32_t)spec->widths[i];
        bill->row_size = at;
        at += (uint32_t)spec->gap;
    }
    return OK;
}

static enum err column_of(struct bill *bill, const char *name, const char *path, int *column,
                          struct diag *diag)
{
    *column = name ? bill_find(bill, name) : -1;
    if (!name || *column >= 0)
        return OK;
    return diag_set(
        diag, ERR_INPUT, "columns", "is this the right profile? tieout inspect --explain FILE tells",
        "%s: there is no column \"%s\", which the profile %s needs", path, name, bill->spec->name);
}

static enum err compile(struct bill *bill, const char *path, struct diag *diag)
{
    const struct bill_spec *spec = bill->spec;
    enum err err = column_of(bill, spec->type_column, path, &bill->type_column, diag);
    if (err == OK)
        err = column_of(bill, spec->free_text, path, &bill->free_column, diag);
    if (err == OK)
        err = column_of(bill, spec->group_column, path, &bill->group_column, diag);
    for (int i = 0; err == OK && i < spec->guarded_count; i++)
        err = column_of(bill, spec->guarded[i], path, &bill->guarded[bill->guarded_count++], diag);
    uint32_t count = 0;
    for (int t = 0; t < spec->type_count; t++)
        count += (uint32_t)spec->types[t].when_count;
    bill->words = mem_take_zero(count + 1, sizeof *bill->words);
    if (err == OK && !bill->words)
        err = mem_fail(diag, count * sizeof *bill->words, "a profile's words");
    for (int t = 0; err == OK && t < spec->type_count; t++)
        for (int i = 0; err == OK && i < spec->types[t].when_count; i++) {
            struct word *word = &bill->words[bill->word_count++];
            word->type = t;
            err = pattern_open(word, spec->types[t].when[i], spec->charset, diag);
        }
    for (int i = 0; err == OK && i < spec->total_count; i++) {
        const struct total *total = &spec->totals[i];
        struct compiled_total *c = &bill->totals[i];
        c->column =
            total->column ? bill_find(bill, total->column) : -1; /* asked for when the trailer is there */
        c->where_column = -1;
        if (total->where_column)
            err = column_of(bill, total->where_column, path, &c->where_column, diag);
        if (err == OK && total->where_word)
            err = word_open(&c->where, total->where_word, spec->charset, diag);
    }
    return err;
}

enum err bill_open(struct bill **out, const struct bill_spec *spec, const uint8_t *bytes, uint32_t size,
                   int at_end, const char *path, int *more, struct diag *diag)
{
    *out = NULL;
    *more = 0;
    struct bill *bill = mem_take_zero(1, sizeof *bill);
    if (!bill)
        return mem_fail(diag, sizeof *bill, "a bill's layout");
    bill->spec = spec;
    for (const char *c = spec->trim; c && *c; c++)
        bill->dropped[(uint8_t)*c] = 1;
    bill->type_column = bill->free_column = bill->group_column = -1;
    bill->shift = spec->prefix != 0;
    bill->dialect =
        (struct csv_dialect){(uint8_t)(spec->prefix ? spec->prefix : spec->delimiter), (uint8_t)spec->quote};
    bill->header_dialect = (struct csv_dialect){(uint8_t)spec->delimiter, (uint8_t)spec->quote};
    enum err err = OK;
    if (spec->comment)
        err = word_open(&bill->comment, spec->comment, spec->charset, diag);
    if (err == OK && spec->row_mark)
        err = pattern_open(&bill->row_mark, spec->row_mark, spec->charset, diag);
    if (err == OK)
        err = spec->format == FORMAT_FIXED ? open_fixed(bill, diag)
                                           : find_header(bill, bytes, size, at_end, path, more, diag);
    if (err == OK && !*more && bill->head == BILL_ROWS)
        err = compile(bill, path, diag);
    if (err != OK || *more) {
        bill_close(bill);
        return err;
    }
    *out = bill;
    return OK;
}

void bill_close(struct bill *bill)
{
    if (!bill)
        return;
    free_names(bill);
    mem_give(bill->offsets);
    for (uint32_t i = 0; i < bill->word_count; i++)
        mem_give(bill->words[i].bytes);
    mem_give(bill->words);
    for (int i = 0; i < TOTALS_MAX; i++)
        mem_give(bill->totals[i].where.bytes);
    mem_give(bill->comment.bytes);
    mem_give(bill->row_mark.bytes);
    mem_give(bill);
}

enum bill_head bill_head(const struct bill *bill)
{
    return bill->head;
}

uint32_t bill_rows_begin(const struct bill *bill)
{
    return bill->rows_begin;
}

char *const *bill_names(const struct bill *bill, uint32_t *count)
{
    *count = bill->count;
    return bill->names;
}

int bill_find(void *context, const char *name)
{
    const struct bill *bill = context;
    for (uint32_t i = 0; i < bill->count; i++)
        if (strcmp(bill->names[i], name) == 0)
            return (int)i;
    return -1;
}

struct csv_dialect bill_dialect(const struct bill *bill)
{
    return bill->dialect;
}

uint32_t bill_separators(const struct bill *bill)
{
    return bill->spec->format == FORMAT_FIXED ? 1 : bill->count + bill->shift;
}

/* ---- rows ---- */

uint32_t bill_record_size(const struct bill *bill)
{
    return bill->spec->is_endless ? bill->row_size : 0;
}

/* Of fixed widths without line ends. */
static enum csv_row_end read_record(const struct bill *bill, const uint8_t *record, uint32_t left,
                                    uint32_t at, struct cell *cells, uint32_t room, struct csv_row *row)
{
    if (left < bill->row_size)
        return CSV_ROW_UNFINISHED;
    row->size = bill->row_size;
    row->next = at + bill->row_size;
    row->cells = bill->count;
    for (uint32_t i = 0; i < bill->count && i < room; i++)
        cells[i] = (struct cell){.data = (const char *)record + bill->offsets[i],
                                 .size = (uint32_t)bill->spec->widths[i],
                                 .kind = CELL_TEXT};
    return CSV_ROW_WHOLE;
}

int bill_is_comment(const struct bill *bill, const uint8_t *row, uint32_t size)
{
    return bill->comment.size && size >= bill->comment.size &&
           memcmp(row, bill->comment.bytes, bill->comment.size) == 0;
}

/* Cells of a row that holds more delimiters than the header has columns, or a prefix inside a cell. */
static uint32_t cut_by_prefix(const struct bill *bill, const uint8_t *row, uint32_t size, struct cell *cells,
                              uint32_t room)
{
    const uint8_t prefix = bill->dialect.delimiter, delimiter = bill->header_dialect.delimiter;
    if (size == 0 || row[0] != prefix)
        return 0;
    uint32_t count = 0, from = 1;
    for (uint32_t i = 1; i <= size; i++) {
        if (i < size && !(row[i] == delimiter && i + 1 < size && row[i + 1] == prefix))
            continue;
        if (count < room)
            cells[count] =
                (struct cell){.data = (const char *)row + from, .size = i - from, .kind = CELL_TEXT};
        count++;
        from = i + 2;
        i++;
    }
    return count;
}

/* More cells than columns: the surplus belongs to the one column that may hold delimiters, if every column that must
 * end in the guard then does. */
static int mend(const struct bill *bill, struct cell *cells, uint32_t count)
{
    uint32_t surplus = count - bill->count, at = (uint32_t)bill->free_column;
    if (bill->guarded_count == 0)
        return 0;
    for (int i = 0; i < bill->guarded_count; i++) {
        uint32_t column = (uint32_t)bill->guarded[i];
        const struct cell *cell = &cells[column > at ? column + surplus : column];
        if (column == at || cell->size == 0 || cell->data[cell->size - 1] != bill->spec->guard)
            return 0;
    }
    cells[at].size = (uint32_t)(cells[at + surplus].data + cells[at + surplus].size - cells[at].data);
    memmove(cells + at + 1, cells + at + 1 + surplus, (bill->count - at - 1) * sizeof *cells);
    return 1;
}

enum csv_row_end bill_row_read(const struct bill *bill, const uint8_t *bytes, uint32_t size, uint32_t at,
                               int at_end, struct cell *cells, uint32_t room, uint8_t *scratch,
                               struct csv_row *row)
{
    if (bill->spec->format != FORMAT_FIXED && !bill->shift) {
        enum csv_row_end end =
            csv_row_read(&bill->dialect, bytes, size, at, at_end, cells, room, scratch, row);
        if (end == CSV_ROW_WHOLE && bill->free_column >= 0 && row->cells > bill->count &&
            row->cells <= room && mend(bill, cells, row->cells))
            row->cells = bill->count;
        return end;
    }
    *row = (struct csv_row){.bad_cell = UINT32_MAX};
    if (bill->spec->is_endless)
        return read_record(bill, bytes + at, size - at, at, cells, room, row);
    const uint8_t *newline = memchr(bytes + at, '\n', size - at);
    if (!newline && !at_end)
        return CSV_ROW_UNFINISHED;
    uint32_t end = newline ? (uint32_t)(newline - bytes) : size;
    row->next = newline ? end + 1 : size;
    end -= newline && end > at && bytes[end - 1] == '\r';
    row->size = end - at;
    if (row->size == 0)
        return CSV_ROW_BLANK;
    const uint8_t *cr = memchr(bytes + at, '\r', row->size);
    if (cr && !(at_end && !newline && cr + 1 == bytes + end)) {
        row->code = REJECT_CR;
        return CSV_ROW_SPOILED;
    }
    if (bill->shift) {
        row->cells = cut_by_prefix(bill, bytes + at, row->size, cells, room);
    } else if (row->size == bill->row_size) {
        row->cells = bill->count;
        for (uint32_t i = 0; i < bill->count && i < room; i++)
            cells[i] = (struct cell){.data = (const char *)bytes + at + bill->offsets[i],
                                     .size = (uint32_t)bill->spec->widths[i],
                                     .kind = CELL_TEXT};
    }
    return CSV_ROW_WHOLE;
}

int bill_row_fits(const struct bill *bill, const struct bill_row *row)
{
    if (bill->spec->format == FORMAT_FIXED)
        return row->end - row->begin == bill->row_size;
    if (!bill->shift)
        return 1;
    const uint8_t delimiter = bill->header_dialect.delimiter;
    if (row->seps[0] != row->begin)
        return 0;
    for (uint32_t i = 1; i < bill->count; i++)
        if (row->bytes[row->seps[i] - 1] != delimiter)
            return 0;
    return 1;
}

struct cell bill_cell(const struct bill *bill, struct bill_row *row, int column)
{
    struct cell cell;
    if (row->cells) {
        cell = row->cells[column];
    } else if (bill->offsets) {
        cell = (struct cell){.data = (const char *)row->bytes + row->begin + bill->offsets[column],
                             .size = (uint32_t)bill->spec->widths[column],
                             .kind = CELL_TEXT};
    } else {
        uint32_t c = (uint32_t)column + bill->shift, from = c ? row->seps[c - 1] + 1 : row->begin,
                 to = row->seps[c] < row->end ? row->seps[c] : row->end;
        to -= bill->shift && (uint32_t)column + 1 < bill->count; /* the delimiter before the next prefix */
        cell = (struct cell){.data = (const char *)row->bytes + from, .size = to - from, .kind = CELL_TEXT};
        if (bill->dialect.quote && cell.size && *(const uint8_t *)cell.data == bill->dialect.quote) {
            csv_unquote(&bill->dialect, &cell, row->scratch);
            if ((const uint8_t *)cell.data == row->scratch)
                row->scratch += cell.size;
        }
    }
    struct span text = trim(bill, cell_span(&cell));
    cell.data = text.data;
    cell.size = (uint32_t)text.size;
    return cell;
}

int bill_is_row(const struct bill *bill, struct bill_row *row)
{
    if (!bill->row_mark.bytes)
        return 1;
    struct cell cell = bill_cell(bill, row, 0);
    return word_is(&bill->row_mark, cell_span(&cell));
}

int bill_type(const struct bill *bill, struct bill_row *row)
{
    if (bill->type_column < 0)
        return 0;
    struct cell cell = bill_cell(bill, row, bill->type_column);
    struct span text = cell_span(&cell);
    for (uint32_t i = 0; i < bill->word_count; i++)
        if (word_is(&bill->words[i], text))
            return bill->words[i].type;
    return -1;
}

/* ---- totals ---- */

const struct bill_spec *bill_spec(const struct bill *bill)
{
    return bill->spec;
}

char *bill_text(const struct bill *bill, const uint8_t *bytes, uint32_t size)
{
    return utf8_copy(bill->spec->charset, (struct span){(const char *)bytes, size});
}

int bill_has_totals(const struct bill *bill)
{
    return bill->spec->total_count > 0;
}

int bill_number(const struct bill *bill, struct span text, int64_t *number)
{
    char point[MONEY_TEXT_MAX];
    if (bill->spec->decimal == ',')
        text = (struct span){point, money_uncomma(text.data, text.size, point)};
    return text.size && money_parse(text.data, text.size, number);
}

static struct bill_sums *group_of(struct bill_totals *totals, struct span name)
{
    for (uint32_t i = 0; i < totals->count; i++)
        if (span_is(name, totals->groups[i].name))
            return &totals->groups[i];
    if (totals->count == BILL_GROUPS_MAX || name.size >= BILL_GROUP_NAME || memchr(name.data, 0, name.size)) {
        totals->is_bad = 1;
        return NULL;
    }
    struct bill_sums *group = &totals->groups[totals->count++];
    memset(group, 0, sizeof *group);
    memcpy(group->name, name.data, name.size);
    return group;
}

void bill_add_totals(const struct bill *bill, struct bill_row *row, int type, struct bill_totals *totals)
{
    const struct bill_spec *spec = bill->spec;
    struct span name = {"", 0};
    if (bill->group_column >= 0) {
        struct cell cell = bill_cell(bill, row, bill->group_column);
        name = cell_span(&cell);
    }
    struct bill_sums *group = group_of(totals, name);
    for (int i = 0; group && i < spec->total_count; i++) {
        const struct total *total = &spec->totals[i];
        const struct compiled_total *c = &bill->totals[i];
        int64_t number = 1000000;
        if (total->type >= 0 && total->type != type)
            continue;
        if (c->where_column >= 0) {
            struct cell cell = bill_cell(bill, row, c->where_column);
            if (total->where_word && !word_is(&c->where, cell_span(&cell)))
                continue;
            if (total->non_zero &&
                (cell.size == 0 || !bill_number(bill, cell_span(&cell), &number) || number == 0))
                continue;
            number = 1000000;
        }
        if (total->column) {
            if (c->column < 0)
                continue;
            struct cell cell = bill_cell(bill, row, c->column);
            if (cell.size == 0)
                continue;
            if (!bill_number(bill, cell_span(&cell), &number)) {
                totals->is_bad = 1;
                continue;
            }
        }
        group->sum[i] += number;
    }
}

void bill_merge_totals(struct bill_totals *into, const struct bill_totals *from)
{
    into->is_bad |= from->is_bad;
    for (uint32_t i = 0; i < from->count; i++) {
        struct bill_sums *group = group_of(into, span_of(from->groups[i].name));
        for (int k = 0; group && k < TOTALS_MAX; k++)
            group->sum[k] += from->groups[i].sum[k];
    }
}
