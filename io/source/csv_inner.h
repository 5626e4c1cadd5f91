/* io/source/csv_inner.h: what the rooms of the CSV source share. Nobody else includes it.
 *
 *     csv_source.c     opened and closed; chunks are claimed
 *     csv_head.c       a file's header, or a bill's head; the rows' rules are compiled against the columns
 *     csv_chunk.c      a chunk's bytes are there: scanned, quotes told on, odd chunks byte by byte
 *     csv_rows.c       hot: rows of a plain CSV
 *     csv_bill_rows.c  hot: rows of a bill with a profile
 *     csv_tap.c        rows that match.csv is told of while they are read
 *     csv_admit.c      the end: trailers, sums, limits; rejects are shown
 *     csv_again.c      rows by their place: fetched again, shown, or all in order
 *
 * A file is cut into chunks of equal size. Chunk i owns the rows that begin behind the first newline at or
 * after its first byte, up to and with the one that begins behind the first newline at or after the next
 * chunk's first byte. Whether that newline ends a row or stands inside quotes is the one thing that a chunk
 * must know from those before, and since a stray quote spoils its row only up to the next newline (SPEC.md
 * section 2), one bit is enough. A chunk without quotes hands on what it was handed, so it says so as soon as
 * its bytes are there (csv_arrive), and workers go on side by side; only files with quotes go chunk after
 * chunk here.
 *
 *     bytes      |------- chunk 0 -------|------- chunk 1 -------|-------
 *     rows       [h][r][r][r][r][r][r][r][r  ][r][r][r][r][r][r][r  ][r]
 *     owner       0  0  0  0  0  0  0  0  0    1  1  1  1  1  1  1   2
 *
 * A row that runs over the chunk's end is read by its owner, from the overlap or, when it is long, by reading
 * on.
 */
#ifndef TIEOUT_IO_SOURCE_CSV_INNER_H
#define TIEOUT_IO_SOURCE_CSV_INNER_H

#include "core/base/mem.h"
#include "io/format/bill.h"
#include "io/format/csv.h"
#include "io/format/csv_scan.h"
#include "io/source/file_set.h"
#include "io/source/reject_list.h"
#include "io/source/sources.h"
#include "io/source/worker_io.h"
#include <pthread.h>
#include <stdatomic.h>

enum ticket_state { TICKET_NEW, TICKET_SCANNED, TICKET_EMPTY };

/* What is noted of a file's chunks, CSV_SEGMENT_CHUNKS at a time: how many there will be is not known while a file
 * is being unpacked. A segment is made when its first chunk is claimed. */
enum { CSV_SEGMENT_CHUNKS = 2048, CSV_MARKS_A_SUM = 32 };

struct csv_segment {
    _Atomic uint8_t *states; /* enum chunk_state */
    uint16_t *marks;         /* newlines per CSV_MARK_BYTES; NULL with odd chunk sizes */
};

struct csv_chain {
    _Atomic uint64_t resolved; /* a chunk whose start is known, times two, plus one if it is inside quotes:
                                  where to look on from */
};

/* What becomes of rows of one kind. */
struct csv_row_kind {
    struct normalizer *normalizer; /* NULL: the file has not the columns of this kind; `lacks` says which */
    char *lacks;
    const int *wanted; /* columns, in the normalizer's order */
    int wanted_count;
};

/* A line of a bill that is no row: of its head, of its trailer, or stray. */
struct csv_odd_line {
    uint64_t at;
    uint32_t size;
    uint16_t column;
    uint8_t code, is_head;
};

/* What a bill has besides the rows. */
struct csv_bill_file {
    struct bill *bill;
    struct csv_row_kind kinds[ROW_TYPES_MAX];
    struct csv_odd_line *odd; /* under the source's lock, as are the totals */
    uint32_t odd_count, odd_room;
    struct bill_totals totals;
    uint64_t last_row; /* where it begins */
    uint32_t separators;
};

struct csv_file {
    struct csv_chain chain;
    struct normalizer *normalizer;
    const int *wanted; /* columns, in the normalizer's order */
    int wanted_count;
    struct csv_bill_file *bill; /* a profile says what the rows are; NULL: a plain CSV */
    uint32_t column_count;
    char **names; /* header cells; column_count + 1, the last NULL */
    uint64_t data_begin;
    uint64_t first_chunk, next_chunk; /* next: to be claimed */
    struct csv_segment *segments;
    uint64_t segment_count;
    uint64_t *
        mark_sums; /* newlines before each CSV_MARKS_A_SUM'th mark; made by finish; NULL with odd chunk sizes */
    uint64_t reject_count; /* under the list's lock */
    _Atomic uint64_t rows, records, blank_rows, record_bytes, reject_bytes, other_bytes;
};

