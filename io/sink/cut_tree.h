/* io/sink/cut_tree.h: which of many ranges a key lies in.
 *
 *     cut_tree_make       from the ranges' cuts, in order
 *       cut_tree_find     for each key: how many cuts are at or before it
 *     cut_tree_fini
 *
 * Keys of one day begin alike and differ late, so a search that compares whole keys reads the same bytes at each of its steps.
 * Here a key is gone through once, eight bytes at a time: those that some cuts share lead to what these go on with.
 *
 * Memory   a few words a cut. The cuts stay the caller's and must live as long. Threads: any may search.
 */
#ifndef TIEOUT_IO_SINK_CUT_TREE_H
#define TIEOUT_IO_SINK_CUT_TREE_H

#include "core/base/span.h"
#include <stdint.h>

struct cut_branch {
    uint32_t end;  /* cuts in this branch of its node and in those before */
    uint32_t node; /* that tells its cuts apart; 0: they are compared whole */
};
struct cut_node {
    uint32_t first, count; /* of its branches */
    uint32_t begin;        /* cuts before all of them */
    uint32_t depth;        /* bytes that all its cuts share */
    uint32_t near;         /* of a wide node: where its part of `nears` begins */
    uint32_t near_count;   /* 0: it is not wide */
    unsigned shift;
};
/* Keys that begin alike come by the thousand: what a wide node's cuts share leads to it at once. */
enum { CUT_DOORS = 64 };
struct cut_tree {
    const struct span *cuts; /* borrowed */
    uint64_t *words;         /* of a branch: what its cuts go on with, first byte highest */
    struct cut_branch *branches;
    struct cut_node *nodes; /* the first one is where a search begins */
    uint32_t
        *nears; /* of a wide node, by the upper bits of a word: how many of its words lie before all such */
    uint32_t doors[CUT_DOORS]; /* by a hash of a key's first words: a wide node, or 0 */
    uint32_t door_words;       /* that are hashed; 0: there are no doors */
    uint32_t cut_count, branch_count, branch_room, node_count, node_room, near_count;
};

/* `cuts` in order, none twice. 0 when memory is out. */
int cut_tree_make(struct cut_tree *tree, const struct span *cuts, uint32_t count);
uint32_t cut_tree_find(const struct cut_tree *tree, struct span key);
void cut_tree_fini(struct cut_tree *tree);

#endif
