/* io/source/replica.c: see replica.h
 *
 * The same server goes on by file and offset, which cannot skip anything; another one (a failover) only by GTIDs. So the first
 * thing to find out is who the server is: MySQL has a uuid, MariaDB its server_id.
 */
#include "io/source/replica.h"
#include "core/base/mem.h"
#include "io/format/binlog_event.h"
#include "io/format/gtid_set.h"
#include "io/net/mysql.h"
#include "io/net/secret.h"
#include "io/source/capture.h"
#include "io/source/snapshot.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    HEARTBEAT_MS = 500,
    READ_TIMEOUT = 10,  /* seconds; a server that lives sends a heartbeat long before */
    TABLE_TIMEOUT = 60, /* of a snapshot's pieces */
    CONNECT_TIMEOUT = 10,
    CHECKPOINT_MS = 250,
    BACKOFF_MS_MIN = 200,
    BACKOFF_MS_MAX = 30000,
    GTIDS_SHOWN = 300,
    UNDER_WAY_US = 2000000
};

struct replica {
    const struct replica_config *config;
    const struct replica_spec *spec;
    const struct source_spec *source;
    char password[SECRET_MAX];
    struct capture *capture;
    struct mysql_peer *peer;
    int is_mariadb, has_gtids, by_gtid;
    char server[96];
    char last_file[256]; /* end of the server's log when we connected */
    uint64_t last_offset;
    int was_connected;
    int64_t checkpoint_at, status_at; /* when, in microseconds */
    uint64_t status_rows;
    int64_t rows_per_second;
    int64_t asked_at, complete_us; /* when the end of the log was asked for; until when all is here */
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int stopped(const struct replica *r)
{
    return r->config->interrupted && *r->config->interrupted;
}

/* ---- who it is and how it is set ---- */

static enum err ask(struct replica *r, const char *sql, char *out, size_t room, struct diag *diag)
{
    return mysql_peer_ask(r->peer, sql, out, room, 0, diag);
}

/* "" where the server does not know the variable. */
static enum err ask_if_known(struct replica *r, const char *sql, char *out, size_t room, struct diag *diag)
{
    return mysql_peer_ask(r->peer, sql, out, room, 1, diag);
}

static enum err check_settings(struct replica *r, struct diag *diag)
{
    static const struct {
        const char *name, *wanted, *also; /* `also`: another word for the same */
        int mariadb_too;
    } settings[] = {{"binlog_format", "ROW", NULL, 1},
                    {"binlog_row_image", "FULL", "FULL_NODUP", 1},
                    {"binlog_row_metadata", "FULL", NULL, 1},
                    {"binlog_row_value_options", "", NULL, 0}};
    char value[64], sql[100], wrong[500] = "", set[600] = "";
    enum err err = ask(r, "SELECT @@global.log_bin", value, sizeof value, diag);
    if (err != OK)
        return err;
    if (strcmp(value, "1") != 0)
        return diag_set(diag, ERR_PEER, "replica.settings",
                        "start the server with log_bin, binlog_format=ROW and binlog_row_metadata=FULL",
                        "%s writes no binlog (log_bin is OFF)", r->server);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        int names_given = strcmp(settings[i].name, "binlog_row_metadata") == 0 && r->source->column_count > 0;
        if (names_given || (r->is_mariadb && !settings[i].mariadb_too))
            continue;
        snprintf(sql, sizeof sql, "SELECT CONCAT('=', @@global.%s)", settings[i].name);
        err = ask_if_known(r, sql, value, sizeof value, diag);
        if (err != OK)
            return err;
        if (value[0] == 0 && strcmp(settings[i].name, "binlog_row_metadata") == 0)
            return diag_set(
                diag, ERR_PEER, "replica.settings", "name the table's columns, in order, with `columns:`",
                "%s is too old to tell column names in its log (no binlog_row_metadata)", r->server);
        if (value[0] == 0 || strcmp(value + 1, settings[i].wanted) == 0 ||
            (settings[i].also && strcmp(value + 1, settings[i].also) == 0))
            continue;
        size_t n = strlen(wrong), k = strlen(set);
        snprintf(wrong + n, sizeof wrong - n, "%s%s is %s", n ? ", " : "", settings[i].name, value + 1);
        snprintf(set + k, sizeof set - k, "SET GLOBAL %s=%s; ", settings[i].name,
                 settings[i].wanted[0] ? settings[i].wanted : "''");
    }
    if (!wrong[0])
        return OK;
    char hint[700];
    snprintf(hint, sizeof hint,
             "%sthen let clients reconnect, and write the same into the server's configuration", set);
    return diag_set(diag, ERR_PEER, "replica.settings", hint,
                    "%s: %s: rows cannot be read whole from its log", r->server, wrong);
}

