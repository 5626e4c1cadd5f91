/* io/sink/match_taps.c: see match_early.h: rows that are told while they are read. A hot file. */
#include "core/base/mem.h"
#include "io/sink/match_early.h"

/* A row that is told nowhere. Where rows are taken, its key stays the index's. */
static enum err odd_row(struct early_lane *lane, enum side side, struct packed_key key, uint64_t place,
                        struct diag *diag)
{
    struct early *e = lane->early;
    if (lane->tap.takes) {
        if (!key.word[0]) /* no row with such a key is taken */
            return OK;
        const struct early_number number = early_number(key.word[0], key.word[1]);
        place = early_odd_hash(number.high, number.low, key.word[0] & 31);
    }
    if (!lane->odd[side] && !(lane->odd[side] = mem_take(EARLY_ODD * sizeof *lane->odd[side])))
        return mem_fail(diag, EARLY_ODD * sizeof *lane->odd[side], "match.csv");
    if (lane->odd_count[side] == EARLY_ODD)
        atomic_store_explicit(&e->is_dead, 1, memory_order_relaxed);
    else
        lane->odd[side][lane->odd_count[side]++] = place;
    return OK;
}

static __attribute__((noinline)) uint8_t look_up_channel(struct early_lane *lane, uint32_t number)
{
    const struct early *e = lane->early;
    const int found = early_find_text(e->channels, e->channel_count, dict_word(e->words, (uint16_t)number));
    if (found >= 0)
        atomic_store_explicit(&lane->early->channel_number[found], (uint16_t)number, memory_order_relaxed);
    return lane->channel_of[number] = found < 0 ? 255 : (uint8_t)(found + 1);
}

/* 254: it is none that is known. */
static inline uint32_t channel_index(struct early_lane *lane, uint32_t number)
{
    uint8_t known = lane->channel_of[number];
    if (UNLIKELY(known == 0))
        known = look_up_channel(lane, number);
    return known - 1u;
}

/* Of `count` texts, mostly that of the row before. -1: none of them. */
static inline int text_index(const struct early_text *texts, uint32_t count, uint8_t *last, struct span text)
{
    if (LIKELY(text.size == texts[*last].size &&
               short_equal((const uint8_t *)text.data, (const uint8_t *)texts[*last].text, text.size)))
        return *last;
    const int found = early_find_text(texts, count, text);
    *last = found < 0 ? *last : (uint8_t)found;
    return found;
}

/* Of a packed key; -1: it is none that is known. */
static inline int prefix_index(const struct early *e, uint64_t word)
{
    const uint32_t size = word >> 5 & 7,
                   text = (uint32_t)(word >> 16) & (uint32_t)((UINT64_C(1) << 8 * size) - 1);
    for (uint32_t i = 0; i < e->prefix_count; i++) {
        uint32_t known = 0;
        memcpy(&known, e->prefixes[i].text, sizeof known);
        if (e->prefixes[i].size == size && known == text)
            return (int)i;
    }
    return -1;
}

static inline int day_index(struct early_lane *lane, uint16_t day)
{
    const struct early *e = lane->early;
    if (LIKELY(day == lane->day))
        return lane->day_index;
    for (uint32_t i = 0; i < e->day_count; i++)
        if (e->days[i] == day) {
            lane->day = day;
            return lane->day_index = (uint8_t)i;
        }
    return -1;
}

/* What a channel's row says besides its key. */
struct told_channel {
    uint64_t place, sigma;
    uint32_t lines;
    uint16_t day;
};

/* In place of a range or cell: the row goes into none. */
enum { ODD = 0xFFFFFFFF };

