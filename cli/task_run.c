/* cli/task_run.c: see task_run.h
 *
 * A task's commit, in this order, so that what is called done survives a power cut:
 *     1. its outputs: staged, fsynced, renamed, folder fsynced (io/sink/results.c)
 *        and before that, beside them: the segment of the verdict log, the files of carried and final records: fsynced, renamed, folder
 *        fsynced, under names of this task and revision that nobody looks at yet
 *     2. one transaction: phase DONE, the files' names and hashes, the log's head, I4, error orders, the manifest
 *     3. BOOK: how far the state is
 * Killed before 2: the task is due as before, and done again, over the files that nobody committed. Killed before 3: 2 counts.
 */
#include "cli/task_run.h"
#include "cli/by_hand.h"
#include "cli/earlier.h"
#include "cli/log_changes.h"
#include "cli/session.h"
#include "core/base/mem.h"
#include "io/fetch/fetch.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/store/alarm.h"
#include "io/store/budget_book.h"
#include "io/store/carry_file.h"
#include "io/store/error_order.h"
#include "io/store/id_book.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    CARRY_APART_LEAST = 4096, /* open records: fewer are fed to the run as they are */
    RETRY_FIRST_S = 60,       /* after a failed try; then four times as long */
    RETRY_MOST_S = RETRY_FIRST_S << 2 * TASK_TRIES,
    LOOK_AGAIN_S = 300, /* for a bill that is not there */
    BILL_DEADLINE_S = 86400,
    FRESH_BYTES_SHARE = 16, /* of the machine's memory, for the sets of fresh keys */
    ROW_BYTES_LEAST = 64
};

/* ---- what a restatement takes back ---- */

struct old_entry {
    uint8_t *bytes;
    size_t size;
    int used;
};

/* The last revision's segment, read beside the new one: both are in the order of entry_compare. */
struct differ {
    struct verdict_reader *reader; /* NULL: there is none */
    struct entry next;             /* of the old segment, not taken in yet */
    struct span next_bytes;
    int has_next;
    struct old_entry *group; /* old entries with one and the same leading record */
    uint32_t count, room;
    uint64_t reversed, fresh, again;
};

struct task_work {
    struct book_folder *folder;
    const struct book_job *job;
    struct task task;
    struct session_task ask;
    struct session *session;
    struct source_gate gate;
    struct late *late;
    struct budget_cells budgets;
    struct id_book *ids; /* NULL: the job keeps none */
    struct bloom fresh[SIDES];
    char open_path[SIDES][STATE_PATH_MAX];
    char rule_version[DIGEST_TEXT], certificate[DIGEST_TEXT];
    struct task before; /* the task whose closing is this one's opening; id 0: none */
    struct arena arena;
    /* what is to be committed */
    struct segment segment;
    struct verdict_head head; /* of the segment */
    struct verdict_log *log;
    struct differ differ;
    struct carry_file files[SIDES][CARRY_KINDS];
    const char *fresh_files[SIDES * CARRY_KINDS + 2]; /* written and not published yet, by folder */
    unsigned fresh_count;
    struct dormant *dormant;
    int late_found[SIDES];
    const char **late_paths[SIDES];
    int late_count[SIDES];
    struct text gone; /* origins, one a line */
    struct text entry;
    struct earlier earlier;
    struct by_hand by_hand;
    pthread_t thread; /* that reads its rows; with has_thread */
    int has_thread;
    sem_t turn, over;         /* posted when its workers may begin; when all is judged */
    struct text changed_days; /* that are done, and are not as their tasks had them: a person must look */
};

static enum err take_in(struct differ *d, struct diag *diag)
{
    enum step step = verdict_log_next(d->reader, &d->next, &d->next_bytes, diag);
    d->has_next = step == STEP_MORE;
    return step == STEP_FAILED ? diag->err : OK;
}

static enum err put_entry(struct task_work *w, const struct entry *e, struct diag *diag)
{
    const size_t size = entry_size(e);
    text_reset(&w->entry);
    char *at = text_room(&w->entry, size);
    if (!at)
        return mem_fail(diag, size, "the verdict log");
    entry_encode(e, (uint8_t *)at);
    return verdict_log_put(w->log, w->entry.data, size, diag);
}

