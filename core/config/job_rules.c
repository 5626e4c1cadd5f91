/* core/config/job_rules.c: of the section `match`, the rules that a job switches on: fees, sets of records, FX */
#include "core/config/loader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of `words`: its number. */
static enum err read_choice(struct loader *l, const struct yaml_node *node, const char *where,
                            const char *const *words, int count, int *out)
{
    const char *text = "";
    enum err err = read_text(l, node, where, "one of its words", &text);
    if (err != OK)
        return err;
    for (int i = 0; i < count; i++)
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return OK;
        }
    char hint[400];
    return BAD(l, node, "job.value", near_hint(hint, text, words, count), "%s: \"%s\" is none of its words",
               where, text);
}

static enum err read_rounding(struct loader *l, const struct yaml_node *map, const char *where,
                              enum rounding *out)
{
    static const char *const WORDS[] = {"half_up", "half_even", "down", "up"};
    const struct yaml_node *node = yaml_get(map, "round");
    int word = 0;
    if (!node)
        return BAD(l, map, "job.missing", "e.g. round: half_up; also half_even, down, up",
                   "%s: round is missing: how money is rounded is never a default", where);
    enum err err = read_choice(l, node, below(where, "round").text, WORDS, COUNT_OF(WORDS), &word);
    *out = (enum rounding)word;
    return err;
}

static enum err read_side_word(struct loader *l, const struct yaml_node *node, const char *where,
                               enum side *out)
{
    static const char *const WORDS[] = {"local", "channel"};
    int word = 0;
    enum err err = read_choice(l, node, where, WORDS, SIDES, &word);
    *out = (enum side)word;
    return err;
}

/* Fields that both sides have, each once. */
static enum err read_tuple(struct loader *l, const struct yaml_node *node, const char *where,
                           int may_be_empty, struct key_spec *out)
{
    if (node->kind != YAML_LIST || (node->count == 0 && !may_be_empty))
        return wrong_type(l, node, where, "a list of field names");
    if (node->count > KEY_PARTS_MAX)
        return BAD(l, node, "job.value", NULL, "%s: %d fields; at most %d", where, node->count,
                   KEY_PARTS_MAX);
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        unsigned slot;
        enum err err = read_slot(l, item, where, &slot);
        if (err == OK)
            err = check_both_sides(l, item, where, slot);
        if (err != OK)
            return err;
        for (int i = 0; i < out->part_count; i++)
            if (out->parts[i] == slot)
                return BAD(l, item, "job.doubled", "keep one of the two", "%s: \"%s\" is in it twice", where,
                           item->text);
        out->parts[out->part_count++] = slot;
    }
    return OK;
}

/* ---- fees ---- */

static enum err need_fee(struct loader *l, const struct yaml_node *node, enum side side)
{
    if (has_source(&l->job->sources[side].fields[FIELD_FEE]))
        return OK;
    return BAD(l, node, "job.missing", "add `fee: COLUMN` to that side's fields",
               "match.fees: fee has no column on the %s side", side_name(side));
}

