/* bench/micro_spill.c: records set aside by partition and read back, in memory and through the file. The
 * file lies in TMPDIR, else /var/tmp: on tmpfs it would be memory again. */
#include "bench/shim.h"
#include "core/base/prng.h"
#include "core/model/record.h"
#include "io/spill/spool.h"
#include <stdlib.h>

enum { PARTITIONS = 256 };

struct spill_case {
    uint32_t records, tiny_records;
    uint64_t memory;
    int time_reading;
};

static enum err take(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    const struct record *r = bytes;
    uint64_t *sum = context;
    (void)diag;
    for (uint32_t i = 0; i < size / RECORD_UNIT; i++)
        *sum += r[i].place; /* in no order that matters */
    return OK;
}

static void spill(struct bench *bench, const void *context)
{
    const struct spill_case *c = context;
    const uint32_t records = (uint32_t)bench_size(c->records, c->tiny_records);
    const char *directory = getenv("TMPDIR");
    const struct spill_config config = {.directory = directory ? directory : "/var/tmp"};
    struct diag diag = {0};
    struct spool_host *host;
    if (spill_host_open(&host, &config, &diag) != OK) {
        bench_wrong(bench, diag.what);
        return;
    }
    while (bench_round(bench)) {
        struct spool *spool = NULL;
        struct prng prng = {.state = 9};
        struct record record = {0};
        uint64_t sum = 0;
        enum err err = host->ops->open(&spool, host, PARTITIONS, c->memory, &diag);
        if (!c->time_reading)
            bench_begin(bench);
        for (uint32_t i = 0; i < records && err == OK; i++) {
            record.place = prng_next(&prng);
            err = spool_put(spool, (uint32_t)(record.place >> 56), &record, sizeof record, &diag);
        }
        if (err == OK)
            err = host->ops->seal(spool, &diag);
        if (!c->time_reading)
            bench_end(bench);
        else
            bench_begin(bench);
        for (uint32_t p = 0; p < PARTITIONS && err == OK; p++)
            err = host->ops->read(spool, host, p, take, &sum, &diag);
        if (c->time_reading)
            bench_end(bench);
        if (spool)
            host->ops->close(spool);
        if (err != OK) {
            bench_wrong(bench, diag.what);
            break;
        }
        bench_answer(bench, sum);
    }
    spill_host_close(host);
    bench_items(bench, records, (uint64_t)records * sizeof(struct record));
}

void benches(void)
{
    static const struct spill_case cases[] = {
        {2000000, 20000, (uint64_t)1 << 40, 0},
        {2000000, 20000, (uint64_t)1 << 40, 1},
        {2000000, 20000, 8 << 20, 0},
        {2000000, 20000, 8 << 20, 1},
    };
    static const char *const names[] = {"spill/put_memory", "spill/read_memory", "spill/put_disk",
                                        "spill/read_disk"};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        bench_add_timed(names[i], spill, &cases[i]);
}
