/* io/spill/spool.c: see spool.h */
#include "io/spill/spool.h"
#include "core/base/mem.h"
#include "core/base/topology.h"
#include "core/model/frame.h"
#include "io/ring/disk.h"
#include "io/ring/sys.h"
#include <errno.h>

enum {
    SEGMENT_SMALL = 16 * 1024, /* what a spool takes at once */
    SEGMENT = 256 * 1024,      /* when it may hold SMALL_TO */
    SMALL_TO = 1 << 20,
    MEMORY_MIN = 64 * 1024,
    SEGMENT_HUGE = 2 << 20,
    HUGE_FROM = 8 << 20,       /* spools that may hold this much take huge pages */
    WRITE_FRAMES = 64,         /* at most, in an extent */
    WRITES = 8,                /* in flight */
    EXTENT_BYTES = 256 * 1024, /* what is written, and read again, at once */
    READS = 2,                 /* one is read while the other is taken */
    LONG_SHARE = 4,            /* of a spool's memory, when pages have all of it */
    RESERVE = 64 << 20,
    SPARE_SHARE = 4, /* of the machine's memory: with less to spare the page cache is left to others */
    SPARE_FILES = 4  /* and with less than so many files like this one */
};
#define UNDER_WAY INT64_MIN

struct extent {
    uint64_t offset;
    uint32_t pages;
};

struct part {
    struct frame *open;
    struct frame *first, *last; /* full ones in memory, oldest first: newer than all extents */
    uint32_t extent_count, extent_room;
    uint64_t full_pages; /* of full ones */
    struct extent *extents;
    uint64_t closed_bytes; /* of all frames but the open one */
};

struct segment {
    struct segment *older;
    uint8_t *block;
    size_t size;
};

struct frames {
    struct spool base;
    struct host *host;
    uint32_t partitions;
    struct part *parts;
    struct frame *free;
    struct segment *segments;
    size_t segment_left; /* of the newest */
    uint64_t held, memory;
    uint64_t held_long; /* of `held`: frames longer than a page */
};

struct write {
    struct frames *spool; /* NULL: free */
    struct frame *frames[WRITE_FRAMES];
    struct ring_piece pieces[WRITE_FRAMES];
    unsigned count;
    uint64_t offset, bytes;
};

struct host {
    struct spool_host base;
    struct spill_config config;
    struct ring *ring; /* with the file, when first needed */
    int fd;
    int is_cached;          /* the file is written and read through the page cache */
    uint64_t end, reserved; /* of the file */
    struct write writes[WRITES];
    unsigned writing;
    uint8_t *read_block;
    int64_t read_result[READS];
};

static struct frames *of(const struct spool *spool)
{
    return (struct frames *)spool;
}

/* ---- the host ---- */

static const struct spool_ops frames_ops;

enum err spill_host_open(struct spool_host **out, const struct spill_config *config, struct diag *diag)
{
    struct host *host = mem_take_zero(1, sizeof *host);
    *out = NULL;
    if (!host)
        return mem_fail(diag, sizeof *host, "a worker's spill");
    host->base.ops = &frames_ops;
    host->config = *config;
    host->fd = -1;
    host->is_cached = config->cache_max > 0;
    *out = &host->base;
    return OK;
}

void spill_host_close(struct spool_host *base)
{
    struct host *host = (struct host *)base;
    if (!host)
        return;
    ring_close(host->ring); /* waits for what is in flight */
    if (host->fd >= 0)
        sys_close(host->fd);
    if (host->read_block)
        mem_unmap(host->read_block, (size_t)READS * EXTENT_BYTES);
    mem_give(host);
}

static enum err need_ring(struct host *host, struct diag *diag)
{
    /* What is a copy in memory has nothing to wait for. */
    const enum ring_backend backend = host->is_cached ? RING_POSIX : host->config.backend;
    return host->ring ? OK : ring_open(&host->ring, backend, WRITES + READS, NULL, diag);
}

static enum err need_file(struct host *host, struct diag *diag)
{
    enum err err = need_ring(host, diag);
    if (err != OK || host->fd >= 0)
        return err;
    int fd = sys_open_unnamed(host->config.directory);
    if (fd < 0)
        return diag_set_errno(diag, -fd, "spill.open",
                              "%s: cannot make a file for what does not fit in memory",
                              host->config.directory);
    if (!host->is_cached)
        sys_direct(fd, 1); /* where it is refused, the page cache is written through */
    disk_is_for(fd, DISK_RECORDS);
    host->fd = fd;
    return OK;
}

