/* io/store/witness.c: see witness.h */
#include "io/store/witness.h"
#include "core/base/hash.h"
#include "io/ring/sys.h"
#include "io/store/generation.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum { TEXT_MAX = 400, PATH_ROOM = STATE_PATH_MAX + 64 };

/* How far a state is. Both numbers only grow. */
struct stand {
    int64_t segment, hands;
    char chain[VERDICT_SHA_TEXT];
};

static int name_it(char path[PATH_ROOM], const struct state *state, const char *directory)
{
    return snprintf(path, PATH_ROOM, "%s/.book-%s", directory, state_id(state)) < PATH_ROOM ? 0
                                                                                            : -ENAMETOOLONG;
}

/* The sum is over all lines before it: a write that was cut short is none. */
static size_t print(char out[TEXT_MAX], const struct state *state, const struct stand *stand)
{
    const int n =
        snprintf(out, TEXT_MAX, "tieout witness 1\nid %s\nsegment %lld %s\nhands %lld\n", state_id(state),
                 (long long)stand->segment, stand->chain[0] ? stand->chain : "-", (long long)stand->hands);
    const uint64_t sum = hash_bytes(out, (size_t)n, 0);
    return (size_t)n +
           (size_t)snprintf(out + n, TEXT_MAX - (size_t)n, "sum %016llx\n", (unsigned long long)sum);
}

/* 1: read; 0: nothing is there, or nothing that can be understood. */
static int read_open(int fd, const struct state *state, struct stand *stand)
{
    _Static_assert(STATE_ID_TEXT == 33 && VERDICT_SHA_TEXT == 65, "what the format below may write");
    char text[TEXT_MAX] = "", again[TEXT_MAX], id[STATE_ID_TEXT];
    long long segment, hands;
    *stand = (struct stand){0};
    const ssize_t n = sys_pread_full(fd, text, sizeof text - 1, 0);
    if (n <= 0 || sscanf(text, "tieout witness 1\nid %32s\nsegment %lld %64s\nhands %lld\n", id, &segment,
                         stand->chain, &hands) != 4)
        return 0;
    stand->segment = segment;
    stand->hands = hands;
    if (strcmp(stand->chain, "-") == 0)
        stand->chain[0] = 0;
    return strcmp(id, state_id(state)) == 0 && print(again, state, stand) == (size_t)n &&
           strcmp(again, text) == 0;
}

static enum err stand_of(struct state *state, struct stand *stand, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    struct segment head;
    enum err err = segment_head(state_db(state), &head, diag);
    if (err == OK)
        err = sqlite_prepare(&s, state_db(state), "SELECT coalesce(max(no), 0) FROM action", diag);
    if (err != OK)
        return err;
    *stand = (struct stand){.segment = head.number};
    snprintf(stand->chain, sizeof stand->chain, "%s", head.number ? head.chain : "");
    if (sqlite_step(s, diag) == STEP_MORE)
        stand->hands = sqlite_int(s, 0);
    sqlite_finish(s);
    return diag->err;
}

int witness_leave(struct state *state, const char *directory)
{
    char path[PATH_ROOM], text[TEXT_MAX];
    struct stand now, then;
    struct diag why = {0};
    if (name_it(path, state, directory) != 0)
        return -ENAMETOOLONG;
    const int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
    if (fd < 0)
        return fd;
    /* Two that end at once, a task and a person: the later one reads what both have done. Where a lock cannot be had the file may fall
     * behind for a while, no more. */
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    int error = stand_of(state, &now, &why) == OK ? 0 : -EIO;
    if (!error && (!read_open(fd, state, &then) || then.segment < now.segment || then.hands < now.hands)) {
        const size_t size = print(text, state, &now);
        error = sys_pwrite_full(fd, text, size, 0);
        if (!error)
            error = sys_truncate(fd, size);
    }
    sys_close(fd);
    return error;
}

static enum err older(const struct state *state, const char *path, const char *what, struct diag *diag)
{
    return diag_set(
        diag, ERR_STATE, "state.older",
        "bring the newest state folder back. If this is the newest that is left: note what was done by hand "
        "since, remove that file and go on; days that the state does not know are done again (task init, "
        "task run), their errors are open again and are pushed once more, under the ids that they had",
        "%s: is an older copy of this book's state: %s (%s says so)", state_directory(state), what, path);
}

enum err witness_check(struct state *state, const char *directory, struct diag *diag)
{
    char path[PATH_ROOM], what[200];
    struct stand now, then;
    struct segment segment;
    if (name_it(path, state, directory) != 0)
        return OK;
    const int fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0) /* nobody was here, or it was taken away */
        return OK;
    /* Read before the state is: what is committed in between makes the state the newer one. */
    const int known = read_open(fd, state, &then);
    sys_close(fd);
    if (!known)
        return OK;
    enum err err = stand_of(state, &now, diag);
    if (err != OK)
        return err;
    if (then.segment > now.segment) {
        snprintf(what, sizeof what, "it is at verdict segment %lld, and the book was at %lld already",
                 (long long)now.segment, (long long)then.segment);
        return older(state, path, what, diag);
    }
    const int found = then.segment ? segment_at(state_db(state), then.segment, &segment, diag) : 0;
    if (found < 0)
        return diag->err;
    if (then.segment && (!found || strcmp(segment.chain, then.chain) != 0)) {
        snprintf(what, sizeof what, "verdict segment %lld of it is another one than the book had",
                 (long long)then.segment);
        return older(state, path, what, diag);
    }
    if (then.hands > now.hands) {
        snprintf(what, sizeof what,
                 "it lacks the last %lld of %lld things that people did to errors (claim, resolve, void and "
                 "the like)",
                 (long long)(then.hands - now.hands), (long long)then.hands);
        return older(state, path, what, diag);
    }
    return OK;
}
