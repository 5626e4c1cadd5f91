/* io/sink/match_early.h: rows of match.csv that are taken while they are read, so that no file is read again.
 *
 *     local rows   ─> by range of ≺ ───────────────┐
 *     channel rows ─> by cell: code and number ────┤ both files are read
 *     pairs        ─> a bit for each of their rows ┘ all is judged
 *     range by range: rows with a bit, joined by their keys, become items of pairs as stage 3 makes them
 *
 * A range lies within one stratum: rows of one bill date, channel, biz_type, length of order number and letters before its digits
 * (packed.h), so within it ≺ is the order of the digits alone. Strata and ranges come of a sample of the local file, read before it. A row that fits into none of them, or
 * not into an item, is *odd*: its pair takes the long way (match_slices.c). Where many are odd, or a range or cell is much larger
 * than the sample said, all of it is dropped before anything is made of it, and all pairs take the long way.
 *
 *      0          8                16                   24                                         48
 *      +----------+----------+-----+-------+------------+ - - +
 *      | number: 112 bits    |lines| place              |cells|             a local row; what is compared besides the status
 *      +----------+----------+-----+-------+---+---+----+----------+----------+--------+---+
 *      | number              |lines| place |       |size| channel's number    | sigma  |day|   a channel row
 *      +----------+----------+-----+-------+---+---+----+----------+----------+--------+---+
 *
 * Of a block of usual rows of a plain file all that is told column by column; any other row comes by itself, as the lean row that
 * the long way would have read again (core/ops/tap.h).
 *
 * **Rows that are taken** (match_meet.c). Where nothing but key, amount and status is compared, and there is the memory for all of them,
 * they never become records of the index: what it would do for each row in no order, hashing and a line that is not there, is done
 * cell by cell when all are read, in the second-level cache.
 *
 *     local rows   ─> shelf by range ─┐ both files are read                     ┌─> pairs by range, to be printed
 *     channel rows ─> shelf by cell ──┴─> cell by cell: one local row and one ──┤
 *                                         of the channel, alike                 └─> all others: to the index, as records
 *
 * So all ranges of a cell are cut alike. A key of which there is a row that was not taken (an *odd* one, in the index already) is the index's
 * whole: the taps note its hash. Where too many are odd or the shelf is full, all rows go to the index, and all pairs the long way. On
 * the shelf a number is how far it lies behind its cell's first one; a row that lies farther than 64 bits say is odd.
 *
 *      0          8                    16                   24                   32         40
 *      +----------+--------------------+----------+
 *      | rest     | place    |lines|   | sigma    |          a local row
 *      +----------+----------+-----+---+----------+---------+----------+----------+
 *      | rest     | place    |lines|size|  | channel's number  | day | sigma      |   a channel row
 *      +----------+----------+-----+---+----------+---------+----------+----------+
 *
 * A pair has the words of both, each once: 48 bytes (struct met_pair).
 *
 * Memory   of match_config.memory, taken at once; tanks as they say; shelves of match_config.shelf. Threads: taps are lanes'; the rest as
 * match.h.
 */
#ifndef TIEOUT_IO_SINK_MATCH_EARLY_H
#define TIEOUT_IO_SINK_MATCH_EARLY_H

#include "core/ops/outbox.h"
#include "core/ops/tap.h"
#include "io/sink/match_inner.h"
#include "io/sink/shelf.h"

enum {
    EARLY_CHANNELS = 16,
    EARLY_TYPES = 8,
    EARLY_DAYS = 4,
    EARLY_SIZES = 32,
    EARLY_PREFIXES = 4,
    EARLY_STRATA = 256,
    EARLY_TEXT = 16, /* of a channel's code, a biz_type */
    EARLY_NEAR = 1024,
    EARLY_HEADS = 16,
    EARLY_NONE = 0xFFFF,
    EARLY_HEAD = 64,       /* of an order key, before the order's number */
    EARLY_WORD = 64,       /* of a status */
    EARLY_NUMBER_MAX = 32, /* bytes that are written for a number, whatever its length */
    EARLY_ODD = 1 << 13,   /* of one lane and side */
    PLACE_SHIFT = 5,       /* bytes of a file that share a bit; shorter rows are odd */
    LOCAL_ITEM = 24,
    LOCAL_TAKEN = 24,
    CHANNEL_TAKEN = 40,
    LOCAL_CELL = 16, /* room for each compared cell behind it */
    EARLY_CELLS = 6, /* of them */
    CHANNEL_ITEM = 48
};

