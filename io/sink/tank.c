/* io/sink/tank.c: see tank.h */
#include "io/sink/tank.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "io/ring/disk.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    PAGE = 4096,
    BLOCK_MAX = 64 * 1024,
    BLOCK_MIN = PAGE,
    GROUPS = 4,    /* writes of one owner under way */
    GROUP_MIN = 2, /* blocks of a write: each costs the same whatever its size */
    GROUP_MAX = 16,
    READS = 128, /* of one load under way */
    READS_AT_ONCE = 32,
    RESERVE_MIN = 32, /* blocks of room that the disk is asked for at a time */
    RESERVE_MAX = 4096,
    HUGE_MIN =
        4 << 20, /* bytes of a lane from which its blocks lie in huge pages: they are written to all over */
    NO_BLOCK = 0x7FFFFFFF,
    IN_MEMORY = (int)0x80000000 /* of a chain's link: a block of the lane's memory, not of the file */
};

struct chain { /* what one lane put into one partition */
    uint32_t *links;
    uint32_t count, room;
    uint32_t open; /* block that is being filled, or NO_BLOCK */
    uint32_t used; /* of it */
};

/* Blocks that go to the file in one write, one behind the other. */
struct group {
    uint64_t slot; /* of the first */
    uint32_t count, blocks[GROUP_MAX];
    struct ring_piece pieces[GROUP_MAX];
    int used;
};

struct tank_lane {
    struct chain *chains;
    uint8_t *memory;
    uint32_t blocks, touched; /* blocks from `touched` on were never used */
    uint32_t *free;
    uint32_t free_count, kept;
    struct group groups[GROUPS], *filling; /* NULL: the next full block takes a new one */
    struct ring *ring;
    int error; /* of a write */
};

struct tank {
    struct tank_config config;
    struct tank_lane *lanes;
    uint32_t block; /* bytes */
    uint32_t group; /* blocks of a write */
    uint32_t spare; /* blocks of a lane that are neither filled nor kept: those of its writes, and one */
    char *directory;
    pthread_mutex_t lock; /* of fd and reserved */
    _Atomic int fd;
    uint64_t reserved; /* blocks */
    _Atomic uint64_t next_slot;
};

enum err tank_open(struct tank **out, const struct tank_config *config, struct diag *diag)
{
    *out = NULL;
    struct tank *t = mem_take_zero(1, sizeof *t);
    if (!t)
        return mem_fail(diag, sizeof *t, "rows put aside");
    t->config = *config;
    atomic_init(&t->fd, -1);
    pthread_mutex_init(&t->lock, NULL);
    t->directory = mem_copy_text(config->directory, strlen(config->directory));
    t->lanes = mem_take_zero(config->lanes, sizeof *t->lanes);
    enum err err = t->directory && t->lanes ? OK : mem_fail(diag, sizeof *t->lanes, "rows put aside");
    size_t share = config->memory / config->lanes;
    t->block = BLOCK_MAX;
    while (t->block > BLOCK_MIN &&
           ((uint64_t)t->block * (config->partitions + GROUPS * GROUP_MIN + 1) > share ||
            (config->expected &&
             config->expected / config->lanes / config->partitions < 2 * (uint64_t)t->block)))
        t->block /= 2;
    uint64_t blocks = share / t->block;
    t->group = GROUP_MAX;
    while (t->group > GROUP_MIN &&
           (config->partitions + GROUPS * t->group + 1 > blocks || GROUPS * t->group > blocks / 8))
        t->group /= 2;
    t->spare = GROUPS * t->group + 1;
    if (blocks < config->partitions + t->spare)
        blocks = config->partitions + t->spare;
    for (uint32_t i = 0; err == OK && i < config->lanes; i++) {
        struct tank_lane *lane = &t->lanes[i];
        lane->blocks = (uint32_t)blocks;
        lane->chains = mem_take_zero(config->partitions, sizeof *lane->chains);
        lane->free = mem_take(blocks * sizeof *lane->free);
        lane->memory = mem_map(blocks * t->block, blocks * t->block >= HUGE_MIN);
        if (!lane->chains || !lane->free || !lane->memory)
            err = mem_fail(diag, blocks * t->block, "rows put aside");
        for (uint32_t p = 0; lane->chains && p < config->partitions; p++)
            lane->chains[p].open = NO_BLOCK;
    }
    if (err != OK) {
        tank_close(t);
        return err;
    }
    *out = t;
    return OK;
}

