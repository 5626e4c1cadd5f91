/* io/source/csv_head.c: a file's header, or a bill's head. */
#include "io/source/csv_inner.h"
#include <stdio.h>

enum { HEADER_READ = 64 * 1024, ODD_LINES_MAX = 100000 };

struct header {
    char **names;
    uint32_t count;
};

static int find_name(void *context, const char *name)
{
    const struct header *h = context;
    for (uint32_t i = 0; i < h->count; i++)
        if (strcmp(h->names[i], name) == 0)
            return (int)i;
    return -1;
}

static uint64_t line_length(const uint8_t *bytes, size_t size, size_t at)
{
    const uint8_t *nl = memchr(bytes + at, '\n', size - at);
    return nl ? (uint64_t)(nl - (bytes + at)) + 1 : size - at;
}

enum err csv_read_header(struct csv_source *s, uint32_t index, struct diag *diag)
{
    struct input_file *input = &s->set.files[index];
    struct csv_file *file = &s->files[index];
    const struct layout *layout = &s->spec->layout;
    const char *path = input->path;
    uint32_t room = HEADER_READ;
    uint8_t *bytes = NULL, *scratch = NULL;
    struct cell *cells = mem_take((CSV_COLUMNS_MAX + 1) * sizeof *cells);
    enum err err = cells ? OK : mem_fail(diag, CSV_COLUMNS_MAX * sizeof *cells, "a header");
    struct csv_row row;
    for (; err == OK; room = room < CSV_ROW_MAX ? CSV_ROW_MAX + HEADER_READ : room) {
        mem_give(bytes);
        mem_give(scratch);
        bytes = mem_take(room + IO_SLACK);
        scratch = mem_take(room + IO_SLACK);
        if (!bytes || !scratch) {
            err = mem_fail(diag, room, "a header");
            break;
        }
        ssize_t n = input_read(input, bytes, room, 0, diag);
        if (n < 0) {
            err = diag->err;
            break;
        }
        uint32_t size = (uint32_t)n;
        int at_end = (uint64_t)n >= input_size(input);
        if (n == 0) {
            err = diag_set(
                diag, ERR_INPUT, "file.empty",
                "an empty day has a header line and no rows; 0 bytes means that the file was not delivered",
                "%s holds nothing (0 bytes)", path);
            break;
        }
        const char *kind = file_looks_like(bytes, size);
        if (kind) {
            err = diag_set(diag, ERR_INPUT, "file.kind", "unpack or convert it, or name the right file",
                           "%s is not CSV: it looks like %s", path, kind);
            break;
        }
        uint32_t at = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        for (int i = 0; i < layout->skip_lines && at < size; i++)
            at += (uint32_t)line_length(bytes, size, at);
        while (layout->comment && at < size &&
               strncmp((const char *)bytes + at, layout->comment, strlen(layout->comment)) == 0)
            at += (uint32_t)line_length(bytes, size, at);
        if (!layout->has_header) {
            file->data_begin = at;
            file->column_count = (uint32_t)layout->column_count;
            break;
        }
        enum csv_row_end end = at < size ? csv_row_read(&s->dialect, bytes, size, at, at_end, cells,
                                                        CSV_COLUMNS_MAX + 1, scratch, &row)
                                         : CSV_ROW_UNFINISHED;
        if (end == CSV_ROW_UNFINISHED && !at_end && room < CSV_ROW_MAX)
            continue; /* a long header: once more with room for the longest row */
        if (end == CSV_ROW_SPOILED)
            err = diag_set(
                diag, ERR_INPUT, "csv.header", "is this the right file? The first row must name the columns",
                "%s: line 1: the header has a %s in column %u", path,
                row.code == REJECT_CR ? "carriage return that ends no line" : "quote where none may stand",
                row.bad_cell + 1);
        else if (end == CSV_ROW_BLANK)
            err = diag_set(diag, ERR_INPUT, "csv.header", "the first row must name the columns",
                           "%s: line 1 is blank where the header should be", path);
        else if (end == CSV_ROW_UNFINISHED)
            err = diag_set(diag, ERR_INPUT, "csv.header",
                           "is this the right file? The first row must name the columns",
                           at >= size          ? "%s: the file ends before its header"
                           : row.ends_in_quote ? "%s: line 1: a quote is opened and never closed"
                                               : "%s: line 1: the header is longer than 1 MiB",
                           path);
        else if (row.cells > CSV_COLUMNS_MAX)
            err =
                diag_set(diag, ERR_INPUT, "csv.header",
                         "is this the right file, and its delimiter the one that the job names?",
                         "%s: line 1 has %u columns; at most %d are read", path, row.cells, CSV_COLUMNS_MAX);
        else {
            file->data_begin = row.next;
            file->column_count = row.cells;
        }
        break;
    }
    if (err == OK) {
        file->names = mem_take_zero(file->column_count + 1, sizeof *file->names);
        if (!file->names)
            err = mem_fail(diag, file->column_count * sizeof *file->names, "a header");
    }
    for (uint32_t i = 0; err == OK && i < file->column_count; i++) {
        struct span name = layout->has_header ? cell_span(&cells[i]) : span_of(layout->columns[i]);
        file->names[i] = mem_copy_text(name.data, name.size);
        if (!file->names[i]) {
            err = mem_fail(diag, name.size, "a header");
            break;
        }
        for (uint32_t k = 0; k < i && name.size && file->column_count <= 2000; k++)
            if (strcmp(file->names[k], file->names[i]) == 0) {
                err = diag_set(diag, ERR_INPUT, "csv.header",
                               "rename one of them; tieout will not guess which is meant",
                               "%s: line 1: columns %u and %u are both named \"%s\"", path, k + 1, i + 1,
                               file->names[i]);
                break;
            }
    }
    if (err == OK) {
        struct header header = {file->names, file->column_count};
        err = normalizer_open(&file->normalizer, s->config.shared, s->config.side, path, NULL, find_name,
                              &header, diag);
        if (err != OK && diag->hint[0] && file->column_count) { /* say what is there */
            char list[300];
            size_t used = 0;
            for (uint32_t i = 0; i < file->column_count && used + 40 < sizeof list; i++)
                used += (size_t)snprintf(list + used, sizeof list - used, "%s%.32s", i ? ", " : "",
                                         file->names[i]);
            snprintf(diag->hint, sizeof diag->hint, "the file's first line names: %s", list);
        }
    }
    if (err == OK)
        file->wanted = normalizer_columns(file->normalizer, &file->wanted_count);
    mem_give(cells);
    mem_give(bytes);
    mem_give(scratch);
    return err;
}

