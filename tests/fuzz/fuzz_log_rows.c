/* tests/fuzz/fuzz_log_rows.c: rows of a usual table become the same records many at once (io/source/log_common.h) and cell by cell,
 * whatever is wrong with them.
 *
 * The input changes rows that lie alike. Its first byte says how many rows an event has, whether they are inserted, changed or deleted,
 * and whether each event has a TABLE_MAP of its own; then triples follow: a row, a place in it, and what is laid over the byte there
 * (xor). So lengths, NULLs, signs, digits, hours and words are all within reach, and most rows stay as they were. An instruction of
 * row 255 changes the row that all others are made of, one from 128 on what a row was before its change. The same is done by each kind
 * of vector that the machine has.
 */
#include "core/config/job.h"
#include "io/format/binlog_types.h"
#include "io/format/csv_scan.h"
#include "tests/fuzz/replay.h"
#include "tests/support/binlog_write.h"
#include "tests/support/log_roads.h"
#include <stddef.h>
#include <stdlib.h>

enum { COLUMNS = 8, ROWS = 100, ROW_MAX = 160 };

static const char *const names[COLUMNS] = {"id unsigned",   "order_no",      "note", "currency",
                                           "amount signed", "status signed", "time", "tail unsigned"};
static const uint8_t types[COLUMNS] = {TYPE_LONGLONG,   TYPE_VARCHAR, TYPE_VARCHAR,   TYPE_VARCHAR,
                                       TYPE_NEWDECIMAL, TYPE_TINY,    TYPE_DATETIME2, TYPE_LONG};
static const uint8_t metadata[] = {64, 0, 40, 0, 3, 0, 18, 2, 3};

static const char job_text[] =
    "version: 1\njob: t\nchannel_code: X\ntimezone: Asia/Shanghai\ncurrency: CNY\nlocal:\n"
    "  binlog: {files: x, table: shop.t}\n  occurrence_id: id\n  fields:\n    biz_order_no: order_no\n"
    "    amount: amount\n    currency: currency\n    status: {column: status, map: {1: SUCCESS, 2: CLOSED}}\n"
    "    trade_time: time\nchannel: {files: b.csv, format: csv, fields: {biz_order_no: n, amount: a}}\n"
    "match: {keys: [[biz_order_no]]}\n";

static struct job *job;
static struct norm_shared shared;

static void open_once(void)
{
    struct diag diag = {0};
    if (job)
        return;
    if (job_load_text(&job, "t.yaml", (struct span){job_text, sizeof job_text - 1}, &diag) != OK ||
        norm_shared_open(&shared, job, 5, DAY_NONE, &diag) != OK) {
        diag_print(&diag, stderr);
        abort();
    }
}

static struct body base_row(void)
{
    static const uint8_t decimal[9] = {0x80, 0, 0, 1, 0, 0, 0, 5, 37};
    struct body b = {.size = 0};
    body_le(&b, 0, 1);
    body_le(&b, 1001, 8);
    body_le(&b, 20, 1);
    body_bytes(&b, "20261119000000001001", 20);
    body_le(&b, 13, 1);
    body_bytes(&b, "order by card", 13);
    body_le(&b, 3, 1);
    body_bytes(&b, "CNY", 3);
    body_bytes(&b, decimal, sizeof decimal);
    body_le(&b, 1, 1);
    /* 2026-11-19 10:00:00.123 */
    body_be(&b, ((uint64_t)((2026 * 13 + 11) << 5 | 19) << 17 | 10 << 12) + ((uint64_t)1 << 39), 5);
    body_be(&b, 1230, 2);
    body_le(&b, 7, 4);
    return b;
}

