/* io/store/handling.c: see handling.h */
#include "io/store/handling.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include <stdio.h>
#include <string.h>

const char handling_schema[] =
    "CREATE TABLE action (no INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, what TEXT NOT "
    "NULL,\n"
    "  error_id TEXT NOT NULL, reason TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL);\n"
    "CREATE INDEX action_of ON action (error_id, no);\n"
    "CREATE TRIGGER action_stays BEFORE UPDATE ON action BEGIN SELECT RAISE(ABORT, 'the audit log is only "
    "added to'); END;\n"
    "CREATE TRIGGER action_is_kept BEFORE DELETE ON action BEGIN SELECT RAISE(ABORT, 'the audit log is only "
    "added to'); END;\n"
    "CREATE TABLE force_pair (no INTEGER PRIMARY KEY, queue TEXT NOT NULL, local_id TEXT NOT NULL, "
    "channel_id TEXT NOT NULL,\n"
    "  actor TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, difference_micro INTEGER NOT NULL,\n"
    "  used_by TEXT NOT NULL DEFAULT '', broken_by TEXT NOT NULL DEFAULT '', undone_by TEXT NOT NULL DEFAULT "
    "'');\n"
    "CREATE INDEX force_pair_queue ON force_pair (queue, no);\n"
    "CREATE INDEX force_pair_local ON force_pair (local_id);\n"
    "CREATE INDEX force_pair_channel ON force_pair (channel_id);\n";

static const char *const ACTIONS[HANDLE_ACTIONS] = {"claim",  "resolve", "void",
                                                    "reopen", "note",    "force-match"};

enum handle_action handle_action_find(const char *name)
{
    for (int i = 0; i < HANDLE_ACTIONS; i++)
        if (strcmp(name, ACTIONS[i]) == 0)
            return (enum handle_action)i;
    return HANDLE_ACTIONS;
}

const char *handle_action_name(enum handle_action action)
{
    return ACTIONS[action];
}

/* An order as it stands, in room of its own. */
struct standing {
    char id[ERROR_ID_TEXT], status[40], assignee[200], class_name[20], queue[400], kind[20], currency[8];
    int visible;
    int64_t no, amount_micro, reversals;
};

static enum err finish(struct sqlite_statement *s, struct diag *diag)
{
    enum err err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
    sqlite_finish(s);
    return err;
}

/* HANDLED: found. */
static enum err find(struct sqlite *db, const char *id, struct standing *o, enum handle_end *end,
                     char why[HANDLE_WHY], struct diag *diag)
{
    struct sqlite_statement *s;
    size_t size = strlen(id);
    *end = HANDLE_UNKNOWN;
    if (size < 8 || size > 64 || strspn(id, "0123456789abcdef") != size) {
        snprintf(why, HANDLE_WHY, "\"%.80s\" is no id: 8 to 64 of the digits 0-9 a-f", id);
        return OK;
    }
    enum err err = sqlite_prepare(&s, db,
                                  "SELECT id, node_status, assignee, class, queue, visible, no, kind, "
                                  "currency, amount_micro, reversals FROM error_order\n"
                                  "  WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2",
                                  diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, id);
    enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE) {
        snprintf(o->id, sizeof o->id, "%s", sqlite_text(s, 0));
        snprintf(o->status, sizeof o->status, "%s", sqlite_text(s, 1));
        snprintf(o->assignee, sizeof o->assignee, "%s", sqlite_text(s, 2));
        snprintf(o->class_name, sizeof o->class_name, "%s", sqlite_text(s, 3));
        snprintf(o->queue, sizeof o->queue, "%s", sqlite_text(s, 4));
        o->visible = (int)sqlite_int(s, 5);
        o->no = sqlite_int(s, 6);
        snprintf(o->kind, sizeof o->kind, "%s", sqlite_text(s, 7));
        snprintf(o->currency, sizeof o->currency, "%s", sqlite_text(s, 8));
        o->amount_micro = sqlite_int(s, 9);
        o->reversals = sqlite_int(s, 10);
        step = sqlite_step(s, diag);
        if (step == STEP_DONE)
            *end = HANDLED;
        else if (step == STEP_MORE)
            snprintf(why, HANDLE_WHY, "several errors begin with %s; give more of the id", id);
    } else if (step == STEP_DONE) {
        snprintf(why, HANDLE_WHY, "there is no error %s", id);
    }
    err = diag->err;
    sqlite_finish(s);
    return err;
}