void tank_close(struct tank *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; t->lanes && i < t->config.lanes; i++) {
        struct tank_lane *lane = &t->lanes[i];
        if (lane->ring)
            ring_close(lane->ring);
        for (uint32_t p = 0; lane->chains && p < t->config.partitions; p++)
            mem_give(lane->chains[p].links);
        mem_give(lane->chains);
        mem_give(lane->free);
        mem_unmap(lane->memory, (size_t)lane->blocks * t->block);
    }
    int fd = atomic_load(&t->fd);
    if (fd >= 0)
        sys_close(fd);
    mem_give(t->lanes);
    mem_give(t->directory);
    pthread_mutex_destroy(&t->lock);
    mem_give(t);
}

static enum err write_failed(const struct tank *t, int error, struct diag *diag)
{
    return disk_failed(diag, error, "out.spill", t->directory,
                       "%s: cannot write %llu bytes to a temporary file", t->directory,
                       (unsigned long long)t->group * t->block);
}

/* Opens the file when the first block wants it, and reserves room for `slot`. */
static enum err make_room(struct tank *t, uint64_t slot, struct diag *diag)
{
    enum err err = OK;
    pthread_mutex_lock(&t->lock);
    int fd = atomic_load(&t->fd);
    if (fd < 0) {
        fd = sys_open_unnamed(t->directory);
        if (fd < 0)
            err = diag_set_errno(diag, -fd, "out.spill", "%s: cannot make a temporary file", t->directory);
        else
            sys_direct(fd, 1); /* tmpfs and others refuse: then through the page cache */
        disk_is_for(fd, DISK_ROWS);
        atomic_store(&t->fd, fd < 0 ? -1 : fd);
    }
    /* As much again as is written, so that a small file asks for little. Where there is not as much room, the
     * write itself will say so. */
    if (err == OK && slot >= t->reserved) {
        uint64_t more = t->reserved < RESERVE_MIN   ? RESERVE_MIN
                        : t->reserved > RESERVE_MAX ? RESERVE_MAX
                                                    : t->reserved;
        const uint64_t done = sys_reserve_ahead(fd, t->reserved * t->block, more * t->block) / t->block;
        t->reserved += done ? done : more; /* without it as long as it would have lasted */
    }
    pthread_mutex_unlock(&t->lock);
    return err;
}

static inline uint8_t *block_at(const struct tank *t, const struct tank_lane *lane, uint32_t block)
{
    return lane->memory + (size_t)block * t->block;
}

/* A file system that takes O_DIRECT and does not mean it: once more, through the page cache. */
static int64_t write_plainly(struct tank *t, const struct group *g)
{
    sys_direct(atomic_load(&t->fd), 0);
    int error = 0;
    for (uint32_t i = 0; !error && i < g->count; i++)
        error = sys_pwrite_full(atomic_load(&t->fd), g->pieces[i].data, t->block, (g->slot + i) * t->block);
    return error;
}

/* Takes in writes that are done: those that are, or one that is waited for. */
static enum err reap(struct tank *t, struct tank_lane *lane, int wait, struct diag *diag)
{
    struct ring_done done;
    while (lane->ring && ring_next(lane->ring, wait, &done)) {
        struct group *g = &lane->groups[done.tag];
        if (done.result == -EINVAL)
            done.result = write_plainly(t, g);
        if (done.result < 0 && !lane->error)
            lane->error = (int)-done.result;
        for (uint32_t i = 0; i < g->count; i++)
            lane->free[lane->free_count++] = g->blocks[i];
        g->count = 0;
        g->used = 0;
        if (wait)
            break;
    }
    return lane->error ? write_failed(t, lane->error, diag) : OK;
}

/* Starts to write the blocks that were gathered. */
static enum err send(struct tank *t, struct tank_lane *lane, struct diag *diag)
{
    struct group *g = lane->filling;
    lane->filling = NULL;
    int error = ring_write_pieces(lane->ring, atomic_load(&t->fd), g->pieces, g->count, g->slot * t->block,
                                  (uint64_t)(g - lane->groups));
    return error ? write_failed(t, -error, diag) : OK;
}

/* A group to gather blocks in, with room for them in the file. */
static enum err begin_group(struct tank *t, struct tank_lane *lane, struct diag *diag)
{
    enum err err = OK;
    if (!lane->ring)
        err = ring_open(&lane->ring, t->config.backend, GROUPS, NULL, diag);
    while (err == OK && !lane->filling) {
        for (uint32_t i = 0; i < GROUPS && !lane->filling; i++)
            if (!lane->groups[i].used)
                lane->filling = &lane->groups[i];
        if (!lane->filling)
            err = reap(t, lane, 1, diag);
    }
    if (err != OK)
        return err;
    lane->filling->used = 1;
    lane->filling->slot = atomic_fetch_add(&t->next_slot, t->group);
    CHECK(lane->filling->slot + t->group < NO_BLOCK);
    return make_room(t, lane->filling->slot + t->group - 1, diag);
}

