/* io/ring/sys.h: the only door to the file system's calls.
 *
 * Thin wrappers that retry EINTR, go on after a short count, and let the fault tests make the nth call fail.
 * They return 0 or more, or -errno. Nothing here fills a diag: the caller knows what the call was for.
 * Threads: any.
 */
#ifndef TIEOUT_IO_RING_SYS_H
#define TIEOUT_IO_RING_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

int sys_open(const char *path, int flags, unsigned mode);
/* Reads until `size` bytes are there or the file ends: a short return is the end, never an accident. */
ssize_t sys_pread_full(int fd, void *buffer, size_t size, uint64_t offset);
/* Writes all of it. 0 or -errno. */
int sys_pwrite_full(int fd, const void *buffer, size_t size, uint64_t offset);
/* Writes pieces end to end in one call: how many bytes, which may be fewer than there are. */
ssize_t sys_pwritev(int fd, const struct iovec *pieces, int count, uint64_t offset);
/* What was written there goes on its way to the disk, so that the fsync which must come waits for less. A hint: what goes wrong with it fsync
 * will say. size 0: all. */
void sys_start_write(int fd, uint64_t offset, uint64_t size);
int sys_fsync(int fd);
int sys_close(int fd);
int sys_fstat(int fd, struct stat *st);
int sys_lstat(const char *path, struct stat *st);
int sys_mkdir(const char *path, unsigned mode);
int sys_unlink(const char *path);
int sys_rmdir(const char *path);
int sys_rename(const char *from, const char *to);
/* Swaps two paths in one step (renameat2 RENAME_EXCHANGE). */
int sys_exchange(const char *a, const char *b);
/* A file without a name in `directory`: gone when closed, also after kill -9. */
int sys_open_unnamed(const char *directory);
/* flock for us alone: 0, or -EWOULDBLOCK where another has it so. Who holds it shared only looks whether it is taken, and is waited for. */
int sys_lock_alone(int fd);
/* Whether another has it for itself. Looking is no reason for sys_lock_alone to be refused. */
int sys_is_locked(int fd);
/* Switches O_DIRECT on or off. 0, or -errno where the file system has no such thing. */
int sys_direct(int fd, int on);
/* Reserves room on the disk; where the file system cannot, nothing happens and 0 is returned. */
int sys_reserve(int fd, uint64_t offset, uint64_t size);
/* The same ahead of need, from the file's end as it is reserved: as much as was asked for, but an eighth of what is free at most, since what one
 * file sets aside another one misses. How many bytes; 0 where that is little or refused: then it goes without. */
uint64_t sys_reserve_ahead(int fd, uint64_t offset, uint64_t size);
int sys_truncate(int fd, uint64_t size);
/* A small file, whole or as it was, also after a power cut: writes PATH.new, fsyncs it, renames it, fsyncs its folder. */
int sys_replace(const char *path, const void *bytes, size_t size);
/* What was made, renamed or removed in the folder is so for good. */
int sys_fsync_folder(const char *folder);

#endif
