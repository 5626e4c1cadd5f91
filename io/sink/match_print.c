/* io/sink/match_print.c: a row as it stands in match.csv. See match_inner.h. A hot file. */
#include "core/base/mem.h"
#include "core/model/currency.h"
#include "core/model/day.h"
#include "core/model/money.h"
#include "core/rules/number_text.h"
#include "io/sink/cell_text.h"
#include "io/sink/match_early.h"
#include <errno.h>
#if defined(__SSSE3__)
#include <tmmintrin.h>
#endif

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

enum err match_whole_key(struct match *m, struct row_key *to, uint32_t range, const uint8_t *item,
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

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* The digits of two numbers below 10^8, as numbers, the first one's first digit in front. */
static inline bytes16 digits_of(uint64_t first, uint64_t second)
{
#if defined(__SSSE3__)
    /* Halves by 10000, these by 100, those by 10, each step in lanes half as wide. */
    const __m128i both = _mm_set_epi64x((int64_t)second, (int64_t)first),
                  high = _mm_srli_epi64(_mm_mul_epu32(both, _mm_set1_epi64x(3518437209)), 45),
                  low = _mm_sub_epi64(both, _mm_mul_epu32(high, _mm_set1_epi64x(10000))),
                  halves = _mm_or_si128(high, _mm_slli_epi64(low, 32)),
                  hundreds = _mm_srli_epi32(_mm_mulhi_epu16(halves, _mm_set1_epi32(5243)), 3),
                  rest = _mm_sub_epi32(halves, _mm_mullo_epi16(hundreds, _mm_set1_epi32(100))),
                  pairs = _mm_or_si128(hundreds, _mm_slli_epi32(rest, 16)),
                  tens = _mm_mulhi_epu16(pairs, _mm_set1_epi16(6554)),
                  ones = _mm_sub_epi16(pairs, _mm_mullo_epi16(tens, _mm_set1_epi16(10)));
    return (bytes16)_mm_or_si128(tens, _mm_slli_epi16(ones, 8));
#else
    const uint64_t digits[2] = {EIGHT_DIGITS(first), EIGHT_DIGITS(second)};
    bytes16 both;
    memcpy(&both, digits, sizeof both);
    return both;
#endif
}

/* How many of the first digits are zeros, up to `max`. */
static inline unsigned zeros_before(bytes16 digits, unsigned max)
{
#if defined(__SSSE3__)
    const unsigned others = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8((__m128i)digits, _mm_setzero_si128()));
    return (unsigned)__builtin_ctz(others | 1u << max);
#else
    unsigned zeros = 0;
    while (zeros < max && digits[zeros] == 0)
        zeros++;
    return zeros;
#endif
}

/* A text from byte `skip` on, up to 16, and any bytes behind it. */
static inline bytes16 text_from(bytes16 text, unsigned skip)
{
#if defined(__SSSE3__)
    static const uint8_t moves[32] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (bytes16)_mm_shuffle_epi8((__m128i)text, _mm_loadu_si128((const __m128i *)(moves + skip)));
#else
    uint8_t room[32] = {0};
    memcpy(room, &text, 16);
    memcpy(&text, room + skip, 16);
    return text;
#endif
}

