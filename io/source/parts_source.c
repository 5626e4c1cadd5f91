/* io/source/parts_source.c: a side that is made of several sources: two tables of a database, say.
 *
 * Each part is a source of its own, with rules of its own; it sees a job in which it is the side. Parts come one
 * after the other in the order of the job file. The places of a side are cut into ranges, one a part, so that a place
 * says whose row it is.
 */
#include "core/base/mem.h"
#include "core/rules/order_currency.h"
#include "io/source/sources.h"
#include "io/source/worker_io.h"

enum { PART_BITS = 38, CALM_CHUNK = 64 * 1024 };
_Static_assert(((uint64_t)PARTS_MAX << PART_BITS) <= 1ull << 40, "all parts fit into the places of a side");

struct part {
    struct job job; /* a copy in which this part is the side; what it points to is the job's */
    struct norm_shared shared;
    struct source *source;
};

struct parts_source {
    struct source base;
    enum side side;
    uint32_t count, claim;
    source_open_fn *open;
    struct source_config config;
    struct part *parts;
    struct order_currencies *orders;
    struct reject *rejects; /* of all parts, in order of place */
};

static struct parts_source *of(const struct source *source)
{
    return (struct parts_source *)source;
}

static struct source *part_of(struct parts_source *s, uint64_t place)
{
    return s->parts[place >> PART_BITS].source;
}

static const struct source_ops parts_ops;

static void parts_close(struct source *source)
{
    struct parts_source *s = of(source);
    for (uint32_t i = 0; s->parts && i < s->count; i++)
        if (s->parts[i].source)
            s->parts[i].source->ops->close(s->parts[i].source);
    mem_give(s->parts);
    mem_give(s->rejects);
    order_currencies_close(s->orders);
    mem_give(s);
}

enum err parts_source_open(struct source **out, const struct source_config *config, source_open_fn *open,
                           struct diag *diag)
{
    *out = NULL;
    const struct job *job = config->shared->job;
    struct parts_source *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "a source");
    s->base.ops = &parts_ops;
    s->side = config->side;
    s->open = open;
    s->config = *config;
    s->count = (uint32_t)job->part_count[s->side];
    s->parts = mem_take_zero(s->count, sizeof *s->parts);
    enum err err = s->parts ? OK : mem_fail(diag, s->count * sizeof *s->parts, "a side's parts");
    for (uint32_t i = 0; err == OK && i < s->count; i++) {
        struct part *part = &s->parts[i];
        part->job = *job;
        part->job.sources[s->side] = job->parts[s->side][i];
        part->shared = *config->shared;
        part->shared.job = &part->job;
        struct source_config of_part = *config;
        of_part.shared = &part->shared;
        of_part.place_base = (uint64_t)i << PART_BITS;
        err = open(&part->source, &of_part, diag);
        if (err == OK && part->source->ops->size(part->source) >> PART_BITS)
            err = diag_set(diag, ERR_INPUT, "files.size", "split the day over several runs",
                           "part %u of the %s side has more than 256 GiB", i + 1, side_name(s->side));
    }
    if (err != OK) {
        parts_close(&s->base);
        return err;
    }
    *out = &s->base;
    return OK;
}

struct collecting {
    struct order_currencies *orders;
};

static enum err collect(void *context, const struct full *full, struct diag *diag)
{
    const struct collecting *c = context;
    return order_currencies_put(c->orders, full->text[FIELD_BIZ_ORDER_NO], full->currency, diag);
}

/* Refunds that take their currency from their orders need all orders first: the first part is read once more, by a source
 * of its own. */
static enum err collect_currencies(struct parts_source *s, const char *folder, struct diag *diag)
{
    int wanted = 0;
    for (uint32_t i = 1; i < s->count; i++)
        wanted |= s->parts[i].job.sources[s->side].fields[FIELD_CURRENCY].of_order;
    if (!wanted)
        return OK;
    struct worker_io *io = NULL;
    struct worker_io_config config = {.backend = RING_POSIX, .chunk = CALM_CHUNK, .depth = 1};
    enum err err = order_currencies_open(&s->orders, diag);
    if (err == OK)
        err = worker_io_open(&io, &config, NULL, diag);
    struct collecting c = {s->orders};
    struct source *again = NULL;
    struct source_config of_part = s->config;
    of_part.shared = &s->parts[0].shared;
    if (err == OK)
        err = s->open(&again, &of_part, diag);
    if (err == OK && again->ops->begin)
        err = again->ops->begin(again, folder, diag);
    if (err == OK)
        err = again->ops->scan(again, io, collect, &c, diag);
    if (again)
        again->ops->close(again);
    worker_io_close(io);
    for (uint32_t i = 1; i < s->count; i++)
        s->parts[i].shared.orders = s->orders;
    return err;
}

static enum err parts_begin(struct source *source, const char *folder, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < s->count; i++)
        if (s->parts[i].source->ops->begin)
            err = s->parts[i].source->ops->begin(s->parts[i].source, folder, diag);
    return err == OK ? collect_currencies(s, folder, diag) : err;
}

static uint64_t parts_size(const struct source *source)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < of(source)->count; i++)
        size += of(source)->parts[i].source->ops->size(of(source)->parts[i].source);
    return size;
}

