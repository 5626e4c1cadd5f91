/* core/ops/source.h: the socket for sources: one side's inputs, whatever they are.
 *
 *     (opened by the factory in cli/registry.c)
 *       begin                    once
 *       claim, start, process    while streaming: chunks are claimed in one total order for both sides, under
 * the engine's lock finish                   when every chunk was processed: what can be said only of whole
 * files fetch                    rows that broke, again by place close
 *
 * A worker brings its own `struct worker_io` (ring and buffers; opaque here). Called once per chunk or per
 * list of rows, never per record.
 */
#ifndef TIEOUT_CORE_OPS_SOURCE_H
#define TIEOUT_CORE_OPS_SOURCE_H

#include "core/base/text.h"
#include "core/model/full.h"
#include "core/model/log_days.h"
#include "core/ops/outbox.h"
#include "core/rules/normalize.h"

struct worker_io;

/* A chunk that a worker has claimed. */
struct ticket {
    uint32_t side, file;
    uint32_t part;       /* of a side that has several */
    uint64_t begin, end; /* bytes in the file */
    uint64_t number;     /* of the chunk in its file */
    uint32_t buffer;     /* of the worker's */
    uint32_t state;      /* the source's own use */
    uint32_t
        unpacking; /* it is part of a packed file; of an answer STEP_IDLE: such a file's next bytes are not there yet */
    int64_t bytes_read; /* -1: still under way */
    void *extra; /* the source's own, one block of mem_take; freed by process, by the engine when the run
                    stops */
};

/* A row to fetch. */
struct row_ref {
    uint64_t place;
    union {
        struct {
            uint32_t back_event, back_map; /* images: see core/model/record.h, fold */
        };
        uint64_t order; /* of a crowd's item (crowd_bag.h): where its row stands in its order */
    };
    uint32_t row_index; /* images */
    uint32_t key_hash;  /* 32 bits of the first key's hash: rows of one key have the same */
    uint16_t record_flags;
    uint8_t side;
    uint8_t revisited; /* left as a pair before; its sums are in the match totals */
    uint8_t dup_suspect;
    uint8_t sleeps;   /* a final record: takes no part unless something wakes it; in no sum until then */
    uint8_t met;      /* an earlier key of its own was judged already: P1 is done with it */
    uint8_t gave_way; /* a newer image of its row stands in its place, and it is in no sum any more */
};

/* Which of `shares` a row goes to that is to be read again with many others: rows that lie near each other go together, so that a window
 * which one of them needs is read once for all. */
static inline uint32_t row_share(uint64_t place, uint32_t shares)
{
    enum { STRIPE_BITS = 18 };
    return (uint32_t)((place >> STRIPE_BITS) % shares);
}
static inline uint32_t row_ref_share(const struct row_ref *ref, uint32_t shares)
{
    return row_share(ref->place, shares);
}
_Static_assert(sizeof(struct row_ref) == 32, "two to half a line");

/* What a usual row of a plain source says, without being made a record of again. */
struct outline {
    struct span key,
        occurrence; /* its bytes: the first key's part besides the channel, and the id; until the next call */
    int64_t amount_micro;
    uint64_t order;     /* plain_order */
    uint32_t text_size; /* of the whole row */
    uint16_t day, status, channel;
    uint8_t currency, out, is_there; /* 0: nothing else is, and fetch has the last word */
};
enum { OUTLINES_MAX = 64 };

struct source_counts {
    uint64_t files, bytes, rows, records, rejects, blank_rows;
    uint64_t header_bytes, record_bytes, reject_bytes, other_bytes; /* I1: add up to `bytes` */
    uint64_t images_replayed, groups_rolled_back, groups_unfinished, events_ignored;
    uint64_t statements; /* changes that a log holds as text, on tables that are not read */
};

/* A row that could not become a record. */
struct reject {
    uint64_t place;
    uint32_t size;                            /* of its bytes, newline not counted */
    uint32_t back_event, back_map, row_index; /* images: as in struct row_ref */
    uint16_t column;                          /* of the source, from 0; 0xFFFF: none to blame */
    uint8_t code;                             /* enum reject_code */
    uint8_t side;
};

typedef enum err reject_take_fn(void *taker, const struct reject *reject, struct diag *diag);

