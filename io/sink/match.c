/* io/sink/match.c: see match.h */
#include "io/sink/match.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/model/currency.h"
#include "core/model/day.h"
#include "core/model/money.h"
#include "core/rules/number_text.h"
#include "io/sink/cell_text.h"
#include "io/sink/cut_tree.h"
#include "io/sink/digest.h"
#include "io/sink/key_sort.h"
#include "io/sink/stretch_file.h"
#include "io/sink/tank.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    AT_ONCE = 512,             /* rows that a source is asked for */
    SAMPLED_AT_ONCE = 64,      /* the same for a sample */
    AHEAD = 16,                /* items that are asked for ahead */
    LATE = 16,                 /* rows between a row's printing and what else is done with it */
    CELL_SLACK = 32,           /* bytes behind items and keys that may be read */
    NAME_SHORT = 64,           /* bytes of a file's name that are copied whatever its size */
    SAMPLE_MAX = 8192,         /* of one lane */
    SAMPLE_BYTES = 1 << 19,    /* of one lane's keys: what so many usual ones take, so long keys are fewer */
    RANGE_PARTS_MAX = 1 << 12, /* of a range that is too large */
    SLICE_PAIRS_MAX = 1 << 16, /* rows of a slice of a file, roughly */
    SLICE_PAIRS_MIN = 1 << 12,
    SLICES_MAX = 1 << 14,
    RANGE_BYTES_MAX = 512 << 10, /* of a range of keys: what is sorted at a time */
    RANGE_BYTES_MIN = 16 << 10,
    RANGES_MAX = 1 << 14,
    PAIR_BYTES = 10,
    BATCH = 1 << 24, /* pairs that are ordered at once: their numbers, and places of 40 bits, are one word */
    KIND_PAIR = 0,
    KIND_ROW = 1, /* a row that was judged, ready to be written */
    FLAG_DATE_DISAGREES = 1
};
#define MAX40 (((uint64_t)1 << 40) - 1)

/* A pair on its way to its range, behind the kind: its key without what all of the range have in common, as a
 * cell; then as another cell these, and the cells of the row that are not in the key. */
struct pair_head {
    uint64_t local_place, local_line, channel_place, channel_line;
    int64_t amount;
    uint16_t channel_day;
    uint8_t flags, currency;
};
/* What a channel row says of its pair, and a cell with its lean row's cells. */
struct channel_head {
    uint64_t local_place, place, line;
    uint16_t day;
    uint8_t date_disagrees;
};
/* As they are packed: places and lines of 40 bits each. They are put together in words: bytes that are written one by one and read
 * in words a moment later stop the processor until they are in its cache. */
enum { PAIR_HEAD = 32, CHANNEL_HEAD = 18 };

static inline void put_word(uint8_t *to, uint64_t word)
{
    memcpy(to, &word, sizeof word);
}

static inline void put_pair_head(uint8_t to[PAIR_HEAD], const struct pair_head *h)
{
    const uint64_t amount = (uint64_t)h->amount;
    put_word(to, h->local_place | h->local_line << 40);
    put_word(to + 8, h->local_line >> 24 | h->channel_place << 16 | h->channel_line << 56);
    put_word(to + 16, h->channel_line >> 8 | (uint64_t)h->channel_day << 32 | amount << 48);
    put_word(to + 24, amount >> 16 | (uint64_t)h->flags << 48 | (uint64_t)h->currency << 56);
}

static inline void get_pair_head(const uint8_t *from, struct pair_head *h)
{
    uint64_t w[4];
    for (unsigned i = 0; i < 4; i++)
        memcpy(&w[i], from + 8 * i, 8);
    h->local_place = w[0] & MAX40;
    h->local_line = w[0] >> 40 | (w[1] & 0xFFFF) << 24;
    h->channel_place = w[1] >> 16 & MAX40;
    h->channel_line = w[1] >> 56 | (w[2] & UINT32_MAX) << 8;
    h->channel_day = (uint16_t)(w[2] >> 32);
    h->amount = (int64_t)(w[2] >> 48 | w[3] << 16);
    h->flags = (uint8_t)(w[3] >> 48);
    h->currency = (uint8_t)(w[3] >> 56);
}

/* What pairs that look alike have in common: the channel's day, flags, currency. */
static inline uint64_t head_fixed(const uint8_t *from)
{
    uint64_t w[2];
    memcpy(w, from + 16, sizeof w);
    return (w[0] >> 32 & 0xFFFF) | w[1] >> 48 << 16;
}

static inline void put_channel_head(uint8_t to[CHANNEL_HEAD], const struct channel_head *h)
{
    put_word(to, h->local_place | h->place << 40);
    put_word(to + 8, h->place >> 24 | h->line << 16 | (uint64_t)h->date_disagrees << 56);
    memcpy(to + 16, &h->day, 2);
}

static inline uint64_t channel_local_place(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word & MAX40;
}

static inline void get_channel_head(const uint8_t *from, struct channel_head *h)
{
    uint64_t w[2];
    memcpy(w, from, 16);
    h->local_place = w[0] & MAX40;
    h->place = w[0] >> 40 | (w[1] & 0xFFFF) << 24;
    h->line = w[1] >> 16 & MAX40;
    h->date_disagrees = (uint8_t)(w[1] >> 56);
    memcpy(&h->day, from + 16, 2);
}

/* Of what was put, those whose hash is lowest: a sample that does not depend on the road. */
struct sample {
    struct sampled {
        uint64_t hash;
        uint64_t place; /* of a pair's local record */
        char *key;      /* of a row */
        uint32_t key_size;
    } * items;
    uint64_t bytes; /* of keys */
    uint32_t count;
    unsigned level; /* hashes below 2^(64 - level) are taken */
};

/* Slices of a side's places, of about equal numbers of pairs: slice i holds places from cuts[i - 1] on, before
 * cuts[i]. `near` says where to begin to look. */
enum { NEAR = 4096 };
struct slices {
    uint64_t *cuts;
    uint32_t count;
    uint64_t first;
    unsigned shift;
    uint32_t near[NEAR];
};

struct match_lane {
    struct sample sample;
    uint64_t pairs, row_bytes;
    uint8_t *item; /* an item being made */
    size_t item_room;
};

/* What goes range by range: a place in the file, and the digest. */
enum turn { TURN_PLACE, TURN_DIGEST, TURNS };

struct match {
    struct match_config config;
    struct match_plan plan;
    unsigned order[FIELD_SLOTS];            /* of canonical bytes */
    signed char compare_cells[FIELD_SLOTS]; /* of the local side, that the key does not say */
    int compare_cell_count;
    struct match_lane *lanes;
    struct tank *pairs, *channel, *rows, *ranges_tank;
    pthread_mutex_t lock; /* of what follows, and of stage 1's results while they are made */
    pthread_cond_t turn_is_over;
    int decided, same_order; /* both files are in about the same order */
    struct slices slices[SIDES];
    struct span *cuts; /* range i holds keys from cuts[i - 1] on, before cuts[i] */
    uint8_t *cut_bytes;
    struct cut_tree cut_tree;
    uint32_t *shared; /* bytes that a range's keys have in common, of what keys of pairs have */
    uint32_t range_count;
    int cuts_within; /* some cuts lie within one K1: a pair's own key does not always say its range */
    size_t range_bytes_max;
    _Atomic uint32_t next[MATCH_STAGES]; /* work to claim */
    _Atomic int stop;
    uint32_t turns[TURNS]; /* the range that has it */
    struct stretch_file *file;
    struct digest *digest;
    int began, ended;
    uint64_t spilled;
};

static void put40(uint8_t to[5], uint64_t value)
{
    memcpy(to, &value, 4);
    to[4] = (uint8_t)(value >> 32);
}

static uint64_t get40(const uint8_t from[5])
{
    uint32_t low;
    memcpy(&low, from, 4);
    return low | (uint64_t)from[4] << 32;
}

static int stopped(const struct match *m)
{
    return atomic_load_explicit(&m->stop, memory_order_relaxed) ||
           (m->config.interrupted && *m->config.interrupted);
}

void match_stop(struct match *m)
{
    pthread_mutex_lock(&m->lock);
    atomic_store(&m->stop, 1);
    pthread_cond_broadcast(&m->turn_is_over);
    pthread_mutex_unlock(&m->lock);
}

/* ---- opening ---- */

enum err match_open(struct match **out, const struct match_config *config, struct diag *diag)
{
    *out = NULL;
    struct match *m = mem_take_zero(1, sizeof *m);
    if (!m)
        return mem_fail(diag, sizeof *m, "match.csv");
    m->config = *config;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->turn_is_over, NULL);
    match_plan_make(&m->plan, config->job);
    canonical_order(config->job, m->order);
    for (int i = 0; i < config->job->match.compare_count; i++) {
        const signed char cell = m->plan.cell_at[LOCAL][config->job->match.compare[i]];
        if (cell >= 0)
            m->compare_cells[m->compare_cell_count++] = cell;
    }
    m->lanes = mem_take_zero(config->lanes, sizeof *m->lanes);
    if (!m->lanes) {
        match_close(m);
        return mem_fail(diag, config->lanes * sizeof *m->lanes, "match.csv");
    }
    *out = m;
    return OK;
}

static void forget_sample(struct sample *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        mem_give(s->items[i].key);
    mem_give(s->items);
    *s = (struct sample){0};
}

static void forget_samples(struct match *m)
{
    for (uint32_t i = 0; m->lanes && i < m->config.lanes; i++)
        forget_sample(&m->lanes[i].sample);
}