static enum err read_schedule(struct loader *l, const struct yaml_node *node, int wanted[FIELD_SLOTS])
{
    static const char *const NAMES[] = {"rate_ppm", "round", "level", "min", "max", "refunds"};
    static const char *const LEVELS[] = {"row", "day"};
    static const char *const REFUNDS[] = {"returned", "kept"};
    static const char *const where = "match.fees.schedule";
    struct match_rules *match = &l->job->match;
    struct fee_schedule *s = &match->schedule;
    s->max_micro = INT64_MAX;
    int level = 0;
    enum err err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *rate = yaml_get(node, "rate_ppm"), *n;
    if (err == OK && !rate)
        err = BAD(l, node, "job.missing", "e.g. rate_ppm: 6000 for 0.6 %", "%s: rate_ppm is missing", where);
    if (err == OK)
        err = read_number(l, rate, "match.fees.schedule.rate_ppm", 0, 1000000, &s->rate_ppm);
    if (err == OK)
        err = read_rounding(l, node, where, &s->rounding);
    if (err == OK && (n = yaml_get(node, "level")))
        err = read_choice(l, n, "match.fees.schedule.level", LEVELS, 2, &level);
    if (err == OK && (n = yaml_get(node, "min")))
        err = read_amount(l, n, "match.fees.schedule.min", &s->min_micro);
    if (err == OK && (n = yaml_get(node, "max")))
        err = read_amount(l, n, "match.fees.schedule.max", &s->max_micro);
    if (err == OK && s->min_micro > s->max_micro)
        err = BAD(l, node, "job.value", NULL, "%s: min is above max", where);
    if (err == OK && (n = yaml_get(node, "refunds")))
        err = read_choice(l, n, "match.fees.schedule.refunds", REFUNDS, 2, &s->refunds_kept);
    static const char *const OF_ROWS[] = {"min", "max", "refunds"};
    for (int i = 0; err == OK && level == 1 && i < COUNT_OF(OF_ROWS); i++)
        if ((n = yaml_get(node, OF_ROWS[i])))
            err = bad_at(l, n->key_line, n->key_column, "job.value", "take it out, or write level: row",
                         "%s: %s says something of rows, and level is day", where, OF_ROWS[i]);
    if (err == OK)
        err = need_fee(l, node, CHANNEL);
    const struct field_rule *local = &l->job->sources[LOCAL].fields[FIELD_FEE];
    if (err == OK && level == 0 && has_source(local))
        err = bad_at(l, local->line ? local->line : node->line, local->line ? local->column_no : node->column,
                     "job.value", "take fee out of local.fields, or write `fees: compare`",
                     "match.fees: the schedule computes the local side's fees, which have a column as well");
    match->fees = level == 0 ? FEES_SCHEDULE : FEES_SCHEDULE_DAY;
    if (level == 0)
        wanted[FIELD_FEE] = 1;
    return err;
}

enum err read_fees(struct loader *l, const struct yaml_node *node, int wanted[FIELD_SLOTS])
{
    static const char *const WORDS[] = {"ignore", "compare", "net"};
    static const char *const MAP[] = {"schedule"};
    struct match_rules *match = &l->job->match;
    int word = FEES_IGNORE;
    enum err err;
    if (node->kind == YAML_MAP) {
        err = check_names(l, node, "match.fees", MAP, 1, NULL, 0);
        if (err == OK && node->count == 0)
            err = wrong_type(l, node, "match.fees", "{schedule: {rate_ppm: 6000, round: half_up}}");
        word = FEES_SCHEDULE;
    } else {
        const char *text = "";
        err = read_text(l, node, "match.fees", "ignore, compare, net, or {schedule: {...}}", &text);
        if (err == OK && strcmp(text, "schedule") == 0)
            err = BAD(l, node, "job.value", "e.g. fees: {schedule: {rate_ppm: 6000, round: half_up}}",
                      "match.fees: \"schedule\": its rate is missing");
        if (err == OK)
            err = read_choice(l, node, "match.fees", WORDS, COUNT_OF(WORDS), &word);
    }
    if (err == OK && wanted[FIELD_FEE] && word != FEES_COMPARE)
        err = BAD(l, node, "job.value", "take fee out of compare, or write `fees: compare`",
                  "match.fees: \"%s\", but compare names fee",
                  word == FEES_SCHEDULE ? "schedule" : WORDS[word]);
    match->fees = (enum fee_mode)word;
    if (err == OK && word == FEES_SCHEDULE)
        err = read_schedule(l, yaml_get(node, "schedule"), wanted);
    if (err == OK && word == FEES_COMPARE) {
        wanted[FIELD_FEE] = 1;
        err = need_fee(l, node, LOCAL);
    }
    if (err == OK && (word == FEES_COMPARE || word == FEES_NET))
        err = need_fee(l, node, CHANNEL);
    return err;
}

