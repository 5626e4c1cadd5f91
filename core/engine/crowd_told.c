/* core/engine/crowd_told.c: rows of a crowd that are taken while they are read (core/ops/crowd_door.h), until they become items.
 *
 * What rows of one key, side and sigma but for the amount have in common is kept once, as a kind; texts of key and sigma are made of
 * its first row, when all is read. Of each row stays what its item wants.
 */
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"
#include "core/rules/plain_order.h"

enum { KINDS_MAX = 1024, KEY_MAX = 64 };

struct told_kind {
    struct crowd_kind is; /* when all is read */
    uint64_t place;       /* of its first row */
    uint32_t print;
    uint16_t status, channel;
    uint8_t side, currency, out, is_there, key_size;
    char key[KEY_MAX];
};

struct told_kinds {
    struct told_kind of[KINDS_MAX]; /* by hash; a kind whose slot another one has is not told */
    uint32_t last_size;             /* the weight of a row of so many bytes is the one behind */
    uint8_t last_weight;
};

/* A row of a kind. */
struct told {
    uint64_t place, id, order;
    int64_t amount_micro;
    uint16_t day, kind;
    uint8_t weight, has_id;
};

static struct worker *worker_of(struct crowd_door *door)
{
    return (struct worker *)(void *)((char *)door - offsetof(struct worker, door));
}

static void call(struct crowd_door *door, uint32_t print)
{
    struct run *const run = worker_of(door)->run;
    struct called_keys *const called = &run->called;
    pthread_mutex_lock(&run->fresh_lock);
    const uint32_t count = atomic_load_explicit(&called->count, memory_order_relaxed);
    uint32_t i = 0;
    while (i < count && called->print[i] != print)
        i++;
    if (i == count && count < CALLED_MAX) {
        called->print[count] = print;
        atomic_store_explicit(&called->count, count + 1, memory_order_release); /* crowd_door_which */
    }
    pthread_mutex_unlock(&run->fresh_lock);
}

static uint16_t kind_of(struct told_kinds *kinds, const struct tap_rows *rows, uint32_t i, struct span key,
                        uint64_t place)
{
    const struct plain_block *const b = rows->block;
    const uint16_t status = rows->plan->status < 0 ? 0 : b->status[i],
                   channel = rows->plan->wants_channel ? b->channel[i] : 0;
    const uint8_t side = rows->plan->side_flag & RECORD_CHANNEL ? CHANNEL : LOCAL;
    const uint64_t mixed = (b->hash[i] ^ ((uint64_t)status << 32 | (uint64_t)b->currency[i] << 16 |
                                          (uint64_t)b->is_out[i] << 8 | side)) *
                           0x9E3779B97F4A7C15ull;
    struct told_kind *const kind = &kinds->of[mixed >> 54];
    _Static_assert(KINDS_MAX == 1 << 10, "a slot for each of the uppermost bits");
    if (UNLIKELY(!kind->is_there) && key.size <= KEY_MAX) {
        *kind = (struct told_kind){.place = place,
                                   .print = (uint32_t)b->hash[i],
                                   .status = status,
                                   .channel = channel,
                                   .side = side,
                                   .currency = b->currency[i],
                                   .out = b->is_out[i],
                                   .is_there = 1,
                                   .key_size = (uint8_t)key.size};
        memcpy(kind->key, key.data, key.size);
    }
    const int is_it = kind->is_there && kind->status == status && kind->channel == channel &&
                      kind->side == side && kind->currency == b->currency[i] && kind->out == b->is_out[i] &&
                      kind->key_size == key.size && memcmp(kind->key, key.data, key.size) == 0;
    return is_it ? (uint16_t)(mixed >> 54) : KINDS_MAX;
}

