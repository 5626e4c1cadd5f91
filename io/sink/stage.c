/* io/sink/stage.c: see stage.h */
#include "io/sink/stage.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    PATH_ROOM = 4096,
    TRIES = 100,      /* a folder that another run took away in the moment when it was made */
    NEXT_ID = 1 << 22 /* process ids are below: the next name where one is another run's */
};

struct stage {
    const char *const *names;
    char final[PATH_ROOM], path[PATH_ROOM + 600], parent[PATH_ROOM];
    size_t parent_kept; /* bytes of `parent` that stood there before; what follows was made, and goes when
                           nothing is published */
    int lock_fd;
    int published;
};

static int is_ours(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return 1;
    return 0;
}

/* Removes a directory of ours. Files that are not ours stay, and the directory with them. What has a name of ours goes without the folder
 * being opened: there may be no descriptor left for that. */
static void remove_directory(const char *const *names, const char *path)
{
    char file[PATH_ROOM + 400];
    for (const char *const *name = names; *name; name++) {
        snprintf(file, sizeof file, "%s/%s", path, *name);
        sys_unlink(file);
    }
    DIR *dir = opendir(path);
    if (dir) {
        struct dirent *entry;
        while ((entry = readdir(dir)))
            if (strncmp(entry->d_name, ".tieout-", 8) == 0) {
                snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
                sys_unlink(file);
            }
        closedir(dir);
    }
    sys_rmdir(path);
}

static enum err make_parents(struct stage *stage, struct diag *diag)
{
    char *path = stage->parent;
    int tries = 0;
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char keep = *p;
        *p = 0;
        int error = sys_mkdir(path, 0700);
        struct stat st;
        enum err err = OK;
        if (error == 0 && stage->parent_kept == SIZE_MAX) {
            const char *slash = strrchr(path, '/');
            stage->parent_kept = slash ? (size_t)(slash - path) : 0;
        }
        if (error == 0) { /* results in a folder that a power cut takes away would be none */
            char *slash = strrchr(path, '/');
            if (slash)
                *slash = 0;
            error = sys_fsync_folder(!slash ? "." : slash == path ? "/" : path);
            if (slash)
                *slash = '/';
        }
        if (error == -ENOENT && ++tries < TRIES) { /* a run that ends took it away: from the top */
            *p = keep;
            p = path;
            continue;
        }
        if (error == -EEXIST && stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
            err = diag_set(diag, ERR_USAGE, "out.directory",
                           "name another directory with --out=", "%s is a file, not a directory", path);
        else if (error && error != -EEXIST)
            err = diag_set_errno(diag, -error, "out.directory", "%s: cannot make the output directory", path);
        if (err != OK) {
            *p = keep;
            return err;
        }
        *p = keep;
        if (!keep)
            return OK;
    }
}

/* Takes away the parents that this run made, as far as nothing is in them. */
static void remove_parents(struct stage *stage)
{
    while (strlen(stage->parent) > stage->parent_kept) {
        int error = sys_rmdir(stage->parent);
        if (error && error != -ENOENT && error != -ENOTDIR) /* not empty: somebody else's */
            return;
        char *slash = strrchr(stage->parent, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

/* 1 when `path` still is what was opened: between the two another run may have taken it away, and made another. -errno when that
 * cannot be seen. */
static int is_still(const char *path, int fd)
{
    struct stat now, opened;
    int error = sys_lstat(path, &now);
    if (error == 0)
        error = sys_fstat(fd, &opened);
    return error == -ENOENT ? 0 : error ? error : now.st_ino == opened.st_ino && now.st_dev == opened.st_dev;
}

/* Staging directories of runs that were killed: nobody holds their lock. */
static void sweep(const struct stage *stage, const char *prefix)
{
    DIR *dir = opendir(stage->parent);
    if (!dir)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        const char *number = entry->d_name + strlen(prefix);
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || !*number ||
            number[strspn(number, "0123456789")])
            continue;
        char path[PATH_ROOM + 400];
        snprintf(path, sizeof path, "%s/%s", stage->parent, entry->d_name);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still(path, fd) > 0)
            remove_directory(stage->names, path);
        close(fd);
    }
    closedir(dir);
}

