/* io/source/csv_rows.c: hot: rows of a plain CSV become records. */
#include "io/source/csv_rows.h"
#include "core/ops/crowd_door.h"
#include "core/ops/tap.h"
#include "core/rules/plain.h"
#include "core/rules/plain_wide.h"

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
    const uint32_t units = record_units(record_var_size(record, normalizer_layout(w->file->normalizer)));
    return LIKELY(outbox->tap == NULL)
               ? put_row(w, units, begin, next, outbox, diag)
               : csv_put_and_tell(w, w->file->normalizer, cells, units, begin, next, outbox, diag);
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

/* How many of the next `most` rows have as many separators as there are columns. */
static inline __attribute__((always_inline)) uint32_t even_rows(const uint32_t *rows, uint32_t sep,
                                                                uint32_t columns, uint32_t most)
{
    uint32_t count = 0;
#if defined(__SSE4_1__)
    __m128i wanted =
        _mm_add_epi32(_mm_set1_epi32((int)sep),
                      _mm_setr_epi32((int)columns, (int)columns * 2, (int)columns * 3, (int)columns * 4));
    const __m128i more = _mm_set1_epi32((int)columns * 4);
    for (; count + 4 <= most; count += 4, wanted = _mm_add_epi32(wanted, more))
        if (_mm_movemask_epi8(_mm_cmpeq_epi32(wanted, _mm_loadu_si128((const __m128i *)(rows + count)))) !=
            0xFFFF)
            break;
#endif
    while (count < most && rows[count] == sep + (count + 1) * columns)
        count++;
    return count;
}

enum { LINES_AHEAD = 8 };

#include "io/source/csv_wide.h"

#if HAS_WIDE
#define WIDE_OR(wide, name) ((wide) ? name##_wide : (name))
#else
#define WIDE_OR(wide, name) (name)
#endif

/* Adds rows of a block that are of one day and currency, which nearly all are. 0: they are not, or too large for a short sum. */
static inline __attribute__((always_inline)) int tally_even(const struct plain_block *block, uint32_t count,
                                                            struct tally_run *sums)
{
    enum { EACH_BITS = 56 }; /* of an amount, so that a block's sum fits */
    unsigned others = 0;
    for (uint32_t i = 0; i < count; i++)
        others |= block->day[i] ^ block->day[0];
    for (uint32_t i = 0; i < count; i++)
        others |= block->currency[i] ^ block->currency[0];
    int64_t sum = 0, sum_out = 0;
    uint64_t large = 0, count_out = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t amount = block->amount_micro[i], out = block->is_out[i];
        large |= ((uint64_t)amount + ((uint64_t)1 << EACH_BITS)) >> (EACH_BITS + 1);
        sum += amount;
        sum_out += amount & -out;
        count_out += (uint64_t)out;
    }
    if (UNLIKELY(others || large))
        return 0;
    sums->count[0] += count - count_out;
    sums->count[1] += count_out;
    sums->sum[0] += sum - sum_out;
    sums->sum[1] += sum_out;
    return 1;
}

/* Adds rows of a block to the tally. */
static inline __attribute__((always_inline)) int tally_block(const struct plain_block *block, uint32_t count,
                                                             const int wide, unsigned side_flag,
                                                             struct tally_run *sums, struct tally *tally)
{
    for (uint32_t done = 0; done < count;) {
        const uint16_t day = block->day[done];
        const uint8_t currency = block->currency[done];
        const uint32_t key = tally_key(side_flag, day, currency, 0);
        if (UNLIKELY(key != sums->key)) {
            if (!tally_run_end(sums, tally))
                return 0;
            sums->key = key;
        }
        if (done == 0 && LIKELY(WIDE_OR(wide, tally_even)(block, count, sums)))
            return 1;
        for (; done < count && block->day[done] == day && block->currency[done] == currency; done++)
            tally_run_add(sums, block->is_out[done], block->amount_micro[done]);
    }
    return 1;
}

/* A usual row's record as lines of its own. */
static inline __attribute__((always_inline)) enum err
put_line(const struct plain_plan *plan, struct norm_scratch *s, const struct plain_block *block, uint32_t i,
         const struct csv_walk walk, const uint32_t *seps, uint32_t columns, const int has_cr, uint64_t place,
         const int is_asked, struct outbox *outbox, struct diag *diag)
{
    const struct span key = plain_cell_of(walk.bytes, seps, plan->key, has_cr ? columns : 0);
    const uint32_t units = record_units((uint32_t)key.size);
    struct batch *batch = outbox_room(outbox, block->hash[i], units, diag);
    if (UNLIKELY(!batch))
        return diag->err;
    struct record *record = &batch->units[batch->used];
    __builtin_prefetch(record + LINES_AHEAD, 1);
    plain_put(block, i, key, plan->side_flag, record);
    record->place = place;
    if (LIKELY(!is_asked)) {
        outbox_put_unasked(batch, units);
        return OK;
    }
    outbox_put_untold(outbox, batch, units);
    if (!plan->keeps_ids)
        return OK;
    plain_id(plan, s, walk.bytes, seps, columns, record);
    return outbox_id(outbox, record, &s->id, diag);
}

