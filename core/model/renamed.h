/* core/model/renamed.h: rows in suspense that a log tells under another first key by now.
 *
 *     renamed_init       before anything is read: for so many carried records of sides that a log tells
 *       renamed_carried  while reading: one of them
 *       renamed_left     a row that a change took away from its first key
 *     renamed_has        when all is read: whether a row was carried and has left the key that it was carried under
 *     renamed_fini
 *
 * Such a row's newest image is part of the task, though it is of another bill date: it takes the carried one's place, which is voided. A row
 * is a hash of side and occurrence id. That it left is known by a bloom filter of id and key: it now and then believes too much, which
 * only matters where the log has a gap (a carried row that stands under two keys, and none says why). Memory: 11 bytes a carried
 * record (half of its hash and half of its key's: two rows with one half do no harm, since what left is known by the whole of the one and a half of
 * the other), and 2 to 4 bytes for as many that left and 65536 more. Threads: any may put; whoever asks comes after all of them, by the caller's hand-over.
 */
#ifndef TIEOUT_CORE_MODEL_RENAMED_H
#define TIEOUT_CORE_MODEL_RENAMED_H

#include "core/base/bloom.h"
#include "core/base/hash.h"
#include "core/model/record.h"
#include <stdatomic.h>

struct renamed {
    _Atomic uint64_t *rows; /* half of the id's hash, never 0, and half of the key's; 0: nobody */
    uint64_t count;         /* of rows */
    struct bloom left;
    uint64_t seed;
    _Atomic int any; /* 1: some row left its key */
};

/* 0 when memory is out. */
int renamed_init(struct renamed *renamed, uint64_t records, uint64_t seed);
uint64_t renamed_bytes(const struct renamed *renamed); /* that it holds */
void renamed_fini(struct renamed *renamed);
void renamed_carried(struct renamed *renamed, const struct record *record, struct record_layout layout);
void renamed_left(struct renamed *renamed, const struct record *record, struct record_layout layout);
int renamed_has_row(const struct renamed *renamed, const struct record *record, struct record_layout layout);

/* Mostly nothing was renamed. */
static inline int renamed_has(const struct renamed *renamed, const struct record *record,
                              struct record_layout layout)
{
    return renamed && atomic_load_explicit(&renamed->any, memory_order_relaxed) &&
           renamed_has_row(renamed, record, layout);
}

#endif
