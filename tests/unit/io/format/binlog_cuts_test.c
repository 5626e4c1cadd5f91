/* tests/unit/io/format/binlog_cuts_test.c: the same binlog in pieces of every size, cut at every byte, and
 * with every byte flipped.
 */
#include "io/format/binlog_types.h"
#include "tests/support/binlog_write.h"
#include "tests/support/check_test.h"

#include "tests/support/binlog_run.h"

#define FOLDER "fixtures/binlogs/recorded/"

static const char *const files[] = {
    FOLDER "mariadb-10.11.19/01_lifecycle/bin.000002",
    FOLDER "mariadb-11.8.9/01_lifecycle/bin.000002",
    FOLDER "mysql-5.6.24/01_lifecycle/mysql-bin.000002",
    FOLDER "mysql-9.7.4/01_lifecycle/binlog.000003",
};
enum { FILES = sizeof files / sizeof *files };

static const struct binlog_options everything = {.unnamed_ok = 1};

static struct binlog_run run_of(size_t chunk, size_t want, int keep, int is_newest)
{
    return (struct binlog_run){
        .options = &everything, .chunk = chunk, .want = want, .keep = keep, .is_newest = is_newest};
}

TEST(pieces_of_any_size_give_the_same_rows)
{
    for (int f = 0; f < FILES; f++) {
        size_t size;
        uint8_t *bytes = run_read(files[f], &size);
        struct diag diag;
        struct binlog_run whole = run_of(size, 1, 0, 0);
        EXPECT(run_file(&whole, bytes, size, files[f], &diag) == STEP_DONE && whole.row_count == 14);
        const size_t small = CHECK_WATCHED ? 50 : 200; /* a sanitizer takes long */
        for (size_t chunk = 1; chunk <= size; chunk += chunk < small ? 1 : 97) {
            for (size_t want = 1; want <= size; want = want * 8) {
                struct binlog_run run = run_of(chunk, want, 0, 0);
                int same = run_file(&run, bytes, size, files[f], &diag) == STEP_DONE &&
                           run.row_count == whole.row_count && run.checksum == whole.checksum &&
                           run.counts.groups == whole.counts.groups;
                if (!same)
                    fprintf(stderr, "%s: chunk %zu want %zu: %zu rows, %s\n", files[f], chunk, want,
                            run.row_count, diag.what);
                EXPECT(same);
            }
        }
        free(bytes);
    }
}

TEST(a_cut_anywhere_gives_whole_transactions_or_a_refusal_with_its_place)
{
    for (int f = 0; f < FILES; f++) {
        size_t size;
        uint8_t *bytes = run_read(files[f], &size);
        struct diag diag;
        struct binlog_run whole = run_of(size, 1, 1, 1);
        EXPECT(run_file(&whole, bytes, size, files[f], &diag) == STEP_DONE);
        size_t accepted = 0;
        for (size_t cut = 0; cut < size; cut++) {
            /* A copy of just this size, so that the address sanitizer sees a read past the cut. */
            uint8_t *part = malloc(cut ? cut : 1);
            memcpy(part, bytes, cut);
            struct binlog_run run = run_of(size, 1, 1, 1);
            enum step step = run_file(&run, part, cut, files[f], &diag);
            if (step == STEP_FAILED)
                EXPECT(diag.err == ERR_INPUT && strncmp(diag.what, files[f], strlen(files[f])) == 0 &&
                       diag.what[strlen(files[f])] == '@');
            else
                accepted++;
            /* What came is the front of what the whole file gives, and no transaction of it is split. */
            EXPECT(run.row_count <= whole.row_count);
            for (size_t i = 0; i < run.row_count; i++)
                EXPECT(run.rows[i].image_offset == whole.rows[i].image_offset);
            if (run.row_count && run.row_count < whole.row_count) {
                const struct kept_row *last = &whole.rows[run.row_count - 1], *next = last + 1;
                EXPECT(last->event_offset != next->event_offset);
                EXPECT(!last->gtid[0] || strcmp(last->gtid, next->gtid) != 0);
            }
            run_free(&run);
            struct binlog_run older = run_of(size, 1, 0, 0);
            if (!CHECK_WATCHED || cut % 4 == 0)
                EXPECT(run_file(&older, part, cut, files[f], &diag) == STEP_FAILED);
            free(part);
        }
        /* Cuts between events are accepted in the newest file. */
        EXPECT(accepted > 30 && accepted < 100);
        run_free(&whole);
        free(bytes);
    }
}

