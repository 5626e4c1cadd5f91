/* io/store/log_book.c: see log_book.h */
#include "io/store/log_book.h"
#include "core/base/mem.h"
#include <stdio.h>
#include <string.h>

const char log_book_schema[] =
    "CREATE TABLE IF NOT EXISTS log_begin (task INTEGER NOT NULL REFERENCES task(id), revision INTEGER NOT "
    "NULL,\n"
    "  side INTEGER NOT NULL, file TEXT NOT NULL, PRIMARY KEY (task, revision, side)) WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS log_told (task INTEGER NOT NULL REFERENCES task(id), revision INTEGER NOT "
    "NULL,\n"
    "  side INTEGER NOT NULL, day INTEGER NOT NULL, sums BLOB NOT NULL,\n"
    "  PRIMARY KEY (task, revision, side, day)) WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS log_tables (task INTEGER NOT NULL REFERENCES task(id), revision INTEGER NOT "
    "NULL,\n"
    "  side INTEGER NOT NULL, tables BLOB NOT NULL, PRIMARY KEY (task, revision, side)) WITHOUT ROWID;\n";

static int is_empty(const struct log_sums *sums)
{
    static const struct log_sums none;
    return memcmp(sums, &none, sizeof none) == 0;
}

/* The first three values of a row: which revision of which task, and which side. */
static void bind_task(struct sqlite_statement *s, const struct task *task, int side)
{
    sqlite_bind_int(s, 1, task->id);
    sqlite_bind_int(s, 2, task->wanted);
    sqlite_bind_int(s, 3, side);
}

enum err log_book_add(struct sqlite *db, const struct task *task, int side, const char *begin,
                      const struct log_sums told[LOG_DAYS], const struct log_sums ahead[LOG_AHEAD + 1],
                      struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, db, "INSERT INTO log_begin VALUES (?1, ?2, ?3, ?4)", diag);
    if (err != OK)
        return err;
    bind_task(s, task, side);
    sqlite_bind_text(s, 4, begin);
    if (sqlite_step(s, diag) == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    s = NULL;
    if (err == OK)
        err = sqlite_prepare(&s, db, "INSERT INTO log_told VALUES (?1, ?2, ?3, ?4, ?5)", diag);
    for (int back = -LOG_AHEAD; err == OK && back < LOG_DAYS && back < task->day; back++) {
        const struct log_sums *sums = back < 0 ? &ahead[-back] : &told[back];
        if (is_empty(sums))
            continue;
        bind_task(s, task, side);
        sqlite_bind_int(s, 4, task->day - back);
        sqlite_bind_bytes(s, 5, sums, sizeof *sums);
        if (sqlite_step(s, diag) == STEP_FAILED)
            err = diag->err;
    }
    sqlite_finish(s);
    return err;
}

static enum err take_sums(struct sqlite_statement *s, uint16_t day, struct log_sums told[LOG_DAYS],
                          struct log_sums ahead[LOG_AHEAD + 1], struct diag *diag)
{
    size_t size;
    const int64_t back = day - sqlite_int(s, 0);
    const void *bytes = sqlite_bytes(s, 1, &size);
    if (size != sizeof *told)
        return diag_set(diag, ERR_STATE, "state.log_told", "bring the whole state folder back from a backup",
                        "what a log told of a day has %zu bytes, and not %zu", size, sizeof *told);
    if (back > 0 && back < LOG_DAYS)
        memcpy(&told[back], bytes, size);
    else if (back <= 0 && back >= -LOG_AHEAD)
        memcpy(&ahead[-back], bytes, size);
    return OK;
}

int log_book_read(struct sqlite *db, const struct task *before, uint16_t day, int side,
                  char begin[LOG_BEGIN_MAX], struct log_sums told[LOG_DAYS],
                  struct log_sums ahead[LOG_AHEAD + 1], struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    memset(told, 0, LOG_DAYS * sizeof *told);
    memset(ahead, 0, (LOG_AHEAD + 1) * sizeof *ahead);
    if (sqlite_prepare(&s, db, "SELECT file FROM log_begin WHERE task = ?1 AND revision = ?2 AND side = ?3",
                       diag) != OK)
        return -1;
    sqlite_bind_int(s, 1, before->id);
    sqlite_bind_int(s, 2, before->revision);
    sqlite_bind_int(s, 3, side);
    enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE)
        snprintf(begin, LOG_BEGIN_MAX, "%s", sqlite_text(s, 0));
    sqlite_finish(s);
    if (step != STEP_MORE)
        return step == STEP_FAILED ? -1 : 0;
    s = NULL;
    if (sqlite_prepare(&s, db,
                       "SELECT day, sums FROM log_told WHERE task = ?1 AND revision = ?2 AND side = ?3",
                       diag) != OK)
        return -1;
    sqlite_bind_int(s, 1, before->id);
    sqlite_bind_int(s, 2, before->revision);
    sqlite_bind_int(s, 3, side);
    enum err err = OK;
    while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE)
        err = step == STEP_FAILED ? diag->err : take_sums(s, day, told, ahead, diag);
    sqlite_finish(s);
    return err == OK ? 1 : -1;
}

enum err log_tables_add(struct sqlite *db, const struct task *task, int side, struct span tables,
                        struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    if (tables.size == 0)
        return OK;
    enum err err = sqlite_prepare(&s, db, "INSERT INTO log_tables VALUES (?1, ?2, ?3, ?4)", diag);
    if (err != OK)
        return err;
    bind_task(s, task, side);
    sqlite_bind_bytes(s, 4, tables.data, tables.size);
    if (sqlite_step(s, diag) == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

enum err log_tables_read(struct sqlite *db, const struct task *before, int side, struct text *out,
                         struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(
        &s, db, "SELECT tables FROM log_tables WHERE task = ?1 AND revision = ?2 AND side = ?3", diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, before->id);
    sqlite_bind_int(s, 2, before->revision);
    sqlite_bind_int(s, 3, side);
    const enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE) {
        size_t size;
        const void *bytes = sqlite_bytes(s, 0, &size);
        text_put(out, bytes, size);
    }
    sqlite_finish(s);
    return step == STEP_FAILED ? diag->err : out->failed ? mem_fail(diag, 0, "what is kept of a table") : OK;
}
