/* io/sink/match_join.c: rows of a range that were told early, joined to pairs by their keys. See match_early.h. A hot file. */
#include "core/base/mem.h"
#include "io/sink/match_early.h"
#include <stdlib.h>

enum {
    TELL_AHEAD = 24,  /* items whose bits are asked for ahead */
    LINES_AHEAD = 20, /* pairs whose lines are */
    MET_AT_ONCE = 64
};

struct early_join {
    struct tank_load local[2], cell[2], more;
    void *row_bytes;
    struct joined_row *rows; /* in them, each in a line */
    const uint8_t **cells;   /* of each row, in the loaded items; where there are any */
    uint64_t *order, *other; /* how its number begins, and in the lower half which row it is */
    size_t row_room, order_room, count;
    int has_cells;
    uint32_t *slots;              /* number of a row, from 1 on */
    size_t slot_room, slot_count; /* of a range: a power of two */
    uint8_t *bytes;               /* of the items, where they are wanted */
    struct sort_entry *entries;
    size_t entry_room;
    /* Rows that met; some become rows of a line at a time. */
    const struct met_pair **blocks; /* NULL: they are in `rows` */
    size_t block_room, met_from;    /* which row the first one of `met` is */
    const struct early *early;
    const struct early_base *base;
    struct joined_row met[MET_AT_ONCE];
};

struct early_join *join_open(struct diag *diag)
{
    struct early_join *j = mem_take_zero(1, sizeof *j);
    if (!j)
        mem_fail(diag, sizeof *j, "matched rows");
    return j;
}

void join_close(struct early_join *j)
{
    if (!j)
        return;
    for (int i = 0; i < 2; i++) {
        tank_load_fini(&j->local[i]);
        tank_load_fini(&j->cell[i]);
    }
    tank_load_fini(&j->more);
    mem_give(j->row_bytes);
    mem_give(j->cells);
    mem_give(j->order);
    mem_give(j->other);
    mem_give(j->entries);
    mem_give(j->slots);
    mem_give(j->bytes);
    mem_give(j->blocks);
    mem_give(j);
}

/* The cells in which a range's numbers are: from *first to *last. */
static void cells_of(const struct early *e, uint32_t range, uint32_t *first, uint32_t *last)
{
    const struct early_stratum *s = &e->strata[e->stratum_of_range[range]];
    const struct early_span *g = &e->groups[e->group_of[e->has_channel ? s->channel : 0][s->size][s->prefix]];
    const uint64_t *const low = s->span.low + (range - s->span.begin);
    *first = range == s->span.begin ? g->begin : early_find(g, low[0]);
    *last = range + 1 == s->span.begin + s->span.count ? g->begin + g->count - 1 : early_find(g, low[1] - 1);
}

enum err join_begin(struct match *m, struct early_join *j, uint32_t range, unsigned turn, struct diag *diag)
{
    const struct early *e = m->early;
    uint32_t first, last;
    if (e->shelf[LOCAL])
        return OK; /* all of it is in memory */
    cells_of(e, range, &first, &last);
    enum err err = tank_load(e->local, range, &j->local[turn], diag);
    return err == OK ? tank_load(e->channel, first, &j->cell[turn], diag) : err;
}

static enum err make_room(struct early_join *j, size_t rows, struct diag *diag)
{
    enum { LINE = sizeof *j->rows };
    size_t slots = 64;
    while (slots < 2 * rows)
        slots *= 2;
    if (slots > j->slot_room) {
        mem_give(j->slots);
        j->slots = mem_take(slots * sizeof *j->slots);
        j->slot_room = j->slots ? slots : 0;
    }
    if (rows > j->row_room) {
        const size_t room = rows + rows / 4;
        mem_give(j->row_bytes);
        mem_give(j->cells);
        mem_give(j->order);
        mem_give(j->other);
        j->row_bytes = mem_take((room + 1) * LINE);
        j->cells = mem_take(room * sizeof *j->cells);
        j->order = mem_take(room * sizeof *j->order);
        j->other = mem_take(room * sizeof *j->other);
        j->row_room = j->row_bytes && j->cells && j->order && j->other ? room : 0;
        j->rows = (struct joined_row *)(((uintptr_t)j->row_bytes + LINE - 1) / LINE * LINE);
    }
    if (!j->slot_room || (rows && !j->row_room))
        return mem_fail(diag, rows * LINE, "matched rows");
    j->slot_count = slots;
    memset(j->slots, 0, slots * sizeof *j->slots);
    return OK;
}

