/* io/store/carry_file.c: see carry_file.h */
#include "io/store/carry_file.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/config/carry.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/sink/out_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 1 << 20, NAME_ROOM = 240, HEADER_MAX = 16 * 1024, LATE_FILES_MAX = 32, AHEAD = 16 };

struct carry_writer {
    const struct state *state;
    int fd;
    char name[NAME_ROOM], path[STATE_PATH_MAX + 8];
    char *block;
    size_t used;
    uint64_t offset, rows;
    struct digest *digest;
};

static enum err flush(struct carry_writer *w, struct diag *diag)
{
    digest_put(w->digest, w->block, w->used);
    const int error = sys_pwrite_full(w->fd, w->block, w->used, w->offset);
    if (error)
        return out_write_failed(diag, -error, "state.write", w->path, w->used);
    if (w->used == BLOCK)
        sys_start_write(w->fd, w->offset, w->used);
    w->offset += w->used;
    w->used = 0;
    return OK;
}

static enum err put(struct carry_writer *w, const char *bytes, size_t size, struct diag *diag)
{
    while (size) {
        if (w->used == BLOCK) {
            enum err err = flush(w, diag);
            if (err != OK)
                return err;
        }
        const size_t n = size < BLOCK - w->used ? size : BLOCK - w->used;
        memcpy(w->block + w->used, bytes, n);
        w->used += n;
        bytes += n;
        size -= n;
    }
    return OK;
}

enum err carry_write_open(struct carry_writer **out, const struct state *state, const struct carry_file *file,
                          struct span header, struct diag *diag)
{
    *out = NULL;
    struct carry_writer *w = mem_take_zero(1, sizeof *w);
    if (!w)
        return mem_fail(diag, sizeof *w, "carried records");
    w->state = state;
    w->fd = -1;
    w->block = mem_take(BLOCK);
    w->digest = digest_open();
    snprintf(w->name, sizeof w->name, "%s", file->file);
    enum err err = w->block && w->digest ? state_path(state, w->path, file->file, diag)
                                         : mem_fail(diag, BLOCK, "carried records");
    if (err == OK) {
        strcat(w->path, ".new");
        w->fd = sys_open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
        if (w->fd < 0)
            err = diag_set_errno(diag, -w->fd, "state.write", "%s: cannot make it", w->path);
        digest_begin(w->digest);
    }
    if (err == OK && header.size)
        err = put(w, header.data, header.size, diag);
    if (err == OK && header.size)
        err = put(w, "\n", 1, diag);
    if (err != OK) {
        carry_write_drop(w);
        return err;
    }
    *out = w;
    return OK;
}

enum err carry_write_row(struct carry_writer *w, struct span row, int newline, struct diag *diag)
{
    enum err err = put(w, row.data, row.size, diag);
    w->rows++;
    return err == OK && newline ? put(w, "\n", 1, diag) : err;
}

enum err carry_write_end(struct carry_writer *w, struct carry_file *file, struct diag *diag)
{
    char text[DIGEST_TEXT];
    enum err err = flush(w, diag);
    digest_end(w->digest, text);
    snprintf(file->sha, sizeof file->sha, "%s", text + strlen("sha256:"));
    file->records = w->rows;
    file->bytes = w->offset;
    return err;
}

void carry_write_drop(struct carry_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        sys_close(w->fd);
    digest_close(w->digest);
    mem_give(w->block);
    mem_give(w);
}

static enum err damaged(const char *path, const char *what, struct diag *diag)
{
    return diag_set(diag, ERR_STATE, "state.carried", "bring the state folder back from a backup", "%s: %s",
                    path, what);
}

