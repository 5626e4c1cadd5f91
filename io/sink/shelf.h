/* io/sink/shelf.h: items of one size put aside by part, all of them in memory, and never moved.
 *
 *     shelf_open
 *       shelf_put       each lane by its worker: appends an item to a part (shelf_wide.h: a block of items)
 *       shelf_end       once a lane: nothing more comes from it
 *     (all lanes ended)
 *       shelf_next      any worker: a part's items, block by block; they stay where they are
 *       shelf_take      a part's items are done with, and its blocks the caller's, for what is made of them
 *     shelf_close
 *
 * What a part's next line will hold gathers in a line of its own, which goes to the part's block past the caches when it is full: a block's
 * line is written once, whole, and never read for that. So what is written to all over is a line of each part, and these stay in the
 * second-level cache. Where an item goes in the gathering line is said by where it goes in the block; an item that does not fit goes on
 * at the line's beginning.
 *
 * Memory   pieces of 2 MiB as they are filled, so many as `memory` has room for; what a lane takes lies on its node.
 * Threads  shelf_put and shelf_end: a lane's owner; shelf_next: any, each with its own walk.
 */
#ifndef TIEOUT_IO_SINK_SHELF_H
#define TIEOUT_IO_SINK_SHELF_H

#include "core/base/check.h"
#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    SHELF_LINE = 64,
    SHELF_WORDS = SHELF_LINE / 8,
    SHELF_BLOCK = 16384,
    SHELF_PAYLOAD = SHELF_BLOCK - SHELF_LINE
};

struct shelf;
struct shelf_config {
    uint32_t lanes, parts;
    uint32_t item;   /* bytes: 24, 40 */
    uint64_t memory; /* of all lanes; blocks only */
};

/* A part's blocks. */
struct shelf_part {
    struct shelf_block *first, *last;
    uint64_t count;
};

struct shelf_lane {
    /* Of each part: where its next item goes, and its gathering line. A multiple of SHELF_BLOCK: there is no block, or it is full. */
    uint64_t *next;
    uint64_t (*gather)[SHELF_WORDS];
    struct shelf_part *parts;
    uint8_t *free, *free_end;
    uint8_t **pieces;
    struct shelf *shelf;
    uint32_t piece_count, piece_room, given; /* `given` back, of the first */
};

/* Items lie behind this head. */
struct shelf_block {
    struct shelf_block *next;
    uint8_t pad[SHELF_LINE - sizeof(void *)];
};
_Static_assert(sizeof(struct shelf_block) == SHELF_LINE, "a line");

enum err shelf_open(struct shelf **out, const struct shelf_config *config, struct diag *diag);
struct shelf_lane *shelf_lane(struct shelf *shelf, uint32_t lane);
/* Where the part's next block begins to be filled; `next` says so. 0: there is no room. */
uint64_t shelf_block(struct shelf_lane *lane, uint32_t part);
/* What the lane put is there for others. */
void shelf_end(struct shelf *shelf, uint32_t lane);
uint64_t shelf_size(const struct shelf *shelf, uint32_t part); /* bytes; all lanes ended */
/* A part's items are done with: its blocks go in front of `list`. What they hold must not be wanted any more; they live as long as the shelf's
 * others. */
void shelf_take(struct shelf *shelf, uint32_t part, struct shelf_block **list);
/* One more block, by the lane's worker, whatever `memory` says. NULL: memory is out. */
struct shelf_block *shelf_spare(struct shelf *shelf, uint32_t lane);
/* A lane's items are done with: its memory is given back, by anybody. */
void shelf_clear(struct shelf *shelf, uint32_t lane);
void shelf_close(struct shelf *shelf);

/* The next items of a part, lane after lane. Zeroed, with `part`, at first; 0 when there are none left. */
struct shelf_walk {
    uint32_t part;
    uint8_t *items;
    size_t size;
    uint32_t lane; /* from here on shelf_next's */
    int began;
    struct shelf_block *block;
};
int shelf_next(const struct shelf *shelf, struct shelf_walk *walk);

static inline int shelf_is_block_end(uint64_t next)
{
    return next % SHELF_BLOCK == 0;
}

/* Appends an item of so many words, the shelf's. 0: there is no room, and it was not put. */
static inline __attribute__((always_inline)) int shelf_put(struct shelf_lane *lane, uint32_t part,
                                                           const uint64_t *item, const uint32_t words)
{
    uint64_t to = lane->next[part];
    if (UNLIKELY(shelf_is_block_end(to)) && (to = shelf_block(lane, part)) == 0)
        return 0;
    uint64_t *const line = lane->gather[part];
    const uint32_t at = to / 8 % SHELF_WORDS;
    if (at + words < SHELF_WORDS) {
        for (uint32_t k = 0; k < words; k++)
            line[at + k] = item[k];
    } else {
        uint64_t *const full = (uint64_t *)(uintptr_t)(to - to % SHELF_LINE);
        uint64_t before[SHELF_WORDS];
        memcpy(before, line, sizeof before);
        for (uint32_t k = 0; k < words; k++)
            line[(at + k) % SHELF_WORDS] = item[k];
        /* Word by word, as they were just written: what is taken up in larger pieces than it was put down in waits until it is in the
         * cache. */
        for (uint32_t k = 0; k < SHELF_WORDS; k++) {
            const uint64_t word = k < at ? before[k] : ((volatile uint64_t *)line)[k];
#if defined(__x86_64__)
            _mm_stream_si64((long long *)full + k, (long long)word);
#else
            full[k] = word;
#endif
        }
    }
    lane->next[part] = to + words * sizeof *item;
    return 1;
}

#endif
