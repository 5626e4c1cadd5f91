/* io/filter/unpack.c: see unpack.h */
#include "io/filter/unpack.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "io/ring/disk.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { PIECE = 256 * 1024, HEAD_STEP = 64 * 1024 };

enum unpack_state { UNPACK_IDLE, UNPACK_RUNNING, UNPACK_WHOLE, UNPACK_FAILED };

struct unpack {
    struct unpack_config config;
    /* Before the crew: the first bytes. */
    struct filter *filter;
    uint8_t *head;
    size_t head_size, head_room;
    /* With it. */
    int fd;
    _Atomic int state;
    _Atomic uint64_t ready; /* release: pairs with the acquires of readers; bytes below it are in the file */
    _Atomic uint64_t size, taken; /* taken: of the packed bytes */
    pthread_mutex_t lock;         /* for those that wait, and for diag */
    pthread_cond_t moved;
    struct diag diag;
};

struct unpack_crew {
    struct unpack **list; /* borrowed */
    uint32_t count, thread_count;
    _Atomic uint32_t next;
    _Atomic int stop;
    pthread_t threads[];
};

enum err unpack_open(struct unpack **out, const struct unpack_config *config, struct diag *diag)
{
    struct unpack *u = *out = mem_take_zero(1, sizeof *u);
    if (!u)
        return mem_fail(diag, sizeof *u, "a packed file");
    u->config = *config;
    u->fd = -1;
    atomic_init(&u->size, config->limit);
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->moved, NULL);
    return OK;
}

void unpack_forget_head(struct unpack *u)
{
    filter_close(u->filter);
    u->filter = NULL;
    mem_give(u->head);
    u->head = NULL;
    u->head_size = u->head_room = 0;
}

void unpack_close(struct unpack *u)
{
    if (!u)
        return;
    unpack_forget_head(u);
    if (u->fd >= 0)
        sys_close(u->fd);
    pthread_mutex_destroy(&u->lock);
    pthread_cond_destroy(&u->moved);
    mem_give(u);
}

uint64_t unpack_size(const struct unpack *u)
{
    return atomic_load_explicit(&u->size, memory_order_relaxed);
}

uint64_t unpack_guess(const struct unpack *u)
{
    enum { RATIO_USUAL = 4, BYTES_TOLD = 64 * 1024 };
    uint64_t ready = atomic_load_explicit(&u->ready, memory_order_relaxed),
             taken = atomic_load_explicit(&u->taken, memory_order_relaxed), guess = u->config.guess;
    if (atomic_load_explicit(&u->state, memory_order_acquire) == UNPACK_WHOLE)
        return unpack_size(u);
    if (!guess)
        guess = taken < BYTES_TOLD ? u->config.packed_size * RATIO_USUAL
                                   : (uint64_t)((unsigned __int128)ready * u->config.packed_size / taken);
    return guess > ready ? guess : ready;
}

int unpack_fd(const struct unpack *u)
{
    return u->fd;
}

static enum err too_large(const struct unpack *u, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "unpack.limit",
                    "if it is meant to be that large, unpack it yourself and name the unpacked file",
                    "%s: more than %llu bytes come out of %llu packed ones; no bill packs like that",
                    u->config.path, (unsigned long long)u->config.limit,
                    (unsigned long long)u->config.packed_size);
}

/* ---- the first bytes ---- */

static ssize_t read_head(struct unpack *u, void *buffer, size_t size, uint64_t offset, struct diag *diag)
{
    CHECK2(offset + size <= UNPACK_HEAD_MAX, offset, size);
    size_t want = (size_t)offset + size;
    if (!u->head && !u->filter && u->config.open(&u->filter, u->config.context, diag) != OK)
        return -1;
    while (u->head_size < want && u->head_size < unpack_size(u)) {
        size_t got, room = u->head_room;
        if (u->head_size == room) {
            room = room ? room * 4 : HEAD_STEP;
            uint8_t *grown = mem_grow(u->head, room);
            if (!grown) {
                mem_fail(diag, room, "a packed file's first bytes");
                return -1;
            }
            u->head = grown;
            u->head_room = room;
        }
        if (filter_read(u->filter, u->head + u->head_size, room - u->head_size, &got, diag) != OK)
            return -1;
        u->head_size += got;
        if (u->head_size > u->config.limit) {
            too_large(u, diag);
            return -1;
        }
        if (got == 0)
            atomic_store_explicit(&u->size, u->head_size, memory_order_relaxed);
    }
    if (offset >= u->head_size)
        return 0;
    size_t n = u->head_size - (size_t)offset < size ? u->head_size - (size_t)offset : size;
    memcpy(buffer, u->head + offset, n);
    return (ssize_t)n;
}

/* ---- the crew ---- */

static void tell(struct unpack *u, enum unpack_state state, const struct diag *diag)
{
    pthread_mutex_lock(&u->lock);
    if (diag)
        u->diag = *diag;
    atomic_store_explicit(&u->state, state, memory_order_release);
    pthread_cond_broadcast(&u->moved);
    pthread_mutex_unlock(&u->lock);
}

