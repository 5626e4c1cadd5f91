/* io/format/binlog_alter.c: see binlog_alter.h */
#include "io/format/binlog_alter.h"
#include "core/base/hash.h"
#include "io/format/binlog_table.h"
#include "io/format/binlog_types.h"
#include "io/format/binlog_words.h"
#include <stdio.h>
#include <strings.h>

/* ---- types in statements ---- */

static const struct type_word {
    const char *word;
    uint8_t family, size; /* INT: bytes; times: 0 */
} type_words[] = {
    {"TINYINT", ROOM_INT, 1},       {"BOOL", ROOM_INT, 1},
    {"BOOLEAN", ROOM_INT, 1},       {"SMALLINT", ROOM_INT, 2},
    {"MEDIUMINT", ROOM_INT, 3},     {"INT", ROOM_INT, 4},
    {"INTEGER", ROOM_INT, 4},       {"BIGINT", ROOM_INT, 8},
    {"DECIMAL", ROOM_DECIMAL, 0},   {"NUMERIC", ROOM_DECIMAL, 0},
    {"DEC", ROOM_DECIMAL, 0},       {"FIXED", ROOM_DECIMAL, 0},
    {"VARCHAR", ROOM_TEXT, 0},      {"CHAR", ROOM_TEXT, 0},
    {"TINYTEXT", ROOM_TEXT, 1},     {"TEXT", ROOM_TEXT, 2},
    {"MEDIUMTEXT", ROOM_TEXT, 3},   {"LONGTEXT", ROOM_TEXT, 4},
    {"VARBINARY", ROOM_BYTES, 0},   {"BINARY", ROOM_BYTES, 0},
    {"TINYBLOB", ROOM_BYTES, 1},    {"BLOB", ROOM_BYTES, 2},
    {"MEDIUMBLOB", ROOM_BYTES, 3},  {"LONGBLOB", ROOM_BYTES, 4},
    {"DATE", ROOM_DATE, 0},         {"TIME", ROOM_TIME, 0},
    {"DATETIME", ROOM_DATETIME, 0}, {"TIMESTAMP", ROOM_TIMESTAMP, 0},
    {"YEAR", ROOM_YEAR, 0},         {"FLOAT", ROOM_FLOAT, 0},
    {"DOUBLE", ROOM_DOUBLE, 0},     {"BIT", ROOM_BIT, 0},
    {"ENUM", ROOM_ENUM, 0},         {"SET", ROOM_SET, 0},
    {"JSON", ROOM_JSON, 0},
};

static int is_sign(struct token t, char sign)
{
    return t.kind == TOKEN_SIGN && *t.text.data == sign;
}

static struct token peek(const struct scanner *s)
{
    struct scanner ahead = *s;
    return statement_scan(&ahead);
}

/* Takes the next word if it is this one. */
static int accept(struct scanner *s, const char *word)
{
    if (!statement_is(peek(s), word))
        return 0;
    statement_scan(s);
    return 1;
}

static uint64_t number_of(struct token t)
{
    uint64_t n = 0;
    for (size_t i = 0; t.kind == TOKEN_WORD && i < t.text.size && i < 10; i++)
        if (t.text.data[i] >= '0' && t.text.data[i] <= '9')
            n = n * 10 + (uint64_t)(t.text.data[i] - '0');
    return n;
}

/* Over the clause's rest. 0: the statement ends with it. */
static int clause_end(struct scanner *s)
{
    int depth = 0;
    for (;;) {
        struct token t = statement_scan(s);
        if (t.kind == TOKEN_END)
            return 0;
        depth += is_sign(t, '(') - is_sign(t, ')');
        if (depth == 0 && is_sign(t, ','))
            return 1;
    }
}

static void set_name(struct binlog_room *room, struct span name)
{
    if (name.size < sizeof room->set) {
        for (size_t i = 0; i < name.size; i++)
            room->set[i] = (char)(name.data[i] | (name.data[i] >= 'A' && name.data[i] <= 'Z' ? 0x20 : 0));
        room->set[name.size] = 0;
    }
    if (strcmp(room->set, "utf8") == 0)
        memcpy(room->set, "utf8mb3", sizeof "utf8mb3");
}

