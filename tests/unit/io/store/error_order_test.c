/* tests/unit/io/store/error_order_test.c: errors from the log, who they are, what hands do to them */
#include "io/store/alarm.h"
#include "io/store/delivery.h"
#include "io/store/handling.h"
#include "tests/support/check_test.h"
#include "tests/support/verdict_segment.h"
#include <unistd.h>

static char folder[200], path[300], segment[300];
static struct sqlite *db;
static struct book *book;
static struct diag diag;

static void begin(const char *yaml)
{
    const char *top = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tieout-errors-XXXXXX", top ? top : "/tmp");
    if (!mkdtemp(folder))
        exit(4);
    snprintf(path, sizeof path, "%s/state.db", folder);
    snprintf(segment, sizeof segment, "%s/segment", folder);
    diag = (struct diag){0};
    if (yaml) {
        char name[300];
        snprintf(name, sizeof name, "%s/book.yaml", folder);
        FILE *file = fopen(name, "w");
        fputs(yaml, file);
        fclose(file);
    }
    EXPECT(book_load(&book, folder, &diag) == OK);
    EXPECT(sqlite_open(&db, path, SQLITE_CREATE, &diag) == OK);
    const char *const schemas[] = {task_schema,     error_order_schema, delivery_schema,
                                   handling_schema, alarm_schema,       error_ids_schema};
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
        EXPECT(sqlite_exec(db, schemas[i], &diag) == OK);
}

static void end(void)
{
    char command[300];
    sqlite_close(db);
    book_close(book);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    EXPECT(system(command) == 0);
    if (diag.err != OK)
        diag_print(&diag, stderr);
}

#define TASK_NAME "ALIPAY/pay/2026-11-19/1"

static enum err add(const char *task_name, const char *day, const struct made_verdict *verdicts, size_t count,
                    int64_t now)
{
    struct task task = made_task(task_name, day);
    EXPECT(made_segment(segment, task_name, verdicts, count));
    EXPECT(sqlite_begin(db, &diag) == OK);
    enum err err = error_orders_add(db, &task, segment, NULL, book, now, &diag);
    EXPECT(sqlite_commit(db, &diag) == OK);
    return err;
}

static int64_t count(const char *where)
{
    struct sqlite_statement *s;
    char sql[300];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM error_order WHERE %s", where);
    int64_t n = -1;
    if (sqlite_prepare(&s, db, sql, &diag) == OK && sqlite_step(s, &diag) == STEP_MORE)
        n = sqlite_int(s, 0);
    sqlite_finish(s);
    return n;
}

static void id_of(const char *order, char out[ERROR_ID_TEXT])
{
    struct sqlite_statement *s;
    out[0] = 0;
    EXPECT(sqlite_prepare(
               &s, db,
               "SELECT id FROM error_order WHERE biz_order_no = ?1 AND kind = 'verdict' ORDER BY no DESC",
               &diag) == OK);
    sqlite_bind_text(s, 1, order);
    if (sqlite_step(s, &diag) == STEP_MORE)
        snprintf(out, ERROR_ID_TEXT, "%s", sqlite_text(s, 0));
    sqlite_finish(s);
}

static const struct made_verdict DAY[] = {
    {"A1", 10000, 9000, CLASS_MISMATCH, "amount", 1, 0, NULL, NULL},
    {"A2", 500, 0, CLASS_MISSING, "", 1, 0, NULL, NULL},
    {"A3", 0, 700, CLASS_EXTRA, "", 1, 0, NULL, NULL},
    {"A3", 0, 700, CLASS_EXTRA, "", 1, 0, NULL, NULL}, /* equal in everything: two records, two errors */
    {"A4", 0, 100, CLASS_DUPLICATE, "", 1, 0, NULL, NULL},
    {"A5", 100, 0, CLASS_SUSPENSE, "", 1, 0, NULL, NULL},
    {"=A6", 300, 300, CLASS_MISMATCH, "date_disagrees;status", 1, 0, NULL, NULL},
};

