/* tests/unit/core/rules/normalize_test.c: cells into records; the hot and the calm path say the same */
#include "core/base/prng.h"
#include "core/model/currency.h"
#include "core/rules/normalize.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

static const char *const header[] = {"order", "number", "amount", "fee",  "currency", "dir",
                                     "state", "time",   "date",   "shop", "note"};
enum { COLUMNS = sizeof header / sizeof *header };

static int find(void *context, const char *name)
{
    (void)context;
    for (int i = 0; i < COLUMNS; i++)
        if (strcmp(header[i], name) == 0)
            return i;
    return -1;
}

static struct map_entry direction_map[] = {{"PAY", "IN"}, {"REFUND", "OUT"}};
static struct map_entry status_map[] = {{"1", "SUCCESS"}, {"2", "FAILED"}, {"ok", "SUCCESS"}};

struct bench {
    struct job job;
    struct norm_shared shared;
    struct normalizer *normalizer;
    struct norm_scratch scratch;
    struct record *record;
    struct arena arena;
};

/* A source as `diff` makes it of a header, whose usual rows take the short roads. */
static int is_plain;

static void make_plain(struct bench *b)
{
    struct source_spec *source = &b->job.sources[LOCAL];
    for (unsigned field = 0; field < FIELD_SLOTS; field++) {
        const char *column = field == FIELD_BILL_DATE ? NULL : source->fields[field].column;
        source->fields[field] = (struct field_rule){.column = column, .optional = field == FIELD_DIRECTION};
    }
    b->job.cut_minutes = 0;
    b->job.match.compare[0] = FIELD_STATUS;
    b->job.match.compare_count = 1;
}

/* A source with every kind of field. `kind` SOURCE_BINLOG: its rows are images. */
static void open_bench(struct bench *b, enum source_kind kind, enum amount_unit unit)
{
    struct diag diag = {0};
    memset(b, 0, sizeof *b);
    struct source_spec *source = &b->job.sources[LOCAL];
    source->kind = kind;
    source->fields[FIELD_BIZ_ORDER_NO].column = "order";
    source->fields[FIELD_CHANNEL_ORDER_NO].column = "number";
    source->fields[FIELD_CHANNEL_ORDER_NO].strip = "`\t ";
    source->fields[FIELD_AMOUNT].column = "amount";
    source->fields[FIELD_AMOUNT].unit = unit;
    source->fields[FIELD_AMOUNT].strip = ",";
    source->fields[FIELD_FEE].column = "fee";
    source->fields[FIELD_CURRENCY].column = "currency";
    source->fields[FIELD_DIRECTION] =
        (struct field_rule){.column = "dir", .map = direction_map, .map_count = 2, .map_other = "IN"};
    source->fields[FIELD_STATUS] = (struct field_rule){.column = "state", .map = status_map, .map_count = 3};
    source->fields[FIELD_TRADE_TIME].column = "time";
    source->fields[FIELD_BILL_DATE].column = "date";
    source->fields[FIELD_MERCHANT_NO].column = "shop";
    source->fields[FIELD_ATTR0].column = "note";
    source->occurrence[0] = "number";
    source->occurrence[1] = "shop";
    source->occurrence_count = 2;
    b->job.channel_code = "CH";
    b->job.attrs[0] = "note";
    b->job.attr_count = 1;
    b->job.cut_minutes = 23 * 60;
    b->job.currency = currency_find("CNY", 3);
    b->job.match = (struct match_rules){.keys = {{{FIELD_CHANNEL_CODE, FIELD_BIZ_ORDER_NO}, 2}},
                                        .key_count = 1,
                                        .compare = {FIELD_FEE, FIELD_STATUS, FIELD_ATTR0},
                                        .compare_count = 3};
    if (is_plain)
        make_plain(b);
    EXPECT(dict_open(&b->shared.words, &diag) == OK &&
           day_zone_open(&b->shared.job_zone, "Asia/Shanghai", &diag) == OK &&
           day_zone_open(&b->shared.zones[LOCAL], is_plain ? "Asia/Shanghai" : "America/New_York", &diag) ==
               OK);
    b->shared.zones[CHANNEL] = b->shared.job_zone;
    b->shared.job = &b->job;
    b->shared.hash_seed = 42;
    EXPECT(normalizer_open(&b->normalizer, &b->shared, LOCAL, "test", NULL, find, NULL, &diag) == OK);
    EXPECT(norm_scratch_init(&b->scratch, &diag) == OK);
    b->record = calloc(1, RECORD_VAR_MAX + 4096);
    arena_init(&b->arena);
}