struct csv_source {
    struct source base;
    struct source_config config;
    const struct job *job;
    const struct source_spec *spec;
    struct csv_dialect dialect;
    struct file_set set;
    struct csv_file *files;
    uint64_t chunk;
    uint32_t claim_file; /* those before it are claimed to their end */
    struct reject_list rejects;
    pthread_mutex_t lock; /* of what files of bills collect */
};

static inline struct csv_source *csv_source_of(const struct source *source)
{
    return (struct csv_source *)source;
}

/* Bytes of a record without line end; 0: rows end with their lines. */
static inline uint32_t csv_record_size(const struct csv_file *file)
{
    return file->bill ? bill_record_size(file->bill->bill) : 0;
}

static inline char *const *csv_names(const struct csv_file *file)
{
    uint32_t count;
    return file->bill ? bill_names(file->bill->bill, &count) : file->names;
}

/* A chunk at hand. */
struct csv_work {
    struct csv_source *s;
    struct worker_io *io;
    struct csv_file *file;
    struct input_file *input;
    struct ticket *ticket;
    struct chunk_scan *scan;
    uint8_t *bytes;
    uint32_t size;    /* bytes there are */
    uint32_t nominal; /* chunk's own bytes */
    uint32_t record;  /* bytes of a record without line end; 0: rows end with their lines */
    int at_end;       /* bytes reach the end of the file */
    uint64_t records, rows, blank, record_bytes, reject_bytes, other_bytes;
    uint64_t last_row; /* of a bill: where it begins in the file, plus one */
};

/* ---- csv_head.c ---- */

enum err csv_read_header(struct csv_source *s, uint32_t index, struct diag *diag);
/* Finds where a bill's rows begin, and compiles each kind of row against its columns. */
enum err csv_read_bill_head(struct csv_source *s, uint32_t index, struct diag *diag);

/* Sets a bill's line that is no row aside. */
enum err csv_add_odd(struct csv_source *s, struct csv_bill_file *b, const struct csv_odd_line *line,
                     const char *path, struct diag *diag);

/* ---- csv_chunk.c ---- */

static inline int csv_has_marks(const struct csv_source *s)
{
    return s->chunk % CSV_MARK_BYTES == 0;
}
/* A chunk's marks, or NULL. */
uint16_t *csv_marks(const struct csv_source *s, const struct csv_file *file, uint64_t chunk);
/* Makes the segment that holds a chunk. Before any worker knows of the chunk. */
enum err csv_make_segment(struct csv_source *s, uint32_t index, uint64_t chunk, struct diag *diag);
/* Newlines of the header's blocks that lie before the first chunk. */
enum err csv_mark_header(struct csv_source *s, uint32_t index, struct diag *diag);
/* The chunk's bytes are there: scan them, and tell the chunks behind if no quote is in the way. */
enum err csv_arrive(struct source *source, struct worker_io *io, struct ticket *ticket, struct diag *diag);
enum step csv_process(struct source *source, struct worker_io *io, struct ticket *ticket,
                      struct outbox *outbox, struct diag *diag);

/* ---- csv_rows.c, csv_bill_rows.c ---- */

enum err csv_add_reject(struct csv_work *w, uint32_t at, uint32_t size, enum reject_code code,
                        uint32_t column, struct diag *diag);
static inline int csv_is_comment(const struct csv_source *s, const uint8_t *row, uint32_t size)
{
    const char *comment = s->spec->layout.comment;
    size_t n = comment ? strlen(comment) : 0;
    return n && size >= n && memcmp(row, comment, n) == 0;
}
/* One row whose wanted cells are at hand. `begin`..`next` are its bytes, `size` those without the line end.
 */
enum err csv_take_row(struct csv_work *w, const struct cell *cells, uint32_t begin, uint32_t size,
                      uint32_t next, struct outbox *outbox, struct diag *diag);
/* A row that cannot be one: a comment, or a reject. */
enum err csv_reject_row(struct csv_work *w, uint32_t begin, uint32_t size, uint32_t next,
                        enum reject_code code, uint32_t column, struct diag *diag);
/* All rows that the scanner found in a chunk. */
enum err csv_take_scanned(struct csv_work *w, const struct csv_scan_result *scan, uint32_t first_row,
                          int quoted, struct outbox *outbox, struct diag *diag);

