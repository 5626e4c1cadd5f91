/* io/store/manifest.c: see manifest.h */
#include "io/store/manifest.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/store/sqlite.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { ID_TEXT = 33, SCHEMA_VERSION = 2 };

struct entry {
    struct source_file file;
    enum side side;
    struct source *source; /* borrowed */
    uint32_t index;        /* among its source's files */
    char content[DIGEST_TEXT];
    int error; /* of hashing */
    int64_t revision;
};

struct manifest {
    struct sqlite *db;
    int borrowed; /* the database is another's */
    char path[4096];
    const char *job; /* borrowed */
    char date[DAY_TEXT_MAX];
    struct entry *entries;
    uint32_t count;
    char id[ID_TEXT];
    int64_t serial; /* admissions so far */
    pthread_t thread;
    int running;
    _Atomic int stop;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS admitted_file (\n"
    "  job TEXT NOT NULL, bill_date TEXT NOT NULL, file TEXT NOT NULL, content TEXT NOT NULL,\n"
    "  bytes INTEGER NOT NULL, row_count INTEGER NOT NULL, revision INTEGER NOT NULL,\n"
    "  PRIMARY KEY (job, bill_date, file, content)) WITHOUT ROWID;\n"
    "CREATE INDEX IF NOT EXISTS admitted_file_content ON admitted_file (job, content);\n"
    "CREATE TABLE IF NOT EXISTS manifest (id TEXT NOT NULL, serial INTEGER NOT NULL);\n";

/* In a book's state, which knows by itself whose it is. */
const char manifest_schema[] =
    "CREATE TABLE admitted_file (\n"
    "  job TEXT NOT NULL, bill_date TEXT NOT NULL, file TEXT NOT NULL, content TEXT NOT NULL,\n"
    "  bytes INTEGER NOT NULL, row_count INTEGER NOT NULL, revision INTEGER NOT NULL,\n"
    "  side TEXT NOT NULL DEFAULT 'channel', PRIMARY KEY (job, bill_date, file, content)) WITHOUT ROWID;\n"
    "CREATE INDEX admitted_file_content ON admitted_file (job, content);\n";

static const char hint_backup[] = "bring the manifest back from a backup; to begin a new one, which knows "
                                  "nothing of earlier days, take its .mark away too";

/* ---- whose it is ---- */

static enum err one_row(struct manifest *m, const char *sql, int64_t *number, char *text, size_t room,
                        struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, m->db, sql, diag);
    if (err != OK)
        return err;
    enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE) {
        *number = sqlite_int(s, 0);
        if (text)
            snprintf(text, room, "%s", sqlite_text(s, 1));
    }
    sqlite_finish(s);
    return step == STEP_FAILED ? diag->err : OK;
}

/* "tieout manifest 1\nID SERIAL\n". 1: read; 0: there is none; -1 with `diag` filled. */
static int read_mark(const char *manifest, char id[ID_TEXT], int64_t *serial, struct diag *diag)
{
    char path[4200], text[200] = "";
    snprintf(path, sizeof path, "%s.mark", manifest);
    int fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd == -ENOENT)
        return 0;
    ssize_t n = fd < 0 ? fd : sys_pread_full(fd, text, sizeof text - 1, 0);
    if (fd >= 0)
        sys_close(fd);
    long long number = 0;
    if (n < 0)
        diag_set_errno(diag, (int)-n, "read", "%s: cannot read it", path);
    else if (sscanf(text, "tieout manifest 1\n%32s %lld\n", id, &number) != 2)
        diag_set(diag, ERR_STATE, "state.damaged", hint_backup,
                 "%s is damaged: it does not say whose manifest this is", path);
    else {
        *serial = number;
        return 1;
    }
    return -1;
}

/* Beside, fsynced, renamed: whole or not at all. */
static enum err write_mark(const struct manifest *m, struct diag *diag)
{
    char path[4200], text[200];
    snprintf(path, sizeof path, "%s.mark", m->path);
    const int n = snprintf(text, sizeof text, "tieout manifest 1\n%s %lld\n", m->id, (long long)m->serial);
    const int error = sys_replace(path, text, (size_t)n);
    return error ? diag_set_errno(diag, -error, "state.write", "%s: cannot write it", path) : OK;
}

static enum err new_id(char id[ID_TEXT], struct diag *diag)
{
    uint8_t random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return diag_set_errno(diag, errno, "random", "the kernel gives no random bytes");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(id + 2 * i, 3, "%02x", random[i]);
    return OK;
}

