/* io/source/log_kept.c: see log_kept.h
 *
 * An entry is numbers and names with a space behind each, a name with its size before it: "5:order".
 */
#include "io/source/log_kept.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { KEPT_FORMAT = 1, PRINT_BYTES = 4096, HEAD_FLAGS_AT = 21, KEPT_COLUMNS_MAX = 4096 };

/* ---- a place, whatever its file is called ---- */

/* Of up to PRINT_BYTES before `offset`. The byte that says that the server still writes to the file counts for nothing. 0: it has no such bytes. */
static enum err print_of(struct input_file *file, uint64_t offset, uint64_t *print, struct diag *diag)
{
    uint8_t bytes[PRINT_BYTES];
    const size_t size = offset < sizeof bytes ? (size_t)offset : sizeof bytes;
    *print = 0;
    if (offset == 0 || file->size < offset)
        return OK;
    const ssize_t n = input_pread(file, bytes, size, offset - size);
    if (n != (ssize_t)size)
        return diag_set_errno(diag, n < 0 ? (int)-n : 5, "read", "%s: cannot read at byte %llu", file->path,
                              (unsigned long long)(offset - size));
    if (offset == size && size > HEAD_FLAGS_AT)
        bytes[HEAD_FLAGS_AT] = 0;
    *print = hash_bytes(bytes, size, offset) | 1;
    return OK;
}

static enum err find_place(struct file_set *set, uint64_t offset, uint64_t print, uint64_t *place,
                           struct diag *diag)
{
    *place = 0;
    for (uint32_t i = set->count; i-- > 0 && offset;) {
        uint64_t is;
        const enum err err = print_of(&set->files[i], offset, &is, diag);
        if (err != OK)
            return err;
        if (is && is == print) {
            *place = set->files[i].base + offset;
            return OK;
        }
    }
    return OK;
}

/* ---- reading ---- */

struct reading {
    const char *at, *end;
    int bad;
};

static uint64_t take_number(struct reading *r, char behind)
{
    uint64_t number = 0;
    const char *from = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && number <= UINT64_MAX / 10 - 1; r->at++)
        number = number * 10 + (uint64_t)(*r->at - '0');
    /* The last digit of the largest ones. */
    if (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        number = number * 10 + (uint64_t)(*r->at++ - '0');
    if (r->at == from || r->at == r->end || *r->at != behind)
        r->bad = 1;
    else
        r->at++;
    return r->bad ? 0 : number;
}

static struct span take_name(struct reading *r)
{
    const uint64_t size = take_number(r, ':');
    if (r->bad || (uint64_t)(r->end - r->at) <= size || r->at[size] != ' ') {
        r->bad = 1;
        return (struct span){"", 0};
    }
    const struct span name = {r->at, (size_t)size};
    r->at += size + 1;
    return name;
}

static enum err take_columns(struct schema_version *version, struct reading *r, struct diag *diag)
{
    const uint64_t keys = take_number(r, ' '), count = take_number(r, ' ');
    if (r->bad || keys > count || count > KEPT_COLUMNS_MAX) {
        r->bad = 1;
        return OK;
    }
    version->columns = mem_take_zero((size_t)count + 1, sizeof *version->columns);
    version->key = mem_take_zero((size_t)keys + 1, sizeof *version->key);
    if (!version->columns || !version->key)
        return mem_fail(diag, count * sizeof *version->columns, "a table's versions");
    version->key_count = (uint32_t)keys;
    for (uint64_t i = 0; i < keys; i++) {
        const uint64_t column = take_number(r, ' ');
        r->bad |= column >= count;
        version->key[i] = r->bad ? 0 : (uint16_t)column;
    }
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        struct schema_column *column = &version->columns[i];
        const struct span name = take_name(r);
        column->name = mem_copy_text(name.data, name.size);
        if (!column->name)
            return mem_fail(diag, name.size, "a table's versions");
        version->column_count++;
        struct binlog_room *room = &column->room;
        column->is_used = (uint8_t)take_number(r, ' ');
        column->tells = (uint8_t)take_number(r, ' ');
        room->family = (uint8_t)take_number(r, ' ');
        room->is_fixed = (uint8_t)take_number(r, ' ');
        room->is_unsigned = (int8_t)((int)take_number(r, ' ') - 1);
        room->may_be_null = (int8_t)((int)take_number(r, ' ') - 1);
        room->decimals = (int8_t)((int)take_number(r, ' ') - 1);
        room->char_bytes = (uint8_t)take_number(r, ' ');
        const struct span set = take_name(r);
        r->bad |= set.size >= sizeof room->set;
        if (!r->bad)
            memcpy(room->set, set.data, set.size);
        room->label_count = (uint32_t)take_number(r, ' ');
        room->labels[0] = take_number(r, ' ');
        room->labels[1] = take_number(r, ' ');
        room->size = take_number(r, ' ');
        room->bytes = take_number(r, ' ');
    }
    return OK;
}

