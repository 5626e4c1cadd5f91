/* io/source/csv_rows.c: hot: rows of a plain CSV become records. */
#include "io/source/csv_rows.h"
#include "core/rules/plain.h"

enum err csv_add_reject(struct csv_work *w, uint32_t at, uint32_t size, enum reject_code code,
                        uint32_t column, struct diag *diag)
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

/* One row whose wanted cells are at hand. `begin`..`next` are its bytes, `size` those without the line end.
 */
enum err csv_take_row(struct csv_work *w, const struct cell *cells, uint32_t begin, uint32_t size,
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
        return csv_add_reject(w, begin, size, code,
                              bad_cell >= 0 ? (uint32_t)w->file->wanted[bad_cell] : UINT32_MAX, diag);
    }
    return put_row(w, record_units(record_var_size(record, normalizer_layout(w->file->normalizer))), begin,
                   next, outbox, diag);
}

enum err csv_reject_row(struct csv_work *w, uint32_t begin, uint32_t size, uint32_t next,
                        enum reject_code code, uint32_t column, struct diag *diag)
{
    if (csv_is_comment(w->s, w->bytes + begin, size)) {
        w->rows--;
        w->other_bytes += next - begin;
        return OK;
    }
    w->reject_bytes += next - begin;
    return csv_add_reject(w, begin, size, code, column, diag);
}

/* A row that is not as the header says: blank, a comment, or a reject. */
static enum err odd_row(struct csv_work *w, uint32_t begin, uint32_t size, uint32_t next, struct diag *diag)
{
    if (size == 0) {
        w->rows--;
        w->blank++;
        w->other_bytes += next - begin;
        return OK;
    }
    return csv_reject_row(w, begin, size, next, REJECT_COLUMNS, UINT32_MAX, diag);
}

/* How far a walk is. */
struct csv_step {
    uint32_t row, sep;       /* the next row, and its first separator */
    uint64_t records, bytes; /* taken by take_usual */
};

/* The hot loop: usual rows, until one is not. It has nothing else in it, and so all registers. */
static inline __attribute__((always_inline)) enum err
usual_rows(const struct plain_plan *plan, struct norm_scratch *s, const struct csv_walk walk,
           uint32_t columns, uint64_t place, struct csv_step *step, struct outbox *outbox, struct diag *diag)
{
    uint32_t row = step->row, sep = step->sep, begin = walk.seps[(int64_t)sep - 1] + 1;
    const uint32_t first_row = row, first_byte = begin;
    struct tally_run sums = {0};
    enum err err = OK;
    while (row < walk.ended && LIKELY(walk.rows[row] - sep == columns)) {
        uint32_t *const newline = &walk.seps[sep + columns - 1];
        const uint32_t end = *newline;
        const uint32_t has_cr = end > begin && walk.bytes[end - 1] == '\r';
        struct plain_row usual;
        if (UNLIKELY(has_cr))
            *newline = end - 1;
        const int is_usual = plain_read(plan, s, walk.bytes, walk.seps + sep, &usual) &&
                             (LIKELY(!plan->counts) || plain_note(plan, s, walk.bytes, walk.seps + sep));
        if (UNLIKELY(has_cr))
            *newline = end;
        if (UNLIKELY(!is_usual))
            break;
        const uint32_t units = record_units(usual.key_size),
                       key = tally_key(plan->side_flag, usual.day, usual.currency, 0);
        if (UNLIKELY(key != sums.key)) {
            if (!tally_run_end(&sums, &outbox->tally)) {
                err = outbox_no_memory(diag);
                break;
            }
            sums.key = key;
        }
        struct batch *batch = outbox_room(outbox, usual.hash, units, diag);
        if (UNLIKELY(!batch)) {
            err = diag->err;
            break;
        }
        struct record *record = &batch->units[batch->used];
        plain_put(&usual, record);
        record->place = place + begin;
        outbox_put_untold(outbox, batch, units);
        if (UNLIKELY(plan->keeps_ids)) {
            plain_id(plan, s, walk.bytes, walk.seps + sep, &usual);
            if (UNLIKELY((err = outbox_id(outbox, record, &s->id, diag)) != OK))
                break;
        }
        if (UNLIKELY(plan->counts) &&
            UNLIKELY((err = outbox_note(outbox, usual.flags, usual.day, usual.currency, usual.amount_micro,
                                        &s->note, diag)) != OK))
            break;
        tally_run_add(&sums, (usual.flags & RECORD_OUT) != 0, usual.amount_micro);
        begin = end + 1;
        sep += columns;
        row++;
    }
    if (UNLIKELY(!tally_run_end(&sums, &outbox->tally)) && err == OK)
        err = outbox_no_memory(diag);
    step->row = row;
    step->sep = sep;
    step->records += row - first_row;
    step->bytes += begin - first_byte;
    return err;
}

typedef enum err usual_fn(const struct plain_plan *plan, struct norm_scratch *s, const struct csv_walk walk,
                          uint32_t columns, uint64_t place, struct csv_step *step, struct outbox *outbox,
                          struct diag *diag);

