/* io/fetch/fetch.c: see fetch.h */
#include "io/fetch/fetch.h"
#include "core/base/mem.h"
#include "io/fetch/adapter.h"
#include "io/fetch/spool_folder.h"
#include "io/fetch/transfer.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { URL_ROOM = 4096 };

struct fetch {
    const struct fetch_config *config;
    const struct job *job;
    const struct fetch_spec *spec;
    struct spool_folder *spool;
    struct transfer *transfer;
    char date[DAY_TEXT_MAX];
    int64_t end_ms; /* on the monotonic clock */
    int tries;      /* of what is being tried now */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int is_interrupted(const struct fetch *f)
{
    return f->config->interrupted && *f->config->interrupted;
}

/* In place of why the last try failed. */
static enum err interrupted(struct diag *diag)
{
    *diag = (struct diag){0};
    return diag_set(diag, ERR_INTERRUPTED, "interrupted",
                    "run the same command again: what came is kept, and gone on with",
                    "fetch: stopped before the end");
}

/* In short pieces: a signal that comes just before one of them is seen behind it. */
static void sleep_ms(const struct fetch *f, int64_t ms)
{
    const int64_t end = now_ms() + ms;
    for (int64_t left = ms; left > 0 && !is_interrupted(f); left = end - now_ms()) {
        const struct timespec pause = {0, (left < 100 ? left : 100) * 1000000};
        nanosleep(&pause, NULL);
    }
}

static int64_t seconds_left(const struct fetch *f)
{
    int64_t left = (f->end_ms - now_ms() + 999) / 1000;
    return f->end_ms == 0 ? 3600 : left > 1 ? left : 1; /* end 0: one try, which may take its time */
}

/* Waits before the next try: twice as long each time, half of it left to chance, so that many that failed together do
 * not come back together. 0 when the deadline is before that, or when a signal said stop (then `diag` says so). */
static int again(struct fetch *f, struct diag *diag)
{
    if (is_interrupted(f)) {
        interrupted(diag);
        return 0;
    }
    int64_t wait = (int64_t)f->spec->retry_first_s * 1000;
    for (int i = 0; i < f->tries && wait < (int64_t)f->spec->retry_max_s * 1000; i++)
        wait *= 2;
    if (wait > (int64_t)f->spec->retry_max_s * 1000)
        wait = (int64_t)f->spec->retry_max_s * 1000;
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
        chance = 0;
    wait = wait / 2 + (int64_t)((uint64_t)wait * chance >> 33);
    f->tries++;
    if (f->end_ms == 0 || now_ms() + wait > f->end_ms)
        return 0;
    fprintf(stderr, "%s; again in %lld.%lld s\n", diag->what, (long long)wait / 1000,
            (long long)wait % 1000 / 100);
    sleep_ms(f, wait);
    if (is_interrupted(f))
        interrupted(diag);
    return !is_interrupted(f);
}

/* {date} is 2026-11-19, {yyyymmdd} is 20261119. */
static enum err expand(const struct fetch *f, const char *from, char out[URL_ROOM], struct diag *diag)
{
    size_t n = 0;
    for (const char *p = from; *p && n + 16 < URL_ROOM;) {
        if (strncmp(p, "{date}", 6) == 0) {
            n += (size_t)sprintf(out + n, "%s", f->date);
            p += 6;
        } else if (strncmp(p, "{yyyymmdd}", 10) == 0) {
            n += (size_t)sprintf(out + n, "%.4s%.2s%.2s", f->date, f->date + 5, f->date + 8);
            p += 10;
        } else {
            out[n++] = *p++;
        }
    }
    out[n] = 0;
    return n + 16 < URL_ROOM
               ? OK
               : diag_set(diag, ERR_USAGE, "path", NULL, "the URL is too long: %.200s...", from);
}

static void tell(struct fetch *f, const char *name, uint64_t size, const char *digest, int fresh)
{
    char path[URL_ROOM + 300];
    snprintf(path, sizeof path, "%s/%s", spool_folder_path(f->spool), name);
    f->config->file(f->config->context, path, size, digest, fresh);
}

/* ---- what is there already ---- */

/* A file that is there stays as it is, whatever the server has now: other bytes are told of, and kept beside. */
static void tell_there(struct fetch *f, const char *name)
{
    const char *folder = spool_folder_restated(f->spool, name);
    tell(f, name, 0, "", 0);
    if (folder)
        fprintf(stderr,
                "note: %s was restated since: other bytes for it lie in %s; the run reads those that came "
                "first until you "
                "put another file in their place\n",
                name, folder);
}

static enum err keep_beside(struct fetch *f, struct spool_folder_part *part, const char *checksum,
                            struct diag *diag)
{
    char digest[DIGEST_TEXT] = "", kept[4096] = "";
    const struct transfer_mark mark = part->mark;
    const uint64_t size = part->done;
    enum beside beside;
    enum err err = spool_folder_keep_beside(f->spool, part, checksum, digest, &beside, kept, diag);
    if (err != OK)
        return err;
    spool_folder_note(f->spool, part->name, &mark);
    if (beside == BESIDE_SAME)
        fprintf(stderr, "%s: what is there now has the same bytes\n", part->name);
    else if (beside == BESIDE_NEW)
        fprintf(stderr, "note: %s is a restatement: %llu bytes, %s, kept as %s\n", part->name,
                (unsigned long long)size, digest, kept);
    tell_there(f, part->name);
    return OK;
}

/* ---- one file from a server ---- */

/* The last part of a URL, %XX undone. */
static enum err name_of(const char *url, char name[SPOOL_NAME_MAX + 1], struct diag *diag)
{
    const char *from = strstr(url, "://") + 3, *end = from + strcspn(from, "?#"), *slash = end;
    while (slash > from && slash[-1] != '/')
        slash--;
    size_t n = 0;
    int bad = slash == from;
    for (const char *p = slash; p < end && !bad; p++) {
        unsigned value = (unsigned char)*p;
        if (*p == '%') {
            static const char digits[] = "0123456789abcdef";
            const char *high = p + 1 < end ? strchr(digits, p[1] | 0x20) : NULL,
                       *low = p + 2 < end ? strchr(digits, p[2] | 0x20) : NULL;
            bad = !high || !low || !*high || !*low || (high == digits && low == digits);
            value = bad ? 0 : (unsigned)((high - digits) * 16 + (low - digits));
            p += 2;
        }
        bad |= n == SPOOL_NAME_MAX;
        if (!bad)
            name[n++] = (char)value;
    }
    name[n] = 0;
    if (bad)
        return diag_set(diag, ERR_USAGE, "fetch.url", "a URL ends in a file's name",
                        "%s: its last part is no file name", url);
    return spool_folder_check_name(name, diag);
}

/* The checksum that lies beside a file: the first word of it, in hex digits. */
static enum transfer_end get_checksum(struct fetch *f, const char *url, char checksum[CHECKSUM_MAX],
                                      struct diag *diag)
{
    char beside[URL_ROOM + 64], text[CHECKSUM_MAX + 64] = "";
    snprintf(beside, sizeof beside, "%s%.60s", url, f->spec->checksum);
    int fd = sys_open_unnamed(spool_folder_path(f->spool));
    if (fd < 0) {
        diag_set_errno(diag, -fd, "spool.open", "%s: cannot make a file", spool_folder_path(f->spool));
        return TRANSFER_FAILED;
    }
    uint64_t done = 0;
    struct transfer_mark mark = {.size = -1, .time = -1};
    enum transfer_end end = transfer_get(f->transfer, beside, fd, &done, &mark, seconds_left(f), diag);
    if (end == TRANSFER_WHOLE && sys_pread_full(fd, text, sizeof text - 1, 0) < 0)
        text[0] = 0;
    sys_close(fd);
    if (end != TRANSFER_WHOLE)
        return end;
    size_t n = strspn(text, "0123456789abcdefABCDEF");
    if ((n != 64 && n != 40 && n != 32) || (text[n] && !strchr(" \t\r\n", text[n]))) {
        diag_set(diag, ERR_INPUT, "fetch.checksum", NULL, "%s: it holds no SHA-256, SHA-1 or MD5 checksum",
                 beside);
        return TRANSFER_REFUSED;
    }
    memcpy(checksum, text, n);
    checksum[n] = 0;
    return end;
}

/* Whether the server has something else than what came: asked once, and only told where it cannot be asked. */
static int is_restated(struct fetch *f, const char *url, const char *name)
{
    struct transfer_mark before, now;
    struct diag why = {0};
    char checksum[CHECKSUM_MAX], found[DIGEST_FILE_TEXT] = "", path[URL_ROOM + 300];
    spool_folder_noted(f->spool, name, &before);
    enum transfer_end end = transfer_look(f->transfer, url, &now, seconds_left(f), &why);
    if (end == TRANSFER_WHOLE && f->spec->checksum)
        end = get_checksum(f, url, checksum, &why);
    if (end != TRANSFER_WHOLE) {
        fprintf(stderr, "%s: whether it was restated cannot be seen: %s\n", name, why.what);
        return 0;
    }
    if (transfer_marks_differ(&before, &now))
        return 1;
    if (!f->spec->checksum)
        return 0;
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", spool_folder_path(f->spool), name);
    int fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    const char *algorithm = strlen(checksum) == 64 ? "SHA256" : strlen(checksum) == 40 ? "SHA1" : "MD5";
    int same = fd < 0 || sys_fstat(fd, &st) != 0 ||
               digest_file(fd, (uint64_t)st.st_size, algorithm, found) != 0 ||
               strcasecmp(strchr(found, ':') + 1, checksum) == 0;
    if (fd >= 0)
        sys_close(fd);
    return !same;
}

static enum err get_file(struct fetch *f, const char *url, struct diag *diag)
{
    char name[SPOOL_NAME_MAX + 1], checksum[CHECKSUM_MAX] = "", digest[DIGEST_TEXT] = "";
    enum err err = name_of(url, name, diag);
    if (err != OK)
        return err;
    const int is_there = spool_folder_has(f->spool, name);
    if (is_there && !is_restated(f, url, name)) {
        tell_there(f, name);
        return OK;
    }
    int started_over = 0;
    f->tries = 0;
    for (;;) {
        struct spool_folder_part part;
        struct diag why = {0};
        err = spool_folder_begin(f->spool, name, &part, diag);
        if (err != OK)
            return err;
        uint64_t before = part.done;
        if (before)
            fprintf(stderr, "%s: going on at byte %llu\n", url, (unsigned long long)before);
        enum transfer_end end = TRANSFER_WHOLE;
        if (f->spec->checksum)
            end = get_checksum(f, url, checksum, &why);
        if (end == TRANSFER_WHOLE && !(before && part.mark.size == (int64_t)before))
            end = transfer_get(f->transfer, url, part.fd, &part.done, &part.mark, seconds_left(f), &why);
        if (end == TRANSFER_WHOLE) {
            uint64_t size = part.done;
            const struct transfer_mark mark = part.mark;
            err = is_there ? keep_beside(f, &part, checksum, &why)
                           : spool_folder_keep(f->spool, &part, checksum, digest, &why);
            if (err == OK && !is_there) {
                spool_folder_note(f->spool, name, &mark);
                tell(f, name, size, digest, 1);
            }
            if (err == OK)
                return OK;
            /* A file that was gone on with may be a mixture: once more from its beginning. */
            if (err == ERR_INPUT && before && !started_over) {
                started_over = 1;
                fprintf(stderr, "%s; once more from its beginning\n", why.what);
                continue;
            }
            *diag = why;
            return err;
        }
        if (part.done > before)
            f->tries = 0;
        err = spool_folder_end(f->spool, &part, end == TRANSFER_AGAIN || end == TRANSFER_MISSING, diag);
        if (err != OK)
            return err;
        if (end == TRANSFER_CHANGED && started_over < 5) {
            started_over++;
            fprintf(stderr, "%s; once more from its beginning\n", why.what);
            continue;
        }
        if (end == TRANSFER_REFUSED || end == TRANSFER_FAILED || !again(f, &why)) {
            *diag = why;
            return why.err;
        }
    }
}

/* A URL whose last part is a pattern: the names in the folder that match. */
static enum err get_matching(struct fetch *f, const char *url, struct diag *diag)
{
    char folder[URL_ROOM], one[URL_ROOM + SPOOL_NAME_MAX * 3];
    const char *slash = strrchr(url, '/');
    size_t size = (size_t)(slash - url) + 1;
    memcpy(folder, url, size);
    folder[size] = 0;
    if (strpbrk(folder, "*?[") || strncmp(url, "http", 4) == 0)
        return diag_set(diag, ERR_USAGE, "fetch.url", "name the files, or make the folder's name fixed",
                        "%s: only the last part of an SFTP or FTP address can be a pattern", url);
    f->tries = 0;
    for (;;) {
        struct diag why = {0};
        char *names = NULL;
        uint32_t matched = 0;
        enum transfer_end end = transfer_list(f->transfer, folder, &names, seconds_left(f), &why);
        enum err err = OK;
        for (char *name = names; name && *name && err == OK;) {
            char *next = name + strcspn(name, "\r\n");
            while (*next == '\r' || *next == '\n')
                *next++ = 0;
            if (*name != '.' && fnmatch(slash + 1, name, 0) == 0) {
                err = spool_folder_check_name(name, diag);
                if (err == OK) {
                    size_t n = size;
                    memcpy(one, folder, size);
                    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
                        n += (size_t)sprintf(
                            one + n, strchr("%?#[] \"<>\\^`{|}", *p) || *p >= 0x80 ? "%%%02X" : "%c", *p);
                    one[n] = 0;
                    matched++;
                    err = get_file(f, one, diag);
                }
            }
            name = next;
        }
        mem_give(names);
        if (err != OK || matched)
            return err;
        if (end == TRANSFER_WHOLE) {
            diag_set(&why, ERR_PEER, "fetch.missing",
                     "is the bill ready at this time? not_before: says when to begin",
                     "%s: no file there has a name like this", url);
            end = TRANSFER_MISSING;
        }
        if (end == TRANSFER_REFUSED || end == TRANSFER_FAILED || !again(f, &why)) {
            *diag = why;
            return why.err;
        }
    }
}

/* ---- a folder of this machine ---- */

/* What tells a local file apart. */
static struct transfer_mark mark_of(const struct stat *st)
{
    return (struct transfer_mark){.size = (int64_t)st->st_size, .time = (int64_t)st->st_mtim.tv_sec};
}

static enum err copy(struct fetch *f, const char *path, const char *name, int *moving, struct diag *diag)
{
    enum { PIECE = 256 * 1024 };
    char digest[DIGEST_TEXT] = "";
    *moving = 0;
    int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);
    struct stat before, after;
    int error = fd < 0 ? fd : sys_fstat(fd, &before);
    if (error < 0) {
        if (fd >= 0)
            sys_close(fd);
        return diag_set_errno(diag, -error, "fetch.open", "%s: cannot open it", path);
    }
    enum err err = S_ISREG(before.st_mode)
                       ? OK
                       : diag_set(diag, ERR_INPUT, "file.kind", NULL, "%s is not a regular file", path);
    struct spool_folder_part part = {.fd = -1};
    uint8_t *piece = mem_take(PIECE);
    if (err == OK && !piece)
        err = mem_fail(diag, PIECE, "copying");
    if (err == OK)
        err = spool_folder_begin(f->spool, name, &part, diag);
    for (part.done = 0; err == OK;) {
        if (is_interrupted(f)) {
            err = interrupted(diag);
            break;
        }
        ssize_t n = sys_pread_full(fd, piece, PIECE, part.done);
        if (n < 0)
            err = diag_set_errno(diag, (int)-n, "read", "%s: cannot read it", path);
        if (n <= 0)
            break;
        error = sys_pwrite_full(part.fd, piece, (size_t)n, part.done);
        if (error)
            err = diag_set_errno(diag, -error, "fetch.write", "%s/%s: cannot write it",
                                 spool_folder_path(f->spool), name);
        part.done += (uint64_t)n;
    }
    if (err == OK && (error = sys_fstat(fd, &after)) < 0)
        err = diag_set_errno(diag, -error, "file.stat", "%s: cannot look at it", path);
    sys_close(fd);
    mem_give(piece);
    /* Somebody is still writing it: what was copied is of no use. */
    if (err == OK &&
        ((uint64_t)after.st_size != part.done || after.st_size != before.st_size ||
         after.st_mtim.tv_sec != before.st_mtim.tv_sec || after.st_mtim.tv_nsec != before.st_mtim.tv_nsec)) {
        *moving = 1;
        err = diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written",
                       "%s changed while it was copied", path);
    }
    uint64_t size = part.done;
    const int is_there = spool_folder_has(f->spool, name);
    part.mark = mark_of(&before);
    if (err == OK) {
        err =
            is_there ? keep_beside(f, &part, "", diag) : spool_folder_keep(f->spool, &part, "", digest, diag);
    } else if (part.fd >= 0) {
        spool_folder_end(f->spool, &part, 0, diag);
    }
    if (err == OK && !is_there) {
        const struct transfer_mark mark = mark_of(&before);
        spool_folder_note(f->spool, name, &mark);
        tell(f, name, size, digest, 1);
    }
    return err;
}

