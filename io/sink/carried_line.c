/* io/sink/carried_line.c: see carried_line.h */
#include "io/sink/carried_line.h"
#include "core/base/formula.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/model/currency.h"
#include "core/model/day.h"
#include "core/model/entry.h"
#include "core/model/money_quick.h"
#include "core/rules/lean.h"
#include "core/rules/verdict.h"
#include <string.h>

enum { DAY_SIZE = 10, PLAIN_TIME = 20, ZONE_TIME = 25, FIXED_ROOM = 2048 };

int carried_lines_suit(const struct job *job, struct span header)
{
    struct text want = {0};
    keep_header(&want, job);
    const int same = !want.failed && span_equal(header, (struct span){want.data, want.size});
    text_fini(&want);
    /* Fees that are computed are the long road's. */
    return same && job->match.fees != FEES_SCHEDULE && job->match.fees != FEES_SCHEDULE_DAY;
}

void carried_lines_init(struct carried_lines *l, const struct job *job, const struct keep_task *task)
{
    *l = (struct carried_lines){.job = job, .task = task};
    l->slots = canonical_order(job, l->order);
    l->units = open_units(job);
}

void carried_lines_fini(struct carried_lines *l)
{
    mem_give(l->buffer);
    l->buffer = NULL;
}

/* Cells of a row without quotes. 0: it has some, or not as many cells as it should. */
static int split(struct span row, struct span *cells, unsigned count)
{
    const char *at = row.data, *const end = row.data + row.size;
    if (memchr(row.data, '"', row.size))
        return 0;
    for (unsigned i = 0; i + 1 < count; i++) {
        const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        if (!comma)
            return 0;
        cells[i] = (struct span){at, (size_t)(comma - at)};
        at = comma + 1;
    }
    cells[count - 1] = (struct span){at, (size_t)(end - at)};
    return !memchr(at, ',', (size_t)(end - at));
}

static uint16_t day_of(struct carried_day *memo, const char *text)
{
    if (memo->day == DAY_NONE || memcmp(memo->text, text, DAY_SIZE) != 0) {
        memcpy(memo->text, text, DAY_SIZE);
        memo->day = day_parse(text, DAY_SIZE);
    }
    return memo->day;
}

static int two_digits(const char *p)
{
    return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' ? (p[0] - '0') * 10 + p[1] - '0' : 100;
}

/* The bill date that a trade time in the job's zone gives. 0: it is not written as usual. */
static int time_day(struct carried_lines *l, struct span time, uint16_t *day)
{
    const char *p = time.data;
    if ((time.size != PLAIN_TIME || p[19] != 'Z') &&
        (time.size != ZONE_TIME || (p[19] != '+' && p[19] != '-')))
        return 0;
    const int hour = two_digits(p + 11), minute = two_digits(p + 14), second = two_digits(p + 17);
    const uint16_t date = day_of(&l->trade, p);
    if (p[10] != 'T' || p[13] != ':' || p[16] != ':' || hour > 23 || minute > 59 || second > 59 ||
        date == DAY_NONE)
        return 0;
    const int64_t seconds = ((int64_t)date - DAY_BASE) * 86400 + hour * 3600 + minute * 60 + second;
    *day = day_of_wall(seconds * 1000000, l->job->cut_minutes);
    return *day != DAY_NONE;
}

/* What stands before the fields. */
static int take_head(struct carried_lines *l, enum side side, const struct span *cells,
                     const struct open_print *print, struct carry *carry)
{
    const struct span type = cells[CARRY_BUFFER_TYPE], times = cells[CARRY_DELAYED_TIMES],
                      since = cells[CARRY_SINCE], doubt = cells[CARRY_DOUBT];
    if (cells[CARRY_ORIGIN].size || cells[CARRY_TASK].size || cells[CARRY_REVISION].size ||
        cells[CARRY_REASONS].size || cells[CARRY_PAIR].size || type.size != 1 ||
        type.data[0] != '0' + (char)side || doubt.size != 1 || doubt.data[0] != '0' ||
        since.size != DAY_SIZE || times.size == 0 || times.size > 5)
        return 0;
    uint32_t tries = 0;
    for (size_t i = 0; i < times.size; i++) {
        if (times.data[i] < '0' || times.data[i] > '9')
            return 0;
        tries = tries * 10 + (uint32_t)(times.data[i] - '0');
    }
    *carry = (struct carry){.tries = tries,
                            .since = day_of(&l->since, since.data),
                            .batch_no = cells[CARRY_BATCH_NO],
                            .place = cells[CARRY_PLACE],
                            .task = {"", 0},
                            .reasons = {"", 0},
                            .origin = {"", 0}};
    return tries == print->tries && tries < OPEN_TRIES_MAX - 1 && carry->since != DAY_NONE;
}

