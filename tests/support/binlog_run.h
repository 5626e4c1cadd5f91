/* tests/support/binlog_run.h: decodes a binlog held in memory as a source would, in pieces of any size, and
 * keeps the rows.
 *
 * Header only, for test and fuzz programs. The road: walk_step over a window of the file, rows over what it
 * took, groups that lie behind read again. With `keep` 0 the rows are looked at and counted, not kept.
 */
#ifndef TIEOUT_TESTS_SUPPORT_BINLOG_RUN_H
#define TIEOUT_TESTS_SUPPORT_BINLOG_RUN_H

#include "io/format/binlog.h"
#include "io/format/binlog_lane.h"
#include <stdlib.h>
#include <string.h>

struct kept_value {
    char *text; /* NULL: SQL NULL */
    size_t size;
    int present;
};

struct kept_row {
    uint64_t image_offset, event_offset, table_map_offset;
    uint32_t row_index, timestamp, op, column_count;
    char gtid[BINLOG_GTID_TEXT_MAX];
    char *database, *table;
    char **names;
    struct kept_value *before, *after; /* column_count each, or NULL */
};

struct binlog_run {
    const struct binlog_options *options;
    size_t chunk; /* bytes that are added to the window when the walk wants more */
    size_t want;
    int keep, is_newest;
    int is_unwalked; /* 1: rows do not know what the walk went over, and go event by event */
    const struct image_plan *(*plan_fn)(
        const struct binlog_table *table); /* rows go by lanes where it says how; NULL: by cells */
    struct kept_row *rows;
    size_t row_count, row_room;
    uint64_t checksum; /* over all cells, so that they are read even when not kept */
    struct binlog_walk_counts counts;
    struct binlog_rows_counts rows_counts;
    struct binlog_format format;
    char next_name[512];
};

static inline struct kept_value *run_image(const struct binlog_row *row, const struct cell *cells,
                                           const uint8_t *present)
{
    if (!cells)
        return NULL;
    struct kept_value *values = calloc(row->column_count, sizeof *values);
    for (uint32_t i = 0; i < row->column_count; i++) {
        char buffer[64];
        values[i].present = present[i / 8] >> (i % 8) & 1;
        if (cells[i].kind == CELL_NULL || cells[i].kind == CELL_ABSENT)
            continue;
        struct span text = binlog_cell_print(buffer, &cells[i], &row->table->columns[i]);
        values[i].text = malloc(text.size + 1);
        if (text.size)
            memcpy(values[i].text, text.data, text.size);
        values[i].text[text.size] = 0;
        values[i].size = text.size;
    }
    return values;
}

static inline void run_look(struct binlog_run *run, const struct binlog_row *row)
{
    for (int image = 0; image < 2; image++) {
        const struct cell *cells = image ? row->after : row->before;
        for (uint32_t i = 0; cells && i < row->column_count; i++) {
            char buffer[64];
            struct span text = binlog_cell_print(buffer, &cells[i], &row->table->columns[i]);
            for (size_t k = 0; k < text.size; k++)
                run->checksum = run->checksum * 31 + (unsigned char)text.data[k];
            run->checksum = run->checksum * 31 + cells[i].kind;
        }
    }
}

static inline void run_keep(struct binlog_run *run, const struct binlog_row *row)
{
    run_look(run, row);
    if (!run->keep) {
        run->row_count++;
        return;
    }
    if (run->row_count == run->row_room) {
        run->row_room = run->row_room ? run->row_room * 2 : 64;
        run->rows = realloc(run->rows, run->row_room * sizeof *run->rows);
    }
    struct kept_row *kept = &run->rows[run->row_count++];
    memset(kept, 0, sizeof *kept);
    kept->image_offset = row->image_offset;
    kept->event_offset = row->event_offset;
    kept->table_map_offset = row->table_map_offset;
    kept->row_index = row->row_index;
    kept->timestamp = row->timestamp;
    kept->op = row->op;
    kept->column_count = row->column_count;
    binlog_gtid_print(kept->gtid, &row->group->gtid);
    kept->database = strdup(row->table->database);
    kept->table = strdup(row->table->name);
    kept->names = calloc(row->column_count, sizeof *kept->names);
    for (uint32_t i = 0; i < row->column_count; i++)
        kept->names[i] = strdup(row->table->columns[i].name);
    kept->before = run_image(row, row->before, row->before_present);
    kept->after = run_image(row, row->after, row->after_present);
}

static inline void run_free(struct binlog_run *run)
{
    for (size_t r = 0; run->keep && r < run->row_count; r++) {
        struct kept_row *row = &run->rows[r];
        for (uint32_t i = 0; i < row->column_count; i++) {
            free(row->names[i]);
            if (row->before)
                free(row->before[i].text);
            if (row->after)
                free(row->after[i].text);
        }
        free(row->names);
        free(row->before);
        free(row->after);
        free(row->database);
        free(row->table);
    }
    free(run->rows);
    run->rows = NULL;
    run->row_count = run->row_room = 0;
}

