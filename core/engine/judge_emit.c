/* core/engine/judge_emit.c: a row that has its verdict is counted, and sent to the results and to the book; see judge.h */
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/judge.h"
#include "core/model/day.h"

/* What a match adds to channel - local, by what explains it. Called for either record of a pair. */
static void book(struct worker *w, const struct full *row)
{
    const int sign = row->side == CHANNEL ? 1 : -1;
    const money_total amount = (money_total)row->amount_micro * sign;
    money_total rest = (money_total)(row->partner ? full_gross(row) : row->value_micro) * sign;
    w->booked[BOOKED_FEES][row->currency] += amount - rest;
    w->booked[!row->partner                              ? BOOKED_SETS
              : row->reasons & REASON_BIT(REASON_MANUAL) ? BOOKED_HAND
              : row->currency != row->partner->currency  ? BOOKED_FX
                                                         : BOOKED_TOLERANCE][row->currency] += rest;
}

static void count_verdict(struct worker *w, const struct full *row)
{
    w->totals.count[row->verdict][row->side]++;
    w->totals.rows[row->verdict][row->side][row->currency]++;
    w->totals.sums[row->verdict][row->side][row->currency] += row->amount_micro;
    if (row->side == LOCAL || !row->partner)
        for (uint64_t bits = row->reasons; bits; bits &= bits - 1)
            w->reason_count[__builtin_ctzll(bits)]++;
    if (row->verdict == CLASS_MATCH)
        book(w, row);
}

void judge_count(struct worker *w, const struct full *row)
{
    CHECK2(row->verdict == CLASS_MATCH, row->verdict, row->place);
    count_verdict(w, row);
}

/* What a tolerance pair spends of: channel code, currency and bill date of the local record, or of the channel's where
 * it has none. */
static enum err hold(struct worker *w, const struct full *local)
{
    const struct full *channel = local->partner;
    const struct span code = local->text[FIELD_CHANNEL_CODE].size ? local->text[FIELD_CHANNEL_CODE]
                                                                  : channel->text[FIELD_CHANNEL_CODE];
    const uint16_t day = local->day ? local->day : channel->day;
    char *cell = arena_take(&w->arena, code.size + 3);
    if (!cell)
        return mem_fail(&w->diag, code.size, "a budget");
    memcpy(cell, code.data, code.size);
    cell[code.size] = (char)local->currency;
    memcpy(cell + code.size + 1, &day, sizeof day);
    struct held_pair pair = {local, channel, {cell, code.size + 3}, {{0}}, {{0}}, {0}};
    const struct full *const both[SIDES] = {local, channel};
    for (int side = 0; side < SIDES; side++) {
        pair.refs[side] = w->refs_at_hand[both[side] - w->rows_at_hand];
        if ((pair.has_before[side] = both[side]->before != NULL))
            pair.before[side] = w->refs_at_hand[both[side]->before - w->rows_at_hand];
    }
    return w->run->config->sink->ops->hold(w->run->config->sink, w->number, w->io, &pair, &w->diag);
}

/* I4: what suspense had, got and gave. */
static void count_carry(struct worker *w, const struct full *row)
{
    struct carry_totals *t = &w->carry[row->side][row->currency];
    const money_total amount = row->amount_micro;
    const int is_final = verdict_is_final(row);
    if (!row->carry) {
        if (row->verdict == CLASS_SUSPENSE) {
            t->opened++;
            t->opened_sum += amount;
        }
    } else {
        if (row->carry->is_late) {
            t->reopened++;
            t->reopened_sum += row->carry->amount_micro;
        } else {
            t->opening++;
            t->opening_sum += row->carry->amount_micro;
        }
        t->changed_sum += amount - row->carry->amount_micro;
        if (is_final) {
            t->expired++;
            t->expired_sum += amount;
        } else if (row->verdict != CLASS_SUSPENSE) {
            t->resolved++;
            t->resolved_sum += amount;
        }
    }
    if (row->verdict == CLASS_SUSPENSE) {
        t->closing++;
        t->closing_sum += amount;
    }
}

/* The log tells everything but pairs of the day's own records that are exactly alike. */
static int is_plain_pair(const struct full *row)
{
    const uint64_t plain = REASON_BIT(REASON_EXACT) | REASON_BIT(REASON_FEE) | REASON_BIT(REASON_DAY_CUT) |
                           REASON_BIT(REASON_DATE_DISAGREES);
    return row->verdict == CLASS_MATCH && row->partner && !(row->reasons & ~plain) && !row->carry &&
           !row->partner->carry;
}

/* A tolerance pair where there is a budget: what it is stands at the end. */
static int is_held(const struct worker *w, const struct full *row)
{
    return w->run->config->job->match.has_budget && row->verdict == CLASS_MATCH && row->partner &&
           (row->reasons & REASON_BIT(REASON_TOLERANCE));
}

static int is_utf8(struct span text)
{
    for (size_t i = 0; i < text.size;) {
        const int bytes = (text.data[i] & 0x80) == 0 ? 1 : text_utf8(text.data + i, text.size - i);
        if (bytes == 0)
            return 0;
        i += (size_t)bytes;
    }
    return 1;
}

/* ENC-04: a side in another charset than its other side meets nobody under any number that is not ASCII; that must be told. Where it
 * did meet its like, byte by byte, nobody need know. */
static void look_at_bytes(struct worker *w, const struct full *row)
{
    struct odd_bytes *odd = &w->odd_bytes[row->side];
    if (row->verdict == CLASS_MATCH || row->carry ||
        (is_utf8(row->text[FIELD_BIZ_ORDER_NO]) && is_utf8(row->text[FIELD_CHANNEL_ORDER_NO])))
        return;
    if (odd->count++ && odd->place <= row->place)
        return;
    struct source *source = w->run->config->sources[row->side];
    odd->place = row->place;
    if (source->ops->place_text(source, w->io, row, odd->first, sizeof odd->first) == 0)
        odd->first[0] = 0;
}

/* What was written before a log begins cannot meet anybody: worth a word where it is missed. */
static void look_at_time(struct worker *w, const struct full *row)
{
    const struct source *other = w->run->config->sources[!row->side];
    const char *first;
    if (row->partner || row->carry || row->time_us == TIME_NONE || !other->ops->log_since ||
        (row->verdict != CLASS_MISSING && row->verdict != CLASS_EXTRA && row->verdict != CLASS_SUSPENSE))
        return;
    const int64_t since = other->ops->log_since(other, &first);
    w->before_log[row->side] += since != TIME_NONE && row->time_us < since;
}

enum err judge_emit(struct worker *w, const struct full *row)
{
    CHECK2(row->verdict < CLASSES, row->verdict, row->place);
    count_verdict(w, row);
    look_at_bytes(w, row);
    look_at_time(w, row);
    if (w->carry) {
        count_carry(w, row);
        if (!(row->partner && row->side == CHANNEL) && !is_plain_pair(row) && !is_held(w, row)) {
            enum err err = w->run->config->sink->ops->keep(w->run->config->sink, w->number, w->io, row,
                                                           row->partner, &w->diag);
            if (err != OK)
                return err;
        }
    }
    if (row->partner && row->side == CHANNEL)
        return OK; /* written with its partner */
    if (is_held(w, row))
        return hold(w, row);
    if (row->verdict == CLASS_MATCH && !w->run->config->write_match)
        return OK;
    return w->run->config->sink->ops->put(w->run->config->sink, w->number, w->io, row, row->partner,
                                          &w->diag);
}
