/* io/store/verdict_log.c: see verdict_log.h
 *
 *     file   = "tieout verdicts 1\n" frame ...
 *     frame  = u32 bytes, u32 entries, u64 XXH3 of what follows and of the two before; then per entry: u32 size, bytes
 *     last   = a frame of 0 entries that holds the number of all entries, u64
 */
#include "io/store/verdict_log.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/sink/out_file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
    FRAME_BYTES = 128 * 1024,
    FRAME_HEAD = 16,
    FRAME_MAX = 64 << 20,
    PATH_ROOM = 4300,
    WRITE_BEHIND = 1 << 20
};
static const char magic[] = "tieout verdicts 1\n";
#define MAGIC_SIZE (sizeof magic - 1)

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static uint64_t frame_hash(const uint8_t *frame, size_t bytes)
{
    return hash_bytes(frame + FRAME_HEAD, bytes, get64(frame));
}

struct verdict_log {
    int fd;
    char path[PATH_ROOM];
    uint8_t *frame;
    size_t used, room; /* head included */
    uint32_t in_frame;
    uint64_t entries, offset, on_its_way; /* bytes of which the disk was told */
    struct digest *digest;
    struct verdict_head head;
};

static enum err write_out(struct verdict_log *log, const void *bytes, size_t size, struct diag *diag)
{
    digest_put(log->digest, bytes, size);
    int error = sys_pwrite_full(log->fd, bytes, size, log->offset);
    log->offset += size;
    if (log->offset - log->on_its_way >= WRITE_BEHIND) {
        sys_start_write(log->fd, log->on_its_way, log->offset - log->on_its_way);
        log->on_its_way = log->offset;
    }
    return error ? out_write_failed(diag, -error, "state.write", log->path, size) : OK;
}

static enum err flush(struct verdict_log *log, struct diag *diag)
{
    put32(log->frame, (uint32_t)(log->used - FRAME_HEAD));
    put32(log->frame + 4, log->in_frame);
    put64(log->frame + 8, frame_hash(log->frame, log->used - FRAME_HEAD));
    log->head.print = hash_bytes(log->frame + 8, 8, log->head.print);
    enum err err = write_out(log, log->frame, log->used, diag);
    log->used = FRAME_HEAD;
    log->in_frame = 0;
    return err;
}

