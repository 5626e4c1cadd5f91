/* core/model/log_days.c: see log_days.h */
#include "core/model/log_days.h"
#include <string.h>

void log_sums_merge(struct log_sums *into, const struct log_sums *from, int sign)
{
    uint64_t a[LOG_SUMS_WORDS], b[LOG_SUMS_WORDS];
    memcpy(a, into, sizeof a);
    memcpy(b, from, sizeof b);
    for (int i = 0; i < LOG_SUMS_WORDS; i++)
        a[i] += sign < 0 ? 0 - b[i] : b[i];
    memcpy(into, a, sizeof a);
}

void log_days_merge(struct log_days *into, const struct log_days *from)
{
    for (int side = 0; side < SIDES; side++)
        for (int back = 0; back < LOG_DAYS; back++) {
            log_sums_merge(&into->told[side][back], &from->told[side][back], 1);
            log_sums_merge(&into->was[side][back], &from->was[side][back], 1);
            log_sums_merge(&into->is[side][back], &from->is[side][back], 1);
            log_sums_merge(&into->timeless[side][back], &from->timeless[side][back], 1);
        }
}

int log_sums_is_none(const struct log_sums *sums)
{
    static const struct log_sums none;
    return log_sums_equal(sums, &none);
}

int log_sums_equal(const struct log_sums *a, const struct log_sums *b)
{
    return a->records == b->records && a->ids == b->ids && a->prints == b->prints;
}

/* 1 / odd, modulo 2^64: each step doubles the bits that are right. */
static uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd * 3 ^ 2; /* five bits */
    for (int i = 0; i < 4; i++)
        x *= 2 - odd * x;
    return x;
}

/* Into `name` the key of which two sets hold one record more or less, or otherwise; its size, 0: it is not one. */
static size_t divide(const struct log_sums *then, const struct log_sums *now, char name[LOG_NAME_MAX])
{
    const uint64_t difference = now->prints - then->prints;
    /* The sums differ by this times the key, modulo 2^64; of its even part so many bits of the key are lost. */
    const int lost = difference ? __builtin_ctzll(difference) : 64;
    size_t size = 0;
    if (lost > 32)
        return 0;
    const uint64_t by = inverse(difference >> lost);
    for (int lane = 0; lane < LOG_NAME_LANES; lane++) {
        const uint64_t sum = now->weighted[lane] - then->weighted[lane];
        const uint32_t four = (uint32_t)((sum >> lost) * by);
        if ((uint64_t)four * difference != sum)
            return 0;
        for (int i = 0; i < 4; i++) {
            name[4 * lane + i] = (char)(uint8_t)(four >> (8 * i));
            if (name[4 * lane + i])
                size = (size_t)(4 * lane + i + 1);
        }
    }
    return size;
}

/* Not in line: the compiler would take the roads of longer texts for possible ones. */
static __attribute__((noinline)) uint64_t hash_of(const char *name, size_t size, unsigned log, uint64_t seed)
{
    return log_id_hash((struct span){name, size}, log, seed);
}

size_t log_sums_name(const struct log_sums *then, const struct log_sums *now, uint64_t seed,
                     char name[LOG_NAME_MAX + 1], unsigned *log)
{
    size_t size = divide(then, now, name);
    const uint64_t sum = now->weighted[LOG_NAME_LANES] - then->weighted[LOG_NAME_LANES];
    for (*log = 0; *log < RECORD_LOGS; ++*log)
        if (hash_of(name, size, *log, seed) * (now->prints - then->prints) == sum)
            break;
    if (*log == RECORD_LOGS)
        *log = 0, size = 0;
    name[size] = 0;
    return size;
}
