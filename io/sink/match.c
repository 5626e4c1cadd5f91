/* io/sink/match.c: see match.h, and match_inner.h for its other files */
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "io/sink/match_early.h"
#include <stdlib.h>

enum {
    SLICE_PAIRS_MAX = 1 << 16, /* rows of a slice of a file, roughly */
    SLICE_PAIRS_MIN = 1 << 12,
    SLICES_MAX = 1 << 14
};

void match_stop(struct match *m)
{
    pthread_mutex_lock(&m->lock);
    atomic_store(&m->stop, 1);
    pthread_cond_broadcast(&m->turn_is_over);
    pthread_mutex_unlock(&m->lock);
}

/* ---- opening ---- */

static void make_plan(struct match *m, int is_whole)
{
    const struct match_rules *rules = &m->config.job->match;
    match_plan_make(&m->plan, m->config.job, is_whole);
    m->is_whole = is_whole;
    m->compare_cell_count = 0;
    for (int i = 0; i < rules->compare_count; i++) {
        const signed char cell = m->plan.cell_at[LOCAL][rules->compare[i]];
        if (cell >= 0)
            m->compare_cells[m->compare_cell_count++] = cell;
    }
}

enum err match_open(struct match **out, const struct match_config *config, struct diag *diag)
{
    *out = NULL;
    struct match *m = mem_take_zero(1, sizeof *m);
    if (!m)
        return mem_fail(diag, sizeof *m, "match.csv");
    m->config = *config;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->turn_is_over, NULL);
    m->road = MATCH_READS_AGAIN;
    make_plan(m, 0);
    m->lanes = mem_take_zero(config->lanes, sizeof *m->lanes);
    if (!m->lanes) {
        match_close(m);
        return mem_fail(diag, config->lanes * sizeof *m->lanes, "match.csv");
    }
    for (int side = 0; side < SIDES; side++) {
        const struct source *source = config->sources[side];
        struct tap_files files;
        if (source->ops->tap_files && source->ops->tap_files(source, &files))
            m->ends[side] = files.end;
    }
    const enum err err = early_open(m, diag);
    if (err != OK) {
        match_close(m);
        return err;
    }
    *out = m;
    return OK;
}

enum err match_look(const struct match_config *config, struct match_outlook *out, struct diag *diag)
{
    struct match *m;
    const enum err err = match_open(&m, config, diag);
    if (err != OK)
        return err;
    *out = (struct match_outlook){.road = m->road, .why = m->why};
    if (m->early)
        early_sizes(m->early, &out->shelf, &out->aside);
    match_close(m);
    return OK;
}

static void forget_samples(struct match *m)
{
    for (uint32_t i = 0; m->lanes && i < m->config.lanes; i++)
        match_forget_sample(&m->lanes[i].sample);
}

void match_drop(struct match *m, struct tank **tank)
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
    early_close(m->early);
    early_close(m->dropped);
    match_drop(m, &m->pairs);
    match_drop(m, &m->channel);
    match_drop(m, &m->rows);
    match_drop(m, &m->ranges_tank);
    for (int side = 0; side < SIDES; side++)
        mem_give(m->slices[side].cuts);
    mem_give(m->cuts);
    mem_give(m->cut_bytes);
    mem_give(m->shared);
    cut_tree_fini(&m->cut_tree);
    stretch_close(m->file);
    pieces_close(m->pieces);
    pthread_cond_destroy(&m->turn_is_over);
    pthread_mutex_destroy(&m->lock);
    mem_give(m);
}

uint64_t match_spilled(const struct match *m)
{
    return m->spilled;
}

uint64_t match_early_pairs(const struct match *m)
{
    uint64_t joined = 0;
    for (uint32_t i = 0; m->early && i < m->config.lanes; i++)
        joined += m->early->lanes[i].joined;
    return joined;
}

uint64_t match_met_pairs(const struct match *m)
{
    return m->early && m->early->shelf[LOCAL] ? match_early_pairs(m) : 0;
}