/* The date that stands in a file's name, as yymmdd behind a text. */
static uint16_t name_date(const char *path, const char *behind)
{
    const char *slash = strrchr(path, '/'), *at = behind ? strstr(slash ? slash : path, behind) : NULL;
    char text[9] = "20";
    if (!at || strlen(at) < strlen(behind) + 6)
        return DAY_NONE;
    memcpy(text + 2, at + strlen(behind), 6);
    return day_parse(text, 8);
}

enum err csv_add_odd(struct csv_source *s, struct csv_bill_file *b, const struct csv_odd_line *line,
                     const char *path, struct diag *diag)
{
    enum err err = OK;
    pthread_mutex_lock(&s->lock);
    if (b->odd_count == ODD_LINES_MAX)
        err = diag_set(diag, ERR_INPUT, "bill.lines",
                       "is this the right profile? tieout inspect --explain FILE tells",
                       "%s: more than %d lines are no rows of this layout", path, ODD_LINES_MAX);
    if (err == OK)
        err = mem_list_more(&b->odd, b->odd_count, &b->odd_room, 64, "a bill's lines", diag);
    if (err == OK)
        b->odd[b->odd_count++] = *line;
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* Finds where a bill's rows begin, and compiles each kind of row against its columns. */
enum err csv_read_bill_head(struct csv_source *s, uint32_t index, struct diag *diag)
{
    struct input_file *input = &s->set.files[index];
    struct csv_file *file = &s->files[index];
    const struct bill_spec *spec = s->spec->bill;
    struct csv_bill_file *b = file->bill = mem_take_zero(1, sizeof *b);
    if (!b)
        return mem_fail(diag, sizeof *b, "a bill");
    uint8_t *bytes = NULL;
    uint32_t size = 0;
    enum err err = OK;
    int more = 1;
    for (uint32_t room = HEADER_READ; err == OK && more && room <= CSV_ROW_MAX + HEADER_READ;
         room = room < CSV_ROW_MAX ? CSV_ROW_MAX + HEADER_READ : 2 * room) {
        mem_give(bytes);
        bytes = mem_take(room + IO_SLACK);
        if (!bytes) {
            err = mem_fail(diag, room, "a header");
            break;
        }
        ssize_t n = input_read(input, bytes, room, 0, diag);
        if (n < 0) {
            err = diag->err;
            break;
        }
        size = (uint32_t)n;
        err = bill_open(&b->bill, spec, bytes, size, size < room || size >= input_size(input), input->path,
                        &more, diag);
        const char *kind = err == ERR_INPUT ? file_looks_like(bytes, size) : NULL;
        if (kind) {
            *diag = (struct diag){0};
            err = diag_set(diag, ERR_INPUT, "file.kind", "unpack or convert it, or name the right file",
                           "%s is no %s bill: it looks like %s", input->path, spec->name, kind);
        }
    }
    if (err == OK && more)
        err = diag_set(diag, ERR_INPUT, "bill.header", "is this the right file?",
                       "%s: a line among the first is longer than 1 MiB", input->path);
    if (err == OK && bill_head(b->bill) != BILL_ROWS) {
        file->data_begin = input_size(input);
        mem_give(bytes);
        return OK;
    }
    if (err == OK) {
        file->data_begin = bill_rows_begin(b->bill);
        bill_names(b->bill, &file->column_count);
        b->separators = bill_separators(b->bill);
        struct norm_rows rows = {.charset = spec->charset, .date = name_date(input->path, spec->name_date)};
        /* Bills of payments only lack the columns of refunds, and so on: a kind whose columns are not there is one
         * that this file cannot have, and a row of it is a reject. */
        struct diag first = {0};
        int possible = 0;
        for (int t = 0; err == OK && t < spec->type_count; t++) {
            struct csv_row_kind *kind = &b->kinds[t];
            struct diag lacks = {0};
            rows.type = &spec->types[t];
            enum err err_now = normalizer_open_rows(&kind->normalizer, s->config.shared, s->config.side,
                                                    &rows, input->path, bill_find, b->bill, &lacks);
            if (err_now == OK)
                kind->wanted = normalizer_columns(kind->normalizer, &kind->wanted_count);
            else if (err_now != ERR_INPUT)
                *diag = lacks;
            else if (!(kind->lacks = mem_copy_text(lacks.what, strlen(lacks.what))))
                err_now = mem_fail(diag, sizeof lacks.what, "a header");
            if (err_now == ERR_INPUT && first.err == OK)
                first = lacks;
            err = err_now == ERR_INPUT ? OK : err_now;
            possible |= err_now == OK && !spec->types[t].is_excluded;
        }
        if (err == OK && !possible) {
            *diag = first;
            err = first.err;
        }
    }
    /* The head's lines may say something of the whole: a report's first row. */
    for (uint32_t at = 0; err == OK && at < file->data_begin;) {
        const uint8_t *newline = memchr(bytes + at, '\n', size - at);
        uint32_t next = newline ? (uint32_t)(newline - bytes) + 1 : size;
        uint32_t end = newline ? next - 1 : size;
        end -= end > at && bytes[end - 1] == '\r';
        struct csv_odd_line line = {.at = at, .size = end - at, .is_head = 1};
        if (line.size)
            err = csv_add_odd(s, b, &line, input->path, diag);
        at = next;
    }
    mem_give(bytes);
    return err;
}
