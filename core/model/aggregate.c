/* core/model/aggregate.c: see aggregate.h */
#include "core/model/aggregate.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include <stdlib.h>

enum {
    ROOM_AT_FIRST = 256,
    CELLS = 512, /* of a block: 24 KiB */
    TEXTS = 512, /* 8 KiB */
    BYTES = 16 * 1024,
    ORDER = 8, /* bytes a cell while they are sorted */
    RUN_BLOCK = 8 * 1024,
    RUNS_MIN = 16 /* that are laid together at once */
};
#define RUN_END UINT64_MAX

struct aggregate_block {
    struct aggregate_block *before;
};

/* A cell in a run; its texts stand behind it. */
struct run_cell {
    uint32_t key, text_size;
    int64_t count;
    money_total gross, cost;
};

/* A run is a list of these, so several can grow in a store side by side. */
struct run_block {
    uint64_t
        hash; /* of what follows, with the offset as its seed: a block of another place is none of this one */
    uint64_t next; /* offset; RUN_END */
    uint32_t used, zero;
    char bytes[RUN_BLOCK - 24];
};
static_assert(sizeof(struct run_block) == RUN_BLOCK, "blocks stand side by side");
static_assert(sizeof(struct run_cell) + AGGREGATE_NOTE_MAX <= RUN_BLOCK - 24, "a cell fits in a block");

struct aggregate_run {
    struct run_block *block;
    uint32_t at; /* of the cell behind `cell` */
    struct run_cell cell;
    struct span texts;
    uint64_t next;
};

static enum err start(struct aggregate *a, struct diag *diag)
{
    a->cell_room = a->text_room = ROOM_AT_FIRST;
    a->cell_slots = mem_take_zero(a->cell_room, sizeof *a->cell_slots);
    a->text_slots = mem_take_zero(a->text_room, sizeof *a->text_slots);
    a->held = 2 * ROOM_AT_FIRST * sizeof *a->cell_slots;
    return a->cell_slots && a->text_slots ? OK : mem_fail(diag, a->held, "aggregates");
}

/* All that is in memory goes. */
static void clear(struct aggregate *a)
{
    for (uint32_t i = 0; i < a->cell_count; i += CELLS)
        mem_give(a->cells[i / CELLS]);
    for (uint32_t i = 0; i < a->text_count; i += TEXTS)
        mem_give(a->texts[i / TEXTS]);
    mem_give(a->cells);
    mem_give(a->texts);
    mem_give(a->cell_slots);
    mem_give(a->text_slots);
    while (a->blocks) {
        struct aggregate_block *before = a->blocks->before;
        mem_give(a->blocks);
        a->blocks = before;
    }
    a->cells = NULL;
    a->texts = NULL;
    a->cell_slots = a->text_slots = NULL;
    a->cell_count = a->text_count = a->cell_room = a->text_room = 0;
    a->cell_memo = NULL;
    a->left = 0;
    a->held = 0;
}

enum err aggregate_init(struct aggregate *a, const struct aggregate_share *share, struct diag *diag)
{
    *a = (struct aggregate){0};
    if (share)
        a->share = *share;
    if (a->share.memory < AGGREGATE_MEMORY_MIN)
        a->share.memory = AGGREGATE_MEMORY_MIN;
    enum err err = start(a, diag);
    if (err != OK)
        aggregate_fini(a);
    return err;
}

void aggregate_fini(struct aggregate *a)
{
    clear(a);
    mem_give(a->runs);
    *a = (struct aggregate){0};
}

static struct aggregate_cell *cell_of(const struct aggregate *a, uint32_t number)
{
    return &a->cells[number / CELLS][number % CELLS];
}
static struct span *text_of(const struct aggregate *a, uint32_t number)
{
    return &a->texts[number / TEXTS][number % TEXTS];
}
static struct span texts_of(const struct aggregate *a, const struct aggregate_cell *cell)
{
    return *text_of(a, (uint32_t)(cell->key >> 32));
}

