/* io/format/binlog_json.h: MySQL's binary JSON -> JSON text as the server prints it. Private to io/format. */
#ifndef TIEOUT_IO_FORMAT_BINLOG_JSON_H
#define TIEOUT_IO_FORMAT_BINLOG_JSON_H

#include "core/base/arena.h"
#include <stdint.h>

/* What functions that say what is wrong return when memory is out: compare the pointer. */
extern const char binlog_out_of_memory[];

/* `*text` lies in `arena`. Returns NULL, or what is wrong. */
const char *binlog_json_print(struct span *text, const uint8_t *bytes, size_t size, struct arena *arena);

/* Applies what PARTIAL_UPDATE_ROWS says of a value: `text` is the value before, as binlog_json_print gave it, `bytes` a list of
 * (0 replace, 1 insert, 2 remove | path | value). `*out` is the value after, as it would be printed. Returns NULL, or what is wrong. */
const char *binlog_json_patch(struct span *out, struct span text, const uint8_t *bytes, size_t size,
                              struct arena *arena);

#endif
