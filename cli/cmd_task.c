/* cli/cmd_task.c: tieout task init | run | list | show | retry | cancel | rerun */
#include "cli/cmd.h"
#include "cli/moment.h"
#include "cli/task_run.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/model/currency.h"
#include "io/store/alarm.h"
#include <string.h>
#include <time.h>

static struct task_filter filter_of(const struct options *o)
{
    return (struct task_filter){.channel_code = o->channel,
                                .biz_type = o->biz_type,
                                .name = o->argument_count > 1 ? o->arguments[1] : NULL,
                                .day = o->date};
}

static enum err found_one(void *context, const struct task *task, struct diag *diag)
{
    (void)task;
    (void)diag;
    *(int *)context = 1;
    return OK;
}

/* A name that is misspelled must not be "nothing to do" for ever. */
static enum err must_be_there(struct book_folder *f, const struct options *o, struct diag *diag)
{
    const struct task_filter filter = filter_of(o);
    int found = 0;
    if (!filter.name && !filter.channel_code && !filter.biz_type && !filter.day)
        return OK;
    enum err err = task_each(state_db(f->state), &filter, found_one, &found, diag);
    return err != OK || found ? err
                              : diag_set(diag, ERR_USAGE, "task.none", "see: tieout task list",
                                         "no task of the book has this name, channel, biz type and date");
}

/* ---- init ---- */

/* A date that was mistyped would stop its queue: said at once, with the way back. */
static enum err warn_of_date(struct book_folder *f, const struct book_job *j, int64_t id, struct diag *diag)
{
    struct arena arena;
    struct task task = {.day = DAY_NONE}, after;
    struct zone *zone = NULL;
    struct diag ignored = {0};
    char day[DAY_TEXT_MAX] = "";
    arena_init(&arena);
    int found = task_find(state_db(f->state), &(struct task_filter){.id = id}, &arena, &task, diag);
    if (found > 0) {
        day_print(day, task.day);
        found = task_after(state_db(f->state), &task, &arena, &after, diag);
        if (found > 0)
            fprintf(
                stderr,
                "note: task %s: %s behind it is done, so it cannot be done alone. If the date is a slip: "
                "tieout "
                "task cancel %s; if that day was left out: tieout task retry %s --cascade, and then run\n",
                task.name, after.name, task.name, task.name);
    }
    if (found >= 0 && day_zone_open(&zone, j->job->timezone, &ignored) == OK) {
        if (task.day > day_of_wall(day_epoch_to_wall(zone, (int64_t)time(NULL) * 1000000), 0))
            fprintf(
                stderr,
                "note: task %s: %s is still to come, and days behind it wait for it. If the date is a slip: "
                "tieout task cancel %s\n",
                task.name, day, task.name);
        day_zone_close(zone);
    }
    arena_fini(&arena);
    return found < 0 ? diag->err : OK;
}

static enum err init(struct book_folder *f, const struct options *o, struct diag *diag)
{
    int made_count = 0, asked = 0;
    if (!o->date)
        return diag_set(diag, ERR_USAGE, "options.missing", "see: tieout task --help",
                        "task init: --date=YYYY-MM-DD is missing");
    enum err err = sqlite_begin(state_db(f->state), diag);
    for (uint32_t i = 0; err == OK && i < f->job_count; i++) {
        const struct book_job *j = &f->jobs[i];
        if ((o->channel && strcmp(o->channel, j->job->channel_code) != 0) ||
            (o->biz_type && strcmp(o->biz_type, j->biz_type) != 0))
            continue;
        const struct task_key key = {j->job->channel_code, j->biz_type, j->file, o->date, 1};
        int64_t id;
        int made;
        err = task_make(state_db(f->state), &key, &id, &made, diag);
        if (err == OK && made)
            err = warn_of_date(f, j, id, diag);
        made_count += made;
        asked++;
    }
    if (err == OK && !asked &&
        !f->broken_count) /* a broken one was told, and may be the one that was meant */
        err = diag_set(diag, ERR_USAGE, "task.none", "see the job files of the folder",
                       "no job of the folder has this channel_code and biz_type");
    if (err == OK)
        err = sqlite_commit(state_db(f->state), diag);
    else
        sqlite_rollback(state_db(f->state));
    char day[DAY_TEXT_MAX];
    day_print(day, o->date);
    if (err == OK)
        fprintf(stderr, "%s: %d task%s made, %d there already\n", day, made_count, made_count == 1 ? "" : "s",
                asked - made_count);
    return err;
}

