/* io/source/capture_stream.c: see capture_inner.h */
#include "core/base/check.h"
#include "io/format/crc32.h"
#include "io/source/capture_inner.h"
#include "io/source/log_name.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

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
    enum err err = capture_drop_wanted(c, diag);
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

static enum err checksum_wrong(struct capture *c, uint64_t offset, uint8_t type, struct diag *diag)
{
    return diag_set(diag, ERR_PEER, "replica.checksum", NULL,
                    "%s@%llu: the checksum of the %s event is wrong", c->name, (unsigned long long)offset,
                    binlog_event_name(type));
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
    err = capture_drop_wanted(c, diag); /* the server lost its end in a crash */
    binlog_walk_drop(c->walk);
    memcpy(c->name, name, sizeof name);
    c->position = offset;
    c->have_format = 0;
    return err;
}

enum { PLACE = 13, FLAGS = 17, BEGUN = BINLOG_HEADER_SIZE + 52 };

static uint32_t format_sum(const uint8_t *event, size_t size)
{
    return crc32_update(0, event, size - 4);
}

/* For who goes on in the middle of a file, servers take the end position and the time of their start out of its FORMAT_DESCRIPTION, and
 * the flag that it is in use always. Where the file's events have no checksums they leave this one as it was: it is that of the event in
 * the file, which is put together again here. `event` gets the checksum of what was sent. */
static void put_sum_of_changed_format(uint8_t *event, size_t size)
{
    const uint32_t sum = read_le32(event + size - 4), sent_place = read_le32(event + PLACE),
                   sent_begun = read_le32(event + BEGUN);
    const uint32_t places[] = {sent_place, (uint32_t)(BINLOG_MAGIC_SIZE + size)};
    const uint32_t begun[] = {sent_begun, read_le32(event)};
    int right = 0;
    if (event[size - 5] != 0)
        return;
    for (int p = 0; p <= (sent_place == 0); p++)
        for (int b = 0; b <= (sent_begun == 0); b++) {
            le32_put(event + PLACE, places[p]);
            le32_put(event + BEGUN, begun[b]);
            right |= format_sum(event, size) == sum;
        }
    le32_put(event + PLACE, sent_place);
    le32_put(event + BEGUN, sent_begun);
    if (right)
        le32_put(event + size - 4, format_sum(event, size));
}

static enum err take_format(struct capture *c, const uint8_t *bytes, size_t size, struct diag *diag)
{
    enum { LEAST = BINLOG_HEADER_SIZE + 57 + 5 };
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
    put_sum_of_changed_format(c->format.data + BINLOG_MAGIC_SIZE, size);
    size_t taken;
    struct diag found = {0};
    if (binlog_walk_step(c->walk, c->format.data, size + BINLOG_MAGIC_SIZE, 0, SIZE_MAX, &taken, &found) ==
        STEP_FAILED) {
        if (strcmp(found.code, "binlog.checksum") == 0) /* there is no file to copy again */
            return checksum_wrong(c, BINLOG_MAGIC_SIZE, EVENT_FORMAT_DESCRIPTION, diag);
        *diag = found;
        return diag->err;
    }
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
    le32_put(own + size - 4, format_sum(own, size));
    if (is_real) {
        snprintf(c->done.file, sizeof c->done.file, "%s", c->name);
        c->done.offset = c->position;
    }
    if (is_real || strcmp(c->name, c->done.file) == 0) {
        c->due |=
            c->done.file_time !=
            c->file_time; /* also where nothing comes behind it: the next process knows the file by it */
        c->done.file_time = c->file_time;
    }
    return OK;
}

int capture_knows_file(const struct capture *c)
{
    return c->have_format;
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

/* A server's numbers only grow, in a domain of MariaDB's too as long as it is the same server's. */
static enum err check_number(struct capture *c, struct diag *diag)
{
    struct binlog_gtid last;
    if (!gtid_set_last(&c->gtids, &c->gtid, &last) || last.server != c->gtid.server ||
        last.number <= c->gtid.number)
        return OK;
    return diag_set(diag, ERR_STATE, "replica.reset",
                    "its log was reset (RESET MASTER): move the capture folder away and start anew",
                    "%s@%llu: the transaction %u-%u-%llu comes behind %u-%u-%llu, which was captured before",
                    c->name, (unsigned long long)c->position, c->gtid.domain, c->gtid.server,
                    (unsigned long long)c->gtid.number, last.domain, last.server,
                    (unsigned long long)last.number);
}

/* What became of the transaction that ended with the last event. */
static enum err end_group(struct capture *c, struct diag *diag)
{
    size_t count[2];
    const struct binlog_group *lists[2] = {binlog_walk_groups(c->walk, &count[0]),
                                           binlog_walk_behind(c->walk, &count[1])};
    size_t alters;
    binlog_walk_alters(c->walk, &alters);
    int keep = binlog_walk_prepared(c->walk) > c->prepared;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < count[k]; i++)
            keep |= lists[k][i].xa || (lists[k][i].committed && lists[k][i].touches_watched);
    c->counts.transactions += (uint64_t)keep;
    /* An ALTER TABLE goes into the segment, too: a run holds it against the rows that came before. */
    keep |= alters > 0;
    enum err err = check_number(c, diag);
    if (err == OK && keep && c->head.size)
        err = capture_begin_wanted(c, diag);
    if (err == OK && keep) {
        uint64_t before = c->counts.rows;
        err = capture_check_rows(c, diag);
        if (err == OK && before == 0 && c->counts.rows)
            binlog_walk_seen(c->walk);
        c->has_wanted = 0;
    } else if (err == OK) {
        err = capture_drop_wanted(c, diag);
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
        return checksum_wrong(c, start, event.type, diag);
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
        err = capture_begin_wanted(c, diag);
    if (err == OK && wanted && c->has_wanted) {
        err = capture_append(c, &event, diag);
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
