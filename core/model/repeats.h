/* core/model/repeats.h: records of a task's own inputs that an earlier day of the book took in already.
 *
 *     repeats_init
 *       repeats_add     any worker, while they are looked for
 *       repeats_seal    once; from here on it is read
 *       repeats_find, repeats_has_key
 *     repeats_fini
 *
 * Usually there is none, and then nothing is asked twice. Threads: as said; the caller's barriers order the two halves.
 */
#ifndef TIEOUT_CORE_MODEL_REPEATS_H
#define TIEOUT_CORE_MODEL_REPEATS_H

#include "core/base/diag.h"
#include "core/model/words.h"
#include <pthread.h>
#include <stdint.h>

enum repeat_kind {
    REPEAT_NONE,
    REPEAT_EQUAL, /* as it came before */
    REPEAT_OTHER  /* its id came before, with other contents */
};

struct repeat {
    uint64_t place;
    uint32_t key; /* of the index's hash */
    uint8_t side, kind;
};

struct repeats {
    pthread_mutex_t lock;
    struct repeat *items; /* after seal: slots, free ones have kind REPEAT_NONE */
    uint64_t count, room;
    uint64_t *keys; /* after seal: a bit for each key there is */
    int all_keys;   /* of one of them the index's hash is not known: any key may be its */
};

void repeats_init(struct repeats *repeats);
void repeats_fini(struct repeats *repeats);
/* `odd_key` 1: repeat->key is not the index's. */
enum err repeats_add(struct repeats *repeats, const struct repeat *repeat, int odd_key, struct diag *diag);
enum err repeats_seal(struct repeats *repeats, struct diag *diag);
enum repeat_kind repeats_find_one(const struct repeats *repeats, unsigned side, uint64_t place);

static inline enum repeat_kind repeats_find(const struct repeats *repeats, unsigned side, uint64_t place)
{
    return repeats && repeats->count ? repeats_find_one(repeats, side, place) : REPEAT_NONE;
}

/* 0: no record with this key is one of them. */
enum { REPEATS_KEY_BITS = 20 };
static inline int repeats_has_key(const struct repeats *repeats, uint32_t key)
{
    if (!repeats || !repeats->count)
        return 0;
    const uint32_t bit = (key * 0x9E3779B1u) >> (32 - REPEATS_KEY_BITS);
    return repeats->all_keys || (repeats->keys[bit / 64] >> (bit % 64) & 1);
}

#endif
