/* cli/task_run.c: see task_run.h: which task is next, what becomes of it, and a night of them */
#include "cli/session.h"
#include "cli/signals.h"
#include "cli/task_work.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include "io/store/alarm.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RETRY_FIRST_S = 60, /* after a failed try; then four times as long */
    RETRY_MOST_S = RETRY_FIRST_S << 2 * TASK_TRIES,
    LOOK_AGAIN_S = 300, /* for a bill that is not there */
    BILL_DEADLINE_S = 86400
};

/* ---- one task ---- */

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

/* Rows of the day that the capture has not come to are none that are missing: they are waited for as a bill is. */
static int is_missing_capture(const struct diag *diag)
{
    return strncmp(diag->code, "capture.", 8) == 0;
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
        fprintf(stderr, "task %s waits for its %s: %s\n", w->task.name,
                is_missing_capture(why) ? "capture" : "bill", why->what);
        if (strcmp(why->code, "capture.stopped") == 0) /* it does not get there by itself */
            raise(w->folder, "capture.behind", &w->task, why->what);
        end->waiting++;
        end->next_at = !end->next_at || next < end->next_at ? next : end->next_at;
        return;
    } else {
        const int64_t next = now + ((int64_t)RETRY_FIRST_S << (2 * w->task.attempts));
        if (is_missing_bill(why))
            raise(w->folder, is_missing_capture(why) ? "capture.behind" : "bill.missing", &w->task,
                  why->what);
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
    task_work_close(w);
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
    if (!w->job && book_folder_is_broken(folder, due->job)) { /* told, with its place, when it was read */
        end->unread++;
        work_free(w);
        return NULL;
    }
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
        err = task_prepare(w, options, &why);
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

/* ---- a night ----
 *
 * While one task is read the one before it is written and committed, and the one behind it stands ready, made so before the one before it was
 * committed: a commit waits for the disk, now and then for longer than a task is read. Workers hand their turn on to the next task's by
 * themselves. */

enum {
    IN_FLIGHT = 3,
    SHALLOW_MEMORY =
        1
        << 30 /* bytes; with less a task is only made ready when the one two before it is committed, and its memory is given back */
};

struct night {
    struct task_work *works[IN_FLIGHT]; /* the oldest first */
    uint32_t index[IN_FLIGHT];          /* in the list of what is due */
    uint32_t count, most;               /* `most`: that stay in flight while the next one is made ready */
    uint8_t *stands;                    /* of each that is due: its queue stands still behind it */
    struct task_run_end *end;
};

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
    struct task_work *behind = atomic_exchange(&w->behind, w);
    if (behind)
        sem_post(&behind->turn);
    sem_post(&w->over);
}

/* `next` is read when `before` is over; NULL: now. */
static void follow(struct task_work *before, struct task_work *next)
{
    struct task_work *nobody = NULL;
    if (!before || !atomic_compare_exchange_strong(&before->behind, &nobody, next))
        sem_post(&next->turn);
}

static void *match_main(void *argument)
{
    struct task_work *w = argument;
    const struct run_turn turn = {wait_turn, tell_over, w};
    session_match(w->session, &turn);
    return NULL;
}

/* Waits until the oldest is judged; it is written and committed. */
static void night_end_oldest(struct night *n)
{
    struct task_work *w = n->works[0];
    const uint32_t index = n->index[0];
    n->count--;
    for (uint32_t i = 0; i < n->count; i++) {
        n->works[i] = n->works[i + 1];
        n->index[i] = n->index[i + 1];
    }
    wait_for(&w->over);
    if (w->has_thread)
        pthread_join(w->thread, NULL);
    n->stands[index] = (uint8_t)(task_end(w, n->end) != 0);
}

static void night_add(struct night *n, struct task_work *next, uint32_t index)
{
    next->has_thread = pthread_create(&next->thread, NULL, match_main, next) == 0;
    while (!next->has_thread && n->count)
        night_end_oldest(n);
    follow(n->count ? n->works[n->count - 1] : NULL, next);
    n->works[n->count] = next;
    n->index[n->count++] = index;
    if (!next->has_thread)
        match_main(next);
    while (n->count > n->most)
        night_end_oldest(n);
}

struct due_list {
    struct arena arena;
    struct task *tasks;
    uint32_t count, room;
};

