/* tests/support/binlog_write.h: writes binlog events into memory, for what no recorded file holds. Header
 * only.
 *
 *     struct log log = {0};
 *     log_begin(&log, "8.0.36");      magic and FORMAT_DESCRIPTION
 *       log_event / log_query / log_gtid / log_table / log_rows ... any number of times
 *     log_free(&log);
 */
#ifndef TIEOUT_TESTS_SUPPORT_BINLOG_WRITE_H
#define TIEOUT_TESTS_SUPPORT_BINLOG_WRITE_H

#include "io/format/binlog_event.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct log {
    uint8_t *bytes;
    size_t size, room;
    uint32_t later_s; /* events are this much later than 2026-01-01 */
};

/* The body of an event while it is put together. */
struct body {
    uint8_t bytes[1 << 16];
    size_t size;
};

static inline void body_bytes(struct body *body, const void *bytes, size_t size)
{
    if (size)
        memcpy(body->bytes + body->size, bytes, size);
    body->size += size;
}

static inline void body_le(struct body *body, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        body->bytes[body->size++] = (uint8_t)(value >> (8 * i));
}

static inline void body_be(struct body *body, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0;)
        body->bytes[body->size++] = (uint8_t)(value >> (8 * i));
}

/* A length in front, as many bytes as MySQL takes for it. */
static inline void body_length(struct body *body, size_t length)
{
    if (length >= 0xfb) {
        body_le(body, 0xfc, 1);
        body_le(body, length, 2);
    } else {
        body_le(body, length, 1);
    }
}

static inline void log_append(struct log *log, const void *bytes, size_t size)
{
    if (log->size + size > log->room) {
        log->room = (log->size + size) * 2;
        log->bytes = realloc(log->bytes, log->room);
    }
    memcpy(log->bytes + log->size, bytes, size);
    log->size += size;
}

static inline void log_event_with(struct log *log, unsigned type, unsigned flags, const void *body,
                                  size_t size)
{
    uint8_t head[BINLOG_HEADER_SIZE] = {0};
    struct body h = {.size = 0};
    uint32_t total = (uint32_t)(BINLOG_HEADER_SIZE + size + 4);
    body_le(&h, 1767225600 + log->later_s, 4);
    body_le(&h, type, 1);
    body_le(&h, 1, 4);
    body_le(&h, total, 4);
    body_le(&h, log->size + total, 4);
    body_le(&h, flags, 2);
    memcpy(head, h.bytes, sizeof head);
    uint32_t crc = (uint32_t)crc32(crc32(0, head, sizeof head), body ? body : head, (uInt)size);
    log_append(log, head, sizeof head);
    if (size)
        log_append(log, body, size);
    uint8_t tail[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24)};
    log_append(log, tail, sizeof tail);
}

static inline void log_event(struct log *log, unsigned type, const void *body, size_t size)
{
    log_event_with(log, type, 0, body, size);
}

static inline void log_begin(struct log *log, const char *version)
{
    log->size = 0;
    log_append(log, "\xfe\x62\x69\x6e", 4);
    struct body b = {.size = 0};
    char text[50] = {0};
    strncpy(text, version, sizeof text - 1);
    body_le(&b, 4, 2);
    body_bytes(&b, text, sizeof text);
    body_le(&b, 0, 4);
    body_le(&b, BINLOG_HEADER_SIZE, 1);
    static const uint8_t lengths[42] = {
        [EVENT_QUERY - 1] = 13,         [EVENT_ROTATE - 1] = 8,        [EVENT_FORMAT_DESCRIPTION - 1] = 98,
        [EVENT_TABLE_MAP - 1] = 8,      [EVENT_WRITE_ROWS_V1 - 1] = 8, [EVENT_UPDATE_ROWS_V1 - 1] = 8,
        [EVENT_DELETE_ROWS_V1 - 1] = 8, [EVENT_WRITE_ROWS - 1] = 10,   [EVENT_UPDATE_ROWS - 1] = 10,
        [EVENT_DELETE_ROWS - 1] = 10,   [EVENT_GTID - 1] = 42,         [EVENT_PARTIAL_UPDATE_ROWS - 1] = 10};
    body_bytes(&b, lengths, sizeof lengths);
    body_le(&b, 1, 1);
    log_event(log, EVENT_FORMAT_DESCRIPTION, b.bytes, b.size);
}

static inline void log_query(struct log *log, const char *database, const char *text)
{
    struct body b = {.size = 0};
    body_le(&b, 7, 4);
    body_le(&b, 0, 4);
    body_le(&b, strlen(database), 1);
    body_le(&b, 0, 2);
    body_le(&b, 0, 2);
    body_bytes(&b, database, strlen(database) + 1);
    body_bytes(&b, text, strlen(text));
    log_event(log, EVENT_QUERY, b.bytes, b.size);
}

static inline void log_gtid(struct log *log, uint64_t number)
{
    struct body b = {.size = 0};
    body_le(&b, 1, 1);
    for (unsigned i = 0; i < 16; i++)
        body_le(&b, i, 1);
    body_le(&b, number, 8);
    log_event(log, EVENT_GTID, b.bytes, b.size);
}

static inline void log_xid(struct log *log)
{
    log_event(log, EVENT_XID, "\1\0\0\0\0\0\0\0", 8);
}

static inline void log_rotate(struct log *log, const char *next)
{
    struct body b = {.size = 0};
    body_le(&b, 4, 8);
    body_bytes(&b, next, strlen(next));
    log_event(log, EVENT_ROTATE, b.bytes, b.size);
}

/* A TABLE_MAP. `types` and `metadata` as in the log; `optional`: what comes after the nullable bits. */
static inline void log_table(struct log *log, uint64_t id, const char *database, const char *table,
                             const uint8_t *types, size_t count, const void *metadata, size_t metadata_size,
                             const void *optional, size_t optional_size)
{
    struct body b = {.size = 0};
    body_le(&b, id, 6);
    body_le(&b, 1, 2);
    body_le(&b, strlen(database), 1);
    body_bytes(&b, database, strlen(database) + 1);
    body_le(&b, strlen(table), 1);
    body_bytes(&b, table, strlen(table) + 1);
    body_length(&b, count);
    body_bytes(&b, types, count);
    body_length(&b, metadata_size);
    body_bytes(&b, metadata, metadata_size);
    for (size_t i = 0; i < (count + 7) / 8; i++)
        body_le(&b, 0xff, 1);
    body_bytes(&b, optional, optional_size);
    log_event(log, EVENT_TABLE_MAP, b.bytes, b.size);
}

/* A v2 row event with full images; `rows` are null bits and values. */
static inline void log_rows(struct log *log, unsigned type, uint64_t id, size_t column_count,
                            const void *rows, size_t rows_size)
{
    struct body b = {.size = 0};
    body_le(&b, id, 6);
    body_le(&b, 1, 2);
    body_le(&b, 2, 2);
    body_length(&b, column_count);
    for (int i = 0; i < (type == EVENT_UPDATE_ROWS ? 2 : 1); i++)
        for (size_t k = 0; k < column_count; k += 8)
            body_le(&b, column_count - k >= 8 ? 0xff : (1u << (column_count - k)) - 1, 1);
    body_bytes(&b, rows, rows_size);
    log_event(log, type, b.bytes, b.size);
}

static inline void log_free(struct log *log)
{
    free(log->bytes);
    memset(log, 0, sizeof *log);
}

#endif
