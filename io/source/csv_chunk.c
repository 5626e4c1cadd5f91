/* io/source/csv_chunk.c: chunks: their bytes are scanned, and what they say of quotes is told on. */
#include "io/ring/sys.h"
#include "io/source/csv_inner.h"

/* What is known of a chunk's effect on quotes. */
enum chunk_state {
    CHUNK_UNKNOWN,
    CHUNK_PLAIN,      /* no quote in it: what holds at its first line holds at the next chunk's */
    CHUNK_TO_OUTSIDE, /* decoded: the next chunk's first line begins a row */
    CHUNK_TO_QUOTED   /* decoded: it lies inside a quoted cell */
};

static _Atomic uint8_t *state_of(const struct csv_file *file, uint64_t chunk)
{
    return &file->segments[chunk / CSV_SEGMENT_CHUNKS].states[chunk % CSV_SEGMENT_CHUNKS];
}

/* A chunk's marks, or NULL. */
uint16_t *csv_marks(const struct csv_source *s, const struct csv_file *file, uint64_t chunk)
{
    uint16_t *marks = file->segments[chunk / CSV_SEGMENT_CHUNKS].marks;
    return marks ? marks + chunk % CSV_SEGMENT_CHUNKS * (s->chunk / CSV_MARK_BYTES) : NULL;
}

/* Makes the segment that holds a chunk. Before any worker knows of the chunk. */
enum err csv_make_segment(struct csv_source *s, uint32_t index, uint64_t chunk, struct diag *diag)
{
    struct csv_file *file = &s->files[index];
    uint64_t number = chunk / CSV_SEGMENT_CHUNKS;
    if (number < file->segment_count && file->segments[number].states)
        return OK;
    uint64_t all = (input_size(&s->set.files[index]) + s->chunk - 1) / s->chunk;
    uint64_t count = all - number * CSV_SEGMENT_CHUNKS < CSV_SEGMENT_CHUNKS
                         ? all - number * CSV_SEGMENT_CHUNKS
                         : CSV_SEGMENT_CHUNKS;
    struct csv_segment *segment = &file->segments[number];
    segment->states = mem_take_zero(count + 1, sizeof *segment->states);
    if (csv_has_marks(s))
        segment->marks = mem_take_zero(count * (s->chunk / CSV_MARK_BYTES), sizeof *segment->marks);
    return segment->states && (segment->marks || !csv_has_marks(s))
               ? OK
               : mem_fail(diag, count, "the list of chunks");
}

/* Newlines of the header's blocks that lie before the first chunk. */
enum err csv_mark_header(struct csv_source *s, uint32_t index, struct diag *diag)
{
    struct csv_file *file = &s->files[index];
    uint8_t block[CSV_MARK_BYTES];
    for (uint64_t at = 0; csv_has_marks(s) && at < file->first_chunk * s->chunk; at += CSV_MARK_BYTES) {
        enum err err = csv_make_segment(s, index, at / s->chunk, diag);
        ssize_t n = err == OK ? input_read(&s->set.files[index], block, sizeof block, at, diag) : -1;
        if (n < 0)
            return diag->err;
        uint16_t count = 0;
        for (ssize_t i = 0; i < n; i++)
            count = (uint16_t)(count + (block[i] == '\n'));
        csv_marks(s, file, at / s->chunk)[at % s->chunk / CSV_MARK_BYTES] = count;
    }
    return OK;
}

/* The line of a byte, counted from the file's beginning: for a file that is being refused before all lines
 * are known. */
static uint64_t line_now(const struct csv_work *w, uint64_t at)
{
    uint8_t block[CSV_MARK_BYTES];
    uint64_t line = 1;
    for (uint64_t from = 0; from < at; from += sizeof block) {
        uint64_t want = at - from < sizeof block ? at - from : sizeof block;
        ssize_t n = input_pread(w->input, block, want, from);
        for (ssize_t i = 0; i < n; i++)
            line += block[i] == '\n';
        if (n < (ssize_t)want)
            break;
    }
    return line;
}

/* Reads on behind what is there: the chunk's last row is longer than the overlap. */
static enum err read_on(struct csv_work *w, struct diag *diag)
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
static enum err check_file_end(struct csv_work *w, int in_quote, uint32_t row_begin, struct diag *diag)
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
static enum err take_irregular_rows(struct csv_work *w, uint32_t at, int in_quote, int *out_quote,
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
            err = csv_take_odd_bill_row(w, at, row.next, &totals, outbox, diag);
        } else if (end == CSV_ROW_BLANK) {
            w->rows--;
            w->blank++;
            w->other_bytes += row.next - at;
        } else if (end == CSV_ROW_SPOILED) {
            err = csv_reject_row(w, at, row.size, row.next, row.code, row.bad_cell, diag);
        } else if (row.cells != w->file->column_count || csv_is_comment(s, w->bytes + at, row.size)) {
            err = csv_reject_row(w, at, row.size, row.next, REJECT_COLUMNS, UINT32_MAX, diag);
        } else {
            for (int k = 0; k < wanted_count; k++)
                picked[k] = w->io->cells[w->file->wanted[k]];
            err = csv_take_row(w, picked, at, row.size, row.next, outbox, diag);
        }
        if (err != OK)
            return err;
        at = row.next;
    }
    *out_quote = at > line_end;
    if (w->file->bill)
        csv_keep_totals(w, &totals);
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

