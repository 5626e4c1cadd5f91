/* io/net/mysql.c: see mysql.h */
#include "io/net/mysql.h"
#include "core/base/mem.h"
#include <errmsg.h>
#include <mysql.h>
#include <poll.h>
#include <string.h>

enum { COMMAND_DUMP_GTID = 30, DUMP_THROUGH_GTID = 4 };

struct mysql_peer {
    MYSQL mysql;
    MYSQL_RES *result; /* of select */
    unsigned column_count;
    struct mysql_column *columns;
    struct span *cells;
    unsigned last_errno;
    char name[300]; /* for messages: user@host:port */
};

static const char code_gone[] = "mysql.gone";

int mysql_gone(const struct diag *diag)
{
    return strcmp(diag->code, code_gone) == 0;
}

/* Errors of the connection, of a server that is starting or stopping, and of one that has too much to do. */
static int may_pass(unsigned number)
{
    enum { CLIENT_ERRORS = 2000, CLIENT_ERRORS_END = 2062 };
    static const unsigned numbers[] = {1040, 1053, 1077, 1080, 1152, 1153, 1158,
                                       1159, 1160, 1161, 1205, 1213, 1927, 3169};
    if (number >= CLIENT_ERRORS && number <= CLIENT_ERRORS_END)
        return number != CR_SSL_CONNECTION_ERROR && number != CR_AUTH_PLUGIN_CANNOT_LOAD;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] == number)
            return 1;
    return 0;
}

static enum err fail(struct mysql_peer *peer, const char *what, struct diag *diag)
{
    unsigned number = mysql_errno(&peer->mysql);
    peer->last_errno = number;
    const char *hint =
        number == 1045 ? "check user and password, and from where the server lets this user in"
        : number == 1227
            ? "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO this user (MariaDB 10.5 and later: "
              "also BINLOG MONITOR), and SELECT on the table"
        : number == 1142 ? "GRANT SELECT on the table to this user"
        : number == CR_SSL_CONNECTION_ERROR
            ? "the server offers no TLS, or its certificate is not the one to trust: see `tls:` and `ca:`"
            : NULL;
    if (number == 0)
        return diag_set(diag, ERR_PEER, code_gone, NULL, "%s: %s: the connection broke", peer->name, what);
    return diag_set(diag, ERR_PEER, may_pass(number) ? code_gone : "mysql.refused", hint,
                    "%s: %s: %s (error %u)", peer->name, what, mysql_error(&peer->mysql), number);
}

enum err mysql_peer_open(struct mysql_peer **out, const struct mysql_config *config, struct diag *diag)
{
    *out = NULL;
    struct mysql_peer *peer = mem_take_zero(1, sizeof *peer);
    if (!peer || !mysql_init(&peer->mysql)) {
        mem_give(peer);
        return mem_fail(diag, sizeof *peer, "a connection");
    }
    MYSQL *mysql = &peer->mysql;
    int is_socket = config->host[0] == '/';
    if (is_socket)
        snprintf(peer->name, sizeof peer->name, "%s@%s", config->user, config->host);
    else
        snprintf(peer->name, sizeof peer->name, "%s@%s:%u", config->user, config->host, config->port);
    unsigned no = 0, protocol = is_socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    my_bool on = 1, off = 0;
    unsigned long packet_max = 1ul << 30;
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
    mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol); /* "localhost" would mean a socket else */
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &config->connect_timeout);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &config->read_timeout);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &config->connect_timeout);
    mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet_max);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(
        mysql, MARIADB_OPT_RESTRICTED_AUTH,
        "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519,auth_gssapi_client");
    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, config->tls == MYSQL_TLS_OFF ? &off : &on);
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, config->tls == MYSQL_TLS_VERIFY ? &on : &off);
    if (config->tls != MYSQL_TLS_OFF && config->ca)
        mysql_options(mysql, MYSQL_OPT_SSL_CA, config->ca);
    if (!mysql_real_connect(mysql, is_socket ? NULL : config->host, config->user, config->password, NULL,
                            config->port, is_socket ? config->host : NULL, 0)) {
        enum err err = fail(peer, "cannot connect", diag);
        mysql_peer_close(peer);
        return err;
    }
    *out = peer;
    return OK;
}

