/* core/engine/crowd_wake.c: final records of a crowd sleep on unless a task's own inputs wake them. */
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"

/* Keys of which the other side may be asked whether a record of the day's own inputs has come. */
struct fresh_keys {
    struct fresh_key {
        uint64_t hash;
        char *key;
        size_t size;
        uint8_t fresh[SIDES];
    } * keys;
    uint32_t count, room;
    uint32_t *slots; /* by hash: 1 + the number of a key; 0: none. Twice `room` of them, a power of two */
};

/* Where the key is, or would be. */
static uint32_t *fresh_slot(const struct fresh_keys *all, uint64_t hash, struct span key)
{
    const uint32_t mask = 2 * all->room - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        const uint32_t number = all->slots[at];
        const struct fresh_key *there = number ? &all->keys[number - 1] : NULL;
        if (!there ||
            (there->hash == hash && there->size == key.size && memcmp(there->key, key.data, key.size) == 0))
            return &all->slots[at];
    }
}

/* 0 when memory is out. */
static int fresh_more(struct fresh_keys *all)
{
    const uint32_t room = all->room ? all->room * 2 : 16;
    struct fresh_key *keys = mem_grow(all->keys, room * sizeof *keys);
    if (keys)
        all->keys = keys;
    uint32_t *slots = keys ? mem_take_zero((size_t)room * 2, sizeof *slots) : NULL;
    if (!slots)
        return 0;
    mem_give(all->slots);
    all->slots = slots;
    all->room = room;
    for (uint32_t i = 0; i < all->count; i++)
        *fresh_slot(all, keys[i].hash, (struct span){keys[i].key, keys[i].size}) = i + 1;
    return 1;
}

/* The entry of a key, made when it is not there; NULL when memory is out. Under fresh_lock. */
static struct fresh_key *fresh_key(struct run *run, struct span key)
{
    const uint64_t hash = hash_bytes(key.data, key.size, run->config->hash_seed);
    struct fresh_keys *all = run->fresh_keys;
    if (!all && !(all = run->fresh_keys = mem_take_zero(1, sizeof *all)))
        return NULL;
    if (all->count == all->room && !fresh_more(all))
        return NULL;
    uint32_t *slot = fresh_slot(all, hash, key);
    if (*slot)
        return &all->keys[*slot - 1];
    char *copy = mem_take(key.size + 1);
    if (!copy)
        return NULL;
    memcpy(copy, key.data, key.size);
    all->keys[all->count] = (struct fresh_key){hash, copy, key.size, {0}};
    *slot = all->count + 1;
    return &all->keys[all->count++];
}

void crowd_forget_fresh(struct run *run)
{
    for (uint32_t i = 0; run->fresh_keys && i < run->fresh_keys->count; i++)
        mem_give(run->fresh_keys->keys[i].key);
    if (run->fresh_keys) {
        mem_give(run->fresh_keys->keys);
        mem_give(run->fresh_keys->slots);
    }
    mem_give(run->fresh_keys);
    run->fresh_keys = NULL;
}

/* A task: a record of its own inputs wakes final ones of its key, on the other side. */
enum err crowd_note_fresh(struct crowd *c, const struct full *row)
{
    struct run *run = c->w->run;
    pthread_mutex_lock(&run->fresh_lock);
    struct fresh_key *key = fresh_key(run, row->key);
    if (key)
        key->fresh[row->side] = 1;
    pthread_mutex_unlock(&run->fresh_lock);
    return key ? OK : mem_fail(&c->w->diag, row->key.size, "a key");
}

/* A final record that is to be looked at: does anybody wake it? */
int crowd_sleeps_here(const struct crowd *c, const struct full *row)
{
    return c->pass == 0 ? row->carry && row->carry->is_late : row->sleeps;
}

/* A pair whose records have both come to a key, as a number. */
static uint64_t both_of(const struct crowd *c, const struct full *row)
{
    return hash_bytes(row->key.data, row->key.size, row->carry->link + (uint64_t)c->pass);
}

/* The first record of a pair is noted by its side, the second completes it. */
enum err crowd_note_pair(struct crowd *c, const struct full *row)
{
    struct reopened *together = &c->w->run->together;
    const uint64_t both = both_of(c, row), own = both + 1u + row->side, other = both + 1u + !row->side;
    enum err err = reopened_put_pair(together, own, &c->w->diag);
    return err == OK && reopened_has_pair(together, other) ? reopened_put_pair(together, both, &c->w->diag)
                                                           : err;
}

enum err crowd_is_awake(struct crowd *c, const struct full *row, int *awake)
{
    struct run *run = c->w->run;
    *awake = 1;
    if (!crowd_sleeps_here(c, row))
        return OK;
    pthread_mutex_lock(&run->fresh_lock);
    const struct fresh_key *key = fresh_key(run, row->key);
    *awake = key && key->fresh[!row->side];
    if (key && !*awake && key->fresh[row->side] && row->carry->link)
        *awake = reopened_has_pair(&run->together, both_of(c, row));
    pthread_mutex_unlock(&run->fresh_lock);
    return key ? OK : mem_fail(&c->w->diag, row->key.size, "a key");
}

enum err crowd_wake_up(struct crowd *c, struct full *row, struct crowd_item *item)
{
    if (!crowd_sleeps_here(c, row))
        return OK;
    item->ref.sleeps = 0;
    return judge_wake(c->w, row, c->pass);
}

enum err crowd_sleep_on(struct crowd *c, const struct full *row)
{
    return c->pass ? OK : judge_sleep_on(c->w, row, &c->refs[row - c->rows]);
}
