/* tests/oracle/oracle_read.c: rows become records, or rejects. */
#include "tests/oracle/oracle_inner.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const field_words[O_FIELDS] = {
    "channel_code",    "biz_type",  "biz_order_no", "channel_order_no", "merchant_no",
    "sub_merchant_no", "bill_date", "trade_time",   "direction",        "currency",
    "amount",          "fee",       "status"};

const char *oracle_field_word(int field)
{
    return field_words[field];
}

int oracle_field_find(const char *name)
{
    int i = 0;
    while (i < O_FIELDS && strcmp(field_words[i], name) != 0)
        i++;
    return i;
}

/* ---- money ---- */

int oracle_money(struct text t, int exponent, int64_t *micro)
{
    size_t i = 0;
    int negative = 0;
    if (i < t.size && (t.data[i] == '+' || t.data[i] == '-'))
        negative = t.data[i++] == '-';
    /* All digits in millionths; `weight` is what the next digit after the point is worth. */
    const __int128 limit = INT64_MAX;
    __int128 value = 0, unit = 1000000;
    for (int e = 0; e < exponent; e++)
        unit /= 10;
    size_t first = i;
    for (; i < t.size && isdigit((unsigned char)t.data[i]); i++) {
        value = value * 10 + (t.data[i] - '0') * unit;
        if (value > limit)
            return 0;
    }
    if (i == first)
        return 0;
    if (i < t.size && t.data[i] == '.') {
        size_t point = ++i;
        __int128 weight = unit / 10;
        for (; i < t.size && isdigit((unsigned char)t.data[i]); i++, weight /= 10) {
            if (weight == 0 && t.data[i] != '0')
                return 0;
            value += (t.data[i] - '0') * weight;
        }
        if (i == point)
            return 0;
    }
    if (i != t.size || value > limit)
        return 0;
    *micro = (int64_t)(negative ? -value : value);
    return 1;
}

static const char codes_2[] =
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNH CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL "
    "MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN "
    "QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY "
    "TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ";
static const char codes_0[] =
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "
    "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA "; /* of which there is no minor unit */
static const char codes_3[] = "BHD IQD JOD KWD LYD OMR TND ";

int oracle_exponent(struct text code)
{
    if (code.size != 3)
        return -1;
    char word[5] = {code.data[0], code.data[1], code.data[2], ' ', 0};
    for (int i = 0; i < 3; i++)
        if (word[i] < 'A' || word[i] > 'Z')
            return -1;
    return strstr(codes_2, word) ? 2 : strstr(codes_0, word) ? 0 : strstr(codes_3, word) ? 3 : -1;
}

void oracle_print_money(struct text *out, __int128 micro, const char *currency)
{
    struct text code = {(char *)currency, strlen(currency)};
    int exponent = oracle_exponent(code);
    if (micro < 0)
        text_append(out, "-", 1);
    unsigned __int128 value = (unsigned __int128)(micro < 0 ? -micro : micro);
    char digits[64];
    int n = 0;
    for (; value; value /= 10)
        digits[n++] = (char)('0' + (int)(value % 10));
    while (n < 7)
        digits[n++] = '0';
    for (int i = n - 1; i >= 6; i--)
        text_append(out, &digits[i], 1);
    int decimals = 6;
    while (decimals > exponent && digits[6 - decimals] == '0')
        decimals--;
    if (decimals > 0)
        text_append(out, ".", 1);
    for (int i = 0; i < decimals; i++)
        text_append(out, &digits[5 - i], 1);
}

/* ---- dates and times ---- */

static int is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int year, int month)
{
    return month == 2 ? 28 + is_leap(year) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Counted year by year and month by month. */
static int64_t day_number(int year, int month, int day)
{
    int64_t n = 0;
    for (int y = 1970; y < year; y++)
        n += 365 + is_leap(y);
    for (int y = year; y < 1970; y++)
        n -= 365 + is_leap(y);
    for (int m = 1; m < month; m++)
        n += days_in(year, m);
    return n + day - 1;
}

static void print_day(struct text *out, int64_t number)
{
    int year = 1970, month = 1;
    while (number < 0)
        number += 365 + is_leap(--year);
    while (number >= 365 + is_leap(year))
        number -= 365 + is_leap(year++);
    while (number >= days_in(year, month))
        number -= days_in(year, month++);
    char text[40];
    text_append(out, text,
                (size_t)snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, (int)number + 1));
}