static enum err identify(struct replica *r, struct diag *diag)
{
    char value[96], own[32];
    r->is_mariadb = strstr(mysql_peer_version(r->peer), "MariaDB") != NULL;
    enum err err = ask(r, "SELECT @@global.server_id", own, sizeof own, diag);
    if (err != OK)
        return err;
    if (strtoul(own, NULL, 10) == r->spec->server_id)
        return diag_set(diag, ERR_PEER, "replica.server_id",
                        "choose a server_id that no server of this replication has",
                        "%s:%d: the server has server_id %s too", r->spec->host, r->spec->port, own);
    if (r->is_mariadb) {
        snprintf(r->server, sizeof r->server, "server_id %s", own);
        r->has_gtids = 1;
        return OK;
    }
    err = ask_if_known(r, "SELECT @@global.server_uuid", value, sizeof value, diag);
    if (err == OK)
        snprintf(r->server, sizeof r->server, value[0] ? "%s" : "server_id %s", value[0] ? value : own);
    if (err == OK)
        err = ask_if_known(r, "SELECT @@global.gtid_mode", value, sizeof value, diag);
    r->has_gtids = strcmp(value, "ON") == 0;
    return err;
}

/* ---- where ---- */

struct log_list {
    char first[256], last[256];
    const char *wanted;
    uint64_t last_size, wanted_size;
    int have_wanted;
};

static enum err take_log(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct log_list *list = context;
    (void)diag;
    if (count < 2 || !cells[0].data || !cells[1].data)
        return OK;
    snprintf(list->last, sizeof list->last, "%.*s", (int)cells[0].size, cells[0].data);
    if (!list->first[0])
        memcpy(list->first, list->last, sizeof list->first);
    list->last_size = strtoull(cells[1].data, NULL, 10);
    if (list->wanted && strcmp(list->wanted, list->last) == 0) {
        list->have_wanted = 1;
        list->wanted_size = list->last_size;
    }
    return OK;
}

struct end_of_log {
    char file[256], gtids[4096];
    uint64_t offset;
};

static enum err take_end(void *context, const struct span *cells, unsigned count, struct diag *diag)
{
    struct end_of_log *end = context;
    (void)diag;
    if (count < 2 || !cells[0].data || !cells[1].data)
        return OK;
    snprintf(end->file, sizeof end->file, "%.*s", (int)cells[0].size, cells[0].data);
    end->offset = strtoull(cells[1].data, NULL, 10);
    if (count > 4 && cells[4].data)
        snprintf(end->gtids, sizeof end->gtids, "%.*s", (int)cells[4].size, cells[4].data);
    return OK;
}

static enum err end_of_log(struct replica *r, struct end_of_log *end, struct diag *diag)
{
    memset(end, 0, sizeof *end);
    struct diag first = {0};
    /* MySQL 8.4 took the old name away; others do not know the new one. */
    enum err err = mysql_peer_query(r->peer, "SHOW MASTER STATUS", take_end, end, &first);
    if (err != OK && !mysql_gone(&first) && !r->is_mariadb)
        err = mysql_peer_query(r->peer, "SHOW BINARY LOG STATUS", take_end, end, diag);
    else if (err != OK)
        *diag = first;
    if (err == OK && !end->file[0])
        err = diag_set(diag, ERR_PEER, "replica.position", "is its binlog switched on?",
                       "%s does not say where its log ends", r->server);
    return err;
}

