/* io/source/parts_source.c: a side that is made of several sources: two tables of a database, say.
 *
 * Each part is a source of its own, with rules of its own; it sees a job in which it is the side. Parts come one
 * after the other in the order of the job file. The places of a side are cut into ranges, one a part, so that a place
 * says whose row it is.
 *
 * In a task two more parts may follow: the records that are carried, and, when all else of both sides has been read, those
 * final ones that may be reopened.
 */
#include "core/base/mem.h"
#include "core/config/carry.h"
#include "core/model/day.h"
#include "core/model/log_begin.h"
#include "core/rules/order_currency.h"
#include "io/source/sources.h"
#include "io/source/worker_io.h"
#include <stdatomic.h>
#include <stdio.h>

enum {
    PART_BITS = 38,
    PART_BITS_LEAST = 37,
    CALM_CHUNK = 64 * 1024,
    CARRIED_PARTS = 2,
    /* Late records come in several parts, one for each key, and open ones that passed by so far for each later key: they share
     * the places of one. */
    LATE_BITS = 4,
    LATE_PARTS = 1 << LATE_BITS
};
_Static_assert(LATE_PARTS >= KEYS_MAX + 1 + KEYS_MAX - 1, "parts for each key, and one behind them");
_Static_assert((int)PARTS_MAX <= (int)RECORD_LOGS, "a record has room for the number of its log");
_Static_assert(((uint64_t)PARTS_MAX << PART_BITS) <= 1ull << 40, "all parts fit into the places of a side");
_Static_assert(((uint64_t)(PARTS_MAX + CARRIED_PARTS) << PART_BITS_LEAST) <= 1ull << 40,
               "and a task's as well");

struct part {
    struct job job; /* a copy in which this part is the side; what it points to is the job's */
    struct norm_shared shared;
    struct source *source; /* NULL: late records, not asked for yet or none */
    struct carry_spec *carry;
};

struct parts_source {
    struct source base;
    enum side side;
    uint32_t count, claim, own; /* own: parts of the job; behind them carried ones */
    uint32_t claimable;         /* parts that are claimed; those behind them were reopened */
    unsigned bits;              /* of a place, in a part */
    uint8_t logs;               /* see struct record_layout */
    struct text begins;         /* of all logs, when they are read */
    struct carried_source carried;
    int has_late,
        told; /* has_late: parts that are asked for when all else has been read, not asked for yet */
    const char *woken;
    char folder[4096];
    source_open_fn *open;
    struct source_config config;
    struct part *parts;
    struct order_currencies *orders;
};

static struct parts_source *of(const struct source *source)
{
    return (struct parts_source *)source;
}

/* The first part of late records, where there are any. */
static uint32_t late_at(const struct parts_source *s)
{
    if (s->own == 0) /* a file of carried records by itself */
        return UINT32_MAX;
    return s->own + (s->carried.path[0] != NULL) + (s->carried.woken != NULL);
}

static uint32_t index_of(const struct parts_source *s, uint64_t place)
{
    const uint32_t index = (uint32_t)(place >> s->bits);
    return index < late_at(s) ? index : index + (uint32_t)(place >> (s->bits - LATE_BITS) & (LATE_PARTS - 1));
}

static struct source *part_of(struct parts_source *s, uint64_t place)
{
    return s->parts[index_of(s, place)].source;
}

static const struct source_ops parts_ops, parts_lean_ops;

static void parts_close(struct source *source)
{
    struct parts_source *s = of(source);
    for (uint32_t i = 0; s->parts && i < s->count; i++) {
        if (s->parts[i].source)
            s->parts[i].source->ops->close(s->parts[i].source);
        mem_give(s->parts[i].carry);
    }
    mem_give(s->parts);
    text_fini(&s->begins);
    order_currencies_close(s->orders);
    mem_give(s);
}

