/* io/filter/unzstd.c: zstd (RFC 8878), any number of frames. */
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_customMem */
#include "core/base/mem.h"
#include "io/filter/filters.h"
#include "io/filter/packed_bytes.h"
#include "io/ring/sys.h"
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

/* A frame may ask for a window of up to this: what zstd itself takes without --long. */
enum { WINDOW_LOG_MAX = 27 };

struct unzstd {
    struct filter base;
    struct packed_bytes bytes;
    ZSTD_DCtx *context;
    size_t wanted; /* what the last call said: 0 between frames */
    uint64_t frame_at, frame_made;
    unsigned long long frame_size; /* as its header says, if it does */
};

static void *take(void *opaque, size_t size)
{
    (void)opaque;
    return mem_take(size);
}

static void give(void *opaque, void *block)
{
    (void)opaque;
    mem_give(block);
}

static enum err begin_frame(struct unzstd *z, struct diag *diag)
{
    uint8_t head[18];
    z->frame_at = packed_bytes_offset(&z->bytes);
    z->frame_made = 0;
    ssize_t n = sys_pread_full(z->bytes.fd, head, sizeof head, z->frame_at);
    if (n < 0)
        return diag_set_errno(diag, (int)-n, "read", "%s: cannot read a frame at byte %llu", z->bytes.path,
                              (unsigned long long)z->frame_at);
    z->frame_size = ZSTD_getFrameContentSize(head, (size_t)n);
    return OK;
}

static enum err unzstd_read(struct filter *filter, uint8_t *out, size_t room, size_t *size, struct diag *diag)
{
    struct unzstd *z = (struct unzstd *)filter;
    ZSTD_outBuffer to = {out, room, 0};
    enum err err = OK;
    while (to.pos < to.size) {
        err = packed_bytes_fill(&z->bytes, diag);
        if (err != OK)
            break;
        ZSTD_inBuffer from = {z->bytes.next, z->bytes.left, 0};
        size_t before = to.pos;
        if (!from.size && z->wanted == 0)
            break;
        if (z->wanted == 0 && (err = begin_frame(z, diag)) != OK)
            break;
        z->wanted = ZSTD_decompressStream(z->context, &to, &from);
        z->bytes.next += from.pos;
        z->bytes.left -= from.pos;
        z->frame_made += to.pos - before;
        /* The library does not hold a frame that ends in an empty block against its header. */
        if (z->wanted == 0 && z->frame_size < ZSTD_CONTENTSIZE_ERROR && z->frame_made != z->frame_size) {
            err = diag_set(diag, ERR_INPUT, "zstd.damaged", "the file was damaged on its way: get it again",
                           "%s: the zstd frame at byte %llu says that it holds %llu bytes, and %llu come out",
                           z->bytes.path, (unsigned long long)z->frame_at, z->frame_size,
                           (unsigned long long)z->frame_made);
            break;
        }
        if (ZSTD_isError(z->wanted)) {
            ZSTD_ErrorCode code = ZSTD_getErrorCode(z->wanted);
            err = diag_set(diag, ERR_INPUT, code == ZSTD_error_memory_allocation ? "memory" : "zstd.damaged",
                           code == ZSTD_error_frameParameter_windowTooLarge
                               ? "pack it again without --long and --ultra"
                               : "the file was damaged on its way: get it again",
                           "%s: byte %llu: %s (zstd)", z->bytes.path,
                           (unsigned long long)packed_bytes_offset(&z->bytes), ZSTD_getErrorName(z->wanted));
            if (code == ZSTD_error_memory_allocation)
                err = diag->err = ERR_MACHINE;
            break;
        }
        if (!from.size && to.pos == before) {
            err = diag_set(diag, ERR_INPUT, "zstd.cut", "the file was cut off on its way: get it again",
                           "%s: the zstd data ends at byte %llu, inside a frame", z->bytes.path,
                           (unsigned long long)z->bytes.end);
            break;
        }
    }
    z->base.taken = packed_bytes_offset(&z->bytes);
    *size = to.pos;
    return err;
}

static void unzstd_close(struct filter *filter)
{
    struct unzstd *z = (struct unzstd *)filter;
    ZSTD_freeDCtx(z->context);
    packed_bytes_fini(&z->bytes);
    mem_give(z);
}

static const struct filter_ops unzstd_ops = {unzstd_read, unzstd_close};

enum err unzstd_open(struct filter **out, int fd, uint64_t size, const char *path, struct diag *diag)
{
    *out = NULL;
    struct unzstd *z = mem_take_zero(1, sizeof *z);
    if (!z)
        return mem_fail(diag, sizeof *z, "unpacking");
    z->base.ops = &unzstd_ops;
    enum err err = packed_bytes_init(&z->bytes, fd, path, 0, size, diag);
    z->context = ZSTD_createDCtx_advanced((ZSTD_customMem){take, give, NULL});
    if (err == OK && !z->context)
        err = mem_fail(diag, 0, "unpacking");
    if (err == OK)
        ZSTD_DCtx_setParameter(z->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    if (err != OK) {
        unzstd_close(&z->base);
        return err;
    }
    *out = &z->base;
    return OK;
}
