/* core/engine/crowd.c: see crowd.h
 *
 * A spool is never written while it is read, and no spool is read inside the reading of another one: readings share a worker's
 * buffers. So what a stream gives out goes to spools of its own.
 */
#include "core/engine/crowd.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/engine/judge.h"
#include "core/rules/sums.h"
#include <stdlib.h>

enum {
    SLICE = 4096,        /* rows at hand, usually */
    ROW_BYTES = 1024,    /* of a whole record, with its texts */
    ROWS_MAX = 64 << 10, /* of one key at hand, at most: what is more is done faster in parts */
    PARTITION_BITS = 7,
    PARTITIONS = 1 << PARTITION_BITS, /* of a stage */
    SHARE = 8,           /* of a worker's memory, for each spool: the index has given its own back by now */
    SHED_MAX = 240,      /* crowds that are told apart in a partition */
    SPLITTERS_MAX = 255, /* that put records in order, at once */
    SAMPLES = 4,         /* for each of them */
    BUCKETS_MAX = 128    /* of pairs */
};

/* A record of a crowd: what tells it apart, so that its row is fetched only where more of it matters. */
struct item {
    struct row_ref ref;
    uint64_t hash;  /* of what the next stage brings together; in a list of pairs, the pair's number */
    uint64_t sigma; /* of key and sigma */
    int64_t amount_micro;
    uint32_t name; /* of key and sigma without the amount, exactly; 0: only the row can tell */
    uint16_t day;
    uint8_t currency;
    uint8_t flags; /* enum item_flag */
};
enum item_flag {
    ITEM_MATCHED = 1, /* its sigma was matched under its key */
    ITEM_APART = 2    /* P1 has to look at the row, whatever its hash */
};
_Static_assert((int)CROWD_SHARES <= (int)PARTITIONS, "all partitions are taken");
_Static_assert(sizeof(struct item) == 64, "an item is one cache line");

/* Records in a spool. */
struct bag {
    struct spool *spool;
    uint32_t first, end; /* partitions */
    uint64_t count;
};

/* qsort, which may not be given no array, though there be nothing in it. */
static void sort_some(void *items, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    if (count > 1)
        qsort(items, count, size, compare);
}

/* A row that stays at hand while others come and go. */
struct kept {
    struct arena arena;
    struct full row;
    struct item item;
    int is_there;
};

struct crowd {
    struct worker *w;
    const struct job *job;
    int pass;
    uint32_t rows_max, slice;
    uint32_t whole_max; /* records that must be held together, whatever it takes */
    /* rows at hand */
    struct row_ref *refs;
    struct full *rows, **order;
    uint32_t row_room;
    /* of a partition */
    struct item *items;
    uint32_t count, room;
    struct spool *shed;
    uint64_t shed_hash[SHED_MAX], shed_size[SHED_MAX];
    uint32_t shed_count;
    /* stream: at most one at a time */
    struct item *stream;
    uint32_t streamed;
};

/* Keys of which the other side may be asked whether a record of the day's own inputs has come. */
struct fresh_keys {
    struct fresh_key {
        uint64_t hash;
        char *key;
        size_t size;
        uint8_t fresh[SIDES];
    } * keys;
    uint32_t count, room;
};

/* ---- what is a crowd ---- */

uint32_t crowd_rows(const struct run_config *config)
{
    if (config->group_rows)
        return config->group_rows;
    const uint64_t rows = config->memory / config->workers / 2 / ROW_BYTES;
    return rows < SLICE ? SLICE : rows > ROWS_MAX ? ROWS_MAX : (uint32_t)rows;
}

int crowd_splits(const struct run_config *config)
{
    /* Images of other days stand in the places of carried records: those are looked at together. */
    for (int side = 0; config->is_task && side < SIDES; side++)
        if (source_tells_images(config->job->sources[side].kind))
            return 0;
    return 1;
}

enum err crowd_too_many(struct worker *w, const struct row_ref *ref, uint64_t count, uint64_t needed,
                        uint64_t allowed)
{
    return diag_set(&w->diag, ERR_MACHINE, "memory.group",
                    "is the key right? If it is, give --memory=SIZE more, or --threads=1",
                    "%llu records have one key and must be judged together, for which some %llu MiB are "
                    "needed and %llu MiB allowed to each worker; one of them is at byte %llu of the %s "
                    "side",
                    (unsigned long long)count, (unsigned long long)(needed >> 20),
                    (unsigned long long)(allowed >> 20), (unsigned long long)ref->place,
                    side_name((enum side)ref->side));
}

static enum err too_many(struct crowd *c, const struct row_ref *ref, uint64_t count)
{
    return crowd_too_many(c->w, ref, count, count * ROW_BYTES, (uint64_t)c->whole_max * ROW_BYTES);
}

/* ---- spools and streams ---- */

static uint64_t spool_share(const struct worker *w)
{
    return w->run->config->memory / w->run->config->workers / SHARE;
}

static enum err bag_open(struct crowd *c, struct spool **spool, uint32_t partitions)
{
    return c->w->spill->ops->open(spool, c->w->spill, partitions, spool_share(c->w), &c->w->diag);
}

static void bag_close(struct spool *spool)
{
    if (spool)
        spool->ops->close(spool);
}

static enum err bag_put(struct crowd *c, struct spool *spool, uint32_t partition, const struct item *item)
{
    return spool_put(spool, partition, item, sizeof *item, &c->w->diag);
}

enum err crowd_open(struct worker *w)
{
    return w->spill->ops->open(&w->crowd[CROWD_IN], w->spill, CROWD_SHARES, spool_share(w), &w->diag);
}

enum err crowd_put(struct worker *w, const struct row_ref *ref)
{
    enum { TOGETHER = 2048 }; /* rows near each other are fetched together */
    enum err err = w->crowd[CROWD_IN] ? OK : crowd_open(w);
    if (err != OK)
        return err;
    const uint64_t number = atomic_fetch_add_explicit(&w->run->crowded, 1, memory_order_relaxed);
    return spool_put(w->crowd[CROWD_IN], number / TOGETHER % CROWD_SHARES, ref, sizeof *ref, &w->diag);
}

static enum err to_stage(struct crowd *c, int stage, struct item *item)
{
    struct worker *w = c->w;
    enum err err = w->crowd[stage] ? OK : bag_open(c, &w->crowd[stage], PARTITIONS);
    item->hash = stage == CROWD_SIGMA ? item->sigma
                 : stage == CROWD_REST
                     ? item->ref.key_hash * 0x9E3779B97F4A7C15ull /* all of a key have the same */
                     : item->hash;
    return err == OK ? bag_put(c, w->crowd[stage], (uint32_t)(item->hash >> (64 - PARTITION_BITS)), item)
                     : err;
}

/* What P1 is done with. */
static enum err behind_occurrence(struct crowd *c, struct item *item)
{
    return to_stage(c, c->job->match.group.given ? CROWD_REST : CROWD_SIGMA, item);
}

typedef enum err slice_fn(struct crowd *c, void *context, struct item *items, uint32_t count);

struct walk {
    struct crowd *c;
    slice_fn *take;
    void *context;
};

/* Another worker failed, or the run was interrupted. */
static enum err stopped(struct worker *w)
{
    return diag_set(&w->diag, ERR_INTERRUPTED, "interrupted",
                    "run the same command again; nothing was published", "stopped before the end");
}

static enum err walk_slice(struct walk *walk)
{
    struct crowd *c = walk->c;
    const uint32_t count = c->streamed;
    c->streamed = 0;
    return run_failed(c->w->run) ? stopped(c->w) : walk->take(c, walk->context, c->stream, count);
}

static enum err walk_items(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct walk *walk = context;
    const struct item *items = bytes;
    enum err err = OK;
    (void)diag;
    for (uint32_t i = 0; err == OK && i < size / sizeof *items; i++) {
        walk->c->stream[walk->c->streamed++] = items[i];
        if (walk->c->streamed == walk->c->slice)
            err = walk_slice(walk);
    }
    return err;
}

