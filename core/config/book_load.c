/* core/config/book_load.c: book.yaml -> struct book */
#include "core/base/mem.h"
#include "core/config/book.h"
#include "core/config/loader.h"
#include "core/config/nearest.h"
#include "core/model/money.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const CLASS_WORDS[] = {"mismatch", "missing", "extra", "ambiguous", "duplicate"};
static const enum class_id CLASS_IDS[] = {CLASS_MISMATCH, CLASS_MISSING, CLASS_EXTRA, CLASS_AMBIGUOUS,
                                          CLASS_DUPLICATE};
static const char *const GRADE_WORDS[ALARM_GRADES] = {"note", "warning", "critical"};

const char *alarm_grade_name(enum alarm_grade grade)
{
    return GRADE_WORDS[grade];
}

/* ---- one sink ---- */

static const char *const PUSH_KINDS[] = {"file", "webhook", "nsq", "kafka"};
static const char *const ALARM_KINDS[] = {"lark", "dingtalk", "slack", "webhook"};

static int is_url(const char *text, int with_plain)
{
    return strncmp(text, "https://", 8) == 0 || (with_plain && strncmp(text, "http://", 7) == 0);
}

static int is_reference(const char *text)
{
    return (strncmp(text, "env:", 4) == 0 && text[4]) || (strncmp(text, "file:", 5) == 0 && text[5]);
}

static enum err read_address(struct loader *l, const struct yaml_node *node, const char *where,
                             struct sink_spec *sink)
{
    enum err err = read_text(l, node, where, "an address", &sink->address);
    if (err != OK)
        return err;
    if (sink->kind == PUSH_WEBHOOK && !is_url(sink->address, 1) && !is_reference(sink->address))
        return BAD(l, node, "job.value", "a URL that holds a token is a secret: env:NAME or file:PATH",
                   "%s: \"%s\": expected https://..., env:NAME or file:PATH", where, sink->address);
    if (sink->kind == PUSH_NSQ && !is_url(sink->address, 1)) {
        const char *colon = strrchr(sink->address, ':');
        if (!colon || colon == sink->address || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
            !colon[1])
            return BAD(l, node, "job.value", "nsqd listens on 4150 (TCP) and 4151 (HTTP)",
                       "%s: \"%s\": expected HOST:PORT, http://HOST:PORT or https://HOST:PORT", where,
                       sink->address);
    }
    return OK;
}

static enum err read_topic(struct loader *l, const struct yaml_node *node, const char *where,
                           const char **out)
{
    enum err err = read_text(l, node, where, "the name of a topic", out);
    size_t good =
        err == OK ? strspn(*out, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-#") : 0;
    if (err == OK && (good != strlen(*out) || good > 64))
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected at most 64 of a-z A-Z 0-9 . _ -", where,
                   *out);
    return err;
}

/* {code: "0"} or {code: ["0", "200"]} */
static enum err read_ok_when(struct loader *l, const struct yaml_node *node, const char *where,
                             struct sink_spec *sink)
{
    if (node->kind != YAML_MAP || node->count != 1)
        return wrong_type(l, node, where, "one member of the answer and what it says, {code: \"0\"}");
    const char **words = NULL;
    enum err err = read_texts(l, node->first, below(where, node->first->key).text,
                              "a text or a list of texts", OK_WORDS_MAX, &words, &sink->ok_count);
    sink->ok_path = node->first->key;
    for (int i = 0; err == OK && i < sink->ok_count; i++)
        sink->ok_words[i] = words[i];
    return err;
}

static void set_defaults(struct sink_spec *sink, int for_alarms)
{
    sink->parallel = 4;
    sink->timeout_s = 15;
    sink->retry_first_s = 2;
    sink->retry_max_s = 600;
    sink->breaker_after = 5;
    sink->breaker_s = 30;
    sink->grade = ALARM_WARNING;
    if (for_alarms)
        sink->parallel = 1;
    if (sink->style == HOOK_LARK) { /* what these services answer when they took a message */
        sink->ok_path = "code";
        sink->ok_words[0] = "0";
        sink->ok_count = 1;
    } else if (sink->style == HOOK_DINGTALK) {
        sink->ok_path = "errcode";
        sink->ok_words[0] = "0";
        sink->ok_count = 1;
    }
}

struct number_setting {
    const char *name;
    int *out;
    int min, max;
};