static enum err open_part(struct parts_source *s, uint32_t index, struct diag *diag)
{
    struct part *part = &s->parts[index];
    struct source_config config = s->config;
    config.shared = &part->shared;
    config.carried = NULL;
    config.reject_bytes /= s->own ? s->own : 1;
    if (index < s->own && s->own > 1) {
        config.place_bits = (uint8_t)s->bits;
        config.logs = s->logs;
    }
    const uint32_t late = index > late_at(s) ? index - late_at(s) : 0;
    const unsigned bits = index >= late_at(s) ? s->bits - LATE_BITS : s->bits;
    config.place_base = ((uint64_t)(index - late) << s->bits) + ((uint64_t)late << (s->bits - LATE_BITS));
    enum err err = s->open(&part->source, &config, diag);
    if (err == OK && part->source->ops->size(part->source) >> bits)
        err = diag_set(diag, ERR_INPUT, "files.size", "split the day over several runs",
                       "part %u of the %s side has more than %u GiB", index + 1, side_name(s->side),
                       1u << (bits - 30));
    return err;
}

/* A file of carried records is a part like any other, with rules of its own. */
static enum err open_carried(struct parts_source *s, uint32_t index, enum carried carried, const char **paths,
                             int count, struct diag *diag)
{
    struct part *part = &s->parts[index];
    part->carry = mem_take(sizeof *part->carry);
    if (!part->carry)
        return mem_fail(diag, sizeof *part->carry, "carried records");
    carry_spec_make(part->carry, s->config.shared->job, s->side, carried, paths, count);
    part->job = *s->config.shared->job;
    part->job.sources[s->side] = part->carry->spec;
    part->job.is_diff = 1; /* the path is a name, no pattern */
    part->job.directory = ".";
    part->shared = *s->config.shared;
    part->shared.job = &part->job;
    part->shared.cut_by_date[s->side] = 0;
    part->shared.keeps_ids = 0;
    return open_part(s, index, diag);
}

/* Parts that read one table of the same files tell the same rows: they have one number. */
static uint8_t number_logs(const struct job *job, enum side side)
{
    unsigned logs = 0;
    for (int i = 0; job->parts[side][0].log_name && i < job->part_count[side]; i++) {
        int first = 0;
        while (strcmp(job->parts[side][first].log_name, job->parts[side][i].log_name) != 0)
            first++;
        logs |= (unsigned)first << 2 * i;
    }
    return (uint8_t)logs;
}

enum err parts_source_open(struct source **out, const struct source_config *config,
                           const struct carried_source *carried, source_open_fn *open, struct diag *diag)
{
    *out = NULL;
    const struct job *job = config->shared->job;
    struct parts_source *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "a source");
    s->side = config->side;
    s->open = open;
    s->config = *config;
    if (carried)
        s->carried = *carried;
    s->own = job->part_count[s->side] > 1 ? (uint32_t)job->part_count[s->side] : 1;
    s->logs = number_logs(job, s->side);
    s->has_late = s->carried.late || s->carried.woken;
    s->count = s->own + (s->carried.path[0] != NULL) + (s->carried.woken != NULL) + (s->carried.late != NULL);
    s->claimable = s->count;
    /* Where open records pass by, some may be reopened though there are no late ones. */
    s->bits = s->count + (s->carried.woken && !s->carried.late) > PARTS_MAX ? PART_BITS_LEAST : PART_BITS;
    s->parts = mem_take_zero(s->count + LATE_PARTS, sizeof *s->parts);
    enum err err = s->parts ? OK : mem_fail(diag, s->count * sizeof *s->parts, "a side's parts");
    int lean = 1;
    for (uint32_t i = 0; err == OK && i < s->own; i++) {
        struct part *part = &s->parts[i];
        part->job = *job;
        if (job->part_count[s->side] > 1)
            part->job.sources[s->side] = job->parts[s->side][i];
        part->shared = *config->shared;
        part->shared.job = &part->job;
        err = open_part(s, i, diag);
        lean &= err == OK && part->source->ops->leans && part->source->ops->place_file;
    }
    if (err == OK && s->carried.path[0])
        err = open_carried(s, s->own, CARRIED_OPEN, s->carried.path, 1, diag);
    s->base.ops = lean ? &parts_lean_ops : &parts_ops;
    if (err != OK) {
        parts_close(&s->base);
        return err;
    }
    *out = &s->base;
    return OK;
}

