/* tests/unit/io/filter/filters_test.c: packed bytes come out whole, or not at all. */
#include "io/filter/filters.h"
#include "io/filter/unpack.h"
#include "io/filter/utf16.h"
#include "tests/support/check_test.h"
#include <fcntl.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

struct bytes {
    uint8_t *data;
    size_t size, room; /* room 0: not known */
};

static void add(struct bytes *b, const void *data, size_t size)
{
    if (b->size + size + 1 > b->room)
        b->data = realloc(b->data, b->room = 2 * (b->size + size + 1));
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

/* Text as a bill has it: repeats, but not only. */
static struct bytes text(size_t size, uint64_t seed)
{
    struct bytes b = {malloc(size + 64), 0, 0};
    uint64_t x = seed * 0x9E3779B97F4A7C15u + 1;
    while (b.size < size) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        b.size += (size_t)sprintf((char *)b.data + b.size, "ALIPAY,%llu,1.%02u,SUCCESS\n",
                                  (unsigned long long)x, (unsigned)(x >> 32) % 100);
    }
    b.size = size;
    return b;
}

static void add_member(struct bytes *out, const uint8_t *data, size_t size, int level)
{
    z_stream z = {0};
    deflateInit2(&z, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    size_t room = size + size / 100 + 600;
    uint8_t *packed = malloc(room);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = packed;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    add(out, packed, room - z.avail_out);
    deflateEnd(&z);
    free(packed);
}

typedef enum err (*open_fn)(struct filter **out, int fd, uint64_t size, const char *path, struct diag *diag);

static int file_of(struct bytes b)
{
    char path[] = "/tmp/tieout-filters-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    EXPECT(write(fd, b.data, b.size) == (ssize_t)b.size);
    return fd;
}

/* Reads all that comes out, `room` bytes at a time. */
static enum err unpacked(open_fn open_it, struct bytes packed, size_t room, struct bytes *out,
                         struct diag *diag)
{
    memset(diag, 0, sizeof *diag);
    *out = (struct bytes){0};
    int fd = file_of(packed);
    struct filter *filter = NULL;
    enum err err = open_it(&filter, fd, packed.size, "bill", diag);
    uint8_t *piece = malloc(room);
    for (size_t size = 1; err == OK && size;) {
        err = filter_read(filter, piece, room, &size, diag);
        if (err == OK)
            add(out, piece, size);
    }
    free(piece);
    filter_close(filter);
    close(fd);
    return err;
}

static int same(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

TEST(a_gzip_member_comes_out_as_it_went_in)
{
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 262144, 262145, 3000000};
    static const size_t rooms[] = {262144, 1, 7, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int level = 0; level <= 9; level += 3) {
            struct bytes plain = text(sizes[i], i), packed = {0}, out;
            struct diag diag;
            add_member(&packed, plain.data, plain.size, level);
            size_t room = sizes[i] > 300000 ? 262144 : rooms[i % 4];
            EXPECT(unpacked(gunzip_open, packed, room, &out, &diag) == OK && same(out, plain));
            free(plain.data), free(packed.data), free(out.data);
        }
}

/* Members end anywhere in the buffer that is read through, also in its first bytes, so that what was read ahead
 * lies in the buffer before. */
TEST(members_may_end_at_any_byte_of_the_buffer)
{
    for (size_t shift = 0; shift < 64; shift++) {
        struct bytes noise = {malloc(200000), 0, 0}, plain = {0}, packed = {0}, out;
        struct diag diag;
        uint64_t x = shift + 88172645463325252u;
        for (; noise.size < 200000; noise.size++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            noise.data[noise.size] = (uint8_t)x;
        }
        /* Stored blocks: the packed size follows the plain one, so the first member ends near 128 KiB. */
        size_t first = 131072 - 18 - 10 - 32 + shift;
        add(&plain, noise.data, first);
        add_member(&packed, noise.data, first, 0);
        for (int i = 0; i < 20; i++) {
            struct bytes small = text((size_t)i * 3, shift);
            add(&plain, small.data, small.size);
            add_member(&packed, small.data, small.size, 6);
            free(small.data);
        }
        add(&packed, "\0\0\0\0\0", shift % 6);
        EXPECT(unpacked(gunzip_open, packed, 100000, &out, &diag) == OK && same(out, plain));
        free(noise.data), free(plain.data), free(packed.data), free(out.data);
    }
}

TEST(gzip_data_cut_anywhere_is_an_error)
{
    struct bytes plain = text(3000, 3), packed = {0}, out;
    struct diag diag;
    add_member(&packed, plain.data, 1000, 6);
    size_t first = packed.size;
    add_member(&packed, plain.data + 1000, 2000, 6);
    for (size_t n = 1; n < packed.size; n++) {
        enum err err = unpacked(gunzip_open, (struct bytes){packed.data, n, 0}, 4096, &out, &diag);
        if (n == first) /* nothing says that a second one should follow */
            EXPECT(err == OK && out.size == 1000);
        else
            EXPECT(err == ERR_INPUT && strcmp(diag.code, "gzip.cut") == 0);
        free(out.data);
    }
    free(plain.data), free(packed.data);
}

TEST(a_flipped_bit_in_gzip_data_is_an_error_or_harmless)
{
    struct bytes plain = text(2000, 4), packed = {0}, out;
    struct diag diag;
    add_member(&packed, plain.data, plain.size, 6);
    int harmless = 0;
    for (size_t bit = 0; bit < packed.size * 8; bit++) {
        packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum err err = unpacked(gunzip_open, packed, 4096, &out, &diag);
        packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        /* Time, system and the hint to text in the header, and the padding of the last byte mean nothing. */
        harmless += err == OK;
        EXPECT(err == ERR_INPUT || same(out, plain));
        free(out.data);
    }
    EXPECT(harmless <= 1 + 6 * 8 + 7);
    free(plain.data), free(packed.data);
}

TEST(only_zeros_may_follow_gzip_data)
{
    struct bytes plain = text(500, 5), packed = {0}, out;
    struct diag diag;
    add_member(&packed, plain.data, plain.size, 6);
    size_t size = packed.size;
    static const uint8_t zeros[300000];
    add(&packed, zeros, sizeof zeros);
    EXPECT(unpacked(gunzip_open, packed, 4096, &out, &diag) == OK && same(out, plain));
    free(out.data);
    packed.data[packed.size - 1] = 1;
    EXPECT(unpacked(gunzip_open, packed, 4096, &out, &diag) == ERR_INPUT &&
           strcmp(diag.code, "gzip.garbage") == 0);
    free(out.data);
    packed.data[size] = 'x';
    EXPECT(unpacked(gunzip_open, packed, 4096, &out, &diag) == ERR_INPUT &&
           strcmp(diag.code, "gzip.garbage") == 0);
    free(out.data), free(plain.data), free(packed.data);
}

TEST(optional_gzip_header_fields_are_passed_over_and_checked)
{
    struct bytes plain = text(500, 6), packed = {0}, with = {0}, out;
    struct diag diag;
    add_member(&packed, plain.data, plain.size, 6);
    uint8_t head[10];
    memcpy(head, packed.data, 10);
    head[3] = 2 | 4 | 8 | 16;
    add(&with, head, 10);
    add(&with,
        "\5\0extra"
        "name.csv\0a comment\0",
        7 + 9 + 10);
    uint32_t crc = (uint32_t)crc32(0, with.data, (uInt)with.size);
    uint8_t sum[2] = {(uint8_t)crc, (uint8_t)(crc >> 8)};
    add(&with, sum, 2);
    add(&with, packed.data + 10, packed.size - 10);
    EXPECT(unpacked(gunzip_open, with, 4096, &out, &diag) == OK && same(out, plain));
    free(out.data);
    with.data[20] ^= 1;
    EXPECT(unpacked(gunzip_open, with, 4096, &out, &diag) == ERR_INPUT);
    free(out.data), free(plain.data), free(packed.data), free(with.data);
}

TEST(zstd_frames_come_out_and_cuts_and_garbage_are_errors)
{
    struct bytes plain = text(400000, 7), packed = {0}, out;
    struct diag diag;
    for (int i = 0; i < 4; i++) {
        uint8_t *frame = malloc(200000);
        ZSTD_CCtx *context = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
        size_t size = ZSTD_compress2(context, frame, 200000, plain.data + i * 100000, 100000);
        ZSTD_freeCCtx(context);
        add(&packed, frame, size);
        add(&packed, "\x50\x2a\x4d\x18\3\0\0\0abc", 11); /* a frame to be skipped */
        free(frame);
    }
    EXPECT(unpacked(unzstd_open, packed, 30000, &out, &diag) == OK && same(out, plain));
    free(out.data);
    for (size_t n = packed.size - 1; n > packed.size - 300; n--) {
        enum err err = unpacked(unzstd_open, (struct bytes){packed.data, n, 0}, 4096, &out, &diag);
        EXPECT(n == packed.size - 11 ? err == OK : err == ERR_INPUT);
        free(out.data);
    }
    for (size_t at = 100; at < packed.size; at += 4001) {
        packed.data[at] ^= 0x40;
        EXPECT(unpacked(unzstd_open, packed, 30000, &out, &diag) == ERR_INPUT);
        packed.data[at] ^= 0x40;
        free(out.data);
    }
    add(&packed, "order,amount\n", 13);
    EXPECT(unpacked(unzstd_open, packed, 30000, &out, &diag) == ERR_INPUT);
    free(out.data), free(plain.data), free(packed.data);
}

/* ---- unpacking in the background ---- */

struct gzip_file {
    int fd;
    uint64_t size;
};

static enum err open_gzip(struct filter **out, void *context, struct diag *diag)
{
    struct gzip_file *file = context;
    return gunzip_open(out, file->fd, file->size, "bill", diag);
}

TEST(what_is_unpacked_in_the_background_can_be_read_at_any_place)
{
    enum { FILES = 5 };
    struct bytes plain[FILES], packed[FILES] = {0};
    struct gzip_file files[FILES];
    struct unpack *unpacks[FILES];
    struct unpack_crew *crew = NULL;
    struct diag diag = {0};
    for (int i = 0; i < FILES; i++) {
        plain[i] = text(700000u * (size_t)i + 1000, (uint64_t)i);
        add_member(&packed[i], plain[i].data, plain[i].size, 6);
        files[i] = (struct gzip_file){file_of(packed[i]), packed[i].size};
        struct unpack_config config = {open_gzip, &files[i], "bill", 8 << 20, packed[i].size, 0};
        EXPECT(unpack_open(&unpacks[i], &config, &diag) == OK);
    }
    uint8_t head[1000];
    EXPECT(unpack_read(unpacks[2], head, 100, 900, &diag) == 100 &&
           memcmp(head, plain[2].data + 900, 100) == 0);
    EXPECT(unpack_read(unpacks[0], head, 1000, 500, &diag) == 500 && unpack_size(unpacks[0]) == 1000);
    EXPECT(unpack_size(unpacks[2]) == 8 << 20 && unpack_guess(unpacks[2]) == 4 * packed[2].size);
    EXPECT(unpack_crew_start(&crew, unpacks, FILES, 2, "/tmp", &diag) == OK);
    for (int i = FILES - 1; i >= 0; i--) {
        uint8_t *all = malloc(plain[i].size + 10);
        ssize_t n = unpack_read(unpacks[i], all, plain[i].size + 10, 0, &diag);
        EXPECT(n == (ssize_t)plain[i].size && memcmp(all, plain[i].data, plain[i].size) == 0);
        EXPECT(unpack_read(unpacks[i], all, 50, 700, &diag) == 50 &&
               memcmp(all, plain[i].data + 700, 50) == 0);
        int whole = 0;
        EXPECT(unpack_ready(unpacks[i], &whole, &diag) == (int64_t)plain[i].size && whole);
        EXPECT(unpack_size(unpacks[i]) == plain[i].size && unpack_guess(unpacks[i]) == plain[i].size);
        free(all);
    }
    unpack_crew_stop(crew);
    for (int i = 0; i < FILES; i++) {
        unpack_close(unpacks[i]);
        close(files[i].fd);
        free(plain[i].data), free(packed[i].data);
    }
}

TEST(damage_and_too_many_bytes_are_told_to_whoever_waits)
{
    struct bytes plain = text(900000, 1), packed = {0};
    struct diag diag = {0};
    add_member(&packed, plain.data, plain.size, 6);
    for (int round = 0; round < 2; round++) {
        struct gzip_file file = {file_of(packed), packed.size - (round ? 5 : 0)};
        struct unpack_config config = {open_gzip, &file, "bill", round ? 8 << 20 : 899999, packed.size, 0};
        struct unpack *unpack;
        struct unpack_crew *crew = NULL;
        uint8_t byte;
        diag = (struct diag){0};
        EXPECT(unpack_open(&unpack, &config, &diag) == OK);
        EXPECT(unpack_crew_start(&crew, &unpack, 1, 4, "/tmp", &diag) == OK);
        EXPECT(unpack_read(unpack, &byte, 1, 2 << 20, &diag) == -1);
        EXPECT(strcmp(diag.code, round ? "gzip.cut" : "unpack.limit") == 0 && diag.err == ERR_INPUT);
        int whole = 0;
        EXPECT(unpack_ready(unpack, &whole, &diag) == -1);
        unpack_crew_stop(crew);
        unpack_close(unpack);
        close(file.fd);
    }
    free(plain.data), free(packed.data);
}

/* ---- UTF-16 ---- */

static enum err open_utf16(struct filter **out, int fd, uint64_t size, const char *path, struct diag *diag)
{
    (void)size;
    return utf16_open(out, NULL, fd, path, NULL, diag);
}

static enum err open_packed_utf16(struct filter **out, int fd, uint64_t size, const char *path,
                                  struct diag *diag)
{
    struct filter *packed;
    enum err err = gunzip_open(&packed, fd, size, path, diag);
    return err == OK ? utf16_open(out, packed, fd, path, NULL, diag) : err;
}

static void add_unit(struct bytes *b, unsigned unit, int is_big)
{
    uint8_t two[2] = {(uint8_t)(is_big ? unit >> 8 : unit), (uint8_t)(is_big ? unit : unit >> 8)};
    add(b, two, 2);
}

/* What iconv makes of it, without the mark. */
static struct bytes by_iconv(struct bytes text, int is_big)
{
    iconv_t handle = iconv_open("UTF-8", is_big ? "UTF-16BE" : "UTF-16LE");
    struct bytes out = {malloc(text.size * 2 + 8), text.size * 2 + 8, 0};
    char *from = (char *)text.data + 2, *to = (char *)out.data;
    size_t from_left = text.size - 2, to_left = out.size;
    EXPECT(iconv(handle, &from, &from_left, &to, &to_left) == 0 && from_left == 0);
    out.size -= to_left;
    iconv_close(handle);
    return out;
}

TEST(every_character_of_utf16_becomes_what_iconv_makes_of_it)
{
    static const size_t rooms[] = {262144, 1, 2, 3, 4, 5, 65536, 97};
    for (int is_big = 0; is_big < 2; is_big++) {
        struct bytes plain = {0}, packed = {0}, out;
        struct diag diag;
        add_unit(&plain, 0xFEFF, is_big);
        for (unsigned c = 0; c < 0x10000; c++)
            if (c < 0xD800 || c > 0xDFFF)
                add_unit(&plain, c, is_big);
        add_unit(&plain, 'x', is_big); /* pairs lie over the end of what is read at once */
        for (unsigned c = 0x10000; c < 0x110000; c += 37) {
            add_unit(&plain, 0xD800 + ((c - 0x10000) >> 10), is_big);
            add_unit(&plain, 0xDC00 + ((c - 0x10000) & 0x3FF), is_big);
        }
        struct bytes want = by_iconv(plain, is_big);
        add_member(&packed, plain.data, plain.size, 6);
        for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
            EXPECT(unpacked(open_utf16, plain, rooms[i], &out, &diag) == OK && same(out, want));
            free(out.data);
            EXPECT(unpacked(open_packed_utf16, packed, rooms[i], &out, &diag) == OK && same(out, want));
            free(out.data);
        }
        free(plain.data), free(packed.data), free(want.data);
    }
}

