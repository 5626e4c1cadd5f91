/* io/store/state.c: see state.h */
#include "io/store/state.h"
#include "core/base/mem.h"
#include "io/ring/sync_set.h"
#include "io/ring/sys.h"
#include "io/store/alarm.h"
#include "io/store/budget_book.h"
#include "io/store/delivery.h"
#include "io/store/generation.h"
#include "io/store/handling.h"
#include "io/store/id_book.h"
#include "io/store/log_book.h"
#include "io/store/manifest.h"
#include "io/store/migrate.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { CHAIN_ROOM = 80, CHECK_BYTES_MAX = 16 << 20, WAL_WARN = 64 << 20 };

struct state {
    struct sqlite *db;
    char directory[STATE_PATH_MAX];
    char id[STATE_ID_TEXT];
    char owner[120];
    uint64_t seed;
    enum state_mode mode;
    int lock_fd;
    int in_run;
    int64_t left_at; /* a run that did not come to its end began then; 0: the last one did */
};

static const char state_schema[] =
    "CREATE TABLE book (id TEXT NOT NULL, seed INTEGER NOT NULL, made_at INTEGER NOT NULL);\n"
    "CREATE TRIGGER book_is_one BEFORE INSERT ON book WHEN (SELECT count(*) FROM book) > 0\n"
    "  BEGIN SELECT RAISE(ABORT, 'a state belongs to one book'); END;\n";

/* Everything that lives in state.db, in the order in which it is made. */
static const char *const schemas[] = {
    state_schema,     task_schema,     generation_schema, manifest_schema, error_order_schema,
    error_ids_schema, delivery_schema, handling_schema,   alarm_schema,    NULL};

/* What states that were made before do not have: made where it is not there. */
static const char *const later_schemas[] = {id_book_schema, budget_book_schema, log_book_schema, NULL};
static const char *const later_folders[] = {"ids", NULL};

static const char hint_backup[] = "bring the whole state folder back from a backup; to begin anew on "
                                  "purpose, move it away and run: tieout task init";

/* ---- small files ---- */

static int exists(const char *directory, const char *name)
{
    char path[STATE_PATH_MAX + 64];
    struct stat st;
    snprintf(path, sizeof path, "%s%s%s", directory, name[0] ? "/" : "", name);
    return sys_lstat(path, &st) == 0;
}

static enum err sync_directory(const char *path, struct diag *diag)
{
    const int error = sys_fsync_folder(path);
    return error ? diag_set_errno(diag, -error, "state.fsync", "%s: cannot make the folder durable", path)
                 : OK;
}

struct head {
    char id[STATE_ID_TEXT];
    int64_t number;
    char chain[CHAIN_ROOM];
};

static enum err write_book(const char *directory, const struct head *head, struct diag *diag)
{
    char path[STATE_PATH_MAX + 64], text[400];
    snprintf(text, sizeof text, "tieout book 1\nid %s\nhead %lld %s\n", head->id, (long long)head->number,
             head->chain[0] ? head->chain : "-");
    snprintf(path, sizeof path, "%s/BOOK", directory);
    const int error = sys_replace(path, text, strlen(text));
    return error ? diag_set_errno(diag, -error, "state.write", "%s: cannot write it", path) : OK;
}

/* 1: read; 0: not there; a damaged one is an error. */
static int read_book(const char *directory, struct head *head, struct diag *diag)
{
    char path[STATE_PATH_MAX + 64], text[400] = "";
    snprintf(path, sizeof path, "%s/BOOK", directory);
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd == -ENOENT)
        return 0;
    ssize_t n = fd < 0 ? fd : sys_pread_full(fd, text, sizeof text - 1, 0);
    if (fd >= 0)
        sys_close(fd);
    if (n < 0) {
        diag_set_errno(diag, (int)-n, "state.read", "%s: cannot read it", path);
        return -1;
    }
    long long number;
    memset(head, 0, sizeof *head);
    if (sscanf(text, "tieout book 1\nid %32s\nhead %lld %79s\n", head->id, &number, head->chain) != 3 ||
        number < 0) {
        diag_set(diag, ERR_STATE, "state.damaged", hint_backup,
                 "%s: is damaged: it does not say whose state this is", path);
        return -1;
    }
    head->number = number;
    if (strcmp(head->chain, "-") == 0)
        head->chain[0] = 0;
    return 1;
}