enum err carried_source_open(struct source **out, const struct source_config *config, const char *path,
                             source_open_fn *open, struct diag *diag)
{
    *out = NULL;
    struct parts_source *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "a source");
    s->side = config->side;
    s->open = open;
    s->config = *config;
    s->count = s->claimable = 1;
    s->bits = PART_BITS_LEAST;
    s->base.ops = &parts_ops;
    s->woken = path;
    s->parts = mem_take_zero(1, sizeof *s->parts);
    enum err err = s->parts ? open_carried(s, 0, CARRIED_OPEN, &s->woken, 1, diag)
                            : mem_fail(diag, sizeof *s->parts, "carried records");
    if (err != OK)
        parts_close(&s->base);
    else
        *out = &s->base;
    return err;
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
    for (uint32_t i = 1; i < s->own; i++)
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
    of_part.carried = NULL;
    if (err == OK)
        err = s->open(&again, &of_part, diag);
    if (err == OK && again->ops->begin)
        err = again->ops->begin(again, folder, diag);
    if (err == OK)
        err = again->ops->scan(again, io, collect, &c, diag);
    if (again)
        again->ops->close(again);
    worker_io_close(io);
    for (uint32_t i = 1; i < s->own; i++)
        s->parts[i].shared.orders = s->orders;
    return err;
}

static enum err parts_begin(struct source *source, const char *folder, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    for (uint32_t i = 0; err == OK && i < s->count; i++)
        if (s->parts[i].source && s->parts[i].source->ops->begin)
            err = s->parts[i].source->ops->begin(s->parts[i].source, folder, diag);
    return err == OK ? collect_currencies(s, folder, diag) : err;
}

static uint64_t parts_size(const struct source *source)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < of(source)->count; i++)
        if (of(source)->parts[i].source)
            size += of(source)->parts[i].source->ops->size(of(source)->parts[i].source);
    return size;
}

static enum err open_last(struct parts_source *s, uint32_t index, enum carried carried, const char **paths,
                          int count, struct diag *diag)
{
    enum err err = open_carried(s, index, carried, paths, count, diag);
    struct source *source = s->parts[index].source;
    return err == OK && source->ops->begin ? source->ops->begin(source, s->folder, diag) : err;
}

/* The late records are asked for when nothing is on its way any more, on either side: only then is it known whose partner
 * may have come. */
static enum step claim_late(struct parts_source *s, struct diag *diag)
{
    struct source_gate *gate = s->carried.gate;
    if (atomic_load(&gate->ended) < SIDES || atomic_load(&gate->open) != 0)
        return STEP_IDLE;
    const char **paths = NULL;
    int count = 0;
    uint32_t index = s->own + (s->carried.path[0] != NULL);
    enum err err = OK;
    s->has_late = 0;
    if (s->carried.woken)
        err = s->carried.woken(s->carried.context, s->side, &s->woken, diag);
    if (err == OK && s->woken)
        err = open_last(s, index, CARRIED_OPEN, &s->woken, 1, diag);
    index += s->carried.woken != NULL;
    if (err == OK && s->carried.late)
        err = s->carried.late(s->carried.context, s->side, &paths, &count, diag);
    if (err == OK && count)
        err = open_last(s, index, CARRIED_LATE, paths, count, diag);
    return err == OK ? STEP_MORE : STEP_FAILED;
}

