/* tests/unit/io/source/capture_test.c: recorded logs as a server would send them, the process gone after every few events: the
 * segments hold the rows of the files, each once, at the same places
 */
#include "core/base/mem.h"
#include "io/format/binlog_event.h"
#include "io/format/crc32.h"
#include "io/source/capture.h"
#include "io/source/segments.h"
#include "tests/support/check_test.h"

#include "tests/support/binlog_run.h"
#include <unistd.h>

#define FOLDER "fixtures/binlogs/recorded/"

static char base[200];
static struct job *job;

static void begin(void)
{
    const char *folder = getenv("TMPDIR");
    snprintf(base, sizeof base, "%s/tieout-capture-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(base))
        exit(4);
    char path[300];
    snprintf(path, sizeof path, "%s/job.yaml", base);
    FILE *f = fopen(path, "w");
    fputs("version: 1\njob: j\nchannel_code: X\ntimezone: UTC\ncurrency: CNY\n"
          "local:\n  replica: {host: h, user: u, server_id: 9, table: pay.payment_order, start: oldest, "
          "segment: 4KiB}\n"
          "  fields: {biz_order_no: order_no, amount: amount}\n"
          "channel: {files: b.csv, format: csv, fields: {biz_order_no: n, amount: a}}\nmatch: {keys: "
          "[[biz_order_no]]}\n",
          f);
    fclose(f);
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

static const char *directory(int fresh)
{
    static char path[300];
    static int number;
    number += fresh;
    snprintf(path, sizeof path, "%s/c%d", base, number);
    return path;
}

/* ---- a server ---- */

struct file {
    const char *path, *name; /* as the ROTATE before it calls it */
    uint8_t *bytes;
    size_t size;
};

struct server {
    struct file files[4];
    int count;
    /* what is sent next */
    int file, stage; /* 0 ROTATE, 1 FORMAT_DESCRIPTION, 2 events */
    uint64_t from, at;
    uint8_t packet[1 << 12];
};

static void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static void server_open(struct server *s, const char *const *paths, int count)
{
    memset(s, 0, sizeof *s);
    for (s->count = 0; s->count < count; s->count++) {
        struct file *file = &s->files[s->count];
        file->path = paths[s->count];
        file->name = strrchr(file->path, '/') + 1;
        file->bytes = run_read(file->path, &file->size);
    }
}

static void server_close(struct server *s)
{
    for (int i = 0; i < s->count; i++)
        free(s->files[i].bytes);
}

static void server_ask(struct server *s, const char *name, uint64_t offset)
{
    s->stage = 0;
    for (s->file = 0; s->file < s->count && strcmp(s->files[s->file].name, name) != 0;)
        s->file++;
    s->from = s->at = offset;
}

/* The next packet; NULL: there is no more. */
static const uint8_t *server_send(struct server *s, size_t *size)
{
    if (s->file == s->count)
        return NULL;
    const struct file *file = &s->files[s->file];
    if (s->stage == 0) {
        size_t name_size = strlen(file->name);
        *size = BINLOG_HEADER_SIZE + 8 + name_size + 4;
        memset(s->packet, 0, *size);
        s->packet[4] = EVENT_ROTATE;
        put32(s->packet + 9, (uint32_t)*size);
        s->packet[17] = 0x20;
        put32(s->packet + BINLOG_HEADER_SIZE, (uint32_t)s->from);
        memcpy(s->packet + BINLOG_HEADER_SIZE + 8, file->name, name_size);
        put32(s->packet + *size - 4, crc32_update(0, s->packet, *size - 4));
        s->stage = 1;
        return s->packet;
    }
    if (s->stage == 1) {
        *size = read_le32(file->bytes + 4 + 9);
        memcpy(s->packet, file->bytes + 4, *size);
        s->packet[17] &= (uint8_t)~EVENT_FLAG_IN_USE;
        if (s->from >
            4) { /* not at its place: sent for the reader's sake, and what it says of itself is taken out */
            put32(s->packet + 13, 0);
            put32(s->packet + BINLOG_HEADER_SIZE + 52, 0);
            /* All servers leave the checksum as it was where the file's events have none. */
            if (s->packet[*size - 5] != 0)
                put32(s->packet + *size - 4, crc32_update(0, s->packet, *size - 4));
        } else {
            s->at = 4 + *size;
        }
        s->stage = 2;
        return s->packet;
    }
    if (s->at == file->size) {
        s->file++;
        s->stage = 0;
        s->from = 4;
        return server_send(s, size);
    }
    const uint8_t *event = file->bytes + s->at;
    *size = read_le32(event + 9);
    s->at += *size;
    return event;
}

/* ---- what came of it ---- */

static struct binlog_watch watch = {.database = "pay", .table = "payment_order"};
static const struct binlog_options options = {.watch = &watch, .watch_count = 1};

static struct binlog_run rows_of_files(const struct server *s)
{
    struct binlog_run run = {.options = &options, .chunk = 1 << 20, .want = 1, .keep = 1};
    struct diag diag;
    for (int i = 0; i < s->count; i++) {
        run.is_newest = i + 1 == s->count;
        int done = run_file(&run, s->files[i].bytes, s->files[i].size, s->files[i].path, &diag) == STEP_DONE;
        if (!done)
            fprintf(stderr, "%s\n", diag.what);
        EXPECT(done);
    }
    return run;
}

/* The segments' rows are those of the files, with their places. */
static void same_rows(const struct server *s, const struct binlog_run *want, const char *folder)
{
    struct file_set set;
    struct segments segments;
    struct diag diag = {0};
    struct binlog_run run = {.options = &options, .chunk = 1 << 20, .want = 1, .keep = 1};
    EXPECT(segments_open(&segments, &set, folder, &diag) == OK);
    uint64_t last = 0;
    int file = 0, places = 0;
    for (uint32_t i = 0; i < set.count; i++) {
        size_t size, before = run.row_count;
        uint8_t *bytes = run_read(set.files[i].path, &size);
        run.is_newest = i + 1 == set.count;
        EXPECT(size >= set.files[i].size);
        int done = run_file(&run, bytes, set.files[i].size, set.files[i].path, &diag) == STEP_DONE;
        if (!done)
            fprintf(stderr, "%s\n", diag.what);
        EXPECT(done);
        for (size_t r = before; r < run.row_count && r < want->row_count; r++) {
            uint64_t offset = 0;
            const char *name = segments_place(&segments, &set, i, run.rows[r].event_offset, &offset);
            while (file + 1 < s->count && want->rows[r].event_offset < last)
                file++, last = 0; /* the files' rows came one file after the other */
            last = want->rows[r].event_offset;
            places += name && offset == last && strcmp(name, s->files[file].name) == 0 &&
                      run.rows[r].row_index == want->rows[r].row_index;
        }
        free(bytes);
    }
    EXPECT(run.row_count == want->row_count && run.checksum == want->checksum);
    EXPECT((size_t)places == want->row_count);
    run_free(&run);
    segments_close(&segments);
    file_set_close(&set);
}

/* Captures all that the server sends; the process is gone after every `cut` packets, without a word. */
static int capture_all(struct server *s, const char *folder, int cut, struct diag *diag)
{
    struct capture *c = NULL;
    int sent = 0, runs = 0, in_run = 0;
    size_t size;
    for (;;) {
        if (!c) {
            if (capture_open(&c, job, LOCAL, folder, diag) != OK)
                return runs;
            const struct capture_position *position = capture_position(c);
            struct capture_position first = {.server = "s", .offset = 4, .gtids = ""};
            snprintf(first.file, sizeof first.file, "%s", s->files[0].name);
            if (!position->server[0])
                EXPECT(capture_start(c, &first, diag) == OK);
            position = capture_position(c);
            server_ask(s, position->file, position->offset);
            EXPECT(capture_connected(c, "s", 0, diag) == OK);
            runs++;
            in_run = 0;
        }
        const uint8_t *packet = server_send(s, &size);
        if (!packet)
            break;
        if (capture_take(c, packet, size, diag) != OK)
            break;
        sent++;
        in_run++;
        /* Some checkpoints lie in the middle of a transaction. */
        if (sent % 5 == 0 && capture_checkpoint(c, diag) != OK)
            break;
        if (cut && in_run == cut) {
            capture_close(c);
            c = NULL;
            cut += 2; /* else a transaction of more packets would never end */
        }
    }
    if (diag->err == OK)
        EXPECT(capture_disconnected(c, diag) == OK);
    capture_close(c);
    return runs;
}

static const struct {
    const char *paths[2];
} logs[] = {
    {{FOLDER "mariadb-10.11.19/01_lifecycle/bin.000002"}},
    {{FOLDER "mariadb-10.11.19/02_alter_middle_rotate/bin.000004",
      FOLDER "mariadb-10.11.19/02_alter_middle_rotate/bin.000005"}},
    {{FOLDER "mariadb-10.11.19/09_compressed_rows/bin.000023"}},
    {{FOLDER "mariadb-10.11.19/10_checksum_none/bin.000026",
      FOLDER "mariadb-10.11.19/10_checksum_none/bin.000027"}},
    {{FOLDER "mariadb-10.11.19/11_gtid_domains_xa/bin.000029"}},
    {{FOLDER "mariadb-11.8.9/01_lifecycle/bin.000002"}},
    {{FOLDER "mysql-9.7.4/01_lifecycle/binlog.000003"}},
    {{FOLDER "mysql-9.7.4/02_alter_middle_rotate/binlog.000005",
      FOLDER "mysql-9.7.4/02_alter_middle_rotate/binlog.000006"}},
    {{FOLDER "mysql-9.7.4/03_multirow/binlog.000008"}},
    {{FOLDER "mysql-9.7.4/09_transaction_payload_zstd/binlog.000025"}},
    {{FOLDER "mysql-9.7.4/10_checksum_none/binlog.000028",
      FOLDER "mysql-9.7.4/10_checksum_none/binlog.000029"}},
};

TEST(segments_hold_the_rows_of_the_files_each_once_wherever_the_process_ends)
{
    begin();
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        struct server s;
        server_open(&s, logs[i].paths, logs[i].paths[1] ? 2 : 1);
        struct binlog_run want = rows_of_files(&s);
        EXPECT(want.row_count > 0);
        for (int cut = 0; cut <= 12; cut += 4) {
            struct diag diag = {0};
            const char *folder = directory(1);
            int runs = capture_all(&s, folder, cut, &diag);
            if (diag.err != OK)
                fprintf(stderr, "%s, cut %d: %s\n", logs[i].paths[0], cut, diag.what);
            EXPECT(diag.err == OK && (cut == 0 || runs > 2));
            same_rows(&s, &want, folder);
        }
        run_free(&want);
        server_close(&s);
    }
    end();
}

/* What is recorded from the sockets of real servers: rotations, heartbeats, a resumed stream. */
TEST(recorded_streams_are_taken)
{
    static const struct {
        const char *path, *file;
        uint64_t offset;
        int by_gtid;
        uint64_t transactions;
        const char *last, *gtids;
        unsigned head; /* bytes before each event: semi-sync's */
    } streams[] = {
        {"fixtures/binlogs/wire/mariadb-10.11.19_filepos_rotate_heartbeat_live.pkt", "bin.000013", 4, 0, 8,
         "bin.000015:673", "0-101-288", 0},
        {"fixtures/binlogs/wire/mariadb-10.11.19_gtid_resume.pkt", "", 0, 1, 0, "bin.000015:1329",
         "0-101-290", 0},
        {"fixtures/binlogs/wire/mysql-9.7.4_filepos_rotate_heartbeat_live.pkt", "binlog.000048", 4, 0, 8,
         "binlog.000050:649",
         "3e11fa47-71ca-11e1-9e33-c80aa9429562:23-24,e3ce17d9-e4fa-11f1-9f97-02fc00000001:1-286,"
         "e3ce17d9-e4fa-11f1-9f97-02fc00000001:paytag:1-2",
         0},
        {"fixtures/binlogs/wire/mysql-9.7.4_nonblock_eof.pkt", "binlog.000049", 4, 0, 3, "binlog.000050:649",
         "3e11fa47-71ca-11e1-9e33-c80aa9429562:23-24,e3ce17d9-e4fa-11f1-9f97-02fc00000001:1-286,"
         "e3ce17d9-e4fa-11f1-9f97-02fc00000001:paytag:1-2",
         0},
        {"fixtures/binlogs/wire/mysql-9.7.4_semisync.pkt", "binlog.000049", 4, 0, 3, "binlog.000050:1399",
         "3e11fa47-71ca-11e1-9e33-c80aa9429562:23-24,e3ce17d9-e4fa-11f1-9f97-02fc00000001:1-288,"
         "e3ce17d9-e4fa-11f1-9f97-02fc00000001:paytag:1-2",
         2},
        {"fixtures/binlogs/wire/mariadb-10.11.19_semisync.pkt", "bin.000014", 4, 0, 3, "bin.000015:1329",
         "0-101-290", 2}};
    begin();
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        size_t size;
        uint8_t *bytes = run_read(streams[i].path, &size);
        struct diag diag = {0};
        struct capture *c;
        EXPECT(capture_open(&c, job, LOCAL, directory(1), &diag) == OK);
        struct capture_position first = {
            .server = "s", .offset = streams[i].offset, .gtids = streams[i].by_gtid ? "0-101-287" : ""};
        snprintf(first.file, sizeof first.file, "%s", streams[i].file);
        EXPECT(capture_start(c, &first, &diag) == OK &&
               capture_connected(c, "s", streams[i].by_gtid, &diag) == OK);
        for (size_t at = 0; at < size && diag.err == OK;) {
            uint32_t packet = read_le32(bytes + at);
            if (bytes[at + 4] == 0)
                capture_take(c, bytes + at + 5 + streams[i].head, packet - 1 - streams[i].head, &diag);
            at += 4 + packet;
        }
        if (diag.err != OK)
            fprintf(stderr, "%s: %s\n", streams[i].path, diag.what);
        EXPECT(diag.err == OK && capture_disconnected(c, &diag) == OK);
        char last[300];
        const struct capture_position *done = capture_position(c);
        snprintf(last, sizeof last, "%s:%llu", done->file, (unsigned long long)done->offset);
        EXPECT(strcmp(last, streams[i].last) == 0 && strcmp(done->gtids, streams[i].gtids) == 0);
        EXPECT(capture_counts(c)->transactions == streams[i].transactions);
        EXPECT(done->exact == !streams[i].by_gtid);
        capture_close(c);
        free(bytes);
    }
    end();
}

