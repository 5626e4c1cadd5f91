/* io/sink/carried_line.h: what a record that stays open leaves behind, made straight of its row.
 *
 * A row of a file of carried records (core/config/carry.h) has its fields as outputs print them. So the line of suspense.csv, the entry of the verdict
 * log and the row for the next day are pieces of it, and nothing has to be parsed and printed again but what is added up. That holds for usual
 * rows: no quotes, nothing that a spreadsheet would run, each number and date in its usual form. Of any other one carried_line_make says so,
 * and the long road (the source's fetch, rules/verdict, results_slice_put) makes the bytes; for a usual row they are the same.
 *
 *     carried_lines_init
 *       carried_line_make     any number of times
 *     carried_lines_fini
 *
 * Memory: one buffer that grows with the longest row; a line lives until the next one is made. Threads: one owner.
 */
#ifndef TIEOUT_IO_SINK_CARRIED_LINE_H
#define TIEOUT_IO_SINK_CARRIED_LINE_H

#include "core/config/carry.h"
#include "core/model/full.h"
#include "io/sink/keep.h"

enum { CARRIED_CELLS_MAX = CARRY_COLUMNS + FIELDS + 1 + ATTRS_MAX };

struct carried_day { /* a date and its text: the rows beside each other have the same one */
    char text[10];
    uint16_t day;
};

struct carried_lines {
    const struct job *job;
    const struct keep_task *task;
    unsigned order[FIELD_SLOTS], slots; /* canonical */
    uint32_t units;                     /* of a record's prints */
    struct carried_day since, bill, trade;
    char *buffer;
    size_t room;
};

struct carried_line {
    struct full full; /* what beside_count wants: fields, sums, reasons, verdict; texts are the row's */
    struct carry carry;
    struct span key, row, place; /* a line of suspense.csv, where it stands in ≺ */
    struct span log_key, entry;  /* of the verdict log */
    struct span open_key, open;  /* the next day's row, behind its print */
    char amount[32];
};

/* 1 when rows under this header may be usual ones. */
int carried_lines_suit(const struct job *job, struct span header);
void carried_lines_init(struct carried_lines *lines, const struct job *job, const struct keep_task *task);
void carried_lines_fini(struct carried_lines *lines);
/* `row` without its newline, at the byte `place` of its file. 1: made; 0: it is no usual one; -1: no memory. */
int carried_line_make(struct carried_lines *lines, enum side side, struct span row,
                      const union open_unit *prints, uint64_t place, struct carried_line *out);

#endif
