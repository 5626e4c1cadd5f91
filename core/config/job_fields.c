/* core/config/job_fields.c: status words, and what a side's `fields` say: see loader.h */
#include "core/config/loader.h"
#include "core/model/currency.h"
#include <stdio.h>
#include <string.h>

/* ---- status words ---- */

int word_in(const char *word, const char *const *words, int count)
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

enum err read_status(struct loader *l)
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
enum err collect_attrs(struct loader *l)
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

enum err read_fields(struct loader *l, const struct yaml_node *node, const char *section,
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
