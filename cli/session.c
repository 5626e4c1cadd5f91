/* cli/session.c: see session.h */
#include "cli/session.h"
#include "cli/plan.h"
#include "cli/registry.h"
#include "cli/report.h"
#include "cli/signals.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/base/topology.h"
#include "core/engine/run.h"
#include "core/rules/rates.h"
#include "io/sink/digest.h"
#include "io/source/capture.h"
#include "io/source/direct.h"
#include "io/source/segments.h"
#include "io/source/worker_io.h"
#include "io/spill/block_store.h"
#include "io/spill/spool.h"
#include "io/store/manifest.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    CHUNK_DEFAULT = 256 * 1024,
    DEPTH = 3, /* of reads under way, a worker */
    /* The least: the program itself, and each worker's buffers and open frames. */
    MEMORY_PROGRAM = 12 << 20,
    MEMORY_SMALL = 128 << 20, /* less of it: freed memory is not kept */
    MEMORY_WORKER = 6 << 20,
    SESSION_PATH_MAX = 4600,
    WORKER_BYTES = 2 << 20, /* buffers that a worker really touches */
    SORT_BYTES_MAX = 16 << 20,
    SORT_SHARE = 16, /* one part of so many is for sorting results */
    MATCH_BYTES_MAX = 128 << 20,
    IDS_SHARE = 16, /* and of so many for what a book keeps of occurrence ids */
    IDS_BYTES_MAX = 256 << 20,
    COUNTS_SHARE =
        16, /* and of so many for what aggregate.csv counts, where a side is counted by merchants and the like */
    COUNTS_BYTES_MAX = 256 << 20,
    MATCH_SHARE = 4,     /* and of so many for match.csv, where it is asked for */
    REJECTS_SHARE = 128, /* and of so many for lists of rejects, where there may be any */
    REJECTS_BYTES_MAX = 8 << 20,
    /* And of so many for rows that meet without the index, with so much memory or more; those who have less want it for the index. */
    MATCH_SHELF_SHARE = 4,
    MATCH_SHELF_MEMORY = 256 << 20
};

struct io_context {
    struct worker_io_config config;
    int fell_back;
};

static enum err open_io(struct worker_io **out, void *context, struct diag *diag)
{
    struct io_context *io = context;
    return worker_io_open(out, &io->config, &io->fell_back, diag);
}

static enum err open_spill(struct spool_host **out, void *context, struct diag *diag)
{
    return spill_host_open(out, context, diag);
}

/* A line that is written over itself, on terminals only. */
static void show_progress(void *context, const struct run_progress *p)
{
    int *shown = context;
    static double last;
    if (p->seconds - last < 0.2 || p->seconds < 0.5)
        return;
    last = p->seconds;
    *shown = 1;
    double share = p->bytes_all ? (double)p->bytes_done / (double)p->bytes_all : 0;
    if (p->stage == 0 && share > 0.001)
        fprintf(stderr, "\r\033[Kreading %5.1f %%  %.2f million rows, %.0f MB/s, %.0f s left", share * 100,
                (double)p->rows / 1e6, (double)p->bytes_done / 1e6 / p->seconds,
                p->seconds / share - p->seconds);
    else
        fprintf(stderr, "\r\033[Kjudging what is open");
}

static enum err open_shared(struct norm_shared *shared, const struct job *job, uint16_t date,
                            struct diag *diag)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return diag_set(diag, ERR_MACHINE, "random", NULL, "the system gives no random seed");
    return norm_shared_open(shared, job, seed, date, diag);
}

struct session {
    struct diag diag; /* of session_match */
    char out_room[SESSION_PATH_MAX];
    int progress_shown;
    struct spill_config spill;
    struct job *job;
    const struct options *options;
    struct session_task *task;   /* NULL: a run by itself */
    const struct run_turn *turn; /* of session_match; NULL: a run by itself */
    int is_over;
    const char *out_dir;
    uint16_t date;
    struct norm_shared shared;
    struct source *sources[SIDES], *dormant[SIDES];
    struct results *results;
    struct manifest *manifest;
    struct run_result *result;
    struct io_context io;
    struct worker_io *report_io;
    uint64_t machine_memory; /* all that there is for this process */
    uint64_t memory, sort_bytes, match_bytes, shelf_bytes, ids_bytes, counts_bytes, reject_bytes, index_bytes;
    struct aggregate_share counts; /* of a worker */
    uint32_t cores, threads;
    double began;
};

static uint64_t memory_of(const struct options *o, uint64_t machine)
{
    return o->given[OPTION_ID_memory] && (!machine || o->memory <= machine) ? o->memory : machine / 2;
}