static int is_text(struct span s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.data, text, s.size) == 0;
}

static enum err another_log(const struct log_schema *schema, struct span database, struct span table,
                            struct span name, int one_table, struct diag *diag)
{
    const struct source_spec *spec = schema->spec;
    char found[1200];
    if (one_table)
        snprintf(found, sizeof found,
                 "carried records are told by ids that begin with \"%.*s\", and this log's begin with \"%s\"",
                 (int)name.size, name.data, spec->log_name ? spec->log_name : "");
    else
        snprintf(found, sizeof found,
                 "carried records are rows of %.*s.%.*s, and the job reads %s.%s: what becomes of them would "
                 "not be seen",
                 (int)database.size, database.data, (int)table.size, table.data, spec->database, spec->table);
    return log_schema_stop_kept(schema, schema->set->files[0].base, found, diag);
}

enum err log_kept_take(struct log_schema *schema, struct file_set *set, struct span text, int holds,
                       uint64_t *since, int *has_place, struct diag *diag)
{
    const struct source_spec *spec = schema->spec;
    struct reading r = {text.data, text.data + text.size, 0};
    struct span other[3] = {{"", 0}, {"", 0}, {"", 0}};
    int one_table = 0, others = 0;
    *since = 0;
    *has_place = 0;
    while (r.at < r.end) {
        struct schema_version version = {0};
        r.bad |= take_number(&r, ' ') != KEPT_FORMAT;
        const struct span database = take_name(&r), table = take_name(&r), name = take_name(&r);
        const uint64_t offset = take_number(&r, ' '), print = take_number(&r, ' ');
        enum err err = r.bad ? OK : take_columns(&version, &r, diag);
        if (err == OK && r.bad)
            err = diag_set(diag, ERR_STATE, "state.log_table",
                           "bring the whole state folder back from a backup",
                           "what is kept of a log's table cannot be read");
        const int same = err == OK && is_text(database, spec->database) && is_text(table, spec->table);
        if (same && is_text(name, spec->log_name ? spec->log_name : "")) {
            *has_place = 1;
            err = find_place(set, offset, print, since, diag);
            if (!holds || !set->count || version.column_count == 0) {
                schema_version_fini(&version);
                return err;
            }
            schema->kept = version;
            schema->has_kept = 1;
            schema->kept.first = schema->kept.last = *since;
            return err;
        }
        const int is_bare = version.column_count == 0;
        schema_version_fini(&version);
        if (err != OK)
            return err;
        if (is_bare) /* no row of it is carried */
            continue;
        if (!one_table) {
            other[0] = database;
            other[1] = table;
            other[2] = name;
        }
        one_table |= same;
        others++;
    }
    /* One log more, beside those there were: nothing of it is carried. */
    return others == 0 || !holds || !set->count || (spec->log_name && !one_table)
               ? OK
               : another_log(schema, other[0], other[1], other[2], one_table, diag);
}

/* ---- writing ---- */

static void put_name(struct text *out, const char *name)
{
    text_format(out, "%zu:%s ", strlen(name), name);
}