/* `code`: of the row, where K1 does not say the channel. */
static inline uint32_t local_range(struct early_lane *lane, uint64_t word, struct early_number number,
                                   uint16_t day, struct span code, struct span type_text)
{
    const struct early *e = lane->early;
    const uint32_t size = word & 31,
                   channel = LIKELY(e->has_channel) ? channel_index(lane, word >> 8 & PACKED_CHANNEL_MAX)
                             : code.size == 0 && !e->lacks_code
                                 ? ODD /* the channel's row may say it */
                                 : (uint32_t)text_index(e->channels, e->channel_count, &lane->channel, code);
    const int day_at = day_index(lane, day),
              type = text_index(e->types, e->type_count, &lane->type, type_text),
              prefix = prefix_index(e, word);
    if (UNLIKELY(word == 0 || channel >= e->channel_count || day_at < 0 || type < 0 || prefix < 0))
        return ODD;
    const uint16_t stratum = e->stratum_of[day_at][type][channel][size][prefix];
    if (UNLIKELY(stratum == EARLY_NONE))
        return ODD;
    const struct early_stratum *const s = &e->strata[stratum];
    return early_find(s->find, number.high) - s->find->begin + s->span.begin;
}

static inline uint32_t channel_cell(struct early_lane *lane, uint64_t word, struct early_number number)
{
    const struct early *e = lane->early;
    const uint32_t channel = LIKELY(e->has_channel) ? channel_index(lane, word >> 8 & PACKED_CHANNEL_MAX) : 0,
                   size = word & 31;
    const int prefix = prefix_index(e, word);
    if (UNLIKELY(word == 0 || channel >= e->channel_count || prefix < 0))
        return ODD;
    const uint16_t group = e->group_of[channel][size][prefix];
    return LIKELY(group != EARLY_NONE) ? early_find(&e->groups[group], number.high) : ODD;
}

static inline enum err put_item(struct tank *tank, uint32_t lane, uint32_t part, const uint64_t *words,
                                size_t size, struct diag *diag)
{
    uint8_t *const to = tank_reserve(tank, lane, part, size);
    if (UNLIKELY(!to))
        return tank_put(tank, lane, part, words, size, diag);
    memcpy(to, words, size);
    tank_commit(tank, lane, part, size);
    return OK;
}

static inline int fits_item(uint64_t place, int64_t amount, uint32_t status)
{
    return !((((uint64_t)amount + PACKED_AMOUNT_MAX + 1) >> 48) | place >> PACKED_PLACE_BITS |
             (uint64_t)(status > PACKED_STATUS_MAX));
}

static inline void make_local(uint64_t words[LOCAL_ITEM / 8], struct early_number number, uint64_t place,
                              uint32_t lines)
{
    words[0] = number.high;
    words[1] = number.low << 16 | lines;
    words[2] = place;
}

static inline void make_channel(uint64_t words[CHANNEL_ITEM / 8], struct early_number number,
                                const struct packed_key *own, const struct told_channel *t)
{
    words[0] = number.high;
    words[1] = number.low << 16 | t->lines;
    words[2] = t->place | (own->word[0] & 0xFF) << 56;
    words[3] = own->word[0] >> 16 << 16 | t->day;
    words[4] = own->word[1];
    words[5] = t->sigma;
}

/* The channel's own number can be said. Where the row has none the local row's is shown, if it has one. */
static inline int number_fits(const struct early *e, const struct packed_key *own, size_t size)
{
    return LIKELY(own->word[0] != 0) || (size == 0 && e->lacks_number);
}

/* A text of each row of a block: a column's, or a constant. */
static inline struct span told_text(const struct tap_rows *rows, const uint32_t *seps, int column,
                                    struct span constant)
{
    return column < 0 ? constant : plain_cell_of(rows->bytes, seps, column, rows->has_cr ? rows->columns : 0);
}

static inline int is_short(const struct tap_rows *rows, const uint32_t *seps)
{
    return seps[rows->columns - 1] - seps[-1] < (1u << PLACE_SHIFT);
}

