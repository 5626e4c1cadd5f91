/* io/source/csv_source.c: CSV files, decoded in parallel.
 *
 * A file is cut into chunks of equal size. Chunk i owns the rows that begin behind the first newline at or
 * after its first byte, up to and with the one that begins behind the first newline at or after the next
 * chunk's first byte. Whether that newline ends a row or stands inside quotes is the one thing that a chunk
 * must know from those before, and since a stray quote spoils its row only up to the next newline (SPEC.md
 * section 2), one bit is enough. A chunk without quotes hands on what it was handed, so it says so as soon as
 * its bytes are there (csv_arrive), and workers go on side by side; only files with quotes go chunk after
 * chunk here.
 *
 *     bytes      |------- chunk 0 -------|------- chunk 1 -------|-------
 *     rows       [h][r][r][r][r][r][r][r][r  ][r][r][r][r][r][r][r  ][r]
 *     owner       0  0  0  0  0  0  0  0  0    1  1  1  1  1  1  1   2
 *
 * A row that runs over the chunk's end is read by its owner, from the overlap or, when it is long, by reading
 * on.
 */
#include "core/base/mem.h"
#include "io/format/bill.h"
#include "io/format/csv.h"
#include "io/format/csv_scan.h"
#include "io/ring/sys.h"
#include "io/source/file_set.h"
#include "io/source/reject_list.h"
#include "io/source/sources.h"
#include "io/source/worker_io.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADER_READ = 64 * 1024, ROW_FETCH = 1024, ODD_LINES_MAX = 100000 };

enum ticket_state { TICKET_NEW, TICKET_SCANNED, TICKET_EMPTY };

/* What is known of a chunk's effect on quotes. */
enum chunk_state {
    CHUNK_UNKNOWN,
    CHUNK_PLAIN,      /* no quote in it: what holds at its first line holds at the next chunk's */
    CHUNK_TO_OUTSIDE, /* decoded: the next chunk's first line begins a row */
    CHUNK_TO_QUOTED   /* decoded: it lies inside a quoted cell */
};

/* What is noted of a file's chunks, SEGMENT_CHUNKS at a time: how many there will be is not known while a file is
 * being unpacked. A segment is made when its first chunk is claimed. */
enum { SEGMENT_CHUNKS = 2048 };

struct segment {
    _Atomic uint8_t *states; /* enum chunk_state */
    uint16_t *marks;         /* newlines per CSV_MARK_BYTES; NULL with odd chunk sizes */
};

struct chain {
    _Atomic uint64_t resolved; /* a chunk whose start is known, times two, plus one if it is inside quotes:
                                  where to look on from */
};

/* What becomes of rows of one kind. */
struct row_kind {
    struct normalizer *normalizer; /* NULL: the file has not the columns of this kind; `lacks` says which */
    char *lacks;
    const int *wanted; /* columns, in the normalizer's order */
    int wanted_count;
};

/* A line of a bill that is no row: of its head, of its trailer, or stray. */
struct odd_line {
    uint64_t at;
    uint32_t size;
    uint16_t column;
    uint8_t code, is_head;
};

/* What a bill has besides the rows. */
struct bill_file {
    struct bill *bill;
    struct row_kind kinds[ROW_TYPES_MAX];
    struct odd_line *odd; /* under the source's lock, as are the totals */
    uint32_t odd_count, odd_room;
    struct bill_totals totals;
    uint64_t last_row; /* where it begins */
    uint32_t separators;
};

struct csv_file {
    struct chain chain;
    struct normalizer *normalizer;
    const int *wanted; /* columns, in the normalizer's order */
    int wanted_count;
    struct bill_file *bill; /* a profile says what the rows are; NULL: a plain CSV */
    uint32_t column_count;
    char **names; /* header cells; column_count + 1, the last NULL */
    uint64_t data_begin;
    uint64_t first_chunk, next_chunk; /* next: to be claimed */
    struct segment *segments;
    uint64_t segment_count;
    uint64_t *mark_sums;   /* newlines before each mark; made by finish; NULL with odd chunk sizes */
    uint64_t reject_count; /* under the list's lock */
    _Atomic uint64_t rows, records, blank_rows, record_bytes, reject_bytes, other_bytes;
};

struct csv_source {
    struct source base;
    struct source_config config;
    const struct job *job;
    const struct source_spec *spec;
    struct csv_dialect dialect;
    struct file_set set;
    struct csv_file *files;
    uint64_t chunk;
    uint32_t claim_file; /* those before it are claimed to their end */
    struct reject_list rejects;
    pthread_mutex_t lock; /* of what files of bills collect */
};

static struct csv_source *of(const struct source *source)
{
    return (struct csv_source *)source;
}

/* ---- opening: header ---- */

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

static enum err read_header(struct csv_source *s, uint32_t index, struct diag *diag)
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

static enum err add_odd(struct csv_source *s, struct bill_file *b, const struct odd_line *line,
                        const char *path, struct diag *diag)
{
    enum err err = OK;
    pthread_mutex_lock(&s->lock);
    if (b->odd_count == ODD_LINES_MAX)
        err = diag_set(diag, ERR_INPUT, "bill.lines",
                       "is this the right profile? tieout inspect --explain FILE tells",
                       "%s: more than %d lines are no rows of this layout", path, ODD_LINES_MAX);
    if (err == OK && b->odd_count == b->odd_room) {
        uint32_t room = b->odd_room ? 2 * b->odd_room : 64;
        struct odd_line *grown = mem_grow(b->odd, room * sizeof *grown);
        if (grown) {
            b->odd = grown;
            b->odd_room = room;
        } else {
            err = mem_fail(diag, room * sizeof *grown, "a bill's lines");
        }
    }
    if (err == OK)
        b->odd[b->odd_count++] = *line;
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* Finds where a bill's rows begin, and compiles each kind of row against its columns. */
static enum err read_bill_head(struct csv_source *s, uint32_t index, struct diag *diag)
{
    struct input_file *input = &s->set.files[index];
    struct csv_file *file = &s->files[index];
    const struct bill_spec *spec = s->spec->bill;
    struct bill_file *b = file->bill = mem_take_zero(1, sizeof *b);
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
            struct row_kind *kind = &b->kinds[t];
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
        struct odd_line line = {.at = at, .size = end - at, .is_head = 1};
        if (line.size)
            err = add_odd(s, b, &line, input->path, diag);
        at = next;
    }
    mem_give(bytes);
    return err;
}

static char *const *names_of(const struct csv_file *file)
{
    uint32_t count;
    return file->bill ? bill_names(file->bill->bill, &count) : file->names;
}

static void csv_close(struct source *source)
{
    struct csv_source *s = of(source);
    for (uint32_t i = 0; s->files && i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        normalizer_close(file->normalizer);
        for (int t = 0; file->bill && t < ROW_TYPES_MAX; t++) {
            normalizer_close(file->bill->kinds[t].normalizer);
            mem_give(file->bill->kinds[t].lacks);
        }
        if (file->bill) {
            bill_close(file->bill->bill);
            mem_give(file->bill->odd);
            mem_give(file->bill);
        }
        for (uint32_t k = 0; file->names && k < file->column_count; k++)
            mem_give(file->names[k]);
        mem_give(file->names);
        for (uint64_t k = 0; file->segments && k < file->segment_count; k++) {
            mem_give((void *)file->segments[k].states);
            mem_give(file->segments[k].marks);
        }
        mem_give(file->segments);
        mem_give(file->mark_sums);
    }
    mem_give(s->files);
    file_set_close(&s->set);
    reject_list_fini(&s->rejects);
    pthread_mutex_destroy(&s->lock);
    mem_give(s);
}

/* ---- what is noted of chunks ---- */

static int has_marks(const struct csv_source *s)
{
    return s->chunk % CSV_MARK_BYTES == 0;
}

static _Atomic uint8_t *state_of(const struct csv_file *file, uint64_t chunk)
{
    return &file->segments[chunk / SEGMENT_CHUNKS].states[chunk % SEGMENT_CHUNKS];
}

/* A chunk's marks, or NULL. */
static uint16_t *marks_of(const struct csv_source *s, const struct csv_file *file, uint64_t chunk)
{
    uint16_t *marks = file->segments[chunk / SEGMENT_CHUNKS].marks;
    return marks ? marks + chunk % SEGMENT_CHUNKS * (s->chunk / CSV_MARK_BYTES) : NULL;
}

/* Makes the segment that holds a chunk. Before any worker knows of the chunk. */
static enum err make_segment(struct csv_source *s, uint32_t index, uint64_t chunk, struct diag *diag)
{
    struct csv_file *file = &s->files[index];
    uint64_t number = chunk / SEGMENT_CHUNKS;
    if (number < file->segment_count && file->segments[number].states)
        return OK;
    uint64_t all = (input_size(&s->set.files[index]) + s->chunk - 1) / s->chunk;
    uint64_t count =
        all - number * SEGMENT_CHUNKS < SEGMENT_CHUNKS ? all - number * SEGMENT_CHUNKS : SEGMENT_CHUNKS;
    struct segment *segment = &file->segments[number];
    segment->states = mem_take_zero(count + 1, sizeof *segment->states);
    if (has_marks(s))
        segment->marks = mem_take_zero(count * (s->chunk / CSV_MARK_BYTES), sizeof *segment->marks);
    return segment->states && (segment->marks || !has_marks(s)) ? OK
                                                                : mem_fail(diag, count, "the list of chunks");
}

/* Newlines of the header's blocks that lie before the first chunk. */
static enum err mark_header(struct csv_source *s, uint32_t index, struct diag *diag)
{
    struct csv_file *file = &s->files[index];
    uint8_t block[CSV_MARK_BYTES];
    for (uint64_t at = 0; has_marks(s) && at < file->first_chunk * s->chunk; at += CSV_MARK_BYTES) {
        enum err err = make_segment(s, index, at / s->chunk, diag);
        ssize_t n = err == OK ? input_read(&s->set.files[index], block, sizeof block, at, diag) : -1;
        if (n < 0)
            return diag->err;
        uint16_t count = 0;
        for (ssize_t i = 0; i < n; i++)
            count = (uint16_t)(count + (block[i] == '\n'));
        marks_of(s, file, at / s->chunk)[at % s->chunk / CSV_MARK_BYTES] = count;
    }
    return OK;
}

