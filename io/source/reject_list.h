/* io/source/reject_list.h: the rejects of one source.
 *
 *     reject_list_init -> [reject_list_bound] -> reject_list_add (any worker) -> reject_list_first, reject_list_each
 *     -> reject_list_fini
 *
 * Kept are all of them, but for those of a file that is past what it may reject: it is refused, and of these only the
 * first ones, in order of place, are of use. What does not fit in the memory goes to a file without a name, a list full
 * at a time, each in order of place; it goes through the page cache, since it is written once and read once, from its
 * beginning.
 *
 * Threads: reject_list_add by any; the others by one, while nobody adds.
 */
#ifndef TIEOUT_IO_SOURCE_REJECT_LIST_H
#define TIEOUT_IO_SOURCE_REJECT_LIST_H

#include "core/ops/source.h"
#include <pthread.h>

enum { REJECTS_SHOWN = 10 };

/* Those that come first by place. */
struct reject_firsts {
    struct reject items[REJECTS_SHOWN];
    uint32_t count;
};

struct reject_list {
    pthread_mutex_t lock;
    struct reject *items;
    uint64_t count, room;       /* in memory */
    uint64_t count_max;         /* there; 0: any number */
    uint64_t set_aside;         /* on disk: a number of times count_max */
    uint64_t total;             /* met */
    const char *folder;         /* borrowed, until the list is closed for adding */
    int fd;                     /* of the file; -1: not made yet */
    struct reject_firsts later; /* of those that came when their file was past its limit */
};

void reject_list_init(struct reject_list *list);
void reject_list_fini(struct reject_list *list);
/* Holds `memory` bytes at most from now on, the others in a file in `folder`, which is borrowed. Before anything is
 * added. `memory` 0: all of it is held. */
void reject_list_bound(struct reject_list *list, size_t memory, const char *folder);
/* `in_file`: counts the rejects of one file; the one behind `limit` of them says that it is refused. */
enum err reject_list_add(struct reject_list *list, const struct reject *reject, uint64_t *in_file,
                         uint64_t limit, struct diag *diag);
/* The first ones from place `begin` on, below `end`: exactly those of all that were met, where that is a file and no
 * file before it was refused. */
enum err reject_list_first(struct reject_list *list, uint64_t begin, uint64_t end, struct reject_firsts *out,
                           struct diag *diag);
/* Gives all to `take`, a list full at a time in order of place. */
enum err reject_list_each(struct reject_list *list, reject_take_fn *take, void *taker, struct diag *diag);
/* ERR_BUG when some were dropped though the source was not refused. */
enum err reject_list_check(const struct reject_list *list, struct diag *diag);
/* One line to stderr: `reject CODE: PLACE: column "NAME" is "VALUE"; expected ...`. `column` and `value` may
 * be NULL. */
void reject_show(enum reject_code code, const char *place, const char *column, const char *value);

#endif