static void close_bench(struct bench *b)
{
    normalizer_close(b->normalizer);
    norm_scratch_fini(&b->scratch);
    dict_close(b->shared.words);
    day_zone_close(b->shared.job_zone);
    day_zone_close(b->shared.zones[LOCAL]);
    arena_fini(&b->arena);
    free(b->record);
}

static int lean_rows_taken;    /* straight from their cells */
static int lean_rows_from_few; /* from those that they ask for */
static int lean_rows_plain;    /* from a row's bytes and where they are parted */

static void same_leans(const struct lean_list *a, const struct lean_list *b)
{
    const struct lean *x = a->items, *y = b->items;
    EXPECT(a->count == 1 && b->count == 1 && x->amount_micro == y->amount_micro && x->day == y->day &&
           x->currency == y->currency && x->date_disagrees == y->date_disagrees);
    EXPECT(x->order_size == y->order_size && x->cells_size == y->cells_size &&
           memcmp(a->bytes + x->at, b->bytes + y->at, x->order_size + x->cells_size) == 0);
}

/* The cells laid out as a row gives the same lean row, if it gives one. */
static void same_plain_lean(struct bench *b, const struct cell *cells, const struct lean_plan *plan,
                            const struct lean_list *same)
{
    int identity[32], count;
    uint32_t seps[33], size = 0;
    uint8_t bytes[4096 + LEAN_SLACK];
    normalizer_columns(b->normalizer, &count);
    seps[0] = UINT32_MAX; /* the first column begins at 0 */
    for (int i = 0; i < count; i++) {
        if (cells[i].kind != CELL_TEXT || size + cells[i].size >= sizeof bytes - LEAN_SLACK)
            return;
        identity[i] = i;
        if (cells[i].size)
            memcpy(bytes + size, cells[i].data, cells[i].size);
        size += cells[i].size;
        seps[1 + i] = size;
        bytes[size++] = i + 1 < count ? ',' : '\n';
    }
    memset(bytes + size, 0, LEAN_SLACK);
    struct lean_columns columns;
    if (!normalize_lean_columns(b->normalizer, plan, identity, &columns))
        return;
    struct lean_list plain = {0};
    const int taken =
        normalize_lean_plain(b->normalizer, &b->scratch, bytes, seps + 1, size - 1, &columns, &plain);
    EXPECT(taken == (int)same->count && plain.count == same->count);
    if (taken == 1) {
        same_leans(&plain, same);
        lean_rows_plain++;
    }
    lean_list_fini(&plain);
}

/* A lean row is the same whether it is made of the cells or of the whole record; what the first does not take it
 * leaves to the second. */
static void same_lean_row_by(struct bench *b, const struct cell *cells, const struct full *full, int is_whole)
{
    struct match_plan plan;
    match_plan_make(&plan, &b->job, is_whole);
    for (int side = 0; side < SIDES; side++) {
        struct lean_list quick = {0}, calm = {0};
        int taken = normalize_lean(b->normalizer, &b->scratch, cells, 1, &plan.side[side], &quick);
        EXPECT(taken >= 0 && lean_of_full(&plan.side[side], full, &calm) && calm.count == 1);
        EXPECT(quick.count == (uint32_t)taken);
        if (taken == 1) {
            same_leans(&quick, &calm);
            lean_rows_taken++;
        }
        /* The same from the cells that it asks for, when no others are there. */
        int wants[LEAN_CELLS], count;
        const unsigned want_count = normalize_lean_wants(b->normalizer, &plan.side[side], wants);
        normalizer_columns(b->normalizer, &count);
        struct cell few[32];
        memset(few, 0xA5, sizeof few);
        for (unsigned i = 0; i < want_count; i++) {
            EXPECT(wants[i] < count);
            few[wants[i]] = cells[wants[i]];
        }
        struct lean_list least = {0};
        const int enough =
            want_count ? normalize_lean(b->normalizer, &b->scratch, few, 0, &plan.side[side], &least) : 0;
        EXPECT(enough >= 0 && enough <= taken && least.count == (uint32_t)enough);
        if (enough == 1) {
            same_leans(&quick, &least);
            lean_rows_from_few++;
        }
        same_plain_lean(b, cells, &plan.side[side], &least);
        lean_list_fini(&least);
        lean_list_fini(&quick);
        lean_list_fini(&calm);
    }
}