/* Of a number below 10^16, as lines, places and the whole part of any amount are. May write sixteen bytes behind it. */
static inline char *put_number(char *at, uint64_t value)
{
    enum { EIGHT = 100000000 };
    const bytes16 digits = digits_of(value / EIGHT, value % EIGHT);
    const unsigned zeros = zeros_before(digits, 15);
    const bytes16 text = text_from(digits + '0', zeros);
    memcpy(at, &text, sizeof text);
    return at + 16 - zeros;
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
    char *grown = mem_grow(name->text, 1 + CELL_ROOM(shown.size) + 2 + NAME_SHORT);
    if (!grown) {
        name->size = 0;
        return mem_fail(diag, CELL_ROOM(shown.size), "a file's name");
    }
    name->text = grown;
    name->quoted = cell_wants_quotes(shown);
    *grown = ',';
    char *at = cell_write(grown + 1, shown, 0);
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

static inline void add_printed(struct count_and_sum *printed, int64_t amount)
{
    printed->count++;
    printed->sum += amount;
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
    enum err err = match_whole_key(m, &r->key, range, item, &key, diag);
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
    add_printed(&r->printed.pairs[head.currency], head.amount);
    return OK;
}

/* ---- moulds ---- */

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
    d->is_joined = 0;
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
    /* What differs has no part in how the number begins, and stands in the row as it is. What of a key comes before it and is
     * not the whole range's must be the same. */
    const uint32_t same = (uint32_t)(text.data + 1 - (const char *)r->key.bytes),
                   lead = same > shared ? same - shared : 0;
    if (text.size == 0 || lead > MOULD_LEAD || tail - lead > CELL_SLACK || at != r->key.bytes + r->key.size ||
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
    d->lead_size = lead;
    d->tail_size = tail - lead;
    memcpy(d->lead, r->key.bytes + shared, lead);
    d->fixed = head_fixed((const uint8_t *)body.data);
    d->printed = &r->printed.pairs[head.currency];
    d->cells_size = (uint32_t)(end - rest);
    memcpy(d->cells, rest, d->cells_size);
    if (take_piece(d->first, MOULD_FIRST, &d->first_size, row, row + marks->order_no_end - d->tail_size) &&
        take_piece(d->second, MOULD_MIDDLE, &d->second_size, row + marks->order_no_end,
                   row + marks->number) &&
        take_piece(d->third, MOULD_MIDDLE, &d->third_size, row + marks->number_end, row + marks->amounts) &&
        take_piece(d->last, MOULD_LAST, &d->last_size, row + marks->amounts_end, row + r->row_size))
        d->range = range + 1;
}

/* A row without its places goes to where it is printed and to what the digest holds, at the same time: what was just stored in
 * pieces is not there yet to be copied. */
struct both {
    char *text, *hashed;
};

static inline void put_both(struct both to, size_t at, bytes16 bytes)
{
    memcpy(to.text + at, &bytes, sizeof bytes);
    memcpy(to.hashed + at, &bytes, sizeof bytes);
}

static inline void put_cell_both(struct both to, size_t at, struct cell_bytes b)
{
    put_both(to, at, b.low);
    put_both(to, at + 16, b.high);
}

static inline void put_bytes_both(struct both to, size_t at, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i += 16) {
        bytes16 bytes;
        memcpy(&bytes, from + i, sizeof bytes);
        put_both(to, at + i, bytes);
    }
}

/* Of a piece of a mould, whose room is read whole or half. Where the next one goes. */
static inline __attribute__((always_inline)) size_t put_piece(struct both to, size_t at, const char *piece,
                                                              uint32_t size, size_t room)
{
    put_bytes_both(to, at, piece, room / 2);
    if (size > room / 2)
        put_bytes_both(to, at + room / 2, piece + room / 2, room / 2);
    return at + size;
}

/* A mould is there only while names are as short as this wants them, and without quotes. */
static inline char *cast_place(char *at, const struct place_name *name, uint64_t place, uint64_t line)
{
    memcpy(at, name->text, NAME_SHORT);
    at = put_number(at + name->text_size, line);
    *at++ = '@';
    return put_number(at, place);
}

/* A row that is cast has fewer bytes. */
enum { CAST_ROOM = MOULD_FIRST + 2 * MOULD_MIDDLE + MOULD_LAST + 2 * NAME_SHORT + 512 };

static inline enum err cast_room(struct ranging *r, struct diag *diag)
{
    const enum err err = grow_text(&r->text, r->text_used, &r->text_room, CAST_ROOM, diag);
    return err == OK ? grow_text(&r->hashed, r->hashed_used, &r->hashed_room, CAST_ROOM, diag) : err;
}

