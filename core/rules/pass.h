/* core/rules/pass.h: what the passes over the records of one key share. For core/rules/ only. */
#ifndef TIEOUT_CORE_RULES_PASS_H
#define TIEOUT_CORE_RULES_PASS_H

#include "core/base/hash.h"
#include "core/model/repeats.h"
#include "core/rules/verdict.h"

static inline void finish(struct full *row, enum class_id class_id, uint64_t reasons, int key_no)
{
    row->verdict = (uint8_t)class_id;
    row->reasons |= reasons;
    row->key_no = (uint8_t)key_no;
}

/* An id for a set that no road can change: the key's number and bytes, and for conflicts and netted sets what
 * else tells them apart. Of short texts a hash with one seed may be that of another text with another seed, so all that tells sets
 * apart is hashed as bytes. */
static inline uint64_t set_number(const struct full *row, int key_no, struct span more, unsigned kind)
{
    const uint64_t parts[] = {hash_bytes(row->key.data, row->key.size, 0), (uint64_t)key_no, kind,
                              hash_bytes(more.data, more.size, 0)};
    return hash_bytes(parts, sizeof parts, 0);
}

static inline void pair(struct full *local, struct full *channel, enum class_id class_id, uint64_t reasons,
                        int key_no)
{
    uint64_t noted = local->reasons | channel->reasons; /* date_disagrees of either side shows on the pair */
    finish(local, class_id, reasons | noted, key_no);
    finish(channel, class_id, reasons | noted, key_no);
    local->partner = channel;
    channel->partner = local;
}

/* A member of a set, which adds `value` to it. */
static inline void finish_member(struct full *row, enum class_id class_id, uint64_t reasons, int key_no,
                                 int64_t value)
{
    finish(row, class_id, reasons, key_no);
    row->set_id = set_number(row, key_no, (struct span){"", 0}, 0);
    row->value_micro = value;
}

static inline uint64_t day_cut_bit(const struct full *local, const struct full *channel)
{
    return local->day && channel->day && local->day != channel->day ? REASON_BIT(REASON_DAY_CUT) : 0;
}

static inline uint64_t magnitude(int64_t a)
{
    return a < 0 ? 0 - (uint64_t)a : (uint64_t)a;
}

/* 1 when a record that meets nobody would wait in suspense rather than be final. */
static inline int record_waits(const struct job *job, const struct full *row)
{
    return verdict_tries(row) < (uint32_t)job->suspense_threshold[row->side];
}

/* qsort_r's: by sigma, then ≺. */
int by_sigma(const void *a, const void *b, void *job);
/* qsort's: by ≺. */
int by_order(const void *a, const void *b);
/* Takes what has a verdict out of the scratch. */
void drop_closed(struct verdict_scratch *scratch);
/* `size` bytes of work that the scratch keeps; NULL when memory is out. */
void *scratch_work(struct verdict_scratch *scratch, size_t size);

/* fx.c: P3x. 0 when memory is out. */
int pass_fx(const struct job *job, struct verdict_scratch *scratch, int key_no);
/* The reason that a pair of two currencies gets besides `currency`. */
uint64_t fx_reason(const struct job *job, const struct full *local, const struct full *channel);

/* sets.c: of the open records of a key. 1: they have their verdicts; 0: the rule has nothing to say of them. */
int pass_partials(const struct job *job, struct verdict_scratch *scratch, int key_no);
int pass_splits(const struct job *job, struct verdict_scratch *scratch, int key_no);
void pass_group(const struct job *job, struct verdict_scratch *scratch, int key_no);

#endif