static void same_lean_row(struct bench *b, const struct cell *cells, const struct full *full)
{
    for (int is_whole = 0; is_whole < 2; is_whole++)
        same_lean_row_by(b, cells, full, is_whole);
}

/* Reads a row by all roads; they have to agree. */
static enum reject_code read_row(struct bench *b, const struct cell row[COLUMNS], struct full *full)
{
    int count, hot_bad, full_bad, no_memory;
    const int *columns = normalizer_columns(b->normalizer, &count);
    struct cell cells[32];
    for (int i = 0; i < count; i++)
        cells[i] = row[columns[i]];
    enum reject_code hot = normalize_hot(b->normalizer, &b->scratch, cells, b->record, &hot_bad);
    struct cell again[32];
    memcpy(again, cells, sizeof cells);
    enum reject_code calm =
        normalize_full(b->normalizer, &b->scratch, again, &b->arena, full, &full_bad, &no_memory);
    EXPECT(!no_memory);
    EXPECT(hot == calm && (hot == REJECT_NONE || hot_bad == full_bad));
    if (hot == REJECT_NONE && calm == REJECT_NONE) {
        const struct record *r = b->record;
        EXPECT(r->amount_micro == full->amount_micro && r->day == full->day &&
               r->currency == full->currency && !(r->flags & RECORD_OUT) == !full->out);
        struct record_layout layout = normalizer_layout(b->normalizer);
        struct span order = full->text[FIELD_BIZ_ORDER_NO];
        /* An image without a key stands under its occurrence id. */
        EXPECT((r->flags & RECORD_NO_KEY && layout.has_fold) ||
               (r->key_size == order.size &&
                memcmp(record_key(r, layout.has_fold), order.data, order.size) == 0));
        EXPECT(!(r->flags & RECORD_NO_KEY) == (order.size != 0));
        if (layout.has_fold && !(r->flags & RECORD_NO_KEY)) {
            const uint8_t *id = record_extras(r, 1);
            id += 2 + record_u16(id);
            EXPECT(record_u16(id) == full->occurrence.size &&
                   memcmp(id + 2, full->occurrence.data, full->occurrence.size) == 0);
        }
        same_lean_row(b, cells, full);
    }
    return hot;
}

static struct cell text_cell(const char *text)
{
    return (struct cell){.data = text, .size = (uint32_t)strlen(text), .kind = CELL_TEXT};
}

static void good_row(struct cell row[COLUMNS])
{
    static const char *const texts[COLUMNS] = {
        "ORDER1", "`2026\t", "1,234.50", "0.60", "USD", "PAY", "1", "2026-11-19 08:00:00", "", "M1", "hello"};
    for (int i = 0; i < COLUMNS; i++)
        row[i] = text_cell(texts[i]);
}

TEST(a_row_becomes_a_record)
{
    struct bench b;
    struct full f;
    struct cell row[COLUMNS];
    open_bench(&b, SOURCE_FILES, UNIT_MAJOR);
    good_row(row);
    EXPECT(read_row(&b, row, &f) == REJECT_NONE);
    EXPECT(f.amount_micro == 1234500000 && f.fee_micro == 600000 && f.has_fee && !f.out);
    EXPECT(span_is(f.text[FIELD_CHANNEL_ORDER_NO], "2026") && span_is(f.text[FIELD_AMOUNT], "1234.50") &&
           span_is(f.text[FIELD_STATUS], "SUCCESS"));
    EXPECT(span_is(f.text[FIELD_CHANNEL_CODE], "CH") && span_is(f.text[FIELD_DIRECTION], "IN") &&
           span_is(f.text[FIELD_CURRENCY], "USD"));
    /* 08:00 in New York is 21:00 in Shanghai: the same day, before its cut at 23:00. */
    EXPECT(span_is(f.text[FIELD_TRADE_TIME], "2026-11-19T21:00:00+08:00") &&
           span_is(f.text[FIELD_BILL_DATE], "2026-11-19"));
    row[7] = text_cell("2026-11-19 10:00:00"); /* 23:00 there */
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && span_is(f.text[FIELD_BILL_DATE], "2026-11-20") &&
           f.reasons == 0);
    row[8] = text_cell("2026-11-19");
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && span_is(f.text[FIELD_BILL_DATE], "2026-11-19") &&
           f.reasons == REASON_BIT(REASON_DATE_DISAGREES));
    EXPECT(span_is(f.text[FIELD_ATTR0], "hello") && f.monetary);
    close_bench(&b);
}