static const struct source_ops csv_ops;

enum err csv_source_open(struct source **out, const struct source_config *config, struct diag *diag)
{
    *out = NULL;
    struct csv_source *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "a source");
    s->base.ops = &csv_ops;
    s->config = *config;
    s->job = config->shared->job;
    s->spec = &s->job->sources[config->side];
    s->dialect = (struct csv_dialect){(uint8_t)s->spec->layout.delimiter, (uint8_t)s->spec->layout.quote};
    s->chunk = config->chunk;
    pthread_mutex_init(&s->lock, NULL);
    reject_list_init(&s->rejects);
    enum err err = file_set_open(&s->set, s->job, config->side, config->date, 0, diag);
    file_set_shift(&s->set, config->place_base);
    if (err == OK) {
        size_t size = s->set.count * sizeof *s->files;
        s->files = mem_take_zero(1, size);
        if (!s->files)
            err = mem_fail(diag, size, "the list of files");
    }
    for (uint32_t i = 0; err == OK && i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        err = s->spec->bill ? read_bill_head(s, i, diag) : read_header(s, i, diag);
        if (err != OK)
            break;
        if (file->bill)
            s->dialect = bill_dialect(file->bill->bill);
        struct input_file *input = &s->set.files[i];
        uint8_t one; /* whether anything follows the header must be known now */
        if (input_read(input, &one, 1, file->data_begin, diag) < 0) {
            err = diag->err;
            break;
        }
        uint64_t size = input_size(input);
        file->first_chunk = file->data_begin / s->chunk;
        if (file->data_begin == size && file->first_chunk)
            file->first_chunk = (file->data_begin - 1) / s->chunk;
        file->next_chunk = file->first_chunk;
        atomic_init(&file->chain.resolved, file->first_chunk << 1);
        file->segment_count = (size / s->chunk) / SEGMENT_CHUNKS + 1;
        file->segments = mem_take_zero(file->segment_count, sizeof *file->segments);
        if (!file->segments) {
            err = mem_fail(diag, file->segment_count * sizeof *file->segments, "the list of chunks");
            break;
        }
        file->other_bytes = file->data_begin;
        err = mark_header(s, i, diag);
        if (input->unpack)
            unpack_forget_head(input->unpack);
    }
    if (err != OK) {
        csv_close(&s->base);
        return err;
    }
    *out = &s->base;
    return OK;
}

/* ---- streaming ---- */

static uint64_t csv_size(const struct source *source)
{
    return of(source)->set.size;
}

static enum err csv_begin(struct source *source, const char *folder, struct diag *diag)
{
    struct csv_source *s = of(source);
    return file_set_begin(&s->set, folder, s->config.workers, diag);
}

/* The next chunk of the first file that has one ready; files that are being unpacked are taken side by side. */
static enum step csv_claim(struct source *source, struct worker_io *io, struct ticket *ticket,
                           struct diag *diag)
{
    (void)io;
    struct csv_source *s = of(source);
    int waiting = 0;
    for (uint32_t i = s->claim_file; i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        struct input_file *input = &s->set.files[i];
        uint64_t begin = file->next_chunk * s->chunk, end = begin + s->chunk;
        int ready = input_ready(input, end + IO_OVERLAP, diag);
        if (ready < 0)
            return STEP_FAILED;
        if (!ready) {
            waiting = 1;
            continue;
        }
        uint64_t size = input_size(input);
        if (begin >= size) {
            if (i == s->claim_file)
                s->claim_file++;
            continue;
        }
        if (make_segment(s, i, file->next_chunk, diag) != OK)
            return STEP_FAILED;
        ticket->side = s->config.side;
        ticket->file = i;
        ticket->number = file->next_chunk++;
        ticket->begin = begin;
        ticket->end = end < size ? end : size;
        ticket->state = TICKET_NEW;
        return STEP_MORE;
    }
    return waiting ? STEP_IDLE : STEP_DONE;
}

static enum err csv_start(struct source *source, struct worker_io *io, struct ticket *ticket,
                          struct diag *diag)
{
    struct input_file *input = &of(source)->set.files[ticket->file];
    size_t size = ticket->end - ticket->begin + IO_OVERLAP;
    uint64_t left = input_size(input) - ticket->begin;
    if (size > left)
        size = left;
    return worker_io_read(io, ticket, input_fd(input), ticket->begin, size, input->path, diag);
}

/* A chunk at hand. */
struct work {
    struct csv_source *s;
    struct worker_io *io;
    struct csv_file *file;
    struct input_file *input;
    struct ticket *ticket;
    struct chunk_scan *scan;
    uint8_t *bytes;
    uint32_t size;    /* bytes there are */
    uint32_t nominal; /* chunk's own bytes */
    int at_end;       /* bytes reach the end of the file */
    uint64_t records, rows, blank, record_bytes, reject_bytes, other_bytes;
    uint64_t last_row; /* of a bill: where it begins in the file, plus one */
};

static enum err add_reject(struct work *w, uint32_t at, uint32_t size, enum reject_code code, uint32_t column,
                           struct diag *diag)
{
    const struct reject_limit *limit = &w->s->spec->rejects;
    struct reject reject = {.place = w->input->base + w->ticket->begin + at,
                            .size = size,
                            .column = column > 0xFFFF ? 0xFFFF : (uint16_t)column,
                            .code = (uint8_t)code,
                            .side = (uint8_t)w->s->config.side};
    /* A share of the rows is known at the end only. */
    return reject_list_add(&w->s->rejects, &reject, &w->file->reject_count,
                           limit->max_ppm ? UINT64_MAX : limit->max_rows, diag);
}

static int is_comment(const struct csv_source *s, const uint8_t *row, uint32_t size)
{
    const char *comment = s->spec->layout.comment;
    size_t n = comment ? strlen(comment) : 0;
    return n && size >= n && memcmp(row, comment, n) == 0;
}

/* The record of a row goes out. */
static inline enum err put_row(struct work *w, uint32_t units, uint32_t begin, uint32_t next,
                               struct outbox *outbox, struct diag *diag)
{
    w->records++;
    w->record_bytes += next - begin;
    w->io->record->place = w->input->base + w->ticket->begin + begin;
    return outbox_put(outbox, w->io->record, units, diag);
}

/* One row whose wanted cells are at hand. `begin`..`next` are its bytes, `size` those without the line end.
 */
static inline enum err take_row(struct work *w, const struct cell *cells, uint32_t begin, uint32_t size,
                                uint32_t next, struct outbox *outbox, struct diag *diag)
{
    struct record *record = w->io->record;
    int bad_cell;
    enum reject_code code = normalize_hot(w->file->normalizer, &w->io->scratch, cells, record, &bad_cell);
    if (UNLIKELY(code != REJECT_NONE)) {
        if (code == REJECT_NOT_OURS) {
            w->rows--;
            w->other_bytes += next - begin;
            return OK;
        }
        w->reject_bytes += next - begin;
        return add_reject(w, begin, size, code,
                          bad_cell >= 0 ? (uint32_t)w->file->wanted[bad_cell] : UINT32_MAX, diag);
    }
    return put_row(w, record_units(record_var_size(record, normalizer_layout(w->file->normalizer))), begin,
                   next, outbox, diag);
}

static enum err reject_row(struct work *w, uint32_t begin, uint32_t size, uint32_t next,
                           enum reject_code code, uint32_t column, struct diag *diag)
{
    if (is_comment(w->s, w->bytes + begin, size)) {
        w->rows--;
        w->other_bytes += next - begin;
        return OK;
    }
    w->reject_bytes += next - begin;
    return add_reject(w, begin, size, code, column, diag);
}

/* A row that is not as the header says: blank, a comment, or a reject. */
static enum err odd_row(struct work *w, uint32_t begin, uint32_t size, uint32_t next, struct diag *diag)
{
    if (size == 0) {
        w->rows--;
        w->blank++;
        w->other_bytes += next - begin;
        return OK;
    }
    return reject_row(w, begin, size, next, REJECT_COLUMNS, UINT32_MAX, diag);
}

/* The hot loop: rows as csv_scan found them. Cell c of a row lies between separators c-1 and c, counted on
 * from the row before. */