/* Gives all records of a bag in slices, in the order in which they were put. `take` may put records in other spools. */
static enum err bag_each(struct crowd *c, const struct bag *bag, slice_fn *take, void *context)
{
    struct walk walk = {c, take, context};
    enum err err = bag->spool->ops->seal(bag->spool, &c->w->diag);
    c->streamed = 0;
    for (uint32_t p = bag->first; err == OK && p < bag->end; p++)
        err = bag->spool->ops->read(bag->spool, c->w->spill, p, walk_items, &walk, &c->w->diag);
    return err == OK && c->streamed ? walk_slice(&walk) : err;
}

/* ---- rows at hand ---- */

static enum err need_rows(struct crowd *c, uint32_t count)
{
    if (count <= c->row_room)
        return OK;
    mem_give(c->refs);
    mem_give(c->rows);
    mem_give(c->order);
    c->row_room = count;
    c->refs = mem_take(count * sizeof *c->refs);
    c->rows = mem_take(count * sizeof *c->rows);
    c->order = mem_take(count * sizeof(struct full *));
    if (c->refs && c->rows && c->order)
        return OK;
    c->row_room = 0;
    return mem_fail(&c->w->diag, count * sizeof *c->rows, "open records");
}

static int by_item_place(const void *a, const void *b)
{
    return judge_by_place(&((const struct item *)a)->ref, &((const struct item *)b)->ref);
}

static enum err fill(struct crowd *c, const struct item *items, struct full *rows, uint32_t count,
                     struct arena *arena)
{
    struct span sigma = {0}, key = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct full *row = &rows[i];
        if (row->carry)
            row->reasons |= verdict_carry_reasons(row->carry);
        row->sigma_matched = items[i].flags & ITEM_MATCHED;
        if (!judge_key_of(c->job, c->pass, arena, row) || !row->key.data)
            return mem_fail(&c->w->diag, 0, "a key");
        /* What many rows have in common is compared over and over: by its address, where it is the same text. */
        sigma = row->sigma = span_equal(row->sigma, sigma) ? sigma : row->sigma;
        key = row->key = span_equal(row->key, key) ? key : row->key;
    }
    return OK;
}

/* Sorts items by side and place and fetches their rows: c->rows[i] is that of items[i]. */
static enum err lay(struct crowd *c, struct item *items, uint32_t count)
{
    struct worker *w = c->w;
    uint32_t fetched = count;
    enum err err = need_rows(c, count);
    if (err != OK || !count)
        return err;
    arena_reset(&w->arena);
    sort_some(items, count, sizeof *items, by_item_place);
    for (uint32_t i = 0; i < count; i++)
        c->refs[i] = items[i].ref;
    err = judge_fetch(w, c->refs, &fetched, c->rows, &w->arena);
    CHECK2(err != OK || fetched == count, fetched, count); /* what is rejected never came so far */
    w->rows_at_hand = c->rows;
    w->refs_at_hand = c->refs;
    for (uint32_t i = 0; i < count; i++)
        c->order[i] = &c->rows[i];
    return err == OK ? fill(c, items, c->rows, count, &w->arena) : err;
}

static enum err keep(struct crowd *c, struct kept *kept, const struct item *item)
{
    struct row_ref ref = item->ref;
    uint32_t count = 1;
    arena_reset(&kept->arena);
    kept->item = *item;
    kept->is_there = 1;
    enum err err = judge_fetch(c->w, &ref, &count, &kept->row, &kept->arena);
    CHECK(err != OK || count == 1);
    return err == OK ? fill(c, &kept->item, &kept->row, 1, &kept->arena) : err;
}

static int by_key(const void *a, const void *b)
{
    return span_compare((*(struct full *const *)a)->key, (*(struct full *const *)b)->key);
}

static int by_key_and_side(const void *a, const void *b)
{
    const int c = by_key(a, b);
    return c ? c : (int)(*(struct full *const *)a)->side - (int)(*(struct full *const *)b)->side;
}

/* ---- IN: hashes ---- */

static uint64_t sigma_hash(const struct crowd *c, const struct full *row)
{
    const int has_fee = compares_fee(c->job);
    const int64_t amounts[3] = {full_gross(row), has_fee ? row->fee_micro : 0, has_fee && row->has_fee};
    uint64_t hash = hash_bytes(row->key.data, row->key.size, c->w->run->config->hash_seed);
    hash = hash_bytes(row->sigma.data, row->sigma.size, hash);
    return hash_bytes(amounts, sizeof amounts, hash);
}

static uint64_t occurrence_hash(const struct crowd *c, const struct full *row)
{
    const uint64_t hash =
        hash_bytes(row->key.data, row->key.size, c->w->run->config->hash_seed + 1u + row->side);
    return hash_bytes(row->occurrence.data, row->occurrence.size, hash);
}

/* The entry of a key, made when it is not there; NULL when memory is out. Under fresh_lock. */
static struct fresh_key *fresh_key(struct run *run, struct span key)
{
    const uint64_t hash = hash_bytes(key.data, key.size, run->config->hash_seed);
    struct fresh_keys *all = run->fresh_keys;
    if (!all && !(all = run->fresh_keys = mem_take_zero(1, sizeof *all)))
        return NULL;
    for (uint32_t i = 0; i < all->count; i++)
        if (all->keys[i].hash == hash && all->keys[i].size == key.size &&
            memcmp(all->keys[i].key, key.data, key.size) == 0)
            return &all->keys[i];
    if (all->count == all->room) {
        const uint32_t room = all->room ? all->room * 2 : 16;
        struct fresh_key *grown = mem_grow(all->keys, room * sizeof *grown);
        if (!grown)
            return NULL;
        all->keys = grown;
        all->room = room;
    }
    char *copy = mem_take(key.size + 1);
    if (!copy)
        return NULL;
    memcpy(copy, key.data, key.size);
    all->keys[all->count] = (struct fresh_key){hash, copy, key.size, {0}};
    return &all->keys[all->count++];
}

static void forget_fresh(struct run *run)
{
    for (uint32_t i = 0; run->fresh_keys && i < run->fresh_keys->count; i++)
        mem_give(run->fresh_keys->keys[i].key);
    if (run->fresh_keys)
        mem_give(run->fresh_keys->keys);
    mem_give(run->fresh_keys);
    run->fresh_keys = NULL;
}

/* ---- names of keys and sigmas ---- */

enum { NAMES_MAX = 1 << 16, NAME_SLOTS = NAMES_MAX * 2 };

struct crowd_names {
    uint32_t slots[NAME_SLOTS]; /* 1 + number of a text; 0: free */
    struct span texts[NAMES_MAX];
    uint64_t hashes[NAMES_MAX];
    struct arena arena;
    uint32_t count;
};

/* The number of a text, from 1, the same for all workers; 0 when there are too many, or memory is out. */
static uint32_t name_of(struct run *run, struct span text)
{
    const uint64_t hash = hash_bytes(text.data, text.size, run->config->hash_seed);
    uint32_t name = 0;
    pthread_mutex_lock(&run->fresh_lock);
    struct crowd_names *all = run->crowd_names;
    if (!all && (all = run->crowd_names = mem_map(sizeof *all, 0)))
        arena_init(&all->arena);
    for (uint64_t at = hash % NAME_SLOTS; all; at = (at + 1) % NAME_SLOTS) {
        const uint32_t number = all->slots[at];
        if (number && all->hashes[number - 1] == hash && span_equal(all->texts[number - 1], text)) {
            name = number;
            break;
        }
        if (number)
            continue;
        struct span copy = {0};
        if (all->count < NAMES_MAX)
            copy = arena_copy(&all->arena, text);
        if (copy.data) {
            all->texts[all->count] = copy;
            all->hashes[all->count] = hash;
            name = all->slots[at] = ++all->count;
        }
        break;
    }
    pthread_mutex_unlock(&run->fresh_lock);
    return name;
}

static void forget_names(struct run *run)
{
    if (!run->crowd_names)
        return;
    arena_fini(&run->crowd_names->arena);
    mem_unmap(run->crowd_names, sizeof *run->crowd_names);
    run->crowd_names = NULL;
}

/* Rows of a crowd usually have the key and sigma of the one before. */
struct name_memo {
    struct span key, sigma;
    uint32_t name;
};