/* Parts that lie side by side, and where a number goes among them. */
struct early_span {
    /* The least number of each, and UINT64_MAX. What is less than the first one goes there, too. */
    const uint64_t *low;
    uint64_t first;
    unsigned shift;
    uint32_t begin, count;
    uint16_t near[EARLY_NEAR];
};

struct early_stratum {
    struct early_span span; /* ranges */
    const struct early_span
        *find; /* how a number finds its own: this span, or the one that is cut alike and is its group's */
    uint16_t day;
    uint8_t channel, type, size, prefix;
    uint8_t digits; /* of the number: what stands behind the prefix */
    uint8_t head_size;
    uint8_t head[EARLY_HEAD]; /* of its order keys, with the prefix */
    uint16_t next;            /* stratum whose rows go to the same cells; EARLY_NONE: there is no other */
};

struct early_text {
    uint8_t size;
    char text[EARLY_TEXT];
};

/* What the numbers of a part of the shelf have in common: they are `high` and, `shift` bits from the end, their rest. */
struct early_base {
    uint64_t high;
    uint32_t shift;
};

/* What is known of TAP_LINES bytes of a file, in one place: it is asked for row by row, in no order. */
struct early_block {
    _Atomic uint64_t told; /* of rows that begin there: a bit where the pair stayed one */
    uint64_t lines;        /* newlines before the block */
};
_Static_assert(sizeof(struct early_block) == 16 && TAP_LINES == 64 << PLACE_SHIFT, "a word of bits");

/* A pair of rows that were taken; words as in their items. */
struct met_pair {
    uint64_t rest, local, channel, own[2], sigma;
};
enum { MET_A_BLOCK = SHELF_PAYLOAD / sizeof(struct met_pair) };
_Static_assert(SHELF_PAYLOAD % sizeof(struct met_pair) == 0, "a block is whole pairs");

/* A range's. */
struct met_range {
    struct shelf_block *first;
    uint32_t count;
};

/* What rows of a side have in common whose keys have the same length, letters and channel, and of local rows the same day and type:
 * where their numbers are looked up, how far these lie from the end of 112 bits, and the part of the first ones. */
struct early_head {
    const struct early_span *span;
    uint32_t shift, begin;
};

/* Those that came lately. */
struct early_heads {
    uint64_t head[EARLY_HEADS];
    struct early_head of[EARLY_HEADS];
    uint32_t count, next; /* the next one goes there */
};

struct early_lane {
    struct tap tap; /* first */
    struct early *early;
    uint32_t number;
    uint8_t channel_of[PACKED_CHANNEL_MAX +
                       1]; /* by its number in the dictionary: index + 1; 0: not looked up; 255: none */
    uint8_t type, channel; /* the last ones */
    uint16_t day;
    uint8_t day_index;
    struct shelf_lane *shelf[SIDES];
    int is_full;          /* the shelf, for this lane */
    uint64_t *odd[SIDES]; /* places; where rows are taken, hashes of keys */
    uint32_t odd_count[SIDES];
    uint64_t given, joined; /* pairs */
    struct early_heads heads[SIDES];
    /* Behind the last block of rows; and the newlines before it in its TAP_LINES bytes. */
    uint64_t next_place[SIDES];
    uint32_t next_lines[SIDES];
};