/* Puts a block's first `count` records as half lines; returns how many, less than `count` only with *err. What has no branch and
 * no batch to look up is done column by column, several rows at a time. -1: one of them does not fit, and nothing was put. */
static inline __attribute__((always_inline)) int32_t
put_packed(const struct plain_block *block, uint32_t count, const uint32_t *seps, uint32_t columns,
           unsigned side_flag, uint64_t place, struct outbox *outbox, enum err *err, struct diag *diag)
{
    uint64_t sigma[PLAIN_BLOCK], rest[PLAIN_BLOCK];
    int fits = 1;
    for (uint32_t i = 0; i < count; i++)
        rest[i] = place + 1 + seps[(int64_t)i * columns - 1];
    for (uint32_t i = 0; i < count; i++) {
        fits &= packed_fits(block->amount_micro[i], rest[i], block->status[i], 0) &
                (block->packed[i].word[0] != 0);
        sigma[i] =
            packed_sigma(block->amount_micro[i], block->currency[i], block->status[i], block->is_out[i]);
        rest[i] = packed_rest(rest[i], block->day[i], !!(side_flag & RECORD_CHANNEL));
    }
    if (UNLIKELY(!fits))
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct batch *batch = outbox_room_packed(outbox, block->hash[i], diag);
        if (UNLIKELY(!batch)) {
            *err = diag->err;
            return (int32_t)i;
        }
        struct packed *packed = batch_next_packed(batch);
        __builtin_prefetch(packed - 2 * LINES_AHEAD, 1); /* the batch was another core's */
        *packed = (struct packed){{block->packed[i].word[0], block->packed[i].word[1]}, sigma[i], rest[i]};
        outbox_put_packed(batch);
    }
    return (int32_t)count;
}

/* The hot loop: usual rows, until one is not. `wide`: for a machine that has AVX-512. */
static inline __attribute__((always_inline)) enum err
usual_rows(const struct plain_plan *plan, struct norm_scratch *s, const struct csv_walk walk,
           uint32_t columns, const int has_cr, const int wide, uint64_t place, struct csv_step *step,
           struct outbox *outbox, struct diag *diag)
{
    enum { BLOCK_AT_FIRST = 8 }; /* where odd rows are frequent, little is done twice */
    struct plain_block block;
    uint32_t row = step->row, sep = step->sep, most = BLOCK_AT_FIRST;
    const uint32_t first_row = row, first_byte = walk.seps[(int64_t)sep - 1] + 1;
    const int is_asked = plan->counts || plan->keeps_ids || outbox->fresh || outbox->dormant; /* rarely */
    const struct plain_packs packs = {outbox->packs, outbox->pack_seed};
    struct tally_run sums = {0};
    enum err err = OK;
    for (;;) {
        const uint32_t count =
            even_rows(walk.rows + row, sep, columns, walk.ended - row < most ? walk.ended - row : most);
        if (count == 0)
            break;
        const uint32_t usual = WIDE_OR(wide, plain_block)(plan, s, walk.bytes, walk.seps + sep, columns,
                                                          has_cr, packs, count, &block);
        const uint32_t *seps = walk.seps + sep;
        struct tap *const tap = outbox->tap;
        struct tap_rows told = {.plan = plan,
                                .block = &block,
                                .bytes = walk.bytes,
                                .seps = seps,
                                .place = place,
                                .count = usual,
                                .columns = columns,
                                .has_cr = has_cr,
                                .packs = packs.packs,
                                .wide = wide};
        uint64_t gone = 0; /* rows that the index does not get */
        if (UNLIKELY(outbox->door != NULL) && usual && !plan->ids_odd &&
            UNLIKELY((gone = crowd_door_which(outbox->door, block.hash, usual)) != 0)) {
            err = outbox->door->rows(outbox->door, &told, &gone, diag);
        } else if (UNLIKELY(tap != NULL) && tap->takes && usual) {
            err = tap->rows(tap, &told, &gone, diag);
            outbox->taken += (uint64_t)__builtin_popcountll(gone);
        }
        const uint64_t all = usual == PLAIN_BLOCK ? ~UINT64_C(0) : (UINT64_C(1) << usual) - 1;
        uint32_t done = gone && gone == all ? usual : 0;
#if HAS_WIDE
        if (wide && LIKELY(packs.packs && !plan->counts && !gone))
            done = put_packed_wide(&block, usual, seps, columns, plan->side_flag, place, outbox);
#endif
        if (LIKELY(packs.packs && !plan->counts && !gone) && done < usual) {
            const int32_t put =
                put_packed(&block, usual, seps, columns, plan->side_flag, place, outbox, &err, diag);
            done = put < 0 ? 0 : (uint32_t)put;
        }
        for (; done < usual && LIKELY(err == OK); done++, seps += columns) {
            if (UNLIKELY(gone != 0) && (gone >> done & 1))
                continue;
            if (UNLIKELY(is_asked) && plan->counts && !plain_note(plan, s, walk.bytes, seps, columns))
                break;
            const uint64_t at = place + seps[-1] + 1;
            const unsigned flags = plan->side_flag | (unsigned)block.is_out[done] * RECORD_OUT;
            if (packs.packs && LIKELY(block.packed[done].word[0] &&
                                      packed_fits(block.amount_micro[done], at, block.status[done], flags))) {
                struct batch *batch = outbox_room_packed(outbox, block.hash[done], diag);
                if (UNLIKELY(!batch)) {
                    err = diag->err;
                    break;
                }
                struct packed *packed = batch_next_packed(batch);
                __builtin_prefetch(packed - 2 * LINES_AHEAD, 1); /* the batch was another core's */
                packed_put(packed, &block.packed[done], block.amount_micro[done], at, block.day[done],
                           block.currency[done], block.status[done], flags);
                outbox_put_packed(batch);
            } else if (UNLIKELY((err = put_line(plan, s, &block, done, walk, seps, columns, has_cr, at,
                                                is_asked, outbox, diag)) != OK)) {
                break;
            }
            if (UNLIKELY(is_asked) && plan->counts &&
                UNLIKELY((err = outbox_note(outbox, flags, block.day[done], block.currency[done],
                                            block.amount_micro[done], &s->note, diag)) != OK))
                break;
        }
        if (UNLIKELY(tap != NULL) && !tap->takes && err == OK) {
            told.count = done;
            err = tap->rows(tap, &told, &gone, diag);
        }
        if (UNLIKELY(!tally_block(&block, done, wide, plan->side_flag, &sums, &outbox->tally)) && err == OK)
            err = outbox_no_memory(diag);
        row += done;
        sep += done * columns;
        if (UNLIKELY(done < count || err != OK))
            break;
        most = most < PLAIN_BLOCK / 2 ? most * 2 : PLAIN_BLOCK;
    }
    if (UNLIKELY(!tally_run_end(&sums, &outbox->tally)) && err == OK)
        err = outbox_no_memory(diag);
    step->row = row;
    step->sep = sep;
    step->records += row - first_row;
    step->bytes += walk.seps[(int64_t)sep - 1] + 1 - first_byte;
    return err;
}

