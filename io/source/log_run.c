/* io/source/log_run.c: see log_run.h. A hot file: no options asked, no allocation and no logging per row. */
#include "io/source/log_run.h"
#include "core/base/check.h"
#include "core/rules/image_quick.h"

enum { MISSES_FREE = 1000 };

void log_run_begin(struct log_run *run, const struct normalizer *normalizer)
{
    run->normalizer = normalizer;
    run->plan = normalizer_image(normalizer);
    run->misses = 0;
    run->may_learn = run->is_ready = 0;
    log_common_init(&run->common[0]);
    log_common_init(&run->common[1]);
    run->mixed.count = 0;
}

static inline int spans_equal(struct span a, uint64_t number_a, struct span b, uint64_t number_b)
{
    if (!a.data || !b.data)
        return a.data == b.data && number_a == number_b;
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* A row that was read waits to become a record. 0: it is another kind of row. */
static inline __attribute__((always_inline)) int mixed_add(struct log_run *run, const struct image_row *image,
                                                           uint64_t place, uint64_t back_event,
                                                           uint64_t back_map, uint32_t row_index)
{
    struct log_mixed *const m = &run->mixed;
    const struct image_raw *const raw = &run->raw;
    const uint32_t i = m->count;
    if (UNLIKELY(!raw->key.data || raw->occurrence.data || raw->key.size - 1 >= LOG_MIXED_KEY_MAX))
        return 0;
    m->key[i] = (const uint8_t *)raw->key.data;
    m->key_size[i] = (uint32_t)raw->key.size;
    m->number[i] = raw->occurrence_number;
    m->amount[i] = image->amount_micro;
    m->place[i] = place;
    m->words[i] = image->day | (uint64_t)raw->key.size << 16 | (uint64_t)image->status << 32 |
                  (uint64_t)image->channel << 48;
    m->flags[i] = image->flags | (uint64_t)image->currency << 16 | back_event << 24 | back_map << 56;
    m->tail[i] = back_map >> 8 | (uint64_t)row_index << 24;
    m->count = i + 1;
    return 1;
}

/* ---- all usual rows ---- */

enum {
    ALONE = 512, /* an event of fewer bytes has few rows, which go with those that wait */
    PASSED = 8   /* rows of an event that are not asked whether they lie alike, where one did not */
};

enum err log_run(struct log_run *run, struct binlog_rows *rows, int *is_done, struct diag *diag)
{
    struct binlog_lanes b;
    run->may_learn = *is_done = 0;
    if (!run->plan || (run->misses > MISSES_FREE && run->misses > run->records) ||
        !binlog_lanes_open(&b, rows, run->plan))
        return OK;
    if (UNLIKELY(run->one_day) && b.row->op != BINLOG_INSERT)
        return OK;
    run->quick.undated_day = normalize_event(run->normalizer, run->scratch, b.row->timestamp);
    const uint8_t *at = b.at;
    const uint32_t op = b.row->op, first = b.row_index;
    const uint64_t back_map = b.row->event_offset - b.row->table_map_offset;
    const uint16_t more_flags = op == BINLOG_DELETE ? RECORD_GONE | RECORD_VOIDED : 0;
    uint32_t row_index = first;
    enum err err = OK;
    struct log_common *const alike = &run->common[op == BINLOG_UPDATE];
    if (alike->waiting.count &&
        (op == BINLOG_UPDATE ? log_common_one_change(alike, &b) : log_common_one(alike, &b, more_flags))) {
        run->records++;
        *is_done = binlog_lanes_close(&b, rows, b.end, 1);
        return OK;
    }
    /* Farther back than a record can say: binlog_rows_step's way tells. */
    if (UNLIKELY(back_map > UINT32_MAX ||
                 b.offset + (uint64_t)(b.end - at) - b.row->event_offset > UINT32_MAX))
        return OK;
    const int goes_along = run->mixed.count && b.end - at < ALONE;
    uint32_t passed = 0;
    while (at != b.end) {
        struct image_row image;
        if (passed) {
            passed--;
        } else if (b.lane->is_common && !goes_along) {
            struct log_common_rows common = {run, alike, &b, at, row_index, more_flags};
            err = op == BINLOG_UPDATE ? log_common_changes(&common, diag) : log_common_run(&common, diag);
            passed = common.at == at ? PASSED : 0;
            at = common.at;
            row_index = common.row_index;
            if (UNLIKELY(err != OK) || at == b.end)
                break;
        }
        const uint8_t *behind = binlog_lanes_read(&b, at, &run->raw);
        if (UNLIKELY(!behind))
            break;
        if (op == BINLOG_UPDATE) {
            const struct image_raw before = run->raw;
            behind = binlog_lanes_read(&b, behind, &run->raw);
            if (UNLIKELY(!behind ||
                         !spans_equal(before.key, before.key_number, run->raw.key, run->raw.key_number) ||
                         !spans_equal(before.occurrence, before.occurrence_number, run->raw.occurrence,
                                      run->raw.occurrence_number)))
                break;
            /* What was no time stops (binlog_rows_step). */
            if (UNLIKELY(before.time != run->raw.time) && before.time &&
                !image_hour_is_known(&run->scratch->image.memo, before.time))
                break;
        }
        if (UNLIKELY(!run->is_ready ||
                     !normalize_quick_values(&run->quick, &run->scratch->image.memo, &run->raw, &image) ||
                     (run->one_day && image.day != run->quick.unit_day))) {
            run->may_learn = 1;
            break;
        }
        image.flags |= more_flags;
        const uint64_t offset = b.offset + (uint64_t)(at - b.at), back_event = offset - b.row->event_offset;
        if (LIKELY(mixed_add(run, &image, run->base + offset, back_event, back_map, row_index))) {
            row_index++;
            at = behind;
            if (run->mixed.count == LOG_MIXED && UNLIKELY((err = log_mixed_end(run, diag)) != OK))
                break;
            continue;
        }
        if (UNLIKELY((err = log_run_end(run, diag)) != OK))
            break;
        if (UNLIKELY(!normalize_quick_texts(&run->quick, &run->raw, &image))) {
            run->may_learn = 1;
            break;
        }
        const uint32_t units = image_row_units(&image);
        struct batch *batch = outbox_room(run->outbox, image.hash, units, diag);
        if (UNLIKELY(!batch)) {
            err = diag->err;
            break;
        }
        const uint32_t fold[3] = {(uint32_t)back_event, (uint32_t)back_map, row_index};
        struct record *record = &batch->units[batch->used];
        image_row_put(&image, fold, record);
        record->place = run->base + offset;
        if (UNLIKELY((err = outbox_put_last(run->outbox, batch, units, diag)) != OK))
            break;
        row_index++;
        at = behind;
    }
    run->misses += at != b.end;
    run->records += row_index - first;
    *is_done = binlog_lanes_close(&b, rows, at, row_index - first);
    return err;
}
