/* io/store/error_order.c: see error_order.h */
#include "io/store/error_order.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include "io/net/sign.h"
#include "io/store/handling.h"
#include "io/store/ordinals.h"
#include "io/store/verdict_log.h"
#include <stdio.h>
#include <string.h>

const char error_order_schema[] =
    "CREATE TABLE error_order (\n"
    "  no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, chain TEXT NOT NULL, kind TEXT NOT NULL, reverses "
    "TEXT NOT NULL,\n"
    "  task TEXT NOT NULL, queue TEXT NOT NULL, day TEXT NOT NULL, class TEXT NOT NULL, revision INTEGER NOT "
    "NULL,\n"
    "  scenario TEXT NOT NULL, error_type TEXT NOT NULL, reasons TEXT NOT NULL, severity INTEGER NOT NULL,\n"
    "  channel_code TEXT NOT NULL, biz_order_no TEXT NOT NULL, channel_order_no TEXT NOT NULL, currency TEXT "
    "NOT NULL,\n"
    "  amount_micro INTEGER NOT NULL, delta_micro INTEGER, node_status TEXT NOT NULL, assignee TEXT NOT NULL "
    "DEFAULT '',\n"
    "  visible INTEGER NOT NULL, check_step INTEGER NOT NULL, check_at INTEGER NOT NULL, opened_at INTEGER "
    "NOT NULL,\n"
    "  changed_at INTEGER NOT NULL, payload TEXT NOT NULL,\n"
    "  reversals INTEGER NOT NULL DEFAULT 0, status_before TEXT NOT NULL DEFAULT '', messages INTEGER NOT "
    "NULL DEFAULT 1,\n"
    "  CHECK (kind IN ('verdict', 'reversal', 'change')),\n"
    "  CHECK (node_status IN ('checking', 'open', 'claimed', 'resolved', 'void', 'force_matched', "
    "'reversed')));\n"
    "CREATE INDEX error_order_waits ON error_order (check_at, no) WHERE visible = 0;\n"
    "CREATE INDEX error_order_untold ON error_order (no) WHERE visible = 1;\n"
    "CREATE INDEX error_order_by_key ON error_order (biz_order_no);\n"
    "CREATE INDEX error_order_by_other_key ON error_order (channel_order_no) WHERE channel_order_no <> '';\n"
    "CREATE INDEX error_order_by_task ON error_order (task, class);\n"
    "CREATE INDEX error_order_open ON error_order (node_status, severity) WHERE node_status IN ('checking', "
    "'open', 'claimed');\n"
    "CREATE TRIGGER error_order_stays BEFORE DELETE ON error_order\n"
    "  BEGIN SELECT RAISE(ABORT, 'errors are closed, never removed'); END;\n"
    "CREATE TABLE error_segment (task TEXT NOT NULL, revision INTEGER NOT NULL, print INTEGER NOT NULL,\n"
    "  PRIMARY KEY (task, revision, print)) WITHOUT ROWID;\n";

const char *severity_name(int64_t severity)
{
    static const char *const NAMES[SEVERITIES] = {"none", "low", "medium", "high", "critical"};
    return NAMES[severity < 0 || severity >= SEVERITIES ? 0 : severity];
}

/* ---- who an order is ---- */

static void put_size(struct text *out, size_t size)
{
    unsigned char big[4] = {(unsigned char)(size >> 24), (unsigned char)(size >> 16),
                            (unsigned char)(size >> 8), (unsigned char)size};
    text_put(out, big, 4);
}

static void put_part(struct text *out, struct span part)
{
    put_size(out, part.size);
    text_put(out, part.data, part.size);
}

static int digest(char id[ERROR_ID_TEXT], struct text *text)
{
    unsigned char sha[SIGN_BYTES];
    int ok = !text->failed && sign_sha256(sha, (struct span){text->data, text->size});
    if (ok)
        sign_hex(id, sha);
    return ok;
}

static int is_old(const struct entry *e)
{
    static const char *const words[] = {"carried", "late"};
    for (struct span rest = e->reasons; rest.size;) {
        const char *end = memchr(rest.data, ';', rest.size);
        const struct span word = {rest.data, end ? (size_t)(end - rest.data) : rest.size};
        if (span_is(word, words[0]) || span_is(word, words[1]))
            return 1;
        rest = end ? (struct span){end + 1, rest.size - word.size - 1} : (struct span){"", 0};
    }
    return 0;
}

const char error_ids_schema[] =
    "CREATE TABLE IF NOT EXISTS error_ids (task TEXT PRIMARY KEY, revision INTEGER NOT "
    "NULL) WITHOUT ROWID;\n";

enum err error_ids_open(struct error_ids *ids, struct sqlite *db, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    *ids = (struct error_ids){.db = db};
    enum err err = sqlite_prepare(&s, db, "SELECT EXISTS (SELECT 1 FROM error_ids)", diag);
    if (err == OK && sqlite_step(s, diag) == STEP_MORE)
        ids->any = (int)sqlite_int(s, 0);
    sqlite_finish(s);
    return diag->err;
}

int error_ids_carried(struct error_ids *ids, const struct entry *e, struct diag *diag)
{
    struct sqlite_statement *s = NULL;
    if (!is_old(e))
        return 0;
    if (!ids->any)
        return 1;
    if (!span_is(e->task, ids->task)) {
        ids->revision = 0;
        snprintf(ids->task, sizeof ids->task, "%.*s", (int)e->task.size, e->task.data);
        if (sqlite_prepare(&s, ids->db, "SELECT revision FROM error_ids WHERE task = ?1", diag) == OK) {
            sqlite_bind_text(s, 1, ids->task);
            if (sqlite_step(s, diag) == STEP_MORE)
                ids->revision = sqlite_int(s, 0);
        }
        sqlite_finish(s);
        if (diag->err != OK) {
            ids->task[0] = 0;
            return -1;
        }
    }
    return e->revision > ids->revision;
}

