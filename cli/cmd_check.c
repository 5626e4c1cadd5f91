/* cli/cmd_check.c: tieout check: what run would refuse about a job, and what the job does, in short. */
#include "cli/cmd.h"
#include "core/base/text.h"
#include "core/config/job.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void put(const char *text)
{
    struct text plain = {0};
    text_plain(&plain, span_of(text));
    fputs(plain.failed || !plain.size ? "" : plain.data, stdout);
    text_fini(&plain);
}

/* The folder that a pattern certainly looks into: what stands before its first part with a wildcard. */
static enum err check_folder(const struct job *job, enum side side, const char *pattern, struct diag *diag)
{
    const struct source_spec *source = &job->sources[side];
    char folder[4096];
    size_t fixed = strcspn(pattern, "*?[\\!");
    while (fixed > 0 && pattern[fixed - 1] != '/')
        fixed--;
    int n = pattern[0] == '/'
                ? snprintf(folder, sizeof folder, "%.*s", (int)fixed, pattern)
                : snprintf(folder, sizeof folder, "%s/%.*s", job->directory, (int)fixed, pattern);
    if (n > 1 && n < (int)sizeof folder && folder[n - 1] == '/')
        folder[n - 1] = 0;
    struct stat st;
    if (strstr(pattern, "{date}") || n < 0 || n >= (int)sizeof folder)
        return OK;
    if (stat(folder, &st) == 0 && S_ISDIR(st.st_mode))
        return OK;
    return diag_set(diag, ERR_USAGE, "job.folder", "paths are relative to the job file",
                    "%s:%d:%d: %s: \"%s\": there is no folder %s", job->path, source->files_line,
                    source->files_column, side_name(side), pattern, folder);
}

static enum err check_folders(const struct job *job, struct diag *diag)
{
    for (int side = 0; side < SIDES; side++)
        for (int i = 0; i < job->sources[side].pattern_count; i++) {
            enum err err = check_folder(job, (enum side)side, job->sources[side].patterns[i], diag);
            if (err != OK)
                return err;
        }
    return OK;
}

static void print_source(const struct job *job, enum side side)
{
    const struct source_spec *source = &job->sources[side];
    printf("  %-10s", side_name(side));
    for (int i = 0; i < source->pattern_count; i++) {
        printf(i ? ", " : "");
        put(source->patterns[i]);
    }
    if (source->kind == SOURCE_REPLICA) {
        put(source->replica.dir);
        printf(", captured from ");
        put(source->replica.host);
    } else if (source->kind == SOURCE_QUERY) {
        printf("asked of ");
        put(source->replica.host);
        printf(", kept in ");
        put(source->replica.dir);
    }
    if (source_tells_images(source->kind)) {
        printf(source->kind == SOURCE_QUERY ? " (rows of " : " (binlog, rows of ");
        put(source->database);
        putchar('.');
        put(source->table);
    } else if (source->bill) {
        printf(" (");
        put(source->bill->name);
        printf(": ");
        put(source->bill->title);
    } else {
        printf(" (csv, columns %s", source->layout.has_header ? "by header" : "by position");
    }
    printf(", times in %s)\n", source->timezone);
    printf("  %-10s", "");
    if (source->bill) {
        printf("kinds of rows: ");
        for (int i = 0; i < source->bill->type_count; i++) {
            printf(i ? ", " : "");
            put(source->bill->types[i].name);
            printf(source->bill->types[i].is_excluded ? " (excluded)" : "");
        }
    } else if (source->occurrence_count) {
        printf("rows are told apart by ");
        for (int i = 0; i < source->occurrence_count; i++) {
            printf(i ? " + " : "");
            put(source->occurrence[i]);
        }
    } else if (source_tells_images(source->kind)) {
        printf("rows are told apart by the primary key");
    } else if (side == CHANNEL && source->fields[FIELD_CHANNEL_ORDER_NO].column) {
        printf("rows are told apart by channel_order_no");
    } else {
        printf("rows have no occurrence id");
    }
    if (source->rejects.max_ppm) {
        char percent[MONEY_TEXT_MAX];
        money_print(percent, (money_total)source->rejects.max_ppm * 100, 0);
        printf("; %s%% of a file's rows may be unreadable\n", percent);
    } else {
        printf("; %llu rows of a file may be unreadable\n", (unsigned long long)source->rejects.max_rows);
    }
}

static void print_tolerance(const char *name, const struct tolerance *tolerance)
{
    char amount[MONEY_TEXT_MAX];
    money_print(amount, tolerance->absolute_micro, 0);
    printf("%s %s", name, amount);
    if (tolerance->ppm)
        printf(" or %lld ppm", (long long)tolerance->ppm);
}

static int is_set(const struct tolerance *tolerance)
{
    return tolerance->absolute_micro || tolerance->ppm;
}

static const char *rounding_name(enum rounding rounding)
{
    static const char *const names[] = {"half up", "half even", "down", "up"};
    return names[rounding];
}

static void print_parts(const struct job *job, const struct key_spec *key)
{
    for (int i = 0; i < key->part_count; i++) {
        printf(i ? " + " : "");
        put(job_field_name(job, key->parts[i]));
    }
}

