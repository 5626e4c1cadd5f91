/* io/filter/flatten.c: see flatten.h */
#include "io/filter/flatten.h"
#include "core/base/mem.h"
#include "io/format/statement.h"
#include "io/ring/sys.h"
#include <string.h>

enum { READ_AT_ONCE = 64 * 1024 };

struct flatten {
    struct filter base;
    struct filter *inner;
    struct statement *statement;
    int fd, at_end;
    uint64_t offset;
    const char *path;
    size_t taken; /* of the statement's text */
    uint8_t bytes[READ_AT_ONCE];
};

static enum err more(struct flatten *f, struct diag *diag)
{
    size_t size = 0;
    f->statement->size = f->taken = 0;
    if (f->inner) {
        enum err err = filter_read(f->inner, f->bytes, sizeof f->bytes, &size, diag);
        if (err != OK)
            return err;
    } else {
        ssize_t n = sys_pread_full(f->fd, f->bytes, sizeof f->bytes, f->offset);
        if (n < 0)
            return diag_set_errno(diag, (int)-n, "read", "%s: cannot read it", f->path);
        size = (size_t)n;
    }
    f->offset += size;
    f->base.taken = f->inner ? f->inner->taken : f->offset;
    f->at_end = size == 0;
    return statement_feed(f->statement, f->bytes, size, f->at_end, diag);
}

static enum err flatten_read(struct filter *filter, uint8_t *out, size_t room, size_t *size,
                             struct diag *diag)
{
    struct flatten *f = (struct flatten *)filter;
    *size = 0;
    while (*size < room) {
        size_t left = f->statement->size - f->taken;
        if (left == 0) {
            if (f->at_end)
                return OK;
            enum err err = more(f, diag);
            if (err != OK)
                return err;
            continue;
        }
        if (left > room - *size)
            left = room - *size;
        memcpy(out + *size, f->statement->text + f->taken, left);
        f->taken += left;
        *size += left;
    }
    return OK;
}

static void flatten_close(struct filter *filter)
{
    struct flatten *f = (struct flatten *)filter;
    statement_close(f->statement);
    filter_close(f->inner);
    mem_give(f);
}

enum err flatten_open(struct filter **out, enum flatten_kind kind, struct filter *inner, int fd,
                      const char *path, struct diag *diag)
{
    static const struct filter_ops ops = {flatten_read, flatten_close};
    *out = NULL;
    struct flatten *f = mem_take_zero(1, sizeof *f);
    if (!f) {
        filter_close(inner);
        return mem_fail(diag, sizeof *f, "a statement");
    }
    f->base.ops = &ops;
    f->inner = inner;
    f->fd = fd;
    f->path = path;
    enum err err = kind == FLATTEN_CAMT   ? camt_open(&f->statement, path, diag)
                   : kind == FLATTEN_BAI2 ? bai2_open(&f->statement, path, diag)
                                          : mt940_open(&f->statement, path, diag);
    if (err == OK) {
        statement_write_text(f->statement, STATEMENT_HEADER, strlen(STATEMENT_HEADER));
        if (f->statement->no_memory)
            err = mem_fail(diag, sizeof *f, "a statement");
    }
    if (err != OK) {
        flatten_close(&f->base);
        return err;
    }
    *out = &f->base;
    return OK;
}
