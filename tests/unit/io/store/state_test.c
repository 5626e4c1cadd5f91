/* tests/unit/io/store/state_test.c: a state is whole and this book's, or it is told; tasks move along their edges only */
#include "core/base/mem.h"
#include "io/store/generation.h"
#include "io/store/state.h"
#include "tests/support/check_test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[200], folder[220];
static struct diag diag;

static void shell(const char *format)
{
    char command[900];
    snprintf(command, sizeof command, format, folder, folder, folder);
    EXPECT(system(command) == 0);
}

static void begin(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/tieout-state-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(root))
        exit(4);
    snprintf(folder, sizeof folder, "%s/state", root);
    diag = (struct diag){0};
}

static void end(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    EXPECT(system(command) == 0);
}

/* Opens it and says how that went. */
static const char *told(enum err want)
{
    static char code[40];
    struct state *state;
    diag = (struct diag){0};
    EXPECT(state_open(&state, folder, STATE_WRITE, &diag) == want);
    snprintf(code, sizeof code, "%s", diag.code);
    state_close(state);
    diag = (struct diag){0};
    return code;
}

static struct state *make(void)
{
    struct state *state;
    EXPECT(state_create(folder, &diag) == OK);
    EXPECT(state_open(&state, folder, STATE_WRITE, &diag) == OK);
    return state;
}

static int64_t add_task(struct state *state, const char *day)
{
    int64_t id = 0;
    int made = 0;
    struct task_key key = {"ALIPAY", "pay", "alipay.yaml", day_parse(day, strlen(day)), 1};
    EXPECT(task_make(state_db(state), &key, &id, &made, &diag) == OK);
    EXPECT(made);
    return id;
}

TEST(a_state_that_was_never_there_and_one_that_is_gone_are_two_things)
{
    begin();
    EXPECT(strcmp(told(ERR_STATE), "state.none") == 0);
    state_close(make());
    EXPECT(strcmp(told(OK), "") == 0);
    EXPECT(state_create(folder, &diag) == ERR_STATE);
    shell("mv %s/state.db %s/../kept");
    EXPECT(strcmp(told(ERR_STATE), "state.missing") == 0);
    EXPECT(state_create(folder, &diag) == ERR_STATE); /* never made anew */
    shell("rm %s/BOOK");
    EXPECT(strcmp(told(ERR_STATE), "state.missing") == 0);
    shell("mv %s/../kept %s/state.db");
    EXPECT(strcmp(told(OK), "") == 0); /* nothing stood in it: a create that was killed is completed */
    end();
}

TEST(another_books_state_a_newer_one_and_a_damaged_one_are_refused)
{
    begin();
    struct state *state = make();
    add_task(state, "2026-11-19");
    state_close(state);
    char keep[220];
    strcpy(keep, folder);
    strcpy(strrchr(folder, '/'), "/other");
    state_close(make());
    strcpy(folder, keep);
    shell("cp %s/../other/state.db %s/state.db");
    EXPECT(strcmp(told(ERR_STATE), "state.foreign") == 0);
    end();
    begin();
    state = make();
    add_task(state, "2026-11-19");
    EXPECT(sqlite_exec(state_db(state), "PRAGMA user_version = 5", &diag) == OK);
    state_close(state);
    EXPECT(strcmp(told(ERR_STATE), "state.newer") == 0);
    char path[260];
    struct sqlite *db;
    snprintf(path, sizeof path, "%s/state.db", folder);
    EXPECT(sqlite_open(&db, path, SQLITE_WRITE, &diag) == OK);
    EXPECT(sqlite_exec(db, "PRAGMA user_version = 1", &diag) == OK);
    sqlite_close(db);
    EXPECT(strcmp(told(ERR_STATE), "state.version") == 0);
    EXPECT(sqlite_open(&db, path, SQLITE_WRITE, &diag) == OK);
    EXPECT(sqlite_exec(db, "PRAGMA user_version = 1; PRAGMA application_id = 7", &diag) == OK);
    sqlite_close(db);
    EXPECT(strcmp(told(ERR_STATE), "state.foreign") == 0);
    shell("rm %s/state.db; head -c 40000 /dev/urandom > %s/state.db");
    EXPECT(strcmp(told(ERR_STATE), "state.damaged") == 0);
    shell(": > %s/state.db");
    EXPECT(strcmp(told(ERR_STATE), "state.foreign") == 0);
    shell("echo nonsense > %s/BOOK");
    EXPECT(strcmp(told(ERR_STATE), "state.damaged") == 0);
    end();
}

