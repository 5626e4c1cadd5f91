/* cli/cmd_schema.c: tieout schema JOB.yaml: what the columns of a job's table are called, as its server has them. */
#include "cli/cmd.h"
#include "core/config/job.h"
#include "io/source/query.h"

int cmd_schema(const struct options *options)
{
    struct diag diag = {0};
    struct job *job = NULL;
    enum err err = job_load(&job, options->arguments[0], &diag);
    if (err == OK && (!source_tells_images(job->sources[LOCAL].kind) || !job->sources[LOCAL].replica.host))
        err = diag_set(
            &diag, ERR_USAGE, "schema.job",
            "e.g. local: {binlog: {files: ..., table: shop.payment_order, server: {host: db1, user: tieout, "
            "password: env:DB_PASSWORD}}}",
            "%s: the local side names no server to ask", job->path);
#if TIEOUT_MYSQL
    if (err == OK)
        err = query_schema(job, LOCAL, stdout, &diag);
#else
    if (err == OK)
        err = diag_set(&diag, ERR_USAGE, "schema.built", "install libmariadb-dev and build again",
                       "this program was built without libmariadb");
#endif
    if (err != OK)
        diag_print(&diag, stderr);
    job_close(job);
    return (int)err;
}