/* What the column is called behind a place, where it only got other names since. */
static const char *name_since(const struct log_schema *schema, const char *name, uint64_t place)
{
    for (uint32_t i = 0; i < schema->alter_count; i++) { /* in the order of the log */
        const struct binlog_alter *alter = &schema->alters[i].alter;
        if (schema->alters[i].place > place && alter->kind == ALTER_RENAME &&
            strcasecmp(alter->column, name) == 0)
            name = alter->renamed;
    }
    return name;
}

static const struct schema_column *column_called(const struct schema_version *version, const char *name)
{
    for (uint32_t i = 0; i < version->column_count; i++)
        if (strcasecmp(version->columns[i].name, name) == 0)
            return &version->columns[i];
    return NULL;
}

/* A snapshot does not say what columns have room for: what another version said of it. */
static const struct binlog_room *room_known(const struct log_schema *schema,
                                            const struct schema_column *column)
{
    if (column->room.family != ROOM_UNKNOWN)
        return &column->room;
    for (uint32_t i = 0; i <= schema->version_count; i++) {
        const struct schema_version *other = i < schema->version_count ? &schema->versions[i] : &schema->kept;
        const struct schema_column *known = column_called(other, column->name);
        if (known && known->room.family != ROOM_UNKNOWN)
            return &known->room;
    }
    return &column->room;
}

enum err log_kept_give(const struct log_schema *schema, struct file_set *set, uint64_t end, struct text *out,
                       struct diag *diag)
{
    const struct source_spec *spec = schema->spec;
    const struct schema_version *newest = schema->has_kept ? &schema->kept : NULL;
    for (uint32_t i = 0; i < schema->version_count; i++)
        if (!newest || newest == &schema->kept || schema->versions[i].last > newest->last)
            newest = &schema->versions[i];
    /* It is so up to the log's end: statements behind its last row were looked at as well. */
    uint64_t offset = 0, print = 0;
    if (set->count) {
        offset = end;
        const enum err err = print_of(&set->files[set->count - 1], offset, &print, diag);
        if (err != OK)
            return err;
    }
    text_format(out, "%d ", KEPT_FORMAT);
    put_name(out, spec->database);
    put_name(out, spec->table);
    put_name(out, spec->log_name ? spec->log_name : "");
    text_format(out, "%llu %llu ", (unsigned long long)offset, (unsigned long long)print);
    /* What tells rows apart: `occurrence_id`, or the table's key. */
    const int named = spec->occurrence_count;
    if (!newest) {
        text_words(out, "0 0 ");
        return out->failed ? mem_fail(diag, out->size, "what is kept of a table") : OK;
    }
    const uint32_t keys = named ? (uint32_t)named : newest->key_count;
    uint32_t found = 0;
    for (uint32_t i = 0; named && i < keys; i++)
        found += column_called(newest, spec->occurrence[i]) != NULL;
    text_format(out, "%u %u ", named ? found : keys, newest->column_count);
    for (uint32_t i = 0; i < keys; i++) {
        const struct schema_column *column =
            named ? column_called(newest, spec->occurrence[i]) : &newest->columns[newest->key[i]];
        if (column)
            text_format(out, "%u ", (unsigned)(column - newest->columns));
    }
    for (uint32_t i = 0; i < newest->column_count; i++) {
        const struct schema_column *column = &newest->columns[i];
        const struct binlog_room *room = room_known(schema, column);
        put_name(out, name_since(schema, column->name, newest->last));
        text_format(out, "%u %u %u %u %u %u %u %u ", column->is_used, column->tells, room->family,
                    room->is_fixed, (unsigned)(room->is_unsigned + 1), (unsigned)(room->may_be_null + 1),
                    (unsigned)(room->decimals + 1), room->char_bytes);
        put_name(out, room->set);
        text_format(out, "%u %llu %llu %llu %llu ", room->label_count, (unsigned long long)room->labels[0],
                    (unsigned long long)room->labels[1], (unsigned long long)room->size,
                    (unsigned long long)room->bytes);
    }
    return out->failed ? mem_fail(diag, out->size, "what is kept of a table") : OK;
}
