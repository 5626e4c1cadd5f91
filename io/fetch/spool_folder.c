/* io/fetch/spool_folder.c: see spool_folder.h */
#include "io/fetch/spool_folder.h"
#include "core/base/mem.h"
#include "io/filter/filters.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/source/file_set.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, PIECE = 256 * 1024 };

struct spool_folder {
    char path[PATH_ROOM], restated[PATH_ROOM], notes[PATH_ROOM];
    int fd; /* of the folder; locked */
};

static void inside(const struct spool_folder *spool, const char *before, const char *name, const char *after,
                   char out[PATH_ROOM])
{
    snprintf(out, PATH_ROOM, "%.3800s/%s%.200s%s", spool->path, before, name, after);
}

static enum err make_folders(const char *path, struct diag *diag)
{
    char part[PATH_ROOM];
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char keep = *p;
        *p = 0;
        int error = sys_mkdir(part, 0777);
        if (error && error != -EEXIST)
            return diag_set_errno(diag, -error, "spool.folder", "%s: cannot make it", part);
        *p = keep;
        if (!keep)
            return OK;
    }
}

enum err spool_folder_open(struct spool_folder **out, const char *path, struct diag *diag)
{
    *out = NULL;
    if (strlen(path) > 3800)
        return diag_set(diag, ERR_USAGE, "path", NULL, "the path is too long: %.200s...", path);
    enum err err = make_folders(path, diag);
    if (err != OK)
        return err;
    struct spool_folder *spool = mem_take_zero(1, sizeof *spool);
    if (!spool)
        return mem_fail(diag, sizeof *spool, "the spool");
    strcpy(spool->path, path);
    const char *slash = strrchr(path, '/');
    snprintf(spool->restated, PATH_ROOM, "%.3800s.restated", path);
    snprintf(spool->notes, PATH_ROOM, "%.*s.fetched/%s", slash ? (int)(slash - path) + 1 : 0, path,
             slash ? slash + 1 : path);
    spool->fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (spool->fd < 0)
        err = diag_set_errno(diag, -spool->fd, "spool.folder", "%s: cannot open it", path);
    else if (flock(spool->fd, LOCK_EX | LOCK_NB) != 0)
        err = diag_set(diag, ERR_STATE, "spool.locked", "wait until it is done",
                       "%s: another fetch is at work in it", path);
    if (err != OK) {
        spool_folder_close(spool);
        return err;
    }
    *out = spool;
    return OK;
}

void spool_folder_close(struct spool_folder *spool)
{
    if (spool && spool->fd >= 0)
        sys_close(spool->fd);
    mem_give(spool);
}

const char *spool_folder_path(const struct spool_folder *spool)
{
    return spool->path;
}

enum err spool_folder_check_name(const char *name, struct diag *diag)
{
    const char *fault = !*name                                    ? "it is empty"
                        : strlen(name) > SPOOL_NAME_MAX           ? "it is longer than 200 bytes"
                        : *name == '.'                            ? "it begins with a dot"
                        : strchr(name, '/') || strchr(name, '\\') ? "it holds a slash"
                                                                  : NULL;
    for (const unsigned char *p = (const unsigned char *)name; *p && !fault; p++)
        if (*p < 0x20 || *p == 0x7f)
            fault = "it holds a control character";
    return fault ? diag_set(diag, ERR_INPUT, "fetch.name", "name another file",
                            "\"%.250s\" cannot be a file's name in the spool: %s", name, fault)
                 : OK;
}

int spool_folder_has(const struct spool_folder *spool, const char *name)
{
    char path[PATH_ROOM];
    struct stat st;
    inside(spool, "", name, "", path);
    return sys_lstat(path, &st) == 0;
}

/* "BYTES SIZE TIME ETAG": how much is there, and what the server said. */
static int read_mark(const char *path, uint64_t *done, struct transfer_mark *mark)
{
    char text[300] = "", etag[160] = "";
    long long bytes = 0, size = -1, time = -1;
    int fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    ssize_t n = fd >= 0 ? sys_pread_full(fd, text, sizeof text - 1, 0) : 0;
    if (fd >= 0)
        sys_close(fd);
    if (n <= 0 || sscanf(text, "%lld %lld %lld %159[^\n]", &bytes, &size, &time, etag) < 3 || bytes < 0)
        return 0;
    *done = (uint64_t)bytes;
    *mark = (struct transfer_mark){.size = size, .time = time};
    snprintf(mark->etag, sizeof mark->etag, "%s", etag);
    return 1;
}