/* The same of a verdict and of its reversal: both name the task and revision that gave the verdict. */
static int id_into(struct text *text, char id[ERROR_ID_TEXT], const struct entry *e, unsigned ordinal,
                   int carried, const char *kind)
{
    char day[DAY_TEXT_MAX], revision[24];
    text_reset(text);
    day_print(day, entry_lead(e)->day);
    snprintf(revision, sizeof revision, "%u", e->revision);
    put_part(text, e->task);
    put_part(text, span_of(day));
    put_part(text, span_of(class_name((enum class_id)e->class_id)));
    text_format(text, "%c", e->key_no);
    put_part(text, e->key);
    for (int side = 0; side < SIDES; side++) {
        const struct entry_side *s = &e->side[side];
        text_format(text, "%c", s->present ? '1' : '0');
        if (!s->present)
            continue;
        put_part(text, s->occurrence);
        for (int i = 0; i < e->field_count; i++)
            put_part(text, s->text[i]);
    }
    put_part(text, span_of(revision));
    /* A record that was open before, and one of the day that is equal to it, are two: where the log takes one of them back, it is that
     * one's error that ends. */
    text_format(text, "%u%s%s", ordinal, carried ? "c" : "", kind);
    return digest(id, text);
}

int error_order_id(char id[ERROR_ID_TEXT], const struct entry *entry, unsigned ordinal, int carried)
{
    struct text text = {0};
    int ok = id_into(&text, id, entry, ordinal, carried, "");
    text_fini(&text);
    return ok;
}

/* ---- what an order says ---- */

static const char *scenario_of(enum class_id class_id)
{
    switch (class_id) {
    case CLASS_MISSING:
        return "local_only";
    case CLASS_EXTRA:
        return "channel_only";
    case CLASS_MISMATCH:
        return "both_differ";
    case CLASS_DUPLICATE:
        return "doubled";
    case CLASS_AMBIGUOUS:
    case CLASS_MATCH:
    case CLASS_SUSPENSE:
    case CLASS_EXCLUDED:
    case CLASSES:
        break;
    }
    return "unclear";
}

/* The first reason that says what differs; of one-sided classes the class itself. */
static void type_of(char out[80], const struct entry *e)
{
    struct span rest = e->reasons;
    snprintf(out, 80, "%s", class_name((enum class_id)e->class_id));
    while (e->class_id == CLASS_MISMATCH && rest.size) {
        const char *end = memchr(rest.data, ';', rest.size);
        struct span word = {rest.data, end ? (size_t)(end - rest.data) : rest.size};
        if (!span_is(word, "date_disagrees") && !span_is(word, "day_cut") && !span_is(word, "near_cut") &&
            !span_is(word, "carried") && !span_is(word, "second_pass") && !span_is(word, "late")) {
            snprintf(out, 80, "%.*s", (int)(word.size < 79 ? word.size : 79), word.data);
            return;
        }
        rest = end ? (struct span){end + 1, rest.size - word.size - 1} : (struct span){"", 0};
    }
}

struct facts {
    char day[DAY_TEXT_MAX], type[80];
    int64_t amount, delta, severity;
    int has_delta;
    const char *currency;
};

static int64_t magnitude(int64_t value)
{
    return value < 0 ? (value == INT64_MIN ? INT64_MAX : -value) : value;
}

static void find_facts(struct facts *f, const struct entry *e, const struct task *task,
                       const struct push_settings *push)
{
    const struct entry_side *lead = entry_lead(e), *l = &e->side[LOCAL], *c = &e->side[CHANNEL];
    day_print(f->day, lead->day);
    type_of(f->type, e);
    f->currency = currency_code(lead->currency);
    f->amount = lead->amount_micro;
    f->has_delta = !(l->present && c->present && l->currency != c->currency);
    if (!f->has_delta || __builtin_sub_overflow(c->present ? c->amount_micro : 0,
                                                l->present ? l->amount_micro : 0, &f->delta)) {
        f->has_delta = 0;
        f->delta = 0;
    }
    int64_t worth =
        magnitude(f->has_delta && (f->delta || e->class_id != CLASS_MISMATCH) ? f->delta : f->amount);
    int points = 1;
    for (int i = 0; i < push->severity_count; i++)
        points += worth >= push->severity_micro[i];
    for (int i = 0; i < push->age_count; i++)
        points +=
            task->day != DAY_NONE && lead->since != DAY_NONE && task->day - lead->since >= push->age_days[i];
    for (int i = 0; i < push->channel_count; i++)
        if (strcmp(push->channels[i].channel_code, task->channel_code) == 0)
            points += push->channels[i].points;
    f->severity = points < SEVERITIES - 1 ? points : SEVERITIES - 1;
}

static void put_member(struct text *out, const char *name, struct span value)
{
    text_format(out, ",\"%s\":", name);
    text_json(out, value);
}

static struct span either(const struct entry *e, unsigned field)
{
    const struct entry_side *l = &e->side[LOCAL], *c = &e->side[CHANNEL];
    return l->present && l->text[field].size ? l->text[field]
           : c->present                      ? c->text[field]
                                             : (struct span){"", 0};
}