static enum step parts_claim(struct source *source, struct worker_io *io, struct ticket *ticket,
                             struct diag *diag)
{
    struct parts_source *s = of(source);
    struct source_gate *gate = s->carried.gate;
    const uint32_t early = s->own + (s->carried.path[0] != NULL);
    while (s->claim < s->count) {
        if (gate && s->claim == early && !s->told) {
            s->told = 1;
            atomic_fetch_add(&gate->ended, 1);
        }
        if (s->claim == early && s->has_late) {
            enum step step = claim_late(s, diag);
            if (step != STEP_MORE)
                return step;
        }
        struct source *part = s->parts[s->claim].source;
        ticket->part = s->claim;
        enum step step = part ? part->ops->claim(part, io, ticket, diag) : STEP_DONE;
        if (step == STEP_MORE && gate && s->claim < early)
            atomic_fetch_add(&gate->open, 1);
        if (step != STEP_DONE)
            return step;
        s->claim++;
    }
    if (gate && !s->told) {
        s->told = 1;
        atomic_fetch_add(&gate->ended, 1);
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
    struct parts_source *s = of(source);
    struct source *part = s->parts[ticket->part].source;
    const uint32_t index = ticket->part;
    enum step step = part->ops->process(part, io, ticket, outbox, diag);
    if (step == STEP_DONE && s->carried.gate && index < s->own + (s->carried.path[0] != NULL))
        atomic_fetch_sub(&s->carried.gate->open, 1); /* what it put is in the sets of keys */
    return step;
}

/* Where each log begins. */
static enum err note_begins(struct parts_source *s, struct diag *diag)
{
    for (uint32_t i = 0; i < s->own; i++) {
        const struct source *part = s->parts[i].source;
        const char *begin = part->ops->log_begin ? part->ops->log_begin(part) : NULL;
        log_begin_put(&s->begins, begin ? begin : "", i);
    }
    text_put(&s->begins, "", 1);
    return s->begins.failed ? mem_fail(diag, s->begins.size, "where logs begin") : OK;
}

static enum err parts_finish(struct source *source, struct worker_io *io, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < s->count; i++)
        if (s->parts[i].source)
            err = s->parts[i].source->ops->finish(s->parts[i].source, io, diag);
    for (uint32_t i = 0; i < s->own; i++)
        for (uint32_t k = i + 1; err == OK && k < s->own; k++)
            if (s->parts[i].source->ops->apart)
                err = s->parts[i].source->ops->apart(s->parts[i].source, s->parts[k].source, diag);
    return err == OK ? note_begins(s, diag) : err;
}

static enum err parts_look_again(struct source *source, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < s->count; i++)
        if (s->parts[i].source)
            err = s->parts[i].source->ops->look_again(s->parts[i].source, diag);
    return err;
}

static enum err parts_late_reject(struct source *source, struct worker_io *io, const struct row_ref *ref,
                                  struct diag *diag)
{
    struct source *part = part_of(of(source), ref->place);
    return part->ops->late_reject(part, io, ref, diag);
}

/* A part's records to whoever asked, by their numbers among all. */
struct parts_taker {
    record_take_fn *take;
    void *taker;
    uint32_t first;
};

static enum err parts_take(void *taker, uint32_t number, const struct record *record, struct diag *diag)
{
    const struct parts_taker *const to = taker;
    return to->take(to->taker, to->first + number, record, diag);
}

static enum err parts_recall(struct source *source, struct worker_io *io, const struct row_ref *refs,
                             uint32_t count, record_take_fn *take, void *taker, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        struct source *const part = part_of(of(source), refs[from].place);
        struct parts_taker part_taker = {take, taker, from};
        for (to = from + 1; to < count && part_of(of(source), refs[to].place) == part; to++) {
        }
        err = part->ops->recall(part, io, refs + from, to - from, parts_take, &part_taker, diag);
    }
    return err;
}

static enum err parts_limit_rejects(struct source *source, struct worker_io *io, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = s->own; err == OK && i < s->count; i++) {
        struct source_counts carried = {0};
        if (s->parts[i].source)
            s->parts[i].source->ops->counts(s->parts[i].source, &carried);
        if (carried.rejects)
            err = diag_set(
                diag, ERR_STATE, "state.carried",
                "if the job was changed (statuses, currencies, keys), change it back until these records are "
                "closed; else bring the state folder back from a backup",
                "%s: %llu of the carried records cannot be read any more",
                s->parts[i].carry->spec.patterns[0], (unsigned long long)carried.rejects);
    }
    for (uint32_t i = 0; err == OK && i < s->own; i++)
        err = s->parts[i].source->ops->limit_rejects(s->parts[i].source, io, diag);
    return err;
}