/* A tank that is done with. */
static void drop(struct match *m, struct tank **tank)
{
    pthread_mutex_lock(&m->lock);
    if (*tank)
        m->spilled += tank_spilled(*tank);
    pthread_mutex_unlock(&m->lock);
    tank_close(*tank);
    *tank = NULL;
}

void match_close(struct match *m)
{
    if (!m)
        return;
    forget_samples(m);
    for (uint32_t i = 0; m->lanes && i < m->config.lanes; i++)
        mem_give(m->lanes[i].item);
    mem_give(m->lanes);
    drop(m, &m->pairs);
    drop(m, &m->channel);
    drop(m, &m->rows);
    drop(m, &m->ranges_tank);
    for (int side = 0; side < SIDES; side++)
        mem_give(m->slices[side].cuts);
    mem_give(m->cuts);
    mem_give(m->cut_bytes);
    mem_give(m->shared);
    cut_tree_fini(&m->cut_tree);
    stretch_close(m->file);
    digest_close(m->digest);
    pthread_cond_destroy(&m->turn_is_over);
    pthread_mutex_destroy(&m->lock);
    mem_give(m);
}

uint64_t match_spilled(const struct match *m)
{
    return m->spilled;
}

static enum err open_tank(struct match *m, struct tank **out, uint32_t partitions, uint64_t expected,
                          size_t memory, struct diag *diag)
{
    struct tank_config config = {.directory = m->config.directory,
                                 .lanes = m->config.lanes,
                                 .partitions = partitions,
                                 .expected = expected,
                                 .memory = memory,
                                 .backend = m->config.backend};
    return tank_open(out, &config, diag);
}

/* ---- taking in ---- */

/* Leaves half of the sample. */
static void thin_sample(struct sample *s)
{
    uint32_t kept = 0;
    s->level++;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->items[i].hash >> (64 - s->level)) {
            s->bytes -= s->items[i].key_size;
            mem_give(s->items[i].key);
        } else {
            s->items[kept++] = s->items[i];
        }
    s->count = kept;
}

/* In a sample that may be as large as `lanes` of one lane. */
static int keep_sample_of(struct sample *s, uint32_t lanes, uint64_t hash, uint64_t place, struct span key)
{
    if (!s->items && !(s->items = mem_take((uint64_t)SAMPLE_MAX * lanes * sizeof *s->items)))
        return 0;
    for (;;) {
        if (s->level && hash >> (64 - s->level))
            return 1;
        if (s->count < (uint64_t)SAMPLE_MAX * lanes &&
            (s->count == 0 || s->bytes + key.size <= (uint64_t)SAMPLE_BYTES * lanes))
            break;
        thin_sample(s);
    }
    char *copy = key.size ? mem_copy_text(key.data, key.size) : NULL;
    if (key.size && !copy)
        return 0;
    s->items[s->count++] = (struct sampled){hash, place, copy, (uint32_t)key.size};
    s->bytes += key.size;
    return 1;
}

static int keep_sample(struct sample *s, uint64_t hash, uint64_t place, struct span key)
{
    return keep_sample_of(s, 1, hash, place, key);
}

static int by_word(const void *a, const void *b)
{
    const struct sort_entry *x = a, *y = b;
    return (x->word > y->word) - (x->word < y->word);
}

static inline uint32_t slice_of(const struct slices *s, uint64_t place)
{
    uint64_t near = place < s->first ? 0 : (place - s->first) >> s->shift;
    uint32_t at = s->near[near < NEAR ? near : NEAR - 1];
    while (at + 1 < s->count && s->cuts[at] <= place)
        at++;
    return at;
}

/* Cuts a side's places, of which `look` is a sorted sample, into slices. */
static enum err cut_slices(struct slices *s, const struct sort_entry *look, uint64_t n, uint64_t wanted,
                           struct diag *diag)
{
    s->cuts = mem_take((wanted + 1) * sizeof *s->cuts);
    if (!s->cuts)
        return mem_fail(diag, wanted * sizeof *s->cuts, "match.csv");
    s->count = 1;
    for (uint64_t i = 1; i < wanted; i++)
        if (s->count == 1 || look[i * n / wanted].word > s->cuts[s->count - 2])
            s->cuts[s->count++ - 1] = look[i * n / wanted].word;
    s->first = look[0].word;
    while ((look[n - 1].word - s->first) >> s->shift >= NEAR)
        s->shift++;
    for (uint32_t i = 0, at = 0; i < NEAR; i++) {
        while (at + 1 < s->count && s->cuts[at] <= s->first + ((uint64_t)i << s->shift))
            at++;
        s->near[i] = at;
    }
    return OK;
}

/* Chooses slices, and whether pairs go by slices of the local side's files, whose neighbours then have their
 * channel rows near each other, or by slices of the channel's. The first pairs that come decide: they are a
 * sample, chosen by their keys' hashes. */
static enum err decide(struct match *m, const struct pair_ref *given, uint64_t count, struct diag *diag)
{
    enum { LOOK = 1 << 14 };
    size_t share = m->config.memory / m->config.lanes;
    uint64_t slice_pairs = share / 512, total = UINT64_MAX, jumps = 0;
    slice_pairs = slice_pairs > SLICE_PAIRS_MAX   ? SLICE_PAIRS_MAX
                  : slice_pairs < SLICE_PAIRS_MIN ? SLICE_PAIRS_MIN
                                                  : slice_pairs;
    for (int side = 0; side < SIDES; side++) {
        struct source_counts counts;
        m->config.sources[side]->ops->counts(m->config.sources[side], &counts);
        total = counts.records < total ? counts.records : total;
    }
    uint64_t n = count < LOOK ? count : LOOK, wanted = total / slice_pairs + 1;
    if (wanted > share / 8 / 4096) /* a block each */
        wanted = share / 8 / 4096 + 1;
    wanted = wanted > n ? n : wanted > SLICES_MAX ? SLICES_MAX : wanted;
    struct sort_entry *look = mem_take(n * sizeof *look);
    uint64_t *ranks = mem_take(n * sizeof *ranks);
    struct pair_ref *pairs = mem_take(n * sizeof *pairs);
    enum err err =
        look && ranks && pairs ? OK : mem_fail(diag, n * (sizeof *look + sizeof *ranks), "match.csv");
    /* From all over the list: pairs may stand in it in the order in which they left. */
    for (uint64_t i = 0; err == OK && i < n; i++)
        pairs[i] = given[i * count / n];
    /* The sample in the channel's order, then in the local side's: how far apart are neighbours of the one in the
     * other? */
    for (uint64_t i = 0; err == OK && i < n; i++)
        look[i] = (struct sort_entry){pairs[i].channel_place, (const uint8_t *)&pairs[i]};
    if (err == OK) {
        qsort(look, n, sizeof *look, by_word);
        err = cut_slices(&m->slices[CHANNEL], look, n, wanted, diag);
        for (uint64_t i = 0; i < n; i++)
            ranks[(const struct pair_ref *)look[i].item - pairs] = i;
    }
    for (uint64_t i = 0; err == OK && i < n; i++)
        look[i] = (struct sort_entry){pairs[i].local_place, (const uint8_t *)&pairs[i]};
    if (err == OK) {
        qsort(look, n, sizeof *look, by_word);
        err = cut_slices(&m->slices[LOCAL], look, n, wanted, diag);
    }
    for (uint64_t i = 1; err == OK && i < n; i++) {
        uint64_t a = ranks[(const struct pair_ref *)look[i - 1].item - pairs],
                 b = ranks[(const struct pair_ref *)look[i].item - pairs];
        jumps += a < b ? b - a : a - b;
    }
    mem_give(look);
    mem_give(ranks);
    mem_give(pairs);
    if (err != OK)
        return err;
    m->same_order = (unsigned __int128)jumps * total / n / n <= slice_pairs / 2;
    return open_tank(m, &m->pairs, m->slices[m->same_order ? LOCAL : CHANNEL].count, 0, m->config.memory / 8,
                     diag);
}

enum err match_put_pairs(struct match *m, uint32_t number, const struct pair_ref *pairs, uint64_t count,
                         struct diag *diag)
{
    struct match_lane *lane = &m->lanes[number];
    if (count == 0)
        return OK;
    enum err err = OK;
    pthread_mutex_lock(&m->lock);
    if (!m->decided) {
        err = decide(m, pairs, count, diag);
        m->decided = err == OK;
    }
    pthread_mutex_unlock(&m->lock);
    enum side by = m->same_order ? LOCAL : CHANNEL;
    for (uint64_t i = 0; err == OK && i < count; i++) {
        uint8_t item[PAIR_BYTES];
        uint64_t hash = hash_bytes(&pairs[i].local_place, 8, 1);
        if (!keep_sample(&lane->sample, hash, pairs[i].local_place, (struct span){NULL, 0}))
            return mem_fail(diag, SAMPLE_MAX * sizeof *lane->sample.items, "match.csv");
        put40(item, pairs[i].local_place);
        put40(item + 5, pairs[i].channel_place);
        uint64_t place = by == LOCAL ? pairs[i].local_place : pairs[i].channel_place;
        err = tank_put(m->pairs, number, slice_of(&m->slices[by], place), item, sizeof item, diag);
    }
    lane->pairs += count;
    return err;
}

/* Room for `size` bytes in the lane's item. */
static uint8_t *item_room(struct match_lane *lane, size_t size, struct diag *diag)
{
    if (size > lane->item_room) {
        uint8_t *grown = mem_grow(lane->item, 2 * size);
        if (!grown) {
            mem_fail(diag, 2 * size, "a matched row");
            return NULL;
        }
        lane->item = grown;
        lane->item_room = 2 * size;
    }
    return lane->item;
}

