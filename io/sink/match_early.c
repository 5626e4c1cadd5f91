/* io/sink/match_early.c: see match_early.h. The taps are hot. */
#include "io/sink/match_early.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include <stdlib.h>

enum {
    EARLY_MEMORY = 4 << 20, /* of match.csv; below it rows are read again */
    /* Each has a line of memory in hand that its next row is written to, and twice as many do not stay in the second-level cache while
     * a chunk is decoded. */
    ROWS_A_RANGE = 12000,
    RANGES_MAX = 8192,
    JOINED_ROW = 400, /* bytes, roughly, while its range is in memory */
    SAMPLED = 4,      /* rows that a range has in the sample, at least */
    SAMPLE_BLOCKS = 128,
    SAMPLE_BLOCKS_MIN = 24,
    SAMPLED_OF = 160, /* blocks, one: some 75 rows a range */
    SAMPLE_BLOCK = 64 << 10,
    SAMPLE_ROWS = 1 << 17,
    ROW = 96 /* bytes of a file that a row has at least, mostly */
};

/* ---- the sample ---- */

struct early_sample {
    uint64_t number;  /* its upper 64 bits */
    uint32_t stratum; /* day, channel, type, size: as indexes of texts, which are put in order later */
};

struct sampling {
    struct early *e;
    struct early_sample *rows;
    uint32_t count;
    struct tap_sample lines;
};

static uint32_t stratum_code(uint32_t day, uint32_t channel, uint32_t type, uint32_t size, uint32_t prefix)
{
    return (((day * EARLY_CHANNELS + channel) * EARLY_TYPES + type) * EARLY_SIZES + size) * EARLY_PREFIXES +
           prefix;
}

/* The same back; `day` is its index. */
static struct early_stratum stratum_of_code(uint32_t code)
{
    struct early_stratum s = {.prefix = (uint8_t)(code % EARLY_PREFIXES)};
    code /= EARLY_PREFIXES;
    s.size = (uint8_t)(code % EARLY_SIZES);
    code /= EARLY_SIZES;
    s.type = (uint8_t)(code % EARLY_TYPES);
    code /= EARLY_TYPES;
    s.channel = (uint8_t)(code % EARLY_CHANNELS);
    s.day = (uint16_t)(code / EARLY_CHANNELS);
    return s;
}

static int find_text(const struct early_text *texts, uint32_t count, struct span text)
{
    for (uint32_t i = 0; i < count; i++)
        if (texts[i].size == text.size && memcmp(texts[i].text, text.data, text.size) == 0)
            return (int)i;
    return -1;
}

