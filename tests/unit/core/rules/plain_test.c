/* tests/unit/core/rules/plain_test.c: the short road over separators takes what is usual, and then says what
 * normalize_hot says */
#include "core/base/prng.h"
#include "core/rules/plain_wide.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

static const char *const header[] = {"channel", "order", "time", "dir", "currency", "amount", "fee", "state"};
enum { COLUMNS = sizeof header / sizeof *header, FRONT = 64, ROOM = 4096, CHANNEL_AT = 0, ORDER_AT, TIME_AT };

/* A bit for each column that there is not. */
static unsigned lacking;

static int find(void *context, const char *name)
{
    (void)context;
    for (int i = 0; i < COLUMNS; i++)
        if (strcmp(header[i], name) == 0 && !(lacking >> i & 1))
            return i;
    return -1;
}

struct bench {
    struct job job;
    struct norm_shared shared;
    struct normalizer *normalizer;
    struct norm_scratch scratch;
    struct record *record;
};

/* Whether ids are kept, of the order's column. */
static int keeps_ids;

static void open_bench(struct bench *b)
{
    static const unsigned fields[COLUMNS] = {FIELD_CHANNEL_CODE, FIELD_BIZ_ORDER_NO, FIELD_TRADE_TIME,
                                             FIELD_DIRECTION,    FIELD_CURRENCY,     FIELD_AMOUNT,
                                             FIELD_FEE,          FIELD_STATUS};
    struct diag diag = {0};
    memset(b, 0, sizeof *b);
    for (int i = 0; i < COLUMNS; i++)
        b->job.sources[CHANNEL].fields[fields[i]] =
            (struct field_rule){.column = lacking >> i & 1 ? NULL : header[i], .optional = i != 5};
    if (keeps_ids)
        b->job.sources[CHANNEL].fields[FIELD_CHANNEL_ORDER_NO] = (struct field_rule){.column = "order"};
    b->shared.keeps_ids = keeps_ids;
    b->job.channel_code = "CH";
    b->job.currency = currency_find("CNY", 3);
    b->job.match = (struct match_rules){.keys = {{{FIELD_CHANNEL_CODE, FIELD_BIZ_ORDER_NO}, 2}},
                                        .key_count = 1,
                                        .compare = {FIELD_STATUS},
                                        .compare_count = 1};
    EXPECT(dict_open(&b->shared.words, &diag) == OK &&
           day_zone_open(&b->shared.job_zone, "Asia/Shanghai", &diag) == OK);
    b->shared.zones[LOCAL] = b->shared.zones[CHANNEL] = b->shared.job_zone;
    b->shared.bases = order_bases_open();
    b->shared.job = &b->job;
    b->shared.hash_seed = 7;
    b->shared.unit_day = 20000;
    EXPECT(normalizer_open(&b->normalizer, &b->shared, CHANNEL, "test", NULL, find, NULL, &diag) == OK);
    EXPECT(norm_scratch_init(&b->scratch, &diag) == OK);
    b->record = calloc(1, RECORD_VAR_MAX + 4096);
}

static void close_bench(struct bench *b)
{
    normalizer_close(b->normalizer);
    norm_scratch_fini(&b->scratch);
    order_bases_close(b->shared.bases);
    dict_close(b->shared.words);
    day_zone_close(b->shared.job_zone);
    free(b->record);
}

static uint8_t room[ROOM];
static uint32_t ends[COLUMNS + 1];

static void lay_row(const char *const cells[COLUMNS], uint32_t from)
{
    memset(room, '5', sizeof room); /* what stands around a cell must not be taken for it */
    ends[0] = from - 1;
    for (int i = 0; i < COLUMNS; i++) {
        size_t size = strlen(cells[i]);
        memcpy(room + from, cells[i], size);
        from += (uint32_t)size;
        ends[i + 1] = from;
        room[from++] = i + 1 < COLUMNS ? ',' : '\n';
    }
}