static uint32_t name_row(struct crowd *c, const struct full *row, struct name_memo *memo)
{
    const struct run_config *config = c->w->run->config;
    if (config->write_match || compares_fee(c->job) || row->taken_micro || row->reasons || row->carry)
        return 0;
    if (memo->name && span_equal(memo->key, row->key) && span_equal(memo->sigma, row->sigma))
        return memo->name;
    const uint32_t size = (uint32_t)row->key.size;
    char *text = arena_take(&c->w->arena, sizeof size + row->key.size + row->sigma.size);
    if (!text)
        return 0;
    memcpy(text, &size, sizeof size);
    memcpy(text + sizeof size, row->key.data, row->key.size);
    memcpy(text + sizeof size + row->key.size, row->sigma.data, row->sigma.size);
    *memo = (struct name_memo){
        row->key, row->sigma,
        name_of(c->w->run, (struct span){text, sizeof size + row->key.size + row->sigma.size})};
    return memo->name;
}

/* A task: a record of its own inputs wakes final ones of its key, on the other side. */
static enum err note_fresh(struct crowd *c, const struct full *row)
{
    struct run *run = c->w->run;
    pthread_mutex_lock(&run->fresh_lock);
    struct fresh_key *key = fresh_key(run, row->key);
    if (key)
        key->fresh[row->side] = 1;
    pthread_mutex_unlock(&run->fresh_lock);
    return key ? OK : mem_fail(&c->w->diag, row->key.size, "a key");
}

/* A final record that is to be looked at: does anybody wake it? */
static int sleeps_here(const struct crowd *c, const struct full *row)
{
    return c->pass == 0 ? row->carry && row->carry->is_late : row->sleeps;
}

/* A pair whose records have both come to a key, as a number. */
static uint64_t both_of(const struct crowd *c, const struct full *row)
{
    return hash_bytes(row->key.data, row->key.size, row->carry->link + (uint64_t)c->pass);
}

/* The first record of a pair is noted by its side, the second completes it. */
static enum err note_pair(struct crowd *c, const struct full *row)
{
    struct reopened *together = &c->w->run->together;
    const uint64_t both = both_of(c, row), own = both + 1u + row->side, other = both + 1u + !row->side;
    enum err err = reopened_put_pair(together, own, &c->w->diag);
    return err == OK && reopened_has_pair(together, other) ? reopened_put_pair(together, both, &c->w->diag)
                                                           : err;
}

static enum err is_awake(struct crowd *c, const struct full *row, int *awake)
{
    struct run *run = c->w->run;
    *awake = 1;
    if (!sleeps_here(c, row))
        return OK;
    pthread_mutex_lock(&run->fresh_lock);
    const struct fresh_key *key = fresh_key(run, row->key);
    *awake = key && key->fresh[!row->side];
    if (key && !*awake && key->fresh[row->side] && row->carry->link)
        *awake = reopened_has_pair(&run->together, both_of(c, row));
    pthread_mutex_unlock(&run->fresh_lock);
    return key ? OK : mem_fail(&c->w->diag, row->key.size, "a key");
}

static enum err wake_up(struct crowd *c, struct full *row, struct item *item)
{
    if (!sleeps_here(c, row))
        return OK;
    item->ref.sleeps = 0;
    return judge_wake(c->w, row, c->pass);
}

static enum err sleep_on(struct crowd *c, const struct full *row)
{
    return c->pass ? OK : judge_sleep_on(c->w, row, &c->refs[row - c->rows]);
}

static enum err scan_slice(struct crowd *c, struct row_ref *refs, uint32_t count)
{
    struct worker *w = c->w;
    struct span noted[SIDES] = {{0}};
    struct name_memo memo[SIDES] = {{.name = 0}, {.name = 0}};
    arena_reset(&w->arena);
    enum err err = judge_fetch(w, refs, &count, c->rows, &w->arena);
    w->rows_at_hand = c->rows;
    w->refs_at_hand = refs;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        int admitted;
        err = judge_admit(w, row, &refs[i], NULL, c->pass, &admitted);
        if (err != OK || !admitted)
            continue;
        struct item item = {.ref = refs[i],
                            .sigma = sigma_hash(c, row),
                            .amount_micro = row->amount_micro,
                            .name = name_row(c, row, &memo[row->side]),
                            .day = row->day,
                            .currency = row->currency};
        item.ref.revisited = 0; /* it is counted */
        if (w->carry && !row->carry && row->repeated != REPEAT_EQUAL &&
            !span_equal(noted[row->side], row->key)) {
            err = note_fresh(c, row);
            noted[row->side] = row->key;
        }
        const int sleeps = w->carry && sleeps_here(c, row);
        if (err == OK && sleeps && row->carry->link)
            err = note_pair(c, row);
        if (sleeps || (!row->met && row->repeated))
            item.flags |= ITEM_APART;
        if (err != OK)
            continue;
        item.hash = occurrence_hash(c, row);
        err = item.flags & ITEM_APART || (!row->met && row->occurrence.size)
                  ? to_stage(c, CROWD_OCCURRENCE, &item)
                  : behind_occurrence(c, &item);
    }
    return err;
}

struct scan {
    struct crowd *c;
    struct row_ref *refs;
    uint32_t count;
};

static enum err scan_refs(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct scan *scan = context;
    const struct row_ref *refs = bytes;
    enum err err = OK;
    (void)diag;
    for (uint32_t i = 0; err == OK && i < size / sizeof *refs; i++) {
        scan->refs[scan->count++] = refs[i];
        if (scan->count == scan->c->slice) {
            scan->count = 0;
            err = run_failed(scan->c->w->run) ? OK : scan_slice(scan->c, scan->refs, scan->c->slice);
        }
    }
    return err;
}

static enum err stage_in(struct crowd *c, uint32_t partition)
{
    struct worker *w = c->w;
    struct scan scan = {.c = c};
    enum err err = partition < CROWD_SHARES ? need_rows(c, c->slice) : OK;
    if (partition >= CROWD_SHARES || err != OK)
        return err;
    scan.refs = mem_take(c->slice * sizeof *scan.refs);
    if (!scan.refs)
        return mem_fail(&w->diag, c->slice * sizeof *scan.refs, "open records");
    for (uint32_t i = 0; err == OK && i < w->run->worker_count; i++) {
        const struct spool *spool = w->run->workers[i].crowd[CROWD_IN];
        if (spool)
            err = spool->ops->read(spool, w->spill, partition, scan_refs, &scan, &w->diag);
    }
    if (err == OK && scan.count)
        err = scan_slice(c, scan.refs, scan.count);
    mem_give(scan.refs);
    return err;
}

/* ---- a partition of a stage ---- */

static int by_hash(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static uint32_t same_hash(const struct item *items, uint32_t count, uint32_t from)
{
    uint32_t to = from + 1;
    while (to < count && items[to].hash == items[from].hash)
        to++;
    return to;
}

/* Moves hashes with more than `most` records each from the list to a spool. The list is sorted then. */
static enum err shed(struct crowd *c, uint32_t most)
{
    uint32_t kept = 0;
    enum err err = OK;
    sort_some(c->items, c->count, sizeof *c->items, by_hash);
    for (uint32_t from = 0, to; err == OK && from < c->count; from = to) {
        to = same_hash(c->items, c->count, from);
        const int leaves = to - from > most && c->shed_count < SHED_MAX;
        if (leaves && !c->shed)
            err = bag_open(c, &c->shed, SHED_MAX);
        for (uint32_t i = from; err == OK && i < to; i++)
            if (leaves)
                err = bag_put(c, c->shed, c->shed_count, &c->items[i]);
            else
                c->items[kept++] = c->items[i];
        if (leaves) {
            c->shed_hash[c->shed_count] = c->items[to - 1].hash;
            c->shed_size[c->shed_count++] = to - from;
        }
    }
    c->count = kept;
    return err;
}

static enum err take_items(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct crowd *c = context;
    const struct item *items = bytes;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < size / sizeof *items; i++) {
        const uint32_t full = c->room;
        const int is_full = c->count == full;
        if (is_full && full > 4 * c->rows_max && (err = shed(c, full / 8)) != OK)
            return err;
        if (c->count == full ||
            (is_full && c->count > full / 2)) { /* else it would be sorted over and over */
            const uint32_t room = full ? full * 2 : 1024;
            struct item *grown = mem_grow(c->items, room * sizeof *grown);
            if (!grown)
                return mem_fail(diag, room * sizeof *grown, "open records");
            c->items = grown;
            c->room = room;
        }
        uint32_t slot = 0; /* perhaps shed just now */
        while (slot < c->shed_count && c->shed_hash[slot] != items[i].hash)
            slot++;
        if (slot < c->shed_count) {
            c->shed_size[slot]++;
            err = bag_put(c, c->shed, slot, &items[i]);
        } else {
            c->items[c->count++] = items[i];
        }
    }
    return err;
}