/* ---- run ---- */

static enum err count_all(void *context, const struct task *task, struct diag *diag)
{
    int *counts = context;
    (void)diag;
    counts[task->phase]++;
    return OK;
}

static enum err run(struct book_folder *f, const struct options *o, int *code, struct diag *diag)
{
    struct task_run_ask ask = {.filter = filter_of(o), .ignore_next_at = 1};
    struct task_run_end end;
    enum err err = must_be_there(f, o, diag);
    if (err == OK)
        err = task_run_all(f, o, &ask, &end, diag);
    if (err != OK)
        return err;
    if (!end.done && !end.failed && !end.waiting && !end.skipped && !end.unread && !end.code) {
        int counts[PHASES] = {0};
        err = task_each(state_db(f->state), &ask.filter, count_all, counts, diag);
        fprintf(stderr, "nothing to do: %d done, %d FAILED, %d cancelled%s\n", counts[PHASE_DONE],
                counts[PHASE_FAILED], counts[PHASE_CANCELLED],
                counts[PHASE_DONE] ? "; a day that is done is done again with: tieout task rerun" : "");
        *code = counts[PHASE_FAILED] ? ERR_STATE : 0;
        return err;
    }
    fprintf(
        stderr,
        "%d task%s done (%d of them do not tie out), %d failed, %d wait for a bill, %d stand behind others",
        end.done, end.done == 1 ? "" : "s", end.broken, end.failed, end.waiting, end.skipped);
    if (end.unread)
        fprintf(stderr, ", %d of a broken job file", end.unread);
    fprintf(stderr, "\n");
    *code = end.code;
    return OK;
}

/* ---- list, show ---- */

struct listing {
    int json, count;
    struct text text;
};

static void put_json(struct text *t, const struct task *task)
{
    char day[DAY_TEXT_MAX], next[32], done[32];
    day_print(day, task->day);
    text_words(t, "{\"task\":");
    text_json(t, span_of(task->name));
    text_words(t, ",\"channel_code\":");
    text_json(t, span_of(task->channel_code));
    text_words(t, ",\"biz_type\":");
    text_json(t, span_of(task->biz_type));
    text_format(t,
                ",\"bill_date\":\"%s\",\"batch_no\":%lld,\"phase\":\"%s\",\"revision\":%lld,\"tries_failed\":"
                "%lld,\"job\":",
                day, (long long)task->batch_no, phase_name(task->phase), (long long)task->revision,
                (long long)task->attempts);
    text_json(t, span_of(task->job));
    text_words(t, ",\"rules\":");
    text_json(t, span_of(task->rule_version));
    text_words(t, ",\"inputs\":");
    text_json(t, span_of(task->manifest));
    text_format(
        t, ",\"exit_code\":%lld,\"next_at\":\"%s\",\"done_at\":\"%s\",\"error\":", (long long)task->exit_code,
        moment_text(next, task->next_at), moment_text(done, task->done_at));
    text_json(t, span_of(task->error));
    text_words(t, "}");
}

static enum err list_one(void *context, const struct task *task, struct diag *diag)
{
    struct listing *l = context;
    char next[32];
    if (l->json) {
        text_words(&l->text, l->count ? ",\n" : "[\n");
        put_json(&l->text, task);
    } else {
        text_format(&l->text, "%-40s %-20s", task->name, phase_name(task->phase));
        if (task->revision)
            text_format(&l->text, " revision %lld, %s", (long long)task->revision,
                        task->exit_code ? "does not tie out" : "ties out");
        if (task->next_at)
            text_format(&l->text, " next try %s", moment_text(next, task->next_at));
        if (task->error[0])
            text_format(&l->text, " (%s)", task->error);
        text_words(&l->text, "\n");
    }
    l->count++;
    return l->text.failed ? mem_fail(diag, l->text.size, "a list") : OK;
}

