/* io/store/alarm.c: see alarm.h */
#include "io/store/alarm.h"
#include <string.h>

const char alarm_schema[] =
    "CREATE TABLE alarm (no INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, grade INTEGER "
    "NOT NULL,\n"
    "  text TEXT NOT NULL, count INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,\n"
    "  cleared_at INTEGER);\n"
    "CREATE UNIQUE INDEX alarm_stands ON alarm (kind, subject) WHERE cleared_at IS NULL;\n"
    "CREATE TABLE alarm_told (sink TEXT NOT NULL, alarm INTEGER NOT NULL REFERENCES alarm(no), grade INTEGER "
    "NOT NULL,\n"
    "  at INTEGER NOT NULL, PRIMARY KEY (sink, alarm)) WITHOUT ROWID;\n";

/* One statement without rows. */
static enum err finish(struct sqlite_statement *s, struct diag *diag)
{
    enum err err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
    sqlite_finish(s);
    return err;
}

enum err alarm_raise(struct sqlite *db, const struct alarm *alarm, int64_t now_s, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(&s, db,
                                  "INSERT INTO alarm (kind, subject, grade, text, count, first_at, last_at)\n"
                                  "VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5)\n"
                                  "ON CONFLICT (kind, subject) WHERE cleared_at IS NULL DO UPDATE SET\n"
                                  "  count = count + 1, last_at = excluded.last_at, text = excluded.text,\n"
                                  "  grade = max(grade, excluded.grade)",
                                  diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, alarm->kind);
    sqlite_bind_text(s, 2, alarm->subject);
    sqlite_bind_int(s, 3, alarm->grade);
    sqlite_bind_text(s, 4, alarm->text);
    sqlite_bind_int(s, 5, now_s);
    return finish(s, diag);
}

enum err alarm_clear(struct sqlite *db, const char *kind, const char *subject, int64_t now_s,
                     struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db, "UPDATE alarm SET cleared_at = ?3 WHERE kind = ?1 AND subject = ?2 AND cleared_at IS NULL",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, kind);
    sqlite_bind_text(s, 2, subject);
    sqlite_bind_int(s, 3, now_s);
    return finish(s, diag);
}

#define COLUMNS(WHOM)                                                                                        \
    "SELECT no, kind, subject, grade, text, count, first_at, last_at,\n"                                     \
    "  coalesce((SELECT max(at) FROM alarm_told WHERE alarm = no " WHOM                                      \
    "), 0) FROM alarm WHERE cleared_at IS NULL "

static enum err rows(struct sqlite_statement *s, alarm_fn *each, void *context, struct diag *diag)
{
    enum err err = OK;
    enum step step;
    while (err == OK && (step = sqlite_step(s, diag)) == STEP_MORE) {
        struct alarm alarm = {.no = sqlite_int(s, 0),
                              .kind = sqlite_text(s, 1),
                              .subject = sqlite_text(s, 2),
                              .grade = (enum alarm_grade)sqlite_int(s, 3),
                              .text = sqlite_text(s, 4),
                              .count = sqlite_int(s, 5),
                              .first_at = sqlite_int(s, 6),
                              .last_at = sqlite_int(s, 7),
                              .told_at = sqlite_int(s, 8)};
        if (alarm.grade < 0 || alarm.grade >= ALARM_GRADES)
            alarm.grade = ALARM_CRITICAL;
        err = each(context, &alarm, diag);
    }
    if (err == OK)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

enum err alarm_each(struct sqlite *db, alarm_fn *each, void *context, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(&s, db, COLUMNS("") "ORDER BY grade DESC, first_at, no", diag);
    return err == OK ? rows(s, each, context, diag) : err;
}

enum err alarm_counts(struct sqlite *db, int64_t counts[ALARM_GRADES], struct diag *diag)
{
    struct sqlite_statement *s;
    memset(counts, 0, ALARM_GRADES * sizeof *counts);
    enum err err = sqlite_prepare(
        &s, db, "SELECT grade, count(*) FROM alarm WHERE cleared_at IS NULL GROUP BY grade", diag);
    if (err != OK)
        return err;
    while (sqlite_step(s, diag) == STEP_MORE)
        if (sqlite_int(s, 0) >= 0 && sqlite_int(s, 0) < ALARM_GRADES)
            counts[sqlite_int(s, 0)] = sqlite_int(s, 1);
    sqlite_finish(s);
    return diag->err;
}

enum err alarm_untold(struct sqlite *db, const char *sink, enum alarm_grade least, int64_t again_before,
                      alarm_fn *each, void *context, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db,
        COLUMNS("AND sink = ?1") "AND grade >= ?2 AND NOT EXISTS (SELECT 1 FROM alarm_told WHERE sink = ?1\n"
                                 "  AND alarm = no AND alarm_told.grade >= alarm.grade AND at > ?3)\n"
                                 "ORDER BY kind, grade DESC, no",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    sqlite_bind_int(s, 2, least);
    sqlite_bind_int(s, 3, again_before);
    return rows(s, each, context, diag);
}

enum err alarm_told(struct sqlite *db, const char *sink, int64_t no, enum alarm_grade grade, int64_t now_s,
                    struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(&s, db, "INSERT OR REPLACE INTO alarm_told VALUES (?1, ?2, ?3, ?4)", diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, sink);
    sqlite_bind_int(s, 2, no);
    sqlite_bind_int(s, 3, grade);
    sqlite_bind_int(s, 4, now_s);
    return finish(s, diag);
}
