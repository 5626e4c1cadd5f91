/* io/source/reject_list.h: the rejects of one source.
 *
 *     reject_list_init -> reject_list_add (any worker) -> reject_list_sort -> reject_list_fini
 *
 * Kept are all of them, unless the source is past what it may reject: it is refused then, and only the first
 * ones, in order of place, are of use.
 */
#ifndef TIEOUT_IO_SOURCE_REJECT_LIST_H
#define TIEOUT_IO_SOURCE_REJECT_LIST_H

#include "core/ops/source.h"
#include <pthread.h>

enum { REJECTS_SHOWN = 10 };

struct reject_list {
    pthread_mutex_t lock;
    struct reject *items;
    uint64_t count, room; /* kept */
    uint64_t total;       /* met */
    int past_limit;
};

void reject_list_init(struct reject_list *list);
void reject_list_fini(struct reject_list *list);
/* `in_file`: counts the rejects of one file, or NULL; with more than `limit` of them the list is past its
 * limit. */
enum err reject_list_add(struct reject_list *list, const struct reject *reject, uint64_t *in_file,
                         uint64_t limit, struct diag *diag);
void reject_list_sort(struct reject_list *list);
/* ERR_BUG when some were dropped though the source was not refused. */
enum err reject_list_check(const struct reject_list *list, struct diag *diag);
/* One line to stderr: `reject CODE: PLACE: column "NAME" is "VALUE"; expected ...`. `column` and `value` may
 * be NULL. */
void reject_show(enum reject_code code, const char *place, const char *column, const char *value);

#endif