/* Exactly `count` digits at `*at`, or -1. */
static int take_number(struct text t, size_t *at, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++, ++*at) {
        if (*at >= t.size || !isdigit((unsigned char)t.data[*at]))
            return -1;
        value = value * 10 + t.data[*at] - '0';
    }
    return value;
}

static int take_char(struct text t, size_t *at, char c)
{
    if (*at < t.size && t.data[*at] == c) {
        ++*at;
        return 1;
    }
    return 0;
}

/* YYYY-MM-DD, YYYY/MM/DD or YYYYMMDD at the beginning. */
static int take_date(struct text t, size_t *at, int64_t *day)
{
    int year = take_number(t, at, 4);
    char between = take_char(t, at, '-') ? '-' : take_char(t, at, '/') ? '/' : 0;
    int month = take_number(t, at, 2);
    if (between && !take_char(t, at, between))
        return 0;
    int mday = take_number(t, at, 2);
    /* Years outside 1900..2078 are no bill's. */
    if (year < 1900 || year > 2078 || month < 1 || month > 12 || mday < 1 || mday > days_in(year, month))
        return 0;
    *day = day_number(year, month, mday);
    return 1;
}

int oracle_date(struct text t, int64_t *day)
{
    size_t at = 0;
    return take_date(t, &at, day) && at == t.size;
}

enum { NAIVE = 1, WITH_OFFSET = 2 };

/* 0, NAIVE with the wall time in *us, or WITH_OFFSET with the instant. */
static int parse_time(struct text t, int64_t *us)
{
    size_t at = 0;
    int64_t day, fraction = 0;
    int hour = 0, minute = 0, second = 0, kind = NAIVE, offset_minutes = 0;
    if (!take_date(t, &at, &day))
        return 0;
    if (at < t.size) {
        int is_packed = at == 8;
        if (!take_char(t, &at, ' ') && !take_char(t, &at, 'T') && !is_packed)
            return 0;
        hour = take_number(t, &at, 2);
        if (take_char(t, &at, ':')) {
            minute = take_number(t, &at, 2);
            if (take_char(t, &at, ':'))
                second = take_number(t, &at, 2);
        } else {
            minute = take_number(t, &at, 2);
            second = take_number(t, &at, 2);
        }
        if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
            return 0;
        if (take_char(t, &at, '.')) {
            int64_t weight = 100000;
            size_t first = at;
            for (; at < t.size && isdigit((unsigned char)t.data[at]); at++, weight /= 10)
                fraction += (t.data[at] - '0') * weight;
            if (at == first || at - first > 9)
                return 0;
        }
        if (take_char(t, &at, 'Z')) {
            kind = WITH_OFFSET;
        } else if (at < t.size && (t.data[at] == '+' || t.data[at] == '-')) {
            int sign = t.data[at++] == '-' ? -1 : 1;
            int hours = take_number(t, &at, 2), minutes = 0;
            if (at < t.size) {
                take_char(t, &at, ':');
                minutes = take_number(t, &at, 2);
            }
            if (hours < 0 || hours > 15 || minutes < 0 || minutes > 59)
                return 0;
            offset_minutes = sign * (hours * 60 + minutes);
            kind = WITH_OFFSET;
        }
    }
    if (at != t.size)
        return 0;
    *us = (((day * 24 + hour) * 60 + minute - offset_minutes) * 60 + second) * 1000000 + fraction;
    return kind;
}

static int64_t whole_seconds(int64_t us)
{
    return us >= 0 ? us / 1000000 : -((-us + 999999) / 1000000);
}

/* The zone's seconds east of UTC at an instant. */
static int64_t offset_at(const char *zone, int64_t instant_us)
{
    static char current[64] = "";
    if (strcmp(current, zone) != 0) {
        setenv("TZ", strcmp(zone, "UTC") == 0 ? "UTC0" : zone, 1);
        tzset();
        snprintf(current, sizeof current, "%s", zone);
    }
    time_t s = (time_t)whole_seconds(instant_us);
    struct tm tm;
    localtime_r(&s, &tm);
    return tm.tm_gmtoff;
}

