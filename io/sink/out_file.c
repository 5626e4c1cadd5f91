/* io/sink/out_file.c: see out_file.h */
#include "io/sink/out_file.h"
#include "core/base/mem.h"
#include "io/ring/disk.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { PAGE = 4096, RESERVE_MIN = 4 << 20, RESERVE_MAX = 256 << 20 };

enum err out_write_failed(struct diag *diag, int error, const char *code, const char *path, size_t wanted)
{
    return disk_failed(diag, error, code, path, "%s: cannot write %zu bytes", path, wanted);
}

enum err out_open(struct out_file *f, enum ring_backend backend, unsigned blocks, struct diag *diag)
{
    memset(f, 0, sizeof *f);
    f->fd = -1;
    f->backend = backend;
    f->block_count = blocks;
    f->blocks = mem_map((size_t)blocks * OUT_BLOCK, 0);
    return f->blocks ? OK : mem_fail(diag, (size_t)blocks * OUT_BLOCK, "writing results");
}

void out_close(struct out_file *f)
{
    ring_close(f->ring);
    mem_unmap(f->blocks, (size_t)f->block_count * OUT_BLOCK);
    if (f->fd >= 0)
        sys_close(f->fd);
    f->ring = NULL;
    f->blocks = NULL;
    f->fd = -1;
}

int out_make(const char *path, int is_made)
{
    return sys_open(path, O_WRONLY | O_NOFOLLOW | (is_made ? 0 : O_CREAT | O_EXCL), 0600);
}

enum err out_begin(struct out_file *f, const char *directory, const char *name, int direct, int is_made,
                   struct diag *diag)
{
    snprintf(f->path, sizeof f->path, "%s/%s", directory, name);
    f->used = 0;
    f->offset = 0;
    f->reserved = 0;
    f->fd = out_make(f->path, is_made);
    if (f->fd < 0)
        return diag_set_errno(diag, -f->fd, "out.open", "%s: cannot make it", f->path);
    f->direct = direct && sys_direct(f->fd, 1) == 0;
    return OK;
}

/* Takes in finished writes: all of them, or until `block` is free. */
static enum err out_wait(struct out_file *f, int block, struct diag *diag)
{
    struct ring_done done;
    enum err err = OK;
    while (f->ring && (block < 0 ? ring_in_flight(f->ring) > 0 : f->sent[block] > 0) &&
           ring_next(f->ring, 1, &done)) {
        unsigned number = (unsigned)(done.tag & 15);
        size_t size = f->sent[number];
        f->sent[number] = 0;
        if (done.result == -EINVAL &&
            f->direct) { /* a file system that takes O_DIRECT and does not mean it */
            f->direct = 0;
            sys_direct(f->fd, 0);
            int error =
                sys_pwrite_full(f->fd, f->blocks + (size_t)number * OUT_BLOCK, size, (done.tag >> 4) * PAGE);
            done.result = error;
        }
        if (done.result < 0 && err == OK)
            err = out_write_failed(diag, (int)-done.result, "out.write", f->path, size);
    }
    return err;
}

/* Sends the block at hand on its way, as many bytes of it. */
static enum err out_send(struct out_file *f, size_t size, struct diag *diag)
{
    if (f->direct && f->offset + size > f->reserved) {
        /* As much again as is written, so that a small file asks for little. Where there is not as much room, the
         * write itself will say so. */
        uint64_t more = f->offset < RESERVE_MIN   ? RESERVE_MIN
                        : f->offset > RESERVE_MAX ? RESERVE_MAX
                                                  : f->offset;
        f->reserved += sys_reserve_ahead(f->fd, f->reserved, more);
    }
    if (!f->ring) {
        enum err err = ring_open(&f->ring, f->backend, f->block_count, NULL, diag);
        if (err != OK)
            return err;
    }
    int error = ring_write(f->ring, f->fd, f->blocks + (size_t)f->filling * OUT_BLOCK, size, f->offset,
                           f->offset / PAGE << 4 | f->filling);
    if (error)
        return diag_set_errno(diag, -error, "out.write", "%s: cannot write %zu bytes", f->path, size);
    f->sent[f->filling] = size;
    return OK;
}

enum err out_next_block(struct out_file *f, struct diag *diag)
{
    if (f->digest)
        digest_put(f->digest, f->blocks + (size_t)f->filling * OUT_BLOCK, f->used);
    enum err err = out_send(f, f->used, diag);
    if (err != OK)
        return err;
    f->offset += f->used;
    f->used = 0;
    f->filling = (f->filling + 1) % f->block_count;
    return out_wait(f, (int)f->filling, diag);
}

/* All of a small file. */
static enum err out_write(struct out_file *f, struct diag *diag)
{
    const int error = sys_pwrite_full(f->fd, f->blocks + (size_t)f->filling * OUT_BLOCK, f->used, 0);
    return error ? out_write_failed(diag, -error, "out.write", f->path, f->used) : OK;
}

enum err out_end(struct out_file *f, enum err err, struct diag *diag)
{
    if (f->fd < 0)
        return err;
    uint64_t size = f->offset + f->used;
    int padded = f->direct;
    if (err == OK && f->digest)
        digest_put(f->digest, f->blocks + (size_t)f->filling * OUT_BLOCK, f->used);
    if (err == OK && f->used) {
        size_t want = f->direct ? (f->used + PAGE - 1) / PAGE * PAGE : f->used;
        memset(f->blocks + (size_t)f->filling * OUT_BLOCK + f->used, 0, want - f->used);
        err = f->offset || f->direct ? out_send(f, want, diag) : out_write(f, diag);
    }
    struct diag ignored = {0};
    enum err waited = out_wait(f, -1, err == OK ? diag : &ignored);
    if (err == OK)
        err = waited;
    int error = 0;
    if (err == OK && (f->reserved || padded) && (error = sys_truncate(f->fd, size)) != 0)
        err = diag_set_errno(diag, -error, "out.write", "%s: cannot cut it to %llu bytes", f->path,
                             (unsigned long long)size);
    if (err == OK && f->sync) {
        err = sync_set_add(f->sync, f->fd, f->path, diag);
        f->fd = -1;
    } else if (err == OK && (error = sys_fsync(f->fd)) != 0) {
        err = diag_set_errno(diag, -error, "out.fsync", "%s: cannot make it durable", f->path);
    }
    if (f->fd >= 0)
        sys_close(f->fd);
    f->fd = -1;
    f->used = 0;
    return err;
}