TEST(errors_are_the_verdicts_that_somebody_must_mend_and_adding_twice_changes_nothing)
{
    begin(NULL);
    EXPECT(add(TASK_NAME, "2026-11-19", DAY, 7, 1000) == OK);
    EXPECT(count("1") == 5 && count("class = 'duplicate'") == 0 && count("class = 'suspense'") == 0);
    EXPECT(count("biz_order_no = 'A3'") == 2);
    EXPECT(count("biz_order_no = 'A1' AND delta_micro = -10000000 AND scenario = 'both_differ' AND "
                 "error_type = 'amount'") == 1);
    EXPECT(count("biz_order_no = 'A2' AND delta_micro = -5000000 AND scenario = 'local_only'") == 1);
    EXPECT(count("biz_order_no = 'A3' AND delta_micro = 7000000 AND scenario = 'channel_only'") == 2);
    EXPECT(count("biz_order_no = '=A6' AND error_type = 'status'") == 1);
    char first[ERROR_ID_TEXT], second[ERROR_ID_TEXT];
    id_of("A1", first);
    EXPECT(strlen(first) == 64);
    EXPECT(add(TASK_NAME, "2026-11-19", DAY, 7, 2000) == OK);
    id_of("A1", second);
    EXPECT(count("1") == 5 && strcmp(first, second) == 0 && count("opened_at = 1000") == 5);
    end();
}

TEST(an_id_depends_on_the_record_the_task_and_the_revision)
{
    begin(NULL);
    static const struct made_verdict OTHERS[] = {
        {"A1", 10000, 9000, CLASS_MISMATCH, "amount", 1, 0, NULL, NULL},
        {"A1", 10000, 9000, CLASS_MISMATCH, "amount", 2, 0, NULL, NULL},
        {"A1", 10000, 9001, CLASS_MISMATCH, "amount", 1, 0, NULL, NULL},
        {"A1", 10000, 9000, CLASS_MISMATCH, "amount", 1, 0, "ALIPAY/pay/2026-11-20/1", NULL},
        {"A1", 10000, 9000, CLASS_MISMATCH, "amount", 1, 0, NULL, "7"},
        {"A1", 10000, 0, CLASS_MISSING, "", 1, 0, NULL, NULL},
    };
    EXPECT(add(TASK_NAME, "2026-11-19", OTHERS, 6, 1000) == OK && count("1") == 6);
    end();
}

TEST(severity_grows_with_amount_and_channel)
{
    begin("version: 1\npush:\n  severity: {amounts: [\"5\", \"50\"], channels: {ALIPAY: 1}}\n");
    EXPECT(add(TASK_NAME, "2026-11-19", DAY, 7, 1000) == OK);
    EXPECT(count("biz_order_no = 'A1' AND severity = 3") == 1); /* a delta of 10: one amount, one channel */
    EXPECT(count("biz_order_no = 'A2' AND severity = 3") == 1);
    EXPECT(count("biz_order_no = '=A6' AND severity = 2") == 1); /* no delta: by what it is worth */
    end();
}

TEST(a_reversal_closes_what_it_takes_back)
{
    begin(NULL);
    static const struct made_verdict LATE[] = {
        {"A2", 500, 0, CLASS_MISSING, "", 1, 1, TASK_NAME, NULL},
        {"A2", 500, 400, CLASS_MISMATCH, "amount;late", 1, 0, NULL, NULL},
        {"A3", 0, 700, CLASS_EXTRA, "", 1, 1, TASK_NAME, NULL},
    };
    int64_t told;
    const char *const sinks[] = {"desk"};
    struct delivery_sink sink;
    EXPECT(add(TASK_NAME, "2026-11-19", DAY, 7, 1000) == OK);
    EXPECT(delivery_sink_open(db, "desk", 1000, &sink, &diag) == OK);
    EXPECT(delivery_fan_out(db, sinks, 1, 2, &told, &diag) == OK && told == 2); /* A1 and A2 are told */
    EXPECT(add("ALIPAY/pay/2026-11-20/1", "2026-11-20", LATE, 3, 2000) == OK);
    EXPECT(count("node_status = 'reversed' AND kind = 'verdict'") == 2);
    EXPECT(count("kind = 'reversal'") == 1 && count("kind = 'reversal' AND biz_order_no = 'A2'") == 1);
    EXPECT(count("visible = 3") == 1); /* A3: nobody was told, so nobody has to hear of its end */
    EXPECT(count("biz_order_no = 'A3' AND node_status = 'open'") == 1);
    /* The end of the old one stands before the new one, in one chain. */
    EXPECT(count("kind = 'reversal' AND no < (SELECT no FROM error_order WHERE class = 'mismatch' AND "
                 "biz_order_no = 'A2')") == 1);
    EXPECT(count("chain = (SELECT chain FROM error_order WHERE kind = 'reversal')") == 3);
    EXPECT(add("ALIPAY/pay/2026-11-20/1", "2026-11-20", LATE, 3, 3000) == OK &&
           count("kind = 'reversal'") == 1);
    end();
}