static uint32_t cell_slot(const struct aggregate *a, const uint32_t *slots, uint32_t room, uint64_t key)
{
    uint32_t i = (uint32_t)(key * 0x9E3779B97F4A7C15ull >> 32) & (room - 1);
    while (slots[i] && cell_of(a, slots[i] - 1)->key != key)
        i = (i + 1) & (room - 1);
    return i;
}

static uint32_t text_slot(const struct aggregate *a, const uint32_t *slots, uint32_t room, struct span text)
{
    uint32_t i = (uint32_t)hash_bytes(text.data, text.size, 0) & (room - 1);
    while (slots[i] && !span_equal(*text_of(a, slots[i] - 1), text))
        i = (i + 1) & (room - 1);
    return i;
}

static const char *keep_bytes(struct aggregate *a, struct span text)
{
    if (text.size > a->left) {
        const size_t size = text.size > BYTES ? text.size : BYTES;
        struct aggregate_block *block = mem_take(sizeof *block + size);
        if (!block)
            return NULL;
        block->before = a->blocks;
        a->blocks = block;
        a->next = (char *)(block + 1);
        a->left = size;
        a->held += sizeof *block + size;
    }
    char *at = a->next;
    if (text.size)
        memcpy(at, text.data, text.size);
    a->next += text.size;
    a->left -= text.size;
    return at;
}

/* Room for one more item in a list of blocks. 0 when memory is out. */
static int grow_blocks(struct aggregate *a, void *list, uint32_t count, uint32_t per_block, size_t item)
{
    void **blocks;
    memcpy(&blocks, list, sizeof blocks);
    if (count % per_block)
        return 1;
    void **grown = mem_grow(blocks, (count / per_block + 1u) * sizeof *grown);
    if (!grown)
        return 0;
    memcpy(list, &grown, sizeof grown);
    grown[count / per_block] = mem_take_zero(per_block, item);
    a->held += per_block * item + sizeof *grown;
    return grown[count / per_block] != NULL;
}

/* The number of a tuple of texts; UINT32_MAX when memory is out. */
static uint32_t text_number(struct aggregate *a, struct span text)
{
    uint32_t at = text_slot(a, a->text_slots, a->text_room, text);
    if (a->text_slots[at])
        return a->text_slots[at] - 1;
    if ((a->text_count + 1) * 2 > a->text_room) {
        uint32_t *grown = mem_take_zero((size_t)a->text_room * 2, sizeof *grown);
        if (!grown)
            return UINT32_MAX;
        for (uint32_t i = 0; i < a->text_count; i++)
            grown[text_slot(a, grown, a->text_room * 2, *text_of(a, i))] = i + 1;
        mem_give(a->text_slots);
        a->text_slots = grown;
        a->held += a->text_room * sizeof *grown;
        a->text_room *= 2;
        at = text_slot(a, a->text_slots, a->text_room, text);
    }
    const char *bytes = keep_bytes(a, text);
    if (!bytes || !grow_blocks(a, &a->texts, a->text_count, TEXTS, sizeof **a->texts))
        return UINT32_MAX;
    *text_of(a, a->text_count) = (struct span){bytes, text.size};
    a->text_slots[at] = ++a->text_count;
    return a->text_count - 1;
}

/* Whether a new cell and its texts may not fit in the share. */
static int is_full(const struct aggregate *a)
{
    uint64_t need = a->held + (uint64_t)a->cell_count * ORDER + CELLS * sizeof **a->cells +
                    TEXTS * sizeof **a->texts + BYTES + RUN_BLOCK;
    /* Both while they grow. */
    if ((a->cell_count + 1) * 2 > a->cell_room)
        need += (uint64_t)a->cell_room * 2 * sizeof *a->cell_slots;
    if ((a->text_count + 1) * 2 > a->text_room)
        need += (uint64_t)a->text_room * 2 * sizeof *a->text_slots;
    return a->share.store && a->cell_count && need > a->share.memory;
}

