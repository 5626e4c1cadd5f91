/* io/source/file_set.c: see file_set.h */
#include "io/source/file_set.h"
#include "core/base/mem.h"
#include "io/filter/flatten.h"
#include "io/filter/utf16.h"
#include "io/ring/sys.h"
#include "io/source/direct.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

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

/* A file that a pattern named, before its kind is known. */
struct found {
    char *path;
    const char *entries; /* of an archive: the pattern; borrowed from the job; NULL for none */
    int many;            /* it may match more than one */
};

struct found_list {
    struct found *files;
    uint32_t count;
};

static enum err add_found(struct found_list *list, const char *path, const char *entries, int many,
                          struct diag *diag)
{
    struct found *grown = mem_grow(list->files, (list->count + 1) * sizeof *grown);
    if (!grown)
        return mem_fail(diag, (list->count + 1) * sizeof *grown, "the list of files");
    list->files = grown;
    list->files[list->count] = (struct found){mem_copy_text(path, strlen(path)), entries, many};
    if (!list->files[list->count].path)
        return mem_fail(diag, strlen(path), "a file's name");
    list->count++;
    return OK;
}

/* Where the archive's name ends and the pattern of its entries begins: an exclamation mark that does not stand
 * in [!...]. NULL: there is none. */
static const char *entry_mark(const char *pattern)
{
    for (const char *p = pattern; *p; p++)
        if (*p == '!' && p > pattern && p[-1] != '[' && p[1])
            return p;
    return NULL;
}

/* Whether the channel itself said, when its bill was fetched, that there is none. */
static int is_told_empty(const struct job *job, const struct source_spec *source, uint16_t date)
{
    char text[DAY_TEXT_MAX], path[4096];
    struct stat st;
    if (!source->fetch.given || date == DAY_NONE)
        return 0;
    day_print(text, date);
    return job_no_bill_path(job, &source->fetch, text, path, sizeof path) && sys_lstat(path, &st) == 0 &&
           S_ISREG(st.st_mode);
}

/* What a server keeps beside its logs under their name, where a pattern finds it too: the list of them, MariaDB's state and each log's index
 * of GTIDs, what MySQL keeps for a crash. By name, and since it is no log by its first bytes. */
static int is_beside_logs(const char *path)
{
    static const char *const endings[] = {".index", ".state", ".idx", ".~rec~", ".index_crash_safe"};
    const size_t size = strlen(path);
    int is_named = 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t n = strlen(endings[i]);
        is_named |= size > n && strcmp(path + size - n, endings[i]) == 0;
    }
    const int fd = is_named ? sys_open(path, O_RDONLY | O_NONBLOCK, 0) : -1;
    if (fd < 0)
        return 0;
    uint8_t head[4] = {0};
    const ssize_t n = sys_pread_full(fd, head, sizeof head, 0);
    sys_close(fd);
    return n >= 0 && memcmp(head + 1, "bin", 3) != 0;
}

static enum err find_files(struct found_list *list, const struct job *job, const struct source_spec *source,
                           uint16_t date, struct diag *diag)
{
    char path[4096];
    for (int i = 0; i < source->pattern_count; i++) {
        const char *pattern = source->patterns[i], *mark = entry_mark(pattern), *entries = NULL;
        int many = 0;
        enum err err = expand(pattern, job->directory, date, path, sizeof path, diag);
        struct stat st;
        if (err == OK && mark && stat(path, &st) != 0) { /* not a name that happens to hold the mark */
            char archive[4096];
            if ((size_t)snprintf(archive, sizeof archive, "%.*s", (int)(mark - pattern), pattern) >=
                sizeof archive)
                err = diag_set(diag, ERR_USAGE, "path", NULL, "the path is too long: %.200s...", pattern);
            else
                err = expand(archive, job->directory, date, path, sizeof path, diag);
            many = mark[1] == '!' && mark[2];
            entries = mark + 1 + many;
        }
        if (err != OK)
            return err;
        if (job->is_diff || !strpbrk(path, "*?[")) { /* a name, which may hold any character */
            if (source->pattern_count == 1 && stat(path, &st) != 0 && is_told_empty(job, source, date)) {
                fprintf(stderr, "note: there is no %s: the channel said that there is no bill\n", path);
                return OK;
            }
            err = add_found(list, path, entries, many, diag);
            if (err != OK)
                return err;
            continue;
        }
        glob_t found;
        int result = glob(path, GLOB_NOSORT, NULL, &found);
        if (result == GLOB_NOSPACE)
            return mem_fail(diag, 0, "the list of files");
        const uint32_t before = list->count;
        for (size_t k = 0; result == 0 && k < found.gl_pathc && err == OK; k++)
            if (source->kind != SOURCE_BINLOG || !is_beside_logs(found.gl_pathv[k]))
                err = add_found(list, found.gl_pathv[k], entries, many, diag);
        globfree(&found);
        if (err != OK)
            return err;
        if (list->count == before) {
            if (source->pattern_count == 1 && is_told_empty(job, source, date)) {
                if (!job->is_trial)
                    fprintf(stderr, "note: no file matches %s: the channel said that there is no bill\n",
                            path);
                return OK;
            }
            return diag_set(diag, ERR_INPUT, "files",
                            "a bill that has not come yet is not an empty bill: bring it, or correct the "
                            "pattern in the job file",
                            "no file matches %s", path);
        }
    }
    return OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

size_t file_bare_length(const char *path)
{
    static const char *const endings[] = {".gz", ".zst", ".zip"};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t k = strlen(endings[i]);
        if (n > k && strcasecmp(path + n - k, endings[i]) == 0)
            return n - k;
    }
    return n;
}

