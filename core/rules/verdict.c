/* core/rules/verdict.c: see verdict.h */
#include "core/rules/verdict.h"
#include "core/base/mem.h"
#include "core/rules/pass.h"
#include <stdlib.h>

int by_order(const void *a, const void *b)
{
    return full_compare(*(struct full *const *)a, *(struct full *const *)b);
}

int sigma_compare(const struct job *job, const struct full *a, const struct full *b)
{
    int c = span_compare(a->sigma, b->sigma);
    if (c == 0)
        c = (full_gross(a) > full_gross(b)) - (full_gross(a) < full_gross(b));
    for (int i = 0; c == 0 && i < job->match.compare_count; i++)
        if (job->match.compare[i] == FIELD_FEE) {
            c = (int)a->has_fee - (int)b->has_fee;
            if (c == 0)
                c = (a->fee_micro > b->fee_micro) - (a->fee_micro < b->fee_micro);
        }
    return c;
}

/* qsort has no context argument in C11; qsort_r of glibc does. */
static int by_occurrence(const void *a, const void *b, void *job)
{
    const struct full *x = *(struct full *const *)a, *y = *(struct full *const *)b;
    (void)job;
    int c = span_compare(x->occurrence, y->occurrence);
    return c ? c : full_compare(x, y);
}

int by_sigma(const void *a, const void *b, void *job)
{
    const struct full *x = *(struct full *const *)a, *y = *(struct full *const *)b;
    int c = sigma_compare(job, x, y);
    return c ? c : full_compare(x, y);
}

void *scratch_work(struct verdict_scratch *s, size_t size)
{
    if (size > s->work_size) {
        void *grown = mem_grow(s->work, size);
        if (!grown)
            return NULL;
        s->work = grown;
        s->work_size = size;
    }
    return s->work;
}

/* ---- P1 ---- */

void resolve_duplicate(struct full *row, int key_no, int conflict)
{
    const uint64_t repeated = row->repeated ? REASON_BIT(REASON_REPEATED) : 0;
    if (!conflict) {
        finish(row, CLASS_DUPLICATE, repeated, key_no);
        return;
    }
    finish(row, CLASS_AMBIGUOUS, REASON_BIT(REASON_CONFLICT) | repeated, key_no);
    row->set_id = set_number(row, key_no, row->occurrence, 1u + row->side);
}

void resolve_came_before(struct full *row)
{
    resolve_duplicate(row, 0, row->repeated == REPEAT_OTHER);
}

void resolve_occurrences(const struct job *job, struct full **rows, uint32_t count, int key_no)
{
    qsort_r(rows, count, sizeof *rows, by_occurrence, (void *)job);
    for (uint32_t i = 0, next; i < count; i = next) {
        int equal = 1;
        for (next = i + 1; next < count && span_equal(rows[next]->occurrence, rows[i]->occurrence); next++)
            equal &= sigma_compare(job, rows[i], rows[next]) == 0;
        if (rows[i]->occurrence.size == 0)
            continue;
        /* One that an earlier day took in is one more of them, and before all new ones: it is the one that stays, where it
         * is in the pool and where it is not. */
        uint32_t stays = i, carried = next;
        int came_before = 0;
        for (uint32_t k = next; k-- > i;) {
            equal &= rows[k]->repeated != REPEAT_OTHER;
            came_before |= rows[k]->repeated != REPEAT_NONE;
            if (rows[k]->carry)
                carried = k;
        }
        if (came_before)
            stays = carried;
        else if (next - i == 1)
            continue;
        for (uint32_t k = i; k < next; k++)
            if (!equal || k != stays)
                resolve_duplicate(rows[k], key_no, !equal);
    }
}

/* ---- P2 ---- */

/* fees: net: what the channel kept explains the difference. */
static uint64_t fee_bit(const struct full *channel)
{
    return channel->taken_micro ? REASON_BIT(REASON_FEE) : 0;
}

void resolve_alike(struct full *local, struct full *channel, int key_no)
{
    const uint64_t why = day_cut_bit(local, channel) | fee_bit(channel);
    pair(local, channel, CLASS_MATCH, why ? why : REASON_BIT(REASON_EXACT), key_no);
}

