/* io/source/binlog_again.c: rows of a log by their place: fetched again, shown, and rejects; see binlog_inner.h */
#include "io/source/binlog_inner.h"
#include "io/source/log_ahead.h"
#include <stdio.h>

enum {
    AGAIN_NEAR = 4096, /* a TABLE_MAP this close before its event is read with it */
    CLOSE = 3072,      /* a row this close behind its event's head is read with it */
    ROW = 768          /* bytes that a row mostly has no more than */
};

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

/* Bytes of the window from `offset` on, as far as it goes; NULL: they are not there. */
static const uint8_t *in_window(const struct worker_io *io, const struct input_file *input, uint64_t offset,
                                size_t *size)
{
    const struct log_window *const w = &io->log_window;
    if (w->file != input->serial || offset < w->at || offset - w->at >= w->size)
        return NULL;
    *size = w->size - (size_t)(offset - w->at);
    return w->bytes + (offset - w->at);
}

/* As input_pread, out of the window where all of it is there. */
static ssize_t near_read(struct worker_io *io, struct input_file *input, uint8_t *to, size_t size,
                         uint64_t offset)
{
    size_t there;
    const uint8_t *const bytes = in_window(io, input, offset, &there);
    if (!bytes || there < size)
        return input_pread(input, to, size, offset);
    memcpy(to, bytes, size);
    return (ssize_t)size;
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
    const ssize_t n = near_read(io, input, io->again[which] + have, want - have, offset + have);
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

/* Reads `size` bytes at `offset`, or as many as there are, into the buffer of events from `at` on; how many. */
static size_t part_read(struct worker_io *io, struct input_file *input, size_t at, size_t size,
                        uint64_t offset)
{
    const uint64_t left = input->size > offset ? input->size - offset : 0;
    const size_t want = least(size, left);
    const ssize_t n = want ? near_read(io, input, io->again[1] + at, want, offset) : 0;
    return n > 0 ? (size_t)n : 0;
}

/* A row by itself: its TABLE_MAP, its event's head and its bytes, in one read as far as they lie close. All of the log was verified
 * when it was read first, and binlog_fetch asks whether it changed since. 0: the row is read with all of its event. */
static int again_part(struct worker_io *io, struct input_file *input, struct binlog_place place,
                      struct binlog_rows *rows, const struct binlog_row **row, struct diag *diag)
{
    enum { MAP, EVENT, MAP_GUESS = 512, HEAD = 192 };
    const uint64_t event = place.event_offset, map = place.table_map_offset;
    const int is_near = event - map <= AGAIN_NEAR;
    const size_t before = is_near ? (size_t)(event - map) : 0, back = (size_t)(place.image_offset - event);
    const int is_close = back <= CLOSE;
    const size_t first = before + (is_close ? back + ROW : HEAD), row_at = is_close ? before + back : first;
    if (io->again_place[EVENT] == input->base + event + 1)
        return 0;
    if (!is_near && io->again_place[MAP] != input->base + map + 1) {
        io->again_place[MAP] = 0;
        if (again_event(io, MAP, input, map, 0, MAP_GUESS, &io->again_size[MAP], diag) != OK)
            return 0;
        io->again_place[MAP] = input->base + map + 1;
    }
    io->again_place[EVENT] = 0;
    if (io->again_room[EVENT] < row_at + ROW + IO_SLACK) {
        uint8_t *grown = mem_grow(io->again[EVENT], row_at + ROW + IO_SLACK);
        if (!grown)
            return 0;
        io->again[EVENT] = grown;
        io->again_room[EVENT] = row_at + ROW + IO_SLACK;
    }
    const size_t n = part_read(io, input, 0, first, event - before);
    const size_t more = is_close ? 0 : part_read(io, input, row_at, ROW, place.image_offset);
    if (n < before || (is_close && n <= row_at))
        return 0;
    place.table_map = is_near ? io->again[EVENT] : io->again[MAP];
    place.table_map_size = is_near ? n : io->again_size[MAP];
    place.event = io->again[EVENT] + before;
    place.event_size = n - before;
    return binlog_rows_part(rows, &place, io->again[EVENT] + row_at, is_close ? n - row_at : more, row) ==
           STEP_MORE;
}

/* The same with its event, which is verified. */
static enum err again_whole(struct worker_io *io, struct input_file *input, struct binlog_place place,
                            struct binlog_rows *rows, const struct binlog_row **row, struct diag *diag)
{
    enum { MAP, EVENT, GUESS = 512, GUESS_MAX = 64 << 10 };
    const uint64_t event = place.event_offset, map = place.table_map_offset;
    const int is_near = event - map <= AGAIN_NEAR;
    const size_t before = is_near ? (size_t)(event - map) : 0;
    const uint64_t event_place = input->base + event + 1, map_place = input->base + map + 1;
    enum err err;
    if (io->again_place[EVENT] != event_place) {
        size_t guess = (size_t)(place.image_offset - event) + GUESS;
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
    place.event_size = io->again_size[EVENT];
    place.event = io->again[EVENT] + before;
    place.table_map = is_near ? io->again[EVENT] : io->again[MAP];
    place.table_map_size = !is_near ? io->again_size[MAP] : before ? before : place.event_size;
    return binlog_rows_again(rows, &place, row, diag) == STEP_MORE ? OK : diag->err;
}

/* A row of the event that the one before was of: nothing but its own bytes is read, and of a packed event not even these. */
static int again_further(struct worker_io *io, struct input_file *input, const struct binlog_place *place,
                         struct binlog_rows *rows, const struct binlog_row **row)
{
    enum { EVENT = 1 };
    if (binlog_rows_is_packed(rows)) {
        /* What it inflates to may be the event's own bytes. */
        return io->again_place[EVENT] == input->base + place->event_offset + 1 &&
               binlog_rows_further(rows, place, NULL, 0, row) == STEP_MORE;
    }
    size_t size;
    const uint8_t *const bytes = in_window(io, input, place->image_offset, &size);
    return bytes && binlog_rows_further(rows, place, bytes, size, row) == STEP_MORE;
}

/* Decodes one known row again: the image that counts. Its cells live until the next call.
 *
 * Rows come in the order of their file, mostly one of an event: its event is read once, and of that only the row; the TABLE_MAP comes
 * with it where it lies close, and is kept for the rows that follow where one statement has many. */
static enum err again(struct binlog_source *s, struct worker_io *io, const struct row_ref *ref,
                      const struct cell **image, const struct normalizer **normalizer, struct diag *diag)
{
    uint32_t file = file_set_find(&s->set, ref->place);
    struct input_file *input = &s->set.files[file];
    const uint64_t offset = ref->place - input->base, event = offset - ref->back_event,
                   map = event - ref->back_map;
    struct binlog_rows *rows;
    enum err err = binlog_rows_of(s, io, &rows, diag);
    if (err != OK)
        return err;
    struct binlog_place place = {.file_name = input->path,
                                 .format = &s->formats[file],
                                 .table_map_offset = map,
                                 .event_offset = event,
                                 .image_offset = offset,
                                 .row_index = ref->row_index};
    const struct binlog_row *row;
    struct diag quiet = {0};
    if (!again_further(io, input, &place, rows, &row) && !again_part(io, input, place, rows, &row, &quiet) &&
        (err = again_whole(io, input, place, rows, &row, diag)) != OK)
        return err;
    err = binlog_version_of(s, row->table, input->path, normalizer, diag);
    if (err != OK)
        return err;
    io->again_table = row->table;
    normalize_event(*normalizer, &io->scratch, row->timestamp);
    io->again_timestamp = row->timestamp;
    *image = row->op == BINLOG_DELETE ? row->before : row->after;
    if (!row->is_whole && !add_folded(s, *normalizer, ref->place, *image))
        err = diag_set(diag, ERR_BUG, "invariant.fold", "please report this with the logs",
                       "%s@%llu: what the image does not hold was not kept", input->path,
                       (unsigned long long)event);
    return err;
}

/* Reads what lies around refs[from] and those behind it as long as they lie close, in one call. Where it stands alone, nothing is: it is read
 * by itself. */
static void fill_window(struct binlog_source *s, struct worker_io *io, const struct row_ref *refs,
                        uint32_t count, uint32_t from)
{
    enum { APART = 6144 }; /* so many bytes cost as much as a call does */
    const struct input_file *const first = &s->set.files[file_set_find(&s->set, refs[from].place)];
    struct input_file *const input = &s->set.files[first - s->set.files];
    const uint64_t at = refs[from].place - input->base;
    const uint32_t buffer = (uint32_t)s->config.side < io->buffer_count ? (uint32_t)s->config.side : 0;
    uint64_t begin = at, end = at + ROW;
    if (refs[from].back_event <= CLOSE && refs[from].back_map <= AGAIN_NEAR)
        begin -= refs[from].back_event + refs[from].back_map;
    uint32_t to = from + 1;
    for (; to < count && refs[to].place - input->base < end + APART; to++) {
        const uint64_t next = refs[to].place - input->base + ROW;
        if (next > input->size || next - begin > io->buffer_size)
            break;
        end = next;
    }
    io->log_window.file = 0;
    if (to == from + 1)
        return;
    uint8_t *const bytes = worker_io_buffer(io, buffer);
    const ssize_t n = input_pread(input, bytes, (size_t)(end - begin), begin);
    if (n > 0) /* else who reads the row will tell */
        io->log_window = (struct log_window){input->serial, begin, (size_t)n, bytes};
}

enum err binlog_ahead(struct source *source, struct worker_io *io, const struct row_ref *refs, uint32_t count,
                      size_t bytes, struct diag *diag)
{
    struct binlog_source *s = of(source);
    struct log_ahead **const ahead = &io->ahead_rows[s->config.side];
    if (count == 0) {
        log_ahead_close(*ahead);
        *ahead = NULL;
        return OK;
    }
    if (!*ahead && !(*ahead = log_ahead_open(bytes)))
        return mem_fail(diag, 0, "rows that broke");
    io->streams[s->config.side].file = 0; /* its buffer is the window's now */
    enum err err = OK;
    int kept = 1;
    uint64_t last = UINT64_MAX;
    for (uint32_t i = 0; err == OK && kept > 0 && i < count; i++) {
        const struct cell *image;
        const struct normalizer *normalizer;
        if ((refs[i].record_flags & RECORD_REJECT) || refs[i].place == last)
            continue;
        last = refs[i].place;
        const struct input_file *const input = &s->set.files[file_set_find(&s->set, last)];
        size_t there;
        if (!in_window(io, input, last - input->base, &there) || there < ROW)
            fill_window(s, io, refs, count, i);
        err = again(s, io, &refs[i], &image, &normalizer, diag);
        if (err != OK)
            break;
        int wanted_count;
        const int *const wanted = normalizer_columns(normalizer, &wanted_count);
        const struct log_ahead_row row = {normalizer, io->again_timestamp, (uint32_t)wanted_count};
        kept = log_ahead_put(*ahead, last, &row, image, wanted);
        if (kept < 0)
            err = mem_fail(diag, bytes, "rows that broke");
    }
    io->log_window.file = 0;
    return err;
}

enum err binlog_fetch(struct source *source, struct worker_io *io, const struct row_ref *refs,
                      struct full *rows, uint32_t count, struct arena *arena, struct diag *diag)
{
    struct binlog_source *s = of(source);
    struct log_ahead *const ahead = io->ahead_rows[s->config.side];
    uint32_t checked = UINT32_MAX;
    /* What was read ahead lies all over the memory: it is asked for before it is needed. */
    enum { DISTANCE = 8 };
    const struct log_ahead_row *soon[DISTANCE] = {NULL};
    for (uint32_t i = 0; ahead && i < DISTANCE && i < count; i++)
        soon[i] = log_ahead_find(ahead, refs[i].place);
    for (uint32_t i = 0; i < count; i++) {
        const struct cell *image, *cells = io->cells;
        const struct normalizer *normalizer;
        const struct log_ahead_row *const kept = soon[i % DISTANCE];
        if (ahead && i + DISTANCE < count)
            soon[i % DISTANCE] = log_ahead_find(ahead, refs[i + DISTANCE].place);
        int wanted_count, bad_cell, no_memory;
        if (kept) {
            normalizer = kept->normalizer;
            normalize_event(normalizer, &io->scratch, kept->timestamp);
            cells = kept->cells;
        } else {
            const enum err err = again(s, io, &refs[i], &image, &normalizer, diag);
            if (err != OK)
                return err;
            const int *wanted = normalizer_columns(normalizer, &wanted_count);
            for (int k = 0; k < wanted_count; k++)
                io->cells[k] = image[wanted[k]];
        }
        enum reject_code code =
            normalize_full(normalizer, &io->scratch, cells, arena, &rows[i], &bad_cell, &no_memory);
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
    /* What was read by itself was not verified again: its file must still be the one that was. */
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const uint32_t file = file_set_find(&s->set, refs[i].place);
        if (file != checked)
            err = input_check(&s->set.files[file], diag);
        checked = file;
    }
    return err;
}

/* For messages too: 0 with the file's name in `out` when a segment cannot be read. */
size_t binlog_place_of(struct binlog_source *s, uint64_t place, uint32_t back_event, uint32_t row_index,
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
    char numbers[2 * CELL_NUMBER_MAX];
    char *const end = numbers + sizeof numbers;
    const struct span row = cell_number_print(end - CELL_NUMBER_MAX, row_index, 0);
    char *at = (char *)row.data;
    *--at = '#';
    const struct span byte = cell_number_print(at - CELL_NUMBER_MAX, offset, 0);
    at = (char *)byte.data;
    *--at = '@';
    const size_t size = strlen(name), tail = (size_t)(end - at);
    if (size + tail >= room) {
        const int n = snprintf(out, room, "%s%.*s", name, (int)tail, at);
        return n < (int)room ? (size_t)n : room - 1;
    }
    memcpy(out, name, size);
    memcpy(out + size, at, tail);
    out[size + tail] = 0;
    return size + tail;
}

size_t binlog_place_text(struct source *source, struct worker_io *io, const struct full *row, char *out,
                         size_t room)
{
    (void)io;
    return binlog_place_of(of(source), row->place, row->back_event, row->row_index, out, room);
}

enum err binlog_late_reject(struct source *source, struct worker_io *io, const struct row_ref *ref,
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
    const struct reject_limit *const limit =
        &s->spec->rejects; /* a share of the rows is known at the end only */
    return reject_list_add(&s->rejects, &reject, &s->reject_count,
                           limit->max_ppm ? UINT64_MAX : limit->max_rows, diag);
}

enum err binlog_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag)
{
    (void)io;
    struct binlog_source *s = of(source);
    uint64_t limit = s->spec->rejects.max_rows;
    if (s->spec->rejects.max_ppm)
        limit = (uint64_t)((unsigned __int128)s->rows * s->spec->rejects.max_ppm / 1000000u);
    if (s->rejects.total <= limit)
        return reject_list_check(&s->rejects, diag);
    struct reject_firsts first;
    const enum err err = reject_list_first(&s->rejects, 0, UINT64_MAX, &first, diag);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < first.count; i++) {
        const struct reject *reject = &first.items[i];
        char text[1024];
        binlog_place_of(s, reject->place, reject->back_event, reject->row_index, text, sizeof text);
        reject_show((enum reject_code)reject->code, text, NULL, NULL);
    }
    return diag_set(diag, ERR_INPUT, "rejects",
                    "look at the rows above; allow some with --max-rejects=N or `rejects: {max: N}`",
                    "%s.%s: the last image of %llu rows cannot be read as a record; %llu are allowed",
                    s->columns.watch.database, s->columns.watch.table, (unsigned long long)s->rejects.total,
                    (unsigned long long)limit);
}