TEST(direction_and_sign_multiply)
{
    static const struct {
        const char *amount, *dir, *want;
        int out;
    } table[] = {{"5", "PAY", "5.00", 0},   {"5", "REFUND", "-5.00", 1}, {"-5", "REFUND", "5.00", 0},
                 {"-5", "PAY", "-5.00", 1}, {"0", "REFUND", "0.00", 1},  {"-0", "PAY", "0.00", 0}};
    struct bench b;
    struct full f;
    struct cell row[COLUMNS];
    open_bench(&b, SOURCE_FILES, UNIT_MAJOR);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        good_row(row);
        row[2] = text_cell(table[i].amount);
        row[5] = text_cell(table[i].dir);
        EXPECT(read_row(&b, row, &f) == REJECT_NONE && f.out == table[i].out &&
               span_is(f.text[FIELD_AMOUNT], table[i].want));
    }
    close_bench(&b);
}

TEST(what_is_rejected_and_which_cell_is_to_blame)
{
    static const struct {
        int column;
        const char *text;
        enum reject_code code;
    } table[] = {{2, "", REJECT_AMOUNT},
                 {2, "12.3.4", REJECT_AMOUNT},
                 {2, "1e5", REJECT_AMOUNT},
                 {2, ",", REJECT_AMOUNT},
                 {3, "x", REJECT_FEE},
                 {4, "US", REJECT_CURRENCY},
                 {4, "usdt", REJECT_CURRENCY},
                 {6, "9", REJECT_STATUS},
                 {6, "", REJECT_STATUS},
                 {7, "24:00", REJECT_TIME},
                 {7, "2026-02-30 00:00:00", REJECT_TIME},
                 {7, "0001-01-01 00:00:00", REJECT_TIME},
                 {7, "9999-12-31 00:00:00", REJECT_TIME},
                 {8, "2023-02-29", REJECT_DATE},
                 {8, "x", REJECT_DATE}};
    struct bench b;
    struct full f;
    struct cell row[COLUMNS];
    open_bench(&b, SOURCE_FILES, UNIT_MAJOR);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        good_row(row);
        row[table[i].column] = text_cell(table[i].text);
        enum reject_code code = read_row(&b, row, &f);
        if (code != table[i].code)
            fprintf(stderr, "%s = \"%s\": %s, want %s\n", header[table[i].column], table[i].text,
                    reject_name(code), reject_name(table[i].code));
        EXPECT(code == table[i].code);
    }
    close_bench(&b);
}

TEST(empty_is_absent_and_another_direction_is_the_map_s_other)
{
    struct bench b;
    struct full f;
    struct cell row[COLUMNS];
    open_bench(&b, SOURCE_FILES, UNIT_MAJOR);
    good_row(row);
    row[3] = row[7] = row[8] = row[4] = row[0] = text_cell("");
    row[5] = text_cell("whatever");
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && !f.has_fee && f.text[FIELD_FEE].size == 0 &&
           f.day == DAY_NONE && f.text[FIELD_TRADE_TIME].size == 0 && span_is(f.text[FIELD_CURRENCY], "CNY"));
    EXPECT(b.record->flags & RECORD_NO_KEY);
    EXPECT(normalize_key(&b.job, 0, &b.arena, &f) && f.key.data == NULL);
    close_bench(&b);
}

