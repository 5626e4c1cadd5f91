/* core/config/loader.c: one setting of a job file or a profile, read and held against what it may be; see loader.h */
#include "core/config/loader.h"
#include "core/base/mem.h"
#include "core/config/nearest.h"
#include "core/model/money.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct where below(const char *section, const char *name)
{
    struct where where;
    if (section[0])
        snprintf(where.text, sizeof where.text, "%.100s.%.80s", section, name);
    else
        snprintf(where.text, sizeof where.text, "%.80s", name);
    return where;
}

enum err bad_at(struct loader *l, int line, int column, const char *code, const char *hint,
                const char *format, ...)
{
    char text[900];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return diag_set(l->diag, ERR_USAGE, code, hint, "%s:%d:%d: %s", l->path, line, column, text);
}

void *take(struct loader *l, size_t size)
{
    void *p = arena_take(l->arena ? l->arena : &l->job->arena, size ? size : 1);
    if (!p) {
        mem_fail(l->diag, size, "a job");
        return NULL;
    }
    return memset(p, 0, size);
}

/* "a, b, c" for hints. */
static const char *list_text(char out[300], const char *const *names, int count)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < count && used < 270; i++) {
        int n = snprintf(out + used, 300 - used, "%s%s", i ? ", " : "", names[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

/* The hint for a word that is not one of `names`. */
const char *near_hint(char out[400], const char *word, const char *const *names, int count)
{
    char known[300];
    int near = nearest_index(word, names, count);
    list_text(known, names, count);
    if (near >= 0)
        snprintf(out, 400, "did you mean \"%s\"? known: %s", names[near], known);
    else
        snprintf(out, 400, "known: %s", known);
    return out;
}

enum err wrong_type(struct loader *l, const struct yaml_node *node, const char *where, const char *expected)
{
    if (node->kind == YAML_SCALAR && node->text[0])
        return BAD(l, node, "job.type", NULL, "%s: \"%s\" is a single value; expected %s", where, node->text,
                   expected);
    return BAD(l, node, "job.type", NULL, "%s: expected %s, found %s", where, expected, yaml_kind_text(node));
}

/* Checks that `map` is a map and has no names but `names`. `later` are those that the contract knows and this
 * version does not. */
enum err check_names(struct loader *l, const struct yaml_node *map, const char *where,
                     const char *const *names, int count, const char *const *later, int later_count)
{
    const char *shown = where[0] ? where : "the job";
    if (map->kind != YAML_MAP)
        return wrong_type(l, map, shown, "settings, one `name: value` per line");
    for (const struct yaml_node *child = map->first; child; child = child->next) {
        int known = 0;
        for (int i = 0; i < count && !known; i++)
            known = strcmp(names[i], child->key) == 0;
        if (known)
            continue;
        for (int i = 0; i < later_count; i++)
            if (strcmp(later[i], child->key) == 0)
                return bad_at(l, child->key_line, child->key_column, "job.later",
                              "take the setting out, or use a version that does it",
                              "%s: \"%s\" is something this version does not do", shown, child->key);
        char hint[400];
        return bad_at(l, child->key_line, child->key_column, "job.unknown",
                      near_hint(hint, child->key, names, count), "%s: there is no setting \"%s\"", shown,
                      child->key);
    }
    return OK;
}

enum err read_text(struct loader *l, const struct yaml_node *node, const char *where, const char *expected,
                   const char **out)
{
    if (node->kind != YAML_SCALAR || !node->text[0])
        return wrong_type(l, node, where, expected);
    *out = node->text;
    return OK;
}

int has_control(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return 1;
    return 0;
}

/* A short text that ends up in keys and outputs. */
enum err read_word(struct loader *l, const struct yaml_node *node, const char *where, const char *expected,
                   const char **out)
{
    enum err err = read_text(l, node, where, expected, out);
    if (err != OK)
        return err;
    if (strlen(*out) > WORD_BYTES_MAX || has_control(*out))
        return BAD(l, node, "job.value", NULL,
                   "%s: \"%s\": expected %s, at most %d bytes and without control characters", where, *out,
                   expected, WORD_BYTES_MAX);
    return OK;
}

int parse_number(const char *text, int64_t min, int64_t max, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 15 || text[digits])
        return 0;
    int64_t value = strtoll(text, NULL, 10);
    if (value < min || value > max)
        return 0;
    *out = value;
    return 1;
}

enum err read_number(struct loader *l, const struct yaml_node *node, const char *where, int64_t min,
                     int64_t max, int64_t *out)
{
    char expected[80];
    snprintf(expected, sizeof expected, "a whole number from %lld to %lld", (long long)min, (long long)max);
    const char *text = "";
    enum err err = read_text(l, node, where, expected, &text);
    if (err != OK)
        return err;
    if (!parse_number(text, min, max, out))
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected %s", where, text, expected);
    return OK;
}

enum err read_bool(struct loader *l, const struct yaml_node *node, const char *where, int *out)
{
    const char *text = "";
    enum err err = read_text(l, node, where, "true or false", &text);
    if (err != OK)
        return err;
    *out = strcmp(text, "true") == 0;
    if (!*out && strcmp(text, "false") != 0)
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected true or false", where, text);
    return OK;
}

/* A text or a list of texts, each once. */
enum err read_texts(struct loader *l, const struct yaml_node *node, const char *where, const char *expected,
                    int max, const char ***out, int *count)
{
    if (node->kind == YAML_MAP || (node->kind == YAML_LIST && node->count == 0))
        return wrong_type(l, node, where, expected);
    int n = node->kind == YAML_LIST ? node->count : 1;
    if (n > max)
        return BAD(l, node, "job.value", NULL, "%s: %d entries; at most %d", where, n, max);
    const char **texts = take(l, (size_t)n * sizeof *texts);
    if (!texts)
        return l->diag->err;
    const struct yaml_node *item = node->kind == YAML_LIST ? node->first : node;
    for (int i = 0; i < n; i++, item = item->next) {
        enum err err = read_text(l, item, where, expected, &texts[i]);
        if (err != OK)
            return err;
        for (int j = 0; j < i; j++)
            if (strcmp(texts[i], texts[j]) == 0)
                return BAD(l, item, "job.doubled", "keep one of the two", "%s: \"%s\" is in the list twice",
                           where, texts[i]);
    }
    *out = texts;
    *count = n;
    return OK;
}

enum err check_zone(struct loader *l, const struct yaml_node *node, const char *where, const char *name)
{
    struct diag inner = {0};
    struct zone *zone = NULL;
    enum err err = day_zone_open(&zone, name, &inner);
    day_zone_close(zone);
    if (err == ERR_USAGE) {
        if (node)
            return BAD(l, node, "job.value", inner.hint, "%s: %s", where, inner.what);
        return bad_at(l, 1, 1, "job.value", inner.hint, "%s (the default): %s", where, inner.what);
    }
    if (err != OK)
        *l->diag = inner;
    return err;
}

enum err read_zone(struct loader *l, const struct yaml_node *node, const char *where, const char **out)
{
    enum err err = read_text(l, node, where, "an IANA time zone such as Asia/Shanghai", out);
    return err == OK ? check_zone(l, node, where, *out) : err;
}

enum err read_amount(struct loader *l, const struct yaml_node *node, const char *where, int64_t *out)
{
    static const char *const expected = "an amount in the major unit such as 0.01, not negative";
    const char *text = "";
    enum err err = read_text(l, node, where, expected, &text);
    if (err == OK && (!money_parse(text, strlen(text), out) || *out < 0))
        err = BAD(l, node, "job.value", NULL, "%s: \"%s\": expected %s", where, text, expected);
    return err;
}
