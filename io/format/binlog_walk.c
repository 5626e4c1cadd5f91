/* io/format/binlog_walk.c: the hop over event headers that finds groups and how they ended (binlog.h).
 *
 * It looks into the bodies of the few kinds of event that begin, end or endanger a group, verifies their
 * checksums, and into the first bytes of row events. Checksums of row events are left to the rows layer,
 * which runs on many cores.
 */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "io/format/binlog_alter.h"
#include "io/format/binlog_event.h"
#include "io/format/binlog_payload.h"
#include <stdio.h>

static const char *const hint_copy = "the file is cut or damaged: copy it again from the server";
static const char *const hint_row_format =
    "row format needed: SET GLOBAL binlog_format=ROW (and reconnect clients), then start from a later file";

enum group_state {
    GROUP_NONE,
    GROUP_HEADED, /* a GTID event announced it; a BEGIN may follow, or a statement that stands alone */
    GROUP_OPEN
};

struct prepared {
    struct binlog_group group;
    uint8_t xid[XID_BYTES_MAX];
    size_t xid_size;
};

/* A savepoint of the open group, and a part of it that a ROLLBACK TO undid. */
struct savepoint {
    uint64_t name_hash; /* without regard to case */
    uint64_t end;       /* of its event */
};
struct hole {
    uint64_t begin, end;
};

enum {
    MEMO_MAX = 2048,
    BEGIN_SKIP = 8,
    MET_OFTEN = 16 /* from then on a checksum of what came before it is enough */
};

struct map_seen {
    uint64_t id;
    int watched;
};

struct binlog_walk {
    const struct binlog_options *options;
    uint32_t event_bytes_max;
    const char *name;
    uint32_t file_index;
    uint64_t file_size, position;
    size_t need;
    struct binlog_format format;
    int have_format, closed_cleanly; /* the last event was a ROTATE or STOP */
    char next_name[512];

    enum group_state state;
    struct binlog_group group; /* the open one */
    int ends_without_begin;    /* MariaDB: the GTID says that one statement is the whole group */
    struct savepoint *savepoints;
    size_t savepoint_count, savepoint_room;
    struct hole *holes; /* ascending */
    size_t hole_count, hole_room;
    uint8_t xid[XID_BYTES_MAX];
    size_t xid_size;
    struct map_seen *maps; /* of the open group */
    size_t map_count, map_room;

    struct binlog_group *groups, *behind;
    size_t group_count, group_room, behind_count, behind_room;
    struct binlog_alter *alters; /* of the last step */
    size_t alter_count, alter_room;
    uint64_t step_begin; /* position where the step's bytes begin */
    struct prepared *prepared;
    size_t prepared_count, prepared_room;
    uint8_t *watch_seen;    /* by watch: row events of it were met */
    binlog_erase_fn *erase; /* NULL: nobody is asked */
    void *erase_context;
    int wanted; /* binlog_walk_wanted */
    struct binlog_payload payload;
    struct binlog_walk_counts counts;
    /* Bodies of the file's last BEGIN (behind its first 8 bytes: thread and time) and of its last TABLE_MAP: the next transaction is most
     * often made of the same (walk_alike). Size 0: none. */
    struct event_memo {
        uint8_t bytes[MEMO_MAX];
        size_t size;
        uint32_t met; /* how often it came again */
        struct crc32_tail tail;
    } begin, map;
    int map_watched;
    uint32_t map_number; /* another one whenever `map` is another one */
};

enum err binlog_walk_open(struct binlog_walk **out, const struct binlog_options *options, struct diag *diag)
{
    *out = NULL;
    struct binlog_walk *walk = mem_take_zero(1, sizeof *walk);
    if (!walk)
        return mem_fail(diag, sizeof *walk, "the binlog walk");
    walk->watch_seen = mem_take_zero((size_t)options->watch_count + 1, 1);
    if (!walk->watch_seen) {
        mem_give(walk);
        return mem_fail(diag, (size_t)options->watch_count, "the binlog walk");
    }
    walk->options = options;
    walk->event_bytes_max = options->event_bytes_max ? options->event_bytes_max : (1u << 30) + (1u << 20);
    *out = walk;
    return OK;
}

void binlog_walk_close(struct binlog_walk *walk)
{
    if (!walk)
        return;
    mem_give(walk->maps);
    mem_give(walk->savepoints);
    mem_give(walk->holes);
    mem_give(walk->groups);
    mem_give(walk->behind);
    mem_give(walk->alters);
    mem_give(walk->prepared);
    binlog_payload_fini(&walk->payload);
    mem_give(walk->watch_seen);
    mem_give(walk);
}

void binlog_walk_file(struct binlog_walk *walk, const char *name, uint32_t file_index, uint64_t file_size)
{
    CHECK(walk->state == GROUP_NONE);
    walk->name = name;
    walk->file_index = file_index;
    walk->file_size = file_size;
    walk->position = 0;
    walk->need = BINLOG_MAGIC_SIZE;
    walk->have_format = 0;
    walk->closed_cleanly = 0;
    walk->next_name[0] = 0;
    walk->group_count = walk->behind_count = 0;
    walk->begin.size = walk->map.size = 0;
}

static void memo_put(struct event_memo *memo, const uint8_t *bytes, size_t size)
{
    memo->size = size <= MEMO_MAX ? size : 0;
    memo->met = 0;
    memo->tail.shift = 0;
    memcpy(memo->bytes, bytes, memo->size);
}

const struct binlog_group *binlog_walk_groups(const struct binlog_walk *walk, size_t *count)
{
    *count = walk->group_count;
    return walk->groups;
}

const struct binlog_group *binlog_walk_behind(const struct binlog_walk *walk, size_t *count)
{
    *count = walk->behind_count;
    return walk->behind;
}

const struct binlog_alter *binlog_walk_alters(const struct binlog_walk *walk, size_t *count)
{
    *count = walk->alter_count;
    return walk->alters;
}

size_t binlog_walk_need(const struct binlog_walk *walk)
{
    return walk->need;
}

