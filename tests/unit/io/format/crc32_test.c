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

TEST(bytes_in_front_of_known_ones_have_the_crc_of_them_all)
{
    uint8_t bytes[600];
    srand(8);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(rand() >> 7);
    size_t known = 0;
    for (size_t front = 1; front < 60; front++)
        for (size_t size = 0; front + size <= sizeof bytes; size += 1 + size / 9) {
            const struct crc32_tail tail = crc32_tail_make(bytes + front, size);
            EXPECT(tail.crc == (uint32_t)crc32(0, bytes + front, (uInt)size));
            if (tail.shift == 0)
                continue;
            known++;
            EXPECT(crc32_before(&tail, bytes, front) == (uint32_t)crc32(0, bytes, (uInt)(front + size)));
        }
    /* Where the machine multiplies without carries. */
    EXPECT(known > 0 || crc32_tail_make(bytes, 20).shift == 0);
}