enum err carry_check(const struct state *state, const struct carry_file *file, struct diag *diag)
{
    char path[STATE_PATH_MAX], text[DIGEST_TEXT];
    struct stat st;
    enum err err = state_path(state, path, file->file, diag);
    if (err != OK)
        return err;
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd == -ENOENT)
        return damaged(path, "carried records are missing: the file was removed", diag);
    int error = fd < 0 ? fd : sys_fstat(fd, &st);
    if (!error && (uint64_t)st.st_size != file->bytes)
        err = damaged(path, "is damaged: it has another size than it was written with", diag);
    if (!error && err == OK) {
        error = digest_file(fd, file->bytes, "SHA256", text);
        if (error == 0 && strcmp(text + strlen("sha256:"), file->sha) != 0)
            err = damaged(path, "is damaged: its hash is not that of the bytes that were written", diag);
    }
    if (fd >= 0)
        sys_close(fd);
    return error < 0 ? diag_set_errno(diag, -error, "state.read", "%s: cannot read it", path) : err;
}

/* ---- final records whose partner may have come ---- */

/* A row that is taken whatever its key. */
struct wanted_row {
    uint64_t at;
    uint32_t hand;
};

struct final_file {
    struct carry_file rows, prints;
    uint64_t *gone, gone_count; /* offsets of rows that earlier tasks reopened */
    struct wanted_row *wanted;  /* ascending */
    uint32_t wanted_count;
};

struct late {
    struct state *state;
    int64_t task;
    int used[SIDES]; /* files */
    struct final_file *files[SIDES];
    uint32_t count[SIDES], room[SIDES];
    uint64_t records;
    char names[SIDES][LATE_FILES_MAX][STATE_PATH_MAX];
    const char *paths[SIDES][LATE_FILES_MAX];
    char header[HEADER_MAX]; /* that was found whole last */
    size_t header_size;
};

struct collecting {
    struct late *late;
    int side;
};

static enum err collect(void *context, const struct carry_file *file, struct diag *diag)
{
    struct collecting *c = context;
    struct late *late = c->late;
    if (file->records == 0)
        return OK;
    if (file->kind == CARRY_PRINTS) {
        for (uint32_t i = 0; i < late->count[c->side]; i++)
            if (late->files[c->side][i].rows.task == file->task)
                late->files[c->side][i].prints = *file;
        return OK;
    }
    if (mem_list_more(&late->files[c->side], late->count[c->side], &late->room[c->side], 32,
                      "files of final records", diag) != OK)
        return ERR_MACHINE;
    late->files[c->side][late->count[c->side]++] = (struct final_file){.rows = *file};
    late->records += file->records;
    return OK;
}

enum err late_open(struct late **out, struct state *state, const struct task *task, struct diag *diag)
{
    *out = NULL;
    struct late *late = mem_take_zero(1, sizeof *late);
    if (!late)
        return mem_fail(diag, sizeof *late, "files of final records");
    late->state = state;
    late->task = task->id;
    enum err err = OK;
    for (int side = 0; side < SIDES; side++)
        for (int kind = CARRY_FINAL; err == OK && kind <= CARRY_PRINTS; kind++) {
            struct collecting c = {late, side};
            struct carry_ask ask = {.kind = (enum carry_kind)kind,
                                    .side = side,
                                    .channel_code = task->channel_code,
                                    .biz_type = task->biz_type,
                                    .day = task->day};
            err = carry_each(state_db(state), &ask, collect, &c, diag);
        }
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; err == OK && i < late->count[side]; i++) {
            struct final_file *file = &late->files[side][i];
            err =
                gone_read(state_db(state), file->rows.file, task->day, &file->gone, &file->gone_count, diag);
        }
    if (err != OK || late->records == 0) {
        late_close(late);
        return err;
    }
    *out = late;
    return OK;
}

uint64_t late_records(const struct late *late)
{
    return late->records;
}

void late_close(struct late *late)
{
    if (!late)
        return;
    for (int side = 0; side < SIDES; side++) {
        for (int i = 0; i < LATE_FILES_MAX; i++)
            if (late->names[side][i][0])
                sys_unlink(late->names[side][i]);
        for (uint32_t i = 0; i < late->count[side]; i++) {
            mem_give(late->files[side][i].gone);
            mem_give(late->files[side][i].wanted);
        }
        mem_give(late->files[side]);
    }
    mem_give(late);
}