static inline size_t slot_of(uint64_t high, uint64_t low, size_t mask)
{
    return ((high ^ low * 0x9E3779B97F4A7C15ull) * 0xD6E8FEB86659FD93ull >> 32) & mask;
}

static inline int is_told(const struct early_block *block, uint64_t place)
{
    return atomic_load_explicit(&block->told, memory_order_relaxed) >> (place >> PLACE_SHIFT) % 64 & 1;
}

/* The local rows whose pair stayed one. */
static size_t take_local(const struct early *e, struct early_join *j, const struct tank_load *load,
                         size_t mask)
{
    const size_t size = e->local_size;
    size_t count = 0;
    for (uint32_t p = 0; p < load->piece_count; p++) {
        const uint8_t *at = load->pieces[p].bytes, *const end = at + load->pieces[p].size;
        for (; at < end; at += size) {
            uint64_t words[LOCAL_ITEM / 8], ahead;
            if ((size_t)(end - at) > TELL_AHEAD * size) {
                memcpy(&ahead, at + TELL_AHEAD * size + 16, 8);
                __builtin_prefetch(early_block_of(e, LOCAL, ahead));
            }
            memcpy(words, at, sizeof words);
            const struct early_block *const block = early_block_of(e, LOCAL, words[2]);
            if (!is_told(block, words[2]))
                continue;
            struct joined_row *row = &j->rows[count];
            joined_local(row, words, block->lines);
            row->place_and_words = 0;
            if (size > LOCAL_ITEM)
                j->cells[count] = at + LOCAL_ITEM;
            size_t slot = slot_of(words[0], words[1] >> 16, mask);
            while (j->slots[slot])
                slot = (slot + 1) & mask;
            j->slots[slot] = (uint32_t)++count;
        }
    }
    return count;
}

/* Gives rows their channel's part. So many items at a time that what each waits for is on its way meanwhile: its bit, its slot, its row. */
static void take_channel(const struct early *e, struct early_join *j, const struct tank_load *load,
                         size_t mask)
{
    enum { ITEMS = 16, WORDS = CHANNEL_ITEM / 8 };
    for (uint32_t p = 0; p < load->piece_count; p++) {
        const uint8_t *at = load->pieces[p].bytes, *const end = at + load->pieces[p].size;
        while (at < end) {
            uint64_t words[ITEMS][WORDS], lines[ITEMS];
            size_t slots[ITEMS];
            uint32_t count = 0;
            for (uint32_t i = 0; i < ITEMS && at < end; i++, at += CHANNEL_ITEM) {
                uint64_t *const w = words[count], ahead;
                if (end - at > TELL_AHEAD * CHANNEL_ITEM) {
                    memcpy(&ahead, at + TELL_AHEAD * CHANNEL_ITEM + 16, 8);
                    __builtin_prefetch(early_block_of(e, CHANNEL, ahead & MAX40));
                }
                memcpy(w, at, CHANNEL_ITEM);
                const struct early_block *const block = early_block_of(e, CHANNEL, w[2] & MAX40);
                lines[count] = block->lines;
                slots[count] = slot_of(w[0], w[1] >> 16, mask);
                __builtin_prefetch(&j->slots[slots[count]]);
                count += (uint32_t)is_told(block, w[2] & MAX40);
            }
            for (uint32_t i = 0; i < count; i++)
                __builtin_prefetch(&j->rows[j->slots[slots[i]] - (j->slots[slots[i]] != 0)], 1);
            for (uint32_t i = 0; i < count; i++)
                for (size_t slot = slots[i]; j->slots[slot]; slot = (slot + 1) & mask) {
                    struct joined_row *row = &j->rows[j->slots[slot] - 1];
                    if (row->high == words[i][0] && row->low >> 16 == words[i][1] >> 16) {
                        joined_channel(row, words[i], lines[i]);
                        break;
                    }
                }
        }
    }
}

static inline const struct met_pair *met_pair(const struct early_join *j, size_t index)
{
    return &j->blocks[index / MET_A_BLOCK][index % MET_A_BLOCK];
}

static int by_number(const void *a, const void *b, void *rows)
{
    const struct joined_row *x = (const struct joined_row *)rows + (uint32_t) * (const uint64_t *)a,
                            *y = (const struct joined_row *)rows + (uint32_t) * (const uint64_t *)b;
    return x->high != y->high ? (x->high > y->high) - (x->high < y->high)
                              : (x->low > y->low) - (x->low < y->low);
}