static enum err copy_matching(struct fetch *f, const char *from, struct diag *diag)
{
    char path[URL_ROOM + 16];
    if (strncmp(from, "file://", 7) == 0)
        from += 7;
    if (snprintf(path, sizeof path, "%s%s%s", from[0] == '/' ? "" : f->job->directory,
                 from[0] == '/' ? "" : "/", from) >= (int)sizeof path)
        return diag_set(diag, ERR_USAGE, "path", NULL, "the path is too long: %.200s...", from);
    f->tries = 0;
    for (;;) {
        struct diag why = {0};
        glob_t found = {0};
        int matched = 0, moving = 0;
        int result = glob(path, 0, NULL, &found);
        enum err err = result == GLOB_NOSPACE ? mem_fail(&why, 0, "a list of files") : OK;
        for (size_t i = 0; err == OK && result == 0 && i < found.gl_pathc; i++) {
            const char *slash = strrchr(found.gl_pathv[i], '/'),
                       *name = slash ? slash + 1 : found.gl_pathv[i];
            size_t n = strlen(name);
            /* By habit, names of what is still being written. */
            if ((n > 4 && strcmp(name + n - 4, ".tmp") == 0) || (n > 5 && strcmp(name + n - 5, ".part") == 0))
                continue;
            matched++;
            err = is_interrupted(f) ? interrupted(&why) : spool_folder_check_name(name, &why);
            struct transfer_mark noted;
            struct stat st;
            if (err == OK && spool_folder_has(f->spool, name))
                spool_folder_noted(f->spool, name, &noted);
            struct transfer_mark now = {.size = -1, .time = -1};
            if (err == OK && stat(found.gl_pathv[i], &st) == 0)
                now = mark_of(&st);
            if (err == OK && spool_folder_has(f->spool, name) && !transfer_marks_differ(&noted, &now))
                tell_there(f, name);
            else if (err == OK)
                err = copy(f, found.gl_pathv[i], name, &moving, &why);
        }
        if (result != GLOB_NOSPACE)
            globfree(&found);
        if (err == OK && matched)
            return OK;
        if (err == OK)
            diag_set(&why, ERR_PEER, "fetch.missing",
                     "is the bill ready at this time? not_before: says when to begin",
                     "%s: there is no such file", path);
        if ((err != OK && !moving) || !again(f, &why)) {
            *diag = why;
            return why.err;
        }
    }
}

