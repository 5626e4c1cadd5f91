/* core/config/job_server.c: `binlog`, `replica` and `query` of a side: servers and their tables; see loader.h */
#include "core/base/mem.h"
#include "core/config/loader.h"
#include "core/config/options.h"
#include <string.h>

/* `table:` and `columns:` of a log. */
static enum err read_table(struct loader *l, const struct yaml_node *node, const char *where,
                           struct source_spec *source)
{
    const struct yaml_node *table = yaml_get(node, "table"), *columns = yaml_get(node, "columns"),
                           *accept = yaml_get(node, "accept");
    const char *text = NULL;
    enum err err = read_text(l, table, below(where, "table").text, "database.table", &text);
    if (err != OK)
        return err;
    const char *dot = strchr(text, '.');
    if (!dot || dot == text || !dot[1] || strchr(dot + 1, '.') || has_control(text))
        return BAD(l, table, "job.value", "e.g. shop.payment_order",
                   "%s.table: \"%s\": expected database.table", where, text);
    struct span database = arena_copy(&l->job->arena, (struct span){text, (size_t)(dot - text)});
    if (!database.data)
        return mem_fail(l->diag, 0, "a job");
    source->database = database.data;
    source->table = dot + 1;
    if (columns)
        err = read_texts(l, columns, below(where, "columns").text, "the table's column names, in order",
                         LAYOUT_COLUMNS_MAX, &source->columns, &source->column_count);
    if (err == OK && accept)
        err = read_texts(l, accept, below(where, "accept").text, "FILE@POSITION, as a message said it",
                         ACCEPT_MAX, &source->accept, &source->accept_count);
    for (int i = 0; err == OK && i < source->accept_count; i++) {
        const char *at = strrchr(source->accept[i], '@');
        if (!at || at == source->accept[i] || !at[1] || strspn(at + 1, "0123456789") != strlen(at + 1))
            err = BAD(l, accept, "job.value", "e.g. accept: [\"mysql-bin.000042@1234\"]",
                      "%s.accept: \"%s\": expected FILE@POSITION", where, source->accept[i]);
    }
    return err;
}

static enum err read_server(struct loader *l, const struct yaml_node *node, const char *where,
                            struct replica_spec *replica);

/* Whom `tieout schema` asks what a log's columns are called. */
static enum err read_log_server(struct loader *l, const struct yaml_node *node, const char *section,
                                struct replica_spec *replica)
{
    static const char *const NAMES[] = {"host", "port", "user", "password", "tls", "ca"};
    struct where where = below(section, "server");
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    if (err == OK && (!yaml_get(node, "host") || !yaml_get(node, "user")))
        err = BAD(l, node, "job.missing", "e.g. server: {host: db1, user: tieout, password: env:DB_PASSWORD}",
                  "%s: %s is missing", where.text, yaml_get(node, "host") ? "user" : "host");
    return err == OK ? read_server(l, node, where.text, replica) : err;
}

enum err read_binlog(struct loader *l, const struct yaml_node *node, const char *section,
                     struct source_spec *source)
{
    static const char *const NAMES[] = {"files", "table", "columns", "server", "accept"};
    static const char *const LATER[] = {"schema", "schema_file", "start", "gtid", "position", "server_id"};
    struct where where = below(section, "binlog");
    source->kind = SOURCE_BINLOG;
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    const struct yaml_node *files = yaml_get(node, "files"), *table = yaml_get(node, "table");
    if (err == OK && (!files || !table))
        err = BAD(l, node, "job.missing",
                  "e.g. binlog: {files: \"binlog/mysql-bin.*\", table: shop.payment_order}",
                  "%s: %s is missing", where.text, files ? "table" : "files");
    if (err == OK)
        err = read_patterns(l, files, below(where.text, "files").text, source);
    if (err == OK)
        err = read_table(l, node, where.text, source);
    if (err == OK && yaml_get(node, "server"))
        err = read_log_server(l, yaml_get(node, "server"), where.text, &source->replica);
    return err;
}

