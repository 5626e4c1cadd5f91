/* core/model/entry.h: one line of the verdict log: what became of a record, or of a pair, in a task.
 *
 *     entry_encode    into a buffer that grows
 *     entry_decode    texts are borrowed from the bytes
 *
 * The log holds every verdict but that of plain exact pairs, which are told by their counts, sums and the hashes of the inputs. A
 * reversal takes back a verdict that was given before: by an earlier task (a late partner), or by this task's revision before.
 *
 * Bytes: little-endian; texts with a 32-bit length before them; a version first. They depend on inputs, job and carried records alone.
 * Threads: any.
 */
#ifndef TIEOUT_CORE_MODEL_ENTRY_H
#define TIEOUT_CORE_MODEL_ENTRY_H

#include "core/base/span.h"
#include "core/model/words.h"
#include <stdint.h>

enum entry_kind { ENTRY_VERDICT = 1, ENTRY_REVERSAL = 2 };
enum { ENTRY_VERSION = 1 };

struct entry_side {
    uint8_t present;
    uint8_t currency; /* index, core/model/currency.h */
    uint8_t has_fee;
    uint8_t carried;      /* it was open before this task */
    uint16_t day;         /* bill date */
    uint16_t since;       /* bill date of the task that opened it; that of this task where it did */
    uint32_t tries;       /* delayed_times after this task */
    int64_t amount_micro; /* signed, OUT is negative */
    int64_t fee_micro;
    struct span text[FIELD_SLOTS]; /* normalized, as outputs print them; attrs in the job's order */
    struct span occurrence;
    struct span place; /* "FILE:LINE@OFFSET" */
};

struct entry {
    uint8_t kind, class_id;
    uint8_t key_no; /* of the key that decided, from 1; 0: none did */
    uint8_t
        repeated; /* a reversal that an earlier revision of this task gave already, and that still stands */
    uint8_t field_count; /* texts of a side: FIELDS and the job's attrs */
    uint32_t revision;   /* of the task that gave it; of a reversal: of what it takes back */
    uint64_t set_id;     /* of an ambiguous set; 0: none */
    struct span task;    /* name of the task that gave the verdict; of a reversal: of what it takes back */
    struct span reasons; /* "amount;status" */
    struct span
        key; /* the tuple that decided, or the first key it has: parts with a 32-bit big-endian length each */
    struct entry_side side[SIDES];
};

/* Bytes that entry_encode needs. */
size_t entry_size(const struct entry *entry);
void entry_encode(const struct entry *entry, uint8_t *out);
/* 0 when the bytes are no entry. */
int entry_decode(struct entry *entry, const uint8_t *bytes, size_t size);

/* The side that leads: local where there is one. */
static inline const struct entry_side *entry_lead(const struct entry *entry)
{
    return &entry->side[entry->side[LOCAL].present ? LOCAL : CHANNEL];
}
/* 1 when both say the same of the same records: kind, revision and places left out. */
int entry_same(const struct entry *a, const struct entry *b);
/* The order of the log: by the leading record's bill date, occurrence id and fields (SPEC.md's ≺ without places), then side. */
int entry_compare(const struct entry *a, const struct entry *b);

#endif
