/* io/format/binlog_table.c: see binlog_table.h
 *
 *     id (6 or 4) flags (2) | length db NUL | length table NUL | count | a type byte per column
 *     | length of metadata, metadata by type | nullable bits | optional: (kind, length, value) ...
 */
#include "io/format/binlog_table.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "io/format/binlog_types.h"
#include <stdio.h>
#include <strings.h>

enum optional_kind {
    OPTIONAL_SIGNS = 1,
    OPTIONAL_DEFAULT_CHARSET = 2,
    OPTIONAL_COLUMN_CHARSETS = 3,
    OPTIONAL_NAMES = 4,
    OPTIONAL_SET_LABELS = 5,
    OPTIONAL_ENUM_LABELS = 6,
    OPTIONAL_KEY = 8,
    OPTIONAL_KEY_PREFIXES = 9,
    OPTIONAL_LABEL_DEFAULT_CHARSET = 10,
    OPTIONAL_LABEL_CHARSETS = 11,
    OPTIONAL_VISIBILITY = 12,
    OPTIONAL_KINDS = 13
};

static const char *const hint_copy = "the file is damaged: copy it again from the server";

static void *fail_malformed(const struct table_maker *maker, const char *what)
{
    binlog_fail(maker->diag, maker->file, maker->offset, "binlog.event", hint_copy,
                "TABLE_MAP event is malformed: %s", what);
    return NULL;
}

static void *take(const struct table_maker *maker, size_t count, size_t size)
{
    void *p = arena_take(maker->arena, count * size + 1);
    if (!p)
        mem_fail(maker->diag, count * size, "a table of the binlog");
    else
        memset(p, 0, count * size + 1);
    return p;
}

static char *take_text(const struct table_maker *maker, const uint8_t *text, size_t size)
{
    char *p = take(maker, size, 1);
    if (p)
        memcpy(p, text, size);
    return p;
}

/* The two names at the body's front. 0: malformed. */
static int names_read(struct binlog_cursor *c, struct span *database, struct span *table)
{
    cursor_take(c, 2);
    struct span *names[2] = {database, table};
    for (int i = 0; i < 2; i++) {
        size_t size = cursor_le(c, 1);
        const uint8_t *name = cursor_take(c, size);
        const uint8_t *nul = cursor_take(c, 1);
        if (c->bad || *nul != 0)
            return 0;
        *names[i] = (struct span){(const char *)name, size};
    }
    return 1;
}

int table_watch_index(const struct binlog_options *options, const uint8_t *raw, size_t raw_size)
{
    struct binlog_cursor c = {raw, raw + raw_size, 0};
    struct span database, table;
    if (!names_read(&c, &database, &table))
        return -2;
    if (options->watch_count == 0)
        return 0;
    for (int i = 0; i < options->watch_count; i++)
        if (span_is(database, options->watch[i].database) && span_is(table, options->watch[i].table))
            return i;
    return -1;
}

/* Undoes the trick by which STRING's metadata says ENUM, SET, or a length above 255. */
static void string_untrick(struct binlog_column *column)
{
    uint8_t high = (uint8_t)(column->metadata & 0xff), low = (uint8_t)(column->metadata >> 8);
    if (high == TYPE_ENUM || high == TYPE_SET) {
        column->type = high;
        column->metadata = low;
    } else if ((high & 0x30) != 0x30) {
        column->type = (uint8_t)(high | 0x30);
        column->metadata = (uint16_t)(low | ((high & 0x30) ^ 0x30) << 4);
    } else {
        column->type = high;
        column->metadata = low;
    }
}

/* Reads the metadata of one column. Returns 0 for a type that is not known. */
static int metadata_read(struct binlog_column *column, struct binlog_cursor *c)
{
    switch (column->type) {
    case TYPE_TINY:
    case TYPE_SHORT:
    case TYPE_INT24:
    case TYPE_LONG:
    case TYPE_LONGLONG:
    case TYPE_NULL:
    case TYPE_TIMESTAMP:
    case TYPE_DATE:
    case TYPE_NEWDATE:
    case TYPE_TIME:
    case TYPE_DATETIME:
    case TYPE_YEAR:
        return 1;
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
    case TYPE_TINY_BLOB:
    case TYPE_MEDIUM_BLOB:
    case TYPE_LONG_BLOB:
    case TYPE_BLOB:
    case TYPE_BLOB_COMPRESSED:
    case TYPE_JSON:
    case TYPE_GEOMETRY:
    case TYPE_VECTOR:
    case TYPE_TIMESTAMP2:
    case TYPE_DATETIME2:
    case TYPE_TIME2:
        column->metadata = (uint16_t)cursor_le(c, 1);
        return 1;
    case TYPE_VARCHAR:
    case TYPE_VARCHAR_COMPRESSED:
    case TYPE_VAR_STRING:
    case TYPE_BIT:
    case TYPE_NEWDECIMAL:
        column->metadata = (uint16_t)cursor_le(c, 2);
        return 1;
    case TYPE_STRING:
    case TYPE_ENUM:
    case TYPE_SET:
        column->metadata = (uint16_t)cursor_le(c, 2);
        string_untrick(column);
        return 1;
    default:
        return 0;
    }
}

