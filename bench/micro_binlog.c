/* bench/micro_binlog.c: binlog bytes -> row images, as a source does it: the walk over the headers, then the
 * rows.
 *
 *     walk/R     headers only: where groups begin and end
 *     rows/R     checksums and rows; R rows in each transaction
 */
#include "bench/shim.h"
#include "core/base/prng.h"
#include "io/format/binlog.h"
#include "tests/support/binlog_write.h"
#include <stdio.h>

enum {
    COLUMNS = 11,
    CHUNK = 1 << 20,
    TYPE_LONGLONG = 8,
    TYPE_VARCHAR = 15,
    TYPE_DATETIME2 = 18,
    TYPE_NEWDECIMAL = 246
};

static const char *const columns[COLUMNS] = {"id unsigned", "channel_code", "biz_type",  "biz_order_no",
                                             "merchant_no", "trade_time",   "direction", "currency",
                                             "amount",      "fee",          "status"};
static const struct binlog_watch watch = {"shop", "payment_order", columns, COLUMNS};
static const char *const needed[] = {"channel_code", "biz_order_no", "trade_time", "direction",
                                     "currency",     "amount",       "status"};
static const struct binlog_options options = {
    .watch = &watch, .watch_count = 1, .needed = needed, .needed_count = 7};

static void put_text(struct body *b, const char *text)
{
    body_le(b, strlen(text), 1);
    body_bytes(b, text, strlen(text));
}

/* DECIMAL(18,2): 16 digits before the point in 4 + 4 + ... bytes: 7 digits in 4, 9 in 4, then 2 in 1. */
static void put_decimal(struct body *b, uint64_t cents)
{
    uint64_t major = cents / 100;
    uint32_t high = (uint32_t)(major / 1000000000u) | 0x80000000u;
    body_be(b, high, 4);
    body_be(b, major % 1000000000u, 4);
    body_be(b, cents % 100, 1);
}

static void put_row(struct body *b, struct prng *prng, uint64_t id)
{
    char order[32];
    snprintf(order, sizeof order, "20261119%016llu",
             (unsigned long long)prng_below(prng, 10000000000000000u));
    uint64_t amount = prng_below(prng, 1000000);
    unsigned second = (unsigned)(id % 86400);
    body_le(b, 0, 2); /* no NULLs */
    body_le(b, id, 8);
    put_text(b, prng_below(prng, 2) ? "ALIPAY" : "WECHAT");
    put_text(b, "ORDER_PAY");
    put_text(b, order);
    put_text(b, "898310062430335");
    uint64_t day = (uint64_t)(2026 * 13 + 11) << 5 | 19;
    body_be(b, 0x8000000000u + (day << 17 | second / 3600 << 12 | second / 60 % 60 << 6 | second % 60), 5);
    body_be(b, prng_below(prng, 1000) * 10, 2); /* DATETIME(3) */
    put_text(b, "IN");
    put_text(b, "CNY");
    put_decimal(b, amount);
    put_decimal(b, amount / 200);
    put_text(b, "SUCCESS");
}

static void make_log(struct log *log, uint64_t rows, uint64_t per_group)
{
    static const uint8_t types[COLUMNS] = {TYPE_LONGLONG,   TYPE_VARCHAR,    TYPE_VARCHAR, TYPE_VARCHAR,
                                           TYPE_VARCHAR,    TYPE_DATETIME2,  TYPE_VARCHAR, TYPE_VARCHAR,
                                           TYPE_NEWDECIMAL, TYPE_NEWDECIMAL, TYPE_VARCHAR};
    struct body metadata = {.size = 0};
    for (int i = 0; i < COLUMNS; i++)
        switch (types[i]) {
        case TYPE_VARCHAR:
            body_le(&metadata, 64, 2);
            break;
        case TYPE_DATETIME2:
            body_le(&metadata, 3, 1);
            break;
        case TYPE_NEWDECIMAL:
            body_le(&metadata, 18, 1);
            body_le(&metadata, 2, 1);
            break;
        default:
            break;
        }
    struct prng prng = {1};
    log_begin(log, "8.0.36");
    uint64_t id = 0;
    for (uint64_t group = 1; id < rows; group++) {
        static struct body b;
        b.size = 0;
        log_gtid(log, group);
        log_query(log, "shop", "BEGIN");
        log_table(log, 9, "shop", "payment_order", types, COLUMNS, metadata.bytes, metadata.size, NULL, 0);
        for (uint64_t i = 0; i < per_group && id < rows; i++)
            put_row(&b, &prng, ++id);
        log_rows(log, EVENT_WRITE_ROWS, 9, COLUMNS, b.bytes, b.size);
        log_xid(log);
    }
    log_rotate(log, "binlog.000002");
}

