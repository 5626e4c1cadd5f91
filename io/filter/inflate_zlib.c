/* io/filter/inflate_zlib.c: see inflate.h; by zlib */
#include "core/base/mem.h"
#include "io/filter/inflate.h"
#include <zlib.h>

struct inflate {
    z_stream stream;
};

static voidpf take(voidpf opaque, uInt count, uInt size)
{
    (void)opaque;
    return mem_take_zero(count, size);
}

static void give(voidpf opaque, voidpf block)
{
    (void)opaque;
    mem_give(block);
}

struct inflate *inflate_open(void)
{
    struct inflate *inflate = mem_take_zero(1, sizeof *inflate);
    if (!inflate)
        return NULL;
    inflate->stream.zalloc = take;
    inflate->stream.zfree = give;
    if (inflateInit2(&inflate->stream, -MAX_WBITS) != Z_OK) {
        mem_give(inflate);
        return NULL;
    }
    return inflate;
}

void inflate_close(struct inflate *inflate)
{
    if (inflate)
        inflateEnd(&inflate->stream);
    mem_give(inflate);
}

void inflate_reset(struct inflate *inflate)
{
    inflateReset(&inflate->stream);
}

enum inflate_result inflate_step(struct inflate *inflate, const uint8_t **in, size_t *in_size, uint8_t **out,
                                 size_t *room)
{
    z_stream *stream = &inflate->stream;
    enum { PIECE = 1 << 30 }; /* its counters have 32 bits */
    uInt given = *in_size > PIECE ? PIECE : (uInt)*in_size, space = *room > PIECE ? PIECE : (uInt)*room;
    stream->next_in = (Bytef *)(uintptr_t)*in;
    stream->avail_in = given;
    stream->next_out = *out;
    stream->avail_out = space;
    int error = inflate(stream, Z_NO_FLUSH);
    *out += space - stream->avail_out;
    *room -= space - stream->avail_out;
    *in += given - stream->avail_in;
    *in_size -= given - stream->avail_in;
    if (error == Z_STREAM_END)
        return INFLATE_END;
    return error == Z_OK || error == Z_BUF_ERROR ? INFLATE_MORE : INFLATE_BAD;
}