/* mysql-bin.000009 before mysql-bin.000010, and .999999 before .1000000: by the number at the end of the
 * name. */
static int by_log_number(const void *a, const void *b)
{
    const char *x = ((const struct found *)a)->path, *y = ((const struct found *)b)->path;
    size_t xn = file_bare_length(x), yn = file_bare_length(y), xd = xn, yd = yn;
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
    return strcmp(x + xd, y + yd); /* what packers appended decides among equal numbers */
}

static enum err open_file(struct input_file *file, int (*is_open_log)(int fd), struct diag *diag)
{
    struct stat st;
    int error = sys_lstat(file->file, &st);
    /* A FIFO must not be opened at all: that would wait for a writer. */
    file->own_fd = error ? error : -ENOENT;
    if (error == 0)
        file->own_fd = S_ISLNK(st.st_mode) || S_ISREG(st.st_mode)
                           ? sys_open(file->file, O_RDONLY | O_NONBLOCK, 0)
                           : -EINVAL;
    if (error == 0 && S_ISDIR(st.st_mode))
        return diag_set(diag, ERR_INPUT, "file.directory",
                        "name the file in it, or a pattern such as DIR/*.csv",
                        "%s is a directory, not a file", file->file);
    if (file->own_fd == -EINVAL && error == 0)
        return diag_set(diag, ERR_INPUT, "file.kind", "copy it into a regular file first",
                        "%s is not a regular file", file->file);
    if (file->own_fd == -ENOENT || file->own_fd == -ENOTDIR || file->own_fd == -ENAMETOOLONG ||
        file->own_fd == -ELOOP)
        return diag_set(diag, ERR_INPUT, "file.missing",
                        "check the path; a bill that has not come is not an empty bill",
                        "%s: there is no such file", file->file);
    if (file->own_fd == -EACCES || file->own_fd == -EPERM)
        return diag_set(diag, ERR_INPUT, "file.permission", "give this user the right to read it",
                        "%s: no permission to read it", file->file);
    if (file->own_fd < 0)
        return diag_set_errno(diag, -file->own_fd, "file.open", "%s: cannot open it", file->file);
    /* Before its size is taken: one that is closed in between has all of its bytes by then. */
    file->may_grow = is_open_log && is_open_log(file->own_fd);
    error = sys_fstat(file->own_fd, &file->stat);
    if (error)
        return diag_set_errno(diag, -error, "file.stat", "%s: cannot look at it", file->file);
    if (S_ISDIR(file->stat.st_mode))
        return diag_set(diag, ERR_INPUT, "file.directory",
                        "name the file in it, or a pattern such as DIR/*.csv",
                        "%s is a directory, not a file", file->file);
    if (!S_ISREG(file->stat.st_mode))
        return diag_set(diag, ERR_INPUT, "file.kind", "copy it into a regular file first",
                        "%s is not a regular file", file->file);
    file->size = (uint64_t)file->stat.st_size;
    if (file->size == 0)
        return diag_set(
            diag, ERR_INPUT, "file.empty",
            "an empty day has a header line and no rows; 0 bytes means that the file was not delivered",
            "%s is empty (0 bytes)", file->file);
    return OK;
}

