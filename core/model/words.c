/* core/model/words.c: see words.h */
#include "core/model/words.h"
#include <string.h>

const char *side_name(enum side side)
{
    return side == LOCAL ? "local" : "channel";
}

static const char *const field_names[FIELDS] = {
    "channel_code",    "biz_type",  "biz_order_no", "channel_order_no", "merchant_no",
    "sub_merchant_no", "bill_date", "trade_time",   "direction",        "currency",
    "amount",          "fee",       "status"};

const char *field_name(unsigned field)
{
    return field < FIELDS ? field_names[field] : "attr";
}

unsigned field_find(const char *name)
{
    for (unsigned i = 0; i < FIELDS; i++)
        if (strcmp(field_names[i], name) == 0)
            return i;
    return FIELDS;
}

const char *class_name(enum class_id id)
{
    static const char *const names[CLASSES] = {"match",    "mismatch",  "missing",   "extra",
                                               "suspense", "duplicate", "ambiguous", "excluded"};
    return names[id];
}

const char *reason_name(enum reason reason)
{
    static const char *const names[REASONS] = {
        "exact",          "tolerance", "group",     "amount",      "currency",
        "direction",      "status",    "fee",       "timing",      "merchant",
        "date_disagrees", "conflict",  "suspected", "dup_suspect", "non_monetary",
        "day_cut",        "near_cut",  "carried",   "second_pass", "late",
        "partial",        "over",      "under",     "group_sum",   "budget",
        "netted",         "sampled",   "manual",    "fx",          "fx_rate_missing",
        "voided",         "filtered",  "other_day", "test",        "alien_merchant",
        "over_refund",    "repeated"};
    return names[reason];
}