uint64_t session_memory(const struct options *o)
{
    return memory_of(o, topology_memory());
}

static int may_reject(const struct job *job)
{
    int may = 0;
    for (int side = 0; side < SIDES; side++)
        for (int i = 0; i == 0 || i < job->part_count[side]; i++) {
            const struct reject_limit *limit =
                &(job->part_count[side] > 1 ? &job->parts[side][i] : &job->sources[side])->rejects;
            may |= limit->max_rows > 0 || limit->max_ppm > 0;
        }
    return may;
}

static enum err plan(struct session *s, struct diag *diag)
{
    const struct options *o = s->options;
    s->machine_memory = topology_memory(); /* asked once, as cores are: each answer takes several files */
    s->memory = memory_of(o, s->machine_memory);
    if (o->given[OPTION_ID_memory] && o->memory > s->memory)
        fprintf(
            stderr,
            "note: --memory is more than this machine or its cgroup has (%.0f MiB); half of that is used\n",
            (double)s->machine_memory / (1 << 20));
    s->cores = topology_core_count();
    /* One core is left for the thread that writes the task before: sharing one with a worker it takes twice as long, and the workers
     * wait for the one that is held up. */
    s->threads =
        o->threads ? (uint32_t)o->threads : s->cores - (s->task && s->task->is_beside && s->cores > 3);
    const uint64_t floor_bytes = MEMORY_PROGRAM + (uint64_t)MEMORY_WORKER * s->threads;
    if (s->memory < floor_bytes)
        return diag_set(diag, ERR_MACHINE, "memory.floor", "give --memory=SIZE more, or --threads=N fewer",
                        "%.1f MiB of memory are too few: a run with %u thread%s needs at least %llu MiB",
                        (double)s->memory / (1 << 20), s->threads, s->threads == 1 ? "" : "s",
                        (unsigned long long)(floor_bytes >> 20));
    if (s->memory < MEMORY_SMALL)
        mem_keep_little();
    uint64_t sort = s->memory / SORT_SHARE / s->threads;
    s->sort_bytes = sort > SORT_BYTES_MAX ? SORT_BYTES_MAX : sort;
    if (o->write_match)
        s->job->write_match = 1;
    uint64_t match = s->memory / MATCH_SHARE < MATCH_BYTES_MAX ? s->memory / MATCH_SHARE : MATCH_BYTES_MAX;
    s->match_bytes = !s->job->write_match ? 0 : o->match_memory ? o->match_memory : match;
    if (s->job->write_match && !s->task)
        s->shelf_bytes = o->given[OPTION_ID_match_shelf]   ? o->match_shelf
                         : s->memory >= MATCH_SHELF_MEMORY ? s->memory / MATCH_SHELF_SHARE
                                                           : 0;
    if (s->task && s->task->ids)
        s->ids_bytes = s->memory / IDS_SHARE < IDS_BYTES_MAX ? s->memory / IDS_SHARE : IDS_BYTES_MAX;
    if (job_counts(s->job, LOCAL) || job_counts(s->job, CHANNEL))
        s->counts_bytes =
            s->memory / COUNTS_SHARE < COUNTS_BYTES_MAX ? s->memory / COUNTS_SHARE : COUNTS_BYTES_MAX;
    if (o->given[OPTION_ID_max_rejects])
        for (int side = 0; side < SIDES; side++) {
            const struct reject_limit limit = {.max_rows = o->max_rejects.count,
                                               .max_ppm = o->max_rejects.ppm};
            s->job->sources[side].rejects = limit;
            for (int i = 0; i < s->job->part_count[side]; i++)
                s->job->parts[side][i].rejects = limit;
        }
    if (may_reject(s->job))
        s->reject_bytes =
            s->memory / REJECTS_SHARE < REJECTS_BYTES_MAX ? s->memory / REJECTS_SHARE : REJECTS_BYTES_MAX;
    s->counts.memory =
        s->counts_bytes / (s->threads + 2); /* each worker, and what they add up to takes two */
    s->index_bytes = o->index_memory
                         ? o->index_memory
                         : s->memory - (WORKER_BYTES + s->sort_bytes) * s->threads - s->match_bytes -
                               s->shelf_bytes - s->ids_bytes - s->counts_bytes - s->reject_bytes;
    /* Sets of keys of the task, and of the one that is read beside it. Half of the memory stays the index's. */
    const uint64_t sets = s->task ? s->task->set_bytes * (1 + (s->task->is_beside != 0)) : 0;
    if (!o->index_memory && sets > s->index_bytes / 2)
        return diag_set(diag, ERR_MACHINE, "memory.carried", "give --memory=SIZE more",
                        "%.1f MiB of memory are too few: what is known of carried records takes %.1f MiB",
                        (double)s->memory / (1 << 20), (double)sets / (1 << 20));
    if (!o->index_memory)
        s->index_bytes -= sets;
    if (s->task &&
        !o->index_memory) /* results of the tasks before this one, which are being written meanwhile, or wait for it */
        s->index_bytes -= (s->sort_bytes * s->threads + s->counts_bytes) * (1 + (s->task->is_beside != 0));
    s->io.config.chunk = o->chunk ? (uint32_t)o->chunk : CHUNK_DEFAULT;
    s->io.config.depth = DEPTH;
    s->io.config.backend = o->io && strcmp(o->io, "uring") == 0   ? RING_URING
                           : o->io && strcmp(o->io, "posix") == 0 ? RING_POSIX
                                                                  : RING_AUTO;
    return OK;
}