/* One flat object of texts, so that sheets and CSV files need no rules. */
static void put_payload(struct text *out, const struct entry *e, const struct facts *f, const char *id,
                        const char *reverses, const char *chain, int64_t message)
{
    static const unsigned SHARED[] = {FIELD_CHANNEL_CODE,     FIELD_BIZ_TYPE,    FIELD_BIZ_ORDER_NO,
                                      FIELD_CHANNEL_ORDER_NO, FIELD_MERCHANT_NO, FIELD_SUB_MERCHANT_NO,
                                      FIELD_CURRENCY};
    static const unsigned SIDED[] = {FIELD_AMOUNT,    FIELD_FEE,        FIELD_STATUS,
                                     FIELD_DIRECTION, FIELD_TRADE_TIME, FIELD_BILL_DATE};
    char name[80], delta[MONEY_TEXT_MAX] = "";
    text_reset(out);
    text_format(out, "{\"id\":\"%s\",\"kind\":\"%s\",\"revision\":%u", id,
                reverses[0] ? "reversal" : "verdict", e->revision);
    text_format(out, ",\"order_id\":\"%s\",\"order_revision\":%lld", reverses[0] ? reverses : id,
                (long long)message);
    if (reverses[0])
        text_format(out, ",\"reverses\":\"%s\"", reverses);
    put_member(out, "task", e->task);
    put_member(out, "bill_date", span_of(f->day));
    put_member(out, "class", span_of(class_name((enum class_id)e->class_id)));
    put_member(out, "scenario", span_of(scenario_of((enum class_id)e->class_id)));
    put_member(out, "error_type", span_of(f->type));
    put_member(out, "reasons", e->reasons);
    put_member(out, "severity", span_of(severity_name(f->severity)));
    put_member(out, "node_status", span_of(reverses[0] ? "reversed" : "open"));
    put_member(out, "chain", span_of(chain));
    text_format(out, ",\"key_no\":%u", e->key_no);
    if (e->set_id)
        text_format(out, ",\"set_id\":\"%016llx\"", (unsigned long long)e->set_id);
    for (size_t i = 0; i < sizeof SHARED / sizeof *SHARED; i++)
        put_member(out, field_name(SHARED[i]), either(e, SHARED[i]));
    if (f->has_delta)
        money_print(delta, f->delta, currency_exponent(entry_lead(e)->currency));
    put_member(out, "delta", span_of(delta));
    for (int side = 0; side < SIDES; side++) {
        const struct entry_side *s = &e->side[side];
        if (!s->present)
            continue;
        for (size_t i = 0; i < sizeof SIDED / sizeof *SIDED; i++) {
            snprintf(name, sizeof name, "%s_%s", side_name((enum side)side), field_name(SIDED[i]));
            put_member(out, name, s->text[SIDED[i]]);
        }
        snprintf(name, sizeof name, "%s_occurrence_id", side_name((enum side)side));
        put_member(out, name, s->occurrence);
        snprintf(name, sizeof name, "%s_place", side_name((enum side)side));
        put_member(out, name, s->place);
    }
    text_words(out, "}");
}

/* ---- adding ---- */

struct adder {
    struct sqlite *db;
    const struct task *task;
    const struct book *book;
    int64_t now_s;
    struct sqlite_statement *insert, *find, *reverse, *restore, *pair, *move;
    struct text text, queue;
    struct error_ids ids;
    struct ordinals ordinals; /* of verdicts that this segment gives */
    /* Equal verdicts are taken back in the order in which they were given: the number of the last one, behind which the next one's is
     * looked for first. */
    uint64_t last_print;
    unsigned last_ordinal;
};

static int chain_of(struct adder *a, char chain[ERROR_ID_TEXT], const struct entry *e)
{
    text_reset(&a->text);
    put_part(&a->text, span_of(a->queue.data));
    text_format(&a->text, "%c", e->key_no);
    put_part(&a->text, e->key);
    if (!e->key.size) /* a record without a key is its own chain */
        for (int i = 0; i < e->field_count; i++)
            put_part(&a->text, entry_lead(e)->text[i]);
    if (!digest(chain, &a->text))
        return 0;
    chain[32] = 0;
    return 1;
}

/* The value of a member of a payload, with its quotes: no value holds a quote that is not escaped, so the name is found nowhere else. */
static struct span member(const char *payload, const char *name)
{
    const char *from = strstr(payload, name);
    if (!from)
        return (struct span){NULL, 0};
    from += strlen(name);
    const char *to = from + 1;
    while (*to && *to != '"')
        to += *to == '\\' && to[1] ? 2 : 1;
    return *from == '"' && *to == '"' ? (struct span){from, (size_t)(to + 1 - from)} : (struct span){NULL, 0};
}

/* The order is known: a corrected file may have its row on another line, and whoever goes there must find it. */
static enum err move_row(struct adder *a, const struct entry *e, const char *id, struct diag *diag)
{
    struct text payload = {0}, fresh = {0};
    int moved = 0;
    sqlite_bind_text(a->find, 1, id);
    const enum step step = sqlite_step(a->find, diag);
    if (step == STEP_MORE)
        text_words(&payload, sqlite_text(a->find, 5));
    sqlite_reset(a->find);
    for (int side = 0; step == STEP_MORE && !payload.failed && side < SIDES; side++) {
        char name[40];
        snprintf(name, sizeof name, ",\"%s_place\":", side_name((enum side)side));
        const struct span old = member(payload.data, name);
        if (!e->side[side].present || !old.size)
            continue;
        text_reset(&a->text);
        text_json(&a->text, e->side[side].place);
        if (span_equal(old, (struct span){a->text.data, a->text.size}))
            continue;
        text_reset(&fresh);
        text_put(&fresh, payload.data, (size_t)(old.data - payload.data));
        text_put(&fresh, a->text.data, a->text.size);
        text_words(&fresh, old.data + old.size);
        text_reset(&payload);
        text_put(&payload, fresh.data, fresh.size);
        moved = 1;
    }
    enum err err = step == STEP_FAILED                                ? diag->err
                   : payload.failed || fresh.failed || a->text.failed ? mem_fail(diag, payload.size, "errors")
                                                                      : OK;
    if (err == OK && moved) {
        sqlite_bind_text(a->move, 1, id);
        sqlite_bind_text(a->move, 2, payload.data);
        err = sqlite_step(a->move, diag) == STEP_FAILED ? diag->err : OK;
    }
    text_fini(&payload);
    text_fini(&fresh);
    return err;
}

