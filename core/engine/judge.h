/* core/engine/judge.h: what it takes to judge records, whether all of a key are held at once (resolve.c) or not (crowd.c).
 * Internal to the engine.
 *
 *     judge_fetch     references -> whole rows
 *       judge_admit   those that take part in the pass have their key; the others go their way
 *       (verdicts)
 *       judge_emit, judge_go_on   a row that has its verdict; one that is still open
 */
#ifndef TIEOUT_CORE_ENGINE_JUDGE_H
#define TIEOUT_CORE_ENGINE_JUDGE_H

#include "core/engine/worker.h"

/* Sorts `refs` by side and place and fetches their rows; `*count` is less by those that turn out to be rejects. */
enum err judge_fetch(struct worker *w, struct row_ref *refs, uint32_t *count, struct full *rows,
                     struct arena *arena);
/* The same of some of their fields (core/ops/source.h): they have no verdict to be given. */
enum err judge_fetch_some(struct worker *w, struct row_ref *refs, uint32_t *count, struct full *rows,
                          uint64_t fields, struct arena *arena);
/* A row that left as a pair before is counted as such. */
void judge_revisit(struct worker *w, const struct full *row, const struct row_ref *ref);
/* Once per pass for each row, which `ref` found; `before`: for the carried one in whose place it stands, or NULL. With
 * *admitted the row's key is set and it takes part in the pass. */
enum err judge_admit(struct worker *w, struct full *row, const struct row_ref *ref,
                     const struct row_ref *before, int pass, int *admitted);
/* Sets row->key to what the pass judges together; data NULL: the row takes no part in it. 0 when memory is out. */
int judge_key_of(const struct job *job, int pass, struct arena *arena, struct full *row);
/* A row that has its verdict. Of a pair both are given, one after the other; w->rows_at_hand and refs_at_hand hold them. */
enum err judge_emit(struct worker *w, const struct full *row);
/* Counts one of a pair that goes to match.csv by its place, and not to the results as a row. */
void judge_count(struct worker *w, const struct full *row);
/* What is still open after a pass: to the next one that it takes part in, or its end. */
enum err judge_go_on(struct worker *w, struct full *row, const struct row_ref *ref,
                     const struct row_ref *before, int pass);
/* A final record that sleeps is reopened: it and its pair are noted, and under a later key it is in all sums from now on. */
enum err judge_wake(struct worker *w, struct full *row, int pass);
/* A carried record that is no part of this run after all. */
enum err judge_drop(struct worker *w, struct tally *tally, uint64_t *count, const struct full *row,
                    uint8_t currency, int64_t amount);
/* A final record that nothing reopened: dropped, unless somebody paired it by hand. */
enum err judge_sleep_on(struct worker *w, const struct full *row, const struct row_ref *ref);
/* qsort's: struct row_ref by side and place. */
int judge_by_place(const void *a, const void *b);

#endif
