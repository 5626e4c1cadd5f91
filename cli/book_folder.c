/* cli/book_folder.c: the folder of a book: its jobs, its settings, its state. See task_run.h */
#include "cli/book_witness.h"
#include "cli/task_run.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/store/alarm.h"
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define JOB_BROKEN "job.broken"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct book_job *)a)->file, ((const struct book_job *)b)->file);
}

int book_is_job_name(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".yaml") == 0 && strcmp(name, "book.yaml") != 0;
}

static enum err add_job(struct book_folder *f, const char *name, struct diag *diag)
{
    struct book_job *grown = mem_grow(f->jobs, (f->job_count + 1) * sizeof *grown);
    if (!grown)
        return mem_fail(diag, 0, "the list of jobs");
    f->jobs = grown;
    f->jobs[f->job_count] = (struct book_job){.file = mem_copy_text(name, strlen(name))};
    return f->jobs[f->job_count++].file ? OK : mem_fail(diag, 0, "the list of jobs");
}

/* Takes the job out of the list, and what is wrong with its file into another. */
static enum err put_aside(struct book_folder *f, uint32_t i, const struct diag *why, struct diag *diag)
{
    struct book_broken *grown = mem_grow(f->broken, (f->broken_count + 1) * sizeof *grown);
    if (!grown)
        return mem_fail(diag, sizeof *grown, "the list of jobs");
    f->broken = grown;
    f->broken[f->broken_count++] = (struct book_broken){f->jobs[i].file, *why};
    memmove(&f->jobs[i], &f->jobs[i + 1], (f->job_count - i - 1) * sizeof *f->jobs);
    f->job_count--;
    return OK;
}

enum err book_folder_load(struct book_folder *f, struct diag *diag)
{
    DIR *dir = opendir(f->directory);
    if (!dir)
        return diag_set(diag, ERR_USAGE, "book.folder", "name the folder of the job files with --jobs=DIR",
                        "%s: cannot open the folder: %s", f->directory, strerror(errno));
    enum err err = OK;
    for (struct dirent *entry; err == OK && (entry = readdir(dir));)
        if (book_is_job_name(entry->d_name))
            err = add_job(f, entry->d_name, diag);
    closedir(dir);
    if (f->job_count)
        qsort(f->jobs, f->job_count, sizeof *f->jobs, by_name);
    for (uint32_t i = 0; err == OK && i < f->job_count; i++) {
        struct book_job *j = &f->jobs[i];
        char path[STATE_PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", f->directory, j->file) >= (int)sizeof path)
            return diag_set(diag, ERR_USAGE, "path", NULL, "the path of a job file is too long");
        struct diag why = {0};
        if (job_load(&j->job, path, &why) !=
            OK) { /* one broken file stops its own channel; the others go on */
            if (why.err == ERR_MACHINE) {
                *diag = why;
                return why.err;
            }
            err = put_aside(f, i--, &why, diag);
            continue;
        }
        j->biz_type = j->job->biz_type && j->job->biz_type[0] ? j->job->biz_type : "-";
        if (!j->job->channel_code || !j->job->channel_code[0])
            err = diag_set(diag, ERR_USAGE, "book.channel", "add channel_code: to it",
                           "%s: a job of a book needs a channel_code, which its tasks are named by", path);
        for (uint32_t k = 0; err == OK && k < i; k++)
            if (strcmp(f->jobs[k].job->channel_code, j->job->channel_code) == 0 &&
                strcmp(f->jobs[k].biz_type, j->biz_type) == 0)
                err =
                    diag_set(diag, ERR_USAGE, "book.twice", "give one of them another biz_type",
                             "%s and %s/%s have the same channel_code and biz_type: their tasks would be one",
                             path, f->directory, f->jobs[k].file);
            else if (strcmp(f->jobs[k].job->name, j->job->name) == 0 &&
                     strcmp(f->jobs[k].job->out_dir, j->job->out_dir) == 0)
                err = diag_set(diag, ERR_USAGE, "book.twice", "give one of them another name (job:)",
                               "%s and %s/%s are both named %s and write to the same folder: the results of "
                               "one would replace those of the other",
                               path, f->directory, f->jobs[k].file, j->job->name);
    }
    /* Of a folder in which nothing can be read nothing is known: it is not worked at. */
    const uint32_t printed = f->broken_count - (err == OK && !f->job_count && f->broken_count);
    for (uint32_t i = 0; i < printed; i++)
        diag_print(&f->broken[i].why, stderr);
    if (printed < f->broken_count) {
        *diag = f->broken[printed].why;
        return diag->err;
    }
    if (err == OK && f->job_count == 0)
        err = diag_set(diag, ERR_USAGE, "book.empty", "name the folder of the job files with --jobs=DIR",
                       "%s: there is no job file (*.yaml) in it", f->directory);
    return err;
}

/* A certificate among the outputs: there was a state, which knows what is open. */
static enum err was_there(const struct book_folder *f, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < f->job_count; i++) {
        const struct job *job = f->jobs[i].job;
        char path[STATE_PATH_MAX], file[STATE_PATH_MAX + 300];
        const int relative = job->out_dir[0] != '/';
        snprintf(path, sizeof path, "%s%s%s/%s", relative ? job->directory : "", relative ? "/" : "",
                 job->out_dir, job->name);
        DIR *dir = opendir(path);
        for (struct dirent *entry; dir && err == OK && (entry = readdir(dir));) {
            struct stat st;
            snprintf(file, sizeof file, "%s/%s/certificate.json", path, entry->d_name);
            if (entry->d_name[0] != '.' && stat(file, &st) == 0)
                err = diag_set(diag, ERR_STATE, "state.missing",
                               "bring the state folder back (is its disk mounted?); to begin anew on "
                               "purpose, move the outputs away",
                               "%s: there is no state, and %s says that there was one", f->state_path, file);
        }
        if (dir)
            closedir(dir);
    }
    return err;
}

