/* io/format/binlog_payload.c: see binlog_payload.h
 *
 * zstd is Debian's libzstd-dev. Built without it (TIEOUT_ZSTD not defined), zstd payloads are refused by
 * name.
 */
#include "io/format/binlog_payload.h"
#include "core/base/mem.h"
#include <zlib.h>
#ifdef TIEOUT_ZSTD
#include <zstd.h>
#endif

enum { FIELD_END = 0, FIELD_SIZE = 1, FIELD_COMPRESSION = 2, FIELD_INFLATED_SIZE = 3 };
enum { COMPRESSION_ZSTD = 0, COMPRESSION_NONE = 255 };

static const char *const hint_copy = "the file is cut or damaged: copy it again from the server";

void binlog_payload_fini(struct binlog_payload *payload)
{
    mem_give(payload->bytes);
#ifdef TIEOUT_ZSTD
    ZSTD_freeDCtx(payload->context);
#endif
}

#ifdef TIEOUT_ZSTD
static enum step inflate_zstd(struct binlog_payload *payload, const uint8_t *stream, size_t stream_size,
                              uint64_t want, const struct binlog_event *event, const char *file,
                              struct diag *diag)
{
    if (!payload->context && !(payload->context = ZSTD_createDCtx())) {
        mem_fail(diag, 1 << 17, "the zstd decoder");
        return STEP_FAILED;
    }
    ZSTD_DCtx_reset(payload->context, ZSTD_reset_session_only);
    /* The claim is believed only as far as the stream bears it out: room grows with what comes. */
    ZSTD_inBuffer in = {stream, stream_size, 0};
    uint64_t done = 0;
    for (;;) {
        if (done == payload->room || payload->room == 0) {
            uint64_t more = payload->room ? payload->room * 4 : (uint64_t)1 << 16;
            if (more > want + 1)
                more = want + 1;
            if (more > payload->room) {
                uint8_t *bigger = mem_grow(payload->bytes, more);
                if (!bigger) {
                    mem_fail(diag, more, "a compressed transaction");
                    return STEP_FAILED;
                }
                payload->bytes = bigger;
                payload->room = more;
            }
        }
        uint64_t room = payload->room < want + 1 ? payload->room : want + 1;
        ZSTD_outBuffer out = {payload->bytes + done, room - done, 0};
        size_t in_before = in.pos;
        size_t left = ZSTD_decompressStream(payload->context, &out, &in);
        done += out.pos;
        if (ZSTD_isError(left) || done > want || (out.pos == 0 && in.pos == in_before))
            break;
        if (left == 0 && in.pos == in.size && done == want)
            return STEP_MORE;
        if (in.pos == in.size && out.pos < out.size)
            break;
    }
    return binlog_fail(diag, file, event->offset, "binlog.payload", hint_copy,
                       "TRANSACTION_PAYLOAD does not inflate to the %llu bytes it claims",
                       (unsigned long long)want);
}
#endif

/* What stands before the stream. */
struct payload_head {
    const uint8_t *stream;
    uint64_t size, compression, inflated_size;
};

/* 0: it is malformed. */
static int payload_head(struct payload_head *head, const struct binlog_event *event)
{
    struct binlog_cursor c = {event->body, event->body + event->body_size, 0};
    *head = (struct payload_head){.compression = COMPRESSION_NONE};
    for (;;) {
        uint64_t field = cursor_length(&c);
        if (field == FIELD_END || c.bad)
            break;
        uint64_t field_size = cursor_length(&c);
        const uint8_t *value = cursor_take(&c, field_size);
        if (!value)
            break;
        struct binlog_cursor v = {value, value + field_size, 0};
        if (field == FIELD_SIZE)
            head->size = cursor_length(&v);
        else if (field == FIELD_COMPRESSION)
            head->compression = cursor_length(&v);
        else if (field == FIELD_INFLATED_SIZE)
            head->inflated_size = cursor_length(&v);
        c.bad |= v.bad;
    }
    head->stream = c.at;
    return !c.bad && head->size == cursor_left(&c);
}