/* Semi-sync is never asked for, so what comes with its marks is no stream of ours; and what comes must be what was asked for. */
TEST(a_stream_that_is_not_the_one_asked_for_stops_at_once)
{
    static const struct {
        const char *path, *file;
        uint64_t offset;
        const char *words;
    } streams[] = {
        {"fixtures/binlogs/wire/mysql-9.7.4_semisync.pkt", "binlog.000049", 4, "does not hold one event"},
        {"fixtures/binlogs/wire/mariadb-10.11.19_semisync.pkt", "bin.000014", 4, "does not hold one event"},
        {"fixtures/binlogs/wire/mysql-9.7.4_nonblock_eof.pkt", "binlog.000048", 4,
         "asked for its log from binlog.000048:4 on and sends it from binlog.000049:4 on"},
        {"fixtures/binlogs/wire/mysql-9.7.4_nonblock_eof.pkt", "binlog.000049", 126,
         "asked for its log from binlog.000049:126 on and sends it from binlog.000049:4 on"},
    };
    begin();
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        size_t size;
        uint8_t *bytes = run_read(streams[i].path, &size);
        struct diag diag = {0};
        struct capture *c;
        struct capture_position first = {.server = "s", .offset = streams[i].offset, .gtids = ""};
        snprintf(first.file, sizeof first.file, "%s", streams[i].file);
        EXPECT(capture_open(&c, job, LOCAL, directory(1), &diag) == OK &&
               capture_start(c, &first, &diag) == OK && capture_connected(c, "s", 0, &diag) == OK);
        EXPECT(capture_take(c, bytes + 5, read_le32(bytes) - 1, &diag) != OK &&
               strstr(diag.what, streams[i].words));
        const struct capture_position *done = capture_position(c);
        EXPECT(strcmp(done->file, streams[i].file) == 0 && done->offset == streams[i].offset &&
               capture_counts(c)->transactions == 0);
        capture_close(c);
        free(bytes);
    }
    end();
}

