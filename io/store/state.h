/* io/store/state.h: a book's state: what one night tells the next.
 *
 *     state_create       once: `tieout task init` in a folder without one
 *     state_open
 *       state_lock       for whoever does tasks: one at a time
 *       (task.h, carry.h, verdict_log.h, error_order.h, ... with state_db)
 *     state_close
 *
 * A state folder holds `state.db` (SQLite), `BOOK` (whose state this is, and how far it was), `suspense/`, `verdicts/` and
 * `lock`. BOOK is written after every commit, so that a state.db that was removed, that belongs to another book, or that is an
 * older copy put back is told from one that was never there; none of them is ever made anew. Damage of any kind is ERR_STATE with
 * what to do about it.
 *
 * Memory: fixed. Threads: the control thread alone; never carried over a fork.
 */
#ifndef TIEOUT_IO_STORE_STATE_H
#define TIEOUT_IO_STORE_STATE_H

#include "io/store/sqlite.h"

/* Of state.db and the files beside it. Whatever changes a table or a file raises it, and adds a step to migrate.c: 1 grew while its number
 * stayed, so states of it hold less than days to come must know, and are refused; 3 knows pairs that were taken back, 4 which errors have
 * ids of before. */
enum { STATE_VERSION = 4, STATE_PATH_MAX = 4096, STATE_ID_TEXT = 33 };
/* "TiEO", in the header of state.db. */
#define STATE_APPLICATION 0x5469454F

enum state_mode {
    STATE_READ,  /* status, trace, verify: nothing is written */
    STATE_WRITE, /* commands that change something at once */
};

struct state;
/* Makes an empty state in `directory`, which may be there if it is empty. What a killed create left is completed. */
enum err state_create(const char *directory, struct diag *diag);
/* 1: there is something in `directory` that is, or was, a state. */
int state_exists(const char *directory);
/* An older state is brought up to date (migrate.h), unless `mode` is STATE_READ. */
enum err state_open(struct state **out, const char *directory, enum state_mode mode, struct diag *diag);
/* Reads every page of state.db, however large it is: ERR_STATE when one is not what was written. */
enum err state_check(struct state *state, struct diag *diag);
void state_close(struct state *state);
/* Takes the lock that whoever does tasks holds until state_close, or dies. ERR_STATE: another one has it, and who. The lock is the
 * kernel's: neither a reboot nor a reused process id can leave it behind. */
enum err state_lock(struct state *state, struct diag *diag);
/* A run of tasks, with the lock. One that is killed, or cut off, leaves a mark: state_left_at tells the next one when it began (seconds since
 * 1970), until a run comes to its end and has told what there is to tell. 0: the last one did. */
void state_begin_run(struct state *state);
int64_t state_left_at(const struct state *state);
void state_end_run(struct state *state);
/* 1: somebody holds the lock now; `*who` is what they wrote into it. */
int state_is_locked(const char *directory, char *who, size_t room);

struct sqlite *state_db(struct state *state);
const char *state_directory(const struct state *state);
/* The book's secret: the seed of hashes that are kept. */
uint64_t state_seed(const struct state *state);
const char *state_id(const struct state *state);
/* Who holds a lease: boot id, process, start. */
const char *state_owner(const struct state *state);

/* The log's newest segment, after its commit: BOOK says from now on that the state is that far. */
enum err state_advance(struct state *state, int64_t number, const char *chain, struct diag *diag);

/* A file in the state folder appears whole or not at all: written as NAME.new, fsynced, renamed, folder fsynced. `name` is
 * relative to the folder and may hold one '/'. */
enum err state_path(const struct state *state, char out[STATE_PATH_MAX], const char *name, struct diag *diag);
enum err state_file_publish(const struct state *state, const char *name, struct diag *diag);
/* The same of several, of which those of one folder stand together: each is durable before any has its name, and each folder is made
 * durable once. */
enum err state_files_publish(const struct state *state, const char *const *names, unsigned count,
                             struct diag *diag);

#endif
