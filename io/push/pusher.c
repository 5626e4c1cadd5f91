/* io/push/pusher.c: see pusher.h */
#include "io/push/pusher.h"
#include "core/base/mem.h"
#include "core/base/prng.h"
#include "core/base/text.h"
#include "io/push/sinks.h"
#include "io/ring/sys.h"
#include "io/store/alarm.h"
#include "io/store/delivery.h"
#include "io/store/error_order.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define SETTINGS "push.settings" /* the alarm of a sink whose settings are wrong */

enum {
    BATCH_MAX = 1000,
    BATCH_BYTES_MAX = 8 << 20,
    FAN_OUT = 5000,
    BREAKER_MAX_S = 600,
    SLICE_MS = 20,
    WAIT_MOST_S = 3600
};

struct claimed {
    int64_t no, tries;
    size_t id, chain, body, body_size; /* offsets in `text` */
};

/* One sink and what is under way to it. */
struct lane {
    const struct sink_spec *spec;
    struct push_sink *sink; /* NULL: not pushed to in this run */
    struct delivery_sink state;
    struct push_message messages[BATCH_MAX];
    struct claimed claimed[BATCH_MAX];
    struct delivery_answer answers[BATCH_MAX];
    struct text text;
    unsigned count; /* of the batch under way; 0: none */
    int64_t tokens_milli, filled_ms, hold_until_ms;
    int is_out; /* nothing more in this run */
    int waited_out;
};

struct pusher {
    struct sqlite *db;
    const struct book *book;
    const struct push_options *options;
    struct push_result *result;
    struct lane *lanes;
    const char *names[SINKS_MAX];
    int lane_count, lock_fd;
    struct prng prng;
    int64_t progress_ms;
};

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int stopped_by_hand(const struct pusher *p)
{
    return p->options->interrupted && *p->options->interrupted;
}

