/* bench/micro_hash.c: hash_bytes at the sizes of order numbers. */
#include "bench/shim.h"
#include "core/base/hash.h"
#include "core/base/prng.h"
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

void benches(void)
{
    static const size_t sizes[] = {16, 24, 32, 64};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "hash_bytes/%zu", sizes[i]);
        bench_add(name, hash, &sizes[i]);
    }
}
