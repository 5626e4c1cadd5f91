/* io/source/file_set.c: see file_set.h */
#include "io/source/file_set.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

static enum err expand(const char *pattern, const char *directory, uint16_t date, char *out, size_t room,
                       struct diag *diag)
{
    size_t n = 0;
    if (pattern[0] != '/' && strcmp(directory, ".") != 0)
        n = (size_t)snprintf(out, room, "%s/", directory);
    for (const char *p = pattern; *p && n < room;) {
        char text[DAY_TEXT_MAX];
        if (strncmp(p, "{date}", 6) != 0) {
            out[n++] = *p++;
            continue;
        }
        if (date == DAY_NONE)
            return diag_set(diag, ERR_USAGE, "date", "add --date=YYYY-MM-DD",
                            "the job's files are named by date (%s), and no date is given", pattern);
        size_t size = day_print(text, date);
        for (size_t i = 0; i < size && n < room; i++)
            out[n++] = text[i];
        p += 6;
    }
    if (n >= room)
        return diag_set(diag, ERR_USAGE, "path", NULL, "the path is too long: %.200s...", pattern);
    out[n] = 0;
    return OK;
}

static enum err add_file(struct file_set *set, const char *path, const struct job *job, struct diag *diag)
{
    struct input_file *grown = mem_grow(set->files, (set->count + 1) * sizeof *grown);
    if (!grown)
        return mem_fail(diag, (set->count + 1) * sizeof *grown, "the list of files");
    set->files = grown;
    struct input_file *file = &set->files[set->count];
    memset(file, 0, sizeof *file);
    file->fd = -1;
    set->count++;
    size_t skip = strlen(job->directory);
    const char *shown =
        strcmp(job->directory, ".") != 0 && strncmp(path, job->directory, skip) == 0 && path[skip] == '/'
            ? path + skip + 1
            : path;
    file->path = mem_copy_text(path, strlen(path));
    file->shown = mem_copy_text(shown, strlen(shown));
    if (!file->path || !file->shown)
        return mem_fail(diag, strlen(path), "a file's name");
    return OK;
}

static enum err find_files(struct file_set *set, const struct job *job, const struct source_spec *source,
                           uint16_t date, struct diag *diag)
{
    char path[4096];
    for (int i = 0; i < source->pattern_count; i++) {
        enum err err = expand(source->patterns[i], job->directory, date, path, sizeof path, diag);
        if (err != OK)
            return err;
        if (job->is_diff || !strpbrk(path, "*?[")) { /* a name, which may hold any character */
            err = add_file(set, path, job, diag);
            if (err != OK)
                return err;
            continue;
        }
        glob_t found;
        int result = glob(path, GLOB_NOSORT, NULL, &found);
        if (result == GLOB_NOSPACE)
            return mem_fail(diag, 0, "the list of files");
        if (result != 0 || found.gl_pathc == 0) {
            globfree(&found);
            return diag_set(diag, ERR_INPUT, "files",
                            "a bill that has not come yet is not an empty bill: bring it, or correct the "
                            "pattern in the job file",
                            "no file matches %s", path);
        }
        for (size_t k = 0; k < found.gl_pathc && err == OK; k++)
            err = add_file(set, found.gl_pathv[k], job, diag);
        globfree(&found);
        if (err != OK)
            return err;
    }
    return OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct input_file *)a)->path, ((const struct input_file *)b)->path);
}

/* mysql-bin.000009 before mysql-bin.000010, and .999999 before .1000000: by the number at the end of the
 * name. */
static int by_log_number(const void *a, const void *b)
{
    const char *x = ((const struct input_file *)a)->path, *y = ((const struct input_file *)b)->path;
    size_t xn = strlen(x), yn = strlen(y), xd = xn, yd = yn;
    while (xd && x[xd - 1] >= '0' && x[xd - 1] <= '9')
        xd--;
    while (yd && y[yd - 1] >= '0' && y[yd - 1] <= '9')
        yd--;
    if (xd == xn || yd == yn || xd != yd || strncmp(x, y, xd) != 0)
        return strcmp(x, y);
    while (x[xd] == '0' && xd + 1 < xn)
        xd++;
    while (y[yd] == '0' && yd + 1 < yn)
        yd++;
    if (xn - xd != yn - yd)
        return xn - xd < yn - yd ? -1 : 1;
    return strcmp(x + xd, y + yd);
}

static enum err open_file(struct input_file *file, struct diag *diag)
{
    struct stat st;
    int error = sys_lstat(file->path, &st);
    /* A FIFO must not be opened at all: that would wait for a writer. */
    file->fd = error ? error : -ENOENT;
    if (error == 0)
        file->fd = S_ISLNK(st.st_mode) || S_ISREG(st.st_mode) ? sys_open(file->path, O_RDONLY | O_NONBLOCK, 0)
                                                              : -EINVAL;
    if (error == 0 && S_ISDIR(st.st_mode))
        return diag_set(diag, ERR_INPUT, "file.directory",
                        "name the file in it, or a pattern such as DIR/*.csv",
                        "%s is a directory, not a file", file->path);
    if (file->fd == -EINVAL && error == 0)
        return diag_set(diag, ERR_INPUT, "file.kind", "copy it into a regular file first",
                        "%s is not a regular file", file->path);
    if (file->fd == -ENOENT || file->fd == -ENOTDIR || file->fd == -ENAMETOOLONG || file->fd == -ELOOP)
        return diag_set(diag, ERR_INPUT, "file.missing",
                        "check the path; a bill that has not come is not an empty bill",
                        "%s: there is no such file", file->path);
    if (file->fd == -EACCES || file->fd == -EPERM)
        return diag_set(diag, ERR_INPUT, "file.permission", "give this user the right to read it",
                        "%s: no permission to read it", file->path);
    if (file->fd < 0)
        return diag_set_errno(diag, -file->fd, "file.open", "%s: cannot open it", file->path);
    error = sys_fstat(file->fd, &file->stat);
    if (error)
        return diag_set_errno(diag, -error, "file.stat", "%s: cannot look at it", file->path);
    if (S_ISDIR(file->stat.st_mode))
        return diag_set(diag, ERR_INPUT, "file.directory",
                        "name the file in it, or a pattern such as DIR/*.csv",
                        "%s is a directory, not a file", file->path);
    if (!S_ISREG(file->stat.st_mode))
        return diag_set(diag, ERR_INPUT, "file.kind", "copy it into a regular file first",
                        "%s is not a regular file", file->path);
    static _Atomic uint64_t serials;
    file->serial = ++serials;
    file->size = (uint64_t)file->stat.st_size;
    if (file->size == 0)
        return diag_set(
            diag, ERR_INPUT, "file.empty",
            "an empty day has a header line and no rows; 0 bytes means that the file was not delivered",
            "%s is empty (0 bytes)", file->path);
    return OK;
}

