/* tests/unit/io/source/file_set_test.c: files that change while they are read: closed by their server, rewritten, moved */
#include "core/base/mem.h"
#include "core/model/day.h"
#include "io/source/file_set.h"
#include "tests/support/check_test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char base[200], log_path[300];
static struct job *job;

static void write_text(const char *path, const char *mode, const char *text)
{
    FILE *f = fopen(path, mode);
    EXPECT(f && fputs(text, f) >= 0);
    EXPECT(f && fclose(f) == 0);
}

static void begin(void)
{
    const char *folder = getenv("TMPDIR");
    snprintf(base, sizeof base, "%s/tieout-files-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(base))
        exit(4);
    char path[300];
    snprintf(path, sizeof path, "%s/job.yaml", base);
    snprintf(log_path, sizeof log_path, "%s/bin.000001", base);
    write_text(path, "w",
               "version: 1\njob: j\nchannel_code: X\ntimezone: UTC\ncurrency: CNY\n"
               "local:\n  binlog: {files: \"bin.*\", table: pay.payment_order}\n"
               "  fields: {biz_order_no: order_no, amount: amount}\n"
               "channel: {files: b.csv, format: csv, fields: {biz_order_no: n, amount: a}}\nmatch: {keys: "
               "[[biz_order_no]]}\n");
    struct diag diag = {0};
    if (job_load(&job, path, &diag) != OK)
        diag_print(&diag, stderr);
}

static void end(void)
{
    char command[300];
    job_close(job);
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    EXPECT(system(command) == 0);
}

/* What the server does as soon as it was asked: it appends its last event, and is done with the file. */
static int asked_then_closed(int fd)
{
    (void)fd;
    write_text(log_path, "a", "the last event");
    return 1;
}

static int is_closed(int fd)
{
    (void)fd;
    return 0;
}

TEST(closed_while_opened)
{
    begin();
    struct file_set set;
    struct diag diag = {0};
    write_text(log_path, "w", "events, ");
    EXPECT(file_set_open(&set, job, LOCAL, DAY_NONE, asked_then_closed, &diag) == OK);
    EXPECT(set.count == 1 && set.files[0].size == strlen("events, the last event"));
    EXPECT(file_set_check(&set, &diag) == OK);
    /* It was open when it was asked: what comes now is a later run's. */
    write_text(log_path, "a", "more");
    EXPECT(set.files[0].size == strlen("events, the last event"));
    EXPECT(file_set_check(&set, &diag) == OK);
    EXPECT(truncate(log_path, 3) == 0);
    EXPECT(file_set_check(&set, &diag) == ERR_INPUT);
    file_set_close(&set);
    end();
}

TEST(closed_before)
{
    begin();
    struct file_set set;
    struct diag diag = {0};
    write_text(log_path, "w", "events");
    EXPECT(file_set_open(&set, job, LOCAL, DAY_NONE, is_closed, &diag) == OK);
    EXPECT(file_set_check(&set, &diag) == OK);
    write_text(log_path, "a", "more");
    EXPECT(file_set_check(&set, &diag) == ERR_INPUT);
    file_set_close(&set);
    end();
}

/* Other bytes, as many, and the mtime that was: as long as it takes until the clock that stamps files went on. */
static void rewrite(const char *text)
{
    struct stat before, now;
    EXPECT(stat(log_path, &before) == 0);
    do {
        write_text(log_path, "r+", text);
        EXPECT(utimensat(AT_FDCWD, log_path, (struct timespec[2]){before.st_atim, before.st_mtim}, 0) == 0);
        EXPECT(stat(log_path, &now) == 0);
    } while (now.st_ctim.tv_sec == before.st_ctim.tv_sec && now.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
}

TEST(written_and_its_mtime_set_back)
{
    begin();
    struct file_set set;
    struct diag diag = {0};
    write_text(log_path, "w", "events");
    EXPECT(file_set_open(&set, job, LOCAL, DAY_NONE, is_closed, &diag) == OK);
    rewrite("others");
    EXPECT(file_set_check(&set, &diag) == ERR_INPUT);
    EXPECT(strstr(diag.what, "its ctime is not") != NULL);
    EXPECT(file_set_look_again(&set, &diag) == ERR_INPUT);
    file_set_close(&set);
    end();
}

/* A name more or less is no other content; whether it still has its own matters as long as it is read. */
TEST(linked_moved_and_taken_away)
{
    begin();
    struct file_set set;
    struct diag diag = {0};
    char other[400];
    write_text(log_path, "w", "events");
    EXPECT(file_set_open(&set, job, LOCAL, DAY_NONE, is_closed, &diag) == OK);
    snprintf(other, sizeof other, "%s/other", base);
    EXPECT(link(log_path, other) == 0);
    EXPECT(file_set_check(&set, &diag) == OK);
    EXPECT(file_set_look_again(&set, &diag) == OK);
    EXPECT(unlink(other) == 0);
    EXPECT(rename(log_path, other) == 0);
    EXPECT(file_set_check(&set, &diag) == ERR_INPUT);
    EXPECT(file_set_look_again(&set, &diag) == OK);
    EXPECT(unlink(other) == 0);
    EXPECT(file_set_look_again(&set, &diag) == OK);
    file_set_close(&set);
    end();
}
