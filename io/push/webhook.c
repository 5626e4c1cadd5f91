/* io/push/webhook.c: one POST a message, several at once, signed.
 *
 * What the other end gets: `Tieout-Id` and `Idempotency-Key` (the same id: a repeat is known by it), `Tieout-Timestamp` (seconds) and
 * `Tieout-Signature: v1=HEX`, the HMAC-SHA256 with the shared secret of TIMESTAMP, ".", and the body's bytes. Lark,
 * DingTalk and Slack get a text message, signed their way.
 */
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/net/http_post.h"
#include "io/net/sign.h"
#include "io/push/json_read.h"
#include "io/push/sinks.h"
#include <string.h>
#include <time.h>

enum { BATCH = 64, RETRY_AFTER_MAX = 3600 };

struct webhook {
    struct push_sink sink;
    const struct sink_spec *spec;
    struct http_post *post;
    struct push_message *messages; /* the batch; the caller's */
    unsigned count, next;
    struct push_message *at[HTTP_SLOTS_MAX];
    struct text bodies[HTTP_SLOTS_MAX]; /* of styles that are not plain */
    struct diag *diag;                  /* of the step at hand */
    char url[SECRET_MAX], secret[SECRET_MAX], password[SECRET_MAX], token[SECRET_MAX];
    char ca[4096];
};

/* What an answer's status means for the message; SNK-07. */
static enum push_answer judge(int status)
{
    if ((status >= 200 && status < 300) || status == 409)
        return PUSH_ACKED;
    if (status == 400 || status == 413 || status == 422)
        return PUSH_REFUSED;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return PUSH_RETRY;
    return PUSH_STOPPED; /* rights, a wrong path, a redirect: the same for all messages */
}

static int is_ok(const struct sink_spec *spec, const struct http_answer *answer, struct span *said)
{
    *said = span_of("no such member");
    if (!spec->ok_path)
        return 1;
    struct json_read *json = answer->cut ? NULL : json_read_open(answer->body);
    int ok = 0;
    static _Thread_local char text[80];
    if (json && json_read_member(json, spec->ok_path, said)) {
        for (int i = 0; i < spec->ok_count && !ok; i++)
            ok = span_is(*said, spec->ok_words[i]);
        size_t size = said->size < sizeof text ? said->size : sizeof text;
        memcpy(text, said->data, size); /* the document goes before it is told */
        *said = (struct span){text, size};
    } else if (!json) {
        *said = span_of("no JSON object");
    }
    json_read_close(json);
    return ok;
}

static void done(void *context, unsigned slot, const struct http_answer *answer)
{
    struct webhook *w = context;
    struct push_message *m = w->at[slot];
    w->at[slot] = NULL;
    struct span said;
    switch (answer->end) {
    case HTTP_ANSWERED:
        m->retry_after_s = answer->retry_after_s < RETRY_AFTER_MAX ? answer->retry_after_s : RETRY_AFTER_MAX;
        if (answer->elsewhere)
            push_answer(&w->sink, m, PUSH_STOPPED,
                        "answered %d, a redirect to another server, which is not followed", answer->status);
        else if (judge(answer->status) != PUSH_ACKED)
            push_answer(&w->sink, m, judge(answer->status), "answered %d: %.*s", answer->status,
                        answer->body.size < 100 ? (int)answer->body.size : 100, answer->body.data);
        else if (answer->status != 409 && !is_ok(w->spec, answer, &said))
            push_answer(&w->sink, m, PUSH_RETRY, "answered %d, but %s is %.*s", answer->status,
                        w->spec->ok_path, (int)said.size, said.data);
        else
            push_answer(&w->sink, m, PUSH_ACKED, "%s", "");
        break;
    case HTTP_NOT_REACHED:
        push_answer(&w->sink, m, PUSH_RETRY, "%s", answer->why);
        break;
    case HTTP_LOST:
        push_answer(&w->sink, m, PUSH_UNKNOWN, "%s", answer->why);
        break;
    case HTTP_NOT_TRUSTED:
    case HTTP_SETTING:
        push_answer(&w->sink, m, PUSH_STOPPED, "%s", answer->why);
        break;
    }
}

/* Lark and DingTalk sign (timestamp, newline, secret): the one as key of nothing, the other under the secret. */
static int sign_as_chat(const struct webhook *w, int64_t now_s, char out[SIGN_BASE64])
{
    char words[SECRET_MAX + 40];
    unsigned char mac[SIGN_BYTES];
    int is_lark = w->spec->style == HOOK_LARK;
    int n = snprintf(words, sizeof words, "%lld%s\n%s", (long long)now_s, is_lark ? "" : "000", w->secret);
    struct span text = {words, (size_t)n}, secret = {w->secret, strlen(w->secret)};
    int ok = is_lark ? sign_hmac(mac, text, (struct span){"", 0}) : sign_hmac(mac, secret, text);
    explicit_bzero(words, sizeof words);
    if (ok)
        sign_base64(out, mac);
    return ok;
}

static void put_url(struct text *url, const char *base, int64_t now_s, const char *sign)
{
    text_format(url, "%s%ctimestamp=%lld000&sign=", base, strchr(base, '?') ? '&' : '?', (long long)now_s);
    for (const char *p = sign; *p; p++)
        text_format(url, strchr("+/=", *p) ? "%%%02X" : "%c", (unsigned char)*p);
}

