/* io/ring/ring.c: see ring.h */
#include "io/ring/ring.h"
#include "core/base/check.h"
#include "core/base/fault.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <liburing.h>
#include <stddef.h>
#include <string.h>

struct slot {
    char *buffer;
    size_t size, done_bytes;
    uint64_t offset, tag;
    const struct ring_piece *pieces; /* NULL: `buffer` is all */
    unsigned piece_count;
    int fd, is_write, used;
    int64_t result; /* posix backend, and operations finished at once */
    int finished;
};

struct ring {
    struct io_uring uring;
    int is_uring;
    unsigned entries, in_flight, unsubmitted, gather;
    unsigned finished; /* slots that were finished at once */
    char *registered;
    size_t registered_size;
    struct slot slots[];
};

/* liburing maps and unmaps a ring's memory by calls of its own, past the C library, which ThreadSanitizer does not see. A ring of one worker may
 * lie where that of another one lay, closed long before, and what both wrote into their requests looks like a race. The kernel parts
 * them: memory is mapped anew only when it was given back. So each close is told to be before the opens behind it. */
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
static char rings_memory;
#define MEMORY_WAS_TAKEN() __tsan_acquire(&rings_memory)
#define MEMORY_IS_GIVEN() __tsan_release(&rings_memory)
#else
#define MEMORY_WAS_TAKEN() ((void)0)
#define MEMORY_IS_GIVEN() ((void)0)
#endif

static int probe_operations(struct io_uring *uring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(uring);
    if (!probe)
        return -ENOSYS;
    int ok =
        io_uring_opcode_supported(probe, IORING_OP_READ) && io_uring_opcode_supported(probe, IORING_OP_WRITE);
    io_uring_free_probe(probe);
    return ok ? 0 : -ENOSYS;
}

enum err ring_open(struct ring **out, enum ring_backend backend, unsigned entries, int *fell_back,
                   struct diag *diag)
{
    *out = NULL;
    struct ring *ring = mem_take_zero(1, sizeof *ring + entries * sizeof ring->slots[0]);
    if (!ring)
        return mem_fail(diag, sizeof *ring, "an I/O ring");
    ring->entries = entries;
    if (backend != RING_POSIX) {
        int fault = fault_now(FAULT_IO);
        int error = fault ? -fault : io_uring_queue_init(entries, &ring->uring, 0);
        MEMORY_WAS_TAKEN();
        if (error == 0 && (error = probe_operations(&ring->uring)) != 0)
            io_uring_queue_exit(&ring->uring);
        ring->is_uring = error == 0;
        if (error && backend == RING_URING) {
            mem_give(ring);
            return diag_set(diag, ERR_MACHINE, "io.uring",
                            "use --io=auto or --io=posix; the sysctl kernel.io_uring_disabled or a seccomp "
                            "filter may forbid it",
                            "io_uring was asked for with --io=uring and is not available here: %s",
                            strerror(-error));
        }
        if (error && fell_back)
            *fell_back = 1;
    }
    *out = ring;
    return OK;
}

void ring_close(struct ring *ring)
{
    if (!ring)
        return;
    struct ring_done done;
    while (ring_next(ring, 1, &done)) {
    }
    MEMORY_IS_GIVEN();
    if (ring->is_uring)
        io_uring_queue_exit(&ring->uring);
    mem_give(ring);
}

int ring_is_uring(const struct ring *ring)
{
    return ring->is_uring;
}

void ring_register(struct ring *ring, void *block, size_t size)
{
    struct iovec iov = {block, size};
    if (ring->is_uring && io_uring_register_buffers(&ring->uring, &iov, 1) == 0) {
        ring->registered = block;
        ring->registered_size = size;
    }
}

unsigned ring_in_flight(const struct ring *ring)
{
    return ring->in_flight;
}

static void submit(struct ring *ring)
{
    while (ring->unsubmitted) {
        int n = io_uring_submit(&ring->uring);
        if (n == -EINTR)
            continue;
        if (n <= 0) /* EAGAIN, EBUSY: completions must be reaped first; ring_next submits again */
            return;
        ring->unsubmitted -= (unsigned)n < ring->unsubmitted ? (unsigned)n : ring->unsubmitted;
    }
}

void ring_gather(struct ring *ring, unsigned count)
{
    ring->gather = count;
}

void ring_submit(struct ring *ring)
{
    submit(ring);
}

static int prepare(struct ring *ring, struct slot *slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    if (!sqe) {
        submit(ring);
        sqe = io_uring_get_sqe(&ring->uring);
        if (!sqe)
            return -EAGAIN;
    }
    char *buffer = slot->buffer + slot->done_bytes;
    unsigned size = (unsigned)(slot->size - slot->done_bytes);
    uint64_t offset = slot->offset + slot->done_bytes;
    int fixed = ring->registered && buffer >= ring->registered &&
                buffer + size <= ring->registered + ring->registered_size;
    if (slot->pieces)
        io_uring_prep_writev(sqe, slot->fd, (const struct iovec *)slot->pieces, slot->piece_count,
                             slot->offset);
    else if (slot->is_write && fixed)
        io_uring_prep_write_fixed(sqe, slot->fd, buffer, size, offset, 0);
    else if (slot->is_write)
        io_uring_prep_write(sqe, slot->fd, buffer, size, offset);
    else if (fixed)
        io_uring_prep_read_fixed(sqe, slot->fd, buffer, size, offset, 0);
    else
        io_uring_prep_read(sqe, slot->fd, buffer, size, offset);
    io_uring_sqe_set_data64(sqe, (uint64_t)(slot - ring->slots));
    ring->unsubmitted++;
    if (ring->unsubmitted >= ring->gather)
        submit(ring);
    return 0;
}

