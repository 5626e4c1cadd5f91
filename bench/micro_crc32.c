/* bench/micro_crc32.c: the checksum of every binlog event, beside zlib's. */
#include "bench/shim.h"
#include "core/base/prng.h"
#include "io/format/crc32.h"
#include <stdio.h>
#include <zlib.h>

enum { BYTES = 1 << 20 };

struct crc_case {
    uint32_t size;
    int by_zlib;
};

static uint64_t agreed[2][4];

static void crc(struct bench *bench, const void *context)
{
    static uint8_t bytes[BYTES];
    const struct crc_case *c = context;
    struct prng prng = {1};
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)prng_next(&prng);
    while (bench_round(bench)) {
        uint64_t sum = 0;
        for (size_t at = 0; at + c->size <= BYTES; at += c->size)
            sum = bench_mix(sum, c->by_zlib ? (uint32_t)crc32(0, bytes + at, c->size)
                                            : crc32_update(0, bytes + at, c->size));
        bench_answer(bench, sum);
        unsigned slot = c->size == 64 ? 0 : c->size == 256 ? 1 : c->size == 4096 ? 2 : 3;
        agreed[c->by_zlib][slot] = sum;
        if (agreed[!c->by_zlib][slot] && agreed[!c->by_zlib][slot] != sum)
            bench_wrong(bench, "zlib says otherwise");
    }
    bench_items(bench, BYTES / c->size, BYTES);
}

void benches(void)
{
    static const struct crc_case cases[] = {{64, 0}, {256, 0}, {4096, 0}, {BYTES, 0},
                                            {64, 1}, {256, 1}, {4096, 1}, {BYTES, 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "crc32/%s/%u", cases[i].by_zlib ? "zlib" : "ours", cases[i].size);
        bench_add(name, crc, &cases[i]);
    }
}