static int compare(uint32_t x, struct span x_texts, uint32_t y, struct span y_texts)
{
    const struct aggregate_cell a = {.key = x}, b = {.key = y};
    if (aggregate_side(&a) != aggregate_side(&b))
        return aggregate_side(&a) < aggregate_side(&b) ? -1 : 1;
    if (aggregate_day(&a) != aggregate_day(&b))
        return aggregate_day(&a) < aggregate_day(&b) ? -1 : 1;
    if (aggregate_hour(&a) != aggregate_hour(&b))
        return aggregate_hour(&a) < aggregate_hour(&b) ? -1 : 1;
    for (int dim = 0; dim < AGGREGATE_DIMS; dim++) {
        const int c = span_compare(aggregate_dim(x_texts, dim), aggregate_dim(y_texts, dim));
        if (c)
            return c;
    }
    if (aggregate_currency(&a) != aggregate_currency(&b))
        return aggregate_currency(&a) < aggregate_currency(&b) ? -1 : 1;
    return aggregate_out(&a) - aggregate_out(&b);
}

static int by_place(const void *x, const void *y, void *context)
{
    uint32_t i, j;
    memcpy(&i, x, sizeof i);
    memcpy(&j, y, sizeof j);
    const struct aggregate_cell *a = cell_of(context, i), *b = cell_of(context, j);
    return compare((uint32_t)a->key, texts_of(context, a), (uint32_t)b->key, texts_of(context, b));
}

static uint32_t *sorted(const struct aggregate *a)
{
    uint32_t *order = mem_take((a->cell_count + (size_t)1) * sizeof *order);
    for (uint32_t i = 0; order && i < a->cell_count; i++)
        order[i] = i;
    if (order && a->cell_count)
        qsort_r(order, a->cell_count, sizeof *order, by_place, (void *)a);
    return order;
}

/* ---- runs ---- */

struct run_writer {
    struct aggregate *aggregate;
    struct run_block *block;
    uint64_t first, offset;
};

static uint64_t claim(struct aggregate *a)
{
    /* relaxed: only the number counts */
    return atomic_fetch_add_explicit(&a->share.store->used, RUN_BLOCK, memory_order_relaxed);
}

static uint64_t block_hash(const struct run_block *block, uint64_t offset)
{
    return hash_bytes(&block->next, RUN_BLOCK - sizeof block->hash, offset);
}

static enum err write_block(struct run_writer *w, uint64_t next, struct diag *diag)
{
    struct run_block *block = w->block;
    memset(block->bytes + block->used, 0, sizeof block->bytes - block->used);
    block->next = next;
    block->zero = 0;
    block->hash = block_hash(block, w->offset);
    enum err err =
        w->aggregate->share.store->put(w->aggregate->share.store, w->offset, block, sizeof *block, diag);
    w->aggregate->written += RUN_BLOCK;
    block->used = 0;
    w->offset = next;
    return err;
}

static enum err write_begin(struct run_writer *w, struct aggregate *a, struct diag *diag)
{
    *w = (struct run_writer){.aggregate = a, .block = mem_take(sizeof *w->block)};
    if (!w->block)
        return mem_fail(diag, sizeof *w->block, "aggregates");
    w->block->used = 0;
    w->first = w->offset = claim(a);
    return OK;
}

static enum err write_cell(struct run_writer *w, const struct aggregate_cell *cell, struct span texts,
                           struct diag *diag)
{
    const struct run_cell out = {(uint32_t)cell->key, (uint32_t)texts.size, cell->count, cell->gross,
                                 cell->cost};
    if (!cell->count && !cell->gross && !cell->cost)
        return OK;
    if (w->block->used + sizeof out + texts.size > sizeof w->block->bytes) {
        enum err err = write_block(w, claim(w->aggregate), diag);
        if (err != OK)
            return err;
    }
    char *at = w->block->bytes + w->block->used;
    memcpy(at, &out, sizeof out);
    memcpy(at + sizeof out, texts.data, texts.size);
    w->block->used += (uint32_t)(sizeof out + texts.size);
    return OK;
}

/* The run is one of the aggregate's. Returns `err`, or what went wrong now. */
static enum err write_end(struct run_writer *w, enum err err, struct diag *diag)
{
    struct aggregate *a = w->aggregate;
    if (err == OK)
        err = mem_list_more(&a->runs, a->run_count, &a->run_room, RUNS_MIN, "aggregates", diag);
    if (err == OK)
        err = write_block(w, RUN_END, diag);
    if (err == OK)
        a->runs[a->run_count++] = w->first;
    mem_give(w->block);
    return err;
}

