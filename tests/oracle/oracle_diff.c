/* tests/oracle/oracle_diff.c: see oracle_diff.h */
#include "tests/oracle/oracle_diff.h"
#include <stdio.h>
#include <string.h>

static const char *keep(struct oracle_diff *diff, const char *word, size_t size)
{
    if (diff->word_count == DIFF_WORDS_MAX || size >= DIFF_WORD_MAX)
        return NULL;
    char *slot = diff->words[diff->word_count++];
    memcpy(slot, word, size);
    slot[size] = 0;
    return slot;
}

/* One NAME or LOCALNAME:CHANNELNAME of a list. */
struct item {
    const char *local, *channel;
    int field; /* the canonical one of either name, or O_FIELDS */
};

static int take_item(struct oracle_diff *diff, const char **list, struct item *item)
{
    size_t size = strcspn(*list, ",");
    const char *text = *list, *colon = memchr(text, ':', size);
    *list += size + (text[size] == ',');
    item->local = keep(diff, text, colon ? (size_t)(colon - text) : size);
    item->channel = colon ? keep(diff, colon + 1, (size_t)(text + size - colon - 1)) : item->local;
    if (!item->local || !item->channel || !*item->local || !*item->channel)
        return 0;
    item->field = oracle_field_find(item->local);
    if (item->field == O_FIELDS)
        item->field = oracle_field_find(item->channel);
    return 1;
}

static int attr_index(const struct oracle_job *job, const char *name)
{
    int i = 0;
    while (i < job->attr_count && strcmp(job->attrs[i], name) != 0)
        i++;
    return i;
}

/* Attrs are called as the local side calls them, and stand in the order of their names. */
static int add_attr(struct oracle_job *job, const char *name)
{
    if (attr_index(job, name) < job->attr_count)
        return 1;
    if (job->attr_count == O_ATTRS_MAX)
        return 0;
    int at = job->attr_count++;
    for (; at > 0 && strcmp(job->attrs[at - 1], name) > 0; at--)
        job->attrs[at] = job->attrs[at - 1];
    job->attrs[at] = name;
    return 1;
}

static void bind(struct oracle_job *job, const struct item *item, int field)
{
    job->sources[ORACLE_LOCAL].column[field] = item->local;
    job->sources[ORACLE_CHANNEL].column[field] = item->channel;
    job->sources[ORACLE_LOCAL].is_optional[field] = job->sources[ORACLE_CHANNEL].is_optional[field] = 0;
}

static int field_of(const struct oracle_job *job, const struct item *item)
{
    if (item->field != O_FIELDS)
        return item->field;
    if (job->sources[ORACLE_LOCAL].column[O_BIZ_ORDER_NO] &&
        strcmp(job->sources[ORACLE_LOCAL].column[O_BIZ_ORDER_NO], item->local) == 0)
        return O_BIZ_ORDER_NO;
    return O_FIELDS + attr_index(job, item->local);
}

int oracle_diff_add_key(struct oracle_diff *diff, const char *key)
{
    struct oracle_job *job = &diff->job;
    if (job->key_count == 8)
        return 0;
    for (const char *p = key; *p;) {
        struct item item;
        int *count = &job->key_part_count[job->key_count];
        if (*count == 6 || !take_item(diff, &p, &item))
            return 0;
        int field = field_of(job, &item);
        if (field == O_FIELDS + job->attr_count)
            return 0;
        bind(job, &item, field);
        job->key_parts[job->key_count][(*count)++] = field;
    }
    job->key_count++;
    return 1;
}

int oracle_diff_init(struct oracle_diff *diff, const char *key, const char *amount, const char *compare)
{
    *diff = (struct oracle_diff){.word_count = 0};
    struct oracle_job *job = &diff->job;
    struct item item;
    const char *p;
    job->timezone = "Asia/Shanghai";
    job->currency = "CNY";
    for (int side = 0; side < ORACLE_SIDES; side++)
        for (int f = 0; f < O_FIELDS; f++) {
            job->sources[side].column[f] = oracle_field_word(f);
            job->sources[side].is_optional[f] = 1;
        }
    /* The first key column that is no canonical field is the order number, if no other one is. */
    int has_order_no = 0;
    for (p = key; *p;) {
        if (!take_item(diff, &p, &item))
            return 0;
        has_order_no |= item.field == O_BIZ_ORDER_NO;
    }
    for (p = key; *p;) {
        if (!take_item(diff, &p, &item))
            return 0;
        if (item.field == O_FIELDS && !has_order_no) {
            bind(job, &item, O_BIZ_ORDER_NO);
            has_order_no = 1;
        } else if (item.field == O_FIELDS && !add_attr(job, item.local)) {
            return 0;
        }
    }
    for (p = compare ? compare : ""; *p;)
        if (!take_item(diff, &p, &item) || (field_of(job, &item) >= O_FIELDS && !add_attr(job, item.local)))
            return 0;
    p = amount;
    if (!oracle_diff_add_key(diff, key) || !take_item(diff, &p, &item))
        return 0;
    bind(job, &item, O_AMOUNT);
    for (p = compare ? compare : ""; *p;) {
        if (!take_item(diff, &p, &item))
            return 0;
        int field = field_of(job, &item);
        bind(job, &item, field);
        job->is_compared[field] = 1;
    }
    job->sources[ORACLE_CHANNEL].occurrence_is_field = 1;
    return 1;
}
