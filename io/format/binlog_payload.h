/* io/format/binlog_payload.h: what is compressed in a log, beyond MariaDB's row events. Private to io/format.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_PAYLOAD_H
#define TIEOUT_IO_FORMAT_BINLOG_PAYLOAD_H

#include "io/format/binlog_event.h"

/* The buffer that payloads are inflated into. Zeroed at first. */
struct binlog_payload {
    uint8_t *bytes;
    size_t room;
    void *context; /* the zstd library's */
};

void binlog_payload_fini(struct binlog_payload *payload);

/* Reads a TRANSACTION_PAYLOAD event (MySQL 8.0.20 and later). `*inside`: the events in it, valid until the
 * next call, or as long as the event where nothing was compressed. `bytes_max` limits what it may become; 0:
 * 1 GiB. STEP_MORE or STEP_FAILED. */
enum step binlog_payload_read(struct binlog_payload *payload, struct span *inside,
                              const struct binlog_event *event, uint64_t bytes_max, const char *file,
                              struct diag *diag);

/* The first bytes of what is inside, `room` of them at most, into `out`; of a large one little more than these is inflated. 0: they cannot be
 * had, and binlog_payload_read says why. */
size_t binlog_payload_peek(struct binlog_payload *payload, const struct binlog_event *event, uint8_t *out,
                           size_t room);

/* A compressed column's stream (MariaDB). `bare`: without zlib's head and checksum. 1 when it held just
 * `want` bytes. */
int binlog_inflate_column(const uint8_t *stream, size_t stream_size, int bare, uint8_t *out, size_t want);

#endif