uint64_t binlog_walk_pending_begin(const struct binlog_walk *walk)
{
    return walk->state == GROUP_NONE ? walk->position : walk->group.begin;
}

const struct binlog_format *binlog_walk_format(const struct binlog_walk *walk)
{
    return &walk->format;
}

const char *binlog_walk_next_name(const struct binlog_walk *walk)
{
    return walk->next_name;
}

const struct binlog_walk_counts *binlog_walk_counts(const struct binlog_walk *walk)
{
    return &walk->counts;
}

/* ---- streams ---- */

void binlog_walk_skip(struct binlog_walk *walk, uint64_t position)
{
    CHECK(walk->state == GROUP_NONE && walk->have_format);
    walk->position = position;
}

void binlog_walk_drop(struct binlog_walk *walk)
{
    walk->state = GROUP_NONE;
}

int binlog_walk_wanted(const struct binlog_walk *walk)
{
    return walk->wanted;
}

size_t binlog_walk_prepared(const struct binlog_walk *walk)
{
    return walk->prepared_count;
}

void binlog_walk_seen(struct binlog_walk *walk)
{
    memset(walk->watch_seen, 1, (size_t)walk->options->watch_count);
}

void binlog_walk_erases(struct binlog_walk *walk, binlog_erase_fn *ask, void *context)
{
    walk->erase = ask;
    walk->erase_context = context;
}

/* Makes room for one more element. */
static enum step grow(void **array, size_t count, size_t *room, size_t element_size, struct diag *diag)
{
    if (count < *room)
        return STEP_MORE;
    size_t more = *room ? *room * 2 : 64;
    void *bigger = mem_grow(*array, more * element_size);
    if (!bigger) {
        mem_fail(diag, more * element_size, "the binlog walk's lists");
        return STEP_FAILED;
    }
    *array = bigger;
    *room = more;
    return STEP_MORE;
}

static enum step malformed(const struct binlog_walk *walk, const struct binlog_event *event,
                           struct diag *diag)
{
    return binlog_fail(diag, walk->name, event->offset, "binlog.event", hint_copy, "%s event is malformed",
                       binlog_event_name(event->type));
}

static void group_start(struct binlog_walk *walk, const struct binlog_event *event, enum group_state state)
{
    memset(&walk->group, 0, sizeof walk->group);
    walk->group.begin = event->offset;
    walk->group.file_index = walk->file_index;
    walk->group.timestamp = event->timestamp;
    walk->state = state;
    walk->ends_without_begin = 0;
    walk->savepoint_count = 0;
    walk->hole_count = 0;
    walk->xid_size = 0;
    walk->map_count = 0;
}

static enum step group_list(struct binlog_walk *walk, const struct binlog_group *group, struct diag *diag)
{
    if (group->file_index != walk->file_index || group->begin < walk->step_begin) {
        if (grow((void **)&walk->behind, walk->behind_count, &walk->behind_room, sizeof *walk->behind,
                 diag) == STEP_FAILED)
            return STEP_FAILED;
        walk->behind[walk->behind_count++] = *group;
    } else {
        if (grow((void **)&walk->groups, walk->group_count, &walk->group_room, sizeof *walk->groups, diag) ==
            STEP_FAILED)
            return STEP_FAILED;
        /* Ascending: only a prepared group that is decided in its own step comes out of order. */
        size_t at = walk->group_count++;
        for (; at > 0 && walk->groups[at - 1].begin > group->begin; at--)
            walk->groups[at] = walk->groups[at - 1];
        walk->groups[at] = *group;
    }
    return STEP_MORE;
}

static void group_count(struct binlog_walk *walk, int committed)
{
    walk->counts.groups++;
    if (committed)
        walk->counts.groups_committed++;
    else
        walk->counts.groups_rolled_back++;
}

static enum step group_finish(struct binlog_walk *walk, const struct binlog_event *event, int committed,
                              struct diag *diag)
{
    uint64_t end = event->offset + event->size;
    struct binlog_group part = walk->group;
    walk->state = GROUP_NONE;
    group_count(walk, committed);
    /* What a ROLLBACK TO undid is told of as a group that was rolled back, between those that hold. */
    for (size_t i = 0; committed && i < walk->hole_count; i++) {
        part.end = walk->holes[i].begin;
        part.committed = 1;
        if (group_list(walk, &part, diag) == STEP_FAILED)
            return STEP_FAILED;
        part.begin = walk->holes[i].begin;
        part.end = walk->holes[i].end;
        part.committed = 0;
        part.is_part = 1;
        if (group_list(walk, &part, diag) == STEP_FAILED)
            return STEP_FAILED;
        part.begin = walk->holes[i].end;
    }
    part.end = end;
    part.committed = (uint8_t)committed;
    return group_list(walk, &part, diag);
}

/* The group ends here, but a later XA COMMIT or XA ROLLBACK decides it. */
static enum step group_prepare(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    if (walk->xid_size == 0)
        return binlog_fail(diag, walk->name, event->offset, "binlog.xa",
                           "this transaction's name is not understood", "XA PREPARE without a name");
    if (walk->hole_count)
        return binlog_fail(diag, walk->name, event->offset, "binlog.savepoint",
                           "start from a later file, or leave savepoints out of XA transactions",
                           "an XA transaction with a ROLLBACK TO SAVEPOINT in the log is not supported");
    if (grow((void **)&walk->prepared, walk->prepared_count, &walk->prepared_room, sizeof *walk->prepared,
             diag) == STEP_FAILED)
        return STEP_FAILED;
    walk->group.end = event->offset + event->size;
    walk->group.xa = 1;
    walk->state = GROUP_NONE;
    struct prepared *prepared = &walk->prepared[walk->prepared_count++];
    prepared->group = walk->group;
    memcpy(prepared->xid, walk->xid, walk->xid_size);
    prepared->xid_size = walk->xid_size;
    return STEP_MORE;
}

