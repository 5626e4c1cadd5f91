/* cli/task_begin.c: a task up to its first row: its files are fetched, what the day before left is looked for, the session is opened */
#include "cli/signals.h"
#include "cli/task_work.h"
#include "core/base/mem.h"
#include "io/fetch/fetch.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/source/capture.h"
#include "io/store/log_book.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum {
    CARRY_APART_LEAST = 4096, /* open records: fewer are fed to the run as they are */
    FRESH_SHARE = 32,         /* a set of a side's keys takes at most one part of so many of the memory, */
    DORMANT_SHARE = 64        /* and each of those of open records */
};

/* ---- the session's questions ---- */

static enum err stage(void *context, enum session_stage stage, struct diag *diag)
{
    static const enum phase phases[] = {PHASE_MATCH, PHASE_SECOND, PHASE_AGGREGATE};
    struct task_work *w = context;
    return task_move(state_db(w->folder->state), &w->task, phases[stage], diag);
}

static enum err find_late(void *context, enum side side, const char ***paths, int *count, struct diag *diag)
{
    struct task_work *w = context;
    enum err err = OK;
    if (!w->late_found[side]) {
        w->late_found[side] = 1;
        const struct late_ask ask = {
            .fresh = {&w->fresh[LOCAL], &w->fresh[CHANNEL]},
            .met = w->dormant ? dormant_met(w->dormant) : NULL,
            /* One that a later key brings nets with what is under its first one (P7). */
            .beside = w->dormant && w->job->job->match.reversals ? dormant_keys(w->dormant) : NULL};
        err = late_find(w->late, side, &ask, &w->late_paths[side], &w->late_count[side], diag);
    }
    *paths = w->late_paths[side];
    *count = w->late_count[side];
    return err;
}

/* Reopened ones of either side may meet them as well. */
static enum err find_woken(void *context, enum side side, const char **path, struct diag *diag)
{
    struct task_work *w = context;
    enum err err = OK;
    const char **paths;
    int count;
    for (int late = 0; err == OK && w->late && late < SIDES; late++)
        err = find_late(w, (enum side)late, &paths, &count, diag);
    return err == OK ? dormant_wake(w->dormant, side, path, diag) : err;
}

static enum err find_later(void *context, enum side side, const struct late_ask *ask, const char ***paths,
                           int *count, struct diag *diag)
{
    struct task_work *w = context;
    return late_find(w->late, side, ask, paths, count, diag);
}

/* ---- before the first row ---- */

static enum err open_carried(void *context, const struct carry_file *file, struct diag *diag)
{
    struct task_work *w = context;
    if (file->records == 0)
        return OK;
    enum err err = carry_check(w->folder->state, file, diag);
    if (err == OK)
        err = state_path(w->folder->state, w->open_path[file->side], file->file, diag);
    w->ask.carried[file->side].path[0] = w->open_path[file->side];
    if (source_tells_images(w->job->job->sources[file->side].kind))
        w->renamable += file->records;
    return err;
}

static enum err take_dormant(void *context, const struct carry_file *file, struct diag *diag)
{
    struct dormant_files *files = context;
    (void)diag;
    if (file->kind == CARRY_OPEN)
        files[file->side].rows = *file;
    else
        files[file->side].prints = *file;
    return OK;
}

/* Whether most of what is carried can pass by the run: many records, of the same rules as today's, each with its print. */
static enum err look_for_dormant(struct task_work *w, const struct options *options, struct diag *diag)
{
    struct dormant_files files[SIDES] = {{{0}, {0}}, {{0}, {0}}};
    struct sqlite *db = state_db(w->folder->state);
    const uint64_t least = options->carry_apart ? (uint64_t)options->carry_apart : CARRY_APART_LEAST;
    enum err err = OK;
    if (!w->before.id || !dormant_suits(w->job->job) || strcmp(w->before.rule_version, w->rule_version) != 0)
        return OK;
    for (int side = 0; side < SIDES; side++)
        for (int i = 0; err == OK && i < 2; i++) {
            const struct carry_ask ask = {
                .kind = i ? CARRY_OPEN_PRINTS : CARRY_OPEN, .side = side, .task = w->before.id};
            err = carry_each(db, &ask, take_dormant, files, diag);
        }
    for (int side = 0; err == OK && side < SIDES; side++)
        if (files[side].prints.records != files[side].rows.records ||
            files[side].prints.bytes !=
                files[side].rows.records * open_units(w->job->job) * sizeof(union open_unit))
            return OK; /* of an older program */
    if (err != OK || files[LOCAL].rows.records + files[CHANNEL].rows.records < least)
        return err;
    for (int side = 0; side < SIDES; side++)
        if (source_tells_images(w->job->job->sources[side].kind)) /* perhaps all of them are met */
            w->renamable += files[side].rows.records;
    return dormant_open(&w->dormant, w->folder->state, w->job->job, files, w->task.id,
                        session_memory(options) / DORMANT_SHARE, diag);
}

