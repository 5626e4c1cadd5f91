/* io/store/generation.c: see generation.h */
#include "io/store/generation.h"
#include "core/base/mem.h"
#include <stdio.h>
#include <string.h>

const char generation_schema[] =
    "CREATE TABLE verdict_segment (number INTEGER PRIMARY KEY, task INTEGER NOT NULL REFERENCES task(id),\n"
    "  revision INTEGER NOT NULL, file TEXT NOT NULL, sha TEXT NOT NULL, chain TEXT NOT NULL, entries "
    "INTEGER NOT NULL,\n"
    "  UNIQUE (task, revision));\n"
    "CREATE TRIGGER verdict_segment_stays BEFORE UPDATE ON verdict_segment\n"
    "  BEGIN SELECT RAISE(ABORT, 'the verdict log is only added to'); END;\n"
    "CREATE TRIGGER verdict_segment_is_kept BEFORE DELETE ON verdict_segment\n"
    "  BEGIN SELECT RAISE(ABORT, 'the verdict log is only added to'); END;\n"
    "CREATE TABLE carry_file (task INTEGER NOT NULL REFERENCES task(id), revision INTEGER NOT NULL, kind "
    "INTEGER NOT NULL,\n"
    "  side INTEGER NOT NULL, file TEXT NOT NULL, sha TEXT NOT NULL, records INTEGER NOT NULL, bytes INTEGER "
    "NOT NULL,\n"
    "  PRIMARY KEY (task, revision, kind, side)) WITHOUT ROWID;\n"
    "CREATE TABLE final_gone (file TEXT NOT NULL, place INTEGER NOT NULL, task INTEGER NOT NULL REFERENCES "
    "task(id),\n"
    "  revision INTEGER NOT NULL, PRIMARY KEY (file, place, task, revision)) WITHOUT ROWID;\n"
    "CREATE TABLE log_day (task INTEGER NOT NULL REFERENCES task(id), revision INTEGER NOT NULL, side "
    "INTEGER "
    "NOT NULL,\n"
    "  records INTEGER NOT NULL, PRIMARY KEY (task, revision, side)) WITHOUT ROWID;\n"
    "CREATE TABLE roll_forward (task INTEGER NOT NULL REFERENCES task(id), revision INTEGER NOT NULL, side "
    "INTEGER NOT NULL,\n"
    "  currency TEXT NOT NULL, opening INTEGER NOT NULL, opened INTEGER NOT NULL, resolved INTEGER NOT "
    "NULL,\n"
    "  expired INTEGER NOT NULL, reopened INTEGER NOT NULL, closing INTEGER NOT NULL, opening_sum TEXT NOT "
    "NULL,\n"
    "  opened_sum TEXT NOT NULL, resolved_sum TEXT NOT NULL, expired_sum TEXT NOT NULL, reopened_sum TEXT "
    "NOT NULL,\n"
    "  closing_sum TEXT NOT NULL, changed_sum TEXT NOT NULL, PRIMARY KEY (task, revision, side, currency)) "
    "WITHOUT ROWID;\n";

/* ---- the verdict log ---- */

static void read_segment(struct sqlite_statement *s, struct segment *g)
{
    memset(g, 0, sizeof *g);
    g->number = sqlite_int(s, 0);
    g->task = sqlite_int(s, 1);
    g->revision = sqlite_int(s, 2);
    snprintf(g->file, sizeof g->file, "%s", sqlite_text(s, 3));
    snprintf(g->sha, sizeof g->sha, "%s", sqlite_text(s, 4));
    snprintf(g->chain, sizeof g->chain, "%s", sqlite_text(s, 5));
    g->entries = (uint64_t)sqlite_int(s, 6);
}
#define SEGMENT_COLUMNS "SELECT number, task, revision, file, sha, chain, entries FROM verdict_segment "

static int one_segment(struct sqlite *db, const char *sql, int64_t a, int64_t b, struct segment *segment,
                       struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    if (sqlite_prepare(&s, db, sql, diag) != OK)
        return -1;
    sqlite_bind_int(s, 1, a);
    if (b >= 0)
        sqlite_bind_int(s, 2, b);
    enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE)
        read_segment(s, segment);
    sqlite_finish(s);
    return step == STEP_FAILED ? -1 : step == STEP_MORE;
}

int segment_find(struct sqlite *db, int64_t task, int64_t revision, struct segment *segment,
                 struct diag *diag)
{
    return one_segment(db, SEGMENT_COLUMNS "WHERE task = ?1 AND revision = ?2", task, revision, segment,
                       diag);
}

int segment_at(struct sqlite *db, int64_t number, struct segment *segment, struct diag *diag)
{
    return one_segment(db, SEGMENT_COLUMNS "WHERE number = ?1", number, -1, segment, diag);
}