static int by_rest(const void *a, const void *b, void *join)
{
    const uint64_t x = met_pair(join, (uint32_t) * (const uint64_t *)a)->rest,
                   y = met_pair(join, (uint32_t) * (const uint64_t *)b)->rest;
    return (x > y) - (x < y);
}

enum { ROW_BITS = 32 };

/* How far words from `least` to `most` are shifted, so that some two dozen bits are left, which tell nearly all rows of a range apart. */
struct order_bits {
    unsigned shift, bits;
};

static struct order_bits order_bits(uint64_t least, uint64_t most)
{
    enum { BITS = 22 };
    const unsigned bits = most > least ? 64 - (unsigned)__builtin_clzll(most - least) : 1;
    return (struct order_bits){bits > BITS ? bits - BITS : 0, bits < BITS ? bits : BITS};
}

/* Puts what `order` holds in order: by these bits, and the few that begin alike by a comparison. */
static void order_all(struct early_join *j, unsigned bits, int (*compare)(const void *, const void *, void *),
                      void *context)
{
    enum { FEW = 8 };
    bits_sort(j->order, j->other, j->count, ROW_BITS, bits);
    for (size_t i = 0, next; i < j->count; i = next) {
        for (next = i + 1; next < j->count && j->order[next] >> ROW_BITS == j->order[i] >> ROW_BITS; next++) {
        }
        if (next - i > FEW)
            qsort_r(j->order + i, next - i, sizeof *j->order, compare, context);
        else
            for (size_t k = i + 1; k < next; k++)
                for (size_t at = k; at > i && compare(&j->order[at - 1], &j->order[at], context) > 0; at--) {
                    const uint64_t swap = j->order[at];
                    j->order[at] = j->order[at - 1];
                    j->order[at - 1] = swap;
                }
    }
}

/* The pairs in ≺, which within a stratum is their numbers'. */
static void order_rows(struct early_join *j, size_t rows)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = 0; i < rows; i++) {
        least = j->rows[i].high < least ? j->rows[i].high : least;
        most = j->rows[i].high > most ? j->rows[i].high : most;
    }
    const struct order_bits by = order_bits(least, rows ? most : least);
    j->count = 0;
    for (size_t i = 0; i < rows; i++)
        if (LIKELY(j->rows[i].place_and_words != 0)) /* else it is told by early_check */
            j->order[j->count++] = (j->rows[i].high - least) >> by.shift << ROW_BITS | i;
    order_all(j, by.bits, by_number, j->rows);
}

/* The same of pairs that met. */
static void order_met(struct early_join *j)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t at = 0; at < j->count; at += MET_A_BLOCK) {
        const struct met_pair *const pairs = met_pair(j, at);
        for (size_t i = 0; i < MET_A_BLOCK && at + i < j->count; i++) {
            least = pairs[i].rest < least ? pairs[i].rest : least;
            most = pairs[i].rest > most ? pairs[i].rest : most;
        }
    }
    const struct order_bits by = order_bits(least, j->count ? most : least);
    for (size_t at = 0; at < j->count; at += MET_A_BLOCK) {
        const struct met_pair *const pairs = met_pair(j, at);
        for (size_t i = 0; i < MET_A_BLOCK && at + i < j->count; i++)
            j->order[at + i] = (pairs[i].rest - least) >> by.shift << ROW_BITS | (at + i);
    }
    order_all(j, by.bits, by_rest, j);
}

static inline void make_row(const struct early *e, const struct early_base *base, const struct met_pair *pair,
                            struct joined_row *row)
{
    const uint64_t place = pair->local & MAX40, channel_place = pair->channel & MAX40;
    const struct early_number number = early_whole(base, pair->rest);
    const uint64_t local[] = {number.high,
                              number.low << 16 | (pair->local >> TAKEN_LINES_SHIFT & TAKEN_LINES_MAX), place};
    const uint64_t channel[] = {0,
                                pair->channel >> TAKEN_LINES_SHIFT & TAKEN_LINES_MAX,
                                channel_place | pair->channel >> TAKEN_SIZE_SHIFT << 56,
                                pair->own[0],
                                pair->own[1],
                                pair->sigma};
    joined_local(row, local, early_lines_before(e, LOCAL, place));
    joined_channel(row, channel, early_lines_before(e, CHANNEL, channel_place));
}

