/* io/source/capture.c: see capture.h
 *
 * An event goes through the walk (io/format/binlog.h), which knows where transactions begin and how they end. What it wants of
 * an open transaction is appended to the segment at once; the first events of one wait in `head` until the watched table turns
 * up, since most transactions are about other tables. When a transaction ends, its bytes stay or are cut off again.
 */
#include "core/base/check.h"
#include "core/model/day.h"
#include "io/ring/sys.h"
#include "io/source/capture_inner.h"
#include "io/source/segments.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static const char schema[] =
    "CREATE TABLE capture (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL,"
    " tab TEXT NOT NULL, server TEXT NOT NULL, file TEXT NOT NULL, position INTEGER NOT NULL,"
    " exact INTEGER NOT NULL, gtids TEXT NOT NULL, file_time INTEGER NOT NULL,"
    " segment INTEGER NOT NULL, xa_segment INTEGER NOT NULL, transactions INTEGER NOT NULL,"
    " changes INTEGER NOT NULL, bytes INTEGER NOT NULL, commit_time INTEGER NOT NULL);"
    "CREATE TABLE segment (number INTEGER PRIMARY KEY, name TEXT NOT NULL, day INTEGER NOT NULL,"
    " size INTEGER NOT NULL);"
    "CREATE TABLE origin (segment INTEGER NOT NULL, offset INTEGER NOT NULL, file TEXT NOT NULL,"
    " high INTEGER NOT NULL, PRIMARY KEY (segment, offset)) WITHOUT ROWID;"
    "CREATE TABLE status (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL,"
    " said TEXT NOT NULL, heard INTEGER NOT NULL, lag INTEGER NOT NULL, rate INTEGER NOT NULL,"
    " complete INTEGER NOT NULL DEFAULT 0);"
    "INSERT INTO status VALUES (1, '', '', 0, -1, -1, 0);";

/* ---- opening ---- */

enum err capture_segment_path(const struct capture *c, const char *name, char out[4096], struct diag *diag)
{
    int n = snprintf(out, 4096, "%s/%s", c->directory, name);
    return n < 4096
               ? OK
               : diag_set(diag, ERR_USAGE, "path", NULL, "the path is too long: %.200s...", c->directory);
}

static enum err make_directory(const char *path, struct diag *diag)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1;; p++) {
        char end = *p;
        if (end != '/' && end)
            continue;
        *p = 0;
        int error = sys_mkdir(part, 0700);
        if (error && error != -EEXIST)
            return diag_set_errno(diag, -error, "capture.folder", "%s: cannot make the folder", part);
        if (!end)
            return OK;
        *p = '/';
    }
}

static enum err take_lock(struct capture *c, struct diag *diag)
{
    char path[4096];
    enum err err = capture_segment_path(c, "capture.lock", path, diag);
    if (err != OK)
        return err;
    c->lock = sys_open(path, O_RDWR | O_CREAT, 0600);
    if (c->lock < 0)
        return diag_set_errno(diag, -c->lock, "capture.lock", "%s: cannot open it", path);
    const int refused = sys_lock_alone(c->lock);
    if (refused && refused != -EWOULDBLOCK)
        return diag_set_errno(diag, -refused, "capture.lock", "%s: cannot lock it", path);
    if (refused)
        return diag_set(diag, ERR_STATE, "capture.running",
                        "end it first, or see `tieout capture JOB.yaml --status`",
                        "%s: another process captures into this folder", c->directory);
    return OK;
}

/* Whether status has what was added to it later; a capture that an older program made has not, until a newer one goes on with it. */
static enum err has_complete(int *out, struct sqlite *db, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db, "SELECT count(*) FROM pragma_table_info('status') WHERE name = 'complete'", diag);
    if (err != OK)
        return err;
    *out = sqlite_step(s, diag) == STEP_MORE && sqlite_int(s, 0) == 1;
    sqlite_finish(s);
    return diag->err;
}