typedef enum err bag_fn(struct crowd *c, const struct bag *bag);

/* Brings a partition's records together by hash: `take` gets whole hashes in slices, `take_bag` each that is more than that. */
static enum err each_hash(struct crowd *c, int stage, uint32_t partition, slice_fn *take, bag_fn *take_bag)
{
    struct worker *w = c->w;
    enum err err = OK;
    c->count = c->shed_count = 0;
    for (uint32_t i = 0; err == OK && i < w->run->worker_count; i++) {
        const struct spool *spool = w->run->workers[i].crowd[stage];
        if (spool)
            err = spool->ops->read(spool, w->spill, partition, take_items, c, &w->diag);
    }
    if (err == OK)
        err = shed(c, c->rows_max);
    for (uint32_t from = 0, to; err == OK && from < c->count && !run_failed(w->run); from = to) {
        to = same_hash(c->items, c->count, from);
        for (uint32_t next; to < c->count && (next = same_hash(c->items, c->count, to)) - from <= c->slice;)
            to = next;
        err = take(c, NULL, c->items + from, to - from);
    }
    for (uint32_t slot = 0; err == OK && slot < c->shed_count && !run_failed(w->run); slot++) {
        const struct bag bag = {c->shed, slot, slot + 1, c->shed_size[slot]};
        err = take_bag(c, &bag);
        c->shed->ops->drop(c->shed, slot);
    }
    bag_close(c->shed);
    c->shed = NULL;
    return err;
}

/* ---- OCCURRENCE: P1 ---- */

static enum err occurrence_slice(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    uint32_t several = 0;
    enum err err = OK;
    (void)context;
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        to = same_hash(items, count, from);
        if (to - from == 1 && !(items[from].flags & ITEM_APART))
            err = behind_occurrence(c, &items[from]);
        else
            for (uint32_t i = from; i < to; i++)
                items[several++] = items[i];
    }
    if (err == OK)
        err = lay(c, items, several);
    uint32_t awake = 0;
    for (uint32_t i = 0; err == OK && i < several; i++) {
        struct full *row = &c->rows[i];
        int is;
        err = is_awake(c, row, &is);
        if (err == OK && is)
            err = wake_up(c, row, &items[i]);
        if (err == OK && is)
            c->order[awake++] = row;
        else if (err == OK)
            err = sleep_on(c, row);
    }
    if (err != OK || !awake)
        return err;
    sort_some(c->order, awake, sizeof *c->order, by_key_and_side);
    for (uint32_t from = 0, to; from < awake; from = to) {
        for (to = from + 1; to < awake && by_key_and_side(&c->order[from], &c->order[to]) == 0; to++) {
        }
        resolve_occurrences(c->job, c->order + from, to - from, c->pass + 1);
    }
    for (uint32_t i = 0; err == OK && i < awake; i++) {
        struct full *row = c->order[i];
        err = row->verdict == VERDICT_OPEN ? behind_occurrence(c, &items[row - c->rows])
                                           : judge_emit(c->w, row);
    }
    return err;
}

/* One occurrence id, on more records than are held. */
struct repeated {
    struct kept lowest, carried; /* carried: the lowest that is */
    struct spool *others;        /* what only has the same hash */
    uint64_t other_count;
    int is_conflict, came_before;
};

static int is_same_occurrence(const struct full *a, const struct full *b)
{
    return a->side == b->side && span_equal(a->key, b->key) && span_equal(a->occurrence, b->occurrence);
}

static enum err find_lowest(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    struct repeated *r = context;
    enum err err = lay(c, items, count);
    const struct full *lowest = NULL, *carried = NULL;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const struct full *row = &c->rows[i];
        int awake = 1;
        if (items[i].flags & ITEM_APART)
            err = is_awake(c, row, &awake);
        if (err != OK || !awake)
            continue;
        if (!r->lowest.is_there)
            err = keep(c, &r->lowest, &items[i]);
        if (err != OK)
            break;
        if (!is_same_occurrence(&r->lowest.row, row)) {
            r->other_count++;
            err = r->others ? OK : bag_open(c, &r->others, 1);
            if (err == OK)
                err = bag_put(c, r->others, 0, &items[i]);
            continue;
        }
        r->is_conflict |= sigma_compare(c->job, &r->lowest.row, row) != 0 || row->repeated == REPEAT_OTHER;
        r->came_before |= row->repeated != REPEAT_NONE;
        if (row->carry && (!carried || full_compare(row, carried) < 0))
            carried = row;
        if (full_compare(row, lowest ? lowest : &r->lowest.row) < 0)
            lowest = row;
    }
    if (err == OK && carried && (!r->carried.is_there || full_compare(carried, &r->carried.row) < 0))
        err = keep(c, &r->carried, &items[carried - c->rows]);
    return err == OK && lowest ? keep(c, &r->lowest, &items[lowest - c->rows]) : err;
}

static enum err tell_repeats(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    const struct repeated *r = context;
    /* As in resolve_occurrences. */
    const struct kept *stays = r->came_before ? &r->carried : &r->lowest;
    enum err err = lay(c, items, count);
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        int awake = 1;
        if (items[i].flags & ITEM_APART)
            err = is_awake(c, row, &awake);
        if (err == OK && !awake)
            err = sleep_on(c, row);
        if (err != OK || !awake || !is_same_occurrence(&r->lowest.row, row))
            continue;
        if ((err = wake_up(c, row, &items[i])) != OK)
            break;
        if (!r->is_conflict && stays->is_there && row->place == stays->row.place &&
            row->row_index == stays->row.row_index) {
            err = behind_occurrence(c, &items[i]);
            continue;
        }
        resolve_duplicate(row, c->pass + 1, r->is_conflict);
        err = judge_emit(c->w, row);
    }
    return err;
}

static enum err occurrence_bag(struct crowd *c, const struct bag *bag)
{
    struct repeated r = {.is_conflict = 0};
    arena_init(&r.lowest.arena);
    arena_init(&r.carried.arena);
    enum err err = bag_each(c, bag, find_lowest, &r);
    if (err == OK)
        err = bag_each(c, bag, tell_repeats, &r);
    arena_fini(&r.lowest.arena);
    arena_fini(&r.carried.arena);
    if (err == OK && r.others) {
        const struct bag others = {r.others, 0, 1, r.other_count};
        err = occurrence_bag(c, &others);
    }
    bag_close(r.others);
    return err;
}

/* ---- records in an order ---- */

typedef int compare_fn(const void *a, const void *b, void *job); /* qsort_r's, of struct full *; never 0 */
typedef enum err ordered_fn(struct crowd *c, void *context, struct item *item, const struct full *row);

static int in_order(const void *a, const void *b, void *job)
{
    (void)job;
    return full_compare(*(struct full *const *)a, *(struct full *const *)b);
}

static int by_sigma_in_order(const void *a, const void *b, void *job)
{
    const int c = sigma_compare(job, *(struct full *const *)a, *(struct full *const *)b);
    return c ? c : in_order(a, b, job);
}

struct gather {
    struct item *items;
    uint64_t seen;
    uint32_t count, every;
};

static enum err gather_items(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    struct gather *g = context;
    (void)c;
    for (uint32_t i = 0; i < count; i++, g->seen++)
        if (g->seen % g->every == 0)
            g->items[g->count++] = items[i];
    return OK;
}

