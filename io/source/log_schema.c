/* io/source/log_schema.c: see log_schema.h */
#include "io/source/log_schema.h"
#include "core/base/mem.h"
#include "io/source/log_name.h"
#include <stdio.h>
#include <strings.h>

enum { TYPE_TIMESTAMP2 = 17 };

static const char *const hint_start = "start from a later file with a fresh copy of the table before it, or "
                                      "leave out the files before this place";

void log_schema_init(struct log_schema *schema, const struct source_spec *spec,
                     const struct log_columns *columns, const struct file_set *set)
{
    *schema = (struct log_schema){.spec = spec, .columns = columns, .set = set};
}

void schema_version_fini(struct schema_version *version)
{
    for (uint32_t i = 0; i < version->column_count; i++)
        mem_give(version->columns[i].name);
    mem_give(version->columns);
    mem_give(version->key);
    *version = (struct schema_version){0};
}

void log_schema_fini(struct log_schema *schema)
{
    for (uint32_t i = 0; i < schema->version_count; i++)
        schema_version_fini(&schema->versions[i]);
    schema_version_fini(&schema->kept);
    mem_give(schema->versions);
    mem_give(schema->alters);
    *schema = (struct log_schema){0};
}

static int is_named(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcasecmp(names[i], name) == 0)
            return 1;
    return 0;
}

/* MariaDB's WITH SYSTEM VERSIONING, as a table's columns show it: the two that it adds, both with six digits behind the second, the end of the two
 * in the primary key; without a key, both hidden. */
static int shows_history(const struct binlog_table *table, unsigned flavour)
{
    int start = -1, end = -1;
    if (flavour != BINLOG_MARIADB)
        return 0;
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct binlog_column *column = &table->columns[i];
        if (column->type != TYPE_TIMESTAMP2 || column->metadata != 6)
            continue;
        if (strcasecmp(column->name, "row_start") == 0)
            start = (int)i;
        else if (strcasecmp(column->name, "row_end") == 0)
            end = (int)i;
    }
    if (start < 0 || end < 0)
        return 0;
    return table->key_count ? table->columns[end].is_key
                            : !table->columns[start].is_visible && !table->columns[end].is_visible;
}

/* A capture's rows as it began (io/source/snapshot.h): text, whatever the columns are. */
static int is_snapshot(const struct binlog_format *format)
{
    return strstr(format->server_version, "-tieout-snapshot") != NULL;
}

static enum err version_fill(const struct log_schema *schema, struct schema_version *version,
                             const struct binlog_table *table, int snapshot, struct diag *diag)
{
    const int named = schema->spec->occurrence_count;
    version->columns = mem_take_zero((size_t)table->column_count + 1, sizeof *version->columns);
    version->key = mem_take_zero((size_t)table->key_count + 1, sizeof *version->key);
    if (!version->columns || !version->key)
        return mem_fail(diag, table->column_count * sizeof *version->columns, "a table's versions");
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct binlog_column *from = &table->columns[i];
        const int used = is_named(schema->columns->needed, schema->columns->needed_count, from->name);
        if (!used && (named || !from->is_key))
            continue;
        struct schema_column *column = &version->columns[version->column_count];
        column->name = mem_copy_text(from->name, strlen(from->name));
        if (!column->name)
            return mem_fail(diag, strlen(from->name), "a table's versions");
        if (!snapshot)
            binlog_room_of(&column->room, table, i);
        column->is_used = (uint8_t)used;
        column->tells =
            (uint8_t)(named ? is_named((const char *const *)schema->spec->occurrence, named, from->name)
                            : from->is_key);
        for (uint32_t k = 0; !named && k < table->key_count; k++)
            if (table->key_columns[k] == i)
                version->key[k] = (uint16_t)version->column_count;
        version->column_count++;
    }
    version->key_count = named ? 0 : table->key_count;
    return OK;
}

static const struct input_file *file_of(const struct log_schema *schema, uint64_t place)
{
    uint32_t file = 0;
    while (file + 1 < schema->set->count && schema->set->files[file + 1].base <= place)
        file++;
    return &schema->set->files[file];
}

/* FILE@POSITION; behind the colon stands what was found there. */
static enum err stop(const struct log_schema *schema, uint64_t place, const char *code, const char *hint,
                     const char *found, struct diag *diag)
{
    const struct input_file *file = file_of(schema, place);
    return diag_set(diag, ERR_INPUT, code, hint, "%s@%llu: %s", file->path,
                    (unsigned long long)(place - file->base), found);
}