enum err segment_head(struct sqlite *db, struct segment *segment, struct diag *diag)
{
    memset(segment, 0, sizeof *segment);
    return one_segment(db, SEGMENT_COLUMNS "WHERE number >= ?1 ORDER BY number DESC LIMIT 1", 0, -1, segment,
                       diag) < 0
               ? diag->err
               : OK;
}

enum err segment_add(struct sqlite *db, struct segment *segment, struct diag *diag)
{
    struct segment head;
    struct sqlite_statement *s = NULL;
    enum err err = segment_head(db, &head, diag);
    if (err == OK)
        err = sqlite_prepare(&s, db, "INSERT INTO verdict_segment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", diag);
    if (err != OK)
        return err;
    segment->number = head.number + 1;
    verdict_chain(segment->chain, head.chain, segment->sha);
    sqlite_bind_int(s, 1, segment->number);
    sqlite_bind_int(s, 2, segment->task);
    sqlite_bind_int(s, 3, segment->revision);
    sqlite_bind_text(s, 4, segment->file);
    sqlite_bind_text(s, 5, segment->sha);
    sqlite_bind_text(s, 6, segment->chain);
    sqlite_bind_int(s, 7, (int64_t)segment->entries);
    if (sqlite_step(s, diag) == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

/* ---- carried records ---- */

enum err carry_add(struct sqlite *db, const struct carry_file *f, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err =
        sqlite_prepare(&s, db, "INSERT INTO carry_file VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, f->task);
    sqlite_bind_int(s, 2, f->revision);
    sqlite_bind_int(s, 3, (int64_t)f->kind);
    sqlite_bind_int(s, 4, f->side);
    sqlite_bind_text(s, 5, f->file);
    sqlite_bind_text(s, 6, f->sha);
    sqlite_bind_int(s, 7, (int64_t)f->records);
    sqlite_bind_int(s, 8, (int64_t)f->bytes);
    if (sqlite_step(s, diag) == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

enum err carry_each(struct sqlite *db, const struct carry_ask *ask, carry_fn *each, void *context,
                    struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char day[DAY_TEXT_MAX];
    day_print(day, ask->day);
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT c.task, c.revision, c.file, c.sha, c.records, c.bytes FROM task t JOIN carry_file c\n"
        "ON c.task = t.id AND c.revision = t.revision WHERE c.kind = ?1 AND c.side = ?2 AND (t.id = ?3 OR ?3 "
        "= 0\n"
        "AND t.phase = 'DONE' AND t.channel_code = ?4 AND t.biz_type = ?5 AND t.bill_date < ?6)\n"
        "ORDER BY t.bill_date, t.batch_no",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, (int64_t)ask->kind);
    sqlite_bind_int(s, 2, ask->side);
    sqlite_bind_int(s, 3, ask->task);
    sqlite_bind_text(s, 4, ask->channel_code ? ask->channel_code : "");
    sqlite_bind_text(s, 5, ask->biz_type ? ask->biz_type : "");
    sqlite_bind_text(s, 6, day);
    enum step step;
    while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE) {
        if (step == STEP_FAILED) {
            err = diag->err;
            break;
        }
        struct carry_file f = {.task = sqlite_int(s, 0),
                               .revision = sqlite_int(s, 1),
                               .kind = ask->kind,
                               .side = ask->side,
                               .records = (uint64_t)sqlite_int(s, 4),
                               .bytes = (uint64_t)sqlite_int(s, 5)};
        snprintf(f.file, sizeof f.file, "%s", sqlite_text(s, 2));
        snprintf(f.sha, sizeof f.sha, "%s", sqlite_text(s, 3));
        err = each(context, &f, diag);
    }
    sqlite_finish(s);
    return err;
}

enum err gone_add(struct sqlite *db, int64_t task, int64_t revision, const char *file, uint64_t offset,
                  struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, db, "INSERT OR IGNORE INTO final_gone VALUES (?1, ?2, ?3, ?4)", diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, file);
    sqlite_bind_int(s, 2, (int64_t)offset);
    sqlite_bind_int(s, 3, task);
    sqlite_bind_int(s, 4, revision);
    if (sqlite_step(s, diag) == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

enum err gone_read(struct sqlite *db, const char *file, uint16_t before, uint64_t **offsets, uint64_t *count,
                   struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char day[DAY_TEXT_MAX];
    uint64_t room = 0;
    *offsets = NULL;
    *count = 0;
    day_print(day, before);
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT DISTINCT g.place FROM final_gone g JOIN task t ON t.id = g.task\n"
        "AND t.revision = g.revision WHERE g.file = ?1 AND t.bill_date < ?2 AND t.phase = 'DONE'\n"
        "ORDER BY g.place",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, file);
    sqlite_bind_text(s, 2, day);
    enum step step;
    while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE) {
        if (step == STEP_FAILED) {
            err = diag->err;
            break;
        }
        err = mem_list_more(offsets, *count, &room, 64, "reopened records", diag);
        if (err != OK)
            break;
        (*offsets)[(*count)++] = (uint64_t)sqlite_int(s, 0);
    }
    sqlite_finish(s);
    if (err != OK) {
        mem_give(*offsets);
        *offsets = NULL;
        *count = 0;
    }
    return err;
}

/* ---- I4 ---- */

int roll_adds_up(const struct roll *r)
{
    return r->opening + r->opened + r->reopened == r->resolved + r->expired + r->closing &&
           r->opening_sum + r->opened_sum + r->reopened_sum + r->changed_sum ==
               r->resolved_sum + r->expired_sum + r->closing_sum;
}

/* A 128-bit sum as text, in micro units, without a point. */
static void sum_text(char out[48], money_total sum)
{
    char digits[48];
    int n = 0, at = 0;
    unsigned __int128 left = sum < 0 ? -(unsigned __int128)sum : (unsigned __int128)sum;
    do {
        digits[n++] = (char)('0' + (int)(left % 10));
        left /= 10;
    } while (left);
    if (sum < 0)
        out[at++] = '-';
    while (n)
        out[at++] = digits[--n];
    out[at] = 0;
}

static money_total sum_read(const char *text)
{
    const int negative = *text == '-';
    money_total sum = 0;
    for (text += negative; *text >= '0' && *text <= '9'; text++)
        sum = sum * 10 + (*text - '0');
    return negative ? -sum : sum;
}

enum err roll_add(struct sqlite *db, int64_t task, int64_t revision, const struct roll *r, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err =
        sqlite_prepare(&s, db,
                       "INSERT OR REPLACE INTO roll_forward VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
                       "?11, ?12, ?13, ?14, ?15, ?16, ?17)",
                       diag);
    if (err != OK)
        return err;
    const uint64_t counts[] = {r->opening, r->opened, r->resolved, r->expired, r->reopened, r->closing};
    const money_total sums[] = {r->opening_sum,  r->opened_sum,  r->resolved_sum, r->expired_sum,
                                r->reopened_sum, r->closing_sum, r->changed_sum};
    char text[48];
    sqlite_bind_int(s, 1, task);
    sqlite_bind_int(s, 2, revision);
    sqlite_bind_int(s, 3, r->side);
    sqlite_bind_text(s, 4, currency_code(r->currency));
    for (int i = 0; i < 6; i++)
        sqlite_bind_int(s, 5 + i, (int64_t)counts[i]);
    for (int i = 0; i < 7; i++) {
        sum_text(text, sums[i]);
        sqlite_bind_text(s, 11 + i, text);
    }
    if (sqlite_step(s, diag) == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

enum err roll_each(struct sqlite *db, int64_t task, int64_t revision, roll_fn *each, void *context,
                   struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT side, currency, opening, opened, resolved, expired, reopened, closing,\n"
        "opening_sum, opened_sum, resolved_sum, expired_sum, reopened_sum, closing_sum,\n"
        "changed_sum FROM roll_forward WHERE task = ?1 AND revision = ?2 ORDER BY side, currency",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, task);
    sqlite_bind_int(s, 2, revision);
    enum step step;
    while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE) {
        if (step == STEP_FAILED) {
            err = diag->err;
            break;
        }
        struct roll r = {.side = (int)sqlite_int(s, 0),
                         .opening = (uint64_t)sqlite_int(s, 2),
                         .opened = (uint64_t)sqlite_int(s, 3),
                         .resolved = (uint64_t)sqlite_int(s, 4),
                         .expired = (uint64_t)sqlite_int(s, 5),
                         .reopened = (uint64_t)sqlite_int(s, 6),
                         .closing = (uint64_t)sqlite_int(s, 7)};
        const char *code = sqlite_text(s, 1);
        r.currency = currency_find(code, strlen(code));
        r.opening_sum = sum_read(sqlite_text(s, 8));
        r.opened_sum = sum_read(sqlite_text(s, 9));
        r.resolved_sum = sum_read(sqlite_text(s, 10));
        r.expired_sum = sum_read(sqlite_text(s, 11));
        r.reopened_sum = sum_read(sqlite_text(s, 12));
        r.closing_sum = sum_read(sqlite_text(s, 13));
        r.changed_sum = sum_read(sqlite_text(s, 14));
        err = each(context, &r, diag);
    }
    sqlite_finish(s);
    return err;
}

/* ---- what a log told ---- */

enum err log_day_add(struct sqlite *db, int64_t task, int64_t revision, int side, uint64_t records,
                     struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, db, "INSERT INTO log_day VALUES (?1, ?2, ?3, ?4)", diag);
    if (err == OK) {
        sqlite_bind_int(s, 1, task);
        sqlite_bind_int(s, 2, revision);
        sqlite_bind_int(s, 3, side);
        sqlite_bind_int(s, 4, (int64_t)records);
        if (sqlite_step(s, diag) == STEP_FAILED)
            err = diag->err;
    }
    sqlite_finish(s);
    return err;
}

int log_day_find(struct sqlite *db, const struct task *task, uint16_t date, int side, uint64_t *records,
                 char name[TASK_NAME_MAX], struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char day[DAY_TEXT_MAX];
    day_print(day, date);
    if (sqlite_prepare(
            &s, db,
            "SELECT l.records, t.name FROM log_day l JOIN task t ON t.id = l.task AND t.revision = "
            "l.revision\n"
            "WHERE t.channel_code = ?1 AND t.biz_type = ?2 AND t.bill_date = ?3 AND t.phase = 'DONE' "
            "AND l.side = ?4\n"
            "ORDER BY t.batch_no DESC LIMIT 1",
            diag) != OK)
        return -1;
    sqlite_bind_text(s, 1, task->channel_code);
    sqlite_bind_text(s, 2, task->biz_type);
    sqlite_bind_text(s, 3, day);
    sqlite_bind_int(s, 4, side);
    const enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE) {
        *records = (uint64_t)sqlite_int(s, 0);
        snprintf(name, TASK_NAME_MAX, "%s", sqlite_text(s, 1));
    }
    sqlite_finish(s);
    return step == STEP_FAILED ? -1 : step == STEP_MORE;
}

