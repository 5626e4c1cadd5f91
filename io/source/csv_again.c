/* io/source/csv_again.c: rows by their place. */
#include "core/rules/plain.h"
#include "io/ring/sys.h"
#include "io/source/csv_inner.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROW_FETCH = 512, NEAR = 8 * 1024 };

/* How far behind what was read a row may lie for a whole window to be read. The copy of one costs as much as ten small reads; much further
 * where each read waits for the disk. */
static uint64_t reach(const struct input_file *input)
{
    return input->is_direct ? 3 * IO_WINDOW : NEAR;
}

/* Makes the window hold the file's bytes from `at` on, at least `want` of them or up to the file's end. */
enum err csv_window(struct csv_source *s, struct worker_io *io, struct input_file *input, uint64_t at,
                    uint32_t want, const uint8_t **bytes, uint32_t *size, struct diag *diag)
{
    uint64_t left = input->size - at;
    if (want > left)
        want = (uint32_t)left;
    (void)s;
    if (io->window_of != input->serial || at < io->window_at || at + want > io->window_at + io->window_size) {
        uint32_t room = want > IO_WINDOW ? want : IO_WINDOW;
        if (room > io->window_room) {
            uint8_t *grown = mem_grow(io->window, room + CSV_SCAN_SLACK);
            if (!grown)
                return mem_fail(diag, room, "rows fetched again");
            io->window = grown;
            io->window_room = room;
        }
        /* Small at first: rows that broke usually lie far apart. From where lines are counted on, so that the row's
         * line is in it too. */
        const int follows = io->window_of == input->serial && at >= io->window_at &&
                            at < io->window_at + io->window_size + reach(input),
                  many = io->ahead == AHEAD_NEAR ||
                         (follows && (io->ahead == AHEAD_UNKNOWN || input->is_direct));
        const uint64_t from = want <= IO_WINDOW - CSV_MARK_BYTES ? at / CSV_MARK_BYTES * CSV_MARK_BYTES : at;
        const uint32_t before = (uint32_t)(at - from);
        uint32_t size_now = many ? room : want + before;
        left += before;
        if (size_now > left)
            size_now = (uint32_t)left;
        io->window_of = 0;
        ssize_t n = input_read(input, io->window, size_now, from, diag);
        if (n < 0)
            return diag->err;
        if ((uint32_t)n != size_now)
            return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                            "%s became shorter while it was read", input->path);
        io->window_of = input->serial;
        io->window_at = from;
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
                                 struct csv_row_kind *kind, struct cell **picked, struct bill_totals *totals)
{
    kind->normalizer = NULL;
    enum csv_row_end end;
    if (!file->bill) {
        end = csv_row_read(&s->dialect, bytes, size, 0, at_end, io->cells,
                           (uint32_t)(CSV_COLUMNS_MAX - file->wanted_count), io->unquoted, row);
        if (end == CSV_ROW_WHOLE && row->cells == file->column_count) {
            *kind = (struct csv_row_kind){
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
        enum err err = csv_window(s, io, input, at, want, &bytes, &size, diag);
        if (err == OK)
            err = worker_io_unquote_room(io, size, diag);
        if (err != OK)
            return err;
        int at_end = at + size == input->size;
        struct csv_row row;
        struct csv_row_kind kind;
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

/* Rows of a statement are not lines of its file: each says in which line its entry began. */
static int flattened(const struct csv_source *s)
{
    return s->spec->bill && s->spec->bill->flatten != FLATTEN_NONE;
}

/* Newlines before a mark. */
static uint64_t lines_before(const struct csv_source *s, const struct csv_file *file, uint64_t mark)
{
    const uint64_t in_chunk = s->chunk / CSV_MARK_BYTES;
    uint64_t lines = file->mark_sums[mark / CSV_MARKS_A_SUM];
    for (uint64_t k = mark / CSV_MARKS_A_SUM * CSV_MARKS_A_SUM; k < mark; k++)
        lines += csv_marks(s, file, k / in_chunk)[k % in_chunk];
    return lines;
}

void csv_tap_lines(const struct source *source, uint64_t place, uint32_t count, uint64_t *lines)
{
    const struct csv_source *s = csv_source_of(source);
    const uint64_t in_chunk = s->chunk / CSV_MARK_BYTES;
    for (uint32_t i = 0; i < count;) {
        const uint64_t at = place + (uint64_t)i * CSV_MARK_BYTES;
        const uint32_t index = s->set.count == 1 ? 0 : file_set_find(&s->set, at);
        const struct csv_file *file = &s->files[index];
        const uint64_t first = (at - s->set.files[index].base) / CSV_MARK_BYTES,
                       end = s->set.files[index].size / CSV_MARK_BYTES;
        uint64_t before = lines[i++] = lines_before(s, file, first);
        for (uint64_t k = first; i < count && k < end; k++)
            lines[i++] = before += csv_marks(s, file, k / in_chunk)[k % in_chunk];
    }
}

/* The line of a byte that is in the window, where its block is as well; 0: ask csv_line. */
static uint64_t line_in_window(const struct csv_source *s, const struct input_file *input,
                               const struct csv_file *file, const struct worker_io *io, uint64_t at)
{
    const uint64_t block = at / CSV_MARK_BYTES * CSV_MARK_BYTES;
    if (io->last.file == input->serial && io->last.at <= at && io->last.at >= io->window_at &&
        at - io->last.at <= at - block)
        return io->last.line +
               csv_count_newlines(io->window + (io->last.at - io->window_at), at - io->last.at);
    if (!file->mark_sums || block < io->window_at)
        return 0;
    return lines_before(s, file, at / CSV_MARK_BYTES) +
           csv_count_newlines(io->window + (block - io->window_at), at - block) + 1;
}

/* The line in which a byte lies, from 1; 0 when the file cannot be read, with errno set. */
uint64_t csv_line(struct csv_source *s, struct worker_io *io, uint32_t index, uint64_t at)
{
    struct csv_file *file = &s->files[index];
    struct input_file *input = &s->set.files[index];
    const uint32_t record = csv_record_size(file);
    if (record) /* no lines: records are counted */
        return (at - file->data_begin) / record + 1;
    struct line_count *c = &io->lines[s->config.side];
    if (c->file != input->serial || at < c->at ||
        (file->mark_sums && at / CSV_MARK_BYTES > c->at / CSV_MARK_BYTES + 1)) {
        int near = c->file == input->serial && at >= c->from && at < c->from + c->size + reach(input);
        c->file = input->serial;
        c->at = file->mark_sums ? at / CSV_MARK_BYTES * CSV_MARK_BYTES : 0;
        c->line = file->mark_sums ? lines_before(s, file, at / CSV_MARK_BYTES) : 0;
        if (!near)
            c->size = 0;
    }
    while (c->at < at) {
        if (c->at < c->from || c->at >= c->from + c->size) {
            /* One block where places lie far apart, a window where they follow each other. */
            uint64_t want = c->size ? IO_WINDOW : CSV_MARK_BYTES;
            if (want > input->size - c->at)
                want = input->size - c->at;
            ssize_t n = input_pread(input, c->bytes, want, c->at);
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

/* ---- rows that lie close together ---- */

/* The buffer, and the scan, of a side: one for both where there is one. */
static uint32_t stream_slot(const struct worker_io *io, enum side side)
{
    return (uint32_t)side % io->buffer_count;
}

/* What csv_scan_quoted finds, byte by byte: for a buffer in which a quote or a carriage return stands where none may. A row that
 * is no record has a separator at its end, and one more where that alone would make it a row of the file. */
static struct csv_scan_result scan_irregular(const struct csv_source *s, const struct csv_file *file,
                                             struct worker_io *io, const struct csv_scan_job *job)
{
    struct csv_scan_result result = {.stop = job->start};
    struct csv_row row;
    enum csv_row_end end;
    while ((end = csv_row_read(&s->dialect, job->bytes, job->size, result.stop, 0, io->cells, CSV_COLUMNS_MAX,
                               NULL, &row)) != CSV_ROW_UNFINISHED) {
        if (end == CSV_ROW_WHOLE && row.cells == file->column_count) {
            uint32_t at = result.stop;
            for (uint32_t k = 0; k + 1 < row.cells; k++) {
                const int is_quoted = s->dialect.quote && job->bytes[at] == s->dialect.quote;
                at += io->cells[k].size + (is_quoted ? 2 : 0);
                job->seps[result.sep_count++] = at++;
            }
        } else if (row.size && file->column_count == 1) {
            job->seps[result.sep_count++] = row.next - 1;
        }
        job->seps[result.sep_count++] = row.next - 1;
        job->rows[result.row_count++] = result.sep_count;
        result.stop = row.next;
    }
    return result;
}

/* Reads and scans a buffer full from the row at `at` on. Nothing is there when no row ends in it: then each is read
 * by itself. */
static enum err stream_fill(struct csv_source *s, struct worker_io *io, uint32_t index, uint64_t at,
                            struct diag *diag)
{
    struct input_file *input = &s->set.files[index];
    const struct csv_file *file = &s->files[index];
    struct row_stream *st = &io->streams[s->config.side];
    struct chunk_scan *scan = &io->scans[stream_slot(io, s->config.side)];
    uint8_t *bytes = worker_io_buffer(io, stream_slot(io, s->config.side));
    uint32_t size = io->buffer_size < scan->room ? io->buffer_size : (uint32_t)scan->room;
    if (size > input->size - at)
        size = (uint32_t)(input->size - at);
    *st = (struct row_stream){.file = 0};
    if (io->buffer_count < SIDES) /* it was the other side's */
        io->streams[!s->config.side].file = 0;
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
    if (result.flags & (CSV_IRREGULAR | CSV_SAW_STRAY_CR))
        result = scan_irregular(s, file, io, &job);
    if (result.row_count == 0)
        return OK;
    *st = (struct row_stream){.file = input->serial,
                              .begin = at,
                              .stop = result.stop,
                              .line = csv_line(s, io, index, at),
                              .row_count = result.row_count,
                              .quoted = quoted};
    scan->seps[-1] = UINT32_MAX; /* the first row begins at 0 */
    if (st->line == 0) {
        st->file = 0;
        return diag_set_errno(diag, errno, "read", "%s: cannot count its lines", input->path);
    }
    return OK;
}

/* The cells of the row at hand: `count` of those that are wanted, by their numbers; `which` NULL: the first ones. */
static void stream_cells(const struct csv_source *s, struct worker_io *io, uint32_t index, const int *which,
                         int count)
{
    const struct csv_file *file = &s->files[index];
    const struct row_stream *st = &io->streams[s->config.side];
    const uint32_t *const seps = io->scans[stream_slot(io, s->config.side)].seps + st->sep,
                          newline = io->scans[stream_slot(io, s->config.side)]
                                        .seps[io->scans[stream_slot(io, s->config.side)].rows[st->row] - 1];
    const uint8_t *const bytes = worker_io_buffer(io, stream_slot(io, s->config.side));
    struct cell *const cells = io->cells;
    uint8_t *scratch = io->unquoted;
    for (int i = 0; i < count; i++) {
        const int k = which ? which[i] : i;
        const uint32_t *sep = seps + file->wanted[k];
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
}

/* Goes on to the row at `at`. */
static enum err stream_row(struct csv_source *s, struct worker_io *io, uint32_t index, uint64_t at,
                           uint64_t *line, struct diag *diag)
{
    struct csv_file *file = &s->files[index];
    struct row_stream *st = &io->streams[s->config.side];
    const uint32_t *const seps = io->scans[stream_slot(io, s->config.side)].seps,
                          *const rows = io->scans[stream_slot(io, s->config.side)].rows;
    const uint8_t *const bytes = worker_io_buffer(io, stream_slot(io, s->config.side));
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
    return OK;
}

/* Whether it pays to read a buffer full from places[at] on: what is wanted of it lies close together. */
static int is_dense(const uint64_t *places, uint32_t count, uint32_t at)
{
    enum { LOOK_AHEAD = 16, GAP_MAX = 2048 };
    uint32_t ahead = count - 1 - at < LOOK_AHEAD ? count - 1 - at : LOOK_AHEAD;
    return ahead && places[at + ahead] - places[at] < (uint64_t)ahead * GAP_MAX;
}

/* Refs are sorted by place. The copy of a window costs as much as ten small reads. */
static enum rows_ahead rows_ahead(const struct row_ref *refs, uint32_t count, uint32_t at)
{
    enum { LOOK_AHEAD = 12, LOOK_LEAST = 4 };
    const uint32_t ahead = count - 1 - at < LOOK_AHEAD ? count - 1 - at : LOOK_AHEAD;
    if (ahead < LOOK_LEAST)
        return AHEAD_UNKNOWN;
    return refs[at + ahead].place - refs[at].place < ahead * (uint64_t)(IO_WINDOW / LOOK_AHEAD) ? AHEAD_NEAR
                                                                                                : AHEAD_FAR;
}

/* Whether many rows from refs[at] on follow each other closely. */
static int is_run(const struct row_ref *refs, uint32_t count, uint32_t at)
{
    enum { LOOK_AHEAD = 16, LOOK_LEAST = 8, GAP_MAX = 1024 };
    const uint32_t ahead = count - 1 - at < LOOK_AHEAD ? count - 1 - at : LOOK_AHEAD;
    return ahead >= LOOK_LEAST && refs[at + ahead].place - refs[at].place < ahead * (uint64_t)GAP_MAX;
}

/* 1 when the row at `at` is in what was read and scanned last, or now is. -1: *err. */
static int has_stream(struct csv_source *s, struct worker_io *io, const struct row_ref *refs, uint32_t count,
                      uint32_t index, uint64_t at, enum err *err, struct diag *diag)
{
    struct row_stream *const st = &io->streams[s->config.side];
    if (st->file == s->set.files[index].serial && at >= st->begin + st->at && at < st->begin + st->stop)
        return 1;
    if (s->files[index].bill || !is_run(refs, count, 0))
        return 0;
    *err = stream_fill(s, io, index, at, diag);
    return *err == OK ? st->file != 0 : -1;
}

/* The cells of a row, which live until the next one's: out of a stream where many lie close together, else by itself. */
static enum err row_cells(struct csv_source *s, struct worker_io *io, const struct row_ref *refs,
                          uint32_t count, uint32_t i, uint32_t index, const struct cell **cells,
                          const struct normalizer **normalizer, uint64_t *line, struct diag *diag)
{
    struct input_file *input = &s->set.files[index];
    const uint64_t at = refs[i].place - input->base;
    enum err err = OK;
    const int is_there = has_stream(s, io, refs + i, count - i, index, at, &err, diag) == 1;
    if (err == OK && is_there && (err = worker_io_unquote_room(io, io->buffer_size, diag)) == OK)
        err = stream_row(s, io, index, at, line, diag);
    if (err == OK && is_there) {
        stream_cells(s, io, index, NULL, s->files[index].wanted_count);
        *cells = io->cells;
        *normalizer = s->files[index].normalizer;
    }
    if (err != OK || is_there)
        return err;
    io->ahead = (uint8_t)rows_ahead(refs, count, i);
    err = again(s, io, index, at, cells, normalizer, diag);
    if (err != OK)
        return err;
    *line = flattened(s) ? 0 : line_in_window(s, input, &s->files[index], io, at);
    if (*line) {
        io->last.file = input->serial;
        io->last.at = at;
        io->last.line = *line;
    }
    return OK;
}

static inline __attribute__((always_inline)) enum err
fetch_rows(struct csv_source *s, struct worker_io *io, const struct row_ref *refs, struct full *rows,
           uint32_t count, uint64_t fields, const int is_all, struct arena *arena, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const uint32_t index = file_set_find(&s->set, refs[i].place);
        struct input_file *input = &s->set.files[index];
        const struct cell *cells = NULL;
        const struct normalizer *normalizer = NULL;
        uint64_t line = 0;
        int bad_cell, no_memory;
        err = row_cells(s, io, refs, count, i, index, &cells, &normalizer, &line, diag);
        if (err != OK)
            break;
        const enum reject_code code =
            is_all ? normalize_full(normalizer, &io->scratch, cells, arena, &rows[i], &bad_cell, &no_memory)
                   : normalize_some(normalizer, &io->scratch, cells, fields, arena, &rows[i], &bad_cell,
                                    &no_memory);
        if (no_memory)
            err = mem_fail(diag, 0, "rows that broke");
        else if (code != REJECT_NONE)
            err = row_changed(input, refs[i].place - input->base, diag);
        rows[i].place = refs[i].place;
        rows[i].line = line;
        rows[i].record_flags = refs[i].record_flags;
    }
    io->ahead = AHEAD_UNKNOWN;
    return err;
}

enum err csv_fetch(struct source *source, struct worker_io *io, const struct row_ref *refs, struct full *rows,
                   uint32_t count, struct arena *arena, struct diag *diag)
{
    return fetch_rows(csv_source_of(source), io, refs, rows, count, 0, 1, arena, diag);
}

enum err csv_fetch_some(struct source *source, struct worker_io *io, const struct row_ref *refs,
                        struct full *rows, uint32_t count, uint64_t fields, struct arena *arena,
                        struct diag *diag)
{
    return fetch_rows(csv_source_of(source), io, refs, rows, count, fields, 0, arena, diag);
}

enum err csv_outlines(struct source *source, struct worker_io *io, const struct row_ref *refs, uint32_t count,
                      struct outline out[OUTLINES_MAX], uint32_t *taken, struct diag *diag)
{
    _Static_assert((int)OUTLINES_MAX <= (int)PLAIN_BLOCK, "a block has them all");
    struct csv_source *s = csv_source_of(source);
    const uint32_t index = file_set_find(&s->set, refs[0].place);
    const struct input_file *input = &s->set.files[index];
    const struct csv_file *file = &s->files[index];
    const struct plain_plan *plan = file->bill ? NULL : normalizer_plain(file->normalizer);
    struct row_stream *const st = &io->streams[s->config.side];
    const uint64_t at = refs[0].place - input->base;
    uint64_t line;
    enum err err = OK;
    *taken = 0;
    if (!plan || plan->ids_odd || has_stream(s, io, refs, count, index, at, &err, diag) <= 0 || st->quoted)
        return err;
    err = stream_row(s, io, index, at, &line, diag);
    if (err != OK)
        return err;
    const struct chunk_scan *const scan = &io->scans[stream_slot(io, s->config.side)];
    const uint8_t *const bytes = worker_io_buffer(io, stream_slot(io, s->config.side));
    const uint32_t columns = file->column_count, *const seps = scan->seps + st->sep;
    uint32_t rows = 0;
    while (rows < count && rows < OUTLINES_MAX && st->row + rows < st->row_count &&
           scan->rows[st->row + rows] == st->sep + (rows + 1) * columns &&
           refs[rows].place == input->base + st->begin + seps[(int64_t)(rows * columns) - 1] + 1)
        rows++;
    struct plain_block block;
    const uint32_t usual =
        plain_block(plan, &io->scratch, bytes, seps, columns, 1, (struct plain_packs){0, 0}, rows, &block);
    const uint32_t *row = seps;
    for (uint32_t i = 0; i < usual; i++, row += columns)
        out[i] = (struct outline){.key = plain_cell_of(bytes, row, plan->key, columns),
                                  .occurrence = plan->occurrence < 0
                                                    ? (struct span){"", 0}
                                                    : plain_cell_of(bytes, row, plan->occurrence, columns),
                                  .amount_micro = block.amount_micro[i],
                                  .order = plain_order(plan, bytes, row, columns),
                                  .text_size = row[columns - 1] - row[-1],
                                  .day = block.day[i],
                                  .status = plan->status < 0 ? 0 : block.status[i],
                                  .channel = plan->wants_channel ? block.channel[i] : 0,
                                  .currency = block.currency[i],
                                  .out = block.is_out[i],
                                  .is_there = 1};
    if (usual == 0)
        out[0].is_there = 0;
    *taken = usual ? usual : 1;
    return OK;
}

/* The row at hand, where nothing in it is quoted. */
static int lean_plain(struct worker_io *io, enum side side, const struct normalizer *normalizer,
                      const struct lean_columns *columns, struct lean_list *list)
{
    const struct row_stream *const st = &io->streams[side];
    const uint32_t *const seps = io->scans[stream_slot(io, side)].seps;
    const uint8_t *const bytes = worker_io_buffer(io, stream_slot(io, side));
    const uint32_t newline = seps[io->scans[stream_slot(io, side)].rows[st->row] - 1];
    if (st->quoted || (newline > st->at && bytes[newline - 1] == '\r'))
        return 0;
    return normalize_lean_plain(normalizer, &io->scratch, bytes, seps + st->sep, newline - st->at, columns,
                                list);
}

enum err csv_leans(struct source *source, struct worker_io *io, const struct lean_plan *plan,
                   const uint64_t *places, uint32_t count, struct lean_list *list, struct diag *diag)
{
    struct csv_source *s = csv_source_of(source);
    struct row_stream *st = &io->streams[s->config.side];
    uint32_t index = 0;
    int which[LEAN_CELLS];
    unsigned which_count = 0;
    const struct normalizer *which_of = NULL;
    struct lean_columns plain;
    int which_plain = 0;
    const int says_itself = flattened(s); /* where it stands in the file */
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
                err = stream_row(s, io, index, at, &line, diag);
        } else if (err == OK) {
            err = again(s, io, index, at, &cells, &normalizer, diag);
            if (err == OK && !says_itself && (line = csv_line(s, io, index, at)) == 0)
                err = diag_set_errno(diag, errno, "read", "%s: cannot count its lines", input->path);
        }
        if (err != OK)
            return err;
        if (UNLIKELY(is_there && which_of != normalizer)) {
            which_count = normalize_lean_wants(normalizer, plan, which);
            which_plain = normalize_lean_columns(normalizer, plan, s->files[index].wanted, &plain);
            which_of = normalizer;
        }
        uint32_t before = list->count;
        int taken = 0;
        if (is_there && which_plain)
            taken = lean_plain(io, s->config.side, normalizer, &plain, list);
        if (is_there && taken == 0) { /* most rows are usual, and then a few of their cells do */
            cells = io->cells;
            if (which_count) {
                stream_cells(s, io, index, which, (int)which_count);
                taken = normalize_lean(normalizer, &io->scratch, cells, 0, plan, list);
            }
            if (UNLIKELY(taken == 0))
                stream_cells(s, io, index, NULL, s->files[index].wanted_count);
        }
        if (UNLIKELY(taken == 0))
            taken = normalize_lean(normalizer, &io->scratch, cells, 1, plan, list);
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
        list->items[before].line = says_itself ? 0 : line;
    }
    return OK;
}

/* ---- places ---- */

const char *csv_place_file(const struct source *source, uint64_t place, uint64_t *begin, uint64_t *size)
{
    const struct csv_source *s = csv_source_of(source);
    const struct input_file *input = &s->set.files[file_set_find(&s->set, place)];
    *begin = input->base;
    *size = input->size;
    return input->shown;
}

/* `line`: where the place lies; 0: to be found. */
static size_t print_place(struct source *source, struct worker_io *io, uint64_t place, uint64_t line,
                          char *out, size_t room)
{
    struct csv_source *s = csv_source_of(source);
    uint32_t index = file_set_find(&s->set, place);
    uint64_t at = place - s->set.files[index].base;
    if (flattened(s)) {
        /* A row that was made of a statement's entry begins with the entry's byte and line. */
        char head[64];
        struct diag ignored = {0};
        ssize_t n = input_read(&s->set.files[index], head, sizeof head - 1, at, &ignored);
        head[n < 0 ? 0 : n] = 0;
        char *end;
        at = strtoull(head, &end, 10);
        line = *end == ',' ? strtoull(end + 1, NULL, 10) : 0;
        errno = EIO;
    } else if (!line) {
        line = csv_line(s, io, index, at);
    }
    if (line == 0) {
        snprintf(out, room, "%s", s->set.files[index].path);
        return 0;
    }
    int n = snprintf(out, room, "%s:%llu@%llu", s->set.files[index].shown, (unsigned long long)line,
                     (unsigned long long)at);
    return n < (int)room ? (size_t)n : room - 1;
}

size_t csv_place(struct source *source, struct worker_io *io, uint64_t place, char *out, size_t room)
{
    return print_place(source, io, place, 0, out, room);
}

size_t csv_place_text(struct source *source, struct worker_io *io, const struct full *row, char *out,
                      size_t room)
{
    return print_place(source, io, row->place, row->line, out, room);
}

/* ---- all rows in order ---- */

struct showing {
    struct csv_source *s;
    struct worker_io *io;
};

static enum err show_stray(void *taker, const struct reject *reject, struct diag *diag)
{
    const struct showing *const showing = taker;
    return csv_show_reject(showing->s, showing->io, reject, diag);
}

enum err csv_scan_all(struct source *source, struct worker_io *io,
                      enum err (*row_fn)(void *context, const struct full *full, struct diag *diag),
                      void *context, struct diag *diag)
{
    struct csv_source *s = csv_source_of(source);
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
            struct csv_row_kind kind;
            struct cell *picked;
            for (; end == CSV_ROW_UNFINISHED && err == OK && !at_end && want <= 4 * CSV_ROW_MAX; want *= 4) {
                err = csv_window(s, io, input, at, want, &bytes, &size, diag);
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
            if (end == CSV_ROW_UNFINISHED && csv_record_size(file) && csv_is_line_end(bytes, size))
                break;
            if (end == CSV_ROW_UNFINISHED && csv_record_size(file)) {
                err = csv_record_cut(input, at, csv_record_size(file), diag);
                break;
            }
            if (end == CSV_ROW_UNFINISHED) {
                err = diag_set(diag, ERR_INPUT, "csv.cut", "the file was cut off, or a quote is never closed",
                               "%s: the row at byte %llu has no end within 1 MiB or the file", input->path,
                               (unsigned long long)at);
                break;
            }
            enum reject_code code = row.code;
            uint32_t bad_column = row.bad_cell;
            struct full full;
            if (end == CSV_ROW_WHOLE && kind.normalizer && !csv_is_comment(s, bytes, row.size)) {
                int bad_cell, no_memory;
                arena_reset(&arena);
                code = normalize_full(kind.normalizer, &io->scratch, picked, &arena, &full, &bad_cell,
                                      &no_memory);
                bad_column = bad_cell >= 0 ? (uint32_t)kind.wanted[bad_cell] : UINT32_MAX;
                if (no_memory)
                    err = mem_fail(diag, 0, "a row");
                full.place = input->base + at;
                full.raw = (struct span){(const char *)bytes, row.size};
                if (err == OK && code == REJECT_NONE)
                    err = row_fn(context, &full, diag);
            }
            int is_odd = file->bill && (end == CSV_ROW_SPOILED || code == REJECT_COLUMNS);
            if (err == OK && is_odd && end != CSV_ROW_BLANK) { /* of the trailer, perhaps */
                struct csv_odd_line line = {
                    .at = at, .size = row.size, .column = 0xFFFF, .code = (uint8_t)code};
                err = csv_add_odd(s, file->bill, &line, input->path, diag);
            } else if (err == OK && code != REJECT_NONE && code != REJECT_NOT_OURS &&
                       !csv_is_comment(s, bytes, row.size)) {
                file->reject_count++;
                char place[1024];
                csv_place(source, io, input->base + at, place, sizeof place);
                if (!s->config.quiet)
                    reject_show(code, place,
                                bad_column < file->column_count ? csv_names(file)[bad_column] : NULL, NULL);
            }
            if (file->bill && !is_odd && end == CSV_ROW_WHOLE)
                file->bill->last_row = at + 1;
            file->records += end == CSV_ROW_WHOLE && code == REJECT_NONE;
            at += row.next;
        }
    }
    arena_fini(&arena);
    if (err == OK && s->spec->bill)
        err = csv_check_bills(s, io, diag);
    struct showing showing = {s, io};
    return err == OK && s->spec->bill && !s->config.quiet
               ? reject_list_each(&s->rejects, show_stray, &showing, diag)
               : err;
}