static void pair_exact(const struct match_rules *match, struct full **l, uint32_t ln, struct full **r,
                       uint32_t rn, int key_no)
{
    uint32_t i = 0, k = 0;
    while (i < ln && k < rn) {
        if (window_holds(match, l[i]->day, r[k]->day))
            resolve_alike(l[i++], r[k++], key_no);
        else if ((int)r[k]->day - (int)l[i]->day < 0)
            k++;
        else
            i++;
    }
}

void drop_closed(struct verdict_scratch *s)
{
    for (int side = 0; side < SIDES; side++) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < s->count[side]; i++)
            if (s->rows[side][i]->verdict == VERDICT_OPEN)
                s->rows[side][kept++] = s->rows[side][i];
        s->count[side] = kept;
    }
}

static void pass_exact(const struct job *job, struct verdict_scratch *s, int key_no)
{
    for (int side = 0; side < SIDES; side++)
        qsort_r(s->rows[side], s->count[side], sizeof(struct full *), by_sigma, (void *)job);
    struct full **l = s->rows[LOCAL], **r = s->rows[CHANNEL];
    uint32_t ln = s->count[LOCAL], rn = s->count[CHANNEL], i = 0, k = 0;
    while (i < ln && k < rn) {
        int c = sigma_compare(job, l[i], r[k]);
        if (c < 0) {
            i++;
        } else if (c > 0) {
            k++;
        } else {
            uint32_t i2 = i, k2 = k;
            while (i2 < ln && sigma_compare(job, l[i], l[i2]) == 0)
                i2++;
            while (k2 < rn && sigma_compare(job, r[k], r[k2]) == 0)
                k2++;
            pair_exact(&job->match, l + i, i2 - i, r + k, k2 - k, key_no);
            i = i2;
            k = k2;
        }
    }
    drop_closed(s);
}

/* ---- P3: tolerance ----
 *
 * Both sides stand sorted by (sigma without amount and fee, amount). For each local record a cursor walks
 * outwards over the channel records of the same sigma in order of amount distance; a heap holds each local
 * record's best candidate that is still free. Pairs leave in order of (delta, amounts, ≺). Without this a key
 * with n and m records would cost n times m. */

struct candidate {
    uint64_t delta; /* |amount delta| + |fee delta| */
    struct full *local, *channel;
};

static uint64_t distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static uint64_t limit_of(const struct tolerance *t, int64_t a, int64_t b)
{
    uint64_t base = magnitude(a) < magnitude(b) ? magnitude(a) : magnitude(b);
    uint64_t share = (uint64_t)((unsigned __int128)base * (uint64_t)t->ppm / 1000000u);
    return (uint64_t)t->absolute_micro > share ? (uint64_t)t->absolute_micro : share;
}

int compares_fee(const struct job *job)
{
    for (int i = 0; i < job->match.compare_count; i++)
        if (job->match.compare[i] == FIELD_FEE)
            return 1;
    return 0;
}

static int within_tolerance(const struct job *job, int fee, const struct full *l, const struct full *r,
                            uint64_t *delta)
{
    *delta = distance(full_gross(l), full_gross(r));
    if (*delta > limit_of(&job->match.amount_tolerance, full_gross(l), full_gross(r)))
        return 0;
    if (fee) {
        uint64_t fee_delta = distance(l->fee_micro, r->fee_micro);
        if (l->has_fee != r->has_fee ||
            fee_delta > limit_of(&job->match.fee_tolerance, l->fee_micro, r->fee_micro))
            return 0;
        *delta += fee_delta;
    }
    return window_holds(&job->match, l->day, r->day);
}

static int compare_candidates(const struct candidate *a, const struct candidate *b)
{
    if (a->delta != b->delta)
        return a->delta < b->delta ? -1 : 1;
    int64_t al = full_gross(a->local), ar = full_gross(a->channel);
    int64_t bl = full_gross(b->local), br = full_gross(b->channel);
    int64_t a_low = al < ar ? al : ar, b_low = bl < br ? bl : br, a_high = al < ar ? ar : al,
            b_high = bl < br ? br : bl;
    if (a_low != b_low)
        return a_low < b_low ? -1 : 1;
    if (a_high != b_high)
        return a_high < b_high ? -1 : 1;
    int a_first = full_compare(a->local, a->channel) <= 0, b_first = full_compare(b->local, b->channel) <= 0;
    const struct full *a1 = a_first ? a->local : a->channel, *a2 = a_first ? a->channel : a->local;
    const struct full *b1 = b_first ? b->local : b->channel, *b2 = b_first ? b->channel : b->local;
    int c = full_compare(a1, b1);
    return c ? c : full_compare(a2, b2);
}

