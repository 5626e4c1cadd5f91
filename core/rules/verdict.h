/* core/rules/verdict.h: when two records agree. Pure functions over the records of one key.
 *
 * The passes P1 to P3a of SPEC.md section 3, as core/README.md's decisions read them. Nothing here knows
 * where records came from or where verdicts go, and nothing depends on the order in which records are given.
 * Memory: scratch grows in `struct verdict_scratch`, which is used again from group to group. Threads: one
 * owner.
 */
#ifndef TIEOUT_CORE_RULES_VERDICT_H
#define TIEOUT_CORE_RULES_VERDICT_H

#include "core/config/job.h"
#include "core/model/full.h"
#include "core/model/record.h"

struct verdict_scratch {
    struct full **rows[SIDES]; /* open records of a side, in order of ≺ */
    uint32_t count[SIDES];
    uint32_t room;
    void *work; /* tolerance pass */
    size_t work_size;
};

/* Passes P1 (for records that no earlier key judged) and P2 to P3a over the records of one key, in place:
 * those that get a final verdict have it set (verdict, reasons, partner, set_id, key_no); the others stay
 * VERDICT_OPEN, perhaps with dup_suspect. `rows` may be reordered. 0 when memory is out. */
int resolve_group(const struct job *job, struct verdict_scratch *scratch, struct full **rows, uint32_t count,
                  int key_no);

/* ---- the same in parts, for a key of which not all records are held at once (core/engine/crowd.c) ---- */

/* P1 over records of one key and side that no earlier key judged. */
void resolve_occurrences(const struct job *job, struct full **rows, uint32_t count, int key_no);
/* P1's verdict for one of several records with one occurrence id. `conflict`: their σ differ; else it is not the lowest. */
void resolve_duplicate(struct full *row, int key_no, int conflict);
/* P2 over all open records of one key with some σ (whole σs). Sets sigma_matched of what stays open. 0 when memory is out. */
int resolve_exact(const struct job *job, struct verdict_scratch *scratch, struct full **rows, uint32_t count,
                  int key_no);
/* What P2 and P3m say of two records that they pair. */
void resolve_alike(struct full *local, struct full *channel, int key_no);
void resolve_unlike(const struct job *job, struct full *local, struct full *channel, int key_no);
/* 1 when P3 may pair anything. */
int resolve_tolerates(const struct job *job);
/* 0: no pair within tolerance has one amount up to `low` and the other from `high` on. */
int resolve_tolerance_reaches(const struct job *job, int64_t low, int64_t high);
/* P3 over records among which all partners of each are. Sets sigma_matched of what stays open. 0 when memory is out. */
int resolve_tolerance(const struct job *job, struct verdict_scratch *scratch, struct full **rows,
                      uint32_t count, int key_no);
/* P3 to P3d, or P6, over all that P1 and P2 left of one key; sigma_matched is set. 0 when memory is out. */
int resolve_rest(const struct job *job, struct verdict_scratch *scratch, struct full **rows, uint32_t count,
                 int key_no);
/* P3a and P3d for one record. */
void resolve_unclear(struct full *row, int key_no);
void resolve_repeat(struct full *row, int key_no);
/* σ without amount and fee, then gross, then fee: 0 when equal. A total order. */
int sigma_compare(const struct job *job, const struct full *a, const struct full *b);
/* 1 when fees are compared. */
int compares_fee(const struct job *job);

/* P7 over records of one key that no key decided, monetary ones; key_no is that of their key. Those that are netted
 * have their verdict set; `rows` may be reordered. */
void resolve_reversals(struct full **rows, uint32_t count);

/* D8 for a record without any key, which an earlier day took in: as P1 says it of those with one. */
void resolve_came_before(struct full *row);

/* P9 for a record that no key decided: missing, extra, suspense or excluded. */
void resolve_alone(const struct job *job, struct full *row);

/* delayed_times after this task, should it leave the record open. */
static inline uint32_t verdict_tries(const struct full *row)
{
    return row->carry ? row->carry->tries + 1 : 0;
}

/* What being carried adds to the reasons. */
static inline uint64_t verdict_carry_reasons(const struct carry *carry)
{
    return carry->is_late ? REASON_BIT(REASON_LATE)
                          : REASON_BIT(REASON_CARRIED) | (carry->tries ? REASON_BIT(REASON_SECOND_PASS) : 0);
}

/* 1: P9 gave it, for good: its partner never came. */
static inline int verdict_is_final(const struct full *row)
{
    return row->verdict == CLASS_MISSING || row->verdict == CLASS_EXTRA ||
           (row->verdict == CLASS_EXCLUDED && (row->reasons & REASON_BIT(REASON_NON_MONETARY)));
}

void verdict_scratch_fini(struct verdict_scratch *scratch);

/* 1 when channel - local lies in [-before, +after] days (SPEC.md's P2); -1: no limit. A side without a date passes. */
static inline int window_holds_days(int before, int after, uint16_t local_day, uint16_t channel_day)
{
    if (local_day == channel_day || !local_day || !channel_day)
        return 1;
    int days = (int)channel_day - (int)local_day;
    return (before < 0 || days >= -before) && (after < 0 || days <= after);
}

static inline int window_holds(const struct match_rules *match, uint16_t local_day, uint16_t channel_day)
{
    return window_holds_days(match->window_before, match->window_after, local_day, channel_day);
}

#endif