/* ---- making one ---- */

static enum err fill(struct sqlite *db, const char *id, struct diag *diag)
{
    char text[200];
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return diag_set_errno(diag, errno, "random", "cannot get random bytes");
    enum err err = sqlite_begin(db, diag);
    for (int i = 0; err == OK && schemas[i]; i++)
        err = sqlite_exec(db, schemas[i], diag);
    for (int i = 0; err == OK && later_schemas[i]; i++)
        err = sqlite_exec(db, later_schemas[i], diag);
    snprintf(text, sizeof text, "INSERT INTO book VALUES ('%s', %lld, %lld)", id, (long long)seed,
             (long long)time(NULL));
    if (err == OK)
        err = sqlite_exec(db, text, diag);
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", STATE_APPLICATION,
             STATE_VERSION);
    if (err == OK)
        err = sqlite_exec(db, text, diag);
    if (err == OK)
        return sqlite_commit(db, diag);
    sqlite_rollback(db);
    return err;
}

static enum err make_directory(const char *directory, const char *name, struct diag *diag)
{
    char path[STATE_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s%s%s", directory, name[0] ? "/" : "", name);
    int error = sys_mkdir(path, 0700);
    return error && error != -EEXIST
               ? diag_set_errno(diag, -error, "state.create", "%s: cannot make it", path)
               : OK;
}

int state_exists(const char *directory)
{
    return exists(directory, "BOOK") || exists(directory, "state.db") || exists(directory, "verdicts");
}

/* Waits for whoever makes a state here, and with LOCK_EX keeps others from it until the descriptor is closed. -errno. */
static int hold_directory(const char *directory, int how)
{
    const int fd = sys_open(directory, O_RDONLY | O_DIRECTORY, 0);
    while (fd >= 0 && flock(fd, how) != 0)
        if (errno != EINTR) {
            const int error = -errno;
            sys_close(fd);
            return error;
        }
    return fd;
}

static enum err create(const char *directory, struct diag *diag);

enum err state_create(const char *directory, struct diag *diag)
{
    if (strlen(directory) >= STATE_PATH_MAX - 128)
        return diag_set(diag, ERR_USAGE, "state.path", NULL, "the state folder's name is too long");
    enum err err = make_directory(directory, "", diag);
    if (err != OK)
        return err;
    const int fd = hold_directory(directory, LOCK_EX);
    if (fd < 0)
        return diag_set_errno(diag, -fd, "state.create", "%s: cannot be locked", directory);
    err = create(directory, diag);
    sys_close(fd);
    return err;
}

/* With what stands beside it, which would be taken for a later one's. */
static void remove_fresh(const char *path)
{
    static const char *const ends[] = {"-wal", "-shm", ""};
    char name[STATE_PATH_MAX + 80];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        sys_unlink(name);
    }
}

static enum err create(const char *directory, struct diag *diag)
{
    /* The database is made under another name: whatever is killed here leaves nothing that looks like a state. */
    char fresh[STATE_PATH_MAX + 64], path[STATE_PATH_MAX + 64];
    snprintf(fresh, sizeof fresh, "%s/state.db.new", directory);
    snprintf(path, sizeof path, "%s/state.db", directory);
    struct head head = {0};
    uint8_t random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return diag_set_errno(diag, errno, "random", "cannot get random bytes");
    for (int i = 0; i < 16; i++)
        snprintf(head.id + 2 * i, 3, "%02x", random[i]);
    enum err err = OK;
    if (state_exists(directory))
        return diag_set(diag, ERR_STATE, "state.exists", hint_backup, "%s: there is, or was, a state already",
                        directory);
    remove_fresh(fresh);
    struct sqlite *db = NULL;
    if (err == OK)
        err = sqlite_open(&db, fresh, SQLITE_CREATE, diag);
    if (err == OK)
        err = fill(db, head.id, diag);
    if (err == OK)
        err = sqlite_put_sums(db, diag);
    if (err == OK) /* on a disk that is full it would stay in the log, which has the other name */
        err = sqlite_write_back(db, diag);
    sqlite_close(db); /* the last connection: its log is gone */
    if (err == OK)
        err = make_directory(directory, "suspense", diag);
    int fd = err == OK ? sys_open(fresh, O_RDWR, 0) : -1;
    if (err == OK) {
        int error = fd < 0 ? fd : sys_fsync(fd);
        if (!error)
            error = sys_rename(fresh, path);
        if (error)
            err = diag_set_errno(diag, -error, "state.create", "%s: cannot put it in place", path);
    }
    if (fd >= 0)
        sys_close(fd);
    if (err != OK)
        remove_fresh(fresh);
    if (err == OK)
        err = make_directory(directory, "verdicts", diag);
    for (int i = 0; err == OK && later_folders[i]; i++)
        err = make_directory(directory, later_folders[i], diag);
    if (err == OK)
        err = sync_directory(directory, diag);
    return err == OK ? write_book(directory, &head, diag) : err;
}