static enum step parts_claim(struct source *source, struct worker_io *io, struct ticket *ticket,
                             struct diag *diag)
{
    struct parts_source *s = of(source);
    while (s->claim < s->count) {
        struct source *part = s->parts[s->claim].source;
        ticket->part = s->claim;
        enum step step = part->ops->claim(part, io, ticket, diag);
        if (step != STEP_DONE)
            return step;
        s->claim++;
    }
    return STEP_DONE;
}

static enum err parts_start(struct source *source, struct worker_io *io, struct ticket *ticket,
                            struct diag *diag)
{
    struct source *part = of(source)->parts[ticket->part].source;
    return part->ops->start(part, io, ticket, diag);
}

static enum err parts_arrive(struct source *source, struct worker_io *io, struct ticket *ticket,
                             struct diag *diag)
{
    struct source *part = of(source)->parts[ticket->part].source;
    return part->ops->arrive ? part->ops->arrive(part, io, ticket, diag) : OK;
}

static enum step parts_process(struct source *source, struct worker_io *io, struct ticket *ticket,
                               struct outbox *outbox, struct diag *diag)
{
    struct source *part = of(source)->parts[ticket->part].source;
    return part->ops->process(part, io, ticket, outbox, diag);
}

static enum err parts_finish(struct source *source, struct worker_io *io, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < s->count; i++)
        err = s->parts[i].source->ops->finish(s->parts[i].source, io, diag);
    return err;
}

static enum err parts_late_reject(struct source *source, struct worker_io *io, const struct row_ref *ref,
                                  struct diag *diag)
{
    struct source *part = part_of(of(source), ref->place);
    return part->ops->late_reject(part, io, ref, diag);
}

static enum err parts_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag)
{
    struct parts_source *s = of(source);
    uint64_t count = 0, done = 0, n;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < s->count; i++)
        err = s->parts[i].source->ops->limit_rejects(s->parts[i].source, io, diag);
    for (uint32_t i = 0; err == OK && i < s->count; i++) {
        s->parts[i].source->ops->rejects(s->parts[i].source, &n);
        count += n;
    }
    mem_give(s->rejects);
    s->rejects = mem_take((count + 1) * sizeof *s->rejects);
    if (err == OK && !s->rejects)
        err = mem_fail(diag, count * sizeof *s->rejects, "rejects");
    for (uint32_t i = 0; err == OK && i < s->count; i++) {
        const struct reject *items = s->parts[i].source->ops->rejects(s->parts[i].source, &n);
        if (n)
            memcpy(s->rejects + done, items, n * sizeof *items);
        done += n;
    }
    return err;
}

static void parts_counts(const struct source *source, struct source_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    for (uint32_t i = 0; i < of(source)->count; i++) {
        struct source_counts one;
        struct source *part = of(source)->parts[i].source;
        part->ops->counts(part, &one);
        /* Every member is a count. */
        for (size_t k = 0; k < sizeof one / sizeof(uint64_t); k++)
            ((uint64_t *)counts)[k] += ((const uint64_t *)&one)[k];
    }
}

/* Rows are sorted by place, so those of a part stand together. */
static enum err parts_fetch(struct source *source, struct worker_io *io, const struct row_ref *refs,
                            struct full *rows, uint32_t count, struct arena *arena, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        for (to = from + 1; to < count && refs[to].place >> PART_BITS == refs[from].place >> PART_BITS;
             to++) {
        }
        struct source *part = part_of(s, refs[from].place);
        err = part->ops->fetch(part, io, refs + from, rows + from, to - from, arena, diag);
    }
    return err;
}

static size_t parts_place_text(struct source *source, struct worker_io *io, const struct full *row, char *out,
                               size_t room)
{
    struct source *part = part_of(of(source), row->place);
    return part->ops->place_text(part, io, row, out, room);
}

static const struct reject *parts_rejects(struct source *source, uint64_t *count)
{
    struct parts_source *s = of(source);
    *count = 0;
    for (uint32_t i = 0; s->rejects && i < s->count; i++) {
        uint64_t n;
        s->parts[i].source->ops->rejects(s->parts[i].source, &n);
        *count += n;
    }
    return s->rejects;
}

static enum err parts_reject_text(struct source *source, struct worker_io *io, const struct reject *reject,
                                  struct arena *arena, struct span *raw, struct span *place,
                                  struct span *column, struct span *value, struct diag *diag)
{
    struct source *part = part_of(of(source), reject->place);
    return part->ops->reject_text(part, io, reject, arena, raw, place, column, value, diag);
}

static struct record_layout parts_layout(const struct source *source)
{
    return of(source)->parts[0].source->ops->layout(of(source)->parts[0].source);
}

static enum err parts_scan(struct source *source, struct worker_io *io,
                           enum err (*row)(void *context, const struct full *full, struct diag *diag),
                           void *context, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < s->count; i++)
        err = s->parts[i].source->ops->scan(s->parts[i].source, io, row, context, diag);
    return err;
}

static const struct source_ops parts_ops = {
    .size = parts_size,
    .begin = parts_begin,
    .claim = parts_claim,
    .start = parts_start,
    .arrive = parts_arrive,
    .process = parts_process,
    .finish = parts_finish,
    .late_reject = parts_late_reject,
    .limit_rejects = parts_limit_rejects,
    .counts = parts_counts,
    .fetch = parts_fetch,
    .place_text = parts_place_text,
    .rejects = parts_rejects,
    .reject_text = parts_reject_text,
    .layout = parts_layout,
    .scan = parts_scan,
    .close = parts_close,
};
