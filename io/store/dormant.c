/* io/store/dormant.c: see dormant.h
 *
 * Slices of a side are numbered in the order of its file. A worker takes the next one whose slot is free, fetches and judges its rows, and
 * leaves their lines in the slot, which are pieces of their rows where these are usual ones (io/sink/carried_line.h); the readers go through the slots in order, and the last of them frees one. Two readers that read both sides
 * do it in the same order, so none waits for a slot that the other one keeps full.
 */
#include "io/store/dormant.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/rules/verdict.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/sink/out_file.h"
#include "io/source/worker_io.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    SLICE = 512,
    SLOTS = 24,
    BLOCK = 1 << 20,
    HEADER_MAX = 16 * 1024,
    WORKERS_MAX = 64,
    KEY_SHARE = 2, /* 16 bits a hash, twice */
    CALM_CHUNK = 64 * 1024
};
static const uint64_t FAR = 1ull << 36; /* bytes of a file of carried rows */

struct slot {
    struct results_lane *lane;
    uint64_t number; /* of the slice in it */
    int ready;
};

struct dormant_side {
    struct carry_file rows, prints;
    char path[STATE_PATH_MAX], prints_path[STATE_PATH_MAX];
    char woken[KEYS_MAX][STATE_PATH_MAX]; /* by the key that was met; empty: not written */
    int rows_fd, prints_fd;
    int suits; /* 1: its rows may be usual ones (io/sink/carried_line.h) */
    uint64_t header_size, slices;
    uint64_t *offsets; /* of the first row of each slice; one more */
    uint8_t *fed; /* a bit a record: it is the run's. The sets know more by the end than when it was asked */
    struct source *source;
    struct slot slots[SLOTS];
    uint64_t next;                 /* slice to make */
    uint64_t at[SLEEPERS_READERS]; /* slice that a reader has, or wants */
    char sha[DIGEST_TEXT];         /* of the rows, by the thread */
    int sha_error;
};

struct dormant_worker {
    struct dormant *dormant;
    pthread_t thread;
    struct worker_io *io;
    struct arena arena;
    struct beside sums;
    struct diag diag;
    struct full rows[SLICE];
    struct row_ref refs[SLICE];
    union open_unit prints[SLICE * OPEN_UNITS_MAX];
    struct carried_lines lines;
    struct carried_line line;
    char *bytes; /* of the slice */
    size_t room;
};

struct dormant {
    struct sleepers sleepers; /* first: finds the rest */
    const struct state *state;
    const struct job *job;
    struct dormant_side side[SIDES];
    uint32_t units; /* of a record's prints */
    int key_count;
    int64_t task;
    struct bloom keys, twice, met;
    struct bloom of_side[SIDES];        /* of a group job: which side's members wait */
    struct bloom later_keys, later_met; /* the same of later keys */
    pthread_t sum_thread;
    int has_sum_thread;
    struct results *results;
    struct dormant_worker *workers[WORKERS_MAX];
    uint32_t worker_count, started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stopped;
    struct diag diag; /* of the first worker that failed */
};

/* What is alone under its first key is no part of a set of partials, where these are of that key, and nets with nobody. What P8 proposes it
 * proposes for all that is open. */
int dormant_suits(const struct job *job)
{
    const struct match_rules *m = &job->match;
    return !m->subset.given && (!m->partials.given || m->partials.key_index == 0);
}

static enum err damaged(const char *path, const char *what, struct diag *diag)
{
    return diag_set(diag, ERR_STATE, "state.carried", "bring the state folder back from a backup", "%s: %s",
                    path, what);
}

static enum err cannot_read(const char *path, int error, struct diag *diag)
{
    return diag_set_errno(diag, error < 0 ? -error : error, "state.read", "%s: cannot read it", path);
}

/* ---- prints ---- */

