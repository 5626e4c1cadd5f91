/* io/source/log_name.h: what the name of a server's log file says. */
#ifndef TIEOUT_IO_SOURCE_LOG_NAME_H
#define TIEOUT_IO_SOURCE_LOG_NAME_H

#include "io/source/file_set.h"
#include <stdlib.h>
#include <string.h>

static inline const char *log_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The number at the end of a log file's name; UINT64_MAX when there is none. */
static inline uint64_t log_number(const char *name)
{
    const size_t n = file_bare_length(name);
    size_t from = n;
    while (from && name[from - 1] >= '0' && name[from - 1] <= '9')
        from--;
    return from == n || n - from > 18 ? UINT64_MAX : strtoull(name + from, NULL, 10);
}

#endif