static int has_spare(const struct host *host)
{
    uint64_t all;
    const uint64_t spare = topology_memory_spare(&all);
    return spare >= all / SPARE_SHARE && spare >= (host->end + RESERVE) * SPARE_FILES;
}

static int reap(struct host *host, int wait, enum err *err, struct diag *diag);

/* From now on past the page cache. What is there already is read from there, or from the disk. */
static enum err leave_cache(struct host *host, struct diag *diag)
{
    enum err err = OK;
    while (err == OK && reap(host, 1, &err, diag)) {
    }
    if (err != OK)
        return err;
    ring_close(host->ring);
    host->ring = NULL;
    host->is_cached = 0;
    sys_direct(host->fd, 1);
    return need_ring(host, diag);
}

/* Space for `bytes` more, before they are written. */
static enum err reserve(struct host *host, uint64_t bytes, struct diag *diag)
{
    if (host->is_cached && (host->end + bytes > host->config.cache_max ||
                            (host->end + bytes > host->reserved && !has_spare(host)))) {
        enum err err = leave_cache(host, diag);
        if (err != OK)
            return err;
    }
    while (host->end + bytes > host->reserved) {
        uint64_t more = sys_reserve_ahead(host->fd, host->reserved, bytes > RESERVE ? bytes : RESERVE);
        int error = 0;
        if (more < bytes) {
            more = bytes;
            error = sys_reserve(host->fd, host->reserved, more);
        }
        if (error)
            return disk_failed(diag, -error, "spill.write", host->config.directory,
                               "%s: cannot set aside %llu bytes that do not fit in memory",
                               host->config.directory, (unsigned long long)more);
        host->reserved += more;
    }
    return OK;
}

static void frame_free(struct frames *spool, struct frame *frame)
{
    if (frame->pages > 1) { /* longer than a page: a block of its own */
        size_t size = (size_t)frame->pages * FRAME_PAGE;
        spool->held -= size;
        spool->held_long -= size;
        mem_unmap(frame, size);
        return;
    }
    frame->next = spool->free;
    spool->free = frame;
}

static enum err write_failed(const struct host *host, int error, uint64_t bytes, struct diag *diag)
{
    return disk_failed(diag, error, "spill.write", host->config.directory,
                       "%s: cannot write %llu bytes that do not fit in memory", host->config.directory,
                       (unsigned long long)bytes);
}

/* Takes in one finished operation; 0 when none is (`wait`: none is in flight). */
static int reap(struct host *host, int wait, enum err *err, struct diag *diag)
{
    struct ring_done done;
    if (!host->ring || !ring_next(host->ring, wait, &done))
        return 0;
    if (done.tag >= WRITES) {
        host->read_result[done.tag - WRITES] = done.result;
        return 1;
    }
    struct write *w = &host->writes[done.tag];
    if (done.result < 0 || (uint64_t)done.result != w->bytes)
        *err = write_failed(host, done.result < 0 ? (int)-done.result : ENOSPC, w->bytes, diag);
    for (unsigned i = 0; i < w->count; i++)
        frame_free(w->spool, w->frames[i]);
    w->spool = NULL;
    host->writing--;
    return 1;
}

/* ---- frames ---- */

static size_t segment_size(const struct frames *spool)
{
    return spool->memory >= HUGE_FROM ? SEGMENT_HUGE : spool->memory < SMALL_TO ? SEGMENT_SMALL : SEGMENT;
}

/* Pages stay a spool's own, so long frames have a share that pages cannot take from them. */
static int has_room(const struct frames *spool, size_t whole)
{
    if (whole == FRAME_PAGE)
        return spool->free || spool->segment_left >= FRAME_PAGE ||
               spool->held + segment_size(spool) <= spool->memory;
    return spool->held + whole <= spool->memory || spool->held_long + whole <= spool->memory / LONG_SHARE;
}

