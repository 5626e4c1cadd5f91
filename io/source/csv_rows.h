/* io/source/csv_rows.h: what the two hot loops over a chunk's rows share (csv_rows.c, csv_bill_rows.c). */
#ifndef TIEOUT_IO_SOURCE_CSV_ROWS_H
#define TIEOUT_IO_SOURCE_CSV_ROWS_H

#include "io/source/csv_inner.h"

/* A walk over the rows that the scanner found. A copy of what is in `csv_work`, so that the compiler sees that
 * nothing changes it. Cell c of a row lies between separators c-1 and c; the last of the row before is its newline. */
struct csv_walk {
    uint32_t *seps;
    const uint32_t *rows;
    const uint8_t *bytes;
    uint32_t ended, count; /* rows that end with a newline; all of them: a file's last row may have none */
};

/* Where one row lies in the chunk. `end` is without the line end, `next` where the next row begins. */
struct csv_bounds {
    uint32_t sep_count, begin, end, newline, next;
};

static inline struct csv_walk csv_walk_of(struct csv_work *w, const struct csv_scan_result *scan,
                                          uint32_t first_row)
{
    uint32_t unended = (scan->flags & CSV_UNFINISHED) && scan->stop < w->size;
    w->scan->seps[-1] = first_row - 1;
    if (unended)
        w->scan->seps[scan->sep_count] = w->size;
    return (struct csv_walk){w->scan->seps, w->scan->rows, w->bytes, scan->row_count,
                             scan->row_count + unended};
}

/* Row number `r`, whose separators begin at `sep`.  */
static inline struct csv_bounds csv_bounds_at(const struct csv_walk *walk, uint32_t r, uint32_t sep,
                                              const struct csv_scan_result *scan)
{
    struct csv_bounds b;
    b.begin = walk->seps[(int64_t)sep - 1] + 1;
    if (LIKELY(r < walk->ended)) {
        b.sep_count = walk->rows[r] - sep;
        b.newline = walk->seps[walk->rows[r] - 1];
        b.next = b.newline + 1;
    } else {
        b.sep_count = scan->sep_count + 1 - sep;
        b.newline = b.next = walk->seps[scan->sep_count];
    }
    b.end = b.newline;
    b.end -= b.end > b.begin && walk->bytes[b.end - 1] == '\r' && b.next > b.newline;
    return b;
}

/* The record of a row goes out. */
static inline enum err put_row(struct csv_work *w, uint32_t units, uint32_t begin, uint32_t next,
                               struct outbox *outbox, struct diag *diag)
{
    w->records++;
    w->record_bytes += next - begin;
    w->io->record->place = w->input->base + w->ticket->begin + begin;
    const struct record *record = w->io->record;
    if (outbox->aggregate[record->flags & RECORD_CHANNEL]) {
        enum err err = outbox_note(outbox, record->flags, record->day, record->currency, record->amount_micro,
                                   &w->io->scratch.note, diag);
        if (UNLIKELY(err != OK))
            return err;
    }
    if (outbox->ids) {
        enum err err = outbox_id(outbox, record, &w->io->scratch.id, diag);
        if (UNLIKELY(err != OK))
            return err;
    }
    if (UNLIKELY(outbox->renamed != NULL) &&
        (record->flags & (RECORD_CARRIED | RECORD_LATE)) == RECORD_CARRIED) {
        const struct record_layout layout = normalizer_layout(w->file->normalizer);
        if (layout.has_fold)
            renamed_carried(outbox->renamed, record, layout);
    }
    return outbox_put(outbox, record, units, diag);
}

#endif