static int write_mark(const char *path, uint64_t done, const struct transfer_mark *mark)
{
    char text[300];
    int n = snprintf(text, sizeof text, "%llu %lld %lld %s\n", (unsigned long long)done,
                     (long long)mark->size, (long long)mark->time, mark->etag);
    int fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
    int error = fd < 0 ? fd : sys_pwrite_full(fd, text, (size_t)n, 0);
    if (fd >= 0)
        sys_close(fd);
    return error;
}

enum err spool_folder_begin(struct spool_folder *spool, const char *name, struct spool_folder_part *part,
                            struct diag *diag)
{
    char path[PATH_ROOM];
    memset(part, 0, sizeof *part);
    snprintf(part->name, sizeof part->name, "%s", name);
    part->mark = (struct transfer_mark){.size = -1, .time = -1};
    inside(spool, ".", name, ".part", path);
    part->fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0666);
    if (part->fd < 0)
        return diag_set_errno(diag, -part->fd, "spool.open", "%s: cannot make it", path);
    inside(spool, ".", name, ".mark", path);
    uint64_t done;
    struct transfer_mark mark;
    struct stat st;
    if (read_mark(path, &done, &mark) && done && sys_fstat(part->fd, &st) == 0 &&
        (uint64_t)st.st_size >= done) {
        part->done = done;
        part->mark = mark;
    }
    return OK;
}

static void take_away(struct spool_folder *spool, const char *name)
{
    char path[PATH_ROOM];
    inside(spool, ".", name, ".part", path);
    sys_unlink(path);
    inside(spool, ".", name, ".mark", path);
    sys_unlink(path);
}

enum err spool_folder_end(struct spool_folder *spool, struct spool_folder_part *part, int keep,
                          struct diag *diag)
{
    enum err err = OK;
    /* What nothing identifies cannot be gone on with. */
    keep = keep && part->done && (part->mark.size >= 0 || part->mark.etag[0]);
    if (keep) {
        char path[PATH_ROOM];
        /* Bytes first: the mark may not promise more than there is. */
        int error = sys_fsync(part->fd);
        inside(spool, ".", part->name, ".mark", path);
        if (!error)
            error = write_mark(path, part->done, &part->mark);
        if (error)
            err = diag_set_errno(diag, -error, "spool.write", "%s: cannot write it", path);
    }
    sys_close(part->fd);
    part->fd = -1;
    if (!keep)
        take_away(spool, part->name);
    return err;
}

/* ---- checking ---- */

static enum err check_unpacks(enum packing packing, int fd, uint64_t size, const char *path,
                              struct diag *diag)
{
    struct zip_listing listing = {0};
    uint32_t count = 1;
    uint8_t *piece = mem_take(PIECE);
    enum err err = piece ? OK : mem_fail(diag, PIECE, "checking a file");
    if (err == OK && packing == PACKING_ZIP) {
        err = zip_list(&listing, fd, size, path, diag);
        count = listing.count;
    }
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct filter *filter = NULL;
        err = packing == PACKING_GZIP   ? gunzip_open(&filter, fd, size, path, diag)
              : packing == PACKING_ZSTD ? unzstd_open(&filter, fd, size, path, diag)
                                        : unzip_open(&filter, fd, size, path, listing.entries[i].index, diag);
        uint64_t made = 0;
        for (size_t got = 1; err == OK && got; made += got) {
            err = filter_read(filter, piece, PIECE, &got, diag);
            if (err == OK && made > (64u << 20) && made / 250 > size)
                err = diag_set(diag, ERR_INPUT, "unpack.limit", "no bill packs like that",
                               "%s: more than %llu bytes come out of %llu packed ones", path,
                               (unsigned long long)made, (unsigned long long)size);
        }
        filter_close(filter);
    }
    zip_listing_fini(&listing);
    mem_give(piece);
    return err;
}

