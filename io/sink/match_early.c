/* io/sink/match_early.c: see match_early.h: the sample, what follows from it, and what becomes of what was told */
#include "io/sink/match_early.h"
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
    uint32_t group;   /* the same without what keys that meet may differ in */
};

enum { OFTEN_SLOTS = 256, OFTEN_OF = 8 };

struct sampling {
    struct early *e;
    struct early_sample *rows;
    uint32_t count;
    struct tap_sample lines;
    /* Rows of one number, less those of others that have its slot: hardly any, but where a few numbers are those of very many rows. */
    struct often {
        struct packed_key number;
        uint32_t count;
    } often[OFTEN_SLOTS];
};

static void count_often(struct sampling *s, const struct packed_key *number)
{
    const uint64_t hash = (number->word[0] ^ number->word[1] * 0x9E3779B97F4A7C15ull) * 0x9E3779B97F4A7C15ull;
    struct often *const slot = &s->often[hash >> 56];
    _Static_assert(OFTEN_SLOTS == 1 << 8, "a slot for each of the uppermost bits");
    const int is_it = slot->number.word[0] == number->word[0] && slot->number.word[1] == number->word[1];
    if (!is_it && slot->count == 0)
        *slot = (struct often){*number, 1};
    else
        slot->count += is_it ? 1 : UINT32_MAX;
}

/* Those are crowds' (core/engine/crowd.h): none of them would stay a pair here, and what was taken would all be given back. */
static int some_are_often(const struct sampling *s)
{
    uint64_t often = 0;
    for (uint32_t i = 0; i < OFTEN_SLOTS; i++)
        often += s->often[i].count > 1 ? s->often[i].count - 1 : 0;
    return often * OFTEN_OF > s->count;
}

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

