/* core/config/job.c: what job files and diff's options share; see job.h */
#include "core/config/job.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static int path_in_spool(const struct job *job, const struct fetch_spec *fetch, const char *below,
                         const char *date, const char *name, char *out, size_t room)
{
    const int absolute = fetch->to[0] == '/';
    const char *channel = job->channel_code && *job->channel_code ? job->channel_code : job->name;
    return (size_t)snprintf(out, room, "%s%s%s/%s/%s%s%s", absolute ? "" : job->directory,
                            absolute ? "" : "/", fetch->to, channel, below, date, name) < room;
}

int job_spool_path(const struct job *job, const struct fetch_spec *fetch, const char *date, char *out,
                   size_t room)
{
    return path_in_spool(job, fetch, "", date, "", out, room);
}

int job_no_bill_path(const struct job *job, const struct fetch_spec *fetch, const char *date, char *out,
                     size_t room)
{
    return path_in_spool(job, fetch, ".fetched/", date, "/" JOB_NO_BILL, out, room);
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

enum { PATH_PARTS_MAX = 64, PATH_BYTES_MAX = 4096 };

/* Cuts `path`, seen from `base`, into the parts of its absolute form, "." and "a/.." taken out. -1 when it is
 * too long. */
static int path_parts(char room[PATH_BYTES_MAX], const char *base, const char *path,
                      const char *parts[PATH_PARTS_MAX])
{
    char here[PATH_BYTES_MAX] = "";
    if (path[0] == '/')
        base = "";
    else if (base[0] != '/' && !getcwd(here, sizeof here))
        return -1;
    int n = snprintf(room, PATH_BYTES_MAX, "%s/%s/%s", here, base, path);
    if (n < 0 || n >= PATH_BYTES_MAX)
        return -1;
    int count = 0;
    char *rest = room, *part;
    while ((part = strsep(&rest, "/"))) {
        if (!part[0] || strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            count -= count > 0;
            continue;
        }
        if (count == PATH_PARTS_MAX)
            return -1;
        parts[count++] = part;
    }
    return count;
}

/* `pattern` is one part of a path, with `*` and {date} in it. */
static int part_matches(const char *pattern, const char *part)
{
    static const char date[] = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]";
    char glob[PATH_BYTES_MAX];
    size_t used = 0;
    for (const char *p = pattern; *p && used + sizeof date < sizeof glob; p++) {
        if (strncmp(p, "{date}", 6) != 0) {
            glob[used++] = *p;
            continue;
        }
        memcpy(glob + used, date, sizeof date - 1);
        used += sizeof date - 1;
        p += 5;
    }
    glob[used] = 0;
    return strcmp(glob, part) == 0 || fnmatch(glob, part, 0) == 0;
}

const char *job_out_dir_clash(const struct job *job, const char *base, const char *out_dir, enum side *side)
{
    char out_room[PATH_BYTES_MAX], in_room[PATH_BYTES_MAX], home_room[PATH_BYTES_MAX];
    const char *out[PATH_PARTS_MAX], *in[PATH_PARTS_MAX], *home[PATH_PARTS_MAX];
    int out_count = path_parts(out_room, base, out_dir, out);
    int home_count = path_parts(home_room, job->directory, ".", home);
    for (int s = 0; s < SIDES; s++) {
        const struct source_spec *source = &job->sources[s];
        for (int i = 0; i < source->pattern_count; i++) {
            /* Without the file's name. */
            int in_count = path_parts(in_room, job->directory, source->patterns[i], in) - 1;
            if (in_count < 0 || out_count < in_count)
                continue;
            int same = 1, is_home = in_count <= home_count;
            for (int p = 0; p < in_count; p++) {
                same &= part_matches(in[p], out[p]);
                is_home = is_home && strcmp(in[p], home[p]) == 0;
            }
            if (!same || (is_home && out_count > in_count))
                continue;
            *side = (enum side)s;
            return source->patterns[i];
        }
    }
    return NULL;
}

enum field job_aggregate_field(int dim)
{
    static const enum field fields[AGGREGATE_DIMS] = {FIELD_CHANNEL_CODE, FIELD_MERCHANT_NO,
                                                      FIELD_SUB_MERCHANT_NO, FIELD_BIZ_TYPE};
    return fields[dim];
}

static int has_column_there(const struct job *job, enum side side, enum field field)
{
    const struct field_rule *rule = &job->sources[side].fields[field];
    return rule->column || rule->debit;
}

int job_has_fees(const struct job *job, enum side side)
{
    return has_column_there(job, side, FIELD_FEE) || job->sources[side].fields[FIELD_FEE].constant ||
           (job->match.fees == FEES_SCHEDULE && side == LOCAL);
}

int job_counts(const struct job *job, enum side side)
{
    if (!job->aggregate.on || source_tells_images(job->sources[side].kind))
        return 0;
    int counts =
        job_has_fees(job, side) || (job->aggregate.hour && has_column_there(job, side, FIELD_TRADE_TIME));
    for (int dim = 0; dim < AGGREGATE_DIMS; dim++)
        counts |= job->aggregate.dims[dim] && has_column_there(job, side, job_aggregate_field(dim));
    return counts;
}

int job_fee_is_income(const struct job *job, enum side side)
{
    const struct source_spec *spec = &job->sources[side];
    const struct field_rule *fee = &spec->fields[FIELD_FEE];
    for (int i = 0; spec->bill && i < spec->bill->type_count; i++) {
        const struct field_rule *of_type = &spec->bill->types[i].fields[FIELD_FEE];
        if (of_type->column || of_type->debit) {
            fee = of_type;
            break;
        }
    }
    return fee_is_income(fee);
}