/* 1: it is fed to the run before anything is judged. */
static int is_met(const struct dormant *d, enum side side, const struct open_print *print)
{
    return print->hash == FINAL_ALWAYS || print->hash == FINAL_NEVER ||
           (int)print->tries + 1 >= d->job->suspense_threshold[side] ||
           /* A settlement of which only one side is there waits, however many records it has. */
           bloom_has(d->job->match.group.given ? &d->of_side[!side] : &d->twice, print->hash) ||
           bloom_has(&d->met, print->hash);
}

/* Record `number` of a side. */
static int is_fed(const struct dormant_side *side, uint64_t number)
{
    return side->fed[number / 8] >> number % 8 & 1;
}

/* `number`: of the first one. */
typedef enum err print_fn(void *context, const union open_unit *prints, uint32_t count, uint64_t number,
                          uint64_t offset, struct diag *diag);

/* All prints of a side, SLICE at a time, and where the rows of the first one stand. */
static enum err each_slice(const struct dormant_side *side, uint32_t units, struct digest *digest,
                           print_fn *each, void *context, struct diag *diag)
{
    const size_t print_size = units * sizeof(union open_unit),
                 whole = BLOCK / (SLICE * print_size) * (SLICE * print_size);
    union open_unit *block = mem_take(BLOCK);
    uint64_t at = side->header_size, rows = 0;
    enum err err = block ? OK : mem_fail(diag, BLOCK, "carried records");
    for (uint64_t offset = 0; err == OK && offset < side->prints.bytes;) {
        const uint64_t left = side->prints.bytes - offset;
        const size_t want = left < whole ? (size_t)left : whole;
        const ssize_t n = sys_pread_full(side->prints_fd, block, want, offset);
        if (n < 0)
            err = cannot_read(side->prints_path, (int)n, diag);
        else if ((size_t)n != want || want % print_size)
            err = damaged(side->prints_path, "is damaged: it is shorter than it was written", diag);
        if (err == OK && digest)
            digest_put(digest, block, want);
        const uint32_t count = (uint32_t)(want / print_size);
        for (uint32_t i = 0, n_slice; err == OK && i < count; i += n_slice) {
            n_slice = count - i < SLICE ? count - i : SLICE;
            err = each(context, block + i * units, n_slice, rows + i, at, diag);
            for (uint32_t k = 0; k < n_slice; k++)
                at += block[(i + k) * units].print.size;
        }
        rows += count;
        offset += want;
    }
    mem_give(block);
    if (err == OK && (rows != side->rows.records || at != side->rows.bytes))
        err = damaged(side->prints_path, "is damaged: it speaks of other rows than were written", diag);
    return err;
}
_Static_assert(BLOCK >= SLICE * OPEN_UNITS_MAX * sizeof(union open_unit), "a block holds whole slices");

struct taking_in {
    struct dormant *d;
    struct dormant_side *side;
};

static enum err take_in(void *context, const union open_unit *prints, uint32_t count, uint64_t number,
                        uint64_t offset, struct diag *diag)
{
    enum { AHEAD = 16 }; /* records whose lines of the sets are on their way */
    struct taking_in *t = context;
    struct dormant *d = t->d;
    const uint32_t units = d->units;
    (void)diag, (void)number;
    t->side->offsets[t->side->slices++] = offset;
    for (uint32_t i = 0; i < count; i++, prints += units) {
        if (i + AHEAD < count) {
            __builtin_prefetch(bloom_word(&d->keys, prints[AHEAD * units].print.hash), 1);
            if (d->key_count > 1)
                __builtin_prefetch(bloom_word(&d->later_keys, open_later(prints + AHEAD * units, 1)), 1);
        }
        const uint64_t first = prints->print.hash;
        bloom_put(bloom_has(&d->keys, first) ? &d->twice : &d->keys, first);
        if (d->job->match.group.given)
            bloom_put(&d->of_side[t->side - d->side], first);
        for (int key = 1; key < d->key_count; key++) {
            const uint64_t hash = open_later(prints, key);
            if (hash)
                bloom_put(&d->later_keys, hash);
        }
    }
    return OK;
}

