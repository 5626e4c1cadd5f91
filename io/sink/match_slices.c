/* io/sink/match_slices.c: slices of both files are read through, each pair goes to its range. See match_inner.h. A hot file. */
#include "core/base/mem.h"
#include "io/sink/match_inner.h"

enum {
    AT_ONCE = 512,  /* rows that a source is asked for */
    BATCH = 1 << 24 /* pairs that are ordered at once: their numbers, and places of 40 bits, are one word */
};

/* What a worker needs to go through slices. */
struct slicing {
    struct tank_load load;
    uint8_t *pairs; /* of the slice, one behind the other */
    size_t pair_room;
    /* Places, then ordered: above `shift` a place less `first`, below it its number before. */
    uint64_t *words, *other;
    size_t *offsets; /* of channel items in `base`, by their numbers */
    size_t word_room;
    uint64_t first;
    unsigned shift;
    const uint8_t *base; /* `bytes`, or what was loaded */
    uint8_t *bytes;      /* channel items of the slice */
    size_t used, room;
    struct lean_list list;
    struct arena arena;
    uint64_t places[AT_ONCE];
    const uint8_t *items[AT_ONCE];
    uint32_t ranges[AT_ONCE];
};

static void slicing_fini(struct slicing *s)
{
    tank_load_fini(&s->load);
    mem_give(s->pairs);
    mem_give(s->words);
    mem_give(s->other);
    mem_give(s->offsets);
    mem_give(s->bytes);
    lean_list_fini(&s->list);
    arena_fini(&s->arena);
    mem_give(s);
}

/* Room for `count` words, with what is in them. */
static enum err word_room(struct slicing *s, size_t count, struct diag *diag)
{
    if (count <= s->word_room)
        return OK;
    const size_t room = count + count / 4 + 1024;
    uint64_t *words = mem_grow(s->words, room * sizeof *words);
    s->words = words ? words : s->words;
    size_t *offsets = words ? mem_grow(s->offsets, room * sizeof *offsets) : NULL;
    s->offsets = offsets ? offsets : s->offsets;
    mem_give(s->other);
    s->other = mem_take(room * sizeof *s->other);
    s->word_room = words && offsets && s->other ? room : 0;
    return s->word_room ? OK : mem_fail(diag, 3 * room * sizeof *words, "matched rows");
}

static unsigned bits_of(uint64_t value)
{
    return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

/* Orders `count` places in `words` from `from` on, of BATCH at most. */
static void order_places(struct slicing *s, size_t from, size_t count)
{
    uint64_t *const words = s->words + from, last = 0;
    s->first = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        s->first = words[i] < s->first ? words[i] : s->first;
        last = words[i] > last ? words[i] : last;
    }
    s->shift = bits_of(BATCH - 1 < count ? BATCH - 1 : count);
    for (size_t i = 0; i < count; i++)
        words[i] = (words[i] - s->first) << s->shift | i;
    bits_sort(words, s->other, count, s->shift, count ? bits_of(last - s->first) : 0);
}

static inline uint64_t ordered_place(const struct slicing *s, uint64_t word)
{
    return s->first + (word >> s->shift);
}

static inline size_t ordered_number(const struct slicing *s, uint64_t word)
{
    return word & (((uint64_t)1 << s->shift) - 1);
}

/* Loads the pairs of a slice, and their channel places as words. */
static enum err load_pairs(struct match *m, struct slicing *s, uint32_t slice, size_t *count,
                           struct diag *diag)
{
    const size_t size = tank_size(m->pairs, slice);
    *count = size / PAIR_BYTES;
    enum err err = tank_load(m->pairs, slice, &s->load, diag);
    if (err == OK)
        err = word_room(s, *count, diag);
    const enum err waited = tank_wait(m->pairs, &s->load, diag);
    err = err == OK ? waited : err;
    if (err == OK && size + 8 > s->pair_room) {
        mem_give(s->pairs);
        s->pair_room = 0;
        s->pairs = mem_take(size + size / 8 + 8);
        if (!s->pairs)
            return mem_fail(diag, size, "matched rows");
        s->pair_room = size + size / 8 + 8;
    }
    size_t used = 0;
    for (uint32_t i = 0; err == OK && i < s->load.piece_count; i++) {
        if (s->load.pieces[i].size)
            memcpy(s->pairs + used, s->load.pieces[i].bytes, s->load.pieces[i].size);
        used += s->load.pieces[i].size;
    }
    for (size_t i = 0; err == OK && i < *count; i++)
        s->words[i] = get40(s->pairs + i * PAIR_BYTES + 5);
    return err;
}