static struct frame *frame_from_segment(struct frames *spool, struct diag *diag, enum err *err)
{
    if (spool->segment_left < FRAME_PAGE) {
        const int huge = spool->memory >= HUGE_FROM;
        const size_t size = segment_size(spool);
        if (spool->held + size > spool->memory)
            return NULL;
        struct segment *segment = mem_take(sizeof *segment);
        uint8_t *block = !segment ? NULL
                         : huge   ? mem_map_filled(size, MEM_HUGE_PATIENCE_NS)
                                  : mem_map(size, 0);
        if (!block) {
            mem_give(segment);
            *err = mem_fail(diag, size, "records set aside");
            return NULL;
        }
        *segment = (struct segment){spool->segments, block, size};
        spool->segments = segment;
        spool->segment_left = size;
        spool->held += size;
    }
    struct segment *s = spool->segments;
    struct frame *frame = (struct frame *)(s->block + (s->size - spool->segment_left));
    spool->segment_left -= FRAME_PAGE;
    return frame;
}

/* Writes full frames of the partition that has most in them. 0 in *written when there are none. */
static enum err write_most(struct frames *spool, int *written, struct diag *diag)
{
    struct host *host = spool->host;
    uint32_t most = 0;
    for (uint32_t p = 1; p < spool->partitions; p++)
        if (spool->parts[p].full_pages > spool->parts[most].full_pages)
            most = p;
    struct part *part = &spool->parts[most];
    *written = part->full_pages > 0;
    if (!*written)
        return OK;
    enum err err = need_file(host, diag);
    while (err == OK && host->writing == WRITES)
        reap(host, 1, &err, diag);
    if (err != OK)
        return err;
    struct write *w = host->writes;
    while (w->spool)
        w++;
    w->count = 0;
    w->bytes = 0;
    for (struct frame *f = part->first; f && w->count < WRITE_FRAMES; f = f->next) {
        if (w->bytes + (uint64_t)f->pages * FRAME_PAGE > EXTENT_BYTES)
            break; /* read again at once, so an extent has whole frames only */
        f->sum = frame_sum(f);
        w->frames[w->count] = f;
        w->pieces[w->count++] = (struct ring_piece){f, (size_t)f->pages * FRAME_PAGE};
        w->bytes += (uint64_t)f->pages * FRAME_PAGE;
    }
    err = reserve(host, w->bytes, diag);
    if (err != OK)
        return err;
    if (mem_list_more(&part->extents, part->extent_count, &part->extent_room, 8,
                      "the list of what was set aside", diag) != OK)
        return ERR_MACHINE;
    for (unsigned i = 0; i < w->count; i++) {
        part->first = w->frames[i]->next;
        part->full_pages -= w->frames[i]->pages;
    }
    for (unsigned i = 0; i < w->count; i++)
        w->frames[i]->next = NULL;
    if (!part->first)
        part->last = NULL;
    w->offset = host->end;
    w->spool = spool;
    int error =
        ring_write_pieces(host->ring, host->fd, w->pieces, w->count, w->offset, (uint64_t)(w - host->writes));
    CHECK2(error == 0, error, host->writing); /* there is a slot for each write */
    host->writing++;
    part->extents[part->extent_count++] = (struct extent){w->offset, (uint32_t)(w->bytes / FRAME_PAGE)};
    host->end += w->bytes;
    host->base.written += w->bytes;
    return OK;
}

/* A partition's open frame is full, or is taken for full. */
static void close_open(struct frames *spool, uint32_t partition)
{
    struct part *part = &spool->parts[partition];
    struct frame *done = part->open;
    struct spool_open *open = &spool->base.open[partition];
    if (spool->base.closing)
        spool->base.closing(spool->base.owner, partition);
    done->used = (uint32_t)(open->at - done->data);
    part->closed_bytes += done->used;
    if (part->last)
        part->last->next = done;
    else
        part->first = done;
    part->last = done;
    part->full_pages += done->pages;
    part->open = NULL;
    *open = (struct spool_open){0};
}

static int are_half_full(const struct frames *spool)
{
    uint64_t used = 0, room = 0;
    for (uint32_t p = 0; p < spool->partitions; p++)
        if (spool->parts[p].open) {
            used += (uint64_t)(spool->base.open[p].at - spool->parts[p].open->data);
            room += (uint64_t)(spool->base.open[p].end - spool->parts[p].open->data);
        }
    return used * 2 >= room;
}

/* A frame longer than a page was made for one record, and hardly another one fits. 1 when there were any. */
static int close_long(struct frames *spool)
{
    int closed = 0;
    for (uint32_t p = 0; spool->held_long && p < spool->partitions; p++)
        if (spool->parts[p].open && spool->parts[p].open->pages > 1) {
            close_open(spool, p);
            closed = 1;
        }
    return closed;
}

/* Frees memory for a frame of `whole` bytes: finished writes first, then by writing more. 0 in *freed when there is nothing left to
 * write. */
