/* io/filter/flatten.h: a bank statement as CSV rows: a filter over the statement's bytes; see io/format/statement.h. */
#ifndef TIEOUT_IO_FILTER_FLATTEN_H
#define TIEOUT_IO_FILTER_FLATTEN_H

#include "core/config/job.h"
#include "core/ops/filter.h"

/* `inner`: where the bytes come from; NULL: from `fd`, as they are. It is the filter's from here on, also when this fails. */
enum err flatten_open(struct filter **out, enum flatten_kind kind, struct filter *inner, int fd,
                      const char *path, struct diag *diag);

#endif