/* ---- a program ---- */

static void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char inner[URL_ROOM + 512];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            sys_unlink(inner);
    }
    if (dir)
        closedir(dir);
    sys_rmdir(path);
}

static enum err take_said(struct fetch *f, const char *folder, char *said, struct diag *diag)
{
    enum err err = OK;
    int count = 0;
    for (char *line = said; err == OK && *line;) {
        char *next = line + strcspn(line, "\n");
        if (*next)
            *next++ = 0;
        char *space = strrchr(line, ' '), *checksum = space ? space + 1 : NULL;
        size_t n = checksum ? strspn(checksum, "0123456789abcdefABCDEF") : 0;
        if (checksum && !checksum[n] && (n == 64 || n == 40 || n == 32))
            *space = 0;
        else
            checksum = NULL;
        char path[URL_ROOM + 512], digest[DIGEST_TEXT] = "";
        if (*line) {
            err = spool_folder_check_name(line, diag);
            if (err != OK)
                break;
            snprintf(path, sizeof path, "%s/%s", folder, line);
            count++;
            if (spool_folder_has(f->spool, line)) {
                tell(f, line, 0, "", 0);
            } else {
                struct spool_folder_part part;
                char target[URL_ROOM + 512];
                struct stat st;
                int error = sys_lstat(path, &st);
                if (error || !S_ISREG(st.st_mode))
                    err = diag_set(diag, ERR_INPUT, "adapter.file", NULL,
                                   "%s: the adapter says that it brought %s, and it is %s",
                                   f->spec->command[0], line, error ? "not there" : "no regular file");
                snprintf(target, sizeof target, "%s/.%s.part", spool_folder_path(f->spool), line);
                if (err == OK && (error = sys_rename(path, target)) != 0)
                    err = diag_set_errno(diag, -error, "spool.rename", "%s: cannot take it over", path);
                if (err == OK)
                    err = spool_folder_begin(f->spool, line, &part, diag);
                if (err == OK) {
                    part.done = (uint64_t)st.st_size;
                    err = spool_folder_keep(f->spool, &part, checksum ? checksum : "", digest, diag);
                }
                if (err == OK)
                    tell(f, line, (uint64_t)st.st_size, digest, 1);
            }
        }
        line = next;
    }
    if (err == OK && count == 0)
        err = diag_set(diag, ERR_INPUT, "adapter.nothing", "no bill for this date is exit code 66",
                       "%s: it ended well and names no file", f->spec->command[0]);
    return err;
}