static void sift_down(struct candidate *heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && compare_candidates(&heap[child + 1], &heap[child]) < 0)
            child++;
        if (compare_candidates(&heap[at], &heap[child]) <= 0)
            return;
        struct candidate swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

/* The free channel record nearest to `l` among r[0..rn), which is sorted by amount. `low`/`high` link free
 * records: next free one at or below / above an index, with paths halved as union-find does. */
static int32_t free_below(int32_t *low, int32_t i)
{
    while (i >= 0 && low[i] != i) {
        if (low[i] >= 0)
            low[i] = low[low[i]];
        i = low[i];
    }
    return i;
}

static int32_t free_above(int32_t *high, int32_t i, int32_t count)
{
    while (i < count && high[i] != i) {
        if (high[i] < count)
            high[i] = high[high[i]];
        i = high[i];
    }
    return i;
}

static int best_candidate(const struct job *job, int fee, struct full *l, struct full **r, int32_t rn,
                          int32_t *low, int32_t *high, struct candidate *best)
{
    int32_t a = 0, b = rn; /* first channel amount >= the local one */
    while (a < b) {
        int32_t mid = (a + b) / 2;
        if (full_gross(r[mid]) < full_gross(l))
            a = mid + 1;
        else
            b = mid;
    }
    int found = 0;
    uint64_t reach_above =
        limit_of(&job->match.amount_tolerance, INT64_MAX, INT64_MAX); /* an upper bound first */
    if ((uint64_t)job->match.amount_tolerance.ppm <= 1000000u) {
        uint64_t own = limit_of(&job->match.amount_tolerance, full_gross(l), full_gross(l));
        reach_above = own; /* base is the smaller magnitude, so the own amount bounds it */
    }
    for (int way = 0; way < 2; way++) {
        int32_t i = way ? free_above(high, a, rn) : free_below(low, a - 1);
        while (i >= 0 && i < rn) {
            uint64_t gap = distance(full_gross(l), full_gross(r[i]));
            if (gap > reach_above || (found && gap > best->delta))
                break;
            struct candidate c = {0, l, r[i]};
            if (within_tolerance(job, fee, l, r[i], &c.delta) &&
                (!found || compare_candidates(&c, best) < 0)) {
                *best = c;
                found = 1;
            }
            i = way ? free_above(high, i + 1, rn) : free_below(low, i - 1);
        }
    }
    return found;
}

static int tolerate(const struct job *job, struct verdict_scratch *s, struct full **l, uint32_t ln,
                    struct full **r, uint32_t rn, int key_no)
{
    int fee = compares_fee(job);
    size_t want = ln * sizeof(struct candidate) + 2 * rn * sizeof(int32_t);
    struct candidate *heap = scratch_work(s, want);
    if (!heap)
        return 0;
    int32_t *low = (int32_t *)(heap + ln), *high = low + rn;
    for (uint32_t i = 0; i < rn; i++)
        low[i] = high[i] = (int32_t)i;
    uint32_t count = 0;
    for (uint32_t i = 0; i < ln; i++)
        count += (uint32_t)best_candidate(job, fee, l[i], r, (int32_t)rn, low, high, &heap[count]);
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(heap, count, i);
    while (count) {
        struct candidate top = heap[0];
        if (top.channel->verdict == VERDICT_OPEN) {
            pair(top.local, top.channel, CLASS_MATCH,
                 REASON_BIT(REASON_TOLERANCE) | day_cut_bit(top.local, top.channel) | fee_bit(top.channel),
                 key_no);
            top.local->delta_micro = top.channel->delta_micro = top.delta;
            /* The records stand sorted by (amount, ≺): find the one just taken and unlink it. */
            int32_t a = 0, b = (int32_t)rn;
            while (a < b) {
                int32_t mid = (a + b) / 2;
                int64_t x = full_gross(r[mid]), y = full_gross(top.channel);
                if (x < y || (x == y && by_sigma(&r[mid], &top.channel, (void *)job) < 0))
                    a = mid + 1;
                else
                    b = mid;
            }
            CHECK2(a < (int32_t)rn && r[a] == top.channel, a, rn);
            low[a] = a - 1;
            high[a] = a + 1;
            heap[0] = heap[--count];
        } else if (!best_candidate(job, fee, top.local, r, (int32_t)rn, low, high, &heap[0])) {
            heap[0] = heap[--count];
        }
        sift_down(heap, count, 0);
    }
    return 1;
}