static void tell(const struct pusher *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(const struct pusher *p, const char *format, ...)
{
    char line[600];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    if (p->options->tell)
        p->options->tell(p->options->context, line);
}

/* ---- one batch ---- */

static enum err claim_one(void *context, const struct delivery *d, struct diag *diag)
{
    struct lane *lane = context;
    size_t size = strlen(d->payload);
    if (lane->count && lane->text.size + size > BATCH_BYTES_MAX) /* the rest is claimed next time */
        return OK;
    struct claimed *c = &lane->claimed[lane->count++];
    *c = (struct claimed){.no = d->no, .tries = d->tries, .id = lane->text.size};
    text_put(&lane->text, d->id, strlen(d->id) + 1);
    c->chain = lane->text.size;
    text_put(&lane->text, d->chain, strlen(d->chain) + 1);
    c->body = lane->text.size;
    c->body_size = size;
    text_put(&lane->text, d->payload, size + 1);
    return lane->text.failed ? mem_fail(diag, size, "a batch of errors") : OK;
}

/* How many messages the rate allows now. */
static int64_t allowed(struct lane *lane, int64_t now_ms, int64_t wanted)
{
    if (!lane->spec->rate)
        return wanted;
    const int64_t full = (int64_t)lane->spec->rate * 1000;
    lane->tokens_milli += (now_ms - lane->filled_ms) * lane->spec->rate;
    lane->filled_ms = now_ms;
    if (lane->tokens_milli > full) /* a second's worth at once */
        lane->tokens_milli = full;
    return lane->tokens_milli / 1000 < wanted ? lane->tokens_milli / 1000 : wanted;
}

static enum err send_batch(struct pusher *p, struct lane *lane, struct diag *diag)
{
    const int64_t now_ms = clock_ms(), now_s = time(NULL);
    if (lane->is_out || lane->hold_until_ms > now_ms || lane->state.open_until > now_s)
        return OK;
    int64_t limit = lane->spec->batch ? lane->spec->batch : BATCH_MAX;
    if (limit > (int64_t)lane->sink->batch_max)
        limit = lane->sink->batch_max;
    if (limit > BATCH_MAX)
        limit = BATCH_MAX;
    if (lane->state.opened || lane->state.stopped[0]) /* one to see whether it is there again */
        limit = 1;
    limit = allowed(lane, now_ms, limit);
    if (limit < 1)
        return OK;
    text_reset(&lane->text);
    lane->count = 0;
    enum err err = delivery_claim(p->db, lane->spec->name, now_s, limit, claim_one, lane, diag);
    if (err != OK || !lane->count)
        return err;
    lane->tokens_milli -= lane->spec->rate ? (int64_t)lane->count * 1000 : 0;
    for (unsigned i = 0; i < lane->count; i++) {
        const struct claimed *c = &lane->claimed[i];
        lane->messages[i] = (struct push_message){.id = span_of(lane->text.data + c->id),
                                                  .chain = span_of(lane->text.data + c->chain),
                                                  .body = {lane->text.data + c->body, c->body_size}};
    }
    return lane->sink->ops->send(lane->sink, lane->messages, lane->count, diag);
}

/* ---- what came of it ---- */

static int64_t pause_s(struct pusher *p, const struct sink_spec *spec, int64_t tries)
{
    int64_t pause = spec->retry_first_s > 0 ? spec->retry_first_s : 1;
    for (int64_t i = 0; i < tries && pause < spec->retry_max_s; i++)
        pause *= 2;
    if (pause > spec->retry_max_s && spec->retry_max_s > 0)
        pause = spec->retry_max_s;
    /* Half to one and a half of it, so that what failed together does not come back together. */
    return pause / 2 + (int64_t)prng_below(&p->prng, (uint64_t)pause + 1);
}

/* Dead letters are on the disk before the database calls them so. */
static enum err bury(struct pusher *p, struct lane *lane, int *buried, struct diag *diag)
{
    struct text text = {0};
    struct push_message letters[64];
    size_t from[64], to[64];
    unsigned count = 0;
    char path[4096], folder[4096];
    struct sink_spec spec = {.name = "dead", .kind = PUSH_FILE, .address = path};
    struct push_sink *file = NULL;
    enum err err = OK;
    *buried = 1;
    snprintf(folder, sizeof folder, "%s/dead", p->options->state_directory);
    if (snprintf(path, sizeof path, "%s/%s.jsonl", folder, lane->spec->name) >= (int)sizeof path)
        return diag_set(diag, ERR_USAGE, "path", NULL, "the path of dead letters is too long");
    int error = sys_mkdir(folder, 0700);
    if (error && error != -EEXIST)
        return diag_set_errno(diag, -error, "push.dead", "%s: cannot make it", folder);
    err = file_sink_open(&file, &spec, ".", diag);
    for (unsigned i = 0; err == OK && i <= lane->count; i++) {
        const struct push_message *m = &lane->messages[i];
        if (i < lane->count && m->answer == PUSH_REFUSED) {
            from[count] = text.size;
            text_words(&text, "{\"sink\":");
            text_json(&text, span_of(lane->spec->name));
            text_words(&text, ",\"why\":");
            text_json(&text, span_of(m->why));
            text_format(&text, ",\"at\":%lld,\"message\":", (long long)time(NULL));
            text_put(&text, m->body.data, m->body.size);
            text_words(&text, "}");
            to[count++] = text.size;
            if (text.failed)
                err = mem_fail(diag, m->body.size, "dead letters");
        }
        if (err == OK && count && (count == 64 || i == lane->count)) {
            for (unsigned k = 0; k < count; k++)
                letters[k] = (struct push_message){
                    .id = {"", 0}, .chain = {"", 0}, .body = {text.data + from[k], to[k] - from[k]}};
            err = file->ops->send(file, letters, count, diag);
            if (err == OK && letters[0].answer != PUSH_ACKED) {
                tell(p, "%s: dead letters cannot be written, and wait: %s", lane->spec->name, letters[0].why);
                *buried = 0;
            }
            text_reset(&text);
            count = 0;
        }
    }
    if (file)
        file->ops->close(file);
    text_fini(&text);
    return err;
}

static enum err alarm_for(struct pusher *p, const struct lane *lane, const char *kind, enum alarm_grade grade,
                          const char *text, int64_t now_s, struct diag *diag)
{
    struct alarm alarm = {.grade = grade, .kind = kind, .subject = lane->spec->name, .text = text};
    return alarm_raise(p->db, &alarm, now_s, diag);
}

/* What the batch's answers mean for the sink as a whole. */
static enum err judge_sink(struct pusher *p, struct lane *lane, unsigned acked, unsigned failed,
                           const char *why, const char *stopped, int64_t now_s, struct diag *diag)
{
    struct delivery_sink *state = &lane->state;
    enum err err = OK;
    char text[300];
    if (stopped) {
        snprintf(state->stopped, sizeof state->stopped, "%.199s", stopped);
        lane->is_out = 1;
        snprintf(text, sizeof text, "nothing goes to it until this is mended: %.200s", stopped);
        tell(p, "%s: stopped: %s", lane->spec->name, stopped);
        err = alarm_for(p, lane, "push.stopped", ALARM_CRITICAL, text, now_s, diag);
    } else if (acked) {
        const int was_down = state->stopped[0] || state->opened;
        *state = (struct delivery_sink){0};
        if (was_down) {
            tell(p, "%s: is there again", lane->spec->name);
            err = alarm_clear(p->db, "push.stopped", lane->spec->name, now_s, diag);
            if (err == OK)
                err = alarm_clear(p->db, "push.down", lane->spec->name, now_s, diag);
        }
    } else if (failed) {
        state->failures += failed;
        state->stopped[0] = 0;
        if (state->opened || state->failures >= lane->spec->breaker_after) {
            int64_t pause = lane->spec->breaker_s;
            for (int64_t i = 0; i < state->opened && pause < BREAKER_MAX_S; i++)
                pause *= 2;
            state->open_until = now_s + (pause < BREAKER_MAX_S ? pause : BREAKER_MAX_S);
            state->opened++;
            snprintf(text, sizeof text, "takes nothing: %.200s", why);
            tell(p, "%s: takes nothing, tried again in %lld s: %s", lane->spec->name,
                 (long long)(state->open_until - now_s), why);
            err = alarm_for(p, lane, "push.down", ALARM_WARNING, text, now_s, diag);
        }
    }
    return err == OK ? delivery_sink_save(p->db, lane->spec->name, state, diag) : err;
}

/* `is_last`: this run polls no more, and what has no answer is not judged: it is sent again next time, under its id. */
static enum err record(struct pusher *p, struct lane *lane, int is_last, struct diag *diag)
{
    const struct sink_spec *spec = lane->spec;
    const int64_t now_s = time(NULL), now_ms = clock_ms();
    unsigned acked = 0, failed = 0, dead = 0, told = 0;
    const char *why = "", *stopped = NULL;
    int buried = 1;
    for (unsigned i = 0; i < lane->count; i++) {
        struct push_message *m = &lane->messages[i];
        if (m->answer == PUSH_RETRY && spec->tries && lane->claimed[i].tries + 1 >= spec->tries) {
            char words[sizeof m->why];
            snprintf(words, sizeof words, "%s", m->why);
            m->answer = PUSH_REFUSED;
            snprintf(m->why, sizeof m->why, "given up after %lld tries: %.110s",
                     (long long)(lane->claimed[i].tries + 1), words);
        }
        dead += m->answer == PUSH_REFUSED;
    }
    enum err err = dead ? bury(p, lane, &buried, diag) : OK;
    if (err == OK)
        err = sqlite_begin(p->db, diag);
    for (unsigned i = 0; err == OK && i < lane->count; i++) {
        const struct push_message *m = &lane->messages[i];
        struct delivery_answer a = {
            .no = lane->claimed[i].no, .state = DELIVERY_WAITS, .why = m->why, .now_s = now_s};
        switch (m->answer) {
        case PUSH_ACKED:
            a.state = DELIVERY_ACKED;
            acked++;
            break;
        case PUSH_REFUSED:
            a.state = buried ? DELIVERY_DEAD : DELIVERY_WAITS;
            a.next_at = now_s + spec->retry_max_s;
            break;
        case PUSH_STOPPED:
            stopped = m->why;
            continue; /* no try of its own: the sink is to be mended */
        case PUSH_OPEN:
            if (is_last)
                continue;
            /* fall through */
        case PUSH_RETRY:
        case PUSH_UNKNOWN:
            a.next_at = now_s + pause_s(p, spec, lane->claimed[i].tries);
            if (m->retry_after_s && a.next_at < now_s + m->retry_after_s)
                a.next_at = now_s + m->retry_after_s;
            if (m->retry_after_s && lane->hold_until_ms < now_ms + (int64_t)m->retry_after_s * 1000)
                lane->hold_until_ms = now_ms + (int64_t)m->retry_after_s * 1000;
            failed++;
            why = m->why;
            break;
        }
        lane->answers[told++] = a;
    }
    if (err == OK)
        err = delivery_answered(p->db, spec->name, lane->answers, told, diag);
    if (err == OK && dead && buried) {
        char text[200];
        snprintf(text, sizeof text,
                 "refused messages for good; they are in dead/%s.jsonl in the state folder", spec->name);
        err = alarm_for(p, lane, "push.dead", ALARM_WARNING, text, now_s, diag);
    }
    if (err == OK)
        err = judge_sink(p, lane, acked + (buried ? dead : 0), failed, why, stopped, now_s, diag);
    if (err == OK)
        err = sqlite_commit(p->db, diag);
    else
        sqlite_rollback(p->db);
    if (err != OK)
        return err;
    p->result->acked += acked;
    p->result->refused += buried ? dead : 0;
    p->result->retried += failed;
    if (acked || (dead && buried))
        p->progress_ms = now_ms;
    if ((failed || stopped) && !p->result->why[0])
        snprintf(p->result->why, sizeof p->result->why, "%.60s: %.180s", spec->name, stopped ? stopped : why);
    lane->count = 0;
    return OK;
}

/* ---- the loop ---- */

static unsigned in_flight(const struct pusher *p)
{
    unsigned n = 0;
    for (int i = 0; i < p->lane_count; i++)
        n += p->lanes[i].count > 0;
    return n;
}

/* Polls what is under way, each for its share of a slice, and records what is answered. */
static enum err poll_lanes(struct pusher *p, struct diag *diag)
{
    unsigned busy = in_flight(p);
    enum err err = OK;
    for (int i = 0; err == OK && i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];
        if (!lane->count)
            continue;
        if (lane->sink->open)
            err = lane->sink->ops->poll(lane->sink, SLICE_MS / (int)busy, diag);
        if (err == OK && !lane->sink->open)
            err = record(p, lane, 0, diag);
    }
    return err;
}