static void plan_fixed(struct column_plan *plan, enum plan_kind kind, uint32_t size)
{
    plan->skip = SKIP_FIXED;
    plan->kind = (uint8_t)kind;
    plan->size = size;
}

static void plan_prefix(struct column_plan *plan, enum plan_kind kind, uint32_t prefix_size)
{
    plan->skip = SKIP_PREFIX;
    plan->kind = (uint8_t)kind;
    plan->size = prefix_size;
}

static int is_old_time(unsigned type)
{
    return type == TYPE_TIMESTAMP || type == TYPE_DATETIME || type == TYPE_TIME;
}

/* How a column's values are cut and read. Returns NULL, or what is wrong with it. */
static const char *plan_make(struct column_plan *plan, const struct binlog_column *column,
                             const struct binlog_format *format)
{
    unsigned metadata = column->metadata;
    plan->is_unsigned = column->is_unsigned;
    plan->decimals = (uint8_t)metadata;
    if (is_old_time(column->type) && format->flavour == BINLOG_MARIADB) {
        if (plan->decimals > 6)
            return "a date or time column in MariaDB's format of before 10.1, whose size the log does not "
                   "tell";
        if (plan->decimals) {
            plan_fixed(plan,
                       column->type == TYPE_TIMESTAMP  ? PLAN_OLD_TIMESTAMP
                       : column->type == TYPE_DATETIME ? PLAN_OLD_DATETIME
                                                       : PLAN_OLD_TIME,
                       old_time_bytes(column->type, plan->decimals));
            return NULL;
        }
    }
    switch (column->type) {
    case TYPE_TINY:
        plan_fixed(plan, PLAN_INT8, 1);
        break;
    case TYPE_SHORT:
        plan_fixed(plan, PLAN_INT16, 2);
        break;
    case TYPE_INT24:
        plan_fixed(plan, PLAN_INT24, 3);
        break;
    case TYPE_LONG:
        plan_fixed(plan, PLAN_INT32, 4);
        break;
    case TYPE_LONGLONG:
        plan_fixed(plan, PLAN_INT64, 8);
        break;
    case TYPE_NULL:
        plan_fixed(plan, PLAN_NONE, 0);
        break;
    case TYPE_FLOAT:
        if (metadata != 4)
            return "a FLOAT that is not 4 bytes";
        plan_fixed(plan, PLAN_FLOAT, 4);
        break;
    case TYPE_DOUBLE:
        if (metadata != 8)
            return "a DOUBLE that is not 8 bytes";
        plan_fixed(plan, PLAN_DOUBLE, 8);
        break;
    case TYPE_TIMESTAMP:
        plan_fixed(plan, PLAN_TIMESTAMP, 4);
        break;
    case TYPE_DATE:
    case TYPE_NEWDATE:
        plan_fixed(plan, PLAN_DATE, 3);
        break;
    case TYPE_TIME:
        plan_fixed(plan, PLAN_TIME, 3);
        break;
    case TYPE_DATETIME:
        plan_fixed(plan, PLAN_DATETIME, 8);
        break;
    case TYPE_YEAR:
        plan_fixed(plan, PLAN_YEAR, 1);
        break;
    case TYPE_TIMESTAMP2:
    case TYPE_DATETIME2:
    case TYPE_TIME2:
        if (metadata > 6)
            return "a time with more than 6 decimals";
        if (column->type == TYPE_TIMESTAMP2)
            plan_fixed(plan, PLAN_TIMESTAMP2, 4 + (metadata + 1) / 2);
        else if (column->type == TYPE_DATETIME2)
            plan_fixed(plan, PLAN_DATETIME2, 5 + (metadata + 1) / 2);
        else
            plan_fixed(plan, PLAN_TIME2, 3 + (metadata + 1) / 2);
        break;
    case TYPE_NEWDECIMAL: {
        plan->precision = (uint8_t)(metadata & 0xff);
        plan->decimals = (uint8_t)(metadata >> 8);
        size_t size = decimal_bytes(plan->precision, plan->decimals);
        if (size == 0)
            return "an impossible DECIMAL";
        plan_fixed(plan, plan->precision <= 18 && plan->decimals <= 9 ? PLAN_DECIMAL_SHORT : PLAN_DECIMAL,
                   (uint32_t)size);
        break;
    }
    case TYPE_BIT: {
        unsigned bits = (metadata & 0xff) + (metadata >> 8) * 8;
        if ((metadata & 0xff) > 7 || bits == 0 || bits > 64)
            return "an impossible BIT";
        plan_fixed(plan, PLAN_BIT, (bits + 7) / 8);
        break;
    }
    case TYPE_ENUM:
        if (metadata != 1 && metadata != 2)
            return "an impossible ENUM";
        plan_fixed(plan, PLAN_ENUM, metadata);
        break;
    case TYPE_SET:
        if (metadata == 0 || metadata > 8)
            return "an impossible SET";
        plan_fixed(plan, PLAN_SET, metadata);
        break;
    case TYPE_STRING:
        plan->width = metadata;
        plan_prefix(plan, column->collation == 63 ? PLAN_PADDED : PLAN_TEXT, metadata > 255 ? 2 : 1);
        break;
    case TYPE_VARCHAR:
    case TYPE_VAR_STRING:
        plan_prefix(plan, PLAN_TEXT, metadata > 255 ? 2 : 1);
        break;
    case TYPE_VARCHAR_COMPRESSED:
        plan_prefix(plan, PLAN_COLUMN_COMPRESSED, metadata > 255 ? 2 : 1);
        break;
    case TYPE_TINY_BLOB:
    case TYPE_MEDIUM_BLOB:
    case TYPE_LONG_BLOB:
    case TYPE_BLOB:
    case TYPE_BLOB_COMPRESSED:
    case TYPE_JSON:
    case TYPE_GEOMETRY:
    case TYPE_VECTOR:
        if (metadata == 0 || metadata > 4)
            return "a BLOB whose length is in more than 4 bytes";
        plan_prefix(plan,
                    column->type == TYPE_JSON                                      ? PLAN_JSON
                    : column->type == TYPE_BLOB_COMPRESSED                         ? PLAN_COLUMN_COMPRESSED
                    : column->type == TYPE_GEOMETRY || column->type == TYPE_VECTOR ? PLAN_BYTES
                                                                                   : PLAN_TEXT,
                    metadata);
        break;
    default:
        return "a column type that is not supported";
    }
    return NULL;
}

