/* core/model/log_told.h: the print of a record that a log tells, as core/model/log_days.h sums it up.
 *
 * Primary key, first key, amount, currency, direction, status and what else is compared; words by their text, since their numbers are
 * another's in each run. Not the bill date, by which the sums are parted.
 */
#ifndef TIEOUT_CORE_MODEL_LOG_TOLD_H
#define TIEOUT_CORE_MODEL_LOG_TOLD_H

#include "core/model/currency.h"
#include "core/model/dict.h"
#include "core/model/log_days.h"

static inline uint64_t log_word(const struct dict *words, uint16_t number, uint64_t seed)
{
    if (number == 0)
        return seed;
    const struct span word = dict_word(words, number);
    return hash_bytes(word.data, word.size, seed);
}

static inline struct log_print log_print_of(const struct record *r, struct record_layout layout,
                                            const struct dict *words, uint64_t seed)
{
    const uint8_t *key = record_key(r, layout.has_fold), *extras = record_extras(r, layout.has_fold);
    const uint8_t *id = layout.has_extras ? extras + 2 + record_u16(extras) : extras;
    const char *currency = currency_code(r->currency);
    const uint64_t money = (uint64_t)(uint8_t)currency[0] | (uint64_t)(uint8_t)currency[1] << 8 |
                           (uint64_t)(uint8_t)currency[2] << 16 |
                           (uint64_t)((r->flags & RECORD_OUT) != 0) << 24;
    const struct span name = {(const char *)id + 2, record_u16(id)};
    struct log_print p = {.id = log_id_hash(name, record_log(r, layout), seed), .name = name};
    p.print = id_mix(p.id, hash_bytes(key, r->key_size, seed));
    p.print = id_mix(p.print, id_mix((uint64_t)r->amount_micro, money));
    p.print = id_mix(p.print, id_mix(log_word(words, r->status, seed), log_word(words, r->channel, ~seed)));
    if (layout.has_extras)
        p.print = id_mix(p.print, hash_bytes(extras, 2u + record_u16(extras), seed));
    return p;
}

#endif
