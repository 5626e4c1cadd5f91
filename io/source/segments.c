/* io/source/segments.c: see segments.h */
#include "io/source/segments.h"
#include "core/base/mem.h"
#include "io/format/binlog_event.h"
#include "io/ring/sys.h"
#include "io/store/sqlite.h"
#include <errno.h>
#include <stdio.h>

enum err segments_directory(char *out, size_t room, const struct job *job, enum side side, struct diag *diag)
{
    const char *dir = job->sources[side].replica.dir;
    int relative = dir[0] != '/' && strcmp(job->directory, ".") != 0;
    int n = snprintf(out, room, "%s%s%s", relative ? job->directory : "", relative ? "/" : "", dir);
    if (n < 0 || (size_t)n >= room || n > 3700)
        return diag_set(diag, ERR_USAGE, "path", NULL, "the path is too long: %.200s...", dir);
    return OK;
}

static enum err read_segments(struct file_set *set, uint32_t **numbers, struct sqlite *db,
                              const char *directory, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(&s, db, "SELECT number, name, size FROM segment ORDER BY number", diag);
    if (err != OK)
        return err;
    while (err == OK && sqlite_step(s, diag) == STEP_MORE) {
        char path[4096];
        uint32_t *grown = mem_grow(*numbers, (set->count + 1) * sizeof *grown);
        if (!grown) {
            err = mem_fail(diag, (set->count + 1) * sizeof *grown, "the list of segments");
            break;
        }
        *numbers = grown;
        grown[set->count] = (uint32_t)sqlite_int(s, 0);
        snprintf(path, sizeof path, "%s/%s", directory, sqlite_text(s, 1));
        err = file_set_add(set, path, (uint64_t)sqlite_int(s, 2), diag);
    }
    sqlite_finish(s);
    return err == OK ? diag->err : err;
}

static enum err read_origins(struct segments *segments, const struct file_set *set, const uint32_t *numbers,
                             struct sqlite *db, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db, "SELECT segment, offset, file, high FROM origin ORDER BY segment, offset", diag);
    if (err != OK)
        return err;
    uint32_t file = 0;
    size_t room = 0;
    while (err == OK && sqlite_step(s, diag) == STEP_MORE) {
        while (file < set->count && numbers[file] < (uint32_t)sqlite_int(s, 0))
            file++;
        if (file == set->count || numbers[file] != (uint32_t)sqlite_int(s, 0))
            continue;
        err = mem_list_more(&segments->origins, segments->count, &room, 64, "the origins of segments", diag);
        if (err != OK)
            break;
        const char *name = sqlite_text(s, 2);
        struct segment_origin *origin = &segments->origins[segments->count];
        *origin = (struct segment_origin){.file = file,
                                          .offset = (uint64_t)sqlite_int(s, 1),
                                          .high = (uint64_t)sqlite_int(s, 3),
                                          .name = mem_copy_text(name, strlen(name))};
        if (!origin->name)
            err = mem_fail(diag, strlen(name), "a file's name");
        else
            segments->count++;
    }
    sqlite_finish(s);
    return err == OK ? diag->err : err;
}

enum err capture_is_made(int *is_made, struct sqlite *db, struct diag *diag)
{
    struct sqlite_statement *s;
    *is_made = 0;
    enum err err = sqlite_prepare(&s, db, "SELECT 1 FROM sqlite_master WHERE name = 'capture'", diag);
    if (err != OK)
        return err;
    const enum step step = sqlite_step(s, diag);
    sqlite_finish(s);
    *is_made = step == STEP_MORE;
    return step == STEP_FAILED ? diag->err : OK;
}

/* Without a position there is nothing yet, or a part of a snapshot. */
static enum err check_begun(struct sqlite *db, const char *directory, struct diag *diag)
{
    struct sqlite_statement *s;
    int is_made;
    enum step step = STEP_DONE;
    enum err err = capture_is_made(&is_made, db, diag);
    if (err == OK && is_made)
        err = sqlite_prepare(&s, db, "SELECT 1 FROM capture WHERE server != ''", diag);
    if (err != OK)
        return err;
    if (is_made) {
        step = sqlite_step(s, diag);
        sqlite_finish(s);
    }
    if (step == STEP_DONE)
        err = diag_set(diag, ERR_INPUT, "capture.begun",
                       "wait for it, or see `tieout capture JOB.yaml --status`",
                       "%s: the capture has no position yet: its snapshot is not whole", directory);
    return step == STEP_FAILED ? diag->err : err;
}

enum err segments_open(struct segments *segments, struct file_set *set, const char *directory,
                       struct diag *diag)
{
    char path[4096];
    struct stat st;
    struct sqlite *db = NULL;
    uint32_t *numbers = NULL;
    memset(segments, 0, sizeof *segments);
    memset(set, 0, sizeof *set);
    snprintf(path, sizeof path, "%s/capture.db", directory);
    if (sys_lstat(path, &st) != 0)
        return diag_set(diag, ERR_INPUT, "capture.none",
                        "run `tieout capture JOB.yaml` first; it reads what the server sends",
                        "%s: nothing was captured yet", directory);
    enum err err = sqlite_open(&db, path, SQLITE_WRITE, diag);
    /* One transaction: segments and origins of one checkpoint. */
    if (err == OK)
        err = sqlite_exec(db, "BEGIN", diag);
    if (err == OK)
        err = check_begun(db, directory, diag);
    if (err == OK)
        err = read_segments(set, &numbers, db, directory, diag);
    if (err == OK)
        err = read_origins(segments, set, numbers, db, diag);
    if (db)
        sqlite_rollback(db);
    sqlite_close(db);
    mem_give(numbers);
    if (err != OK) {
        segments_close(segments);
        file_set_close(set);
    }
    return err;
}

void segments_close(struct segments *segments)
{
    for (size_t i = 0; i < segments->count; i++)
        mem_give(segments->origins[i].name);
    mem_give(segments->origins);
    memset(segments, 0, sizeof *segments);
}

const char *segments_place(const struct segments *segments, struct file_set *set, uint32_t file,
                           uint64_t offset, uint64_t *origin_offset)
{
    size_t low = 0, high = segments->count; /* the last one that is not behind */
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        const struct segment_origin *origin = &segments->origins[mid];
        if (origin->file < file || (origin->file == file && origin->offset <= offset))
            low = mid;
        else
            high = mid;
    }
    uint8_t head[BINLOG_HEADER_SIZE];
    ssize_t n = input_pread(&set->files[file], head, sizeof head, offset);
    if (segments->count == 0 || n != (ssize_t)sizeof head) {
        errno = n < 0 ? (int)-n : EIO;
        return NULL;
    }
    *origin_offset = segments->origins[low].high | (uint32_t)(read_le32(head + 13) - read_le32(head + 9));
    return segments->origins[low].name;
}
