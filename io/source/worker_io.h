/* io/source/worker_io.h: what a worker reads with: its ring, its buffers, its scratch.
 *
 *     worker_io_open -> (sources use it) -> worker_io_close
 *
 * Buffers are first touched by the worker that opens it, so they lie on its NUMA node. Threads: one owner.
 */
#ifndef TIEOUT_IO_SOURCE_WORKER_IO_H
#define TIEOUT_IO_SOURCE_WORKER_IO_H

#include "core/ops/source.h"
#include "io/format/csv_scan.h"
#include "io/ring/ring.h"

enum {
    IO_OVERLAP = 8192, /* read behind a chunk, so that its last row is nearly always whole */
    IO_PAGE = 4096,
    IO_SLACK = 256,       /* zero bytes behind what was read, for the scanner */
    IO_WINDOW = 64 * 1024 /* what fetch reads at once */
};

/* What is fetched next lies so close that a window holds many rows; or it does not; or nobody knows. */
enum rows_ahead { AHEAD_UNKNOWN, AHEAD_NEAR, AHEAD_FAR };

struct binlog_table;
struct log_ahead;

/* Where cells and rows of a chunk end; the arrays have room for any text of its size, and cost memory only as
 * far as they are used. */
struct chunk_scan {
    uint32_t *block;
    uint32_t *seps, *rows; /* seps[-1] may be written */
    size_t room;           /* bytes of text */
    struct csv_scan_result result;
};

struct worker_io {
    struct ring *ring;
    uint32_t chunk; /* nominal chunk size */
    uint32_t buffer_count, buffer_size;
    uint8_t *block; /* buffer_count buffers of buffer_size + IO_SLACK, each from a page on; registered */
    struct ticket **in_buffer; /* whose read is in which buffer */
    struct worker_read *reads; /* and what it is */
    struct chunk_scan *scans;  /* one a buffer: what the scanner found in it */
    uint32_t scan_room;
    uint8_t *unquoted; /* scan_room bytes: cells whose doubled quotes were undone */
    uint8_t *grown;    /* a chunk whose last row is long, when it outgrows its buffer */
    uint32_t grown_size;
    struct cell *cells; /* CSV_COLUMNS_MAX + 1, for the row reader */
    struct norm_scratch scratch;
    struct record *record; /* RECORD_VAR_MAX + a line */
    /* fetch */
    uint8_t *window;
    uint64_t window_of; /* a file's serial; 0: none */
    uint64_t window_at;
    uint32_t window_size, window_room;
    uint8_t ahead; /* enum rows_ahead: of the row that is fetched */
    struct {
        uint64_t file, at,
            line; /* the row that was fetched last: a file's serial, 0: none; its byte and line */
    } last;
    /* Line numbers: how far lines were counted in a file of each side, and bytes of it. Places mostly come in
     * order. */
    struct line_count {
        uint64_t file;       /* its serial; 0: none */
        uint64_t at, line;   /* `line` newlines lie before byte `at` */
        uint8_t *bytes;      /* IO_WINDOW + IO_SLACK */
        uint64_t from, size; /* of the file */
    } lines[SIDES];
    /* Rows fetched again that lie close together: buffer and scan number `side`, which nobody reads into any more
     * by then. */
    struct row_stream {
        uint64_t file; /* its serial; 0: none */
        uint64_t begin;
        uint32_t stop; /* complete rows lie before this byte of the buffer */
        uint32_t at;   /* where row number `row` begins, whose separators begin at `sep` */
        uint32_t row, sep;
        uint64_t line; /* of `at`, from 1 */
        uint32_t row_count;
        int quoted;
    } streams[SIDES];
    void *binlog_rows; /* io/source/binlog_source.c's; freed by close */
    void (*binlog_rows_free)(void *rows);
    const void *binlog_owner;
    /* The row that was decoded again last: its TABLE_MAP where that lies far from its event, and its event with what is before it. */
    uint8_t *again[2];
    size_t again_room[2], again_size[2];
    uint64_t again_place[2]; /* one more than that of what lies there; 0: nothing does */
    const struct binlog_table *again_table;
    uint32_t again_timestamp;
    /* Bytes of a log that rows are read again from; in the buffer number `side`, which nobody reads into any more by then. */
    struct log_window {
        uint64_t file; /* a file's serial; 0: none */
        uint64_t at;
        size_t size;
        const uint8_t *bytes;
    } log_window;
    struct log_ahead *ahead_rows[SIDES]; /* rows of a log that were read ahead of fetch; NULL: none */
};

struct worker_io_config {
    enum ring_backend backend;
    uint32_t chunk, depth;
};

/* ERR_MACHINE when memory or io_uring is not to be had. `*fell_back` is set when io_uring was wanted but is
 * not there. */
enum err worker_io_open(struct worker_io **out, const struct worker_io_config *config, int *fell_back,
                        struct diag *diag);
void worker_io_close(struct worker_io *io);

static inline size_t worker_io_stride(const struct worker_io *io)
{
    return io->buffer_size + IO_PAGE;
}
static inline uint8_t *worker_io_buffer(const struct worker_io *io, uint32_t index)
{
    return io->block + (size_t)index * worker_io_stride(io);
}
/* Starts a ticket's read. */
struct worker_read {
    int fd, direct_fd; /* direct_fd: of the same file past the page cache; -1: none */
    uint64_t offset;
    size_t size;
    const char *path;
};
enum err worker_io_read(struct worker_io *io, struct ticket *ticket, const struct worker_read *read,
                        struct diag *diag);
/* Takes in finished reads; 1 when `ticket`'s is among them. */
int worker_io_arrived(struct worker_io *io, struct ticket *ticket, int wait);
/* Makes a buffer's scan hold `size` bytes of text. */
enum err worker_io_scan_room(struct worker_io *io, struct chunk_scan *scan, uint32_t size, struct diag *diag);
/* Makes `unquoted` hold a chunk of `size` bytes. */
enum err worker_io_unquote_room(struct worker_io *io, uint32_t size, struct diag *diag);

#endif