/* A channel row's part of its pair. */
static size_t make_channel_item(const struct slicing *s, uint8_t *to, uint64_t local_place,
                                const struct lean *row)
{
    const struct channel_head head = {.local_place = local_place,
                                      .place = row->place,
                                      .line = row->line,
                                      .day = row->day,
                                      .date_disagrees = row->date_disagrees};
    put_channel_head(to, &head);
    const uint8_t *end = lean_put_cell(
        to + CHANNEL_HEAD,
        (struct span){(const char *)s->list.bytes + row->at + row->order_size, row->cells_size});
    return (size_t)(end - to);
}

static inline size_t channel_item_room(const struct lean *row)
{
    return CHANNEL_HEAD + 8 + row->cells_size;
}

/* To the slice of its local row. */
static enum err put_channel_away(struct match *m, struct slicing *s, uint32_t number, uint64_t local_place,
                                 const struct lean *row, struct diag *diag)
{
    const uint32_t slice = slice_of(&m->slices[LOCAL], local_place);
    const size_t room = channel_item_room(row);
    uint8_t *const place = tank_reserve(m->channel, number, slice, room), *const item =
                                                                              place ? place
                                                                                    : match_item_room(
                                                                                          &m->lanes[number],
                                                                                          room, diag);
    if (!item)
        return diag->err;
    const size_t size = make_channel_item(s, item, local_place, row);
    if (!place)
        return tank_put(m->channel, number, slice, item, size, diag);
    tank_commit(m->channel, number, slice, size);
    return OK;
}

static enum err bytes_room(struct slicing *s, size_t size, struct diag *diag)
{
    if (s->used + size <= s->room)
        return OK;
    const size_t room = (s->used + size) * 3 / 2 + 65536;
    uint8_t *grown = mem_grow(s->bytes, room);
    if (!grown)
        return mem_fail(diag, room, "matched rows");
    s->bytes = grown;
    s->room = room;
    return OK;
}

/* Reads the channel rows of `count` pairs from `from` on, whose places are ordered. Their parts of the pairs are kept in `bytes`,
 * with their local places in `words`; or put away. */
static enum err channel_items(struct match *m, struct slicing *s, struct worker_io *io, size_t from,
                              size_t count, int kept, uint32_t number, struct diag *diag)
{
    const uint8_t *const pairs = s->pairs + from * PAIR_BYTES;
    uint64_t *const words = s->words + from;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count; i += AT_ONCE) {
        const uint32_t n = count - i < AT_ONCE ? (uint32_t)(count - i) : AT_ONCE;
        for (uint32_t k = 0; k < n; k++) {
            s->places[k] = ordered_place(s, words[i + k]);
            words[i + k] = get40(pairs + ordered_number(s, words[i + k]) * PAIR_BYTES);
        }
        lean_list_reset(&s->list);
        err = match_leans(m, CHANNEL, io, s->places, n, &s->list, diag);
        size_t room = 0;
        for (uint32_t k = 0; err == OK && k < n; k++)
            room += channel_item_room(&s->list.items[k]);
        if (err == OK && kept)
            err = bytes_room(s, room, diag);
        for (uint32_t k = 0; err == OK && k < n; k++) {
            const struct lean *row = &s->list.items[k];
            if (kept) {
                s->offsets[from + i + k] = s->used;
                s->used += make_channel_item(s, s->bytes + s->used, words[i + k], row);
            } else {
                err = put_channel_away(m, s, number, words[i + k], row, diag);
            }
        }
    }
    return err;
}

/* ---- stage 2: channel rows, by slice of the local side ---- */

static enum err gather_channel(struct match *m, uint32_t number, struct worker_io *io, struct slicing *s,
                               struct diag *diag)
{
    enum err err = OK;
    uint32_t slice;
    while (err == OK && !match_stopped(m) &&
           (slice = atomic_fetch_add(&m->next[2], 1)) < m->slices[CHANNEL].count) {
        size_t count;
        err = load_pairs(m, s, slice, &count, diag);
        for (size_t from = 0; err == OK && from < count; from += BATCH) {
            const size_t n = count - from < BATCH ? count - from : BATCH;
            order_places(s, from, n);
            err = channel_items(m, s, io, from, n, 0, number, diag);
        }
    }
    return err == OK ? tank_end(m->channel, number, diag) : err;
}

/* ---- stage 3: pairs and rows, by range ---- */