/* `reverses`: "" of a verdict. `message`: how many there are about the order, with this one. */
static enum err insert(struct adder *a, const struct entry *e, const char *id, const char *reverses,
                       int64_t message, struct diag *diag)
{
    const struct push_settings *push = &a->book->push;
    struct facts facts;
    char chain[ERROR_ID_TEXT], task_name[TASK_NAME_MAX], reasons[400], order_no[2][300];
    find_facts(&facts, e, a->task, push);
    if (!chain_of(a, chain, e))
        return mem_fail(diag, 0, "errors");
    put_payload(&a->text, e, &facts, id, reverses, chain, message);
    if (a->text.failed)
        return mem_fail(diag, 0, "errors");
    struct sqlite_statement *s = a->insert;
    const int waits = !reverses[0] && push->recheck_count > 0;
    struct span texts[] = {e->task, e->reasons, either(e, FIELD_BIZ_ORDER_NO),
                           either(e, FIELD_CHANNEL_ORDER_NO)};
    snprintf(task_name, sizeof task_name, "%.*s", (int)(texts[0].size < 399 ? texts[0].size : 399),
             texts[0].data);
    snprintf(reasons, sizeof reasons, "%.*s", (int)(texts[1].size < 399 ? texts[1].size : 399),
             texts[1].data);
    for (int i = 0; i < 2; i++)
        snprintf(order_no[i], sizeof order_no[i], "%.*s",
                 (int)(texts[2 + i].size < 299 ? texts[2 + i].size : 299), texts[2 + i].data);
    sqlite_bind_text(s, 1, id);
    sqlite_bind_text(s, 2, chain);
    sqlite_bind_text(s, 3, reverses[0] ? "reversal" : "verdict");
    sqlite_bind_text(s, 4, reverses);
    sqlite_bind_text(s, 5, task_name);
    sqlite_bind_text(s, 6, a->queue.data);
    sqlite_bind_text(s, 7, facts.day);
    sqlite_bind_text(s, 8, class_name((enum class_id)e->class_id));
    sqlite_bind_int(s, 9, e->revision);
    sqlite_bind_text(s, 10, scenario_of((enum class_id)e->class_id));
    sqlite_bind_text(s, 11, facts.type);
    sqlite_bind_text(s, 12, reasons);
    sqlite_bind_int(s, 13, facts.severity);
    sqlite_bind_text(s, 14, a->task->channel_code);
    sqlite_bind_text(s, 15, order_no[0]);
    sqlite_bind_text(s, 16, order_no[1]);
    sqlite_bind_text(s, 17, facts.currency);
    sqlite_bind_int(s, 18, facts.amount);
    if (facts.has_delta)
        sqlite_bind_int(s, 19, facts.delta);
    sqlite_bind_text(s, 20, reverses[0] ? "reversed" : waits ? "checking" : "open");
    sqlite_bind_int(s, 21, waits ? VISIBLE_LATER : VISIBLE_NOW);
    sqlite_bind_int(s, 22,
                    !waits                                   ? 0
                    : push->recheck_s[0] == RECHECK_NEXT_RUN ? CHECK_NEXT_RUN
                                                             : a->now_s + push->recheck_s[0]);
    sqlite_bind_int(s, 23, a->now_s);
    sqlite_bind_text(s, 24, a->text.data);
    if (sqlite_step(s, diag) == STEP_FAILED)
        return diag->err;
    return reverses[0] || sqlite_changes(a->db) ? OK : move_row(a, e, id, diag);
}

/* The order of a verdict of this segment. */
static enum err give(struct adder *a, const struct entry *e, struct diag *diag)
{
    char id[ERROR_ID_TEXT];
    const int carried = error_ids_carried(&a->ids, e, diag);
    if (carried < 0)
        return diag->err;
    const uint32_t ordinal = ordinals_next(&a->ordinals, e, carried);
    if (ordinal == UINT32_MAX || !id_into(&a->text, id, e, ordinal, carried, ""))
        return mem_fail(diag, 0, "errors");
    return insert(a, e, id, "", 1, diag);
}

struct standing {
    int64_t no, reversals, messages;
    int visible, is_here;
    char id[ERROR_ID_TEXT], status[40];
};

/* 1 when the order's rows stand where the entry's do. */
static int stands_there(struct text *text, const char *payload, const struct entry *e)
{
    for (int side = 0; side < SIDES; side++) {
        if (!e->side[side].present)
            continue;
        text_reset(text);
        text_format(text, ",\"%s_place\":", side_name((enum side)side));
        text_json(text, e->side[side].place);
        if (text->failed || !strstr(payload, text->data))
            return 0;
    }
    return 1;
}

/* Records that are equal in everything have orders of their own, told apart by a number. Of those of this verdict: the one whose row it is;
 * where that cannot be told, the first that stands, to be reversed; or the one that is reversed the most often, to stand again. no 0: there
 * is none. */