/* MariaDB's GTIDs of what lies before a place. */
static enum err gtids_at(struct replica *r, const char *file, uint64_t offset, char *out, size_t room,
                         struct diag *diag)
{
    char escaped[600], sql[800];
    if (!r->is_mariadb)
        return OK;
    mysql_peer_escape(r->peer, escaped, file, strlen(file) < 255 ? strlen(file) : 255);
    snprintf(sql, sizeof sql, "SELECT BINLOG_GTID_POS('%s', %llu)", escaped, (unsigned long long)offset);
    return ask(r, sql, out, room, diag);
}

/* What the server has and lacks, for messages. */
static void describe_server(struct replica *r, const struct log_list *list, char *out, size_t room)
{
    char gtids[4096] = "", purged[GTIDS_SHOWN] = "";
    struct diag ignored = {0};
    mysql_peer_ask(r->peer,
                   r->is_mariadb ? "SELECT @@global.gtid_binlog_state" : "SELECT @@global.gtid_executed",
                   gtids, sizeof gtids, 1, &ignored);
    if (!r->is_mariadb)
        mysql_peer_ask(r->peer, "SELECT @@global.gtid_purged", purged, sizeof purged, 1, &ignored);
    snprintf(out, room, "the server (%s) has %s to %s:%llu (GTIDs %.300s%s%.150s)", r->server, list->first,
             list->last, (unsigned long long)list->last_size, gtids[0] ? gtids : "none",
             purged[0] ? ", purged " : "", purged);
}

static enum err lost(struct replica *r, const struct log_list *list, const char *what, struct diag *diag)
{
    char theirs[1600];
    const struct capture_position *p = capture_position(r->capture);
    describe_server(r, list, theirs, sizeof theirs);
    return diag_set(diag, ERR_STATE, "replica.lost",
                    "changes may be missing between the two: bring the lost logs back, or move the capture "
                    "folder away and start anew",
                    "%s: captured up to %s:%llu of %s (GTIDs %.*s); %s", what,
                    p->file[0] ? p->file : "no file", (unsigned long long)p->offset, p->server, GTIDS_SHOWN,
                    p->gtids[0] ? p->gtids : "not known", theirs);
}

static enum err read_logs(struct replica *r, struct log_list *list, const char *wanted, struct diag *diag)
{
    memset(list, 0, sizeof *list);
    list->wanted = wanted;
    return mysql_peer_query(r->peer, "SHOW BINARY LOGS", take_log, list, diag);
}

static struct mysql_config config_of(const struct replica *r)
{
    return (struct mysql_config){.host = r->spec->host,
                                 .port = r->spec->port,
                                 .user = r->spec->user,
                                 .password = r->password,
                                 .tls = (enum mysql_tls)r->spec->tls,
                                 .ca = r->spec->ca,
                                 .connect_timeout = CONNECT_TIMEOUT,
                                 .read_timeout = READ_TIMEOUT};
}

static enum err into_capture(void *context, const uint8_t *event, size_t size, struct diag *diag)
{
    return capture_take(context, event, size, diag);
}

/* The table as it is, and where the stream has to go on. */
static enum err take_snapshot(struct replica *r, struct capture_position *position, struct diag *diag)
{
    struct mysql_config config = config_of(r);
    struct mysql_peer *peer = NULL;
    config.read_timeout = TABLE_TIMEOUT;
    enum err err = capture_discard(r->capture, diag);
    if (err == OK)
        err = mysql_peer_open(&peer, &config, diag);
    if (err == OK)
        err = capture_connected(r->capture, "", 0, diag);
    struct snapshot_config snapshot = {.peer = peer,
                                       .take = into_capture,
                                       .context = r->capture,
                                       .source = r->source,
                                       .is_mariadb = r->is_mariadb,
                                       .interrupted = r->config->interrupted};
    if (err == OK)
        err = snapshot_take(&snapshot, position->file, &position->offset, diag);
    mysql_peer_close(peer);
    return err;
}

