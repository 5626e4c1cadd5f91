/* io/source/capture.c: see capture.h
 *
 * An event goes through the walk (io/format/binlog.h), which knows where transactions begin and how they end. What it wants of
 * an open transaction is appended to the segment at once; the first events of one wait in `head` until the watched table turns
 * up, since most transactions are about other tables. When a transaction ends, its bytes stay or are cut off again.
 */
#include "io/source/capture.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/model/day.h"
#include "io/format/binlog_event.h"
#include "io/format/crc32.h"
#include "io/format/gtid_set.h"
#include "io/ring/sys.h"
#include "io/source/log_columns.h"
#include "io/source/log_name.h"
#include "io/store/sqlite.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/time.h>
#include <unistd.h>

enum { FORMAT = 1, BUFFER_BYTES = 1 << 20, EVENT_FLAG_ARTIFICIAL = 0x20 };

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
    " said TEXT NOT NULL, heard INTEGER NOT NULL, lag INTEGER NOT NULL, rate INTEGER NOT NULL);"
    "INSERT INTO status VALUES (1, '', '', 0, -1, -1);";

struct origin {
    uint32_t segment;
    uint64_t offset, high;
    char file[256];
};

struct bytes {
    uint8_t *data;
    size_t size, room;
};

struct capture {
    const struct job *job;
    char directory[3800];
    int lock, folder; /* descriptors */
    struct sqlite *db;
    struct sqlite_statement *put_capture, *put_segment, *put_origin, *put_status;
    struct zone *zone;
    struct log_columns columns;
    struct binlog_walk *walk;
    struct binlog_rows *rows;

    /* The stream. */
    char name[256]; /* file of the server; what the walk's messages call it */
    uint32_t file_index, file_time;
    uint64_t position;
    int have_format, connected;
    struct binlog_gtid gtid; /* of the transaction at hand */
    uint32_t group_time;
    int has_wanted;      /* the transaction at hand has bytes in the segment */
    size_t prepared;     /* before it */
    struct bytes format; /* the FORMAT_DESCRIPTION as segments hold it */

    /* The segment that is written. */
    int fd; /* -1: none */
    uint32_t number;
    uint16_t day;
    char segment_name[32];
    struct bytes segment_format; /* its FORMAT_DESCRIPTION */
    struct binlog_format read_format;
    uint64_t written; /* bytes in the file; the buffer's lie behind */
    uint64_t group_begin, checked, group_rows;
    struct bytes buffer, head;
    struct origin *origins; /* of no checkpoint yet */
    size_t origin_count, origin_room;
    char origin_file[256];
    uint64_t origin_high;

    /* What is done: the next checkpoint. */
    struct capture_position done;
    char *gtids_text;
    struct gtid_set gtids;
    uint32_t xa_segment; /* the oldest that holds an undecided XA transaction; 0: none */
    struct capture_counts counts;
    int due;
};

static enum err put_file_error(struct capture *c, int error, const char *what, struct diag *diag)
{
    return diag_set_errno(diag, -error, "capture.io", "%s/%s: %s", c->directory, c->segment_name, what);
}

static int bytes_room(struct bytes *b, size_t more)
{
    if (b->size + more <= b->room)
        return 1;
    size_t room = b->room ? b->room : 4096;
    while (room < b->size + more)
        room *= 2;
    uint8_t *grown = mem_grow(b->data, room);
    if (!grown)
        return 0;
    b->data = grown;
    b->room = room;
    return 1;
}

static uint64_t segment_end(const struct capture *c)
{
    return c->written + c->buffer.size;
}

static int group_is_open(const struct capture *c)
{
    return c->have_format && binlog_walk_pending_begin(c->walk) != c->position;
}

static void le32_put(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

/* ---- opening ---- */

static enum err segment_path(const struct capture *c, const char *name, char out[4096], struct diag *diag)
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
    enum err err = segment_path(c, "capture.lock", path, diag);
    if (err != OK)
        return err;
    c->lock = sys_open(path, O_RDWR | O_CREAT, 0600);
    if (c->lock < 0)
        return diag_set_errno(diag, -c->lock, "capture.lock", "%s: cannot open it", path);
    if (flock(c->lock, LOCK_EX | LOCK_NB) != 0)
        return diag_set(diag, ERR_STATE, "capture.running",
                        "end it first, or see `tieout capture JOB.yaml --status`",
                        "%s: another process captures into this folder", c->directory);
    return OK;
}

static enum err prepare_statements(struct capture *c, struct diag *diag)
{
    enum err err = sqlite_prepare(
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
            "UPDATE status SET state = ?, said = ?, heard = ?, lag = ?, rate = ? WHERE id = 1", diag);
    return err;
}

