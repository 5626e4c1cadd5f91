/* io/filter/unzip.c: zip archives (PKWARE APPNOTE 6.3.9), by libzip.
 *
 * libzip reads the container: central directory, zip64, data descriptors. The packed bytes of an entry are
 * unpacked by inflate.h, since that is three times as fast as what libzip does, and so that every byte that
 * comes out is counted here.
 */
#include "core/base/mem.h"
#include "io/filter/filters.h"
#include "io/filter/inflate.h"
#include "io/format/crc32.h"
#include "io/ring/sys.h"
#include <dlfcn.h>
#include <errno.h>
#include <iconv.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum {
    PIECE = 128 * 1024,
    END_SIZE = 22,
    END_SEARCH = END_SIZE + 65535,
    NAME_MAX_BYTES = 4096,
    DIRECTORY_MAX = 16 << 20
};

/* libzip is loaded when the first archive is opened: it brings two libraries along, and a run of plain files would start 0.7 ms later. */
#define ZIP_CALLS(X)                                                                                         \
    X(discard)                                                                                               \
    X(error_code_zip)                                                                                        \
    X(error_fini)                                                                                            \
    X(error_init)                                                                                            \
    X(error_set)                                                                                             \
    X(error_strerror)                                                                                        \
    X(error_to_data)                                                                                         \
    X(fclose)                                                                                                \
    X(file_get_error)                                                                                        \
    X(fopen_index)                                                                                           \
    X(fread)                                                                                                 \
    X(get_error)                                                                                             \
    X(get_name)                                                                                              \
    X(get_num_entries)                                                                                       \
    X(open_from_source)                                                                                      \
    X(source_free)                                                                                           \
    X(source_function_create)                                                                                \
    X(source_make_command_bitmap)                                                                            \
    X(source_seek_compute_offset)                                                                            \
    X(stat_index)                                                                                            \
    X(stat_init)
#define POINTER(name) __typeof__(zip_##name) *name;
#define CALL(name) {"zip_" #name, (void **)&zip.name},
static struct {
    ZIP_CALLS(POINTER)
} zip;
static int zip_loaded;
static pthread_once_t zip_once = PTHREAD_ONCE_INIT;

/* It stays loaded until the process ends. */
static void load_zip(void)
{
    const struct {
        const char *name;
        void **at;
    } calls[] = {ZIP_CALLS(CALL)};
    void *library = dlopen("libzip.so.4", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < sizeof calls / sizeof *calls; i++)
        if (!(*calls[i].at = dlsym(library, calls[i].name)))
            return;
    zip_loaded = library != NULL;
}

static enum err need_zip(const char *path, struct diag *diag)
{
    pthread_once(&zip_once, load_zip);
    return zip_loaded ? OK
                      : diag_set(diag, ERR_MACHINE, "zip.library", "install libzip4",
                                 "%s: zip archives cannot be read: libzip cannot be loaded", path);
}

/* The archive as libzip reads it. */
struct part {
    int fd;
    uint64_t begin, size, at;
    uint64_t directory_at, directory_size; /* of the part */
    int failed; /* errno of a read; libzip takes some of them for the end of the file */
    zip_error_t error;
};

