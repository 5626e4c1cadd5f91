/* io/net/mysql.h: the only door to libmariadb: a server of MySQL or MariaDB, asked and listened to.
 *
 *     mysql_peer_open
 *       mysql_peer_query             any number of times
 *       mysql_peer_select, mysql_peer_row until STEP_DONE
 *       mysql_peer_dump, mysql_peer_packet until the end: a connection that dumps is good for nothing else
 *     mysql_peer_close
 *
 * The library connects and authenticates (TLS, caching_sha2_password, ed25519); the dump's command is put together here, and what
 * comes back is given out packet by packet as it is: its own replication calls cannot be used (BINLOGS.md). Passwords are never
 * sent in the clear, and local files never at all.
 *
 * Failures are ERR_PEER. mysql_gone() says of a diag whether trying again may help.
 *
 * Memory: the library's own. Threads: one owner per peer. Units: timeouts in seconds.
 */
#ifndef TIEOUT_IO_NET_MYSQL_H
#define TIEOUT_IO_NET_MYSQL_H

#include "core/base/diag.h"
#include "core/base/span.h"
#include <stddef.h>
#include <stdint.h>

enum mysql_tls {
    MYSQL_TLS_OFF,
    MYSQL_TLS_REQUIRED, /* encrypted, whoever the peer is */
    MYSQL_TLS_VERIFY    /* its certificate and name are checked before it is told anything */
};

struct mysql_config {
    const char *host; /* a path that begins with / is a socket's */
    unsigned port;
    const char *user, *password;
    enum mysql_tls tls;
    const char *ca; /* a file of certificates; NULL: the system's */
    unsigned connect_timeout, read_timeout;
};

struct mysql_peer;

enum err mysql_peer_open(struct mysql_peer **out, const struct mysql_config *config, struct diag *diag);
void mysql_peer_close(struct mysql_peer *peer);
/* 1: the peer was not there, or went away; 0: it said no, and will again. */
int mysql_gone(const struct diag *diag);

/* Runs a statement. `row` may be NULL; it is called per row, with NULL data for NULL. */
typedef enum err (*mysql_row_fn)(void *context, const struct span *cells, unsigned count, struct diag *diag);
enum err mysql_peer_query(struct mysql_peer *peer, const char *sql, mysql_row_fn row, void *context,
                          struct diag *diag);
/* The first cell of the first row as text; "" when there is none, or when it is NULL. A statement that the server refuses is
 * "" too when `may_fail` is set. */
enum err mysql_peer_ask(struct mysql_peer *peer, const char *sql, char *out, size_t room, int may_fail,
                        struct diag *diag);
/* The library's number of the last error: a peer's own, such as 1236. */
unsigned mysql_peer_errno(const struct mysql_peer *peer);
const char *mysql_peer_version(const struct mysql_peer *peer);
/* Escapes text for a quoted literal into `out`, which has room for 2 * size + 1 bytes. */
size_t mysql_peer_escape(struct mysql_peer *peer, char *out, const char *text, size_t size);

/* One column of a select's result. */
struct mysql_column {
    const char *name;
    unsigned type; /* enum_field_types */
    int is_unsigned, is_binary, is_key, decimals;
};
/* Starts a statement whose rows are taken one by one as they come. `*columns` is valid until its end. */
enum err mysql_peer_select(struct mysql_peer *peer, const char *sql, const struct mysql_column **columns,
                           unsigned *count, struct diag *diag);
/* STEP_MORE with the row's cells (NULL data: NULL), valid until the next call; STEP_DONE; STEP_FAILED. */
enum step mysql_peer_row(struct mysql_peer *peer, const struct span **cells, struct diag *diag);

/* MariaDB leaves ANNOTATE_ROWS out unless it is asked for them. */
enum { MYSQL_DUMP_ANNOTATE = 2 };

struct mysql_dump {
    uint32_t server_id;
    uint16_t flags;   /* of COM_BINLOG_DUMP */
    const char *file; /* "" with a position by GTID */
    uint64_t position;
    const uint8_t *gtid_set; /* MySQL's binary form: COM_BINLOG_DUMP_GTID; NULL: COM_BINLOG_DUMP */
    size_t gtid_set_size;
};
enum err mysql_peer_dump(struct mysql_peer *peer, const struct mysql_dump *dump, struct diag *diag);
/* The next event as sent, joined again where it was larger than 16 MiB, without the 0 in front; valid until the next call.
 * STEP_DONE: the server says that there is no more. */
enum step mysql_peer_packet(struct mysql_peer *peer, const uint8_t **bytes, size_t *size, struct diag *diag);
/* 1: more bytes are there to be read at once. */
int mysql_peer_waiting(struct mysql_peer *peer);

#endif