/* ---- inputs ---- */

static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER; /* of in_turn inputs' descriptors */
static _Atomic uint32_t held;                                 /* inputs that stay open */

/* How many inputs may stay open: what is left of the limit is for rings, results, spill, and reads in turn. */
static uint32_t held_max(void)
{
    enum { OTHERS = 40 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > 1 << 20)
        return 1 << 20;
    return limit.rlim_cur > OTHERS ? (uint32_t)(limit.rlim_cur - OTHERS) / 2 : 0;
}

static void input_fini(struct input_file *input)
{
    unpack_close(input->unpack);
    direct_forget(input);
    if (input->own_fd >= 0) {
        sys_close(input->own_fd);
        if (!input->in_turn)
            held--;
    }
    mem_give(input->path);
    mem_give(input->shown);
    mem_give(input->file);
}

static int is_filtered(const struct input_file *input)
{
    return input->packing != PACKING_NONE || input->flatten != FLATTEN_NONE || input->is_utf16;
}

static enum err open_packed(struct filter **out, const struct input_file *input, struct diag *diag)
{
    uint64_t size = (uint64_t)input->stat.st_size;
    switch (input->packing) {
    case PACKING_GZIP:
        return gunzip_open(out, input->own_fd, size, input->path, diag);
    case PACKING_ZSTD:
        return unzstd_open(out, input->own_fd, size, input->path, diag);
    case PACKING_ZIP:
        return unzip_open(out, input->own_fd, size, input->path, input->entry, diag);
    case PACKING_NONE:
        break;
    }
    return diag_set(diag, ERR_BUG, "invariant", NULL, "%s is not packed", input->path);
}

static enum err open_filter(struct filter **out, void *context, struct diag *diag)
{
    const struct input_file *input = context;
    struct filter *packed = NULL;
    enum err err = input->packing == PACKING_NONE ? OK : open_packed(&packed, input, diag);
    *out = packed;
    if (err == OK && input->is_text &&
        input->flatten != FLATTEN_CAMT) /* an XML reader knows charsets itself */
        err = utf16_open(out, packed, input->own_fd, input->path, input->charset, diag);
    if (err != OK || input->flatten == FLATTEN_NONE)
        return err;
    packed = *out;
    return flatten_open(out, input->flatten, packed, input->own_fd, input->path, diag);
}

/* Takes over `opened`'s descriptor, or a copy of it for an archive's second entry and those after it. `entry`:
 * NULL for what is no archive. */
