/* io/spill/block_store.c: see block_store.h */
#include "io/spill/block_store.h"
#include "core/base/mem.h"
#include "io/ring/disk.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <pthread.h>

struct block_store {
    struct aggregate_store store; /* first */
    const char *directory;
    pthread_mutex_t lock; /* of making the file */
    int fd;
};

static enum err store_put(struct aggregate_store *store, uint64_t offset, const void *bytes, size_t size,
                          struct diag *diag)
{
    struct block_store *s = (struct block_store *)store;
    pthread_mutex_lock(&s->lock);
    if (s->fd < 0)
        disk_is_for(s->fd = sys_open_unnamed(s->directory), DISK_RECORDS);
    const int fd = s->fd;
    pthread_mutex_unlock(&s->lock);
    if (fd < 0)
        return diag_set_errno(diag, -fd, "counts.open",
                              "%s: cannot make a file for counts that do not fit in memory", s->directory);
    const int error = sys_pwrite_full(fd, bytes, size, offset);
    if (!error)
        return OK;
    return disk_failed(diag, -error, "counts.write", s->directory,
                       "%s: cannot set aside %zu bytes of counts for aggregate.csv that do not fit in memory "
                       "(%llu set aside already)",
                       s->directory, size, (unsigned long long)offset);
}

static enum err store_get(struct aggregate_store *store, uint64_t offset, void *bytes, size_t size,
                          struct diag *diag)
{
    struct block_store *s = (struct block_store *)store;
    const ssize_t n = sys_pread_full(s->fd, bytes, size, offset);
    if (n == (ssize_t)size)
        return OK;
    return diag_set_errno(diag, n < 0 ? (int)-n : EIO, "counts.read",
                          "%s: cannot read back counts for aggregate.csv (byte %llu)", s->directory,
                          (unsigned long long)offset);
}

enum err block_store_open(struct aggregate_store **out, const char *directory, struct diag *diag)
{
    struct block_store *s = mem_take_zero(1, sizeof *s);
    *out = NULL;
    if (!s)
        return mem_fail(diag, sizeof *s, "counts");
    s->store.put = store_put;
    s->store.get = store_get;
    s->directory = directory;
    s->fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    *out = &s->store;
    return OK;
}

void block_store_close(struct aggregate_store *store)
{
    struct block_store *s = (struct block_store *)store;
    if (!s)
        return;
    if (s->fd >= 0)
        sys_close(s->fd);
    pthread_mutex_destroy(&s->lock);
    mem_give(s);
}