enum err match_open_tank(struct match *m, struct tank **out, uint32_t partitions, uint64_t expected,
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

/* Cuts between the last cut and `to`, where these lie farther apart than two even slices do: there may be rows that the sample does not
 * know, since pairs of crowds come behind all others (match_take_whole). */
static void cut_even(struct slices *s, uint64_t to, uint64_t even)
{
    uint64_t from = s->count > 1 ? s->cuts[s->count - 2] : 0;
    while (even && to > from && to - from > 2 * even)
        s->cuts[s->count++ - 1] = from += even;
}

/* Cuts a side's places, of which `look` is a sorted sample, into slices; those below `end` (0: nobody asks) into `slices` at least. */
static enum err cut_slices(struct slices *s, const struct sort_entry *look, uint64_t n, uint64_t wanted,
                           uint64_t end, uint64_t slices, struct diag *diag)
{
    const uint64_t even = end ? end / slices + 1 : 0;
    s->cuts = mem_take((wanted + slices + 1) * sizeof *s->cuts);
    if (!s->cuts)
        return mem_fail(diag, (wanted + slices) * sizeof *s->cuts, "match.csv");
    s->count = 1;
    for (uint64_t i = 1; i < wanted; i++) {
        if (s->count > 1 && look[i * n / wanted].word <= s->cuts[s->count - 2])
            continue;
        cut_even(s, look[i * n / wanted].word, even);
        s->cuts[s->count++ - 1] = look[i * n / wanted].word;
    }
    cut_even(s, end, even);
    const uint64_t last = end ? end : look[n - 1].word;
    s->first = end ? 0 : look[0].word;
    while ((last - s->first) >> s->shift >= NEAR)
        s->shift++;
    for (uint32_t i = 0, at = 0; i < NEAR; i++) {
        while (at + 1 < s->count && s->cuts[at] <= s->first + ((uint64_t)i << s->shift))
            at++;
        s->near[i] = at;
    }
    return OK;
}

/* How many slices of how many pairs are wanted of `total`. */
struct slice_wish {
    uint64_t total, pairs, slices;
};

static struct slice_wish wish_slices(const struct match *m)
{
    const size_t share = m->config.memory / m->config.lanes;
    const uint64_t pairs = share / 512, most = share / 8 / 4096; /* a block each */
    struct slice_wish wish = {.total = UINT64_MAX,
                              .pairs = pairs > SLICE_PAIRS_MAX   ? SLICE_PAIRS_MAX
                                       : pairs < SLICE_PAIRS_MIN ? SLICE_PAIRS_MIN
                                                                 : pairs};
    for (int side = 0; side < SIDES; side++) {
        struct source_counts counts;
        m->config.sources[side]->ops->counts(m->config.sources[side], &counts);
        wish.total = counts.records < wish.total ? counts.records : wish.total;
    }
    wish.slices = wish.total / wish.pairs + 1;
    if (wish.slices > most)
        wish.slices = most + 1;
    if (wish.slices > SLICES_MAX)
        wish.slices = SLICES_MAX;
    return wish;
}

/* The same where nobody knows yet which pairs there are: even slices, and pairs by those of the channel's. */
static enum err decide_evenly(struct match *m, struct diag *diag)
{
    const uint64_t slices = wish_slices(m).slices;
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        const struct sort_entry only = {0, NULL};
        err = cut_slices(&m->slices[side], &only, 1, 1, m->ends[side], slices, diag);
    }
    m->same_order = 0;
    return err;
}

/* Chooses slices, and whether pairs go by slices of the local side's files, whose neighbours then have their
 * channel rows near each other, or by slices of the channel's. The first pairs that come decide: they are a
 * sample, chosen by their keys' hashes. */
static enum err decide(struct match *m, const struct pair_ref *given, uint64_t count, struct diag *diag)
{
    enum { LOOK = 1 << 14 };
    const struct slice_wish wish = wish_slices(m);
    const uint64_t total = wish.total;
    uint64_t n = count < LOOK ? count : LOOK, jumps = 0, wanted = wish.slices > n ? n : wish.slices;
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
        qsort(look, n, sizeof *look, match_by_word);
        err = cut_slices(&m->slices[CHANNEL], look, n, wanted, m->early ? 0 : m->ends[CHANNEL], wish.slices,
                         diag);
        for (uint64_t i = 0; i < n; i++)
            ranks[(const struct pair_ref *)look[i].item - pairs] = i;
    }
    for (uint64_t i = 0; err == OK && i < n; i++)
        look[i] = (struct sort_entry){pairs[i].local_place, (const uint8_t *)&pairs[i]};
    if (err == OK) {
        qsort(look, n, sizeof *look, match_by_word);
        err =
            cut_slices(&m->slices[LOCAL], look, n, wanted, m->early ? 0 : m->ends[LOCAL], wish.slices, diag);
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
    m->same_order = (unsigned __int128)jumps * total / n / n <= wish.pairs / 2;
    return OK;
}

