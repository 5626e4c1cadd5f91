/* io/format/binlog_event.h: one event of a binlog; what the walk and the rows share. Private to io/format.
 *
 * An event is a header of 19 bytes, a body, and a checksum of 4 bytes if the file has them:
 *
 *     0      4    5         9          13            17      19          size - checksum_size
 *     | time | type | server | event_size | end_position | flags | body ... | crc32 |
 *
 * All integers are little-endian unless their type says otherwise.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_EVENT_H
#define TIEOUT_IO_FORMAT_BINLOG_EVENT_H

#include "io/format/binlog.h"
#include "io/format/crc32.h"

enum binlog_event_type {
    EVENT_START_V3 = 1,
    EVENT_QUERY = 2,
    EVENT_STOP = 3,
    EVENT_ROTATE = 4,
    EVENT_INTVAR = 5,
    EVENT_LOAD = 6,
    EVENT_SLAVE = 7,
    EVENT_CREATE_FILE = 8,
    EVENT_APPEND_BLOCK = 9,
    EVENT_EXEC_LOAD = 10,
    EVENT_DELETE_FILE = 11,
    EVENT_NEW_LOAD = 12,
    EVENT_RAND = 13,
    EVENT_USER_VAR = 14,
    EVENT_FORMAT_DESCRIPTION = 15,
    EVENT_XID = 16,
    EVENT_BEGIN_LOAD_QUERY = 17,
    EVENT_EXECUTE_LOAD_QUERY = 18,
    EVENT_TABLE_MAP = 19,
    EVENT_WRITE_ROWS_V0 = 20,
    EVENT_UPDATE_ROWS_V0 = 21,
    EVENT_DELETE_ROWS_V0 = 22,
    EVENT_WRITE_ROWS_V1 = 23,
    EVENT_UPDATE_ROWS_V1 = 24,
    EVENT_DELETE_ROWS_V1 = 25,
    EVENT_INCIDENT = 26,
    EVENT_HEARTBEAT = 27,
    EVENT_IGNORABLE = 28,
    EVENT_ROWS_QUERY = 29,
    EVENT_WRITE_ROWS = 30,
    EVENT_UPDATE_ROWS = 31,
    EVENT_DELETE_ROWS = 32,
    EVENT_GTID = 33,
    EVENT_ANONYMOUS_GTID = 34,
    EVENT_PREVIOUS_GTIDS = 35,
    EVENT_TRANSACTION_CONTEXT = 36,
    EVENT_VIEW_CHANGE = 37,
    EVENT_XA_PREPARE = 38,
    EVENT_PARTIAL_UPDATE_ROWS = 39,
    EVENT_TRANSACTION_PAYLOAD = 40,
    EVENT_HEARTBEAT_V2 = 41,
    EVENT_GTID_TAGGED = 42,
    EVENT_ANNOTATE_ROWS = 160,
    EVENT_BINLOG_CHECKPOINT = 161,
    EVENT_MARIADB_GTID = 162,
    EVENT_GTID_LIST = 163,
    EVENT_START_ENCRYPTION = 164,
    EVENT_QUERY_COMPRESSED = 165,
    EVENT_WRITE_ROWS_COMPRESSED_V1 = 166,
    EVENT_UPDATE_ROWS_COMPRESSED_V1 = 167,
    EVENT_DELETE_ROWS_COMPRESSED_V1 = 168,
    EVENT_WRITE_ROWS_COMPRESSED = 169,
    EVENT_UPDATE_ROWS_COMPRESSED = 170,
    EVENT_DELETE_ROWS_COMPRESSED = 171
};

enum { EVENT_FLAG_IN_USE = 0x01, EVENT_FLAG_IGNORABLE = 0x80 };

struct binlog_event {
    uint64_t offset; /* in the file */
    const uint8_t *bytes;
    const uint8_t *body;
    size_t body_size; /* without the checksum */
    uint32_t size;    /* with header and checksum */
    uint32_t timestamp;
    uint16_t flags;
    uint8_t type;
};

/* Bytes that are read one after the other. A read past the end gives zeros and sets `bad`; look at it once,
 * after the reads. */
struct binlog_cursor {
    const uint8_t *at, *end;
    int bad;
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BINLOG_LE(bits, v) (v)
#define BINLOG_BE(bits, v) __builtin_bswap##bits(v)
#else
#define BINLOG_LE(bits, v) __builtin_bswap##bits(v)
#define BINLOG_BE(bits, v) (v)
#endif

static inline uint16_t read_le16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return BINLOG_LE(16, v);
}

static inline uint32_t read_le24(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

static inline uint32_t read_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return BINLOG_LE(32, v);
}

static inline uint64_t read_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return BINLOG_LE(64, v);
}