/* The key of a row of a block, packed. */
static inline struct packed_key told_key(const struct tap_rows *rows, const uint32_t *seps, uint32_t i)
{
    if (LIKELY(rows->packs))
        return rows->block->packed[i];
    const struct span text = told_text(rows, seps, rows->plan->key, (struct span){"", 0});
    return packed_key_of((const uint8_t *)text.data, (uint32_t)text.size, rows->block->channel[i]);
}

/* What is known of a block's rows before they are put somewhere. */
struct told_rows {
    const uint64_t *places; /* of these, and of what is behind them */
    const uint32_t *lines;
    uint32_t parts[PLAIN_BLOCK]; /* ODD: none */
};

/* The shelf is full: what is on it already goes back to the index, and no more comes. */
static __attribute__((noinline)) void shelf_is_full(struct early_lane *lane)
{
    lane->is_full = 1;
    atomic_store_explicit(&lane->early->is_dead, 1, memory_order_relaxed);
}

/* What makes a key equal to another is said by where its row lies: the channel, where it is in the key, and no other. */
static inline int key_is_whole(const struct early *e, struct packed_key key)
{
    return LIKELY(e->has_channel) || (key.word[0] >> 8 & PACKED_CHANNEL_MAX) == 0;
}

/* Rows of a block, after each was told where it goes, so that its line is on its way when it is put there. */
static inline __attribute__((always_inline)) enum err
put_block(struct early_lane *lane, enum side side, const struct told_rows *told, const uint64_t *items,
          const size_t size, const struct tap_rows *rows, struct diag *diag)
{
    struct tank *const tank = side == LOCAL ? lane->early->local : lane->early->channel;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < rows->count; i++)
        err = LIKELY(told->parts[i] != ODD)
                  ? put_item(tank, lane->number, told->parts[i], items + i * (size / 8), size, diag)
                  : odd_row(lane, side, (struct packed_key){{0, 0}}, told->places[i], diag);
    return err;
}

static inline uint64_t told_sigma(const struct plain_block *block, uint32_t i)
{
    return packed_sigma(block->amount_micro[i], block->currency[i], block->status[i], block->is_out[i]);
}

/* Where a local row of a block goes. */
static inline uint32_t local_part(struct early_lane *lane, const struct tap_rows *rows, const uint32_t *seps,
                                  uint32_t i, struct packed_key key, struct early_number number,
                                  uint64_t place)
{
    const struct early *e = lane->early;
    const struct plain_block *block = rows->block;
    const struct plain_plan *plan = rows->plan;
    const struct span type = told_text(rows, seps, plan->told, plan->told_constant),
                      code = LIKELY(e->has_channel)
                                 ? (struct span){"", 0}
                                 : told_text(rows, seps, plan->channel, plan->channel_constant);
    return is_short(rows, seps) || !fits_item(place, block->amount_micro[i], block->status[i])
               ? ODD
               : local_range(lane, key.word[0], number, block->day[i], code, type);
}

/* Where a channel's goes, and its own number. */
static inline uint32_t channel_part(struct early_lane *lane, const struct tap_rows *rows,
                                    const uint32_t *seps, uint32_t i, struct packed_key key,
                                    struct early_number number, uint64_t place, struct packed_key *own)
{
    const struct early *e = lane->early;
    const struct plain_block *block = rows->block;
    const struct span text = told_text(rows, seps, rows->plan->told, rows->plan->told_constant);
    *own = LIKELY(rows->plan->told >= 0)
               ? packed_key_of((const uint8_t *)text.data, (uint32_t)text.size, 0)
               : packed_key_anywhere((const uint8_t *)text.data, (uint32_t)text.size, 0);
    return is_short(rows, seps) || !number_fits(e, own, text.size) ||
                   !fits_item(place, block->amount_micro[i], block->status[i])
               ? ODD
               : channel_cell(lane, key.word[0], number);
}

