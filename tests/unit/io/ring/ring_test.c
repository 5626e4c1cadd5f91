/* tests/unit/io/ring/ring_test.c: io_uring and its stand-in do the same */
#include "core/base/prng.h"
#include "io/ring/ring.h"
#include "io/ring/sys.h"
#include "tests/support/check_test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES = 4, FILE_BYTES = 100001 };

static int open_ring(struct ring **ring, enum ring_backend backend)
{
    struct diag diag = {0};
    if (ring_open(ring, backend, ENTRIES, NULL, &diag) == OK)
        return 1;
    /* A container may forbid it; then only the stand-in can be tested. */
    fprintf(stderr, "skipped: %s\n", diag.what);
    EXPECT(backend == RING_URING && diag.err == ERR_MACHINE && strcmp(diag.code, "io.uring") == 0);
    return 0;
}

#define EACH_BACKEND for (enum ring_backend backend = RING_URING; backend <= RING_POSIX; backend++)

static unsigned char *pattern(void)
{
    unsigned char *bytes = malloc(FILE_BYTES);
    for (int i = 0; i < FILE_BYTES; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    return bytes;
}

TEST(what_is_written_is_read_in_any_order)
{
    EACH_BACKEND
    {
        struct ring *ring;
        if (!open_ring(&ring, backend))
            continue;
        EXPECT(ring_is_uring(ring) == (backend == RING_URING));
        int fd = memfd_create("ring", 0);
        unsigned char *bytes = pattern(), *block = aligned_alloc(4096, ENTRIES * 8192);
        ring_register(ring, block, ENTRIES * 8192);
        struct ring_done done;
        /* Written in pieces, from the caller's own memory, back to front. */
        int64_t at = FILE_BYTES;
        while (at > 0 || ring_in_flight(ring)) {
            while (at > 0 && ring_in_flight(ring) < ENTRIES) {
                int64_t size = at < 7001 ? at : 7001;
                at -= size;
                EXPECT(ring_write(ring, fd, bytes + at, (size_t)size, (uint64_t)at, (uint64_t)size) == 0);
            }
            EXPECT(ring_next(ring, 1, &done) && done.result == (int64_t)done.tag);
        }
        EXPECT(ring_next(ring, 0, &done) == 0 && ring_next(ring, 1, &done) == 0);
        /* Read by slots of the registered block. */
        uint64_t next = 0, offset_of[ENTRIES];
        size_t size_of[ENTRIES];
        int busy[ENTRIES] = {0}, right = 1;
        struct prng prng = {4};
        for (int open = 0; next < FILE_BYTES || open;) {
            for (int i = 0; i < ENTRIES && next < FILE_BYTES; i++)
                if (!busy[i]) {
                    offset_of[i] = next;
                    size_of[i] = 1 + prng_below(&prng, 8192);
                    next += size_of[i];
                    busy[i] = 1;
                    open++;
                    EXPECT(ring_read(ring, fd, block + i * 8192, size_of[i], offset_of[i], (uint64_t)i) == 0);
                }
            EXPECT(ring_next(ring, 1, &done));
            size_t there = FILE_BYTES - offset_of[done.tag] < size_of[done.tag]
                               ? FILE_BYTES - offset_of[done.tag]
                               : size_of[done.tag];
            right &= done.result == (int64_t)there &&
                     memcmp(block + done.tag * 8192, bytes + offset_of[done.tag], there) == 0;
            busy[done.tag] = 0;
            open--;
        }
        EXPECT(right);
        close(fd);
        ring_close(ring);
        free(bytes);
        free(block);
    }
}

TEST(a_short_count_is_the_end_of_the_file)
{
    EACH_BACKEND
    {
        struct ring *ring;
        if (!open_ring(&ring, backend))
            continue;
        int fd = memfd_create("short", 0);
        EXPECT(write(fd, "0123456789", 10) == 10);
        char room[100];
        struct ring_done done;
        EXPECT(ring_read(ring, fd, room, sizeof room, 4, 7) == 0 && ring_next(ring, 1, &done) &&
               done.result == 6 && done.tag == 7);
        EXPECT(memcmp(room, "456789", 6) == 0);
        EXPECT(ring_read(ring, fd, room, sizeof room, 10, 8) == 0 && ring_next(ring, 1, &done) &&
               done.result == 0);
        EXPECT(ring_read(ring, fd, room, sizeof room, 1 << 20, 8) == 0 && ring_next(ring, 1, &done) &&
               done.result == 0);
        close(fd);
        ring_close(ring);
    }
}

TEST(errors_come_back_as_they_are)
{
    EACH_BACKEND
    {
        struct ring *ring;
        if (!open_ring(&ring, backend))
            continue;
        char room[10] = {0};
        struct ring_done done;
        int folder = open("/", O_RDONLY | O_DIRECTORY), read_only = open("/dev/null", O_RDONLY),
            full = open("/dev/full", O_WRONLY);
        EXPECT(ring_read(ring, folder, room, 10, 0, 1) == 0 && ring_next(ring, 1, &done) &&
               done.result == -EISDIR);
        EXPECT(ring_read(ring, -1, room, 10, 0, 2) == 0 && ring_next(ring, 1, &done) &&
               done.result == -EBADF);
        EXPECT(ring_write(ring, read_only, room, 10, 0, 3) == 0 && ring_next(ring, 1, &done) &&
               done.result == -EBADF);
        EXPECT(ring_write(ring, full, room, 10, 0, 4) == 0 && ring_next(ring, 1, &done) &&
               done.result == -ENOSPC);
        close(folder);
        close(read_only);
        close(full);
        ring_close(ring);
    }
}

TEST(it_takes_no_more_than_its_entries)
{
    EACH_BACKEND
    {
        struct ring *ring;
        if (!open_ring(&ring, backend))
            continue;
        int fd = memfd_create("many", 0);
        char room[ENTRIES + 1];
        struct ring_done done;
        EXPECT(write(fd, "abcdefgh", 8) == 8);
        for (uint64_t i = 0; i < ENTRIES; i++)
            EXPECT(ring_read(ring, fd, room + i, 1, i, i) == 0);
        EXPECT(ring_in_flight(ring) == ENTRIES && ring_read(ring, fd, room + ENTRIES, 1, 0, 9) == -EAGAIN);
        for (int i = 0; i < ENTRIES; i++)
            EXPECT(ring_next(ring, 1, &done) && done.result == 1 && done.tag < ENTRIES);
        EXPECT(memcmp(room, "abcd", ENTRIES) == 0 && ring_in_flight(ring) == 0);
        /* Closed with reads under way, it waits for them: their memory goes next. */
        char *heap = malloc(8);
        EXPECT(ring_read(ring, fd, heap, 8, 0, 1) == 0);
        ring_close(ring);
        free(heap);
        close(fd);
    }
    ring_close(NULL);
}

TEST(an_empty_pipe_is_not_taken_for_the_end)
{
    /* io_uring may answer before the other end writes; nothing is reported until bytes are there. */
    struct ring *ring;
    if (!open_ring(&ring, RING_URING))
        return;
    int ends[2];
    EXPECT(pipe(ends) == 0);
    char room[5] = {0};
    struct ring_done done;
    EXPECT(ring_read(ring, ends[0], room, 5, (uint64_t)-1, 1) == 0 && ring_next(ring, 0, &done) == 0);
    EXPECT(write(ends[1], "hello", 5) == 5);
    EXPECT(ring_next(ring, 1, &done) && done.result == 5 && memcmp(room, "hello", 5) == 0);
    close(ends[0]);
    close(ends[1]);
    ring_close(ring);
}

TEST(the_system_s_doors_say_what_failed)
{
    struct stat st;
    char room[8];
    EXPECT(sys_open("/does/not/exist", O_RDONLY, 0) == -ENOENT &&
           sys_lstat("/does/not/exist", &st) == -ENOENT);
    EXPECT(sys_mkdir("/", 0700) == -EEXIST && sys_rmdir("/does/not/exist") == -ENOENT &&
           sys_unlink("/does/not/exist") == -ENOENT);
    EXPECT(sys_pread_full(-1, room, 8, 0) == -EBADF && sys_pwrite_full(-1, room, 8, 0) == -EBADF &&
           sys_fsync(-1) == -EBADF && sys_close(-1) == -EBADF);
    int fd = sys_open_unnamed("/tmp");
    EXPECT(fd >= 0 && sys_pwrite_full(fd, "abc", 3, 5) == 0 && sys_pread_full(fd, room, 8, 5) == 3 &&
           memcmp(room, "abc", 3) == 0);
    EXPECT(sys_fstat(fd, &st) == 0 && st.st_size == 8 && st.st_nlink == 0 && (st.st_mode & 0777) == 0600);
    sys_close(fd);
    EXPECT(sys_open_unnamed("/does/not/exist") == -ENOENT);
}

TEST(a_lock_waits_for_who_only_looks_and_not_for_who_has_it)
{
    char path[] = "/tmp/tieout-ring-test-XXXXXX";
    int ours = mkstemp(path), theirs = open(path, O_RDONLY), ends[2];
    char byte = 0;
    EXPECT(ours >= 0 && theirs >= 0 && pipe(ends) == 0);
    EXPECT(!sys_is_locked(theirs) && sys_lock_alone(ours) == 0 && sys_is_locked(theirs));
    EXPECT(sys_lock_alone(theirs) == -EWOULDBLOCK);
    close(ours);
    close(theirs);
    /* Somebody looks, slowly: he has it shared when we ask for it, and lets go of it afterwards. */
    pid_t child = fork();
    if (child == 0) {
        int looks = open(path, O_RDONLY);
        int done = looks >= 0 && flock(looks, LOCK_SH | LOCK_NB) == 0 && write(ends[1], "x", 1) == 1;
        usleep(20000);
        _exit(!done);
    }
    ours = open(path, O_RDWR);
    EXPECT(read(ends[0], &byte, 1) == 1 && sys_lock_alone(ours) == 0);
    int status;
    waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(ours), close(ends[0]), close(ends[1]);
    unlink(path);
}