static enum step xa_decide(struct binlog_walk *walk, const struct binlog_event *event, struct span text,
                           int committed, struct diag *diag)
{
    uint8_t xid[XID_BYTES_MAX];
    size_t size = binlog_xid_read_text(xid, text);
    if (size == 0)
        return binlog_fail(diag, walk->name, event->offset, "binlog.xa", "report this statement",
                           "the name in \"%.*s\" is not understood", (int)(text.size < 200 ? text.size : 200),
                           text.data);
    if (walk->state == GROUP_NONE)
        group_start(walk, event, GROUP_HEADED);
    walk->group.touches_watched = 0;
    for (size_t i = walk->prepared_count; i-- > 0;) {
        if (walk->prepared[i].xid_size != size || memcmp(walk->prepared[i].xid, xid, size) != 0)
            continue;
        struct binlog_group group = walk->prepared[i].group;
        group.committed = (uint8_t)committed;
        group.decided_file = walk->file_index;
        group.decided_at = event->offset;
        memmove(&walk->prepared[i], &walk->prepared[i + 1],
                (walk->prepared_count - i - 1) * sizeof *walk->prepared);
        walk->prepared_count--;
        group_count(walk, committed);
        if (group_list(walk, &group, diag) == STEP_FAILED)
            return STEP_FAILED;
        return group_finish(walk, event, 1, diag);
    }
    if (committed)
        return binlog_fail(diag, walk->name, event->offset, "binlog.xa",
                           "give the older binlog files too, from before its XA PREPARE",
                           "\"%.*s\" commits a transaction whose XA PREPARE is in none of the files given",
                           (int)(text.size < 200 ? text.size : 200), text.data);
    return group_finish(walk, event, 1, diag);
}

static enum step statement_changes(struct binlog_walk *walk, const struct binlog_event *event,
                                   const struct statement *statement, struct span text, struct diag *diag)
{
    if (statement->watch_index < 0) {
        walk->counts.statements_unwatched++;
        return STEP_MORE;
    }
    const struct binlog_watch *watch = &walk->options->watch[statement->watch_index];
    return binlog_fail(diag, walk->name, event->offset, "binlog.statement", hint_row_format,
                       "a statement that may change %s.%s is logged as text, without row images: \"%.*s\"",
                       watch->database, watch->table, (int)(text.size < 160 ? text.size : 160), text.data);
}

static enum step statement_erases(struct binlog_walk *walk, const struct binlog_event *event,
                                  const struct statement *statement, struct span text, struct diag *diag)
{
    if (statement->watch_index < 0)
        return STEP_MORE;
    /* Before the first row of the table was met there is nothing here that could go away. */
    const int met = walk->watch_seen[statement->watch_index];
    const struct binlog_watch *watch = &walk->options->watch[statement->watch_index];
    char found[800];
    if (!met && !walk->erase)
        return STEP_MORE;
    snprintf(found, sizeof found, "rows of %.250s.%.250s come or go here without row images: \"%.*s\"",
             watch->database, watch->table, (int)(text.size < 160 ? text.size : 160), text.data);
    if (walk->erase)
        return walk->erase(walk->erase_context, walk->file_index, event->offset, met, found, diag) == OK
                   ? STEP_MORE
                   : STEP_FAILED;
    return binlog_fail(diag, walk->name, event->offset, "binlog.ddl",
                       "start from a later file, or leave out the files before this statement", "%s", found);
}

/* What a statement does to columns of a watched table. Who decodes the rows knows which columns count (binlog_walk_alters). */
static enum step statement_alters(struct binlog_walk *walk, const struct binlog_event *event,
                                  const struct statement *statement, struct span database, struct span text,
                                  struct diag *diag)
{
    if (statement->watch_index < 0)
        return STEP_MORE;
    struct alter_reader reader = {.text = text, .is_strict = binlog_query_is_strict(event, &walk->format)};
    struct binlog_alter alter;
    while (binlog_alter_next(&reader, database, &walk->options->watch[statement->watch_index], &alter)) {
        if (grow((void **)&walk->alters, walk->alter_count, &walk->alter_room, sizeof *walk->alters, diag) ==
            STEP_FAILED)
            return STEP_FAILED;
        alter.file_index = walk->file_index;
        alter.offset = event->offset;
        snprintf(alter.text, sizeof alter.text, "%.*s", (int)(text.size < 160 ? text.size : 160), text.data);
        walk->alters[walk->alter_count++] = alter;
    }
    return STEP_MORE;
}

/* Servers leave a savepoint's undone rows out of the log, unless something else of the transaction is there
 * to stay (a changed MyISAM table, say, in a group of its own): then the log holds the rows and the ROLLBACK
 * TO that undoes them. */
static enum step walk_savepoint(struct binlog_walk *walk, const struct binlog_event *event,
                                const struct statement *statement, struct diag *diag)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < statement->savepoint.size; i++)
        hash = (hash ^ (uint8_t)(statement->savepoint.data[i] | 0x20)) * 1099511628211u;
    uint64_t end = event->offset + event->size;
    size_t found = walk->savepoint_count;
    while (found-- > 0)
        if (walk->savepoints[found].name_hash == hash)
            break;
    int known = found < walk->savepoint_count;
    if (statement->kind == STATEMENT_SAVEPOINT) {
        if (known) {
            walk->savepoint_count--;
            memmove(&walk->savepoints[found], &walk->savepoints[found + 1],
                    (walk->savepoint_count - found) * sizeof *walk->savepoints);
        }
        if (grow((void **)&walk->savepoints, walk->savepoint_count, &walk->savepoint_room,
                 sizeof *walk->savepoints, diag) == STEP_FAILED)
            return STEP_FAILED;
        walk->savepoints[walk->savepoint_count++] = (struct savepoint){hash, end};
        return STEP_MORE;
    }
    if (!known)
        return binlog_fail(diag, walk->name, event->offset, "binlog.savepoint", hint_copy,
                           "a SAVEPOINT that the transaction at %llu never set is used",
                           (unsigned long long)walk->group.begin);
    if (statement->kind == STATEMENT_RELEASE) {
        walk->savepoint_count = found;
        return STEP_MORE;
    }
    walk->savepoint_count = found + 1;
    uint64_t begin = walk->savepoints[found].end;
    while (walk->hole_count && walk->holes[walk->hole_count - 1].begin >= begin)
        walk->hole_count--;
    if (grow((void **)&walk->holes, walk->hole_count, &walk->hole_room, sizeof *walk->holes, diag) ==
        STEP_FAILED)
        return STEP_FAILED;
    walk->holes[walk->hole_count++] = (struct hole){begin, end};
    return STEP_MORE;
}

