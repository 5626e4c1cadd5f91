/* core/config/job_load.c: a job file -> struct job
 *
 * The file is read as a tree (yaml.h) whose texts live in the job's own arena, then section by section. Names
 * come first: whatever is not known is refused before anything is made of the rest, so that a typing error is
 * told as one. What SPEC.md describes and this version does not do is refused by name too, never ignored.
 */
#include "core/base/mem.h"
#include "core/config/loader.h"
#include "core/config/nearest.h"
#include "core/model/currency.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERNS_MAX = 256, THRESHOLD_MAX = 365, SKIP_LINES_MAX = 1000 };

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

enum err read_patterns(struct loader *l, const struct yaml_node *node, const char *where,
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

static int same_texts(const char *const *a, int a_count, const char *const *b, int b_count)
{
    int i = 0;
    while (i < a_count && i < b_count && strcmp(a[i], b[i]) == 0)
        i++;
    return i == a_count && i == b_count;
}

/* A row of a log is known by its table and primary key. Parts that read one table of the same files tell of the same rows; a table of
 * that name in other files is another one. */
static enum err name_log(struct loader *l, struct source_spec *parts, int index)
{
    struct source_spec *source = &parts[index];
    int number = 1;
    for (int i = 0; i < index; i++) {
        const struct source_spec *other = &parts[i];
        if (strcmp(other->database, source->database) != 0 || strcmp(other->table, source->table) != 0)
            continue;
        if (same_texts(other->patterns, other->pattern_count, source->patterns, source->pattern_count)) {
            source->log_name = other->log_name;
            return OK;
        }
        number++;
    }
    const size_t room = strlen(source->database) + strlen(source->table) + 16;
    char *name = take(l, room);
    if (!name)
        return l->diag->err;
    int used = snprintf(name, room, "%s.%s", source->database, source->table);
    if (number > 1)
        snprintf(name + used, room - (size_t)used, "#%d", number);
    source->log_name = name;
    return OK;
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
        if (err == OK && source->kind == SOURCE_BINLOG)
            err = name_log(l, job->parts[side], i);
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
    static const char *const NAMES[] = {"keep", "any_date"};
    const struct yaml_node *node = yaml_get(l->root, "ids");
    l->job->ids_keep = IDS_KEEP_DAYS;
    l->job->ids_date = IDS_ANY_WITH_KEY;
    if (!node)
        return OK;
    enum err err = check_names(l, node, "ids", NAMES, COUNT_OF(NAMES), NULL, 0);
    const struct yaml_node *keep = yaml_get(node, "keep"), *any = yaml_get(node, "any_date");
    int any_date = 0;
    if (err == OK && any) {
        err = read_bool(l, any, "ids.any_date", &any_date);
        l->job->ids_date = any_date ? IDS_ANY_DATE : IDS_SAME_DATE;
    }
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
