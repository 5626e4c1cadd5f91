/* bench/micro_hash.c: hash_bytes at the sizes of order numbers; SHA-256 of match.csv's pieces, side by side and one after the other. */
#include "bench/shim.h"
#include "core/base/hash.h"
#include "core/base/prng.h"
#include "io/sink/digest.h"
#include "io/sink/pieces.h"
#include <stdio.h>

enum { KEYS = 4096, KEY_MAX = 64 };

static void hash(struct bench *bench, const void *context)
{
    static char keys[KEYS][KEY_MAX];
    size_t size = *(const size_t *)context;
    struct prng prng = {1};
    for (int i = 0; i < KEYS; i++)
        for (int k = 0; k < KEY_MAX; k++)
            keys[i][k] = (char)('0' + prng_below(&prng, 10));
    while (bench_round(bench)) {
        uint64_t sum = 0;
        for (int i = 0; i < KEYS; i++)
            sum ^= hash_bytes(keys[i], size, 42);
        bench_answer(bench, sum);
    }
    bench_items(bench, KEYS, KEYS * size);
}

static void sha(struct bench *bench, const void *context)
{
    enum { PIECES = 12 };
    static uint8_t bytes[PIECES * PIECE];
    const size_t together = *(const size_t *)context, size = bench_size(PIECE, 256);
    struct prng prng = {1};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)prng_next(&prng);
    while (bench_round(bench)) {
        uint8_t sums[PIECES][SHA_SIZE];
        for (size_t i = 0; i < PIECES; i += together ? together : 1)
            if (together)
                sha_side(bytes + i * size, size, together, sums + i);
            else
                digest_sum(bytes + i * size, size, sums[i]);
        uint64_t answer = 0;
        for (unsigned i = 0; i < PIECES; i++)
            answer = bench_mix(answer, sums[i][0] | (uint64_t)sums[i][SHA_SIZE - 1] << 8);
        bench_answer(bench, answer);
    }
    bench_items(bench, PIECES, PIECES * size);
}

void benches(void)
{
    static const size_t sizes[] = {16, 24, 32, 64};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "hash_bytes/%zu", sizes[i]);
        bench_add(name, hash, &sizes[i]);
    }
    static const size_t together[] = {0, 2, 3, 12};
    for (unsigned i = 0; i < sizeof together / sizeof *together; i++) {
        char name[32];
        snprintf(name, sizeof name, together[i] ? "sha256/%zu" : "sha256/libcrypto", together[i]);
        bench_add(name, sha, &together[i]);
    }
}
