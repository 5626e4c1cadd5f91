/* tests/unit/io/ring/disk_test.c: a disk that is nearly full: how much is reserved ahead, and what is told of it */
#include "io/ring/disk.h"
#include "io/ring/sys.h"
#include "tests/support/check_test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static char disk[64];

/* A disk of 16 MiB of our own; 0: there is no right to mount one. */
static int begin(void)
{
    snprintf(disk, sizeof disk, "/tmp/tieout-disk-XXXXXX");
    if (!mkdtemp(disk))
        exit(4);
    if (mount("tmpfs", disk, "tmpfs", 0, "size=16m") == 0)
        return 1;
    printf("skipped: no right to mount a tmpfs\n");
    rmdir(disk);
    return 0;
}

static void end(void)
{
    umount2(disk, MNT_DETACH);
    rmdir(disk);
}

static uint64_t taken(int fd)
{
    struct stat st;
    return sys_fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : UINT64_MAX;
}

TEST(room_reserved_ahead_is_an_eighth_of_what_is_free_at_most)
{
    if (!begin())
        return;
    const int fd = sys_open_unnamed(disk), other = sys_open_unnamed(disk);
    EXPECT(sys_reserve_ahead(fd, 0, 64 * MIB) == 2 * MIB && taken(fd) == 2 * MIB);
    EXPECT(sys_reserve_ahead(fd, 2 * MIB, 64 * MIB) == MIB &&
           taken(fd) == 3 * MIB);                                 /* of 14 MiB, whole ones */
    EXPECT(sys_reserve_ahead(fd, 3 * MIB, 4096) == 4096);         /* no more than was asked for */
    EXPECT(sys_reserve(other, 0, 6 * MIB) == 0);                  /* what is needed now takes what there is */
    EXPECT(sys_reserve_ahead(fd, 3 * MIB + 4096, 64 * MIB) == 0); /* an eighth of what is left is little */
    EXPECT(taken(fd) == 3 * MIB + 4096);
    EXPECT(sys_reserve(other, 6 * MIB, 16 * MIB) == -ENOSPC);
    sys_close(other);
    sys_close(fd);
    end();
}

TEST(a_full_disk_is_told_with_what_this_run_has_there)
{
    if (!begin())
        return;
    char path[128], folder[96], foreign[128];
    snprintf(folder, sizeof folder, "%s/.out.tieout-1", disk);
    snprintf(path, sizeof path, "%s/match.csv", folder);
    snprintf(foreign, sizeof foreign, "%s/log", disk);
    EXPECT(disk_is_memory(disk) && disk_is_memory(folder) && disk_is_memory(path) &&
           !disk_is_memory("/proc/1"));
    EXPECT(sys_mkdir(folder, 0700) == 0 && disk_is_memory(folder));
    const int records = sys_open_unnamed(folder), unpacked = sys_open_unnamed(folder),
              away = sys_open_unnamed("/dev/shm"), result = sys_open(path, O_RDWR | O_CREAT, 0600),
              log = sys_open(foreign, O_RDWR | O_CREAT, 0600), input = sys_open(path, O_RDONLY, 0);
    disk_is_for(records, DISK_RECORDS);
    disk_is_for(unpacked, DISK_UNPACKED);
    EXPECT(sys_reserve(records, 0, 2 * MIB) == 0 && sys_reserve(unpacked, 0, 3 * MIB) == 0);
    EXPECT(sys_reserve(result, 0, 4 * MIB) == 0 && sys_reserve(log, 0, MIB) == 0);
    EXPECT(away < 0 || sys_reserve(away, 0, MIB) == 0);
    struct disk_held held;
    disk_held(&held, path);
    EXPECT(held.bytes[DISK_RECORDS] == 2 * MIB && held.bytes[DISK_UNPACKED] == 3 * MIB &&
           held.bytes[DISK_RESULTS] == 4 * MIB && held.bytes[DISK_OTHER] == 0);
    struct diag diag = {0};
    EXPECT(disk_failed(&diag, ENOSPC, "out.write", path, "%s: cannot write", path) == ERR_MACHINE);
    EXPECT(strstr(diag.what, "match.csv: cannot write, 6291456 bytes are free there: No space left"));
    EXPECT(strcmp(diag.did, "published nothing; this run had 9.0 MiB there (4.0 of results, 3.0 of unpacked "
                            "inputs, 2.0 of records that do not fit in memory)") == 0);
    EXPECT(strstr(diag.hint, "--out") && strstr(diag.hint, "--memory"));
    /* What is no matter of room is told as ever. */
    struct diag broken = {0};
    EXPECT(disk_failed(&broken, EIO, "out.write", path, "%s: cannot write", path) == ERR_MACHINE);
    EXPECT(broken.did[0] == 0 && !strstr(broken.what, "free"));
    const int all[] = {records, unpacked, away, result, log, input};
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] >= 0)
            sys_close(all[i]);
    end();
}
