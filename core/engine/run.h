/* core/engine/run.h: one run: both sides in, every record in a class.
 *
 *     run_start     takes the plugs, makes workers, returns when every record has its verdict and the sums
 * agree run_close
 *
 * The caller (cli/) opened the sources, the sink and the job; they stay its own. Nothing is published here:
 * the caller does that after run_start returned OK. Threads: run_start is called by the control thread, which
 * waits in it and calls `progress` now and then.
 */
#ifndef TIEOUT_CORE_ENGINE_RUN_H
#define TIEOUT_CORE_ENGINE_RUN_H

#include "core/ops/dormant.h"
#include "core/ops/id_store.h"
#include "core/ops/index.h"
#include "core/ops/late.h"
#include "core/ops/sink.h"
#include "core/rules/beside.h"

struct worker_io_ops {
    enum err (*open)(struct worker_io **out, void *context, struct diag *diag);
    void (*close)(struct worker_io *io);
    void *context;
};

/* Opens a worker's spill. */
struct spill_ops {
    enum err (*open)(struct spool_host **out, void *context, struct diag *diag);
    void (*close)(struct spool_host *host);
    void *context;
};

struct run_progress {
    uint64_t bytes_done, bytes_all;
    uint64_t rows;
    double seconds;
    int stage; /* 0 reading, 1 resolving */
};

/* Runs that take turns on the same cores. Both are called once at most, by run_start's thread; either may be NULL. */
struct run_turn {
    void (*wait)(void *context); /* workers stand ready: returns when they may begin */
    void (*over)(
        void *context); /* every record is judged: what is left is to add up, and to give memory back */
    void *context;
};

struct run_config {
    const struct job *job;
    struct source *sources[SIDES];
    const struct index_ops *index;
    struct sink *sink;
    struct worker_io_ops io;
    struct spill_ops spill;
    uint32_t workers, shards; /* shards: 0 = as many as workers */
    uint32_t batch_units;     /* 0: default */
    uint32_t depth;           /* chunks in flight per worker */
    int pin;                  /* 1: pin workers to cores */
    int write_match;
    int counts_only;       /* 1: records are counted and go nowhere; no index is made and nothing is judged */
    int is_task;           /* a day of a book: other days' log records are apart, records may be carried */
    struct bloom *fresh;   /* [SIDES]: as in struct outbox; NULL: nobody asks */
    struct late_ops later; /* with `fresh`; find NULL: there are no final records */
    struct id_store *ids;  /* of a book; NULL: nobody asks who came before */
    uint64_t ids_memory;   /* bytes for what is told to it */
    const struct bloom *dormant; /* both as in struct outbox */
    struct bloom *met;
    struct dormant_ops dormant_later; /* the same by later keys */
    struct renamed *renamed;          /* as in struct outbox */
    const struct dict *words;         /* a task: the dictionary of its records; `date` with it */
    uint16_t date;
    int hands;       /* 1: some final records were paired by hand, and this task takes the pairs up */
    uint64_t memory; /* bytes for all shards together */
    struct aggregate_share
        counts; /* of aggregate.csv: what each worker may take; the result takes twice as much */
    struct order_bases *bases; /* of its normalizers (core/rules/plain_order.h) */
    uint64_t hash_seed;        /* the run's, from the system: whoever chooses keys must not choose hashes */
    uint32_t group_rows;       /* for tests: records of one key that are judged at once; 0: by memory */
    void (*progress)(void *context,
                     const struct run_progress *progress); /* may be NULL; about five times a second */
    void *progress_context;
    struct run_turn turn;
    void (*meanwhile)(
        void *context); /* called once, by run_start's thread, when the workers have begun; may be NULL */
    void *meanwhile_context;
    const volatile int *interrupted; /* set by a signal handler; may be NULL */
};

/* Deltas of matches, channel - local, by what explains them (I5). */
enum booking {
    BOOKED_TOLERANCE,
    BOOKED_FEES,
    BOOKED_FX,
    BOOKED_HAND,
    BOOKED_SETS /* always 0 in all */,
    BOOKINGS
};

struct worker_times {
    double read_seconds, resolve_seconds, match_seconds; /* match_seconds: of resolve_seconds, match.csv's */
    /* of read_seconds: finding cells, making records, the index, nothing to do, sorting what is open */
    double scan_seconds, decode_seconds, apply_seconds, wait_seconds, join_seconds, settle_seconds;
    uint64_t chunks, idle;
    struct index_counts index;
    uint64_t spill_written, spill_read; /* bytes */
    uint64_t rows_ahead;                /* of logs, read in order before they were judged */
    int core;                           /* pinned to; -1 */
};

/* fees: {schedule: {level: day}}: what the channel charged of a day, and what it should have. */
struct schedule_day {
    uint16_t day;
    uint8_t currency;
    money_total expected, stated;
};

/* Records that no exact pair took, whose order numbers are no UTF-8: they met others by their bytes, and may be of a file in a charset that
 * nobody named. */
struct odd_bytes {
    uint64_t count, place; /* of the first */
    char first[400];       /* FILE:LINE@OFFSET; empty: it could not be told */
};

struct run_result {
    struct odd_bytes odd_bytes[SIDES];
    uint64_t before_log[SIDES]; /* records without a partner that are older than the other side's log */
    struct class_totals totals;
    struct count_and_sum pairs
        [CURRENCY_COUNT_MAX]; /* of the totals, exact pairs that match.csv got by their places: local side */
    struct aggregate aggregate; /* of sides that are counted (job_counts); its store is the caller's */
    struct schedule_day *schedule;
    uint32_t schedule_count;
    struct tally in; /* what came in, less replaced images */
    struct tally
        others; /* a task: records of other bill dates, which a log tells and which are not in `in` */
    struct log_days *log_days; /* what a task's log tells of each bill date; NULL unless a task */
    uint64_t images_superseded[SIDES], images_moved[SIDES], other_days[SIDES];
    uint64_t given_way
        [SIDES]; /* carried records in whose place a newer image came, and final ones that slept on */
    struct carry_totals (*carry)[CURRENCY_COUNT_MAX]; /* [SIDES]; NULL unless a task */
    money_total booked[BOOKINGS][CURRENCY_COUNT_MAX];
    struct source_counts counts[SIDES];
    /* A task, set by its caller: records of earlier days that are missing or extra again, since the pair that somebody made of them is
     * no more. They are in no class of this run. */
    uint64_t again[SIDES];
    uint64_t reason_count[64]; /* verdict rows with each reason bit, local side and one-sided */
    uint32_t workers;
    struct worker_times *worker;
    double read_seconds, resolve_seconds;
};

/* Runs; `*out` is NULL unless OK is returned. ERR_BUG when the sums do not agree (invariants I2, I3, I5, I6,
 * I7), with the sums in the diag. */
enum err run_start(struct run_result **out, const struct run_config *config, struct diag *diag);
/* Adds records that were judged beside the run to its sums, and holds these against each other once more. The aggregate of
 * `beside` is empty then. */
enum err run_add(struct run_result *result, const struct job *job, struct beside *beside, struct diag *diag);
void run_close(struct run_result *result);
/* Seconds on a clock that only goes forward. */
double run_seconds(void);

#endif