static enum err make_room(struct frames *spool, size_t whole, int *freed, struct diag *diag)
{
    struct host *host = spool->host;
    enum err err = OK;
    *freed = 0;
    while (err == OK && reap(host, 0, &err, diag))
        *freed = 1;
    if (err != OK || has_room(spool, whole))
        return err;
    /* Several go out together, so that one is on its way while this worker fills the next. */
    for (int i = 0, written = 1; err == OK && written && i < WRITES / 2 && host->writing < WRITES; i++) {
        err = write_most(spool, &written, diag);
        *freed |= written;
    }
    /* All memory is in open frames: a small share, or many partitions. Frames that are nearly empty are not worth a write: the memory
     * grows, at most until each partition has one. */
    if (err == OK && !*freed && !host->writing) {
        const int closed = close_long(spool);
        if (!closed && !are_half_full(spool))
            return OK;
        for (uint32_t p = 0; !closed && p < spool->partitions; p++)
            if (spool->parts[p].open)
                close_open(spool, p);
        err = write_most(spool, freed, diag);
    }
    while (err == OK && !has_room(spool, whole) && host->writing)
        *freed |= reap(host, 1, &err, diag);
    return err;
}

static enum err frame_take(struct frames *spool, uint32_t size, struct frame **out, struct diag *diag)
{
    enum err err = OK;
    const size_t whole = (sizeof(struct frame) + size + FRAME_PAGE - 1) / FRAME_PAGE * FRAME_PAGE;
    struct frame *frame = NULL;
    while (!frame && err == OK) {
        int freed;
        if (whole == FRAME_PAGE && (frame = spool->free)) {
            spool->free = frame->next;
            break;
        }
        if (whole == FRAME_PAGE) {
            frame = frame_from_segment(spool, diag, &err);
        } else if (has_room(spool, whole)) {
            frame = mem_map(whole, 0);
            if (!frame) {
                err = mem_fail(diag, whole, "records set aside");
            } else {
                spool->held += whole;
                spool->held_long += whole;
            }
        }
        if (frame || err != OK)
            break;
        err = make_room(spool, whole, &freed, diag);
        if (err == OK && !freed)
            spool->memory += whole > FRAME_PAGE ? whole : (size_t)SEGMENT_SMALL;
    }
    if (!frame)
        return err;
    frame->magic = FRAME_MAGIC;
    frame->pages = (uint32_t)(whole / FRAME_PAGE);
    frame->used = 0;
    frame->next = NULL;
    memset(frame->unused, 0, sizeof frame->unused);
    *out = frame;
    return OK;
}

static enum err frames_next(struct spool *base, uint32_t partition, uint32_t size, struct diag *diag)
{
    struct frames *spool = of(base);
    struct part *part = &spool->parts[partition];
    struct spool_open *open = &base->open[partition];
    struct frame *fresh = NULL;
    if (part->open)
        close_open(spool, partition);
    enum err err = frame_take(spool, size, &fresh, diag);
    if (err != OK)
        return err;
    part->open = fresh;
    fresh->owner = partition;
    open->at = fresh->data;
    open->end = (uint8_t *)fresh + (size_t)fresh->pages * FRAME_PAGE;
    return OK;
}

/* With less memory all frames go to the disk, and their memory back: so it is seldom called, and much less is given then. */
static enum err frames_limit(struct spool *base, uint64_t memory, struct diag *diag)
{
    struct frames *spool = of(base);
    enum err err = OK;
    spool->memory = memory > MEMORY_MIN ? memory : MEMORY_MIN;
    /* A frame for each partition is what it comes back to in any case. */
    const uint64_t least = (uint64_t)spool->partitions * FRAME_PAGE + SEGMENT;
    if (spool->held <= spool->memory || spool->held <= least)
        return OK;
    for (uint32_t p = 0; p < spool->partitions; p++)
        if (spool->parts[p].open)
            close_open(spool, p);
    for (int written = 1; err == OK && written;)
        err = write_most(spool, &written, diag);
    while (err == OK && spool->host->writing)
        reap(spool->host, 1, &err, diag);
    if (err != OK)
        return err;
    for (struct segment *s = spool->segments, *older; s; s = older) {
        older = s->older;
        spool->held -= s->size;
        mem_unmap(s->block, s->size);
        mem_give(s);
    }
    spool->segments = NULL;
    spool->free = NULL;
    spool->segment_left = 0;
    return OK;
}

