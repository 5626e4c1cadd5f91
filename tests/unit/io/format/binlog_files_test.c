/* tests/unit/io/format/binlog_files_test.c: every recorded, real and damaged binlog of fixtures/binlogs
 * against its expected rows or its named refusal.
 *
 * The expected rows are held against ours column by column: numbers that are printed as text in several ways
 * (FLOAT, DOUBLE) as numbers, bytes against their hex, all else as text.
 */
#include "tests/support/check_test.h"

#include "tests/support/binlog_run.h"
#include <jansson.h>
#include <zlib.h>

#define FOLDER "fixtures/binlogs/"

static const struct binlog_options everything = {.unnamed_ok = 1};

/* A line of text of any length from a file that may be packed. NULL at its end. */
static char *read_line(gzFile f)
{
    size_t room = 1 << 16, size = 0;
    char *line = malloc(room);
    while (gzgets(f, line + size, (int)(room - size))) {
        size += strlen(line + size);
        if (size && line[size - 1] == '\n')
            return line;
        if (size + 1 == room)
            line = realloc(line, room *= 2);
    }
    if (size)
        return line;
    free(line);
    return NULL;
}

static int is_hex_of(const char *expected, const struct kept_value *value)
{
    if (strncmp(expected, "0x", 2) != 0 || strlen(expected) != 2 + value->size * 2)
        return 0;
    for (size_t i = 0; i < value->size; i++) {
        char hex[3];
        snprintf(hex, sizeof hex, "%02x", (unsigned char)value->text[i]);
        if (strncmp(expected + 2 + 2 * i, hex, 2) != 0)
            return 0;
    }
    return 1;
}

static int is_same_number(const char *expected, const char *text)
{
    char *end_a, *end_b;
    double a = strtod(expected, &end_a), b = strtod(text, &end_b);
    return *expected && *text && *end_a == 0 && *end_b == 0 && a == b && strpbrk(expected, ".eE0") != NULL;
}

/* JSON as text: the same value, whatever the spaces. */
static int is_same_json(const char *expected, const char *text)
{
    json_t *a = json_loads(expected, JSON_DECODE_ANY, NULL), *b = json_loads(text, JSON_DECODE_ANY, NULL);
    int same = a && b && (*expected == '{' || *expected == '[' || *expected == '"') && json_equal(a, b);
    json_decref(a);
    json_decref(b);
    return same;
}

static int is_same(const char *expected, const struct kept_value *value)
{
    if (strlen(expected) == value->size && memcmp(expected, value->text, value->size) == 0)
        return 1;
    if (is_hex_of(expected, value) || is_same_number(expected, value->text) ||
        is_same_json(expected, value->text))
        return 1;
    if (strncmp(expected, "raw:", 4) == 0 && strstr(expected, "0x"))
        return is_hex_of(strstr(expected, "0x"), value);
    /* The fixtures print TIMESTAMP's zero as an epoch. */
    return strncmp(value->text, "0000-00-00 00:00:00", 19) == 0 && strtod(expected, NULL) == 0;
}

static int image_agrees(const char *path, const struct kept_row *row, const struct kept_value *values,
                        json_t *expected)
{
    if (!values || !expected)
        return !values && !expected;
    size_t present = 0;
    for (uint32_t i = 0; i < row->column_count; i++) {
        json_t *value = json_object_get(expected, row->names[i]);
        present += values[i].present != 0;
        int agrees = values[i].present == (value != NULL);
        if (agrees && value && json_is_null(value))
            agrees = values[i].text == NULL;
        else if (agrees && value)
            agrees = values[i].text && json_is_string(value) && is_same(json_string_value(value), &values[i]);
        if (!agrees) {
            char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : strdup("absent");
            fprintf(stderr, "%s@%llu#%u: column %s: expected %.200s, got %.200s\n", path,
                    (unsigned long long)row->event_offset, row->row_index, row->names[i], text,
                    !values[i].present ? "absent"
                    : values[i].text   ? values[i].text
                                       : "null");
            free(text);
            return 0;
        }
    }
    if (present != json_object_size(expected)) {
        fprintf(stderr, "%s@%llu#%u: %zu columns expected, %zu present\n", path,
                (unsigned long long)row->event_offset, row->row_index, json_object_size(expected), present);
        return 0;
    }
    return 1;
}