TEST(flipped_bytes_in_the_database_are_damage)
{
    begin();
    struct state *state = make();
    for (int day = 1; day < 29; day++) {
        char text[24];
        snprintf(text, sizeof text, "2026-11-%02d", day);
        add_task(state, text);
    }
    state_close(state);
    char path[260];
    snprintf(path, sizeof path, "%s/state.db", folder);
    int found = 0;
    for (long at = 4096; at < 60000; at += 4096) {
        char kept, other;
        int fd = open(path, O_RDWR);
        if (pread(fd, &kept, 1, at) == 1) {
            other = (char)(kept ^ 0x5a); /* a page's type */
            EXPECT(pwrite(fd, &other, 1, at) == 1);
            close(fd);
            struct state *again;
            diag = (struct diag){0};
            if (state_open(&again, folder, STATE_READ, &diag) != OK) {
                found++;
                EXPECT(diag.err == ERR_STATE);
            }
            state_close(again);
            fd = open(path, O_RDWR);
            EXPECT(pwrite(fd, &kept, 1, at) == 1);
        }
        close(fd);
    }
    EXPECT(found > 5);
    EXPECT(strcmp(told(OK), "") == 0);
    end();
}

TEST(an_older_copy_put_back_is_told)
{
    begin();
    struct state *state = make();
    int64_t id = add_task(state, "2026-11-19");
    struct segment segment = {.task = id, .revision = 1, .file = "verdicts/a", .sha = "aa"};
    EXPECT(segment_add(state_db(state), &segment, &diag) == OK);
    EXPECT(state_advance(state, segment.number, segment.chain, &diag) == OK);
    state_close(state);
    shell("cp %s/state.db %s/../kept");
    EXPECT(state_open(&state, folder, STATE_WRITE, &diag) == OK);
    struct segment next = {.task = id, .revision = 2, .file = "verdicts/b", .sha = "bb"};
    EXPECT(segment_add(state_db(state), &next, &diag) == OK);
    EXPECT(next.number == 2 && strcmp(next.chain, segment.chain) != 0);
    state_close(state);
    EXPECT(strcmp(told(OK), "") == 0); /* killed between the commit and BOOK */
    EXPECT(state_open(&state, folder, STATE_WRITE, &diag) == OK);
    EXPECT(state_advance(state, next.number, next.chain, &diag) == OK);
    state_close(state);
    EXPECT(strcmp(told(OK), "") == 0);
    shell("cp %s/../kept %s/state.db");
    EXPECT(strcmp(told(ERR_STATE), "state.older") == 0);
    end();
}

TEST(one_at_a_time_does_tasks)
{
    begin();
    struct state *state = make(), *other;
    char who[160];
    EXPECT(!state_is_locked(folder, who, sizeof who));
    EXPECT(state_lock(state, &diag) == OK);
    EXPECT(state_lock(state, &diag) == OK);
    EXPECT(state_open(&other, folder, STATE_WRITE, &diag) == OK);
    EXPECT(state_lock(other, &diag) == ERR_STATE);
    EXPECT(strcmp(diag.code, "state.locked") == 0 && strstr(diag.what, "process"));
    EXPECT(state_is_locked(folder, who, sizeof who) && strstr(who, "boot"));
    state_close(state);
    EXPECT(!state_is_locked(folder, who, sizeof who));
    diag = (struct diag){0};
    EXPECT(state_lock(other, &diag) == OK); /* the file is still there; the lock is not */
    state_close(other);
    end();
}

static int sql_refused(struct state *state, const char *sql)
{
    struct diag ignored = {0};
    return sqlite_exec(state_db(state), sql, &ignored) != OK;
}