/* 0: the folder stands and its lock is ours. 1: another run swept it before that, or took its parents away. Else -errno. */
static int take_folder(struct stage *stage)
{
    int error = sys_mkdir(stage->path, 0700);
    if (error)
        return error == -ENOENT ? 1 : error;
    int fd = sys_open(stage->path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        sys_rmdir(stage->path);
        return fd == -ENOENT ? 1 : fd;
    }
    /* One that sweeps has it for as long as a removal takes. A file system without locks sweeps nothing, either. */
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    const int is_ours = is_still(stage->path, fd);
    if (is_ours <= 0) {
        sys_close(fd);
        if (is_ours < 0)
            sys_rmdir(stage->path);
        return is_ours < 0 ? is_ours : 1;
    }
    stage->lock_fd = fd;
    return 0;
}

/* The staging folder, with its parents. */
static enum err make_folder(struct stage *stage, const char *prefix, struct diag *diag)
{
    const int has_parents = strcmp(stage->parent, ".") != 0 && strcmp(stage->parent, "/") != 0;
    long id = getpid();
    enum err err = OK;
    int error = 1;
    for (int i = 0; error == 1 && i < TRIES; i++) {
        err = has_parents ? make_parents(stage, diag) : OK;
        if (err != OK)
            return err;
        sweep(stage, prefix);
        do {
            snprintf(stage->path, sizeof stage->path, "%s/%s%ld", stage->parent, prefix, id);
            error = take_folder(stage);
            id += error == -EEXIST ? NEXT_ID : 0;
        } while (error == -EEXIST && id < (long)NEXT_ID * TRIES);
    }
    return error ? diag_set_errno(diag, error < 0 ? -error : ENOENT, "out.directory", "%s: cannot make it",
                                  stage->path)
                 : OK;
}

/* 1 when the directory's summary.json is one of ours; -errno when that cannot be told. A person's own files
 * may have the same names. */
static int has_our_summary(const char *directory)
{
    char path[PATH_ROOM + 32], text[4096];
    snprintf(path, sizeof path, "%s/summary.json", directory);
    int fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ENOENT || fd == -ELOOP ? 0 : fd;
    ssize_t n = sys_pread_full(fd, text, sizeof text - 1, 0);
    sys_close(fd);
    if (n < 0)
        return (int)n;
    text[n] = 0;
    return strstr(text, "\"bill_date\"") != NULL && strstr(text, "\"classes\"") != NULL;
}

/* What stands where the results shall go must be tieout's own, or nothing. */
static enum err check_final(const struct stage *stage, struct diag *diag)
{
    struct stat st;
    int error = sys_lstat(stage->final, &st);
    enum err err = OK;
    if (error && error != -ENOENT && error != -ENOTDIR)
        err = diag_set_errno(diag, -error, "out.directory", "%s: cannot look at it", stage->final);
    else if (error == 0 && !S_ISDIR(st.st_mode))
        err = diag_set(
            diag, ERR_USAGE, "out.directory", "name another directory with --out=", "%s is %s", stage->final,
            S_ISLNK(st.st_mode) ? "a symbolic link, which is not followed" : "a file, not a directory");
    else if (error == 0) {
        struct stat above;
        DIR *dir = opendir(stage->final);
        if (!dir)
            err = diag_set_errno(diag, errno, "out.directory", "%s: cannot read it", stage->final);
        else if (stat(stage->parent, &above) == 0 && above.st_dev != st.st_dev)
            err = diag_set(
                diag, ERR_USAGE, "out.directory", "name a folder in it, such as --out=that/result",
                "%s is a mount point: results replace a directory as a whole, which a mount point cannot be",
                stage->final);
        struct dirent *entry;
        int count = 0;
        while (dir && err == OK && (entry = readdir(dir))) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            count++;
            if (!is_ours(stage->names, entry->d_name))
                err = diag_set(diag, ERR_USAGE, "out.directory",
                               "name another directory with --out=; results replace a directory as a whole",
                               "%s holds files that are not tieout's results (%s)", stage->final,
                               entry->d_name);
        }
        int ours = err == OK && count ? has_our_summary(stage->final) : 1;
        if (ours < 0)
            err =
                diag_set_errno(diag, -ours, "out.directory", "%s/summary.json: cannot read it", stage->final);
        else if (ours == 0)
            err = diag_set(diag, ERR_USAGE, "out.directory",
                           "name another directory with --out=; results replace a directory as a whole",
                           "%s holds files that have the names of results, but no summary.json of tieout's",
                           stage->final);
        if (dir)
            closedir(dir);
    }
    return err;
}