/* Loads a slice's channel items, with their local places as words. */
static enum err load_channel(struct match *m, struct slicing *s, struct worker_io *io, uint32_t slice,
                             uint32_t number, size_t *count, struct diag *diag)
{
    enum err err;
    *count = 0;
    s->used = 0;
    if (m->same_order) {
        err = load_pairs(m, s, slice, count, diag);
        for (size_t from = 0; err == OK && from < *count; from += BATCH) {
            const size_t n = *count - from < BATCH ? *count - from : BATCH;
            order_places(s, from, n);
            err = channel_items(m, s, io, from, n, 1, number, diag);
        }
        s->base = s->bytes;
        return err;
    }
    err = tank_load(m->channel, slice, &s->load, diag);
    const enum err waited = tank_wait(m->channel, &s->load, diag);
    err = err == OK ? waited : err;
    s->base = s->load.buffer;
    for (uint32_t i = 0; err == OK && i < s->load.piece_count; i++) {
        const uint8_t *at = s->load.pieces[i].bytes, *const end = at + s->load.pieces[i].size;
        while (err == OK && at < end) {
            struct span cells;
            err = word_room(s, *count + 1, diag);
            if (err != OK)
                break;
            s->words[*count] = channel_local_place(at);
            s->offsets[(*count)++] = (size_t)(at - s->base);
            at = lean_get_cell(at + CHANNEL_HEAD, &cells);
        }
    }
    return err;
}

static inline struct span cell_of(const struct span *cells, signed char at)
{
    return at < 0 ? (struct span){NULL, 0} : cells[at];
}

/* The range of a pair with this key. */
static enum err range_of(struct match *m, struct slicing *s, struct worker_io *io, struct span key,
                         uint64_t place, uint32_t *range, struct diag *diag)
{
    *range = cut_tree_find(&m->cut_tree, key);
    if (__builtin_expect(!m->cuts_within, 1) || *range + 1 == m->range_count ||
        !match_cut_within(key, m->cuts[*range]))
        return OK;
    arena_reset(&s->arena);
    enum err err = match_full_key(m, &s->arena, io, key, place, &key, diag);
    if (err == OK)
        *range = cut_tree_find(&m->cut_tree, key);
    return err;
}

/* A pair's item, from both its lean rows, to its range. */
static enum err put_pair(struct match *m, uint32_t number, const struct lean_list *list,
                         const struct lean *local, const uint8_t *channel, uint32_t range, struct diag *diag)
{
    static const unsigned shown[] = {FIELD_CHANNEL_CODE, FIELD_BIZ_ORDER_NO, FIELD_CHANNEL_ORDER_NO};
    const struct match_plan *plan = &m->plan;
    const uint8_t *order = list->bytes + local->at;
    struct span texts[SIDES][FIELD_SLOTS], all;
    const uint8_t *at = order + local->order_size;
    for (unsigned i = 0; i < plan->side[LOCAL].cell_count; i++)
        at = lean_get_cell(at, &texts[LOCAL][i]);
    lean_get_cell(channel + CHANNEL_HEAD, &all);
    at = (const uint8_t *)all.data;
    for (unsigned i = 0; i < plan->side[CHANNEL].cell_count; i++)
        at = lean_get_cell(at, &texts[CHANNEL][i]);
    const struct span key = {(const char *)order, local->order_size};
    const uint32_t shared = m->shared[range];
    const size_t room = 64 + PAIR_HEAD + key.size + local->cells_size + all.size;
    uint8_t *const place = tank_reserve(m->ranges_tank, number, range, room),
                   *const item = place ? place : match_item_room(&m->lanes[number], room, diag);
    if (!item)
        return diag->err;
    *item = KIND_PAIR;
    uint8_t *const body = lean_put_cell(item + 1, (struct span){key.data + shared, key.size - shared});
    /* One byte of length will do for nearly all; the others move up by four. */
    struct channel_head from;
    get_channel_head(channel, &from);
    const struct pair_head head = {.local_place = local->place,
                                   .local_line = local->line,
                                   .channel_place = from.place,
                                   .channel_line = from.line,
                                   .amount = local->amount_micro,
                                   .channel_day = from.day,
                                   .flags =
                                       local->date_disagrees || from.date_disagrees ? FLAG_DATE_DISAGREES : 0,
                                   .currency = local->currency};
    put_pair_head(body + 1, &head);
    uint8_t *out = body + 1 + PAIR_HEAD;
    const uint8_t *fields = order_skip_head(order);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        struct span mine = cell_of(texts[LOCAL], plan->cell_at[LOCAL][shown[i]]),
                    theirs = cell_of(texts[CHANNEL], plan->cell_at[CHANNEL][shown[i]]), in_key = {NULL, 0};
        if (plan->order_at[shown[i]] >= 0 && shown[i] != FIELD_CHANNEL_ORDER_NO && theirs.size) {
            const uint8_t *f = fields;
            for (int k = 0; k <= plan->order_at[shown[i]]; k++)
                f = order_get_field(f, &in_key);
        }
        /* The channel's own number goes first, for the others the local one does; what the key says is not said
         * again. */
        if (shown[i] == FIELD_CHANNEL_ORDER_NO)
            out = lean_put_cell(out, theirs.size ? theirs : mine);
        else
            out = lean_put_cell(out, mine.size ? mine : in_key.size ? (struct span){NULL, 0} : theirs);
    }
    for (int i = 0; i < m->compare_cell_count; i++)
        out = lean_put_cell(out, texts[LOCAL][m->compare_cells[i]]);
    size_t size = (size_t)(out - body) - 1;
    if (size < 255) {
        *body = (uint8_t)size;
    } else {
        uint32_t n = (uint32_t)size;
        memmove(body + 5, body + 1, size);
        *body = 255;
        memcpy(body + 1, &n, 4);
        out += 4;
    }
    if (place) {
        tank_commit(m->ranges_tank, number, range, (size_t)(out - item));
        return OK;
    }
    return tank_put(m->ranges_tank, number, range, item, (size_t)(out - item), diag);
}

