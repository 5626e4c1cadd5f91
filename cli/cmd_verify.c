/* cli/cmd_verify.c: tieout verify: the verdict log against itself, and what was published against the log */
#include "cli/cmd.h"
#include "cli/task_run.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/model/currency.h"
#include "io/ring/sys.h"
#include "io/sink/digest.h"
#include "io/store/carry_file.h"
#include "io/store/id_book.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

struct verify {
    struct book_folder folder;
    const struct options *options;
    uint64_t segments, entries, tasks, files, faults;
    /* Prints of verdicts, added up along the log with its reversals, and of those that stand by each task's last segment. */
    uint64_t folded, standing;
    uint64_t
        said; /* the same of what stands, whatever its revisions are: equal for books that say the same */
};

static void fault(struct verify *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fault(struct verify *v, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stdout, format, arguments);
    va_end(arguments);
    fputc('\n', stdout);
    v->faults++;
}

struct added {
    uint64_t count[CLASSES][SIDES];
    money_total sum[CLASSES][SIDES][CURRENCY_COUNT_MAX];
};

/* The hash of a whole file. 0; -errno. */
static int hash_of(const char *path, char out[DIGEST_TEXT])
{
    struct stat st;
    int fd = sys_open(path, O_RDONLY, 0);
    int error = fd < 0 ? fd : sys_fstat(fd, &st);
    if (!error)
        error = digest_file(fd, (uint64_t)st.st_size, "SHA256", out);
    if (fd >= 0)
        sys_close(fd);
    return error;
}

/* Sums of prints are equal where the verdicts are the same ones, as often, in whatever order. */
static void fold(struct verify *v, const struct segment *g, const struct task *task, const struct entry *e)
{
    const uint64_t print = hash_bytes(&e->revision, sizeof e->revision, entry_print(e)),
                   signed_print = e->kind == ENTRY_REVERSAL ? 0 - print : print;
    if (entry_is_news(e, (uint32_t)g->revision))
        v->folded += signed_print;
    if (task->revision == g->revision && !e->undo &&
        !(e->kind == ENTRY_REVERSAL && span_is(e->task, task->name))) {
        v->standing += signed_print;
        v->said += e->kind == ENTRY_REVERSAL ? 0 - entry_print(e) : entry_print(e);
    }
}

static enum err read_segment(struct verify *v, const struct segment *g, const struct task *task,
                             struct added *added, struct diag *diag)
{
    char path[STATE_PATH_MAX], sha[DIGEST_TEXT];
    struct verdict_reader *reader = NULL;
    struct entry e;
    enum err err = state_path(v->folder.state, path, g->file, diag);
    if (err != OK)
        return err;
    const int error = hash_of(path, sha);
    if (error || strcmp(sha + strlen("sha256:"), g->sha) != 0) {
        fault(v, "segment %lld: %s %s", (long long)g->number, path,
              error == -ENOENT ? "is not there"
              : error          ? "cannot be read"
                               : "is not what was written: its hash differs");
        return OK;
    }
    struct diag why = {0};
    uint64_t count = 0;
    err = verdict_log_open(&reader, path, &why);
    enum step step = STEP_DONE;
    while (err == OK && (step = verdict_log_next(reader, &e, NULL, &why)) == STEP_MORE) {
        count++;
        fold(v, g, task, &e);
        if (e.kind != ENTRY_VERDICT)
            continue;
        for (int side = 0; side < SIDES; side++)
            if (e.side[side].present) {
                added->count[e.class_id][side]++;
                added->sum[e.class_id][side][e.side[side].currency] += e.side[side].amount_micro;
            }
    }
    verdict_log_close(reader);
    if (why.err != OK)
        fault(v, "segment %lld: %s", (long long)g->number, why.what);
    else if (count != g->entries)
        fault(v, "segment %lld: %llu entries, and %llu were written", (long long)g->number,
              (unsigned long long)count, (unsigned long long)g->entries);
    v->entries += count;
    return OK;
}

