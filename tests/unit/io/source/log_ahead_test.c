/* tests/unit/io/source/log_ahead_test.c: rows of a log that were put are found as they were, others are not */
#include "core/base/mem.h"
#include "io/source/log_ahead.h"
#include "tests/support/check_test.h"
#include <stdio.h>
#include <string.h>

static const int columns[] = {2, 0, 3};

static int put(struct log_ahead *ahead, uint64_t place, size_t size)
{
    char text[600];
    memset(text, (int)('a' + place % 26), sizeof text);
    const struct cell image[] = {{.i64 = (int64_t)place, .kind = CELL_INT},
                                 {.data = "not wanted", .size = 10, .kind = CELL_TEXT},
                                 {.data = text, .size = (uint32_t)size, .kind = CELL_TEXT},
                                 {.kind = CELL_NULL}};
    const struct log_ahead_row row = {.timestamp = (uint32_t)place, .cell_count = 3};
    return log_ahead_put(ahead, place, &row, image, columns);
}

static int is_there(struct log_ahead *ahead, uint64_t place, size_t size)
{
    const struct log_ahead_row *const row = log_ahead_find(ahead, place);
    if (!row || row->timestamp != (uint32_t)place || row->cell_count != 3 ||
        row->cells[0].kind != CELL_TEXT || row->cells[0].size != size || row->cells[1].kind != CELL_INT ||
        row->cells[1].i64 != (int64_t)place || row->cells[2].kind != CELL_NULL)
        return 0;
    for (size_t i = 0; i < size; i++)
        if (row->cells[0].data[i] != (char)('a' + place % 26))
            return 0;
    return 1;
}

TEST(rows_are_found_by_their_place_in_any_order_and_no_others)
{
    enum { ROWS = 20000 };
    struct log_ahead *ahead = log_ahead_open((size_t)64 << 20);
    EXPECT(ahead && !log_ahead_find(ahead, 7));
    for (uint64_t i = 0; i < ROWS; i++)
        EXPECT(put(ahead, 1000 + i * i, i % 600) == 1);
    for (uint64_t i = 0; i < ROWS; i++)
        EXPECT(is_there(ahead, 1000 + i * i, i % 600) && (i < 2 || !log_ahead_find(ahead, 1000 + i * i + 1)));
    for (uint64_t i = ROWS; i-- > 0;)
        EXPECT(is_there(ahead, 1000 + i * i, i % 600));
    for (uint64_t k = 0; k < ROWS; k++) {
        const uint64_t i = k * 7919 % ROWS;
        EXPECT(is_there(ahead, 1000 + i * i, i % 600));
    }
    EXPECT(!log_ahead_find(ahead, 0) && !log_ahead_find(ahead, UINT64_MAX));
    log_ahead_close(ahead);
}

TEST(no_more_is_kept_than_is_allowed)
{
    const uint64_t before = mem_held();
    struct log_ahead *ahead = log_ahead_open((size_t)3 << 20);
    uint64_t kept = 0;
    while (put(ahead, kept + 1, 500) == 1)
        kept++;
    EXPECT(kept > 3000 && mem_held() - before <= (size_t)3 << 20);
    for (uint64_t i = 1; i <= kept; i++)
        EXPECT(is_there(ahead, i, 500));
    EXPECT(!log_ahead_find(ahead, kept + 1));
    log_ahead_close(ahead);
    EXPECT(mem_held() == before);
}
