/* tests/unit/io/source/log_run_test.c: a row gives the same record by its lane and by its cells */
#include "core/base/mem.h"
#include "core/base/prng.h"
#include "io/format/binlog_types.h"
#include "io/format/csv_scan.h"
#include "io/source/log_run.h"
#include "tests/support/binlog_write.h"
#include "tests/support/check_test.h"
#include "tests/support/log_roads.h"
#include <stdio.h>

enum { COLUMNS = 12, ROWS = 60, SEEDS = 1500 };

static const struct {
    unsigned type, metadata, metadata_size;
} ids[] = {{TYPE_LONGLONG, 0, 0},
           {TYPE_LONG, 0, 0},
           {TYPE_INT24, 0, 0},
           {TYPE_VARCHAR, 30, 2},
           {TYPE_VARCHAR, 400, 2}},
  amounts[] = {{TYPE_NEWDECIMAL, 18 | 2 << 8, 2},
               {TYPE_NEWDECIMAL, 18 | 4 << 8, 2},
               {TYPE_NEWDECIMAL, 10 | 2 << 8, 2},
               {TYPE_NEWDECIMAL, 12 | 0 << 8, 2},
               {TYPE_NEWDECIMAL, 18 | 7 << 8, 2},
               {TYPE_NEWDECIMAL, 9 | 9 << 8, 2},
               {TYPE_NEWDECIMAL, 18 | 0 << 8, 2},
               {TYPE_NEWDECIMAL, 5 | 2 << 8, 2},
               {TYPE_LONGLONG, 0, 0},
               {TYPE_LONG, 0, 0}},
  words[] = {{TYPE_TINY, 0, 0}, {TYPE_VARCHAR, 20, 2}, {TYPE_STRING, 0xfe | 8 << 8, 2}, {TYPE_LONG, 0, 0}},
  times[] = {{TYPE_DATETIME2, 0, 1},  {TYPE_DATETIME2, 3, 1},  {TYPE_DATETIME2, 6, 1},
             {TYPE_TIMESTAMP2, 0, 1}, {TYPE_TIMESTAMP2, 4, 1}, {TYPE_DATE, 0, 0}},
  fillers[] = {{TYPE_TINY, 0, 0}, {TYPE_VARCHAR, 60, 2}, {TYPE_VARCHAR, 300, 2},
               {TYPE_BLOB, 3, 1}, {TYPE_LONGLONG, 0, 0}, {TYPE_SHORT, 0, 0}};

enum {
    FILL_A,
    ID,
    ORDER,
    CURRENCY_COLUMN,
    FILL_B, /* zeros behind a currency that is empty are no letters */
    AMOUNT,
    FEE,
    FILL_C,
    STATUS_COLUMN,
    DIRECTION,
    TIME,
    FILL_D
};

struct table {
    unsigned type[COLUMNS], metadata[COLUMNS];
    int has_words; /* status and direction are texts */
    uint64_t next_id;
    unsigned lengths; /* how many different ones */
    unsigned empties; /* one of so many currencies is none */
    int is_common;    /* of the kinds that may lie alike (log_common.h) */
    int is_calm;      /* and mostly do */
};

static void put_text(struct body *b, const struct table *t, int column, const char *text, size_t size)
{
    body_le(b, size,
            t->type[column] == TYPE_BLOB                                   ? 3
            : t->metadata[column] > 255 && t->type[column] == TYPE_VARCHAR ? 2
                                                                           : 1);
    body_bytes(b, text, size);
}

static void put_decimal(struct body *b, struct prng *prng, unsigned precision, unsigned scale, int is_calm)
{
    static const unsigned bytes[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4},
                          power[10] = {1,      10,      100,      1000,      10000,
                                       100000, 1000000, 10000000, 100000000, 1000000000};
    const unsigned whole = precision - scale;
    unsigned groups[4], count = 0;
    const size_t at = b->size;
    if (whole % 9)
        groups[count++] = whole % 9;
    for (unsigned i = 0; i < whole / 9; i++)
        groups[count++] = 9;
    if (scale)
        groups[count++] = scale;
    for (unsigned i = 0; i < count; i++) /* mostly small before the point, at times the largest */
        body_be(b,
                i + 2 < count && prng_below(prng, 60) ? 0
                : prng_below(prng, 30)                ? prng_below(prng, power[groups[i]])
                                                      : power[groups[i]] - 1,
                bytes[groups[i]]);
    b->bytes[at] ^= 0x80;
    if (prng_below(prng, is_calm ? 40 : 4) == 0)
        for (size_t i = at; i < b->size; i++)
            b->bytes[i] ^= 0xff;
}