/* The class sums of the log against those of summary.json; exact pairs are not in the log. */
static void hold_summary(struct verify *v, const struct task *task, const struct added *added,
                         json_t *summary)
{
    json_t *classes = json_object_get(summary, "classes");
    for (int k = 0; k < CLASSES; k++)
        for (int side = 0; side < SIDES; side++) {
            json_t *one = json_object_get(json_object_get(classes, class_name((enum class_id)k)),
                                          side_name((enum side)side));
            const uint64_t told = (uint64_t)json_integer_value(json_object_get(one, "count"));
            if (k == CLASS_MATCH ? added->count[k][side] > told : added->count[k][side] != told)
                fault(v, "task %s: the log has %llu %s records of the %s side, summary.json says %llu",
                      task->name, (unsigned long long)added->count[k][side], class_name((enum class_id)k),
                      side_name((enum side)side), (unsigned long long)told);
            for (int c = 0; k != CLASS_MATCH && c < currency_count(); c++) {
                const char *text = json_string_value(
                    json_object_get(json_object_get(one, "sums"), currency_code((uint8_t)c)));
                char money[MONEY_TEXT_MAX];
                money_print(money, added->sum[k][side][c], currency_exponent((uint8_t)c));
                if (text ? strcmp(text, money) != 0 : added->sum[k][side][c] != 0)
                    fault(v,
                          "task %s: %s of the %s side add up to %s %s in the log, and to %s in summary.json",
                          task->name, class_name((enum class_id)k), side_name((enum side)side), money,
                          currency_code((uint8_t)c), text ? text : "nothing");
            }
        }
}

static json_t *load(struct verify *v, const struct task *task, const char *directory, const char *name)
{
    char path[STATE_PATH_MAX + 64];
    json_error_t why;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    json_t *root = json_load_file(path, 0, &why);
    if (!root)
        fault(v, "task %s: %s is missing or altered (%s); tieout task rerun makes it again", task->name, path,
              why.text);
    return root;
}

static enum err hold_outputs(struct verify *v, const struct task *task, const struct segment *g,
                             const struct added *added, struct diag *diag)
{
    char directory[STATE_PATH_MAX], path[STATE_PATH_MAX + 64], sha[DIGEST_TEXT] = "";
    const struct book_job *job = book_folder_find(&v->folder, task->channel_code, task->biz_type);
    if (!job) {
        fault(v, "task %s: its job is not in the folder any more, so its outputs cannot be found",
              task->name);
        return OK;
    }
    enum err err = task_out_directory(job->job, task->day, directory, sizeof directory, diag);
    if (err != OK)
        return err;
    v->tasks++;
    json_t *certificate = load(v, task, directory, "certificate.json");
    if (!certificate)
        return OK;
    snprintf(path, sizeof path, "%s/certificate.json", directory);
    hash_of(path, sha);
    if (strcmp(sha, task->certificate) != 0)
        fault(v, "task %s: %s is not the certificate of revision %lld", task->name, path,
              (long long)task->revision);
    const char *chain = json_string_value(json_object_get(json_object_get(certificate, "verdicts"), "chain"));
    if (!chain || strcmp(chain, g->chain) != 0)
        fault(v, "task %s: %s names another place in the chain of verdicts", task->name, path);
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(certificate, "files"), name, value)
    {
        snprintf(path, sizeof path, "%s/%s", directory, name);
        const int error = hash_of(path, sha);
        v->files++;
        if (error || !json_string_value(value) || strcmp(sha, json_string_value(value)) != 0)
            fault(v, "task %s: %s is %s; tieout task rerun makes it again", task->name, path,
                  error ? "missing" : "not what was published: its hash differs");
    }
    json_decref(certificate);
    json_t *summary = load(v, task, directory, "summary.json");
    if (summary)
        hold_summary(v, task, added, summary);
    json_decref(summary);
    return OK;
}

static enum err hold_roll(void *context, const struct roll *roll, struct diag *diag)
{
    (void)diag;
    if (!roll_adds_up(roll))
        fault(context, "suspense of the %s side, %s, does not roll forward", side_name((enum side)roll->side),
              currency_code(roll->currency));
    return OK;
}

