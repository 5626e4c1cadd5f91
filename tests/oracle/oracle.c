/* tests/oracle/oracle.c: the passes of SPEC.md section 3, by sorting and walking. */
#include "tests/oracle/oracle_inner.h"
#include <stdlib.h>
#include <string.h>

const struct oracle_job *oracle_sorting_job;

/* ---- order ---- */

int oracle_compare_numbers(__int128 a, __int128 b)
{
    return (a > b) - (a < b);
}

/* As length-prefixed bytes compare: the shorter one first. */
static int compare_prefixed(struct text a, struct text b)
{
    return a.size != b.size ? (a.size < b.size ? -1 : 1) : text_compare(a, b);
}

/* Attrs stand in canonical bytes by name, as they do in the job. */
static int compare_canonical(const struct orecord *a, const struct orecord *b)
{
    int c = 0;
    for (int f = 0; f < O_FIELDS && !c; f++)
        c = compare_prefixed(a->text[f], b->text[f]);
    for (int f = O_FIELDS; f < O_SLOTS && !c; f++)
        c = compare_prefixed(a->text[f], b->text[f]);
    return c;
}

static int compare_but_place(const struct orecord *a, const struct orecord *b)
{
    if (a->has_date != b->has_date)
        return a->has_date ? 1 : -1;
    int c = a->has_date ? oracle_compare_numbers(a->day, b->day) : 0;
    if (c)
        return c;
    if ((a->occurrence.size == 0) != (b->occurrence.size == 0))
        return a->occurrence.size == 0 ? 1 : -1;
    c = text_compare(a->occurrence, b->occurrence);
    return c ? c : compare_canonical(a, b);
}

int oracle_order(const struct orecord *a, const struct orecord *b)
{
    int c = compare_but_place(a, b);
    if (!c)
        c = oracle_compare_numbers(a->side, b->side);
    if (!c)
        c = oracle_compare_numbers(a->source, b->source);
    return c ? c : oracle_compare_numbers((__int128)a->offset, (__int128)b->offset);
}

/* Of records that differ in nothing but their place, some may be set aside for what is no field of theirs; no
 * place may show in the order of what is told of them. */
static int by_output(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = compare_but_place(a, b);
    if (!c)
        c = oracle_compare_numbers(a->side, b->side);
    if (!c)
        c = oracle_compare_numbers(a->reasons, b->reasons);
    return c ? c : oracle_order(a, b);
}

/* ---- sigma ---- */

int oracle_compare_field(const struct orecord *a, const struct orecord *b, int field)
{
    if (field == O_FEE)
        return a->has_fee != b->has_fee ? a->has_fee - b->has_fee : oracle_compare_numbers(a->fee, b->fee);
    if (field == O_AMOUNT)
        return oracle_compare_numbers(a->gross, b->gross);
    return text_compare(a->text[field], b->text[field]);
}

int oracle_is_in_sigma(int field)
{
    return field == O_CURRENCY || field == O_DIRECTION || field == O_AMOUNT ||
           oracle_sorting_job->is_compared[field];
}

/* All of sigma but amount and fee: what a tolerance may not touch. */
static int compare_rigid(const struct orecord *a, const struct orecord *b)
{
    int c = 0;
    for (int f = 0; f < O_SLOTS && !c; f++)
        if (oracle_is_in_sigma(f) && f != O_AMOUNT && f != O_FEE)
            c = oracle_compare_field(a, b, f);
    return c;
}

static int compare_sigma(const struct orecord *a, const struct orecord *b)
{
    int c = compare_rigid(a, b);
    if (!c)
        c = oracle_compare_field(a, b, O_AMOUNT);
    if (!c && oracle_is_in_sigma(O_FEE))
        c = oracle_compare_field(a, b, O_FEE);
    return c;
}

static int by_sigma(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = compare_sigma(a, b);
    return c ? c : oracle_order(a, b);
}

/* ---- keys ---- */

/* The length-prefixed parts; empty when a part is. The key's number stands in front, so that tuples of two
 * keys never meet. */
