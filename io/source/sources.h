/* io/source/sources.h: the sources there are. cli/registry.c chooses by the job. */
#ifndef TIEOUT_IO_SOURCE_SOURCES_H
#define TIEOUT_IO_SOURCE_SOURCES_H

#include "core/ops/source.h"
#include <stdatomic.h>

struct source_config {
    const struct norm_shared *shared;
    enum side side;
    uint16_t date;  /* --date, or DAY_NONE */
    uint32_t chunk; /* bytes a worker decodes at a time */
    uint32_t workers;
    size_t reject_bytes;                  /* memory for the list of rejects; 0: as much as it takes */
    int direct;                           /* enum direct_mode */
    int quiet;                            /* scan does not show rejects; counts has their number */
    int raws;                             /* scan gives the text of an image, too (struct full, raw) */
    const struct carried_source *carried; /* NULL: no task; parts have none */
    uint64_t place_base;                  /* of a part of a side: where its places begin */
    uint8_t place_bits, logs;             /* of one of several logs: as in struct record_layout */
    struct span kept; /* a task: what is known of the side's logs and their tables; empty: nothing */
    int holds;        /* rows of it are carried: the table must be what it was */
    int keeps;        /* a task: log_tables and log_steps will be asked */
    /* A task: days before `date` whose files, where each day has its own, told of rows of this one: they are read once more. */
    const uint16_t *log_days;
    int log_day_count;
};
typedef enum err source_open_fn(struct source **out, const struct source_config *config, struct diag *diag);

enum err csv_source_open(struct source **out, const struct source_config *config, struct diag *diag);
enum err binlog_source_open(struct source **out, const struct source_config *config, struct diag *diag);

/* What a task's sources are given beside the job: records that are open, and final ones that may be reopened. */
struct source_gate {        /* of both sides: late records come when all else has been read */
    _Atomic uint64_t open;  /* chunks claimed and not yet decoded */
    _Atomic uint32_t ended; /* sides whose own records are all claimed */
};
struct carried_source {
    const char *path[1]; /* file of carried records; NULL: none */
    struct source_gate *gate;
    /* When every record of both sides is in: writes those final records of the side whose partner may have come into files, whose
     * names it gives; count 0: none. NULL: there are no final records. One thread at a time. */
    enum err (*late)(void *context, enum side side, const char ***paths, int *count, struct diag *diag);
    /* At the same moment: those open records that somebody may meet, where `path` names none; NULL: no such. `*path` NULL: none. */
    enum err (*woken)(void *context, enum side side, const char **path, struct diag *diag);
    void *context;
};

/* A file of open records by itself, to fetch rows of. */
enum err carried_source_open(struct source **out, const struct source_config *config, const char *path,
                             source_open_fn *open, struct diag *diag);

/* A side of several parts, each opened by `open`. `carried` NULL: no task. */
enum err parts_source_open(struct source **out, const struct source_config *config,
                           const struct carried_source *carried, source_open_fn *open, struct diag *diag);

#endif