/* Which columns the lists of signs and of character sets count: the servers go by the classes of their
 * fields, not by the types alone. Seen in logs of 9.7 and 10.11; lists of another length are refused. */
static int is_number(unsigned type, int flavour)
{
    (void)flavour;
    return type == TYPE_TINY || type == TYPE_SHORT || type == TYPE_INT24 || type == TYPE_LONG ||
           type == TYPE_LONGLONG || type == TYPE_NEWDECIMAL || type == TYPE_FLOAT || type == TYPE_DOUBLE ||
           type == TYPE_YEAR;
}

static int is_text(unsigned type, int flavour)
{
    return type == TYPE_STRING || type == TYPE_VAR_STRING || type == TYPE_VARCHAR || type == TYPE_BLOB ||
           type == TYPE_TINY_BLOB || type == TYPE_MEDIUM_BLOB || type == TYPE_LONG_BLOB ||
           type == TYPE_VARCHAR_COMPRESSED || type == TYPE_BLOB_COMPRESSED || type == TYPE_VECTOR ||
           (type == TYPE_GEOMETRY && flavour == BINLOG_MARIADB);
}

static int is_labelled(unsigned type, int flavour)
{
    (void)flavour;
    return type == TYPE_ENUM || type == TYPE_SET;
}
/* Bits for the columns with numbers, first column at the highest bit. 0: not as many as there are. */
static int signs_read(struct binlog_column *columns, uint32_t count, struct span bits, int flavour)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_number(columns[i].type, flavour))
            continue;
        if (k / 8 >= bits.size)
            return 0;
        columns[i].is_unsigned = ((unsigned char)bits.data[k / 8] >> (7 - k % 8)) & 1;
        k++;
    }
    return (k + 7) / 8 == bits.size;
}