/* The first position, as the job says. */
static enum err choose_start(struct replica *r, struct diag *diag)
{
    struct capture_position position = {.gtids = ""};
    struct end_of_log end;
    struct log_list list;
    char gtids[4096] = "";
    enum err err = OK;
    snprintf(position.server, sizeof position.server, "%s", r->server);
    switch (r->spec->start) {
    case START_SNAPSHOT:
        err = take_snapshot(r, &position, diag);
        break;
    case START_NOW:
        err = end_of_log(r, &end, diag);
        memcpy(position.file, end.file, sizeof position.file);
        position.offset = end.offset;
        snprintf(gtids, sizeof gtids, "%s", end.gtids);
        break;
    case START_OLDEST:
        err = read_logs(r, &list, NULL, diag);
        memcpy(position.file, list.first, sizeof position.file);
        position.offset = 4;
        break;
    case START_POSITION: {
        const char *colon = strrchr(r->spec->start_text, ':');
        snprintf(position.file, sizeof position.file, "%.*s", (int)(colon - r->spec->start_text),
                 r->spec->start_text);
        position.offset = strtoull(colon + 1, NULL, 10);
        err = read_logs(r, &list, position.file, diag);
        if (err == OK && (!list.have_wanted || position.offset > list.wanted_size || position.offset < 4))
            err = diag_set(diag, ERR_USAGE, "replica.start", "see SHOW BINARY LOGS",
                           "start: the server has no %s (its logs: %s to %s:%llu)", r->spec->start_text,
                           list.first, list.last, (unsigned long long)list.last_size);
        break;
    }
    case START_GTID:
        snprintf(gtids, sizeof gtids, "%s", r->spec->start_text);
        break;
    }
    if (err == OK && position.file[0] && r->is_mariadb)
        err = gtids_at(r, position.file, position.offset, gtids, sizeof gtids, diag);
    position.gtids = gtids;
    return err == OK ? capture_start(r->capture, &position, diag) : err;
}

/* MySQL's: do its GTIDs, as `what` has them with those of what was captured, hold? Else `why`. */
static enum err check_subset(struct replica *r, const struct log_list *list, const char *what,
                             const char *why, struct diag *diag)
{
    char answer[8];
    const char *gtids = capture_position(r->capture)->gtids;
    const size_t room = strlen(gtids) + 100;
    char *sql = mem_take(room);
    if (!sql)
        return mem_fail(diag, room, "a set of GTIDs");
    snprintf(sql, room, what, gtids);
    enum err err = ask(r, sql, answer, sizeof answer, diag);
    mem_give(sql);
    return err == OK && strcmp(answer, "1") != 0 ? lost(r, list, why, diag) : err;
}

/* Another server than the one that was captured from: only GTIDs can tell where it stands. */
static enum err check_failover(struct replica *r, const struct log_list *list, struct diag *diag)
{
    const struct capture_position *p = capture_position(r->capture);
    if (!r->has_gtids || !p->gtids[0])
        return lost(r, list,
                    r->has_gtids ? "this is another server, and the GTIDs of what was captured are not known"
                                 : "this is another server, and it has no GTIDs (gtid_mode=ON) to go on by",
                    diag);
    if (r->is_mariadb)
        return OK; /* it looks itself, and refuses what it does not have */
    enum err err = check_subset(r, list, "SELECT GTID_SUBSET('%s', @@global.gtid_executed)",
                                "this server does not have all that was captured", diag);
    return err == OK ? check_subset(r, list, "SELECT GTID_SUBSET(@@global.gtid_purged, '%s')",
                                    "this server purged transactions that were not captured", diag)
                     : err;
}

/* The same server, and a file of the same name that is long enough: it may be another one since a RESET MASTER. When it was begun tells, where
 * that is known; GTIDs do where they are there. */
