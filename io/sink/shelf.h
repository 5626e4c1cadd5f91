/* io/sink/shelf.h: items of one size put aside by part, all of them in memory, and never moved.
 *
 *     shelf_open
 *       shelf_put       each lane by its worker: appends an item to a part
 *       shelf_end       once a lane: nothing more comes from it
 *     (all lanes ended)
 *       shelf_next      any worker: a part's items, block by block; they stay where they are
 *       shelf_take      a part's items are done with, and its blocks the caller's, for what is made of them
 *     shelf_close
 *
 * Items of a part gather in a line of its own, which goes to the part's block past the caches when it is full: a block's line is written
 * once, whole, and never read for that. So what is written to all over is a line or two of each part, which stay in the second-level cache.
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

enum { SHELF_LINE = 64, SHELF_BLOCK = 16384, SHELF_PAYLOAD = SHELF_BLOCK - SHELF_LINE };

struct shelf;
struct shelf_config {
    uint32_t lanes, parts;
    uint32_t item;   /* bytes: 24, 40 */
    uint64_t memory; /* of all lanes; blocks only */
};

/* What a lane puts into one part, until a line of it is full. Two lines, of which the first one is mostly enough. */
struct shelf_gather {
    uint64_t used; /* bytes */
    uint8_t bytes[2 * SHELF_LINE - 8];
};
_Static_assert(sizeof(struct shelf_gather) == 2 * SHELF_LINE, "lines");

/* And where it goes then. */
struct shelf_part {
    uint8_t *at, *end; /* of its block: where the next line goes */
    struct shelf_block *first, *last;
    uint64_t carried; /* bytes in blocks */
};

struct shelf_lane {
    struct shelf_part *parts;
    struct shelf_gather *gather; /* one a part */
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
/* A line that is full to the part's block. 0: there is no room, and it stays where it is. */
int shelf_carry(struct shelf_lane *lane, uint32_t part);
/* What the lane put is there for others. */
void shelf_end(struct shelf *shelf, uint32_t lane);
uint64_t shelf_size(const struct shelf *shelf, uint32_t part); /* bytes */
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
    struct shelf_block *block;
    int began;
};
int shelf_next(const struct shelf *shelf, struct shelf_walk *walk);

/* Where the lane's next item of the part goes, and shelf_put when it is there. 0: the item is taken, and there is no room for more: the
 * lane must not put any. */
static inline uint8_t *shelf_room(const struct shelf_lane *lane, uint32_t part)
{
    return lane->gather[part].bytes + lane->gather[part].used;
}
static inline int shelf_put(struct shelf_lane *lane, uint32_t part, uint32_t item)
{
    struct shelf_gather *const g = &lane->gather[part];
    g->used += item;
    return g->used < SHELF_LINE || shelf_carry(lane, part);
}

#endif
