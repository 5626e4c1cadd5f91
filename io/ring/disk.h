/* io/ring/disk.h: what this program has on a disk, for whom a full one stops.
 *
 *     disk_is_for     where a file without a name is made
 *     disk_failed     in place of diag_set_errno where room on a disk may be what lacks
 *
 * Nothing is counted while a run goes well: when a disk is full, the program's open files are looked through, and what they take there
 * is asked of the file system, so that room that is reserved counts as well.
 * Threads: any.
 */
#ifndef TIEOUT_IO_RING_DISK_H
#define TIEOUT_IO_RING_DISK_H

#include "core/base/diag.h"
#include <stdint.h>

enum disk_use {
    DISK_OTHER,    /* files without a name of which nobody said what they are for */
    DISK_RECORDS,  /* records that do not fit in memory */
    DISK_UNPACKED, /* inputs that came packed */
    DISK_ROWS,     /* rows on their way to match.csv */
    DISK_SORTED,   /* rows of the other results, sorted */
    DISK_RESULTS,  /* files of a staging directory */
    DISK_USES
};

struct disk_held {
    uint64_t bytes[DISK_USES];
};

/* 1: what is written there lies in memory (tmpfs, ramfs). Of a path that is not there yet: of the folder above it that is. */
int disk_is_memory(const char *path);
/* What the file without a name is for. The first one of records that do not fit in memory, which lies in memory yet, is told on stderr: then
 * neither --memory nor the disk limits what they take. */
void disk_is_for(int fd, enum disk_use use);
/* What this program has on the disk of `path`. */
void disk_held(struct disk_held *out, const char *path);
/* As diag_set_errno, whose text this makes. Where the disk of `path` is full it says as well what is free there, what this run has there, and what
 * helps. */
enum err disk_failed(struct diag *diag, int error, const char *code, const char *path, const char *format,
                     ...) __attribute__((format(printf, 5, 6)));

#endif