/* ---- sets ---- */

enum err read_partials(struct loader *l, const struct yaml_node *node)
{
    static const char *const NAMES[] = {"parent", "whole", "over_refund"};
    static const char *const OVER[] = {"mismatch", "ignore"};
    static const char *const where = "match.partials";
    struct match_rules *match = &l->job->match;
    struct partial_rules *p = &match->partials;
    struct key_spec parent = {.part_count = 0};
    p->given = 1;
    enum err err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *n = yaml_get(node, "parent");
    if (err == OK && !n)
        err = BAD(l, node, "job.missing", "e.g. parent: [channel_code, biz_order_no]",
                  "%s: parent is missing: the key that the parts share", where);
    if (err == OK)
        err = read_tuple(l, n, "match.partials.parent", 0, &parent);
    int found = 0;
    for (int i = 0; err == OK && i < match->key_count; i++)
        if (match->keys[i].part_count == parent.part_count &&
            memcmp(match->keys[i].parts, parent.parts, (size_t)parent.part_count * sizeof parent.parts[0]) ==
                0) {
            p->key_index = i;
            found = 1;
        }
    if (err == OK && !found)
        err = BAD(l, n, "job.value", "write one of match.keys, or add it there",
                  "%s: parent is none of the job's keys", where);
    if (err == OK && (n = yaml_get(node, "whole")))
        err = read_side_word(l, n, "match.partials.whole", &p->whole);
    if (err == OK && (n = yaml_get(node, "over_refund")))
        err = read_choice(l, n, "match.partials.over_refund", OVER, 2, &p->over_refund_ignored);
    return err;
}

enum err read_group(struct loader *l, const struct yaml_node *node)
{
    static const char *const NAMES[] = {"by", "gross", "count"};
    static const char *const where = "match.group";
    struct match_rules *match = &l->job->match;
    struct group_rules *g = &match->group;
    *g = (struct group_rules){.given = 1, .gross = -1, .count_field = FIELD_SLOTS};
    enum err err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *by = yaml_get(node, "by"), *gross = yaml_get(node, "gross"),
                           *count = yaml_get(node, "count");
    if (err == OK && !by)
        err = BAD(l, node, "job.missing", "e.g. by: [settlement_no]",
                  "%s: by is missing: what a settlement's rows share", where);
    if (err == OK)
        err = read_tuple(l, by, "match.group.by", 0, &match->keys[0]);
    match->key_count = 1;
    int fees[SIDES];
    for (int side = 0; side < SIDES; side++)
        fees[side] = has_source(&l->job->sources[side].fields[FIELD_FEE]);
    enum side side = LOCAL;
    if (err == OK && gross) {
        err = read_side_word(l, gross, "match.group.gross", &side);
        g->gross = (int)side;
    } else if (err == OK && fees[LOCAL] && fees[CHANNEL]) {
        err = BAD(l, node, "job.missing", "e.g. gross: local",
                  "%s: gross is missing: both sides have fees, and those of one are taken off", where);
    } else if (fees[LOCAL] || fees[CHANNEL]) {
        g->gross = fees[LOCAL] ? LOCAL : CHANNEL;
    }
    if (err == OK && count && g->gross < 0)
        err = BAD(l, node, "job.missing", "e.g. gross: local",
                  "%s: gross is missing: count says how many rows that side has", where);
    if (err == OK && count)
        err = read_slot(l, count, "match.group.count", &g->count_field);
    if (err == OK && count && !has_source(&l->job->sources[!g->gross].fields[g->count_field]))
        err = BAD(l, count, "job.missing", NULL, "%s.count: \"%s\" has no column on the %s side", where,
                  count->text, side_name((enum side) !g->gross));
    return err;
}

