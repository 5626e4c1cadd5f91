/* io/store/sqlite.h: the only door to SQLite: what must outlive a run.
 *
 *     sqlite_open
 *       sqlite_exec, sqlite_begin ... sqlite_commit
 *       sqlite_prepare -> bind_* -> sqlite_step until STEP_DONE -> again, or sqlite_finish
 *     sqlite_close
 *
 * A database is in WAL mode with synchronous=FULL: what was committed survives a power cut. Readers do not hold up the writer.
 * A full disk is ERR_MACHINE; a file that is damaged, no database, or held by others for five seconds is ERR_STATE.
 *
 * Memory: SQLite's own. Threads: one owner per database; never carried over a fork.
 */
#ifndef TIEOUT_IO_STORE_SQLITE_H
#define TIEOUT_IO_STORE_SQLITE_H

#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>

struct sqlite;
struct sqlite_statement;

enum sqlite_mode { SQLITE_READ, SQLITE_WRITE, SQLITE_CREATE };

/* READ and WRITE: the file must be there. CREATE: it is made, with mode 0600, if it is not. */
enum err sqlite_open(struct sqlite **out, const char *path, enum sqlite_mode mode, struct diag *diag);
void sqlite_close(struct sqlite *db);
/* How long a lock of others is waited for; a minute without it. */
void sqlite_wait(struct sqlite *db, int busy_ms);
/* Writes the log back into the file; how many bytes of it could not be, since others read in it. */
int64_t sqlite_checkpoint(struct sqlite *db);
/* The same where nobody else has it open: all of it, or why not. */
enum err sqlite_write_back(struct sqlite *db, struct diag *diag);
/* Writes all of a database anew, so that each page has a sum from then on (page_sum.h): a changed byte is ERR_STATE when it is read, whatever it
 * says. */
enum err sqlite_put_sums(struct sqlite *db, struct diag *diag);
/* What is committed from now on is durable with the next commit that is (`durable` 1), not before. */
enum err sqlite_durable(struct sqlite *db, int durable, struct diag *diag);
/* Rows that the last statement changed. */
int64_t sqlite_changes(struct sqlite *db);
/* The number of the row that was inserted last. */
int64_t sqlite_last_row(struct sqlite *db);
/* One or more statements without results. */
enum err sqlite_exec(struct sqlite *db, const char *sql, struct diag *diag);
/* BEGIN IMMEDIATE; COMMIT; ROLLBACK (which cannot fail in a way that matters: what is not committed is gone anyway). */
enum err sqlite_begin(struct sqlite *db, struct diag *diag);
enum err sqlite_commit(struct sqlite *db, struct diag *diag);
void sqlite_rollback(struct sqlite *db);

/* A prepared statement; finish it before the database is closed. */
enum err sqlite_prepare(struct sqlite_statement **out, struct sqlite *db, const char *sql, struct diag *diag);
void sqlite_finish(struct sqlite_statement *statement);
/* Parameters count from 1. Text and bytes are copied; NULL text binds NULL. */
void sqlite_bind_int(struct sqlite_statement *statement, int index, int64_t value);
void sqlite_bind_text(struct sqlite_statement *statement, int index, const char *text);
void sqlite_bind_bytes(struct sqlite_statement *statement, int index, const void *bytes, size_t size);
/* STEP_MORE: a row is there; STEP_DONE: no more, the statement is reset and may be bound and stepped again; STEP_FAILED. */
enum step sqlite_step(struct sqlite_statement *statement, struct diag *diag);
/* Ends a statement that still has rows, so that it may be used again. */
void sqlite_reset(struct sqlite_statement *statement);
/* Columns count from 0; text and bytes are valid until the next step. NULL reads as 0, "" and NULL. */
int64_t sqlite_int(struct sqlite_statement *statement, int column);
const char *sqlite_text(struct sqlite_statement *statement, int column);
const void *sqlite_bytes(struct sqlite_statement *statement, int column, size_t *size);

#endif
