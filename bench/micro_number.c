/* bench/micro_number.c: amounts, text to millionths and back. */
#include "bench/shim.h"
#include "core/base/prng.h"
#include "core/model/money.h"
#include "core/model/money_quick.h"
#include <stdio.h>

enum { TEXTS = 4096, STRIDE = 32, USUAL = 0, LONG = 1, KINDS };

struct texts {
    char bytes[TEXTS][STRIDE]; /* 16 bytes can be read from each begin, as in a chunk */
    uint8_t size[TEXTS];
    int64_t micro[TEXTS];
};

/* Usual: two decimals, up to a million, most of them small. Long: up to eighteen digits and six decimals. */
static void fill(struct texts *texts, int kind)
{
    struct prng prng = {1};
    for (int i = 0; i < TEXTS; i++) {
        uint64_t digits = prng_below(&prng, kind == USUAL ? 7 : 12), bound = 1;
        while (digits-- > 0)
            bound *= 10;
        uint64_t major = prng_below(&prng, bound * 10);
        int decimals = kind == USUAL ? 2 : 6;
        uint64_t minor = prng_below(&prng, kind == USUAL ? 100 : 1000000);
        texts->size[i] = (uint8_t)snprintf(texts->bytes[i], STRIDE, "%llu.%0*llu", (unsigned long long)major,
                                           decimals, (unsigned long long)minor);
        texts->micro[i] = (int64_t)(major * 1000000 + minor * (kind == USUAL ? 10000 : 1));
    }
}

static void parse(struct bench *bench, const void *context)
{
    static struct texts texts;
    fill(&texts, *(const int *)context);
    while (bench_round(bench)) {
        uint64_t sum = 0;
        for (int i = 0; i < TEXTS; i++) {
            int64_t micro = 0;
            if (!money_parse(texts.bytes[i], texts.size[i], &micro) || micro != texts.micro[i])
                bench_wrong(bench, "money_parse is wrong");
            sum += (uint64_t)micro;
        }
        bench_answer(bench, sum);
    }
    bench_items(bench, TEXTS, 0);
}

static void quick(struct bench *bench, const void *context)
{
    static struct texts texts;
    fill(&texts, *(const int *)context);
    while (bench_round(bench)) {
        uint64_t sum = 0;
        for (int i = 0; i < TEXTS; i++) {
            int64_t micro = 0;
            if (!money_quick(texts.bytes[i], texts.size[i], &micro) &&
                !money_parse(texts.bytes[i], texts.size[i], &micro))
                bench_wrong(bench, "nobody reads this amount");
            sum += (uint64_t)micro;
        }
        bench_answer(bench, sum);
    }
    bench_items(bench, TEXTS, 0);
}

static void print(struct bench *bench, const void *context)
{
    static struct texts texts;
    int kind = *(const int *)context;
    fill(&texts, kind);
    while (bench_round(bench)) {
        uint64_t sum = 0;
        for (int i = 0; i < TEXTS; i++) {
            char out[MONEY_TEXT_MAX];
            size_t size = money_print(out, texts.micro[i], 2);
            sum = bench_mix(sum, size << 16 | (uint64_t)(uint8_t)out[0] << 8 | (uint8_t)out[size - 1]);
        }
        bench_answer(bench, sum);
    }
    bench_items(bench, TEXTS, 0);
}

void benches(void)
{
    static const int kinds[KINDS] = {USUAL, LONG};
    bench_add("money_parse/usual", parse, &kinds[USUAL]);
    bench_add("money_parse/long", parse, &kinds[LONG]);
    bench_add("money_quick/usual", quick, &kinds[USUAL]);
    bench_add("money_quick/long", quick, &kinds[LONG]);
    bench_add("money_print/usual", print, &kinds[USUAL]);
    bench_add("money_print/long", print, &kinds[LONG]);
}
