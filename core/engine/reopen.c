/* core/engine/reopen.c: see reopen.h */
#include "core/engine/reopen.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/config/carry.h"

enum { PAIR_HASHES = 1 << 16 };

void reopened_init(struct reopened *r)
{
    *r = (struct reopened){0};
    pthread_mutex_init(&r->lock, NULL);
}

void reopened_fini(struct reopened *r)
{
    mem_give(r->slots);
    bloom_fini(&r->pairs);
    pthread_mutex_destroy(&r->lock);
}

static uint64_t slot_of(const struct reopened *r, uint64_t print)
{
    uint64_t at = (print * 0x9E3779B97F4A7C15ull >> 20) & (r->room - 1);
    while (r->slots[at] && r->slots[at] != print)
        at = (at + 1) & (r->room - 1);
    return at;
}

static enum err put(struct reopened *r, uint64_t print, struct diag *diag)
{
    if (r->count * 2 >= r->room) {
        struct reopened bigger = {.room = r->room ? r->room * 2 : 1024};
        bigger.slots = mem_take_zero(bigger.room, sizeof *bigger.slots);
        if (!bigger.slots)
            return mem_fail(diag, bigger.room * sizeof *bigger.slots, "reopened records");
        for (uint64_t i = 0; i < r->room; i++)
            if (r->slots[i])
                bigger.slots[slot_of(&bigger, r->slots[i])] = r->slots[i];
        mem_give(r->slots);
        r->slots = bigger.slots;
        r->room = bigger.room;
    }
    const uint64_t at = slot_of(r, print);
    r->count += r->slots[at] == 0;
    r->slots[at] = print;
    return OK;
}

static uint64_t print_of(const struct full *row)
{
    const struct span origin = row->carry->origin;
    size_t size = 0; /* without the number of a pair made by hand */
    while (size < origin.size && origin.data[size] != CARRY_HAND_NOW &&
           origin.data[size] != CARRY_HAND_BEFORE)
        size++;
    return hash_bytes(origin.data, size, 1u + row->side) | 1;
}

/* Apart from those of records. */
static uint64_t print_of_pair(uint64_t link)
{
    return hash_bytes(&link, sizeof link, 7) | 1;
}

enum err reopened_put(struct reopened *r, const struct full *row, struct diag *diag)
{
    pthread_mutex_lock(&r->lock);
    enum err err = put(r, print_of(row), diag);
    if (err == OK && row->carry->link) {
        err = put(r, print_of_pair(row->carry->link), diag);
        if (err == OK && !r->pairs.words && !bloom_init(&r->pairs, PAIR_HASHES, 1u << 20))
            err = mem_fail(diag, PAIR_HASHES, "reopened records");
        if (err == OK) {
            bloom_put(&r->pairs, row->carry->link);
            r->links++;
        }
    }
    pthread_mutex_unlock(&r->lock);
    return err;
}

enum err reopened_put_pair(struct reopened *r, uint64_t link, struct diag *diag)
{
    pthread_mutex_lock(&r->lock);
    enum err err = put(r, print_of_pair(link), diag);
    pthread_mutex_unlock(&r->lock);
    return err;
}

static int has(struct reopened *r, uint64_t print)
{
    pthread_mutex_lock(&r->lock);
    const int found = r->room && r->slots[slot_of(r, print)] == print;
    pthread_mutex_unlock(&r->lock);
    return found;
}

int reopened_has(struct reopened *r, const struct full *row)
{
    return has(r, print_of(row));
}

int reopened_has_pair(struct reopened *r, uint64_t link)
{
    return has(r, print_of_pair(link));
}