/* All of a bag's items, or one of every so many. */
static enum err gather(struct crowd *c, const struct bag *bag, uint32_t every, struct item **items,
                       uint32_t *count)
{
    struct gather g = {.every = every};
    const uint64_t room = bag->count / every + 1;
    g.items = mem_take(room * sizeof *g.items);
    if (!g.items)
        return mem_fail(&c->w->diag, room * sizeof *g.items, "open records");
    enum err err = bag_each(c, bag, gather_items, &g);
    *items = g.items;
    *count = g.count;
    return err;
}

/* Where records are parted so that each part is smaller. */
struct splitters {
    struct arena arena;
    struct full *rows, **order;
    uint32_t count;
    compare_fn *compare;
    struct spool *parts;
    uint64_t sizes[SPLITTERS_MAX + 1];
};

static enum err choose(struct crowd *c, const struct bag *bag, struct splitters *s)
{
    struct worker *w = c->w;
    struct item *items = NULL;
    struct row_ref *refs = NULL;
    uint32_t count = 0, taken = 0;
    const uint64_t wanted = bag->count / c->rows_max * 2 + 1;
    const uint32_t splitters = wanted > SPLITTERS_MAX ? SPLITTERS_MAX : (uint32_t)wanted;
    const uint64_t every = bag->count / ((uint64_t)splitters * SAMPLES);
    enum err err = gather(c, bag, every ? (uint32_t)every : 1, &items, &count);
    if (err == OK) {
        refs = mem_take(count * sizeof *refs);
        s->rows = mem_take(count * sizeof *s->rows);
        s->order = mem_take(count * sizeof(struct full *));
        if (!refs || !s->rows || !s->order)
            err = mem_fail(&w->diag, count * sizeof *s->rows, "open records");
    }
    if (err == OK) {
        sort_some(items, count, sizeof *items, by_item_place);
        for (uint32_t i = 0; i < count; i++) {
            refs[i] = items[i].ref;
            s->order[i] = &s->rows[i];
        }
        taken = count;
        err = judge_fetch(w, refs, &taken, s->rows, &s->arena);
        CHECK2(err != OK || taken == count, taken, count);
    }
    if (err == OK)
        err = fill(c, items, s->rows, count, &s->arena);
    if (err == OK) {
        qsort_r(s->order, count, sizeof *s->order, s->compare, (void *)c->job);
        s->count = splitters < count ? splitters : count - 1;
        /* Never the lowest: each part is less than the whole. */
        for (uint32_t i = 0; i < s->count; i++)
            s->order[i] = s->order[(uint64_t)(i + 1) * count / (s->count + 1)];
    }
    mem_give(items);
    mem_give(refs);
    return err;
}

static enum err part_slice(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    struct splitters *s = context;
    enum err err = lay(c, items, count);
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        uint32_t low = 0, high = s->count; /* how many splitters are not above it */
        while (low < high) {
            const uint32_t mid = (low + high) / 2;
            if (s->compare(&s->order[mid], &row, (void *)c->job) <= 0)
                low = mid + 1;
            else
                high = mid;
        }
        s->sizes[low]++;
        err = bag_put(c, s->parts, low, &items[i]);
    }
    return err;
}

static enum err each_in_order(struct crowd *c, const struct bag *bag, compare_fn *compare, ordered_fn *take,
                              void *context)
{
    enum err err;
    if (bag->count <= c->rows_max || bag->count < 3) {
        struct item *items = NULL;
        uint32_t count = 0;
        err = gather(c, bag, 1, &items, &count);
        if (err == OK)
            err = lay(c, items, count);
        if (err == OK)
            qsort_r(c->order, count, sizeof *c->order, compare, (void *)c->job);
        for (uint32_t i = 0; err == OK && i < count; i++)
            err = take(c, context, &items[c->order[i] - c->rows], c->order[i]);
        mem_give(items);
        return err;
    }
    struct splitters *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(&c->w->diag, sizeof *s, "open records");
    arena_init(&s->arena);
    s->compare = compare;
    err = choose(c, bag, s);
    if (err == OK)
        err = bag_open(c, &s->parts, s->count + 1);
    if (err == OK)
        err = bag_each(c, bag, part_slice, s);
    arena_fini(&s->arena);
    mem_give(s->rows);
    mem_give(s->order);
    for (uint32_t i = 0; err == OK && i <= s->count; i++) {
        const struct bag part = {s->parts, i, i + 1, s->sizes[i]};
        CHECK2(part.count < bag->count, part.count, bag->count);
        if (part.count)
            err = each_in_order(c, &part, compare, take, context);
        s->parts->ops->drop(s->parts, i);
    }
    bag_close(s->parts);
    mem_give(s);
    return err;
}

/* ---- pairs by rank ---- */

/* Local records [local, local + count) in order are paired with channel records [channel, channel + count). */
struct paired_run {
    uint64_t from[SIDES], count, first; /* first: pairs before it */
};

struct pairing {
    struct paired_run *runs;
    uint32_t run_count, run_room;
    uint64_t total;
    struct spool *pairs; /* by bucket, local ones first */
    uint32_t buckets;
    uint64_t bucket_sizes[BUCKETS_MAX];
    /* of the side at hand */
    int side;
    uint64_t rank;
    uint32_t run;
};

static enum err add_run(struct crowd *c, struct pairing *p, const uint64_t from[SIDES], uint64_t count)
{
    if (p->run_count == p->run_room) {
        const uint32_t room = p->run_room ? p->run_room * 2 : 16;
        struct paired_run *grown = mem_grow(p->runs, room * sizeof *grown);
        if (!grown)
            return mem_fail(&c->w->diag, room * sizeof *grown, "runs of pairs");
        p->runs = grown;
        p->run_room = room;
    }
    p->runs[p->run_count++] = (struct paired_run){{from[LOCAL], from[CHANNEL]}, count, p->total};
    p->total += count;
    return OK;
}

static uint32_t bucket_of(const struct pairing *p, uint64_t pair)
{
    return (uint32_t)(pair * p->buckets / p->total);
}

static enum err number_pair(struct crowd *c, void *context, struct item *item, const struct full *row)
{
    struct pairing *p = context;
    const uint64_t rank = p->rank++;
    (void)row;
    while (p->run < p->run_count && rank >= p->runs[p->run].from[p->side] + p->runs[p->run].count)
        p->run++;
    if (p->run == p->run_count || rank < p->runs[p->run].from[p->side]) {
        item->flags |= p->total ? ITEM_MATCHED : 0;
        return to_stage(c, CROWD_REST, item);
    }
    item->hash = p->runs[p->run].first + rank - p->runs[p->run].from[p->side];
    const uint32_t bucket = bucket_of(p, item->hash);
    p->bucket_sizes[bucket] += p->side == LOCAL;
    return bag_put(c, p->pairs, bucket + (p->side == LOCAL ? 0 : p->buckets), item);
}

/* Judges pairs: as many local as channel records, with numbers from `first` on. */
static enum err judge_pairs(struct crowd *c, struct item *items, uint32_t pairs, uint64_t first, int is_alike)
{
    enum err err = lay(c, items, pairs * 2);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < pairs * 2; i++) /* lay sorted them by place */
        c->order[(items[i].ref.side == LOCAL ? 0 : pairs) + (uint32_t)(items[i].hash - first)] = &c->rows[i];
    for (uint32_t i = 0; err == OK && i < pairs; i++) {
        struct full *local = c->order[i], *channel = c->order[pairs + i];
        CHECK2(local->side == LOCAL && channel->side == CHANNEL, local->place, channel->place);
        if (is_alike)
            resolve_alike(local, channel, c->pass + 1);
        else
            resolve_unlike(c->job, local, channel, c->pass + 1);
        err = judge_emit(c->w, local);
        if (err == OK)
            err = judge_emit(c->w, channel);
    }
    return err;
}