/* What differs between rows of a mould. */
struct cast {
    struct cell_bytes tail, number;
    uint32_t number_size;
    int64_t amount;
    uint64_t local_place, local_line, channel_place, channel_line;
};

/* Casts a row whose texts stand in it as they are; 0: its amount or places are not as the mould wants them. There is room. */
static inline __attribute__((always_inline)) int cast_row(const struct mould *d, struct ranging *r,
                                                          const struct cast *c)
{
    enum { WHOLE_MAX = 100000000, UNIT = 1000000 };
    const uint64_t amount = c->amount < 0 ? 0 - (uint64_t)c->amount : (uint64_t)c->amount,
                   whole = amount / UNIT, part = amount % UNIT / 10000;
    const uint64_t local_at = c->local_place - r->names[LOCAL].begin,
                   channel_at = c->channel_place - r->names[CHANNEL].begin;
    if (__builtin_expect(amount % 10000 || whole >= WHOLE_MAX || !c->local_line || !c->channel_line ||
                             local_at >= r->names[LOCAL].size || channel_at >= r->names[CHANNEL].size,
                         0))
        return 0;
    const struct both to = {r->text + r->text_used, r->hashed + r->hashed_used};
    size_t size = put_piece(to, 0, d->first, d->first_size, MOULD_FIRST);
    put_cell_both(to, size, c->tail);
    size = put_piece(to, size + d->tail_size, d->second, d->second_size, MOULD_MIDDLE);
    put_cell_both(to, size, c->number);
    size = put_piece(to, size + c->number_size, d->third, d->third_size, MOULD_MIDDLE);
    /* The amount twice, from a register. Behind its eight digits a zero becomes the point, and the one behind the cents a comma. */
    enum { POINT = 8, COMMA = 11 };
    bytes16 signs = {0};
    signs += '0';
    signs[POINT] = '.';
    signs[COMMA] = ',';
    const bytes16 digits = digits_of(whole, part * 100000);
    const unsigned zeros = zeros_before(digits, POINT - 1);
    const bytes16 amount_text = text_from(digits + signs, zeros);
    for (int side = 0; side < SIDES; side++) {
        to.text[size] = to.hashed[size] = '-';
        size += c->amount < 0;
        put_both(to, size, amount_text);
        size += COMMA + 1 - zeros;
    }
    size = put_piece(to, size, d->last, d->last_size, MOULD_LAST);
    to.hashed[size] = '\n';
    r->hashed_used += size + 1;
    char *at = to.text + size;
    at = cast_place(at, &r->names[LOCAL], local_at, c->local_line);
    at = cast_place(at, &r->names[CHANNEL], channel_at, c->channel_line);
    *at++ = '\n';
    r->text_used = (size_t)(at - r->text);
    add_printed(d->printed, c->amount);
    return 1;
}

/* Prints a pair's row from the mould, if that is good for it. */
static inline int cast_pair(const struct mould *d, struct ranging *r, const uint8_t *item)
{
    const uint8_t *const tail = item + 2 + d->lead_size, *const body = tail + d->tail_size,
                         *const head = body + 1, *const cells = head + PAIR_HEAD;
    if (*item != KIND_PAIR || item[1] != d->lead_size + d->tail_size ||
        (d->lead_size && memcmp(item + 2, d->lead, d->lead_size) != 0))
        return 0;
    const uint32_t number_size = cells[2];
    if (cells[0] | cells[1] | (number_size > CELL_SLACK) ||
        body[0] != PAIR_HEAD + 3 + number_size + d->cells_size || head_fixed(head) != d->fixed ||
        !short_equal(cells + 3 + number_size, d->cells, d->cells_size))
        return 0;
    struct pair_head h;
    get_pair_head(head, &h);
    const struct cast cast = {.tail = cell_load(tail),
                              .number = cell_load(cells + 3),
                              .number_size = number_size,
                              .amount = h.amount,
                              .local_place = h.local_place,
                              .local_line = h.local_line,
                              .channel_place = h.channel_place,
                              .channel_line = h.channel_line};
    if (__builtin_expect(!cell_is_plain(cast.tail, d->tail_size) ||
                             !cell_is_plain(cast.number, number_size) ||
                             formula_may_begin(number_size ? (char)cells[3] : ' '),
                         0))
        return 0;
    return cast_row(d, r, &cast);
}