static __attribute__((noinline)) enum err tell_local(struct early_lane *lane, const struct tap_rows *rows,
                                                     struct told_rows *told, uint64_t *taken,
                                                     struct diag *diag)
{
    struct early *e = lane->early;
    uint64_t items[PLAIN_BLOCK][LOCAL_ITEM / 8];
    const uint32_t *seps = rows->seps;
    *taken = 0;
    CHECK2(e->local_size == LOCAL_ITEM, e->local_size,
           lane->number); /* rows with compared cells are not plain */
    for (uint32_t i = 0; i < rows->count; i++, seps += rows->columns) {
        const struct packed_key key = told_key(rows, seps, i);
        const struct early_number number = early_number(key.word[0], key.word[1]);
        told->parts[i] = local_part(lane, rows, seps, i, key, number, told->places[i]);
        make_local(items[i], number, told->places[i], told->lines[i]);
        if (LIKELY(told->parts[i] != ODD))
            tank_expect(e->local, lane->number, told->parts[i], LOCAL_ITEM);
    }
    return put_block(lane, LOCAL, told, items[0], LOCAL_ITEM, rows, diag);
}

static __attribute__((noinline)) enum err tell_channel(struct early_lane *lane, const struct tap_rows *rows,
                                                       struct told_rows *told, uint64_t *taken,
                                                       struct diag *diag)
{
    struct early *e = lane->early;
    uint64_t items[PLAIN_BLOCK][CHANNEL_ITEM / 8];
    const uint32_t *seps = rows->seps;
    *taken = 0;
    for (uint32_t i = 0; i < rows->count; i++, seps += rows->columns) {
        const struct packed_key key = told_key(rows, seps, i);
        const struct early_number number = early_number(key.word[0], key.word[1]);
        struct packed_key own;
        told->parts[i] = channel_part(lane, rows, seps, i, key, number, told->places[i], &own);
        const struct told_channel own_part = {.place = told->places[i],
                                              .sigma = told_sigma(rows->block, i),
                                              .lines = told->lines[i],
                                              .day = rows->block->day[i]};
        make_channel(items[i], number, &own, &own_part);
        if (LIKELY(told->parts[i] != ODD))
            tank_expect(e->channel, lane->number, told->parts[i], CHANNEL_ITEM);
    }
    return put_block(lane, CHANNEL, told, items[0], CHANNEL_ITEM, rows, diag);
}

/* An item onto the shelf, of which the words behind the first two are there already. 0: it goes not there, since there is no room, its
 * number lies too far off its part's others, or its row lies behind more lines of its block than are counted. */
static inline __attribute__((always_inline)) int put_taken(struct early_lane *lane, enum side side,
                                                           uint32_t part, struct early_number number,
                                                           uint64_t place, uint64_t lines, uint64_t *item,
                                                           const uint32_t size)
{
    if (UNLIKELY(!early_rest(&lane->early->base[side][part], number, &item[TAKEN_REST]) ||
                 lines > TAKEN_LINES_MAX))
        return 0;
    item[TAKEN_PLACE] = place | lines << TAKEN_LINES_SHIFT;
    if (LIKELY(shelf_put(lane->shelf[side], part, item, size / sizeof *item)))
        return 1;
    shelf_is_full(lane);
    return 0;
}

static inline __attribute__((always_inline)) int take_local(struct early_lane *lane, uint32_t part,
                                                            struct early_number number, uint64_t place,
                                                            uint64_t lines, uint64_t sigma)
{
    uint64_t item[LOCAL_TAKEN / 8];
    item[TAKEN_SIGMA] = sigma;
    return put_taken(lane, LOCAL, part, number, place, lines, item, LOCAL_TAKEN);
}