/* The first instant at which the zone's clocks show this wall time; where they never do, the offset before
 * the gap holds. */
static int64_t wall_to_instant(const char *zone, int64_t wall_us)
{
    const int64_t second = 1000000, day = 86400 * second;
    int64_t before = offset_at(zone, wall_us - day), after = offset_at(zone, wall_us + day);
    if (before == after)
        return wall_us - before * second;
    int64_t greater = before > after ? before : after, smaller = before > after ? after : before;
    int64_t early = wall_us - greater * second, late = wall_us - smaller * second;
    if (offset_at(zone, early) == greater)
        return early;
    if (offset_at(zone, late) == smaller)
        return late;
    return wall_us - before * second;
}

static void print_time(struct text *out, const char *zone, int64_t instant_us)
{
    int64_t offset = offset_at(zone, instant_us), wall = instant_us + offset * 1000000;
    int64_t seconds = whole_seconds(wall), micro = wall - seconds * 1000000;
    int64_t day = seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400),
            of_day = seconds - day * 86400;
    print_day(out, day);
    char text[64];
    int n = snprintf(text, sizeof text, "T%02d:%02d:%02d", (int)(of_day / 3600), (int)(of_day / 60 % 60),
                     (int)(of_day % 60));
    if (micro)
        n += snprintf(text + n, sizeof text - (size_t)n, ".%06d", (int)micro);
    int64_t east = offset < 0 ? -offset : offset;
    n += snprintf(text + n, sizeof text - (size_t)n, "%c%02d:%02d", offset < 0 ? '-' : '+',
                  (int)(east / 3600), (int)(east / 60 % 60));
    text_append(out, text, (size_t)n);
}

/* The date of the wall time, moved by the cut: from 12:00 on forward, before that back. */
static int64_t bill_day(const struct oracle_job *job, int64_t instant_us)
{
    int shift = job->cut_minutes >= 720 ? 1440 - job->cut_minutes : -job->cut_minutes;
    int64_t wall = instant_us + offset_at(job->timezone, instant_us) * 1000000;
    int64_t seconds = whole_seconds(wall) + shift * 60;
    return seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400);
}

/* ---- rows ---- */

static int map_find(const struct oracle_map *map, struct text word)
{
    for (int i = 0; map[i].from; i++)
        if (text_is(word, map[i].from))
            return i;
    return -1;
}

static struct text word_copy(const char *word)
{
    return text_copy(word, strlen(word));
}

struct columns {
    int of[O_SLOTS], occurrence[4]; /* index in the row, or -1 */
    int debit, credit;
    int where[3], exclude[3];
    int occurrence_count, width;
};

/* Credit is IN, and a sign in it turns it round; debit is OUT, whatever its sign. Only one of the two holds
 * an amount other than 0. */
static int debit_or_credit(const struct oracle_source *source, const struct text *debit,
                           const struct text *credit, int exponent, struct orecord *r)
{
    int64_t out = 0, in = 0;
    int unit = source->amount_is_minor ? exponent : 0;
    if ((debit->size && !oracle_money(*debit, unit, &out)) ||
        (credit->size && !oracle_money(*credit, unit, &in)))
        return 0;
    if ((debit->size == 0 && credit->size == 0) || (out != 0 && in != 0))
        return 0;
    r->amount = out > 0 ? -out : out < 0 ? out : in;
    r->is_out = r->amount < 0;
    return 1;
}

/* In the row's own cell: the same cell may be an occurrence id too, which is not stripped, so that is taken
 * first. */
static void strip(struct text *cell, const char *characters)
{
    size_t n = 0;
    for (size_t i = 0; characters && i < cell->size; i++)
        if (!cell->data[i] || !strchr(characters, cell->data[i]))
            cell->data[n++] = cell->data[i];
    if (characters)
        cell->size = n;
}

/* Money, from which commas may be taken out only where they group digits (core/README.md): all but the first piece between
 * them begin with digits, two or three and a comma, or three and no comma; the first ends with one. What else is taken out
 * goes first. A cell that is not so keeps its commas. */
