/* core/config/job_diff.c: diff's options -> struct job
 *
 * Columns named by --key, --amount and --compare must be there; every other canonical field is taken by its
 * own name where a header has it (`optional`). A named column that is no canonical field becomes biz_order_no
 * if it is the first such part of the key and nothing else claims that field, and an attr of its own name
 * otherwise.
 */
#include "core/base/mem.h"
#include "core/config/job.h"
#include "core/model/currency.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MAX = 32 };

/* One NAME or LOCALNAME:CHANNELNAME of an option. */
struct item {
    const char *columns[SIDES];
    const char *option; /* that it came from, for messages */
    unsigned slot;      /* FIELD_SLOTS: no field yet */
};

struct diff_loader {
    struct job *job;
    struct diag *diag;
    struct item items[ITEMS_MAX];
    int count, key_end, compare_begin;
};

static enum err bad_option(struct diff_loader *l, const struct item *item, const char *hint, const char *text)
{
    if (strcmp(item->columns[LOCAL], item->columns[CHANNEL]) == 0)
        return diag_set(l->diag, ERR_USAGE, "options.value", hint, "%s: \"%s\": %s", item->option,
                        item->columns[LOCAL], text);
    return diag_set(l->diag, ERR_USAGE, "options.value", hint, "%s: \"%s:%s\": %s", item->option,
                    item->columns[LOCAL], item->columns[CHANNEL], text);
}

static enum err add_item(struct diff_loader *l, const char *option, struct span text)
{
    if (l->count == ITEMS_MAX)
        return diag_set(l->diag, ERR_USAGE, "options.value", NULL, "%s: more than %d columns are named",
                        option, ITEMS_MAX);
    const char *colon = memchr(text.data, ':', text.size);
    struct span local = colon ? (struct span){text.data, (size_t)(colon - text.data)} : text;
    struct span channel = colon ? (struct span){colon + 1, text.size - local.size - 1} : text;
    if (local.size == 0 || channel.size == 0 || memchr(channel.data, ':', channel.size))
        return diag_set(l->diag, ERR_USAGE, "options.value", "e.g. --key=order_no:biz_order_no",
                        "%s: \"%.*s\": expected a column name, or LOCALNAME:CHANNELNAME", option,
                        (int)text.size, text.data);
    struct item *item = &l->items[l->count++];
    *item = (struct item){.option = option, .slot = FIELD_SLOTS};
    item->columns[LOCAL] = arena_copy(&l->job->arena, local).data;
    item->columns[CHANNEL] = arena_copy(&l->job->arena, channel).data;
    if (!item->columns[LOCAL] || !item->columns[CHANNEL])
        return mem_fail(l->diag, text.size, "a job");
    return OK;
}

static enum err add_items(struct diff_loader *l, const char *option, const char *list)
{
    enum err err = OK;
    const char *end;
    do {
        end = strchr(list, ',');
        size_t size = end ? (size_t)(end - list) : strlen(list);
        err = add_item(l, option, (struct span){list, size});
        list += size + 1;
    } while (err == OK && end);
    return err;
}

static int same_columns(const struct item *a, const struct item *b)
{
    return strcmp(a->columns[LOCAL], b->columns[LOCAL]) == 0 &&
           strcmp(a->columns[CHANNEL], b->columns[CHANNEL]) == 0;
}

/* The canonical field that an item's names speak of: the local name decides, then the channel's. */
static unsigned canonical_slot(const struct item *item)
{
    unsigned slot = field_find(item->columns[LOCAL]);
    return slot != FIELDS ? slot : field_find(item->columns[CHANNEL]);
}

static enum err bind(struct diff_loader *l, const struct item *item)
{
    for (int side = 0; side < SIDES; side++) {
        struct field_rule *rule = &l->job->sources[side].fields[item->slot];
        if (rule->column && strcmp(rule->column, item->columns[side]) != 0)
            return bad_option(l, item, "name the same columns in all options",
                              "this field is already read from other columns");
        rule->column = item->columns[side];
    }
    return OK;
}