/* ---- opening ---- */

static void who_am_i(char *out, size_t room)
{
    char boot[40] = "";
    int fd = sys_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
    ssize_t n = fd < 0 ? 0 : sys_pread_full(fd, boot, 36, 0);
    if (fd >= 0)
        sys_close(fd);
    boot[n > 0 ? n : 0] = 0;
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    snprintf(out, room, "process %d, boot %s, %lld s after it", (int)getpid(), boot[0] ? boot : "unknown",
             (long long)t.tv_sec);
}

static int64_t one_int(struct sqlite *db, const char *sql, enum err *err, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    int64_t value = 0;
    if (*err == OK)
        *err = sqlite_prepare(&s, db, sql, diag);
    if (*err == OK) {
        enum step step = sqlite_step(s, diag);
        if (step == STEP_MORE)
            value = sqlite_int(s, 0);
        else if (step == STEP_FAILED)
            *err = diag->err;
    }
    sqlite_finish(s);
    return value;
}

static enum err check_all_pages(struct state *state, const char *path, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, state->db, "PRAGMA quick_check(1)", diag);
    if (err == OK && sqlite_step(s, diag) == STEP_MORE && strcmp(sqlite_text(s, 0), "ok") != 0) {
        const char *text = sqlite_text(s, 0), *page = strstr(text, "Page ");
        long long number;
        if (page && strstr(text, "8202") && sscanf(page, "Page %lld", &number) == 1) /* SQLITE_IOERR_DATA */
            err = diag_set(diag, ERR_STATE, "state.damaged", hint_backup,
                           "%s: is damaged: page %lld of it is not what was written: its sum differs", path,
                           number);
        else
            err = diag_set(diag, ERR_STATE, "state.damaged", hint_backup, "%s: is damaged: %s", path, text);
    }
    if (err == OK && diag->err != OK)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

/* Whether the bytes are whole: all of them while that is quick; a page of a large state is looked at when it is read. */
static enum err check_pages(struct state *state, const char *path, struct diag *diag)
{
    struct stat st;
    if (sys_lstat(path, &st) != 0 || st.st_size > CHECK_BYTES_MAX)
        return OK;
    return check_all_pages(state, path, diag);
}