static enum step walk_statement(struct binlog_walk *walk, const struct binlog_event *event,
                                struct span database, struct span text, struct diag *diag)
{
    struct statement statement;
    const size_t alters_before = walk->alter_count;
    binlog_statement_read(&statement, database, text, walk->options);
    walk->wanted = (statement.kind >= STATEMENT_BEGIN && statement.kind <= STATEMENT_XA_ROLLBACK) ||
                   statement.starts_transaction;
    switch (statement.kind) {
    case STATEMENT_BEGIN:
    case STATEMENT_XA_START:
        if (walk->state == GROUP_OPEN && !walk->ends_without_begin)
            return binlog_fail(diag, walk->name, event->offset, "binlog.group", hint_copy,
                               "a transaction begins inside the one that began at %llu",
                               (unsigned long long)walk->group.begin);
        if (walk->state == GROUP_NONE)
            group_start(walk, event, GROUP_OPEN);
        walk->state = GROUP_OPEN;
        if (statement.kind == STATEMENT_XA_START)
            walk->xid_size = binlog_xid_read_text(walk->xid, text);
        return STEP_MORE;
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
        if (walk->state != GROUP_OPEN)
            return binlog_fail(diag, walk->name, event->offset, "binlog.group", hint_copy,
                               "%s without a transaction before it",
                               statement.kind == STATEMENT_COMMIT ? "COMMIT" : "ROLLBACK");
        return group_finish(walk, event, statement.kind == STATEMENT_COMMIT, diag);
    case STATEMENT_XA_END:
        walk->xid_size = binlog_xid_read_text(walk->xid, text);
        return STEP_MORE;
    case STATEMENT_XA_PREPARE:
        if (walk->state != GROUP_OPEN)
            return malformed(walk, event, diag);
        return group_prepare(walk, event, diag);
    case STATEMENT_XA_COMMIT:
    case STATEMENT_XA_ROLLBACK:
        return xa_decide(walk, event, text, statement.kind == STATEMENT_XA_COMMIT, diag);
    case STATEMENT_SAVEPOINT:
    case STATEMENT_ROLLBACK_TO:
    case STATEMENT_RELEASE:
        if (walk->state != GROUP_OPEN)
            return malformed(walk, event, diag);
        return walk_savepoint(walk, event, &statement, diag);
    case STATEMENT_CHANGES:
        if (statement_changes(walk, event, &statement, text, diag) == STEP_FAILED)
            return STEP_FAILED;
        break;
    case STATEMENT_ERASES:
        if (statement_erases(walk, event, &statement, text, diag) == STEP_FAILED)
            return STEP_FAILED;
        break;
    case STATEMENT_DDL:
        if (statement_alters(walk, event, &statement, database, text, diag) == STEP_FAILED)
            return STEP_FAILED;
        break;
    case STATEMENT_OTHER:
        break;
    }
    if (walk->state == GROUP_OPEN && !walk->ends_without_begin)
        return STEP_MORE;
    if (walk->state == GROUP_NONE)
        group_start(walk, event, GROUP_HEADED);
    /* A filtered copy of the log holds it too: only its reader has all that came before. */
    if (walk->alter_count > alters_before)
        walk->wanted = 1;
    if (statement.starts_transaction) {
        walk->state = GROUP_OPEN;
        return STEP_MORE;
    }
    return group_finish(walk, event, 1, diag);
}

static enum step walk_query(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    struct span database, text;
    uint8_t *inflated;
    if (binlog_query_read(event, &walk->format, &database, &text, &inflated, walk->name, diag) == STEP_FAILED)
        return STEP_FAILED;
    enum step step = STEP_MORE;
    if (event->type == EVENT_EXECUTE_LOAD_QUERY) {
        struct statement statement;
        binlog_statement_read(&statement, database, text, walk->options);
        step = statement_changes(walk, event, &statement, text, diag);
        if (step == STEP_MORE && walk->state != GROUP_OPEN) {
            if (walk->state == GROUP_NONE)
                group_start(walk, event, GROUP_HEADED);
            step = group_finish(walk, event, 1, diag);
        }
    } else {
        step = walk_statement(walk, event, database, text, diag);
        if (event->type == EVENT_QUERY && text.size == 5 && memcmp(text.data, "BEGIN", 5) == 0)
            memo_put(&walk->begin, event->body + BEGIN_SKIP, event->body_size - BEGIN_SKIP);
    }
    mem_give(inflated);
    return step;
}

static enum step walk_gtid(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    if (walk->state != GROUP_NONE)
        return binlog_fail(diag, walk->name, event->offset, "binlog.group", hint_copy,
                           "a new transaction's GTID inside the one that began at %llu",
                           (unsigned long long)walk->group.begin);
    struct binlog_gtid gtid;
    unsigned flags;
    if (!binlog_gtid_read(&gtid, event, &flags))
        return malformed(walk, event, diag);
    group_start(walk, event, GROUP_HEADED);
    walk->group.gtid = gtid;
    if (gtid.kind == BINLOG_GTID_MARIADB) {
        /* MariaDB's GTID event is the BEGIN too. */
        walk->state = GROUP_OPEN;
        walk->ends_without_begin =
            (flags & MARIADB_GTID_STANDALONE) != 0 || (flags & MARIADB_GTID_COMPLETED_XA) != 0;
    }
    return STEP_MORE;
}

