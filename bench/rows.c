/* bench/rows.c: see rows.h. */
#include "bench/rows.h"
#include "bench/shim.h"
#include "core/base/mem.h"
#include "fixtures/gen.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HASH_SEED = 42, ROOM = ROWS_CHUNK * 2 };

static int complain(const struct diag *diag)
{
    diag_print(diag, stderr);
    return 0;
}

static char *read_file(const char *path, uint64_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *size = (uint64_t)ftell(f);
    rewind(f);
    char *bytes = mem_take_zero(*size + CSV_SCAN_SLACK, 1);
    if (bytes && fread(bytes, 1, *size, f) != *size) {
        mem_give(bytes);
        bytes = NULL;
    }
    fclose(f);
    return bytes;
}

/* gen's cells hold no quotes, so putting them around each is all. */
static int put_quotes(struct rows *rows)
{
    char *quoted = mem_take_zero(rows->size * 3 + CSV_SCAN_SLACK, 1);
    if (!quoted)
        return 0;
    uint64_t n = 0;
    int at_begin = 1;
    for (uint64_t i = 0; i < rows->size; i++) {
        char c = rows->bytes[i];
        if (at_begin)
            quoted[n++] = '"';
        at_begin = c == ',' || c == '\n';
        if (at_begin)
            quoted[n++] = '"';
        quoted[n++] = c;
    }
    mem_give(rows->bytes);
    rows->bytes = quoted;
    rows->size = n;
    return 1;
}

int rows_open(struct rows *rows, uint64_t count, enum side side, int quoted)
{
    memset(rows, 0, sizeof *rows);
    rows->side = side;
    char directory[256];
    const char *temporary = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/tieout-rows-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(directory)) {
        perror(directory);
        return 0;
    }
    struct diag diag = {0};
    struct gen_request request;
    struct gen_truth truth;
    gen_request_init(&request);
    request.rows = count;
    request.directory = directory;
    enum err err = gen_write(&request, &truth, &diag);
    static const char *const names[] = {"local.csv", "channel.csv", "truth.json"};
    for (int i = 0; i < 3; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        if (err == OK && i == (int)side)
            rows->bytes = read_file(path, &rows->size);
        unlink(path);
    }
    rmdir(directory);
    if (err != OK)
        return complain(&diag);
    rows->count = truth.rows[side];
    if (!rows->bytes || (quoted && !put_quotes(rows)))
        return 0;
    rows->data_begin = (uint64_t)((char *)memchr(rows->bytes, '\n', rows->size) - rows->bytes) + 1;
    rows->seps = mem_take((ROOM + CSV_SCAN_SLACK) * sizeof *rows->seps);
    rows->row_ends = mem_take((ROOM + 1) * sizeof *rows->row_ends);
    return rows->seps && rows->row_ends;
}

void rows_close(struct rows *rows)
{
    mem_give(rows->bytes);
    mem_give(rows->seps);
    mem_give(rows->row_ends);
    mem_give(rows->cells);
    if (rows->job) {
        norm_scratch_fini(&rows->scratch);
        normalizer_close(rows->normalizer);
        norm_shared_close(&rows->shared);
        job_close(rows->job);
    }
    memset(rows, 0, sizeof *rows);
}

