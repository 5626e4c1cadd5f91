/* io/push/json_read.h: members of a small JSON object, as text.
 *
 *     json_read_open -> json_read_member any number of times -> json_read_close
 *
 * The one file that knows which library reads JSON. At most 1 MiB, 64 levels deep. Threads: one owner.
 */
#ifndef TIEOUT_IO_PUSH_JSON_READ_H
#define TIEOUT_IO_PUSH_JSON_READ_H

#include "core/base/span.h"

struct json_read;
/* NULL when it is no JSON object, or memory is out. */
struct json_read *json_read_open(struct span json);
void json_read_close(struct json_read *read);
/* The member at `path` ("data.code"): a text as it is, a number or true/false/null as JSON writes it. 0 when there is none, it is an
 * object or a list. `*out` is valid until the next call. */
int json_read_member(struct json_read *read, const char *path, struct span *out);

#endif
