/* cli/registry.c: see registry.h */
#include "cli/registry.h"
#include "index/shard.h"

static enum err open_one(struct source **out, const struct source_config *config, struct diag *diag)
{
    switch (config->shared->job->sources[config->side].kind) {
    case SOURCE_BINLOG:
    case SOURCE_REPLICA:
    case SOURCE_QUERY:
        return binlog_source_open(out, config, diag);
    case SOURCE_FILES:
        break;
    }
    return csv_source_open(out, config, diag);
}

enum err registry_source(struct source **out, const struct source_config *config, struct diag *diag)
{
    if (config->shared->job->part_count[config->side] > 1 || config->carried)
        return parts_source_open(out, config, config->carried, open_one, diag);
    return open_one(out, config, diag);
}

enum err registry_carried(struct source **out, const struct source_config *config, const char *path,
                          struct diag *diag)
{
    return carried_source_open(out, config, path, csv_source_open, diag);
}

const struct index_ops *registry_index(void)
{
    return &shard_ops;
}
