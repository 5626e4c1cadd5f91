/* core/config/job.c: what job files and diff's options share; see job.h */
#include "core/config/job.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include <string.h>

void job_close(struct job *job)
{
    if (!job)
        return;
    arena_fini(&job->arena);
    mem_give(job);
}

int job_status_is_monetary(const struct job *job, struct span status)
{
    if (status.size == 0)
        return 1;
    for (int i = 0; i < job->non_monetary_count; i++)
        if (span_is(status, job->non_monetary[i]))
            return 0;
    return 1;
}

const char *job_field_name(const struct job *job, unsigned slot)
{
    CHECK2(slot < FIELDS + (unsigned)job->attr_count, slot, job->attr_count);
    return slot < FIELDS ? field_name(slot) : job->attrs[slot - FIELD_ATTR0];
}

int job_reject_limit_parse(const char *text, struct reject_limit *limit)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 15)
        return 0;
    uint64_t whole = 0;
    for (size_t i = 0; i < digits; i++)
        whole = whole * 10 + (uint64_t)(text[i] - '0');
    *limit = (struct reject_limit){0};
    const char *rest = text + digits;
    if (*rest == 0) {
        limit->max_rows = whole;
        return 1;
    }
    uint64_t ppm = whole * 10000;
    if (*rest == '.') {
        size_t decimals = strspn(++rest, "0123456789");
        if (decimals == 0 || decimals > 4)
            return 0;
        uint64_t weight = 1000;
        for (size_t i = 0; i < decimals; i++, weight /= 10)
            ppm += (uint64_t)(rest[i] - '0') * weight;
        rest += decimals;
    }
    if (strcmp(rest, "%") != 0 || ppm > 1000000)
        return 0;
    limit->max_ppm = (uint32_t)ppm;
    return 1;
}