static enum err begin(struct webhook *w, unsigned slot, struct push_message *m)
{
    int64_t now_s = time(NULL);
    char id[120], key[120], stamp[60], signature[100] = "", chat[SIGN_BASE64] = "";
    const char *headers[] = {"Content-Type: application/json; charset=utf-8", id, key, stamp, NULL, NULL};
    struct text *body = &w->bodies[slot], url = {0};
    struct span sent = m->body;
    unsigned char mac[SIGN_BYTES];
    int ok = 1;
    snprintf(id, sizeof id, "Tieout-Id: %.64s", m->id.data);
    snprintf(key, sizeof key, "Idempotency-Key: %.64s", m->id.data);
    snprintf(stamp, sizeof stamp, "Tieout-Timestamp: %lld", (long long)now_s);
    text_reset(body);
    if (w->spec->style == HOOK_PLAIN) {
        if (w->secret[0]) {
            text_format(body, "%lld.", (long long)now_s);
            text_put(body, m->body.data, m->body.size);
            ok = !body->failed && sign_hmac(mac, span_of(w->secret), (struct span){body->data, body->size});
            char hex[SIGN_HEX];
            if (ok) {
                sign_hex(hex, mac);
                snprintf(signature, sizeof signature, "Tieout-Signature: v1=%s", hex);
                headers[4] = signature;
            }
        }
    } else {
        headers[1] = NULL;
        if (w->secret[0] && w->spec->style != HOOK_SLACK)
            ok = sign_as_chat(w, now_s, chat);
        if (w->spec->style == HOOK_LARK) {
            text_words(body, "{");
            if (chat[0])
                text_format(body, "\"timestamp\":\"%lld\",\"sign\":\"%s\",", (long long)now_s, chat);
            text_words(body, "\"msg_type\":\"text\",\"content\":{\"text\":");
        } else {
            text_words(body, w->spec->style == HOOK_DINGTALK ? "{\"msgtype\":\"text\",\"text\":{\"content\":"
                                                             : "{\"text\":");
        }
        text_json(body, m->body);
        text_words(body, w->spec->style == HOOK_SLACK ? "}" : "}}");
        if (w->spec->style == HOOK_DINGTALK && chat[0])
            put_url(&url, w->url, now_s, chat);
        sent = (struct span){body->data, body->size};
    }
    enum err err = !ok || body->failed || url.failed
                       ? mem_fail(w->diag, m->body.size, "a message")
                       : http_post_begin(w->post, slot, url.data ? url.data : w->url, headers, sent, w->diag);
    text_fini(&url);
    return err;
}

static enum err fill_slots(struct webhook *w)
{
    for (unsigned slot = 0; slot < (unsigned)w->spec->parallel; slot++)
        /* One that is answered without leaving the machine frees its slot at once. */
        while (w->next < w->count && !w->at[slot] && !http_post_is_busy(w->post, slot)) {
            struct push_message *m = &w->messages[w->next++];
            if (m->answer != PUSH_OPEN)
                continue;
            w->at[slot] = m;
            enum err err = begin(w, slot, m);
            if (err != OK)
                return err;
        }
    return OK;
}

static enum err webhook_send(struct push_sink *sink, struct push_message *messages, unsigned count,
                             struct diag *diag)
{
    struct webhook *w = (struct webhook *)sink;
    sink->open = count;
    w->messages = messages;
    w->count = count;
    w->next = 0;
    w->diag = diag;
    for (unsigned i = 0; i < count; i++)
        if (messages[i].body.size > PUSH_BYTES_MAX)
            push_answer(sink, &messages[i], PUSH_REFUSED, "%zu bytes; a webhook gets at most %d",
                        messages[i].body.size, PUSH_BYTES_MAX);
    return fill_slots(w);
}

static enum err webhook_poll(struct push_sink *sink, int wait_ms, struct diag *diag)
{
    struct webhook *w = (struct webhook *)sink;
    w->diag = diag;
    enum err err = http_post_step(w->post, wait_ms, diag);
    return err == OK ? fill_slots(w) : err;
}

static void webhook_close(struct push_sink *sink)
{
    struct webhook *w = (struct webhook *)sink;
    http_post_close(w->post);
    for (int i = 0; i < HTTP_SLOTS_MAX; i++)
        text_fini(&w->bodies[i]);
    secret_wipe(w->url);
    secret_wipe(w->secret);
    secret_wipe(w->password);
    secret_wipe(w->token);
    mem_give(w);
}

enum err webhook_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                      struct diag *diag)
{
    static const struct push_sink_ops OPS = {webhook_send, webhook_poll, webhook_close};
    struct webhook *w = mem_take_zero(1, sizeof *w);
    if (!w)
        return mem_fail(diag, sizeof *w, "a sink");
    w->sink = (struct push_sink){&OPS, 0, BATCH};
    w->spec = spec;
    enum err err = OK;
    if (strncmp(spec->address, "env:", 4) == 0 || strncmp(spec->address, "file:", 5) == 0)
        err = secret_read(w->url, spec->address, directory, diag);
    else
        snprintf(w->url, sizeof w->url, "%s", spec->address);
    if (err == OK)
        err = secret_read(w->secret, spec->secret, directory, diag);
    if (err == OK)
        err = secret_read(w->password, spec->password, directory, diag);
    if (err == OK)
        err = secret_read(w->token, spec->token, directory, diag);
    if (err == OK && spec->ca)
        err = sink_path(w->ca, directory, spec->ca, diag);
    struct http_post_config config = {.slots = (unsigned)spec->parallel,
                                      .timeout_s = spec->timeout_s,
                                      .ca = spec->ca ? w->ca : NULL,
                                      .trust_without_identity = spec->trust_without_identity,
                                      .user = spec->user,
                                      .password = w->password,
                                      .token = w->token,
                                      .done = done,
                                      .context = w};
    if (err == OK)
        err = http_post_open(&w->post, &config, diag);
    if (err != OK) {
        webhook_close(&w->sink);
        return err;
    }
    *out = &w->sink;
    return OK;
}