static enum err check_format(int64_t format, const char *directory, struct diag *diag)
{
    if (format == FORMAT)
        return OK;
    return diag_set(diag, ERR_STATE, "state.version", "use the version of tieout that wrote it",
                    "%s/capture.db: this version reads format %d, the state has %lld", directory, FORMAT,
                    (long long)format);
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
    err = segment_path(c, c->segment_name, path, diag);
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
    enum err err = segment_path(c, name, path, diag);
    int fd = err == OK ? sys_open(path, O_RDONLY, 0) : -1;
    if (err == OK && fd < 0)
        return diag_set_errno(diag, -fd, "capture.io", "%s: cannot open it", path);
    binlog_walk_file(c->walk, path, number, size);
    uint64_t at = 0;
    enum step step = STEP_IDLE;
    while (err == OK && step != STEP_DONE && at < size) {
        size_t want = binlog_walk_need(c->walk) > BUFFER_BYTES ? binlog_walk_need(c->walk) : BUFFER_BYTES,
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
        err = segment_path(c, "capture.db", path, diag);
    if (err == OK)
        err = sqlite_open(&c->db, path, SQLITE_CREATE, diag);
    char have[8] = "";
    struct sqlite_statement *s = NULL;
    if (err == OK)
        err = sqlite_prepare(&s, c->db, "SELECT 'yes' FROM sqlite_master WHERE name = 'capture'", diag);
    if (err == OK && sqlite_step(s, diag) == STEP_MORE)
        snprintf(have, sizeof have, "%s", sqlite_text(s, 0));
    sqlite_finish(s);
    if (err == OK && !have[0]) {
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
    if (err == OK && !bytes_room(&c->buffer, BUFFER_BYTES))
        err = mem_fail(diag, BUFFER_BYTES, "a capture's buffer");
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

/* ---- the checkpoint ---- */

static enum err save(struct capture *c, struct diag *diag)
{
    char table[600], *gtids = gtid_set_print(&c->gtids);
    if (!gtids)
        return mem_fail(diag, 0, "a set of GTIDs");
    snprintf(table, sizeof table, "%s.%s", c->columns.watch.database, c->columns.watch.table);
    struct sqlite_statement *s = c->put_capture;
    sqlite_bind_int(s, 1, FORMAT);
    sqlite_bind_text(s, 2, table);
    sqlite_bind_text(s, 3, c->done.server);
    sqlite_bind_text(s, 4, c->done.file);
    sqlite_bind_int(s, 5, (int64_t)c->done.offset);
    sqlite_bind_int(s, 6, c->done.exact);
    sqlite_bind_text(s, 7, gtids);
    sqlite_bind_int(s, 8, c->done.file_time);
    sqlite_bind_int(s, 9, c->number);
    sqlite_bind_int(s, 10, c->xa_segment);
    sqlite_bind_int(s, 11, (int64_t)c->counts.transactions);
    /* Those of a transaction that is not over yet are not covered. */
    sqlite_bind_int(s, 12, (int64_t)(group_is_open(c) && c->has_wanted ? c->group_rows : c->counts.rows));
    sqlite_bind_int(s, 13, (int64_t)c->counts.bytes);
    sqlite_bind_int(s, 14, c->counts.commit_time);
    mem_give(gtids);
    return sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
}

static enum err save_segment(struct capture *c, uint32_t number, const char *name, uint16_t day,
                             uint64_t size, struct diag *diag)
{
    sqlite_bind_int(c->put_segment, 1, number);
    sqlite_bind_text(c->put_segment, 2, name);
    sqlite_bind_int(c->put_segment, 3, day);
    sqlite_bind_int(c->put_segment, 4, (int64_t)size);
    return sqlite_step(c->put_segment, diag) == STEP_FAILED ? diag->err : OK;
}

static enum err save_origins(struct capture *c, struct diag *diag)
{
    for (size_t i = 0; i < c->origin_count; i++) {
        sqlite_bind_int(c->put_origin, 1, c->origins[i].segment);
        sqlite_bind_int(c->put_origin, 2, (int64_t)c->origins[i].offset);
        sqlite_bind_text(c->put_origin, 3, c->origins[i].file);
        sqlite_bind_int(c->put_origin, 4, (int64_t)c->origins[i].high);
        if (sqlite_step(c->put_origin, diag) == STEP_FAILED)
            return diag->err;
    }
    return OK;
}

/* Decodes what lies in the buffer and was not decoded yet: rows that could not be read later must stop the stream now. */
static enum err check_rows(struct capture *c, struct diag *diag)
{
    uint64_t end = segment_end(c);
    if (c->checked < c->group_begin)
        c->checked = c->group_begin;
    if (c->checked >= end || !c->has_wanted)
        return OK;
    struct binlog_group group = {.begin = c->group_begin,
                                 .end = UINT64_MAX,
                                 .file_index = c->number,
                                 .committed = 1,
                                 .touches_watched = 1};
    struct binlog_piece piece = {.file_name = c->segment_name,
                                 .bytes = c->buffer.data + (c->checked - c->written),
                                 .size = (size_t)(end - c->checked),
                                 .file_offset = c->checked,
                                 .format = &c->read_format,
                                 .groups = &group,
                                 .group_count = 1};
    const struct binlog_row *row;
    enum step step;
    struct diag found = {0};
    binlog_rows_begin(c->rows, &piece);
    while ((step = binlog_rows_step(c->rows, &row, &found)) == STEP_MORE) {
        const struct binlog_table *table = row->table;
        c->counts.rows++;
        if (c->job->sources[LOCAL].occurrence_count == 0 && (!table->key_known || table->key_count == 0))
            diag_set(&found, ERR_INPUT, "binlog.key",
                     "name the columns that identify a row with `occurrence_id:`, or SET GLOBAL "
                     "binlog_row_metadata=FULL",
                     "table %s.%s: %s, so row changes cannot be told apart", table->database, table->name,
                     table->key_known ? "it has no primary key" : "the log does not tell its primary key");
        for (int i = 0; i < c->columns.needed_count && found.err == OK; i++) {
            int column = table->needed[i];
            if (column < 0)
                diag_set(&found, ERR_INPUT, "binlog.column",
                         "correct the job's column, or bring the table's back",
                         "table %s.%s has no column \"%s\", which the job reads", table->database,
                         table->name, c->columns.needed[i]);
            else if ((row->before && row->before[column].kind == CELL_ABSENT) ||
                     (row->after && row->after[column].kind == CELL_ABSENT))
                diag_set(&found, ERR_INPUT, "binlog.image", "SET GLOBAL binlog_row_image=FULL on the server",
                         "row %u of table %s.%s: its image does not hold column \"%s\" (a MINIMAL or NOBLOB "
                         "image)",
                         row->row_index, table->database, table->name, c->columns.needed[i]);
        }
        if (found.err != OK)
            break;
    }
    if (found.err != OK) /* the server's place, not the segment's */
        return diag_set(diag, found.err, found.code, found.hint[0] ? found.hint : NULL,
                        "%s@%llu: in or before this event: %s", c->name, (unsigned long long)c->position,
                        found.what);
    c->checked = end;
    return OK;
}

static enum err flush(struct capture *c, struct diag *diag)
{
    enum err err = check_rows(c, diag);
    if (err != OK || c->buffer.size == 0)
        return err;
    int error = sys_pwrite_full(c->fd, c->buffer.data, c->buffer.size, c->written);
    if (error)
        return put_file_error(c, error, "cannot write", diag);
    c->written += c->buffer.size;
    c->buffer.size = 0;
    return OK;
}

static enum err commit(struct capture *c, uint64_t size, uint32_t old_number, const char *old_name,
                       uint16_t old_day, uint64_t old_size, struct diag *diag)
{
    enum err err = sqlite_begin(c->db, diag);
    if (err == OK && old_number)
        err = save_segment(c, old_number, old_name, old_day, old_size, diag);
    if (err == OK && c->number)
        err = save_segment(c, c->number, c->segment_name, c->day, size, diag);
    if (err == OK)
        err = save_origins(c, diag);
    if (err == OK)
        err = save(c, diag);
    if (err == OK)
        err = sqlite_commit(c->db, diag);
    if (err != OK)
        sqlite_rollback(c->db);
    else
        c->origin_count = 0; /* not before: the next try must bring them again */
    return err;
}

int capture_due(const struct capture *c)
{
    return c->due;
}

enum err capture_checkpoint(struct capture *c, struct diag *diag)
{
    if (!c->due)
        return OK;
    enum err err = flush(c, diag);
    if (err != OK)
        return err;
    int error = c->fd >= 0 ? sys_fsync(c->fd) : 0;
    if (error)
        return put_file_error(c, error, "cannot bring it to the disk", diag);
    err = commit(c, group_is_open(c) && c->has_wanted ? c->group_begin : segment_end(c), 0, NULL, 0, 0, diag);
    if (err == OK)
        c->due = 0;
    return err;
}

enum err capture_start(struct capture *c, const struct capture_position *position, struct diag *diag)
{
    c->done = *position;
    gtid_set_fini(&c->gtids);
    enum err err = gtid_set_parse(&c->gtids, position->gtids, diag);
    c->done.gtids = "";
    c->done.exact = position->file[0] != 0;
    c->due = 1;
    return err == OK ? capture_checkpoint(c, diag) : err;
}

enum err capture_discard(struct capture *c, struct diag *diag)
{
    CHECK(!c->done.server[0]);
    if (c->fd >= 0)
        sys_close(c->fd);
    c->fd = -1;
    c->number = 0;
    c->buffer.size = 0;
    c->written = 0;
    c->origin_count = 0;
    c->done = (struct capture_position){.gtids = ""};
    gtid_set_fini(&c->gtids);
    c->counts = (struct capture_counts){0};
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(&s, c->db, "SELECT name FROM segment", diag);
    char path[4096];
    while (err == OK && sqlite_step(s, diag) == STEP_MORE)
        if ((err = segment_path(c, sqlite_text(s, 0), path, diag)) == OK)
            sys_unlink(path);
    sqlite_finish(s);
    if (err == OK)
        err = sqlite_begin(c->db, diag);
    if (err == OK)
        err = sqlite_exec(c->db, "DELETE FROM segment; DELETE FROM origin; DELETE FROM capture", diag);
    return err == OK ? sqlite_commit(c->db, diag) : err;
}

/* ---- segments ---- */

/* Appends an event of our own making to the buffer. `type` ROTATE with the next segment's name. */
static enum err append_rotate(struct capture *c, const char *next, struct diag *diag)
{
    uint8_t event[BINLOG_HEADER_SIZE + 8 + 64 + 4] = {0};
    size_t name_size = strlen(next), size = BINLOG_HEADER_SIZE + 8 + name_size + 4;
    CHECK(name_size < 64);
    event[4] = EVENT_ROTATE;
    le32_put(event + 9, (uint32_t)size);
    le32_put(event + 13, (uint32_t)(segment_end(c) + size));
    event[BINLOG_HEADER_SIZE] = BINLOG_MAGIC_SIZE;
    memcpy(event + BINLOG_HEADER_SIZE + 8, next, name_size);
    le32_put(event + size - 4, crc32_update(0, event, size - 4));
    if (!bytes_room(&c->buffer, size))
        return mem_fail(diag, size, "a capture's buffer");
    memcpy(c->buffer.data + c->buffer.size, event, size);
    c->buffer.size += size;
    return OK;
}

/* Ends the segment, if there is one, and begins the next. Both are on disk before the checkpoint says so. */
static enum err next_segment(struct capture *c, uint16_t day, struct diag *diag)
{
    char name[32], date[DAY_TEXT_MAX], path[4096], old_name[32];
    uint32_t old_number = c->number;
    uint16_t old_day = c->day;
    uint64_t old_size = 0;
    day_print(date, day);
    snprintf(name, sizeof name, "%s.%06u", date, old_number + 1);
    snprintf(old_name, sizeof old_name, "%s", c->segment_name);
    enum err err = segment_path(c, name, path, diag);
    c->has_wanted = 0;
    if (err == OK && c->fd >= 0) {
        err = append_rotate(c, name, diag);
        if (err == OK)
            err = flush(c, diag);
        old_size = c->written;
        int error = err == OK ? sys_fsync(c->fd) : 0;
        if (error)
            err = put_file_error(c, error, "cannot bring it to the disk", diag);
        sys_close(c->fd);
        c->fd = -1;
    }
    if (err != OK)
        return err;
    snprintf(c->segment_name, sizeof c->segment_name, "%s", name);
    c->number++;
    c->day = day;
    c->buffer.size = 0;
    c->written = c->checked = 0;
    c->origin_file[0] = 0;
    c->counts.segments = c->number;
    c->fd = sys_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (c->fd < 0)
        return put_file_error(c, c->fd, "cannot make it", diag);
    struct binlog_event event;
    if (!bytes_room(&c->segment_format, c->format.size) ||
        !bytes_room(&c->buffer, c->format.size + BINLOG_MAGIC_SIZE))
        return mem_fail(diag, c->format.size, "a segment");
    memcpy(c->segment_format.data, c->format.data, c->format.size);
    c->segment_format.size = c->format.size;
    event_read(&event, c->segment_format.data, BINLOG_MAGIC_SIZE, 0);
    if (binlog_format_read(&c->read_format, &event, c->segment_name, diag) == STEP_FAILED)
        return diag->err;
    memcpy(c->buffer.data, "\xfe\x62\x69\x6e", BINLOG_MAGIC_SIZE);
    memcpy(c->buffer.data + BINLOG_MAGIC_SIZE, c->format.data, c->format.size);
    c->buffer.size = BINLOG_MAGIC_SIZE + c->format.size;
    err = flush(c, diag);
    int error = err == OK ? sys_fsync(c->fd) : 0;
    if (!error && err == OK)
        error = sys_fsync(c->folder);
    if (error)
        return put_file_error(c, error, "cannot bring it to the disk", diag);
    return err == OK ? commit(c, c->written, old_number, old_name, old_day, old_size, diag) : err;
}

/* The part of a FORMAT_DESCRIPTION that readers go by: without times and checksum. */
static int same_format(const struct bytes *a, const struct bytes *b)
{
    enum { CREATED = BINLOG_HEADER_SIZE + 52 };
    return a->size == b->size &&
           memcmp(a->data + BINLOG_HEADER_SIZE, b->data + BINLOG_HEADER_SIZE, 52) == 0 &&
           memcmp(a->data + CREATED + 4, b->data + CREATED + 4, a->size - CREATED - 8) == 0;
}

static enum err note_origin(struct capture *c, uint64_t start, struct diag *diag)
{
    uint64_t high = start & ~(uint64_t)UINT32_MAX;
    if (strcmp(c->origin_file, c->name) == 0 && c->origin_high == high)
        return OK;
    if (c->origin_count == c->origin_room) {
        size_t room = c->origin_room ? c->origin_room * 2 : 8;
        struct origin *grown = mem_grow(c->origins, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "the origins of a segment");
        c->origins = grown;
        c->origin_room = room;
    }
    struct origin *origin = &c->origins[c->origin_count++];
    *origin = (struct origin){.segment = c->number, .offset = segment_end(c), .high = high};
    snprintf(origin->file, sizeof origin->file, "%s", c->name);
    snprintf(c->origin_file, sizeof c->origin_file, "%s", c->name);
    c->origin_high = high;
    return OK;
}

/* Appends an event to the buffer, with a checksum and with the end position that its place of origin is counted back from. */
static enum err append(struct capture *c, const struct binlog_event *event, struct diag *diag)
{
    size_t whole = BINLOG_HEADER_SIZE + event->body_size + 4;
    if (c->buffer.size && c->buffer.size + whole > BUFFER_BYTES) {
        enum err err = flush(c, diag);
        if (err != OK)
            return err;
    }
    enum err err = note_origin(c, event->offset, diag);
    if (err != OK)
        return err;
    if (!bytes_room(&c->buffer, whole))
        return mem_fail(diag, whole, "an event");
    uint8_t *out = c->buffer.data + c->buffer.size;
    uint32_t end = (uint32_t)(event->offset + whole);
    memcpy(out, event->bytes, event->size);
    if (event->size != whole || read_le32(out + 13) != end) {
        le32_put(out + 9, (uint32_t)whole);
        le32_put(out + 13, end);
        le32_put(out + whole - 4, crc32_update(0, out, whole - 4));
    }
    c->buffer.size += whole;
    return OK;
}

static uint16_t day_of(const struct capture *c, uint32_t timestamp)
{
    uint16_t day = day_of_wall(day_epoch_to_wall(c->zone, (int64_t)timestamp * 1000000), c->job->cut_minutes);
    return day == DAY_NONE ? 1 : day;
}

/* The transaction at hand gets its place in the segment: its first events, that waited, and those to come. */
static enum err begin_wanted(struct capture *c, struct diag *diag)
{
    uint16_t day = day_of(c, c->group_time);
    uint64_t size_max = c->job->sources[LOCAL].replica.segment_bytes;
    enum err err = OK;
    if (c->fd < 0 || !same_format(&c->segment_format, &c->format) || day > c->day ||
        segment_end(c) >= size_max)
        err = next_segment(c, c->fd < 0 || day > c->day ? day : c->day, diag);
    c->group_begin = segment_end(c);
    c->checked = c->group_begin;
    c->group_rows = c->counts.rows;
    c->has_wanted = 1;
    unsigned checksum_size = binlog_walk_format(c->walk)->checksum_size;
    for (size_t at = 0; err == OK && at < c->head.size;) {
        struct binlog_event event;
        uint64_t start;
        memcpy(&start, c->head.data + at, sizeof start);
        event_read(&event, c->head.data + at + sizeof start, start, checksum_size);
        err = append(c, &event, diag);
        at += sizeof start + event.size;
    }
    c->head.size = 0;
    return err;
}

/* The transaction at hand leaves no trace. */
static enum err drop_wanted(struct capture *c, struct diag *diag)
{
    c->head.size = 0;
    if (!c->has_wanted)
        return OK;
    c->has_wanted = 0;
    c->counts.rows = c->group_rows;
    if (c->group_begin >= c->written) {
        c->buffer.size = (size_t)(c->group_begin - c->written);
        return OK;
    }
    c->buffer.size = 0;
    c->written = c->group_begin;
    if (ftruncate(c->fd, (off_t)c->written) != 0)
        return put_file_error(c, -errno, "cannot cut it", diag);
    return OK;
}

/* ---- the stream ---- */

enum err capture_connected(struct capture *c, const char *server, int by_gtid, struct diag *diag)
{
    (void)diag;
    c->connected = 1;
    if (by_gtid)
        c->done.exact = 0;
    c->have_format = 0;
    c->name[0] = 0;
    c->gtid = (struct binlog_gtid){0};
    if (strcmp(c->done.server, server) != 0) {
        snprintf(c->done.server, sizeof c->done.server, "%s", server);
        c->done.file_time = 0;
    }
    return OK;
}

enum err capture_disconnected(struct capture *c, struct diag *diag)
{
    if (!c->connected)
        return OK;
    c->connected = 0;
    enum err err = drop_wanted(c, diag);
    binlog_walk_drop(c->walk);
    c->have_format = 0;
    return err == OK ? capture_checkpoint(c, diag) : err;
}

static enum err bad_event(struct capture *c, const char *what, struct diag *diag)
{
    return diag_set(diag, ERR_PEER, "replica.stream",
                    "if it happens again, report it with the server's version", "%s@%llu: %s",
                    c->name[0] ? c->name : "the stream", (unsigned long long)c->position, what);
}

/* What the server says comes now must be what was asked for, or the file behind the one before. */
static enum err check_next(struct capture *c, const char *name, uint64_t offset, struct diag *diag)
{
    static const char *const hint =
        "move the capture folder away and start anew; if a proxy stands between, let it "
        "pass on what was asked for";
    const uint64_t asked = c->done.offset < BINLOG_MAGIC_SIZE ? BINLOG_MAGIC_SIZE : c->done.offset;
    if (!c->name[0])
        return !c->done.exact || !c->done.file[0] || (strcmp(name, c->done.file) == 0 && offset == asked)
                   ? OK
                   : diag_set(diag, ERR_STATE, "replica.gap", hint,
                              "the server was asked for its log from %s:%llu on and sends it from %s:%llu on",
                              c->done.file, (unsigned long long)asked, name, (unsigned long long)offset);
    const uint64_t before = log_number(c->name), now = log_number(name);
    if (strcmp(name, c->name) == 0 || before == UINT64_MAX || now == UINT64_MAX || now == before + 1)
        return OK;
    return diag_set(diag, ERR_STATE, "replica.gap", hint,
                    "after %s the server goes on with %s, and what is between them was not sent", c->name,
                    name);
}

/* The server says which file comes now, and from where. */
static enum err take_rotate(struct capture *c, const uint8_t *bytes, size_t size, struct diag *diag)
{
    enum { HEAD = BINLOG_HEADER_SIZE + 8 };
    if (size <= HEAD)
        return bad_event(c, "a ROTATE without a name", diag);
    /* Whether it has a checksum depends on settings of before its FORMAT_DESCRIPTION: the checksum itself tells. */
    size_t name_size = size - HEAD;
    if (name_size > 4 && read_le32(bytes + size - 4) == crc32_update(0, bytes, size - 4))
        name_size -= 4;
    if (name_size >= sizeof c->name || memchr(bytes + HEAD, 0, name_size))
        return bad_event(c, "a ROTATE with a name that is none", diag);
    char name[sizeof c->name];
    const uint64_t offset = read_le64(bytes + BINLOG_HEADER_SIZE);
    snprintf(name, sizeof name, "%.*s", (int)name_size, (const char *)bytes + HEAD);
    enum err err = check_next(c, name, offset, diag);
    if (err != OK)
        return err;
    err = drop_wanted(c, diag); /* the server lost its end in a crash */
    binlog_walk_drop(c->walk);
    memcpy(c->name, name, sizeof name);
    c->position = offset;
    c->have_format = 0;
    return err;
}

static enum err take_format(struct capture *c, const uint8_t *bytes, size_t size, struct diag *diag)
{
    enum { LEAST = BINLOG_HEADER_SIZE + 57 + 5, PLACE = 13, FLAGS = 17 };
    if (size < LEAST || !bytes_room(&c->format, size + BINLOG_MAGIC_SIZE))
        return bad_event(c, "a FORMAT_DESCRIPTION that is too short", diag);
    int is_real = read_le32(bytes + PLACE) != 0;
    c->file_time = read_le32(bytes);
    if (c->done.file_time && strcmp(c->name, c->done.file) == 0 && c->done.file_time != c->file_time)
        return diag_set(diag, ERR_STATE, "replica.reset",
                        "its log was reset (RESET MASTER), or this is another server: move the capture "
                        "folder away and start anew",
                        "%s is another file than it was: captured up to %s:%llu (%s) of the one begun at %u, "
                        "the server's was begun "
                        "at %u",
                        c->name, c->done.file, (unsigned long long)c->done.offset, capture_position(c)->gtids,
                        c->done.file_time, c->file_time);
    binlog_walk_file(c->walk, c->name, ++c->file_index, UINT64_MAX);
    memcpy(c->format.data, "\xfe\x62\x69\x6e", BINLOG_MAGIC_SIZE);
    memcpy(c->format.data + BINLOG_MAGIC_SIZE, bytes, size);
    size_t taken;
    if (binlog_walk_step(c->walk, c->format.data, size + BINLOG_MAGIC_SIZE, 0, SIZE_MAX, &taken, diag) ==
        STEP_FAILED)
        return diag->err;
    c->have_format = 1;
    if (is_real)
        c->position = taken;
    else
        binlog_walk_skip(c->walk, c->position);
    /* As segments hold it: every event has a checksum. */
    uint8_t *own = c->format.data;
    memmove(own, own + BINLOG_MAGIC_SIZE, size);
    c->format.size = size;
    own[FLAGS] &= (uint8_t) ~(EVENT_FLAG_IN_USE | EVENT_FLAG_ARTIFICIAL);
    own[size - 5] = 1;
    le32_put(own + PLACE, (uint32_t)(BINLOG_MAGIC_SIZE + size));
    le32_put(own + size - 4, crc32_update(0, own, size - 4));
    if (is_real) {
        snprintf(c->done.file, sizeof c->done.file, "%s", c->name);
        c->done.offset = c->position;
    }
    if (is_real || strcmp(c->name, c->done.file) == 0)
        c->done.file_time = c->file_time;
    return OK;
}

/* Where the server is, when it has nothing to send. */
static void take_heartbeat(struct capture *c, const uint8_t *bytes, size_t size)
{
    uint32_t place = read_le32(bytes + 13);
    (void)size;
    if (!c->have_format || group_is_open(c) || place <= c->position || c->position > UINT32_MAX ||
        bytes[4] != EVENT_HEARTBEAT)
        return;
    /* What lies between were transactions that we have already. */
    c->position = place;
    binlog_walk_skip(c->walk, place);
}

/* Offset in the file from the lower half of an end position: the first one behind where we are. */
static uint64_t whole_offset(uint64_t position, uint32_t end, uint32_t size)
{
    uint64_t at = (position & ~(uint64_t)UINT32_MAX) | end;
    return at < position + size
               ? (position > UINT32_MAX || position + size > UINT32_MAX ? at + (1ull << 32) : at)
               : at;
}

static void mark_done(struct capture *c)
{
    snprintf(c->done.file, sizeof c->done.file, "%s", c->name);
    c->done.offset = c->position;
    c->done.file_time = c->file_time;
    c->due = 1;
}

/* What became of the transaction that ended with the last event. */
static enum err end_group(struct capture *c, struct diag *diag)
{
    size_t count[2];
    const struct binlog_group *lists[2] = {binlog_walk_groups(c->walk, &count[0]),
                                           binlog_walk_behind(c->walk, &count[1])};
    int keep = binlog_walk_prepared(c->walk) > c->prepared;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < count[k]; i++)
            keep |= lists[k][i].xa || (lists[k][i].committed && lists[k][i].touches_watched);
    enum err err = OK;
    if (keep && c->head.size)
        err = begin_wanted(c, diag);
    if (err == OK && keep) {
        uint64_t before = c->counts.rows;
        err = check_rows(c, diag);
        if (err == OK && before == 0 && c->counts.rows)
            binlog_walk_seen(c->walk);
        c->has_wanted = 0;
        c->counts.transactions++;
    } else if (err == OK) {
        err = drop_wanted(c, diag);
    }
    if (err == OK && gtid_set_advance(&c->gtids, &c->gtid) < 0)
        err = mem_fail(diag, 0, "a set of GTIDs");
    if (binlog_walk_prepared(c->walk) == 0)
        c->xa_segment = 0;
    else if (c->xa_segment == 0)
        c->xa_segment = c->number;
    if (err == OK) {
        c->counts.commit_time = c->group_time;
        mark_done(c);
    }
    return err;
}

/* A set that a server wrote at the head of its file: all that was done before. */
static enum err take_previous(struct capture *c, const struct binlog_event *event, struct diag *diag)
{
    if (event->type != EVENT_PREVIOUS_GTIDS)
        return OK;
    return gtid_set_decode(&c->gtids, event->body, event->body_size)
               ? OK
               : bad_event(c, "PREVIOUS_GTIDS is malformed", diag);
}

static enum err take_event(struct capture *c, const uint8_t *bytes, size_t size, struct diag *diag)
{
    struct binlog_event event;
    const struct binlog_format *format = binlog_walk_format(c->walk);
    if (size < BINLOG_HEADER_SIZE + (size_t)format->checksum_size)
        return bad_event(c, "an event that is too short", diag);
    uint32_t end = read_le32(bytes + 13);
    int was_open = group_is_open(c);
    uint64_t start = end ? whole_offset(c->position, end, (uint32_t)size) - size : c->position;
    if (start != c->position) {
        if (was_open)
            return bad_event(c, "events are missing inside of a transaction", diag);
        c->position = start;
        binlog_walk_skip(c->walk, start);
    }
    event_read(&event, bytes, start, format->checksum_size);
    if (!binlog_checksum_right(&event, format))
        return diag_set(diag, ERR_PEER, "replica.checksum", NULL,
                        "%s@%llu: the checksum of the %s event is wrong", c->name, (unsigned long long)start,
                        binlog_event_name(event.type));
    if (!was_open) {
        c->gtid = (struct binlog_gtid){0};
        c->group_time = event.timestamp;
        c->has_wanted = 0;
        c->prepared = binlog_walk_prepared(c->walk);
    }
    size_t taken;
    if (binlog_walk_step(c->walk, bytes, size, start, SIZE_MAX, &taken, diag) == STEP_FAILED)
        return diag->err;
    c->position = start + size;
    int is_open = group_is_open(c), wanted = binlog_walk_wanted(c->walk);
    unsigned flags;
    if (event.type == EVENT_GTID || event.type == EVENT_GTID_TAGGED || event.type == EVENT_MARIADB_GTID)
        binlog_gtid_read(&c->gtid, &event, &flags);
    enum err err = OK;
    if (wanted && !c->has_wanted &&
        (event.type == EVENT_TABLE_MAP || event.type == EVENT_TRANSACTION_PAYLOAD))
        err = begin_wanted(c, diag);
    if (err == OK && wanted && c->has_wanted) {
        err = append(c, &event, diag);
    } else if (err == OK && wanted) {
        if (!bytes_room(&c->head, size + sizeof start))
            return mem_fail(diag, size, "the beginning of a transaction");
        memcpy(c->head.data + c->head.size, &start, sizeof start);
        memcpy(c->head.data + c->head.size + sizeof start, bytes, size);
        c->head.size += size + sizeof start;
    }
    if (err == OK && !is_open) {
        size_t told, behind;
        binlog_walk_groups(c->walk, &told);
        binlog_walk_behind(c->walk, &behind);
        if (was_open || told || behind)
            return end_group(c, diag);
        err = take_previous(c, &event, diag);
        if (err == OK)
            mark_done(c);
    }
    return err;
}

enum err capture_take(struct capture *c, const uint8_t *bytes, size_t size, struct diag *diag)
{
    if (size < BINLOG_HEADER_SIZE || read_le32(bytes + 9) != size)
        return bad_event(c, "a packet that does not hold one event", diag);
    c->counts.bytes += size;
    unsigned type = bytes[4], flags = read_le16(bytes + 17);
    uint32_t end = read_le32(bytes + 13);
    if (type == EVENT_ROTATE && ((flags & EVENT_FLAG_ARTIFICIAL) || end == 0))
        return take_rotate(c, bytes, size, diag);
    if (type == EVENT_HEARTBEAT || type == EVENT_HEARTBEAT_V2) {
        take_heartbeat(c, bytes, size);
        return OK;
    }
    if (!c->name[0])
        return bad_event(c, "an event before the server said of which file", diag);
    if (type == EVENT_FORMAT_DESCRIPTION)
        return take_format(c, bytes, size, diag);
    if (!c->have_format)
        return bad_event(c, "an event before its file's FORMAT_DESCRIPTION", diag);
    /* Made for us, or about how the server keeps its file; no part of what happened. */
    if ((flags & EVENT_FLAG_ARTIFICIAL) ||
        (end == 0 && (type == EVENT_GTID_LIST || type == EVENT_START_ENCRYPTION)))
        return OK;
    if (type == EVENT_START_ENCRYPTION) {
        c->position += size;
        binlog_walk_skip(c->walk, c->position);
        return OK;
    }
    return take_event(c, bytes, size, diag);
}

/* ---- status ---- */

enum err capture_status_write(struct capture *c, const char *state, const char *said, int64_t heard_us,
                              int64_t lag_ms, int64_t rows_per_second, struct diag *diag)
{
    sqlite_bind_text(c->put_status, 1, state);
    sqlite_bind_text(c->put_status, 2, said);
    sqlite_bind_int(c->put_status, 3, heard_us);
    sqlite_bind_int(c->put_status, 4, lag_ms);
    sqlite_bind_int(c->put_status, 5, rows_per_second);
    return sqlite_step(c->put_status, diag) == STEP_FAILED ? diag->err : OK;
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
    enum err err = sqlite_open(&db, path, SQLITE_WRITE, diag);
    if (err == OK)
        err = sqlite_prepare(
            &s, db,
            "SELECT format, server, file, position, gtids, file_time, segment, transactions, changes, bytes,"
            " commit_time, state, said, heard, lag, rate FROM capture, status",
            diag);
    if (err == OK && sqlite_step(s, diag) == STEP_MORE) {
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
    sqlite_close(db);
    snprintf(path, sizeof path, "%s/capture.lock", directory);
    int lock = sys_open(path, O_RDONLY, 0);
    if (lock >= 0) {
        status->running = flock(lock, LOCK_SH | LOCK_NB) != 0;
        sys_close(lock);
    }
    return err == OK ? diag->err : err;
}