/* Does what stands before `name`'s end name the file, as people do? */
static int names_file(const char *name, size_t size, const struct input_file *file)
{
    const char *const said[] = {log_base_name(file->path), file->path, file->shown};
    const size_t shown = strlen(file->shown);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        if (strlen(said[i]) == size && memcmp(said[i], name, size) == 0)
            return 1;
    return size > shown && name[size - shown - 1] == '/' &&
           memcmp(name + size - shown, file->shown, shown) == 0;
}

/* Has a person looked at this place? Then a note tells of it, unless it was told before. */
static int is_accepted(const struct log_schema *schema, uint64_t place, const char *found, int is_again)
{
    const struct input_file *file = file_of(schema, place);
    char at[24];
    snprintf(at, sizeof at, "%llu", (unsigned long long)(place - file->base));
    for (int i = 0; i < schema->spec->accept_count; i++) {
        const char *const name = schema->spec->accept[i], *const behind = strrchr(name, '@');
        if (!behind || strcmp(behind + 1, at) != 0 || !names_file(name, (size_t)(behind - name), file))
            continue;
        if (!is_again)
            fprintf(stderr, "note: %s@%s: %s; accepted, as the job says\n", file->path, at, found);
        return 1;
    }
    return 0;
}

/* FILE@POSITION as `accept:` takes it. */
static void print_accept(const struct log_schema *schema, uint64_t place, char at[600])
{
    const struct input_file *file = file_of(schema, place);
    snprintf(at, 600, "%.500s@%llu", log_base_name(file->path), (unsigned long long)(place - file->base));
}

enum err log_schema_erased(const struct log_schema *schema, uint64_t place, const char *found, int is_again,
                           struct diag *diag)
{
    char at[600], hint[sizeof diag->hint];
    if (is_accepted(schema, place, found, is_again))
        return OK;
    print_accept(schema, place, at);
    snprintf(
        hint, sizeof hint,
        "once somebody has looked at what became of its rows (those that were told before stay as they "
        "were told), beside `table:`: accept: [\"%.120s\"]; or start from a later file with a fresh copy "
        "of the table before it",
        at);
    return stop(schema, place, "binlog.ddl", hint, found, diag);
}

enum err log_schema_stop_kept(const struct log_schema *schema, uint64_t place, const char *found,
                              struct diag *diag)
{
    char at[600], hint[sizeof diag->hint];
    if (is_accepted(schema, place, found, 0))
        return OK;
    print_accept(schema, place, at);
    snprintf(hint, sizeof hint,
             "change the table or the job back; or, once somebody has looked at what is in suspense "
             "(suspense.csv of the day before) and its rows will change no more, beside `table:`: accept: "
             "[\"%.120s\"]",
             at);
    return stop(schema, place, "binlog.ddl", hint, found, diag);
}

static void key_print(const struct schema_version *version, char out[LOG_KEY_TEXT_MAX])
{
    size_t size = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < version->key_count && size < LOG_KEY_TEXT_MAX - 1; i++) {
        const int n = snprintf(out + size, LOG_KEY_TEXT_MAX - size, "%s%s", i ? ", " : "",
                               version->columns[version->key[i]].name);
        size += n > 0 ? (size_t)n : 0;
    }
}

static const struct schema_column *column_of(const struct schema_version *version, const char *name)
{
    for (uint32_t i = 0; i < version->column_count; i++)
        if (strcasecmp(version->columns[i].name, name) == 0)
            return &version->columns[i];
    return NULL;
}

/* A column of the key that was only given another name keeps its values. */
static int was_renamed(const struct log_schema *schema, const char *from, const char *to)
{
    for (uint32_t i = 0; i < schema->alter_count; i++) {
        const struct binlog_alter *alter = &schema->alters[i].alter;
        if (alter->kind == ALTER_RENAME && strcasecmp(alter->column, from) == 0 &&
            strcasecmp(alter->renamed, to) == 0)
            return 1;
    }
    return 0;
}

