/* tests/unit/io/push/sinks_test.c: what each sink answers to what the other end does */
#include "io/push/sinks.h"
#include "tests/support/check_test.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef TIEOUT_KAFKA
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#endif

enum { MESSAGES_MAX = 3000 };

static char folder[200], log_path[300];
static pid_t peer;
static int peer_port;
static struct push_message messages[MESSAGES_MAX];
static char ids[MESSAGES_MAX][65], chains[MESSAGES_MAX][20], bodies[MESSAGES_MAX][400];
static char *large;

static void begin(const char *kind)
{
    const char *top = getenv("TMPDIR");
    int ends[2];
    char words[32] = "";
    snprintf(folder, sizeof folder, "%s/tieout-push-XXXXXX", top ? top : "/tmp");
    if (!mkdtemp(folder))
        exit(4);
    snprintf(log_path, sizeof log_path, "%s/log", folder);
    peer = 0;
    setenv("HOOK_SECRET", "hook-secret", 1);
    if (!kind)
        return;
    if (pipe(ends) != 0 || (peer = fork()) < 0)
        exit(4);
    if (peer == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        execlp("python3", "python3", "tests/push/peers.py", kind, log_path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    for (size_t used = 0; !strchr(words, '\n'); used += 1)
        if (used == sizeof words - 1 || read(ends[0], words + used, 1) != 1)
            exit(4);
    close(ends[0]);
    peer_port = atoi(words);
}

static void end(void)
{
    char command[300];
    if (peer > 0) {
        kill(peer, SIGKILL);
        waitpid(peer, NULL, 0);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    EXPECT(system(command) == 0);
}

static void make_messages(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        snprintf(ids[i], sizeof ids[i], "%064x", i + 1);
        snprintf(chains[i], sizeof chains[i], "chain-%u", i);
        snprintf(bodies[i], sizeof bodies[i],
                 "{\"id\":\"%.64s\",\"class\":\"missing\",\"delta\":\"-1.00\",\"n\":%u}", ids[i], i);
        messages[i] = (struct push_message){
            .id = span_of(ids[i]), .chain = span_of(chains[i]), .body = span_of(bodies[i])};
    }
}

/* Sends them and waits until each is answered. */
static int push_all(struct push_sink *sink, unsigned count)
{
    struct diag diag = {0};
    time_t from = time(NULL);
    unsigned done = 0;
    while (done < count) {
        unsigned some = count - done < sink->batch_max ? count - done : sink->batch_max;
        if (sink->ops->send(sink, messages + done, some, &diag) != OK)
            return 0;
        while (sink->open && time(NULL) - from < 600)
            if (sink->ops->poll(sink, 100, &diag) != OK)
                return 0;
        if (sink->open)
            return 0;
        done += some;
    }
    return diag.err == OK;
}

static unsigned answers(unsigned count, enum push_answer answer)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        n += messages[i].answer == answer;
    return n;
}

static unsigned log_lines(const char *with)
{
    char line[4096];
    unsigned n = 0;
    FILE *file = fopen(log_path, "r");
    while (file && fgets(line, sizeof line, file))
        n += strstr(line, with) != NULL;
    if (file)
        fclose(file);
    return n;
}

static struct sink_spec spec_of(enum push_kind kind, const char *address)
{
    return (struct sink_spec){.name = "it",
                              .kind = kind,
                              .address = address,
                              .parallel = 4,
                              .timeout_s = 120, /* a busy machine answers late; who tests timeouts takes 1 */
                              .retry_first_s = 1,
                              .retry_max_s = 10};
}

/* One message to http://127.0.0.1:PORT/path: its answer. */
static enum push_answer hook(const char *path, unsigned count, void (*change)(struct sink_spec *spec))
{
    char url[200];
    struct diag diag = {0};
    struct push_sink *sink = NULL;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", peer_port, path);
    struct sink_spec spec = spec_of(PUSH_WEBHOOK, url);
    if (strcmp(path, "hang") == 0)
        spec.timeout_s = 1;
    if (change)
        change(&spec);
    make_messages(count);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK);
    if (!sink)
        return PUSH_OPEN;
    EXPECT(push_all(sink, count));
    sink->ops->close(sink);
    return messages[0].answer;
}

static void sign(struct sink_spec *spec)
{
    spec->secret = "env:HOOK_SECRET";
}

static void ok_when(struct sink_spec *spec)
{
    spec->ok_path = "data.code";
    spec->ok_words[0] = "0";
    spec->ok_count = 1;
}