static enum err read_sink(struct loader *l, const struct yaml_node *node, const char *section, int for_alarms,
                          struct sink_spec *sink)
{
    static const char *const NAMES[] = {"file",    "webhook",
                                        "nsq",     "kafka",
                                        "lark",    "dingtalk",
                                        "slack",   "format",
                                        "topic",   "secret",
                                        "user",    "password",
                                        "token",   "ca",
                                        "tls",     "ok_when",
                                        "rate",    "parallel",
                                        "timeout", "batch",
                                        "tries",   "retry",
                                        "breaker", "grade",
                                        "acks",    "trust_server_without_checking_identity"};
    struct where where = below(section, node->key);
    const char *const *other = for_alarms ? PUSH_KINDS : ALARM_KINDS;
    const char *names[COUNT_OF(NAMES)];
    int name_count = 0;
    for (int i = 0; i < COUNT_OF(NAMES);
         i++) /* all but where only the other kind of sink goes; webhook is of both */
        if (strcmp(NAMES[i], "webhook") == 0 ||
            (strcmp(NAMES[i], other[0]) != 0 && strcmp(NAMES[i], other[1]) != 0 &&
             strcmp(NAMES[i], other[2]) != 0 && strcmp(NAMES[i], other[3]) != 0))
            names[name_count++] = NAMES[i];
    enum err err = check_names(l, node, where.text, names, name_count, NULL, 0);
    if (err != OK)
        return err;
    sink->name = node->key;
    sink->line = node->key_line;
    const char *const *kinds = for_alarms ? ALARM_KINDS : PUSH_KINDS;
    const struct yaml_node *address = NULL;
    for (int i = 0; i < 4; i++) {
        const struct yaml_node *found = yaml_get(node, kinds[i]);
        if (found && address)
            return bad_at(l, found->key_line, found->key_column, "job.doubled", "two places are two entries",
                          "%s: goes to one place, and %s is the second", where.text, kinds[i]);
        if (!found)
            continue;
        address = found;
        if (for_alarms) {
            static const enum hook_style STYLES[] = {HOOK_LARK, HOOK_DINGTALK, HOOK_SLACK, HOOK_PLAIN};
            sink->kind = PUSH_WEBHOOK;
            sink->style = STYLES[i];
        } else {
            sink->kind = (enum push_kind)i;
        }
    }
    if (!address)
        return BAD(l, node, "job.missing",
                   for_alarms ? "lark: env:LARK_URL, or dingtalk:, slack:, webhook:"
                              : "file: PATH, webhook: URL, nsq: HOST:PORT or kafka: HOST:PORT",
                   "%s: nothing says where it goes", where.text);
    set_defaults(sink, for_alarms);
    err = read_address(l, address, below(where.text, address->key).text, sink);
    const struct yaml_node *n;
    if (err == OK && (n = yaml_get(node, "format"))) {
        static const char *const FORMATS[] = {"json", "csv"};
        char hint[400];
        const char *word = "";
        err = read_text(l, n, below(where.text, "format").text, "json or csv", &word);
        if (err == OK && (sink->kind != PUSH_FILE || (strcmp(word, "json") != 0 && strcmp(word, "csv") != 0)))
            err = BAD(l, n, "job.value", near_hint(hint, word, FORMATS, 2),
                      "%s.format: \"%s\": a file is json or csv", where.text, word);
        sink->is_csv = err == OK && strcmp(word, "csv") == 0;
    }
    if (err == OK && (n = yaml_get(node, "topic")))
        err = read_topic(l, n, below(where.text, "topic").text, &sink->topic);
    if (err == OK && !sink->topic && (sink->kind == PUSH_NSQ || sink->kind == PUSH_KAFKA))
        err = BAD(l, node, "job.missing", "topic: reconciliation-errors", "%s: topic is missing", where.text);
    const struct {
        const char *name;
        const char **out;
    } secrets[] = {{"secret", &sink->secret}, {"password", &sink->password}, {"token", &sink->token}},
      texts[] = {{"user", &sink->user}, {"ca", &sink->ca}};
    for (int i = 0; err == OK && i < COUNT_OF(secrets); i++)
        if ((n = yaml_get(node, secrets[i].name)))
            err = read_secret(l, n, below(where.text, secrets[i].name).text, secrets[i].out);
    for (int i = 0; err == OK && i < COUNT_OF(texts); i++)
        if ((n = yaml_get(node, texts[i].name)))
            err = read_text(l, n, below(where.text, texts[i].name).text, "a text", texts[i].out);
    if (err == OK && (n = yaml_get(node, "tls")))
        err = read_bool(l, n, below(where.text, "tls").text, &sink->tls);
    if (err == OK && (n = yaml_get(node, "trust_server_without_checking_identity")))
        err = read_bool(l, n, below(where.text, "trust_server_without_checking_identity").text,
                        &sink->trust_without_identity);
    if (err == OK && (n = yaml_get(node, "acks")) && (n->kind != YAML_SCALAR || strcmp(n->text, "all") != 0))
        err = BAD(l, n, "job.value", "leave it out",
                  "%s.acks: only `all` is safe: with fewer, an error that was acknowledged may still be lost",
                  where.text);
    if (err == OK && (n = yaml_get(node, "ok_when")))
        err = read_ok_when(l, n, below(where.text, "ok_when").text, sink);
    const struct number_setting numbers[] = {{"rate", &sink->rate, 1, 1000000},
                                             {"parallel", &sink->parallel, 1, 32},
                                             {"batch", &sink->batch, 1, 10000},
                                             {"tries", &sink->tries, 1, 1000000}};
    for (int i = 0; err == OK && i < COUNT_OF(numbers); i++)
        if ((n = yaml_get(node, numbers[i].name))) {
            int64_t value = 0;
            err = read_number(l, n, below(where.text, numbers[i].name).text, numbers[i].min, numbers[i].max,
                              &value);
            *numbers[i].out = (int)value;
        }
    if (err == OK && (n = yaml_get(node, "timeout")))
        err = read_seconds(l, n, below(where.text, "timeout").text, &sink->timeout_s);
    if (err == OK && sink->timeout_s < 1)
        err = BAD(l, n, "job.value", NULL, "%s.timeout: at least 1s", where.text);
    static const char *const RETRY_NAMES[] = {"first", "max"}, *const BREAKER_NAMES[] = {"after", "pause"};
    const struct yaml_node *k;
    if (err == OK && (n = yaml_get(node, "retry"))) {
        struct where at = below(where.text, "retry");
        err = check_names(l, n, at.text, RETRY_NAMES, 2, NULL, 0);
        if (err == OK && (k = yaml_get(n, "first")))
            err = read_seconds(l, k, below(at.text, "first").text, &sink->retry_first_s);
        if (err == OK && (k = yaml_get(n, "max")))
            err = read_seconds(l, k, below(at.text, "max").text, &sink->retry_max_s);
    }
    if (err == OK && (n = yaml_get(node, "breaker"))) {
        struct where at = below(where.text, "breaker");
        int64_t after = sink->breaker_after;
        err = check_names(l, n, at.text, BREAKER_NAMES, 2, NULL, 0);
        if (err == OK && (k = yaml_get(n, "after")))
            err = read_number(l, k, below(at.text, "after").text, 1, 1000000, &after);
        if (err == OK && (k = yaml_get(n, "pause")))
            err = read_seconds(l, k, below(at.text, "pause").text, &sink->breaker_s);
        sink->breaker_after = (int)after;
    }
    if (err == OK && (n = yaml_get(node, "grade"))) {
        const char *word = "";
        char hint[400];
        err = read_text(l, n, below(where.text, "grade").text, "note, warning or critical", &word);
        int found = -1;
        for (int i = 0; err == OK && i < ALARM_GRADES; i++)
            if (strcmp(word, GRADE_WORDS[i]) == 0)
                found = i;
        if (err == OK && found < 0)
            err = BAD(l, n, "job.value", near_hint(hint, word, GRADE_WORDS, ALARM_GRADES),
                      "%s.grade: \"%s\": expected note, warning or critical", where.text, word);
        sink->grade = (enum alarm_grade)(found < 0 ? 0 : found);
    }
    return err;
}

