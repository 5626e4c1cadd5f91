/* io/store/migrate.h: a state that an older program made becomes one of this program's.
 *
 * First a copy of state.db is put beside it (state.db.version-N: written under another name, fsynced, renamed, folder fsynced), then each
 * step from one version to the next is one transaction, which ends with the version's number. So a process that is killed anywhere leaves
 * a state of one version or of the next, and the same call goes on from there. Files beside state.db have been the same since version 2.
 *
 * Version 1 was several layouts under one number, which hold less than later days must know: it is refused (core/README.md, D14).
 */
#ifndef TIEOUT_IO_STORE_MIGRATE_H
#define TIEOUT_IO_STORE_MIGRATE_H

#include "io/store/sqlite.h"

enum { MIGRATE_OLDEST = 2 }; /* that can be brought up to date */

/* `path` is state.db's, `from` its version. The caller keeps others from it. */
enum err migrate_state(struct sqlite *db, const char *path, int64_t from, struct diag *diag);

#endif