TEST(an_error_becomes_visible_when_it_stood_its_checks)
{
    begin("version: 1\npush:\n  recheck: [1m, 10m, next_run]\n");
    int64_t visible;
    static const struct made_verdict BACK[] = {{"A2", 500, 0, CLASS_MISSING, "", 1, 1, TASK_NAME, NULL}};
    EXPECT(add(TASK_NAME, "2026-11-19", DAY, 7, 1000) == OK);
    EXPECT(count("node_status = 'checking' AND visible = 0 AND check_at = 1060") == 5);
    EXPECT(error_orders_due(db, book, 1059, &visible, &diag) == OK && count("check_step = 1") == 0);
    EXPECT(error_orders_due(db, book, 1060, &visible, &diag) == OK &&
           count("check_step = 1 AND check_at = 1660") == 5);
    EXPECT(error_orders_due(db, book, 1700, &visible, &diag) == OK && visible == 0 &&
           count("check_step = 2") == 5);
    EXPECT(error_orders_due(db, book, 9999999, &visible, &diag) == OK && visible == 0 &&
           count("visible = 0") == 5);
    /* The next run takes one back; the others are shown. */
    EXPECT(add("ALIPAY/pay/2026-11-20/1", "2026-11-20", BACK, 1, 2000) == OK);
    EXPECT(count("visible = 1 AND node_status = 'open'") == 4 &&
           count("visible = 3 AND node_status = 'reversed'") == 1);
    EXPECT(count("kind = 'reversal'") == 0);
    end();
}

static enum handle_end do_it(enum handle_action action, const char *id, const char *actor,
                             const char *expected, char why[HANDLE_WHY])
{
    enum handle_end is = HANDLE_UNKNOWN;
    struct handling h = {.actor = actor, .reason = "because", .expected = expected, .now_s = 5};
    EXPECT(handle(db, action, id, &h, &is, why, &diag) == OK);
    return is;
}

static enum err count_action(void *context, const struct action *action, struct diag *unused)
{
    (void)unused;
    (void)action;
    ++*(int *)context;
    return OK;
}

