/* core/base/check.c: see check.h */
#include "core/base/check.h"
#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *condition, unsigned long long a,
                  unsigned long long b)
{
    fprintf(stderr, "bug: %s:%d: CHECK(%s) failed (%llu, %llu). Nothing was published. Please report this.\n",
            file, line, condition, a, b);
    fflush(stderr);
    _Exit(70);
}