enum err verdict_log_create(struct verdict_log **out, const char *path, struct diag *diag)
{
    *out = NULL;
    struct verdict_log *log = mem_take_zero(1, sizeof *log);
    if (!log)
        return mem_fail(diag, sizeof *log, "the verdict log");
    log->fd = -1;
    log->room = FRAME_BYTES + FRAME_HEAD;
    log->used = FRAME_HEAD;
    log->frame = mem_take(log->room);
    log->digest = digest_open();
    enum err err = log->frame && log->digest ? OK : mem_fail(diag, log->room, "the verdict log");
    if (err == OK && snprintf(log->path, sizeof log->path, "%s.new", path) >= (int)sizeof log->path)
        err = diag_set(diag, ERR_USAGE, "state.path", NULL, "the state folder's name is too long");
    if (err == OK) {
        log->fd = sys_open(log->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
        if (log->fd < 0)
            err = diag_set_errno(diag, -log->fd, "state.write", "%s: cannot make it", log->path);
    }
    if (err == OK) {
        digest_begin(log->digest);
        err = write_out(log, magic, MAGIC_SIZE, diag);
    }
    if (err != OK) {
        verdict_log_drop(log);
        return err;
    }
    *out = log;
    return OK;
}

enum err verdict_log_put(struct verdict_log *log, const void *entry, size_t size, struct diag *diag)
{
    if (log->in_frame && log->used + 4 + size > FRAME_BYTES + FRAME_HEAD) {
        enum err err = flush(log, diag);
        if (err != OK)
            return err;
    }
    if (log->used + 4 + size > log->room) { /* an entry larger than a frame has one of its own */
        uint8_t *grown = mem_grow(log->frame, log->used + 4 + size);
        if (!grown)
            return mem_fail(diag, size, "the verdict log");
        log->frame = grown;
        log->room = log->used + 4 + size;
    }
    unsigned kind, class_id;
    if (!entry_peek(entry, size, &kind, &class_id))
        return diag_set(diag, ERR_BUG, "verdicts.entry", NULL, "%s: what was to be written is no entry",
                        log->path);
    log->head.seen.classes[kind] |= 1u << class_id;
    put32(log->frame + log->used, (uint32_t)size);
    memcpy(log->frame + log->used + 4, entry, size);
    log->used += 4 + size;
    log->in_frame++;
    log->entries++;
    return OK;
}

enum err verdict_log_seal(struct verdict_log *log, uint64_t *entries, char sha[VERDICT_SHA_TEXT],
                          struct verdict_head *head, struct diag *diag)
{
    enum err err = log->in_frame ? flush(log, diag) : OK;
    if (err == OK) {
        put64(log->frame + FRAME_HEAD, log->entries);
        log->used = FRAME_HEAD + 8;
        err = flush(log, diag);
    }
    char text[DIGEST_TEXT];
    digest_end(log->digest, text);
    snprintf(sha, VERDICT_SHA_TEXT, "%s", text + strlen("sha256:"));
    *entries = log->entries;
    if (head)
        *head = log->head;
    return err;
}

void verdict_log_drop(struct verdict_log *log)
{
    if (!log)
        return;
    if (log->fd >= 0)
        sys_close(log->fd);
    digest_close(log->digest);
    mem_give(log->frame);
    mem_give(log);
}

struct verdict_reader {
    int fd;
    char path[PATH_ROOM];
    uint8_t *frame;
    size_t used, at, room;
    uint32_t left; /* entries in the frame */
    uint64_t offset, frame_at, entries;
    int ended;
    const struct verdict_wish *wish; /* NULL: all */
    struct verdict_wish *seen;
    uint64_t print;
};

static enum err damaged(const struct verdict_reader *r, const char *what, struct diag *diag)
{
    return diag_set(diag, ERR_STATE, "verdicts.damaged", "bring the state folder back from a backup",
                    "%s: is damaged in the frame at byte %llu: %s", r->path, (unsigned long long)r->frame_at,
                    what);
}

enum err verdict_log_open(struct verdict_reader **out, const char *path, struct diag *diag)
{
    *out = NULL;
    struct verdict_reader *r = mem_take_zero(1, sizeof *r);
    if (!r)
        return mem_fail(diag, sizeof *r, "the verdict log");
    char head[MAGIC_SIZE];
    snprintf(r->path, sizeof r->path, "%s", path);
    r->fd = sys_open(path, O_RDONLY, 0);
    r->room = FRAME_BYTES + FRAME_HEAD;
    r->frame = mem_take(r->room);
    enum err err = r->frame ? OK : mem_fail(diag, r->room, "the verdict log");
    if (err == OK && r->fd == -ENOENT)
        err = diag_set(diag, ERR_STATE, "verdicts.missing", "bring the state folder back from a backup",
                       "%s: is not there", path);
    else if (err == OK && r->fd < 0)
        err = diag_set_errno(diag, -r->fd, "state.read", "%s: cannot open it", path);
    if (err == OK) {
        ssize_t n = sys_pread_full(r->fd, head, MAGIC_SIZE, 0);
        if (n < 0)
            err = diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", path);
        else if (n != MAGIC_SIZE || memcmp(head, magic, MAGIC_SIZE) != 0)
            err = damaged(r, "it is no segment of a verdict log, or of another version", diag);
        r->offset = MAGIC_SIZE;
    }
    if (err != OK) {
        verdict_log_close(r);
        return err;
    }
    *out = r;
    return OK;
}

static enum err read_at(struct verdict_reader *r, void *out, size_t size, struct diag *diag)
{
    ssize_t n = sys_pread_full(r->fd, out, size, r->offset);
    if (n < 0)
        return diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", r->path);
    if ((size_t)n != size)
        return damaged(r, "the file ends in it", diag);
    r->offset += size;
    return OK;
}

static enum err next_frame(struct verdict_reader *r, struct diag *diag)
{
    r->frame_at = r->offset;
    enum err err = read_at(r, r->frame, FRAME_HEAD, diag);
    if (err != OK)
        return err;
    const uint32_t bytes = get32(r->frame);
    if (bytes > FRAME_MAX)
        return damaged(r, "its size cannot be", diag);
    if (bytes + FRAME_HEAD > r->room) {
        uint8_t *grown = mem_grow(r->frame, (size_t)bytes + FRAME_HEAD);
        if (!grown)
            return mem_fail(diag, bytes, "the verdict log");
        r->frame = grown;
        r->room = (size_t)bytes + FRAME_HEAD;
    }
    if ((err = read_at(r, r->frame + FRAME_HEAD, bytes, diag)) != OK)
        return err;
    if (frame_hash(r->frame, bytes) != get64(r->frame + 8))
        return damaged(r, "its checksum is wrong", diag);
    r->used = FRAME_HEAD + bytes;
    r->at = FRAME_HEAD;
    r->print = hash_bytes(r->frame + 8, 8, r->print);
    r->left = get32(r->frame + 4);
    if (r->left == 0) {
        uint8_t more;
        if (bytes != 8 || get64(r->frame + FRAME_HEAD) != r->entries)
            return damaged(r, "frames before it are missing", diag);
        if (sys_pread_full(r->fd, &more, 1, r->offset) != 0)
            return damaged(r, "something follows the end", diag);
        r->ended = 1;
    }
    return OK;
}

uint64_t verdict_log_print(const struct verdict_reader *r)
{
    return r->print;
}

void verdict_log_only(struct verdict_reader *r, const struct verdict_wish *wish, struct verdict_wish *seen)
{
    r->wish = wish;
    r->seen = seen;
}

/* Passes by what nobody wants, without looking at more than its kind and class. */
static void skip_unwanted(struct verdict_reader *r)
{
    while (r->left) {
        const size_t left = r->used - r->at;
        const uint32_t size = left >= 4 ? get32(r->frame + r->at) : UINT32_MAX;
        unsigned kind, class_id;
        if (left < 4 || size > left - 4 || !entry_peek(r->frame + r->at + 4, size, &kind, &class_id))
            return; /* damaged: verdict_log_next says so */
        if (r->seen)
            r->seen->classes[kind] |= 1u << class_id;
        if (r->wish->classes[kind] >> class_id & 1)
            return;
        r->at += 4 + (size_t)size;
        r->left--;
        r->entries++;
    }
}

enum step verdict_log_next(struct verdict_reader *r, struct entry *entry, struct span *bytes,
                           struct diag *diag)
{
    while (!r->ended && r->left == 0) {
        if (next_frame(r, diag) != OK)
            return STEP_FAILED;
        if (r->wish)
            skip_unwanted(r);
    }
    if (r->ended)
        return STEP_DONE;
    const size_t left = r->used - r->at;
    const uint32_t size = left >= 4 ? get32(r->frame + r->at) : UINT32_MAX;
    if (left < 4 || size > left - 4 || !entry_decode(entry, r->frame + r->at + 4, size)) {
        damaged(r, "an entry in it cannot be read", diag);
        return STEP_FAILED;
    }
    if (bytes)
        *bytes = (struct span){(const char *)r->frame + r->at + 4, size};
    r->at += 4 + (size_t)size;
    r->left--;
    r->entries++;
    if (r->wish)
        skip_unwanted(r);
    return STEP_MORE;
}

void verdict_log_close(struct verdict_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        sys_close(r->fd);
    mem_give(r->frame);
    mem_give(r);
}

void verdict_chain(char out[VERDICT_SHA_TEXT], const char *before, const char *sha)
{
    char text[DIGEST_TEXT] = "sha256:";
    struct digest *digest = digest_open();
    if (digest) {
        digest_begin(digest);
        digest_put(digest, before, strlen(before));
        digest_put(digest, "\n", 1);
        digest_put(digest, sha, strlen(sha));
        digest_put(digest, "\n", 1);
        digest_end(digest, text);
        digest_close(digest);
    }
    snprintf(out, VERDICT_SHA_TEXT, "%s", text + strlen("sha256:"));
}
