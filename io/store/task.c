/* io/store/task.c: see task.h */
#include "io/store/task.h"
#include "core/base/mem.h"
#include <stdio.h>
#include <string.h>

static const char *const names[PHASES] = {"INIT",
                                          "DATA_COLLECTION",
                                          "SUSPICIOUS_HANDLING",
                                          "MATCHING",
                                          "SECOND_SUSPICIOUS",
                                          "AGGREGATION",
                                          "ERROR_PUSH",
                                          "DONE",
                                          "FAILED",
                                          "CANCELLED"};

const char *phase_name(enum phase phase)
{
    return names[phase];
}

static enum phase phase_of(const char *name)
{
    for (int i = 0; i < PHASES; i++)
        if (strcmp(names[i], name) == 0)
            return (enum phase)i;
    return PHASES;
}

/* The edges stand in the database: a hand that moves a task by SQL meets the same rules. */
const char task_schema[] =
    "CREATE TABLE task (\n"
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, channel_code TEXT NOT NULL, biz_type TEXT NOT "
    "NULL,\n"
    "  bill_date TEXT NOT NULL, batch_no INTEGER NOT NULL, job TEXT NOT NULL,\n"
    "  phase TEXT NOT NULL DEFAULT 'INIT' REFERENCES task_phase(name), revision INTEGER NOT NULL DEFAULT 0,\n"
    "  wanted INTEGER NOT NULL DEFAULT 1, attempts INTEGER NOT NULL DEFAULT 0,\n"
    "  rule_version TEXT NOT NULL DEFAULT '', manifest TEXT NOT NULL DEFAULT '', owner TEXT NOT NULL DEFAULT "
    "'',\n"
    "  fence INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL DEFAULT 0, began_at INTEGER NOT NULL "
    "DEFAULT 0,\n"
    "  done_at INTEGER NOT NULL DEFAULT 0, exit_code INTEGER NOT NULL DEFAULT 0, certificate TEXT NOT NULL "
    "DEFAULT '', error TEXT NOT NULL DEFAULT "
    "'',\n"
    "  error_code INTEGER NOT NULL DEFAULT 0, UNIQUE (channel_code, biz_type, bill_date, batch_no));\n"
    "CREATE INDEX task_by_day ON task (bill_date, channel_code, biz_type, batch_no);\n"
    "CREATE TABLE task_phase (name TEXT PRIMARY KEY, step INTEGER NOT NULL) WITHOUT ROWID;\n"
    "INSERT INTO task_phase VALUES ('INIT', 0), ('DATA_COLLECTION', 1), ('SUSPICIOUS_HANDLING', 2), "
    "('MATCHING', 3),\n"
    "  ('SECOND_SUSPICIOUS', 4), ('AGGREGATION', 5), ('ERROR_PUSH', 6), ('DONE', 7), ('FAILED', 8), "
    "('CANCELLED', 9);\n"
    "CREATE TABLE task_edge (was TEXT NOT NULL, becomes TEXT NOT NULL, PRIMARY KEY (was, becomes)) WITHOUT "
    "ROWID;\n"
    "INSERT INTO task_edge SELECT a.name, b.name FROM task_phase a, task_phase b WHERE\n"
    "  (a.step < 7 AND (b.step = a.step + 1 OR b.step = 0 OR b.step > 7)) OR (a.step > 7 AND b.step = 0)\n"
    "  OR (a.step = 8 AND b.step = 9) OR (a.step = 7 AND b.step = 0);\n"
    "CREATE TRIGGER task_begins BEFORE INSERT ON task WHEN NEW.phase <> 'INIT' OR NEW.revision <> 0\n"
    "  BEGIN SELECT RAISE(ABORT, 'a task begins at INIT'); END;\n"
    "CREATE TRIGGER task_moves BEFORE UPDATE ON task WHEN\n"
    "  NOT EXISTS (SELECT 1 FROM task_edge WHERE was = OLD.phase AND becomes = NEW.phase)\n"
    "  AND NOT (OLD.phase = NEW.phase)\n"
    "  AND NOT (NEW.phase = 'DONE' AND OLD.phase <> 'CANCELLED' AND OLD.revision > 0 AND NEW.revision = "
    "OLD.revision\n"
    "  AND NEW.wanted = OLD.revision AND NEW.fence > OLD.fence)\n"
    "  BEGIN SELECT RAISE(ABORT, 'that edge is not declared'); END;\n"
    "CREATE TRIGGER task_done_again BEFORE UPDATE ON task WHEN OLD.phase = 'DONE' AND NEW.phase <> 'DONE'\n"
    "  AND NOT (NEW.wanted = OLD.revision + 1 AND NEW.fence > OLD.fence)\n"
    "  BEGIN SELECT RAISE(ABORT, 'a task that is done is only done again as the next revision'); END;\n"
    "CREATE TRIGGER task_revision BEFORE UPDATE OF revision ON task WHEN NEW.revision <> OLD.revision\n"
    "  AND NOT (NEW.phase = 'DONE' AND OLD.phase = 'ERROR_PUSH' AND NEW.revision = OLD.wanted)\n"
    "  BEGIN SELECT RAISE(ABORT, 'a revision is made by finishing a task'); END;\n"
    "CREATE TRIGGER task_fence BEFORE UPDATE OF fence ON task WHEN NEW.fence < OLD.fence\n"
    "  BEGIN SELECT RAISE(ABORT, 'a fence only grows'); END;\n"
    "CREATE TRIGGER task_stays BEFORE DELETE ON task\n"
    "  BEGIN SELECT RAISE(ABORT, 'tasks are cancelled, not deleted'); END;\n";