TEST(minor_units_and_cells_of_a_log)
{
    struct bench b;
    struct full f;
    struct cell row[COLUMNS];
    open_bench(&b, SOURCE_BINLOG, UNIT_MINOR);
    good_row(row);
    row[2] = (struct cell){.i64 = -12345, .kind = CELL_INT};
    row[3] = (struct cell){.kind = CELL_NULL};
    row[4] = text_cell("JPY");
    row[6] = (struct cell){.u64 = 1, .kind = CELL_UINT};
    row[7] = (struct cell){.i64 = 1763535600000000, .kind = CELL_EPOCH}; /* 2025-11-19 15:00 in Shanghai */
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && f.amount_micro == -12345000000 && f.out && !f.has_fee);
    EXPECT(span_is(f.text[FIELD_STATUS], "SUCCESS") &&
           span_is(f.text[FIELD_TRADE_TIME], "2025-11-19T15:00:00+08:00"));
    row[7] = (struct cell){.i64 = 1763535600000000, .kind = CELL_WALL}; /* the same clock in New York */
    EXPECT(read_row(&b, row, &f) == REJECT_NONE &&
           span_is(f.text[FIELD_TRADE_TIME], "2025-11-19T15:00:00+08:00") == 0);
    row[0] = (struct cell){.u64 = UINT64_MAX, .kind = CELL_UINT};
    EXPECT(read_row(&b, row, &f) == REJECT_NONE &&
           span_is(f.text[FIELD_BIZ_ORDER_NO], "18446744073709551615"));
    row[0] = (struct cell){.i64 = INT64_MIN, .kind = CELL_INT};
    EXPECT(read_row(&b, row, &f) == REJECT_NONE &&
           span_is(f.text[FIELD_BIZ_ORDER_NO], "-9223372036854775808"));
    row[7] = text_cell("0000-00-00 00:00:00");
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && f.text[FIELD_TRADE_TIME].size == 0);
    /* A time that is compared as text is no empty text, which would agree with any other. */
    row[10] = (struct cell){.i64 = 1763535600000000, .kind = CELL_WALL};
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && span_is(f.text[FIELD_ATTR0], "2025-11-19 07:00:00"));
    row[10] = (struct cell){.i64 = -1500000, .kind = CELL_WALL};
    EXPECT(read_row(&b, row, &f) == REJECT_NONE &&
           span_is(f.text[FIELD_ATTR0], "1969-12-31 23:59:58.500000"));
    row[10] = (struct cell){.i64 = 1763535600000000, .kind = CELL_EPOCH};
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && span_is(f.text[FIELD_ATTR0], "2025-11-19 07:00:00Z"));
    close_bench(&b);
}

TEST(an_occurrence_id_of_two_parts_cannot_be_confused)
{
    struct bench b;
    struct full f;
    struct cell row[COLUMNS];
    open_bench(&b, SOURCE_BINLOG, UNIT_MAJOR);
    good_row(row);
    row[1] = text_cell("a|b");
    row[9] = text_cell("c\\");
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && span_is(f.occurrence, "a\\|b|c\\\\"));
    row[1] = row[9] = text_cell("");
    EXPECT(read_row(&b, row, &f) == REJECT_NONE && f.occurrence.size == 0);
    close_bench(&b);
}

/* The row was a record when it was read first, and refused as another one when it was fetched again. */
TEST(an_occurrence_id_may_be_long)
{
    for (int parts = 1; parts <= 2; parts++) {
        struct bench b;
        struct full f;
        struct cell row[COLUMNS];
        open_bench(&b, SOURCE_FILES, UNIT_MAJOR);
        good_row(row);
        enum { SIZE = 100000 };
        char *text = malloc(SIZE);
        memset(text, '|', SIZE);
        row[1] = (struct cell){.data = text, .size = SIZE, .kind = CELL_TEXT};
        row[9] = parts == 2 ? (struct cell){.data = text, .size = SIZE, .kind = CELL_TEXT} : text_cell("c");
        EXPECT(read_row(&b, row, &f) == REJECT_NONE &&
               f.occurrence.size == 2 * SIZE + 1 + (parts == 2 ? 2 * SIZE : 1));
        EXPECT(f.occurrence.data[0] == '\\' && f.occurrence.data[1] == '|' &&
               f.occurrence.data[2 * SIZE] == '|');
        free(text);
        close_bench(&b);
    }
}

TEST(a_key_over_the_limit_is_a_reject)
{
    struct bench b;
    struct cell row[COLUMNS];
    open_bench(&b, SOURCE_FILES, UNIT_MAJOR);
    good_row(row);
    char *text = malloc(RECORD_VAR_MAX + 1);
    memset(text, 'k', RECORD_VAR_MAX + 1);
    int count, bad;
    const int *columns = normalizer_columns(b.normalizer, &count);
    for (uint32_t size = RECORD_VAR_MAX - 40; size <= RECORD_VAR_MAX + 1; size++) {
        row[0] = (struct cell){.data = text, .size = size, .kind = CELL_TEXT};
        struct cell cells[32];
        for (int i = 0; i < count; i++)
            cells[i] = row[columns[i]];
        enum reject_code code = normalize_hot(b.normalizer, &b.scratch, cells, b.record, &bad);
        /* What is behind the key: two bytes and three compared fields with two bytes each. */
        uint32_t behind = 2 + (2 + 8) + (2 + 5);
        EXPECT(code == (size + behind <= RECORD_VAR_MAX ? REJECT_NONE : REJECT_TOO_LONG));
        if (code == REJECT_NONE)
            EXPECT(record_var_size(b.record, normalizer_layout(b.normalizer)) == size + behind);
    }
    free(text);
    close_bench(&b);
}