/* What is in memory becomes a run. */
static enum err spill(struct aggregate *a, struct diag *diag)
{
    struct run_writer w;
    uint32_t *order = sorted(a);
    if (!order)
        return mem_fail(diag, a->cell_count * sizeof *order, "aggregates");
    enum err err = write_begin(&w, a, diag);
    if (err == OK) {
        for (uint32_t i = 0; err == OK && i < a->cell_count; i++) {
            const struct aggregate_cell *cell = cell_of(a, order[i]);
            err = write_cell(&w, cell, texts_of(a, cell), diag);
        }
        err = write_end(&w, err, diag);
    }
    mem_give(order);
    if (err != OK)
        return err;
    clear(a);
    return start(a, diag);
}

static enum err is_damaged(struct diag *diag, uint64_t offset)
{
    return diag_set(
        diag, ERR_MACHINE, "counts.checksum", "look at the disk of the output directory, then run it again",
        "counts of aggregate.csv that did not fit in memory came back from the disk changed (byte %llu)",
        (unsigned long long)offset);
}

/* The run's next cell; key 0: it is at its end. */
static enum err run_next(const struct aggregate *a, struct aggregate_run *run, struct diag *diag)
{
    struct run_block *block = run->block;
    run->cell.key = 0;
    while (run->at == block->used) {
        const uint64_t offset = run->next;
        if (offset == RUN_END)
            return OK;
        enum err err = a->share.store->get(a->share.store, offset, block, sizeof *block, diag);
        if (err != OK)
            return err;
        if (block->hash != block_hash(block, offset))
            return is_damaged(diag, offset);
        run->next = block->next;
        run->at = 0;
    }
    memcpy(&run->cell, block->bytes + run->at, sizeof run->cell);
    run->texts = (struct span){block->bytes + run->at + sizeof run->cell, run->cell.text_size};
    run->at += (uint32_t)sizeof run->cell + run->cell.text_size;
    return OK;
}

static enum err run_open(const struct aggregate *a, struct aggregate_run *run, uint64_t first,
                         struct diag *diag)
{
    *run = (struct aggregate_run){.block = mem_take(sizeof *run->block), .next = first};
    if (!run->block)
        return mem_fail(diag, sizeof *run->block, "aggregates");
    run->block->used = 0;
    return run_next(a, run, diag);
}

/* ---- counting ---- */

struct aggregate_cell *aggregate_find(struct aggregate *a, uint64_t key, struct span texts)
{
    struct aggregate_cell *cell = NULL;
    for (;;) {
        uint32_t number = a->text_slots[text_slot(a, a->text_slots, a->text_room, texts)];
        if (number) {
            const uint64_t whole = key | (uint64_t)(number - 1) << 32;
            number = a->cell_slots[cell_slot(a, a->cell_slots, a->cell_room, whole)];
            if (number) {
                cell = cell_of(a, number - 1);
                break;
            }
        }
        if (is_full(a)) {
            if (spill(a, &a->diag) != OK)
                return NULL;
            continue;
        }
        if (!a->share.store && a->cell_count == AGGREGATE_CELLS_MAX) {
            a->too_many = 1;
            return NULL;
        }
        number = text_number(a, texts);
        if (number == UINT32_MAX)
            return NULL;
        key |= (uint64_t)number << 32;
        if ((a->cell_count + 1) * 2 > a->cell_room) {
            uint32_t *grown = mem_take_zero((size_t)a->cell_room * 2, sizeof *grown);
            if (!grown)
                return NULL;
            for (uint32_t i = 0; i < a->cell_count; i++)
                grown[cell_slot(a, grown, a->cell_room * 2, cell_of(a, i)->key)] = i + 1;
            mem_give(a->cell_slots);
            a->cell_slots = grown;
            a->held += a->cell_room * sizeof *grown;
            a->cell_room *= 2;
        }
        const uint32_t at = cell_slot(a, a->cell_slots, a->cell_room, key);
        if (!grow_blocks(a, &a->cells, a->cell_count, CELLS, sizeof **a->cells))
            return NULL;
        cell = cell_of(a, a->cell_count);
        cell->key = key;
        a->cell_slots[at] = ++a->cell_count;
        break;
    }
    a->cell_memo = cell;
    a->text_memo = texts_of(a, cell);
    return cell;
}

