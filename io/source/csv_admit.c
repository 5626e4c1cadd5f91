/* io/source/csv_admit.c: the end of the files: trailers, sums and limits; rejects are shown. */
#include "io/source/csv_inner.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct csv_odd_line *)a)->at, y = ((const struct csv_odd_line *)b)->at;
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
    struct csv_bill_file *b = file->bill;
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
        const struct csv_odd_line *odd = &b->odd[i];
        const uint8_t *bytes = NULL;
        uint32_t size = 0;
        err = csv_window(s, io, input, odd->at, odd->size, &bytes, &size, diag);
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

enum err csv_check_bills(struct csv_source *s, struct worker_io *io, struct diag *diag)
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
    if (err == OK && companions && companions == s->set.count)
        err = diag_set(diag, ERR_INPUT, "bill.companion", "the bill itself must be there too",
                       "%s is a summary that comes beside a bill; there is no bill", s->set.files[0].path);
    mem_give(check);
    return err;
}

enum err csv_finish(struct source *source, struct worker_io *io, struct diag *diag)
{
    struct csv_source *s = csv_source_of(source);
    enum err err = file_set_settle(&s->set, diag);
    if (err == OK)
        err = file_set_check(&s->set, diag);
    if (err == OK)
        err = dict_check(s->config.shared->words, diag);
    if (err == OK && s->spec->bill)
        err = csv_check_bills(s, io, diag);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < s->set.count; i++) {
        struct csv_file *file = &s->files[i];
        uint64_t seen = file->record_bytes + file->reject_bytes + file->other_bytes;
        if (seen != s->set.files[i].size)
            return diag_set(diag, ERR_BUG, "invariant.I1", "please report this with the file",
                            "%s: %llu bytes were taken as rows, the file has %llu", s->set.files[i].path,
                            (unsigned long long)seen, (unsigned long long)s->set.files[i].size);
        if (!csv_has_marks(s))
            continue;
        uint64_t marks = (s->set.files[i].size + CSV_MARK_BYTES - 1) / CSV_MARK_BYTES, sum = 0;
        const uint64_t in_chunk = s->chunk / CSV_MARK_BYTES, sums = marks / CSV_MARKS_A_SUM + 1;
        file->mark_sums = mem_take(sums * sizeof *file->mark_sums);
        if (!file->mark_sums)
            return mem_fail(diag, sums * sizeof *file->mark_sums, "line numbers");
        for (uint64_t k = 0; k < marks;) {
            const uint16_t *in = csv_marks(s, file, k / in_chunk);
            for (uint64_t m = 0; m < in_chunk && k < marks; m++, k++) {
                if (k % CSV_MARKS_A_SUM == 0)
                    file->mark_sums[k / CSV_MARKS_A_SUM] = sum;
                sum += in[m];
            }
        }
    }
    return csv_limit_rejects(source, io, diag);
}

enum err csv_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag)
{
    struct csv_source *s = csv_source_of(source);
    /* The limit holds for each file. */
    for (uint32_t i = 0; i < s->set.count; i++) {
        const struct input_file *input = &s->set.files[i];
        const uint64_t count = s->files[i].reject_count, limit = rejects_allowed(s, &s->files[i]);
        if (count <= limit)
            continue;
        struct reject_firsts first;
        enum err err = reject_list_first(&s->rejects, input->base, input->base + input->size, &first, diag);
        if (err != OK)
            return err;
        for (uint32_t k = 0; err == OK && k < first.count; k++)
            err = csv_show_reject(s, io, &first.items[k], diag);
        return diag_set(diag, ERR_INPUT, "rejects",
                        "look at the rows above; allow some with --max-rejects=N or `rejects: {max: N}`",
                        "%s: %llu of %llu rows cannot be read as records; %llu are allowed", input->path,
                        (unsigned long long)count, (unsigned long long)s->files[i].rows,
                        (unsigned long long)limit);
    }
    return reject_list_check(&s->rejects, diag);
}

enum err csv_reject_text(struct source *source, struct worker_io *io, const struct reject *reject,
                         struct arena *arena, struct span *raw, struct span *place, struct span *column,
                         struct span *value, struct diag *diag)
{
    struct csv_source *s = csv_source_of(source);
    uint32_t index = file_set_find(&s->set, reject->place);
    struct csv_file *file = &s->files[index];
    const uint8_t *bytes = NULL;
    uint32_t size = 0;
    enum err err = csv_window(s, io, &s->set.files[index], reject->place - s->set.files[index].base,
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
        *column = span_of(csv_names(file)[reject->column]);
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

enum err csv_show_reject(struct csv_source *s, struct worker_io *io, const struct reject *reject,
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