/* The tables are there, of this version, and whole. */
static enum err open_tables(struct manifest *m, struct diag *diag)
{
    int64_t version = 0, has_side = 0, has_book = 0;
    char found[200] = "ok";
    enum err err = one_row(m, "SELECT user_version, '' FROM pragma_user_version", &version, NULL, 0, diag);
    if (err == OK && version > SCHEMA_VERSION)
        return diag_set(diag, ERR_STATE, "state.newer",
                        "use the version of tieout that wrote it, or a newer one",
                        "%s was written by a newer version of tieout", m->path);
    if (err == OK)
        err = one_row(m, "SELECT 0, quick_check FROM pragma_quick_check(1)", &version, found, sizeof found,
                      diag);
    if (err == OK && strcmp(found, "ok") != 0)
        return diag_set(diag, ERR_STATE, "state.damaged", hint_backup, "%s is damaged: %s", m->path, found);
    if (err == OK)
        err = sqlite_begin(m->db, diag);
    if (err != OK)
        return err;
    err = sqlite_exec(m->db, schema, diag);
    if (err == OK)
        err = one_row(m, "SELECT count(*), '' FROM pragma_table_info('admitted_file') WHERE name = 'side'",
                      &has_side, NULL, 0, diag);
    if (err == OK && !has_side) /* older manifests hold the channel's files only */
        err = sqlite_exec(m->db, "ALTER TABLE admitted_file ADD COLUMN side TEXT NOT NULL DEFAULT 'channel'",
                          diag);
    if (err == OK)
        err = one_row(m, "SELECT count(*), '' FROM manifest", &has_book, NULL, 0, diag);
    if (err == OK && !has_book && (err = new_id(m->id, diag)) == OK) {
        struct sqlite_statement *s = NULL;
        err = sqlite_prepare(&s, m->db, "INSERT INTO manifest VALUES (?1, 0)", diag);
        if (err == OK) {
            sqlite_bind_text(s, 1, m->id);
            err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
        }
        sqlite_finish(s);
    }
    if (err == OK)
        err = sqlite_exec(m->db, "PRAGMA user_version = 2", diag);
    if (err == OK)
        return sqlite_commit(m->db, diag);
    sqlite_rollback(m->db);
    return err;
}

static enum err check_book(struct manifest *m, struct diag *diag)
{
    char id[ID_TEXT] = "";
    int64_t serial = 0;
    enum err err = one_row(m, "SELECT serial, id FROM manifest", &m->serial, m->id, sizeof m->id, diag);
    if (err != OK)
        return err;
    int marked = read_mark(m->path, id, &serial, diag);
    if (marked < 0)
        return diag->err;
    if (marked && strcmp(id, m->id) != 0)
        return diag_set(diag, ERR_STATE, "state.foreign", hint_backup,
                        "%s is another manifest than the one that %s.mark belongs to", m->path, m->path);
    if (marked && serial > m->serial)
        return diag_set(diag, ERR_STATE, "state.old", hint_backup,
                        "%s is an older copy: it has %lld admissions, and had %lld", m->path,
                        (long long)m->serial, (long long)serial);
    return marked && serial == m->serial ? OK : write_mark(m, diag);
}

enum err manifest_open(struct manifest **out, const char *path, const char *job, uint16_t date,
                       struct diag *diag)
{
    *out = NULL;
    struct manifest *m = mem_take_zero(1, sizeof *m);
    if (!m)
        return mem_fail(diag, sizeof *m, "the manifest");
    m->job = job;
    snprintf(m->path, sizeof m->path, "%s", path);
    day_print(m->date, date);
    struct stat st;
    char id[ID_TEXT];
    int64_t serial;
    int is_there = stat(path, &st) == 0, marked = is_there ? 1 : read_mark(path, id, &serial, diag);
    enum err err = marked < 0 ? diag->err : OK;
    if (!is_there && marked > 0)
        err = diag_set(diag, ERR_STATE, "state.missing", hint_backup,
                       "%s was there, with %lld admissions, and is gone", path, (long long)serial);
    if (err == OK)
        err = sqlite_open(&m->db, path, SQLITE_CREATE, diag);
    if (err == OK)
        err = open_tables(m, diag);
    if (err == OK)
        err = check_book(m, diag);
    if (err != OK) {
        manifest_close(m);
        return err;
    }
    *out = m;
    return OK;
}

enum err manifest_open_in(struct manifest **out, struct sqlite *db, const char *job, uint16_t date,
                          struct diag *diag)
{
    *out = NULL;
    struct manifest *m = mem_take_zero(1, sizeof *m);
    if (!m)
        return mem_fail(diag, sizeof *m, "the manifest");
    m->job = job;
    m->db = db;
    m->borrowed = 1;
    day_print(m->date, date);
    *out = m;
    return OK;
}