static inline __attribute__((always_inline)) int take_channel(struct early_lane *lane, uint32_t part,
                                                              struct early_number number, uint64_t place,
                                                              uint64_t lines, const struct packed_key *own,
                                                              uint16_t day, uint64_t sigma)
{
    uint64_t item[CHANNEL_TAKEN / 8];
    item[TAKEN_OWN] = own->word[0] >> 16 << 16 | day;
    item[TAKEN_OWN + 1] = own->word[1];
    item[TAKEN_CHANNEL_SIGMA] = sigma;
    return put_taken(lane, CHANNEL, part, number, place | (own->word[0] & 0xFF) << TAKEN_SIZE_SHIFT, lines,
                     item, CHANNEL_TAKEN);
}

#include "io/sink/match_wide.h"

#if HAS_WIDE
#define TAKE_WIDE(rows, name, ...) ((rows)->wide && LIKELY(name(__VA_ARGS__)))
#else
#define TAKE_WIDE(rows, name, ...) 0
#endif

/* Rows that were not taken. */
static enum err odd_rows(struct early_lane *lane, enum side side, const struct tap_rows *rows,
                         const struct told_rows *told, uint64_t taken, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < rows->count; i++)
        if (!(taken >> i & 1))
            err = odd_row(lane, side, told_key(rows, rows->seps + (size_t)i * rows->columns, i),
                          told->places[i], diag);
    return err;
}

static __attribute__((noinline)) uint64_t
take_local_plain(struct early_lane *lane, const struct tap_rows *rows, const struct told_rows *told)
{
    const uint32_t *seps = rows->seps;
    uint64_t taken = 0;
    for (uint32_t i = 0; i < rows->count && LIKELY(!lane->is_full); i++, seps += rows->columns) {
        const struct packed_key key = told_key(rows, seps, i);
        const struct early_number number = early_number(key.word[0], key.word[1]);
        const uint32_t part = local_part(lane, rows, seps, i, key, number, told->places[i]);
        taken |= (uint64_t)(part != ODD && key_is_whole(lane->early, key) &&
                            take_local(lane, part, number, told->places[i], told->lines[i],
                                       told_sigma(rows->block, i)))
                 << i;
    }
    return taken;
}

static __attribute__((noinline)) uint64_t
take_channel_plain(struct early_lane *lane, const struct tap_rows *rows, const struct told_rows *told)
{
    const uint32_t *seps = rows->seps;
    uint64_t taken = 0;
    for (uint32_t i = 0; i < rows->count && LIKELY(!lane->is_full); i++, seps += rows->columns) {
        const struct packed_key key = told_key(rows, seps, i);
        const struct early_number number = early_number(key.word[0], key.word[1]);
        struct packed_key own;
        const uint32_t part = channel_part(lane, rows, seps, i, key, number, told->places[i], &own);
        taken |= (uint64_t)(part != ODD && key_is_whole(lane->early, key) &&
                            take_channel(lane, part, number, told->places[i], told->lines[i], &own,
                                         rows->block->day[i], told_sigma(rows->block, i)))
                 << i;
    }
    return taken;
}

static enum err take_local_rows(struct early_lane *lane, const struct tap_rows *rows, struct told_rows *told,
                                uint64_t *taken, struct diag *diag)
{
    if (!TAKE_WIDE(rows, take_local_wide, lane, rows, told, taken))
        *taken = take_local_plain(lane, rows, told);
    return odd_rows(lane, LOCAL, rows, told, *taken, diag);
}

static enum err take_channel_rows(struct early_lane *lane, const struct tap_rows *rows,
                                  struct told_rows *told, uint64_t *taken, struct diag *diag)
{
    if (!TAKE_WIDE(rows, take_channel_wide, lane, rows, told, taken))
        *taken = take_channel_plain(lane, rows, told);
    return odd_rows(lane, CHANNEL, rows, told, *taken, diag);
}

/* A function each, for the registers. */
typedef enum err tap_side_fn(struct early_lane *lane, const struct tap_rows *rows, struct told_rows *told,
                             uint64_t *taken, struct diag *diag);

