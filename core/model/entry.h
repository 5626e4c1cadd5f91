/* core/model/entry.h: one line of the verdict log: what became of a record, or of a pair, in a task.
 *
 *     entry_encode    into a buffer that grows
 *     entry_decode    texts are borrowed from the bytes
 *
 * The log holds every verdict but that of plain exact pairs, which are told by their counts, sums and the hashes of the inputs. A
 * reversal takes back a verdict that was given before: by an earlier task (a late partner), or by this task's revision before.
 * Read from its beginning, +1 for a verdict of its segment's own revision and for one that stands again, -1 for a reversal, those that
 * are `repeated` left out, the log adds up to the verdicts that stand: those of each task's last segment, less the reversals and with the
 * AGAINs of those segments that are no `undo`.
 *
 * Bytes: little-endian; texts with a 32-bit length before them; a version first. They depend on inputs, job and carried records alone.
 * Threads: any.
 */
#ifndef TIEOUT_CORE_MODEL_ENTRY_H
#define TIEOUT_CORE_MODEL_ENTRY_H

#include "core/base/span.h"
#include "core/model/words.h"
#include <stdint.h>

/* AGAIN: a verdict that was taken back stands again, under its old revision: what took it back is no more. */
enum entry_kind { ENTRY_VERDICT = 1, ENTRY_REVERSAL = 2, ENTRY_AGAIN = 3, ENTRY_KINDS };
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
        repeated; /* REVERSAL, AGAIN: an earlier revision of this task said it already, and it still holds */
    uint8_t undo; /* REVERSAL, AGAIN: said only because the revision before had said the opposite */
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
/* Kind and class alone. 0 as above. */
int entry_peek(const uint8_t *bytes, size_t size, unsigned *kind, unsigned *class_id);

/* Of whom and what a verdict speaks, and who gave it, without the revision: a verdict, its reversal and its AGAIN have the same. */
uint64_t entry_print(const struct entry *entry);
/* 1: it says something that no revision of its task before `segment_revision` had said. */
static inline int entry_is_news(const struct entry *entry, uint32_t segment_revision)
{
    return entry->kind == ENTRY_VERDICT ? entry->revision == segment_revision : !entry->repeated;
}

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
