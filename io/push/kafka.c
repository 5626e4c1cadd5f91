/* io/push/kafka.c: errors as Kafka messages, by librdkafka; the one file that knows it.
 *
 * Idempotent, acks=all, in order within a partition; the key is the chain, so all of an order number meets in one partition, and
 * the header `tieout-id` is the error's id. A message is acked by its delivery report and by nothing else: one that timed out is unknown
 * and goes again under the same id. A full queue is waited for. Settings without SSL are for this machine, or for those who say
 * trust_server_without_checking_identity.
 */
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/push/sinks.h"
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <string.h>
#include <time.h>

/* The library and what it brings along are loaded when a book has such a sink: other runs start sooner without. */
#define CALLS(X)                                                                                             \
    X(rd_kafka_conf_new)                                                                                     \
    X(rd_kafka_conf_destroy)                                                                                 \
    X(rd_kafka_conf_set)                                                                                     \
    X(rd_kafka_conf_set_dr_msg_cb)                                                                           \
    X(rd_kafka_conf_set_error_cb)                                                                            \
    X(rd_kafka_conf_set_log_cb)                                                                              \
    X(rd_kafka_conf_set_opaque)                                                                              \
    X(rd_kafka_new)                                                                                          \
    X(rd_kafka_destroy)                                                                                      \
    X(rd_kafka_purge)                                                                                        \
    X(rd_kafka_flush)                                                                                        \
    X(rd_kafka_poll)                                                                                         \
    X(rd_kafka_producev)                                                                                     \
    X(rd_kafka_fatal_error)                                                                                  \
    X(rd_kafka_message_status)                                                                               \
    X(rd_kafka_err2str)
#define POINTER(name) static __typeof__(name) *real_##name;
CALLS(POINTER)
#define CALL(name) {#name, (void **)&real_##name},
static const struct {
    const char *name;
    void **at;
} calls[] = {CALLS(CALL)};
#define rd_kafka_conf_new real_rd_kafka_conf_new
#define rd_kafka_conf_destroy real_rd_kafka_conf_destroy
#define rd_kafka_conf_set real_rd_kafka_conf_set
#define rd_kafka_conf_set_dr_msg_cb real_rd_kafka_conf_set_dr_msg_cb
#define rd_kafka_conf_set_error_cb real_rd_kafka_conf_set_error_cb
#define rd_kafka_conf_set_log_cb real_rd_kafka_conf_set_log_cb
#define rd_kafka_conf_set_opaque real_rd_kafka_conf_set_opaque
#define rd_kafka_new real_rd_kafka_new
#define rd_kafka_destroy real_rd_kafka_destroy
#define rd_kafka_purge real_rd_kafka_purge
#define rd_kafka_flush real_rd_kafka_flush
#define rd_kafka_poll real_rd_kafka_poll
#define rd_kafka_producev real_rd_kafka_producev
#define rd_kafka_fatal_error real_rd_kafka_fatal_error
#define rd_kafka_message_status real_rd_kafka_message_status
#define rd_kafka_err2str real_rd_kafka_err2str

static enum err load(struct diag *diag)
{
    static void *library; /* stays until the process ends */
    if (library)
        return OK;
    void *found = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; found && i < sizeof calls / sizeof *calls; i++)
        if (!(*calls[i].at = dlsym(found, calls[i].name)))
            found = NULL;
    if (!found)
        return diag_set(diag, ERR_USAGE, "push.kafka", "install librdkafka1", "librdkafka cannot be loaded");
    library = found;
    return OK;
}

enum { BATCH = 1000, MESSAGE_MAX = 1000000 };

struct kafka {
    struct push_sink sink;
    const struct sink_spec *spec;
    rd_kafka_t *producer; /* NULL: not yet, or it failed for good */
    struct push_message *messages;
    unsigned count, next; /* those from `next` on are not in the queue yet */
    int told;
    rd_kafka_resp_err_t trouble; /* what the connections complained of since the batch began */
    char trouble_text[120];
    char password[SECRET_MAX], ca[4096];
};

/* What the broker or the library says of one message. */
static enum push_answer judge(rd_kafka_resp_err_t code, rd_kafka_msg_status_t status)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return PUSH_ACKED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return PUSH_REFUSED;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
        return PUSH_STOPPED;
    default:
        return status == RD_KAFKA_MSG_STATUS_NOT_PERSISTED ? PUSH_RETRY
               : status == RD_KAFKA_MSG_STATUS_PERSISTED   ? PUSH_ACKED
                                                           : PUSH_UNKNOWN;
    }
}