/* Those from `index` on. */
static __attribute__((noinline)) void make_rows(struct early_join *j, size_t index)
{
    const struct early *const e = j->early;
    const struct early_base base = *j->base;
    const size_t end = j->count - index < MET_AT_ONCE ? j->count : index + MET_AT_ONCE;
    j->met_from = index;
    for (size_t i = index; i < end; i++) {
        if (i + LINES_AHEAD < j->count) {
            const struct met_pair *const ahead = met_pair(j, (uint32_t)j->order[i + LINES_AHEAD]);
            __builtin_prefetch(early_lines_at(e, LOCAL, ahead->local & MAX40));
            __builtin_prefetch(early_lines_at(e, CHANNEL, ahead->channel & MAX40));
        }
        make_row(e, &base, met_pair(j, (uint32_t)j->order[i]), &j->met[i - index]);
    }
}

const struct joined_row *join_row(struct early_join *j, size_t index, const uint8_t **cells)
{
    *cells = NULL;
    if (j->blocks) {
        if (UNLIKELY(index - j->met_from >= MET_AT_ONCE))
            make_rows(j, index);
        return &j->met[index - j->met_from];
    }
    const uint32_t row = (uint32_t)j->order[index];
    if (j->has_cells)
        *cells = j->cells[row];
    return &j->rows[row];
}

const struct joined_row *join_row_alone(const struct early_join *j, size_t index, struct joined_row *room,
                                        const uint8_t **cells)
{
    *cells = NULL;
    if (j->blocks) {
        make_row(j->early, j->base, met_pair(j, (uint32_t)j->order[index]), room);
        return room;
    }
    const uint32_t row = (uint32_t)j->order[index];
    if (j->has_cells)
        *cells = j->cells[row];
    return &j->rows[row];
}

void join_expect(const struct early_join *j, size_t index)
{
    if (j->blocks)
        return; /* make_rows does */
    const uint32_t row = (uint32_t)j->order[index];
    __builtin_prefetch(&j->rows[row]);
    if (j->has_cells)
        __builtin_prefetch(j->cells[row]);
}

/* As put_pair (match_slices.c) makes one. */
uint8_t *join_item(const struct match *m, uint32_t range, const struct joined_row *row, const uint8_t *cells,
                   uint8_t *to)
{
    const struct early *e = m->early;
    const struct early_stratum *s = &e->strata[e->stratum_of_range[range]];
    const uint32_t shared = m->shared[range];
    const uint64_t c = row->place_and_words;
    uint8_t text[EARLY_NUMBER_MAX + 8];
    early_number_text(text, (struct early_number){row->high, row->low >> 16}, s->size);
    /* The key without what all of the range have in common. */
    const uint32_t head = s->head_size > shared ? s->head_size - shared : 0,
                   skip = shared > s->head_size ? shared - s->head_size : 0, tail = s->digits - skip;
    *to++ = KIND_PAIR;
    *to++ = (uint8_t)(head + tail);
    if (head)
        memcpy(to, s->head + shared, head);
    to += head;
    for (uint32_t i = 0; i < tail; i += 8)
        memcpy(to + i, text + skip + i, 8);
    to += tail;
    uint8_t *const body = to++;
    const struct pair_head pair = {.local_place = joined_place(row),
                                   .local_line = joined_line(row),
                                   .channel_place = c & MAX40,
                                   .channel_line = row->channel_line,
                                   .amount = row->amount,
                                   .channel_day = (uint16_t)row->own[0],
                                   .currency = (uint8_t)(c >> 48)};
    put_pair_head(to, &pair);
    to += PAIR_HEAD;
    *to++ = 0; /* what the key says is not said again */
    *to++ = 0;
    const uint32_t own = (uint32_t)(c >> 56), own_size = own & 31;
    const struct packed_key number = {{(row->own[0] >> 16 << 16) | own, row->own[1]}};
    *to++ = (uint8_t)own_size;
    if (LIKELY(own < 32))
        early_number_text(to, early_number(number.word[0], number.word[1]), own_size);
    else
        packed_key_bytes(&number, to);
    to += own_size;
    for (int i = 0; i < m->compare_cell_count; i++) {
        struct span shown;
        if (m->plan.side[LOCAL].cells[m->compare_cells[i]] == FIELD_STATUS)
            shown = dict_word(e->words, (uint16_t)(c >> 40 & 0xFF));
        else
            cells = lean_get_cell(cells, &shown);
        to = lean_put_cell(to, shown);
    }
    *body = (uint8_t)(to - body - 1);
    return to;
}

