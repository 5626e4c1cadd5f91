/* io/ring/sync_set.c: see sync_set.h */
#include "io/ring/sync_set.h"
#include "io/ring/sys.h"
#include <fcntl.h>
#include <stdio.h>

static enum err make_durable(int fd, const char *name, struct diag *diag)
{
    const int error = sys_fsync(fd);
    sys_close(fd);
    return error ? diag_set_errno(diag, -error, "out.fsync", "%s: cannot make it durable", name) : OK;
}

enum err sync_set_add(struct sync_set *set, int fd, const char *name, struct diag *diag)
{
    sys_start_write(fd, 0, 0);
    if (set->count == SYNC_SET_MAX)
        return make_durable(fd, name, diag);
    set->files[set->count].fd = fd;
    snprintf(set->files[set->count].name, sizeof set->files[0].name, "%s", name);
    set->count++;
    return OK;
}

enum err sync_set_all(struct sync_set *set, struct diag *diag)
{
    enum err err = OK;
    for (unsigned i = 0; i < set->count; i++) {
        struct diag more = {0};
        const enum err one = make_durable(set->files[i].fd, set->files[i].name, err == OK ? diag : &more);
        err = err == OK ? one : err;
    }
    set->count = 0;
    return err;
}

void sync_set_drop(struct sync_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        sys_close(set->files[i].fd);
    set->count = 0;
}