static void label_add(uint64_t labels[2], const char *text, size_t size)
{
    const uint64_t hash = hash_bytes(text, size, 0);
    labels[0] |= 1ull << (hash & 63);
    labels[1] |= 1ull << (hash >> 6 & 63);
}

/* A column's type in a statement; what stands behind it goes up to the clause's end. */
static void type_read(struct binlog_room *room, struct scanner *s)
{
    *room = (struct binlog_room){.is_unsigned = -1, .may_be_null = 1, .decimals = -1};
    const struct token word = statement_scan(s);
    const struct type_word *type = NULL;
    for (size_t i = 0; i < sizeof type_words / sizeof *type_words; i++)
        if (statement_is(word, type_words[i].word))
            type = &type_words[i];
    if (!type)
        return;
    room->family = type->family;
    uint64_t numbers[2] = {0, 0};
    uint32_t count = 0;
    int plain = 1;
    if (is_sign(peek(s), '(')) {
        statement_scan(s);
        for (struct token t = statement_scan(s); t.kind != TOKEN_END && !is_sign(t, ')');
             t = statement_scan(s)) {
            if (is_sign(t, ','))
                continue;
            if (t.kind == TOKEN_WORD && count < 2)
                numbers[count] = number_of(t);
            if (t.kind == TOKEN_TEXT || t.kind == TOKEN_NAME) {
                label_add(room->labels, t.text.data, t.text.size);
                for (size_t i = 0; i < t.text.size; i++)
                    plain &= t.text.data[i] != '\\' && t.text.data[i] != '\'' && t.text.data[i] > 0;
            }
            count++;
        }
    }
    switch (type->family) {
    case ROOM_INT:
        room->is_unsigned = 0;
        room->size = type->size;
        break;
    case ROOM_DECIMAL:
        room->is_unsigned = 0;
        room->decimals = (int8_t)(numbers[1] < 100 ? numbers[1] : 0);
        room->size = (count ? numbers[0] : 10) - (uint64_t)room->decimals;
        break;
    case ROOM_TEXT:
    case ROOM_BYTES:
        room->is_fixed = statement_is(word, "CHAR") || statement_is(word, "BINARY");
        if (type->size && !count)
            room->bytes = (1ull << 8 * type->size) - 1;
        else if (room->family == ROOM_TEXT && !type->size)
            room->size = count ? numbers[0] : 1;
        else
            room->bytes = count ? numbers[0] : 1;
        break;
    case ROOM_BIT:
        room->size = count ? numbers[0] : 1;
        break;
    case ROOM_TIME:
    case ROOM_DATETIME:
    case ROOM_TIMESTAMP:
        room->decimals = (int8_t)(numbers[0] <= 6 ? numbers[0] : 6);
        break;
    case ROOM_ENUM:
    case ROOM_SET:
        room->label_count = count;
        if (!plain)
            room->labels[0] = room->labels[1] = UINT64_MAX;
        break;
    default:
        break;
    }
    /* UNSIGNED, a character set; a column that becomes a computed one has other values. */
    for (int depth = 0;;) {
        struct token t = peek(s);
        if (t.kind == TOKEN_END || (depth == 0 && is_sign(t, ',')))
            return;
        statement_scan(s);
        depth += is_sign(t, '(') - is_sign(t, ')');
        if (depth)
            continue;
        if (statement_is(t, "UNSIGNED") || statement_is(t, "ZEROFILL"))
            room->is_unsigned = 1;
        else if (statement_is(t, "NOT") && statement_is(peek(s), "NULL"))
            room->may_be_null = 0;
        else if (statement_is(t, "AS") || statement_is(t, "GENERATED"))
            room->family = ROOM_UNKNOWN;
        else if (statement_is(t, "CHARSET") || (statement_is(t, "CHARACTER") && accept(s, "SET")))
            set_name(room, peek(s).text);
        else if (statement_is(t, "AFTER"))
            statement_scan(s);
    }
}