static int row_agrees(const char *path, const struct kept_row *row, json_t *expected)
{
    static const char *const ops[] = {"I", "U", "D"};
    const char *gtid = json_string_value(json_object_get(expected, "gtid"));
    int agrees = (uint64_t)json_integer_value(json_object_get(expected, "pos")) == row->event_offset &&
                 strcmp(json_string_value(json_object_get(expected, "op")), ops[row->op]) == 0 &&
                 strcmp(json_string_value(json_object_get(expected, "db")), row->database) == 0 &&
                 strcmp(json_string_value(json_object_get(expected, "table")), row->table) == 0 &&
                 (uint32_t)json_integer_value(json_object_get(expected, "ts")) == row->timestamp;
    if (agrees && gtid)
        agrees = strcmp(gtid, row->gtid) == 0 || strstr(gtid, "tagged") != NULL;
    else if (agrees)
        agrees = row->gtid[0] == 0;
    if (!agrees) {
        char *text = json_dumps(expected, 0);
        fprintf(stderr, "%s@%llu#%u: %s of %s.%s at %u, gtid %s; expected %.300s\n", path,
                (unsigned long long)row->event_offset, row->row_index, ops[row->op], row->database,
                row->table, row->timestamp, row->gtid, text);
        free(text);
        return 0;
    }
    return image_agrees(path, row, row->before, json_object_get(expected, "before")) &&
           image_agrees(path, row, row->after, json_object_get(expected, "after"));
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct kept_row *)a)->image_offset, y = ((const struct kept_row *)b)->image_offset;
    return (x > y) - (x < y);
}

/* Holds the rows against the expected ones, as far as `refused` lets them come. */
static int rows_agree(const char *path, struct binlog_run *run, const char *but_not_gtid)
{
    char name[512];
    snprintf(name, sizeof name, FOLDER "expected/%s.rows.jsonl", path);
    gzFile f = gzopen(name, "rb");
    if (!f) {
        strcat(name, ".gz");
        f = gzopen(name, "rb");
    }
    if (run->row_count)
        qsort(run->rows, run->row_count, sizeof *run->rows, by_place);
    for (size_t i = 1; i < run->row_count; i++)
        if (run->rows[i].image_offset == run->rows[i - 1].image_offset)
            return 0;
    size_t count = 0;
    int agree = 1;
    char *line;
    while (f && agree && (line = read_line(f))) {
        json_t *expected = json_loads(line, JSON_ALLOW_NUL, NULL);
        free(line);
        const char *gtid = json_string_value(json_object_get(expected, "gtid"));
        int counts = !(but_not_gtid && gtid && strcmp(gtid, but_not_gtid) == 0) &&
                     !json_is_false(json_object_get(expected, "committed"));
        if (counts && count >= run->row_count) {
            fprintf(stderr, "%s: only %zu rows\n", path, run->row_count);
            agree = 0;
        } else if (counts) {
            agree = row_agrees(path, &run->rows[count++], expected);
        }
        json_decref(expected);
    }
    if (f)
        gzclose(f);
    if (agree && count != run->row_count) {
        fprintf(stderr, "%s: %zu rows expected, %zu got\n", path, count, run->row_count);
        agree = 0;
    }
    return agree;
}

static int file_agrees(const char *path, size_t chunk, size_t want, const char *but_not_gtid)
{
    char name[512];
    snprintf(name, sizeof name, FOLDER "%s", path);
    size_t size;
    uint8_t *bytes = run_read(name, &size);
    struct binlog_run run = {.options = &everything, .chunk = chunk, .want = want, .keep = 1, .is_newest = 1};
    struct diag diag;
    int agrees = run_file(&run, bytes, size, path, &diag) == STEP_DONE;
    if (!agrees)
        fprintf(stderr, "%s: refused: %s\n", path, diag.what);
    else
        agrees = rows_agree(path, &run, but_not_gtid);
    run_free(&run);
    free(bytes);
    return agrees;
}

/* Is the file refused with these words? */
static int file_refused(const char *path, const char *words, uint64_t position)
{
    char name[512], place[64];
    snprintf(name, sizeof name, FOLDER "%s", path);
    snprintf(place, sizeof place, "@%llu: ", (unsigned long long)position);
    size_t size;
    uint8_t *bytes = run_read(name, &size);
    struct binlog_run run = {.options = &everything, .chunk = 4096, .want = 1, .keep = 1, .is_newest = 1};
    struct diag diag;
    int refused = run_file(&run, bytes, size, path, &diag) == STEP_FAILED && diag.err == ERR_INPUT &&
                  strncmp(diag.what, path, strlen(path)) == 0 && strstr(diag.what, words) &&
                  strstr(diag.what, place);
    if (!refused)
        fprintf(stderr, "%s: expected a refusal with \"%s\" and %s, got: %s\n", path, words, place,
                diag.what);
    run_free(&run);
    free(bytes);
    return refused;
}

