/* cli/cmd_trace.c: tieout trace ORDER_NO: one order's whole life */
#include "cli/cmd.h"
#include "cli/moment.h"
#include "cli/registry.h"
#include "cli/task_run.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/source/worker_io.h"
#include "io/store/delivery.h"
#include "io/store/error_order.h"
#include "io/store/handling.h"
#include "io/store/ordinals.h"
#include <string.h>

/* A verdict that was told, and how often it stands: 1, and 0 once it was taken back. */
struct told {
    uint64_t print;
    uint32_t revision;
    int stands;
};

/* Where the rows of a verdict are. */
struct stands_at {
    uint64_t print, places;
    uint32_t revision, ordinal;
};

struct trace {
    struct book_folder folder;
    struct span wanted;
    int json, found;
    struct text text;
    const struct task *task; /* whose segment, or whose inputs, are read */
    struct source *source;
    struct worker_io *io;
    struct told *told;
    uint32_t told_count, told_room;
    struct stands_at *stands_at;
    uint32_t stands_count, stands_room;
    struct ordinals ordinals; /* of the segment that is read */
};

/* Notes where the verdict's rows are. 1: elsewhere than they were when it was told last; 0; -1: no memory. */
static int note_places(struct trace *t, const struct entry *e)
{
    const uint64_t print = entry_print(e);
    const uint32_t ordinal =
        ordinals_next(&t->ordinals, e, e->side[LOCAL].carried || e->side[CHANNEL].carried);
    uint64_t places = 0;
    for (int side = 0; side < SIDES; side++)
        if (e->side[side].present)
            places = hash_bytes(e->side[side].place.data, e->side[side].place.size, places + 1);
    if (ordinal == UINT32_MAX)
        return -1;
    for (uint32_t i = 0; i < t->stands_count; i++) {
        struct stands_at *s = &t->stands_at[i];
        if (s->print != print || s->revision != e->revision || s->ordinal != ordinal)
            continue;
        const int moved = s->places != places;
        s->places = places;
        return moved;
    }
    if (mem_list_more(&t->stands_at, t->stands_count, &t->stands_room, 16, "a trace", NULL) != OK)
        return -1;
    t->stands_at[t->stands_count++] = (struct stands_at){print, places, e->revision, ordinal};
    return 0;
}

static struct told *find_told(struct trace *t, const struct entry *e, struct diag *diag)
{
    const uint64_t print = entry_print(e);
    for (uint32_t i = 0; i < t->told_count; i++)
        if (t->told[i].print == print && t->told[i].revision == e->revision)
            return &t->told[i];
    if (mem_list_more(&t->told, t->told_count, &t->told_room, 16, "a trace", diag) != OK)
        return NULL;
    t->told[t->told_count] = (struct told){print, e->revision, 0};
    return &t->told[t->told_count++];
}

static int is_wanted(const struct trace *t, struct span text)
{
    return text.size && span_equal(text, t->wanted);
}

static void begin_line(struct trace *t, const char *what)
{
    if (t->json)
        text_format(&t->text, "%s{\"what\":\"%s\"", t->found ? ",\n" : "[\n", what);
    t->found++;
}

static void put_side(struct trace *t, int side, struct span amount, struct span currency, struct span status,
                     struct span place)
{
    if (t->json) {
        text_format(&t->text, ",\"%s\":{\"amount\":", side_name((enum side)side));
        text_json(&t->text, amount);
        text_words(&t->text, ",\"currency\":");
        text_json(&t->text, currency);
        text_words(&t->text, ",\"status\":");
        text_json(&t->text, status);
        text_words(&t->text, ",\"place\":");
        text_json(&t->text, place);
        text_words(&t->text, "}");
    } else {
        text_format(&t->text, "    %-8s ", side_name((enum side)side));
        text_plain(&t->text, amount);
        text_words(&t->text, " ");
        text_plain(&t->text, currency);
        text_words(&t->text, " ");
        text_plain(&t->text, status);
        text_words(&t->text, "  ");
        text_plain(&t->text, place);
        text_words(&t->text, "\n");
    }
}