static enum err judge_bucket(struct crowd *c, struct pairing *p, uint32_t bucket, uint64_t *first,
                             int is_alike)
{
    const uint32_t pairs = (uint32_t)p->bucket_sizes[bucket], at_once = c->slice < 2 ? 1 : c->slice / 2;
    struct item *items[SIDES] = {NULL, NULL}, *both = mem_take(at_once * 2 * sizeof *both);
    enum err err = both ? OK : mem_fail(&c->w->diag, at_once * 2 * sizeof *both, "open records");
    for (int side = 0; err == OK && side < SIDES; side++) {
        const uint32_t partition = bucket + (side == LOCAL ? 0 : p->buckets);
        const struct bag bag = {p->pairs, partition, partition + 1, pairs};
        uint32_t count = 0;
        err = gather(c, &bag, 1, &items[side], &count);
        CHECK2(err != OK || count == pairs, count, pairs);
    }
    for (uint32_t at = 0; err == OK && at < pairs && !run_failed(c->w->run); at += at_once) {
        const uint32_t here = pairs - at < at_once ? pairs - at : at_once;
        memcpy(both, items[LOCAL] + at, here * sizeof *both);
        memcpy(both + here, items[CHANNEL] + at, here * sizeof *both);
        err = judge_pairs(c, both, here, *first + at, is_alike);
    }
    *first += pairs;
    mem_give(items[LOCAL]);
    mem_give(items[CHANNEL]);
    mem_give(both);
    return err;
}

/* Pairs the records of both sides by their ranks in the order of the records, as the runs say, and judges them. */
static enum err pair_by_rank(struct crowd *c, struct pairing *p, const struct bag bags[SIDES], int is_alike)
{
    const uint64_t wanted = p->total / c->slice + 1;
    uint64_t first = 0;
    p->buckets = wanted > BUCKETS_MAX ? BUCKETS_MAX : (uint32_t)wanted;
    enum err err = bag_open(c, &p->pairs, 2 * p->buckets);
    for (int side = 0; err == OK && side < SIDES; side++) {
        p->side = side;
        p->rank = 0;
        p->run = 0;
        err = each_in_order(c, &bags[side], in_order, number_pair, p);
    }
    for (uint32_t bucket = 0; err == OK && p->total && bucket < p->buckets; bucket++)
        err = judge_bucket(c, p, bucket, &first, is_alike);
    bag_close(p->pairs);
    mem_give(p->runs);
    return err;
}

/* ---- SIGMA: P2 ---- */

/* Records of which it is known, without their rows, that they are of one key and sigma, and of one date a side. */
struct uniform {
    struct item kept[SIDES]; /* the first */
    uint64_t count[SIDES];
    int is_not;
};

static void uniform_add(struct uniform *u, const struct item *item)
{
    const int side = item->ref.side;
    if (!u->count[side]++)
        u->kept[side] = *item;
    for (int other = 0; other < SIDES; other++)
        if (u->count[other])
            u->is_not |= item->name != u->kept[other].name ||
                         item->amount_micro != u->kept[other].amount_micro ||
                         item->currency != u->kept[other].currency;
    u->is_not |= !item->name || item->day != u->kept[side].day;
}

/* When there are as many on each side, who is whose partner is nowhere written: all are matched. */
static int uniform_meets(const struct crowd *c, const struct uniform *u)
{
    return !u->is_not && u->count[LOCAL] == u->count[CHANNEL] && u->count[LOCAL] &&
           window_holds(&c->job->match, u->kept[LOCAL].day, u->kept[CHANNEL].day);
}

static enum err uniform_tell(struct crowd *c, const struct uniform *u)
{
    enum err err = OK;
    for (uint64_t i = 0; err == OK && i < u->count[LOCAL]; i++) {
        struct full rows[SIDES];
        for (int side = 0; side < SIDES; side++) {
            const struct item *item = &u->kept[side];
            rows[side] = (struct full){.side = (uint8_t)side,
                                       .amount_micro = item->amount_micro,
                                       .currency = item->currency,
                                       .day = item->day,
                                       .verdict = VERDICT_OPEN};
        }
        resolve_alike(&rows[LOCAL], &rows[CHANNEL], c->pass + 1);
        err = judge_emit(c->w, &rows[LOCAL]);
        if (err == OK)
            err = judge_emit(c->w, &rows[CHANNEL]);
    }
    return err;
}

static enum err sigma_slice(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    uint32_t met = 0;
    enum err err = OK;
    (void)context;
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        struct uniform uniform = {.is_not = 0};
        to = same_hash(items, count, from);
        for (uint32_t i = from; i < to; i++)
            uniform_add(&uniform, &items[i]);
        if (uniform_meets(c, &uniform)) {
            err = uniform_tell(c, &uniform);
            continue;
        }
        for (uint32_t i = from; err == OK && i < to; i++)
            if (uniform.count[LOCAL] && uniform.count[CHANNEL])
                items[met++] = items[i];
            else
                err = to_stage(c, CROWD_REST, &items[i]);
    }
    if (err == OK)
        err = lay(c, items, met);
    if (err != OK || !met)
        return err;
    sort_some(c->order, met, sizeof *c->order, by_key);
    for (uint32_t from = 0, to; err == OK && from < met; from = to) {
        for (to = from + 1; to < met && span_equal(c->order[to]->key, c->order[from]->key); to++) {
        }
        if (!resolve_exact(c->job, &c->w->scratch, c->order + from, to - from, c->pass + 1))
            err = mem_fail(&c->w->diag, 0, "the records of one key");
    }
    for (uint32_t i = 0; err == OK && i < met; i++) {
        struct full *row = c->order[i];
        struct item *item = &items[row - c->rows];
        item->flags |= row->sigma_matched ? ITEM_MATCHED : 0;
        err = row->verdict == VERDICT_OPEN ? to_stage(c, CROWD_REST, item) : judge_emit(c->w, row);
    }
    return err;
}

/* One sigma of one key, on more records than are held. */
struct alike {
    struct kept first;
    struct spool *parts; /* by side; last, what only has the same hash */
    uint64_t sizes[SIDES + 1];
    uint32_t *days[SIDES];
};

static enum err part_alike(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    struct alike *a = context;
    enum err err = lay(c, items, count);
    if (err == OK && !a->first.is_there)
        err = keep(c, &a->first, &items[0]);
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const struct full *row = &c->rows[i];
        const int is_same =
            span_equal(row->key, a->first.row.key) && sigma_compare(c->job, row, &a->first.row) == 0;
        const uint32_t to = is_same ? row->side : SIDES;
        if (is_same)
            a->days[row->side][row->day]++;
        a->sizes[to]++;
        err = bag_put(c, a->parts, to, &items[i]);
    }
    return err;
}

/* P2's two pointers over both sides in order go by dates, and dates come first in the order: so how many there are of each date
 * says which ranks meet. */
static enum err meet(struct crowd *c, const struct alike *a, struct pairing *p)
{
    uint64_t rank[SIDES] = {0, 0};
    uint32_t day[SIDES] = {0, 0}, left[SIDES] = {a->days[LOCAL][0], a->days[CHANNEL][0]};
    enum err err = OK;
    for (;;) {
        for (int side = 0; side < SIDES; side++)
            while (!left[side]) {
                if (++day[side] > UINT16_MAX)
                    return err;
                left[side] = a->days[side][day[side]];
            }
        if (window_holds(&c->job->match, (uint16_t)day[LOCAL], (uint16_t)day[CHANNEL])) {
            const uint32_t pairs = left[LOCAL] < left[CHANNEL] ? left[LOCAL] : left[CHANNEL];
            if ((err = add_run(c, p, rank, pairs)) != OK)
                return err;
            for (int side = 0; side < SIDES; side++) {
                rank[side] += pairs;
                left[side] -= pairs;
            }
        } else {
            const int side = day[CHANNEL] < day[LOCAL] ? CHANNEL : LOCAL;
            rank[side] += left[side];
            left[side] = 0;
        }
    }
}

static enum err rest_as_it_is(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    enum err err = OK;
    (void)context;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = to_stage(c, CROWD_REST, &items[i]);
    return err;
}

static enum err uniform_slice(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    (void)c;
    for (uint32_t i = 0; i < count; i++)
        uniform_add(context, &items[i]);
    return OK;
}