static int direct_mode(const char *word)
{
    return word && strcmp(word, "always") == 0  ? DIRECT_ALWAYS
           : word && strcmp(word, "never") == 0 ? DIRECT_NEVER
                                                : DIRECT_AUTO;
}

static enum err open_sources(struct session *s, struct diag *diag)
{
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        struct source_config config = {.shared = &s->shared,
                                       .side = (enum side)side,
                                       .date = s->date,
                                       .chunk = s->io.config.chunk,
                                       .direct = direct_mode(s->options->direct),
                                       .workers = s->threads,
                                       .reject_bytes = s->reject_bytes / SIDES,
                                       .carried = s->task ? &s->task->carried[side] : NULL,
                                       .keeps = s->task != NULL};
        if (s->task) {
            config.kept = s->task->kept[side];
            config.holds = s->task->holds[side];
            config.log_days = s->task->log_days[side];
            config.log_day_count = s->task->log_day_count[side];
        }
        err = registry_source(&s->sources[side], &config, diag);
        config.carried = NULL;
        if (err == OK && s->task && s->task->dormant && dormant_has(s->task->dormant, (enum side)side))
            err = registry_carried(&s->dormant[side], &config,
                                   dormant_path(s->task->dormant, (enum side)side), diag);
    }
    return err;
}

static enum err open_manifest(struct session *s, struct diag *diag)
{
    char path[4096];
    const char *name = s->job->manifest;
    enum err err = OK;
    if (s->task) { /* the book's own */
        err = manifest_open_in(&s->manifest, s->task->db, s->job->name, s->date, diag);
    } else {
        int absolute = name[0] == '/';
        if (snprintf(path, sizeof path, "%s%s%s", absolute ? "" : s->job->directory, absolute ? "" : "/",
                     name) >= (int)sizeof path)
            return diag_set(diag, ERR_USAGE, "path", NULL, "the manifest's path is too long");
        err = manifest_open(&s->manifest, path, s->job->name, s->date, diag);
    }
    /* A log serves many days; a file is of one. */
    for (int side = 0; err == OK && side < SIDES; side++)
        if (s->job->sources[side].kind == SOURCE_FILES)
            err = manifest_add(s->manifest, (enum side)side, s->sources[side], diag);
    return err == OK ? manifest_hash(s->manifest, diag) : err;
}

/* How many chunks a worker reads ahead. What lies in the page cache is there at once, and is best taken while the copy is still
 * in the core's own cache. */
static uint32_t depth_of(const struct session *s)
{
    struct source_file file;
    uint32_t files = 0, warm = 0;
    for (int side = 0; side < SIDES; side++) {
        const struct source *source = s->sources[side];
        if (!source || !source->ops->file || !source->ops->file(source, 0, &file))
            return DEPTH;
        for (uint32_t i = 0; source->ops->file(source, i, &file); i++, files++)
            warm += file.is_warm != 0;
    }
    return warm == files ? 1 : DEPTH;
}

/* By what inputs are read. What lies in the page cache is there when the call returns: nothing would be under way meanwhile, and a ring
 * of each worker's takes longer to set up than its calls save. match.csv asks for many rows at once. */
static enum ring_backend reads_by(const struct session *s)
{
    const enum ring_backend backend = s->io.config.backend;
    return backend == RING_AUTO && depth_of(s) == 1 && !s->job->write_match ? RING_POSIX : backend;
}

static const char *io_name(const struct session *s)
{
    return s->io.fell_back || reads_by(s) == RING_POSIX ? "posix" : "uring";
}