enum err match_take_whole(struct match *m, int *takes, struct diag *diag)
{
    enum err err = OK;
    pthread_mutex_lock(&m->lock);
    *takes = !job_match_is_odd(m->config.job) && m->ends[LOCAL] && m->ends[CHANNEL] && !early_settle(m);
    if (*takes && !m->is_whole)
        make_plan(m, 1);
    if (*takes && !m->decided) {
        err = decide_evenly(m, diag);
        m->decided = err == OK;
    }
    pthread_mutex_unlock(&m->lock);
    return err;
}

/* Pairs whose rows are read again. */
static enum err put_pairs(struct match *m, uint32_t number, const struct pair_ref *pairs, uint64_t count,
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
    if (err == OK && !m->pairs)
        err = match_open_tank(m, &m->pairs, m->slices[m->same_order ? LOCAL : CHANNEL].count, 0,
                              m->config.memory / 8, diag);
    pthread_mutex_unlock(&m->lock);
    enum side by = m->same_order ? LOCAL : CHANNEL;
    for (uint64_t i = 0; err == OK && i < count; i++) {
        uint8_t item[PAIR_BYTES];
        uint64_t hash = hash_bytes(&pairs[i].local_place, 8, 1);
        if (!match_keep_sample(&lane->sample, hash, pairs[i].local_place, (struct span){NULL, 0}))
            return mem_fail(diag, SAMPLE_MAX * sizeof *lane->sample.items, "match.csv");
        put40(item, pairs[i].local_place);
        put40(item + 5, pairs[i].channel_place);
        uint64_t place = by == LOCAL ? pairs[i].local_place : pairs[i].channel_place;
        err = tank_put(m->pairs, number, slice_of(&m->slices[by], place), item, sizeof item, diag);
    }
    lane->pairs += count;
    return err;
}

enum err match_put_pairs(struct match *m, uint32_t number, const struct pair_ref *pairs, uint64_t count,
                         struct diag *diag)
{
    enum { AT_ONCE = 1024 };
    struct pair_ref odd[AT_ONCE];
    enum err err = OK;
    pthread_mutex_lock(&m->lock);
    const int is_early = early_settle(m);
    pthread_mutex_unlock(&m->lock);
    if (!is_early)
        return put_pairs(m, number, pairs, count, diag);
    for (uint64_t i = 0, odd_count; err == OK && i < count; i += AT_ONCE) {
        early_pairs(m->early, number, pairs + i, count - i < AT_ONCE ? count - i : AT_ONCE, odd, &odd_count);
        err = put_pairs(m, number, odd, odd_count, diag);
    }
    return err;
}

enum err match_join(struct match *m, uint32_t lane, struct outbox *outbox, struct pair_totals *left,
                    struct diag *diag)
{
    struct early *e = m->early;
    if (!e || !e->shelf[LOCAL])
        return OK;
    early_read(m);
    return meet_cells(e, lane, outbox, left, diag);
}

uint8_t *match_item_room(struct match_lane *lane, size_t size, struct diag *diag)
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

enum err match_put_row(struct match *m, uint32_t number, struct span key, struct span row, struct span places,
                       struct diag *diag)
{
    struct match_lane *lane = &m->lanes[number];
    enum err err = OK;
    pthread_mutex_lock(&m->lock);
    if (!m->rows)
        err = match_open_tank(m, &m->rows, 1, 0, m->config.memory / 16, diag);
    pthread_mutex_unlock(&m->lock);
    uint8_t *const item =
        err == OK ? match_item_room(lane, 32 + key.size + row.size + places.size, diag) : NULL;
    if (!item)
        return diag->err;
    if (!match_keep_sample(&lane->sample, hash_bytes(key.data, key.size, 1), 0, key))
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
    lane->rows++;
    return tank_put(m->rows, number, 0, item, (size_t)(at - item), diag);
}

/* ---- the stages ---- */