static enum err hold_carried(void *context, const struct carry_file *file, struct diag *diag)
{
    struct verify *v = context;
    struct diag why = {0};
    (void)diag;
    if (file->records && carry_check(v->folder.state, file, &why) != OK)
        fault(v, "%s", why.what);
    return OK;
}

static enum err one_segment(struct verify *v, const struct segment *g, struct added *added, struct diag *diag)
{
    struct arena arena;
    struct task task;
    memset(added, 0, sizeof *added);
    arena_init(&arena);
    const int found =
        task_find(state_db(v->folder.state), &(struct task_filter){.id = g->task}, &arena, &task, diag);
    enum err err = found < 0 ? diag->err : OK;
    if (!found)
        fault(v, "segment %lld: its task is not in state.db", (long long)g->number);
    if (err == OK && found)
        err = read_segment(v, g, &task, added, diag);
    if (err == OK && found && task.revision == g->revision &&
        (!v->options->date || v->options->date == task.day)) {
        err = hold_outputs(v, &task, g, added, diag);
        if (err == OK)
            err = roll_each(state_db(v->folder.state), task.id, task.revision, hold_roll, v, diag);
        for (int side = 0; err == OK && side < SIDES; side++)
            for (int kind = 0; err == OK && kind < CARRY_KINDS; kind++) {
                const struct carry_ask ask = {.kind = (enum carry_kind)kind, .side = side, .task = task.id};
                err = carry_each(state_db(v->folder.state), &ask, hold_carried, v, diag);
            }
    }
    arena_fini(&arena);
    return err;
}

int cmd_verify(const struct options *o)
{
    struct diag diag = {0};
    struct verify v = {.options = o};
    struct segment g, head = {0};
    char chain[VERDICT_SHA_TEXT] = "", want[VERDICT_SHA_TEXT];
    struct added *added = mem_take_zero(1, sizeof *added);
    enum err err = added ? book_folder_open(&v.folder, o, BOOK_STATE_READ, 1, &diag)
                         : mem_fail(&diag, sizeof *added, "sums");
    if (err == OK && !o->date)
        err = state_check(v.folder.state, &diag);
    if (err == OK)
        err = segment_head(state_db(v.folder.state), &head, &diag);
    for (int64_t n = 1; err == OK && n <= head.number; n++) {
        const int found = segment_at(state_db(v.folder.state), n, &g, &diag);
        if (found < 0) {
            err = diag.err;
        } else if (!found) {
            fault(&v, "segment %lld: is not in state.db", (long long)n);
            chain[0] = 0;
        } else {
            verdict_chain(want, chain, g.sha);
            if (strcmp(want, g.chain) != 0)
                fault(&v, "segment %lld: the chain is broken before it", (long long)n);
            snprintf(chain, sizeof chain, "%s", g.chain);
            v.segments++;
            err = one_segment(&v, &g, added, &diag);
        }
    }
    if (err == OK && !v.faults && v.folded != v.standing)
        fault(&v,
              "the log, added up from its beginning, does not come to the verdicts that stand: one was taken "
              "back twice, or stands twice");
    uint64_t id_files = 0;
    struct diag why = {0};
    if (err == OK && !o->date && id_book_check(v.folder.state, &id_files, &why) != OK)
        fault(&v, "%s", why.what);
    if (err == OK && o->format && strcmp(o->format, "json") == 0)
        printf("{\"segments\":%llu,\"entries\":%llu,\"tasks\":%llu,\"files\":%llu,\"faults\":%llu,"
               "\"standing\":\"%016llx\"}\n",
               (unsigned long long)v.segments, (unsigned long long)v.entries, (unsigned long long)v.tasks,
               (unsigned long long)v.files, (unsigned long long)v.faults, (unsigned long long)v.said);
    else if (err == OK)
        printf("%llu segments with %llu entries, the outputs of %llu tasks in %llu files: %s\n",
               (unsigned long long)v.segments, (unsigned long long)v.entries, (unsigned long long)v.tasks,
               (unsigned long long)v.files, v.faults ? "they do not agree" : "all agree");
    if (err != OK)
        diag_print(&diag, stderr);
    book_folder_close(&v.folder);
    mem_give(added);
    return err != OK ? (int)err : v.faults ? ERR_STATE : 0;
}
