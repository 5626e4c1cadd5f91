/* core/base/diag.h: a diagnostic with its place and hint.
 *
 * Says what, where, what we did, what to do. The function nearest to the failure calls diag_set() once; those
 * above return the err and add nothing. The first one wins: a later diag_set() on a filled diag changes
 * nothing, so that a clean-up that fails too does not hide the cause.
 *
 * Memory: none but the struct. Threads: one owner.
 */
#ifndef TIEOUT_CORE_BASE_DIAG_H
#define TIEOUT_CORE_BASE_DIAG_H

#include "core/base/err.h"
#include <stdio.h>

struct diag {
    enum err err;
    char code[40];   /* "csv.header": room and matter; stable, for machines */
    char what[1400]; /* where and what: "bill.csv: line 3, byte 200: ..." */
    char did[400];   /* what the program did about it; may be empty */
    char hint[400];  /* what to do; may be empty */
};

/* Fills `diag` unless it is filled already. `hint` may be NULL. Control characters in the formatted text are
 * made visible, since names and cells may be hostile. Returns `err`, so that `return diag_set(...)` reads
 * well. */
enum err diag_set(struct diag *diag, enum err err, const char *code, const char *hint, const char *format,
                  ...) __attribute__((format(printf, 5, 6)));

/* The same for a failed system call: adds strerror(errnum) and picks a hint for ENOSPC, EACCES and the like.
 */
enum err diag_set_errno(struct diag *diag, int errnum, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Says what was done. */
void diag_did(struct diag *diag, const char *text);

/* Prints `error CODE: ...`, and the did and hint lines, to `out`. */
void diag_print(const struct diag *diag, FILE *out);

#endif
