/* io/spill/block_store.h: a file without a name for counts that do not fit in memory (core/model/aggregate.h).
 *
 *     block_store_open -> (its put and get) -> block_store_close
 *
 * The file is made when something is put, and gone when the program is. It goes through the page cache: what is put is small, and read
 * soon. Threads: put and get by any, of places that are their own.
 */
#ifndef TIEOUT_IO_SPILL_BLOCK_STORE_H
#define TIEOUT_IO_SPILL_BLOCK_STORE_H

#include "core/model/aggregate.h"

/* `directory` is borrowed and lives as long as the store. */
enum err block_store_open(struct aggregate_store **out, const char *directory, struct diag *diag);
void block_store_close(struct aggregate_store *store);

#endif
