/* io/store/delivery.c: see delivery.h */
#include "io/store/delivery.h"
#include <stdio.h>
#include <string.h>

const char delivery_schema[] =
    "CREATE TABLE push_sink (name TEXT PRIMARY KEY, known_at INTEGER NOT NULL, failures INTEGER NOT NULL "
    "DEFAULT 0,\n"
    "  opened INTEGER NOT NULL DEFAULT 0, open_until INTEGER NOT NULL DEFAULT 0, stopped TEXT NOT NULL "
    "DEFAULT '')\n"
    "  WITHOUT ROWID;\n"
    "CREATE TABLE delivery (sink TEXT NOT NULL, no INTEGER NOT NULL REFERENCES error_order(no), chain TEXT "
    "NOT NULL,\n"
    "  state INTEGER NOT NULL, tries INTEGER NOT NULL, next_at INTEGER NOT NULL, answer TEXT NOT NULL,\n"
    "  acked_at INTEGER NOT NULL, PRIMARY KEY (sink, no), CHECK (state IN (0, 1, 2))) WITHOUT ROWID;\n"
    "CREATE INDEX delivery_due ON delivery (sink, next_at, no) WHERE state = 0;\n"
    "CREATE INDEX delivery_chain ON delivery (sink, chain, no) WHERE state = 0;\n"
    "CREATE INDEX delivery_dead ON delivery (sink, no) WHERE state = 2;\n"
    "CREATE TRIGGER delivery_acked_stays BEFORE UPDATE ON delivery WHEN OLD.state = 1 AND NEW.state <> 1\n"
    "  BEGIN SELECT RAISE(ABORT, 'what was acked stays so'); END;\n";

/* What must stay in order: all messages about one order number, whichever record of it they tell of. A / before it: an older program's
 * chains were digests, in hex. Where an order has neither number, its record's chain. */
#define CHAIN_OF                                                                                             \
    "CASE WHEN o.biz_order_no <> '' THEN '/' || o.channel_code || '/' || o.biz_order_no\n"                   \
    "  WHEN o.channel_order_no <> '' THEN '/' || o.channel_code || '//' || o.channel_order_no ELSE o.chain " \
    "END"
/* next_at of one that has an older one of its chain before it. It only keeps those out of the way of whoever looks for what is due: an
 * order number with 100,000 messages would have them all looked at for each. The first of a chain never has it. */
#define BEHIND "9223372036854775807"
_Static_assert(DELIVERY_BEHIND == INT64_C(9223372036854775807), "BEHIND is DELIVERY_BEHIND");

static enum err finish(struct sqlite_statement *s, struct diag *diag)
{
    enum err err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
    sqlite_finish(s);
    return err;
}

