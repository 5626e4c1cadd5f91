/* cli/task_keep.c: what a task keeps, and its commit
 *
 * A task's commit, in this order, so that what is called done survives a power cut:
 *     1. its outputs: staged, fsynced, renamed, folder fsynced (io/sink/results.c)
 *        and before that, beside them: the segment of the verdict log, the files of carried and final records: fsynced, renamed, folder
 *        fsynced, under names of this task and revision that nobody looks at yet
 *     2. one transaction: phase DONE, the files' names and hashes, the log's head, I4, error orders, the manifest
 *     3. BOOK: how far the state is; and the same beside the outputs, for a state folder that is put back as a whole (io/store/witness.h)
 * Killed before 2: the task is due as before, and done again, over the files that nobody committed. Killed before 3: 2 counts.
 */
#include "cli/book_witness.h"
#include "cli/log_changes.h"
#include "cli/task_work.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/store/alarm.h"
#include "io/store/error_order.h"
#include "io/store/witness.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- carried and final records ---- */

/* A list of a side: rows, each behind its print. */
struct carrying {
    struct task_work *w;
    enum side side;
    enum kept list;
    enum carry_kind rows, prints;
    struct carry_writer *rows_writer, *prints_writer;
    struct diag diag;
    pthread_t thread;
};

static enum err carried_row(void *context, struct span row, struct diag *diag)
{
    struct carrying *c = context;
    _Static_assert(sizeof(struct final_print) == sizeof(struct open_print), "prints are of one size");
    const size_t prints = (uint8_t)row.data[0] * sizeof(struct final_print);
    const struct span print = {row.data + 1, prints}, text = {row.data + 1 + prints, row.size - 1 - prints};
    if (c->rows == CARRY_FINAL &&
        c->side == LOCAL) /* both sides are written at once, and a pair has one of each */
        by_hand_given(&c->w->by_hand, text);
    enum err err = carry_write_row(c->prints_writer, print, 0, diag);
    return err == OK ? carry_write_row(c->rows_writer, text, 1, diag) : err;
}

static enum err gone_row(void *context, struct span row, struct diag *diag)
{
    struct task_work *w = context;
    (void)diag;
    by_hand_touched(&w->by_hand, row);
    text_put(&w->gone, row.data, row.size);
    text_put(&w->gone, "\n", 1);
    return OK;
}

/* A list of nothing has no file: its row in the state says so. */
static void name_carry(struct task_work *w, int side, enum carry_kind kind)
{
    static const char *const kinds[] = {"open", "final", "prints", "open-prints"};
    struct carry_file *file = &w->files[side][kind];
    *file = (struct carry_file){.task = w->task.id, .revision = w->task.wanted, .kind = kind, .side = side};
    snprintf(file->file, sizeof file->file, "suspense/%06lld-r%lld-%s-%s.csv", (long long)w->task.id,
             (long long)w->task.wanted, kinds[kind], side_name((enum side)side));
}

static enum err begin_carry(struct task_work *w, int side, enum carry_kind kind, struct carry_writer **writer,
                            struct diag *diag)
{
    struct carry_file *file = &w->files[side][kind];
    struct text header = {0};
    if (kind != CARRY_PRINTS && kind != CARRY_OPEN_PRINTS)
        keep_header(&header, w->job->job);
    enum err err = header.failed ? mem_fail(diag, header.size, "carried records")
                                 : carry_write_open(writer, w->folder->state, file,
                                                    (struct span){header.data, header.size}, diag);
    text_fini(&header);
    return err;
}

static enum err write_carried(struct carrying *c, struct results *results, struct diag *diag)
{
    name_carry(c->w, c->side, c->rows);
    name_carry(c->w, c->side, c->prints);
    if (results_book_is_empty(results, c->list))
        return OK;
    enum err err = begin_carry(c->w, c->side, c->rows, &c->rows_writer, diag);
    if (err == OK)
        err = begin_carry(c->w, c->side, c->prints, &c->prints_writer, diag);
    if (err == OK)
        err = results_book(results, c->list, carried_row, c, diag);
    if (err == OK)
        err = carry_write_end(c->rows_writer, &c->w->files[c->side][c->rows], diag);
    if (err == OK)
        err = carry_write_end(c->prints_writer, &c->w->files[c->side][c->prints], diag);
    carry_write_drop(c->rows_writer);
    carry_write_drop(c->prints_writer);
    return err;
}

