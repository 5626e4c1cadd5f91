/* cli/log_changes.c: see log_changes.h */
#include "cli/log_changes.h"
#include "core/base/mem.h"
#include "core/model/log_begin.h"
#include "io/store/alarm.h"
#include "io/store/generation.h"
#include "io/store/log_book.h"
#include <stdio.h>
#include <string.h>

/* What was told, and what is, of one bill date. */
struct two {
    struct log_sums then, now;
};

enum compared {
    COMPARED_NOT, /* the log begins before where it began: what is more than it was is older, not later */
    COMPARED_MORE, /* records of earlier days may be gone, or be other ones; only that there are more is told */
    COMPARED_ALL,  /* the log was read from the same place by the same rules */
    COMPARED_STEPS /* a log of a file a day: change by change, from where the task before had read to */
};

static const char not_kept[] = "what is not known";

static enum compared may_compare(const struct log_changes *c, int side, const char *then, const char *now)
{
    const char *name = side_name((enum side)side);
    struct span is, was;
    const int order = log_begin_order(now, then, &is, &was);
    if (!*now)
        return COMPARED_MORE;
    if (order != 0)
        fprintf(stderr,
                "note: task %s: the %s log begins with %.*s, and began with %.*s when %s was done: what was "
                "changed, deleted or moved of earlier days in between cannot be told%s\n",
                c->task->name, name, (int)is.size, is.data, was.size ? (int)was.size : (int)strlen(not_kept),
                was.size ? was.data : not_kept, c->before->name,
                order > 0 ? ", and what came only where there is more than was" : ", nor what came");
    else if (!c->same_rules)
        fprintf(
            stderr,
            "note: task %s: the job file is not the one by which %s was done: what the %s log changed, "
            "deleted or moved of earlier days in between cannot be told, and what came only where there is "
            "more than was\n",
            c->task->name, c->before->name, name);
    return order < 0 ? COMPARED_NOT : order > 0 || !c->same_rules ? COMPARED_MORE : COMPARED_ALL;
}

/* The same from what changes did: `two` becomes what the records that were changed were, and what they are. */
static int stepped(const struct log_changes *c, int side, int back, struct two *two)
{
    const struct log_days *d = c->outcome->result->log_days;
    const struct log_steps *steps = c->outcome->log_steps[side];
    const int at = LOG_DAYS - 1 - back;
    *two = (struct two){steps->was[at], steps->is[at]};
    log_sums_merge(&two->now, &d->is[side][back], -1);
    log_sums_merge(&two->then, &d->was[side][back], -1);
    log_sums_merge(&two->then, &d->timeless[side][back], 1); /* the log knew nothing of their bill date */
    /* By another job file what was carried may be told otherwise. */
    return c->same_rules ? !log_sums_equal(&two->now, &two->then) : two->now.records != two->then.records;
}

/* 0: nothing changed that is not the task's own. Fills `two` with what is compared. */
static int changed(const struct run_result *r, int side, int back, const struct log_sums *before,
                   enum compared compared, struct two *two)
{
    const struct log_days *d = r->log_days;
    const struct log_sums *told = &d->told[side][back];
    *two = (struct two){*before, *told};
    if (compared != COMPARED_ALL)
        return compared == COMPARED_MORE && told->records > before->records;
    if (log_sums_equal(told, before))
        return 0;
    log_sums_merge(&two->now, &d->is[side][back], -1);
    /* A carried record whose first image had gone with the log's beginning, and which was changed now. */
    if (log_sums_equal(&two->now, before))
        return 0;
    log_sums_merge(&two->then, &d->was[side][back], -1);
    return !log_sums_equal(&two->now, &two->then);
}

/* As outputs name the row: of one of several logs, with the log's name. */
static void put_name(const struct log_changes *c, int side, struct text *t, const struct two *two)
{
    char name[LOG_NAME_MAX + 1];
    unsigned log;
    const size_t size = log_sums_name(&two->then, &two->now, c->seed, name, &log);
    const char *of = c->job->part_count[side] > 1 && (int)log < c->job->part_count[side]
                         ? c->job->parts[side][log].log_name
                         : NULL;
    for (size_t i = 0; i < size; i++)
        if ((uint8_t)name[i] < 0x20 || (uint8_t)name[i] > 0x7E)
            name[i] = '?';
    if (size)
        text_format(t, " (primary key %s%s%s)", of ? of : "", of ? "|" : "", name);
}