static void strip_money(struct text *cell, const char *characters)
{
    char others[256] = "";
    size_t n = 0;
    if (!characters || !strchr(characters, ',')) {
        strip(cell, characters);
        return;
    }
    for (const char *c = characters; *c; c++)
        if (*c != ',')
            others[n++] = *c;
    others[n] = 0;
    strip(cell, others);
    size_t run = 0; /* digits since the last comma, or since the last byte that is none */
    int grouped = 0, right = 1;
    for (size_t i = 0; i <= cell->size; i++) {
        int is_digit = i < cell->size && isdigit((unsigned char)cell->data[i]);
        if (is_digit) {
            run++;
            continue;
        }
        int is_comma = i < cell->size && cell->data[i] == ',';
        if (grouped && !(run == 3 || (run == 2 && is_comma)))
            right = 0;
        if (is_comma && run == 0)
            right = 0;
        grouped = is_comma;
        run = 0;
    }
    if (right)
        strip(cell, ",");
}

/* One of the words, in the bytes of the row. */
static int is_condition_met(const struct oracle_condition *condition, struct text cell)
{
    for (int w = 0; w < 4 && condition->words[w]; w++) {
        size_t n = strlen(condition->words[w]);
        int is_open = n && condition->words[w][n - 1] == '*';
        if (is_open ? cell.size >= n - 1 && memcmp(cell.data, condition->words[w], n - 1) == 0
                    : text_is(cell, condition->words[w]))
            return 1;
    }
    return 0;
}

/* NULL, or the field because of which the row is a reject. */
static const char *fill(struct oracle *oracle, const struct columns *columns, const struct csv_row *row,
                        struct orecord *r)
{
    const struct oracle_job *job = oracle->job;
    const struct oracle_source *source = &job->sources[r->side];
    const char *zone = source->timezone ? source->timezone : job->timezone;
    /* The cells joined by '|', with a backslash before a '|' or backslash in one of them; all empty: there is
     * none. */
    int is_there = 0;
    for (int i = 0; i < columns->occurrence_count; i++)
        is_there |= row->cells[columns->occurrence[i]].size > 0;
    for (int i = 0; is_there && i < columns->occurrence_count; i++) {
        struct text cell = row->cells[columns->occurrence[i]];
        if (i)
            text_append(&r->occurrence, "|", 1);
        for (size_t k = 0; k < cell.size; k++) {
            if (columns->occurrence_count > 1 && (cell.data[k] == '|' || cell.data[k] == '\\'))
                text_append(&r->occurrence, "\\", 1);
            text_append(&r->occurrence, cell.data + k, 1);
        }
    }
    struct text in[O_SLOTS] = {{0}};
    int has[O_SLOTS] = {0};
    for (int f = 0; f < O_SLOTS; f++)
        if (columns->of[f] >= 0) {
            in[f] = row->cells[columns->of[f]];
            if (f == O_AMOUNT || f == O_FEE)
                strip_money(&in[f], source->strip[f]);
            else
                strip(&in[f], source->strip[f]);
            has[f] = 1;
        }
    for (int f = 0; f < O_SLOTS; f++)
        if (has[f] && f != O_BILL_DATE && f != O_TRADE_TIME && f != O_DIRECTION && f != O_CURRENCY &&
            f != O_AMOUNT && f != O_FEE && f != O_STATUS)
            r->text[f] = text_copy(in[f].data, in[f].size);
    if (!has[O_CHANNEL_CODE] && job->channel_code)
        r->text[O_CHANNEL_CODE] = word_copy(job->channel_code);
    if (!has[O_BIZ_TYPE] && job->biz_type)
        r->text[O_BIZ_TYPE] = word_copy(job->biz_type);

    if (source->currency_map[0].from && in[O_CURRENCY].size) {
        int i = map_find(source->currency_map, in[O_CURRENCY]);
        if (i < 0)
            return "currency";
        in[O_CURRENCY] = (struct text){(char *)source->currency_map[i].to, 3};
    }
    if (in[O_CURRENCY].size) {
        struct text code = text_copy(in[O_CURRENCY].data, in[O_CURRENCY].size);
        for (size_t i = 0; i < code.size; i++)
            code.data[i] = (char)toupper((unsigned char)code.data[i]);
        r->text[O_CURRENCY] = code;
    } else if (source->currency) {
        r->text[O_CURRENCY] = word_copy(source->currency);
    } else if (job->currency) {
        r->text[O_CURRENCY] = word_copy(job->currency);
    }
    int exponent = oracle_exponent(r->text[O_CURRENCY]);
    if (exponent < 0)
        return "currency";

