/* tests/unit/io/format/binlog_head_test.c: what a recorded file says of itself, cut at every place */
#include "core/base/mem.h"
#include "io/format/binlog_head.h"
#include "tests/support/check_test.h"
#include <stdio.h>
#include <stdlib.h>

#define FOLDER "fixtures/binlogs/recorded/"

static uint8_t *read_file(const char *name, size_t *size)
{
    FILE *file = fopen(name, "rb");
    uint8_t *bytes = malloc(1 << 20);
    EXPECT(file != NULL && bytes != NULL);
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    EXPECT(*size > 0 && *size < 1 << 20);
    return bytes;
}

static void file_says(const char *name, const char *before, const char *next)
{
    size_t size, need, from = 0;
    uint8_t *bytes = read_file(name, &size);
    struct binlog_head head = {0}, part = {0};
    char text[512];
    EXPECT(binlog_head_read(&head, bytes, size, 1, &need) == 1);
    EXPECT(head.known && head.has_before && head.begun_at > 1600000000 && head.server != 0);
    char *printed = gtid_set_print(&head.before);
    EXPECT(strcmp(printed, before) == 0);
    mem_give(printed);
    from = size < BINLOG_TAIL_MAX ? 0 : size - BINLOG_TAIL_MAX;
    binlog_tail_read(text, sizeof text, &head.format, bytes + from, size - from);
    EXPECT(strcmp(text, next) == 0);
    binlog_tail_read(text, sizeof text, &head.format, bytes + from, size - from - 1);
    EXPECT(text[0] == 0);
    /* The bytes on the heap, so that a read behind them is seen. */
    for (size_t cut = 0; cut < 600 && cut < size; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1);
        memcpy(copy, bytes, cut);
        const int done = binlog_head_read(&part, copy, cut, 0, &need);
        EXPECT(done ? part.known && part.has_before : need > cut);
        EXPECT(binlog_head_read(&part, copy, cut, 1, &need) == 1);
        binlog_tail_read(text, sizeof text, &head.format, copy, cut);
        free(copy);
    }
    binlog_head_fini(&part);
    binlog_head_fini(&head);
    free(bytes);
}

TEST(recorded_files)
{
    file_says(FOLDER "mariadb-10.11.19/02_alter_middle_rotate/bin.000004", "0-101-14", "bin.000005");
    file_says(FOLDER "mariadb-10.11.19/02_alter_middle_rotate/bin.000005", "0-101-24", "bin.000006");
    file_says(FOLDER "mysql-9.7.4/02_alter_middle_rotate/binlog.000005",
              "e3ce17d9-e4fa-11f1-9f97-02fc00000001:1-14", "binlog.000006");
    file_says(FOLDER "mysql-9.7.4/02_alter_middle_rotate/binlog.000006",
              "e3ce17d9-e4fa-11f1-9f97-02fc00000001:1-24", "binlog.000007");
}

TEST(what_is_no_log)
{
    struct binlog_head head = {0};
    size_t need;
    EXPECT(binlog_head_read(&head, (const uint8_t *)"id,order,amount\n", 16, 1, &need) == 1 && !head.known);
    EXPECT(binlog_head_read(&head, (const uint8_t *)"", 0, 1, &need) == 1 && !head.known);
}