/* A file that a source reads, for the manifest. */
struct source_file {
    const char *name;         /* as places show it; the source's */
    const char *path;         /* as opened */
    int fd;                   /* of the file, as it lies on the disk; -1: too many to be open all at once */
    uint64_t fd_of;           /* the same for entries of one archive */
    int is_direct;            /* read past the page cache */
    int is_warm;              /* read through it, and mostly there, or small */
    uint64_t file_size, rows; /* rows: known once the source is finished */
};

/* Gets the record of refs[number]; it lives until the call returns. */
typedef enum err record_take_fn(void *taker, uint32_t number, const struct record *record, struct diag *diag);

struct tap_files; /* core/ops/tap.h */
struct tap_sample;

struct source;
struct source_ops {
    /* Bytes to read in all; what progress is measured against. Of packed inputs a guess, which gets better while they are
     * unpacked. */
    uint64_t (*size)(const struct source *source);
    /* Starts what works in the background, such as unpacking; `folder` takes files without a name. Once, before
     * size and claim or scan. NULL: there is nothing to start. */
    enum err (*begin)(struct source *source, const char *folder, struct diag *diag);
    /* The next chunk. STEP_MORE: *ticket is filled; STEP_IDLE: it is not there yet; STEP_DONE: there is none;
     * STEP_FAILED. Under the engine's claim lock. */
    enum step (*claim)(struct source *source, struct worker_io *io, struct ticket *ticket, struct diag *diag);
    /* Starts its read into the worker's buffer. */
    enum err (*start)(struct source *source, struct worker_io *io, struct ticket *ticket, struct diag *diag);
    /* Called for every ticket in hand, often: once its bytes are there, does what later chunks wait for.
     * NULL: nothing to do. */
    enum err (*arrive)(struct source *source, struct worker_io *io, struct ticket *ticket, struct diag *diag);
    /* Decodes it. STEP_IDLE: must wait for another worker's chunk or for the disk; STEP_DONE: all of the
     * chunk went out. */
    enum step (*process)(struct source *source, struct worker_io *io, struct ticket *ticket,
                         struct outbox *outbox, struct diag *diag);
    /* Ends of files, unchanged files. One thread, after all chunks were processed and before anything is
     * judged. */
    enum err (*finish)(struct source *source, struct worker_io *io, struct diag *diag);
    /* Nothing will be read any more: ERR_INPUT where a file is not what it was when it was opened. Control thread. */
    enum err (*look_again)(struct source *source, struct diag *diag);
    /* Stops where `other`, another part of the side, tells the same rows under other ids. Called once for two parts, when both are
     * finished. NULL: that cannot be. */
    enum err (*apart)(struct source *source, struct source *other, struct diag *diag);
    /* An image that nothing replaced and that cannot become a record. Any worker. NULL: the source tells no
     * images. */
    enum err (*late_reject)(struct source *source, struct worker_io *io, const struct row_ref *ref,
                            struct diag *diag);
    /* Records of images once more, as `process` sent them, by `take` with their numbers in refs, which are sorted by place. Any worker,
     * while nobody decodes. NULL: the source tells no images. */
    enum err (*recall)(struct source *source, struct worker_io *io, const struct row_ref *refs,
                       uint32_t count, record_take_fn *take, void *taker, struct diag *diag);
    /* Holds the rejects against the limit. Control thread, at the end. */
    enum err (*limit_rejects)(struct source *source, struct worker_io *io, struct diag *diag);
    void (*counts)(const struct source *source, struct source_counts *counts);
    /* Fetches rows of this side, which are sorted by place, and fills rows[i] from refs[i] with memory from
     * `arena`. */
    enum err (*fetch)(struct source *source, struct worker_io *io, const struct row_ref *refs,
                      struct full *rows, uint32_t count, struct arena *arena, struct diag *diag);
    /* The same of some fields only, a bit each: see normalize_some. NULL: fetch does it. */
    enum err (*fetch_some)(struct source *source, struct worker_io *io, const struct row_ref *refs,
                           struct full *rows, uint32_t count, uint64_t fields, struct arena *arena,
                           struct diag *diag);
    /* Takes rows of this side, which are sorted by place, into this worker's memory, where `fetch` finds them until the call with count 0:
     * made for far more rows than are fetched at once, so that the source is gone through once for all of them. As many of the first as
     * fit into `bytes` bytes, with those of the calls before; the others fetch reads as ever. Count 0: gives them up. NULL: fetch has no use for it. */
    enum err (*ahead)(struct source *source, struct worker_io *io, const struct row_ref *refs, uint32_t count,
                      size_t bytes, struct diag *diag);
    /* Outlines of the first `*taken` of rows of this side, which are sorted by place; 0: these do not lie side by side, or are no plain source's.
     * NULL: it never is one. */
    enum err (*outlines)(struct source *source, struct worker_io *io, const struct row_ref *refs,
                         uint32_t count, struct outline out[OUTLINES_MAX], uint32_t *taken,
                         struct diag *diag);
    /* Of rows of this side, whose places are sorted, what match.csv needs: one lean row each, appended to `list`, with
     * its place and line. Made to be called with place after place; rows that lie close together are read
     * through. NULL: the source has no such way, and fetch does it. */
    enum err (*leans)(struct source *source, struct worker_io *io, const struct lean_plan *plan,
                      const uint64_t *places, uint32_t count, struct lean_list *list, struct diag *diag);
    /* Whether its rows can be told while they are read (tap.h), and of which files. Before `begin`. NULL or 0: they cannot. */
    int (*tap_files)(const struct source *source, struct tap_files *files);
    /* Where tap_files says so: looks at the lines of some bytes from `place` on. What is wrong with them is said by who reads them. */
    enum err (*tap_sample)(struct source *source, uint64_t place, const struct lean_plan *plan,
                           struct tap_sample *sample, struct diag *diag);
    /* Newlines in its file before the block of TAP_LINES bytes that begins at a place, and before each of those behind it, `count` of
     * them; once the source is finished. */
    void (*tap_lines)(const struct source *source, uint64_t place, uint32_t count, uint64_t *lines);
    /* The file in which a place lies: its name as places show it, where it begins and how long it is, in places.
     * A place of a source that has `leans` reads NAME:LINE@OFFSET where its lean row says a line; where it says 0, place_text knows. NULL
     * as `leans` is. */
    const char *(*place_file)(const struct source *source, uint64_t place, uint64_t *begin, uint64_t *size);
    /* "FILE:LINE@OFFSET" into out; its length. May read the file; 0 when that fails, with errno set and the
     * file's name in out. Any thread with its own io. */
    size_t (*place_text)(struct source *source, struct worker_io *io, const struct full *row, char *out,
                         size_t room);
    /* Gives all rejects to `take`, in no order of their own: there may be more than fit in memory. Control thread, after limit_rejects. */
    enum err (*rejects)(struct source *source, reject_take_fn *take, void *taker, struct diag *diag);
    /* A reject's raw bytes, place and column name. Control thread. */
    enum err (*reject_text)(struct source *source, struct worker_io *io, const struct reject *reject,
                            struct arena *arena, struct span *raw, struct span *place, struct span *column,
                            struct span *value, struct diag *diag);
    /* The files, in order; 0 behind the last. NULL: a source that keeps none apart. Control thread. */
    int (*file)(const struct source *source, uint32_t index, struct source_file *file);
    /* A log that is kept: its first file, as places show it; the source's. NULL, or a NULL: there is none. */
    const char *(*log_begin)(const struct source *source);
    /* What the next task of the book must know of a log's table, behind what other logs of the side said; once the source is finished. NULL:
     * the source is no log. */
    void (*log_tables)(const struct source *source, struct text *out);
    /* What its changes did to bill dates, added to `into`. 0: it is not asked, since it is no log of a file a day. NULL: the source is no
     * log. Once the source is finished. */
    int (*log_steps)(const struct source *source, struct log_steps *into);
    /* A log that begins in the middle of the server's: epoch microseconds of its first transaction, once that is read; TIME_NONE: none, or all
     * of it is here. `first` becomes the file's name, the source's. NULL: the source is no log. */
    int64_t (*log_since)(const struct source *source, const char **first);
    struct record_layout (*layout)(const struct source *source);
    /* Calls `row` for every record in order, calm path; for inspect. */
    enum err (*scan)(struct source *source, struct worker_io *io,
                     enum err (*row)(void *context, const struct full *full, struct diag *diag),
                     void *context, struct diag *diag);
    /* A task: opens files of final records, or of open ones, as one part more, and calls `row` for each as scan does; they can be fetched
     * from then on, and are in no count. One worker, while no other reads. NULL: the source is no task's. */
    enum err (*reopen)(struct source *source, struct worker_io *io, enum carried carried, const char **paths,
                       int count, enum err (*row)(void *context, const struct full *full, struct diag *diag),
                       void *context, struct diag *diag);
    void (*close)(struct source *source);
};

struct source {
    const struct source_ops *ops;
};

#endif