enum err binlog_recall(struct source *source, struct worker_io *io, const struct row_ref *refs,
                       uint32_t count, record_take_fn *take, void *taker, struct diag *diag)
{
    struct binlog_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const struct row_ref *const ref = &refs[i];
        const struct cell *image;
        const struct normalizer *normalizer;
        err = again(s, io, ref, &image, &normalizer, diag);
        if (err != OK)
            return err;
        int wanted_count, bad_cell;
        const int *wanted = normalizer_columns(normalizer, &wanted_count);
        for (int k = 0; k < wanted_count; k++)
            io->cells[k] = image[wanted[k]];
        if (normalize_hot(normalizer, &io->scratch, io->cells, io->record, &bad_cell) != REJECT_NONE)
            return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                            "%s: the row at byte %llu is not what it was when it was read first",
                            s->set.files[file_set_find(&s->set, ref->place)].path,
                            (unsigned long long)ref->place);
        const uint32_t fold[] = {ref->back_event, ref->back_map, ref->row_index};
        _Static_assert(sizeof fold == RECORD_FOLD_BYTES, "a record's fold");
        memcpy(io->record->var, fold, sizeof fold);
        io->record->place = ref->place;
        err = take(taker, i, io->record, diag);
    }
    return err;
}

enum err binlog_rejects(struct source *source, reject_take_fn *take, void *taker, struct diag *diag)
{
    return reject_list_each(&of(source)->rejects, take, taker, diag);
}

