/* io/source/binlog_source.c: a log's files, walked by one worker at a time, decoded by all.
 *
 * claim reads the next bytes and walks them (io/format/binlog.h): that finds whole transactions and how they
 * ended, and is little work. The bytes and the list of groups are the ticket; decoding them is the most of
 * the work and needs no lock. A transaction that is larger than a buffer becomes a ticket whose bytes are
 * read again, piece by piece, by the worker that decodes it. An XA transaction that is decided long after its
 * rows were logged becomes such a ticket too.
 *
 * Row images become records with RECORD_IMAGE: INSERT and UPDATE give the after-image; an UPDATE that changes
 * the key or the primary key also gives a tombstone under the old one; DELETE gives a voided record. The
 * index folds them (core/ops/index.h).
 *
 * An image without all that the job reads (MINIMAL, NOBLOB) is passed over at first: absent is not NULL. If there were any, one
 * worker goes over the log twice more when the rest is decoded, in its order: which rows they are of; and what these rows were, whole
 * images and parts of them laid over each other (image_fold.h). A part of a row that was never seen whole stops.
 */
#include "core/base/mem.h"
#include "io/format/binlog.h"
#include "io/format/gtid_set.h"
#include "io/ring/sys.h"
#include "io/source/file_set.h"
#include "io/source/image_fold.h"
#include "io/source/log_columns.h"
#include "io/source/log_name.h"
#include "io/source/log_run.h"
#include "io/source/query.h"
#include "io/source/reject_list.h"
#include "io/source/segments.h"
#include "io/source/sources.h"
#include "io/source/worker_io.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { TICKET_WHOLE = 0, TICKET_PIECES = 1, TICKET_FOLD = 2 };

/* What a ticket carries besides its bytes. */
struct piece {
    struct binlog_format format;
    size_t walked_from,
        walked_to; /* in the ticket's bytes: what the walk went over there and not in an earlier read */
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
    struct segments segments;      /* SOURCE_REPLICA: where they are from */
    struct log_columns columns;
    /* walking; under the engine's claim lock */
    struct binlog_walk *walk;
    struct ended ended;
    uint32_t file;
    int file_begun;
    uint64_t decoded, walked; /* offsets in the file: given out; gone over */
    struct late_piece *late;  /* in the order of the log, from late_first on */
    size_t late_first, late_count, late_room;
    uint8_t *far; /* bytes of a group that outgrew the buffer; only walked */
    size_t far_room;
    struct gtid_set seen;
    uint64_t replayed_groups;
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
    struct reject_list rejects;
    _Atomic uint64_t rows, records;
    /* images in part */
    int folds; /* 0: they stop (inspect, and a source that folds for another) */
    char folder[4096];
    _Atomic uint32_t tickets_open, has_parts;
    int fold_given; /* under the claim lock */
    struct image_fold fold;
    struct record_layout record_layout;
};

static struct binlog_source *of(const struct source *source)
{
    return (struct binlog_source *)source;
}

static const struct source_ops binlog_ops;
static size_t place_of(struct binlog_source *s, uint64_t place, uint32_t back_event, uint32_t row_index,
                       char *out, size_t room);

static void binlog_close(struct source *source)
{
    struct binlog_source *s = of(source);
    binlog_walk_close(s->walk);
    for (size_t i = 0; i < s->version_count; i++)
        normalizer_close(s->versions[i].normalizer);
    mem_give(s->versions);
    for (size_t i = s->late_first; i < s->late_count; i++)
        mem_give(s->late[i].piece);
    mem_give(s->late);
    mem_give(s->ended.groups);
    image_fold_fini(&s->fold);
    gtid_set_fini(&s->seen);
    mem_give(s->far);
    reject_list_fini(&s->rejects);
    mem_give(s->formats);
    segments_close(&s->segments);
    file_set_close(&s->set);
    pthread_mutex_destroy(&s->lock);
    mem_give(s);
}

/* The rows of a query become a file, which is all there is from then on. */
static enum err pull(struct binlog_source *s, struct diag *diag)
{
#if TIEOUT_MYSQL
    char path[4096];
    uint64_t size = 0;
    enum err err = query_pull(path, &size, s->job, s->config.side, s->config.date, diag);
    return err == OK ? file_set_add(&s->set, path, size, diag) : err;
#else
    (void)s;
    return diag_set(diag, ERR_USAGE, "query.built", "install libmariadb-dev and build again",
                    "this program was built without libmariadb");
#endif
}

enum err binlog_source_open(struct source **out, const struct source_config *config, struct diag *diag)
{
    *out = NULL;
    struct binlog_source *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "a source");
    s->base.ops = &binlog_ops;
    s->config = *config;
    s->job = config->shared->job;
    s->spec = &s->job->sources[config->side];
    pthread_mutex_init(&s->lock, NULL);
    reject_list_init(&s->rejects);
    image_fold_init(&s->fold);
    s->folds = s->spec->kind == SOURCE_BINLOG;
    log_columns_init(&s->columns, s->spec);
    s->record_layout = normalizer_layout_of(s->job, config->side);
    enum err err = OK;
    if (s->spec->kind == SOURCE_REPLICA) {
        char directory[4096];
        err = segments_directory(directory, sizeof directory, s->job, config->side, diag);
        if (err == OK)
            err = segments_open(&s->segments, &s->set, directory, diag);
    } else if (s->spec->kind == SOURCE_QUERY) {
        err = pull(s, diag);
    } else {
        err = file_set_open(&s->set, s->job, config->side, config->date, 1, diag);
    }
    file_set_shift(&s->set, config->place_base);
    if (err == OK)
        err = binlog_walk_open(&s->walk, &s->columns.options, diag);
    if (err == OK) {
        s->formats = mem_take_zero((size_t)s->set.count + 1, sizeof *s->formats);
        if (!s->formats)
            err = mem_fail(diag, s->set.count * sizeof *s->formats, "the list of logs");
    }
    if (err != OK) {
        binlog_close(&s->base);
        return err;
    }
    *out = &s->base;
    return OK;
}

/* ---- walking ---- */

/* Logs are walked by pread, so packed ones are unpacked first, side by side. */
static enum err binlog_begin(struct source *source, const char *folder, struct diag *diag)
{
    struct binlog_source *s = of(source);
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    enum err err = file_set_begin(&s->set, folder, s->config.workers, diag);
    return err == OK ? file_set_settle(&s->set, diag) : err;
}