/* Do they differ by one record that is there or not? Its print is in two sums, and times its key's hash in a third. */
static int is_one(const struct two *two)
{
    const struct log_sums *then = &two->then, *now = &two->now;
    return (now->prints - then->prints) * (now->ids - then->ids) ==
           now->weighted[LOG_NAME_LANES] - then->weighted[LOG_NAME_LANES];
}

/* What became of the day's records, in a few words. Sums tell how many more or fewer there are, and how many were deleted; where it is not one
 * record alone, others may have changed beside it. */
static void put_kinds(const struct log_changes *c, int side, struct text *t, const struct two *two)
{
    const int64_t more = (int64_t)(two->now.records - two->then.records),
                  counted = (int64_t)(two->now.deleted - two->then.deleted),
                  deleted = counted > 0 ? counted : 0, came = more + deleted;
    const int single = is_one(two) && (more == 1 || (more == -1 && deleted <= 1));
    if (more == 0 && two->now.ids == two->then.ids) {
        text_words(t, "records changed (amount, status, number or what else is compared)");
        put_name(c, side, t, two);
        return;
    }
    if (more == 0) {
        text_words(t, "as many records came as were deleted or moved to another bill date");
        if (deleted)
            text_format(t, " (%lld deleted)", (long long)deleted);
    } else {
        if (came > 0 && !(single && more < 0))
            text_format(t, "%lld came later and are in no result", (long long)came);
        if (deleted && !(single && more > 0))
            text_format(t, "%s%lld deleted", came > 0 ? ", " : "", (long long)deleted);
        if (came < 0)
            text_format(t, "%s%lld moved to another bill date, or no payment any more", deleted ? ", " : "",
                        (long long)-came);
        put_name(c, side, t, two);
    }
    if (!single)
        text_words(t, ", and others may have changed as well");
    if (came < 0)
        text_words(t, "; a match that moved to a later day is counted there once more");
}

static const char more_files[] =
    "let `files:` name that day's log and this one's (a * in place of {date} reads them all), and ";

static enum err raise_changed(const struct log_changes *c, const char *name, struct text *text,
                              struct text *days, struct diag *diag)
{
    text_put(text, "", 1);
    text_format(days, "%s%s", days->size ? ", " : "", name);
    enum err err = text->failed || days->failed ? mem_fail(diag, text->size, "an alarm") : OK;
    if (err == OK) {
        text_make_plain(text->data); /* primary keys are in it */
        fprintf(stderr, "warning: task %s: %s\n", name, text->data);
        const struct alarm alarm = {
            .grade = ALARM_CRITICAL, .kind = "book.changed", .subject = name, .text = text->data};
        err = alarm_raise(c->db, &alarm, c->now, diag);
    }
    text_fini(text);
    return err;
}

static enum err tell(const struct log_changes *c, int side, int back, enum compared compared,
                     const struct two *two, struct text *days, struct diag *diag)
{
    uint64_t then = 0;
    char name[TASK_NAME_MAX];
    const int found = log_day_find(c->db, c->task, (uint16_t)(c->task->day - back), side, &then, name, diag);
    if (found <= 0)
        return found < 0 ? diag->err : OK;
    struct text text = {0};
    text_format(&text, "the %s log tells this bill date otherwise than when %s was done: ",
                side_name((enum side)side), c->before->name);
    put_kinds(c, side, &text, two);
    text_words(&text, "; its results stand as they were; ");
    if (compared == COMPARED_STEPS)
        text_words(&text, more_files);
    text_format(&text, "do it again: tieout task rerun %s --cascade", name);
    return raise_changed(c, name, &text, days, diag);
}

/* A day's own log lacks records that the log of a day before told of it, and so do that day's files, if they were still there to be read once
 * more. They are in no result. */
