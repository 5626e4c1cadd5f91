/* cli/cmd_status.c: tieout status: what a book's tasks, suspense, errors and alarms are like; never more than the disk holds */
#include "cli/cmd.h"
#include "cli/task_run.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/model/day.h"
#include "io/store/alarm.h"
#include "io/store/error_order.h"
#include <string.h>
#include <unistd.h>

enum { LISTED_MAX = 20 };

struct status {
    struct text text;
    int json, listed, first;
};

static enum err one_phase(struct status *s, struct sqlite_statement *q)
{
    if (s->json)
        text_format(&s->text, "%s\"%s\":%lld", s->first ? "" : ",", sqlite_text(q, 0),
                    (long long)sqlite_int(q, 1));
    else
        text_format(&s->text, "  %-20s %8lld\n", sqlite_text(q, 0), (long long)sqlite_int(q, 1));
    s->first = 0;
    return OK;
}

static enum err one_task(struct status *s, struct sqlite_statement *q)
{
    if (s->json) {
        text_words(&s->text, s->first ? "" : ",");
        text_words(&s->text, "{\"task\":");
        text_json(&s->text, span_of(sqlite_text(q, 0)));
        text_format(&s->text, ",\"phase\":\"%s\",\"tries_failed\":%lld,\"error\":", sqlite_text(q, 1),
                    (long long)sqlite_int(q, 2));
        text_json(&s->text, span_of(sqlite_text(q, 3)));
        text_words(&s->text, "}");
    } else {
        text_format(&s->text, "  %s  %s  ", sqlite_text(q, 0), sqlite_text(q, 1));
        text_plain(&s->text, span_of(sqlite_text(q, 3)));
        text_format(&s->text, "%s%s\n",
                    strcmp(sqlite_text(q, 1), "FAILED") == 0 ? "\n    when that is mended: tieout task retry "
                                                             : "",
                    strcmp(sqlite_text(q, 1), "FAILED") == 0 ? sqlite_text(q, 0) : "");
    }
    s->first = 0;
    s->listed++;
    return OK;
}

static enum err one_queue(struct status *s, struct sqlite_statement *q)
{
    if (s->json) {
        text_words(&s->text, s->first ? "" : ",");
        text_words(&s->text, "{\"channel_code\":");
        text_json(&s->text, span_of(sqlite_text(q, 0)));
        text_words(&s->text, ",\"biz_type\":");
        text_json(&s->text, span_of(sqlite_text(q, 1)));
        text_format(&s->text, ",\"done_to\":\"%s\",\"open_local\":%lld,\"open_channel\":%lld}",
                    sqlite_text(q, 2), (long long)sqlite_int(q, 3), (long long)sqlite_int(q, 4));
    } else if (s->listed++ < LISTED_MAX) {
        text_format(&s->text, "  %-28s %-12s done to %s, open: %lld local, %lld channel\n", sqlite_text(q, 0),
                    sqlite_text(q, 1), sqlite_text(q, 2), (long long)sqlite_int(q, 3),
                    (long long)sqlite_int(q, 4));
    }
    s->first = 0;
    return OK;
}

static enum err each_row(struct sqlite *db, const char *sql, struct status *s,
                         enum err (*each)(struct status *, struct sqlite_statement *), struct diag *diag)
{
    struct sqlite_statement *q = NULL;
    enum err err = sqlite_prepare(&q, db, sql, diag);
    enum step step = STEP_DONE;
    while (err == OK && (step = sqlite_step(q, diag)) == STEP_MORE)
        err = each(s, q);
    sqlite_finish(q);
    return step == STEP_FAILED ? diag->err : err;
}

static enum err one_alarm(void *context, const struct alarm *a, struct diag *diag)
{
    struct status *s = context;
    static const char *const grades[] = {"note", "warning", "critical"};
    (void)diag;
    if (s->json) {
        text_format(&s->text, "%s{\"grade\":\"%s\",\"kind\":", s->first ? "" : ",", grades[a->grade]);
        text_json(&s->text, span_of(a->kind));
        text_words(&s->text, ",\"subject\":");
        text_json(&s->text, span_of(a->subject));
        text_words(&s->text, ",\"text\":");
        text_json(&s->text, span_of(a->text));
        text_format(&s->text, ",\"count\":%lld}", (long long)a->count);
    } else {
        text_format(&s->text, "  %-8s %s ", grades[a->grade], a->kind);
        text_plain(&s->text, span_of(a->subject));
        text_words(&s->text, ": ");
        text_plain(&s->text, span_of(a->text));
        text_words(&s->text, "\n");
    }
    s->first = 0;
    return OK;
}