struct text oracle_key_tuple(const struct orecord *r, int key)
{
    struct text tuple = {0};
    char number = (char)('1' + key);
    text_append(&tuple, &number, 1);
    for (int i = 0; i < oracle_sorting_job->key_part_count[key]; i++) {
        struct text part = r->text[oracle_sorting_job->key_parts[key][i]];
        if (part.size == 0) {
            free(tuple.data);
            return (struct text){0};
        }
        for (int shift = 24; shift >= 0; shift -= 8) {
            char byte = (char)(part.size >> shift & 255);
            text_append(&tuple, &byte, 1);
        }
        text_append(&tuple, part.data, part.size);
    }
    return tuple;
}

static int by_tuple(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = text_compare(a->tuple, b->tuple);
    if (!c)
        c = oracle_compare_numbers(a->side, b->side);
    return c ? c : oracle_order(a, b);
}

static int by_occurrence(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = oracle_compare_numbers(a->side, b->side);
    if (!c)
        c = text_compare(a->tuple, b->tuple);
    if (!c)
        c = text_compare(a->occurrence, b->occurrence);
    return c ? c : oracle_order(a, b);
}

/* ---- verdicts ---- */

void oracle_decide(struct orecord *r, int class_id, unsigned reasons)
{
    r->class_id = class_id;
    r->reasons |= reasons;
}

void oracle_decide_pair(struct orecord *local, struct orecord *channel, int class_id, unsigned reasons,
                        unsigned attr_reasons, int key)
{
    if (local->date_disagrees || channel->date_disagrees)
        reasons |= 1u << R_DATE_DISAGREES;
    oracle_decide(local, class_id, reasons);
    oracle_decide(channel, class_id, reasons);
    local->attr_reasons = channel->attr_reasons = attr_reasons;
    local->key_no = channel->key_no = key + 1;
    local->partner = channel;
    channel->partner = local;
    if (class_id == O_MATCH)
        local->is_matched_in_pass = channel->is_matched_in_pass = 1;
}

unsigned oracle_day_cut(const struct orecord *local, const struct orecord *channel)
{
    return local->has_date && channel->has_date && local->day != channel->day ? 1u << R_DAY_CUT : 0;
}

/* What a channel keeps of a net payment is told of its match. */
static unsigned fee_word(const struct orecord *channel)
{
    return oracle_sorting_job->fees == O_FEES_NET && channel->cost != 0 ? 1u << R_FEE : 0;
}

/* -1: the channel's date lies before the window of the local one; 1: after it. */
int oracle_window_side(const struct orecord *local, const struct orecord *channel)
{
    if (!oracle_sorting_job->has_window || !local->has_date || !channel->has_date)
        return 0;
    int64_t difference = channel->day - local->day;
    return difference < -oracle_sorting_job->window_before ? -1
                                                           : difference > oracle_sorting_job->window_after;
}

/* ---- P1 ---- */

static void pass_occurrences(struct oracle *oracle)
{
    struct orecord **all = must_take((size_t)oracle->count * sizeof *all);
    int n = 0;
    for (int i = 0; i < oracle->count; i++) {
        struct orecord *r = oracle->records[i];
        if (r->class_id != O_OPEN)
            continue;
        for (int key = 0; key < oracle_sorting_job->key_count && r->tuple.size == 0; key++)
            r->tuple = oracle_key_tuple(r, key);
        if (r->occurrence.size && r->tuple.size)
            all[n++] = r;
    }
    qsort(all, (size_t)n, sizeof *all, by_occurrence);
    for (int from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && all[to]->side == all[from]->side &&
                            text_compare(all[to]->tuple, all[from]->tuple) == 0 &&
                            text_compare(all[to]->occurrence, all[from]->occurrence) == 0;)
            to++;
        int all_equal = 1;
        for (int i = from + 1; i < to; i++)
            all_equal &= compare_sigma(all[from], all[i]) == 0;
        for (int i = from; i < to && to - from > 1; i++) {
            if (!all_equal) {
                oracle_decide(all[i], O_AMBIGUOUS, 1u << R_CONFLICT);
                /* A set of its own, apart from other ids and from what P3a finds under the same key. */
                text_append(&all[i]->set, all[i]->side ? "C" : "L", 1);
                text_append(&all[i]->set, all[i]->occurrence.data, all[i]->occurrence.size);
                text_append(&all[i]->set, "|", 1);
                text_append(&all[i]->set, all[i]->tuple.data, all[i]->tuple.size);
            } else if (i > from) {
                oracle_decide(all[i], O_DUPLICATE, 0);
            }
        }
    }
    free(all);
}