static void put_time(struct body *b, const struct table *t, struct prng *prng)
{
    const unsigned decimals = t->metadata[TIME];
    static const unsigned limit[4] = {1, 100, 10000, 1000000};
    if (t->type[TIME] == TYPE_DATE) {
        body_le(b, 2026 << 9 | 3 << 5 | (1 + prng_below(prng, 20)), 3);
        return;
    }
    if (t->type[TIME] == TYPE_TIMESTAMP2) {
        /* Around the two days on which clocks in New York are set; at times no time. */
        static const uint32_t around[] = {1772953200, 1793512800, 1700000000};
        body_be(b,
                prng_below(prng, 20)  ? around[prng_below(prng, 3)] + prng_below(prng, 172800) - 86400
                : prng_below(prng, 2) ? 0
                                      : prng_next(prng) & 0xFFFFFFFF,
                4);
    } else {
        const int is_calm = t->is_calm && prng_below(prng, 30);
        uint64_t day = (uint64_t)(2026 * 13 + 3) << 5 | (7 + (is_calm ? 0 : prng_below(prng, 2)));
        if (!is_calm && prng_below(prng, 20) == 0)
            day = prng_below(prng, 2) ? 0 : (uint64_t)(2026 * 13 + 2) << 5 | 30;
        body_be(b,
                0x8000000000u + (day << 17 |
                                 (is_calm           ? 9
                                  : t->empties == 4 ? prng_below(prng, 2)
                                                    : prng_below(prng, 24))
                                     << 12 |
                                 prng_below(prng, 60) << 6 | prng_below(prng, 60)),
                5);
    }
    body_be(b, prng_below(prng, limit[(decimals + 1) / 2]), (decimals + 1) / 2);
}

/* The values of a row that an UPDATE keeps come from `fixed`. */
static void put_image(struct body *b, struct table *t, struct prng *prng, struct prng *fixed)
{
    uint64_t nulls = prng_below(prng, t->is_common ? 30 : 3) ? 0
                     : prng_below(prng, 8)
                         ? prng_next(prng) & (1 << FILL_A | 1 << FILL_B | 1 << FEE | 1 << TIME | 1 << FILL_D)
                         : prng_next(prng) & 0xFFF & prng_next(prng);
    nulls &= ~((uint64_t)1 << ID | 1 << ORDER);
    if (prng_below(prng, 40) == 0)
        nulls |= (prng_next(prng) & 1) << ORDER;
    body_le(b, nulls, 2);
    for (int i = 0; i < COLUMNS; i++) {
        if (nulls >> i & 1)
            continue;
        static const char *const status[] = {"1", "2", "PAID", "a_long_word_of_sixteen"},
                                 *const direction[] = {"IN", "OUT", "in", "x"},
                                 *const currency[] = {"CNY", "CNY", "CNY", "USD", "XXQ", "JPY"};
        char text[64];
        size_t size = 0;
        struct prng *from = i == ID || i == ORDER ? fixed : prng;
        const unsigned word = prng_below(prng, 40) ? (unsigned)prng_below(prng, t->is_calm ? 1 : 2)
                                                   : (unsigned)prng_below(prng, 4);
        switch (i) {
        case ID:
            if (t->type[i] != TYPE_VARCHAR) {
                t->next_id = prng_below(from, t->is_calm ? 30 : 6) ? t->next_id + 1
                             : prng_below(from, 9)                 ? prng_below(from, 2000000000000u)
                                                                   : prng_next(from);
                body_le(b, t->next_id, t->type[i] == TYPE_LONGLONG ? 8 : t->type[i] == TYPE_LONG ? 4 : 3);
                continue;
            }
            size = (size_t)snprintf(text, sizeof text, "id%llu", (unsigned long long)prng_below(from, 1000));
            break;
        case ORDER: {
            static const char *const odd[] = {
                "", "1.23457E+17", "caf\xe9", "\xe8\xae\xa2\xe5\x8d\x95", "1E+10", "0"};
            if (t->type[i] == TYPE_LONGLONG || t->type[i] == TYPE_LONG || t->type[i] == TYPE_INT24) {
                body_le(b, prng_next(from) >> prng_below(from, 60),
                        t->type[i] == TYPE_LONGLONG ? 8
                        : t->type[i] == TYPE_LONG   ? 4
                                                    : 3);
                continue;
            }
            if (prng_below(from, t->is_calm ? 80 : 40) == 0) {
                const char *value = odd[prng_below(from, 6)];
                size = strlen(value);
                memcpy(text, value, size);
            } else {
                size = 4 + prng_below(from, t->lengths);
                for (size_t k = 0; k < size; k++)
                    text[k] = (char)('0' + prng_below(from, 10));
            }
            break;
        }
        case CURRENCY_COLUMN: {
            const char *value = currency[prng_below(prng, prng_below(prng, 30) ? (t->is_calm ? 3 : 4) : 6)];
            size = prng_below(prng, t->empties) ? strlen(value) : prng_below(prng, 2) ? 2 : 0;
            memcpy(text, value, strlen(value));
            break;
        }
        case AMOUNT:
        case FEE:
            if (t->type[i] == TYPE_NEWDECIMAL)
                put_decimal(b, prng, t->metadata[i] & 0xff, t->metadata[i] >> 8, t->is_calm);
            else
                body_le(b,
                        prng_below(prng, 9)    ? prng_below(prng, 1000000)
                        : prng_below(prng, 10) ? prng_below(prng, 100)
                                               : prng_next(prng),
                        t->type[i] == TYPE_LONGLONG ? 8 : 4);
            continue;
        case STATUS_COLUMN:
        case DIRECTION:
            if (t->type[i] == TYPE_TINY || t->type[i] == TYPE_LONG) {
                body_le(b, 1 + word, t->type[i] == TYPE_TINY ? 1 : 4);
                continue;
            }
            size = strlen(i == DIRECTION ? direction[word] : status[word]);
            memcpy(text, i == DIRECTION ? direction[word] : status[word], size);
            break;
        case TIME:
            put_time(b, t, prng);
            continue;
        default:
            if (t->type[i] == TYPE_TINY || t->type[i] == TYPE_LONGLONG || t->type[i] == TYPE_SHORT) {
                body_le(b, prng_below(prng, 2) ? prng_next(prng) : 0,
                        t->type[i] == TYPE_TINY    ? 1
                        : t->type[i] == TYPE_SHORT ? 2
                                                   : 8);
                continue;
            }
            size = prng_below(prng, t->lengths);
            memset(text, 'x', size);
            break;
        }
        put_text(b, t, i, text, size);
    }
}