#define TASK_COLUMNS                                                                                         \
    "id, name, channel_code, biz_type, bill_date, batch_no, job, phase, revision, wanted, attempts, "        \
    "rule_version, "                                                                                         \
    "manifest, owner, fence, next_at, began_at, done_at, exit_code, error, error_code, certificate"

static void read_row(struct sqlite_statement *s, struct task *t)
{
    const char *date = sqlite_text(s, 4);
    *t = (struct task){.id = sqlite_int(s, 0),
                       .name = sqlite_text(s, 1),
                       .channel_code = sqlite_text(s, 2),
                       .biz_type = sqlite_text(s, 3),
                       .day = day_parse(date, strlen(date)),
                       .batch_no = sqlite_int(s, 5),
                       .job = sqlite_text(s, 6),
                       .phase = phase_of(sqlite_text(s, 7)),
                       .revision = sqlite_int(s, 8),
                       .wanted = sqlite_int(s, 9),
                       .attempts = sqlite_int(s, 10),
                       .rule_version = sqlite_text(s, 11),
                       .manifest = sqlite_text(s, 12),
                       .owner = sqlite_text(s, 13),
                       .fence = sqlite_int(s, 14),
                       .next_at = sqlite_int(s, 15),
                       .began_at = sqlite_int(s, 16),
                       .done_at = sqlite_int(s, 17),
                       .exit_code = sqlite_int(s, 18),
                       .error = sqlite_text(s, 19),
                       .error_code = sqlite_int(s, 20),
                       .certificate = sqlite_text(s, 21)};
}

enum err task_each(struct sqlite *db, const struct task_filter *f, task_fn *each, void *context,
                   struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char day[DAY_TEXT_MAX], from[DAY_TEXT_MAX];
    day_print(day, f->day);
    day_print(from, f->from_day);
    enum err err =
        sqlite_prepare(&s, db,
                       "SELECT " TASK_COLUMNS
                       " FROM task WHERE (?1 = '' OR channel_code = ?1) AND (?2 = '' OR biz_type = ?2)\n"
                       "AND (?3 = '' OR name = ?3) AND (?4 = '' OR bill_date = ?4) AND bill_date >= ?5 AND "
                       "(?6 = 0 OR id = ?6)\n"
                       "AND (?7 = 0 OR phase NOT IN ('DONE', 'FAILED', 'CANCELLED'))\n"
                       "ORDER BY bill_date, channel_code, biz_type, batch_no",
                       diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, f->channel_code ? f->channel_code : "");
    sqlite_bind_text(s, 2, f->biz_type ? f->biz_type : "");
    sqlite_bind_text(s, 3, f->name ? f->name : "");
    sqlite_bind_text(s, 4, day);
    sqlite_bind_text(s, 5, from);
    sqlite_bind_int(s, 6, f->id);
    sqlite_bind_int(s, 7, f->due_only);
    enum step step;
    while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE) {
        struct task task;
        if (step == STEP_FAILED) {
            err = diag->err;
            break;
        }
        read_row(s, &task);
        err = task.phase == PHASES
                  ? diag_set(diag, ERR_STATE, "task.phase", NULL, "task %s: its phase is none", task.name)
                  : each(context, &task, diag);
    }
    sqlite_finish(s);
    return err;
}

