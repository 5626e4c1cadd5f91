/* bench/micro_inflate.c: a gzip bill unpacked a piece at a time by io/filter, beside zlib's own loop. */
#include "bench/rows.h"
#include "bench/shim.h"
#include "core/base/mem.h"
#include "io/filter/filters.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

enum { ROWS = 200000, PIECE = 256 * 1024 };

static struct rows rows;
static uint8_t *packed;
static size_t packed_size;
static int fd = -1;
static uint8_t piece[PIECE];

static int pack(void)
{
    if (packed)
        return 1;
    if (!rows_open(&rows, ROWS, CHANNEL, 0))
        return 0;
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    size_t room = deflateBound(&z, rows.size);
    packed = mem_take(room);
    z.next_in = (Bytef *)rows.bytes;
    z.avail_in = (uInt)rows.size;
    z.next_out = packed;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    packed_size = room - z.avail_out;
    deflateEnd(&z);
    fd = memfd_create("bill.gz", MFD_CLOEXEC);
    return fd >= 0 && write(fd, packed, packed_size) == (ssize_t)packed_size;
}

static void unpack(struct bench *bench, const void *context)
{
    const int by_zlib = *(const int *)context;
    if (!pack()) {
        bench_wrong(bench, "the bill cannot be packed");
        return;
    }
    while (bench_round(bench)) {
        uint64_t sum = 0, size = 0;
        if (by_zlib) {
            z_stream z = {0};
            inflateInit2(&z, 31);
            z.next_in = packed;
            z.avail_in = (uInt)packed_size;
            int result;
            do {
                z.next_out = piece;
                z.avail_out = PIECE;
                result = inflate(&z, Z_NO_FLUSH);
                size += PIECE - z.avail_out;
                sum = bench_mix(sum, piece[0]);
            } while (result == Z_OK);
            inflateEnd(&z);
        } else {
            struct filter *filter;
            struct diag diag = {0};
            enum err err = gunzip_open(&filter, fd, packed_size, "bill.gz", &diag);
            for (size_t got = 1; err == OK && got;) {
                err = filter_read(filter, piece, PIECE, &got, &diag);
                size += got;
                sum = got ? bench_mix(sum, piece[0]) : sum;
            }
            filter_close(filter);
        }
        if (size != rows.size)
            bench_wrong(bench, "not all of the bill came out");
        bench_answer(bench, sum);
    }
    bench_items(bench, rows.count, rows.size);
}

void benches(void)
{
    static const int ours = 0, by_zlib = 1;
    bench_add("inflate/ours", unpack, &ours);
    bench_add("inflate/zlib", unpack, &by_zlib);
}
