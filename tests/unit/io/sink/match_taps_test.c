/* tests/unit/io/sink/match_taps_test.c: rows go onto the shelf alike with the machine's widest vectors and without */
#include "core/base/mem.h"
#include "core/base/prng.h"
#include "core/rules/plain_wide.h"
#include "io/format/csv_scan.h"
#include "io/sink/match_early.h"
#include "tests/support/check_test.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    SEEDS = CHECK_WATCHED ? 60 : 250,
    BLOCKS = 40,
    COLUMNS = 3, /* number, type or the channel's number, key */
    SPAN_MAX = 9,
    GROUPS_MAX = 40,
    STRATA_MAX = 150,
    SAME = 12,   /* digits that most numbers begin with, or they lie too far off */
    SLACK = 256, /* bytes before and behind */
    TEXT = 64 << 10
};

static const char *const codes[] = {"ALIPAY", "WXPAY", "UNKNOWN"},
                         *const types[] = {"PAY", "A_LONG_BIZ_TYPE_", ""},
                         *const prefixes[] = {"", "R", "PO", "ABCD"};
static const uint32_t sizes[] = {24, 25, 28, 15, 14, 9, 3};
static const uint16_t days[] = {20000, 20001, 20002};

/* What both ways share, and each one's own. */
struct shared {
    struct match match;
    struct dict *words;
    uint16_t numbers[3]; /* of codes; the last one is no stratum's */
    struct early_span groups[GROUPS_MAX];
    struct early_stratum strata[STRATA_MAX];
    uint64_t lows[GROUPS_MAX * (SPAN_MAX + 1)];
    struct early_base bases[SIDES][STRATA_MAX * SPAN_MAX];
};