static enum err tell_entry(struct trace *t, const struct entry *e, struct diag *diag)
{
    static const char *const words[] = {
        [ENTRY_VERDICT] = "verdict", [ENTRY_REVERSAL] = "reversal", [ENTRY_AGAIN] = "again"};
    struct told *told = find_told(t, e, diag);
    if (!told)
        return diag->err;
    told->stands += e->kind == ENTRY_REVERSAL ? -1 : 1;
    const char *does = e->kind == ENTRY_REVERSAL ? (told->stands < 0 ? "takes back as well" : "takes back")
                       : told->stands > 0        ? "lets stand again"
                                                 : "no longer takes back";
    begin_line(t, words[e->kind]);
    if (t->json) {
        text_words(&t->text, ",\"by\":");
        text_json(&t->text, span_of(t->task->name));
        text_words(&t->text, ",\"task\":");
        text_json(&t->text, e->task);
        text_format(&t->text, ",\"revision\":%u,\"class\":\"%s\",\"reasons\":", e->revision,
                    class_name((enum class_id)e->class_id));
        text_json(&t->text, e->reasons);
        text_words(&t->text, ",\"rules\":");
        text_json(&t->text, span_of(t->task->rule_version));
    } else if (e->kind != ENTRY_VERDICT) {
        text_format(&t->text, "%s  %s: %s%s%.*s%s, which %.*s gave (revision %u)\n", t->task->name, does,
                    class_name((enum class_id)e->class_id), e->reasons.size ? " (" : "", (int)e->reasons.size,
                    e->reasons.data, e->reasons.size ? ")" : "", (int)e->task.size, e->task.data,
                    e->revision);
    } else {
        text_format(&t->text, "%s  %s%s%.*s%s  (revision %u, rules %.23s)\n", t->task->name,
                    class_name((enum class_id)e->class_id), e->reasons.size ? " (" : "", (int)e->reasons.size,
                    e->reasons.data, e->reasons.size ? ")" : "", e->revision, t->task->rule_version);
    }
    for (int side = 0; side < SIDES; side++)
        if (e->side[side].present)
            put_side(t, side, e->side[side].text[FIELD_AMOUNT], e->side[side].text[FIELD_CURRENCY],
                     e->side[side].text[FIELD_STATUS], e->side[side].place);
    if (t->json)
        text_words(&t->text, "}");
    return OK;
}

/* A verdict that a corrected file did not change, and its rows are elsewhere in it. */
static void tell_moved(struct trace *t, const struct entry *e, const struct segment *g)
{
    begin_line(t, "moved");
    if (t->json) {
        text_words(&t->text, ",\"by\":");
        text_json(&t->text, span_of(t->task->name));
        text_format(&t->text, ",\"revision\":%u,\"files_of_revision\":%lld,\"class\":\"%s\"", e->revision,
                    (long long)g->revision, class_name((enum class_id)e->class_id));
    } else {
        text_format(&t->text,
                    "%s  %s (revision %u) stands as it was; its rows are elsewhere in the corrected files of "
                    "revision %lld:\n",
                    t->task->name, class_name((enum class_id)e->class_id), e->revision,
                    (long long)g->revision);
    }
    for (int side = 0; side < SIDES; side++)
        if (e->side[side].present)
            put_side(t, side, e->side[side].text[FIELD_AMOUNT], e->side[side].text[FIELD_CURRENCY],
                     e->side[side].text[FIELD_STATUS], e->side[side].place);
    if (t->json)
        text_words(&t->text, "}");
}

