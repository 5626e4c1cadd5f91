/* io/spill/spool.h: spools of frames; what does not fit in memory goes to a file without a name.
 *
 *     spill_host_open      once per worker
 *       (spools: core/ops/spool.h)
 *     spill_host_close     after its spools
 *
 * Frames are pages of segments that a spool takes as it grows. When its memory is full, the partition that
 * holds most leaves: its full frames go to the file side by side. Space in the file is reserved before it is written (fallocate), so a
 * full disk is met there. Every frame that comes back is held against its checksum. The file is gone when the
 * program is, also after kill -9.
 *
 * Where nothing limits this program to less than the machine has, and the machine has memory to spare, the file is written and read
 * through the page cache: that memory goes to whoever needs it, and what the file has there when it is gone never meets the disk. In a cgroup with
 * a limit the page cache counts, and where memory is short others need it: there the file is written past it (O_DIRECT), while
 * the worker goes on. Which of the two is asked again at each reservation.
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
    uint64_t cache_max; /* bytes of a file that go through the page cache at most; 0: none */
};

enum err spill_host_open(struct spool_host **out, const struct spill_config *config, struct diag *diag);
void spill_host_close(struct spool_host *host);

#endif
