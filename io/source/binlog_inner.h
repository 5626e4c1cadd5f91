/* io/source/binlog_inner.h: what the rooms of the log source share. Nobody else includes it.
 *
 *     binlog_source.c    opened and closed; a ticket's rows become records, counts at the end
 *     binlog_claim.c     bytes are read and walked over, in order, and given out as tickets
 *     binlog_partial.c   images in part: the log is gone over once more
 *     binlog_again.c     rows by their place: fetched again, shown; rejects
 */
#ifndef TIEOUT_IO_SOURCE_BINLOG_INNER_H
#define TIEOUT_IO_SOURCE_BINLOG_INNER_H

#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/format/binlog.h"
#include "io/format/gtid_set.h"
#include "io/source/file_set.h"
#include "io/source/image_fold.h"
#include "io/source/log_columns.h"
#include "io/source/log_order.h"
#include "io/source/log_run.h"
#include "io/source/log_schema.h"
#include "io/source/log_twice.h"
#include "io/source/reject_list.h"
#include "io/source/segments.h"
#include "io/source/sources.h"
#include "io/source/worker_io.h"
#include <pthread.h>
#include <stdatomic.h>

enum { TICKET_WHOLE = 0, TICKET_PIECES = 1, TICKET_FOLD = 2 };

/* What a ticket carries besides its bytes. */
struct piece {
    struct binlog_format format;
    /* In the ticket's bytes: what the walk went over there and not in an earlier read. */
    size_t walked_from, walked_to;
    size_t group_count;
    struct binlog_group groups[];
};

/* A piece to decode out of turn: a long or late-decided transaction. */
struct late_piece {
    uint32_t file;
    uint64_t begin, end;
    struct piece *piece;
};

/* A compiled normalizer for each version of the table's schema. */
struct version {
    uint64_t content_hash;
    struct normalizer *normalizer;
};

/* Groups that ended in the last steps, collected until a ticket takes them. */
struct ended {
    struct binlog_group *groups;
    size_t count, room;
};

struct binlog_source {
    struct source base;
    struct source_config config;
    const struct job *job;
    const struct source_spec *spec;
    struct file_set set;
    struct binlog_format *formats; /* by file */
    struct log_order order;
    int borrows;              /* set and order are those of a source that goes over its log once more */
    struct segments segments; /* SOURCE_REPLICA: where they are from */
    struct log_columns columns;
    /* walking; under the engine's claim lock */
    struct binlog_walk *walk;
    struct ended ended;
    uint32_t file;
    int file_begun;
    uint64_t decoded, walked; /* offsets in the file: given out; gone over */
    uint64_t whole_end;       /* in the last file: where its last whole transaction ends */
    int is_cut;               /* its server was writing an event there */
    size_t given;             /* bytes that were given out last; 0: of this file nothing was */
    struct late_piece *late;  /* in the order of the log, from late_first on */
    size_t late_first, late_count, late_room;
    uint8_t *far; /* bytes of a group that outgrew the buffer; only walked */
    size_t far_room;
    struct gtid_set seen;
    uint64_t replayed_groups;
    uint32_t begun_at;            /* epoch seconds of the first transaction; 0: none yet */
    struct log_sample *sample;    /* of one of several logs of a side; else NULL */
    struct binlog_gtid last_gtid; /* of the group told of last, and what became of it */
    uint32_t last_file;
    uint64_t last_end;
    int last_seen;
    uint64_t transactions_told, groups_told; /* by the walk; groups: those with rows to decode */
    _Atomic uint64_t groups_decoded;
    char expected_next[256];
    /* shared by workers */
    pthread_mutex_t lock;
    struct version *versions;
    size_t version_count;
    struct log_schema schema;
    struct text kept; /* what the next task is told of the table */
    /* A task whose log has a file a day: */
    int tells_steps;
    uint64_t since;         /* changes from this place on are new */
    struct log_steps steps; /* under `lock` */
    struct reject_list rejects;
    uint64_t reject_count; /* under the list's lock */
    _Atomic uint64_t rows, records;
    /* images in part */
    int folds; /* 0: they stop (inspect, and a source that folds for another) */
    int in_order; /* who reads it is alone and wants each row's images one after the other, XA transactions' too */
    _Atomic uint32_t tickets_open, has_parts;
    int fold_given; /* under the claim lock */
    struct image_fold fold;
    struct record_layout record_layout;
};

