/* core/config/job_load.c: a job file -> struct job
 *
 * The file is read as a tree (yaml.h) whose texts live in the job's own arena, then section by section. Names
 * come first: whatever is not known is refused before anything is made of the rest, so that a typing error is
 * told as one. What SPEC.md describes and this version does not do is refused by name too, never ignored.
 */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/config/loader.h"
#include "core/config/nearest.h"
#include "core/config/options.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERNS_MAX = 256, THRESHOLD_MAX = 365, SKIP_LINES_MAX = 1000 };

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

static int has_control(const char *text)
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

static enum err check_zone(struct loader *l, const struct yaml_node *node, const char *where,
                           const char *name)
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

/* ---- status words ---- */

static int word_in(const char *word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0)
            return 1;
    return 0;
}

static enum err read_status_list(struct loader *l, const struct yaml_node *node, const char *where,
                                 const char **words, int *count)
{
    if (node->kind != YAML_LIST)
        return wrong_type(l, node, where, "a list of status words");
    const char **texts = NULL;
    if (node->count > 0) {
        enum err err = read_texts(l, node, where, "a list of status words", STATUS_WORDS_MAX, &texts, count);
        if (err != OK)
            return err;
        memcpy(words, texts, (size_t)*count * sizeof *words);
    } else {
        *count = 0;
    }
    const struct yaml_node *item = node->first;
    for (int i = 0; i < *count; i++, item = item->next) {
        const char *word = "";
        enum err err = read_word(l, item, where, "a status word", &word);
        if (err != OK)
            return err;
    }
    return OK;
}

static void default_status(const char **words, int *count, const char *const *defaults, int default_count,
                           const char *const *others, int other_count)
{
    for (int i = 0; i < default_count; i++)
        if (!word_in(defaults[i], others, other_count))
            words[(*count)++] = defaults[i];
}

static enum err read_status(struct loader *l)
{
    static const char *const NAMES[] = {"monetary", "non_monetary"};
    static const char *const MOVED[] = {"SUCCESS", "REFUNDED"};
    static const char *const NOT_MOVED[] = {"PROCESSING", "FAILED", "CLOSED"};
    struct job *job = l->job;
    const struct yaml_node *node = yaml_get(l->root, "status");
    const struct yaml_node *monetary = yaml_get(node, "monetary"),
                           *non_monetary = yaml_get(node, "non_monetary");
    enum err err = node ? check_names(l, node, "status", NAMES, COUNT_OF(NAMES), NULL, 0) : OK;
    if (err == OK && monetary)
        err = read_status_list(l, monetary, "status.monetary", job->monetary, &job->monetary_count);
    if (err == OK && non_monetary)
        err = read_status_list(l, non_monetary, "status.non_monetary", job->non_monetary,
                               &job->non_monetary_count);
    if (err != OK)
        return err;
    if (monetary && non_monetary)
        for (const struct yaml_node *item = non_monetary->first; item; item = item->next)
            if (word_in(item->text, job->monetary, job->monetary_count))
                return BAD(l, item, "job.doubled", "keep it in one of them",
                           "status: \"%s\" is monetary and non_monetary", item->text);
    if (!monetary)
        default_status(job->monetary, &job->monetary_count, MOVED, COUNT_OF(MOVED), job->non_monetary,
                       job->non_monetary_count);
    if (!non_monetary)
        default_status(job->non_monetary, &job->non_monetary_count, NOT_MOVED, COUNT_OF(NOT_MOVED),
                       job->monetary, job->monetary_count);
    return OK;
}

/* All status words of the job, monetary ones first. */
static int status_words(const struct job *job, const char *out[2 * STATUS_WORDS_MAX])
{
    int count = 0;
    for (int i = 0; i < job->monetary_count; i++)
        out[count++] = job->monetary[i];
    for (int i = 0; i < job->non_monetary_count; i++)
        out[count++] = job->non_monetary[i];
    return count;
}

/* ---- fields ---- */

int has_source(const struct field_rule *rule)
{
    return rule->column || rule->debit || rule->constant;
}

int has_column(const struct field_rule *rule)
{
    return rule->column || rule->debit;
}

static int is_money(unsigned slot)
{
    return slot == FIELD_AMOUNT || slot == FIELD_FEE;
}

/* A word that a map or a constant gives to a field must be one that the field can hold. */
static enum err check_target(struct loader *l, unsigned slot, const struct yaml_node *node, const char *where)
{
    const char *text = "";
    enum err err = read_word(l, node, where, "a word", &text);
    if (err != OK)
        return err;
    if (slot == FIELD_DIRECTION && strcmp(text, "IN") != 0 && strcmp(text, "OUT") != 0) {
        static const char *const DIRECTIONS[] = {"IN", "OUT"};
        char hint[400];
        return BAD(l, node, "job.value", near_hint(hint, text, DIRECTIONS, 2),
                   "%s: \"%s\": expected IN or OUT", where, text);
    }
    if (slot == FIELD_CURRENCY && !currency_find(text, strlen(text)))
        return BAD(l, node, "job.value", NULL, "%s: \"%s\" is not an ISO 4217 currency code such as CNY",
                   where, text);
    if (slot == FIELD_STATUS) {
        const char *words[2 * STATUS_WORDS_MAX];
        int count = status_words(l->job, words);
        char hint[400];
        if (!word_in(text, words, count))
            return BAD(l, node, "job.value", near_hint(hint, text, words, count),
                       "%s: \"%s\" is not a status word of this job (monetary or non_monetary, see the "
                       "setting `status`)",
                       where, text);
    }
    return OK;
}

static enum err read_map(struct loader *l, unsigned slot, const struct yaml_node *node, const char *where,
                         struct field_rule *rule)
{
    if (is_money(slot) || slot == FIELD_TRADE_TIME || slot == FIELD_BILL_DATE)
        return bad_at(l, node->key_line, node->key_column, "job.value", NULL,
                      "%s: amounts, fees, times and dates have no map", where);
    if (node->kind != YAML_MAP || node->count == 0)
        return wrong_type(l, node, where, "a map, {value in the file: word, ...}");
    rule->map = take(l, (size_t)node->count * sizeof *rule->map);
    if (!rule->map)
        return l->diag->err;
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        struct where at = below(where, child->key);
        enum err err = check_target(l, slot, child, at.text);
        if (err != OK)
            return err;
        if (strcmp(child->key, "other") == 0)
            rule->map_other = child->text;
        else
            rule->map[rule->map_count++] = (struct map_entry){child->key, child->text};
    }
    return OK;
}

/* `comma`: decimals stand behind a comma, so that points may group digits. */
static enum err read_strip(struct loader *l, unsigned slot, const struct yaml_node *node, const char *where,
                           int comma, const char **out)
{
    enum err err = read_text(l, node, where, "the characters to take out, in quotes", out);
    if (err != OK)
        return err;
    for (const char *p = *out; *p; p++) {
        /* Without its point or sign an amount is another amount. */
        if (is_money(slot) && strchr("0123456789.+-", *p) && !(*p == '.' && comma))
            return BAD(l, node, "job.value", NULL, "%s: \"%s\": stripping '%c' would change amounts", where,
                       *out, *p);
    }
    return OK;
}

static enum err read_constant(struct loader *l, unsigned slot, const struct yaml_node *node,
                              const char *where, const char **out)
{
    if (is_money(slot) || slot == FIELD_TRADE_TIME || slot == FIELD_BILL_DATE || slot == FIELD_BIZ_ORDER_NO ||
        slot == FIELD_CHANNEL_ORDER_NO)
        return bad_at(l, node->key_line, node->key_column, "job.value", "name the column instead",
                      "%s: a constant makes no sense for this field", where);
    enum err err = check_target(l, slot, node, where);
    if (err == OK)
        *out = node->text;
    return err;
}

static enum err read_unit(struct loader *l, unsigned slot, const struct yaml_node *node, const char *where,
                          enum amount_unit *out)
{
    if (!is_money(slot))
        return bad_at(l, node->key_line, node->key_column, "job.value", NULL,
                      "%s: only amount and fee have a unit", where);
    const char *text = "";
    enum err err = read_text(l, node, where, "major, minor or hundredths", &text);
    if (err != OK)
        return err;
    *out = strcmp(text, "minor") == 0        ? UNIT_MINOR
           : strcmp(text, "hundredths") == 0 ? UNIT_HUNDREDTHS
                                             : UNIT_MAJOR;
    if (*out == UNIT_MAJOR && strcmp(text, "major") != 0)
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected major, minor or hundredths", where,
                   text);
    return OK;
}

/* Names that a column had over the years; the first that a file has is taken. */
static enum err read_aliases(struct loader *l, const struct yaml_node *node, const char *where,
                             struct field_rule *rule)
{
    const char **names;
    int count;
    enum err err = read_texts(l, node, where, "a column name or a list of them", 16, &names, &count);
    if (err != OK)
        return err;
    rule->column = names[0];
    rule->aliases = take(l, (size_t)count * sizeof *rule->aliases);
    if (!rule->aliases)
        return l->diag->err;
    memcpy(rule->aliases, names + 1, (size_t)(count - 1) * sizeof *names);
    return OK;
}

