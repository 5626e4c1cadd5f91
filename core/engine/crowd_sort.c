/* core/engine/crowd_sort.c: items by hash, in place: see crowd_bag.h */
#include "core/engine/crowd_bag.h"

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, FEW = 32 };

static void insert_sort(struct crowd_item *items, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (items[i - 1].hash <= items[i].hash)
            continue;
        const struct crowd_item item = items[i];
        uint32_t k = i;
        for (; k && items[k - 1].hash > item.hash; k--)
            items[k] = items[k - 1];
        items[k] = item;
    }
}

/* By the uppermost bits in which hashes differ, digit by digit: what has one hash is not moved any more. An item is a line: a merge sort
 * copies it some twenty times. */
void crowd_sort_by_hash(struct crowd_item *items, uint32_t count)
{
    if (count <= FEW) {
        insert_sort(items, count);
        return;
    }
    uint64_t differ = 0;
    for (uint32_t i = 1; i < count; i++)
        differ |= items[i].hash ^ items[0].hash;
    if (!differ)
        return;
    const int top = 64 - __builtin_clzll(differ), shift = top > DIGIT_BITS ? top - DIGIT_BITS : 0;
    uint32_t next[DIGITS] = {0}, end[DIGITS];
    for (uint32_t i = 0; i < count; i++)
        next[items[i].hash >> shift & (DIGITS - 1)]++;
    for (uint32_t d = 0, at = 0; d < DIGITS; d++) {
        at += next[d];
        end[d] = at;
        next[d] = at - next[d];
    }
    for (uint32_t d = 0; d < DIGITS; d++)
        while (next[d] < end[d]) {
            struct crowd_item item = items[next[d]];
            for (uint32_t to; (to = item.hash >> shift & (DIGITS - 1)) != d;) {
                const struct crowd_item there = items[next[to]];
                items[next[to]++] = item;
                item = there;
            }
            items[next[d]++] = item;
        }
    for (uint32_t d = 0, from = 0; shift && d < DIGITS; from = end[d++])
        crowd_sort_by_hash(items + from, end[d] - from);
}