enum err book_folder_open(struct book_folder *f, const struct options *options, enum book_need need,
                          int with_jobs, struct diag *diag)
{
    memset(f, 0, sizeof *f);
    f->directory = options->jobs ? options->jobs : ".";
    const int n = options->state ? snprintf(f->state_path, sizeof f->state_path, "%s", options->state)
                                 : snprintf(f->state_path, sizeof f->state_path, "%s/state", f->directory);
    if (n >= (int)sizeof f->state_path)
        return diag_set(diag, ERR_USAGE, "state.path", NULL, "the state folder's name is too long");
    enum err err = with_jobs ? book_folder_load(f, diag) : OK;
    if (err == OK)
        err = book_load(&f->book, f->directory, diag);
    if (err == OK && need == BOOK_STATE_MAKE && !state_exists(f->state_path)) {
        err = was_there(f, diag);
        if (err == OK)
            err = state_create(f->state_path, diag);
        if (err == ERR_STATE &&
            strcmp(diag->code, "state.exists") == 0) { /* somebody else made it in this moment */
            *diag = (struct diag){0};
            err = OK;
        } else if (err == OK)
            fprintf(stderr, "made the book's state in %s: keep it, and back it up as a whole\n",
                    f->state_path);
    }
    if (err == OK)
        err = state_open(&f->state, f->state_path, need == BOOK_STATE_READ ? STATE_READ : STATE_WRITE, diag);
    if (err == OK)
        err = book_witness_check(f->state, f->directory, diag);
    return err;
}

void book_folder_close(struct book_folder *f)
{
    state_close(f->state);
    book_close(f->book);
    for (uint32_t i = 0; i < f->job_count; i++) {
        job_close(f->jobs[i].job);
        mem_give((void *)f->jobs[i].file);
    }
    for (uint32_t i = 0; i < f->broken_count; i++)
        mem_give((void *)f->broken[i].file);
    mem_give(f->broken);
    mem_give(f->jobs);
    memset(f, 0, sizeof *f);
}