static void parts_counts(const struct source *source, struct source_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    for (uint32_t i = 0; i < of(source)->count; i++) {
        struct source_counts one;
        struct source *part = of(source)->parts[i].source;
        if (!part)
            continue;
        part->ops->counts(part, &one);
        if (i >= of(source)->own) /* the state's own file is no input: I1 and the limits do not speak of it */
            one = (struct source_counts){
                .records = i >= of(source)->claimable ? 0 : one.records}; /* reopen: the caller counts */
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
        for (to = from + 1; to < count && index_of(s, refs[to].place) == index_of(s, refs[from].place);
             to++) {
        }
        struct source *part = part_of(s, refs[from].place);
        err = part->ops->fetch(part, io, refs + from, rows + from, to - from, arena, diag);
    }
    return err;
}

static enum err parts_fetch_some(struct source *source, struct worker_io *io, const struct row_ref *refs,
                                 struct full *rows, uint32_t count, uint64_t fields, struct arena *arena,
                                 struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        for (to = from + 1; to < count && index_of(s, refs[to].place) == index_of(s, refs[from].place);
             to++) {
        }
        struct source *part = part_of(s, refs[from].place);
        err = part->ops->fetch_some
                  ? part->ops->fetch_some(part, io, refs + from, rows + from, to - from, fields, arena, diag)
                  : part->ops->fetch(part, io, refs + from, rows + from, to - from, arena, diag);
    }
    return err;
}

static enum err parts_ahead(struct source *source, struct worker_io *io, const struct row_ref *refs,
                            uint32_t count, size_t bytes, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; count == 0 && err == OK && i < s->count; i++)
        if (s->parts[i].source && s->parts[i].source->ops->ahead)
            err = s->parts[i].source->ops->ahead(s->parts[i].source, io, NULL, 0, 0, diag);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        struct source *const part = part_of(s, refs[from].place);
        for (to = from + 1; to < count && part_of(s, refs[to].place) == part; to++) {
        }
        if (part->ops->ahead)
            err = part->ops->ahead(part, io, refs + from, to - from, bytes, diag);
    }
    return err;
}

static size_t parts_place_text(struct source *source, struct worker_io *io, const struct full *row, char *out,
                               size_t room)
{
    if (row->carry && !row->before) { /* where it stood when it came in */
        const size_t n = row->carry->place.size < room ? row->carry->place.size : room - 1;
        memcpy(out, row->carry->place.data, n);
        out[n] = 0;
        return n;
    }
    struct source *part = part_of(of(source), row->place);
    return part->ops->place_text(part, io, row, out, room);
}

static enum err parts_rejects(struct source *source, reject_take_fn *take, void *taker, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < s->own; i++)
        err = s->parts[i].source->ops->rejects(s->parts[i].source, take, taker, diag);
    return err;
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
    const struct parts_source *s = of(source);
    struct record_layout layout = s->parts[0].source->ops->layout(s->parts[0].source);
    layout.place_bits = s->own > 1 ? (uint8_t)s->bits : 0;
    layout.logs = s->logs;
    return layout;
}

static enum err parts_scan(struct source *source, struct worker_io *io,
                           enum err (*row)(void *context, const struct full *full, struct diag *diag),
                           void *context, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < s->own; i++)
        err = s->parts[i].source->ops->scan(s->parts[i].source, io, row, context, diag);
    return err;
}

static enum err parts_reopen(struct source *source, struct worker_io *io, enum carried carried,
                             const char **paths, int count,
                             enum err (*row)(void *context, const struct full *full, struct diag *diag),
                             void *context, struct diag *diag)
{
    struct parts_source *s = of(source);
    const uint32_t index = s->count;
    CHECK2(index < late_at(s) + LATE_PARTS, index, s->own);
    s->count++;
    enum err err = open_carried(s, index, carried, paths, count, diag);
    struct source *part = s->parts[index].source;
    if (err == OK && part->ops->begin)
        err = part->ops->begin(part, s->folder, diag);
    return err == OK ? part->ops->scan(part, io, row, context, diag) : err;
}