static enum err check_keys(const struct log_schema *schema, const struct schema_version *old,
                           const struct schema_version *now, uint64_t place, struct diag *diag)
{
    int same = old->key_count == now->key_count;
    for (uint32_t i = 0; same && i < old->key_count; i++) {
        const char *was = old->columns[old->key[i]].name, *is = now->columns[now->key[i]].name;
        same = strcasecmp(was, is) == 0 || was_renamed(schema, was, is);
    }
    if (same)
        return OK;
    char keys[2][LOG_KEY_TEXT_MAX], found[2 * LOG_KEY_TEXT_MAX + 512];
    key_print(old, keys[0]);
    key_print(now, keys[1]);
    snprintf(found, sizeof found,
             "the primary key of %s.%s is (%s) from here on, and rows before were told by (%s): a row of "
             "before would count twice",
             schema->spec->database, schema->spec->table, keys[1], keys[0]);
    return stop(schema, place, "binlog.ddl",
                "name columns that tell a row for good with `occurrence_id:`, or start from a later file "
                "with a fresh copy of "
                "the table before it",
                found, diag);
}

/* Stops; of what a task before kept, as the job may accept. */
static enum err stop_old(const struct log_schema *schema, const struct schema_version *old, uint64_t place,
                         const char *found, struct diag *diag)
{
    return old == &schema->kept ? log_schema_stop_kept(schema, place, found, diag)
                                : stop(schema, place, "binlog.ddl", hint_start, found, diag);
}

/* The same of what carried records were told by, which may have been `occurrence_id`, or is now. */
static enum err check_identity(const struct log_schema *schema, const struct schema_version *now,
                               uint64_t place, struct diag *diag)
{
    const struct source_spec *spec = schema->spec;
    const struct schema_version *old = &schema->kept;
    const uint32_t named = (uint32_t)spec->occurrence_count, count = named ? named : now->key_count;
    char keys[2][LOG_KEY_TEXT_MAX] = {"", ""}, found[2 * LOG_KEY_TEXT_MAX + 640];
    int same = old->key_count == count;
    for (uint32_t i = 0; i < count; i++) {
        const char *is = named ? spec->occurrence[i] : now->columns[now->key[i]].name;
        const size_t used = strlen(keys[1]);
        snprintf(keys[1] + used, sizeof keys[1] - used, "%s%s", i ? ", " : "", is);
        if (same) {
            const char *was = old->columns[old->key[i]].name;
            same = strcasecmp(was, is) == 0 || was_renamed(schema, was, is);
        }
    }
    if (same)
        return OK;
    key_print(old, keys[0]);
    snprintf(found, sizeof found,
             "%s%.200s.%.200s %s (%s) from here on, and carried records were told by (%s): what becomes of "
             "them would not be seen",
             named ? "rows of " : "the primary key of ", spec->database, spec->table,
             named ? "are told by" : "is", keys[1], keys[0]);
    return log_schema_stop_kept(schema, place, found, diag);
}

static void print_rooms(char types[2][80], const struct binlog_room *old, const struct binlog_room *now)
{
    binlog_room_print(types[0], old);
    binlog_room_print(types[1], now);
    if (old->may_be_null > 0 && now->may_be_null == 0)
        memcpy(types[1] + strlen(types[1]), " NOT NULL", sizeof " NOT NULL");
}

/* Did a statement between two places change the column's type and leave no value that does not fit? Then it is check_alter's to say. */
static int changed_strictly(const struct log_schema *schema, const struct schema_column *column,
                            uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < schema->alter_count; i++) {
        const struct binlog_alter *alter = &schema->alters[i].alter;
        if (schema->alters[i].place > from && schema->alters[i].place < to && alter->is_strict &&
            ((alter->kind == ALTER_TYPE && strcasecmp(alter->column, column->name) == 0) ||
             (alter->kind == ALTER_SET && column->room.family == ROOM_TEXT)))
            return 1;
    }
    return 0;
}

static enum err check_rooms(const struct log_schema *schema, const struct schema_version *old,
                            const struct schema_version *now, uint64_t place, struct diag *diag)
{
    for (uint32_t i = 0; i < old->column_count; i++) {
        const struct schema_column *was = &old->columns[i], *is = column_of(now, was->name);
        if (!is || changed_strictly(schema, was, old->first, now->last) || was->room.family == ROOM_UNKNOWN ||
            is->room.family == ROOM_UNKNOWN || binlog_room_holds(&was->room, &is->room, was->tells))
            continue;
        char types[2][80], found[1400];
        print_rooms(types, &was->room, &is->room);
        snprintf(found, sizeof found,
                 "column \"%.260s\" of %.200s.%.200s is %s from here on and was %s: rows told before may "
                 "have other values now, and no row "
                 "image says so",
                 was->name, schema->spec->database, schema->spec->table, types[1], types[0]);
        const enum err err = stop_old(schema, old, place, found, diag);
        if (err != OK)
            return err;
    }
    return OK;
}

