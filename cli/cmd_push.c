/* cli/cmd_push.c: tieout push */
#include "cli/book_state.h"
#include "cli/cmd.h"
#include "cli/signals.h"
#include "core/base/text.h"
#include "io/push/pusher.h"

static void tell_line(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static enum err check_sink(const struct book *book, const char *name, struct diag *diag)
{
    for (int i = 0; name && i < book->push.sink_count; i++)
        if (strcmp(book->push.sinks[i].name, name) == 0)
            return OK;
    return name ? diag_set(diag, ERR_USAGE, "push.sink",
                           "its sinks stand under push: sinks:", "%s: there is no sink \"%s\"",
                           book->path ? book->path : "the book has no book.yaml", name)
                : OK;
}

static void tell_result(const struct push_result *r, int as_json)
{
    if (as_json) {
        struct text why = {0};
        text_json(&why, span_of(r->why));
        printf("{\"acked\":%lld,\"refused\":%lld,\"not_now\":%lld,\"waiting\":%lld,\"dead\":%lld,\"sinks_"
               "down\":%d,"
               "\"alarms_told\":%lld,\"alarms_waiting\":%lld,\"why\":%s}\n",
               (long long)r->acked, (long long)r->refused, (long long)r->retried, (long long)r->waiting,
               (long long)r->dead, r->sinks_down, (long long)r->alarms_told, (long long)r->alarms_waiting,
               why.data ? why.data : "\"\"");
        text_fini(&why);
        return;
    }
    fprintf(stderr, "pushed %lld; %lld wait, %lld are dead letters", (long long)r->acked,
            (long long)r->waiting, (long long)r->dead);
    if (r->alarms_told || r->alarms_waiting)
        fprintf(stderr, "; alarms: %lld told, %lld wait", (long long)r->alarms_told,
                (long long)r->alarms_waiting);
    fprintf(stderr, "\n");
    if ((r->waiting || r->alarms_waiting) && r->why[0]) {
        struct text why = {0};
        text_plain(&why, span_of(r->why)); /* a server's words */
        fprintf(stderr, "  %s\n", why.data ? why.data : "");
        text_fini(&why);
    }
}

int cmd_push(const struct options *options)
{
    struct diag diag = {0};
    struct book *book = NULL;
    struct state *state = NULL;
    struct push_result result = {0};
    signals_catch();
    enum err err = book_load(&book, options->jobs, &diag);
    if (err == OK)
        err = check_sink(book, options->sink, &diag);
    if (err == OK)
        err = book_state_open(&state, options->jobs, options->state, STATE_WRITE, &diag);
    if (err == OK) {
        struct push_options push = {.state_directory = state_directory(state),
                                    .deadline_s = (int64_t)options->push_deadline,
                                    .interrupted = signals_interrupted,
                                    .sink = options->sink,
                                    .revive = options->dead,
                                    .tell = tell_line};
        if (!book->push.sink_count && !book->alarms.sink_count)
            fprintf(stderr, "note: book.yaml names no sinks, so nobody is told\n");
        err = push_run(state_db(state), book, &push, &result, &diag);
    }
    int code = (int)err;
    if (err == OK) {
        tell_result(&result, strcmp(options->push_format, "json") == 0);
        code = *signals_interrupted                      ? ERR_INTERRUPTED
               : result.waiting || result.alarms_waiting ? ERR_PEER
               : result.dead                             ? 1
                                                         : OK;
    } else {
        diag_print(&diag, stderr);
    }
    state_close(state);
    book_close(book);
    return code;
}