TEST(text_without_the_mark_goes_through_as_it_is)
{
    static const size_t rooms[] = {262144, 1, 7, 65536};
    static const size_t sizes[] = {0, 1, 2, 3, 65535, 65536, 65537, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof rooms / sizeof *rooms; k++) {
            struct bytes plain = text(sizes[i], i), packed = {0}, out;
            struct diag diag;
            add_member(&packed, plain.data, plain.size, 1);
            EXPECT(unpacked(open_packed_utf16, packed, rooms[k], &out, &diag) == OK && same(out, plain));
            free(plain.data), free(packed.data), free(out.data);
        }
}

TEST(half_a_character_of_utf16_is_an_error_with_its_byte)
{
    static const struct {
        unsigned units[6];
        size_t cut;
        const char *byte;
    } cases[] = {
        {{0xFEFF, 'a', 0xDC00, 'b', 'c', 'd'}, 0, "at byte 4 "},
        {{0xFEFF, 'a', 'b', 0xD83C, 'c', 'd'}, 0, "at byte 6 "},
        {{0xFEFF, 'a', 'b', 0xD83C, 0xD83C, 'd'}, 0, "at byte 6 "},
        {{0xFEFF, 'a', 'b', 'c', 'd', 'e'}, 1, "at byte 10 "},
        {{0xFEFF, 'a', 'b', 'c', 'd', 0xD83C}, 0, "at byte 10 "},
        {{0xFEFF, 'a', 'b', 'c', 0xD83C, 0xDF00}, 1, "at byte 8 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int is_big = 0; is_big < 2; is_big++) {
            struct bytes plain = {0}, out;
            struct diag diag;
            for (int k = 0; k < 6; k++)
                add_unit(&plain, cases[i].units[k], is_big);
            plain.size -= cases[i].cut;
            EXPECT(unpacked(open_utf16, plain, 100, &out, &diag) == ERR_INPUT &&
                   strcmp(diag.code, "utf16.text") == 0 && strstr(diag.what, cases[i].byte));
            free(plain.data), free(out.data);
        }
}