static enum err add_due(void *context, const struct task *task, struct diag *diag)
{
    struct due_list *list = context;
    if (mem_list_more(&list->tasks, list->count, &list->room, 64, "the list of tasks", diag) != OK)
        return ERR_MACHINE;
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

/* A task's place in the list. */
struct turn {
    uint16_t day;
    int points;
    uint32_t index;
};

static int by_turn(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    return x->day != y->day         ? (x->day < y->day ? -1 : 1)
           : x->points != y->points ? (x->points > y->points ? -1 : 1)
                                    : (x->index > y->index) - (x->index < y->index);
}

/* Of one bill date those of channels with more points come first; queues stay in the order of their days. */
static enum err sort_due(struct due_list *list, const struct task_settings *settings, struct diag *diag)
{
    if (!settings->priority_count || list->count < 2)
        return OK;
    struct turn *turns = mem_take(list->count * sizeof *turns);
    struct task *sorted = mem_take(list->count * sizeof *sorted);
    if (!turns || !sorted) {
        mem_give(turns);
        mem_give(sorted);
        return mem_fail(diag, list->count * sizeof *sorted, "the list of tasks");
    }
    for (uint32_t i = 0; i < list->count; i++) {
        turns[i] = (struct turn){list->tasks[i].day, 0, i};
        for (int k = 0; k < settings->priority_count; k++)
            if (strcmp(settings->priority[k].channel_code, list->tasks[i].channel_code) == 0)
                turns[i].points = settings->priority[k].points;
    }
    qsort(turns, list->count, sizeof *turns, by_turn);
    for (uint32_t i = 0; i < list->count; i++)
        sorted[i] = list->tasks[turns[i].index];
    mem_give(turns);
    mem_give(list->tasks);
    list->tasks = sorted;
    list->room = list->count;
    return OK;
}

static int same_queue(const struct task *a, const struct task *b)
{
    return strcmp(a->channel_code, b->channel_code) == 0 && strcmp(a->biz_type, b->biz_type) == 0;
}

struct left {
    int64_t since;
    int done, broken;
};

static enum err count_left(void *context, const struct task *task, struct diag *diag)
{
    struct left *left = context;
    (void)diag;
    if (task->phase == PHASE_DONE && task->done_at >= left->since) {
        left->done++;
        left->broken += task->exit_code != 0;
    }
    return OK;
}

/* A run that was killed has told nobody how the days end that it did; they are not due, and would never be told by an exit code. */
static enum err tell_left(struct book_folder *folder, struct task_run_end *end, struct diag *diag)
{
    struct left left = {.since = state_left_at(folder->state)};
    if (!left.since)
        return OK;
    enum err err = task_each(state_db(folder->state), &(struct task_filter){0}, count_left, &left, diag);
    if (err == OK && left.done)
        fprintf(
            stderr,
            "note: the run before this one did not come to its end; %d task%s it had done by then (%d do not "
            "tie out): tieout task list\n",
            left.done, left.done == 1 ? "" : "s", left.broken);
    end->left = left.broken;
    return err;
}

enum err task_run_all(struct book_folder *folder, const struct options *options,
                      const struct task_run_ask *ask, struct task_run_end *end, struct diag *diag)
{
    struct due_list list = {0};
    struct task_filter filter = ask->filter;
    filter.due_only = 1;
    *end = (struct task_run_end){0};
    arena_init(&list.arena);
    signals_catch();
    enum err err = state_lock(folder->state, diag);
    if (err == OK)
        err = tell_left(folder, end, diag);
    if (err == OK)
        err = book_folder_tell_broken(folder, diag);
    if (err == OK)
        err = book_folder_tell_gone(folder, diag);
    if (err == OK)
        state_begin_run(folder->state);
    if (err == OK)
        err = task_each(state_db(folder->state), &filter, add_due, &list, diag);
    if (err == OK)
        err = sort_due(&list, &folder->book->tasks, diag);
    const int64_t now = (int64_t)time(NULL);
    uint8_t *stands = list.count ? mem_take_zero(list.count, 1) : NULL;
    const int is_small = options->given[OPTION_ID_memory] && options->memory < SHALLOW_MEMORY;
    struct night night = {.stands = stands, .end = end, .most = is_small ? IN_FLIGHT - 2 : IN_FLIGHT - 1};
    int is_beside = 0; /* there are several queues, so one task is read while another is written */
    for (uint32_t i = 1; i < list.count; i++)
        is_beside |= !same_queue(&list.tasks[0], &list.tasks[i]);
    for (uint32_t i = 0; err == OK && stands && i < list.count && !*signals_interrupted; i++) {
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
        int stands_on = 0; /* what one in flight leaves */
        for (uint32_t k = 0; k < night.count; k++)
            stands_on |= same_queue(&night.works[k]->task, task);
        if (stands_on) {
            night_end_oldest(&night);
            i--;
            continue;
        }
        struct task_work *next = task_begin(folder, options, task, is_beside, end, diag);
        stands[i] = !next;
        if (next)
            night_add(&night, next, i);
    }
    while (night.count)
        night_end_oldest(&night);
    if (err == OK && diag->err != OK)
        err = diag->err;
    mem_give(stands);
    mem_give(list.tasks);
    arena_fini(&list.arena);
    if (*signals_interrupted)
        end->code = ERR_INTERRUPTED;
    else if (!end->code)
        end->code = end->failed                                ? ERR_MACHINE
                    : end->waiting                             ? ERR_PEER
                    : end->skipped                             ? ERR_STATE
                    : end->broken || end->changed || end->left ? 1
                                                               : 0;
    if (err == OK && !*signals_interrupted)
        state_end_run(folder->state);
    return err;
}