#define AGREES(path) EXPECT(file_agrees(path, 1 << 20, 1, NULL) && file_agrees(path, 1000, 500, NULL))

TEST(mariadb_10_11_files_give_the_expected_rows)
{
    AGREES("recorded/mariadb-10.11.19/01_lifecycle/bin.000002");
    AGREES("recorded/mariadb-10.11.19/02_alter_middle_rotate/bin.000004");
    AGREES("recorded/mariadb-10.11.19/02_alter_middle_rotate/bin.000005");
    AGREES("recorded/mariadb-10.11.19/04_image_minimal/bin.000009");
    AGREES("recorded/mariadb-10.11.19/05_image_noblob/bin.000011");
    AGREES("recorded/mariadb-10.11.19/06_all_types/bin.000013");
    AGREES("recorded/mariadb-10.11.19/07_charsets/bin.000015");
    AGREES("recorded/mariadb-10.11.19/09_compressed_rows/bin.000023");
    AGREES("recorded/mariadb-10.11.19/10_checksum_none/bin.000026");
    AGREES("recorded/mariadb-10.11.19/10_checksum_none/bin.000027");
    AGREES("recorded/mariadb-10.11.19/13_statement_mixed/bin.000019");
}

TEST(an_xa_transaction_that_was_rolled_back_after_its_prepare_gives_no_rows)
{
    EXPECT(file_agrees("recorded/mariadb-10.11.19/11_gtid_domains_xa/bin.000029", 1 << 20, 1, "0-101-168"));
    EXPECT(file_agrees("recorded/mariadb-10.11.19/11_gtid_domains_xa/bin.000029", 200, 1, "0-101-168"));
}

TEST(mariadb_11_8_counts_positions_itself)
{
    AGREES("recorded/mariadb-11.8.9/01_lifecycle/bin.000002");
}

TEST(mysql_5_6_files_give_the_expected_rows)
{
    AGREES("recorded/mysql-5.6.24/01_lifecycle/mysql-bin.000002");
    AGREES("recorded/mysql-5.6.24/06_all_types/mysql-bin.000013");
    AGREES("recorded/mysql-5.6.24/20_gtid_v1rows_rowsquery/mysql-bin.000029");
}

TEST(mysql_9_7_files_give_the_expected_rows)
{
    AGREES("recorded/mysql-9.7.4/01_lifecycle/binlog.000003");
    AGREES("recorded/mysql-9.7.4/02_alter_middle_rotate/binlog.000005");
    AGREES("recorded/mysql-9.7.4/02_alter_middle_rotate/binlog.000006");
    AGREES("recorded/mysql-9.7.4/03_multirow/binlog.000008");
    AGREES("recorded/mysql-9.7.4/04_image_minimal/binlog.000010");
    AGREES("recorded/mysql-9.7.4/05_image_noblob/binlog.000012");
    AGREES("recorded/mysql-9.7.4/06_all_types/binlog.000014");
    AGREES("recorded/mysql-9.7.4/07_charsets/binlog.000016");
    AGREES("recorded/mysql-9.7.4/10_checksum_none/binlog.000028");
    AGREES("recorded/mysql-9.7.4/10_checksum_none/binlog.000029");
    AGREES("recorded/mysql-9.7.4/13_statement_mixed/binlog.000019");
    AGREES("recorded/mysql-9.7.4/17_big_transaction/binlog.000021");
    AGREES("recorded/mysql-9.7.4/18_mysql_types/binlog.000037");
}

TEST(compressed_transactions_give_the_expected_rows_or_are_refused_by_name)
{
#ifdef TIEOUT_ZSTD
    AGREES("recorded/mysql-9.7.4/09_transaction_payload_zstd/binlog.000025");
    AGREES("real/osheroff+mysql-binlog-connector-java/mysql-bin.compressed");
    AGREES("real/blackbeam+rust_mysql_common/transaction_compression.000001");
#else
    EXPECT(file_refused("real/blackbeam+rust_mysql_common/transaction_compression.000001",
                        "zstd is not supported", 237));
#endif
}

