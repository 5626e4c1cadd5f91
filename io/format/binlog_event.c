/* io/format/binlog_event.c: see binlog_event.h */
#include "io/format/binlog_event.h"
#include "core/base/mem.h"
#include "io/format/crc32.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum step binlog_fail(struct diag *diag, const char *file, uint64_t offset, const char *code,
                      const char *hint, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    diag_set(diag, ERR_INPUT, code, hint, "%s@%llu: %s", file, (unsigned long long)offset, text);
    return STEP_FAILED;
}

const char *binlog_event_name(unsigned type)
{
    static const char *const mysql[] = {
        [EVENT_START_V3] = "START_V3",
        [EVENT_QUERY] = "QUERY",
        [EVENT_STOP] = "STOP",
        [EVENT_ROTATE] = "ROTATE",
        [EVENT_INTVAR] = "INTVAR",
        [EVENT_LOAD] = "LOAD",
        [EVENT_SLAVE] = "SLAVE",
        [EVENT_CREATE_FILE] = "CREATE_FILE",
        [EVENT_APPEND_BLOCK] = "APPEND_BLOCK",
        [EVENT_EXEC_LOAD] = "EXEC_LOAD",
        [EVENT_DELETE_FILE] = "DELETE_FILE",
        [EVENT_NEW_LOAD] = "NEW_LOAD",
        [EVENT_RAND] = "RAND",
        [EVENT_USER_VAR] = "USER_VAR",
        [EVENT_FORMAT_DESCRIPTION] = "FORMAT_DESCRIPTION",
        [EVENT_XID] = "XID",
        [EVENT_BEGIN_LOAD_QUERY] = "BEGIN_LOAD_QUERY",
        [EVENT_EXECUTE_LOAD_QUERY] = "EXECUTE_LOAD_QUERY",
        [EVENT_TABLE_MAP] = "TABLE_MAP",
        [EVENT_WRITE_ROWS_V0] = "WRITE_ROWS_V0",
        [EVENT_UPDATE_ROWS_V0] = "UPDATE_ROWS_V0",
        [EVENT_DELETE_ROWS_V0] = "DELETE_ROWS_V0",
        [EVENT_WRITE_ROWS_V1] = "WRITE_ROWS_V1",
        [EVENT_UPDATE_ROWS_V1] = "UPDATE_ROWS_V1",
        [EVENT_DELETE_ROWS_V1] = "DELETE_ROWS_V1",
        [EVENT_INCIDENT] = "INCIDENT",
        [EVENT_HEARTBEAT] = "HEARTBEAT",
        [EVENT_IGNORABLE] = "IGNORABLE",
        [EVENT_ROWS_QUERY] = "ROWS_QUERY",
        [EVENT_WRITE_ROWS] = "WRITE_ROWS",
        [EVENT_UPDATE_ROWS] = "UPDATE_ROWS",
        [EVENT_DELETE_ROWS] = "DELETE_ROWS",
        [EVENT_GTID] = "GTID",
        [EVENT_ANONYMOUS_GTID] = "ANONYMOUS_GTID",
        [EVENT_PREVIOUS_GTIDS] = "PREVIOUS_GTIDS",
        [EVENT_TRANSACTION_CONTEXT] = "TRANSACTION_CONTEXT",
        [EVENT_VIEW_CHANGE] = "VIEW_CHANGE",
        [EVENT_XA_PREPARE] = "XA_PREPARE",
        [EVENT_PARTIAL_UPDATE_ROWS] = "PARTIAL_UPDATE_ROWS",
        [EVENT_TRANSACTION_PAYLOAD] = "TRANSACTION_PAYLOAD",
        [EVENT_HEARTBEAT_V2] = "HEARTBEAT_V2",
        [EVENT_GTID_TAGGED] = "GTID_TAGGED",
    };
    static const char *const mariadb[] = {
        "ANNOTATE_ROWS",
        "BINLOG_CHECKPOINT",
        "MARIADB_GTID",
        "GTID_LIST",
        "START_ENCRYPTION",
        "QUERY_COMPRESSED",
        "WRITE_ROWS_COMPRESSED_V1",
        "UPDATE_ROWS_COMPRESSED_V1",
        "DELETE_ROWS_COMPRESSED_V1",
        "WRITE_ROWS_COMPRESSED",
        "UPDATE_ROWS_COMPRESSED",
        "DELETE_ROWS_COMPRESSED",
    };
    if (type < sizeof mysql / sizeof *mysql && mysql[type])
        return mysql[type];
    if (type >= EVENT_ANNOTATE_ROWS && type <= EVENT_DELETE_ROWS_COMPRESSED)
        return mariadb[type - EVENT_ANNOTATE_ROWS];
    static _Thread_local char unknown[24];
    snprintf(unknown, sizeof unknown, "type %u", type);
    return unknown;
}

