/* core/model/dict.h: words that repeat (status words, channel codes) as 16-bit numbers.
 *
 *     dict_open -> dict_number any number of times -> dict_close
 *
 * Equal bytes give equal numbers, whoever asks; which number it is depends on timing, so it shows in no
 * output. Number 0 is the empty word. Each worker has a dict_cache of its own, so the lock is taken about
 * once per worker and word. Threads: any; a dict_cache has one owner.
 */
#ifndef TIEOUT_CORE_MODEL_DICT_H
#define TIEOUT_CORE_MODEL_DICT_H

#include "core/base/diag.h"
#include "core/base/short.h"
#include "core/base/span.h"

enum { DICT_WORDS_MAX = 65000, DICT_CACHE_SLOTS = 64, DICT_FULL = 0xFFFF };

struct dict;
struct dict_cache { /* words of up to SHORT_MAX bytes; zeroed to begin with */
    struct {
        struct short_text word;
        uint32_t number; /* 0: free; the empty word never comes here */
        uint32_t size;
    } slots[DICT_CACHE_SLOTS];
};

enum err dict_open(struct dict **out, struct diag *diag);
void dict_close(struct dict *dict);
/* DICT_FULL when there is no room for a new word (or no memory): then the run must fail, since which words
 * came in time depends on timing. Whoever ends the reading asks dict_check. */
uint16_t dict_number_slow(struct dict *dict, struct span word);
/* The text of a number that was given; no lock is taken. "" for 0. */
struct span dict_word(const struct dict *dict, uint16_t number);
/* OK when every word that was asked for has its number. */
enum err dict_check(struct dict *dict, struct diag *diag);

/* Of a word of 1 to SHORT_MAX bytes that are loaded already. */
static inline uint16_t dict_number_of(struct dict *dict, struct dict_cache *cache, struct span word,
                                      struct short_text t)
{
    unsigned slot = (unsigned)((t.low ^ t.high) * 0x9E3779B97F4A7C15ull >> 58);
    if (cache->slots[slot].number && cache->slots[slot].word.low == t.low &&
        cache->slots[slot].word.high == t.high && cache->slots[slot].size == word.size)
        return (uint16_t)cache->slots[slot].number;
    uint16_t number = dict_number_slow(dict, word);
    if (number != DICT_FULL) {
        cache->slots[slot].word = t;
        cache->slots[slot].size = (uint32_t)word.size;
        cache->slots[slot].number = number;
    }
    return number;
}

static inline uint16_t dict_number(struct dict *dict, struct dict_cache *cache, struct span word)
{
    if (word.size == 0)
        return 0;
    if (word.size > SHORT_MAX)
        return dict_number_slow(dict, word);
    return dict_number_of(dict, cache, word, short_load(word.data, word.size));
}

#endif
