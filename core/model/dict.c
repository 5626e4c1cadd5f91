/* core/model/dict.c: see dict.h */
#include "core/model/dict.h"
#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include <pthread.h>

enum { SLOTS = 131072 }; /* twice the words: probes stay short */

struct dict {
    pthread_mutex_t lock;
    struct arena arena;
    uint32_t count;
    enum err failed;       /* of the first word that got no number */
    uint16_t slots[SLOTS]; /* number, 0 free */
    struct span words[DICT_WORDS_MAX + 1];
};

enum err dict_open(struct dict **out, struct diag *diag)
{
    *out = NULL;
    struct dict *dict = mem_take_zero(1, sizeof *dict);
    if (!dict)
        return mem_fail(diag, sizeof *dict, "a dictionary");
    pthread_mutex_init(&dict->lock, NULL);
    arena_init(&dict->arena);
    *out = dict;
    return OK;
}

void dict_close(struct dict *dict)
{
    if (!dict)
        return;
    arena_fini(&dict->arena);
    pthread_mutex_destroy(&dict->lock);
    mem_give(dict);
}

uint16_t dict_number_slow(struct dict *dict, struct span word)
{
    if (word.size == 0)
        return 0;
    uint16_t number = DICT_FULL;
    uint32_t slot = (uint32_t)hash_bytes(word.data, word.size, 0) & (SLOTS - 1);
    pthread_mutex_lock(&dict->lock);
    while (dict->slots[slot] && !span_equal(dict->words[dict->slots[slot]], word))
        slot = (slot + 1) & (SLOTS - 1);
    if (dict->slots[slot]) {
        number = dict->slots[slot];
    } else if (dict->count < DICT_WORDS_MAX) {
        struct span copy = arena_copy(&dict->arena, word);
        if (copy.data) {
            number = (uint16_t)++dict->count;
            dict->words[number] = copy;
            dict->slots[slot] = number;
        } else if (!dict->failed) {
            dict->failed = ERR_MACHINE;
        }
    } else if (!dict->failed) {
        dict->failed = ERR_INPUT;
    }
    pthread_mutex_unlock(&dict->lock);
    return number;
}

struct span dict_word(const struct dict *dict, uint16_t number)
{
    return dict->words[number];
}

enum err dict_check(struct dict *dict, struct diag *diag)
{
    pthread_mutex_lock(&dict->lock);
    enum err failed = dict->failed;
    pthread_mutex_unlock(&dict->lock);
    if (failed == ERR_INPUT)
        return diag_set(
            diag, ERR_INPUT, "words", "is one of them a number of the order, and not a status or a channel?",
            "the status and channel_code columns hold more than %d different words", DICT_WORDS_MAX);
    return failed ? mem_fail(diag, 0, "status and channel words") : OK;
}