static inline __attribute__((always_inline)) enum err take_rows(struct work *w,
                                                                const struct csv_scan_result *scan,
                                                                uint32_t first_row, const int quoted,
                                                                struct outbox *outbox, struct diag *diag)
{
    const uint32_t columns = w->file->column_count;
    const int wanted_count = w->file->wanted_count;
    const int *const wanted = w->file->wanted;
    uint32_t *const seps = w->scan->seps;
    const uint32_t *const rows = w->scan->rows;
    const uint8_t *const bytes = w->bytes;
    struct cell *const cells = w->io->cells;
    const int has_comments = w->s->spec->layout.comment != NULL;
    int last_wanted = -1; /* the wanted cell that ends with the line, whose carriage return must go */
    for (int k = 0; k < wanted_count; k++)
        if ((uint32_t)wanted[k] + 1 == columns)
            last_wanted = k;
    seps[-1] = first_row - 1;
    uint32_t sep = 0, row_count = scan->row_count;
    int unended = (scan->flags & CSV_UNFINISHED) && scan->stop < w->size; /* a last row without newline */
    for (uint32_t r = 0; r < row_count + (uint32_t)unended; r++) {
        uint32_t row_seps, newline, next, begin = seps[(int64_t)sep - 1] + 1;
        if (LIKELY(r < row_count)) {
            row_seps = rows[r] - sep;
            newline = seps[rows[r] - 1];
            next = newline + 1;
        } else {
            seps[scan->sep_count] = w->size;
            row_seps = scan->sep_count + 1 - sep;
            newline = next = w->size;
        }
        uint32_t end = newline;
        end -= end > begin && bytes[end - 1] == '\r' && next > newline;
        w->rows++;
        enum err err;
        if (UNLIKELY(row_seps != columns || (columns == 1 && end == begin) ||
                     (has_comments && is_comment(w->s, bytes + begin, end - begin)))) {
            err = odd_row(w, begin, end - begin, next, diag);
        } else if (!quoted && end == newline &&
                   LIKELY(normalize_plain(w->file->normalizer, &w->io->scratch, bytes, seps + sep,
                                          w->io->record))) {
            err = put_row(w, record_units(w->io->record->key_size), begin, next, outbox, diag);
        } else {
            uint8_t *scratch = w->io->unquoted;
            const uint32_t *const row = seps + sep;
            for (int k = 0; k < wanted_count; k++) {
                int64_t c = wanted[k];
                uint32_t from = row[c - 1] + 1, to = row[c];
                cells[k] =
                    (struct cell){.data = (const char *)bytes + from, .size = to - from, .kind = CELL_TEXT};
            }
            if (last_wanted >= 0)
                cells[last_wanted].size -= newline - end;
            for (int k = 0; quoted && k < wanted_count; k++)
                if (cells[k].size && *(const uint8_t *)cells[k].data == w->s->dialect.quote) {
                    csv_unquote(&w->s->dialect, &cells[k], scratch);
                    if ((const uint8_t *)cells[k].data == scratch)
                        scratch += cells[k].size;
                }
            err = take_row(w, cells, begin, end - begin, next, outbox, diag);
        }
        if (UNLIKELY(err != OK))
            return err;
        sep += row_seps;
    }
    return OK;
}

/* ---- bills ---- */

static enum err odd_bill_line(struct work *w, uint32_t begin, uint32_t size, uint32_t next,
                              enum reject_code code, uint32_t column, struct diag *diag)
{
    w->rows--;
    w->other_bytes += next - begin;
    if (size == 0) {
        w->blank++;
        return OK;
    }
    struct odd_line line = {.at = w->ticket->begin + begin,
                            .size = size,
                            .column = column > 0xFFFF ? 0xFFFF : (uint16_t)column,
                            .code = (uint8_t)code};
    return add_odd(w->s, w->file->bill, &line, w->input->path, diag);
}

/* A row whose cells are known. What it is decides by which rules it becomes a record. */
static inline enum err take_bill_row(struct work *w, struct bill_row *row, uint32_t next,
                                     struct bill_totals *totals, struct outbox *outbox, struct diag *diag)
{
    struct bill_file *b = w->file->bill;
    struct cell *picked = w->io->cells + CSV_COLUMNS_MAX + 1;
    uint32_t begin = row->begin, size = row->end - begin;
    int type = bill_type(b->bill, row);
    if (bill_has_totals(b->bill))
        bill_add_totals(b->bill, row, type, totals);
    w->last_row = w->ticket->begin + begin + 1;
    if (UNLIKELY(type >= 0 && !b->kinds[type].normalizer))
        return diag_set(diag, ERR_INPUT, "columns",
                        "has the channel changed its layout? Say the new names in a profile of yours",
                        "%s (and a row of kind %s is at byte %llu)", b->kinds[type].lacks,
                        w->s->spec->bill->types[type].name, (unsigned long long)(w->ticket->begin + begin));
    if (UNLIKELY(type < 0)) {
        w->reject_bytes += next - begin;
        return add_reject(w, begin, size, REJECT_TYPE, UINT32_MAX, diag);
    }
    const struct row_kind *kind = &b->kinds[type];
    picked -= kind->wanted_count;
    for (int k = 0; k < kind->wanted_count; k++)
        picked[k] = bill_cell(b->bill, row, kind->wanted[k]);
    struct record *record = w->io->record;
    int bad_cell;
    enum reject_code code = normalize_hot(kind->normalizer, &w->io->scratch, picked, record, &bad_cell);
    if (UNLIKELY(code == REJECT_NOT_OURS)) {
        w->rows--;
        w->other_bytes += next - begin;
        return OK;
    }
    if (UNLIKELY(code != REJECT_NONE)) {
        w->reject_bytes += next - begin;
        return add_reject(w, begin, size, code, bad_cell >= 0 ? (uint32_t)kind->wanted[bad_cell] : UINT32_MAX,
                          diag);
    }
    w->records++;
    w->record_bytes += next - begin;
    record->place = w->input->base + w->ticket->begin + begin;
    return outbox_put(outbox, record,
                      record_units(record_var_size(record, normalizer_layout(kind->normalizer))), diag);
}

/* A row that the scanner did not cut as the profile says: cut byte by byte, or no row at all. */
static enum err take_odd_bill_row(struct work *w, uint32_t begin, uint32_t next, struct bill_totals *totals,
                                  struct outbox *outbox, struct diag *diag)
{
    const struct bill *bill = w->file->bill->bill;
    struct csv_row row;
    enum csv_row_end end = bill_row_read(bill, w->bytes, next, begin, 1, w->io->cells,
                                         CSV_COLUMNS_MAX - FIELD_SLOTS - 32, w->io->unquoted, &row);
    struct bill_row at_hand = {.bytes = w->bytes,
                               .begin = begin,
                               .end = begin + row.size,
                               .cells = w->io->cells,
                               .scratch = w->io->unquoted};
    if (end == CSV_ROW_SPOILED)
        return odd_bill_line(w, begin, row.size, next, row.code, row.bad_cell, diag);
    if (end != CSV_ROW_WHOLE || row.cells != w->file->column_count ||
        bill_is_comment(bill, w->bytes + begin, row.size) || !bill_is_row(bill, &at_hand))
        return odd_bill_line(w, begin, row.size, next, REJECT_COLUMNS, UINT32_MAX, diag);
    return take_bill_row(w, &at_hand, next, totals, outbox, diag);
}

static void keep_totals(struct work *w, const struct bill_totals *totals)
{
    struct bill_file *b = w->file->bill;
    pthread_mutex_lock(&w->s->lock);
    bill_merge_totals(&b->totals, totals);
    if (w->last_row > b->last_row)
        b->last_row = w->last_row;
    pthread_mutex_unlock(&w->s->lock);
}

/* take_rows for bills. */
static enum err take_bill_rows(struct work *w, const struct csv_scan_result *scan, uint32_t first_row,
                               struct outbox *outbox, struct diag *diag)
{
    const struct bill *bill = w->file->bill->bill;
    const uint32_t separators = w->file->bill->separators;
    uint32_t *const seps = w->scan->seps;
    const uint32_t *const rows = w->scan->rows;
    const uint8_t *const bytes = w->bytes;
    struct bill_totals totals;
    totals.count = 0;
    totals.is_bad = 0;
    seps[-1] = first_row - 1;
    uint32_t sep = 0, row_count = scan->row_count;
    uint32_t unended =
        (scan->flags & CSV_UNFINISHED) && scan->stop < w->size; /* a last row without newline */
    for (uint32_t r = 0; r < row_count + unended; r++) {
        uint32_t row_seps, newline, next, begin = seps[(int64_t)sep - 1] + 1;
        if (LIKELY(r < row_count)) {
            row_seps = rows[r] - sep;
            newline = seps[rows[r] - 1];
            next = newline + 1;
        } else {
            seps[scan->sep_count] = w->size;
            row_seps = scan->sep_count + 1 - sep;
            newline = next = w->size;
        }
        uint32_t end = newline;
        end -= end > begin && bytes[end - 1] == '\r' && next > newline;
        struct bill_row row = {
            .bytes = bytes, .begin = begin, .end = end, .seps = seps + sep, .scratch = w->io->unquoted};
        w->rows++;
        enum err err;
        if (UNLIKELY(row_seps != separators || end == begin || !bill_row_fits(bill, &row) ||
                     bill_is_comment(bill, bytes + begin, end - begin) || !bill_is_row(bill, &row)))
            err = take_odd_bill_row(w, begin, next, &totals, outbox, diag);
        else
            err = take_bill_row(w, &row, next, &totals, outbox, diag);
        if (UNLIKELY(err != OK))
            return err;
        sep += row_seps;
    }
    keep_totals(w, &totals);
    return OK;
}

static enum err take_scanned_rows(struct work *w, const struct csv_scan_result *scan, uint32_t first_row,
                                  int quoted, struct outbox *outbox, struct diag *diag)
{
    if (w->file->bill)
        return take_bill_rows(w, scan, first_row, outbox, diag);
    return quoted ? take_rows(w, scan, first_row, 1, outbox, diag)
                  : take_rows(w, scan, first_row, 0, outbox, diag);
}

/* The line of a byte, counted from the file's beginning: for a file that is being refused before all lines
 * are known. */
static uint64_t line_now(const struct work *w, uint64_t at)
{
    uint8_t block[CSV_MARK_BYTES];
    uint64_t line = 1;
    for (uint64_t from = 0; from < at; from += sizeof block) {
        uint64_t want = at - from < sizeof block ? at - from : sizeof block;
        ssize_t n = sys_pread_full(input_fd(w->input), block, want, from);
        for (ssize_t i = 0; i < n; i++)
            line += block[i] == '\n';
        if (n < (ssize_t)want)
            break;
    }
    return line;
}