static struct plan plan_of(const struct session *s)
{
    return (struct plan){.job = s->job,
                         .sources = s->sources,
                         .threads = s->threads,
                         .shards =
                             s->options->shards > s->threads ? (uint32_t)s->options->shards : s->threads,
                         .chunk = s->io.config.chunk,
                         .depth = depth_of(s),
                         .memory = s->memory,
                         .sort_bytes = s->sort_bytes,
                         .counts_bytes = s->counts_bytes,
                         .reject_bytes = s->reject_bytes,
                         .index_bytes = s->index_bytes,
                         .match_bytes = s->match_bytes,
                         .shelf_bytes = s->shelf_bytes,
                         .spill_directory = s->out_dir,
                         .io_name = io_name(s)};
}

static struct results_config results_config_of(const struct session *s)
{
    return (struct results_config){.job = s->job,
                                   .final_dir = s->out_dir,
                                   .sources = s->sources,
                                   .lanes = s->threads,
                                   .write_match = s->job->write_match,
                                   .sort_bytes = s->sort_bytes,
                                   .match_bytes = s->match_bytes,
                                   .shelf_bytes = s->shelf_bytes,
                                   .interrupted = signals_interrupted,
                                   .backend = s->io.config.backend,
                                   .keep = s->task ? &s->task->keep : NULL};
}

static enum err tell_plan(struct session *s, struct diag *diag)
{
    struct plan plan = plan_of(s);
    struct worker_io *io;
    enum err err = worker_io_open(&io, &s->io.config, &s->io.fell_back, diag);
    if (err != OK)
        return err;
    if (s->job->write_match) {
        const struct results_config results = results_config_of(s);
        err = results_look(&results, &plan.match, diag);
    }
    if (err == OK)
        err = plan_print(&plan, io, stdout, diag);
    worker_io_close(io);
    return err;
}

struct writing {
    struct session *s;
    char *digest_lines;
    struct diag diag;
};

static void *write_main(void *argument)
{
    struct writing *w = argument;
    if (results_write(w->s->results, w->s->report_io, w->digest_lines, &w->diag) != OK)
        dormant_call_off(w->s->task->dormant);
    return NULL;
}

/* The class files and what the state keeps; where there are dormant records at the same time, since both are made of the same
 * slices: the class files by a thread, since the other one asks the state. */
static enum err write_classes(struct session *s, char digest_lines[4096], struct diag *diag)
{
    struct session_task *task = s->task;
    struct dormant *dormant = task ? task->dormant : NULL;
    struct writing writing = {.s = s, .digest_lines = digest_lines};
    struct beside *sums;
    pthread_t thread;
    if (!dormant) {
        enum err err = results_write(s->results, s->report_io, digest_lines, diag);
        return err == OK && task ? task->keep_files(task->context, s->results, diag) : err;
    }
    enum err err = dormant_start(dormant, s->dormant, s->results, s->threads, &s->counts, diag);
    if (err != OK)
        return err;
    results_sleepers(s->results, dormant_sleepers(dormant));
    const int error = pthread_create(&thread, NULL, write_main, &writing);
    if (error)
        return diag_set_errno(diag, error, "threads", "cannot start a thread");
    err = task->keep_files(task->context, s->results, diag);
    if (err != OK)
        dormant_call_off(dormant);
    pthread_join(thread, NULL);
    if (writing.diag.err != OK && (err == OK || err == ERR_INTERRUPTED)) {
        *diag = writing.diag;
        err = diag->err;
    }
    if (err == OK)
        err = dormant_finish(dormant, &sums, diag);
    return err == OK ? run_add(s->result, s->job, sums, diag) : err;
}

struct aggregate_out {
    struct results_extra_file file;
    struct digest *digest;
};

static enum err put_aggregate(void *context, const void *bytes, size_t size, struct diag *diag)
{
    struct aggregate_out *out = context;
    digest_put(out->digest, bytes, size);
    return results_extra_put(&out->file, bytes, size, diag);
}

/* aggregate.csv, and its line behind those of the class files. */
static enum err write_aggregate(struct session *s, const struct report *report, char digest_lines[4096],
                                struct diag *diag)
{
    char hash[DIGEST_TEXT];
    struct aggregate_out out = {.digest = digest_open()};
    if (!out.digest)
        return mem_fail(diag, 0, "a digest");
    digest_begin(out.digest);
    enum err err = results_extra_begin(s->results, &out.file, "aggregate.csv", diag);
    if (err == OK)
        err = results_extra_end(s->results, &out.file, report_aggregate(report, put_aggregate, &out, diag),
                                diag);
    digest_end(out.digest, hash);
    digest_close(out.digest);
    const size_t used = strlen(digest_lines);
    if (err == OK)
        snprintf(digest_lines + used, 4096 - used, "aggregate.csv %s\n", hash);
    return err;
}

static const char *log_begin(const struct session *s, enum side side)
{
    const struct source *source = s->sources[side];
    return source->ops->log_begin ? source->ops->log_begin(source) : NULL;
}