static enum err look_at(struct adder *a, const struct entry *e, unsigned ordinal, struct standing *found,
                        struct diag *diag)
{
    const int carried = error_ids_carried(&a->ids, e, diag);
    *found = (struct standing){0};
    if (carried < 0)
        return diag->err;
    if (!id_into(&a->text, found->id, e, ordinal, carried, ""))
        return mem_fail(diag, 0, "errors");
    sqlite_bind_text(a->find, 1, found->id);
    const enum step step = sqlite_step(a->find, diag);
    if (step == STEP_MORE) {
        found->visible = (int)sqlite_int(a->find, 0);
        snprintf(found->status, sizeof found->status, "%s", sqlite_text(a->find, 1));
        found->reversals = sqlite_int(a->find, 2);
        found->messages = sqlite_int(a->find, 3);
        found->no = sqlite_int(a->find, 4);
        found->is_here = stands_there(&a->text, sqlite_text(a->find, 5), e);
    }
    sqlite_reset(a->find);
    return step == STEP_FAILED ? diag->err : OK;
}

static enum err find_standing(struct adder *a, const struct entry *e, int to_reverse, struct standing *found,
                              struct diag *diag)
{
    const uint64_t print = entry_print(e) * 31 + e->revision;
    const unsigned next = a->last_print == print ? a->last_ordinal + 1 : 0;
    enum err err = look_at(a, e, next, found, diag);
    a->last_print = print;
    a->last_ordinal = next;
    if (err != OK || found->is_here || (next == 0 && !found->no))
        return err;
    if (next)
        *found = (struct standing){0};
    for (unsigned ordinal = 0;; ordinal++) {
        struct standing o;
        err = look_at(a, e, ordinal, &o, diag);
        if (err != OK || !o.no)
            return err;
        if (found->no && o.is_here <= found->is_here &&
            (o.is_here < found->is_here ||
             (to_reverse ? o.reversals >= found->reversals : o.reversals <= found->reversals)))
            continue;
        *found = o;
        a->last_ordinal = ordinal;
        if (o.is_here)
            return OK;
    }
}

/* Closes the order of a verdict that was taken back; one that was visible is told so. */
static enum err reverse(struct adder *a, const struct entry *e, struct diag *diag)
{
    struct standing o;
    char own[ERROR_ID_TEXT], kind[ERROR_ID_TEXT + 24];
    enum err err = find_standing(a, e, 1, &o, diag);
    if (err != OK || !o.no)
        return err; /* no error of its time: its class was not pushed */
    const int is_matched = strcmp(o.status, "force_matched") == 0;
    const int by_hand = is_matched ? force_pair_is_of(a->db, o.id, a->task->name, diag) : 0;
    if (by_hand < 0)
        return diag->err;
    if (by_hand) { /* its match is in this log: the order stays what somebody made it, and who was told heard of it then */
        sqlite_bind_int(a->pair, 1, o.no);
        return sqlite_step(a->pair, diag) == STEP_FAILED ? diag->err : OK;
    }
    sqlite_bind_int(a->reverse, 1, o.no);
    sqlite_bind_int(a->reverse, 2, a->now_s);
    if (sqlite_step(a->reverse, diag) == STEP_FAILED)
        return diag->err;
    if (o.reversals)
        return OK; /* it was told: somebody else takes it back as well */
    if (is_matched && force_pair_break(a->db, o.id, a->task->name, a->now_s, diag) != OK)
        return diag->err;
    if (o.visible != VISIBLE_TOLD)
        return OK; /* nobody ever saw it */
    snprintf(kind, sizeof kind, "%s", o.id);
    if (o.messages > 1) /* not the first end of it */
        snprintf(kind + strlen(kind), 24, "/%lld", (long long)o.messages);
    const int carried = error_ids_carried(&a->ids, e, diag);
    if (carried < 0)
        return diag->err;
    if (!id_into(&a->text, own, e, 0, carried, kind))
        return mem_fail(diag, 0, "errors");
    return insert(a, e, own, o.id, o.messages + 1, diag);
}

/* What had taken the verdict back is no more. Where nothing else takes it back its order is as it was before, and whoever was told of
 * its end is told that. */
static enum err restore(struct adder *a, const struct entry *e, struct diag *diag)
{
    struct standing o;
    enum err err = find_standing(a, e, 0, &o, diag);
    if (err != OK || !o.no || !o.reversals)
        return err;
    sqlite_bind_int(a->restore, 1, o.no);
    sqlite_bind_int(a->restore, 2, a->now_s);
    if (sqlite_step(a->restore, diag) == STEP_FAILED)
        return diag->err;
    if (o.reversals > 1 || o.visible != VISIBLE_TOLD)
        return OK;
    return error_order_tell_change(a->db, o.no, "tieout", a->task->name, a->now_s, diag);
}

/* Those that waited for the next run of their queue stood it: this is it. */
static enum err show_waiting(struct adder *a, struct diag *diag)
{
    struct sqlite_statement *s;
    char day[DAY_TEXT_MAX];
    enum err err = sqlite_prepare(
        &s, a->db,
        "UPDATE error_order SET visible = 1, node_status = CASE node_status WHEN 'checking' THEN\n"
        "  'open' ELSE node_status END, changed_at = ?3 WHERE visible = 0 AND check_at = ?4 AND\n"
        "  queue = ?1 AND day < ?2",
        diag);
    if (err != OK)
        return err;
    day_print(day, a->task->day);
    sqlite_bind_text(s, 1, a->queue.data);
    sqlite_bind_text(s, 2, day);
    sqlite_bind_int(s, 3, a->now_s);
    sqlite_bind_int(s, 4, CHECK_NEXT_RUN);
    err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
    sqlite_finish(s);
    return err;
}