/* What the last revision said and the new one does not: a verdict is taken back, and what had been taken back stands again. */
static enum err take_back(struct task_work *w, const uint8_t *bytes, size_t size, struct diag *diag)
{
    struct entry e;
    if (!entry_decode(&e, bytes, size))
        return diag_set(diag, ERR_STATE, "verdicts.damaged", NULL,
                        "an entry of the last revision cannot be read");
    if (e.undo || (e.kind == ENTRY_REVERSAL && span_is(e.task, w->task.name)))
        return OK; /* it was itself no more than an end to what the revision before that had said */
    e.kind = e.kind == ENTRY_REVERSAL ? ENTRY_AGAIN : ENTRY_REVERSAL;
    e.repeated = 0;
    e.undo = 1;
    if (e.kind == ENTRY_REVERSAL)
        w->differ.reversed++;
    else
        w->differ.again++;
    return put_entry(w, &e, diag);
}

static enum err end_group(struct task_work *w, struct diag *diag)
{
    struct differ *d = &w->differ;
    enum err err = OK;
    for (uint32_t i = 0; i < d->count; i++) {
        if (err == OK && !d->group[i].used)
            err = take_back(w, d->group[i].bytes, d->group[i].size, diag);
        mem_give(d->group[i].bytes);
    }
    d->count = 0;
    return err;
}

static enum err add_to_group(struct differ *d, struct diag *diag)
{
    if (d->count == d->room) {
        const uint32_t room = d->room ? d->room * 2 : 16;
        struct old_entry *grown = mem_grow(d->group, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "verdicts of the last revision");
        d->group = grown;
        d->room = room;
    }
    uint8_t *bytes = mem_take(d->next_bytes.size);
    if (!bytes)
        return mem_fail(diag, d->next_bytes.size, "verdicts of the last revision");
    memcpy(bytes, d->next_bytes.data, d->next_bytes.size);
    d->group[d->count++] = (struct old_entry){bytes, d->next_bytes.size, 0};
    return take_in(d, diag);
}

/* Old entries up to and with those of this leading record (NULL: all). */
static enum err catch_up(struct task_work *w, const struct entry *e, struct diag *diag)
{
    struct differ *d = &w->differ;
    struct entry first;
    enum err err = OK;
    if (d->count && entry_decode(&first, d->group[0].bytes, d->group[0].size) && e &&
        entry_compare(&first, e) == 0)
        return OK;
    err = end_group(w, diag);
    while (err == OK && d->has_next) {
        const int order = e ? entry_compare(&d->next, e) : -1;
        if (order > 0)
            break;
        if (order == 0) {
            err = add_to_group(d, diag);
            continue;
        }
        err = take_back(w, (const uint8_t *)d->next_bytes.data, d->next_bytes.size, diag);
        if (err == OK)
            err = take_in(d, diag);
    }
    return err;
}

static enum err note_earlier(void *context, struct span row, struct diag *diag)
{
    struct task_work *w = context;
    struct entry e;
    if (!entry_decode(&e, (const uint8_t *)row.data, row.size))
        return diag_set(diag, ERR_BUG, "verdicts.entry", NULL,
                        "an entry of the verdict log cannot be read again");
    return e.kind == ENTRY_VERDICT ? OK : earlier_note(&w->earlier, &e, diag);
}

/* A line of the new revision: one that says what the last one said keeps its number. */
static enum err log_entry(struct task_work *w, struct entry *e, struct diag *diag)
{
    struct differ *d = &w->differ;
    struct entry old;
    enum err err = d->reader ? catch_up(w, e, diag) : OK;
    for (uint32_t i = 0; err == OK && i < d->count; i++)
        if (!d->group[i].used && entry_decode(&old, d->group[i].bytes, d->group[i].size) && !old.undo &&
            old.kind == e->kind && (e->kind == ENTRY_VERDICT || old.revision == e->revision) &&
            entry_same(&old, e)) {
            d->group[i].used = 1;
            e->revision = old.revision;
            e->repeated = e->kind != ENTRY_VERDICT;
            return put_entry(w, e, diag);
        }
    d->fresh += e->kind == ENTRY_VERDICT;
    d->reversed += e->kind == ENTRY_REVERSAL;
    return err == OK ? put_entry(w, e, diag) : err;
}

