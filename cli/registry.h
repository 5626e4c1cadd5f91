/* cli/registry.h: the one place where a name becomes a plug. */
#ifndef TIEOUT_CLI_REGISTRY_H
#define TIEOUT_CLI_REGISTRY_H

#include "core/ops/index.h"
#include "io/source/sources.h"

/* Opens the source that a side of the job names. */
/* A file of open records by itself. */
enum err registry_carried(struct source **out, const struct source_config *config, const char *path,
                          struct diag *diag);
enum err registry_source(struct source **out, const struct source_config *config, struct diag *diag);
const struct index_ops *registry_index(void);

#endif