TEST(files_found_in_public_give_the_expected_rows)
{
    AGREES("real/osheroff+mysql-binlog-connector-java/mysql-bin.checksum-crc32");
    AGREES("real/osheroff+mysql-binlog-connector-java/mysql-bin.checksum-none");
    AGREES("real/alibaba+canal/mysql-bin.000001");
    AGREES("real/alibaba+canal/mysql-bin.000003");
    AGREES("real/rusuly+MySqlCdc/mysql-bin.000001");
    AGREES("real/rust-us+mysql-cdc-rs/tests_events_5.7_05_intvar_log.bin");
    AGREES("real/rust-us+mysql-cdc-rs/tests_events_5.7_13_rand_log.bin");
    AGREES("real/rust-us+mysql-cdc-rs/tests_events_5.7_17_18_load_log.bin");
    AGREES("real/rust-us+mysql-cdc-rs/tests_events_5.7_29_row_query_log.bin");
    AGREES("real/rust-us+mysql-cdc-rs/tests_events_5.7_34_anonymous_gtid_log.bin");
    AGREES("real/rust-us+mysql-cdc-rs/binlog.000733");
    AGREES("real/EasyPost+rust-mysql-binlog/bin-log.000001");
    AGREES("real/Meituan-Dianping+MyFlash/haha.000008");
    AGREES("real/Meituan-Dianping+MyFlash/haha.000041");
    AGREES("real/zalora+binlog-parser/mysql-bin.01");
    AGREES("real/zalora+binlog-parser/mysql-bin.03");
    AGREES("real/zalora+binlog-parser/mysql-bin.empty");
    AGREES("real/blackbeam+rust_mysql_common/binlog-invisible-columns.000001");
    AGREES("real/blackbeam+rust_mysql_common/mysql_type_bit.000001");
    AGREES("real/blackbeam+rust_mysql_common/minimal_row_metadata.000001");
    AGREES("real/apecloud+mysql-binlog-connector-rust/mysql-bin.000080");
    AGREES("real/mariadb-operator+mariadb-poc/mariadb-repl-bin.000010");
}

TEST(partial_json_updates_are_refused_by_name_where_the_column_is_needed)
{
    EXPECT(file_refused("real/blackbeam+rust_mysql_common/json.binlog.000001", "partial JSON update", 3750));
}

TEST(compressed_columns_and_rows_that_a_savepoint_undid_are_as_the_server_had_them)
{
    const char *path = FOLDER "recorded/mariadb-10.11-debian/21_columns_savepoints/bin.000001";
    size_t size;
    uint8_t *bytes = run_read(path, &size);
    struct diag diag;
    for (size_t chunk = 50; chunk <= size; chunk += 450) {
        struct binlog_run run = {
            .options = &everything, .chunk = chunk, .want = 1, .keep = 1, .is_newest = 1};
        EXPECT(run_file(&run, bytes, size, path, &diag) == STEP_DONE && run.row_count == 11);
        if (run.row_count != 11) {
            fprintf(stderr, "%zu rows: %s\n", run.row_count, diag.what);
            run_free(&run);
            break;
        }
        qsort(run.rows, run.row_count, sizeof *run.rows, by_place);
        const struct kept_value *row = run.rows[1].after;
        EXPECT(row[1].size == 450 && memcmp(row[1].text + 447, "abc", 3) == 0);
        EXPECT(row[2].size == 50000 && memcmp(row[2].text + 49990, "long text ", 10) == 0);
        EXPECT(row[3].size == 70000 % 65535 && row[4].size == 80 * 6);
        EXPECT(strcmp(run.rows[0].after[4].text, "支付宝") == 0);
        EXPECT(run.rows[2].after[1].text && run.rows[2].after[1].size == 0 && !run.rows[3].after[1].text);
        EXPECT(run.rows[4].after[1].size == 420 && run.rows[4].after[2].size == 300);
        /* 6 stays, 7 was undone, and MyISAM's rows stay whatever became of the transactions around them. */
        EXPECT(strcmp(run.rows[7].after[0].text, "6") == 0 && strcmp(run.rows[7].table, "squeezed") == 0);
        EXPECT(strcmp(run.rows[8].after[0].text, "3") == 0 && strcmp(run.rows[8].table, "myisam_t") == 0);
        run_free(&run);
    }
    free(bytes);
}

