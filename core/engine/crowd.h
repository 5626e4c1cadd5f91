/* core/engine/crowd.h: keys with more records than are held at once.
 *
 * A job keyed by merchant, or an order number that is nearly always empty, has keys with millions of records. Their verdicts are
 * those of any key, but each pass needs only a part of the key's records at hand:
 *
 *     IN           references, in whatever order they were put: rows are fetched, and hashed
 *     OCCURRENCE   P1: rows of one key, side and occurrence id are judged together
 *     SIGMA        P2: rows of one key and sigma
 *     REST         P3 to P3d, P6: what is left of a key: usually little; else one question about all of it
 *
 * Between two stages rows are references of 64 bytes in spools, by a hash of what the next stage brings together, and all workers
 * take partitions of them. What even then is more than can be held (one occurrence id, one sigma, one key) is judged in streams:
 * the lowest of a set, pairs by their rank in the order of the records, sums, or tolerance pairs by runs of amounts so far apart
 * that nothing pairs across. Nothing costs more than n log n.
 *
 * A sigma with as many records on each side, of one date a side, is matched without fetching rows again, where no match.csv is
 * wanted: most of a crowd's rows are read twice in all, both times in their files' order.
 *
 * What is not split: what P2 left of a key of several currencies where there are rates (P3x), a run of amounts within tolerance of
 * each other, and netting of reversals (P7). Where that is more than a worker's memory the run stops with memory.group.
 *
 * Threads: crowd_judge is called by all workers and has barriers inside; crowd_put by a worker for itself.
 */
#ifndef TIEOUT_CORE_ENGINE_CROWD_H
#define TIEOUT_CORE_ENGINE_CROWD_H

#include "core/engine/worker.h"

enum { CROWD_SHARES = 64 /* partitions of IN */ };

/* How many records of one key are judged at once; more are a crowd. */
uint32_t crowd_rows(const struct run_config *config);
/* 1 when crowds of this run can be judged in parts. */
int crowd_splits(const struct run_config *config);
/* Opens w->crowd[CROWD_IN], where the index puts crowds of the first key. */
enum err crowd_open(struct worker *w);
/* Rows of keys that very many rows have go to the crowds while they are read, where this run can do so: w->outbox.door is set then. */
void crowd_door_open(struct worker *w);
void crowd_door_close(struct worker *w);
/* A record of a crowd: all of its key must come here, in this pass. */
enum err crowd_put(struct worker *w, const struct row_ref *ref);
/* Judges all crowds of a pass, those of a key. `err` is the worker's so far. */
enum err crowd_judge(struct worker *w, int pass, enum err err);
enum err crowd_too_many(struct worker *w, const struct row_ref *ref, uint64_t count, uint64_t needed,
                        uint64_t allowed);

#endif