/* Usual rows of the event at hand, by their lane. 1: no row of it is left. */
static inline int run_lane(struct binlog_run *run, struct binlog_rows *rows)
{
    struct binlog_lanes lanes;
    const struct image_plan *plan = run->plan_fn(binlog_rows_table(rows));
    if (!plan || !binlog_lanes_open(&lanes, rows, plan))
        return 0;
    const uint8_t *at = lanes.at;
    uint32_t count = 0;
    while (at != lanes.end) {
        struct image_raw raw;
        const uint8_t *behind = binlog_lanes_read(&lanes, at, &raw);
        if (behind && lanes.row->op == BINLOG_UPDATE)
            behind = binlog_lanes_read(&lanes, behind, &raw);
        if (!behind)
            break;
        for (size_t i = 0; raw.key.data && i < raw.key.size; i++)
            run->checksum = run->checksum * 31 + (unsigned char)raw.key.data[i];
        at = behind;
        count++;
    }
    run->row_count += count;
    return binlog_lanes_close(&lanes, rows, at, count);
}

/* Rows of one piece; `*taken` says how far it went. */
static inline enum step run_piece(struct binlog_run *run, struct binlog_rows *rows,
                                  const struct binlog_piece *piece, size_t *taken, struct diag *diag)
{
    binlog_rows_begin(rows, piece);
    for (;;) {
        const struct binlog_row *row;
        if (run->plan_fn && binlog_rows_next(rows, diag) == STEP_MORE && run_lane(run, rows))
            continue;
        enum step step = diag->err == OK ? binlog_rows_step(rows, &row, diag) : STEP_FAILED;
        if (step == STEP_MORE) {
            run_keep(run, row);
            continue;
        }
        *taken = binlog_rows_taken(rows);
        return step;
    }
}

/* A group that lies behind, in pieces of about run->chunk bytes. */
static inline enum step run_behind(struct binlog_run *run, struct binlog_rows *rows, const uint8_t *bytes,
                                   const char *name, const struct binlog_format *format,
                                   const struct binlog_group *group, struct diag *diag)
{
    uint64_t at = group->begin;
    size_t size = run->chunk;
    while (at < group->end) {
        if (size > group->end - at)
            size = (size_t)(group->end - at);
        struct binlog_piece piece = {name, bytes + at, size, at, format, group, 1, 0, 0};
        size_t taken;
        if (run_piece(run, rows, &piece, &taken, diag) == STEP_FAILED)
            return STEP_FAILED;
        at += taken;
        size = taken ? run->chunk : size + run->chunk;
    }
    return STEP_DONE;
}

/* Decodes the whole file. STEP_DONE, or STEP_FAILED with a filled diag; the rows before the failure are kept.
 */
static inline enum step run_file(struct binlog_run *run, const uint8_t *bytes, size_t size, const char *name,
                                 struct diag *diag)
{
    struct binlog_walk *walk;
    struct binlog_rows *rows;
    memset(diag, 0, sizeof *diag);
    if (binlog_walk_open(&walk, run->options, diag) != OK)
        return STEP_FAILED;
    if (binlog_rows_open(&rows, run->options, diag) != OK) {
        binlog_walk_close(walk);
        return STEP_FAILED;
    }
    binlog_walk_file(walk, name, 0, size);
    enum step step = STEP_MORE;
    uint64_t at = 0;
    size_t window = run->chunk;
    while (step == STEP_MORE || step == STEP_IDLE) {
        if (window > size - at)
            window = (size_t)(size - at);
        size_t taken;
        step = binlog_walk_step(walk, bytes + at, window, at, run->want, &taken, diag);
        if (step == STEP_FAILED)
            break;
        size_t count, behind_count, went;
        const struct binlog_group *groups = binlog_walk_groups(walk, &count);
        const struct binlog_group *behind = binlog_walk_behind(walk, &behind_count);
        for (size_t i = 0; i < behind_count; i++)
            if (run_behind(run, rows, bytes, name, binlog_walk_format(walk), &behind[i], diag) == STEP_FAILED)
                step = STEP_FAILED;
        struct binlog_piece piece = {name,
                                     bytes + at,
                                     taken,
                                     at,
                                     binlog_walk_format(walk),
                                     groups,
                                     count,
                                     0,
                                     run->is_unwalked ? 0 : taken};
        if (step == STEP_FAILED || run_piece(run, rows, &piece, &went, diag) == STEP_FAILED) {
            step = STEP_FAILED;
            break;
        }
        if (went != taken)
            abort();
        at += taken;
        window = window > taken ? window - taken : 0;
        if (step == STEP_IDLE) {
            size_t need = binlog_walk_need(walk);
            window += run->chunk;
            if (window < need && taken == 0)
                window = need;
        } else if (window == 0) {
            window = run->chunk;
        }
    }
    if (step == STEP_DONE && binlog_walk_end(walk, run->is_newest, (size_t)(size - at), diag) != OK)
        step = STEP_FAILED;
    run->counts = *binlog_walk_counts(walk);
    run->rows_counts = *binlog_rows_counts(rows);
    run->format = *binlog_walk_format(walk);
    strcpy(run->next_name, binlog_walk_next_name(walk));
    binlog_rows_close(rows);
    binlog_walk_close(walk);
    return step;
}

/* A whole file in memory; exits when it cannot be read. */
static inline uint8_t *run_read(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: cannot be opened\n", path);
        exit(2);
    }
    size_t room = 1 << 16;
    uint8_t *bytes = malloc(room);
    *size = 0;
    for (size_t got; (got = fread(bytes + *size, 1, room - *size, f)) > 0;) {
        *size += got;
        if (*size == room)
            bytes = realloc(bytes, room *= 2);
    }
    fclose(f);
    /* Just as large as the file, so that the address sanitizer sees a read past its end. */
    return realloc(bytes, *size ? *size : 1);
}

#endif