/* A message in place of a bill: servers say "not found" and "not yet" with pages and JSON. */
static enum err check_kind(const uint8_t *head, size_t size, const char *name, struct diag *diag)
{
    const char *dot = strrchr(name, '.'), *kind = file_looks_like(head, size);
    int meant = dot && (strcasecmp(dot, ".xml") == 0 || strcasecmp(dot, ".json") == 0 ||
                        strcasecmp(dot, ".html") == 0);
    if (meant || !kind || (strncmp(kind, "HTML", 4) != 0 && strncmp(kind, "JSON", 4) != 0))
        return OK;
    char text[120];
    size_t n = 0;
    for (size_t i = 0; i < size && n + 1 < sizeof text; i++)
        text[n++] = head[i] < 0x20 || head[i] >= 0x7f ? ' ' : (char)head[i];
    text[n] = 0;
    return diag_set(diag, ERR_INPUT, "fetch.message", "is the bill ready, and the address right?",
                    "%s: what came looks like %s: %s", name, kind, text);
}

static enum err digest_of(const struct spool_folder_part *part, const char *algorithm, char *digest,
                          const char *path, struct diag *diag)
{
    int error = digest_file(part->fd, part->done, algorithm, digest);
    return error ? diag_set_errno(diag, error < 0 ? -error : EIO, "digest", "%s: cannot take its %s", path,
                                  algorithm)
                 : OK;
}

static enum err check(struct spool_folder *spool, struct spool_folder_part *part, const char *checksum,
                      char *digest, struct diag *diag)
{
    char path[PATH_ROOM];
    inside(spool, "", part->name, "", path);
    if (ftruncate(part->fd, (off_t)part->done) != 0)
        return diag_set_errno(diag, errno, "spool.write", "%s: cannot cut it to its size", path);
    if (part->done == 0)
        return diag_set(diag, ERR_INPUT, "file.empty", "an empty day has a header line and no rows",
                        "%s is empty (0 bytes)", path);
    uint8_t head[4096];
    ssize_t n = sys_pread_full(part->fd, head, sizeof head, 0);
    if (n < 0)
        return diag_set_errno(diag, (int)-n, "read", "%s: cannot read it again", path);
    enum err err = check_kind(head, (size_t)n, part->name, diag);
    enum packing packing = packing_of(head, (size_t)n);
    if (err == OK)
        err = digest_of(part, "SHA256", digest, path, diag);
    if (err == OK && checksum[0]) {
        const char *algorithm = strlen(checksum) == 64 ? "SHA256" : strlen(checksum) == 40 ? "SHA1" : "MD5";
        char found[DIGEST_FILE_TEXT];
        err = digest_of(part, algorithm, found, path, diag);
        if (err == OK && strcasecmp(strchr(found, ':') + 1, checksum) != 0)
            err = diag_set(
                diag, ERR_INPUT, "fetch.checksum", "it was damaged on its way, or changed since: fetch again",
                "%s: its %s is %s, and should be %s", path, algorithm, strchr(found, ':') + 1, checksum);
    }
    if (err == OK && packing != PACKING_NONE)
        err = check_unpacks(packing, part->fd, part->done, path, diag);
    return err;
}

enum err spool_folder_keep(struct spool_folder *spool, struct spool_folder_part *part, const char *checksum,
                           char *digest, struct diag *diag)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    enum err err = check(spool, part, checksum, digest, diag);
    int error = err == OK ? sys_fsync(part->fd) : 0;
    sys_close(part->fd);
    part->fd = -1;
    if (err != OK || error) {
        take_away(spool, part->name);
        return err != OK
                   ? err
                   : diag_set_errno(diag, -error, "spool.fsync", "%s: cannot make it durable", part->name);
    }
    inside(spool, ".", part->name, ".part", from);
    inside(spool, "", part->name, "", to);
    error = sys_rename(from, to);
    if (!error)
        error = sys_fsync(spool->fd);
    if (error)
        return diag_set_errno(diag, -error, "spool.rename", "%s: cannot put it in place", to);
    inside(spool, ".", part->name, ".mark", from);
    sys_unlink(from);
    return OK;
}

/* ---- what is there already ---- */

void spool_folder_noted(const struct spool_folder *spool, const char *name, struct transfer_mark *mark)
{
    char path[PATH_ROOM];
    struct stat st;
    uint64_t bytes;
    snprintf(path, sizeof path, "%.3800s/%s", spool->notes, name);
    if (read_mark(path, &bytes, mark))
        return;
    inside(spool, "", name, "", path);
    *mark = (struct transfer_mark){.size = sys_lstat(path, &st) ? -1 : (int64_t)st.st_size, .time = -1};
}