/* ---- rows of pairs made by hand ---- */

/* Whether cell `number` of a row is `want`. Rows are this program's own. */
static int cell_is(const char *row, size_t size, int number, struct span want)
{
    size_t at = 0, k = 0;
    for (int quoted = 0; number > 0 && at < size; at++) {
        quoted ^= row[at] == '"';
        number -= !quoted && row[at] == ',';
    }
    const int quoted = at < size && row[at] == '"';
    for (at += (size_t)quoted; at < size && (quoted || (row[at] != ',' && row[at] != '\n')); at++, k++) {
        if (quoted && row[at] == '"' && (++at == size || row[at] != '"'))
            break; /* of two in a row the second one counts */
        if (k == want.size || row[at] != want.data[k])
            return 0;
    }
    return k == want.size;
}

static int row_is(const char *row, size_t size, const struct late_row *want)
{
    return cell_is(row, size, CARRY_PLACE, want->place) &&
           cell_is(row, size, CARRY_COLUMNS + FIELD_BIZ_ORDER_NO, want->biz_order_no) &&
           cell_is(row, size, CARRY_COLUMNS + FIELD_CHANNEL_ORDER_NO, want->channel_order_no) &&
           cell_is(row, size, CARRY_COLUMNS + FIELDS, want->occurrence);
}

static enum err want_at(struct final_file *file, uint64_t at, uint32_t hand, struct diag *diag)
{
    struct wanted_row *grown = mem_grow(file->wanted, (file->wanted_count + 1) * sizeof *grown);
    if (!grown)
        return mem_fail(diag, sizeof *grown, "final records");
    file->wanted = grown;
    uint32_t i = file->wanted_count++;
    for (; i > 0 && grown[i - 1].at > at; i--)
        grown[i] = grown[i - 1];
    grown[i] = (struct wanted_row){at, hand};
    return OK;
}

static enum err want_in(struct late *late, struct final_file *file, const struct late_row *want, int *found,
                        struct diag *diag)
{
    char path[STATE_PATH_MAX], prints_path[STATE_PATH_MAX];
    enum err err = state_path(late->state, path, file->rows.file, diag);
    if (err == OK)
        err = state_path(late->state, prints_path, file->prints.file, diag);
    if (err != OK)
        return err;
    int fd = sys_open(path, O_RDONLY, 0), prints_fd = sys_open(prints_path, O_RDONLY, 0);
    char *rows = mem_take(file->rows.bytes + 1);
    struct final_print *prints = mem_take(file->prints.bytes + 1);
    int error = fd < 0 ? fd : prints_fd < 0 ? prints_fd : 0;
    if (!rows || !prints) {
        err = mem_fail(diag, file->rows.bytes + file->prints.bytes, "final records");
    } else if (error == 0) {
        const ssize_t n = sys_pread_full(fd, rows, file->rows.bytes, 0),
                      m = sys_pread_full(prints_fd, prints, file->prints.bytes, 0);
        error = n < 0 ? (int)n : m < 0 ? (int)m : 0;
        if (error == 0 && ((uint64_t)n != file->rows.bytes || (uint64_t)m != file->prints.bytes))
            err = damaged(path, "is damaged: it is shorter than it was written", diag);
    }
    if (error)
        err = diag_set_errno(diag, -error, "state.read", "%s: cannot read it", path);
    const char *header_end = err == OK ? memchr(rows, '\n', file->rows.bytes) : NULL;
    uint64_t at = header_end ? (uint64_t)(header_end - rows) + 1 : file->rows.bytes, next_gone = 0;
    for (uint64_t i = 0; err == OK && !*found && i < file->prints.bytes / sizeof *prints; i++) {
        if (prints[i].size > file->rows.bytes - at)
            break; /* late_find says that it is damaged */
        while (next_gone < file->gone_count && file->gone[next_gone] < at)
            next_gone++;
        if (!(next_gone < file->gone_count && file->gone[next_gone] == at) &&
            row_is(rows + at, prints[i].size, want)) {
            *found = 1;
            err = want_at(file, at, want->hand, diag);
        }
        at += prints[i].size;
    }
    if (fd >= 0)
        sys_close(fd);
    if (prints_fd >= 0)
        sys_close(prints_fd);
    mem_give(rows);
    mem_give(prints);
    return err;
}