static zip_int64_t part_call(void *context, void *data, zip_uint64_t size, zip_source_cmd_t command)
{
    struct part *part = context;
    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return zip.source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                              ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                              ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, -1);
    case ZIP_SOURCE_OPEN:
        part->at = 0;
        return 0;
    case ZIP_SOURCE_READ: {
        uint64_t left = part->size - part->at;
        ssize_t n = sys_pread_full(part->fd, data, size < left ? size : left, part->begin + part->at);
        if (n < 0) {
            part->failed = (int)-n;
            zip.error_set(&part->error, ZIP_ER_READ, (int)-n);
            return -1;
        }
        part->at += (uint64_t)n;
        return n;
    }
    case ZIP_SOURCE_SEEK: {
        zip_int64_t at = zip.source_seek_compute_offset(part->at, part->size, data, size, &part->error);
        if (at < 0)
            return -1;
        part->at = (uint64_t)at;
        return 0;
    }
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)part->at;
    case ZIP_SOURCE_STAT: {
        zip_stat_t *stat = data;
        zip.stat_init(stat);
        stat->valid = ZIP_STAT_SIZE;
        stat->size = part->size;
        return sizeof *stat;
    }
    case ZIP_SOURCE_ERROR:
        return zip.error_to_data(&part->error, data, size);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE: /* its owner frees it */
        return 0;
    default:
        zip.error_set(&part->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

static uint64_t number(const uint8_t *bytes, int size)
{
    uint64_t n = 0;
    for (int i = 0; i < size; i++)
        n |= (uint64_t)bytes[i] << 8 * i;
    return n;
}

/* Finds the archive's end record, and with it how many bytes stand before the archive (a self-extractor's
 * program). */
static enum err find_end(struct part *part, const char *path, struct diag *diag)
{
    uint64_t from = part->size > END_SEARCH ? part->size - END_SEARCH : 0;
    size_t size = (size_t)(part->size - from);
    uint8_t *tail = mem_take(size);
    if (!tail)
        return mem_fail(diag, size, "a zip archive's end");
    ssize_t n = sys_pread_full(part->fd, tail, size, from);
    if (n < 0 || (size_t)n != size) {
        mem_give(tail);
        return n < 0 ? diag_set_errno(diag, (int)-n, "read", "%s: cannot read its end", path)
                     : diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                                "%s became shorter while it was read", path);
    }
    size_t at = size;
    int found = 0;
    while (!found && at-- > 0)
        found = at + END_SIZE <= size && memcmp(tail + at, "PK\5\6", 4) == 0 &&
                at + END_SIZE + number(tail + at + 20, 2) == size;
    uint64_t directory_size = found ? number(tail + at + 12, 4) : 0,
             offset = found ? number(tail + at + 16, 4) : 0;
    mem_give(tail);
    if (!found)
        return diag_set(diag, ERR_INPUT, "zip.cut", "the file was cut off on its way: get it again",
                        "%s: the zip archive has no end: its directory should end at byte %llu, the file's "
                        "last, and does not",
                        path, (unsigned long long)part->size);
    uint64_t end = from + at;
    uint8_t record[56] = {0}, locator[20] = {0};
    if (end >= sizeof locator &&
        sys_pread_full(part->fd, locator, sizeof locator, end - sizeof locator) == sizeof locator &&
        memcmp(locator, "PK\6\7", 4) == 0) { /* zip64 */
        uint64_t record_at = number(locator + 8, 8);
        if (record_at > end || sys_pread_full(part->fd, record, sizeof record, record_at) != sizeof record ||
            memcmp(record, "PK\6\6", 4) != 0)
            return diag_set(diag, ERR_INPUT, "zip.damaged", "the file was damaged on its way: get it again",
                            "%s: byte %llu: the zip archive's zip64 record is not where it should be", path,
                            (unsigned long long)record_at);
        directory_size = number(record + 40, 8);
        offset = number(record + 48, 8);
    } else if (directory_size + offset < end) {
        part->begin = end - directory_size - offset;
        part->size -= part->begin;
    }
    if (offset > part->size || directory_size > part->size - offset)
        return diag_set(
            diag, ERR_INPUT, "zip.cut", "the file was cut off on its way: get it again",
            "%s: the zip archive's directory should have %llu bytes from byte %llu on; the file has "
            "%llu bytes",
            path, (unsigned long long)directory_size, (unsigned long long)offset,
            (unsigned long long)part->size);
    part->directory_at = offset;
    part->directory_size = directory_size;
    return OK;
}

/* libzip turns each header's time into the C library's, whose time zone is guarded by a lock that the thread
 * sanitizer does not see; opening is rare, so one at a time. */
static pthread_mutex_t clock_lock = PTHREAD_MUTEX_INITIALIZER;

struct archive {
    struct part part;
    zip_t *zip;
};

