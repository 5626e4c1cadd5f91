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
#include "core/model/day.h"
#include "core/model/log_told.h"
#include "io/ring/sys.h"
#include "io/source/binlog_inner.h"
#include "io/source/log_kept.h"
#include "io/source/log_name.h"
#include "io/source/query.h"
#include <stdio.h>

static const struct source_ops binlog_ops;

/* Files by date are another log each day. */
static int is_by_date(const struct source_spec *spec)
{
    for (int i = 0; i < spec->pattern_count; i++)
        if (strstr(spec->patterns[i], "{date"))
            return 1;
    return 0;
}

/* The side's sums are those of all its logs: where one of them is another each day, the others' are kept change by change, too. */
static int is_part_by_date(const struct job *job, enum side side)
{
    int any = is_by_date(&job->sources[side]);
    for (int i = 0; i < job->part_count[side]; i++)
        any |= is_by_date(&job->parts[side][i]);
    return any;
}

void binlog_close(struct source *source)
{
    struct binlog_source *s = of(source);
    binlog_walk_close(s->walk);
    for (size_t i = 0; i < s->version_count; i++)
        normalizer_close(s->versions[i].normalizer);
    mem_give(s->versions);
    log_schema_fini(&s->schema);
    text_fini(&s->kept);
    for (size_t i = s->late_first; i < s->late_count; i++)
        mem_give(s->late[i].piece);
    mem_give(s->late);
    mem_give(s->ended.groups);
    image_fold_fini(&s->fold);
    gtid_set_fini(&s->seen);
    mem_give(s->far);
    mem_give(s->sample);
    reject_list_fini(&s->rejects);
    mem_give(s->formats);
    segments_close(&s->segments);
    if (!s->borrows) {
        log_order_fini(&s->order);
        file_set_close(&s->set);
    }
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

/* Its server appends to a log that it has open, and says in the first event's flags that it has: what lies behind the size of now belongs
 * to a later run. When it closes the file it takes the flag away. One that cannot be read is told where it is read. */
static int is_open_log(int fd)
{
    enum { TYPE = BINLOG_MAGIC_SIZE + 4, FLAGS = BINLOG_MAGIC_SIZE + 17 };
    uint8_t head[BINLOG_MAGIC_SIZE + BINLOG_HEADER_SIZE];
    const char *hint;
    return sys_pread_full(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
           !binlog_magic_wrong(head, sizeof head, &hint) && head[TYPE] == EVENT_FORMAT_DESCRIPTION &&
           (head[FLAGS] & EVENT_FLAG_IN_USE);
}

/* The files of the job. */
static enum err find_files(struct binlog_source *s, struct diag *diag)
{
    enum err err = OK;
    if (s->spec->kind == SOURCE_REPLICA) {
        char directory[4096];
        err = segments_directory(directory, sizeof directory, s->job, s->config.side, diag);
        if (err == OK)
            err = segments_open(&s->segments, &s->set, directory, diag);
    } else if (s->spec->kind == SOURCE_QUERY) {
        err = pull(s, diag);
    } else {
        const int count = is_by_date(s->spec) ? s->config.log_day_count : 0;
        const int days = file_set_open_days(&s->set, s->job, s->config.side, s->config.date,
                                            s->config.log_days, count, is_open_log, diag);
        s->steps.reads_again = days > 0;
        err = days < 0 ? diag->err : OK;
    }
    file_set_shift(&s->set, s->config.place_base);
    return err;
}

/* A statement takes rows away, or brings some. Before the first row there is nothing that could go, but for what is carried; and that was told
 * in front of the place up to which the task before had read, which went over what stands there itself. */
static enum err ask_erased(void *context, uint32_t file_index, uint64_t offset, int rows_met,
                           const char *found, struct diag *diag)
{
    const struct binlog_source *s = context;
    const uint64_t place = s->set.files[file_index].base + offset;
    if (!rows_met && !(s->schema.has_kept && place >= s->schema.kept.first))
        return OK;
    return log_schema_erased(&s->schema, place, found, s->borrows || s->schema.is_off, diag);
}

/* `lender`: whose files are read once more, as it found them: a log that its server has open has grown meanwhile; or NULL. */
static enum err open_source(struct source **out, const struct source_config *config,
                            const struct binlog_source *lender, struct diag *diag)
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
    s->tells_steps = config->keeps && s->spec->kind == SOURCE_BINLOG && is_part_by_date(s->job, config->side);
    log_columns_init(&s->columns, s->spec);
    log_schema_init(&s->schema, s->spec, &s->columns, &s->set);
    s->record_layout = normalizer_layout_of(s->job, config->side);
    s->record_layout.place_bits = config->place_bits;
    s->record_layout.logs = config->logs;
    enum err err = OK;
    if (lender) {
        s->set = lender->set;
        s->order = lender->order;
        s->borrows = 1;
    } else {
        err = find_files(s, diag);
    }
    if (err == OK)
        err = binlog_walk_open(&s->walk, &s->columns.options, diag);
    if (err == OK) {
        binlog_walk_erases(s->walk, ask_erased, s);
        s->formats = mem_take_zero((size_t)s->set.count + 1, sizeof *s->formats);
        if (!s->formats)
            err = mem_fail(diag, s->set.count * sizeof *s->formats, "the list of logs");
    }
    if (err == OK && s->spec->log_name) { /* one of several logs of a side */
        s->sample = mem_take_zero(1, sizeof *s->sample);
        if (!s->sample)
            err = mem_fail(diag, sizeof *s->sample, "a sample of a log");
    }
    if (err != OK) {
        binlog_close(&s->base);
        return err;
    }
    *out = &s->base;
    return OK;
}

enum err binlog_source_open(struct source **out, const struct source_config *config, struct diag *diag)
{
    return open_source(out, config, NULL, diag);
}

enum err binlog_open_again(struct source **out, const struct binlog_source *lender, struct diag *diag)
{
    struct source_config config = lender->config;
    config.kept = (struct span){NULL, 0}; /* told by the lender */
    return open_source(out, &config, lender, diag);
}

/* ---- walking ---- */

/* Logs are walked by pread, so packed ones are unpacked first, side by side. */
static enum err binlog_begin(struct source *source, const char *folder, struct diag *diag)
{
    struct binlog_source *s = of(source);
    reject_list_bound(&s->rejects, s->config.reject_bytes, folder);
    enum err err = file_set_begin(&s->set, folder, s->config.workers, diag);
    if (err == OK)
        err = file_set_settle(&s->set, diag);
    if (err == OK && s->spec->kind == SOURCE_BINLOG)
        err = log_order_make(&s->order, &s->set, diag);
    if (err == OK && s->config.kept.size)
        err = log_kept_take(&s->schema, &s->set, s->config.kept, s->config.holds, &s->since,
                            &s->steps.has_place, diag);
    s->steps.overlaps = s->since != 0;
    /* Of several logs of a file a day one may hold copies of days before, another not: what each of them holds is asked for. */
    if (s->tells_steps && s->since && is_by_date(s->spec) && s->config.log_day_count)
        s->steps.reads_again = 1;
    return err;
}

static uint64_t binlog_size(const struct source *source)
{
    return of(source)->set.size;
}

static enum step binlog_claim(struct source *source, struct worker_io *io, struct ticket *ticket,
                              struct diag *diag)
{
    enum step step = binlog_claim_next(source, io, ticket, diag);
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

int binlog_find_column(void *context, const char *name)
{
    const struct binlog_table *table = context;
    for (uint32_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* The normalizer of a version of the table; compiled when it is met first. */
enum err binlog_version_of(struct binlog_source *s, const struct binlog_table *table, const char *file,
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
                int column = names[k] ? binlog_find_column((void *)table, names[k]) : -1;
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
            err = normalizer_open(&fresh, s->config.shared, s->config.side, file, key, binlog_find_column,
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

enum err binlog_rows_of(struct binlog_source *s, struct worker_io *io, struct binlog_rows **rows,
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

/* What a row at `place` was, or is, added to the sums of its bill date, which is given back; -1: it is too far away, or there is no such row
 * (`cells` NULL, or unreadable). Of the task's own day only what was read before is asked for, and of the others what is new: `own` NULL or
 * `sums`. A log that grows has what is to come when the day comes. */
static int add_step(struct decoding *d, struct binlog_source *to, uint64_t place, const struct cell *cells,
                    int is_before, struct log_sums *sums, struct log_sums *own)
{
    struct record *record = d->io->record;
    const struct norm_shared *shared = to->config.shared;
    int bad_cell;
    if (!cells || normalize_hot(d->normalizer, &d->io->scratch, cells, record, &bad_cell) != REJECT_NONE)
        return -1;
    /* When an image that states no time was written is not known from what was written next. */
    if (is_before && d->io->scratch.event.gave_date)
        return -1;
    const int at = log_step_of(shared->unit_day, record->day);
    if (at < 0 || (record->day == shared->unit_day) != (own != NULL) ||
        (record->day > shared->unit_day && !is_by_date(to->spec)))
        return -1;
    record->place = place;
    const struct log_print print =
        log_print_of(record, d->s->record_layout, shared->words, shared->hash_seed);
    pthread_mutex_lock(&to->lock);
    log_sums_add(own ? own : &sums[at], &print);
    pthread_mutex_unlock(&to->lock);
    return at;
}

static void note_steps(struct decoding *d, const struct binlog_row *row, const struct cell *was,
                       const struct cell *is)
{
    /* Of a row that is folded: those of the source it is folded for. */
    struct binlog_source *to = d->owner ? d->owner : d->s;
    if (!to->tells_steps)
        return;
    const uint64_t place = d->input->base + row->image_offset;
    /* A prepared transaction came to be where it was committed: who read up to a place between the two did not know of it. */
    const struct binlog_group *const group = row->group;
    const uint64_t came =
        group && group->xa ? d->s->set.files[group->decided_file].base + group->decided_at : place;
    if (came < to->since) {
        if (to->steps.reads_again) {
            add_step(d, to, place, was, 1, NULL, &to->steps.held_was);
            add_step(d, to, place, is, 0, NULL, &to->steps.held_is);
        }
        return;
    }
    const int at = add_step(d, to, place, was, 1, to->steps.was, NULL);
    add_step(d, to, place, is, 0, to->steps.is, NULL);
    if (at < 0 || row->op != BINLOG_DELETE)
        return;
    pthread_mutex_lock(&to->lock);
    to->steps.is[at].deleted++;
    pthread_mutex_unlock(&to->lock);
}

/* Is and was a change's row of the task's bill date? 0, too, where it is no usual one. */
static int is_of_task(struct decoding *d, const struct binlog_row *row)
{
    const uint16_t day = d->s->config.shared->unit_day;
    struct image_row image;
    return (!row->before ||
            (normalize_image(d->normalizer, &d->io->scratch, row->before, &image) && image.day == day)) &&
           (!row->after ||
            (normalize_image(d->normalizer, &d->io->scratch, row->after, &image) && image.day == day));
}

/* The usual change in few instructions. `*done`: 0 when it takes more of them. */
static inline enum err take_usual(struct decoding *d, const struct binlog_row *row, int *done,
                                  struct diag *diag)
{
    struct image_row image;
    *done = row->is_whole && !d->by_cells && (!d->run.one_day || is_of_task(d, row)) &&
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
enum err binlog_take_cells(struct decoding *d, const struct binlog_row *row, const struct cell *before,
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
        is_new = !was;
        note_steps(d, row, was ? before : NULL, is ? after : NULL);
        if (!is && row->op == BINLOG_UPDATE)
            return send_unreadable(d, row, before, RECORD_GONE, diag);
    } else {
        note_steps(d, row, row->op == BINLOG_INSERT ? NULL : before, row->op == BINLOG_DELETE ? NULL : after);
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
            old->place = record->place = d->input->base + row->image_offset;
            outbox_renamed(d->outbox, old, record, d->s->record_layout);
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
int binlog_is_part(const struct decoding *d, const struct binlog_row *row)
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
    if (UNLIKELY(d->s->folds && binlog_is_part(d, row))) {
        atomic_store_explicit(&d->s->has_parts, 1, memory_order_relaxed);
        return OK;
    }
    if (row->op != BINLOG_INSERT && (err = pick(d, row, row->before, "before", before, diag)) != OK)
        return err;
    if (row->op != BINLOG_DELETE && (err = pick(d, row, row->after, "after", after, diag)) != OK)
        return err;
    return binlog_take_cells(d, row, before, after, diag);
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
        binlog_place_of(d->s, d->input->base + row->event_offset, 0, row->row_index, place, sizeof place);
        reject_show(code, place, NULL, NULL);
        return OK;
    }
    full.place = d->input->base + row->image_offset;
    full.back_event = (uint32_t)(row->image_offset - row->event_offset);
    full.row_index = row->row_index;
    if (d->s->config.raws) {
        char text[BINLOG_ROW_TEXT];
        const size_t size = binlog_row_text(d->table, row->after ? row->after : row->before, text);
        full.raw = arena_copy(d->arena, (struct span){text, size});
        if (!full.raw.data)
            return mem_fail(diag, size, "a row");
    }
    return d->row_fn(d->context, &full, diag);
}

/* The normalizer of the table whose rows, at `offset`, are next. */
static enum err decoding_turn(struct decoding *d, const struct binlog_table *table, uint64_t offset,
                              struct diag *diag)
{
    enum err err = log_run_end(&d->run, diag);
    if (err == OK) {
        pthread_mutex_lock(&d->s->lock);
        err = log_schema_see(&d->s->schema, table, d->format, d->input->base + offset, diag);
        pthread_mutex_unlock(&d->s->lock);
    }
    if (err == OK)
        err = binlog_version_of(d->s, table, d->input->path, &d->normalizer, diag);
    if (err != OK)
        return err;
    d->table = table;
    d->wanted = normalizer_columns(d->normalizer, &d->wanted_count);
    log_run_begin(&d->run, d->normalizer);
    return OK;
}

static enum err decode(struct decoding *d, struct binlog_rows *rows, struct diag *diag)
{
    const int is_plain = !d->change_fn && !d->row_fn && !d->by_cells;
    enum step step;
    enum err err;
    while ((step = binlog_rows_next(rows, diag)) == STEP_MORE) {
        const struct binlog_table *table = binlog_rows_table(rows);
        if (UNLIKELY(table != d->table) &&
            (err = decoding_turn(d, table, binlog_rows_offset(rows), diag)) != OK)
            return err;
        if (is_plain) {
            int is_done;
            if ((err = log_run(&d->run, rows, &is_done, diag)) != OK)
                return err;
            if (is_done)
                continue;
            if ((err = log_run_end(&d->run, diag)) != OK)
                return err;
        }
        const struct binlog_row *row;
        if ((step = binlog_rows_step(rows, &row, diag)) != STEP_MORE)
            break;
        normalize_event(d->normalizer, &d->io->scratch, row->timestamp);
        err = UNLIKELY(d->change_fn != NULL) ? d->change_fn(d, row, diag)
              : d->row_fn                    ? show_change(d, row, diag)
                                             : take_change(d, row, diag);
        if (UNLIKELY(err != OK))
            return err;
    }
    return step == STEP_FAILED ? diag->err : log_run_end(&d->run, diag);
}

enum step binlog_decode_ticket(struct binlog_source *s, struct worker_io *io, struct ticket *ticket,
                               struct decoding d, struct diag *diag)
{
    struct piece *groups = ticket->extra;
    struct binlog_rows *rows;
    enum err err = binlog_rows_of(s, io, &rows, diag);
    d.format = &groups->format;
    d.run = (struct log_run){.scratch = &io->scratch,
                             .outbox = d.outbox,
                             .base = d.input->base,
                             .one_day = s->tells_steps && (d.input->base + ticket->end > s->since ||
                                                           (groups->group_count && groups->groups[0].xa))};
    d.by_cells = s->steps.reads_again && d.input->base + ticket->begin < s->since;
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

static enum step binlog_process(struct source *source, struct worker_io *io, struct ticket *ticket,
                                struct outbox *outbox, struct diag *diag)
{
    struct binlog_source *s = of(source);
    struct decoding d = {.s = s, .io = io, .input = &s->set.files[ticket->file], .outbox = outbox};
    enum step step;
    if (ticket->state == TICKET_FOLD)
        step = binlog_fold_parts(s, io, ticket->buffer, outbox, diag) == OK ? STEP_DONE : STEP_FAILED;
    else
        step = binlog_decode_ticket(s, io, ticket, d, diag);
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
    s->schema.is_off = 1;
    while ((step = binlog_claim_next(source, io, &ticket, diag)) == STEP_MORE) {
        struct decoding d = {.s = s,
                             .io = io,
                             .input = &s->set.files[ticket.file],
                             .row_fn = row,
                             .context = context,
                             .arena = &arena};
        if (binlog_decode_ticket(s, io, &ticket, d, diag) == STEP_FAILED)
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
    enum err err = log_schema_end(&s->schema, diag);
    if (err == OK && s->config.keeps)
        err = log_kept_give(&s->schema, &s->set, s->whole_end, &s->kept, diag);
    if (err == OK)
        err = file_set_check(&s->set, diag);
    return err == OK ? dict_check(s->config.shared->words, diag) : err;
}

static enum err binlog_look_again(struct source *source, struct diag *diag)
{
    return file_set_look_again(&of(source)->set, diag);
}

/* Tables of one name that are called two (core/config/job_load.c) must be two. */
static enum err binlog_apart(struct source *source, struct source *other, struct diag *diag)
{
    struct binlog_source *a = of(source), *b = of(other);
    if (other->ops != source->ops || !a->sample || !b->sample ||
        strcmp(a->spec->database, b->spec->database) != 0 || strcmp(a->spec->table, b->spec->table) != 0 ||
        strcmp(a->spec->log_name, b->spec->log_name) == 0)
        return OK;
    return log_told_twice(&(struct log_part){a->sample, &a->set, a->formats},
                          &(struct log_part){b->sample, &b->set, b->formats}, diag);
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
    counts->groups_unfinished = walk->groups_unfinished + (s->is_cut != 0);
    counts->events_ignored = walk->events_ignored;
    counts->statements = walk->statements_unwatched;
}

static struct record_layout binlog_layout(const struct source *source)
{
    return of(source)->record_layout;
}

static void binlog_log_tables(const struct source *source, struct text *out)
{
    const struct binlog_source *s = of(source);
    text_put(out, s->kept.data, s->kept.size);
}

/* A query's file is made anew in each run, of the rows that are there and asked for; files by date are another log each day. */
static const char *binlog_log_begin(const struct source *source)
{
    const struct binlog_source *s = of(source);
    return is_by_date(s->spec) || s->spec->kind == SOURCE_QUERY || s->set.count == 0 ? NULL
                                                                                     : s->set.files[0].shown;
}

static int binlog_log_steps(const struct source *source, struct log_steps *into)
{
    const struct binlog_source *s = of(source);
    if (!s->tells_steps)
        return 0;
    for (int i = 0; i < LOG_STEP_DAYS; i++) {
        log_sums_merge(&into->was[i], &s->steps.was[i], 1);
        log_sums_merge(&into->is[i], &s->steps.is[i], 1);
    }
    log_sums_merge(&into->held_was, &s->steps.held_was, 1);
    log_sums_merge(&into->held_is, &s->steps.held_is, 1);
    into->has_place = s->steps.has_place;
    into->overlaps = s->steps.overlaps;
    into->reads_again = s->steps.reads_again;
    return 1;
}

/* A capture begins with all of the table, and a file numbered 1 is the server's first. */
static int64_t binlog_log_since(const struct source *source, const char **first)
{
    const struct binlog_source *s = of(source);
    /* What was written before it, the task before has read. */
    if (s->spec->kind != SOURCE_BINLOG || s->begun_at == 0 || s->steps.has_place ||
        log_number(log_base_name(s->set.files[0].path)) <= 1)
        return TIME_NONE;
    *first = s->set.files[0].shown;
    return (int64_t)s->begun_at * 1000000;
}

static const struct source_ops binlog_ops = {
    .size = binlog_size,
    .begin = binlog_begin,
    .claim = binlog_claim,
    .start = binlog_start,
    .process = binlog_process,
    .finish = binlog_finish,
    .look_again = binlog_look_again,
    .apart = binlog_apart,
    .late_reject = binlog_late_reject,
    .recall = binlog_recall,
    .ahead = binlog_ahead,
    .limit_rejects = binlog_limit_rejects,
    .counts = binlog_counts,
    .fetch = binlog_fetch,
    .place_text = binlog_place_text,
    .rejects = binlog_rejects,
    .reject_text = binlog_reject_text,
    .layout = binlog_layout,
    .log_begin = binlog_log_begin,
    .log_tables = binlog_log_tables,
    .log_steps = binlog_log_steps,
    .log_since = binlog_log_since,
    .scan = binlog_scan,
    .close = binlog_close,
};
