/* bench/shim.h: Google Benchmark behind C.
 *
 * A bench file defines benches(), which adds its benches; shim.cc has main(). A bench's function runs rounds:
 *
 *     static void sum(struct bench *bench, const void *context)
 *     {
 *         ... prepare, not timed
 *         while (bench_round(bench))
 *             bench_answer(bench, work());
 *         bench_items(bench, records, bytes);
 *     }
 *
 * Every round must give the same answer; it is printed beside the times as a checksum, and a bench whose
 * rounds disagree, or that calls bench_wrong, makes the program end with 1. --tiny makes all data small and
 * the time short: that is how ctest runs them.
 *
 * Threads: a bench and all calls belong to one thread.
 */
#ifndef TIEOUT_BENCH_SHIM_H
#define TIEOUT_BENCH_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench;
typedef void bench_fn(struct bench *bench, const void *context);

/* To be defined by the bench file: calls bench_add. */
void benches(void);

/* `name` is copied; `context` is borrowed until the program ends. */
void bench_add(const char *name, bench_fn *run, const void *context);
/* The same for a bench that times parts of its rounds with bench_begin and bench_end. */
void bench_add_timed(const char *name, bench_fn *run, const void *context);
/* 1 under --tiny. */
int bench_tiny(void);
static inline uint64_t bench_size(uint64_t full, uint64_t tiny)
{
    return bench_tiny() ? tiny : full;
}

/* 1: do the work once more. */
int bench_round(struct bench *bench);
/* What this round found. */
void bench_answer(struct bench *bench, uint64_t answer);
/* Between these two the clock of a timed bench runs; once or more in each round. */
void bench_begin(struct bench *bench);
void bench_end(struct bench *bench);
/* After the rounds: records and bytes that each of them went over; 0 is not shown. */
void bench_items(struct bench *bench, uint64_t items, uint64_t bytes);
/* The bench cannot go on, or has found a wrong answer; leave the function after it. */
void bench_wrong(struct bench *bench, const char *why);
/* The machine lacks what the bench needs; said, and no failure. */
void bench_skip(struct bench *bench, const char *why);

/* Keeps the compiler from dropping or moving the work that made `value`. */
static inline void bench_keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}
/* One step of a checksum over many values. */
static inline uint64_t bench_mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x9E3779B97F4A7C15ull + (sum >> 29);
}

#ifdef __cplusplus
}
#endif

#endif