static enum err take_rows(struct crowd_door *door, const struct tap_rows *rows, uint64_t *which,
                          struct diag *diag)
{
    struct worker *const w = worker_of(door);
    const struct plain_plan *const plan = rows->plan;
    const uint32_t cr = rows->has_cr ? rows->columns : 0;
    uint32_t taken = 0;
    enum err err = w->told ? OK : crowd_told_open(w);
    if (err == OK && !w->told_kinds && !(w->told_kinds = mem_take_zero(1, sizeof *w->told_kinds)))
        err = mem_fail(diag, sizeof *w->told_kinds, "keys with many records");
    for (uint64_t left = *which; err == OK && left; left &= left - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(left), *const seps =
                                                                rows->seps + (size_t)i * rows->columns;
        const uint64_t place = rows->place + seps[-1] + 1;
        const uint16_t kind =
            kind_of(w->told_kinds, rows, i, plain_cell_of(rows->bytes, seps, plan->key, cr), place);
        if (UNLIKELY(kind == KINDS_MAX)) {
            *which &= ~(left & -left);
            continue;
        }
        const uint32_t size = seps[rows->columns - 1] - seps[-1];
        if (size != w->told_kinds->last_size) {
            w->told_kinds->last_size = size;
            w->told_kinds->last_weight = crowd_weight(crowd_row_bytes(&(struct full){.text_size = size}));
        }
        const struct span id = plan->occurrence < 0 ? (struct span){"", 0}
                                                    : plain_cell_of(rows->bytes, seps, plan->occurrence, cr);
        const struct told told = {.place = place,
                                  .id = crowd_id_hash(w->run, id),
                                  .order = plain_order(plan, rows->bytes, seps, cr),
                                  .amount_micro = rows->block->amount_micro[i],
                                  .day = rows->block->day[i],
                                  .kind = kind,
                                  .weight = w->told_kinds->last_weight,
                                  .has_id = id.size != 0};
        err = spool_put(w->told, row_share(place, CROWD_SHARES), &told, sizeof told, diag);
        taken++;
    }
    w->told_count += taken;
    atomic_fetch_add_explicit(&w->run->rows_done, taken, memory_order_relaxed);
    return err;
}

void crowd_door_open(struct worker *w)
{
    const struct run_config *const config = w->run->config;
    enum { BLOCK = PLAIN_BLOCK };
    const uint32_t enough = crowd_rows(config) / BLOCK / config->workers;
    if (!w->outbox.packs || config->is_task || config->counts_only || w->outbox.tap ||
        !crowd_splits(config) || compares_fee(config->job) || w->outbox.aggregate[LOCAL] ||
        w->outbox.aggregate[CHANNEL])
        return;
    w->door = (struct crowd_door){
        .called = &w->run->called, .enough = enough ? enough : 1, .call = call, .rows = take_rows};
    w->outbox.door = &w->door;
}

void crowd_door_close(struct worker *w)
{
    if (w->told)
        w->told->ops->close(w->told);
    mem_give(w->told_kinds);
    w->told = NULL;
    w->told_kinds = NULL;
}

/* Texts of this worker's kinds. */
enum err crowd_told_begin(struct crowd *c)
{
    struct worker *const w = c->w;
    if (!w->told)
        return OK;
    enum err err = w->told->ops->seal(w->told, &w->diag);
    for (uint32_t i = 0; err == OK && i < KINDS_MAX; i++) {
        struct told_kind *const kind = &w->told_kinds->of[i];
        const struct row_ref ref = {.place = kind->place,
                                    .key_hash = kind->print,
                                    .side = kind->side,
                                    .record_flags = kind->side == CHANNEL ? RECORD_CHANNEL : 0};
        if (kind->is_there)
            err = crowd_kind_of(c, &ref, &kind->is);
    }
    return err;
}

struct told_walk {
    struct crowd *c;
    const struct told_kinds *kinds;
};

static enum err take_told(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    const struct told_walk *const walk = context;
    const struct told *const all = bytes;
    enum err err = OK;
    (void)diag; /* the worker's own */
    for (uint32_t i = 0; err == OK && i < size / sizeof *all; i++) {
        const struct told *const told = &all[i];
        const struct told_kind *const kind = &walk->kinds->of[told->kind];
        struct crowd_item item = {
            .ref = {.place = told->place,
                    .order = told->order,
                    .key_hash = kind->print,
                    .side = kind->side,
                    .record_flags = (uint16_t)((kind->side == CHANNEL ? RECORD_CHANNEL : 0) |
                                               (kind->out ? RECORD_OUT : 0))},
            .hash = crowd_owner_and_id(kind->is.owner, told->id),
            .sigma = crowd_sigma_hash(kind->is.kind, told->amount_micro, 0, 0),
            .amount_micro = told->amount_micro,
            .name = kind->is.name & NAME_MASK,
            .weight = told->weight,
            .day = told->day,
            .currency = kind->currency,
            .flags = (uint8_t)((told->has_id ? ITEM_HAS_ID : 0) | (told->order ? ITEM_HAS_ORDER : 0))};
        err = told->has_id ? crowd_to_stage(walk->c, CROWD_OCCURRENCE, &item)
                           : crowd_behind_occurrence(walk->c, &item);
    }
    return err;
}

enum err crowd_told_each(struct crowd *c, uint32_t partition)
{
    const struct run *const run = c->w->run;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && c->pass == 0 && i < run->worker_count; i++) {
        struct told_walk walk = {c, run->workers[i].told_kinds};
        const struct spool *const told = run->workers[i].told;
        if (told)
            err = told->ops->read(told, c->w->spill, partition, take_told, &walk, &c->w->diag);
    }
    return err;
}
