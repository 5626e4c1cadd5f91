/* tests/unit/io/format/binlog_image_test.c: a row is the same by its program and column by column */
#include "core/base/prng.h"
#include "io/format/binlog_image.h"
#include "io/format/binlog_types.h"
#include "tests/support/binlog_write.h"
#include "tests/support/check_test.h"
#include <stdio.h>

enum { COLUMNS_MAX = 70 };

struct made {
    struct body raw; /* the TABLE_MAP's body behind the table id */
    unsigned types[COLUMNS_MAX], metadata[COLUMNS_MAX], count;
};

static const unsigned kinds[][2] = {/* type, metadata as logged */
                                    {TYPE_TINY, 0},
                                    {TYPE_LONG, 0},
                                    {TYPE_LONGLONG, 0},
                                    {TYPE_SHORT, 0},
                                    {TYPE_INT24, 0},
                                    {TYPE_VARCHAR, 60},
                                    {TYPE_VARCHAR, 400},
                                    {TYPE_STRING, 0xfe | 30 << 8},
                                    {TYPE_BLOB, 1},
                                    {TYPE_BLOB, 3},
                                    {TYPE_NEWDECIMAL, 18 | 2 << 8},
                                    {TYPE_NEWDECIMAL, 9 | 9 << 8},
                                    {TYPE_NEWDECIMAL, 5 | 2 << 8},
                                    {TYPE_NEWDECIMAL, 18 | 0 << 8},
                                    {TYPE_NEWDECIMAL, 13 | 4 << 8},
                                    {TYPE_NEWDECIMAL, 7 | 7 << 8},
                                    {TYPE_NEWDECIMAL, 30 | 10 << 8},
                                    {TYPE_DATETIME2, 0},
                                    {TYPE_DATETIME2, 3},
                                    {TYPE_DATETIME2, 6},
                                    {TYPE_TIMESTAMP2, 6},
                                    {TYPE_TIME2, 2},
                                    {TYPE_DATE, 0},
                                    {TYPE_YEAR, 0},
                                    {TYPE_BIT, 3 | 1 << 8}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static unsigned metadata_size(unsigned type)
{
    switch (type) {
    case TYPE_VARCHAR:
    case TYPE_STRING:
    case TYPE_NEWDECIMAL:
    case TYPE_BIT:
        return 2;
    case TYPE_BLOB:
    case TYPE_DATETIME2:
    case TYPE_TIMESTAMP2:
    case TYPE_TIME2:
        return 1;
    default:
        return 0;
    }
}

static void make_table(struct made *made, struct prng *prng, unsigned count)
{
    struct body metadata = {.size = 0};
    made->raw.size = 0;
    made->count = count;
    body_bytes(&made->raw, "\0\0\4shop\0\1t", 10);
    body_le(&made->raw, 0, 1);
    body_length(&made->raw, count);
    for (unsigned i = 0; i < count; i++) {
        const unsigned *kind = kinds[prng_below(prng, KINDS)];
        made->types[i] = kind[0];
        made->metadata[i] = kind[1];
        body_le(&made->raw, kind[0], 1);
        body_le(&metadata, kind[1], metadata_size(kind[0]));
    }
    body_length(&made->raw, metadata.size);
    body_bytes(&made->raw, metadata.bytes, metadata.size);
    for (unsigned i = 0; i < (count + 7) / 8; i++)
        body_le(&made->raw, 0xff, 1);
}

static void put_clock(struct body *b, struct prng *prng)
{
    uint64_t day = (2026 * 13 + 1 + prng_below(prng, 2)) << 5 | (1 + prng_below(prng, 3));
    if (prng_below(prng, 20) == 0)
        day = 0;
    body_be(b,
            0x8000000000u +
                (day << 17 | prng_below(prng, 24) << 12 | prng_below(prng, 60) << 6 | prng_below(prng, 60)),
            5);
}

static void put_decimal(struct body *b, struct prng *prng, unsigned precision, unsigned scale)
{
    static const unsigned bytes[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4},
                          power[10] = {1,      10,      100,      1000,      10000,
                                       100000, 1000000, 10000000, 100000000, 1000000000};
    unsigned whole = precision - scale, groups[12], count = 0, at = (unsigned)b->size;
    if (whole % 9)
        groups[count++] = whole % 9;
    for (unsigned i = 0; i < whole / 9 + scale / 9; i++)
        groups[count++] = 9;
    if (scale % 9)
        groups[count++] = scale % 9;
    for (unsigned i = 0; i < count; i++) /* mostly small, sometimes impossible */
        body_be(b,
                prng_below(prng, 200) == 0 ? UINT32_MAX
                : prng_below(prng, 3)      ? prng_below(prng, power[groups[i]])
                                           : power[groups[i]] - 1,
                bytes[groups[i]]);
    b->bytes[at] ^= 0x80;
    if (prng_below(prng, 2))
        for (unsigned i = at; i < b->size; i++)
            b->bytes[i] ^= 0xff;
}

static void make_image(struct body *b, const struct made *made, struct prng *prng, uint64_t nulls)
{
    b->size = 0;
    body_le(b, nulls, (made->count + 7) / 8 < 8 ? (made->count + 7) / 8 : 8);
    if (made->count > 64)
        body_le(b, 0, (made->count + 7) / 8 - 8);
    for (unsigned i = 0; i < made->count; i++) {
        if (i < 64 && nulls >> i & 1)
            continue;
        unsigned metadata = made->metadata[i];
        size_t size = prng_below(prng, 50);
        switch (made->types[i]) {
        case TYPE_TINY:
        case TYPE_YEAR:
            body_le(b, prng_next(prng), 1);
            break;
        case TYPE_SHORT:
            body_le(b, prng_next(prng), 2);
            break;
        case TYPE_INT24:
            body_le(b, prng_next(prng), 3);
            break;
        case TYPE_DATE:
            body_le(b, 2026 << 9 | 1 << 5 | 2, 3);
            break;
        case TYPE_LONG:
            body_le(b, prng_next(prng), 4);
            break;
        case TYPE_LONGLONG:
            body_le(b, prng_next(prng), 8);
            break;
        case TYPE_VARCHAR:
        case TYPE_STRING:
        case TYPE_BLOB:
            body_le(b, size,
                    made->types[i] == TYPE_BLOB                        ? metadata
                    : made->types[i] == TYPE_VARCHAR && metadata > 255 ? 2
                                                                       : 1);
            for (size_t k = 0; k < size; k++)
                body_le(b, prng_below(prng, 100) ? 'a' + prng_below(prng, 26) : 0xe9, 1);
            break;
        case TYPE_NEWDECIMAL:
            put_decimal(b, prng, metadata & 0xff, metadata >> 8);
            break;
        case TYPE_DATETIME2:
            put_clock(b, prng);
            body_be(b, prng_below(prng, metadata == 3 ? 10100 : 1010000), (metadata + 1) / 2);
            break;
        case TYPE_TIMESTAMP2:
            body_be(b, prng_next(prng), 4);
            body_be(b, prng_below(prng, 1000000), 3);
            break;
        case TYPE_TIME2:
            body_be(b, 0x80000000u + (prng_below(prng, 800) << 20), 4);
            break;
        default: /* BIT(11) */
            body_be(b, prng_below(prng, 2048), 2);
            break;
        }
    }
}

/* Needed cells only; texts by their bytes. */
static int same_cells(const struct table_version *version, const struct cell *a, const struct cell *b)
{
    for (uint32_t i = 0; i < version->table.column_count; i++) {
        if (!version->plans[i].needed)
            continue;
        if (a[i].kind != b[i].kind)
            return 0;
        if (a[i].kind == CELL_NULL)
            continue;
        if (a[i].size != b[i].size ||
            (a[i].kind == CELL_TEXT ? memcmp(a[i].data, b[i].data, a[i].size) != 0 : a[i].u64 != b[i].u64))
            return 0;
    }
    return 1;
}

TEST(a_row_is_the_same_by_its_program_and_column_by_column)
{
    static const uint8_t no_partial[16];
    static struct made made;
    static struct body image;
    struct diag diag = {0};
    int read = 0, refused = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct prng prng = {seed};
        make_table(&made, &prng, 1 + (unsigned)prng_below(&prng, seed % 10 == 0 ? COLUMNS_MAX : 14));
        char names[COLUMNS_MAX][24];
        const char *said[COLUMNS_MAX], *needed[COLUMNS_MAX];
        int needed_count = 0;
        for (unsigned i = 0; i < made.count; i++) {
            snprintf(names[i], sizeof names[i], "c%u %s", i, prng_below(&prng, 2) ? "signed" : "unsigned");
            said[i] = names[i];
        }
        char bare[COLUMNS_MAX][16];
        for (unsigned i = 0; i < made.count; i++)
            if (prng_below(&prng, 3)) {
                snprintf(bare[i], sizeof bare[i], "c%u", i);
                needed[needed_count++] = bare[i];
            }
        struct binlog_watch watch = {"shop", "t", said, (int)made.count};
        struct binlog_options options = {
            .watch = &watch, .watch_count = 1, .needed = needed, .needed_count = needed_count};
        struct binlog_format format = {.flavour = BINLOG_MYSQL};
        struct arena arena;
        struct charsets charsets;
        struct image_reader reader = {.sign_free = 0};
        arena_init(&arena);
        arena_init(&reader.row);
        charsets_init(&charsets, &arena);
        struct table_maker maker = {.options = &options,
                                    .format = &format,
                                    .file = "f",
                                    .arena = &arena,
                                    .charsets = &charsets,
                                    .diag = &diag};
        /* Two versions, so that neither leaves its memos to the other. */
        struct table_version *by_program = table_version_make(&maker, made.raw.bytes, made.raw.size, 0),
                             *by_column = table_version_make(&maker, made.raw.bytes, made.raw.size, 0);
        EXPECT(by_program && by_column);
        if (!by_program || !by_column)
            break;
        const uint64_t null_sets = seed % 7 == 0 ? 100000 : 6;
        for (int i = 0; i < 300; i++) {
            struct prng null_prng = {prng_below(&prng, null_sets)};
            uint64_t nulls = prng_next(&null_prng) & prng_next(&null_prng);
            if (made.count < 64)
                nulls &= ((uint64_t)1 << made.count) - 1;
            make_image(&image, &made, &prng, nulls);
            /* As many bytes as there are, and sometimes less: sanitizers see what is read behind them. */
            size_t size = prng_below(&prng, 4) ? image.size : prng_below(&prng, image.size);
            uint8_t *bytes = malloc(size + 1);
            memcpy(bytes, image.bytes, size);
            struct image_shape shape = {NULL, made.count};
            const uint8_t *one = image_read(&reader, by_program, 0, &shape, bytes, bytes + size, NULL);
            const uint8_t *two = image_read(&reader, by_column, 0, &shape, bytes, bytes + size, no_partial);
            EXPECT((one == NULL) == (two == NULL));
            if (one && two) {
                EXPECT(one == two && one == bytes + image.size);
                EXPECT(same_cells(by_program, by_program->cells[0], by_column->cells[0]));
                read++;
            } else {
                refused++;
            }
            arena_reset(&reader.row);
            free(bytes);
            if (check_test_failed) {
                fprintf(stderr, "seed %d, row %d\n", (int)seed, i);
                seed = 300;
                break;
            }
        }
        charsets_fini(&charsets);
        arena_fini(&reader.row);
        arena_fini(&arena);
    }
    EXPECT(read > 40000 && refused > 10000);
}