enum err aggregate_failed(const struct aggregate *a, struct diag *diag)
{
    if (a->diag.err != OK) {
        if (diag->err == OK)
            *diag = a->diag;
        return diag->err;
    }
    if (a->too_many)
        return diag_set(diag, ERR_MACHINE, "aggregate.cells",
                        "take out of aggregate.by what has most values, such as sub_merchant_no",
                        "more than %d cells would stand in aggregate.csv", AGGREGATE_CELLS_MAX);
    return mem_fail(diag, 0, "aggregates");
}

enum err aggregate_merge(struct aggregate *into, struct aggregate *from, struct diag *diag)
{
    enum err err = OK;
    if (!into->cell_count && !into->run_count) {
        const struct aggregate_share share = into->share;
        aggregate_fini(into);
        *into = *from;
        into->share = share;
        *from = (struct aggregate){0};
        return OK;
    }
    if (from->run_count && from->cell_count)
        err = spill(from, diag);
    if (err == OK && from->run_count) {
        const uint32_t room = into->run_count + from->run_count;
        uint64_t *grown = mem_grow(into->runs, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "aggregates");
        memcpy(grown + into->run_count, from->runs, from->run_count * sizeof *grown);
        into->runs = grown;
        into->run_count = into->run_room = room;
        into->written += from->written;
    }
    for (uint32_t i = 0; err == OK && i < from->cell_count; i++) {
        const struct aggregate_cell *cell = cell_of(from, i);
        struct aggregate_cell *sum = aggregate_find(into, (uint32_t)cell->key, texts_of(from, cell));
        if (!sum)
            return aggregate_failed(into, diag);
        sum->count += cell->count;
        sum->gross += cell->gross;
        sum->cost += cell->cost;
    }
    if (err == OK)
        aggregate_fini(from);
    return err;
}

static struct aggregate_cell cell_in(const struct run_cell *cell)
{
    return (struct aggregate_cell){cell->key, cell->count, cell->gross, cell->cost};
}

enum err aggregate_each(const struct aggregate *a, aggregate_take_fn *take, void *context, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; i < a->cell_count; i++)
        take(context, cell_of(a, i));
    for (uint32_t i = 0; err == OK && i < a->run_count; i++) {
        struct aggregate_run run;
        for (err = run_open(a, &run, a->runs[i], diag); err == OK && run.cell.key;
             err = run_next(a, &run, diag)) {
            const struct aggregate_cell cell = cell_in(&run.cell);
            take(context, &cell);
        }
        mem_give(run.block);
    }
    return err;
}

/* ---- reading in order ---- */

static int stands_before(const struct aggregate_run *a, const struct aggregate_run *b)
{
    return compare(a->cell.key, a->texts, b->cell.key, b->texts) < 0;
}

static void sink_down(struct aggregate_reader *r, uint32_t at)
{
    for (uint32_t child; (child = 2 * at + 1) < r->run_count; at = child) {
        if (child + 1 < r->run_count && stands_before(&r->runs[child + 1], &r->runs[child]))
            child++;
        if (!stands_before(&r->runs[child], &r->runs[at]))
            return;
        const struct aggregate_run other = r->runs[at];
        r->runs[at] = r->runs[child];
        r->runs[child] = other;
    }
}

/* The first run goes on, or away at its end. */
static enum err first_goes_on(struct aggregate_reader *r, struct diag *diag)
{
    enum err err = run_next(r->aggregate, &r->runs[0], diag);
    if (err == OK && !r->runs[0].cell.key) {
        mem_give(r->runs[0].block);
        r->runs[0] = r->runs[--r->run_count];
    }
    sink_down(r, 0);
    return err;
}