/* ---- neighbours ---- */

static int neighbour(struct sqlite *db, const char *sql, const struct task *task, struct arena *arena,
                     struct task *found, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char day[DAY_TEXT_MAX];
    day_print(day, task->day);
    if (sqlite_prepare(&s, db, sql, diag) != OK)
        return -1;
    sqlite_bind_text(s, 1, task->channel_code);
    sqlite_bind_text(s, 2, task->biz_type);
    sqlite_bind_text(s, 3, day);
    sqlite_bind_int(s, 4, task->batch_no);
    enum step step = sqlite_step(s, diag);
    const int64_t id = step == STEP_MORE ? sqlite_int(s, 0) : 0;
    sqlite_finish(s);
    if (step == STEP_FAILED)
        return -1;
    return id ? task_find(db, &(struct task_filter){.id = id}, arena, found, diag) : 0;
}

int task_before(struct sqlite *db, const struct task *task, struct arena *arena, struct task *before,
                struct diag *diag)
{
    return neighbour(
        db,
        "SELECT id FROM task WHERE channel_code = ?1 AND biz_type = ?2 AND phase <> 'CANCELLED'\n"
        "AND (bill_date, batch_no) < (?3, ?4) ORDER BY bill_date DESC, batch_no DESC LIMIT 1",
        task, arena, before, diag);
}