TEST(a_task_moves_along_its_edges_only)
{
    begin();
    struct state *state = make();
    struct sqlite *db = state_db(state);
    add_task(state, "2026-11-19");
    int64_t id;
    int made;
    struct task_key key = {"ALIPAY", "pay", "alipay.yaml", day_parse("2026-11-19", 10), 1};
    EXPECT(task_make(db, &key, &id, &made, &diag) == OK && !made);
    struct arena arena;
    struct task task, stale;
    arena_init(&arena);
    EXPECT(task_find(db, &(struct task_filter){.channel_code = "ALIPAY"}, &arena, &task, &diag) == 1);
    EXPECT(strcmp(task.name, "ALIPAY/pay/2026-11-19/1") == 0 && task.phase == PHASE_INIT && task.wanted == 1);
    EXPECT(task_lease(db, &task, "us", 5, &diag) == OK);
    stale = task;
    EXPECT(task_lease(db, &task, "us again", 6, &diag) == OK); /* as after a kill */
    struct diag lost = {0};
    EXPECT(task_move(db, &stale, PHASE_COLLECT, &lost) == ERR_STATE && strcmp(lost.code, "task.lease") == 0);
    EXPECT(sql_refused(state, "UPDATE task SET phase = 'MATCHING'"));
    EXPECT(sql_refused(state, "UPDATE task SET phase = 'DONE', revision = 1"));
    EXPECT(sql_refused(state, "UPDATE task SET phase = 'SOMETHING'"));
    EXPECT(sql_refused(state, "DELETE FROM task"));
    for (int phase = PHASE_COLLECT; phase <= PHASE_PUSH; phase++)
        EXPECT(task_move(db, &task, (enum phase)phase, &diag) == OK);
    EXPECT(task_done(db, &task, &(struct task_done){"rules", "files", "seal", 1, 7}, &diag) == OK);
    EXPECT(sql_refused(state, "UPDATE task SET phase = 'INIT'"));
    EXPECT(sql_refused(state, "UPDATE task SET revision = 5"));
    EXPECT(sql_refused(state, "UPDATE task SET fence = 0"));
    EXPECT(task_find(db, &(struct task_filter){.name = "ALIPAY/pay/2026-11-19/1"}, &arena, &task, &diag) ==
           1);
    EXPECT(task.phase == PHASE_DONE && task.revision == 1 && task.exit_code == 1);
    struct diag no = {0};
    EXPECT(task_cancel(db, &task, &no) == ERR_STATE);
    EXPECT(task_again(db, &task, 1, &diag) == OK);
    EXPECT(task_find(db, &(struct task_filter){.due_only = 1}, &arena, &task, &diag) == 1);
    EXPECT(task.phase == PHASE_INIT && task.revision == 1 && task.wanted == 2);
    struct diag why = {.err = ERR_INPUT, .what = "bill.csv: cut"};
    for (int try = 1; try <= TASK_TRIES; try++) {
        EXPECT(task_find(db, &(struct task_filter){.id = task.id}, &arena, &task, &diag) == 1);
        EXPECT(task_lease(db, &task, "us", 9, &diag) == OK);
        EXPECT(task_fail(db, &task, &why, 0, 99, &diag) == OK);
        EXPECT(task.phase == (try == TASK_TRIES ? PHASE_FAILED : PHASE_INIT));
    }
    EXPECT(task_find(db, &(struct task_filter){.id = task.id}, &arena, &task, &diag) == 1);
    EXPECT(strcmp(task.error, "bill.csv: cut") == 0 && task.error_code == ERR_INPUT && task.attempts == 3);
    EXPECT(task_lease(db, &task, "us", 9, &no) == ERR_STATE);
    EXPECT(task_again(db, &task, 0, &diag) == OK);
    EXPECT(diag.err == OK);
    arena_fini(&arena);
    state_close(state);
    end();
}

TEST(how_suspense_rolled_forward_is_kept_to_the_last_digit)
{
    begin();
    struct state *state = make();
    int64_t id = add_task(state, "2026-11-19");
    money_total big = ((money_total)1 << 100) + 7;
    struct roll roll = {.side = 1,
                        .currency = currency_find("CNY", 3),
                        .opening = 3,
                        .opened = 2,
                        .resolved = 1,
                        .expired = 1,
                        .closing = 3,
                        .opening_sum = -big,
                        .opened_sum = big,
                        .closing_sum = 5,
                        .resolved_sum = -5};
    EXPECT(roll_adds_up(&roll));
    EXPECT(roll_add(state_db(state), id, 1, &roll, &diag) == OK);
    struct sqlite_statement *s;
    EXPECT(sqlite_prepare(&s, state_db(state), "SELECT opening_sum FROM roll_forward", &diag) == OK);
    EXPECT(sqlite_step(s, &diag) == STEP_MORE &&
           strcmp(sqlite_text(s, 0), "-1267650600228229401496703205383") == 0);
    sqlite_finish(s);
    roll.closing++;
    EXPECT(!roll_adds_up(&roll));
    state_close(state);
    end();
}

