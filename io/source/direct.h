/* io/source/direct.h: which inputs are read past the page cache (O_DIRECT).
 *
 * A file that lies in memory is copied from there; one that does not comes from the disk either way, and by the cache it costs a copy
 * more and drives out what others have there. So direct_choose asks how much of each large file is cached.
 *
 * Only chunks are read like that, in whole pages and into buffers that begin on one; headers, long rows and rows fetched again go
 * through the cache. Where the file system has no O_DIRECT, or refuses a read, the cache is read through: the bytes are the same.
 * Threads: direct_choose and direct_forget by one, before and after all reading.
 */
#ifndef TIEOUT_IO_SOURCE_DIRECT_H
#define TIEOUT_IO_SOURCE_DIRECT_H

#include "io/source/file_set.h"

enum direct_mode { DIRECT_AUTO, DIRECT_ALWAYS, DIRECT_NEVER };
enum { DIRECT_PAGE = 4096 };

/* Opens those files of a set once more that are to be read past the cache. Never fails. */
void direct_choose(struct file_set *set, enum direct_mode mode);
void direct_forget(struct input_file *input);

/* The descriptor to read chunks from; -1: input_take's. */
static inline int direct_fd(const struct input_file *input)
{
    return input->is_direct ? input->direct_fd : -1;
}

#endif