struct early {
    struct match *match;
    struct dict *words;
    int has_channel;              /* K1 says the channel; else the local row does */
    int lacks_code, lacks_number; /* the channel's rows have no code; the local ones no channel's number */
    uint32_t local_size, cells_count; /* of a local item; compared cells in it */
    _Atomic int is_dead;
    int is_settled; /* kept or dropped; under match->lock */
    struct early_text channels[EARLY_CHANNELS], types[EARLY_TYPES];
    struct early_text prefixes[EARLY_PREFIXES]; /* letters before digits; mostly none */
    uint16_t days[EARLY_DAYS];
    uint32_t channel_count, type_count, prefix_count, day_count;
    uint16_t stratum_of[EARLY_DAYS][EARLY_TYPES][EARLY_CHANNELS][EARLY_SIZES][EARLY_PREFIXES];
    uint16_t group_of[EARLY_CHANNELS][EARLY_SIZES]
                     [EARLY_PREFIXES]; /* a channel's cells for numbers that look alike */
    struct early_stratum *strata;
    struct early_span *groups;
    uint32_t stratum_count, group_count;
    uint64_t *lows; /* of all strata */
    uint32_t low_count;
    uint16_t *stratum_of_range;
    uint32_t range_count, cell_count;
    struct tank *local, *channel;
    /* Rows that are taken, in place of tanks; NULL: they are told only. */
    struct shelf *shelf[SIDES];
    uint64_t shelf_size[SIDES];                      /* bytes that they may have; 0: none */
    uint64_t rows[SIDES];                            /* as the sample says */
    struct early_base *base[SIDES];                  /* of each range and cell */
    uint16_t first_of_group[EARLY_STRATA];           /* strata */
    _Atomic uint16_t channel_number[EARLY_CHANNELS]; /* in the dictionary; 0: no row had it */
    struct met_range *met;                           /* of each range */
    _Atomic uint32_t next_cell, next_clear, next_lines;
    uint64_t *odd_keys; /* a table of hashes, 0 where there is none; NULL: there are none */
    uint64_t odd_mask;
    int is_joined;                     /* rows that were taken have met */
    int gives_back;                    /* all that was taken goes to the index */
    struct early_block *blocks[SIDES]; /* NULL: rows are taken */
    uint64_t block_count[SIDES];
    /* Where rows are taken: newlines before each block, without those before the first one of its stretch. Small, for pairs ask for
     * two in no order. */
    uint32_t *lines[SIDES];
    uint64_t *lines_before[SIDES]; /* of each stretch */
    size_t tank_memory;            /* what blocks leave */
    uint64_t *odd[SIDES];          /* all lanes', sorted */
    uint32_t odd_count[SIDES];
    struct early_lane *lanes;
};

/* `m->early` stays NULL where the job, its files or memory do not suit. */
enum err early_open(struct match *m, struct diag *diag);
void early_close(struct early *e);
/* What the rows will take: of the shelves, or of tanks. */
void early_sizes(const struct early *e, uint64_t *shelf, uint64_t *aside);
/* All is printed: gives back what the shelves hold, by whoever has the time. */
void early_clear_shelves(struct early *e);
/* Both files are read, where rows are taken: decides once whether they meet or all go to the index (gives_back). */
void early_read(struct match *m);
/* Counts the lines before each block, each worker those of some blocks, until all are counted. Before rows are printed. */
void early_lines(struct early *e);
/* Both files are read: 1 if what was told of them is used; else it is dropped. Under m->lock, the first time decides. */
int early_settle(struct match *m);
/* Marks pairs; those with an odd row, and all where rows are taken, are copied to `odd`, which has room for all. */
void early_pairs(struct early *e, uint32_t lane, const struct pair_ref *pairs, uint64_t count,
                 struct pair_ref *odd, uint64_t *odd_count);
/* What a lane told is whole. */
enum err early_end(struct early *e, uint32_t lane, struct diag *diag);
/* The cuts between ranges, in place of match_make_ranges. */
enum err early_ranges(struct match *m, struct diag *diag);
/* All that was marked was joined, or it is a bug. */
enum err early_check(const struct early *e, struct diag *diag);

/* ---- match_join.c ---- */

/* A pair of a range, in a line of memory. */
struct joined_row {
    uint64_t high, low; /* of the number: 64 and 48 bits; behind them the upper 16 bits of the local line */
    uint64_t place;     /* 40 bits of the local one, and the lower 24 of its line */
    /* [2] to [5] of the channel's item, status and currency behind its place: this one is 0 until it is there, as no row's is. */
    uint64_t place_and_words;
    uint64_t own[2];
    int64_t amount;
    uint64_t channel_line;
};
_Static_assert(sizeof(struct joined_row) == 64, "a line");

static inline uint64_t joined_place(const struct joined_row *row)
{
    return row->place & MAX40;
}
static inline uint64_t joined_line(const struct joined_row *row)
{
    return row->place >> 40 | (row->low & 0xFFFF) << 24;
}

enum { LINES_STRETCH = 1 << 12 }; /* blocks */

