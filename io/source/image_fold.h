/* io/source/image_fold.h: the last whole images of rows whose later images are told in part (MINIMAL, NOBLOB).
 *
 * A row is known by the text of its key. Cells are copies; an entry is one block, replaced when the row changes. Rows are wanted
 * first (image_fold_want), then their images are kept in the order of the log; those of other rows are not. Afterwards a folded
 * image is found by its place, also one that another replaced since.
 *
 *     image_fold_init -> image_fold_want ... -> image_fold_put, image_fold_find ... -> image_fold_at ... -> image_fold_fini
 *
 * Memory: about 100 bytes a wanted row and as much for each of its images in part, and their cells. Threads: one owner until nothing is put any more, then read-only.
 */
#ifndef TIEOUT_IO_SOURCE_IMAGE_FOLD_H
#define TIEOUT_IO_SOURCE_IMAGE_FOLD_H

#include "core/base/diag.h"
#include "core/model/cell.h"
#include <stdint.h>

struct image_entry {
    uint64_t hash, place; /* place: of the folded image that these cells are; UINT64_MAX: of a whole one */
    uint32_t id_size, cell_count;
    struct cell *cells; /* NULL: no image yet, or the row is gone */
    void *block;        /* cells and their texts */
    char id[]; /* begins with 0 or 1; with 2, and the place behind it, where no row has it (any more) */
};

struct image_fold {
    struct image_entry **slots;
    size_t count, room; /* room: power of two */
    struct image_entry **by_place;
    size_t by_place_count;
};

void image_fold_init(struct image_fold *fold);
void image_fold_fini(struct image_fold *fold);
enum err image_fold_want(struct image_fold *fold, struct span id, struct diag *diag);
/* NULL: nobody wants that row. */
struct image_entry *image_fold_find(const struct image_fold *fold, struct span id);
/* Keeps a copy of the cells; NULL cells: the row is gone. Cells may be the entry's own. */
enum err image_fold_put(struct image_fold *fold, struct image_entry *entry, const struct cell *cells,
                        uint32_t count, uint64_t place, struct diag *diag);
/* Keeps the cells of an image that no row goes on from: a DELETE's. */
enum err image_fold_keep(struct image_fold *fold, const struct cell *cells, uint32_t count, uint64_t place,
                         struct diag *diag);
/* Nothing is put any more: folded images can be found by their places. */
enum err image_fold_seal(struct image_fold *fold, struct diag *diag);
const struct image_entry *image_fold_at(const struct image_fold *fold, uint64_t place);

#endif