static enum err read_sign(struct loader *l, unsigned slot, const struct yaml_node *node, const char *where,
                          enum number_sign *out)
{
    static const char *const WORDS[] = {"signed", "positive", "negative", "cost"};
    const char *text = "";
    if (!is_money(slot))
        return bad_at(l, node->key_line, node->key_column, "job.value", NULL,
                      "%s: only amount and fee have a sign", where);
    enum err err = read_text(l, node, where, "signed, positive, negative, or cost for a fee", &text);
    if (err != OK)
        return err;
    for (int i = 0; i < COUNT_OF(WORDS); i++)
        if (strcmp(text, WORDS[i]) == 0 && (i + 1 != SIGN_COST || slot == FIELD_FEE)) {
            *out = (enum number_sign)(i + 1);
            return OK;
        }
    return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected signed, positive, negative%s", where, text,
               slot == FIELD_FEE ? " or cost" : "");
}

enum err read_decimal(struct loader *l, const struct yaml_node *node, const char *where, const char *strip,
                      char *out)
{
    const char *text = "";
    enum err err = read_text(l, node, where, "\",\" or \".\"", &text);
    if (err == OK && strcmp(text, ",") != 0 && strcmp(text, ".") != 0)
        err = BAD(l, node, "job.value", NULL, "%s: \"%s\": expected \",\" or \".\"", where, text);
    if (err == OK && strip && strchr(strip, text[0]))
        err = BAD(l, node, "job.value", NULL, "%s: \"%s\" is also stripped, so 1%s50 would be read as 150",
                  where, text, text);
    *out = text[0];
    return err;
}

static enum err read_mark(struct loader *l, unsigned slot, const struct yaml_node *node, const char *where,
                          struct field_rule *rule)
{
    static const char *const NAMES[] = {"column", "debit", "credit"};
    if (!is_money(slot))
        return bad_at(l, node->key_line, node->key_column, "job.value", NULL,
                      "%s: only amount and fee have a debit and credit mark", where);
    enum err err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *column = yaml_get(node, "column"), *debit = yaml_get(node, "debit"),
                           *credit = yaml_get(node, "credit");
    if (err == OK && (!debit || !credit))
        err = BAD(l, node, "job.missing", "e.g. mark: {debit: D, credit: C}", "%s: %s is missing", where,
                  debit ? "credit" : "debit");
    if (err == OK && column)
        err = read_text(l, column, below(where, "column").text, "a column name", &rule->mark_column);
    if (err == OK)
        err = read_text(l, debit, below(where, "debit").text, "the word for debit", &rule->mark_debit);
    if (err == OK)
        err = read_text(l, credit, below(where, "credit").text, "the word for credit", &rule->mark_credit);
    return err;
}

static enum err read_time_format(struct loader *l, const struct yaml_node *node, const char *where,
                                 enum time_format *out)
{
    const char *text = "";
    enum err err = read_text(l, node, where, "MMDDhhmmss", &text);
    if (err == OK && strcmp(text, "MMDDhhmmss") != 0)
        err = BAD(l, node, "job.value", "times with a year need no format", "%s: \"%s\": expected MMDDhhmmss",
                  where, text);
    *out = TIME_MMDDHHMMSS;
    return err;
}

/* "+08:00" */
static int is_offset(const char *text)
{
    return strlen(text) == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':' &&
           strspn(text + 1, "0123456789") == 2 && strspn(text + 4, "0123456789") == 2;
}

static enum err read_zones(struct loader *l, const struct yaml_node *node, const char *where,
                           struct field_rule *rule)
{
    static const char *const NAMES[] = {"column", "map"};
    enum err err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *column = yaml_get(node, "column"), *map = yaml_get(node, "map");
    if (err == OK && (!column || !map || map->kind != YAML_MAP || map->count == 0))
        err = BAD(l, node, "job.missing", "e.g. zone: {column: TimeZone, map: {CET: \"+01:00\"}}",
                  "%s: expected a column and a map of its words", where);
    if (err == OK)
        err = read_text(l, column, below(where, "column").text, "a column name", &rule->zone_column);
    if (err != OK)
        return err;
    rule->zones = take(l, (size_t)map->count * sizeof *rule->zones);
    if (!rule->zones)
        return l->diag->err;
    for (const struct yaml_node *child = map->first; child; child = child->next) {
        if (child->kind != YAML_SCALAR || !is_offset(child->text))
            return BAD(l, child, "job.value", NULL, "%s.%s: expected an offset such as \"+08:00\"", where,
                       child->key);
        rule->zones[rule->zone_count++] = (struct map_entry){child->key, child->text};
    }
    return OK;
}

/* Without a map a status column must hold the job's own words, and a word outside of them is a reject: so the
 * map is made here. */
static enum err map_words_to_themselves(struct loader *l, struct field_rule *rule)
{
    const char *words[2 * STATUS_WORDS_MAX];
    rule->map_count = status_words(l->job, words);
    rule->map = take(l, (size_t)rule->map_count * sizeof *rule->map);
    if (!rule->map)
        return l->diag->err;
    for (int i = 0; i < rule->map_count; i++)
        rule->map[i] = (struct map_entry){words[i], words[i]};
    return OK;
}

enum err read_field(struct loader *l, unsigned slot, const struct yaml_node *node, const char *where,
                    struct field_rule *rule)
{
    static const char *const NAMES[] = {"column",   "unit", "strip", "map",    "debit", "credit",
                                        "constant", "sign", "none",  "mark",   "time",  "zone",
                                        "of_order", "plus", "same",  "decimal"};
    static const char *const LATER[] = {"timezone", "format", "regex",      "prefix", "suffix",
                                        "lookup",   "script", "expression", "scale"};
    rule->line = node->line;
    rule->column_no = node->column;
    enum err err = OK;
    if (node->kind == YAML_LIST || (node->kind == YAML_SCALAR && !node->text[0]))
        return wrong_type(l, node, where, "a column name, or a map such as {column: NAME}");
    if (node->kind == YAML_SCALAR && strcmp(node->text, "none") == 0) /* overrides what a profile says */
        return OK;
    if (node->kind == YAML_SCALAR) {
        rule->column = node->text;
        return slot == FIELD_STATUS ? map_words_to_themselves(l, rule) : OK;
    }
    err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    const struct yaml_node *column = yaml_get(node, "column"), *debit = yaml_get(node, "debit"),
                           *credit = yaml_get(node, "credit"), *constant = yaml_get(node, "constant"),
                           *unit = yaml_get(node, "unit"), *strip = yaml_get(node, "strip"),
                           *map = yaml_get(node, "map"), *sign = yaml_get(node, "sign"),
                           *none = yaml_get(node, "none"), *mark = yaml_get(node, "mark"),
                           *time = yaml_get(node, "time"), *zone = yaml_get(node, "zone"),
                           *decimal = yaml_get(node, "decimal");
    if (err == OK && (debit || credit) && !is_money(slot))
        err = BAD(l, node, "job.value", NULL, "%s: only amount and fee have debit and credit columns", where);
    if (err == OK && (debit || credit) && !(debit && credit))
        err = BAD(l, node, "job.missing", NULL, "%s: %s is missing; debit and credit go together", where,
                  debit ? "credit" : "debit");
    const struct yaml_node *of_order = yaml_get(node, "of_order");
    if (err == OK && of_order) {
        if (slot != FIELD_CURRENCY || column || map || constant)
            return BAD(l, of_order, "job.value", NULL,
                       "%s: of_order is for a currency that has no column of its own", where);
        rule->of_order = 1;
        return read_text(l, of_order, below(where, "of_order").text, "the column with the order's number",
                         &rule->column);
    }
    if (err == OK && !!column + !!debit + !!constant != 1)
        err = BAD(l, node, column || debit || constant ? "job.value" : "job.missing", NULL,
                  "%s: expected exactly one of: column; debit and credit; constant", where);
    if (err == OK && constant && (unit || strip || map || sign || none || mark || time || zone || decimal))
        err = BAD(l, node, "job.value", NULL, "%s: a constant takes no unit, strip or map", where);
    if (err == OK && column && column->kind == YAML_LIST)
        err = read_aliases(l, column, below(where, "column").text, rule);
    else if (err == OK && column)
        err = read_text(l, column, below(where, "column").text, "a column name", &rule->column);
    if (err == OK && debit)
        err = read_text(l, debit, below(where, "debit").text, "a column name", &rule->debit);
    if (err == OK && credit)
        err = read_text(l, credit, below(where, "credit").text, "a column name", &rule->credit);
    if (err == OK && debit && strcmp(rule->debit, rule->credit) == 0)
        err = BAD(l, credit, "job.value", NULL, "%s: debit and credit are the same column, \"%s\"", where,
                  rule->credit);
    if (err == OK && constant)
        err = read_constant(l, slot, constant, below(where, "constant").text, &rule->constant);
    rule->unit_said = unit != NULL;
    if (err == OK && unit)
        err = read_unit(l, slot, unit, below(where, "unit").text, &rule->unit);
    if (err == OK && strip)
        err = read_strip(l, slot, strip, below(where, "strip").text,
                         decimal && decimal->text && strcmp(decimal->text, ",") == 0, &rule->strip);
    if (err == OK && map)
        err = read_map(l, slot, map, below(where, "map").text, rule);
    if (err == OK && sign)
        err = read_sign(l, slot, sign, below(where, "sign").text, &rule->sign);
    if (err == OK && none)
        err = read_text(l, none, below(where, "none").text, "the word that stands for nothing", &rule->none);
    if (err == OK && mark)
        err = read_mark(l, slot, mark, below(where, "mark").text, rule);
    if (err == OK && decimal && !is_money(slot))
        err = bad_at(l, decimal->key_line, decimal->key_column, "job.value", NULL,
                     "%s: only amount and fee have decimals", where);
    if (err == OK && decimal)
        err = read_decimal(l, decimal, below(where, "decimal").text, rule->strip, &rule->decimal);
    const struct yaml_node *plus = yaml_get(node, "plus"), *same = yaml_get(node, "same");
    if (err == OK && (plus || same) && slot != FIELD_FEE)
        err = BAD(l, plus ? plus : same, "job.value", NULL, "%s: only a fee has `plus` and `same`", where);
    if (err == OK && plus) {
        const char **names;
        int count;
        err = read_texts(l, plus, below(where, "plus").text, "columns to add", PLUS_MAX, &names, &count);
        rule->plus = err == OK ? take(l, (size_t)(count + 1) * sizeof *names) : NULL;
        if (err == OK && !rule->plus)
            return l->diag->err;
        if (err == OK)
            memcpy(rule->plus, names, (size_t)count * sizeof *names);
    }
    if (err == OK && same) {
        const char **names;
        int count = 0;
        err = read_texts(l, same, below(where, "same").text, "two columns", 2, &names, &count);
        if (err == OK && count != 2)
            err = wrong_type(l, same, where, "two columns");
        for (int i = 0; err == OK && i < 2; i++)
            rule->same[i] = names[i];
    }
    if (err == OK && (time || zone) && slot != FIELD_TRADE_TIME)
        err = BAD(l, time ? time : zone, "job.value", NULL,
                  "%s: only trade_time has a time format and a zone", where);
    if (err == OK && time)
        err = read_time_format(l, time, below(where, "time").text, &rule->time_format);
    if (err == OK && zone)
        err = read_zones(l, zone, below(where, "zone").text, rule);
    if (err == OK && slot == FIELD_STATUS && !map && column)
        err = map_words_to_themselves(l, rule);
    return err;
}

