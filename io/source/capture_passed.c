/* io/source/capture_passed.c: whether a bill date is captured to its end; see capture.h
 *
 * It is when a transaction was captured that was committed behind the day's cut, or when the server said behind it that it had no more.
 */
#include "core/base/mem.h"
#include "core/model/day.h"
#include "io/source/capture.h"
#include "io/source/segments.h"
#include <string.h>
#include <time.h>

enum { NOON_MINUTES = 720, DAY_MINUTES = 1440 };

/* Epoch microseconds of the first moment behind the day. */
static enum err end_of_day(int64_t *out, const struct job *job, uint16_t day, struct diag *diag)
{
    struct zone *zone;
    enum err err = day_zone_open(&zone, job->timezone, diag);
    if (err != OK)
        return err;
    const int shift = job->cut_minutes >= NOON_MINUTES ? DAY_MINUTES - job->cut_minutes : -job->cut_minutes;
    const int64_t minutes = ((int64_t)day - DAY_BASE + 1) * DAY_MINUTES - shift;
    *out = day_wall_to_epoch(zone, minutes * 60000000);
    day_zone_close(zone);
    return OK;
}

static void print_moment(char out[32], int64_t us)
{
    const time_t at = (time_t)(us / 1000000);
    struct tm utc;
    if (us <= 0 || !gmtime_r(&at, &utc) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc))
        snprintf(out, 32, "no moment that is known");
}

enum err capture_passed(const struct job *job, uint16_t day, struct diag *diag)
{
    char directory[4096], date[DAY_TEXT_MAX], to[32], end[32], why[700] = "";
    struct capture_status status;
    struct diag found = {0};
    int64_t end_us;
    enum err err = segments_directory(directory, sizeof directory, job, LOCAL, diag);
    if (err == OK)
        err = end_of_day(&end_us, job, day, diag);
    if (err != OK)
        return err;
    err = capture_status_read(&status, directory, &found);
    const int is_none = err == ERR_INPUT && strcmp(found.code, "capture.none") == 0;
    if (err != OK && !is_none) {
        *diag = found;
        return err;
    }
    const int64_t commit_us = status.counts.commit_time * 1000000;
    const int64_t to_us = status.complete_us > commit_us ? status.complete_us : commit_us;
    const int stopped = !status.running || status.said[0];
    mem_give(status.gtids);
    if (!is_none && to_us >= end_us)
        return OK;
    if (is_none)
        return diag_set(diag, ERR_PEER, "capture.stopped", found.hint, "%s", found.what);
    day_print(date, day);
    print_moment(to, to_us);
    print_moment(end, end_us);
    if (status.said[0])
        snprintf(why, sizeof why, "; it is in trouble: %s", status.said);
    else if (!status.running)
        snprintf(why, sizeof why, "; no process is at it");
    return diag_set(
        diag, ERR_PEER, stopped ? "capture.stopped" : "capture.behind",
        stopped ? "see tieout capture JOB.yaml --status; with --catch-up it goes on to where the "
                  "server is now. A day that is not over: tieout run --early"
                : "wait for it, or for the day's end; to see how a day stands before: tieout run --early",
        "%s: captured to %s, and bill date %s ends at %s: its last rows may not be here%s", directory, to,
        date, end, why);
}
