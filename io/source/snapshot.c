/* io/source/snapshot.c: see snapshot.h
 *
 * Rows are logged as types that need no knowledge of the server's own: whole numbers as BIGINT, TIMESTAMP as an instant, BIT as
 * a number, everything else as the text that the server prints, which is what the decoder makes of it too.
 */
#include "io/source/snapshot.h"
#include "core/base/mem.h"
#include "core/model/day.h"
#include "io/format/binlog_event.h"
#include "io/format/crc32.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    TYPE_TINY = 1,
    TYPE_SHORT = 2,
    TYPE_LONG = 3,
    TYPE_FLOAT = 4,
    TYPE_DOUBLE = 5,
    TYPE_TIMESTAMP = 7,
    TYPE_LONGLONG = 8,
    TYPE_INT24 = 9,
    TYPE_BIT = 16,
    TYPE_TIMESTAMP2 = 17,
    TYPE_TINY_BLOB = 249,
    TYPE_GEOMETRY = 255,
    TYPE_BLOB = 252,
    CHARSET_BINARY = 63,
    CHARSET_UTF8MB4 = 45,
    KEY_MAX = 16,
    PIECE_ROWS = 5000,
    EVENT_BYTES = 64 << 10,
    GROUP_BYTES = 1 << 20
};

struct text {
    uint8_t *data;
    size_t size, room;
    int no_memory;
};

struct column {
    char name[260];
    uint8_t type; /* as logged */
    uint8_t is_unsigned, is_binary;
};

struct snapshot {
    const struct snapshot_config *config;
    char (*names)[260]; /* of all columns, in order */
    size_t name_count;
    char key[KEY_MAX][260];
    int key_count, key_index[KEY_MAX];
    struct column *columns;
    unsigned column_count;
    struct text list, event, rows; /* "`a`,`b`"; an event; rows of the one to come */
    char *last[KEY_MAX];           /* key of the last row, as literals */
    uint64_t position, group_bytes, row_count;
    int in_group;
    int64_t began_us;
    uint32_t now;
};

static void put(struct text *t, const void *bytes, size_t size)
{
    if (t->size + size > t->room) {
        size_t room = t->room ? t->room : 4096;
        while (room < t->size + size)
            room *= 2;
        uint8_t *grown = mem_grow(t->data, room);
        if (!grown) {
            t->no_memory = 1;
            return;
        }
        t->data = grown;
        t->room = room;
    }
    if (size)
        memcpy(t->data + t->size, bytes, size);
    t->size += size;
}

static void put_text(struct text *t, const char *text)
{
    put(t, text, strlen(text));
}

