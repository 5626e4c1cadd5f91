/* io/sink/match_cut.c: samples of keys, and the cuts between ranges. See match_inner.h. */
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "io/sink/match_inner.h"
#include <stdlib.h>

enum {
    SAMPLED_AT_ONCE = 64,   /* rows that a source is asked for */
    SAMPLE_BYTES = 1 << 19, /* of one lane's keys: what so many usual ones take, so long keys are fewer */
    RANGE_BYTES_MAX =
        512 << 10, /* of a range of keys: what is sorted at a time, and its rows fit the second cache */
    RANGE_BYTES_MIN = 16 << 10,
    RANGES_MAX = 1 << 14
};

void match_forget_sample(struct sample *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        mem_give(s->items[i].key);
    mem_give(s->items);
    *s = (struct sample){0};
}

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

int match_keep_sample(struct sample *s, uint64_t hash, uint64_t place, struct span key)
{
    return keep_sample_of(s, 1, hash, place, key);
}

int match_by_word(const void *a, const void *b)
{
    const struct sort_entry *x = a, *y = b;
    return (x->word > y->word) - (x->word < y->word);
}

int match_by_text(const void *a, const void *b)
{
    return span_compare(*(const struct span *)a, *(const struct span *)b);
}

enum err match_leans(struct match *m, enum side side, struct worker_io *io, const uint64_t *places,
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

/* The start of a key up to where keys of pairs end. */
static struct span range_key(const struct match *m, struct span key)
{
    const uint8_t *at = order_skip_head((const uint8_t *)key.data);
    struct span text;
    for (unsigned i = 0; i < m->plan.side[LOCAL].order_count; i++)
        at = order_get_field(at, &text);
    return (struct span){key.data, (size_t)(at - (const uint8_t *)key.data)};
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
    struct arena arena;
    enum err err = OK;
    arena_init(&arena);
    for (size_t i = 0; err == OK && i < count; i += SAMPLED_AT_ONCE) {
        const uint32_t n = count - i < SAMPLED_AT_ONCE ? (uint32_t)(count - i) : SAMPLED_AT_ONCE;
        lean_list_reset(&list);
        err = match_leans(m, LOCAL, io, places + i, n, &list, diag);
        for (uint32_t k = 0; err == OK && k < n; k++) {
            struct span key = {(const char *)list.bytes + list.items[k].at, list.items[k].order_size};
            arena_reset(&arena);
            /* Very many may have one whole key, which takes more than one range then. */
            if (m->is_whole)
                err = match_full_key(m, &arena, io, key, places[i + k], &key, diag);
            if (err == OK && !keep_sample_of(all, m->config.lanes, hash_bytes(&places[i + k], 8, 1), 0, key))
                err = mem_fail(diag, key.size, "match.csv");
        }
    }
    arena_fini(&arena);
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
        qsort(sorted, pairs, sizeof *sorted, match_by_word);
        for (size_t i = 0; i < pairs; i++)
            places[i] = sorted[i].word;
        err = sample_pairs(m, io, places, pairs, all, diag);
    }
    mem_give(sorted);
    mem_give(places);
    return err;
}

static uint8_t *put_end(uint8_t *at, uint64_t local_place)
{
    *at++ = LOCAL;
    for (int i = 0; i < 8; i++)
        *at++ = (uint8_t)(local_place >> (56 - 8 * i));
    return at;
}

enum err match_full_key(struct match *m, struct arena *arena, struct worker_io *io, struct span key,
                        uint64_t local_place, struct span *out, struct diag *diag)
{
    enum { END = 9 };
    if (m->is_whole) {
        uint8_t *const copy = arena_take(arena, key.size + END);
        if (!copy)
            return mem_fail(diag, key.size, "a matched row");
        memcpy(copy, key.data, key.size);
        *out = (struct span){(const char *)copy, (size_t)(put_end(copy + key.size, local_place) - copy)};
        return OK;
    }
    struct row_ref ref = {.place = local_place, .side = LOCAL};
    struct full *row = arena_take(arena, sizeof *row);
    struct source *source = m->config.sources[LOCAL];
    enum err err = row ? source->ops->fetch(source, io, &ref, row, 1, arena, diag)
                       : mem_fail(diag, sizeof *row, "a matched row");
    if (err != OK)
        return err;
    uint8_t *const begin = arena_take(arena, 16 + 2 * row->occurrence.size + row->canonical.size + END);
    if (!begin)
        return mem_fail(diag, row->canonical.size, "a matched row");
    uint8_t *at = order_put_head(begin, row->day, row->occurrence);
    memcpy(at, row->canonical.data, row->canonical.size);
    at = put_end(at + row->canonical.size, row->place);
    *out = (struct span){(const char *)begin, (size_t)(at - begin)};
    return OK;
}

struct span match_next_cut(const struct match *m, struct span last, struct span key)
{
    struct span start = range_key(m, key);
    if (span_compare(start, last) > 0)
        return start;
    return span_compare(key, last) > 0 ? key : (struct span){NULL, 0};
}

int match_cut_within(struct span key, struct span cut)
{
    return cut.size > key.size && begins_with(cut, key);
}

enum err match_make_ranges(struct match *m, struct worker_io *io, struct diag *diag)
{
    enum { ITEM = 72, KEY = 40 }; /* of a pair, roughly */
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
    expected += pairs * (ITEM + (m->is_whole && count ? sample.bytes / count : KEY));
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
        qsort(keys, count, sizeof *keys, match_by_text);
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
            match_next_cut(m, cuts ? m->cuts[cuts - 1] : (struct span){NULL, 0}, keys[i * count / wanted]);
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
    match_forget_sample(&sample);
    if (err == OK)
        err = match_open_tank(m, &m->ranges_tank, m->range_count, expected, m->config.memory / 2, diag);
    if (err == OK && !m->same_order && pairs)
        err = match_open_tank(m, &m->channel, m->slices[LOCAL].count, 0, m->config.memory / 4, diag);
    return err;
}
