/* core/model/full.c: see full.h */
#include "core/model/full.h"

int full_compare(const struct full *a, const struct full *b)
{
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    if ((a->occurrence.size == 0) != (b->occurrence.size == 0))
        return a->occurrence.size == 0 ? 1 : -1;
    int c = span_compare(a->occurrence, b->occurrence);
    if (c == 0)
        c = span_compare(a->canonical, b->canonical);
    if (c == 0) /* the same row again, days later: the one that came first is before, and keeps its age */
        c = !a->carry - !b->carry;
    if (c == 0)
        c = (a->place > b->place) - (a->place < b->place);
    return c;
}
