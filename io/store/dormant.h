/* io/store/dormant.h: open records that nobody of the day can meet: told by their prints, and carried on in bulk.
 *
 * A record that is alone under its key is judged by itself alone: it waits one day more. So of the open records of the day before only
 * those are fed to the run whose key a record of the day has, or another carried record, or whose last day has come; the rest are
 * read in their order, beside each other, and merged into the lists where they belong: no place is fetched, nothing is sorted.
 *
 *     dormant_open      reads the prints; their file is checked, the rows' own is by a thread meanwhile
 *       (the run: dormant_keys and dormant_met are its sets)
 *       dormant_wake    once a side, when all else was read: those that somebody may meet, as a file of open records
 *     dormant_start     when the run has ended: from then on results read it through results_sleepers
 *     dormant_finish    when they have: its sums are added to the run's
 *     dormant_close
 *
 * Memory: 32 bits a record for the set of keys, as much for those that came twice and those met, each at most `set_bytes_max` (with less they believe
 * more, and more records are fed to the run); 8 bytes for SLICE records; slices of rows under way.
 * Threads: the control thread; dormant_wake by whichever worker asks, one at a time.
 */
#ifndef TIEOUT_IO_STORE_DORMANT_H
#define TIEOUT_IO_STORE_DORMANT_H

#include "core/base/bloom.h"
#include "core/ops/dormant.h"
#include "core/rules/beside.h"
#include "io/sink/results.h"
#include "io/store/generation.h"
#include "io/store/state.h"

struct dormant;
struct dormant_files {
    struct carry_file rows, prints; /* records 0: none of this side */
};

/* 1 when a job's lone open records are judged by themselves alone. */
int dormant_suits(const struct job *job);
enum err dormant_open(struct dormant **out, const struct state *state, const struct job *job,
                      const struct dormant_files files[SIDES], int64_t task, uint64_t set_bytes_max,
                      struct diag *diag);
/* That its sets hold. */
uint64_t dormant_bytes(const struct dormant *dormant);
const struct bloom *dormant_keys(const struct dormant *dormant);
struct bloom *dormant_met(struct dormant *dormant);
/* 1: the side has some. And the file of its rows. */
int dormant_has(const struct dormant *dormant, enum side side);
const char *dormant_path(const struct dormant *dormant, enum side side);
/* What the run asks by later keys; find NULL: there are none. */
struct dormant_ops dormant_later(struct dormant *dormant);
/* `*path` NULL: nobody is met. */
enum err dormant_wake(struct dormant *dormant, enum side side, const char **path, struct diag *diag);
/* `sources`: of dormant_path, opened by registry_carried; borrowed until dormant_close, as `results` and `sleepers_of` are.
 * `counts`: of each thread (beside_init). */
enum err dormant_start(struct dormant *dormant, struct source *const sources[SIDES], struct results *results,
                       uint32_t threads, const struct aggregate_share *counts, struct diag *diag);
struct sleepers *dormant_sleepers(struct dormant *dormant);
/* Readers get no more: what waits for a slice fails. */
void dormant_call_off(struct dormant *dormant);
/* `*sums` are its own. */
enum err dormant_finish(struct dormant *dormant, struct beside **sums, struct diag *diag);
void dormant_close(struct dormant *dormant);

#endif
