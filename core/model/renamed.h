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
 * only matters where the log has a gap (a carried row that stands under two keys, and none says why). Memory: 24 to 48 bytes a carried
 * record, and 16 bits for as many that left and 65536 more. Threads: any may put; whoever asks comes after all of them, by the caller's hand-over.
 */
#ifndef TIEOUT_CORE_MODEL_RENAMED_H
#define TIEOUT_CORE_MODEL_RENAMED_H

#include "core/base/bloom.h"
#include "core/base/hash.h"
#include "core/model/record.h"
#include <stdatomic.h>

struct renamed_row {
    _Atomic uint64_t id, key; /* id 0: nobody */
};

struct renamed {
    struct renamed_row *rows;
    uint64_t mask; /* rows - 1 */
    struct bloom left;
    uint64_t seed;
    _Atomic int any; /* 1: some row left its key */
};

/* 0 when memory is out. */
int renamed_init(struct renamed *renamed, uint64_t records, uint64_t seed);
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