static enum err list(struct book_folder *f, const struct options *o, struct diag *diag)
{
    const struct task_filter filter = filter_of(o);
    struct listing l = {.json = o->format && strcmp(o->format, "json") == 0};
    enum err err = task_each(state_db(f->state), &filter, list_one, &l, diag);
    if (err == OK && l.json)
        text_words(&l.text, l.count ? "\n]\n" : "[]\n");
    if (err == OK)
        fwrite(l.text.data, 1, l.text.size, stdout);
    text_fini(&l.text);
    return err;
}

static enum err show_roll(void *context, const struct roll *r, struct diag *diag)
{
    char a[MONEY_TEXT_MAX], b[MONEY_TEXT_MAX];
    (void)context;
    (void)diag;
    money_print(a, r->opening_sum, currency_exponent(r->currency));
    money_print(b, r->closing_sum, currency_exponent(r->currency));
    printf("  suspense %-8s %llu opening (%s %s) + %llu opened - %llu resolved - %llu expired + %llu "
           "reopened = %llu closing "
           "(%s %s)\n",
           side_name((enum side)r->side), (unsigned long long)r->opening, a, currency_code(r->currency),
           (unsigned long long)r->opened, (unsigned long long)r->resolved, (unsigned long long)r->expired,
           (unsigned long long)r->reopened, (unsigned long long)r->closing, b, currency_code(r->currency));
    return OK;
}

static enum err show(struct book_folder *f, const struct options *o, struct diag *diag)
{
    struct arena arena;
    struct task task;
    struct segment segment;
    char began[32], done[32];
    const struct task_filter filter = filter_of(o);
    arena_init(&arena);
    const int found = task_find(state_db(f->state), &filter, &arena, &task, diag);
    enum err err =
        found < 0 ? diag->err
        : found   ? OK
                  : diag_set(diag, ERR_USAGE, "task.none", "see: tieout task list", "there is no such task");
    if (err == OK && o->format && strcmp(o->format, "json") == 0) {
        struct text text = {0};
        put_json(&text, &task);
        text_words(&text, "\n");
        err = text.failed ? mem_fail(diag, text.size, "a task") : OK;
        if (err == OK)
            fwrite(text.data, 1, text.size, stdout);
        text_fini(&text);
    } else if (err == OK) {
        printf("%s\n  phase    %s\n  job      %s\n  revision %lld\n", task.name, phase_name(task.phase),
               task.job, (long long)task.revision);
        printf("  rules    %s\n  inputs   %s\n", task.rule_version, task.manifest);
        printf("  began    %s\n  done     %s\n", moment_text(began, task.began_at),
               moment_text(done, task.done_at));
        if (task.error[0])
            printf("  error    %s (%lld tries failed)\n", task.error, (long long)task.attempts);
        const int has =
            task.revision ? segment_find(state_db(f->state), task.id, task.revision, &segment, diag) : 0;
        if (has > 0)
            printf("  verdicts segment %lld, %llu entries, %s\n  chain    %s\n", (long long)segment.number,
                   (unsigned long long)segment.entries, segment.file, segment.chain);
        err = has < 0 ? diag->err
                      : roll_each(state_db(f->state), task.id, task.revision, show_roll, NULL, diag);
    }
    arena_fini(&arena);
    return err;
}

/* ---- retry, cancel, rerun ---- */

struct changing {
    struct book_folder *folder;
    struct arena arena;
    struct task tasks[1024];
    int count;
};

static enum err collect(void *context, const struct task *task, struct diag *diag)
{
    struct changing *c = context;
    if (c->count == (int)(sizeof c->tasks / sizeof c->tasks[0]))
        return diag_set(diag, ERR_USAGE, "task.many",
                        "name a --date= or a --channel=", "more than 1024 tasks at once");
    struct task *kept = &c->tasks[c->count++];
    *kept = *task;
    const struct span name = arena_copy(&c->arena, (struct span){task->name, strlen(task->name) + 1}),
                      channel = arena_copy(&c->arena,
                                           (struct span){task->channel_code, strlen(task->channel_code) + 1}),
                      biz = arena_copy(&c->arena, (struct span){task->biz_type, strlen(task->biz_type) + 1});
    if (!name.data || !channel.data || !biz.data)
        return mem_fail(diag, 0, "a list of tasks");
    kept->name = name.data;
    kept->channel_code = channel.data;
    kept->biz_type = biz.data;
    return OK;
}