uint64_t rows_scan(struct rows *rows, int quoted, uint32_t *flags_or, rows_chunk_fn *each, void *context)
{
    uint64_t sum = 0, next = rows->data_begin;
    *flags_or = 0;
    rows->found = 0;
    for (uint64_t at = 0; at < rows->size && next < rows->size; at += ROWS_CHUNK) {
        if (next >= at + ROWS_CHUNK)
            continue;
        uint64_t size =
            rows->size - at < ROWS_CHUNK + ROWS_CHUNK / 2 ? rows->size - at : ROWS_CHUNK + ROWS_CHUNK / 2;
        uint32_t nominal = (uint32_t)(size < ROWS_CHUNK ? size : ROWS_CHUNK);
        struct csv_scan_job job = {.bytes = (const uint8_t *)rows->bytes + at,
                                   .size = (uint32_t)size,
                                   .start = (uint32_t)(next - at),
                                   .end = nominal + 1,
                                   .mark_end = nominal,
                                   .delimiter = ',',
                                   .quote = '"',
                                   .seps = rows->seps,
                                   .rows = rows->row_ends,
                                   .marks = rows->marks};
        struct csv_scan_result result = quoted ? csv_scan_quoted(&job) : csv_scan(&job);
        rows->found += result.row_count;
        /* The last row ends with the file, so there may be no newline at or behind the wanted end. */
        *flags_or |= at + size == rows->size ? result.flags & ~(uint32_t)CSV_UNFINISHED : result.flags;
        if (each)
            each(context, rows->bytes + at, &job, &result);
        sum = bench_mix(sum, (uint64_t)result.sep_count << 32 | result.row_count);
        sum = bench_mix(sum, result.sep_count ? rows->seps[result.sep_count / 2] : 0);
        next = at + result.stop;
    }
    return sum;
}

struct header {
    struct rows *rows;
    const char *const *columns;
};

static int wanted_by(const char *const *columns, const char *name)
{
    if (!columns)
        return 1;
    for (; *columns; columns++)
        if (strcmp(*columns, name) == 0)
            return 1;
    return 0;
}

static int find_column(void *context, const char *name)
{
    const struct header *header = context;
    size_t size = strlen(name);
    int number = 0;
    if (!wanted_by(header->columns, name))
        return -1;
    for (const char *p = header->rows->bytes;; number++) {
        size_t n = strcspn(p, ",\n");
        if (n == size && memcmp(p, name, n) == 0)
            return number;
        if (p[n] != ',')
            return -1;
        p += n + 1;
    }
}

int rows_normalizer(struct rows *rows, const char *key, const char *compare, const char *const *columns)
{
    struct diag diag = {0};
    struct diff_request request = {.local_path = "local.csv",
                                   .channel_path = "channel.csv",
                                   .key = key,
                                   .amount = "amount",
                                   .compare = compare,
                                   .currency = "CNY",
                                   .timezone = "Asia/Shanghai",
                                   .out_dir = "out"};
    if (job_from_diff(&rows->job, &request, &diag) != OK)
        return complain(&diag);
    enum err err = norm_shared_open(&rows->shared, rows->job, HASH_SEED, DAY_NONE, &diag);
    if (err == OK)
        err = norm_scratch_init(&rows->scratch, &diag);
    struct header header = {rows, columns};
    if (err == OK)
        err = normalizer_open(&rows->normalizer, &rows->shared, rows->side, "local.csv", NULL, find_column,
                              &header, &diag);
    if (err != OK)
        return complain(&diag);
    rows->wanted = normalizer_columns(rows->normalizer, &rows->wanted_count);
    return 1;
}

struct gather {
    struct rows *rows;
    struct cell *next;
};

static void gather_cells(void *context, const char *bytes, const struct csv_scan_job *job,
                         const struct csv_scan_result *result)
{
    struct gather *gather = context;
    const struct rows *rows = gather->rows;
    uint32_t first = 0;
    for (uint32_t r = 0; r < result->row_count; r++) {
        uint32_t begin = first ? job->seps[first - 1] + 1 : job->start;
        for (int k = 0; k < rows->wanted_count; k++) {
            uint32_t column = (uint32_t)rows->wanted[k];
            uint32_t from = column ? job->seps[first + column - 1] + 1 : begin;
            *gather->next++ = (struct cell){
                .data = bytes + from, .size = job->seps[first + column] - from, .kind = CELL_TEXT};
        }
        first = job->rows[r];
    }
}

int rows_cells(struct rows *rows)
{
    uint32_t flags;
    rows->cells = mem_take(rows->count * (size_t)rows->wanted_count * sizeof *rows->cells);
    if (!rows->cells)
        return 0;
    struct gather gather = {rows, rows->cells};
    rows_scan(rows, 0, &flags, gather_cells, &gather);
    return gather.next == rows->cells + rows->count * (size_t)rows->wanted_count;
}