static inline uint64_t read_le48(const uint8_t *p)
{
    return (uint64_t)read_le32(p) | (uint64_t)read_le16(p + 4) << 32;
}

static inline uint64_t read_be64(const uint8_t *p)
{
    return __builtin_bswap64(read_le64(p));
}

/* Up to 8 bytes, most significant first. */
static inline uint64_t read_be(const uint8_t *p, size_t size)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v = v << 8 | p[i];
    return v;
}

/* Up to 8 bytes, least significant first. */
static inline uint64_t read_le(const uint8_t *p, size_t size)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* `size` bytes, or NULL with `bad` set. */
static inline const uint8_t *cursor_take(struct binlog_cursor *c, uint64_t size)
{
    if ((uint64_t)(c->end - c->at) < size) {
        c->bad = 1;
        c->at = c->end;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += size;
    return p;
}

static inline uint64_t cursor_le(struct binlog_cursor *c, size_t size)
{
    const uint8_t *p = cursor_take(c, size);
    return p ? read_le(p, size) : 0;
}

/* MySQL's length-encoded integer. 0xfb (NULL) and 0xff are none. */
static inline uint64_t cursor_length(struct binlog_cursor *c)
{
    uint64_t first = cursor_le(c, 1);
    if (first < 0xfb)
        return first;
    if (first == 0xfc)
        return cursor_le(c, 2);
    if (first == 0xfd)
        return cursor_le(c, 3);
    if (first == 0xfe)
        return cursor_le(c, 8);
    c->bad = 1;
    return 0;
}

static inline size_t cursor_left(const struct binlog_cursor *c)
{
    return (size_t)(c->end - c->at);
}

#define EVENT_BIT(type) ((uint64_t)1 << (type))

/* Asked of each event, so by bits of a word. */
static inline int event_is_rows(unsigned type)
{
    const uint64_t rows = EVENT_BIT(EVENT_WRITE_ROWS_V0) | EVENT_BIT(EVENT_UPDATE_ROWS_V0) |
                          EVENT_BIT(EVENT_DELETE_ROWS_V0) | EVENT_BIT(EVENT_WRITE_ROWS_V1) |
                          EVENT_BIT(EVENT_UPDATE_ROWS_V1) | EVENT_BIT(EVENT_DELETE_ROWS_V1) |
                          EVENT_BIT(EVENT_WRITE_ROWS) | EVENT_BIT(EVENT_UPDATE_ROWS) |
                          EVENT_BIT(EVENT_DELETE_ROWS) | EVENT_BIT(EVENT_PARTIAL_UPDATE_ROWS);
    return type < 64 ? (int)(rows >> type & 1)
                     : type >= EVENT_WRITE_ROWS_COMPRESSED_V1 && type <= EVENT_DELETE_ROWS_COMPRESSED;
}

/* 1: binlog_walk_step holds its bytes against their checksum. The others are large, and are verified where they are decoded. */
static inline int event_is_verified_by_walk(unsigned type)
{
    const uint64_t others = EVENT_BIT(EVENT_ROWS_QUERY) | EVENT_BIT(EVENT_FORMAT_DESCRIPTION) |
                            EVENT_BIT(EVENT_TRANSACTION_PAYLOAD);
    return !event_is_rows(type) && (type < 64 ? !(others >> type & 1) : type != EVENT_ANNOTATE_ROWS);
}

/* Cuts a whole event out of `bytes`. The caller has made sure that the header's size fits and is at least 19
 * + checksum. */
static inline void event_read(struct binlog_event *event, const uint8_t *bytes, uint64_t offset,
                              unsigned checksum_size)
{
    event->offset = offset;
    event->bytes = bytes;
    event->timestamp = read_le32(bytes);
    event->type = bytes[4];
    event->size = read_le32(bytes + 9);
    event->flags = read_le16(bytes + 17);
    event->body = bytes + BINLOG_HEADER_SIZE;
    event->body_size = event->size - BINLOG_HEADER_SIZE - checksum_size;
}

/* "NAME@POSITION: " and the rest. Returns STEP_FAILED. */
enum step binlog_fail(struct diag *diag, const char *file, uint64_t offset, const char *code,
                      const char *hint, const char *format, ...) __attribute__((format(printf, 6, 7), cold));

/* Does the checksum at the end of an event say `sum`? */
static inline int binlog_sum_is(const uint8_t *bytes, uint32_t size, uint32_t sum)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)bytes;
    (void)size;
    (void)sum;
    return 1;
#else
    return read_le32(bytes + size - 4) == sum;
#endif
}

/* Is the checksum at the end of an event right, which has one and is no FORMAT_DESCRIPTION? */
static inline int binlog_sum_right(const uint8_t *bytes, uint32_t size)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)bytes;
    (void)size;
    return 1;
