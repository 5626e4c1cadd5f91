/* io/push/sinks.c: see sinks.h */
#include "io/push/sinks.h"
#include <stdarg.h>
#include <string.h>

void push_answer(struct push_sink *sink, struct push_message *message, enum push_answer answer,
                 const char *format, ...)
{
    if (message->answer == PUSH_OPEN && answer != PUSH_OPEN)
        sink->open--;
    message->answer = answer;
    va_list ap;
    va_start(ap, format);
    vsnprintf(message->why, sizeof message->why, format, ap);
    va_end(ap);
    for (unsigned char *p = (unsigned char *)message->why; *p; p++) /* it may quote the other end */
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

const char *push_answer_name(enum push_answer answer)
{
    static const char *const NAMES[] = {"open", "acked", "not now", "unknown", "refused", "stopped"};
    return NAMES[answer];
}

enum err sink_path(char out[4096], const char *directory, const char *path, struct diag *diag)
{
    int relative = path[0] != '/' && strcmp(directory, ".") != 0;
    int n = snprintf(out, 4096, "%s%s%s", relative ? directory : "", relative ? "/" : "", path);
    return n < 4096 ? OK : diag_set(diag, ERR_USAGE, "path", NULL, "a path below %s is too long", directory);
}

enum err sink_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                   struct diag *diag)
{
    *out = NULL;
    switch (spec->kind) {
    case PUSH_FILE:
        return file_sink_open(out, spec, directory, diag);
    case PUSH_WEBHOOK:
        return webhook_open(out, spec, directory, diag);
    case PUSH_NSQ:
        return strncmp(spec->address, "http", 4) == 0 && strstr(spec->address, "://")
                   ? nsq_http_open(out, spec, directory, diag)
                   : nsq_tcp_open(out, spec, directory, diag);
    case PUSH_KAFKA:
        break;
    }
#ifdef TIEOUT_KAFKA
    return kafka_open(out, spec, directory, diag);
#else
    return diag_set(diag, ERR_USAGE, "push.kafka", "install librdkafka-dev and build again",
                    "%s: this program was built without Kafka", spec->name);
#endif
}
