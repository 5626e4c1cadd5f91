/* io/net/secret.h: passwords, by what a job calls them: `env:NAME` or `file:PATH`.
 *
 * Once one was read, this process leaves no core dump. A file that others may read is refused; a newline at its end is no part of it. The secret is never printed: wipe it with
 * secret_wipe when it is of no use any more. `directory` is what a relative path is relative to.
 */
#ifndef TIEOUT_IO_NET_SECRET_H
#define TIEOUT_IO_NET_SECRET_H

#include "core/base/diag.h"
#include <stddef.h>

enum { SECRET_MAX = 8192 }; /* a private key in PEM fits */

/* ERR_USAGE when it is not there, empty, too long, or open to others. A NULL reference is the empty secret. */
enum err secret_read(char out[SECRET_MAX], const char *reference, const char *directory, struct diag *diag);
/* The same check for a file that a library reads by itself, such as a private key. */
enum err secret_check_file(const char *path, struct diag *diag);
void secret_wipe(char secret[SECRET_MAX]);

#endif