static enum err say(const struct archive *archive, const char *path, zip_error_t *error, struct diag *diag)
{
    int code = zip.error_code_zip(error);
    if (code == ZIP_ER_MEMORY)
        return mem_fail(diag, 0, "a zip archive");
    if (archive->part.failed)
        return diag_set_errno(diag, archive->part.failed, "read", "%s: cannot read it", path);
    if (code == ZIP_ER_INCONS)
        return diag_set(diag, ERR_INPUT, "zip.disagrees",
                        "two programs would read two different things from it: get it again from its sender",
                        "%s: the zip archive's directory disagrees with its entries: %s", path,
                        zip.error_strerror(error));
    if (code == ZIP_ER_EXISTS)
        return diag_set(
            diag, ERR_INPUT, "zip.name", "get the file again from its sender",
            "%s: two entries of the zip archive have one name; which of them is meant cannot be known", path);
    return diag_set(diag, ERR_INPUT, "zip.damaged", "the file was damaged on its way: get it again",
                    "%s: the zip archive cannot be read: %s", path, zip.error_strerror(error));
}

static void archive_close(struct archive *archive)
{
    if (archive->zip)
        zip.discard(archive->zip);
    if (zip_loaded)
        zip.error_fini(&archive->part.error);
}

static enum err archive_open(struct archive *archive, int fd, uint64_t size, const char *path,
                             struct diag *diag)
{
    memset(archive, 0, sizeof *archive);
    archive->part = (struct part){.fd = fd, .size = size};
    enum err err = need_zip(path, diag);
    if (err != OK)
        return err;
    zip.error_init(&archive->part.error);
    err = find_end(&archive->part, path, diag);
    if (err != OK)
        return err;
    zip_error_t error;
    zip.error_init(&error);
    zip_source_t *source = zip.source_function_create(part_call, &archive->part, &error);
    if (source)
        pthread_mutex_lock(&clock_lock);
    archive->zip = zip.open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
    pthread_mutex_unlock(&clock_lock);
    if (!archive->zip) {
        err = say(archive, path, &error, diag);
        if (source)
            zip.source_free(source);
    }
    zip.error_fini(&error);
    return err;
}

/* ---- names ---- */

static int is_utf8(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint8_t lead = bytes[i++];
        int followers = lead < 0x80                   ? 0
                        : lead >= 0xC2 && lead < 0xE0 ? 1
                        : lead >= 0xE0 && lead < 0xF0 ? 2
                        : lead >= 0xF0 && lead < 0xF5 ? 3
                                                      : -1;
        if (followers < 0)
            return 0;
        for (; followers; followers--)
            if (i == size || (bytes[i++] & 0xC0) != 0x80)
                return 0;
    }
    return 1;
}

/* Names are UTF-8 or, by the habit of Chinese Windows, GBK without saying so. Any other byte that is not ASCII is
 * shown as ?. */
static char *name_in_utf8(const char *raw, size_t size)
{
    if (is_utf8((const uint8_t *)raw, size))
        return mem_copy_text(raw, size);
    size_t room = size * 4 + 1;
    char *name = mem_take(room), *to = name, *from = (char *)(uintptr_t)raw;
    if (!name)
        return NULL;
    size_t left = size, space = room - 1;
    iconv_t converter = iconv_open("UTF-8", "GB18030");
    int whole = converter != (iconv_t)-1 && iconv(converter, &from, &left, &to, &space) != (size_t)-1;
    if (converter != (iconv_t)-1)
        iconv_close(converter);
    if (!whole) {
        to = name;
        for (size_t i = 0; i < size; i++)
            *to++ = (unsigned char)raw[i] < 0x80 ? raw[i] : '?';
    }
    *to = 0;
    return name;
}

/* What is wrong with a name, or NULL. They are never used as paths; one that tries to be clever with whoever does so
 * is refused all the same. */