/* What pairs made by hand have to say, up to the entry `before`. */
static enum err log_by_hand(struct task_work *w, const struct entry *before, struct diag *diag)
{
    struct entry e;
    enum err err = OK;
    while (err == OK && by_hand_next(&w->by_hand, before, &e))
        err = log_entry(w, &e, diag);
    return err;
}

static enum err log_row(void *context, struct span row, struct diag *diag)
{
    struct task_work *w = context;
    struct entry e;
    if (!w->differ.reader && !w->earlier.count && !w->by_hand.entry_count)
        return verdict_log_put(w->log, row.data, row.size, diag);
    if (!entry_decode(&e, (const uint8_t *)row.data, row.size))
        return diag_set(diag, ERR_BUG, "verdicts.entry", NULL,
                        "an entry of the verdict log cannot be read again");
    if (e.kind != ENTRY_VERDICT)
        earlier_settle(&w->earlier, &e);
    enum err err = log_by_hand(w, &e, diag);
    return err == OK ? log_entry(w, &e, diag) : err;
}

static enum err write_log(struct task_work *w, struct results *results, struct diag *diag)
{
    char path[STATE_PATH_MAX], old_path[STATE_PATH_MAX];
    struct state *state = w->folder->state;
    struct segment last;
    w->segment = (struct segment){.task = w->task.id, .revision = w->task.wanted};
    snprintf(w->segment.file, sizeof w->segment.file, "verdicts/%06lld-r%lld.log", (long long)w->task.id,
             (long long)w->task.wanted);
    enum err err = state_path(state, path, w->segment.file, diag);
    const int found = err == OK && w->task.revision
                          ? segment_find(state_db(state), w->task.id, w->task.revision, &last, diag)
                          : 0;
    if (found < 0)
        return diag->err;
    if (err == OK && found) {
        err = state_path(state, old_path, last.file, diag);
        if (err == OK)
            err = verdict_log_open(&w->differ.reader, old_path, diag);
        if (err == OK)
            err = take_in(&w->differ, diag);
    }
    if (err == OK && w->late) /* else nothing of earlier days can have been reopened */
        err = results_book_of_run(results, BOOK_LOG, note_earlier, w, diag);
    if (err == OK)
        err = earlier_look_up(&w->earlier, state, diag);
    if (err == OK)
        err = verdict_log_create(&w->log, path, diag);
    if (err == OK)
        err = by_hand_entries(&w->by_hand, diag);
    if (err == OK)
        err = results_book(results, BOOK_LOG, log_row, w, diag);
    if (err == OK)
        err = log_by_hand(w, NULL, diag);
    if (err == OK && w->differ.reader)
        err = catch_up(w, NULL, diag);
    if (err == OK)
        err = verdict_log_seal(w->log, &w->segment.entries, w->segment.sha, &w->head, diag);
    if (err == OK)
        w->fresh_files[w->fresh_count++] = w->segment.file;
    if (err == OK && w->differ.reader)
        fprintf(
            stderr,
            "revision %lld: %llu verdicts taken back, %llu given anew, %llu of earlier days stand again\n",
            (long long)w->task.wanted, (unsigned long long)w->differ.reversed,
            (unsigned long long)w->differ.fresh, (unsigned long long)w->differ.again);
    return err;
}

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
        const struct late_ask ask = {.fresh = {&w->fresh[LOCAL], &w->fresh[CHANNEL]},
                                     .met = w->dormant ? dormant_met(w->dormant) : NULL};
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
static enum err keep_files(void *context, struct results *results, struct diag *diag)
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
        err = write_log(w, results, diag);
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

static enum err keep_all(void *context, const struct session_outcome *o, struct diag *diag)
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