/* Attrs get their slots in the order of their names, which is their order in canonical bytes. */
static enum err collect_attrs(struct loader *l)
{
    struct job *job = l->job;
    for (int i = 0; i < SIDES * PARTS_MAX; i++) {
        int side = i / PARTS_MAX;
        const struct yaml_node *part = l->parts[side][i % PARTS_MAX];
        const struct yaml_node *attrs = yaml_get(yaml_get(part, "fields"), "attr");
        struct where where = below(side_name((enum side)side), "fields.attr");
        if (!attrs)
            continue;
        if (attrs->kind != YAML_MAP || attrs->count == 0)
            return wrong_type(l, attrs, where.text, "a map, {name: column, ...}");
        for (const struct yaml_node *child = attrs->first; child; child = child->next) {
            size_t size = strlen(child->key);
            if (size == 0 || size > WORD_BYTES_MAX ||
                strspn(child->key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != size)
                return bad_at(l, child->key_line, child->key_column, "job.value", NULL,
                              "%s: \"%s\": expected a name of letters, digits and _, at most %d", where.text,
                              child->key, WORD_BYTES_MAX);
            if (field_find(child->key) != FIELDS)
                return bad_at(l, child->key_line, child->key_column, "job.value",
                              "write it beside attr, not below it",
                              "%s: \"%s\" is a field of its own, not an attr", where.text, child->key);
            if (word_in(child->key, job->attrs, job->attr_count))
                continue;
            if (job->attr_count == ATTRS_MAX)
                return bad_at(l, child->key_line, child->key_column, "job.value", NULL,
                              "%s: more than %d different attrs", where.text, ATTRS_MAX);
            int at = job->attr_count++;
            for (; at > 0 && strcmp(job->attrs[at - 1], child->key) > 0; at--)
                job->attrs[at] = job->attrs[at - 1];
            job->attrs[at] = child->key;
        }
    }
    return OK;
}

unsigned slot_find(const struct job *job, const char *name)
{
    unsigned slot = field_find(name);
    if (slot != FIELDS)
        return slot;
    for (int i = 0; i < job->attr_count; i++)
        if (strcmp(job->attrs[i], name) == 0)
            return FIELD_ATTR0 + (unsigned)i;
    return FIELD_SLOTS;
}

static enum err read_fields(struct loader *l, const struct yaml_node *node, const char *section,
                            struct source_spec *source)
{
    const char *names[FIELDS + 1];
    struct where where = below(section, "fields");
    for (unsigned i = 0; i < FIELDS; i++)
        names[i] = field_name(i);
    names[FIELDS] = "attr";
    enum err err = check_names(l, node, where.text, names, FIELDS + 1, NULL, 0);
    for (const struct yaml_node *child = node->first; err == OK && child; child = child->next) {
        if (strcmp(child->key, "attr") != 0) {
            unsigned slot = field_find(child->key);
            err = read_field(l, slot, child, below(where.text, child->key).text, &source->fields[slot]);
            continue;
        }
        for (const struct yaml_node *attr = child->first; err == OK && attr; attr = attr->next) {
            unsigned slot = slot_find(l->job, attr->key);
            struct where at = below(where.text, "attr");
            err = read_field(l, slot, attr, below(at.text, attr->key).text, &source->fields[slot]);
        }
    }
    const struct field_rule *direction = &source->fields[FIELD_DIRECTION];
    if (err == OK && source->fields[FIELD_AMOUNT].debit && has_source(direction))
        err = bad_at(l, direction->line, direction->column_no, "job.value",
                     "take direction out, or name one amount column",
                     "%s.direction: the debit and credit columns of amount already give the direction",
                     where.text);
    if (err == OK && !has_column(&source->fields[FIELD_AMOUNT]))
        err =
            BAD(l, node, "job.missing", "e.g. `amount: pay_amount` or `amount: {column: total, unit: minor}`",
                "%s: amount is missing; every side needs one", where.text);
    return err;
}

/* ---- sources ---- */

static enum err check_pattern(struct loader *l, const struct yaml_node *node, const char *where,
                              const char *pattern)
{
    for (const char *p = pattern; *p; p++) {
        if (*p == '{' && strncmp(p, "{date}", 6) == 0)
            p += 5;
        else if (*p == '{' || *p == '}')
            return BAD(l, node, "job.value", "{date} becomes the bill date, e.g. 2026-11-19",
                       "%s: \"%s\": expected no braces but those of {date}", where, pattern);
        else if (strncmp(p, "**", 2) == 0)
            return BAD(l, node, "job.value", "write one * per folder", "%s: \"%s\": ** is not understood",
                       where, pattern);
    }
    static const char *const packed[] = {".bz2", ".xz", ".7z", ".rar", ".xlsx", ".xls"};
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        size_t n = strlen(pattern), k = strlen(packed[i]);
        if (n > k && strcmp(pattern + n - k, packed[i]) == 0)
            return BAD(l, node, "job.later", "unpack or convert it first, and name that file",
                       "%s: \"%s\": expected a plain, gzip, zstd or zip file, not %s", where, pattern,
                       packed[i]);
    }
    if (has_control(pattern))
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected a path without control characters",
                   where, pattern);
    if (pattern[strlen(pattern) - 1] == '/')
        return BAD(l, node, "job.value", "add a file name, e.g. *.csv",
                   "%s: \"%s\" is a folder; expected files", where, pattern);
    return OK;
}

static enum err read_patterns(struct loader *l, const struct yaml_node *node, const char *where,
                              struct source_spec *source)
{
    enum err err = read_texts(l, node, where, "a path or a list of paths; * and {date} are understood",
                              PATTERNS_MAX, &source->patterns, &source->pattern_count);
    source->files_line = node->line;
    source->files_column = node->column;
    const struct yaml_node *item = node->kind == YAML_LIST ? node->first : node;
    for (int i = 0; err == OK && i < source->pattern_count; i++, item = item->next)
        err = check_pattern(l, item, where, source->patterns[i]);
    return err;
}

/* `table:` and `columns:` of a log. */
static enum err read_table(struct loader *l, const struct yaml_node *node, const char *where,
                           struct source_spec *source)
{
    const struct yaml_node *table = yaml_get(node, "table"), *columns = yaml_get(node, "columns");
    const char *text = NULL;
    enum err err = read_text(l, table, below(where, "table").text, "database.table", &text);
    if (err != OK)
        return err;
    const char *dot = strchr(text, '.');
    if (!dot || dot == text || !dot[1] || strchr(dot + 1, '.') || has_control(text))
        return BAD(l, table, "job.value", "e.g. shop.payment_order",
                   "%s.table: \"%s\": expected database.table", where, text);
    struct span database = arena_copy(&l->job->arena, (struct span){text, (size_t)(dot - text)});
    if (!database.data)
        return mem_fail(l->diag, 0, "a job");
    source->database = database.data;
    source->table = dot + 1;
    if (columns)
        err = read_texts(l, columns, below(where, "columns").text, "the table's column names, in order",
                         LAYOUT_COLUMNS_MAX, &source->columns, &source->column_count);
    return err;
}