static enum err ask_steps(const struct session *s, int side, struct session_outcome *outcome,
                          struct diag *diag)
{
    const struct source *source = s->sources[side];
    if (!source->ops->log_steps)
        return OK;
    struct log_steps *steps = mem_take_zero(1, sizeof *steps);
    if (!steps)
        return mem_fail(diag, sizeof *steps, "what a log told");
    if (source->ops->log_steps(source, steps))
        outcome->log_steps[side] = steps;
    else
        mem_give(steps);
    return OK;
}

/* All files are still what was read. */
static enum err look_again(const struct session *s, struct diag *diag)
{
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++)
        err = s->sources[side]->ops->look_again(s->sources[side], diag);
    return err;
}

/* match.csv reads rows again: what it printed of them is what was matched. A file that changed is the likelier reason why not. */
static enum err check_match(const struct session *s, struct diag *diag)
{
    struct diag changed = {0};
    const enum err err = results_match_adds_up(s->results, s->result->pairs, diag);
    if (err == OK || look_again(s, &changed) == OK)
        return err;
    *diag = changed;
    return changed.err;
}

static enum err write_reports(struct session *s, char **summary, struct diag *diag)
{
    char digest_lines[4096], *text = NULL;
    enum err err = s->task ? s->task->stage(s->task->context, SESSION_ADDS_UP, diag) : OK;
    const struct worker_io_config io = {.backend = RING_POSIX, .chunk = s->io.config.chunk, .depth = 1};
    if (err == OK)
        err = worker_io_open(&s->report_io, &io, NULL, diag);
    if (err == OK)
        err = write_classes(s, digest_lines, diag);
    if (err == OK)
        err = check_match(s, diag);
    for (int side = 0; s->task && side < SIDES; side++)
        s->result->again[side] = s->task->again[side];
    struct report report = {.job = s->job,
                            .result = s->result,
                            .date = s->date,
                            .out_dir = s->out_dir,
                            .digest_lines = digest_lines,
                            .threads = s->threads,
                            .io_name = io_name(s),
                            .spilled = results_spilled_bytes(s->results),
                            .matches_early = results_early_matches(s->results),
                            .matches_met = results_met_matches(s->results),
                            .memory = s->memory};
    if (err == OK)
        err = write_aggregate(s, &report, digest_lines, diag);
    if (err == OK)
        err = report_summary(&report, summary, diag);
    if (err == OK)
        err = results_extra(s->results, "summary.json", *summary, strlen(*summary), diag);
    report.seconds = run_seconds() - s->began;
    if (err == OK)
        err = report_stats(&report, &text, diag);
    if (err == OK)
        err = results_extra(s->results, "stats.json", text, strlen(text), diag);
    free(text);
    if (err == OK && *signals_interrupted)
        err = diag_set(diag, ERR_INTERRUPTED, "interrupted",
                       "run the same command again; nothing was published", "stopped before the end");
    if (err == OK && s->manifest)
        err = manifest_check(s->manifest, diag);
    struct session_outcome outcome = {.results = s->results,
                                      .result = s->result,
                                      .digest_lines = digest_lines,
                                      .manifest = s->manifest,
                                      .log_begin = {log_begin(s, LOCAL), log_begin(s, CHANNEL)},
                                      .exit_code = report_exit_code(s->result, s->task != NULL)};
    for (int side = 0; s->task && side < SIDES; side++)
        if (s->sources[side]->ops->log_tables)
            s->sources[side]->ops->log_tables(s->sources[side], &outcome.log_tables[side]);
    for (int side = 0; err == OK && s->task && side < SIDES; side++)
        err = ask_steps(s, side, &outcome, diag);
    if (err == OK && s->task)
        err = s->task->keep_all(s->task->context, &outcome, diag);
    if (err == OK)
        err = look_again(s, diag);
    if (err == OK)
        err = results_publish(s->results, diag);
    if (err == OK && s->task)
        err = s->task->commit(s->task->context, &outcome, diag);
    else if (err == OK && s->manifest)
        err = manifest_admit(s->manifest, diag);
    for (int side = 0; side < SIDES; side++) {
        text_fini(&outcome.log_tables[side]);
        mem_give(outcome.log_steps[side]);
    }
    if (err == OK && s->options->format && strcmp(s->options->format, "json") == 0)
        printf("%s\n", *summary);
    else if (err == OK)
        report_text(&report, s->results, stderr);
    if (err == OK && s->options->stats) {
        struct plan plan = plan_of(s);
        stats_print(&plan, s->result, report.seconds, stderr);
    }
    return err;
}