/* ---- clauses ---- */

static void name_take(char out[ALTER_NAME_MAX], struct token t)
{
    snprintf(out, ALTER_NAME_MAX, "%.*s", (int)(t.text.size < ALTER_NAME_MAX ? t.text.size : 0), t.text.data);
}

static void over_if_exists(struct scanner *s)
{
    if (accept(s, "IF")) {
        accept(s, "NOT");
        accept(s, "EXISTS");
    }
}

static int same_name(struct token t, const char *name)
{
    return (t.kind == TOKEN_WORD || t.kind == TOKEN_NAME) && t.text.size == strlen(name) &&
           strncasecmp(t.text.data, name, t.text.size) == 0;
}

/* The table's name, behind TABLE. */
static int names_watched(struct scanner *s, struct span database, const struct binlog_watch *watch)
{
    over_if_exists(s);
    struct token first = statement_scan(s);
    if (!is_sign(peek(s), '.'))
        return same_name(first, watch->table) &&
               (database.size == 0 || same_name((struct token){TOKEN_NAME, database}, watch->database));
    statement_scan(s);
    return same_name(first, watch->database) && same_name(statement_scan(s), watch->table);
}

static int says_versioned(struct scanner s)
{
    struct token before = {TOKEN_END, {NULL, 0}};
    for (struct token t = statement_scan(&s); t.kind != TOKEN_END; before = t, t = statement_scan(&s))
        if (statement_is(t, "SYSTEM") && !statement_is(before, "DROP") &&
            statement_is(peek(&s), "VERSIONING"))
            return 1;
    return 0;
}

/* One clause, up to its end. 1: it says something. */
static int clause_read(struct alter_reader *reader, struct scanner *s, struct binlog_alter *out)
{
    static const char *const no_columns[] = {"PRIMARY",    "INDEX", "KEY",    "FOREIGN",
                                             "CONSTRAINT", "CHECK", "PERIOD", "PARTITION"};
    if (accept(s, "DROP")) {
        const struct token next = peek(s);
        for (size_t i = 0; i < sizeof no_columns / sizeof *no_columns; i++)
            if (statement_is(next, no_columns[i]))
                return 0;
        if (accept(s, "SYSTEM") && statement_is(peek(s), "VERSIONING"))
            return 0;
        accept(s, "COLUMN");
        over_if_exists(s);
        name_take(out->column, statement_is(next, "SYSTEM") ? next : statement_scan(s));
        out->kind = ALTER_DROP;
        return 1;
    }
    if (accept(s, "MODIFY")) {
        accept(s, "COLUMN");
        over_if_exists(s);
        name_take(out->column, statement_scan(s));
        type_read(&out->room, s);
        out->kind = ALTER_TYPE;
        return 1;
    }
    if (accept(s, "CHANGE")) {
        accept(s, "COLUMN");
        over_if_exists(s);
        name_take(out->column, statement_scan(s));
        name_take(out->renamed, statement_scan(s));
        type_read(&out->room, s);
        out->kind = ALTER_TYPE;
        if (strcasecmp(out->column, out->renamed) != 0) {
            reader->held = *out;
            reader->held.kind = ALTER_RENAME;
            reader->is_held = 1;
        }
        out->renamed[0] = 0;
        return 1;
    }
    if (accept(s, "RENAME")) {
        if (!accept(s, "COLUMN"))
            return 0;
        over_if_exists(s);
        name_take(out->column, statement_scan(s));
        accept(s, "TO");
        name_take(out->renamed, statement_scan(s));
        out->kind = ALTER_RENAME;
        return 1;
    }
    if (accept(s, "CONVERT") && accept(s, "TO")) {
        if (!accept(s, "CHARSET")) {
            accept(s, "CHARACTER");
            accept(s, "SET");
        }
        out->kind = ALTER_SET;
        set_name(&out->room, statement_scan(s).text);
        return 1;
    }
    return 0;
}