static enum err read_segments(struct trace *t, struct diag *diag)
{
    struct segment head, g;
    struct arena arena;
    enum err err = segment_head(state_db(t->folder.state), &head, diag);
    arena_init(&arena);
    for (int64_t n = 1; err == OK && n <= head.number; n++) {
        struct task task;
        struct verdict_reader *reader = NULL;
        struct entry e;
        char path[STATE_PATH_MAX];
        int taken_back = 0, given = 0;
        arena_reset(&arena);
        ordinals_reset(&t->ordinals);
        if (segment_at(state_db(t->folder.state), n, &g, diag) <= 0 ||
            task_find(state_db(t->folder.state), &(struct task_filter){.id = g.task}, &arena, &task, diag) <=
                0) {
            err = diag->err != OK ? diag->err
                                  : diag_set(diag, ERR_STATE, "state.damaged", "tieout verify",
                                             "segment %lld of the verdict log is not known", (long long)n);
            break;
        }
        t->task = &task;
        err = state_path(t->folder.state, path, g.file, diag);
        if (err == OK)
            err = verdict_log_open(&reader, path, diag);
        enum step step = STEP_DONE;
        while (err == OK && (step = verdict_log_next(reader, &e, NULL, diag)) == STEP_MORE) {
            int wanted = 0;
            for (int side = 0; side < SIDES; side++)
                wanted |= e.side[side].present && (is_wanted(t, e.side[side].text[FIELD_BIZ_ORDER_NO]) ||
                                                   is_wanted(t, e.side[side].text[FIELD_CHANNEL_ORDER_NO]) ||
                                                   is_wanted(t, e.side[side].occurrence));
            /* What a restatement did not change stands in its segment again. */
            if (wanted && entry_is_news(&e, (uint32_t)g.revision)) {
                err = tell_entry(t, &e, diag);
                taken_back |= e.kind == ENTRY_REVERSAL && span_is(e.task, task.name);
            }
            given |= wanted && e.kind != ENTRY_REVERSAL;
            const int moved = wanted && e.kind == ENTRY_VERDICT ? note_places(t, &e) : 0;
            if (moved < 0)
                err = mem_fail(diag, 0, "a trace");
            else if (moved && !entry_is_news(&e, (uint32_t)g.revision))
                tell_moved(t, &e, &g);
        }
        if (step == STEP_FAILED)
            err = diag->err;
        verdict_log_close(reader);
        if (taken_back && !given) {
            begin_line(t, "settled");
            if (t->json)
                text_words(&t->text, "}");
            else
                text_format(&t->text,
                            "%s  is an exact pair now, or no longer in the inputs (--date= looks there)\n",
                            task.name);
        }
    }
    arena_fini(&arena);
    return err;
}

/* ---- rows of one day's inputs ---- */

static enum err tell_row(void *context, const struct full *f, struct diag *diag)
{
    struct trace *t = context;
    char place[4400];
    (void)diag;
    if (!is_wanted(t, f->text[FIELD_BIZ_ORDER_NO]) && !is_wanted(t, f->text[FIELD_CHANNEL_ORDER_NO]) &&
        !is_wanted(t, f->occurrence))
        return OK;
    const size_t n = t->source->ops->place_text(t->source, t->io, f, place, sizeof place);
    begin_line(t, "row");
    if (!t->json)
        text_format(&t->text, "%s  was read\n", t->task->name);
    put_side(t, f->side, f->text[FIELD_AMOUNT], f->text[FIELD_CURRENCY], f->text[FIELD_STATUS],
             (struct span){place, n});
    if (t->json) {
        text_words(&t->text, ",\"raw\":");
        text_json(&t->text, f->raw);
        text_words(&t->text, "}");
    } else {
        text_words(&t->text, "             ");
        text_plain(&t->text, f->raw);
        text_words(&t->text, "\n");
    }
    return OK;
}

static enum err read_inputs(void *context, const struct task *task, struct diag *diag)
{
    struct trace *t = context;
    const struct book_job *job = book_folder_find(&t->folder, task->channel_code, task->biz_type);
    struct norm_shared shared = {0};
    if (!job || !task->revision)
        return OK;
    t->task = task;
    enum err err = norm_shared_open(&shared, job->job, 1, task->day, diag);
    const struct worker_io_config io = {.backend = RING_POSIX, .chunk = 256 * 1024, .depth = 1};
    if (err == OK)
        err = worker_io_open(&t->io, &io, NULL, diag);
    for (int side = 0; err == OK && side < SIDES; side++) {
        const struct source_config config = {.shared = &shared,
                                             .side = (enum side)side,
                                             .date = task->day,
                                             .chunk = 256 * 1024,
                                             .workers = 1,
                                             .quiet = 1,
                                             .raws = 1};
        err = registry_source(&t->source, &config, diag);
        if (err == OK && t->source->ops->begin)
            err = t->source->ops->begin(t->source, "/tmp", diag);
        if (err == OK)
            err = t->source->ops->scan(t->source, t->io, tell_row, t, diag);
        if (t->source)
            t->source->ops->close(t->source);
        t->source = NULL;
    }
    worker_io_close(t->io);
    t->io = NULL;
    norm_shared_close(&shared);
    return err;
}

/* ---- errors ---- */

struct member {
    const char *name, *value;
};

/* The rest of a JSON line that tells texts only. */
static void end_texts(struct text *text, const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text_format(text, ",\"%s\":", members[i].name);
        text_json(text, span_of(members[i].value));
    }
    text_words(text, "}");
}