static enum err open_side(struct dormant *d, struct dormant_side *side, struct diag *diag)
{
    char header[HEADER_MAX], text[DIGEST_TEXT];
    struct stat st;
    enum err err = state_path(d->state, side->path, side->rows.file, diag);
    if (err == OK)
        err = state_path(d->state, side->prints_path, side->prints.file, diag);
    if (err != OK)
        return err;
    side->rows_fd = sys_open(side->path, O_RDONLY, 0);
    side->prints_fd = sys_open(side->prints_path, O_RDONLY, 0);
    if (side->rows_fd == -ENOENT || side->prints_fd == -ENOENT)
        return damaged(side->rows_fd < 0 ? side->path : side->prints_path,
                       "carried records are missing: the file was removed", diag);
    int error = side->rows_fd < 0     ? side->rows_fd
                : side->prints_fd < 0 ? side->prints_fd
                                      : sys_fstat(side->rows_fd, &st);
    if (error < 0)
        return cannot_read(side->path, error, diag);
    const ssize_t n = sys_pread_full(side->rows_fd, header, sizeof header, 0);
    if (n < 0)
        return cannot_read(side->path, (int)n, diag);
    const char *end = n > 0 ? memchr(header, '\n', (size_t)n) : NULL;
    if (!end || (uint64_t)st.st_size != side->rows.bytes || side->rows.bytes >= FAR)
        return damaged(side->path, "is damaged: it has another size than it was written with", diag);
    side->header_size = (uint64_t)(end - header) + 1;
    side->suits = carried_lines_suit(d->job, (struct span){header, (size_t)(end - header)});
    side->offsets = mem_take((side->rows.records / SLICE + 1) * sizeof *side->offsets);
    side->fed = mem_take_zero(side->rows.records / 8 + 1, 1);
    struct digest *digest = digest_open();
    if (!side->offsets || !side->fed || !digest)
        err = mem_fail(diag, side->rows.records / SLICE * sizeof *side->offsets, "carried records");
    if (err == OK) {
        digest_begin(digest);
        struct taking_in t = {d, side};
        err = each_slice(side, d->units, digest, take_in, &t, diag);
        digest_end(digest, text);
        if (err == OK && strcmp(text + strlen("sha256:"), side->prints.sha) != 0)
            err = damaged(side->prints_path,
                          "is damaged: its hash is not that of the bytes that were written", diag);
    }
    digest_close(digest);
    return err;
}

/* The hash of all rows, while other things are done; believed before anything is committed. */
static void *sum_main(void *argument)
{
    struct dormant *d = argument;
    for (int i = 0; i < SIDES; i++)
        if (d->side[i].rows.records)
            d->side[i].sha_error =
                digest_file(d->side[i].rows_fd, d->side[i].rows.bytes, "SHA256", d->side[i].sha);
    return NULL;
}

