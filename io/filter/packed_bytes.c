/* io/filter/packed_bytes.c: see packed_bytes.h */
#include "io/filter/packed_bytes.h"
#include "core/base/mem.h"
#include "io/filter/inflate.h"
#include "io/ring/sys.h"
#include <string.h>

enum { FILL = 128 * 1024 };

enum err packed_bytes_init(struct packed_bytes *bytes, int fd, const char *path, uint64_t begin, uint64_t end,
                           struct diag *diag)
{
    *bytes = (struct packed_bytes){.fd = fd, .path = path, .at = begin, .end = end};
    bytes->block = mem_take_zero(1, INFLATE_BACK + FILL);
    if (!bytes->block)
        return mem_fail(diag, INFLATE_BACK + FILL, "a packed file's buffer");
    bytes->next = bytes->block + INFLATE_BACK;
    return OK;
}

void packed_bytes_fini(struct packed_bytes *bytes)
{
    mem_give(bytes->block);
    bytes->block = NULL;
}

enum err packed_bytes_fill(struct packed_bytes *bytes, struct diag *diag)
{
    size_t want = bytes->end - bytes->at < FILL ? (size_t)(bytes->end - bytes->at) : FILL;
    if (bytes->left || !want)
        return OK;
    /* The last bytes stay in front of the new ones, in case some of them are given back. */
    memmove(bytes->block, bytes->next - INFLATE_BACK, INFLATE_BACK);
    bytes->next = bytes->block + INFLATE_BACK;
    ssize_t n = sys_pread_full(bytes->fd, bytes->block + INFLATE_BACK, want, bytes->at);
    if (n < 0)
        return diag_set_errno(diag, (int)-n, "read", "%s: cannot read %zu bytes at byte %llu", bytes->path,
                              want, (unsigned long long)bytes->at);
    if ((size_t)n < want)
        return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                        "%s became shorter while it was read", bytes->path);
    bytes->at += (uint64_t)n;
    bytes->left = (size_t)n;
    return OK;
}

enum err packed_bytes_one(struct packed_bytes *bytes, uint8_t *byte, int *got, struct diag *diag)
{
    enum err err = packed_bytes_fill(bytes, diag);
    *got = err == OK && bytes->left > 0;
    if (*got) {
        *byte = *bytes->next++;
        bytes->left--;
    }
    return err;
}
