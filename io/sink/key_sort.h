/* io/sink/key_sort.h: sorts items by their key bytes, eight bytes at a time.
 *
 * A key is a span of the item's; shorter first where one begins with the other. Entries carry the eight bytes
 * that are looked at, so items are touched once per eight bytes that they share with a neighbour. Threads: any;
 * all state is the caller's.
 */
#ifndef TIEOUT_IO_SINK_KEY_SORT_H
#define TIEOUT_IO_SINK_KEY_SORT_H

#include "core/base/span.h"

struct sort_entry {
    uint64_t word;
    const uint8_t *item;
};

typedef struct span sort_key_fn(const uint8_t *item);

/* `other`: as much room as `entries`; the result is in `entries`. */
void key_sort(struct sort_entry *entries, struct sort_entry *other, size_t count, sort_key_fn *key);

/* Sorts by `word` alone. */
void word_sort(struct sort_entry *entries, struct sort_entry *other, size_t count);

/* Sorts words by the `bits` bits from `shift` on, above which there are none; below them they are in order among equals. At most
 * UINT32_MAX of them. */
void bits_sort(uint64_t *words, uint64_t *other, size_t count, unsigned shift, unsigned bits);

#endif