int binlog_checksum_right(const struct binlog_event *event, const struct binlog_format *format)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    /* A fuzzer would hardly ever get past a checksum; the decoder must stand what lies behind it all the
     * same. */
    (void)event;
    (void)format;
    return 1;
#endif
    if (format->checksum == 0)
        return 1;
    uint32_t stored = read_le32(event->bytes + event->size - 4);
    if (event->type != EVENT_FORMAT_DESCRIPTION)
        return stored == crc32_update(0, event->bytes, event->size - 4);
    /* The server sets and clears the in-use flag in place and leaves the checksum as it was without it. */
    uint8_t head[BINLOG_HEADER_SIZE];
    memcpy(head, event->bytes, sizeof head);
    head[17] &= (uint8_t)~EVENT_FLAG_IN_USE;
    uint32_t crc = crc32_update(0, head, sizeof head);
    return stored == crc32_update(crc, event->bytes + sizeof head, event->size - 4 - sizeof head);
}

const char *binlog_magic_wrong(const uint8_t *bytes, size_t size, const char **hint)
{
    *hint = "give the server's own binlog files, e.g. mysql-bin.000001";
    if (size >= 4 && memcmp(bytes, "\xfe\x62\x69\x6e", 4) == 0)
        return NULL;
    if (size >= 4 && memcmp(bytes, "\xfd\x62\x69\x6e", 4) == 0) {
        *hint = "MySQL wrote it with binlog_encryption=ON; switch that off, or let a server send the log";
        return "encrypted binlog not supported";
    }
    if (size >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
        *hint = "unpack it with gunzip";
        return "compressed with gzip, not a binlog";
    }
    return "not a binlog: it does not begin with fe 62 69 6e";
}

enum step binlog_format_read(struct binlog_format *format, const struct binlog_event *event, const char *file,
                             struct diag *diag)
{
    static const char *const hint = "copy the file again from the server";
    memset(format, 0, sizeof *format);
    const uint8_t *body = event->bytes + BINLOG_HEADER_SIZE;
    size_t size = event->size - BINLOG_HEADER_SIZE;
    if (size < 2 + 50 + 4 + 1)
        return binlog_fail(diag, file, event->offset, "binlog.format", hint,
                           "FORMAT_DESCRIPTION event of %u bytes is too short", event->size);
    unsigned version = read_le16(body);
    if (version != 4)
        return binlog_fail(diag, file, event->offset, "binlog.version",
                           "binlogs of MySQL 5.1 and later can be read", "binlog version %u, expected 4",
                           version);
    memcpy(format->server_version, body + 2, 50);
    if (body[56] != BINLOG_HEADER_SIZE)
        return binlog_fail(diag, file, event->offset, "binlog.format", hint,
                           "event headers of %u bytes, expected 19", body[56]);
    char *end = format->server_version;
    unsigned long numbers[3] = {0, 0, 0};
    for (int i = 0; i < 3 && *end >= '0' && *end <= '9'; i++) {
        numbers[i] = strtoul(end, &end, 10);
        if (*end != '.')
            break;
        end++;
    }
    format->flavour = strstr(format->server_version, "MariaDB") ? BINLOG_MARIADB : BINLOG_MYSQL;
    unsigned long product = (numbers[0] << 16) + (numbers[1] << 8) + numbers[2];
    /* Checksums came with MySQL 5.6.1 and MariaDB 5.3; before, the list of lengths goes to the event's end.
     */
    int knows_checksums = product >= (format->flavour == BINLOG_MARIADB ? 0x050300u : 0x050601u);
    size_t lengths = size - 57;
    if (knows_checksums) {
        if (lengths < 5)
            return binlog_fail(diag, file, event->offset, "binlog.format", hint,
                               "FORMAT_DESCRIPTION event of %u bytes is too short", event->size);
        lengths -= 5;
        unsigned algorithm = body[57 + lengths];
        if (algorithm > 1)
            return binlog_fail(diag, file, event->offset, "binlog.checksum", hint,
                               "checksum algorithm %u is not known", algorithm);
        /* This event has a checksum even where the others have none. */
        format->checksum = 1;
        if (!binlog_checksum_right(event, format))
            return binlog_fail(diag, file, event->offset, "binlog.checksum", hint,
                               "checksum of the FORMAT_DESCRIPTION event is wrong: the file is damaged");
        format->checksum = (uint8_t)algorithm;
        format->checksum_size = algorithm ? 4 : 0;
    }
    if (lengths > 255)
        lengths = 255;
    memcpy(format->post_header + 1, body + 57, lengths);
    format->in_use = (event->flags & EVENT_FLAG_IN_USE) != 0;
    return STEP_MORE;
}