struct finding {
    struct arena *arena;
    struct task *task;
    int found;
};

static const char *keep(struct arena *arena, const char *text)
{
    return arena_copy(arena, (struct span){text, strlen(text) + 1}).data;
}

static enum err find(void *context, const struct task *task, struct diag *diag)
{
    struct finding *f = context;
    if (f->found)
        return OK;
    f->found = 1;
    *f->task = *task;
    const char **texts[] = {&f->task->name,  &f->task->channel_code, &f->task->biz_type,
                            &f->task->job,   &f->task->rule_version, &f->task->manifest,
                            &f->task->owner, &f->task->error,        &f->task->certificate};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!(*texts[i] = keep(f->arena, *texts[i])))
            return mem_fail(diag, 0, "a task");
    return OK;
}

int task_find(struct sqlite *db, const struct task_filter *filter, struct arena *arena, struct task *task,
              struct diag *diag)
{
    struct finding f = {arena, task, 0};
    return task_each(db, filter, find, &f, diag) == OK ? f.found : -1;
}

enum err task_make(struct sqlite *db, const struct task_key *key, int64_t *id, int *made, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char day[DAY_TEXT_MAX], name[TASK_NAME_MAX];
    day_print(day, key->day);
    if (snprintf(name, sizeof name, "%s/%s/%s/%lld", key->channel_code, key->biz_type, day,
                 (long long)key->batch_no) >= (int)sizeof name)
        return diag_set(diag, ERR_USAGE, "task.name", NULL, "%s: channel_code and biz_type are too long",
                        key->job);
    enum err err =
        sqlite_prepare(&s, db,
                       "INSERT INTO task (name, channel_code, biz_type, bill_date, batch_no, job)\n"
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                       diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, name);
    sqlite_bind_text(s, 2, key->channel_code);
    sqlite_bind_text(s, 3, key->biz_type);
    sqlite_bind_text(s, 4, day);
    sqlite_bind_int(s, 5, key->batch_no);
    sqlite_bind_text(s, 6, key->job);
    if (sqlite_step(s, diag) == STEP_FAILED)
        err = diag->err;
    *made = err == OK && sqlite_changes(db) == 1;
    *id = *made ? sqlite_last_row(db) : 0;
    sqlite_finish(s);
    return err;
}

/* Runs a statement that must change exactly the task whose id is ?1 and whose fence is ?2. */
static enum err change(struct sqlite *db, struct sqlite_statement *s, const struct task *task,
                       struct diag *diag)
{
    sqlite_bind_int(s, 1, task->id);
    sqlite_bind_int(s, 2, task->fence);
    enum err err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
    if (err == OK && sqlite_changes(db) != 1)
        err = diag_set(
            diag, ERR_STATE, "task.lease", "look at `tieout task show`, then run again if it is due",
            "task %s: was taken over, cancelled or begun anew by another program meanwhile", task->name);
    sqlite_finish(s);
    return err;
}

enum err task_lease(struct sqlite *db, struct task *task, const char *owner, int64_t now_s, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, db,
                                  "UPDATE task SET phase = 'INIT', owner = ?3, fence = fence + 1,\n"
                                  "began_at = ?4 WHERE id = ?1 AND fence = ?2\n"
                                  "AND phase NOT IN ('DONE', 'FAILED', 'CANCELLED')",
                                  diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 3, owner);
    sqlite_bind_int(s, 4, now_s);
    err = change(db, s, task, diag);
    if (err == OK) {
        task->phase = PHASE_INIT;
        task->fence++;
    }
    return err;
}

