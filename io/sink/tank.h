/* io/sink/tank.h: bytes put aside by partition, in memory as far as it reaches, then in a file without a name.
 *
 *     tank_open
 *       tank_put          each lane by its worker: appends to a partition
 *       tank_end          once a lane: nothing more comes from it
 *     (all lanes ended)
 *       tank_load, tank_wait   any worker: a partition's bytes, lane after lane
 *     tank_close
 *
 * A lane has a block of memory for each partition that it writes to. A full one goes to the file, several under way
 * at a time, past the page cache where the file system lets it: what is written once and read once need not
 * go through memory that the inputs' pages want. Blocks are kept in memory while there are more of them than
 * the lanes need to write on.
 *
 * Memory   taken in tank_open: about `memory`, touched as it is used; never less than 4 KiB a lane and partition.
 * Threads  tank_put and tank_end: a lane's owner; tank_load and tank_wait: any, each with its own load.
 */
#ifndef TIEOUT_IO_SINK_TANK_H
#define TIEOUT_IO_SINK_TANK_H

#include "io/ring/ring.h"

struct tank;
struct tank_config {
    const char *directory;
    uint32_t lanes, partitions;
    uint64_t expected; /* bytes, roughly; 0: unknown. Small tanks take small blocks */
    size_t memory;     /* of all lanes */
    enum ring_backend backend;
};

/* What is being read of one partition. Zeroed before first use; its buffer is used again. */
struct tank_load {
    struct ring *ring;
    uint8_t *buffer;
    size_t room;
    struct tank_piece {
        uint8_t *bytes;
        size_t size;
    } * pieces; /* one a lane; no item lies in two */
    uint32_t piece_count;
    int error;
};

enum err tank_open(struct tank **out, const struct tank_config *config, struct diag *diag);
enum err tank_put(struct tank *tank, uint32_t lane, uint32_t partition, const void *bytes, size_t size,
                  struct diag *diag);
/* A place for up to `size` bytes where tank_put would have put them, or NULL: then tank_put. What was written there
 * is taken in by tank_commit, before anything else of the lane. */
uint8_t *tank_reserve(struct tank *tank, uint32_t lane, uint32_t partition, size_t size);
void tank_commit(struct tank *tank, uint32_t lane, uint32_t partition, size_t size);
/* So many bytes, a few lines at most, will be put there soon: their place is brought near. Only a hint. */
void tank_expect(const struct tank *tank, uint32_t lane, uint32_t partition, size_t size);
enum err tank_end(struct tank *tank, uint32_t lane, struct diag *diag);
uint64_t tank_size(const struct tank *tank, uint32_t partition);
/* Starts to read a partition; tank_wait gives its pieces. */
enum err tank_load(struct tank *tank, uint32_t partition, struct tank_load *load, struct diag *diag);
enum err tank_wait(struct tank *tank, struct tank_load *load, struct diag *diag);
void tank_load_fini(struct tank_load *load);

/* One lane's part of a partition, block by block: for what is too large to be loaded. Set lane and partition, and
 * `next` to 0; the bytes live until the next call. `*size` is 0 at the end. */
struct tank_scan {
    uint32_t lane, partition, next;
    uint8_t *buffer;
};
enum err tank_scan_next(struct tank *tank, struct tank_scan *scan, const uint8_t **bytes, size_t *size,
                        struct diag *diag);
void tank_scan_fini(struct tank_scan *scan);
uint64_t tank_spilled(const struct tank *tank); /* bytes in the file */
void tank_close(struct tank *tank);

#endif