static enum err count_carried(void *context, const struct carry_file *file, struct diag *diag)
{
    (void)diag;
    *(uint64_t *)context += file->records;
    return OK;
}

/* Of logs that have a file a day: those days before whose files told of rows of this one, and those between them and this one. */
static enum err find_log_days(struct task_work *w, int side, struct diag *diag)
{
    struct sqlite *db = state_db(w->folder->state);
    struct log_sums *sums = mem_take_zero(LOG_DAYS + LOG_AHEAD + 1, sizeof *sums);
    struct log_sums *ahead = sums + LOG_DAYS;
    char begin[LOG_BEGIN_MAX];
    struct task task = w->before;
    struct arena arena;
    enum err err = sums ? OK : mem_fail(diag, (LOG_DAYS + LOG_AHEAD + 1) * sizeof *sums, "what a log told");
    int count = 0;
    arena_init(&arena);
    while (err == OK && task.id && count < LOG_AHEAD) {
        struct task earlier;
        int found = log_book_read(db, &task, w->task.day, side, begin, sums, ahead, diag);
        if (found > 0 && log_sums_is_none(ahead))
            break;
        if (found > 0 && task.day < w->task.day && (!count || w->log_days[side][count - 1] != task.day))
            w->log_days[side][count++] = task.day;
        if (found > 0)
            found = task_before(db, &task, &arena, &earlier, diag);
        if (found <= 0) {
            err = found < 0 ? diag->err : OK;
            break;
        }
        task = earlier;
    }
    arena_fini(&arena);
    mem_give(sums);
    w->ask.log_days[side] = w->log_days[side];
    w->ask.log_day_count[side] = count;
    return err;
}

/* How far a log was read, and what its table was when the carried rows of it were told. Where none are carried it may be anything. */
static enum err read_tables(struct task_work *w, struct diag *diag)
{
    struct sqlite *db = state_db(w->folder->state);
    enum err err = OK;
    for (int side = 0; err == OK && w->before.id && side < SIDES; side++) {
        const struct carry_ask ask = {.kind = CARRY_OPEN, .side = side, .task = w->before.id};
        uint64_t carried = 0;
        if (!source_tells_images(w->job->job->sources[side].kind))
            continue;
        err = carry_each(db, &ask, count_carried, &carried, diag);
        w->ask.holds[side] = carried > 0;
        if (err == OK)
            err = log_tables_read(db, &w->before, side, &w->tables[side], diag);
        w->ask.kept[side] = (struct span){w->tables[side].data, w->tables[side].size};
        if (err == OK)
            err = find_log_days(w, side, diag);
    }
    return err;
}

/* What the day before left, and whether final records may be reopened. */
static enum err look_back(struct task_work *w, const struct options *options, struct diag *diag)
{
    struct state *state = w->folder->state;
    enum err err = look_for_dormant(w, options, diag);
    if (err == OK)
        err = read_tables(w, diag);
    w->ask.dormant = w->dormant;
    w->ask.set_bytes = w->dormant ? dormant_bytes(w->dormant) : 0;
    for (int side = 0; side < SIDES; side++) {
        struct carried_source *carried = &w->ask.carried[side];
        *carried = (struct carried_source){.gate = &w->gate, .context = w};
        struct carry_ask ask = {.kind = CARRY_OPEN, .side = side, .task = w->before.id};
        carried->woken = w->dormant ? find_woken : NULL;
        if (err == OK && w->before.id && !w->dormant)
            err = carry_each(state_db(state), &ask, open_carried, w, diag);
    }
    if (err == OK && w->renamable) {
        w->ask.renamed = &w->renamed;
        if (!renamed_init(&w->renamed, w->renamable, state_seed(state)))
            err = mem_fail(diag, w->renamable * sizeof *w->renamed.rows, "the ids of open records");
        w->ask.set_bytes += renamed_bytes(&w->renamed);
    }
    if (err == OK && w->job->job->match.has_budget)
        err = budget_book_read(&w->budgets, state_db(state), &w->task, diag);
    if (err == OK && w->job->job->ids_keep) {
        err = id_book_open(&w->ids, state, &w->task,
                           (struct id_reach){w->job->job->ids_keep, w->job->job->ids_date}, diag);
        w->ask.ids = err == OK ? id_book_store(w->ids) : NULL;
    }
    if (err == OK)
        err = late_open(&w->late, state, &w->task, diag);
    if (err == OK)
        err = by_hand_open(&w->by_hand, state, &w->task, w->late, diag);
    w->ask.hands = w->by_hand.takes_up;
    if (err != OK || !w->late)
        return err;
    /* As many keys as the day's files may hold rows; how many bytes these are is not known yet, but the final records are. */
    const uint64_t hashes = 1u << 24;
    for (int side = 0; err == OK && side < SIDES; side++) {
        if (!bloom_init(&w->fresh[side], hashes, session_memory(options) / FRESH_SHARE))
            err = mem_fail(diag, hashes / 8 * BLOOM_BITS_PER_HASH, "the set of fresh keys");
        w->ask.carried[side].late = find_late;
        w->ask.set_bytes += bloom_bytes(&w->fresh[side]);
    }
    w->ask.fresh = w->fresh;
    w->ask.later = (struct late_ops){find_later, w, state_seed(state)};
    return err;
}