static enum err check_reset(struct replica *r, const struct log_list *list, struct diag *diag)
{
    const struct capture_position *p = capture_position(r->capture);
    if (!r->has_gtids || !p->gtids[0])
        return OK;
    if (!r->is_mariadb)
        return check_subset(r, list, "SELECT GTID_SUBSET('%s', @@global.gtid_executed)",
                            "it does not have what was captured from it (RESET MASTER)", diag);
    if (p->file_time || !p->exact)
        return OK;
    char theirs[4096];
    struct gtid_set one = {0}, other = {0};
    char *had = NULL, *has = NULL;
    enum err err = gtids_at(r, p->file, p->offset, theirs, sizeof theirs, diag);
    if (err == OK)
        err = gtid_set_parse(&one, p->gtids, diag);
    if (err == OK)
        err = gtid_set_parse(&other, theirs, diag);
    if (err == OK) {
        had = gtid_set_print(&one);
        has = gtid_set_print(&other);
        err = !had || !has ? mem_fail(diag, 0, "a set of GTIDs")
              : strcmp(had, has) != 0
                  ? lost(r, list, "its log has other transactions up to there (RESET MASTER)", diag)
                  : OK;
    }
    mem_give(had);
    mem_give(has);
    gtid_set_fini(&one);
    gtid_set_fini(&other);
    return err;
}

static enum err check_place(struct replica *r, struct diag *diag)
{
    const struct capture_position *p = capture_position(r->capture);
    struct log_list list;
    enum err err = read_logs(r, &list, p->file, diag);
    if (err != OK)
        return err;
    int same = strcmp(p->server, r->server) == 0;
    r->by_gtid = !same || !p->exact || (r->is_mariadb && p->offset > UINT32_MAX);
    if (!same)
        return check_failover(r, &list, diag);
    if (!p->file[0])
        return OK;
    if (!list.have_wanted)
        return lost(r, &list, "its file is gone from the server (PURGE or RESET MASTER)", diag);
    if (list.wanted_size < p->offset)
        return lost(r, &list, "its file is shorter now (RESET MASTER, or a crash that lost its end)", diag);
    if (p->offset > UINT32_MAX && !r->has_gtids)
        return lost(r, &list, "an offset over 4 GiB can only be asked for by GTID (gtid_mode=ON)", diag);
    return check_reset(r, &list, diag);
}

/* ---- the stream ---- */

static enum err prepare_session(struct replica *r, const char *gtids, struct diag *diag)
{
    static const char *const both[] = {
        "SET @master_binlog_checksum='CRC32', @source_binlog_checksum='CRC32'"};
    char sql[200];
    enum err err = mysql_peer_query(r->peer, both[0], NULL, NULL, diag);
    snprintf(sql, sizeof sql, "SET @master_heartbeat_period=%llu, @source_heartbeat_period=%llu",
             HEARTBEAT_MS * 1000000ull, HEARTBEAT_MS * 1000000ull);
    if (err == OK)
        err = mysql_peer_query(r->peer, sql, NULL, NULL, diag);
    snprintf(sql, sizeof sql,
             "SET @slave_uuid='7469656f-7574-4000-8000-%012x', @replica_uuid='7469656f-7574-4000-8000-%012x'",
             r->spec->server_id, r->spec->server_id);
    if (err == OK && !r->is_mariadb)
        err = mysql_peer_query(r->peer, sql, NULL, NULL, diag);
    if (err == OK && r->is_mariadb)
        err = mysql_peer_query(r->peer, "SET @mariadb_slave_capability=4", NULL, NULL, diag);
    if (err == OK && r->is_mariadb && r->by_gtid) {
        size_t room = strlen(gtids) + 100;
        char *text = mem_take(room);
        if (!text)
            return mem_fail(diag, room, "a set of GTIDs");
        snprintf(text, room,
                 "SET @slave_connect_state='%s', @slave_gtid_strict_mode=1, @slave_gtid_ignore_duplicates=0",
                 gtids);
        err = mysql_peer_query(r->peer, text, NULL, NULL, diag);
        mem_give(text);
    }
    return err;
}

