/* core/engine/ahead.c: see ahead.h */
#include "core/engine/ahead.h"
#include "core/engine/ref_order.h"

enum {
    SHARE = 8, /* of a worker's memory */
    BYTES_MAX = 32 << 20,
    ROW_BYTES = 256,
    ROWS_LEAST = 4096 /* fewer lie so far from each other that each is a call by itself */
};

static size_t ahead_bytes(const struct run_config *config)
{
    const uint64_t share = config->memory / config->workers / SHARE;
    return share < BYTES_MAX ? (size_t)share : BYTES_MAX;
}

/* 1: rows of the side are fetched out of a log. */
static int is_log(const struct run_config *config, int side)
{
    return source_tells_images(config->job->sources[side].kind) && config->sources[side]->ops->ahead;
}

uint32_t ahead_rows(const struct worker *w)
{
    const struct run_config *config = w->run->config;
    const size_t rows = ahead_bytes(config) / ROW_BYTES;
    return (is_log(config, LOCAL) || is_log(config, CHANNEL)) && rows >= ROWS_LEAST ? (uint32_t)rows : 0;
}

enum err ahead_read(struct worker *w, struct row_ref *refs, uint32_t count)
{
    const struct run_config *config = w->run->config;
    enum err err = OK;
    uint32_t from = 0, to = 0;
    if (count < ROWS_LEAST)
        return OK;
    refs_by_place(refs, count);
    for (int side = LOCAL; err == OK && side < SIDES; side++, from = to) {
        struct source *const source = config->sources[side];
        while (to < count && refs[to].side == side)
            to++;
        if (to == from || !is_log(config, side))
            continue;
        w->times.rows_ahead += to - from;
        err = source->ops->ahead(source, w->io, refs + from, to - from, ahead_bytes(config), &w->diag);
    }
    return err;
}

void ahead_end(struct worker *w)
{
    const struct run_config *config = w->run->config;
    for (int side = LOCAL; side < SIDES; side++)
        if (is_log(config, side))
            config->sources[side]->ops->ahead(config->sources[side], w->io, NULL, 0, 0, &w->diag);
}