/* How far the local side goes: what the server committed since is not in it. */
static void tell_capture(const struct session *s)
{
    char directory[4096], when[TIME_TEXT_MAX];
    struct capture_status status;
    struct diag ignored = {0};
    if (segments_directory(directory, sizeof directory, s->job, LOCAL, &ignored) != OK ||
        capture_status_read(&status, directory, &ignored) != OK)
        return;
    time_print(when, s->shared.job_zone,
               status.counts.commit_time ? status.counts.commit_time * 1000000 : TIME_NONE);
    fprintf(stderr, "note: the capture stands at %s:%llu, its newest transaction is of %s%s\n",
            status.position.file, (unsigned long long)status.position.offset, when[0] ? when : "no time",
            status.running ? "" : "; no capture is running, so later ones are not in it");
    if (status.said[0])
        fprintf(stderr,
                "warning: the capture is in trouble, so changes may be missing here: %s; see `tieout capture "
                "JOB.yaml --status`\n",
                status.said);
    mem_give(status.gtids);
}

/* What is right by the rules and yet may not be what the operator meant. */
static void tell_notes(const struct session *s)
{
    const struct run_result *r = s->result;
    uint64_t other_days[SIDES] = {0, 0}, suspense = 0;
    for (uint32_t i = 0; i < r->in.room; i++)
        if (r->in.rows[i].key && s->date != DAY_NONE && tally_day(r->in.rows[i].key) != s->date)
            other_days[tally_side(r->in.rows[i].key)] += r->in.rows[i].count;
    for (int side = 0; side < SIDES; side++) {
        suspense += r->totals.count[CLASS_SUSPENSE][side];
        if (r->counts[side].rows == 0)
            fprintf(stderr, "note: the %s side has no rows: an empty day\n", side_name((enum side)side));
        if (other_days[side] && s->job->sources[side].kind == SOURCE_FILES && !s->task)
            fprintf(stderr,
                    "note: %llu records of the %s side have another bill date than --date; files are taken "
                    "whole, so they count here\n",
                    (unsigned long long)other_days[side], side_name((enum side)side));
    }
    for (int side = 0; side < SIDES; side++)
        if (r->odd_bytes[side].count) {
            char first[sizeof r->odd_bytes[side].first];
            snprintf(first, sizeof first, "%s", r->odd_bytes[side].first);
            text_make_plain(first);
            fprintf(stderr,
                    "warning: %llu records of the %s side that do not tie out have order numbers that are no "
                    "UTF-8, the first one at "
                    "%s; they were compared byte by byte. If the file is in another charset, a profile says "
                    "which (charset: GB18030), "
                    "and tieout profile new FILE drafts one\n",
                    (unsigned long long)r->odd_bytes[side].count, side_name((enum side)side), first);
        }
    for (int side = 0; side < SIDES; side++)
        if (r->before_log[side]) {
            const struct source *log = s->sources[!side];
            const char *first = "";
            char when[TIME_TEXT_MAX];
            time_print(when, s->shared.job_zone, log->ops->log_since(log, &first));
            fprintf(stderr,
                    "note: %llu records of the %s side that have no partner are older than the other side's "
                    "log, which begins with %s at %s: "
                    "what was written before it and not changed since is not there. If the server still has "
                    "files before that one, give them too\n",
                    (unsigned long long)r->before_log[side], side_name((enum side)side), first, when);
        }
    report_unit_warning(r, stderr);
    if (s->job->sources[LOCAL].kind == SOURCE_REPLICA)
        tell_capture(s);
    if (suspense && !s->task)
        fprintf(stderr,
                "note: %llu records are in suspense, and `tieout run` carries nothing over: "
                "tomorrow's run will not know them. Days that follow each other are `tieout task`'s; "
                "without it, set suspense.threshold to 0 or keep suspense.csv\n",
                (unsigned long long)suspense);
    if (r->counts[LOCAL].groups_unfinished)
        fprintf(stderr, "note: the newest log ends inside a transaction; its rows count for nothing until "
                        "its COMMIT is there\n");
    if (r->counts[LOCAL].statements)
        fprintf(stderr,
                "note: the binlog holds %llu changes as statements, on tables that are not read; one that "
                "changed %s.%s through a view, "
                "trigger or function cannot be seen: SET GLOBAL binlog_format=ROW\n",
                (unsigned long long)r->counts[LOCAL].statements, s->job->sources[LOCAL].database,
                s->job->sources[LOCAL].table);
}