enum err read_subset(struct loader *l, const struct yaml_node *node)
{
    static const char *const NAMES[] = {"by", "parts", "work", "pool"};
    static const char *const where = "match.subset_sum";
    struct subset_rules *s = &l->job->match.subset;
    int64_t parts = 6, work = 100000, pool = 200;
    s->given = 1;
    enum err err = OK;
    if (node->kind == YAML_SCALAR) {
        err = read_bool(l, node, where, &s->given);
    } else {
        err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), NULL, 0);
        const struct yaml_node *n;
        if (err == OK && (n = yaml_get(node, "by")))
            err = read_tuple(l, n, "match.subset_sum.by", 1, &s->by);
        if (err == OK && (n = yaml_get(node, "parts")))
            err = read_number(l, n, "match.subset_sum.parts", 1, SUBSET_PARTS_MAX, &parts);
        if (err == OK && (n = yaml_get(node, "work")))
            err = read_number(l, n, "match.subset_sum.work", 1, 100000000, &work);
        if (err == OK && (n = yaml_get(node, "pool")))
            err = read_number(l, n, "match.subset_sum.pool", 1, SUBSET_POOL_MAX, &pool);
    }
    s->parts = (uint32_t)parts;
    s->work = (uint64_t)work;
    s->pool = (uint32_t)pool;
    return err;
}