static int by_content(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->content, ((const struct entry *)b)->content);
}

void manifest_text(const struct manifest *m, char out[72])
{
    out[0] = 0;
    struct entry *sorted = m->count ? mem_take(m->count * sizeof *sorted) : NULL;
    struct digest *digest = sorted ? digest_open() : NULL;
    if (digest) {
        memcpy(sorted, m->entries, m->count * sizeof *sorted);
        qsort(sorted, m->count, sizeof *sorted, by_content);
        digest_begin(digest);
        for (uint32_t i = 0; i < m->count; i++)
            digest_put(digest, sorted[i].content, strlen(sorted[i].content) + 1);
        digest_end(digest, out);
        digest_close(digest);
    }
    mem_give(sorted);
}

void manifest_close(struct manifest *m)
{
    if (!m)
        return;
    atomic_store(&m->stop, 1);
    if (m->running)
        pthread_join(m->thread, NULL);
    if (!m->borrowed)
        sqlite_close(m->db);
    mem_give(m->entries);
    mem_give(m);
}

/* A file that is open only in turn may have another behind its name by now. */
static int hash_one(struct entry *e)
{
    if (e->file.fd >= 0)
        return digest_file(e->file.fd, e->file.file_size, "SHA256", e->content);
    struct stat st;
    int fd = sys_open(e->file.path, O_RDONLY | O_NONBLOCK, 0);
    int error = fd < 0 ? fd : sys_fstat(fd, &st);
    if (fd >= 0 && !error)
        error = (st.st_ino ^ (uint64_t)st.st_dev << 48) == e->file.fd_of
                    ? digest_file(fd, e->file.file_size, "SHA256", e->content)
                    : -ESTALE;
    if (fd >= 0)
        sys_close(fd);
    return error;
}

static void *hash_all(void *argument)
{
    struct manifest *m = argument;
    for (uint32_t i = 0; i < m->count && !atomic_load(&m->stop); i++) {
        struct entry *e = &m->entries[i];
        if (i && m->entries[i - 1].file.fd_of == e->file.fd_of) { /* another entry of the same archive */
            memcpy(e->content, m->entries[i - 1].content, sizeof e->content);
            e->error = m->entries[i - 1].error;
        } else {
            e->error = hash_one(e);
        }
    }
    return NULL;
}

enum err manifest_add(struct manifest *m, enum side side, struct source *source, struct diag *diag)
{
    struct source_file file;
    for (uint32_t i = 0; source->ops->file && source->ops->file(source, i, &file); i++) {
        struct entry *grown = mem_grow(m->entries, (m->count + 1) * sizeof *grown);
        if (!grown)
            return mem_fail(diag, (m->count + 1) * sizeof *grown, "the manifest");
        m->entries = grown;
        m->entries[m->count++] = (struct entry){.file = file, .side = side, .source = source, .index = i};
    }
    return OK;
}

enum err manifest_hash(struct manifest *m, struct diag *diag)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&m->thread, NULL, hash_all, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return diag_set_errno(diag, error, "thread", "cannot start a thread");
    m->running = 1;
    return OK;
}

/* Another date for which these bytes were admitted and stand; "" when there is none. What other bytes have taken the place of since is in
 * nobody's way. */
static enum err find_elsewhere(struct manifest *m, const struct entry *e, char date[DAY_TEXT_MAX],
                               struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err =
        sqlite_prepare(&s, m->db,
                       "SELECT bill_date FROM admitted_file a WHERE job = ?1 AND content = ?2 AND "
                       "bill_date <> ?3 AND side = ?4 AND NOT EXISTS (SELECT 1 FROM admitted_file "
                       "n WHERE n.job = a.job AND n.bill_date = a.bill_date AND n.side = a.side "
                       "AND n.file = a.file AND n.revision > a.revision) ORDER BY bill_date LIMIT 1",
                       diag);
    date[0] = 0;
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, m->job);
    sqlite_bind_text(s, 2, e->content);
    sqlite_bind_text(s, 3, m->date);
    sqlite_bind_text(s, 4, side_name(e->side));
    enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE)
        snprintf(date, DAY_TEXT_MAX, "%s", sqlite_text(s, 0));
    sqlite_finish(s);
    return step == STEP_FAILED ? diag->err : OK;
}

