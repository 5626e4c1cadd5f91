/* core/engine/worker.h: what a worker has. Internal to the engine. */
#ifndef TIEOUT_CORE_ENGINE_WORKER_H
#define TIEOUT_CORE_ENGINE_WORKER_H

#include "core/base/spsc.h"
#include "core/engine/reopen.h"
#include "core/engine/run.h"
#include "core/ops/crowd_door.h"
#include "core/rules/verdict.h"
#include <pthread.h>
#include <stdatomic.h>

/* Passes behind those of the keys: reversals (P7), then proposals (P8). */
enum { PASS_REVERSALS, PASS_PROPOSALS, PASSES_BEHIND };

enum {
    BATCH_UNITS = 512,    /* 32 KiB */
    BATCHES_PER_LANE = 8, /* on the way from one worker to one shard */
    RING_SLOTS = 16,
    DEPTH_DEFAULT = 3
};

/* Stages of a crowd (crowd.h). */
enum { CROWD_IN, CROWD_OCCURRENCE, CROWD_SIGMA, CROWD_REST, CROWD_STAGES };

struct run;

struct lane { /* from one worker to one shard's owner, and the empties back */
    struct spsc full, empty;
    void *full_slots[RING_SLOTS], *empty_slots[RING_SLOTS];
};

/* A final record that somebody paired with another by hand, and that nothing else reopened. */
struct hand_ref {
    uint32_t hand;
    struct row_ref ref;
};

struct worker {
    struct outbox outbox; /* first: flush finds the worker by it */
    struct run *run;
    uint32_t number;
    pthread_t thread;
    int started;
    struct worker_io *io;
    struct spool_host *spill;
    struct index **shards; /* those it owns, by shard number; others NULL */
    struct batch **spare;  /* batches not on the way, by lane */
    uint32_t *spare_count;
    void *batch_block;
    size_t batch_block_size;
    uint32_t ends_seen;
    uint32_t idle_turns; /* in a row */
    /* resolve */
    /* struct row_ref of records that wait for the pass of a later key, by that key's hash: its owner puts,
     * all workers read in that pass; NULL: none */
    struct spool *later[KEYS_MAX + PASSES_BEHIND];
    struct spool *crowd[CROWD_STAGES]; /* what this worker put for a stage; NULL: nothing */
    /* Rows of crowds that it took while it read them (crowd_told.c); NULL: none. */
    struct crowd_door door;
    struct spool *told;
    struct told_kinds *told_kinds;
    uint64_t told_count;
    struct verdict_scratch scratch;
    struct full *rows_kept; /* of judge, for the next call; pointers to them behind */
    uint32_t rows_kept_room;
    /* of judge: its rows, and where each was found */
    const struct full *rows_at_hand;
    const struct row_ref *refs_at_hand;
    struct hand_ref *hands;
    uint32_t hand_count, hand_room;
    struct subset *subset; /* taken when the first pool is there */
    struct arena arena;
    uint64_t text_bytes; /* of a row at hand, as measured; 0: none was seen */
    struct class_totals totals;
    struct pair_totals met; /* pairs of rows that the tap took */
    struct count_and_sum
        placed[CURRENCY_COUNT_MAX]; /* of the totals, pairs that match.csv got by their places: local side */
    struct aggregate aggregate;
    struct carry_totals (*carry)[CURRENCY_COUNT_MAX]; /* [SIDES]; NULL unless a task */
    struct tally apart, dropped; /* a task: records of other days; carried ones that are no part of the run */
    uint64_t apart_count[SIDES], dropped_count[SIDES];
    uint64_t woken_count[SIDES]; /* final records that came in under a later key */
    money_total booked[BOOKINGS][CURRENCY_COUNT_MAX];
    struct odd_bytes odd_bytes[SIDES];
    uint64_t before_log[SIDES];
    uint64_t reason_count[64];
    uint64_t revisited_count[SIDES][CURRENCY_COUNT_MAX];
    money_total revisited_sum[SIDES][CURRENCY_COUNT_MAX];
    struct worker_times times;
    struct diag diag;
};

struct run {
    const struct run_config *config;
    uint32_t worker_count, shard_count;
    struct worker *workers;
    struct lane *lanes; /* [from * worker_count + to] */
    pthread_mutex_t claim_lock;
    int called_off;                  /* a worker could not be started; under claim_lock */
    uint64_t claimed[SIDES], claims; /* bytes; chunks of packed files; under claim_lock */
    _Atomic uint64_t size[SIDES];    /* written under claim_lock */
    int side_done[SIDES];
    pthread_barrier_t barrier;
    struct reopened reopened;
    struct reopened together; /* crowds: pairs whose records both have a key */
    _Atomic int later_has[KEYS_MAX][SIDES];
    struct bloom later_fresh[KEYS_MAX]
                            [SIDES];   /* later keys of records that are left open; empty: nobody asks */
    _Atomic int dormant_met[KEYS_MAX]; /* open records that pass by may share this key with one left open */
    struct repeats repeats;            /* records that an earlier day took in */
    unsigned id_group_bits;
    int asks_ids; /* worker 0 says so for all, between barriers */
    _Atomic int failed;
    _Atomic uint64_t bytes_done, rows_done;
    _Atomic uint32_t have_read; /* workers whose taps take rows and who have no more */
    _Atomic uint32_t next_partition;
    int crowd_places; /* pairs of crowds go to match.csv by their places; worker 0 says so for all, between barriers */
    _Atomic uint64_t crowded;        /* records put to CROWD_IN in the pass at hand, or told */
    struct called_keys called;       /* whose rows are told; under fresh_lock while all is read */
    pthread_mutex_t fresh_lock;      /* of these */
    struct crowd_names *crowd_names; /* crowd.c's, while it judges */
    struct fresh_keys *fresh_keys; /* crowd.c's, while it judges the first key of a task; under fresh_lock */
    _Atomic int stage;
    _Atomic uint32_t finished; /* workers */
    pthread_mutex_t diag_lock;
    struct diag *diag;
    double started_at;
};

static inline uint32_t shard_owner(const struct run *run, uint32_t shard)
{
    return shard % run->worker_count;
}
/* known.c: finds them. Called by every worker when both sides are read; has barriers inside. */
void worker_known(struct worker *worker);
void run_fail(struct run *run, const struct diag *diag);
static inline int run_failed(const struct run *run)
{
    return atomic_load_explicit(&run->failed, memory_order_relaxed) ||
           (run->config->interrupted && *run->config->interrupted);
}

/* Gives every record its verdict: all keys, all passes. Called by every worker; has barriers inside. */
enum err worker_resolve(struct worker *worker);

#endif