int binlog_alter_next(struct alter_reader *reader, struct span database, const struct binlog_watch *watch,
                      struct binlog_alter *out)
{
    if (reader->is_held) {
        *out = reader->held;
        out->is_strict = (uint8_t)(reader->is_strict != 0);
        reader->is_held = 0;
        return 1;
    }
    const struct span text = reader->text;
    struct scanner s = {text.data + reader->at, text.data + text.size, 0};
    memset(out, 0, sizeof *out);
    if (reader->at == 0) {
        const struct token first = statement_scan(&s);
        const int creates = statement_is(first, "CREATE");
        if (!creates && !statement_is(first, "ALTER"))
            return 0;
        struct token t = first;
        while (t.kind != TOKEN_END && !statement_is(t, "TABLE")) {
            reader->is_strict &= !statement_is(t, "IGNORE");
            t = statement_scan(&s);
        }
        reader->at = text.size;
        if (!names_watched(&s, database, watch))
            return 0;
        if (!creates) {
            if (accept(&s, "WAIT"))
                statement_scan(&s);
            accept(&s, "NOWAIT");
            reader->at = (size_t)(s.at - text.data);
        }
        if (says_versioned(s)) {
            out->kind = ALTER_VERSIONED;
            return 1;
        }
    }
    while (reader->at < text.size) {
        s.at = text.data + reader->at;
        const int says = clause_read(reader, &s, out);
        reader->at = clause_end(&s) ? (size_t)(s.at - text.data) : text.size;
        out->is_strict = (uint8_t)(reader->is_strict != 0);
        if (says)
            return 1;
        memset(out, 0, sizeof *out);
    }
    return 0;
}

/* ---- room ---- */

static void text_room(struct binlog_room *room, const struct binlog_column *column, int blob_size)
{
    room->family = column->collation == 63 ? ROOM_BYTES : ROOM_TEXT;
    if (column->collation && column->collation != 63)
        charset_room(column->collation, room->set, &room->char_bytes);
    room->bytes = blob_size ? (blob_size < 8 ? (1ull << 8 * blob_size) - 1 : 0) : column->metadata;
    if (!blob_size && room->family == ROOM_TEXT && room->char_bytes)
        room->size = column->metadata / room->char_bytes;
}

void binlog_room_of(struct binlog_room *room, const struct binlog_table *table, uint32_t index)
{
    const struct binlog_column *column = &table->columns[index];
    const struct column_plan *plan = &((const struct table_version *)table)->plans[index];
    const unsigned metadata = column->metadata;
    *room = (struct binlog_room){
        .is_unsigned = column->is_unsigned, .may_be_null = column->may_be_null, .decimals = -1};
    switch (column->type) {
    case TYPE_TINY:
    case TYPE_SHORT:
    case TYPE_INT24:
    case TYPE_LONG:
    case TYPE_LONGLONG:
        room->family = ROOM_INT;
        room->size = plan->size;
        break;
    case TYPE_NEWDECIMAL:
        room->family = ROOM_DECIMAL;
        room->decimals = (int8_t)plan->decimals;
        room->size = (uint64_t)plan->precision - plan->decimals;
        break;
    case TYPE_FLOAT:
        room->family = ROOM_FLOAT;
        break;
    case TYPE_DOUBLE:
        room->family = ROOM_DOUBLE;
        break;
    case TYPE_DATE:
    case TYPE_NEWDATE:
        room->family = ROOM_DATE;
        break;
    case TYPE_YEAR:
        room->family = ROOM_YEAR;
        break;
    case TYPE_TIME:
    case TYPE_TIME2:
        room->family = ROOM_TIME;
        room->decimals = (int8_t)(metadata <= 6 ? (int)metadata : -1);
        break;
    case TYPE_DATETIME:
    case TYPE_DATETIME2:
        room->family = ROOM_DATETIME;
        room->decimals = (int8_t)(metadata <= 6 ? (int)metadata : -1);
        break;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP2:
        room->family = ROOM_TIMESTAMP;
        room->decimals = (int8_t)(metadata <= 6 ? (int)metadata : -1);
        break;
    case TYPE_BIT:
        room->family = ROOM_BIT;
        room->size = (metadata & 0xff) + (metadata >> 8) * 8;
        break;
    case TYPE_ENUM:
    case TYPE_SET:
        room->family = column->type == TYPE_ENUM ? ROOM_ENUM : ROOM_SET;
        room->label_count = plan->label_count;
        for (uint32_t i = 0; i < plan->label_count && plan->labels; i++)
            label_add(room->labels, plan->labels[i].data, plan->labels[i].size);
        if (!plan->labels)
            room->labels[0] = room->labels[1] = UINT64_MAX;
        break;
    case TYPE_STRING:
        room->is_fixed = 1;
        text_room(room, column, 0);
        break;
    case TYPE_VARCHAR:
    case TYPE_VAR_STRING:
        text_room(room, column, 0);
        break;
    case TYPE_VARCHAR_COMPRESSED:
        text_room(room, column, 8); /* its metadata counts a head, too: not compared */
        break;
    case TYPE_TINY_BLOB:
    case TYPE_MEDIUM_BLOB:
    case TYPE_LONG_BLOB:
    case TYPE_BLOB:
    case TYPE_BLOB_COMPRESSED:
        text_room(room, column, (int)metadata);
        break;
    case TYPE_JSON:
        room->family = ROOM_JSON;
        break;
    default:
        room->family = ROOM_OTHER;
        room->size = column->type;
        break;
    }
}

