/* core/ops/tap.h: rows that are told on while they are read.
 *
 * match.csv wants nearly every row of both files in another order. What it wants of usual rows is at hand when they become
 * records, so it takes it then (outbox.tap), and neither file is read a second time. A source that can say so has
 * `tap_file`; it calls `rows` once for a block of usual rows, and `row` for each other one. Every record that goes out is
 * told once. Threads: a tap has one owner, a worker.
 */
#ifndef TIEOUT_CORE_OPS_TAP_H
#define TIEOUT_CORE_OPS_TAP_H

#include "core/rules/plain.h"

enum { TAP_LINES = 2048 }; /* lines are told from the start of such a block of the file on */

/* Usual rows that follow each other; those of `block` from 0 on. */
struct tap_rows {
    const struct plain_plan *plan;
    const struct plain_block *block;
    const uint8_t *bytes; /* its place is a multiple of TAP_LINES */
    const uint32_t *seps; /* of the first row */
    uint64_t place;       /* of bytes[0] */
    uint32_t count, columns;
    int has_cr, packs; /* `packs`: the block has packed keys */
};

/* A row that was not as usual, or stood beside such. */
struct tap_row {
    const struct record *record; /* with its place */
    struct span text;            /* of plan->told */
    uint32_t size;               /* bytes, with the line's end */
    uint32_t lines;              /* newlines before it in its block of TAP_LINES bytes */
};

struct tap {
    enum err (*rows)(struct tap *tap, const struct tap_rows *rows, struct diag *diag);
    enum err (*row)(struct tap *tap, const struct tap_row *row, struct diag *diag);
};

#endif