    if (source->debit) {
        if (!debit_or_credit(source, &row->cells[columns->debit], &row->cells[columns->credit], exponent, r))
            return "amount";
    } else {
        if (!oracle_money(in[O_AMOUNT], source->amount_is_minor ? exponent : 0, &r->amount))
            return "amount";
        r->is_out = r->amount < 0;
    }
    if (in[O_DIRECTION].size || (has[O_DIRECTION] && !source->is_optional[O_DIRECTION])) {
        struct text word = in[O_DIRECTION];
        int is_out;
        if (source->direction_map[0].from) {
            int i = map_find(source->direction_map, word);
            if (i < 0)
                return "direction";
            is_out = strcmp(source->direction_map[i].to, "OUT") == 0;
        } else if (text_is(word, "IN") || text_is(word, "OUT")) {
            is_out = text_is(word, "OUT");
        } else {
            return "direction";
        }
        /* The word says the direction of a positive amount; a sign turns it round. */
        r->is_out = r->amount < 0 ? !is_out : is_out;
        int64_t magnitude = r->amount < 0 ? -r->amount : r->amount;
        r->amount = r->is_out ? -magnitude : magnitude;
    }
    r->text[O_DIRECTION] = text_copy(r->is_out ? "OUT" : "IN", r->is_out ? 3 : 2);
    oracle_print_money(&r->text[O_AMOUNT], r->amount, r->text[O_CURRENCY].data);

    if (job->fees == O_FEES_SCHEDULE && r->side == ORACLE_LOCAL) {
        __int128 cost = oracle_schedule(job, r->amount, r->text[O_CURRENCY].data);
        if (cost > INT64_MAX || cost < -(__int128)INT64_MAX)
            return "fee";
        r->cost = (int64_t)cost;
        r->has_fee = 1;
        r->fee = job->sources[ORACLE_CHANNEL].fee_is_signed ? -r->cost : r->cost;
        oracle_print_money(&r->text[O_FEE], r->fee, r->text[O_CURRENCY].data);
    } else if (in[O_FEE].size) {
        if (!oracle_money(in[O_FEE], source->fee_is_minor ? exponent : 0, &r->fee))
            return "fee";
        r->has_fee = 1;
        r->cost = source->fee_is_signed ? -r->fee : r->fee;
        oracle_print_money(&r->text[O_FEE], r->fee, r->text[O_CURRENCY].data);
    }
    r->gross = (__int128)r->amount + (job->fees == O_FEES_NET && r->side == ORACLE_CHANNEL ? r->cost : 0);
    /* An amount like any other: what overflows is a reject. */
    if (r->gross > INT64_MAX || r->gross < -(__int128)INT64_MAX)
        return "fee";

    int has_time = 0;
    int64_t us = 0, time_day = 0;
    if (in[O_TRADE_TIME].size) {
        int kind = parse_time(in[O_TRADE_TIME], &us);
        if (!kind)
            return "trade_time";
        if (kind == NAIVE)
            us = wall_to_instant(zone, us);
        has_time = 1;
        time_day = bill_day(job, us);
        print_time(&r->text[O_TRADE_TIME], job->timezone, us);
    }
    if (in[O_BILL_DATE].size) {
        if (!oracle_date(in[O_BILL_DATE], &r->day))
            return "bill_date";
        r->has_date = 1;
        r->date_disagrees = has_time && time_day != r->day;
    } else if (has_time) {
        r->day = time_day;
        r->has_date = 1;
    }
    if (!r->has_date && job->unit_date) {
        struct text unit = {(char *)job->unit_date, strlen(job->unit_date)};
        r->has_date = oracle_date(unit, &r->day);
    }
    if (r->has_date)
        print_day(&r->text[O_BILL_DATE], r->day);

    if (in[O_STATUS].size || (has[O_STATUS] && source->status_map[0].from)) {
        struct text word = in[O_STATUS];
        if (source->status_map[0].from) {
            int i = map_find(source->status_map, word);
            const char *to = i >= 0 ? source->status_map[i].to : source->status_other;
            if (!to)
                return "status";
            word = (struct text){(char *)to, strlen(to)};
        }
        r->text[O_STATUS] = text_copy(word.data, word.size);
    }

