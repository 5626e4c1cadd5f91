/* io/ring/sync_set.h: files that are written and not yet durable, made so together.
 *
 *     struct sync_set set = {0};
 *     sync_set_add ...     as each is written: its bytes start on their way to the disk at once
 *     sync_set_all         waits for all of them: the first one pays for the file system's journal, the others find it written
 *     sync_set_drop        on the way out, whatever happened
 *
 * Threads: one owner.
 */
#ifndef TIEOUT_IO_RING_SYNC_SET_H
#define TIEOUT_IO_RING_SYNC_SET_H

#include "core/base/diag.h"

enum { SYNC_SET_MAX = 32, SYNC_NAME_MAX = 300 };

struct sync_set {
    unsigned count;
    struct {
        int fd;
        char name[SYNC_NAME_MAX]; /* as a diagnostic tells it */
    } files[SYNC_SET_MAX];
};

/* Takes the file over; `name` is copied. When the set is full the file is made durable there and then. */
enum err sync_set_add(struct sync_set *set, int fd, const char *name, struct diag *diag);
enum err sync_set_all(struct sync_set *set, struct diag *diag);
void sync_set_drop(struct sync_set *set);

#endif
