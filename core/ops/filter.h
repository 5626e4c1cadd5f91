/* core/ops/filter.h: the socket for filters: packed bytes in, the bytes that were packed out.
 *
 *     (opened by io/filter/)
 *       filter_read     until it gives 0 bytes: the end, and all of it was checked
 *     filter_close
 *
 * A filter reads its own file and holds a fixed amount of memory, whatever the file's size and whatever the
 * file claims. Threads: one owner.
 */
#ifndef TIEOUT_CORE_OPS_FILTER_H
#define TIEOUT_CORE_OPS_FILTER_H

#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>

struct filter;
struct filter_ops {
    /* Fills up to `room` bytes; *size is less than that only at the end. *size 0: checksums and lengths were
     * right and nothing else follows. A cut or damaged input: ERR_INPUT with file and byte. */
    enum err (*read)(struct filter *filter, uint8_t *out, size_t room, size_t *size, struct diag *diag);
    void (*close)(struct filter *filter);
};

struct filter {
    const struct filter_ops *ops;
    uint64_t taken; /* packed bytes used so far: what comes out in all is guessed from it */
};

static inline enum err filter_read(struct filter *filter, uint8_t *out, size_t room, size_t *size,
                                   struct diag *diag)
{
    return filter->ops->read(filter, out, room, size, diag);
}

static inline void filter_close(struct filter *filter)
{
    if (filter)
        filter->ops->close(filter);
}

#endif
