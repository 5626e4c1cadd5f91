/* io/source/log_tail.h: the last bytes of a log that its server has open
 *
 * A server writes events in pieces as they come out of its buffers, so its newest file may end inside one at any moment. So does a file in
 * which the length of an event is damaged; but behind that lie whole events, and the length does not agree with where the event says that it
 * ends. Threads: any.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_TAIL_H
#define TIEOUT_IO_SOURCE_LOG_TAIL_H

#include "io/format/binlog.h"
#include "io/source/file_set.h"

/* ERR_INPUT (binlog.cut) when the bytes from `at` to the end of the file are not the beginning of one event. */
enum err log_tail_check(struct input_file *input, uint64_t at, const struct binlog_format *format,
                        struct diag *diag);

#endif
