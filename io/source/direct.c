/* io/source/direct.c: see direct.h */
#include "io/source/direct.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

enum {
    DIRECT_FROM = 16 << 20, /* bytes: below, what is gained does not show */
    FILES_MAX = 64,         /* of a set: each takes a descriptor more */
    SAMPLES = 32,
    BEHIND_HEAD = 1 << 20 /* what was read of the header, and ahead of it, says nothing */
};

/* 1 when less than half of the file's pages that are asked for lie in memory. */
static int is_cold(int fd, uint64_t size)
{
    unsigned cached = 0;
    for (unsigned i = 0; i < SAMPLES; i++) {
        char byte;
        const struct iovec one = {&byte, 1};
        const uint64_t at = BEHIND_HEAD + (size - BEHIND_HEAD) / SAMPLES * i;
        const ssize_t n = preadv2(fd, &one, 1, (off_t)at, RWF_NOWAIT);
        if (n < 0 && errno != EAGAIN)
            return 0; /* the kernel does not say */
        cached += n == 1;
    }
    return cached < SAMPLES / 2;
}

void direct_choose(struct file_set *set, enum direct_mode mode)
{
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < set->count && chosen < FILES_MAX && mode != DIRECT_NEVER; i++) {
        struct input_file *input = &set->files[i];
        struct stat st;
        if (input->unpack || input->in_turn || input->own_fd < 0 || input->packing != PACKING_NONE)
            continue;
        input->is_warm =
            mode == DIRECT_AUTO && (input->size < DIRECT_FROM || !is_cold(input->own_fd, input->size));
        if (input->is_warm)
            continue;
        const int fd = sys_open(input->file, O_RDONLY | O_NONBLOCK | O_DIRECT, 0);
        if (fd < 0)
            continue;
        if (sys_fstat(fd, &st) != 0 || st.st_ino != input->stat.st_ino || st.st_dev != input->stat.st_dev) {
            sys_close(fd); /* another file has the name; what is open stays */
            continue;
        }
        input->direct_fd = fd;
        input->is_direct = 1;
        chosen++;
    }
}

void direct_forget(struct input_file *input)
{
    if (input->is_direct)
        sys_close(input->direct_fd);
    input->is_direct = 0;
}
