/* io/source/capture_save.c: see capture_inner.h */
#include "core/base/check.h"
#include "core/model/day.h"
#include "io/format/crc32.h"
#include "io/ring/sys.h"
#include "io/source/capture_inner.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t segment_end(const struct capture *c)
{
    return c->written + c->buffer.size;
}

/* ---- the checkpoint ---- */

static enum err save(struct capture *c, struct diag *diag)
{
    char table[600], *gtids = gtid_set_print(&c->gtids);
    if (!gtids)
        return mem_fail(diag, 0, "a set of GTIDs");
    snprintf(table, sizeof table, "%s.%s", c->columns.watch.database, c->columns.watch.table);
    struct sqlite_statement *s = c->put_capture;
    sqlite_bind_int(s, 1, CAPTURE_FORMAT);
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
enum err capture_check_rows(struct capture *c, struct diag *diag)
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
    enum err err = capture_check_rows(c, diag);
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
        if ((err = capture_segment_path(c, sqlite_text(s, 0), path, diag)) == OK)
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
    enum err err = capture_segment_path(c, name, path, diag);
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
    if (mem_list_more(&c->origins, c->origin_count, &c->origin_room, 8, "the origins of a segment", diag) !=
        OK)
        return ERR_MACHINE;
    struct origin *origin = &c->origins[c->origin_count++];
    *origin = (struct origin){.segment = c->number, .offset = segment_end(c), .high = high};
    snprintf(origin->file, sizeof origin->file, "%s", c->name);
    snprintf(c->origin_file, sizeof c->origin_file, "%s", c->name);
    c->origin_high = high;
    return OK;
}

/* Appends an event to the buffer, with a checksum and with the end position that its place of origin is counted back from. */
enum err capture_append(struct capture *c, const struct binlog_event *event, struct diag *diag)
{
    size_t whole = BINLOG_HEADER_SIZE + event->body_size + 4;
    if (c->buffer.size && c->buffer.size + whole > CAPTURE_BUFFER) {
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
enum err capture_begin_wanted(struct capture *c, struct diag *diag)
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
        err = capture_append(c, &event, diag);
        at += sizeof start + event.size;
    }
    c->head.size = 0;
    return err;
}

/* The transaction at hand leaves no trace. */
enum err capture_drop_wanted(struct capture *c, struct diag *diag)
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