enum err dormant_open(struct dormant **out, const struct state *state, const struct job *job,
                      const struct dormant_files files[SIDES], int64_t task, uint64_t set_bytes_max,
                      struct diag *diag)
{
    *out = NULL;
    struct dormant *d = mem_take_zero(1, sizeof *d);
    if (!d)
        return mem_fail(diag, sizeof *d, "carried records");
    d->state = state;
    d->job = job;
    d->units = open_units(job);
    d->key_count = job->match.key_count;
    d->task = task;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    const uint64_t hashes = KEY_SHARE * (files[LOCAL].rows.records + files[CHANNEL].rows.records);
    enum err err = OK;
    for (int i = 0; i < SIDES; i++) {
        d->side[i].rows = files[i].rows;
        d->side[i].prints = files[i].prints;
        d->side[i].rows_fd = d->side[i].prints_fd = -1;
        d->sleepers.has[i] = files[i].rows.records > 0;
    }
    if (err == OK &&
        (!bloom_init(&d->keys, hashes, set_bytes_max) || !bloom_init(&d->twice, hashes, set_bytes_max) ||
         !bloom_init(&d->met, hashes, set_bytes_max)))
        err = mem_fail(diag, hashes / 8 * BLOOM_BITS_PER_HASH, "the set of carried keys");
    for (int i = 0; err == OK && i < SIDES && job->match.group.given; i++)
        if (!bloom_init(&d->of_side[i], KEY_SHARE * files[i].rows.records, set_bytes_max))
            err = mem_fail(diag, hashes / 8 * BLOOM_BITS_PER_HASH, "the set of carried keys");
    const uint64_t later = hashes * (uint64_t)(d->key_count - 1);
    if (err == OK && later &&
        (!bloom_init(&d->later_keys, later, set_bytes_max) ||
         !bloom_init(&d->later_met, later, set_bytes_max)))
        err = mem_fail(diag, later / 8 * BLOOM_BITS_PER_HASH, "the set of carried keys");
    for (int i = 0; err == OK && i < SIDES; i++)
        if (d->side[i].rows.records)
            err = open_side(d, &d->side[i], diag);
    if (err == OK) {
        const int error = pthread_create(&d->sum_thread, NULL, sum_main, d);
        if (error)
            err = diag_set_errno(diag, error, "threads", "cannot start a thread");
        d->has_sum_thread = !error;
    }
    if (err != OK) {
        dormant_close(d);
        return err;
    }
    *out = d;
    return OK;
}

uint64_t dormant_bytes(const struct dormant *d)
{
    return bloom_bytes(&d->keys) + bloom_bytes(&d->twice) + bloom_bytes(&d->met) +
           bloom_bytes(&d->later_keys) + bloom_bytes(&d->later_met) + bloom_bytes(&d->of_side[LOCAL]) +
           bloom_bytes(&d->of_side[CHANNEL]);
}

const struct bloom *dormant_keys(const struct dormant *d)
{
    return &d->keys;
}

struct bloom *dormant_met(struct dormant *d)
{
    return &d->met;
}

int dormant_has(const struct dormant *d, enum side side)
{
    return d->sleepers.has[side];
}

const char *dormant_path(const struct dormant *d, enum side side)
{
    return d->side[side].path;
}

/* ---- those that somebody may meet ---- */

struct waking {
    const struct dormant *d;
    struct dormant_side *side;
    enum side number;
    int key; /* by which they are met */
    const char *path;
    int fd;
    uint64_t offset;            /* of what is written */
    uint64_t from, size, count; /* of what is held of the rows */
    char *window, *block;
    size_t window_room, used;
};

static enum err wake_flush(struct waking *w, struct diag *diag)
{
    const int error = sys_pwrite_full(w->fd, w->block, w->used, w->offset);
    w->offset += w->used;
    const size_t used = w->used;
    w->used = 0;
    return error ? out_write_failed(diag, -error, "state.write", w->path, used) : OK;
}

static enum err wake_put(struct waking *w, const char *bytes, size_t size, struct diag *diag)
{
    enum err err = OK;
    while (err == OK && size) {
        if (w->used == BLOCK)
            err = wake_flush(w, diag);
        const size_t n = size < BLOCK - w->used ? size : BLOCK - w->used;
        memcpy(w->block + w->used, bytes, n);
        w->used += n;
        bytes += n;
        size -= n;
    }
    return err;
}