/* Whatever ended the run: what was written counts as written, or it would be told again. */
static enum err keep_answers(struct pusher *p, struct diag *diag)
{
    enum err err = OK;
    for (int i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];
        struct diag why = {0};
        if (lane->count && lane->sink->open < lane->count && record(p, lane, 1, &why) != OK && err == OK)
            err = diag_set(diag, why.err, why.code, why.hint, "%s", why.what);
    }
    return err;
}

/* How long until some lane may send again; -1: nothing waits anywhere. */
static enum err next_turn(struct pusher *p, int64_t *wait_ms, struct diag *diag)
{
    const int64_t now_ms = clock_ms(), now_s = time(NULL);
    *wait_ms = -1;
    for (int i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];
        int64_t next_at, wait;
        if (lane->is_out)
            continue;
        enum err err = delivery_next(p->db, lane->spec->name, &next_at, diag);
        if (err != OK)
            return err;
        if (next_at == INT64_MAX)
            continue;
        if (next_at < lane->state.open_until)
            next_at = lane->state.open_until;
        wait = next_at > now_s ? (next_at - now_s) * 1000 : 0;
        if (lane->hold_until_ms - now_ms > wait)
            wait = lane->hold_until_ms - now_ms;
        if (lane->spec->rate && lane->tokens_milli < 1000) {
            int64_t filling = (1000 - lane->tokens_milli) / lane->spec->rate + 1;
            wait = filling > wait ? filling : wait;
        }
        if (*wait_ms < 0 || wait < *wait_ms)
            *wait_ms = wait;
    }
    return OK;
}

