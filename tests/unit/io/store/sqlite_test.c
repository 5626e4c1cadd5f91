/* tests/unit/io/store/sqlite_test.c: what is committed is there, what is not is not, and damage has a name */
#include "io/store/sqlite.h"
#include "tests/support/check_test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[200];

static void begin(void)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/tieout-sqlite-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(path))
        exit(4);
    strcat(path, "/state.db");
}

static void end(void)
{
    char command[300];
    *strrchr(path, '/') = 0;
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    EXPECT(system(command) == 0);
}

static int64_t count(struct sqlite *db)
{
    struct diag diag = {0};
    struct sqlite_statement *s;
    EXPECT(sqlite_prepare(&s, db, "SELECT count(*) FROM t", &diag) == OK);
    EXPECT(sqlite_step(s, &diag) == STEP_MORE);
    int64_t n = sqlite_int(s, 0);
    EXPECT(sqlite_step(s, &diag) == STEP_DONE);
    sqlite_finish(s);
    return n;
}

TEST(a_transaction_is_there_whole_or_not_at_all)
{
    begin();
    struct diag diag = {0};
    struct sqlite *db, *reader;
    EXPECT(sqlite_open(&db, path, SQLITE_CREATE, &diag) == OK);
    EXPECT(sqlite_exec(db, "CREATE TABLE t (a INTEGER NOT NULL, b TEXT NOT NULL, c BLOB)", &diag) == OK);
    struct sqlite_statement *s;
    EXPECT(sqlite_prepare(&s, db, "INSERT INTO t VALUES (?, ?, ?)", &diag) == OK);
    for (int round = 0; round < 2; round++) {
        EXPECT(sqlite_begin(db, &diag) == OK);
        for (int i = 0; i < 3; i++) {
            sqlite_bind_int(s, 1, INT64_MIN + i);
            sqlite_bind_text(s, 2, "x");
            sqlite_bind_bytes(s, 3, "\0y", 2);
            EXPECT(sqlite_step(s, &diag) == STEP_DONE);
        }
        if (round == 0)
            EXPECT(sqlite_commit(db, &diag) == OK);
        else
            sqlite_rollback(db);
    }
    sqlite_finish(s);
    EXPECT(sqlite_open(&reader, path, SQLITE_READ, &diag) == OK);
    EXPECT(count(db) == 3 && count(reader) == 3);
    EXPECT(sqlite_prepare(&s, reader, "SELECT * FROM t ORDER BY a", &diag) == OK);
    EXPECT(sqlite_step(s, &diag) == STEP_MORE);
    size_t size;
    EXPECT(sqlite_int(s, 0) == INT64_MIN && strcmp(sqlite_text(s, 1), "x") == 0);
    EXPECT(memcmp(sqlite_bytes(s, 2, &size), "\0y", 2) == 0 && size == 2);
    sqlite_finish(s);
    sqlite_close(reader);
    sqlite_close(db);
    struct stat st;
    EXPECT(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    end();
}

TEST(a_lock_of_others_is_waited_for_and_then_told_by_its_name)
{
    begin();
    struct diag diag = {0};
    struct sqlite *db, *other;
    EXPECT(sqlite_open(&db, path, SQLITE_CREATE, &diag) == OK);
    EXPECT(sqlite_exec(db, "CREATE TABLE t (a INTEGER)", &diag) == OK);
    EXPECT(sqlite_open(&other, path, SQLITE_WRITE, &diag) == OK);
    sqlite_wait(other, 1000);
    EXPECT(sqlite_begin(db, &diag) == OK && sqlite_exec(db, "INSERT INTO t VALUES (1)", &diag) == OK);
    EXPECT(sqlite_exec(other, "INSERT INTO t VALUES (2)", &diag) == ERR_STATE);
    EXPECT(strcmp(diag.code, "state.busy") == 0 && strstr(diag.what, "held it for 1 s (SQLITE_BUSY)"));
    EXPECT(sqlite_commit(db, &(struct diag){0}) == OK);
    diag = (struct diag){0};
    EXPECT(sqlite_exec(other, "INSERT INTO t VALUES (2)", &diag) == OK);
    sqlite_close(other);
    /* One that only reads makes nothing and changes nothing. */
    EXPECT(sqlite_open(&other, path, SQLITE_READ, &diag) == OK && count(other) == 2);
    EXPECT(sqlite_exec(other, "INSERT INTO t VALUES (3)", &diag) == ERR_MACHINE);
    sqlite_close(other);
    sqlite_close(db);
    end();
}

TEST(what_is_wrong_has_a_name)
{
    begin();
    struct diag diag = {0};
    struct sqlite *db;
    EXPECT(sqlite_open(&db, path, SQLITE_READ, &diag) == ERR_MACHINE && db == NULL);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    EXPECT(
        write(fd,
              "this is no database, it only has its name, and it is long enough to have a head.............",
              92) == 92);
    close(fd);
    diag = (struct diag){0};
    EXPECT(sqlite_open(&db, path, SQLITE_WRITE, &diag) == ERR_STATE &&
           strcmp(diag.code, "state.damaged") == 0);
    diag = (struct diag){0};
    EXPECT(unlink(path) == 0 && sqlite_open(&db, path, SQLITE_CREATE, &diag) == OK);
    EXPECT(sqlite_exec(db, "CREATE TABLE t (a INTEGER NOT NULL)", &diag) == OK);
    struct sqlite_statement *s;
    EXPECT(sqlite_prepare(&s, db, "INSERT INTO t VALUES (?)", &diag) == OK);
    EXPECT(sqlite_step(s, &diag) == STEP_FAILED && diag.err == ERR_STATE); /* nothing was bound */
    diag = (struct diag){0};
    sqlite_bind_int(s, 1, 1);
    EXPECT(sqlite_step(s, &diag) == STEP_DONE);
    sqlite_finish(s);
    EXPECT(sqlite_prepare(&s, db, "SELECT nonsense", &diag) == ERR_STATE && s == NULL);
    sqlite_close(db);
    end();
}

/* All of a table as one text, or "damaged". */
static void read_all(char out[8192], enum err *err)
{
    struct diag diag = {0};
    struct sqlite *db;
    struct sqlite_statement *s = NULL;
    size_t used = 0;
    out[0] = 0;
    *err = sqlite_open(&db, path, SQLITE_READ, &diag);
    if (*err == OK)
        *err = sqlite_prepare(&s, db, "SELECT a, b FROM t ORDER BY a", &diag);
    enum step step = STEP_DONE;
    while (*err == OK && (step = sqlite_step(s, &diag)) == STEP_MORE)
        used +=
            (size_t)snprintf(out + used, 8192 - used, "%lld %zu %.20s|", (long long)sqlite_int(s, 0),
                             strlen(sqlite_text(s, 1)), sqlite_text(s, 1) + strlen(sqlite_text(s, 1)) - 20);
    if (step == STEP_FAILED)
        *err = diag.err;
    sqlite_finish(s);
    sqlite_close(db);
}

static void fill_pages(int with_sums)
{
    struct diag diag = {0};
    struct sqlite *db;
    struct sqlite_statement *s;
    EXPECT(sqlite_open(&db, path, SQLITE_CREATE, &diag) == OK);
    EXPECT(sqlite_exec(db, "CREATE TABLE t (a INTEGER NOT NULL, b TEXT NOT NULL)", &diag) == OK);
    EXPECT(sqlite_prepare(&s, db, "INSERT INTO t VALUES (?, ?)", &diag) == OK);
    char text[12000];
    memset(text, '7', sizeof text);
    for (int i = 0; i < 40; i++) { /* some rows are longer than a page */
        text[i % 4 ? 100 + i : 11900] = 0;
        sqlite_bind_int(s, 1, i * 1000003);
        sqlite_bind_text(s, 2, text);
        EXPECT(sqlite_step(s, &diag) == STEP_DONE);
        text[i % 4 ? 100 + i : 11900] = '7';
    }
    sqlite_finish(s);
    if (with_sums)
        EXPECT(sqlite_put_sums(db, &diag) == OK);
    EXPECT(sqlite_write_back(db, &diag) == OK);
    sqlite_close(db);
}

/* How many of some changed bytes gave other rows and no error. */
static int silent_changes(void)
{
    static char whole[8192], now[8192];
    enum err err;
    int silent = 0;
    read_all(whole, &err);
    EXPECT(err == OK && strlen(whole) > 1000);
    int fd = open(path, O_RDWR);
    struct stat st;
    EXPECT(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 30 * 4096);
    for (off_t at = 0; at < st.st_size; at += 307) {
        char kept, other;
        EXPECT(pread(fd, &kept, 1, at) == 1);
        other = (char)(kept ^ 1 << at % 8);
        EXPECT(pwrite(fd, &other, 1, at) == 1);
        read_all(now, &err);
        silent += err == OK && strcmp(now, whole) != 0;
        EXPECT(err == OK || err == ERR_STATE);
        EXPECT(pwrite(fd, &kept, 1, at) == 1);
    }
    close(fd);
    return silent;
}

TEST(a_changed_byte_of_a_row_is_damage_and_never_another_amount)
{
    begin();
    fill_pages(0); /* as it is made, and as programs of before made it: it can be read, and is not guarded */
    EXPECT(silent_changes() > 0);
    unlink(path);
    fill_pages(1);
    EXPECT(silent_changes() == 0);
    end();
}