/* Collations: one for all with exceptions (the how-manieth of these columns, its collation), or one for each.
 */
static int collations_read(struct binlog_column *columns, uint32_t count, struct span bytes,
                           int (*counts)(unsigned, int), int flavour, int has_default)
{
    if (!bytes.data)
        return 1;
    struct binlog_cursor c = {(const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.size, 0};
    uint64_t standard = has_default ? cursor_length(&c) : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (counts(columns[i].type, flavour))
            columns[i].collation = (uint16_t)(has_default ? standard : cursor_length(&c));
    }
    if (!has_default && cursor_left(&c))
        return 0;
    while (!c.bad && cursor_left(&c)) {
        uint64_t which = cursor_length(&c), collation = cursor_length(&c);
        uint32_t i = 0;
        for (; i < count; i++)
            if (counts(columns[i].type, flavour) && which-- == 0)
                break;
        if (i == count)
            return 0;
        columns[i].collation = (uint16_t)collation;
    }
    return !c.bad;
}

static int names_of_columns_read(const struct table_maker *maker, struct binlog_column *columns,
                                 uint32_t count, struct span bytes)
{
    struct binlog_cursor c = {(const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.size, 0};
    for (uint32_t i = 0; i < count; i++) {
        uint64_t size = cursor_length(&c);
        const uint8_t *name = cursor_take(&c, size);
        if (!name)
            return 0;
        columns[i].name = take_text(maker, name, size);
        if (!columns[i].name)
            return 0;
    }
    return 1;
}

static int labels_read(const struct table_maker *maker, struct table_version *version,
                       struct binlog_column *columns, unsigned type, struct span bytes)
{
    struct binlog_cursor c = {(const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.size, 0};
    for (uint32_t i = 0; i < version->table.column_count; i++) {
        if (columns[i].type != type)
            continue;
        uint64_t count = cursor_length(&c);
        if (c.bad || count > cursor_left(&c) || count > (type == TYPE_SET ? 64 : 65535))
            return 0;
        struct charset *charset;
        if (charset_take(&charset, maker->charsets, columns[i].collation, maker->diag) != OK)
            return 0;
        struct span *labels = take(maker, count, sizeof *labels);
        if (!labels)
            return 0;
        for (uint64_t k = 0; k < count; k++) {
            uint64_t size = cursor_length(&c);
            const uint8_t *text = cursor_take(&c, size);
            if (!text)
                return 0;
            struct span label = {take_text(maker, text, size), size};
            if (label.data && charset)
                label = charset_convert(charset, label, maker->arena);
            if (!label.data) {
                mem_fail(maker->diag, size, "a label");
                return 0;
            }
            labels[k] = label;
        }
        version->plans[i].labels = labels;
        version->plans[i].label_count = (uint16_t)count;
    }
    return 1;
}

static int key_read(const struct table_maker *maker, struct table_version *version,
                    struct binlog_column *columns, struct span bytes, int has_prefixes)
{
    struct binlog_cursor c = {(const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.size, 0};
    uint16_t *key = take(maker, version->table.column_count, sizeof *key);
    if (!key)
        return 0;
    uint32_t n = 0;
    while (!c.bad && cursor_left(&c)) {
        uint64_t index = cursor_length(&c);
        if (has_prefixes)
            cursor_length(&c);
        if (c.bad || index >= version->table.column_count || n == version->table.column_count)
            return 0;
        columns[index].is_key = 1;
        key[n++] = (uint16_t)index;
    }
    version->table.key_columns = key;
    version->table.key_count = n;
    return !c.bad;
}

/* MariaDB's old date and time columns: their digits behind the point are in nobody's metadata. `datetime`, `timestamp(3)`. */
static void old_time_said(struct binlog_column *column, const char *said)
{
    static const char *const names[] = {"timestamp", "datetime", "time"};
    static const uint8_t types[] = {TYPE_TIMESTAMP, TYPE_DATETIME, TYPE_TIME};
    for (size_t i = 0; i < sizeof types; i++) {
        const size_t size = strlen(names[i]);
        if (column->type != types[i] || strncasecmp(said, names[i], size) != 0)
            continue;
        said += size;
        if (*said == 0)
            column->metadata = 0;
        else if (said[0] == '(' && said[1] >= '0' && said[1] <= '6' && strcmp(said + 2, ")") == 0)
            column->metadata = (uint16_t)(said[1] - '0');
        return;
    }
}

/* `name`, and what the log may not tell of it: `name signed`, `name unsigned`, `name datetime(3)`. */
static int column_said(const struct table_maker *maker, struct binlog_column *column, const char *said)
{
    const char *space = strchr(said, ' ');
    size_t size = space ? (size_t)(space - said) : strlen(said);
    column->name = take_text(maker, (const uint8_t *)said, size);
    if (!column->name)
        return 0;
    while (space && *space == ' ')
        space++;
    if (space && column->is_unsigned < 0 && is_number(column->type, maker->format->flavour)) {
        if (strcasecmp(space, "unsigned") == 0)
            column->is_unsigned = 1;
        else if (strcasecmp(space, "signed") == 0)
            column->is_unsigned = 0;
    }
    if (space && maker->format->flavour == BINLOG_MARIADB)
        old_time_said(column, space);
    return 1;
}

/* A log that names its columns still does not tell the size of old ones: `columns:` may, by their names. */
static void old_times_find(const struct table_maker *maker, const struct table_version *version,
                           struct binlog_column *columns)
{
    const struct binlog_watch *watch =
        version->table.watch_index >= 0 ? &maker->options->watch[version->table.watch_index] : NULL;
    for (uint32_t i = 0; watch && watch->columns && i < version->table.column_count; i++) {
        const size_t size = strlen(columns[i].name);
        for (int k = 0; is_old_time(columns[i].type) && k < watch->column_count; k++) {
            const char *said = watch->columns[k];
            if (strncmp(said, columns[i].name, size) == 0 && said[size] == ' ')
                old_time_said(&columns[i], said + size + strspn(said + size, " "));
        }
    }
}

static int columns_name(const struct table_maker *maker, struct table_version *version,
                        struct binlog_column *columns)
{
    struct binlog_table *table = &version->table;
    const struct binlog_watch *watch =
        table->watch_index >= 0 ? &maker->options->watch[table->watch_index] : NULL;
    if (watch && watch->columns) {
        if ((uint32_t)watch->column_count != table->column_count) {
            binlog_fail(maker->diag, maker->file, maker->offset, "binlog.columns",
                        "list all columns of the table in their order, as SHOW CREATE TABLE gives them",
                        "table %s.%s has %u columns here, `columns:` names %d", table->database, table->name,
                        table->column_count, watch->column_count);
            return 0;
        }
        for (uint32_t i = 0; i < table->column_count; i++)
            if (!column_said(maker, &columns[i], watch->columns[i]))
                return 0;
        return 1;
    }
    if (!maker->options->unnamed_ok) {
        binlog_fail(
            maker->diag, maker->file, maker->offset, "binlog.columns",
            "SET GLOBAL binlog_row_metadata=FULL for later logs, or give `columns:` in the job for this one",
            "the log does not name the columns of %s.%s", table->database, table->name);
        return 0;
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        char name[16];
        int size = snprintf(name, sizeof name, "@%u", i + 1);
        columns[i].name = take_text(maker, (const uint8_t *)name, (size_t)size);
        if (!columns[i].name)
            return 0;
    }
    return 1;
}

static int needs_resolve(const struct table_maker *maker, struct table_version *version,
                         struct binlog_column *columns)
{
    const struct binlog_options *options = maker->options;
    struct binlog_table *table = &version->table;
    if (!options->needed) {
        for (uint32_t i = 0; i < table->column_count; i++)
            columns[i].is_needed = 1;
        return 1;
    }
    int32_t *needed = take(maker, (size_t)options->needed_count, sizeof *needed);
    if (!needed)
        return 0;
    for (int k = 0; k < options->needed_count; k++) {
        needed[k] = -1;
        for (uint32_t i = 0; i < table->column_count && needed[k] < 0; i++)
            if (strcmp(columns[i].name, options->needed[k]) == 0)
                needed[k] = (int32_t)i;
        if (needed[k] >= 0)
            columns[needed[k]].is_needed = 1;
    }
    for (uint32_t i = 0; i < table->column_count; i++)
        if (columns[i].is_key)
            columns[i].is_needed = 1;
    table->needed = needed;
    return 1;
}

static uint32_t scratch_need(unsigned kind)
{
    switch (kind) {
    case PLAN_DECIMAL:
        return DECIMAL_TEXT_MAX;
    case PLAN_FLOAT:
    case PLAN_DOUBLE:
        return FLOAT_TEXT_MAX;
    case PLAN_YEAR:
    case PLAN_DATE:
    case PLAN_TIME:
    case PLAN_DATETIME:
    case PLAN_TIMESTAMP:
    case PLAN_TIME2:
    case PLAN_DATETIME2:
    case PLAN_TIMESTAMP2:
    case PLAN_OLD_TIME:
    case PLAN_OLD_DATETIME:
    case PLAN_OLD_TIMESTAMP:
    case PLAN_ENUM:
    case PLAN_SET:
        return TIME_VALUE_TEXT_MAX;
    default:
        return 0;
    }
}

/* Plans, cells and scratch, once all is known about the columns. */
static int version_finish(const struct table_maker *maker, struct table_version *version,
                          struct binlog_column *columns)
{
    struct binlog_table *table = &version->table;
    uint32_t scratch = 0;
    for (uint32_t i = 0; i < table->column_count; i++) {
        struct column_plan *plan = &version->plans[i];
        const char *wrong = plan_make(plan, &columns[i], maker->format);
        if (wrong) {
            binlog_fail(maker->diag, maker->file, maker->offset, "binlog.type",
                        columns[i].metadata == OLD_TIME_UNKNOWN
                            ? "say its type in `columns:`, as in \"paid_at datetime(3)\" (`tieout schema` "
                              "asks the server); ALTER "
                              "TABLE ... FORCE on MariaDB 10.1 or later mends later logs"
                            : "ALTER TABLE ... FORCE on a newer server, or a table without this column",
                        "column %s of %s.%s is %s (type %u, metadata %u)", columns[i].name, table->database,
                        table->name, wrong, columns[i].type, columns[i].metadata);
            return 0;
        }
        plan->needed = columns[i].is_needed;
        if (plan->needed && (plan->kind == PLAN_TEXT || plan->kind == PLAN_COLUMN_COMPRESSED) &&
            charset_take(&plan->charset, maker->charsets, columns[i].collation, maker->diag) != OK)
            return 0;
        if (plan->kind == PLAN_TEXT && !plan->charset)
            plan->kind = PLAN_BYTES;
        plan->json_index = (uint16_t)version->json_count;
        version->json_count += columns[i].type == TYPE_JSON;
        plan->scratch = scratch;
        scratch += scratch_need(plan->kind);
    }
    for (int i = 0; i < 2; i++) {
        version->cells[i] = take(maker, table->column_count, sizeof **version->cells);
        version->present[i] = take(maker, (table->column_count + 7) / 8, 1);
        version->scratch[i] = take(maker, scratch, 1);
        if (!version->cells[i] || !version->present[i] || !version->scratch[i])
            return 0;
        for (uint32_t k = 0; k < table->column_count; k++)
            version->cells[i][k].kind = CELL_ABSENT;
    }
    return 1;
}

struct table_version *table_version_make(const struct table_maker *maker, const uint8_t *raw, size_t raw_size,
                                         int watch_index)
{
    struct table_version *version = take(maker, 1, sizeof *version);
    if (!version)
        return NULL;
    uint8_t *copy = take(maker, raw_size, 1);
    if (!copy)
        return NULL;
    memcpy(copy, raw, raw_size);
    version->raw = copy;
    version->raw_size = raw_size;
    version->arena = maker->arena;
    struct binlog_table *table = &version->table;
    table->watch_index = maker->options->watch_count ? watch_index : -1;
    table->content_hash = hash_bytes(raw, raw_size, maker->format->flavour);

    struct binlog_cursor c = {copy, copy + raw_size, 0};
    struct span database, name;
    if (!names_read(&c, &database, &name))
        return fail_malformed(maker, "names");
    table->database = take_text(maker, (const uint8_t *)database.data, database.size);
    table->name = take_text(maker, (const uint8_t *)name.data, name.size);
    if (!table->database || !table->name)
        return NULL;
    uint64_t count = cursor_length(&c);
    if (c.bad || count == 0 || count > BINLOG_COLUMNS_MAX)
        return fail_malformed(maker, "column count");
    table->column_count = (uint32_t)count;
    struct binlog_column *columns = take(maker, count, sizeof *columns);
    version->plans = take(maker, count, sizeof *version->plans);
    if (!columns || !version->plans)
        return NULL;
    table->columns = columns;
    const uint8_t *types = cursor_take(&c, count);
    uint64_t metadata_size = cursor_length(&c);
    const uint8_t *metadata = cursor_take(&c, metadata_size);
    const uint8_t *nullable = cursor_take(&c, (count + 7) / 8);
    if (c.bad)
        return fail_malformed(maker, "columns");
    struct binlog_cursor m = {metadata, metadata + metadata_size, 0};
    for (uint32_t i = 0; i < count; i++) {
        columns[i].type = types[i];
        columns[i].is_unsigned = -1;
        columns[i].is_visible = 1;
        columns[i].may_be_null = nullable && (nullable[i / 8] >> i % 8 & 1);
        if (is_old_time(types[i]) && maker->format->flavour == BINLOG_MARIADB)
            columns[i].metadata = OLD_TIME_UNKNOWN;
        if (!metadata_read(&columns[i], &m)) {
            binlog_fail(
                maker->diag, maker->file, maker->offset, "binlog.type",
                "a table without this column can be read; report the server's version with this message",
                "column %u of %s.%s has type %u, which is not supported", i + 1, table->database, table->name,
                types[i]);
            return NULL;
        }
    }
    if (m.bad || cursor_left(&m))
        return fail_malformed(maker, "metadata");

    struct span optional[OPTIONAL_KINDS] = {{NULL, 0}};
    while (cursor_left(&c)) {
        uint64_t kind = cursor_le(&c, 1), size = cursor_length(&c);
        const uint8_t *value = cursor_take(&c, size);
        if (!value)
            return fail_malformed(maker, "optional metadata");
        /* Kinds that are not known say nothing that is needed here. */
        if (kind < OPTIONAL_KINDS)
            optional[kind] = (struct span){(const char *)value, size};
    }
    uint32_t n = (uint32_t)count;
    struct span *o = optional;
    int flavour = maker->format->flavour;
    if (o[OPTIONAL_SIGNS].data && !signs_read(columns, n, o[OPTIONAL_SIGNS], flavour))
        return fail_malformed(maker, "signs");
    if (!collations_read(columns, n, o[OPTIONAL_DEFAULT_CHARSET], is_text, flavour, 1) ||
        !collations_read(columns, n, o[OPTIONAL_COLUMN_CHARSETS], is_text, flavour, 0) ||
        !collations_read(columns, n, o[OPTIONAL_LABEL_DEFAULT_CHARSET], is_labelled, flavour, 1) ||
        !collations_read(columns, n, o[OPTIONAL_LABEL_CHARSETS], is_labelled, flavour, 0))
        return fail_malformed(maker, "character sets");
    if (o[OPTIONAL_NAMES].data) {
        if (!names_of_columns_read(maker, columns, n, o[OPTIONAL_NAMES]))
            return fail_malformed(maker, "column names");
        if (flavour == BINLOG_MARIADB)
            old_times_find(maker, version, columns);
        /* With names the log is one of full metadata, and a table without a key simply does not say one. */
        table->key_known = 1;
    } else if (!columns_name(maker, version, columns)) {
        return NULL;
    }
    if ((o[OPTIONAL_ENUM_LABELS].data &&
         !labels_read(maker, version, columns, TYPE_ENUM, o[OPTIONAL_ENUM_LABELS])) ||
        (o[OPTIONAL_SET_LABELS].data &&
         !labels_read(maker, version, columns, TYPE_SET, o[OPTIONAL_SET_LABELS])))
        return fail_malformed(maker, "labels");
    for (int prefixes = 0; prefixes < 2; prefixes++) {
        struct span key = o[prefixes ? OPTIONAL_KEY_PREFIXES : OPTIONAL_KEY];
        if (!key.data)
            continue;
        if (!key_read(maker, version, columns, key, prefixes))
            return fail_malformed(maker, "primary key");
        table->key_known = 1;
    }
    struct span visible = o[OPTIONAL_VISIBILITY];
    if (visible.data) {
        if (visible.size < (n + 7) / 8)
            return fail_malformed(maker, "visibility");
        for (uint32_t i = 0; i < n; i++)
            columns[i].is_visible = ((unsigned char)visible.data[i / 8] >> (7 - i % 8)) & 1;
    }
    if (!needs_resolve(maker, version, columns) || !version_finish(maker, version, columns))
        return NULL;
    return version;
}