static int parts_file(const struct source *source, uint32_t index, struct source_file *file)
{
    for (uint32_t i = 0; i < of(source)->own; i++) {
        const struct source *part = of(source)->parts[i].source;
        uint32_t count = 0;
        struct source_file one;
        if (!part->ops->file)
            continue;
        while (count <= index && part->ops->file(part, count, &one))
            count++;
        if (count > index) {
            *file = one;
            return 1;
        }
        index -= count;
    }
    return 0;
}

static enum err parts_leans(struct source *source, struct worker_io *io, const struct lean_plan *plan,
                            const uint64_t *places, uint32_t count, struct lean_list *list, struct diag *diag)
{
    struct parts_source *s = of(source);
    enum err err = OK;
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        for (to = from + 1; to < count && index_of(s, places[to]) == index_of(s, places[from]); to++) {
        }
        struct source *part = part_of(s, places[from]);
        err = part->ops->leans(part, io, plan, places + from, to - from, list, diag);
    }
    return err;
}

static const char *parts_place_file(const struct source *source, uint64_t place, uint64_t *begin,
                                    uint64_t *size)
{
    const struct source *part = part_of((struct parts_source *)source, place);
    return part->ops->place_file(part, place, begin, size);
}

static const char *parts_log_begin(const struct source *source)
{
    const struct source *part = of(source)->parts[0].source;
    return part->ops->log_begin ? of(source)->begins.data : NULL;
}

/* That one of several which begins last: what is older than its beginning may be missed. */
static int64_t parts_log_since(const struct source *source, const char **first)
{
    int64_t latest = TIME_NONE;
    for (uint32_t i = 0; i < of(source)->own; i++) {
        const struct source *part = of(source)->parts[i].source;
        const char *name = NULL;
        const int64_t since = part->ops->log_since ? part->ops->log_since(part, &name) : TIME_NONE;
        if (since != TIME_NONE && (latest == TIME_NONE || since > latest)) {
            latest = since;
            *first = name;
        }
    }
    return latest;
}

static void parts_log_tables(const struct source *source, struct text *out)
{
    for (uint32_t i = 0; i < of(source)->own; i++) {
        const struct source *part = of(source)->parts[i].source;
        if (part->ops->log_tables)
            part->ops->log_tables(part, out);
    }
}

static int parts_log_steps(const struct source *source, struct log_steps *into)
{
    int has_place = 1, overlaps = 1, reads_again = 0;
    for (uint32_t i = 0; i < of(source)->own; i++) {
        const struct source *part = of(source)->parts[i].source;
        into->has_place = into->overlaps = into->reads_again = 0;
        if (!part->ops->log_steps || !part->ops->log_steps(part, into))
            return 0;
        has_place &= into->has_place;
        overlaps &= into->overlaps;
        reads_again |= into->reads_again;
    }
    into->reads_again = reads_again;
    into->has_place = has_place;
    into->overlaps = overlaps;
    return of(source)->own > 0;
}

#define PARTS_OPS                                                                                            \
    .size = parts_size, .begin = parts_begin, .claim = parts_claim, .start = parts_start,                    \
    .arrive = parts_arrive, .process = parts_process, .finish = parts_finish,                                \
    .look_again = parts_look_again, .late_reject = parts_late_reject, .recall = parts_recall,                \
    .limit_rejects = parts_limit_rejects, .counts = parts_counts, .fetch = parts_fetch,                      \
    .fetch_some = parts_fetch_some, .ahead = parts_ahead, .place_text = parts_place_text,                    \
    .rejects = parts_rejects, .file = parts_file, .reject_text = parts_reject_text, .layout = parts_layout,  \
    .log_begin = parts_log_begin, .log_tables = parts_log_tables, .log_steps = parts_log_steps,              \
    .log_since = parts_log_since, .scan = parts_scan, .reopen = parts_reopen, .close = parts_close
static const struct source_ops parts_ops = {PARTS_OPS};
static const struct source_ops parts_lean_ops = {PARTS_OPS, .leans = parts_leans,
                                                 .place_file = parts_place_file};