#else
    return binlog_sum_is(bytes, size, crc32_update(0, bytes, size - 4));
#endif
}

/* Compares the checksum at the event's end. Returns 1 when it is right or the file has none. */
int binlog_checksum_right(const struct binlog_event *event, const struct binlog_format *format);

/* Reads the FORMAT_DESCRIPTION event, whose `bytes` and `size` are set, and verifies it. */
enum step binlog_format_read(struct binlog_format *format, const struct binlog_event *event, const char *file,
                             struct diag *diag);

/* Says what is wrong with the first bytes of a file. NULL: they are a binlog's magic. */
const char *binlog_magic_wrong(const uint8_t *bytes, size_t size, const char **hint);

/* The table id at the start of TABLE_MAP and row events. Returns the bytes it took, 0 when the body is too
 * short. */
static inline size_t event_table_id(const struct binlog_event *event, const struct binlog_format *format,
                                    uint64_t *id)
{
    if (format->post_header[event->type] == 6) {
        if (event->body_size < 6)
            return 0;
        *id = read_le32(event->body);
        return 4;
    }
    if (event->body_size < 8)
        return 0;
    *id = read_le48(event->body);
    return 6;
}

/* The GTID that an event of one of the GTID types carries; `*flags` is MariaDB's flags byte, else 0. 0 when
 * it is malformed. */
enum { MARIADB_GTID_STANDALONE = 1, MARIADB_GTID_PREPARED_XA = 64, MARIADB_GTID_COMPLETED_XA = 128 };
int binlog_gtid_read(struct binlog_gtid *gtid, const struct binlog_event *event, unsigned *flags);

/* Database and text of a QUERY, QUERY_COMPRESSED or EXECUTE_LOAD_QUERY event. The text of a compressed one is
 * in
 * `*inflated`, which the caller gives back with mem_give. STEP_MORE or STEP_FAILED. */
enum step binlog_query_read(const struct binlog_event *event, const struct binlog_format *format,
                            struct span *database, struct span *text, uint8_t **inflated, const char *file,
                            struct diag *diag);

/* 1: the statement of a QUERY or QUERY_COMPRESSED event ran in strict mode, so that it failed where a value did not fit; 0: it did not, or nobody
 * says. */
int binlog_query_is_strict(const struct binlog_event *event, const struct binlog_format *format);

/* MariaDB's compressed blocks: 0x80 | algorithm << 4 | bytes of length; length, most significant first;
 * zlib's stream. Returns the size that the head claims, and where the stream begins, or 0 in `*stream_offset`
 * when it is none of these. */
uint64_t binlog_compressed_size(const uint8_t *bytes, size_t size, size_t *stream_offset);
/* Inflates exactly `want` bytes into `out`. 1 when the stream held just that many. */
int binlog_inflate(const uint8_t *stream, size_t stream_size, uint8_t *out, size_t want);

/* What a statement is, as far as the walk must know. */
enum statement_kind {
    STATEMENT_OTHER, /* SET, GRANT, CREATE of other things, ...: no rows of a table change */
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_SAVEPOINT,
    STATEMENT_ROLLBACK_TO,
    STATEMENT_RELEASE,
    STATEMENT_XA_START,
    STATEMENT_XA_END,
    STATEMENT_XA_PREPARE,
    STATEMENT_XA_COMMIT,
    STATEMENT_XA_ROLLBACK,
    STATEMENT_DDL,    /* changes a table's shape */
    STATEMENT_ERASES, /* makes rows go away, or come, without images: TRUNCATE, DROP, RENAME, partitions */
    STATEMENT_CHANGES /* INSERT, UPDATE, DELETE, REPLACE, LOAD and whatever else may change rows by text */
};

struct statement {
    enum statement_kind kind;
    int watch_index;        /* a watched table that the text names; -1: none */
    struct span savepoint;  /* the name in SAVEPOINT, ROLLBACK TO and RELEASE */
    int starts_transaction; /* CREATE TABLE ... START TRANSACTION: row events follow */
};

void binlog_statement_read(struct statement *statement, struct span database, struct span text,
                           const struct binlog_options *options);

/* The transaction's name in XA statements, as bytes that compare: format, sizes, both parts. 0: not
 * understood. */
enum { XID_BYTES_MAX = 4 + 2 + 128 };
size_t binlog_xid_read_text(uint8_t out[XID_BYTES_MAX], struct span text);
size_t binlog_xid_make(uint8_t out[XID_BYTES_MAX], uint32_t format, const uint8_t *global, size_t global_size,
                       const uint8_t *branch, size_t branch_size);

#endif