static enum err wake_row(struct waking *w, uint64_t at, uint32_t size, struct diag *diag)
{
    if (at < w->from || at + size > w->from + w->size) {
        const size_t room = size > 64 * 1024 ? size : 64 * 1024;
        if (room > w->window_room) {
            mem_give(w->window);
            w->window_room = room;
            w->window = mem_take(room);
            if (!w->window)
                return mem_fail(diag, room, "carried records");
        }
        const uint64_t left = w->side->rows.bytes - at;
        const size_t want = room < left ? room : (size_t)left;
        const ssize_t n = sys_pread_full(w->side->rows_fd, w->window, want, at);
        if (n < 0)
            return cannot_read(w->side->path, (int)n, diag);
        if ((size_t)n != want)
            return damaged(w->side->path, "became shorter", diag);
        w->from = at;
        w->size = want;
    }
    const char *row = w->window + (at - w->from);
    if (row[size - 1] != '\n')
        return damaged(w->side->path, "is damaged: a row of it is not where it was written", diag);
    w->count++;
    return wake_put(w, row, size, diag);
}

static enum err wake_slice(void *context, const union open_unit *prints, uint32_t count, uint64_t number,
                           uint64_t offset, struct diag *diag)
{
    enum { AHEAD = 16 };
    struct waking *w = context;
    const struct dormant *d = w->d;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++, number++, prints += d->units) {
        const uint32_t size = prints->print.size;
        if (w->key && i + AHEAD < count)
            __builtin_prefetch(bloom_word(&d->later_met, open_later(prints + AHEAD * d->units, w->key)));
        if (size < 2)
            return damaged(w->side->prints_path, "is damaged: a row of it has no bytes", diag);
        const uint64_t later = w->key ? open_later(prints, w->key) : 0;
        if (w->key ? later && bloom_has(&d->later_met, later) && !is_fed(w->side, number)
                   : is_met(d, w->number, &prints->print)) {
            w->side->fed[number / 8] |= (uint8_t)(1u << number % 8);
            err = wake_row(w, offset, size, diag);
        }
        offset += size;
    }
    return err;
}

