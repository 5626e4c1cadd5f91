/* io/source/query.c: see query.h */
#include "io/source/query.h"
#include "core/base/mem.h"
#include "core/model/day.h"
#include "io/format/binlog.h"
#include "io/net/mysql.h"
#include "io/net/secret.h"
#include "io/ring/sys.h"
#include "io/source/segments.h"
#include "io/source/snapshot.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum { CONNECT_TIMEOUT = 10, READ_TIMEOUT = 60, BUFFER = 256 << 10 };

static enum err open_peer(struct mysql_peer **out, const struct job *job, enum side side, struct diag *diag)
{
    const struct replica_spec *spec = &job->sources[side].replica;
    char secret[SECRET_MAX];
    *out = NULL;
    enum err err = secret_read(secret, spec->password, job->directory, diag);
    struct mysql_config config = {.host = spec->host,
                                  .port = spec->port,
                                  .user = spec->user,
                                  .password = secret,
                                  .tls = (enum mysql_tls)spec->tls,
                                  .ca = spec->ca,
                                  .connect_timeout = CONNECT_TIMEOUT,
                                  .read_timeout = READ_TIMEOUT};
    if (err == OK)
        err = mysql_peer_open(out, &config, diag);
    secret_wipe(secret);
    return err;
}

/* ---- the file ---- */

struct pulled {
    const char *path;
    int fd;
    uint64_t size; /* written, and in the buffer */
    size_t used;
    uint8_t *buffer;
};

static enum err flush(struct pulled *file, struct diag *diag)
{
    int error = sys_pwrite_full(file->fd, file->buffer, file->used, file->size - file->used);
    file->used = 0;
    return error < 0 ? diag_set_errno(diag, -error, "write", "%s: cannot write", file->path) : OK;
}

static enum err take(void *context, const uint8_t *bytes, size_t size, struct diag *diag)
{
    struct pulled *file = context;
    enum err err = OK;
    while (err == OK && size) {
        size_t n = BUFFER - file->used < size ? BUFFER - file->used : size;
        memcpy(file->buffer + file->used, bytes, n);
        file->used += n;
        file->size += n;
        bytes += n;
        size -= n;
        if (file->used == BUFFER)
            err = flush(file, diag);
    }
    return err;
}

/* Makes DIR and those above it. */
static enum err make_directory(char *path, struct diag *diag)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        int error = sys_mkdir(path, 0777);
        if (error < 0 && error != -EEXIST)
            return diag_set_errno(diag, -error, "mkdir", "%s: cannot make this folder", path);
        if (!slash)
            return OK;
        *slash = '/';
    }
}

/* The job's condition with the date for {date}. NULL where there is none; memory of mem_take. */
static enum err make_condition(char **out, const char *text, const char *date, struct diag *diag)
{
    static const char mark[] = "{date}";
    *out = NULL;
    if (!text)
        return OK;
    size_t marks = 0;
    for (const char *at = strstr(text, mark); at; at = strstr(at + 1, mark))
        marks++;
    if (marks && !date[0])
        return diag_set(diag, ERR_USAGE, "query.date", "give --date=YYYY-MM-DD",
                        "the query's `where` speaks of {date}, and none is given");
    char *to = *out = mem_take(strlen(text) + marks * strlen(date) + 1);
    if (!to)
        return mem_fail(diag, strlen(text), "a condition");
    for (const char *at; (at = strstr(text, mark)) != NULL; text = at + strlen(mark)) {
        memcpy(to, text, (size_t)(at - text));
        to += at - text;
        memcpy(to, date, strlen(date));
        to += strlen(date);
    }
    strcpy(to, text);
    return OK;
}

