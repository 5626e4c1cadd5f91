/* tests/fuzz/fuzz_filter.c: any bytes as gzip, zstd, zip and UTF-16: what was packed, or a refusal, and the same however much is
 * asked for at a time; never a crash, a hang or a read outside.
 *
 * Without libFuzzer main() replays the files and folders given.
 */
#include "io/filter/filters.h"
#include "io/filter/utf16.h"
#include "tests/fuzz/replay.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OUT_MAX = 4 << 20, ENTRIES_MAX = 8 };

struct outcome {
    enum err err;
    uint64_t size, sum;
};

static struct outcome drain(struct filter *filter, enum err err, size_t room, struct diag *diag)
{
    static uint8_t piece[65536];
    struct outcome outcome = {err, 0, 14695981039346656037u};
    for (size_t size = 1; outcome.err == OK && size && outcome.size < OUT_MAX;) {
        outcome.err = filter_read(filter, piece, room, &size, diag);
        if (outcome.err != OK)
            break;
        for (size_t i = 0; i < size && outcome.size + i < OUT_MAX; i++)
            outcome.sum = (outcome.sum ^ piece[i]) * 1099511628211u;
        outcome.size += size;
    }
    filter_close(filter);
    if (outcome.err != OK && (outcome.err != ERR_INPUT || !diag->what[0]) && outcome.err != ERR_MACHINE)
        abort();
    return outcome;
}

static void agree(struct outcome a, struct outcome b)
{
    if (a.err != b.err ||
        (a.err == OK && a.size < OUT_MAX && b.size < OUT_MAX && (a.size != b.size || a.sum != b.sum)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t rooms[] = {65536, 997};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    struct outcome gzip[2], zstd[2], zip[2], utf16[2];
    for (int i = 0; i < 2; i++) {
        struct filter *filter;
        struct diag diag = {0};
        enum err err = gunzip_open(&filter, fd, size, "fuzz", &diag);
        gzip[i] = drain(filter, err, rooms[i], &diag);
        diag = (struct diag){0};
        err = unzstd_open(&filter, fd, size, "fuzz", &diag);
        zstd[i] = drain(filter, err, rooms[i], &diag);
        diag = (struct diag){0};
        err = utf16_open(&filter, NULL, fd, "fuzz", NULL, &diag);
        utf16[i] = drain(filter, err, rooms[i], &diag);
    }
    agree(utf16[0], utf16[1]);
    agree(gzip[0], gzip[1]);
    agree(zstd[0], zstd[1]);
    struct zip_listing listing;
    struct diag diag = {0};
    if (zip_list(&listing, fd, size, "fuzz", &diag) == OK) {
        for (uint32_t k = 0; k < listing.count && k < ENTRIES_MAX; k++) {
            for (int i = 0; i < 2; i++) {
                struct filter *filter;
                diag = (struct diag){0};
                enum err err = unzip_open(&filter, fd, size, "fuzz", listing.entries[k].index, &diag);
                zip[i] = drain(filter, err, rooms[i], &diag);
            }
            agree(zip[0], zip[1]);
            if (zip[0].err == OK && zip[0].size < OUT_MAX && zip[0].size != listing.entries[k].size)
                abort();
        }
        zip_listing_fini(&listing);
    }
    close(fd);
    return 0;
}

#ifndef TIEOUT_FUZZ
int main(int count, char **paths)
{
    return replay(count, paths, LLVMFuzzerTestOneInput, 0);
}
#endif
