/* io/source/sources.h: the sources there are. cli/registry.c chooses by the job. */
#ifndef TIEOUT_IO_SOURCE_SOURCES_H
#define TIEOUT_IO_SOURCE_SOURCES_H

#include "core/ops/source.h"

struct source_config {
    const struct norm_shared *shared;
    enum side side;
    uint16_t date;  /* --date, or DAY_NONE */
    uint32_t chunk; /* bytes a worker decodes at a time */
    uint32_t workers;
    int quiet;           /* scan does not show rejects; counts has their number */
    uint64_t place_base; /* of a part of a side: where its places begin */
};
typedef enum err source_open_fn(struct source **out, const struct source_config *config, struct diag *diag);

enum err csv_source_open(struct source **out, const struct source_config *config, struct diag *diag);
enum err binlog_source_open(struct source **out, const struct source_config *config, struct diag *diag);

/* A side of several parts, each opened by `open`. */
enum err parts_source_open(struct source **out, const struct source_config *config, source_open_fn *open,
                           struct diag *diag);

#endif