static int take_money(struct carried_lines *l, struct full *f, char amount[32])
{
    const struct span currency = f->text[FIELD_CURRENCY], direction = f->text[FIELD_DIRECTION],
                      text = f->text[FIELD_AMOUNT];
    struct span fee = f->text[FIELD_FEE];
    const int out = span_is(direction, "OUT");
    if ((!out && !span_is(direction, "IN")) || !(f->currency = currency_find(currency.data, currency.size)) ||
        !money_quick(text.data, text.size, &f->amount_micro))
        return 0;
    f->out = (uint8_t)out;
    if (out && f->amount_micro) { /* the direction says the sign, also of 0 */
        f->amount_micro = -f->amount_micro;
        amount[0] = '-';
        memcpy(amount + 1, text.data, text.size);
        f->text[FIELD_AMOUNT] = (struct span){amount, text.size + 1};
    }
    if (fee.size) {
        const size_t sign = fee.data[0] == '-';
        if (!money_quick(fee.data + sign, fee.size - sign, &f->fee_micro))
            return 0;
        f->fee_micro = sign ? -f->fee_micro : f->fee_micro;
        f->has_fee = 1;
    }
    f->cost_micro = job_fee_is_income(l->job, (enum side)f->side) ? -f->fee_micro : f->fee_micro;
    return 1;
}

static int take_dates(struct carried_lines *l, struct full *f)
{
    const struct span date = f->text[FIELD_BILL_DATE], time = f->text[FIELD_TRADE_TIME];
    uint16_t day;
    if (date.size != DAY_SIZE || (f->day = day_of(&l->bill, date.data)) == DAY_NONE)
        return 0;
    if (time.size && !time_day(l, time, &day))
        return 0;
    if (time.size && day != f->day)
        f->reasons |= REASON_BIT(REASON_DATE_DISAGREES);
    return 1;
}

static int take_fields(struct carried_lines *l, const struct span *cells, struct full *f, char amount[32])
{
    for (unsigned field = 0; field < l->slots; field++) {
        /* The occurrence id stands between the fields that all have and the job's own. */
        f->text[field] = cells[CARRY_COLUMNS + field + (field >= FIELDS)];
        const int is_number = field == FIELD_AMOUNT || field == FIELD_FEE || field == FIELD_BILL_DATE ||
                              field == FIELD_TRADE_TIME;
        if (!is_number && formula_is(f->text[field]))
            return 0;
    }
    f->occurrence = cells[CARRY_COLUMNS + FIELDS];
    return !formula_is(f->occurrence) && take_money(l, f, amount) && take_dates(l, f);
}