static enum err read_complete(int64_t *out, struct sqlite *db, struct diag *diag)
{
    struct sqlite_statement *s;
    int is_there = 0;
    *out = 0;
    enum err err = has_complete(&is_there, db, diag);
    if (err != OK || !is_there)
        return err;
    err = sqlite_prepare(&s, db, "SELECT complete FROM status", diag);
    if (err == OK && sqlite_step(s, diag) == STEP_MORE)
        *out = sqlite_int(s, 0);
    sqlite_finish(s);
    return diag->err;
}

static enum err prepare_statements(struct capture *c, struct diag *diag)
{
    int is_there = 1;
    enum err err = has_complete(&is_there, c->db, diag);
    if (err == OK && !is_there)
        err = sqlite_exec(c->db, "ALTER TABLE status ADD COLUMN complete INTEGER NOT NULL DEFAULT 0", diag);
    if (err == OK)
        err = read_complete(&c->complete_us, c->db, diag);
    if (err == OK)
        err = sqlite_prepare(
            &c->put_capture, c->db,
            "INSERT OR REPLACE INTO capture VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", diag);
    if (err == OK)
        err = sqlite_prepare(&c->put_segment, c->db, "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?)",
                             diag);
    if (err == OK)
        err =
            sqlite_prepare(&c->put_origin, c->db, "INSERT OR REPLACE INTO origin VALUES (?, ?, ?, ?)", diag);
    if (err == OK)
        err = sqlite_prepare(
            &c->put_status, c->db,
            "UPDATE status SET state = ?, said = ?, heard = ?, lag = ?, rate = ?, complete = ? WHERE id = 1",
            diag);
    return err;
}

static enum err check_format(int64_t format, const char *directory, struct diag *diag)
{
    if (format == CAPTURE_FORMAT)
        return OK;
    return diag_set(diag, ERR_STATE, "state.version", "use the version of tieout that wrote it",
                    "%s/capture.db: this version reads format %d, the state has %lld", directory,
                    CAPTURE_FORMAT, (long long)format);
}

/* The state of an earlier process. */
static enum err load(struct capture *c, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, c->db,
        "SELECT format, tab, server, file, position, gtids, file_time, segment, xa_segment, transactions,"
        " changes, bytes, commit_time, exact FROM capture",
        diag);
    if (err != OK)
        return err;
    enum step step = sqlite_step(s, diag);
    if (step == STEP_MORE) {
        char table[600];
        snprintf(table, sizeof table, "%s.%s", c->columns.watch.database, c->columns.watch.table);
        err = check_format(sqlite_int(s, 0), c->directory, diag);
        if (err == OK && strcmp(sqlite_text(s, 1), table) != 0)
            err = diag_set(
                diag, ERR_STATE, "capture.table", "give the job another `dir:`, or move the folder away",
                "%s holds rows of %s, and the job reads %s", c->directory, sqlite_text(s, 1), table);
        snprintf(c->done.server, sizeof c->done.server, "%s", sqlite_text(s, 2));
        snprintf(c->done.file, sizeof c->done.file, "%s", sqlite_text(s, 3));
        c->done.offset = (uint64_t)sqlite_int(s, 4);
        if (err == OK)
            err = gtid_set_parse(&c->gtids, sqlite_text(s, 5), diag);
        c->done.file_time = (uint32_t)sqlite_int(s, 6);
        c->number = (uint32_t)sqlite_int(s, 7);
        c->xa_segment = (uint32_t)sqlite_int(s, 8);
        c->counts = (struct capture_counts){.transactions = (uint64_t)sqlite_int(s, 9),
                                            .rows = (uint64_t)sqlite_int(s, 10),
                                            .bytes = (uint64_t)sqlite_int(s, 11),
                                            .segments = c->number,
                                            .commit_time = sqlite_int(s, 12)};
        c->done.exact = (int)sqlite_int(s, 13);
    }
    sqlite_finish(s);
    return step == STEP_FAILED ? diag->err : err;
}