static enum err tell_action(void *context, const struct action *a, struct diag *diag)
{
    struct trace *t = context;
    (void)diag;
    begin_line(t, "action");
    if (t->json) {
        end_texts(&t->text,
                  (struct member[]){{"action", a->what}, {"actor", a->actor}, {"reason", a->reason}}, 3);
    } else {
        text_format(&t->text, "    %s by ", a->what);
        text_plain(&t->text, span_of(a->actor));
        text_words(&t->text, ": ");
        text_plain(&t->text, span_of(a->reason));
        text_words(&t->text, "\n");
    }
    return OK;
}

/* What a sink has of it. */
static enum err tell_delivery(void *context, const struct delivery_line *line, struct diag *diag)
{
    static const char *const states[] = {
        [DELIVERY_WAITS] = "waits", [DELIVERY_ACKED] = "acked", [DELIVERY_DEAD] = "a dead letter"};
    struct trace *t = context;
    char when[MOMENT_TEXT];
    (void)diag;
    moment_text(when, line->state == DELIVERY_ACKED ? line->acked_at : 0);
    begin_line(t, "push");
    if (t->json) {
        text_words(&t->text, ",\"sink\":");
        text_json(&t->text, span_of(line->sink));
        text_format(&t->text,
                    ",\"state\":\"%s\",\"tries\":%lld,\"acked_at\":\"%s\",\"answer\":", states[line->state],
                    (long long)line->tries, when);
        text_json(&t->text, span_of(line->answer));
        text_words(&t->text, "}");
    } else {
        text_format(&t->text, "    pushed to ");
        text_plain(&t->text, span_of(line->sink));
        text_format(&t->text, ": %s%s%s, %lld tr%s%s", states[line->state], when[0] ? " " : "", when,
                    (long long)line->tries, line->tries == 1 ? "y" : "ies", line->answer[0] ? ": " : "");
        text_plain(&t->text, span_of(line->answer));
        text_words(&t->text, "\n");
    }
    return OK;
}

static enum err tell_order(void *context, const struct error_order *order, struct diag *diag)
{
    struct trace *t = context;
    begin_line(t, "error");
    if (t->json) {
        end_texts(
            &t->text,
            (struct member[]){{"id", order->id}, {"task", order->task}, {"node_status", order->node_status}},
            3);
    } else {
        text_format(&t->text, "%s  error %.12s is %s%s", order->task, order->id, order->node_status,
                    order->assignee[0] ? ", " : "");
        text_plain(&t->text, span_of(order->assignee));
        text_words(&t->text, "\n");
    }
    enum err err = delivery_of_order(state_db(t->folder.state), order->id, tell_delivery, t, diag);
    return err == OK ? handling_each(state_db(t->folder.state), order->id, tell_action, t, diag) : err;
}

int cmd_trace(const struct options *o)
{
    struct diag diag = {0};
    struct trace t = {.wanted = span_of(o->arguments[0]),
                      .json = o->format && strcmp(o->format, "json") == 0};
    enum err err = book_folder_open(&t.folder, o, BOOK_STATE_READ, o->date != 0, &diag);
    if (err == OK && o->date)
        err = task_each(state_db(t.folder.state), &(struct task_filter){.day = o->date}, read_inputs, &t,
                        &diag);
    if (err == OK)
        err = read_segments(&t, &diag);
    if (err == OK)
        err = error_order_each(state_db(t.folder.state), &(struct error_filter){.key = o->arguments[0]},
                               tell_order, &t, &diag);
    if (err == OK && t.json)
        text_words(&t.text, t.found ? "\n]\n" : "[]\n");
    if (err == OK && t.text.failed)
        err = mem_fail(&diag, t.text.size, "a trace");
    if (err == OK && t.text.size)
        fwrite(t.text.data, 1, t.text.size, stdout);
    if (err == OK && !t.found) {
        struct text asked = {0};
        text_plain(&asked, t.wanted);
        fprintf(stderr,
                "nothing is known of %s: it was never open or different; --date= looks in a day's inputs\n",
                asked.size ? asked.data : "");
        text_fini(&asked);
    }
    if (err != OK)
        diag_print(&diag, stderr);
    text_fini(&t.text);
    mem_give(t.told);
    mem_give(t.stands_at);
    ordinals_fini(&t.ordinals);
    book_folder_close(&t.folder);
    return err != OK ? (int)err : t.found ? 0 : 1;
}
