/* tests/unit/io/format/binlog_walk_test.c: groups and how they end, statements that hide rows, tables and
 * columns: with events that are written here, since no server records them on demand.
 */
#include "tests/support/check_test.h"

#include "tests/support/binlog_run.h"
#include "tests/support/binlog_write.h"

static const char *const columns[] = {"id", "amount"};
static const char *const signed_columns[] = {"id unsigned", "amount signed"};
static const struct binlog_watch watch = {"shop", "orders", columns, 2};
static const struct binlog_options watching = {.watch = &watch, .watch_count = 1};

/* Two INTs. */
static const uint8_t two_ints[] = {3, 3};

static void put_table(struct log *log, uint64_t id, const char *table)
{
    log_table(log, id, "shop", table, two_ints, 2, NULL, 0, NULL, 0);
}

static void put_row(struct log *log, uint64_t id, uint32_t key, uint32_t amount)
{
    struct body b = {.size = 0};
    body_le(&b, 0, 1);
    body_le(&b, key, 4);
    body_le(&b, amount, 4);
    log_rows(log, EVENT_WRITE_ROWS, id, 2, b.bytes, b.size);
}

static void put_group(struct log *log, uint32_t key)
{
    log_query(log, "shop", "BEGIN");
    put_table(log, 5, "orders");
    put_row(log, 5, key, 100);
    log_xid(log);
}

/* Decodes; `words` NULL: it is accepted, else refused with these words. */
static int outcome_with(struct log *log, const struct binlog_options *options, const char *words,
                        struct binlog_run *run)
{
    struct diag diag;
    *run = (struct binlog_run){.options = options, .chunk = 64, .want = 1, .keep = 1, .is_newest = 1};
    enum step step = run_file(run, log->bytes, log->size, "log", &diag);
    int right = words ? step == STEP_FAILED && (strstr(diag.what, words) || strstr(diag.hint, words))
                      : step == STEP_DONE;
    if (!right)
        fprintf(stderr, "expected %s, got: %s\n", words ? words : "no refusal",
                step == STEP_FAILED ? diag.what : "done");
    return right;
}

static int outcome(struct log *log, const char *words, size_t row_count)
{
    struct binlog_run run;
    int right = outcome_with(log, &watching, words, &run) && (words || run.row_count == row_count);
    if (!words && run.row_count != row_count)
        fprintf(stderr, "expected %zu rows, got %zu\n", row_count, run.row_count);
    run_free(&run);
    return right;
}

TEST(a_rolled_back_and_an_unfinished_transaction_count_for_nothing)
{
    struct log log = {0};
    log_begin(&log, "8.0.36");
    put_group(&log, 1);
    log_query(&log, "shop", "BEGIN");
    put_table(&log, 5, "orders");
    put_row(&log, 5, 2, 100);
    log_query(&log, "shop", "ROLLBACK");
    put_group(&log, 3);
    log_query(&log, "shop", "BEGIN");
    put_table(&log, 5, "orders");
    put_row(&log, 5, 4, 100);
    struct binlog_run run;
    EXPECT(outcome_with(&log, &watching, NULL, &run));
    EXPECT(run.row_count == 2 && run.counts.groups_rolled_back == 1 && run.counts.groups_unfinished == 1);
    EXPECT(run.row_count == 2 && strcmp(run.rows[0].after[0].text, "1") == 0 &&
           strcmp(run.rows[1].after[0].text, "3") == 0);
    run_free(&run);
    log_free(&log);
}

TEST(groups_that_do_not_fit_together_are_refused)
{
    struct log log = {0};
    log_begin(&log, "8.0.36");
    log_query(&log, "shop", "BEGIN");
    log_gtid(&log, 7);
    EXPECT(outcome(&log, "GTID inside", 0));
    log_begin(&log, "8.0.36");
    log_query(&log, "shop", "BEGIN");
    log_query(&log, "shop", "BEGIN");
    EXPECT(outcome(&log, "begins inside", 0));
    log_begin(&log, "8.0.36");
    put_table(&log, 5, "orders");
    EXPECT(outcome(&log, "outside of a transaction", 0));
    log_begin(&log, "8.0.36");
    log_xid(&log);
    EXPECT(outcome(&log, "XID without", 0));
    log_begin(&log, "8.0.36");
    log_query(&log, "shop", "BEGIN");
    log_rotate(&log, "next.000002");
    EXPECT(outcome(&log, "inside the transaction", 0));
    log_begin(&log, "8.0.36");
    put_group(&log, 1);
    log_query(&log, "shop", "BEGIN");
    put_row(&log, 5, 2, 100);
    log_xid(&log);
    EXPECT(outcome(&log, "no TABLE_MAP of its transaction", 0));
    log_begin(&log, "8.0.36");
    log_event(&log, EVENT_INCIDENT, "\1\0\0", 3);
    EXPECT(outcome(&log, "lost changes", 0));
    log_begin(&log, "11.4.2-MariaDB");
    log_event(&log, EVENT_START_ENCRYPTION, "\1\0\0\0\0", 5);
    EXPECT(outcome(&log, "encrypted", 0));
    log_free(&log);
}

TEST(a_table_id_means_what_the_last_table_map_of_its_transaction_says)
{
    struct log log = {0};
    log_begin(&log, "8.0.36");
    for (int i = 0; i < 600; i++) {
        log_query(&log, "shop", "BEGIN");
        put_table(&log, 5, i % 2 ? "orders" : "others");
        put_table(&log, 100 + (uint64_t)i, "orders");
        put_row(&log, 5, (uint32_t)i, 100);
        put_row(&log, 100 + (uint64_t)i, (uint32_t)i, 100);
        log_xid(&log);
    }
    EXPECT(outcome(&log, NULL, 900));
    log_free(&log);
}

static int statement_is(const char *database, const char *text, enum statement_kind kind, int watch_index)
{
    struct statement s;
    binlog_statement_read(&s, span_of(database), span_of(text), &watching);
    if (s.kind != kind || s.watch_index != watch_index)
        fprintf(stderr, "\"%s\": kind %d watch %d\n", text, s.kind, s.watch_index);
    return s.kind == kind && s.watch_index == watch_index;
}