static int is_open(const struct standing *o)
{
    return strcmp(o->status, "open") == 0 || strcmp(o->status, "checking") == 0 ||
           strcmp(o->status, "claimed") == 0;
}

static void describe(char out[260], const char *status, const char *assignee)
{
    snprintf(out, 260, "%s%s%.180s", status, assignee[0] ? " by " : "", assignee);
}

static enum err write_action(struct sqlite *db, const char *what, const char *id, const struct handling *h,
                             const char *before, const char *after, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(&s, db,
                                  "INSERT INTO action (at, actor, what, error_id, reason, before, after) "
                                  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                                  diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, h->now_s);
    const char *const texts[] = {h->actor, what, id, h->reason ? h->reason : "", before, after};
    for (int i = 0; i < 6; i++)
        sqlite_bind_text(s, 2 + i, texts[i]);
    return finish(s, diag);
}

/* The status, whose it is, and the audit log. One that is closed before anybody was told is never told. */
static enum err move(struct sqlite *db, const struct standing *o, const char *what, const char *status,
                     const char *assignee, const struct handling *h, struct diag *diag)
{
    struct sqlite_statement *s;
    char before[260], after[260];
    enum err err =
        sqlite_prepare(&s, db,
                       "UPDATE error_order SET node_status = ?2, assignee = ?3, changed_at = ?4, visible =\n"
                       "  CASE WHEN ?2 IN ('resolved', 'void', 'force_matched') AND visible < 2 THEN 3\n"
                       "  WHEN ?2 = 'open' AND visible = 3 THEN 1 ELSE visible END WHERE no = ?1",
                       diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, o->no);
    sqlite_bind_text(s, 2, status);
    sqlite_bind_text(s, 3, assignee);
    sqlite_bind_int(s, 4, h->now_s);
    err = finish(s, diag);
    describe(before, o->status, o->assignee);
    describe(after, status, assignee);
    if (err == OK)
        err = write_action(db, what, o->id, h, before, after, diag);
    if (err == OK && strcmp(status, "claimed") != 0)
        err = error_order_tell_change(db, o->no, h->actor, h->reason ? h->reason : "", h->now_s, diag);
    return err;
}

/* What a sheet or a command saw when it was decided must be so still. */
static int is_as_expected(const struct standing *o, const struct handling *h, char why[HANDLE_WHY])
{
    char now[260];
    if ((!h->expected || strcmp(h->expected, o->status) == 0) &&
        (!h->expected_assignee || strcmp(h->expected_assignee, o->assignee) == 0))
        return 1;
    describe(now, o->status, o->assignee);
    snprintf(why, HANDLE_WHY, "it was %.40s, and is %.200s meanwhile",
             h->expected ? h->expected : h->expected_assignee, now);
    return 0;
}

static enum err undo_pair(struct sqlite *db, const struct standing *o, const struct handling *h,
                          enum handle_end *end, char why[HANDLE_WHY], struct diag *diag);

