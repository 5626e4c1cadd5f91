/* core/model/dict.h: words that repeat (status words, channel codes) as 16-bit numbers.
 *
 *     dict_open -> dict_number any number of times -> dict_close
 *
 * Equal bytes give equal numbers, whoever asks; which number it is depends on timing, so it shows in no output. Number 0 is the
 * empty word. Each worker has a dict_cache of its own, so the lock is taken about once per worker and word.
 * Threads: any; a dict_cache has one owner.
 */
#ifndef TIEOUT_CORE_MODEL_DICT_H
#define TIEOUT_CORE_MODEL_DICT_H

#include "core/base/diag.h"
#include "core/base/span.h"

enum { DICT_WORDS_MAX = 65000, DICT_CACHE_WORD = 29, DICT_CACHE_SLOTS = 64, DICT_FULL = 0xFFFF };

struct dict;
struct dict_cache {
    struct {
        uint8_t size; /* 0: free */
        char word[DICT_CACHE_WORD];
        uint16_t number;
    } slots[DICT_CACHE_SLOTS];
};

enum err dict_open(struct dict **out, struct diag *diag);
void dict_close(struct dict *dict);
/* DICT_FULL when there is no room for a new word (or no memory). */
uint16_t dict_number_slow(struct dict *dict, struct span word);

static inline uint16_t dict_number(struct dict *dict, struct dict_cache *cache, struct span word)
{
    if (word.size == 0)
        return 0;
    if (word.size > DICT_CACHE_WORD)
        return dict_number_slow(dict, word);
    unsigned slot = ((unsigned char)word.data[0] * 7u + (unsigned char)word.data[word.size - 1] * 5u + (unsigned)word.size) %
                    DICT_CACHE_SLOTS;
    if (cache->slots[slot].size == word.size && memcmp(cache->slots[slot].word, word.data, word.size) == 0)
        return cache->slots[slot].number;
    uint16_t number = dict_number_slow(dict, word);
    if (number != DICT_FULL) {
        cache->slots[slot].size = (uint8_t)word.size;
        memcpy(cache->slots[slot].word, word.data, word.size);
        cache->slots[slot].number = number;
    }
    return number;
}

#endif