static void put_le(struct text *t, uint64_t value, int size)
{
    uint8_t bytes[8];
    for (int i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put(t, bytes, (size_t)size);
}

static void put_length(struct text *t, uint64_t length)
{
    if (length < 0xfb) {
        put_le(t, length, 1);
    } else if (length <= 0xffff) {
        put_le(t, 0xfc, 1);
        put_le(t, length, 2);
    } else {
        put_le(t, 0xfd, 1);
        put_le(t, length, 3);
    }
}

/* A name between backticks. */
static void put_name(struct text *t, const char *name)
{
    put_text(t, "`");
    for (; *name; name++)
        put(t, *name == '`' ? "``" : name, *name == '`' ? 2 : 1);
    put_text(t, "`");
}

static enum err checked(const struct text *t, struct diag *diag)
{
    return t->no_memory ? mem_fail(diag, t->size, "a snapshot") : OK;
}

/* ---- events ---- */

static void begin_event(struct snapshot *s, unsigned type)
{
    uint8_t head[BINLOG_HEADER_SIZE] = {0};
    s->event.size = 0;
    head[4] = (uint8_t)type;
    for (int i = 0; i < 4; i++)
        head[i] = (uint8_t)(s->now >> (8 * i));
    put(&s->event, head, sizeof head);
}

static enum err send_event(struct snapshot *s, struct diag *diag)
{
    put_le(&s->event, 0, 4);
    if (s->event.no_memory)
        return checked(&s->event, diag);
    uint32_t size = (uint32_t)s->event.size;
    uint64_t end = s->position + size;
    for (int i = 0; i < 4; i++) {
        s->event.data[9 + i] = (uint8_t)(size >> (8 * i));
        s->event.data[13 + i] = (uint8_t)(end >> (8 * i));
    }
    uint32_t crc = crc32_update(0, s->event.data, size - 4);
    for (int i = 0; i < 4; i++)
        s->event.data[size - 4 + (uint32_t)i] = (uint8_t)(crc >> (8 * i));
    s->position = end;
    s->group_bytes += size;
    return s->config->take(s->config->context, s->event.data, size, diag);
}

/* The file that rows seem to lie in: "mysql-bin.000007.snapshot". */
static enum err begin_file(struct snapshot *s, const char *file, struct diag *diag)
{
    enum err err = OK;
    if (!s->config->is_alone) {
        begin_event(s, EVENT_ROTATE);
        put_le(&s->event, BINLOG_MAGIC_SIZE, 8);
        put_text(&s->event, file);
        put_text(&s->event, ".snapshot");
        s->event.data[17] = 0x20;
        err = send_event(s, diag);
    }
    s->position = BINLOG_MAGIC_SIZE;
    begin_event(s, EVENT_FORMAT_DESCRIPTION);
    char version[50] = "8.0.0-tieout-snapshot";
    uint8_t lengths[41] = {
        [EVENT_QUERY - 1] = 13,      [EVENT_ROTATE - 1] = 8,      [EVENT_FORMAT_DESCRIPTION - 1] = 98,
        [EVENT_TABLE_MAP - 1] = 8,   [EVENT_WRITE_ROWS - 1] = 10, [EVENT_UPDATE_ROWS - 1] = 10,
        [EVENT_DELETE_ROWS - 1] = 10};
    put_le(&s->event, 4, 2);
    put(&s->event, version, sizeof version);
    put_le(&s->event, s->now, 4);
    put_le(&s->event, BINLOG_HEADER_SIZE, 1);
    put(&s->event, lengths, sizeof lengths);
    put_le(&s->event, 1, 1);
    return err == OK ? send_event(s, diag) : err;
}

static enum err begin_group(struct snapshot *s, struct diag *diag)
{
    begin_event(s, EVENT_QUERY);
    put_le(&s->event, 0, 8);
    put_le(&s->event, 0, 1);
    put_le(&s->event, 0, 4);
    put(&s->event, "\0BEGIN", 6);
    s->group_bytes = 0;
    enum err err = send_event(s, diag);
    if (err != OK)
        return err;
    const struct source_spec *source = s->config->source;
    struct text *e = &s->event;
    begin_event(s, EVENT_TABLE_MAP);
    put_le(e, 1, 6);
    put_le(e, 1, 2);
    put_le(e, strlen(source->database), 1);
    put(e, source->database, strlen(source->database) + 1);
    put_le(e, strlen(source->table), 1);
    put(e, source->table, strlen(source->table) + 1);
    put_length(e, s->column_count);
    struct text metadata = {0}, signs = {0}, charsets = {0}, names = {0}, keys = {0};
    unsigned sign_count = 0;
    uint8_t sign = 0;
    for (unsigned i = 0; i < s->column_count; i++) {
        const struct column *c = &s->columns[i];
        put_le(e, c->type, 1);
        if (c->type == TYPE_BLOB) {
            put_le(&metadata, 4, 1);
            put_length(&charsets, c->is_binary ? CHARSET_BINARY : CHARSET_UTF8MB4);
        } else if (c->type == TYPE_TIMESTAMP2) {
            put_le(&metadata, 6, 1);
        } else {
            sign = (uint8_t)(sign | (unsigned)c->is_unsigned << (7 - sign_count % 8));
            if (++sign_count % 8 == 0) {
                put_le(&signs, sign, 1);
                sign = 0;
            }
        }
        put_length(&names, strlen(c->name));
        put_text(&names, c->name);
    }
    if (sign_count % 8)
        put_le(&signs, sign, 1);
    for (int i = 0; i < s->key_count; i++)
        put_length(&keys, (uint64_t)s->key_index[i]);
    put_length(e, metadata.size);
    put(e, metadata.data, metadata.size);
    for (unsigned i = 0; i < (s->column_count + 7) / 8; i++)
        put_le(e, 0xff, 1);
    /* SIGNEDNESS, COLUMN_CHARSET, COLUMN_NAME, SIMPLE_PRIMARY_KEY */
    const struct text *fields[] = {NULL, &signs, NULL, &charsets, &names, NULL, NULL, NULL, &keys};
    for (unsigned type = 1; type < sizeof fields / sizeof *fields; type++)
        if (fields[type] && fields[type]->size) {
            put_le(e, type, 1);
            put_length(e, fields[type]->size);
            put(e, fields[type]->data, fields[type]->size);
        }
    int no_memory =
        metadata.no_memory | signs.no_memory | charsets.no_memory | names.no_memory | keys.no_memory;
    mem_give(metadata.data);
    mem_give(signs.data);
    mem_give(charsets.data);
    mem_give(names.data);
    mem_give(keys.data);
    s->in_group = 1;
    return no_memory ? mem_fail(diag, 0, "a snapshot") : send_event(s, diag);
}

static enum err send_rows(struct snapshot *s, struct diag *diag)
{
    if (s->rows.size == 0)
        return checked(&s->rows, diag);
    begin_event(s, EVENT_WRITE_ROWS);
    put_le(&s->event, 1, 6);
    put_le(&s->event, 1, 2);
    put_le(&s->event, 2, 2);
    put_length(&s->event, s->column_count);
    for (unsigned i = 0; i < (s->column_count + 7) / 8; i++)
        put_le(&s->event, 0xff, 1);
    put(&s->event, s->rows.data, s->rows.size);
    s->rows.size = 0;
    return s->rows.no_memory ? checked(&s->rows, diag) : send_event(s, diag);
}

static enum err end_group(struct snapshot *s, struct diag *diag)
{
    if (!s->in_group)
        return OK;
    enum err err = send_rows(s, diag);
    begin_event(s, EVENT_XID);
    put_le(&s->event, 0, 8);
    s->in_group = 0;
    return err == OK ? send_event(s, diag) : err;
}

static enum err bad_value(struct snapshot *s, const struct column *column, struct span cell,
                          struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "snapshot.value", "report the column's type with this message",
                    "snapshot of %s.%s: column %s: \"%.*s\" is not understood", s->config->source->database,
                    s->config->source->table, column->name, (int)(cell.size < 80 ? cell.size : 80),
                    cell.data);
}