static enum err add_input(struct file_set *set, const struct job *job, struct input_file *opened,
                          const struct zip_entry *entry, struct diag *diag)
{
    for (uint32_t i = 0; i < set->count; i++) /* named twice, taken once */
        if (set->files[i].stat.st_dev == opened->stat.st_dev &&
            set->files[i].stat.st_ino == opened->stat.st_ino &&
            (!entry || set->files[i].entry == entry->index))
            return OK;
    struct input_file *grown = mem_grow(set->files, (set->count + 1) * sizeof *grown);
    if (!grown)
        return mem_fail(diag, (set->count + 1) * sizeof *grown, "the list of files");
    set->files = grown;
    struct input_file *input = &set->files[set->count];
    *input = *opened;
    input->path = input->shown = input->file = NULL;
    if (entry && (input->own_fd = fcntl(opened->own_fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return diag_set_errno(diag, errno, "file.open", "%s: cannot open it once more", opened->file);
    if (!entry)
        opened->own_fd = -1;
    input->fd = input->own_fd;
    set->count++;
    if (++held > held_max() && !is_filtered(opened)) {
        held--;
        sys_close(input->own_fd);
        input->in_turn = 1;
        input->fd = input->own_fd = -1;
    }
    static _Atomic uint64_t serials;
    input->serial = ++serials;
    size_t skip = strlen(job->directory), size = strlen(opened->file);
    int below = strcmp(job->directory, ".") != 0 && strncmp(opened->file, job->directory, skip) == 0 &&
                opened->file[skip] == '/';
    input->file = mem_copy_text(opened->file, size);
    size_t room = size + (entry ? strlen(entry->name) : 0) + 2;
    input->path = mem_take(room);
    if (!input->file || !input->path)
        return mem_fail(diag, room, "a file's name");
    snprintf(input->path, room, "%s%s%s", opened->file, entry ? "!" : "", entry ? entry->name : "");
    const char *shown = below ? input->path + skip + 1 : input->path;
    input->shown = mem_copy_text(shown, strlen(shown));
    if (!input->shown)
        return mem_fail(diag, room, "a file's name");
    if (entry) {
        input->entry = entry->index;
        input->size = entry->size;
        if (!entry->size)
            return diag_set(
                diag, ERR_INPUT, "file.empty",
                "an empty day has a header line and no rows; 0 bytes means that the file was not delivered",
                "%s is empty (0 bytes)", input->path);
    }
    return OK;
}

/* By its whole name, or the last part of it. */
static int is_meant(const char *pattern, const char *name)
{
    const char *slash = strrchr(name, '/');
    return !pattern || fnmatch(pattern, name, 0) == 0 || (slash && fnmatch(pattern, slash + 1, 0) == 0);
}

/* The entries of an archive that are meant. */
static enum err add_entries(struct file_set *set, const struct job *job, struct input_file *opened,
                            const struct found *found, struct diag *diag)
{
    struct zip_listing listing;
    enum err err = zip_list(&listing, opened->own_fd, opened->size, opened->file, diag);
    if (err != OK)
        return err;
    const char *const pattern = found->entries ? found->entries : listing.count > 1 ? set->entry : NULL;
    char names[300] = "";
    size_t used = 0;
    uint32_t matched = 0;
    for (uint32_t i = 0; i < listing.count; i++) {
        matched += is_meant(pattern, listing.entries[i].name);
    }
    for (uint32_t i = 0; i < listing.count && used + 80 < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.60s", i ? ", " : "",
                                 listing.entries[i].name);
    int sheet = 0;
    for (uint32_t i = 0; i < listing.count; i++)
        sheet |= strcmp(listing.entries[i].name, "[Content_Types].xml") == 0;
    if (sheet)
        err = diag_set(diag, ERR_INPUT, "file.kind", "save the sheet as CSV, or get the bill as CSV",
                       "%s is a spreadsheet (.xlsx)", opened->file);
    else if (listing.count == 0)
        err = diag_set(diag, ERR_INPUT, "zip.empty",
                       "an empty day is a bill without rows, not an empty archive",
                       "%s: the zip archive has no entries", opened->file);
    else if (matched == 0)
        err = diag_set(diag, ERR_INPUT, "zip.entries", "write the pattern as ARCHIVE!PATTERN",
                       "%s: no entry of the zip archive matches %s%s; it holds: %s", opened->file, pattern,
                       found->entries ? "" : ", as the profile's do", names);
    else if (matched > 1 && !found->many)
        err = diag_set(
            diag, ERR_INPUT, "zip.entries",
            "write ARCHIVE!PATTERN to name the one that is the bill, ARCHIVE!!PATTERN to take all that match",
            "%s: %u entries of the zip archive %s%s, and one is expected; it holds: %s", opened->file,
            matched, pattern ? "match " : "could be meant", pattern ? pattern : "", names);
    for (uint32_t i = 0; err == OK && i < listing.count; i++) {
        if (is_meant(pattern, listing.entries[i].name))
            err = add_input(set, job, opened, &listing.entries[i], diag);
        else if (!found->entries && !job->is_trial) /* nobody said that it should be left out */
            fprintf(stderr, "note: %s: %.200s is not read: the bill is %s\n", opened->file,
                    listing.entries[i].name, pattern);
    }
    zip_listing_fini(&listing);
    return err;
}

static int named(const char *path, const char *ending)
{
    size_t n = strlen(path), k = strlen(ending);
    return n > k && strcasecmp(path + n - k, ending) == 0;
}

/* A name that says something else than the bytes is worth a word; the bytes decide. */
static void tell_name(const struct input_file *opened)
{
    static const char *const endings[] = {NULL, ".gz", ".zst", ".zip"};
    if (opened->packing != PACKING_NONE && opened->packing != PACKING_ZIP &&
        !named(opened->file, endings[opened->packing]))
        fprintf(stderr, "note: %s is %s data, whatever its name says; it is unpacked\n", opened->file,
                packing_name(opened->packing));
    for (size_t i = PACKING_GZIP; opened->packing == PACKING_NONE && i <= PACKING_ZIP; i++)
        if (named(opened->file, endings[i]))
            fprintf(stderr, "note: %s is no %s data, whatever its name says; it is read as it is\n",
                    opened->file, packing_name((enum packing)i));
}

static enum err add_found_file(struct file_set *set, const struct job *job, const struct found *found,
                               int (*is_open_log)(int fd), struct diag *diag)
{
    struct input_file opened = {.file = found->path,
                                .own_fd = -1,
                                .flatten = set->flatten,
                                .charset = set->charset,
                                .is_text = set->is_text};
    enum err err = open_file(&opened, is_open_log, diag);
    if (err == OK) {
        uint8_t head[4] = {0};
        ssize_t n = sys_pread_full(opened.own_fd, head, sizeof head, 0);
        if (n < 0)
            err = diag_set_errno(diag, (int)-n, "read", "%s: cannot read its first bytes", opened.file);
        else
            opened.packing = packing_of(head, (size_t)n);
        opened.is_utf16 = opened.packing == PACKING_NONE && opened.is_text &&
                          opened.flatten != FLATTEN_CAMT && utf16_has_mark(head, (size_t)(n < 0 ? 0 : n));
        /* A self-extractor: an archive behind a program. A bill's first word may be MZ as well. */
        if (err == OK && n >= 2 && memcmp(head, "MZ", 2) == 0 &&
            (found->entries || named(opened.file, ".zip")))
            opened.packing = PACKING_ZIP;
        if (err == OK && found->entries && opened.packing != PACKING_ZIP)
            err = diag_set(diag, ERR_INPUT, "zip.kind", "name the file without !PATTERN",
                           "%s is no zip archive, and an entry of it is asked for", opened.file);
    }
    if (err == OK)
        tell_name(&opened);
    if (err == OK)
        err = opened.packing == PACKING_ZIP ? add_entries(set, job, &opened, found, diag)
                                            : add_input(set, job, &opened, NULL, diag);
    if (opened.own_fd >= 0)
        sys_close(opened.own_fd);
    return err;
}

/* What comes out of a packed file is limited: by its entry's size in the archive, else by how well anything like a
 * bill can be packed; and all inputs together must find room among places. */
static enum err open_unpacks(struct file_set *set, enum side side, struct diag *diag)
{
    enum { RATIO_MAX = 250, ALWAYS = 64 << 20 };
    uint64_t plain = 0, packed = 0, ratio = RATIO_MAX;
    for (uint32_t i = 0; i < set->count; i++) {
        struct input_file *input = &set->files[i];
        if (!is_filtered(input))
            plain += input->size;
        else
            packed += (uint64_t)input->stat.st_size, set->packed_count++;
    }
    const uint64_t all = (1ull << PLACE_BITS) - 1;
    uint64_t always = ALWAYS;
    while (always > 1 << 20 && set->packed_count * always > all / 4)
        always /= 2;
    if (packed && plain < all)
        ratio = (all - plain) / 2 / packed < RATIO_MAX ? (all - plain) / 2 / packed : RATIO_MAX;
    if (set->packed_count) {
        set->packed = mem_take_zero(set->packed_count, sizeof(struct unpack *));
        if (!set->packed)
            return mem_fail(diag, set->packed_count * sizeof(struct unpack *), "the list of files");
    }
    uint32_t k = 0;
    uint64_t base = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        struct input_file *input = &set->files[i];
        uint64_t guess = input->size;
        if (is_filtered(input)) {
            uint64_t size = (uint64_t)input->stat.st_size;
            const int is_told = input->packing == PACKING_ZIP; /* how much comes out */
            struct unpack_config config = {.open = open_filter,
                                           .context = input,
                                           .path = input->path,
                                           .limit = size * ratio > always ? size * ratio : always,
                                           .packed_size = size,
                                           .guess = is_told ? input->size : 0};
            if (is_told && input->size > config.limit)
                return diag_set(
                    diag, ERR_INPUT, "unpack.limit",
                    "if it is meant to be that large, unpack it yourself and name the unpacked file",
                    "%s has %llu bytes unpacked, %llu packed; no bill packs like that", input->path,
                    (unsigned long long)input->size, (unsigned long long)size);
            if (is_told && input->flatten == FLATTEN_NONE)
                config.limit =
                    input->size + (input->is_text ? input->size / 2 : 0); /* as UTF-8, if it is UTF-16 */
            input->size = config.limit;
            enum err err = unpack_open(&input->unpack, &config, diag);
            if (err != OK)
                return err;
            set->packed[k++] = input->unpack;
            guess = unpack_guess(input->unpack);
        }
        input->base = base;
        base += input->size;
        if (set->is_text)
            base = (base + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN;
        set->size += guess;
    }
    if (base >> PLACE_BITS)
        return diag_set(diag, ERR_INPUT, "files.size", "split the day over several runs",
                        "the %s side has %llu bytes; one run takes at most %llu", side_name(side),
                        (unsigned long long)base, 1ull << PLACE_BITS);
    return OK;
}

static void found_fini(struct found_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        mem_give(list->files[i].path);
    mem_give(list->files);
    memset(list, 0, sizeof *list);
}

/* Of all these days, or of none: a log without its middle is none. */
static enum err find_days(struct found_list *list, const struct job *job, const struct source_spec *source,
                          const uint16_t *days, int *count, struct diag *diag)
{
    struct diag why = {0};
    for (int i = 0; i < *count; i++) {
        const enum err err = find_files(list, job, source, days[i], &why);
        if (err == OK)
            continue;
        if (err != ERR_INPUT) {
            *diag = why;
            return err;
        }
        found_fini(list);
        *count = 0;
    }
    return OK;
}

int file_set_open_days(struct file_set *set, const struct job *job, enum side side, uint16_t date,
                       const uint16_t *days, int count, int (*is_open_log)(int fd), struct diag *diag)
{
    memset(set, 0, sizeof *set);
    const struct bill_spec *bill = job->sources[side].bill;
    set->flatten = bill ? bill->flatten : FLATTEN_NONE;
    set->charset = bill ? bill->charset : NULL;
    set->entry = bill ? bill->entry : NULL;
    set->is_text = job->sources[side].kind == SOURCE_FILES;
    struct found_list list = {0};
    enum err err = find_days(&list, job, &job->sources[side], days, &count, diag);
    if (err == OK)
        err = find_files(&list, job, &job->sources[side], date, diag);
    if (err == OK && list.count)
        qsort(list.files, list.count, sizeof *list.files, is_open_log ? by_log_number : by_path);
    for (uint32_t i = 0; err == OK && i < list.count; i++)
        err = add_found_file(set, job, &list.files[i], is_open_log, diag);
    found_fini(&list);
    if (err == OK)
        err = open_unpacks(set, side, diag);
    if (err != OK)
        file_set_close(set);
    return err == OK ? count : -1;
}

enum err file_set_open(struct file_set *set, const struct job *job, enum side side, uint16_t date,
                       int (*is_open_log)(int fd), struct diag *diag)
{
    return file_set_open_days(set, job, side, date, NULL, 0, is_open_log, diag) < 0 ? diag->err : OK;
}

enum err file_set_add(struct file_set *set, const char *path, uint64_t size, struct diag *diag)
{
    static const struct job nowhere = {.directory = "."};
    struct input_file opened = {.file = mem_copy_text(path, strlen(path)), .own_fd = -1};
    enum err err =
        opened.file ? open_file(&opened, NULL, diag) : mem_fail(diag, strlen(path), "a file's name");
    if (err == OK && opened.size < size)
        err = diag_set(diag, ERR_STATE, "file.short", "bring it back from a backup",
                       "%s has %llu bytes, and should have %llu", path, (unsigned long long)opened.size,
                       (unsigned long long)size);
    opened.size = size;
    opened.may_grow = 1;
    opened.base = set->size;
    if (err == OK)
        err = add_input(set, &nowhere, &opened, NULL, diag);
    if (err == OK)
        set->size += size;
    if (opened.own_fd >= 0)
        sys_close(opened.own_fd);
    mem_give(opened.file);
    return err;
}

enum err file_set_begin(struct file_set *set, const char *folder, uint32_t threads, struct diag *diag)
{
    return set->packed_count
               ? unpack_crew_start(&set->crew, set->packed, set->packed_count, threads, folder, diag)
               : OK;
}

uint64_t file_set_guess(const struct file_set *set)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < set->count; i++)
        size += set->files[i].unpack ? unpack_guess(set->files[i].unpack) : set->files[i].size;
    return size;
}

void file_set_shift(struct file_set *set, uint64_t base)
{
    for (uint32_t i = 0; i < set->count; i++)
        set->files[i].base += base;
}

enum err file_set_settle(struct file_set *set, struct diag *diag)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        struct input_file *input = &set->files[i];
        uint8_t none;
        if (input->unpack && unpack_read(input->unpack, &none, 1, unpack_size(input->unpack), diag) < 0)
            return diag->err;
        input->size = input_size(input);
        if (input->unpack)
            input->fd = unpack_fd(input->unpack);
        sum += input->size;
        if (!input->size)
            return diag_set(
                diag, ERR_INPUT, "file.empty",
                "an empty day has a header line and no rows; 0 bytes means that the file was not delivered",
                "%s holds nothing (0 bytes)", input->path);
    }
    set->size = sum;
    return OK;
}