static enum step walk_table_map(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    uint64_t id = 0;
    size_t id_size = event_table_id(event, &walk->format, &id);
    if (!id_size)
        return malformed(walk, event, diag);
    struct binlog_cursor c = {event->body + id_size + 2, event->body + event->body_size, 0};
    size_t database_size = cursor_le(&c, 1);
    const uint8_t *database = cursor_take(&c, database_size + 1);
    size_t table_size = cursor_le(&c, 1);
    const uint8_t *table = cursor_take(&c, table_size + 1);
    if (c.bad)
        return malformed(walk, event, diag);
    if (walk->state != GROUP_OPEN)
        return binlog_fail(diag, walk->name, event->offset, "binlog.group", hint_copy,
                           "TABLE_MAP outside of a transaction");
    const struct binlog_options *options = walk->options;
    int watched = options->watch_count == 0;
    for (int i = 0; i < options->watch_count; i++) {
        const struct binlog_watch *watch = &options->watch[i];
        if (strlen(watch->database) == database_size && strlen(watch->table) == table_size &&
            memcmp(watch->database, database, database_size) == 0 &&
            memcmp(watch->table, table, table_size) == 0) {
            watched = 1;
            walk->watch_seen[i] = 1;
        }
    }
    walk->wanted = watched;
    memo_put(&walk->map, event->body, event->body_size);
    walk->map_watched = watched;
    if (++walk->map_number == 0)
        walk->map_number = 1;
    for (size_t i = walk->map_count; i-- > 0;) {
        if (walk->maps[i].id == id) {
            walk->maps[i].watched = watched;
            return STEP_MORE;
        }
    }
    if (grow((void **)&walk->maps, walk->map_count, &walk->map_room, sizeof *walk->maps, diag) == STEP_FAILED)
        return STEP_FAILED;
    walk->maps[walk->map_count++] = (struct map_seen){id, watched};
    return STEP_MORE;
}

static enum step walk_rows(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    uint64_t id = 0;
    if (!event_table_id(event, &walk->format, &id))
        return malformed(walk, event, diag);
    if (walk->state != GROUP_OPEN)
        return binlog_fail(diag, walk->name, event->offset, "binlog.group", hint_copy,
                           "%s outside of a transaction", binlog_event_name(event->type));
    /* The id with all bits set belongs to an event without rows that only ends a statement. */
    if (id == 0xffffff || id == 0xffffffffffff)
        return STEP_MORE;
    for (size_t i = walk->map_count; i-- > 0;) {
        if (walk->maps[i].id != id)
            continue;
        walk->wanted = walk->maps[i].watched;
        if (walk->maps[i].watched)
            walk->group.touches_watched = 1;
        return STEP_MORE;
    }
    return binlog_fail(diag, walk->name, event->offset, "binlog.table_map", hint_copy,
                       "%s for table id %llu, which no TABLE_MAP of its transaction names",
                       binlog_event_name(event->type), (unsigned long long)id);
}

static enum step walk_xa_prepare(struct binlog_walk *walk, const struct binlog_event *event,
                                 struct diag *diag)
{
    struct binlog_cursor c = {event->body, event->body + event->body_size, 0};
    unsigned one_phase = (unsigned)cursor_le(&c, 1);
    uint32_t format = (uint32_t)cursor_le(&c, 4);
    uint64_t global_size = cursor_le(&c, 4), branch_size = cursor_le(&c, 4);
    const uint8_t *global = cursor_take(&c, global_size);
    const uint8_t *branch = cursor_take(&c, branch_size);
    if (c.bad || global_size > 64 || branch_size > 64 || walk->state != GROUP_OPEN)
        return malformed(walk, event, diag);
    if (one_phase)
        return group_finish(walk, event, 1, diag);
    walk->xid_size = binlog_xid_make(walk->xid, format, global, global_size, branch, branch_size);
    return group_prepare(walk, event, diag);
}

/* Does it hold an XA transaction? Such a one begins with XA START where others have a BEGIN. */
static int payload_is_xa(struct binlog_walk *walk, const struct binlog_event *event)
{
    uint8_t head[2048]; /* the first statement with what the session was like */
    const size_t size = binlog_payload_peek(&walk->payload, event, head, sizeof head);
    struct binlog_event first;
    if (size < BINLOG_HEADER_SIZE || read_le32(head + 9) < BINLOG_HEADER_SIZE || read_le32(head + 9) > size ||
        head[4] != EVENT_QUERY)
        return 0;
    event_read(&first, head, event->offset, 0);
    struct span database, text;
    uint8_t *inflated;
    struct statement statement;
    struct diag quiet = {0};
    if (binlog_query_read(&first, &walk->format, &database, &text, &inflated, walk->name, &quiet) ==
        STEP_FAILED)
        return 0; /* the rows layer says so */
    binlog_statement_read(&statement, database, text, walk->options);
    mem_give(inflated);
    return statement.kind == STATEMENT_XA_START;
}

/* The last event of what is inside of a payload. 0: there is none that is whole. */
static int payload_last(struct binlog_event *last, struct span inside, uint64_t offset)
{
    const uint8_t *at = (const uint8_t *)inside.data, *const end = at + inside.size;
    int found = 0;
    while (at < end) {
        if ((size_t)(end - at) < BINLOG_HEADER_SIZE || read_le32(at + 9) < BINLOG_HEADER_SIZE ||
            read_le32(at + 9) > (size_t)(end - at))
            return 0;
        event_read(last, at, offset, 0);
        at += last->size;
        found = 1;
    }
    return found;
}

/* What is inside of one is not looked at here; the rows layer refuses what does not end in a commit. But an XA transaction is only prepared
 * there: its COMMIT or ROLLBACK is an event of its own, and must find it. */