static void log_make(struct log *log, const uint8_t *bytes, size_t size)
{
    struct body one = base_row(), rows = {.size = 0};
    const unsigned first = size ? bytes[0] : 0, each = (first & 3) == 0   ? 1
                                                       : (first & 3) == 1 ? ROWS
                                                                          : 1 + (first >> 5);
    const int has_maps = first & 4;
    for (size_t i = 1; i + 2 < size; i += 3)
        if (bytes[i] == 255 && one.size)
            one.bytes[bytes[i + 1] % one.size] ^= bytes[i + 2];
    log_begin(log, "8.0.36");
    log_query(log, "shop", "BEGIN");
    unsigned kind = EVENT_WRITE_ROWS;
    for (unsigned row = 0; row < ROWS; row++) {
        uint8_t image[2][ROW_MAX]; /* before, after */
        if (rows.size == 0)
            kind = first & 8 && row % 3 == 0    ? EVENT_DELETE_ROWS
                   : first & 16 && row % 3 != 1 ? EVENT_UPDATE_ROWS
                                                : EVENT_WRITE_ROWS;
        for (unsigned which = 0; which < 2; which++) {
            memcpy(image[which], one.bytes, one.size);
            image[which][1] = (uint8_t)(image[which][1] + row);
            image[which][28] = (uint8_t)(image[which][28] + row % 10);
        }
        for (size_t i = 1; i + 2 < size; i += 3)
            if (bytes[i] % ROWS == row && bytes[i] != 255)
                image[kind != EVENT_UPDATE_ROWS || bytes[i] < 128][bytes[i + 1] % one.size] ^= bytes[i + 2];
        if (kind == EVENT_UPDATE_ROWS)
            body_bytes(&rows, image[0], one.size);
        body_bytes(&rows, image[1], one.size);
        if ((row + 1) % each != 0 && row + 1 < ROWS)
            continue;
        if (has_maps || row < each)
            log_table(log, 9, "shop", "t", types, COLUMNS, metadata, sizeof metadata, NULL, 0);
        log_rows(log, kind, 9, COLUMNS, rows.bytes, rows.size);
        rows.size = 0;
    }
    log_xid(log);
}

static int one_input(const uint8_t *bytes, size_t size)
{
    static const char *const needed[] = {"order_no", "amount", "id", "currency", "status", "time"};
    const struct binlog_watch watch = {"shop", "t", names, COLUMNS};
    const struct binlog_options options = {
        .watch = &watch, .watch_count = 1, .needed = needed, .needed_count = 6};
    const struct binlog_format format = {.server_version = "8.0.36",
                                         .checksum = 1,
                                         .checksum_size = 4,
                                         .post_header = {[EVENT_TABLE_MAP] = 8,
                                                         [EVENT_WRITE_ROWS] = 10,
                                                         [EVENT_UPDATE_ROWS] = 10,
                                                         [EVENT_DELETE_ROWS] = 10,
                                                         [EVENT_QUERY] = 13}};
    struct log log = {0};
    open_once();
    log_make(&log, bytes, size);
    const struct binlog_group group = {.begin = 4, .end = log.size, .committed = 1, .touches_watched = 1};
    uint8_t *exact = malloc(log.size - 4);
    memcpy(exact, log.bytes + 4, log.size - 4);
    const struct binlog_piece piece = {"t", exact, log.size - 4, 4, &format, &group, 1, 0, 0};
    struct road cells = {0};
    struct diag diag = {0};
    cells.batch = mem_take_zero(1, sizeof(struct batch) + ROAD_UNITS * RECORD_UNIT);
    const enum err want = travel(&cells, &options, &shared, &piece, 0, &diag);
    for (int kernel = CSV_KERNEL_SCALAR; kernel < CSV_KERNELS; kernel++) {
        struct road lanes = {.shards = (size / 3 + (size_t)kernel) % 2 ? 1 : ROAD_SHARDS};
        struct diag said = {0};
        if (!csv_scan_choose((enum csv_kernel)kernel))
            continue;
        lanes.batch = mem_take_zero(1, sizeof(struct batch) + ROAD_UNITS * RECORD_UNIT);
        const enum err got = travel(&lanes, &options, &shared, &piece, 1, &said);
        if (got != want || strcmp(said.what, diag.what) != 0 || lanes.odd != cells.odd ||
            lanes.odd_sum != cells.odd_sum)
            abort();
        if (got == OK && (!same_records(&lanes, &cells, normalizer_layout_of(job, LOCAL)) ||
                          !same_sums(&lanes.outbox, &cells.outbox)))
            abort();
        mem_give(lanes.batch);
        tally_fini(&lanes.outbox.tally);
    }
    mem_give(cells.batch);
    tally_fini(&cells.outbox.tally);
    free(exact);
    log_free(&log);
    return 0;
}

#ifdef TIEOUT_FUZZ
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    return one_input(bytes, size);
}
#else
int main(int argc, char **argv)
{
    return replay(argc, argv, one_input, 0);
}
#endif