/* A row as text: name=value of its columns, the first kilobyte of each. */
size_t binlog_row_text(const struct binlog_table *table, const struct cell *image, char text[BINLOG_ROW_TEXT])
{
    size_t used = 0;
    for (uint32_t i = 0; i < table->column_count && used + 1 < BINLOG_ROW_TEXT; i++) {
        if (image[i].kind == CELL_ABSENT)
            continue;
        char number[64];
        struct span cell = binlog_cell_print(number, &image[i], &table->columns[i]);
        int n = snprintf(text + used, BINLOG_ROW_TEXT - used, "%s%s=%.*s", used ? ";" : "",
                         table->columns[i].name, (int)(cell.size < 1000 ? cell.size : 1000),
                         cell.data ? cell.data : "");
        used = n < 0 || used + (size_t)n >= BINLOG_ROW_TEXT ? BINLOG_ROW_TEXT - 1 : used + (size_t)n;
    }
    return used;
}

enum err binlog_reject_text(struct source *source, struct worker_io *io, const struct reject *reject,
                            struct arena *arena, struct span *raw, struct span *place, struct span *column,
                            struct span *value, struct diag *diag)
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
    const struct binlog_table *table = io->again_table;
    *column = *value = (struct span){"", 0};
    if (reject->column < table->column_count && image[reject->column].kind != CELL_ABSENT) {
        char number[64];
        *column = arena_copy(arena, span_of(table->columns[reject->column].name));
        *value = arena_copy(
            arena, binlog_cell_print(number, &image[reject->column], &table->columns[reject->column]));
    }
    char text[BINLOG_ROW_TEXT];
    const size_t used = binlog_row_text(table, image, text);
    *raw = arena_copy(arena, (struct span){text, used});
    char where[1024];
    *place = arena_copy(arena, (struct span){where, binlog_place_of(s, reject->place, reject->back_event,
                                                                    reject->row_index, where, sizeof where)});
    return raw->data && place->data && column->data && value->data ? OK : mem_fail(diag, used, "a reject");
}