static inline const uint32_t *early_lines_at(const struct early *e, enum side side, uint64_t place)
{
    return &e->lines[side][place / TAP_LINES];
}
static inline uint64_t early_lines_before(const struct early *e, enum side side, uint64_t place)
{
    return e->lines_before[side][place / TAP_LINES / LINES_STRETCH] + *early_lines_at(e, side, place);
}

static inline uint64_t spread_nibbles(uint32_t nibbles)
{
    uint64_t x = nibbles;
    x = (x | x << 16) & 0x0000FFFF0000FFFFull;
    x = (x | x << 8) & 0x00FF00FF00FF00FFull;
    x = (x | x << 4) & 0x0F0F0F0F0F0F0F0Full;
    return __builtin_bswap64(x | 0x3030303030303030ull);
}

static inline const struct early_block *early_block_of(const struct early *e, enum side side, uint64_t place)
{
    return &e->blocks[side][place / TAP_LINES];
}

/* What of a packed key stands behind its letters, as 112 bits that are in order among those of one length, the first digit or byte
 * highest: the upper 64 and the lower 48. */
struct early_number {
    uint64_t high, low;
};

static inline struct early_number early_number(uint64_t word0, uint64_t word1)
{
    const uint32_t size = word0 & 31, letters = word0 >> 5 & 7;
    const uint64_t high = __builtin_bswap64(word0 >> 16 | word1 << 48), low = __builtin_bswap64(word1)
                                                                              << 16; /* its upper 48 bits */
    const unsigned shift = size > PACKED_RAW_MAX ? 4 * (PACKED_KEY_MAX - size + letters) : 0;
    const unsigned __int128 number = ((unsigned __int128)high << 64 | low) << (shift & 127);
    return (struct early_number){(uint64_t)(number >> 64), (uint64_t)number >> 16};
}

enum {
    TAKEN_REST,
    TAKEN_PLACE,
    TAKEN_SIGMA,   /* of a local row */
    TAKEN_OWN = 2, /* of a channel's: the number's first word but for its head, and the day; its second */
    TAKEN_CHANNEL_SIGMA = 4,
    TAKEN_LINES_SHIFT = 40,
    TAKEN_LINES_MAX = 255,
    TAKEN_SIZE_SHIFT = 48
};

/* 0: the number lies too far off. */
static inline int early_rest(const struct early_base *base, struct early_number number, uint64_t *rest)
{
    const unsigned __int128 behind =
        ((unsigned __int128)(number.high - base->high) << 48 | number.low) >> base->shift;
    *rest = (uint64_t)behind;
    return (number.high >= base->high) & ((uint64_t)(behind >> 64) == 0);
}

static inline struct early_number early_whole(const struct early_base *base, uint64_t rest)
{
    const unsigned __int128 behind = (unsigned __int128)rest << base->shift;
    return (struct early_number){base->high + (uint64_t)(behind >> 48), (uint64_t)behind & MAX48};
}

/* A local item's part, and a channel item's: `lines` of its block. */
static inline void joined_local(struct joined_row *row, const uint64_t *item, uint64_t lines)
{
    const uint64_t line = lines + (item[1] & 0xFFFF) + 1;
    row->high = item[0];
    row->low = item[1] >> 16 << 16 | line >> 24;
    row->place = item[2] | line << 40;
}
static inline void joined_channel(struct joined_row *row, const uint64_t *item, uint64_t lines)
{
    const uint64_t sigma = item[5];
    row->place_and_words = item[2] | (sigma >> 1 & PACKED_STATUS_MAX) << 40 | (sigma >> 8 & 0xFF) << 48;
    row->own[0] = item[3];
    row->own[1] = item[4];
    row->amount = (int64_t)sigma >> 16;
    row->channel_line = lines + (item[1] & 0xFFFF) + 1;
}

/* Bytes of the item that join_item makes of one, at most. */
enum { JOINED_ITEM = EARLY_HEAD + 64 + PAIR_HEAD + EARLY_WORD + EARLY_CELLS * LOCAL_CELL + 16 };

struct early_join;
struct early_join *join_open(struct diag *diag);
void join_close(struct early_join *j);
/* Starts to read what `range` needs. `turn` 0 or 1: one is read while the other is joined. */
enum err join_begin(struct match *m, struct early_join *j, uint32_t range, unsigned turn, struct diag *diag);
/* Its pairs; they live until the next call. */
enum err join_range(struct match *m, struct early_join *j, uint32_t lane, uint32_t range, unsigned turn,
                    size_t *count, struct diag *diag);