static struct csv_work work_of(struct csv_source *s, struct worker_io *io, struct ticket *ticket)
{
    struct input_file *input = &s->set.files[ticket->file];
    const uint64_t all = input_size(input);
    uint64_t size = all - ticket->begin;
    if (size > ticket->end - ticket->begin + IO_OVERLAP)
        size = ticket->end - ticket->begin + IO_OVERLAP;
    return (struct csv_work){.s = s,
                             .io = io,
                             .file = &s->files[ticket->file],
                             .input = input,
                             .ticket = ticket,
                             .scan = &io->scans[ticket->buffer],
                             .bytes = worker_io_buffer(io, ticket->buffer),
                             .size = (uint32_t)size,
                             .record = csv_record_size(&s->files[ticket->file]),
                             .nominal = (uint32_t)(ticket->end - ticket->begin),
                             .at_end = ticket->begin + size == all};
}

static struct csv_scan_job scan_job(const struct csv_work *w)
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
                                 .marks = csv_marks(w->s, file, w->ticket->number)};
}

/* The chunk's bytes are there: scan them, and tell the chunks behind if no quote is in the way. */
enum err csv_arrive(struct source *source, struct worker_io *io, struct ticket *ticket, struct diag *diag)
{
    struct csv_source *s = csv_source_of(source);
    if (ticket->state != TICKET_NEW || !worker_io_arrived(io, ticket, 0))
        return OK;
    input_give(&s->set.files[ticket->file]);
    struct csv_work w = work_of(s, io, ticket);
    enum err err = check_read(s, ticket, w.size, diag);
    if (err != OK)
        return err;
    if (w.record) { /* nothing to look for */
        w.scan->result = (struct csv_scan_result){0};
        publish(w.file, ticket->number, CHUNK_PLAIN);
        ticket->state = TICKET_SCANNED;
        return OK;
    }
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

static void add_counts(const struct csv_work *w)
{
    struct csv_file *file = w->file;
    atomic_fetch_add_explicit(&file->rows, w->rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->records, w->records, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->blank_rows, w->blank, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->record_bytes, w->record_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->reject_bytes, w->reject_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&file->other_bytes, w->other_bytes, memory_order_relaxed);
}

/* A chunk of a layout without line ends: it owns the records that begin in it. */
static enum err take_records(struct csv_work *w, struct outbox *outbox, struct diag *diag)
{
    const uint64_t data_begin = w->file->data_begin, begin = w->ticket->begin;
    uint64_t past = begin > data_begin ? (begin - data_begin) % w->record : 0;
    uint64_t first = begin < data_begin ? data_begin - begin : past ? w->record - past : 0;
    if (first >= w->nominal)
        return OK;
    uint64_t last = first + (w->nominal - 1 - first) / w->record * w->record;
    while (!w->at_end && w->size < last + w->record) {
        enum err err = read_on(w, diag);
        if (err != OK)
            return err;
    }
    enum err err = csv_take_records(w, (uint32_t)first, outbox, diag);
    if (err == OK)
        add_counts(w);
    return err;
}

enum step csv_process(struct source *source, struct worker_io *io, struct ticket *ticket,
                      struct outbox *outbox, struct diag *diag)
{
    struct csv_source *s = csv_source_of(source);
    if (csv_arrive(source, io, ticket, diag) != OK)
        return STEP_FAILED;
    if (ticket->state == TICKET_NEW)
        return STEP_IDLE;
    if (ticket->state == TICKET_EMPTY)
        return STEP_DONE;
    struct csv_work w = work_of(s, io, ticket);
    struct csv_file *file = w.file;
    int in_quote = begins_quoted(file, ticket->number), out_quote = 0;
    if (in_quote < 0)
        return STEP_IDLE;
    if (w.record)
        return take_records(&w, outbox, diag) == OK ? STEP_DONE : STEP_FAILED;
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
            err = csv_take_scanned(&w, &scan, quoted ? scan.first_row : start, quoted, outbox, diag);
        }
    }
    if (err != OK)
        return STEP_FAILED;
    add_counts(&w);
    return STEP_DONE;
}
