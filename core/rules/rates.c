/* core/rules/rates.c: see rates.h */
#include "core/rules/rates.h"
#include "core/base/mem.h"
#include "core/base/span.h"
#include "core/model/currency.h"
#include "core/model/day.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_MAX_BYTES = 256, DIGITS_MAX = 18 };

struct rates {
    struct rate *rows; /* sorted */
    size_t count, room;
};

static int by_pair(const void *a, const void *b)
{
    const struct rate *x = a, *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* "7.1053", above 0. */
static int parse_rate(struct span text, struct rate *rate)
{
    unsigned digits = 0, point = 0;
    rate->numerator = 0;
    rate->denominator = 1;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '.') {
            if (point++ || i == 0 || i + 1 == text.size)
                return 0;
            continue;
        }
        if (text.data[i] < '0' || text.data[i] > '9' || ++digits > DIGITS_MAX)
            return 0;
        rate->numerator = rate->numerator * 10 + (text.data[i] - '0');
        if (point)
            rate->denominator *= 10;
    }
    return rate->numerator > 0;
}

static const char *parse_line(struct span line, struct rate *rate)
{
    struct span cells[4];
    size_t from = 0, count = 0;
    for (size_t i = 0; i <= line.size; i++)
        if (i == line.size || line.data[i] == ',') {
            if (count == 4)
                return "expected four cells: date,from,to,rate";
            cells[count++] = (struct span){line.data + from, i - from};
            from = i + 1;
        }
    if (count != 4)
        return "expected four cells: date,from,to,rate";
    rate->day = day_parse(cells[0].data, cells[0].size);
    rate->from = currency_find(cells[1].data, cells[1].size);
    rate->to = currency_find(cells[2].data, cells[2].size);
    if (rate->day == DAY_NONE)
        return "the date is none";
    if (!rate->from || !rate->to)
        return "expected two ISO 4217 currency codes";
    if (rate->from == rate->to)
        return "a currency has no rate to itself";
    if (!parse_rate(cells[3], rate))
        return "expected a rate above 0, digits with a point at most, 18 of them at most";
    return NULL;
}

static enum err bad_line(struct diag *diag, const char *path, size_t line, const char *why)
{
    return diag_set(diag, ERR_INPUT, "fx.rates", "a line reads 2026-11-19,USD,CNY,7.1053", "%s:%zu: %s", path,
                    line, why);
}

static enum err read_rows(struct rates *rates, FILE *file, const char *path, struct diag *diag)
{
    char text[LINE_MAX_BYTES];
    size_t number = 0;
    while (fgets(text, sizeof text, file)) {
        struct span line = span_of(text);
        number++;
        if (line.size + 1 == sizeof text && text[line.size - 1] != '\n')
            return bad_line(diag, path, number, "the line is too long");
        while (line.size && (text[line.size - 1] == '\n' || text[line.size - 1] == '\r'))
            line.size--;
        if (number == 1 && line.size > 2 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0)
            line = (struct span){line.data + 3, line.size - 3};
        if (number == 1) {
            if (!span_is(line, "date,from,to,rate"))
                return bad_line(diag, path, number, "expected the header date,from,to,rate");
            continue;
        }
        if (line.size == 0)
            continue;
        if (mem_list_more(&rates->rows, rates->count, &rates->room, 256, "exchange rates", diag) != OK)
            return ERR_MACHINE;
        const char *why = parse_line(line, &rates->rows[rates->count]);
        if (why)
            return bad_line(diag, path, number, why);
        rates->count++;
    }
    if (ferror(file))
        return diag_set_errno(diag, errno, "read", "%s: cannot read it", path);
    if (number == 0)
        return bad_line(diag, path, 1, "the file is empty");
    if (rates->count)
        qsort(rates->rows, rates->count, sizeof *rates->rows, by_pair);
    for (size_t i = 1; i < rates->count; i++)
        if (by_pair(&rates->rows[i - 1], &rates->rows[i]) == 0) {
            char day[DAY_TEXT_MAX];
            day_print(day, rates->rows[i].day);
            return diag_set(diag, ERR_INPUT, "fx.rates", "keep one of them",
                            "%s: two rates from %s to %s of %s", path, currency_code(rates->rows[i].from),
                            currency_code(rates->rows[i].to), day);
        }
    return OK;
}

enum err rates_open(struct rates **out, const char *path, struct diag *diag)
{
    *out = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return diag_set(diag, ERR_INPUT, "fx.rates", "match.fx.rates names the file",
                        "%s: cannot open the exchange rates: %s", path, strerror(errno));
    struct rates *rates = mem_take_zero(1, sizeof *rates);
    enum err err =
        rates ? read_rows(rates, file, path, diag) : mem_fail(diag, sizeof *rates, "exchange rates");
    fclose(file);
    if (err != OK) {
        rates_close(rates);
        return err;
    }
    *out = rates;
    return OK;
}

const struct rate *rates_find(const struct rates *rates, uint16_t day, uint8_t from, uint8_t to)
{
    const struct rate key = {.day = day, .from = from, .to = to};
    return rates->count ? bsearch(&key, rates->rows, rates->count, sizeof key, by_pair) : NULL;
}

enum err rates_open_of(struct job *job, uint16_t date, struct diag *diag)
{
    char path[4096], day[DAY_TEXT_MAX];
    const char *pattern = job->match.fx.path;
    if (!pattern)
        return OK;
    const size_t size = day_print(day, date);
    size_t used = 0;
    if (pattern[0] != '/' && strcmp(job->directory, ".") != 0)
        used = (size_t)snprintf(path, sizeof path, "%s/", job->directory);
    for (const char *p = pattern; *p && used + DAY_TEXT_MAX < sizeof path;) {
        if (strncmp(p, "{date}", 6) == 0) {
            if (date == DAY_NONE)
                return diag_set(diag, ERR_USAGE, "date", "add --date=YYYY-MM-DD",
                                "the exchange rates are named by date (%s), and no date is given", pattern);
            memcpy(path + used, day, size);
            used += size;
            p += 6;
        } else {
            path[used++] = *p++;
        }
    }
    if (used + DAY_TEXT_MAX >= sizeof path)
        return diag_set(diag, ERR_USAGE, "path", NULL, "the path of the exchange rates is too long");
    path[used] = 0;
    struct rates *rates = NULL;
    enum err err = rates_open(&rates, path, diag);
    job->match.fx.rates = rates;
    return err;
}

void rates_close(const struct rates *rates)
{
    if (!rates)
        return;
    mem_give(rates->rows);
    mem_give((void *)rates);
}