/* One by one: every call writes all of its piece. */
static int64_t write_each(const struct slot *slot)
{
    uint64_t offset = slot->offset;
    for (unsigned i = 0; i < slot->piece_count; i++) {
        int error = sys_pwrite_full(slot->fd, slot->pieces[i].data, slot->pieces[i].size, offset);
        if (error)
            return error;
        offset += slot->pieces[i].size;
    }
    return (int64_t)slot->size;
}

/* In one call, since a file system that takes many pages at once is asked for less often. Short, and rare: all of it once more. */
static int64_t write_pieces(const struct slot *slot)
{
    const int64_t n =
        sys_pwritev(slot->fd, (const struct iovec *)slot->pieces, (int)slot->piece_count, slot->offset);
    return n < 0 || n == (int64_t)slot->size ? n : write_each(slot);
}

static int start(struct ring *ring, struct slot operation)
{
    if (ring->in_flight == ring->entries)
        return -EAGAIN;
    struct slot *slot = ring->slots;
    while (slot->used)
        slot++;
    *slot = operation;
    slot->used = 1;
    ring->in_flight++;
    int fault = ring->is_uring ? fault_now(FAULT_IO) : 0;
    if (fault) {
        slot->result = -fault;
        slot->finished = 1;
        ring->finished++;
    } else if (!ring->is_uring) {
        slot->finished = 1;
        ring->finished++;
        if (slot->pieces) {
            slot->result = write_pieces(slot);
        } else if (slot->is_write) {
            int error = sys_pwrite_full(slot->fd, slot->buffer, slot->size, slot->offset);
            slot->result = error ? error : (int64_t)slot->size;
        } else {
            slot->result = sys_pread_full(slot->fd, slot->buffer, slot->size, slot->offset);
        }
    } else if (prepare(ring, slot) != 0) {
        slot->used = 0;
        ring->in_flight--;
        return -EAGAIN;
    }
    return 0;
}

int ring_read(struct ring *ring, int fd, void *buffer, size_t size, uint64_t offset, uint64_t tag)
{
    return start(ring, (struct slot){.buffer = buffer, .size = size, .offset = offset, .tag = tag, .fd = fd});
}

int ring_write(struct ring *ring, int fd, const void *buffer, size_t size, uint64_t offset, uint64_t tag)
{
    return start(
        ring,
        (struct slot){
            .buffer = (void *)buffer, .size = size, .offset = offset, .tag = tag, .fd = fd, .is_write = 1});
}

_Static_assert(sizeof(struct ring_piece) == sizeof(struct iovec) &&
                   offsetof(struct ring_piece, size) == offsetof(struct iovec, iov_len),
               "pieces are handed to the kernel as they are");

int ring_write_pieces(struct ring *ring, int fd, const struct ring_piece *pieces, unsigned count,
                      uint64_t offset, uint64_t tag)
{
    CHECK2(count <= RING_PIECES_MAX, count, RING_PIECES_MAX);
    struct slot slot = {
        .pieces = pieces, .piece_count = count, .offset = offset, .tag = tag, .fd = fd, .is_write = 1};
    for (unsigned i = 0; i < count; i++)
        slot.size += pieces[i].size;
    return start(ring, slot);
}

static void finish(struct ring *ring, struct slot *slot, int64_t result, struct ring_done *done)
{
    *done = (struct ring_done){slot->tag, result};
    slot->used = 0;
    ring->in_flight--;
}

int ring_next(struct ring *ring, int wait, struct ring_done *done)
{
    for (unsigned i = 0; ring->finished && i < ring->entries; i++)
        if (ring->slots[i].used && ring->slots[i].finished) {
            ring->finished--;
            finish(ring, &ring->slots[i], ring->slots[i].result, done);
            return 1;
        }
    while (ring->is_uring && ring->in_flight) {
        submit(ring);
        struct io_uring_cqe *cqe;
        int error = wait ? io_uring_wait_cqe(&ring->uring, &cqe) : io_uring_peek_cqe(&ring->uring, &cqe);
        if (error == -EINTR || (wait && (error == -EAGAIN || error == -EBUSY)))
            continue;
        if (error)
            return 0;
        struct slot *slot = &ring->slots[io_uring_cqe_get_data64(cqe)];
        int64_t result = cqe->res;
        io_uring_cqe_seen(&ring->uring, cqe);
        CHECK(slot->used);
        if (result == -EINTR || result == -EAGAIN ||
            (result > 0 && (slot->done_bytes += (size_t)result) < slot->size)) {
            if (slot->pieces && result > 0) { /* short, and rare: all of it once more, in a simple way */
                result = write_each(slot);
                finish(ring, slot, result, done);
                return 1;
            }
            /* Short, or not now: the rest is asked for again. A slot is free in the queue, since this one
             * just left it. */
            while (prepare(ring, slot) != 0) {
            }
            continue;
        }
        if (result == 0 && slot->is_write)
            result = -ENOSPC;
        finish(ring, slot, result < 0 ? result : (int64_t)slot->done_bytes, done);
        return 1;
    }
    return 0;
}