static enum err bind_canonical(struct diff_loader *l, const struct item *amount)
{
    enum err err = OK;
    int biz_order_no_is_used = 0;
    for (int i = 0; err == OK && i < l->count; i++) {
        struct item *item = &l->items[i];
        if (item == amount || same_columns(item, amount))
            item->slot = FIELD_AMOUNT;
        else if (canonical_slot(item) != FIELDS)
            item->slot = canonical_slot(item);
        else
            continue;
        if (item->slot == FIELD_AMOUNT && item != amount && strcmp(item->columns[LOCAL], "amount") == 0 &&
            strcmp(item->columns[CHANNEL], "amount") == 0)
            continue; /* the field's own name, whichever columns it is read from */
        err = bind(l, item);
        biz_order_no_is_used |= item->slot == FIELD_BIZ_ORDER_NO;
    }
    for (int i = 0; err == OK && i < l->key_end && !biz_order_no_is_used; i++)
        if (l->items[i].slot == FIELD_SLOTS) {
            l->items[i].slot = FIELD_BIZ_ORDER_NO;
            err = bind(l, &l->items[i]);
            biz_order_no_is_used = 1;
        }
    return err;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err bind_attrs(struct diff_loader *l)
{
    struct job *job = l->job;
    for (int i = 0; i < l->count; i++) {
        struct item *item = &l->items[i];
        int known = item->slot != FIELD_SLOTS;
        /* A compared column that is a part of the key already has its field; it cannot differ there. */
        for (int k = 0; k < l->key_end && !known; k++)
            if (l->items[k].slot != FIELD_SLOTS && same_columns(item, &l->items[k])) {
                item->slot = l->items[k].slot;
                known = 1;
            }
        for (int a = 0; a < job->attr_count && !known; a++)
            known = strcmp(job->attrs[a], item->columns[LOCAL]) == 0;
        if (known)
            continue;
        if (job->attr_count == ATTRS_MAX)
            return bad_option(l, item, NULL,
                              "more columns without a canonical name than a job can hold (16)");
        job->attrs[job->attr_count++] = item->columns[LOCAL];
    }
    qsort(job->attrs, (size_t)job->attr_count, sizeof job->attrs[0], compare_names);
    for (int i = 0; i < l->count; i++) {
        struct item *item = &l->items[i];
        for (int a = 0; a < job->attr_count && item->slot == FIELD_SLOTS; a++)
            if (strcmp(job->attrs[a], item->columns[LOCAL]) == 0)
                item->slot = FIELD_ATTR0 + (unsigned)a;
        enum err err = item->slot >= FIELD_ATTR0 ? bind(l, item) : OK;
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err make_rules(struct diff_loader *l)
{
    struct match_rules *match = &l->job->match;
    struct key_spec *key = &match->keys[0];
    match->key_count = 1;
    match->window_before = match->window_after = -1;
    for (int i = 0; i < l->key_end; i++) {
        const struct item *item = &l->items[i];
        for (int k = 0; k < key->part_count; k++)
            if (key->parts[k] == item->slot)
                return bad_option(l, item, "keep one of the two", "is in the key twice");
        if (key->part_count == KEY_PARTS_MAX)
            return bad_option(l, item, NULL, "a key has at most 6 columns");
        key->parts[key->part_count++] = item->slot;
    }
    int wanted[FIELD_SLOTS] = {0};
    for (int i = l->compare_begin; i < l->count; i++) {
        const struct item *item = &l->items[i];
        if (item->slot == FIELD_BILL_DATE || item->slot == FIELD_TRADE_TIME)
            return bad_option(l, item, "write a job file with match.window, see `tieout check --help`",
                              "diff compares no dates");
        if (wanted[item->slot]++)
            return bad_option(l, item, "keep one of the two", "is in the list twice");
    }
    wanted[FIELD_AMOUNT] = wanted[FIELD_CURRENCY] = wanted[FIELD_DIRECTION] = 0;
    for (unsigned slot = 0; slot < FIELD_SLOTS; slot++)
        if (wanted[slot])
            match->compare[match->compare_count++] = slot;
    return OK;
}

/* The set of outputs replaces its folder as a whole: an input inside of it would be lost. */
static enum err check_out_dir(struct diff_loader *l, const struct diff_request *request)
{
    const char *inputs[SIDES] = {request->local_path, request->channel_path};
    char *out = realpath(l->job->out_dir, NULL);
    enum err err = OK;
    for (int side = 0; out && err == OK && side < SIDES; side++) {
        char *input = realpath(inputs[side], NULL);
        size_t size = strlen(out);
        if (input && strncmp(input, out, size) == 0 &&
            (input[size] == '/' || (size > 0 && out[size - 1] == '/')))
            err = diag_set(l->diag, ERR_USAGE, "options.value",
                           "choose a folder of its own for the outputs, e.g. --out=out",
                           "--out: \"%s\" holds the input %s", l->job->out_dir, inputs[side]);
        free(input);
    }
    free(out);
    return err;
}

static enum err read_settings(struct diff_loader *l, const struct diff_request *request)
{
    static const char *const MOVED[] = {"SUCCESS", "REFUNDED"}, *const NOT_MOVED[] = {"PROCESSING", "FAILED",
                                                                                      "CLOSED"};
    struct job *job = l->job;
    const char *currency = request->currency ? request->currency : "CNY";
    job->is_diff = 1;
    job->directory = ".";
    job->name = "diff";
    job->channel_code = "";
    job->write_match = request->write_match;
    memcpy(job->monetary, MOVED, sizeof MOVED);
    job->monetary_count = 2;
    memcpy(job->non_monetary, NOT_MOVED, sizeof NOT_MOVED);
    job->non_monetary_count = 3;
    job->currency = currency_find(currency, strlen(currency));
    if (job->currency == CURRENCY_NONE)
        return diag_set(l->diag, ERR_USAGE, "options.value", NULL,
                        "--currency: \"%s\" is not an ISO 4217 currency code such as CNY", currency);
    struct reject_limit rejects = {0};
    if (request->max_rejects && !job_reject_limit_parse(request->max_rejects, &rejects))
        return diag_set(
            l->diag, ERR_USAGE, "options.value", NULL,
            "--max-rejects: \"%s\": expected a number of rows such as 50, or a share such as 0.5%%",
            request->max_rejects);
    job->timezone =
        arena_copy(&job->arena, span_of(request->timezone ? request->timezone : "Asia/Shanghai")).data;
    job->out_dir = arena_copy(&job->arena, span_of(request->out_dir ? request->out_dir : "out")).data;
    if (!job->timezone || !job->out_dir)
        return mem_fail(l->diag, 0, "a job");
    if (!job->out_dir[0])
        return diag_set(l->diag, ERR_USAGE, "options.value", "e.g. --out=out", "--out: expected a folder");
    struct zone *zone = NULL;
    enum err err = day_zone_open(&zone, job->timezone, l->diag);
    day_zone_close(zone);
    for (int side = 0; err == OK && side < SIDES; side++) {
        struct source_spec *source = &job->sources[side];
        job->parts[side] = source;
        job->part_count[side] = 1;
        source->kind = SOURCE_FILES;
        source->layout =
            (struct layout){.format = FORMAT_CSV, .delimiter = ',', .quote = '"', .has_header = 1};
        source->timezone = job->timezone;
        source->rejects = rejects;
        source->pattern_count = 1;
        source->patterns = arena_take(&job->arena, sizeof *source->patterns);
        const char *path = side == LOCAL ? request->local_path : request->channel_path;
        const char *copy = arena_copy(&job->arena, span_of(path)).data;
        if (!source->patterns || !copy)
            return mem_fail(l->diag, 0, "a job");
        source->patterns[0] = copy;
    }
    return err;
}

static void take_rest_by_header(struct job *job)
{
    for (int side = 0; side < SIDES; side++)
        for (unsigned slot = 0; slot < FIELDS; slot++) {
            struct field_rule *rule = &job->sources[side].fields[slot];
            if (!rule->column) {
                rule->column = field_name(slot);
                rule->optional = 1;
            }
        }
}

static enum err load(struct diff_loader *l, const struct diff_request *request)
{
    if (!request->local_path || !request->channel_path || !request->key || !request->amount)
        return diag_set(l->diag, ERR_USAGE, "options.missing",
                        "tieout diff local.csv channel.csv --key=biz_order_no --amount=amount",
                        "diff needs two files, --key and --amount");
    enum err err = read_settings(l, request);
    if (err == OK)
        err = add_items(l, "--key", request->key);
    l->key_end = l->count;
    if (err == OK)
        err = add_items(l, "--amount", request->amount);
    const struct item *amount = &l->items[l->key_end];
    if (err == OK && l->count != l->key_end + 1)
        err = diag_set(l->diag, ERR_USAGE, "options.value", "name one column, or LOCALNAME:CHANNELNAME",
                       "--amount: \"%s\": expected one column", request->amount);
    l->compare_begin = l->count;
    if (err == OK && request->compare && request->compare[0])
        err = add_items(l, "--compare", request->compare);
    if (err == OK)
        err = bind_canonical(l, amount);
    if (err == OK)
        err = bind_attrs(l);
    if (err == OK)
        err = make_rules(l);
    if (err == OK)
        err = check_out_dir(l, request);
    if (err == OK)
        take_rest_by_header(l->job);
    return err;
}

enum err job_from_diff(struct job **out, const struct diff_request *request, struct diag *diag)
{
    *out = NULL;
    struct job *job = mem_take_zero(1, sizeof *job);
    if (!job)
        return mem_fail(diag, sizeof *job, "a job");
    arena_init(&job->arena);
    struct diff_loader l = {.job = job, .diag = diag};
    enum err err = load(&l, request);
    if (err != OK) {
        job_close(job);
        return err;
    }
    *out = job;
    return OK;
}