/* Reads on behind what is there: the chunk's last row is longer than the overlap. */
static enum err read_on(struct work *w, struct diag *diag)
{
    if (w->size > w->nominal + CSV_ROW_MAX)
        return diag_set(
            diag, ERR_INPUT, "csv.row",
            "is a quote opened and never closed, or is this another kind of file? Rows may have "
            "at most 1 MiB",
            "%s: line %llu: the row that runs over byte %llu is longer than 1 MiB (1048576 bytes)",
            w->input->path, (unsigned long long)line_now(w, w->ticket->begin + w->nominal),
            (unsigned long long)(w->ticket->begin + w->nominal));
    uint64_t left = input_size(w->input) - w->ticket->begin;
    uint32_t want = w->nominal + (w->size - w->nominal) * 4 + IO_OVERLAP;
    if (want > w->nominal + CSV_ROW_MAX + IO_OVERLAP)
        want = w->nominal + CSV_ROW_MAX + IO_OVERLAP;
    if (want > left)
        want = (uint32_t)left;
    if (w->io->grown_size < want) {
        uint8_t *grown = mem_take(want + IO_SLACK);
        if (!grown)
            return mem_fail(diag, want, "a long row");
        memcpy(grown, w->bytes, w->size);
        mem_give(w->io->grown);
        w->io->grown = grown;
        w->io->grown_size = want;
    } else if (w->bytes != w->io->grown) {
        memcpy(w->io->grown, w->bytes, w->size);
    }
    ssize_t n =
        input_read(w->input, w->io->grown + w->size, want - w->size, w->ticket->begin + w->size, diag);
    if (n < 0)
        return diag->err;
    left = input_size(w->input) - w->ticket->begin; /* of a packed file it may be known only now */
    if (want > left)
        want = (uint32_t)left;
    if ((uint32_t)n < want - w->size)
        return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                        "%s became shorter while it was read", w->input->path);
    w->bytes = w->io->grown;
    w->size = want;
    memset(w->bytes + w->size, 0, IO_SLACK);
    w->at_end = want == left;
    enum err err = worker_io_scan_room(w->io, w->scan, w->size, diag);
    return err == OK ? worker_io_unquote_room(w->io, w->size, diag) : err;
}

/* The file ends inside this chunk's last row: what that means. */
static enum err check_file_end(struct work *w, int in_quote, uint32_t row_begin, struct diag *diag)
{
    if (in_quote)
        return diag_set(
            diag, ERR_INPUT, "csv.cut", "the file was cut off, or a quote is never closed: get it again",
            "%s: the file ends at byte %llu inside a quoted cell; its row begins at line %llu, byte %llu",
            w->input->path, (unsigned long long)input_size(w->input),
            (unsigned long long)line_now(w, w->ticket->begin + row_begin),
            (unsigned long long)(w->ticket->begin + row_begin));
    /* A lead byte whose followers are missing: the last character was cut. */
    const char *charset = w->s->spec->bill ? w->s->spec->bill->charset : NULL;
    uint32_t followers = 0;
    for (uint32_t i = row_begin; charset && charset[0] == 'G' && i < w->size;) { /* GBK, GB18030 */
        uint32_t bytes = w->bytes[i] < 0x80                                                    ? 1
                         : i + 1 < w->size && w->bytes[i + 1] >= '0' && w->bytes[i + 1] <= '9' ? 4
                                                                                               : 2;
        if (i + bytes > w->size)
            return diag_set(diag, ERR_INPUT, "csv.cut",
                            "the file was cut off in the middle of a character: get it again",
                            "%s: the file ends at byte %llu inside a character of %u bytes", w->input->path,
                            (unsigned long long)input_size(w->input), bytes);
        i += bytes;
    }
    while (!charset && followers < 3 && followers < w->size &&
           (w->bytes[w->size - 1 - followers] & 0xC0) == 0x80)
        followers++;
    if (!charset && followers < w->size) {
        uint8_t lead = w->bytes[w->size - 1 - followers];
        uint32_t wanted = lead >= 0xF0 && lead < 0xF8   ? 3
                          : lead >= 0xE0 && lead < 0xF0 ? 2
                          : lead >= 0xC2 && lead < 0xE0 ? 1
                                                        : 0;
        if (wanted > followers)
            return diag_set(diag, ERR_INPUT, "csv.cut",
                            "the file was cut off in the middle of a character: get it again",
                            "%s: the file ends at byte %llu inside a character of %u bytes", w->input->path,
                            (unsigned long long)input_size(w->input), wanted + 1);
    }
    if (w->size && w->bytes[w->size - 1] == '\r')
        return diag_set(diag, ERR_INPUT, "csv.cut",
                        "the file was cut off in the middle of a line end: get it again",
                        "%s: line %llu: the file ends at byte %llu behind a carriage return", w->input->path,
                        (unsigned long long)line_now(w, input_size(w->input) - 1),
                        (unsigned long long)input_size(w->input));
    return OK;
}

/* Byte by byte: chunks with quotes or carriage returns where none may stand. */
static enum err take_irregular_rows(struct work *w, uint32_t at, int in_quote, int *out_quote,
                                    struct outbox *outbox, struct diag *diag)
{
    struct csv_source *s = w->s;
    const int wanted_count = w->file->wanted_count;
    struct bill_totals totals;
    totals.count = 0;
    totals.is_bad = 0;
    for (;;) { /* until the line that ends the chunk is there */
        if (w->at_end || memchr(w->bytes + w->nominal, '\n', w->size - w->nominal))
            break;
        enum err err = read_on(w, diag);
        if (err != OK)
            return err;
    }
    const uint8_t *newline =
        w->size > w->nominal ? memchr(w->bytes + w->nominal, '\n', w->size - w->nominal) : NULL;
    uint32_t line_end = newline ? (uint32_t)(newline - w->bytes) + 1 : w->size;
    uint32_t begin = at;
    if (in_quote) {
        while ((at = csv_row_rest(&s->dialect, w->bytes, w->size, begin, w->at_end)) == UINT32_MAX) {
            if (w->at_end)
                return check_file_end(w, 1, begin, diag);
            enum err err = read_on(w, diag);
            if (err != OK)
                return err;
        }
    }
    struct cell *picked = w->io->cells + CSV_COLUMNS_MAX + 1 - wanted_count;
    while (at < line_end && at <= w->nominal) {
        struct csv_row row;
        enum csv_row_end end =
            csv_row_read(&s->dialect, w->bytes, w->size, at, w->at_end, w->io->cells,
                         (uint32_t)(CSV_COLUMNS_MAX - wanted_count), w->io->unquoted, &row);
        if (end == CSV_ROW_UNFINISHED) {
            enum err err = w->at_end ? check_file_end(w, row.ends_in_quote, at, diag) : read_on(w, diag);
            if (err != OK)
                return err;
            CHECK2(!w->at_end || w->size > at, w->size, at);
            continue;
        }
        enum err err = OK;
        if (row.next == w->size && w->at_end && (err = check_file_end(w, 0, at, diag)) != OK)
            return err;
        w->rows++;
        if (w->file->bill) {
            err = take_odd_bill_row(w, at, row.next, &totals, outbox, diag);
        } else if (end == CSV_ROW_BLANK) {
            w->rows--;
            w->blank++;
            w->other_bytes += row.next - at;
        } else if (end == CSV_ROW_SPOILED) {
            err = reject_row(w, at, row.size, row.next, row.code, row.bad_cell, diag);
        } else if (row.cells != w->file->column_count || is_comment(s, w->bytes + at, row.size)) {
            err = reject_row(w, at, row.size, row.next, REJECT_COLUMNS, UINT32_MAX, diag);
        } else {
            for (int k = 0; k < wanted_count; k++)
                picked[k] = w->io->cells[w->file->wanted[k]];
            err = take_row(w, picked, at, row.size, row.next, outbox, diag);
        }
        if (err != OK)
            return err;
        at = row.next;
    }
    *out_quote = at > line_end;
    if (w->file->bill)
        keep_totals(w, &totals);
    return OK;
}

static void publish(struct csv_file *file, uint64_t number, enum chunk_state state)
{
    /* release: pairs with the acquire in begins_quoted */
    atomic_store_explicit(state_of(file, number), (uint8_t)state, memory_order_release);
}

/* Whether a chunk's first line lies inside quotes: 0, 1, or -1 while a chunk before it is unknown. */
static int begins_quoted(struct csv_file *file, uint64_t number)
{
    uint64_t known = atomic_load_explicit(&file->chain.resolved, memory_order_relaxed), at = known >> 1;
    int quoted = (int)(known & 1);
    if (at > number) { /* others are further: start over */
        at = file->first_chunk;
        quoted = 0;
    }
    for (; at < number; at++) {
        /* acquire: pairs with the release in publish */
        uint8_t state = atomic_load_explicit(state_of(file, at), memory_order_acquire);
        if (state == CHUNK_UNKNOWN)
            return -1;
        if (state != CHUNK_PLAIN)
            quoted = state == CHUNK_TO_QUOTED;
    }
    if (number > known >> 1)
        atomic_store_explicit(&file->chain.resolved, number << 1 | (uint64_t)quoted, memory_order_relaxed);
    return quoted;
}

static enum err check_read(struct csv_source *s, const struct ticket *ticket, uint64_t wanted,
                           struct diag *diag)
{
    const char *path = s->set.files[ticket->file].path;
    if (ticket->bytes_read < 0)
        return diag_set_errno(diag, (int)-ticket->bytes_read, "read",
                              "%s: cannot read %llu bytes at byte %llu", path, (unsigned long long)wanted,
                              (unsigned long long)ticket->begin);
    if ((uint64_t)ticket->bytes_read != wanted)
        return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                        "%s became shorter while it was read: %lld of %llu bytes at byte %llu", path,
                        (long long)ticket->bytes_read, (unsigned long long)wanted,
                        (unsigned long long)ticket->begin);
    return OK;
}

static struct work work_of(struct csv_source *s, struct worker_io *io, struct ticket *ticket)
{
    struct input_file *input = &s->set.files[ticket->file];
    const uint64_t all = input_size(input);
    uint64_t size = all - ticket->begin;
    if (size > ticket->end - ticket->begin + IO_OVERLAP)
        size = ticket->end - ticket->begin + IO_OVERLAP;
    return (struct work){.s = s,
                         .io = io,
                         .file = &s->files[ticket->file],
                         .input = input,
                         .ticket = ticket,
                         .scan = &io->scans[ticket->buffer],
                         .bytes = worker_io_buffer(io, ticket->buffer),
                         .size = (uint32_t)size,
                         .nominal = (uint32_t)(ticket->end - ticket->begin),
                         .at_end = ticket->begin + size == all};
}