static enum err pull_into(struct pulled *file, const struct job *job, enum side side, const char *date,
                          struct diag *diag)
{
    const struct source_spec *source = &job->sources[side];
    struct mysql_peer *peer = NULL;
    char *condition = NULL, name[256];
    uint64_t offset;
    static const uint8_t magic[BINLOG_MAGIC_SIZE] = {0xfe, 'b', 'i', 'n'};
    enum err err = make_condition(&condition, source->replica.where, date, diag);
    if (err == OK)
        err = open_peer(&peer, job, side, diag);
    if (err == OK)
        err = take(file, magic, sizeof magic, diag);
    struct snapshot_config config = {
        .peer = peer, .take = take, .context = file, .source = source, .is_alone = 1, .where = condition};
    if (err == OK)
        err = snapshot_take(&config, name, &offset, diag);
    mysql_peer_close(peer);
    mem_give(condition);
    if (err == OK)
        err = flush(file, diag);
    int error = err == OK ? sys_fsync(file->fd) : 0;
    return error < 0 ? diag_set_errno(diag, -error, "fsync", "%s: cannot write", file->path) : err;
}

enum err query_pull(char path[4096], uint64_t *size, const struct job *job, enum side side, uint16_t date,
                    struct diag *diag)
{
    char directory[4096], beside[4096], day[DAY_TEXT_MAX] = "";
    enum err err = segments_directory(directory, sizeof directory, job, side, diag);
    if (err == OK)
        err = make_directory(directory, diag);
    if (err != OK)
        return err;
    if (date != DAY_NONE)
        day_print(day, date);
    int n =
        snprintf(path, 4096, "%s/%s%s%s.rows", directory, job->sources[side].table, day[0] ? "-" : "", day);
    int m = snprintf(beside, sizeof beside, "%.4000s.part", path);
    if (n < 0 || n > 4000 || m < 0)
        return diag_set(diag, ERR_USAGE, "path", NULL, "the path is too long: %.200s...", path);
    struct pulled file = {.path = beside, .buffer = mem_take(BUFFER)};
    if (!file.buffer)
        return mem_fail(diag, BUFFER, "the rows of a query");
    file.fd = sys_open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file.fd < 0)
        err = diag_set_errno(diag, -file.fd, "open", "%s: cannot be written", beside);
    if (err == OK)
        err = pull_into(&file, job, side, day, diag);
    if (file.fd >= 0)
        sys_close(file.fd);
    int error = err == OK ? sys_rename(beside, path) : 0;
    if (error < 0)
        err = diag_set_errno(diag, -error, "rename", "%s: cannot be renamed", beside);
    if (err != OK && file.fd >= 0)
        sys_unlink(beside);
    mem_give(file.buffer);
    *size = file.size;
    return err;
}

/* ---- what the columns are ---- */

struct shape {
    FILE *out;
    unsigned count;
    int old_times; /* all its date and time columns are in MariaDB's old format */
};

/* A name as YAML has it: quoted where it would mean something else. */
static void print_word(FILE *out, struct span word)
{
    int is_plain = word.size > 0 && !(word.data[0] >= '0' && word.data[0] <= '9');
    for (size_t i = 0; i < word.size; i++) {
        char c = word.data[i];
        is_plain = is_plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                c == '_' || c == ' ');
    }
    if (is_plain) {
        fprintf(out, "%.*s", (int)word.size, word.data);
        return;
    }
    putc('"', out);
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] == '"' || word.data[i] == '\\')
            putc('\\', out);
        putc(word.data[i], out);
    }
    putc('"', out);
}

