/* io/store/id_book.c: see id_book.h */
#include "io/store/id_book.h"
#include "core/base/mem.h"
#include "core/model/day.h"
#include "io/ring/sys.h"
#include "io/store/alarm.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { RERUN_DAYS = 20 };
static const char OTHER_DATE[] = "ids.other_date"; /* an alarm of a queue, until a task of it has none */

const char id_book_schema[] =
    "CREATE TABLE IF NOT EXISTS id_file (task INTEGER NOT NULL REFERENCES task(id), revision INTEGER NOT "
    "NULL,\n"
    "  file TEXT NOT NULL, sha TEXT NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL, chunks "
    "INTEGER "
    "NOT NULL,\n"
    "  PRIMARY KEY (task, revision)) WITHOUT ROWID;\n"
    "CREATE TABLE IF NOT EXISTS id_day (task INTEGER NOT NULL, revision INTEGER NOT NULL, side INTEGER NOT "
    "NULL,\n"
    "  day INTEGER NOT NULL, records INTEGER NOT NULL, PRIMARY KEY (task, revision, side, day)) WITHOUT "
    "ROWID;\n";

/* The file of an earlier task. */
struct earlier {
    int64_t task;
    uint16_t day;
    struct id_file_seal seal;
    char name[TASK_NAME_MAX];
    struct id_reader *reader; /* opened when it is asked for */
    _Atomic uint64_t equal[SIDES], other[SIDES];
};

/* An earlier task took in records of this side and day. */
struct dated {
    uint32_t earlier;
    uint16_t day;
    uint8_t side;
};

struct id_book {
    struct id_store store;
    struct state *state;
    struct task task;
    int keep_days;
    enum ids_date date;
    char name[200]; /* of its own file */
    struct id_writer *writer;
    struct id_file_seal seal;
    uint64_t *day_count[SIDES]; /* by bill date; records of this task */
    struct earlier *earlier;
    uint32_t earlier_count, earlier_room;
    struct dated *dated;
    uint32_t dated_count, dated_room;
    uint64_t unknown_days; /* done, and their ids are not there */
    _Atomic uint64_t too_old[SIDES], other_date[SIDES];
    pthread_mutex_t lock;
    char (*given_up)[200]; /* files */
    uint32_t given_up_count, given_up_room;
};

static const struct id_store_ops id_book_ops;

/* ---- what there is ---- */

static enum err read_earlier(struct id_book *b, const char *from, const char *to, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(
        &s, state_db(b->state),
        "SELECT t.id, t.name, f.file, f.sha, f.records, f.bytes, f.chunks, t.bill_date FROM task t LEFT JOIN "
        "id_file f\n"
        "ON f.task = t.id AND f.revision = t.revision WHERE t.channel_code = ?1 AND t.biz_type = ?2\n"
        "AND t.phase = 'DONE' AND t.bill_date >= ?3 AND (t.bill_date, t.batch_no) < (?4, ?5)\n"
        "ORDER BY t.bill_date, t.batch_no",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_text(s, 1, b->task.channel_code);
    sqlite_bind_text(s, 2, b->task.biz_type);
    sqlite_bind_text(s, 3, from);
    sqlite_bind_text(s, 4, to);
    sqlite_bind_int(s, 5, b->task.batch_no);
    enum step step;
    while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE) {
        if (step == STEP_FAILED) {
            err = diag->err;
            break;
        }
        if (!sqlite_text(s, 3)[0]) { /* of before ids were kept, or given up since */
            b->unknown_days++;
            continue;
        }
        err = mem_list_more(&b->earlier, b->earlier_count, &b->earlier_room, 64, "ids of earlier days", diag);
        if (err != OK)
            break;
        struct earlier *e = &b->earlier[b->earlier_count++];
        memset(e, 0, sizeof *e);
        e->task = sqlite_int(s, 0);
        snprintf(e->name, sizeof e->name, "%s", sqlite_text(s, 1));
        snprintf(e->seal.file, sizeof e->seal.file, "%s", sqlite_text(s, 2));
        snprintf(e->seal.sha, sizeof e->seal.sha, "%s", sqlite_text(s, 3));
        e->seal.records = (uint64_t)sqlite_int(s, 4);
        e->seal.bytes = (uint64_t)sqlite_int(s, 5);
        e->seal.chunks = (uint64_t)sqlite_int(s, 6);
        const char *day = sqlite_text(s, 7);
        e->day = day_parse(day, strlen(day));
    }
    sqlite_finish(s);
    return err;
}