#if HAS_WIDE
/* What plain_block made of rows is what plain_block_wide makes of them, whatever words it knows by then. */
static void same_wide(const struct plain_plan *plan, const struct norm_scratch *before, const uint8_t *bytes,
                      const uint32_t *seps, int has_cr, const struct plain_packs packs, uint32_t count,
                      uint32_t taken, const struct plain_block *block)
{
    static struct norm_scratch s; /* of its own, but for what the other road learned */
    const struct plain_words status = s.status_words, channel = s.channel_words;
    const uint64_t owner = s.words_owner;
    struct plain_block wide;
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("bmi2"))
        return;
    s = *before;
    s.status_words = status;
    s.channel_words = channel;
    s.words_owner = owner;
    memset(&wide, 0x5A, sizeof wide);
    EXPECT(plain_block_wide(plan, &s, bytes, seps, COLUMNS, has_cr, packs, count, &wide) == taken);
    for (uint32_t i = 0; i < taken; i++) {
        EXPECT(wide.amount_micro[i] == block->amount_micro[i] && wide.hash[i] == block->hash[i]);
        EXPECT(wide.day[i] == block->day[i] && wide.status[i] == block->status[i] &&
               wide.channel[i] == block->channel[i] && wide.currency[i] == block->currency[i] &&
               wide.is_out[i] == block->is_out[i]);
        if (packs.packs)
            EXPECT(wide.packed[i].word[0] == block->packed[i].word[0] &&
                   (!wide.packed[i].word[0] || wide.packed[i].word[1] == block->packed[i].word[1]));
    }
}
#endif

/* plain_block, by every road that this machine has. */
static uint32_t take(struct bench *b, const uint8_t *bytes, const uint32_t *seps, int has_cr,
                     const struct plain_packs packs, uint32_t count, struct plain_block *block)
{
    const struct plain_plan *plan = normalizer_plain(b->normalizer);
#if HAS_WIDE
    const struct norm_scratch before = b->scratch;
#endif
    const uint32_t taken = has_cr
                               ? plain_block(plan, &b->scratch, bytes, seps, COLUMNS, 1, packs, count, block)
                               : plain_block(plan, &b->scratch, bytes, seps, COLUMNS, 0, packs, count, block);
#if HAS_WIDE
    same_wide(plan, &before, bytes, seps, has_cr, packs, count, taken, block);
#endif
    return taken;
}

/* Where keys are packed, the row's is what its bytes say, and so is its hash. */
static void same_packed(struct bench *b, const struct record *record)
{
    struct plain_block block = {0};
    const struct packed_key want = packed_key_anywhere(record->var, record->key_size, record->channel);
    EXPECT(take(b, room, ends + 1, 1, (struct plain_packs){1, 9}, 1, &block) == 1);
    EXPECT(block.packed[0].word[0] == want.word[0] && block.packed[0].word[1] == want.word[1]);
    EXPECT(block.hash[0] == (want.word[0] ? packed_hash(want.word, 9) : record_hash(record)));
}

/* Where the row stands in its order is what the whole row says. */
static void same_order(struct bench *b, const struct cell *cells)
{
    const struct plain_plan *plan = normalizer_plain(b->normalizer);
    struct arena arena;
    struct full full;
    int bad, no_memory;
    arena_init(&arena);
    EXPECT(normalize_full(b->normalizer, &b->scratch, cells, &arena, &full, &bad, &no_memory) == REJECT_NONE);
    const uint64_t order = plain_order(plan, room, ends + 1, COLUMNS);
    EXPECT(order && order == full_order(b->shared.bases, &b->job, &full));
    arena_fini(&arena);
}

