/* io/push/nsq_tcp.c: nsqd's TCP protocol, as a publisher.
 *
 *     us                                     nsqd
 *     "  V2" IDENTIFY\n size JSON     ->
 *                                     <-     frame 0: "OK" or JSON (auth_required?)
 *     [AUTH\n size secret             ->     <- frame 0: JSON]
 *     PUB topic\n size body           ->
 *     MPUB topic\n size count (size body)...  <- frame 0: "OK"      frame 1: "E_..." and the connection is closed
 *     NOP\n                           ->     <- frame 0: "_heartbeat_", at any time
 *
 * A frame is its size (4 bytes, of what follows), its type (4 bytes), its data; all numbers big endian. nsqd takes an MPUB whole or says
 * E_MPUB_FAILED, and then perhaps has some of it: the whole batch goes again. When it calls a message bad, the batch is sent again one by
 * one, so that only that message is refused.
 *
 * The connection is plain: to another machine only with trust_server_without_checking_identity; https (nsq_http.c) has certificates.
 */
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/push/sinks.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 200,
    FRAME_MAX = 65536,        /* nsqd's answers are words; its IDENTIFY is some hundred bytes */
    MPUB_BYTES_MAX = 4 << 20, /* nsqd's default for a body is 5 MiB */
    HEARTBEAT_MS = 30000,
    FRAME_RESPONSE = 0,
    FRAME_ERROR = 1
};

enum stage { CLOSED, CONNECTING, GREETING, ADMITTING, READY, WAITING };