static enum err put_row(struct snapshot *s, const struct span *cells, struct diag *diag)
{
    enum err err = s->in_group ? OK : begin_group(s, diag);
    if (err != OK)
        return err;
    struct text *r = &s->rows;
    for (unsigned i = 0; i < s->column_count; i += 8) {
        uint8_t nulls = 0;
        for (unsigned k = i; k < i + 8 && k < s->column_count; k++)
            nulls = (uint8_t)(nulls | (unsigned)!cells[k].data << (k - i));
        put_le(r, nulls, 1);
    }
    for (unsigned i = 0; i < s->column_count; i++) {
        const struct column *c = &s->columns[i];
        struct span cell = cells[i];
        int64_t us = 0;
        if (!cell.data)
            continue;
        if (c->type == TYPE_BLOB) {
            put_le(r, cell.size, 4);
            put(r, cell.data, cell.size);
        } else if (c->type == TYPE_TIMESTAMP2) {
            /* The session's zone is UTC. The zero TIMESTAMP is no instant, and is logged as 0. */
            if (strncmp(cell.data, "0000-00-00", 10) != 0 && time_parse(cell.data, cell.size, &us) != 1)
                return bad_value(s, c, cell, diag);
            uint32_t seconds = (uint32_t)(us / 1000000), micro = (uint32_t)(us % 1000000);
            uint8_t bytes[7] = {
                (uint8_t)(seconds >> 24), (uint8_t)(seconds >> 16), (uint8_t)(seconds >> 8), (uint8_t)seconds,
                (uint8_t)(micro >> 16),   (uint8_t)(micro >> 8),    (uint8_t)micro};
            put(r, bytes, sizeof bytes);
        } else if (c->is_binary) { /* BIT */
            put_le(r, read_be((const uint8_t *)cell.data, cell.size <= 8 ? cell.size : 8), 8);
        } else {
            char *end;
            uint64_t value =
                cell.data[0] == '-' ? (uint64_t)strtoll(cell.data, &end, 10) : strtoull(cell.data, &end, 10);
            if (end != cell.data + cell.size)
                return bad_value(s, c, cell, diag);
            put_le(r, value, 8);
        }
    }
    s->row_count++;
    if (r->size >= EVENT_BYTES)
        err = send_rows(s, diag);
    if (err == OK && s->group_bytes >= GROUP_BYTES)
        err = end_group(s, diag);
    return err;
}

/* ---- the table ---- */

