/* tests/unit/core/config/job_test.c: what a job file may say, and how what it may not say is told */
#include "core/config/job.h"
#include "core/model/currency.h"
#include "tests/support/check_test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The example of SPEC.md section 7, with a csv file in place of the profile. Line numbers in the tests are
 * those of this text. */
static const char good_job[] =
    "version: 1\n"                                                                            /* 1 */
    "job: alipay\n"                                                                           /* 2 */
    "channel_code: ALIPAY\n"                                                                  /* 3 */
    "timezone: Asia/Shanghai\n"                                                               /* 4 */
    "cut: \"00:00\"\n"                                                                        /* 5 */
    "currency: CNY\n"                                                                         /* 6 */
    "local:\n"                                                                                /* 7 */
    "  binlog: {files: \"binlog/mysql-bin.*\", table: shop.payment_order}\n"                  /* 8 */
    "  fields:\n"                                                                             /* 9 */
    "    biz_order_no: order_no\n"                                                            /* 10 */
    "    channel_order_no: trade_no\n"                                                        /* 11 */
    "    amount: {column: pay_amount, unit: major}\n"                                         /* 12 */
    "    status: {column: state, map: {2: SUCCESS, 3: CLOSED}}\n"                             /* 13 */
    "    trade_time: paid_at\n"                                                               /* 14 */
    "channel:\n"                                                                              /* 15 */
    "  files: \"bills/{date}/*.csv\"\n"                                                       /* 16 */
    "  format: csv\n"                                                                         /* 17 */
    "  fields: {biz_order_no: a, channel_order_no: b, amount: c, status: d, trade_time: e}\n" /* 18 */
    "match:\n"                                                                                /* 19 */
    "  keys: [[channel_code, biz_order_no], [channel_code, channel_order_no]]\n"              /* 20 */
    "  compare: [amount, status]\n"                                                           /* 21 */
    "  tolerance: {amount: 0}\n"                                                              /* 22 */
    "  window: {before: 1d, after: 1d}\n"                                                     /* 23 */
    "suspense: {threshold: {local: 3, channel: 1}}\n"                                         /* 24 */
    "output: {dir: out, match: false}\n";                                                     /* 25 */

static char directory[200], job_path[220];

static void remove_all(void)
{
    unlink(job_path);
    rmdir(directory);
}

