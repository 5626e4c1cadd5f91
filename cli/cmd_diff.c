/* cli/cmd_diff.c: tieout diff LOCAL.csv CHANNEL.csv --key= --amount= */
#include "cli/cmd.h"
#include "cli/session.h"
#include <sys/stat.h>

int cmd_diff(const struct options *options)
{
    struct diag diag = {0};
    struct diff_request request = {.local_path = options->arguments[0],
                                   .channel_path = options->arguments[1],
                                   .key = options->key,
                                   .amount = options->amount,
                                   .compare = options->compare,
                                   .currency = options->currency,
                                   .timezone = options->timezone,
                                   .out_dir = options->out,
                                   .write_match = options->write_match};
    struct stat local, channel;
    if (stat(request.local_path, &local) == 0 && stat(request.channel_path, &channel) == 0 &&
        local.st_dev == channel.st_dev && local.st_ino == channel.st_ino)
        fprintf(stderr, "note: both sides are the same file\n");
    struct job *job = NULL;
    enum err err = job_from_diff(&job, &request, &diag);
    int code = err == OK ? session_run(job, options, job->out_dir, DAY_NONE, &diag) : (int)err;
    if (diag.err != OK)
        diag_print(&diag, stderr);
    job_close(job);
    return code;
}