TEST(a_webhook_is_judged_by_its_answer)
{
    begin("http");
    EXPECT(hook("ok", 1, NULL) == PUSH_ACKED);
    EXPECT(hook("status/202", 1, NULL) == PUSH_ACKED);
    EXPECT(hook("status/409", 1, NULL) == PUSH_ACKED); /* it has that id */
    EXPECT(hook("status/400", 1, NULL) == PUSH_REFUSED);
    EXPECT(hook("status/422", 1, NULL) == PUSH_REFUSED);
    EXPECT(strstr(messages[0].why, "422") && !strchr(messages[0].why, '\x1b'));
    EXPECT(hook("status/401", 1, NULL) == PUSH_STOPPED);
    EXPECT(hook("status/403", 1, NULL) == PUSH_STOPPED);
    EXPECT(hook("status/404", 1, NULL) == PUSH_STOPPED);
    EXPECT(hook("status/503", 1, NULL) == PUSH_RETRY && messages[0].retry_after_s == 0);
    EXPECT(hook("status/429/7", 1, NULL) == PUSH_RETRY && messages[0].retry_after_s == 7);
    EXPECT(hook("status/429/999999", 1, NULL) == PUSH_RETRY && messages[0].retry_after_s == 3600);
    EXPECT(hook("here", 1, NULL) == PUSH_ACKED);
    EXPECT(hook("elsewhere", 1, NULL) == PUSH_STOPPED);
    EXPECT(hook("hang", 1, NULL) == PUSH_UNKNOWN);
    EXPECT(hook("drop", 1, NULL) == PUSH_UNKNOWN);
    EXPECT(hook("half", 1, NULL) == PUSH_UNKNOWN);
    EXPECT(hook("code/0", 1, ok_when) == PUSH_ACKED);
    EXPECT(hook("code/17", 1, ok_when) == PUSH_RETRY && strstr(messages[0].why, "17"));
    EXPECT(hook("ok", 1, ok_when) == PUSH_RETRY); /* the member is not there */
    EXPECT(hook("signed", 1, sign) == PUSH_ACKED);
    EXPECT(hook("signed", 1, NULL) == PUSH_STOPPED);
    end();
}

TEST(many_at_once_are_each_answered)
{
    begin("http");
    EXPECT(hook("ok", 300, sign) == PUSH_ACKED && answers(300, PUSH_ACKED) == 300);
    EXPECT(log_lines("took") == 300);
    end();
}

TEST(a_message_that_is_too_large_is_refused_and_the_others_go_on)
{
    begin("http");
    char url[100];
    struct diag diag = {0};
    struct push_sink *sink;
    large = malloc(PUSH_BYTES_MAX + 2);
    memset(large, 'x', PUSH_BYTES_MAX + 1);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/ok", peer_port);
    struct sink_spec spec = spec_of(PUSH_WEBHOOK, url);
    make_messages(3);
    messages[1].body = (struct span){large, PUSH_BYTES_MAX + 1};
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 3));
    EXPECT(messages[0].answer == PUSH_ACKED && messages[1].answer == PUSH_REFUSED &&
           messages[2].answer == PUSH_ACKED);
    sink->ops->close(sink);
    free(large);
    end();
}

TEST(what_is_not_encrypted_or_not_there_gets_nothing)
{
    begin(NULL);
    struct diag diag = {0};
    struct push_sink *sink;
    struct sink_spec spec = spec_of(PUSH_WEBHOOK, "http://192.0.2.1/x");
    make_messages(1);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 1));
    EXPECT(messages[0].answer == PUSH_STOPPED && strstr(messages[0].why, "encryption"));
    sink->ops->close(sink);
    spec.address = "http://127.0.0.1:1/x";
    make_messages(1);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 1) &&
           messages[0].answer == PUSH_RETRY);
    sink->ops->close(sink);
    spec.address = "env:TIEOUT_NO_SUCH_VARIABLE";
    EXPECT(sink_open(&sink, &spec, folder, &diag) == ERR_USAGE && sink == NULL &&
           strcmp(diag.code, "secret.env") == 0);
    diag = (struct diag){0};
    spec = spec_of(PUSH_NSQ, "192.0.2.1:4150");
    spec.topic = "t";
    make_messages(1);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 1) &&
           messages[0].answer == PUSH_STOPPED);
    sink->ops->close(sink);
    end();
}