static enum err read_days(struct id_book *b, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    enum err err = sqlite_prepare(&s, state_db(b->state),
                                  "SELECT d.side, d.day FROM id_day d JOIN task t ON t.id = d.task\n"
                                  "AND t.revision = d.revision WHERE d.task = ?1",
                                  diag);
    for (uint32_t i = 0; err == OK && i < b->earlier_count; i++) {
        sqlite_bind_int(s, 1, b->earlier[i].task);
        enum step step;
        while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE) {
            if (step == STEP_FAILED) {
                err = diag->err;
                break;
            }
            err = mem_list_more(&b->dated, b->dated_count, &b->dated_room, 256, "ids of earlier days", diag);
            if (err != OK)
                break;
            b->dated[b->dated_count++] =
                (struct dated){i, (uint16_t)sqlite_int(s, 1), (uint8_t)sqlite_int(s, 0)};
        }
    }
    sqlite_finish(s);
    return err;
}

enum err id_book_open(struct id_book **out, struct state *state, const struct task *task,
                      struct id_reach reach, struct diag *diag)
{
    *out = NULL;
    struct id_book *b = mem_take_zero(1, sizeof *b);
    if (!b)
        return mem_fail(diag, sizeof *b, "ids of records");
    char from[DAY_TEXT_MAX], to[DAY_TEXT_MAX];
    b->store.ops = &id_book_ops;
    b->state = state;
    b->task = *task;
    b->keep_days = reach.keep_days;
    b->date = reach.date;
    pthread_mutex_init(&b->lock, NULL);
    snprintf(b->name, sizeof b->name, "ids/%06lld-r%lld.ids", (long long)task->id, (long long)task->wanted);
    enum err err = OK;
    for (int side = 0; side < SIDES; side++)
        if (!(b->day_count[side] = mem_take_zero((size_t)UINT16_MAX + 1, sizeof *b->day_count[side])))
            err = mem_fail(diag, (size_t)UINT16_MAX * 8, "ids of records");
    day_print(from, (uint16_t)(task->day > reach.keep_days ? task->day - reach.keep_days : 1));
    day_print(to, task->day);
    if (err == OK)
        err = read_earlier(b, from, to, diag);
    if (err == OK)
        err = read_days(b, diag);
    if (err != OK) {
        id_book_close(b);
        return err;
    }
    *out = b;
    return OK;
}

struct id_store *id_book_store(struct id_book *b)
{
    return &b->store;
}

void id_book_close(struct id_book *b)
{
    if (!b)
        return;
    id_file_drop(b->writer);
    for (uint32_t i = 0; i < b->earlier_count; i++)
        id_file_close(b->earlier[i].reader);
    for (int side = 0; side < SIDES; side++)
        mem_give(b->day_count[side]);
    mem_give(b->earlier);
    mem_give(b->dated);
    mem_give(b->given_up);
    pthread_mutex_destroy(&b->lock);
    mem_give(b);
}

/* ---- a group ---- */

static enum err need_writer(struct id_book *b, struct diag *diag)
{
    pthread_mutex_lock(&b->lock);
    enum err err = b->writer ? OK : id_file_create(&b->writer, b->state, b->name, diag);
    pthread_mutex_unlock(&b->lock);
    return err;
}

static enum err need_reader(struct id_book *b, struct earlier *e, struct diag *diag)
{
    pthread_mutex_lock(&b->lock);
    enum err err = e->reader ? OK : id_file_open(&e->reader, b->state, &e->seal, state_seed(b->state), diag);
    pthread_mutex_unlock(&b->lock);
    return err;
}

/* Whether rows of `day` (0: only their unit's) may have come before among those of `d`. */
static int is_of_day(const struct id_book *b, const struct dated *d, uint16_t day)
{
    return d->day == day || !day || (!d->day && b->earlier[d->earlier].day == day);
}

static int may_hold(const struct id_book *b, const struct dated *d, uint16_t day)
{
    return b->date != IDS_SAME_DATE || is_of_day(b, d, day);
}

