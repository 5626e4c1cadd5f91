/* io/sink/match.h: match.csv, whose rows are nearly all there are.
 *
 * Everything else that a run writes is what broke: a little, fetched row by row. match.csv wants every row of both
 * files, in an order that is neither's. So its rows go through the machine in streams:
 *
 *     match_open
 *       match_tap         each worker: what is told of rows while they are read
 *       match_join        each worker: those that it took meet
 *       match_put_pairs   each worker: (local place, channel place) of pairs that left the index
 *       match_put_row     each worker: matches that were judged, as a key and a row
 *     (all workers stop)
 *       match_stage       all workers, for stage = 0 .. MATCH_STAGES - 1, with a barrier behind each
 *       match_finish      control thread: the file is whole and durable
 *       match_adds_up     and holds what the engine says
 *     match_close
 *
 *     pairs ─> by slice of one file ─┬─(both files in about the same order)───────────────────┐
 *                                    └─ channel's slices read through ─> by slice of the local ┤
 *     local's slices read through, each row with its channel's part ─> by range of ≺ <─────────┘
 *     range by range: sorted, printed, into the digest and the file
 *
 * Each "by" is a tank (tank.h). Ranges are cut by a sample of the keys; nothing of this shows in the file.
 *
 * Memory   `memory` bytes, roughly, for any number of rows. Threads: as above; lanes are workers' numbers.
 */
#ifndef TIEOUT_IO_SINK_MATCH_H
#define TIEOUT_IO_SINK_MATCH_H

#include "core/model/class_totals.h"
#include "core/ops/outbox.h"
#include "core/ops/sink.h"
#include "io/ring/ring.h"
#include "io/sink/digest.h"

enum { MATCH_STAGES = 6 };

struct match;
struct match_config {
    const struct job *job;
    struct source *const *sources;
    const char *directory;         /* of the staged results */
    const char *head, *place_head; /* the file's first line: what the digest holds of it, and the rest */
    uint32_t lanes;
    size_t memory; /* of all lanes */
    /* Besides, for rows of both files that are taken before they become records; 0: none are. Used only where it holds all of them. */
    uint64_t shelf;
    enum ring_backend backend;
    const volatile int *interrupted; /* may be NULL */
};

/* What becomes of rows, from the shortest road to the longest. */
enum match_road {
    MATCH_MEETS, /* they are taken while they are read, and meet without the index */
    MATCH_TELLS, /* what match.csv wants of them is put aside while they are read; pairs come of the index */
    MATCH_READS_AGAIN
};
/* Which road a run would begin, why it is not a shorter one (NULL: there is none), and what it would put aside, in memory or, as far as it
 * does not fit in `memory`, on disk. */
struct match_outlook {
    enum match_road road;
    const char *why;
    uint64_t shelf, aside;
};
enum err match_look(const struct match_config *config, struct match_outlook *out, struct diag *diag);

enum err match_open(struct match **out, const struct match_config *config, struct diag *diag);
enum err match_put_pairs(struct match *match, uint32_t lane, const struct pair_ref *pairs, uint64_t count,
                         struct diag *diag);
/* *takes: pairs of which many have one key may be put so too, from now on: rows are put in order by all their fields then. 0: not in this
 * run. When all is read; one worker, while the others wait. */
enum err match_take_whole(struct match *match, int *takes, struct diag *diag);
/* What the lane's worker tells of rows that it reads (core/ops/tap.h); NULL: they are read again. */
struct tap *match_tap(struct match *match, uint32_t lane);
/* Rows that the taps took meet (sink_ops.join). Each worker once, when all have read. */
enum err match_join(struct match *match, uint32_t lane, struct outbox *outbox, struct pair_totals *left,
                    struct diag *diag);
/* `key` orders the row among all; `row` without its places and newline, `places` with the comma before them. */
enum err match_put_row(struct match *match, uint32_t lane, struct span key, struct span row,
                       struct span places, struct diag *diag);
enum err match_stage(struct match *match, unsigned stage, uint32_t lane, struct worker_io *io,
                     struct diag *diag);
/* Ends a stage that others are in, because this worker cannot go on. */
void match_stop(struct match *match);
/* `digest` gets that of the file's rows without their places. */
enum err match_finish(struct match *match, char digest[DIGEST_TEXT], struct diag *diag);
/* What stands in the file is what was put: its rows that were judged, and of exact pairs counts and local amounts as the engine has them.
 * After match_finish. */
enum err match_adds_up(const struct match *match, const struct count_and_sum pairs[CURRENCY_COUNT_MAX],
                       struct diag *diag);
uint64_t match_spilled(const struct match *match);
/* Of these, pairs of rows that met without the index. */
uint64_t match_met_pairs(const struct match *match);
/* Pairs whose rows were taken while the files were read; the other ones' were read again. Behind the stages. */
uint64_t match_early_pairs(const struct match *match);
void match_close(struct match *match);

#endif