static enum err commit(void *context, const struct session_outcome *o, struct diag *diag)
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
    return state_advance(w->folder->state, w->segment.number, w->segment.chain, diag);
}

/* ---- one task ---- */

static enum err open_carried(void *context, const struct carry_file *file, struct diag *diag)
{
    struct task_work *w = context;
    if (file->records == 0)
        return OK;
    enum err err = carry_check(w->folder->state, file, diag);
    if (err == OK)
        err = state_path(w->folder->state, w->open_path[file->side], file->file, diag);
    w->ask.carried[file->side].path[0] = w->open_path[file->side];
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
        if (files[side].prints.records != files[side].rows.records)
            return OK;
    if (err != OK || files[LOCAL].rows.records + files[CHANNEL].rows.records < least)
        return err;
    return dormant_open(&w->dormant, w->folder->state, w->job->job, files, w->task.id, diag);
}

/* What the day before left, and whether final records may be reopened. */
static enum err look_back(struct task_work *w, const struct options *options, struct diag *diag)
{
    struct state *state = w->folder->state;
    enum err err = look_for_dormant(w, options, diag);
    w->ask.dormant = w->dormant;
    for (int side = 0; side < SIDES; side++) {
        struct carried_source *carried = &w->ask.carried[side];
        *carried = (struct carried_source){.gate = &w->gate, .context = w};
        struct carry_ask ask = {.kind = CARRY_OPEN, .side = side, .task = w->before.id};
        carried->woken = w->dormant ? find_woken : NULL;
        if (err == OK && w->before.id && !w->dormant)
            err = carry_each(state_db(state), &ask, open_carried, w, diag);
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
        if (!bloom_init(&w->fresh[side], hashes, 64u << 20))
            err = mem_fail(diag, hashes / 8 * BLOOM_BITS_PER_HASH, "the set of fresh keys");
        w->ask.carried[side].late = find_late;
    }
    w->ask.fresh = w->fresh;
    w->ask.later = (struct late_ops){find_later, w, state_seed(state)};
    return err;
}

static void work_close(struct task_work *w)
{
    dormant_close(w->dormant); /* before the sources and results that it reads and fills */
    session_close(w->session);
    late_close(w->late);
    id_book_close(w->ids);
    budget_cells_fini(&w->budgets);
    for (int side = 0; side < SIDES; side++)
        bloom_fini(&w->fresh[side]);
    verdict_log_drop(w->log);
    verdict_log_close(w->differ.reader);
    for (uint32_t i = 0; i < w->differ.count; i++)
        mem_give(w->differ.group[i].bytes);
    mem_give(w->differ.group);
    text_fini(&w->gone);
    text_fini(&w->changed_days);
    earlier_fini(&w->earlier);
    by_hand_close(&w->by_hand);
    text_fini(&w->entry);
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
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        if (!w->job->job->sources[side].fetch.given)
            continue;
        struct fetch_config config = {.job = w->job->job,
                                      .side = (enum side)side,
                                      .date = w->task.day,
                                      .deadline_s = 0,
                                      .file = tell_file};
        err = fetch_files(&config, diag);
    }
    return err;
}

/* All that comes before the first row. */
static enum err begin(struct task_work *w, const struct options *options, struct diag *diag)
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
    w->ask.keep_files = keep_files;
    w->ask.keep_all = keep_all;
    w->ask.commit = commit;
    w->ask.context = w;
    return session_begin(&w->session, job, options, out, w->task.day, &w->ask, diag);
}

/* When the bill may be there, and when it is late: seconds since 1970. */
static void bill_times(const struct book_job *job, uint16_t day, int64_t *due, int64_t *deadline)
{
    const struct fetch_spec *fetch = &job->job->sources[CHANNEL].fetch;
    struct zone *zone = NULL;
    struct diag ignored = {0};
    const int minutes = fetch->given && fetch->not_before_minutes > 0 ? fetch->not_before_minutes : 0;
    const int64_t wall = ((int64_t)day - DAY_BASE + 1) * 86400 + minutes * 60;
    *due = wall;
    if (day_zone_open(&zone, job->job->timezone, &ignored) == OK)
        *due = day_wall_to_epoch(zone, wall * 1000000) / 1000000;
    day_zone_close(zone);
    *deadline = *due + (fetch->given && fetch->deadline_s > 0 ? fetch->deadline_s : BILL_DEADLINE_S);
}

