/* io/source/reject_list.c: see reject_list.h */
#include "io/source/reject_list.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>

enum { KEPT_PAST_LIMIT = 4096 };

void reject_list_init(struct reject_list *list)
{
    memset(list, 0, sizeof *list);
    pthread_mutex_init(&list->lock, NULL);
}

void reject_list_fini(struct reject_list *list)
{
    mem_give(list->items);
    pthread_mutex_destroy(&list->lock);
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct reject *)a)->place, y = ((const struct reject *)b)->place;
    return (x > y) - (x < y);
}

void reject_list_sort(struct reject_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, by_place);
}

enum err reject_list_add(struct reject_list *list, const struct reject *reject, uint64_t *in_file,
                         uint64_t limit, struct diag *diag)
{
    enum err err = OK;
    pthread_mutex_lock(&list->lock);
    list->total++;
    list->past_limit |= in_file && ++*in_file > limit;
    if (list->past_limit && list->count >= 2 * KEPT_PAST_LIMIT) {
        reject_list_sort(list);
        list->count = KEPT_PAST_LIMIT;
    }
    err = mem_list_more(&list->items, list->count, &list->room, 64, "the list of rejects", diag);
    if (err == OK)
        list->items[list->count++] = *reject;
    pthread_mutex_unlock(&list->lock);
    return err;
}

enum err reject_list_check(const struct reject_list *list, struct diag *diag)
{
    if (list->count == list->total)
        return OK;
    return diag_set(diag, ERR_BUG, "invariant.rejects", "please report this with the files",
                    "%llu rejects were met, %llu are kept", (unsigned long long)list->total,
                    (unsigned long long)list->count);
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
        return "a date such as 2026-11-19";
    case REJECT_TIME:
        return "a time such as 2026-11-19 08:15:30";
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