static enum err wake_by(struct dormant *d, enum side side, int key, const char **path, struct diag *diag)
{
    *path = NULL;
    if (!dormant_has(d, side))
        return OK;
    char *const woken = d->side[side].woken[key];
    struct waking w = {.d = d, .side = &d->side[side], .number = side, .key = key, .path = woken, .fd = -1};
    char header[HEADER_MAX], name[80];
    snprintf(name, sizeof name, "suspense/woken-%06lld-%s-%d.csv", (long long)d->task, side_name(side), key);
    enum err err = state_path(d->state, woken, name, diag);
    if (err != OK)
        return err;
    w.block = mem_take(BLOCK);
    w.fd = sys_open(woken, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    err = !w.block   ? mem_fail(diag, BLOCK, "carried records")
          : w.fd < 0 ? diag_set_errno(diag, -w.fd, "state.write", "%s: cannot make it", woken)
                     : OK;
    if (err == OK) {
        const ssize_t n = sys_pread_full(d->side[side].rows_fd, header, d->side[side].header_size, 0);
        err = n < 0 ? cannot_read(d->side[side].path, (int)n, diag) : wake_put(&w, header, (size_t)n, diag);
    }
    if (err == OK)
        err = each_slice(&d->side[side], d->units, NULL, wake_slice, &w, diag);
    if (err == OK)
        err = wake_flush(&w, diag);
    if (w.fd >= 0)
        sys_close(w.fd);
    mem_give(w.window);
    mem_give(w.block);
    if (err == OK && w.count)
        *path = woken;
    return err;
}

enum err dormant_wake(struct dormant *d, enum side side, const char **path, struct diag *diag)
{
    return wake_by(d, side, 0, path, diag);
}

static enum err wake_later(void *context, enum side side, int key, const char **path, struct diag *diag)
{
    return wake_by(context, side, key, path, diag);
}

struct dormant_ops dormant_later(struct dormant *d)
{
    return d->key_count == 1 ? (struct dormant_ops){0}
                             : (struct dormant_ops){.keys = &d->later_keys,
                                                    .met = &d->later_met,
                                                    .find = wake_later,
                                                    .context = d,
                                                    .seed = state_seed(d->state)};
}

/* ---- slices ---- */

static void stop(struct dormant *d, const struct diag *diag)
{
    pthread_mutex_lock(&d->lock);
    if (diag && d->diag.err == OK)
        d->diag = *diag;
    d->stopped = 1;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

void dormant_call_off(struct dormant *d)
{
    stop(d, NULL);
}

/* Takes the next slice whose slot is free, of the side that is less far; waits for one. 0: there is none any more. */
static int claim(struct dormant *d, enum side *side, uint64_t *number)
{
    int found = 0;
    pthread_mutex_lock(&d->lock);
    while (!d->stopped && !found) {
        int left = 0;
        uint64_t least = UINT64_MAX;
        for (int i = 0; i < SIDES; i++) {
            const struct dormant_side *s = &d->side[i];
            if (s->next == s->slices)
                continue;
            left = 1;
            uint64_t behind = UINT64_MAX;
            for (int r = 0; r < SLEEPERS_READERS; r++)
                behind = s->at[r] < behind ? s->at[r] : behind;
            if (s->next < behind + SLOTS && s->next - behind < least) {
                least = s->next - behind;
                *side = (enum side)i;
                found = 1;
            }
        }
        if (!left)
            break;
        if (found)
            *number = d->side[*side].next++;
        else
            pthread_cond_wait(&d->changed, &d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return found;
}

/* Unusual rows, each made a record again. */
static enum err make_slowly(struct dormant_worker *w, struct dormant_side *side,
                            const union open_unit *const *prints, uint32_t count, struct results_lane *lane)
{
    struct dormant *d = w->dormant;
    arena_reset(&w->arena);
    enum err err =
        count ? side->source->ops->fetch(side->source, w->io, w->refs, w->rows, count, &w->arena, &w->diag)
              : OK;
    if (err == ERR_INPUT) { /* a row that cannot be read: it was no input */
        w->diag = (struct diag){0};
        return damaged(side->path, "is damaged: a row of it is not what was written", &w->diag);
    }
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &w->rows[i];
        if (!row->carry || (row->carry->tries != prints[i]->print.tries))
            return damaged(side->path, "is damaged: a row of it is not what its print says", &w->diag);
        row->reasons |= verdict_carry_reasons(row->carry);
        resolve_alone(d->job, row);
        if (row->verdict != CLASS_SUSPENSE)
            return diag_set(&w->diag, ERR_BUG, "dormant", "please report this with the job and the state",
                            "%s: the record at byte %llu was thought to wait, and does not", side->path,
                            (unsigned long long)w->refs[i].place);
        err = beside_count(&w->sums, d->job, row, &w->diag);
        if (err == OK)
            err = results_slice_put(d->results, lane, w->io, row, &w->diag);
    }
    return err;
}

/* The rows of a slice, from the byte `at` on. */
static enum err read_slice(struct dormant_worker *w, const struct dormant_side *side, uint64_t at,
                           uint32_t count)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += w->prints[i * w->dormant->units].print.size;
    if (size > w->room) {
        mem_give(w->bytes);
        w->room = 0;
        if (!(w->bytes = mem_take(2 * size)))
            return mem_fail(&w->diag, 2 * size, "carried records");
        w->room = 2 * size;
    }
    const ssize_t n = sys_pread_full(side->rows_fd, w->bytes, size, at);
    if (n < 0)
        return cannot_read(side->path, (int)n, &w->diag);
    return (size_t)n == size ? OK : damaged(side->path, "became shorter", &w->diag);
}

static enum err make_slice(struct dormant_worker *w, enum side number, uint64_t slice,
                           struct results_lane *lane)
{
    struct dormant *d = w->dormant;
    struct dormant_side *side = &d->side[number];
    const uint64_t first = slice * SLICE, left = side->rows.records - first;
    const uint32_t count = left < SLICE ? (uint32_t)left : SLICE;
    const size_t print_size = d->units * sizeof *w->prints;
    const ssize_t n = sys_pread_full(side->prints_fd, w->prints, count * print_size, first * print_size);
    if (n < 0)
        return cannot_read(side->prints_path, (int)n, &w->diag);
    if ((size_t)n != count * print_size)
        return damaged(side->prints_path, "became shorter", &w->diag);
    const union open_unit *unusual[SLICE];
    uint64_t at = side->offsets[slice];
    uint32_t slow = 0;
    enum err err = side->suits ? read_slice(w, side, at, count) : OK;
    const char *row = w->bytes;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const union open_unit *prints = &w->prints[i * d->units];
        const uint32_t size = prints->print.size;
        int made = is_fed(side, first + i) ? 2 : 0; /* 2: it is the run's */
        if (made == 0 && side->suits)
            made = carried_line_make(&w->lines, number, (struct span){row, size - 1}, prints, at, &w->line);
        if (made < 0) {
            err = mem_fail(&w->diag, size, "carried records");
        } else if (made == 1) { /* behind those before it, which were not */
            err = make_slowly(w, side, unusual, slow, lane);
            slow = 0;
            if (err == OK)
                err = beside_count(&w->sums, d->job, &w->line.full, &w->diag);
            if (err == OK)
                err = results_slice_line(d->results, lane, &w->line, &w->diag);
        } else if (made == 0) {
            unusual[slow] = prints;
            w->refs[slow++] = (struct row_ref){
                .place = at,
                .side = (uint8_t)number,
                .record_flags = (uint16_t)(RECORD_CARRIED | (number == CHANNEL ? RECORD_CHANNEL : 0))};
        }
        at += size;
        row += size;
    }
    return err == OK ? make_slowly(w, side, unusual, slow, lane) : err;
}

static void *worker_main(void *argument)
{
    struct dormant_worker *w = argument;
    struct dormant *d = w->dormant;
    enum side side = LOCAL;
    uint64_t number = 0;
    while (claim(d, &side, &number)) {
        struct slot *slot = &d->side[side].slots[number % SLOTS];
        if (!slot->lane && !(slot->lane = results_slice_open()))
            mem_fail(&w->diag, SLICE, "carried records");
        else
            results_slice_empty(slot->lane);
        if (w->diag.err != OK || make_slice(w, side, number, slot->lane) != OK) {
            stop(d, &w->diag);
            break;
        }
        pthread_mutex_lock(&d->lock);
        slot->number = number;
        slot->ready = 1;
        pthread_cond_broadcast(&d->changed);
        pthread_mutex_unlock(&d->lock);
    }
    return NULL;
}

static enum err next_slice(struct sleepers *sleepers, enum side number, enum sleepers_reader reader,
                           struct results_lane **slice, struct diag *diag)
{
    struct dormant *d = (struct dormant *)sleepers;
    struct dormant_side *side = &d->side[number];
    enum err err = OK;
    pthread_mutex_lock(&d->lock);
    uint64_t *at = &side->at[reader];
    if (*slice) {
        ++*at;
        pthread_cond_broadcast(&d->changed);
    }
    *slice = NULL;
    struct slot *slot = &side->slots[*at % SLOTS];
    while (*at < side->slices && !d->stopped && !(slot->ready && slot->number == *at))
        pthread_cond_wait(&d->changed, &d->lock);
    if (*at < side->slices && d->stopped) {
        if (d->diag.err != OK)
            *diag = d->diag;
        err = d->diag.err != OK
                  ? d->diag.err
                  : diag_set(diag, ERR_INTERRUPTED, "interrupted",
                             "run the same command again; nothing was published", "stopped before the end");
    } else if (*at < side->slices) {
        *slice = slot->lane;
    }
    pthread_mutex_unlock(&d->lock);
    return err;
}

enum err dormant_start(struct dormant *d, struct source *const sources[SIDES], struct results *results,
                       uint32_t threads, const struct aggregate_share *counts, struct diag *diag)
{
    const struct worker_io_config io = {.backend = RING_POSIX, .chunk = CALM_CHUNK, .depth = 1};
    d->sleepers.next = next_slice;
    d->results = results;
    for (int i = 0; i < SIDES; i++)
        d->side[i].source = sources[i];
    d->worker_count = threads < WORKERS_MAX ? threads : WORKERS_MAX;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < d->worker_count; i++) {
        struct dormant_worker *w = d->workers[i] = mem_take_zero(1, sizeof *w);
        if (!w)
            return mem_fail(diag, sizeof *w, "carried records");
        w->dormant = d;
        arena_init(&w->arena);
        err = worker_io_open(&w->io, &io, NULL, diag);
        if (err == OK)
            err = beside_init(&w->sums, counts, diag);
        carried_lines_init(&w->lines, d->job, results_keep(results));
    }
    for (; err == OK && d->started < d->worker_count; d->started++) {
        const int error =
            pthread_create(&d->workers[d->started]->thread, NULL, worker_main, d->workers[d->started]);
        if (error)
            return diag_set_errno(diag, error, "threads", "cannot start a thread");
    }
    return err;
}