/* A file that was never sent is a gap, whoever left it out. */
TEST(a_file_left_out_of_a_stream_stops_it)
{
    begin();
    size_t size;
    uint8_t *bytes = run_read("fixtures/binlogs/wire/mysql-9.7.4_filepos_rotate_heartbeat_live.pkt", &size);
    struct diag diag = {0};
    struct capture *c;
    struct capture_position first = {.server = "s", .offset = 4, .gtids = "", .file = "binlog.000048"};
    EXPECT(capture_open(&c, job, LOCAL, directory(1), &diag) == OK && capture_start(c, &first, &diag) == OK &&
           capture_connected(c, "s", 0, &diag) == OK);
    int files = 0, left_out = 0;
    for (size_t at = 0; at < size && diag.err == OK;) {
        const uint32_t packet = read_le32(bytes + at);
        const uint8_t *event = bytes + at + 5;
        files += event[4] == EVENT_ROTATE && (read_le16(event + 17) & 0x20) /* made for us */;
        if (files != 2)
            capture_take(c, event, packet - 1, &diag);
        else
            left_out = 1;
        at += 4 + packet;
    }
    EXPECT(left_out && diag.err == ERR_STATE && strcmp(diag.code, "replica.gap") == 0);
    EXPECT(strstr(diag.what, "after binlog.000048 the server goes on with binlog.000050"));
    EXPECT(strcmp(capture_position(c)->file, "binlog.000050") != 0);
    capture_close(c);
    free(bytes);
    end();
}