TEST(hands_move_errors_along_and_leave_their_names)
{
    begin(NULL);
    char id[ERROR_ID_TEXT], other[ERROR_ID_TEXT], why[HANDLE_WHY];
    int actions = 0;
    EXPECT(add(TASK_NAME, "2026-11-19", DAY, 7, 1000) == OK);
    id_of("A1", id);
    EXPECT(do_it(HANDLE_CLAIM, id, "ann", NULL, why) == HANDLED &&
           count("node_status = 'claimed' AND assignee = 'ann'") == 1);
    EXPECT(do_it(HANDLE_CLAIM, id, "ann", NULL, why) == HANDLE_SAME);
    EXPECT(do_it(HANDLE_CLAIM, id, "bob", NULL, why) == HANDLE_CONFLICT && strstr(why, "claimed by ann"));
    EXPECT(do_it(HANDLE_RESOLVE, id, "bob", "open", why) == HANDLE_CONFLICT && strstr(why, "meanwhile"));
    id[10] = 0; /* a beginning will do */
    EXPECT(do_it(HANDLE_RESOLVE, id, "ann", "claimed", why) == HANDLED &&
           count("node_status = 'resolved' AND visible = 3") == 1);
    EXPECT(do_it(HANDLE_VOID, id, "ann", NULL, why) == HANDLE_CONFLICT);
    EXPECT(do_it(HANDLE_REOPEN, id, "ann", NULL, why) == HANDLED && count("visible = 3") == 0);
    EXPECT(do_it(HANDLE_NOTE, id, "ann", NULL, why) == HANDLED);
    id[7] = 0;
    EXPECT(do_it(HANDLE_NOTE, id, "ann", NULL, why) == HANDLE_UNKNOWN);
    EXPECT(do_it(HANDLE_NOTE, "0123456789abcdef", "ann", NULL, why) == HANDLE_UNKNOWN);
    id_of("A1", id);
    EXPECT(handling_each(db, id, count_action, &actions, &diag) == OK && actions == 4);
    struct diag refused = {0};
    EXPECT(sqlite_exec(db, "UPDATE action SET actor = 'nobody'", &refused) != OK);
    refused = (struct diag){0};
    EXPECT(sqlite_exec(db, "DELETE FROM action", &refused) != OK);
    /* The same day again: what was done stays done. */
    EXPECT(do_it(HANDLE_VOID, id, "ann", NULL, why) == HANDLED);
    EXPECT(add(TASK_NAME, "2026-11-19", DAY, 7, 2000) == OK && count("node_status = 'void'") == 1);
    /* Two that belong together. */
    struct handling h = {.actor = "ann", .reason = "two numbers of one payment", .now_s = 6};
    enum handle_end is;
    id_of("A2", id);
    id_of("A3", other);
    EXPECT(handle_match(db, id, id, &h, 0, &is, why, &diag) == OK && is == HANDLE_CONFLICT);
    /* 5.00 and 7.00 closed as one payment would hide 2.00. */
    EXPECT(handle_match(db, other, id, &h, 0, &is, why, &diag) == OK && is == HANDLE_CONFLICT);
    EXPECT(strstr(why, "5.00 local, 7.00 channel CNY") && count("node_status = 'force_matched'") == 0);
    static const struct made_verdict SAME[] = {{"A9", 0, 500, CLASS_EXTRA, "", 1, 0, NULL, NULL}};
    EXPECT(add("ALIPAY/pay/2026-11-19/2", "2026-11-19", SAME, 1, 1500) == OK);
    id_of("A9", other);
    EXPECT(handle_match(db, other, id, &h, 0, &is, why, &diag) == OK && is == HANDLED);
    EXPECT(count("node_status = 'force_matched'") == 2);
    EXPECT(handle_match(db, other, id, &h, 0, &is, why, &diag) == OK && is == HANDLE_CONFLICT);
    /* The next task leaves it; the one behind it takes the verdict of one of the two back: the other is open again. */
    static const struct made_verdict BACK[] = {{"A2", 500, 0, CLASS_MISSING, "", 1, 1, TASK_NAME, NULL}};
    EXPECT(add("ALIPAY/pay/2026-11-20/1", "2026-11-20", BACK, 0, 8000) == OK &&
           count("node_status = 'force_matched'") == 2);
    EXPECT(add("ALIPAY/pay/2026-11-21/1", "2026-11-21", BACK, 1, 9000) == OK &&
           count("node_status = 'force_matched'") == 0);
    EXPECT(count("biz_order_no = 'A2' AND node_status = 'reversed' AND kind = 'verdict'") == 1);
    EXPECT(count("biz_order_no = 'A9' AND node_status = 'open' AND changed_at = 9000") == 1);
    end();
}

struct claims {
    int64_t no[20];
    int count;
};

static enum err note_claim(void *context, const struct delivery *d, struct diag *unused)
{
    struct claims *c = context;
    (void)unused;
    c->no[c->count++] = d->no;
    return OK;
}

