/* io/sink/match_join.c: rows of a range that were told early, joined to pairs by their keys. See match_early.h. A hot file. */
#include "core/base/mem.h"
#include "io/sink/match_early.h"
#include <stdlib.h>

enum { TELL_AHEAD = 24 /* items whose bits are asked for ahead */ };

struct early_join {
    struct tank_load local[2], cell[2], more;
    void *row_bytes;
    struct joined_row *rows; /* in them, each in a line */
    const uint8_t **cells;   /* of each row, in the loaded items; where there are any */
    uint64_t *order, *other; /* how its number begins, and in the lower half which row it is */
    size_t row_room, count;
    int has_cells;
    uint32_t *slots;              /* number of a row, from 1 on */
    size_t slot_room, slot_count; /* of a range: a power of two */
    uint8_t *bytes;               /* of the items, where they are wanted */
    struct sort_entry *entries;
    size_t entry_room;
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

static int by_number(const void *a, const void *b, void *rows)
{
    const struct joined_row *x = (const struct joined_row *)rows + (uint32_t) * (const uint64_t *)a,
                            *y = (const struct joined_row *)rows + (uint32_t) * (const uint64_t *)b;
    return x->high != y->high ? (x->high > y->high) - (x->high < y->high)
                              : (x->low > y->low) - (x->low < y->low);
}

/* The pairs in ≺, which within a stratum is their numbers'. Some two dozen bits tell nearly all of them apart; the few that begin alike
 * are compared. */
static void order_rows(struct early_join *j, size_t rows)
{
    enum { BITS = 24, ROW_BITS = 32, FEW = 8 };
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = 0; i < rows; i++) {
        least = j->rows[i].high < least ? j->rows[i].high : least;
        most = j->rows[i].high > most ? j->rows[i].high : most;
    }
    const unsigned bits = rows && most > least ? 64 - (unsigned)__builtin_clzll(most - least) : 1,
                   shift = bits > BITS ? bits - BITS : 0;
    j->count = 0;
    for (size_t i = 0; i < rows; i++)
        if (LIKELY(j->rows[i].place_and_words != 0)) /* else it is told by early_check */
            j->order[j->count++] = (j->rows[i].high - least) >> shift << ROW_BITS | i;
    bits_sort(j->order, j->other, j->count, ROW_BITS, bits < BITS ? bits : BITS);
    for (size_t i = 0, next; i < j->count; i = next) {
        for (next = i + 1; next < j->count && j->order[next] >> ROW_BITS == j->order[i] >> ROW_BITS; next++) {
        }
        if (next - i > FEW)
            qsort_r(j->order + i, next - i, sizeof *j->order, by_number, j->rows);
        else
            for (size_t k = i + 1; k < next; k++)
                for (size_t at = k; at > i && by_number(&j->order[at - 1], &j->order[at], j->rows) > 0;
                     at--) {
                    const uint64_t swap = j->order[at];
                    j->order[at] = j->order[at - 1];
                    j->order[at - 1] = swap;
                }
    }
}

const struct joined_row *join_row(const struct early_join *j, size_t index, const uint8_t **cells)
{
    const uint32_t row = (uint32_t)j->order[index];
    *cells = j->has_cells ? j->cells[row] : NULL;
    return &j->rows[row];
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

enum err join_range(struct match *m, struct early_join *j, uint32_t lane, uint32_t range, unsigned turn,
                    size_t *count, struct diag *diag)
{
    struct early *e = m->early;
    size_t rows = 0;
    enum err err;
    if (!e->shelf[LOCAL])
        err = join_told(m, j, range, turn, &rows, diag);
    else if ((err = make_room(j, shelf_size(e->shelf[LOCAL], range) / LOCAL_TAKEN, diag)) == OK)
        rows = meet_rows(e, range, j->rows);
    if (err != OK)
        return err;
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