static enum err prepare(struct adder *a, struct diag *diag)
{
    text_format(&a->queue, "%s/%s", a->task->channel_code, a->task->biz_type);
    if (a->queue.failed)
        return mem_fail(diag, 0, "errors");
    enum err err = error_ids_open(&a->ids, a->db, diag);
    if (err == OK)
        err = sqlite_prepare(
            &a->insert, a->db,
            "INSERT OR IGNORE INTO error_order (id, chain, kind, reverses, task, queue, day, class, "
            "revision, "
            "scenario,\n"
            "  error_type, reasons, severity, channel_code, biz_order_no, channel_order_no, currency, "
            "amount_micro,\n"
            "  delta_micro, node_status, visible, check_step, check_at, opened_at, changed_at, payload)\n"
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, "
            "?20, "
            "?21, 0,\n"
            "  ?22, ?23, ?23, ?24)",
            diag);
    if (err == OK)
        err = sqlite_prepare(
            &a->find, a->db,
            "SELECT visible, node_status, reversals, messages, no, payload FROM error_order WHERE id = ?1",
            diag);
    if (err == OK)
        err = sqlite_prepare(
            &a->reverse, a->db,
            "UPDATE error_order SET reversals = reversals + 1, changed_at = ?2, node_status = 'reversed',\n"
            "  status_before = CASE reversals WHEN 0 THEN node_status ELSE status_before END,\n"
            "  messages = messages + (reversals = 0 AND visible = 2),\n"
            "  visible = CASE WHEN visible < 2 THEN 3 ELSE visible END WHERE no = ?1",
            diag);
    if (err == OK)
        err = sqlite_prepare(
            &a->restore, a->db,
            "UPDATE error_order SET reversals = reversals - 1, changed_at = ?2,\n"
            "  node_status = CASE WHEN reversals > 1 THEN node_status WHEN status_before IN ('claimed', "
            "'resolved',\n"
            "  'void') THEN status_before ELSE 'open' END,\n"
            "  visible = CASE WHEN reversals = 1 AND visible = 3 AND status_before NOT IN ('resolved', "
            "'void') THEN 1\n"
            "  ELSE visible END WHERE no = ?1",
            diag);
    if (err == OK)
        err = sqlite_prepare(&a->move, a->db, "UPDATE error_order SET payload = ?2 WHERE id = ?1", diag);
    if (err == OK)
        err = sqlite_prepare(
            &a->pair, a->db,
            "UPDATE error_order SET reversals = reversals + 1, status_before = 'open' WHERE no = ?1", diag);
    return err;
}

/* Reversals count, so a segment may be taken in once only. 1: it was. */
static int is_known(struct adder *a, const char *segment, const struct verdict_head *head,
                    struct verdict_head *at_hand, struct diag *diag)
{
    struct verdict_reader *reader = NULL;
    struct sqlite_statement *s = NULL;
    struct entry entry;
    const struct verdict_wish none = {{0}};
    enum step step = head ? STEP_DONE : STEP_FAILED;
    if (head) {
        *at_hand = *head;
    } else if (verdict_log_open(&reader, segment, diag) == OK) {
        verdict_log_only(reader, &none, &at_hand->seen);
        step = verdict_log_next(reader, &entry, NULL, diag);
        at_hand->print = verdict_log_print(reader);
    }
    verdict_log_close(reader);
    if (step == STEP_FAILED ||
        sqlite_prepare(&s, a->db, "INSERT OR IGNORE INTO error_segment VALUES (?1, ?2, ?3)", diag) != OK)
        return -1;
    sqlite_bind_text(s, 1, a->task->name);
    sqlite_bind_int(s, 2, a->task->wanted);
    sqlite_bind_int(s, 3, (int64_t)at_hand->print);
    step = sqlite_step(s, diag);
    sqlite_finish(s);
    return step == STEP_FAILED ? -1 : sqlite_changes(a->db) == 0;
}

enum err error_orders_add(struct sqlite *db, const struct task *task, const char *segment,
                          const struct verdict_head *head, const struct book *book, int64_t now_s,
                          struct diag *diag)
{
    /* Where a verdict is taken back and given again, the new order stands behind the old one's end. */
    static const uint8_t passes[] = {ENTRY_AGAIN, ENTRY_REVERSAL, ENTRY_VERDICT};
    struct adder a = {.db = db, .task = task, .book = book, .now_s = now_s};
    struct verdict_reader *reader = NULL;
    struct entry entry;
    enum step step = STEP_FAILED;
    enum err err = prepare(&a, diag);
    struct verdict_head at_hand = {0};
    const int known = err == OK ? is_known(&a, segment, head, &at_hand, diag) : 0;
    if (known < 0)
        err = diag->err;
    for (int pass = 0; err == OK && !known && pass < 3; pass++) {
        struct verdict_wish wish = {{0}};
        wish.classes[passes[pass]] = passes[pass] == ENTRY_VERDICT ? book->push.classes : UINT32_MAX;
        if (!(at_hand.seen.classes[passes[pass]] & wish.classes[passes[pass]]))
            continue; /* there are none */
        err = verdict_log_open(&reader, segment, diag);
        if (err == OK)
            verdict_log_only(reader, &wish, NULL);
        while (err == OK && (step = verdict_log_next(reader, &entry, NULL, diag)) == STEP_MORE) {
            if (entry.kind != passes[pass] || entry.repeated)
                continue;
            if (entry.kind == ENTRY_AGAIN)
                err = restore(&a, &entry, diag);
            else if (entry.kind == ENTRY_REVERSAL) /* of whatever class: what is pushed may have been set
                                                      otherwise then */
                err = reverse(&a, &entry, diag);
            else if (!(book->push.classes >> entry.class_id & 1))
                continue;
            else
                err = give(&a, &entry, diag);
        }
        if (err == OK && step == STEP_FAILED)
            err = diag->err;
        verdict_log_close(reader);
        reader = NULL;
    }
    if (err == OK)
        err = show_waiting(&a, diag);
    sqlite_finish(a.insert);
    sqlite_finish(a.find);
    sqlite_finish(a.reverse);
    sqlite_finish(a.restore);
    sqlite_finish(a.pair);
    sqlite_finish(a.move);
    text_fini(&a.text);
    text_fini(&a.queue);
    ordinals_fini(&a.ordinals);
    return err;
}