/* ---- P2 to P3a, one key tuple ---- */

/* Of `list`, those still open, in the same order. */
int oracle_keep_open(struct orecord **list, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        if (list[i]->class_id == O_OPEN)
            list[n++] = list[i];
    return n;
}

static void pass_exact(struct orecord **local, int locals, struct orecord **channel, int channels, int key)
{
    qsort(local, (size_t)locals, sizeof *local, by_sigma);
    qsort(channel, (size_t)channels, sizeof *channel, by_sigma);
    for (int l = 0, c = 0; l < locals && c < channels;) {
        int sigma = compare_sigma(local[l], channel[c]);
        int window = sigma ? 0 : oracle_window_side(local[l], channel[c]);
        if (sigma < 0 || window > 0) {
            l++;
        } else if (sigma > 0 || window < 0) {
            c++;
        } else {
            unsigned reasons = fee_word(channel[c]) | oracle_day_cut(local[l], channel[c]);
            oracle_decide_pair(local[l], channel[c], O_MATCH, reasons ? reasons : 1u << R_EXACT, 0, key);
            l++;
            c++;
        }
    }
}

struct candidate {
    struct orecord *local, *channel;
    __int128 distance;
};

__int128 oracle_magnitude(__int128 value)
{
    return value < 0 ? -value : value;
}

static int is_tolerated(__int128 a, __int128 b, int64_t absolute, int64_t ppm)
{
    __int128 base = oracle_magnitude(a) < oracle_magnitude(b) ? oracle_magnitude(a) : oracle_magnitude(b);
    __int128 relative = base * ppm / 1000000;
    return oracle_magnitude(a - b) <= (relative > absolute ? relative : absolute);
}

static int by_closeness(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    const struct orecord *ends[2][2];
    __int128 amounts[2][2];
    for (int i = 0; i < 2; i++) {
        const struct candidate *pair = i ? b : a;
        int is_local_lower = oracle_order(pair->local, pair->channel) < 0;
        ends[i][0] = is_local_lower ? pair->local : pair->channel;
        ends[i][1] = is_local_lower ? pair->channel : pair->local;
        int is_local_smaller = pair->local->gross < pair->channel->gross;
        amounts[i][0] = is_local_smaller ? pair->local->gross : pair->channel->gross;
        amounts[i][1] = is_local_smaller ? pair->channel->gross : pair->local->gross;
    }
    int c = oracle_compare_numbers(amounts[0][0], amounts[1][0]);
    if (!c)
        c = oracle_compare_numbers(amounts[0][1], amounts[1][1]);
    if (!c)
        c = oracle_order(ends[0][0], ends[1][0]);
    return c ? c : oracle_order(ends[0][1], ends[1][1]);
}

static void pass_tolerance(struct orecord **local, int locals, struct orecord **channel, int channels,
                           int key)
{
    const struct oracle_job *job = oracle_sorting_job;
    struct candidate *found = NULL;
    size_t count = 0, room = 0;
    for (int l = 0; l < locals; l++)
        for (int c = 0; c < channels; c++) {
            const struct orecord *a = local[l], *b = channel[c];
            __int128 distance = oracle_magnitude(a->gross - b->gross);
            if (!is_tolerated(a->gross, b->gross, job->amount_tolerance_micro, job->amount_tolerance_ppm))
                continue;
            if (oracle_is_in_sigma(O_FEE)) {
                if (a->has_fee != b->has_fee)
                    continue;
                if (a->has_fee &&
                    !is_tolerated(a->fee, b->fee, job->fee_tolerance_micro, job->fee_tolerance_ppm))
                    continue;
                distance += oracle_magnitude((__int128)a->fee - b->fee);
            }
            if (compare_rigid(a, b) != 0 || oracle_window_side(a, b) != 0)
                continue;
            if (count == room) {
                room = room ? 2 * room : 16;
                found = must_grow(found, room * sizeof *found);
            }
            found[count++] = (struct candidate){local[l], channel[c], distance};
        }
    if (count > 1)
        qsort(found, count, sizeof *found, by_closeness);
    for (size_t i = 0; i < count; i++) {
        struct orecord *a = found[i].local, *b = found[i].channel;
        if (a->class_id == O_OPEN && b->class_id == O_OPEN)
            oracle_decide_pair(a, b, O_MATCH, 1u << R_TOLERANCE | fee_word(b) | oracle_day_cut(a, b), 0, key);
    }
    free(found);
}

