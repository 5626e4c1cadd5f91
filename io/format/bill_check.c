/* io/format/bill_check.c: what a bill says of itself at its end, held against its rows; see bill.h
 *
 * Lines that are no rows come here in the order of the file, after all rows were read. A trailer that the profile
 * describes must be there, behind the last row, and must agree: a bill that was cut off has none.
 */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "io/format/bill.h"
#include <stdio.h>

enum { MONEY_DIGITS = 2, CELLS_ROOM = 512 };

struct checking {
    struct bill_check *check;
    const struct bill *bill;
    const struct bill_spec *spec;
    struct bill_odd *lines;
    uint32_t count;
    const struct bill_totals *totals;
    uint64_t last_row;
    const char *path;
    struct diag *diag;
};

static money_total sum_of(const struct bill_totals *totals, const char *group, int total)
{
    for (uint32_t i = 0; i < totals->count; i++)
        if (strcmp(totals->groups[i].name, group) == 0)
            return totals->groups[i].sum[total];
    return 0;
}

/* A number as the trailer writes it. */
static int number_of(const struct bill *bill, struct span text, int64_t *number)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return bill_number(bill, text, number);
}

/* "12", "1094.80": without decimals where there are none. */
static void print_total(char out[MONEY_TEXT_MAX], money_total value)
{
    money_print(out, value, value % 1000000 ? MONEY_DIGITS : 0);
}

static enum err hold(struct checking *c, const struct bill_totals *totals, int total, const char *group,
                     struct span text, const char *name, uint64_t at)
{
    int64_t stated;
    const struct total *t = &c->spec->totals[total];
    if (!number_of(c->bill, text, &stated))
        return diag_set(c->diag, ERR_INPUT, "bill.trailer",
                        "the file is damaged, or of another layout: get it again",
                        "%s: byte %llu: the trailer's %s is \"%.*s\", which is no number", c->path,
                        (unsigned long long)at, name, (int)(text.size < 60 ? text.size : 60), text.data);
    money_total found = sum_of(totals, group, total), want = stated;
    if (t->is_absolute) {
        found = found < 0 ? -found : found;
        want = want < 0 ? -want : want;
    }
    if (found == want)
        return OK;
    char found_text[MONEY_TEXT_MAX], want_text[MONEY_TEXT_MAX];
    print_total(found_text, found);
    print_total(want_text, want);
    return diag_set(c->diag, ERR_INPUT, "bill.trailer",
                    "rows are missing, doubled or changed: get the bill again",
                    "%s: byte %llu: the trailer states %s%s%s = %s, its rows give %s", c->path,
                    (unsigned long long)at, name, group[0] ? " " : "", group, want_text, found_text);
}

static enum err missing(struct checking *c, const char *what)
{
    return diag_set(c->diag, ERR_INPUT, "bill.trailer", "the file was cut off: get the bill again",
                    "%s: the bill does not end as a %s bill does: %s", c->path, c->spec->name, what);
}

static enum err check_place(struct checking *c, const struct bill_odd *line)
{
    if (line->at > c->last_row)
        return OK;
    return diag_set(c->diag, ERR_INPUT, "bill.trailer",
                    "are several bills in one file? Give each a file of its own",
                    "%s: a row at byte %llu stands behind the line that ends the bill, at byte %llu", c->path,
                    (unsigned long long)c->last_row, (unsigned long long)line->at);
}

static enum err doubled(struct checking *c, const struct bill_odd *line, const char *word)
{
    return diag_set(
        c->diag, ERR_INPUT, "bill.trailer", "are several bills in one file? Give each a file of its own",
        "%s: byte %llu: \"%s\" is there a second time", c->path, (unsigned long long)line->at, word);
}

/* "#交易合计：4笔，商家实收共12345833.81元": numbers between texts. */
static enum err check_line(struct checking *c, const struct trailer_line *line, const struct bill_odd *odd,
                           const char *text)
{
    const char *at = text + strlen(line->word);
    for (int i = 0; i < line->count; i++) {
        const char *behind = line->text[i + 1];
        const char *end = behind[0] ? strstr(at, behind) : at + strlen(at);
        if (!end)
            return diag_set(c->diag, ERR_INPUT, "bill.trailer", "the file is damaged, or of another layout",
                            "%s: byte %llu: \"%s\" is not followed by \"%s\"", c->path,
                            (unsigned long long)odd->at, text, behind);
        enum err err = hold(c, c->totals, line->totals[i], "", (struct span){at, (size_t)(end - at)},
                            line->text[i], odd->at);
        if (err != OK)
            return err;
        at = end + strlen(behind);
    }
    return OK;
}