int resolve_tolerates(const struct job *job)
{
    const struct tolerance *a = &job->match.amount_tolerance, *f = &job->match.fee_tolerance;
    return a->absolute_micro || a->ppm || (compares_fee(job) && (f->absolute_micro || f->ppm));
}

/* From one amount to the next higher one. A pair across the gap would differ by at least as much, and its smaller magnitude
 * is at most the smaller of these two; of a share above the whole that cannot be said. */
int resolve_tolerance_reaches(const struct job *job, int64_t low, int64_t high)
{
    const struct tolerance *t = &job->match.amount_tolerance;
    return (uint64_t)t->ppm > 1000000u || distance(low, high) <= limit_of(t, low, high);
}

static int pass_tolerance(const struct job *job, struct verdict_scratch *s, int key_no)
{
    if (!resolve_tolerates(job))
        return 1;
    /* pass_exact left both sides sorted by sigma, amount, fee, ≺. */
    struct full **l = s->rows[LOCAL], **r = s->rows[CHANNEL];
    uint32_t ln = s->count[LOCAL], rn = s->count[CHANNEL], i = 0, k = 0;
    while (i < ln && k < rn) {
        int c = span_compare(l[i]->sigma, r[k]->sigma);
        uint32_t i2 = i, k2 = k;
        while (i2 < ln && span_equal(l[i]->sigma, l[i2]->sigma))
            i2++;
        while (k2 < rn && span_equal(r[k]->sigma, r[k2]->sigma))
            k2++;
        if (c == 0 && !tolerate(job, s, l + i, i2 - i, r + k, k2 - k, key_no))
            return 0;
        if (c <= 0)
            i = i2;
        if (c >= 0)
            k = k2;
    }
    drop_closed(s);
    return 1;
}

/* ---- P3m, P3d, P3a ---- */

static uint64_t differences(const struct job *job, const struct full *l, const struct full *r)
{
    uint64_t bits = 0;
    if (l->currency != r->currency)
        bits |= REASON_BIT(REASON_CURRENCY) | fx_reason(job, l, r);
    else if (magnitude(full_gross(l)) != magnitude(full_gross(r)))
        bits |= REASON_BIT(REASON_AMOUNT);
    if (l->out != r->out)
        bits |= REASON_BIT(REASON_DIRECTION);
    for (int i = 0; i < job->match.compare_count; i++) {
        unsigned field = job->match.compare[i];
        if (field == FIELD_FEE) {
            if (l->has_fee != r->has_fee || l->fee_micro != r->fee_micro)
                bits |= REASON_BIT(REASON_FEE);
        } else if (!span_equal(l->text[field], r->text[field])) {
            bits |= field == FIELD_STATUS        ? REASON_BIT(REASON_STATUS)
                    : field == FIELD_MERCHANT_NO ? REASON_BIT(REASON_MERCHANT)
                                                 : REASON_ATTR_BIT(field);
        }
    }
    return bits ? bits : REASON_BIT(REASON_TIMING);
}

static int one_sigma(const struct job *job, struct full **rows, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (sigma_compare(job, rows[0], rows[i]) != 0)
            return 0;
    return 1;
}

static int compare_sigma_key(const void *key, const void *row, void *job)
{
    return sigma_compare(job, key, *(struct full *const *)row);
}

/* P3d: whether a record of `rows` that was matched has the sigma of `open`. `matched` is sorted by sigma. */
static int sigma_was_matched(const struct job *job, const struct full *open, struct full **matched,
                             uint32_t count)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        int c = compare_sigma_key(open, &matched[mid], (void *)job);
        if (c == 0)
            return 1;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return 0;
}

