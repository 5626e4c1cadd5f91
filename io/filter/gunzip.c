/* io/filter/gunzip.c: gzip (RFC 1952), any number of members. */
#include "core/base/mem.h"
#include "io/filter/filters.h"
#include "io/filter/inflate.h"
#include "io/filter/packed_bytes.h"
#include "io/format/crc32.h"
#include <string.h>

enum { FLAG_HCRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAGS_RESERVED = 0xE0 };

struct gunzip {
    struct filter base;
    struct packed_bytes bytes;
    struct inflate *inflate;
    uint64_t member_at; /* where the member began */
    uint64_t member;    /* from 1 */
    uint32_t crc, header_crc, size_low;
    enum { IN_HEADER, IN_BODY, AT_END } state;
};

static enum err cut(struct gunzip *g, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "gzip.cut", "the file was cut off on its way: get it again",
                    "%s: the gzip data ends at byte %llu, inside its member %llu (which began at byte %llu)",
                    g->bytes.path, (unsigned long long)g->bytes.end, (unsigned long long)g->member,
                    (unsigned long long)g->member_at);
}

static enum err damaged(struct gunzip *g, const char *what, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "gzip.damaged", "the file was damaged on its way: get it again",
                    "%s: byte %llu: %s (gzip member %llu, which began at byte %llu)", g->bytes.path,
                    (unsigned long long)packed_bytes_offset(&g->bytes), what, (unsigned long long)g->member,
                    (unsigned long long)g->member_at);
}

static enum err take(struct gunzip *g, uint8_t *byte, struct diag *diag)
{
    int got;
    enum err err = packed_bytes_one(&g->bytes, byte, &got, diag);
    if (err != OK)
        return err;
    if (!got)
        return cut(g, diag);
    g->header_crc = crc32_update(g->header_crc, byte, 1);
    return OK;
}

static enum err take_number(struct gunzip *g, int bytes, uint32_t *number, struct diag *diag)
{
    *number = 0;
    for (int i = 0; i < bytes; i++) {
        uint8_t byte = 0;
        enum err err = take(g, &byte, diag);
        if (err != OK)
            return err;
        *number |= (uint32_t)byte << 8 * i;
    }
    return OK;
}

static enum err skip_text(struct gunzip *g, struct diag *diag)
{
    uint8_t byte = 1;
    enum err err = OK;
    while (err == OK && byte)
        err = take(g, &byte, diag);
    return err;
}

/* What stands between members: the next one's header, zeros to the end, or the end. */
static enum err read_header(struct gunzip *g, struct diag *diag)
{
    uint8_t byte = 0;
    int got = 0;
    enum err err = packed_bytes_fill(&g->bytes, diag);
    if (err != OK)
        return err;
    g->member_at = packed_bytes_offset(&g->bytes);
    if (g->member && (!g->bytes.left || *g->bytes.next == 0)) {
        for (;;) {
            err = packed_bytes_one(&g->bytes, &byte, &got, diag);
            if (err != OK)
                return err;
            if (!got) {
                g->state = AT_END;
                return OK;
            }
            if (byte)
                break;
        }
    }
    if (g->member && (got || *g->bytes.next != 0x1f))
        return diag_set(diag, ERR_INPUT, "gzip.garbage", "the file was damaged on its way: get it again",
                        "%s: byte %llu: what follows the gzip data is neither gzip data nor zeros",
                        g->bytes.path, (unsigned long long)(packed_bytes_offset(&g->bytes) - (uint64_t)got));
    g->member++;
    g->header_crc = 0;
    uint32_t magic, method, flags, rest, number;
    if ((err = take_number(g, 2, &magic, diag)) != OK || (err = take_number(g, 1, &method, diag)) != OK ||
        (err = take_number(g, 1, &flags, diag)) != OK || (err = take_number(g, 4, &rest, diag)) != OK ||
        (err = take_number(g, 2, &rest, diag)) != OK)
        return err;
    if (magic != 0x8b1f)
        return damaged(g, "this is no gzip header", diag);
    if (method != 8 || (flags & FLAGS_RESERVED))
        return damaged(g, "the gzip header names a method or flags that are not known", diag);
    if (flags & FLAG_EXTRA) {
        err = take_number(g, 2, &number, diag);
        for (uint8_t skip; err == OK && number; number--)
            err = take(g, &skip, diag);
    }
    if (err == OK && (flags & FLAG_NAME))
        err = skip_text(g, diag);
    if (err == OK && (flags & FLAG_COMMENT))
        err = skip_text(g, diag);
    if (err == OK && (flags & FLAG_HCRC)) {
        uint32_t want = g->header_crc & 0xFFFF;
        err = take_number(g, 2, &number, diag);
        if (err == OK && number != want)
            return damaged(g, "the header's checksum is wrong", diag);
    }
    g->crc = g->size_low = 0;
    inflate_reset(g->inflate);
    g->state = IN_BODY;
    return err;
}

static enum err read_trailer(struct gunzip *g, struct diag *diag)
{
    uint32_t crc, size;
    enum err err = take_number(g, 4, &crc, diag);
    if (err == OK)
        err = take_number(g, 4, &size, diag);
    if (err != OK)
        return err;
    if (crc != g->crc)
        return damaged(g, "the checksum of the unpacked bytes is wrong", diag);
    if (size != g->size_low)
        return damaged(g, "the number of the unpacked bytes is wrong", diag);
    g->state = IN_HEADER;
    return OK;
}

static enum err gunzip_read(struct filter *filter, uint8_t *out, size_t room, size_t *size, struct diag *diag)
{
    struct gunzip *g = (struct gunzip *)filter;
    uint8_t *at = out;
    enum err err = OK;
    while (err == OK && room && g->state != AT_END) {
        if (g->state == IN_HEADER) {
            err = read_header(g, diag);
            continue;
        }
        err = packed_bytes_fill(&g->bytes, diag);
        if (err != OK)
            break;
        const uint8_t *before = at;
        size_t left = g->bytes.left;
        enum inflate_result result = inflate_step(g->inflate, &g->bytes.next, &g->bytes.left, &at, &room);
        g->crc = crc32_update(g->crc, before, (size_t)(at - before));
        g->size_low += (uint32_t)(at - before);
        if (result == INFLATE_BAD)
            err = damaged(g, "the packed data is not deflate data", diag);
        else if (result == INFLATE_END)
            err = read_trailer(g, diag);
        else if (!left && at == before)
            err = cut(g, diag);
    }
    g->base.taken = packed_bytes_offset(&g->bytes);
    *size = (size_t)(at - out);
    return err;
}

static void gunzip_close(struct filter *filter)
{
    struct gunzip *g = (struct gunzip *)filter;
    inflate_close(g->inflate);
    packed_bytes_fini(&g->bytes);
    mem_give(g);
}

static const struct filter_ops gunzip_ops = {gunzip_read, gunzip_close};

enum err gunzip_open(struct filter **out, int fd, uint64_t size, const char *path, struct diag *diag)
{
    *out = NULL;
    struct gunzip *g = mem_take_zero(1, sizeof *g);
    if (!g)
        return mem_fail(diag, sizeof *g, "unpacking");
    g->base.ops = &gunzip_ops;
    enum err err = packed_bytes_init(&g->bytes, fd, path, 0, size, diag);
    if (err == OK && !(g->inflate = inflate_open()))
        err = mem_fail(diag, 0, "unpacking");
    if (err != OK) {
        gunzip_close(&g->base);
        return err;
    }
    *out = &g->base;
    return OK;
}
