/* tests/unit/index/shard_test.c: random records against a model that keeps them all in a list
 *
 * What must come back, whatever the order: every record once, either in a pair that left (one local and one
 * channel record, alone under their key, exactly alike, inside the window) or among the rows to be judged.
 */
#include "core/base/mem.h"
#include "core/base/prng.h"
#include "core/model/packed.h"
#include "index/shard.h"
#include "index/table.h"
#include "io/spill/spool.h"
#include "tests/support/check_test.h"
#include <stdlib.h>

enum { RECORDS_MAX = 4000, KEY_MAX = 400, BATCH_ROOM = 400 };

struct sample {
    uint64_t hash, place;
    int64_t amount;
    uint32_t key, key_size; /* key: its number; the bytes follow from it */
    uint32_t occurrence;
    uint16_t day, flags, status;
    /* what the model says */
    int is_old, in_pair, seen, is_listed;
};

struct setting {
    uint64_t seed;
    uint32_t records, keys;
    int images;  /* the local side is a log */
    int extras;  /* compared fields behind the key */
    int collide; /* different keys share hashes */
    int window;  /* days; -1: none */
    int long_keys;
    uint32_t memory; /* of the shard; 0: no limit */
    uint32_t ids;    /* of a key's images; 0: two */
    int packs;       /* records that fit are packed, most of them */
    int deep;        /* hashes that agree where partitions and their parts are told apart */
    int stay;        /* images never leave */
    int both;        /* with images: the channel side is a log too */
    int calm;        /* most images say what the one before them said */
    int keep;        /* match.csv is wanted: pairs of images are judged again, all of them */
};

static struct sample samples[RECORDS_MAX];
static uint64_t spilled, recalled; /* records, of all runs */
static uint64_t left_early;        /* of them: pairs that did not wait for the end */

static uint32_t key_size_of(const struct setting *s, uint32_t key)
{
    return s->long_keys ? 1 + key * 37 % KEY_MAX : 8;
}

static int is_log(const struct setting *s, const struct sample *sample)
{
    return s->images && (s->both || !(sample->flags & RECORD_CHANNEL));
}

/* What must come back as it was: numbers of every width. */
static void fold_of(const struct sample *sample, uint32_t fold[3])
{
    const uint64_t mixed = sample->place * 0x9E3779B97F4A7C15ull;
    for (int i = 0; i < 3; i++)
        fold[i] = (uint32_t)(mixed >> 8 * i) >> 8 * (mixed >> (60 + i) & 3);
}

static struct record_layout make_record(struct record *r, const struct setting *s,
                                        const struct sample *sample)
{
    const int fold = is_log(s, sample);
    memset(r, 0, sizeof *r);
    r->hash_lo = (uint32_t)sample->hash;
    r->hash_hi = (uint32_t)(sample->hash >> 32);
    r->amount_micro = sample->amount;
    r->place = sample->place;
    r->day = sample->day;
    r->key_size = (uint16_t)sample->key_size;
    r->status = sample->status;
    r->currency = 1;
    r->flags = sample->flags;
    uint8_t *p = r->var;
    if (fold) {
        uint32_t way[3];
        fold_of(sample, way);
        memcpy(p, way, sizeof way);
        p += sizeof way;
    }
    for (uint32_t i = 0; i < sample->key_size; i++)
        *p++ = (uint8_t)(sample->key >> 8 * (i % 4));
    if (s->extras) {
        uint16_t size = (uint16_t)(sample->status % 3 * 20);
        memcpy(p, &size, 2);
        memset(p + 2, 'x', size);
        p += 2 + size;
    }
    if (fold) {
        uint16_t size = 4;
        memcpy(p, &size, 2);
        memcpy(p + 2, &sample->occurrence, 4);
    }
    return (struct record_layout){.has_extras = (uint8_t)s->extras, .has_fold = (uint8_t)fold};
}