enum err late_want(struct late *late, const struct late_row *row, int *found, struct diag *diag)
{
    int from_here = 0;
    enum err err = OK;
    *found = 0;
    /* Where a pair made by hand was broken up the row stands behind the task that had taken the pair up. */
    for (uint32_t i = 0; late && err == OK && !*found && i < late->count[row->side]; i++) {
        from_here |= late->files[row->side][i].rows.task == row->task;
        if (from_here)
            err = want_in(late, &late->files[row->side][i], row, found, diag);
    }
    return err;
}

/* What is being written: rows of files with one and the same header go into one. */
struct found {
    struct late *late;
    enum side side;
    int count;
    int fd;
    uint64_t offset;
    char header[HEADER_MAX];
    size_t header_size;
    char *row;
    size_t row_room;
};

static enum err begin_file(struct found *f, const char *header, size_t size, struct diag *diag)
{
    if (f->fd >= 0 && size == f->header_size && memcmp(header, f->header, size) == 0)
        return OK;
    if (f->fd >= 0)
        sys_close(f->fd);
    f->fd = -1;
    const int number = f->late->used[f->side];
    if (number == LATE_FILES_MAX)
        return diag_set(diag, ERR_STATE, "state.carried", NULL,
                        "final records of more than %d layouts of the job would have to be reopened at once",
                        LATE_FILES_MAX);
    char name[80], *path = f->late->names[f->side][number];
    snprintf(name, sizeof name, "suspense/late-%06lld-%s-%d.csv", (long long)f->late->task,
             side_name(f->side), number);
    enum err err = state_path(f->late->state, path, name, diag);
    if (err != OK)
        return err;
    f->late->paths[f->side][f->late->used[f->side]++] = path;
    f->count++;
    f->fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    int error = f->fd < 0 ? f->fd : sys_pwrite_full(f->fd, header, size, 0);
    f->offset = size;
    memcpy(f->header, header, size);
    f->header_size = size;
    return error ? diag_set_errno(diag, -error, "state.write", "%s: cannot write it", path) : OK;
}

/* One row that may be reopened, with its origin before it. */
static enum err take_row(struct found *f, int rows_fd, const char *path, const char *name, uint64_t at,
                         uint32_t hand, const struct final_print *print, struct diag *diag)
{
    char origin[NAME_ROOM + 40];
    size_t head = (size_t)snprintf(origin, sizeof origin, "%s@%llu", name, (unsigned long long)at);
    if (hand)
        head += (size_t)snprintf(origin + head, sizeof origin - head, "%c%u", CARRY_HAND_NOW, hand);
    if (head + print->size > f->row_room) {
        mem_give(f->row);
        f->row_room = (head + print->size) * 2;
        f->row = mem_take(f->row_room);
        if (!f->row) {
            f->row_room = 0;
            return mem_fail(diag, head + print->size, "a final record");
        }
    }
    memcpy(f->row, origin, head);
    const ssize_t n = sys_pread_full(rows_fd, f->row + head, print->size, at);
    if (n < 0)
        return diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", path);
    if ((size_t)n != print->size || print->size < 2 || f->row[head + print->size - 1] != '\n' ||
        (uint32_t)hash_bytes(f->row + head, print->size - 1, 0) != print->sum)
        return damaged(path, "is damaged: a row of it is not what was written", diag);
    const int error = sys_pwrite_full(f->fd, f->row, head + print->size, f->offset);
    f->offset += head + print->size;
    return error ? out_write_failed(diag, -error, "state.write",
                                    f->late->names[f->side][f->late->used[f->side] - 1], print->size)
                 : OK;
}