static enum err damaged(struct capture *c, const char *what, struct diag *diag)
{
    return diag_set(diag, ERR_STATE, "capture.damaged",
                    "bring it back from a backup, or move the folder away and start anew", "%s/%s: %s",
                    c->directory, c->segment_name, what);
}

/* Opens the newest segment as its checkpoint left it, and cuts off what lies behind. */
static enum err open_segment(struct capture *c, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(&s, c->db, "SELECT name, day, size FROM segment WHERE number = ?", diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, c->number);
    uint64_t size = 0;
    if (sqlite_step(s, diag) == STEP_MORE) {
        snprintf(c->segment_name, sizeof c->segment_name, "%s", sqlite_text(s, 0));
        c->day = (uint16_t)sqlite_int(s, 1);
        size = (uint64_t)sqlite_int(s, 2);
    }
    sqlite_finish(s);
    char path[4096];
    err = capture_segment_path(c, c->segment_name, path, diag);
    if (err != OK || diag->err != OK)
        return diag->err;
    c->fd = sys_open(path, O_RDWR, 0);
    if (c->fd < 0)
        return c->fd == -ENOENT ? damaged(c, "this segment is gone", diag)
                                : put_file_error(c, c->fd, "cannot open it", diag);
    struct stat st;
    int error = sys_fstat(c->fd, &st);
    if (error)
        return put_file_error(c, error, "cannot look at it", diag);
    if ((uint64_t)st.st_size < size)
        return damaged(c, "it is shorter than its checkpoint says", diag);
    if (ftruncate(c->fd, (off_t)size) != 0)
        return put_file_error(c, -errno, "cannot cut it", diag);
    uint8_t head[BINLOG_MAGIC_SIZE + BINLOG_HEADER_SIZE];
    if (sys_pread_full(c->fd, head, sizeof head, 0) != (ssize_t)sizeof head)
        return damaged(c, "it has no head", diag);
    size_t format_size = read_le32(head + BINLOG_MAGIC_SIZE + 9);
    if (format_size < BINLOG_HEADER_SIZE || format_size > 4096 ||
        !bytes_room(&c->segment_format, format_size) ||
        sys_pread_full(c->fd, c->segment_format.data, format_size, BINLOG_MAGIC_SIZE) != (ssize_t)format_size)
        return damaged(c, "its head is damaged", diag);
    c->segment_format.size = format_size;
    struct binlog_event event;
    event_read(&event, c->segment_format.data, BINLOG_MAGIC_SIZE, 0);
    if (binlog_format_read(&c->read_format, &event, c->segment_name, diag) == STEP_FAILED)
        return diag->err;
    c->written = size;
    return OK;
}

/* Goes over one segment, so that the walk knows the XA transactions that are prepared in it. */
static enum err walk_segment(struct capture *c, uint32_t number, const char *name, uint64_t size,
                             struct diag *diag)
{
    char path[4096];
    enum err err = capture_segment_path(c, name, path, diag);
    int fd = err == OK ? sys_open(path, O_RDONLY, 0) : -1;
    if (err == OK && fd < 0)
        return diag_set_errno(diag, -fd, "capture.io", "%s: cannot open it", path);
    binlog_walk_file(c->walk, path, number, size);
    uint64_t at = 0;
    enum step step = STEP_IDLE;
    while (err == OK && step != STEP_DONE && at < size) {
        size_t want = binlog_walk_need(c->walk) > CAPTURE_BUFFER ? binlog_walk_need(c->walk) : CAPTURE_BUFFER,
               taken = 0;
        if (want > size - at)
            want = (size_t)(size - at);
        if (!bytes_room(&c->head, want)) {
            err = mem_fail(diag, want, "a segment");
            break;
        }
        ssize_t n = sys_pread_full(fd, c->head.data, want, at);
        if (n != (ssize_t)want) {
            err = diag_set_errno(diag, n < 0 ? (int)-n : EIO, "capture.io", "%s: cannot read it", path);
            break;
        }
        step = binlog_walk_step(c->walk, c->head.data, want, at, SIZE_MAX, &taken, diag);
        at += taken;
        err = step == STEP_FAILED ? diag->err : OK;
        if (step == STEP_IDLE && taken == 0 && want == size - at)
            break;
    }
    sys_close(fd);
    return err == OK ? binlog_walk_end(c->walk, 1, (size_t)(size - at), diag) : err;
}