static inline struct binlog_source *of(const struct source *source)
{
    return (struct binlog_source *)source;
}

/* What one worker decodes with. */
struct decoding {
    struct binlog_source *s;
    struct worker_io *io;
    struct input_file *input;
    struct outbox *outbox;
    const struct binlog_table *table; /* of the normalizer at hand */
    const struct normalizer *normalizer;
    const int *wanted;
    int wanted_count;
    uint64_t rows, records;
    const struct binlog_format *format; /* of the file */
    int by_cells;                       /* each row is asked for its bill date */
    struct log_run run;                 /* usual rows; its own count of records */
    /* changes go here instead: folding */
    enum err (*change_fn)(struct decoding *d, const struct binlog_row *row, struct diag *diag);
    struct binlog_source *owner; /* whom they are folded for */
    /* inspect: rows go here instead of the outbox */
    enum err (*row_fn)(void *context, const struct full *full, struct diag *diag);
    void *context;
    struct arena *arena;
};

/* binlog_source.c */
void binlog_close(struct source *source);
/* Another source over the same files, as long and in the order that `lender` has them; it is begun already, and closed first. */
enum err binlog_open_again(struct source **out, const struct binlog_source *lender, struct diag *diag);
int binlog_find_column(void *context, const char *name);
/* The normalizer of a version of the table; compiled when it is met first. */
enum err binlog_version_of(struct binlog_source *s, const struct binlog_table *table, const char *file,
                           const struct normalizer **out, struct diag *diag);
/* This worker's decoder. */
enum err binlog_rows_of(struct binlog_source *s, struct worker_io *io, struct binlog_rows **rows,
                        struct diag *diag);
/* Does an image lack what the job reads? */
int binlog_is_part(const struct decoding *d, const struct binlog_row *row);
/* A change's cells as the job wants them. */
enum err binlog_take_cells(struct decoding *d, const struct binlog_row *row, const struct cell *before,
                           const struct cell *after, struct diag *diag);
enum step binlog_decode_ticket(struct binlog_source *s, struct worker_io *io, struct ticket *ticket,
                               struct decoding d, struct diag *diag);

/* binlog_claim.c: under the claim lock. STEP_DONE at the end, STEP_IDLE: the rest waits for what was given out. */
enum step binlog_claim_next(struct source *source, struct worker_io *io, struct ticket *ticket,
                            struct diag *diag);

/* binlog_partial.c: the rows that were passed over. */
enum err binlog_fold_parts(struct binlog_source *s, struct worker_io *io, uint32_t buffer,
                           struct outbox *outbox, struct diag *diag);

/* binlog_again.c. A place as text; 0 with the file's name in `out` when a segment cannot be read. */
size_t binlog_place_of(struct binlog_source *s, uint64_t place, uint32_t back_event, uint32_t row_index,
                       char *out, size_t room);
enum err binlog_fetch(struct source *source, struct worker_io *io, const struct row_ref *refs,
                      struct full *rows, uint32_t count, struct arena *arena, struct diag *diag);
enum err binlog_ahead(struct source *source, struct worker_io *io, const struct row_ref *refs, uint32_t count,
                      size_t bytes, struct diag *diag);
size_t binlog_place_text(struct source *source, struct worker_io *io, const struct full *row, char *out,
                         size_t room);
enum err binlog_late_reject(struct source *source, struct worker_io *io, const struct row_ref *ref,
                            struct diag *diag);
enum err binlog_recall(struct source *source, struct worker_io *io, const struct row_ref *refs,
                       uint32_t count, record_take_fn *take, void *taker, struct diag *diag);
enum err binlog_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag);
enum err binlog_rejects(struct source *source, reject_take_fn *take, void *taker, struct diag *diag);
enum { BINLOG_ROW_TEXT = 8192 };
/* A row as text; its size. */
size_t binlog_row_text(const struct binlog_table *table, const struct cell *image,
                       char text[BINLOG_ROW_TEXT]);
enum err binlog_reject_text(struct source *source, struct worker_io *io, const struct reject *reject,
                            struct arena *arena, struct span *raw, struct span *place, struct span *column,
                            struct span *value, struct diag *diag);

#endif