/* ---- I4 ---- */

static struct roll roll_of(const struct run_result *r, int side, int currency)
{
    const struct carry_totals *t = &r->carry[side][currency];
    return (struct roll){.side = side,
                         .currency = (uint8_t)currency,
                         .opening = t->opening,
                         .opened = t->opened,
                         .resolved = t->resolved,
                         .expired = t->expired,
                         .reopened = t->reopened,
                         .closing = t->closing,
                         .opening_sum = t->opening_sum,
                         .opened_sum = t->opened_sum,
                         .resolved_sum = t->resolved_sum,
                         .expired_sum = t->expired_sum,
                         .reopened_sum = t->reopened_sum,
                         .closing_sum = t->closing_sum,
                         .changed_sum = t->changed_sum};
}

static int roll_is_empty(const struct roll *r)
{
    return !r->opening && !r->opened && !r->reopened && !r->closing && !r->resolved && !r->expired;
}

struct openings {
    uint64_t count[SIDES][CURRENCY_COUNT_MAX];
    money_total sum[SIDES][CURRENCY_COUNT_MAX];
};

static enum err add_opening(void *context, const struct roll *roll, struct diag *diag)
{
    struct openings *o = context;
    (void)diag;
    o->count[roll->side][roll->currency] = roll->closing;
    o->sum[roll->side][roll->currency] = roll->closing_sum;
    return OK;
}

/* What was carried in is what the day before carried out; what goes on adds up. */
static enum err check_rolls(struct task_work *w, const struct run_result *r, struct diag *diag)
{
    struct openings *want = mem_take_zero(1, sizeof *want);
    if (!want)
        return mem_fail(diag, sizeof *want, "I4");
    enum err err = w->before.id ? roll_each(state_db(w->folder->state), w->before.id, w->before.revision,
                                            add_opening, want, diag)
                                : OK;
    for (int side = 0; err == OK && side < SIDES; side++)
        for (int c = 0; err == OK && c < CURRENCY_COUNT_MAX; c++) {
            const struct roll roll = roll_of(r, side, c);
            if (roll.opening != want->count[side][c] || roll.opening_sum != want->sum[side][c] ||
                !roll_adds_up(&roll) || (roll.changed_sum && w->job->job->sources[side].kind == SOURCE_FILES))
                err = diag_set(
                    diag, ERR_BUG, "invariant", "please report this with the job and the state folder",
                    "I4 broken on the %s side, %s: %llu opening (the day before closed with %llu) + %llu "
                    "opened - %llu resolved - %llu expired + %llu reopened is not %llu closing, or their "
                    "sums "
                    "are not",
                    side_name((enum side)side), currency_code((uint8_t)c), (unsigned long long)roll.opening,
                    (unsigned long long)want->count[side][c], (unsigned long long)roll.opened,
                    (unsigned long long)roll.resolved, (unsigned long long)roll.expired,
                    (unsigned long long)roll.reopened, (unsigned long long)roll.closing);
        }
    mem_give(want);
    return err;
}

/* ---- what is published ---- */

/* What of the outputs must be there as it is now. */
static const char *const sealed[] = {
    "mismatch.csv",  "missing.csv",  "extra.csv",  "suspense.csv",  "duplicate.csv",
    "ambiguous.csv", "excluded.csv", "reject.csv", "aggregate.csv", "summary.json",
    "match.csv",     "proposal.csv", NULL};