static enum err check_lines(struct checking *c)
{
    const struct bill_spec *spec = c->spec;
    uint64_t seen = 0;
    int ended = 0;
    enum err err = OK;
    CHECK2(spec->line_count < 64, spec->line_count, 0);
    for (uint32_t i = 0; err == OK && i < c->count; i++) {
        struct bill_odd *odd = &c->lines[i];
        if (!bill_is_comment(c->bill, odd->bytes, odd->size))
            continue;
        odd->line = BILL_LINE_TRAILER;
        char *text = bill_text(c->bill, odd->bytes, odd->size);
        if (!text)
            return mem_fail(c->diag, odd->size, "a bill's trailer");
        if (!odd->is_head && spec->end_marker && strstr(text, spec->end_marker)) {
            err = ended ? doubled(c, odd, spec->end_marker) : check_place(c, odd);
            ended = 1;
        }
        for (int k = 0; err == OK && !odd->is_head && k < spec->line_count; k++) {
            const struct trailer_line *line = &spec->lines[k];
            if (strncmp(text, line->word, strlen(line->word)) != 0)
                continue;
            err = seen >> k & 1 ? doubled(c, odd, line->word) : check_place(c, odd);
            seen |= 1ull << k;
            if (err == OK)
                err = check_line(c, line, odd, text);
        }
        mem_give(text);
    }
    if (err == OK && spec->end_marker && !ended)
        err = missing(c, spec->end_marker);
    for (int k = 0; err == OK && k < spec->line_count; k++)
        if (!(seen >> k & 1))
            err = missing(c, spec->lines[k].word);
    return err;
}

static uint32_t cut(const struct csv_dialect *dialect, const struct bill_odd *odd, struct cell *cells,
                    uint8_t *scratch)
{
    struct csv_row row;
    return csv_row_read(dialect, odd->bytes, odd->size, 0, 1, cells, CELLS_ROOM, scratch, &row) ==
                       CSV_ROW_WHOLE &&
                   row.cells <= CELLS_ROOM
               ? row.cells
               : 0;
}

static const struct trailer_line *find_line(const struct bill_spec *spec, struct span word)
{
    for (int i = 0; i < spec->line_count; i++)
        if (span_is(word, spec->lines[i].word))
            return &spec->lines[i];
    return NULL;
}

/* A row of titles, the first of which the profile knows, and directly behind it the values, which are the last of
 * the file. */