static __attribute__((noinline)) enum err take_usual(const struct plain_plan *plan, struct norm_scratch *s,
                                                     const struct csv_walk walk, uint32_t columns,
                                                     uint64_t place, struct csv_step *step,
                                                     struct outbox *outbox, struct diag *diag)
{
    return usual_rows(plan, s, walk, columns, place, step, outbox, diag);
}

#if defined(__x86_64__)
/* The same in the machine's newer instructions. */
static __attribute__((noinline, target("avx2,bmi,bmi2,popcnt,lzcnt"))) enum err
take_usual_avx2(const struct plain_plan *plan, struct norm_scratch *s, const struct csv_walk walk,
                uint32_t columns, uint64_t place, struct csv_step *step, struct outbox *outbox,
                struct diag *diag)
{
    return usual_rows(plan, s, walk, columns, place, step, outbox, diag);
}
#endif

static usual_fn *usual_by_kernel(void)
{
#if defined(__x86_64__)
    if (csv_scan_kernel() != CSV_KERNEL_SCALAR)
        return take_usual_avx2;
#endif
    return take_usual;
}

/* Rows as csv_scan found them. */
static inline __attribute__((always_inline)) enum err take_rows(struct csv_work *w,
                                                                const struct csv_scan_result *scan,
                                                                uint32_t first_row, const int quoted,
                                                                struct outbox *outbox, struct diag *diag)
{
    const uint32_t columns = w->file->column_count;
    const int wanted_count = w->file->wanted_count;
    const int *const wanted = w->file->wanted;
    const uint8_t *const bytes = w->bytes;
    struct cell *const cells = w->io->cells;
    const int has_comments = w->s->spec->layout.comment != NULL;
    int last_wanted = -1; /* the wanted cell that ends with the line, whose carriage return must go */
    for (int k = 0; k < wanted_count; k++)
        if ((uint32_t)wanted[k] + 1 == columns)
            last_wanted = k;
    const struct plain_plan *const plan =
        quoted || has_comments ? NULL : normalizer_plain(w->file->normalizer);
    usual_fn *const usual = usual_by_kernel();
    const struct csv_walk walk = csv_walk_of(w, scan, first_row);
    uint32_t *const seps = walk.seps;
    struct csv_step step = {0};
    enum err err = OK;
    for (; err == OK; step.row++) {
        if (plan)
            err = usual(plan, &w->io->scratch, walk, columns, w->input->base + w->ticket->begin, &step,
                        outbox, diag);
        if (err != OK || step.row == walk.count)
            break;
        const struct csv_bounds at = csv_bounds_at(&walk, step.row, step.sep, scan);
        const uint32_t begin = at.begin, end = at.end;
        w->rows++;
        if (UNLIKELY(at.sep_count != columns || (columns == 1 && end == begin) ||
                     (has_comments && csv_is_comment(w->s, bytes + begin, end - begin)))) {
            err = odd_row(w, begin, end - begin, at.next, diag);
        } else {
            uint8_t *scratch = w->io->unquoted;
            const uint32_t *const row = seps + step.sep;
            for (int k = 0; k < wanted_count; k++) {
                int64_t c = wanted[k];
                uint32_t from = row[c - 1] + 1, to = row[c];
                cells[k] =
                    (struct cell){.data = (const char *)bytes + from, .size = to - from, .kind = CELL_TEXT};
            }
            if (last_wanted >= 0)
                cells[last_wanted].size -= at.newline - end;
            for (int k = 0; quoted && k < wanted_count; k++)
                if (cells[k].size && *(const uint8_t *)cells[k].data == w->s->dialect.quote) {
                    csv_unquote(&w->s->dialect, &cells[k], scratch);
                    if ((const uint8_t *)cells[k].data == scratch)
                        scratch += cells[k].size;
                }
            err = csv_take_row(w, cells, begin, end - begin, at.next, outbox, diag);
        }
        step.sep += at.sep_count;
    }
    w->rows += step.records;
    w->records += step.records;
    w->record_bytes += step.bytes;
    return err;
}

/* Two functions of their own: one alone has the registers. */
static __attribute__((noinline)) enum err take_plain(struct csv_work *w, const struct csv_scan_result *scan,
                                                     uint32_t first_row, struct outbox *outbox,
                                                     struct diag *diag)
{
    return take_rows(w, scan, first_row, 0, outbox, diag);
}

static __attribute__((noinline)) enum err take_quoted(struct csv_work *w, const struct csv_scan_result *scan,
                                                      uint32_t first_row, struct outbox *outbox,
                                                      struct diag *diag)
{
    return take_rows(w, scan, first_row, 1, outbox, diag);
}

enum err csv_take_scanned(struct csv_work *w, const struct csv_scan_result *scan, uint32_t first_row,
                          int quoted, struct outbox *outbox, struct diag *diag)
{
    if (w->file->bill)
        return csv_take_bill_rows(w, scan, first_row, outbox, diag);
    return quoted ? take_quoted(w, scan, first_row, outbox, diag)
                  : take_plain(w, scan, first_row, outbox, diag);
}
