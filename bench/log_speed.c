/* bench/log_speed.c: how fast a log becomes normalized records, on one core, and what reading it costs at least.
 *
 *     log_speed decode JOB.yaml     the job's local side through its source: walk, checksums, rows, records in batches
 *     log_speed read FILE           the file's bytes, and the checksum of each event
 *
 * Prints rows (or events), bytes, seconds of the clock and of the processor. Used by binlog.sh.
 */
#include "core/base/mem.h"
#include "io/format/binlog_event.h"
#include "io/format/crc32.h"
#include "io/ring/sys.h"
#include "io/source/sources.h"
#include "io/source/worker_io.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_now(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void tell(const char *what, uint64_t count, uint64_t bytes, double began, double cpu_began)
{
    double cpu = cpu_now() - cpu_began;
    printf("%s %llu bytes %llu clock %.4f cpu %.4f MB/cpu-second %.0f\n", what, (unsigned long long)count,
           (unsigned long long)bytes, clock_now() - began, cpu, (double)bytes / 1e6 / cpu);
}

/* The engine would send it to a shard; here the next one begins. */
static enum err flush(struct outbox *outbox, uint32_t shard, struct diag *diag)
{
    (void)diag;
    outbox->open[shard]->used = outbox->open[shard]->count = 0;
    return OK;
}

static enum err decode(const char *path, struct diag *diag)
{
    enum { UNITS = 1024, CHUNK = 256 << 10 };
    struct job *job;
    enum err err = job_load(&job, path, diag);
    if (err != OK)
        return err;
    double began = clock_now(), cpu = cpu_now();
    struct norm_shared shared = {0};
    struct worker_io_config io_config = {.backend = RING_POSIX, .chunk = CHUNK, .depth = 1};
    struct worker_io *io = NULL;
    struct source *source = NULL;
    struct batch *batch = mem_take_zero(1, sizeof *batch + UNITS * RECORD_UNIT);
    struct outbox outbox = {.shard_count = 1, .open = &batch, .flush = flush};
    err = batch ? norm_shared_open(&shared, job, 1, DAY_NONE, diag)
                : mem_fail(diag, UNITS * RECORD_UNIT, "a batch");
    if (err == OK)
        err = tally_init(&outbox.tally, diag);
    if (err == OK)
        err = worker_io_open(&io, &io_config, NULL, diag);
    struct source_config config = {.shared = &shared, .side = LOCAL, .chunk = CHUNK, .workers = 1};
    if (err == OK)
        err = binlog_source_open(&source, &config, diag);
    if (err != OK)
        return err;
    batch->room = UNITS;
    if (source->ops->begin)
        err = source->ops->begin(source, "/tmp", diag);
    struct ticket ticket = {0};
    while (err == OK && source->ops->claim(source, io, &ticket, diag) == STEP_MORE) {
        if (source->ops->process(source, io, &ticket, &outbox, diag) == STEP_FAILED)
            err = diag->err;
        ticket = (struct ticket){0};
    }
    if (err == OK && diag->err == OK)
        err = source->ops->finish(source, io, diag);
    struct source_counts counts;
    source->ops->counts(source, &counts);
    if (err == OK && diag->err == OK)
        tell("rows", counts.records, counts.bytes, began, cpu);
    return diag->err;
}

static enum err read_file(const char *path, struct diag *diag)
{
    enum { BLOCK = 1 << 20 };
    double began = clock_now(), cpu = cpu_now();
    int fd = sys_open(path, O_RDONLY, 0);
    uint8_t *buffer = mem_take(BLOCK);
    if (fd < 0 || !buffer)
        return diag_set(diag, ERR_INPUT, "file", NULL, "%s cannot be read", path);
    uint64_t at = BINLOG_MAGIC_SIZE, events = 0, bytes = BINLOG_MAGIC_SIZE;
    for (;;) {
        ssize_t n = sys_pread_full(fd, buffer, BLOCK, at);
        size_t used = 0;
        while (n > 0 && (size_t)n - used >= BINLOG_HEADER_SIZE) {
            uint32_t size = read_le32(buffer + used + 9);
            if (size < BINLOG_HEADER_SIZE || size > (size_t)n - used)
                break;
            if (buffer[used + 4] != EVENT_FORMAT_DESCRIPTION &&
                crc32_update(0, buffer + used, size - 4) != read_le32(buffer + used + size - 4))
                return diag_set(diag, ERR_INPUT, "checksum", NULL, "%s@%llu: wrong checksum", path,
                                (unsigned long long)(at + used));
            used += size;
            events++;
        }
        if (used == 0)
            break;
        at += used;
        bytes += used;
    }
    sys_close(fd);
    tell("events", events, bytes, began, cpu);
    return OK;
}

int main(int argc, char **argv)
{
    struct diag diag = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: log_speed decode JOB.yaml | read FILE\n");
        return ERR_USAGE;
    }
    enum err err = strcmp(argv[1], "decode") == 0 ? decode(argv[2], &diag) : read_file(argv[2], &diag);
    if (err != OK)
        diag_print(&diag, stderr);
    return (int)err;
}