/* A task waits for its bill or after a try that failed; for longer than both only a clock that was ahead can have told it to. */
static int is_waiting(const struct book_folder *folder, const struct task *task, int64_t now)
{
    const struct book_job *job = book_folder_find(folder, task->channel_code, task->biz_type);
    int64_t due, deadline;
    if (task->next_at <= now || !job)
        return task->next_at > now;
    bill_times(job, task->day, &due, &deadline);
    return task->next_at <= due || task->next_at <= now + RETRY_MOST_S;
}

static int is_missing_bill(const struct diag *diag)
{
    return diag->err == ERR_PEER || strcmp(diag->code, "files") == 0 ||
           strcmp(diag->code, "file.missing") == 0;
}

static void raise(struct book_folder *folder, const char *kind, const struct task *task, const char *text)
{
    struct diag diag = {0};
    const struct alarm alarm = {.grade = ALARM_CRITICAL, .kind = kind, .subject = task->name, .text = text};
    if (alarm_raise(state_db(folder->state), &alarm, (int64_t)time(NULL), &diag) != OK)
        diag_print(&diag, stderr);
}

/* The try did not end well: what becomes of the task. */
static void end_badly(struct task_work *w, const struct diag *why, struct task_run_end *end)
{
    struct sqlite *db = state_db(w->folder->state);
    struct diag diag = {0};
    const int64_t now = (int64_t)time(NULL);
    int64_t due, deadline;
    bill_times(w->job, w->task.day, &due, &deadline);
    sqlite_rollback(db);
    sqlite_durable(db, 1, &diag);
    if (strcmp(why->code, "task.lease") == 0) {
        end->failed++;
    } else if (why->err == ERR_INTERRUPTED) {
        task_wait(db, &w->task, "", 0, &diag);
        end->code = end->code ? end->code : ERR_INTERRUPTED;
    } else if (why->err == ERR_STATE ||
               why->err == ERR_MACHINE) { /* a full disk, a damaged file: no fault of the task */
        raise(w->folder, "task.machine", &w->task, why->what);
        task_wait(db, &w->task, why->what, now + RETRY_FIRST_S, &diag);
        end->failed++;
    } else if (is_missing_bill(why) && now < deadline) {
        int64_t next = now + LOOK_AGAIN_S < deadline ? now + LOOK_AGAIN_S : deadline;
        next = next < due ? due : next;
        task_wait(db, &w->task, why->what, next, &diag);
        fprintf(stderr, "task %s waits for its bill: %s\n", w->task.name, why->what);
        end->waiting++;
        end->next_at = !end->next_at || next < end->next_at ? next : end->next_at;
        return;
    } else {
        const int64_t next = now + ((int64_t)RETRY_FIRST_S << (2 * w->task.attempts));
        if (is_missing_bill(why))
            raise(w->folder, "bill.missing", &w->task, why->what);
        if (task_fail(db, &w->task, why, why->err == ERR_BUG, next, &diag) == OK &&
            w->task.phase == PHASE_FAILED)
            raise(w->folder, "task.failed", &w->task, why->what);
        if (w->task.phase != PHASE_FAILED)
            end->next_at = !end->next_at || next < end->next_at ? next : end->next_at;
        end->failed++;
    }
    diag_print(why, stderr);
    fprintf(stderr, "task %s: %s\n", w->task.name,
            w->task.phase == PHASE_FAILED ? "FAILED; when the cause is mended: tieout task retry"
                                          : "not done; its state is as it was before");
    if (diag.err != OK)
        diag_print(&diag, stderr);
    if (!end->code || end->code == ERR_INTERRUPTED)
        end->code = (int)why->err;
}