static enum err begin_file(struct match *m, struct diag *diag)
{
    enum { BLOCKS = 4, BLOCK_MIN = 16 << 10, BLOCK_MAX = 2 << 20 };
    struct stretch_config config = {.directory = m->config.directory,
                                    .name = "match.csv",
                                    .lanes = m->config.lanes,
                                    .blocks = BLOCKS,
                                    .block = BLOCK_MIN,
                                    .backend = m->config.backend};
    /* As much as a range's rows take, so that they are on their way while the next ones are printed. */
    while (config.block < BLOCK_MAX && 8 * BLOCKS * config.block <= m->config.memory / m->config.lanes)
        config.block *= 2;
    enum err err = stretch_open(&m->file, &config, diag);
    if (err != OK)
        return err;
    m->began = 1;
    const size_t head = strlen(m->config.head), places = strlen(m->config.place_head);
    char *line = mem_take(head + places + 1);
    if (!line)
        return mem_fail(diag, head + places + 1, "match.csv");
    memcpy(line, m->config.head, head);
    line[head] = '\n';
    err = pieces_open(&m->pieces, (struct span){line, head + 1}, diag);
    memcpy(line + head, m->config.place_head, places);
    line[head + places] = '\n';
    struct stretch stretch;
    stretch_claim(m->file, &stretch, line, head + places + 1);
    if (err == OK)
        err = stretch_write(m->file, 0, &stretch, line, diag);
    mem_give(line);
    return err;
}

static enum err do_stage(struct match *m, unsigned stage, struct worker_io *io, uint32_t number,
                         struct diag *diag)
{
    enum err err = OK;
    switch (stage) {
    case 0: /* what is still on its way into the first tanks */
        if (number < m->config.lanes && m->pairs)
            err = tank_end(m->pairs, number, diag);
        if (err == OK && m->rows)
            err = tank_end(m->rows, number, diag);
        if (err == OK && m->early)
            err = early_end(m->early, number, diag);
        return err;
    case 1:
        if (number)
            return OK;
        err = early_settle(m) ? early_ranges(m, diag) : match_make_ranges(m, io, diag);
        forget_samples(m);
        return err == OK ? begin_file(m, diag) : err;
    case 2:
    case 3:
        if (m->early)
            early_lines(m->early);
        return match_slices(m, stage, io, number, diag);
    case 4:
        if (number == 0) {
            match_drop(m, &m->pairs);
            match_drop(m, &m->channel);
            match_drop(m, &m->rows);
        }
        return match_write_ranges(m, io, number, diag);
    default: /* what waits for the disk, beside what gives the ranges' room on it back */
        if (number == 0 && (err = stretch_end(m->file, diag)) == OK)
            m->ended = 1;
        if (number + 1 == m->config.lanes)
            match_drop(m, &m->ranges_tank);
        if (m->early)
            early_clear_shelves(m->early);
        return err;
    }
}

enum err match_stage(struct match *m, unsigned stage, uint32_t lane, struct worker_io *io, struct diag *diag)
{
    const enum err err = match_stopped(m) ? OK : do_stage(m, stage, io, lane, diag);
    if (err != OK)
        match_stop(m);
    return err;
}

enum err match_finish(struct match *m, char digest[DIGEST_TEXT], struct diag *diag)
{
    CHECK(m->began);
    enum err err = m->ended ? OK : stretch_end(m->file, diag);
    if (err == OK && m->early)
        err = early_check(m->early, diag);
    if (err == OK)
        pieces_end(m->pieces, digest);
    return err;
}

enum err match_adds_up(const struct match *m, const struct count_and_sum pairs[CURRENCY_COUNT_MAX],
                       struct diag *diag)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < m->config.lanes; i++)
        rows += m->lanes[i].rows;
    if (rows != m->printed.rows)
        return diag_set(
            diag, ERR_BUG, "invariant.match", "please report this with the job and, if you can, the files",
            "I2 broken in match.csv: %llu rows were judged to be matches, %llu of them stand in it",
            (unsigned long long)rows, (unsigned long long)m->printed.rows);
    for (int c = 0; c < CURRENCY_COUNT_MAX; c++) {
        const struct count_and_sum *want = &pairs[c], *is = &m->printed.pairs[c];
        if (want->count == is->count && want->sum == is->sum)
            continue;
        char a[MONEY_TEXT_MAX], b[MONEY_TEXT_MAX];
        const int exponent = currency_exponent((uint8_t)c);
        money_print(a, want->sum, exponent);
        money_print(b, is->sum, exponent);
        return diag_set(
            diag, ERR_BUG, "invariant.match", "please report this with the job and, if you can, the files",
            "I2 or I3 broken in match.csv: %llu pairs with %s %s left as exact matches, %llu with %s "
            "stand in it",
            (unsigned long long)want->count, a, currency_code((uint8_t)c), (unsigned long long)is->count, b);
    }
    return OK;
}