/* Those from `first` on that have an older one of their chain before them wait for it. */
static enum err put_behind(struct sqlite *db, const char *sink, int64_t first, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(&s, db,
                                  "UPDATE delivery SET next_at = " BEHIND
                                  " WHERE sink = ?1 AND no >= ?2 AND state = 0 AND EXISTS\n"
                                  "  (SELECT 1 FROM delivery e INDEXED BY delivery_chain WHERE e.sink = ?1 "
                                  "AND e.chain = delivery.chain\n"
                                  "   AND e.state = 0 AND e.no < delivery.no)",
                                  diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    sqlite_bind_int(s, 2, first);
    return finish(s, diag);
}

/* The end of a transaction that made a sink's chains anew: what stands behind another error of its order is put there. */
static enum err end_chains(struct sqlite *db, const char *sink, enum err err, struct diag *diag)
{
    if (err == OK)
        err = put_behind(db, sink, 0, diag);
    if (err == OK)
        return sqlite_commit(db, diag);
    sqlite_rollback(db);
    return err;
}

/* What waits under the chains of a program that kept records apart, and not order numbers. */
static enum err chain_anew(struct sqlite *db, const char *sink, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT 1 FROM delivery d INDEXED BY delivery_chain JOIN error_order o ON o.no = d.no\n"
        "  WHERE d.sink = ?1 AND d.state = 0 AND d.chain >= '0' AND d.chain <> " CHAIN_OF " LIMIT 1",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    const enum step step = sqlite_step(s, diag);
    sqlite_finish(s);
    if (step != STEP_MORE)
        return step == STEP_FAILED ? diag->err : OK;
    err = sqlite_begin(db, diag);
    if (err == OK)
        err = sqlite_prepare(&s, db,
                             "UPDATE delivery SET chain = (SELECT " CHAIN_OF
                             " FROM error_order o WHERE o.no = delivery.no)\n"
                             "  WHERE sink = ?1 AND state = 0 AND chain >= '0'",
                             diag);
    if (err == OK) {
        sqlite_bind_text(s, 1, sink);
        err = finish(s, diag);
    }
    return end_chains(db, sink, err, diag);
}

enum err delivery_sink_open(struct sqlite *db, const char *sink, int64_t now_s, struct delivery_sink *out,
                            struct diag *diag)
{
    struct sqlite_statement *s;
    memset(out, 0, sizeof *out);
    enum err err = sqlite_prepare(
        &s, db, "SELECT failures, opened, open_until, stopped FROM push_sink WHERE name = ?1", diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE) {
        out->failures = sqlite_int(s, 0);
        out->opened = sqlite_int(s, 1);
        out->open_until = sqlite_int(s, 2);
        snprintf(out->stopped, sizeof out->stopped, "%s", sqlite_text(s, 3));
    }
    sqlite_finish(s);
    if (step != STEP_DONE)
        return step == STEP_FAILED ? diag->err : chain_anew(db, sink, diag);
    err = sqlite_begin(db, diag);
    if (err == OK)
        err =
            sqlite_prepare(&s, db, "INSERT OR IGNORE INTO push_sink (name, known_at) VALUES (?1, ?2)", diag);
    if (err == OK) {
        sqlite_bind_text(s, 1, sink);
        sqlite_bind_int(s, 2, now_s);
        err = finish(s, diag);
    }
    if (err == OK) /* the orders that other sinks were told of already */
        err = sqlite_prepare(
            &s, db,
            "INSERT OR IGNORE INTO delivery SELECT ?1, no, " CHAIN_OF ", 0, 0, 0, '', 0 FROM error_order o\n"
            "  WHERE visible = 2 AND kind = 'verdict' AND node_status IN ('open', 'claimed')",
            diag);
    if (err == OK) {
        sqlite_bind_text(s, 1, sink);
        err = finish(s, diag);
    }
    return end_chains(db, sink, err, diag);
}

enum err delivery_sink_save(struct sqlite *db, const char *sink, const struct delivery_sink *state,
                            struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db,
        "UPDATE push_sink SET failures = ?2, opened = ?3, open_until = ?4, stopped = ?5 WHERE name = ?1",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    sqlite_bind_int(s, 2, state->failures);
    sqlite_bind_int(s, 3, state->opened);
    sqlite_bind_int(s, 4, state->open_until);
    sqlite_bind_text(s, 5, state->stopped);
    return finish(s, diag);
}

enum err delivery_fan_out(struct sqlite *db, const char *const *sinks, int sink_count, int64_t limit,
                          int64_t *count, struct diag *diag)
{
    struct sqlite_statement *s;
    *count = 0;
    if (!sink_count)
        return OK;
    /* Nothing to do is the usual case, and needs no writer's lock. */
    enum err err = sqlite_prepare(&s, db, "SELECT no FROM error_order WHERE visible = 1 LIMIT 1", diag);
    if (err != OK)
        return err;
    enum step step = sqlite_step(s, diag);
    sqlite_finish(s);
    if (step != STEP_MORE)
        return step == STEP_FAILED ? diag->err : OK;
    int64_t first = 0, last = 0;
    err = sqlite_begin(db, diag);
    if (err == OK)
        err = sqlite_prepare(&s, db,
                             "SELECT coalesce(max(no), 0), coalesce(min(no), 0) FROM (SELECT no FROM "
                             "error_order WHERE visible = 1 "
                             "ORDER BY no LIMIT ?1)",
                             diag);
    if (err == OK) {
        sqlite_bind_int(s, 1, limit);
        if (sqlite_step(s, diag) == STEP_MORE) {
            last = sqlite_int(s, 0);
            first = sqlite_int(s, 1);
        } else {
            err = diag->err;
        }
        sqlite_finish(s);
    }
    for (int i = 0; err == OK && i < sink_count; i++) {
        err = sqlite_prepare(&s, db,
                             "INSERT OR IGNORE INTO delivery SELECT ?1, no, " CHAIN_OF
                             ", 0, 0, 0, '', 0 FROM error_order o\n"
                             "  WHERE visible = 1 AND no <= ?2",
                             diag);
        if (err != OK)
            break;
        sqlite_bind_text(s, 1, sinks[i]);
        sqlite_bind_int(s, 2, last);
        err = finish(s, diag);
        if (err == OK)
            err = put_behind(db, sinks[i], first, diag);
    }
    if (err == OK)
        err =
            sqlite_prepare(&s, db, "UPDATE error_order SET visible = 2 WHERE visible = 1 AND no <= ?1", diag);
    if (err == OK) {
        sqlite_bind_int(s, 1, last);
        err = finish(s, diag);
        *count = err == OK ? sqlite_changes(db) : 0;
    }
    if (err == OK)
        return sqlite_commit(db, diag);
    sqlite_rollback(db);
    return err;
}

enum err delivery_claim(struct sqlite *db, const char *sink, int64_t now_s, int64_t limit, delivery_fn *each,
                        void *context, struct diag *diag)
{
    struct sqlite_statement *s;
    /* CROSS JOIN: by the index of what is due, and from there to the orders. */
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT d.no, d.tries, o.id, d.chain, o.payload FROM delivery d INDEXED BY delivery_due CROSS JOIN "
        "error_order o\n"
        "  ON o.no = d.no WHERE d.sink = ?1 AND d.state = 0 AND d.next_at <= ?2 AND NOT EXISTS\n"
        "  (SELECT 1 FROM delivery e INDEXED BY delivery_chain WHERE e.sink = ?1 AND e.chain = d.chain AND "
        "e.state = 0\n"
        "   AND e.no < d.no) ORDER BY d.next_at, d.no LIMIT ?3",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    sqlite_bind_int(s, 2, now_s);
    sqlite_bind_int(s, 3, limit);
    enum step step = STEP_DONE;
    while (err == OK && (step = sqlite_step(s, diag)) == STEP_MORE) {
        struct delivery d = {.no = sqlite_int(s, 0),
                             .tries = sqlite_int(s, 1),
                             .id = sqlite_text(s, 2),
                             .chain = sqlite_text(s, 3),
                             .payload = sqlite_text(s, 4)};
        err = each(context, &d, diag);
    }
    if (err == OK && step == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

/* 1: something of the sink is behind another; 0; -1. */
static int is_any_behind(struct sqlite *db, const char *sink, struct diag *diag)
{
    struct sqlite_statement *s;
    if (sqlite_prepare(&s, db,
                       "SELECT 1 FROM delivery INDEXED BY delivery_due WHERE sink = ?1 AND state = 0 AND\n"
                       "  next_at = " BEHIND " LIMIT 1",
                       diag) != OK)
        return -1;
    sqlite_bind_text(s, 1, sink);
    const enum step step = sqlite_step(s, diag);
    sqlite_finish(s);
    return step == STEP_FAILED ? -1 : step == STEP_MORE;
}

/* The next of their chains is due where these do not wait any more. */
static enum err bring_forward(struct sqlite *db, const char *sink, const struct delivery_answer *answers,
                              unsigned count, struct diag *diag)
{
    struct sqlite_statement *s;
    const int any = is_any_behind(db, sink, diag);
    if (any <= 0)
        return any < 0 ? diag->err : OK;
    enum err err =
        sqlite_prepare(&s, db,
                       "UPDATE delivery SET next_at = 0 WHERE sink = ?1 AND next_at = " BEHIND " AND no =\n"
                       "  (SELECT e.no FROM delivery e INDEXED BY delivery_chain WHERE e.sink = ?1 AND "
                       "e.state = 0 AND e.chain =\n"
                       "   (SELECT chain FROM delivery WHERE sink = ?1 AND no = ?2) ORDER BY e.no LIMIT 1)",
                       diag);
    for (unsigned i = 0; err == OK && i < count; i++) {
        if (answers[i].state == DELIVERY_WAITS)
            continue;
        sqlite_bind_text(s, 1, sink);
        sqlite_bind_int(s, 2, answers[i].no);
        err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
    }
    sqlite_finish(s);
    return err;
}

enum err delivery_answered(struct sqlite *db, const char *sink, const struct delivery_answer *answers,
                           unsigned count, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db,
        "UPDATE delivery SET state = ?3, tries = tries + 1, next_at = ?4, answer = ?5, acked_at = ?6\n"
        "  WHERE sink = ?1 AND no = ?2 AND state <> 1",
        diag);
    for (unsigned i = 0; err == OK && i < count; i++) {
        const struct delivery_answer *a = &answers[i];
        sqlite_bind_text(s, 1, sink);
        sqlite_bind_int(s, 2, a->no);
        sqlite_bind_int(s, 3, a->state);
        sqlite_bind_int(s, 4, a->next_at);
        sqlite_bind_text(s, 5, a->why);
        sqlite_bind_int(s, 6, a->state == DELIVERY_ACKED ? a->now_s : 0);
        err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
    }
    sqlite_finish(s);
    return err == OK ? bring_forward(db, sink, answers, count, diag) : err;
}

enum err delivery_count(struct sqlite *db, const char *sink, struct delivery_counts *out, struct diag *diag)
{
    struct sqlite_statement *s;
    memset(out, 0, sizeof *out);
    enum err err =
        sqlite_prepare(&s, db, "SELECT state, count(*) FROM delivery WHERE sink = ?1 GROUP BY state", diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    while (sqlite_step(s, diag) == STEP_MORE) {
        int64_t *counts[] = {&out->waiting, &out->acked, &out->dead};
        *counts[sqlite_int(s, 0)] = sqlite_int(s, 1);
    }
    sqlite_finish(s);
    return diag->err != OK ? diag->err : delivery_next(db, sink, &out->next_at, diag);
}

enum err delivery_next(struct sqlite *db, const char *sink, int64_t *next_at, struct diag *diag)
{
    struct sqlite_statement *s;
    *next_at = INT64_MAX;
    enum err err = sqlite_prepare(
        &s, db, "SELECT next_at FROM delivery WHERE sink = ?1 AND state = 0 ORDER BY next_at LIMIT 1", diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    if (sqlite_step(s, diag) == STEP_MORE)
        *next_at = sqlite_int(s, 0);
    sqlite_finish(s);
    return diag->err;
}

enum err delivery_not_behind(struct sqlite *db, const char *sink, int64_t latest, int64_t now_s,
                             struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err =
        sqlite_prepare(&s, db,
                       "UPDATE delivery SET next_at = ?3 WHERE sink = ?1 AND state = 0 AND next_at > ?2 AND\n"
                       "  next_at < " BEHIND,
                       diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    sqlite_bind_int(s, 2, latest);
    sqlite_bind_int(s, 3, now_s);
    return finish(s, diag);
}

enum err delivery_revive(struct sqlite *db, const char *sink, int64_t now_s, int64_t *count,
                         struct diag *diag)
{
    struct sqlite_statement *s;
    *count = 0;
    enum err err =
        sqlite_prepare(&s, db,
                       "UPDATE delivery SET state = 0, tries = 0, next_at = ?2, chain = (SELECT " CHAIN_OF
                       " FROM error_order o\n"
                       "  WHERE o.no = delivery.no) WHERE sink = ?1 AND state = 2",
                       diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    sqlite_bind_int(s, 2, now_s);
    err = finish(s, diag);
    *count = err == OK ? sqlite_changes(db) : 0;
    return err == OK && *count ? put_behind(db, sink, 0, diag) : err;
}

enum err delivery_sink_each(struct sqlite *db, delivery_sink_fn *each, void *context, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db, "SELECT name, failures, opened, open_until, stopped FROM push_sink ORDER BY name", diag);
    enum step step = STEP_DONE;
    if (err != OK)
        return err;
    while (err == OK && (step = sqlite_step(s, diag)) == STEP_MORE) {
        struct delivery_sink state = {
            .failures = sqlite_int(s, 1), .opened = sqlite_int(s, 2), .open_until = sqlite_int(s, 3)};
        struct delivery_counts counts;
        char name[200];
        snprintf(name, sizeof name, "%s", sqlite_text(s, 0));
        snprintf(state.stopped, sizeof state.stopped, "%s", sqlite_text(s, 4));
        err = delivery_count(db, name, &counts, diag);
        if (err == OK)
            err = each(context, name, &state, &counts, diag);
    }
    if (err == OK && step == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

enum err delivery_of_order(struct sqlite *db, const char *id, delivery_line_fn *each, void *context,
                           struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err =
        sqlite_prepare(&s, db,
                       "SELECT d.sink, d.answer, d.state, d.tries, d.next_at, d.acked_at FROM error_order o\n"
                       "  JOIN delivery d ON d.no = o.no WHERE o.id = ?1 ORDER BY d.sink",
                       diag);
    enum step step = STEP_DONE;
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, id);
    while (err == OK && (step = sqlite_step(s, diag)) == STEP_MORE) {
        struct delivery_line line = {.sink = sqlite_text(s, 0),
                                     .answer = sqlite_text(s, 1),
                                     .state = (enum delivery_state)sqlite_int(s, 2),
                                     .tries = sqlite_int(s, 3),
                                     .next_at = sqlite_int(s, 4),
                                     .acked_at = sqlite_int(s, 5)};
        err = each(context, &line, diag);
    }
    if (err == OK && step == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}