static enum err put_away(struct tank *t, struct tank_lane *lane, struct chain *chain, struct diag *diag)
{
    if (mem_list_more(&chain->links, chain->count, &chain->room, 8, "rows put aside", diag) != OK)
        return ERR_MACHINE;
    const uint32_t block = chain->open;
    if (lane->kept + t->config.partitions + t->spare < lane->blocks) {
        lane->kept++;
        chain->links[chain->count++] = block | (uint32_t)IN_MEMORY;
        chain->open = NO_BLOCK;
        return OK;
    }
    enum err err = lane->filling ? OK : begin_group(t, lane, diag);
    if (err != OK)
        return err;
    struct group *g = lane->filling;
    chain->links[chain->count++] = (uint32_t)g->slot + g->count;
    chain->open = NO_BLOCK;
    g->pieces[g->count] = (struct ring_piece){block_at(t, lane, block), t->block};
    g->blocks[g->count++] = block;
    return g->count == t->group ? send(t, lane, diag) : OK;
}

enum err tank_put(struct tank *t, uint32_t number, uint32_t partition, const void *bytes, size_t size,
                  struct diag *diag)
{
    struct tank_lane *lane = &t->lanes[number];
    struct chain *chain = &lane->chains[partition];
    const uint8_t *from = bytes;
    while (size) {
        if (__builtin_expect(chain->open == NO_BLOCK, 0)) {
            if (lane->free_count == 0 && lane->ring && reap(t, lane, 0, diag) != OK)
                return diag->err;
            /* `spare` are enough for all writes under way, and one is left. */
            CHECK2(lane->free_count || lane->touched < lane->blocks, lane->kept, lane->blocks);
            chain->open = lane->free_count ? lane->free[--lane->free_count] : lane->touched++;
            chain->used = 0;
        }
        size_t n = size < t->block - chain->used ? size : t->block - chain->used;
        memcpy(block_at(t, lane, chain->open) + chain->used, from, n);
        chain->used += (uint32_t)n;
        from += n;
        size -= n;
        if (__builtin_expect(chain->used == t->block, 0)) {
            enum err err = put_away(t, lane, chain, diag);
            if (err != OK)
                return err;
        }
    }
    return OK;
}

uint8_t *tank_reserve(struct tank *t, uint32_t number, uint32_t partition, size_t size)
{
    const struct tank_lane *lane = &t->lanes[number];
    const struct chain *chain = &lane->chains[partition];
    /* Less than all of it, so that tank_commit never fills a block. */
    return chain->open == NO_BLOCK || size >= t->block - chain->used
               ? NULL
               : block_at(t, lane, chain->open) + chain->used;
}

void tank_commit(struct tank *t, uint32_t number, uint32_t partition, size_t size)
{
    t->lanes[number].chains[partition].used += (uint32_t)size;
}

void tank_expect(const struct tank *t, uint32_t number, uint32_t partition, size_t size)
{
    const struct tank_lane *lane = &t->lanes[number];
    const struct chain *chain = &lane->chains[partition];
    if (chain->open == NO_BLOCK)
        return;
    const uint8_t *at = block_at(t, lane, chain->open) + chain->used;
    /* A core follows so many misses at once and no more: only lines that will be written are asked for. */
    __builtin_prefetch(at, 1);
    if (((uintptr_t)at & 63) + size > 64)
        __builtin_prefetch(at + 64, 1);
}

enum err tank_end(struct tank *t, uint32_t number, struct diag *diag)
{
    struct tank_lane *lane = &t->lanes[number];
    enum err err = lane->filling ? send(t, lane, diag) : OK;
    while (err == OK && lane->ring && ring_in_flight(lane->ring))
        err = reap(t, lane, 1, diag);
    return err;
}

static uint64_t chain_size(const struct tank *t, const struct chain *chain)
{
    return (uint64_t)chain->count * t->block + (chain->open == NO_BLOCK ? 0 : chain->used);
}

uint64_t tank_size(const struct tank *t, uint32_t partition)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < t->config.lanes; i++)
        size += chain_size(t, &t->lanes[i].chains[partition]);
    return size;
}

static enum err read_failed(const struct tank *t, int error, struct diag *diag)
{
    return diag_set_errno(diag, error, "out.spill", "%s: cannot read a temporary file again", t->directory);
}

/* Takes in one read that is done. */
static void take_read(struct tank *t, struct tank_load *load)
{
    struct ring_done done;
    if (!ring_next(load->ring, 1, &done))
        return;
    uint8_t *to = load->buffer + (done.tag & UINT32_MAX) * PAGE;
    uint64_t slot = done.tag >> 32;
    if (done.result == -EINVAL) {
        sys_direct(atomic_load(&t->fd), 0);
        done.result = sys_pread_full(atomic_load(&t->fd), to, t->block, slot * t->block);
    }
    if (done.result != (int64_t)t->block && !load->error)
        load->error = done.result < 0 ? (int)-done.result : EIO;
}