void mysql_peer_close(struct mysql_peer *peer)
{
    if (!peer)
        return;
    /* Rows that were not taken would be read to the end: the connection is cut instead. */
    if (peer->result)
        mariadb_cancel(&peer->mysql);
    mysql_free_result(peer->result);
    mysql_close(&peer->mysql);
    mem_give(peer->columns);
    mem_give(peer->cells);
    mem_give(peer);
}

unsigned mysql_peer_errno(const struct mysql_peer *peer)
{
    return peer->last_errno;
}

const char *mysql_peer_version(const struct mysql_peer *peer)
{
    return mysql_get_server_info((MYSQL *)&peer->mysql);
}

size_t mysql_peer_escape(struct mysql_peer *peer, char *out, const char *text, size_t size)
{
    return mysql_real_escape_string(&peer->mysql, out, text, size);
}

/* Cuts a statement for messages: it may hold a list of GTIDs of any length. */
static enum err fail_statement(struct mysql_peer *peer, const char *sql, struct diag *diag)
{
    char text[120];
    snprintf(text, sizeof text, "%.110s%s", sql, strlen(sql) > 110 ? " ..." : "");
    return fail(peer, text, diag);
}

enum err mysql_peer_query(struct mysql_peer *peer, const char *sql, mysql_row_fn row, void *context,
                          struct diag *diag)
{
    if (mysql_real_query(&peer->mysql, sql, strlen(sql)) != 0)
        return fail_statement(peer, sql, diag);
    MYSQL_RES *result = mysql_store_result(&peer->mysql);
    if (!result)
        return mysql_field_count(&peer->mysql) ? fail_statement(peer, sql, diag) : OK;
    enum err err = OK;
    unsigned count = mysql_num_fields(result);
    struct span *cells = mem_take_zero(count, sizeof *cells);
    if (!cells)
        err = mem_fail(diag, count * sizeof *cells, "a row");
    for (MYSQL_ROW values; err == OK && row && (values = mysql_fetch_row(result));) {
        unsigned long *sizes = mysql_fetch_lengths(result);
        for (unsigned i = 0; i < count; i++)
            cells[i] = (struct span){values[i], values[i] ? sizes[i] : 0};
        err = row(context, cells, count, diag);
    }
    mem_give(cells);
    mysql_free_result(result);
    return err;
}

struct asked {
    char *out;
    size_t room;
    int have;
};

static enum err take_first(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct asked *asked = context;
    (void)diag;
    if (!asked->have && count && cells[0].data)
        snprintf(asked->out, asked->room, "%.*s", (int)cells[0].size, cells[0].data);
    asked->have = 1;
    return OK;
}

enum err mysql_peer_ask(struct mysql_peer *peer, const char *sql, char *out, size_t room, int may_fail,
                        struct diag *diag)
{
    struct asked asked = {out, room, 0};
    struct diag own = {0};
    out[0] = 0;
    enum err err = mysql_peer_query(peer, sql, take_first, &asked, may_fail ? &own : diag);
    if (err == OK || !may_fail)
        return err;
    if (!mysql_gone(&own) && err == ERR_PEER)
        return OK;
    *diag = own;
    return err;
}

/* ---- rows one by one ---- */