static enum err read_sinks(struct loader *l, const struct yaml_node *node, const char *section,
                           int for_alarms, struct sink_spec *sinks, int *count)
{
    if (node->kind != YAML_MAP || node->count == 0)
        return wrong_type(l, node, section, "names and where each goes, one a line");
    if (node->count > SINKS_MAX)
        return BAD(l, node, "job.value", NULL, "%s: %d entries; at most %d", section, node->count, SINKS_MAX);
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        if (strlen(child->key) > WORD_BYTES_MAX || strchr(child->key, '/') || child->key[0] == '.')
            return bad_at(l, child->key_line, child->key_column, "job.value", NULL,
                          "%s: \"%s\": a name has at most %d bytes and no /", section, child->key,
                          WORD_BYTES_MAX);
        enum err err = read_sink(l, child, section, for_alarms, &sinks[*count]);
        if (err != OK)
            return err;
        *count += 1;
    }
    return OK;
}

/* ---- push ---- */

static enum err read_channels(struct loader *l, const struct yaml_node *node, const char *name, int most,
                              struct channel_points channels[PRIORITIES_MAX], int *count)
{
    enum err err = OK;
    if (node->kind != YAML_MAP || node->count > PRIORITIES_MAX)
        return wrong_type(l, node, name, "channel codes and their points, {ALIPAY: 1}");
    for (const struct yaml_node *child = node->first; err == OK && child; child = child->next) {
        int64_t points = 0;
        err = read_number(l, child, below(name, child->key).text, 0, most, &points);
        channels[(*count)++] = (struct channel_points){child->key, (int)points};
    }
    return err;
}