static int set_holds(const char *old, const char *now)
{
    if (!old[0] || !now[0] || strcmp(old, now) == 0 || strcmp(now, "utf8mb4") == 0)
        return 1;
    return strcmp(old, "ascii") == 0 ||
           (strcmp(now, "utf8mb3") == 0 && strncmp(old, "utf", 3) != 0 && strcmp(old, "gb18030") != 0);
}

static int text_holds(const struct binlog_room *old, const struct binlog_room *now)
{
    if (!set_holds(old->set, now->set) || (now->is_fixed && !old->is_fixed))
        return 0;
    if (old->size && now->size)
        return now->size >= old->size;
    /* A statement says characters; whose set nobody named keeps it. */
    const uint64_t bytes = now->bytes        ? now->bytes
                           : old->char_bytes ? now->size * old->char_bytes
                                             : now->size * 4;
    return old->bytes == 0 || bytes == 0 || bytes >= old->bytes;
}

static int int_holds(const struct binlog_room *old, const struct binlog_room *now)
{
    if (old->is_unsigned < 0 || now->is_unsigned < 0 || old->is_unsigned == now->is_unsigned)
        return now->size >= old->size;
    return old->is_unsigned && now->size > old->size;
}

int binlog_room_holds_strict(const struct binlog_room *old, const struct binlog_room *now, int as_text)
{
    if (old->family == ROOM_UNKNOWN || old->family != now->family)
        return binlog_room_holds(old, now, as_text);
    switch (old->family) {
    case ROOM_INT:
    case ROOM_BIT:
    case ROOM_ENUM:
    case ROOM_SET:
        return 1;
    case ROOM_DECIMAL:
        return now->decimals >= old->decimals && (!as_text || now->decimals == old->decimals);
    case ROOM_TEXT: /* blanks at its end are no part of a CHAR's value */
    case ROOM_BYTES:
        return now->is_fixed ? old->is_fixed && (old->family == ROOM_TEXT || now->bytes == old->bytes) : 1;
    default: {
        struct binlog_room same = *now;
        same.may_be_null = old->may_be_null;
        return binlog_room_holds(old, &same, as_text);
    }
    }
}