/* Room for `count` rows of each side. 0 when memory is out. */
static int scratch_rows(struct verdict_scratch *s, uint32_t count)
{
    if (count > s->room) {
        uint32_t room = count < 64 ? 64 : count;
        struct full **grown = mem_grow(s->rows[LOCAL], (size_t)room * 2 * sizeof *grown);
        if (!grown)
            return 0;
        s->rows[LOCAL] = grown;
        s->room = room;
    }
    s->rows[CHANNEL] = s->rows[LOCAL] ? s->rows[LOCAL] + s->room : NULL;
    return 1;
}

static int lay_by_side(struct verdict_scratch *s, struct full **rows, uint32_t count)
{
    if (!scratch_rows(s, count))
        return 0;
    s->count[LOCAL] = s->count[CHANNEL] = 0;
    for (uint32_t i = 0; i < count; i++)
        s->rows[rows[i]->side][s->count[rows[i]->side]++] = rows[i];
    return 1;
}

/* P3d: notes of each open record of a side whether its σ is that of a matched one. `rows` are all of the key. */
static void mark_repeats(const struct job *job, struct verdict_scratch *s, struct full **rows, uint32_t count,
                         int side)
{
    uint32_t matched = 0;
    for (uint32_t i = 0; i < count; i++)
        if (rows[i]->side == side && rows[i]->verdict == CLASS_MATCH) {
            struct full *swap = rows[matched];
            rows[matched++] = rows[i];
            rows[i] = swap;
        }
    qsort_r(rows, matched, sizeof *rows, by_sigma, (void *)job);
    for (uint32_t i = 0; i < s->count[side]; i++)
        s->rows[side][i]->sigma_matched |= (uint8_t)sigma_was_matched(job, s->rows[side][i], rows, matched);
}

void resolve_repeat(struct full *row, int key_no)
{
    if (!row->sigma_matched)
        return;
    if (row->occurrence.size == 0)
        finish(row, CLASS_DUPLICATE, REASON_BIT(REASON_SUSPECTED), key_no);
    else
        row->dup_suspect = 1;
}

void resolve_unlike(const struct job *job, struct full *local, struct full *channel, int key_no)
{
    pair(local, channel, CLASS_MISMATCH, differences(job, local, channel), key_no);
}

void resolve_unclear(struct full *row, int key_no)
{
    finish(row, CLASS_AMBIGUOUS, 0, key_no);
    row->set_id = set_number(row, key_no, (struct span){"", 0}, 0);
}

/* P3 to P3d over what P2 left, which stands in the scratch, sorted by σ. 0 when memory is out. */
static int resolve_left(const struct job *job, struct verdict_scratch *s, struct full **rows, uint32_t count,
                        int key_no)
{
    if (s->count[LOCAL] && s->count[CHANNEL]) {
        if (!pass_tolerance(job, s, key_no) || !pass_fx(job, s, key_no))
            return 0;
        if (job->match.partials.given && job->match.partials.key_index == key_no - 1 &&
            pass_partials(job, s, key_no))
            return 1;
    }
    uint32_t ln = s->count[LOCAL], rn = s->count[CHANNEL];
    if (ln && rn) {
        if (ln == rn && one_sigma(job, s->rows[LOCAL], ln) && one_sigma(job, s->rows[CHANNEL], rn)) {
            for (int side = 0; side < SIDES; side++)
                qsort(s->rows[side], ln, sizeof(struct full *), by_order);
            for (uint32_t i = 0; i < ln; i++)
                resolve_unlike(job, s->rows[LOCAL][i], s->rows[CHANNEL][i], key_no);
            return 1;
        }
        if (job->match.splits && pass_splits(job, s, key_no))
            return 1;
        for (int side = 0; side < SIDES; side++)
            for (uint32_t i = 0; i < s->count[side]; i++)
                resolve_unclear(s->rows[side][i], key_no);
        return 1;
    }
    if (ln + rn == 0)
        return 1;
    const int side = ln ? LOCAL : CHANNEL;
    if (ln + rn != count) /* else nothing was decided: no match that an open record could repeat */
        mark_repeats(job, s, rows, count, side);
    for (uint32_t i = 0; i < s->count[side]; i++)
        resolve_repeat(s->rows[side][i], key_no);
    return 1;
}

