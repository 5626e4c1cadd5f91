/* cli/report.h: what a run tells: summary.json, aggregate.csv, stats.json, and the text for people. */
#ifndef TIEOUT_CLI_REPORT_H
#define TIEOUT_CLI_REPORT_H

#include "core/config/job.h"
#include "core/engine/run.h"
#include "io/sink/results.h"

struct report {
    const struct job *job;
    struct run_result *result; /* changed by report_aggregate alone */
    uint16_t date;
    const char *out_dir;
    const char *digest_lines; /* "name hash" per class file, and of aggregate.csv */
    double seconds;
    uint32_t threads;
    const char *io_name;
    uint64_t spilled, memory;
    uint64_t matches_early; /* rows of match.csv for which no file was read again */
    uint64_t matches_met;   /* of these, rows whose pairs were made without the index */
};

/* summary.json; byte-stable. *out is the caller's, freed by free(). */
enum err report_summary(const struct report *report, char **out, struct diag *diag);
enum err report_stats(const struct report *report, char **out, struct diag *diag);
/* aggregate.csv, piece by piece. Once: what was counted may be laid together anew. */
typedef enum err report_put_fn(void *context, const void *bytes, size_t size, struct diag *diag);
enum err report_aggregate(const struct report *report, report_put_fn *put, void *context, struct diag *diag);
/* For people: counts and sums per class and side, the bridge, the largest breaks, where the files are. */
void report_text(const struct report *report, struct results *results, FILE *out);
/* Warns where all amounts of a currency differ by the same power of ten: a unit is declared wrong. */
void report_unit_warning(const struct run_result *result, FILE *out);
/* Says where the two sides differ in count or sum of a date, currency and direction, before anything is matched. 1 when
 * they do, or rows could not be read. */
int report_sides_differ(const struct run_result *result, FILE *out);
/* 0 when everything ties out, 1 when not (SPEC.md section 7). What is in suspense is remembered by a task's book, and by nobody
 * else. */
int report_exit_code(const struct run_result *result, int is_task);

#endif