TEST(chats_get_signed_texts)
{
    begin("http");
    static const struct {
        enum hook_style style;
        const char *path;
    } STYLES[] = {{HOOK_LARK, "lark"}, {HOOK_DINGTALK, "dingtalk?access_token=x"}, {HOOK_SLACK, "slack"}};
    for (int i = 0; i < 3; i++) {
        char url[100];
        struct diag diag = {0};
        struct push_sink *sink;
        snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", peer_port, STYLES[i].path);
        setenv("HOOK_URL", url, 1);
        struct sink_spec spec = spec_of(PUSH_WEBHOOK, "env:HOOK_URL");
        spec.style = STYLES[i].style;
        spec.secret = "env:HOOK_SECRET";
        spec.parallel = 1;
        spec.ok_path = i == 0 ? "code" : i == 1 ? "errcode" : NULL;
        spec.ok_words[0] = "0";
        spec.ok_count = 1;
        make_messages(1);
        messages[0].body = span_of("3 tasks failed: \"ALIPAY\"");
        EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 1) &&
               messages[0].answer == PUSH_ACKED);
        sink->ops->close(sink);
    }
    EXPECT(log_lines("3 tasks failed: \"ALIPAY\"") == 3);
    end();
}

TEST(a_file_has_whole_lines_and_loses_half_ones)
{
    begin(NULL);
    char path[300], line[500];
    struct diag diag = {0};
    struct push_sink *sink;
    struct stat st;
    struct sink_spec spec = spec_of(PUSH_FILE, "out.jsonl");
    snprintf(path, sizeof path, "%s/out.jsonl", folder);
    make_messages(5);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 5) && answers(5, PUSH_ACKED) == 5);
    EXPECT(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    FILE *file = fopen(path, "a"); /* a killed push */
    fputs("{\"id\":\"half", file);
    fclose(file);
    make_messages(2);
    EXPECT(push_all(sink, 2));
    sink->ops->close(sink);
    unsigned lines = 0;
    file = fopen(path, "r");
    while (fgets(line, sizeof line, file)) {
        EXPECT(strncmp(line, "{\"id\":\"0000", 11) == 0 && line[strlen(line) - 1] == '\n');
        lines++;
    }
    fclose(file);
    EXPECT(lines == 7);
    spec.address = "no/such/folder.jsonl";
    make_messages(1);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 1) &&
           messages[0].answer == PUSH_RETRY);
    sink->ops->close(sink);
    spec.address = "/dev/full";
    make_messages(1);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 1) &&
           messages[0].answer == PUSH_RETRY);
    sink->ops->close(sink);
    end();
}

TEST(a_csv_file_has_one_head_and_runs_no_formulas)
{
    begin(NULL);
    char path[300], line[2000];
    struct diag diag = {0};
    struct push_sink *sink;
    struct sink_spec spec = spec_of(PUSH_FILE, "out.csv");
    spec.is_csv = 1;
    snprintf(path, sizeof path, "%s/out.csv", folder);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK);
    for (int round = 0; round < 2; round++) {
        make_messages(1);
        messages[0].body = span_of("{\"id\":\"1\",\"biz_order_no\":\"=A1,\\\"x\\\"\",\"delta\":\"-1.00\"}");
        EXPECT(push_all(sink, 1));
    }
    sink->ops->close(sink);
    FILE *file = fopen(path, "r");
    EXPECT(fgets(line, sizeof line, file) && strncmp(line, "id,kind,", 8) == 0);
    for (int round = 0; round < 2; round++)
        EXPECT(fgets(line, sizeof line, file) && strstr(line, "\"'=A1,\"\"x\"\"\"") &&
               strstr(line, ",-1.00,"));
    EXPECT(!fgets(line, sizeof line, file));
    fclose(file);
    end();
}

/* `count` messages to topic `topic`; that of the nth poisoned. */
static enum push_answer nsq(const char *scheme, const char *topic, unsigned count, int poisoned)
{
    char address[100];
    struct diag diag = {0};
    struct push_sink *sink = NULL;
    snprintf(address, sizeof address, "%s127.0.0.1:%d", scheme, peer_port);
    struct sink_spec spec = spec_of(PUSH_NSQ, address);
    spec.topic = topic;
    if (strcmp(topic, "hang") == 0)
        spec.timeout_s = 1;
    make_messages(count);
    if (poisoned >= 0)
        messages[poisoned].body = span_of("{\"POISON\":1}");
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK);
    if (!sink)
        return PUSH_OPEN;
    EXPECT(push_all(sink, count));
    sink->ops->close(sink);
    return messages[0].answer;
}

