/* tests/fuzz/fuzz_log_values.c: any bytes as JSON, as changes of it, and as sets of GTIDs: text or a refusal, never a crash or a read
 * outside; and what is read is the same when it is printed and read again. The first byte says as what.
 */
#include "core/base/mem.h"
#include "io/format/binlog_json.h"
#include "io/format/gtid_set.h"
#include "tests/fuzz/replay.h"
#include <stdlib.h>
#include <string.h>

static void json(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct span text;
    arena_init(&arena);
    binlog_json_print(&text, bytes, size, &arena);
    arena_fini(&arena);
}

/* One byte says how long the value is, then the value and the changes. */
static void changes(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct span text, out;
    const size_t value_size = size && bytes[0] < size ? bytes[0] : 0;
    arena_init(&arena);
    if (size && !binlog_json_print(&text, bytes + 1, value_size, &arena))
        binlog_json_patch(&out, text, bytes + 1 + value_size, size - 1 - value_size, &arena);
    arena_fini(&arena);
}

static void same_again(const struct gtid_set *set)
{
    struct diag diag = {0};
    struct gtid_set again = {0};
    char *text = gtid_set_print(set), *second;
    if (!text)
        return;
    if (set->count) {
        if (gtid_set_parse(&again, text, &diag) != OK || !(second = gtid_set_print(&again)) ||
            strcmp(text, second) != 0)
            abort();
        mem_give(second);
    }
    gtid_set_fini(&again);
    mem_give(text);
}

static void gtids(const uint8_t *bytes, size_t size, int is_text)
{
    struct gtid_set set = {0};
    struct diag diag = {0};
    char *text = malloc(size + 1);
    memcpy(text, bytes, size);
    text[size] = 0;
    if (is_text ? gtid_set_parse(&set, text, &diag) == OK : gtid_set_decode(&set, bytes, size))
        same_again(&set);
    gtid_set_fini(&set);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 4) {
    case 0:
        json(data + 1, size - 1);
        break;
    case 1:
        changes(data + 1, size - 1);
        break;
    default:
        gtids(data + 1, size - 1, data[0] % 4 == 2);
        break;
    }
    return 0;
}

#ifndef TIEOUT_FUZZ
int main(int count, char **paths)
{
    return replay(count, paths, LLVMFuzzerTestOneInput, 0);
}
#endif