/* Entries of one day: what earlier tasks know of them. `*known`: how many they do. */
static enum err ask(struct id_book *b, struct id_chunk_place place, const struct id_entry *entries,
                    uint32_t count, struct repeats *repeats, uint32_t *known, struct diag *diag)
{
    *known = 0;
    uint8_t *found = NULL, *before = NULL;
    struct id_asked *asked = NULL;
    enum err err = OK;
    for (uint32_t d = 0; err == OK && d < b->dated_count; d++) {
        if (b->dated[d].side != (uint8_t)place.side || !may_hold(b, &b->dated[d], place.day))
            continue;
        const struct id_chunk_place there = {place.side, b->dated[d].day};
        struct earlier *e = &b->earlier[b->dated[d].earlier];
        if (!found) {
            found = mem_take_zero(count, 1);
            before = mem_take_zero(count, 1);
            err = found && before ? id_asked_open(&asked, entries, count, diag)
                                  : mem_fail(diag, count, "ids of records");
        }
        if (err == OK)
            err = need_reader(b, e, diag);
        if (err == OK)
            err = id_file_look(e->reader, there, asked, found, diag);
        const int same_day = is_of_day(b, &b->dated[d], place.day);
        for (uint32_t i = 0; err == OK && i < count; i++) {
            if (found[i] == before[i])
                continue;
            if (!same_day && b->date == IDS_ANY_WITH_KEY && id_entry_is_keyless(&entries[i])) {
                found[i] = before[i];
                continue;
            }
            if (found[i] == REPEAT_EQUAL) {
                atomic_fetch_add(&e->equal[place.side], 1);
                if (!same_day)
                    atomic_fetch_add(&b->other_date[place.side], 1);
            } else {
                atomic_fetch_add(&e->other[place.side], 1);
            }
            before[i] = found[i];
        }
    }
    for (uint32_t i = 0; err == OK && found && i < count; i++) {
        const struct repeat repeat = {id_entry_place(&entries[i]), entries[i].key, (uint8_t)place.side,
                                      found[i]};
        *known += found[i] != REPEAT_NONE;
        if (found[i] != REPEAT_NONE)
            err = repeats_add(repeats, &repeat, id_entry_has_odd_key(&entries[i]), diag);
    }
    id_asked_close(asked);
    mem_give(found);
    mem_give(before);
    return err;
}

static enum err take(struct id_store *store, const struct id_group *group, struct repeats *repeats,
                     struct diag *diag)
{
    struct id_book *b = (struct id_book *)store;
    enum err err = need_writer(b, diag);
    for (uint32_t from = 0, to; err == OK && from < group->count; from = to) {
        const struct id_chunk_place place = {group->side, id_entry_day(&group->entries[from])};
        for (to = from + 1; to < group->count && id_entry_day(&group->entries[to]) == place.day; to++) {
        }
        pthread_mutex_lock(&b->lock);
        b->day_count[group->side][place.day] += to - from;
        pthread_mutex_unlock(&b->lock);
        uint32_t known;
        err = ask(b, place, group->entries + from, to - from, repeats, &known, diag);
        if (place.day && place.day + b->keep_days < b->task.day)
            atomic_fetch_add(&b->too_old[group->side], to - from - known);
        if (err == OK)
            err = id_file_put(b->writer, place, group->entries + from, to - from, diag);
    }
    return err;
}

static const struct id_store_ops id_book_ops = {.take = take};

/* ---- the commit ---- */

enum err id_book_seal(struct id_book *b, const char **file, struct diag *diag)
{
    *file = b->writer ? b->name : NULL;
    return b->writer ? id_file_end(b->writer, &b->seal, diag) : OK;
}

static enum err give_up(struct id_book *b, const char *file, struct diag *diag)
{
    if (mem_list_more(&b->given_up, b->given_up_count, &b->given_up_room, 8, "ids of earlier days", diag) !=
        OK)
        return ERR_MACHINE;
    snprintf(b->given_up[b->given_up_count++], sizeof *b->given_up, "%s", file);
    return OK;
}