static enum err walk_prepared(struct capture *c, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, c->db, "SELECT number, name, size FROM segment WHERE number >= ? ORDER BY number", diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, c->xa_segment);
    while (err == OK && sqlite_step(s, diag) == STEP_MORE)
        err =
            walk_segment(c, (uint32_t)sqlite_int(s, 0), sqlite_text(s, 1), (uint64_t)sqlite_int(s, 2), diag);
    sqlite_finish(s);
    return err == OK ? diag->err : err;
}

enum err capture_open(struct capture **out, const struct job *job, enum side side, const char *directory,
                      struct diag *diag)
{
    *out = NULL;
    struct capture *c = mem_take_zero(1, sizeof *c);
    if (!c)
        return mem_fail(diag, sizeof *c, "a capture");
    c->job = job;
    c->fd = c->lock = c->folder = -1;
    c->done.gtids = "";
    snprintf(c->directory, sizeof c->directory, "%s", directory);
    log_columns_init(&c->columns, &job->sources[side]);
    enum err err = make_directory(directory, diag);
    if (err == OK)
        err = take_lock(c, diag);
    if (err == OK) {
        c->folder = sys_open(directory, O_RDONLY | O_DIRECTORY, 0);
        if (c->folder < 0)
            err = diag_set_errno(diag, -c->folder, "capture.folder", "%s: cannot open the folder", directory);
    }
    char path[4096];
    if (err == OK)
        err = capture_segment_path(c, "capture.db", path, diag);
    if (err == OK)
        err = sqlite_open(&c->db, path, SQLITE_CREATE, diag);
    int is_made = 0;
    if (err == OK)
        err = capture_is_made(&is_made, c->db, diag);
    if (err == OK && !is_made) {
        err = sqlite_begin(c->db, diag);
        if (err == OK)
            err = sqlite_exec(c->db, schema, diag);
        if (err == OK)
            err = sqlite_commit(c->db, diag);
    }
    if (err == OK)
        err = prepare_statements(c, diag);
    if (err == OK)
        err = day_zone_open(&c->zone, job->timezone, diag);
    if (err == OK)
        err = binlog_walk_open(&c->walk, &c->columns.options, diag);
    if (err == OK)
        err = binlog_rows_open(&c->rows, &c->columns.options, diag);
    if (err == OK)
        err = load(c, diag);
    if (err == OK && c->number)
        err = open_segment(c, diag);
    if (err == OK && c->xa_segment)
        err = walk_prepared(c, diag);
    if (err == OK && c->counts.rows)
        binlog_walk_seen(c->walk);
    if (err == OK && !bytes_room(&c->buffer, CAPTURE_BUFFER))
        err = mem_fail(diag, CAPTURE_BUFFER, "a capture's buffer");
    c->head.size = 0;
    if (err != OK) {
        capture_close(c);
        return err;
    }
    *out = c;
    return OK;
}

void capture_close(struct capture *c)
{
    if (!c)
        return;
    binlog_walk_close(c->walk);
    binlog_rows_close(c->rows);
    sqlite_finish(c->put_capture);
    sqlite_finish(c->put_segment);
    sqlite_finish(c->put_origin);
    sqlite_finish(c->put_status);
    sqlite_close(c->db);
    day_zone_close(c->zone);
    if (c->fd >= 0)
        sys_close(c->fd);
    if (c->folder >= 0)
        sys_close(c->folder);
    if (c->lock >= 0)
        sys_close(c->lock);
    mem_give(c->format.data);
    mem_give(c->segment_format.data);
    mem_give(c->buffer.data);
    mem_give(c->head.data);
    mem_give(c->origins);
    mem_give(c->gtids_text);
    gtid_set_fini(&c->gtids);
    mem_give(c);
}

