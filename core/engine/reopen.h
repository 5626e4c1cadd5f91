/* core/engine/reopen.h: which final records of earlier days were reopened in this run. Internal to the engine.
 *
 *     reopened_init
 *       reopened_put     any worker
 *       reopened_has     who was; of pairs, one of which was
 *     reopened_fini
 *
 * Usually a few. Records are known by where they stand (struct carry's origin), pairs by their number. Threads: any, under its lock.
 */
#ifndef TIEOUT_CORE_ENGINE_REOPEN_H
#define TIEOUT_CORE_ENGINE_REOPEN_H

#include "core/base/bloom.h"
#include "core/base/diag.h"
#include "core/model/full.h"
#include <pthread.h>

struct reopened {
    pthread_mutex_t lock;
    uint64_t *slots; /* 0: free */
    uint64_t count, room;
    uint64_t links; /* pairs put */
    struct bloom pairs;
};

void reopened_init(struct reopened *reopened);
void reopened_fini(struct reopened *reopened);
enum err reopened_put(struct reopened *reopened, const struct full *row, struct diag *diag);
int reopened_has(struct reopened *reopened, const struct full *row);
enum err reopened_put_pair(struct reopened *reopened, uint64_t link, struct diag *diag);
int reopened_has_pair(struct reopened *reopened, uint64_t link);

#endif