enum err handle(struct sqlite *db, enum handle_action action, const char *id, const struct handling *h,
                enum handle_end *end, char why[HANDLE_WHY], struct diag *diag)
{
    struct standing o;
    why[0] = 0;
    enum err err = find(db, id, &o, end, why, diag);
    if (err != OK || *end != HANDLED)
        return err;
    *end = HANDLE_CONFLICT;
    if (!is_as_expected(&o, h, why))
        return OK;
    if (strcmp(o.kind, "reversal") == 0 && action != HANDLE_NOTE) {
        snprintf(why, HANDLE_WHY, "it only says that another error is no more");
        return OK;
    }
    const char *status = NULL, *assignee = o.assignee;
    switch (action) {
    case HANDLE_CLAIM:
        if (strcmp(o.status, "claimed") == 0 && strcmp(o.assignee, h->actor) == 0) {
            *end = HANDLE_SAME;
            return OK;
        }
        if (strcmp(o.status, "open") == 0 || strcmp(o.status, "checking") == 0) {
            status = "claimed";
            assignee = h->actor;
        }
        break;
    case HANDLE_RESOLVE:
    case HANDLE_VOID: {
        const char *wanted = action == HANDLE_RESOLVE ? "resolved" : "void";
        if (strcmp(o.status, wanted) == 0) {
            *end = HANDLE_SAME;
            return OK;
        }
        status = is_open(&o) ? wanted : NULL;
        break;
    }
    case HANDLE_REOPEN:
        if (strcmp(o.status, "force_matched") == 0)
            return undo_pair(db, &o, h, end, why, diag);
        if (strcmp(o.status, "open") == 0) {
            *end = HANDLE_SAME;
            return OK;
        }
        if (strcmp(o.status, "claimed") == 0 || strcmp(o.status, "resolved") == 0 ||
            strcmp(o.status, "void") == 0) {
            status = "open";
            assignee = "";
        }
        break;
    case HANDLE_NOTE: {
        char as[260];
        describe(as, o.status, o.assignee);
        *end = HANDLED;
        return write_action(db, ACTIONS[action], o.id, h, as, as, diag);
    }
    case HANDLE_MATCH:
    case HANDLE_ACTIONS:
        break;
    }
    if (!status) {
        char now[260];
        describe(now, o.status, o.assignee);
        snprintf(why, HANDLE_WHY, "it is %s; %s is not possible from there", now, ACTIONS[action]);
        return OK;
    }
    *end = HANDLED;
    return move(db, &o, ACTIONS[action], status, assignee, h, diag);
}

