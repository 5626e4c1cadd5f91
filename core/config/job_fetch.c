/* core/config/job_fetch.c: `fetch` of a side: where its files come from; see loader.h */
#include "core/config/loader.h"
#include <stdio.h>
#include <string.h>

/* ---- fetch ---- */

enum err read_seconds(struct loader *l, const struct yaml_node *node, const char *where, int *out)
{
    const char *text = "";
    enum err err = read_text(l, node, where, "a time such as 30s, 10m or 2h", &text);
    if (err != OK)
        return err;
    size_t digits = strspn(text, "0123456789");
    int unit = strcmp(text + digits, "s") == 0   ? 1
               : strcmp(text + digits, "m") == 0 ? 60
               : strcmp(text + digits, "h") == 0 ? 3600
                                                 : 0;
    if (digits < 1 || digits > 5 || !unit)
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected a time such as 30s, 10m or 2h", where,
                   text);
    int value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (text[i] - '0');
    *out = value * unit;
    return OK;
}

/* What of a URL may not be left to chance. */
static enum err check_from(struct loader *l, const struct yaml_node *node, const char *where,
                           const char *from)
{
    static const char *const schemes[] = {"sftp://",  "ftps://", "ftpes://", "ftp://",
                                          "https://", "http://", "file://"};
    const char *scheme = strstr(from, "://");
    if (has_control(from) || strchr(from, ' '))
        return BAD(l, node, "job.value", "write %20 for a space in a URL",
                   "%s: expected no spaces and no control characters", where);
    if (!scheme)
        return OK;
    int known = 0;
    for (int i = 0; i < COUNT_OF(schemes); i++)
        known |= strncmp(from, schemes[i], strlen(schemes[i])) == 0;
    if (!known)
        return BAD(l, node, "job.value", NULL,
                   "%s: \"%s\": expected a path, or a URL with sftp, ftps, ftpes, ftp, https or http", where,
                   from);
    const char *host = scheme + 3, *at = memchr(host, '@', strcspn(host, "/?#"));
    if (at)
        return BAD(l, node, "job.secret", "write user: and password: beside it",
                   "%s: a URL here names no user and no password", where);
    return OK;
}

static enum err read_fetch_env(struct loader *l, const struct yaml_node *node, const char *where,
                               struct fetch_spec *fetch)
{
    if (node->kind != YAML_MAP)
        return wrong_type(l, node, where, "NAME: value pairs");
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        if (fetch->env_count == FETCH_ENV_MAX)
            return BAD(l, node, "job.value", NULL, "%s: at most %d entries", where, FETCH_ENV_MAX);
        struct fetch_env *env = &fetch->env[fetch->env_count++];
        env->name = child->key;
        enum err err =
            read_text(l, child, below(where, child->key).text, "a text, env:NAME or file:PATH", &env->source);
        if (err != OK)
            return err;
    }
    return OK;
}