/* ---- what becomes of an order that was told ---- */

/* Its payload as it is told now. `told` is what was told first: this file's own words, in the order of put_payload. */
static int put_change(struct text *out, const char *told, const char *id, const char *status, int64_t message,
                      const char *actor, const char *reason)
{
    static const char order[] = ",\"order_revision\":", node[] = ",\"node_status\":\"";
    const char *revision = strstr(told, ",\"revision\":"), *number = strstr(told, order),
               *state = strstr(told, node);
    if (!revision || !number || !state || number > state)
        return 0;
    const char *behind = number + strlen(order), *end = strchr(state + strlen(node), '"');
    behind += strspn(behind, "0123456789");
    text_reset(out);
    text_format(out, "{\"id\":\"%s\",\"kind\":\"change\"%.*s%s%lld%.*s%s%s%s", id, (int)(number - revision),
                revision, order, (long long)message, (int)(state - behind), behind, node, status, end);
    out->data[--out->size] = 0; /* the closing brace */
    put_member(out, "actor", span_of(actor));
    put_member(out, "reason", span_of(reason));
    text_words(out, "}");
    return !out->failed;
}

enum err error_order_tell_change(struct sqlite *db, int64_t no, const char *actor, const char *reason,
                                 int64_t now_s, struct diag *diag)
{
    struct sqlite_statement *s;
    struct text text = {0}, name = {0};
    char id[ERROR_ID_TEXT];
    enum err err = sqlite_prepare(
        &s, db, "SELECT id, messages, node_status, payload FROM error_order WHERE no = ?1 AND visible = 2",
        diag);
    if (err != OK)
        return err;
    sqlite_bind_int(s, 1, no);
    const enum step step = sqlite_step(s, diag);
    int made = 0;
    if (step == STEP_MORE) {
        const int64_t message = sqlite_int(s, 1) + 1;
        put_part(&name, span_of(sqlite_text(s, 0)));
        text_format(&name, "change %lld", (long long)message);
        made = digest(id, &name) &&
               put_change(&text, sqlite_text(s, 3), id, sqlite_text(s, 2), message, actor, reason);
    }
    sqlite_finish(s);
    text_fini(&name);
    if (step != STEP_MORE || !made) {
        text_fini(&text);
        return step == STEP_FAILED ? diag->err : step == STEP_DONE ? OK : mem_fail(diag, 0, "errors");
    }
    err = sqlite_prepare(
        &s, db,
        "INSERT INTO error_order (id, chain, kind, reverses, task, queue, day, class, revision, scenario, "
        "error_type,\n"
        "  reasons, severity, channel_code, biz_order_no, channel_order_no, currency, amount_micro, "
        "delta_micro,\n"
        "  node_status, assignee, visible, check_step, check_at, opened_at, changed_at, payload)\n"
        "SELECT ?2, chain, 'change', id, task, queue, day, class, revision, scenario, error_type, reasons, "
        "severity,\n"
        "  channel_code, biz_order_no, channel_order_no, currency, amount_micro, delta_micro, node_status, "
        "assignee,\n"
        "  1, 0, 0, ?3, ?3, ?4 FROM error_order WHERE no = ?1",
        diag);
    if (err == OK) {
        sqlite_bind_int(s, 1, no);
        sqlite_bind_text(s, 2, id);
        sqlite_bind_int(s, 3, now_s);
        sqlite_bind_text(s, 4, text.data);
        err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
        sqlite_finish(s);
    }
    text_fini(&text);
    if (err == OK)
        err = sqlite_prepare(&s, db, "UPDATE error_order SET messages = messages + 1 WHERE no = ?1", diag);
    if (err == OK) {
        sqlite_bind_int(s, 1, no);
        err = sqlite_step(s, diag) == STEP_FAILED ? diag->err : OK;
        sqlite_finish(s);
    }
    return err;
}

/* ---- re-checks ---- */

/* What an order waits for is that its verdict is taken back: by a rerun, a restatement, a late partner. error_orders_add closes it
 * then, so whatever is still `checking` when a step is due stood it. */
