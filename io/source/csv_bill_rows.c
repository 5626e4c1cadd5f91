/* io/source/csv_bill_rows.c: hot: rows of a bill become records, as its profile says. */
#include "io/source/csv_rows.h"

static enum err odd_bill_line(struct csv_work *w, uint32_t begin, uint32_t size, uint32_t next,
                              enum reject_code code, uint32_t column, struct diag *diag)
{
    w->rows--;
    w->other_bytes += next - begin;
    if (size == 0) {
        w->blank++;
        return OK;
    }
    struct csv_odd_line line = {.at = w->ticket->begin + begin,
                                .size = size,
                                .column = column > 0xFFFF ? 0xFFFF : (uint16_t)column,
                                .code = (uint8_t)code};
    return csv_add_odd(w->s, w->file->bill, &line, w->input->path, diag);
}

/* A row whose cells are known. What it is decides by which rules it becomes a record. */
static inline enum err take_bill_row(struct csv_work *w, struct bill_row *row, uint32_t next,
                                     struct bill_totals *totals, struct outbox *outbox, struct diag *diag)
{
    struct csv_bill_file *b = w->file->bill;
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
        return csv_add_reject(w, begin, size, REJECT_TYPE, UINT32_MAX, diag);
    }
    const struct csv_row_kind *kind = &b->kinds[type];
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
        return csv_add_reject(w, begin, size, code,
                              bad_cell >= 0 ? (uint32_t)kind->wanted[bad_cell] : UINT32_MAX, diag);
    }
    const uint32_t units = record_units(record_var_size(record, normalizer_layout(kind->normalizer)));
    return LIKELY(outbox->tap == NULL)
               ? put_row(w, units, begin, next, outbox, diag)
               : csv_put_and_tell(w, kind->normalizer, picked, units, begin, next, outbox, diag);
}

/* A row that the scanner did not cut as the profile says: cut byte by byte, or no row at all. */
enum err csv_take_odd_bill_row(struct csv_work *w, uint32_t begin, uint32_t next, struct bill_totals *totals,
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

void csv_keep_totals(struct csv_work *w, const struct bill_totals *totals)
{
    struct csv_bill_file *b = w->file->bill;
    pthread_mutex_lock(&w->s->lock);
    bill_merge_totals(&b->totals, totals);
    if (w->last_row > b->last_row)
        b->last_row = w->last_row;
    pthread_mutex_unlock(&w->s->lock);
}

/* take_rows for bills. */
enum err csv_take_bill_rows(struct csv_work *w, const struct csv_scan_result *scan, uint32_t first_row,
                            struct outbox *outbox, struct diag *diag)
{
    const struct bill *bill = w->file->bill->bill;
    const uint32_t separators = w->file->bill->separators;
    const uint8_t *const bytes = w->bytes;
    struct bill_totals totals;
    totals.count = 0;
    totals.is_bad = 0;
    const struct csv_walk walk = csv_walk_of(w, scan, first_row);
    uint32_t *const seps = walk.seps;
    uint32_t sep = 0;
    for (uint32_t r = 0; r < walk.count; r++) {
        const struct csv_bounds at = csv_bounds_at(&walk, r, sep, scan);
        const uint32_t begin = at.begin, end = at.end;
        struct bill_row row = {
            .bytes = bytes, .begin = begin, .end = end, .seps = seps + sep, .scratch = w->io->unquoted};
        w->rows++;
        enum err err;
        if (UNLIKELY(at.sep_count != separators || end == begin || !bill_row_fits(bill, &row) ||
                     bill_is_comment(bill, bytes + begin, end - begin) || !bill_is_row(bill, &row)))
            err = csv_take_odd_bill_row(w, begin, at.next, &totals, outbox, diag);
        else
            err = take_bill_row(w, &row, at.next, &totals, outbox, diag);
        if (UNLIKELY(err != OK))
            return err;
        sep += at.sep_count;
    }
    csv_keep_totals(w, &totals);
    return OK;
}

enum err csv_record_cut(const struct input_file *input, uint64_t at, uint32_t record, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "bill.record",
                    "the file was cut off, or the profile's widths are not those of the file",
                    "%s: its records have %u bytes, and %llu bytes are left at byte %llu: no whole record",
                    input->path, record, (unsigned long long)(input_size(input) - at),
                    (unsigned long long)at);
}

enum err csv_take_records(struct csv_work *w, uint32_t first, struct outbox *outbox, struct diag *diag)
{
    const struct bill *bill = w->file->bill->bill;
    const uint32_t size = w->record;
    struct bill_totals totals;
    totals.count = 0;
    totals.is_bad = 0;
    for (uint32_t at = first; at < w->nominal; at += size) {
        if (UNLIKELY(
                csv_is_line_end(w->bytes + at, w->size - at))) { /* behind the last record: an editor's */
            w->other_bytes += w->size - at;
            break;
        }
        if (UNLIKELY(w->size - at < size))
            return csv_record_cut(w->input, w->ticket->begin + at, size, diag);
        if (UNLIKELY(memchr(w->bytes + at, '\n', size) != NULL))
            return diag_set(diag, ERR_INPUT, "bill.record",
                            "take `line_ends: none` out of the profile, or correct its widths",
                            "%s: there is a line end in the record at byte %llu, and the profile says that "
                            "there are none",
                            w->input->path, (unsigned long long)(w->ticket->begin + at));
        struct bill_row row = {.bytes = w->bytes, .begin = at, .end = at + size, .scratch = w->io->unquoted};
        w->rows++;
        enum err err = UNLIKELY(bill_is_comment(bill, w->bytes + at, size))
                           ? odd_bill_line(w, at, size, at + size, REJECT_COLUMNS, UINT32_MAX, diag)
                           : take_bill_row(w, &row, at + size, &totals, outbox, diag);
        if (UNLIKELY(err != OK))
            return err;
    }
    csv_keep_totals(w, &totals);
    return OK;
}