/* Newlines before the first row in its block of the file. */
static __attribute__((noinline)) uint32_t lines_before(const struct tap_rows *rows)
{
    const uint32_t at = rows->seps[-1] + 1;
    uint32_t before = 0;
    for (uint32_t i = at / TAP_LINES * TAP_LINES; i < at; i++)
        before += rows->bytes[i] == '\n';
    return before;
}

static enum err tap_rows(struct tap *tap, const struct tap_rows *rows, uint64_t *taken, struct diag *diag)
{
    static tap_side_fn *const sides[2][SIDES] = {{[LOCAL] = tell_local, [CHANNEL] = tell_channel},
                                                 {[LOCAL] = take_local_rows, [CHANNEL] = take_channel_rows}};
    struct early_lane *lane = (struct early_lane *)tap;
    uint64_t places[PLAIN_BLOCK + 8];
    uint32_t lines[PLAIN_BLOCK];
    *taken = 0;
    if (UNLIKELY(rows->count == 0 || atomic_load_explicit(&lane->early->is_dead, memory_order_relaxed)))
        return OK;
    const enum side side = rows->plan->side_flag & RECORD_CHANNEL ? CHANNEL : LOCAL;
    uint64_t at = rows->place + rows->seps[-1] + 1;
    uint32_t before = lane->next_lines[side];
    if (UNLIKELY(at != lane->next_place[side]))
        before = lines_before(rows);
    const uint32_t *seps = rows->seps + rows->columns - 1;
    for (uint32_t i = 0; i < rows->count; i++, seps += rows->columns) {
        places[i] = at;
        lines[i] = before;
        const uint64_t next = rows->place + *seps + 1;
        /* In another block the newline before it may still be the only one. */
        before = next / TAP_LINES == at / TAP_LINES ? before + 1 : next % TAP_LINES != 0;
        at = next;
    }
    places[rows->count] = lane->next_place[side] = at;
    lane->next_lines[side] = before;
    struct told_rows told;
    told.places = places;
    told.lines = lines;
    return sides[tap->takes != 0][side](lane, rows, &told, taken, diag);
}

/* A local row's compared cells, behind its item. 0: there is not the room. */
static int put_cells(const struct match *m, const uint8_t *cells, uint8_t *to, size_t room)
{
    struct span texts[FIELD_SLOTS];
    const struct lean_plan *plan = &m->plan.side[LOCAL];
    uint8_t *const end = to + room;
    memset(to, 0, room);
    for (unsigned i = 0; i < plan->cell_count; i++)
        cells = lean_get_cell(cells, &texts[i]);
    for (int i = 0; i < m->compare_cell_count; i++) {
        const struct span text = texts[m->compare_cells[i]];
        if (plan->cells[m->compare_cells[i]] == FIELD_STATUS)
            continue;
        if (text.size + 1 > (size_t)(end - to))
            return 0;
        *to++ = (uint8_t)text.size;
        if (text.size)
            memcpy(to, text.data, text.size);
        to += text.size;
    }
    return 1;
}

static inline uint64_t record_sigma(const struct record *r)
{
    return packed_sigma(r->amount_micro, r->currency, r->status, !!(r->flags & RECORD_OUT));
}

static enum err local_row(struct early_lane *lane, const struct tap_row *row, struct packed_key key,
                          int *taken, struct diag *diag)
{
    struct early *e = lane->early;
    const struct record *r = row->record;
    uint64_t item[(LOCAL_ITEM + EARLY_CELLS * LOCAL_CELL) / 8];
    const struct early_number number = early_number(key.word[0], key.word[1]);
    struct early_order parts;
    uint32_t range = ODD;
    if (early_take_order(row->bytes + row->lean->at, &parts) && parts.number.size == r->key_size &&
        memcmp(parts.number.data, r->var, r->key_size) == 0 &&
        put_cells(e->match, row->bytes + row->lean->at + row->lean->order_size, (uint8_t *)item + LOCAL_ITEM,
                  e->local_size - LOCAL_ITEM))
        range = local_range(lane, key.word[0], number, parts.day, parts.channel, parts.type);
    if (lane->tap.takes)
        *taken = range != ODD && take_local(lane, range, number, r->place, row->lines, record_sigma(r));
    if (range == ODD || (lane->tap.takes && !*taken))
        return odd_row(lane, LOCAL, key, r->place, diag);
    if (*taken)
        return OK;
    make_local(item, number, r->place, row->lines);
    return put_item(e->local, lane->number, range, item, e->local_size, diag);
}