TEST(random_rows_read_the_same_by_both_roads)
{
    static const char *const amounts[] = {"1",
                                          "0",
                                          "-0",
                                          "1.10",
                                          "1,000.5",
                                          "",
                                          "x",
                                          "-2.5",
                                          "9223372036854.775807",
                                          "9223372036854.775808",
                                          "1e3",
                                          "0.0000001",
                                          "12345678901.12",
                                          "+7"};
    static const char *const times[] = {"2026-11-19 08:00:00",
                                        "2026-11-19 08:00:01.5",
                                        "2026-11-19T08:00:00Z",
                                        "2026-11-20 23:59:59",
                                        "2026-11-19 24:00:00",
                                        "2026-03-08 02:30:00",
                                        "2026-11-01 01:30:00",
                                        "",
                                        "20261119080000",
                                        "2026-11-19",
                                        "2026-11-19 08:00",
                                        "2026-11-19 08:00:60",
                                        "2026-11-19 0a:00:00",
                                        "2026-11-19 08:00:00.",
                                        "2026-11-19 08:00:00.1234567",
                                        "2026-11-1908:00:00x",
                                        "1800-01-01 00:00:00",
                                        "2026-11-19 08:00:00+05:30",
                                        "2026-11-19 08:00:0/",
                                        "2026-11-19 08;00:00",
                                        "2026-11-19 :8:00:00",
                                        "2026/11/19 08:00:00",
                                        "2026-11-19T08:00:00.000001",
                                        "2026-11-19 2\xb3:00:00"};
    static const char *const currencies[] = {"USD", "usd", "JPY", "", "QQQ", "KWD", "U D"};
    static const char *const dirs[] = {"PAY", "REFUND", "", "IN", "OUT", "?"};
    static const char *const states[] = {"1", "2", "ok", "", "3"};
    static const char *const dates[] = {"", "2026-11-19", "20261120", "2026-13-01", "2026-11-19 08:00:00"};
    static const char *const words[] = {
        "", "A", "B2", "longer than the twenty-nine bytes that fit inline", "x|y\\z", "`1001\t"};
#define PICK(list) text_cell(list[prng_below(&prng, sizeof list / sizeof *list)])
    int codes[REJECTS] = {0};
    for (int kind = 0; kind < 3; kind++) {
        struct bench b;
        struct full f;
        struct prng prng = {77 + (uint64_t)kind};
        is_plain = kind == 2;
        lean_rows_taken = lean_rows_from_few = lean_rows_plain = 0;
        open_bench(&b, kind == 1 ? SOURCE_BINLOG : SOURCE_FILES, kind == 1 ? UNIT_MINOR : UNIT_MAJOR);
        for (int i = 0; i < 60000; i++) {
            struct cell row[COLUMNS];
            good_row(row);
            if (is_plain) {
                row[2] = text_cell(prng_below(&prng, 2) ? "1234.50" : "-0.07");
                row[5] = text_cell(prng_below(&prng, 2) ? "IN" : "OUT");
            }
            for (int k = 0; k < 3; k++)
                switch (prng_below(&prng, 9)) {
                case 0:
                    row[2] = prng_below(&prng, 3)
                                 ? PICK(amounts)
                                 : (struct cell){.i64 = (int64_t)prng_next(&prng) >> prng_below(&prng, 60),
                                                 .kind = CELL_INT};
                    break;
                case 1:
                    row[3] = PICK(amounts);
                    break;
                case 2:
                    row[4] = PICK(currencies);
                    break;
                case 3:
                    row[5] = PICK(dirs);
                    break;
                case 4:
                    row[6] = prng_below(&prng, 2)
                                 ? PICK(states)
                                 : (struct cell){.u64 = prng_below(&prng, 4), .kind = CELL_UINT};
                    break;
                case 5:
                    row[7] =
                        prng_below(&prng, 3)
                            ? PICK(times)
                            : (struct cell){.i64 = (int64_t)prng_next(&prng) >> (8 + prng_below(&prng, 40)),
                                            .kind = prng_below(&prng, 2) ? CELL_EPOCH : CELL_WALL};
                    break;
                case 6:
                    row[8] = prng_below(&prng, 4) ? PICK(dates) : (struct cell){.kind = CELL_NULL};
                    break;
                default:
                    row[prng_below(&prng, 2) ? 0 : prng_below(&prng, 2) ? 1 : 9] = PICK(words);
                    break;
                }
            for (int k = 0; is_plain && k < COLUMNS; k++) /* a text holds texts */
                if (row[k].kind != CELL_TEXT)
                    row[k] = text_cell("7");
            codes[read_row(&b, row, &f)]++;
            arena_reset(&b.arena);
            if (check_test_failed) {
                fprintf(stderr, "seed %d, row %d\n", 77 + kind, i);
                break;
            }
        }
        EXPECT(kind == 1 ? lean_rows_taken == 0 : lean_rows_taken > 10000); /* images have none */
        EXPECT(kind != 2 || (lean_rows_from_few > 10000 && lean_rows_plain > 10000));
        close_bench(&b);
    }
    is_plain = 0;
    for (int code = REJECT_AMOUNT; code <= REJECT_TIME; code++)
        EXPECT(code == REJECT_DIRECTION || codes[code] > 0);
    EXPECT(codes[REJECT_NONE] > 10000);
}