static enum err run_adapter(struct fetch *f, struct diag *diag)
{
    const char *channel = f->job->channel_code && *f->job->channel_code ? f->job->channel_code : f->job->name;
    char folder[URL_ROOM + 16];
    /* What an adapter brought before is there: it is not asked again. Which files it would bring only it knows. */
    DIR *dir = opendir(spool_folder_path(f->spool));
    struct dirent *entry;
    int there = 0;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            tell(f, entry->d_name, 0, "", 0);
            there = 1;
        }
    if (dir)
        closedir(dir);
    if (there)
        return OK;
    char absolute[URL_ROOM];
    if (!realpath(spool_folder_path(f->spool), absolute))
        return diag_set_errno(diag, errno, "spool.folder", "%s: cannot find it", spool_folder_path(f->spool));
    snprintf(folder, sizeof folder, "%s/.adapter", absolute);
    f->tries = 0;
    for (;;) {
        struct diag why = {0};
        char *said = NULL;
        remove_folder(folder);
        int error = sys_mkdir(folder, 0700);
        if (error)
            return diag_set_errno(diag, -error, "spool.folder", "%s: cannot make it", folder);
        enum adapter_end end = adapter_run(f->job, f->spec, f->date, channel, folder, seconds_left(f),
                                           f->config->interrupted, &said, &why);
        enum err err = OK;
        if (end == ADAPTER_DONE)
            err = take_said(f, folder, said, &why);
        else if (end == ADAPTER_NO_BILL)
            fprintf(stderr, "%s: the channel says that there is no bill for %s\n", f->spec->command[0],
                    f->date);
        if (end == ADAPTER_NO_BILL || (end == ADAPTER_DONE && err == OK)) {
            struct diag unsaid = {0};
            if (spool_folder_no_bill(f->spool, end == ADAPTER_NO_BILL, &unsaid) != OK) {
                mem_give(said);
                remove_folder(folder);
                *diag = unsaid;
                return unsaid.err;
            }
        }
        mem_give(said);
        remove_folder(folder);
        if (end == ADAPTER_INTERRUPTED)
            interrupted(&why);
        if (end != ADAPTER_AGAIN || !again(f, &why)) {
            *diag = why;
            return end == ADAPTER_DONE ? err : why.err;
        }
    }
}