static const char *name_fault(const char *name, size_t size)
{
    if (size == 0)
        return "is empty";
    if (size > NAME_MAX_BYTES)
        return "is too long";
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return "holds a control character";
    if (name[0] == '/' || name[0] == '\\')
        return "begins with a slash";
    for (size_t i = 0; i + 1 < size; i++)
        if (name[i] == '.' && name[i + 1] == '.' && (i == 0 || name[i - 1] == '/' || name[i - 1] == '\\') &&
            (i + 2 == size || name[i + 2] == '/' || name[i + 2] == '\\'))
            return "climbs out of its folder";
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name);
}

void zip_listing_fini(struct zip_listing *listing)
{
    for (uint32_t i = 0; i < listing->count; i++)
        mem_give(listing->entries[i].name);
    mem_give(listing->entries);
    *listing = (struct zip_listing){0};
}

/* libzip gives names as C strings: one with a NUL in it would look shorter than it is. The directory is walked
 * once more for that alone. */
static enum err check_nul(const struct part *part, const char *path, struct diag *diag)
{
    if (part->directory_size > DIRECTORY_MAX)
        return diag_set(diag, ERR_INPUT, "zip.limit", "split the archive",
                        "%s: the zip archive's directory has %llu bytes; at most %d are read", path,
                        (unsigned long long)part->directory_size, DIRECTORY_MAX);
    size_t size = (size_t)part->directory_size, at = 0;
    uint8_t *directory = mem_take(size + 1);
    if (!directory)
        return mem_fail(diag, size, "a zip archive's directory");
    enum err err = OK;
    ssize_t n = sys_pread_full(part->fd, directory, size, part->begin + part->directory_at);
    if (n < 0)
        err = diag_set_errno(diag, (int)-n, "read", "%s: cannot read its directory", path);
    size = n > 0 ? (size_t)n : 0;
    while (err == OK && at + 46 <= size && memcmp(directory + at, "PK\1\2", 4) == 0) {
        size_t name_size = (size_t)number(directory + at + 28, 2);
        size_t next = at + 46 + name_size + (size_t)number(directory + at + 30, 2) +
                      (size_t)number(directory + at + 32, 2);
        if (next <= size && memchr(directory + at + 46, 0, name_size))
            err = diag_set(diag, ERR_INPUT, "zip.name", "get the file again from its sender",
                           "%s: byte %llu: an entry's name holds a NUL byte", path,
                           (unsigned long long)(part->begin + part->directory_at + at));
        at = next;
    }
    mem_give(directory);
    return err;
}