enum err tank_load(struct tank *t, uint32_t partition, struct tank_load *load, struct diag *diag)
{
    size_t want = PAGE;
    for (uint32_t i = 0; i < t->config.lanes; i++)
        want += (chain_size(t, &t->lanes[i].chains[partition]) + 2 * PAGE - 1) / PAGE * PAGE;
    load->error = 0;
    load->piece_count = t->config.lanes;
    if (!load->pieces)
        load->pieces = mem_take(t->config.lanes * sizeof *load->pieces);
    if (want > load->room) {
        mem_unmap(load->buffer, load->room);
        load->room = 0;
        load->buffer = mem_map(want + want / 8, t->config.memory / t->config.lanes >= HUGE_MIN);
        if (load->buffer)
            load->room = want + want / 8;
    }
    if (!load->pieces || !load->buffer)
        return mem_fail(diag, want, "rows put aside");
    enum err err = OK;
    if (!load->ring) {
        if ((err = ring_open(&load->ring, t->config.backend, READS, NULL, diag)) != OK)
            return err;
        ring_gather(load->ring, READS_AT_ONCE);
    }
    uint8_t *at = load->buffer;
    for (uint32_t i = 0; err == OK && i < t->config.lanes; i++) {
        struct tank_lane *lane = &t->lanes[i];
        const struct chain *chain = &lane->chains[partition];
        load->pieces[i].bytes = at;
        load->pieces[i].size = chain_size(t, chain);
        for (uint32_t k = 0; err == OK && k < chain->count; k++, at += t->block) {
            if (chain->links[k] & (uint32_t)IN_MEMORY) {
                memcpy(at, block_at(t, lane, chain->links[k] & ~(uint32_t)IN_MEMORY), t->block);
                continue;
            }
            uint64_t slot = chain->links[k];
            int error;
            while ((error = ring_read(load->ring, atomic_load(&t->fd), at, t->block, slot * t->block,
                                      slot << 32 | (uint64_t)(at - load->buffer) / PAGE)) == -EAGAIN)
                take_read(t, load);
            if (error)
                err = read_failed(t, -error, diag);
        }
        if (chain->open != NO_BLOCK && chain->used) {
            memcpy(at, block_at(t, lane, chain->open), chain->used);
            at += (chain->used + PAGE - 1) / PAGE * PAGE;
        }
    }
    ring_submit(load->ring);
    return err;
}

enum err tank_wait(struct tank *t, struct tank_load *load, struct diag *diag)
{
    while (load->ring && ring_in_flight(load->ring))
        take_read(t, load);
    return load->error ? read_failed(t, load->error, diag) : OK;
}

void tank_load_fini(struct tank_load *load)
{
    ring_close(load->ring);
    mem_unmap(load->buffer, load->room);
    mem_give(load->pieces);
    *load = (struct tank_load){0};
}

enum err tank_scan_next(struct tank *t, struct tank_scan *scan, const uint8_t **bytes, size_t *size,
                        struct diag *diag)
{
    const struct tank_lane *lane = &t->lanes[scan->lane];
    const struct chain *chain = &lane->chains[scan->partition];
    *size = 0;
    if (scan->next > chain->count || (scan->next == chain->count && chain->open == NO_BLOCK))
        return OK;
    uint32_t link = scan->next < chain->count ? chain->links[scan->next] : chain->open | (uint32_t)IN_MEMORY;
    *size = scan->next < chain->count ? t->block : chain->used;
    scan->next++;
    if (link & (uint32_t)IN_MEMORY) {
        *bytes = block_at(t, lane, link & ~(uint32_t)IN_MEMORY);
        return OK;
    }
    if (!scan->buffer)
        scan->buffer = mem_map(BLOCK_MAX, 0);
    if (!scan->buffer)
        return mem_fail(diag, BLOCK_MAX, "rows put aside");
    *bytes = scan->buffer;
    ssize_t n = sys_pread_full(atomic_load(&t->fd), scan->buffer, t->block, (uint64_t)link * t->block);
    if (n == -EINVAL) {
        sys_direct(atomic_load(&t->fd), 0);
        n = sys_pread_full(atomic_load(&t->fd), scan->buffer, t->block, (uint64_t)link * t->block);
    }
    return n == (ssize_t)t->block ? OK : read_failed(t, n < 0 ? (int)-n : EIO, diag);
}

void tank_scan_fini(struct tank_scan *scan)
{
    mem_unmap(scan->buffer, BLOCK_MAX);
    scan->buffer = NULL;
}

uint64_t tank_spilled(const struct tank *t)
{
    return atomic_load(&t->next_slot) * t->block;
}
