/* cli/cmd_fetch.c: tieout fetch JOB.yaml --date= */
#include "cli/cmd.h"
#include "cli/signals.h"
#include "core/config/job.h"
#include "io/fetch/fetch.h"

/* Paths go to stdout, for whoever goes on with them; the rest is talk. */
static void tell_file(void *context, const char *path, uint64_t size, const char *digest, int fresh)
{
    int *count = context;
    *count += 1;
    printf("%s\n", path);
    if (fresh)
        fprintf(stderr, "%s: %llu bytes, %s\n", path, (unsigned long long)size, digest);
    else
        fprintf(stderr, "%s: is there already\n", path);
}

int cmd_fetch(const struct options *options)
{
    struct diag diag = {0};
    struct job *job = NULL;
    enum err err = job_load(&job, options->arguments[0], &diag);
    int files = 0, sides = 0;
    signals_catch();
    for (int side = 0; err == OK && side < SIDES; side++) {
        if (!job->sources[side].fetch.given)
            continue;
        sides++;
        struct fetch_config config = {.job = job,
                                      .side = (enum side)side,
                                      .date = options->date,
                                      .deadline_s =
                                          options->given[OPTION_ID_deadline] ? (int)options->deadline : -1,
                                      .file = tell_file,
                                      .interrupted = signals_interrupted,
                                      .context = &files};
        err = fetch_files(&config, &diag);
    }
    if (err == OK && !sides)
        err = diag_set(&diag, ERR_USAGE, "fetch.nothing", "add fetch: {from: ...} to a side",
                       "%s: no side of the job says where its files come from", options->arguments[0]);
    if (diag.err != OK)
        diag_print(&diag, stderr);
    job_close(job);
    return (int)err;
}