/* Days of the queue between two dates for which there is any task. */
static int64_t days_between(struct sqlite *db, const struct task *task, uint16_t from, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char first[DAY_TEXT_MAX], last[DAY_TEXT_MAX];
    int64_t count = -1;
    day_print(first, from);
    day_print(last, task->day);
    if (sqlite_prepare(
            &s, db,
            "SELECT count(DISTINCT bill_date) FROM task WHERE channel_code = ?1 AND biz_type = ?2\n"
            "AND bill_date > ?3 AND bill_date < ?4",
            diag) == OK) {
        sqlite_bind_text(s, 1, task->channel_code);
        sqlite_bind_text(s, 2, task->biz_type);
        sqlite_bind_text(s, 3, first);
        sqlite_bind_text(s, 4, last);
        if (sqlite_step(s, diag) == STEP_MORE)
            count = sqlite_int(s, 0);
    }
    sqlite_finish(s);
    return count;
}

/* The results that stand, of this day and the one before it, are this book's own. */
static enum err own_results(struct task_work *w, struct diag *diag)
{
    char day[DAY_TEXT_MAX];
    if (w->before.id && task_results_stand(w->folder, w->job->job, w->before.day, diag) < 0)
        return diag->err;
    const int stands = task_results_stand(w->folder, w->job->job, w->task.day, diag);
    if (stands < 0)
        return diag->err;
    if (stands && !w->task.revision && !w->task.attempts) {
        day_print(day, w->task.day);
        fprintf(
            stderr,
            "note: task %s: results of %s stand there already, and the state knows nothing of them: a run "
            "that was killed in its last moment, or a state from a backup, which lacks what people "
            "did to errors since. They are made anew\n",
            w->task.name, day);
    }
    return OK;
}

/* Suspense is counted by bill days, so none may be left out, and none slipped in behind the back of a later one. */
static enum err may_begin(struct task_work *w, struct diag *diag)
{
    struct sqlite *db = state_db(w->folder->state);
    char day[DAY_TEXT_MAX];
    struct task after;
    int found = task_after(db, &w->task, &w->arena, &after, diag);
    if (found < 0)
        return diag->err;
    /* Their suspense would follow from a day that never was: what this one opens would be in nobody's. */
    if (found && after.phase == PHASE_DONE) {
        char hint[400];
        snprintf(hint, sizeof hint,
                 "if its date is a slip: tieout task cancel %s; else tieout task retry %s --cascade, and "
                 "then run: the days "
                 "behind it are done again too",
                 w->task.name, w->task.name);
        return diag_set(diag, ERR_STATE, "task.behind", hint,
                        "task %s cannot be done alone: %s behind it is done", w->task.name, after.name);
    }
    found = task_before(db, &w->task, &w->arena, &w->before, diag);
    if (found < 0)
        return diag->err;
    if (found == 0) {
        w->before.id = 0;
        return OK;
    }
    day_print(day, w->before.day);
    if (w->before.phase != PHASE_DONE)
        return diag_set(diag, ERR_STATE, "task.order",
                        "do that one first, or `tieout task cancel` it if that day has no bill",
                        "task %s must wait: %s, the day before it in its queue, is %s", w->task.name,
                        w->before.name, phase_name(w->before.phase));
    const int64_t between = days_between(db, &w->task, w->before.day, diag);
    if (between < 0)
        return diag->err;
    if (between != (int64_t)w->task.day - w->before.day - 1 && w->task.day > w->before.day) {
        char missing[DAY_TEXT_MAX], hint[300];
        day_print(missing, (uint16_t)(w->before.day + 1));
        snprintf(
            hint, sizeof hint,
            "tieout task init --date=%s, and then run it, or `tieout task cancel` it if that day has no bill",
            missing);
        return diag_set(diag, ERR_STATE, "task.gap", hint,
                        "task %s must wait: between it and %s there are days without a task, and suspense "
                        "ages by bill days",
                        w->task.name, day);
    }
    return OK;
}

static void task_header(const struct task_work *w)
{
    fprintf(stderr, "task %s%s\n", w->task.name, w->task.revision ? ": once more" : "");
}

