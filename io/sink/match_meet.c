/* io/sink/match_meet.c: rows that were taken while they were read meet, cell by cell. See match_early.h. A hot file.
 *
 * A cell has all rows of both sides that may have one of its keys: the channel's lie on its part of the shelf, the local ones on those
 * of the ranges that are cut as it is. One of each side that agree, as the index would have let them leave (packed.h: key,
 * sigma, days within the window), are a pair; whatever else there is of a key goes to the index as it came.
 */
#include "core/base/mem.h"
#include "core/rules/verdict.h"
#include "io/sink/match_early.h"

enum {
    ITEMS_AHEAD = 16,
    SLOTS_AHEAD = 12,
    CHANNEL_AT_ONCE = 16,
    MANY =
        0xFFFFFFFF /* in place of a partner's number: the key has more than one of a side, or is the index's */
};

/* A cell's rows while they meet. There is room for one more of each, so that no list is none. */
struct meeting {
    uint64_t **local, **channel; /* items */
    uint16_t *day;               /* of the local rows */
    uint32_t *partner;           /* of each local row: 0, or 1 + the channel's number, or MANY */
    uint32_t *met;               /* of each channel row: 0, or 1 + the local one's number */
    uint32_t *slots;             /* 1 + a local row's number, by the hash of its key */
    size_t local_room, channel_room, slot_room;
    uint32_t local_count, channel_count;
};

static void meeting_fini(struct meeting *c)
{
    mem_give(c->local);
    mem_give(c->channel);
    mem_give(c->day);
    mem_give(c->partner);
    mem_give(c->met);
    mem_give(c->slots);
}

static enum err meeting_room(struct meeting *c, size_t local, size_t channel, size_t slots, struct diag *diag)
{
    if (local > c->local_room) {
        mem_give(c->local);
        mem_give(c->day);
        mem_give(c->partner);
        c->local_room = local + local / 4;
        c->local = mem_take(c->local_room * sizeof *c->local);
        c->day = mem_take(c->local_room * sizeof *c->day);
        c->partner = mem_take(c->local_room * sizeof *c->partner);
    }
    if (channel > c->channel_room) {
        mem_give(c->channel);
        mem_give(c->met);
        c->channel_room = channel + channel / 4;
        c->channel = mem_take(c->channel_room * sizeof *c->channel);
        c->met = mem_take(c->channel_room * sizeof *c->met);
    }
    if (slots > c->slot_room) {
        mem_give(c->slots);
        c->slot_room = slots;
        c->slots = mem_take(c->slot_room * sizeof *c->slots);
    }
    if (!c->local || !c->day || !c->partner || !c->channel || !c->met || !c->slots)
        return mem_fail(diag, (local + channel) * sizeof *c->local, "rows that meet");
    memset(c->slots, 0, slots * sizeof *c->slots);
    memset(c->partner, 0, local * sizeof *c->partner);
    memset(c->met, 0, channel * sizeof *c->met);
    c->local_count = c->channel_count = 0;
    return OK;
}

static inline size_t slot_of(const uint64_t *item, size_t mask)
{
    return (item[TAKEN_REST] * 0x9E3779B97F4A7C15ull >> 32) & mask;
}

static inline int same_number(const uint64_t *a, const uint64_t *b)
{
    return a[TAKEN_REST] == b[TAKEN_REST];
}

/* The cell's items of both sides: where they lie. */
static void gather(const struct early *e, uint32_t group, uint32_t cell, struct meeting *c)
{
    const uint32_t within = cell - e->groups[group].begin;
    for (uint16_t number = e->first_of_group[group]; number != EARLY_NONE; number = e->strata[number].next) {
        struct shelf_walk walk = {.part = e->strata[number].span.begin + within};
        while (shelf_next(e->shelf[LOCAL], &walk))
            for (size_t at = 0; at < walk.size; at += LOCAL_TAKEN) {
                c->day[c->local_count] = e->strata[number].day;
                c->local[c->local_count++] = (uint64_t *)(walk.items + at);
            }
    }
    struct shelf_walk walk = {.part = cell};
    while (shelf_next(e->shelf[CHANNEL], &walk))
        for (size_t at = 0; at < walk.size; at += CHANNEL_TAKEN)
            c->channel[c->channel_count++] = (uint64_t *)(walk.items + at);
}

static void take_local(struct meeting *c, size_t mask)
{
    for (uint32_t i = 0; i < c->local_count; i++) {
        if (i + ITEMS_AHEAD < c->local_count)
            __builtin_prefetch(c->local[i + ITEMS_AHEAD], 1);
        if (i + SLOTS_AHEAD < c->local_count)
            __builtin_prefetch(&c->slots[slot_of(c->local[i + SLOTS_AHEAD], mask)], 1);
        const uint64_t *const item = c->local[i];
        size_t slot = slot_of(item, mask);
        while (c->slots[slot] && !same_number(c->local[c->slots[slot] - 1], item))
            slot = (slot + 1) & mask;
        if (UNLIKELY(c->slots[slot] != 0))
            c->partner[c->slots[slot] - 1] = c->partner[i] = MANY;
        else
            c->slots[slot] = i + 1;
    }
}