enum err stage_open(struct stage **out, const char *final_dir, const char *const *names, struct diag *diag)
{
    *out = NULL;
    if (strlen(final_dir) >= PATH_ROOM - 64 || !*final_dir)
        return diag_set(diag, ERR_USAGE, "out.directory", NULL, "the output directory's name is %s",
                        *final_dir ? "too long" : "empty");
    struct stage *stage = mem_take_zero(1, sizeof *stage);
    if (!stage)
        return mem_fail(diag, sizeof *stage, "the output directory");
    stage->names = names;
    stage->lock_fd = -1;
    stage->parent_kept = SIZE_MAX;
    strcpy(stage->final, final_dir);
    for (size_t n = strlen(stage->final); n > 1 && stage->final[n - 1] == '/'; n--)
        stage->final[n - 1] = 0;
    const char *slash = strrchr(stage->final, '/');
    const char *name = slash ? slash + 1 : stage->final;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !*name || strlen(name) > 200) {
        mem_give(stage);
        return diag_set(diag, ERR_USAGE, "out.directory", "name a directory of its own, such as --out=result",
                        "\"%s\" cannot be the output directory: it is replaced as a whole", final_dir);
    }
    snprintf(stage->parent, sizeof stage->parent, "%.*s",
             slash ? (int)(slash == stage->final ? 1 : slash - stage->final) : 1, slash ? stage->final : ".");

    enum err err = check_final(stage, diag);
    char prefix[512];
    snprintf(prefix, sizeof prefix, ".%.200s.tieout-", name);
    if (err == OK)
        err = make_folder(stage, prefix, diag);
    if (err != OK) {
        remove_parents(stage);
        mem_give(stage);
        return err;
    }
    *out = stage;
    return OK;
}

const char *stage_path(const struct stage *stage)
{
    return stage->path;
}

static int sync_directory(const char *path)
{
    int fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    int error = fd < 0 ? fd : sys_fsync(fd);
    if (fd >= 0)
        sys_close(fd);
    return error;
}

/* The results are in place; their name may not be durable yet. */
static enum err sync_parent(const struct stage *stage, struct diag *diag)
{
    const int error = sync_directory(stage->parent);
    return error ? diag_set_errno(diag, -error, "out.fsync",
                                  "%s: the results are there, whole, but a loss of power may take them back: "
                                  "cannot make the folder %s durable",
                                  stage->final, stage->parent)
                 : OK;
}

enum err stage_publish(struct stage *stage, struct diag *diag)
{
    enum err err = OK;
    int error = sync_directory(stage->path);
    if (error)
        return diag_set_errno(diag, -error, "out.fsync", "%s: cannot make the folder durable", stage->path);
    error = sys_rename(stage->path, stage->final);
    if (error == -ENOTEMPTY || error == -EEXIST) {
        if ((err = check_final(stage, diag)) != OK) /* somebody put a file there meanwhile */
            return err;
        /* Results of an earlier run stand there: swap, so that at no moment there is none. The old ones go
         * with the staging name. */
        error = sys_exchange(stage->path, stage->final);
        if (error == 0) {
            stage->published = 1;
            err = sync_parent(stage, diag);
            remove_directory(stage->names, stage->path);
            return err;
        }
    }
    if (error)
        return diag_set_errno(diag, -error, "out.rename", "%s: cannot put the results in place",
                              stage->final);
    stage->published = 1;
    return sync_parent(stage, diag);
}

void stage_close(struct stage *stage)
{
    if (!stage)
        return;
    if (!stage->published) {
        remove_directory(stage->names, stage->path);
        remove_parents(stage);
    }
    if (stage->lock_fd >= 0)
        sys_close(stage->lock_fd);
    mem_give(stage);
}
