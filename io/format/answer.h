/* io/format/answer.h: a channel's answer that came in place of a bill, e.g. WeChat Pay's
 *
 *     <xml><return_code>FAIL</return_code><return_msg>No Bill Exist</return_msg></xml>
 *     {"code": "NO_STATEMENT_EXIST", "message": "..."}
 *
 * Threads: any.
 */
#ifndef TIEOUT_IO_FORMAT_ANSWER_H
#define TIEOUT_IO_FORMAT_ANSWER_H

#include <stddef.h>
#include <stdint.h>

/* 1: these bytes, all of a file, are one whole answer (an XML document or a JSON object), and one of its own members has exactly the value `text`;
 * or they are neither XML nor JSON, and one of their lines is `text`. Words amid others, below a member, or beside a bill are not an answer. */
int answer_says(const uint8_t *bytes, size_t size, const char *text);

#endif