/* mysql::serialization's integers: as many one-bits at the low end of the first byte as there are more bytes.
 */
static uint64_t cursor_varlen(struct binlog_cursor *c)
{
    uint64_t first = cursor_le(c, 1);
    unsigned more = 0;
    while (more < 8 && (first >> more & 1))
        more++;
    if (more == 8)
        return cursor_le(c, 8);
    uint64_t low = first >> (more + 1);
    uint64_t high = cursor_le(c, more);
    return low | high << (7 - more);
}

static int gtid_read_tagged(struct binlog_gtid *gtid, const struct binlog_event *event)
{
    /* A message: version, size, last field that may not be ignored, then fields of (id, value) in order of
     * id: 0 flags, 1 uuid (a list of 16 bytes as integers), 2 number (zigzag), 3 tag, and times that nobody
     * needs here. */
    struct binlog_cursor c = {event->body, event->body + event->body_size, 0};
    cursor_varlen(&c);
    cursor_varlen(&c);
    cursor_varlen(&c);
    int have = 0;
    while (!c.bad && cursor_left(&c) && have < 4) {
        uint64_t id = cursor_varlen(&c);
        if (id != (uint64_t)have)
            return 0;
        if (id == 0) {
            cursor_varlen(&c);
        } else if (id == 1) {
            for (int i = 0; i < 16; i++) {
                uint64_t byte = cursor_varlen(&c);
                if (byte > 255)
                    return 0;
                gtid->uuid[i] = (uint8_t)byte;
            }
        } else if (id == 2) {
            uint64_t zigzag = cursor_varlen(&c);
            if (zigzag & 1)
                return 0;
            gtid->number = zigzag >> 1;
        } else {
            uint64_t size = cursor_varlen(&c);
            const uint8_t *text = cursor_take(&c, size);
            if (!text || size > BINLOG_GTID_TAG_MAX)
                return 0;
            memcpy(gtid->tag, text, size);
            gtid->tag_size = (uint8_t)size;
        }
        have++;
    }
    gtid->kind = BINLOG_GTID_MYSQL;
    return have == 4 && !c.bad;
}

int binlog_gtid_read(struct binlog_gtid *gtid, const struct binlog_event *event, unsigned *flags)
{
    memset(gtid, 0, sizeof *gtid);
    *flags = 0;
    const uint8_t *body = event->body;
    switch (event->type) {
    case EVENT_ANONYMOUS_GTID:
        gtid->kind = BINLOG_GTID_ANONYMOUS;
        return 1;
    case EVENT_GTID:
        if (event->body_size < 25)
            return 0;
        gtid->kind = BINLOG_GTID_MYSQL;
        memcpy(gtid->uuid, body + 1, 16);
        gtid->number = read_le64(body + 17);
        return 1;
    case EVENT_GTID_TAGGED:
        return gtid_read_tagged(gtid, event);
    default:
        if (event->body_size < 13)
            return 0;
        gtid->kind = BINLOG_GTID_MARIADB;
        gtid->number = read_le64(body);
        gtid->domain = read_le32(body + 8);
        gtid->server = read_le32(event->bytes + 5);
        *flags = body[12];
        return 1;
    }
}

size_t binlog_gtid_print(char out[BINLOG_GTID_TEXT_MAX], const struct binlog_gtid *gtid)
{
    out[0] = 0;
    if (gtid->kind == BINLOG_GTID_MARIADB)
        return (size_t)snprintf(out, BINLOG_GTID_TEXT_MAX, "%u-%u-%llu", gtid->domain, gtid->server,
                                (unsigned long long)gtid->number);
    if (gtid->kind != BINLOG_GTID_MYSQL)
        return 0;
    size_t n = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[n++] = '-';
        n += (size_t)snprintf(out + n, 3, "%02x", gtid->uuid[i]);
    }
    if (gtid->tag_size)
        n += (size_t)snprintf(out + n, BINLOG_GTID_TEXT_MAX - n, ":%.*s", gtid->tag_size, gtid->tag);
    return n + (size_t)snprintf(out + n, BINLOG_GTID_TEXT_MAX - n, ":%llu", (unsigned long long)gtid->number);
}