static enum err read_replica_start(struct loader *l, const struct yaml_node *node, const char *where,
                                   struct replica_spec *replica)
{
    static const char *const expected =
        "snapshot, now, oldest, FILE:OFFSET such as mysql-bin.000001:4, or a set of GTIDs";
    const char *text = "";
    enum err err = read_text(l, node, where, expected, &text);
    if (err != OK)
        return err;
    const char *colon = strrchr(text, ':');
    replica->start_text = text;
    if (strcmp(text, "snapshot") == 0)
        replica->start = START_SNAPSHOT;
    else if (strcmp(text, "now") == 0)
        replica->start = START_NOW;
    else if (strcmp(text, "oldest") == 0)
        replica->start = START_OLDEST;
    else if (colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1) && strchr(text, '.'))
        replica->start = START_POSITION;
    else if (strspn(text, "0123456789abcdefABCDEF-:, \t\n_ghijklmnopqrstuvwxyz") == strlen(text) &&
             strchr(text, '-'))
        replica->start = START_GTID;
    else
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected %s", where, text, expected);
    return OK;
}

enum err read_secret(struct loader *l, const struct yaml_node *node, const char *where, const char **out)
{
    const char *expected = "env:NAME or file:PATH, never the password itself";
    enum err err = read_text(l, node, where, expected, out);
    if (err == OK && (strncmp(*out, "env:", 4) != 0 || !(*out)[4]) &&
        (strncmp(*out, "file:", 5) != 0 || !(*out)[5]))
        return BAD(l, node, "job.secret", "e.g. password: env:TIEOUT_DB_PASSWORD", "%s: expected %s", where,
                   expected);
    return err;
}

static enum err read_size(struct loader *l, const struct yaml_node *node, const char *where, uint64_t min,
                          uint64_t max, uint64_t *out)
{
    const char *text = "", *expected = "a size such as 1GiB";
    enum err err = read_text(l, node, where, expected, &text);
    if (err == OK && (!options_size_parse(text, out) || *out < min || *out > max))
        return BAD(l, node, "job.value", NULL,
                   "%s: \"%s\": expected %s, at least %llu and at most %llu bytes", where, text, expected,
                   (unsigned long long)min, (unsigned long long)max);
    return err;
}

/* How a server is reached: `host` to `ca`. */
static enum err read_server(struct loader *l, const struct yaml_node *node, const char *where,
                            struct replica_spec *replica)
{
    const struct yaml_node *port = yaml_get(node, "port"), *password = yaml_get(node, "password"),
                           *tls = yaml_get(node, "tls"), *ca = yaml_get(node, "ca");
    int64_t number = 3306;
    enum err err = read_text(l, yaml_get(node, "host"), below(where, "host").text,
                             "a host name, an address or a socket's path", &replica->host);
    if (err == OK)
        err = read_text(l, yaml_get(node, "user"), below(where, "user").text, "a user of the server",
                        &replica->user);
    if (err == OK && password)
        err = read_secret(l, password, below(where, "password").text, &replica->password);
    if (err == OK && port)
        err = read_number(l, port, below(where, "port").text, 1, 65535, &number);
    replica->port = (uint16_t)number;
    /* A peer on this machine needs no encryption; any other gets no password without it, unless the job says so. */
    int is_near = err == OK && (replica->host[0] == '/' || strcmp(replica->host, "localhost") == 0 ||
                                strncmp(replica->host, "127.", 4) == 0 || strcmp(replica->host, "::1") == 0);
    replica->tls = is_near ? REPLICA_TLS_OFF : REPLICA_TLS_VERIFY;
    if (err == OK && tls) {
        static const char *const WORDS[] = {"off", "required", "verify"};
        const char *text = "";
        err = read_text(l, tls, below(where, "tls").text, "off, required or verify", &text);
        int word = 0;
        while (err == OK && word < 3 && strcmp(WORDS[word], text) != 0)
            word++;
        if (word == 3)
            err = BAD(l, tls, "job.value", NULL, "%s.tls: \"%s\": expected off, required or verify", where,
                      text);
        replica->tls = (enum replica_tls)word;
    }
    if (err == OK && ca)
        err = read_text(l, ca, below(where, "ca").text, "a file of certificates", &replica->ca);
    return err;
}

