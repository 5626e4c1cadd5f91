/* cli/task_work.h: one task while it is done, and the pieces of code that do it.
 *
 *     task_prepare      task_begin.c   all that comes before the first row; it tells the session (session.h) whom to ask for the rest:
 *       task_keep_files task_keep.c    when all is judged: what the state keeps, under names that nobody looks at yet
 *         task_log_write task_log.c    of it the segment of the verdict log: what is new, and what a restatement takes back
 *       task_keep_all   task_keep.c    what must be true before anything is published, and the certificate
 *       task_commit     task_keep.c    the results are published: one transaction
 *     task_work_close   task_begin.c
 *
 * task_run.c says which task is next and what becomes of it. Memory: the task's own, until task_work_close. Threads: the control
 * thread, but for late records, which whichever worker needs them asks for.
 */
#ifndef TIEOUT_CLI_TASK_WORK_H
#define TIEOUT_CLI_TASK_WORK_H

#include "cli/by_hand.h"
#include "cli/earlier.h"
#include "cli/session.h"
#include "cli/task_run.h"
#include "io/sink/digest.h"
#include "io/store/budget_book.h"
#include "io/store/carry_file.h"
#include "io/store/id_book.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

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
    struct text tables[SIDES]; /* of logs whose rows are carried: what the task before knew */
    uint16_t log_days[SIDES][LOG_AHEAD];
    struct renamed renamed;
    uint64_t renamable; /* carried records of sides that a log tells */
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
    sem_t turn, over;                   /* posted when its workers may begin; when all is judged */
    _Atomic(struct task_work *) behind; /* whose turn is next; itself: it is over */
    struct text changed_days; /* that are done, and are not as their tasks had them: a person must look */
};

enum err task_prepare(struct task_work *work, const struct options *options, struct diag *diag);
void task_work_close(struct task_work *work);

/* The session's: `context` is the work. */
enum err task_keep_files(void *context, struct results *results, struct diag *diag);
enum err task_keep_all(void *context, const struct session_outcome *outcome, struct diag *diag);
enum err task_commit(void *context, const struct session_outcome *outcome, struct diag *diag);

enum err task_log_write(struct task_work *work, struct results *results, struct diag *diag);
void task_log_close(struct task_work *work);

#endif