TEST(a_newer_one_of_a_chain_waits_for_the_older)
{
    begin(NULL);
    static const struct made_verdict CHAIN[] = {{"A1", 100, 0, CLASS_MISSING, "", 1, 0, NULL, "1"},
                                                {"A1", 200, 0, CLASS_MISSING, "", 1, 0, NULL, "2"},
                                                {"B1", 300, 0, CLASS_MISSING, "", 1, 0, NULL, NULL}};
    const char *const sinks[] = {"desk", "bus"};
    struct delivery_sink sink;
    struct claims c = {.count = 0};
    struct delivery_counts counts;
    int64_t n;
    EXPECT(add(TASK_NAME, "2026-11-19", CHAIN, 3, 1000) == OK);
    EXPECT(delivery_sink_open(db, "desk", 1, &sink, &diag) == OK &&
           delivery_sink_open(db, "bus", 1, &sink, &diag) == OK);
    EXPECT(delivery_fan_out(db, sinks, 2, 100, &n, &diag) == OK && n == 3);
    EXPECT(delivery_claim(db, "desk", 10, 20, note_claim, &c, &diag) == OK && c.count == 2 && c.no[0] == 1 &&
           c.no[1] == 3);
    /* The first is retried later: its chain waits with it, also when the time of others has come. */
    struct delivery_answer later = {
        .no = 1, .state = DELIVERY_WAITS, .next_at = 100, .why = "503", .now_s = 10};
    EXPECT(delivery_answered(db, "desk", &later, 1, &diag) == OK);
    c.count = 0;
    EXPECT(delivery_claim(db, "desk", 10, 20, note_claim, &c, &diag) == OK && c.count == 1 && c.no[0] == 3);
    struct delivery_answer dead = {.no = 1, .state = DELIVERY_DEAD, .why = "422", .now_s = 10};
    EXPECT(delivery_answered(db, "desk", &dead, 1, &diag) == OK);
    c.count = 0;
    EXPECT(delivery_claim(db, "desk", 10, 20, note_claim, &c, &diag) == OK && c.count == 2 && c.no[0] == 2);
    struct delivery_answer acked = {.no = 2, .state = DELIVERY_ACKED, .why = "", .now_s = 10};
    EXPECT(delivery_answered(db, "desk", &acked, 1, &diag) == OK);
    EXPECT(delivery_count(db, "desk", &counts, &diag) == OK && counts.waiting == 1 && counts.acked == 1 &&
           counts.dead == 1);
    EXPECT(delivery_count(db, "bus", &counts, &diag) == OK && counts.waiting == 3); /* each sink for itself */
    struct diag refused = {0};
    EXPECT(sqlite_exec(db, "UPDATE delivery SET state = 0 WHERE state = 1", &refused) != OK);
    EXPECT(delivery_revive(db, "desk", 20, &n, &diag) == OK && n == 1);
    /* A sink that is new gets what is still open. */
    EXPECT(delivery_sink_open(db, "new", 30, &sink, &diag) == OK);
    EXPECT(delivery_count(db, "new", &counts, &diag) == OK && counts.waiting == 3);
    end();
}

static int claims(struct claims *c, const char *sink, int64_t now)
{
    c->count = 0;
    return delivery_claim(db, sink, now, 20, note_claim, c, &diag) == OK ? c->count : -1;
}

static int answered(const char *sink, int64_t no, enum delivery_state state, int64_t next_at)
{
    const struct delivery_answer a = {.no = no, .state = state, .next_at = next_at, .why = "", .now_s = 10};
    return delivery_answered(db, sink, &a, 1, &diag) == OK;
}

