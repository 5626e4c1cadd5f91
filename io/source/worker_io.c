/* io/source/worker_io.c: see worker_io.h */
#include "io/source/worker_io.h"
#include "core/base/mem.h"
#include "io/format/csv.h"
#include "io/format/csv_scan.h"
#include "io/ring/sys.h"
#include "io/source/log_ahead.h"
#include <errno.h>

enum { SCAN_FRONT = 16 };

static size_t scan_bytes(size_t room)
{
    return (SCAN_FRONT + 2 * (room + CSV_SCAN_SLACK)) * sizeof(uint32_t);
}

enum err worker_io_scan_room(struct worker_io *io, struct chunk_scan *scan, uint32_t size, struct diag *diag)
{
    (void)io;
    if (size <= scan->room)
        return OK;
    size_t old = scan_bytes(scan->room), bytes = scan_bytes(size);
    if (scan->room) {
        mem_unmap(scan->block, old);
    }
    scan->room = 0;
    scan->block = mem_map(bytes, 0);
    if (!scan->block)
        return mem_fail(diag, bytes, "a chunk's cells");
    /* One entry before the first separator: the row reader keeps there where the first row begins. */
    scan->seps = scan->block + SCAN_FRONT;
    scan->rows = scan->seps + size + CSV_SCAN_SLACK;
    scan->room = size;
    return OK;
}

enum err worker_io_unquote_room(struct worker_io *io, uint32_t size, struct diag *diag)
{
    if (size <= io->scan_room)
        return OK;
    mem_give(io->unquoted);
    io->scan_room = 0;
    io->unquoted = mem_take((size_t)size + CSV_SCAN_SLACK);
    if (!io->unquoted)
        return mem_fail(diag, size, "a chunk's cells");
    io->scan_room = size;
    return OK;
}

enum err worker_io_open(struct worker_io **out, const struct worker_io_config *config, int *fell_back,
                        struct diag *diag)
{
    *out = NULL;
    struct worker_io *io = mem_take_zero(1, sizeof *io);
    if (!io)
        return mem_fail(diag, sizeof *io, "a worker's buffers");
    io->chunk = config->chunk;
    io->buffer_count = config->depth;
    io->buffer_size = ((config->chunk + IO_OVERLAP) + 4095u) & ~4095u;
    enum err err = ring_open(&io->ring, config->backend, config->depth, fell_back, diag);
    size_t block = (size_t)io->buffer_count * worker_io_stride(io);
    io->scans = mem_take_zero(io->buffer_count, sizeof *io->scans);
    if (err == OK && !io->scans)
        err = mem_fail(diag, io->buffer_count * sizeof *io->scans, "a worker's buffers");
    for (uint32_t i = 0; err == OK && i < io->buffer_count; i++)
        err = worker_io_scan_room(io, &io->scans[i], io->buffer_size, diag);
    if (err == OK)
        err = worker_io_unquote_room(io, io->buffer_size, diag);
    if (err == OK)
        err = norm_scratch_init(&io->scratch, diag);
    if (err == OK) {
        io->block = mem_map(block, 0);
        io->in_buffer = mem_take_zero(io->buffer_count, sizeof *io->in_buffer);
        io->reads = mem_take_zero(io->buffer_count, sizeof *io->reads);
        io->cells = mem_take((CSV_COLUMNS_MAX + 1) * sizeof *io->cells);
        io->record = mem_take(RECORD_VAR_MAX + 4096);
        io->window_room = IO_WINDOW;
        io->window = mem_take(io->window_room + CSV_SCAN_SLACK);
        for (int side = 0; side < SIDES; side++)
            io->lines[side].bytes = mem_take(IO_WINDOW + IO_SLACK);
        if (!io->lines[LOCAL].bytes || !io->lines[CHANNEL].bytes || !io->block || !io->in_buffer ||
            !io->reads || !io->cells || !io->record || !io->window)
            err = mem_fail(diag, block, "a worker's buffers");
    }
    if (err != OK) {
        worker_io_close(io);
        return err;
    }
    ring_register(io->ring, io->block, block);
    *out = io;
    return OK;
}

void worker_io_close(struct worker_io *io)
{
    if (!io)
        return;
    ring_close(io->ring); /* waits for reads in flight: after this the buffers may go */
    if (io->binlog_rows_free)
        io->binlog_rows_free(io->binlog_rows);
    mem_unmap(io->block, (size_t)io->buffer_count * worker_io_stride(io));
    mem_give(io->reads);
    mem_give(io->again[0]);
    mem_give(io->again[1]);
    mem_give(io->in_buffer);
    for (uint32_t i = 0; io->scans && i < io->buffer_count; i++)
        if (io->scans[i].room)
            mem_unmap(io->scans[i].block, scan_bytes(io->scans[i].room));
    mem_give(io->scans);
    mem_give(io->unquoted);
    mem_give(io->grown);
    mem_give(io->cells);
    mem_give(io->record);
    mem_give(io->window);
    for (int side = 0; side < SIDES; side++) {
        mem_give(io->lines[side].bytes);
        log_ahead_close(io->ahead_rows[side]);
    }
    norm_scratch_fini(&io->scratch);
    mem_give(io);
}

enum err worker_io_read(struct worker_io *io, struct ticket *ticket, const struct worker_read *read,
                        struct diag *diag)
{
    CHECK2(ticket->buffer < io->buffer_count && read->size <= io->buffer_size, ticket->buffer, read->size);
    _Static_assert(IO_SLACK <= IO_PAGE, "the slack lies behind the buffer");
    struct worker_read *here = &io->reads[ticket->buffer];
    size_t size = read->size;
    ticket->bytes_read = -1;
    io->in_buffer[ticket->buffer] = ticket;
    *here = *read;
    if (here->direct_fd >= 0 && read->offset % IO_PAGE == 0) /* whole pages; buffer_size is so many */
        size = (size + IO_PAGE - 1) / IO_PAGE * IO_PAGE;
    else
        here->direct_fd = -1;
    int error = ring_read(io->ring, here->direct_fd >= 0 ? here->direct_fd : here->fd,
                          worker_io_buffer(io, ticket->buffer), size, read->offset, ticket->buffer);
    if (error)
        return diag_set_errno(diag, -error, "read", "%s: cannot start a read of %zu bytes at byte %llu",
                              read->path, read->size, (unsigned long long)read->offset);
    return OK;
}

int worker_io_arrived(struct worker_io *io, struct ticket *ticket, int wait)
{
    struct ring_done done;
    while (io->in_buffer[ticket->buffer] == ticket) {
        if (!ring_next(io->ring, wait, &done))
            return 0;
        struct ticket *other = io->in_buffer[done.tag];
        CHECK2(other != NULL, done.tag, 0);
        const struct worker_read *read = &io->reads[done.tag];
        uint8_t *buffer = worker_io_buffer(io, (uint32_t)done.tag);
        io->in_buffer[done.tag] = NULL;
        if (done.result == -EINVAL && read->direct_fd >= 0) /* a file system that wants other sizes */
            done.result = sys_pread_full(read->fd, buffer, read->size, read->offset);
        if (done.result > (int64_t)read->size) /* the rest of its last page */
            done.result = (int64_t)read->size;
        other->bytes_read = done.result;
        if (done.result >= 0)
            memset(buffer + done.result, 0, IO_SLACK);
    }
    return 1;
}
