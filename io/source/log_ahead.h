/* io/source/log_ahead.h: rows of a log that were read again before they are asked for.
 *
 * Rows that broke are judged by key, and those of a key's neighbours lie all over the log: fetched one by one, each is a call to the
 * system, and each inflates its transaction. So many more than are judged at once are read in the order of the log, and what a record is
 * made of is kept here: the cells that the job reads, as the decoder said them.
 *
 *     log_ahead_open
 *       log_ahead_put    by ascending places
 *       log_ahead_find   any number of times
 *     log_ahead_close
 *
 * Memory: as much as is put, up to `bytes`. Threads: one owner.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_AHEAD_H
#define TIEOUT_IO_SOURCE_LOG_AHEAD_H

#include "core/model/cell.h"

struct normalizer;
struct diag;

/* A row. Cells point into the keeper. */
struct log_ahead_row {
    const struct normalizer *normalizer; /* its table's; the source's */
    uint32_t timestamp;                  /* of its event, epoch seconds */
    uint32_t cell_count;
    struct cell cells[]; /* of the normalizer's columns, in their order */
};

struct log_ahead;
/* Keeps up to `bytes`. NULL: memory is out. */
struct log_ahead *log_ahead_open(size_t bytes);
/* Copies a row: cell k is image[columns[k]]. 1; 0: it does not fit; -1: memory is out. */
int log_ahead_put(struct log_ahead *ahead, uint64_t place, const struct log_ahead_row *row,
                  const struct cell *image, const int *columns);
/* NULL: it was not put. Quick for places that ascend. */
const struct log_ahead_row *log_ahead_find(struct log_ahead *ahead, uint64_t place);
void log_ahead_close(struct log_ahead *ahead);

#endif
