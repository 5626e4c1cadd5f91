/* io/store/page_sum.c: see page_sum.h
 *
 * A layer between SQLite and its own way to the files (a VFS): only the database's file goes through it, and of that only reading and
 * writing does anything.
 */
#include "io/store/page_sum.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

enum { PAGE_LEAST = 512, HEADER = 100, AT_PAGE_SIZE = 16, AT_RESERVED = 20 };

/* In front of the real file, in the room that SQLite gives. */
struct summed {
    sqlite3_file file; /* first: SQLite knows it by this */
    uint32_t page_size;
    int has_sums;  /* as its header said last */
    uint8_t *page; /* for one that is summed; NULL: none was */
    uint32_t page_room;
};

static sqlite3_file *real(sqlite3_file *file)
{
    return (sqlite3_file *)((struct summed *)file + 1);
}

static void put_sum(uint8_t *page, uint32_t size, sqlite3_int64 offset)
{
    const uint64_t sum = hash_bytes(page, size - PAGE_SUM_BYTES, (uint64_t)offset / size + 1);
    for (int i = 0; i < PAGE_SUM_BYTES; i++)
        page[size - PAGE_SUM_BYTES + (uint32_t)i] = (uint8_t)(sum >> 8 * i);
}

static int is_zero(const uint8_t *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        if (bytes[i])
            return 0;
    return 1;
}

/* Takes the sum out of the page. 0: it is not that of its bytes. A page that was never written by us has none. */
static int take_sum(uint8_t *page, uint32_t size, sqlite3_int64 offset)
{
    uint8_t *end = page + size - PAGE_SUM_BYTES;
    uint64_t said = 0;
    for (int i = 0; i < PAGE_SUM_BYTES; i++)
        said |= (uint64_t)end[i] << 8 * i;
    memset(end, 0, PAGE_SUM_BYTES);
    return said ? said == hash_bytes(page, size - PAGE_SUM_BYTES, (uint64_t)offset / size + 1)
                : !is_zero(page, size);
}

/* The first bytes of the file say how long pages are, and what is left free on each. */
static void look_at_header(struct summed *s, const uint8_t *bytes)
{
    const uint32_t size = (uint32_t)bytes[AT_PAGE_SIZE] << 8 | bytes[AT_PAGE_SIZE + 1];
    s->page_size = size == 1 ? 65536 : size;
    s->has_sums = memcmp(bytes, "SQLite format 3", 16) == 0 && bytes[AT_RESERVED] == PAGE_SUM_BYTES &&
                  s->page_size >= PAGE_LEAST && (s->page_size & (s->page_size - 1)) == 0;
}

static int page_room(struct summed *s, uint32_t size)
{
    if (s->page_room >= size)
        return 1;
    mem_give(s->page);
    s->page = mem_take(size);
    s->page_room = s->page ? size : 0;
    return s->page != NULL;
}

static int sum_close(sqlite3_file *file)
{
    struct summed *s = (struct summed *)file;
    mem_give(s->page);
    s->page = NULL;
    return real(file)->pMethods->xClose(real(file));
}

static int sum_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    struct summed *s = (struct summed *)file;
    sqlite3_file *under = real(file);
    /* A part of a page, such as the rest of a long text, is taken from the page as a whole. The header alone says what pages are. */
    if (s->has_sums && offset >= s->page_size && (uint32_t)size < s->page_size) {
        const sqlite3_int64 at = offset / s->page_size * s->page_size;
        if (offset + size > at + s->page_size || !page_room(s, s->page_size))
            return SQLITE_IOERR_READ;
        const int code = under->pMethods->xRead(under, s->page, (int)s->page_size, at);
        if (code != SQLITE_OK)
            return code;
        if (!take_sum(s->page, s->page_size, at))
            return SQLITE_IOERR_DATA;
        memcpy(bytes, s->page + (offset - at), (size_t)size);
        return SQLITE_OK;
    }
    const int code = under->pMethods->xRead(under, bytes, size, offset);
    if (code != SQLITE_OK)
        return code;
    if (offset == 0 && size >= HEADER)
        look_at_header(s, bytes);
    return s->has_sums && (uint32_t)size == s->page_size && !take_sum(bytes, (uint32_t)size, offset)
               ? SQLITE_IOERR_DATA
               : SQLITE_OK;
}

