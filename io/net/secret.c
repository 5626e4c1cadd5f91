/* io/net/secret.c: see secret.h */
#include "io/net/secret.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static enum err check_mode(const struct stat *st, const char *path, struct diag *diag)
{
    return st->st_mode & 077 ? diag_set(diag, ERR_USAGE, "secret.open", "chmod 600 it",
                                        "%s: others may read this secret (mode %04o)", path,
                                        (unsigned)(st->st_mode & 07777))
                             : OK;
}

enum err secret_check_file(const char *path, struct diag *diag)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return diag_set(diag, ERR_USAGE, "secret.file", "paths are relative to the job file", "%s: %s", path,
                        strerror(errno));
    return check_mode(&st, path, diag);
}

static enum err from_file(char out[SECRET_MAX], const char *path, const char *directory, struct diag *diag)
{
    char whole[4096];
    int relative = path[0] != '/' && strcmp(directory, ".") != 0;
    int n = snprintf(whole, sizeof whole, "%s%s%s", relative ? directory : "", relative ? "/" : "", path);
    if (n < 0 || n >= (int)sizeof whole)
        return diag_set(diag, ERR_USAGE, "secret.file", NULL, "the path of a secret is too long");
    int fd = sys_open(whole, O_RDONLY, 0);
    if (fd < 0)
        return diag_set(diag, ERR_USAGE, "secret.file",
                        "write the password into it, for this user alone (mode 0600)",
                        "%s: cannot read the secret: %s", whole, strerror(-fd));
    struct stat st;
    int error = sys_fstat(fd, &st);
    ssize_t size = error ? error : sys_pread_full(fd, out, SECRET_MAX, 0);
    sys_close(fd);
    if (error || size < 0)
        return diag_set_errno(diag, error ? -error : (int)-size, "secret.file", "%s: cannot read the secret",
                              whole);
    enum err err = check_mode(&st, whole, diag);
    if (err != OK)
        return err;
    while (size > 0 && (out[size - 1] == '\n' || out[size - 1] == '\r'))
        size--;
    if (size == 0 || size == SECRET_MAX)
        return diag_set(diag, ERR_USAGE, "secret.size", NULL, "%s: the secret %s", whole,
                        size ? "is too long" : "is empty");
    out[size] = 0;
    return OK;
}

enum err secret_read(char out[SECRET_MAX], const char *reference, const char *directory, struct diag *diag)
{
    out[0] = 0;
    if (!reference)
        return OK;
    prctl(PR_SET_DUMPABLE, 0);
    if (strncmp(reference, "file:", 5) == 0) {
        enum err err = from_file(out, reference + 5, directory, diag);
        if (err != OK)
            secret_wipe(out);
        return err;
    }
    const char *value = getenv(reference + 4);
    if (!value || !value[0] || strlen(value) >= SECRET_MAX)
        return diag_set(diag, ERR_USAGE, "secret.env", "set it for this command",
                        "the environment variable %s is %s", reference + 4,
                        value && value[0] ? "too long" : "not set, or empty");
    memcpy(out, value, strlen(value) + 1);
    return OK;
}

void secret_wipe(char secret[SECRET_MAX])
{
    explicit_bzero(secret, SECRET_MAX);
}