struct nsq_tcp {
    struct push_sink sink;
    const struct sink_spec *spec;
    char host[256], port[16];
    int is_here, told;
    int fd;
    enum stage stage;
    struct text out; /* what is to be sent; out_at: how much of it was */
    size_t out_at;
    char in[FRAME_MAX + 8];
    size_t in_size;
    struct push_message *messages; /* the batch; the caller's */
    unsigned count, from, to;      /* of it, those of the PUB or MPUB under way */
    int singly;                    /* the batch goes one by one */
    int published;                 /* bytes of the publish may have left */
    int64_t deadline_ms;
    char secret[SECRET_MAX];
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void put_number(struct text *out, size_t number)
{
    uint32_t big = htonl((uint32_t)number);
    text_put(out, &big, 4);
}

static void hang_up(struct nsq_tcp *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
    n->stage = CLOSED;
    n->in_size = 0;
    n->out_at = 0;
    text_reset(&n->out);
}

/* Answers what is open of messages [from, to). */
static void answer_range(struct nsq_tcp *n, unsigned from, unsigned to, enum push_answer answer,
                         const char *why)
{
    for (unsigned i = from; i < to; i++)
        if (n->messages[i].answer == PUSH_OPEN)
            push_answer(&n->sink, &n->messages[i], answer, "%s", why);
}

/* The connection is of no use any more: what may have arrived is unknown, the rest was not sent. */
static void give_up(struct nsq_tcp *n, const char *why)
{
    unsigned sent = n->published ? n->to : n->from;
    hang_up(n);
    answer_range(n, n->from, sent, PUSH_UNKNOWN, why);
    answer_range(n, sent, n->count, PUSH_RETRY, why);
}

static void stop(struct nsq_tcp *n, const char *why)
{
    hang_up(n);
    answer_range(n, 0, n->count, PUSH_STOPPED, why);
}

/* Puts the next messages into the room for output. */
static void publish(struct nsq_tcp *n)
{
    while (n->from < n->count && n->messages[n->from].answer != PUSH_OPEN)
        n->from++;
    n->published = 0;
    n->to = n->from;
    if (n->from == n->count) {
        n->stage = READY;
        return;
    }
    size_t size = 4;
    unsigned held = 0;
    for (; n->to < n->count && (held == 0 || !n->singly); n->to++) {
        if (n->messages[n->to].answer != PUSH_OPEN)
            continue;
        if (held && size + 4 + n->messages[n->to].body.size > MPUB_BYTES_MAX)
            break;
        size += 4 + n->messages[n->to].body.size;
        held++;
    }
    if (held == 1) {
        text_format(&n->out, "PUB %s\n", n->spec->topic);
    } else {
        text_format(&n->out, "MPUB %s\n", n->spec->topic);
        put_number(&n->out, size);
        put_number(&n->out, held);
    }
    for (unsigned i = n->from; i < n->to; i++)
        if (n->messages[i].answer == PUSH_OPEN) {
            put_number(&n->out, n->messages[i].body.size);
            text_put(&n->out, n->messages[i].body.data, n->messages[i].body.size);
        }
    n->stage = WAITING;
}

static void greet(struct nsq_tcp *n)
{
    char name[100] = "";
    struct text json = {0};
    gethostname(name, sizeof name - 1);
    text_words(&json, "{\"client_id\":\"tieout\",\"hostname\":");
    text_json(&json, span_of(name));
    text_format(&json,
                ",\"user_agent\":\"tieout/%s\",\"feature_negotiation\":true,\"heartbeat_interval\":%d,"
                "\"tls_v1\":false,\"snappy\":false,\"deflate\":false}",
                TIEOUT_VERSION, HEARTBEAT_MS);
    text_words(&n->out, "  V2IDENTIFY\n");
    put_number(&n->out, json.size);
    text_put(&n->out, json.data, json.size);
    n->out.failed |= json.failed;
    text_fini(&json);
    n->stage = GREETING;
}

/* An E_ answer to what was sent last. nsqd closes the connection after most of them. */
static void refused(struct nsq_tcp *n, const char *words)
{
    int is_bad = strncmp(words, "E_BAD_MESSAGE", 13) == 0 || strncmp(words, "E_BAD_BODY", 10) == 0;
    int is_failed = strncmp(words, "E_MPUB_FAILED", 13) == 0 || strncmp(words, "E_PUB_FAILED", 12) == 0;
    char why[160];
    snprintf(why, sizeof why, "nsqd says %.120s", words);
    if (n->stage != WAITING || (!is_bad && !is_failed)) {
        stop(n, why);
        return;
    }
    hang_up(n);
    if (is_failed) { /* a batch that failed half-way goes again whole */
        answer_range(n, n->from, n->count, PUSH_RETRY, why);
    } else if (n->singly || n->to - n->from == 1) {
        answer_range(n, n->from, n->to, PUSH_REFUSED, why);
    } else {
        n->singly = 1;
    }
    n->published = 0;
}

static void answered(struct nsq_tcp *n, const char *words)
{
    if (strcmp(words, "_heartbeat_") == 0) {
        text_words(&n->out, "NOP\n");
        return;
    }
    switch (n->stage) {
    case GREETING:
        if (strstr(words, "\"auth_required\":true")) {
            if (!n->secret[0]) {
                stop(n, "nsqd wants a secret; write secret: env:NAME");
                return;
            }
            text_words(&n->out, "AUTH\n");
            put_number(&n->out, strlen(n->secret));
            text_words(&n->out, n->secret);
            n->stage = ADMITTING;
            return;
        }
        publish(n);
        return;
    case ADMITTING:
        publish(n);
        return;
    case WAITING:
        if (strcmp(words, "OK") == 0) {
            answer_range(n, n->from, n->to, PUSH_ACKED, "");
            n->from = n->to;
            publish(n);
            return;
        }
        break;
    case READY:
    case CLOSED:
    case CONNECTING:
        break;
    }
    give_up(n, "nsqd answered something that nobody asked for");
}

/* Takes the whole frames out of what came. */
static void read_frames(struct nsq_tcp *n)
{
    size_t at = 0;
    while (n->fd >= 0 && n->in_size - at >= 8) {
        uint32_t size, type;
        memcpy(&size, n->in + at, 4);
        memcpy(&type, n->in + at + 4, 4);
        size = ntohl(size);
        type = ntohl(type);
        if (size < 4 || size > FRAME_MAX || type > FRAME_ERROR) {
            char why[100];
            snprintf(why, sizeof why, "nsqd sent a frame of %u bytes and type %u; at most %d and 1 are right",
                     size, type, FRAME_MAX);
            give_up(n, why);
            return;
        }
        if (n->in_size - at < 4 + (size_t)size)
            break;
        static _Thread_local char words[FRAME_MAX + 1];
        size_t length = size - 4;
        memcpy(words, n->in + at + 8, length);
        words[length] = 0;
        at += 4 + (size_t)size;
        if (type == FRAME_ERROR)
            refused(n, words);
        else
            answered(n, words);
    }
    if (n->fd < 0)
        return;
    memmove(n->in, n->in + at, n->in_size - at);
    n->in_size -= at;
}

/* What is wrong with the address, or NULL. */
static const char *connect_to(struct nsq_tcp *n)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo(n->host, n->port, &hints, &list) != 0 || !list)
        return "its name is not known";
    const char *why = "it cannot be reached";
    for (struct addrinfo *a = list; a && n->fd < 0; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS)
            n->fd = fd;
        else
            close(fd);
    }
    freeaddrinfo(list);
    if (n->fd < 0)
        return why;
    n->stage = CONNECTING;
    return NULL;
}

static void set_deadline(struct nsq_tcp *n)
{
    n->deadline_ms = now_ms() + (int64_t)n->spec->timeout_s * 1000;
}

static void begin(struct nsq_tcp *n)
{
    if (n->stage == READY) {
        publish(n);
        return;
    }
    const char *why = connect_to(n);
    if (why)
        give_up(n, why);
}