enum err zip_list(struct zip_listing *listing, int fd, uint64_t size, const char *path, struct diag *diag)
{
    *listing = (struct zip_listing){0};
    struct archive archive;
    enum err err = archive_open(&archive, fd, size, path, diag);
    if (err == OK)
        err = check_nul(&archive.part, path, diag);
    zip_int64_t count = err == OK ? zip.get_num_entries(archive.zip, 0) : 0;
    if (count > ZIP_ENTRIES_MAX)
        err = diag_set(diag, ERR_INPUT, "zip.limit", "split the archive",
                       "%s: the zip archive has %lld entries; at most %d are read", path, (long long)count,
                       ZIP_ENTRIES_MAX);
    if (err == OK) {
        listing->entries = mem_take_zero((size_t)count, sizeof *listing->entries);
        if (!listing->entries)
            err = mem_fail(diag, (size_t)count * sizeof *listing->entries, "a zip archive's entries");
    }
    for (zip_int64_t i = 0; err == OK && i < count; i++) {
        zip_stat_t stat;
        const char *raw = zip.get_name(archive.zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        if (!raw || zip.stat_index(archive.zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW, &stat) != 0) {
            err = say(&archive, path, zip.get_error(archive.zip), diag);
            break;
        }
        size_t length = strlen(raw);
        const char *fault = name_fault(raw, length);
        struct zip_entry *entry = &listing->entries[listing->count];
        entry->name = name_in_utf8(raw, length);
        if (!entry->name) {
            err = mem_fail(diag, length, "a zip entry's name");
            break;
        }
        listing->count++;
        if (fault) {
            err = diag_set(diag, ERR_INPUT, "zip.name", "get the file again from its sender",
                           "%s: the name of entry %lld \"%.200s\" %s", path, (long long)i + 1, entry->name,
                           fault);
            break;
        }
        entry->index = (uint64_t)i;
        entry->size = stat.size;
        entry->packed_size = stat.comp_size;
    }
    archive_close(&archive);
    if (err == OK && listing->count)
        qsort(listing->entries, listing->count, sizeof *listing->entries, by_name);
    for (uint32_t i = 1; err == OK && i < listing->count; i++)
        if (strcmp(listing->entries[i - 1].name, listing->entries[i].name) == 0)
            err = diag_set(diag, ERR_INPUT, "zip.name", "get the file again from its sender",
                           "%s: two entries have the name \"%.200s\"; which of them is meant cannot be known",
                           path, listing->entries[i].name);
    uint32_t kept = 0;
    for (uint32_t i = 0; err == OK && i < listing->count; i++) {
        char *name = listing->entries[i].name;
        if (name[strlen(name) - 1] == '/') { /* a folder */
            mem_give(name);
            continue;
        }
        listing->entries[kept++] = listing->entries[i];
    }
    if (err == OK)
        listing->count = kept;
    else
        zip_listing_fini(listing);
    return err;
}

/* ---- one entry ---- */

struct unzip {
    struct filter base;
    struct archive archive;
    const char *path; /* borrowed */
    zip_file_t *file;
    struct inflate *inflate; /* NULL: stored */
    uint8_t *block;          /* INFLATE_BACK bytes, then what was read */
    const uint8_t *next;
    size_t left;
    uint64_t taken, packed_size; /* of the packed bytes */
    uint64_t made, size;
    uint32_t crc, crc_wanted;
    int ended;
};

static enum err fill(struct unzip *z, struct diag *diag)
{
    if (z->left || z->taken == z->packed_size)
        return OK;
    memmove(z->block, z->next - INFLATE_BACK, INFLATE_BACK);
    z->next = z->block + INFLATE_BACK;
    zip_int64_t n = zip.fread(z->file, z->block + INFLATE_BACK, PIECE);
    if (n < 0)
        return say(&z->archive, z->path, zip.file_get_error(z->file), diag);
    if (n == 0)
        return diag_set(diag, ERR_INPUT, "zip.cut", "the file was cut off on its way: get it again",
                        "%s: the entry ends after %llu of %llu packed bytes", z->path,
                        (unsigned long long)z->taken, (unsigned long long)z->packed_size);
    z->taken += (uint64_t)n;
    z->left = (size_t)n;
    return OK;
}

static enum err entry_damaged(struct unzip *z, const char *what, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "zip.damaged", "the file was damaged on its way: get it again",
                    "%s: byte %llu of the entry's packed bytes: %s", z->path,
                    (unsigned long long)(z->taken - z->left), what);
}

static enum err unzip_read(struct filter *filter, uint8_t *out, size_t room, size_t *size, struct diag *diag)
{
    struct unzip *z = (struct unzip *)filter;
    uint8_t *at = out;
    enum err err = OK;
    while (err == OK && room && !z->ended) {
        err = fill(z, diag);
        if (err != OK)
            break;
        uint8_t *before = at;
        int end = 0;
        size_t left = z->left;
        if (z->inflate) {
            enum inflate_result result = inflate_step(z->inflate, &z->next, &z->left, &at, &room);
            if (result == INFLATE_BAD) {
                err = entry_damaged(z, "this is not deflate data", diag);
                break;
            }
            end = result == INFLATE_END;
            if (!end && !left && at == before) {
                err = entry_damaged(z, "the deflate data has no end", diag);
                break;
            }
        } else {
            size_t n = z->left < room ? z->left : room;
            memcpy(at, z->next, n);
            z->next += n;
            z->left -= n;
            at += n;
            room -= n;
            end = !z->left && z->taken == z->packed_size;
        }
        z->crc = crc32_update(z->crc, before, (size_t)(at - before));
        z->made += (uint64_t)(at - before);
        if (z->made > z->size || (end && z->made < z->size))
            err = entry_damaged(z, "another number of bytes comes out than the archive says", diag);
        else if (end && z->crc != z->crc_wanted)
            err = entry_damaged(z, "the checksum of the unpacked bytes is wrong", diag);
        else if (end && (z->left || z->taken != z->packed_size))
            err = entry_damaged(z, "more packed bytes follow the end of the data", diag);
        z->ended = end;
    }
    *size = (size_t)(at - out);
    return err;
}

