/* io/source/log_twice.c: see log_twice.h */
#include "io/source/log_twice.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "io/format/binlog_same.h"
#include "io/source/log_name.h"

enum { COMPARED_MAX = 1 << 20, LOOKED_AT_MAX = 16 }; /* bytes of a transaction; transactions */

static uint64_t print_of(const struct binlog_group *group, const struct file_set *set)
{
    struct {
        struct binlog_gtid gtid;
        uint64_t file, begin;
    } name;
    memset(&name, 0, sizeof name); /* its padding too */
    if (group->gtid.kind == BINLOG_GTID_MYSQL || group->gtid.kind == BINLOG_GTID_MARIADB) {
        memcpy(&name.gtid, &group->gtid, sizeof name.gtid);
    } else {
        name.file = log_number(log_base_name(set->files[group->file_index].path));
        name.begin = group->begin;
    }
    return hash_bytes(&name, sizeof name, 1);
}

void log_sample_add(struct log_sample *sample, const struct binlog_group *group, const struct file_set *set)
{
    const uint64_t print = print_of(group, set);
    uint32_t at = sample->count;
    if (at == LOG_SAMPLE_MAX) {
        at = sample->highest;
        if (print >= sample->items[at].print)
            return;
    } else {
        sample->count++;
    }
    sample->items[at] = (struct log_sampled){print, *group};
    if (sample->count < LOG_SAMPLE_MAX)
        return;
    for (uint32_t i = 0; i < LOG_SAMPLE_MAX; i++)
        if (sample->items[i].print > sample->items[sample->highest].print)
            sample->highest = i;
}

/* The transaction's bytes, or the first of them; mem_give them. NULL: the diag says why. */
static char *read_group(const struct log_part *part, const struct binlog_group *group, size_t *size,
                        struct diag *diag)
{
    struct input_file *input = &part->set->files[group->file_index];
    *size = (size_t)(group->end - group->begin);
    if (*size > COMPARED_MAX)
        *size = COMPARED_MAX;
    char *bytes = mem_take(*size);
    if (!bytes) {
        mem_fail(diag, *size, "a transaction");
        return NULL;
    }
    const ssize_t n = input_pread(input, bytes, *size, group->begin);
    if (n == (ssize_t)*size)
        return bytes;
    diag_set_errno(diag, n < 0 ? (int)-n : 5, "read", "%s: cannot read at byte %llu", input->path,
                   (unsigned long long)group->begin);
    mem_give(bytes);
    return NULL;
}

static enum err compare(const struct log_part *a, const struct binlog_group *of_a, const struct log_part *b,
                        const struct binlog_group *of_b, struct diag *diag)
{
    struct span rows_a, rows_b = {NULL, 0};
    rows_a.data = read_group(a, of_a, &rows_a.size, diag);
    if (rows_a.data)
        rows_b.data = read_group(b, of_b, &rows_b.size, diag);
    if (rows_b.data && binlog_same_rows(rows_a, a->formats[of_a->file_index].checksum_size, rows_b,
                                        b->formats[of_b->file_index].checksum_size)) {
        char gtid[BINLOG_GTID_TEXT_MAX];
        binlog_gtid_print(gtid, &of_a->gtid);
        diag_set(
            diag, ERR_INPUT, "binlog.twice",
            "give each log once; parts that read one log name the same `files:`, each with its own `where:`",
            "%s@%llu and %s@%llu: two parts of a side tell one transaction%s%s, the same rows, so each "
            "would count twice",
            a->set->files[of_a->file_index].path, (unsigned long long)of_a->begin,
            b->set->files[of_b->file_index].path, (unsigned long long)of_b->begin, gtid[0] ? ", " : "", gtid);
    }
    mem_give((void *)rows_a.data);
    mem_give((void *)rows_b.data);
    return diag->err;
}

enum err log_told_twice(const struct log_part *a, const struct log_part *b, struct diag *diag)
{
    int looked_at = 0;
    for (uint32_t i = 0; i < a->sample->count; i++)
        for (uint32_t k = 0; k < b->sample->count; k++) {
            const struct log_sampled *one = &a->sample->items[i], *other = &b->sample->items[k];
            if (one->print != other->print || one->group.timestamp != other->group.timestamp)
                continue;
            if (compare(a, &one->group, b, &other->group, diag) != OK || ++looked_at == LOOKED_AT_MAX)
                return diag->err;
        }
    return OK;
}
