/* cli/book_witness.c: see book_witness.h */
#include "cli/book_witness.h"
#include "cli/task_run.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/store/witness.h"
#include <dirent.h>
#include <string.h>

int job_out_root(const struct job *job, char out[STATE_PATH_MAX])
{
    const int relative = job->out_dir[0] != '/';
    const int n = snprintf(out, STATE_PATH_MAX, "%s%s%s", relative ? job->directory : "", relative ? "/" : "",
                           job->out_dir);
    return n < STATE_PATH_MAX ? 0 : -1;
}

static int is_listed(const struct text *roots, const char *root)
{
    for (size_t at = 0; at < roots->size; at += strlen(roots->data + at) + 1)
        if (strcmp(roots->data + at, root) == 0)
            return 1;
    return 0;
}

/* Each once, NUL-terminated; most books have one. */
static enum err list_roots(struct text *roots, const char *jobs, struct diag *diag)
{
    char path[STATE_PATH_MAX], root[STATE_PATH_MAX];
    DIR *dir = opendir(jobs);
    for (struct dirent *entry; dir && !roots->failed && (entry = readdir(dir));) {
        struct job *job = NULL;
        struct diag ignored = {0};
        if (!book_is_job_name(entry->d_name) ||
            snprintf(path, sizeof path, "%s/%s", jobs, entry->d_name) >= (int)sizeof path ||
            job_load(&job, path, &ignored) != OK)
            continue;
        if (job_out_root(job, root) == 0 && !is_listed(roots, root))
            text_put(roots, root, strlen(root) + 1);
        job_close(job);
    }
    if (dir)
        closedir(dir);
    return roots->failed ? mem_fail(diag, 0, "the list of jobs") : OK;
}

enum err book_witness_check(struct state *state, const char *jobs, struct diag *diag)
{
    struct text roots = {0};
    enum err err = list_roots(&roots, jobs, diag);
    for (size_t at = 0; err == OK && at < roots.size; at += strlen(roots.data + at) + 1)
        err = witness_check(state, roots.data + at, diag);
    text_fini(&roots);
    return err;
}

void book_witness_leave(struct state *state, const char *jobs)
{
    struct text roots = {0};
    struct diag ignored = {0};
    if (list_roots(&roots, jobs, &ignored) == OK)
        for (size_t at = 0; at < roots.size; at += strlen(roots.data + at) + 1)
            witness_leave(state, roots.data + at);
    text_fini(&roots);
}
