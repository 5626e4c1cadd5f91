/* core/base/spsc.h: the ring between two workers: one producer, one consumer, pointers.
 *
 * Pushing a pointer gives the object away; the giver forgets it on that line. Each side keeps a copy of the
 * other's index, so that in the common case a push or a pop touches only its own line and the slot.
 *
 * Memory: the ring is part of its owner; `slots` has a power of two of entries. Threads: exactly one pusher,
 * one popper.
 */
#ifndef TIEOUT_CORE_BASE_SPSC_H
#define TIEOUT_CORE_BASE_SPSC_H

#include <stdatomic.h>
#include <stdint.h>

struct spsc {
    _Alignas(64) _Atomic uint32_t tail; /* next to write; the producer's */
    uint32_t head_seen;
    _Alignas(64) _Atomic uint32_t head; /* next to read; the consumer's */
    uint32_t tail_seen;
    _Alignas(64) uint32_t mask;
    void **slots;
};

static inline void spsc_init(struct spsc *ring, void **slots, uint32_t count)
{
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    ring->head_seen = ring->tail_seen = 0;
    ring->mask = count - 1;
    ring->slots = slots;
}

/* 0 when the ring is full. */
static inline int spsc_push(struct spsc *ring, void *object)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen > ring->mask) {
        /* acquire: pairs with the release in spsc_pop; the slot has been read */
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen > ring->mask)
            return 0;
    }
    ring->slots[tail & ring->mask] = object;
    /* release: pairs with the acquire in spsc_pop; the object's bytes go with it */
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return 1;
}

/* NULL when the ring is empty. */
static inline void *spsc_pop(struct spsc *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        /* acquire: pairs with the release in spsc_push */
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen)
            return (void *)0;
    }
    void *object = ring->slots[head & ring->mask];
    /* release: pairs with the acquire in spsc_push */
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return object;
}

#endif