/* -1: it is too long, or there is no room for one more. */
static int know_text(struct early_text *texts, uint32_t *count, uint32_t most, struct span text)
{
    const int found = text.size > EARLY_TEXT ? -1 : find_text(texts, *count, text);
    if (found >= 0 || text.size > EARLY_TEXT || *count == most)
        return found;
    texts[*count].size = (uint8_t)text.size;
    if (text.size)
        memcpy(texts[*count].text, text.data, text.size);
    return (int)(*count)++;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Keys with the one are in order beside keys with the other: not where one goes on with a digit where the other's digits begin. */
static int prefixes_part(const struct early_text *a, const struct early_text *b)
{
    const struct early_text *less = a->size < b->size ? a : b, *more = a->size < b->size ? b : a;
    return less->size == more->size || memcmp(less->text, more->text, less->size) != 0 ||
           !is_digit(more->text[less->size]);
}

static int know_prefix(struct early *e, struct span text)
{
    const uint32_t count = e->prefix_count;
    const int known = know_text(e->prefixes, &e->prefix_count, EARLY_PREFIXES, text);
    for (uint32_t i = 0; known >= 0 && (uint32_t)known == count && i < count; i++)
        if (!prefixes_part(&e->prefixes[i], &e->prefixes[count])) {
            e->prefix_count--;
            return -1;
        }
    return known;
}

static int know_day(struct early *e, uint16_t day)
{
    for (uint32_t i = 0; i < e->day_count; i++)
        if (e->days[i] == day)
            return (int)i;
    if (e->day_count == EARLY_DAYS)
        return -1;
    e->days[e->day_count] = day;
    return (int)e->day_count++;
}

/* What order bytes of a local row say. */
struct order_parts {
    uint16_t day;
    struct span channel, type, number;
};

/* 0: the row has an occurrence id, which goes before all that. */
static int take_order(const uint8_t *bytes, struct order_parts *parts)
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

/* One that no item holds is left out: ranges come of the others. */
static void sample_row(struct sampling *s, const uint8_t *order)
{
    struct early *e = s->e;
    struct order_parts parts;
    if (!take_order(order, &parts) || parts.number.size > PACKED_KEY_MAX || s->count == SAMPLE_ROWS)
        return;
    const struct packed_key packed =
        packed_key_anywhere((const uint8_t *)parts.number.data, (uint32_t)parts.number.size, 0);
    if (!packed.word[0])
        return;
    const int day = know_day(e, parts.day),
              channel = know_text(e->channels, &e->channel_count, EARLY_CHANNELS, parts.channel),
              type = know_text(e->types, &e->type_count, EARLY_TYPES, parts.type),
              prefix = know_prefix(e, (struct span){parts.number.data, packed.word[0] >> 5 & 7});
    if (day < 0 || channel < 0 || type < 0 || prefix < 0)
        return;
    s->rows[s->count++] = (struct early_sample){early_number(packed.word[0], packed.word[1]).high,
                                                stratum_code((uint32_t)day, (uint32_t)channel, (uint32_t)type,
                                                             (uint32_t)parts.number.size, (uint32_t)prefix)};
}

static enum err take_sample(struct early *e, uint64_t end, struct sampling *s, struct diag *diag)
{
    struct source *source = e->match->config.sources[LOCAL];
    const uint64_t all = (end + SAMPLE_BLOCK - 1) / SAMPLE_BLOCK,
                   wanted = all / SAMPLED_OF < SAMPLE_BLOCKS_MIN ? SAMPLE_BLOCKS_MIN : all / SAMPLED_OF,
                   most = wanted < SAMPLE_BLOCKS ? wanted : SAMPLE_BLOCKS, blocks = all < most ? all : most;
    s->e = e;
    s->rows = mem_take(SAMPLE_ROWS * sizeof *s->rows);
    enum err err = s->rows ? OK : mem_fail(diag, SAMPLE_ROWS * sizeof *s->rows, "match.csv");
    for (uint64_t i = 0; err == OK && i < blocks; i++) {
        struct lean_list *const list = &s->lines.list;
        lean_list_reset(list);
        err = source->ops->tap_sample(source, i * all / blocks * SAMPLE_BLOCK, &e->match->plan.side[LOCAL],
                                      &s->lines, diag);
        for (uint32_t k = 0; err == OK && k < list->count; k++)
            sample_row(s, list->bytes + list->items[k].at);
    }
    return err;
}

static int by_size_and_text(const void *a, const void *b)
{
    const struct early_text *x = a, *y = b;
    return x->size != y->size ? (x->size > y->size) - (x->size < y->size) : memcmp(x->text, y->text, x->size);
}

/* Behind a prefix stands a digit. */
static int by_prefix(const void *a, const void *b)
{
    const struct early_text *x = a, *y = b;
    char one[EARLY_TEXT + 1] = {0}, other[EARLY_TEXT + 1] = {0};
    memcpy(one, x->text, x->size);
    memcpy(other, y->text, y->size);
    one[x->size] = other[y->size] = '0';
    return memcmp(one, other, (x->size < y->size ? x->size : y->size) + 1);
}

static int by_day(const void *a, const void *b)
{
    const uint16_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int by_stratum(const void *a, const void *b)
{
    const struct early_sample *x = a, *y = b;
    if (x->stratum != y->stratum)
        return (x->stratum > y->stratum) - (x->stratum < y->stratum);
    return (x->number > y->number) - (x->number < y->number);
}

/* Texts and days in order, so that strata are in order by their codes; codes of the sample follow. */
static void order_texts(struct sampling *s)
{
    struct early *e = s->e;
    struct early_text channels[EARLY_CHANNELS], types[EARLY_TYPES], prefixes[EARLY_PREFIXES];
    uint16_t days[EARLY_DAYS];
    memcpy(channels, e->channels, sizeof channels);
    memcpy(types, e->types, sizeof types);
    memcpy(prefixes, e->prefixes, sizeof prefixes);
    memcpy(days, e->days, sizeof days);
    qsort(e->channels, e->channel_count, sizeof *e->channels, by_size_and_text);
    qsort(e->types, e->type_count, sizeof *e->types, by_size_and_text);
    qsort(e->prefixes, e->prefix_count, sizeof *e->prefixes, by_prefix);
    qsort(e->days, e->day_count, sizeof *e->days, by_day);
    uint32_t channel_to[EARLY_CHANNELS], type_to[EARLY_TYPES], prefix_to[EARLY_PREFIXES], day_to[EARLY_DAYS];
    for (uint32_t i = 0; i < e->channel_count; i++)
        channel_to[i] = (uint32_t)find_text(e->channels, e->channel_count,
                                            (struct span){channels[i].text, channels[i].size});
    for (uint32_t i = 0; i < e->type_count; i++)
        type_to[i] =
            (uint32_t)find_text(e->types, e->type_count, (struct span){types[i].text, types[i].size});
    for (uint32_t i = 0; i < e->prefix_count; i++)
        prefix_to[i] = (uint32_t)find_text(e->prefixes, e->prefix_count,
                                           (struct span){prefixes[i].text, prefixes[i].size});
    for (uint32_t i = 0; i < e->day_count; i++)
        day_to[i] = (uint32_t)know_day(e, days[i]);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct early_stratum t = stratum_of_code(s->rows[i].stratum);
        s->rows[i].stratum =
            stratum_code(day_to[t.day], channel_to[t.channel], type_to[t.type], t.size, prefix_to[t.prefix]);
    }
}

/* ---- strata, ranges and cells ---- */

/* Where to look for numbers, most of which lie between these. */
static void make_near(struct early_span *s, uint64_t first, uint64_t last)
{
    s->first = first;
    s->shift = 0;
    while ((last - first) >> s->shift >= EARLY_NEAR)
        s->shift++;
    for (uint32_t i = 0, at = 0; i < EARLY_NEAR; i++) {
        while (at + 1 < s->count && s->low[at + 1] <= first + ((uint64_t)i << s->shift))
            at++;
        s->near[i] = (uint16_t)at;
    }
}

static void make_head(const struct early *e, struct early_stratum *s)
{
    const struct early_text *texts[] = {&e->channels[s->channel], &e->types[s->type]};
    uint8_t *at = order_put_head(s->head, s->day, (struct span){"", 0});
    for (int i = 0; i < 2; i++)
        at = order_put_field(at, (struct span){texts[i]->text, texts[i]->size});
    at = order_put_size(at, s->size);
    memcpy(at, e->prefixes[s->prefix].text, e->prefixes[s->prefix].size);
    at += e->prefixes[s->prefix].size;
    s->head_size = (uint8_t)(at - s->head);
}

/* A stratum of the sample's rows from `from` to `to`, of which so many stand for one range. */
static void make_stratum(struct early *e, const struct early_sample *rows, uint32_t from, uint32_t to,
                         uint32_t rows_a_range)
{
    struct early_stratum *s = &e->strata[e->stratum_count];
    const uint32_t count = to - from;
    *s = stratum_of_code(rows[from].stratum);
    const uint32_t day = s->day;
    s->day = e->days[day];
    s->digits = (uint8_t)(s->size - e->prefixes[s->prefix].size);
    make_head(e, s);
    s->span.begin = e->range_count;
    uint64_t *const low_of = e->lows + e->low_count;
    s->span.low = low_of;
    const uint32_t wanted = count / rows_a_range ? count / rows_a_range : 1;
    for (uint64_t i = 0; i < wanted; i++) {
        const uint64_t low = i ? rows[from + i * count / wanted].number : 0;
        if (i && (low == low_of[s->span.count - 1] || low == UINT64_MAX || e->range_count == RANGES_MAX))
            continue;
        e->stratum_of_range[e->range_count] = (uint16_t)e->stratum_count;
        low_of[s->span.count++] = low;
        e->range_count++;
    }
    low_of[s->span.count] = UINT64_MAX;
    e->low_count += s->span.count + 1;
    make_near(&s->span, rows[from].number, rows[to - 1].number);
    e->stratum_of[day][s->type][s->channel][s->size][s->prefix] = (uint16_t)e->stratum_count++;
}

/* K1 without the channel: one key may lie in any of them. */
static uint32_t group_channel(const struct early *e, uint32_t channel)
{
    return e->has_channel ? channel : 0;
}

/* The group of a stratum's cells. */
static uint16_t *group_at(struct early *e, const struct early_stratum *s)
{
    return &e->group_of[group_channel(e, s->channel)][s->size][s->prefix];
}

/* Cells of a channel and length: they are cut as its largest stratum is, so that most ranges want one cell. */
static void make_groups(struct early *e)
{
    for (uint32_t i = 0; i < e->stratum_count; i++) {
        const struct early_stratum *s = &e->strata[i];
        if (*group_at(e, s) != EARLY_NONE)
            continue;
        const struct early_stratum *most = s;
        for (uint32_t k = i + 1; k < e->stratum_count; k++)
            if (group_at(e, &e->strata[k]) == group_at(e, s) && e->strata[k].span.count > most->span.count)
                most = &e->strata[k];
        *group_at(e, s) = (uint16_t)e->group_count;
        struct early_span *g = &e->groups[e->group_count++];
        *g = most->span;
        g->begin = e->cell_count;
        e->cell_count += g->count;
    }
}

static enum err make_strata(struct early *e, struct sampling *s, uint64_t file_size, struct diag *diag)
{
    const struct match_config *config = &e->match->config;
    const uint64_t lane_blocks = e->tank_memory / 3 / config->lanes / 4096,
                   most = lane_blocks > 2 * EARLY_STRATA ? lane_blocks - EARLY_STRATA : EARLY_STRATA,
                   rows = file_size / (s->lines.bytes / s->lines.lines),
                   in_memory = e->match->config.memory / config->lanes / 4 / JOINED_ROW,
                   rows_a_range = in_memory < ROWS_A_RANGE ? in_memory + 1 : ROWS_A_RANGE;
    uint64_t wanted = rows / rows_a_range + 1;
    if (wanted > most) /* there is not the memory for so many ranges as could be joined in it */
        return OK;
    e->strata = mem_take_zero(EARLY_STRATA, sizeof *e->strata);
    e->groups = mem_take_zero(EARLY_STRATA, sizeof *e->groups);
    e->lows = mem_take((RANGES_MAX + 2 * EARLY_STRATA) * sizeof *e->lows);
    e->stratum_of_range = mem_take((RANGES_MAX + EARLY_STRATA) * sizeof *e->stratum_of_range);
    if (!e->strata || !e->groups || !e->lows || !e->stratum_of_range)
        return mem_fail(diag, EARLY_STRATA * sizeof *e->strata, "match.csv");
    memset(e->stratum_of, 0xFF, sizeof e->stratum_of);
    memset(e->group_of, 0xFF, sizeof e->group_of);
    uint64_t each = s->count / wanted;
    each = each < SAMPLED ? SAMPLED : each;
    qsort(s->rows, s->count, sizeof *s->rows, by_stratum);
    for (uint32_t from = 0, to; from < s->count; from = to) {
        for (to = from + 1; to < s->count && s->rows[to].stratum == s->rows[from].stratum;)
            to++;
        if (e->stratum_count == EARLY_STRATA || e->range_count == RANGES_MAX)
            break; /* the others' rows are odd */
        make_stratum(e, s->rows, from, to, (uint32_t)each);
    }
    make_groups(e);
    return OK;
}

/* How often cells are read: a stratum that has all of its channel's numbers beside a larger one reads them all once more. */
static int reads_too_often(struct early *e)
{
    enum { OFTEN = 4 };
    uint64_t reads = 0;
    for (uint32_t i = 0; i < e->stratum_count; i++)
        reads += e->groups[*group_at(e, &e->strata[i])].count;
    return e->stratum_count == 0 || reads > OFTEN * (uint64_t)e->cell_count;
}

/* ---- taps ---- */

static enum err odd_row(struct early_lane *lane, enum side side, uint64_t place, struct diag *diag)
{
    struct early *e = lane->early;
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
    const int found = find_text(e->channels, e->channel_count, dict_word(e->words, (uint16_t)number));
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
    const int found = find_text(texts, count, text);
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
struct told {
    uint64_t place;
    int64_t amount;
    uint32_t lines;
    uint16_t day, status;
    uint8_t currency;
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
    return LIKELY(stratum != EARLY_NONE) ? early_find(&e->strata[stratum].span, number.high) : ODD;
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
                                const struct packed_key *own, const struct told *t)
{
    words[0] = number.high;
    words[1] = number.low << 16 | t->lines;
    words[2] =
        t->place | (uint64_t)t->status << 40 | (uint64_t)t->currency << 48 | (own->word[0] & 0xFF) << 56;
    words[3] = own->word[0] >> 16 << 16 | t->day;
    words[4] = own->word[1];
    words[5] = (uint64_t)t->amount;
}

/* The channel's own number can be said. Where the row has none the local row's is shown, if it has one. */
static inline int number_fits(const struct early *e, const struct packed_key *own, size_t size)
{
    return LIKELY(own->word[0] != 0) || (size == 0 && e->lacks_number);
}

/* Rows of a block, after each was told where it goes, so that its line is on its way when it is put there. */
static inline __attribute__((always_inline)) enum err put_block(struct early_lane *lane, enum side side,
                                                                const uint32_t *parts, const uint64_t *items,
                                                                const size_t size, const uint64_t *places,
                                                                uint32_t count, struct diag *diag)
{
    struct tank *const tank = side == LOCAL ? lane->early->local : lane->early->channel;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++)
        err = LIKELY(parts[i] != ODD)
                  ? put_item(tank, lane->number, parts[i], items + i * (size / 8), size, diag)
                  : odd_row(lane, side, places[i], diag);
    return err;
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

static __attribute__((noinline)) enum err tap_local(struct early_lane *lane, const struct tap_rows *rows,
                                                    const uint64_t *places, const uint32_t *lines,
                                                    struct diag *diag)
{
    struct early *e = lane->early;
    const struct plain_block *block = rows->block;
    const struct plain_plan *plan = rows->plan;
    uint32_t parts[PLAIN_BLOCK];
    uint64_t items[PLAIN_BLOCK][LOCAL_ITEM / 8];
    const uint32_t *seps = rows->seps;
    CHECK2(e->local_size == LOCAL_ITEM, e->local_size,
           lane->number); /* rows with compared cells are not plain */
    for (uint32_t i = 0; i < rows->count; i++, seps += rows->columns) {
        const struct packed_key key = told_key(rows, seps, i);
        const struct early_number number = early_number(key.word[0], key.word[1]);
        const struct span type = told_text(rows, seps, plan->told, plan->told_constant),
                          code = LIKELY(e->has_channel)
                                     ? (struct span){"", 0}
                                     : told_text(rows, seps, plan->channel, plan->channel_constant);
        parts[i] = is_short(rows, seps) || !fits_item(places[i], block->amount_micro[i], block->status[i])
                       ? ODD
                       : local_range(lane, key.word[0], number, block->day[i], code, type);
        make_local(items[i], number, places[i], lines[i]);
        if (LIKELY(parts[i] != ODD))
            tank_expect(e->local, lane->number, parts[i], LOCAL_ITEM);
    }
    return put_block(lane, LOCAL, parts, items[0], LOCAL_ITEM, places, rows->count, diag);
}

static __attribute__((noinline)) enum err tap_channel(struct early_lane *lane, const struct tap_rows *rows,
                                                      const uint64_t *places, const uint32_t *lines,
                                                      struct diag *diag)
{
    struct early *e = lane->early;
    const struct plain_block *block = rows->block;
    uint32_t parts[PLAIN_BLOCK];
    uint64_t items[PLAIN_BLOCK][CHANNEL_ITEM / 8];
    const uint32_t *seps = rows->seps;
    for (uint32_t i = 0; i < rows->count; i++, seps += rows->columns) {
        const struct packed_key key = told_key(rows, seps, i);
        const struct early_number number = early_number(key.word[0], key.word[1]);
        const struct span text = told_text(rows, seps, rows->plan->told, rows->plan->told_constant);
        const struct packed_key own =
            LIKELY(rows->plan->told >= 0)
                ? packed_key_of((const uint8_t *)text.data, (uint32_t)text.size, 0)
                : packed_key_anywhere((const uint8_t *)text.data, (uint32_t)text.size, 0);
        const struct told told = {.place = places[i],
                                  .amount = block->amount_micro[i],
                                  .lines = lines[i],
                                  .day = block->day[i],
                                  .status = block->status[i],
                                  .currency = block->currency[i]};
        parts[i] = is_short(rows, seps) || !number_fits(e, &own, text.size) ||
                           !fits_item(places[i], told.amount, told.status)
                       ? ODD
                       : channel_cell(lane, key.word[0], number);
        make_channel(items[i], number, &own, &told);
        if (LIKELY(parts[i] != ODD))
            tank_expect(e->channel, lane->number, parts[i], CHANNEL_ITEM);
    }
    return put_block(lane, CHANNEL, parts, items[0], CHANNEL_ITEM, places, rows->count, diag);
}

static enum err tap_rows(struct tap *tap, const struct tap_rows *rows, struct diag *diag)
{
    struct early_lane *lane = (struct early_lane *)tap;
    uint64_t places[PLAIN_BLOCK];
    uint32_t lines[PLAIN_BLOCK];
    if (UNLIKELY(rows->count == 0 || atomic_load_explicit(&lane->early->is_dead, memory_order_relaxed)))
        return OK;
    uint32_t at = rows->seps[-1] + 1, block = at / TAP_LINES * TAP_LINES, before = 0;
    for (uint32_t i = block; i < at; i++)
        before += rows->bytes[i] == '\n';
    for (uint32_t i = 0; i < rows->count; i++) {
        places[i] = rows->place + at;
        lines[i] = before;
        at = rows->seps[(i + 1) * rows->columns - 1] + 1;
        if (at / TAP_LINES * TAP_LINES == block) {
            before++;
        } else { /* the newline before it may still lie in the block */
            block = at / TAP_LINES * TAP_LINES;
            before = at > block;
        }
    }
    return (rows->plan->side_flag & RECORD_CHANNEL ? tap_channel : tap_local)(lane, rows, places, lines,
                                                                              diag);
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

static enum err local_row(struct early_lane *lane, const struct tap_row *row, struct packed_key key,
                          struct diag *diag)
{
    struct early *e = lane->early;
    const struct record *r = row->record;
    uint64_t item[(LOCAL_ITEM + EARLY_CELLS * LOCAL_CELL) / 8];
    const struct early_number number = early_number(key.word[0], key.word[1]);
    struct order_parts parts;
    uint32_t range = ODD;
    if (key.word[0] && take_order(row->bytes + row->lean->at, &parts) && parts.number.size == r->key_size &&
        memcmp(parts.number.data, r->var, r->key_size) == 0 &&
        put_cells(e->match, row->bytes + row->lean->at + row->lean->order_size, (uint8_t *)item + LOCAL_ITEM,
                  e->local_size - LOCAL_ITEM))
        range = local_range(lane, key.word[0], number, parts.day, parts.channel, parts.type);
    if (range == ODD)
        return odd_row(lane, LOCAL, r->place, diag);
    make_local(item, number, r->place, row->lines);
    return put_item(e->local, lane->number, range, item, e->local_size, diag);
}

static enum err channel_row(struct early_lane *lane, const struct tap_row *row, struct packed_key key,
                            struct diag *diag)
{
    struct early *e = lane->early;
    const struct record *r = row->record;
    const struct match_plan *plan = &e->match->plan;
    uint64_t item[CHANNEL_ITEM / 8];
    const struct early_number number = early_number(key.word[0], key.word[1]);
    uint32_t cell = ODD;
    if (key.word[0]) {
        struct span texts[FIELD_SLOTS];
        const uint8_t *at = row->bytes + row->lean->at;
        for (unsigned i = 0; i < plan->side[CHANNEL].cell_count; i++)
            at = lean_get_cell(at, &texts[i]);
        const struct span text = texts[plan->cell_at[CHANNEL][FIELD_CHANNEL_ORDER_NO]];
        const struct packed_key own = packed_key_anywhere((const uint8_t *)text.data, (uint32_t)text.size, 0);
        const struct told told = {.place = r->place,
                                  .amount = r->amount_micro,
                                  .lines = row->lines,
                                  .day = row->lean->day,
                                  .status = r->status,
                                  .currency = r->currency};
        make_channel(item, number, &own, &told);
        if (number_fits(e, &own, text.size))
            cell = channel_cell(lane, key.word[0], number);
    }
    return cell == ODD ? odd_row(lane, CHANNEL, r->place, diag)
                       : put_item(e->channel, lane->number, cell, item, CHANNEL_ITEM, diag);
}

static enum err tap_row(struct tap *tap, const struct tap_row *row, struct diag *diag)
{
    struct early_lane *lane = (struct early_lane *)tap;
    const struct record *r = row->record;
    if (atomic_load_explicit(&lane->early->is_dead, memory_order_relaxed))
        return OK;
    struct packed_key key = {{0, 0}}; /* of an odd row */
    if (row->lean && !row->lean->date_disagrees && row->size >= 1u << PLACE_SHIFT &&
        !(r->flags & ~(RECORD_CHANNEL | RECORD_OUT)) && fits_item(r->place, r->amount_micro, r->status))
        key = packed_key_anywhere(r->var, r->key_size, r->channel);
    return (r->flags & RECORD_CHANNEL ? channel_row : local_row)(lane, row, key, diag);
}

struct tap *match_tap(struct match *m, uint32_t lane)
{
    return m->early ? &m->early->lanes[lane].tap : NULL;
}

/* ---- opening ---- */

/* The job's rows are as items say them. */
static int suits(const struct match *m)
{
    const struct match_plan *plan = &m->plan;
    const struct job *job = m->config.job;
    const struct lean_plan *local = &plan->side[LOCAL];
    const struct key_spec *key = &job->match.keys[0];
    if (m->config.memory < EARLY_MEMORY || job_match_is_odd(job) || local->order_count != 3 ||
        local->order[0] != FIELD_CHANNEL_CODE || local->order[1] != FIELD_BIZ_TYPE ||
        local->order[2] != FIELD_BIZ_ORDER_NO)
        return 0;
    for (int i = 0; i < key->part_count; i++)
        if (key->parts[i] != FIELD_CHANNEL_CODE && key->parts[i] != FIELD_BIZ_ORDER_NO)
            return 0;
    return m->compare_cell_count <= EARLY_CELLS;
}

static int key_has_channel(const struct key_spec *key)
{
    for (int i = 0; i < key->part_count; i++)
        if (key->parts[i] == FIELD_CHANNEL_CODE)
            return 1;
    return 0;
}

static enum err take_memory(struct early *e, const struct tap_files files[SIDES], struct diag *diag)
{
    struct match *m = e->match;
    e->lanes = mem_take_zero(m->config.lanes, sizeof *e->lanes);
    if (!e->lanes)
        return mem_fail(diag, m->config.lanes * sizeof *e->lanes, "match.csv");
    for (uint32_t i = 0; i < m->config.lanes; i++)
        e->lanes[i] = (struct early_lane){.tap = {.rows = tap_rows, .row = tap_row, .plan = &m->plan},
                                          .early = e,
                                          .number = i,
                                          .day = e->days[0]};
    for (int side = 0; side < SIDES; side++) {
        e->blocks[side] = mem_map(e->block_count[side] * sizeof *e->blocks[side], 1);
        if (!e->blocks[side])
            return mem_fail(diag, e->block_count[side] * sizeof *e->blocks[side], "match.csv");
    }
    /* Where rows have fewer bytes tanks take smaller blocks than they might. */
    enum err err = match_open_tank(m, &e->local, e->range_count, files[LOCAL].end / ROW * e->local_size,
                                   e->tank_memory / 3, diag);
    return err == OK ? match_open_tank(m, &e->channel, e->cell_count, files[CHANNEL].end / ROW * CHANNEL_ITEM,
                                       e->tank_memory / 3 * 2, diag)
                     : err;
}

/* What is known before any byte is read. */
static void know_job(struct early *e, const struct tap_files files[SIDES])
{
    struct match *m = e->match;
    e->words = files[LOCAL].words;
    e->has_channel = key_has_channel(&m->config.job->match.keys[0]);
    e->lacks_code = files[CHANNEL].lacks_code;
    e->lacks_number = files[LOCAL].lacks_number;
    for (int i = 0; i < m->compare_cell_count; i++)
        e->cells_count += m->plan.side[LOCAL].cells[m->compare_cells[i]] != FIELD_STATUS;
    e->local_size = LOCAL_ITEM + LOCAL_CELL * e->cells_count;
}

enum err early_open(struct match *m, struct diag *diag)
{
    enum { USUAL = 2 }; /* one row of so many, at least, can be told */
    struct tap_files files[SIDES];
    for (int side = 0; side < SIDES; side++) {
        const struct source *source = m->config.sources[side];
        if (!suits(m) || !source->ops->tap_files || !source->ops->tap_files(source, &files[side]))
            return OK;
    }
    struct early *e = mem_take_zero(1, sizeof *e);
    if (!e)
        return mem_fail(diag, sizeof *e, "match.csv");
    e->match = m;
    know_job(e, files);
    uint64_t blocks = 0;
    for (int side = 0; side < SIDES; side++) {
        e->block_count[side] = files[side].end / TAP_LINES + 1;
        blocks += e->block_count[side] * sizeof *e->blocks[side];
    }
    if (blocks > m->config.memory / 2) {
        early_close(e);
        return OK;
    }
    e->tank_memory = m->config.memory - m->config.memory / 8 - blocks;
    struct sampling s = {0};
    enum err err = take_sample(e, files[LOCAL].end, &s, diag);
    const int is_usual = s.count && s.count >= s.lines.lines / USUAL;
    if (err == OK && is_usual) {
        order_texts(&s);
        err = make_strata(e, &s, files[LOCAL].end, diag);
    }
    mem_give(s.rows);
    lean_list_fini(&s.lines.list);
    if (err == OK && is_usual && !reads_too_often(e)) {
        err = take_memory(e, files, diag);
        if (err == OK) {
            m->early = e;
            return OK;
        }
    }
    early_close(e);
    return err;
}

void early_close(struct early *e)
{
    if (!e)
        return;
    struct match *m = e->match;
    match_drop(m, &e->local);
    match_drop(m, &e->channel);
    for (uint32_t i = 0; e->lanes && i < m->config.lanes; i++) {
        lean_list_fini(&e->lanes[i].tap.list);
        for (int side = 0; side < SIDES; side++)
            mem_give(e->lanes[i].odd[side]);
    }
    for (int side = 0; side < SIDES; side++) {
        mem_unmap(e->blocks[side], e->block_count[side] * sizeof *e->blocks[side]);
        mem_give(e->odd[side]);
    }
    mem_give(e->lanes);
    mem_give(e->strata);
    mem_give(e->groups);
    mem_give(e->lows);
    mem_give(e->stratum_of_range);
    mem_give(e);
}

/* ---- both files are read ---- */

static int by_place(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int gather_odd(struct early *e)
{
    for (int side = 0; side < SIDES; side++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < e->match->config.lanes; i++)
            count += e->lanes[i].odd_count[side];
        e->odd[side] = mem_take((count + 1) * sizeof *e->odd[side]);
        if (!e->odd[side])
            return 0;
        for (uint32_t i = 0; i < e->match->config.lanes; i++) {
            if (e->lanes[i].odd_count[side])
                memcpy(e->odd[side] + e->odd_count[side], e->lanes[i].odd[side],
                       e->lanes[i].odd_count[side] * sizeof *e->odd[side]);
            e->odd_count[side] += e->lanes[i].odd_count[side];
        }
        qsort(e->odd[side], e->odd_count[side], sizeof *e->odd[side], by_place);
    }
    return 1;
}

/* Lines before each block, of both files. */
static void gather_lines(struct early *e)
{
    for (int side = 0; side < SIDES; side++) {
        const struct source *source = e->match->config.sources[side];
        for (uint64_t i = 0; i < e->block_count[side]; i++)
            e->blocks[side][i].lines = source->ops->tap_lines(source, i * TAP_LINES);
    }
}

/* No range or cell is so much larger than the sample said that it does not go into memory. */
static int sizes_fit(const struct early *e)
{
    const uint64_t most = e->match->config.memory / e->match->config.lanes / 8;
    for (uint32_t i = 0; i < e->range_count; i++)
        if (tank_size(e->local, i) > most / 2)
            return 0;
    for (uint32_t i = 0; i < e->cell_count; i++)
        if (tank_size(e->channel, i) > most)
            return 0;
    return 1;
}

static int words_fit(const struct early *e)
{
    for (uint16_t i = 1; i <= PACKED_STATUS_MAX; i++)
        if (dict_word(e->words, i).size > EARLY_WORD)
            return 0;
    return 1;
}

int early_settle(struct match *m)
{
    struct early *e = m->early;
    if (!e || e->is_settled)
        return e != NULL;
    if (atomic_load(&e->is_dead) || !sizes_fit(e) || !words_fit(e) || !gather_odd(e)) {
        m->early = NULL;
        m->dropped = e; /* taps may still point to it */
        tank_close(e->local);
        tank_close(e->channel);
        e->local = e->channel = NULL;
        for (int side = 0; side < SIDES; side++) {
            mem_unmap(e->blocks[side], e->block_count[side] * sizeof *e->blocks[side]);
            e->blocks[side] = NULL;
        }
        return 0;
    }
    gather_lines(e);
    e->is_settled = 1;
    return 1;
}

static int is_odd(const struct early *e, enum side side, uint64_t place)
{
    return e->odd_count[side] &&
           bsearch(&place, e->odd[side], e->odd_count[side], sizeof place, by_place) != NULL;
}

enum err early_end(struct early *e, uint32_t number, struct diag *diag)
{
    const enum err err = e->local ? tank_end(e->local, number, diag) : OK;
    return err == OK && e->channel ? tank_end(e->channel, number, diag) : err;
}

void early_pairs(struct early *e, uint32_t number, const struct pair_ref *pairs, uint64_t count,
                 struct pair_ref *odd, uint64_t *odd_count)
{
    enum { BITS_AHEAD = 16 };
    const int any_odd = e->odd_count[LOCAL] || e->odd_count[CHANNEL];
    *odd_count = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t places[SIDES] = {[LOCAL] = pairs[i].local_place, [CHANNEL] = pairs[i].channel_place};
        if (i + BITS_AHEAD < count) {
            __builtin_prefetch(&e->blocks[LOCAL][pairs[i + BITS_AHEAD].local_place / TAP_LINES], 1);
            __builtin_prefetch(&e->blocks[CHANNEL][pairs[i + BITS_AHEAD].channel_place / TAP_LINES], 1);
        }
        if (UNLIKELY(any_odd) && (is_odd(e, LOCAL, places[LOCAL]) || is_odd(e, CHANNEL, places[CHANNEL]))) {
            odd[(*odd_count)++] = pairs[i];
            continue;
        }
        for (int side = 0; side < SIDES; side++) {
            CHECK2(places[side] / TAP_LINES < e->block_count[side], places[side], side);
            atomic_fetch_or_explicit(&e->blocks[side][places[side] / TAP_LINES].told,
                                     (uint64_t)1 << (places[side] >> PLACE_SHIFT) % 64, memory_order_relaxed);
        }
        e->lanes[number].given++;
    }
}

/* The order key at which a range begins: of a stratum's first one its head, of others as much of the number as cuts it. */
static size_t cut_of(const struct early *e, uint32_t range, uint8_t *to)
{
    const struct early_stratum *s = &e->strata[e->stratum_of_range[range]];
    memcpy(to, s->head, s->head_size);
    if (range == s->span.begin)
        return s->head_size;
    const uint64_t low = s->span.low[range - s->span.begin];
    const unsigned is_digits = s->size > PACKED_RAW_MAX, bits = is_digits ? 4 : 8, all = 64 / bits,
                   count = s->digits < all ? s->digits : all;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t part = (uint8_t)(low >> (64 - bits * (i + 1)));
        to[s->head_size + i] = is_digits ? (uint8_t)('0' + (part & 15)) : part;
    }
    return s->head_size + count;
}

enum err early_ranges(struct match *m, struct diag *diag)
{
    const struct early *e = m->early;
    enum { CUT_MAX = EARLY_HEAD + 16 };
    const uint32_t cuts = e->range_count - 1;
    uint64_t odd_pairs = 0, expected = 0;
    for (uint32_t i = 0; i < m->config.lanes; i++) {
        odd_pairs += m->lanes[i].pairs;
        expected += m->lanes[i].row_bytes;
    }
    m->cuts = mem_take((cuts + 1) * sizeof *m->cuts);
    m->shared = mem_take_zero(e->range_count, sizeof *m->shared);
    m->cut_bytes = mem_take((size_t)(cuts + 1) * CUT_MAX);
    if (!m->cuts || !m->shared || !m->cut_bytes)
        return mem_fail(diag, (size_t)(cuts + 1) * CUT_MAX, "match.csv");
    for (uint32_t i = 0; i < cuts; i++) {
        uint8_t *at = m->cut_bytes + (size_t)i * CUT_MAX;
        m->cuts[i] = (struct span){(const char *)at, cut_of(e, i + 1, at)};
        uint32_t same = 0;
        while (i && same < m->cuts[i - 1].size && same < m->cuts[i].size &&
               m->cuts[i - 1].data[same] == m->cuts[i].data[same])
            same++;
        m->shared[i] = same;
    }
    m->range_count = e->range_count;
    const size_t share = m->config.memory / m->config.lanes;
    m->range_bytes_max = share / 4;
    if (!cut_tree_make(&m->cut_tree, m->cuts, cuts))
        return mem_fail(diag, (size_t)cuts * CUT_MAX, "match.csv");
    enum err err = match_open_tank(m, &m->ranges_tank, m->range_count, expected + odd_pairs * 112,
                                   m->config.memory / 8, diag);
    if (err == OK && !m->same_order && odd_pairs)
        err = match_open_tank(m, &m->channel, m->slices[LOCAL].count, 0, m->config.memory / 8, diag);
    return err;
}

enum err early_check(const struct early *e, struct diag *diag)
{
    uint64_t given = 0, joined = 0;
    for (uint32_t i = 0; i < e->match->config.lanes; i++) {
        given += e->lanes[i].given;
        joined += e->lanes[i].joined;
    }
    if (given == joined)
        return OK;
    return diag_set(
        diag, ERR_BUG, "invariant.match", "please report this with the job and, if you can, the files",
        "match.csv: %llu pairs were told while the files were read, %llu of them were found again",
        (unsigned long long)given, (unsigned long long)joined);
}