static void put_record(struct batch *batch, const struct setting *s, const struct sample *sample)
{
    struct record *r = &batch->units[batch->used];
    const struct record_layout layout = make_record(r, s, sample);
    if (s->packs) {
        const struct packed_key key = packed_key_anywhere(r->var, r->key_size, r->channel);
        if (key.word[0]) {
            const uint64_t hash = packed_hash(key.word, s->seed);
            r->hash_lo = (uint32_t)hash;
            r->hash_hi = (uint32_t)(hash >> 32);
        }
        /* As if one in five had a word or a place too many. */
        if (key.word[0] && sample->place / 10 % 5) {
            const struct record full = *r;
            packed_put(batch_next_packed(batch), &key, full.amount_micro, full.place, full.day, full.currency,
                       full.status, full.flags);
            batch->packed++;
            batch->count++;
            return;
        }
    }
    batch->used += record_units(record_var_size(r, layout));
    batch->count++;
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct sample *)a)->place, y = ((const struct sample *)b)->place;
    return (x > y) - (x < y);
}

static int alike(const struct setting *s, const struct sample *l, const struct sample *r)
{
    if (l->amount != r->amount || l->status != r->status)
        return 0;
    int days = (int)r->day - (int)l->day;
    return s->window < 0 || !l->day || !r->day || (days >= -s->window && days <= s->window);
}

/* Sets is_old (an image that a later one replaced, or that is gone) and in_pair. */
static void model(const struct setting *s)
{
    for (uint32_t i = 0; i < s->records; i++) {
        struct sample *a = &samples[i];
        a->is_old = a->in_pair = a->seen = a->is_listed = 0;
        for (uint32_t k = 0; is_log(s, a) && k < s->records && !a->is_old; k++) {
            const struct sample *b = &samples[k];
            a->is_old = !((b->flags ^ a->flags) & RECORD_CHANNEL) && b->key == a->key &&
                        b->occurrence == a->occurrence && b->place > a->place;
        }
        if ((a->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE && !(a->flags & RECORD_REJECT))
            a->is_old = 1;
    }
    for (uint32_t i = 0; i < s->records; i++) {
        struct sample *local = &samples[i], *other = NULL;
        int locals = 0, channels = 0, odd = 0;
        if (local->is_old || local->flags & RECORD_CHANNEL)
            continue;
        for (uint32_t k = 0; k < s->records; k++) {
            struct sample *b = &samples[k];
            if (b->is_old || b->key != local->key || b->flags & RECORD_REJECT)
                continue;
            odd |= b->flags & RECORD_VOIDED;
            locals += !(b->flags & RECORD_CHANNEL);
            channels += b->flags & RECORD_CHANNEL;
            if (b->flags & RECORD_CHANNEL)
                other = b;
        }
        if (locals == 1 && channels == 1 && !odd && !(local->flags & RECORD_REJECT) && alike(s, local, other))
            local->in_pair = other->in_pair = 1;
    }
}

static struct sample *sample_at(const struct setting *s, uint64_t place)
{
    struct sample key = {.place = place};
    return bsearch(&key, samples, s->records, sizeof *samples, by_place);
}

struct recall {
    const struct setting *setting;
    int wrong;
};

static enum err recall_images(void *context, const struct row_ref *refs, uint32_t count, record_take_fn *take,
                              void *taker, struct diag *diag)
{
    struct recall *const recall = context;
    static struct record room[8];
    enum err err = OK;
    recalled += count;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const struct sample *const a = sample_at(recall->setting, refs[i].place);
        uint32_t fold[3];
        recall->wrong |= !a || (i && refs[i].place <= refs[i - 1].place);
        if (recall->wrong)
            return OK;
        fold_of(a, fold);
        recall->wrong |= fold[0] != refs[i].back_event || fold[1] != refs[i].back_map ||
                         fold[2] != refs[i].row_index ||
                         refs[i].side != (a->flags & RECORD_CHANNEL ? CHANNEL : LOCAL);
        make_record(room, recall->setting, a);
        err = take(taker, i, room, diag);
    }
    return err;
}