static enum step walk_payload(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    if (walk->state == GROUP_OPEN)
        return malformed(walk, event, diag);
    if (walk->state == GROUP_NONE)
        group_start(walk, event, GROUP_HEADED);
    walk->wanted = 1;
    walk->group.touches_watched = 1;
    for (int i = 0; i < walk->options->watch_count; i++)
        walk->watch_seen[i] = 1;
    if (!payload_is_xa(walk, event))
        return group_finish(walk, event, 1, diag);
    if (!binlog_checksum_right(event, &walk->format))
        return binlog_fail(diag, walk->name, event->offset, "binlog.checksum", hint_copy,
                           "checksum of the %s event is wrong", binlog_event_name(event->type));
    struct span inside;
    struct binlog_event last;
    if (binlog_payload_read(&walk->payload, &inside, event, walk->options->event_bytes_max, walk->name,
                            diag) == STEP_FAILED)
        return STEP_FAILED;
    if (!payload_last(&last, inside, event->offset) || last.type != EVENT_XA_PREPARE)
        return binlog_fail(diag, walk->name, event->offset, "binlog.payload",
                           "SET GLOBAL binlog_transaction_compression=OFF for such transactions",
                           "an XA transaction inside of a TRANSACTION_PAYLOAD that does not end with its "
                           "XA PREPARE is not supported");
    last.size = event->size; /* the group ends where the payload does */
    walk->state = GROUP_OPEN;
    return walk_xa_prepare(walk, &last, diag);
}

static enum step walk_rotate(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    if (event->body_size < 8)
        return malformed(walk, event, diag);
    if (walk->state != GROUP_NONE)
        return binlog_fail(diag, walk->name, event->offset, "binlog.group", hint_copy,
                           "%s inside the transaction that began at %llu", binlog_event_name(event->type),
                           (unsigned long long)walk->group.begin);
    snprintf(walk->next_name, sizeof walk->next_name, "%.*s", (int)(event->body_size - 8),
             (const char *)event->body + 8);
    walk->closed_cleanly = 1;
    return STEP_MORE;
}

static enum step walk_format(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    struct binlog_format format;
    if (binlog_format_read(&format, event, walk->name, diag) == STEP_FAILED)
        return STEP_FAILED;
    if (!walk->have_format) {
        walk->format = format;
        walk->have_format = 1;
        return STEP_MORE;
    }
    if (walk->state == GROUP_NONE && format.checksum == walk->format.checksum &&
        format.flavour == walk->format.flavour &&
        memcmp(format.post_header, walk->format.post_header, sizeof format.post_header) == 0)
        return STEP_MORE;
    return binlog_fail(diag, walk->name, event->offset, "binlog.format",
                       "this looks like a relay log; give the server's own binlog files",
                       "a second FORMAT_DESCRIPTION that differs from the first");
}

static enum step walk_event(struct binlog_walk *walk, const struct binlog_event *event, struct diag *diag)
{
    walk->wanted = 0;
    if (event_is_rows(event->type)) {
        if (event->type <= EVENT_DELETE_ROWS_V0 && event->type >= EVENT_WRITE_ROWS_V0)
            return binlog_fail(
                diag, walk->name, event->offset, "binlog.version",
                "row events of MySQL 5.1.16 and later can be read",
                "%s of a MySQL 5.1 beta (5.1.0 to 5.1.15) is not supported: which bits of such a row "
                "are NULLs depends on how that server kept the table, and its log does not say it",
                binlog_event_name(event->type));
        return walk_rows(walk, event, diag);
    }
    if (event->type == EVENT_ROWS_QUERY || event->type == EVENT_ANNOTATE_ROWS)
        return STEP_MORE;
    if (event_is_verified_by_walk(event->type) && !binlog_checksum_right(event, &walk->format))
        return binlog_fail(diag, walk->name, event->offset, "binlog.checksum", hint_copy,
                           "checksum of the %s event is wrong", binlog_event_name(event->type));
    switch (event->type) {
    case EVENT_FORMAT_DESCRIPTION:
        return walk_format(walk, event, diag);
    case EVENT_QUERY:
    case EVENT_QUERY_COMPRESSED:
    case EVENT_EXECUTE_LOAD_QUERY:
        return walk_query(walk, event, diag);
    case EVENT_GTID:
    case EVENT_ANONYMOUS_GTID:
    case EVENT_GTID_TAGGED:
    case EVENT_MARIADB_GTID:
        walk->wanted = 1;
        return walk_gtid(walk, event, diag);
    case EVENT_XID:
        if (walk->state != GROUP_OPEN)
            return binlog_fail(diag, walk->name, event->offset, "binlog.group", hint_copy,
                               "XID without a transaction before it");
        walk->wanted = 1;
        return group_finish(walk, event, 1, diag);
    case EVENT_TABLE_MAP:
        return walk_table_map(walk, event, diag);
    case EVENT_XA_PREPARE:
        walk->wanted = 1;
        return walk_xa_prepare(walk, event, diag);
    case EVENT_TRANSACTION_PAYLOAD:
        return walk_payload(walk, event, diag);
    case EVENT_ROTATE:
        return walk_rotate(walk, event, diag);
    case EVENT_STOP:
        if (walk->state != GROUP_NONE)
            return malformed(walk, event, diag);
        walk->closed_cleanly = 1;
        return STEP_MORE;
    case EVENT_INCIDENT:
        return binlog_fail(
            diag, walk->name, event->offset, "binlog.incident",
            "look into the server's error log; take a new copy of the table from after this position",
            "the server says here that it lost changes (INCIDENT event)");
    case EVENT_START_ENCRYPTION:
        return binlog_fail(
            diag, walk->name, event->offset, "binlog.encrypted",
            "MariaDB wrote it with encrypt_binlog=ON; switch that off, or let a server send the log",
            "encrypted binlog not supported");
    case EVENT_INTVAR:
    case EVENT_RAND:
    case EVENT_USER_VAR:
    case EVENT_BEGIN_LOAD_QUERY:
    case EVENT_APPEND_BLOCK:
    case EVENT_DELETE_FILE:
        /* They belong to a statement that follows, and that one is judged. */
    case EVENT_SLAVE:
    case EVENT_HEARTBEAT:
    case EVENT_HEARTBEAT_V2:
    case EVENT_IGNORABLE:
    case EVENT_PREVIOUS_GTIDS:
    case EVENT_TRANSACTION_CONTEXT:
    case EVENT_VIEW_CHANGE:
    case EVENT_BINLOG_CHECKPOINT:
    case EVENT_GTID_LIST:
        return STEP_MORE;
    default:
        if (event->flags & EVENT_FLAG_IGNORABLE) {
            walk->counts.events_ignored++;
            return STEP_MORE;
        }
        return binlog_fail(
            diag, walk->name, event->offset, "binlog.unknown",
            "this kind of event is not supported; report the server's version with this message",
            "event of %s, which may not be ignored, from server %s", binlog_event_name(event->type),
            walk->format.server_version);
    }
}