/* The start of a key up to where keys of pairs end. */
static struct span range_key(const struct match *m, struct span key)
{
    const uint8_t *at = order_skip_head((const uint8_t *)key.data);
    struct span text;
    for (unsigned i = 0; i < m->plan.side[LOCAL].order_count; i++)
        at = order_get_field(at, &text);
    return (struct span){key.data, (size_t)(at - (const uint8_t *)key.data)};
}

enum err match_put_row(struct match *m, uint32_t number, struct span key, struct span row, struct span places,
                       struct diag *diag)
{
    struct match_lane *lane = &m->lanes[number];
    enum err err = OK;
    pthread_mutex_lock(&m->lock);
    if (!m->rows)
        err = open_tank(m, &m->rows, 1, 0, m->config.memory / 16, diag);
    pthread_mutex_unlock(&m->lock);
    uint8_t *const item = err == OK ? item_room(lane, 32 + key.size + row.size + places.size, diag) : NULL;
    if (!item)
        return diag->err;
    if (!keep_sample(&lane->sample, hash_bytes(key.data, key.size, 1), 0, key))
        return mem_fail(diag, key.size, "match.csv");
    struct span body = {NULL,
                        row.size + places.size + (row.size < 255 ? 1 : 5) + (places.size < 255 ? 1 : 5)};
    uint8_t *at = item;
    *at++ = KIND_ROW;
    at = lean_put_cell(at, key);
    if (body.size < 255) {
        *at++ = (uint8_t)body.size;
    } else {
        uint32_t n = (uint32_t)body.size;
        *at++ = 255;
        memcpy(at, &n, 4);
        at += 4;
    }
    at = lean_put_cell(at, row);
    at = lean_put_cell(at, places);
    lane->row_bytes += (uint64_t)(at - item);
    return tank_put(m->rows, number, 0, item, (size_t)(at - item), diag);
}

/* ---- lean rows ---- */

/* Lean rows at sorted places, from a source that may not be able to give them itself. */
static enum err leans_of(struct match *m, enum side side, struct worker_io *io, const uint64_t *places,
                         uint32_t count, struct lean_list *list, struct diag *diag)
{
    struct source *source = m->config.sources[side];
    const struct lean_plan *plan = &m->plan.side[side];
    if (source->ops->leans)
        return source->ops->leans(source, io, plan, places, count, list, diag);
    struct arena arena;
    arena_init(&arena);
    struct row_ref *refs = mem_take_zero(count, sizeof *refs);
    struct full *rows = mem_take(count * sizeof *rows);
    enum err err = refs && rows ? OK : mem_fail(diag, count * (sizeof *refs + sizeof *rows), "matched rows");
    for (uint32_t i = 0; err == OK && i < count; i++) {
        refs[i].place = places[i];
        refs[i].side = (uint8_t)side;
        refs[i].record_flags = side == CHANNEL ? RECORD_CHANNEL : 0;
    }
    if (err == OK)
        err = source->ops->fetch(source, io, refs, rows, count, &arena, diag);
    for (uint32_t i = 0; err == OK && i < count; i++)
        if (!lean_of_full(plan, &rows[i], list))
            err = mem_fail(diag, 0, "matched rows");
    for (uint32_t i = 0; err == OK && i < count; i++)
        list->items[list->count - count + i].line = 0;
    mem_give(refs);
    mem_give(rows);
    arena_fini(&arena);
    return err;
}

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
                                                                                    : item_room(
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
        err = leans_of(m, CHANNEL, io, s->places, n, &s->list, diag);
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

/* ---- ranges ---- */

static int by_text(const void *a, const void *b)
{
    return span_compare(*(const struct span *)a, *(const struct span *)b);
}

static uint32_t shared_bytes(struct span a, struct span b)
{
    uint32_t n = 0;
    while (n < a.size && n < b.size && a.data[n] == b.data[n])
        n++;
    return n;
}

/* Adds the keys of the sampled pairs, whose places are sorted, to `all`, which keeps a share of them if they are long. */
static enum err sample_pairs(struct match *m, struct worker_io *io, const uint64_t *places, size_t count,
                             struct sample *all, struct diag *diag)
{
    struct lean_list list = {0};
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count; i += SAMPLED_AT_ONCE) {
        const uint32_t n = count - i < SAMPLED_AT_ONCE ? (uint32_t)(count - i) : SAMPLED_AT_ONCE;
        lean_list_reset(&list);
        err = leans_of(m, LOCAL, io, places + i, n, &list, diag);
        for (uint32_t k = 0; err == OK && k < n; k++)
            if (!keep_sample_of(
                    all, m->config.lanes, hash_bytes(&places[i + k], 8, 1), 0,
                    (struct span){(const char *)list.bytes + list.items[k].at, list.items[k].order_size}))
                err = mem_fail(diag, list.items[k].order_size, "match.csv");
    }
    lean_list_fini(&list);
    return err;
}

/* The lanes' samples as one, with the keys of the sampled pairs. Both kinds want their sample from the same share of the rows. */
static enum err join_samples(struct match *m, struct worker_io *io, struct sample *all, struct diag *diag)
{
    const uint32_t lanes = m->config.lanes;
    size_t room = 0, pairs = 0;
    for (uint32_t i = 0; i < lanes; i++) {
        all->level = m->lanes[i].sample.level > all->level ? m->lanes[i].sample.level : all->level;
        room += m->lanes[i].sample.count;
    }
    struct sort_entry *sorted = mem_take((room + 1) * sizeof *sorted);
    uint64_t *places = mem_take((room + 1) * sizeof *places);
    enum err err = sorted && places ? OK : mem_fail(diag, room * sizeof *sorted, "match.csv");
    for (uint32_t i = 0; err == OK && i < lanes; i++)
        for (uint32_t k = 0; k < m->lanes[i].sample.count; k++) {
            const struct sampled *s = &m->lanes[i].sample.items[k];
            if (all->level && s->hash >> (64 - all->level))
                continue;
            if (!s->key)
                sorted[pairs++] = (struct sort_entry){s->place, NULL};
            else if (!keep_sample_of(all, lanes, s->hash, 0, (struct span){s->key, s->key_size}))
                err = mem_fail(diag, s->key_size, "match.csv");
        }
    if (err == OK && pairs) {
        qsort(sorted, pairs, sizeof *sorted, by_word);
        for (size_t i = 0; i < pairs; i++)
            places[i] = sorted[i].word;
        err = sample_pairs(m, io, places, pairs, all, diag);
    }
    mem_give(sorted);
    mem_give(places);
    return err;
}

static int begins_with(struct span key, struct span start)
{
    return key.size >= start.size && memcmp(key.data, start.data, start.size) == 0;
}

/* The whole of what orders a pair's row: the key goes on with the fields behind K1, then side and place. */
static enum err full_key(struct match *m, struct arena *arena, struct worker_io *io, uint64_t local_place,
                         struct span *out, struct diag *diag)
{
    struct row_ref ref = {.place = local_place, .side = LOCAL};
    struct full *row = arena_take(arena, sizeof *row);
    struct source *source = m->config.sources[LOCAL];
    enum err err = row ? source->ops->fetch(source, io, &ref, row, 1, arena, diag)
                       : mem_fail(diag, sizeof *row, "a matched row");
    if (err != OK)
        return err;
    uint8_t *key = arena_take(arena, 16 + 2 * row->occurrence.size + row->canonical.size + 9);
    if (!key)
        return mem_fail(diag, row->canonical.size, "a matched row");
    uint8_t *at = order_put_head(key, row->day, row->occurrence);
    memcpy(at, row->canonical.data, row->canonical.size);
    at += row->canonical.size;
    *at++ = LOCAL;
    for (int i = 0; i < 8; i++)
        *at++ = (uint8_t)(row->place >> (56 - 8 * i));
    *out = (struct span){(const char *)key, (size_t)(at - key)};
    return OK;
}

/* The next cut behind `last`, if a sampled key gives one: where keys of pairs end; within one K1 only where it takes more
 * than one range. */
static struct span next_cut(const struct match *m, struct span last, struct span key)
{
    struct span start = range_key(m, key);
    if (span_compare(start, last) > 0)
        return start;
    return span_compare(key, last) > 0 ? key : (struct span){NULL, 0};
}

/* Whether a pair's key, which ends behind K1, does not say on which side of the cut at or behind it the pair is. */
static int cut_within(struct span key, struct span cut)
{
    return cut.size > key.size && begins_with(cut, key);
}