static void table_make(struct table *t, struct prng *prng, struct body *types, struct body *metadata)
{
    types->size = metadata->size = 0;
    t->next_id = prng_below(prng, 3) ? prng_below(prng, 3000) : prng_below(prng, 100000000000u);
    t->is_common = prng_below(prng, 3) == 0;
    t->is_calm = t->is_common && prng_below(prng, 4);
    t->lengths = prng_below(prng, 2) ? 1 : prng_below(prng, 2) ? 2 : 40;
    t->empties = prng_below(prng, 3) ? 50 : 4;
    for (int i = 0; i < COLUMNS; i++) {
        unsigned type, extra = 0, size = 0;
#define TAKE(list) TAKE_OF(list, 0, sizeof(list) / sizeof *(list))
#define TAKE_OF(list, first, count)                                                                          \
    do {                                                                                                     \
        const size_t k = (first) + prng_below(prng, (count));                                                \
        type = (list)[k].type;                                                                               \
        extra = (list)[k].metadata;                                                                          \
        size = (list)[k].metadata_size;                                                                      \
    } while (0)
        switch (i) {
        case ID:
            TAKE_OF(ids, 0, t->is_common ? 3 : 5);
            break;
        case ORDER:
            type = TYPE_VARCHAR;
            extra = t->is_common || prng_below(prng, 4) ? 64 : 300;
            size = 2;
            if (!t->is_common && prng_below(prng, 5) == 0)
                TAKE(ids);
            break;
        case CURRENCY_COLUMN:
            type = TYPE_STRING;
            extra = 0xfe | 3 << 8;
            size = 2;
            break;
        case AMOUNT:
        case FEE:
            TAKE_OF(amounts, 0, t->is_calm ? 4 : t->is_common ? 8 : 10);
            break;
        case STATUS_COLUMN:
        case DIRECTION:
            TAKE(words);
            if (t->is_common)
                TAKE_OF(words, prng_below(prng, 2) * 3, 1);
            break;
        case TIME:
            TAKE_OF(times, 0, t->is_common ? 3 : 6);
            break;
        default:
            TAKE_OF(fillers, 0, t->is_common ? 2 : 6);
            break;
        }
        t->type[i] = type;
        t->metadata[i] = extra;
        body_le(types, type, 1);
        /* A CHAR's are the real type and the length. */
        body_le(metadata, extra, size);
    }
}