static enum err sigma_bag(struct crowd *c, const struct bag *bag)
{
    enum { DAYS = UINT16_MAX + 1 };
    struct alike a = {.parts = NULL};
    struct pairing pairing = {.run_count = 0};
    struct uniform uniform = {.is_not = 0};
    enum err err = bag_each(c, bag, uniform_slice, &uniform);
    if (err == OK && uniform_meets(c, &uniform))
        return uniform_tell(c, &uniform);
    if (err != OK || !uniform.count[LOCAL] || !uniform.count[CHANNEL])
        return err == OK ? bag_each(c, bag, rest_as_it_is, NULL) : err;
    arena_init(&a.first.arena);
    for (int side = 0; side < SIDES; side++)
        if (!(a.days[side] = mem_take_zero(DAYS, sizeof(uint32_t))))
            err = mem_fail(&c->w->diag, DAYS * sizeof(uint32_t), "dates");
    if (err == OK)
        err = bag_open(c, &a.parts, SIDES + 1);
    if (err == OK)
        err = bag_each(c, bag, part_alike, &a);
    arena_fini(&a.first.arena);
    const struct bag bags[SIDES] = {{a.parts, LOCAL, LOCAL + 1, a.sizes[LOCAL]},
                                    {a.parts, CHANNEL, CHANNEL + 1, a.sizes[CHANNEL]}};
    if (err == OK)
        err = meet(c, &a, &pairing);
    for (int side = 0; side < SIDES; side++)
        mem_give(a.days[side]);
    if (err == OK && pairing.total) {
        err = pair_by_rank(c, &pairing, bags, 1);
    } else {
        for (int side = 0; err == OK && side < SIDES; side++)
            err = bag_each(c, &bags[side], rest_as_it_is, NULL);
        mem_give(pairing.runs);
    }
    if (err == OK && a.sizes[SIDES]) {
        const struct bag others = {a.parts, SIDES, SIDES + 1, a.sizes[SIDES]};
        err = sigma_bag(c, &others);
    }
    bag_close(a.parts);
    return err;
}

/* ---- REST: P3 to P3d, P6 ---- */

/* A row that has its verdict, or goes on to the next key. */
static enum err part_with(struct crowd *c, struct full *row)
{
    row->met = 1;
    return row->verdict == VERDICT_OPEN ? judge_go_on(c->w, row, &c->refs[row - c->rows], NULL, c->pass)
                                        : judge_emit(c->w, row);
}

static enum err rest_slice(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    enum err err = lay(c, items, count);
    (void)context;
    if (err != OK)
        return err;
    sort_some(c->order, count, sizeof *c->order, by_key);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        for (to = from + 1; to < count && span_equal(c->order[to]->key, c->order[from]->key); to++) {
        }
        if (!resolve_rest(c->job, &c->w->scratch, c->order + from, to - from, c->pass + 1))
            err = mem_fail(&c->w->diag, 0, "the records of one key");
    }
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = part_with(c, c->order[i]);
    return err;
}

/* What is left of one key: more than is held. */
struct rest {
    struct kept first, of_side[SIDES];
    struct spool *parts; /* by side; last, what only has the same hash */
    uint64_t sizes[SIDES + 1];
    int several_sigmas[SIDES];
    uint8_t currencies[SIDES][CURRENCY_COUNT_MAX];
    struct set_sums sums;
    struct group_sums group;
    /* the verdict, where it is one for all */
    struct set_verdict verdict;
    enum { REST_UNCLEAR, REST_OPEN, REST_SET, REST_GROUP } is;
};

static enum err rest_open(struct crowd *c, struct rest *r)
{
    memset(r, 0, sizeof *r);
    arena_init(&r->first.arena);
    arena_init(&r->of_side[LOCAL].arena);
    arena_init(&r->of_side[CHANNEL].arena);
    return bag_open(c, &r->parts, SIDES + 1);
}

static void rest_close(struct rest *r)
{
    arena_fini(&r->first.arena);
    arena_fini(&r->of_side[LOCAL].arena);
    arena_fini(&r->of_side[CHANNEL].arena);
    bag_close(r->parts);
}

static struct bag rest_bag(const struct rest *r, uint32_t first, uint32_t end)
{
    struct bag bag = {r->parts, first, end, 0};
    for (uint32_t i = first; i < end; i++)
        bag.count += r->sizes[i];
    return bag;
}

static enum err rest_add(struct crowd *c, struct rest *r, const struct item *item, const struct full *row)
{
    enum err err = r->first.is_there ? OK : keep(c, &r->first, item);
    if (err == OK && !span_equal(row->key, r->first.row.key)) {
        r->sizes[SIDES]++;
        return bag_put(c, r->parts, SIDES, item);
    }
    if (err == OK && !r->of_side[row->side].is_there)
        err = keep(c, &r->of_side[row->side], item);
    if (err != OK)
        return err;
    r->several_sigmas[row->side] |= sigma_compare(c->job, row, &r->of_side[row->side].row) != 0;
    r->currencies[row->side][row->currency] = 1;
    sums_add(c->job, &r->sums, &r->first.row, row);
    if (c->job->match.group.given)
        group_add(c->job, &r->group, row);
    r->sizes[row->side]++;
    return bag_put(c, r->parts, row->side, item);
}

static enum err part_rest(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    enum err err = lay(c, items, count);
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = rest_add(c, context, &items[i], &c->rows[i]);
    return err;
}

static enum err tell_rest(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    const struct rest *r = context;
    enum err err = lay(c, items, count);
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        if (r->is == REST_UNCLEAR)
            resolve_unclear(row, c->pass + 1);
        else if (r->is == REST_SET)
            set_finish(&r->verdict, row, c->pass + 1);
        else if (r->is == REST_GROUP)
            group_finish(c->job, &r->verdict, row, c->pass + 1);
        else if (!c->job->match.group.given)
            resolve_repeat(row, c->pass + 1);
        err = part_with(c, row);
    }
    return err;
}

/* P3 over more than is held: records by sigma and amount fall into runs that nothing pairs across. */
struct runs {
    struct spool *ordered, *left;
    uint64_t ordered_count, number;
    int64_t amount_micro;
    struct kept last;          /* of the sigma at hand */
    struct item *items;        /* whole runs */
    uint32_t count, room, run; /* run: where the last one begins */
    struct rest *rest;
};

static enum err number_run(struct crowd *c, void *context, struct item *item, const struct full *row)
{
    struct runs *t = context;
    const int is_other = !t->last.is_there || !span_equal(t->last.row.sigma, row->sigma);
    enum err err = is_other ? keep(c, &t->last, item) : OK;
    if (is_other || !resolve_tolerance_reaches(c->job, t->amount_micro, full_gross(row)))
        t->number++;
    t->amount_micro = full_gross(row);
    item->hash = t->number;
    t->ordered_count++;
    return err == OK ? bag_put(c, t->ordered, 0, item) : err;
}

struct numbered {
    const struct item *items;
    const struct full *rows;
};

static int by_number(const void *a, const void *b, void *context)
{
    const struct numbered *n = context;
    return by_hash(&n->items[*(struct full *const *)a - n->rows],
                   &n->items[*(struct full *const *)b - n->rows]);
}

/* Judges whole runs. */
static enum err judge_runs(struct crowd *c, struct runs *t, struct item *items, uint32_t count)
{
    enum err err = lay(c, items, count);
    struct numbered numbered = {items, c->rows};
    if (err != OK)
        return err;
    qsort_r(c->order, count, sizeof *c->order, by_number, &numbered);
    for (uint32_t from = 0, to; err == OK && from < count; from = to) {
        const uint64_t number = items[c->order[from] - c->rows].hash;
        for (to = from + 1; to < count && items[c->order[to] - c->rows].hash == number; to++) {
        }
        if (!resolve_tolerance(c->job, &c->w->scratch, c->order + from, to - from, c->pass + 1))
            err = mem_fail(&c->w->diag, 0, "the records of one key");
    }
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = c->order[i];
        struct item *item = &items[row - c->rows];
        item->flags |= row->sigma_matched ? ITEM_MATCHED : 0;
        err = row->verdict == VERDICT_OPEN ? rest_add(c, t->rest, item, row) : judge_emit(c->w, row);
    }
    return err;
}