static enum err take_name(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct snapshot *s = context;
    void *grown = mem_grow(s->names, (s->name_count + 1) * sizeof *s->names);
    if (!grown || count < 1)
        return mem_fail(diag, 0, "the columns of a table");
    s->names = grown;
    snprintf(s->names[s->name_count++], sizeof *s->names, "%.*s", (int)cells[0].size, cells[0].data);
    return OK;
}

static enum err take_key(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct snapshot *s = context;
    if (count && s->key_count < KEY_MAX)
        snprintf(s->key[s->key_count++], sizeof *s->key, "%.*s", (int)cells[0].size, cells[0].data);
    (void)diag;
    return OK;
}

static enum err read_table(struct snapshot *s, struct diag *diag)
{
    const struct source_spec *source = s->config->source;
    char database[600], table[600], sql[1700];
    if (strlen(source->database) > 250 || strlen(source->table) > 250)
        return diag_set(diag, ERR_USAGE, "snapshot.table", NULL, "the table's name is too long");
    mysql_peer_escape(s->config->peer, database, source->database, strlen(source->database));
    mysql_peer_escape(s->config->peer, table, source->table, strlen(source->table));
    snprintf(sql, sizeof sql,
             "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME = "
             "'%s' ORDER BY "
             "ORDINAL_POSITION",
             database, table);
    enum err err = mysql_peer_query(s->config->peer, sql, take_name, s, diag);
    snprintf(sql, sizeof sql,
             "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME "
             "= '%s' AND INDEX_NAME = "
             "'PRIMARY' ORDER BY SEQ_IN_INDEX",
             database, table);
    if (err == OK)
        err = mysql_peer_query(s->config->peer, sql, take_key, s, diag);
    if (err == OK && (s->name_count == 0 || s->key_count == 0))
        return diag_set(diag, ERR_PEER, "snapshot.table",
                        s->name_count ? "give it a primary key, or choose another `start:`"
                                      : "check its name, and GRANT SELECT on it",
                        "table %s.%s %s", source->database, source->table,
                        s->name_count ? "has no primary key" : "is not there");
    for (size_t i = 0; err == OK && i < s->name_count; i++) {
        for (int k = 0; k < s->key_count; k++)
            if (strcmp(s->key[k], s->names[i]) == 0)
                s->key_index[k] = (int)i;
        put_text(&s->list, i ? "," : "");
        put_name(&s->list, s->names[i]);
    }
    return err == OK ? checked(&s->list, diag) : err;
}

static enum err take_columns(struct snapshot *s, const struct mysql_column *columns, unsigned count,
                             struct diag *diag)
{
    s->columns = mem_take_zero(count, sizeof *s->columns);
    if (!s->columns)
        return mem_fail(diag, count * sizeof *s->columns, "the columns of a table");
    s->column_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct column *c = &s->columns[i];
        unsigned type = columns[i].type;
        snprintf(c->name, sizeof c->name, "%s", columns[i].name);
        int is_number =
            (type >= TYPE_TINY && type <= TYPE_LONG) || type == TYPE_LONGLONG || type == TYPE_INT24;
        const struct field_rule *money[] = {&s->config->source->fields[FIELD_AMOUNT],
                                            &s->config->source->fields[FIELD_FEE]};
        for (int k = 0; k < 2; k++)
            for (int n = 0; n < 3; n++) {
                const char *name = n == 0 ? money[k]->column : n == 1 ? money[k]->debit : money[k]->credit;
                if (name && strcmp(name, c->name) == 0 && (type == TYPE_FLOAT || type == TYPE_DOUBLE))
                    return diag_set(diag, ERR_INPUT, "binlog.inexact",
                                    "amounts must be DECIMAL or whole numbers of the minor unit",
                                    "table %s.%s: column \"%s\" holds no exact amount",
                                    s->config->source->database, s->config->source->table, name);
            }
        c->type = (uint8_t)(is_number || type == TYPE_BIT ? TYPE_LONGLONG
                            : type == TYPE_TIMESTAMP      ? TYPE_TIMESTAMP2
                                                          : TYPE_BLOB);
        c->is_unsigned = (uint8_t)(columns[i].is_unsigned || type == TYPE_BIT);
        /* Of numbers and times the server says binary too, and prints text. */
        c->is_binary = (uint8_t)(type == TYPE_BIT ||
                                 (columns[i].is_binary && type >= TYPE_TINY_BLOB && type <= TYPE_GEOMETRY));
    }
    return OK;
}

