/* io/sink/stretch_file.c: see stretch_file.h */
#include "io/sink/stretch_file.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include "io/sink/out_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { RESERVE_MIN = 4 << 20, RESERVE_MAX = 256 << 20, HUGE_MIN = 2 << 20 };

struct stretch_lane {
    struct ring *ring;
    char *blocks;
    uint32_t filling;
    size_t *sent; /* bytes of each block that are on their way; 0: it is free */
};

struct stretch_file {
    struct stretch_config config;
    char path[4500];
    int fd;
    _Atomic int direct;
    struct stretch_lane *lanes;
    uint64_t size, reserved; /* whoever has the turn */
    char tail[STRETCH_PAGE]; /* the file's last bytes, behind its last whole page */
};

enum err stretch_open(struct stretch_file **out, const struct stretch_config *config, struct diag *diag)
{
    *out = NULL;
    CHECK2(config->blocks <= STRETCH_BLOCKS_MAX, config->blocks, config->lanes);
    struct stretch_file *f = mem_take_zero(1, sizeof *f);
    if (!f)
        return mem_fail(diag, sizeof *f, "writing results");
    f->config = *config;
    f->fd = -1;
    f->lanes = mem_take_zero(config->lanes, sizeof *f->lanes);
    snprintf(f->path, sizeof f->path, "%s/%s", config->directory, config->name);
    const size_t size = config->blocks * config->block;
    enum err err = f->lanes ? OK : mem_fail(diag, config->lanes * sizeof *f->lanes, "writing results");
    for (uint32_t i = 0; err == OK && i < config->lanes; i++) {
        struct stretch_lane *lane = &f->lanes[i];
        lane->sent = mem_take_zero(config->blocks, sizeof *lane->sent);
        lane->blocks = mem_map(size, size >= HUGE_MIN);
        err = lane->sent && lane->blocks ? ring_open(&lane->ring, config->backend, config->blocks, NULL, diag)
                                         : mem_fail(diag, size, "writing results");
    }
    if (err == OK && (f->fd = sys_open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)) < 0)
        err = diag_set_errno(diag, -f->fd, "out.open", "%s: cannot make it", f->path);
    if (err != OK) {
        stretch_close(f);
        return err;
    }
    atomic_init(&f->direct, sys_direct(f->fd, 1) == 0);
    *out = f;
    return OK;
}

void stretch_close(struct stretch_file *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; f->lanes && i < f->config.lanes; i++) {
        ring_close(f->lanes[i].ring);
        mem_unmap(f->lanes[i].blocks, f->config.blocks * f->config.block);
        mem_give(f->lanes[i].sent);
    }
    if (f->fd >= 0)
        sys_close(f->fd);
    mem_give(f->lanes);
    mem_give(f);
}

void stretch_claim(struct stretch_file *f, struct stretch *s, const char *bytes, size_t size)
{
    const size_t left = f->size % STRETCH_PAGE;
    s->from = f->size - left;
    s->head_size = (uint32_t)left;
    memcpy(s->head, f->tail, left);
    f->size += size;
    s->end = f->size - f->size % STRETCH_PAGE;
    if (s->end == s->from && size) /* nothing has no bytes to point to */
        memcpy(f->tail + left, bytes, size);
    else if (size)
        memcpy(f->tail, bytes + size - f->size % STRETCH_PAGE, f->size % STRETCH_PAGE);
    /* As much again as is written, so that a small file asks for little. Where there is not as much room, the write
     * itself will say so. */
    while (atomic_load(&f->direct) && s->end > f->reserved) {
        uint64_t more = f->reserved < RESERVE_MIN   ? RESERVE_MIN
                        : f->reserved > RESERVE_MAX ? RESERVE_MAX
                                                    : f->reserved;
        const uint64_t done = sys_reserve_ahead(f->fd, f->reserved, more);
        if (!done)
            break;
        f->reserved += done;
    }
}