static enum err read_server(struct loader *l, const struct yaml_node *node, const char *where,
                            struct replica_spec *replica);

/* Whom `tieout schema` asks what a log's columns are called. */
static enum err read_log_server(struct loader *l, const struct yaml_node *node, const char *section,
                                struct replica_spec *replica)
{
    static const char *const NAMES[] = {"host", "port", "user", "password", "tls", "ca"};
    struct where where = below(section, "server");
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    if (err == OK && (!yaml_get(node, "host") || !yaml_get(node, "user")))
        err = BAD(l, node, "job.missing", "e.g. server: {host: db1, user: tieout, password: env:DB_PASSWORD}",
                  "%s: %s is missing", where.text, yaml_get(node, "host") ? "user" : "host");
    return err == OK ? read_server(l, node, where.text, replica) : err;
}

static enum err read_binlog(struct loader *l, const struct yaml_node *node, const char *section,
                            struct source_spec *source)
{
    static const char *const NAMES[] = {"files", "table", "columns", "server"};
    static const char *const LATER[] = {"schema", "schema_file", "start", "gtid", "position", "server_id"};
    struct where where = below(section, "binlog");
    source->kind = SOURCE_BINLOG;
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    const struct yaml_node *files = yaml_get(node, "files"), *table = yaml_get(node, "table");
    if (err == OK && (!files || !table))
        err = BAD(l, node, "job.missing",
                  "e.g. binlog: {files: \"binlog/mysql-bin.*\", table: shop.payment_order}",
                  "%s: %s is missing", where.text, files ? "table" : "files");
    if (err == OK)
        err = read_patterns(l, files, below(where.text, "files").text, source);
    if (err == OK)
        err = read_table(l, node, where.text, source);
    if (err == OK && yaml_get(node, "server"))
        err = read_log_server(l, yaml_get(node, "server"), where.text, &source->replica);
    return err;
}

static enum err read_replica_start(struct loader *l, const struct yaml_node *node, const char *where,
                                   struct replica_spec *replica)
{
    static const char *const expected =
        "snapshot, now, oldest, FILE:OFFSET such as mysql-bin.000001:4, or a set of GTIDs";
    const char *text = "";
    enum err err = read_text(l, node, where, expected, &text);
    if (err != OK)
        return err;
    const char *colon = strrchr(text, ':');
    replica->start_text = text;
    if (strcmp(text, "snapshot") == 0)
        replica->start = START_SNAPSHOT;
    else if (strcmp(text, "now") == 0)
        replica->start = START_NOW;
    else if (strcmp(text, "oldest") == 0)
        replica->start = START_OLDEST;
    else if (colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1) && strchr(text, '.'))
        replica->start = START_POSITION;
    else if (strspn(text, "0123456789abcdefABCDEF-:, \t\n_ghijklmnopqrstuvwxyz") == strlen(text) &&
             strchr(text, '-'))
        replica->start = START_GTID;
    else
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected %s", where, text, expected);
    return OK;
}

enum err read_secret(struct loader *l, const struct yaml_node *node, const char *where, const char **out)
{
    const char *expected = "env:NAME or file:PATH, never the password itself";
    enum err err = read_text(l, node, where, expected, out);
    if (err == OK && (strncmp(*out, "env:", 4) != 0 || !(*out)[4]) &&
        (strncmp(*out, "file:", 5) != 0 || !(*out)[5]))
        return BAD(l, node, "job.secret", "e.g. password: env:TIEOUT_DB_PASSWORD", "%s: expected %s", where,
                   expected);
    return err;
}

static enum err read_size(struct loader *l, const struct yaml_node *node, const char *where, uint64_t min,
                          uint64_t max, uint64_t *out)
{
    const char *text = "", *expected = "a size such as 1GiB";
    enum err err = read_text(l, node, where, expected, &text);
    if (err == OK && (!options_size_parse(text, out) || *out < min || *out > max))
        return BAD(l, node, "job.value", NULL,
                   "%s: \"%s\": expected %s, at least %llu and at most %llu bytes", where, text, expected,
                   (unsigned long long)min, (unsigned long long)max);
    return err;
}

/* How a server is reached: `host` to `ca`. */
static enum err read_server(struct loader *l, const struct yaml_node *node, const char *where,
                            struct replica_spec *replica)
{
    const struct yaml_node *port = yaml_get(node, "port"), *password = yaml_get(node, "password"),
                           *tls = yaml_get(node, "tls"), *ca = yaml_get(node, "ca");
    int64_t number = 3306;
    enum err err = read_text(l, yaml_get(node, "host"), below(where, "host").text,
                             "a host name, an address or a socket's path", &replica->host);
    if (err == OK)
        err = read_text(l, yaml_get(node, "user"), below(where, "user").text, "a user of the server",
                        &replica->user);
    if (err == OK && password)
        err = read_secret(l, password, below(where, "password").text, &replica->password);
    if (err == OK && port)
        err = read_number(l, port, below(where, "port").text, 1, 65535, &number);
    replica->port = (uint16_t)number;
    /* A peer on this machine needs no encryption; any other gets no password without it, unless the job says so. */
    int is_near = err == OK && (replica->host[0] == '/' || strcmp(replica->host, "localhost") == 0 ||
                                strncmp(replica->host, "127.", 4) == 0 || strcmp(replica->host, "::1") == 0);
    replica->tls = is_near ? REPLICA_TLS_OFF : REPLICA_TLS_VERIFY;
    if (err == OK && tls) {
        static const char *const WORDS[] = {"off", "required", "verify"};
        const char *text = "";
        err = read_text(l, tls, below(where, "tls").text, "off, required or verify", &text);
        int word = 0;
        while (err == OK && word < 3 && strcmp(WORDS[word], text) != 0)
            word++;
        if (word == 3)
            err = BAD(l, tls, "job.value", NULL, "%s.tls: \"%s\": expected off, required or verify", where,
                      text);
        replica->tls = (enum replica_tls)word;
    }
    if (err == OK && ca)
        err = read_text(l, ca, below(where, "ca").text, "a file of certificates", &replica->ca);
    return err;
}

/* Where what is read is kept, PREFIX/JOB unless the job says it, and how fast it may be read. */
static enum err read_server_folder(struct loader *l, const struct yaml_node *node, const char *where,
                                   const char *prefix, struct replica_spec *replica)
{
    const struct yaml_node *dir = yaml_get(node, "dir"), *rate = yaml_get(node, "rate");
    int64_t number = 0;
    enum err err = OK;
    if (dir) {
        err = read_text(l, dir, below(where, "dir").text, "a folder", &replica->dir);
    } else {
        size_t room = strlen(prefix) + strlen(l->job->name) + 2;
        char *text = take(l, room);
        if (!text)
            return l->diag->err;
        snprintf(text, room, "%s/%s", prefix, l->job->name);
        replica->dir = text;
    }
    if (err == OK && rate)
        err = read_number(l, rate, below(where, "rate").text, 1, 1000000000, &number);
    replica->rate = (uint64_t)number;
    return err;
}

static enum err needs_settings(struct loader *l, const struct yaml_node *node, const char *where,
                               const char *const *names, int count, const char *example)
{
    for (int i = 0; i < count; i++)
        if (!yaml_get(node, names[i]))
            return BAD(l, node, "job.missing", example, "%s: %s is missing", where, names[i]);
    return OK;
}

static enum err read_replica(struct loader *l, const struct yaml_node *node, const char *section,
                             struct source_spec *source)
{
    static const char *const NAMES[] = {"host",  "port", "user", "password", "server_id", "table", "columns",
                                        "start", "tls",  "ca",   "dir",      "segment",   "rate"};
    static const char *const LATER[] = {"tables", "schema"};
    static const char *const NEEDED[] = {"host", "user", "server_id", "table", "start"};
    struct where where = below(section, "replica");
    struct replica_spec *replica = &source->replica;
    source->kind = SOURCE_REPLICA;
    source->files_line = node->line;
    source->files_column = node->column;
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    if (err == OK)
        err = needs_settings(
            l, node, where.text, NEEDED, COUNT_OF(NEEDED),
            "e.g. replica: {host: db2, user: tieout, password: env:DB_PASSWORD, server_id: 4711, table: "
            "shop.payment_order, start: now}");
    if (err != OK)
        return err;
    const struct yaml_node *segment = yaml_get(node, "segment");
    int64_t number = 0;
    err = read_server(l, node, where.text, replica);
    if (err == OK)
        err = read_number(l, yaml_get(node, "server_id"), below(where.text, "server_id").text, 1, UINT32_MAX,
                          &number);
    replica->server_id = (uint32_t)number;
    if (err == OK)
        err = read_table(l, node, where.text, source);
    if (err == OK)
        err = read_replica_start(l, yaml_get(node, "start"), below(where.text, "start").text, replica);
    if (err == OK)
        err = read_server_folder(l, node, where.text, "capture", replica);
    replica->segment_bytes = 1ull << 30;
    if (err == OK && segment)
        err = read_size(l, segment, below(where.text, "segment").text, 4096, 1ull << 38,
                        &replica->segment_bytes);
    return err;
}

