/* cli/cmd_capture.c: tieout capture JOB.yaml: what a server writes into its log, kept as it comes. */
#include "cli/cmd.h"
#include "cli/moment.h"
#include "cli/signals.h"
#include "core/base/mem.h"
#include "core/config/job.h"
#include "io/source/capture.h"
#include "io/source/replica.h"
#include "io/source/segments.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void show_json(const struct capture_status *s, int64_t heard_ms)
{
    char commit[MOMENT_TEXT];
    moment_text(commit, s->counts.commit_time);
    json_t *root = json_pack("{s:b, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:s, s:s}", "running",
                             s->running, "state", s->state, "server", s->position.server, "file",
                             s->position.file, "position", (json_int_t)s->position.offset, "gtids", s->gtids,
                             "transactions", (json_int_t)s->counts.transactions, "rows",
                             (json_int_t)s->counts.rows, "bytes", (json_int_t)s->counts.bytes, "segments",
                             (json_int_t)s->counts.segments, "last_commit", commit, "said", s->said);
    moment_text(commit, s->complete_us / 1000000);
    if (root)
        json_object_set_new(root, "complete_to", json_string(commit));
    if (root && s->running) {
        json_object_set_new(root, "lag_ms", s->lag_ms < 0 ? json_null() : json_integer(s->lag_ms));
        json_object_set_new(root, "rows_per_second",
                            s->rows_per_second < 0 ? json_null() : json_integer(s->rows_per_second));
        json_object_set_new(root, "heard_ms_ago", json_integer(heard_ms));
    }
    if (root)
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(root);
}

static void show_text(const struct capture_status *s, int64_t heard_ms)
{
    char commit[MOMENT_TEXT];
    moment_text(commit, s->counts.commit_time);
    printf("%s%s%s\n", s->running ? "running" : "not running", s->running ? ", " : "",
           s->running ? s->state : "");
    printf("  %-12s%s:%llu of %s\n", "position", s->position.file, (unsigned long long)s->position.offset,
           s->position.server);
    printf("  %-12s%s\n", "gtids", s->gtids[0] ? s->gtids : "not known");
    printf("  %-12s%s\n", "last commit", commit[0] ? commit : "none yet");
    printf("  %-12s%llu rows in %llu transactions, %llu bytes received, %llu segments\n", "captured",
           (unsigned long long)s->counts.rows, (unsigned long long)s->counts.transactions,
           (unsigned long long)s->counts.bytes, (unsigned long long)s->counts.segments);
    if (s->running && s->lag_ms >= 0)
        printf("  %-12s%.3f s; %lld rows/s; heard of the server %.1f s ago\n", "lag",
               (double)s->lag_ms / 1000, (long long)s->rows_per_second, (double)heard_ms / 1000);
    moment_text(commit, s->complete_us / 1000000);
    printf("  %-12s%s\n", "complete to", commit[0] ? commit : "not known");
    if (s->said[0])
        printf("  %-12s%s\n", "trouble", s->said);
}

static enum err show_status(const char *directory, int json, struct diag *diag)
{
    struct capture_status status;
    struct timespec now;
    enum err err = capture_status_read(&status, directory, diag);
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t heard_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - status.heard_us / 1000;
    if (err == OK && !status.gtids)
        err = diag_set(diag, ERR_INPUT, "capture.none", "begin with: tieout capture JOB.yaml",
                       "%s: nothing was captured yet", directory);
    if (err == OK && json)
        show_json(&status, heard_ms);
    else if (err == OK)
        show_text(&status, heard_ms);
    mem_give(status.gtids);
    return err;
}

int cmd_capture(const struct options *options)
{
    struct diag diag = {0};
    struct job *job = NULL;
    char directory[4096];
    enum err err = job_load(&job, options->arguments[0], &diag);
    if (err == OK && job->sources[LOCAL].kind != SOURCE_REPLICA)
        err = diag_set(&diag, ERR_USAGE, "capture.job",
                       "e.g. local: {replica: {host: ..., user: ..., table: ...}}",
                       "%s: the job's local side is no replica, so there is nothing to capture", job->path);
    if (err == OK)
        err = segments_directory(directory, sizeof directory, job, LOCAL, &diag);
    if (err == OK && options->status) {
        err = show_status(directory, options->format && strcmp(options->format, "json") == 0, &diag);
    } else if (err == OK) {
#if TIEOUT_MYSQL
        signals_catch();
        struct replica_config config = {.job = job,
                                        .side = LOCAL,
                                        .directory = directory,
                                        .catch_up = options->catch_up,
                                        .interrupted = signals_interrupted};
        err = replica_capture(&config, &diag);
#else
        err = diag_set(&diag, ERR_USAGE, "capture.built", "install libmariadb-dev and build again",
                       "this program was built without libmariadb");
#endif
    }
    if (err != OK)
        diag_print(&diag, stderr);
    job_close(job);
    return (int)err;
}