enum err file_set_arrange(struct file_set *set, const uint32_t *files, uint32_t count, struct diag *diag)
{
    struct input_file *arranged = mem_take(set->count * sizeof *arranged);
    uint64_t base = UINT64_MAX;
    if (!arranged)
        return mem_fail(diag, set->count * sizeof *arranged, "the list of files");
    for (uint32_t i = 0; i < set->count; i++) {
        base = set->files[i].base < base ? set->files[i].base : base;
        arranged[i] = set->files[files[i]];
    }
    set->size = 0;
    for (uint32_t i = 0; i < count; i++) {
        arranged[i].base = base;
        base += arranged[i].size;
        set->size += arranged[i].size;
    }
    mem_give(set->files);
    set->files = arranged;
    set->left_out = set->count - count;
    set->count = count;
    return OK;
}

static int is_other_time(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

/* Who writes can set the mtime back, but not the ctime. That is another one also where a name was added, taken away or (`is_moved`)
 * changed, which does nothing to what is read. */
static int is_changed(const struct input_file *input, const struct stat *now, int is_moved)
{
    const struct stat *then = &input->stat;
    if (now->st_ino != then->st_ino || now->st_dev != then->st_dev)
        return 1;
    if (input->may_grow)
        return (uint64_t)now->st_size < input->size;
    return now->st_size != then->st_size || is_other_time(now->st_mtim, then->st_mtim) ||
           (!is_moved && now->st_nlink == then->st_nlink && is_other_time(now->st_ctim, then->st_ctim));
}

int input_take(struct input_file *input)
{
    if (input->unpack)
        return unpack_fd(input->unpack);
    if (!input->in_turn)
        return input->fd;
    pthread_mutex_lock(&turn_lock);
    int fd = input->fd;
    if (!input->users) {
        struct stat now;
        fd = sys_open(input->file, O_RDONLY | O_NONBLOCK, 0);
        int error = fd < 0 ? fd : sys_fstat(fd, &now);
        if (fd >= 0 && (error || is_changed(input, &now, 0))) {
            sys_close(fd);
            fd = error ? error : -ESTALE;
        }
        input->fd = input->own_fd = fd < 0 ? -1 : fd;
    }
    if (fd >= 0)
        input->users++;
    pthread_mutex_unlock(&turn_lock);
    return fd;
}

enum err input_open_failed(const struct input_file *input, int error, struct diag *diag)
{
    if (error == -ESTALE || error == -ENOENT)
        return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                        "%s changed while it was read: it is not the file it was", input->file);
    return diag_set_errno(diag, -error, "file.open", "%s: cannot open it once more", input->file);
}

