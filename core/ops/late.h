/* core/ops/late.h: the socket for final records that may be reopened, one key after the other.
 *
 * Those whose first key a record of the task shares come with the sources (io/source/sources.h). Before the records that are left open
 * are judged under a later key, final ones that share it are asked for here, and the partners of pairs of which one was reopened.
 */
#ifndef TIEOUT_CORE_OPS_LATE_H
#define TIEOUT_CORE_OPS_LATE_H

#include "core/base/bloom.h"
#include "core/base/diag.h"
#include "core/model/words.h"

struct late_ask {
    int key; /* from 0 */
    const struct bloom
        *fresh[SIDES]; /* keys of this number that records of the task have, by their side; NULL: none */
    const struct bloom *links; /* pairs of which one was reopened; NULL: none */
    struct bloom *met;         /* gets the first keys of those that are found; NULL: nobody asks */
    const struct bloom *
        beside; /* first keys that `met` gets of any final record, found or not: it may come by a later key; NULL: none */
};
struct late_ops {
    /* Files of final records of `side`, perhaps too many; count 0: none. One thread at a time. NULL: there are no final records. */
    enum err (*find)(void *context, enum side side, const struct late_ask *ask, const char ***paths,
                     int *count, struct diag *diag);
    void *context;
    uint64_t seed; /* of the hashes in the sets (normalize_later_print) */
};

#endif