static enum err start_dump(struct replica *r, struct diag *diag)
{
    const struct capture_position *p = capture_position(r->capture);
    struct mysql_dump dump = {.server_id = r->spec->server_id, .file = p->file, .position = p->offset};
    struct gtid_set set = {0};
    uint8_t *bytes = NULL;
    enum err err = prepare_session(r, p->gtids, diag);
    if (r->is_mariadb) /* so that no gap in a transaction is a harmless one */
        dump.flags = MYSQL_DUMP_ANNOTATE;
    if (r->by_gtid) {
        dump.file = "";
        dump.position = 4;
    }
    if (err == OK && !r->is_mariadb && (r->by_gtid || p->offset > UINT32_MAX)) {
        err = gtid_set_parse(&set, p->gtids, diag);
        bytes = err == OK ? gtid_set_encode(&set, &dump.gtid_set_size) : NULL;
        dump.gtid_set = bytes;
        r->by_gtid = 1;
        dump.file = "";
        dump.position = 4;
        if (err == OK && !bytes)
            err = mem_fail(diag, 0, "a set of GTIDs");
    }
    if (err == OK)
        err = mysql_peer_dump(r->peer, &dump, diag);
    mem_give(bytes);
    gtid_set_fini(&set);
    return err == OK ? capture_connected(r->capture, r->server, r->by_gtid, diag) : err;
}

/* Is everything here that the server had when we connected? */
static int caught_up(const struct replica *r)
{
    const struct capture_position *p = capture_position(r->capture);
    int order = strcmp(p->file, r->last_file);
    size_t a = strlen(p->file), b = strlen(r->last_file);
    return a != b ? a > b : order > 0 || (order == 0 && p->offset >= r->last_offset);
}

/* Whether the server has told all that it has: it sends a heartbeat when its log is at its end. Before the end that was asked for at first it
 * does, too, while it passes over what is here already (MySQL, by GTIDs). */
static int is_at_end(const struct replica *r, const uint8_t *event)
{
    return (event[4] == EVENT_HEARTBEAT || event[4] == EVENT_HEARTBEAT_V2) && !mysql_peer_waiting(r->peer) &&
           !capture_due(r->capture) && capture_knows_file(r->capture) && caught_up(r);
}

static enum err write_status(struct replica *r, const char *state, const char *said, int64_t lag_ms,
                             struct diag *diag)
{
    int64_t now = now_us();
    const struct capture_counts *counts = capture_counts(r->capture);
    if (r->status_at && now > r->status_at)
        r->rows_per_second =
            (int64_t)((double)(counts->rows - r->status_rows) * 1e6 / (double)(now - r->status_at));
    r->status_at = now;
    r->status_rows = counts->rows;
    struct capture_status status = {.heard_us = now,
                                    .lag_ms = lag_ms,
                                    .rows_per_second = r->rows_per_second,
                                    .complete_us = r->complete_us};
    snprintf(status.state, sizeof status.state, "%s", state);
    snprintf(status.said, sizeof status.said, "%s", said);
    return capture_status_write(r->capture, &status, diag);
}

/* What a refusal in the stream means. */
static enum err refused(struct replica *r, struct diag *found, struct diag *diag)
{
    enum { ERROR_DUMP = 1236 };
    struct log_list list = {0};
    struct diag ignored = {0};
    if (strstr(found->what, "same server_uuid") || strstr(found->what, "same server_id"))
        return diag_set(diag, ERR_PEER, "replica.server_id", "give each replica a server_id of its own", "%s",
                        found->what);
    if (mysql_peer_errno(r->peer) != ERROR_DUMP) {
        *diag = *found;
        return diag->err;
    }
    if (strstr(found->what, "max_allowed_packet"))
        return diag_set(diag, ERR_PEER, "replica.packet",
                        "SET GLOBAL max_allowed_packet=1073741824 on the server", "%s", found->what);
    /* The connection is used up: ask again what it has. */
    struct mysql_peer *dump = r->peer;
    struct mysql_config config = config_of(r);
    r->peer = NULL;
    if (mysql_peer_open(&r->peer, &config, &ignored) == OK) {
        read_logs(r, &list, NULL, &ignored);
        lost(r, &list, found->what, diag);
    } else {
        *diag = *found;
    }
    mysql_peer_close(dump);
    return diag->err;
}