/* What was done of the queue behind a task that is begun anew: with --cascade it is too, in the same transaction. */
static enum err begin_behind(struct changing *c, const struct task *task, int cascade, struct diag *diag)
{
    struct sqlite *db = state_db(c->folder->state);
    struct task after, at = *task;
    enum err err = OK;
    for (int found; err == OK && (found = task_after(db, &at, &c->arena, &after, diag)) != 0; at = after) {
        if (found < 0)
            return diag->err;
        if (!cascade)
            return diag_set(diag, ERR_STATE, "task.behind",
                            "--cascade does the days behind it again too, in order: their suspense follows "
                            "from this one's",
                            "task %s cannot be done %salone: %s stands on it", task->name,
                            task->revision ? "again " : "", after.name);
        err = after.phase == PHASE_DONE ? task_again(db, &after, 1, diag) : OK;
        if (err == OK)
            fprintf(stderr, "%s will be done again\n", after.name);
    }
    return err;
}

/* What was told of a task that is no more to be done, or is begun with fresh tries, is over: what fails from now on is told again. */
static enum err clear_alarms(struct sqlite *db, const struct task *task, struct diag *diag)
{
    static const char *const kinds[] = {"bill.missing", "capture.behind", "task.failed", "task.machine"};
    enum err err = OK;
    for (size_t i = 0; err == OK && i < sizeof kinds / sizeof kinds[0]; i++)
        err = alarm_clear(db, kinds[i], task->name, (int64_t)time(NULL), diag);
    return err;
}

static enum err begin_anew(struct changing *c, const struct task *task, int cascade, struct diag *diag)
{
    enum err err = task->phase == PHASE_DONE ? task_again(state_db(c->folder->state), task, 1, diag)
                                             : diag_set(diag, ERR_STATE, "task.phase", "tieout task run",
                                                        "task %s is %s, not DONE: nothing to do again",
                                                        task->name, phase_name(task->phase));
    return err == OK ? begin_behind(c, task, cascade, diag) : err;
}

/* A rerun that is not wanted any more, or cannot begin: the day, and those behind it that were to be done again with it, stay as they
 * were done. */
static enum err keep_as_done(struct changing *c, const struct task *task, struct diag *diag)
{
    struct sqlite *db = state_db(c->folder->state);
    struct task at = *task, after;
    enum err err = OK;
    for (int found = 1; err == OK && found; at = after) {
        const int newest = at.phase == PHASE_DONE ? 1 : task_is_newest(db, &at, diag);
        if (newest < 0)
            return diag->err;
        if (!newest)
            return diag_set(
                diag, ERR_STATE, "task.phase", "tieout task run",
                "task %s was done, and a day before it was done again since: it must be done again too",
                at.name);
        if (at.phase != PHASE_DONE)
            err = task_keep(db, &at, diag);
        if (err == OK)
            err = clear_alarms(db, &at, diag);
        if (err == OK && at.phase != PHASE_DONE)
            fprintf(stderr, "%s: stays as it was done\n", at.name);
        found = err == OK ? task_after(db, &at, &c->arena, &after, diag) : 0;
        if (found < 0)
            return diag->err;
    }
    return err;
}

/* `listed` is read again: one before it may have moved it. */
static enum err cancel_one(struct changing *c, const struct task *listed, struct diag *diag)
{
    struct sqlite *db = state_db(c->folder->state);
    struct task task;
    if (task_find(db, &(struct task_filter){.id = listed->id}, &c->arena, &task, diag) != 1)
        return diag->err;
    if (task.phase == PHASE_DONE && listed->phase != PHASE_DONE)
        return OK; /* it went with the one before it */
    if (task.phase == PHASE_DONE)
        return diag_set(diag, ERR_STATE, "task.phase", NULL, "task %s was done: it cannot be cancelled",
                        task.name);
    if (task.revision)
        return keep_as_done(c, &task, diag);
    enum err err = task_cancel(db, &task, diag);
    if (err == OK)
        err = clear_alarms(db, &task, diag);
    if (err == OK)
        fprintf(stderr, "%s: is cancelled\n", task.name);
    return err;
}