/* Where what is read is kept, PREFIX/JOB unless the job says it, and how fast it may be read. */
static enum err read_server_folder(struct loader *l, const struct yaml_node *node, const char *where,
                                   const char *prefix, struct replica_spec *replica)
{
    const struct yaml_node *dir = yaml_get(node, "dir"), *rate = yaml_get(node, "rate");
    int64_t number = 0;
    enum err err = OK;
    if (dir) {
        err = read_text(l, dir, below(where, "dir").text, "a folder", &replica->dir);
    } else {
        size_t room = strlen(prefix) + strlen(l->job->name) + 2;
        char *text = take(l, room);
        if (!text)
            return l->diag->err;
        snprintf(text, room, "%s/%s", prefix, l->job->name);
        replica->dir = text;
    }
    if (err == OK && rate)
        err = read_number(l, rate, below(where, "rate").text, 1, 1000000000, &number);
    replica->rate = (uint64_t)number;
    return err;
}

static enum err needs_settings(struct loader *l, const struct yaml_node *node, const char *where,
                               const char *const *names, int count, const char *example)
{
    for (int i = 0; i < count; i++)
        if (!yaml_get(node, names[i]))
            return BAD(l, node, "job.missing", example, "%s: %s is missing", where, names[i]);
    return OK;
}

enum err read_replica(struct loader *l, const struct yaml_node *node, const char *section,
                      struct source_spec *source)
{
    static const char *const NAMES[] = {"host",  "port", "user", "password", "server_id", "table", "columns",
                                        "start", "tls",  "ca",   "dir",      "segment",   "rate",  "accept"};
    static const char *const LATER[] = {"tables", "schema"};
    static const char *const NEEDED[] = {"host", "user", "server_id", "table", "start"};
    struct where where = below(section, "replica");
    struct replica_spec *replica = &source->replica;
    source->kind = SOURCE_REPLICA;
    source->files_line = node->line;
    source->files_column = node->column;
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    if (err == OK)
        err = needs_settings(
            l, node, where.text, NEEDED, COUNT_OF(NEEDED),
            "e.g. replica: {host: db2, user: tieout, password: env:DB_PASSWORD, server_id: 4711, table: "
            "shop.payment_order, start: now}");
    if (err != OK)
        return err;
    const struct yaml_node *segment = yaml_get(node, "segment");
    int64_t number = 0;
    err = read_server(l, node, where.text, replica);
    if (err == OK)
        err = read_number(l, yaml_get(node, "server_id"), below(where.text, "server_id").text, 1, UINT32_MAX,
                          &number);
    replica->server_id = (uint32_t)number;
    if (err == OK)
        err = read_table(l, node, where.text, source);
    if (err == OK)
        err = read_replica_start(l, yaml_get(node, "start"), below(where.text, "start").text, replica);
    if (err == OK)
        err = read_server_folder(l, node, where.text, "capture", replica);
    replica->segment_bytes = 1ull << 30;
    if (err == OK && segment)
        err = read_size(l, segment, below(where.text, "segment").text, 4096, 1ull << 38,
                        &replica->segment_bytes);
    return err;
}

enum err read_query(struct loader *l, const struct yaml_node *node, const char *section,
                    struct source_spec *source)
{
    static const char *const NAMES[] = {"host", "port", "user", "password", "table", "tls",
                                        "ca",   "dir",  "rate", "where",    "accept"};
    static const char *const NEEDED[] = {"host", "user", "table"};
    struct where where = below(section, "query");
    source->kind = SOURCE_QUERY;
    source->files_line = node->line;
    source->files_column = node->column;
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    if (err == OK)
        err = needs_settings(l, node, where.text, NEEDED, COUNT_OF(NEEDED),
                             "e.g. query: {host: db2, user: tieout, password: env:DB_PASSWORD, table: "
                             "shop.payment_order, where: \"created_at >= '{date}'\"}");
    const struct yaml_node *condition = yaml_get(node, "where");
    if (err == OK)
        err = read_server(l, node, where.text, &source->replica);
    if (err == OK)
        err = read_table(l, node, where.text, source);
    if (err == OK)
        err = read_server_folder(l, node, where.text, "query", &source->replica);
    if (err == OK && condition)
        err = read_text(l, condition, below(where.text, "where").text, "a condition in SQL",
                        &source->replica.where);
    return err;
}