enum err read_fx(struct loader *l, const struct yaml_node *node)
{
    static const char *const NAMES[] = {"rates", "round"};
    struct fx_rules *fx = &l->job->match.fx;
    enum err err = check_names(l, node, "match.fx", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *rates = yaml_get(node, "rates");
    if (err == OK && !rates)
        err = BAD(l, node, "job.missing", "e.g. rates: \"rates/{date}.csv\"",
                  "match.fx: rates is missing: a file with date,from,to,rate");
    if (err == OK)
        err = read_text(l, rates, "match.fx.rates", "a file's path; {date} is understood", &fx->path);
    if (err == OK)
        err = read_rounding(l, node, "match.fx", &fx->rounding);
    return err;
}

enum err read_budget(struct loader *l, const struct yaml_node *node)
{
    struct match_rules *match = &l->job->match;
    match->has_budget = 1;
    return read_amount(l, node, "match.tolerance.budget", &match->budget_micro);
}

/* ---- P0 ---- */

/* What is asked of a record must not change with its images, and must be text. */
static enum err check_text_field(struct loader *l, const struct yaml_node *node, const char *where,
                                 unsigned slot)
{
    if (slot < FIELD_BILL_DATE || slot >= FIELD_ATTR0)
        return OK;
    return BAD(l, node, "job.value", "order numbers, merchants, channel, type and attrs are asked",
               "%s: \"%s\" says nothing lasting of a record", where, field_name(slot));
}

static int by_word(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err read_test_words(struct loader *l, const struct yaml_node *node)
{
    static const char *const where = "test_rules.test";
    struct aside_rules *aside = &l->job->aside;
    if (node->kind != YAML_MAP || node->count == 0)
        return wrong_type(l, node, where, "a map, {field: word, ...}");
    if (node->count > CONDITIONS_MAX)
        return BAD(l, node, "job.value", NULL, "%s: at most %d fields", where, CONDITIONS_MAX);
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        struct field_words *test = &aside->test[aside->test_count++];
        const struct yaml_node name = {
            .kind = YAML_SCALAR, .text = child->key, .line = child->key_line, .column = child->key_column};
        enum err err = read_slot(l, &name, where, &test->field);
        if (err == OK)
            err = check_text_field(l, &name, where, test->field);
        if (err == OK)
            err = read_texts(l, child, below(where, child->key).text, "a word or a list of them", 256,
                             &test->words, &test->word_count);
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err read_merchants(struct loader *l, const struct yaml_node *node)
{
    enum { MERCHANTS_MAX = 4096 };
    struct aside_rules *aside = &l->job->aside;
    enum err err = read_texts(l, node, "test_rules.merchants", "our merchant numbers", MERCHANTS_MAX,
                              &aside->merchants, &aside->merchant_count);
    if (err == OK)
        qsort(aside->merchants, (size_t)aside->merchant_count, sizeof *aside->merchants, by_word);
    for (int side = 0; err == OK && side < SIDES; side++)
        if (has_source(&l->job->sources[side].fields[FIELD_MERCHANT_NO]))
            return OK;
    return err == OK ? BAD(l, node, "job.missing", "add `merchant_no: COLUMN` to a side's fields",
                           "test_rules.merchants: neither side has a merchant_no")
                     : err;
}

enum err read_aside(struct loader *l)
{
    static const char *const TEST[] = {"test", "merchants"};
    static const char *const SAMPLING[] = {"by", "ppm"};
    struct aside_rules *aside = &l->job->aside;
    const struct yaml_node *rules = yaml_get(l->root, "test_rules"),
                           *sampling = yaml_get(l->root, "sampling"), *n;
    enum err err = rules ? check_names(l, rules, "test_rules", TEST, COUNT_OF(TEST), NULL, 0) : OK;
    if (err == OK && (n = yaml_get(rules, "test")))
        err = read_test_words(l, n);
    if (err == OK && (n = yaml_get(rules, "merchants")))
        err = read_merchants(l, n);
    if (err != OK || !sampling)
        return err;
    err = check_names(l, sampling, "sampling", SAMPLING, COUNT_OF(SAMPLING), NULL, 0);
    const struct yaml_node *by = yaml_get(sampling, "by"), *ppm = yaml_get(sampling, "ppm");
    if (err == OK && (!by || !ppm))
        err = BAD(l, sampling, "job.missing", "e.g. sampling: {by: [biz_order_no], ppm: 10000} for 1 %",
                  "sampling: %s is missing", by ? "ppm" : "by");
    if (err == OK)
        err = read_tuple(l, by, "sampling.by", 0, &aside->sample_by);
    const struct yaml_node *item = by ? by->first : NULL;
    for (int i = 0; err == OK && i < aside->sample_by.part_count; i++, item = item->next)
        err = check_text_field(l, item, "sampling.by", aside->sample_by.parts[i]);
    int64_t kept = 0;
    if (err == OK)
        err = read_number(l, ppm, "sampling.ppm", 1, 1000000, &kept);
    aside->sample_ppm = (uint32_t)kept;
    aside->sampled = 1;
    return err;
}

/* ---- aggregates ---- */

enum err read_aggregate(struct loader *l)
{
    static const char *const NAMES[] = {"by"};
    static const char *const WORDS[] = {"channel_code", "merchant_no", "sub_merchant_no", "biz_type", "hour"};
    struct aggregate_rules *aggregate = &l->job->aggregate;
    const struct yaml_node *node = yaml_get(l->root, "aggregate");
    aggregate->on = 1;
    enum err err = node ? check_names(l, node, "aggregate", NAMES, COUNT_OF(NAMES), NULL, 0) : OK;
    const struct yaml_node *by = yaml_get(node, "by");
    if (err == OK && by && by->kind != YAML_LIST)
        return wrong_type(l, by, "aggregate.by", "a list of fields");
    for (int dim = 0; !by && dim < AGGREGATE_DIMS; dim++)
        aggregate->dims[dim] = 1;
    aggregate->hour = !by;
    for (const struct yaml_node *item = by ? by->first : NULL; err == OK && item; item = item->next) {
        int word = 0;
        err = read_choice(l, item, "aggregate.by", WORDS, COUNT_OF(WORDS), &word);
        int *at = word == AGGREGATE_DIMS ? &aggregate->hour : &aggregate->dims[word];
        if (err == OK && *at)
            err = BAD(l, item, "job.doubled", "keep one of the two", "aggregate.by: \"%s\" is in it twice",
                      item->text);
        *at = 1;
    }
    return err;
}