TEST(nsqd_is_spoken_to_by_its_protocol)
{
    begin("nsq");
    EXPECT(nsq("", "one", 1, -1) == PUSH_ACKED && log_lines("one") == 1);
    EXPECT(nsq("", "many", 1000, -1) == PUSH_ACKED && answers(1000, PUSH_ACKED) == 1000 &&
           log_lines("many") == 1000);
    EXPECT(nsq("", "pieces", 3, -1) == PUSH_ACKED && answers(3, PUSH_ACKED) == 3);
    EXPECT(nsq("", "heartbeat", 3, -1) == PUSH_ACKED && answers(3, PUSH_ACKED) == 3);
    EXPECT(nsq("", "bad", 3, -1) == PUSH_STOPPED && strstr(messages[0].why, "E_BAD_TOPIC"));
    EXPECT(nsq("", "halfway", 3, -1) == PUSH_RETRY && answers(3, PUSH_RETRY) == 3);
    EXPECT(nsq("", "huge", 2, -1) == PUSH_UNKNOWN && strstr(messages[0].why, "2147483648"));
    EXPECT(nsq("", "hang", 2, -1) == PUSH_UNKNOWN && answers(2, PUSH_UNKNOWN) == 2);
    EXPECT(nsq("", "drop", 2, -1) == PUSH_UNKNOWN && answers(2, PUSH_UNKNOWN) == 2);
    EXPECT(nsq("", "poison", 5, 2) == PUSH_ACKED && answers(5, PUSH_ACKED) == 4 &&
           messages[2].answer == PUSH_REFUSED);
    EXPECT(log_lines("BROKEN") == 0);
    end();
    peer_port = 1;
    begin(NULL);
    peer_port = 1;
    EXPECT(nsq("", "nobody", 2, -1) == PUSH_RETRY);
    end();
}

TEST(nsqd_by_http)
{
    begin("http");
    EXPECT(nsq("http://", "one", 1, -1) == PUSH_ACKED && log_lines("one") == 1);
    EXPECT(nsq("http://", "many", 500, -1) == PUSH_ACKED && log_lines("many") == 500);
    EXPECT(nsq("http://", "down", 2, -1) == PUSH_RETRY);
    EXPECT(nsq("http://", "bad", 2, -1) == PUSH_STOPPED);
    EXPECT(log_lines("BROKEN") == 0);
    end();
}

/* Where there is an nsqd (TIEOUT_NSQD names it; Debian has none): the real thing, with messages of at most 1000 bytes. */
TEST(a_real_nsqd_where_there_is_one)
{
    const char *program = getenv("TIEOUT_NSQD");
    if (!program) {
        printf("skipped: TIEOUT_NSQD names no nsqd\n");
        return;
    }
    begin(NULL);
    peer = fork();
    if (peer == 0) {
        execl(program, program, "-tcp-address=127.0.0.1:41500", "-http-address=127.0.0.1:41510",
              "-max-msg-size=1000", "-log-level=error", "-data-path", folder, (char *)NULL);
        _exit(127);
    }
    char long_body[1200], command[300], line[100] = "";
    memset(long_body, 'x', sizeof long_body);
    peer_port = 41500;
    for (int i = 0; i < 50 && nsq("", "errors", 1, -1) == PUSH_RETRY; i++)
        usleep(100000);
    EXPECT(nsq("", "errors", 999, -1) == PUSH_ACKED && answers(999, PUSH_ACKED) == 999);
    struct sink_spec spec = spec_of(PUSH_NSQ, "127.0.0.1:41500");
    struct diag diag = {0};
    struct push_sink *sink;
    spec.topic = "errors";
    make_messages(5);
    messages[3].body = (struct span){long_body, sizeof long_body};
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 5));
    EXPECT(answers(5, PUSH_ACKED) == 4 && messages[3].answer == PUSH_REFUSED);
    sink->ops->close(sink);
    peer_port = 41510;
    EXPECT(nsq("http://", "errors", 300, -1) == PUSH_ACKED && answers(300, PUSH_ACKED) == 300);
    EXPECT(nsq("", "not/a/topic", 1, -1) != PUSH_ACKED);
    peer_port = 41500;
    EXPECT(nsq("", "not/a/topic", 1, -1) == PUSH_STOPPED);
    snprintf(command, sizeof command,
             "curl -s 'http://127.0.0.1:41510/stats?format=json&topic=errors' | grep -o "
             "'message_count\":[0-9]*' | head -1");
    FILE *out = popen(command, "r");
    EXPECT(out && fgets(line, sizeof line, out) && strcmp(line, "message_count\":1304\n") == 0);
    pclose(out);
    end();
}

