/* io/push/alarm_push.c: alarms as chat messages; see pusher.h */
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/net/sign.h"
#include "io/push/pusher.h"
#include "io/push/sinks.h"
#include "io/store/alarm.h"
#include "io/store/state.h"
#include <string.h>
#include <time.h>

enum { ALARMS_MAX = 4096, SHOWN_MAX = 5 };

struct told {
    int64_t no, told_at; /* this sink, the last time; 0: never */
    enum alarm_grade grade;
};

/* Messages to one sink, one a kind: what an alarm of the kind says, and which ones it tells of. */
struct bundle {
    const struct alarm_settings *settings;
    char kind[80];
    enum alarm_grade grade;
    unsigned count;
    struct text lines, text;
    struct told told[ALARMS_MAX];
    /* where a finished message goes */
    struct sqlite *db;
    const struct sink_spec *spec;
    struct push_sink *sink;
    struct push_result *result;
    char name[100], book[STATE_ID_TEXT];
    int is_down;
};

/* What a receiver knows a repeat by: which alarms, at which grade, and when it was told of them before. So each telling has an id of its
 * own, which stays while it is tried again: how often they rose meanwhile is not in it. 0: memory is out. */
static int name_telling(char id[SIGN_HEX], const struct bundle *b)
{
    struct text words = {0};
    unsigned char sum[SIGN_BYTES];
    text_format(&words, "alarm\n%s\n%s\n%s\n", b->book, b->name, b->kind);
    for (unsigned i = 0; i < b->count; i++)
        text_format(&words, "%lld %d %lld\n", (long long)b->told[i].no, (int)b->told[i].grade,
                    (long long)b->told[i].told_at);
    const int ok = !words.failed && sign_sha256(sum, (struct span){words.data, words.size});
    if (ok)
        sign_hex(id, sum);
    text_fini(&words);
    return ok;
}

static enum err send_bundle(struct bundle *b, struct diag *diag)
{
    if (!b->count || b->is_down) {
        b->result->alarms_waiting += b->count;
        b->count = 0;
        return OK;
    }
    text_reset(&b->text);
    if (b->count == 1)
        text_format(&b->text, "[%s] %s", alarm_grade_name(b->grade), b->lines.data);
    else
        text_format(&b->text, "[%s] %s: %u%s\n%s", alarm_grade_name(b->grade), b->kind, b->count,
                    b->count > (unsigned)b->settings->storm ? ", the first of them:" : "", b->lines.data);
    if (b->text.failed || b->lines.failed)
        return mem_fail(diag, 0, "an alarm");
    struct text plain = {0};
    struct span body = {b->text.data, b->text.size};
    if (b->spec->style == HOOK_PLAIN) {
        text_format(&plain, "{\"grade\":\"%s\",\"kind\":", alarm_grade_name(b->grade));
        text_json(&plain, span_of(b->kind));
        text_format(&plain, ",\"count\":%u,\"text\":", b->count);
        text_json(&plain, body);
        text_words(&plain, "}");
        body = (struct span){plain.data, plain.size};
    }
    char id[SIGN_HEX] = "";
    const int named = name_telling(id, b);
    struct push_message message = {.id = span_of(id), .chain = span_of("alarm"), .body = body};
    enum err err = plain.failed || !named ? mem_fail(diag, 0, "an alarm")
                                          : b->sink->ops->send(b->sink, &message, 1, diag);
    while (err == OK && b->sink->open)
        err = b->sink->ops->poll(b->sink, 100, diag);
    text_fini(&plain);
    if (err != OK)
        return err;
    if (message.answer != PUSH_ACKED) {
        b->is_down = 1; /* not each kind waits for the same time-out */
        b->result->alarms_waiting += b->count;
        if (!b->result->why[0])
            snprintf(b->result->why, sizeof b->result->why, "%.60s: %.180s", b->spec->name, message.why);
        b->count = 0;
        return OK;
    }
    err = sqlite_begin(b->db, diag);
    for (unsigned i = 0; err == OK && i < b->count; i++)
        err = alarm_told(b->db, b->name, b->told[i].no, b->told[i].grade, time(NULL), diag);
    if (err == OK)
        err = sqlite_commit(b->db, diag);
    else
        sqlite_rollback(b->db);
    b->result->alarms_told += b->count;
    b->count = 0;
    return err;
}