static struct csv_scan_job scan_job(const struct work *w)
{
    struct csv_file *file = w->file;
    return (struct csv_scan_job){.bytes = w->bytes,
                                 .size = w->size,
                                 .start = w->scan->result.first_row,
                                 .end = w->nominal + 1,
                                 .mark_end = w->nominal,
                                 .delimiter = w->s->dialect.delimiter,
                                 .quote = w->s->dialect.quote,
                                 .seps = w->scan->seps,
                                 .rows = w->scan->rows,
                                 .marks = marks_of(w->s, file, w->ticket->number)};
}

/* The chunk's bytes are there: scan them, and tell the chunks behind if no quote is in the way. */
static enum err csv_arrive(struct source *source, struct worker_io *io, struct ticket *ticket,
                           struct diag *diag)
{
    struct csv_source *s = of(source);
    if (ticket->state != TICKET_NEW || !worker_io_arrived(io, ticket, 0))
        return OK;
    struct work w = work_of(s, io, ticket);
    enum err err = check_read(s, ticket, w.size, diag);
    if (err != OK)
        return err;
    /* Where this chunk's first line begins. */
    uint32_t start;
    if (ticket->number == w.file->first_chunk) {
        start = (uint32_t)(w.file->data_begin - ticket->begin);
    } else {
        const uint8_t *newline = memchr(w.bytes, '\n', w.nominal);
        start = newline ? (uint32_t)(newline - w.bytes) + 1 : UINT32_MAX;
    }
    w.scan->result = (struct csv_scan_result){.first_row = start};
    struct csv_scan_job job = scan_job(&w);
    if (start == UINT32_MAX) { /* all of it is the inside of one long line, whose owner came before */
        if (job.marks)
            memset(job.marks, 0, (w.nominal + CSV_MARK_BYTES - 1) / CSV_MARK_BYTES * sizeof *job.marks);
        publish(w.file, ticket->number, CHUNK_PLAIN);
        ticket->state = TICKET_EMPTY;
        return OK;
    }
    w.scan->result = csv_scan(&job);
    w.scan->result.first_row = start;
    uint32_t flags = w.scan->result.flags;
    if ((!s->dialect.quote || !(flags & CSV_SAW_QUOTE)) && (!(flags & CSV_UNFINISHED) || w.at_end))
        publish(w.file, ticket->number, CHUNK_PLAIN);
    ticket->state = TICKET_SCANNED;
    return OK;
}

static enum step csv_process(struct source *source, struct worker_io *io, struct ticket *ticket,
                             struct outbox *outbox, struct diag *diag)
{
    struct csv_source *s = of(source);
    if (csv_arrive(source, io, ticket, diag) != OK)
        return STEP_FAILED;
    if (ticket->state == TICKET_NEW)
        return STEP_IDLE;
    if (ticket->state == TICKET_EMPTY)
        return STEP_DONE;
    struct work w = work_of(s, io, ticket);
    struct csv_file *file = w.file;
    int in_quote = begins_quoted(file, ticket->number), out_quote = 0;
    if (in_quote < 0)
        return STEP_IDLE;
    uint32_t start = w.scan->result.first_row;
    struct csv_scan_job job = scan_job(&w);
    struct csv_scan_result scan = w.scan->result;
    int quoted = s->dialect.quote && ((scan.flags & CSV_SAW_QUOTE) || in_quote);
    enum err err = OK;
    for (;;) {
        if (quoted) {
            job.in_quote = (uint8_t)in_quote;
            job.start = start;
            scan = csv_scan_quoted(&job);
        }
        if (!(scan.flags & CSV_UNFINISHED) || w.at_end || (scan.flags & (CSV_IRREGULAR | CSV_SAW_STRAY_CR)))
            break;
        if ((err = read_on(&w, diag)) != OK)
            return STEP_FAILED;
        job.bytes = w.bytes;
        job.size = w.size;
        job.seps = w.scan->seps;
        job.rows = w.scan->rows;
        if (!quoted) {
            scan = csv_scan(&job);
            quoted = s->dialect.quote && (scan.flags & CSV_SAW_QUOTE);
        }
    }
    if (scan.flags & (CSV_IRREGULAR | CSV_SAW_STRAY_CR)) {
        err = take_irregular_rows(&w, start, in_quote, &out_quote, outbox, diag);
        if (err == OK)
            publish(file, ticket->number, out_quote ? CHUNK_TO_QUOTED : CHUNK_TO_OUTSIDE);
    } else {
        if (scan.flags & CSV_UNFINISHED)
            err = check_file_end(&w, quoted && (scan.flags & CSV_CUT_QUOTED), scan.stop, diag);
        out_quote = quoted && (scan.flags & CSV_ENDS_QUOTED);
        if (err == OK) {
            publish(file, ticket->number, out_quote ? CHUNK_TO_QUOTED : CHUNK_TO_OUTSIDE);
            err = take_scanned_rows(&w, &scan, quoted ? scan.first_row : start, quoted, outbox, diag);
        }
    }
    if (err != OK)
        return STEP_FAILED;
    atomic_fetch_add_explicit(&file->rows, w.rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->records, w.records, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->blank_rows, w.blank, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->record_bytes, w.record_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->reject_bytes, w.reject_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->other_bytes, w.other_bytes, memory_order_relaxed);
    return STEP_DONE;
}

/* ---- the end ---- */

static void csv_counts(const struct source *source, struct source_counts *counts)
{
    struct csv_source *s = of(source);
    memset(counts, 0, sizeof *counts);
    counts->files = s->set.count;
    counts->bytes = s->set.size;
    for (uint32_t i = 0; i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        counts->rows += file->rows;
        counts->records += file->records;
        counts->blank_rows += file->blank_rows;
        counts->header_bytes += file->data_begin;
        counts->record_bytes += file->record_bytes;
        counts->reject_bytes += file->reject_bytes;
        counts->other_bytes += file->other_bytes - file->data_begin;
    }
    counts->rejects = s->rejects.total;
    if (s->config.quiet) { /* a scan: the list holds only what the trailer left over */
        counts->rejects = 0;
        for (uint32_t i = 0; i < s->set.count; i++)
            counts->rejects += s->files[i].reject_count;
    }
}

static size_t csv_place(struct source *source, struct worker_io *io, uint64_t place, char *out, size_t room);

static enum err csv_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag);
static enum err show_reject(struct csv_source *s, struct worker_io *io, const struct reject *reject,
                            struct diag *diag);

static enum err window_at(struct csv_source *s, struct worker_io *io, struct input_file *input, uint64_t at,
                          uint32_t want, const uint8_t **bytes, uint32_t *size, struct diag *diag);

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct odd_line *)a)->at, y = ((const struct odd_line *)b)->at;
    return (x > y) - (x < y);
}

/* Rejects of one file that are allowed. */
static uint64_t rejects_allowed(const struct csv_source *s, const struct csv_file *file)
{
    const struct reject_limit *limit = &s->spec->rejects;
    return limit->max_ppm ? (uint64_t)((unsigned __int128)file->rows * limit->max_ppm / 1000000u)
                          : limit->max_rows;
}

/* Holds a bill's rows against what its trailer says, and makes rejects of the lines that are of no use. */
static enum err check_bill(struct csv_source *s, struct worker_io *io, uint32_t index,
                           struct bill_check *check, struct diag *diag)
{
    struct csv_file *file = &s->files[index];
    struct input_file *input = &s->set.files[index];
    struct bill_file *b = file->bill;
    if (bill_head(b->bill) != BILL_ROWS)
        return OK;
    if (!s->config.quiet && s->rejects.total && file->reject_count > rejects_allowed(s, file))
        return OK; /* refused for its rows, which say more than sums that do not agree */
    struct arena arena;
    arena_init(&arena);
    if (b->odd_count)
        qsort(b->odd, b->odd_count, sizeof *b->odd, by_place);
    struct bill_odd *lines = mem_take_zero(b->odd_count + 1, sizeof *lines);
    enum err err = lines ? OK : mem_fail(diag, b->odd_count * sizeof *lines, "a bill's lines");
    for (uint32_t i = 0; err == OK && i < b->odd_count; i++) {
        const struct odd_line *odd = &b->odd[i];
        const uint8_t *bytes = NULL;
        uint32_t size = 0;
        err = window_at(s, io, input, odd->at, odd->size, &bytes, &size, diag);
        struct span copy = err == OK ? arena_copy(&arena, (struct span){(const char *)bytes, odd->size})
                                     : (struct span){NULL, 0};
        if (err == OK && !copy.data)
            err = mem_fail(diag, odd->size, "a bill's lines");
        lines[i] = (struct bill_odd){.at = odd->at,
                                     .size = odd->size,
                                     .bytes = (const uint8_t *)copy.data,
                                     .is_head = odd->is_head,
                                     .code = odd->code,
                                     .column = odd->column};
    }
    if (err == OK)
        err = bill_check_file(check, b->bill, lines, b->odd_count, &b->totals,
                              b->last_row ? b->last_row - 1 : 0, input->path, diag);
    if (err == ERR_INPUT) { /* why the sums do not agree, if lines amid the rows are the reason */
        uint64_t stray = 0, first = 0;
        for (uint32_t i = 0; lines && i < b->odd_count; i++)
            if (lines[i].line == BILL_LINE_STRAY && lines[i].at < b->last_row && stray++ == 0)
                first = lines[i].at;
        char text[160];
        snprintf(
            text, sizeof text,
            "left out %llu lines amid the rows that are no rows as the profile says, the first at byte %llu",
            (unsigned long long)stray, (unsigned long long)first);
        if (stray)
            diag_did(diag, text);
    }
    for (uint32_t i = 0; err == OK && i < b->odd_count; i++) {
        if (lines[i].line != BILL_LINE_STRAY)
            continue;
        struct reject reject = {.place = input->base + lines[i].at,
                                .size = lines[i].size,
                                .column = lines[i].column,
                                .code = lines[i].code,
                                .side = (uint8_t)s->config.side};
        file->rows++;
        file->other_bytes -= lines[i].size;
        file->reject_bytes += lines[i].size;
        err = reject_list_add(&s->rejects, &reject, &file->reject_count, UINT64_MAX, diag);
    }
    mem_give(lines);
    arena_fini(&arena);
    return err;
}