static enum err unpack_all(struct unpack_crew *crew, struct unpack *u, uint8_t *piece, struct diag *diag)
{
    struct filter *filter = NULL;
    enum err err = u->config.open(&filter, u->config.context, diag);
    uint64_t at = 0;
    while (err == OK) {
        size_t size = 0;
        if (atomic_load_explicit(&crew->stop, memory_order_relaxed)) {
            err = diag_set(diag, ERR_INTERRUPTED, "interrupted",
                           "run the same command again; nothing was published", "stopped before the end");
            break;
        }
        err = filter_read(filter, piece, PIECE, &size, diag);
        if (err != OK || size == 0)
            break;
        if (at + size > u->config.limit) {
            err = too_large(u, diag);
            break;
        }
        int error = sys_pwrite_full(u->fd, piece, size, at);
        if (error) {
            char place[32];
            snprintf(place, sizeof place, "/proc/self/fd/%d", u->fd);
            err =
                disk_failed(diag, -error, "unpack.write", place,
                            "%s: cannot keep its unpacked bytes beside the results (%zu bytes at byte %llu)",
                            u->config.path, size, (unsigned long long)at);
            break;
        }
        at += size;
        atomic_store_explicit(&u->taken, filter->taken, memory_order_relaxed);
        /* release: pairs with the acquires in unpack_ready and unpack_read */
        atomic_store_explicit(&u->ready, at, memory_order_release);
        pthread_mutex_lock(&u->lock);
        pthread_cond_broadcast(&u->moved);
        pthread_mutex_unlock(&u->lock);
    }
    filter_close(filter);
    if (err == OK)
        atomic_store_explicit(&u->size, at, memory_order_relaxed);
    return err;
}

static void *crew_main(void *argument)
{
    struct unpack_crew *crew = argument;
    uint8_t *piece = mem_take(PIECE);
    for (;;) {
        uint32_t index = atomic_fetch_add(&crew->next, 1);
        if (index >= crew->count)
            break;
        struct diag diag = {0};
        struct unpack *u = crew->list[index];
        enum err err = piece ? unpack_all(crew, u, piece, &diag) : mem_fail(&diag, PIECE, "unpacking");
        tell(u, err == OK ? UNPACK_WHOLE : UNPACK_FAILED, err == OK ? NULL : &diag);
    }
    mem_give(piece);
    return NULL;
}

enum err unpack_crew_start(struct unpack_crew **out, struct unpack **list, uint32_t count, uint32_t threads,
                           const char *folder, struct diag *diag)
{
    *out = NULL;
    if (threads > count)
        threads = count;
    if (!threads)
        return OK;
    struct unpack_crew *crew = mem_take_zero(1, sizeof *crew + threads * sizeof crew->threads[0]);
    if (!crew)
        return mem_fail(diag, sizeof *crew, "unpacking");
    crew->list = list;
    crew->count = count;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct unpack *u = list[i];
        unpack_forget_head(u);
        u->fd = sys_open_unnamed(folder);
        disk_is_for(u->fd, DISK_UNPACKED);
        if (u->fd < 0)
            err =
                diag_set_errno(diag, -u->fd, "unpack.open",
                               "%s: cannot make a file for the unpacked bytes of %s", folder, u->config.path);
        else
            atomic_store(&u->state, UNPACK_RUNNING);
    }
    /* Signals are for the control thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (uint32_t i = 0; err == OK && i < threads; i++) {
        int error = pthread_create(&crew->threads[i], NULL, crew_main, crew);
        if (error && i == 0)
            err = diag_set_errno(diag, error, "thread", "cannot start a thread");
        if (error)
            break;
        crew->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != OK) {
        unpack_crew_stop(crew);
        return err;
    }
    *out = crew;
    return OK;
}

void unpack_crew_stop(struct unpack_crew *crew)
{
    if (!crew)
        return;
    atomic_store(&crew->stop, 1);
    for (uint32_t i = 0; i < crew->thread_count; i++)
        pthread_join(crew->threads[i], NULL);
    mem_give(crew);
}

/* ---- reading ---- */

static int64_t failed(struct unpack *u, struct diag *diag)
{
    pthread_mutex_lock(&u->lock);
    if (diag->err == OK)
        *diag = u->diag;
    pthread_mutex_unlock(&u->lock);
    return -1;
}

int64_t unpack_ready(struct unpack *u, int *whole, struct diag *diag)
{
    /* acquire: pairs with the release in tell; what it says of `ready` holds */
    int state = atomic_load_explicit(&u->state, memory_order_acquire);
    if (state == UNPACK_FAILED)
        return failed(u, diag);
    *whole = state == UNPACK_WHOLE;
    return (int64_t)atomic_load_explicit(&u->ready, memory_order_acquire);
}

ssize_t unpack_read(struct unpack *u, void *buffer, size_t size, uint64_t offset, struct diag *diag)
{
    if (atomic_load_explicit(&u->state, memory_order_acquire) == UNPACK_IDLE)
        return read_head(u, buffer, size, offset, diag);
    for (;;) {
        int whole = 0;
        int64_t ready = unpack_ready(u, &whole, diag);
        if (ready < 0)
            return -1;
        if (whole || (uint64_t)ready >= offset + size)
            break;
        pthread_mutex_lock(&u->lock);
        if (atomic_load_explicit(&u->state, memory_order_relaxed) == UNPACK_RUNNING &&
            atomic_load_explicit(&u->ready, memory_order_relaxed) < offset + size)
            pthread_cond_wait(&u->moved, &u->lock);
        pthread_mutex_unlock(&u->lock);
    }
    ssize_t n = sys_pread_full(u->fd, buffer, size, offset);
    if (n < 0) {
        diag_set_errno(diag, (int)-n, "read", "%s: cannot read its unpacked bytes again at byte %llu",
                       u->config.path, (unsigned long long)offset);
        return -1;
    }
    return n;
}