/* The events of a transaction that is looked at as a whole. */
struct alike_cursor {
    const uint8_t *at, *end;
    uint32_t size; /* of the event at `at` */
    unsigned type;
    uint64_t events;
};

/* 0: the next event is not whole. */
static inline int alike_next(struct alike_cursor *c, const struct binlog_walk *walk)
{
    c->at += c->size;
    const size_t left = (size_t)(c->end - c->at);
    if (left < BINLOG_HEADER_SIZE)
        return 0;
    c->size = read_le32(c->at + 9);
    c->type = c->at[4];
    c->events++;
    return c->size >= BINLOG_HEADER_SIZE + (uint32_t)walk->format.checksum_size && c->size <= left &&
           c->size <= walk->event_bytes_max;
}

static inline int alike_sum(const struct alike_cursor *c, const struct binlog_walk *walk)
{
    return walk->format.checksum_size == 0 || binlog_sum_right(c->at, c->size);
}

static inline int alike_memo(const struct alike_cursor *c, const struct binlog_walk *walk,
                             struct event_memo *memo, size_t skip)
{
    const size_t before = BINLOG_HEADER_SIZE + skip;
    if (c->size != before + memo->size + walk->format.checksum_size || memo->size == 0 ||
        memcmp(c->at + before, memo->bytes, memo->size) != 0)
        return 0;
    if (UNLIKELY(memo->tail.shift == 0)) {
        if (++memo->met == MET_OFTEN)
            memo->tail = crc32_tail_make(memo->bytes, memo->size);
        return alike_sum(c, walk);
    }
    return walk->format.checksum_size == 0 ||
           binlog_sum_is(c->at, c->size, crc32_before(&memo->tail, c->at, before));
}

/* The usual transaction in one go: GTID, the BEGIN and the TABLE_MAP that the one before had, row events of that table, XID. How many
 * bytes it has; 0: it is another one, or something is wrong with it, or not all of it is there: nothing was done, and event by event it
 * will turn out. */
static size_t walk_alike(struct binlog_walk *walk, const uint8_t *bytes, size_t size)
{
    struct alike_cursor c = {.at = bytes, .end = bytes + size};
    struct binlog_event event;
    const unsigned checksum_size = walk->format.checksum_size;
    unsigned flags;
    if (!alike_next(&c, walk) || (c.type != EVENT_MARIADB_GTID && c.type != EVENT_GTID))
        return 0;
    event_read(&event, c.at, walk->position, checksum_size);
    if (!alike_next(&c, walk) || (checksum_size && !binlog_sum_right(event.bytes, event.size)))
        return 0;
    if (event.type == EVENT_GTID &&
        (c.type != EVENT_QUERY || !alike_memo(&c, walk, &walk->begin, BEGIN_SKIP) || !alike_next(&c, walk)))
        return 0;
    uint64_t note_at = 0;
    if (c.type == EVENT_ANNOTATE_ROWS || c.type == EVENT_ROWS_QUERY) {
        note_at = (uint64_t)(c.at - bytes);
        if (!alike_next(&c, walk))
            return 0;
    }
    const uint64_t map_at = (uint64_t)(c.at - bytes);
    if (c.type != EVENT_TABLE_MAP || !alike_memo(&c, walk, &walk->map, 0) || !alike_next(&c, walk))
        return 0;
    /* All that is usual begin with the table's id, as the TABLE_MAP does. */
    const size_t id_size = walk->format.post_header[EVENT_TABLE_MAP] == 6 ? 4 : 6;
    const uint8_t *const id = walk->map.bytes;
    const uint64_t no_id = id_size == 4 ? read_le32(id) : read_le48(id), rows_at = (uint64_t)(c.at - bytes);
    uint32_t row_events = 0;
    for (; (c.type >= EVENT_WRITE_ROWS_V1 && c.type <= EVENT_DELETE_ROWS_V1) ||
           (c.type >= EVENT_WRITE_ROWS && c.type <= EVENT_DELETE_ROWS);
         row_events++)
        if ((walk->format.post_header[c.type] == 6) != (id_size == 4) ||
            c.size < BINLOG_HEADER_SIZE + 8 + checksum_size ||
            memcmp(c.at + BINLOG_HEADER_SIZE, id, id_size) != 0 || !alike_next(&c, walk))
            return 0;
    if (row_events == 0 || walk->group_count == walk->group_room || c.type != EVENT_XID ||
        !alike_sum(&c, walk) || no_id == 0xffffff || no_id == 0xffffffffffff)
        return 0;
    struct binlog_group *const group = &walk->groups[walk->group_count];
    if (!binlog_gtid_read(&group->gtid, &event, &flags) ||
        (event.type == EVENT_MARIADB_GTID &&
         flags & (MARIADB_GTID_STANDALONE | MARIADB_GTID_PREPARED_XA | MARIADB_GTID_COMPLETED_XA)))
        return 0;
    const size_t all = (size_t)(c.at + c.size - bytes);
    if (all > walk->file_size - walk->position)
        return 0;
    group->begin = walk->position;
    group->end = walk->position + all;
    group->file_index = walk->file_index;
    group->timestamp = event.timestamp;
    group->committed = 1;
    group->touches_watched = (uint8_t)walk->map_watched;
    group->is_part = group->xa = 0;
    group->note_at = (uint32_t)note_at;
    group->map_at = (uint32_t)map_at;
    group->rows_at = (uint32_t)rows_at;
    group->map_number = rows_at <= UINT32_MAX ? walk->map_number : 0;
    walk->group_count++;
    group_count(walk, 1);
    walk->counts.events += c.events;
    walk->closed_cleanly = 0;
    walk->wanted = 1;
    return all;
}

