/* io/store/sqlite.c: see sqlite.h */
#include "io/store/sqlite.h"
#include "core/base/fault.h"
#include "core/base/mem.h"
#include "io/store/page_sum.h"
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#undef SQLITE_READ /* the library's own word for something else; here it is enum sqlite_mode's */

struct sqlite {
    sqlite3 *db;
    char *path;
    int busy_ms;
};

struct sqlite_statement {
    sqlite3_stmt *stmt;
    struct sqlite *db; /* borrowed */
};

/* SQLite needs that much beside its file: the index of its log, or a page and a header of the log itself. */
enum { ROOM_LEAST = 32768, BUSY_MS = 60000 };

static uint64_t free_bytes(const char *path)
{
    struct statvfs fs;
    return statvfs(path, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : UINT64_MAX;
}

static enum err disk_full(const struct sqlite *db, const char *what, const char *text, struct diag *diag)
{
    return diag_set(diag, ERR_MACHINE, "state.full", "make room on that disk, and run the same command again",
                    "%s: %s: %s: the disk is full: at least %d bytes are wanted, %llu are free there",
                    db->path, what, text, ROOM_LEAST, (unsigned long long)free_bytes(db->path));
}

static enum err fail(struct sqlite *db, int code, const char *what, struct diag *diag)
{
    const char *text = db->db ? sqlite3_errmsg(db->db) : sqlite3_errstr(code);
    if (code == SQLITE_IOERR_DATA)
        return diag_set(
            diag, ERR_STATE, "state.damaged", "bring it back from a backup, or move it away to begin anew",
            "%s: %s: is damaged: a page of it is not what was written: its sum differs", db->path, what);
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return mem_fail(diag, 0, "SQLite");
    case SQLITE_FULL:
        return disk_full(db, what, text, diag);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        if (free_bytes(db->path) < ROOM_LEAST)
            return disk_full(db, what, text, diag);
        return diag_set(diag, ERR_MACHINE, "state.io", "look at the disk and at who may write there",
                        "%s: %s: %s", db->path, what, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return diag_set(diag, ERR_STATE, "state.busy", "wait for the other program, or end it",
                        "%s: %s: %s: another program held it for %d s (SQLITE_BUSY)", db->path, what, text,
                        db->busy_ms / 1000);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return diag_set(diag, ERR_STATE, "state.damaged",
                        "bring it back from a backup, or move it away to begin anew", "%s: %s: %s", db->path,
                        what, text);
    default:
        return diag_set(diag, ERR_STATE, "state.sql", NULL, "%s: %s: %s", db->path, what, text);
    }
}

/* On a disk that has no room for the index of the log: with that index in memory, for which nobody else may have the file open. Whoever
 * had it open had made the index. Nothing is written. */
static int open_without_room(struct sqlite *db)
{
    int code =
        sqlite3_open_v2(db->path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, page_sum_vfs());
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(db->db, BUSY_MS);
    if (code == SQLITE_OK)
        code = sqlite3_extended_result_codes(db->db, 1);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(db->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (code == SQLITE_OK)
        code =
            sqlite3_exec(db->db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=ON; PRAGMA schema_version",
                         NULL, NULL, NULL);
    return code;
}

enum err sqlite_open(struct sqlite **out, const char *path, enum sqlite_mode mode, struct diag *diag)
{
    *out = NULL;
    struct sqlite *db = mem_take_zero(1, sizeof *db);
    if (!db || !(db->path = mem_copy_text(path, strlen(path)))) {
        mem_give(db);
        return mem_fail(diag, sizeof *db, "a database");
    }
    if (mode == SQLITE_CREATE) { /* SQLite itself would make it readable for all */
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
    }
    db->busy_ms = BUSY_MS;
    int flags = mode == SQLITE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (mode == SQLITE_CREATE)
        flags |= SQLITE_OPEN_CREATE;
    int code = sqlite3_open_v2(path, &db->db, flags | SQLITE_OPEN_NOMUTEX, page_sum_vfs());
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(db->db, BUSY_MS);
    if (code == SQLITE_OK)
        code = sqlite3_extended_result_codes(db->db, 1);
    if (code == SQLITE_OK && mode != SQLITE_READ)
        code =
            sqlite3_exec(db->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON",
                         NULL, NULL, NULL);
    if (code == SQLITE_OK && mode == SQLITE_READ) /* so that a damaged file is found here */
        code = sqlite3_exec(db->db, "PRAGMA schema_version", NULL, NULL, NULL);
    if (code != SQLITE_OK && code != SQLITE_IOERR_DATA && mode == SQLITE_READ &&
        ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN)) {
        sqlite3_close(db->db);
        db->db = NULL;
        code = open_without_room(db);
    }
    if (code != SQLITE_OK) {
        enum err err = fail(db, code, "cannot open it", diag);
        sqlite_close(db);
        return err;
    }
    *out = db;
    return OK;
}

void sqlite_close(struct sqlite *db)
{
    if (!db)
        return;
    sqlite3_close(db->db);
    mem_give(db->path);
    mem_give(db);
}

void sqlite_wait(struct sqlite *db, int busy_ms)
{
    db->busy_ms = busy_ms;
    sqlite3_busy_timeout(db->db, busy_ms);
}

int64_t sqlite_checkpoint(struct sqlite *db)
{
    int pages = 0, done = 0;
    sqlite3_busy_timeout(db->db, 0); /* a reader may have it as long as it likes */
    sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &pages, &done);
    return pages > done ? (int64_t)(pages - done) * 4096 : 0;
}

