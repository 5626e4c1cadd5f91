/* io/ring/sys.c: see sys.h */
#include "io/ring/sys.h"
#include "core/base/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FAULT()                                                                                              \
    do {                                                                                                     \
        int fault_ = fault_now(FAULT_IO);                                                                    \
        if (fault_)                                                                                          \
            return -fault_;                                                                                  \
    } while (0)

int sys_open(const char *path, int flags, unsigned mode)
{
    FAULT();
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

ssize_t sys_pread_full(int fd, void *buffer, size_t size, uint64_t offset)
{
    FAULT();
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int sys_pwrite_full(int fd, const void *buffer, size_t size, uint64_t offset)
{
    FAULT();
    size_t done = 0;
    while (done < size) {
        ssize_t n = pwrite(fd, (const char *)buffer + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENOSPC;
        done += (size_t)n;
    }
    return 0;
}

ssize_t sys_pwritev(int fd, const struct iovec *pieces, int count, uint64_t offset)
{
    FAULT();
    ssize_t n;
    do
        n = pwritev(fd, pieces, count, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

void sys_start_write(int fd, uint64_t offset, uint64_t size)
{
    sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

int sys_fsync(int fd)
{
    FAULT();
    return fsync(fd) ? -errno : 0;
}

int sys_close(int fd)
{
    return close(fd) ? -errno : 0;
}

int sys_fstat(int fd, struct stat *st)
{
    FAULT();
    return fstat(fd, st) ? -errno : 0;
}

int sys_lstat(const char *path, struct stat *st)
{
    FAULT();
    return lstat(path, st) ? -errno : 0;
}

int sys_mkdir(const char *path, unsigned mode)
{
    FAULT();
    return mkdir(path, mode) ? -errno : 0;
}

int sys_unlink(const char *path)
{
    return unlink(path) ? -errno : 0;
}

int sys_rmdir(const char *path)
{
    return rmdir(path) ? -errno : 0;
}

int sys_rename(const char *from, const char *to)
{
    FAULT();
    return rename(from, to) ? -errno : 0;
}

int sys_exchange(const char *a, const char *b)
{
    FAULT();
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) ? -errno : 0;
}

int sys_open_unnamed(const char *directory)
{
    FAULT();
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return -errno;
    /* A file system without unnamed files: make one and take its name away at once. */
    char path[4096];
    if (snprintf(path, sizeof path, "%s/.tieout-XXXXXX", directory) >= (int)sizeof path)
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}

int sys_direct(int fd, int on)
{
    FAULT();
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    return fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) ? -errno : 0;
}

int sys_reserve(int fd, uint64_t offset, uint64_t size)
{
    FAULT();
    int done;
    do
        done = fallocate(fd, 0, (off_t)offset, (off_t)size);
    while (done && errno == EINTR);
    return done && errno != EOPNOTSUPP && errno != ENOSYS ? -errno : 0;
}

uint64_t sys_reserve_ahead(int fd, uint64_t offset, uint64_t size)
{
    enum { SHARE = 8, LITTLE = 1 << 20 };
    struct statvfs fs;
    if (fstatvfs(fd, &fs) == 0) {
        const uint64_t share = (uint64_t)fs.f_bavail * fs.f_frsize / SHARE / LITTLE * LITTLE;
        size = size < share ? size : share;
    }
    return size && sys_reserve(fd, offset, size) == 0 ? size : 0;
}

int sys_truncate(int fd, uint64_t size)
{
    FAULT();
    int done;
    do
        done = ftruncate(fd, (off_t)size);
    while (done && errno == EINTR);
    return done ? -errno : 0;
}

int sys_lock_alone(int fd)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        /* Refused also because of one who only looks: then it can be had shared. */
        if (errno != EWOULDBLOCK || flock(fd, LOCK_SH | LOCK_NB) != 0)
            return -errno;
        flock(fd, LOCK_UN);
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return 0;
}

int sys_is_locked(int fd)
{
    const int locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!locked)
        flock(fd, LOCK_UN);
    return locked;
}

int sys_fsync_folder(const char *folder)
{
    const int fd = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    const int error = fd < 0 ? fd : sys_fsync(fd);
    if (fd >= 0)
        sys_close(fd);
    return error;
}

int sys_replace(const char *path, const void *bytes, size_t size)
{
    char fresh[PATH_MAX + 8];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return -ENAMETOOLONG;
    const int fd = sys_open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    int error = fd < 0 ? fd : sys_pwrite_full(fd, bytes, size, 0);
    if (!error)
        error = sys_fsync(fd);
    if (fd >= 0)
        sys_close(fd);
    if (!error)
        error = sys_rename(fresh, path);
    if (error)
        return error;
    char *slash = strrchr(fresh, '/'); /* fresh is its folder's name from here on */
    if (slash)
        slash[slash == fresh] = 0;
    return sys_fsync_folder(slash ? fresh : ".");
}