enum err task_move(struct sqlite *db, struct task *task, enum phase phase, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, db, "UPDATE task SET phase = ?3 WHERE id = ?1 AND fence = ?2", diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 3, phase_name(phase));
    err = change(db, s, task, diag);
    if (err == OK)
        task->phase = phase;
    return err;
}

enum err task_fail(struct sqlite *db, struct task *task, const struct diag *why, int for_good,
                   int64_t next_at, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    const enum phase phase = for_good || task->attempts + 1 >= TASK_TRIES ? PHASE_FAILED : PHASE_INIT;
    enum err err =
        sqlite_prepare(&s, db,
                       "UPDATE task SET phase = ?3, owner = '', next_at = ?4, error = ?5, error_code = ?6,\n"
                       "attempts = attempts + 1\n"
                       "WHERE id = ?1 AND fence = ?2",
                       diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 3, phase_name(phase));
    sqlite_bind_int(s, 4, phase == PHASE_FAILED ? 0 : next_at);
    sqlite_bind_text(s, 5, why->what);
    sqlite_bind_int(s, 6, (int64_t)why->err);
    err = change(db, s, task, diag);
    if (err == OK)
        task->phase = phase;
    return err;
}

enum err task_wait(struct sqlite *db, struct task *task, const char *why, int64_t next_at, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, db,
                                  "UPDATE task SET phase = 'INIT', owner = '', next_at = ?3,\n"
                                  "error = ?4, error_code = ?5 WHERE id = ?1 AND fence = ?2",
                                  diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 3, next_at);
    sqlite_bind_text(s, 4, why);
    sqlite_bind_int(s, 5, why[0] ? ERR_PEER : OK);
    err = change(db, s, task, diag);
    if (err == OK)
        task->phase = PHASE_INIT;
    return err;
}

enum err task_done(struct sqlite *db, struct task *task, const struct task_done *done, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err =
        sqlite_prepare(&s, db,
                       "UPDATE task SET phase = 'DONE', owner = '', revision = wanted, rule_version = ?3,\n"
                       "manifest = ?4, exit_code = ?5, certificate = ?7, done_at = ?6, next_at = 0, error = "
                       "'', error_code = 0\n"
                       "WHERE id = ?1 AND fence = ?2",
                       diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 3, done->rule_version);
    sqlite_bind_text(s, 4, done->manifest);
    sqlite_bind_int(s, 5, done->exit_code);
    sqlite_bind_int(s, 6, done->now_s);
    sqlite_bind_text(s, 7, done->certificate);
    err = change(db, s, task, diag);
    if (err == OK)
        task->phase = PHASE_DONE;
    return err;
}

enum err task_again(struct sqlite *db, const struct task *task, int rerun, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(
        &s, db,
        rerun
            ? "UPDATE task SET phase = 'INIT', owner = '', wanted = revision + 1, attempts = 0, next_at = "
              "0,\n"
              "fence = fence + 1, error = '', error_code = 0 WHERE id = ?1 AND fence = ?2 AND phase = 'DONE'"
            : "UPDATE task SET phase = 'INIT', owner = '', attempts = 0, next_at = 0, fence = fence + 1,\n"
              "error = '', error_code = 0 WHERE id = ?1 AND fence = ?2 AND phase <> 'DONE'",
        diag);
    return err == OK ? change(db, s, task, diag) : err;
}

enum err task_cancel(struct sqlite *db, const struct task *task, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err =
        sqlite_prepare(&s, db,
                       "UPDATE task SET phase = 'CANCELLED', owner = '', next_at = 0, fence = fence + 1\n"
                       "WHERE id = ?1 AND fence = ?2 AND phase <> 'DONE'",
                       diag);
    return err == OK ? change(db, s, task, diag) : err;
}

enum err task_keep(struct sqlite *db, const struct task *task, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(
        &s, db,
        "UPDATE task SET phase = 'DONE', owner = '', wanted = revision, attempts = 0, next_at = 0,\n"
        "fence = fence + 1, error = '', error_code = 0 WHERE id = ?1 AND fence = ?2\n"
        "AND revision > 0 AND phase NOT IN ('DONE', 'CANCELLED')",
        diag);
    return err == OK ? change(db, s, task, diag) : err;
}