static int run(const struct setting *s)
{
    struct prng prng = {s->seed};
    struct diag diag = {0};
    for (uint32_t i = 0; i < s->records; i++) {
        struct sample *a = &samples[i];
        int is_channel = (int)prng_below(&prng, 2);
        a->key = (uint32_t)prng_below(&prng, s->keys);
        a->key_size = key_size_of(s, a->key);
        a->hash = (s->collide ? a->key % 16 : a->key) * 0x9E3779B97F4A7C15ull;
        if (s->deep) /* one partition, one part of it, two parts of that one */
            a->hash &= ~(0xFFull << 40 | 0x3Full << 26 | 0x1Full << 20);
        a->place = 1 + (uint64_t)i * 10;
        a->amount = (int64_t)prng_below(&prng, 3) + 100;
        a->status = (uint16_t)prng_below(&prng, 8) == 0;
        a->day = (uint16_t)(prng_below(&prng, 10) == 0 ? 0 : 20000 + prng_below(&prng, 6) / 2);
        a->occurrence = (uint32_t)prng_below(&prng, s->ids ? s->ids : 2);
        a->flags = is_channel ? RECORD_CHANNEL : 0;
        if (s->calm && prng_below(&prng, 8)) {
            a->amount = 100;
            a->status = 0;
            a->day = (uint16_t)(20000 + prng_below(&prng, 4));
        }
        if (is_log(s, a)) {
            uint64_t kind = prng_below(&prng, 12);
            a->flags = (uint16_t)(a->flags | RECORD_IMAGE |
                                  (s->calm && kind < 3 && prng_below(&prng, 3) ? 0
                                   : kind == 0                                 ? RECORD_GONE
                                   : kind == 1                                 ? RECORD_GONE | RECORD_VOIDED
                                   : kind == 2                                 ? RECORD_REJECT
                                                                               : 0));
        }
    }
    model(s);

    struct index_config config = {.shard_count = 1,
                                  .layout = {{(uint8_t)s->extras, (uint8_t)s->images},
                                             {(uint8_t)s->extras, (uint8_t)(s->images && s->both)}},
                                  .window_before = s->window,
                                  .window_after = s->window,
                                  .packs = s->packs,
                                  .keep_pairs = s->keep,
                                  .seed = s->seed,
                                  .memory_max = s->memory};
    struct recall recall = {.setting = s};
    if (s->images && !s->stay)
        config.recall = (struct index_recall){recall_images, &recall};
    const struct spill_config spill = {.directory = "/tmp",
                                       .backend = s->seed % 2 ? RING_AUTO : RING_POSIX,
                                       .cache_max = s->seed % 4 ? UINT64_MAX : 0};
    EXPECT(spill_host_open(&config.spill, &spill, &diag) == OK);
    struct index *shard;
    EXPECT(shard_ops.open(&shard, &config, &diag) == OK);
    struct batch *batch = mem_map(sizeof *batch + (size_t)(BATCH_ROOM + 32) * RECORD_UNIT, 0);
    batch->room = BATCH_ROOM;
    static uint32_t order[RECORDS_MAX];
    for (uint32_t i = 0; i < s->records; i++) {
        uint32_t at = (uint32_t)prng_below(&prng, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (uint32_t i = 0; i < s->records; i++) {
        put_record(batch, s, &samples[order[i]]);
        if (batch->used + batch->packed / 2 + 16 > batch->room || i + 1 == s->records ||
            prng_below(&prng, 50) == 0) {
            EXPECT(shard_ops.apply(shard, batch, &diag) == OK);
            batch->used = batch->count = batch->packed = 0;
        }
    }
    struct index_counts counts;
    shard_ops.counts(shard, &counts);
    left_early += counts.pairs;
    EXPECT(shard_ops.settle(shard, &diag) == OK);
    struct row_ref *refs = NULL;
    struct pair_ref *pairs = NULL;
    uint32_t ref_count = 0, ref_room = 0, pair_count = 0, pair_room = 0;
    enum step step;
    while ((step = shard_ops.next(shard, &refs, &ref_count, &ref_room, &pairs, &pair_count, &pair_room,
                                  &diag)) == STEP_MORE) {
    }
    if (step == STEP_FAILED)
        diag_print(&diag, stderr);
    EXPECT(step == STEP_DONE);
    int wrong = recall.wrong;
    uint64_t revisited[SIDES] = {0}, silent[SIDES] = {0};
    money_total revisited_sum[SIDES] = {0}, silent_sum[SIDES] = {0};
    for (uint32_t i = 0; i < ref_count; i++) {
        struct sample *a = sample_at(s, refs[i].place);
        wrong |= !a || a->seen || a->is_old;
        if (a) {
            a->seen = 1;
            wrong |= (refs[i].side == CHANNEL) != ((a->flags & RECORD_CHANNEL) != 0);
            if (refs[i].revisited && !(a->flags & RECORD_REJECT)) {
                revisited[refs[i].side]++;
                revisited_sum[refs[i].side] += a->amount;
            }
            /* Needlessly judged again is right only where hashes collide, or an image came back. */
            wrong |= a->in_pair && !s->collide && !s->images;
            if (s->images && !refs[i].revisited && a->flags & RECORD_IMAGE) {
                uint32_t fold[3];
                fold_of(a, fold);
                wrong |= fold[0] != refs[i].back_event || fold[1] != refs[i].back_map;
            }
        }
    }
    for (uint32_t i = 0; i < pair_count; i++) {
        struct sample *l = sample_at(s, pairs[i].local_place), *r = sample_at(s, pairs[i].channel_place);
        wrong |= !l || !r || l->seen || r->seen || !l->in_pair || !r->in_pair || l->key != r->key;
        if (l && r)
            l->is_listed = r->is_listed = 1;
    }
    uint64_t in = 0;
    for (uint32_t i = 0; i < s->records; i++) {
        const struct sample *a = &samples[i];
        const enum side side = a->flags & RECORD_CHANNEL ? CHANNEL : LOCAL;
        in += !a->is_old;
        if (a->seen || a->is_old)
            continue;
        /* What is told to nobody is a pair; one that was made in the end is not listed. */
        wrong |= !a->in_pair || !(a->is_listed || s->images) || (s->keep && s->images);
        silent[side]++;
        silent_sum[side] += a->amount;
    }
    shard_ops.counts(shard, &counts);
    const uint64_t superseded =
        counts.superseded[LOCAL] + counts.moved[LOCAL] + counts.superseded[CHANNEL] + counts.moved[CHANNEL];
    const struct pair_totals *totals = shard_ops.totals(shard);
    for (int side = 0; side < SIDES; side++) {
        uint64_t paired = 0;
        money_total pair_sum = 0;
        for (int c = 0; c < CURRENCY_COUNT_MAX; c++) {
            paired += totals->count[c] - totals->back_count[side][c];
            pair_sum += totals->sum[c] - totals->back_sum[side][c];
        }
        wrong |= paired != silent[side] + revisited[side];
        wrong |= pair_sum != silent_sum[side] + revisited_sum[side];
    }
    /* I2 of one shard: what came in is what is told, and what was replaced. */
    wrong |= counts.records != s->records;
    uint64_t rejects_gone = 0;
    for (uint32_t i = 0; i < s->records; i++)
        rejects_gone += !samples[i].is_old && samples[i].flags & RECORD_REJECT;
    wrong |= in + superseded != s->records + rejects_gone;
    if (wrong)
        fprintf(stderr,
                "seed %llu records %u keys %u images %d extras %d collide %d window %d long %d: %u refs, %u "
                "pairs, %llu and %llu silent, %llu and %llu judged again, %llu of %u live, %llu superseded\n",
                (unsigned long long)s->seed, s->records, s->keys, s->images, s->extras, s->collide, s->window,
                s->long_keys, ref_count, pair_count, (unsigned long long)silent[LOCAL],
                (unsigned long long)silent[CHANNEL], (unsigned long long)revisited[LOCAL],
                (unsigned long long)revisited[CHANNEL], (unsigned long long)in, s->records,
                (unsigned long long)superseded);
    mem_give(refs);
    mem_give(pairs);
    mem_unmap(batch, sizeof *batch + (size_t)(BATCH_ROOM + 32) * RECORD_UNIT);
    spilled += counts.spilled;
    shard_ops.close(shard);
    spill_host_close(config.spill);
    return !wrong;
}

static void run_many(struct setting s)
{
    uint64_t before = mem_held();
    for (uint64_t seed = 1; seed <= 12; seed += CHECK_WATCHED ? 3 : 1) { /* a sanitizer takes long */
        struct setting one = s;
        one.seed = seed;
        one.records = 20 + (uint32_t)(seed * seed * 11);
        one.keys = one.records / (1 + (uint32_t)seed % 4) + 1;
        EXPECT(run(&one));
    }
    EXPECT(mem_held() == before);
}

TEST(bills_on_both_sides)
{
    run_many((struct setting){.window = -1});
    run_many((struct setting){.window = 1});
}

TEST(keys_of_many_lengths_and_compared_fields)
{
    run_many((struct setting){.window = 1, .long_keys = 1});
    run_many((struct setting){.window = -1, .long_keys = 1, .extras = 1});
}

TEST(packed_records_meet_those_that_are_not)
{
    run_many((struct setting){.window = -1, .packs = 1});
    run_many((struct setting){.window = 1, .packs = 1});
    run_many((struct setting){.window = 1, .packs = 1, .long_keys = 1});
    struct setting large = {
        .seed = 5, .records = RECORDS_MAX, .keys = RECORDS_MAX * 8, .window = -1, .packs = 1};
    EXPECT(run(&large));
}

TEST(packed_records_leave_with_their_partitions)
{
    for (uint32_t memory = 16 << 10; memory <= 512 << 10; memory *= 4) {
        uint64_t before = spilled;
        run_many((struct setting){.window = -1, .packs = 1, .memory = memory});
        run_many((struct setting){.window = 1, .packs = 1, .memory = memory, .long_keys = 1});
        EXPECT(memory > 256 << 10 || spilled > before);
        struct setting large = {.seed = memory,
                                .records = RECORDS_MAX,
                                .keys = RECORDS_MAX * 8,
                                .window = -1,
                                .packs = 1,
                                .memory = memory};
        EXPECT(run(&large));
        large.long_keys = 1;
        EXPECT(run(&large));
    }
}

TEST(hashes_that_collide_cost_time_but_nothing_else)
{
    run_many((struct setting){.window = -1, .collide = 1});
    run_many((struct setting){.window = 1, .collide = 1, .long_keys = 1, .extras = 1});
}

TEST(images_of_a_log_fold_to_the_newest)
{
    run_many((struct setting){.window = -1, .images = 1});
    run_many((struct setting){.window = 1, .images = 1, .extras = 1, .long_keys = 1});
    run_many((struct setting){.window = 1, .images = 1, .collide = 1});
}

/* Images leave with their partners, and come back where the log told more of their keys: by each road what is judged is the same. */
TEST(images_leave_and_come_back)
{
    for (int both = 0; both < 2; both++)
        for (int calm = 0; calm < 2; calm++) {
            const uint64_t left = left_early, back = recalled;
            const struct setting plain = {.window = -1, .images = 1, .both = both, .calm = calm};
            struct setting s = plain;
            run_many(s);
            s.window = 1;
            s.long_keys = s.extras = 1;
            run_many(s);
            s.keep = 1;
            run_many(s);
            s = plain;
            s.collide = 1;
            run_many(s);
            s = plain;
            s.deep = 1;
            for (s.memory = 16 << 10; s.memory <= 256 << 10; s.memory *= 4)
                run_many(s);
            s = plain;
            s.ids = 1; /* a row, many images */
            run_many(s);
            s.window = 1;
            run_many(s);
            EXPECT(left_early - left > (CHECK_WATCHED ? 100 : 500));
            EXPECT(recalled - back > (CHECK_WATCHED ? 20 : 100));
        }
    const uint64_t left = left_early;
    run_many((struct setting){.window = -1, .images = 1, .calm = 1, .stay = 1});
    EXPECT(left_early == left);
}

TEST(a_key_with_many_images_is_folded_all_the_same)
{
    for (uint64_t seed = 1; seed <= 6; seed += CHECK_WATCHED ? 3 : 1) {
        for (uint32_t keys = 1; keys <= 5; keys += 2) {
            struct setting s = {
                .seed = seed, .records = 3001, .keys = keys, .window = -1, .images = 1, .ids = 700};
            EXPECT(run(&s));
            s.extras = s.long_keys = s.collide = 1;
            EXPECT(run(&s));
        }
        uint64_t before = spilled;
        for (uint32_t memory = 64 << 10; memory <= 256 << 10; memory *= 2) {
            struct setting s = {.seed = seed,
                                .records = 3001,
                                .keys = 16,
                                .window = -1,
                                .images = 1,
                                .ids = 300,
                                .memory = memory};
            EXPECT(run(&s));
        }
        EXPECT(spilled > before);
    }
}

TEST(partitions_leave_and_come_back)
{
    for (uint32_t memory = 16 << 10; memory <= 512 << 10; memory *= 2) {
        uint64_t before = spilled;
        run_many((struct setting){.window = -1, .memory = memory});
        run_many((struct setting){.window = 1, .memory = memory, .long_keys = 1, .extras = 1});
        run_many((struct setting){.window = 1, .memory = memory, .images = 1, .long_keys = 1});
        run_many((struct setting){.window = 1, .memory = memory, .images = 1, .deep = 1});
        run_many((struct setting){.window = -1, .memory = memory, .deep = 1});
        EXPECT(memory > 256 << 10 || spilled > before);
    }
    struct setting large = {.seed = 5, .records = RECORDS_MAX, .keys = RECORDS_MAX * 8, .window = -1};
    for (int deep = 0; deep < 2; deep++) {
        large.deep = deep;
        large.memory = 128 << 10;
        uint64_t before = spilled;
        EXPECT(run(&large));
        EXPECT(spilled - before > large.records * (deep ? 2u : 1u) / 2);
    }
}

TEST(the_table_grows)
{
    struct setting s = {.seed = 5, .records = RECORDS_MAX, .keys = RECORDS_MAX * 8, .window = -1};
    EXPECT(run(&s));
}

/* Each bucket is full once, and one of its keys, which went on to the next bucket, stays when the others leave: in the end
 * every bucket was passed by somebody. A search for a key that is not there must end all the same. */
TEST(a_search_ends_where_every_bucket_was_passed)
{
    enum { BUCKET_BITS = 11, KEYS = BUCKET_SLOTS + 1 }; /* of a shard's first table */
    const struct setting s = {.window = -1};
    struct diag diag = {0};
    struct index_config config = {.shard_count = 1, .window_before = -1, .window_after = -1};
    const struct spill_config spill = {.directory = "/tmp", .backend = RING_POSIX};
    struct index *shard;
    EXPECT(spill_host_open(&config.spill, &spill, &diag) == OK);
    EXPECT(shard_ops.open(&shard, &config, &diag) == OK);
    struct batch *batch = mem_map(sizeof *batch + (size_t)BATCH_ROOM * RECORD_UNIT, 0);
    batch->room = BATCH_ROOM;
    uint32_t inverse = 1; /* of what table_home multiplies with */
    for (int i = 0; i < 5; i++)
        inverse *= 2 - 0x9E3779B1u * inverse;
    struct sample sample = {.amount = 100, .key_size = 8, .day = 20000};
    for (uint32_t bucket = 0; bucket < 1u << BUCKET_BITS; bucket++) {
        batch->used = batch->count = 0;
        for (uint32_t i = 0; i < 2 * KEYS - 1; i++) {
            const uint32_t half = ((bucket << (32 - BUCKET_BITS)) + i % KEYS) * inverse;
            sample.hash = (uint64_t)half << 32 | half;
            sample.key = bucket * KEYS + i % KEYS;
            sample.place = 1 + ((uint64_t)bucket * 2 * KEYS + i) * 10;
            sample.flags = i < KEYS ? 0 : RECORD_CHANNEL;
            put_record(batch, &s, &sample);
        }
        EXPECT(shard_ops.apply(shard, batch, &diag) == OK);
    }
    batch->used = batch->count = 0;
    sample =
        (struct sample){.amount = 100, .key_size = 8, .key = UINT32_MAX, .hash = 1ull << 32 | 1, .place = 7};
    put_record(batch, &s, &sample);
    EXPECT(shard_ops.apply(shard, batch, &diag) == OK);
    struct index_counts counts;
    shard_ops.counts(shard, &counts);
    EXPECT(counts.waiting == (1u << BUCKET_BITS) + 1);
    EXPECT(shard_ops.settle(shard, &diag) == OK);
    shard_ops.close(shard);
    spill_host_close(config.spill);
    mem_unmap(batch, sizeof *batch + (size_t)BATCH_ROOM * RECORD_UNIT);
}

TEST(an_empty_shard_has_nothing_to_say)
{
    struct setting s = {.seed = 5, .records = 0, .keys = 1, .window = -1};
    EXPECT(run(&s));
}