static enum err check_bills(struct csv_source *s, struct worker_io *io, struct diag *diag)
{
    struct bill_check *check = mem_take_zero(1, sizeof *check);
    enum err err = check ? OK : mem_fail(diag, sizeof *check, "a bill's trailer");
    uint32_t companions = 0;
    for (uint32_t i = 0; err == OK && i < s->set.count; i++) {
        err = check_bill(s, io, i, check, diag);
        companions += bill_head(s->files[i].bill->bill) == BILL_COMPANION;
    }
    if (err == OK)
        err = bill_check_end(check, diag);
    if (err == OK && companions == s->set.count)
        err = diag_set(diag, ERR_INPUT, "bill.companion", "the bill itself must be there too",
                       "%s is a summary that comes beside a bill; there is no bill", s->set.files[0].path);
    mem_give(check);
    return err;
}

static enum err csv_finish(struct source *source, struct worker_io *io, struct diag *diag)
{
    struct csv_source *s = of(source);
    enum err err = file_set_settle(&s->set, diag);
    if (err == OK)
        err = file_set_check(&s->set, diag);
    if (err == OK)
        err = dict_check(s->config.shared->words, diag);
    if (err == OK && s->spec->bill)
        err = check_bills(s, io, diag);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        uint64_t seen = file->record_bytes + file->reject_bytes + file->other_bytes;
        if (seen != s->set.files[i].size)
            return diag_set(diag, ERR_BUG, "invariant.I1", "please report this with the file",
                            "%s: %llu bytes were taken as rows, the file has %llu", s->set.files[i].path,
                            (unsigned long long)seen, (unsigned long long)s->set.files[i].size);
        if (!has_marks(s))
            continue;
        uint64_t marks = (s->set.files[i].size + CSV_MARK_BYTES - 1) / CSV_MARK_BYTES, sum = 0;
        const uint64_t in_chunk = s->chunk / CSV_MARK_BYTES;
        file->mark_sums = mem_take((marks + 1) * sizeof *file->mark_sums);
        if (!file->mark_sums)
            return mem_fail(diag, (marks + 1) * sizeof *file->mark_sums, "line numbers");
        for (uint64_t k = 0; k < marks; k++) {
            file->mark_sums[k] = sum;
            sum += marks_of(s, file, k / in_chunk)[k % in_chunk];
        }
    }
    return csv_limit_rejects(source, io, diag);
}

static enum err csv_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag)
{
    struct csv_source *s = of(source);
    reject_list_sort(&s->rejects);
    /* The limit holds for each file. */
    enum err err = OK;
    uint64_t first = 0;
    for (uint32_t i = 0; i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        uint64_t end = s->set.files[i].base + s->set.files[i].size, count = file->reject_count, at = first;
        while (at < s->rejects.count && s->rejects.items[at].place < end)
            at++;
        uint64_t limit = rejects_allowed(s, file);
        if (count > limit) {
            for (uint64_t k = first; err == OK && k < at && k < first + REJECTS_SHOWN; k++) {
                err = show_reject(s, io, &s->rejects.items[k], diag);
            }
            return diag_set(diag, ERR_INPUT, "rejects",
                            "look at the rows above; allow some with --max-rejects=N or `rejects: {max: N}`",
                            "%s: %llu of %llu rows cannot be read as records; %llu are allowed",
                            s->set.files[i].path, (unsigned long long)count, (unsigned long long)file->rows,
                            (unsigned long long)limit);
        }
        first = at;
    }
    return reject_list_check(&s->rejects, diag);
}

/* ---- fetching rows again ---- */

/* Makes the window hold the file's bytes from `at` on, at least `want` of them or up to the file's end. */
static enum err window_at(struct csv_source *s, struct worker_io *io, struct input_file *input, uint64_t at,
                          uint32_t want, const uint8_t **bytes, uint32_t *size, struct diag *diag)
{
    uint64_t left = input->size - at;
    if (want > left)
        want = (uint32_t)left;
    (void)s;
    if (io->window_of != input->serial || at < io->window_at || at + want > io->window_at + io->window_size) {
        uint32_t room = want > IO_WINDOW ? want : IO_WINDOW;
        if (room > io->window_room) {
            uint8_t *grown = mem_grow(io->window, room);
            if (!grown)
                return mem_fail(diag, room, "rows fetched again");
            io->window = grown;
            io->window_room = room;
        }
        /* Small at first: rows that broke usually lie far apart. */
        uint32_t size_now = want > 4096 ? want : 4096;
        if (io->window_of == input->serial && at >= io->window_at && at < io->window_at + 4 * IO_WINDOW)
            size_now = room;
        if (size_now > left)
            size_now = (uint32_t)left;
        io->window_of = 0;
        ssize_t n = input_read(input, io->window, size_now, at, diag);
        if (n < 0)
            return diag->err;
        if ((uint32_t)n != size_now)
            return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                            "%s became shorter while it was read", input->path);
        io->window_of = input->serial;
        io->window_at = at;
        io->window_size = size_now;
    }
    *bytes = io->window + (at - io->window_at);
    *size = (uint32_t)(io->window_at + io->window_size - at);
    return OK;
}

/* Reads a row and picks the cells that its kind wants. `*kind` is NULL when the row is none that can become a record;
 * row->code says why. */
static enum csv_row_end read_row(struct csv_source *s, const struct csv_file *file, struct worker_io *io,
                                 const uint8_t *bytes, uint32_t size, int at_end, struct csv_row *row,
                                 struct row_kind *kind, struct cell **picked, struct bill_totals *totals)
{
    kind->normalizer = NULL;
    enum csv_row_end end;
    if (!file->bill) {
        end = csv_row_read(&s->dialect, bytes, size, 0, at_end, io->cells,
                           (uint32_t)(CSV_COLUMNS_MAX - file->wanted_count), io->unquoted, row);
        if (end == CSV_ROW_WHOLE && row->cells == file->column_count) {
            *kind = (struct row_kind){
                .normalizer = file->normalizer, .wanted = file->wanted, .wanted_count = file->wanted_count};
            *picked = io->cells + CSV_COLUMNS_MAX + 1 - file->wanted_count;
            for (int k = 0; k < file->wanted_count; k++)
                (*picked)[k] = io->cells[file->wanted[k]];
        } else if (end == CSV_ROW_WHOLE) {
            row->code = REJECT_COLUMNS;
        }
        return end;
    }
    const struct bill *bill = file->bill->bill;
    end = bill_row_read(bill, bytes, size, 0, at_end, io->cells, CSV_COLUMNS_MAX - FIELD_SLOTS - 32,
                        io->unquoted, row);
    if (end != CSV_ROW_WHOLE)
        return end;
    struct bill_row at_hand = {.bytes = bytes, .end = row->size, .cells = io->cells, .scratch = io->unquoted};
    row->code = REJECT_COLUMNS;
    if (row->cells != file->column_count || bill_is_comment(bill, bytes, row->size) ||
        !bill_is_row(bill, &at_hand))
        return end;
    int type = bill_type(bill, &at_hand);
    if (totals)
        bill_add_totals(bill, &at_hand, type, totals);
    row->code = REJECT_TYPE;
    if (type < 0 || !file->bill->kinds[type].normalizer)
        return end;
    *kind = file->bill->kinds[type];
    *picked = io->cells + CSV_COLUMNS_MAX + 1 - kind->wanted_count;
    for (int k = 0; k < kind->wanted_count; k++)
        (*picked)[k] = bill_cell(bill, &at_hand, kind->wanted[k]);
    row->code = REJECT_NONE;
    return end;
}

static enum err row_changed(const struct input_file *input, uint64_t at, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                    "%s: the row at byte %llu is not what it was when it was read first", input->path,
                    (unsigned long long)at);
}

/* Reads one row again; its wanted cells, and what they mean. They live until the next row is. */
static enum err again(struct csv_source *s, struct worker_io *io, uint32_t index, uint64_t at,
                      const struct cell **cells, const struct normalizer **normalizer, struct diag *diag)
{
    struct input_file *input = &s->set.files[index];
    struct csv_file *file = &s->files[index];
    for (uint32_t want = ROW_FETCH;; want *= 4) {
        const uint8_t *bytes = NULL;
        uint32_t size = 0;
        enum err err = window_at(s, io, input, at, want, &bytes, &size, diag);
        if (err == OK)
            err = worker_io_unquote_room(io, size, diag);
        if (err != OK)
            return err;
        int at_end = at + size == input->size;
        struct csv_row row;
        struct row_kind kind;
        struct cell *picked;
        enum csv_row_end end = read_row(s, file, io, bytes, size, at_end, &row, &kind, &picked, NULL);
        if (end == CSV_ROW_UNFINISHED && !at_end && want <= CSV_ROW_MAX)
            continue;
        if (!kind.normalizer)
            return row_changed(input, at, diag);
        *cells = picked;
        *normalizer = kind.normalizer;
        return OK;
    }
}

static enum err fetch_row(struct csv_source *s, struct worker_io *io, uint64_t place, struct full *full,
                          struct arena *arena, struct diag *diag)
{
    uint32_t index = file_set_find(&s->set, place);
    uint64_t at = place - s->set.files[index].base;
    const struct cell *cells;
    const struct normalizer *normalizer;
    enum err err = again(s, io, index, at, &cells, &normalizer, diag);
    if (err != OK)
        return err;
    int bad_cell, no_memory;
    enum reject_code code =
        normalize_full(normalizer, &io->scratch, cells, arena, full, &bad_cell, &no_memory);
    if (no_memory)
        return mem_fail(diag, 0, "rows that broke");
    if (code != REJECT_NONE)
        return row_changed(&s->set.files[index], at, diag);
    full->place = place;
    return OK;
}