/* The rows that one lane was given, each to its range. */
static enum err spread_rows(struct match *m, uint32_t from, uint32_t number, struct diag *diag)
{
    struct item_reader reader = {.tank = m->rows, .scan = {.lane = from}};
    struct match_lane *lane = &m->lanes[number];
    const uint8_t *item;
    size_t size;
    enum err err = OK;
    while (err == OK && !match_stopped(m) && (err = item_reader_next(&reader, &item, &size, diag)) == OK &&
           size) {
        struct span key, body;
        lean_get_cell(lean_get_cell(item + 1, &key), &body);
        uint32_t range = cut_tree_find(&m->cut_tree, key), shared = m->shared[range];
        uint8_t *const copy = match_item_room(lane, size + 8, diag);
        if (!copy) {
            err = diag->err;
            break;
        }
        *copy = KIND_ROW;
        uint8_t *end = lean_put_cell(copy + 1, (struct span){key.data + shared, key.size - shared});
        end = lean_put_cell(end, body);
        err = tank_put(m->ranges_tank, number, range, copy, (size_t)(end - copy), diag);
    }
    item_reader_fini(&reader);
    return err;
}

/* `count` of a slice's pairs from `from` on, each to its range: in order of their local rows. */
static enum err spread_pairs(struct match *m, uint32_t number, struct worker_io *io, struct slicing *s,
                             size_t from, size_t count, struct diag *diag)
{
    const uint64_t *const words = s->words + from;
    enum err err = OK;
    order_places(s, from, count);
    for (size_t i = 0; err == OK && i < count; i += AT_ONCE) {
        const uint32_t n = count - i < AT_ONCE ? (uint32_t)(count - i) : AT_ONCE;
        for (uint32_t k = 0; k < n; k++) {
            s->places[k] = ordered_place(s, words[i + k]);
            s->items[k] = s->base + s->offsets[from + ordered_number(s, words[i + k])];
        }
        lean_list_reset(&s->list);
        err = match_leans(m, LOCAL, io, s->places, n, &s->list, diag);
        for (uint32_t k = 0; err == OK && k < n; k++)
            err = range_of(
                m, s, io,
                (struct span){(const char *)s->list.bytes + s->list.items[k].at, s->list.items[k].order_size},
                s->places[k], &s->ranges[k], diag);
        for (uint32_t k = 0; err == OK && k < n; k++) {
            if (k + AHEAD < n) { /* rows come in order of their own places, and go all over the tank */
                __builtin_prefetch(s->items[k + AHEAD]);
                __builtin_prefetch(s->items[k + AHEAD] + 63);
                tank_expect(m->ranges_tank, number, s->ranges[k + AHEAD], 128);
            }
            err = put_pair(m, number, &s->list, &s->list.items[k], s->items[k], s->ranges[k], diag);
        }
    }
    return err;
}

static enum err spread(struct match *m, uint32_t number, struct worker_io *io, struct slicing *s,
                       struct diag *diag)
{
    enum err err = OK;
    const uint32_t slices = m->pairs ? m->slices[LOCAL].count : 0, lanes = m->rows ? m->config.lanes : 0;
    uint32_t work;
    while (err == OK && !match_stopped(m) && (work = atomic_fetch_add(&m->next[3], 1)) < slices + lanes) {
        if (work < lanes) {
            err = spread_rows(m, work, number, diag);
            continue;
        }
        size_t count;
        err = load_channel(m, s, io, work - lanes, number, &count, diag);
        for (size_t from = 0; err == OK && from < count; from += BATCH)
            err = spread_pairs(m, number, io, s, from, count - from < BATCH ? count - from : BATCH, diag);
    }
    return err == OK ? tank_end(m->ranges_tank, number, diag) : err;
}

enum err match_slices(struct match *m, unsigned stage, struct worker_io *io, uint32_t number,
                      struct diag *diag)
{
    if (stage == 2 && !m->channel)
        return OK;
    struct slicing *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "matched rows");
    arena_init(&s->arena);
    const enum err err = stage == 2 ? gather_channel(m, number, io, s, diag) : spread(m, number, io, s, diag);
    slicing_fini(s);
    return err;
}