/* How large is the event whose header is at `bytes`, and is that possible? */
static enum step event_measure(struct binlog_walk *walk, const uint8_t *bytes, struct diag *diag)
{
    uint32_t size = read_le32(bytes + 9);
    uint32_t least = BINLOG_HEADER_SIZE + (walk->have_format ? walk->format.checksum_size : 0);
    if (size < least)
        return binlog_fail(diag, walk->name, walk->position, "binlog.event", hint_copy,
                           "an event that claims %u bytes, less than its header", size);
    if (!walk->have_format && bytes[4] != EVENT_FORMAT_DESCRIPTION)
        return binlog_fail(diag, walk->name, walk->position, "binlog.format", hint_copy,
                           "%s event where the FORMAT_DESCRIPTION is expected", binlog_event_name(bytes[4]));
    if (walk->file_size - walk->position < size)
        return binlog_fail(
            diag, walk->name, walk->position, "binlog.cut", hint_copy,
            "%s event of %u bytes goes past the file's end (%llu bytes are left): the file is cut",
            binlog_event_name(bytes[4]), size, (unsigned long long)(walk->file_size - walk->position));
    if (size > walk->event_bytes_max)
        return binlog_fail(diag, walk->name, walk->position, "binlog.event", hint_copy,
                           "%s event that claims %u bytes, more than the limit of %u",
                           binlog_event_name(bytes[4]), size, walk->event_bytes_max);
    walk->need = size;
    return STEP_MORE;
}

enum step binlog_walk_step(struct binlog_walk *walk, const uint8_t *bytes, size_t size, uint64_t file_offset,
                           size_t want, size_t *taken, struct diag *diag)
{
    CHECK2(file_offset == walk->position, file_offset, walk->position);
    *taken = 0;
    walk->group_count = walk->behind_count = walk->alter_count = 0;
    walk->step_begin = walk->position;
    size_t at = 0;
    if (walk->position == 0) {
        if (size < BINLOG_MAGIC_SIZE && size < walk->file_size) {
            walk->need = BINLOG_MAGIC_SIZE;
            return STEP_IDLE;
        }
        const char *hint, *wrong = binlog_magic_wrong(bytes, size, &hint);
        if (wrong)
            return binlog_fail(diag, walk->name, 0, "binlog.magic", hint, "%s",
                               size == 0 ? "the file is empty, not a binlog" : wrong);
    }
    for (;;) {
        /* The magic is taken with the first event, so that a piece never consists of it alone. */
        size_t head = walk->position == 0 && at == 0 ? BINLOG_MAGIC_SIZE : 0;
        uint64_t position = walk->position + head;
        if (head == 0 && position == walk->file_size)
            return STEP_DONE;
        if (size - at - head < BINLOG_HEADER_SIZE) {
            if (position == walk->file_size)
                return binlog_fail(diag, walk->name, position, "binlog.cut", hint_copy,
                                   "the file ends before its FORMAT_DESCRIPTION");
            if (walk->file_size - position < BINLOG_HEADER_SIZE)
                return binlog_fail(
                    diag, walk->name, position, "binlog.cut", hint_copy,
                    "the file ends inside an event header (%llu bytes are left): the file is cut",
                    (unsigned long long)(walk->file_size - position));
            walk->need = head + BINLOG_HEADER_SIZE;
            return STEP_IDLE;
        }
        const uint8_t *event_bytes = bytes + at + head;
        if (walk->state == GROUP_NONE && walk->map.size) {
            const size_t alike = walk_alike(walk, event_bytes, size - at);
            if (alike) {
                at += alike;
                walk->position += alike;
                walk->need = BINLOG_HEADER_SIZE;
                *taken = at;
                if (at >= want && walk->position != walk->file_size)
                    return STEP_MORE;
                continue;
            }
        }
        walk->position = position;
        enum step step = event_measure(walk, event_bytes, diag);
        walk->position -= head;
        if (step == STEP_FAILED)
            return STEP_FAILED;
        if (size - at - head < walk->need) {
            walk->need += head;
            return STEP_IDLE;
        }
        struct binlog_event event;
        event_read(&event, event_bytes, position, walk->have_format ? walk->format.checksum_size : 0);
        walk->closed_cleanly = 0;
        if (walk_event(walk, &event, diag) == STEP_FAILED)
            return STEP_FAILED;
        walk->counts.events++;
        at += head + event.size;
        walk->position = position + event.size;
        walk->need = BINLOG_HEADER_SIZE;
        *taken = at;
        if (walk->state == GROUP_NONE && at >= want && walk->position != walk->file_size)
            return STEP_MORE;
    }
}

enum err binlog_walk_end(struct binlog_walk *walk, int is_newest, size_t tail_size, struct diag *diag)
{
    if (!walk->have_format) {
        binlog_fail(diag, walk->name, walk->position, "binlog.cut", hint_copy,
                    walk->file_size == 0 ? "the file is empty, not a binlog"
                                         : "the file ends before its FORMAT_DESCRIPTION");
        return ERR_INPUT;
    }
    if (tail_size) {
        binlog_fail(diag, walk->name, walk->position, "binlog.cut", hint_copy,
                    "the file ends inside an event (%zu bytes are left): the file is cut", tail_size);
        return ERR_INPUT;
    }
    if (!is_newest && !walk->closed_cleanly) {
        binlog_fail(diag, walk->name, walk->position, "binlog.cut",
                    "copy the file again: it was copied while the server still wrote to it, or the server "
                    "crashed here",
                    "the file ends without ROTATE or STOP%s, although a later file follows",
                    walk->state == GROUP_NONE ? "" : " and inside a transaction");
        return ERR_INPUT;
    }
    if (walk->state != GROUP_NONE)
        walk->counts.groups_unfinished++;
    walk->state = GROUP_NONE;
    if (is_newest)
        walk->counts.groups_unfinished += walk->prepared_count;
    return OK;
}