enum err sqlite_write_back(struct sqlite *db, struct diag *diag)
{
    int pages = 0, done = 0;
    int code = sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &pages, &done);
    return code == SQLITE_OK ? OK : fail(db, code, "cannot write it back", diag);
}

enum err sqlite_put_sums(struct sqlite *db, struct diag *diag)
{
    int bytes = PAGE_SUM_BYTES; /* what writing anew leaves free on each page */
    const int code = sqlite3_file_control(db->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
    return code == SQLITE_OK ? sqlite_exec(db, "VACUUM", diag) : fail(db, code, "cannot write", diag);
}

enum err sqlite_durable(struct sqlite *db, int durable, struct diag *diag)
{
    return sqlite_exec(db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", diag);
}

int64_t sqlite_changes(struct sqlite *db)
{
    return sqlite3_changes64(db->db);
}

int64_t sqlite_last_row(struct sqlite *db)
{
    return sqlite3_last_insert_rowid(db->db);
}

enum err sqlite_exec(struct sqlite *db, const char *sql, struct diag *diag)
{
    if (fault_now(FAULT_IO))
        return fail(db, SQLITE_IOERR, "made to fail", diag);
    int code = sqlite3_exec(db->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : fail(db, code, "cannot write", diag);
}

enum err sqlite_begin(struct sqlite *db, struct diag *diag)
{
    return sqlite_exec(db, "BEGIN IMMEDIATE", diag);
}

enum err sqlite_commit(struct sqlite *db, struct diag *diag)
{
    return sqlite_exec(db, "COMMIT", diag);
}

void sqlite_rollback(struct sqlite *db)
{
    if (!sqlite3_get_autocommit(db->db))
        sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

enum err sqlite_prepare(struct sqlite_statement **out, struct sqlite *db, const char *sql, struct diag *diag)
{
    *out = NULL;
    struct sqlite_statement *statement = mem_take_zero(1, sizeof *statement);
    if (!statement)
        return mem_fail(diag, sizeof *statement, "a statement");
    statement->db = db;
    int code = sqlite3_prepare_v3(db->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->stmt, NULL);
    if (code != SQLITE_OK) {
        mem_give(statement);
        return fail(db, code, sql, diag);
    }
    *out = statement;
    return OK;
}

void sqlite_finish(struct sqlite_statement *statement)
{
    if (!statement)
        return;
    sqlite3_finalize(statement->stmt);
    mem_give(statement);
}

/* A bind fails for lack of memory or for an index that is none; a step then has NULL there, which every column of
 * ours forbids. */
void sqlite_bind_int(struct sqlite_statement *statement, int index, int64_t value)
{
    sqlite3_bind_int64(statement->stmt, index, value);
}

void sqlite_bind_text(struct sqlite_statement *statement, int index, const char *text)
{
    sqlite3_bind_text(statement->stmt, index, text, -1, SQLITE_TRANSIENT);
}

void sqlite_bind_bytes(struct sqlite_statement *statement, int index, const void *bytes, size_t size)
{
    sqlite3_bind_blob64(statement->stmt, index, bytes, size, SQLITE_TRANSIENT);
}

enum step sqlite_step(struct sqlite_statement *statement, struct diag *diag)
{
    if (fault_now(FAULT_IO)) {
        fail(statement->db, SQLITE_IOERR, "made to fail", diag);
        sqlite_reset(statement);
        return STEP_FAILED;
    }
    int code = sqlite3_step(statement->stmt);
    if (code == SQLITE_ROW)
        return STEP_MORE;
    if (code != SQLITE_DONE)
        fail(statement->db, code, "cannot read or write", diag);
    sqlite_reset(statement);
    return code == SQLITE_DONE ? STEP_DONE : STEP_FAILED;
}

void sqlite_reset(struct sqlite_statement *statement)
{
    sqlite3_reset(statement->stmt);
    sqlite3_clear_bindings(statement->stmt);
}

int64_t sqlite_int(struct sqlite_statement *statement, int column)
{
    return sqlite3_column_int64(statement->stmt, column);
}

const char *sqlite_text(struct sqlite_statement *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement->stmt, column);
    return text ? (const char *)text : "";
}

const void *sqlite_bytes(struct sqlite_statement *statement, int column, size_t *size)
{
    const void *bytes = sqlite3_column_blob(statement->stmt, column);
    *size = (size_t)sqlite3_column_bytes(statement->stmt, column);
    return bytes;
}