struct sleepers *dormant_sleepers(struct dormant *d)
{
    return &d->sleepers;
}

static void join(struct dormant *d)
{
    for (uint32_t i = 0; i < d->started; i++)
        pthread_join(d->workers[i]->thread, NULL);
    d->started = 0;
}

enum err dormant_finish(struct dormant *d, struct beside **sums, struct diag *diag)
{
    if (d->has_sum_thread)
        pthread_join(d->sum_thread, NULL);
    d->has_sum_thread = 0;
    join(d);
    if (d->diag.err != OK) {
        *diag = d->diag;
        return diag->err;
    }
    enum err err = OK;
    for (int i = 0; err == OK && i < SIDES; i++) {
        const struct dormant_side *side = &d->side[i];
        if (!side->rows.records)
            continue;
        if (side->sha_error)
            err = cannot_read(side->path, side->sha_error < 0 ? side->sha_error : EIO, diag);
        else if (strcmp(side->sha + strlen("sha256:"), side->rows.sha) != 0)
            err =
                damaged(side->path, "is damaged: its hash is not that of the bytes that were written", diag);
    }
    for (uint32_t i = 1; err == OK && i < d->worker_count; i++)
        err = beside_merge(&d->workers[0]->sums, &d->workers[i]->sums, diag);
    *sums = &d->workers[0]->sums;
    return err;
}

