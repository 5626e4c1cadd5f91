/* core/config/carry.h: files of carried records: what stays open from one bill date to the next.
 *
 * Such a file is a CSV of one side, one row a record, every field in its normalized form, so that it is read by the same road as a bill
 * and gives the same record again. Before the fields stand the columns of enum carry_column. It is the state's own and is never
 * published; cells are quoted where CSV needs it and otherwise left alone.
 */
#ifndef TIEOUT_CORE_CONFIG_CARRY_H
#define TIEOUT_CORE_CONFIG_CARRY_H

#include "core/config/job.h"

enum carry_column {
    CARRY_ORIGIN, /* of a reopened one: FILE@OFFSET in the state folder; first, so that it can be put before a row */
    CARRY_BATCH_NO,      /* name of the task that opened it */
    CARRY_BUFFER_TYPE,   /* 0 local, 1 channel */
    CARRY_DELAYED_TIMES, /* runs that found it open after the one that opened it */
    CARRY_SINCE,         /* bill date of the task that opened it */
    CARRY_DOUBT,         /* 1: dup_suspect */
    CARRY_PLACE,         /* FILE:LINE@OFFSET of its row */
    /* of a final record only: what a reversal takes back */
    CARRY_TASK,
    CARRY_REVISION,
    CARRY_REASONS,
    CARRY_PAIR, /* of one of a pair (a mismatch): 16 digits that its partner has too; on the local row then its whole entry, in hex */
    CARRY_COLUMNS
};
/* Behind an origin, with the number of a pair made by hand: that this task takes up; that an earlier one did. */
#define CARRY_HAND_NOW '!'
#define CARRY_HAND_BEFORE '#'
enum { CARRY_LINK_DIGITS = 16 };
const char *carry_column_name(enum carry_column column);
/* "biz_id" and so on; attrs are "attr:NAME". */
const char *carry_field_name(unsigned field);

/* How files of carried records are read: a source like any other. Borrows `paths`; stays where it is. */
struct carry_spec {
    struct source_spec spec;
    char attrs[ATTRS_MAX][120];
};
void carry_spec_make(struct carry_spec *carry, const struct job *job, enum side side, enum carried carried,
                     const char **paths, int count);

#endif