static void work_free(struct task_work *w)
{
    work_close(w);
    sem_destroy(&w->turn);
    sem_destroy(&w->over);
    mem_give(w);
}

/* The due task up to its first row. NULL: its queue stands still, and why is said and counted. */
static struct task_work *task_begin(struct book_folder *folder, const struct options *options,
                                    const struct task *due, int is_beside, struct task_run_end *end,
                                    struct diag *diag)
{
    struct task_work *w = mem_take_zero(1, sizeof *w);
    if (!w) {
        mem_fail(diag, sizeof *w, "a task");
        return NULL;
    }
    struct diag why = {0};
    arena_init(&w->arena);
    sem_init(&w->turn, 0, 0);
    sem_init(&w->over, 0, 0);
    w->folder = folder;
    w->task = *due;
    w->ask.is_beside = is_beside;
    w->job = book_folder_find(folder, due->channel_code, due->biz_type);
    enum err err = w->job
                       ? OK
                       : diag_set(&why, ERR_USAGE, "task.job", "bring the job file back, or cancel the task",
                                  "task %s: no job of the folder has this channel_code and biz_type any more",
                                  due->name);
    if (err == OK)
        err = may_begin(w, &why);
    if (err == OK)
        err = own_results(w, &why);
    if (err != OK) {
        diag_print(&why, stderr);
        end->skipped++;
        if (!end->code)
            end->code = (int)err;
        work_free(w);
        return NULL;
    }
    struct sqlite *db = state_db(folder->state);
    err = sqlite_durable(db, 0, &why);
    if (err == OK)
        err = task_lease(db, &w->task, state_owner(folder->state), (int64_t)time(NULL), &why);
    if (err == OK)
        err = begin(w, options, &why);
    if (err == OK)
        return w;
    task_header(w);
    end_badly(w, &why, end);
    work_free(w);
    return NULL;
}

/* What a task's rows came to is told, kept and committed. 1: its queue stands still. */
static int task_end(struct task_work *w, struct task_run_end *end)
{
    struct diag why = {0};
    task_header(w);
    enum err err = sqlite_durable(state_db(w->folder->state), 0, &why);
    int code = err == OK ? session_end(w->session, &why) : (int)err;
    if (why.err != OK) {
        end_badly(w, &why, end);
    } else {
        end->done++;
        end->broken += code == 1;
        if (w->changed_days.size) {
            fprintf(stderr,
                    "  a log has changed what is done already, in %.*s: exit code 1; the warnings above say "
                    "what, "
                    "and so does: tieout status\n",
                    (int)w->changed_days.size, w->changed_days.data);
            end->changed++;
        }
    }
    work_free(w);
    return why.err != OK;
}

/* ---- a night: one task is read while the one before it is written and committed, and the one behind it made ready ---- */

static void wait_for(sem_t *posted)
{
    while (sem_wait(posted) != 0) {
    }
}

static void wait_turn(void *context)
{
    struct task_work *w = context;
    wait_for(&w->turn);
}

static void tell_over(void *context)
{
    struct task_work *w = context;
    sem_post(&w->over);
}

static void *match_main(void *argument)
{
    struct task_work *w = argument;
    const struct run_turn turn = {wait_turn, tell_over, w};
    session_match(w->session, &turn);
    return NULL;
}

struct night {
    struct task_work *reading; /* NULL: none; its rows are being read, or were */
    uint32_t reading_index;    /* in the list of what is due */
    uint8_t *stands;           /* of each that is due: its queue stands still behind it */
    struct task_run_end *end;
};

/* Until all of it is judged: its thread may still be adding up. */
static void night_wait(const struct night *n)
{
    if (n->reading)
        wait_for(&n->reading->over);
}

static void night_end(struct night *n)
{
    struct task_work *w = n->reading;
    n->reading = NULL;
    if (!w)
        return;
    if (w->has_thread)
        pthread_join(w->thread, NULL);
    n->stands[n->reading_index] = (uint8_t)(task_end(w, n->end) != 0);
}

/* Ends the task that is being read. */
static void night_finish(struct night *n)
{
    night_wait(n);
    night_end(n);
}

