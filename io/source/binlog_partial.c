/* io/source/binlog_partial.c: images that do not hold all that the job reads (MINIMAL, NOBLOB); see binlog_inner.h
 *
 * When all else is decoded one worker goes over the log twice more, in its order: which rows they are of; and what these rows were, whole
 * images and parts of them laid over each other (image_fold.h). A part of a row that was never seen whole stops.
 */
#include "io/source/binlog_inner.h"
#include <stdlib.h>

enum { ID_MAX = 4096 };

/* What tells the table's rows apart, as text. 0: the image does not hold it, or it is too long. `other`: an image that has what this
 * one lacks; may be NULL. */
static size_t id_of(const struct decoding *d, const struct binlog_table *table, const struct cell *image,
                    const struct cell *other, char out[ID_MAX])
{
    size_t size = 0;
    const int named = d->s->spec->occurrence_count, count = named ? named : (int)table->key_count;
    for (int i = 0; i < count; i++) {
        int column =
            named ? binlog_find_column((void *)table, d->s->spec->occurrence[i]) : table->key_columns[i];
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

/* What tells rows apart is not the primary key, which is all that a MINIMAL image holds of what the row was; or it is too long. */
static enum err not_told_apart(const struct decoding *d, const struct binlog_row *row, struct diag *diag)
{
    for (int i = 0; row->before && i < d->s->spec->occurrence_count; i++) {
        const int column = binlog_find_column((void *)row->table, d->s->spec->occurrence[i]);
        if (column >= 0 && row->before[column].kind == CELL_ABSENT)
            return diag_set(
                diag, ERR_INPUT, "binlog.image",
                "leave `occurrence_id:` out, so that rows are told apart by their primary key, or SET GLOBAL "
                "binlog_row_image=FULL on the server: logs written before that cannot be used with it",
                "%s@%llu: row %u of table %s.%s: its before-image does not hold column \"%s\" (a MINIMAL "
                "image), and `occurrence_id:` tells rows apart by it",
                d->input->path, (unsigned long long)row->event_offset, row->row_index, row->table->database,
                row->table->name, row->table->columns[column].name);
    }
    return never_seen(d, row, diag);
}

/* The first time over: which rows are told in part. One whose key such an image changes is known by the new key from there on. */
static enum err want_part(struct decoding *d, const struct binlog_row *row, struct diag *diag)
{
    char id[ID_MAX], id_now[ID_MAX];
    if (!binlog_is_part(d, row))
        return OK;
    size_t size = row->before ? id_of(d, row->table, row->before, NULL, id) : 0,
           size_now = row->after ? id_of(d, row->table, row->after, row->before, id_now) : size;
    if (!size || !size_now)
        return not_told_apart(d, row, diag);
    enum err err = image_fold_want(&d->owner->fold, (struct span){id, size}, diag);
    return err == OK && row->after ? image_fold_want(&d->owner->fold, (struct span){id_now, size_now}, diag)
                                   : err;
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
    const int part = binlog_is_part(d, row);
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
        err = binlog_take_cells(d, row, before, after, diag);
    } else if (row->after && is) {
        lay_over(d, row->after, d->io->cells, after);
    }
    /* A voided record is fetched by the place of its DELETE. */
    if (err == OK && part && !row->after)
        err = image_fold_keep(fold, before, (uint32_t)d->wanted_count, place, diag);
    /* The new cells may still be those of the row it was. */
    if (err == OK && is && row->after)
        err = image_fold_put(fold, is, after, (uint32_t)d->wanted_count, place, diag);
    if (err == OK && was && was != is)
        err = image_fold_put(fold, was, NULL, 0, UINT64_MAX, diag);
    return err;
}

/* ---- over the log once more ---- */

/* Once over the whole log, in its order, by a source of its own. */
static enum err go_over(struct binlog_source *s, struct worker_io *io, uint32_t buffer, struct outbox *outbox,
                        enum err (*change)(struct decoding *d, const struct binlog_row *row,
                                           struct diag *diag),
                        struct diag *diag)
{
    struct source *again_source = NULL;
    enum err err = binlog_open_again(&again_source, s, diag);
    if (err != OK)
        return err;
    struct binlog_source *own = of(again_source);
    own->folds = 0;
    own->in_order = 1;
    enum step step = STEP_MORE;
    while (err == OK && step != STEP_DONE) {
        struct ticket ticket = {.buffer = buffer};
        step = binlog_claim_next(again_source, io, &ticket, diag);
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
        if (binlog_decode_ticket(own, io, &ticket, d, diag) == STEP_FAILED)
            err = diag->err;
        mem_give(ticket.extra);
    }
    atomic_fetch_add_explicit(&s->rows, own->rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->records, own->records, memory_order_relaxed);
    binlog_close(again_source);
    return err;
}

enum err binlog_fold_parts(struct binlog_source *s, struct worker_io *io, uint32_t buffer,
                           struct outbox *outbox, struct diag *diag)
{
    enum err err = go_over(s, io, buffer, outbox, want_part, diag);
    if (err == OK)
        err = go_over(s, io, buffer, outbox, fold_part, diag);
    return err == OK ? image_fold_seal(&s->fold, diag) : err;
}