void task_work_close(struct task_work *w)
{
    dormant_close(w->dormant); /* before the sources and results that it reads and fills */
    session_close(w->session);
    late_close(w->late);
    id_book_close(w->ids);
    budget_cells_fini(&w->budgets);
    for (int side = 0; side < SIDES; side++)
        bloom_fini(&w->fresh[side]);
    renamed_fini(&w->renamed);
    task_log_close(w);
    for (int side = 0; side < SIDES; side++)
        text_fini(&w->tables[side]);
    text_fini(&w->gone);
    text_fini(&w->changed_days);
    earlier_fini(&w->earlier);
    by_hand_close(&w->by_hand);
    arena_fini(&w->arena);
}

static void tell_file(void *context, const char *path, uint64_t size, const char *digest, int fresh)
{
    (void)context;
    if (fresh)
        fprintf(stderr, "%s: %llu bytes, %s\n", path, (unsigned long long)size, digest);
}

static enum err collect(struct task_work *w, struct diag *diag)
{
    enum err err = w->job->job->sources[LOCAL].kind == SOURCE_REPLICA
                       ? capture_passed(w->job->job, w->task.day, diag)
                       : OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        if (!w->job->job->sources[side].fetch.given)
            continue;
        struct fetch_config config = {.job = w->job->job,
                                      .side = (enum side)side,
                                      .date = w->task.day,
                                      .deadline_s = 0,
                                      .interrupted = signals_interrupted,
                                      .file = tell_file};
        err = fetch_files(&config, diag);
    }
    return err;
}

/* All that comes before the first row. */
enum err task_prepare(struct task_work *w, const struct options *options, struct diag *diag)
{
    struct sqlite *db = state_db(w->folder->state);
    struct job *job = w->job->job;
    char out[STATE_PATH_MAX];
    enum err err = task_move(db, &w->task, PHASE_COLLECT, diag);
    if (err == OK)
        err = collect(w, diag);
    if (err == OK)
        err = task_move(db, &w->task, PHASE_SUSPICIOUS, diag);
    if (err == OK) {
        int fd = sys_open(job->path, O_RDONLY, 0);
        struct stat st;
        int error = fd < 0 ? fd : sys_fstat(fd, &st);
        if (!error)
            error = digest_file(fd, (uint64_t)st.st_size, "SHA256", w->rule_version);
        if (fd >= 0)
            sys_close(fd);
        if (error)
            err = diag_set_errno(diag, error < 0 ? -error : EIO, "job.read", "%s: cannot read it", job->path);
    }
    if (err == OK)
        err = look_back(w, options, diag);
    if (err == OK)
        err = task_out_directory(job, w->task.day, out, sizeof out, diag);
    if (err != OK)
        return err;
    w->ask.keep = (struct keep_task){.name = w->task.name,
                                     .revision = (uint32_t)w->task.wanted,
                                     .date = w->task.day,
                                     .budgets = w->job->job->match.has_budget ? &w->budgets : NULL};
    w->ask.seed = state_seed(w->folder->state);
    w->ask.db = db;
    w->ask.stage = stage;
    w->ask.keep_files = task_keep_files;
    w->ask.keep_all = task_keep_all;
    w->ask.commit = task_commit;
    w->ask.context = w;
    return session_begin(&w->session, job, options, out, w->task.day, &w->ask, diag);
}
