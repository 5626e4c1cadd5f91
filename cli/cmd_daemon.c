/* cli/cmd_daemon.c: tieout daemon: makes the tasks of the day before, does what is due, pushes, sleeps
 *
 * Nothing is held between two rounds: jobs, book.yaml and state are opened anew, so that a changed job counts from the next
 * round on, and any other command may work in between.
 */
#include "cli/cmd.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "cli/task_run.h"
#include "io/push/pusher.h"
#include <string.h>
#include <time.h>

/* "HH:MM" in minutes; -1. */
static int minutes_of(const char *text)
{
    if (strlen(text) != 5 || text[2] != ':')
        return -1;
    for (int i = 0; i < 5; i++)
        if (i != 2 && (text[i] < '0' || text[i] > '9'))
            return -1;
    const int minutes = ((text[0] - '0') * 10 + text[1] - '0') * 60 + (text[3] - '0') * 10 + text[4] - '0';
    return text[0] <= '2' && text[3] <= '5' && minutes < 24 * 60 ? minutes : -1;
}

struct newest {
    const struct book_job *job;
    uint16_t day;
};

static enum err keep_newest(void *context, const struct task *task, struct diag *diag)
{
    struct newest *n = context;
    (void)diag;
    if (task->day > n->day)
        n->day = task->day;
    return OK;
}

enum { DAYS_MOST = 62 }; /* that are made at once: more are a clock that is wrong */

/* The task of yesterday, by the job's own clock, and those of days on which nobody was here. */
static enum err make_tasks(struct book_folder *f, int init_at, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < f->job_count; i++) {
        const struct book_job *j = &f->jobs[i];
        struct zone *zone = NULL;
        err = day_zone_open(&zone, j->job->timezone, diag);
        if (err != OK)
            break;
        const int64_t wall = day_epoch_to_wall(zone, (int64_t)time(NULL) * 1000000);
        day_zone_close(zone);
        const uint16_t today = day_of_wall(wall - (int64_t)init_at * 60000000, 0),
                       yesterday = (uint16_t)(today - 1);
        struct newest newest = {.job = j};
        const struct task_filter filter = {.channel_code = j->job->channel_code, .biz_type = j->biz_type};
        err = task_each(state_db(f->state), &filter, keep_newest, &newest, diag);
        uint16_t from = newest.day && newest.day < yesterday ? (uint16_t)(newest.day + 1) : yesterday;
        if (newest.day && yesterday > newest.day + DAYS_MOST) {
            char last[DAY_TEXT_MAX], now[DAY_TEXT_MAX];
            day_print(last, newest.day);
            day_print(now, today);
            return diag_set(
                diag, ERR_USAGE, "daemon.clock",
                "if the clock is wrong, set it; if the book rested so long: tieout task init --date= for "
                "each of the days that are to be done",
                "the newest task of %s is of %s, and the clock says %s: %d days would be made at once",
                j->job->channel_code, last, now, yesterday - newest.day);
        }
        for (uint16_t day = from; err == OK && day <= yesterday && newest.day < yesterday; day++) {
            const struct task_key key = {j->job->channel_code, j->biz_type, j->file, day, 1};
            int64_t id;
            int made;
            err = task_make(state_db(f->state), &key, &id, &made, diag);
        }
    }
    return err;
}

static void tell(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static int one_round(const struct options *o, int init_at, struct diag *diag)
{
    struct book_folder folder;
    struct task_run_end end = {0};
    enum err err = book_folder_open(&folder, o, BOOK_STATE_MAKE, 1, diag);
    if (err == OK)
        err = make_tasks(&folder, init_at, diag);
    const struct task_run_ask ask = {.ignore_next_at = 0};
    if (err == OK)
        err = task_run_all(&folder, o, &ask, &end, diag);
    if (err == OK && !*signals_interrupted) {
        /* A sink that is down holds up nothing: what is due is sent once, the rest waits for the next round. */
        struct push_options push = {
            .state_directory = folder.state_path, .interrupted = signals_interrupted, .tell = tell};
        struct push_result pushed;
        struct diag why = {0};
        if (push_run(state_db(folder.state), folder.book, &push, &pushed, &why) != OK)
            diag_print(&why, stderr);
    }
    const int broken = folder.broken_count != 0;
    book_folder_close(&folder);
    return err != OK ? (int)err : end.code > 1 || !broken ? end.code : (int)ERR_USAGE;
}

int cmd_daemon(const struct options *o)
{
    struct diag diag = {0};
    const int init_at = minutes_of(o->init_at);
    if (init_at < 0) {
        diag_set(&diag, ERR_USAGE, "options.value", "see: tieout daemon --help",
                 "daemon: --init-at=%s: expected HH:MM", o->init_at);
        diag_print(&diag, stderr);
        return ERR_USAGE;
    }
    signals_catch();
    int code = 0;
    do {
        diag = (struct diag){0};
        code = one_round(o, init_at, &diag);
        if (diag.err != OK)
            diag_print(&diag, stderr);
        /* A person has to look at it; nothing gets better by itself. A broken job file, or one that is gone, stops its own
         * channel: `diag` says nothing of it. */
        if (diag.err == ERR_USAGE || (diag.err == ERR_STATE && strcmp(diag.code, "state.locked") != 0))
            return code;
        for (uint64_t s = 0; !o->once && s < o->every && !*signals_interrupted; s++) {
            const struct timespec second = {1, 0};
            nanosleep(&second, NULL);
        }
    } while (!o->once && !*signals_interrupted);
    return *signals_interrupted ? 0 : code;
}