static enum err print_column(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct shape *shape = context;
    char name[600];
    (void)diag;
    if (count < 3 || !cells[0].data)
        return OK;
    static const char *const numbers[] = {"tinyint", "smallint", "mediumint", "int",    "bigint",
                                          "decimal", "float",    "double",    "numeric"};
    int is_number = 0;
    for (size_t i = 0; cells[1].data && i < sizeof numbers / sizeof *numbers; i++)
        is_number |= span_is(cells[1], numbers[i]);
    const char *sign = !is_number                                           ? ""
                       : cells[2].data && strstr(cells[2].data, "unsigned") ? " unsigned"
                                                                            : " signed";
    /* Digits behind the point that no log tells (MariaDB of before 10.1, or mysql56_temporal_format=OFF). */
    static const char *const times[] = {"timestamp", "datetime", "time"};
    size_t type = 0;
    for (size_t i = 0; cells[1].data && cells[2].data && i < sizeof times / sizeof *times; i++)
        if (span_is(cells[1], times[i]) && (shape->old_times || strstr(cells[2].data, "mariadb-5.3")))
            type = strcspn(cells[2].data, " ");
    int n = snprintf(name, sizeof name, "%.*s%s%s%.*s", (int)(cells[0].size < 500 ? cells[0].size : 500),
                     cells[0].data, sign, type ? " " : "", (int)(type < 20 ? type : 20),
                     type ? cells[2].data : "");
    fputs(shape->count++ ? ", " : "", shape->out);
    print_word(shape->out, (struct span){name, (size_t)n});
    return OK;
}

static enum err print_key(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct shape *shape = context;
    (void)diag;
    if (count && cells[0].data) {
        fputs(shape->count++ ? ", " : "  occurrence_id: [", shape->out);
        print_word(shape->out, cells[0]);
    }
    return OK;
}

static enum err print_labels(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct shape *shape = context;
    (void)diag;
    if (count > 1 && cells[0].data && cells[1].data)
        fprintf(shape->out, "  # %.*s is %.*s: a log without names shows its labels as #1, #2, ...\n",
                (int)cells[0].size, cells[0].data, (int)cells[1].size, cells[1].data);
    return OK;
}

enum err query_schema(const struct job *job, enum side side, FILE *out, struct diag *diag)
{
    const struct source_spec *source = &job->sources[side];
    struct mysql_peer *peer;
    char database[600], table[600], sql[1700];
    if (strlen(source->database) > 250 || strlen(source->table) > 250)
        return diag_set(diag, ERR_USAGE, "schema.table", NULL, "the table's name is too long");
    enum err err = open_peer(&peer, job, side, diag);
    if (err != OK)
        return err;
    mysql_peer_escape(peer, database, source->database, strlen(source->database));
    mysql_peer_escape(peer, table, source->table, strlen(source->table));
    const char *version = mysql_peer_version(peer);
    const int is_old =
        strstr(version, "MariaDB") && (strtoul(version, NULL, 10) < 10 || strncmp(version, "10.0.", 5) == 0);
    struct shape columns = {.out = out, .old_times = is_old}, key = {.out = out}, labels = {.out = out};
    fprintf(out, "local:\n  %s:\n    table: %s.%s   # as %s has it now\n    columns: [",
            source->kind == SOURCE_REPLICA ? "replica" : "binlog", source->database, source->table, version);
    snprintf(sql, sizeof sql,
             "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA "
             "= '%s' AND "
             "TABLE_NAME = '%s' ORDER BY ORDINAL_POSITION",
             database, table);
    err = mysql_peer_query(peer, sql, print_column, &columns, diag);
    if (err == OK && columns.count == 0)
        err = diag_set(diag, ERR_PEER, "schema.table", "check its name, and GRANT SELECT on it",
                       "table %s.%s is not there", source->database, source->table);
    fputs("]\n", out);
    snprintf(sql, sizeof sql,
             "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME "
             "= '%s' AND "
             "INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX",
             database, table);
    if (err == OK)
        err = mysql_peer_query(peer, sql, print_key, &key, diag);
    fputs(err != OK   ? ""
          : key.count ? "]\n"
                      : "  # no primary key: name the columns that tell rows apart with occurrence_id\n",
          out);
    snprintf(sql, sizeof sql,
             "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '%s' AND "
             "TABLE_NAME = "
             "'%s' AND DATA_TYPE IN ('enum', 'set') ORDER BY ORDINAL_POSITION",
             database, table);
    if (err == OK)
        err = mysql_peer_query(peer, sql, print_labels, &labels, diag);
    mysql_peer_close(peer);
    return err;
}
