/* io/filter/packing.c: see filters.h */
#include "io/filter/filters.h"
#include <string.h>

enum packing packing_of(const uint8_t *head, size_t size)
{
    if (size >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8)
        return PACKING_GZIP;
    /* A zstd file may begin with a skippable frame. */
    if (size >= 4 && (memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0 ||
                      ((head[0] & 0xF0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0)))
        return PACKING_ZSTD;
    if (size >= 4 &&
        (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0 || memcmp(head, "PK\7\x8", 4) == 0))
        return PACKING_ZIP;
    return PACKING_NONE;
}

const char *packing_name(enum packing packing)
{
    static const char *const names[] = {"plain", "gzip", "zstd", "zip"};
    return names[packing];
}
