/* core/config/job_match.c: the section `match` of a job file: keys, what is compared, tolerances, fees, window */
#include "core/config/loader.h"
#include "core/model/money.h"
#include <stdio.h>
#include <string.h>

enum { WINDOW_DAYS_MAX = 3650 };

enum err read_slot(struct loader *l, const struct yaml_node *node, const char *where, unsigned *slot)
{
    const char *text = "";
    enum err err = read_text(l, node, where, "the name of a field", &text);
    if (err != OK)
        return err;
    *slot = slot_find(l->job, text);
    if (*slot != FIELD_SLOTS)
        return OK;
    const char *names[FIELD_SLOTS];
    int count = 0;
    for (; count < FIELDS; count++)
        names[count] = field_name((unsigned)count);
    for (int i = 0; i < l->job->attr_count; i++)
        names[count++] = l->job->attrs[i];
    char hint[400];
    return BAD(l, node, "job.unknown", near_hint(hint, text, names, count), "%s: there is no field \"%s\"",
               where, text);
}

enum err check_both_sides(struct loader *l, const struct yaml_node *node, const char *where, unsigned slot)
{
    for (int side = 0; side < SIDES; side++)
        if (!has_source(&l->job->sources[side].fields[slot])) {
            char hint[200];
            snprintf(hint, sizeof hint, "add `%s: COLUMN` to %s.fields%s", node->text,
                     side_name((enum side)side), slot >= FIELD_ATTR0 ? ".attr" : "");
            return BAD(l, node, "job.missing", hint, "%s: \"%s\" has no column on the %s side", where,
                       node->text, side_name((enum side)side));
        }
    return OK;
}

static enum err read_key(struct loader *l, const struct yaml_node *node, struct key_spec *key)
{
    static const char *const expected = "a list of field names, e.g. keys: [[channel_code, biz_order_no]]";
    if (node->kind != YAML_LIST || node->count == 0)
        return wrong_type(l, node, "match.keys", expected);
    if (node->count > KEY_PARTS_MAX)
        return BAD(l, node, "job.value", NULL, "match.keys: a key of %d fields; at most %d", node->count,
                   KEY_PARTS_MAX);
    int tells_apart = 0;
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        unsigned slot;
        enum err err = read_slot(l, item, "match.keys", &slot);
        if (err == OK)
            err = check_both_sides(l, item, "match.keys", slot);
        if (err != OK)
            return err;
        for (int i = 0; i < key->part_count; i++)
            if (key->parts[i] == slot)
                return BAD(l, item, "job.doubled", "keep one of the two",
                           "match.keys: \"%s\" is in the key twice", item->text);
        key->parts[key->part_count++] = slot;
        tells_apart |= has_column(&l->job->sources[LOCAL].fields[slot]) &&
                       has_column(&l->job->sources[CHANNEL].fields[slot]);
    }
    if (!tells_apart)
        return BAD(l, node, "job.value", "add an order number",
                   "match.keys: every field of this key is constant on one side");
    return OK;
}

static enum err read_keys(struct loader *l, const struct yaml_node *node)
{
    struct match_rules *match = &l->job->match;
    if (node->kind != YAML_LIST || node->count == 0)
        return wrong_type(l, node, "match.keys", "a list of keys, e.g. keys: [[channel_code, biz_order_no]]");
    if (node->count > KEYS_MAX)
        return BAD(l, node, "job.value", NULL, "match.keys: %d keys; at most %d", node->count, KEYS_MAX);
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        struct key_spec *key = &match->keys[match->key_count];
        enum err err = read_key(l, item, key);
        if (err != OK)
            return err;
        for (int i = 0; i < match->key_count; i++)
            if (match->keys[i].part_count == key->part_count &&
                memcmp(match->keys[i].parts, key->parts, (size_t)key->part_count * sizeof key->parts[0]) == 0)
                return BAD(l, item, "job.doubled", "keep one of the two", "match.keys: the same key twice");
        match->key_count++;
    }
    return OK;
}

