/* core/ops/id_store.h: the socket for a book's memory of occurrence ids.
 *
 *     (opened by the caller)
 *       take        any worker, group after group, when both sides are read: every record of the task's own inputs that has an id
 *     (closed by the caller)
 *
 * A group is all of one side whose prints begin alike. Called once per group, never per record.
 */
#ifndef TIEOUT_CORE_OPS_ID_STORE_H
#define TIEOUT_CORE_OPS_ID_STORE_H

#include "core/model/id_print.h"
#include "core/model/repeats.h"

struct id_store;
struct id_group {
    const struct id_entry *entries; /* by day, then print, key, contents, place */
    uint32_t count;
    uint32_t number; /* of the group; those of lower numbers have lower prints */
    enum side side;
};
struct id_store_ops {
    /* Keeps the group's entries, and adds to `repeats` those that an earlier day took in. */
    enum err (*take)(struct id_store *store, const struct id_group *group, struct repeats *repeats,
                     struct diag *diag);
};
struct id_store {
    const struct id_store_ops *ops;
};

#endif