static enum err read_steps(struct loader *l, const struct yaml_node *node, struct push_settings *push)
{
    static const char *const NAMES[] = {"amounts", "days", "channels"};
    enum err err = check_names(l, node, "push.severity", NAMES, 3, NULL, 0);
    const struct yaml_node *n;
    const char **texts = NULL;
    int count = 0;
    if (err == OK && (n = yaml_get(node, "amounts"))) {
        err = read_texts(l, n, "push.severity.amounts", "a list of amounts", STEPS_MAX, &texts, &count);
        for (int i = 0; err == OK && i < count; i++)
            if (!money_parse(texts[i], strlen(texts[i]), &push->severity_micro[i]) ||
                push->severity_micro[i] < 0 || (i && push->severity_micro[i] <= push->severity_micro[i - 1]))
                err = BAD(l, n, "job.value", "e.g. [\"100\", \"10000\"]",
                          "push.severity.amounts: \"%s\": expected amounts, each larger than the one before",
                          texts[i]);
        push->severity_count = count;
    }
    if (err == OK && (n = yaml_get(node, "days"))) {
        count = 0;
        const struct yaml_node *item = n->kind == YAML_LIST ? n->first : n;
        for (; err == OK && item && count < STEPS_MAX; item = n->kind == YAML_LIST ? item->next : NULL) {
            int64_t days = 0;
            err = read_number(l, item, "push.severity.days", 0, 100000, &days);
            push->age_days[count++] = (int)days;
        }
        push->age_count = count;
    }
    if (err == OK && (n = yaml_get(node, "channels")))
        err = read_channels(l, n, "push.severity.channels", 3, push->channels, &push->channel_count);
    return err;
}