enum err mysql_peer_select(struct mysql_peer *peer, const char *sql, const struct mysql_column **columns,
                           unsigned *count, struct diag *diag)
{
    if (mysql_real_query(&peer->mysql, sql, strlen(sql)) != 0 ||
        !(peer->result = mysql_use_result(&peer->mysql)))
        return fail_statement(peer, sql, diag);
    unsigned n = mysql_num_fields(peer->result);
    mem_give(peer->columns);
    mem_give(peer->cells);
    peer->columns = mem_take_zero(n, sizeof *peer->columns);
    peer->cells = mem_take_zero(n, sizeof *peer->cells);
    if (!peer->columns || !peer->cells)
        return mem_fail(diag, n * sizeof *peer->columns, "a row");
    for (unsigned i = 0; i < n; i++) {
        const MYSQL_FIELD *field = mysql_fetch_field_direct(peer->result, i);
        enum { CHARSET_BINARY = 63 };
        peer->columns[i] = (struct mysql_column){.name = field->name,
                                                 .type = field->type,
                                                 .is_unsigned = (field->flags & UNSIGNED_FLAG) != 0,
                                                 .is_binary = field->charsetnr == CHARSET_BINARY,
                                                 .is_key = (field->flags & PRI_KEY_FLAG) != 0,
                                                 .decimals = (int)field->decimals};
    }
    peer->column_count = *count = n;
    *columns = peer->columns;
    return OK;
}

enum step mysql_peer_row(struct mysql_peer *peer, const struct span **cells, struct diag *diag)
{
    MYSQL_ROW values = mysql_fetch_row(peer->result);
    if (!values) {
        if (mysql_errno(&peer->mysql)) {
            fail(peer, "the rows end before their end", diag);
            return STEP_FAILED;
        }
        mysql_free_result(peer->result);
        peer->result = NULL;
        return STEP_DONE;
    }
    unsigned long *sizes = mysql_fetch_lengths(peer->result);
    for (unsigned i = 0; i < peer->column_count; i++)
        peer->cells[i] = (struct span){values[i], values[i] ? sizes[i] : 0};
    *cells = peer->cells;
    return STEP_MORE;
}

/* ---- the dump ---- */

static uint8_t *put(uint8_t *p, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        *p++ = (uint8_t)(value >> (8 * i));
    return p;
}

enum err mysql_peer_dump(struct mysql_peer *peer, const struct mysql_dump *dump, struct diag *diag)
{
    size_t name_size = strlen(dump->file), room = 64 + name_size + dump->gtid_set_size;
    uint8_t *request = mem_take(room), *p = request;
    if (!request)
        return mem_fail(diag, room, "a request");
    if (dump->gtid_set) {
        p = put(p, DUMP_THROUGH_GTID, 2);
        p = put(p, dump->server_id, 4);
        p = put(p, name_size, 4);
        memcpy(p, dump->file, name_size);
        p = put(p + name_size, dump->position, 8);
        p = put(p, dump->gtid_set_size, 4);
        memcpy(p, dump->gtid_set, dump->gtid_set_size);
        p += dump->gtid_set_size;
    } else {
        p = put(p, dump->position, 4);
        p = put(p, dump->flags, 2);
        p = put(p, dump->server_id, 4);
        memcpy(p, dump->file, name_size);
        p += name_size;
    }
    /* The library's own way to send a command; nothing is read back: what comes is the stream. */
    int wrong = peer->mysql.methods->db_command(
        &peer->mysql, dump->gtid_set ? (enum enum_server_command)COMMAND_DUMP_GTID : COM_BINLOG_DUMP,
        (const char *)request, (size_t)(p - request), 1, NULL);
    mem_give(request);
    return wrong ? fail(peer, "cannot ask for the binlog", diag) : OK;
}

enum step mysql_peer_packet(struct mysql_peer *peer, const uint8_t **bytes, size_t *size, struct diag *diag)
{
    enum { PACKET_EOF = 0xfe };
    unsigned long n = mysql_net_read_packet(&peer->mysql);
    const uint8_t *packet = peer->mysql.net.read_pos;
    if (n == packet_error || n == 0) {
        fail(peer, "reading the binlog", diag);
        return STEP_FAILED;
    }
    if (packet[0] == PACKET_EOF && n < 9)
        return STEP_DONE;
    if (packet[0] != 0) {
        diag_set(diag, ERR_PEER, "mysql.packet", NULL, "%s: a packet in the binlog's stream begins with %u",
                 peer->name, packet[0]);
        return STEP_FAILED;
    }
    *bytes = packet + 1;
    *size = n - 1;
    return STEP_MORE;
}

int mysql_peer_waiting(struct mysql_peer *peer)
{
    struct pollfd fd = {.fd = mysql_get_socket(&peer->mysql), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}