const struct capture_counts *capture_counts(const struct capture *c)
{
    return &c->counts;
}

const struct capture_position *capture_position(const struct capture *capture)
{
    struct capture *c = (struct capture *)capture;
    mem_give(c->gtids_text);
    c->gtids_text = gtid_set_print(&c->gtids);
    c->done.gtids = c->gtids_text ? c->gtids_text : "";
    return &c->done;
}

/* ---- status ---- */

enum err capture_status_write(struct capture *c, const struct capture_status *status, struct diag *diag)
{
    sqlite_bind_text(c->put_status, 1, status->state);
    sqlite_bind_text(c->put_status, 2, status->said);
    sqlite_bind_int(c->put_status, 3, status->heard_us);
    sqlite_bind_int(c->put_status, 4, status->lag_ms);
    sqlite_bind_int(c->put_status, 5, status->rows_per_second);
    sqlite_bind_int(c->put_status, 6, status->complete_us);
    c->complete_us = status->complete_us;
    return sqlite_step(c->put_status, diag) == STEP_FAILED ? diag->err : OK;
}

int64_t capture_complete_us(const struct capture *c)
{
    return c->complete_us;
}

enum err capture_status_read(struct capture_status *status, const char *directory, struct diag *diag)
{
    char path[4096];
    struct stat st;
    memset(status, 0, sizeof *status);
    status->position.gtids = "";
    snprintf(path, sizeof path, "%s/capture.db", directory);
    if (sys_lstat(path, &st) != 0)
        return diag_set(diag, ERR_INPUT, "capture.none", "begin with: tieout capture JOB.yaml",
                        "%s: nothing was captured yet", directory);
    struct sqlite *db;
    struct sqlite_statement *s = NULL;
    int is_made = 0;
    enum err err = sqlite_open(&db, path, SQLITE_WRITE, diag);
    if (err == OK)
        err = capture_is_made(&is_made, db, diag);
    if (is_made)
        err = sqlite_prepare(
            &s, db,
            "SELECT format, server, file, position, gtids, file_time, segment, transactions, changes, bytes,"
            " commit_time, state, said, heard, lag, rate FROM capture, status",
            diag);
    if (is_made && err == OK && sqlite_step(s, diag) == STEP_MORE) {
        err = check_format(sqlite_int(s, 0), directory, diag);
        snprintf(status->position.server, sizeof status->position.server, "%s", sqlite_text(s, 1));
        snprintf(status->position.file, sizeof status->position.file, "%s", sqlite_text(s, 2));
        status->position.offset = (uint64_t)sqlite_int(s, 3);
        status->gtids = mem_copy_text(sqlite_text(s, 4), strlen(sqlite_text(s, 4)));
        status->position.file_time = (uint32_t)sqlite_int(s, 5);
        status->counts = (struct capture_counts){.transactions = (uint64_t)sqlite_int(s, 7),
                                                 .rows = (uint64_t)sqlite_int(s, 8),
                                                 .bytes = (uint64_t)sqlite_int(s, 9),
                                                 .segments = (uint64_t)sqlite_int(s, 6),
                                                 .commit_time = sqlite_int(s, 10)};
        snprintf(status->state, sizeof status->state, "%s", sqlite_text(s, 11));
        snprintf(status->said, sizeof status->said, "%s", sqlite_text(s, 12));
        status->heard_us = sqlite_int(s, 13);
        status->lag_ms = sqlite_int(s, 14);
        status->rows_per_second = sqlite_int(s, 15);
        if (!status->gtids)
            err = mem_fail(diag, 0, "a set of GTIDs");
    }
    sqlite_finish(s);
    if (err == OK && diag->err == OK && is_made)
        err = read_complete(&status->complete_us, db, diag);
    sqlite_close(db);
    snprintf(path, sizeof path, "%s/capture.lock", directory);
    int lock = sys_open(path, O_RDONLY, 0);
    if (lock >= 0) {
        status->running = sys_is_locked(lock);
        sys_close(lock);
    }
    return err == OK ? diag->err : err;
}