size_t binlog_payload_peek(struct binlog_payload *payload, const struct binlog_event *event, uint8_t *out,
                           size_t room)
{
    struct payload_head head;
    if (!payload_head(&head, event))
        return 0;
    if (head.compression == COMPRESSION_NONE) {
        const size_t size = head.size < room ? (size_t)head.size : room;
        memcpy(out, head.stream, size);
        return size;
    }
#ifdef TIEOUT_ZSTD
    if (head.compression != COMPRESSION_ZSTD ||
        (!payload->context && !(payload->context = ZSTD_createDCtx())))
        return 0;
    ZSTD_DCtx_reset(payload->context, ZSTD_reset_session_only);
    ZSTD_inBuffer in = {head.stream, head.size, 0};
    ZSTD_outBuffer to = {out, room, 0};
    while (to.pos < room) {
        const size_t in_before = in.pos, out_before = to.pos;
        const size_t left = ZSTD_decompressStream(payload->context, &to, &in);
        if (ZSTD_isError(left))
            return 0;
        if (left == 0 || (in.pos == in_before && to.pos == out_before))
            break;
    }
    return to.pos;
#else
    (void)payload;
    return 0;
#endif
}

enum step binlog_payload_read(struct binlog_payload *payload, struct span *inside,
                              const struct binlog_event *event, uint64_t bytes_max, const char *file,
                              struct diag *diag)
{
    struct payload_head head;
    if (!payload_head(&head, event))
        return binlog_fail(diag, file, event->offset, "binlog.payload", hint_copy,
                           "TRANSACTION_PAYLOAD event is malformed");
    if (head.compression == COMPRESSION_NONE) {
        *inside = (struct span){(const char *)head.stream, head.size};
        return STEP_MORE;
    }
    if (head.compression != COMPRESSION_ZSTD)
        return binlog_fail(diag, file, event->offset, "binlog.payload",
                           "SET GLOBAL binlog_transaction_compression=OFF for later logs",
                           "TRANSACTION_PAYLOAD is compressed by method %llu, which is not supported",
                           (unsigned long long)head.compression);
    if (bytes_max == 0)
        bytes_max = (uint64_t)1 << 30;
    if (head.inflated_size > bytes_max)
        return binlog_fail(diag, file, event->offset, "binlog.payload",
                           "SET GLOBAL binlog_transaction_compression=OFF for such transactions",
                           "TRANSACTION_PAYLOAD claims to hold %llu bytes, more than the limit of %llu",
                           (unsigned long long)head.inflated_size, (unsigned long long)bytes_max);
#ifdef TIEOUT_ZSTD
    if (inflate_zstd(payload, head.stream, head.size, head.inflated_size, event, file, diag) == STEP_FAILED)
        return STEP_FAILED;
    *inside = (struct span){(const char *)payload->bytes, head.inflated_size};
    return STEP_MORE;
#else
    (void)payload;
    return binlog_fail(
        diag, file, event->offset, "binlog.payload",
        "SET GLOBAL binlog_transaction_compression=OFF for later logs; or build tieout with libzstd",
        "TRANSACTION_PAYLOAD compressed with zstd is not supported by this build");
#endif
}

int binlog_inflate_column(const uint8_t *stream, size_t stream_size, int bare, uint8_t *out, size_t want)
{
    z_stream z = {
        .next_in = (Bytef *)stream, .avail_in = (uInt)stream_size, .next_out = out, .avail_out = (uInt)want};
    if (inflateInit2(&z, bare ? -MAX_WBITS : MAX_WBITS) != Z_OK)
        return 0;
    int result = inflate(&z, Z_FINISH);
    int whole = result == Z_STREAM_END && z.avail_out == 0;
    inflateEnd(&z);
    return whole;
}