typedef enum err usual_fn(const struct plain_plan *plan, struct norm_scratch *s, const struct csv_walk walk,
                          uint32_t columns, int has_cr, uint64_t place, struct csv_step *step,
                          struct outbox *outbox, struct diag *diag);

static __attribute__((noinline)) enum err take_usual(const struct plain_plan *plan, struct norm_scratch *s,
                                                     const struct csv_walk walk, uint32_t columns, int has_cr,
                                                     uint64_t place, struct csv_step *step,
                                                     struct outbox *outbox, struct diag *diag)
{
    return has_cr ? usual_rows(plan, s, walk, columns, 1, 0, place, step, outbox, diag)
                  : usual_rows(plan, s, walk, columns, 0, 0, place, step, outbox, diag);
}

#if defined(__x86_64__)
/* The same in the machine's newer instructions. */
static __attribute__((noinline, target("avx2,bmi,bmi2,popcnt,lzcnt"))) enum err
take_usual_avx2(const struct plain_plan *plan, struct norm_scratch *s, const struct csv_walk walk,
                uint32_t columns, int has_cr, uint64_t place, struct csv_step *step, struct outbox *outbox,
                struct diag *diag)
{
    return has_cr ? usual_rows(plan, s, walk, columns, 1, 0, place, step, outbox, diag)
                  : usual_rows(plan, s, walk, columns, 0, 0, place, step, outbox, diag);
}

static __attribute__((noinline,
                      target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,popcnt,lzcnt"))) enum err
take_usual_avx512(const struct plain_plan *plan, struct norm_scratch *s, const struct csv_walk walk,
                  uint32_t columns, int has_cr, uint64_t place, struct csv_step *step, struct outbox *outbox,
                  struct diag *diag)
{
    return has_cr ? usual_rows(plan, s, walk, columns, 1, 1, place, step, outbox, diag)
                  : usual_rows(plan, s, walk, columns, 0, 1, place, step, outbox, diag);
}
#endif

static usual_fn *usual_by_kernel(void)
{
#if defined(__x86_64__)
    switch (csv_scan_kernel()) {
    case CSV_KERNEL_AVX512:
        return take_usual_avx512;
    case CSV_KERNEL_AVX2:
        return take_usual_avx2;
    default:
        break;
    }
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
    const struct plain_plan *plan = quoted || has_comments ? NULL : normalizer_plain(w->file->normalizer);
    if (UNLIKELY(outbox->tap != NULL) && plan && plan->told == TELLS_NOTHING)
        plan = NULL; /* row by row, so that each is told */
    usual_fn *const usual = usual_by_kernel();
    const struct csv_walk walk = csv_walk_of(w, scan, first_row);
    uint32_t *const seps = walk.seps;
    struct csv_step step = {0};
    enum err err = OK;
    for (; err == OK; step.row++) {
        if (plan &&
            LIKELY(step.row < walk.ended)) /* behind the last one lie a chunk's that was here before */
            err = usual(plan, &w->io->scratch, walk, columns, scan->flags & CSV_SAW_CR,
                        w->input->base + w->ticket->begin, &step, outbox, diag);
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