static enum err change(struct book_folder *f, const struct options *o, const char *verb, int *changed,
                       struct diag *diag)
{
    static struct changing c;
    c = (struct changing){.folder = f};
    struct task_filter filter = filter_of(o);
    arena_init(&c.arena);
    struct sqlite *db = state_db(f->state);
    enum err err = OK;
    if (!filter.name && !filter.day && !filter.channel_code)
        err = diag_set(diag, ERR_USAGE, "task.which", "see: tieout task --help",
                       "task %s: name the task, or --date= and --channel=", verb);
    if (err == OK)
        err = must_be_there(f, o, diag);
    if (err == OK)
        err = sqlite_begin(db, diag);
    if (err == OK)
        err = task_each(db, &filter, collect, &c, diag);
    for (int i = 0; err == OK && i < c.count; i++) {
        const struct task *task = &c.tasks[i];
        if (strcmp(verb, "retry") == 0) {
            const int is_over = task->phase == PHASE_FAILED || task->phase == PHASE_CANCELLED;
            if (!is_over && !(o->cascade && task->phase != PHASE_DONE))
                continue;
            if (is_over)
                err = task_again(db, task, 0, diag);
            if (err == OK && is_over)
                err = clear_alarms(db, task, diag);
            if (err == OK)
                err = begin_behind(&c, task, o->cascade, diag);
        } else if (strcmp(verb, "cancel") == 0) {
            if (task->phase == PHASE_CANCELLED)
                continue;
            err = cancel_one(&c, task, diag);
        } else {
            err = begin_anew(&c, task, o->cascade, diag);
        }
        *changed += err == OK;
        if (err == OK && strcmp(verb, "cancel") != 0)
            fprintf(stderr, "%s: %s\n", task->name,
                    strcmp(verb, "retry") == 0 ? "is due again" : "will be done again");
    }
    if (err == OK)
        err = sqlite_commit(db, diag);
    else
        sqlite_rollback(db);
    if (err == OK && *changed == 0)
        fprintf(stderr, "no task to %s\n", verb);
    arena_fini(&c.arena);
    return err;
}

int cmd_task(const struct options *o)
{
    static const char *const verbs[] = {"init", "run", "list", "show", "retry", "cancel", "rerun"};
    enum { INIT, RUN, LIST, SHOW, RETRY, CANCEL, RERUN, VERBS };
    struct diag diag = {0};
    struct book_folder folder = {0};
    int code = 0, verb = 0, changed = 0;
    while (verb < VERBS && (!o->argument_count || strcmp(o->arguments[0], verbs[verb]) != 0))
        verb++;
    enum err err = verb == VERBS
                       ? diag_set(&diag, ERR_USAGE, "options.value", "see: tieout task --help",
                                  "task: \"%s\": expected init, run, list, show, retry, cancel or rerun",
                                  o->argument_count ? o->arguments[0] : "")
                       : OK;
    if (err == OK)
        err = book_folder_open(&folder, o,
                               verb == INIT                   ? BOOK_STATE_MAKE
                               : verb == LIST || verb == SHOW ? BOOK_STATE_READ
                                                              : BOOK_STATE_WRITE,
                               verb == INIT || verb == RUN || verb == RERUN, &diag);
    if (err == OK) {
        if (verb == INIT) {
            err = init(&folder, o, &diag);
            if (err == OK)
                err = book_folder_tell_gone(&folder, &diag);
        } else if (verb == RUN)
            err = run(&folder, o, &code, &diag);
        else if (verb == LIST)
            err = list(&folder, o, &diag);
        else if (verb == SHOW)
            err = show(&folder, o, &diag);
        else {
            if (verb == RERUN) /* while somebody works at the book, none of its days is begun anew */
                err = state_lock(folder.state, &diag);
            if (err == OK)
                err = change(&folder, o, verbs[verb], &changed, &diag);
            if (err == OK && verb == RERUN && changed) {
                struct options all = *o;
                all.argument_count = 1;
                if (o->cascade)
                    all.date = 0;
                err = run(&folder, &all, &code, &diag);
            }
        }
    }
    if (err != OK)
        diag_print(&diag, stderr);
    const int broken = folder.broken_count != 0;
    book_folder_close(&folder);
    return err != OK ? (int)err : code > 1 || !broken ? code : (int)ERR_USAGE;
}