static enum err read_push(struct loader *l, const struct yaml_node *node, struct push_settings *push)
{
    static const char *const NAMES[] = {"sinks", "classes", "recheck", "severity"};
    enum err err = check_names(l, node, "push", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *n;
    if (err == OK && (n = yaml_get(node, "sinks")))
        err = read_sinks(l, n, "push.sinks", 0, push->sinks, &push->sink_count);
    if (err == OK && (n = yaml_get(node, "classes"))) {
        const char **words = NULL;
        int count = 0;
        err = read_texts(l, n, "push.classes", "a list of classes", COUNT_OF(CLASS_WORDS), &words, &count);
        push->classes = 0;
        for (int i = 0; err == OK && i < count; i++) {
            int found = -1;
            for (int k = 0; k < COUNT_OF(CLASS_WORDS); k++)
                if (strcmp(words[i], CLASS_WORDS[k]) == 0)
                    found = k;
            char hint[400];
            if (found < 0)
                err = BAD(l, n, "job.value", near_hint(hint, words[i], CLASS_WORDS, COUNT_OF(CLASS_WORDS)),
                          "push.classes: \"%s\" is no class of errors", words[i]);
            else
                push->classes |= 1u << CLASS_IDS[found];
        }
    }
    if (err == OK && (n = yaml_get(node, "recheck"))) {
        const struct yaml_node *item = n->kind == YAML_LIST ? n->first : n;
        if (n->kind == YAML_MAP || (n->kind == YAML_LIST && n->count > RECHECKS_MAX))
            return wrong_type(l, n, "push.recheck", "a list such as [1m, 10m, 1h, next_run]");
        for (; err == OK && item; item = n->kind == YAML_LIST ? item->next : NULL) {
            int *out = &push->recheck_s[push->recheck_count];
            if (push->recheck_count && out[-1] == RECHECK_NEXT_RUN)
                return BAD(l, item, "job.value", NULL, "push.recheck: next_run is the last step");
            if (item->kind == YAML_SCALAR && strcmp(item->text, "next_run") == 0)
                *out = RECHECK_NEXT_RUN;
            else
                err = read_seconds(l, item, "push.recheck", out);
            push->recheck_count++;
        }
    }
    if (err == OK && (n = yaml_get(node, "severity")))
        err = read_steps(l, n, push);
    return err;
}

static enum err read_alarms(struct loader *l, const struct yaml_node *node, struct alarm_settings *alarms)
{
    static const char *const NAMES[] = {"sinks", "again", "storm"};
    enum err err = check_names(l, node, "alarms", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *n;
    if (err == OK && (n = yaml_get(node, "sinks")))
        err = read_sinks(l, n, "alarms.sinks", 1, alarms->sinks, &alarms->sink_count);
    if (err == OK && (n = yaml_get(node, "again")))
        err = read_seconds(l, n, "alarms.again", &alarms->again_s);
    if (err == OK && (n = yaml_get(node, "storm"))) {
        int64_t storm = 0;
        err = read_number(l, n, "alarms.storm", 1, 1000, &storm);
        alarms->storm = (int)storm;
    }
    return err;
}

static enum err read_tasks(struct loader *l, const struct yaml_node *node, struct task_settings *tasks)
{
    static const char *const NAMES[] = {"priority"};
    enum err err = check_names(l, node, "tasks", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *n = err == OK ? yaml_get(node, "priority") : NULL;
    return n ? read_channels(l, n, "tasks.priority", 1000, tasks->priority, &tasks->priority_count) : err;
}

/* ---- the file ---- */

void book_close(struct book *book)
{
    if (!book)
        return;
    arena_fini(&book->arena);
    mem_give(book);
}

static enum err read_book(struct book *book, const char *path, struct diag *diag)
{
    static const char *const NAMES[] = {"version", "push", "alarms", "tasks"};
    struct yaml_node *root = NULL;
    struct loader l = {.arena = &book->arena, .path = path, .diag = diag};
    enum err err = yaml_read(&root, &book->arena, path, diag);
    if (err != OK)
        return err;
    int64_t version = 0;
    const struct yaml_node *n;
    err = check_names(&l, root, "", NAMES, COUNT_OF(NAMES), NULL, 0);
    if (err == OK && !(n = yaml_get(root, "version")))
        err = BAD(&l, root, "job.missing", "the first line is `version: 1`", "version is missing");
    else if (err == OK)
        err = read_number(&l, n, "version", 1, 1, &version);
    if (err == OK && (n = yaml_get(root, "push")))
        err = read_push(&l, n, &book->push);
    if (err == OK && (n = yaml_get(root, "alarms")))
        err = read_alarms(&l, n, &book->alarms);
    if (err == OK && (n = yaml_get(root, "tasks")))
        err = read_tasks(&l, n, &book->tasks);
    return err;
}

enum err book_load(struct book **out, const char *directory, struct diag *diag)
{
    *out = NULL;
    struct book *book = mem_take_zero(1, sizeof *book);
    char path[4096];
    if (!book)
        return mem_fail(diag, sizeof *book, "a book");
    arena_init(&book->arena);
    book->push.classes =
        1u << CLASS_MISMATCH | 1u << CLASS_MISSING | 1u << CLASS_EXTRA | 1u << CLASS_AMBIGUOUS;
    book->alarms.again_s = 86400;
    book->alarms.storm = 5;
    enum err err = OK;
    if (snprintf(path, sizeof path, "%s/book.yaml", directory) >= (int)sizeof path)
        err = diag_set(diag, ERR_USAGE, "path", NULL, "the path of the book's folder is too long");
    book->directory = arena_copy(&book->arena, (struct span){directory, strlen(directory) + 1}).data;
    const char *copy = arena_copy(&book->arena, (struct span){path, strlen(path) + 1}).data;
    if (err == OK && (!book->directory || !copy))
        err = mem_fail(diag, sizeof path, "a book");
    if (err == OK && (access(path, F_OK) == 0 || errno != ENOENT)) {
        book->path = copy;
        err = read_book(book, path, diag);
    }
    if (err != OK) {
        book_close(book);
        return err;
    }
    *out = book;
    return OK;
}
