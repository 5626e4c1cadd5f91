/* cli/book_state.h: where a book's state is: --state, or JOBS/state; and that it is not an older copy. */
#ifndef TIEOUT_CLI_BOOK_STATE_H
#define TIEOUT_CLI_BOOK_STATE_H

#include "cli/book_witness.h"
#include "io/store/state.h"
#include <stdio.h>
#include <string.h>

/* `directory` NULL: JOBS/state. */
static inline enum err book_state_open(struct state **out, const char *jobs, const char *directory,
                                       enum state_mode mode, struct diag *diag)
{
    char path[STATE_PATH_MAX];
    *out = NULL;
    if (snprintf(path, sizeof path, "%s%s", directory ? directory : jobs, directory ? "" : "/state") >=
        (int)sizeof path)
        return diag_set(diag, ERR_USAGE, "state.path", NULL, "the state folder's name is too long");
    enum err err = state_open(out, path, mode, diag);
    if (err == OK)
        err = book_witness_check(*out, jobs, diag);
    if (err != OK) {
        state_close(*out);
        *out = NULL;
    }
    return err;
}

#endif