/* Reads the row by both roads. 1: the short one took it. */
static int same_row(struct bench *b)
{
    int count, bad;
    const int *columns = normalizer_columns(b->normalizer, &count);
    struct cell cells[32];
    struct plain_block block = {0};
    const struct plain_plan *plan = normalizer_plain(b->normalizer);
    EXPECT(plan != NULL);
    if (!plan)
        return 0;
    const int taken = take(b, room, ends + 1, 1, (struct plain_packs){0, 0}, 1, &block) == 1;
    for (int i = 0; i < count; i++) {
        const struct span text = plain_cell_of(room, ends + 1, columns[i], COLUMNS);
        cells[i] = (struct cell){.data = text.data, .size = (uint32_t)text.size, .kind = CELL_TEXT};
    }
    const enum reject_code code = normalize_hot(b->normalizer, &b->scratch, cells, b->record, &bad);
    if (!taken)
        return 0;
    same_order(b, cells);
    struct record *const wide = calloc(1, sizeof *wide + PLAIN_KEY_MAX);
    plain_put(&block, 0, plain_cell_of(room, ends + 1, plan->key, COLUMNS), RECORD_CHANNEL, wide);
    EXPECT(code == REJECT_NONE);
    EXPECT(record_hash(wide) == record_hash(b->record) && wide->amount_micro == b->record->amount_micro);
    EXPECT(wide->day == b->record->day && wide->status == b->record->status &&
           wide->channel == b->record->channel && wide->flags == b->record->flags &&
           wide->currency == b->record->currency);
    EXPECT(wide->key_size == b->record->key_size && memcmp(wide->var, b->record->var, wide->key_size) == 0);
    same_packed(b, wide);
    free(wide);
    return 1;
}

static const char *const usual[COLUMNS] = {
    "WECHAT", "202611198567179099891206", "2026-11-19 00:00:30.164", "IN", "CNY", "1292.30", "7.75",
    "SUCCESS"};

static int read_cells(struct bench *b, const char *const cells[COLUMNS])
{
    lay_row(cells, FRONT);
    return same_row(b);
}

/* The row `usual` with one other cell; after a usual one, which is remembered. */
static int with(struct bench *b, int column, const char *text)
{
    const char *cells[COLUMNS];
    memcpy(cells, usual, sizeof cells);
    cells[column] = text;
    read_cells(b, usual);
    return read_cells(b, cells);
}

TEST(usual_rows_take_the_short_road)
{
#if defined(__SSE4_1__)
    struct bench b;
    for (lacking = 0; lacking < 1u << COLUMNS; lacking++) {
        if (lacking & (1u << ORDER_AT | 1u << 5))
            continue;
        open_bench(&b);
        read_cells(&b, usual);
        EXPECT(read_cells(&b, usual));
        close_bench(&b);
    }
    lacking = 0;
    open_bench(&b);
    EXPECT(with(&b, TIME_AT, "2026-11-19 23:59:59") && with(&b, TIME_AT, "2026-11-19 00:00:00.123456"));
    EXPECT(with(&b, 3, "OUT") && with(&b, 5, "0") && with(&b, 5, "-1.5") && with(&b, 5, "-0"));
    EXPECT(with(&b, 5, "999999999999.123") && with(&b, 5, "0.000001") && with(&b, 6, "") &&
           with(&b, 6, "-0.1"));
    EXPECT(with(&b, 7, "") && with(&b, 7, "A_VERY_LONG_STATUS_WORD") && with(&b, 4, "USD"));
    EXPECT(with(&b, ORDER_AT, "1") && with(&b, ORDER_AT, "12345678901234567") &&
           with(&b, ORDER_AT, "1234567890123456789012345678901234567890123456789012345678901234"));
    EXPECT(with(&b, ORDER_AT, "RE12345678") && with(&b, ORDER_AT, "1E1234"));
    close_bench(&b);
#endif
}