static enum err tell_ahead(const struct log_changes *c, int side, const struct log_sums *sums,
                           struct text *days, struct diag *diag)
{
    static const struct log_sums none;
    struct text text = {0};
    const struct two two = {none, *sums};
    text_format(&text,
                "the %s log of a day before told records of this bill date, and %s not hold "
                "them: %lld are in no result",
                side_name((enum side)side),
                c->outcome->log_steps[side]->reads_again ? "as they are now its files do"
                                                         : "its files are gone; this day's own log does",
                (long long)sums->records);
    put_name(c, side, &text, &two);
    text_format(&text, "; %sdo it again: tieout task rerun %s --cascade", more_files, c->task->name);
    return raise_changed(c, c->task->name, &text, days, diag);
}

/* How many records of the task's own day the side has. */
static uint64_t own_records(const struct run_result *r, int side, uint16_t day)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < r->in.room; i++) {
        const struct tally_row *row = &r->in.rows[i];
        if (row->key && (int)tally_side(row->key) == side && tally_day(row->key) == day)
            count += row->count;
    }
    return count;
}

/* What is known of bill dates to come. */
static void add_ahead(const struct log_steps *steps, struct log_sums ahead[LOG_AHEAD + 1])
{
    for (int day = 1; day <= LOG_AHEAD; day++) {
        log_sums_merge(&ahead[day], &steps->is[LOG_DAYS - 1 + day], 1);
        log_sums_merge(&ahead[day], &steps->was[LOG_DAYS - 1 + day], -1);
    }
}

static enum err commit_side(const struct log_changes *c, int side, struct log_sums before[LOG_DAYS],
                            struct log_sums ahead[LOG_AHEAD + 1], struct text *days, struct diag *diag)
{
    const struct run_result *r = c->outcome->result;
    const struct log_steps *steps = c->outcome->log_steps[side];
    const char *begin = c->outcome->log_begin[side] ? c->outcome->log_begin[side] : "";
    char begin_then[LOG_BEGIN_MAX];
    memset(ahead, 0, (LOG_AHEAD + 1) * sizeof *ahead);
    const int found =
        c->before->id ? log_book_read(c->db, c->before, c->task->day, side, begin_then, before, ahead, diag)
                      : 0;
    if (found < 0)
        return diag->err;
    const enum compared compared = found && steps && steps->has_place ? COMPARED_STEPS
                                   : found ? may_compare(c, side, begin_then, begin)
                                           : COMPARED_NOT;
    enum err err =
        log_day_add(c->db, c->task->id, c->task->wanted, side, own_records(r, side, c->task->day), diag);
    for (int back = 1; compared != COMPARED_NOT && err == OK && back < LOG_DAYS && back < c->task->day;
         back++) {
        struct two two;
        if (compared == COMPARED_STEPS ? stepped(c, side, back, &two)
                                       : changed(r, side, back, &before[back], compared, &two))
            err = tell(c, side, back, compared, &two, days, diag);
    }
    if (err == OK && found && steps && (steps->reads_again || !steps->overlaps)) {
        struct log_sums lost = ahead[0];
        log_sums_merge(&lost, &steps->held_is, -1);
        log_sums_merge(&lost, &steps->held_was, 1);
        if (c->same_rules ? !log_sums_is_none(&lost) : lost.records != 0)
            err = tell_ahead(c, side, &lost, days, diag);
    }
    if (!steps)
        memset(ahead, 0, (LOG_AHEAD + 1) * sizeof *ahead);
    else
        add_ahead(steps, ahead);
    if (err == OK)
        err = log_book_add(c->db, c->task, side, begin, r->log_days->told[side], ahead, diag);
    const struct text *tables = &c->outcome->log_tables[side];
    return err == OK ? log_tables_add(c->db, c->task, side, (struct span){tables->data, tables->size}, diag)
                     : err;
}

enum err log_changes_commit(const struct log_changes *c, struct text *days, struct diag *diag)
{
    struct log_sums *before = mem_take_zero(LOG_DAYS + LOG_AHEAD + 1, sizeof *before);
    if (!before)
        return mem_fail(diag, (LOG_DAYS + LOG_AHEAD + 1) * sizeof *before, "what a log told");
    enum err err = alarm_clear(c->db, "book.changed", c->task->name, c->now, diag);
    for (int side = 0; err == OK && side < SIDES; side++)
        if (source_tells_images(c->job->sources[side].kind))
            err = commit_side(c, side, before, before + LOG_DAYS, days, diag);
    mem_give(before);
    return err;
}