/* The next one's workers stand ready before it is their turn; it is read from then on, and the one before it is ended meanwhile. */
static void night_go_on(struct night *n, struct task_work *next, uint32_t index)
{
    struct night before = *n;
    next->has_thread = pthread_create(&next->thread, NULL, match_main, next) == 0;
    night_wait(&before);
    sem_post(&next->turn);
    n->reading = next;
    n->reading_index = index;
    night_end(&before);
    if (!next->has_thread)
        match_main(next);
}

struct due_list {
    struct arena arena;
    struct task *tasks;
    uint32_t count, room;
};

static enum err add_due(void *context, const struct task *task, struct diag *diag)
{
    struct due_list *list = context;
    if (list->count == list->room) {
        const uint32_t room = list->room ? list->room * 2 : 64;
        struct task *grown = mem_grow(list->tasks, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "the list of tasks");
        list->tasks = grown;
        list->room = room;
    }
    struct task *kept = &list->tasks[list->count];
    *kept = *task;
    const char **texts[] = {&kept->name,  &kept->channel_code, &kept->biz_type,
                            &kept->job,   &kept->rule_version, &kept->manifest,
                            &kept->owner, &kept->error,        &kept->certificate};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!(*texts[i] = arena_copy(&list->arena, (struct span){*texts[i], strlen(*texts[i]) + 1}).data))
            return mem_fail(diag, 0, "the list of tasks");
    list->count++;
    return OK;
}

static int same_queue(const struct task *a, const struct task *b)
{
    return strcmp(a->channel_code, b->channel_code) == 0 && strcmp(a->biz_type, b->biz_type) == 0;
}

enum err task_run_all(struct book_folder *folder, const struct options *options,
                      const struct task_run_ask *ask, struct task_run_end *end, struct diag *diag)
{
    struct due_list list = {0};
    struct task_filter filter = ask->filter;
    filter.due_only = 1;
    *end = (struct task_run_end){0};
    arena_init(&list.arena);
    session_catch_signals();
    enum err err = state_lock(folder->state, diag);
    if (err == OK)
        err = task_each(state_db(folder->state), &filter, add_due, &list, diag);
    const int64_t now = (int64_t)time(NULL);
    uint8_t *stands = list.count ? mem_take_zero(list.count, 1) : NULL;
    struct night night = {.stands = stands, .end = end};
    int is_beside = 0; /* there are several queues, so one task is read while another is written */
    for (uint32_t i = 1; i < list.count; i++)
        is_beside |= !same_queue(&list.tasks[0], &list.tasks[i]);
    for (uint32_t i = 0; err == OK && stands && i < list.count && !session_interrupted(); i++) {
        const struct task *task = &list.tasks[i];
        for (uint32_t k = 0; k < i && !stands[i];
             k++) /* the last of the queue before it says how the queue is */
            stands[i] = stands[k] && same_queue(&list.tasks[k], task);
        if (stands[i]) {
            end->skipped++;
            continue;
        }
        if (!ask->ignore_next_at && is_waiting(folder, task, now)) {
            stands[i] = 1;
            end->waiting++;
            end->next_at = !end->next_at || task->next_at < end->next_at ? task->next_at : end->next_at;
            continue;
        }
        if (night.reading && same_queue(&night.reading->task, task)) {
            night_finish(&night); /* it stands on what that one leaves */
            i--;
            continue;
        }
        struct task_work *next = task_begin(folder, options, task, is_beside, end, diag);
        stands[i] = !next;
        if (next)
            night_go_on(&night, next, i);
    }
    night_finish(&night);
    if (err == OK && diag->err != OK)
        err = diag->err;
    mem_give(stands);
    mem_give(list.tasks);
    arena_fini(&list.arena);
    if (session_interrupted())
        end->code = ERR_INTERRUPTED;
    else if (!end->code)
        end->code = end->failed                   ? ERR_MACHINE
                    : end->waiting                ? ERR_PEER
                    : end->skipped                ? ERR_STATE
                    : end->broken || end->changed ? 1
                                                  : 0;
    return err;
}
