/* tests/unit/core/base/spsc_test.c: what goes in comes out, in order, once; also between two threads */
#include "core/base/prng.h"
#include "core/base/spsc.h"
#include "tests/support/check_test.h"
#include <pthread.h>
#include <sched.h>

TEST(it_holds_as_many_as_it_has_slots)
{
    void *slots[4];
    int objects[6];
    struct spsc ring;
    spsc_init(&ring, slots, 4);
    EXPECT(spsc_pop(&ring) == NULL);
    for (int i = 0; i < 4; i++)
        EXPECT(spsc_push(&ring, &objects[i]));
    EXPECT(!spsc_push(&ring, &objects[4]));
    EXPECT(spsc_pop(&ring) == &objects[0]);
    EXPECT(spsc_push(&ring, &objects[4]));
    for (int i = 1; i < 5; i++)
        EXPECT(spsc_pop(&ring) == &objects[i]);
    EXPECT(spsc_pop(&ring) == NULL);
}

TEST(the_counters_may_run_over)
{
    void *slots[2];
    int objects[2];
    struct spsc ring;
    spsc_init(&ring, slots, 2);
    atomic_store(&ring.tail, UINT32_MAX - 3);
    atomic_store(&ring.head, UINT32_MAX - 3);
    ring.head_seen = ring.tail_seen = UINT32_MAX - 3;
    for (int i = 0; i < 10; i++) {
        EXPECT(spsc_push(&ring, &objects[0]) && spsc_push(&ring, &objects[1]));
        EXPECT(!spsc_push(&ring, &objects[0]));
        EXPECT(spsc_pop(&ring) == &objects[0] && spsc_pop(&ring) == &objects[1] && spsc_pop(&ring) == NULL);
    }
}

enum { OBJECTS = 200000, BODY = 3 };
struct body {
    uint64_t words[BODY];
};
struct pair {
    struct spsc full, empty;
    void *full_slots[8], *empty_slots[8];
};

/* The bodies go round: what the producer wrote into one is there when the consumer gets it, and the other way
 * round. */
static void *produce(void *argument)
{
    struct pair *pair = argument;
    struct prng prng = {1};
    for (uint64_t i = 0; i < OBJECTS; i++) {
        struct body *body;
        while (!(body = spsc_pop(&pair->empty)))
            sched_yield();
        for (int k = 0; k < BODY; k++)
            body->words[k] = i + (uint64_t)k;
        while (!spsc_push(&pair->full, body))
            sched_yield();
        if (prng_below(&prng, 4096) == 0)
            sched_yield();
    }
    return NULL;
}

TEST(two_threads_pass_objects_with_all_their_bytes)
{
    static struct pair pair;
    static struct body bodies[8];
    spsc_init(&pair.full, pair.full_slots, 8);
    spsc_init(&pair.empty, pair.empty_slots, 8);
    for (int i = 0; i < 8; i++)
        EXPECT(spsc_push(&pair.empty, &bodies[i]));
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, produce, &pair) == 0);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < OBJECTS; i++) {
        struct body *body;
        while (!(body = spsc_pop(&pair.full)))
            sched_yield();
        for (int k = 0; k < BODY; k++) {
            wrong += body->words[k] != i + (uint64_t)k;
            body->words[k] = 0;
        }
        while (!spsc_push(&pair.empty, body))
            sched_yield();
    }
    pthread_join(thread, NULL);
    EXPECT(wrong == 0);
    EXPECT(spsc_pop(&pair.full) == NULL);
}