static enum err frames_seal(struct spool *base, struct diag *diag)
{
    struct host *host = of(base)->host;
    enum err err = OK;
    while (err == OK && host->writing)
        reap(host, 1, &err, diag);
    return err;
}

/* ---- reading ---- */

static enum err damaged(const struct host *host, uint64_t offset, struct diag *diag)
{
    return diag_set(diag, ERR_MACHINE, "spill.damaged",
                    "the disk or the memory of this machine is not to be trusted; nothing was published",
                    "%s: what was set aside at byte %llu did not come back as it was written",
                    host->config.directory, (unsigned long long)offset);
}

static enum err take_frames(const struct host *owner, const uint8_t *bytes, const struct extent *extent,
                            uint32_t partition, spool_take_fn *take, void *context, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t page = 0; err == OK && page < extent->pages;) {
        const struct frame *f = (const struct frame *)(bytes + (size_t)page * FRAME_PAGE);
        if (f->magic != FRAME_MAGIC || f->owner != partition || f->pages == 0 ||
            f->pages > extent->pages - page || f->used > f->pages * FRAME_PAGE - sizeof *f ||
            frame_sum(f) != f->sum)
            return damaged(owner, extent->offset + (uint64_t)page * FRAME_PAGE, diag);
        err = take(context, f->data, f->used, diag);
        page += f->pages;
    }
    return err;
}

/* Waits for a read; whatever else finishes meanwhile is taken in. */
static int64_t wait_read(struct host *reader, unsigned slot, enum err *err, struct diag *diag)
{
    while (reader->read_result[slot] == UNDER_WAY)
        if (!reap(reader, 1, err, diag))
            CHECK(!"a read that was started finishes");
    return reader->read_result[slot];
}

/* The partition's extents from `from` to `to`. */
static enum err read_extents(const struct frames *spool, struct host *reader, uint32_t partition,
                             uint32_t from, uint32_t to, spool_take_fn *take, void *context,
                             struct diag *diag)
{
    const struct host *owner = spool->host;
    const struct part *part = &spool->parts[partition];
    if (from == to)
        return OK;
    enum err err = need_ring(reader, diag);
    if (err == OK && !reader->read_block && !(reader->read_block = mem_map((size_t)READS * EXTENT_BYTES, 0)))
        err = mem_fail(diag, (size_t)READS * EXTENT_BYTES, "what was set aside");
    uint32_t started = from, taken = from;
    for (; err == OK && taken < to; taken++) {
        for (; started < to && started < taken + READS; started++) {
            const struct extent *e = &part->extents[started];
            const unsigned slot = started % READS;
            reader->read_result[slot] = UNDER_WAY;
            int error = ring_read(reader->ring, owner->fd, reader->read_block + (size_t)slot * EXTENT_BYTES,
                                  (size_t)e->pages * FRAME_PAGE, e->offset, WRITES + slot);
            CHECK2(error == 0, error, slot); /* there is a slot for each read */
        }
        const struct extent *e = &part->extents[taken];
        const unsigned slot = taken % READS;
        const int64_t result = wait_read(reader, slot, &err, diag);
        if (err == OK && result != (int64_t)e->pages * FRAME_PAGE)
            err =
                diag_set_errno(diag, result < 0 ? (int)-result : EIO, "spill.read",
                               "%s: cannot read back %u bytes that were set aside at byte %llu",
                               owner->config.directory, e->pages * FRAME_PAGE, (unsigned long long)e->offset);
        if (err == OK)
            err = take_frames(owner, reader->read_block + (size_t)slot * EXTENT_BYTES, e, partition, take,
                              context, diag);
    }
    /* What is still under way must land before its buffer is used again. */
    for (; taken < started; taken++) {
        enum err ignored = OK;
        struct diag none = {0};
        wait_read(reader, taken % READS, &ignored, &none);
    }
    for (uint32_t i = from; i < to && err == OK; i++)
        reader->base.read += (uint64_t)part->extents[i].pages * FRAME_PAGE;
    return err;
}

static enum err frames_read(const struct spool *base, struct spool_host *reader, uint32_t partition,
                            spool_take_fn *take, void *context, struct diag *diag)
{
    const struct frames *spool = (const struct frames *)base;
    const struct part *part = &spool->parts[partition];
    enum err err =
        read_extents(spool, (struct host *)reader, partition, 0, part->extent_count, take, context, diag);
    for (const struct frame *f = part->first; err == OK && f; f = f->next)
        err = take(context, f->data, f->used, diag);
    if (err == OK && part->open)
        err = take(context, part->open->data, (uint32_t)(base->open[partition].at - part->open->data), diag);
    return err;
}

