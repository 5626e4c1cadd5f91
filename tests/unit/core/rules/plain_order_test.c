/* tests/unit/core/rules/plain_order_test.c: where numbers differ, they stand as ≺ has their rows */
#include "core/base/prng.h"
#include "core/rules/plain.h"
#include "core/rules/plain_order.h"
#include "tests/support/check_test.h"
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 400, TEXT_ROOM = 80 };

struct bench {
    struct job job;
    struct order_bases *bases;
    struct full rows[ROWS];
    uint64_t numbers[ROWS];
    char texts[ROWS][FIELDS + 1][TEXT_ROOM];
    uint8_t canonical[ROWS][FIELDS * (TEXT_ROOM + 4)];
};

/* Texts that begin alike, are of several lengths, and some of which are the same. */
static struct span some_text(struct prng *prng, char room[TEXT_ROOM], unsigned longest)
{
    static const char *const begins[] = {"", "8983", "898310079649998", "2026111922009159966839686340",
                                         "\xff\x80"};
    const char *const begin = begins[prng_below(prng, sizeof begins / sizeof *begins)];
    size_t size = strlen(begin);
    memcpy(room, begin, size);
    for (unsigned more = (unsigned)prng_below(prng, longest + 1); more; more--)
        room[size++] = (char)("0019\x01\xfe"[prng_below(prng, 6)]);
    return (struct span){room, size};
}

static void canonical_of(struct bench *b, unsigned i)
{
    uint8_t *at = b->canonical[i];
    for (unsigned field = 0; field < FIELDS; field++)
        at = order_put_field(at, b->rows[i].text[field]);
    b->rows[i].canonical = (struct span){(const char *)b->canonical[i], (size_t)(at - b->canonical[i])};
}

/* Rows of one key; how many of their numbers told two rows apart that differ. */
static unsigned hold_against_order(uint64_t seed, int has_ids, unsigned longest)
{
    struct bench *b = calloc(1, sizeof *b);
    struct prng prng = {seed};
    unsigned told = 0, wrong = 0;
    b->job.match.keys[0] = (struct key_spec){{FIELD_CHANNEL_CODE, FIELD_BIZ_ORDER_NO}, 2};
    b->bases = order_bases_open();
    for (unsigned i = 0; i < ROWS; i++) {
        struct full *const row = &b->rows[i];
        *row = (struct full){.place = i, .side = CHANNEL, .day = 7};
        for (unsigned field = 0; field < FIELDS; field++)
            row->text[field] = field == FIELD_CHANNEL_CODE || field == FIELD_BIZ_ORDER_NO
                                   ? (struct span){"K", 1}
                                   : some_text(&prng, b->texts[i][field], longest);
        row->occurrence = has_ids && prng_below(&prng, 8) ? some_text(&prng, b->texts[i][FIELDS], longest)
                                                          : (struct span){"", 0};
        canonical_of(b, i);
        b->numbers[i] = full_order(b->bases, &b->job, row);
        EXPECT(b->numbers[i] != 0);
    }
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned k = 0; k < i; k++) {
            if (b->numbers[i] == b->numbers[k])
                continue;
            told++;
            wrong += (b->numbers[i] < b->numbers[k]) != (full_compare(&b->rows[i], &b->rows[k]) < 0);
        }
    EXPECT(wrong == 0);
    order_bases_close(b->bases);
    free(b);
    return told;
}

TEST(rows_whose_numbers_differ_stand_in_the_order_as_their_numbers_do)
{
    unsigned told = 0, all = 0;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        told += hold_against_order(seed, seed & 1, 1 + (unsigned)seed * 2);
        all += ROWS * (ROWS - 1) / 2;
    }
    EXPECT(told > all / 2); /* else they were of no use */
}

TEST(fields_of_the_first_key_say_nothing_and_the_others_come_as_canonical_bytes_have_them)
{
    struct job job = {.match.keys = {{{FIELD_MERCHANT_NO, FIELD_AMOUNT}, 2}}};
    unsigned fields[ORDER_FIELDS];
    EXPECT(order_fields(&job, fields) == ORDER_FIELDS - 1);
    for (unsigned i = 0; i < ORDER_FIELDS - 1; i++)
        EXPECT(fields[i] == i + (i >= FIELD_MERCHANT_NO));
}
