/* io/ring/ring.h: reads and writes in flight, by io_uring, or by pread/pwrite where there is none.
 *
 *     ring_open
 *       ring_register              optional: buffers that the kernel pins once
 *       ring_read / ring_write     up to `entries` in flight
 *       ring_next                  gives finished ones back, in any order
 *     ring_close                   waits for what is still in flight, so that its memory may go
 *
 * A short read is asked for again from where it stopped, so a completion is either all bytes, fewer because
 * the file ends there, or an errno. EAGAIN, EBUSY and EINTR are retried. In flight is never more than the
 * completion queue holds. Memory: buffers are the caller's and must live until ring_next gave them back.
 * Threads: one owner.
 */
#ifndef TIEOUT_IO_RING_RING_H
#define TIEOUT_IO_RING_RING_H

#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>

enum ring_backend { RING_AUTO, RING_URING, RING_POSIX };

struct ring;

struct ring_done {
    uint64_t tag;
    int64_t result; /* bytes, or -errno */
};

/* RING_AUTO falls back to pread/pwrite and sets *fell_back; RING_URING without io_uring is ERR_MACHINE. */
enum err ring_open(struct ring **out, enum ring_backend backend, unsigned entries, int *fell_back,
                   struct diag *diag);
void ring_close(struct ring *ring);
int ring_is_uring(const struct ring *ring);
/* Registers one block that later buffers lie in. Silently without effect where the kernel or the limits
 * refuse. */
void ring_register(struct ring *ring, void *block, size_t size);

/* 0, or -EAGAIN when `entries` are in flight already. */
int ring_read(struct ring *ring, int fd, void *buffer, size_t size, uint64_t offset, uint64_t tag);
int ring_write(struct ring *ring, int fd, const void *buffer, size_t size, uint64_t offset, uint64_t tag);
/* Several buffers to one place of the file; at most RING_PIECES_MAX, which must live as the buffers do. */
enum { RING_PIECES_MAX = 64 };
struct ring_piece { /* as struct iovec */
    const void *data;
    size_t size;
};
int ring_write_pieces(struct ring *ring, int fd, const struct ring_piece *pieces, unsigned count,
                      uint64_t offset, uint64_t tag);
unsigned ring_in_flight(const struct ring *ring);
/* Requests go to the kernel `count` at a time, or when ring_submit or ring_next is called: it can then join them, and
 * tells the disk of all at once. */
void ring_gather(struct ring *ring, unsigned count);
void ring_submit(struct ring *ring);
/* 1 and *done, or 0 when nothing is finished (`wait`: only when nothing is in flight). */
int ring_next(struct ring *ring, int wait, struct ring_done *done);

#endif
