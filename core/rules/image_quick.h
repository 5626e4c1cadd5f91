/* core/rules/image_quick.h: struct image_raw -> record, in line for a log's loop. 0 wherever normalize_image is to be asked. */
#ifndef TIEOUT_CORE_RULES_IMAGE_QUICK_H
#define TIEOUT_CORE_RULES_IMAGE_QUICK_H

#include "core/base/hash.h"
#include "core/model/currency.h"
#include "core/model/day.h"
#include "core/rules/normalize.h"
#include "core/rules/number_text.h"

/* All of `row` but its texts and its hash, which normalize_quick_texts gives. */
static inline __attribute__((always_inline)) int normalize_quick_values(struct image_quick *quick,
                                                                        const struct image_memo *memo,
                                                                        const struct image_raw *raw,
                                                                        struct image_row *row)
{
    uint8_t currency = quick->currency;
    if (quick->has_currency) {
        if (UNLIKELY(raw->currency != quick->memo_letters) && !image_new_currency(quick, raw->currency))
            return 0;
        currency = quick->memo_currency;
    }
    /* No currency has a factor of 0 for a scale that is simple. */
    const int64_t power = quick->amount_power[raw->amount_scale + 1];
    int64_t amount, fee;
    if (UNLIKELY(power == 0 || __builtin_mul_overflow(raw->amount, power, &amount)))
        return 0;
    int out = amount < 0;
    if (quick->has_direction) {
        const struct image_word *word = &memo->direction[image_word_slot(raw->direction)];
        if (UNLIKELY(word->raw != raw->direction || !word->meaning))
            return 0;
        if (word->meaning == 2) {
            amount = -amount;
            out = amount <= 0;
        }
    }
    if (quick->has_fee && raw->has_fee) {
        const int64_t fee_power = quick->fee_power[raw->fee_scale + 1];
        if (UNLIKELY(fee_power == 0 || __builtin_mul_overflow(raw->fee, fee_power, &fee)))
            return 0;
    }
    row->status = 0;
    if (quick->has_status) {
        const struct image_word *word = &memo->status[image_word_slot(raw->status)];
        if (UNLIKELY(word->raw != raw->status || !word->meaning))
            return 0;
        row->status = (uint16_t)(word->meaning - 1);
    }
    row->day = quick->undated_day;
    if (LIKELY(raw->time)) {
        const struct image_day *day = &memo->days[image_day_slot(raw->time)];
        if (UNLIKELY(day->time != raw->time))
            return 0;
        row->day = day->day;
    }
    row->channel = quick->channel;
    row->amount_micro = amount;
    row->currency = currency;
    row->flags = (uint16_t)(quick->flags | (out ? RECORD_OUT : 0));
    if (UNLIKELY(quick->by_date) && row->day != quick->unit_day)
        row->flags |= RECORD_OTHER_DAY;
    return 1;
}

static inline __attribute__((always_inline)) int
normalize_quick_texts(const struct image_quick *quick, const struct image_raw *raw, struct image_row *row)
{
    row->key = LIKELY(raw->key.data != NULL) ? raw->key : number_text(row->key_text, raw->key_number, 0);
    row->occurrence = LIKELY(!raw->occurrence.data)
                          ? number_text(row->occurrence_text, raw->occurrence_number, 0)
                          : raw->occurrence;
    if (UNLIKELY(row->key.size - 1 >= IMAGE_KEY_MAX || row->occurrence.size > IMAGE_KEY_MAX))
        return 0;
    row->hash = hash_bytes(row->key.data, row->key.size, quick->hash_seed);
    return 1;
}

#endif
