/* cli/task_run.h: a book's tasks, done.
 *
 *     book_folder_open      the jobs of a folder, its settings, its state
 *       task_run_all        what is due, queue by queue in order of bill date
 *     book_folder_close
 *
 * A queue is (channel_code, biz_type). Tasks of several queues overlap by one step: while one is read and judged, which takes all cores
 * and the whole memory budget, the one before it is written and committed, and the next one stands ready. Two that are read at once would
 * only be slower and hold more. Of one queue, a task begins when the one before it is committed. Only the control thread calls
 * the state. A queue whose task failed or waits for its bill stands still; the others go on.
 */
#ifndef TIEOUT_CLI_TASK_RUN_H
#define TIEOUT_CLI_TASK_RUN_H

#include "core/config/book.h"
#include "core/config/job.h"
#include "core/config/options.h"
#include "io/store/generation.h"
#include "io/store/state.h"

struct book_job {
    struct job *job;
    const char *file;     /* in the folder */
    const char *biz_type; /* "-" where the job names none */
};

/* A file of the folder that is no job: what is wrong with it was printed when it was met. */
struct book_broken {
    const char *file;
    struct diag why;
};

struct book_folder {
    const char *directory;
    char state_path[STATE_PATH_MAX];
    struct book_job *jobs;
    struct book_broken *broken;
    uint32_t job_count, broken_count;
    struct book *book;
    struct state *state;
};

enum book_need { BOOK_STATE_READ, BOOK_STATE_WRITE, BOOK_STATE_MAKE };
/* Loads every job (*.yaml but book.yaml); two of one channel_code and biz_type are refused. MAKE: a state is made where there
 * never was one. */
enum err book_folder_open(struct book_folder *folder, const struct options *options, enum book_need need,
                          int with_jobs, struct diag *diag);
/* The jobs alone, of a folder that was opened without them. */
enum err book_folder_load(struct book_folder *folder, struct diag *diag);
void book_folder_close(struct book_folder *folder);
/* A queue that carries records, or has tasks to do, and of which no job is in the folder any more, becomes an alarm (job.gone), until its job
 * is back. One with nothing left may go. Takes a folder with its jobs. */
enum err book_folder_tell_gone(const struct book_folder *folder, struct diag *diag);
/* Broken job files become alarms (job.broken), those that are mended or gone are none any more. */
enum err book_folder_tell_broken(const struct book_folder *folder, struct diag *diag);
/* Whether a file of the folder is a job by its name. */
int book_is_job_name(const char *name);
int book_folder_is_broken(const struct book_folder *folder, const char *file);
const struct book_job *book_folder_find(const struct book_folder *folder, const char *channel_code,
                                        const char *biz_type);

struct task_run_ask {
    struct task_filter filter;
    int ignore_next_at; /* somebody asked: what waits is tried now */
};
struct task_run_end {
    int done, broken, failed, waiting, skipped; /* broken: of those done, do not tie out */
    int unread;                                 /* their job files are broken */
    int left;        /* done by a run before this one that did not come to its end, and do not tie out */
    int changed;     /* of those done, had to tell that a log changed days that are done */
    int code;        /* exit code */
    int64_t next_at; /* when something waits for its time; 0: nothing does */
};
/* Takes the book's lock. Diagnostics of single tasks are printed as they come; `diag` is for what stops everything. */
enum err task_run_all(struct book_folder *folder, const struct options *options,
                      const struct task_run_ask *ask, struct task_run_end *end, struct diag *diag);

/* Whether results of `day` stand in the job's folder, by their certificate: 1 or 0. One that is another book's is ERR_STATE (-1): the
 * state beside it would carry what is open there, and not what is open here. */
int task_results_stand(const struct book_folder *folder, const struct job *job, uint16_t day,
                       struct diag *diag);

/* Where a task's outputs are. */
enum err task_out_directory(const struct job *job, uint16_t day, char *out, size_t room, struct diag *diag);

#endif