enum err handle_match(struct sqlite *db, const char *id, const char *partner, const struct handling *h,
                      int64_t accept, enum handle_end *end, char why[HANDLE_WHY], struct diag *diag)
{
    struct standing o[2];
    why[0] = 0;
    enum err err = find(db, id, &o[0], end, why, diag);
    if (err == OK && *end == HANDLED)
        err = find(db, partner, &o[1], end, why, diag);
    if (err != OK || *end != HANDLED)
        return err;
    *end = HANDLE_CONFLICT;
    int64_t difference = 0;
    const struct standing *local = strcmp(o[0].class_name, "missing") == 0 ? &o[0] : &o[1],
                          *channel = local == &o[0] ? &o[1] : &o[0];
    if (!is_as_expected(&o[0], h, why))
        return OK;
    if (strcmp(local->class_name, "missing") != 0 || strcmp(channel->class_name, "extra") != 0 ||
        strcmp(local->kind, "verdict") != 0 || strcmp(channel->kind, "verdict") != 0)
        snprintf(why, HANDLE_WHY, "one must be missing and the other extra; they are %s and %s",
                 o[0].class_name, o[1].class_name);
    else if (!is_open(local) || !is_open(channel))
        snprintf(why, HANDLE_WHY, "both must be open; they are %s and %s", o[0].status, o[1].status);
    else if (strcmp(local->queue, channel->queue) != 0)
        snprintf(why, HANDLE_WHY, "they are of different queues: %.120s and %.120s", o[0].queue, o[1].queue);
    else if (strcmp(local->currency, channel->currency) != 0)
        snprintf(why, HANDLE_WHY, "they have different currencies: %s and %s", o[0].currency, o[1].currency);
    else if ((local->amount_micro < 0) != (channel->amount_micro < 0))
        snprintf(why, HANDLE_WHY, "one of them is IN and the other OUT");
    else if (__builtin_sub_overflow(channel->amount_micro, local->amount_micro, &difference) ||
             difference != accept) { /* closed as one, the difference would be on no list */
        char amounts[3][MONEY_TEXT_MAX];
        const int exponent = currency_exponent(currency_find(local->currency, strlen(local->currency)));
        money_print(amounts[0], local->amount_micro, exponent);
        money_print(amounts[1], channel->amount_micro, exponent);
        money_print(amounts[2], (money_total)channel->amount_micro - local->amount_micro, exponent);
        if (accept)
            snprintf(why, HANDLE_WHY, "their difference is %s, channel %s less local %s %s", amounts[2],
                     amounts[1], amounts[0], local->currency);
        else
            snprintf(why, HANDLE_WHY,
                     "their amounts differ: %s local, %s channel %s; resolve each with its own reason, or "
                     "--accept-difference=%s",
                     amounts[0], amounts[1], local->currency, amounts[2]);
    }
    if (why[0])
        return OK;
    struct sqlite_statement *s;
    err = sqlite_prepare(&s, db,
                         "INSERT INTO force_pair (queue, local_id, channel_id, actor, reason, at, "
                         "difference_micro) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                         diag);
    if (err != OK)
        return err;
    const char *const texts[] = {local->queue, local->id, channel->id, h->actor, h->reason};
    for (int i = 0; i < 5; i++)
        sqlite_bind_text(s, 1 + i, texts[i]);
    sqlite_bind_int(s, 6, h->now_s);
    sqlite_bind_int(s, 7, difference);
    err = finish(s, diag);
    for (int i = 0; err == OK && i < 2; i++) {
        char what[160], money[MONEY_TEXT_MAX];
        money_print(money, difference,
                    currency_exponent(currency_find(local->currency, strlen(local->currency))));
        snprintf(what, sizeof what, "%s with %.64s%s%s", ACTIONS[HANDLE_MATCH], o[1 - i].id,
                 difference ? ", difference accepted: " : "", difference ? money : "");
        err = move(db, &o[i], what, "force_matched", o[i].assignee, h, diag);
    }
    *end = HANDLED;
    return err;
}

enum err handling_each(struct sqlite *db, const char *id, action_fn *each, void *context, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db,
        id ? "SELECT at, actor, what, error_id, reason, before, after FROM action WHERE error_id = ?1\n"
             "  ORDER BY no"
           : "SELECT at, actor, what, error_id, reason, before, after FROM action ORDER BY no",
        diag);
    enum step step = STEP_DONE;
    if (err != OK)
        return err;
    if (id)
        sqlite_bind_text(s, 1, id);
    while (err == OK && (step = sqlite_step(s, diag)) == STEP_MORE) {
        struct action action = {.at = sqlite_int(s, 0),
                                .actor = sqlite_text(s, 1),
                                .what = sqlite_text(s, 2),
                                .id = sqlite_text(s, 3),
                                .reason = sqlite_text(s, 4),
                                .before = sqlite_text(s, 5),
                                .after = sqlite_text(s, 6)};
        err = each(context, &action, diag);
    }
    if (err == OK && step == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

/* ---- pairs made by hand ---- */

enum err force_pair_each(struct sqlite *db, const char *queue, force_pair_fn *each, void *context,
                         struct diag *diag)
{
    struct sqlite_statement *s;
    enum step step = STEP_DONE;
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT p.no, p.difference_micro, p.used_by, p.broken_by, l.id, l.task, "
        "l.biz_order_no, lt.bill_date,\n"
        "  c.id, c.task, c.biz_order_no, ct.bill_date, EXISTS (SELECT 1 FROM force_pair n WHERE n.no > p.no\n"
        "  AND (n.local_id = p.local_id OR n.channel_id = p.channel_id)), ut.bill_date, p.undone_by <> '' "
        "FROM force_pair p "
        "JOIN error_order l ON "
        "l.id = p.local_id\n"
        "  JOIN error_order c ON c.id = p.channel_id LEFT JOIN task lt ON lt.name = l.task\n"
        "  LEFT JOIN task ct ON ct.name = c.task LEFT JOIN task ut ON ut.name = p.used_by\n"
        "  WHERE p.queue = ?1 ORDER BY p.no",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, queue);
    while (err == OK && (step = sqlite_step(s, diag)) == STEP_MORE) {
        struct force_pair pair = {.no = sqlite_int(s, 0),
                                  .difference_micro = sqlite_int(s, 1),
                                  .is_replaced = (int)sqlite_int(s, 12),
                                  .is_undone = (int)sqlite_int(s, 14)};
        snprintf(pair.used_by, sizeof pair.used_by, "%s", sqlite_text(s, 2));
        snprintf(pair.broken_by, sizeof pair.broken_by, "%s", sqlite_text(s, 3));
        const char *used_day = sqlite_text(s, 13);
        pair.used_day = day_parse(used_day, strlen(used_day));
        for (int side = 0; side < SIDES; side++) {
            struct force_side *f = &pair.side[side];
            snprintf(f->id, sizeof f->id, "%s", sqlite_text(s, 4 + 4 * side));
            snprintf(f->task, sizeof f->task, "%s", sqlite_text(s, 5 + 4 * side));
            snprintf(f->biz_order_no, sizeof f->biz_order_no, "%s", sqlite_text(s, 6 + 4 * side));
            const char *day = sqlite_text(s, 7 + 4 * side);
            f->day = day_parse(day, strlen(day));
        }
        err = each(context, &pair, diag);
    }
    if (err == OK && step == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

enum err force_pair_mark(struct sqlite *db, const struct force_pair *pair, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err =
        sqlite_prepare(&s, db, "UPDATE force_pair SET used_by = ?2, broken_by = ?3 WHERE no = ?1", diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, pair->no);
    sqlite_bind_text(s, 2, pair->used_by);
    sqlite_bind_text(s, 3, pair->broken_by);
    return finish(s, diag);
}

/* 1: the last that the audit log says of the order is that it was force_matched; 0: not so; -1. */
static int was_matched(struct sqlite *db, const char *id, struct diag *diag)
{
    struct sqlite_statement *s;
    if (sqlite_prepare(&s, db, "SELECT after FROM action WHERE error_id = ?1 ORDER BY no DESC LIMIT 1",
                       diag) != OK)
        return -1;
    sqlite_bind_text(s, 1, id);
    const enum step step = sqlite_step(s, diag);
    const int was = step == STEP_MORE && strncmp(sqlite_text(s, 0), "force_matched", 13) == 0;
    sqlite_finish(s);
    return step == STEP_FAILED ? -1 : was;
}

enum err force_pair_settle(struct sqlite *db, const struct force_pair *pair, const char *task, int64_t now_s,
                           struct diag *diag)
{
    const struct handling h = {.actor = "tieout", .reason = task, .now_s = now_s};
    const int stands = pair->used_by[0] && !pair->broken_by[0];
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        struct standing o;
        enum handle_end end;
        char why[HANDLE_WHY], what[120];
        err = find(db, pair->side[side].id, &o, &end, why, diag);
        if (err != OK || end != HANDLED)
            continue;
        const int is_matched = strcmp(o.status, "force_matched") == 0;
        const int told = stands || is_matched ? 0 : was_matched(db, o.id, diag);
        if (told < 0)
            return diag->err;
        snprintf(what, sizeof what, "pair with %.64s %s", pair->side[!side].id,
                 stands ? "stands again" : "is no more");
        if (stands ? is_open(&o) || strcmp(o.status, "reversed") == 0 : is_matched)
            err = move(db, &o, what,
                       stands        ? "force_matched"
                       : o.reversals ? "reversed"
                                     : "open",
                       stands ? o.assignee : "", &h, diag);
        else if (told) { /* the log's entries have moved it already */
            char after[260];
            describe(after, o.status, o.assignee);
            err = write_action(db, what, o.id, &h, "force_matched", after, diag);
        }
    }
    return err;
}

/* The newest pair of order `id` that stands. no 0: there is none. */
static enum err pair_of(struct sqlite *db, const char *id, int64_t *no, char partner[ERROR_ID_TEXT],
                        char used_by[TASK_NAME_MAX], struct diag *diag)
{
    struct sqlite_statement *s;
    *no = 0;
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT no, CASE local_id WHEN ?1 THEN channel_id ELSE local_id END, used_by FROM force_pair\n"
        "  WHERE (local_id = ?1 OR channel_id = ?1) AND broken_by = '' ORDER BY no DESC LIMIT 1",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, id);
    const enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE) {
        *no = sqlite_int(s, 0);
        snprintf(partner, ERROR_ID_TEXT, "%s", sqlite_text(s, 1));
        snprintf(used_by, TASK_NAME_MAX, "%s", sqlite_text(s, 2));
    }
    sqlite_finish(s);
    return step == STEP_FAILED ? diag->err : OK;
}