int task_after(struct sqlite *db, const struct task *task, struct arena *arena, struct task *after,
               struct diag *diag)
{
    return neighbour(db,
                     "SELECT id FROM task WHERE channel_code = ?1 AND biz_type = ?2 AND revision > 0\n"
                     "AND (bill_date, batch_no) > (?3, ?4) ORDER BY bill_date, batch_no LIMIT 1",
                     task, arena, after, diag);
}

int task_is_newest(struct sqlite *db, const struct task *task, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    char day[DAY_TEXT_MAX];
    int newest = -1;
    day_print(day, task->day);
    if (sqlite_prepare(&s, db,
                       "SELECT count(*) FROM task t JOIN verdict_segment g ON g.task = t.id AND g.revision = "
                       "t.revision\n"
                       "WHERE t.channel_code = ?1 AND t.biz_type = ?2 AND t.bill_date < ?3 AND g.number >\n"
                       "  (SELECT number FROM verdict_segment WHERE task = ?4 AND revision = ?5)",
                       diag) != OK)
        return -1;
    sqlite_bind_text(s, 1, task->channel_code);
    sqlite_bind_text(s, 2, task->biz_type);
    sqlite_bind_text(s, 3, day);
    sqlite_bind_int(s, 4, task->id);
    sqlite_bind_int(s, 5, task->revision);
    if (sqlite_step(s, diag) == STEP_MORE)
        newest = sqlite_int(s, 0) == 0;
    sqlite_finish(s);
    return newest;
}
