/* io/sink/results.h: a run's results: class files sorted by ≺, published whole or not at all.
 *
 *     results_open       makes a staging directory beside the final place; sweeps those that a killed run
 * left (workers put verdicts through results_sink) results_reject   control thread results_write    sorts,
 * merges, writes the class files; gives the digest results_extra    summary.json, aggregate.csv, stats.json
 *       results_publish  fsync, rename, fsync the directory
 *     results_close      takes away what was not published
 *
 * Each worker has a lane per class: rows with their sort key, sorted when a lane's buffer is full and written
 * to an unnamed file, so memory stays within `sort_bytes` per lane however much breaks. Threads:
 * results_sink's put by workers, each its lane; the rest by the control thread.
 */
#ifndef TIEOUT_IO_SINK_RESULTS_H
#define TIEOUT_IO_SINK_RESULTS_H

#include "core/ops/sink.h"
#include "io/ring/ring.h"
#include "io/sink/carried_line.h"
#include "io/sink/keep.h"
#include "io/sink/match.h"

enum { LARGEST_MAX = 5 };

/* Suspended records that were judged beside the run, in the order of ≺: the lists that hold such records take them in where they
 * belong. Slices are made by results_slice_put; three read them, each on a thread of its own, and all must. */
struct results_lane;
enum sleepers_reader { SLEEPERS_RESULTS, SLEEPERS_OPEN, SLEEPERS_LOG, SLEEPERS_READERS };
struct sleepers {
    int has[SIDES];
    /* The slice behind `*slice` (NULL: the first), which is given back; NULL behind the last. Waits for it. */
    enum err (*next)(struct sleepers *sleepers, enum side side, enum sleepers_reader reader,
                     struct results_lane **slice, struct diag *diag);
};

struct results;
struct results_config {
    const struct job *job;
    const char *final_dir; /* OUT/<job>/<date>, or OUT for diff */
    struct source *const *sources;
    uint32_t lanes;
    int write_match;
    size_t sort_bytes;               /* of one lane, all classes together */
    size_t match_bytes;              /* for match.csv, of all lanes */
    uint64_t shelf_bytes;            /* besides, where all of the files' rows fit into it */
    const volatile int *interrupted; /* may be NULL */
    enum ring_backend backend;
    const struct keep_task *keep; /* NULL: no task, and `keep` of the sink is never called */
};

struct largest_break {
    enum class_id class_id;
    uint64_t magnitude; /* |delta|, or |amount| of a one-sided break */
    char text[600];     /* order, amounts, reasons, place: one line */
    char *key;          /* its sort key, by which ties are broken */
    uint32_t key_size;
};

enum err results_open(struct results **out, const struct results_config *config, struct diag *diag);
/* What match.csv would be made by; nothing is written. */
enum err results_look(const struct results_config *config, struct match_outlook *out, struct diag *diag);
struct sink *results_sink(struct results *results);
/* Makes the files that will be written, empty, while the workers read and judge: behind them all wait for it. What cannot be made is made, or
 * told, when it is written. Optional; aggregate.csv, summary.json and stats.json must follow by results_extra then. */
void results_make(struct results *results);
const struct keep_task *results_keep(const struct results *results);
/* The staging directory: where a run's files without a name may be made. */
const char *results_folder(const struct results *results);
enum err results_write(struct results *results, struct worker_io *io, char digest_lines[4096],
                       struct diag *diag);
/* match_adds_up of match.csv, if there is one; after results_write. */
enum err results_match_adds_up(const struct results *results,
                               const struct count_and_sum pairs[CURRENCY_COUNT_MAX], struct diag *diag);
/* A slice, its memory kept when it is emptied. One thread at a time; results_slice_put beside any other call. */
struct results_lane *results_slice_open(void);
void results_slice_empty(struct results_lane *slice);
void results_slice_close(struct results_lane *slice);
enum err results_slice_put(struct results *results, struct results_lane *slice, struct worker_io *io,
                           const struct full *row, struct diag *diag);
/* The same of a record whose lines were made of its row. */
enum err results_slice_line(struct results *results, struct results_lane *slice,
                            const struct carried_line *line, struct diag *diag);
/* Before results_write and results_book; borrowed. From then on each list of results_book is read once, and lists beside each other:
 * results_write, both BOOK_OPEN and BOOK_LOG, on four threads. */
void results_sleepers(struct results *results, struct sleepers *sleepers);
/* A task: of a class file as it was written, "sha256:..."; after results_write. NULL: not there, or written by other hands. */
const char *results_seal(const struct results *results, const char *name);
/* A file of the staging directory that is written piece by piece: begin, put any number of times, end, which is called whenever begin
 * returned OK: with `err` not OK it only closes it. It returns `err`, or what went wrong now. */
struct results_extra_file {
    int fd;
    uint64_t size;
    char path[4500];
};
enum err results_extra_begin(struct results *results, struct results_extra_file *file, const char *name,
                             struct diag *diag);
enum err results_extra_put(struct results_extra_file *file, const void *bytes, size_t size,
                           struct diag *diag);
enum err results_extra_end(struct results *results, struct results_extra_file *file, enum err err,
                           struct diag *diag);
/* Writes a whole small file into the staging directory. */
enum err results_extra(struct results *results, const char *name, const void *bytes, size_t size,
                       struct diag *diag);
/* Reads what a task keeps, in order. After all was put. */
typedef enum err results_book_fn(void *context, struct span row, struct diag *diag);
enum err results_book(struct results *results, enum kept book, results_book_fn *each, void *context,
                      struct diag *diag);
int results_book_is_empty(const struct results *results, enum kept book);
/* The same without what comes from beside the run; any number of times. */
enum err results_book_of_run(struct results *results, enum kept book, results_book_fn *each, void *context,
                             struct diag *diag);
enum err results_publish(struct results *results, struct diag *diag);
void results_close(struct results *results);
/* The largest breaks of all, largest first. */
uint32_t results_largest(struct results *results, struct largest_break out[LARGEST_MAX]);
uint64_t results_spilled_bytes(const struct results *results);
/* Rows of match.csv for which no file was read again. */
uint64_t results_early_matches(const struct results *results);
/* Of these, pairs of rows that met without the index. */
uint64_t results_met_matches(const struct results *results);

#endif