static char *put(char *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static char *put_span(char *at, struct span text)
{
    return put(at, text.data, text.size);
}

static char *put_big(char *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    return put(at, &value, sizeof value);
}

/* From the begin of one piece of the row to the end of another. */
static char *put_from_to(char *at, struct span from, struct span to)
{
    return put(at, from.data, (size_t)(to.data + to.size - from.data));
}

static char *put_keys(const struct carried_lines *l, char *at, struct carried_line *out)
{
    const struct full *f = &out->full;
    char *const key = at;
    at = (char *)order_put_head((uint8_t *)at, f->day, f->occurrence);
    for (unsigned i = 0; i < l->slots; i++) {
        const struct span text = f->text[l->order[i]];
        const uint32_t size = __builtin_bswap32((uint32_t)text.size);
        at = put_span(put(at, &size, sizeof size), text);
    }
    *at++ = (char)f->side;
    const size_t both = (size_t)(at - key);
    at = put_big(put_big(at, f->reasons), f->place);
    out->key = (struct span){key, (size_t)(at - key)};
    struct span *const kept[] = {&out->open_key, &out->log_key};
    for (int is_entry = 0; is_entry < 2;
         is_entry++) { /* a reversal of the same record stands before its entry */
        char *const begin = at;
        at = put_big(put(at, key, both), f->place);
        *at++ = (char)is_entry;
        *kept[is_entry] = (struct span){begin, (size_t)(at - begin)};
    }
    return at;
}

static char *put_row(char *at, const struct span *cells, unsigned attrs, int with_remains,
                     struct span reasons, struct carried_line *out)
{
    const struct full *f = &out->full;
    const struct span *fields = cells + CARRY_COLUMNS;
    char *const row = at;
    at = put_span(at, span_of(side_name((enum side)f->side)));
    *at++ = ',';
    at = put_from_to(at, fields[0], fields[FIELD_AMOUNT - 1]);
    *at++ = ',';
    at = put_span(at, f->text[FIELD_AMOUNT]);
    *at++ = ',';
    at = put_from_to(at, fields[FIELD_AMOUNT + 1], fields[FIELDS - 1]);
    if (attrs) {
        *at++ = ',';
        at = put_from_to(at, fields[FIELDS + 1], fields[FIELDS + attrs]);
    }
    *at++ = ',';
    at = put_span(at, f->occurrence);
    at = put(at, ",,,", with_remains ? 3 : 2); /* no set, and nothing that remains of one */
    at = put_span(at, reasons);
    out->row = (struct span){row, (size_t)(at - row)};
    char *const place = at;
    *at++ = ',';
    at = put_span(at, out->carry.place);
    out->place = (struct span){place, (size_t)(at - place)};
    return at;
}

static char *put_entry(const struct carried_lines *l, char *at, struct span reasons, struct carried_line *out)
{
    const struct full *f = &out->full;
    struct entry e;
    e.kind = ENTRY_VERDICT;
    e.class_id = CLASS_SUSPENSE;
    e.key_no = e.repeated = e.undo = 0;
    e.field_count = (uint8_t)l->slots;
    e.revision = l->task->revision;
    e.set_id = 0;
    e.task = span_of(l->task->name);
    e.reasons = reasons;
    e.key = (struct span){"", 0};
    e.side[!f->side].present = 0;
    struct entry_side *side = &e.side[f->side];
    side->present = side->carried = 1;
    side->currency = f->currency;
    side->has_fee = f->has_fee;
    side->day = f->day;
    side->since = out->carry.since;
    side->tries = out->carry.tries + 1;
    side->amount_micro = f->amount_micro;
    side->fee_micro = f->fee_micro;
    side->occurrence = f->occurrence;
    side->place = out->carry.place;
    for (unsigned i = 0; i < l->slots; i++)
        side->text[i] = f->text[l->order[i]];
    entry_encode(&e, (uint8_t *)at);
    out->entry = (struct span){at, entry_size(&e)};
    return at + out->entry.size;
}

/* The row of the next day, behind its prints and how many units these are: as it was, one run older. */
static void put_open(char *at, struct span row, const union open_unit *prints, uint32_t units,
                     struct span times, struct carried_line *out)
{
    char digits[10], *const open = at;
    const size_t prints_size = units * sizeof *prints;
    struct open_print next = {.hash = prints->print.hash, .tries = (uint16_t)(prints->print.tries + 1)};
    char *const begin = at += 1 + prints_size;
    int count = 0;
    for (uint32_t rest = out->carry.tries + 1; rest || !count; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    at = put(at, row.data, (size_t)(times.data - row.data));
    while (count)
        *at++ = digits[--count];
    const char *behind = times.data + times.size;
    at = put(at, behind, (size_t)(row.data + row.size - behind));
    next.size = (uint32_t)(at - begin) + 1;
    *open = (char)units;
    memcpy(open + 1, prints, prints_size);
    memcpy(open + 1, &next, sizeof next);
    out->open = (struct span){open, (size_t)(at - open)};
}

static struct span reasons_of(uint64_t reasons)
{
    const uint64_t disagrees = REASON_BIT(REASON_DATE_DISAGREES), second = REASON_BIT(REASON_SECOND_PASS);
    static const char *const words[2][2] = {{"carried", "carried;second_pass"},
                                            {"date_disagrees;carried", "date_disagrees;carried;second_pass"}};
    return span_of(words[(reasons & disagrees) != 0][(reasons & second) != 0]);
}

int carried_line_make(struct carried_lines *l, enum side side, struct span row, const union open_unit *prints,
                      uint64_t place, struct carried_line *out)
{
    struct span cells[CARRIED_CELLS_MAX];
    const unsigned attrs = (unsigned)l->job->attr_count;
    struct full *f = &out->full;
    *f = (struct full){.side = (uint8_t)side, .place = place, .verdict = VERDICT_OPEN};
    if (!split(row, cells, CARRY_COLUMNS + FIELDS + 1 + attrs) || formula_is(cells[CARRY_PLACE]) ||
        !take_head(l, side, cells, &prints->print, &out->carry) || !take_fields(l, cells, f, out->amount))
        return 0;
    f->carry = &out->carry;
    out->carry.currency = f->currency;
    out->carry.amount_micro = f->amount_micro;
    f->reasons |= verdict_carry_reasons(&out->carry);
    resolve_alone(l->job, f);
    if (f->verdict != CLASS_SUSPENSE)
        return 0;
    /* Three keys, a line, an entry, prints and a row. */
    const size_t want =
        13 * row.size + 4 * (FIELD_SLOTS + 1) * sizeof(uint32_t) + strlen(l->task->name) + FIXED_ROOM;
    if (want > l->room) {
        mem_give(l->buffer);
        l->room = 0;
        if (!(l->buffer = mem_take(2 * want)))
            return -1;
        l->room = 2 * want;
    }
    const struct span reasons = reasons_of(f->reasons);
    char *at = put_keys(l, l->buffer, out);
    at = put_row(at, cells, attrs, l->job->match.partials.given, reasons, out);
    at = put_entry(l, at, reasons, out);
    put_open(at, row, prints, l->units, cells[CARRY_DELAYED_TIMES], out);
    return 1;
}