static void write_out(struct nsq_tcp *n)
{
    while (n->fd >= 0 && n->out_at < n->out.size) {
        ssize_t sent = send(n->fd, n->out.data + n->out_at, n->out.size - n->out_at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (sent < 0) {
            /* Its last words may say why. */
            n->out_at = n->out.size;
            return;
        }
        n->out_at += (size_t)sent;
        if (n->stage == WAITING)
            n->published = 1;
    }
    if (n->fd >= 0) {
        text_reset(&n->out);
        n->out_at = 0;
    }
}

static void read_in(struct nsq_tcp *n)
{
    while (n->fd >= 0) {
        ssize_t got = recv(n->fd, n->in + n->in_size, sizeof n->in - n->in_size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (got <= 0) {
            if (n->stage == READY) /* between batches it may go as it likes */
                hang_up(n);
            else
                give_up(n, got < 0 ? strerror(errno) : "nsqd closed the connection");
            return;
        }
        n->in_size += (size_t)got;
        read_frames(n);
    }
}

static void pump(struct nsq_tcp *n, int wait_ms)
{
    struct pollfd end = {.fd = n->fd, .events = POLLIN};
    if (n->stage == CONNECTING || n->out_at < n->out.size)
        end.events |= POLLOUT;
    if (poll(&end, 1, wait_ms) <= 0 || !end.revents)
        return;
    if (n->stage == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(n->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            give_up(n, strerror(error));
            return;
        }
        greet(n);
    }
    write_out(n);
    if (n->fd >= 0 && (end.revents & (POLLIN | POLLHUP | POLLERR)))
        read_in(n);
    write_out(n); /* what the answers asked for */
}

static enum err nsq_send(struct push_sink *sink, struct push_message *messages, unsigned count,
                         struct diag *diag)
{
    struct nsq_tcp *n = (struct nsq_tcp *)sink;
    sink->open = count;
    if (n->stage == READY) /* it may have gone, or asked whether we live */
        pump(n, 0);
    n->messages = messages;
    n->count = count;
    n->from = n->to = 0;
    n->singly = n->published = 0;
    for (unsigned i = 0; i < count; i++)
        if (messages[i].body.size > PUSH_BYTES_MAX)
            push_answer(sink, &messages[i], PUSH_REFUSED, "%zu bytes; nsqd takes at most %d",
                        messages[i].body.size, PUSH_BYTES_MAX);
    if (!n->is_here && !n->spec->trust_without_identity) {
        stop(n, "a connection without encryption to another machine; use https://HOST:PORT, or "
                "trust_server_without_checking_identity: true");
        return OK;
    }
    if (!n->is_here && !n->told) {
        fprintf(
            stderr,
            "warning: %s: the server's identity is not checked (trust_server_without_checking_identity)\n",
            n->spec->address);
        n->told = 1;
    }
    set_deadline(n);
    begin(n);
    return n->out.failed ? mem_fail(diag, n->out.size, "a batch of errors") : OK;
}

static enum err nsq_poll(struct push_sink *sink, int wait_ms, struct diag *diag)
{
    struct nsq_tcp *n = (struct nsq_tcp *)sink;
    int64_t end = now_ms() + wait_ms;
    do {
        unsigned before = sink->open;
        if (n->stage == CLOSED && sink->open) /* after an error frame: what is left goes on anew */
            begin(n);
        if (n->fd < 0)
            continue;
        int64_t now = now_ms(), left = end < n->deadline_ms ? end - now : n->deadline_ms - now;
        pump(n, left > 0 ? (int)left : 0);
        if (sink->open < before)
            set_deadline(n);
        else if (sink->open && now_ms() >= n->deadline_ms)
            give_up(n, "no answer in time");
    } while (sink->open && now_ms() < end && !n->out.failed);
    return n->out.failed ? mem_fail(diag, n->out.size, "a batch of errors") : OK;
}

static void nsq_close(struct push_sink *sink)
{
    struct nsq_tcp *n = (struct nsq_tcp *)sink;
    if (n->fd >= 0)
        close(n->fd);
    text_fini(&n->out);
    secret_wipe(n->secret);
    mem_give(n);
}

enum err nsq_tcp_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                      struct diag *diag)
{
    static const struct push_sink_ops OPS = {nsq_send, nsq_poll, nsq_close};
    struct nsq_tcp *n = mem_take_zero(1, sizeof *n);
    if (!n)
        return mem_fail(diag, sizeof *n, "a sink");
    n->sink = (struct push_sink){&OPS, 0, BATCH};
    n->spec = spec;
    n->fd = -1;
    const char *colon = strrchr(spec->address, ':'), *host = spec->address;
    size_t size = (size_t)(colon - host);
    if (size > 2 && host[0] == '[' && host[size - 1] == ']') { /* [::1]:4150 */
        host++;
        size -= 2;
    }
    snprintf(n->host, sizeof n->host, "%.*s", (int)size, host);
    snprintf(n->port, sizeof n->port, "%s", colon + 1);
    n->is_here =
        strcmp(n->host, "127.0.0.1") == 0 || strcmp(n->host, "::1") == 0 || strcmp(n->host, "localhost") == 0;
    enum err err = secret_read(n->secret, spec->secret, directory, diag);
    if (err != OK) {
        nsq_close(&n->sink);
        return err;
    }
    *out = &n->sink;
    return OK;
}
