/* io/sink/match_meet.c: rows that were taken while they were read meet, cell by cell. See match_early.h. A hot file.
 *
 * A cell has all rows of both sides that may have one of its keys: the channel's lie on its part of the shelf, the local ones on those
 * of the ranges that are cut as it is. One of each side that agree, as the index would have let them leave (packed.h: key,
 * sigma, days within the window), are a pair; whatever else there is of a key goes to the index as it came. Pairs lie
 * then, range by range, in blocks where their rows lay.
 */
#include "core/base/mem.h"
#include "core/rules/verdict.h"
#include "io/sink/match_early.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    AT_ONCE = 16,       /* rows, of which what each waits for is on its way meanwhile */
    STREAM_AHEAD = 1024 /* bytes of items */
};

/* What `channel` of a local row says besides: a row of the channel met it; its key has more than one of a side, or is the index's. */
static const uint64_t MET = UINT64_C(1) << 63, MANY = UINT64_C(1) << 62;

/* A cell's local rows, with what a row of the channel adds to each, while they meet. There is room for one more, so that no list is none. */
struct meeting {
    struct met_pair *rows;
    uint32_t *slots; /* 1 + a row's number, by the hash of its number */
    size_t row_room, slot_room, mask;
    uint32_t count;
    struct shelf_block *free; /* of cells that are done with */
    uint32_t lane;
};

static void meeting_fini(struct meeting *c)
{
    mem_give(c->rows);
    mem_give(c->slots);
}

static enum err meeting_room(struct meeting *c, size_t rows, struct diag *diag)
{
    size_t slots = 64;
    while (slots < 2 * rows)
        slots *= 2;
    if (rows > c->row_room) {
        mem_give(c->rows);
        c->row_room = rows + rows / 4;
        c->rows = mem_take(c->row_room * sizeof *c->rows);
    }
    if (slots > c->slot_room) {
        mem_give(c->slots);
        c->slot_room = slots;
        c->slots = mem_take(c->slot_room * sizeof *c->slots);
    }
    if (!c->rows || !c->slots)
        return mem_fail(diag, rows * sizeof *c->rows, "rows that meet");
    memset(c->slots, 0, slots * sizeof *c->slots);
    c->mask = slots - 1;
    c->count = 0;
    return OK;
}

static inline size_t slot_of(uint64_t rest, size_t mask)
{
    return (rest * 0x9E3779B97F4A7C15ull >> 32) & mask;
}

/* A cell and who takes what does not stay. */
struct meeting_cell {
    uint32_t group;
    const struct early_stratum *like; /* a stratum whose rows lie there */
    const struct early_base *base;
    struct outbox *outbox;
    struct pair_totals *left;
};

/* The next `count` rows of a stratum. */
static inline void take_local(struct meeting *c, const uint64_t *item, size_t count)
{
    size_t slots[AT_ONCE];
    for (size_t i = 0; i < count; i++) {
        slots[i] = slot_of(item[i * (LOCAL_TAKEN / 8) + TAKEN_REST], c->mask);
        __builtin_prefetch(&c->slots[slots[i]], 1);
    }
    for (size_t i = 0; i < count; i++, item += LOCAL_TAKEN / 8) {
        struct met_pair *const row = &c->rows[c->count++];
        row->rest = item[TAKEN_REST];
        row->local = item[TAKEN_PLACE];
        row->channel = 0;
        row->sigma = item[TAKEN_SIGMA];
        size_t slot = slots[i];
        while (c->slots[slot] && c->rows[c->slots[slot] - 1].rest != row->rest)
            slot = (slot + 1) & c->mask;
        if (UNLIKELY(c->slots[slot] != 0))
            c->rows[c->slots[slot] - 1].channel = row->channel = MANY;
        else
            c->slots[slot] = c->count;
    }
}

