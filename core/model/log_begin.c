/* core/model/log_begin.c: see log_begin.h */
#include "core/model/log_begin.h"
#include <string.h>

void log_begin_put(struct text *begins, const char *file, uint32_t index)
{
    if (index)
        text_put(begins, "\n", 1);
    const size_t from = begins->size;
    text_words(begins, file);
    for (size_t i = from; !begins->failed && i < begins->size; i++)
        if (begins->data[i] == '\n')
            begins->data[i] = '?';
}

/* The next one; `*at` NULL: there is none. */
static struct span take(const char **at)
{
    if (!*at)
        return (struct span){"", 0};
    const char *const end = strchr(*at, '\n');
    const struct span one = {*at, end ? (size_t)(end - *at) : strlen(*at)};
    *at = end ? end + 1 : NULL;
    return one;
}

int log_begin_order(const char *now, const char *then, struct span *is, struct span *was)
{
    int order = 0;
    *is = *was = (struct span){"", 0};
    while (now || then) {
        const int is_more = !now || !then;
        const struct span a = take(&now), b = take(&then);
        const int one = is_more ? 1 : span_compare(a, b);
        if (one != 0 && (order == 0 || (one < 0 && order > 0))) {
            order = one;
            *is = a;
            *was = b;
        }
    }
    return order;
}