static enum err one_error(void *context, const char *node_status, int64_t count, struct diag *diag)
{
    struct status *s = context;
    (void)diag;
    if (s->json)
        text_format(&s->text, "%s\"%s\":%lld", s->first ? "" : ",", node_status, (long long)count);
    else
        text_format(&s->text, "  %-20s %8lld\n", node_status, (long long)count);
    s->first = 0;
    return OK;
}

/* Tasks that are done, of one queue, and whose results are not where they were published. */
struct gone {
    struct status *status;
    uint64_t count;
};

static enum err look_for_results(struct gone *gone, const struct book_job *job, struct sqlite *db,
                                 struct diag *diag)
{
    struct sqlite_statement *q = NULL;
    struct status *s = gone->status;
    char path[STATE_PATH_MAX + 32];
    enum err err = sqlite_prepare(&q, db,
                                  "SELECT bill_date, name FROM task WHERE channel_code = ?1 AND biz_type = "
                                  "?2 AND phase = 'DONE' ORDER BY bill_date DESC",
                                  diag);
    enum step step = STEP_DONE;
    if (err == OK) {
        sqlite_bind_text(q, 1, job->job->channel_code);
        sqlite_bind_text(q, 2, job->biz_type);
    }
    while (err == OK && (step = sqlite_step(q, diag)) == STEP_MORE) {
        const char *date = sqlite_text(q, 0);
        err = task_out_directory(job->job, day_parse(date, strlen(date)), path, STATE_PATH_MAX, diag);
        strcat(path, "/certificate.json");
        if (err != OK || access(path, F_OK) == 0)
            continue;
        if (gone->count++ < LISTED_MAX) {
            if (s->json) {
                text_words(&s->text, s->first ? "" : ",");
                text_json(&s->text, span_of(sqlite_text(q, 1)));
            } else {
                text_format(&s->text, "  %s\n", sqlite_text(q, 1));
            }
            s->first = 0;
        }
    }
    sqlite_finish(q);
    return step == STEP_FAILED ? diag->err : err;
}

/* What is called done was published; whoever moved it away since is told that it is not there. `verify` says what was altered. */
static enum err results_gone(struct status *s, struct book_folder *folder, struct diag *diag)
{
    struct gone gone = {.status = s};
    struct diag ignored = {0}; /* jobs that cannot be read: `check` and `task run` say so */
    if (book_folder_load(folder, &ignored) != OK)
        return OK;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < folder->job_count; i++)
        err = look_for_results(&gone, &folder->jobs[i], state_db(folder->state), diag);
    if (!s->json && gone.count > LISTED_MAX)
        text_format(&s->text, "  and %llu more\n", (unsigned long long)(gone.count - LISTED_MAX));
    if (!s->json && gone.count)
        text_words(&s->text,
                   "    if nobody put them elsewhere on purpose: tieout task rerun makes them again\n");
    return err;
}

/* A sink that was ever pushed to: what waits for it, and why if it takes nothing. */
static enum err one_sink(struct status *s, struct sqlite_statement *q)
{
    const char *name = sqlite_text(q, 0), *stopped = sqlite_text(q, 1);
    const int64_t waiting = sqlite_int(q, 3), dead = sqlite_int(q, 4);
    const char *stands = stopped[0] ? "stopped" : sqlite_int(q, 2) ? "down" : "takes what comes";
    if (s->json) {
        text_words(&s->text, s->first ? "{\"name\":" : ",{\"name\":");
        text_json(&s->text, span_of(name));
        text_format(&s->text, ",\"state\":\"%s\",\"waiting\":%lld,\"dead\":%lld,\"why\":", stands,
                    (long long)waiting, (long long)dead);
        text_json(&s->text, span_of(stopped));
        text_words(&s->text, "}");
    } else {
        text_format(&s->text, "  %-20s %s; %lld wait, %lld dead letters%s", name, stands, (long long)waiting,
                    (long long)dead, stopped[0] ? ": " : "");
        text_plain(&s->text, span_of(stopped)); /* a server's words */
        text_words(&s->text, "\n");
    }
    s->first = 0;
    return OK;
}