    if (source->occurrence_is_field)
        r->occurrence = text_copy(r->text[O_CHANNEL_ORDER_NO].data, r->text[O_CHANNEL_ORDER_NO].size);
    return NULL;
}

static void orecord_free(struct orecord *r)
{
    for (int f = 0; f < O_SLOTS; f++)
        free(r->text[f].data);
    free(r->occurrence.data);
    free(r->place.data);
    free(r->tuple.data);
    free(r->set.data);
    free(r->remains.data);
    free(r);
}

static void reject(struct oracle *oracle, int side, const char *column, struct text raw, struct text place)
{
    /* Room is the power of two that holds the count. */
    int n = oracle->reject_count;
    if ((n & (n - 1)) == 0)
        oracle->rejects = must_grow(oracle->rejects, (size_t)(n ? 2 * n : 1) * sizeof *oracle->rejects);
    oracle->rejects[oracle->reject_count++] = (struct oreject){side, column, raw, place};
    oracle->side_rejects[side]++;
}

static int refuse(struct oracle *oracle, const char *name, size_t offset, const char *why)
{
    if (!oracle->refusal[0])
        snprintf(oracle->refusal, sizeof oracle->refusal, "%s: byte %zu: %s", name, offset, why);
    return -1;
}

static int find_columns(struct oracle *oracle, int side, const struct csv_row *header,
                        struct columns *columns, const char **missing)
{
    const struct oracle_source *source = &oracle->job->sources[side];
    enum { WANTED = O_SLOTS + 12 };
    const char *wanted[WANTED] = {NULL};
    int optional[WANTED] = {0}, at[WANTED];
    *columns = (struct columns){.width = header->count};
    for (int f = 0; f < O_SLOTS; f++) {
        wanted[f] = source->column[f];
        optional[f] = source->is_optional[f];
    }
    for (int i = 0; i < 4; i++) {
        wanted[O_SLOTS + i] = source->occurrence[i];
    }
    wanted[O_SLOTS + 4] = source->debit;
    wanted[O_SLOTS + 5] = source->credit;
    for (int i = 0; i < 3; i++) {
        wanted[O_SLOTS + 6 + i] = source->where[i].column;
        wanted[O_SLOTS + 9 + i] = source->exclude[i].column;
    }
    for (int w = 0; w < WANTED; w++) {
        at[w] = -1;
        for (int i = 0; wanted[w] && i < header->count; i++)
            if (text_is(header->cells[i], wanted[w]))
                at[w] = i;
        if (wanted[w] && at[w] < 0 && !optional[w]) {
            *missing = wanted[w];
            return 0;
        }
    }
    memcpy(columns->of, at, sizeof columns->of);
    columns->debit = at[O_SLOTS + 4];
    columns->credit = at[O_SLOTS + 5];
    memcpy(columns->where, at + O_SLOTS + 6, sizeof columns->where);
    memcpy(columns->exclude, at + O_SLOTS + 9, sizeof columns->exclude);
    for (int i = 0; i < 4; i++)
        if (at[O_SLOTS + i] >= 0)
            columns->occurrence[columns->occurrence_count++] = at[O_SLOTS + i];
    return 1;
}

static struct text place_text(const char *name, long line, size_t offset)
{
    char tail[64];
    struct text place = {0};
    text_append(&place, name, strlen(name));
    text_append(&place, tail, (size_t)snprintf(tail, sizeof tail, ":%ld@%zu", line, offset));
    return place;
}

/* What `where` leaves out is no row of this side. */
static int is_wanted(const struct oracle_source *source, const struct columns *columns,
                     const struct csv_row *row)
{
    for (int i = 0; i < 3 && source->where[i].column; i++)
        if (!is_condition_met(&source->where[i], row->cells[columns->where[i]]))
            return 0;
    return 1;
}