/* -1: it is too long, or there is no room for one more. */
static int know_text(struct early_text *texts, uint32_t *count, uint32_t most, struct span text)
{
    const int found = text.size > EARLY_TEXT ? -1 : early_find_text(texts, *count, text);
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

/* One that no item holds is left out: ranges come of the others. */
static void sample_row(struct sampling *s, const uint8_t *order)
{
    struct early *e = s->e;
    struct early_order parts;
    if (!early_take_order(order, &parts) || parts.number.size > PACKED_KEY_MAX || s->count == SAMPLE_ROWS)
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
    count_often(s, &packed);
    s->rows[s->count++] = (struct early_sample){early_number(packed.word[0], packed.word[1]).high,
                                                stratum_code((uint32_t)day, (uint32_t)channel, (uint32_t)type,
                                                             (uint32_t)parts.number.size, (uint32_t)prefix),
                                                0};
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
        channel_to[i] = (uint32_t)early_find_text(e->channels, e->channel_count,
                                                  (struct span){channels[i].text, channels[i].size});
    for (uint32_t i = 0; i < e->type_count; i++)
        type_to[i] =
            (uint32_t)early_find_text(e->types, e->type_count, (struct span){types[i].text, types[i].size});
    for (uint32_t i = 0; i < e->prefix_count; i++)
        prefix_to[i] = (uint32_t)early_find_text(e->prefixes, e->prefix_count,
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

/* Cuts the sample's rows from `from` to `to`, which are in order, into parts, of which so many rows stand for one; `most` parts. */
static void cut_span(struct early *e, struct early_span *span, const struct early_sample *rows, uint32_t from,
                     uint32_t to, uint32_t rows_a_part, uint32_t most)
{
    const uint32_t count = to - from, wanted = count / rows_a_part ? count / rows_a_part : 1;
    uint64_t *const low_of = e->lows + e->low_count;
    span->low = low_of;
    span->count = 0;
    for (uint64_t i = 0; i < wanted; i++) {
        const uint64_t low = i ? rows[from + i * count / wanted].number : 0;
        if (i && (low == low_of[span->count - 1] || low == UINT64_MAX || span->count == most))
            continue;
        low_of[span->count++] = low;
    }
    low_of[span->count] = UINT64_MAX;
    e->low_count += span->count + 1;
    make_near(span, rows[from].number, rows[to - 1].number);
}

/* The next stratum, which goes by the ranges of `span`. */
static void add_stratum(struct early *e, uint32_t code, const struct early_span *span)
{
    struct early_stratum *s = &e->strata[e->stratum_count];
    *s = stratum_of_code(code);
    const uint32_t day = s->day;
    s->day = e->days[day];
    s->digits = (uint8_t)(s->size - e->prefixes[s->prefix].size);
    make_head(e, s);
    s->span = *span;
    s->span.begin = e->range_count;
    s->find = &s->span;
    for (uint32_t i = 0; i < span->count; i++)
        e->stratum_of_range[e->range_count++] = (uint16_t)e->stratum_count;
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

/* Each stratum is cut by its own rows. */
static void cut_strata(struct early *e, struct sampling *s, uint32_t rows_a_range)
{
    qsort(s->rows, s->count, sizeof *s->rows, by_stratum);
    for (uint32_t from = 0, to; from < s->count; from = to) {
        for (to = from + 1; to < s->count && s->rows[to].stratum == s->rows[from].stratum;)
            to++;
        if (e->stratum_count == EARLY_STRATA || e->range_count == RANGES_MAX)
            break; /* the others' rows are odd */
        struct early_span span = {0};
        cut_span(e, &span, s->rows, from, to, rows_a_range, RANGES_MAX - e->range_count);
        add_stratum(e, s->rows[from].stratum, &span);
    }
    make_groups(e);
}

static uint32_t group_code(const struct early *e, uint32_t stratum)
{
    const struct early_stratum s = stratum_of_code(stratum);
    return stratum_code(0, group_channel(e, s.channel), 0, s.size, s.prefix);
}

static int by_group(const void *a, const void *b)
{
    const struct early_sample *x = a, *y = b;
    if (x->group != y->group)
        return (x->group > y->group) - (x->group < y->group);
    return (x->number > y->number) - (x->number < y->number);
}

/* How far the last digit or byte of a number lies from the end of its 112 bits. */
static uint32_t number_shift(const struct early *e, const struct early_stratum *s)
{
    enum { BITS = 112, DIGIT = 4, BYTE = 8 };
    return BITS -
           (s->size > PACKED_RAW_MAX ? DIGIT : BYTE) * (s->size - (uint32_t)e->prefixes[s->prefix].size);
}

/* Where the first part of a group begins, so that numbers a little before the sample's first one, and behind its last one, are said by 64
 * bits as well. 0: a part is so wide that these do not say it. */
static int make_least(const struct early_span *g, uint64_t *least, uint64_t first, uint64_t last,
                      uint32_t shift)
{
    enum { ALL = 48 }; /* from here on 64 bits say any number */
    const uint64_t most = shift >= ALL ? UINT64_MAX : (UINT64_C(1) << (64 - ALL + shift)) - 1;
    for (uint32_t i = 0; i < g->count; i++) {
        const uint64_t from = i ? g->low[i] : first, to = i + 1 < g->count ? g->low[i + 1] : last;
        if (to - from > most)
            return 0;
    }
    const uint64_t width = (g->count > 1 ? g->low[1] : last) - first, spare = (most - width) / 2,
                   slack = g->count > 1 && width < spare ? width : spare;
    /* What is left of a number's end behind its digits is 0, so it must be that of the first part's beginning, too. */
    const uint64_t end = shift > ALL ? (UINT64_C(1) << (shift - ALL)) - 1 : 0;
    *least = first > slack ? (first - slack) & ~end : 0;
    return 1;
}

/* All strata whose keys may meet are cut alike, as their cells are, by the rows of all of them. 0: that would be too many ranges. */
static int cut_groups(struct early *e, struct sampling *s, uint32_t rows_a_range)
{
    enum { CODES = EARLY_DAYS * EARLY_CHANNELS * EARLY_TYPES * EARLY_SIZES * EARLY_PREFIXES };
    uint64_t is_there[(CODES + 63) / 64] = {0}; /* strata */
    for (uint32_t i = 0; i < s->count; i++) {
        const uint32_t code = s->rows[i].stratum;
        is_there[code / 64] |= (uint64_t)1 << code % 64;
        s->rows[i].group = group_code(e, code);
    }
    qsort(s->rows, s->count, sizeof *s->rows, by_group);
    for (uint32_t from = 0, to; from < s->count; from = to) {
        for (to = from + 1; to < s->count && s->rows[to].group == s->rows[from].group;)
            to++;
        if (e->group_count == EARLY_STRATA || e->cell_count >= RANGES_MAX)
            return 0;
        const struct early_stratum like = stratum_of_code(s->rows[from].stratum);
        *group_at(e, &like) = (uint16_t)e->group_count;
        struct early_span *const g = &e->groups[e->group_count++];
        g->begin = e->cell_count;
        cut_span(e, g, s->rows, from, to, rows_a_range, RANGES_MAX - e->cell_count);
        e->cell_count += g->count;
        if (!make_least(g, &e->lows[e->low_count - g->count - 1], s->rows[from].number,
                        s->rows[to - 1].number, number_shift(e, &like)))
            return 0;
    }
    for (uint32_t i = 0; i < EARLY_STRATA; i++)
        e->first_of_group[i] = EARLY_NONE;
    for (uint32_t code = 0; code < CODES; code++) {
        if (!(is_there[code / 64] >> code % 64 & 1))
            continue;
        const struct early_stratum like = stratum_of_code(code);
        const uint16_t group = *group_at(e, &like), number = (uint16_t)e->stratum_count;
        if (e->stratum_count == EARLY_STRATA || e->range_count + e->groups[group].count > RANGES_MAX)
            return 0;
        add_stratum(e, code, &e->groups[group]);
        e->strata[number].find = &e->groups[group]; /* one for both sides stays nearer */
        e->strata[number].next = e->first_of_group[group];
        e->first_of_group[group] = number;
    }
    return 1;
}

static void no_strata(struct early *e)
{
    e->stratum_count = e->range_count = e->low_count = e->group_count = e->cell_count = 0;
    memset(e->stratum_of, 0xFF, sizeof e->stratum_of);
    memset(e->group_of, 0xFF, sizeof e->group_of);
}

/* What the shelves would take, if there is the memory for them; else nothing. */
static void size_shelves(struct early *e, const uint32_t parts[SIDES])
{
    enum { SPARE = 5 }; /* a fifth more than the sample says */
    const struct match_config *config = &e->match->config;
    static const uint32_t item[SIDES] = {[LOCAL] = LOCAL_TAKEN, [CHANNEL] = CHANNEL_TAKEN};
    uint64_t size[SIDES];
    for (int side = 0; side < SIDES; side++)
        size[side] = e->rows[side] * item[side] * (SPARE + 1) / SPARE +
                     (uint64_t)config->lanes * parts[side] * SHELF_BLOCK + ((uint64_t)config->lanes << 22);
    for (int side = 0; side < SIDES; side++)
        e->shelf_size[side] = size[LOCAL] + size[CHANNEL] <= config->shelf ? size[side] : 0;
}

/* All that its records say is in a packed one (packed.h), and nobody but the index asks for them. NULL, or why not. */
static const char *why_not_taken(const struct early *e)
{
    const struct match *m = e->match;
    const struct job *job = m->config.job;
    int is_more = e->cells_count != 0, is_counted = 0;
    for (int side = 0; side < SIDES; side++) {
        const struct record_layout layout = m->config.sources[side]->ops->layout(m->config.sources[side]);
        is_more |= layout.has_extras || layout.has_fold;
        is_counted |= job_counts(job, (enum side)side);
    }
    return is_more                  ? "more than amount and status is compared"
           : is_counted             ? "rows are counted by more than their bill date"
           : job->match.group.given ? "rows are summed up by group"
           : m->config.shelf == 0   ? "there is less --memory than 256 MiB"
                                    : NULL;
}

static enum err make_strata(struct early *e, struct sampling *s, const struct tap_files files[SIDES],
                            struct diag *diag)
{
    const struct match_config *config = &e->match->config;
    const uint64_t lane_blocks = e->tank_memory / 3 / config->lanes / 4096,
                   most = lane_blocks > 2 * EARLY_STRATA ? lane_blocks - EARLY_STRATA : EARLY_STRATA,
                   in_memory = config->memory / config->lanes / 4 / JOINED_ROW,
                   rows_a_range = in_memory < ROWS_A_RANGE ? in_memory + 1 : ROWS_A_RANGE;
    for (int side = 0; side < SIDES; side++)
        e->rows[side] = files[side].end / (s->lines.bytes / s->lines.lines) + 1;
    const uint64_t wanted = e->rows[LOCAL] / rows_a_range + 1;
    e->strata = mem_take_zero(EARLY_STRATA, sizeof *e->strata);
    e->groups = mem_take_zero(EARLY_STRATA, sizeof *e->groups);
    e->lows = mem_take((RANGES_MAX + 2 * EARLY_STRATA) * sizeof *e->lows);
    e->stratum_of_range = mem_take((RANGES_MAX + EARLY_STRATA) * sizeof *e->stratum_of_range);
    if (!e->strata || !e->groups || !e->lows || !e->stratum_of_range)
        return mem_fail(diag, EARLY_STRATA * sizeof *e->strata, "match.csv");
    uint64_t each = s->count / wanted;
    each = each < SAMPLED ? SAMPLED : each;
    const uint32_t least[SIDES] = {(uint32_t)wanted, (uint32_t)wanted};
    no_strata(e);
    size_shelves(e, least);
    const char *const why_not = why_not_taken(e);
    if (!why_not && e->shelf_size[LOCAL] && cut_groups(e, s, (uint32_t)each)) {
        const uint32_t parts[SIDES] = {[LOCAL] = e->range_count, [CHANNEL] = e->cell_count};
        size_shelves(e, parts);
        if (e->shelf_size[LOCAL])
            return OK;
    }
    e->match->why = why_not                ? why_not
                    : e->shelf_size[LOCAL] ? "their numbers are of too many kinds, or vary in too many digits"
                                           : "they would take more than a quarter of --memory";
    e->shelf_size[LOCAL] = e->shelf_size[CHANNEL] = 0;
    no_strata(e);
    if (wanted <= most) /* else there is not the memory for so many ranges as could be joined in it */
        cut_strata(e, s, (uint32_t)each);
    return OK;
}

/* How often cells are read: a stratum that has all of its channel's numbers beside a larger one reads them all once more. */
static int reads_too_often(struct early *e)
{
    enum { OFTEN = 4 };
    uint64_t reads = 0;
    for (uint32_t i = 0; i < e->stratum_count; i++)
        reads += e->groups[*group_at(e, &e->strata[i])].count;
    return reads > OFTEN * (uint64_t)e->cell_count;
}

/* ---- opening ---- */

/* The job's rows are as items say them. NULL, or why not. */
static const char *why_not_told(const struct match *m)
{
    const struct match_plan *plan = &m->plan;
    const struct job *job = m->config.job;
    const struct lean_plan *local = &plan->side[LOCAL];
    const struct key_spec *key = &job->match.keys[0];
    if (m->config.memory < EARLY_MEMORY)
        return "there is too little --memory";
    if (job_match_is_odd(job))
        return "net fees, gross amounts or sets are matched";
    if (local->order_count != 3 || local->order[0] != FIELD_CHANNEL_CODE ||
        local->order[1] != FIELD_BIZ_TYPE || local->order[2] != FIELD_BIZ_ORDER_NO)
        return "the first key is not channel_code and biz_order_no, or one of them";
    for (int i = 0; i < key->part_count; i++)
        if (key->parts[i] != FIELD_CHANNEL_CODE && key->parts[i] != FIELD_BIZ_ORDER_NO)
            return "the first key is not channel_code and biz_order_no, or one of them";
    return m->compare_cell_count <= EARLY_CELLS ? NULL : "more than six fields are compared";
}

static int key_has_channel(const struct key_spec *key)
{
    for (int i = 0; i < key->part_count; i++)
        if (key->parts[i] == FIELD_CHANNEL_CODE)
            return 1;
    return 0;
}

/* A part's numbers begin with its cut. 0: memory is out. */
static int make_bases(struct early *e)
{
    const uint32_t parts[SIDES] = {[LOCAL] = e->range_count, [CHANNEL] = e->cell_count};
    for (int side = 0; side < SIDES; side++) {
        e->base[side] = mem_take((parts[side] + 1) * sizeof *e->base[side]);
        if (!e->base[side])
            return 0;
    }
    for (uint32_t g = 0; g < e->group_count; g++)
        for (uint16_t number = e->first_of_group[g]; number != EARLY_NONE; number = e->strata[number].next) {
            const struct early_stratum *s = &e->strata[number];
            const struct early_span *span = &e->groups[g];
            for (uint32_t i = 0; i < span->count; i++) {
                const struct early_base base = {span->low[i], number_shift(e, s)};
                e->base[CHANNEL][span->begin + i] = e->base[LOCAL][s->span.begin + i] = base;
            }
        }
    return 1;
}

static enum err take_shelves(struct early *e, struct diag *diag)
{
    const uint32_t lanes = e->match->config.lanes;
    const struct shelf_config configs[SIDES] = {
        [LOCAL] = {lanes, e->range_count, LOCAL_TAKEN, e->shelf_size[LOCAL]},
        [CHANNEL] = {lanes, e->cell_count, CHANNEL_TAKEN, e->shelf_size[CHANNEL]}};
    e->met = mem_take_zero(e->range_count, sizeof *e->met);
    if (!e->met || !make_bases(e))
        return mem_fail(diag, e->range_count * (sizeof *e->met + sizeof *e->base[LOCAL]), "match.csv");
    for (int side = 0; side < SIDES; side++) {
        const enum err err = shelf_open(&e->shelf[side], &configs[side], diag);
        if (err != OK)
            return err;
        for (uint32_t i = 0; i < lanes; i++) {
            e->lanes[i].shelf[side] = shelf_lane(e->shelf[side], i);
            e->lanes[i].tap.takes = 1;
        }
    }
    return OK;
}

static enum err take_memory(struct early *e, const struct tap_files files[SIDES], struct diag *diag)
{
    struct match *m = e->match;
    e->lanes = mem_take_zero(m->config.lanes, sizeof *e->lanes);
    if (!e->lanes)
        return mem_fail(diag, m->config.lanes * sizeof *e->lanes, "match.csv");
    for (uint32_t i = 0; i < m->config.lanes; i++)
        early_tap_init(e, i);
    for (int side = 0; side < SIDES; side++) {
        const uint64_t count = e->block_count[side];
        if (e->shelf_size[LOCAL]) {
            e->lines[side] = mem_map(count * sizeof *e->lines[side], 1);
            e->lines_before[side] = mem_take((count / LINES_STRETCH + 1) * sizeof *e->lines_before[side]);
        } else {
            e->blocks[side] = mem_map(count * sizeof *e->blocks[side], 1);
        }
        if (!e->blocks[side] && (!e->lines[side] || !e->lines_before[side]))
            return mem_fail(diag, count * sizeof *e->blocks[side], "match.csv");
    }
    if (e->shelf_size[LOCAL])
        return take_shelves(e, diag);
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
    m->why = why_not_told(m);
    for (int side = 0; !m->why && side < SIDES; side++) {
        const struct source *source = m->config.sources[side];
        if (!source->ops->tap_files || !source->ops->tap_files(source, &files[side]))
            m->why = "a side is a log, packed, of rows without line ends, or has records that were carried";
    }
    if (m->why)
        return OK;
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
        m->why = "the files are too large for --memory";
        early_close(e);
        return OK;
    }
    e->tank_memory = m->config.memory - m->config.memory / 8 - blocks;
    struct sampling s = {0};
    enum err err = take_sample(e, files[LOCAL].end, &s, diag);
    const int is_usual = s.count && s.count >= s.lines.lines / USUAL, is_crowd = some_are_often(&s);
    if (err == OK && is_usual && !is_crowd) {
        order_texts(&s);
        err = make_strata(e, &s, files, diag);
    }
    mem_give(s.rows);
    lean_list_fini(&s.lines.list);
    if (err == OK && is_usual && e->stratum_count && (e->shelf_size[LOCAL] || !reads_too_often(e))) {
        err = take_memory(e, files, diag);
        if (err == OK) {
            m->early = e;
            m->road = e->shelf[LOCAL] ? MATCH_MEETS : MATCH_TELLS;
            return OK;
        }
    }
    m->why = is_crowd   ? "very many rows have one key"
             : is_usual ? "the local file's numbers are of too many kinds, or too many for --memory"
                        : "fewer than half of the local rows in a sample are as usual";
    early_close(e);
    return err;
}

struct tap *match_tap(struct match *m, uint32_t lane)
{
    return m->early ? &m->early->lanes[lane].tap : NULL;
}

void early_sizes(const struct early *e, uint64_t *shelf, uint64_t *aside)
{
    *shelf = e->shelf[LOCAL] ? e->rows[LOCAL] * LOCAL_TAKEN + e->rows[CHANNEL] * CHANNEL_TAKEN : 0;
    *aside = e->shelf[LOCAL] ? 0 : e->rows[LOCAL] * e->local_size + e->rows[CHANNEL] * CHANNEL_ITEM;
}

void early_clear_shelves(struct early *e)
{
    const uint32_t lanes = e->match->config.lanes;
    for (uint32_t at; e->shelf[CHANNEL] && (at = atomic_fetch_add(&e->next_clear, 1)) < SIDES * lanes;)
        shelf_clear(e->shelf[at % SIDES], at / SIDES);
}

static void close_shelves(struct early *e)
{
    for (int side = 0; side < SIDES; side++) {
        shelf_close(e->shelf[side]);
        e->shelf[side] = NULL;
    }
}

void early_close(struct early *e)
{
    if (!e)
        return;
    struct match *m = e->match;
    match_drop(m, &e->local);
    match_drop(m, &e->channel);
    close_shelves(e);
    for (uint32_t i = 0; e->lanes && i < m->config.lanes; i++) {
        lean_list_fini(&e->lanes[i].tap.list);
        for (int side = 0; side < SIDES; side++)
            mem_give(e->lanes[i].odd[side]);
    }
    for (int side = 0; side < SIDES; side++) {
        mem_unmap(e->blocks[side], e->block_count[side] * sizeof *e->blocks[side]);
        mem_give(e->odd[side]);
        mem_give(e->base[side]);
        mem_unmap(e->lines[side], e->block_count[side] * sizeof *e->lines[side]);
        mem_give(e->lines_before[side]);
    }
    mem_give(e->met);
    mem_give(e->lanes);
    mem_give(e->strata);
    mem_give(e->groups);
    mem_give(e->lows);
    mem_give(e->stratum_of_range);
    mem_give(e->odd_keys);
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

void early_lines(struct early *e)
{
    uint32_t shares[SIDES], at;
    for (int side = 0; side < SIDES; side++)
        shares[side] = (uint32_t)((e->block_count[side] + LINES_STRETCH - 1) / LINES_STRETCH);
    while ((at = atomic_fetch_add(&e->next_lines, 1)) < shares[LOCAL] + shares[CHANNEL]) {
        const int side = at < shares[LOCAL] ? LOCAL : CHANNEL;
        const struct source *source = e->match->config.sources[side];
        const uint64_t stretch = at - (side == LOCAL ? 0 : shares[LOCAL]), from = stretch * LINES_STRETCH,
                       left = e->block_count[side] - from;
        const uint32_t count = left < LINES_STRETCH ? (uint32_t)left : LINES_STRETCH;
        uint64_t lines[LINES_STRETCH];
        source->ops->tap_lines(source, from * TAP_LINES, count, lines);
        for (uint32_t i = 0; e->blocks[side] && i < count; i++)
            e->blocks[side][from + i].lines = lines[i];
        if (!e->lines[side])
            continue;
        /* A stretch may have blocks of several files, and lines begin anew with each. */
        uint64_t least = lines[0];
        for (uint32_t i = 1; i < count; i++)
            least = lines[i] < least ? lines[i] : least;
        e->lines_before[side][stretch] = least;
        for (uint32_t i = 0; i < count; i++)
            e->lines[side][from + i] = (uint32_t)(lines[i] - least);
    }
}

static uint64_t local_bytes(const struct early *e, uint32_t range)
{
    return e->shelf[LOCAL] ? shelf_size(e->shelf[LOCAL], range) : tank_size(e->local, range);
}

static uint64_t channel_bytes(const struct early *e, uint32_t cell)
{
    return e->shelf[CHANNEL] ? shelf_size(e->shelf[CHANNEL], cell) : tank_size(e->channel, cell);
}

/* No range or cell is so much larger than the sample said that it does not go into memory. */
static int sizes_fit(const struct early *e)
{
    const uint64_t most = e->match->config.memory / e->match->config.lanes / 8;
    for (uint32_t i = 0; i < e->range_count; i++)
        if (local_bytes(e, i) > most / 2)
            return 0;
    for (uint32_t i = 0; i < e->cell_count; i++)
        if (channel_bytes(e, i) > most)
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

/* What was told is of no use. */
static void drop(struct match *m)
{
    struct early *e = m->early;
    m->early = NULL;
    m->dropped = e; /* taps may still point to it */
    tank_close(e->local);
    tank_close(e->channel);
    e->local = e->channel = NULL;
    close_shelves(e);
    for (int side = 0; side < SIDES; side++) {
        mem_unmap(e->blocks[side], e->block_count[side] * sizeof *e->blocks[side]);
        e->blocks[side] = NULL;
    }
}

/* Hashes of keys that are the index's, in a table. 0: memory is out. */
static int make_odd_keys(struct early *e)
{
    uint64_t room = 64;
    while (room < 4 * ((uint64_t)e->odd_count[LOCAL] + e->odd_count[CHANNEL]))
        room *= 2;
    if (e->odd_count[LOCAL] + e->odd_count[CHANNEL] == 0)
        return 1;
    e->odd_keys = mem_take_zero(room, sizeof *e->odd_keys);
    if (!e->odd_keys)
        return 0;
    e->odd_mask = room - 1;
    for (int side = 0; side < SIDES; side++)
        for (uint32_t i = 0; i < e->odd_count[side]; i++) {
            uint64_t at = e->odd[side][i] & e->odd_mask;
            while (e->odd_keys[at] && e->odd_keys[at] != e->odd[side][i])
                at = (at + 1) & e->odd_mask;
            e->odd_keys[at] = e->odd[side][i];
        }
    return 1;
}

void early_read(struct match *m)
{
    struct early *e = m->early;
    pthread_mutex_lock(&m->lock);
    if (!e->is_joined) {
        e->is_joined = 1;
        e->gives_back =
            atomic_load(&e->is_dead) || !sizes_fit(e) || !words_fit(e) || !gather_odd(e) || !make_odd_keys(e);
    }
    pthread_mutex_unlock(&m->lock);
}

int early_settle(struct match *m)
{
    struct early *e = m->early;
    if (!e || e->is_settled)
        return e != NULL;
    const int is_bad = e->shelf[LOCAL]
                           ? e->gives_back || !e->is_joined
                           : atomic_load(&e->is_dead) || !sizes_fit(e) || !words_fit(e) || !gather_odd(e);
    if (is_bad) {
        drop(m);
        return 0;
    }
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
    if (e->shelf[LOCAL]) { /* pairs of rows that met are none of these */
        memcpy(odd, pairs, count * sizeof *pairs);
        *odd_count = count;
        return;
    }
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