static enum err read_query(struct loader *l, const struct yaml_node *node, const char *section,
                           struct source_spec *source)
{
    static const char *const NAMES[] = {"host", "port", "user", "password", "table",
                                        "tls",  "ca",   "dir",  "rate",     "where"};
    static const char *const NEEDED[] = {"host", "user", "table"};
    struct where where = below(section, "query");
    source->kind = SOURCE_QUERY;
    source->files_line = node->line;
    source->files_column = node->column;
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    if (err == OK)
        err = needs_settings(l, node, where.text, NEEDED, COUNT_OF(NEEDED),
                             "e.g. query: {host: db2, user: tieout, password: env:DB_PASSWORD, table: "
                             "shop.payment_order, where: \"created_at >= '{date}'\"}");
    const struct yaml_node *condition = yaml_get(node, "where");
    if (err == OK)
        err = read_server(l, node, where.text, &source->replica);
    if (err == OK)
        err = read_table(l, node, where.text, source);
    if (err == OK)
        err = read_server_folder(l, node, where.text, "query", &source->replica);
    if (err == OK && condition)
        err = read_text(l, condition, below(where.text, "where").text, "a condition in SQL",
                        &source->replica.where);
    return err;
}

/* One byte, or a word that stands for one. */
enum err read_byte(struct loader *l, const struct yaml_node *node, const char *where, const char *expected,
                   char *out)
{
    const char *text = "";
    enum err err = read_text(l, node, where, expected, &text);
    if (err != OK)
        return err;
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0)
        text = "\t";
    unsigned char c = (unsigned char)text[0];
    int is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (text[1] || c >= 0x80 || (c < 0x20 && c != '\t' && c != 1 && c != 0x1f) || is_word || c == '.' ||
        c == '-' || c == '+')
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected %s", where, node->text, expected);
    *out = (char)c;
    return OK;
}

static enum err read_csv(struct loader *l, const struct yaml_node *node, const char *section,
                         struct layout *layout)
{
    static const char *const NAMES[] = {"delimiter", "quote", "header", "columns", "skip_lines", "comment"};
    static const char *const LATER[] = {"charset", "encoding", "escape", "trailer", "footer", "newline"};
    struct where where = below(section, "csv");
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    const struct yaml_node *delimiter = yaml_get(node, "delimiter"), *quote = yaml_get(node, "quote"),
                           *header = yaml_get(node, "header"), *columns = yaml_get(node, "columns"),
                           *skip = yaml_get(node, "skip_lines"), *comment = yaml_get(node, "comment");
    if (err == OK && delimiter)
        err =
            read_byte(l, delimiter, below(where.text, "delimiter").text,
                      "one ASCII character that is not part of numbers or words, or tab", &layout->delimiter);
    if (err == OK && quote && quote->kind == YAML_SCALAR && strcmp(quote->text, "none") == 0)
        layout->quote = 0;
    else if (err == OK && quote)
        err = read_byte(l, quote, below(where.text, "quote").text,
                        "one ASCII character such as '\"', or none", &layout->quote);
    if (err == OK && layout->quote == layout->delimiter)
        err = BAD(l, node, "job.value", NULL, "%s: delimiter and quote are the same character", where.text);
    if (err == OK && header)
        err = read_bool(l, header, below(where.text, "header").text, &layout->has_header);
    if (err == OK && columns)
        err = read_texts(l, columns, below(where.text, "columns").text, "the column names, in order",
                         LAYOUT_COLUMNS_MAX, &layout->columns, &layout->column_count);
    if (err == OK && columns && layout->has_header)
        err = bad_at(l, columns->key_line, columns->key_column, "job.value",
                     "add `header: false`, or take columns out",
                     "%s.columns: the file's header names the columns", where.text);
    if (err == OK && !columns && !layout->has_header)
        err = BAD(l, header, "job.missing", "e.g. columns: [order_no, amount, status]",
                  "%s: header is false, so columns is needed", where.text);
    int64_t lines = 0;
    if (err == OK && skip)
        err = read_number(l, skip, below(where.text, "skip_lines").text, 0, SKIP_LINES_MAX, &lines);
    if (err == OK)
        layout->skip_lines = (int)lines;
    if (err == OK && comment) {
        err = read_word(l, comment, below(where.text, "comment").text,
                        "what a comment line begins with, in quotes", &layout->comment);
        if (err == OK && layout->comment[0] == layout->quote)
            err = BAD(l, comment, "job.value", NULL, "%s.comment: \"%s\" begins with the quote character",
                      where.text, layout->comment);
    }
    return err;
}

static enum err read_rejects(struct loader *l, const struct yaml_node *node, const char *section,
                             struct reject_limit *limit)
{
    static const char *const NAMES[] = {"max"};
    struct where where = below(section, "rejects");
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *max = yaml_get(node, "max");
    if (err != OK || !max)
        return err;
    const char *expected = "a number of rows such as 50, or a share such as 0.5%, with at most four decimals";
    const char *text = "";
    where = below(where.text, "max");
    err = read_text(l, max, where.text, expected, &text);
    if (err == OK && !job_reject_limit_parse(text, limit))
        err = BAD(l, max, "job.value", NULL, "%s: \"%s\": expected %s", where.text, text, expected);
    return err;
}

/* ---- fetch ---- */

enum err read_seconds(struct loader *l, const struct yaml_node *node, const char *where, int *out)
{
    const char *text = "";
    enum err err = read_text(l, node, where, "a time such as 30s, 10m or 2h", &text);
    if (err != OK)
        return err;
    size_t digits = strspn(text, "0123456789");
    int unit = strcmp(text + digits, "s") == 0   ? 1
               : strcmp(text + digits, "m") == 0 ? 60
               : strcmp(text + digits, "h") == 0 ? 3600
                                                 : 0;
    if (digits < 1 || digits > 5 || !unit)
        return BAD(l, node, "job.value", NULL, "%s: \"%s\": expected a time such as 30s, 10m or 2h", where,
                   text);
    int value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (text[i] - '0');
    *out = value * unit;
    return OK;
}

/* What of a URL may not be left to chance. */
static enum err check_from(struct loader *l, const struct yaml_node *node, const char *where,
                           const char *from)
{
    static const char *const schemes[] = {"sftp://",  "ftps://", "ftpes://", "ftp://",
                                          "https://", "http://", "file://"};
    const char *scheme = strstr(from, "://");
    if (has_control(from) || strchr(from, ' '))
        return BAD(l, node, "job.value", "write %20 for a space in a URL",
                   "%s: expected no spaces and no control characters", where);
    if (!scheme)
        return OK;
    int known = 0;
    for (int i = 0; i < COUNT_OF(schemes); i++)
        known |= strncmp(from, schemes[i], strlen(schemes[i])) == 0;
    if (!known)
        return BAD(l, node, "job.value", NULL,
                   "%s: \"%s\": expected a path, or a URL with sftp, ftps, ftpes, ftp, https or http", where,
                   from);
    const char *host = scheme + 3, *at = memchr(host, '@', strcspn(host, "/?#"));
    if (at)
        return BAD(l, node, "job.secret", "write user: and password: beside it",
                   "%s: a URL here names no user and no password", where);
    return OK;
}