static enum err fan_out(struct pusher *p, struct diag *diag)
{
    int64_t count = 0, visible = 0;
    enum err err = error_orders_due(p->db, p->book, time(NULL), &visible, diag);
    return err == OK ? delivery_fan_out(p->db, p->names, p->lane_count, FAN_OUT, &count, diag) : err;
}

static enum err push_all(struct pusher *p, struct diag *diag)
{
    const int64_t deadline_ms = p->options->deadline_s * 1000;
    enum err err = OK;
    int idle_turns = 0, stop_seen = 0;
    int64_t stop_ms = 0, fanned_ms = 0;
    p->progress_ms = clock_ms();
    while (err == OK) {
        const int stopping = stopped_by_hand(p);
        if (stopping && !stop_seen) {
            stop_seen = 1;
            stop_ms = clock_ms();
        }
        unsigned before = in_flight(p);
        if (!stopping && (clock_ms() - fanned_ms > 1000 || !before)) {
            err = fan_out(p, diag);
            fanned_ms = clock_ms();
        }
        for (int i = 0; err == OK && !stopping && i < p->lane_count; i++)
            if (!p->lanes[i].count)
                err = send_batch(p, &p->lanes[i], diag);
        if (err != OK)
            break;
        if (in_flight(p)) {
            idle_turns = 0;
            err = poll_lanes(p, diag);
            if (stopping && clock_ms() - stop_ms > 3000)
                break;
            continue;
        }
        if (stopping)
            break;
        int64_t wait_ms;
        err = next_turn(p, &wait_ms, diag);
        if (err != OK || wait_ms < 0)
            break;
        if (wait_ms > 0 &&
            (p->options->deadline_s == 0 || clock_ms() + wait_ms - p->progress_ms > deadline_ms))
            break;
        /* Due, and yet nothing was claimed: an older one of its chain waits for its own time. */
        if (wait_ms == 0 && ++idle_turns > 1)
            wait_ms = 200;
        if (clock_ms() - p->progress_ms > deadline_ms && idle_turns > 1)
            break;
        if (wait_ms > 200)
            wait_ms = 200; /* new errors may come meanwhile, and a signal */
        if (wait_ms)
            usleep((useconds_t)wait_ms * 1000);
    }
    return err;
}