/* A log's table as most jobs read it. */
static void open_usual_images(struct bench *b, uint64_t seed)
{
    struct diag diag = {0};
    memset(b, 0, sizeof *b);
    struct source_spec *source = &b->job.sources[LOCAL];
    source->kind = SOURCE_BINLOG;
    source->fields[FIELD_BIZ_ORDER_NO].column = "order";
    source->fields[FIELD_AMOUNT] =
        (struct field_rule){.column = "amount", .unit = (enum amount_unit)(seed % 3), .sign = SIGN_SIGNED};
    source->fields[FIELD_FEE] =
        (struct field_rule){.column = seed & 1 ? "fee" : NULL, .unit = (enum amount_unit)(seed / 2 % 3)};
    source->fields[FIELD_CURRENCY].column = seed & 2 ? "currency" : NULL;
    source->fields[FIELD_DIRECTION] = (struct field_rule){.column = seed & 4 ? "dir" : NULL,
                                                          .map = direction_map,
                                                          .map_count = 2,
                                                          .map_other = seed & 8 ? "IN" : NULL};
    source->fields[FIELD_STATUS] = (struct field_rule){.column = "state", .map = status_map, .map_count = 3};
    source->fields[FIELD_TRADE_TIME].column = seed & 16 ? "time" : NULL;
    source->occurrence[0] = "number";
    source->occurrence_count = 1;
    b->job.channel_code = "CH";
    b->job.cut_minutes = seed & 32 ? 23 * 60 : seed & 64 ? 4 * 60 : 0;
    b->job.currency = seed & 2 ? CURRENCY_NONE : currency_find("CNY", 3);
    b->job.match = (struct match_rules){.keys = {{{FIELD_CHANNEL_CODE, FIELD_BIZ_ORDER_NO}, 2}},
                                        .key_count = 1,
                                        .compare = {FIELD_STATUS},
                                        .compare_count = 1};
    EXPECT(dict_open(&b->shared.words, &diag) == OK &&
           day_zone_open(&b->shared.job_zone, "Asia/Shanghai", &diag) == OK &&
           day_zone_open(&b->shared.zones[LOCAL], seed & 128 ? "America/New_York" : "Asia/Shanghai", &diag) ==
               OK);
    b->shared.zones[CHANNEL] = b->shared.job_zone;
    b->shared.job = &b->job;
    b->shared.hash_seed = 42;
    b->shared.cut_by_date[LOCAL] = seed % 5 == 0;
    b->shared.unit_day = day_parse("2026-11-19", 10);
    EXPECT(normalizer_open(&b->normalizer, &b->shared, LOCAL, "test", NULL, find, NULL, &diag) == OK);
    EXPECT(norm_scratch_init(&b->scratch, &diag) == OK);
    b->record = calloc(1, RECORD_VAR_MAX + 4096);
    arena_init(&b->arena);
}

