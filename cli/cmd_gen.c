/* cli/cmd_gen.c: tieout gen: makes a day and its right answer (fixtures/gen.h). */
#include "cli/cmd.h"
#include "core/base/check.h"
#include "fixtures/gen.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct progress {
    uint64_t started_ms, shown_ms;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t per_second(uint64_t count, uint64_t ms)
{
    return count * 1000 / (ms ? ms : 1);
}

static void show_progress(void *context, uint64_t rows, uint64_t rows_expected)
{
    struct progress *progress = context;
    uint64_t now = now_ms();
    if (now - progress->shown_ms < 200 || !rows)
        return;
    progress->shown_ms = now;
    uint64_t rate = per_second(rows, now - progress->started_ms);
    uint64_t left = rows < rows_expected && rate ? (rows_expected - rows) / rate : 0;
    fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " rows, %" PRIu64 " rows/s, %" PRIu64 " s left\033[K", rows,
            rows_expected, rate, left);
}

static void set_share(struct gen_request *request, enum gen_fault fault, const struct option_share *share)
{
    if (share->text)
        request->faults[fault] = (struct gen_share){.count = share->count, .ppm = share->ppm};
}

static uint64_t sum_count(const struct gen_sum *sum)
{
    uint64_t count = 0;
    for (int i = 0; i < GEN_CURRENCIES; i++)
        count += sum->count[i];
    return count;
}

static void show_result(const struct gen_request *request, const struct gen_truth *truth, uint64_t ms)
{
    static const char *const names[SIDES] = {"local.csv", "channel.csv"};
    for (int side = 0; side < SIDES; side++)
        fprintf(stderr, "%s/%s: %" PRIu64 " rows, %" PRIu64 " bytes\n", request->directory, names[side],
                truth->rows[side], truth->bytes[side]);
    fprintf(stderr, "%s/truth.json: what diff must find:", request->directory);
    for (int id = 0; id < CLASSES; id++) {
        uint64_t local = sum_count(&truth->sums[id][LOCAL]), channel = sum_count(&truth->sums[id][CHANNEL]);
        if (local + channel)
            fprintf(stderr, " %s %" PRIu64 "/%" PRIu64, class_name((enum class_id)id), local, channel);
    }
    uint64_t rejects = truth->rejects[LOCAL] + truth->rejects[CHANNEL];
    if (rejects)
        fprintf(stderr, " reject %" PRIu64 "/%" PRIu64, truth->rejects[LOCAL], truth->rejects[CHANNEL]);
    uint64_t rows = truth->rows[LOCAL] + truth->rows[CHANNEL];
    fprintf(stderr, "\n%" PRIu64 ".%03" PRIu64 " s, %" PRIu64 " rows/s\n", ms / 1000, ms % 1000,
            per_second(rows, ms));
    char allowed[64] = "";
    if (rejects) {
        uint64_t most =
            truth->rejects[LOCAL] > truth->rejects[CHANNEL] ? truth->rejects[LOCAL] : truth->rejects[CHANNEL];
        snprintf(allowed, sizeof allowed, " --max-rejects=%" PRIu64, most);
    }
    fprintf(stderr,
            "next: tieout diff %s/local.csv %s/channel.csv --key=channel_code,biz_order_no --amount=amount "
            "--compare=status%s --out=%s/out\n",
            request->directory, request->directory, allowed, request->directory);
}

int cmd_gen(const struct options *options)
{
    const struct option_share *shares[GEN_FAULTS] = {[GEN_AMOUNT] = &options->amount_breaks,
                                                     [GEN_STATUS] = &options->status_breaks,
                                                     [GEN_CURRENCY] = &options->currency_breaks,
                                                     [GEN_DIRECTION] = &options->direction_breaks,
                                                     [GEN_MISSING] = &options->missing,
                                                     [GEN_EXTRA] = &options->extra,
                                                     [GEN_DOUBLE] = &options->doubles,
                                                     [GEN_LOCAL_DOUBLE] = &options->local_doubles,
                                                     [GEN_AMBIGUOUS] = &options->ambiguous,
                                                     [GEN_CONFLICT] = &options->conflicts,
                                                     [GEN_EXCLUDED] = &options->excluded,
                                                     [GEN_DAY_CUT] = &options->day_cut,
                                                     [GEN_REJECT] = &options->rejects};
    struct gen_request request;
    gen_request_init(&request);
    request.rows = options->rows;
    request.seed = options->seed;
    request.order = strcmp(options->order, "shuffled") == 0 ? GEN_SHUFFLED : GEN_TIME;
    request.directory = options->out;
    if (options->date)
        request.day = options->date;
    for (int i = 0; i < GEN_FAULTS; i++) {
        CHECK2(shares[i] != NULL, i, GEN_FAULTS); /* a fault without an option */
        set_share(&request, (enum gen_fault)i, shares[i]);
    }

    struct progress progress = {.started_ms = now_ms()};
    int is_terminal = isatty(STDERR_FILENO);
    if (is_terminal) {
        request.progress = show_progress;
        request.progress_context = &progress;
    }
    struct gen_truth truth;
    struct diag diag = {0};
    enum err err = gen_write(&request, &truth, &diag);
    if (is_terminal)
        fputs("\r\033[K", stderr);
    if (err == OK)
        show_result(&request, &truth, now_ms() - progress.started_ms);
    else
        diag_print(&diag, stderr);
    return (int)err;
}