enum err state_check(struct state *state, struct diag *diag)
{
    char path[STATE_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/state.db", state->directory);
    return check_all_pages(state, path, diag);
}

static enum err take_lock(struct state *state, struct diag *diag)
{
    char path[STATE_PATH_MAX + 64], who[160] = "";
    snprintf(path, sizeof path, "%s/lock", state->directory);
    int fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (fd < 0)
        return diag_set_errno(diag, -fd, "state.lock", "%s: cannot open it", path);
    const int refused = sys_lock_alone(fd);
    if (refused) {
        ssize_t n = sys_pread_full(fd, who, sizeof who - 1, 0);
        who[n > 0 ? n : 0] = 0;
        sys_close(fd);
        if (refused != -EWOULDBLOCK)
            return diag_set_errno(diag, -refused, "state.lock", "%s: cannot lock it", path);
        return diag_set(diag, ERR_STATE, "state.locked", "let it end; `tieout status` shows how far it is",
                        "%s: another tieout does this book's tasks now (%s)", state->directory, who);
    }
    /* Whose it is, for people; the lock is the kernel's. What was not emptied is of a run that did not come to its end. */
    struct stat st;
    int error = sys_fstat(fd, &st);
    if (!error && st.st_size > 0)
        state->left_at = (int64_t)st.st_mtime;
    if (!error)
        error = sys_truncate(fd, 0);
    if (!error)
        error = sys_pwrite_full(fd, state->owner, strlen(state->owner), 0);
    if (!error && state->left_at) { /* until it is told, its time stays */
        const struct timespec times[2] = {st.st_mtim, st.st_mtim};
        error = futimens(fd, times) == 0 ? 0 : -errno;
    }
    if (!error)
        error = sys_fsync(fd);
    if (error) {
        sys_close(fd);
        return diag_set_errno(diag, -error, "state.lock", "%s: cannot write it", path);
    }
    state->lock_fd = fd;
    return OK;
}

/* Nobody else may work at it meanwhile, also no older program; whoever comes at the same time waits, and finds it done. */
static enum err bring_up_to_date(struct state *state, const char *path, struct diag *diag)
{
    const int held = hold_directory(state->directory, LOCK_EX);
    if (held < 0)
        return diag_set_errno(diag, -held, "state.lock", "%s: cannot be locked", state->directory);
    enum err err = OK;
    const int64_t version = one_int(state->db, "PRAGMA user_version", &err, diag);
    const int has_lock = state->lock_fd >= 0;
    if (err == OK && version < STATE_VERSION)
        err = take_lock(state, diag);
    if (err == OK && version < STATE_VERSION)
        err = migrate_state(state->db, path, version, diag);
    if (!has_lock && state->lock_fd >= 0) {
        sys_close(state->lock_fd);
        state->lock_fd = -1;
    }
    sys_close(held);
    return err;
}

/* Whether state.db is this book's, of this program's version (an older one is brought to it), and not an older copy. */
static enum err check_identity(struct state *state, const struct head *head, const char *path,
                               struct diag *diag)
{
    enum err err = OK;
    int64_t application = one_int(state->db, "PRAGMA application_id", &err, diag);
    int64_t version = one_int(state->db, "PRAGMA user_version", &err, diag);
    if (err != OK)
        return err;
    if (application != STATE_APPLICATION)
        return diag_set(diag, ERR_STATE, "state.foreign", hint_backup,
                        "%s: is a database, but not a state of tieout's", path);
    if (version > STATE_VERSION)
        return diag_set(diag, ERR_STATE, "state.newer", "use the newer tieout that wrote it",
                        "%s: has version %lld, and this program knows %d", path, (long long)version,
                        STATE_VERSION);
    if (version < MIGRATE_OLDEST)
        return diag_set(
            diag, ERR_STATE, "state.version",
            "use the tieout that made it; to begin anew, move the state folder and the book's results "
            "away, and do its days again in order: tieout task init --date=YYYY-MM-DD",
            "%s: was made by an older tieout (version %lld, this program's is %d)", path, (long long)version,
            STATE_VERSION);
    if (version < STATE_VERSION && state->mode == STATE_READ)
        return diag_set(diag, ERR_STATE, "state.version",
                        "the next command that works at the book, such as tieout task run, brings it up to "
                        "date, and keeps a copy of it as it is",
                        "%s: was made by an older tieout (version %lld, this program's is %d)", path,
                        (long long)version, STATE_VERSION);
    struct sqlite_statement *s = NULL;
    err = sqlite_prepare(&s, state->db, "SELECT id, seed FROM book", diag);
    if (err == OK && sqlite_step(s, diag) == STEP_MORE) {
        snprintf(state->id, sizeof state->id, "%s", sqlite_text(s, 0));
        state->seed = (uint64_t)sqlite_int(s, 1);
    } else if (err == OK) {
        err = diag->err != OK
                  ? diag->err
                  : diag_set(diag, ERR_STATE, "state.damaged", hint_backup, "%s: names no book", path);
    }
    sqlite_finish(s);
    s = NULL;
    if (err == OK && strcmp(state->id, head->id) != 0)
        return diag_set(diag, ERR_STATE, "state.foreign", hint_backup,
                        "%s: is the state of book %s, and the folder is of book %s", path, state->id,
                        head->id);
    if (err == OK && head->number)
        err = sqlite_prepare(&s, state->db, "SELECT chain FROM verdict_segment WHERE number = ?1", diag);
    if (err == OK && head->number) {
        sqlite_bind_int(s, 1, head->number);
        enum step step = sqlite_step(s, diag);
        if (step == STEP_FAILED)
            err = diag->err;
        else if (step == STEP_DONE || strcmp(sqlite_text(s, 0), head->chain) != 0)
            err = diag_set(diag, ERR_STATE, "state.older", hint_backup,
                           "%s: is %s: the folder was at verdict segment %lld already", path,
                           step == STEP_DONE ? "an older copy of this book's state"
                                             : "another history of this book",
                           (long long)head->number);
    }
    sqlite_finish(s);
    return err == OK && version < STATE_VERSION ? bring_up_to_date(state, path, diag) : err;
}

enum err state_open(struct state **out, const char *directory, enum state_mode mode, struct diag *diag)
{
    *out = NULL;
    struct head head;
    if (strlen(directory) >= STATE_PATH_MAX - 128)
        return diag_set(diag, ERR_USAGE, "state.path", NULL, "the state folder's name is too long");
    const int held = hold_directory(directory, LOCK_SH); /* what is just being made is waited for */
    if (held >= 0)
        sys_close(held);
    const int known = read_book(directory, &head, diag);
    if (known < 0)
        return diag->err;
    if (!known && !exists(directory, "state.db"))
        return exists(directory, "verdicts")
                   ? diag_set(diag, ERR_STATE, "state.missing", hint_backup,
                              "%s: state.db and BOOK were removed, and verdicts are still there", directory)
                   : diag_set(diag, ERR_STATE, "state.none",
                              "make one: tieout task init --date=YYYY-MM-DD --jobs=DIR",
                              "%s: there is no state", directory);
    if (known && !exists(directory, "state.db"))
        return diag_set(diag, ERR_STATE, "state.missing", hint_backup, "%s: state.db was removed", directory);
    char path[STATE_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/state.db", directory);
    struct state *state = mem_take_zero(1, sizeof *state);
    if (!state)
        return mem_fail(diag, sizeof *state, "the state");
    state->lock_fd = -1;
    state->mode = mode;
    snprintf(state->directory, sizeof state->directory, "%s", directory);
    who_am_i(state->owner, sizeof state->owner);
    enum err err = sqlite_open(&state->db, path, mode == STATE_READ ? SQLITE_READ : SQLITE_WRITE, diag);
    if (err == OK)
        err = check_pages(state, path, diag);
    if (err == OK && !known) { /* killed while it was made: complete it, if nothing stands in it yet */
        enum err asked = OK;
        struct sqlite_statement *s = NULL;
        if (one_int(state->db, "SELECT count(*) FROM task", &asked, diag) || asked != OK)
            err = asked != OK ? asked
                              : diag_set(diag, ERR_STATE, "state.damaged", hint_backup,
                                         "%s: BOOK was removed", directory);
        if (err == OK && (err = sqlite_prepare(&s, state->db, "SELECT id FROM book", diag)) == OK &&
            sqlite_step(s, diag) == STEP_MORE)
            snprintf(head.id, sizeof head.id, "%s", sqlite_text(s, 0));
        sqlite_finish(s);
        head.number = 0;
        head.chain[0] = 0;
        if (err == OK && mode != STATE_READ)
            err = write_book(directory, &head, diag);
    }
    if (err == OK)
        err = check_identity(state, &head, path, diag);
    if (err != OK) {
        state_close(state);
        return err;
    }
    *out = state;
    return OK;
}

void state_close(struct state *state)
{
    if (!state)
        return;
    if (state->db && state->mode != STATE_READ) {
        const int64_t left = sqlite_checkpoint(state->db);
        if (left > WAL_WARN)
            fprintf(stderr,
                    "note: %s/state.db-wal has %lld MiB that could not be written back: some program has "
                    "held the "
                    "state open for long\n",
                    state->directory, (long long)(left >> 20));
    }
    sqlite_close(state->db);
    if (state->lock_fd >= 0) {
        if (!state->left_at && !state->in_run)
            sys_truncate(state->lock_fd, 0); /* what fails says too much on the next day, never too little */
        sys_close(state->lock_fd);
    }
    mem_give(state);
}

void state_begin_run(struct state *state)
{
    state->in_run = 1;
}

int64_t state_left_at(const struct state *state)
{
    return state->left_at;
}

void state_end_run(struct state *state)
{
    state->in_run = 0;
    state->left_at = 0;
}

enum err state_lock(struct state *state, struct diag *diag)
{
    if (state->lock_fd >= 0)
        return OK;
    enum err err = take_lock(state, diag);
    for (int i = 0; err == OK && later_schemas[i]; i++)
        err = sqlite_exec(state->db, later_schemas[i], diag);
    for (int i = 0; err == OK && later_folders[i]; i++)
        err = make_directory(state->directory, later_folders[i], diag);
    return err;
}

int state_is_locked(const char *directory, char *who, size_t room)
{
    char path[STATE_PATH_MAX + 64];
    who[0] = 0;
    if (snprintf(path, sizeof path, "%s/lock", directory) >= (int)sizeof path)
        return 0;
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return 0;
    const int locked = sys_is_locked(fd);
    if (locked) {
        ssize_t n = sys_pread_full(fd, who, room - 1, 0);
        who[n > 0 ? n : 0] = 0;
    }
    sys_close(fd);
    return locked;
}

struct sqlite *state_db(struct state *state)
{
    return state->db;
}

const char *state_directory(const struct state *state)
{
    return state->directory;
}

uint64_t state_seed(const struct state *state)
{
    return state->seed;
}

const char *state_id(const struct state *state)
{
    return state->id;
}

const char *state_owner(const struct state *state)
{
    return state->owner;
}

enum err state_advance(struct state *state, int64_t number, const char *chain, struct diag *diag)
{
    struct head head = {.number = number};
    snprintf(head.id, sizeof head.id, "%s", state->id);
    snprintf(head.chain, sizeof head.chain, "%s", chain);
    return write_book(state->directory, &head, diag);
}

enum err state_path(const struct state *state, char out[STATE_PATH_MAX], const char *name, struct diag *diag)
{
    if (snprintf(out, STATE_PATH_MAX, "%s/%s", state->directory, name) >= STATE_PATH_MAX - 8)
        return diag_set(diag, ERR_USAGE, "state.path", NULL, "the state folder's name is too long");
    return OK;
}

enum err state_files_publish(const struct state *state, const char *const *names, unsigned count,
                             struct diag *diag)
{
    char path[STATE_PATH_MAX], fresh[STATE_PATH_MAX + 8], folder[STATE_PATH_MAX] = "";
    struct sync_set *set = mem_take_zero(1, sizeof *set);
    enum err err = set ? OK : mem_fail(diag, sizeof *set, "the state's files");
    for (unsigned i = 0; err == OK && i < count; i++) {
        err = state_path(state, path, names[i], diag);
        snprintf(fresh, sizeof fresh, "%s.new", path);
        int fd = err == OK ? sys_open(fresh, O_RDWR, 0) : -1;
        if (err == OK)
            err = fd < 0 ? diag_set_errno(diag, -fd, "state.write", "%s: cannot put it in place", path)
                         : sync_set_add(set, fd, path, diag);
    }
    if (err == OK)
        err = sync_set_all(set, diag);
    for (unsigned i = 0; err == OK && i < count; i++) {
        err = state_path(state, path, names[i], diag);
        snprintf(fresh, sizeof fresh, "%s.new", path);
        const int error = err == OK ? sys_rename(fresh, path) : 0;
        if (error)
            err = diag_set_errno(diag, -error, "state.write", "%s: cannot put it in place", path);
        *strrchr(path, '/') = 0;
        if (err == OK && folder[0] && strcmp(folder, path) != 0)
            err = sync_directory(folder, diag);
        snprintf(folder, sizeof folder, "%s", path);
    }
    if (err == OK && count)
        err = sync_directory(folder, diag);
    if (set)
        sync_set_drop(set);
    mem_give(set);
    return err;
}

enum err state_file_publish(const struct state *state, const char *name, struct diag *diag)
{
    return state_files_publish(state, &name, 1, diag);
}