static enum err take_lock(struct pusher *p, struct diag *diag)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/push.lock", p->options->state_directory) >= (int)sizeof path)
        return diag_set(diag, ERR_USAGE, "path", NULL, "the path of the state folder is too long");
    p->lock_fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (p->lock_fd < 0)
        return diag_set_errno(diag, -p->lock_fd, "push.lock", "%s: cannot open it", path);
    if (flock(p->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? diag_set(diag, ERR_STATE, "push.busy", "wait for it, or end it",
                                               "%s: another push is at work in this book", path)
                                    : diag_set_errno(diag, errno, "push.lock", "%s: cannot lock it", path);
    return OK;
}

/* All sinks that are pushed to, before the first of them gets anything: a setting that is wrong is found now, and not behind what others were
 * told already. */
static enum err open_sinks(struct pusher *p, struct diag *diag)
{
    const struct push_settings *push = &p->book->push;
    enum err err = OK;
    p->lanes = mem_take_zero(SINKS_MAX, sizeof *p->lanes);
    if (!p->lanes)
        return mem_fail(diag, SINKS_MAX * sizeof *p->lanes, "the sinks");
    for (int i = 0; err == OK && i < push->sink_count; i++) {
        struct lane *lane = &p->lanes[i];
        lane->spec = &push->sinks[i];
        if (p->options->sink && strcmp(p->options->sink, lane->spec->name) != 0)
            continue;
        err = sink_open(&lane->sink, lane->spec, p->book->directory, diag);
        struct diag why = {0};
        if (err == ERR_USAGE &&
            alarm_for(p, lane, SETTINGS, ALARM_CRITICAL, diag->what, time(NULL), &why) != OK)
            tell(p, "%s: the alarm cannot be kept: %s", lane->spec->name, why.what);
    }
    return err;
}

static enum err open_lanes(struct pusher *p, struct diag *diag)
{
    const struct push_settings *push = &p->book->push;
    enum err err = OK;
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return diag_set_errno(diag, errno, "random", "cannot get random bytes");
    p->prng.state = seed;
    for (int i = 0; err == OK && i < push->sink_count; i++) {
        struct lane *lane = &p->lanes[p->lane_count];
        const struct sink_spec *spec = &push->sinks[i];
        /* All sinks get their deliveries, also while one is pushed alone. */
        p->names[i] = spec->name;
        if (lane->sink)
            err = alarm_clear(p->db, SETTINGS, spec->name, time(NULL), diag);
        if (err == OK)
            err = delivery_sink_open(p->db, spec->name, time(NULL), &lane->state, diag);
        lane->filled_ms = clock_ms();
        lane->tokens_milli = (int64_t)spec->rate * 1000;
        lane->is_out = !lane->sink;
        if (lane->state.open_until > time(NULL) + BREAKER_MAX_S) /* the clock was set back */
            lane->state.open_until = 0;
        const int64_t now_s = time(NULL),
                      most_s = 2 * spec->retry_max_s > WAIT_MOST_S ? 2 * spec->retry_max_s : WAIT_MOST_S;
        if (err == OK) /* the same of what waits for its next try */
            err = delivery_not_behind(p->db, spec->name, now_s + most_s, now_s, diag);
        int64_t revived = 0;
        if (err == OK && p->options->revive && !lane->is_out) {
            err = delivery_revive(p->db, spec->name, time(NULL), &revived, diag);
            if (err == OK)
                err = alarm_clear(p->db, "push.dead", spec->name, time(NULL), diag);
            if (err == OK && revived)
                tell(p, "%s: %lld dead letters are sent again", spec->name, (long long)revived);
        }
        p->lane_count++;
    }
    return err;
}

static enum err sum_up(struct pusher *p, struct diag *diag)
{
    enum err err = OK;
    for (int i = 0; err == OK && i < p->lane_count; i++) {
        struct delivery_counts counts;
        const struct lane *lane = &p->lanes[i];
        err = delivery_count(p->db, lane->spec->name, &counts, diag);
        if (err != OK)
            break;
        p->result->dead += counts.dead;
        if (p->options->sink && strcmp(p->options->sink, lane->spec->name) != 0)
            continue;
        p->result->waiting += counts.waiting;
        p->result->sinks_down += counts.waiting > 0 && (lane->state.stopped[0] || lane->state.opened);
        if (counts.waiting && !p->result->why[0] && (lane->state.stopped[0] || lane->state.opened))
            snprintf(p->result->why, sizeof p->result->why, "%.60s: %.180s", lane->spec->name,
                     lane->state.stopped[0] ? lane->state.stopped : "took nothing when it was last tried");
    }
    return err;
}

enum err push_run(struct sqlite *db, const struct book *book, const struct push_options *options,
                  struct push_result *result, struct diag *diag)
{
    struct pusher p = {.db = db, .book = book, .options = options, .result = result, .lock_fd = -1};
    memset(result, 0, sizeof *result);
    enum err err = take_lock(&p, diag);
    if (err == OK && !options->sink)
        err = alarms_check(book, diag);
    const int alarms_go = err == OK && !options->sink;
    if (err == OK)
        err = open_sinks(&p, diag);
    const int misset = err == ERR_USAGE;
    if (err == OK)
        err = open_lanes(&p, diag);
    if (err == OK && p.lane_count)
        err = push_all(&p, diag);
    const enum err kept = keep_answers(&p, diag);
    if (err == OK)
        err = kept;
    if (err == OK)
        err = sum_up(&p, diag);
    for (int i = 0; p.lanes && i < book->push.sink_count; i++) {
        if (p.lanes[i].sink)
            p.lanes[i].sink->ops->close(p.lanes[i].sink);
        text_fini(&p.lanes[i].text);
    }
    struct diag ignored = {0}; /* of alarms, where a sink's setting is what is told */
    if (alarms_go && (err == OK || misset)) {
        const enum err alarms = alarm_push(db, book, options, result, misset ? &ignored : diag);
        if (err == OK)
            err = alarms;
    }
    mem_give(p.lanes);
    if (p.lock_fd >= 0)
        sys_close(p.lock_fd);
    return err;
}