static void section(struct status *s, const char *json, const char *words)
{
    if (!s->json && s->first)
        text_words(&s->text, "  none\n");
    text_words(&s->text, s->json ? json : words);
    s->first = 1;
    s->listed = 0;
}

int cmd_status(const struct options *o)
{
    struct diag diag = {0};
    struct book_folder folder = {0};
    char who[200];
    struct status s = {.json = o->json || (o->format && strcmp(o->format, "json") == 0)};
    enum err err = book_folder_open(&folder, o, BOOK_STATE_READ, 0, &diag);
    struct sqlite *db = err == OK ? state_db(folder.state) : NULL;
    if (err == OK) {
        const int busy = state_is_locked(folder.state_path, who, sizeof who);
        if (s.json) {
            text_words(&s.text, "{\"book\":");
            text_json(&s.text, span_of(state_id(folder.state)));
            text_format(&s.text, ",\"running\":%s", busy ? "true" : "false");
        } else {
            text_format(&s.text, "book %s, %s\n", state_id(folder.state), busy ? who : "nobody works at it");
        }
        section(&s, ",\"tasks\":{", "tasks\n");
        err = each_row(db,
                       "SELECT t.phase, count(*) FROM task t JOIN task_phase p ON p.name = t.phase GROUP BY "
                       "t.phase ORDER BY p.step",
                       &s, one_phase, &diag);
    }
    if (err == OK) {
        section(&s, "},\"queues\":[", "queues\n");
        err = each_row(
            db,
            "WITH newest AS (SELECT channel_code, biz_type, max(bill_date) AS day FROM task WHERE phase = "
            "'DONE'\n"
            "GROUP BY channel_code, biz_type)\n"
            "SELECT n.channel_code, n.biz_type, n.day,\n"
            "coalesce((SELECT records FROM carry_file c WHERE c.task = t.id AND c.revision = t.revision AND "
            "kind = 0\n"
            "AND side = 0), 0), coalesce((SELECT records FROM carry_file c WHERE c.task = t.id AND\n"
            "c.revision = t.revision AND kind = 0 AND side = 1), 0) FROM newest n JOIN task t ON\n"
            "t.bill_date = n.day AND t.channel_code = n.channel_code AND t.biz_type = n.biz_type AND\n"
            "t.phase = 'DONE' ORDER BY 1, 2",
            &s, one_queue, &diag);
        if (!s.json && s.listed > LISTED_MAX)
            text_format(&s.text, "  and %d more\n", s.listed - LISTED_MAX);
    }
    if (err == OK) {
        section(&s, "],\"troubled\":[", "tasks that failed, or wait after a try that failed\n");
        err = each_row(db,
                       "SELECT name, phase, attempts, error FROM task WHERE error <> '' AND phase IN "
                       "('FAILED', 'INIT')\n"
                       "ORDER BY phase, bill_date DESC LIMIT 20",
                       &s, one_task, &diag);
    }
    if (err == OK) {
        section(&s, "],\"results_gone\":[", "done, and their results are not where they were published\n");
        err = results_gone(&s, &folder, &diag);
    }
    if (err == OK) {
        section(&s, "],\"errors\":{", "errors\n");
        err = error_order_counts(db, one_error, &s, &diag);
    }
    if (err == OK) {
        section(&s, "},\"sinks\":[", "sinks\n");
        err = each_row(
            db,
            "SELECT name, stopped, opened,\n"
            "(SELECT count(*) FROM delivery INDEXED BY delivery_due WHERE sink = name AND state = 0),\n"
            "(SELECT count(*) FROM delivery INDEXED BY delivery_dead WHERE sink = name AND state = 2)\n"
            "FROM push_sink ORDER BY name",
            &s, one_sink, &diag);
    }
    if (err == OK) {
        section(&s, "],\"alarms\":[", "alarms\n");
        err = alarm_each(db, one_alarm, &s, &diag);
    }
    if (err == OK && !s.json && s.first)
        text_words(&s.text, "  none\n");
    if (err == OK && s.json)
        text_words(&s.text, "]}\n");
    if (err == OK && s.text.failed)
        err = mem_fail(&diag, s.text.size, "a status");
    if (err == OK)
        fwrite(s.text.data, 1, s.text.size, stdout);
    else
        diag_print(&diag, stderr);
    text_fini(&s.text);
    book_folder_close(&folder);
    return (int)err;
}