struct gather {
    struct told told[ALARMS_MAX];
    unsigned count;
    struct text kinds, lines; /* a text of each, NUL-terminated, in the order of `told` */
};

static enum err gather_one(void *context, const struct alarm *alarm, struct diag *diag)
{
    struct gather *g = context;
    if (g->count == ALARMS_MAX) /* the rest next time */
        return OK;
    g->told[g->count++] = (struct told){alarm->no, alarm->told_at, alarm->grade};
    text_put(&g->kinds, alarm->kind, strlen(alarm->kind) + 1);
    text_format(&g->lines, "%s: %s: %s", alarm->kind, alarm->subject, alarm->text);
    if (alarm->count > 1)
        text_format(&g->lines, " (%lld times)", (long long)alarm->count);
    text_put(&g->lines, "", 1);
    return g->kinds.failed || g->lines.failed ? mem_fail(diag, 0, "alarms") : OK;
}

/* All of one sink: by kind, a message each. */
static enum err tell_sink(struct bundle *b, const struct gather *g, struct diag *diag)
{
    const char *kind = g->kinds.data, *line = g->lines.data;
    enum err err = OK;
    for (unsigned i = 0; err == OK && i < g->count; i++, kind += strlen(kind) + 1, line += strlen(line) + 1) {
        if (b->count && strcmp(b->kind, kind) != 0)
            err = send_bundle(b, diag);
        if (err != OK)
            break;
        if (!b->count) {
            text_reset(&b->lines);
            snprintf(b->kind, sizeof b->kind, "%.79s", kind);
            b->grade = g->told[i].grade;
        }
        b->told[b->count++] = g->told[i];
        if (g->told[i].grade > b->grade)
            b->grade = g->told[i].grade;
        if (b->count <= SHOWN_MAX || b->count <= (unsigned)b->settings->storm)
            text_format(&b->lines, "%s%s", b->count > 1 ? "\n" : "", line);
    }
    return err == OK ? send_bundle(b, diag) : err;
}

enum err alarms_check(const struct book *book, struct diag *diag)
{
    enum err err = OK;
    for (int i = 0; err == OK && i < book->alarms.sink_count; i++) {
        struct push_sink *sink;
        err = sink_open(&sink, &book->alarms.sinks[i], book->directory, diag);
        if (err == OK)
            sink->ops->close(sink);
    }
    return err;
}

enum err alarm_push(struct sqlite *db, const struct book *book, const struct push_options *options,
                    struct push_result *result, struct diag *diag)
{
    const struct alarm_settings *settings = &book->alarms;
    if (!settings->sink_count || options->sink)
        return OK;
    struct gather *g = mem_take_zero(1, sizeof *g);
    struct bundle *b = mem_take_zero(1, sizeof *b);
    struct sqlite_statement *s = NULL;
    enum err err = g && b ? OK : mem_fail(diag, sizeof *g, "alarms");
    if (err == OK)
        err = sqlite_prepare(&s, db, "SELECT id FROM book", diag);
    if (err == OK && sqlite_step(s, diag) == STEP_MORE)
        snprintf(b->book, sizeof b->book, "%s", sqlite_text(s, 0));
    if (err == OK)
        err = diag->err;
    sqlite_finish(s);
    for (int i = 0; err == OK && i < settings->sink_count; i++) {
        b->settings = settings;
        b->db = db;
        b->result = result;
        b->spec = &settings->sinks[i];
        b->is_down = 0;
        snprintf(b->name, sizeof b->name, "%.90s", b->spec->name);
        g->count = 0;
        text_reset(&g->kinds);
        text_reset(&g->lines);
        int64_t again_before = settings->again_s ? time(NULL) - settings->again_s : -1;
        err = alarm_untold(db, b->name, b->spec->grade, again_before, gather_one, g, diag);
        if (err == OK && g->count)
            err = sink_open(&b->sink, b->spec, book->directory, diag);
        if (err == OK && g->count)
            err = tell_sink(b, g, diag);
        if (b->sink)
            b->sink->ops->close(b->sink);
        b->sink = NULL;
    }
    if (g) {
        text_fini(&g->kinds);
        text_fini(&g->lines);
    }
    if (b) {
        text_fini(&b->lines);
        text_fini(&b->text);
    }
    mem_give(g);
    mem_give(b);
    return err;
}