int binlog_room_holds(const struct binlog_room *old, const struct binlog_room *now, int as_text)
{
    /* NULL becomes 0 or nothing. */
    if (old->may_be_null > 0 && now->may_be_null == 0)
        return 0;
    /* MariaDB's JSON is a LONGTEXT. */
    if (old->family == ROOM_TEXT && now->family == ROOM_JSON)
        return 1;
    if (old->family != now->family || now->family == ROOM_UNKNOWN)
        return 0;
    const int known = old->decimals >= 0 && now->decimals >= 0;
    switch (old->family) {
    case ROOM_INT:
        return int_holds(old, now);
    case ROOM_DECIMAL:
        return now->size >= old->size && now->decimals >= old->decimals &&
               (!as_text || now->decimals == old->decimals) &&
               !(old->is_unsigned == 0 && now->is_unsigned > 0);
    case ROOM_TIME:
    case ROOM_DATETIME:
    case ROOM_TIMESTAMP:
        return !known || now->decimals == old->decimals || (now->decimals > old->decimals && !as_text);
    case ROOM_TEXT:
        return text_holds(old, now);
    case ROOM_BYTES:
        /* What is shorter than a BINARY is filled up with zeros. */
        if (now->is_fixed)
            return old->is_fixed && now->bytes == old->bytes;
        return old->bytes == 0 || now->bytes == 0 || now->bytes >= old->bytes;
    case ROOM_BIT:
        return now->size >= old->size;
    case ROOM_ENUM:
    case ROOM_SET:
        return now->label_count >= old->label_count &&
               (old->labels[0] == UINT64_MAX ||
                ((old->labels[0] & ~now->labels[0]) == 0 && (old->labels[1] & ~now->labels[1]) == 0));
    case ROOM_OTHER:
        return old->size == now->size;
    default:
        return 1;
    }
}

void binlog_room_print(char out[64], const struct binlog_room *room)
{
    static const char *const plain[] = {
        [ROOM_DATE] = "DATE",           [ROOM_TIME] = "TIME", [ROOM_DATETIME] = "DATETIME",
        [ROOM_TIMESTAMP] = "TIMESTAMP", [ROOM_YEAR] = "YEAR", [ROOM_FLOAT] = "FLOAT",
        [ROOM_DOUBLE] = "DOUBLE",       [ROOM_JSON] = "JSON"};
    switch (room->family) {
    case ROOM_INT: {
        static const char *const words[9] = {
            [1] = "TINYINT", [2] = "SMALLINT", [3] = "MEDIUMINT", [4] = "INT", [8] = "BIGINT"};
        const char *word = room->size <= 8 ? words[room->size] : NULL;
        snprintf(out, 64, "%s%s", word ? word : "INT", room->is_unsigned > 0 ? " UNSIGNED" : "");
        return;
    }
    case ROOM_DECIMAL:
        snprintf(out, 64, "DECIMAL(%u,%d)%s", (unsigned)room->size + (unsigned)room->decimals, room->decimals,
                 room->is_unsigned > 0 ? " UNSIGNED" : "");
        return;
    case ROOM_TIME:
    case ROOM_DATETIME:
    case ROOM_TIMESTAMP:
        snprintf(out, 64, "%s(%d)", plain[room->family], room->decimals < 0 ? 0 : room->decimals);
        return;
    case ROOM_TEXT:
    case ROOM_BYTES:
        snprintf(out, 64, "%s%s%s of %llu %s", room->set, room->set[0] ? " " : "",
                 room->family == ROOM_TEXT ? (room->is_fixed ? "CHAR" : "text")
                 : room->is_fixed          ? "BINARY"
                                           : "bytes",
                 (unsigned long long)(room->size ? room->size : room->bytes),
                 room->size ? "characters" : "bytes");
        return;
    case ROOM_BIT:
        snprintf(out, 64, "BIT(%u)", (unsigned)room->size);
        return;
    case ROOM_ENUM:
    case ROOM_SET:
        if (room->label_count)
            snprintf(out, 64, "%s of %u words", room->family == ROOM_ENUM ? "ENUM" : "SET",
                     room->label_count);
        else
            snprintf(out, 64, "%s without its words (binlog_row_metadata)",
                     room->family == ROOM_ENUM ? "ENUM" : "SET");
        return;
    case ROOM_OTHER:
        snprintf(out, 64, "type %u", (unsigned)room->size);
        return;
    case ROOM_UNKNOWN:
        snprintf(out, 64, "another type");
        return;
    default:
        snprintf(out, 64, "%s", plain[room->family]);
        return;
    }
}
