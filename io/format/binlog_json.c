/* io/format/binlog_json.c: see binlog_json.h */
#include "io/format/binlog_json.h"

const char *binlog_json_print(struct span *text, const uint8_t *bytes, size_t size, struct arena *arena)
{
    (void)bytes, (void)size, (void)arena;
    *text = (struct span){NULL, 0};
    return "JSON is not supported";
}