void input_give(struct input_file *input)
{
    if (!input->in_turn)
        return;
    pthread_mutex_lock(&turn_lock);
    if (--input->users == 0) {
        sys_close(input->fd);
        input->fd = input->own_fd = -1;
    }
    pthread_mutex_unlock(&turn_lock);
}

ssize_t input_pread(struct input_file *input, void *buffer, size_t size, uint64_t offset)
{
    const int fd = input_take(input);
    if (fd < 0)
        return fd;
    ssize_t n = sys_pread_full(fd, buffer, size, offset);
    input_give(input);
    return n;
}

enum err input_pread_all(struct input_file *input, void *bytes, size_t size, uint64_t offset,
                         struct diag *diag)
{
    const ssize_t n = size ? input_pread(input, bytes, size, offset) : 0;
    if (n == (ssize_t)size)
        return OK;
    return n < 0 ? diag_set_errno(diag, (int)-n, "read", "%s: cannot read %zu bytes at byte %llu",
                                  input->path, size, (unsigned long long)offset)
                 : diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                            "%s became shorter while it was read", input->path);
}

int input_ready(struct input_file *input, uint64_t end, struct diag *diag)
{
    int whole = 1;
    if (!input->unpack)
        return 1;
    int64_t ready = unpack_ready(input->unpack, &whole, diag);
    return ready < 0 ? -1 : whole || (uint64_t)ready >= end;
}