/* What was admitted under this name for this date: its newest revision, and which one these bytes are, if any. */
static enum err find_here(struct manifest *m, const struct entry *e, int64_t *newest, int64_t *same,
                          struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(
        &s, m->db,
        "SELECT coalesce(max(revision), 0), coalesce(max(revision) FILTER (WHERE content = ?4), 0) "
        "FROM admitted_file WHERE job = ?1 AND bill_date = ?2 AND file = ?3 AND side = ?5",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, m->job);
    sqlite_bind_text(s, 2, m->date);
    sqlite_bind_text(s, 3, e->file.name);
    sqlite_bind_text(s, 4, e->content);
    sqlite_bind_text(s, 5, side_name(e->side));
    enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE) {
        *newest = sqlite_int(s, 0);
        *same = sqlite_int(s, 1);
    }
    sqlite_finish(s);
    return step == STEP_FAILED ? diag->err : OK;
}

enum err manifest_check(struct manifest *m, struct diag *diag)
{
    if (m->running)
        pthread_join(m->thread, NULL);
    m->running = 0;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < m->count; i++) {
        struct entry *e = &m->entries[i];
        char elsewhere[DAY_TEXT_MAX];
        int64_t newest = 0, same = 0;
        if (e->error == 1)
            return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                            "%s became shorter while it was read", e->file.name);
        if (e->error)
            return diag_set_errno(diag, -e->error, "digest", "%s: cannot take its hash", e->file.name);
        e->source->ops->file(e->source, e->index, &e->file); /* its rows are counted by now */
        err = find_elsewhere(m, e, elsewhere, diag);
        if (err == OK && elsewhere[0] && e->file.rows)
            return diag_set(diag, ERR_INPUT, "manifest.doubled",
                            "get the file of this date. If it is the right one, the wrong one was taken for "
                            "the other date: put "
                            "the right one there, do that day again (tieout task rerun), and then this one "
                            "(tieout task retry). "
                            "Outside of a book, jobs with a manifest each may share one file",
                            "%s holds the very bytes that were admitted for %s (%s)", e->file.name, elsewhere,
                            e->content);
        if (err == OK)
            err = find_here(m, e, &newest, &same, diag);
        e->revision = same && same == newest ? same : newest + 1; /* what is admitted last stands */
        if (err == OK && newest && !same)
            fprintf(
                stderr,
                "note: %s is a restatement: other bytes were admitted for %s before; this is revision %lld\n",
                e->file.name, m->date, (long long)e->revision);
        else if (err == OK && same && same < newest)
            fprintf(stderr, "note: %s is revision %lld of %lld again\n", e->file.name, (long long)same,
                    (long long)newest);
        for (uint32_t k = 0; err == OK && k < i; k++)
            if (m->entries[k].side == e->side && m->entries[k].file.fd_of != e->file.fd_of &&
                strcmp(m->entries[k].content, e->content) == 0)
                fprintf(stderr, "note: %s and %s have the same content; their rows are there twice\n",
                        m->entries[k].file.name, e->file.name);
    }
    return err;
}

enum err manifest_admit(struct manifest *m, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = m->borrowed ? OK : sqlite_begin(m->db, diag);
    if (err != OK)
        return err;
    err = sqlite_prepare(&s, m->db,
                         "INSERT INTO admitted_file (job, bill_date, file, content, bytes, row_count, "
                         "revision, side) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)\n"
                         "ON CONFLICT (job, bill_date, file, content) DO UPDATE SET revision = max(revision, "
                         "excluded.revision)",
                         diag);
    for (uint32_t i = 0; err == OK && i < m->count; i++) {
        const struct entry *e = &m->entries[i];
        sqlite_bind_text(s, 1, m->job);
        sqlite_bind_text(s, 2, m->date);
        sqlite_bind_text(s, 3, e->file.name);
        sqlite_bind_text(s, 4, e->content);
        sqlite_bind_int(s, 5, (int64_t)e->file.file_size);
        sqlite_bind_int(s, 6, (int64_t)e->file.rows);
        sqlite_bind_int(s, 7, e->revision);
        sqlite_bind_text(s, 8, side_name(e->side));
        if (sqlite_step(s, diag) == STEP_FAILED)
            err = diag->err;
    }
    sqlite_finish(s);
    if (m->borrowed)
        return err;
    if (err == OK)
        err = sqlite_exec(m->db, "UPDATE manifest SET serial = serial + 1", diag);
    if (err != OK) {
        sqlite_rollback(m->db);
        return err;
    }
    err = sqlite_commit(m->db, diag);
    m->serial++;
    return err == OK ? write_mark(m, diag) : err;
}