/* Where the bytes of a joined row's number stand in its two words, and of the channel's own number: two digits each, the first ones first;
 * behind them none. Of the own number the last byte stands last, whatever its size. */
enum { NO_BYTE = 0x80 };
static const uint8_t order_of_number[32] = {7,       6,       5,       4,       3,       2,       1,
                                            0,       15,      14,      13,      12,      11,      10,
                                            NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE,
                                            NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE,
                                            NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE},
                     order_of_own[32] = {2,       3,       4,       5,       6,       7,       8,
                                         9,       10,      11,      12,      13,      14,      15,
                                         NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE,
                                         NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE,
                                         NO_BYTE, NO_BYTE, NO_BYTE, NO_BYTE};

/* The digits of a number behind the first `skip` ones, as text. */
static inline struct cell_bytes digits_from(bytes16 words, const uint8_t order[32], unsigned skip)
{
    struct cell_bytes b;
#if defined(__SSSE3__)
    const __m128i nibbles = _mm_set1_epi8(15), zeros = _mm_set1_epi8('0'),
                  bytes =
                      _mm_shuffle_epi8((__m128i)words, _mm_loadu_si128((const __m128i *)(order + skip / 2)));
    __m128i first = _mm_and_si128(_mm_srli_epi16(bytes, 4), nibbles), second = _mm_and_si128(bytes, nibbles);
    if (skip % 2) { /* as it is for all rows of a mould */
        const __m128i third = _mm_srli_si128(first, 1);
        first = second;
        second = third;
    }
    b.low = (bytes16)_mm_or_si128(_mm_unpacklo_epi8(first, second), zeros);
    b.high = (bytes16)_mm_or_si128(_mm_unpackhi_epi8(first, second), zeros);
#else
    uint8_t bytes[16], text[CELL_SLACK];
    memcpy(bytes, &words, sizeof bytes);
    for (unsigned i = 0; i < CELL_SLACK; i++) {
        const unsigned at = skip + i, of = at / 2 < 32 ? order[at / 2] : NO_BYTE;
        text[i] = (uint8_t)('0' + (of == NO_BYTE ? 0 : at % 2 ? bytes[of] & 15 : bytes[of] >> 4));
    }
    b = cell_load(text);
#endif
    return b;
}

_Static_assert(offsetof(struct joined_row, high) == 0 && offsetof(struct joined_row, low) == 8, "a number");

/* The same of a row that was joined, both of whose numbers are digits. */
static inline int cast_joined(const struct mould *d, struct ranging *r, const struct early *e,
                              const struct early_stratum *s, const struct joined_row *row,
                              const uint8_t *cells)
{
    const uint64_t c = row->place_and_words;
    const uint32_t own = (uint32_t)(c >> 56), first = (uint32_t)(row->high >> 60);
    const uint64_t fixed = (row->own[0] & 0xFFFF) | (c >> 48 & 0xFF) << 24;
    if (__builtin_expect(
            !d->is_joined || s->size <= PACKED_RAW_MAX || own <= PACKED_RAW_MAX || own > 31 ||
                d->tail_size > s->digits || fixed != d->fixed || (c >> 40 & 0xFF) != d->status ||
                !short_equal(cells, d->told, e->local_size - LOCAL_ITEM) ||
                (d->lead_size && s->digits == s->size && d->lead[d->lead_size - 1] != '0' + first),
            0))
        return 0;
    bytes16 number, own_number;
    memcpy(&number, row, sizeof number);
    memcpy(&own_number, row->own, sizeof own_number);
    const struct cast cast = {.tail = digits_from(number, order_of_number, s->digits - d->tail_size),
                              .number = digits_from(own_number, order_of_own, PACKED_KEY_MAX - own),
                              .number_size = own,
                              .amount = row->amount,
                              .local_place = joined_place(row),
                              .local_line = joined_line(row),
                              .channel_place = c & MAX40,
                              .channel_line = row->channel_line};
    return cast_row(d, r, &cast);
}