int force_pair_is_of(struct sqlite *db, const char *id, const char *task, struct diag *diag)
{
    int64_t no;
    char partner[ERROR_ID_TEXT], used_by[TASK_NAME_MAX];
    if (pair_of(db, id, &no, partner, used_by, diag) != OK)
        return -1;
    return no && strcmp(used_by, task) == 0;
}

enum err force_pair_break(struct sqlite *db, const char *id, const char *task, int64_t now_s,
                          struct diag *diag)
{
    struct sqlite_statement *s;
    struct standing o;
    enum handle_end end;
    int64_t no = 0;
    char partner[ERROR_ID_TEXT] = "", used_by[TASK_NAME_MAX], why[HANDLE_WHY], what[120];
    enum err err = pair_of(db, id, &no, partner, used_by, diag);
    if (err != OK || !no)
        return err;
    err = sqlite_prepare(&s, db, "UPDATE force_pair SET broken_by = ?2 WHERE no = ?1", diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, no);
    sqlite_bind_text(s, 2, task);
    err = finish(s, diag);
    if (err == OK)
        err = find(db, partner, &o, &end, why, diag);
    /* One that the log takes back for the pair's sake opens when that task is done again. */
    if (err != OK || end != HANDLED || strcmp(o.status, "force_matched") != 0 || o.reversals)
        return err;
    snprintf(what, sizeof what, "pair with %.64s is no more", id);
    const struct handling h = {.actor = "tieout", .reason = task, .now_s = now_s};
    return move(db, &o, what, "open", "", &h, diag);
}