/* ---- all of it ---- */

/* The channel's files are ready at a time of the day after. */
static enum err wait_until_ready(struct fetch *f, int64_t deadline_s, struct diag *diag)
{
    if (f->spec->not_before_minutes < 0)
        return OK;
    struct zone *zone = NULL;
    enum err err = day_zone_open(&zone, f->job->timezone, diag);
    if (err != OK)
        return err;
    int64_t wall = ((int64_t)f->config->date - DAY_BASE + 1) * 86400 + f->spec->not_before_minutes * 60;
    int64_t ready = day_wall_to_epoch(zone, wall * 1000000) / 1000000, now = (int64_t)time(NULL);
    char text[TIME_TEXT_MAX];
    time_print(text, zone, ready * 1000000);
    day_zone_close(zone);
    if (now >= ready)
        return OK;
    if (ready - now > deadline_s)
        return diag_set(diag, ERR_PEER, "fetch.early", "run it then, or give it more time with --deadline=",
                        "the bill of %s is not ready before %s", f->date, text);
    fprintf(stderr, "the bill of %s is not ready before %s; waiting\n", f->date, text);
    while ((now = (int64_t)time(NULL)) < ready && !is_interrupted(f)) /* the clock may be set meanwhile */
        sleep_ms(f, ready - now > 60 ? 60000 : (ready - now) * 1000);
    return is_interrupted(f) ? interrupted(diag) : OK;
}

