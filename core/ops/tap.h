/* core/ops/tap.h: rows that are told on while they are read.
 *
 * match.csv wants nearly every row of both files in another order. What it wants of them is at hand when they become
 * records, so it takes it then (outbox.tap), and neither file is read a second time. A source that can say so has
 * `tap_files`; it calls `rows` once for a block of usual rows whose texts are told as they stand there (plain_plan.told), and
 * `row` for each other one. Every record that goes out is told once.
 *
 * Where both sides' rows have one place to meet, they need not be records at all: a tap that `takes` is asked first, and what it took is
 * not put into the outbox, only into its tally. When all is read, rows that met no partner, or more than one, come back as the
 * records they are (sink_ops.join).
 *
 * Threads: a tap has one owner, a worker.
 */
#ifndef TIEOUT_CORE_OPS_TAP_H
#define TIEOUT_CORE_OPS_TAP_H

#include "core/rules/lean.h"
#include "core/rules/plain.h"

enum { TAP_LINES = 2048 }; /* lines are told from the start of such a block of the file on */

/* The files of a side whose rows are told. */
struct tap_files {
    uint64_t end; /* places are below it; each file's first one is a multiple of TAP_LINES */
    struct dict *words;
    int lacks_code, lacks_number; /* no row has a channel_code, a channel_order_no */
};

/* Rows of some of their bytes, which say what rows there will be. */
struct tap_sample {
    struct lean_list list; /* those that are as usual */
    uint64_t bytes, lines; /* of all */
};

/* Usual rows that follow each other; those of `block` from 0 on. */
struct tap_rows {
    const struct plain_plan *plan;
    const struct plain_block *block;
    const uint8_t *bytes; /* its place is a multiple of TAP_LINES */
    const uint32_t *seps; /* of the first row */
    uint64_t place;       /* of bytes[0] */
    uint32_t count, columns;
    int has_cr, packs; /* `packs`: the block has packed keys */
    int wide;          /* the machine has what functions of plain_wide.h use */
};

/* A row by itself. */
struct tap_row {
    const struct record *record; /* with its place */
    const struct lean *lean;     /* as the side's plan says; NULL: the row is not usual */
    const uint8_t *bytes;        /* of the lean row */
    uint32_t size;               /* bytes, with the line's end */
    uint32_t lines;              /* newlines before it in its block of TAP_LINES bytes */
};

struct tap {
    /* `*taken`: a bit for each of the rows, which are PLAIN_BLOCK at most, that the outbox need not have; and whether that is so of the one. */
    enum err (*rows)(struct tap *tap, const struct tap_rows *rows, uint64_t *taken, struct diag *diag);
    enum err (*row)(struct tap *tap, const struct tap_row *row, int *taken, struct diag *diag);
    /* No more rows come, and what was taken is there for others. NULL: nothing was. */
    void (*end)(struct tap *tap);
    int takes; /* 1: it is asked before a record is put; 0: behind, and it takes none */
    const struct match_plan *plan;
    struct lean_list list; /* for the source: the row that it tells */
};

#endif
