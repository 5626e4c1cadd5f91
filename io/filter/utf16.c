/* io/filter/utf16.c: see utf16.h */
#include "io/filter/utf16.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include <string.h>

enum { READ_AT_ONCE = 64 * 1024 };

enum text_order { ORDER_UNKNOWN, ORDER_NONE, ORDER_LITTLE, ORDER_BIG };

struct utf16 {
    struct filter base;
    struct filter *inner;
    int fd, at_end;
    enum text_order order;
    const char *path, *charset;
    uint64_t offset; /* of bytes[0] */
    size_t size, at;
    size_t text_size, text_at;
    uint8_t bytes[READ_AT_ONCE], text[READ_AT_ONCE / 2 * 3 + 4]; /* two bytes are at most three in UTF-8 */
};

static enum err read_bytes(struct utf16 *u, uint8_t *out, size_t room, uint64_t offset, size_t *size,
                           struct diag *diag)
{
    if (u->inner)
        return filter_read(u->inner, out, room, size, diag);
    ssize_t n = sys_pread_full(u->fd, out, room, offset);
    *size = n < 0 ? 0 : (size_t)n;
    return n < 0 ? diag_set_errno(diag, (int)-n, "read", "%s: cannot read it", u->path) : OK;
}

/* More bytes behind those that are left. */
static enum err more(struct utf16 *u, struct diag *diag)
{
    size_t left = u->size - u->at, size = 0;
    memmove(u->bytes, u->bytes + u->at, left);
    u->offset += u->at;
    u->size = left;
    u->at = 0;
    enum err err = read_bytes(u, u->bytes + left, sizeof u->bytes - left, u->offset + left, &size, diag);
    u->size += size;
    u->at_end = size == 0;
    return err;
}

static enum err bad_text(const struct utf16 *u, const char *why, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "utf16.text",
                    "the file was cut or damaged on its way, or is no UTF-16 text: get it again",
                    "%s: at byte %llu %s", u->path, (unsigned long long)(u->offset + u->at), why);
}

static inline unsigned unit_at(const uint8_t *p, int is_big)
{
    return is_big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

/* Converts all that is there; half a character is left. */
static enum err convert(struct utf16 *u, struct diag *diag)
{
    uint8_t *const out = u->text;
    const int is_big = u->order == ORDER_BIG;
    size_t at = u->at, n = 0;
    while (u->size - at >= 2) {
        unsigned unit = unit_at(u->bytes + at, is_big);
        if (unit < 0x80) {
            out[n++] = (uint8_t)unit;
            at += 2;
        } else if (unit < 0x800) {
            out[n++] = (uint8_t)(0xC0 | unit >> 6);
            out[n++] = (uint8_t)(0x80 | (unit & 0x3F));
            at += 2;
        } else if (unit < 0xD800 || unit > 0xDFFF) {
            out[n++] = (uint8_t)(0xE0 | unit >> 12);
            out[n++] = (uint8_t)(0x80 | (unit >> 6 & 0x3F));
            out[n++] = (uint8_t)(0x80 | (unit & 0x3F));
            at += 2;
        } else {
            u->at = at;
            if (unit > 0xDBFF)
                return bad_text(u, "stands the second half of a character without its first", diag);
            if (u->size - at < 4)
                break;
            unsigned low = unit_at(u->bytes + at + 2, is_big);
            if (low < 0xDC00 || low > 0xDFFF)
                return bad_text(u, "stands the first half of a character without its second", diag);
            unsigned whole = 0x10000 + ((unit & 0x3FF) << 10 | (low & 0x3FF));
            out[n++] = (uint8_t)(0xF0 | whole >> 18);
            out[n++] = (uint8_t)(0x80 | (whole >> 12 & 0x3F));
            out[n++] = (uint8_t)(0x80 | (whole >> 6 & 0x3F));
            out[n++] = (uint8_t)(0x80 | (whole & 0x3F));
            at += 4;
        }
    }
    u->at = at;
    u->text_size = n;
    u->text_at = 0;
    return OK;
}

static enum err find_order(struct utf16 *u, struct diag *diag)
{
    while (u->size < 2 && !u->at_end) {
        enum err err = more(u, diag);
        if (err != OK)
            return err;
    }
    if (!utf16_has_mark(u->bytes, u->size)) {
        u->order = ORDER_NONE;
        return OK;
    }
    if (u->charset)
        return diag_set(
            diag, ERR_INPUT, "file.charset",
            "get the bill as the channel sends it, or say `charset: UTF-8` in a profile of yours: UTF-16 "
            "is read there by its byte order mark",
            "%s is UTF-16 text, the profile says %s", u->path, u->charset);
    u->order = u->bytes[0] == 0xFF ? ORDER_LITTLE : ORDER_BIG;
    u->at = 2;
    return OK;
}

/* What is no UTF-16 goes through: what was looked at, then the rest. */
static enum err pass(struct utf16 *u, uint8_t *out, size_t room, size_t *size, struct diag *diag)
{
    size_t kept = u->size - u->at < room ? u->size - u->at : room, rest = 0;
    memcpy(out, u->bytes + u->at, kept);
    u->at += kept;
    enum err err = OK;
    if (kept < room && !u->at_end)
        err = read_bytes(u, out + kept, room - kept, u->offset + u->at, &rest, diag);
    if (kept < room) {
        u->offset += u->at + rest;
        u->at = u->size = 0;
    }
    *size = kept + rest;
    return err;
}

static enum err convert_all(struct utf16 *u, uint8_t *out, size_t room, size_t *size, struct diag *diag)
{
    enum err err = OK;
    while (err == OK && *size < room) {
        size_t ready = u->text_size - u->text_at;
        if (ready) {
            ready = ready < room - *size ? ready : room - *size;
            memcpy(out + *size, u->text + u->text_at, ready);
            u->text_at += ready;
            *size += ready;
        } else if (u->at_end) {
            return u->at < u->size ? bad_text(u, "the file ends inside a character", diag) : OK;
        } else if ((err = more(u, diag)) == OK) {
            err = convert(u, diag);
        }
    }
    return err;
}

static enum err utf16_read(struct filter *filter, uint8_t *out, size_t room, size_t *size, struct diag *diag)
{
    struct utf16 *u = (struct utf16 *)filter;
    enum err err = u->order == ORDER_UNKNOWN ? find_order(u, diag) : OK;
    *size = 0;
    if (err == OK)
        err = (u->order == ORDER_NONE ? pass : convert_all)(u, out, room, size, diag);
    u->base.taken = u->inner ? u->inner->taken : u->offset;
    return err;
}

static void utf16_close(struct filter *filter)
{
    struct utf16 *u = (struct utf16 *)filter;
    filter_close(u->inner);
    mem_give(u);
}

enum err utf16_open(struct filter **out, struct filter *inner, int fd, const char *path, const char *charset,
                    struct diag *diag)
{
    static const struct filter_ops ops = {utf16_read, utf16_close};
    *out = NULL;
    struct utf16 *u = mem_take_zero(1, sizeof *u);
    if (!u) {
        filter_close(inner);
        return mem_fail(diag, sizeof *u, "a text's conversion");
    }
    u->base.ops = &ops;
    u->inner = inner;
    u->fd = fd;
    u->path = path;
    u->charset = charset;
    *out = &u->base;
    return OK;
}
