/* io/source/reject_list.c: see reject_list.h */
#include "io/source/reject_list.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "io/ring/disk.h"
#include "io/ring/sys.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ROOM = 64, READ_AT_ONCE = 256 };

void reject_list_init(struct reject_list *list)
{
    memset(list, 0, sizeof *list);
    list->fd = -1;
    pthread_mutex_init(&list->lock, NULL);
}

void reject_list_fini(struct reject_list *list)
{
    mem_give(list->items);
    if (list->fd >= 0)
        sys_close(list->fd);
    pthread_mutex_destroy(&list->lock);
}

void reject_list_bound(struct reject_list *list, size_t memory, const char *folder)
{
    list->folder = folder;
    list->count_max = memory ? FIRST_ROOM : 0;
    while (list->count_max && list->count_max * 2 * sizeof *list->items <= memory) /* its room doubles */
        list->count_max *= 2;
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct reject *)a)->place, y = ((const struct reject *)b)->place;
    return (x > y) - (x < y);
}

static void sort(struct reject_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, by_place);
}

static void firsts_put(struct reject_firsts *firsts, const struct reject *reject)
{
    uint32_t at = firsts->count;
    while (at && firsts->items[at - 1].place > reject->place)
        at--;
    if (at == REJECTS_SHOWN)
        return;
    firsts->count += firsts->count < REJECTS_SHOWN;
    memmove(firsts->items + at + 1, firsts->items + at, (firsts->count - at - 1) * sizeof *reject);
    firsts->items[at] = *reject;
}

static enum err set_aside(struct reject_list *list, struct diag *diag)
{
    const size_t size = list->count * sizeof *list->items;
    sort(list);
    if (list->fd < 0)
        disk_is_for(list->fd = sys_open_unnamed(list->folder), DISK_RECORDS);
    if (list->fd < 0)
        return diag_set_errno(diag, -list->fd, "rejects.open",
                              "%s: cannot make a file for rejects that do not fit in memory", list->folder);
    const int error = sys_pwrite_full(list->fd, list->items, size, list->set_aside * sizeof *list->items);
    if (error)
        return disk_failed(diag, -error, "rejects.write", list->folder,
                           "%s: cannot set aside %zu bytes of rejects that do not fit in memory",
                           list->folder, size);
    list->set_aside += list->count;
    list->count = 0;
    return OK;
}

enum err reject_list_add(struct reject_list *list, const struct reject *reject, uint64_t *in_file,
                         uint64_t limit, struct diag *diag)
{
    enum err err = OK;
    pthread_mutex_lock(&list->lock);
    list->total++;
    if (++*in_file > limit) {
        firsts_put(&list->later, reject);
    } else {
        if (list->count_max && list->count == list->count_max)
            err = set_aside(list, diag);
        if (err == OK)
            err = mem_list_more(&list->items, list->count, &list->room, FIRST_ROOM, "the list of rejects",
                                diag);
        if (err == OK)
            list->items[list->count++] = *reject;
    }
    pthread_mutex_unlock(&list->lock);
    return err;
}

enum err reject_list_each(struct reject_list *list, reject_take_fn *take, void *taker, struct diag *diag)
{
    struct reject items[READ_AT_ONCE];
    enum err err = OK;
    for (uint64_t at = 0; err == OK && at < list->set_aside;) {
        const uint64_t left = list->set_aside - at, n = left < READ_AT_ONCE ? left : READ_AT_ONCE;
        const ssize_t got = sys_pread_full(list->fd, items, n * sizeof *items, at * sizeof *items);
        if (got != (ssize_t)(n * sizeof *items))
            return diag_set_errno(diag, got < 0 ? (int)-got : EIO, "rejects.read",
                                  "%s: cannot read back rejects that did not fit in memory", list->folder);
        for (uint64_t i = 0; err == OK && i < n; i++)
            err = take(taker, &items[i], diag);
        at += n;
    }
    sort(list);
    for (uint64_t i = 0; err == OK && i < list->count; i++)
        err = take(taker, &list->items[i], diag);
    return err;
}

struct range {
    uint64_t begin, end;
    struct reject_firsts *out;
};

static enum err take_first(void *taker, const struct reject *reject, struct diag *diag)
{
    const struct range *const range = taker;
    (void)diag;
    if (reject->place >= range->begin && reject->place < range->end)
        firsts_put(range->out, reject);
    return OK;
}

enum err reject_list_first(struct reject_list *list, uint64_t begin, uint64_t end, struct reject_firsts *out,
                           struct diag *diag)
{
    struct range range = {begin, end, out};
    out->count = 0;
    for (uint32_t i = 0; i < list->later.count; i++)
        take_first(&range, &list->later.items[i], diag);
    return reject_list_each(list, take_first, &range, diag);
}

enum err reject_list_check(const struct reject_list *list, struct diag *diag)
{
    const uint64_t kept = list->set_aside + list->count;
    if (kept == list->total)
        return OK;
    return diag_set(diag, ERR_BUG, "invariant.rejects", "please report this with the files",
                    "%llu rejects were met, %llu are kept", (unsigned long long)list->total,
                    (unsigned long long)kept);
}

/* What a row should have had. */
static const char *expected(enum reject_code code)
{
    switch (code) {
    case REJECT_COLUMNS:
        return "as many cells as the header has";
    case REJECT_QUOTE:
        return "quotes around a whole cell only, doubled inside it";
    case REJECT_CR:
        return "carriage returns at line ends only";
    case REJECT_TOO_LONG:
        return "at most 24 KiB of key and compared cells";
    case REJECT_KEY:
        return "an order number as it was, not as a spreadsheet shortens it";
    case REJECT_AMOUNT:
    case REJECT_FEE:
        return "[+-]digits[.digits] with at most 6 decimals, up to 9223372036854.775807 (a job's `strip:` "
               "takes out "
               "separators and signs of currency)";
    case REJECT_CURRENCY:
        return "an ISO 4217 code";
    case REJECT_DIRECTION:
        return "IN or OUT, or a word of the job's map";
    case REJECT_STATUS:
        return "a word of the job's map";
    case REJECT_DATE:
        return "a date such as 2026-11-19, from 1900-01-01 to 2079-06-05";
    case REJECT_TIME:
        return "a time such as 2026-11-19 08:15:30, from 1900-01-01 to 2079-06-05";
    case REJECT_TYPE:
        return "a kind of row that the profile knows";
    case REJECT_CHARSET:
        return "text in the profile's charset";
    case REJECT_NONE:
    case REJECT_WORDS:
    case REJECT_NOT_OURS:
    case REJECTS:
        break;
    }
    return NULL;
}

void reject_show(enum reject_code code, const char *place, const char *column, const char *value)
{
    char text[1600];
    const char *want = expected(code);
    int n = snprintf(text, sizeof text, "reject %s: %.400s", reject_name(code), place);
    if (column)
        n += snprintf(text + n, sizeof text - (size_t)n, ": column \"%.100s\"", column);
    if (value)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s \"%.100s\"%s", column ? " is" : ": found", value,
                      strlen(value) > 100 ? "..." : "");
    if (want)
        snprintf(text + n, sizeof text - (size_t)n, "; expected %s", want);
    text_make_plain(text); /* names and cells come from outside */
    fprintf(stderr, "%s\n", text);
}