/* All rows of a part, some at a time. */
static void take_local_part(const struct early *e, uint32_t part, struct meeting *c)
{
    struct shelf_walk walk = {.part = part};
    while (shelf_next(e->shelf[LOCAL], &walk))
        for (size_t at = 0; at < walk.size; at += AT_ONCE * LOCAL_TAKEN) {
            const size_t left = (walk.size - at) / LOCAL_TAKEN;
            for (size_t ahead = 0; ahead < AT_ONCE * LOCAL_TAKEN; ahead += SHELF_LINE)
                __builtin_prefetch(walk.items + at + ahead + STREAM_AHEAD);
            take_local(c, (const uint64_t *)(walk.items + at), left < AT_ONCE ? left : AT_ONCE);
        }
}

static int is_odd_key(const struct early *e, struct early_number number, uint32_t size)
{
    const uint64_t hash = early_odd_hash(number.high, number.low, size);
    for (uint64_t at = hash & e->odd_mask; e->odd_keys[at]; at = (at + 1) & e->odd_mask)
        if (e->odd_keys[at] == hash)
            return 1;
    return 0;
}

/* A row goes to the index, as it would have come. */
static __attribute__((noinline)) enum err give_back(const struct early *e, const struct meeting_cell *cell,
                                                    uint64_t rest, uint64_t place, uint64_t sigma,
                                                    uint16_t day, int is_channel, struct diag *diag)
{
    uint8_t text[PACKED_LETTERS_MAX + EARLY_NUMBER_MAX + 8];
    const struct early_stratum *const like = cell->like;
    const struct early_text *const prefix = &e->prefixes[like->prefix];
    memcpy(text, prefix->text, prefix->size);
    early_number_text(text + prefix->size, early_whole(cell->base, rest), like->size);
    const uint16_t channel =
        e->has_channel ? atomic_load_explicit(&e->channel_number[like->channel], memory_order_relaxed) : 0;
    const struct packed_key key = packed_key_anywhere(text, like->size, channel);
    CHECK2(key.word[0] != 0, rest, place);
    const uint64_t hash = packed_hash(key.word, cell->outbox->pack_seed);
    struct batch *const batch = outbox_room_packed(cell->outbox, hash, diag);
    if (!batch)
        return diag->err;
    *batch_next_packed(batch) = (struct packed){
        {key.word[0], key.word[1]}, sigma, packed_rest(place & MAX40, day, (uint64_t)is_channel)};
    outbox_put_packed(batch);
    cell->outbox->given_back++;
    return OK;
}

/* The channel's part of a row, as it came. */
static inline enum err give_channel(const struct early *e, const struct meeting_cell *cell,
                                    const struct met_pair *row, struct diag *diag)
{
    return give_back(e, cell, row->rest, row->channel, row->sigma, (uint16_t)row->own[0], 1, diag);
}

/* The next `count` rows of the channel. One that meets a local row nobody met yet, and agrees with it, stays with that for now. */
static inline enum err take_channel(const struct early *e, const struct meeting_cell *cell, struct meeting *c,
                                    const uint64_t *item, size_t count, struct diag *diag)
{
    size_t slots[AT_ONCE];
    enum err err = OK;
    for (size_t i = 0; i < count; i++) {
        slots[i] = slot_of(item[i * (CHANNEL_TAKEN / 8) + TAKEN_REST], c->mask);
        __builtin_prefetch(&c->slots[slots[i]]);
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t number = c->slots[slots[i]];
        __builtin_prefetch(&c->rows[number - (number != 0)], 1);
    }
    for (size_t i = 0; err == OK && i < count; i++, item += CHANNEL_TAKEN / 8) {
        size_t slot = slots[i];
        while (c->slots[slot] && c->rows[c->slots[slot] - 1].rest != item[TAKEN_REST])
            slot = (slot + 1) & c->mask;
        struct met_pair *const row = c->slots[slot] ? &c->rows[c->slots[slot] - 1] : NULL;
        if (LIKELY(row && row->channel == 0 && row->sigma == item[TAKEN_CHANNEL_SIGMA])) {
            row->channel = item[TAKEN_PLACE] | MET;
            row->own[0] = item[TAKEN_OWN];
            row->own[1] = item[TAKEN_OWN + 1];
            continue;
        }
        err = give_back(e, cell, item[TAKEN_REST], item[TAKEN_PLACE], item[TAKEN_CHANNEL_SIGMA],
                        (uint16_t)item[TAKEN_OWN], 1, diag);
        if (err == OK && row && row->channel & MET)
            err = give_channel(e, cell, row, diag);
        if (row)
            row->channel = MANY;
    }
    return err;
}

