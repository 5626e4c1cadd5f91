/* io/ring/disk.c: see disk.h */
#include "io/ring/disk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { FILES_KNOWN = 4096, STAT_BLOCK = 512 };

/* By descriptor. Whoever has the number next has a name, or says anew what it is for. */
static _Atomic uint8_t uses[FILES_KNOWN];

static const char *const words[DISK_USES] = {
    [DISK_OTHER] = "other temporary files",   [DISK_RECORDS] = "records that do not fit in memory",
    [DISK_UNPACKED] = "unpacked inputs",      [DISK_ROWS] = "rows on their way to match.csv",
    [DISK_SORTED] = "sorted rows of results", [DISK_RESULTS] = "results",
};

static int is_memory(const struct statfs *fs)
{
    return fs->f_type == TMPFS_MAGIC || fs->f_type == RAMFS_MAGIC;
}

int disk_is_memory(const char *path)
{
    char at[PATH_MAX];
    struct statfs fs;
    if (snprintf(at, sizeof at, "%s", path) >= (int)sizeof at)
        return 0;
    while (statfs(at, &fs) != 0) {
        char *const slash = strrchr(at, '/');
        if (errno != ENOENT || strcmp(at, "/") == 0 || strcmp(at, ".") == 0)
            return 0;
        if (!slash)
            memcpy(at, ".", 2);
        else
            slash[slash == at] = 0;
    }
    return is_memory(&fs);
}

static void tell_memory(void)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&told))
        fprintf(stderr,
                "warning: records that do not fit in --memory are set aside beside the results, which is a "
                "tmpfs: that is memory too, and --memory does not count it; write to a disk (--out), or give "
                "more --memory\n");
}

void disk_is_for(int fd, enum disk_use use)
{
    struct statfs fs;
    if (fd >= 0 && fd < FILES_KNOWN)
        atomic_store_explicit(&uses[fd], (uint8_t)use, memory_order_relaxed);
    if (fd >= 0 && use == DISK_RECORDS && fstatfs(fd, &fs) == 0 && is_memory(&fs))
        tell_memory();
}

/* A file that this run writes: one without a name, or one in a staging directory (io/sink/stage.c). */
static int is_ours(int fd, const struct stat *st, enum disk_use *use)
{
    char link[64], path[4600];
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || !S_ISREG(st->st_mode))
        return 0;
    if (st->st_nlink == 0) {
        *use = fd < FILES_KNOWN ? (enum disk_use)atomic_load_explicit(&uses[fd], memory_order_relaxed)
                                : DISK_OTHER;
        return 1;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return 0;
    path[n] = 0;
    *use = DISK_RESULTS;
    return strstr(path, ".tieout-") != NULL;
}

void disk_held(struct disk_held *out, const char *path)
{
    struct stat there, st;
    memset(out, 0, sizeof *out);
    DIR *dir = stat(path, &there) == 0 ? opendir("/proc/self/fd") : NULL;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        enum disk_use use;
        const int fd = atoi(entry->d_name); /* "." and "..": 0, which is no file of ours */
        if (fd > 2 && fstat(fd, &st) == 0 && st.st_dev == there.st_dev && is_ours(fd, &st, &use))
            out->bytes[use] += (uint64_t)st.st_blocks * STAT_BLOCK;
    }
    if (dir)
        closedir(dir);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* "this run has 12.5 MiB there (8.0 MiB of ..., ...)". */
static void say_held(const struct disk_held *held, char *out, size_t room)
{
    uint64_t all = 0;
    const char *before = "(";
    for (int use = 0; use < DISK_USES; use++)
        all += held->bytes[use];
    size_t used = (size_t)snprintf(out, room, "published nothing; this run had %.1f MiB there", mib(all));
    for (int use = DISK_USES; all && use-- > 0 && used < room;)
        if (held->bytes[use]) {
            used += (size_t)snprintf(out + used, room - used, "%s%.1f of %s",
                                     before[0] == '(' ? " (" : before, mib(held->bytes[use]), words[use]);
            before = ", ";
        }
    if (all && used < room)
        snprintf(out + used, room - used, ")");
}

enum err disk_failed(struct diag *diag, int error, const char *code, const char *path, const char *format,
                     ...)
{
    char text[1000];
    va_list ap;
    va_start(ap, format);
    const int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    struct statvfs fs;
    if (diag->err != OK || (error != ENOSPC && error != EDQUOT) || statvfs(path, &fs) != 0)
        return diag_set_errno(diag, error, code, "%s", text);
    struct disk_held held;
    char did[sizeof diag->did];
    disk_held(&held, path);
    if (n >= 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ", %llu bytes are free there",
                 (unsigned long long)fs.f_bavail * fs.f_frsize);
    const enum err err = diag_set_errno(diag, error, code, "%s", text);
    say_held(&held, did, sizeof did);
    diag_did(diag, did);
    snprintf(
        diag->hint, sizeof diag->hint,
        "make room there, then run the same command again; or write to another disk (--out, or output.dir of "
        "the job): temporary files lie beside the results%s",
        held.bytes[DISK_RECORDS] ? ". With more --memory fewer records are set aside" : "");
    return err;
}
