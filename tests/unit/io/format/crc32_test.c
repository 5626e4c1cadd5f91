/* tests/unit/io/format/crc32_test.c */
#include "io/format/crc32.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <zlib.h>

TEST(crc32_update_is_zlibs_for_every_size_and_start)
{
    uint8_t bytes[1100];
    srand(7);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(rand() >> 7);
    for (size_t size = 0; size <= 1000; size++) {
        size_t at = size % 67;
        uint32_t start = size % 3 ? (uint32_t)rand() : 0;
        EXPECT(crc32_update(start, bytes + at, size) == (uint32_t)crc32(start, bytes + at, (uInt)size));
    }
    EXPECT(crc32_update(0, (const uint8_t *)"123456789", 9) == 0xcbf43926);
}