/* csv_take_scanned for bills; quotes are the profile's affair. */
enum err csv_take_bill_rows(struct csv_work *w, const struct csv_scan_result *scan, uint32_t first_row,
                            struct outbox *outbox, struct diag *diag);
/* All records that begin in a chunk, from `first` on, in a layout without line ends. */
enum err csv_take_records(struct csv_work *w, uint32_t first, struct outbox *outbox, struct diag *diag);
/* Whether nothing but a line end is left: of a file without line ends, the one that stands behind its last record. */
static inline int csv_is_line_end(const uint8_t *bytes, uint32_t left)
{
    return (left == 1 && bytes[0] == '\n') || (left == 2 && bytes[0] == '\r' && bytes[1] == '\n');
}
/* The file does not end where a record does. */
enum err csv_record_cut(const struct input_file *input, uint64_t at, uint32_t record, struct diag *diag);
/* A row that the scanner did not cut as the profile says: cut byte by byte, or no row at all. */
enum err csv_take_odd_bill_row(struct csv_work *w, uint32_t begin, uint32_t next, struct bill_totals *totals,
                               struct outbox *outbox, struct diag *diag);
/* Adds a chunk's sums to its file's. */
void csv_keep_totals(struct csv_work *w, const struct bill_totals *totals);

/* ---- csv_admit.c ---- */

enum err csv_finish(struct source *source, struct worker_io *io, struct diag *diag);
enum err csv_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag);
/* Holds every bill's rows against what its trailer says. */
enum err csv_check_bills(struct csv_source *s, struct worker_io *io, struct diag *diag);
enum err csv_reject_text(struct source *source, struct worker_io *io, const struct reject *reject,
                         struct arena *arena, struct span *raw, struct span *place, struct span *column,
                         struct span *value, struct diag *diag);
enum err csv_show_reject(struct csv_source *s, struct worker_io *io, const struct reject *reject,
                         struct diag *diag);

/* ---- csv_again.c ---- */

/* Makes the window hold the file's bytes from `at` on, at least `want` of them or up to the file's end. */
enum err csv_window(struct csv_source *s, struct worker_io *io, struct input_file *input, uint64_t at,
                    uint32_t want, const uint8_t **bytes, uint32_t *size, struct diag *diag);
/* The line in which a byte lies, from 1; 0 when the file cannot be read, with errno set. */
uint64_t csv_line(struct csv_source *s, struct worker_io *io, uint32_t index, uint64_t at);
enum err csv_fetch(struct source *source, struct worker_io *io, const struct row_ref *refs, struct full *rows,
                   uint32_t count, struct arena *arena, struct diag *diag);
enum err csv_outlines(struct source *source, struct worker_io *io, const struct row_ref *refs, uint32_t count,
                      struct outline out[OUTLINES_MAX], uint32_t *taken, struct diag *diag);
enum err csv_fetch_some(struct source *source, struct worker_io *io, const struct row_ref *refs,
                        struct full *rows, uint32_t count, uint64_t fields, struct arena *arena,
                        struct diag *diag);
enum err csv_leans(struct source *source, struct worker_io *io, const struct lean_plan *plan,
                   const uint64_t *places, uint32_t count, struct lean_list *list, struct diag *diag);
const char *csv_place_file(const struct source *source, uint64_t place, uint64_t *begin, uint64_t *size);
size_t csv_place(struct source *source, struct worker_io *io, uint64_t place, char *out, size_t room);
size_t csv_place_text(struct source *source, struct worker_io *io, const struct full *row, char *out,
                      size_t room);
enum err csv_scan_all(struct source *source, struct worker_io *io,
                      enum err (*row_fn)(void *context, const struct full *full, struct diag *diag),
                      void *context, struct diag *diag);

/* ---- csv_tap.c ---- */

int csv_tap_files(const struct source *source, struct tap_files *out);
enum err csv_tap_sample(struct source *source, uint64_t place, const struct lean_plan *plan,
                        struct tap_sample *sample, struct diag *diag);
void csv_tap_lines(const struct source *source, uint64_t place, uint32_t count,
                   uint64_t *lines); /* csv_again.c */
/* Puts a row's record and tells the outbox's tap of it, or only that where the tap takes it. The record is the worker's, the cells
 * are the normalizer's. */
enum err csv_put_and_tell(struct csv_work *w, const struct normalizer *normalizer, const struct cell *cells,
                          uint32_t units, uint32_t begin, uint32_t next, struct outbox *outbox,
                          struct diag *diag);

#endif
