/* bench/micro_ring.c: pointers through a spsc ring and back, between two threads; one lane of the engine. */
#include "bench/shim.h"
#include "core/base/spsc.h"
#include <pthread.h>
#include <sched.h>

enum { SLOTS = 16, BATCHES = 8, SPINS = 256 };

struct lane {
    struct spsc full, empty;
    void *full_slots[SLOTS], *empty_slots[SLOTS];
    uint64_t batches[BATCHES];
    uint64_t count;
};

static void *pop_wait(struct spsc *ring)
{
    void *p;
    for (unsigned turn = 0; !(p = spsc_pop(ring)); turn++)
        if (turn >= SPINS)
            sched_yield(); /* the other side may share this core */
    return p;
}

static void *produce(void *context)
{
    struct lane *lane = context;
    for (uint64_t i = 0; i < lane->count; i++) {
        uint64_t *batch = pop_wait(&lane->empty);
        *batch = i;
        if (!spsc_push(&lane->full, batch)) /* never: there are fewer batches than slots */
            return context;
    }
    return NULL;
}

static void ring(struct bench *bench, const void *context)
{
    (void)context;
    uint64_t count = bench_size(1000000, 1000);
    while (bench_round(bench)) {
        static struct lane lane;
        spsc_init(&lane.full, lane.full_slots, SLOTS);
        spsc_init(&lane.empty, lane.empty_slots, SLOTS);
        lane.count = count;
        for (int i = 0; i < BATCHES; i++)
            spsc_push(&lane.empty, &lane.batches[i]);
        pthread_t thread;
        if (pthread_create(&thread, NULL, produce, &lane) != 0) {
            bench_wrong(bench, "no thread");
            return;
        }
        uint64_t sum = 0;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t *batch = pop_wait(&lane.full);
            sum = bench_mix(sum, *batch);
            spsc_push(&lane.empty, batch);
        }
        void *failed;
        pthread_join(thread, &failed);
        if (failed)
            bench_wrong(bench, "the ring said full when it was not");
        bench_answer(bench, sum);
    }
    bench_items(bench, count, 0);
}

static void alone(struct bench *bench, const void *context)
{
    (void)context;
    struct spsc one;
    void *slots[SLOTS];
    uint64_t count = bench_size(1000000, 1000), value = 7;
    spsc_init(&one, slots, SLOTS);
    while (bench_round(bench)) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < count; i++) {
            spsc_push(&one, &value);
            sum += *(uint64_t *)spsc_pop(&one);
        }
        bench_answer(bench, sum);
    }
    bench_items(bench, count, 0);
}

void benches(void)
{
    bench_add("spsc/there_and_back_two_threads", ring, NULL);
    bench_add("spsc/push_pop_one_thread", alone, NULL);
}