enum err fetch_files(const struct fetch_config *config, struct diag *diag)
{
    const struct job *job = config->job;
    struct fetch f = {.config = config, .job = job, .spec = &job->sources[config->side].fetch};
    day_print(f.date, config->date);
    int64_t deadline_s = config->deadline_s >= 0 ? config->deadline_s : f.spec->deadline_s;
    const char *channel = job->channel_code && *job->channel_code ? job->channel_code : job->name;
    char path[3800];
    if (!job_spool_path(job, f.spec, f.date, path, sizeof path))
        return diag_set(diag, ERR_USAGE, "path", NULL, "the spool's path is too long");
    enum err err = spool_folder_check_name(channel, diag);
    f.end_ms = deadline_s ? now_ms() + deadline_s * 1000 : 0;
    if (err == OK)
        err = wait_until_ready(&f, deadline_s, diag);
    if (err == OK)
        err = spool_folder_open(&f.spool, path, diag);
    if (err == OK && f.spec->command)
        err = run_adapter(&f, diag);
    for (int i = 0; err == OK && i < f.spec->from_count; i++) {
        char from[URL_ROOM];
        err = expand(&f, f.spec->from[i], from, diag);
        int local = err == OK && (!strstr(from, "://") || strncmp(from, "file://", 7) == 0);
        if (err == OK && !local && !f.transfer)
            err = transfer_open(&f.transfer, job, f.spec, config->interrupted, diag);
        if (err != OK)
            break;
        const char *slash = strrchr(from, '/');
        err = local                                                    ? copy_matching(&f, from, diag)
              : strpbrk(slash, "*?[") && strncmp(from, "http", 4) != 0 ? get_matching(&f, from, diag)
                                                                       : get_file(&f, from, diag);
    }
    transfer_close(f.transfer);
    spool_folder_close(f.spool);
    return err == OK && is_interrupted(&f) ? interrupted(diag)
                                           : err; /* what was not looked at is not called the same */
}