/* Does another version, in front of the place, say what the column was? */
static int is_known(const struct log_schema *schema, const char *name, uint64_t place)
{
    for (uint32_t i = 0; i < schema->version_count; i++) {
        const struct schema_column *column = column_of(&schema->versions[i], name);
        if (column && column->room.family != ROOM_UNKNOWN && schema->versions[i].first < place)
            return 1;
    }
    return 0;
}

static enum err check_alter(const struct log_schema *schema, const struct schema_version *old,
                            const struct schema_alter *at, struct diag *diag)
{
    const struct binlog_alter *alter = &at->alter;
    int (*holds)(const struct binlog_room *old, const struct binlog_room *now, int as_text) =
        alter->is_strict ? binlog_room_holds_strict : binlog_room_holds;
    for (uint32_t i = 0; i < old->column_count; i++) {
        const struct schema_column *column = &old->columns[i];
        if (alter->kind == ALTER_SET ? column->room.family != ROOM_TEXT && column->room.family != ROOM_UNKNOWN
                                     : strcasecmp(column->name, alter->column) != 0)
            continue;
        char what[200] = "";
        if (alter->kind == ALTER_DROP)
            snprintf(what, sizeof what, "is dropped");
        else if (alter->kind == ALTER_RENAME && column->is_used)
            snprintf(what, sizeof what, "gets another name");
        else if (alter->kind == ALTER_TYPE && column->room.family == ROOM_UNKNOWN) {
            if (!is_known(schema, column->name, at->place))
                snprintf(what, sizeof what,
                         "is given a type, and what it had no row since the snapshot says,");
        } else if (alter->kind == ALTER_TYPE && !holds(&column->room, &alter->room, column->tells)) {
            char types[2][80];
            print_rooms(types, &column->room, &alter->room);
            snprintf(what, sizeof what, "becomes %s and was %s", types[1], types[0]);
        } else if (alter->kind == ALTER_SET) {
            struct binlog_room now = column->room;
            memcpy(now.set, alter->room.set, sizeof now.set);
            if (column->room.family == ROOM_UNKNOWN) {
                /* All characters there are, or those that it has; else it may have lost some. */
                if (!alter->is_strict && strcmp(now.set, "utf8mb4") != 0 &&
                    !is_known(schema, column->name, at->place))
                    snprintf(what, sizeof what,
                             "may become %s, and what it had no row since the snapshot says,", now.set);
            } else if (!holds(&column->room, &now, 0))
                snprintf(what, sizeof what, "becomes %s and was %s", now.set, column->room.set);
        }
        if (!what[0])
            continue;
        char found[1400];
        snprintf(
            found, sizeof found,
            "column \"%.260s\" of %.200s.%.200s %s here, without row images for the rows told before: \"%s\"",
            column->name, schema->spec->database, schema->spec->table, what, alter->text);
        const enum err err = stop_old(schema, old, at->place, found, diag);
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err refuse_versioned(const struct log_schema *schema, uint64_t place, const char *why,
                                 struct diag *diag)
{
    char found[1400];
    snprintf(found, sizeof found,
             "%.200s.%.200s is a table WITH SYSTEM VERSIONING (%.300s): its log holds old versions of rows "
             "as rows of their own",
             schema->spec->database, schema->spec->table, why);
    return stop(schema, place, "binlog.versioned",
                "let the job read its rows by a `query:` instead, or log a table without versioning", found,
                diag);
}

/* All that is known by now against each other. There are few versions, and mostly one. */
static enum err check(const struct log_schema *schema, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < schema->version_count; i++)
        for (uint32_t k = 0; err == OK && k < schema->alter_count; k++)
            if (schema->alters[k].alter.kind == ALTER_VERSIONED &&
                schema->versions[i].last > schema->alters[k].place)
                err = refuse_versioned(schema, schema->alters[k].place, schema->alters[k].alter.text, diag);
    for (uint32_t i = 0; err == OK && i < schema->version_count; i++) {
        const struct schema_version *old = &schema->versions[i];
        for (uint32_t k = 0; err == OK && k < schema->version_count; k++) {
            const struct schema_version *now = &schema->versions[k];
            if (i == k || old->first >= now->last)
                continue;
            const uint64_t place = now->first > old->first ? now->first : now->last;
            err = check_keys(schema, old, now, place, diag);
            if (err == OK)
                err = check_rooms(schema, old, now, place, diag);
        }
        for (uint32_t k = 0; err == OK && k < schema->alter_count; k++) {
            const struct schema_alter *alter = &schema->alters[k];
            if (alter->alter.kind != ALTER_VERSIONED && old->first < alter->place)
                err = check_alter(schema, old, alter, diag);
        }
    }
    return err;
}

enum err log_schema_see(struct log_schema *schema, const struct binlog_table *table,
                        const struct binlog_format *format, uint64_t place, struct diag *diag)
{
    struct schema_version *version = NULL;
    if (schema->is_off)
        return OK;
    for (uint32_t i = 0; i < schema->version_count && !version; i++)
        if (schema->versions[i].content_hash == table->content_hash)
            version = &schema->versions[i];
    if (!version) {
        if (shows_history(table, format->flavour))
            return refuse_versioned(schema, place, "row_start and row_end", diag);
        if (mem_list_more(&schema->versions, schema->version_count, &schema->version_room, 4,
                          "a table's versions", diag) != OK)
            return ERR_MACHINE;
        version = &schema->versions[schema->version_count++];
        *version =
            (struct schema_version){.content_hash = table->content_hash, .first = place, .last = place};
        const enum err err = version_fill(schema, version, table, is_snapshot(format), diag);
        if (err != OK)
            return err;
    } else if (place >= version->first && place <= version->last) {
        return OK;
    }
    if (place < version->first)
        version->first = place;
    if (place > version->last)
        version->last = place;
    return schema->version_count > 1 || schema->alter_count ? check(schema, diag) : OK;
}

enum err log_schema_alter(struct log_schema *schema, const struct binlog_alter *alter, struct diag *diag)
{
    if (schema->is_off)
        return OK;
    if (mem_list_more(&schema->alters, schema->alter_count, &schema->alter_room, 4, "a table's changes",
                      diag) != OK)
        return ERR_MACHINE;
    schema->alters[schema->alter_count++] =
        (struct schema_alter){schema->set->files[alter->file_index].base + alter->offset, *alter};
    return check(schema, diag);
}

/* Where rows of a version are met behind the place up to which the table is known; 0: nowhere. */
static uint64_t met_at(const struct log_schema *schema, const struct schema_version *version)
{
    return version->first > schema->kept.first  ? version->first
           : version->last > schema->kept.first ? version->last
                                                : 0;
}

enum err log_schema_end(const struct log_schema *schema, struct diag *diag)
{
    enum err err = OK;
    uint64_t done = schema->kept.first;
    /* Versions and statements in the order of the log: which of them is told does not depend on who read what first. */
    while (err == OK && schema->has_kept) {
        uint64_t next = UINT64_MAX;
        for (uint32_t i = 0; i < schema->version_count; i++)
            if (met_at(schema, &schema->versions[i]) > done && met_at(schema, &schema->versions[i]) < next)
                next = met_at(schema, &schema->versions[i]);
        for (uint32_t i = 0; i < schema->alter_count; i++)
            if (schema->alters[i].place > done && schema->alters[i].place < next)
                next = schema->alters[i].place;
        if (next == UINT64_MAX)
            break;
        for (uint32_t i = 0; err == OK && i < schema->alter_count; i++)
            if (schema->alters[i].place == next && schema->alters[i].alter.kind != ALTER_VERSIONED)
                err = check_alter(schema, &schema->kept, &schema->alters[i], diag);
        for (uint32_t i = 0; err == OK && i < schema->version_count; i++)
            if (met_at(schema, &schema->versions[i]) == next) {
                err = check_identity(schema, &schema->versions[i], next, diag);
                if (err == OK)
                    err = check_rooms(schema, &schema->kept, &schema->versions[i], next, diag);
            }
        done = next;
    }
    return err;
}