/* Takes the ROTATE to the file's place behind its FORMAT_DESCRIPTION, and that as it stands in `file->bytes`. */
static enum err take_resumed(struct server *s, struct diag *diag)
{
    const struct file *file = &s->files[0];
    const uint32_t format_size = read_le32(file->bytes + 4 + 9);
    struct capture *c;
    size_t size;
    struct capture_position start = {.server = "s", .offset = format_size + 4, .gtids = ""};
    snprintf(start.file, sizeof start.file, "%s", file->name);
    EXPECT(capture_open(&c, job, LOCAL, directory(1), diag) == OK);
    EXPECT(capture_start(c, &start, diag) == OK && capture_connected(c, "s", 0, diag) == OK);
    server_ask(s, file->name, start.offset);
    const uint8_t *packet = server_send(s, &size);
    EXPECT(capture_take(c, packet, size, diag) == OK);
    capture_take(c, file->bytes + 4, format_size, diag);
    capture_close(c);
    return diag->err;
}

/* Servers take its end position and the time of the server's start out of a FORMAT_DESCRIPTION for who resumes. Where the file's events
 * have no checksums its own stays as it was. Any other change is found. */
TEST(a_changed_format_description_of_a_file_without_checksums_is_taken_and_a_damaged_one_is_not)
{
    static const char *const paths[] = {FOLDER "mariadb-10.11.19/10_checksum_none/bin.000026",
                                        FOLDER "mysql-9.7.4/10_checksum_none/binlog.000028"};
    enum { END = 13, BEGUN = BINLOG_HEADER_SIZE + 52 };
    static const int places[] = {0, 5, END, 40, BEGUN + 1, 90, -4, -1};
    begin();
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        for (unsigned way = 0; way < 8; way++) {
            struct server s;
            server_open(&s, &paths[i], 1);
            uint8_t *const event = s.files[0].bytes + 4;
            const uint32_t size = read_le32(event + 9);
            EXPECT(event[size - 5] == 0);
            event[17] &= (uint8_t)~EVENT_FLAG_IN_USE;
            put32(event + BEGUN,
                  way & 4 ? read_le32(event) : 0); /* begun with the server, or by a rotation */
            put32(event + size - 4, crc32_update(0, event, size - 4));
            if (way & 1)
                put32(event + BEGUN, 0);
            if (way & 2)
                put32(event + END, 0);
            struct diag diag = {0};
            if (take_resumed(&s, &diag) != OK)
                fprintf(stderr, "%s, way %u: %s\n", paths[i], way, diag.what);
            EXPECT(diag.err == OK);
            for (size_t k = 0; way % 4 == 3 && k < sizeof places / sizeof *places; k++) {
                uint8_t *const at = event + (places[k] < 0 ? (int)size : 0) + places[k];
                *at ^= 0x10;
                diag = (struct diag){0};
                if (take_resumed(&s, &diag) != ERR_PEER || strcmp(diag.code, "replica.checksum") != 0)
                    fprintf(stderr, "%s, way %u, byte %d: %s\n", paths[i], way, places[k], diag.what);
                EXPECT(diag.err == ERR_PEER && strcmp(diag.code, "replica.checksum") == 0);
                *at ^= 0x10;
            }
            server_close(&s);
        }
    end();
}