int resolve_group(const struct job *job, struct verdict_scratch *s, struct full **rows, uint32_t count,
                  int key_no)
{
    if (!lay_by_side(s, rows, count))
        return 0;
    for (int side = 0; side < SIDES; side++) {
        uint32_t fresh = 0; /* to the front */
        for (uint32_t i = 0; i < s->count[side]; i++)
            if (!s->rows[side][i]->met) {
                struct full *swap = s->rows[side][fresh];
                s->rows[side][fresh++] = s->rows[side][i];
                s->rows[side][i] = swap;
            }
        if (fresh > 1 || (fresh && s->rows[side][0]->repeated))
            resolve_occurrences(job, s->rows[side], fresh, key_no);
    }
    drop_closed(s);
    if (job->match.group.given) {
        pass_group(job, s, key_no);
        return 1;
    }
    if (s->count[LOCAL] && s->count[CHANNEL])
        pass_exact(job, s, key_no);
    return resolve_left(job, s, rows, count, key_no);
}

int resolve_exact(const struct job *job, struct verdict_scratch *s, struct full **rows, uint32_t count,
                  int key_no)
{
    if (!lay_by_side(s, rows, count))
        return 0;
    if (!s->count[LOCAL] || !s->count[CHANNEL])
        return 1;
    pass_exact(job, s, key_no);
    for (int side = 0; side < SIDES; side++)
        if (s->count[side])
            mark_repeats(job, s, rows, count, side);
    return 1;
}

int resolve_tolerance(const struct job *job, struct verdict_scratch *s, struct full **rows, uint32_t count,
                      int key_no)
{
    if (!lay_by_side(s, rows, count))
        return 0;
    if (!s->count[LOCAL] || !s->count[CHANNEL])
        return 1;
    for (int side = 0; side < SIDES; side++)
        qsort_r(s->rows[side], s->count[side], sizeof(struct full *), by_sigma, (void *)job);
    if (!pass_tolerance(job, s, key_no))
        return 0;
    for (int side = 0; side < SIDES; side++)
        if (s->count[side])
            mark_repeats(job, s, rows, count, side);
    return 1;
}

int resolve_rest(const struct job *job, struct verdict_scratch *s, struct full **rows, uint32_t count,
                 int key_no)
{
    if (!lay_by_side(s, rows, count))
        return 0;
    if (job->match.group.given) {
        pass_group(job, s, key_no);
        return 1;
    }
    for (int side = 0; side < SIDES; side++)
        qsort_r(s->rows[side], s->count[side], sizeof(struct full *), by_sigma, (void *)job);
    return resolve_left(job, s, rows, count, key_no);
}

static uint64_t aside_reason(uint16_t flags)
{
    return flags & RECORD_TEST          ? REASON_BIT(REASON_TEST)
           : flags & RECORD_ALIEN       ? REASON_BIT(REASON_ALIEN_MERCHANT)
           : flags & RECORD_SAMPLED_OUT ? REASON_BIT(REASON_SAMPLED)
                                        : REASON_BIT(REASON_FILTERED);
}

void resolve_alone(const struct job *job, struct full *row)
{
    /* A doubt about a second copy says something only of a record that stays open. */
    uint64_t doubt = row->dup_suspect ? REASON_BIT(REASON_DUP_SUSPECT) : 0;
    if (row->record_flags & RECORD_VOIDED) {
        finish(row, CLASS_EXCLUDED, REASON_BIT(REASON_VOIDED), 0);
    } else if (row->record_flags & RECORD_EXCLUDED) {
        finish(row, CLASS_EXCLUDED, aside_reason(row->record_flags), 0);
    } else if (row->record_flags & RECORD_OTHER_DAY) {
        finish(row, CLASS_EXCLUDED, REASON_BIT(REASON_OTHER_DAY), 0);
    } else if (record_waits(job, row)) {
        finish(row, CLASS_SUSPENSE, doubt, 0);
    } else if (!row->monetary) {
        finish(row, CLASS_EXCLUDED, REASON_BIT(REASON_NON_MONETARY), 0);
    } else {
        finish(row, row->side == LOCAL ? CLASS_MISSING : CLASS_EXTRA, doubt, 0);
    }
}

void verdict_scratch_fini(struct verdict_scratch *s)
{
    mem_give(s->rows[LOCAL]);
    mem_give(s->work);
    *s = (struct verdict_scratch){0};
}