/* Cuts ≺ into ranges of about equal size by a sample of the keys. */
static enum err make_ranges(struct match *m, struct worker_io *io, struct diag *diag)
{
    struct sample sample = {0};
    enum err err = join_samples(m, io, &sample, diag);
    const size_t count = sample.count;
    struct span *keys = mem_take((count + 1) * sizeof *keys);
    if (!keys && err == OK)
        err = mem_fail(diag, count * sizeof *keys, "match.csv");
    for (size_t i = 0; err == OK && i < count; i++)
        keys[i] = (struct span){sample.items[i].key, sample.items[i].key_size};
    uint64_t pairs = 0, expected = 0;
    for (uint32_t i = 0; i < m->config.lanes; i++) {
        pairs += m->lanes[i].pairs;
        expected += m->lanes[i].row_bytes;
    }
    expected += pairs * 112;
    size_t share = m->config.memory / m->config.lanes;
    size_t target = share / 16;
    target = target > RANGE_BYTES_MAX ? RANGE_BYTES_MAX : target < RANGE_BYTES_MIN ? RANGE_BYTES_MIN : target;
    uint64_t wanted = expected / target + 1;
    if (wanted > count / 8 + 1)
        wanted = count / 8 + 1;
    if (wanted > share / 2 / 4096) /* a block each */
        wanted = share / 2 / 4096 ? share / 2 / 4096 : 1;
    if (wanted > RANGES_MAX)
        wanted = RANGES_MAX;
    m->range_bytes_max = share / 4 > 4 * target ? share / 4 : 4 * target;
    size_t size = 0;
    uint32_t cuts = 0;
    if (err == OK) {
        qsort(keys, count, sizeof *keys, by_text);
        for (uint64_t i = 1; i < wanted; i++)
            size += keys[i * count / wanted].size;
        m->cuts = mem_take(wanted * sizeof *m->cuts);
        m->shared = mem_take_zero(wanted, sizeof *m->shared);
        m->cut_bytes = mem_take(size + 1);
        if (!m->cuts || !m->shared || !m->cut_bytes)
            err = mem_fail(diag, size, "match.csv");
    }
    uint8_t *at = m->cut_bytes;
    for (uint64_t i = 1; err == OK && i < wanted; i++) {
        struct span key =
            next_cut(m, cuts ? m->cuts[cuts - 1] : (struct span){NULL, 0}, keys[i * count / wanted]);
        if (key.size == 0)
            continue;
        m->cuts_within |= range_key(m, key).size < key.size;
        memcpy(at, key.data, key.size);
        m->cuts[cuts++] = (struct span){(const char *)at, key.size};
        at += key.size;
    }
    m->range_count = cuts + 1;
    for (uint32_t i = 1; i < cuts; i++)
        m->shared[i] = shared_bytes(range_key(m, m->cuts[i - 1]), m->cuts[i]);
    if (err == OK && !cut_tree_make(&m->cut_tree, m->cuts, cuts))
        err = mem_fail(diag, size, "match.csv");
    mem_give(keys);
    forget_sample(&sample);
    if (err == OK)
        err = open_tank(m, &m->ranges_tank, m->range_count, expected, m->config.memory / 2, diag);
    if (err == OK && !m->same_order && pairs)
        err = open_tank(m, &m->channel, m->slices[LOCAL].count, 0, m->config.memory / 4, diag);
    return err;
}

/* ---- stage 2: channel rows, by slice of the local side ---- */