static enum err take_channel_part(const struct early *e, const struct meeting_cell *cell, uint32_t part,
                                  struct meeting *c, struct diag *diag)
{
    struct shelf_walk walk = {.part = part};
    enum err err = OK;
    while (err == OK && shelf_next(e->shelf[CHANNEL], &walk))
        for (size_t at = 0; err == OK && at < walk.size; at += AT_ONCE * CHANNEL_TAKEN) {
            const size_t left = (walk.size - at) / CHANNEL_TAKEN;
            for (size_t ahead = 0; ahead < AT_ONCE * CHANNEL_TAKEN; ahead += SHELF_LINE)
                __builtin_prefetch(walk.items + at + ahead + STREAM_AHEAD);
            err = take_channel(e, cell, c, (const uint64_t *)(walk.items + at),
                               left < AT_ONCE ? left : AT_ONCE, diag);
        }
    return err;
}

static void add_pair(struct pair_totals *left, uint64_t sigma)
{
    const uint8_t currency = (uint8_t)(sigma >> 8);
    left->count[currency]++;
    left->sum[currency] += (int64_t)sigma >> 16;
}

/* Past the caches: it is read when all has been judged. */
static inline void put_pair(struct met_pair *to, const struct met_pair *pair)
{
#if defined(__x86_64__)
    const uint64_t *const from = &pair->rest;
    long long *const words = (long long *)&to->rest;
    for (size_t k = 0; k < sizeof *pair / 8; k++)
        _mm_stream_si64(words + k, (long long)from[k]);
#else
    *to = *pair;
#endif
}

/* One more block of a range's pairs; `last`: where it is hung up. NULL: memory is out. */
static __attribute__((noinline)) struct met_pair *next_block(const struct early *e, struct meeting *c,
                                                             struct shelf_block ***last, struct diag *diag)
{
    struct shelf_block *const block = c->free ? c->free : shelf_spare(e->shelf[LOCAL], c->lane);
    if (!block) {
        mem_fail(diag, SHELF_BLOCK, "rows that met");
        return NULL;
    }
    if (c->free)
        c->free = block->next;
    block->next = NULL;
    **last = block;
    *last = &block->next;
    return (struct met_pair *)(block + 1);
}

/* Of a range's rows, which end where the cell's next ones begin, those that met and agree stay; all others go to the index. */
static enum err part_range(const struct early *e, const struct meeting_cell *cell, struct meeting *c,
                           const struct early_stratum *s, uint32_t range, uint32_t from, uint32_t to,
                           struct diag *diag)
{
    const struct job *const job = e->match->config.job;
    struct met_range *const met = &e->met[range];
    struct shelf_block **last = &met->first;
    struct met_pair *pair = NULL;
    enum err err = OK;
    for (uint32_t i = from; err == OK && i < to; i++) {
        const struct met_pair *const row = &c->rows[i];
        if (LIKELY(row->channel & MET)) {
            if (LIKELY(
                    window_holds_days(job->match.window_before, job->match.window_after, s->day,
                                      (uint16_t)row->own[0]) &&
                    !(e->odd_keys && is_odd_key(e, early_whole(cell->base, row->rest), cell->like->size)))) {
                if (UNLIKELY(met->count % MET_A_BLOCK == 0) && !(pair = next_block(e, c, &last, diag)))
                    return diag->err;
                put_pair(pair++, row);
                met->count++;
                add_pair(cell->left, row->sigma);
                continue;
            }
            err = give_channel(e, cell, row, diag);
        }
        if (err == OK)
            err = give_back(e, cell, row->rest, row->local, row->sigma, s->day, 0, diag);
    }
    return err;
}