static void take_channel(struct meeting *c, size_t mask)
{
    for (uint32_t from = 0; from < c->channel_count; from += CHANNEL_AT_ONCE) {
        const uint32_t to =
            from + CHANNEL_AT_ONCE < c->channel_count ? from + CHANNEL_AT_ONCE : c->channel_count;
        size_t slots[CHANNEL_AT_ONCE];
        for (uint32_t i = from; i < to; i++) {
            if (i + ITEMS_AHEAD < c->channel_count)
                __builtin_prefetch(c->channel[i + ITEMS_AHEAD]);
            slots[i - from] = slot_of(c->channel[i], mask);
            __builtin_prefetch(&c->slots[slots[i - from]]);
        }
        for (uint32_t i = from; i < to; i++) {
            const uint32_t number = c->slots[slots[i - from]];
            if (number)
                __builtin_prefetch(c->local[number - 1]);
        }
        for (uint32_t i = from; i < to; i++) {
            size_t slot = slots[i - from];
            while (c->slots[slot] && !same_number(c->local[c->slots[slot] - 1], c->channel[i]))
                slot = (slot + 1) & mask;
            const uint32_t number = c->slots[slot];
            if (UNLIKELY(number == 0))
                continue;
            c->met[i] = number;
            c->partner[number - 1] = c->partner[number - 1] ? MANY : i + 1;
        }
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

/* A cell and who takes what does not stay. */
struct meeting_cell {
    uint32_t group;
    const struct early_stratum *like; /* a stratum whose rows lie there */
    const struct early_base *base;
    struct outbox *outbox;
    struct pair_totals *left;
};

/* A row goes to the index, as it would have come. */
static enum err give_back(const struct early *e, const struct meeting_cell *cell, const uint64_t *item,
                          uint64_t sigma, uint16_t day, int is_channel, struct diag *diag)
{
    uint8_t text[PACKED_LETTERS_MAX + EARLY_NUMBER_MAX + 8];
    const struct early_stratum *const like = cell->like;
    const struct early_text *const prefix = &e->prefixes[like->prefix];
    memcpy(text, prefix->text, prefix->size);
    early_number_text(text + prefix->size, early_whole(cell->base, item[TAKEN_REST]), like->size);
    const uint16_t channel =
        e->has_channel ? atomic_load_explicit(&e->channel_number[like->channel], memory_order_relaxed) : 0;
    const struct packed_key key = packed_key_anywhere(text, like->size, channel);
    CHECK2(key.word[0] != 0, item[TAKEN_REST], item[TAKEN_PLACE]);
    const uint64_t hash = packed_hash(key.word, cell->outbox->pack_seed);
    struct batch *const batch = outbox_room_packed(cell->outbox, hash, diag);
    if (!batch)
        return diag->err;
    *batch_next_packed(batch) = (struct packed){
        {key.word[0], key.word[1]}, sigma, packed_rest(item[TAKEN_PLACE] & MAX40, day, (uint64_t)is_channel)};
    outbox_put_packed(batch);
    cell->outbox->taken--;
    return OK;
}

static void add_pair(struct pair_totals *left, uint64_t sigma)
{
    const uint8_t currency = (uint8_t)(sigma >> 8);
    left->count[currency]++;
    left->sum[currency] += (int64_t)sigma >> 16;
}

/* What met and agrees stays, with its partner in the place of sigma; all else goes to the index. */
static enum err part(const struct early *e, const struct meeting_cell *cell, struct meeting *c,
                     struct diag *diag)
{
    const struct job *job = e->match->config.job;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < c->channel_count; i++) {
        const uint64_t *const item = c->channel[i];
        const uint32_t number = c->met[i];
        const uint16_t day = (uint16_t)item[TAKEN_OWN];
        if (LIKELY(number && c->partner[number - 1] == i + 1)) {
            if (LIKELY(c->local[number - 1][TAKEN_SIGMA] == item[TAKEN_CHANNEL_SIGMA] &&
                       window_holds_days(job->match.window_before, job->match.window_after,
                                         c->day[number - 1], day) &&
                       !(e->odd_keys &&
                         is_odd_key(e, early_whole(cell->base, item[TAKEN_REST]), cell->like->size))))
                continue;
            c->partner[number - 1] = MANY;
        }
        err = give_back(e, cell, item, item[TAKEN_CHANNEL_SIGMA], day, 1, diag);
    }
    for (uint32_t i = 0; err == OK && i < c->local_count; i++) {
        uint64_t *const item = c->local[i];
        const uint64_t sigma = item[TAKEN_SIGMA];
        const uint32_t partner = c->partner[i];
        if (LIKELY(partner && partner != MANY)) {
            item[TAKEN_PARTNER] = (uintptr_t)c->channel[partner - 1];
            add_pair(cell->left, sigma);
        } else {
            item[TAKEN_PARTNER] = 0;
            err = give_back(e, cell, item, sigma, c->day[i], 0, diag);
        }
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
                err = give_back(e, cell, item, item[TAKEN_SIGMA], e->strata[at].day, 0, diag);
            }
    }
    struct shelf_walk walk = {.part = number};
    while (err == OK && shelf_next(e->shelf[CHANNEL], &walk))
        for (size_t k = 0; err == OK && k < walk.size; k += CHANNEL_TAKEN) {
            const uint64_t *const item = (const uint64_t *)(walk.items + k);
            err = give_back(e, cell, item, item[TAKEN_CHANNEL_SIGMA], (uint16_t)item[TAKEN_OWN], 1, diag);
        }
    return err;
}

