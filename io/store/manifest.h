/* io/store/manifest.h: which files were admitted for which bill date, by the hash of their contents.
 *
 *     manifest_open
 *       manifest_add        a side's files
 *       manifest_hash       starts hashing, on a thread of its own, while the files are read
 *       manifest_check      waits for it; before results are published
 *       manifest_admit      after they were
 *     manifest_close
 *
 * A file whose very bytes were admitted for another bill date, rows and all, is yesterday's bill under today's name: it is
 * refused. Other bytes for a date that was admitted before are a restatement, and two files of one content in one run are
 * doubled: both are told.
 *
 * The manifest is a SQLite file that a job names. Beside it lies `NAME.mark`, which says whose it is and how far it was: a manifest
 * that was removed, another one in its place, or an older copy put back is an error, and none is ever made anew in silence.
 *
 * Memory: fixed. Threads: the control thread calls everything.
 */
#ifndef TIEOUT_IO_STORE_MANIFEST_H
#define TIEOUT_IO_STORE_MANIFEST_H

#include "core/ops/source.h"

struct manifest;
enum err manifest_open(struct manifest **out, const char *path, const char *job, uint16_t date,
                       struct diag *diag);
/* In a database that is open already, and stays its owner's; manifest_admit then stands in the owner's transaction. */
struct sqlite;
extern const char manifest_schema[];
enum err manifest_open_in(struct manifest **out, struct sqlite *db, const char *job, uint16_t date,
                          struct diag *diag);
void manifest_close(struct manifest *manifest);
/* After manifest_check: one hash of the contents of all files, in no order; "" where there are none. 72 bytes of room. */
void manifest_text(const struct manifest *manifest, char out[72]);
/* `source` outlives the manifest; one that tells of no files has none. */
enum err manifest_add(struct manifest *manifest, enum side side, struct source *source, struct diag *diag);
enum err manifest_hash(struct manifest *manifest, struct diag *diag);
/* ERR_INPUT when a file was admitted for another date. */
enum err manifest_check(struct manifest *manifest, struct diag *diag);
enum err manifest_admit(struct manifest *manifest, struct diag *diag);

#endif
