/* tests/support/log_roads.h: a log's rows become records by both roads, many at once and cell by cell, to be held against each other */
#ifndef TIEOUT_TESTS_SUPPORT_LOG_ROADS_H
#define TIEOUT_TESTS_SUPPORT_LOG_ROADS_H

#include "core/base/mem.h"
#include "io/source/log_run.h"
#include <stdio.h>
#include <stdlib.h>

enum { ROAD_UNITS = 4096, ROAD_SHARDS = 3, ROAD_ROOM = 24 };

/* One way over the log: lanes, or cells only. Rows that are not usual are counted, by their places. */
struct road {
    struct batch *batch; /* what the others were emptied into */
    uint32_t shards;     /* 0: one */
    struct batch *open[ROAD_SHARDS];
    struct outbox outbox;
    uint64_t odd, odd_sum, by_lane, alike;
};

/* A batch goes behind what came before, as the engine would take it. */
static enum err road_flush(struct outbox *outbox, uint32_t shard, struct diag *diag)
{
    struct road *const road = (struct road *)((char *)outbox - offsetof(struct road, outbox));
    struct batch *const from = outbox->open[shard], *const to = road->batch;
    if (to->used + from->used > to->room)
        return diag_set(diag, ERR_BUG, "test", NULL, "the batch is full");
    memcpy(&to->units[to->used], from->units, from->used * sizeof from->units[0]);
    to->used += from->used;
    to->count += from->count;
    from->used = from->count = 0;
    return OK;
}

static int find_column(void *context, const char *name)
{
    const struct binlog_table *table = context;
    for (uint32_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

static enum err travel(struct road *road, const struct binlog_options *options,
                       const struct norm_shared *shared, const struct binlog_piece *piece, int by_lane,
                       struct diag *diag)
{
    struct binlog_rows *rows;
    struct normalizer *normalizer = NULL;
    struct norm_scratch scratch;
    struct log_run run = {.scratch = &scratch, .outbox = &road->outbox, .base = 1000};
    enum err err = norm_scratch_init(&scratch, diag);
    if (err == OK)
        err = binlog_rows_open(&rows, options, diag);
    if (err != OK)
        return err;
    road->batch->room = ROAD_UNITS;
    road->batch->used = road->batch->count = 0;
    road->odd = road->odd_sum = 0;
    /* Small ones, so that rows that are put together do not fit; a record of the longest key and id does. */
    for (uint32_t i = 0; err == OK && i < ROAD_SHARDS; i++) {
        road->open[i] = mem_take_zero(1, sizeof(struct batch) + ROAD_ROOM * RECORD_UNIT);
        if (road->open[i])
            road->open[i]->room = ROAD_ROOM;
        else
            err = mem_fail(diag, 0, "a batch");
    }
    road->outbox.shard_count = road->shards ? road->shards : 1;
    road->outbox.open = road->open;
    road->outbox.flush = road_flush;
    err = tally_init(&road->outbox.tally, diag);
    binlog_rows_begin(rows, piece);
    enum step step = STEP_MORE;
    while (err == OK && (step = binlog_rows_next(rows, diag)) == STEP_MORE) {
        if (!normalizer) {
            err = normalizer_open(&normalizer, shared, LOCAL, "t", NULL, find_column,
                                  (void *)binlog_rows_table(rows), diag);
            if (err != OK)
                break;
            log_run_begin(&run, normalizer);
        }
        int is_done = 0;
        if (by_lane && ((err = log_run(&run, rows, &is_done, diag)) != OK || is_done))
            continue;
        if ((err = log_run_end(&run, diag)) != OK)
            break;
        const struct binlog_row *row;
        if ((step = binlog_rows_step(rows, &row, diag)) != STEP_MORE)
            break;
        struct image_row image;
        const struct cell *cells = row->op == BINLOG_DELETE ? row->before : row->after;
        normalize_event(normalizer, &scratch, row->timestamp);
        if ((row->op == BINLOG_UPDATE && !normalize_image_stays(normalizer, row->before, row->after)) ||
            !normalize_image(normalizer, &scratch, cells, &image)) {
            road->odd++;
            road->odd_sum = road->odd_sum * 31 + row->image_offset;
            continue;
        }
        log_run_learn(&run, cells);
        if (row->op == BINLOG_DELETE)
            image.flags |= RECORD_GONE | RECORD_VOIDED;
        const uint32_t fold[3] = {(uint32_t)(row->image_offset - row->event_offset),
                                  (uint32_t)(row->event_offset - row->table_map_offset), row->row_index};
        const uint32_t units = image_row_units(&image);
        struct batch *const batch = outbox_room(&road->outbox, image.hash, units, diag);
        if (!batch) {
            err = diag->err;
            break;
        }
        struct record *record = &batch->units[batch->used];
        image_row_put(&image, fold, record);
        record->place = run.base + row->image_offset;
        err = outbox_put_last(&road->outbox, batch, units, diag);
    }
    if (err == OK)
        err = step == STEP_FAILED ? diag->err : log_run_end(&run, diag);
    /* After a failure too: what came before it is compared. */
    for (uint32_t i = 0; i < ROAD_SHARDS && road->open[i]; i++) {
        struct diag full = {0};
        if (road_flush(&road->outbox, i, &full) != OK && err == OK)
            err = diag_set(diag, full.err, full.code, NULL, "%s", full.what);
        mem_give(road->open[i]);
    }
    road->by_lane = run.records;
    road->alike = run.common[0].alike + run.common[1].alike;
    normalizer_close(normalizer);
    norm_scratch_fini(&scratch);
    binlog_rows_close(rows);
    return err;
}

/* In the order of their places: groups of rows that wait, and batches, are emptied in no order that counts. */
static int by_place(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a, *y = *(const struct record *const *)b;
    return x->place < y->place ? -1 : x->place > y->place;
}

static void list_records(const struct road *road, const struct record **list, struct record_layout layout)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < road->batch->used;) {
        const struct record *const record = &road->batch->units[at];
        list[count++] = record;
        at += record_units(record_var_size(record, layout));
    }
    qsort(list, count, sizeof *list, by_place);
}

/* Record by record: what lies behind a record's end is nobody's. */
static int same_records(const struct road *a, const struct road *b, struct record_layout layout)
{
    static const struct record *of_a[ROAD_UNITS], *of_b[ROAD_UNITS];
    if (a->batch->count != b->batch->count || a->batch->used != b->batch->used)
        return 0;
    list_records(a, of_a, layout);
    list_records(b, of_b, layout);
    for (uint32_t i = 0; i < a->batch->count; i++) {
        const uint32_t size = record_var_size(of_a[i], layout);
        if (memcmp(of_a[i], of_b[i], offsetof(struct record, var) + size) != 0)
            return 0;
    }
    return 1;
}

static const struct tally_row *next_sum(const struct tally *tally, uint32_t *at)
{
    while (*at < tally->room && !tally->rows[*at].key)
        ++*at;
    return *at < tally->room ? &tally->rows[(*at)++] : NULL;
}

static int same_sums(struct outbox *a, struct outbox *b)
{
    uint32_t at = 0;
    const struct tally_row *x;
    int n = 0;
    while ((x = next_sum(&a->tally, &at)) != NULL) {
        const struct tally_row *y = tally_row(&b->tally, x->key);
        if (!y || x->count != y->count || x->sum != y->sum)
            return 0;
        n += x->count != 0;
    }
    uint32_t others = 0;
    int m = 0;
    while ((x = next_sum(&b->tally, &others)) != NULL)
        m += x->count != 0;
    return n == m;
}

#endif