/* Pair number `index` of them, in order, with its compared cells (NULL: there are none). Made to be called with one after the other; it may
 * be another's at the next call. */
const struct joined_row *join_row(struct early_join *j, size_t index, const uint8_t **cells);
/* The same for any of them; in `room`, where it does not lie in memory as it is. */
const struct joined_row *join_row_alone(const struct early_join *j, size_t index, struct joined_row *room,
                                        const uint8_t **cells);
/* It will be asked for soon. */
void join_expect(const struct early_join *j, size_t index);
/* All of them as items, as the long way makes them. */
enum err join_items(const struct match *m, struct early_join *j, uint32_t range, struct sort_entry **entries,
                    struct diag *diag);
/* One as an item; the byte behind it. */
uint8_t *join_item(const struct match *m, uint32_t range, const struct joined_row *row, const uint8_t *cells,
                   uint8_t *to);
/* Prints one, straight from the mould where that is good for it (match_print.c). */
enum err match_print_joined(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                            const struct joined_row *row, const uint8_t *cells, struct diag *diag);

static inline int early_find_text(const struct early_text *texts, uint32_t count, struct span text)
{
    for (uint32_t i = 0; i < count; i++)
        if (texts[i].size == text.size && memcmp(texts[i].text, text.data, text.size) == 0)
            return (int)i;
    return -1;
}

/* What order bytes of a local row say. */
struct early_order {
    uint16_t day;
    struct span channel, type, number;
};

/* 0: the row has an occurrence id, which goes before all that. */
static inline int early_take_order(const uint8_t *bytes, struct early_order *parts)
{
    enum { HEAD = 5 };
    static const uint8_t no_id[HEAD - 2] = {1, 0, 0};
    if (memcmp(bytes + 2, no_id, sizeof no_id) != 0)
        return 0;
    parts->day = (uint16_t)(bytes[0] << 8 | bytes[1]);
    order_get_field(order_get_field(order_get_field(bytes + HEAD, &parts->channel), &parts->type),
                    &parts->number);
    return 1;
}

/* Most slots of `near` lie within two parts, and which it is cannot be guessed: so that is reckoned without a branch. */
static inline uint32_t early_find_at(const struct early_span *s, uint64_t number)
{
    number -= number == UINT64_MAX;
    const uint64_t near = number < s->first ? 0 : (number - s->first) >> s->shift;
    uint32_t at = s->near[near < EARLY_NEAR ? near : EARLY_NEAR - 1];
    at += s->low[at + 1] <= number;
    at += s->low[at + 1] <= number;
    while (UNLIKELY(s->low[at + 1] <= number))
        at++;
    return at;
}
static inline uint32_t early_find(const struct early_span *s, uint64_t number)
{
    return s->begin + early_find_at(s, number);
}

/* A number's text; EARLY_NUMBER_MAX bytes are written. */
static inline void early_number_text(uint8_t *to, struct early_number number, uint32_t size)
{
    if (LIKELY(size > PACKED_RAW_MAX)) {
        put_word(to, spread_nibbles((uint32_t)(number.high >> 32)));
        put_word(to + 8, spread_nibbles((uint32_t)number.high));
        put_word(to + 16, spread_nibbles((uint32_t)(number.low >> 16)));
        put_word(to + 24, spread_nibbles((uint32_t)(number.low << 16)));
        return;
    }
    put_word(to, __builtin_bswap64(number.high));
    put_word(to + 8, __builtin_bswap64(number.low << 16));
}

static inline uint64_t early_odd_hash(uint64_t high, uint64_t low, uint32_t size)
{
    const uint64_t hash = ((high ^ low * 0x9E3779B97F4A7C15ull) + size) * 0xD6E8FEB86659FD93ull;
    return (hash ^ hash >> 32) | 1;
}

/* ---- match_taps.c ---- */

/* The tap of a lane; its shelf is not there yet. */
void early_tap_init(struct early *e, uint32_t number);

/* ---- match_meet.c ---- */

/* Rows that were taken meet, cell by cell (sink_ops.join). `left` is empty at first. */
enum err meet_cells(struct early *e, uint32_t lane, struct outbox *outbox, struct pair_totals *left,
                    struct diag *diag);

#endif