static enum err undo_pair(struct sqlite *db, const struct standing *o, const struct handling *h,
                          enum handle_end *end, char why[HANDLE_WHY], struct diag *diag)
{
    struct sqlite_statement *s;
    struct standing other = {.no = 0};
    int64_t no = 0;
    char partner[ERROR_ID_TEXT] = "", used_by[TASK_NAME_MAX] = "", what[160];
    enum err err = pair_of(db, o->id, &no, partner, used_by, diag);
    if (err == OK && no)
        err = find(db, partner, &other, end, why, diag);
    *end = HANDLE_CONFLICT;
    if (err != OK || why[0])
        return err;
    if (!no) {
        snprintf(why, HANDLE_WHY, "it is force_matched, and its pair is no more: the next task opens it");
        return OK;
    }
    /* What no task has taken up is simply no more: FORCE_BY_HAND is no task's name. */
    err = sqlite_prepare(
        &s, db,
        "UPDATE force_pair SET undone_by = ?2, broken_by = CASE used_by WHEN '' THEN ?3 ELSE '' END\n"
        "  WHERE no = ?1 AND undone_by = ''",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, no);
    sqlite_bind_text(s, 2, h->actor[0] ? h->actor : FORCE_BY_HAND);
    sqlite_bind_text(s, 3, FORCE_BY_HAND);
    err = finish(s, diag);
    if (err != OK)
        return err;
    if (sqlite_changes(db) == 0) {
        *end = HANDLE_SAME;
        return OK;
    }
    *end = HANDLED;
    const struct standing *const both[] = {o, &other};
    for (int i = 0; err == OK && i < 2; i++) {
        if (strcmp(both[i]->status, "force_matched") != 0)
            continue;
        snprintf(what, sizeof what, "%s: pair with %.64s %s", ACTIONS[HANDLE_REOPEN], both[!i]->id,
                 used_by[0] ? "is to be taken back by the next task" : "is no more");
        err = used_by[0] ? write_action(db, what, both[i]->id, h, "force_matched", "force_matched", diag)
                         : move(db, both[i], what, "open", "", h, diag);
    }
    if (used_by[0])
        snprintf(why, HANDLE_WHY,
                 "task %.160s made a match of it: the next task of the queue takes that back, and then "
                 "both errors are open",
                 used_by);
    return err;
}