uint64_t binlog_compressed_size(const uint8_t *bytes, size_t size, size_t *stream_offset)
{
    *stream_offset = 0;
    if (size < 2 || (bytes[0] & 0xf8) != 0x80)
        return 0;
    size_t length_size = bytes[0] & 7;
    if (length_size == 0 || length_size > 4 || size < 1 + length_size)
        return 0;
    *stream_offset = 1 + length_size;
    return read_be(bytes + 1, length_size);
}

int binlog_inflate(const uint8_t *stream, size_t stream_size, uint8_t *out, size_t want)
{
    uLongf got = want;
    uint8_t none;
    if (want == 0) {
        out = &none;
        got = 1;
    }
    return uncompress(out, &got, stream, stream_size) == Z_OK && got == want;
}

enum step binlog_query_read(const struct binlog_event *event, const struct binlog_format *format,
                            struct span *database, struct span *text, uint8_t **inflated, const char *file,
                            struct diag *diag)
{
    *inflated = NULL;
    struct binlog_cursor c = {event->body, event->body + event->body_size, 0};
    cursor_take(&c, 8);
    size_t database_size = cursor_le(&c, 1);
    cursor_take(&c, 2);
    size_t status_size = format->post_header[event->type] == 11 ? 0 : cursor_le(&c, 2);
    if (event->type == EVENT_EXECUTE_LOAD_QUERY)
        cursor_take(&c, 13);
    cursor_take(&c, status_size);
    const uint8_t *name = cursor_take(&c, database_size);
    const uint8_t *nul = cursor_take(&c, 1);
    if (c.bad || *nul != 0)
        return binlog_fail(diag, file, event->offset, "binlog.event", "copy the file again from the server",
                           "%s event is malformed", binlog_event_name(event->type));
    *database = (struct span){(const char *)name, database_size};
    *text = (struct span){(const char *)c.at, cursor_left(&c)};
    if (event->type != EVENT_QUERY_COMPRESSED)
        return STEP_MORE;
    size_t stream_offset;
    uint64_t size = binlog_compressed_size(c.at, cursor_left(&c), &stream_offset);
    /* zlib shrinks to a thousandth at most; a larger claim is a lie that would only cost memory. */
    if (!stream_offset || size > (uint64_t)cursor_left(&c) * 1100 + 64)
        return binlog_fail(diag, file, event->offset, "binlog.compressed",
                           "copy the file again from the server", "compressed QUERY event is malformed");
    *inflated = mem_take(size + 1);
    if (!*inflated) {
        mem_fail(diag, size + 1, "a compressed statement");
        return STEP_FAILED;
    }
    if (!binlog_inflate(c.at + stream_offset, cursor_left(&c) - stream_offset, *inflated, size)) {
        mem_give(*inflated);
        *inflated = NULL;
        return binlog_fail(
            diag, file, event->offset, "binlog.compressed", "copy the file again from the server",
            "compressed QUERY event does not inflate to the %llu bytes it claims", (unsigned long long)size);
    }
    *text = (struct span){(const char *)*inflated, size};
    return STEP_MORE;
}

int binlog_query_is_strict(const struct binlog_event *event, const struct binlog_format *format)
{
    enum {
        STATUS_FLAGS = 0,
        STATUS_SQL_MODE = 1,
        STRICT_TRANS_TABLES = 1 << 21,
        STRICT_ALL_TABLES = 1 << 22
    };
    struct binlog_cursor c = {event->body, event->body + event->body_size, 0};
    cursor_take(&c, 11);
    if (format->post_header[event->type] == 11 || cursor_le(&c, 2) < 9)
        return 0;
    /* These two come first, wherever they are. */
    uint64_t code = cursor_le(&c, 1);
    if (code == STATUS_FLAGS) {
        cursor_take(&c, 4);
        code = cursor_le(&c, 1);
    }
    const uint64_t mode = code == STATUS_SQL_MODE ? cursor_le(&c, 8) : 0;
    return !c.bad && (mode & (STRICT_TRANS_TABLES | STRICT_ALL_TABLES)) != 0;
}
