/* core/rules/norm_shared.c: what all normalizers of a run share (normalize.h): opened and closed in one place. */
#include "core/base/mem.h"
#include "core/rules/normalize.h"
#include "core/rules/plain_order.h"
#include <string.h>

enum err norm_shared_open(struct norm_shared *shared, const struct job *job, uint64_t hash_seed,
                          uint16_t date, struct diag *diag)
{
    memset(shared, 0, sizeof *shared);
    shared->job = job;
    shared->hash_seed = hash_seed;
    shared->unit_day = date;
    enum err err = dict_open(&shared->words, diag);
    if (err == OK && !(shared->bases = order_bases_open()))
        err = mem_fail(diag, 0, "what orders rows");
    if (err == OK)
        err = day_zone_open(&shared->job_zone, job->timezone, diag);
    if (err == OK && job->channel_code && job->channel_code[0]) /* always number 1: normalize_key_print */
        dict_number_slow(shared->words, span_of(job->channel_code));
    for (int side = 0; err == OK && side < SIDES; side++) {
        const char *zone = job->sources[side].timezone;
        err = day_zone_open(&shared->zones[side], zone ? zone : job->timezone, diag);
        shared->cut_by_date[side] = source_tells_images(job->sources[side].kind) && date != DAY_NONE;
    }
    return err;
}

void norm_shared_close(struct norm_shared *shared)
{
    dict_close(shared->words);
    order_bases_close(shared->bases);
    day_zone_close(shared->job_zone);
    for (int side = 0; side < SIDES; side++)
        day_zone_close(shared->zones[side]);
    memset(shared, 0, sizeof *shared);
}