#ifdef TIEOUT_KAFKA
/* A cluster of three brokers that speak the real protocol over TCP. */
struct cluster {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *mock;
    const char *brokers;
};

static struct cluster cluster_open(void)
{
    struct cluster c;
    char why[200];
    c.host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
    c.mock = rd_kafka_mock_cluster_new(c.host, 3);
    rd_kafka_mock_topic_create(c.mock, "errors", 2, 3);
    c.brokers = rd_kafka_mock_cluster_bootstraps(c.mock);
    return c;
}

static void cluster_close(struct cluster *c)
{
    rd_kafka_mock_cluster_destroy(c->mock);
    rd_kafka_destroy(c->host);
}

static unsigned consume(const char *brokers, unsigned want, unsigned *with_header)
{
    char why[200];
    unsigned got = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
    rd_kafka_conf_set(conf, "group.id", "test", why, sizeof why);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
    for (int i = 0; i < 2; i++)
        rd_kafka_topic_partition_list_add(list, "errors", i)->offset = 0;
    rd_kafka_assign(consumer, list);
    *with_header = 0;
    for (time_t from = time(NULL); got < want && time(NULL) - from < 300;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 200);
        if (m && !m->err) {
            rd_kafka_headers_t *headers;
            const void *value;
            size_t size;
            got++;
            *with_header += rd_kafka_message_headers(m, &headers) == 0 &&
                            rd_kafka_header_get_last(headers, "tieout-id", &value, &size) == 0 &&
                            size == 64 && m->key_len > 6;
        }
        if (m)
            rd_kafka_message_destroy(m);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return got;
}

TEST(kafka_is_acked_by_delivery_reports_only)
{
    begin(NULL);
    struct cluster c = cluster_open();
    struct diag diag = {0};
    struct push_sink *sink;
    unsigned with_header;
    struct sink_spec spec = spec_of(PUSH_KAFKA, c.brokers);
    spec.topic = "errors";
    make_messages(MESSAGES_MAX);
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, MESSAGES_MAX));
    EXPECT(answers(MESSAGES_MAX, PUSH_ACKED) == MESSAGES_MAX);
    EXPECT(consume(c.brokers, MESSAGES_MAX, &with_header) == MESSAGES_MAX && with_header == MESSAGES_MAX);
    /* An error that passes is retried within. */
    rd_kafka_mock_push_request_errors(c.mock, 0 /* Produce */, 2, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    make_messages(10);
    EXPECT(push_all(sink, 10) && answers(10, PUSH_ACKED) == 10);
    /* One that lasts is an answer. */
    rd_kafka_mock_push_request_errors(c.mock, 0, 3, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    make_messages(3);
    EXPECT(push_all(sink, 3));
    EXPECT(answers(3, PUSH_STOPPED) + answers(3, PUSH_RETRY) == 3 && answers(3, PUSH_STOPPED) > 0);
    sink->ops->close(sink);
    rd_kafka_mock_clear_request_errors(c.mock, 0);
    /* Too large for any broker: refused here; the others go on. */
    large = malloc(1000001);
    memset(large, 'x', 1000001);
    make_messages(3);
    messages[1].body = (struct span){large, 1000001};
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK && push_all(sink, 3));
    EXPECT(messages[0].answer == PUSH_ACKED && messages[1].answer == PUSH_REFUSED &&
           messages[2].answer == PUSH_ACKED);
    free(large);
    sink->ops->close(sink);
    /* All brokers gone: not now, or unknown, and never acked. Once they are back it goes on. */
    spec.timeout_s = 4;
    EXPECT(sink_open(&sink, &spec, folder, &diag) == OK);
    for (int i = 1; i <= 3; i++)
        rd_kafka_mock_broker_set_down(c.mock, i);
    make_messages(5);
    EXPECT(push_all(sink, 5) && answers(5, PUSH_RETRY) + answers(5, PUSH_UNKNOWN) == 5);
    for (int i = 1; i <= 3; i++)
        rd_kafka_mock_broker_set_up(c.mock, i);
    unsigned acked = 0;
    for (int tries = 0; tries < 60 && acked < 5; tries++) {
        make_messages(5);
        EXPECT(push_all(sink, 5));
        acked = answers(5, PUSH_ACKED);
    }
    EXPECT(acked == 5);
    sink->ops->close(sink);
    cluster_close(&c);
    end();
}
#endif