static enum err seal_files(struct text *t, const struct results *results, struct diag *diag)
{
    const char *const directory = results_folder(results);
    enum err err = OK;
    text_words(t, ",\n  \"files\": {");
    for (int i = 0; err == OK && sealed[i]; i++) {
        char path[STATE_PATH_MAX], hash[DIGEST_TEXT] = "";
        struct stat st = {0};
        const char *known = results_seal(results, sealed[i]);
        if (known) {
            text_format(t, "%s\n    \"%s\": \"%s\"", i ? "," : "", sealed[i], known);
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", directory, sealed[i]);
        int fd = sys_open(path, O_RDONLY, 0);
        if (fd == -ENOENT && (strcmp(sealed[i], "match.csv") == 0 || strcmp(sealed[i], "proposal.csv") == 0))
            continue; /* it was not asked for */
        int error = fd < 0 ? fd : sys_fstat(fd, &st);
        if (!error)
            error = digest_file(fd, (uint64_t)st.st_size, "SHA256", hash);
        if (fd >= 0)
            sys_close(fd);
        if (error)
            err =
                diag_set_errno(diag, error < 0 ? -error : EIO, "out.read", "%s: cannot read it again", path);
        text_format(t, "%s\n    \"%s\": \"%s\"", i ? "," : "", sealed[i], hash);
    }
    text_words(t, "\n  }");
    return err;
}

static enum err write_certificate(struct task_work *w, const struct session_outcome *o, struct diag *diag)
{
    struct segment head;
    char chain[VERDICT_SHA_TEXT], manifest[DIGEST_TEXT], outputs[DIGEST_TEXT] = "";
    enum err err = segment_head(state_db(w->folder->state), &head, diag);
    struct digest *digest = err == OK ? digest_open() : NULL;
    if (err == OK && !digest)
        err = mem_fail(diag, 0, "a certificate");
    if (err != OK)
        return err;
    digest_begin(digest);
    digest_put(digest, o->digest_lines, strlen(o->digest_lines));
    digest_end(digest, outputs);
    digest_close(digest);
    verdict_chain(chain, head.chain, w->segment.sha);
    manifest_text(o->manifest, manifest);
    struct text t = {0};
    text_words(&t, "{\n  \"book\": ");
    text_json(&t, span_of(state_id(w->folder->state)));
    text_words(&t, ",\n  \"task\": ");
    text_json(&t, span_of(w->task.name));
    text_format(&t, ",\n  \"revision\": %lld,\n  \"rules\": ", (long long)w->task.wanted);
    text_json(&t, span_of(w->rule_version));
    text_words(&t, ",\n  \"inputs\": ");
    text_json(&t, span_of(manifest));
    text_words(&t, ",\n  \"outputs\": ");
    text_json(&t, span_of(outputs));
    err = seal_files(&t, o->results, diag);
    text_format(&t,
                ",\n  \"verdicts\": {\"segment\": %lld, \"entries\": %llu, \"sha256\": \"%s\", \"chain\": "
                "\"%s\"}\n}\n",
                (long long)head.number + 1, (unsigned long long)w->segment.entries, w->segment.sha, chain);
    if (err == OK)
        err = t.failed ? mem_fail(diag, t.size, "a certificate")
                       : results_extra(o->results, "certificate.json", t.data, t.size, diag);
    digest = err == OK ? digest_open() : NULL;
    if (digest) {
        digest_begin(digest);
        digest_put(digest, t.data, t.size);
        digest_end(digest, w->certificate);
        digest_close(digest);
    }
    text_fini(&t);
    return err;
}

struct open_side {
    struct carrying carrying;
    struct results *results;
    int has_thread;
};

static void *open_main(void *argument)
{
    struct open_side *side = argument;
    struct diag *diag = &side->carrying.diag;
    if (write_carried(&side->carrying, side->results, diag) != OK && side->carrying.w->dormant)
        dormant_call_off(side->carrying.w->dormant);
    return NULL;
}

/* Files under names that nobody looks at before the commit. Where dormant records stream by, all of their readers go side by side:
 * both open files, the log here, and suspense.csv. */
enum err task_keep_files(void *context, struct results *results, struct diag *diag)
{
    struct task_work *w = context;
    struct open_side open[SIDES];
    const char *ids = NULL;
    enum err err = w->ids ? id_book_seal(w->ids, &ids, diag)
                          : OK; /* first: it is the largest, and on its way while the others are written */
    if (err != OK)
        return err;
    for (int side = 0; side < SIDES; side++) {
        open[side] = (struct open_side){.carrying = {.w = w,
                                                     .side = (enum side)side,
                                                     .list = (enum kept)(BOOK_OPEN + side),
                                                     .rows = CARRY_OPEN,
                                                     .prints = CARRY_OPEN_PRINTS},
                                        .results = results};
        pthread_t *thread = &open[side].carrying.thread;
        open[side].has_thread = w->dormant && pthread_create(thread, NULL, open_main, &open[side]) == 0;
        if (!open[side].has_thread && w->dormant)
            err = diag_set(diag, ERR_MACHINE, "threads", NULL, "cannot start a thread");
        else if (!w->dormant && err == OK)
            err = write_carried(&open[side].carrying, results, diag);
    }
    if (err == OK) /* before the log, which says what becomes of pairs made by hand */
        err = results_book_of_run(results, BOOK_GONE, gone_row, w, diag);
    by_hand_again(&w->by_hand, w->ask.again);
    if (err == OK && w->gone.failed)
        err = mem_fail(diag, w->gone.size, "reopened records");
    if (err == OK)
        err = task_log_write(w, results, diag);
    if (err != OK && w->dormant)
        dormant_call_off(w->dormant);
    for (int side = 0; side < SIDES; side++) {
        if (!open[side].has_thread)
            continue;
        pthread_join(open[side].carrying.thread, NULL);
        const struct diag *theirs = &open[side].carrying.diag;
        if (theirs->err != OK && (err == OK || err == ERR_INTERRUPTED)) {
            *diag = *theirs;
            err = diag->err;
        }
    }
    for (int side = 0; err == OK && side < SIDES; side++) {
        struct carrying final = {.w = w,
                                 .side = (enum side)side,
                                 .list = (enum kept)(BOOK_FINAL + side),
                                 .rows = CARRY_FINAL,
                                 .prints = CARRY_PRINTS};
        err = write_carried(&final, results, diag);
    }
    for (int side = 0; side < SIDES; side++)
        for (int kind = 0; kind < CARRY_KINDS; kind++)
            if (w->files[side][kind].records)
                w->fresh_files[w->fresh_count++] = w->files[side][kind].file;
    if (ids)
        w->fresh_files[w->fresh_count++] = ids;
    return err == OK ? state_files_publish(w->folder->state, w->fresh_files, w->fresh_count, diag) : err;
}

enum err task_keep_all(void *context, const struct session_outcome *o, struct diag *diag)
{
    struct task_work *w = context;
    enum err err = check_rolls(w, o->result, diag);
    for (int side = 0; err == OK && side < SIDES; side++) /* two roads to one number */
        if (w->files[side][CARRY_OPEN].records != o->result->totals.count[CLASS_SUSPENSE][side])
            err =
                diag_set(diag, ERR_BUG, "invariant", "please report this with the job and the state folder",
                         "%llu records of the %s side are in suspense, and %llu are carried on",
                         (unsigned long long)o->result->totals.count[CLASS_SUSPENSE][side],
                         side_name((enum side)side), (unsigned long long)w->files[side][CARRY_OPEN].records);
    return err == OK ? write_certificate(w, o, diag) : err;
}

static enum err commit_gone(struct task_work *w, struct diag *diag)
{
    enum err err = OK;
    for (char *line = w->gone.data, *end; err == OK && line && line < w->gone.data + w->gone.size;
         line = end + 1) {
        end = strchr(line, '\n');
        *end = 0;
        char *at = strrchr(line, '@');
        if (!at)
            return diag_set(diag, ERR_BUG, "reopened", NULL, "a reopened record has no origin: %s", line);
        *at = 0;
        uint64_t offset = 0;
        for (at++; *at >= '0' && *at <= '9'; at++)
            offset = offset * 10 + (uint64_t)(*at - '0');
        err = gone_add(state_db(w->folder->state), w->task.id, w->task.wanted, line, offset, diag);
    }
    return err;
}

static enum err commit_log(struct task_work *w, const struct session_outcome *o, int64_t now,
                           struct diag *diag)
{
    const struct log_changes changes = {.db = state_db(w->folder->state),
                                        .task = &w->task,
                                        .before = &w->before,
                                        .outcome = o,
                                        .job = w->job->job,
                                        .seed = state_seed(w->folder->state),
                                        .same_rules = w->before.id &&
                                                      strcmp(w->before.rule_version, w->rule_version) == 0,
                                        .now = now};
    return log_changes_commit(&changes, &w->changed_days, diag);
}

/* The task is done with or without it. */
static void leave_witness(const struct task_work *w)
{
    char root[STATE_PATH_MAX];
    const int error =
        job_out_root(w->job->job, root) == 0 ? witness_leave(w->folder->state, root) : -ENAMETOOLONG;
    if (error)
        fprintf(
            stderr,
            "note: %s: cannot write down there how far the state is (%s): an older copy of the state would "
            "not be told\n",
            root, strerror(-error));
}

enum err task_commit(void *context, const struct session_outcome *o, struct diag *diag)
{
    struct task_work *w = context;
    struct sqlite *db = state_db(w->folder->state);
    const int64_t now = (int64_t)time(NULL);
    char manifest[DIGEST_TEXT], path[STATE_PATH_MAX];
    manifest_text(o->manifest, manifest);
    enum err err = task_move(db, &w->task, PHASE_PUSH, diag);
    if (err == OK)
        err = state_path(w->folder->state, path, w->segment.file, diag);
    if (err == OK)
        err = sqlite_durable(db, 1, diag);
    if (err == OK)
        err = sqlite_begin(db, diag);
    if (err != OK)
        return err;
    for (int side = 0; err == OK && side < SIDES; side++)
        for (int kind = 0; err == OK && kind < CARRY_KINDS; kind++)
            err = carry_add(db, &w->files[side][kind], diag);
    if (err == OK)
        err = commit_gone(w, diag);
    for (int side = 0; err == OK && side < SIDES; side++)
        for (int c = 0; err == OK && c < CURRENCY_COUNT_MAX; c++) {
            const struct roll roll = roll_of(o->result, side, c);
            if (!roll_is_empty(&roll))
                err = roll_add(db, w->task.id, w->task.wanted, &roll, diag);
        }
    if (err == OK)
        err = commit_log(w, o, now, diag);
    if (err == OK)
        err = segment_add(db, &w->segment, diag);
    if (err == OK && w->ids)
        err = id_book_commit(w->ids, now, diag);
    if (err == OK)
        err = budget_book_add(&w->budgets, db, &w->task, diag);
    if (err == OK)
        err = by_hand_mark(&w->by_hand, diag);
    if (err == OK)
        err = error_orders_add(db, &w->task, path, &w->head, w->folder->book, now, diag);
    if (err == OK)
        err = by_hand_settle(&w->by_hand, now, diag);
    if (err == OK)
        err = manifest_admit(o->manifest, diag);
    if (err == OK)
        err = alarm_clear(db, "task.failed", w->task.name, now, diag);
    if (err == OK)
        err = alarm_clear(db, "bill.missing", w->task.name, now, diag);
    if (err == OK)
        err = alarm_clear(db, "capture.behind", w->task.name, now, diag);
    if (err == OK)
        err = alarm_clear(db, "task.machine", w->task.name, now, diag);
    const struct task_done done = {w->rule_version, manifest, w->certificate, o->exit_code, now};
    if (err == OK)
        err = task_done(db, &w->task, &done, diag);
    if (err == OK)
        err = sqlite_commit(db, diag);
    if (err != OK) {
        sqlite_rollback(db);
        return err;
    }
    if (w->ids) {
        id_book_sweep(w->ids);
        id_book_tell(w->ids);
    }
    /* Done is done: what says how far the state is may lag behind it, as it does where a run is killed here. */
    struct diag behind = {0};
    if (state_advance(w->folder->state, w->segment.number, w->segment.chain, &behind) != OK)
        fprintf(stderr,
                "note: %s; the task is done, but until the next one an older copy of the state would not be "
                "told\n",
                behind.what);
    leave_witness(w);
    return OK;
}
