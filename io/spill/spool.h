/* io/spill/spool.h: spools of frames; what does not fit in memory goes to a file without a name.
 *
 *     spill_host_open      once per worker
 *       (spools: core/ops/spool.h)
 *     spill_host_close     after its spools
 *
 * Frames are pages of segments that a spool takes as it grows. When its memory is full, the partition that
 * holds most leaves: its full frames go to the file side by side, past the page cache where the file system
 * lets them, while the worker goes on. Space in the file is reserved before it is written (fallocate), so a
 * full disk is met there. Every frame that comes back is held against its checksum. The file is gone when the
 * program is, also after kill -9.
 *
 * Threads: a host has one owner.
 */
#ifndef TIEOUT_IO_SPILL_SPOOL_H
#define TIEOUT_IO_SPILL_SPOOL_H

#include "core/ops/spool.h"
#include "io/ring/ring.h"

struct spill_config {
    const char *directory; /* where the file is made, when it is needed; lives as long as the hosts */
    enum ring_backend backend;
};

enum err spill_host_open(struct spool_host **out, const struct spill_config *config, struct diag *diag);
void spill_host_close(struct spool_host *host);

#endif