/* Takes in finished writes: all of them, or until `block` is free. */
static enum err wait_for(struct stretch_file *f, struct stretch_lane *lane, int block, struct diag *diag)
{
    struct ring_done done;
    enum err err = OK;
    while ((block < 0 ? ring_in_flight(lane->ring) > 0 : lane->sent[block] > 0) &&
           ring_next(lane->ring, 1, &done)) {
        const unsigned number = (unsigned)(done.tag % STRETCH_BLOCKS_MAX);
        const size_t size = lane->sent[number];
        lane->sent[number] = 0;
        if (done.result == -EINVAL &&
            atomic_load(&f->direct)) { /* a file system that takes O_DIRECT and does not mean it */
            sys_direct(f->fd, 0);
            done.result = sys_pwrite_full(f->fd, lane->blocks + number * f->config.block, size,
                                          done.tag / STRETCH_BLOCKS_MAX * STRETCH_PAGE);
        }
        if (done.result < 0 && err == OK)
            err = out_write_failed(diag, (int)-done.result, "out.write", f->path, size);
    }
    return err;
}

/* Into a block, which only the disk reads: past the cache where the machine can, so that what is there stays and no line is fetched to be
 * overwritten. */
static void copy_past_cache(char *to, const char *from, size_t size)
{
#if defined(__SSE2__)
    enum { LINE = 64 };
    const size_t odd = -(uintptr_t)to % LINE, before = odd < size ? odd : size;
    memcpy(to, from, before);
    to += before, from += before, size -= before;
    for (; size >= LINE; size -= LINE, to += LINE, from += LINE) {
        const __m128i a = _mm_loadu_si128((const __m128i *)from),
                      b = _mm_loadu_si128((const __m128i *)from + 1),
                      c = _mm_loadu_si128((const __m128i *)from + 2),
                      d = _mm_loadu_si128((const __m128i *)from + 3);
        _mm_stream_si128((__m128i *)to, a);
        _mm_stream_si128((__m128i *)to + 1, b);
        _mm_stream_si128((__m128i *)to + 2, c);
        _mm_stream_si128((__m128i *)to + 3, d);
    }
    _mm_sfence();
#endif
    memcpy(to, from, size);
}

enum err stretch_write(struct stretch_file *f, uint32_t number, const struct stretch *s, const char *bytes,
                       struct diag *diag)
{
    struct stretch_lane *lane = &f->lanes[number];
    size_t head = s->head_size;
    for (uint64_t at = s->from; at < s->end;) {
        enum err err = wait_for(f, lane, (int)lane->filling, diag);
        if (err != OK)
            return err;
        const size_t size = s->end - at < f->config.block ? s->end - at : f->config.block;
        char *const block = lane->blocks + lane->filling * f->config.block;
        memcpy(block, s->head, head);
        if (atomic_load_explicit(&f->direct, memory_order_relaxed))
            copy_past_cache(block + head, bytes, size - head);
        else
            memcpy(block + head, bytes, size - head);
        bytes += size - head;
        head = 0;
        int error = ring_write(lane->ring, f->fd, block, size, at,
                               at / STRETCH_PAGE * STRETCH_BLOCKS_MAX + lane->filling);
        if (error)
            return diag_set_errno(diag, -error, "out.write", "%s: cannot write %zu bytes", f->path, size);
        lane->sent[lane->filling] = size;
        lane->filling = (lane->filling + 1) % f->config.blocks;
        at += size;
    }
    return OK;
}

enum err stretch_wait(struct stretch_file *f, uint32_t number, struct diag *diag)
{
    return wait_for(f, &f->lanes[number], -1, diag);
}

enum err stretch_end(struct stretch_file *f, struct diag *diag)
{
    const size_t left = f->size % STRETCH_PAGE;
    int error = 0;
    if (left) { /* less than a page, so through the page cache */
        sys_direct(f->fd, 0);
        error = sys_pwrite_full(f->fd, f->tail, left, f->size - left);
    }
    if (error)
        return out_write_failed(diag, -error, "out.write", f->path, left);
    if (f->reserved && (error = sys_truncate(f->fd, f->size)) != 0)
        return diag_set_errno(diag, -error, "out.write", "%s: cannot cut it to %llu bytes", f->path,
                              (unsigned long long)f->size);
    if ((error = sys_fsync(f->fd)) != 0)
        return diag_set_errno(diag, -error, "out.fsync", "%s: cannot make it durable", f->path);
    return OK;
}