enum err error_orders_due(struct sqlite *db, const struct book *book, int64_t now_s, int64_t *became_visible,
                          struct diag *diag)
{
    const struct push_settings *push = &book->push;
    struct sqlite_statement *s = NULL;
    *became_visible = 0;
    enum err err = OK;
    for (int step = RECHECKS_MAX - 1; err == OK && step >= 0; step--) {
        const int last = step + 1 >= push->recheck_count;
        err = sqlite_prepare(
            &s, db,
            last ? "UPDATE error_order SET visible = 1, node_status = CASE node_status WHEN 'checking' THEN\n"
                   "  'open' ELSE node_status END, changed_at = ?1\n"
                   "WHERE visible = 0 AND check_at <= ?1 AND check_step = ?2"
                 : "UPDATE error_order SET check_step = ?2 + 1, check_at = ?3\n"
                   "WHERE visible = 0 AND check_at <= ?1 AND check_step = ?2",
            diag);
        if (err != OK)
            break;
        sqlite_bind_int(s, 1, now_s);
        sqlite_bind_int(s, 2, step);
        if (!last)
            sqlite_bind_int(s, 3,
                            push->recheck_s[step + 1] == RECHECK_NEXT_RUN
                                ? CHECK_NEXT_RUN
                                : now_s + push->recheck_s[step + 1]);
        if (sqlite_step(s, diag) == STEP_FAILED)
            err = diag->err;
        else if (last)
            *became_visible += sqlite_changes(db);
        sqlite_finish(s);
        s = NULL;
    }
    sqlite_finish(s);
    return err;
}

/* ---- reading ---- */

enum err error_order_each(struct sqlite *db, const struct error_filter *f, error_fn *each, void *context,
                          struct diag *diag)
{
    struct text sql = {0};
    struct sqlite_statement *s;
    text_words(
        &sql,
        "SELECT no, id, kind, reverses, task, day, class, scenario, error_type, reasons, node_status, "
        "assignee,\n"
        "  channel_code, biz_order_no, channel_order_no, currency, payload, revision, severity, "
        "amount_micro,\n"
        "  delta_micro, opened_at, changed_at, check_at, delta_micro IS NOT NULL, visible FROM error_order\n"
        "WHERE no > ?1");
    const char *const conditions[] = {f->id ? " AND id >= ?2 AND id < ?2 || 'g'" : NULL,
                                      f->task ? " AND task = ?3" : NULL,
                                      f->day ? " AND day = ?4" : NULL,
                                      f->class_name ? " AND class = ?5" : NULL,
                                      f->node_status ? " AND node_status = ?6" : NULL,
                                      f->channel_code ? " AND channel_code = ?7" : NULL,
                                      f->key ? " AND (biz_order_no = ?8 OR channel_order_no = ?8)" : NULL,
                                      f->assignee ? " AND assignee = ?9" : NULL,
                                      f->severity ? " AND severity >= ?10" : NULL,
                                      f->open_only ? " AND node_status IN ('checking', 'open', 'claimed')"
                                                   : NULL,
                                      f->id ? NULL : " AND kind <> 'change'"};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (conditions[i])
            text_words(&sql, conditions[i]);
    text_words(&sql, " ORDER BY no");
    if (f->limit)
        text_format(&sql, " LIMIT %lld", (long long)f->limit);
    if (sql.failed)
        return mem_fail(diag, 0, "errors");
    enum err err = sqlite_prepare(&s, db, sql.data, diag);
    text_fini(&sql);
    if (err != OK)
        return err;
    const char *const texts[] = {f->id,          f->task,         f->day, f->class_name,
                                 f->node_status, f->channel_code, f->key, f->assignee};
    sqlite_bind_int(s, 1, f->after);
    for (int i = 0; i < 8; i++)
        if (texts[i])
            sqlite_bind_text(s, 2 + i, texts[i]);
    if (f->severity)
        sqlite_bind_int(s, 10, f->severity);
    enum step step = STEP_DONE;
    while (err == OK && (step = sqlite_step(s, diag)) == STEP_MORE) {
        struct error_order o = {.no = sqlite_int(s, 0),
                                .id = sqlite_text(s, 1),
                                .kind = sqlite_text(s, 2),
                                .reverses = sqlite_text(s, 3),
                                .task = sqlite_text(s, 4),
                                .day = sqlite_text(s, 5),
                                .class_name = sqlite_text(s, 6),
                                .scenario = sqlite_text(s, 7),
                                .error_type = sqlite_text(s, 8),
                                .reasons = sqlite_text(s, 9),
                                .node_status = sqlite_text(s, 10),
                                .assignee = sqlite_text(s, 11),
                                .channel_code = sqlite_text(s, 12),
                                .biz_order_no = sqlite_text(s, 13),
                                .channel_order_no = sqlite_text(s, 14),
                                .currency = sqlite_text(s, 15),
                                .payload = sqlite_text(s, 16),
                                .revision = sqlite_int(s, 17),
                                .severity = sqlite_int(s, 18),
                                .amount_micro = sqlite_int(s, 19),
                                .delta_micro = sqlite_int(s, 20),
                                .opened_at = sqlite_int(s, 21),
                                .changed_at = sqlite_int(s, 22),
                                .check_at = sqlite_int(s, 23),
                                .has_delta = (int)sqlite_int(s, 24),
                                .visible = (int)sqlite_int(s, 25)};
        err = each(context, &o, diag);
    }
    if (err == OK && step == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}

enum err error_order_counts(struct sqlite *db, error_count_fn *each, void *context, struct diag *diag)
{
    struct sqlite_statement *s;
    enum err err = sqlite_prepare(
        &s, db, "SELECT node_status, count(*) FROM error_order WHERE kind = 'verdict' GROUP BY 1 ORDER BY 1",
        diag);
    enum step step = STEP_DONE;
    if (err != OK)
        return err;
    while (err == OK && (step = sqlite_step(s, diag)) == STEP_MORE)
        err = each(context, sqlite_text(s, 0), sqlite_int(s, 1), diag);
    if (err == OK && step == STEP_FAILED)
        err = diag->err;
    sqlite_finish(s);
    return err;
}
