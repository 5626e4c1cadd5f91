/* io/source/csv_tap.c: rows that are told while they are read (core/ops/tap.h): which files' are, what they look like, and one by one */
#include "core/ops/tap.h"
#include "io/source/csv_rows.h"

_Static_assert(TAP_LINES == (int)CSV_MARK_BYTES && TAP_LINES == (int)PLACE_ALIGN,
               "lines are counted from blocks on that both know, and each block is one file's");

int csv_tap_files(const struct source *source, struct tap_files *out)
{
    const struct csv_source *s = csv_source_of(source);
    *out = (struct tap_files){.words = s->config.shared->words, .lacks_code = 1, .lacks_number = 1};
    for (uint32_t i = 0; i < s->set.count; i++) {
        const struct input_file *input = &s->set.files[i];
        const struct csv_file *file = &s->files[i];
        /* Of a packed file it is not known how long it is. Rows without line ends have places of another kind. */
        if (input->unpack || input->base % TAP_LINES || csv_record_size(file) || !csv_has_marks(s))
            return 0;
        const int kinds = file->bill ? ROW_TYPES_MAX : 1;
        for (int k = 0; k < kinds; k++) {
            const struct normalizer *n = file->bill ? file->bill->kinds[k].normalizer : file->normalizer;
            out->lacks_code &= !n || normalizer_lacks(n, FIELD_CHANNEL_CODE);
            out->lacks_number &= !n || normalizer_lacks(n, FIELD_CHANNEL_ORDER_NO);
        }
        out->end = input->base + input->size;
    }
    return s->set.count != 0;
}

/* Cuts a line into cells, which live as long as it; its quotes may go. 0: not all is as usual. */
static int sample_cells(const struct csv_source *s, char *line, size_t size, struct cell *cells,
                        uint32_t columns)
{
    const char delimiter = (char)s->dialect.delimiter, quote = (char)s->dialect.quote;
    char *at = line, *const end = line + size;
    for (uint32_t count = 0; count < columns; count++) {
        const int is_quoted = quote && at < end && *at == quote;
        char *const begin = at + is_quoted,
                    *stop = memchr(begin, is_quoted ? quote : delimiter, (size_t)(end - begin));
        if (!stop && (is_quoted || count + 1 < columns))
            return 0;
        stop = stop ? stop : end;
        cells[count] = (struct cell){.data = begin, .size = (uint32_t)(stop - begin), .kind = CELL_TEXT};
        at = stop + is_quoted;
        if (at == end)
            return count + 1 == columns;
        if (*at++ != delimiter)
            return 0;
    }
    return 0;
}

static enum err sample_lines(const struct csv_source *s, const struct csv_file *file, char *bytes,
                             size_t size, struct norm_scratch *scratch, struct cell *cells,
                             const struct lean_plan *plan, struct tap_sample *sample, struct diag *diag)
{
    struct cell *const wanted = cells + file->column_count;
    char *at = memchr(bytes, '\n', size), *const end = bytes + size, *stop;
    for (at = at ? at + 1 : end; at < end && (stop = memchr(at, '\n', (size_t)(end - at))) != NULL;
         at = stop + 1) {
        sample->bytes += (uint64_t)(stop - at) + 1;
        sample->lines++;
        if (!sample_cells(s, at, (size_t)(stop - at) - (stop > at && stop[-1] == '\r'), cells,
                          file->column_count))
            continue;
        for (int k = 0; k < file->wanted_count; k++)
            wanted[k] = cells[file->wanted[k]];
        if (normalize_lean(file->normalizer, scratch, wanted, 1, plan, &sample->list) < 0)
            return mem_fail(diag, size, "match.csv");
    }
    return OK;
}

enum err csv_tap_sample(struct source *source, uint64_t place, const struct lean_plan *plan,
                        struct tap_sample *sample, struct diag *diag)
{
    enum { BLOCK = 64 << 10, FRONT = 64 /* bytes before a cell that may be read */ };
    struct csv_source *s = csv_source_of(source);
    const uint32_t index = file_set_find(&s->set, place);
    struct input_file *const input = &s->set.files[index];
    const struct csv_file *const file = &s->files[index];
    if (file->bill || place - input->base >= input->size) /* what is a bill's row is not seen at once */
        return OK;
    struct norm_scratch scratch = {0};
    char *const bytes = mem_take_zero(1, FRONT + BLOCK + IO_SLACK);
    struct cell *const cells = mem_take((file->column_count + (size_t)file->wanted_count) * sizeof *cells);
    enum err err = bytes && cells ? norm_scratch_init(&scratch, diag) : mem_fail(diag, BLOCK, "match.csv");
    const ssize_t n = err == OK ? input_pread(input, bytes + FRONT, BLOCK, place - input->base) : 0;
    if (n > 0)
        err = sample_lines(s, file, bytes + FRONT, (size_t)n, &scratch, cells, plan, sample, diag);
    norm_scratch_fini(&scratch);
    mem_give(cells);
    mem_give(bytes);
    return err;
}

/* Tells a row: its record is the worker's, its cells are the normalizer's. */
static enum err tell_row(const struct csv_work *w, const struct normalizer *normalizer,
                         const struct cell *cells, uint32_t begin, uint32_t next, struct tap *tap, int *taken,
                         struct diag *diag)
{
    const uint32_t block = begin / TAP_LINES * TAP_LINES;
    lean_list_reset(&tap->list);
    const int made = normalize_lean(normalizer, &w->io->scratch, cells, 1,
                                    &tap->plan->side[w->s->config.side], &tap->list);
    if (made < 0)
        return mem_fail(diag, next - begin, "matched rows");
    const struct tap_row row = {.record = w->io->record,
                                .lean = made ? tap->list.items : NULL,
                                .bytes = tap->list.bytes,
                                .size = next - begin,
                                .lines = (uint32_t)csv_count_newlines(w->bytes + block, begin - block)};
    return tap->row(tap, &row, taken, diag);
}

enum err csv_put_and_tell(struct csv_work *w, const struct normalizer *normalizer, const struct cell *cells,
                          uint32_t units, uint32_t begin, uint32_t next, struct outbox *outbox,
                          struct diag *diag)
{
    struct tap *const tap = outbox->tap;
    int taken = 0;
    if (!tap->takes) {
        const enum err err = put_row(w, units, begin, next, outbox, diag);
        return err == OK ? tell_row(w, normalizer, cells, begin, next, tap, &taken, diag) : err;
    }
    w->io->record->place = w->input->base + w->ticket->begin + begin;
    const enum err err = tell_row(w, normalizer, cells, begin, next, tap, &taken, diag);
    if (err != OK || !taken)
        return err == OK ? put_row(w, units, begin, next, outbox, diag) : err;
    w->records++;
    w->record_bytes += next - begin;
    outbox->taken++;
    return LIKELY(tally_add(&outbox->tally, w->io->record)) ? OK : outbox_no_memory(diag);
}