static enum err read_compare(struct loader *l, const struct yaml_node *node, int wanted[FIELD_SLOTS])
{
    if (node->kind != YAML_LIST)
        return wrong_type(l, node, "match.compare", "a list of field names, e.g. compare: [amount, status]");
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        unsigned slot;
        enum err err = read_slot(l, item, "match.compare", &slot);
        if (err != OK)
            return err;
        if (wanted[slot])
            return BAD(l, item, "job.doubled", "keep one of the two",
                       "match.compare: \"%s\" is in the list twice", item->text);
        wanted[slot] = 1;
        /* These are compared always, with or without columns of their own. */
        if (slot == FIELD_AMOUNT || slot == FIELD_CURRENCY || slot == FIELD_DIRECTION)
            continue;
        if (slot == FIELD_BILL_DATE || slot == FIELD_TRADE_TIME)
            return BAD(l, item, "job.value", "set match.window instead, e.g. window: {before: 0d, after: 0d}",
                       "match.compare: \"%s\": days are compared by the window", item->text);
        err = check_both_sides(l, item, "match.compare", slot);
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err read_tolerance(struct loader *l, const struct yaml_node *node, const char *where,
                               struct tolerance *out)
{
    static const char *const NAMES[] = {"absolute", "ppm"};
    if (node->kind == YAML_SCALAR)
        return read_amount(l, node, where, &out->absolute_micro);
    enum err err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *absolute = yaml_get(node, "absolute"), *ppm = yaml_get(node, "ppm");
    if (err == OK && absolute)
        err = read_amount(l, absolute, below(where, "absolute").text, &out->absolute_micro);
    if (err == OK && ppm)
        err = read_number(l, ppm, below(where, "ppm").text, 0, 1000000, &out->ppm);
    return err;
}

static enum err read_tolerances(struct loader *l, const struct yaml_node *node, const int wanted[FIELD_SLOTS])
{
    static const char *const NAMES[] = {"amount", "fee", "budget"};
    static const char *const LATER[] = {"time", "date"};
    struct match_rules *match = &l->job->match;
    enum err err = check_names(l, node, "match.tolerance", NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    const struct yaml_node *amount = yaml_get(node, "amount"), *fee = yaml_get(node, "fee"),
                           *budget = yaml_get(node, "budget");
    if (err == OK && amount)
        err = read_tolerance(l, amount, "match.tolerance.amount", &match->amount_tolerance);
    if (err == OK && fee)
        err = read_tolerance(l, fee, "match.tolerance.fee", &match->fee_tolerance);
    if (err == OK && (match->fee_tolerance.absolute_micro || match->fee_tolerance.ppm) && !wanted[FIELD_FEE])
        err = BAD(l, fee, "job.value", "add fee to match.compare, or take the tolerance out",
                  "match.tolerance.fee: fees are not compared, so a tolerance has no effect");
    if (err == OK && budget)
        err = read_budget(l, budget);
    return err;
}

enum err read_days(struct loader *l, const struct yaml_node *node, const char *where, int *out)
{
    static const char *const expected = "a number of days such as 1d";
    const char *text = "";
    enum err err = read_text(l, node, where, expected, &text);
    if (err != OK)
        return err;
    char digits[16];
    size_t size = strlen(text);
    int64_t days = 0;
    int fits = strcmp(text, "0") == 0;
    if (!fits && size > 1 && size < sizeof digits && text[size - 1] == 'd') {
        snprintf(digits, sizeof digits, "%.*s", (int)size - 1, text);
        fits = parse_number(digits, 0, WINDOW_DAYS_MAX, &days);
    }
    if (!fits)
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected %s, at most %dd", where, text, expected,
                   WINDOW_DAYS_MAX);
    *out = (int)days;
    return OK;
}

static enum err read_window(struct loader *l, const struct yaml_node *node)
{
    static const char *const NAMES[] = {"before", "after"};
    struct match_rules *match = &l->job->match;
    if (node->kind == YAML_SCALAR && strcmp(node->text, "none") == 0) {
        match->window_before = match->window_after = -1;
        return OK;
    }
    if (node->kind != YAML_MAP)
        return wrong_type(l, node, "match.window", "{before: 1d, after: 1d}, or none");
    enum err err = check_names(l, node, "match.window", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *before = yaml_get(node, "before"), *after = yaml_get(node, "after");
    if (err == OK && before)
        err = read_days(l, before, "match.window.before", &match->window_before);
    if (err == OK && after)
        err = read_days(l, after, "match.window.after", &match->window_after);
    for (int side = 0; err == OK && side < SIDES; side++) {
        const struct field_rule *fields = l->job->sources[side].fields;
        if (!has_source(&fields[FIELD_TRADE_TIME]) && !has_source(&fields[FIELD_BILL_DATE]))
            err = bad_at(l, node->key_line, node->key_column, "job.missing",
                         "add trade_time or bill_date there, or write `window: none`",
                         "match.window: the %s side has neither trade_time nor bill_date",
                         side_name((enum side)side));
    }
    return err;
}

/* Settings that a group job has no use for: its one key is the batch, and sums are all that is compared. */
static enum err check_group_job(struct loader *l, const struct yaml_node *node)
{
    static const char *const WITHOUT[] = {"keys", "tolerance", "fees", "splits", "partials", "fx"};
    for (int i = 0; i < COUNT_OF(WITHOUT); i++) {
        const struct yaml_node *n = yaml_get(node, WITHOUT[i]);
        if (n)
            return bad_at(l, n->key_line, n->key_column, "job.value", "take one of the two out",
                          "match: %s says nothing of a group job, which adds up whole settlements", n->key);
    }
    return OK;
}

enum err read_match(struct loader *l)
{
    static const char *const NAMES[] = {"keys",   "compare",  "tolerance", "window",     "fees", "group",
                                        "splits", "partials", "reversals", "subset_sum", "fx"};
    static const char *const LATER[] = {"proposals", "budget", "script", "over_refund", "schedule"};
    struct match_rules *match = &l->job->match;
    match->window_before = match->window_after = 1;
    const struct yaml_node *node = yaml_get(l->root, "match");
    if (!node)
        return BAD(l, l->root, "job.missing",
                   "e.g. match: {keys: [[channel_code, biz_order_no]], compare: [amount, status]}",
                   "the setting \"match\" is missing");
    enum err err = check_names(l, node, "match", NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    const struct yaml_node *keys = yaml_get(node, "keys"), *compare = yaml_get(node, "compare"),
                           *tolerance = yaml_get(node, "tolerance"), *window = yaml_get(node, "window"),
                           *fees = yaml_get(node, "fees"), *group = yaml_get(node, "group"), *n;
    if (err == OK && group)
        err = check_group_job(l, node);
    if (err == OK && !keys && !group)
        err = bad_at(l, node->key_line, node->key_column, "job.missing",
                     "e.g. keys: [[channel_code, biz_order_no]]", "match: keys is missing");
    int wanted[FIELD_SLOTS] = {0};
    if (err == OK)
        err = group ? read_group(l, group) : read_keys(l, keys);
    if (err == OK && compare)
        err = read_compare(l, compare, wanted);
    if (err == OK && fees)
        err = read_fees(l, fees, wanted);
    else if (wanted[FIELD_FEE])
        match->fees = FEES_COMPARE;
    wanted[FIELD_AMOUNT] = wanted[FIELD_CURRENCY] = wanted[FIELD_DIRECTION] = 0;
    for (unsigned slot = 0; slot < FIELD_SLOTS; slot++)
        if (wanted[slot])
            match->compare[match->compare_count++] = slot;
    if (err == OK && tolerance)
        err = read_tolerances(l, tolerance, wanted);
    if (err == OK && window)
        err = read_window(l, window);
    if (err == OK && (n = yaml_get(node, "splits")))
        err = read_bool(l, n, "match.splits", &match->splits);
    if (err == OK && (n = yaml_get(node, "reversals")))
        err = read_bool(l, n, "match.reversals", &match->reversals);
    if (err == OK && (n = yaml_get(node, "partials")))
        err = read_partials(l, n);
    if (err == OK && (n = yaml_get(node, "subset_sum")))
        err = read_subset(l, n);
    if (err == OK && (n = yaml_get(node, "fx")))
        err = read_fx(l, n);
    return err;
}
