/* cli/session.h: what diff and run have in common: a job in, results out, a report. */
#ifndef TIEOUT_CLI_SESSION_H
#define TIEOUT_CLI_SESSION_H

#include "core/config/job.h"
#include "core/config/options.h"
#include "core/engine/run.h"
#include "io/sink/results.h"
#include "io/source/sources.h"
#include "io/store/dormant.h"
#include "io/store/manifest.h"

/* A run that is a task of a book: the same road, with what was carried in and what is carried on. */
struct session_outcome {
    struct results *results;
    const struct run_result *result;
    const char *digest_lines; /* of the outputs */
    struct manifest *manifest;
    const char
        *log_begin[SIDES]; /* the first file of a log; NULL: the side is none, or its log is not kept */
    struct text log_tables[SIDES];      /* what the next task must know of logs' tables */
    struct log_steps *log_steps[SIDES]; /* of a log of a file a day; else NULL */
    int exit_code;
};
enum session_stage { SESSION_MATCHES, SESSION_SECOND, SESSION_ADDS_UP };
struct session_task {
    struct keep_task keep; /* `shared` is the session's to fill */
    uint64_t seed;         /* of hashes: the book's */
    struct sqlite *db;     /* for the manifest */
    struct carried_source carried[SIDES];
    struct span kept[SIDES]; /* of logs' tables (io/source/log_kept.h) */
    int holds[SIDES];        /* their rows are carried */
    /* Days before whose logs, each with files of its own, told of rows of this one; borrowed. */
    const uint16_t *log_days[SIDES];
    int log_day_count[SIDES];
    struct bloom *fresh;     /* [SIDES]; NULL: there are no final records */
    struct late_ops later;   /* with `fresh` */
    struct id_store *ids;    /* who came before; NULL: nobody asks */
    struct dormant *dormant; /* open records that nobody may meet; NULL: all are fed to the run */
    struct renamed *renamed; /* NULL: nothing is carried of a side that a log tells */
    uint64_t set_bytes;      /* that the sets of keys above hold: out of the run's memory */
    /* Writes what the state keeps; where there are dormant records, beside results_write. */
    enum err (*keep_files)(void *context, struct results *results, struct diag *diag);
    int hands;             /* 1: pairs made by hand are taken up */
    uint64_t again[SIDES]; /* struct run_result's; by keep_files */
    int is_beside;         /* 1: another task is written and committed while this one is read */
    /* When a stage begins. */
    enum err (*stage)(void *context, enum session_stage stage, struct diag *diag);
    /* All results are written, nothing is published: checks what the state keeps, adds certificate.json. */
    enum err (*keep_all)(void *context, const struct session_outcome *outcome, struct diag *diag);
    /* The results are published. */
    enum err (*commit)(void *context, const struct session_outcome *outcome, struct diag *diag);
    void *context;
};
/* A task's run in three steps, so that a night reads one task while it writes and commits the one before:
 *
 *     session_begin     inputs found and opened, results staged       control thread
 *     session_match     everything is read and judged                 any one thread; touches no state and says nothing but progress
 *     session_end       what is published, kept and committed         control thread; the exit code
 *     session_close     whenever session_begin gave one
 *
 * `job`, `options` and `task` are borrowed until session_close. `*out` is NULL unless OK is returned. What goes wrong in session_match is
 * session_end's to tell. */
struct session;
/* What a run may have in all: --memory, or half of what the machine or its cgroup has. */
uint64_t session_memory(const struct options *options);
enum err session_begin(struct session **out, struct job *job, const struct options *options,
                       const char *out_dir, uint16_t date, struct session_task *task, struct diag *diag);
/* Makes all ready and calls `turn->wait`, and `turn->over` when all is judged, or failed: then it only adds up and gives memory back, beside
 * which the next task may begin. Each is called once; `over` may come without `wait`. */
void session_match(struct session *session, const struct run_turn *turn);
int session_end(struct session *session, struct diag *diag);
void session_close(struct session *session);

/* Runs the job and reports. `out_dir` is where the set goes; `date` is DAY_NONE for diff. Returns the exit
 * code, or an err with a filled diag in
 * `*diag` (diag->err tells them apart). */
int session_run(struct job *job, const struct options *options, const char *out_dir, uint16_t date,
                struct diag *diag);

#endif