/* A row without its places, to what the digest holds. */
static enum err put_hashed(struct ranging *r, const char *row, size_t size, struct diag *diag)
{
    const enum err err = grow_text(&r->hashed, r->hashed_used, &r->hashed_room, size + 1, diag);
    if (err != OK)
        return err;
    memcpy(r->hashed + r->hashed_used, row, size);
    r->hashed[r->hashed_used + size] = '\n';
    r->hashed_used += size + 1;
    return OK;
}

enum err match_print_pair(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                          const uint8_t *item, struct diag *diag)
{
    if (__builtin_expect(r->mould.range == range + 1, 1)) {
        const enum err err = cast_room(r, diag);
        if (err != OK)
            return err;
        if (__builtin_expect(cast_pair(&r->mould, r, item), 1)) {
            r->mould.pause = r->mould.wait = 0;
            return OK;
        }
    }
    const size_t begin = r->text_used;
    const enum err err = print_pair(m, r, io, range, item, diag);
    if (err != OK)
        return err;
    make_mould(m, r, range, item, r->text + begin);
    return put_hashed(r, r->text + begin, r->row_size, diag);
}

/* The long way, apart from the short one, which would have to keep room for it. */
static __attribute__((noinline)) enum err print_as_item(struct match *m, struct ranging *r,
                                                        struct worker_io *io, uint32_t range,
                                                        const struct joined_row *row, const uint8_t *cells,
                                                        struct diag *diag)
{
    struct mould *const d = &r->mould;
    uint8_t item[JOINED_ITEM + CELL_SLACK];
    join_item(m, range, row, cells, item);
    const enum err err = match_print_pair(m, r, io, range, item, diag);
    /* A mould that is there now is good for this row, so what the row says goes with it. */
    if (err == OK && d->range == range + 1) {
        d->is_joined = 1;
        d->status = row->place_and_words >> 40 & 0xFF;
        if (cells)
            memcpy(d->told, cells, m->early->local_size - LOCAL_ITEM);
    }
    return err;
}

enum err match_print_joined(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                            const struct joined_row *row, const uint8_t *cells, struct diag *diag)
{
    const struct early *e = m->early;
    const struct early_stratum *s = &e->strata[e->stratum_of_range[range]];
    struct mould *const d = &r->mould;
    if (LIKELY(d->range == range + 1)) {
        const enum err err = cast_room(r, diag);
        if (err != OK)
            return err;
        if (LIKELY(cast_joined(d, r, e, s, row, cells))) {
            d->pause = d->wait = 0;
            return OK;
        }
    }
    return print_as_item(m, r, io, range, row, cells, diag);
}

enum err match_print_row(struct ranging *r, const uint8_t *item, struct diag *diag)
{
    struct span body = item_body(item), row, places;
    lean_get_cell(lean_get_cell((const uint8_t *)body.data, &row), &places);
    enum err err =
        grow_text(&r->text, r->text_used, &r->text_room, row.size + places.size + 1 + CELL_SLACK, diag);
    if (err != OK)
        return err;
    char *at = r->text + r->text_used;
    memcpy(at, row.data, row.size);
    memcpy(at + row.size, places.data, places.size);
    at[row.size + places.size] = '\n';
    r->text_used += row.size + places.size + 1;
    r->printed.rows++;
    return put_hashed(r, row.data, row.size, diag);
}