/* All of a cell's rows go to the index. Nothing is kept of them, for there may be any number. */
static enum err give_all(const struct early *e, const struct meeting_cell *cell, uint32_t number,
                         struct diag *diag)
{
    const uint32_t within = number - e->groups[cell->group].begin;
    enum err err = OK;
    for (uint16_t at = e->first_of_group[cell->group]; at != EARLY_NONE; at = e->strata[at].next) {
        struct shelf_walk walk = {.part = e->strata[at].span.begin + within};
        while (err == OK && shelf_next(e->shelf[LOCAL], &walk))
            for (size_t k = 0; err == OK && k < walk.size; k += LOCAL_TAKEN) {
                const uint64_t *const item = (const uint64_t *)(walk.items + k);
                err = give_back(e, cell, item[TAKEN_REST], item[TAKEN_PLACE], item[TAKEN_SIGMA],
                                e->strata[at].day, 0, diag);
            }
    }
    struct shelf_walk walk = {.part = number};
    while (err == OK && shelf_next(e->shelf[CHANNEL], &walk))
        for (size_t k = 0; err == OK && k < walk.size; k += CHANNEL_TAKEN) {
            const uint64_t *const item = (const uint64_t *)(walk.items + k);
            err = give_back(e, cell, item[TAKEN_REST], item[TAKEN_PLACE], item[TAKEN_CHANNEL_SIGMA],
                            (uint16_t)item[TAKEN_OWN], 1, diag);
        }
    return err;
}

static enum err meet_cell(const struct early *e, const struct meeting_cell *cell, uint32_t number,
                          struct meeting *c, struct diag *diag)
{
    const uint32_t within = number - e->groups[cell->group].begin;
    size_t rows = 0;
    for (uint16_t at = e->first_of_group[cell->group]; at != EARLY_NONE; at = e->strata[at].next)
        rows += shelf_size(e->shelf[LOCAL], e->strata[at].span.begin + within) / LOCAL_TAKEN;
    enum err err = meeting_room(c, rows + 1, diag);
    uint32_t ends[EARLY_STRATA], strata = 0;
    for (uint16_t at = e->first_of_group[cell->group]; err == OK && at != EARLY_NONE;
         at = e->strata[at].next) {
        take_local_part(e, e->strata[at].span.begin + within, c);
        ends[strata++] = c->count;
    }
    if (err == OK)
        err = take_channel_part(e, cell, number, c, diag);
    /* All that was on the shelf is in `rows` or was given back, so pairs are put where it was. */
    shelf_take(e->shelf[CHANNEL], number, &c->free);
    for (uint16_t at = e->first_of_group[cell->group]; at != EARLY_NONE; at = e->strata[at].next)
        shelf_take(e->shelf[LOCAL], e->strata[at].span.begin + within, &c->free);
    uint32_t from = 0;
    strata = 0;
    for (uint16_t at = e->first_of_group[cell->group]; err == OK && at != EARLY_NONE;
         at = e->strata[at].next) {
        err = part_range(e, cell, c, &e->strata[at], e->strata[at].span.begin + within, from, ends[strata],
                         diag);
        from = ends[strata++];
    }
    return err;
}

enum err meet_cells(struct early *e, uint32_t lane, struct outbox *outbox, struct pair_totals *left,
                    struct diag *diag)
{
    struct meeting c = {.lane = lane};
    enum err err = OK;
    uint32_t group = 0;
    for (uint32_t cell; err == OK && !match_stopped(e->match) &&
                        (cell = atomic_fetch_add(&e->next_cell, 1)) < e->cell_count;) {
        while (cell >= e->groups[group].begin + e->groups[group].count)
            group++;
        const struct meeting_cell at = {group, &e->strata[e->first_of_group[group]], &e->base[CHANNEL][cell],
                                        outbox, left};
        err = e->gives_back ? give_all(e, &at, cell, diag) : meet_cell(e, &at, cell, &c, diag);
    }
#if defined(__x86_64__)
    _mm_sfence();
#endif
    for (int i = 0; i < CURRENCY_COUNT_MAX; i++)
        e->lanes[lane].given += left->count[i];
    meeting_fini(&c);
    return err;
}