static enum err gather_runs(struct crowd *c, void *context, struct item *items, uint32_t count)
{
    struct runs *t = context;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        if (t->count && t->items[t->count - 1].hash != items[i].hash)
            t->run = t->count;
        if (t->count >= c->slice && t->run) { /* whole runs, that is all before the one at hand */
            err = judge_runs(c, t, t->items, t->run);
            t->count -= t->run;
            memmove(t->items, t->items + t->run, t->count * sizeof *t->items);
            t->run = 0;
        }
        if (t->count == t->room) {
            const uint32_t room = t->room ? t->room * 2 : c->slice;
            struct item *grown = t->room < c->whole_max ? mem_grow(t->items, room * sizeof *grown) : NULL;
            if (!grown)
                return t->room < c->whole_max ? mem_fail(&c->w->diag, room * sizeof *grown, "open records")
                                              : too_many(c, &items[i].ref, t->count + 1u);
            t->items = grown;
            t->room = room;
        }
        t->items[t->count++] = items[i];
    }
    return err;
}

/* `before` is what P2 left, `after` what is still left behind P3. */
static enum err tolerate(struct crowd *c, const struct rest *before, struct rest *after)
{
    struct runs t = {.rest = after};
    const struct bag bag = rest_bag(before, LOCAL, SIDES);
    arena_init(&t.last.arena);
    enum err err = bag_open(c, &t.ordered, 1);
    if (err == OK)
        err = each_in_order(c, &bag, by_sigma_in_order, number_run, &t);
    const struct bag ordered = {t.ordered, 0, 1, t.ordered_count};
    if (err == OK)
        err = bag_each(c, &ordered, gather_runs, &t);
    if (err == OK && t.count)
        err = judge_runs(c, &t, t.items, t.count);
    bag_close(t.ordered);
    mem_give(t.items);
    arena_fini(&t.last.arena);
    return err;
}

static int crosses_currencies(const struct crowd *c, const struct rest *r)
{
    for (int l = 0; c->job->match.fx.rates && l < CURRENCY_COUNT_MAX; l++)
        for (int k = 0; k < CURRENCY_COUNT_MAX; k++)
            if (l != k && r->currencies[LOCAL][l] && r->currencies[CHANNEL][k])
                return 1;
    return 0;
}

/* What is left of one key gets its verdicts: as resolve_rest gives them, in the same order. */
static enum err decide(struct crowd *c, struct rest *r)
{
    const struct match_rules *match = &c->job->match;
    const struct bag bags[SIDES] = {rest_bag(r, LOCAL, LOCAL + 1), rest_bag(r, CHANNEL, CHANNEL + 1)};
    r->is = REST_OPEN;
    if (match->group.given) {
        if (group_decides(c->job, &r->group, &r->verdict))
            r->is = REST_GROUP;
    } else if (r->sizes[LOCAL] && r->sizes[CHANNEL]) {
        if (match->partials.given && match->partials.key_index == c->pass &&
            sums_are_partial(c->job, &r->sums, &r->verdict)) {
            r->is = REST_SET;
        } else if (r->sizes[LOCAL] == r->sizes[CHANNEL] && !r->several_sigmas[LOCAL] &&
                   !r->several_sigmas[CHANNEL]) {
            struct pairing pairing = {.run_count = 0};
            const uint64_t from[SIDES] = {0, 0};
            enum err err = add_run(c, &pairing, from, r->sizes[LOCAL]);
            return err == OK ? pair_by_rank(c, &pairing, bags, 0) : err;
        } else if (match->splits && sums_are_split(c->job, &r->sums, &r->verdict)) {
            r->is = REST_SET;
        } else {
            r->is = REST_UNCLEAR;
        }
    }
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++)
        err = bag_each(c, &bags[side], tell_rest, r);
    return err;
}

/* What cannot be parted. */
static enum err judge_whole(struct crowd *c, const struct bag *bag)
{
    struct item *items = NULL;
    uint32_t count = 0;
    enum err err = gather(c, bag, 1, &items, &count);
    if (err == OK)
        err = rest_slice(c, NULL, items, count);
    mem_give(items);
    return err;
}

static enum err rest_bag_of_one_hash(struct crowd *c, const struct bag *bag)
{
    struct rest *r = mem_take_zero(2, sizeof *r); /* as it came; behind P3 */
    if (!r)
        return mem_fail(&c->w->diag, 2 * sizeof *r, "open records");
    enum err err = rest_open(c, &r[0]);
    if (err == OK)
        err = rest_open(c, &r[1]);
    if (err == OK)
        err = bag_each(c, bag, part_rest, &r[0]);
    const struct bag all = rest_bag(&r[0], LOCAL, SIDES);
    const int meet_here = err == OK && r[0].sizes[LOCAL] && r[0].sizes[CHANNEL] && !c->job->match.group.given;
    const int is_whole = meet_here && crosses_currencies(c, &r[0]),
              tolerates = !is_whole && meet_here && resolve_tolerates(c->job);
    if (is_whole)
        err = all.count > c->whole_max ? too_many(c, &r[0].first.item.ref, all.count) : judge_whole(c, &all);
    else if (tolerates)
        err = tolerate(c, &r[0], &r[1]);
    if (err == OK && !is_whole)
        err = decide(c, &r[tolerates]);
    const struct bag others = rest_bag(&r[0], SIDES, SIDES + 1);
    if (err == OK && others.count)
        err = rest_bag_of_one_hash(c, &others);
    rest_close(&r[0]);
    rest_close(&r[1]);
    mem_give(r);
    return err;
}

/* ---- the stages ---- */

static enum err judge_partition(struct crowd *c, int stage, uint32_t partition)
{
    switch (stage) {
    case CROWD_IN:
        return stage_in(c, partition);
    case CROWD_OCCURRENCE:
        return each_hash(c, stage, partition, occurrence_slice, occurrence_bag);
    case CROWD_SIGMA:
        return each_hash(c, stage, partition, sigma_slice, sigma_bag);
    default:
        return each_hash(c, stage, partition, rest_slice, rest_bag_of_one_hash);
    }
}

static enum err crowd_begin(struct crowd *c, struct worker *w, int pass)
{
    *c = (struct crowd){.w = w, .job = w->run->config->job, .pass = pass};
    c->rows_max = crowd_rows(w->run->config);
    /* The more rows at hand, the closer they lie in their files. */
    c->slice = c->rows_max;
    const uint64_t whole = w->run->config->memory / w->run->config->workers / ROW_BYTES;
    c->whole_max = whole > INT32_MAX ? INT32_MAX : whole < SLICE ? SLICE : (uint32_t)whole;
    c->stream = mem_take(c->slice * sizeof *c->stream);
    return c->stream ? OK : mem_fail(&w->diag, c->slice * sizeof *c->stream, "open records");
}

static void crowd_end(struct crowd *c)
{
    bag_close(c->shed);
    mem_give(c->stream);
    mem_give(c->items);
    mem_give(c->refs);
    mem_give(c->rows);
    mem_give(c->order);
}

enum err crowd_judge(struct worker *w, int pass, enum err err)
{
    struct run *run = w->run;
    struct crowd c = {0};
    if (err != OK)
        run_fail(run, &w->diag);
    pthread_barrier_wait(&run->barrier);
    if (!atomic_load(&run->crowded)) /* all workers see the same: nobody puts any more */
        return err;
    if (err == OK)
        err = crowd_begin(&c, w, pass);
    for (int stage = 0; stage < CROWD_STAGES; stage++) {
        if (err == OK && w->crowd[stage])
            err = w->crowd[stage]->ops->seal(w->crowd[stage], &w->diag);
        if (err != OK)
            run_fail(run, &w->diag);
        if (w->number == 0)
            atomic_store(&run->next_partition, 0);
        pthread_barrier_wait(&run->barrier);
        for (uint32_t p;
             err == OK && !run_failed(run) && (p = atomic_fetch_add(&run->next_partition, 1)) < PARTITIONS;)
            err = judge_partition(&c, stage, p);
        if (err != OK)
            run_fail(run, &w->diag);
        if (w->number == 0 && stage == CROWD_STAGES - 1) {
            atomic_store(&run->crowded, 0);
            forget_fresh(run);
            forget_names(run);
        }
        pthread_barrier_wait(&run->barrier);
        if (w->crowd[stage])
            w->crowd[stage]->ops->close(w->crowd[stage]);
        w->crowd[stage] = NULL;
    }
    crowd_end(&c);
    return err;
}