/* Revisions of this task that are no longer the newest, and days behind the farthest that is looked back to. */
static enum err forget(struct id_book *b, struct diag *diag)
{
    struct sqlite *db = state_db(b->state);
    struct sqlite_statement *s = NULL;
    char oldest[DAY_TEXT_MAX];
    const int back = b->keep_days + RERUN_DAYS;
    day_print(oldest, (uint16_t)(b->task.day > back ? b->task.day - back : 1));
    enum err err = sqlite_prepare(
        &s, db,
        "SELECT f.task, f.revision, f.file FROM id_file f JOIN task t ON t.id = f.task WHERE t.id = ?1 AND\n"
        "f.revision <> ?2 OR t.channel_code = ?3 AND t.biz_type = ?4 AND t.bill_date < ?5 LIMIT 64",
        diag);
    struct sqlite_statement *file = NULL, *day = NULL;
    if (err == OK)
        err = sqlite_prepare(&file, db, "DELETE FROM id_file WHERE task = ?1 AND revision = ?2", diag);
    if (err == OK)
        err = sqlite_prepare(&day, db, "DELETE FROM id_day WHERE task = ?1 AND revision = ?2", diag);
    int64_t gone[64][2];
    int count = 0;
    if (err == OK) {
        sqlite_bind_int(s, 1, b->task.id);
        sqlite_bind_int(s, 2, b->task.wanted);
        sqlite_bind_text(s, 3, b->task.channel_code);
        sqlite_bind_text(s, 4, b->task.biz_type);
        sqlite_bind_text(s, 5, oldest);
        enum step step;
        while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE) {
            if (step == STEP_FAILED) {
                err = diag->err;
                break;
            }
            gone[count][0] = sqlite_int(s, 0);
            gone[count++][1] = sqlite_int(s, 1);
            if (sqlite_text(s, 2)[0])
                err = give_up(b, sqlite_text(s, 2), diag);
        }
    }
    for (int i = 0; err == OK && i < count; i++)
        for (int k = 0; err == OK && k < 2; k++) {
            struct sqlite_statement *one = k ? day : file;
            sqlite_bind_int(one, 1, gone[i][0]);
            sqlite_bind_int(one, 2, gone[i][1]);
            if (sqlite_step(one, diag) == STEP_FAILED)
                err = diag->err;
        }
    sqlite_finish(s);
    sqlite_finish(file);
    sqlite_finish(day);
    return err;
}

/* A number that is used again for another payment of the same order and amount would be one that never counts: somebody has to know. */
static enum err warn(struct id_book *b, int64_t now, struct diag *diag)
{
    char queue[TASK_NAME_MAX], text[400];
    const uint64_t local = atomic_load(&b->other_date[LOCAL]), channel = atomic_load(&b->other_date[CHANNEL]);
    snprintf(queue, sizeof queue, "%s/%s", b->task.channel_code, b->task.biz_type);
    if (!local && !channel)
        return alarm_clear(state_db(b->state), OTHER_DATE, queue, now, diag);
    snprintf(
        text, sizeof text,
        "task %s: %llu records of the local side and %llu of the channel side came before under another bill "
        "date, and count for nothing (duplicate, repeated); if the numbers begin anew and these are other "
        "payments: ids: {any_date: false} in the job, and do the day again",
        b->task.name, (unsigned long long)local, (unsigned long long)channel);
    const struct alarm alarm = {.grade = ALARM_WARNING, .kind = OTHER_DATE, .subject = queue, .text = text};
    return alarm_raise(state_db(b->state), &alarm, now, diag);
}

enum err id_book_commit(struct id_book *b, int64_t now, struct diag *diag)
{
    struct sqlite *db = state_db(b->state);
    struct sqlite_statement *s = NULL;
    b->given_up_count = 0;
    enum err err =
        sqlite_prepare(&s, db, "INSERT OR REPLACE INTO id_file VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", diag);
    if (err == OK) {
        sqlite_bind_int(s, 1, b->task.id);
        sqlite_bind_int(s, 2, b->task.wanted);
        sqlite_bind_text(s, 3, b->seal.file);
        sqlite_bind_text(s, 4, b->seal.sha[0] ? b->seal.sha : "none");
        sqlite_bind_int(s, 5, (int64_t)b->seal.records);
        sqlite_bind_int(s, 6, (int64_t)b->seal.bytes);
        sqlite_bind_int(s, 7, (int64_t)b->seal.chunks);
        if (sqlite_step(s, diag) == STEP_FAILED)
            err = diag->err;
    }
    sqlite_finish(s);
    s = NULL;
    if (err == OK)
        err = sqlite_prepare(&s, db, "INSERT OR REPLACE INTO id_day VALUES (?1, ?2, ?3, ?4, ?5)", diag);
    for (int side = 0; side < SIDES; side++)
        for (uint32_t day = 0; err == OK && day <= UINT16_MAX; day++) {
            if (!b->day_count[side][day])
                continue;
            sqlite_bind_int(s, 1, b->task.id);
            sqlite_bind_int(s, 2, b->task.wanted);
            sqlite_bind_int(s, 3, side);
            sqlite_bind_int(s, 4, day);
            sqlite_bind_int(s, 5, (int64_t)b->day_count[side][day]);
            if (sqlite_step(s, diag) == STEP_FAILED)
                err = diag->err;
        }
    sqlite_finish(s);
    if (err == OK)
        err = warn(b, now, diag);
    return err == OK ? forget(b, diag) : err;
}