ssize_t input_read(struct input_file *input, void *buffer, size_t size, uint64_t offset, struct diag *diag)
{
    if (input->unpack)
        return unpack_read(input->unpack, buffer, size, offset, diag);
    ssize_t n = input_pread(input, buffer, size, offset);
    if (n >= 0)
        return n;
    diag_set_errno(diag, (int)-n, "read", "%s: cannot read %zu bytes at byte %llu", input->path, size,
                   (unsigned long long)offset);
    return -1;
}

/* By its name and, where it stayed open, as it is: another file may have taken the name. `is_read`: all of it was read, so that only what
 * was read counts, not its name. */
static enum err look_at(const struct input_file *input, int is_read, struct diag *diag)
{
    struct stat there, now = {0};
    const int gone = stat(input->file, &there) != 0 || there.st_ino != input->stat.st_ino ||
                     there.st_dev != input->stat.st_dev;
    const int error = input->in_turn ? 0 : sys_fstat(input->own_fd, &now);
    if (error)
        return diag_set_errno(diag, -error, "file.stat", "%s: cannot look at it", input->file);
    if (input->in_turn && !gone)
        now = there;
    if (gone && is_read ? input->in_turn || !is_changed(input, &now, 1)
                        : !gone && !is_changed(input, &now, 0))
        return OK;
    if (!gone && now.st_size == input->stat.st_size && !is_other_time(now.st_mtim, input->stat.st_mtim))
        return diag_set(
            diag, ERR_INPUT, "file.changed", "leave it alone until the run has ended, and run again",
            "%s changed while it was read: its size and mtime are what they were, its ctime is not (it was "
            "written and its mtime set back, or its owner, mode or attributes were changed)",
            input->file);
    return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                    "%s changed while it was read (it had %llu bytes at the start%s %lld now)", input->file,
                    (unsigned long long)input->stat.st_size,
                    gone ? ", and another file has its name; this one has" : ", and has",
                    (long long)now.st_size);
}