int oracle_is_one_sigma(struct orecord **list, int count)
{
    for (int i = 1; i < count; i++)
        if (compare_sigma(list[0], list[i]) != 0)
            return 0;
    return 1;
}

static void mismatch(const struct oracle *oracle, struct orecord *local, struct orecord *channel, int key)
{
    unsigned reasons = 0, attr_reasons = 0;
    int currencies_differ = oracle_compare_field(local, channel, O_CURRENCY) != 0;
    if (!currencies_differ && oracle_magnitude(local->gross) != oracle_magnitude(channel->gross))
        reasons |= 1u << R_AMOUNT;
    for (int f = 0; f < O_SLOTS; f++) {
        if (f == O_AMOUNT || !oracle_is_in_sigma(f) || oracle_compare_field(local, channel, f) == 0)
            continue;
        if (f == O_CURRENCY)
            reasons |= 1u << R_CURRENCY;
        else if (f == O_DIRECTION)
            reasons |= 1u << R_DIRECTION;
        else if (f == O_STATUS)
            reasons |= 1u << R_STATUS;
        else if (f == O_FEE)
            reasons |= 1u << R_FEE;
        else if (f == O_MERCHANT_NO)
            reasons |= 1u << R_MERCHANT;
        else
            attr_reasons |= 1u << f;
    }
    if (currencies_differ && oracle_sorting_job->rates) {
        __int128 converted;
        reasons |= oracle_convert(oracle, local, channel->text[O_CURRENCY].data, &converted)
                       ? 1u << R_FX
                       : 1u << R_FX_RATE_MISSING;
    }
    if (!reasons && !attr_reasons)
        reasons = 1u << R_TIMING;
    oracle_decide_pair(local, channel, O_MISMATCH, reasons, attr_reasons, key);
}

/* P3d. `all` is the side's whole group in the order of sigma; the open ones among them are what is left. */
static void pass_suspected(struct orecord **all, int count)
{
    for (int from = 0, to; from < count; from = to) {
        int was_matched = 0;
        for (to = from; to < count && compare_sigma(all[from], all[to]) == 0; to++)
            was_matched |= all[to]->is_matched_in_pass;
        for (int i = from; was_matched && i < to; i++) {
            if (all[i]->class_id != O_OPEN)
                continue;
            if (all[i]->occurrence.size)
                all[i]->is_dup_suspect = 1;
            else
                oracle_decide(all[i], O_DUPLICATE, 1u << R_SUSPECTED);
        }
    }
}