static int has(const struct bloom *set, uint64_t hash)
{
    return set && bloom_has(set, hash);
}

/* Whether one of a record's prints is asked for. */
static int is_meant(const struct late_ask *ask, enum side side, const struct final_print *first,
                    const struct final_print *print)
{
    const struct bloom *others = ask->fresh[!side], *own = ask->fresh[side];
    if (print->size) /* the first key, as the sources know it */
        return ask->key == 0 && print->hash != FINAL_NEVER &&
               (print->hash == FINAL_ALWAYS || has(others, print->hash));
    if (print->sum == PRINT_LINK)
        return has(ask->links, print->hash);
    if ((int)(print->sum & (PRINT_BOTH_SIDES - 1)) != ask->key)
        return 0;
    const int both = (print->sum & PRINT_BOTH_SIDES) != 0;
    if (ask->key == 0)
        return both && first->hash != FINAL_NEVER && has(own, first->hash);
    return has(others, print->hash) || (both && has(own, print->hash));
}

/* Rows have sums of their own, their header has not. That of a job without attrs is known; another is believed when the whole file is what was
 * written: usually the first one's, and all others have the same. */
static enum err check_header(struct late *late, const struct final_file *file, const char *header,
                             size_t size, struct diag *diag)
{
    static const struct job plain;
    struct text usual = {0};
    if (size == late->header_size && memcmp(header, late->header, size) == 0)
        return OK;
    keep_header(&usual, &plain);
    enum err err = usual.failed ? mem_fail(diag, usual.size, "a header")
                   : usual.size + 1 == size && memcmp(header, usual.data, usual.size) == 0
                       ? OK
                       : carry_check(late->state, &file->rows, diag);
    text_fini(&usual);
    memcpy(late->header, header, size);
    late->header_size = err == OK ? size : 0;
    return err;
}

/* The line of the set that a print will ask for: each is a miss of some 70 ns, unless it is on its way already. */
static inline __attribute__((always_inline)) void ask_ahead(const struct late_ask *ask, enum side side,
                                                            const char *block, size_t at, size_t size)
{
    struct final_print print;
    const struct bloom *set = ask->fresh[!side];
    if (at >= size || !set || ask->key != 0)
        return;
    memcpy(&print, block + at, sizeof print);
    __builtin_prefetch(bloom_word(set, print.hash));
}

