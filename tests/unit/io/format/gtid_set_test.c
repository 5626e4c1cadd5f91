/* tests/unit/io/format/gtid_set_test.c: sets of both families, as text, as MySQL's bytes, one by one */
#include "core/base/mem.h"
#include "io/format/gtid_set.h"
#include "tests/support/check_test.h"

#define UUID "3e11fa47-71ca-11e1-9e33-c80aa9429562"

/* What a text becomes when it is read and printed; "" when it is refused. */
static const char *round_trip(const char *text)
{
    static char out[400];
    struct gtid_set set = {0};
    struct diag diag = {0};
    out[0] = 0;
    if (gtid_set_parse(&set, text, &diag) == OK) {
        char *printed = gtid_set_print(&set);
        snprintf(out, sizeof out, "%s", printed);
        mem_give(printed);
    }
    gtid_set_fini(&set);
    return out;
}

TEST(text_is_read_and_printed)
{
    static const char *const same[] = {"0-1-100",
                                       "4294967295-4294967295-18446744073709551615",
                                       "0-1-100,1-2-7",
                                       UUID ":1-5",
                                       UUID ":1-5:7:9-11",
                                       UUID ":red:1-3",
                                       UUID ":1," UUID ":red:2",
                                       "00000000-0000-0000-0000-000000000001:1," UUID ":4"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        EXPECT(strcmp(round_trip(same[i]), same[i]) == 0);
    EXPECT(strcmp(round_trip(" 3E11FA47-71CA-11E1-9E33-C80AA9429562 : 1-5 : 6 ,\n" UUID ":8:RED:1"),
                  UUID ":1-6:8," UUID ":red:1") == 0);
    EXPECT(strcmp(round_trip("1-2-7,0-1-100,1-3-8"), "0-1-100,1-3-8") ==
           0); /* one a domain: the last that was said */
    static const char *const refused[] = {"x",
                                          "0-1",
                                          "0-1-",
                                          "0-1-1,",
                                          UUID,
                                          UUID ":0",
                                          UUID ":5-4",
                                          UUID ":1,0-1-1",
                                          "0-1-1," UUID ":1",
                                          "5000000000-1-1",
                                          UUID ":1 2",
                                          UUID ":1-99999999999999999999",
                                          "3e11fa47:1"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        EXPECT(round_trip(refused[i])[0] == 0);
}

static struct binlog_gtid mysql(uint64_t number)
{
    return (struct binlog_gtid){.kind = BINLOG_GTID_MYSQL, .uuid = {1}, .number = number};
}

TEST(what_was_seen_is_known)
{
    struct gtid_set set = {0};
    static const uint64_t order[] = {5, 1, 3, 2, 9, 4, 8};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        struct binlog_gtid gtid = mysql(order[i]);
        EXPECT(gtid_set_add(&set, &gtid) == 0);
        EXPECT(gtid_set_add(&set, &gtid) == 1);
    }
    EXPECT(set.count == 1 && set.streams[0].count == 2); /* 1-5 and 8-9 */
    struct binlog_gtid other = {.kind = BINLOG_GTID_MARIADB, .domain = 0, .server = 1, .number = 3},
                       none = {0};
    EXPECT(gtid_set_add(&set, &none) == 0 && gtid_set_add(&set, &none) == 0);
    gtid_set_fini(&set);
    EXPECT(gtid_set_add(&set, &other) == 0);
    other.server = 2; /* another server's third transaction of the domain */
    EXPECT(gtid_set_add(&set, &other) == 0 && set.count == 2);
    gtid_set_fini(&set);
    other.server = 1;
    EXPECT(gtid_set_advance(&set, &other) == 0);
    other.server = 2;
    EXPECT(gtid_set_advance(&set, &other) == 0 && set.count == 1 && set.streams[0].origin.server == 2);
    gtid_set_fini(&set);
}

TEST(mysql_bytes_there_and_back)
{
    static const char *const texts[] = {UUID ":1-5:7", UUID ":1-5:7," UUID ":red:2-3", ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct gtid_set set = {0}, again = {0};
        struct diag diag = {0};
        EXPECT(gtid_set_parse(&set, texts[i], &diag) == OK);
        size_t size;
        uint8_t *bytes = gtid_set_encode(&set, &size);
        EXPECT(gtid_set_decode(&again, bytes, size));
        char *printed = gtid_set_print(&again);
        EXPECT(strcmp(printed, texts[i]) == 0);
        mem_give(printed);
        for (size_t cut = 0; cut < size; cut++) {
            struct gtid_set part = {0};
            EXPECT(!gtid_set_decode(&part, bytes, cut));
            gtid_set_fini(&part);
        }
        mem_give(bytes);
        gtid_set_fini(&set);
        gtid_set_fini(&again);
    }
    /* PREVIOUS_GTIDS of MySQL 9.7.4, fixtures/binlogs/recorded/mysql-9.7.4/02_alter_middle_rotate */
    static const uint8_t recorded[] = {1,    0,    0,    0,    0,    0,    0,    0,    0xe3, 0xce, 0x17, 0xd9,
                                       0xe4, 0xfa, 0x11, 0xf1, 0x9f, 0x97, 0x02, 0xfc, 0,    0,    0,    1,
                                       1,    0,    0,    0,    0,    0,    0,    0,    1,    0,    0,    0,
                                       0,    0,    0,    0,    0x19, 0,    0,    0,    0,    0,    0,    0};
    struct gtid_set set = {0};
    EXPECT(gtid_set_decode(&set, recorded, sizeof recorded));
    char *printed = gtid_set_print(&set);
    EXPECT(strcmp(printed, "e3ce17d9-e4fa-11f1-9f97-02fc00000001:1-24") == 0);
    mem_give(printed);
    gtid_set_fini(&set);
}

/* The text of both families as a set; of MariaDB's as a list, one a domain and server. */
static struct gtid_set set_of(const char *text)
{
    struct gtid_set set = {0};
    unsigned domain, server;
    unsigned long long number;
    int used;
    for (; sscanf(text, "%u-%u-%llu%n", &domain, &server, &number, &used) == 3;
         text += used + (text[used] == ',')) {
        struct binlog_gtid gtid = {
            .kind = BINLOG_GTID_MARIADB, .domain = domain, .server = server, .number = number};
        EXPECT(gtid_set_add(&set, &gtid) == 0);
    }
    struct diag diag = {0};
    if (*text)
        EXPECT(gtid_set_parse(&set, text, &diag) == OK);
    return set;
}

static int follows(const char *before, const char *seen, const char *base, int is_later, const char *which)
{
    struct gtid_set sets[3] = {set_of(before), set_of(seen), set_of(base)};
    struct binlog_gtid gtid = {0};
    char text[BINLOG_GTID_TEXT_MAX];
    const int result = gtid_set_follows(&sets[0], &sets[1], &sets[2], is_later, &gtid);
    binlog_gtid_print(text, &gtid);
    EXPECT(result == 0 || strcmp(text, which) == 0);
    for (int i = 0; i < 3; i++)
        gtid_set_fini(&sets[i]);
    return result;
}

TEST(what_came_before_a_file)
{
    EXPECT(follows("", "", "", 0, "") == 0);
    EXPECT(follows(UUID ":1-9", UUID ":5-9", UUID ":1-4", 0, "") == 0);
    EXPECT(follows(UUID ":1-9", UUID ":7:9", UUID ":1-6:8", 0, "") == 0);
    EXPECT(follows(UUID ":1-4", UUID ":5-9", UUID ":1-4", 1, UUID ":5") == -1);
    EXPECT(follows(UUID ":1-7:9", UUID ":5-9", UUID ":1-4", 1, UUID ":8") == -1);
    EXPECT(follows("", UUID ":5-9", "", 1, UUID ":5") == -1);
    EXPECT(follows(UUID ":1-12", UUID ":5-9", UUID ":1-4", 0, UUID ":10") == 1);
    EXPECT(follows(UUID ":1-9," UUID ":red:1", UUID ":5-9", UUID ":1-4", 0, UUID ":red:1") == 1);
    EXPECT(follows("0-1-9", "0-1-9", "", 0, "") == 0);
    EXPECT(follows("0-1-9,0-2-3", "0-1-9", "0-2-3", 0, "") == 0);
    EXPECT(follows("0-1-5", "0-1-9", "", 1, "0-1-9") == -1);
    EXPECT(follows("", "0-1-9", "", 1, "0-1-9") == -1);
    EXPECT(follows("0-2-3", "0-1-9", "0-2-3", 1, "0-1-9") == -1);
    EXPECT(follows("0-2-2", "", "0-2-3", 1, "0-2-2") == -1);
    EXPECT(follows("0-1-9", "0-1-8", "", 0, "0-1-9") == 1);
    EXPECT(follows("0-1-9,1-1-2", "0-1-9", "", 0, "1-1-2") == 1);
    /* a domain that the server was told to forget */
    EXPECT(follows("0-1-9", "0-1-9,5-1-1", "", 1, "") == 0);
    EXPECT(follows("0-1-9", "0-1-9,5-1-1", "", 0, "5-1-1") == -1);
}

TEST(a_list_of_mariadb_is_read)
{
    static const uint8_t list[] = {2, 0, 0, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0,
                                   0, 0, 5, 0,    0, 0, 3, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1};
    struct gtid_set set = {0};
    EXPECT(gtid_set_decode_list(&set, list, sizeof list) && set.count == 2);
    EXPECT(set.streams[0].origin.number == 9 && set.streams[1].origin.domain == 5 &&
           set.streams[1].origin.server == 3 && set.streams[1].origin.number == (7 | (uint64_t)1 << 56));
    gtid_set_fini(&set);
    for (size_t cut = 0; cut < sizeof list; cut++) {
        EXPECT(!gtid_set_decode_list(&set, list, cut));
        gtid_set_fini(&set);
    }
}