void id_book_sweep(struct id_book *b)
{
    char path[STATE_PATH_MAX];
    struct diag ignored = {0};
    for (uint32_t i = 0; i < b->given_up_count; i++)
        if (state_path(b->state, path, b->given_up[i], &ignored) == OK)
            sys_unlink(path); /* what stays is in nobody's way */
}

void id_book_tell(const struct id_book *b)
{
    for (int side = 0; side < SIDES; side++) {
        for (uint32_t i = 0; i < b->earlier_count; i++) {
            const uint64_t equal = atomic_load(&b->earlier[i].equal[side]),
                           other = atomic_load(&b->earlier[i].other[side]);
            if (equal)
                fprintf(stderr,
                        "note: %llu record%s of the %s side came before, in %s: duplicate (repeated)\n",
                        (unsigned long long)equal, equal == 1 ? "" : "s", side_name((enum side)side),
                        b->earlier[i].name);
            if (other)
                fprintf(
                    stderr,
                    "note: %llu records of the %s side have the occurrence id of one that came before, in "
                    "%s, and other contents: ambiguous (conflict;repeated)\n",
                    (unsigned long long)other, side_name((enum side)side), b->earlier[i].name);
        }
        const uint64_t dates = atomic_load(&b->other_date[side]);
        if (dates)
            fprintf(
                stderr,
                "note: %llu of these came under another bill date; if their numbers begin anew and they are "
                "other payments: ids: {any_date: false}\n",
                (unsigned long long)dates);
        const uint64_t old = atomic_load(&b->too_old[side]);
        if (old)
            fprintf(stderr,
                    "note: %llu records of the %s side have bill dates further back than occurrence ids are "
                    "looked up (ids: {keep: %dd}): whether they came before cannot be told\n",
                    (unsigned long long)old, side_name((enum side)side), b->keep_days);
    }
    if (b->unknown_days)
        fprintf(
            stderr,
            "note: the occurrence ids of %llu of the days before are not kept: whether records of this day "
            "came in those cannot be told\n",
            (unsigned long long)b->unknown_days);
}

/* ---- verify ---- */

enum err id_book_check(struct state *state, uint64_t *files, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    struct sqlite *db = state_db(state);
    *files = 0;
    enum err err =
        sqlite_prepare(&s, db, "SELECT 1 FROM sqlite_master WHERE name = 'id_file' AND type = 'table'", diag);
    const int is_there = err == OK && sqlite_step(s, diag) == STEP_MORE;
    sqlite_finish(s);
    s = NULL;
    if (err != OK || !is_there)
        return err;
    err = sqlite_prepare(
        &s, db, "SELECT file, sha, records, bytes, chunks FROM id_file WHERE file <> '' ORDER BY task", diag);
    enum step step;
    while (err == OK && (step = sqlite_step(s, diag)) != STEP_DONE) {
        if (step == STEP_FAILED) {
            err = diag->err;
            break;
        }
        struct id_file_seal seal = {.records = (uint64_t)sqlite_int(s, 2),
                                    .bytes = (uint64_t)sqlite_int(s, 3),
                                    .chunks = (uint64_t)sqlite_int(s, 4)};
        snprintf(seal.file, sizeof seal.file, "%s", sqlite_text(s, 0));
        snprintf(seal.sha, sizeof seal.sha, "%s", sqlite_text(s, 1));
        struct id_reader *reader = NULL;
        err = id_file_open(&reader, state, &seal, state_seed(state), diag);
        if (err == OK)
            err = id_file_check(reader, diag);
        id_file_close(reader);
        ++*files;
    }
    sqlite_finish(s);
    return err;
}