static uint64_t binlog_size(const struct source *source)
{
    return of(source)->set.size;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Takes one group into `ended`, which stays in order of offsets. A transaction that the log holds twice
 * counts once; one that a ROLLBACK TO cut into parts is told of part by part, side by side, under one GTID.
 */
static enum err collect_group(struct binlog_source *s, struct ended *ended, const struct binlog_group *told,
                              struct diag *diag)
{
    struct binlog_group group = *told;
    int part = group.is_part && s->last_end == group.begin && s->last_file == group.file_index &&
               s->last_gtid.kind == group.gtid.kind &&
               memcmp(&s->last_gtid, &group.gtid, sizeof group.gtid) == 0;
    if (!part) {
        int seen = gtid_set_add(&s->seen, &group.gtid);
        if (seen < 0)
            return mem_fail(diag, 0, "the list of GTIDs");
        s->last_seen = seen;
        s->transactions_told++;
        s->replayed_groups += (uint64_t)seen;
    }
    s->last_gtid = group.gtid;
    s->last_file = group.file_index;
    s->last_end = group.end;
    if (s->last_seen)
        group.committed = 0;
    s->groups_told += group.committed;
    if (ended->count == ended->room) {
        size_t room = ended->room ? ended->room * 2 : 64;
        struct binlog_group *grown = mem_grow(ended->groups, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "transactions");
        ended->groups = grown;
        ended->room = room;
    }
    size_t at = ended->count++;
    for (; at > 0 && ended->groups[at - 1].file_index == group.file_index &&
           ended->groups[at - 1].begin > group.begin;
         at--)
        ended->groups[at] = ended->groups[at - 1];
    ended->groups[at] = group;
    return OK;
}

/* All groups that the last step told of: those inside its bytes, and those that began before. */
static enum err collect(struct binlog_source *s, struct ended *ended, struct diag *diag)
{
    size_t count, behind_count;
    const struct binlog_group *groups = binlog_walk_groups(s->walk, &count),
                              *behind = binlog_walk_behind(s->walk, &behind_count);
    enum err err = OK;
    for (size_t i = 0; err == OK && i < behind_count; i++)
        err = collect_group(s, ended, &behind[i], diag);
    for (size_t i = 0; err == OK && i < count; i++)
        err = collect_group(s, ended, &groups[i], diag);
    return err;
}

static struct piece *make_piece(const struct binlog_format *format, const struct binlog_group *groups,
                                size_t count)
{
    struct piece *piece = mem_take(sizeof *piece + count * sizeof *groups);
    if (piece) {
        piece->format = *format;
        piece->walked_from = piece->walked_to = 0;
        piece->group_count = count;
        if (count)
            memcpy(piece->groups, groups, count * sizeof *groups);
    }
    return piece;
}

/* Notes a piece that is read again when it is decoded. */
static enum err put_late(struct binlog_source *s, uint32_t file, uint64_t begin, uint64_t end,
                         const struct binlog_group *groups, size_t count, struct diag *diag)
{
    if (s->late_first == s->late_count)
        s->late_first = s->late_count = 0;
    if (s->late_count == s->late_room) {
        size_t room = s->late_room ? s->late_room * 2 : 8;
        struct late_piece *grown = mem_grow(s->late, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "late transactions");
        s->late = grown;
        s->late_room = room;
    }
    struct piece *piece = make_piece(&s->formats[file], groups, count);
    if (!piece)
        return mem_fail(diag, count * sizeof *groups, "late transactions");
    s->late[s->late_count++] = (struct late_piece){file, begin, end, piece};
    return OK;
}

/* The log's own word for what follows must be what was given next. */
static enum err check_order(struct binlog_source *s, struct diag *diag)
{
    if (!s->expected_next[0] || s->file == 0)
        return OK;
    uint64_t expected = log_number(s->expected_next),
             given = log_number(base_name(s->set.files[s->file].path));
    if (expected == UINT64_MAX || given == UINT64_MAX || given <= expected)
        return OK;
    return diag_set(diag, ERR_INPUT, "binlog.gap",
                    "bring the missing files; rows in them would be lost without a word",
                    "%s is followed by %s, and the next file given is %s", s->set.files[s->file - 1].path,
                    s->expected_next, s->set.files[s->file].path);
}

static enum err end_file(struct binlog_source *s, struct diag *diag)
{
    int newest = s->file + 1 == s->set.count;
    uint64_t size = s->set.files[s->file].size;
    snprintf(s->expected_next, sizeof s->expected_next, "%s", binlog_walk_next_name(s->walk));
    enum err err = binlog_walk_end(s->walk, newest, (size_t)(size - s->walked), diag);
    s->file++;
    s->file_begun = 0;
    return err;
}

static enum step failed(enum err err)
{
    return err == OK ? STEP_MORE : STEP_FAILED;
}

/* Takes groups of another place than [begin, end) of this file out of `ended`: they are decoded apart. */
static enum err split_off(struct binlog_source *s, struct ended *ended, uint64_t begin, struct diag *diag)
{
    size_t kept = 0;
    for (size_t i = 0; i < ended->count; i++) {
        const struct binlog_group *group = &ended->groups[i];
        if (group->file_index == s->file && group->begin >= begin && !group->xa) {
            ended->groups[kept++] = *group;
            continue;
        }
        if (!group->committed)
            continue;
        enum err err = put_late(s, group->file_index, group->begin, group->end, group, 1, diag);
        if (err != OK)
            return err;
    }
    ended->count = kept;
    return OK;
}

/* The end of the log, if no row was told in part; else once more over it, when all that was given out is decoded. */
static enum step claim_fold(struct binlog_source *s, struct ticket *ticket)
{
    if (!s->folds || s->fold_given)
        return STEP_DONE;
    /* acquire: pairs with the release in binlog_process */
    if (atomic_load_explicit(&s->tickets_open, memory_order_acquire) != 0)
        return STEP_IDLE;
    s->fold_given = 1;
    if (!atomic_load_explicit(&s->has_parts, memory_order_relaxed))
        return STEP_DONE;
    ticket->file = 0;
    ticket->begin = ticket->end = 0;
    ticket->extra = NULL;
    ticket->state = TICKET_FOLD;
    ticket->bytes_read = 0;
    return STEP_MORE;
}

static enum step claim_next(struct source *source, struct worker_io *io, struct ticket *ticket,
                            struct diag *diag)
{
    struct binlog_source *s = of(source);
    struct ended *const ended = &s->ended;
    enum err err = OK;
    ended->count = 0;
    ticket->side = s->config.side;
    for (;;) {
        if (s->late_first < s->late_count) {
            struct late_piece late = s->late[s->late_first++];
            ticket->file = late.file;
            ticket->begin = late.begin;
            ticket->end = late.end;
            ticket->extra = late.piece;
            ticket->state = TICKET_PIECES;
            ticket->bytes_read = 0;
            return STEP_MORE;
        }
        if (s->file == s->set.count)
            return claim_fold(s, ticket);
        struct input_file *input = &s->set.files[s->file];
        if (!s->file_begun) {
            if ((err = check_order(s, diag)) != OK)
                return STEP_FAILED;
            binlog_walk_file(s->walk, input->path, s->file, input->size);
            s->decoded = s->walked = 0;
            s->file_begun = 1;
        }
        /* Bytes from what is not given out yet; of them the walk has gone over some. */
        uint8_t *bytes = worker_io_buffer(io, ticket->buffer);
        uint64_t left = input->size - s->decoded;
        size_t size = left < io->chunk + (uint64_t)IO_OVERLAP ? (size_t)left : io->chunk + IO_OVERLAP;
        ssize_t n = size ? input_pread(input, bytes, size, s->decoded) : 0;
        if (n < 0 || (size_t)n != size) {
            if (n < 0)
                diag_set_errno(diag, (int)-n, "read", "%s: cannot read %zu bytes at byte %llu", input->path,
                               size, (unsigned long long)s->decoded);
            else
                diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                         "%s became shorter while it was read", input->path);
            return STEP_FAILED;
        }
        size_t skip = (size_t)(s->walked - s->decoded), taken = 0, walked_here = 0;
        enum step step = STEP_IDLE;
        if (skip <= size) {
            step = binlog_walk_step(s->walk, bytes + skip, size - skip, s->walked, SIZE_MAX, &taken, diag);
            s->walked += taken;
            walked_here = taken;
            err = step == STEP_FAILED ? diag->err : collect(s, ended, diag);
        }
        /* Not even one group ended in what fits: walk on with bytes that are only looked at. */
        while (err == OK && step == STEP_IDLE && binlog_walk_pending_begin(s->walk) == s->decoded &&
               s->walked < input->size) {
            size_t want = binlog_walk_need(s->walk);
            if (want < io->chunk)
                want = io->chunk;
            if (want > input->size - s->walked) {
                if (binlog_walk_need(s->walk) > input->size - s->walked)
                    break; /* the file ends inside an event: binlog_walk_end says so */
                want = (size_t)(input->size - s->walked);
            }
            if (want > s->far_room) {
                mem_give(s->far);
                s->far_room = 0;
                s->far = mem_take(want);
                if (!s->far) {
                    err = mem_fail(diag, want, "a long transaction");
                    break;
                }
                s->far_room = want;
            }
            n = input_pread(input, s->far, want, s->walked);
            if (n < 0 || (size_t)n != want) {
                err = diag_set_errno(diag, n < 0 ? (int)-n : 5, "read", "%s: cannot read at byte %llu",
                                     input->path, (unsigned long long)s->walked);
                break;
            }
            step = binlog_walk_step(s->walk, s->far, want, s->walked, 1, &taken, diag);
            s->walked += taken;
            err = step == STEP_FAILED ? diag->err : collect(s, ended, diag);
        }
        uint64_t begin = s->decoded, end = binlog_walk_pending_begin(s->walk);
        if (s->walked > 0)
            s->formats[s->file] = *binlog_walk_format(s->walk);
        int at_end = step == STEP_DONE || s->walked == input->size || (step == STEP_IDLE && end == begin);
        if (err == OK && at_end) {
            err = end_file(s, diag);
            if (err == OK)
                end =
                    input
                        ->size; /* an unfinished transaction at the end is verified, and counts for nothing */
            s->file--;
        }
        if (err == OK)
            err = split_off(s, ended, begin, diag);
        struct piece *piece =
            err == OK ? make_piece(&s->formats[s->file], ended->groups, ended->count) : NULL;
        if (err == OK && !piece)
            err = mem_fail(diag, ended->count * sizeof *ended->groups, "transactions");
        ended->count = 0;
        if (err != OK)
            return STEP_FAILED;
        piece->walked_from = skip;
        piece->walked_to = skip + walked_here;
        ticket->file = s->file;
        ticket->begin = begin;
        ticket->end = end;
        ticket->extra = piece;
        ticket->state = end - begin <= size ? TICKET_WHOLE : TICKET_PIECES;
        ticket->bytes_read = (int64_t)(end - begin);
        s->decoded = end;
        if (at_end)
            s->file++;
        if (end == begin) {
            mem_give(piece);
            ticket->extra = NULL;
            continue;
        }
        return failed(err);
    }
}