enum err input_check(const struct input_file *input, struct diag *diag)
{
    return look_at(input, 0, diag);
}

enum err file_set_check(struct file_set *set, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < set->count; i++)
        err = look_at(&set->files[i], 0, diag);
    return err;
}

enum err file_set_look_again(struct file_set *set, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < set->count; i++)
        err = look_at(&set->files[i], 1, diag);
    return err;
}

void file_set_close(struct file_set *set)
{
    unpack_crew_stop(set->crew);
    for (uint32_t i = 0; i < set->count + set->left_out; i++)
        input_fini(&set->files[i]);
    mem_give(set->packed);
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
    if (size >= 3 && memcmp(head, "BZh", 3) == 0)
        return "bzip2 data";
    if (size >= 6 && memcmp(head,
                            "\xfd"
                            "7zXZ",
                            5) == 0)
        return "xz data";
    if (size >= 6 && (memcmp(head, "7z\xbc\xaf\x27\x1c", 6) == 0 || memcmp(head, "Rar!", 4) == 0))
        return "a 7z or rar archive";
    if (size >= 4 && memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0)
        return "zstd data";
    if (size >= 4 && memcmp(head,
                            "\xfe"
                            "bin",
                            4) == 0)
        return "a MySQL or MariaDB binlog";
    if (size >= 8 && memcmp(head, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8) == 0)
        return "an Excel sheet (.xls) or another Office file";
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
    size_t look = size < 4096 ? size : 4096, zeros[2] = {0, 0};
    for (i = 0; i < look; i++)
        zeros[i & 1] += head[i] == 0;
    if (look >= 8 && (zeros[0] > look / 4) != (zeros[1] > look / 4) && (!zeros[0] || !zeros[1]))
        return "UTF-16 text without a byte order mark";
    if (zeros[0] || zeros[1])
        return "binary data";
    return NULL;
}