static void write_job(const char *text, size_t size)
{
    if (!directory[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(directory, sizeof directory, "%s/tieout-job-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(directory))
            exit(4);
        snprintf(job_path, sizeof job_path, "%s/job.yaml", directory);
        atexit(remove_all);
    }
    FILE *file = fopen(job_path, "w");
    if (!file || fwrite(text, 1, size, file) != size || fclose(file) != 0)
        exit(4);
}

/* good_job with one text replaced by another; the text must stand in it. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(good_job, from);
    if (!at) {
        fprintf(stderr, "not in the good job: %s\n", from);
        exit(70);
    }
    size_t size = sizeof good_job + strlen(to);
    char *text = malloc(size);
    snprintf(text, size, "%.*s%s%s", (int)(at - good_job), good_job, to, at + strlen(from));
    return text;
}

static struct job *load(const char *text)
{
    struct diag diag = {0};
    struct job *job;
    write_job(text, strlen(text));
    if (job_load(&job, job_path, &diag) != OK)
        diag_print(&diag, stderr);
    return job;
}

static struct job *load_changed(const char *from, const char *to)
{
    char *text = changed(from, to);
    struct job *job = load(text);
    free(text);
    return job;
}

/* 1 when these bytes are refused with exit code 2, at "LINE:COLUMN", with `what` and `hint` somewhere in the
 * words. */
static int refuses_bytes(const char *text, size_t size, const char *place, const char *what, const char *hint)
{
    struct diag diag = {0};
    struct job *job;
    char head[300];
    write_job(text, size);
    enum err err = job_load(&job, job_path, &diag);
    snprintf(head, sizeof head, "%s:%s: ", job_path, place);
    if (!place[0])
        snprintf(head, sizeof head, "%s: ", job_path);
    int is_so = err == ERR_USAGE && !job && strncmp(diag.what, head, strlen(head)) == 0 &&
                strstr(diag.what, what) && strstr(diag.hint, hint);
    if (!is_so) {
        fprintf(stderr, "wanted %s %s (%s), got:\n", place, what, hint);
        diag_print(&diag, stderr);
    }
    job_close(job);
    return is_so;
}

static int refuses_text(const char *text, const char *place, const char *what, const char *hint)
{
    return refuses_bytes(text, strlen(text), place, what, hint);
}

static int refuses(const char *from, const char *to, const char *place, const char *what, const char *hint)
{
    char *text = changed(from, to);
    int is_so = refuses_text(text, place, what, hint);
    free(text);
    return is_so;
}

static int is_text(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static int is_map_entry(const struct map_entry *entry, const char *from, const char *to)
{
    return is_text(entry->from, from) && is_text(entry->to, to);
}

#define BINLOG_LINE "  binlog: {files: \"binlog/mysql-bin.*\", table: shop.payment_order}"
#define REPLICA(settings)                                                                                    \
    "  replica: {host: db2, user: u, server_id: 7, table: shop.payment_order, " settings "}"

TEST(a_replica_is_read_and_checked)
{
    struct job *job = load_changed(BINLOG_LINE, REPLICA("start: now"));
    EXPECT(job);
    if (!job)
        return;
    const struct replica_spec *replica = &job->sources[LOCAL].replica;
    EXPECT(job->sources[LOCAL].kind == SOURCE_REPLICA && is_text(job->sources[LOCAL].table, "payment_order"));
    EXPECT(is_text(replica->host, "db2") && replica->port == 3306 && replica->server_id == 7 &&
           !replica->password);
    EXPECT(replica->tls == REPLICA_TLS_VERIFY && replica->start == START_NOW &&
           replica->segment_bytes == 1ull << 30);
    EXPECT(is_text(replica->dir, "capture/alipay"));
    job_close(job);
    static const struct {
        const char *text;
        enum replica_start start;
    } starts[] = {{"snapshot", START_SNAPSHOT},
                  {"oldest", START_OLDEST},
                  {"\"mysql-bin.000012:4\"", START_POSITION},
                  {"0-1-100", START_GTID},
                  {"\"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5\"", START_GTID}};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        char line[300];
        snprintf(line, sizeof line,
                 "  replica: {host: localhost, user: u, server_id: 7, table: a.b, password: env:P, port: 1, "
                 "tls: required, "
                 "dir: x, segment: 4KiB, start: %s}",
                 starts[i].text);
        job = load_changed(BINLOG_LINE, line);
        EXPECT(job && job->sources[LOCAL].replica.start == starts[i].start);
        EXPECT(job && job->sources[LOCAL].replica.tls == REPLICA_TLS_REQUIRED &&
               job->sources[LOCAL].replica.segment_bytes == 4096);
        job_close(job);
    }
    EXPECT(refuses(BINLOG_LINE, REPLICA(""), "8:12", "replica: start is missing", "start: now"));
    EXPECT(refuses(BINLOG_LINE, REPLICA("start: tomorrow"), "8:81", "expected snapshot, now, oldest", ""));
    EXPECT(refuses(BINLOG_LINE, REPLICA("start: now, password: secret"), "8:96", "never the password itself",
                   "env:"));
    EXPECT(refuses(BINLOG_LINE, REPLICA("start: now, tls: maybe"), "8:91", "off, required or verify", ""));
    EXPECT(refuses(BINLOG_LINE, REPLICA("start: now, segment: 1"), "8:95", "a size such as 1GiB", ""));
    EXPECT(refuses(BINLOG_LINE, REPLICA("start: now, hots: a"), "8:86", "there is no setting \"hots\"",
                   "\"host\""));
    EXPECT(refuses("  files: \"bills/{date}/*.csv\"\n", REPLICA("start: now") "\n", "16:12",
                   "only the local side", ""));
}

TEST(the_example_of_the_contract_loads)
{
    struct job *job = load(good_job);
    EXPECT(job);
    if (!job)
        return;
    EXPECT(is_text(job->name, "alipay"));
    EXPECT(is_text(job->channel_code, "ALIPAY"));
    EXPECT(is_text(job->timezone, "Asia/Shanghai"));
    EXPECT(is_text(job->directory, directory));
    EXPECT(job->cut_minutes == 0);
    EXPECT(job->currency == currency_find("CNY", 3));
    EXPECT(!job->is_diff && !job->write_match);
    const struct source_spec *local = &job->sources[LOCAL], *channel = &job->sources[CHANNEL];
    EXPECT(local->kind == SOURCE_BINLOG && local->pattern_count == 1);
    EXPECT(is_text(local->patterns[0], "binlog/mysql-bin.*"));
    EXPECT(is_text(local->database, "shop") && is_text(local->table, "payment_order"));
    EXPECT(is_text(local->fields[FIELD_BIZ_ORDER_NO].column, "order_no"));
    EXPECT(is_text(local->fields[FIELD_AMOUNT].column, "pay_amount"));
    EXPECT(local->fields[FIELD_AMOUNT].unit == UNIT_MAJOR);
    EXPECT(local->fields[FIELD_STATUS].map_count == 2);
    EXPECT(is_map_entry(&local->fields[FIELD_STATUS].map[0], "2", "SUCCESS"));
    EXPECT(is_map_entry(&local->fields[FIELD_STATUS].map[1], "3", "CLOSED"));
    EXPECT(!local->fields[FIELD_FEE].column);
    EXPECT(is_text(local->fields[FIELD_CHANNEL_CODE].constant, "ALIPAY"));
    EXPECT(channel->kind == SOURCE_FILES && is_text(channel->patterns[0], "bills/{date}/*.csv"));
    EXPECT(channel->layout.delimiter == ',' && channel->layout.quote == '"' && channel->layout.has_header);
    EXPECT(is_text(channel->timezone, "Asia/Shanghai"));
    EXPECT(channel->occurrence_count == 0);
    EXPECT(channel->rejects.max_rows == 0 && channel->rejects.max_ppm == 0);
    EXPECT(job->match.key_count == 2 && job->match.keys[1].part_count == 2);
    EXPECT(job->match.keys[1].parts[0] == FIELD_CHANNEL_CODE &&
           job->match.keys[1].parts[1] == FIELD_CHANNEL_ORDER_NO);
    EXPECT(job->match.compare_count == 1 && job->match.compare[0] == FIELD_STATUS);
    EXPECT(job->match.window_before == 1 && job->match.window_after == 1);
    EXPECT(job->suspense_threshold[LOCAL] == 3 && job->suspense_threshold[CHANNEL] == 1);
    EXPECT(is_text(job->out_dir, "out"));
    job_close(job);
}

TEST(what_is_not_said_has_its_default)
{
    struct job *job = load("version: 1\njob: j\nchannel_code: X\ncurrency: JPY\n"
                           "local: {files: l.csv, fields: {biz_order_no: a, amount: b}}\n"
                           "channel: {files: c.csv, fields: {biz_order_no: a, amount: b}}\n"
                           "match: {keys: [[biz_order_no]]}\n");
    EXPECT(job);
    if (!job)
        return;
    EXPECT(is_text(job->timezone, "Asia/Shanghai") && job->cut_minutes == 0);
    EXPECT(job->match.window_before == 1 && job->match.window_after == 1);
    EXPECT(job->match.compare_count == 0 && job->match.amount_tolerance.absolute_micro == 0);
    EXPECT(job->suspense_threshold[LOCAL] == 0 && job->suspense_threshold[CHANNEL] == 0);
    EXPECT(is_text(job->out_dir, "out") && !job->biz_type);
    EXPECT(job->monetary_count == 2 && job->non_monetary_count == 3);
    EXPECT(job_status_is_monetary(job, span_of("SUCCESS")) && job_status_is_monetary(job, span_of("")));
    EXPECT(!job_status_is_monetary(job, span_of("FAILED")));
    job_close(job);
}

TEST(everything_that_a_job_can_hold_is_held)
{
    struct job *job =
        load("version: 1\njob: full-job_2\nbiz_type: PAY\ntimezone: UTC\ncut: 23:30\ncurrency: usd\n"
             "status: {monetary: [SUCCESS, REFUNDED, DISPUTED], non_monetary: [CLOSED]}\n"
             "local:\n"
             "  files: [in/a.csv, 'in/b*.csv']\n"
             "  csv: {delimiter: tab, quote: none, header: false, columns: [c1, c2, c3, c4, c5, kind], "
             "skip_lines: 4, comment: '#'}\n"
             "  timezone: Europe/Berlin\n"
             "  occurrence_id: [c1, c5]\n"
             "  rejects: {max: 0.5%}\n"
             "  fields:\n"
             "    channel_code: {column: c5, strip: \"\\t`\"}\n"
             "    biz_order_no: c1\n"
             "    amount: {debit: c2, credit: c3, unit: minor, strip: ','}\n"
             "    status: {column: c4, map: {no: CLOSED, null: SUCCESS, 0.50: REFUNDED, 2026-01-01: SUCCESS, "
             "~: DISPUTED, other: CLOSED}}\n"
             "    attr: {zeta: c4, Alpha: {column: c5}}\n"
             "channel:\n"
             "  files: in2/{date}.csv\n"
             "  csv: {delimiter: \"|\", quote: \"'\"}\n"
             "  rejects: {max: 50}\n"
             "  fields:\n"
             "    channel_code: {constant: WX}\n"
             "    biz_order_no: no\n"
             "    amount: amt\n"
             "    fee: fee\n"
             "    direction: {column: type, map: {pay: IN, refund: OUT}}\n"
             "    currency: {column: ccy, map: {RMB: CNY}}\n"
             "    status: st\n"
             "    attr: {Alpha: shop}\n"
             "match:\n"
             "  keys: [[channel_code, biz_order_no, Alpha]]\n"
             "  compare: [Alpha, direction, amount, currency, status]\n"
             "  fees: ignore\n"
             "  tolerance: {amount: {absolute: 0.01, ppm: 100}}\n"
             "  window: none\n"
             "output: {dir: ../results, match: true}\n");
    EXPECT(job);
    if (!job)
        return;
    const struct source_spec *local = &job->sources[LOCAL], *channel = &job->sources[CHANNEL];
    EXPECT(job->cut_minutes == 23 * 60 + 30 && job->currency == currency_find("USD", 3));
    EXPECT(local->pattern_count == 2 && is_text(local->patterns[1], "in/b*.csv"));
    EXPECT(local->layout.delimiter == '\t' && local->layout.quote == 0 && !local->layout.has_header);
    EXPECT(local->layout.column_count == 6 && is_text(local->layout.columns[5], "kind"));
    EXPECT(local->layout.skip_lines == 4 && is_text(local->layout.comment, "#"));
    EXPECT(is_text(local->timezone, "Europe/Berlin") && is_text(channel->timezone, "UTC"));
    EXPECT(local->occurrence_count == 2 && is_text(local->occurrence[1], "c5"));
    EXPECT(local->rejects.max_ppm == 5000 && channel->rejects.max_rows == 50);
    EXPECT(is_text(local->fields[FIELD_CHANNEL_CODE].strip, "\t`"));
    const struct field_rule *amount = &local->fields[FIELD_AMOUNT], *status = &local->fields[FIELD_STATUS];
    EXPECT(is_text(amount->debit, "c2") && is_text(amount->credit, "c3") && !amount->column &&
           amount->unit == UNIT_MINOR);
    EXPECT(status->map_count == 5 && is_text(status->map_other, "CLOSED"));
    EXPECT(is_map_entry(&status->map[0], "no", "CLOSED"));
    EXPECT(is_map_entry(&status->map[1], "null", "SUCCESS"));
    EXPECT(is_map_entry(&status->map[2], "0.50", "REFUNDED"));
    EXPECT(is_map_entry(&status->map[3], "2026-01-01", "SUCCESS"));
    EXPECT(is_map_entry(&status->map[4], "~", "DISPUTED"));
    EXPECT(is_text(local->fields[FIELD_BIZ_TYPE].constant, "PAY") &&
           is_text(channel->fields[FIELD_BIZ_TYPE].constant, "PAY"));
    EXPECT(is_text(channel->fields[FIELD_CHANNEL_CODE].constant, "WX"));
    EXPECT(job->attr_count == 2 && is_text(job->attrs[0], "Alpha") && is_text(job->attrs[1], "zeta"));
    EXPECT(is_text(local->fields[FIELD_ATTR0].column, "c5") &&
           is_text(channel->fields[FIELD_ATTR0].column, "shop"));
    EXPECT(is_text(job_field_name(job, FIELD_ATTR0 + 1), "zeta") &&
           is_text(job_field_name(job, FIELD_FEE), "fee"));
    EXPECT(channel->layout.delimiter == '|' && channel->layout.quote == '\'');
    EXPECT(channel->fields[FIELD_DIRECTION].map_count == 2);
    EXPECT(job->match.keys[0].part_count == 3 && job->match.keys[0].parts[2] == FIELD_ATTR0);
    EXPECT(job->match.compare_count == 2 && job->match.compare[0] == FIELD_STATUS &&
           job->match.compare[1] == FIELD_ATTR0);
    EXPECT(job->match.amount_tolerance.absolute_micro == 10000 && job->match.amount_tolerance.ppm == 100);
    EXPECT(job->match.window_before == -1 && job->match.window_after == -1);
    EXPECT(job->write_match && is_text(job->out_dir, "../results"));
    job_close(job);
}

TEST(a_status_column_without_a_map_has_the_jobs_words)
{
    struct job *job = load(good_job);
    const struct field_rule *status = &job->sources[CHANNEL].fields[FIELD_STATUS];
    EXPECT(status->map_count == 5 && !status->map_other);
    EXPECT(is_map_entry(&status->map[0], "SUCCESS", "SUCCESS"));
    EXPECT(is_map_entry(&status->map[4], "CLOSED", "CLOSED"));
    job_close(job);
}

TEST(status_words_of_one_list_leave_the_defaults_of_the_other)
{
    struct job *job = load_changed("suspense:", "status: {monetary: [SUCCESS, PROCESSING]}\nsuspense:");
    EXPECT(job && job->monetary_count == 2 && job->non_monetary_count == 2);
    EXPECT(job && job_status_is_monetary(job, span_of("PROCESSING")) &&
           !job_status_is_monetary(job, span_of("FAILED")));
    job_close(job);
}

TEST(crlf_a_byte_order_mark_and_comments_change_nothing)
{
    char text[2 * sizeof good_job + 100] = "\xef\xbb\xbf# a job\r\n\t\r\n\t# indented comment\r\n";
    size_t size = strlen(text);
    for (const char *p = good_job; *p; p++) {
        if (*p == '\n')
            text[size++] = '\r';
        text[size++] = *p;
    }
    text[size] = 0;
    struct job *job = load(text);
    EXPECT(job && is_text(job->channel_code, "ALIPAY") && is_text(job->out_dir, "out"));
    EXPECT(job && is_text(job->sources[CHANNEL].fields[FIELD_TRADE_TIME].column, "e"));
    job_close(job);
    char *end = strstr(text, "output");
    snprintf(end, 40, "outputs: {dir: out}\r\n");
    EXPECT(refuses_text(text, "28:1", "\"outputs\"", "did you mean \"output\"?"));
}

TEST(files_that_are_no_job_are_refused)
{
    struct diag diag = {0};
    struct job *job;
    EXPECT(job_load(&job, "/nonexistent/job.yaml", &diag) == ERR_USAGE && strstr(diag.what, "No such file"));
    diag = (struct diag){0};
    EXPECT(job_load(&job, "/", &diag) == ERR_USAGE && strstr(diag.what, "not a regular file"));
    EXPECT(refuses_text("", "1:1", "empty", "version: 1"));
    EXPECT(refuses_text("\n\n", "1:1", "empty", "version: 1"));
    EXPECT(refuses_text("# only a comment\n", "1:1", "empty", "version: 1"));
    EXPECT(refuses_text("\xef\xbb\xbf", "1:1", "empty", "version: 1"));
    EXPECT(refuses_text("---\n...\n", "1:1", "found nothing", ""));
    EXPECT(refuses_text("hello\n", "1:1", "is a single value; expected settings", ""));
    EXPECT(refuses_text("[1, 2]\n", "1:1", "found a list", ""));
    EXPECT(refuses_bytes("\xff\xfev\0e\0", 6, "1:1", "UTF-16", "UTF-8"));
    EXPECT(refuses_bytes("version: 1\njob: a\0b\n", 20, "2:7", "control character 0x00", "UTF-8"));
    EXPECT(refuses_text("version: 1\njob: \"a\\0b\"\n", "2:6", "NUL byte", ""));
    /* The YAML library stops at such a byte as if the file ended there. */
    EXPECT(refuses_text("version: 1\njob: \xff\xfe\n", "2:6", "byte 0xff is not UTF-8", ""));
    EXPECT(refuses_text("version: 1\njob: \xc0\xaf\n", "2:6", "byte 0xc0 is not UTF-8", ""));
    EXPECT(refuses_text("version: 1\n# \xe4\xba\n", "2:3", "byte 0xe4 is not UTF-8", ""));
    EXPECT(refuses_text("version: 1\n# \xed\xa0\x80\n", "2:3", "byte 0xed is not UTF-8", ""));
    EXPECT(refuses_text("version: 1\njob: \xe4\xba\xa4\x1b\n", "2:7", "control character 0x1b", ""));
}

TEST(yaml_errors_have_their_place)
{
    EXPECT(refuses_text("version: 1\n\tjob: a\n", "2:1", "tab", "spaces"));
    EXPECT(refuses_text("version: 1\nlocal:\n  \tfiles: a\n", "3:3", "tab", "spaces"));
    EXPECT(refuses_text("version: 1\njob: [a\n", "3:1", "not valid YAML", "indentation"));
    EXPECT(refuses_text("version: 1\njob: \"a\n", "2:7", "not valid YAML", ""));
    EXPECT(refuses_text("version: 1\n job: a\n", "1:10", "not valid YAML", ""));
    EXPECT(refuses_text("version: 1\njob: a\nversion: 1\n", "3:1",
                        "\"version\" is given twice; first on line 1", "one of the two"));
    EXPECT(refuses("map: {2: SUCCESS, 3: CLOSED}", "map: {2: SUCCESS, 2: CLOSED}", "13:47",
                   "\"2\" is given twice", ""));
    EXPECT(refuses("map: {2: SUCCESS, 3: CLOSED}", "map: {2: SUCCESS, '2': CLOSED}", "13:47",
                   "\"2\" is given twice", ""));
    EXPECT(refuses("local: 3", "channel: 1, local: 3", "24:46", "\"channel\" is given twice", ""));
    EXPECT(refuses_text("a: &x 1\nb: *x\n", "1:4", "anchors", "write the value out"));
    EXPECT(refuses_text("a: 1\nb: *x\n", "2:4", "alias", "write the value out"));
    EXPECT(refuses_text("version: !!int 1\n", "1:10", "tags", ""));
    EXPECT(refuses_text("version: 1\n---\njob: a\n", "2:1", "second document", "one job, one file"));
    EXPECT(refuses_text("? [a, b]\n: 1\n", "1:3", "cannot be the name", ""));
    EXPECT(refuses_text("? {a: b}\n: 1\n", "1:3", "cannot be the name", ""));
}

TEST(a_file_without_end_is_cut_short)
{
    size_t size = (1 << 20) + 1;
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = 0;
    memcpy(text, "job: ", 5);
    EXPECT(refuses_text(text, "", "larger than 1048576 bytes", ""));
    memset(text, '[', size - 1);
    text[size - 1] = 0;
    EXPECT(refuses_text(text, "1:25", "nested deeper than 24", ""));
    size_t used = 0;
    for (int i = 0; i < 30; i++)
        used += (size_t)sprintf(text + used, "%*sa:\n", i, "");
    EXPECT(refuses_text(text, "25:25", "nested deeper than 24", ""));
    used = (size_t)sprintf(text, "version: [");
    for (int i = 0; i < 4097; i++)
        used += (size_t)sprintf(text + used, "x, ");
    sprintf(text + used, "x]\n");
    EXPECT(refuses_text(text, "1:12299", "more than 4096", ""));
    used = 0;
    for (int i = 0; i < 5000; i++)
        used += (size_t)sprintf(text + used, "k%d: x\n", i);
    EXPECT(refuses_text(text, "4097:8", "more than 4096", ""));
    free(text);
}

TEST(unknown_settings_are_told_with_the_nearest_name)
{
    EXPECT(refuses("channel_code: A", "chanel_code: A", "3:1", "the job: there is no setting \"chanel_code\"",
                   "did you mean \"channel_code\"?"));
    EXPECT(refuses("timezone: A", "time-zone: A", "4:1", "\"time-zone\"", "did you mean \"timezone\"?"));
    EXPECT(refuses("local:\n", "Local:\n", "7:1", "\"Local\"", "did you mean \"local\"?"));
    EXPECT(refuses("job: a", "wibble: a", "2:1", "\"wibble\"", "known: version, job, channel_code"));
    EXPECT(refuses("table: shop", "tabel: shop", "8:41", "local.binlog: there is no setting \"tabel\"",
                   "did you mean \"table\"?"));
    EXPECT(refuses("amount: {column", "amuont: {column", "12:5",
                   "local.fields: there is no setting \"amuont\"", "did you mean \"amount\"?"));
    EXPECT(refuses("{column: pay_amount, unit: major}", "{colum: pay_amount}", "12:14",
                   "local.fields.amount: there is no setting \"colum\"", "did you mean \"column\"?"));
    EXPECT(refuses("format: csv", "formt: csv", "17:3", "channel: there is no setting \"formt\"",
                   "did you mean \"format\"?"));
    EXPECT(refuses("format: csv", "csv: {delimeter: ;}", "17:9",
                   "channel.csv: there is no setting \"delimeter\"", "did you mean \"delimiter\"?"));
    EXPECT(refuses("format: csv", "rejects: {maximum: 1}", "17:13",
                   "channel.rejects: there is no setting \"maximum\"", "known: max"));
    EXPECT(refuses("  compare:", "  compar:", "21:3", "match: there is no setting \"compar\"",
                   "did you mean \"compare\"?"));
    EXPECT(refuses("{amount: 0}", "{amounts: 0}", "22:15", "match.tolerance", "did you mean \"amount\"?"));
    EXPECT(refuses("before: 1d", "befor: 1d", "23:12", "match.window", "did you mean \"before\"?"));
    EXPECT(refuses("threshold", "treshold", "24:12", "suspense", "did you mean \"threshold\"?"));
    EXPECT(refuses("local: 3", "locale: 3", "24:24", "suspense.threshold", "did you mean \"local\"?"));
    EXPECT(refuses("{dir: out", "{dirs: out", "25:10", "output", "did you mean \"dir\"?"));
    EXPECT(refuses("suspense:", "status: {monetry: [A]}\nsuspense:", "24:10", "status",
                   "did you mean \"monetary\"?"));
    EXPECT(refuses("[[channel_code, biz_order_no]", "[[channel_code, biz_orderno]", "20:25",
                   "match.keys: there is no field \"biz_orderno\"", "did you mean \"biz_order_no\"?"));
    EXPECT(refuses("[amount, status]", "[amount, stat]", "21:21", "match.compare: there is no field \"stat\"",
                   "known: channel_code"));
}

TEST(what_later_versions_do_is_refused_by_name)
{
    EXPECT(refuses("format: csv", "format: alipai", "17:11", "there is no profile \"alipai\"",
                   "did you mean \"alipay\"? known: csv"));
    EXPECT(refuses("  format: csv", "  kafka: {topic: t}", "17:3",
                   "channel: \"kafka\" is something this version does not do", ""));
    EXPECT(refuses("trade_time: paid_at", "trade_time: {column: paid_at, timezone: UTC}", "14:35",
                   "\"timezone\"", ""));
}

TEST(the_rules_that_a_job_switches_on_are_read)
{
    struct job *job =
        load_changed("trade_time: e}\nmatch:\n",
                     "fee: f, trade_time: e}\nmatch:\n"
                     "  fees: {schedule: {rate_ppm: 6000, round: half_even, min: 0.01, max: 5}}\n"
                     "  splits: true\n  reversals: true\n"
                     "  partials: {parent: [channel_code, channel_order_no], whole: channel}\n"
                     "  subset_sum: {by: [channel_order_no], parts: 3, work: 50, pool: 9}\n"
                     "  fx: {rates: \"rates/{date}.csv\", round: down}\n");
    EXPECT(job != NULL);
    if (!job)
        return;
    const struct match_rules *m = &job->match;
    EXPECT(m->fees == FEES_SCHEDULE && m->schedule.rate_ppm == 6000 &&
           m->schedule.rounding == ROUND_HALF_EVEN && m->schedule.min_micro == 10000 &&
           m->schedule.max_micro == 5000000 && !m->schedule.refunds_kept);
    EXPECT(m->splits && m->reversals);
    EXPECT(m->partials.given && m->partials.key_index == 1 && m->partials.whole == CHANNEL &&
           !m->partials.over_refund_ignored);
    EXPECT(m->subset.given && m->subset.by.part_count == 1 && m->subset.parts == 3 && m->subset.work == 50 &&
           m->subset.pool == 9);
    EXPECT(strcmp(m->fx.path, "rates/{date}.csv") == 0 && m->fx.rounding == ROUND_DOWN && !m->fx.rates);
    job_close(job);
}

TEST(what_is_set_aside_is_read_and_checked)
{
    struct job *job = load_changed("suspense:", "test_rules: {test: {biz_order_no: [\"TEST*\", x]}}\n"
                                                "sampling: {by: [biz_order_no], ppm: 10000}\nsuspense:");
    EXPECT(job && job->aside.test_count == 1 && job->aside.test[0].field == FIELD_BIZ_ORDER_NO &&
           job->aside.test[0].word_count == 2 && job->aside.sampled && job->aside.sample_ppm == 10000 &&
           job->aside.sample_by.part_count == 1);
    job_close(job);
    EXPECT(refuses("suspense:", "sampling: {by: [status], ppm: 5}\nsuspense:", "24:17",
                   "\"status\" says nothing lasting", ""));
    EXPECT(
        refuses("suspense:", "sampling: {by: [biz_order_no]}\nsuspense:", "24:11", "ppm is missing", "1 %"));
    EXPECT(refuses("suspense:", "test_rules: {merchants: [a]}\nsuspense:", "24:25",
                   "neither side has a merchant_no", ""));
    EXPECT(refuses("suspense:", "test_rules: {test: {order: x}}\nsuspense:", "24:21",
                   "there is no field \"order\"", ""));
}

TEST(rules_that_cannot_be_meant_are_refused)
{
    EXPECT(refuses("{amount: 0}", "{amount: 0, budget: -5}", "22:34", "match.tolerance.budget: \"-5\"", ""));
    EXPECT(refuses("  window:", "  fees: net\n  window:", "23:9",
                   "match.fees: fee has no column on the channel side", "add `fee: COLUMN`"));
    EXPECT(
        refuses("  window:", "  fees: schedule\n  window:", "23:9", "its rate is missing", "rate_ppm: 6000"));
    EXPECT(refuses("  window:", "  fees: {schedule: {rate_ppm: 6000}}\n  window:", "23:20",
                   "round is missing", "half_even"));
    EXPECT(refuses("  window:", "  fees: {schedule: {rate_ppm: 6000, round: nearest}}\n  window:", "23:44",
                   "\"nearest\" is none of its words", "half_up, half_even, down, up"));
    EXPECT(refuses("  window:",
                   "  fees: {schedule: {rate_ppm: 6000, round: up, level: day, min: 1}}\n  window:", "23:60",
                   "min says something of rows", "level: row"));
    EXPECT(refuses("  window:", "  splits: 1\n  window:", "23:11", "expected true or false", ""));
    EXPECT(refuses("  window:", "  partials: {parent: [channel_order_no]}\n  window:", "23:22",
                   "parent is none of the job's keys", "match.keys"));
    EXPECT(refuses("  window:", "  partials: {whole: bank, parent: [channel_code, biz_order_no]}\n  window:",
                   "23:21", "\"bank\" is none of its words", "local, channel"));
    EXPECT(refuses("  window:", "  group: {by: [biz_order_no]}\n  window:", "20:3",
                   "keys says nothing of a group job", "take one of the two out"));
    EXPECT(refuses("  window:", "  subset_sum: {pool: 5000}\n  window:", "23:22",
                   "a whole number from 1 to 1000", ""));
    EXPECT(refuses("  window:", "  fx: {rates: r.csv}\n  window:", "23:7", "round is missing", ""));
    EXPECT(
        refuses("suspense:", "reversals: true\nsuspense:", "24:1", "there is no setting \"reversals\"", ""));
}

TEST(mistyped_settings_are_told_with_what_was_expected)
{
    EXPECT(refuses("version: 1", "version: 2", "1:10", "version: \"2\": this program reads version 1", ""));
    EXPECT(refuses("version: 1", "version: one", "1:10", "version: \"one\"", ""));
    EXPECT(refuses("version: 1\n", "", "1:1", "\"version\" is missing", "version: 1"));
    EXPECT(refuses("job: alipay\n", "", "1:1", "\"job\" is missing", ""));
    EXPECT(refuses("job: alipay", "job:", "2:1", "found nothing", ""));
    EXPECT(refuses("job: alipay", "job: a/b", "2:6", "job: \"a/b\"", ""));
    EXPECT(refuses("job: alipay", "job: ..", "2:6", "job: \"..\"", ""));
    EXPECT(refuses("channel_code: ALIPAY\n", "", "1:1", "channel_code is missing", ""));
    EXPECT(refuses("channel_code: ALIPAY", "channel_code: [ALIPAY]", "3:15", "found a list", ""));
    EXPECT(refuses("Asia/Shanghai", "Asia/Shanghia", "4:11", "no time zone \"Asia/Shanghia\"", "IANA"));
    EXPECT(refuses("Asia/Shanghai", "+08:00", "4:11", "no time zone", ""));
    EXPECT(refuses("\"00:00\"", "24:00", "5:6", "cut: \"24:00\": expected a time of day", ""));
    EXPECT(refuses("\"00:00\"", "0:00", "5:6", "cut: \"0:00\"", ""));
    EXPECT(refuses("\"00:00\"", "12:60", "5:6", "cut: \"12:60\"", ""));
    EXPECT(refuses("\"00:00\"", "{}", "5:6", "found a map", ""));
    EXPECT(refuses("currency: CNY", "currency: RMB", "6:11", "\"RMB\" is not an ISO 4217", ""));
    EXPECT(
        refuses("currency: CNY\n", "", "1:1", "currency is missing, and the local side has no column", ""));
    EXPECT(refuses("unit: major", "unit: cents", "12:40",
                   "local.fields.amount.unit: \"cents\": expected major, minor or hundredths", ""));
    EXPECT(refuses("status: {column: state,", "status: {column: state, unit: minor,", "13:29",
                   "only amount and fee have a unit", ""));
    EXPECT(refuses("2: SUCCESS", "2: SUCESS", "13:38", "\"SUCESS\" is not a status word",
                   "did you mean \"SUCCESS\"?"));
    EXPECT(refuses("2: SUCCESS", "2: [SUCCESS]", "13:38",
                   "local.fields.status.map.2: expected a word, found a list", ""));
    EXPECT(refuses("2: SUCCESS", "other: X", "13:42", "\"X\" is not a status word", ""));
    EXPECT(refuses("map: {2: SUCCESS, 3: CLOSED}", "map: {}", "13:34", "expected a map", ""));
    EXPECT(refuses("trade_time: paid_at", "trade_time: {column: paid_at, map: {a: b}}", "14:35",
                   "have no map", ""));
    EXPECT(refuses("trade_time: paid_at", "direction: {column: t, map: {a: IN, b: out}}", "14:44",
                   "\"out\": expected IN or OUT", "did you mean \"OUT\"?"));
    EXPECT(refuses("trade_time: paid_at", "currency: {constant: YUAN}", "14:26", "not an ISO 4217", ""));
    EXPECT(refuses("trade_time: paid_at", "trade_time: {constant: now}", "14:18", "a constant makes no sense",
                   ""));
    EXPECT(refuses("trade_time: paid_at", "trade_time: [paid_at]", "14:17", "expected a column name", ""));
    EXPECT(refuses("trade_time: paid_at", "trade_time:", "14:5", "found nothing", ""));
    EXPECT(refuses("trade_time: paid_at", "trade_time: {}", "14:17",
                   "exactly one of: column; debit and credit; constant", ""));
    EXPECT(refuses("trade_time: paid_at", "trade_time: {debit: a, credit: b}", "14:17",
                   "only amount and fee have debit", ""));
    EXPECT(refuses("{column: pay_amount, unit: major}", "{debit: a}", "12:13", "credit is missing", ""));
    EXPECT(refuses("{column: pay_amount, unit: major}", "{debit: a, credit: a}", "12:32", "the same column",
                   ""));
    EXPECT(refuses("{column: pay_amount, unit: major}", "{column: a, debit: a, credit: b}", "12:13",
                   "exactly one of", ""));
    EXPECT(refuses("{column: pay_amount, unit: major}", "{debit: a, credit: b}\n    direction: d", "13:16",
                   "already give the direction", ""));
    EXPECT(refuses("unit: major", "strip: '.,'", "12:41", "stripping '.' would change amounts", ""));
    EXPECT(refuses("unit: major", "strip: '-'", "12:41", "stripping '-'", ""));
    EXPECT(refuses("unit: major", "strip: '.', decimal: '.'", "12:41", "stripping '.'", ""));
    EXPECT(refuses("unit: major", "decimal: ';'", "12:43", "expected", ""));
    EXPECT(refuses("unit: major", "strip: ',', decimal: ','", "12:55", "also stripped", ""));
    struct job *comma = load_changed("unit: major", "strip: '.\xef\xbf\xa5', decimal: ','");
    EXPECT(comma && comma->sources[LOCAL].fields[FIELD_AMOUNT].decimal == ',');
    job_close(comma);
    EXPECT(refuses("    amount: {column: pay_amount, unit: major}\n", "", "10:5", "amount is missing", ""));
    EXPECT(refuses("table: shop.payment_order", "table: payment_order", "8:48", "expected database.table",
                   "shop.payment_order"));
    EXPECT(refuses("table: shop.payment_order", "table: a.b.c", "8:48", "expected database.table", ""));
    EXPECT(refuses(", table: shop.payment_order", "", "8:11", "table is missing", ""));
    EXPECT(refuses("{before: 1d,", "{before: 25h,", "23:20",
                   "match.window.before: \"25h\": expected a number of days", ""));
    EXPECT(refuses("{before: 1d,", "{before: -1d,", "23:20", "\"-1d\"", ""));
    EXPECT(refuses("{before: 1d,", "{before: 99999d,", "23:20", "at most 3650d", ""));
    EXPECT(refuses("{before: 1d, after: 1d}", "1d", "23:11", "or none", ""));
    EXPECT(refuses("{amount: 0}", "{amount: -0.01}", "22:23", "\"-0.01\": expected an amount", ""));
    EXPECT(refuses("{amount: 0}", "{amount: 1e3}", "22:23", "\"1e3\"", ""));
    EXPECT(refuses("{amount: 0}", "{amount: 0.0000001}", "22:23", "\"0.0000001\"", ""));
    EXPECT(refuses("{amount: 0}", "{amount: {ppm: 1.5}}", "22:29", "whole number from 0 to 1000000", ""));
    EXPECT(refuses("{amount: 0}", "{fee: 0.01}", "22:20", "fees are not compared", ""));
    EXPECT(
        refuses("local: 3", "local: three", "24:31", "\"three\": expected a whole number from 0 to 365", ""));
    EXPECT(refuses("local: 3", "local: 366", "24:31", "\"366\"", ""));
    EXPECT(refuses("match: false", "match: no", "25:27", "output.match: \"no\": expected true or false", ""));
    EXPECT(refuses("suspense:", "status: {monetary: [A], non_monetary: [B, A]}\nsuspense:", "24:43",
                   "\"A\" is monetary and non_monetary", ""));
    EXPECT(refuses("suspense:", "status: {monetary: [A, A]}\nsuspense:", "24:24", "in the list twice", ""));
    EXPECT(refuses("suspense:", "status: {monetary: A}\nsuspense:", "24:20", "a list of status words", ""));
}

TEST(sources_are_checked)
{
    EXPECT(refuses("  format: csv", "  binlog: {files: a, table: a.b}", "15:1",
                   "exactly one of binlog, replica, query and files", ""));
    EXPECT(refuses("  files: \"bills/{date}/*.csv\"\n", "", "15:1",
                   "exactly one of binlog, replica, query and files", ""));
    EXPECT(refuses("  fields:\n    biz", "  format: csv\n  fields:\n    biz", "9:3", "a binlog has no format",
                   ""));
    EXPECT(refuses("bills/{date}/*.csv", "bills/{day}/*.csv", "16:10", "no braces but those of {date}",
                   "{date}"));
    EXPECT(refuses("bills/{date}/*.csv", "bills/**/*.csv", "16:10", "** is not understood", ""));
    EXPECT(refuses("bills/{date}/*.csv", "bills/", "16:10", "is a folder", ""));
    EXPECT(
        refuses("\"bills/{date}/*.csv\"", "[a.csv, a.csv]", "16:18", "\"a.csv\" is in the list twice", ""));
    EXPECT(refuses("\"bills/{date}/*.csv\"", "[]", "16:10", "expected a path", ""));
    EXPECT(refuses("\"bills/{date}/*.csv\"", "{a: b}", "16:10", "found a map", ""));
    EXPECT(refuses("format: csv", "csv: {delimiter: ';;'}", "17:20", "\";;\": expected one ASCII character",
                   ""));
    EXPECT(refuses("format: csv", "csv: {delimiter: '\"'}", "17:8", "the same character", ""));
    EXPECT(refuses("format: csv", "csv: {delimiter: x}", "17:20", "\"x\"", ""));
    EXPECT(refuses("format: csv", "csv: {header: yes}", "17:17", "\"yes\": expected true or false", ""));
    EXPECT(refuses("format: csv", "csv: {header: false}", "17:17", "columns is needed", ""));
    EXPECT(refuses("format: csv", "csv: {columns: [a]}", "17:9", "the file's header names the columns",
                   "header: false"));
    EXPECT(refuses("format: csv", "csv: {header: false, columns: [a, b, a]}", "17:40",
                   "\"a\" is in the list twice", ""));
    EXPECT(refuses("format: csv", "csv: {header: false, columns: [a, b, cc, d, e]}", "18:58",
                   "no column \"c\" in columns", "known: a, b, cc"));
    EXPECT(refuses("format: csv", "csv: {header: false, columns: [a, b, c, d, e]}\n  occurrence_id: [a, q]",
                   "18:22", "no column \"q\"", ""));
    EXPECT(refuses("format: csv", "csv: {skip_lines: -1}", "17:21", "whole number from 0 to 1000", ""));
    EXPECT(refuses("format: csv", "timezone: Mars/Base", "17:13", "channel.timezone: there is no time zone",
                   ""));
    EXPECT(refuses("format: csv", "rejects: {max: 101%}", "17:18", "\"101%\"", ""));
    EXPECT(refuses("format: csv", "rejects: {max: 0.00001%}", "17:18", "at most four decimals", ""));
    EXPECT(refuses("format: csv", "occurrence_id: [a, b, c, d, e]", "17:18", "5 entries; at most 4", ""));
    EXPECT(
        refuses("trade_time: paid_at", "attr: {status: x}", "14:12", "\"status\" is a field of its own", ""));
    EXPECT(refuses("trade_time: paid_at", "attr: {a-b: x}", "14:12", "letters, digits and _", ""));
    EXPECT(refuses("trade_time: paid_at", "attr: x", "14:11", "expected a map", ""));
    EXPECT(refuses("table: shop.payment_order", "table: a.b, columns: [order_no, trade_no, paid_at, state]",
                   "12:13", "no column \"pay_amount\" in columns", ""));
}

TEST(keys_and_compared_fields_exist_on_both_sides)
{
    EXPECT(refuses("    channel_order_no: trade_no\n", "", "19:55",
                   "match.keys: \"channel_order_no\" has no column on the local side", "local.fields"));
    EXPECT(refuses("[amount, status]", "[amount, fee]", "21:21",
                   "match.compare: \"fee\" has no column on the local side", "`fee: COLUMN`"));
    struct job *job = load_changed("trade_time: paid_at", "attr: {shop: s}\n    trade_time: paid_at");
    EXPECT(job && job->attr_count == 1); /* not in a key, not compared: one side is enough */
    job_close(job);
    EXPECT(refuses("[amount, status]", "[amount, status, status]", "21:29", "in the list twice", ""));
    EXPECT(
        refuses("[amount, status]", "[amount, trade_time]", "21:21", "days are compared by the window", ""));
    EXPECT(refuses("[amount, status]", "status", "21:12", "expected a list of field names", ""));
    EXPECT(refuses("[[channel_code, biz_order_no], [channel_code, channel_order_no]]", "[biz_order_no]",
                   "20:10", "match.keys: \"biz_order_no\" is a single value; expected a list of field names",
                   ""));
    EXPECT(refuses("[[channel_code, biz_order_no], [channel_code, channel_order_no]]",
                   "[[biz_order_no, biz_order_no]]", "20:25", "in the key twice", ""));
    EXPECT(refuses("[[channel_code, biz_order_no], [channel_code, channel_order_no]]",
                   "[[biz_order_no], [biz_order_no]]", "20:26", "the same key twice", ""));
    EXPECT(refuses("[[channel_code, biz_order_no], [channel_code, channel_order_no]]", "[[channel_code]]",
                   "20:10", "constant on one side", ""));
    EXPECT(refuses("[[channel_code, biz_order_no], [channel_code, channel_order_no]]", "[]", "20:9",
                   "expected a list of keys", ""));
    EXPECT(refuses("[[channel_code, biz_order_no], [channel_code, channel_order_no]]", "[[]]", "20:10",
                   "expected a list of field names", ""));
    EXPECT(refuses(", trade_time: e}", "}", "23:3", "the channel side has neither trade_time nor bill_date",
                   "window: none"));
    EXPECT(refuses("  window:", "  fees: compare\n  window:", "23:9", "fee has no column on the local side",
                   ""));
}

TEST(outputs_do_not_land_among_inputs)
{
    EXPECT(refuses("dir: out", "dir: bills/2026-01-05", "25:15",
                   "is where the channel side's inputs are read", "folder of its own"));
    EXPECT(refuses("dir: out", "dir: binlog", "25:15", "is where the local side's inputs are read", ""));
    EXPECT(refuses("dir: out", "dir: ./x/../binlog/deeper", "25:15",
                   "is where the local side's inputs are read", ""));
    EXPECT(refuses("bills/{date}/*.csv", "out/*.csv", "25:15", "is where the channel side's inputs are read",
                   ""));
    char *text = changed("bills/{date}/*.csv", "channel.csv");
    struct job *job = load(text);
    EXPECT(job); /* the job's own folder may hold the inputs, and out/ beside them */
    job_close(job);
    free(text);
    enum side side;
    job = load(good_job);
    char inside[300];
    snprintf(inside, sizeof inside, "%s/bills/2026-01-05/y", directory);
    EXPECT(is_text(job_out_dir_clash(job, ".", inside, &side), "bills/{date}/*.csv") && side == CHANNEL);
    EXPECT(job_out_dir_clash(job, directory, "binlog", &side) && side == LOCAL);
    EXPECT(!job_out_dir_clash(job, ".", "binlog", &side));
    EXPECT(!job_out_dir_clash(job, directory, "bills", &side));
    EXPECT(!job_out_dir_clash(job, directory, "bills/results", &side)); /* no date */
    job_close(job);
    text = changed("bills/{date}/*.csv", "channel.csv");
    memcpy(strstr(text, "dir: out"), "dir:   .", 8);
    EXPECT(refuses_text(text, "25:17", "is where the channel side's inputs are read", ""));
    free(text);
}

/* ---- diff ---- */

static struct job *diff(const char *key, const char *amount, const char *compare)
{
    struct diff_request request = {
        .local_path = "l.csv", .channel_path = "c.csv", .key = key, .amount = amount, .compare = compare};
    struct diag diag = {0};
    struct job *job;
    if (job_from_diff(&job, &request, &diag) != OK)
        diag_print(&diag, stderr);
    return job;
}

static int diff_refuses(struct diff_request request, const char *what)
{
    struct diag diag = {0};
    struct job *job;
    if (!request.local_path)
        request.local_path = "l.csv";
    request.channel_path = "c.csv";
    int is_so = job_from_diff(&job, &request, &diag) == ERR_USAGE && !job && strstr(diag.what, what);
    if (!is_so)
        fprintf(stderr, "wanted \"%s\", got \"%s\"\n", what, diag.what);
    job_close(job);
    return is_so;
}

static int reads(const struct job *job, unsigned slot, const char *local, const char *channel, int optional)
{
    const struct field_rule *l = &job->sources[LOCAL].fields[slot], *c = &job->sources[CHANNEL].fields[slot];
    return is_text(l->column, local) && is_text(c->column, channel) && l->optional == optional &&
           c->optional == optional;
}

TEST(diff_takes_canonical_columns_by_their_names)
{
    struct job *job = diff("biz_order_no", "trade_amount", "status");
    EXPECT(job->is_diff && is_text(job->sources[LOCAL].patterns[0], "l.csv") &&
           is_text(job->sources[CHANNEL].patterns[0], "c.csv"));
    EXPECT(reads(job, FIELD_BIZ_ORDER_NO, "biz_order_no", "biz_order_no", 0));
    EXPECT(reads(job, FIELD_AMOUNT, "trade_amount", "trade_amount", 0));
    EXPECT(reads(job, FIELD_STATUS, "status", "status", 0));
    EXPECT(reads(job, FIELD_FEE, "fee", "fee", 1));
    EXPECT(reads(job, FIELD_CHANNEL_ORDER_NO, "channel_order_no", "channel_order_no", 1));
    EXPECT(job->match.key_count == 1 && job->match.keys[0].part_count == 1 &&
           job->match.keys[0].parts[0] == FIELD_BIZ_ORDER_NO);
    EXPECT(job->match.compare_count == 1 && job->match.compare[0] == FIELD_STATUS);
    EXPECT(job->match.window_before == -1 && job->match.window_after == -1 && job->attr_count == 0);
    EXPECT(is_text(job->timezone, "Asia/Shanghai") && is_text(job->out_dir, "out") &&
           is_text(job->name, "diff"));
    EXPECT(job->currency == currency_find("CNY", 3) && job->suspense_threshold[LOCAL] == 0);
    EXPECT(job_status_is_monetary(job, span_of("PAID")) && !job_status_is_monetary(job, span_of("CLOSED")));
    job_close(job);
}

TEST(diff_names_columns_that_differ_per_side)
{
    struct job *job =
        diff("order:no,shop", "amount:trade_amount", "st:status,zip:plz,amount,currency:ccy,shop");
    EXPECT(reads(job, FIELD_BIZ_ORDER_NO, "order", "no", 0));
    EXPECT(reads(job, FIELD_AMOUNT, "amount", "trade_amount", 0));
    EXPECT(reads(job, FIELD_STATUS, "st", "status", 0));
    EXPECT(reads(job, FIELD_CURRENCY, "currency", "ccy", 0));
    EXPECT(job->attr_count == 2 && is_text(job->attrs[0], "shop") && is_text(job->attrs[1], "zip"));
    EXPECT(reads(job, FIELD_ATTR0, "shop", "shop", 0) && reads(job, FIELD_ATTR0 + 1, "zip", "plz", 0));
    EXPECT(job->match.keys[0].parts[0] == FIELD_BIZ_ORDER_NO && job->match.keys[0].parts[1] == FIELD_ATTR0);
    EXPECT(job->match.compare_count == 3 && job->match.compare[0] == FIELD_STATUS &&
           job->match.compare[1] == FIELD_ATTR0);
    job_close(job);
}

TEST(diff_gives_a_second_unknown_key_column_a_slot_of_its_own)
{
    struct job *job = diff("biz_order_no,part", "amount", NULL);
    EXPECT(job->attr_count == 1 && job->match.keys[0].parts[1] == FIELD_ATTR0);
    job_close(job);
    job = diff("part", "amount", "biz_order_no");
    EXPECT(reads(job, FIELD_BIZ_ORDER_NO, "biz_order_no", "biz_order_no", 0) &&
           is_text(job->attrs[0], "part"));
    job_close(job);
    job = diff("trade_no:channel_order_no", "amount", NULL);
    EXPECT(reads(job, FIELD_CHANNEL_ORDER_NO, "trade_no", "channel_order_no", 0));
    EXPECT(job->match.keys[0].parts[0] == FIELD_CHANNEL_ORDER_NO &&
           reads(job, FIELD_BIZ_ORDER_NO, "biz_order_no", "biz_order_no", 1));
    job_close(job);
}

TEST(diff_refuses_what_it_cannot_mean)
{
    EXPECT(diff_refuses((struct diff_request){.key = "a"}, "--key and --amount"));
    EXPECT(
        diff_refuses((struct diff_request){.key = "", .amount = "x"}, "--key: \"\": expected a column name"));
    EXPECT(diff_refuses((struct diff_request){.key = "a,,b", .amount = "x"}, "expected a column name"));
    EXPECT(diff_refuses((struct diff_request){.key = "a:", .amount = "x"}, "expected a column name"));
    EXPECT(diff_refuses((struct diff_request){.key = "a:b:c", .amount = "x"}, "expected a column name"));
    EXPECT(diff_refuses((struct diff_request){.key = "a,a", .amount = "x"}, "twice"));
    EXPECT(diff_refuses((struct diff_request){.key = "a", .amount = "x,y"},
                        "--amount: \"x,y\": expected one column"));
    EXPECT(diff_refuses((struct diff_request){.key = "a", .amount = "x", .compare = "s,s"}, "twice"));
    EXPECT(diff_refuses((struct diff_request){.key = "a", .amount = "x", .compare = "trade_time"},
                        "diff compares no dates"));
    EXPECT(diff_refuses((struct diff_request){.key = "status:a", .amount = "x", .compare = "status:b"},
                        "already read from other columns"));
    EXPECT(diff_refuses((struct diff_request){.key = "a", .amount = "x", .currency = "YUAN"},
                        "--currency: \"YUAN\""));
    EXPECT(diff_refuses((struct diff_request){.key = "a", .amount = "x", .timezone = "X/Y"},
                        "no time zone \"X/Y\""));
    EXPECT(diff_refuses((struct diff_request){.key = "a", .amount = "x", .max_rejects = "-1"},
                        "--max-rejects: \"-1\""));
    EXPECT(diff_refuses((struct diff_request){.key = "a", .amount = "x", .out_dir = ""},
                        "--out: expected a folder"));
    write_job("x", 1);
    EXPECT(diff_refuses(
        (struct diff_request){.key = "a", .amount = "x", .out_dir = directory, .local_path = job_path},
        "holds the input"));
}

TEST(reject_limits_are_numbers_or_shares)
{
    struct reject_limit limit;
    EXPECT(job_reject_limit_parse("0", &limit) && limit.max_rows == 0 && limit.max_ppm == 0);
    EXPECT(job_reject_limit_parse("50", &limit) && limit.max_rows == 50 && limit.max_ppm == 0);
    EXPECT(job_reject_limit_parse("0.5%", &limit) && limit.max_rows == 0 && limit.max_ppm == 5000);
    EXPECT(job_reject_limit_parse("0.0001%", &limit) && limit.max_ppm == 1);
    EXPECT(job_reject_limit_parse("100%", &limit) && limit.max_ppm == 1000000);
    static const char *const bad[] = {
        "", "%", "-1", "1.5", ".5%", "1.%", "100.0001%", "1 %", "1%%", "99999999999999999999", "0x10", "5e1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        EXPECT(!job_reject_limit_parse(bad[i], &limit));
}

TEST(where_files_are_fetched_from_is_read_and_checked)
{
    struct diag diag = {0};
    struct job *job = NULL;
    EXPECT(job_load(&job, "fixtures/jobs/everything.yaml", &diag) == OK);
    const struct fetch_spec *fetch = &job->sources[CHANNEL].fetch;
    EXPECT(fetch->given && !job->sources[LOCAL].fetch.given);
    EXPECT(fetch->from_count == 1 && is_text(fetch->to, "data") && is_text(fetch->user, "shop"));
    EXPECT(is_text(fetch->password, "env:TIEOUT_KEY_PASSPHRASE") && is_text(fetch->key, "keys/shop_ed25519"));
    EXPECT(fetch->not_before_minutes == 570 && fetch->deadline_s == 7200 && fetch->stall_s == 30);
    EXPECT(fetch->retry_first_s == 2 && fetch->retry_max_s == 300 && !fetch->trust_without_identity);
    EXPECT(is_text(job->manifest, "admitted.db"));
    job_close(job);
    static const struct {
        const char *fetch, *what;
    } bad[] = {
        {"{to: data}", "expected exactly one of from and command"},
        {"{from: a, command: b}", "expected exactly one of from and command"},
        {"{from: \"gopher://host/x\"}", "expected a path, or a URL"},
        {"{from: \"sftp://me:pw@host/x\"}", "names no user and no password"},
        {"{from: \"sftp://host/a b\"}", "no spaces"},
        {"{from: x, password: hunter2}", "never the password itself"},
        {"{from: x, deadline: 5}", "expected a time such as 30s"},
        {"{from: x, deadline: 999999s}", "expected a time such as 30s"},
        {"{from: x, not_before: \"24:00\"}", "expected a time of day"},
        {"{from: x, host_key: ab:cd}", "expected SHA256:"},
        {"{from: x, retry: {last: 1s}}", "there is no setting"},
        {"{from: x, trust_server_without_checking_identity: yes}", "expected true or false"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[300];
        snprintf(line, sizeof line, "channel:\n  fetch: %s\n", bad[i].fetch);
        char *text = changed("channel:\n", line);
        diag = (struct diag){0};
        write_job(text, strlen(text));
        EXPECT(job_load(&job, job_path, &diag) == ERR_USAGE && strstr(diag.what, bad[i].what));
        if (!strstr(diag.what, bad[i].what))
            fprintf(stderr, "%s: %s\n", bad[i].fetch, diag.what);
        free(text);
    }
}

TEST(the_jobs_in_fixtures_load)
{
    static const char *const paths[] = {"fixtures/jobs/two-csv.yaml", "fixtures/jobs/binlog-and-bill.yaml",
                                        "fixtures/jobs/everything.yaml"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct diag diag = {0};
        struct job *job;
        EXPECT(job_load(&job, paths[i], &diag) == OK);
        if (!job)
            diag_print(&diag, stderr);
        EXPECT(job && is_text(job->directory, "fixtures/jobs"));
        job_close(job);
    }
}