static void on_report(rd_kafka_t *producer, const rd_kafka_message_t *report, void *context)
{
    struct kafka *k = context;
    struct push_message *m = report->_private;
    (void)producer;
    if (!m)
        return;
    enum push_answer answer = judge(report->err, rd_kafka_message_status(report));
    if (answer == PUSH_RETRY && judge(k->trouble, RD_KAFKA_MSG_STATUS_NOT_PERSISTED) == PUSH_STOPPED)
        answer = PUSH_STOPPED; /* it waited for a connection, or a topic, that will not be */
    push_answer(&k->sink, m, answer, "%s%s%s", report->err ? rd_kafka_err2str(report->err) : "",
                report->err && k->trouble ? "; " : "", report->err ? k->trouble_text : "");
}

static void on_error(rd_kafka_t *producer, int code, const char *text, void *context)
{
    struct kafka *k = context;
    (void)producer;
    k->trouble = (rd_kafka_resp_err_t)code;
    snprintf(k->trouble_text, sizeof k->trouble_text, "%.119s", text);
}

/* librdkafka would print to stderr whatever it meets; what matters comes back with the reports. */
static void on_log(const rd_kafka_t *producer, int level, const char *facility, const char *text)
{
    (void)producer, (void)level, (void)facility, (void)text;
}

static int is_here(const char *brokers)
{
    return strstr(brokers, ",") == NULL &&
           (strncmp(brokers, "127.0.0.1:", 10) == 0 || strncmp(brokers, "localhost:", 10) == 0 ||
            strncmp(brokers, "[::1]:", 6) == 0);
}

/* 1 when all entries are of this machine. */
static int all_here(const char *brokers)
{
    char one[300];
    for (const char *p = brokers; *p;) {
        size_t size = strcspn(p, ",");
        snprintf(one, sizeof one, "%.*s", (int)(size < 299 ? size : 299), p);
        if (!is_here(one))
            return 0;
        p += size + (p[size] == ',');
    }
    return 1;
}

static enum err start(struct kafka *k, struct diag *diag)
{
    const struct sink_spec *spec = k->spec;
    char why[512] = "", timeout[20], retry_max[20];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    snprintf(timeout, sizeof timeout, "%d", spec->timeout_s * 1000);
    snprintf(retry_max, sizeof retry_max, "%d",
             spec->timeout_s * 1000 < 1000 ? spec->timeout_s * 1000 : 1000);
    const int sasl = spec->user != NULL;
    const struct {
        const char *name, *value;
    } settings[] = {
        {"bootstrap.servers", spec->address},
        {"client.id", "tieout"},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"message.timeout.ms", timeout},
        {"socket.timeout.ms", timeout},
        {"request.timeout.ms", timeout},
        {"reconnect.backoff.max.ms", retry_max},
        {"linger.ms", "5"},
        {"queue.buffering.max.messages", "20000"},
        {"queue.buffering.max.kbytes", "32768"},
        {"message.max.bytes", "1000000"},
        {"security.protocol",
         spec->tls ? (sasl ? "sasl_ssl" : "ssl") : (sasl ? "sasl_plaintext" : "plaintext")},
        {"enable.ssl.certificate.verification", spec->trust_without_identity ? "false" : "true"},
        {"ssl.endpoint.identification.algorithm", spec->trust_without_identity ? "none" : "https"},
        {"sasl.mechanisms", sasl ? "PLAIN" : NULL},
        {"sasl.username", spec->user},
        {"sasl.password", sasl ? k->password : NULL},
        {"ssl.ca.location", spec->tls && spec->ca ? k->ca : NULL}};
    rd_kafka_conf_res_t result = RD_KAFKA_CONF_OK;
    for (size_t i = 0; result == RD_KAFKA_CONF_OK && i < sizeof settings / sizeof *settings; i++)
        if (settings[i].value)
            result = rd_kafka_conf_set(conf, settings[i].name, settings[i].value, why, sizeof why);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, k);
    if (result == RD_KAFKA_CONF_OK)
        k->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!k->producer) {
        rd_kafka_conf_destroy(conf);
        return diag_set(diag, ERR_USAGE, "push.kafka", NULL, "%s: librdkafka: %s", spec->name, why);
    }
    return OK;
}