static enum err csv_fetch(struct source *source, struct worker_io *io, const struct row_ref *refs,
                          struct full *rows, uint32_t count, struct arena *arena, struct diag *diag)
{
    for (uint32_t i = 0; i < count; i++) {
        enum err err = fetch_row(of(source), io, refs[i].place, &rows[i], arena, diag);
        if (err != OK)
            return err;
        rows[i].record_flags = refs[i].record_flags;
    }
    return OK;
}

/* The line in which a byte lies, from 1; 0 when the file cannot be read, with errno set. */
static uint64_t line_of(struct csv_source *s, struct worker_io *io, uint32_t index, uint64_t at)
{
    struct csv_file *file = &s->files[index];
    struct input_file *input = &s->set.files[index];
    struct line_count *c = &io->lines[s->config.side];
    if (c->file != input->serial || at < c->at ||
        (file->mark_sums && at / CSV_MARK_BYTES > c->at / CSV_MARK_BYTES + 1)) {
        int near = c->file == input->serial && at >= c->from && at < c->from + 4 * IO_WINDOW;
        c->file = input->serial;
        c->at = file->mark_sums ? at / CSV_MARK_BYTES * CSV_MARK_BYTES : 0;
        c->line = file->mark_sums ? file->mark_sums[at / CSV_MARK_BYTES] : 0;
        if (!near)
            c->size = 0;
    }
    while (c->at < at) {
        if (c->at < c->from || c->at >= c->from + c->size) {
            /* One block where places lie far apart, a window where they follow each other. */
            uint64_t want = c->size ? IO_WINDOW : CSV_MARK_BYTES;
            if (want > input->size - c->at)
                want = input->size - c->at;
            ssize_t n = sys_pread_full(input->fd, c->bytes, want, c->at);
            if (n <= 0) {
                errno = n < 0 ? (int)-n : EIO;
                c->file = 0;
                return 0;
            }
            c->from = c->at;
            c->size = (uint64_t)n;
        }
        uint64_t end = c->from + c->size < at ? c->from + c->size : at;
        c->line += csv_count_newlines(c->bytes + (c->at - c->from), end - c->at);
        c->at = end;
    }
    return c->line + 1;
}

/* ---- rows fetched again that lie close together ---- */

/* Reads and scans a buffer full from the row at `at` on. Nothing is there when its rows are not plain to see: then
 * each is read by itself. */
static enum err stream_fill(struct csv_source *s, struct worker_io *io, uint32_t index, uint64_t at,
                            struct diag *diag)
{
    struct input_file *input = &s->set.files[index];
    struct row_stream *st = &io->streams[s->config.side];
    struct chunk_scan *scan = &io->scans[s->config.side];
    uint8_t *bytes = worker_io_buffer(io, (uint32_t)s->config.side);
    uint32_t size = io->buffer_size < scan->room ? io->buffer_size : (uint32_t)scan->room;
    if (size > input->size - at)
        size = (uint32_t)(input->size - at);
    *st = (struct row_stream){.file = 0};
    ssize_t n = input_read(input, bytes, size, at, diag);
    if (n < 0)
        return diag->err;
    if ((uint32_t)n != size)
        return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                        "%s became shorter while it was read", input->path);
    size -= size && bytes[size - 1] == '\r'; /* what follows it is not known here */
    memset(bytes + size, 0, IO_SLACK);
    struct csv_scan_job job = {.bytes = bytes,
                               .size = size,
                               .end = size + 1,
                               .delimiter = s->dialect.delimiter,
                               .quote = s->dialect.quote,
                               .seps = scan->seps,
                               .rows = scan->rows};
    struct csv_scan_result result = csv_scan(&job);
    int quoted = s->dialect.quote && (result.flags & CSV_SAW_QUOTE);
    if (quoted)
        result = csv_scan_quoted(&job);
    if (result.row_count == 0 || (result.flags & (CSV_IRREGULAR | CSV_SAW_STRAY_CR)))
        return OK;
    *st = (struct row_stream){.file = input->serial,
                              .begin = at,
                              .stop = result.stop,
                              .line = line_of(s, io, index, at),
                              .row_count = result.row_count,
                              .quoted = quoted};
    scan->seps[-1] = UINT32_MAX; /* the first row begins at 0 */
    if (st->line == 0) {
        st->file = 0;
        return diag_set_errno(diag, errno, "read", "%s: cannot count its lines", input->path);
    }
    return OK;
}

/* Goes on to the row at `at`; its wanted cells. */
static enum err stream_row(struct csv_source *s, struct worker_io *io, uint32_t index, uint64_t at,
                           const struct cell **out, uint64_t *line, struct diag *diag)
{
    struct csv_file *file = &s->files[index];
    struct row_stream *st = &io->streams[s->config.side];
    const uint32_t *const seps = io->scans[s->config.side].seps, *const rows = io->scans[s->config.side].rows;
    const uint8_t *const bytes = worker_io_buffer(io, (uint32_t)s->config.side);
    const uint32_t wanted_at = (uint32_t)(at - st->begin), from = st->at, from_row = st->row;
    while (st->at < wanted_at && st->row < st->row_count) {
        st->sep = rows[st->row++];
        st->at = seps[st->sep - 1] + 1;
    }
    /* With quotes a row may have several lines. */
    st->line += st->quoted ? csv_count_newlines(bytes + from, st->at - from) : st->row - from_row;
    *line = st->line;
    if (st->at != wanted_at || st->row == st->row_count || rows[st->row] - st->sep != file->column_count)
        return row_changed(&s->set.files[index], at, diag);
    const uint32_t newline = seps[rows[st->row] - 1];
    struct cell *const cells = io->cells;
    uint8_t *scratch = io->unquoted;
    for (int k = 0; k < file->wanted_count; k++) {
        const uint32_t *sep = seps + st->sep + file->wanted[k];
        const uint32_t begin = sep[-1] + 1;
        uint32_t end = sep[0];
        end -= end == newline && end > st->at && bytes[end - 1] == '\r';
        cells[k] = (struct cell){
            .data = (const char *)bytes + begin, .size = end > begin ? end - begin : 0, .kind = CELL_TEXT};
        if (st->quoted && cells[k].size && bytes[begin] == s->dialect.quote) {
            csv_unquote(&s->dialect, &cells[k], scratch);
            if ((const uint8_t *)cells[k].data == scratch)
                scratch += cells[k].size;
        }
    }
    *out = cells;
    return OK;
}

/* Whether it pays to read a buffer full from places[at] on: what is wanted of it lies close together. */
static int is_dense(const uint64_t *places, uint32_t count, uint32_t at)
{
    enum { LOOK_AHEAD = 16, GAP_MAX = 2048 };
    uint32_t ahead = count - 1 - at < LOOK_AHEAD ? count - 1 - at : LOOK_AHEAD;
    return ahead && places[at + ahead] - places[at] < (uint64_t)ahead * GAP_MAX;
}

static enum err csv_leans(struct source *source, struct worker_io *io, const struct lean_plan *plan,
                          const uint64_t *places, uint32_t count, struct lean_list *list, struct diag *diag)
{
    struct csv_source *s = of(source);
    struct row_stream *st = &io->streams[s->config.side];
    uint32_t index = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (places[i] - s->set.files[index].base >= s->set.files[index].size)
            index = file_set_find(&s->set, places[i]);
        struct input_file *input = &s->set.files[index];
        uint64_t at = places[i] - input->base, line = 0;
        const struct cell *cells = NULL;
        const struct normalizer *normalizer = s->files[index].normalizer;
        enum err err = OK;
        int is_there = st->file == input->serial && at >= st->begin + st->at && at < st->begin + st->stop;
        if (!is_there && !s->files[index].bill && io->buffer_count > (uint32_t)s->config.side &&
            is_dense(places, count, i)) {
            err = stream_fill(s, io, index, at, diag);
            is_there = st->file != 0;
        }
        if (err == OK && is_there) {
            err = worker_io_unquote_room(io, io->buffer_size, diag);
            if (err == OK)
                err = stream_row(s, io, index, at, &cells, &line, diag);
        } else if (err == OK) {
            err = again(s, io, index, at, &cells, &normalizer, diag);
            if (err == OK && (line = line_of(s, io, index, at)) == 0)
                err = diag_set_errno(diag, errno, "read", "%s: cannot count its lines", input->path);
        }
        if (err != OK)
            return err;
        uint32_t before = list->count;
        int taken = normalize_lean(normalizer, &io->scratch, cells, plan, list);
        if (UNLIKELY(taken == 0)) {
            struct arena arena;
            struct full full;
            int bad_cell, no_memory;
            arena_init(&arena);
            enum reject_code code =
                normalize_full(normalizer, &io->scratch, cells, &arena, &full, &bad_cell, &no_memory);
            if (code != REJECT_NONE && !no_memory)
                err = row_changed(input, at, diag);
            taken = code == REJECT_NONE && lean_of_full(plan, &full, list) ? 1 : -1;
            arena_fini(&arena);
        }
        if (err == OK && taken < 0)
            err = mem_fail(diag, 0, "matched rows");
        if (err != OK)
            return err;
        list->items[before].place = places[i];
        list->items[before].line = line;
    }
    return OK;
}

static const char *csv_place_file(const struct source *source, uint64_t place, uint64_t *begin,
                                  uint64_t *size)
{
    const struct csv_source *s = of(source);
    const struct input_file *input = &s->set.files[file_set_find(&s->set, place)];
    *begin = input->base;
    *size = input->size;
    return input->shown;
}