TEST(what_is_not_usual_is_left_to_the_other)
{
    struct bench b;
    open_bench(&b);
    static const char *const times[] = {"2026-11-20 00:00:30",
                                        "2026-11-19 24:00:00",
                                        "2026-11-19 00:60:00",
                                        "2026-11-19 00:00:60",
                                        "2026-11-19 0:00:00",
                                        "2026-11-19",
                                        "2026-11-19 00:00:30.",
                                        "2026-11-19 00:00:30.1234567",
                                        "",
                                        "x",
                                        "2026-11-19 00:00:30.1a",
                                        "2026-11-19 00-00:30",
                                        "2026-11-19 30:00:00"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        EXPECT(!with(&b, TIME_AT, times[i]));
    static const char *const amounts[] = {
        "",         "-",   ".5", "5.",        "1..2",          "1.2.3",
        "1,000.00", "1e3", "+1", "0.1234567", "1234567890123", "12345678901234567",
        "1 ",       " 1",  "--1"};
    for (size_t i = 0; i < sizeof amounts / sizeof *amounts; i++) {
        EXPECT(!with(&b, 5, amounts[i]));
        EXPECT(i == 0 || !with(&b, 6, amounts[i]));
    }
    EXPECT(!with(&b, ORDER_AT, "") && !with(&b, ORDER_AT, "1.23457E+17") && !with(&b, ORDER_AT, "1E+17"));
    EXPECT(!with(&b, CHANNEL_AT, "") && !with(&b, 3, "in") && !with(&b, 3, "") && !with(&b, 4, "XYW") &&
           !with(&b, 4, "CN"));
    lay_row(usual, PLAIN_FRONT - 1);
    EXPECT(!same_row(&b));
    close_bench(&b);
}

TEST(rows_with_random_faults_are_the_same_by_both_roads)
{
    struct bench b;
    struct prng prng = {20261121};
    int taken = 0;
    open_bench(&b);
    for (int round = 0; round < 200000; round++) {
        static const char letters[] = "0123456789.-+:E, TZ\"\rIN\xC3";
        char texts[COLUMNS][48];
        const char *cells[COLUMNS];
        for (int i = 0; i < COLUMNS; i++) {
            snprintf(texts[i], sizeof texts[i], "%s", usual[i]);
            cells[i] = texts[i];
        }
        for (uint64_t faults = prng_below(&prng, 3); faults; faults--) {
            char *text = texts[prng_below(&prng, COLUMNS)];
            const size_t size = strlen(text), at = prng_below(&prng, size + 1);
            const char letter = letters[prng_below(&prng, sizeof letters - 1)];
            switch (prng_below(&prng, 3)) {
            case 0: /* another byte */
                if (at < size)
                    text[at] = letter;
                break;
            case 1: /* one less */
                if (at < size)
                    memmove(text + at, text + at + 1, size - at);
                break;
            default: /* one more */
                memmove(text + at + 1, text + at, size - at + 1);
                text[at] = letter;
            }
        }
        taken += read_cells(&b, cells);
    }
#if defined(__SSE4_1__)
    EXPECT(taken > 80000 && taken < 190000);
#endif
    close_bench(&b);
}

/* Many rows, one behind the other. */
enum { ROWS = PLAIN_BLOCK, ROWS_ROOM = 1 << 16 };
static uint8_t rows_room[ROWS_ROOM];
static uint32_t rows_ends[ROWS * COLUMNS + 1];

static void lay_rows(struct prng *prng, const char *line_end, unsigned odd_of)
{
    static const char *const others[COLUMNS][6] = {
        {"ALIPAY", "UNIONPAY", "W", "A_CHANNEL_OF_22_LETTERS", "", "CH"},
        {"R202611198567179099891206", "1", "12345678901", "1.23457E+17", "",
         "20261119856717909989120612345678901"},
        {"2026-11-19 23:59:59.999", "2026-11-19 08:00:00", "2026-11-20 08:00:00.000",
         "2026-11-19 24:00:00.000", "", "2026-11-19T08:00:00.000"},
        {"OUT", "IN", "OUT", "in", "", "OUT"},
        {"CNY", "USD", "JPY", "XYW", "", "CNY"},
        {"0.00", "-7.10", "-0", "1.2.3", "", "123456789.123456"},
        {"", "0.1", "-0.30", "x", "-", "0"},
        {"SUCCESS", "REFUNDED", "", "PROCESSING", "A_STATUS_OF_MANY_LETTERS", "FAILED"}};
    uint32_t at = FRONT;
    memset(rows_room, '5', sizeof rows_room);
    rows_ends[0] = at - 1;
    for (uint32_t i = 0; i < ROWS; i++)
        for (int c = 0; c < COLUMNS; c++) {
            const char *text = usual[c];
            if (prng_below(prng, 12) == 0) /* of those that are taken */
                text = others[c][prng_below(prng, c == TIME_AT ? 1 : 2)];
            if (prng_below(prng, odd_of) == 0)
                text = others[c][prng_below(prng, 6)];
            const size_t size = strlen(text);
            memcpy(rows_room + at, text, size);
            at += (uint32_t)size;
            if (c == COLUMNS - 1) {
                memcpy(rows_room + at, line_end, strlen(line_end));
                at += (uint32_t)strlen(line_end) - 1;
            } else {
                rows_room[at] = ',';
            }
            rows_ends[i * COLUMNS + (uint32_t)c + 1] = at++;
        }
}

/* How many of the rows were taken at once; all of them as normalize_hot takes them. */
static uint32_t same_rows(struct bench *b, uint32_t from, int has_cr)
{
    struct plain_block block = {0};
    const struct plain_plan *plan = normalizer_plain(b->normalizer);
    int count, bad;
    const int *columns = normalizer_columns(b->normalizer, &count);
    struct plain_block packed = {0};
    const uint32_t taken = take(b, rows_room, rows_ends + 1 + from * COLUMNS, has_cr,
                                (struct plain_packs){0, 0}, ROWS - from, &block);
    take(b, rows_room, rows_ends + 1 + from * COLUMNS, has_cr, (struct plain_packs){1, 9}, ROWS - from,
         &packed);
    struct record *const wide = calloc(1, sizeof *wide + PLAIN_KEY_MAX);
    for (uint32_t i = 0; i < taken + (from + taken < ROWS); i++) { /* the last is the one that was not */
        const uint32_t *seps = rows_ends + 1 + (from + i) * COLUMNS;
        struct cell cells[32];
        for (int k = 0; k < count; k++) {
            const struct span text = plain_cell_of(rows_room, seps, columns[k], COLUMNS);
            cells[k] = (struct cell){.data = text.data, .size = (uint32_t)text.size, .kind = CELL_TEXT};
        }
        struct id_print id = {0};
        if (i < taken) {
            plain_put(&block, i, plain_cell_of(rows_room, seps, plan->key, COLUMNS), RECORD_CHANNEL, wide);
            if (plan->keeps_ids) {
                b->scratch.id_status = 0; /* else one road's hash would be the other's */
                plain_id(plan, &b->scratch, rows_room, seps, COLUMNS, wide);
                id = b->scratch.id;
                b->scratch.id_status = 0;
            }
        }
        const enum reject_code code = normalize_hot(b->normalizer, &b->scratch, cells, b->record, &bad);
        if (i == taken)
            break;
        EXPECT(code == REJECT_NONE);
        EXPECT(record_hash(wide) == record_hash(b->record) && wide->amount_micro == b->record->amount_micro &&
               wide->day == b->record->day && wide->status == b->record->status &&
               wide->channel == b->record->channel && wide->flags == b->record->flags &&
               wide->currency == b->record->currency && wide->key_size == b->record->key_size &&
               memcmp(wide->var, b->record->var, wide->key_size) == 0);
        if (plan->keeps_ids) {
            const struct id_entry a = id_entry_of(&id, wide), c = id_entry_of(&b->scratch.id, b->record);
            EXPECT(memcmp(&a, &c, sizeof a) == 0);
        }
    }
    free(wide);
    return taken;
}

TEST(rows_taken_at_once_are_the_same_by_both_roads)
{
    struct prng prng = {20261122};
    uint64_t taken = 0, all = 0;
    for (unsigned round = 0; round < 2000; round++) {
        struct bench b;
        keeps_ids = round % 3 == 0;
        lacking = round % 5 ? 0 : 1u << (2 + round / 5 % 3);
        open_bench(&b);
        lay_rows(&prng, round & 1 ? "\r\n" : "\n", round % 4 ? 100 : 1000000);
        for (uint32_t from = 0; from < ROWS; from++) {
            const uint32_t some = same_rows(&b, from, round & 1);
            taken += some;
            from += some;
        }
        all += ROWS;
        close_bench(&b);
    }
    keeps_ids = 0;
    lacking = 0;
#if defined(__SSE4_1__)
    EXPECT(taken > all / 2 && taken < all);
#endif
}
