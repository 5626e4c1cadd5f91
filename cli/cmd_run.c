/* cli/cmd_run.c: tieout run JOB.yaml --date=, and tieout plan, which stops before it */
#include "cli/cmd.h"
#include "cli/session.h"
#include <string.h>
#include <unistd.h>

/* What a task of a book published is only replaced by that task: it holds what was carried, which a run knows nothing of. */
static enum err check_book(const char *out, struct diag *diag)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/certificate.json", out);
    return access(path, F_OK) != 0
               ? OK
               : diag_set(diag, ERR_STATE, "run.book",
                          "name another folder with --out=DIR, or do the day again: tieout task rerun",
                          "%s holds the results of a book's task, with what was carried from day to day",
                          out);
}

int cmd_run(const struct options *options)
{
    struct diag diag = {0};
    struct job *job = NULL;
    enum err err = job_load(&job, options->arguments[0], &diag);
    int code = (int)err;
    if (err == OK) {
        char day[DAY_TEXT_MAX], out[4096];
        day_print(day, options->date);
        int relative = !options->out && job->out_dir[0] != '/' && strcmp(job->directory, ".") != 0;
        int n = snprintf(out, sizeof out, "%s%s%s/%s/%s", relative ? job->directory : "", relative ? "/" : "",
                         options->out ? options->out : job->out_dir, job->name, day);
        if (n < 0 || n >= (int)sizeof out)
            code = (int)diag_set(&diag, ERR_USAGE, "out.directory", NULL,
                                 "the output directory's name is too long");
        else if (!options->plan && check_book(out, &diag) != OK)
            code = (int)diag.err;
        else
            code = session_run(job, options, out, options->date, &diag);
    }
    if (diag.err != OK)
        diag_print(&diag, stderr);
    job_close(job);
    return code;
}

int cmd_plan(const struct options *options)
{
    struct options plan = *options;
    plan.plan = 1;
    return cmd_run(&plan);
}