static enum err check_table(struct checking *c)
{
    struct csv_dialect plain = {(uint8_t)c->spec->delimiter, (uint8_t)c->spec->quote};
    struct cell *titles = mem_take(2 * CELLS_ROOM * sizeof *titles),
                *values = titles ? titles + CELLS_ROOM : NULL;
    int found = 0;
    enum err err = titles ? OK : mem_fail(c->diag, 2 * CELLS_ROOM * sizeof *titles, "a bill's trailer");
    for (uint32_t i = 0; err == OK && i < c->count; i++) {
        struct bill_odd *odd = &c->lines[i];
        if (odd->is_head)
            continue;
        uint8_t *scratch = mem_take(odd->size + 1);
        if (!scratch) {
            err = mem_fail(c->diag, odd->size, "a bill's trailer");
            break;
        }
        uint32_t count = cut(&plain, odd, titles, scratch);
        struct span first = count ? cell_span(&titles[0]) : (struct span){"", 0};
        if (c->spec->prefix && first.size && first.data[0] == c->spec->prefix) {
            mem_give(scratch);
            continue; /* titles have no prefix */
        }
        if (!count || !find_line(c->spec, first)) {
            mem_give(scratch);
            continue;
        }
        err = found ? doubled(c, odd, c->spec->lines[0].word) : check_place(c, odd);
        found = 1;
        odd->line = BILL_LINE_TRAILER;
        uint8_t *more = NULL;
        if (err == OK && i + 1 == c->count)
            err = missing(c, "the row of totals is not there");
        if (err == OK) {
            struct bill_odd *below = &c->lines[++i];
            below->line = BILL_LINE_TRAILER;
            more = mem_take(below->size + 1);
            struct csv_row row;
            uint32_t value_count = 0;
            if (!more)
                err = mem_fail(c->diag, below->size, "a bill's trailer");
            else if (csv_row_read(&plain, below->bytes, below->size, 0, 1, values, CELLS_ROOM, more, &row) ==
                     CSV_ROW_WHOLE)
                value_count = row.cells;
            if (err == OK && value_count != count)
                err = diag_set(c->diag, ERR_INPUT, "bill.trailer", "the file was cut off: get the bill again",
                               "%s: byte %llu: %u totals below %u titles", c->path,
                               (unsigned long long)below->at, value_count, count);
            int known = 0;
            for (uint32_t k = 0; err == OK && k < count; k++) {
                const struct trailer_line *line = find_line(c->spec, cell_span(&titles[k]));
                struct span value = cell_span(&values[k]);
                if (c->spec->prefix && value.size && value.data[0] == c->spec->prefix) {
                    value.data++;
                    value.size--;
                }
                if (!line)
                    continue;
                known++; /* of a column that this bill does not have, the total can only be 0 */
                err = hold(c, c->totals, line->totals[0], "", value, line->word, below->at);
            }
            if (err == OK && known == 0)
                err = missing(c, "no total that the profile knows");
        }
        mem_give(more);
        mem_give(scratch);
    }
    mem_give(titles);
    if (err == OK && !found)
        err = missing(c, c->spec->lines[0].word);
    return err;
}

static enum err no_beginning(struct checking *c)
{
    return diag_set(c->diag, ERR_INPUT, "bill.report", "bring all files of the report",
                    "%s: no %s row begins the report: is an earlier part missing?", c->path,
                    c->spec->report_begin);
}