TEST(one_flipped_byte_anywhere_is_refused_with_its_place)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    for (int f = 0; f < FILES; f++) {
        size_t size;
        uint8_t *bytes = run_read(files[f], &size);
        for (size_t at = 0; at < size; at++) {
            for (size_t k = CHECK_WATCHED ? at % 3 : 0; k < sizeof flips; k += CHECK_WATCHED ? 3 : 1) {
                /* The in-use flag is set and cleared in place by the server, outside of the checksum. */
                if (at == 4 + 17 && flips[k] == 1)
                    continue;
                bytes[at] ^= flips[k];
                struct diag diag;
                struct binlog_run run = run_of(size, 1, 0, 1);
                int refused = run_file(&run, bytes, size, files[f], &diag) == STEP_FAILED &&
                              diag.err == ERR_INPUT && diag.what[strlen(files[f])] == '@';
                if (!refused)
                    fprintf(stderr, "%s: byte %zu ^ %02x: not refused\n", files[f], at, flips[k]);
                EXPECT(refused);
                bytes[at] ^= flips[k];
            }
        }
        free(bytes);
    }
}

/* ---- usual transactions, which go in one go where the walk went over the same bytes ---- */

enum { TRANSACTIONS = 64, DISTURBED = 40 };

/* As MySQL writes them: most are alike, some of the first have another table, another column, two row events, no statement's text. */
static void usual_log(struct log *log)
{
    static const uint8_t types[] = {TYPE_LONG, TYPE_TINY};
    log_begin(log, "8.0.36");
    for (uint32_t i = 0; i < TRANSACTIONS; i++) {
        const int may_differ = i < DISTURBED, is_other = may_differ && i % 17 == 3,
                  is_wide = may_differ && i % 11 == 5, is_double = i % 9 == 4;
        const uint64_t id = 9 + (may_differ && i % 19 == 6);
        log_gtid(log, 1 + i);
        log_query(log, "shop", "BEGIN");
        if (i % 2)
            log_event(log, EVENT_ROWS_QUERY, "\x06INSERT", 7);
        log_table(log, id, "shop", is_other ? "u" : "t", types, is_wide ? 2 : 1, NULL, 0, NULL, 0);
        for (int k = 0; k <= is_double; k++) {
            const uint8_t row[] = {0, (uint8_t)i, (uint8_t)k, 1, 0, 5};
            log_rows(log, i % 5 == 2 ? EVENT_DELETE_ROWS : EVENT_WRITE_ROWS, id, is_wide ? 2 : 1, row,
                     is_wide ? 6 : 5);
        }
        log_xid(log);
    }
}

static const struct binlog_watch usual_watch = {"shop", "t", NULL, 0};
static const struct binlog_options usual_options = {.watch = &usual_watch, .watch_count = 1, .unnamed_ok = 1};

TEST(usual_transactions_give_the_same_rows_in_one_go_and_event_by_event)
{
    struct log log = {0};
    usual_log(&log);
    struct diag diag;
    struct binlog_run runs[2];
    for (int i = 0; i < 2; i++) {
        runs[i] = run_of(log.size, SIZE_MAX, 1, 1);
        runs[i].options = &usual_options;
        runs[i].is_unwalked = i;
        EXPECT(run_file(&runs[i], log.bytes, log.size, "log", &diag) == STEP_DONE);
    }
    EXPECT(runs[0].rows_counts.usual >= TRANSACTIONS / 2 && runs[1].rows_counts.usual == 0);
    EXPECT(runs[0].rows_counts.events == runs[1].rows_counts.events &&
           runs[0].rows_counts.bytes == runs[1].rows_counts.bytes && runs[0].row_count == runs[1].row_count &&
           runs[0].checksum == runs[1].checksum && runs[0].row_count > TRANSACTIONS / 2);
    for (size_t i = 0; i < runs[0].row_count && i < runs[1].row_count; i++) {
        const struct kept_row *a = &runs[0].rows[i], *b = &runs[1].rows[i];
        EXPECT(a->image_offset == b->image_offset && a->event_offset == b->event_offset &&
               a->table_map_offset == b->table_map_offset && a->row_index == b->row_index && a->op == b->op &&
               a->timestamp == b->timestamp && strcmp(a->gtid, b->gtid) == 0);
    }
    run_free(&runs[0]);
    run_free(&runs[1]);
    log_free(&log);
}

TEST(one_flipped_byte_of_usual_transactions_is_told_as_it_is_event_by_event)
{
    struct log log = {0};
    usual_log(&log);
    for (size_t at = BINLOG_MAGIC_SIZE; at < log.size; at += CHECK_WATCHED ? 7 : 1) {
        if (at == 4 + 17) /* outside of the checksum */
            continue;
        struct diag diags[2];
        log.bytes[at] ^= (uint8_t)(1u << at % 8);
        for (int i = 0; i < 2; i++) {
            struct binlog_run run = run_of(log.size, SIZE_MAX, 0, 1);
            run.options = &usual_options;
            run.is_unwalked = i;
            EXPECT(run_file(&run, log.bytes, log.size, "log", &diags[i]) == STEP_FAILED);
        }
        EXPECT(diags[0].err == ERR_INPUT && strcmp(diags[0].what, diags[1].what) == 0);
        log.bytes[at] ^= (uint8_t)(1u << at % 8);
    }
    log_free(&log);
}