static void print_fees(const struct job *job)
{
    const struct match_rules *match = &job->match;
    const struct fee_schedule *schedule = &match->schedule;
    char text[MONEY_TEXT_MAX];
    if (match->fees == FEES_NET)
        printf("  %-10snet: the local amount is held against the channel's amount plus its fee\n", "fees");
    else if (match->fees == FEES_SCHEDULE || match->fees == FEES_SCHEDULE_DAY) {
        printf("  %-10s%lld ppm of the amount, rounded %s, held against the channel's, %s", "fees",
               (long long)schedule->rate_ppm, rounding_name(schedule->rounding),
               match->fees == FEES_SCHEDULE ? "row by row" : "as sums of a day");
        if (schedule->min_micro) {
            money_print(text, schedule->min_micro, 0);
            printf(", at least %s", text);
        }
        if (schedule->max_micro != INT64_MAX) {
            money_print(text, schedule->max_micro, 0);
            printf(", at most %s", text);
        }
        printf(schedule->refunds_kept ? "; none comes back with a refund\n" : "\n");
    }
}

/* What is switched on by name. */
static void print_sets(const struct job *job)
{
    const struct match_rules *match = &job->match;
    if (match->fx.path) {
        printf("  %-10samounts of two currencies by the rates of ", "fx");
        put(match->fx.path);
        printf(", rounded %s\n", rounding_name(match->fx.rounding));
    }
    if (match->splits)
        printf("  %-10sseveral records of a key whose sums are equal are a match\n", "splits");
    if (match->partials.given)
        printf("  %-10spayments of one order, key %d, until they reach the %s side's amount; refunds above "
               "it, among what exact pairs leave, %s\n",
               "partials", match->partials.key_index + 1, side_name(match->partials.whole),
               match->partials.over_refund_ignored ? "are let pass" : "are a mismatch");
    if (match->group.given) {
        printf("  %-10sa settlement is the sum of its rows, by ", "group");
        print_parts(job, &match->keys[0]);
        if (match->group.gross >= 0)
            printf(", of the %s side less fees", side_name((enum side)match->group.gross));
        putchar('\n');
    }
    if (match->reversals)
        printf("  %-10swhat one side took back nets out\n", "reversals");
    if (match->subset.given)
        printf("  %-10sup to %u open records that make up another are proposed; no verdict changes\n",
               "subsets", match->subset.parts);
    if (job->aside.test_count || job->aside.merchant_count)
        printf("  %-10srows of tests%s are excluded\n", "aside",
               job->aside.merchant_count ? " and of merchants that are not ours" : "");
    if (job->aside.sampled) {
        printf("  %-10s%u of 1,000,000 are kept, by ", "sampling", job->aside.sample_ppm);
        print_parts(job, &job->aside.sample_by);
        putchar('\n');
    }
}

static void print_match(const struct job *job)
{
    const struct match_rules *match = &job->match;
    for (int k = 0; k < match->key_count; k++) {
        printf("  %-10s%d. ", k ? "" : "keys", k + 1);
        for (int i = 0; i < match->keys[k].part_count; i++) {
            printf(i ? " + " : "");
            put(job_field_name(job, match->keys[k].parts[i]));
        }
        putchar('\n');
    }
    printf("  %-10samount, currency, direction", "compare");
    for (int i = 0; i < match->compare_count; i++) {
        printf(", ");
        put(job_field_name(job, match->compare[i]));
    }
    printf("\n  %-10s", "tolerance");
    if (is_set(&match->amount_tolerance))
        print_tolerance("amount", &match->amount_tolerance);
    if (is_set(&match->fee_tolerance))
        print_tolerance(is_set(&match->amount_tolerance) ? ", fee" : "fee", &match->fee_tolerance);
    if (match->has_budget) {
        char budget[MONEY_TEXT_MAX];
        money_print(budget, match->budget_micro, 0);
        printf("; at most %s of it for a channel, currency and bill date%s", budget,
               job->biz_type || job->channel_code[0] ? ", in a book over all its days" : "");
    }
    printf("%s\n  %-10s", is_set(&match->amount_tolerance) || is_set(&match->fee_tolerance) ? "" : "none",
           "window");
    if (match->window_before < 0)
        printf("none\n");
    else
        printf("the channel's bill date may lie %d day%s before to %d day%s after the local one\n",
               match->window_before, match->window_before == 1 ? "" : "s", match->window_after,
               match->window_after == 1 ? "" : "s");
    print_fees(job);
    print_sets(job);
}

static void print_job(const struct job *job)
{
    put(job->path);
    printf(": ok\n  %-10s", "job");
    put(job->name);
    if (job->channel_code[0]) {
        printf(", channel ");
        put(job->channel_code);
    }
    printf("; days in %s, cut at %02d:%02d", job->timezone, job->cut_minutes / 60, job->cut_minutes % 60);
    if (job->currency != CURRENCY_NONE)
        printf("; %s where a row names no currency", currency_code(job->currency));
    putchar('\n');
    for (int side = 0; side < SIDES; side++)
        print_source(job, (enum side)side);
    print_match(job);
    if (job->suspense_threshold[LOCAL] || job->suspense_threshold[CHANNEL])
        printf("  %-10sfinal at age %d (local), %d (channel)\n", "suspense", job->suspense_threshold[LOCAL],
               job->suspense_threshold[CHANNEL]);
    else
        printf("  %-10snone: what has no partner is final at once\n", "suspense");
    printf("  %-10s", "output");
    put(job->out_dir);
    putchar('/');
    put(job->name);
    printf("/DATE/%s\n", job->write_match ? ", with match.csv" : "");
}

int cmd_check(const struct options *options)
{
    struct diag diag = {0};
    struct job *job = NULL;
    enum err err = job_load(&job, options->arguments[0], &diag);
    if (err == OK)
        err = check_folders(job, &diag);
    if (err == OK)
        print_job(job);
    else
        diag_print(&diag, stderr);
    job_close(job);
    return (int)err;
}
