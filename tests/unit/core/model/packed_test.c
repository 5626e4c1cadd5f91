/* tests/unit/core/model/packed_test.c: a packed key has one form, and no other key has it */
#include "core/base/prng.h"
#include "core/model/packed.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

static struct packed_key pack(const void *key, size_t size, uint32_t channel)
{
    return packed_key_anywhere(key, (uint32_t)size, channel);
}

/* By hand, what packed.h says in words. */
static int should_pack(const uint8_t *key, uint32_t size, uint32_t channel)
{
    uint32_t letters = 0;
    if (size == 0 || size > 28 || channel > 255)
        return 0;
    for (uint32_t i = 0; i < size; i++)
        if (key[i] < '0' || key[i] > '9')
            letters = i + 1;
    return size <= 14 || (letters <= 4 && 2 * letters + (size - letters) <= 28);
}

/* A key of few letters and many digits, or of any bytes. */
static uint32_t make_key(struct prng *prng, uint8_t *key)
{
    const uint32_t size = (uint32_t)prng_below(prng, 32), kind = (uint32_t)prng_below(prng, 4),
                   letters = (uint32_t)prng_below(prng, 7);
    for (uint32_t i = 0; i < size; i++)
        key[i] = (uint8_t)(kind == 0                   ? prng_next(prng)
                           : kind == 1 && i == letters ? (uint8_t) "/:x\0"[prng_below(prng, 4)]
                           : i < letters               ? prng_next(prng)
                                                       : '0' + prng_below(prng, 10));
    return size;
}

TEST(a_key_is_packed_or_not_by_its_bytes_and_comes_back_as_it_was)
{
    struct prng prng = {20261121};
    uint32_t packed = 0;
    for (int i = 0; i < 400000; i++) {
        uint8_t key[32], again[32];
        const uint32_t size = make_key(&prng, key), channel = (uint32_t)prng_below(&prng, 300);
        const struct packed_key k = pack(key, size, channel);
        const int fits = k.word[0] != 0;
        EXPECT(fits == should_pack(key, size, channel) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__);
        if (!fits)
            continue;
        packed++;
        EXPECT(packed_key_bytes(&k, again) == size && memcmp(key, again, size) == 0);
        EXPECT((k.word[0] >> 8 & 255) == channel);
    }
    EXPECT(packed > 100000 || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__);
}

TEST(what_stands_around_a_key_is_not_taken_for_it)
{
    struct prng prng = {7};
    for (int i = 0; i < 100000; i++) {
        uint8_t room[96], key[32];
        const uint32_t size = make_key(&prng, key);
        if (size == 0)
            continue;
        for (unsigned k = 0; k < sizeof room; k++)
            room[k] = (uint8_t)(i % 2 ? '0' + prng_below(&prng, 10) : prng_next(&prng));
        memcpy(room + PACKED_FRONT, key, size);
        const struct packed_key a = packed_key_of(room + PACKED_FRONT, size, 3), b = pack(key, size, 3);
        EXPECT(a.word[0] == b.word[0] && a.word[1] == b.word[1]);
    }
}

struct known {
    struct packed_key key;
    uint32_t size;
    uint8_t bytes[32];
};

static int by_words(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct packed_key));
}

TEST(two_different_keys_are_never_packed_alike)
{
    enum { KEYS = 200000 };
    struct known *known = calloc(KEYS, sizeof *known);
    struct prng prng = {99};
    uint32_t count = 0, same = 0;
    for (int i = 0; i < KEYS; i++) {
        struct known *k = &known[count];
        memset(k, 0, sizeof *k);
        /* Near each other: a few digits and letters in a few places. */
        k->size = 1 + (uint32_t)prng_below(&prng, 28);
        for (uint32_t b = 0; b < k->size; b++)
            k->bytes[b] =
                (uint8_t) "0123A\0/:"[b < 5 || k->size < 6 ? prng_below(&prng, 8) : prng_below(&prng, 2)];
        k->key = pack(k->bytes, k->size, 0);
        count += k->key.word[0] != 0;
    }
    qsort(known, count, sizeof *known, by_words);
    for (uint32_t i = 1; i < count; i++)
        if (by_words(&known[i - 1], &known[i]) == 0) {
            same++;
            EXPECT(known[i].size == known[i - 1].size &&
                   memcmp(known[i].bytes, known[i - 1].bytes, known[i].size) == 0);
        }
    EXPECT(same > 0 || count == 0);
    free(known);
}

TEST(a_record_comes_back_as_it_was)
{
    struct prng prng = {11};
    for (int i = 0; i < 100000; i++) {
        uint8_t bytes[32];
        const uint32_t size = make_key(&prng, bytes);
        const struct packed_key key = pack(bytes, size, 5);
        const int64_t amount = (int64_t)prng_next(&prng) >> prng_below(&prng, 60);
        const uint64_t place = prng_next(&prng) >> prng_below(&prng, 60);
        const uint16_t status = (uint16_t)prng_below(&prng, 140),
                       flags = (uint16_t)prng_below(&prng, i % 2 ? 4 : 8), day = (uint16_t)prng_next(&prng);
        const int fits = packed_fits(amount, place, status, flags);
        EXPECT(fits == (amount >= -(INT64_C(1) << 47) && amount < INT64_C(1) << 47 &&
                        place < UINT64_C(1) << 40 && status < 128 && flags < 4));
        if (!fits || !key.word[0])
            continue;
        struct packed p;
        struct record r;
        packed_put(&p, &key, amount, place, day, 200, status, flags);
        packed_open(&p, packed_hash(p.key, 1), &r);
        EXPECT(r.amount_micro == amount && r.place == place && r.day == day && r.currency == 200 &&
               r.status == status && r.flags == flags && r.channel == 5);
        EXPECT(r.key_size == size && memcmp(r.var, bytes, size) == 0);
        EXPECT(record_hash(&r) == packed_hash(key.word, 1));
    }
}

TEST(amounts_at_the_ends_of_their_type_do_not_fit)
{
    EXPECT(!packed_fits(INT64_MAX, 0, 0, 0)); /* UBSan saw the sum run over */
    EXPECT(!packed_fits(INT64_MIN, 0, 0, 0));
    EXPECT(packed_fits(PACKED_AMOUNT_MAX, 0, 0, 0) && !packed_fits(PACKED_AMOUNT_MAX + 1, 0, 0, 0));
}

TEST(hashes_of_order_numbers_fall_everywhere)
{
    enum { KEYS = 1 << 16 };
    static uint32_t low[1 << 8], high[1 << 8], part[1 << 8];
    memset(low, 0, sizeof low);
    memset(high, 0, sizeof high);
    memset(part, 0, sizeof part);
    for (uint32_t i = 0; i < KEYS; i++) {
        char text[32];
        snprintf(text, sizeof text, "2026111900000000%08u", i);
        const struct packed_key key = pack(text, 24, 1);
        const uint64_t hash = packed_hash(key.word, 42);
        low[hash >> 24 & 255]++; /* the top of the half that chooses lines */
        high[hash >> 56]++;
        part[hash >> 40 & 255]++;
    }
    /* 256 expected in each; seven times the deviation of 16. */
    for (int i = 0; i < 256 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__; i++)
        EXPECT(low[i] > 144 && low[i] < 368 && high[i] > 144 && high[i] < 368 && part[i] > 144 &&
               part[i] < 368);
}