/* From open sources to the moment before the first row is read. */
static enum err prepare(struct session *s, struct diag *diag)
{
    const struct results_config results = results_config_of(s);
    enum err err = results_open(&s->results, &results, diag);
    if (err == OK)
        err = block_store_open(&s->counts.store, results_folder(s->results), diag);
    if (err == OK && (s->job->manifest || s->task) && !s->options->aggregate_only)
        err = open_manifest(s, diag);
    for (int side = 0; err == OK && side < SIDES; side++)
        if (s->sources[side]->ops->begin)
            err = s->sources[side]->ops->begin(s->sources[side], results_folder(s->results), diag);
    return err;
}

/* Its turn comes, and passes. */
static void wait_turn(void *context)
{
    struct session *s = context;
    if (!s->turn)
        return;
    s->turn->wait(s->turn->context);
    s->began = run_seconds();
}

static void end_turn(void *context)
{
    struct session *s = context;
    if (s->turn && !s->is_over)
        s->turn->over(s->turn->context);
    s->is_over = 1;
}

static void make_files(void *context)
{
    results_make(((struct session *)context)->results);
}

/* Every row is read and every record judged and added up. */
static enum err match(struct session *s, struct diag *diag)
{
    struct dormant *dormant = s->task ? s->task->dormant : NULL;
    const int direct = direct_mode(s->options->direct);
    const uint32_t depth = depth_of(s);
    /* A buffer that is registered is memory, whether it is used or not; match.csv reads rows again through them. */
    s->io.config.depth = s->job->write_match ? DEPTH : depth;
    s->spill = (struct spill_config){
        .directory = results_folder(s->results),
        .backend = s->io.config.backend,
        .cache_max = direct == DIRECT_NEVER ||
                             (direct == DIRECT_AUTO && !topology_memory_is_limited(s->machine_memory))
                         ? UINT64_MAX
                         : 0};
    s->io.config.backend = reads_by(s);
    const struct run_config run = {.job = s->job,
                                   .sources = {s->sources[LOCAL], s->sources[CHANNEL]},
                                   .index = registry_index(),
                                   .sink = results_sink(s->results),
                                   .io = {open_io, worker_io_close, &s->io},
                                   .workers = s->threads,
                                   .shards = (uint32_t)s->options->shards,
                                   .batch_units = (uint32_t)s->options->batch,
                                   .depth = depth,
                                   .pin = s->threads <= s->cores && s->threads > 1,
                                   .write_match = s->job->write_match,
                                   .spill = {open_spill, spill_host_close, &s->spill},
                                   .counts_only = s->options->aggregate_only,
                                   .is_task = s->task != NULL,
                                   .fresh = s->task ? s->task->fresh : NULL,
                                   .later = s->task ? s->task->later : (struct late_ops){0},
                                   .ids = s->task ? s->task->ids : NULL,
                                   .ids_memory = s->ids_bytes,
                                   .dormant = dormant ? dormant_keys(dormant) : NULL,
                                   .met = dormant ? dormant_met(dormant) : NULL,
                                   .dormant_later =
                                       dormant ? dormant_later(dormant) : (struct dormant_ops){0},
                                   .renamed = s->task ? s->task->renamed : NULL,
                                   .words = s->shared.words,
                                   .date = s->date,
                                   .hands = s->task && s->task->hands,
                                   .memory = s->index_bytes,
                                   .counts = s->counts,
                                   .hash_seed = s->shared.hash_seed,
                                   .bases = s->shared.bases,
                                   .group_rows = (uint32_t)s->options->group_rows,
                                   .progress = isatty(2) ? show_progress : NULL,
                                   .progress_context = &s->progress_shown,
                                   .turn = {wait_turn, end_turn, s},
                                   .meanwhile = s->options->aggregate_only ? NULL : make_files,
                                   .meanwhile_context = s,
                                   .interrupted = signals_interrupted};
    return run_start(&s->result, &run, diag);
}

static void tell_match(const struct session *s)
{
    if (s->progress_shown)
        fprintf(stderr, "\r\033[K");
    if (s->io.fell_back)
        fprintf(stderr, "note: io_uring is not available here; reading with pread instead (same results)\n");
}

/* A log's rows are images, and only an index knows which of them are replaced. */
static enum err check_countable(const struct session *s, struct diag *diag)
{
    for (int side = 0; side < SIDES; side++)
        if (source_tells_images(s->job->sources[side].kind))
            return diag_set(diag, ERR_USAGE, "aggregate", "run it without --aggregate-only",
                            "the %s side is a log: which of its images count is known of a whole run only",
                            side_name((enum side)side));
    return OK;
}

static enum err print_aggregate(void *context, const void *bytes, size_t size, struct diag *diag)
{
    (void)context, (void)diag; /* who takes stdout says when it fails: main, at the end */
    fwrite(bytes, 1, size, stdout);
    return OK;
}