/* Keeps a row's key for the next piece's WHERE: numbers bare, so that they compare as numbers; bytes in hex; texts quoted. */
static enum err keep_key(struct snapshot *s, const struct span *cells, struct diag *diag)
{
    for (int k = 0; k < s->key_count; k++) {
        const struct column *c = &s->columns[s->key_index[k]];
        struct span cell = cells[s->key_index[k]];
        char *text = mem_take(2 * cell.size + 8);
        if (!text)
            return mem_fail(diag, cell.size, "a key");
        if (c->type == TYPE_LONGLONG && !c->is_binary) {
            snprintf(text, cell.size + 1, "%s", cell.data);
        } else if (c->is_binary) {
            size_t n = (size_t)sprintf(text, "x'");
            for (size_t i = 0; i < cell.size; i++)
                n += (size_t)sprintf(text + n, "%02x", (unsigned char)cell.data[i]);
            strcpy(text + n, "'");
        } else {
            text[0] = '\'';
            size_t n = 1 + mysql_peer_escape(s->config->peer, text + 1, cell.data, cell.size);
            strcpy(text + n, "'");
        }
        mem_give(s->last[k]);
        s->last[k] = text;
    }
    return OK;
}

static void put_select(struct snapshot *s, struct text *sql)
{
    put_text(sql, "SELECT ");
    put(sql, s->list.data, s->list.size);
    put_text(sql, " FROM ");
    put_name(sql, s->config->source->database);
    put_text(sql, ".");
    put_name(sql, s->config->source->table);
    if (s->config->where) {
        put_text(sql, " WHERE (");
        put_text(sql, s->config->where);
        put_text(sql, s->last[0] ? ") AND " : ")");
    } else if (s->last[0]) {
        put_text(sql, " WHERE ");
    }
    for (int half = 0; s->last[0] && half < 2; half++) { /* (a, b) > (1, 2) */
        put_text(sql, half ? ") > (" : "(");
        for (int k = 0; k < s->key_count; k++) {
            put_text(sql, k ? "," : "");
            if (half)
                put_text(sql, s->last[k]);
            else
                put_name(sql, s->key[k]);
        }
    }
    put_text(sql, s->last[0] ? ") ORDER BY " : " ORDER BY ");
    for (int k = 0; k < s->key_count; k++) {
        put_text(sql, k ? "," : "");
        put_name(sql, s->key[k]);
    }
    char limit[40];
    snprintf(limit, sizeof limit, " LIMIT %d", PIECE_ROWS);
    put(sql, limit, strlen(limit) + 1);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Not faster than the job allows. */
static void keep_rate(const struct snapshot *s)
{
    uint64_t rate = s->config->source->replica.rate;
    while (rate && !(s->config->interrupted && *s->config->interrupted)) {
        int64_t ahead = (int64_t)(s->row_count * 1000000 / rate) - (now_us() - s->began_us);
        if (ahead <= 0)
            return;
        struct timespec t = {0, (ahead < 100000 ? ahead : 100000) * 1000};
        nanosleep(&t, NULL);
    }
}

static enum err read_piece(struct snapshot *s, unsigned *count, struct diag *diag)
{
    struct text sql = {0};
    const struct mysql_column *columns;
    const struct span *cells;
    unsigned column_count;
    *count = 0;
    put_select(s, &sql);
    enum err err = checked(&sql, diag);
    if (err == OK)
        err = mysql_peer_select(s->config->peer, (const char *)sql.data, &columns, &column_count, diag);
    if (err == OK && !s->columns)
        err = take_columns(s, columns, column_count, diag);
    enum step step = STEP_MORE;
    while (err == OK && (step = mysql_peer_row(s->config->peer, &cells, diag)) == STEP_MORE) {
        err = put_row(s, cells, diag);
        if (err == OK && ++*count == PIECE_ROWS)
            err = keep_key(s, cells, diag);
    }
    mem_give(sql.data);
    return step == STEP_FAILED ? diag->err : err;
}

struct place {
    char file[256];
    uint64_t offset;
};

static enum err take_status(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct place *place = context;
    (void)diag;
    if (count < 2 || !cells[0].data || !cells[1].data)
        return OK;
    if (strcasecmp(cells[0].data, "Binlog_snapshot_file") == 0)
        snprintf(place->file, sizeof place->file, "%s", cells[1].data);
    else if (strcasecmp(cells[0].data, "Binlog_snapshot_position") == 0)
        place->offset = strtoull(cells[1].data, NULL, 10);
    return OK;
}

static enum err take_end(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct place *place = context;
    (void)diag;
    if (count > 1 && cells[0].data && cells[1].data) {
        snprintf(place->file, sizeof place->file, "%s", cells[0].data);
        place->offset = strtoull(cells[1].data, NULL, 10);
    }
    return OK;
}

/* Begins the transaction that sees one moment, and says where that is in the log. MariaDB knows it of each such transaction;
 * MySQL is held still for the instant between the two statements. */
static enum err begin_transaction(struct snapshot *s, struct place *place, struct diag *diag)
{
    struct mysql_peer *peer = s->config->peer;
    memset(place, 0, sizeof *place);
    enum err err =
        mysql_peer_query(peer, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", NULL, NULL, diag);
    if (err == OK)
        err = mysql_peer_query(peer, "SET SESSION time_zone = '+00:00', SESSION sql_mode = ''", NULL, NULL,
                               diag);
    if (err == OK && !s->config->is_mariadb && !s->config->is_alone)
        err = mysql_peer_query(peer, "FLUSH TABLES WITH READ LOCK", NULL, NULL, diag);
    if (err == OK)
        err = mysql_peer_query(peer, "START TRANSACTION WITH CONSISTENT SNAPSHOT", NULL, NULL, diag);
    if (s->config->is_alone)
        return err;
    if (err == OK && s->config->is_mariadb) {
        err = mysql_peer_query(peer, "SHOW STATUS LIKE 'Binlog_snapshot_%'", take_status, place, diag);
    } else if (err == OK) {
        struct diag first = {0};
        err = mysql_peer_query(peer, "SHOW MASTER STATUS", take_end, place, &first);
        if (err != OK) /* 8.4 calls it so */
            err = mysql_peer_query(peer, "SHOW BINARY LOG STATUS", take_end, place, diag);
        if (err == OK)
            err = mysql_peer_query(peer, "UNLOCK TABLES", NULL, NULL, diag);
    }
    if (err == OK && !place->file[0])
        err = diag_set(diag, ERR_PEER, "snapshot.place", "is its binlog switched on?",
                       "the server does not say where its log stands for a snapshot");
    return err;
}

static void tell(const struct snapshot *s, const struct place *place)
{
    fprintf(stderr, "note: %s of %s.%s: %llu rows", s->config->is_alone ? "query" : "snapshot",
            s->config->source->database, s->config->source->table, (unsigned long long)s->row_count);
    if (!s->config->is_alone)
        fprintf(stderr, " at %s:%llu", place->file, (unsigned long long)place->offset);
    fprintf(stderr, ", in %.1f s\n", (double)(now_us() - s->began_us) / 1e6);
}

enum err snapshot_take(const struct snapshot_config *config, char file[256], uint64_t *offset,
                       struct diag *diag)
{
    struct snapshot s = {.config = config, .began_us = now_us(), .now = (uint32_t)time(NULL)};
    struct place place;
    enum err err = read_table(&s, diag);
    if (err == OK)
        err = begin_transaction(&s, &place, diag);
    if (err == OK && strlen(place.file) > sizeof place.file - 16)
        err = diag_set(diag, ERR_PEER, "snapshot.place", NULL, "the name of the server's log is too long");
    if (err == OK)
        err = begin_file(&s, place.file, diag);
    unsigned count = PIECE_ROWS;
    while (err == OK && count == PIECE_ROWS) {
        err = read_piece(&s, &count, diag);
        keep_rate(&s);
        if (err == OK && config->interrupted && *config->interrupted)
            err = diag_set(diag, ERR_INTERRUPTED, "interrupted", "the next capture takes it anew",
                           "stopped in the middle of the snapshot of %s.%s", config->source->database,
                           config->source->table);
    }
    if (err == OK)
        err = end_group(&s, diag);
    if (err == OK)
        err = mysql_peer_query(config->peer, "COMMIT", NULL, NULL, diag);
    if (err == OK)
        tell(&s, &place);
    memcpy(file, place.file, sizeof place.file);
    *offset = place.offset;
    mem_give(s.names);
    mem_give(s.columns);
    mem_give(s.list.data);
    mem_give(s.event.data);
    mem_give(s.rows.data);
    for (int k = 0; k < KEY_MAX; k++)
        mem_give(s.last[k]);
    return err;
}