enum err file_set_open(struct file_set *set, const struct job *job, enum side side, uint16_t date,
                       int sort_numeric, struct diag *diag)
{
    memset(set, 0, sizeof *set);
    enum err err = find_files(set, job, &job->sources[side], date, diag);
    if (err == OK)
        qsort(set->files, set->count, sizeof *set->files, sort_numeric ? by_log_number : by_path);
    for (uint32_t i = 0; err == OK && i < set->count; i++)
        err = open_file(&set->files[i], diag);
    uint32_t kept = 0;
    for (uint32_t i = 0; err == OK && i < set->count; i++) {
        int seen = 0;
        for (uint32_t k = 0; k < kept && !seen; k++)
            seen = set->files[k].stat.st_dev == set->files[i].stat.st_dev &&
                   set->files[k].stat.st_ino == set->files[i].stat.st_ino;
        struct input_file swap = set->files[kept];
        if (seen)
            continue;
        set->files[kept] = set->files[i];
        set->files[i] = swap;
        kept++;
    }
    if (err == OK) {
        for (uint32_t i = kept; i < set->count; i++) {
            sys_close(set->files[i].fd);
            mem_give(set->files[i].path);
            mem_give(set->files[i].shown);
        }
        set->count = kept;
    }
    for (uint32_t i = 0; err == OK && i < set->count; i++) {
        set->files[i].base = set->size;
        set->size += set->files[i].size;
    }
    if (err == OK && set->size >> PLACE_BITS)
        err = diag_set(diag, ERR_INPUT, "files.size", "split the day over several runs",
                       "the %s side has %llu bytes; one run takes at most %llu", side_name(side),
                       (unsigned long long)set->size, 1ull << PLACE_BITS);
    if (err != OK)
        file_set_close(set);
    return err;
}

enum err file_set_check(const struct file_set *set, struct diag *diag)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct input_file *file = &set->files[i];
        struct stat now;
        int error = sys_fstat(file->fd, &now);
        struct stat named;
        if (error)
            return diag_set_errno(diag, -error, "file.stat", "%s: cannot look at it", file->path);
        int gone = stat(file->path, &named) != 0 || named.st_ino != file->stat.st_ino ||
                   named.st_dev != file->stat.st_dev;
        if (gone || now.st_size != file->stat.st_size || now.st_mtim.tv_sec != file->stat.st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != file->stat.st_mtim.tv_nsec)
            return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                            "%s changed while it was read (it had %llu bytes at the start%s %lld now)",
                            file->path, (unsigned long long)file->size,
                            gone ? ", and another file has its name; this one has" : ", and has",
                            (long long)now.st_size);
    }
    return OK;
}

void file_set_close(struct file_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->files[i].fd >= 0)
            sys_close(set->files[i].fd);
        mem_give(set->files[i].path);
        mem_give(set->files[i].shown);
    }
    mem_give(set->files);
    memset(set, 0, sizeof *set);
}

uint32_t file_set_find(const struct file_set *set, uint64_t place)
{
    uint32_t low = 0, high = set->count;
    while (high - low > 1) {
        uint32_t mid = (low + high) / 2;
        if (set->files[mid].base <= place)
            low = mid;
        else
            high = mid;
    }
    return low;
}

const char *file_looks_like(const uint8_t *head, size_t size)
{
    if (size >= 4 && memcmp(head, "PK\3\4", 4) == 0)
        return "a zip archive (or an .xlsx sheet)";
    if (size >= 2 && head[0] == 0x1f && head[1] == 0x8b)
        return "gzip data";
    if (size >= 4 && memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0)
        return "zstd data";
    if (size >= 4 && memcmp(head,
                            "\xfe"
                            "bin",
                            4) == 0)
        return "a MySQL or MariaDB binlog";
    if (size >= 4 && memcmp(head, "%PDF", 4) == 0)
        return "a PDF";
    if (size >= 2 && ((head[0] == 0xff && head[1] == 0xfe) || (head[0] == 0xfe && head[1] == 0xff)))
        return "UTF-16 text";
    size_t i = size >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (i < size && (head[i] == ' ' || head[i] == '\n' || head[i] == '\r' || head[i] == '\t'))
        i++;
    if (i < size && head[i] == '<')
        return "HTML or XML (an error page?)";
    if (i < size && head[i] == '{')
        return "JSON (an error message?)";
    for (i = 0; i < size && i < 4096; i++)
        if (head[i] == 0)
            return "binary data";
    return NULL;
}