/* A cell of a log: a number of some kind, or one of `words`. */
static struct cell random_cell(struct prng *prng, const char *const *words, uint64_t count)
{
    switch (prng_below(prng, 8)) {
    case 0:
        return (struct cell){.i64 = (int64_t)prng_next(prng) >> prng_below(prng, 64), .kind = CELL_INT};
    case 1:
        return (struct cell){.u64 = prng_next(prng) >> prng_below(prng, 64), .kind = CELL_UINT};
    case 2:
        return (struct cell){.kind = CELL_NULL};
    case 3:
        return (struct cell){.i64 = ((int64_t)prng_next(prng) >> prng_below(prng, 64)) % 1000000000000000000,
                             .size = (uint32_t)prng_below(prng, 10),
                             .kind = CELL_DECIMAL};
    case 4:
        return (struct cell){.i64 = (int64_t)prng_next(prng) >> prng_below(prng, 64),
                             .kind = prng_below(prng, 2) ? CELL_EPOCH : CELL_WALL};
    default:
        return text_cell(words[prng_below(prng, count)]);
    }
}

TEST(usual_images_give_the_same_record_by_both_roads)
{
    static const char *const words[] = {"1",
                                        "2",
                                        "ok",
                                        "PAY",
                                        "REFUND",
                                        "CNY",
                                        "USD",
                                        "JPY",
                                        "QQQ",
                                        "A1001",
                                        "7.5",
                                        "-0.1",
                                        "1.5E+17",
                                        "",
                                        "2026-11-19 08:00:00",
                                        "a longer word than fits in sixteen bytes"};
    enum { WORDS = sizeof words / sizeof *words };
    struct record *quick = calloc(1, RECORD_VAR_MAX + 4096);
    int taken = 0;
    for (uint64_t seed = 0; seed < 256; seed++) {
        struct bench b;
        struct prng prng = {seed};
        open_usual_images(&b, seed);
        int count, bad;
        const int *columns = normalizer_columns(b.normalizer, &count);
        for (int i = 0; i < 400; i++) {
            struct cell row[COLUMNS], other[COLUMNS], cells[32], other_cells[32];
            for (int c = 0; c < COLUMNS; c++)
                row[c] = random_cell(&prng, words, WORDS);
            if (prng_below(&prng, 4)) { /* mostly what it should be */
                row[2] = (struct cell){.i64 = (int64_t)prng_below(&prng, 2000000) - 1000000,
                                       .size = (uint32_t)(seed % 3 ? 0 : prng_below(&prng, 8)),
                                       .kind = CELL_DECIMAL};
                row[3] = prng_below(&prng, 2) ? row[2] : (struct cell){.kind = CELL_NULL};
                row[4] = text_cell(words[5 + prng_below(&prng, 3)]);
                row[5] = text_cell(words[3 + prng_below(&prng, 2)]);
                row[6] = text_cell(words[prng_below(&prng, 3)]);
                row[7] = (struct cell){.i64 = 1795000000000000 + (int64_t)prng_below(&prng, 864000000000),
                                       .kind = prng_below(&prng, 2) ? CELL_EPOCH : CELL_WALL};
            }
            memcpy(other, row, sizeof other);
            if (prng_below(&prng, 2))
                other[prng_below(&prng, COLUMNS)] = random_cell(&prng, words, WORDS);
            for (int c = 0; c < count; c++) {
                cells[c] = row[columns[c]];
                other_cells[c] = other[columns[c]];
            }
            struct image_row image;
            int usual = normalize_image(b.normalizer, &b.scratch, row, &image);
            enum reject_code code = normalize_hot(b.normalizer, &b.scratch, cells, b.record, &bad);
            if (usual) {
                static const uint32_t fold[3];
                struct record_layout layout = normalizer_layout(b.normalizer);
                taken++;
                EXPECT(code == REJECT_NONE);
                image_row_put(&image, fold, quick);
                memset(b.record->var, 0, RECORD_FOLD_BYTES);
                quick->place = b.record->place = 0;
                uint32_t size = record_var_size(b.record, layout);
                EXPECT(record_var_size(quick, layout) == size &&
                       image_row_units(&image) == record_units(size) &&
                       memcmp(quick, b.record, sizeof *quick - RECORD_INLINE + size) == 0);
            }
            if (normalize_image_stays(b.normalizer, row, other)) {
                enum reject_code one = normalize_identity(b.normalizer, &b.scratch, cells, quick),
                                 two = normalize_identity(b.normalizer, &b.scratch, other_cells, b.record);
                EXPECT(one == two && normalize_same_identity(b.normalizer, quick, b.record));
            }
            if (check_test_failed) {
                fprintf(stderr, "seed %d, row %d\n", (int)seed, i);
                seed = 256;
                break;
            }
        }
        close_bench(&b);
    }
    free(quick);
    EXPECT(taken > 20000);
}