static enum err gather_channel(struct match *m, uint32_t number, struct worker_io *io, struct slicing *s,
                               struct diag *diag)
{
    enum err err = OK;
    uint32_t slice;
    while (err == OK && !stopped(m) &&
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
        !cut_within(key, m->cuts[*range]))
        return OK;
    arena_reset(&s->arena);
    enum err err = full_key(m, &s->arena, io, place, &key, diag);
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
                   *const item = place ? place : item_room(&m->lanes[number], room, diag);
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

/* Items that come block by block, of which one may lie in several. */
struct item_reader {
    struct tank *tank;
    struct tank_scan scan;
    const uint8_t *at, *end; /* of the block */
    uint8_t *carried;
    size_t used, room;
};

/* The size of the item at `at`, or 0 when its end is not there. */
static size_t whole_item(const uint8_t *at, size_t size)
{
    size_t need = 1;
    for (int cell = 0; cell < 2; cell++) {
        if (need + 1 > size)
            return 0;
        uint32_t n = at[need];
        size_t head = 1;
        if (n == 255) {
            if (need + 5 > size)
                return 0;
            memcpy(&n, at + need + 1, 4);
            head = 5;
        }
        need += head + n;
    }
    return need <= size ? need : 0;
}

/* `*size` is 0 at the end. The item lives until the next call. */
static enum err next_item(struct item_reader *r, const uint8_t **item, size_t *size, struct diag *diag)
{
    size_t carried = 0; /* of the item at hand, in r->carried */
    for (;;) {
        if (r->at < r->end && carried == 0 && (*size = whole_item(r->at, (size_t)(r->end - r->at))) != 0) {
            *item = r->at;
            r->at += *size;
            return OK;
        }
        /* Carry over as much as is there, byte runs that grow, until the item is whole. */
        size_t more = (size_t)(r->end - r->at);
        if (more) {
            if (carried + more > r->room) {
                uint8_t *grown = mem_grow(r->carried, 2 * (carried + more));
                if (!grown)
                    return mem_fail(diag, 2 * (carried + more), "a matched row");
                r->carried = grown;
                r->room = 2 * (carried + more);
            }
            memcpy(r->carried + carried, r->at, more);
            if ((*size = whole_item(r->carried, carried + more)) != 0) {
                r->at += *size - carried;
                *item = r->carried;
                return OK;
            }
            carried += more;
            r->at = r->end;
        }
        size_t block;
        enum err err = tank_scan_next(r->tank, &r->scan, &r->at, &block, diag);
        if (err != OK)
            return err;
        r->end = r->at + block;
        if (block == 0) {
            CHECK2(carried == 0, carried, r->scan.next);
            r->at = r->end = NULL;
            *size = 0;
            return OK;
        }
    }
}

static void reader_fini(struct item_reader *r)
{
    tank_scan_fini(&r->scan);
    mem_give(r->carried);
}

/* The rows that one lane was given, each to its range. */
static enum err spread_rows(struct match *m, uint32_t from, uint32_t number, struct diag *diag)
{
    struct item_reader reader = {.tank = m->rows, .scan = {.lane = from}};
    struct match_lane *lane = &m->lanes[number];
    const uint8_t *item;
    size_t size;
    enum err err = OK;
    while (err == OK && !stopped(m) && (err = next_item(&reader, &item, &size, diag)) == OK && size) {
        struct span key, body;
        lean_get_cell(lean_get_cell(item + 1, &key), &body);
        uint32_t range = cut_tree_find(&m->cut_tree, key), shared = m->shared[range];
        uint8_t *const copy = item_room(lane, size + 8, diag);
        if (!copy) {
            err = diag->err;
            break;
        }
        *copy = KIND_ROW;
        uint8_t *end = lean_put_cell(copy + 1, (struct span){key.data + shared, key.size - shared});
        end = lean_put_cell(end, body);
        err = tank_put(m->ranges_tank, number, range, copy, (size_t)(end - copy), diag);
    }
    reader_fini(&reader);
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
        err = leans_of(m, LOCAL, io, s->places, n, &s->list, diag);
        for (uint32_t k = 0; err == OK && k < n; k++)
            err = range_of(
                m, s, io,
                (struct span){(const char *)s->list.bytes + s->list.items[k].at, s->list.items[k].order_size},
                s->places[k], &s->ranges[k], diag);
        for (uint32_t k = 0; err == OK && k < n; k++) {
            if (k + AHEAD < n) { /* rows come in order of their own places, and go all over the tank */
                __builtin_prefetch(s->items[k + AHEAD]);
                __builtin_prefetch(s->items[k + AHEAD] + 63);
                tank_expect(m->ranges_tank, number, s->ranges[k + AHEAD]);
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
    while (err == OK && !stopped(m) && (work = atomic_fetch_add(&m->next[3], 1)) < slices + lanes) {
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

/* ---- stage 4: range by range into the file ---- */

/* A file's name as it stands in places, made a cell's beginning and end. */
struct place_name {
    uint64_t begin, size; /* places that lie in it; size 0: none yet */
    char *text;           /* up to and with the colon */
    size_t text_size;
    int quoted;
};

/* The key of a row at hand, whole again. */
struct row_key {
    uint8_t *bytes;
    size_t room, size;
    uint32_t of; /* 1 + the range whose shared bytes it begins with */
};

/* Where in its row print_pair put what differs from row to row. */
struct row_marks {
    uint32_t order_no, order_no_end, number, number_end, amounts, amounts_end;
};

/* Most rows differ from the one before them in the end of the order's number, the channel's number, the amount and the places. The
 * rest is kept as it was printed, and says which rows it is good for. */
enum { MOULD_FIRST = 64, MOULD_MIDDLE = 32, MOULD_LAST = 128, MOULD_CELLS = 64, MOULD_PAUSE_MAX = 255 };
struct mould {
    uint32_t range;     /* 1 + its number; 0: there is none */
    uint32_t tail_size; /* of keys, behind what the range shares */
    uint64_t fixed;     /* of a pair's head: what is not the row's own */
    uint32_t cells_size, first_size, second_size, third_size, last_size;
    uint8_t cells[MOULD_CELLS]; /* of an item, behind the channel's number */
    /* Before the tail, before the number, before the amounts, behind them. */
    char first[MOULD_FIRST], second[MOULD_MIDDLE], third[MOULD_MIDDLE], last[MOULD_LAST];
    uint32_t pause, wait; /* rows until the next one is made, where none was good for any */
};

struct ranging {
    struct tank_load load[2]; /* one is read while the other's rows are written */
    struct tank_load part;    /* of a range that is too large to be loaded */
    struct sort_entry *entries, *other;
    size_t entry_room;
    char *text; /* rows as they stand in the file */
    size_t text_used, text_room;
    char *hashed; /* the same without their places: what the digest holds of them */
    size_t hashed_used, hashed_room;
    uint32_t row_size; /* of the row printed last, without its places */
    struct {
        uint64_t at;
        uint32_t size;
    } late[LATE]; /* rows that are printed and not yet in `hashed` */
    struct stretch stretch;
    struct row_key key;
    struct row_marks marks; /* of the row that print_pair printed last */
    struct mould mould;
    struct place_name names[SIDES];
    uint16_t day; /* the last one printed */
    uint32_t day_size;
    char day_text[DAY_TEXT_MAX];
    struct arena arena;
};

static void ranging_fini(struct ranging *r)
{
    for (int i = 0; i < 2; i++)
        tank_load_fini(&r->load[i]);
    tank_load_fini(&r->part);
    mem_give(r->entries);
    mem_give(r->other);
    mem_give(r->text);
    mem_give(r->hashed);
    mem_give(r->key.bytes);
    for (int side = 0; side < SIDES; side++)
        mem_give(r->names[side].text);
    arena_fini(&r->arena);
}

static struct span item_key(const uint8_t *item)
{
    struct span key;
    lean_get_cell(item + 1, &key);
    return key;
}

static struct span item_body(const uint8_t *item)
{
    struct span key, body;
    lean_get_cell(lean_get_cell(item + 1, &key), &body);
    return body;
}

/* Of a pair. */
static uint64_t item_place(const uint8_t *item)
{
    struct pair_head head;
    get_pair_head((const uint8_t *)item_body(item).data, &head);
    return head.local_place;
}

static enum err grow_entries(struct ranging *r, size_t count, struct diag *diag)
{
    if (count <= r->entry_room)
        return OK;
    size_t room = count + count / 4 + 64;
    struct sort_entry *grown = mem_grow(r->entries, room * sizeof *grown);
    if (grown) {
        r->entries = grown;
        mem_give(r->other);
        r->other = mem_take(room * sizeof *r->other);
        if (r->other) {
            r->entry_room = room;
            return OK;
        }
    }
    r->entry_room = 0;
    return mem_fail(diag, 2 * room * sizeof *grown, "sorting matched rows");
}

static enum err grow_text(char **text, size_t used, size_t *room, size_t more, struct diag *diag)
{
    if (used + more <= *room)
        return OK;
    size_t want = (used + more) * 5 / 4 + 4096;
    char *grown = mem_grow(*text, want);
    if (!grown)
        return mem_fail(diag, want, "matched rows");
    *text = grown;
    *room = want;
    return OK;
}

/* The key of an item of a range, whole; in `to`. */
static enum err whole_key(struct match *m, struct row_key *to, uint32_t range, const uint8_t *item,
                          struct span *key, struct diag *diag)
{
    struct span tail = item_key(item);
    const uint32_t shared = m->shared[range];
    if (shared + tail.size + CELL_SLACK > to->room) {
        size_t room = 2 * (shared + tail.size) + 256;
        uint8_t *grown = mem_grow(to->bytes, room);
        if (!grown)
            return mem_fail(diag, room, "a matched row");
        to->bytes = grown;
        to->room = room;
        to->of = 0;
    }
    if (to->of != range + 1) {
        to->of = range + 1;
        if (shared)
            memcpy(to->bytes, m->cuts[range].data, shared);
    }
    short_copy(to->bytes + shared, tail.data, tail.size);
    to->size = shared + tail.size;
    *key = (struct span){(const char *)to->bytes, to->size};
    return OK;
}

/* ---- ties ---- */

struct tied {
    struct span key;
    const uint8_t *item;
};

static int by_full_key(const void *a, const void *b)
{
    return span_compare(((const struct tied *)a)->key, ((const struct tied *)b)->key);
}

/* Keys of pairs end behind K1. Where one is the start of its neighbour's, the rest decides. Two pairs never have
 * the same K1, so this is for keys that are equal by their fields' texts and yet are not. */
static enum err untie(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range, size_t count,
                      struct diag *diag)
{
    enum err err = OK;
    for (size_t i = 0, next; err == OK && i + 1 < count; i = next) {
        next = i + 1;
        struct span start = item_key(r->entries[i].item);
        if (*r->entries[i].item != KIND_PAIR || !begins_with(item_key(r->entries[next].item), start))
            continue;
        while (next < count && begins_with(item_key(r->entries[next].item), start))
            next++;
        arena_reset(&r->arena);
        struct tied *tied = mem_take((next - i) * sizeof *tied);
        if (!tied)
            return mem_fail(diag, (next - i) * sizeof *tied, "sorting matched rows");
        for (size_t k = i; err == OK && k < next; k++) {
            struct tied *t = &tied[k - i];
            t->item = r->entries[k].item;
            if (*t->item == KIND_PAIR) {
                err = full_key(m, &r->arena, io, item_place(t->item), &t->key, diag);
            } else if ((err = whole_key(m, &r->key, range, t->item, &t->key, diag)) == OK) {
                t->key = arena_copy(&r->arena, t->key);
                if (!t->key.data)
                    err = mem_fail(diag, 0, "a matched row");
            }
        }
        if (err == OK) {
            qsort(tied, next - i, sizeof *tied, by_full_key);
            for (size_t k = i; k < next; k++)
                r->entries[k].item = tied[k - i].item;
        }
        mem_give(tied);
    }
    return err;
}

/* ---- printing ---- */

static inline char *put_digits(char *at, uint64_t digits)
{
    digits |= 0x3030303030303030;
    for (unsigned i = 0; i < 8; i++)
        at[i] = (char)(digits >> (8 * i));
    return at + 8;
}

/* How many of a number's eight digits are zeros in front. Its last digit stays, if it is a zero. */
static inline unsigned zeros_before(uint64_t digits)
{
    return (unsigned)__builtin_ctzll(digits | (uint64_t)1 << 56) / 8;
}

/* May write eight bytes behind the number. */
static inline char *put_number(char *at, uint64_t value)
{
    enum { BASE = 100000000 };
    if (__builtin_expect(value >= (uint64_t)BASE * BASE, 0)) {
        at = put_number(at, value / ((uint64_t)BASE * BASE));
        at = put_digits(at, EIGHT_DIGITS(value / BASE % BASE));
        return put_digits(at, EIGHT_DIGITS(value % BASE));
    }
    const uint64_t high = value / BASE, low = value % BASE, digits = EIGHT_DIGITS(high ? high : low);
    const unsigned zeros = zeros_before(digits);
    put_digits(at, digits >> (8 * zeros));
    at += 8 - zeros;
    return high ? put_digits(at, EIGHT_DIGITS(low)) : at;
}

/* Makes names[side] that of the file in which a place lies. */
static enum err know_name(struct match *m, struct ranging *r, enum side side, uint64_t place,
                          struct diag *diag)
{
    struct place_name *name = &r->names[side];
    if (name->size && place - name->begin < name->size)
        return OK;
    const struct source *source = m->config.sources[side];
    struct span shown = span_of(source->ops->place_file(source, place, &name->begin, &name->size));
    char *grown = mem_grow(name->text, CELL_ROOM(shown.size) + 2 + NAME_SHORT);
    if (!grown) {
        name->size = 0;
        return mem_fail(diag, CELL_ROOM(shown.size), "a file's name");
    }
    name->text = grown;
    name->quoted = cell_wants_quotes(shown);
    char *at = cell_write(grown, shown, 0);
    at -= name->quoted; /* the closing quote comes behind the place */
    *at++ = ':';
    name->text_size = (size_t)(at - grown);
    return OK;
}

/* A place that its source prints itself. */
static enum err put_odd_place(struct match *m, struct ranging *r, struct worker_io *io, enum side side,
                              uint64_t place, struct diag *diag)
{
    struct source *source = m->config.sources[side];
    char text[4400];
    struct full row = {.place = place, .side = (uint8_t)side};
    size_t n = source->ops->place_text(source, io, &row, text, sizeof text);
    if (n == 0)
        return diag_set_errno(diag, errno, "read", "%s: cannot count its lines", text);
    enum err err = grow_text(&r->text, r->text_used, &r->text_room, 1 + CELL_ROOM(n), diag);
    if (err != OK)
        return err;
    char *at = r->text + r->text_used;
    *at++ = ',';
    at = cell_write(at, (struct span){text, n}, 0);
    r->text_used = (size_t)(at - r->text);
    return OK;
}

static inline char *put_place(char *at, const struct place_name *name, uint64_t place, uint64_t line)
{
    *at++ = ',';
    if (__builtin_expect(name->text_size <= NAME_SHORT, 1)) /* of a size that the compiler knows */
        memcpy(at, name->text, NAME_SHORT);
    else
        memcpy(at, name->text, name->text_size);
    at = put_number(at + name->text_size, line);
    *at++ = '@';
    at = put_number(at, place - name->begin);
    if (name->quoted)
        *at++ = '"';
    return at;
}

static char *put_text(char *at, const char *word)
{
    while (*word)
        *at++ = *word++;
    return at;
}

/* An amount, mostly of two decimals and not large. */
static char *put_money(char *at, int64_t micro, int exponent)
{
    if (__builtin_expect(exponent == 2 && micro % 10000 == 0 && micro > -1000000000000000, 1)) {
        uint64_t minor = (uint64_t)(micro < 0 ? -micro : micro) / 10000;
        if (micro < 0)
            *at++ = '-';
        at = put_number(at, minor / 100);
        *at++ = '.';
        *at++ = (char)('0' + minor % 100 / 10);
        *at++ = (char)('0' + minor % 10);
        return at;
    }
    return at + money_print(at, micro, exponent);
}

static char *put_day(char *at, struct ranging *r, uint16_t day)
{
    if (__builtin_expect(day != r->day, 0)) {
        r->day_size = (uint32_t)day_print(r->day_text, day);
        r->day = day;
    }
    short_copy((uint8_t *)at, r->day_text, r->day_size);
    return at + r->day_size;
}

/* The first CELL_SLACK bytes of a text, which may be read. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));
struct cell_bytes {
    bytes16 low, high;
};

static inline struct cell_bytes cell_load(const void *text)
{
    struct cell_bytes b;
    memcpy(&b.low, text, 16);
    memcpy(&b.high, (const char *)text + 16, 16);
    return b;
}

static inline void cell_store(char *at, struct cell_bytes b)
{
    memcpy(at, &b.low, 16);
    memcpy(at + 16, &b.high, 16);
}

/* 1 when none of the first `size` bytes wants quotes: nearly no cell has any that does. */
static inline int cell_is_plain(struct cell_bytes b, size_t size)
{
    static const uint8_t masks[2 * CELL_SLACK] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                                                  255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                                                  255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    const struct cell_bytes mask = cell_load(masks + CELL_SLACK - size);
    bytes16 odd = (bytes16)((b.low == ',') | (b.low == '"') | (b.low == '\n') | (b.low == '\r')) & mask.low;
    odd |= (bytes16)((b.high == ',') | (b.high == '"') | (b.high == '\n') | (b.high == '\r')) & mask.high;
    uint64_t half[2];
    memcpy(half, &odd, 16);
    return (half[0] | half[1]) == 0;
}

/* A cell whose text has CELL_SLACK bytes behind its beginning that may be read, as the place has that may be written. */
static inline char *put_cell(char *at, struct span text)
{
    if (__builtin_expect(text.size > CELL_SLACK, 0))
        return cell_write(at, text, 0);
    const struct cell_bytes bytes = cell_load(text.data);
    if (__builtin_expect(
            !cell_is_plain(bytes, text.size) || formula_may_begin(text.size ? text.data[0] : ' '), 0))
        return cell_write(at, text, 0);
    cell_store(at, bytes);
    return at + text.size;
}

/* A pair's row as put_two_sided (results.c) prints it, for an exact match under the first key. */
static enum err print_pair(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                           const uint8_t *item, struct diag *diag)
{
    const struct match_plan *plan = &m->plan;
    const struct job *job = m->config.job;
    const struct span body = item_body(item);
    struct span fields[FIELD_SLOTS], key = {NULL, 0};
    struct pair_head head;
    get_pair_head((const uint8_t *)body.data, &head);
    const uint64_t places[SIDES] = {[LOCAL] = head.local_place, [CHANNEL] = head.channel_place},
                   lines[SIDES] = {[LOCAL] = head.local_line, [CHANNEL] = head.channel_line};
    enum err err = whole_key(m, &r->key, range, item, &key, diag);
    size_t room = 4 * (key.size + body.size) + 64 * (size_t)(job->match.compare_count + 18);
    for (int side = 0; err == OK && side < SIDES; side++)
        if (m->config.sources[side]->ops->place_file && lines[side]) {
            err = know_name(m, r, (enum side)side, places[side], diag);
            room += r->names[side].text_size + 64 + NAME_SHORT;
        }
    if (err == OK)
        err = grow_text(&r->text, r->text_used, &r->text_room, room, diag);
    if (err != OK)
        return err;
    const uint8_t *cells = (const uint8_t *)body.data + PAIR_HEAD,
                  *at_field = order_skip_head((const uint8_t *)key.data);
    for (unsigned i = 0; i < plan->side[LOCAL].order_count; i++)
        at_field = order_get_field(at_field, &fields[i]);
    const uint16_t local_day = (uint16_t)((uint8_t)key.data[0] << 8 | (uint8_t)key.data[1]),
                   channel_day = head.channel_day;
    const int exponent = currency_exponent(head.currency);
    static const unsigned shown[] = {FIELD_CHANNEL_CODE, FIELD_BIZ_ORDER_NO, FIELD_CHANNEL_ORDER_NO};
    char *const begin = r->text + r->text_used, *at = begin;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        struct span text;
        cells = lean_get_cell(cells, &text);
        if (text.size == 0 && plan->order_at[shown[i]] >= 0)
            text = fields[plan->order_at[shown[i]]];
        uint32_t *const mark = shown[i] == FIELD_BIZ_ORDER_NO       ? &r->marks.order_no
                               : shown[i] == FIELD_CHANNEL_ORDER_NO ? &r->marks.number
                                                                    : NULL;
        if (mark)
            mark[0] = (uint32_t)(at - begin);
        at = put_cell(at, text);
        if (mark)
            mark[1] = (uint32_t)(at - begin);
        *at++ = ',';
    }
    const int cut = local_day && channel_day && local_day != channel_day;
    if (!cut)
        at = put_text(at, reason_name(REASON_EXACT));
    if (head.flags & FLAG_DATE_DISAGREES) {
        if (!cut)
            *at++ = ';';
        at = put_text(at, reason_name(REASON_DATE_DISAGREES));
        if (cut)
            *at++ = ';';
    }
    if (cut)
        at = put_text(at, reason_name(REASON_DAY_CUT));
    *at++ = ',';
    r->marks.amounts = (uint32_t)(at - begin);
    for (int side = 0; side < SIDES; side++) {
        at = put_money(at, head.amount, exponent);
        *at++ = ',';
    }
    r->marks.amounts_end = (uint32_t)(at - begin);
    if (__builtin_expect(exponent == 2, 1))
        at = put_text(at, "0.00");
    else
        at = put_money(at, 0, exponent);
    at = put_text(at, ",1");
    for (int i = 0; i < job->match.compare_count; i++) {
        unsigned field = job->match.compare[i];
        struct span text;
        if (plan->order_at[field] >= 0)
            text = fields[plan->order_at[field]];
        else
            cells = lean_get_cell(cells, &text);
        for (int side = 0; side < SIDES; side++) {
            *at++ = ',';
            at = field == FIELD_FEE ? cell_write(at, text, 1) : put_cell(at, text);
        }
    }
    *at++ = ',';
    at = put_text(at, currency_code(head.currency));
    *at++ = ',';
    at = put_day(at, r, local_day);
    *at++ = ',';
    at = put_day(at, r, channel_day);
    r->row_size = (uint32_t)(at - begin);
    for (int side = 0; side < SIDES; side++) {
        if (__builtin_expect(m->config.sources[side]->ops->place_file && lines[side], 1)) {
            at = put_place(at, &r->names[side], places[side], lines[side]);
            continue;
        }
        r->text_used = (size_t)(at - r->text);
        err = put_odd_place(m, r, io, (enum side)side, places[side], diag);
        if (err == OK)
            err = grow_text(&r->text, r->text_used, &r->text_room, room, diag);
        if (err != OK)
            return err;
        at = r->text + r->text_used;
    }
    *at++ = '\n';
    r->text_used = (size_t)(at - r->text);
    return OK;
}

/* Takes a piece of a row into a mould. */
static int take_piece(char *to, uint32_t room, uint32_t *size, const char *begin, const char *end)
{
    *size = (uint32_t)(end - begin);
    if (begin > end || *size > room)
        return 0;
    memcpy(to, begin, *size);
    return 1;
}

/* Makes a mould of the row that was printed last, if rows like it may follow: its key ends in the order's number, in which what the
 * range's keys share ends too, and the other cells are the item's own. */
static void make_mould(const struct match *m, struct ranging *r, uint32_t range, const uint8_t *item,
                       const char *row)
{
    struct mould *const d = &r->mould;
    const struct match_plan *plan = &m->plan;
    const struct row_marks *marks = &r->marks;
    const int last = (int)plan->side[LOCAL].order_count - 1;
    d->range = 0;
    if (d->wait) {
        d->wait--;
        return;
    }
    d->wait = d->pause;
    d->pause = 2 * d->pause + 1 < MOULD_PAUSE_MAX ? 2 * d->pause + 1 : MOULD_PAUSE_MAX;
    if (last < 0 || plan->order_at[FIELD_BIZ_ORDER_NO] != last || plan->order_at[FIELD_CHANNEL_ORDER_NO] >= 0)
        return;
    for (int i = 0; i < m->config.job->match.compare_count; i++)
        if (plan->order_at[m->config.job->match.compare[i]] == last)
            return;
    const uint32_t shared = m->shared[range], tail = (uint32_t)r->key.size - shared;
    struct span text;
    const uint8_t *at = order_skip_head(r->key.bytes);
    for (int i = 0; i <= last; i++)
        at = order_get_field(at, &text);
    /* The tail has no part in how the number begins, and stands in the row as it is. */
    if (tail > CELL_SLACK || tail >= text.size || at != r->key.bytes + r->key.size ||
        marks->order_no_end - marks->order_no != text.size || formula_may_begin(text.data[0]))
        return;
    const struct span body = item_body(item);
    struct pair_head head;
    get_pair_head((const uint8_t *)body.data, &head);
    const uint8_t *const cells = (const uint8_t *)body.data + PAIR_HEAD, *const end =
                                                                             (const uint8_t *)body.data +
                                                                             body.size;
    struct span number;
    if (cells[0] || cells[1])
        return;
    const uint8_t *const rest = lean_get_cell(cells + 2, &number);
    if (number.size > CELL_SLACK || marks->number_end - marks->number != number.size ||
        currency_exponent(head.currency) != 2 || end - rest > MOULD_CELLS)
        return;
    for (int side = 0; side < SIDES; side++)
        if (!r->names[side].size || r->names[side].quoted || r->names[side].text_size > NAME_SHORT)
            return;
    d->tail_size = tail;
    d->fixed = head_fixed((const uint8_t *)body.data);
    d->cells_size = (uint32_t)(end - rest);
    memcpy(d->cells, rest, d->cells_size);
    if (take_piece(d->first, MOULD_FIRST, &d->first_size, row, row + marks->order_no_end - tail) &&
        take_piece(d->second, MOULD_MIDDLE, &d->second_size, row + marks->order_no_end,
                   row + marks->number) &&
        take_piece(d->third, MOULD_MIDDLE, &d->third_size, row + marks->number_end, row + marks->amounts) &&
        take_piece(d->last, MOULD_LAST, &d->last_size, row + marks->amounts_end, row + r->row_size))
        d->range = range + 1;
}

/* Pieces of a mould have their whole room to be read. */
static inline char *put_piece(char *at, const char *piece, uint32_t size, size_t step)
{
    for (uint32_t k = 0; k < size; k += (uint32_t)step)
        memcpy(at + k, piece + k, step);
    return at + size;
}

/* Prints a pair's row from the mould, if that is good for it. `r->text` has room. */
static inline int cast_pair(const struct mould *d, struct ranging *r, const uint8_t *item)
{
    enum { WHOLE_MAX = 100000000, UNIT = 1000000 };
    const uint8_t *const tail = item + 2, *const body = tail + d->tail_size, *const head = body + 1,
                         *const cells = head + PAIR_HEAD;
    if (*item != KIND_PAIR || item[1] != d->tail_size)
        return 0;
    const uint32_t number_size = cells[2];
    if (cells[0] | cells[1] | (number_size > CELL_SLACK) ||
        body[0] != PAIR_HEAD + 3 + number_size + d->cells_size || head_fixed(head) != d->fixed ||
        !short_equal(cells + 3 + number_size, d->cells, d->cells_size))
        return 0;
    struct pair_head h;
    get_pair_head(head, &h);
    const struct cell_bytes tail_bytes = cell_load(tail), number = cell_load(cells + 3);
    const uint64_t amount = h.amount < 0 ? 0 - (uint64_t)h.amount : (uint64_t)h.amount, whole = amount / UNIT,
                   part = amount % UNIT / 10000;
    const uint64_t local_at = h.local_place - r->names[LOCAL].begin,
                   channel_at = h.channel_place - r->names[CHANNEL].begin;
    if (__builtin_expect(!cell_is_plain(tail_bytes, d->tail_size) || !cell_is_plain(number, number_size) ||
                             formula_may_begin(number_size ? (char)cells[3] : ' ') || amount % 10000 ||
                             whole >= WHOLE_MAX || !h.local_line || !h.channel_line ||
                             local_at >= r->names[LOCAL].size || channel_at >= r->names[CHANNEL].size,
                         0))
        return 0;
    char *const begin = r->text + r->text_used;
    char *at = put_piece(begin, d->first, d->first_size, CELL_SLACK);
    cell_store(at, tail_bytes);
    at = put_piece(at + d->tail_size, d->second, d->second_size, 16);
    cell_store(at, number);
    at = put_piece(at + number_size, d->third, d->third_size, 16);
    /* The amount twice, from registers. */
    const uint64_t digits = EIGHT_DIGITS(whole);
    const unsigned zeros = zeros_before(digits);
    const char cents[4] = {'.', (char)('0' + part / 10), (char)('0' + part % 10), ','};
    for (int side = 0; side < SIDES; side++) {
        *at = '-';
        at += h.amount < 0;
        put_digits(at, digits >> (8 * zeros));
        memcpy(at + 8 - zeros, cents, sizeof cents);
        at += 8 - zeros + sizeof cents;
    }
    at = put_piece(at, d->last, d->last_size, CELL_SLACK);
    r->row_size = (uint32_t)(at - begin);
    at = put_place(at, &r->names[LOCAL], h.local_place, h.local_line);
    at = put_place(at, &r->names[CHANNEL], h.channel_place, h.channel_line);
    *at++ = '\n';
    r->text_used = (size_t)(at - r->text);
    return 1;
}

/* A row of an item that is a pair. */
static enum err put_pair_row(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                             const uint8_t *item, struct diag *diag)
{
    enum { ROOM = MOULD_FIRST + 2 * MOULD_MIDDLE + MOULD_LAST + 2 * NAME_SHORT + 512 };
    if (__builtin_expect(r->mould.range == range + 1, 1)) {
        const enum err err = grow_text(&r->text, r->text_used, &r->text_room, ROOM, diag);
        if (err != OK)
            return err;
        if (__builtin_expect(cast_pair(&r->mould, r, item), 1)) {
            r->mould.pause = r->mould.wait = 0;
            return OK;
        }
    }
    const size_t begin = r->text_used;
    const enum err err = print_pair(m, r, io, range, item, diag);
    if (err == OK)
        make_mould(m, r, range, item, r->text + begin);
    return err;
}

static enum err print_row(struct ranging *r, const uint8_t *item, struct diag *diag)
{
    struct span body = item_body(item), row, places;
    lean_get_cell(lean_get_cell((const uint8_t *)body.data, &row), &places);
    enum err err =
        grow_text(&r->text, r->text_used, &r->text_room, row.size + places.size + 1 + CELL_SLACK, diag);
    if (err != OK)
        return err;
    r->row_size = (uint32_t)row.size;
    char *at = r->text + r->text_used;
    memcpy(at, row.data, row.size);
    memcpy(at + row.size, places.data, places.size);
    at[row.size + places.size] = '\n';
    r->text_used += row.size + places.size + 1;
    return OK;
}

/* What the digest holds of rows that are printed. Some rows later: what is copied while it is still on its way into the cache
 * holds everything up. */
static enum err hash_late(struct ranging *r, unsigned count, struct diag *diag)
{
    size_t size = CELL_SLACK;
    for (unsigned i = 0; i < count; i++)
        size += r->late[i].size + 1;
    enum err err = grow_text(&r->hashed, r->hashed_used, &r->hashed_room, size, diag);
    if (err != OK)
        return err;
    char *at = r->hashed + r->hashed_used;
    for (unsigned i = 0; i < count; i++) {
        const char *from = r->text + r->late[i].at;
        for (size_t k = 0; k < r->late[i].size; k += CELL_SLACK) /* text has as much behind it */
            memcpy(at + k, from + k, CELL_SLACK);
        at += r->late[i].size;
        *at++ = '\n';
    }
    r->hashed_used = (size_t)(at - r->hashed);
    return OK;
}

/* Sorts `count` entries and prints their rows. */
static enum err sort_and_print(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                               size_t count, struct diag *diag)
{
    key_sort(r->entries, r->other, count, item_key);
    enum err err = untie(m, r, io, range, count, diag);
    r->text_used = r->hashed_used = 0;
    unsigned late = 0;
    for (size_t i = 0; err == OK && i < count; i++) {
        if (i + AHEAD < count) {
            __builtin_prefetch(r->entries[i + AHEAD].item);
            __builtin_prefetch(r->entries[i + AHEAD].item + 64);
        }
        const uint8_t *item = r->entries[i].item;
        const uint64_t at = r->text_used;
        err = *item == KIND_PAIR ? put_pair_row(m, r, io, range, item, diag) : print_row(r, item, diag);
        r->late[late].at = at;
        r->late[late++].size = r->row_size;
        if (err == OK && (late == LATE || i + 1 == count)) {
            err = hash_late(r, late, diag);
            late = 0;
        }
    }
    return err;
}

/* Waits until the ranges before this one had theirs. */
static enum err take_turn(struct match *m, enum turn turn, uint32_t range)
{
    pthread_mutex_lock(&m->lock);
    while (m->turns[turn] != range && !stopped(m)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1; /* an interrupt wakes nobody */
        pthread_cond_timedwait(&m->turn_is_over, &m->lock, &until);
    }
    int mine = m->turns[turn] == range && !stopped(m);
    pthread_mutex_unlock(&m->lock);
    return mine ? OK : ERR_INTERRUPTED;
}

static void end_turn(struct match *m, enum turn turn)
{
    pthread_mutex_lock(&m->lock);
    m->turns[turn]++;
    pthread_cond_broadcast(&m->turn_is_over);
    pthread_mutex_unlock(&m->lock);
}

/* The printed rows into file and digest. Only which bytes of the file are whose, and the digest, go in turn; `*over` says that it
 * was not this worker's turn any more. */
static enum err write_rows(struct match *m, struct ranging *r, uint32_t number, uint32_t range, int *over,
                           struct diag *diag)
{
    *over = take_turn(m, TURN_PLACE, range) != OK;
    if (*over)
        return OK;
    stretch_claim(m->file, &r->stretch, r->text, r->text_used);
    end_turn(m, TURN_PLACE);
    enum err err = stretch_write(m->file, number, &r->stretch, r->text, diag);
    *over = err == OK && take_turn(m, TURN_DIGEST, range) != OK;
    if (err != OK || *over)
        return err;
    digest_put(m->digest, r->hashed, r->hashed_used);
    end_turn(m, TURN_DIGEST);
    return OK;
}

/* Sorts and prints what was loaded. */
static enum err print_load(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                           const struct tank_load *load, struct diag *diag)
{
    size_t count = 0;
    for (uint32_t i = 0; i < load->piece_count; i++) {
        const uint8_t *at = load->pieces[i].bytes, *end = at + load->pieces[i].size;
        while (at < end) {
            struct span body;
            if (count == r->entry_room && grow_entries(r, count + 1024, diag) != OK)
                return diag->err;
            r->entries[count++].item = at;
            at = lean_get_cell(at + 1, &body);
            at = lean_get_cell(at, &body);
        }
    }
    return sort_and_print(m, r, io, range, count, diag);
}

/* Cuts a range by a sample of all its keys, as ≺ is cut into ranges, without the bytes that they share. The cuts lie in the
 * sample. */
static enum err cut_range(struct match *m, struct ranging *r, uint32_t range, struct sample *sample,
                          struct span **cuts, uint32_t *count, struct diag *diag)
{
    const uint32_t shared = m->shared[range];
    enum err err = OK;
    for (uint32_t lane = 0; err == OK && lane < m->config.lanes; lane++) {
        struct item_reader reader = {.tank = m->ranges_tank, .scan = {.lane = lane, .partition = range}};
        const uint8_t *item;
        size_t size;
        while (err == OK && (err = next_item(&reader, &item, &size, diag)) == OK && size) {
            struct span key;
            err = whole_key(m, &r->key, range, item, &key, diag);
            if (err == OK && !keep_sample(sample, hash_bytes(item, size, 2), 0, key))
                err = mem_fail(diag, key.size, "sorting matched rows");
        }
        reader_fini(&reader);
    }
    uint64_t parts = 2 * tank_size(m->ranges_tank, range) / m->range_bytes_max + 1;
    parts = parts < sample->count ? parts : sample->count ? sample->count : 1;
    parts = parts < RANGE_PARTS_MAX ? parts : PARTS_MAX;
    struct span *keys = *cuts = mem_take((sample->count + 1) * sizeof *keys),
                last = range ? m->cuts[range - 1] : (struct span){NULL, 0};
    if (err != OK || !keys)
        return err != OK ? err : mem_fail(diag, sample->count * sizeof *keys, "sorting matched rows");
    for (uint32_t i = 0; i < sample->count; i++)
        keys[i] = (struct span){sample->items[i].key, sample->items[i].key_size};
    qsort(keys, sample->count, sizeof *keys, by_text);
    *count = 0;
    for (uint64_t i = 1; i < parts; i++) {
        struct span cut = next_cut(m, last, keys[i * sample->count / parts]);
        if (cut.size == 0)
            continue;
        last = cut;
        keys[(*count)++] = (struct span){cut.data + shared, cut.size - shared};
    }
    return OK;
}

/* The items of a range, each to its part. */
static enum err spread_range(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                             const struct cut_tree *cuts, struct tank *parts, struct diag *diag)
{
    const uint32_t shared = m->shared[range];
    enum err err = OK;
    for (uint32_t lane = 0; err == OK && lane < m->config.lanes; lane++) {
        struct item_reader reader = {.tank = m->ranges_tank, .scan = {.lane = lane, .partition = range}};
        const uint8_t *item;
        size_t size;
        while (err == OK && !stopped(m) && (err = next_item(&reader, &item, &size, diag)) == OK && size) {
            struct span key = item_key(item);
            uint32_t part = cut_tree_find(cuts, key);
            if (*item == KIND_PAIR && part < cuts->cut_count && cut_within(key, cuts->cuts[part])) {
                arena_reset(&r->arena);
                if ((err = full_key(m, &r->arena, io, item_place(item), &key, diag)) != OK)
                    break;
                part = cut_tree_find(cuts, (struct span){key.data + shared, key.size - shared});
            }
            err = tank_put(parts, 0, part, item, size, diag);
        }
        reader_fini(&reader);
    }
    return err == OK ? tank_end(parts, 0, diag) : err;
}

/* A range that is too large to be loaded goes by parts, which go through a tank of their own. */
static enum err write_by_parts(struct match *m, struct ranging *r, struct worker_io *io, uint32_t number,
                               uint32_t range, struct diag *diag)
{
    const size_t share = m->config.memory / m->config.lanes;
    struct sample sample = {0};
    struct span *cuts = NULL;
    struct cut_tree tree = {0};
    struct tank *parts = NULL;
    uint32_t count = 0;
    enum err err = cut_range(m, r, range, &sample, &cuts, &count, diag);
    if (err == OK && !cut_tree_make(&tree, cuts, count))
        err = mem_fail(diag, count * sizeof *cuts, "sorting matched rows");
    const struct tank_config config = {.directory = m->config.directory,
                                       .lanes = 1,
                                       .partitions = count + 1,
                                       .expected = tank_size(m->ranges_tank, range),
                                       .memory = share / 4,
                                       .backend = m->config.backend};
    if (err == OK)
        err = tank_open(&parts, &config, diag);
    if (err == OK)
        err = spread_range(m, r, io, range, &tree, parts, diag);
    for (uint32_t part = 0; err == OK && part <= count && !stopped(m); part++) {
        err = tank_load(parts, part, &r->part, diag);
        const enum err waited = tank_wait(parts, &r->part, diag);
        if (err != OK || (err = waited) != OK || (err = print_load(m, r, io, range, &r->part, diag)) != OK)
            break;
        stretch_claim(m->file, &r->stretch, r->text, r->text_used);
        err = stretch_write(m->file, number, &r->stretch, r->text, diag);
        digest_put(m->digest, r->hashed, r->hashed_used);
    }
    drop(m, &parts);
    cut_tree_fini(&tree);
    forget_sample(&sample);
    mem_give(cuts);
    return err;
}

static int fits(const struct match *m, uint32_t range)
{
    return tank_size(m->ranges_tank, range) <= m->range_bytes_max;
}

static enum err write_ranges(struct match *m, struct worker_io *io, uint32_t number, struct diag *diag)
{
    struct ranging *r = mem_take_zero(1, sizeof *r);
    if (!r)
        return mem_fail(diag, sizeof *r, "matched rows");
    arena_init(&r->arena);
    enum err err = OK;
    uint32_t range = atomic_fetch_add(&m->next[4], 1), turn = 0;
    if (range < m->range_count && fits(m, range))
        err = tank_load(m->ranges_tank, range, &r->load[0], diag);
    while (err == OK && range < m->range_count && !stopped(m)) {
        const uint32_t next = atomic_fetch_add(&m->next[4], 1);
        struct tank_load *load = &r->load[turn];
        turn ^= 1;
        err = tank_wait(m->ranges_tank, load, diag);
        if (err == OK && next < m->range_count && fits(m, next))
            err = tank_load(m->ranges_tank, next, &r->load[turn], diag);
        if (err != OK)
            break;
        if (fits(m, range))
            err = print_load(m, r, io, range, load, diag);
        int over = 0;
        if (err == OK && fits(m, range)) {
            err = write_rows(m, r, number, range, &over, diag);
        } else if (err == OK) {
            over = take_turn(m, TURN_PLACE, range) != OK || take_turn(m, TURN_DIGEST, range) != OK;
            if (!over)
                err = write_by_parts(m, r, io, number, range, diag);
            if (!over && err == OK) {
                end_turn(m, TURN_PLACE);
                end_turn(m, TURN_DIGEST);
            }
        }
        if (over)
            break;
        range = next;
    }
    ranging_fini(r);
    mem_give(r);
    return err == OK ? stretch_wait(m->file, number, diag) : err;
}

/* ---- the stages ---- */

static enum err begin_file(struct match *m, struct diag *diag)
{
    enum { BLOCKS = 16, BLOCK_MIN = 16 << 10, BLOCK_MAX = 512 << 10 };
    struct stretch_config config = {.directory = m->config.directory,
                                    .name = "match.csv",
                                    .lanes = m->config.lanes,
                                    .blocks = BLOCKS,
                                    .block = BLOCK_MIN,
                                    .backend = m->config.backend};
    /* As much as a range's rows take, so that they are on their way while the next ones are printed. */
    while (config.block < BLOCK_MAX && 16 * BLOCKS * config.block <= m->config.memory / m->config.lanes)
        config.block *= 2;
    enum err err = stretch_open(&m->file, &config, diag);
    m->digest = digest_open();
    if (err == OK && !m->digest)
        err = mem_fail(diag, 0, "match.csv");
    if (err != OK)
        return err;
    m->began = 1;
    const size_t head = strlen(m->config.head), places = strlen(m->config.place_head);
    digest_begin(m->digest);
    digest_put(m->digest, m->config.head, head);
    digest_put(m->digest, "\n", 1);
    char *line = mem_take(head + places + 1);
    if (!line)
        return mem_fail(diag, head + places + 1, "match.csv");
    memcpy(line, m->config.head, head);
    memcpy(line + head, m->config.place_head, places);
    line[head + places] = '\n';
    struct stretch stretch;
    stretch_claim(m->file, &stretch, line, head + places + 1);
    err = stretch_write(m->file, 0, &stretch, line, diag);
    mem_give(line);
    return err;
}

static enum err do_stage(struct match *m, unsigned stage, struct worker_io *io, uint32_t number,
                         struct slicing *s, struct diag *diag)
{
    enum err err = OK;
    switch (stage) {
    case 0: /* what is still on its way into the first tanks */
        if (number < m->config.lanes && m->pairs)
            err = tank_end(m->pairs, number, diag);
        if (err == OK && m->rows)
            err = tank_end(m->rows, number, diag);
        return err;
    case 1:
        if (number)
            return OK;
        err = make_ranges(m, io, diag);
        forget_samples(m);
        return err == OK ? begin_file(m, diag) : err;
    case 2:
        return m->channel ? gather_channel(m, number, io, s, diag) : OK;
    case 3:
        return spread(m, number, io, s, diag);
    case 4:
        if (number == 0) {
            drop(m, &m->pairs);
            drop(m, &m->channel);
            drop(m, &m->rows);
        }
        return write_ranges(m, io, number, diag);
    default: /* what waits for the disk, beside what gives the ranges' room on it back */
        if (number == 0 && (err = stretch_end(m->file, diag)) == OK)
            m->ended = 1;
        if (number + 1 == m->config.lanes)
            drop(m, &m->ranges_tank);
        return err;
    }
}

enum err match_stage(struct match *m, unsigned stage, uint32_t lane, struct worker_io *io, struct diag *diag)
{
    struct slicing *s = NULL;
    if (stopped(m))
        return OK;
    if (stage == 2 || stage == 3) {
        s = mem_take_zero(1, sizeof *s);
        if (!s) {
            match_stop(m);
            return mem_fail(diag, sizeof *s, "matched rows");
        }
        arena_init(&s->arena);
    }
    enum err err = do_stage(m, stage, io, lane, s, diag);
    if (s)
        slicing_fini(s);
    if (err != OK)
        match_stop(m);
    return err;
}

enum err match_finish(struct match *m, char digest[DIGEST_TEXT], struct diag *diag)
{
    CHECK(m->began);
    const enum err err = m->ended ? OK : stretch_end(m->file, diag);
    if (err == OK)
        digest_end(m->digest, digest);
    return err;
}