static enum err take_packets(struct replica *r, struct diag *diag)
{
    for (;;) {
        const uint8_t *bytes;
        size_t size;
        struct diag found = {0};
        enum step step = mysql_peer_packet(r->peer, &bytes, &size, &found);
        if (step == STEP_FAILED)
            return refused(r, &found, diag);
        if (step == STEP_DONE)
            return diag_set(diag, ERR_PEER, "mysql.gone", NULL, "%s ended the stream", r->server);
        enum err err = capture_take(r->capture, bytes, size, diag);
        if (err != OK)
            return err;
        int64_t now = now_us();
        int waiting = mysql_peer_waiting(r->peer);
        if (capture_due(r->capture) && (!waiting || now - r->checkpoint_at > CHECKPOINT_MS * 1000)) {
            err = capture_checkpoint(r->capture, diag);
            r->checkpoint_at = now_us();
        }
        if (err == OK && is_at_end(r, bytes))
            r->complete_us = now - UNDER_WAY_US; /* for as long it may have been under way */
        if (err == OK && now - r->status_at > 1000000) {
            const int64_t committed = capture_counts(r->capture)->commit_time;
            /* Nothing was committed since the capture began: there is nothing to be late with. */
            int64_t lag = waiting && committed ? now / 1000 - committed * 1000 : 0;
            err = write_status(r, "streaming", "", lag > 0 ? lag : 0, diag);
        }
        if (err != OK)
            return err;
        if (stopped(r))
            return OK;
        if (r->config->catch_up && !waiting && capture_knows_file(r->capture) && caught_up(r)) {
            r->complete_us = r->asked_at;
            return OK;
        }
    }
}

static enum err stream(struct replica *r, struct diag *diag)
{
    struct mysql_config config = config_of(r);
    struct end_of_log end;
    enum err err = mysql_peer_open(&r->peer, &config, diag);
    if (err == OK)
        err = identify(r, diag);
    if (err == OK)
        err = check_settings(r, diag);
    if (err == OK && !capture_position(r->capture)->server[0])
        err = choose_start(r, diag);
    if (err == OK)
        err = check_place(r, diag);
    r->asked_at = now_us();
    if (err == OK)
        err = end_of_log(r, &end, diag);
    if (err == OK) {
        memcpy(r->last_file, end.file, sizeof r->last_file);
        r->last_offset = end.offset;
        err = start_dump(r, diag);
    }
    if (err == OK) {
        r->was_connected = 1;
        err = take_packets(r, diag);
    }
    struct diag late = {0};
    enum err end_err = capture_disconnected(r->capture, &late);
    mysql_peer_close(r->peer);
    r->peer = NULL;
    if (end_err != OK && (err == OK || mysql_gone(diag))) {
        *diag = late;
        err = end_err;
    }
    return err;
}

static void wait_ms(const struct replica *r, int ms)
{
    for (; ms > 0 && !stopped(r); ms -= 50)
        usleep(50000);
}

enum err replica_capture(const struct replica_config *config, struct diag *diag)
{
    struct replica *r = mem_take_zero(1, sizeof *r);
    if (!r)
        return mem_fail(diag, sizeof *r, "a replica");
    r->config = config;
    r->source = &config->job->sources[config->side];
    r->spec = &r->source->replica;
    enum err err = secret_read(r->password, r->spec->password, config->job->directory, diag);
    if (err == OK)
        err = capture_open(&r->capture, config->job, config->side, config->directory, diag);
    if (err == OK)
        r->complete_us = capture_complete_us(r->capture);
    int backoff = BACKOFF_MS_MIN;
    while (err == OK && !stopped(r)) {
        struct diag found = {0};
        uint64_t before = capture_counts(r->capture)->bytes;
        err = stream(r, &found);
        if (err == OK) {
            err = write_status(r, "stopped", "", 0, diag);
            break;
        }
        if (!mysql_gone(&found) || !r->was_connected || config->catch_up) {
            struct diag ignored = {0};
            write_status(r, "stopped", found.what, -1, &ignored);
            *diag = found;
            break;
        }
        if (capture_counts(r->capture)->bytes > before)
            backoff = BACKOFF_MS_MIN;
        fprintf(stderr, "note: %s; trying again in %.1f s\n", found.what, backoff / 1000.0);
        err = write_status(r, "waiting", found.what, -1, diag);
        wait_ms(r, backoff);
        backoff = backoff * 2 < BACKOFF_MS_MAX ? backoff * 2 : BACKOFF_MS_MAX;
    }
    capture_close(r->capture);
    secret_wipe(r->password);
    mem_give(r);
    return err;
}