/* After a fatal error (the idempotent producer lost its count) only a new producer helps. */
static void drop_producer(struct kafka *k)
{
    if (!k->producer)
        return;
    rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(k->producer, 1000); /* the reports of what was purged */
    rd_kafka_destroy(k->producer);
    k->producer = NULL;
}

static void queue_messages(struct kafka *k)
{
    for (; k->next < k->count; k->next++) {
        struct push_message *m = &k->messages[k->next];
        if (m->answer != PUSH_OPEN)
            continue;
        rd_kafka_resp_err_t code = rd_kafka_producev(
            k->producer, RD_KAFKA_V_TOPIC(k->spec->topic), RD_KAFKA_V_KEY(m->chain.data, m->chain.size),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)m->body.data, m->body.size),
            RD_KAFKA_V_HEADER("tieout-id", m->id.data, (ssize_t)m->id.size),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(m), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return; /* poll makes room */
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            push_answer(&k->sink, m,
                        code == RD_KAFKA_RESP_ERR__FATAL ? PUSH_RETRY
                                                         : judge(code, RD_KAFKA_MSG_STATUS_NOT_PERSISTED),
                        "%s", rd_kafka_err2str(code));
    }
}

static enum err kafka_send(struct push_sink *sink, struct push_message *messages, unsigned count,
                           struct diag *diag)
{
    struct kafka *k = (struct kafka *)sink;
    char why[512];
    sink->open = count;
    k->messages = messages;
    k->count = count;
    k->next = 0;
    k->trouble = RD_KAFKA_RESP_ERR_NO_ERROR;
    k->trouble_text[0] = 0;
    if (!k->spec->tls && !all_here(k->spec->address)) {
        if (!k->spec->trust_without_identity) {
            for (unsigned i = 0; i < count; i++)
                push_answer(sink, &messages[i], PUSH_STOPPED, "%s",
                            "a connection without encryption to another machine; write tls: true, or "
                            "trust_server_without_checking_identity: true");
            return OK;
        }
    }
    if (k->spec->trust_without_identity && !k->told) {
        fprintf(
            stderr,
            "warning: %s: the server's identity is not checked (trust_server_without_checking_identity)\n",
            k->spec->address);
        k->told = 1;
    }
    if (k->producer && rd_kafka_fatal_error(k->producer, why, sizeof why) != RD_KAFKA_RESP_ERR_NO_ERROR)
        drop_producer(k);
    if (!k->producer) {
        enum err err = start(k, diag);
        if (err != OK)
            return err;
    }
    for (unsigned i = 0; i < count; i++)
        if (messages[i].body.size > MESSAGE_MAX - 1000) /* key, header and framing count too */
            push_answer(sink, &messages[i], PUSH_REFUSED, "%zu bytes; a Kafka message has at most %d",
                        messages[i].body.size, MESSAGE_MAX);
    queue_messages(k);
    return OK;
}

static enum err kafka_poll(struct push_sink *sink, int wait_ms, struct diag *diag)
{
    struct kafka *k = (struct kafka *)sink;
    (void)diag;
    if (!sink->open || !k->producer)
        return OK;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + wait_ms, left = wait_ms;
    do {
        rd_kafka_poll(k->producer, (int)(left > 50 ? 50 : left));
        queue_messages(k);
        clock_gettime(CLOCK_MONOTONIC, &now);
        left = end - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
    } while (sink->open && left > 0);
    return OK;
}

static void kafka_close(struct push_sink *sink)
{
    struct kafka *k = (struct kafka *)sink;
    drop_producer(k);
    secret_wipe(k->password);
    mem_give(k);
}

enum err kafka_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                    struct diag *diag)
{
    static const struct push_sink_ops OPS = {kafka_send, kafka_poll, kafka_close};
    struct kafka *k = mem_take_zero(1, sizeof *k);
    if (!k)
        return mem_fail(diag, sizeof *k, "a sink");
    k->sink = (struct push_sink){&OPS, 0, BATCH};
    k->spec = spec;
    enum err err = load(diag);
    if (err == OK)
        err = secret_read(k->password, spec->password, directory, diag);
    if (err == OK && spec->ca)
        err = sink_path(k->ca, directory, spec->ca, diag);
    if (err != OK) {
        kafka_close(&k->sink);
        return err;
    }
    *out = &k->sink;
    return OK;
}