TEST(a_row_gives_the_same_record_by_its_lane_and_by_its_cells)
{
    static const char *const signs[3][COLUMNS] = {
        {"fa", "id unsigned", "order_no signed", "currency", "fb", "amount signed", "fee signed", "fc",
         "status signed", "direction signed", "time", "fd"},
        {"fa", "id signed", "order_no unsigned", "currency", "fb", "amount signed", "fee unsigned", "fc",
         "status unsigned", "direction unsigned", "time", "fd"},
        {"fa", "id", "order_no", "currency", "fb", "amount", "fee", "fc", "status", "direction", "time",
         "fd"}};
    uint64_t by_lane = 0, alike = 0, odd = 0, records = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct prng prng = {seed * 7919};
        /* With the machine's widest vectors, and without. */
        if (seed == SEEDS / 2)
            csv_scan_choose(CSV_KERNEL_SCALAR);
        static struct table t;
        static struct body types, metadata, rows;
        table_make(&t, &prng, &types, &metadata);
        const int has_fee = !t.is_common && prng_below(&prng, 3) == 0,
                  has_direction = !t.is_common && prng_below(&prng, 3) == 0,
                  has_currency = t.is_common || prng_below(&prng, 4) != 0,
                  has_status = t.is_common || prng_below(&prng, 5) != 0,
                  has_time = t.is_common || prng_below(&prng, 5) != 0, is_minor = prng_below(&prng, 4) == 0;
        /* What the job reads, as log_columns.h has it: of other columns nobody asks for the sign. */
        const char *needed[8] = {"order_no", "amount", "id"};
        int needed_count = 3;
        if (has_currency)
            needed[needed_count++] = "currency";
        if (has_fee)
            needed[needed_count++] = "fee";
        if (has_status)
            needed[needed_count++] = "status";
        if (has_direction)
            needed[needed_count++] = "direction";
        if (has_time)
            needed[needed_count++] = "time";
        static char text[4096];
        snprintf(text, sizeof text,
                 "version: 1\njob: t\nchannel_code: X\ntimezone: %s\ncurrency: CNY\ncut: \"%s\"\nlocal:\n  "
                 "binlog: {files: x, table: shop.t}\n"
                 "  occurrence_id: id\n  fields:\n    biz_order_no: order_no\n    amount: {column: amount, "
                 "unit: %s}\n%s%s%s%s%s"
                 "channel: {files: b.csv, format: csv, fields: {biz_order_no: n, amount: a, status: s}}\n"
                 "match: {keys: [[%sbiz_order_no]]%s}\n",
                 prng_below(&prng, 2) ? "America/New_York" : "Asia/Shanghai",
                 prng_below(&prng, 3)   ? "00:00"
                 : prng_below(&prng, 2) ? "23:10"
                                        : "04:00",
                 is_minor ? "minor" : "major", has_fee ? "    fee: fee\n" : "",
                 has_currency ? "    currency: currency\n" : "",
                 has_status ? "    status: {column: status, map: {1: SUCCESS, 2: CLOSED, PAID: SUCCESS}}\n"
                            : "",
                 has_direction
                     ? "    direction: {column: direction, map: {1: IN, 2: OUT, IN: IN, OUT: OUT, in: IN}}\n"
                     : "",
                 has_time ? "    trade_time: time\n" : "", prng_below(&prng, 2) ? "channel_code, " : "",
                 has_status && prng_below(&prng, 2) ? ", compare: [status]" : "");
        struct diag diag = {0};
        struct job *job = NULL;
        struct norm_shared shared = {0};
        enum err err = job_load_text(&job, "t.yaml", (struct span){text, strlen(text)}, &diag);
        if (err == OK)
            err = norm_shared_open(&shared, job, 5, DAY_NONE, &diag);
        const struct binlog_watch watch = {"shop", "t",
                                           signs[prng_below(&prng, 20) ? prng_below(&prng, 2) : 2], COLUMNS};
        const struct binlog_options options = {
            .watch = &watch, .watch_count = 1, .needed = needed, .needed_count = needed_count};
        struct log log = {0};
        log_begin(&log, "8.0.36");
        const uint64_t begin = log.size;
        log_query(&log, "shop", "BEGIN");
        const uint8_t charsets[][3] = {{2, 1, 8}, {2, 1, 45}, {2, 1, 63}};
        const uint64_t charset = prng_below(&prng, 4);
        /* Few events of many rows, or many of a row or two, which wait for each other where a TABLE_MAP stands before each. */
        const int is_small = prng_below(&prng, 3) == 0;
        const uint64_t turns =
            prng_below(&prng, 3); /* of small ones: rows that came; changes; both in turns */
        for (int event = 0; event < (is_small ? 70 : 3); event++) {
            static const unsigned kinds[] = {EVENT_WRITE_ROWS, EVENT_WRITE_ROWS, EVENT_UPDATE_ROWS,
                                             EVENT_DELETE_ROWS};
            const unsigned kind = !is_small || prng_below(&prng, 20) == 0   ? kinds[prng_below(&prng, 4)]
                                  : turns == 0 || (turns == 2 && event % 2) ? EVENT_WRITE_ROWS
                                                                            : EVENT_UPDATE_ROWS;
            const int row_count = is_small ? 1 + (int)prng_below(&prng, 8) / 6 : ROWS;
            if (event == 0 || (is_small && prng_below(&prng, 20)))
                log_table(&log, 9, "shop", "t", types.bytes, COLUMNS, metadata.bytes, metadata.size,
                          charset < 3 ? charsets[charset] : NULL, charset < 3 ? 3 : 0);
            log.later_s = (uint32_t)event * 20011; /* rows without a time have its bill date */
            rows.size = 0;
            for (int i = 0; i < row_count; i++) {
                struct prng fixed = {prng_next(&prng)}, again = prng_below(&prng, 30) ? fixed : prng;
                const uint64_t id = t.next_id;
                put_image(&rows, &t, &prng, &fixed);
                if (kind != EVENT_UPDATE_ROWS)
                    continue;
                t.next_id = id;
                put_image(&rows, &t, &prng, &again);
            }
            log_rows(&log, kind, 9, COLUMNS, rows.bytes, rows.size);
        }
        log_xid(&log);
        const struct binlog_format format = {.server_version = "8.0.36",
                                             .checksum = 1,
                                             .checksum_size = 4,
                                             .post_header = {[EVENT_TABLE_MAP] = 8,
                                                             [EVENT_WRITE_ROWS] = 10,
                                                             [EVENT_UPDATE_ROWS] = 10,
                                                             [EVENT_DELETE_ROWS] = 10,
                                                             [EVENT_QUERY] = 13}};
        const struct binlog_group group = {
            .begin = begin, .end = log.size, .committed = 1, .touches_watched = 1};
        /* In a block of its own size: nothing may be read behind it. */
        uint8_t *bytes = malloc(log.size - begin);
        memcpy(bytes, log.bytes + begin, log.size - begin);
        const struct binlog_piece piece = {"t", bytes, log.size - begin, begin, &format, &group, 1, 0, 0};
        struct road roads[2] = {{.shards = seed % 3 ? 1 : ROAD_SHARDS}, {.shards = 1}};
        enum err errs[2] = {err, err};
        struct diag diags[2] = {diag, diag};
        for (int i = 0; i < 2 && err == OK; i++) {
            roads[i].batch = mem_take_zero(1, sizeof(struct batch) + ROAD_UNITS * RECORD_UNIT);
            errs[i] = travel(&roads[i], &options, &shared, &piece, i == 0, &diags[i]);
        }
        /* What stops the one (a sign that nobody knows, an impossible date) stops the other, at the same row. */
        EXPECT(err == OK && errs[0] == errs[1] && strcmp(diags[0].what, diags[1].what) == 0);
        EXPECT(roads[1].by_lane == 0 && roads[0].odd == roads[1].odd && roads[0].odd_sum == roads[1].odd_sum);
        EXPECT(err == OK && same_records(&roads[0], &roads[1], normalizer_layout_of(job, LOCAL)));
        EXPECT(err != OK || same_sums(&roads[0].outbox, &roads[1].outbox));
        if (check_test_failed)
            for (const struct diag *told = diags; told < diags + 2; told++)
                diag_print(told, stderr);
        if (check_test_failed) {
            fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
            return;
        }
        by_lane += roads[0].by_lane;
        alike += roads[0].alike;
        odd += roads[0].odd;
        records += roads[0].batch->count;
        for (int i = 0; i < 2; i++) {
            mem_give(roads[i].batch);
            tally_fini(&roads[i].outbox.tally);
        }
        free(bytes);
        log_free(&log);
        norm_shared_close(&shared);
        job_close(job);
    }
    /* All kinds were met. */
    EXPECT(by_lane > records / 4 && alike > records / 50 && odd > SEEDS);
    printf("%llu records, %llu of them by a lane, %llu side by side, %llu odd rows\n",
           (unsigned long long)records, (unsigned long long)by_lane, (unsigned long long)alike,
           (unsigned long long)odd);
}