static size_t csv_place(struct source *source, struct worker_io *io, uint64_t place, char *out, size_t room)
{
    struct csv_source *s = of(source);
    uint32_t index = file_set_find(&s->set, place);
    uint64_t at = place - s->set.files[index].base;
    uint64_t line = 0;
    if (s->spec->bill && s->spec->bill->flatten != FLATTEN_NONE) {
        /* A row that was made of a statement's entry begins with the entry's byte and line. */
        char head[64];
        struct diag ignored = {0};
        ssize_t n = input_read(&s->set.files[index], head, sizeof head - 1, at, &ignored);
        head[n < 0 ? 0 : n] = 0;
        char *end;
        at = strtoull(head, &end, 10);
        line = *end == ',' ? strtoull(end + 1, NULL, 10) : 0;
        errno = EIO;
    } else {
        line = line_of(s, io, index, at);
    }
    if (line == 0) {
        snprintf(out, room, "%s", s->set.files[index].path);
        return 0;
    }
    int n = snprintf(out, room, "%s:%llu@%llu", s->set.files[index].shown, (unsigned long long)line,
                     (unsigned long long)at);
    return n < (int)room ? (size_t)n : room - 1;
}

static size_t csv_place_text(struct source *source, struct worker_io *io, const struct full *row, char *out,
                             size_t room)
{
    return csv_place(source, io, row->place, out, room);
}

static const struct reject *csv_rejects(struct source *source, uint64_t *count)
{
    *count = of(source)->rejects.count;
    return of(source)->rejects.items;
}

static enum err csv_reject_text(struct source *source, struct worker_io *io, const struct reject *reject,
                                struct arena *arena, struct span *raw, struct span *place,
                                struct span *column, struct span *value, struct diag *diag)
{
    struct csv_source *s = of(source);
    uint32_t index = file_set_find(&s->set, reject->place);
    struct csv_file *file = &s->files[index];
    const uint8_t *bytes = NULL;
    uint32_t size = 0;
    enum err err = window_at(s, io, &s->set.files[index], reject->place - s->set.files[index].base,
                             reject->size, &bytes, &size, diag);
    if (err != OK)
        return err;
    char text[1024];
    size_t n = csv_place(source, io, reject->place, text, sizeof text);
    if (n == 0)
        return diag_set_errno(diag, errno, "read", "%s: cannot count its lines", text);
    *place = arena_copy(arena, (struct span){text, n});
    *raw = arena_copy(arena, (struct span){(const char *)bytes, reject->size});
    *column = *value = (struct span){"", 0};
    err = worker_io_unquote_room(io, reject->size + 1, diag);
    if (err != OK)
        return err;
    if (!place->data || !raw->data)
        return mem_fail(diag, reject->size, "a reject");
    if (reject->column < file->column_count) {
        *column = span_of(names_of(file)[reject->column]);
        struct csv_row row;
        const struct bill *bill = file->bill ? file->bill->bill : NULL;
        err = worker_io_unquote_room(io, reject->size + 1, diag);
        if (err != OK)
            return err;
        enum csv_row_end end = bill ? bill_row_read(bill, (const uint8_t *)raw->data, reject->size, 0, 1,
                                                    io->cells, CSV_COLUMNS_MAX, io->unquoted, &row)
                                    : csv_row_read(&s->dialect, (const uint8_t *)raw->data, reject->size, 0,
                                                   1, io->cells, CSV_COLUMNS_MAX, io->unquoted, &row);
        if (end == CSV_ROW_WHOLE && reject->column < row.cells) {
            char *shown = bill ? bill_text(bill, (const uint8_t *)io->cells[reject->column].data,
                                           io->cells[reject->column].size)
                               : NULL;
            *value = arena_copy(arena, shown ? span_of(shown) : cell_span(&io->cells[reject->column]));
            mem_give(shown);
        }
        if (!value->data)
            return mem_fail(diag, reject->size, "a reject");
    }
    return OK;
}

static enum err show_reject(struct csv_source *s, struct worker_io *io, const struct reject *reject,
                            struct diag *diag)
{
    struct arena arena;
    arena_init(&arena);
    struct span raw, place, column, value;
    enum err err = csv_reject_text(&s->base, io, reject, &arena, &raw, &place, &column, &value, diag);
    char found[80] = "";
    if (err == OK && reject->code == REJECT_COLUMNS) {
        struct csv_row row;
        const struct csv_file *file = &s->files[file_set_find(&s->set, reject->place)];
        if (s->spec->bill && s->spec->bill->format == FORMAT_FIXED) {
            snprintf(found, sizeof found, "%u bytes", reject->size);
        } else {
            csv_row_read(&s->dialect, (const uint8_t *)raw.data, (uint32_t)raw.size, 0, 1, io->cells,
                         CSV_COLUMNS_MAX, io->unquoted, &row);
            snprintf(found, sizeof found, "%u cells, the header has %u",
                     row.cells - (row.cells && s->spec->bill && s->spec->bill->prefix), file->column_count);
        }
    }
    if (err == OK)
        reject_show((enum reject_code)reject->code, place.data, column.size ? column.data : NULL,
                    found[0]                                    ? found
                    : column.size && reject->code >= REJECT_KEY ? value.data
                                                                : NULL);
    arena_fini(&arena);
    return err;
}

static int csv_file(const struct source *source, uint32_t index, struct source_file *file)
{
    struct csv_source *s = of(source);
    if (index >= s->set.count)
        return 0;
    const struct input_file *input = &s->set.files[index];
    *file = (struct source_file){.name = input->shown,
                                 .fd = input->own_fd,
                                 .fd_of = input->stat.st_ino ^ (uint64_t)input->stat.st_dev << 48,
                                 .file_size = (uint64_t)input->stat.st_size,
                                 .rows = s->files[index].rows};
    return 1;
}

static struct record_layout csv_layout(const struct source *source)
{
    struct csv_source *s = of(source);
    return normalizer_layout_of(s->job, s->config.side);
}

static enum err csv_scan_all(struct source *source, struct worker_io *io,
                             enum err (*row_fn)(void *context, const struct full *full, struct diag *diag),
                             void *context, struct diag *diag)
{
    struct csv_source *s = of(source);
    struct arena arena;
    arena_init(&arena);
    enum err err = file_set_settle(&s->set, diag);
    for (uint32_t index = 0; err == OK && index < s->set.count; index++) {
        struct input_file *input = &s->set.files[index];
        struct csv_file *file = &s->files[index];
        uint64_t at = file->data_begin;
        while (err == OK && at < input->size) {
            const uint8_t *bytes = NULL;
            uint32_t size = 0, want = 4096;
            struct csv_row row;
            enum csv_row_end end = CSV_ROW_UNFINISHED;
            int at_end = 0;
            struct row_kind kind;
            struct cell *picked;
            for (; end == CSV_ROW_UNFINISHED && err == OK && !at_end && want <= 4 * CSV_ROW_MAX; want *= 4) {
                err = window_at(s, io, input, at, want, &bytes, &size, diag);
                if (err == OK)
                    err = worker_io_unquote_room(io, size, diag);
                if (err != OK)
                    break;
                at_end = at + size == input->size;
                end = read_row(s, file, io, bytes, size, at_end, &row, &kind, &picked,
                               file->bill ? &file->bill->totals : NULL);
            }
            if (err != OK)
                break;
            if (end == CSV_ROW_UNFINISHED) {
                err = diag_set(diag, ERR_INPUT, "csv.cut", "the file was cut off, or a quote is never closed",
                               "%s: the row at byte %llu has no end within 1 MiB or the file", input->path,
                               (unsigned long long)at);
                break;
            }
            enum reject_code code = row.code;
            uint32_t bad_column = row.bad_cell;
            struct full full;
            if (end == CSV_ROW_WHOLE && kind.normalizer && !is_comment(s, bytes, row.size)) {
                int bad_cell, no_memory;
                arena_reset(&arena);
                code = normalize_full(kind.normalizer, &io->scratch, picked, &arena, &full, &bad_cell,
                                      &no_memory);
                bad_column = bad_cell >= 0 ? (uint32_t)kind.wanted[bad_cell] : UINT32_MAX;
                if (no_memory)
                    err = mem_fail(diag, 0, "a row");
                full.place = input->base + at;
                if (err == OK && code == REJECT_NONE)
                    err = row_fn(context, &full, diag);
            }
            int is_odd = file->bill && (end == CSV_ROW_SPOILED || code == REJECT_COLUMNS);
            if (err == OK && is_odd && end != CSV_ROW_BLANK) { /* of the trailer, perhaps */
                struct odd_line line = {.at = at, .size = row.size, .column = 0xFFFF, .code = (uint8_t)code};
                err = add_odd(s, file->bill, &line, input->path, diag);
            } else if (err == OK && code != REJECT_NONE && code != REJECT_NOT_OURS &&
                       !is_comment(s, bytes, row.size)) {
                file->reject_count++;
                char place[1024];
                csv_place(source, io, input->base + at, place, sizeof place);
                if (!s->config.quiet)
                    reject_show(code, place,
                                bad_column < file->column_count ? names_of(file)[bad_column] : NULL, NULL);
            }
            if (file->bill && !is_odd && end == CSV_ROW_WHOLE)
                file->bill->last_row = at + 1;
            file->records += end == CSV_ROW_WHOLE && code == REJECT_NONE;
            at += row.next;
        }
    }
    arena_fini(&arena);
    if (err == OK && s->spec->bill)
        err = check_bills(s, io, diag);
    for (uint32_t i = 0; err == OK && s->spec->bill && !s->config.quiet && i < s->rejects.count; i++)
        err = show_reject(s, io, &s->rejects.items[i], diag);
    return err;
}

static const struct source_ops csv_ops = {
    .size = csv_size,
    .begin = csv_begin,
    .claim = csv_claim,
    .start = csv_start,
    .arrive = csv_arrive,
    .process = csv_process,
    .finish = csv_finish,
    .limit_rejects = csv_limit_rejects,
    .counts = csv_counts,
    .fetch = csv_fetch,
    .leans = csv_leans,
    .place_file = csv_place_file,
    .place_text = csv_place_text,
    .rejects = csv_rejects,
    .reject_text = csv_reject_text,
    .file = csv_file,
    .layout = csv_layout,
    .scan = csv_scan_all,
    .close = csv_close,
};