static enum err meet_cell(const struct early *e, const struct meeting_cell *cell, uint32_t number,
                          struct meeting *c, struct diag *diag)
{
    const uint32_t within = number - e->groups[cell->group].begin;
    size_t local = 0, slots = 64;
    for (uint16_t at = e->first_of_group[cell->group]; at != EARLY_NONE; at = e->strata[at].next)
        local += shelf_size(e->shelf[LOCAL], e->strata[at].span.begin + within) / LOCAL_TAKEN;
    while (slots < 2 * local)
        slots *= 2;
    const enum err err =
        meeting_room(c, local + 1, shelf_size(e->shelf[CHANNEL], number) / CHANNEL_TAKEN + 1, slots, diag);
    if (err != OK)
        return err;
    gather(e, cell->group, number, c);
    take_local(c, slots - 1);
    take_channel(c, slots - 1);
    return part(e, cell, c, diag);
}

enum err meet_cells(struct early *e, uint32_t lane, struct outbox *outbox, struct pair_totals *left,
                    struct diag *diag)
{
    struct meeting c = {0};
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
    for (int i = 0; i < CURRENCY_COUNT_MAX; i++)
        e->lanes[lane].given += left->count[i];
    meeting_fini(&c);
    return err;
}

static inline void make_row(const struct early *e, const struct early_base *base, const uint64_t *item,
                            struct joined_row *row)
{
    const uint64_t *const other = (const uint64_t *)(uintptr_t)item[TAKEN_PARTNER];
    const uint64_t place = item[TAKEN_PLACE] & MAX40, other_place = other[TAKEN_PLACE] & MAX40;
    const struct early_number number = early_whole(base, item[TAKEN_REST]);
    const uint64_t local[] = {
        number.high, number.low << 16 | (item[TAKEN_PLACE] >> TAKEN_LINES_SHIFT & TAKEN_LINES_MAX), place};
    const uint64_t channel[] = {0,
                                other[TAKEN_PLACE] >> TAKEN_LINES_SHIFT & TAKEN_LINES_MAX,
                                other_place | other[TAKEN_PLACE] >> TAKEN_SIZE_SHIFT << 56,
                                other[TAKEN_OWN],
                                other[TAKEN_OWN + 1],
                                other[TAKEN_CHANNEL_SIGMA]};
    joined_local(row, local, early_block_of(e, LOCAL, place)->lines);
    joined_channel(row, channel, early_block_of(e, CHANNEL, other_place)->lines);
}

size_t meet_rows(const struct early *e, uint32_t range, struct joined_row *rows)
{
    enum { PARTNER_AHEAD = 16 * LOCAL_TAKEN, BLOCK_AHEAD = 8 * LOCAL_TAKEN }; /* bytes of items */
    const struct early_base base = e->base[LOCAL][range];
    size_t count = 0;
    struct shelf_walk walk = {.part = range};
    while (shelf_next(e->shelf[LOCAL], &walk))
        for (size_t at = 0; at < walk.size; at += LOCAL_TAKEN) {
            const uint64_t *const item = (const uint64_t *)(walk.items + at);
            if (at + PARTNER_AHEAD < walk.size) {
                const uint64_t *const ahead = (const uint64_t *)(walk.items + at + PARTNER_AHEAD);
                __builtin_prefetch((const void *)(uintptr_t)ahead[TAKEN_PARTNER]);
                __builtin_prefetch(early_block_of(e, LOCAL, ahead[TAKEN_PLACE] & MAX40));
            }
            if (at + BLOCK_AHEAD < walk.size) {
                const uint64_t *const ahead = (const uint64_t *)(walk.items + at + BLOCK_AHEAD),
                                      *const other = (const uint64_t *)(uintptr_t)ahead[TAKEN_PARTNER];
                if (other)
                    __builtin_prefetch(early_block_of(e, CHANNEL, other[TAKEN_PLACE] & MAX40));
            }
            if (LIKELY(item[TAKEN_PARTNER] != 0))
                make_row(e, &base, item, &rows[count++]);
        }
    return count;
}