TEST(all_records_of_an_order_number_keep_their_order)
{
    begin(NULL);
    static const struct made_verdict FIRST[] = {{"A1", 0, 2200, CLASS_EXTRA, "", 1, 0, NULL, NULL},
                                                {"B1", 0, 500, CLASS_EXTRA, "", 1, 0, NULL, NULL}};
    static const struct made_verdict THEN[] = {{"A1", 0, 2200, CLASS_EXTRA, "", 1, 1, NULL, NULL},
                                               {"A1", 0, 2300, CLASS_EXTRA, "", 2, 0, NULL, NULL},
                                               {"A1", 100, 900, CLASS_MISMATCH, "amount", 2, 0, NULL, NULL},
                                               {"C1", 0, 700, CLASS_EXTRA, "", 2, 0, NULL, NULL}};
    const char *const sinks[] = {"desk"};
    struct delivery_sink sink;
    struct claims c;
    int64_t n;
    EXPECT(delivery_sink_open(db, "desk", 1, &sink, &diag) == OK);
    EXPECT(add(TASK_NAME, "2026-11-19", FIRST, 2, 1000) == OK);
    EXPECT(delivery_fan_out(db, sinks, 1, 100, &n, &diag) == OK && n == 2 && claims(&c, "desk", 10) == 2);
    EXPECT(answered("desk", 1, DELIVERY_ACKED, 0) && answered("desk", 2, DELIVERY_ACKED, 0));
    EXPECT(add(TASK_NAME, "2026-11-19", THEN, 4, 2000) == OK);
    /* Each record in a chain of its own, as a record without a key has it. */
    EXPECT(sqlite_exec(db, "UPDATE error_order SET chain = substr(id, 1, 32)", &diag) == OK);
    EXPECT(delivery_fan_out(db, sinks, 1, 100, &n, &diag) == OK && n == 4);
    EXPECT(count("kind = 'reversal' AND no = 3") == 1 && count("biz_order_no = 'C1' AND no = 6") == 1);
    EXPECT(claims(&c, "desk", 10) == 2 && c.no[0] == 3 && c.no[1] == 6);
    /* The end of the old one is not taken now: the new ones wait behind it, whatever the time. */
    EXPECT(answered("desk", 3, DELIVERY_WAITS, 100) && answered("desk", 6, DELIVERY_ACKED, 0));
    EXPECT(claims(&c, "desk", 99) == 0 && claims(&c, "desk", 100) == 1 && c.no[0] == 3);
    /* A clock that was set back brings forward what waits for its time, and not what is behind another. */
    EXPECT(delivery_not_behind(db, "desk", 50, 20, &diag) == OK);
    EXPECT(claims(&c, "desk", 20) == 1 && c.no[0] == 3);
    EXPECT(answered("desk", 3, DELIVERY_ACKED, 0) && claims(&c, "desk", 20) == 1 && c.no[0] == 4);
    /* One that is dead holds up nobody; sent again it goes before those that still wait. */
    EXPECT(answered("desk", 4, DELIVERY_DEAD, 0) && claims(&c, "desk", 20) == 1 && c.no[0] == 5);
    EXPECT(delivery_revive(db, "desk", 20, &n, &diag) == OK && n == 1);
    EXPECT(claims(&c, "desk", 20) == 1 && c.no[0] == 4);
    EXPECT(answered("desk", 4, DELIVERY_ACKED, 0) && claims(&c, "desk", 20) == 1 && c.no[0] == 5);
    /* What an older program left waiting. */
    EXPECT(sqlite_exec(db,
                       "INSERT INTO push_sink (name, known_at) VALUES ('old', 1);\n"
                       "INSERT INTO delivery SELECT 'old', no, chain, 0, 0, 0, '', 0 FROM error_order",
                       &diag) == OK);
    EXPECT(delivery_sink_open(db, "old", 30, &sink, &diag) == OK);
    EXPECT(claims(&c, "old", 30) == 3 && c.no[0] == 1 && c.no[1] == 2 && c.no[2] == 6);
    EXPECT(answered("old", 1, DELIVERY_ACKED, 0) && claims(&c, "old", 30) == 3 && c.no[1] == 3);
    end();
}

static enum err count_alarm(void *context, const struct alarm *alarm, struct diag *unused)
{
    (void)unused;
    *(int64_t *)context += alarm->count;
    return OK;
}