static enum step binlog_claim(struct source *source, struct worker_io *io, struct ticket *ticket,
                              struct diag *diag)
{
    enum step step = claim_next(source, io, ticket, diag);
    if (step == STEP_MORE)
        atomic_fetch_add_explicit(&of(source)->tickets_open, 1, memory_order_relaxed);
    return step;
}

static enum err binlog_start(struct source *source, struct worker_io *io, struct ticket *ticket,
                             struct diag *diag)
{
    (void)source;
    (void)io;
    (void)ticket;
    (void)diag;
    return OK; /* claim has read what it walked over */
}

/* ---- decoding ---- */

static int find_column(void *context, const char *name)
{
    const struct binlog_table *table = context;
    for (uint32_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* The normalizer of a version of the table; compiled when it is met first. */
static enum err version_of(struct binlog_source *s, const struct binlog_table *table, const char *file,
                           const struct normalizer **out, struct diag *diag)
{
    *out = NULL;
    enum err err = OK;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->version_count && !*out; i++)
        if (s->versions[i].content_hash == table->content_hash)
            *out = s->versions[i].normalizer;
    if (!*out) {
        const char *key[OCCURRENCE_PARTS_MAX + 1] = {NULL};
        if (s->spec->occurrence_count == 0 &&
            (!table->key_known || table->key_count == 0 || table->key_count > OCCURRENCE_PARTS_MAX))
            err = diag_set(diag, ERR_INPUT, "binlog.key",
                           "name the columns that identify a row with `occurrence_id:`, or SET GLOBAL "
                           "binlog_row_metadata=FULL on the server",
                           "%s: table %s.%s: %s, so row changes cannot be told apart", file, table->database,
                           table->name,
                           !table->key_known       ? "the log does not tell its primary key"
                           : table->key_count == 0 ? "it has no primary key"
                                                   : "its primary key has more than 4 columns");
        for (uint32_t i = 0; err == OK && i < table->key_count && i < OCCURRENCE_PARTS_MAX; i++)
            key[i] = table->columns[table->key_columns[i]].name;
        /* A FLOAT or DOUBLE has no exact amount: what the log holds is not what somebody wrote. */
        enum { TYPE_FLOAT = 4, TYPE_DOUBLE = 5 };
        const unsigned money[] = {FIELD_AMOUNT, FIELD_FEE};
        for (size_t i = 0; err == OK && i < sizeof money / sizeof money[0]; i++) {
            const struct field_rule *rule = &s->spec->fields[money[i]];
            const char *names[] = {rule->column, rule->debit, rule->credit};
            for (int k = 0; err == OK && k < 3; k++) {
                int column = names[k] ? find_column((void *)table, names[k]) : -1;
                if (column < 0)
                    continue;
                unsigned type = table->columns[column].type;
                if (type == TYPE_FLOAT || type == TYPE_DOUBLE)
                    err = diag_set(diag, ERR_INPUT, "binlog.inexact",
                                   "amounts must be DECIMAL or whole numbers of the minor unit",
                                   "%s: table %s.%s: column \"%s\" is a %s, which holds no exact amount",
                                   file, table->database, table->name, names[k],
                                   type == TYPE_FLOAT ? "FLOAT" : "DOUBLE");
            }
        }
        struct version *grown =
            err == OK ? mem_grow(s->versions, (s->version_count + 1) * sizeof *grown) : NULL;
        if (err == OK && !grown)
            err = mem_fail(diag, (s->version_count + 1) * sizeof *grown, "a table's versions");
        if (grown)
            s->versions = grown;
        struct normalizer *fresh = NULL;
        if (err == OK)
            err = normalizer_open(&fresh, s->config.shared, s->config.side, file, key, find_column,
                                  (void *)table, diag);
        if (err == OK) {
            s->versions[s->version_count++] = (struct version){table->content_hash, fresh};
            *out = fresh;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return err;
}

static void free_rows(void *rows)
{
    binlog_rows_close(rows);
}

static enum err rows_of(struct binlog_source *s, struct worker_io *io, struct binlog_rows **rows,
                        struct diag *diag)
{
    if (!io->binlog_rows || io->binlog_owner != s) {
        if (io->binlog_rows_free)
            io->binlog_rows_free(io->binlog_rows);
        io->binlog_rows = NULL;
        io->binlog_rows_free = NULL;
        struct binlog_rows *fresh;
        enum err err = binlog_rows_open(&fresh, &s->columns.options, diag);
        if (err != OK)
            return err;
        io->binlog_rows = fresh;
        io->binlog_rows_free = free_rows;
        io->binlog_owner = s;
        io->again_place[0] = io->again_place[1] = 0;
    }
    *rows = io->binlog_rows;
    return OK;
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
    struct log_run run; /* usual rows; its own count of records */
    /* changes go here instead: folding */
    enum err (*change_fn)(struct decoding *d, const struct binlog_row *row, struct diag *diag);
    struct binlog_source *owner; /* whom they are folded for */
    /* inspect: rows go here instead of the outbox */
    enum err (*row_fn)(void *context, const struct full *full, struct diag *diag);
    void *context;
    struct arena *arena;
};

static enum err pick(struct decoding *d, const struct binlog_row *row, const struct cell *image,
                     const char *which, struct cell *out, struct diag *diag)
{
    for (int k = 0; k < d->wanted_count; k++) {
        out[k] = image[d->wanted[k]];
        if (UNLIKELY(out[k].kind == CELL_ABSENT))
            return diag_set(diag, ERR_INPUT, "binlog.image",
                            "SET GLOBAL binlog_row_image=FULL on the server; logs written before that cannot "
                            "be used for this job",
                            "%s@%llu: row %u of table %s.%s: its %s-image does not hold column \"%s\" (a "
                            "MINIMAL or NOBLOB image)",
                            d->input->path, (unsigned long long)row->event_offset, row->row_index,
                            row->table->database, row->table->name, which,
                            row->table->columns[d->wanted[k]].name);
    }
    return OK;
}

/* Where a row's image is from, for its record. */
static inline enum err fold_of(const struct decoding *d, const struct binlog_row *row, uint32_t fold[3],
                               struct diag *diag)
{
    uint64_t back = row->image_offset - row->event_offset,
             back_map = row->event_offset - row->table_map_offset;
    if (UNLIKELY(back > UINT32_MAX || back_map > UINT32_MAX))
        return diag_set(diag, ERR_INPUT, "binlog.transaction", NULL,
                        "%s@%llu: the row event lies more than 4 GiB behind its table map", d->input->path,
                        (unsigned long long)row->event_offset);
    fold[0] = (uint32_t)back;
    fold[1] = (uint32_t)back_map;
    fold[2] = row->row_index;
    return OK;
}

static enum err send(struct decoding *d, const struct binlog_row *row, struct record *record,
                     struct diag *diag)
{
    uint32_t fold[3];
    enum err err = fold_of(d, row, fold, diag);
    if (err != OK)
        return err;
    memcpy(record->var, fold, sizeof fold);
    record->place = d->input->base + row->image_offset;
    d->records++;
    return outbox_put(d->outbox, record, record_units(record_var_size(record, d->s->record_layout)), diag);
}

/* An image that cannot become a record still replaces the one before it. */
static enum err send_unreadable(struct decoding *d, const struct binlog_row *row, const struct cell *cells,
                                uint16_t flags, struct diag *diag)
{
    enum reject_code code = normalize_identity(d->normalizer, &d->io->scratch, cells, d->io->record);
    if (code != REJECT_NONE)
        return diag_set(diag, ERR_INPUT, "binlog.row",
                        "name shorter key columns, or leave such rows out of the table",
                        "%s@%llu: row %u: its key cannot be kept (%s)", d->input->path,
                        (unsigned long long)row->event_offset, row->row_index, reject_name(code));
    d->io->record->flags |= flags;
    return send(d, row, d->io->record, diag);
}

/* The usual change in few instructions. `*done`: 0 when it takes more of them. */
static inline enum err take_usual(struct decoding *d, const struct binlog_row *row, int *done,
                                  struct diag *diag)
{
    struct image_row image;
    *done = row->is_whole &&
            (row->op != BINLOG_UPDATE || normalize_image_stays(d->normalizer, row->before, row->after)) &&
            normalize_image(d->normalizer, &d->io->scratch,
                            row->op == BINLOG_DELETE ? row->before : row->after, &image);
    if (!*done)
        return OK;
    log_run_learn(&d->run, row->op == BINLOG_DELETE ? row->before : row->after);
    if (row->op == BINLOG_DELETE)
        image.flags |= RECORD_GONE | RECORD_VOIDED;
    uint32_t fold[3], units = image_row_units(&image);
    enum err err = fold_of(d, row, fold, diag);
    if (UNLIKELY(err != OK))
        return err;
    struct batch *batch = outbox_room(d->outbox, image.hash, units, diag);
    if (UNLIKELY(!batch))
        return diag->err;
    struct record *record = &batch->units[batch->used];
    image_row_put(&image, fold, record);
    record->place = d->input->base + row->image_offset;
    d->rows++;
    d->records++;
    return outbox_put_last(d->outbox, batch, units, diag);
}

/* A change's cells as the job wants them. */
static enum err take_cells(struct decoding *d, const struct binlog_row *row, const struct cell *before,
                           const struct cell *after, struct diag *diag)
{
    struct record *record = d->io->record;
    int bad_cell;
    enum err err;
    d->rows++;
    /* A row that `where` lets in counts from there on, and is gone when it does not any more. */
    int is_new = 0;
    if (normalizer_filters(d->normalizer)) {
        int was = row->op != BINLOG_INSERT && normalizer_wants(d->normalizer, &d->io->scratch, before),
            is = row->op != BINLOG_DELETE && normalizer_wants(d->normalizer, &d->io->scratch, after);
        if (!was && !is) {
            d->rows--;
            return OK;
        }
        if (!is && row->op == BINLOG_UPDATE)
            return send_unreadable(d, row, before, RECORD_GONE, diag);
        is_new = !was;
    }
    if (row->op == BINLOG_DELETE) {
        enum reject_code code = normalize_hot(d->normalizer, &d->io->scratch, before, record, &bad_cell);
        if (code != REJECT_NONE)
            return send_unreadable(d, row, before, RECORD_GONE, diag);
        record->flags |= RECORD_GONE | RECORD_VOIDED;
        return send(d, row, record, diag);
    }
    if (row->op == BINLOG_UPDATE && !is_new) {
        struct record *old =
            (struct record *)d->io->unquoted; /* room for a row; not used by this source otherwise */
        enum reject_code code = normalize_identity(d->normalizer, &d->io->scratch, before, old);
        enum reject_code code_now = normalize_identity(d->normalizer, &d->io->scratch, after, record);
        if (code == REJECT_NONE && code_now == REJECT_NONE &&
            !normalize_same_identity(d->normalizer, old, record)) {
            old->flags |= RECORD_GONE;
            if ((err = send(d, row, old, diag)) != OK)
                return err;
        }
    }
    if (normalize_hot(d->normalizer, &d->io->scratch, after, record, &bad_cell) != REJECT_NONE)
        return send_unreadable(d, row, after, RECORD_REJECT, diag);
    return send(d, row, record, diag);
}

/* Does an image lack what the job reads? */
static int is_part(const struct decoding *d, const struct binlog_row *row)
{
    for (int k = 0; !row->is_whole && k < d->wanted_count; k++)
        if ((row->before && row->before[d->wanted[k]].kind == CELL_ABSENT) ||
            (row->after && row->after[d->wanted[k]].kind == CELL_ABSENT))
            return 1;
    return 0;
}

static enum err take_change(struct decoding *d, const struct binlog_row *row, struct diag *diag)
{
    struct cell *before = d->io->cells, *after = d->io->cells + d->wanted_count;
    int done;
    enum err err = take_usual(d, row, &done, diag);
    if (LIKELY(done))
        return err;
    if (UNLIKELY(d->s->folds && is_part(d, row))) {
        atomic_store_explicit(&d->s->has_parts, 1, memory_order_relaxed);
        return OK;
    }
    if (row->op != BINLOG_INSERT && (err = pick(d, row, row->before, "before", before, diag)) != OK)
        return err;
    if (row->op != BINLOG_DELETE && (err = pick(d, row, row->after, "after", after, diag)) != OK)
        return err;
    return take_cells(d, row, before, after, diag);
}

/* ---- images in part ---- */

enum { ID_MAX = 4096 };

/* What tells the table's rows apart, as text. 0: the image does not hold it, or it is too long. `other`: an image that has what this
 * one lacks; may be NULL. */
static size_t id_of(const struct decoding *d, const struct binlog_table *table, const struct cell *image,
                    const struct cell *other, char out[ID_MAX])
{
    size_t size = 0;
    const int named = d->s->spec->occurrence_count, count = named ? named : (int)table->key_count;
    for (int i = 0; i < count; i++) {
        int column = named ? find_column((void *)table, d->s->spec->occurrence[i]) : table->key_columns[i];
        const struct cell *cell = column >= 0 ? &image[column] : NULL;
        if (cell && cell->kind == CELL_ABSENT && other)
            cell = &other[column];
        if (!cell || cell->kind == CELL_ABSENT)
            return 0;
        char number[64];
        struct span text = binlog_cell_print(number, cell, &table->columns[column]);
        if (size + text.size + 3 > ID_MAX)
            return 0;
        out[size++] = cell->kind == CELL_NULL;
        memcpy(out + size, &(uint16_t){(uint16_t)text.size}, 2);
        size += 2;
        if (text.size)
            memcpy(out + size, text.data, text.size);
        size += text.size;
    }
    return size;
}

static enum err never_seen(const struct decoding *d, const struct binlog_row *row, struct diag *diag)
{
    const struct cell *image = row->after ? row->after : row->before;
    int column = d->wanted[0];
    for (int k = d->wanted_count; k-- > 0;)
        if (image[d->wanted[k]].kind == CELL_ABSENT)
            column = d->wanted[k];
    return diag_set(diag, ERR_INPUT, "binlog.image",
                    "give the logs from before too, in which these rows are whole, or SET GLOBAL "
                    "binlog_row_image=FULL on the "
                    "server and change each row once",
                    "%s@%llu: row %u of table %s.%s: its image does not hold column \"%s\" (a MINIMAL or "
                    "NOBLOB image), and "
                    "the logs given hold no whole image of the row from before",
                    d->input->path, (unsigned long long)row->event_offset, row->row_index,
                    row->table->database, row->table->name, row->table->columns[column].name);
}

/* The first time over: which rows are told in part. */
static enum err want_part(struct decoding *d, const struct binlog_row *row, struct diag *diag)
{
    char id[ID_MAX];
    if (!is_part(d, row))
        return OK;
    size_t size = row->before ? id_of(d, row->table, row->before, NULL, id) : 0;
    return size ? image_fold_want(&d->owner->fold, (struct span){id, size}, diag) : never_seen(d, row, diag);
}

/* Is what an image lacks what it was before? So it is of all columns but the key's in a MINIMAL image, and of large ones in a NOBLOB one.
 * Otherwise a column is absent because the server leaves it out: MariaDB does so with generated columns from 11 on, and whether they
 * changed is not to be seen. */
static enum err check_part(const struct decoding *d, const struct binlog_row *row, struct diag *diag)
{
    const struct binlog_table *table = row->table;
    const struct binlog_format *format = &d->s->formats[d->input - d->s->set.files];
    const char *why = NULL;
    int minimal = 1, absent = -1;
    for (uint32_t i = 0; i < table->column_count; i++)
        minimal &= table->columns[i].is_key || !(row->before_present[i / 8] >> (i % 8) & 1);
    for (int k = 0; k < d->wanted_count; k++) {
        const int column = d->wanted[k];
        if ((row->after && row->after[column].kind != CELL_ABSENT) ||
            (!row->after && row->before[column].kind != CELL_ABSENT))
            continue;
        enum {
            TYPE_BLOB_COMPRESSED = 140,
            TYPE_JSON = 245,
            TYPE_TINY_BLOB = 249,
            TYPE_BLOB = 252,
            TYPE_GEOMETRY = 255
        };
        const unsigned type = table->columns[column].type;
        const int large = type == TYPE_BLOB_COMPRESSED || type == TYPE_JSON || type == TYPE_GEOMETRY ||
                          (type >= TYPE_TINY_BLOB && type <= TYPE_BLOB);
        if (!minimal && !large) {
            why = "neither MINIMAL nor NOBLOB leaves it out: is it a generated column?";
            absent = column;
        } else if (format->flavour == BINLOG_MARIADB && strtoul(format->server_version, NULL, 10) >= 11) {
            why = "MariaDB leaves generated columns out from version 11 on, so it may have changed";
            absent = column;
        }
    }
    return why ? diag_set(diag, ERR_INPUT, "binlog.image",
                          "SET GLOBAL binlog_row_image=FULL on the server, and let the job read columns that "
                          "are not generated",
                          "%s@%llu: row %u of table %s.%s: its image does not hold column \"%s\"; %s",
                          d->input->path, (unsigned long long)row->event_offset, row->row_index,
                          table->database, table->name, table->columns[absent].name, why)
               : OK;
}

/* What an image holds, over what was there before. */
static void lay_over(const struct decoding *d, const struct cell *image, const struct cell *base,
                     struct cell *out)
{
    for (int k = 0; k < d->wanted_count; k++)
        out[k] = image && image[d->wanted[k]].kind != CELL_ABSENT ? image[d->wanted[k]] : base[k];
}

/* The second time: the images of those rows, in the order of the log. */
static enum err fold_part(struct decoding *d, const struct binlog_row *row, struct diag *diag)
{
    struct image_fold *fold = &d->owner->fold;
    struct cell *before = d->io->cells, *after = d->io->cells + d->wanted_count;
    char id[ID_MAX], id_now[ID_MAX];
    size_t size = row->before ? id_of(d, row->table, row->before, NULL, id) : 0,
           size_now = row->after ? id_of(d, row->table, row->after, row->before, id_now) : 0;
    struct image_entry *was = size ? image_fold_find(fold, (struct span){id, size}) : NULL,
                       *is = size_now ? image_fold_find(fold, (struct span){id_now, size_now}) : NULL;
    const int part = is_part(d, row);
    uint64_t place = UINT64_MAX;
    enum err err = OK;
    if (part) {
        if ((err = check_part(d, row, diag)) != OK)
            return err;
        if (!was || !was->cells || was->cell_count != (uint32_t)d->wanted_count)
            return never_seen(d, row, diag);
        place = d->input->base + row->image_offset;
        lay_over(d, row->before, was->cells, before);
        if (row->after)
            lay_over(d, row->after, before, after);
        err = take_cells(d, row, before, after, diag);
    } else if (row->after && is) {
        lay_over(d, row->after, d->io->cells, after);
    }
    /* A voided record is fetched by the place of its DELETE. */
    if (err == OK && part && !row->after)
        err = image_fold_keep(fold, before, (uint32_t)d->wanted_count, place, diag);
    /* The new cells may still be those of the row it was. */
    if (err == OK && is && row->after)
        err = image_fold_put(is, after, (uint32_t)d->wanted_count, place, diag);
    if (err == OK && was && was != is)
        err = image_fold_put(was, NULL, 0, UINT64_MAX, diag);
    return err;
}

/* Shows a change as a record: its after-image, or the before-image of a deletion. */
static enum err show_change(struct decoding *d, const struct binlog_row *row, struct diag *diag)
{
    struct full full;
    int bad_cell, no_memory;
    enum err err = pick(d, row, row->after ? row->after : row->before, row->after ? "after" : "before",
                        d->io->cells, diag);
    if (err != OK)
        return err;
    arena_reset(d->arena);
    enum reject_code code =
        normalize_full(d->normalizer, &d->io->scratch, d->io->cells, d->arena, &full, &bad_cell, &no_memory);
    if (no_memory)
        return mem_fail(diag, 0, "a row");
    if (code == REJECT_NOT_OURS)
        return OK;
    if (code != REJECT_NONE) {
        char place[1024];
        place_of(d->s, d->input->base + row->event_offset, 0, row->row_index, place, sizeof place);
        reject_show(code, place, NULL, NULL);
        return OK;
    }
    full.place = d->input->base + row->image_offset;
    full.back_event = (uint32_t)(row->image_offset - row->event_offset);
    full.row_index = row->row_index;
    return d->row_fn(d->context, &full, diag);
}

/* The normalizer of the table whose rows are next. */
static enum err decoding_turn(struct decoding *d, const struct binlog_table *table, struct diag *diag)
{
    enum err err = version_of(d->s, table, d->input->path, &d->normalizer, diag);
    if (err != OK)
        return err;
    d->table = table;
    d->wanted = normalizer_columns(d->normalizer, &d->wanted_count);
    log_run_begin(&d->run, d->normalizer);
    return OK;
}

static enum err decode(struct decoding *d, struct binlog_rows *rows, struct diag *diag)
{
    const int is_plain = !d->change_fn && !d->row_fn;
    enum step step;
    enum err err;
    while ((step = binlog_rows_next(rows, diag)) == STEP_MORE) {
        const struct binlog_table *table = binlog_rows_table(rows);
        if (UNLIKELY(table != d->table) && (err = decoding_turn(d, table, diag)) != OK)
            return err;
        if (is_plain) {
            int is_done;
            if ((err = log_run(&d->run, rows, &is_done, diag)) != OK)
                return err;
            if (is_done)
                continue;
        }
        const struct binlog_row *row;
        if ((step = binlog_rows_step(rows, &row, diag)) != STEP_MORE)
            break;
        err = UNLIKELY(d->change_fn != NULL) ? d->change_fn(d, row, diag)
              : d->row_fn                    ? show_change(d, row, diag)
                                             : take_change(d, row, diag);
        if (UNLIKELY(err != OK))
            return err;
    }
    return step == STEP_FAILED ? diag->err : OK;
}

static enum step decode_ticket(struct binlog_source *s, struct worker_io *io, struct ticket *ticket,
                               struct decoding d, struct diag *diag)
{
    struct piece *groups = ticket->extra;
    struct binlog_rows *rows;
    enum err err = rows_of(s, io, &rows, diag);
    d.run = (struct log_run){.scratch = &io->scratch, .outbox = d.outbox, .base = d.input->base};
    if (err == OK)
        err = worker_io_unquote_room(io, RECORD_VAR_MAX + 4096, diag);
    struct binlog_piece piece = {.file_name = d.input->path,
                                 .format = &groups->format,
                                 .groups = groups->groups,
                                 .group_count = groups->group_count};
    if (err == OK && ticket->state == TICKET_WHOLE) {
        piece.bytes = worker_io_buffer(io, ticket->buffer);
        piece.size = (size_t)(ticket->end - ticket->begin);
        piece.file_offset = ticket->begin;
        piece.walked_from = groups->walked_from;
        piece.walked_to = groups->walked_to;
        binlog_rows_begin(rows, &piece);
        err = decode(&d, rows, diag);
        CHECK2(err != OK || binlog_rows_taken(rows) == piece.size, binlog_rows_taken(rows), piece.size);
    }
    uint64_t at = ticket->begin;
    size_t want = io->chunk;
    while (err == OK && ticket->state == TICKET_PIECES && at < ticket->end) {
        if (want > ticket->end - at)
            want = (size_t)(ticket->end - at);
        if (io->grown_size < want) {
            mem_give(io->grown);
            io->grown_size = 0;
            io->grown = mem_take(want + IO_SLACK);
            if (!io->grown) {
                err = mem_fail(diag, want, "a long transaction");
                break;
            }
            io->grown_size = (uint32_t)want;
        }
        ssize_t n = input_pread(d.input, io->grown, want, at);
        if (n < 0 || (size_t)n != want) {
            err = diag_set_errno(diag, n < 0 ? (int)-n : 5, "read", "%s: cannot read at byte %llu",
                                 d.input->path, (unsigned long long)at);
            break;
        }
        piece.bytes = io->grown;
        piece.size = want;
        piece.file_offset = at;
        binlog_rows_begin(rows, &piece);
        err = decode(&d, rows, diag);
        size_t taken = err == OK ? binlog_rows_taken(rows) : 0;
        at += taken;
        if (err == OK && taken == 0) { /* an event that is larger than the piece */
            if (want == ticket->end - at)
                err = diag_set(diag, ERR_INPUT, "binlog.cut", "get the file again",
                               "%s@%llu: the event is cut off", d.input->path, (unsigned long long)at);
            want *= 2;
        }
    }
    uint64_t decoded = 0;
    for (size_t i = 0; i < groups->group_count; i++)
        decoded += groups->groups[i].committed;
    atomic_fetch_add_explicit(&s->groups_decoded, decoded, memory_order_relaxed);
    mem_give(groups);
    ticket->extra = NULL;
    atomic_fetch_add_explicit(&s->rows, d.rows + d.run.records, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->records, d.records + d.run.records, memory_order_relaxed);
    return err == OK ? STEP_DONE : STEP_FAILED;
}

/* Once over the whole log, in its order, by a source of its own. */
static enum err go_over(struct binlog_source *s, struct worker_io *io, uint32_t buffer, struct outbox *outbox,
                        enum err (*change)(struct decoding *d, const struct binlog_row *row,
                                           struct diag *diag),
                        struct diag *diag)
{
    struct source *again_source = NULL;
    enum err err = binlog_source_open(&again_source, &s->config, diag);
    if (err != OK)
        return err;
    struct binlog_source *own = of(again_source);
    own->folds = 0;
    err = binlog_begin(again_source, s->folder, diag);
    enum step step = STEP_MORE;
    while (err == OK && step != STEP_DONE) {
        struct ticket ticket = {.buffer = buffer};
        step = claim_next(again_source, io, &ticket, diag);
        if (step == STEP_FAILED)
            err = diag->err;
        if (step != STEP_MORE)
            continue;
        struct decoding d = {.s = own,
                             .io = io,
                             .input = &own->set.files[ticket.file],
                             .outbox = outbox,
                             .change_fn = change,
                             .owner = s};
        if (decode_ticket(own, io, &ticket, d, diag) == STEP_FAILED)
            err = diag->err;
        mem_give(ticket.extra);
    }
    atomic_fetch_add_explicit(&s->rows, own->rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->records, own->records, memory_order_relaxed);
    binlog_close(again_source);
    return err;
}

static enum err fold_parts(struct binlog_source *s, struct worker_io *io, uint32_t buffer,
                           struct outbox *outbox, struct diag *diag)
{
    enum err err = go_over(s, io, buffer, outbox, want_part, diag);
    if (err == OK)
        err = go_over(s, io, buffer, outbox, fold_part, diag);
    return err == OK ? image_fold_seal(&s->fold, diag) : err;
}

static enum step binlog_process(struct source *source, struct worker_io *io, struct ticket *ticket,
                                struct outbox *outbox, struct diag *diag)
{
    struct binlog_source *s = of(source);
    struct decoding d = {.s = s, .io = io, .input = &s->set.files[ticket->file], .outbox = outbox};
    enum step step;
    if (ticket->state == TICKET_FOLD)
        step = fold_parts(s, io, ticket->buffer, outbox, diag) == OK ? STEP_DONE : STEP_FAILED;
    else
        step = decode_ticket(s, io, ticket, d, diag);
    /* release: pairs with the acquire in claim_fold */
    if (step == STEP_DONE)
        atomic_fetch_sub_explicit(&s->tickets_open, 1, memory_order_release);
    return step;
}

static enum err binlog_scan(struct source *source, struct worker_io *io,
                            enum err (*row)(void *context, const struct full *full, struct diag *diag),
                            void *context, struct diag *diag)
{
    struct binlog_source *s = of(source);
    struct arena arena;
    arena_init(&arena);
    struct ticket ticket = {0};
    enum step step;
    s->folds = 0;
    while ((step = claim_next(source, io, &ticket, diag)) == STEP_MORE) {
        struct decoding d = {.s = s,
                             .io = io,
                             .input = &s->set.files[ticket.file],
                             .row_fn = row,
                             .context = context,
                             .arena = &arena};
        if (decode_ticket(s, io, &ticket, d, diag) == STEP_FAILED)
            break;
        ticket = (struct ticket){0};
    }
    arena_fini(&arena);
    return diag->err;
}

/* ---- the end ---- */

static enum err binlog_finish(struct source *source, struct worker_io *io, struct diag *diag)
{
    (void)io;
    struct binlog_source *s = of(source);
    /* Every transaction that the walk counted was told to us, and every one with rows was decoded: a log has
     * no row count of its own. */
    uint64_t counted = binlog_walk_counts(s->walk)->groups;
    if (counted != s->transactions_told || s->groups_told != s->groups_decoded)
        return diag_set(diag, ERR_BUG, "invariant.transactions", "please report this with the logs",
                        "the log has %llu transactions, %llu were told; of %llu with rows %llu were decoded",
                        (unsigned long long)counted, (unsigned long long)s->transactions_told,
                        (unsigned long long)s->groups_told, (unsigned long long)s->groups_decoded);
    enum err err = file_set_check(&s->set, diag);
    return err == OK ? dict_check(s->config.shared->words, diag) : err;
}

static void binlog_counts(const struct source *source, struct source_counts *counts)
{
    struct binlog_source *s = of(source);
    const struct binlog_walk_counts *walk = binlog_walk_counts(s->walk);
    memset(counts, 0, sizeof *counts);
    counts->files = s->set.count;
    counts->bytes = counts->record_bytes = s->set.size;
    counts->rows = s->rows;
    counts->records = s->records;
    counts->rejects = s->rejects.total;
    counts->images_replayed = s->replayed_groups;
    counts->groups_rolled_back = walk->groups_rolled_back;
    counts->groups_unfinished = walk->groups_unfinished;
    counts->events_ignored = walk->events_ignored;
    counts->statements = walk->statements_unwatched;
}

/* What an image in part does not hold, as it was folded; 0 when nobody knows. The cells are the decoder's of this worker. */
static int add_folded(const struct binlog_source *s, const struct normalizer *normalizer, uint64_t place,
                      const struct cell *image)
{
    const struct image_entry *entry = image_fold_at(&s->fold, place);
    int count;
    const int *wanted = normalizer_columns(normalizer, &count);
    for (int k = 0; k < count; k++)
        if (image[wanted[k]].kind == CELL_ABSENT) {
            if (!entry || entry->cell_count != (uint32_t)count)
                return 0;
            ((struct cell *)image)[wanted[k]] = entry->cells[k];
        }
    return 1;
}

/* Bytes from `have` to `want` of what lies at `offset`, behind those that are there; again[which] is made as large. */
static enum err again_read(struct worker_io *io, int which, struct input_file *input, uint64_t offset,
                           size_t have, size_t want, struct diag *diag)
{
    if (io->again_room[which] < want + IO_SLACK) {
        uint8_t *grown = mem_grow(io->again[which], want + IO_SLACK);
        if (!grown)
            return mem_fail(diag, want, "a row event");
        io->again[which] = grown;
        io->again_room[which] = want + IO_SLACK;
    }
    const ssize_t n = input_pread(input, io->again[which] + have, want - have, offset + have);
    return n == (ssize_t)(want - have) ? OK
                                       : diag_set_errno(diag, n < 0 ? (int)-n : 5, "read",
                                                        "%s: cannot read the event at byte %llu again",
                                                        input->path, (unsigned long long)offset);
}

static size_t least(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

/* The event at `offset`, behind `before` other bytes: read at once where `guess` bytes are enough. `*size`: its own. */
static enum err again_event(struct worker_io *io, int which, struct input_file *input, uint64_t offset,
                            size_t before, size_t guess, size_t *size, struct diag *diag)
{
    const uint64_t begin = offset - before, left = input->size > offset ? input->size - offset : 0;
    const size_t read = before + least(guess, left);
    if (left < BINLOG_HEADER_SIZE)
        return diag_set_errno(diag, 5, "read", "%s: cannot read the event at byte %llu again", input->path,
                              (unsigned long long)offset);
    enum err err = again_read(io, which, input, begin, 0, read, diag);
    if (err != OK)
        return err;
    *size = least(read_le32(io->again[which] + before + 9), left);
    return before + *size > read ? again_read(io, which, input, begin, read, before + *size, diag) : OK;
}

/* Decodes one known row again: the image that counts. Its cells live until the next call.
 *
 * Rows come in the order of their file, mostly one of an event: its event is read once, and of that only the row; the TABLE_MAP comes
 * with it where it lies close, and is kept for the rows that follow where one statement has many. */
static enum err again(struct binlog_source *s, struct worker_io *io, const struct row_ref *ref,
                      const struct cell **image, const struct normalizer **normalizer, struct diag *diag)
{
    enum { MAP, EVENT, NEAR = 4096, GUESS = 512, GUESS_MAX = 64 << 10 };
    uint32_t file = file_set_find(&s->set, ref->place);
    struct input_file *input = &s->set.files[file];
    const uint64_t offset = ref->place - input->base, event = offset - ref->back_event,
                   map = event - ref->back_map;
    struct binlog_rows *rows;
    enum err err = rows_of(s, io, &rows, diag);
    if (err != OK)
        return err;
    const int is_near = ref->back_map <= NEAR;
    const size_t before = is_near ? ref->back_map : 0;
    const uint64_t event_place = input->base + event + 1, map_place = input->base + map + 1;
    if (io->again_place[EVENT] != event_place) {
        size_t guess = ref->back_event + (size_t)GUESS;
        if (guess < io->again_size[EVENT])
            guess = io->again_size[EVENT];
        io->again_place[EVENT] = 0;
        err = again_event(io, EVENT, input, event, before, least(guess, GUESS_MAX), &io->again_size[EVENT],
                          diag);
        if (err != OK)
            return err;
        io->again_place[EVENT] = event_place;
    }
    if (!is_near && io->again_place[MAP] != map_place) {
        io->again_place[MAP] = 0;
        err = again_event(io, MAP, input, map, 0, GUESS, &io->again_size[MAP], diag);
        if (err != OK)
            return err;
        io->again_place[MAP] = map_place;
    }
    const size_t size = io->again_size[EVENT];
    const uint8_t *const table_map = is_near ? io->again[EVENT] : io->again[MAP];
    const size_t map_size = !is_near ? io->again_size[MAP] : before ? before : size;
    struct binlog_place place = {.file_name = input->path,
                                 .format = &s->formats[file],
                                 .table_map = table_map,
                                 .table_map_size = map_size,
                                 .table_map_offset = map,
                                 .event = io->again[EVENT] + before,
                                 .event_size = size,
                                 .event_offset = event,
                                 .image_offset = offset,
                                 .row_index = ref->row_index};
    const struct binlog_row *row;
    if (binlog_rows_again(rows, &place, &row, diag) != STEP_MORE)
        return diag->err;
    err = version_of(s, row->table, input->path, normalizer, diag);
    if (err != OK)
        return err;
    io->again_table = row->table;
    *image = row->op == BINLOG_DELETE ? row->before : row->after;
    if (!row->is_whole && !add_folded(s, *normalizer, ref->place, *image))
        err = diag_set(diag, ERR_BUG, "invariant.fold", "please report this with the logs",
                       "%s@%llu: what the image does not hold was not kept", input->path,
                       (unsigned long long)event);
    return err;
}

static enum err binlog_fetch(struct source *source, struct worker_io *io, const struct row_ref *refs,
                             struct full *rows, uint32_t count, struct arena *arena, struct diag *diag)
{
    struct binlog_source *s = of(source);
    for (uint32_t i = 0; i < count; i++) {
        const struct cell *image;
        const struct normalizer *normalizer;
        enum err err = again(s, io, &refs[i], &image, &normalizer, diag);
        if (err != OK)
            return err;
        int wanted_count, bad_cell, no_memory;
        const int *wanted = normalizer_columns(normalizer, &wanted_count);
        for (int k = 0; k < wanted_count; k++)
            io->cells[k] = image[wanted[k]];
        enum reject_code code =
            normalize_full(normalizer, &io->scratch, io->cells, arena, &rows[i], &bad_cell, &no_memory);
        if (no_memory)
            return mem_fail(diag, 0, "rows that broke");
        if (code != REJECT_NONE)
            return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                            "%s: the row at byte %llu is not what it was when it was read first",
                            s->set.files[file_set_find(&s->set, refs[i].place)].path,
                            (unsigned long long)refs[i].place);
        rows[i].place = refs[i].place;
        rows[i].record_flags = refs[i].record_flags;
        rows[i].back_event = refs[i].back_event;
        rows[i].row_index = refs[i].row_index;
    }
    return OK;
}

/* For messages too: 0 with the file's name in `out` when a segment cannot be read. */
static size_t place_of(struct binlog_source *s, uint64_t place, uint32_t back_event, uint32_t row_index,
                       char *out, size_t room)
{
    uint32_t file = file_set_find(&s->set, place);
    uint64_t offset = place - s->set.files[file].base - back_event;
    const char *name = s->set.files[file].shown;
    if (s->spec->kind == SOURCE_REPLICA &&
        !(name = segments_place(&s->segments, &s->set, file, offset, &offset))) {
        snprintf(out, room, "%s", s->set.files[file].path);
        return 0;
    }
    int n = snprintf(out, room, "%s@%llu#%u", name, (unsigned long long)offset, row_index);
    return n < (int)room ? (size_t)n : room - 1;
}

static size_t binlog_place_text(struct source *source, struct worker_io *io, const struct full *row,
                                char *out, size_t room)
{
    (void)io;
    return place_of(of(source), row->place, row->back_event, row->row_index, out, room);
}

static enum err binlog_late_reject(struct source *source, struct worker_io *io, const struct row_ref *ref,
                                   struct diag *diag)
{
    struct binlog_source *s = of(source);
    const struct cell *image;
    const struct normalizer *normalizer;
    enum err err = again(s, io, ref, &image, &normalizer, diag);
    if (err != OK)
        return err;
    int wanted_count, bad_cell;
    const int *wanted = normalizer_columns(normalizer, &wanted_count);
    for (int k = 0; k < wanted_count; k++)
        io->cells[k] = image[wanted[k]];
    enum reject_code code = normalize_hot(normalizer, &io->scratch, io->cells, io->record, &bad_cell);
    if (code == REJECT_WORDS && (err = dict_check(s->config.shared->words, diag)) != OK)
        return err;
    struct reject reject = {.place = ref->place,
                            .back_event = ref->back_event,
                            .back_map = ref->back_map,
                            .row_index = ref->row_index,
                            .column = bad_cell >= 0 ? (uint16_t)wanted[bad_cell] : 0xFFFF,
                            .code = (uint8_t)code,
                            .side = (uint8_t)s->config.side};
    return reject_list_add(&s->rejects, &reject, NULL, 0, diag);
}

static enum err binlog_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag)
{
    (void)io;
    struct binlog_source *s = of(source);
    reject_list_sort(&s->rejects);
    uint64_t limit = s->spec->rejects.max_rows;
    if (s->spec->rejects.max_ppm)
        limit = (uint64_t)((unsigned __int128)s->rows * s->spec->rejects.max_ppm / 1000000u);
    if (s->rejects.count <= limit)
        return reject_list_check(&s->rejects, diag);
    for (uint64_t i = 0; i < s->rejects.count && i < REJECTS_SHOWN; i++) {
        const struct reject *reject = &s->rejects.items[i];
        char text[1024];
        place_of(s, reject->place, reject->back_event, reject->row_index, text, sizeof text);
        reject_show((enum reject_code)reject->code, text, NULL, NULL);
    }
    return diag_set(diag, ERR_INPUT, "rejects",
                    "look at the rows above; allow some with --max-rejects=N or `rejects: {max: N}`",
                    "%s.%s: the last image of %llu rows cannot be read as a record; %llu are allowed",
                    s->columns.watch.database, s->columns.watch.table, (unsigned long long)s->rejects.count,
                    (unsigned long long)limit);
}

static const struct reject *binlog_rejects(struct source *source, uint64_t *count)
{
    *count = of(source)->rejects.count;
    return of(source)->rejects.items;
}

static enum err binlog_reject_text(struct source *source, struct worker_io *io, const struct reject *reject,
                                   struct arena *arena, struct span *raw, struct span *place,
                                   struct span *column, struct span *value, struct diag *diag)
{
    struct binlog_source *s = of(source);
    struct row_ref ref = {.place = reject->place,
                          .back_event = reject->back_event,
                          .back_map = reject->back_map,
                          .row_index = reject->row_index,
                          .side = reject->side};
    const struct cell *image;
    const struct normalizer *normalizer;
    enum err err = again(s, io, &ref, &image, &normalizer, diag);
    if (err != OK)
        return err;
    /* The row as text: name=value of the columns that the job reads. */
    const struct binlog_table *table = io->again_table;
    char text[8192];
    size_t used = 0;
    *column = *value = (struct span){"", 0};
    for (uint32_t i = 0; i < table->column_count && used + 1 < sizeof text; i++) {
        if (image[i].kind == CELL_ABSENT)
            continue;
        char number[64];
        struct span cell = binlog_cell_print(number, &image[i], &table->columns[i]);
        int n =
            snprintf(text + used, sizeof text - used, "%s%s=%.*s", used ? ";" : "", table->columns[i].name,
                     (int)(cell.size < 1000 ? cell.size : 1000), cell.data ? cell.data : "");
        used = n < 0 || used + (size_t)n >= sizeof text ? sizeof text - 1 : used + (size_t)n;
        if (reject->column == i) {
            *column = arena_copy(arena, span_of(table->columns[i].name));
            *value = arena_copy(arena, cell);
        }
    }
    *raw = arena_copy(arena, (struct span){text, used});
    char where[1024];
    *place = arena_copy(arena, (struct span){where, place_of(s, reject->place, reject->back_event,
                                                             reject->row_index, where, sizeof where)});
    return raw->data && place->data && column->data && value->data ? OK : mem_fail(diag, used, "a reject");
}

static struct record_layout binlog_layout(const struct source *source)
{
    return of(source)->record_layout;
}

/* A query's file is made anew in each run, of the rows that are there and asked for; files by date are another log each day. */
static const char *binlog_log_begin(const struct source *source)
{
    const struct binlog_source *s = of(source);
    for (int i = 0; i < s->spec->pattern_count; i++)
        if (strstr(s->spec->patterns[i], "{date"))
            return NULL;
    return s->spec->kind == SOURCE_QUERY || s->set.count == 0 ? NULL : s->set.files[0].shown;
}

static const struct source_ops binlog_ops = {
    .size = binlog_size,
    .begin = binlog_begin,
    .claim = binlog_claim,
    .start = binlog_start,
    .process = binlog_process,
    .finish = binlog_finish,
    .late_reject = binlog_late_reject,
    .limit_rejects = binlog_limit_rejects,
    .counts = binlog_counts,
    .fetch = binlog_fetch,
    .place_text = binlog_place_text,
    .rejects = binlog_rejects,
    .reject_text = binlog_reject_text,
    .layout = binlog_layout,
    .log_begin = binlog_log_begin,
    .scan = binlog_scan,
    .close = binlog_close,
};