static void pass_group(const struct oracle *oracle, struct orecord **group, int count, int key)
{
    int locals = 0;
    while (locals < count && group[locals]->side == ORACLE_LOCAL)
        locals++;
    int channels = count - locals;
    struct orecord **channel = group + locals;
    pass_exact(group, locals, channel, channels, key);

    size_t bytes = (size_t)count * sizeof *group;
    struct orecord **l = must_take(bytes), **c = must_take(bytes);
    memcpy(l, group, (size_t)locals * sizeof *l);
    memcpy(c, channel, (size_t)channels * sizeof *c);
    int open_l = oracle_keep_open(l, locals), open_c = oracle_keep_open(c, channels);
    const struct oracle_job *job = oracle_sorting_job;
    if (job->amount_tolerance_micro || job->amount_tolerance_ppm || job->fee_tolerance_micro ||
        job->fee_tolerance_ppm) {
        pass_tolerance(l, open_l, c, open_c, key);
        open_l = oracle_keep_open(l, open_l);
        open_c = oracle_keep_open(c, open_c);
    }
    if (job->rates) {
        oracle_pass_fx(oracle, l, open_l, c, open_c, key);
        open_l = oracle_keep_open(l, open_l);
        open_c = oracle_keep_open(c, open_c);
    }
    int is_decided = open_l > 0 && open_c > 0 && job->partials.is_given && job->partials.key == key &&
                     oracle_pass_partials(oracle, l, open_l, c, open_c, key);
    if (!is_decided && open_l > 0 && open_c > 0 && job->splits)
        is_decided = oracle_pass_splits(l, open_l, c, open_c, key);
    if (is_decided) {
        /* Nothing is left. */
    } else if (open_l > 0 && open_l == open_c && oracle_is_one_sigma(l, open_l) &&
               oracle_is_one_sigma(c, open_c)) {
        /* P3m. Of one sigma, so the order of sigma is the SPEC's order. */
        for (int i = 0; i < open_l; i++)
            mismatch(oracle, l[i], c[i], key);
    } else if (open_l > 0 && open_c > 0) {
        /* P3a */
        for (int i = 0; i < open_l + open_c; i++) {
            struct orecord *r = i < open_l ? l[i] : c[i - open_l];
            oracle_decide(r, O_AMBIGUOUS, 0);
            r->set = text_copy(r->tuple.data, r->tuple.size);
        }
    } else {
        pass_suspected(group, locals);
        pass_suspected(channel, channels);
    }
    free(l);
    free(c);
}

static void pass_key(struct oracle *oracle, int key)
{
    struct orecord **open = must_take((size_t)oracle->count * sizeof *open);
    int n = 0;
    for (int i = 0; i < oracle->count; i++) {
        struct orecord *r = oracle->records[i];
        if (r->class_id != O_OPEN)
            continue;
        free(r->tuple.data);
        r->tuple = oracle_key_tuple(r, key);
        r->is_matched_in_pass = 0;
        if (r->tuple.size)
            open[n++] = r;
    }
    qsort(open, (size_t)n, sizeof *open, by_tuple);
    for (int from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && text_compare(open[from]->tuple, open[to]->tuple) == 0;)
            to++;
        {
            if (oracle_sorting_job->group.is_given)
                oracle_pass_settlement(open + from, to - from);
            else
                pass_group(oracle, open + from, to - from, key);
        }
    }
    free(open);
}

int oracle_is_monetary(const struct orecord *r)
{
    struct text s = r->text[O_STATUS];
    return !text_is(s, "PROCESSING") && !text_is(s, "FAILED") && !text_is(s, "CLOSED");
}

void oracle_match(struct oracle *oracle)
{
    oracle_sorting_job = oracle->job;
    oracle_set_aside(oracle);
    pass_occurrences(oracle);
    for (int key = 0; key < oracle->job->key_count; key++)
        pass_key(oracle, key);
    if (oracle->job->has_budget)
        oracle_pass_budget(oracle);
    if (oracle->job->reversals)
        oracle_pass_reversals(oracle);
    if (oracle->job->subset.is_given)
        oracle_pass_proposals(oracle);
    if (oracle->job->fees == O_FEES_SCHEDULE_DAY)
        oracle_check_day_fees(oracle);
    for (int i = 0; i < oracle->count; i++) {
        struct orecord *r = oracle->records[i];
        if (r->class_id == O_OPEN) {
            unsigned suspect = r->is_dup_suspect ? 1u << R_DUP_SUSPECT : 0;
            if (oracle->job->threshold[r->side] > 0)
                oracle_decide(r, O_SUSPENSE, suspect);
            else if (!oracle_is_monetary(r))
                oracle_decide(r, O_EXCLUDED, 1u << R_NON_MONETARY);
            else
                oracle_decide(r, r->side == ORACLE_LOCAL ? O_MISSING : O_EXTRA, suspect);
        }
        if (r->date_disagrees)
            r->reasons |= 1u << R_DATE_DISAGREES;
    }
    if (oracle->count > 1)
        qsort(oracle->records, (size_t)oracle->count, sizeof *oracle->records, by_output);
    oracle_write_tables(oracle);
}
