/* cli/book_gone.c: queues whose job is not in the folder any more; see task_run.h
 *
 * A file that was renamed or not deployed would end its channel in silence: no task is made, no bill waited for, and what is open never
 * gets older.
 */
#include "cli/task_run.h"
#include "io/store/alarm.h"
#include <stdio.h>
#include <time.h>

#define JOB_GONE "job.gone"

enum { COLUMN_CHANNEL, COLUMN_BIZ, COLUMN_DAY, COLUMN_OPEN, COLUMN_DUE, COLUMN_JOB };

static enum err tell_queue(const struct book_folder *f, struct sqlite_statement *q, struct diag *diag)
{
    const char *channel = sqlite_text(q, COLUMN_CHANNEL), *biz = sqlite_text(q, COLUMN_BIZ);
    const long long open = sqlite_int(q, COLUMN_OPEN), due = sqlite_int(q, COLUMN_DUE);
    const int64_t now_s = (int64_t)time(NULL);
    char subject[300], text[900];
    snprintf(subject, sizeof subject, "%.140s/%.140s", channel, biz);
    if (book_folder_find(f, channel, biz) || (!open && !due))
        return alarm_clear(state_db(f->state), JOB_GONE, subject, now_s, diag);
    if (book_folder_is_broken(f, sqlite_text(q, COLUMN_JOB))) /* told as what it is */
        return OK;
    snprintf(text, sizeof text,
             "done to %s, carries %lld open records, has %lld tasks to do, and no job of the folder has its "
             "channel_code and biz_type any more (it was %.200s): bring the job file back",
             sqlite_text(q, COLUMN_DAY), open, due, sqlite_text(q, COLUMN_JOB));
    fprintf(stderr, "warning: queue %s: %s\n", subject, text);
    const struct alarm alarm = {.grade = ALARM_CRITICAL, .kind = JOB_GONE, .subject = subject, .text = text};
    return alarm_raise(state_db(f->state), &alarm, now_s, diag);
}

enum err book_folder_tell_gone(const struct book_folder *f, struct diag *diag)
{
    struct sqlite_statement *q = NULL;
    enum err err = sqlite_prepare(
        &q, state_db(f->state),
        "WITH newest AS (SELECT channel_code, biz_type, max(bill_date) AS day FROM task WHERE phase = "
        "'DONE'\n"
        "  GROUP BY channel_code, biz_type)\n"
        "SELECT n.channel_code, n.biz_type, n.day,\n"
        "  coalesce((SELECT sum(records) FROM carry_file c WHERE c.task = t.id AND c.revision = t.revision\n"
        "    AND kind = 0), 0),\n"
        "  (SELECT count(*) FROM task d WHERE d.channel_code = n.channel_code AND d.biz_type = n.biz_type\n"
        "    AND d.phase NOT IN ('DONE', 'CANCELLED')), t.job\n"
        "FROM newest n JOIN task t ON t.bill_date = n.day AND t.channel_code = n.channel_code AND\n"
        "  t.biz_type = n.biz_type AND t.phase = 'DONE' ORDER BY 1, 2",
        diag);
    enum step step = STEP_DONE;
    while (err == OK && (step = sqlite_step(q, diag)) == STEP_MORE)
        err = tell_queue(f, q, diag);
    sqlite_finish(q);
    return step == STEP_FAILED ? diag->err : err;
}