/* ---- the verdict log ---- */

static struct entry sample(int i, char *text)
{
    snprintf(text, 64, "ORDER-%06d", i);
    struct entry e = {.kind = ENTRY_VERDICT,
                      .class_id = i % 2 ? CLASS_MISMATCH : CLASS_EXTRA,
                      .key_no = 1,
                      .field_count = FIELDS,
                      .revision = 1,
                      .task = span_of("ALIPAY/pay/2026-11-19/1"),
                      .reasons = span_of(i % 2 ? "amount" : ""),
                      .key = span_of(text)};
    for (int side = i % 2 ? LOCAL : CHANNEL; side < SIDES; side++) {
        e.side[side] = (struct entry_side){
            .present = 1, .currency = 3, .day = (uint16_t)(46000 + i), .amount_micro = -i};
        for (int f = 0; f < FIELDS; f++)
            e.side[side].text[f] = f == FIELD_BIZ_ORDER_NO ? span_of(text) : (struct span){"", 0};
        e.side[side].occurrence = span_of(text);
        e.side[side].place = span_of("bill.csv:7@99");
    }
    return e;
}

static void write_log(const char *path, int count, char sha[VERDICT_SHA_TEXT])
{
    struct verdict_log *log;
    uint64_t entries;
    EXPECT(verdict_log_create(&log, path, &diag) == OK);
    for (int i = 0; i < count; i++) {
        char text[64];
        struct entry e = sample(i, text);
        uint8_t *bytes = mem_take(entry_size(&e));
        entry_encode(&e, bytes);
        EXPECT(verdict_log_put(log, bytes, entry_size(&e), &diag) == OK);
        mem_give(bytes);
    }
    EXPECT(verdict_log_seal(log, &entries, sha, NULL, &diag) == OK && entries == (uint64_t)count);
    verdict_log_drop(log);
}

static enum err read_log(const char *path, int *count)
{
    struct verdict_reader *r;
    struct entry e;
    diag = (struct diag){0};
    *count = 0;
    enum err err = verdict_log_open(&r, path, &diag);
    while (err == OK) {
        enum step step = verdict_log_next(r, &e, NULL, &diag);
        if (step == STEP_MORE) {
            char text[64];
            struct entry want = sample((*count)++, text);
            EXPECT(entry_same(&e, &want) && entry_compare(&e, &want) == 0 &&
                   span_equal(e.side[CHANNEL].place, want.side[CHANNEL].place));
            continue;
        }
        err = step == STEP_DONE ? OK : diag.err;
        break;
    }
    verdict_log_close(r);
    return err;
}

TEST(a_segment_comes_back_as_it_was_and_any_flipped_byte_is_damage)
{
    begin();
    char path[260], fresh[270], sha[VERDICT_SHA_TEXT], again[VERDICT_SHA_TEXT];
    snprintf(path, sizeof path, "%s/a.log", root);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int count;
    for (int n = 0; n < 3000; n = n * 3 + 1) {
        write_log(path, n, sha);
        write_log(path, n, again);
        EXPECT(strcmp(sha, again) == 0);
        EXPECT(read_log(fresh, &count) == OK && count == n);
    }
    write_log(path, 5, sha);
    int fd = open(fresh, O_RDWR);
    const off_t size = lseek(fd, 0, SEEK_END);
    for (off_t at = 0; at < size; at++) {
        char byte, other;
        EXPECT(pread(fd, &byte, 1, at) == 1);
        other = (char)(byte ^ 1);
        EXPECT(pwrite(fd, &other, 1, at) == 1);
        EXPECT(read_log(fresh, &count) == ERR_STATE);
        EXPECT(pwrite(fd, &byte, 1, at) == 1);
    }
    EXPECT(read_log(fresh, &count) == OK && count == 5);
    EXPECT(pwrite(fd, "x", 1, size) == 1);
    EXPECT(read_log(fresh, &count) == ERR_STATE);
    for (off_t cut = size - 1; cut >= 0; cut--) {
        EXPECT(ftruncate(fd, cut) == 0);
        EXPECT(read_log(fresh, &count) == ERR_STATE);
    }
    close(fd);
    diag = (struct diag){0};
    end();
}