void dormant_close(struct dormant *d)
{
    if (!d)
        return;
    stop(d, NULL);
    join(d);
    if (d->has_sum_thread)
        pthread_join(d->sum_thread, NULL);
    for (uint32_t i = 0; i < d->worker_count; i++) {
        struct dormant_worker *w = d->workers[i];
        if (!w)
            continue;
        worker_io_close(w->io);
        arena_fini(&w->arena);
        beside_fini(&w->sums);
        carried_lines_fini(&w->lines);
        mem_give(w->bytes);
        mem_give(w);
    }
    for (int i = 0; i < SIDES; i++) {
        struct dormant_side *side = &d->side[i];
        for (int k = 0; k < SLOTS; k++)
            results_slice_close(side->slots[k].lane);
        mem_give(side->offsets);
        mem_give(side->fed);
        if (side->rows_fd >= 0)
            sys_close(side->rows_fd);
        if (side->prints_fd >= 0)
            sys_close(side->prints_fd);
        for (int key = 0; key < KEYS_MAX; key++)
            if (side->woken[key][0])
                sys_unlink(side->woken[key]);
    }
    bloom_fini(&d->keys);
    bloom_fini(&d->twice);
    bloom_fini(&d->met);
    bloom_fini(&d->later_keys);
    bloom_fini(&d->later_met);
    for (int i = 0; i < SIDES; i++)
        bloom_fini(&d->of_side[i]);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    mem_give(d);
}