static uint64_t some_number(struct prng *prng)
{
    /* Of digits mostly, so that packed keys lie among them. */
    uint64_t number = 0;
    for (int i = 0; i < 16; i++)
        number = number << 4 | (i < SAME ? 2 : prng_below(prng, 10));
    return number;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void group_make(struct shared *s, struct early *e, struct prng *prng, uint32_t shift)
{
    struct early_span *const g = &s->groups[e->group_count];
    uint64_t *const low = &s->lows[e->group_count * (SPAN_MAX + 1)];
    g->low = low;
    g->begin = e->cell_count;
    g->count = 1 + (uint32_t)prng_below(prng, SPAN_MAX);
    for (uint32_t i = 0; i < g->count; i++)
        low[i] = some_number(prng);
    qsort(low, g->count, sizeof *low, by_value);
    low[g->count] = UINT64_MAX;
    if (prng_below(prng, 3))
        low[0] &= ~UINT64_C(0xFFFF); /* else some lie before it */
    g->shift = 40;
    for (uint32_t i = 0; i < g->count; i++)
        s->bases[CHANNEL][g->begin + i] = (struct early_base){low[i], shift};
    e->cell_count += g->count;
    e->group_count++;
}

static void early_make(struct shared *s, struct early *e, struct prng *prng)
{
    *e = (struct early){.match = &s->match, .words = s->words, .has_channel = prng_below(prng, 8) != 0};
    memset(e->stratum_of, 0xFF, sizeof e->stratum_of);
    memset(e->group_of, 0xFF, sizeof e->group_of);
    e->channel_count = 2;
    e->type_count = 1 + (uint32_t)prng_below(prng, 3);
    e->prefix_count = 1 + (uint32_t)prng_below(prng, 4);
    e->day_count = 1 + (uint32_t)prng_below(prng, 3);
    e->lacks_number = (int)prng_below(prng, 2);
    for (uint32_t i = 0; i < 2; i++)
        e->channels[i].size = (uint8_t)snprintf(e->channels[i].text, EARLY_TEXT, "%s", codes[i]);
    for (uint32_t i = 0; i < e->type_count; i++) {
        e->types[i].size = (uint8_t)strlen(types[i]);
        memcpy(e->types[i].text, types[i], strlen(types[i]));
    }
    for (uint32_t i = 0; i < e->prefix_count; i++)
        e->prefixes[i].size = (uint8_t)snprintf(e->prefixes[i].text, EARLY_TEXT, "%s", prefixes[i]);
    memcpy(e->days, days, sizeof days);
    e->strata = s->strata;
    e->groups = s->groups;
    for (uint32_t channel = 0; channel < (e->has_channel ? 2 : 1); channel++)
        for (uint32_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            for (uint32_t prefix = 0; prefix < e->prefix_count && e->group_count < GROUPS_MAX; prefix++) {
                const uint32_t size = sizes[k];
                if (size <= e->prefixes[prefix].size || prng_below(prng, 4) == 0)
                    continue;
                const uint32_t digits = size - e->prefixes[prefix].size,
                               shift = 112 - digits * (size > PACKED_RAW_MAX ? 4 : 8);
                e->group_of[channel][size][prefix] = (uint16_t)e->group_count;
                group_make(s, e, prng, shift);
                for (uint32_t day = 0; day < e->day_count; day++)
                    for (uint32_t type = 0; type < e->type_count; type++)
                        if (e->stratum_count < STRATA_MAX && prng_below(prng, 5)) {
                            struct early_stratum *const t = &s->strata[e->stratum_count];
                            *t = (struct early_stratum){.find = &s->groups[e->group_count - 1]};
                            t->span.begin = e->range_count;
                            e->stratum_of[day][type][channel][size][prefix] = (uint16_t)e->stratum_count++;
                            for (uint32_t i = 0; i < t->find->count; i++)
                                s->bases[LOCAL][e->range_count++] =
                                    (struct early_base){t->find->low[i], shift};
                        }
            }
    for (int side = 0; side < SIDES; side++)
        e->base[side] = s->bases[side];
}

/* A file's text, row by row, and where its separators are. */
struct rows_text {
    uint8_t bytes[TEXT + 2 * SLACK];
    uint32_t seps[4096];
    uint32_t size, sep_count;
};

static void text_add(struct rows_text *t, const char *cell, char end)
{
    const size_t size = strlen(cell);
    memcpy(t->bytes + t->size, cell, size);
    t->size += (uint32_t)size;
    t->seps[t->sep_count++] = t->size;
    t->bytes[t->size++] = (uint8_t)end;
}

static void digits_put(struct prng *prng, char *to, uint32_t size, int is_odd)
{
    for (uint32_t i = 0; i < size; i++)
        to[i] = (char)('0' + (i < SAME ? 2 : prng_below(prng, 10)));
    to[size] = 0;
    if (is_odd && size)
        to[prng_below(prng, size)] = "A:/ x"[prng_below(prng, 5)];
}

/* How often a row is otherwise than most, one of so many. */
static int is_rare(struct prng *prng, uint32_t one_of)
{
    return one_of && prng_below(prng, one_of) == 0;
}

static void row_make(struct prng *prng, const struct shared *s, const struct early *e, enum side side,
                     uint32_t one_of, struct rows_text *t, struct plain_block *b, uint32_t i)
{
    char key[80], own[80];
    const uint32_t prefix = is_rare(prng, one_of) ? (uint32_t)prng_below(prng, 4) : 0,
                   size = sizes[is_rare(prng, one_of) ? prng_below(prng, 7) : 0],
                   channel = (uint32_t)prng_below(prng, is_rare(prng, one_of) ? 3 : 2);
    snprintf(key, sizeof key, "%s", prefixes[prefix]);
    digits_put(prng, key + strlen(key), size > strlen(key) ? size - (uint32_t)strlen(key) : 1,
               is_rare(prng, one_of));
    digits_put(prng, own, is_rare(prng, one_of) ? (uint32_t)prng_below(prng, 40) : 28, is_rare(prng, one_of));
    text_add(t, side == LOCAL || !is_rare(prng, one_of) ? "row" : "", ',');
    text_add(t, side == CHANNEL ? own : types[is_rare(prng, one_of) ? prng_below(prng, 3) : 0], ',');
    text_add(t, key, '\n');
    b->channel[i] = e->has_channel ? s->numbers[channel] : 0;
    b->packed[i] = packed_key_anywhere((const uint8_t *)key, (uint32_t)strlen(key), b->channel[i]);
    b->amount_micro[i] = is_rare(prng, one_of) ? (int64_t)prng_next(prng) >> prng_below(prng, 40)
                                               : (int64_t)prng_below(prng, 1u << 30) - (1 << 29);
    b->day[i] = days[is_rare(prng, one_of) ? prng_below(prng, 3) : 0];
    b->status[i] = is_rare(prng, one_of) ? (uint16_t)prng_next(prng) : 3;
    b->currency[i] = (uint8_t)prng_below(prng, 3);
    b->is_out[i] = (uint8_t)prng_below(prng, 2);
}

static void same_shelves(const struct shelf *a, const struct shelf *b, uint32_t parts)
{
    for (uint32_t part = 0; part < parts; part++) {
        struct shelf_walk one = {.part = part}, other = {.part = part};
        EXPECT(shelf_size(a, part) == shelf_size(b, part));
        for (;;) {
            const int more = shelf_next(a, &one);
            EXPECT(shelf_next(b, &other) == more);
            if (!more)
                break;
            EXPECT(one.size == other.size && memcmp(one.items, other.items, one.size) == 0);
        }
    }
}

TEST(rows_are_taken_alike_with_wide_vectors_and_without)
{
    static struct shared s;
    static struct early twins[2];
    static struct rows_text t;
    static struct plain_block block;
    struct diag diag = {0};
    uint64_t taken_count = 0, odd_count = 0, full_count = 0;
    if (csv_scan_kernel() != CSV_KERNEL_AVX512)
        return;
    EXPECT(dict_open(&s.words, &diag) == OK);
    for (int i = 0; i < 3; i++)
        s.numbers[i] = dict_number_slow(s.words, (struct span){codes[i], strlen(codes[i])});
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct prng prng = {seed * 7919};
        static const uint32_t rare[] = {0, 2, 12, 200};
        const uint32_t one_of = rare[seed % 4];
        early_make(&s, &twins[0], &prng);
        /* In some days the shelf is full in the middle: of its memory a part behind the others has most. */
        const int is_small = prng_below(&prng, 4) == 0;
        const uint32_t wasted = (2 << 20) / SHELF_BLOCK - (uint32_t)prng_below(&prng, 12);
        twins[1] = twins[0];
        for (int i = 0; i < 2; i++) {
            struct early *const e = &twins[i];
            e->lanes = mem_take_zero(1, sizeof *e->lanes);
            early_tap_init(e, 0);
            e->lanes[0].tap.takes = 1;
            for (int side = 0; side < SIDES; side++) {
                const uint32_t parts = side == LOCAL ? e->range_count : e->cell_count;
                const struct shelf_config config = {1, parts + 1, side == LOCAL ? LOCAL_TAKEN : CHANNEL_TAKEN,
                                                    is_small ? 2 << 20 : 64 << 20};
                EXPECT(shelf_open(&e->shelf[side], &config, &diag) == OK);
                struct shelf_lane *const lane = e->lanes[0].shelf[side] = shelf_lane(e->shelf[side], 0);
                for (uint32_t k = 0; is_small && k < wasted; k++)
                    EXPECT(shelf_block(lane, parts) != 0);
            }
        }
        uint64_t place = 0;
        for (int k = 0; k < BLOCKS; k++) {
            const enum side side = prng_below(&prng, 2) ? LOCAL : CHANNEL;
            t.size = SLACK + (uint32_t)prng_below(&prng, 3000);
            memset(t.bytes, prng_below(&prng, 9) ? 'x' : '\n', t.size);
            t.seps[0] = t.size - 1;
            t.sep_count = 1;
            const uint32_t count =
                prng_below(&prng, 3) ? PLAIN_BLOCK : 1 + (uint32_t)prng_below(&prng, PLAIN_BLOCK);
            for (uint32_t i = 0; i < count; i++)
                row_make(&prng, &s, &twins[0], side, one_of, &t, &block, i);
            const struct plain_plan plan = {.key = 2,
                                            .told = side == LOCAL && prng_below(&prng, 4) == 0 ? -1 : 1,
                                            .told_constant = {types[seed % 3], strlen(types[seed % 3])},
                                            .channel = -1,
                                            .channel_constant = {codes[0], strlen(codes[0])},
                                            .side_flag = side == LOCAL ? 0 : RECORD_CHANNEL};
            const struct tap_rows rows = {.plan = &plan,
                                          .block = &block,
                                          .bytes = t.bytes,
                                          .seps = t.seps + 1,
                                          .place = place,
                                          .count = count,
                                          .columns = COLUMNS,
                                          .packs = 1};
            struct tap_rows wide = rows;
            wide.wide = 1;
            uint64_t taken[2] = {0, 0};
            EXPECT(twins[0].lanes[0].tap.rows(&twins[0].lanes[0].tap, &rows, &taken[0], &diag) == OK);
            EXPECT(twins[1].lanes[0].tap.rows(&twins[1].lanes[0].tap, &wide, &taken[1], &diag) == OK);
            EXPECT(taken[0] == taken[1]);
            taken_count += (uint64_t)__builtin_popcountll(taken[1]);
            odd_count += count - (uint64_t)__builtin_popcountll(taken[1]);
            place += TEXT;
        }
        for (int i = 0; i < 2; i++)
            twins[i].lanes[0].tap.end(&twins[i].lanes[0].tap);
        for (int side = 0; side < SIDES; side++) {
            same_shelves(twins[0].shelf[side], twins[1].shelf[side],
                         side == LOCAL ? twins[0].range_count : twins[0].cell_count);
            const uint32_t odd = twins[0].lanes[0].odd_count[side];
            EXPECT(twins[1].lanes[0].odd_count[side] == odd);
            EXPECT(odd == 0 || memcmp(twins[0].lanes[0].odd[side], twins[1].lanes[0].odd[side],
                                      odd * sizeof(uint64_t)) == 0);
        }
        EXPECT(twins[0].is_dead == twins[1].is_dead);
        full_count += (uint64_t)twins[0].lanes[0].is_full;
        for (int i = 0; i < 2; i++) {
            for (int side = 0; side < SIDES; side++) {
                shelf_close(twins[i].shelf[side]);
                mem_give(twins[i].lanes[0].odd[side]);
            }
            mem_give(twins[i].lanes);
        }
    }
    dict_close(s.words);
    EXPECT(taken_count > 100 * SEEDS && odd_count > 10 * SEEDS && full_count > 0);
}