static void unzip_close(struct filter *filter)
{
    struct unzip *z = (struct unzip *)filter;
    if (z->file)
        zip.fclose(z->file);
    archive_close(&z->archive);
    inflate_close(z->inflate);
    mem_give(z->block);
    mem_give(z);
}

static const struct filter_ops unzip_ops = {unzip_read, unzip_close};

static enum err unsupported(const char *path, const zip_stat_t *stat, struct diag *diag)
{
    static const struct {
        int method;
        const char *name;
    } methods[] = {{1, "shrunk"}, {6, "imploded"}, {9, "deflate64"}, {12, "bzip2"}, {14, "lzma"},
                   {93, "zstd"},  {95, "xz"},      {98, "ppmd"},     {99, "AES"}};
    if ((stat->valid & ZIP_STAT_ENCRYPTION_METHOD) && stat->encryption_method != ZIP_EM_NONE)
        return diag_set(diag, ERR_INPUT, "zip.encrypted",
                        "unpack it with its password and name the unpacked file",
                        "%s: the entry is encrypted", path);
    const char *name = "unknown";
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].method == stat->comp_method)
            name = methods[i].name;
    return diag_set(diag, ERR_INPUT, "zip.method", "unpack it yourself and name the unpacked file",
                    "%s: unsupported method %u (%s); entries may be stored or deflated", path,
                    (unsigned)stat->comp_method, name);
}

enum err unzip_open(struct filter **out, int fd, uint64_t size, const char *path, uint64_t index,
                    struct diag *diag)
{
    *out = NULL;
    struct unzip *z = mem_take_zero(1, sizeof *z);
    if (!z)
        return mem_fail(diag, sizeof *z, "unpacking");
    z->base.ops = &unzip_ops;
    z->path = path;
    enum err err = archive_open(&z->archive, fd, size, path, diag);
    zip_stat_t stat;
    if (err == OK && zip.stat_index(z->archive.zip, index, ZIP_FL_ENC_RAW, &stat) != 0)
        err = say(&z->archive, path, zip.get_error(z->archive.zip), diag);
    if (err == OK && ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD && stat.encryption_method != ZIP_EM_NONE) ||
                      (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)))
        err = unsupported(path, &stat, diag);
    if (err == OK) {
        z->size = stat.size;
        z->packed_size = stat.comp_size;
        z->crc_wanted = stat.crc;
        z->ended = stat.comp_method == ZIP_CM_STORE && !stat.comp_size && !stat.size;
        pthread_mutex_lock(&clock_lock);
        z->file = zip.fopen_index(z->archive.zip, index, ZIP_FL_COMPRESSED);
        pthread_mutex_unlock(&clock_lock);
        if (!z->file)
            err = say(&z->archive, path, zip.get_error(z->archive.zip), diag);
    }
    if (err == OK) {
        z->block = mem_take_zero(1, INFLATE_BACK + PIECE);
        if (z->block)
            z->next = z->block + INFLATE_BACK;
        if (stat.comp_method == ZIP_CM_DEFLATE)
            z->inflate = inflate_open();
        if (!z->block || (stat.comp_method == ZIP_CM_DEFLATE && !z->inflate))
            err = mem_fail(diag, PIECE, "unpacking");
    }
    if (err != OK) {
        unzip_close(&z->base);
        return err;
    }
    *out = &z->base;
    return OK;
}