/* Counts and sums of both sides, and nothing else; 1 when they differ. */
static int tell_aggregates(struct session *s, struct diag *diag)
{
    struct report report = {.job = s->job, .result = s->result, .date = s->date, .out_dir = s->out_dir};
    enum err err = report_aggregate(&report, print_aggregate, NULL, diag);
    return err == OK ? report_sides_differ(s->result, stderr) : (int)err;
}

void session_close(struct session *s)
{
    if (!s)
        return;
    run_close(s->result);
    block_store_close(s->counts.store);
    worker_io_close(s->report_io);
    results_close(s->results);
    manifest_close(s->manifest); /* before the source whose files it hashes */
    for (int side = 0; side < SIDES; side++)
        if (s->sources[side])
            s->sources[side]->ops->close(s->sources[side]);
    for (int side = 0; side < SIDES; side++)
        if (s->dormant[side])
            s->dormant[side]->ops->close(s->dormant[side]);
    norm_shared_close(&s->shared);
    rates_close(s->job->match.fx.rates);
    s->job->match.fx.rates = NULL;
    mem_give(s);
}

/* Memory counted, inputs found and opened. */
static enum err session_open(struct session **out, struct job *job, const struct options *options,
                             const char *out_dir, uint16_t date, struct session_task *task, struct diag *diag)
{
    *out = NULL;
    struct session *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "a run");
    s->job = job;
    s->options = options;
    s->task = task;
    s->out_dir = s->out_room;
    s->date = date;
    s->began = run_seconds();
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signals_catch();
    enum err err = OK;
    if (snprintf(s->out_room, sizeof s->out_room, "%s", out_dir) >= (int)sizeof s->out_room)
        err = diag_set(diag, ERR_USAGE, "out.directory", NULL, "the output directory's name is too long");
    if (err == OK)
        err = plan(s, diag);
    if (err == OK)
        err = task ? norm_shared_open(&s->shared, job, task->seed, date, diag)
                   : open_shared(&s->shared, job, date, diag);
    if (err == OK && task) {
        task->keep.shared = &s->shared;
        s->shared.keeps_ids = task->ids != NULL;
    }
    if (err == OK)
        err = rates_open_of(job, date, diag);
    if (err == OK)
        err = open_sources(s, diag);
    if (err != OK)
        session_close(s);
    else
        *out = s;
    return err;
}

enum err session_begin(struct session **out, struct job *job, const struct options *options,
                       const char *out_dir, uint16_t date, struct session_task *task, struct diag *diag)
{
    enum err err = session_open(out, job, options, out_dir, date, task, diag);
    if (err == OK)
        err = prepare(*out, diag);
    if (err == OK)
        err = task->stage(task->context, SESSION_MATCHES, diag);
    if (err != OK) {
        session_close(*out);
        *out = NULL;
    }
    return err;
}

void session_match(struct session *s, const struct run_turn *turn)
{
    s->turn = turn;
    match(s, &s->diag);
    end_turn(s); /* what failed before its workers began */
    s->turn = NULL;
}

int session_end(struct session *s, struct diag *diag)
{
    char *summary = NULL;
    tell_match(s);
    enum err err = s->diag.err;
    if (err != OK)
        *diag = s->diag;
    if (err == OK)
        err = s->task->stage(s->task->context, SESSION_SECOND, diag);
    if (err == OK)
        tell_notes(s);
    if (err == OK)
        err = write_reports(s, &summary, diag);
    const int code = err == OK ? report_exit_code(s->result, 1) : (int)err;
    free(summary);
    return code;
}

int session_run(struct job *job, const struct options *options, const char *out_dir, uint16_t date,
                struct diag *diag)
{
    struct session *s;
    char *summary = NULL;
    int code;
    enum err err = session_open(&s, job, options, out_dir, date, NULL, diag);
    if (err != OK)
        return (int)err;
    if (options->aggregate_only)
        err = check_countable(s, diag);
    if (err == OK && !options->plan && !options->early && job->sources[LOCAL].kind == SOURCE_REPLICA)
        err = capture_passed(job, date, diag);
    if (err == OK && options->plan) {
        code = (int)tell_plan(s, diag);
        session_close(s);
        return code;
    }
    if (err == OK)
        err = prepare(s, diag);
    if (err == OK) {
        err = match(s, diag);
        tell_match(s);
    }
    if (options->aggregate_only) {
        code = err == OK ? tell_aggregates(s, diag) : (int)err;
    } else {
        if (err == OK)
            tell_notes(s);
        if (err == OK)
            err = write_reports(s, &summary, diag);
        code = err == OK ? report_exit_code(s->result, 0) : (int)err;
    }
    free(summary);
    session_close(s);
    return code;
}