int book_folder_is_broken(const struct book_folder *f, const char *file)
{
    for (uint32_t i = 0; i < f->broken_count; i++)
        if (strcmp(f->broken[i].file, file) == 0)
            return 1;
    return 0;
}

struct mended {
    const struct book_folder *folder;
    struct text subjects; /* each NUL-terminated */
};

static enum err find_mended(void *context, const struct alarm *alarm, struct diag *diag)
{
    struct mended *m = context;
    if (strcmp(alarm->kind, JOB_BROKEN) == 0 && !book_folder_is_broken(m->folder, alarm->subject))
        text_put(&m->subjects, alarm->subject, strlen(alarm->subject) + 1);
    return m->subjects.failed ? mem_fail(diag, 0, "the list of alarms") : OK;
}

enum err book_folder_tell_broken(const struct book_folder *f, struct diag *diag)
{
    struct sqlite *db = state_db(f->state);
    const int64_t now_s = (int64_t)time(NULL);
    struct mended m = {.folder = f};
    enum err err = alarm_each(db, find_mended, &m, diag);
    for (size_t at = 0; err == OK && at < m.subjects.size; at += strlen(m.subjects.data + at) + 1)
        err = alarm_clear(db, JOB_BROKEN, m.subjects.data + at, now_s, diag);
    for (uint32_t i = 0; err == OK && i < f->broken_count; i++) {
        const struct alarm alarm = {.grade = ALARM_CRITICAL,
                                    .kind = JOB_BROKEN,
                                    .subject = f->broken[i].file,
                                    .text = f->broken[i].why.what};
        err = alarm_raise(db, &alarm, now_s, diag);
    }
    text_fini(&m.subjects);
    return err;
}

const struct book_job *book_folder_find(const struct book_folder *f, const char *channel_code,
                                        const char *biz_type)
{
    for (uint32_t i = 0; i < f->job_count; i++)
        if (strcmp(f->jobs[i].job->channel_code, channel_code) == 0 &&
            strcmp(f->jobs[i].biz_type, biz_type) == 0)
            return &f->jobs[i];
    return NULL;
}

enum err task_out_directory(const struct job *job, uint16_t day, char *out, size_t room, struct diag *diag)
{
    char date[DAY_TEXT_MAX];
    day_print(date, day);
    const int relative = job->out_dir[0] != '/';
    if (snprintf(out, room, "%s%s%s/%s/%s", relative ? job->directory : "", relative ? "/" : "", job->out_dir,
                 job->name, date) >= (int)room)
        return diag_set(diag, ERR_USAGE, "out.directory", NULL, "the output directory's name is too long");
    return OK;
}

int task_results_stand(const struct book_folder *f, const struct job *job, uint16_t day, struct diag *diag)
{
    char path[STATE_PATH_MAX], file[STATE_PATH_MAX + 32];
    if (task_out_directory(job, day, path, sizeof path, diag) != OK)
        return -1;
    snprintf(file, sizeof file, "%s/certificate.json", path);
    struct stat st;
    if (stat(file, &st) != 0)
        return 0;
    /* One that cannot be read says nothing of whose it is: `verify` tells it. */
    json_t *certificate = json_load_file(file, 0, NULL);
    const char *book = json_string_value(json_object_get(certificate, "book"));
    const int foreign = book && strcmp(book, state_id(f->state)) != 0;
    if (foreign)
        diag_set(
            diag, ERR_STATE, "state.foreign",
            "bring this book's own state back; if the results are those of a book that is given up, move "
            "them away",
            "%s is of book %s, and %s is the state of book %s", file, book, f->state_path,
            state_id(f->state));
    json_decref(certificate);
    return foreign ? -1 : 1;
}
