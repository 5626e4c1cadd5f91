/* io/sink/match_ranges.c: range by range into the file. See match_inner.h. */
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "io/sink/match_early.h"
#include <stdlib.h>
#include <time.h>

enum { RANGE_PARTS_MAX = 1 << 12 }; /* of a range that is too large */

static void ranging_fini(struct ranging *r)
{
    for (int i = 0; i < 2; i++)
        tank_load_fini(&r->load[i]);
    tank_load_fini(&r->part);
    join_close(r->join);
    mem_give(r->entries);
    mem_give(r->other);
    mem_give(r->text);
    mem_give(r->hashed);
    pieces_part_fini(&r->part_of_digest);
    mem_give(r->key.bytes);
    for (int side = 0; side < SIDES; side++)
        mem_give(r->names[side].text);
    arena_fini(&r->arena);
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
            err = match_whole_key(m, &r->key, range, t->item, &t->key, diag);
            if (err == OK && *t->item == KIND_PAIR) {
                err = match_full_key(m, &r->arena, io, t->key, item_place(t->item), &t->key, diag);
            } else if (err == OK) {
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

/* ---- range by range ---- */

/* Forgets what was printed, and takes the room that as many rows will want, as usual rows are. */
static enum err begin_text(struct ranging *r, size_t count, struct diag *diag)
{
    enum { ROW = 240, ROW_HASHED = 152 };
    const size_t want[2] = {count * ROW, PIECE + count * ROW_HASHED};
    char **const texts[2] = {&r->text, &r->hashed};
    size_t *const rooms[2] = {&r->text_room, &r->hashed_room};
    r->text_used = 0;
    r->hashed_used = PIECE;
    for (int i = 0; i < 2; i++)
        if (*rooms[i] < want[i]) { /* what is there need not be copied */
            mem_give(*texts[i]);
            *texts[i] = mem_take(want[i]);
            *rooms[i] = *texts[i] ? want[i] : 0;
            if (!*texts[i])
                return mem_fail(diag, want[i], "matched rows");
        }
    return OK;
}

/* Prints the rows of `count` entries, which are in order. */
static enum err print_entries(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                              const struct sort_entry *entries, size_t count, struct diag *diag)
{
    enum err err = begin_text(r, count, diag);
    for (size_t i = 0; err == OK && i < count; i++) {
        if (i + AHEAD < count) {
            __builtin_prefetch(entries[i + AHEAD].item);
            __builtin_prefetch(entries[i + AHEAD].item + 64);
        }
        const uint8_t *item = entries[i].item;
        err = *item == KIND_PAIR ? match_print_pair(m, r, io, range, item, diag)
                                 : match_print_row(r, item, diag);
    }
    return err;
}

/* Sorts `count` entries and prints their rows. */
static enum err sort_and_print(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                               size_t count, struct diag *diag)
{
    key_sort(r->entries, r->other, count, item_key);
    const enum err err = untie(m, r, io, range, count, diag);
    return err == OK ? print_entries(m, r, io, range, r->entries, count, diag) : err;
}

/* Waits until the ranges before this one had theirs. */
static enum err take_turn(struct match *m, enum turn turn, uint32_t range)
{
    pthread_mutex_lock(&m->lock);
    while (m->turns[turn] != range && !match_stopped(m)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1; /* an interrupt wakes nobody */
        pthread_cond_timedwait(&m->turn_is_over, &m->lock, &until);
    }
    int mine = m->turns[turn] == range && !match_stopped(m);
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

/* In turn: which bytes of the file and of the digest's text are this worker's. */
static void claim_rows(struct match *m, struct ranging *r)
{
    stretch_claim(m->file, &r->stretch, r->text, r->text_used);
    pieces_claim(m->pieces, &r->part_of_digest, r->hashed, r->hashed_used - PIECE);
}

/* What was claimed, to the file, and its sums made. */
static enum err write_claimed(struct match *m, struct ranging *r, uint32_t number, struct diag *diag)
{
    const enum err err = stretch_write(m->file, number, &r->stretch, r->text, diag);
    return err == OK ? pieces_sum(&r->part_of_digest, diag) : err;
}

/* The sums of the range that was written last into the list, in turn. They wait until the next range is printed: by then it is their turn. */
static void put_sums(struct match *m, struct ranging *r, int *over)
{
    if (!r->unlisted)
        return;
    *over = take_turn(m, TURN_DIGEST, r->unlisted - 1) != OK;
    if (*over)
        return;
    pieces_put(m->pieces, &r->part_of_digest);
    end_turn(m, TURN_DIGEST);
    r->unlisted = 0;
}

/* The printed rows into file and digest. Only which bytes are whose, and the list of the pieces' sums, go in turn; `*over` says that
 * it was not this worker's turn any more. */
static enum err write_rows(struct match *m, struct ranging *r, uint32_t number, uint32_t range, int *over,
                           struct diag *diag)
{
    put_sums(m, r, over);
    *over = *over || take_turn(m, TURN_PLACE, range) != OK;
    if (*over)
        return OK;
    claim_rows(m, r);
    end_turn(m, TURN_PLACE);
    r->unlisted = range + 1;
    return write_claimed(m, r, number, diag);
}

/* How many of the range's joined pairs go before an item. SIZE_MAX: its key goes on where a pair's ends, or the other way round. */
static size_t place_among(const struct match *m, const struct ranging *r, uint32_t range, size_t joined_count,
                          const uint8_t *item)
{
    uint8_t room[JOINED_ITEM + CELL_SLACK];
    const struct span key = item_key(item);
    size_t low = 0, high = joined_count;
    while (low < high) {
        const size_t mid = (low + high) / 2;
        const uint8_t *cells;
        struct joined_row alone;
        const struct joined_row *const row = join_row_alone(r->join, mid, &alone, &cells);
        join_item(m, range, row, cells, room);
        const struct span at = item_key(room);
        if (begins_with(key, at) || begins_with(at, key))
            return SIZE_MAX;
        if (span_compare(at, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The first `count` entries in order, each with the number of joined pairs before it. 0: they must all be put in order together. */
static int place_others(const struct match *m, struct ranging *r, uint32_t range, size_t joined_count,
                        size_t count)
{
    key_sort(r->entries, r->other, count, item_key);
    for (size_t i = 0; i < count; i++) {
        const size_t before = place_among(m, r, range, joined_count, r->entries[i].item);
        if (before == SIZE_MAX ||
            (i && begins_with(item_key(r->entries[i].item), item_key(r->entries[i - 1].item))))
            return 0;
        r->entries[i].word = before;
    }
    return 1;
}

/* Prints the pairs of a range that were joined, and between them the first `count` entries, as place_others says. */
static enum err print_joined(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                             size_t joined_count, size_t count, struct diag *diag)
{
    enum err err = begin_text(r, joined_count + count, diag);
    for (size_t i = 0, other = 0; err == OK && i + other < joined_count + count;) {
        if (UNLIKELY(other < count && r->entries[other].word == i)) {
            const uint8_t *const item = r->entries[other++].item;
            err = *item == KIND_PAIR ? match_print_pair(m, r, io, range, item, diag)
                                     : match_print_row(r, item, diag);
        } else {
            const uint8_t *cells;
            if (i + AHEAD < joined_count)
                join_expect(r->join, i + AHEAD);
            const struct joined_row *const row = join_row(r->join, i++, &cells);
            err = match_print_joined(m, r, io, range, row, cells, diag);
        }
    }
    return err;
}

/* Sorts and prints what was loaded, with the pairs of the range that were joined. */
static enum err print_load(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                           const struct tank_load *load, size_t joined_count, struct diag *diag)
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
    enum { FEW = 8 }; /* pairs for each of the others, at least, where those are put between them */
    if (joined_count && count <= joined_count / FEW && place_others(m, r, range, joined_count, count))
        return print_joined(m, r, io, range, joined_count, count, diag);
    if (joined_count) {
        struct sort_entry *joined;
        if (join_items(m, r->join, range, &joined, diag) != OK ||
            grow_entries(r, count + joined_count, diag) != OK)
            return diag->err;
        memcpy(r->entries + count, joined, joined_count * sizeof *joined);
        count += joined_count;
    }
    return sort_and_print(m, r, io, range, count, diag);
}

/* Cuts a range by a sample of all its keys, as ≺ is cut into ranges, without the bytes that they share. The cuts lie in the
 * sample. */
static enum err cut_range(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                          struct sample *sample, struct span **cuts, uint32_t *count, struct diag *diag)
{
    const uint32_t shared = m->shared[range];
    enum err err = OK;
    for (uint32_t lane = 0; err == OK && lane < m->config.lanes; lane++) {
        struct item_reader reader = {.tank = m->ranges_tank, .scan = {.lane = lane, .partition = range}};
        const uint8_t *item;
        size_t size;
        while (err == OK && (err = item_reader_next(&reader, &item, &size, diag)) == OK && size) {
            struct span key;
            arena_reset(&r->arena);
            err = match_whole_key(m, &r->key, range, item, &key, diag);
            if (err == OK && m->is_whole && *item == KIND_PAIR)
                err = match_full_key(m, &r->arena, io, key, item_place(item), &key, diag);
            if (err == OK && !match_keep_sample(sample, hash_bytes(item, size, 2), 0, key))
                err = mem_fail(diag, key.size, "sorting matched rows");
        }
        item_reader_fini(&reader);
    }
    uint64_t parts = 2 * tank_size(m->ranges_tank, range) / m->range_bytes_max + 1;
    parts = parts < sample->count ? parts : sample->count ? sample->count : 1;
    parts = parts < RANGE_PARTS_MAX ? parts : RANGE_PARTS_MAX;
    struct span *keys = *cuts = mem_take((sample->count + 1) * sizeof *keys),
                last = range ? m->cuts[range - 1] : (struct span){NULL, 0};
    if (err != OK || !keys)
        return err != OK ? err : mem_fail(diag, sample->count * sizeof *keys, "sorting matched rows");
    for (uint32_t i = 0; i < sample->count; i++)
        keys[i] = (struct span){sample->items[i].key, sample->items[i].key_size};
    qsort(keys, sample->count, sizeof *keys, match_by_text);
    *count = 0;
    for (uint64_t i = 1; i < parts; i++) {
        struct span cut = match_next_cut(m, last, keys[i * sample->count / parts]);
        if (cut.size == 0)
            continue;
        last = cut;
        keys[(*count)++] = (struct span){cut.data + shared, cut.size - shared};
    }
    return OK;
}

/* An item to its part. */
static enum err put_part(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                         const struct cut_tree *cuts, struct tank *parts, const uint8_t *item, size_t size,
                         struct diag *diag)
{
    const uint32_t shared = m->shared[range];
    struct span key = item_key(item);
    uint32_t part = cut_tree_find(cuts, key);
    if (*item == KIND_PAIR && part < cuts->cut_count && match_cut_within(key, cuts->cuts[part])) {
        arena_reset(&r->arena);
        enum err err = match_whole_key(m, &r->key, range, item, &key, diag);
        if (err == OK)
            err = match_full_key(m, &r->arena, io, key, item_place(item), &key, diag);
        if (err != OK)
            return err;
        part = cut_tree_find(cuts, (struct span){key.data + shared, key.size - shared});
    }
    return tank_put(parts, 0, part, item, size, diag);
}

/* The items of a range, each to its part. */
static enum err spread_range(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                             const struct cut_tree *cuts, struct tank *parts, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t lane = 0; err == OK && lane < m->config.lanes; lane++) {
        struct item_reader reader = {.tank = m->ranges_tank, .scan = {.lane = lane, .partition = range}};
        const uint8_t *item;
        size_t size;
        while (err == OK && !match_stopped(m) &&
               (err = item_reader_next(&reader, &item, &size, diag)) == OK && size) {
            err = put_part(m, r, io, range, cuts, parts, item, size, diag);
        }
        item_reader_fini(&reader);
    }
    return err;
}

/* A range that is too large to be loaded goes by parts, which go through a tank of their own. */
static enum err write_by_parts(struct match *m, struct ranging *r, struct worker_io *io, uint32_t number,
                               uint32_t range, size_t joined_count, struct diag *diag)
{
    const size_t share = m->config.memory / m->config.lanes;
    struct sample sample = {0};
    struct span *cuts = NULL;
    struct cut_tree tree = {0};
    struct tank *parts = NULL;
    uint32_t count = 0;
    enum err err = cut_range(m, r, io, range, &sample, &cuts, &count, diag);
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
    struct sort_entry *joined = NULL;
    if (err == OK && joined_count)
        err = join_items(m, r->join, range, &joined, diag);
    for (size_t i = 0; err == OK && i < joined_count; i++) {
        const struct span body = item_body(joined[i].item);
        err = put_part(m, r, io, range, &tree, parts, joined[i].item,
                       (size_t)((const uint8_t *)body.data + body.size - joined[i].item), diag);
    }
    if (err == OK)
        err = tank_end(parts, 0, diag);
    for (uint32_t part = 0; err == OK && part <= count && !match_stopped(m); part++) {
        err = tank_load(parts, part, &r->part, diag);
        const enum err waited = tank_wait(parts, &r->part, diag);
        if (err != OK || (err = waited) != OK || (err = print_load(m, r, io, range, &r->part, 0, diag)) != OK)
            break;
        claim_rows(m, r);
        err = write_claimed(m, r, number, diag);
        if (err == OK)
            pieces_put(m->pieces, &r->part_of_digest);
    }
    match_drop(m, &parts);
    cut_tree_fini(&tree);
    match_forget_sample(&sample);
    mem_give(cuts);
    return err;
}

static int fits(const struct match *m, uint32_t range)
{
    return tank_size(m->ranges_tank, range) <= m->range_bytes_max;
}

/* Starts to read a range, if there is one. */
static enum err begin_range(struct match *m, struct ranging *r, uint32_t range, uint32_t turn,
                            struct diag *diag)
{
    if (range >= m->range_count)
        return OK;
    const enum err err = fits(m, range) ? tank_load(m->ranges_tank, range, &r->load[turn], diag) : OK;
    return err == OK && r->join ? join_begin(m, r->join, range, turn, diag) : err;
}

enum err match_write_ranges(struct match *m, struct worker_io *io, uint32_t number, struct diag *diag)
{
    struct ranging *r = mem_take_zero(1, sizeof *r);
    if (!r)
        return mem_fail(diag, sizeof *r, "matched rows");
    arena_init(&r->arena);
    enum err err = OK;
    uint32_t range = atomic_fetch_add(&m->next[4], 1), turn = 0;
    int over = 0;
    if (m->early && !(r->join = join_open(diag)))
        err = diag->err;
    if (err == OK)
        err = begin_range(m, r, range, turn, diag);
    while (err == OK && range < m->range_count && !match_stopped(m)) {
        const uint32_t next = atomic_fetch_add(&m->next[4], 1);
        struct tank_load *load = &r->load[turn];
        size_t joined_count = 0;
        turn ^= 1;
        err = tank_wait(m->ranges_tank, load, diag);
        if (err == OK)
            err = begin_range(m, r, next, turn, diag);
        if (err == OK && r->join)
            err = join_range(m, r->join, number, range, turn ^ 1, &joined_count, diag);
        if (err != OK)
            break;
        if (fits(m, range))
            err = print_load(m, r, io, range, load, joined_count, diag);
        if (err == OK && fits(m, range)) {
            err = write_rows(m, r, number, range, &over, diag);
        } else if (err == OK) {
            put_sums(m, r, &over);
            over = over || take_turn(m, TURN_PLACE, range) != OK || take_turn(m, TURN_DIGEST, range) != OK;
            if (!over)
                err = write_by_parts(m, r, io, number, range, joined_count, diag);
            if (!over && err == OK) {
                end_turn(m, TURN_PLACE);
                end_turn(m, TURN_DIGEST);
            }
        }
        if (over)
            break;
        range = next;
    }
    if (err == OK && !over)
        put_sums(m, r, &over);
    pthread_mutex_lock(&m->lock);
    for (int c = 0; c < CURRENCY_COUNT_MAX; c++) {
        m->printed.pairs[c].count += r->printed.pairs[c].count;
        m->printed.pairs[c].sum += r->printed.pairs[c].sum;
    }
    m->printed.rows += r->printed.rows;
    pthread_mutex_unlock(&m->lock);
    ranging_fini(r);
    mem_give(r);
    return err == OK ? stretch_wait(m->file, number, diag) : err;
}