/* Loads a range and its cells, and joins them. */
static enum err join_told(struct match *m, struct early_join *j, uint32_t range, unsigned turn, size_t *rows,
                          struct diag *diag)
{
    struct early *e = m->early;
    uint32_t first, last;
    cells_of(e, range, &first, &last);
    enum err err = tank_wait(e->local, &j->local[turn], diag);
    const enum err waited = tank_wait(e->channel, &j->cell[turn], diag);
    err = err == OK ? waited : err;
    size_t most = 0;
    for (uint32_t i = 0; i < j->local[turn].piece_count; i++)
        most += j->local[turn].pieces[i].size / e->local_size;
    if (err == OK)
        err = make_room(j, most, diag);
    if (err != OK)
        return err;
    const size_t mask = j->slot_count - 1;
    *rows = take_local(e, j, &j->local[turn], mask);
    take_channel(e, j, &j->cell[turn], mask);
    for (uint32_t cell = first + 1; *rows && err == OK && cell <= last && !match_stopped(m); cell++) {
        err = tank_load(e->channel, cell, &j->more, diag);
        const enum err read = tank_wait(e->channel, &j->more, diag);
        err = err == OK ? read : err;
        if (err == OK)
            take_channel(e, j, &j->more, mask);
    }
    return err;
}

/* Where a range's rows that met lie. */
static enum err find_met(const struct early *e, struct early_join *j, uint32_t range, struct diag *diag)
{
    const struct met_range *const met = &e->met[range];
    const size_t blocks = met->count / MET_A_BLOCK + 1;
    if (met->count >= j->order_room) {
        mem_give(j->order);
        mem_give(j->other);
        j->order_room = met->count + met->count / 4 + 1;
        j->order = mem_take(j->order_room * sizeof *j->order);
        j->other = mem_take(j->order_room * sizeof *j->other);
        if (!j->order || !j->other)
            return mem_fail(diag, 2 * j->order_room * sizeof *j->order, "matched rows");
    }
    if (blocks > j->block_room) {
        mem_give(j->blocks);
        j->block_room = blocks + blocks / 4;
        j->blocks = mem_take(j->block_room * sizeof *j->blocks);
        if (!j->blocks)
            return mem_fail(diag, j->block_room * sizeof *j->blocks, "matched rows");
    }
    size_t count = 0;
    for (const struct shelf_block *block = met->first; block; block = block->next)
        j->blocks[count++] = (const struct met_pair *)(block + 1);
    j->early = e;
    j->base = &e->base[LOCAL][range];
    j->count = met->count;
    j->met_from = SIZE_MAX / 2;
    order_met(j);
    return OK;
}

enum err join_range(struct match *m, struct early_join *j, uint32_t lane, uint32_t range, unsigned turn,
                    size_t *count, struct diag *diag)
{
    struct early *e = m->early;
    size_t rows = 0;
    const enum err err =
        e->shelf[LOCAL] ? find_met(e, j, range, diag) : join_told(m, j, range, turn, &rows, diag);
    if (err != OK)
        return err;
    if (!e->shelf[LOCAL])
        order_rows(j, rows);
    j->has_cells = e->cells_count != 0;
    *count = j->count;
    e->lanes[lane].joined += j->count;
    return OK;
}

enum err join_items(const struct match *m, struct early_join *j, uint32_t range, struct sort_entry **entries,
                    struct diag *diag)
{
    if (j->count > j->entry_room) {
        mem_give(j->bytes);
        mem_give(j->entries);
        j->entry_room = j->count + j->count / 4;
        j->bytes = mem_take(j->entry_room * JOINED_ITEM + CELL_SLACK);
        j->entries = mem_take(j->entry_room * sizeof *j->entries);
    }
    if (j->count && (!j->bytes || !j->entries)) {
        j->entry_room = 0;
        return mem_fail(diag, j->count * JOINED_ITEM, "matched rows");
    }
    uint8_t *to = j->bytes;
    for (size_t i = 0; i < j->count; i++) {
        j->entries[i].item = to;
        const uint8_t *cells;
        const struct joined_row *const row = join_row(j, i, &cells);
        to = join_item(m, range, row, cells, to);
    }
    *entries = j->entries;
    return OK;
}