static enum err read_fetch_env(struct loader *l, const struct yaml_node *node, const char *where,
                               struct fetch_spec *fetch)
{
    if (node->kind != YAML_MAP)
        return wrong_type(l, node, where, "NAME: value pairs");
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        if (fetch->env_count == FETCH_ENV_MAX)
            return BAD(l, node, "job.value", NULL, "%s: at most %d entries", where, FETCH_ENV_MAX);
        struct fetch_env *env = &fetch->env[fetch->env_count++];
        env->name = child->key;
        enum err err =
            read_text(l, child, below(where, child->key).text, "a text, env:NAME or file:PATH", &env->source);
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err read_fetch(struct loader *l, const struct yaml_node *node, const char *section,
                           struct fetch_spec *fetch)
{
    enum { FROM_MAX = 64, WORDS_MAX = 32 };
    static const char *const NAMES[] = {"from",
                                        "command",
                                        "env",
                                        "to",
                                        "user",
                                        "password",
                                        "token",
                                        "key",
                                        "host_key",
                                        "known_hosts",
                                        "ca",
                                        "checksum",
                                        "not_before",
                                        "deadline",
                                        "stall",
                                        "retry",
                                        "trust_server_without_checking_identity"};
    struct where where = below(section, "fetch");
    *fetch = (struct fetch_spec){.given = 1,
                                 .to = "data",
                                 .not_before_minutes = -1,
                                 .deadline_s = 600,
                                 .stall_s = 60,
                                 .retry_first_s = 1,
                                 .retry_max_s = 60,
                                 .line = node->line};
    enum err err = check_names(l, node, where.text, NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *n;
    const char *text = NULL;
    if (err == OK && !yaml_get(node, "from") + !yaml_get(node, "command") != 1)
        err = BAD(l, node, "job.missing", "e.g. from: \"sftp://host/out/{date}/*.zip\"",
                  "%s: expected exactly one of from and command", where.text);
    if (err == OK && (n = yaml_get(node, "from"))) {
        err = read_texts(l, n, below(where.text, "from").text, "a URL or path, or a list of them", FROM_MAX,
                         &fetch->from, &fetch->from_count);
        const struct yaml_node *item = n->kind == YAML_LIST ? n->first : n;
        for (int i = 0; err == OK && i < fetch->from_count; i++, item = item->next)
            err = check_from(l, item, below(where.text, "from").text, fetch->from[i]);
    }
    if (err == OK && (n = yaml_get(node, "command")))
        err = read_texts(l, n, below(where.text, "command").text, "a program and its arguments", WORDS_MAX,
                         &fetch->command, &fetch->command_count);
    if (err == OK && (n = yaml_get(node, "env")))
        err = read_fetch_env(l, n, below(where.text, "env").text, fetch);
    struct {
        const char *name;
        const char **out;
        int secret;
    } texts[] = {{"to", &fetch->to, 0},
                 {"user", &fetch->user, 0},
                 {"password", &fetch->password, 1},
                 {"token", &fetch->token, 1},
                 {"key", &fetch->key, 0},
                 {"host_key", &fetch->host_key, 0},
                 {"ca", &fetch->ca, 0},
                 {"known_hosts", &fetch->known_hosts, 0},
                 {"checksum", &fetch->checksum, 0}};
    for (int i = 0; err == OK && i < COUNT_OF(texts); i++)
        if ((n = yaml_get(node, texts[i].name)))
            err = texts[i].secret
                      ? read_secret(l, n, below(where.text, texts[i].name).text, texts[i].out)
                      : read_text(l, n, below(where.text, texts[i].name).text, "a text", texts[i].out);
    if (err == OK && (n = yaml_get(node, "host_key")) && strncmp(fetch->host_key, "SHA256:", 7) != 0)
        err = BAD(l, n, "job.value", "ssh-keyscan HOST | ssh-keygen -lf - prints it",
                  "%s.host_key: \"%s\": expected SHA256: and the key's fingerprint", where.text,
                  fetch->host_key);
    if (err == OK && (n = yaml_get(node, "not_before"))) {
        err = read_text(l, n, below(where.text, "not_before").text, "a time of day \"HH:MM\"", &text);
        int ok = err == OK && strlen(text) == 5 && text[2] == ':' && strspn(text, "0123456789") == 2 &&
                 strspn(text + 3, "0123456789") == 2;
        int hour = ok ? (text[0] - '0') * 10 + text[1] - '0' : 24,
            minute = ok ? (text[3] - '0') * 10 + text[4] - '0' : 60;
        if (err == OK && (hour > 23 || minute > 59))
            err = BAD(l, n, "job.value", NULL, "%s.not_before: \"%s\": expected a time of day \"HH:MM\"",
                      where.text, text);
        fetch->not_before_minutes = hour * 60 + minute;
    }
    if (err == OK && (n = yaml_get(node, "deadline")))
        err = read_seconds(l, n, below(where.text, "deadline").text, &fetch->deadline_s);
    if (err == OK && (n = yaml_get(node, "stall")))
        err = read_seconds(l, n, below(where.text, "stall").text, &fetch->stall_s);
    if (err == OK && (n = yaml_get(node, "retry"))) {
        static const char *const RETRY[] = {"first", "max"};
        struct where retry = below(where.text, "retry");
        const struct yaml_node *k;
        err = check_names(l, n, retry.text, RETRY, COUNT_OF(RETRY), NULL, 0);
        if (err == OK && (k = yaml_get(n, "first")))
            err = read_seconds(l, k, below(retry.text, "first").text, &fetch->retry_first_s);
        if (err == OK && (k = yaml_get(n, "max")))
            err = read_seconds(l, k, below(retry.text, "max").text, &fetch->retry_max_s);
    }
    if (err == OK && (n = yaml_get(node, "trust_server_without_checking_identity")))
        err = read_bool(l, n, below(where.text, "trust_server_without_checking_identity").text,
                        &fetch->trust_without_identity);
    return err;
}

/* Where the job itself lists a source's columns, every column that it uses must be among them. */
static enum err check_column(struct loader *l, const struct source_spec *source, const char *column, int line,
                             int column_no, const char *where)
{
    int is_log = source_tells_images(source->kind);
    const char *const *columns = is_log ? source->columns : source->layout.columns;
    int count = is_log ? source->column_count : source->layout.column_count;
    char hint[400];
    if (!column || count == 0 || word_in(column, columns, count))
        return OK;
    /* A log's column may be followed by its sign, or by its type: "id unsigned", "paid_at datetime(3)". */
    const size_t size = strlen(column);
    static const char *const said[] = {" unsigned", " signed", " time", " datetime", " timestamp"};
    for (int i = 0; is_log && i < count; i++)
        for (size_t k = 0; strncmp(columns[i], column, size) == 0 && k < sizeof said / sizeof *said; k++) {
            const size_t end = size + strlen(said[k]);
            if (strncmp(columns[i] + size, said[k], end - size) == 0 &&
                (columns[i][end] == 0 || (k > 1 && columns[i][end] == '(')))
                return OK;
        }
    return bad_at(l, line, column_no, "job.column", near_hint(hint, column, columns, count),
                  "%s: there is no column \"%s\" in columns", where, column);
}

static enum err check_columns(struct loader *l, const struct source_spec *source,
                              const struct yaml_node *node, const char *section)
{
    enum err err = OK;
    for (unsigned slot = 0; err == OK && slot < FIELDS + (unsigned)l->job->attr_count; slot++) {
        const struct field_rule *rule = &source->fields[slot];
        struct where where = below(section, job_field_name(l->job, slot));
        const char *columns[] = {rule->column, rule->debit, rule->credit};
        for (int i = 0; err == OK && i < COUNT_OF(columns); i++)
            err = check_column(l, source, columns[i], rule->line, rule->column_no, where.text);
    }
    const struct yaml_node *item = yaml_get(node, "occurrence_id");
    if (item && item->kind == YAML_LIST)
        item = item->first;
    for (; err == OK && item; item = item->next) {
        err = check_column(l, source, item->text, item->line, item->column,
                           below(section, "occurrence_id").text);
        if (yaml_get(node, "occurrence_id")->kind != YAML_LIST)
            break;
    }
    return err;
}

/* {column: word, ...}, where a word may be a list of them. */
static enum err read_conditions(struct loader *l, const struct yaml_node *node, const char *where,
                                struct condition *out, int *count)
{
    if (node->kind != YAML_MAP || node->count == 0)
        return wrong_type(l, node, where, "a map, {column: word, ...}");
    if (node->count > CONDITIONS_MAX)
        return BAD(l, node, "job.value", NULL, "%s: at most %d columns", where, CONDITIONS_MAX);
    enum err err = OK;
    for (const struct yaml_node *child = node->first; err == OK && child; child = child->next) {
        struct condition *condition = &out[(*count)++];
        condition->column = child->key;
        err = read_texts(l, child, below(where, child->key).text, "a word or a list of them", 256,
                         &condition->words, &condition->word_count);
    }
    return err;
}

static enum err read_source(struct loader *l, enum side side, struct source_spec *source,
                            const struct yaml_node *node, const char *where)
{
    static const char *const NAMES[] = {"binlog",  "replica",  "query",  "files",   "format",
                                        "csv",     "timezone", "fields", "profile", "occurrence_id",
                                        "rejects", "rows",     "where",  "exclude", "fetch"};
    static const char *const LATER[] = {"kafka",  "queue", "http",    "sql",
                                        "frames", "fixed", "charset", "filter"};
    source->line = node->key ? node->key_line : node->line;
    source->timezone = l->job->timezone;
    source->layout = (struct layout){.format = FORMAT_CSV, .delimiter = ',', .quote = '"', .has_header = 1};
    enum err err = check_names(l, node, where, NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    const struct yaml_node *binlog = yaml_get(node, "binlog"), *files = yaml_get(node, "files"),
                           *replica = yaml_get(node, "replica"), *query = yaml_get(node, "query"),
                           *format = yaml_get(node, "format"), *csv = yaml_get(node, "csv"),
                           *timezone = yaml_get(node, "timezone"),
                           *occurrence = yaml_get(node, "occurrence_id"),
                           *rejects = yaml_get(node, "rejects"), *profile = yaml_get(node, "profile"),
                           *fetch = yaml_get(node, "fetch");
    if (err == OK && !binlog + !files + !replica + !query != 3)
        err = bad_at(l, source->line, node->key ? node->key_column : node->column, "job.missing",
                     "a side is read from `binlog:`, from `replica:`, from `query:` or from `files:`",
                     "%s: expected exactly one of binlog, replica, query and files", where);
    if (err == OK && (replica || query) && side == CHANNEL)
        err = BAD(l, replica ? replica : query, "job.value", "a channel's bill is `files:`",
                  "%s: only the local side can be a %s", where, replica ? "replica" : "query");
    const struct yaml_node *odd = format ? format : csv ? csv : profile;
    if (err == OK && (binlog || replica || query) && odd)
        err = bad_at(l, odd->key_line, odd->key_column, "job.value", "take it out", "%s: a binlog has no %s",
                     where, odd->key);
    const char *format_name = format && format->kind == YAML_SCALAR ? format->text : "";
    const struct yaml_node *rows = yaml_get(node, "rows");
    if (err == OK && format && profile)
        err = bad_at(l, format->key_line, format->key_column, "job.doubled", "keep one of the two",
                     "%s: format and profile both say how the files are read", where);
    if (!profile && format && strcmp(format_name, "csv") != 0)
        profile = format; /* format: NAME is the same as profile: NAME */
    if (err == OK && profile && csv)
        err =
            bad_at(l, csv->key_line, csv->key_column, "job.value", "take it out",
                   "%s: a profile says how the files are laid out; there is no csv section beside it", where);
    if (err == OK && rows && !profile)
        err = bad_at(l, rows->key_line, rows->key_column, "job.value", "take it out, or name a profile",
                     "%s: only a profile tells kinds of rows apart", where);
    if (err == OK && profile)
        err = load_profile(l, source, profile, where);
    if (err == OK && binlog)
        err = read_binlog(l, binlog, where, source);
    if (err == OK && replica)
        err = read_replica(l, replica, where, source);
    if (err == OK && query)
        err = read_query(l, query, where, source);
    if (err == OK && files)
        err = read_patterns(l, files, below(where, "files").text, source);
    if (err == OK && csv)
        err = read_csv(l, csv, where, &source->layout);
    if (err == OK && timezone)
        err = read_zone(l, timezone, below(where, "timezone").text, &source->timezone);
    if (err == OK && occurrence) {
        const char **columns;
        err = read_texts(l, occurrence, below(where, "occurrence_id").text, "a column name or a list of them",
                         OCCURRENCE_PARTS_MAX, &columns, &source->occurrence_count);
        for (int i = 0; err == OK && i < source->occurrence_count; i++)
            source->occurrence[i] = columns[i];
    }
    if (err == OK && rejects)
        err = read_rejects(l, rejects, where, &source->rejects);
    if (err == OK && fetch)
        err = read_fetch(l, fetch, where, &source->fetch);
    const struct yaml_node *only = yaml_get(node, "where"), *exclude = yaml_get(node, "exclude");
    if (err == OK && only)
        err = read_conditions(l, only, below(where, "where").text, source->where, &source->where_count);
    if (err == OK && exclude)
        err = read_conditions(l, exclude, below(where, "exclude").text, source->exclude,
                              &source->exclude_count);
    return err;
}

/* A side is one source, or a list of them. */
static enum err read_side(struct loader *l, enum side side)
{
    struct job *job = l->job;
    const struct yaml_node *node = yaml_get(l->root, side_name(side));
    if (!node)
        return BAD(l, l->root, "job.missing", "a job has a local and a channel side",
                   "the setting \"%s\" is missing", side_name(side));
    job->parts[side] = &job->sources[side];
    job->part_count[side] = l->part_count[side] = 1;
    l->parts[side][0] = node;
    if (node->kind != YAML_LIST)
        return read_source(l, side, &job->sources[side], node, side_name(side));
    if (node->count < 2 || node->count > PARTS_MAX)
        return BAD(l, node, "job.value", "one source needs no list",
                   "%s: a list of %d sources; expected 2 to %d", side_name(side), node->count, PARTS_MAX);
    job->parts[side] = take(l, PARTS_MAX * sizeof *job->parts[side]);
    if (!job->parts[side])
        return l->diag->err;
    job->part_count[side] = l->part_count[side] = node->count;
    int i = 0;
    enum err err = OK;
    for (const struct yaml_node *part = node->first; err == OK && part; part = part->next, i++) {
        char section[40];
        snprintf(section, sizeof section, "%s[%d]", side_name(side), i + 1);
        l->parts[side][i] = part;
        struct source_spec *source = &job->parts[side][i];
        err = read_source(l, side, source, part, section);
        if (err == OK && (source->kind >= SOURCE_REPLICA || source->kind != job->parts[side][0].kind))
            err = BAD(l, part, "job.value", NULL, "%s: the parts of a side are all files, or all binlogs",
                      section);
        if (err == OK && strcmp(source->timezone, job->parts[side][0].timezone) != 0)
            err = BAD(l, part, "job.value", NULL, "%s: the parts of a side are in one time zone", section);
    }
    return err;
}

/* The second half of a side, when all attrs of both sides are known. */
static enum err read_source_fields(struct loader *l, struct source_spec *source, const struct yaml_node *node,
                                   const char *section)
{
    struct job *job = l->job;
    const struct yaml_node *fields = yaml_get(node, "fields");
    if (!fields && !source->bill)
        return bad_at(l, source->line, node->key ? node->key_column : node->column, "job.missing",
                      "e.g. fields: {biz_order_no: order_no, amount: pay_amount}", "%s: fields is missing",
                      section);
    enum err err = source->bill ? load_profile_fields(l, source, node, section)
                                : read_fields(l, fields, section, source);
    if (err != OK)
        return err;
    if (!source->bill)
        err = check_columns(l, source, node, section);
    if (err != OK)
        return err;
    struct field_rule *channel_code = &source->fields[FIELD_CHANNEL_CODE],
                      *biz_type = &source->fields[FIELD_BIZ_TYPE];
    if (!has_source(channel_code)) {
        if (!job->channel_code[0])
            return BAD(l, l->root, "job.missing", "e.g. channel_code: ALIPAY",
                       "channel_code is missing, and the %s side has no column for it", section);
        channel_code->constant = job->channel_code;
    }
    if (!has_source(biz_type) && job->biz_type)
        biz_type->constant = job->biz_type;
    if (!has_source(&source->fields[FIELD_CURRENCY]) && job->currency == CURRENCY_NONE)
        return BAD(l, l->root, "job.missing", "e.g. currency: CNY",
                   "currency is missing, and the %s side has no column for it", section);
    return OK;
}

/* What the rules of matching look at is one source: the first, with what the others have besides. */
static enum err read_side_fields(struct loader *l, enum side side)
{
    struct job *job = l->job;
    if (job->part_count[side] == 1)
        return read_source_fields(l, &job->sources[side], l->parts[side][0], side_name(side));
    enum err err = OK;
    int patterns = 0;
    for (int i = 0; err == OK && i < job->part_count[side]; i++) {
        char section[40];
        snprintf(section, sizeof section, "%s[%d]", side_name(side), i + 1);
        err = read_source_fields(l, &job->parts[side][i], l->parts[side][i], section);
        patterns += job->parts[side][i].pattern_count;
    }
    if (err != OK)
        return err;
    struct source_spec *all = &job->sources[side];
    *all = job->parts[side][0];
    all->patterns = take(l, (size_t)patterns * sizeof *all->patterns);
    if (!all->patterns)
        return l->diag->err;
    all->pattern_count = 0;
    for (int i = 0; i < job->part_count[side]; i++) {
        const struct source_spec *part = &job->parts[side][i];
        for (int k = 0; k < part->pattern_count; k++)
            all->patterns[all->pattern_count++] = part->patterns[k];
        for (unsigned slot = 0; slot < FIELD_SLOTS; slot++)
            if (!has_source(&all->fields[slot]))
                all->fields[slot] = part->fields[slot];
    }
    return OK;
}

/* ---- suspense, output, top ---- */

static enum err read_suspense(struct loader *l)
{
    static const char *const NAMES[] = {"threshold"};
    static const char *const SIDE_NAMES[] = {"local", "channel"};
    const struct yaml_node *node = yaml_get(l->root, "suspense");
    if (!node)
        return OK;
    enum err err = check_names(l, node, "suspense", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *threshold = yaml_get(node, "threshold");
    if (err != OK || !threshold)
        return err;
    err = check_names(l, threshold, "suspense.threshold", SIDE_NAMES, SIDES, NULL, 0);
    for (int side = 0; err == OK && side < SIDES; side++) {
        const struct yaml_node *value = yaml_get(threshold, SIDE_NAMES[side]);
        int64_t number = 0;
        if (value)
            err = read_number(l, value, below("suspense.threshold", SIDE_NAMES[side]).text, 0, THRESHOLD_MAX,
                              &number);
        l->job->suspense_threshold[side] = (int)number;
    }
    return err;
}

/* How far back a book looks for records that come again. */
static enum err read_ids(struct loader *l)
{
    static const char *const NAMES[] = {"keep"};
    const struct yaml_node *node = yaml_get(l->root, "ids");
    l->job->ids_keep = IDS_KEEP_DAYS;
    if (!node)
        return OK;
    enum err err = check_names(l, node, "ids", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *keep = yaml_get(node, "keep");
    return err == OK && keep ? read_days(l, keep, "ids.keep", &l->job->ids_keep) : err;
}

static enum err check_out_dir(struct loader *l, const struct yaml_node *node)
{
    const struct job *job = l->job;
    enum side side = LOCAL;
    const char *pattern = job_out_dir_clash(job, job->directory, job->out_dir, &side);
    if (!pattern)
        return OK;
    return BAD(l, node ? node : l->parts[side][0], "job.value", "choose a folder of its own for the outputs",
               "output.dir: \"%s\" is where the %s side's inputs are read, \"%s\"", job->out_dir,
               side_name(side), pattern);
}

static enum err read_output(struct loader *l)
{
    static const char *const NAMES[] = {"dir", "match"};
    static const char *const LATER[] = {"format", "sink", "sinks", "push", "parquet", "jsonl"};
    struct job *job = l->job;
    job->out_dir = "out";
    const struct yaml_node *node = yaml_get(l->root, "output"), *dir = yaml_get(node, "dir"),
                           *match = yaml_get(node, "match");
    enum err err = node ? check_names(l, node, "output", NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER)) : OK;
    if (err == OK && dir)
        err = read_text(l, dir, "output.dir", "a folder", &job->out_dir);
    if (err == OK && has_control(job->out_dir))
        err = BAD(l, dir, "job.value", NULL, "output.dir: \"%s\": expected a path without control characters",
                  job->out_dir);
    if (err == OK && match)
        err = read_bool(l, match, "output.match", &job->write_match);
    return err == OK ? check_out_dir(l, dir) : err;
}

static enum err read_name(struct loader *l, const struct yaml_node *node)
{
    const char *text = "";
    enum err err = read_word(l, node, "job", "the job's name", &text);
    if (err == OK && (text[0] == '.' || text[0] == '-' || text[0] == ' ' || strchr(text, '/')))
        err = BAD(l, node, "job.value", "letters, digits, - and _ are safe",
                  "job: \"%s\": the name is also a folder of the outputs; expected no / and no . - or space "
                  "at its beginning",
                  text);
    if (err == OK)
        l->job->name = text;
    return err;
}

static enum err read_cut(struct loader *l, const struct yaml_node *node)
{
    static const char *const expected = "a time of day \"HH:MM\", from 00:00 to 23:59";
    const char *t = "";
    enum err err = read_text(l, node, "cut", expected, &t);
    if (err != OK)
        return err;
    int digits =
        strlen(t) == 5 && t[2] == ':' && strspn(t, "0123456789") == 2 && strspn(t + 3, "0123456789") == 2;
    int hour = digits ? (t[0] - '0') * 10 + t[1] - '0' : 24,
        minute = digits ? (t[3] - '0') * 10 + t[4] - '0' : 60;
    if (hour > 23 || minute > 59)
        return BAD(l, node, "job.value", NULL, "cut: \"%s\": expected %s", t, expected);
    l->job->cut_minutes = hour * 60 + minute;
    return OK;
}

static enum err read_currency(struct loader *l, const struct yaml_node *node)
{
    const char *text = "";
    enum err err = read_text(l, node, "currency", "an ISO 4217 currency code such as CNY", &text);
    if (err != OK)
        return err;
    l->job->currency = currency_find(text, strlen(text));
    if (l->job->currency == CURRENCY_NONE)
        return BAD(l, node, "job.value", NULL,
                   "currency: \"%s\" is not an ISO 4217 currency code such as CNY", text);
    return OK;
}

static enum err read_version(struct loader *l)
{
    const struct yaml_node *node = yaml_get(l->root, "version");
    if (!node)
        return BAD(l, l->root, "job.missing", "a job file begins with `version: 1`",
                   "the setting \"version\" is missing");
    const char *text = "";
    enum err err = read_text(l, node, "version", "1", &text);
    if (err == OK && strcmp(text, "1") != 0)
        err = BAD(l, node, "job.value", NULL, "version: \"%s\": this program reads version 1", text);
    return err;
}

static enum err read_top(struct loader *l)
{
    static const char *const NAMES[] = {"version",  "job",       "channel_code", "biz_type", "timezone",
                                        "cut",      "currency",  "local",        "channel",  "match",
                                        "suspense", "output",    "status",       "manifest", "test_rules",
                                        "sampling", "aggregate", "ids"};
    static const char *const LATER[] = {"filters", "push", "sinks", "state", "script", "profile", "include"};
    struct job *job = l->job;
    enum err err = check_names(l, l->root, "", NAMES, COUNT_OF(NAMES), LATER, COUNT_OF(LATER));
    if (err == OK)
        err = read_version(l);
    const struct yaml_node *name = yaml_get(l->root, "job"),
                           *channel_code = yaml_get(l->root, "channel_code"),
                           *biz_type = yaml_get(l->root, "biz_type"),
                           *timezone = yaml_get(l->root, "timezone"), *cut = yaml_get(l->root, "cut"),
                           *currency = yaml_get(l->root, "currency");
    if (err == OK && !name)
        err = BAD(l, l->root, "job.missing", "e.g. job: alipay",
                  "the setting \"job\" is missing: the job's name");
    if (err == OK)
        err = read_name(l, name);
    job->channel_code = "";
    job->timezone = "Asia/Shanghai";
    if (err == OK && channel_code)
        err =
            read_word(l, channel_code, "channel_code", "the channel's code, e.g. ALIPAY", &job->channel_code);
    if (err == OK && biz_type)
        err = read_word(l, biz_type, "biz_type", "the business type's code", &job->biz_type);
    if (err == OK && timezone)
        err = read_zone(l, timezone, "timezone", &job->timezone);
    else if (err == OK)
        err = check_zone(l, NULL, "timezone", job->timezone);
    if (err == OK && cut)
        err = read_cut(l, cut);
    if (err == OK && currency)
        err = read_currency(l, currency);
    if (err == OK)
        err = read_status(l);
    for (int side = 0; err == OK && side < SIDES; side++)
        err = read_side(l, (enum side)side);
    if (err == OK)
        err = collect_attrs(l);
    for (int side = 0; err == OK && side < SIDES; side++)
        err = read_side_fields(l, (enum side)side);
    if (err == OK)
        err = read_match(l);
    if (err == OK)
        err = read_aside(l);
    if (err == OK)
        err = read_aggregate(l);
    if (err == OK)
        err = read_suspense(l);
    if (err == OK)
        err = read_ids(l);
    if (err == OK)
        err = read_output(l);
    const struct yaml_node *manifest = yaml_get(l->root, "manifest");
    if (err == OK && manifest)
        err = read_text(l, manifest, "manifest", "a file's path, e.g. manifest.db", &job->manifest);
    return err;
}

static enum err load(struct job **out, const char *path, const struct span *bytes, struct diag *diag)
{
    *out = NULL;
    struct job *job = mem_take_zero(1, sizeof *job);
    if (!job)
        return mem_fail(diag, sizeof *job, "a job");
    arena_init(&job->arena);
    struct loader l = {.job = job, .path = path, .diag = diag};
    const char *slash = strrchr(path, '/');
    struct span directory = !slash          ? span_of(".")
                            : slash == path ? span_of("/")
                                            : (struct span){path, (size_t)(slash - path)};
    job->path = arena_copy(&job->arena, span_of(path)).data;
    job->directory = arena_copy(&job->arena, directory).data;
    enum err err = job->path && job->directory ? OK : mem_fail(diag, strlen(path), "a job");
    struct yaml_node *root = NULL;
    if (err == OK)
        err = bytes ? yaml_read_text(&root, &job->arena, path, *bytes, diag)
                    : yaml_read(&root, &job->arena, path, diag);
    l.root = root;
    if (err == OK)
        err = read_top(&l);
    if (err != OK) {
        job_close(job);
        return err;
    }
    *out = job;
    return OK;
}

enum err job_load(struct job **out, const char *path, struct diag *diag)
{
    return load(out, path, NULL, diag);
}

enum err job_load_text(struct job **out, const char *path, struct span text, struct diag *diag)
{
    return load(out, path, &text, diag);
}

enum err job_from_profile(struct job **out, const char *profile, const char *currency, const char *timezone,
                          struct diag *diag)
{
    char text[9000];
    *out = NULL;
    if (strpbrk(profile, "\"\\\n") || strlen(profile) > 4096)
        return diag_set(diag, ERR_USAGE, "profile", "tieout profiles lists them",
                        "there is no profile \"%.200s\"", profile);
    snprintf(text, sizeof text,
             "version: 1\njob: inspect\nchannel_code: \"-\"\ncurrency: %.40s\ntimezone: %.100s\n"
             "local: {files: none, fields: {biz_order_no: none_, amount: none_}}\n"
             "channel: {files: none, profile: \"%s\"}\nmatch: {keys: [[biz_order_no]]}\noutput: {dir: /}\n",
             currency ? currency : "CNY", timezone ? timezone : "Asia/Shanghai", profile);
    return job_load_text(out, "profile", span_of(text), diag);
}