TEST(an_alarm_that_stands_only_counts)
{
    begin(NULL);
    struct alarm alarm = {
        .grade = ALARM_WARNING, .kind = "task.failed", .subject = TASK_NAME, .text = "the disk is full"};
    int64_t all = 0, counts[ALARM_GRADES], untold = 0;
    for (int i = 0; i < 3; i++)
        EXPECT(alarm_raise(db, &alarm, 100 + i, &diag) == OK);
    EXPECT(alarm_each(db, count_alarm, &all, &diag) == OK && all == 3);
    EXPECT(alarm_counts(db, counts, &diag) == OK && counts[ALARM_WARNING] == 1);
    EXPECT(alarm_untold(db, "lark", ALARM_CRITICAL, -1, count_alarm, &untold, &diag) == OK && untold == 0);
    EXPECT(alarm_untold(db, "lark", ALARM_WARNING, -1, count_alarm, &untold, &diag) == OK && untold == 3);
    EXPECT(alarm_told(db, "lark", 1, ALARM_WARNING, 200, &diag) == OK);
    untold = 0;
    EXPECT(alarm_untold(db, "lark", ALARM_WARNING, -1, count_alarm, &untold, &diag) == OK && untold == 0);
    EXPECT(alarm_untold(db, "lark", ALARM_WARNING, 250, count_alarm, &untold, &diag) == OK &&
           untold == 3); /* again */
    alarm.grade = ALARM_CRITICAL;
    EXPECT(alarm_raise(db, &alarm, 300, &diag) == OK);
    untold = 0;
    EXPECT(alarm_untold(db, "lark", ALARM_WARNING, -1, count_alarm, &untold, &diag) == OK &&
           untold == 4); /* worse */
    EXPECT(alarm_clear(db, "task.failed", TASK_NAME, 400, &diag) == OK);
    EXPECT(alarm_counts(db, counts, &diag) == OK && counts[ALARM_CRITICAL] == 0);
    EXPECT(alarm_raise(db, &alarm, 500, &diag) == OK); /* it is another one now */
    EXPECT(alarm_counts(db, counts, &diag) == OK && counts[ALARM_CRITICAL] == 1);
    end();
}

TEST(a_books_settings_are_checked)
{
    static const struct {
        const char *yaml, *says;
    } WRONG[] = {
        {"version: 1\npush: {sinks: {a: {kafka: \"h:1\", topic: t, acks: 0}}}\n", "acks"},
        {"version: 1\npush: {sinks: {a: {webhook: \"https://x/y\", secret: \"hunter2\"}}}\n",
         "env:NAME or file:PATH"},
        {"version: 1\npush: {sinks: {a: {webhok: \"https://x/y\"}}}\n", "webhok"},
        {"version: 1\npush: {sinks: {a: {file: x, nsq: \"h:1\"}}}\n", "second"},
        {"version: 1\npush: {sinks: {a: {nsq: \"host\", topic: t}}}\n", "HOST:PORT"},
        {"version: 1\npush: {sinks: {a: {nsq: \"h:1\"}}}\n", "topic"},
        {"version: 1\npush: {recheck: [next_run, 1m]}\n", "last"},
        {"version: 1\npush: {classes: [match]}\n", "match"},
        {"version: 1\nalarms: {sinks: {a: {slack: \"x\"}}}\n", "https"},
        {"version: 1\nalarms: {sinks: {a: {file: x}}}\n", "no setting \"file\""},
        {"version: 1\npush: {sinks: {a: {lark: \"https://x\"}}}\n", "no setting \"lark\""},
        {"version: 1\ntasks: {priority: [ALIPAY]}\n", "ALIPAY: 1"},
        {"version: 1\ntasks: {priorty: {ALIPAY: 1}}\n", "priorty"},
        {"version: 1\ntasks: {priority: {ALIPAY: -1}}\n", "priority.ALIPAY"},
        {"push: {}\n", "version"},
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        begin(NULL);
        book_close(book);
        char name[300];
        snprintf(name, sizeof name, "%s/book.yaml", folder);
        FILE *file = fopen(name, "w");
        fputs(WRONG[i].yaml, file);
        fclose(file);
        struct diag wrong = {0};
        EXPECT(book_load(&book, folder, &wrong) == ERR_USAGE && book == NULL &&
               strstr(wrong.what, WRONG[i].says) && strstr(wrong.what, "book.yaml:"));
        if (!strstr(wrong.what, WRONG[i].says))
            diag_print(&wrong, stderr);
        end();
    }
}