static enum err look_through(struct found *f, const struct final_file *file, const struct late_ask *ask,
                             char *block, struct diag *diag)
{
    char path[STATE_PATH_MAX], prints_path[STATE_PATH_MAX], header[HEADER_MAX], text[DIGEST_TEXT];
    const uint64_t *gone = file->gone, gone_count = file->gone_count;
    uint64_t next_gone = 0;
    uint32_t next_wanted = 0;
    struct digest *digest = digest_open();
    enum err err =
        digest ? state_path(f->late->state, path, file->rows.file, diag) : mem_fail(diag, 0, "final records");
    if (err == OK)
        err = state_path(f->late->state, prints_path, file->prints.file, diag);
    int fd = -1, prints_fd = -1;
    size_t header_size = 0;
    if (err == OK) {
        fd = sys_open(path, O_RDONLY, 0);
        prints_fd = sys_open(prints_path, O_RDONLY, 0);
        const ssize_t n = fd < 0          ? fd
                          : prints_fd < 0 ? prints_fd
                                          : sys_pread_full(fd, header, sizeof header, 0);
        const char *end = n > 0 ? memchr(header, '\n', (size_t)n) : NULL;
        if (n == -ENOENT)
            err =
                damaged(fd < 0 ? path : prints_path, "final records are missing: the file was removed", diag);
        else if (n < 0)
            err = diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", path);
        else if (!end)
            err = damaged(path, "is damaged: it has no header", diag);
        else
            header_size = (size_t)(end - header) + 1;
        if (err == OK)
            err = check_header(f->late, file, header, header_size, diag);
        digest_begin(digest);
    }
    uint64_t at = header_size, seen = 0;
    struct final_print row = {.size = 0}; /* the record whose prints go by */
    int meant = 0;
    for (uint64_t offset = 0; err == OK && offset < file->prints.bytes;) {
        const uint64_t left = file->prints.bytes - offset;
        const size_t want = left < BLOCK ? (size_t)left : BLOCK;
        const ssize_t n = sys_pread_full(prints_fd, block, want, offset);
        if (n < 0 || (size_t)n != want || want % sizeof(struct final_print)) {
            err = n < 0 ? diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", prints_path)
                        : damaged(prints_path, "is damaged: it is shorter than it was written", diag);
            break;
        }
        if (ask->key == 0) /* later ones read the same bytes */
            digest_put(digest, block, want);
        offset += want;
        for (size_t i = 0; err == OK && i <= want; i += sizeof(struct final_print)) {
            struct final_print print = {.size = 1}; /* an end, behind the last */
            ask_ahead(ask, f->side, block, i + AHEAD * sizeof print, want);
            if (i == want && offset < file->prints.bytes)
                break;
            if (i < want)
                memcpy(&print, block + i, sizeof print);
            if (print.size && seen) { /* the record before has no more prints */
                while (next_gone < gone_count && gone[next_gone] < at)
                    next_gone++;
                while (next_wanted < file->wanted_count && file->wanted[next_wanted].at < at)
                    next_wanted++;
                const uint32_t hand =
                    ask->key == 0 && next_wanted < file->wanted_count && file->wanted[next_wanted].at == at
                        ? file->wanted[next_wanted].hand
                        : 0;
                if ((meant || hand) && !(next_gone < gone_count && gone[next_gone] == at)) {
                    err = begin_file(f, header, header_size, diag);
                    if (ask->met)
                        bloom_put(ask->met, row.hash);
                    if (err == OK)
                        err = take_row(f, fd, path, file->rows.file, at, hand, &row, diag);
                }
                at += row.size;
                meant = 0;
            }
            if (i == want)
                break;
            if (print.size) {
                row = print;
                seen++;
                if (has(ask->beside, print.hash))
                    bloom_put(ask->met, print.hash);
            }
            meant |= is_meant(ask, f->side, &row, &print);
        }
    }
    if (digest && prints_fd >= 0)
        digest_end(digest, text);
    if (err == OK && (seen != file->rows.records || at != file->rows.bytes ||
                      (ask->key == 0 && strcmp(text + strlen("sha256:"), file->prints.sha) != 0)))
        err = damaged(prints_path, "is damaged: its hash is not that of the bytes that were written", diag);
    digest_close(digest);
    if (fd >= 0)
        sys_close(fd);
    if (prints_fd >= 0)
        sys_close(prints_fd);
    return err;
}

enum err late_find(struct late *late, enum side side, const struct late_ask *ask, const char ***paths,
                   int *count, struct diag *diag)
{
    struct found *f = mem_take_zero(1, sizeof *f);
    char *block = mem_take(BLOCK);
    enum err err = f && block ? OK : mem_fail(diag, BLOCK, "final records");
    if (f) {
        f->late = late;
        f->side = side;
        f->fd = -1;
    }
    for (uint32_t i = 0; err == OK && i < late->count[side]; i++)
        err = look_through(f, &late->files[side][i], ask, block, diag);
    *paths = late->paths[side] + late->used[side] - (f ? f->count : 0);
    *count = f ? f->count : 0;
    if (f && f->fd >= 0)
        sys_close(f->fd);
    if (f)
        mem_give(f->row);
    mem_give(f);
    mem_give(block);
    return err;
}