TEST(statements_are_told_apart_by_what_they_may_do_to_a_watched_table)
{
    EXPECT(statement_is("shop", "INSERT INTO orders VALUES(1)", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("SHOP", "insert into `Orders` select 1", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("other", "UPDATE shop.orders SET a=1", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("other", "UPDATE `shop` . `orders` SET a=1", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("other", "DELETE FROM orders", STATEMENT_CHANGES, -1));
    EXPECT(statement_is("shop", "DELETE FROM other.orders", STATEMENT_CHANGES, -1));
    EXPECT(statement_is("", "REPLACE orders VALUES(1)", STATEMENT_CHANGES, 0));
    EXPECT(
        statement_is("shop", "/* orders */ INSERT INTO t VALUES('orders') -- orders", STATEMENT_CHANGES, -1));
    EXPECT(statement_is("shop", "/*!50000 INSERT */ INTO t SELECT * FROM \"orders\"", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("shop", "WITH x AS (SELECT 1) UPDATE orders SET a=1", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("shop", "LOAD DATA INFILE 'x' INTO TABLE orders", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("shop", "CREATE TABLE orders SELECT * FROM t", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("shop", "CREATE TABLE orders (id INT)", STATEMENT_DDL, 0));
    EXPECT(statement_is("shop", "CREATE OR REPLACE TABLE orders (id INT)", STATEMENT_ERASES, 0));
    EXPECT(statement_is("shop", "TRUNCATE orders", STATEMENT_ERASES, 0));
    EXPECT(
        statement_is("shop", "DROP TABLE IF EXISTS `orders` /* generated by server */", STATEMENT_ERASES, 0));
    EXPECT(statement_is("shop", "DROP INDEX a ON orders", STATEMENT_OTHER, -1));
    EXPECT(statement_is("x", "DROP DATABASE shop", STATEMENT_ERASES, 0));
    EXPECT(statement_is("shop", "ALTER TABLE orders ADD COLUMN x INT", STATEMENT_DDL, 0));
    EXPECT(statement_is("shop", "ALTER TABLE orders DROP COLUMN x", STATEMENT_DDL, 0));
    EXPECT(statement_is("shop", "ALTER TABLE orders RENAME COLUMN a TO b", STATEMENT_DDL, 0));
    EXPECT(statement_is("shop", "ALTER TABLE orders DROP PARTITION p0", STATEMENT_ERASES, 0));
    EXPECT(statement_is("shop", "ALTER TABLE orders TRUNCATE PARTITION p0", STATEMENT_ERASES, 0));
    EXPECT(statement_is("shop", "RENAME TABLE orders TO o2, o3 TO orders", STATEMENT_ERASES, 0));
    EXPECT(statement_is("shop", "rename table orders to _orders_del, `_orders_gho` to orders", STATEMENT_DDL,
                        0));
    EXPECT(statement_is("shop", "SET STATEMENT a=1 FOR UPDATE orders SET b=2", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("shop", "SET PASSWORD FOR orders='x'", STATEMENT_OTHER, -1));
    EXPECT(statement_is("shop", "BEGIN", STATEMENT_BEGIN, -1));
    EXPECT(statement_is("shop", "ROLLBACK TO `a`", STATEMENT_ROLLBACK_TO, -1));
    EXPECT(statement_is("shop", "rollback", STATEMENT_ROLLBACK, -1));
    EXPECT(statement_is("shop", "XA COMMIT X'6131',X'',1", STATEMENT_XA_COMMIT, -1));
    EXPECT(statement_is("shop", "GRANT ALL ON orders TO x", STATEMENT_OTHER, -1));
    EXPECT(statement_is("shop", "", STATEMENT_OTHER, -1));
    EXPECT(statement_is("shop", "'", STATEMENT_CHANGES, -1));
    /* With sql_mode NO_BACKSLASH_ESCAPES the text ends at the first quote, without at the last. */
    EXPECT(
        statement_is("shop", "UPDATE t JOIN u ON a='\\' JOIN orders ON b='' SET c=1", STATEMENT_CHANGES, 0));
    EXPECT(statement_is("shop", "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `orders`", STATEMENT_OTHER, -1));
}

TEST(a_statement_on_a_watched_table_is_refused_and_others_are_counted)
{
    struct log log = {0};
    log_begin(&log, "8.0.36");
    put_group(&log, 1);
    log_query(&log, "shop", "BEGIN");
    log_query(&log, "shop", "UPDATE t SET a=1");
    log_xid(&log);
    struct binlog_run run;
    EXPECT(outcome_with(&log, &watching, NULL, &run) && run.counts.statements_unwatched == 1);
    run_free(&run);
    log_query(&log, "shop", "BEGIN");
    log_query(&log, "shop", "UPDATE orders SET a=1");
    log_xid(&log);
    EXPECT(outcome(&log, "binlog_format=ROW", 0));
    log_free(&log);
}

TEST(rows_that_go_without_images_are_refused_once_there_are_rows)
{
    struct log log = {0};
    log_begin(&log, "8.0.36");
    log_query(&log, "shop", "DROP TABLE IF EXISTS orders");
    log_query(&log, "shop", "CREATE TABLE orders (id INT, amount INT)");
    put_group(&log, 1);
    log_query(&log, "shop", "ALTER TABLE orders ADD KEY (amount)");
    log_query(&log, "shop", "TRUNCATE t2");
    EXPECT(outcome(&log, NULL, 1));
    log_query(&log, "shop", "TRUNCATE TABLE orders");
    EXPECT(outcome(&log, "without row images", 0));
    log_free(&log);
}

/* A row of its own statement. */
static void put_statement(struct log *log, uint32_t key)
{
    put_table(log, 5, "orders");
    put_row(log, 5, key, 100);
}

TEST(what_a_rollback_to_a_savepoint_undid_counts_for_nothing)
{
    struct log log = {0};
    log_begin(&log, "8.0.36");
    log_query(&log, "shop", "BEGIN");
    put_statement(&log, 1);
    log_query(&log, "shop", "SAVEPOINT `a`");
    put_statement(&log, 2);
    log_query(&log, "shop", "SAVEPOINT b");
    put_statement(&log, 3);
    log_query(&log, "shop", "ROLLBACK TO b");
    put_statement(&log, 4);
    size_t here = log.size;
    log_xid(&log);
    put_group(&log, 9);
    struct binlog_run run;
    EXPECT(outcome_with(&log, &watching, NULL, &run) && run.row_count == 4 && run.counts.groups == 2);
    run_free(&run);
    log.size = here;
    log_query(&log, "shop", "ROLLBACK TO SAVEPOINT `A`");
    put_statement(&log, 5);
    size_t second = log.size;
    log_xid(&log);
    EXPECT(outcome_with(&log, &watching, NULL, &run) && run.row_count == 2);
    EXPECT(run.row_count == 2 && strcmp(run.rows[1].after[0].text, "5") == 0);
    run_free(&run);
    log.size = second;
    log_query(&log, "shop", "ROLLBACK TO b");
    EXPECT(outcome(&log, "never set", 0));
    log_free(&log);
}

TEST(signs_that_the_log_does_not_say_stop_at_the_first_value_where_it_matters)
{
    static const struct binlog_watch with_signs = {"shop", "orders", signed_columns, 2};
    static const struct binlog_options knowing = {.watch = &with_signs, .watch_count = 1};
    struct log log = {0};
    log_begin(&log, "5.7.40-log");
    log_query(&log, "shop", "BEGIN");
    put_table(&log, 5, "orders");
    put_row(&log, 5, 0x7fffffff, 1);
    size_t here = log.size;
    log_xid(&log);
    EXPECT(outcome(&log, NULL, 1));
    log.size = here;
    put_row(&log, 5, 0xfffffffe, 0xfffffffe);
    log_xid(&log);
    EXPECT(outcome(&log, "UNSIGNED", 0));
    struct binlog_run run;
    EXPECT(outcome_with(&log, &knowing, NULL, &run) && run.row_count == 2);
    EXPECT(run.row_count == 2 && strcmp(run.rows[1].after[0].text, "4294967294") == 0 &&
           strcmp(run.rows[1].after[1].text, "-2") == 0);
    run_free(&run);
    log_free(&log);
}

TEST(columns_that_nobody_names_or_that_are_named_wrongly_are_refused)
{
    static const struct binlog_watch unnamed = {"shop", "orders", NULL, 0},
                                     short_list = {"shop", "orders", columns, 1};
    const struct binlog_options a = {.watch = &unnamed, .watch_count = 1},
                                b = {.watch = &short_list, .watch_count = 1};
    struct log log = {0};
    struct binlog_run run;
    log_begin(&log, "5.7.40-log");
    put_group(&log, 1);
    EXPECT(outcome_with(&log, &a, "binlog_row_metadata=FULL", &run));
    EXPECT(outcome_with(&log, &b, "has 2 columns here", &run));
    log_free(&log);
}

TEST(null_bits_are_right_for_every_number_of_columns)
{
    const struct binlog_options all = {.unnamed_ok = 1};
    for (size_t count = 1; count <= 40; count++) {
        struct log log = {0};
        uint8_t types[40];
        memset(types, 1, sizeof types);
        log_begin(&log, "5.7.40-log");
        log_query(&log, "shop", "BEGIN");
        log_table(&log, 9, "shop", "wide", types, count, NULL, 0, NULL, 0);
        struct body b = {.size = 0};
        for (size_t null = 0; null < count; null++) {
            for (size_t k = 0; k < count; k += 8)
                body_le(&b, null / 8 == k / 8 ? 1u << (null % 8) : 0, 1);
            for (size_t k = 0; k < count; k++)
                if (k != null)
                    body_le(&b, k, 1);
        }
        log_rows(&log, EVENT_WRITE_ROWS, 9, count, b.bytes, b.size);
        log_xid(&log);
        struct binlog_run run;
        EXPECT(outcome_with(&log, &all, NULL, &run) && run.row_count == count);
        for (size_t null = 0; null < run.row_count; null++)
            for (size_t k = 0; k < count; k++)
                EXPECT(k == null ? run.rows[null].after[k].text == NULL
                                 : (size_t)atoi(run.rows[null].after[k].text) == k);
        run_free(&run);
        log_free(&log);
    }
}

TEST(bits_sets_and_enums_are_right_at_their_widest)
{
    const struct binlog_options all = {.unnamed_ok = 1};
    struct log log = {0};
    /* BIT(64), BIT(9), SET of 64, ENUM in two bytes, CHAR of 1020 bytes, VARCHAR of 255 and of 256 bytes. */
    static const uint8_t types[] = {16, 16, 254, 254, 254, 15, 15};
    static const uint8_t metadata[] = {0, 8, 1, 1, 248, 8, 247, 2, 0xce, 0xfc, 255, 0, 0, 1};
    struct body optional = {.size = 0};
    body_le(&optional, 5, 1); /* labels of the SET: s0 ... s63 */
    body_le(&optional, 1 + 10 * 2 + 54 * 3 + 64 - 64 + 0, 1);
    size_t size_at = optional.size - 1, begin = optional.size;
    body_le(&optional, 64, 1);
    for (int i = 0; i < 64; i++) {
        char label[8];
        int n = snprintf(label, sizeof label, "s%d", i);
        body_le(&optional, (uint64_t)n, 1);
        body_bytes(&optional, label, (size_t)n);
    }
    optional.bytes[size_at] = (uint8_t)(optional.size - begin);
    EXPECT(optional.size - begin < 251);
    log_begin(&log, "8.0.36");
    log_query(&log, "shop", "BEGIN");
    log_table(&log, 9, "shop", "wide", types, 7, metadata, sizeof metadata, optional.bytes, optional.size);
    struct body b = {.size = 0};
    body_le(&b, 0, 1);
    body_be(&b, UINT64_MAX - 1, 8);
    body_be(&b, 257, 2);
    body_le(&b, (uint64_t)1 << 63 | 1 << 12 | 1, 8);
    body_le(&b, 300, 2);
    body_le(&b, 1020, 2);
    for (int i = 0; i < 1020; i++)
        body_le(&b, 'c', 1);
    body_le(&b, 2, 1);
    body_bytes(&b, "ab", 2);
    body_le(&b, 3, 2);
    body_bytes(&b, "xyz", 3);
    log_rows(&log, EVENT_WRITE_ROWS, 9, 7, b.bytes, b.size);
    log_xid(&log);
    struct binlog_run run;
    EXPECT(outcome_with(&log, &all, NULL, &run) && run.row_count == 1);
    if (run.row_count == 1) {
        const struct kept_value *v = run.rows[0].after;
        EXPECT(strcmp(v[0].text, "18446744073709551614") == 0);
        EXPECT(strcmp(v[1].text, "257") == 0);
        EXPECT(strcmp(v[2].text, "s0,s12,s63") == 0);
        EXPECT(strcmp(v[3].text, "#300") == 0);
        EXPECT(v[4].size == 1020);
        EXPECT(strcmp(v[5].text, "ab") == 0 && strcmp(v[6].text, "xyz") == 0);
    }
    run_free(&run);
    log_free(&log);
}

TEST(columns_that_are_not_needed_are_absent_and_the_needed_ones_are_found_by_name)
{
    static const char *const needed[] = {"amount", "status"};
    const struct binlog_options options = {
        .watch = &watch, .watch_count = 1, .needed = needed, .needed_count = 2};
    struct log log = {0};
    log_begin(&log, "8.0.36");
    put_group(&log, 1);
    struct diag diag = {0};
    struct binlog_walk *walk = NULL;
    struct binlog_rows *rows = NULL;
    size_t taken, count;
    EXPECT(binlog_walk_open(&walk, &options, &diag) == OK && binlog_rows_open(&rows, &options, &diag) == OK);
    binlog_walk_file(walk, "log", 0, log.size);
    EXPECT(binlog_walk_step(walk, log.bytes, log.size, 0, log.size, &taken, &diag) == STEP_DONE &&
           taken == log.size);
    struct binlog_piece piece = {"log", log.bytes, log.size, 0, binlog_walk_format(walk), NULL, 0, 0, 0};
    piece.groups = binlog_walk_groups(walk, &count);
    piece.group_count = count;
    binlog_rows_begin(rows, &piece);
    const struct binlog_row *row;
    EXPECT(binlog_rows_step(rows, &row, &diag) == STEP_MORE);
    EXPECT(row->after[0].kind == CELL_ABSENT && row->after[1].kind == CELL_INT && row->after[1].i64 == 100);
    EXPECT(row->table->needed[0] == 1 && row->table->needed[1] == -1 && row->after_present[0] == 3);
    EXPECT(binlog_rows_step(rows, &row, &diag) == STEP_DONE);
    EXPECT(binlog_walk_end(walk, 1, 0, &diag) == OK);
    binlog_rows_close(rows);
    binlog_walk_close(walk);
    log_free(&log);
}

/* A row of (INT, JSON) whose JSON is told by what changed. `present`: of the image before. */
static void put_partial(struct log *log, unsigned present, unsigned options)
{
    static const uint8_t object[] = {0, 1, 0, 12, 0, 11, 0, 1, 0, 5, 5, 0, 'a'}; /* {"a": 5} */
    static const uint8_t changes[] = {0, 3, '$', '.', 'a', 3, 5, 7, 0, 1, 4, '$', '.', 'b', 'c', 2, 4, 1};
    struct body b = {.size = 0};
    log_query(log, "shop", "BEGIN");
    log_table(log, 5, "shop", "orders", (const uint8_t[]){3, 245}, 2, "\4", 1, NULL, 0);
    body_le(&b, 5, 6);
    body_le(&b, 1, 2);
    body_le(&b, 2, 2);
    body_length(&b, 2);
    body_le(&b, present, 1);
    body_le(&b, 3, 1);
    body_le(&b, 0, 1);
    body_le(&b, 1, 4);
    if (present & 2) {
        body_le(&b, sizeof object, 4);
        body_bytes(&b, object, sizeof object);
    }
    body_le(&b, options, 1);
    if (options & 1)
        body_le(&b, 1, 1);
    body_le(&b, 0, 1);
    body_le(&b, 1, 4);
    body_le(&b, sizeof changes, 4);
    body_bytes(&b, changes, sizeof changes);
    log_event(log, EVENT_PARTIAL_UPDATE_ROWS, b.bytes, b.size);
    log_xid(log);
}

TEST(json_that_is_told_by_its_changes_is_laid_over_the_value_before)
{
    static const char *const names[] = {"id signed", "doc"};
    static const char *const needed[] = {"id"};
    static const struct binlog_watch table = {"shop", "orders", names, 2};
    static const struct binlog_options all = {.watch = &table, .watch_count = 1},
                                       without = {.watch = &table,
                                                  .watch_count = 1,
                                                  .needed = needed,
                                                  .needed_count = 1};
    struct log log = {0};
    struct binlog_run run;
    log_begin(&log, "8.0.36");
    put_partial(&log, 3, 1);
    EXPECT(outcome_with(&log, &all, NULL, &run));
    EXPECT(run.row_count == 1 && strcmp(run.rows[0].before[1].text, "{\"a\": 5}") == 0 &&
           strcmp(run.rows[0].after[1].text, "{\"a\": 7, \"bc\": true}") == 0);
    run_free(&run);
    /* Nothing to lay it over; but who does not need it does not care. */
    log_begin(&log, "8.0.36");
    put_partial(&log, 1, 1);
    EXPECT(outcome_with(&log, &all, "does not hold the value that it changes", &run));
    run_free(&run);
    EXPECT(outcome_with(&log, &without, NULL, &run) && run.row_count == 1);
    run_free(&run);
    log_begin(&log, "8.0.36");
    put_partial(&log, 3, 3);
    EXPECT(outcome_with(&log, &all, "options that are not supported", &run));
    run_free(&run);
    log_free(&log);
}

TEST(what_claims_to_be_larger_than_its_bytes_can_hold_is_refused_without_taking_memory)
{
    struct log log = {0};
    /* TRANSACTION_PAYLOAD: type zstd, uncompressed size 2^40, no payload to speak of. */
    static const uint8_t payload[] = {2, 1, 0, 1, 1, 4, 3, 9,    0xfe, 0,    0,
                                      0, 0, 0, 1, 0, 0, 0, 0x28, 0xb5, 0x2f, 0xfd};
    log_begin(&log, "8.0.36");
    log_gtid(&log, 1);
    log_event(&log, EVENT_TRANSACTION_PAYLOAD, payload, sizeof payload);
    EXPECT(outcome(&log, "TRANSACTION_PAYLOAD", 0));
    /* MariaDB's compressed rows: 2 GiB of 5 bytes. */
    log_begin(&log, "10.11.2-MariaDB");
    log_query(&log, "shop", "BEGIN");
    put_table(&log, 5, "orders");
    struct body b = {.size = 0};
    body_le(&b, 5, 6);
    body_le(&b, 1, 2);
    body_length(&b, 2);
    body_le(&b, 3, 1);
    body_bytes(&b, "\x84\x80\0\0\0abc", 8);
    log_event(&log, EVENT_WRITE_ROWS_COMPRESSED_V1, b.bytes, b.size);
    log_xid(&log);
    EXPECT(outcome(&log, "head of the compressed rows", 0));
    log_free(&log);
}

static void put_xa(struct log *log, const char *name, uint32_t key)
{
    char text[64];
    snprintf(text, sizeof text, "XA START X'%s',X'',1", name);
    log_query(log, "shop", text);
    put_table(log, 5, "orders");
    put_row(log, 5, key, 100);
    snprintf(text, sizeof text, "XA END X'%s',X'',1", name);
    log_query(log, "shop", text);
    struct body b = {.size = 0};
    body_le(&b, 0, 1);
    body_le(&b, 1, 4);
    body_le(&b, strlen(name) / 2, 4);
    body_le(&b, 0, 4);
    for (size_t i = 0; i < strlen(name); i += 2) {
        char hex[3] = {name[i], name[i + 1], 0};
        body_le(&b, strtoul(hex, NULL, 16), 1);
    }
    log_event(log, EVENT_XA_PREPARE, b.bytes, b.size);
}

TEST(an_xa_transaction_counts_when_its_commit_comes_even_in_a_later_file)
{
    struct log first = {0}, second = {0};
    log_begin(&first, "8.0.36");
    put_xa(&first, "6131", 1);
    put_xa(&first, "6132", 2);
    put_xa(&first, "6133", 3);
    put_group(&first, 4);
    log_rotate(&first, "log.000002");
    log_begin(&second, "8.0.36");
    log_query(&second, "", "XA COMMIT X'6131',X'',1");
    log_query(&second, "", "XA ROLLBACK X'6132',X'',1");
    struct diag diag = {0};
    struct binlog_walk *walk = NULL;
    size_t taken, count;
    EXPECT(binlog_walk_open(&walk, &watching, &diag) == OK);
    binlog_walk_file(walk, "log.000001", 3, first.size);
    EXPECT(binlog_walk_step(walk, first.bytes, first.size, 0, first.size, &taken, &diag) == STEP_DONE);
    const struct binlog_group *groups = binlog_walk_groups(walk, &count);
    EXPECT(count == 1 && groups[0].committed && groups[0].touches_watched);
    EXPECT(strcmp(binlog_walk_next_name(walk), "log.000002") == 0);
    EXPECT(binlog_walk_end(walk, 0, 0, &diag) == OK);
    binlog_walk_file(walk, "log.000002", 4, second.size);
    EXPECT(binlog_walk_step(walk, second.bytes, second.size, 0, second.size, &taken, &diag) == STEP_DONE);
    groups = binlog_walk_behind(walk, &count);
    EXPECT(count == 2 && groups[0].xa && groups[0].committed && groups[0].file_index == 3 &&
           !groups[1].committed);
    /* The row of the committed one, from the older file. */
    struct binlog_rows *rows = NULL;
    const struct binlog_row *row;
    EXPECT(binlog_rows_open(&rows, &watching, &diag) == OK);
    struct binlog_piece piece = {"log.000001",
                                 first.bytes + groups[0].begin,
                                 (size_t)(groups[0].end - groups[0].begin),
                                 groups[0].begin,
                                 binlog_walk_format(walk),
                                 &groups[0],
                                 1,
                                 0,
                                 0};
    binlog_rows_begin(rows, &piece);
    EXPECT(binlog_rows_step(rows, &row, &diag) == STEP_MORE && row->after[0].i64 == 1);
    EXPECT(binlog_rows_step(rows, &row, &diag) == STEP_DONE);
    EXPECT(binlog_walk_end(walk, 1, 0, &diag) == OK);
    EXPECT(binlog_walk_counts(walk)->groups_unfinished == 1);
    binlog_rows_close(rows);
    binlog_walk_close(walk);

    log_begin(&second, "8.0.36");
    log_query(&second, "", "XA COMMIT X'6131',X'',1");
    EXPECT(outcome(&second, "XA PREPARE is in none of the files", 0));
    log_free(&first);
    log_free(&second);
}

TEST(a_file_that_is_not_the_newest_must_end_with_rotate_or_stop)
{
    struct log log = {0};
    struct diag diag;
    struct binlog_run run = {.options = &watching, .chunk = 100, .want = 1};
    log_begin(&log, "8.0.36");
    put_group(&log, 1);
    EXPECT(run_file(&run, log.bytes, log.size, "log", &diag) == STEP_FAILED &&
           strstr(diag.what, "ROTATE or STOP"));
    size_t here = log.size;
    log_rotate(&log, "log.000002");
    EXPECT(run_file(&run, log.bytes, log.size, "log", &diag) == STEP_DONE);
    EXPECT(strcmp(run.next_name, "log.000002") == 0);
    log.size = here;
    log_event(&log, EVENT_STOP, NULL, 0);
    EXPECT(run_file(&run, log.bytes, log.size, "log", &diag) == STEP_DONE);
    log_free(&log);
}

/* MySQL 8.3's integers: as many one-bits at the low end of the first byte as bytes follow. */
static void put_varlen(struct body *b, uint64_t value)
{
    unsigned more = 0;
    while (more < 8 && value >> (7 * (more + 1)))
        more++;
    if (more == 8) {
        body_le(b, 0xff, 1);
        body_le(b, value, 8);
        return;
    }
    body_le(b, value << (more + 1) | ((1u << more) - 1), more + 1);
}

TEST(gtids_of_all_families_are_read_and_printed)
{
    struct body b = {.size = 0};
    put_varlen(&b, 1);
    put_varlen(&b, 59);
    put_varlen(&b, 0);
    put_varlen(&b, 0);
    put_varlen(&b, 1);
    put_varlen(&b, 1);
    for (unsigned i = 0; i < 16; i++)
        put_varlen(&b, 0xf0 + i);
    put_varlen(&b, 2);
    put_varlen(&b, (uint64_t)INT64_MAX * 2);
    put_varlen(&b, 3);
    put_varlen(&b, 6);
    body_bytes(&b, "foobaz", 6);
    struct log log = {0};
    log_event(&log, EVENT_GTID_TAGGED, b.bytes, b.size);
    struct binlog_event event;
    struct binlog_gtid gtid;
    unsigned flags;
    char text[BINLOG_GTID_TEXT_MAX];
    event_read(&event, log.bytes, 0, 4);
    EXPECT(binlog_gtid_read(&gtid, &event, &flags));
    binlog_gtid_print(text, &gtid);
    EXPECT(strcmp(text, "f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff:foobaz:9223372036854775807") == 0);
    for (event.body_size = 0; event.body_size < b.size; event.body_size++)
        EXPECT(!binlog_gtid_read(&gtid, &event, &flags));
    log.size = 0;
    log_gtid(&log, 77);
    event_read(&event, log.bytes, 0, 4);
    EXPECT(binlog_gtid_read(&gtid, &event, &flags));
    binlog_gtid_print(text, &gtid);
    EXPECT(strcmp(text, "00010203-0405-0607-0809-0a0b0c0d0e0f:77") == 0);
    log_free(&log);
}

TEST(files_of_other_kinds_are_refused_by_name)
{
    struct diag diag;
    struct binlog_run run = {.options = &watching, .chunk = 100, .want = 1, .is_newest = 1};
    EXPECT(run_file(&run, (const uint8_t *)"\xfd\x62\x69\x6e\0\0\0\0", 8, "x", &diag) == STEP_FAILED &&
           strstr(diag.what, "encrypted binlog not supported"));
    EXPECT(run_file(&run, (const uint8_t *)"\x1f\x8b\x08\0\0\0\0\0", 8, "x", &diag) == STEP_FAILED &&
           strstr(diag.what, "gzip"));
    EXPECT(run_file(&run, (const uint8_t *)"id,amount\n", 10, "x", &diag) == STEP_FAILED &&
           strstr(diag.what, "not a binlog"));
    EXPECT(run_file(&run, (const uint8_t *)"\xfe", 1, "x", &diag) == STEP_FAILED &&
           strstr(diag.what, "x@0: "));
}

static const struct binlog_options all = {.unnamed_ok = 1};
static size_t parts_read, rows_further;

static int row_is(const struct kept_row *kept, const struct binlog_row *row)
{
    struct binlog_run once = {.options = &all, .keep = 1};
    run_keep(&once, row);
    const struct kept_row *got = &once.rows[0];
    int equal = got->image_offset == kept->image_offset && got->op == kept->op &&
                got->row_index == kept->row_index && got->column_count == kept->column_count &&
                !got->after == !kept->after;
    for (uint32_t c = 0; equal && got->after && c < got->column_count; c++)
        equal =
            got->after[c].size == kept->after[c].size && !got->after[c].text == !kept->after[c].text &&
            (!got->after[c].text || memcmp(got->after[c].text, kept->after[c].text, got->after[c].size) == 0);
    run_free(&once);
    return equal;
}

/* From its own bytes only, cut anywhere: the same row, or none. */
static int part_agrees(struct binlog_rows *rows, struct binlog_place place, const struct kept_row *kept,
                       const uint8_t *bytes, size_t size, size_t *parts)
{
    const size_t left = size - (size_t)kept->image_offset, most = left < 400 ? left : 400;
    int agrees = 1;
    if (place.event_size > 192)
        place.event_size = 192;
    for (size_t n = 0; n <= most; n += n < most && n + 7 > most ? most - n : 7) {
        const struct binlog_row *row;
        uint8_t *cut = calloc(1, n + 256); /* readers may look at what follows */
        memcpy(cut, bytes + kept->image_offset, n);
        if (binlog_rows_part(rows, &place, cut, n, &row) == STEP_MORE) {
            agrees &= row_is(kept, row);
            ++*parts;
        }
        free(cut);
    }
    return agrees;
}

/* In their order: the rows of one event behind the first come without its head being read again, and say the same. How many did. */
static size_t further_agrees(const struct binlog_run *run, const char *path, const uint8_t *bytes,
                             size_t size)
{
    struct diag diag;
    struct binlog_rows *rows = NULL;
    size_t further = 0, wrong = 0;
    EXPECT(binlog_rows_open(&rows, &all, &diag) == OK);
    for (size_t i = 0; i < run->row_count; i++) {
        const struct kept_row *kept = &run->rows[i];
        struct binlog_place place = {.file_name = path,
                                     .format = &run->format,
                                     .table_map = bytes + kept->table_map_offset,
                                     .table_map_size = size - kept->table_map_offset,
                                     .table_map_offset = kept->table_map_offset,
                                     .event = bytes + kept->event_offset,
                                     .event_size = size - kept->event_offset,
                                     .event_offset = kept->event_offset,
                                     .image_offset = kept->image_offset,
                                     .row_index = kept->row_index};
        const struct binlog_row *row = NULL;
        const uint8_t *const at = bytes + (kept->image_offset < size ? kept->image_offset : 0);
        const size_t left = size - (size_t)(at - bytes);
        const int is_next = i > 0 && run->rows[i - 1].event_offset == kept->event_offset;
        const int came = binlog_rows_further(rows, &place, at, left, &row) == STEP_MORE;
        wrong += came != is_next;
        further += came;
        if (!came && binlog_rows_again(rows, &place, &row, &diag) != STEP_MORE)
            row = NULL;
        wrong += !row || !row_is(kept, row);
        if (!came || binlog_rows_is_packed(rows))
            continue;
        /* Cut, it is no row, and the event has to be opened anew. */
        wrong += binlog_rows_further(rows, &place, at, left < 2 ? left : 2, &row) == STEP_MORE ||
                 binlog_rows_further(rows, &place, at, left, &row) == STEP_MORE;
        wrong += binlog_rows_again(rows, &place, &row, &diag) != STEP_MORE || !row_is(kept, row);
    }
    EXPECT(wrong == 0);
    binlog_rows_close(rows);
    return further;
}

/* Decodes every row again by its place, and holds both against each other. */
static int again_agrees(const char *path, size_t expected_rows)
{
    size_t size, same = 0, parts = 0;
    uint8_t *bytes = run_read(path, &size);
    struct diag diag;
    struct binlog_run run = {.options = &all, .chunk = size, .want = 1, .keep = 1, .is_newest = 1};
    struct binlog_rows *rows = NULL;
    EXPECT(run_file(&run, bytes, size, path, &diag) == STEP_DONE && run.row_count == expected_rows);
    EXPECT(binlog_rows_open(&rows, &all, &diag) == OK);
    for (size_t i = run.row_count; i-- > 0;) {
        const struct kept_row *kept = &run.rows[i];
        struct binlog_place place = {.file_name = path,
                                     .format = &run.format,
                                     .table_map = bytes + kept->table_map_offset,
                                     .table_map_size = size - kept->table_map_offset,
                                     .table_map_offset = kept->table_map_offset,
                                     .event = bytes + kept->event_offset,
                                     .event_size = size - kept->event_offset,
                                     .event_offset = kept->event_offset,
                                     .image_offset = kept->image_offset,
                                     .row_index = kept->row_index};
        const struct binlog_row *row;
        if (binlog_rows_again(rows, &place, &row, &diag) != STEP_MORE) {
            fprintf(stderr, "%s\n", diag.what);
            break;
        }
        same += row_is(kept, row) && part_agrees(rows, place, kept, bytes, size, &parts);
    }
    EXPECT(same == run.row_count);
    parts_read += parts;
    rows_further += further_agrees(&run, path, bytes, size);
    int all_same = same == run.row_count;
    binlog_rows_close(rows);
    run_free(&run);
    free(bytes);
    return all_same;
}

/* A relay log holds the descriptions of two servers; row events of before 5.1.16 have another layout. */
TEST(relay_logs_and_row_events_of_a_beta_are_refused_by_name)
{
    struct log log = {0}, other = {0};
    log_begin(&log, "8.0.36");
    log_begin(&other, "10.11.6-MariaDB");
    log_append(&log, other.bytes + 4, other.size - 4);
    EXPECT(outcome(&log, "this looks like a relay log", 0));
    log_begin(&log, "8.0.36");
    log_begin(&other, "8.0.36");
    log_append(&log, other.bytes + 4, other.size - 4); /* the same once more is harmless */
    put_group(&log, 1);
    EXPECT(outcome(&log, NULL, 1));
    for (unsigned type = EVENT_WRITE_ROWS_V0; type <= EVENT_DELETE_ROWS_V0; type++) {
        log_begin(&log, "8.0.36");
        log_query(&log, "shop", "BEGIN");
        put_table(&log, 5, "orders");
        log_rows(&log, type, 5, 2, "", 0);
        EXPECT(outcome(
            &log,
            "of a MySQL 5.1 beta (5.1.0 to 5.1.15) is not supported: which bits of such a row are NULLs", 0));
    }
    log_free(&log);
    log_free(&other);
}

TEST(a_row_is_found_again_by_its_place)
{
    EXPECT(again_agrees("fixtures/binlogs/recorded/mariadb-10.11.19/01_lifecycle/bin.000002", 14));
    EXPECT(again_agrees("fixtures/binlogs/recorded/mariadb-10.11.19/06_all_types/bin.000013", 6));
    EXPECT(again_agrees("fixtures/binlogs/recorded/mariadb-10.11.19/09_compressed_rows/bin.000023", 72));
    EXPECT(again_agrees("fixtures/binlogs/recorded/mysql-9.7.4/03_multirow/binlog.000008", 1570));
#ifdef TIEOUT_ZSTD
    EXPECT(
        again_agrees("fixtures/binlogs/recorded/mysql-9.7.4/09_transaction_payload_zstd/binlog.000025", 73));
#endif
    EXPECT(parts_read >
           1600); /* each row that lies in its event as it is, and not only those cut behind it */
    EXPECT(rows_further > 1500);
}

/* A transaction of a file that is larger than what a position of 32 bits can say (a server does not cut a transaction in two). */
TEST(positions_behind_4_gib_are_told_as_they_are)
{
    static const uint64_t begin = ((uint64_t)5 << 30) + 7;
    struct log log = {0};
    log_begin(&log, "8.0.36");
    const size_t head = log.size;
    put_group(&log, 7);
    const struct binlog_options options = {.unnamed_ok = 1};
    struct binlog_walk *walk = NULL;
    struct binlog_rows *rows = NULL;
    struct diag diag = {0};
    size_t taken = 0, count = 0;
    EXPECT(binlog_walk_open(&walk, &options, &diag) == OK && binlog_rows_open(&rows, &options, &diag) == OK);
    binlog_walk_file(walk, "large", 0, begin + log.size - head);
    EXPECT(binlog_walk_step(walk, log.bytes, head, 0, SIZE_MAX, &taken, &diag) == STEP_IDLE && taken == head);
    binlog_walk_skip(walk, begin);
    EXPECT(binlog_walk_step(walk, log.bytes + head, log.size - head, begin, SIZE_MAX, &taken, &diag) ==
           STEP_DONE);
    const struct binlog_group *groups = binlog_walk_groups(walk, &count);
    EXPECT(count == 1 && groups[0].begin == begin && groups[0].end == begin + log.size - head);
    const struct binlog_piece piece = {
        "large", log.bytes + head, log.size - head, begin, binlog_walk_format(walk), groups, count, 0, 0};
    const struct binlog_row *row = NULL;
    binlog_rows_begin(rows, &piece);
    EXPECT(binlog_rows_step(rows, &row, &diag) == STEP_MORE && row->event_offset > begin &&
           row->table_map_offset > begin && row->table_map_offset < row->event_offset &&
           row->image_offset > row->event_offset && row->image_offset < groups[0].end);
    /* What is wrong there is told with its place. */
    log.bytes[log.size - 40] ^= 1;
    binlog_rows_begin(rows, &piece);
    enum step step;
    while ((step = binlog_rows_step(rows, &row, &diag)) == STEP_MORE) {
    }
    EXPECT(step == STEP_FAILED && strstr(diag.what, "large@53687") != NULL);
    binlog_rows_close(rows);
    binlog_walk_close(walk);
    log_free(&log);
}

/* ---- transactions like the one before, which are walked over in one go ---- */

struct told {
    struct binlog_group groups[64];
    size_t count;
    struct binlog_walk_counts counts;
    enum step step;
    struct diag diag;
};

static void told_add(struct told *told, const struct binlog_group *groups, size_t count)
{
    for (size_t i = 0; i < count && told->count < 64; i++)
        told->groups[told->count++] = groups[i];
}

static void walk_over(struct told *told, const uint8_t *bytes, size_t size, int by_event)
{
    struct binlog_walk *walk = NULL;
    size_t at = 0, taken = 0, count;
    memset(told, 0, sizeof *told);
    CHECK(binlog_walk_open(&walk, &watching, &told->diag) == OK);
    binlog_walk_file(walk, "log", 0, size);
    do {
        const size_t need = binlog_walk_need(walk), left = size - at;
        told->step = binlog_walk_step(walk, bytes + at, by_event && need < left ? need : left, at, SIZE_MAX,
                                      &taken, &told->diag);
        if (told->step == STEP_FAILED)
            break;
        const struct binlog_group *groups = binlog_walk_behind(walk, &count);
        told_add(told, groups, count);
        groups = binlog_walk_groups(walk, &count);
        told_add(told, groups, count);
        at += taken;
    } while (told->step != STEP_DONE);
    told->counts = *binlog_walk_counts(walk);
    binlog_walk_close(walk);
}

static int same_told(const struct told *a, const struct told *b)
{
    if (a->step != b->step || strcmp(a->diag.what, b->diag.what) != 0)
        return 0;
    if (a->step == STEP_FAILED)
        return 1;
    int same = a->count == b->count && memcmp(&a->counts, &b->counts, sizeof a->counts) == 0;
    for (size_t i = 0; same && i < a->count; i++) {
        const struct binlog_group *x = &a->groups[i], *y = &b->groups[i];
        same = x->begin == y->begin && x->end == y->end && x->file_index == y->file_index &&
               x->timestamp == y->timestamp && x->committed == y->committed &&
               x->touches_watched == y->touches_watched && x->is_part == y->is_part && x->xa == y->xa &&
               memcmp(&x->gtid, &y->gtid, sizeof x->gtid) == 0;
    }
    return same;
}

static void put_mariadb_gtid(struct log *log, uint64_t number, unsigned flags)
{
    struct body b = {.size = 0};
    body_le(&b, number, 8);
    body_le(&b, 3, 4);
    body_le(&b, flags, 1);
    body_bytes(&b, "\0\0\0\0\0\0", 6);
    log_event(log, EVENT_MARIADB_GTID, b.bytes, b.size);
}

/* Which of them are usual, and what else stands between. */
static void put_many(struct log *log, int is_mariadb)
{
    for (uint32_t i = 0; i < 26; i++) {
        const uint32_t kind = i < 6 ? 0 : i - 6;
        if (is_mariadb)
            put_mariadb_gtid(log, i + 1, kind == 1 ? 1 : kind == 2 ? 64 : 2);
        else
            log_gtid(log, i + 1);
        if (!is_mariadb)
            log_query(log, kind == 3 ? "other" : "shop", "BEGIN");
        if (kind % 2 == 0)
            log_event(log, is_mariadb ? EVENT_ANNOTATE_ROWS : EVENT_ROWS_QUERY, "INSERT", 6);
        const uint64_t id = kind == 4 ? 6 : 5;
        if (kind != 5)
            put_table(log, id, kind == 6 || kind == 7 ? "others" : "orders");
        if (kind == 8)
            put_table(log, 7, "orders");
        put_row(log, kind == 5 ? 0xffffff : id, i, 100);
        if (kind == 9 || kind == 10)
            put_row(log, id, i, 100);
        if (kind == 11)
            put_row(log, 0xffffff, i, 100);
        if (kind == 12)
            log_query(log, "shop", "SAVEPOINT a");
        if (kind == 13)
            log_query(log, "shop", "ROLLBACK");
        else if (kind == 14)
            log_query(log, "shop", "COMMIT");
        else
            log_xid(log);
        if (kind == 15)
            log_query(log, "shop", "GRANT ALL ON *.* TO a");
    }
}

TEST(transactions_like_the_one_before_are_told_of_as_event_by_event)
{
    for (int is_mariadb = 0; is_mariadb < 2; is_mariadb++) {
        static struct told whole, single;
        struct log log = {0};
        log_begin(&log, is_mariadb ? "10.11.6-MariaDB" : "8.0.36");
        const size_t head = log.size;
        if (is_mariadb) {
            /* Its types go farther than log_begin's list of lengths; what is asked of it does not. */
            put_mariadb_gtid(&log, 100, 0);
            put_table(&log, 5, "orders");
            put_row(&log, 5, 1, 100);
            log_xid(&log);
        }
        put_many(&log, is_mariadb);
        walk_over(&whole, log.bytes, log.size, 0);
        walk_over(&single, log.bytes, log.size, 1);
        EXPECT(whole.step == STEP_DONE && whole.count > 24 && same_told(&whole, &single));
        /* Each byte another one, under the old checksum and under a right one. */
        size_t begin = head, refused = 0;
        for (size_t at = head; at < log.size; at++) {
            uint32_t size = read_le32(log.bytes + begin + 9);
            if (at == begin + size) {
                begin = at;
                size = read_le32(log.bytes + begin + 9);
            }
            const uint8_t was = log.bytes[at];
            const uint32_t sum = read_le32(log.bytes + begin + size - 4);
            for (int is_right = 0; is_right < 2; is_right++) {
                log.bytes[at] = (uint8_t)(was ^ 1 << at % 8);
                if (is_right) {
                    if (at >= begin + size - 4)
                        continue;
                    const uint32_t now = crc32_update(0, log.bytes + begin, size - 4);
                    memcpy(log.bytes + begin + size - 4, &now, 4);
                }
                walk_over(&whole, log.bytes, log.size, 0);
                walk_over(&single, log.bytes, log.size, 1);
                refused += whole.step == STEP_FAILED;
                EXPECT(same_told(&whole, &single));
                if (check_test_failed) {
                    fprintf(stderr, "byte %zu of %zu, %d: %s | %s\n", at, log.size, is_right, whole.diag.what,
                            single.diag.what);
                    return;
                }
            }
            log.bytes[at] = was;
            memcpy(log.bytes + begin + size - 4, &sum, 4);
        }
        EXPECT(refused > log.size / 4);
        log_free(&log);
    }
}