static enum err channel_row(struct early_lane *lane, const struct tap_row *row, struct packed_key key,
                            int *taken, struct diag *diag)
{
    struct early *e = lane->early;
    const struct record *r = row->record;
    const struct match_plan *plan = &e->match->plan;
    const struct early_number number = early_number(key.word[0], key.word[1]);
    struct span texts[FIELD_SLOTS];
    const uint8_t *at = row->bytes + row->lean->at;
    for (unsigned i = 0; i < plan->side[CHANNEL].cell_count; i++)
        at = lean_get_cell(at, &texts[i]);
    const struct span text = texts[plan->cell_at[CHANNEL][FIELD_CHANNEL_ORDER_NO]];
    const struct packed_key own = packed_key_anywhere((const uint8_t *)text.data, (uint32_t)text.size, 0);
    const uint32_t cell = number_fits(e, &own, text.size) ? channel_cell(lane, key.word[0], number) : ODD;
    if (lane->tap.takes)
        *taken = cell != ODD && take_channel(lane, cell, number, r->place, row->lines, &own, row->lean->day,
                                             record_sigma(r));
    if (cell == ODD || (lane->tap.takes && !*taken))
        return odd_row(lane, CHANNEL, key, r->place, diag);
    if (*taken)
        return OK;
    const struct told_channel told = {
        .place = r->place, .sigma = record_sigma(r), .lines = row->lines, .day = row->lean->day};
    uint64_t item[CHANNEL_ITEM / 8];
    make_channel(item, number, &own, &told);
    return put_item(e->channel, lane->number, cell, item, CHANNEL_ITEM, diag);
}

static enum err tap_row(struct tap *tap, const struct tap_row *row, int *taken, struct diag *diag)
{
    struct early_lane *lane = (struct early_lane *)tap;
    const struct record *r = row->record;
    if (lane->is_full || atomic_load_explicit(&lane->early->is_dead, memory_order_relaxed))
        return OK;
    const struct packed_key none = {{0, 0}}, key = r->flags & RECORD_NO_KEY
                                                       ? none
                                                       : packed_key_anywhere(r->var, r->key_size, r->channel);
    const int is_usual = row->lean && !row->lean->date_disagrees && row->size >= 1u << PLACE_SHIFT &&
                         !(r->flags & ~(RECORD_CHANNEL | RECORD_OUT)) &&
                         fits_item(r->place, r->amount_micro, r->status) &&
                         !(tap->takes && (row->lean->day != r->day || !key_is_whole(lane->early, key)));
    if (!is_usual || !key.word[0])
        return odd_row(lane, r->flags & RECORD_CHANNEL ? CHANNEL : LOCAL, key, r->place, diag);
    return (r->flags & RECORD_CHANNEL ? channel_row : local_row)(lane, row, key, taken, diag);
}

static void tap_end(struct tap *tap)
{
    const struct early_lane *const lane = (const struct early_lane *)tap;
    for (int side = 0; side < SIDES; side++)
        if (lane->early->shelf[side])
            shelf_end(lane->early->shelf[side], lane->number);
}

void early_tap_init(struct early *e, uint32_t number)
{
    e->lanes[number] = (struct early_lane){
        .tap = {.rows = tap_rows, .row = tap_row, .end = tap_end, .plan = &e->match->plan},
        .early = e,
        .number = number,
        .day = e->days[0],
        .next_place = {UINT64_MAX, UINT64_MAX}};
}
