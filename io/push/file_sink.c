/* io/push/file_sink.c: errors as lines of a file, JSON or CSV: the batch is written behind the last whole line, and acked when
 * fsync came back. A line that a killed push left half is cut off first: it was never acked. */
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/push/json_read.h"
#include "io/push/sinks.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

/* Members of a message that a CSV file shows. */
static const char *const COLUMNS[] = {"id",
                                      "kind",
                                      "revision",
                                      "task",
                                      "bill_date",
                                      "class",
                                      "scenario",
                                      "error_type",
                                      "severity",
                                      "node_status",
                                      "channel_code",
                                      "biz_type",
                                      "biz_order_no",
                                      "channel_order_no",
                                      "currency",
                                      "local_amount",
                                      "channel_amount",
                                      "delta",
                                      "reasons",
                                      "local_place",
                                      "channel_place",
                                      "order_id",
                                      "order_revision"};
enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0], TAIL = 65536 };

struct file_sink {
    struct push_sink sink;
    const struct sink_spec *spec;
    char path[4096];
    struct text text;
};

/* One row; a message that is no JSON is a bug of ours, so its row says what it holds. */
static void put_row(struct text *text, struct span body)
{
    struct json_read *json = json_read_open(body);
    for (int i = 0; i < COLUMN_COUNT; i++) {
        struct span value = {"", 0};
        if (json)
            json_read_member(json, COLUMNS[i], &value);
        if (i)
            text_put(text, ",", 1);
        text_csv(text, value);
    }
    text_put(text, "\r\n", 2);
    json_read_close(json);
}

static void put_messages(struct file_sink *f, const struct push_message *messages, unsigned count,
                         int with_head)
{
    text_reset(&f->text);
    if (f->spec->is_csv && with_head) {
        for (int i = 0; i < COLUMN_COUNT; i++)
            text_format(&f->text, "%s%s", i ? "," : "", COLUMNS[i]);
        text_put(&f->text, "\r\n", 2);
    }
    for (unsigned i = 0; i < count; i++) {
        if (f->spec->is_csv) {
            put_row(&f->text, messages[i].body);
        } else {
            text_put(&f->text, messages[i].body.data, messages[i].body.size);
            text_put(&f->text, "\n", 1);
        }
    }
}

/* How much of the file is whole lines. Negative: errno. */
static int64_t whole_size(int fd, uint64_t size)
{
    char tail[TAIL];
    uint64_t end = size;
    while (end > 0) {
        uint64_t from = end > TAIL ? end - TAIL : 0;
        ssize_t n = sys_pread_full(fd, tail, (size_t)(end - from), from);
        if (n < 0)
            return n;
        for (ssize_t i = n; i > 0; i--)
            if (tail[i - 1] == '\n')
                return (int64_t)(from + (uint64_t)i);
        end = from;
    }
    return 0;
}

static int sync_folder(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    int fd = sys_open(slash ? folder : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    int error = sys_fsync(fd);
    sys_close(fd);
    return error;
}

/* 0 or -errno. `*written`: the bytes may be there although it failed. */
static int append(struct file_sink *f, const struct push_message *messages, unsigned count, int *written)
{
    struct stat st;
    *written = 0;
    int fd = sys_open(f->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fd;
    int error = flock(fd, LOCK_EX | LOCK_NB) == 0 ? sys_fstat(fd, &st) : -errno;
    if (!error && !S_ISREG(st.st_mode))
        error = -EINVAL;
    int64_t size = error ? 0 : whole_size(fd, (uint64_t)st.st_size);
    if (size < 0)
        error = (int)size;
    if (!error && size < st.st_size)
        error = sys_truncate(fd, (uint64_t)size);
    if (!error) {
        put_messages(f, messages, count, size == 0);
        error = f->text.failed ? -ENOMEM : sys_pwrite_full(fd, f->text.data, f->text.size, (uint64_t)size);
        if (error) /* half of a batch is none of it */
            sys_truncate(fd, (uint64_t)size);
    }
    if (!error) {
        *written = 1;
        error = sys_fsync(fd);
    }
    if (!error && size == 0)
        error = sync_folder(f->path);
    sys_close(fd);
    return error;
}

static enum err file_send(struct push_sink *sink, struct push_message *messages, unsigned count,
                          struct diag *diag)
{
    struct file_sink *f = (struct file_sink *)sink;
    int written = 0;
    sink->open = count;
    int error = append(f, messages, count, &written);
    if (error == -ENOMEM)
        return mem_fail(diag, f->text.size, "a batch of errors");
    for (unsigned i = 0; i < count; i++) {
        if (!error)
            push_answer(sink, &messages[i], PUSH_ACKED, "%s", "");
        else if (
            written) /* what fsync refused may or may not be on the disk; it is written again, never synced again */
            push_answer(sink, &messages[i], PUSH_UNKNOWN, "%s: fsync: %s", f->path, strerror(-error));
        else
            push_answer(sink, &messages[i], PUSH_RETRY, "%s: %s", f->path, strerror(-error));
    }
    return OK;
}

static enum err file_poll(struct push_sink *sink, int wait_ms, struct diag *diag)
{
    (void)sink, (void)wait_ms, (void)diag; /* send answers at once */
    return OK;
}

static void file_close(struct push_sink *sink)
{
    struct file_sink *f = (struct file_sink *)sink;
    text_fini(&f->text);
    mem_give(f);
}

enum err file_sink_open(struct push_sink **out, const struct sink_spec *spec, const char *directory,
                        struct diag *diag)
{
    static const struct push_sink_ops OPS = {file_send, file_poll, file_close};
    struct file_sink *f = mem_take_zero(1, sizeof *f);
    if (!f)
        return mem_fail(diag, sizeof *f, "a sink");
    f->sink = (struct push_sink){&OPS, 0, 1000};
    f->spec = spec;
    enum err err = sink_path(f->path, directory, spec->address, diag);
    if (err != OK) {
        file_close(&f->sink);
        return err;
    }
    *out = &f->sink;
    return OK;
}