void spool_folder_note(struct spool_folder *spool, const char *name, const struct transfer_mark *mark)
{
    char path[PATH_ROOM];
    struct diag ignored = {0};
    snprintf(path, sizeof path, "%.3800s/%s", spool->notes, name);
    if (make_folders(spool->notes, &ignored) == OK)
        write_mark(path, 0, mark);
}

enum err spool_folder_no_bill(struct spool_folder *spool, int is_none, struct diag *diag)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%.3800s/" JOB_NO_BILL, spool->notes);
    if (!is_none) {
        int error = sys_unlink(path);
        return error && error != -ENOENT
                   ? diag_set_errno(diag, -error, "spool.file", "%s: cannot remove it", path)
                   : OK;
    }
    enum err err = make_folders(spool->notes, diag);
    if (err != OK)
        return err;
    static const char text[] = "The channel said that there is no bill for this date.\n";
    int fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
    int error = fd < 0 ? fd : sys_pwrite_full(fd, text, sizeof text - 1, 0);
    if (!error)
        error = sys_fsync(fd);
    if (fd >= 0)
        sys_close(fd);
    fd = error ? error : sys_open(spool->notes, O_RDONLY | O_DIRECTORY, 0);
    if (!error)
        error = fd < 0 ? fd : sys_fsync(fd);
    if (fd >= 0)
        sys_close(fd);
    return error ? diag_set_errno(diag, -error, "spool.file", "%s: cannot write it", path) : OK;
}

/* 1 when the file has this hash; 0 when it is not there or cannot be read. */
static int has_content(const char *path, const char *digest)
{
    char found[DIGEST_FILE_TEXT];
    struct stat st;
    int fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return 0;
    int same = sys_fstat(fd, &st) == 0 && digest_file(fd, (uint64_t)st.st_size, "SHA256", found) == 0 &&
               strcmp(found, digest) == 0;
    sys_close(fd);
    return same;
}

enum { REVISIONS_MAX = 1000 };

enum err spool_folder_keep_beside(struct spool_folder *spool, struct spool_folder_part *part,
                                  const char *checksum, char *digest, enum beside *beside, char *kept,
                                  struct diag *diag)
{
    char path[PATH_ROOM];
    enum err err = check(spool, part, checksum, digest, diag);
    int error = err == OK ? sys_fsync(part->fd) : 0;
    sys_close(part->fd);
    part->fd = -1;
    *beside = BESIDE_NEW;
    inside(spool, "", part->name, "", path);
    if (err == OK && !error && has_content(path, digest))
        *beside = BESIDE_SAME;
    int revision = 2;
    struct stat st;
    for (; err == OK && *beside == BESIDE_NEW && revision < REVISIONS_MAX; revision++) {
        snprintf(kept, PATH_ROOM, "%.3800s/%d-%s", spool->restated, revision, part->name);
        if (sys_lstat(kept, &st) != 0)
            break;
        if (has_content(kept, digest))
            *beside = BESIDE_KNOWN;
    }
    if (err != OK || error || *beside != BESIDE_NEW) {
        take_away(spool, part->name);
        return err != OK || !error
                   ? err
                   : diag_set_errno(diag, -error, "spool.fsync", "%s: cannot make it durable", part->name);
    }
    err = make_folders(spool->restated, diag);
    if (err != OK)
        return err;
    inside(spool, ".", part->name, ".part", path);
    error = sys_rename(path, kept);
    int fd = error ? error : sys_open(spool->restated, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0) {
        error = sys_fsync(fd);
        sys_close(fd);
    }
    take_away(spool, part->name);
    return error || fd < 0 ? diag_set_errno(diag, error ? -error : -fd, "spool.rename",
                                            "%s: cannot put it in place", kept)
                           : OK;
}

const char *spool_folder_restated(struct spool_folder *spool, const char *name)
{
    char path[PATH_ROOM];
    struct stat st;
    for (int revision = 2; revision < REVISIONS_MAX && sys_lstat(spool->restated, &st) == 0; revision++) {
        snprintf(path, sizeof path, "%.3800s/%d-%s", spool->restated, revision, name);
        if (sys_lstat(path, &st) == 0)
            return spool->restated;
    }
    return NULL;
}