static enum err open_runs(struct aggregate_reader *r, uint32_t count, struct diag *diag)
{
    enum err err = OK;
    r->runs = mem_take_zero(count + (size_t)1, sizeof *r->runs);
    if (!r->runs)
        return mem_fail(diag, count * sizeof *r->runs, "aggregates");
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct aggregate_run *run = &r->runs[r->run_count];
        err = run_open(r->aggregate, run, r->aggregate->runs[i], diag);
        if (err == OK && run->cell.key)
            r->run_count++;
        else
            mem_give(run->block);
    }
    for (uint32_t i = r->run_count / 2; i-- > 0;)
        sink_down(r, i);
    return err;
}

/* The lowest cell of all runs, with those of the same key and texts. */
static enum err next_sum(struct aggregate_reader *r, struct diag *diag)
{
    enum err err = OK;
    r->cell = (struct aggregate_cell){0};
    if (!r->run_count)
        return OK;
    r->cell.key = r->runs[0].cell.key;
    memcpy(r->room, r->runs[0].texts.data, r->runs[0].texts.size);
    r->texts = (struct span){r->room, r->runs[0].texts.size};
    while (err == OK && r->run_count &&
           compare((uint32_t)r->cell.key, r->texts, r->runs[0].cell.key, r->runs[0].texts) == 0) {
        r->cell.count += r->runs[0].cell.count;
        r->cell.gross += r->runs[0].cell.gross;
        r->cell.cost += r->runs[0].cell.cost;
        err = first_goes_on(r, diag);
    }
    return err;
}

static void close_runs(struct aggregate_reader *r)
{
    for (uint32_t i = 0; i < r->run_count; i++)
        mem_give(r->runs[i].block);
    mem_give(r->runs);
    r->runs = NULL;
    r->run_count = 0;
}

/* The first `count` runs become one, the last. */
static enum err join_runs(struct aggregate_reader *r, uint32_t count, struct diag *diag)
{
    struct aggregate *a = r->aggregate;
    struct run_writer w;
    enum err err = open_runs(r, count, diag);
    if (err == OK && (err = write_begin(&w, a, diag)) == OK) {
        while ((err = next_sum(r, diag)) == OK && r->cell.key &&
               (err = write_cell(&w, &r->cell, r->texts, diag)) == OK)
            ;
        err = write_end(&w, err, diag);
    }
    close_runs(r);
    if (err != OK)
        return err;
    a->run_count -= count;
    memmove(a->runs, a->runs + count, a->run_count * sizeof *a->runs);
    return OK;
}

enum err aggregate_read(struct aggregate_reader *r, struct aggregate *a, struct diag *diag)
{
    r->aggregate = a;
    r->order = NULL;
    r->at = r->run_count = 0;
    r->runs = NULL;
    if (!a->run_count) {
        r->order = sorted(a);
        return r->order ? OK : mem_fail(diag, a->cell_count * sizeof *r->order, "aggregate.csv");
    }
    uint64_t at_once = a->share.memory / (RUN_BLOCK + sizeof *r->runs);
    if (at_once < RUNS_MIN)
        at_once = RUNS_MIN;
    enum err err = a->cell_count ? spill(a, diag) : OK;
    while (err == OK && a->run_count > at_once)
        err = join_runs(r, (uint32_t)at_once, diag);
    return err == OK ? open_runs(r, a->run_count, diag) : err;
}

enum err aggregate_next(struct aggregate_reader *r, struct diag *diag)
{
    enum err err = OK;
    if (!r->order) {
        while ((err = next_sum(r, diag)) == OK && r->cell.key && !r->cell.count)
            ;
        return err;
    }
    r->cell.key = 0;
    while (r->at < r->aggregate->cell_count) {
        const struct aggregate_cell *cell = cell_of(r->aggregate, r->order[r->at++]);
        if (!cell->count)
            continue;
        r->cell = *cell;
        r->texts = texts_of(r->aggregate, cell);
        break;
    }
    return OK;
}

void aggregate_read_end(struct aggregate_reader *r)
{
    mem_give(r->order);
    close_runs(r);
}

struct span aggregate_dim(struct span texts, int dim)
{
    const char *at = texts.data;
    uint16_t size;
    for (;; at += 2 + size) {
        memcpy(&size, at, 2);
        if (dim-- == 0)
            return (struct span){at + 2, size};
    }
}
