/* cli/moment.h: a moment as people and programs read it: 2026-11-19T16:00:00Z; "" for none. */
#ifndef TIEOUT_CLI_MOMENT_H
#define TIEOUT_CLI_MOMENT_H

#include <stdint.h>
#include <time.h>

enum { MOMENT_TEXT = 32 };

/* `at`: seconds since 1970. Returns `out`. */
static inline const char *moment_text(char out[MOMENT_TEXT], int64_t at)
{
    const time_t seconds = (time_t)at;
    struct tm utc;
    out[0] = 0;
    if (at > 0 && at < INT64_C(253402300800) && gmtime_r(&seconds, &utc))
        strftime(out, MOMENT_TEXT, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return out;
}

#endif