struct log_case {
    uint64_t per_group;
    int with_rows;
};

static uint64_t look(const struct binlog_row *row, uint64_t sum)
{
    for (uint32_t i = 0; i < row->column_count; i++)
        sum = bench_mix(sum,
                        row->after[i].kind == CELL_TEXT ? row->after[i].size : (uint64_t)row->after[i].i64);
    return sum;
}

/* Groups lie inside of the chunk that was stepped over, since all of the log is in memory. 0 when it failed.
 */
static int decode(const struct log *log, int with_rows, uint64_t *rows_seen, uint64_t *sum, struct diag *diag)
{
    struct binlog_walk *walk = NULL;
    struct binlog_rows *rows = NULL;
    uint64_t at = 0;
    enum step step = STEP_MORE;
    if (binlog_walk_open(&walk, &options, diag) != OK || binlog_rows_open(&rows, &options, diag) != OK)
        step = STEP_FAILED;
    else
        binlog_walk_file(walk, "binlog.000001", 0, log->size);
    while (step == STEP_MORE) {
        size_t taken, count;
        step = binlog_walk_step(walk, log->bytes + at, (size_t)(log->size - at), at, CHUNK, &taken, diag);
        if (step == STEP_FAILED || step == STEP_IDLE)
            break;
        const struct binlog_group *groups = binlog_walk_groups(walk, &count);
        *sum = bench_mix(*sum, count);
        if (with_rows) {
            struct binlog_piece piece = {
                "binlog.000001", log->bytes + at, taken, at,   binlog_walk_format(walk),
                groups,          count,           0,     taken};
            binlog_rows_begin(rows, &piece);
            const struct binlog_row *row;
            enum step one;
            while ((one = binlog_rows_step(rows, &row, diag)) == STEP_MORE) {
                ++*rows_seen;
                *sum = look(row, *sum);
            }
            if (one == STEP_FAILED)
                step = STEP_FAILED;
        }
        at += taken;
    }
    binlog_rows_close(rows);
    binlog_walk_close(walk);
    return step == STEP_DONE;
}

static void binlog(struct bench *bench, const void *context)
{
    const struct log_case *c = context;
    uint64_t rows = bench_size(100000, 200);
    struct log log = {0};
    make_log(&log, rows, c->per_group);
    while (bench_round(bench)) {
        uint64_t seen = 0, sum = 0;
        struct diag diag = {0};
        if (!decode(&log, c->with_rows, &seen, &sum, &diag)) {
            diag_print(&diag, stderr);
            bench_wrong(bench, "the log was refused");
            break;
        }
        if (c->with_rows && seen != rows)
            bench_wrong(bench, "rows are missing");
        bench_answer(bench, sum);
    }
    bench_items(bench, rows, log.size);
    log_free(&log);
}

void benches(void)
{
    static const struct log_case cases[] = {{1, 0}, {100, 0}, {1, 1}, {100, 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "binlog/%s/%llu", cases[i].with_rows ? "rows" : "walk",
                 (unsigned long long)cases[i].per_group);
        bench_add(name, binlog, &cases[i]);
    }
}