/* What is on disk is the older part: an extent a time, then as much of the frames in memory, the open one last. */
static enum err frames_read_some(const struct spool *base, struct spool_host *reader, uint32_t partition,
                                 struct spool_cursor *cursor, spool_take_fn *take, void *context,
                                 struct diag *diag)
{
    const struct frames *spool = (const struct frames *)base;
    const struct part *part = &spool->parts[partition];
    if (cursor->on_disk < part->extent_count) {
        const uint32_t at = cursor->on_disk++;
        return read_extents(spool, (struct host *)reader, partition, at, at + 1, take, context, diag);
    }
    const struct frame *const last = cursor->last, *f = last ? last->next : part->first;
    enum err err = OK;
    for (uint32_t pages = 0; err == OK && f && pages < EXTENT_BYTES / FRAME_PAGE; f = f->next) {
        err = take(context, f->data, f->used, diag);
        cursor->last = f;
        pages += f->pages;
    }
    if (f)
        return err;
    cursor->is_done = 1;
    if (err == OK && part->open)
        err = take(context, part->open->data, (uint32_t)(base->open[partition].at - part->open->data), diag);
    return err;
}

static void frames_drop(struct spool *base, uint32_t partition)
{
    struct frames *spool = of(base);
    struct part *part = &spool->parts[partition];
    for (struct frame *f = part->first, *next; f; f = next) {
        next = f->next;
        frame_free(spool, f);
    }
    if (part->open)
        frame_free(spool, part->open);
    mem_give(part->extents);
    *part = (struct part){0};
    base->open[partition] = (struct spool_open){0};
}

static uint64_t frames_size(const struct spool *base, uint32_t partition)
{
    const struct part *part = &((const struct frames *)base)->parts[partition];
    return part->closed_bytes + (part->open ? (uint64_t)(base->open[partition].at - part->open->data) : 0);
}

static int frames_is_in_memory(const struct spool *base, uint32_t partition)
{
    return ((const struct frames *)base)->parts[partition].extent_count == 0;
}

static uint64_t frames_held(const struct spool *base)
{
    return ((const struct frames *)base)->held;
}

/* ---- opening and closing ---- */

static void frames_close(struct spool *base)
{
    if (!base)
        return;
    struct frames *spool = of(base);
    struct host *host = spool->host;
    while (host->writing) { /* their frames are this spool's or another's; all must land */
        enum err ignored = OK;
        struct diag none = {0};
        reap(host, 1, &ignored, &none);
    }
    for (uint32_t p = 0; spool->parts && base->open && p < spool->partitions; p++)
        frames_drop(base, p);
    for (struct segment *s = spool->segments, *older; s; s = older) {
        older = s->older;
        mem_unmap(s->block, s->size);
        mem_give(s);
    }
    mem_give(spool->parts);
    mem_give(base->open);
    mem_give(spool);
}

static enum err frames_open(struct spool **out, struct spool_host *host, uint32_t partitions, uint64_t memory,
                            struct diag *diag)
{
    *out = NULL;
    struct frames *spool = mem_take_zero(1, sizeof *spool);
    if (!spool)
        return mem_fail(diag, sizeof *spool, "records set aside");
    spool->base.ops = &frames_ops;
    spool->host = (struct host *)host;
    spool->partitions = partitions;
    spool->memory = memory > MEMORY_MIN ? memory : MEMORY_MIN;
    spool->parts = mem_take_zero(partitions, sizeof *spool->parts);
    spool->base.open = mem_take_zero(partitions, sizeof *spool->base.open);
    if (!spool->parts || !spool->base.open) {
        frames_close(&spool->base);
        return mem_fail(diag, partitions * sizeof *spool->parts, "records set aside");
    }
    *out = &spool->base;
    return OK;
}

static const struct spool_ops frames_ops = {
    .open = frames_open,
    .next = frames_next,
    .limit = frames_limit,
    .seal = frames_seal,
    .read = frames_read,
    .read_some = frames_read_some,
    .drop = frames_drop,
    .size = frames_size,
    .is_in_memory = frames_is_in_memory,
    .held = frames_held,
    .close = frames_close,
};