/* One flipped bit anywhere is found, and what was checkpointed before stays. */
TEST(a_flipped_bit_stops_or_changes_nothing)
{
    begin();
    static const char *const paths[] = {FOLDER "mysql-9.7.4/01_lifecycle/binlog.000003"};
    struct server s;
    server_open(&s, paths, 1);
    struct binlog_run want = rows_of_files(&s);
    struct file *file = &s.files[0];
    size_t first = 4 + read_le32(file->bytes + 4 + 9), stops = 0, tries = 0;
    for (size_t at = first; at < file->size; at += 211) {
        struct diag diag = {0};
        const char *folder = directory(1);
        file->bytes[at] ^= 0x10;
        struct capture *c;
        EXPECT(capture_open(&c, job, LOCAL, folder, &diag) == OK);
        struct capture_position start = {.server = "s", .offset = 4, .gtids = ""};
        snprintf(start.file, sizeof start.file, "%s", file->name);
        EXPECT(capture_start(c, &start, &diag) == OK && capture_connected(c, "s", 0, &diag) == OK);
        server_ask(&s, file->name, 4);
        for (size_t size = 0; diag.err == OK && s.at < file->size;) {
            const uint8_t *packet = server_send(&s, &size);
            if (size < BINLOG_HEADER_SIZE || s.at > file->size)
                diag_set(&diag, ERR_PEER, "test", NULL, "a length that no packet has");
            else
                capture_take(c, packet, size, &diag);
        }
        stops += diag.err != OK;
        tries++;
        file->bytes[at] ^= 0x10;
        capture_close(c);
        diag = (struct diag){0};
        capture_all(&s, folder, 0, &diag); /* the next process, and what the server really has */
        EXPECT(diag.err == OK);
        same_rows(&s, &want, folder);
    }
    EXPECT(stops == tries && tries > 10);
    run_free(&want);
    server_close(&s);
    end();
}