enum err read_fetch(struct loader *l, const struct yaml_node *node, const char *section,
                    struct fetch_spec *fetch)
{
    enum { FROM_MAX = 64, WORDS_MAX = 32 };
    static const char *const NAMES[] = {"from",
                                        "command",
                                        "env",
                                        "to",
                                        "user",
                                        "password",
                                        "token",
                                        "key",
                                        "host_key",
                                        "known_hosts",
                                        "ca",
                                        "checksum",
                                        "not_before",
                                        "deadline",
                                        "stall",
                                        "retry",
                                        "trust_server_without_checking_identity"};
    struct where where = below(section, "fetch");
    *fetch = (struct fetch_spec){.given = 1,
                                 .to = "data",
                                 .not_before_minutes = -1,
                                 .deadline_s = 600,
                                 .stall_s = 60,
                                 .retry_first_s = 1,
                                 .retry_max_s = 60,
                                 .line = node->line};
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *n;
    const char *text = NULL;
    if (err == OK && !yaml_get(node, "from") + !yaml_get(node, "command") != 1)
        err = BAD(l, node, "job.missing", "e.g. from: \"sftp://host/out/{date}/*.zip\"",
                  "%s: expected exactly one of from and command", where.text);
    if (err == OK && (n = yaml_get(node, "from"))) {
        err = read_texts(l, n, below(where.text, "from").text, "a URL or path, or a list of them", FROM_MAX,
                         &fetch->from, &fetch->from_count);
        const struct yaml_node *item = n->kind == YAML_LIST ? n->first : n;
        for (int i = 0; err == OK && i < fetch->from_count; i++, item = item->next)
            err = check_from(l, item, below(where.text, "from").text, fetch->from[i]);
    }
    if (err == OK && (n = yaml_get(node, "command")))
        err = read_texts(l, n, below(where.text, "command").text, "a program and its arguments", WORDS_MAX,
                         &fetch->command, &fetch->command_count);
    if (err == OK && (n = yaml_get(node, "env")))
        err = read_fetch_env(l, n, below(where.text, "env").text, fetch);
    struct {
        const char *name;
        const char **out;
        int secret;
    } texts[] = {{"to", &fetch->to, 0},
                 {"user", &fetch->user, 0},
                 {"password", &fetch->password, 1},
                 {"token", &fetch->token, 1},
                 {"key", &fetch->key, 0},
                 {"host_key", &fetch->host_key, 0},
                 {"ca", &fetch->ca, 0},
                 {"known_hosts", &fetch->known_hosts, 0},
                 {"checksum", &fetch->checksum, 0}};
    for (int i = 0; err == OK && i < COUNT_OF(texts); i++)
        if ((n = yaml_get(node, texts[i].name)))
            err = texts[i].secret
                      ? read_secret(l, n, below(where.text, texts[i].name).text, texts[i].out)
                      : read_text(l, n, below(where.text, texts[i].name).text, "a text", texts[i].out);
    if (err == OK && (n = yaml_get(node, "host_key")) && strncmp(fetch->host_key, "SHA256:", 7) != 0)
        err = BAD(l, n, "job.value", "ssh-keyscan HOST | ssh-keygen -lf - prints it",
                  "%s.host_key: \"%s\": expected SHA256: and the key's fingerprint", where.text,
                  fetch->host_key);
    if (err == OK && (n = yaml_get(node, "not_before"))) {
        err = read_text(l, n, below(where.text, "not_before").text, "a time of day \"HH:MM\"", &text);
        int ok = err == OK && strlen(text) == 5 && text[2] == ':' && strspn(text, "0123456789") == 2 &&
                 strspn(text + 3, "0123456789") == 2;
        int hour = ok ? (text[0] - '0') * 10 + text[1] - '0' : 24,
            minute = ok ? (text[3] - '0') * 10 + text[4] - '0' : 60;
        if (err == OK && (hour > 23 || minute > 59))
            err = BAD(l, n, "job.value", NULL, "%s.not_before: \"%s\": expected a time of day \"HH:MM\"",
                      where.text, text);
        fetch->not_before_minutes = hour * 60 + minute;
    }
    if (err == OK && (n = yaml_get(node, "deadline")))
        err = read_seconds(l, n, below(where.text, "deadline").text, &fetch->deadline_s);
    if (err == OK && (n = yaml_get(node, "stall")))
        err = read_seconds(l, n, below(where.text, "stall").text, &fetch->stall_s);
    if (err == OK && (n = yaml_get(node, "retry"))) {
        static const char *const RETRY[] = {"first", "max"};
        struct where retry = below(where.text, "retry");
        const struct yaml_node *k;
        err = check_names(l, n, retry.text, RETRY, COUNT_OF(RETRY), NULL, 0);
        if (err == OK && (k = yaml_get(n, "first")))
            err = read_seconds(l, k, below(retry.text, "first").text, &fetch->retry_first_s);
        if (err == OK && (k = yaml_get(n, "max")))
            err = read_seconds(l, k, below(retry.text, "max").text, &fetch->retry_max_s);
    }
    if (err == OK && (n = yaml_get(node, "trust_server_without_checking_identity")))
        err = read_bool(l, n, below(where.text, "trust_server_without_checking_identity").text,
                        &fetch->trust_without_identity);
    return err;
}
