/* tests/unit/io/format/binlog_cuts_test.c: the same binlog in pieces of every size, cut at every byte, and
 * with every byte flipped.
 */
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
        for (size_t chunk = 1; chunk <= size; chunk += chunk < 200 ? 1 : 97) {
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