static int sum_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    struct summed *s = (struct summed *)file;
    sqlite3_file *under = real(file);
    if (offset == 0 && size >= HEADER)
        look_at_header(s, bytes);
    if (!s->has_sums || (uint32_t)size != s->page_size)
        return under->pMethods->xWrite(under, bytes, size, offset);
    if (!page_room(s, s->page_size))
        return SQLITE_IOERR_NOMEM;
    memcpy(s->page, bytes, s->page_size);
    put_sum(s->page, s->page_size, offset);
    return under->pMethods->xWrite(under, s->page, size, offset);
}

/* ---- what goes through as it is ---- */

static int sum_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real(file)->pMethods->xTruncate(real(file), size);
}
static int sum_sync(sqlite3_file *file, int flags)
{
    return real(file)->pMethods->xSync(real(file), flags);
}
static int sum_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real(file)->pMethods->xFileSize(real(file), size);
}
static int sum_lock(sqlite3_file *file, int how)
{
    return real(file)->pMethods->xLock(real(file), how);
}
static int sum_unlock(sqlite3_file *file, int how)
{
    return real(file)->pMethods->xUnlock(real(file), how);
}
static int sum_is_reserved(sqlite3_file *file, int *is)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), is);
}
static int sum_control(sqlite3_file *file, int what, void *argument)
{
    return real(file)->pMethods->xFileControl(real(file), what, argument);
}
static int sum_sector(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}
static int sum_device(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}
static int sum_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
    return real(file)->pMethods->xShmMap(real(file), region, size, extend, out);
}
static int sum_map_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}
static void sum_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}
static int sum_unmap(sqlite3_file *file, int is_removed)
{
    return real(file)->pMethods->xShmUnmap(real(file), is_removed);
}

/* Version 2: pages are read, never mapped, so that each is looked at. */
static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = sum_close,
                                           .xRead = sum_read,
                                           .xWrite = sum_write,
                                           .xTruncate = sum_truncate,
                                           .xSync = sum_sync,
                                           .xFileSize = sum_size,
                                           .xLock = sum_lock,
                                           .xUnlock = sum_unlock,
                                           .xCheckReservedLock = sum_is_reserved,
                                           .xFileControl = sum_control,
                                           .xSectorSize = sum_sector,
                                           .xDeviceCharacteristics = sum_device,
                                           .xShmMap = sum_map,
                                           .xShmLock = sum_map_lock,
                                           .xShmBarrier = sum_barrier,
                                           .xShmUnmap = sum_unmap};

static sqlite3_vfs vfs;
static int has_vfs;

static int sum_open(sqlite3_vfs *own, const char *name, sqlite3_file *file, int flags, int *out)
{
    sqlite3_vfs *under = own->pAppData;
    if (!(flags & SQLITE_OPEN_MAIN_DB)) /* logs and journals have sums of their own */
        return under->xOpen(under, name, file, flags, out);
    struct summed *s = (struct summed *)file;
    *s = (struct summed){0};
    const int code = under->xOpen(under, name, real(file), flags, out);
    if (code == SQLITE_OK)
        s->file.pMethods = &methods;
    return code;
}

static void make_vfs(void)
{
    sqlite3_vfs *under = sqlite3_vfs_find(NULL);
    if (!under)
        return;
    vfs = *under; /* everything but opening a file is the other one's own */
    vfs.szOsFile = under->szOsFile + (int)sizeof(struct summed);
    vfs.pNext = NULL;
    vfs.zName = "tieout";
    vfs.pAppData = under;
    vfs.xOpen = sum_open;
    has_vfs = sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
}

const char *page_sum_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_vfs);
    return has_vfs ? vfs.zName : NULL;
}