/* An XA transaction is prepared inside of a compressed payload, and decided by an event of its own, or in the payload at once. */
TEST(xa_transactions_inside_of_compressed_payloads_count_when_they_are_committed)
{
#ifdef TIEOUT_ZSTD
    static const struct {
        const char *id, *amount;
        int op;
    } want[] = {{"1", "1.00", BINLOG_INSERT},  {"2", "2.00", BINLOG_INSERT}, {"3", "3.00", BINLOG_INSERT},
                {"1", "10.00", BINLOG_UPDATE}, {"4", "4.00", BINLOG_INSERT}, {"5", "5.00", BINLOG_INSERT},
                {"3", "30.00", BINLOG_UPDATE}, {"5", "5.00", BINLOG_DELETE}, {"1", "11.00", BINLOG_UPDATE}};
    enum { COUNT = sizeof want / sizeof *want };
    const char *path = FOLDER "recorded/mysql-9.7-debian/22_xa_in_payloads/binlog.000001";
    size_t size;
    uint8_t *bytes = run_read(path, &size);
    struct diag diag;
    for (size_t chunk = 50; chunk <= size; chunk += 150) {
        struct binlog_run run = {
            .options = &everything, .chunk = chunk, .want = 1, .keep = 1, .is_newest = 1};
        const enum step step = run_file(&run, bytes, size, path, &diag);
        EXPECT(step == STEP_DONE && run.row_count == COUNT && run.counts.groups_rolled_back == 1);
        if (step != STEP_DONE || run.row_count != COUNT) {
            fprintf(stderr, "chunks of %zu: %zu rows: %s\n", chunk, run.row_count, diag.what);
            run_free(&run);
            break;
        }
        qsort(run.rows, run.row_count, sizeof *run.rows, by_place);
        for (size_t i = 0; i < COUNT; i++) {
            const struct kept_value *row = run.rows[i].after ? run.rows[i].after : run.rows[i].before;
            EXPECT((int)run.rows[i].op == want[i].op && strcmp(row[0].text, want[i].id) == 0 &&
                   strcmp(row[2].text, want[i].amount) == 0);
        }
        run_free(&run);
    }
    free(bytes);
#endif
}

TEST(damaged_files_are_refused_with_file_and_position)
{
    EXPECT(file_refused("damaged/mysql_cut_in_event_body.bin", "the file is cut", 4598));
    EXPECT(file_refused("damaged/mysql_bitflip_row_event.bin", "checksum", 4598));
    EXPECT(file_refused("damaged/mysql_zero_tail_4096.bin", "claims 0 bytes", 8933));
    EXPECT(file_refused("damaged/mariadb_cut_in_header.bin", "inside an event header", 5018));
    EXPECT(file_refused("damaged/mariadb_event_length_5.bin", "claims 5 bytes", 5018));
    EXPECT(file_refused("damaged/mariadb_event_length_2G.bin", "goes past the file's end", 5018));
    EXPECT(file_refused("damaged/mariadb_no_table_map.bin", "no TABLE_MAP of its transaction names", 4899));
    EXPECT(file_refused("damaged/mariadb_no_format_description.bin", "FORMAT_DESCRIPTION is expected", 4));
    EXPECT(file_refused("damaged/mariadb_unknown_event_type_200.bin", "type 200", 5018));
    EXPECT(file_refused("damaged/magic_only.bin", "before its FORMAT_DESCRIPTION", 4));
    EXPECT(file_refused("damaged/empty.bin", "empty", 0));
    EXPECT(file_refused("real/blackbeam+rust_mysql_common/binlog_truncated_event.000001",
                        "inside an event header", 4));
}

TEST(a_file_cut_between_events_gives_whole_transactions_only)
{
    EXPECT(file_agrees("damaged/mariadb_cut_before_commit.bin", 1 << 20, 1, NULL));
}

TEST(an_unknown_event_that_may_be_ignored_is_skipped)
{
    EXPECT(file_agrees("damaged/mariadb_unknown_ignorable_event.bin", 1 << 20, 1, NULL));
}

TEST(a_change_that_the_checksum_cannot_see_does_no_harm)
{
    EXPECT(file_refused("damaged/mariadb_bitflip_crc_recomputed.bin", "", 5018) ||
           file_agrees("damaged/mariadb_bitflip_crc_recomputed.bin", 1 << 20, 1, NULL));
}
