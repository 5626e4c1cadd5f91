/* io/push/nsq_http.c: nsqd by HTTP: POST /mpub?topic=T&binary=true with count, then size and body of each (big endian), one batch a
 * request; one message alone goes to /pub. 200 is OK for all of it. Over TLS (https) nsqd has a certificate to be known by. */
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/net/http_post.h"
#include "io/push/sinks.h"
#include <arpa/inet.h>
#include <string.h>

enum { BATCH = 200, MPUB_BYTES_MAX = 4 << 20 };

struct nsq_http {
    struct push_sink sink;
    const struct sink_spec *spec;
    struct http_post *post;
    struct push_message *messages; /* the batch; the caller's */
    unsigned count, from, to;
    int singly;
    struct text body;
    char password[SECRET_MAX], token[SECRET_MAX], ca[4096];
};

static void answer_range(struct nsq_http *n, unsigned from, unsigned to, enum push_answer answer,
                         const char *why)
{
    for (unsigned i = from; i < to; i++)
        if (n->messages[i].answer == PUSH_OPEN)
            push_answer(&n->sink, &n->messages[i], answer, "%s", why);
}

static void put_number(struct text *out, size_t number)
{
    uint32_t big = htonl((uint32_t)number);
    text_put(out, &big, 4);
}

static enum err publish(struct nsq_http *n, struct diag *diag)
{
    while (n->from < n->count && n->messages[n->from].answer != PUSH_OPEN)
        n->from++;
    if (n->from == n->count)
        return OK;
    size_t size = 4;
    unsigned held = 0;
    for (n->to = n->from; n->to < n->count && (held == 0 || !n->singly); n->to++) {
        if (n->messages[n->to].answer != PUSH_OPEN)
            continue;
        if (held && size + 4 + n->messages[n->to].body.size > MPUB_BYTES_MAX)
            break;
        size += 4 + n->messages[n->to].body.size;
        held++;
    }
    char url[2048];
    size_t base = strlen(n->spec->address);
    while (base && n->spec->address[base - 1] == '/')
        base--;
    snprintf(url, sizeof url, "%.*s/%s?topic=%.*s%s%s", (int)base, n->spec->address,
             held == 1 ? "pub" : "mpub", (int)strcspn(n->spec->topic, "#"), n->spec->topic,
             strchr(n->spec->topic, '#') ? "%23ephemeral" : "", held == 1 ? "" : "&binary=true");
    text_reset(&n->body);
    if (held > 1)
        put_number(&n->body, held);
    for (unsigned i = n->from; i < n->to; i++)
        if (n->messages[i].answer == PUSH_OPEN) {
            if (held > 1)
                put_number(&n->body, n->messages[i].body.size);
            text_put(&n->body, n->messages[i].body.data, n->messages[i].body.size);
        }
    if (n->body.failed)
        return mem_fail(diag, size, "a batch of errors");
    static const char *const HEADERS[] = {"Content-Type: application/octet-stream", NULL};
    return http_post_begin(n->post, 0, url, HEADERS, (struct span){n->body.data, n->body.size}, diag);
}

static void done(void *context, unsigned slot, const struct http_answer *answer)
{
    struct nsq_http *n = context;
    (void)slot;
    char why[160];
    snprintf(why, sizeof why, "nsqd answered %d: %.*s", answer->status,
             answer->body.size < 100 ? (int)answer->body.size : 100, answer->body.data);
    switch (answer->end) {
    case HTTP_ANSWERED:
        if (answer->status == 200) {
            answer_range(n, n->from, n->to, PUSH_ACKED, "");
        } else if (answer->status == 413 ||
                   (answer->status == 400 && strstr(answer->body.data, "BODY_TOO_SMALL")) ||
                   (answer->status == 400 && strstr(answer->body.data, "E_BAD"))) {
            if (n->to - n->from == 1 || n->singly)
                answer_range(n, n->from, n->to, PUSH_REFUSED, why);
            else
                n->singly = 1;
        } else if (answer->status == 429 || answer->status == 408 || answer->status >= 500) {
            answer_range(n, n->from, n->count, PUSH_RETRY, why);
        } else {
            answer_range(n, 0, n->count, PUSH_STOPPED, why);
        }
        break;
    case HTTP_NOT_REACHED:
        answer_range(n, n->from, n->count, PUSH_RETRY, answer->why);
        break;
    case HTTP_LOST:
        answer_range(n, n->from, n->to, PUSH_UNKNOWN, answer->why);
        answer_range(n, n->to, n->count, PUSH_RETRY, answer->why);
        break;
    case HTTP_NOT_TRUSTED:
    case HTTP_SETTING:
        answer_range(n, 0, n->count, PUSH_STOPPED, answer->why);
        break;
    }
}

static enum err nsq_send(struct push_sink *sink, struct push_message *messages, unsigned count,
                         struct diag *diag)
{
    struct nsq_http *n = (struct nsq_http *)sink;
    sink->open = count;
    n->messages = messages;
    n->count = count;
    n->from = n->to = 0;
    n->singly = 0;
    for (unsigned i = 0; i < count; i++)
        if (messages[i].body.size > PUSH_BYTES_MAX)
            push_answer(sink, &messages[i], PUSH_REFUSED, "%zu bytes; nsqd takes at most %d",
                        messages[i].body.size, PUSH_BYTES_MAX);
    return publish(n, diag);
}

static enum err nsq_poll(struct push_sink *sink, int wait_ms, struct diag *diag)
{
    struct nsq_http *n = (struct nsq_http *)sink;
    enum err err = http_post_step(n->post, wait_ms, diag);
    if (err == OK && sink->open && !http_post_is_busy(n->post, 0))
        err = publish(n, diag);
    return err;
}

static void nsq_close(struct push_sink *sink)
{
    struct nsq_http *n = (struct nsq_http *)sink;
    http_post_close(n->post);
    text_fini(&n->body);
    secret_wipe(n->password);
    secret_wipe(n->token);
    mem_give(n);
}

enum err nsq_http_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                       struct diag *diag)
{
    static const struct push_sink_ops OPS = {nsq_send, nsq_poll, nsq_close};
    struct nsq_http *n = mem_take_zero(1, sizeof *n);
    if (!n)
        return mem_fail(diag, sizeof *n, "a sink");
    n->sink = (struct push_sink){&OPS, 0, BATCH};
    n->spec = spec;
    enum err err = secret_read(n->password, spec->password, directory, diag);
    if (err == OK)
        err = secret_read(n->token, spec->token, directory, diag);
    if (err == OK && spec->ca)
        err = sink_path(n->ca, directory, spec->ca, diag);
    struct http_post_config config = {.slots = 1,
                                      .timeout_s = spec->timeout_s,
                                      .ca = spec->ca ? n->ca : NULL,
                                      .trust_without_identity = spec->trust_without_identity,
                                      .user = spec->user,
                                      .password = n->password,
                                      .token = n->token,
                                      .done = done,
                                      .context = n};
    if (err == OK)
        err = http_post_open(&n->post, &config, diag);
    if (err != OK) {
        nsq_close(&n->sink);
        return err;
    }
    *out = &n->sink;
    return OK;
}