/* Rows whose first cell says what they are. */
static enum err check_rows(struct checking *c)
{
    const struct bill_spec *spec = c->spec;
    struct csv_dialect dialect = {(uint8_t)spec->delimiter, (uint8_t)spec->quote};
    struct cell *cells = mem_take(CELLS_ROOM * sizeof *cells);
    uint64_t seen = 0,
             covered = spec->group_column ? 0 : 1; /* without groups, every row of totals is of all rows */
    int report_ended = 0;
    enum err err = cells ? OK : mem_fail(c->diag, CELLS_ROOM * sizeof *cells, "a bill's trailer");
    for (uint32_t i = 0; err == OK && i < c->count; i++) {
        struct bill_odd *odd = &c->lines[i];
        uint8_t *scratch = mem_take(odd->size + 1);
        if (!scratch) {
            err = mem_fail(c->diag, odd->size, "a bill's trailer");
            break;
        }
        uint32_t count = cut(&dialect, odd, cells, scratch);
        struct span word = count ? cell_span(&cells[0]) : (struct span){"", 0};
        const struct trailer_line *line = find_line(spec, word);
        uint32_t empty = 0; /* a line of empty cells stands between rows and totals */
        while (empty < count && cells[empty].size == 0)
            empty++;
        int skip = empty == count;
        for (int k = 0; k < spec->skip_count && !skip; k++)
            skip = span_is(word, spec->skip[k]);
        if (line || skip || span_is(word, spec->header_mark))
            odd->line = BILL_LINE_TRAILER;
        if (spec->report_begin && span_is(word, spec->report_begin)) {
            if (c->check->report_open)
                err = diag_set(
                    c->diag, ERR_INPUT, "bill.report", "bring all files of the report",
                    "%s: a report begins here, and the one that began in %s has no end: is a part missing?",
                    c->path, c->check->report_path);
            else if (i && !odd->is_head)
                err = doubled(c, odd, spec->report_begin);
            c->check->report_open = 1;
            c->check->report_path = c->path;
            memset(&c->check->report, 0, sizeof c->check->report);
        }
        char group[BILL_GROUP_NAME] = "";
        if (err == OK && line && line->group_cell >= 0) {
            struct span name = (uint32_t)line->group_cell < count ? cell_span(&cells[line->group_cell])
                                                                  : (struct span){"", 0};
            if (name.size == 0 || name.size >= sizeof group)
                err = missing(c, line->word);
            else
                memcpy(group, name.data, name.size);
        }
        if (err == OK && line && line->by_report && !c->check->report_open)
            err = no_beginning(c);
        const struct bill_totals *totals = c->totals;
        if (err == OK && line) {
            seen |= 1ull << (line - spec->lines);
            if (line->by_report) { /* this file's rows are part of the report */
                if (!report_ended)
                    bill_merge_totals(&c->check->report, c->totals);
                report_ended = 1;
                totals = &c->check->report;
            } else if (line->group_cell >= 0) {
                for (uint32_t g = 0; g < c->totals->count; g++)
                    if (strcmp(c->totals->groups[g].name, group) == 0)
                        covered |= 1ull << g;
            }
        }
        for (int k = 0; err == OK && line && k < line->count; k++) {
            uint32_t at = line->cells[k] < 0 ? count - 1 : (uint32_t)line->cells[k];
            if (at >= count) {
                err = missing(c, line->word);
                break;
            }
            const struct total *total = &spec->totals[line->totals[k]];
            char name[120];
            snprintf(name, sizeof name, "%s %s", line->word, total->column ? total->column : "count");
            if (line->group_cell < 0) { /* of all groups together */
                struct bill_totals all = {.count = 1};
                for (uint32_t g = 0; g < totals->count; g++)
                    all.groups[0].sum[line->totals[k]] += totals->groups[g].sum[line->totals[k]];
                err = hold(c, &all, line->totals[k], "", cell_span(&cells[at]), name, odd->at);
            } else {
                err = hold(c, totals, line->totals[k], group, cell_span(&cells[at]), name, odd->at);
            }
        }
        mem_give(scratch);
    }
    mem_give(cells);
    for (int k = 0; err == OK && k < spec->line_count; k++)
        if (!spec->lines[k].by_report && !(seen >> k & 1) &&
            (c->totals->count || spec->lines[k].group_cell < 0))
            err = missing(c, spec->lines[k].word);
    for (uint32_t g = 0; err == OK && g < c->totals->count; g++)
        if (!(covered >> g & 1))
            err = missing(c, c->totals->groups[g].name);
    if (err == OK && spec->report_begin) {
        if (!c->check->report_open)
            return no_beginning(c);
        if (report_ended)
            c->check->report_open = 0;
        else
            bill_merge_totals(&c->check->report, c->totals);
    }
    return err;
}

enum err bill_check_file(struct bill_check *check, const struct bill *bill, struct bill_odd *lines,
                         uint32_t count, const struct bill_totals *totals, uint64_t last_row,
                         const char *path, struct diag *diag)
{
    struct checking c = {check, bill, bill_spec(bill), lines, count, totals, last_row, path, diag};
    struct bill_totals none = {.count = 0};
    if (totals->count == 0)
        c.totals = &none;
    if (totals->is_bad)
        return diag_set(diag, ERR_INPUT, "bill.trailer", "is this the right profile?",
                        "%s: a cell that the trailer adds up is no number, so the trailer cannot be checked",
                        path);
    for (uint32_t i = 0; i < count; i++)
        lines[i].line = lines[i].is_head || bill_is_comment(bill, lines[i].bytes, lines[i].size)
                            ? BILL_LINE_TRAILER
                            : BILL_LINE_STRAY;
    switch (c.spec->trailer) {
    case TRAILER_LINES:
        return check_lines(&c);
    case TRAILER_TABLE:
        return check_table(&c);
    case TRAILER_ROWS:
        return check_rows(&c);
    case TRAILER_NONE:
        break;
    }
    return OK;
}

enum err bill_check_end(struct bill_check *check, struct diag *diag)
{
    if (check->report_open)
        return diag_set(diag, ERR_INPUT, "bill.report", "bring all files of the report",
                        "the report that begins in %s has no end: is its last part missing?",
                        check->report_path);
    return OK;
}
