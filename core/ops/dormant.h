/* core/ops/dormant.h: the socket for open records that pass by the run, one later key after the other.
 *
 * Those whose first key somebody of the run has come with the sources (io/source/sources.h). A record that a pass leaves open goes on to a
 * later key: an open record that shares that key, and no other with anybody, is asked for here before the key is judged. Threads: any may
 * put into `met`; find is asked by one worker while the others wait.
 */
#ifndef TIEOUT_CORE_OPS_DORMANT_H
#define TIEOUT_CORE_OPS_DORMANT_H

#include "core/base/bloom.h"
#include "core/base/diag.h"
#include "core/model/words.h"

struct dormant_ops {
    /* Later keys of open records, hashed by normalize_later_print; and those of them that records have which were left open. */
    const struct bloom *keys;
    struct bloom *met;
    /* A file of those of `side` whose key number `key` (from 1) was met and which nobody was given yet; `*path` NULL: none. NULL: nobody
     * passes by, or the job has one key. */
    enum err (*find)(void *context, enum side side, int key, const char **path, struct diag *diag);
    void *context;
    uint64_t seed; /* of the hashes */
};

#endif
