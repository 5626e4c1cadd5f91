/* io/store/witness.h: how far a state was, told outside of its folder
 *
 *     witness_check     when a state is opened: before anything is done with it
 *     witness_leave     after a commit of a task, or of what people did to errors
 *
 * BOOK tells a state.db that is older than its folder. A folder that was put back as a whole from a backup agrees with itself, so where
 * results go a small file stands for each book, `.book-ID`: the newest verdict segment, its chain, and how many things people did to
 * errors. It is only written when all of this is committed and durable, so it never says more than the state knew: a state that knows
 * less is an older copy. One that was not written (a kill, a full disk) only says less. To go on with an older copy on purpose, a
 * person takes the file away.
 *
 * Threads: the control thread. Not synced: what a power cut takes of it is what it says, never what it may say.
 */
#ifndef TIEOUT_IO_STORE_WITNESS_H
#define TIEOUT_IO_STORE_WITNESS_H

#include "io/store/state.h"

/* `directory`: where results go. Never goes back by itself; 0, or -errno, which harms nothing but the next witness_check. */
int witness_leave(struct state *state, const char *directory);
/* ERR_STATE state.older: the file there knows more of this book than the state does. Nothing there, or nothing of this book: OK. */
enum err witness_check(struct state *state, const char *directory, struct diag *diag);

#endif