int oracle_read(struct oracle *oracle, int side, const char *name, const char *data, size_t size)
{
    struct csv_reader reader;
    struct csv_row row;
    struct columns columns = {0};
    int source = oracle->file_count++, has_header = 0;
    long rejects = 0, line = 1;
    size_t counted = 0;
    const struct oracle_source *spec = &oracle->job->sources[side];
    if (oracle->refusal[0])
        return -1;
    csv_start(&reader, data, size);
    if (spec->delimiter)
        reader.delimiter = spec->delimiter;
    if (spec->has_no_quote)
        reader.quote = 0;
    reader.comment = spec->comment;
    for (int i = 0; i < spec->skip_lines; i++) {
        while (reader.at < size && data[reader.at] != '\n')
            reader.at++;
        reader.at += reader.at < size;
    }
    if (spec->columns[0] && size > 0) {
        const char *missing = NULL;
        struct csv_row names = {0};
        struct text words[40];
        while (names.count < 40 && spec->columns[names.count]) {
            words[names.count] =
                (struct text){(char *)spec->columns[names.count], strlen(spec->columns[names.count])};
            names.count++;
        }
        names.cells = words;
        if (!find_columns(oracle, side, &names, &columns, &missing))
            return refuse(oracle, name, 0, missing);
        has_header = 1;
    }
    for (;;) {
        enum csv_step step = csv_next(&reader, &row);
        const char *column = NULL, *missing = NULL;
        if (step == CSV_END)
            break;
        if (step == CSV_CUT)
            return refuse(oracle, name, row.offset, "the file ends inside a row");
        if (step == CSV_BLANK)
            continue;
        if (!has_header) {
            int ok = step == CSV_ROW && find_columns(oracle, side, &row, &columns, &missing);
            csv_row_free(&row);
            if (!ok)
                return refuse(oracle, name, 0, missing ? missing : "no header");
            has_header = 1;
            continue;
        }
        for (; counted < row.offset; counted++)
            line += data[counted] == '\n';
        struct text place = place_text(name, line, row.offset);
        struct orecord *r = NULL;
        if (step == CSV_SPOILED) {
            column = "";
        } else if (row.count != columns.width) {
            column = "";
        } else if (!is_wanted(spec, &columns, &row)) {
            free(place.data);
            csv_row_free(&row);
            continue;
        } else {
            r = must_take(sizeof *r);
            r->side = side;
            r->source = source;
            r->offset = row.offset;
            r->class_id = O_OPEN;
            r->place = place;
            for (int i = 0; i < 3 && spec->exclude[i].column; i++)
                r->is_filtered |= is_condition_met(&spec->exclude[i], row.cells[columns.exclude[i]]);
            column = fill(oracle, &columns, &row, r);
        }
        if (column) {
            if (r) {
                r->place = (struct text){0};
                orecord_free(r);
            }
            reject(oracle, side, column, text_copy(data + row.offset, row.raw_size), place);
            rejects++;
        } else {
            if (oracle->count == oracle->room) {
                oracle->room = oracle->room ? 2 * oracle->room : 64;
                oracle->records = must_grow(oracle->records, (size_t)oracle->room * sizeof(void *));
            }
            oracle->records[oracle->count++] = r;
        }
        csv_row_free(&row);
    }
    if (!has_header)
        return refuse(oracle, name, 0, "the file is empty");
    if (rejects > oracle->job->max_rejects[side])
        return refuse(oracle, name, 0, "more rejects than allowed");
    return 0;
}

struct oracle *oracle_open(const struct oracle_job *job)
{
    struct oracle *oracle = must_take(sizeof *oracle);
    oracle->job = job;
    if (job->rates && !oracle_read_rates(oracle))
        refuse(oracle, "rates", 0, "no table of rates");
    return oracle;
}

const char *oracle_refusal(const struct oracle *oracle)
{
    return oracle->refusal;
}

void oracle_close(struct oracle *oracle)
{
    if (!oracle)
        return;
    for (int i = 0; i < oracle->count; i++)
        orecord_free(oracle->records[i]);
    for (int i = 0; i < oracle->reject_count; i++) {
        free(oracle->rejects[i].raw.data);
        free(oracle->rejects[i].place.data);
    }
    for (int i = 0; i < O_CLASSES; i++)
        table_close(oracle->tables[i]);
    table_close(oracle->aggregate);
    table_close(oracle->proposals);
    free(oracle->rates);
    free(oracle->records);
    free(oracle->rejects);
    free(oracle);
}
