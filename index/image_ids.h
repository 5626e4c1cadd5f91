/* index/image_ids.h: which entry of a long chain stands for which row of a log.
 *
 * A key's images are one chain, and a new image takes the place of the one with its occurrence id. A short chain is walked; one of more
 * than IMAGE_CHAIN_WALKED entries has its images in this table, so that a key with n rows costs n and not n * n.
 *
 *     image_ids_has      is the chain of this head here?
 *     image_ids_add      its head once, then each of its images, and each new one
 *     image_ids_first, image_ids_next    entries that may be the one; the caller compares
 *     image_ids_fini     forgets all: entries have moved or left
 *
 * Eight bytes a slot, at most three of four taken. Memory that is not to be had is no error: then chains are walked. Threads: the shard's.
 */
#ifndef TIEOUT_INDEX_IMAGE_IDS_H
#define TIEOUT_INDEX_IMAGE_IDS_H

#include "core/base/hash.h"
#include <stddef.h>

enum { IMAGE_CHAIN_WALKED = 48 };

struct image_ids {
    struct image_slot {
        uint32_t tag, entry; /* tag 0: free */
    } * slots;
    uint32_t mask; /* slots less one */
    uint32_t count;
};

static inline uint64_t image_ids_bytes(const struct image_ids *ids)
{
    return ids->slots ? ((uint64_t)ids->mask + 1) * sizeof *ids->slots : 0;
}
/* What the next image_ids_add takes besides; mostly 0. */
static inline uint64_t image_ids_more(const struct image_ids *ids)
{
    const uint64_t slots = ids->slots ? (uint64_t)ids->mask + 1 : 0;
    return slots == 0                    ? 256 * sizeof *ids->slots
           : ids->count >= slots / 4 * 3 ? 2 * slots * sizeof *ids->slots
                                         : 0;
}

/* Of an occurrence id in the chain of a head; of the head itself without an id. Never 0. */
static inline uint32_t image_ids_tag(uint32_t head, const void *id, size_t size)
{
    return (uint32_t)(hash_bytes(id, size, head) >> 32) | 1;
}

/* 0: no memory. */
int image_ids_add(struct image_ids *ids, uint32_t tag, uint32_t entry);
void image_ids_fini(struct image_ids *ids);

/* Slots from `*at` on that have the tag; *at begins with the tag. The entry, or UINT32_MAX when there is none left. */
static inline uint32_t image_ids_next(const struct image_ids *ids, uint32_t tag, uint32_t *at)
{
    if (!ids->slots)
        return UINT32_MAX;
    for (;;) {
        const struct image_slot *slot = &ids->slots[*at & ids->mask];
        if (!slot->tag)
            return UINT32_MAX;
        ++*at;
        if (slot->tag == tag)
            return slot->entry;
    }
}
/* Where a search begins: the tag's lowest bit says nothing. */
static inline uint32_t image_ids_first(uint32_t tag)
{
    return tag >> 1;
}
/* A chain is known by its head, which never moves while it is here. */
static inline int image_ids_has(const struct image_ids *ids, uint32_t head)
{
    const uint32_t tag = image_ids_tag(head, NULL, 0);
    uint32_t at = image_ids_first(tag), entry;
    while ((entry = image_ids_next(ids, tag, &at)) != UINT32_MAX)
        if (entry == head)
            return 1;
    return 0;
}

#endif
