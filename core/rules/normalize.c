/* core/rules/normalize.c: see normalize.h. A hot file: no options asked, no allocation and no logging per
 * row. */
#include "core/rules/normalize.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/config/carry.h"
#include "core/model/currency.h"
#include "core/model/money.h"
#include "core/model/money_quick.h"
#include "core/rules/fees.h"
#include "core/rules/number_text.h"
#include "core/rules/plain.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LEAN_ROW_MAX = 4096, /* bytes: so much room for each text is no matter */
    CELLS_MAX = FIELD_SLOTS + 8 + CARRY_COLUMNS + OCCURRENCE_PARTS_MAX + 2 * CONDITIONS_MAX + PLUS_MAX + 2,
    OCCURRENCE_TEXT_MAX = 4096
};

struct input {
    int cell;            /* index into cells, or -1 */
    int credit_cell;     /* amount, fee: `cell` is the debit column then; -1 otherwise */
    int mark_cell;       /* amount, fee: says debit or credit; trade_time: names the zone; -1: none */
    const char *charset; /* of the cell, where it is not UTF-8 */
    char group_mark; /* amount, fee: stripped, and in other countries what decimals stand behind; 0: none */
    int plus[PLUS_MAX], plus_count, same[2]; /* fee: cells */
    const struct field_rule *rule;
    struct span constant;
};

/* A condition, and the cell that it asks. */
struct asked {
    const struct condition *condition;
    int cell;
};

struct normalizer {
    const struct norm_shared *shared;
    const struct job *job;
    enum side side;
    int columns[CELLS_MAX];
    int column_count;
    struct input in[FIELD_SLOTS];
    int occurrence[OCCURRENCE_PARTS_MAX]; /* cells */
    int occurrence_count;
    int occurrence_field; /* bills: the channel_order_no field is the id */
    struct span log_name; /* of one of several logs of a side: the first part of its ids */
    /* hot path */
    int key_has_channel;
    unsigned key_parts[KEY_PARTS_MAX];
    int key_part_count; /* without channel_code */
    int status_in_sigma;
    unsigned extras[FIELD_SLOTS];
    int extra_count;
    struct record_layout layout;
    int is_image;
    struct asked where[CONDITIONS_MAX], exclude[CONDITIONS_MAX];
    int where_count, exclude_count;
    int is_excluded; /* records of this kind meet nobody */
    int sets_aside;  /* 1: some records may meet nobody, by any rule of P0 */
    uint16_t date;   /* for times without a year */
    int zones_differ;
    int key_cells[KEYS_MAX * KEY_PARTS_MAX]; /* cells of all keys' text parts */
    int key_cell_count;
    /* fees (core/README.md, decision 28) */
    int fee_income; /* the fee is money to the merchant: a cost is negative */
    int counts;     /* rows are noted for aggregates */
    int takes_cost; /* fees: net: records say what their fee costs; `takes_own` on the channel's side */
    int takes_own;
    int computes_fee; /* the local side of a schedule */
    int plain; /* currency, amount, direction, fee, status, time and channel_code are columns without strip,
                  map or unit, or are not there */
    int carry[CARRY_COLUMNS]; /* cells of a file of carried records */
    uint16_t carry_flags;     /* RECORD_CARRIED, RECORD_LATE; 0: other sources */
    int dates_by_event;       /* a log's row that states no time has the bill date of its event */
    int stands_by_id;         /* records without a key stand under their occurrence id */
    int keeps_ids;            /* records are to be known again on later days */
    int plain_lean;           /* the same, of those that a part of a pair wants */
    struct plain_plan plan;   /* where `plain` */
    struct image_plan image;
};

const char *reject_name(enum reject_code code)
{
    static const char *const names[REJECTS] = {"none",     "columns", "quote", "carriage_return", "too_long",
                                               "key",      "amount",  "fee",   "currency",        "direction",
                                               "status",   "date",    "time",  "words",           "row_type",
                                               "not_ours", "charset"};
    return names[code];
}

enum err norm_scratch_init(struct norm_scratch *scratch, struct diag *diag)
{
    memset(scratch, 0, sizeof *scratch);
    to_utf8_open(&scratch->charset);
    scratch->strip = mem_take(NORM_STRIP_MAX);
    return scratch->strip ? OK : mem_fail(diag, NORM_STRIP_MAX, "a row being read");
}

void norm_scratch_fini(struct norm_scratch *scratch)
{
    mem_give(scratch->strip);
    mem_give(scratch->wide);
    to_utf8_close(&scratch->charset);
    scratch->strip = scratch->wide = NULL;
}

/* Fields that are no plain text: numbers, dates, words of ours. */
static inline int field_is_odd(unsigned field)
{
    return field == FIELD_FEE || field == FIELD_BILL_DATE || field == FIELD_TRADE_TIME ||
           field == FIELD_AMOUNT || field == FIELD_DIRECTION || field == FIELD_CURRENCY;
}

/* ---- compiling ---- */

static int want_column(struct normalizer *n, int column)
{
    for (int i = 0; i < n->column_count; i++)
        if (n->columns[i] == column)
            return i;
    CHECK2(n->column_count < CELLS_MAX, n->column_count, column);
    n->columns[n->column_count] = column;
    return n->column_count++;
}

static enum err find_column(struct normalizer *n, const char *file, const char *name,
                            const struct field_rule *rule, column_find_fn *find, void *context, int *cell,
                            struct diag *diag)
{
    *cell = -1;
    int column = find(context, name);
    if (rule && name == rule->column)
        for (int i = 0; column < 0 && rule->aliases && rule->aliases[i]; i++)
            column = find(context, rule->aliases[i]);
    if (column >= 0)
        *cell = want_column(n, column);
    else if (!rule || !rule->optional)
        return diag_set(diag, ERR_INPUT, "columns",
                        n->is_image
                            ? "compare the name with the table's columns, which `tieout inspect` shows; "
                              "names are case-sensitive"
                            : "compare the name with the first line of the file; names are case-sensitive",
                        "%s: there is no column \"%s\"%s%s", file, name,
                        n->job->path ? ", which the job wants: " : "", n->job->path ? n->job->path : "");
    return OK;
}

/* What of a source the normalizer is made of: the whole source, or one kind of a bill's rows. */
struct source_part {
    const struct field_rule *fields;
    const char *const *occurrence;
    int occurrence_count;
};

static int column_of(const struct normalizer *n, unsigned field)
{
    return n->in[field].cell >= 0 ? n->columns[n->in[field].cell] : -1;
}

/* Which of time, direction and currency stand side by side, with the time among them. */
static void plan_shape(struct plain_plan *plan)
{
    int first = plan->time, last = plan->time;
    for (int i = 0; first >= 0 && i < 2; i++) { /* the second may be beside the first that was found */
        const int beside[] = {plan->direction, plan->currency};
        for (int k = 0; k < 2; k++) {
            first -= beside[k] >= 0 && beside[k] == first - 1;
            last += beside[k] >= 0 && beside[k] == last + 1;
        }
    }
    plan->shape_first = first;
    plan->shape_last = last;
}

static void make_plan(struct normalizer *n)
{
    static _Atomic uint64_t numbers;
    n->plan = (struct plain_plan){.words = n->shared->words,
                                  .hash_seed = n->shared->hash_seed,
                                  .channel_constant = n->in[FIELD_CHANNEL_CODE].constant,
                                  .currency = column_of(n, FIELD_CURRENCY),
                                  .amount = column_of(n, FIELD_AMOUNT),
                                  .direction = column_of(n, FIELD_DIRECTION),
                                  .fee = column_of(n, FIELD_FEE),
                                  .time = column_of(n, FIELD_TRADE_TIME),
                                  .status = n->status_in_sigma ? column_of(n, FIELD_STATUS) : -1,
                                  .channel = column_of(n, FIELD_CHANNEL_CODE),
                                  .key = column_of(n, n->key_parts[0]),
                                  .unit_day = n->shared->unit_day,
                                  .side_flag = n->side == CHANNEL ? RECORD_CHANNEL : 0,
                                  .job_currency = n->job->currency,
                                  .wants_channel = (uint8_t)n->key_has_channel};
    n->plan.number = atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) + 1;
    plan_shape(&n->plan);
    for (int i = 0; i < n->key_cell_count; i++) {
        const int column = n->columns[n->key_cells[i]];
        if (column == n->plan.channel && n->plan.wants_channel)
            n->plan.channel_is_number = 1;
        else if (column != n->plan.key)
            n->plan.numbers[n->plan.number_count++] = column;
    }
    n->plan.counts = (uint8_t)n->counts;
    n->plan.zone = n->shared->job_zone;
    n->plan.counts_hours = (uint8_t)n->job->aggregate.hour;
    n->plan.fee_income = (uint8_t)n->fee_income;
    for (int dim = 0; dim < AGGREGATE_DIMS; dim++) {
        const struct input *in = &n->in[job_aggregate_field(dim)];
        const int wanted = n->job->aggregate.dims[dim];
        n->plan.note_columns[dim] = wanted ? column_of(n, job_aggregate_field(dim)) : -1;
        n->plan.note_constants[dim] = wanted && in->cell < 0 ? in->constant : (struct span){"", 0};
        n->plan.notes_odd |= wanted && in->cell >= 0 &&
                             (in->rule->map_count || in->rule->strip || in->rule->none || in->charset);
    }
}

static int told_column(const struct normalizer *n)
{
    const struct input *in = &n->in[n->side == CHANNEL ? FIELD_CHANNEL_ORDER_NO : FIELD_BIZ_TYPE];
    if (in->charset || in->rule->strip || in->rule->none || in->rule->map_count ||
        n->key_parts[0] != FIELD_BIZ_ORDER_NO || n->in[FIELD_BIZ_ORDER_NO].charset ||
        (n->side == LOCAL && (n->occurrence_count || n->occurrence_field >= 0)))
        return TELLS_NOTHING;
    return in->cell < 0 ? -1 : n->columns[in->cell];
}

int normalizer_lacks(const struct normalizer *n, unsigned field)
{
    const struct input *in = &n->in[field];
    return in->cell < 0 && in->constant.size == 0;
}

/* The occurrence id of a plain row is one column as it is, or the row goes the long way. */
static void plan_ids(struct normalizer *n)
{
    struct plain_plan *plan = &n->plan;
    plan->keeps_ids = (uint8_t)n->keeps_ids;
    plan->occurrence = -1;
    if (n->occurrence_field >= 0) {
        const struct input *in = &n->in[n->occurrence_field];
        plan->occurrence = column_of(n, (unsigned)n->occurrence_field);
        plan->ids_odd = in->rule->strip || in->rule->none || in->rule->map_count || in->charset ||
                        (in->cell < 0 && in->constant.size);
    } else if (n->occurrence_count) {
        plan->occurrence = n->columns[n->occurrence[0]];
        plan->ids_odd = n->occurrence_count > 1 || n->in[FIELD_BIZ_ORDER_NO].charset;
    }
}

/* The fields that tell where a row stands among those of its key, as they stand in it. */
static void plan_order(struct normalizer *n)
{
    struct plain_plan *plan = &n->plan;
    unsigned fields[ORDER_FIELDS];
    plan->order_count = order_fields(n->job, fields);
    plan->bases = plan->ids_odd ? NULL : n->shared->bases;
    for (unsigned i = 0; i < plan->order_count; i++) {
        const struct input *in = &n->in[fields[i]];
        if (in->charset || in->rule->strip || in->rule->none || in->rule->map_count)
            plan->bases = NULL;
        plan->order_columns[i] = column_of(n, fields[i]);
        plan->order_constants[i] = in->cell < 0 && in->constant.size ? in->constant : (struct span){"", 0};
    }
}

static int image_column(const struct normalizer *n, unsigned field)
{
    return n->in[field].cell >= 0 ? n->columns[n->in[field].cell] : -1;
}

static void make_image_plan(struct normalizer *n)
{
    static _Atomic uint64_t numbers;
    struct image_plan *plan = &n->image;
    const struct input *in = n->in, *key = &in[n->key_parts[0]];
    plan->number = atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) + 1;
    int usual = n->key_part_count == 1 && !field_is_odd(n->key_parts[0]) && n->key_parts[0] != FIELD_STATUS &&
                key->cell >= 0 && !key->rule->map_count && n->extra_count == 0 && !n->takes_cost &&
                in[FIELD_BILL_DATE].cell < 0 && !n->where_count && !n->sets_aside &&
                n->occurrence_count == 1 && !in[FIELD_CURRENCY].rule->of_order &&
                !in[FIELD_CURRENCY].rule->map_count && in[FIELD_AMOUNT].cell >= 0 &&
                in[FIELD_CHANNEL_CODE].cell < 0;
    const unsigned fields[] = {FIELD_CURRENCY, FIELD_AMOUNT,     FIELD_DIRECTION, FIELD_FEE,
                               FIELD_STATUS,   FIELD_TRADE_TIME, n->key_parts[0]};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct field_rule *rule = in[fields[i]].rule;
        usual = usual && !rule->strip && !rule->none && !in[fields[i]].charset && !rule->debit &&
                !rule->credit && !rule->mark_debit && !in[fields[i]].plus_count && !rule->same[0] &&
                rule->sign <= SIGN_SIGNED && !rule->zone_count && rule->time_format == TIME_ANY &&
                in[fields[i]].constant.size == 0;
    }
    plan->is_usual = usual;
    if (!usual)
        return;
    plan->key = image_column(n, n->key_parts[0]);
    plan->occurrence = n->columns[n->occurrence[0]];
    plan->currency = image_column(n, FIELD_CURRENCY);
    plan->amount = image_column(n, FIELD_AMOUNT);
    plan->direction = image_column(n, FIELD_DIRECTION);
    plan->fee = image_column(n, FIELD_FEE);
    plan->status = image_column(n, FIELD_STATUS);
    plan->time = image_column(n, FIELD_TRADE_TIME);
    for (int i = 0; i < n->key_cell_count; i++)
        plan->key_columns[plan->key_column_count++] = n->columns[n->key_cells[i]];
}

static enum err open_part(struct normalizer **out, const struct norm_shared *shared, enum side side,
                          const struct source_part *source, const struct norm_rows *rows, const char *file,
                          const char *const *occurrence, column_find_fn *find, void *context,
                          struct diag *diag)
{
    *out = NULL;
    const struct job *job = shared->job;
    struct normalizer *n = mem_take_zero(1, sizeof *n);
    if (!n)
        return mem_fail(diag, sizeof *n, "a normalizer");
    n->shared = shared;
    n->job = job;
    n->side = side;
    n->is_image = source_tells_images(job->sources[side].kind);
    n->is_excluded = rows && rows->type->is_excluded;
    n->sets_aside = n->is_excluded || job->sources[side].exclude_count || job->aside.test_count ||
                    job->aside.merchant_count || job->aside.sampled;
    n->date = rows && rows->date != DAY_NONE ? rows->date : shared->unit_day;
    n->dates_by_event = source_logs_events(job->sources[side].kind) &&
                        (source->fields[FIELD_TRADE_TIME].column || source->fields[FIELD_BILL_DATE].column);
    n->zones_differ = strcmp(day_zone_name(shared->zones[side]), day_zone_name(shared->job_zone)) != 0;
    for (unsigned f = 0; f < FIELD_SLOTS; f++) {
        const struct field_rule *rule = &source->fields[f];
        struct input *in = &n->in[f];
        in->rule = rule;
        in->cell = in->credit_cell = in->mark_cell = -1;
        in->charset = rows ? rows->charset : NULL;
        if (f == FIELD_AMOUNT || f == FIELD_FEE) {
            in->group_mark = rule->decimal == ',' ? '.' : ',';
            if (!rule->strip || !strchr(rule->strip, in->group_mark))
                in->group_mark = 0;
        }
        in->constant = rule->constant ? span_of(rule->constant) : (struct span){NULL, 0};
        if (f == FIELD_CHANNEL_CODE && !rule->column && !rule->constant && job->channel_code)
            in->constant = span_of(job->channel_code);
        if (f == FIELD_BIZ_TYPE && !rule->column && !rule->constant && job->biz_type)
            in->constant = span_of(job->biz_type);
        enum err err = OK;
        if (rule->column)
            err = find_column(n, file, rule->column, rule, find, context, &in->cell, diag);
        if (err == OK && rule->debit)
            err = find_column(n, file, rule->debit, rule, find, context, &in->cell, diag);
        if (err == OK && rule->credit)
            err = find_column(n, file, rule->credit, rule, find, context, &in->credit_cell, diag);
        if (err == OK && rule->mark_column)
            err = find_column(n, file, rule->mark_column, rule, find, context, &in->mark_cell, diag);
        const char *absent =
            NULL; /* all of them, or none: a fee without one of its parts would be too small */
        for (int i = 0; err == OK && rule->plus && rule->plus[i]; i++) {
            int column = find(context, rule->plus[i]);
            if (column >= 0)
                in->plus[in->plus_count++] = want_column(n, column);
            else
                absent = rule->plus[i];
        }
        if (in->plus_count && absent)
            err = diag_set(
                diag, ERR_INPUT, "columns",
                "order the report with this column, or say in the job what the fee is: fields: {fee: ...}",
                "%s: there is no column \"%s\", which is added to others for the fee", file, absent);
        for (int i = 0; err == OK && rule->same[0] && i < 2; i++)
            err = find_column(n, file, rule->same[i], rule, find, context, &in->same[i], diag);
        if (err == OK && rule->zone_column)
            err = find_column(n, file, rule->zone_column, rule, find, context, &in->mark_cell, diag);
        if (err != OK) {
            normalizer_close(n);
            return err;
        }
    }
    const struct source_spec *spec = &job->sources[side];
    for (int i = 0; i < spec->where_count + spec->exclude_count; i++) {
        int is_where = i < spec->where_count;
        const struct condition *condition =
            is_where ? &spec->where[i] : &spec->exclude[i - spec->where_count];
        struct asked *asked = is_where ? &n->where[n->where_count++] : &n->exclude[n->exclude_count++];
        asked->condition = condition;
        enum err err = find_column(n, file, condition->column, NULL, find, context, &asked->cell, diag);
        if (err != OK) {
            normalizer_close(n);
            return err;
        }
    }
    if (spec->carried) {
        n->carry_flags = (uint16_t)(RECORD_CARRIED | (spec->carried == CARRIED_LATE ? RECORD_LATE : 0));
        for (int i = 0; i < CARRY_COLUMNS; i++) {
            static const struct field_rule may_lack = {.optional = 1}; /* files of before there were pairs */
            enum err err = find_column(n, file, carry_column_name((enum carry_column)i),
                                       i == CARRY_PAIR ? &may_lack : NULL, find, context, &n->carry[i], diag);
            if (err != OK) {
                normalizer_close(n);
                return err;
            }
        }
    }
    n->occurrence_field = -1;
    n->log_name = span_of(spec->log_name ? spec->log_name : "");
    for (int i = 0; i < source->occurrence_count; i++) {
        enum err err = find_column(n, file, source->occurrence[i], NULL, find, context,
                                   &n->occurrence[n->occurrence_count++], diag);
        if (err != OK) {
            normalizer_close(n);
            return err;
        }
    }
    for (int i = 0; source->occurrence_count == 0 && occurrence && occurrence[i] && i < OCCURRENCE_PARTS_MAX;
         i++) {
        enum err err = find_column(n, file, occurrence[i], NULL, find, context,
                                   &n->occurrence[n->occurrence_count++], diag);
        if (err != OK) {
            normalizer_close(n);
            return err;
        }
    }
    if (n->occurrence_count == 0 && side == CHANNEL)
        n->occurrence_field = FIELD_CHANNEL_ORDER_NO;

    const struct key_spec *key = &job->match.keys[0];
    for (int i = 0; i < key->part_count; i++) {
        if (key->parts[i] == FIELD_CHANNEL_CODE)
            n->key_has_channel = 1;
        else
            n->key_parts[n->key_part_count++] = key->parts[i];
    }
    for (int i = 0; i < job->match.compare_count; i++) {
        if (job->match.compare[i] == FIELD_STATUS)
            n->status_in_sigma = 1;
        else
            n->extras[n->extra_count++] = job->match.compare[i];
    }
    for (int k = 0; k < job->match.key_count; k++)
        for (int i = 0; i < job->match.keys[k].part_count; i++) {
            unsigned field = job->match.keys[k].parts[i];
            int seen = field_is_odd(field) || n->in[field].cell < 0;
            for (int c = 0; c < n->key_cell_count && !seen; c++)
                seen = n->key_cells[c] == n->in[field].cell;
            if (!seen)
                n->key_cells[n->key_cell_count++] = n->in[field].cell;
        }
    n->plain = !n->is_image && !n->zones_differ && job->cut_minutes == 0 && n->key_part_count == 1 &&
               !field_is_odd(n->key_parts[0]) && n->extra_count == 0 && n->in[FIELD_BILL_DATE].cell < 0 &&
               !shared->cut_by_date[side];
    static const unsigned plain_fields[] = {FIELD_CURRENCY, FIELD_AMOUNT,     FIELD_DIRECTION,   FIELD_FEE,
                                            FIELD_STATUS,   FIELD_TRADE_TIME, FIELD_CHANNEL_CODE};
    for (size_t i = 0; i < sizeof plain_fields / sizeof plain_fields[0]; i++) {
        const struct input *in = &n->in[plain_fields[i]];
        n->plain = n->plain && !in->rule->strip && !in->rule->map_count && !in->rule->debit &&
                   !in->rule->credit && in->rule->unit == UNIT_MAJOR && in->rule->sign <= SIGN_SIGNED &&
                   !in->rule->none && !in->rule->mark_debit && !in->rule->zone_count &&
                   in->rule->time_format == TIME_ANY && in->rule->decimal != ',' && !in->charset &&
                   (in->constant.size == 0 || plain_fields[i] == FIELD_CHANNEL_CODE);
    }
    n->plain = n->plain && !n->where_count && !n->sets_aside && !n->in[FIELD_CURRENCY].rule->of_order &&
               n->in[FIELD_AMOUNT].cell >= 0 && !n->in[n->key_parts[0]].rule->none &&
               !n->in[n->key_parts[0]].rule->strip && !n->in[n->key_parts[0]].rule->map_count;
    n->fee_income = fee_is_income(n->in[FIELD_FEE].rule);
    n->takes_cost = job_matches_gross(job);
    n->takes_own = n->takes_cost && side == CHANNEL;
    n->computes_fee = job->match.fees == FEES_SCHEDULE && side == LOCAL;
    if (n->computes_fee) /* what is computed has the bill's sign */
        n->fee_income = job_fee_is_income(job, CHANNEL);
    n->plain = n->plain && !n->takes_cost;
    n->counts = job_counts(job, side);
    if (n->plain)
        make_plan(n);
    n->keeps_ids = shared->keeps_ids && !n->is_image && !spec->carried;
    if (n->plain) {
        plan_ids(n);
        plan_order(n);
        n->plan.told = told_column(n);
        n->plan.told_constant = n->in[n->side == CHANNEL ? FIELD_CHANNEL_ORDER_NO : FIELD_BIZ_TYPE].constant;
        if (!n->plan.told_constant.data)
            n->plan.told_constant = (struct span){"", 0};
    }
    n->layout.has_extras = n->extra_count > 0 || n->takes_cost;
    n->stands_by_id = n->is_image || spec->carried_fold;
    n->layout.has_fold = (uint8_t)n->stands_by_id;
    if (n->is_image)
        make_image_plan(n);
    n->plain_lean = !n->is_image && !n->zones_differ && job->cut_minutes == 0 &&
                    n->in[FIELD_BILL_DATE].cell < 0 && n->in[FIELD_AMOUNT].cell >= 0 &&
                    !n->in[FIELD_CURRENCY].rule->of_order && !n->in[FIELD_STATUS].rule->map_count &&
                    !n->in[FIELD_STATUS].rule->strip;
    static const unsigned lean_fields[] = {FIELD_CURRENCY, FIELD_AMOUNT, FIELD_DIRECTION, FIELD_TRADE_TIME};
    for (size_t i = 0; i < sizeof lean_fields / sizeof lean_fields[0]; i++) {
        const struct input *in = &n->in[lean_fields[i]];
        n->plain_lean = n->plain_lean && !in->rule->strip && !in->rule->map_count && !in->rule->debit &&
                        !in->rule->credit && in->rule->unit == UNIT_MAJOR && in->rule->sign <= SIGN_SIGNED &&
                        !in->rule->none && !in->rule->mark_debit && !in->rule->zone_count &&
                        in->rule->time_format == TIME_ANY && in->rule->decimal != ',' && !in->charset &&
                        in->constant.size == 0;
    }
    *out = n;
    return OK;
}

enum err normalizer_open(struct normalizer **out, const struct norm_shared *shared, enum side side,
                         const char *file, const char *const *occurrence, column_find_fn *find, void *context,
                         struct diag *diag)
{
    const struct source_spec *source = &shared->job->sources[side];
    struct source_part part = {source->fields, source->occurrence, source->occurrence_count};
    return open_part(out, shared, side, &part, NULL, file, occurrence, find, context, diag);
}

enum err normalizer_open_rows(struct normalizer **out, const struct norm_shared *shared, enum side side,
                              const struct norm_rows *rows, const char *file, column_find_fn *find,
                              void *context, struct diag *diag)
{
    struct source_part part = {rows->type->fields, rows->type->occurrence, rows->type->occurrence_count};
    return open_part(out, shared, side, &part, rows, file, NULL, find, context, diag);
}

void normalizer_close(struct normalizer *n)
{
    mem_give(n);
}

const int *normalizer_columns(const struct normalizer *n, int *count)
{
    *count = n->column_count;
    return n->columns;
}

const struct plain_plan *normalizer_plain(const struct normalizer *n)
{
    return n->plain && n->plan.key >= 0 && n->plan.amount >= 0 && !(n->counts && n->plan.notes_odd) &&
                   !(n->keeps_ids && n->plan.ids_odd)
               ? &n->plan
               : NULL;
}

struct record_layout normalizer_layout(const struct normalizer *n)
{
    return n->layout;
}

struct record_layout normalizer_layout_of(const struct job *job, enum side side)
{
    int extras = job_matches_gross(job);
    for (int i = 0; i < job->match.compare_count; i++)
        extras |= job->match.compare[i] != FIELD_STATUS;
    return (struct record_layout){.has_extras = (uint8_t)extras,
                                  .has_fold = (uint8_t)source_tells_images(job->sources[side].kind)};
}

/* ---- reading cells ---- */

/* A cell as text. The bytes live in the decoder's buffer or in the scratch, until the next call. */
static inline struct span cell_text(struct norm_scratch *s, const struct cell *c)
{
    switch (c->kind) {
    case CELL_TEXT:
        return cell_span(c);
    case CELL_INT:
        return cell_number_print(s->number, c->i64 < 0 ? 0 - (uint64_t)c->i64 : (uint64_t)c->i64, c->i64 < 0);
    case CELL_UINT:
        return cell_number_print(s->number, c->u64, 0);
    case CELL_DECIMAL:
        return cell_decimal_print(s->number, c);
    case CELL_WALL:
        return (struct span){s->number, clock_print(s->number, c->i64)};
    case CELL_EPOCH: { /* a moment where text is wanted: in UTC, and saying so */
        const size_t size = clock_print(s->number, c->i64);
        s->number[size] = 'Z';
        return (struct span){s->number, size + 1};
    }
    default:
        return (struct span){"", 0};
    }
}

/* Bytes of the character that begins here; 1 where none does. */
static inline size_t utf8_length(const char *text, size_t size)
{
    uint8_t lead = (uint8_t)text[0];
    size_t step = lead < 0xC2 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 1;
    for (size_t i = 1; i < step; i++)
        if (i >= size || ((uint8_t)text[i] & 0xC0) != 0x80)
            return 1;
    return step;
}

/* Whole characters are compared: what is part of one is never taken out of another. */
static int is_dropped(const char *drop, const char *text, size_t size)
{
    if (size == 1)
        return (uint8_t)text[0] < 0x80 && strchr(drop, text[0]) != NULL;
    for (const char *p = drop; *p; p += utf8_length(p, strlen(p)))
        if (strncmp(p, text, size) == 0)
            return 1;
    return 0;
}

/* `keep`: a character that stays although it is in `drop`; 0: none. */
static struct span strip_text(struct norm_scratch *s, const char *drop, char keep, struct span text)
{
    if (text.size > NORM_STRIP_MAX)
        return text;
    size_t size = 0;
    for (size_t i = 0, step; i < text.size; i += step) {
        step = utf8_length(text.data + i, text.size - i);
        if (text.data[i] && text.data[i] != keep && is_dropped(drop, text.data + i, step))
            continue;
        memcpy(s->strip + size, text.data + i, step);
        size += step;
    }
    return (struct span){s->strip, size};
}

/* A cell's text in UTF-8. ASCII, which is nearly all of what is used, is the same in every charset here. */
static inline struct span utf8_text(struct norm_scratch *s, const char *charset, struct span text)
{
    if (LIKELY(!charset || text_is_ascii(text)))
        return text;
    if (!s->wide && !(s->wide = mem_take(NORM_STRIP_MAX))) {
        s->bad_charset = 1;
        return (struct span){"", 0};
    }
    size_t size = to_utf8_convert(&s->charset, charset, text, s->wide, NORM_STRIP_MAX);
    if (size == SIZE_MAX) {
        s->bad_charset = 1;
        return (struct span){"", 0};
    }
    return (struct span){s->wide, size};
}

/* Whether every `mark` in a number stands where one groups digits: three behind the last, two or three behind others.
 * Elsewhere it may stand for decimals, and without it 12,50 would be 1250. */
static int groups_digits(struct span text, char mark)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != mark)
            continue;
        size_t digits = 0;
        while (i + 1 + digits < text.size && (uint8_t)(text.data[i + 1 + digits] - '0') <= 9)
            digits++;
        int is_last = i + 1 + digits == text.size || text.data[i + 1 + digits] != mark;
        if (i == 0 || (uint8_t)(text.data[i - 1] - '0') > 9 || (digits != 3 && (is_last || digits != 2)))
            return 0;
    }
    return 1;
}

static struct span without(char *text, size_t size, char mark)
{
    size_t kept = 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] != mark)
            text[kept++] = text[i];
    return (struct span){text, kept};
}

/* A field's text after strip rules; the constant where it has no column. No maps yet. */
static inline struct span input_text(struct norm_scratch *s, const struct input *in, const struct cell *cells)
{
    if (in->cell < 0)
        return in->constant;
    struct span text = utf8_text(s, in->charset, cell_text(s, &cells[in->cell]));
    if (UNLIKELY(in->rule->strip != NULL)) {
        text = strip_text(s, in->rule->strip, in->group_mark, text);
        if (in->group_mark &&
            groups_digits(text, in->group_mark)) /* else it stays, and makes the text no number */
            text = without(s->strip, text.size, in->group_mark);
    }
    if (UNLIKELY(in->rule->none != NULL) && span_is(text, in->rule->none))
        return (struct span){"", 0};
    return text;
}

/* "ALIPAY", or "AL*" for all that begin so. */
static int fits(struct span text, const char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        struct span word = span_of(words[i]);
        if (word.size && word.data[word.size - 1] == '*'
                ? text.size + 1 >= word.size && memcmp(text.data, word.data, word.size - 1) == 0
                : span_equal(text, word))
            return 1;
    }
    return 0;
}

static int holds(struct norm_scratch *s, const struct asked *asked, const char *charset,
                 const struct cell *cells)
{
    return fits(utf8_text(s, charset, cell_text(s, &cells[asked->cell])), asked->condition->words,
                asked->condition->word_count);
}

int normalizer_filters(const struct normalizer *n)
{
    return n->where_count != 0;
}

int normalizer_wants(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells)
{
    for (int i = 0; i < n->where_count; i++)
        if (!holds(s, &n->where[i], n->in[FIELD_BIZ_ORDER_NO].charset, cells))
            return 0;
    return 1;
}

/* 0 when the word is outside the map. */
static int map_word(const struct field_rule *rule, struct span *word)
{
    if (rule->map_count == 0)
        return 1;
    for (int i = 0; i < rule->map_count; i++)
        if (span_is(*word, rule->map[i].from)) {
            *word = span_of(rule->map[i].to);
            return 1;
        }
    if (!rule->map_other)
        return 0;
    *word = span_of(rule->map_other);
    return 1;
}

static inline int parse_money(const struct field_rule *rule, struct span text, uint8_t currency,
                              int64_t *micro)
{
    char point[MONEY_TEXT_MAX];
    if (UNLIKELY(rule->decimal == ',')) {
        text = (struct span){point, money_uncomma(text.data, text.size, point)};
        if (!text.size)
            return 0;
    }
    if (LIKELY(rule->unit == UNIT_MAJOR))
        return money_parse(text.data, text.size, micro);
    if (rule->unit == UNIT_MINOR && !currency_has_minor(currency))
        return 0;
    return money_parse_minor(text.data, text.size, rule->unit == UNIT_MINOR ? currency_exponent(currency) : 2,
                             micro);
}

/* "CRDT", or "C*" for all that begin so. */
static int fits_mark(struct span text, const char *mark)
{
    const struct span word = span_of(mark);
    if (word.size < 2 || word.data[word.size - 1] != '*')
        return span_equal(text, word);
    return text.size + 1 >= word.size && memcmp(text.data, word.data, word.size - 1) == 0;
}

/* What the sign means, and the letter that stands before the digits or in a column of its own. 0: another than
 * the profile says. */
static int apply_sign(struct norm_scratch *s, const struct input *in, const struct cell *cells,
                      int64_t *micro, int debit)
{
    const struct field_rule *rule = in->rule;
    if (in->mark_cell >= 0) {
        struct span mark = utf8_text(s, in->charset, cell_text(s, &cells[in->mark_cell]));
        debit = fits_mark(mark, rule->mark_debit);
        if (!debit && !fits_mark(mark, rule->mark_credit) && *micro != 0)
            return 0;
    }
    if (rule->mark_debit && *micro < 0)
        return 0;
    if ((rule->sign == SIGN_POSITIVE && *micro < 0) || (rule->sign == SIGN_NEGATIVE && *micro > 0))
        return 0;
    if (debit || rule->sign == SIGN_COST)
        *micro = -*micro;
    return 1;
}

/* A fee that stands in several columns. As read_money. */
static int read_sum(struct norm_scratch *s, const struct input *in, const struct cell *cells,
                    uint8_t currency, int64_t *micro)
{
    int seen = 0;
    *micro = 0;
    if (in->rule->same[0] &&
        !span_equal(cell_text(s, &cells[in->same[0]]), cell_text(s, &cells[in->same[1]])))
        return 2;
    for (int i = -1; i < in->plus_count; i++) {
        struct input one = *in;
        int64_t part;
        if (i >= 0)
            one.cell = in->plus[i];
        struct span text = input_text(s, &one, cells);
        if (text.size == 0)
            continue;
        seen = 1;
        if (!parse_money(in->rule, text, currency, &part) || !apply_sign(s, in, cells, &part, 0) ||
            __builtin_add_overflow(*micro, part, micro))
            return 0;
    }
    return seen ? 1 : 2;
}

/* Amount or fee of one or two columns. 1: read, 0: bad, 2: empty. `*out` is set for a debit. */
static inline int read_money(struct norm_scratch *s, const struct input *in, const struct cell *cells,
                             uint8_t currency, int64_t *micro, int *is_debit)
{
    *is_debit = 0;
    if (LIKELY(!in->rule->debit && !in->rule->credit)) {
        if (UNLIKELY(in->plus_count || in->rule->same[0]))
            return read_sum(s, in, cells, currency, micro);
        struct span text = input_text(s, in, cells);
        if (text.size == 0)
            return 2;
        if (LIKELY(in->rule->sign <= SIGN_SIGNED && !in->rule->mark_debit))
            return parse_money(in->rule, text, currency, micro);
        if (in->rule->mark_debit && in->mark_cell < 0) { /* "D000000000120" */
            struct span debit = span_of(in->rule->mark_debit), credit = span_of(in->rule->mark_credit);
            *is_debit = text.size > debit.size && memcmp(text.data, debit.data, debit.size) == 0;
            if (!*is_debit &&
                (text.size <= credit.size || memcmp(text.data, credit.data, credit.size) != 0)) {
                if (!parse_money(in->rule, text, currency, micro) || *micro != 0)
                    return 0;
                return 1; /* zero needs no letter */
            }
            size_t skip = *is_debit ? debit.size : credit.size;
            text.data += skip;
            text.size -= skip;
        }
        int read = parse_money(in->rule, text, currency, micro) && apply_sign(s, in, cells, micro, *is_debit);
        *is_debit = in->rule->mark_debit && *micro < 0;
        return read;
    }
    int64_t debit = 0, credit = 0;
    int seen = 0;
    if (in->cell >= 0) {
        struct span text = input_text(s, in, cells);
        if (text.size && !(seen = parse_money(in->rule, text, currency, &debit)))
            return 0;
    }
    if (in->credit_cell >= 0) {
        struct input credit_in = *in;
        credit_in.cell = in->credit_cell;
        struct span text = input_text(s, &credit_in, cells);
        if (text.size && !parse_money(in->rule, text, currency, &credit))
            return 0;
        seen |= text.size != 0;
    }
    if (!seen)
        return 2;
    if (debit && credit)
        return 0;
    *is_debit = debit != 0;
    *micro = debit ? -(debit < 0 ? -debit : debit) : credit;
    return 1;
}

struct core_fields {
    int64_t amount, fee, cost;
    int64_t wall_us; /* of trade_time, in the job's zone; TIME_NONE */
    int64_t time_us;
    struct span status;
    uint16_t day;
    uint8_t currency, out, has_fee, date_disagrees;
    uint8_t undated; /* the day is only the unit's */
    uint8_t is_timeless;
};

/* Eight bytes "HH:MM:SS" as seconds of the day, or -1. All digits are checked at once. */
static inline int seconds_of_day(const char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    const uint64_t colons = 0x00003A00003A0000ull, colon_mask = 0x0000FF0000FF0000ull,
                   digit_mask = ~colon_mask;
    if ((v & colon_mask) != colons)
        return -1;
    uint64_t d = (v & digit_mask) - (0x3030303030303030ull & digit_mask);
    /* A digit is 0..9: adding 0x76 sets the top bit of any byte above, and a byte below 0x30 has borrowed. */
    if (((d + (0x7676767676767676ull & digit_mask)) | d) & 0x8080808080808080ull)
        return -1;
    unsigned h = (unsigned)(d & 0xFF) * 10 + (unsigned)(d >> 8 & 0xFF);
    unsigned m = (unsigned)(d >> 24 & 0xFF) * 10 + (unsigned)(d >> 32 & 0xFF);
    unsigned s = (unsigned)(d >> 48 & 0xFF) * 10 + (unsigned)(d >> 56);
    return h > 23 || m > 59 || s > 59 ? -1 : (int)((h * 60 + m) * 60 + s);
}

/* The usual time, "2026-11-19 08:15:30" or with a fraction, whose date is that of the row before. */
static inline int time_quick(const struct norm_scratch *s, struct span text, int64_t *wall_us)
{
    uint64_t head;
    uint16_t rest;
    if (text.size < 19 || text.size > 26 || text.size == 20)
        return 0;
    memcpy(&head, text.data, 8);
    memcpy(&rest, text.data + 8, 2);
    if (head != s->date_memo || rest != s->date_memo_rest)
        return 0;
    const char *p = text.data + 10;
    int seconds;
    if ((p[0] != ' ' && p[0] != 'T') || (seconds = seconds_of_day(p + 1)) < 0)
        return 0;
    int64_t us = 0, scale = 100000;
    if (text.size > 19) {
        if (text.data[19] != '.')
            return 0;
        for (size_t i = 20; i < text.size; i++, scale /= 10) {
            unsigned digit = (unsigned char)text.data[i] - '0';
            if (digit > 9)
                return 0;
            us += scale * digit;
        }
    }
    *wall_us = (s->date_memo_count * 86400 + seconds) * 1000000 + us;
    return 1;
}

/* Up to 7 bytes, with digits behind them. May read more, inside the page. */
__attribute__((no_sanitize("address", "thread"))) static inline uint64_t load_behind(const char *text,
                                                                                     size_t size)
{
    uint64_t v;
    const char *bytes = text;
    __asm__("" : "+r"(bytes));
    __builtin_memcpy(&v, bytes, 8);
    const unsigned keep = 8 * (unsigned)size;
    return (v & (((uint64_t)1 << keep) - 1)) | 0x3030303030303030ull << keep;
}

/* Whether time_quick takes it, without what the time is. */
static inline int time_is_usual(const struct norm_scratch *s, struct span text)
{
    uint64_t head, clock, fraction;
    uint16_t rest;
    if (text.size < 19 || text.size > 26 || text.size == 20 || short_crosses_page(text.data + 12))
        return 0;
    memcpy(&head, text.data, 8);
    memcpy(&rest, text.data + 8, 2);
    memcpy(&clock, text.data + 11, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return 0;
#endif
    /* Digits of a clock become 0..9 at most, those of minutes' and seconds' tens 0..5; 0x76 and 0x7A carry
     * what is more into the top bit. */
    const uint64_t d = clock ^ 0x30303A30303A3030ull;
    const unsigned hour = (unsigned)(d & 0xFF) * 10 + (unsigned)(d >> 8 & 0xFF);
    uint64_t odd = ((d + 0x767A7F767A7F7676ull) | d) & 0x8080808080808080ull;
    if (text.size > 19) {
        fraction = load_behind(text.data + 19, text.size - 19);
        const uint64_t f = fraction ^ 0x303030303030302Eull;
        odd |= ((f + 0x767676767676767Full) | f) & 0x8080808080808080ull;
    }
    return head == s->date_memo && rest == s->date_memo_rest &&
           (text.data[10] == ' ' || text.data[10] == 'T') && !odd && hour <= 23;
}

static inline void time_remember(struct norm_scratch *s, struct span text, int64_t wall_us)
{
    if (text.size < 19 || (text.data[10] != ' ' && text.data[10] != 'T'))
        return;
    memcpy(&s->date_memo, text.data, 8);
    uint16_t rest;
    memcpy(&rest, text.data + 8, 2);
    s->date_memo_rest = rest;
    s->date_memo_count = wall_us / 86400000000LL - (wall_us % 86400000000LL < 0);
    const int64_t day = s->date_memo_count + DAY_BASE;
    memset(s->time_memo, 0, sizeof s->time_memo);
    if (day > 0 && day <= UINT16_MAX) {
        memcpy(s->time_memo, text.data, 11);
        s->time_memo_day = (uint16_t)day;
    }
}

/* "+08:00", which the profile's reader has checked. */
static int64_t offset_us(const char *text)
{
    int64_t minutes = ((text[1] - '0') * 10 + text[2] - '0') * 60 + (text[4] - '0') * 10 + text[5] - '0';
    return (text[0] == '-' ? -minutes : minutes) * 60000000;
}

/* "0718215916": the year is that of the day nearest to `near`, so that a file of 1 January may hold 31
 * December. */
static int time_without_year(struct norm_scratch *s, struct span text, uint16_t near, int64_t *wall_us)
{
    if (text.size != 10 || near == DAY_NONE)
        return 0;
    const char clock[8] = {text.data[4], text.data[5], ':',          text.data[6],
                           text.data[7], ':',          text.data[8], text.data[9]};
    const int seconds = seconds_of_day(clock);
    if (seconds >= 0 && near == s->yearless.near &&
        memcmp(text.data, s->yearless.date, sizeof s->yearless.date) == 0) {
        *wall_us = (s->yearless.count * 86400 + seconds) * 1000000;
        return 1;
    }
    int year, month, mday;
    day_to_civil(near, &year, &month, &mday);
    int64_t best = 0, best_distance = INT64_MAX, here = day_count_civil(year, month, mday);
    for (int y = year - 1; y <= year + 1; y++) {
        char whole[15];
        int64_t us;
        whole[0] = (char)('0' + y / 1000);
        whole[1] = (char)('0' + y / 100 % 10);
        whole[2] = (char)('0' + y / 10 % 10);
        whole[3] = (char)('0' + y % 10);
        memcpy(whole + 4, text.data, 10);
        if (time_parse(whole, 14, &us) != 1) /* 29 February is there in some years only */
            continue;
        int64_t distance = us / 86400000000LL - here;
        distance = distance < 0 ? -distance : distance;
        if (distance < best_distance) {
            best_distance = distance;
            best = us;
        }
    }
    *wall_us = best;
    if (best_distance == INT64_MAX)
        return 0;
    memcpy(s->yearless.date, text.data, sizeof s->yearless.date);
    s->yearless.near = near;
    s->yearless.count = best / 86400000000LL - (best % 86400000000LL < 0);
    return 1;
}

/* trade_time: sets wall_us (job's zone) and, where `want_epoch`, time_us. */
static inline enum reject_code read_time(const struct normalizer *n, struct norm_scratch *s,
                                         const struct cell *cells, struct core_fields *out, int want_epoch)
{
    const struct input *in = &n->in[FIELD_TRADE_TIME];
    out->wall_us = out->time_us = TIME_NONE;
    if (in->cell < 0)
        return REJECT_NONE;
    const struct zone *zone = n->shared->zones[n->side], *job_zone = n->shared->job_zone;
    const struct cell *c = &cells[in->cell];
    if (c->kind == CELL_EPOCH) {
        out->time_us = c->i64;
        out->wall_us = day_epoch_to_wall(job_zone, c->i64);
        return REJECT_NONE;
    }
    int64_t us;
    if (c->kind == CELL_WALL) {
        us = c->i64;
    } else {
        struct span text = input_text(s, in, cells);
        /* A log's zero date ("0000-00-00 00:00:00") is how MySQL writes "none" where NULL is not allowed. */
        if (text.size == 0 || (n->is_image && text.size >= 10 && memcmp(text.data, "0000-00-00", 10) == 0))
            return REJECT_NONE;
        if (UNLIKELY(in->rule->time_format != TIME_ANY)) {
            if (!time_without_year(s, text, n->date, &us))
                return REJECT_TIME;
        } else if (!time_quick(s, text, &us)) {
            int how = time_parse(text.data, text.size, &us);
            if (how == 0)
                return REJECT_TIME;
            if (how == 2) {
                out->time_us = us;
                out->wall_us = day_epoch_to_wall(job_zone, us);
                return REJECT_NONE;
            }
            time_remember(s, text, us);
        }
    }
    if (UNLIKELY(in->rule->zone_count != 0)) {
        struct span name = cell_text(s, &cells[in->mark_cell]);
        for (int i = 0; i < in->rule->zone_count; i++)
            if (span_is(name, in->rule->zones[i].from)) {
                out->time_us = us - offset_us(in->rule->zones[i].to);
                out->wall_us = day_epoch_to_wall(job_zone, out->time_us);
                return REJECT_NONE;
            }
        return REJECT_TIME;
    }
    if (LIKELY(!want_epoch && !n->zones_differ)) {
        out->wall_us = us;
        return REJECT_NONE;
    }
    out->time_us = day_wall_to_epoch(zone, us);
    out->wall_us = n->zones_differ ? day_epoch_to_wall(job_zone, out->time_us) : us;
    return REJECT_NONE;
}

/* The cell of a key that was shortened, or -1. */
static inline int shortened_key(const struct normalizer *n, const struct cell *cells)
{
    for (int i = 0; i < n->key_cell_count; i++)
        if (UNLIKELY(cells[n->key_cells[i]].kind == CELL_TEXT &&
                     text_is_shortened(cell_span(&cells[n->key_cells[i]]))))
            return n->key_cells[i];
    return -1;
}

/* The bill date of a row that states none. */
static inline uint16_t undated_day(const struct normalizer *n, const struct norm_scratch *s)
{
    return n->dates_by_event && s->event.owner == n->image.number ? s->event.day : n->shared->unit_day;
}

uint16_t normalize_event(const struct normalizer *n, struct norm_scratch *s, uint32_t seconds)
{
    const uint32_t minute = seconds / 60;
    if (LIKELY(s->event.owner == n->image.number && s->event.minute == minute))
        return s->event.day;
    s->event.owner = n->image.number;
    s->event.minute = minute;
    s->event.day = n->shared->unit_day;
    if (n->dates_by_event && seconds) {
        const int64_t wall = day_epoch_to_wall(n->shared->job_zone, (int64_t)seconds * 1000000);
        const uint16_t day = day_of_wall(wall, n->job->cut_minutes);
        if (day != DAY_NONE)
            s->event.day = day;
    }
    return s->event.day;
}

static inline enum reject_code read_core(const struct normalizer *n, struct norm_scratch *s,
                                         const struct cell *cells, struct core_fields *out, int want_epoch,
                                         int *bad_cell)
{
    if (UNLIKELY((*bad_cell = shortened_key(n, cells)) >= 0))
        return REJECT_KEY;
    const struct input *in = &n->in[FIELD_CURRENCY];
    struct span text = input_text(s, in, cells);
    *bad_cell = in->cell;
    out->currency = n->job->currency;
    if (UNLIKELY(in->rule->of_order)) {
        if (n->shared->orders && !(out->currency = order_currencies_find(n->shared->orders, text)))
            return REJECT_CURRENCY;
    } else if (text.size) {
        if (!map_word(in->rule, &text) || !(out->currency = currency_find(text.data, text.size)))
            return REJECT_CURRENCY;
    } else if (out->currency == CURRENCY_NONE) {
        return REJECT_CURRENCY;
    }

    int is_debit;
    in = &n->in[FIELD_AMOUNT];
    *bad_cell = in->cell;
    if (read_money(s, in, cells, out->currency, &out->amount, &is_debit) != 1)
        return REJECT_AMOUNT;

    in = &n->in[FIELD_DIRECTION];
    out->out = out->amount < 0 || is_debit;
    if (in->cell >= 0 || in->constant.size) {
        *bad_cell = in->cell;
        text = input_text(s, in, cells);
        if (!map_word(in->rule, &text))
            return REJECT_DIRECTION;
        if (text.size == 3 && memcmp(text.data, "OUT", 3) == 0) {
            out->amount = -out->amount;
            out->out = out->amount < 0 || out->amount == 0;
        } else if (!(text.size == 2 && memcmp(text.data, "IN", 2) == 0) &&
                   !(text.size == 0 && in->rule->optional)) {
            return REJECT_DIRECTION;
        }
    }

    in = &n->in[FIELD_FEE];
    out->fee = 0;
    out->has_fee = 0;
    if (in->cell >= 0 || in->credit_cell >= 0 || in->constant.size) {
        *bad_cell = in->cell;
        int read = read_money(s, in, cells, out->currency, &out->fee, &is_debit);
        if (read == 0)
            return REJECT_FEE;
        out->has_fee = read == 1;
    }
    if (UNLIKELY(n->computes_fee)) {
        *bad_cell = n->in[FIELD_AMOUNT].cell;
        if (!fees_schedule(&n->job->match.schedule, out->amount, out->currency, &out->fee))
            return REJECT_FEE;
        out->fee = n->fee_income ? -out->fee : out->fee;
        out->has_fee = 1;
    }
    out->cost = n->fee_income ? -out->fee : out->fee;
    int64_t gross;
    if (UNLIKELY(n->takes_own && __builtin_add_overflow(out->amount, out->cost, &gross)))
        return REJECT_FEE;

    in = &n->in[FIELD_STATUS];
    *bad_cell = in->cell;
    out->status = input_text(s, in, cells);
    if (in->cell >= 0 &&
        cells[in->cell].kind != CELL_TEXT) /* a number lives in the scratch: the map gives it a home */
        if (in->rule->map_count == 0) {
            memcpy(s->strip, out->status.data, out->status.size);
            out->status.data = s->strip;
        }
    if (in->cell >= 0 && !map_word(in->rule, &out->status))
        return REJECT_STATUS;

    *bad_cell = n->in[FIELD_TRADE_TIME].cell;
    enum reject_code code = read_time(n, s, cells, out, want_epoch);
    if (code != REJECT_NONE)
        return code;
    uint16_t time_day = DAY_NONE;
    int has_date = 0;
    if (out->wall_us != TIME_NONE && (time_day = day_of_wall(out->wall_us, n->job->cut_minutes)) == DAY_NONE)
        return REJECT_TIME;
    out->day = time_day;
    out->date_disagrees = 0;
    in = &n->in[FIELD_BILL_DATE];
    if (in->cell >= 0) {
        *bad_cell = in->cell;
        uint16_t day = DAY_NONE;
        const struct cell *c = &cells[in->cell];
        if (c->kind == CELL_WALL || c->kind == CELL_EPOCH) {
            day = day_of_wall(c->kind == CELL_WALL ? c->i64 : day_epoch_to_wall(n->shared->job_zone, c->i64),
                              0);
            if (day == DAY_NONE)
                return REJECT_DATE;
        } else {
            text = input_text(s, in, cells);
            if (text.size && (day = day_parse(text.data, text.size)) == DAY_NONE)
                return REJECT_DATE;
        }
        if (day != DAY_NONE) {
            has_date = 1;
            out->date_disagrees = time_day != DAY_NONE && time_day != day;
            out->day = day;
        }
    }
    out->undated = time_day == DAY_NONE && !has_date;
    out->is_timeless = time_day == DAY_NONE;
    s->event.gave_date = 0;
    if (out->day == DAY_NONE) {
        out->day = undated_day(n, s);
        s->event.gave_date = (uint8_t)n->dates_by_event;
    }
    return REJECT_NONE;
}

/* ---- the hot path ---- */

/* The value of a text field in sigma or in a key, after its map. */
static inline struct span text_field(const struct normalizer *n, struct norm_scratch *s,
                                     const struct cell *cells, unsigned field)
{
    const struct input *in = &n->in[field];
    struct span text = input_text(s, in, cells);
    if (UNLIKELY(in->rule->map_count != 0))
        map_word(in->rule, &text);
    return text;
}

/* A field that is no plain text (fee, dates, ...) as the bytes by which it is compared. */
static struct span odd_field(const struct core_fields *core, unsigned field, char room[24])
{
    int64_t value;
    switch (field) {
    case FIELD_FEE:
        if (!core->has_fee)
            return (struct span){"", 0};
        value = core->fee;
        break;
    case FIELD_BILL_DATE:
        value = core->day;
        break;
    case FIELD_TRADE_TIME:
        if (core->wall_us == TIME_NONE)
            return (struct span){"", 0};
        value = core->time_us;
        break;
    case FIELD_AMOUNT:
        value = core->amount;
        break;
    case FIELD_DIRECTION:
        value = core->out;
        break;
    default: /* FIELD_CURRENCY */
        value = core->currency;
        break;
    }
    memcpy(room, &value, sizeof value);
    return (struct span){room, sizeof value};
}

static inline struct span any_field(const struct normalizer *n, struct norm_scratch *s,
                                    const struct cell *cells, const struct core_fields *core, unsigned field,
                                    char room[24])
{
    if (UNLIKELY(field_is_odd(field)))
        return odd_field(core, field, room);
    return field == FIELD_STATUS ? core->status : text_field(n, s, cells, field);
}

static inline void put_u16(uint8_t *p, size_t value)
{
    uint16_t v = (uint16_t)value;
    memcpy(p, &v, 2);
}

/* A part of a tuple, behind `size` bytes of it. SIZE_MAX: no room. */
static size_t put_tuple_part(char *out, size_t size, size_t room, struct span part, int is_first)
{
    if (size + 2 * part.size + 1 > room)
        return SIZE_MAX;
    if (!is_first)
        out[size++] = '|';
    for (size_t k = 0; k < part.size; k++) {
        if (part.data[k] == '|' || part.data[k] == '\\')
            out[size++] = '\\';
        out[size++] = part.data[k];
    }
    return size;
}

/* What tells a row apart from others of its source. */
static size_t row_id_text(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                          struct span source_name, char *out, size_t room)
{
    size_t size = 0, filled = 0;
    if (UNLIKELY(source_name.size) && (size = put_tuple_part(out, 0, room, source_name, 1)) == SIZE_MAX)
        return SIZE_MAX;
    for (int i = 0; i < n->occurrence_count; i++) {
        struct span part =
            utf8_text(s, n->in[FIELD_BIZ_ORDER_NO].charset, cell_text(s, &cells[n->occurrence[i]]));
        const struct cell *c = &cells[n->occurrence[i]];
        char number[24];
        if (c->kind == CELL_WALL || c->kind == CELL_EPOCH)
            part = cell_number_print(number, c->u64, 0);
        filled += part.size;
        if (n->occurrence_count == 1 && LIKELY(!source_name.size)) {
            if (part.size > room)
                return SIZE_MAX;
            memcpy(out, part.data, part.size);
            return part.size;
        }
        size = put_tuple_part(out, size, room, part, i == 0 && !source_name.size);
        if (size == SIZE_MAX)
            return SIZE_MAX;
    }
    return filled ? size : 0;
}

/* The occurrence id: what tells a row apart from all others of its side. */
static size_t occurrence_text(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                              char *out, size_t room)
{
    return row_id_text(n, s, cells, n->log_name, out, room);
}

/* The same, to stay. {NULL, 0}: memory is out. Nothing said when the row was read first that its id is long, so it may be as long as it is. */
static struct span occurrence_in(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                                 struct arena *arena)
{
    char usual[OCCURRENCE_TEXT_MAX]; /* not the arena's: rows by the thousand are held there */
    size_t size = occurrence_text(n, s, cells, usual, sizeof usual);
    if (LIKELY(size != SIZE_MAX))
        return arena_copy(arena, (struct span){usual, size});
    char *text = NULL;
    for (size_t room = 2 * sizeof usual; size == SIZE_MAX; room *= 2) {
        char *const grown = mem_grow(text, room);
        if (!grown) {
            mem_give(text);
            return (struct span){NULL, 0};
        }
        text = grown;
        size = occurrence_text(n, s, cells, text, room);
    }
    const struct span id = arena_copy(arena, (struct span){text, size});
    mem_give(text);
    return id;
}

static int by_text(const void *key, const void *word)
{
    const struct span text = *(const struct span *)key;
    return span_compare(text, span_of(*(const char *const *)word));
}

/* 1 when the record is of the share that is kept: by FNV-1a of the texts, each behind its length, so that both sides keep
 * the same. */
static int is_sampled(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells)
{
    const struct aside_rules *aside = &n->job->aside;
    uint64_t hash = 14695981039346656037ull;
    size_t all = 0;
    for (int i = 0; i < aside->sample_by.part_count; i++) {
        const struct span text = text_field(n, s, cells, aside->sample_by.parts[i]);
        for (int shift = 24; shift >= 0; shift -= 8)
            hash = (hash ^ (text.size >> shift & 0xFF)) * 1099511628211ull;
        for (size_t k = 0; k < text.size; k++)
            hash = (hash ^ (uint8_t)text.data[k]) * 1099511628211ull;
        all += text.size;
    }
    return all == 0 || hash % 1000000 < aside->sample_ppm;
}

/* P0: the flags of a record that meets nobody, 0 of the others. */
static uint16_t set_aside(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells)
{
    const struct aside_rules *aside = &n->job->aside;
    for (int i = 0; i < n->exclude_count; i++)
        if (holds(s, &n->exclude[i], n->in[FIELD_BIZ_ORDER_NO].charset, cells))
            return RECORD_EXCLUDED;
    if (n->is_excluded)
        return RECORD_EXCLUDED;
    for (int i = 0; i < aside->test_count; i++)
        if (fits(text_field(n, s, cells, aside->test[i].field), aside->test[i].words,
                 aside->test[i].word_count))
            return RECORD_EXCLUDED | RECORD_TEST;
    if (aside->merchant_count) {
        const struct span merchant = text_field(n, s, cells, FIELD_MERCHANT_NO);
        if (merchant.size && !bsearch(&merchant, aside->merchants, (size_t)aside->merchant_count,
                                      sizeof *aside->merchants, by_text))
            return RECORD_EXCLUDED | RECORD_ALIEN;
    }
    return aside->sampled && !is_sampled(n, s, cells) ? RECORD_EXCLUDED | RECORD_SAMPLED_OUT : 0;
}

/* Channel number, key bytes and hash. `*behind` is the byte behind the key. */
static inline enum reject_code put_record_key(const struct normalizer *n, struct norm_scratch *s,
                                              const struct cell *cells, const struct core_fields *core,
                                              struct record *r, uint8_t **behind)
{
    int no_key = 0;
    if (n->key_has_channel) {
        struct span channel = text_field(n, s, cells, FIELD_CHANNEL_CODE);
        no_key = channel.size == 0;
        r->channel = dict_number(n->shared->words, &s->words, channel);
        if (UNLIKELY(r->channel == DICT_FULL))
            return REJECT_WORDS;
    }
    uint8_t *p = r->var + (n->layout.has_fold ? RECORD_FOLD_BYTES : 0), *const end = record_var_end(r);
    uint8_t *const key = p;
    char room[24];
    if (LIKELY(n->key_part_count == 1)) {
        struct span part = any_field(n, s, cells, core, n->key_parts[0], room);
        if (UNLIKELY(part.size > (size_t)(end - p)))
            return REJECT_TOO_LONG;
        no_key |= part.size == 0;
        memcpy(p, part.data, part.size);
        p += part.size;
    } else {
        for (int i = 0; i < n->key_part_count; i++) {
            struct span part = any_field(n, s, cells, core, n->key_parts[i], room);
            if (part.size + 2 > (size_t)(end - p))
                return REJECT_TOO_LONG;
            no_key |= part.size == 0;
            put_u16(p, part.size);
            memcpy(p + 2, part.data, part.size);
            p += 2 + part.size;
        }
    }
    if (UNLIKELY(n->sets_aside)) {
        const uint16_t aside = set_aside(n, s, cells);
        r->flags |= aside;
        no_key |= aside != 0;
    }
    if (UNLIKELY(no_key)) {
        r->flags |= RECORD_NO_KEY;
        if (n->stands_by_id) { /* its images must still find each other */
            size_t size = occurrence_text(n, s, cells, (char *)key, (size_t)(end - key));
            if (size == SIZE_MAX)
                return REJECT_TOO_LONG;
            p = key + size;
            r->channel = 0;
        }
    }
    r->key_size = (uint16_t)(p - key);
    uint64_t hash = hash_bytes(key, r->key_size, n->shared->hash_seed + r->channel);
    r->hash_lo = (uint32_t)hash;
    r->hash_hi = (uint32_t)(hash >> 32);
    *behind = p;
    return REJECT_NONE;
}

/* What stands behind a part of a tuple, where its first one is that part; else NULL. */
static const char *behind_part(const char *at, const char *end, const char *part)
{
    for (; *part; part++) {
        if ((*part == '|' || *part == '\\') && (at == end || *at++ != '\\'))
            return NULL;
        if (at == end || *at++ != *part)
            return NULL;
    }
    return at < end && *at == '|' ? at + 1 : NULL;
}

/* The id of a carried row that one of several logs told: as images have it, without the log's name. Gives its new size; `*log`: which one. */
static size_t id_in_log(const struct normalizer *n, char *id, size_t size, uint8_t *log)
{
    const char *const end = id + size, *rest = NULL;
    int several = 0;
    *log = 0;
    if (n->job->part_count[n->side] < 2 || !n->job->parts[n->side][0].log_name)
        return size;
    for (int i = 0; !rest && i < n->job->part_count[n->side]; i++) {
        rest = behind_part(id, end, n->job->parts[n->side][i].log_name);
        *log = (uint8_t)i;
    }
    if (!rest) {
        *log = RECORD_LOG_NONE;
        return size;
    }
    for (const char *at = rest; at < end; at += 1 + (*at == '\\'))
        several |= *at == '|';
    size = 0;
    while (rest < end) {
        rest += !several && *rest == '\\' && rest + 1 < end;
        id[size++] = *rest++;
    }
    return size;
}

static inline enum reject_code put_occurrence(const struct normalizer *n, struct norm_scratch *s,
                                              const struct cell *cells, struct record *r, uint8_t *p)
{
    uint8_t *const end = record_var_end(r);
    if (end - p < 2)
        return REJECT_TOO_LONG;
    /* The index knows by the place which of several logs it is. */
    size_t size = row_id_text(n, s, cells, (struct span){"", 0}, (char *)p + 2, (size_t)(end - p) - 2);
    if (size == SIZE_MAX)
        return REJECT_TOO_LONG;
    if (UNLIKELY(n->carry_flags))
        size = id_in_log(n, (char *)p + 2, size, &r->var[0]);
    put_u16(p, size);
    return REJECT_NONE;
}

/* The usual row of a plain source, in few instructions. 0 when anything about it is unusual: the general path
 * then has the last word, also on whether it is a reject. Both give the same record for the rows that this
 * one takes (tests/unit/core/rules). */
static inline __attribute__((always_inline)) int
take_plain(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells, struct record *r)
{
    const struct input *const in = n->in;
    uint8_t currency = n->job->currency;
    if (UNLIKELY(shortened_key(n, cells) >= 0))
        return 0;
    if (in[FIELD_CURRENCY].cell >= 0) {
        struct span text = cell_span(&cells[in[FIELD_CURRENCY].cell]);
        if (text.size != 3)
            return 0;
        uint32_t code = (uint32_t)(uint8_t)text.data[0] | (uint32_t)(uint8_t)text.data[1] << 8 |
                        (uint32_t)(uint8_t)text.data[2] << 16;
        if (UNLIKELY(code != s->currency_memo)) {
            if (!(currency = currency_find(text.data, 3)))
                return 0;
            s->currency_memo = code;
            s->currency_memo_index = currency;
        }
        currency = s->currency_memo_index;
    }
    struct span text = cell_span(&cells[in[FIELD_AMOUNT].cell]);
    int negative = text.size && text.data[0] == '-';
    int64_t amount, fee;
    if (UNLIKELY(currency == CURRENCY_NONE ||
                 !money_quick(text.data + negative, text.size - (size_t)negative, &amount)))
        return 0;
    int out = negative && amount != 0;
    if (negative)
        amount = -amount;
    if (in[FIELD_DIRECTION].cell >= 0) {
        text = cell_span(&cells[in[FIELD_DIRECTION].cell]);
        if (text.size == 3 && text.data[0] == 'O' && text.data[1] == 'U' && text.data[2] == 'T') {
            amount = -amount;
            out = amount <= 0;
        } else if (!(text.size == 2 && text.data[0] == 'I' && text.data[1] == 'N')) {
            return 0;
        }
    }
    if (in[FIELD_FEE].cell >= 0) {
        text = cell_span(&cells[in[FIELD_FEE].cell]);
        negative = text.size && text.data[0] == '-';
        if (text.size && UNLIKELY(!money_quick(text.data + negative, text.size - (size_t)negative, &fee)))
            return 0;
    }
    uint16_t day = n->shared->unit_day;
    if (in[FIELD_TRADE_TIME].cell >= 0) {
        if (UNLIKELY(!time_is_usual(s, cell_span(&cells[in[FIELD_TRADE_TIME].cell]))))
            return 0;
        int64_t count = s->date_memo_count + DAY_BASE; /* the cut is midnight */
        if (UNLIKELY(count <= 0 || count > UINT16_MAX))
            return 0;
        day = (uint16_t)count;
    }
    r->amount_micro = amount;
    r->day = day;
    r->currency = currency;
    r->flags = (uint16_t)((n->side == CHANNEL ? RECORD_CHANNEL : 0) | (out ? RECORD_OUT : 0));
    r->status = 0;
    if (n->status_in_sigma && in[FIELD_STATUS].cell >= 0)
        r->status = dict_number(n->shared->words, &s->words, cell_span(&cells[in[FIELD_STATUS].cell]));
    r->channel = 0;
    if (n->key_has_channel) {
        const struct input *channel = &in[FIELD_CHANNEL_CODE];
        text = channel->cell >= 0 ? cell_span(&cells[channel->cell]) : channel->constant;
        r->channel = dict_number(n->shared->words, &s->words, text);
        if (UNLIKELY(r->channel == 0))
            return 0;
    }
    const struct input *key = &in[n->key_parts[0]];
    if (UNLIKELY(key->cell < 0))
        return 0;
    text = cell_span(&cells[key->cell]);
    if (UNLIKELY(r->status == DICT_FULL || r->channel == DICT_FULL || text.size == 0 || text.size > 64))
        return 0;
    /* Hashed where it stands: what was just written in pieces of 16 could not be read back in pieces of 8
     * without waiting for the store. */
    uint64_t hash = hash_bytes(text.data, text.size, n->shared->hash_seed + r->channel);
    short_copy(r->var, text.data, text.size);
    r->key_size = (uint16_t)text.size;
    r->hash_lo = (uint32_t)hash;
    r->hash_hi = (uint32_t)(hash >> 32);
    return 1;
}

#define HOUR_US 3600000000ll
#define DAY_US (24 * HOUR_US)

/* 1 when clocks were not changed on a day (since 1970): then the hours of the text are those of the zone. */
int note_day_is_even(struct norm_scratch *s, const struct zone *zone, int64_t day)
{
    if (UNLIKELY(day != s->note_day || !s->note_day_known)) {
        s->note_day = day;
        s->note_day_known = 1;
        s->note_day_even =
            day_wall_to_epoch(zone, (day + 1) * DAY_US) - day_wall_to_epoch(zone, day * DAY_US) == DAY_US;
    }
    return s->note_day_even;
}

static int take_note(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                     const struct core_fields *core)
{
    struct row_note *note = &s->note;
    note->size = 0;
    note->cost_micro = core->cost;
    note->hour = HOUR_NONE;
    if (n->job->aggregate.hour && core->wall_us != TIME_NONE) {
        const struct zone *zone = n->shared->job_zone;
        int64_t wall = core->wall_us;
        if (UNLIKELY(!note_day_is_even(s, zone, wall / DAY_US - (wall % DAY_US < 0))))
            wall = day_epoch_to_wall(
                zone, day_wall_to_epoch(zone, wall)); /* an hour that was skipped is another one */
        const int64_t hours = wall / HOUR_US - (wall % HOUR_US < 0);
        note->hour = (uint8_t)((hours % 24 + 24) % 24);
    }
    for (int dim = 0; dim < AGGREGATE_DIMS; dim++) {
        struct span text = {"", 0};
        if (n->job->aggregate.dims[dim])
            text = text_field(n, s, cells, job_aggregate_field(dim));
        if (!row_note_put(note, text.data, text.size))
            return 0;
    }
    return 1;
}

/* By what the record will be known again. 0: its occurrence id is too long. */
static int take_id(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                   const struct core_fields *core, const struct record *r)
{
    const uint64_t seed = n->shared->hash_seed;
    uint64_t key = record_hash(r);
    s->id.odd_key = s->id.keyless = 0;
    s->id.undated = core->undated;
    if (UNLIKELY(r->flags &
                 RECORD_NO_KEY)) { /* fees and interest may have no number at all: then the id alone */
        key = seed;
        s->id.keyless = 1;
        for (int i = 0; i < n->key_cell_count; i++) {
            const struct span part =
                utf8_text(s, n->in[FIELD_BIZ_ORDER_NO].charset, cell_text(s, &cells[n->key_cells[i]]));
            key = hash_bytes(part.data, part.size, key + part.size);
            s->id.keyless &= part.size == 0;
        }
    } else if (UNLIKELY(r->channel > 1)) { /* its number is another one in every run */
        const struct span channel = text_field(n, s, cells, FIELD_CHANNEL_CODE);
        key = hash_bytes(record_key(r, n->layout.has_fold), r->key_size,
                         hash_bytes(channel.data, channel.size, seed));
        s->id.odd_key = 1;
    }
    char room[OCCURRENCE_TEXT_MAX];
    struct span id = {room, 0};
    if (n->occurrence_field >= 0)
        id = text_field(n, s, cells, (unsigned)n->occurrence_field);
    else
        id.size = occurrence_text(n, s, cells, room, sizeof room);
    if (id.size == SIZE_MAX)
        return 0;
    if (id.size == 0)
        return 1;
    uint64_t extras = 0;
    if (n->layout.has_extras) {
        const uint8_t *at = record_extras(r, n->layout.has_fold);
        extras = hash_bytes(at, 2u + record_u16(at), seed);
    }
    id_print_make(&s->id, key, id, n->side, r->status ? s->id_status_hash : 0, extras,
                  currency_code(core->currency), core->amount, core->out);
    return 1;
}

void normalize_note(const struct job *job, const struct full *f, struct row_note *note)
{
    const struct span time = f->text[FIELD_TRADE_TIME]; /* 2026-11-19T08:15:30+08:00, in the job's zone */
    note->size = 0;
    note->cost_micro = f->cost_micro;
    note->hour = HOUR_NONE;
    if (job->aggregate.hour && time.size > 13)
        note->hour = (uint8_t)((time.data[11] - '0') * 10 + time.data[12] - '0');
    for (int dim = 0; dim < AGGREGATE_DIMS; dim++) {
        struct span text = {"", 0};
        if (job->aggregate.dims[dim])
            text = f->text[job_aggregate_field(dim)];
        CHECK2(row_note_put(note, text.data, text.size), text.size, dim); /* it was read before */
    }
}

enum reject_code normalize_hot(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                               struct record *r, int *bad_cell)
{
    s->id.has = 0;
    if (LIKELY(n->plain && !n->counts && !n->keeps_ids) && LIKELY(take_plain(n, s, cells, r)))
        return REJECT_NONE;
    struct core_fields core;
    s->bad_charset = 0;
    *bad_cell = -1;
    if (UNLIKELY(n->where_count) && !normalizer_wants(n, s, cells))
        return REJECT_NOT_OURS;
    enum reject_code code = read_core(n, s, cells, &core, 0, bad_cell);
    if (UNLIKELY(code != REJECT_NONE))
        return code;
    *bad_cell = -1;
    r->amount_micro = core.amount;
    r->day = core.day;
    r->currency = core.currency;
    r->flags = (uint16_t)((n->side == CHANNEL ? RECORD_CHANNEL : 0) | (core.out ? RECORD_OUT : 0) |
                          (n->is_image ? RECORD_IMAGE : 0));
    r->status = 0;
    r->channel = 0;
    if (UNLIKELY(n->carry_flags)) {
        r->flags |= n->carry_flags;
        memset(r->var, 0, RECORD_FOLD_BYTES);
    }
    if (n->status_in_sigma &&
        UNLIKELY((r->status = dict_number(n->shared->words, &s->words, core.status)) == DICT_FULL))
        return REJECT_WORDS;
    if (n->keeps_ids && r->status != s->id_status) { /* now: the text may live in the scratch */
        s->id_status = r->status;
        s->id_status_hash = hash_bytes(core.status.data, core.status.size, n->shared->hash_seed);
    }
    uint8_t *p, *const end = record_var_end(r);
    if (UNLIKELY((code = put_record_key(n, s, cells, &core, r, &p)) != REJECT_NONE))
        return code;
    char room[24];
    if (n->layout.has_extras) {
        uint8_t *size_at = p;
        if (end - p < 2)
            return REJECT_TOO_LONG;
        p += 2;
        if (n->takes_cost) { /* apart from the compared fields: the index adds it to the amount */
            const int64_t cost = n->takes_own ? core.cost : 0;
            if ((size_t)(end - p) < sizeof cost)
                return REJECT_TOO_LONG;
            memcpy(p, &cost, sizeof cost);
            p += sizeof cost;
        }
        for (int i = 0; i < n->extra_count; i++) {
            struct span part = any_field(n, s, cells, &core, n->extras[i], room);
            if (part.size + 2 > (size_t)(end - p))
                return REJECT_TOO_LONG;
            put_u16(p, part.size);
            memcpy(p + 2, part.data, part.size);
            p += 2 + part.size;
        }
        put_u16(size_at, (size_t)(p - size_at - 2));
    }
    if (n->layout.has_fold && (code = put_occurrence(n, s, cells, r, p)) != REJECT_NONE)
        return code;
    if (n->shared->cut_by_date[n->side] && core.day != n->shared->unit_day)
        r->flags |= RECORD_OTHER_DAY;
    if (UNLIKELY(n->carry_flags) && core.is_timeless && n->job->sources[n->side].dates_by_time &&
        !(r->flags & RECORD_EXCLUDED)) /* whose bit says why it is that */
        r->flags |= RECORD_TIMELESS;
    if (UNLIKELY(n->counts) && !take_note(n, s, cells, &core))
        return REJECT_TOO_LONG;
    if (n->keeps_ids && !(r->flags & RECORD_EXCLUDED) && !take_id(n, s, cells, &core, r))
        return REJECT_TOO_LONG;
    if (UNLIKELY(s->bad_charset)) {
        s->bad_charset = 0;
        return REJECT_CHARSET;
    }
    return REJECT_NONE;
}

/* ---- usual images ---- */

/* A whole number or a text; 0 for anything else. */
static inline int image_text(const struct cell *c, char room[CELL_NUMBER_MAX], struct span *text)
{
    if (c->kind == CELL_TEXT)
        *text = cell_span(c);
    else if (c->kind == CELL_UINT || (c->kind == CELL_INT && c->i64 >= 0))
        *text = number_text(room, c->u64, 0);
    else if (c->kind == CELL_INT)
        *text = number_text(room, 0 - c->u64, 1);
    else
        return 0;
    return 1;
}

/* Millionths of a DECIMAL or of whole units. 0: not so simple. */
static inline int image_money(const struct cell *c, const struct field_rule *rule, uint8_t currency,
                              int64_t *micro)
{
    unsigned shift = MICRO_DIGITS;
    if (UNLIKELY(rule->unit != UNIT_MAJOR)) {
        if ((c->kind == CELL_DECIMAL && c->size != 0) ||
            (rule->unit == UNIT_MINOR && !currency_has_minor(currency)))
            return 0;
        shift -= rule->unit == UNIT_MINOR ? (unsigned)currency_exponent(currency) : 2;
    } else if (c->kind == CELL_DECIMAL) {
        if (c->size > MICRO_DIGITS)
            return 0;
        shift -= c->size;
    }
    if (c->kind != CELL_DECIMAL && c->kind != CELL_INT && (c->kind != CELL_UINT || c->i64 < 0))
        return 0;
    return shift <= MICRO_DIGITS && !__builtin_mul_overflow(c->i64, (int64_t)money_power10[shift], micro);
}

/* The memo that holds what the cell means, or is to. NULL: too long a word. */
static inline struct word_memo *memo_find(struct word_memo memos[WORD_MEMOS], const struct cell *c,
                                          int *found)
{
    struct short_text word = {c->u64, 0};
    uint32_t size = 0;
    if (c->kind == CELL_TEXT) {
        if (c->size > SHORT_MAX)
            return NULL;
        size = c->size;
        word = short_load(c->data, size);
    } else if (c->kind != CELL_INT && c->kind != CELL_UINT) {
        return NULL;
    }
    struct word_memo *memo = &memos[(word.low ^ word.high) * 0x9E3779B97F4A7C15ull >> 61];
    *found = memo->meaning && memo->low == word.low && memo->high == word.high && memo->kind == c->kind &&
             memo->size == size;
    if (UNLIKELY(!*found))
        *memo = (struct word_memo){word.low, word.high, c->kind, size, 0};
    return memo;
}

/* The status' dictionary number, plus one; 0: it is none, or not simple. */
static int status_meaning(const struct normalizer *n, struct norm_scratch *s, const struct cell *c)
{
    struct span text = cell_text(s, c);
    if (!map_word(n->in[FIELD_STATUS].rule, &text))
        return 0;
    if (!n->status_in_sigma)
        return 1;
    uint16_t number = dict_number(n->shared->words, &s->words, text);
    return number == DICT_FULL ? 0 : number + 1;
}

/* 1 IN, 2 OUT; 0: neither. */
static int direction_meaning(const struct normalizer *n, struct norm_scratch *s, const struct cell *c)
{
    struct span text = cell_text(s, c);
    if (!map_word(n->in[FIELD_DIRECTION].rule, &text))
        return 0;
    return span_is(text, "IN") ? 1 : span_is(text, "OUT") ? 2 : 0;
}

static void image_memos_begin(const struct normalizer *n, struct norm_scratch *s)
{
    memset(&s->image, 0, sizeof s->image);
    s->image.owner = n->image.number;
    s->image.day_begin_us = INT64_MAX;
}

/* What all usual rows have in common. 0: not a usual one. */
static inline int image_finish(const struct normalizer *n, struct norm_scratch *s, struct span key,
                               struct span occurrence, int64_t amount, int out, uint8_t currency,
                               struct image_row *row)
{
    row->channel = 0;
    if (n->key_has_channel) {
        if (UNLIKELY(!s->image.channel)) {
            uint16_t number = dict_number(n->shared->words, &s->words, n->in[FIELD_CHANNEL_CODE].constant);
            if (number == 0 || number == DICT_FULL || n->in[FIELD_CHANNEL_CODE].rule->map_count)
                return 0;
            s->image.channel = number;
        }
        row->channel = s->image.channel;
    }
    if (UNLIKELY(key.size == 0 || key.size > IMAGE_KEY_MAX || occurrence.size > IMAGE_KEY_MAX))
        return 0;
    row->key = key;
    row->occurrence = occurrence;
    row->hash = hash_bytes(key.data, key.size, n->shared->hash_seed + row->channel);
    row->amount_micro = amount;
    row->currency = currency;
    row->flags =
        (uint16_t)((n->side == CHANNEL ? RECORD_CHANNEL : 0) | (out ? RECORD_OUT : 0) | RECORD_IMAGE |
                   (n->shared->cut_by_date[n->side] && row->day != n->shared->unit_day ? RECORD_OTHER_DAY
                                                                                       : 0));
    return 1;
}

int normalize_image(const struct normalizer *n, struct norm_scratch *s, const struct cell *columns,
                    struct image_row *row)
{
    if (UNLIKELY(!n->image.is_usual))
        return 0;
    if (UNLIKELY(s->image.owner != n->image.number))
        image_memos_begin(n, s);
    const struct input *const in = n->in;
    const struct image_plan *const plan = &n->image;
    for (int i = 0; i < plan->key_column_count; i++) {
        const struct cell *c = &columns[plan->key_columns[i]];
        if (UNLIKELY(c->kind == CELL_TEXT && text_is_shortened(cell_span(c))))
            return 0;
    }
    uint8_t currency = n->job->currency;
    if (plan->currency >= 0) {
        const struct cell *c = &columns[plan->currency];
        if (UNLIKELY(c->kind != CELL_TEXT || c->size != 3))
            return 0;
        uint32_t code = (uint32_t)(uint8_t)c->data[0] | (uint32_t)(uint8_t)c->data[1] << 8 |
                        (uint32_t)(uint8_t)c->data[2] << 16;
        if (UNLIKELY(code != s->currency_memo)) {
            if (!(currency = currency_find(c->data, 3)))
                return 0;
            s->currency_memo = code;
            s->currency_memo_index = currency;
        }
        currency = s->currency_memo_index;
    }
    int64_t amount, fee;
    if (UNLIKELY(currency == CURRENCY_NONE ||
                 !image_money(&columns[plan->amount], in[FIELD_AMOUNT].rule, currency, &amount)))
        return 0;
    int out = amount < 0, found;
    if (plan->direction >= 0) {
        const struct cell *c = &columns[plan->direction];
        struct word_memo *memo = memo_find(s->image.direction, c, &found);
        if (UNLIKELY(!memo || (!found && !(memo->meaning = direction_meaning(n, s, c)))))
            return 0;
        if (memo->meaning == 2) {
            amount = -amount;
            out = amount <= 0;
        }
    }
    if (plan->fee >= 0) {
        const struct cell *c = &columns[plan->fee];
        if (UNLIKELY(c->kind != CELL_NULL && !image_money(c, in[FIELD_FEE].rule, currency, &fee)))
            return 0;
    }
    row->status = 0;
    if (plan->status >= 0) {
        const struct cell *c = &columns[plan->status];
        struct word_memo *memo = memo_find(s->image.status, c, &found);
        if (UNLIKELY(!memo || (!found && !(memo->meaning = status_meaning(n, s, c)))))
            return 0;
        row->status = (uint16_t)(memo->meaning - 1);
    }
    row->day = undated_day(n, s);
    if (plan->time >= 0) {
        const struct cell *c = &columns[plan->time];
        if (LIKELY(c->kind == CELL_WALL || c->kind == CELL_EPOCH)) {
            int64_t wall = c->i64;
            if (c->kind == CELL_EPOCH)
                wall = day_epoch_to_wall(n->shared->job_zone, wall);
            else if (UNLIKELY(n->zones_differ))
                wall = day_epoch_to_wall(n->shared->job_zone,
                                         day_wall_to_epoch(n->shared->zones[n->side], wall));
            /* Below a day's beginning the difference is a huge number. */
            if (UNLIKELY((uint64_t)wall - (uint64_t)s->image.day_begin_us >= 86400000000u)) {
                const int64_t cut = n->job->cut_minutes * 60000000ll,
                              shifted = n->job->cut_minutes >= 720 ? wall + 86400000000ll - cut : wall - cut;
                s->image.day = day_of_wall(wall, n->job->cut_minutes);
                s->image.day_begin_us = wall - (shifted % 86400000000ll + 86400000000ll) % 86400000000ll;
            }
            row->day = s->image.day;
            if (UNLIKELY(row->day == DAY_NONE))
                return 0;
        } else if (c->kind != CELL_NULL) {
            return 0;
        }
    }
    struct span key, occurrence;
    return image_text(&columns[plan->key], row->key_text, &key) &&
           image_text(&columns[plan->occurrence], row->occurrence_text, &occurrence) &&
           image_finish(n, s, key, occurrence, amount, out, currency, row);
}

/* ---- the same from a row's bytes ---- */

const struct image_plan *normalizer_image(const struct normalizer *n)
{
    return n->image.is_usual ? &n->image : NULL;
}

__attribute__((noinline, cold)) int image_new_currency(struct image_quick *quick, uint32_t letters)
{
    const char text[3] = {(char)letters, (char)(letters >> 8), (char)(letters >> 16)};
    const uint8_t found = quick->is_minor ? CURRENCY_NONE : currency_find(text, 3);
    if (found == CURRENCY_NONE)
        return 0;
    quick->memo_letters = letters;
    quick->memo_currency = found;
    return 1;
}

static void learn_word(struct image_word words[IMAGE_WORDS], uint64_t raw, int meaning)
{
    if (meaning)
        words[image_word_slot(raw)] = (struct image_word){raw, meaning};
}

/* What image_money does, as a factor by scale. */
static void image_powers(int64_t powers[11], const struct field_rule *rule, uint8_t currency)
{
    for (int scale = -1; scale <= 9; scale++) {
        struct cell one = {
            .i64 = 1, .kind = scale < 0 ? CELL_INT : CELL_DECIMAL, .size = scale < 0 ? 0 : (uint32_t)scale};
        if (!image_money(&one, rule, currency, &powers[scale + 1]))
            powers[scale + 1] = 0;
    }
}

static void learn_day(const struct normalizer *n, struct image_memo *memo, const struct cell *c,
                      uint64_t time)
{
    /* A cut may fall in the middle of an hour, and a clock be set forward: where the first and the last moment do not agree,
     * nothing is remembered. Since 1975 no clock was set by anything but quarters of an hour, at their beginnings. */
    const int64_t hour = 3600000000, since = 157766400000000;
    if ((c->kind != CELL_WALL && c->kind != CELL_EPOCH) || (c->kind == CELL_WALL && n->zones_differ))
        return;
    const int64_t size = c->kind == CELL_WALL ? hour : hour / 4;
    int64_t first = c->i64 - (c->i64 % size + size) % size, last = first + size - 1;
    if (c->kind == CELL_EPOCH) {
        if (first < since)
            return;
        first = day_epoch_to_wall(n->shared->job_zone, first);
        last = day_epoch_to_wall(n->shared->job_zone, last);
    }
    const uint16_t day = day_of_wall(first, n->job->cut_minutes);
    if (day != DAY_NONE && day == day_of_wall(last, n->job->cut_minutes))
        memo->days[image_day_slot(time)] = (struct image_day){time, day};
}

int normalize_learn(const struct normalizer *n, struct norm_scratch *s, const struct cell *columns,
                    const struct image_raw *raw, struct image_quick *quick)
{
    const struct image_plan *const plan = &n->image;
    if (s->image.owner != plan->number || (n->key_has_channel && !s->image.channel))
        return 0;
    if (plan->status >= 0)
        learn_word(s->image.memo.status, raw->status, status_meaning(n, s, &columns[plan->status]));
    if (plan->direction >= 0)
        learn_word(s->image.memo.direction, raw->direction,
                   direction_meaning(n, s, &columns[plan->direction]));
    if (raw->time)
        learn_day(n, &s->image.memo, &columns[plan->time], raw->time);
    const struct field_rule *amount = n->in[FIELD_AMOUNT].rule, *fee = n->in[FIELD_FEE].rule;
    *quick = (struct image_quick){
        .hash_seed = n->shared->hash_seed + (n->key_has_channel ? s->image.channel : 0),
        .channel = n->key_has_channel ? s->image.channel : 0,
        .flags = (uint16_t)((n->side == CHANNEL ? RECORD_CHANNEL : 0) | RECORD_IMAGE),
        .unit_day = n->shared->unit_day,
        .undated_day = undated_day(n, s),
        .currency = n->job->currency,
        .memo_currency = s->currency_memo_index,
        .memo_letters = s->currency_memo,
        .has_currency = plan->currency >= 0,
        .has_direction = plan->direction >= 0,
        .has_fee = plan->fee >= 0,
        .has_status = plan->status >= 0,
        .by_date = n->shared->cut_by_date[n->side] != 0,
        .is_minor = amount->unit != UNIT_MAJOR || (plan->fee >= 0 && fee->unit != UNIT_MAJOR)};
    const uint8_t currency = plan->currency >= 0 ? s->currency_memo_index : n->job->currency;
    if (currency == CURRENCY_NONE)
        return 0;
    image_powers(quick->amount_power, amount, currency);
    if (plan->fee >= 0)
        image_powers(quick->fee_power, fee, currency);
    return 1;
}

static inline int cells_equal(const struct cell *a, const struct cell *b)
{
    if (a->kind != b->kind)
        return 0;
    if (a->kind == CELL_TEXT)
        return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
    return (a->kind == CELL_INT || a->kind == CELL_UINT) && a->u64 == b->u64;
}

int normalize_image_stays(const struct normalizer *n, const struct cell *before, const struct cell *after)
{
    if (UNLIKELY(!n->image.is_usual))
        return 0;
    const int key = n->image.key, occurrence = n->image.occurrence;
    return cells_equal(&before[key], &after[key]) && cells_equal(&before[occurrence], &after[occurrence]);
}

enum reject_code normalize_identity(const struct normalizer *n, struct norm_scratch *s,
                                    const struct cell *cells, struct record *r)
{
    /* A key may hold fields that are no text (an amount, a date); an image whose such field cannot be read
     * has no key. */
    struct core_fields core = {.wall_us = TIME_NONE, .time_us = TIME_NONE};
    int bad_cell;
    memset(r, 0, sizeof *r);
    for (int i = 0; i < n->key_part_count; i++)
        if (field_is_odd(n->key_parts[i]) || n->key_parts[i] == FIELD_STATUS) {
            if (read_core(n, s, cells, &core, 0, &bad_cell) != REJECT_NONE)
                core = (struct core_fields){.wall_us = TIME_NONE, .time_us = TIME_NONE};
            break;
        }
    r->flags = (uint16_t)((n->side == CHANNEL ? RECORD_CHANNEL : 0) | (n->is_image ? RECORD_IMAGE : 0));
    uint8_t *p;
    enum reject_code code = put_record_key(n, s, cells, &core, r, &p);
    if (code == REJECT_NONE && n->layout.has_extras) {
        put_u16(p, 0);
        p += 2;
    }
    return code == REJECT_NONE && n->layout.has_fold ? put_occurrence(n, s, cells, r, p) : code;
}

int normalize_same_identity(const struct normalizer *n, const struct record *a, const struct record *b)
{
    if (a->hash_lo != b->hash_lo || a->hash_hi != b->hash_hi || a->key_size != b->key_size ||
        a->channel != b->channel || ((a->flags ^ b->flags) & RECORD_NO_KEY))
        return 0;
    const uint8_t *x = record_key(a, n->layout.has_fold), *y = record_key(b, n->layout.has_fold);
    if (memcmp(x, y, a->key_size) != 0)
        return 0;
    x += a->key_size;
    y += b->key_size;
    if (n->layout.has_extras) {
        x += 2 + record_u16(x);
        y += 2 + record_u16(y);
    }
    return record_u16(x) == record_u16(y) && memcmp(x + 2, y + 2, record_u16(x)) == 0;
}

/* ---- the calm path ---- */

static struct span length_prefixed(struct arena *arena, const struct span *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += 4 + parts[i].size;
    char *p = arena_take(arena, size ? size : 1), *q = p;
    if (!p)
        return (struct span){NULL, 0};
    for (size_t i = 0; i < count; i++) {
        const uint32_t n = (uint32_t)parts[i].size, big_endian = __builtin_bswap32(n);
        memcpy(q, &big_endian, 4);
        q += 4;
        if (n)
            memcpy(q, parts[i].data, n);
        q += n;
    }
    return (struct span){p, size};
}

/* What a file of carried records says beside the record. 0: no number or date where one must be; -1: memory is out. */
static int take_carry(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                      const struct core_fields *core, struct arena *arena, struct full *f)
{
    struct carry *carry = arena_take(arena, sizeof *carry);
    if (!carry)
        return -1;
    *carry = (struct carry){.is_late = (n->carry_flags & RECORD_LATE) != 0,
                            .currency = core->currency,
                            .amount_micro = core->amount};
    struct span text[CARRY_COLUMNS];
    uint64_t number[CARRY_COLUMNS] = {0};
    for (int i = 0; i < CARRY_COLUMNS; i++) {
        text[i] = n->carry[i] < 0 ? (struct span){"", 0} : cell_text(s, &cells[n->carry[i]]);
        text[i] = text[i].size ? arena_copy(arena, text[i]) : (struct span){"", 0};
        if (!text[i].data)
            return -1;
        for (size_t k = 0; k < text[i].size && k < 9 && text[i].data[k] >= '0' && text[i].data[k] <= '9'; k++)
            number[i] = number[i] * 10 + (uint64_t)(text[i].data[k] - '0');
    }
    carry->tries = (uint32_t)number[CARRY_DELAYED_TIMES];
    carry->revision = (uint32_t)number[CARRY_REVISION];
    carry->since = day_parse(text[CARRY_SINCE].data, text[CARRY_SINCE].size);
    carry->batch_no = text[CARRY_BATCH_NO];
    carry->place = text[CARRY_PLACE];
    carry->task = text[CARRY_TASK];
    carry->reasons = text[CARRY_REASONS];
    carry->origin = text[CARRY_ORIGIN];
    const char *hand =
        carry->origin.size ? memchr(carry->origin.data, CARRY_HAND_NOW, carry->origin.size) : NULL;
    for (const char *p = hand ? hand + 1 : NULL;
         p && p < carry->origin.data + carry->origin.size && *p >= '0' && *p <= '9'; p++)
        carry->hand = carry->hand * 10 + (uint32_t)(*p - '0');
    const struct span pair = text[CARRY_PAIR];
    for (size_t i = 0; i < pair.size && i < CARRY_LINK_DIGITS; i++) {
        const char c = pair.data[i];
        carry->link = carry->link << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (pair.size > CARRY_LINK_DIGITS)
        carry->pair = (struct span){pair.data + CARRY_LINK_DIGITS, pair.size - CARRY_LINK_DIGITS};
    f->dup_suspect = (uint8_t)number[CARRY_DOUBT];
    f->carry = carry;
    return carry->since != DAY_NONE && text[CARRY_DELAYED_TIMES].size > 0;
}

static int put_text(struct arena *arena, struct full *f, unsigned field, struct span text)
{
    if (text.size == 0) {
        f->text[field] = (struct span){"", 0};
        return 1;
    }
    f->text[field] = arena_copy(arena, text);
    return f->text[field].data != NULL;
}

enum { SHOWN_ROOM = (int)TIME_TEXT_MAX > (int)MONEY_TEXT_MAX ? (int)TIME_TEXT_MAX : (int)MONEY_TEXT_MAX };

/* A field as outputs print it. The bytes live in the cells, the scratch or `room`. */
static inline struct span shown_text(const struct normalizer *n, struct norm_scratch *s,
                                     const struct cell *cells, const struct core_fields *core, unsigned field,
                                     char room[SHOWN_ROOM])
{
    switch (field) {
    case FIELD_STATUS:
        return core->status;
    case FIELD_BILL_DATE:
        return (struct span){room, day_print(room, core->day)};
    case FIELD_TRADE_TIME:
        return (struct span){room, time_print(room, n->shared->job_zone, core->time_us)};
    case FIELD_DIRECTION:
        return span_of(core->out ? "OUT" : "IN");
    case FIELD_CURRENCY:
        return span_of(currency_code(core->currency));
    case FIELD_AMOUNT:
        return (struct span){room, money_print(room, core->amount, currency_exponent(core->currency))};
    case FIELD_FEE:
        return (struct span){
            room, core->has_fee ? money_print(room, core->fee, currency_exponent(core->currency)) : 0};
    default:
        return text_field(n, s, cells, field);
    }
}

/* `fields`: a bit each; what is none of them has no text, and then there are no canonical bytes. */
static inline __attribute__((always_inline)) enum reject_code
normalize_row(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells, uint64_t fields,
              const int is_all, struct arena *arena, struct full *f, int *bad_cell, int *no_memory)
{
    *no_memory = 0;
    memset(f, 0, sizeof *f);
    f->verdict = VERDICT_OPEN;
    f->side = (uint8_t)n->side;
    struct core_fields core;
    s->bad_charset = 0;
    *bad_cell = -1;
    if (n->where_count && !normalizer_wants(n, s, cells))
        return REJECT_NOT_OURS;
    enum reject_code code = read_core(n, s, cells, &core, 1, bad_cell);
    if (code != REJECT_NONE)
        return code;
    *bad_cell = -1;
    f->amount_micro = core.amount;
    f->fee_micro = core.fee;
    f->has_fee = core.has_fee;
    f->cost_micro = core.cost;
    f->taken_micro = n->takes_own ? core.cost : 0;
    f->time_us = core.time_us;
    f->day = core.day;
    f->currency = core.currency;
    f->out = core.out;
    if (core.date_disagrees)
        f->reasons |= REASON_BIT(REASON_DATE_DISAGREES);
    *no_memory = 1;
    /* The status may live in the scratch: take it first. */
    if (!put_text(arena, f, FIELD_STATUS, core.status))
        return REJECT_WORDS;
    if (n->carry_flags) {
        const int taken = take_carry(n, s, cells, &core, arena, f);
        if (taken <= 0) {
            *no_memory = taken < 0;
            return REJECT_WORDS;
        }
    }
    f->monetary = (uint8_t)job_status_is_monetary(n->job, f->text[FIELD_STATUS]);
    char room[SHOWN_ROOM];
    unsigned slots = FIELDS + (unsigned)n->job->attr_count;
    for (unsigned field = 0; field < slots; field++) {
        if (field == FIELD_STATUS)
            continue;
        if (!is_all && !(fields >> field & 1)) {
            f->text[field] = (struct span){"", 0};
            continue;
        }
        struct span text = shown_text(n, s, cells, &core, field, room);
        if (!put_text(arena, f, field, text))
            return REJECT_WORDS;
    }
    if (n->occurrence_field >= 0) {
        f->occurrence = f->text[n->occurrence_field];
    } else if (n->occurrence_count) {
        f->occurrence = occurrence_in(n, s, cells, arena);
        if (!f->occurrence.data)
            return REJECT_WORDS;
    } else {
        f->occurrence = (struct span){"", 0};
    }

    struct span parts[FIELD_SLOTS];
    if (s->bad_charset) {
        *no_memory = 0;
        return REJECT_CHARSET;
    }
    if (is_all) {
        unsigned order[FIELD_SLOTS];
        canonical_order(n->job, order);
        for (unsigned i = 0; i < slots; i++)
            parts[i] = f->text[order[i]];
        f->canonical = length_prefixed(arena, parts, slots);
    } else {
        f->canonical = (struct span){"", 0};
        for (int i = 0; i < n->column_count; i++)
            f->text_size += cells[i].kind == CELL_TEXT ? cells[i].size : CELL_NUMBER_MAX;
    }
    unsigned count = 0;
    parts[count++] = f->text[FIELD_CURRENCY];
    parts[count++] = f->text[FIELD_DIRECTION];
    for (int i = 0; i < n->job->match.compare_count; i++)
        if (n->job->match.compare[i] != FIELD_FEE)
            parts[count++] = f->text[n->job->match.compare[i]];
    f->sigma = length_prefixed(arena, parts, count);
    if (!f->canonical.data || !f->sigma.data)
        return REJECT_WORDS;
    *no_memory = 0;
    return REJECT_NONE;
}

enum reject_code normalize_full(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                                struct arena *arena, struct full *f, int *bad_cell, int *no_memory)
{
    return normalize_row(n, s, cells, 0, 1, arena, f, bad_cell, no_memory);
}

enum reject_code normalize_some(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                                uint64_t fields, struct arena *arena, struct full *f, int *bad_cell,
                                int *no_memory)
{
    fields |= 1ull << FIELD_CURRENCY | 1ull << FIELD_DIRECTION;
    for (int i = 0; i < n->job->match.compare_count; i++)
        fields |= 1ull << n->job->match.compare[i];
    if (n->occurrence_field >= 0)
        fields |= 1ull << n->occurrence_field;
    return normalize_row(n, s, cells, fields, 0, arena, f, bad_cell, no_memory);
}

/* What lean_core looks at; those that have no cell are not looked at. */
struct lean_texts {
    struct span time, currency, amount, direction;
};

static inline struct span lean_cell(const struct input *in, const struct cell *cells)
{
    return in->cell < 0 ? (struct span){NULL, 0} : cell_span(&cells[in->cell]);
}

/* Of a row that was a record before: what its part wants, in few instructions. 0 when anything about it is unusual;
 * read_core then does it. */
static inline int lean_core(const struct normalizer *n, struct norm_scratch *s, const struct lean_texts *t,
                            int is_worth, struct core_fields *core)
{
    const struct input *const in = n->in;
    core->day = n->shared->unit_day;
    if (in[FIELD_TRADE_TIME].cell >= 0) {
        const int64_t day = s->date_memo_count + DAY_BASE;
        if (UNLIKELY(!time_is_usual(s, t->time) || day <= 0 || day > UINT16_MAX))
            return 0;
        core->day = (uint16_t)day;
    }
    core->date_disagrees = 0;
    core->has_fee = 0;
    if (!is_worth) { /* its partner says what it is worth */
        core->amount = 0;
        core->currency = CURRENCY_NONE;
        core->out = 0;
        return 1;
    }
    core->currency = n->job->currency;
    if (in[FIELD_CURRENCY].cell >= 0) {
        struct span text = t->currency;
        if (text.size != 3)
            return 0;
        uint32_t code = (uint32_t)(uint8_t)text.data[0] | (uint32_t)(uint8_t)text.data[1] << 8 |
                        (uint32_t)(uint8_t)text.data[2] << 16;
        if (UNLIKELY(code != s->currency_memo)) {
            uint8_t currency = currency_find(text.data, 3);
            if (!currency)
                return 0;
            s->currency_memo = code;
            s->currency_memo_index = currency;
        }
        core->currency = s->currency_memo_index;
    }
    if (UNLIKELY(core->currency == CURRENCY_NONE))
        return 0;
    struct span text = t->amount;
    size_t negative = text.size && text.data[0] == '-';
    if (UNLIKELY(!money_quick(text.data + negative, text.size - negative, &core->amount)))
        return 0;
    if (negative)
        core->amount = -core->amount;
    core->out = core->amount < 0;
    if (in[FIELD_DIRECTION].cell >= 0) {
        text = t->direction;
        if (text.size == 3 && text.data[0] == 'O' && text.data[1] == 'U' && text.data[2] == 'T') {
            core->amount = -core->amount;
            core->out = core->amount <= 0;
        } else if (!(text.size == 2 && text.data[0] == 'I' && text.data[1] == 'N')) {
            return 0;
        }
    }
    return 1;
}

/* The same of cells. */
static inline int lean_core_of(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                               const struct lean_plan *plan, struct core_fields *core)
{
    if (UNLIKELY(!n->plain_lean || plan->wants_time || plan->wants_fee))
        return 0;
    const int is_worth = plan->order_count != 0;
    struct lean_texts texts = {.time = lean_cell(&n->in[FIELD_TRADE_TIME], cells)};
    if (is_worth) {
        texts.currency = lean_cell(&n->in[FIELD_CURRENCY], cells);
        texts.amount = lean_cell(&n->in[FIELD_AMOUNT], cells);
        texts.direction = lean_cell(&n->in[FIELD_DIRECTION], cells);
    }
    core->status = input_text(s, &n->in[FIELD_STATUS], cells);
    return lean_core(n, s, &texts, is_worth, core);
}

unsigned normalize_lean_wants(const struct normalizer *n, const struct lean_plan *plan,
                              int wanted[LEAN_CELLS])
{
    static const unsigned always[] = {FIELD_TRADE_TIME, FIELD_STATUS},
                          worth[] = {FIELD_CURRENCY, FIELD_AMOUNT, FIELD_DIRECTION};
    unsigned count = 0, fields = 0, field[LEAN_CELLS];
    if (!n->plain_lean || plan->wants_time || plan->wants_fee || (plan->order_count && n->occurrence_count))
        return 0;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        field[fields++] = always[i];
    for (size_t i = 0; plan->order_count && i < sizeof worth / sizeof *worth; i++)
        field[fields++] = worth[i];
    if (plan->order_count && n->occurrence_field >= 0)
        field[fields++] = (unsigned)n->occurrence_field;
    for (unsigned i = 0; i < plan->order_count; i++)
        field[fields++] = plan->order[i];
    for (unsigned i = 0; i < plan->cell_count; i++)
        field[fields++] = plan->cells[i];
    for (unsigned i = 0; i < fields; i++) {
        const int cell = n->in[field[i]].cell;
        unsigned k = 0;
        while (k < count && wanted[k] != cell)
            k++;
        if (cell >= 0 && k == count)
            wanted[count++] = cell;
    }
    return count;
}

int normalize_lean(const struct normalizer *n, struct norm_scratch *s, const struct cell *cells,
                   int all_there, const struct lean_plan *plan, struct lean_list *list)
{
    struct core_fields core;
    int bad_cell;
    if (!LIKELY(lean_core_of(n, s, cells, plan, &core)) &&
        UNLIKELY(!all_there || n->is_image ||
                 read_core(n, s, cells, &core, plan->wants_time, &bad_cell) != REJECT_NONE))
        return 0;
    /* What lives in the scratch is gone with the next cell that wants it. */
    if (UNLIKELY(core.status.size && (core.status.data == s->strip || core.status.data == s->wide)))
        return 0;
    struct span occurrence = {NULL, 0};
    char id[256], room[SHOWN_ROOM];
    if (plan->order_count && n->occurrence_field >= 0) {
        occurrence = text_field(n, s, cells, (unsigned)n->occurrence_field);
        if (UNLIKELY(occurrence.size && (occurrence.data == s->strip || occurrence.data == s->wide)))
            return 0;
    } else if (plan->order_count && n->occurrence_count) {
        occurrence = (struct span){id, occurrence_text(n, s, cells, id, sizeof id)};
        if (UNLIKELY(occurrence.size == SIZE_MAX))
            return 0;
    }
    if (UNLIKELY(!lean_list_room(list, 16 + 2 * occurrence.size)))
        return -1;
    size_t used = list->used, begin = used;
    if (plan->order_count)
        used = (size_t)(order_put_head(list->bytes + used, core.day, occurrence) - list->bytes);
    size_t cells_at = used;
    for (unsigned i = 0; i < plan->order_count + plan->cell_count; i++) {
        int in_order = i < plan->order_count;
        unsigned field = in_order ? plan->order[i] : plan->cells[i - plan->order_count];
        struct span text = shown_text(n, s, cells, &core, field, room);
        if (UNLIKELY(used + 5 + text.size > list->bytes_room)) {
            list->used = used;
            int enough = lean_list_room(list, 5 + text.size);
            list->used = begin;
            if (!enough)
                return -1;
        }
        uint8_t *at = list->bytes + used;
        used = (size_t)((in_order ? order_put_field(at, text) : lean_put_cell(at, text)) - list->bytes);
        if (in_order)
            cells_at = used;
    }
    const int is_worth = plan->order_count != 0;
    list->items[list->count++] = (struct lean){.amount_micro = is_worth ? core.amount : 0,
                                               .at = begin,
                                               .order_size = (uint32_t)(cells_at - begin),
                                               .cells_size = (uint32_t)(used - cells_at),
                                               .day = core.day,
                                               .currency = is_worth ? core.currency : CURRENCY_NONE,
                                               .date_disagrees = core.date_disagrees};
    list->used = used;
    return 1;
}

/* A field's text as it stands in the file, or its constant. */
static int plain_lean_text(const struct normalizer *n, unsigned field, const int *columns,
                           struct lean_columns *out)
{
    const struct input *const in = &n->in[field];
    if (in->charset || in->rule->strip || in->rule->none || in->rule->map_count)
        return 0;
    struct lean_column *to = &out->texts[out->count++];
    to->column = in->cell < 0 ? -1 : columns[in->cell];
    to->constant = in->cell < 0 ? in->constant : (struct span){NULL, 0};
    out->constant_size += to->constant.size;
    return 1;
}

int normalize_lean_columns(const struct normalizer *n, const struct lean_plan *plan, const int *columns,
                           struct lean_columns *out)
{
    static const unsigned made[] = {FIELD_BILL_DATE, FIELD_TRADE_TIME, FIELD_DIRECTION,
                                    FIELD_CURRENCY,  FIELD_AMOUNT,     FIELD_FEE};
    int wanted[LEAN_CELLS];
    *out = (struct lean_columns){.order_count = plan->order_count, .occurrence = -1};
    if (normalize_lean_wants(n, plan, wanted) == 0)
        return 0;
    for (unsigned i = 0; i < plan->order_count + plan->cell_count; i++) {
        const unsigned field = i < plan->order_count ? plan->order[i] : plan->cells[i - plan->order_count];
        for (size_t k = 0; k < sizeof made / sizeof *made; k++)
            if (field == made[k]) /* not as they stand there */
                return 0;
        if (!plain_lean_text(n, field, columns, out))
            return 0;
    }
    if (plan->order_count && n->occurrence_field >= 0) {
        struct lean_columns id = {.count = 0};
        if (!plain_lean_text(n, (unsigned)n->occurrence_field, columns, &id) || id.texts[0].column < 0)
            return 0;
        out->occurrence = id.texts[0].column;
    }
    const int time = n->in[FIELD_TRADE_TIME].cell, currency = n->in[FIELD_CURRENCY].cell,
              amount = n->in[FIELD_AMOUNT].cell, direction = n->in[FIELD_DIRECTION].cell;
    out->time = time < 0 ? -1 : columns[time];
    out->currency = currency < 0 ? -1 : columns[currency];
    out->amount = amount < 0 ? -1 : columns[amount];
    out->direction = direction < 0 ? -1 : columns[direction];
    return 1;
}

static inline struct span plain_text(const uint8_t *bytes, const uint32_t *seps, int column)
{
    if (column < 0)
        return (struct span){NULL, 0};
    const uint32_t begin = seps[column - 1] + 1;
    return (struct span){(const char *)bytes + begin, seps[column] - begin};
}

/* A copy of mostly few bytes; LEAN_SLACK of them may be read and written. */
static inline uint8_t *plain_copy(uint8_t *to, struct span text)
{
    if (UNLIKELY(text.size > LEAN_SLACK)) {
        memcpy(to, text.data, text.size);
        return to + text.size;
    }
    char low[LEAN_SLACK / 2], high[LEAN_SLACK / 2];
    memcpy(low, text.data, sizeof low);
    memcpy(high, text.data + sizeof low, sizeof high);
    memcpy(to, low, sizeof low);
    memcpy(to + sizeof low, high, sizeof high);
    return to + text.size;
}

int normalize_lean_plain(const struct normalizer *n, struct norm_scratch *s, const uint8_t *bytes,
                         const uint32_t *seps, size_t row_size, const struct lean_columns *c,
                         struct lean_list *list)
{
    const int is_worth = c->order_count != 0;
    const struct lean_texts texts = {.time = plain_text(bytes, seps, c->time),
                                     .currency = plain_text(bytes, seps, c->currency),
                                     .amount = plain_text(bytes, seps, c->amount),
                                     .direction = plain_text(bytes, seps, c->direction)};
    struct core_fields core;
    if (UNLIKELY(row_size > LEAN_ROW_MAX || !lean_core(n, s, &texts, is_worth, &core)))
        return 0;
    /* A column may be wanted more than once: by ≺ and as a cell, and as the occurrence id. */
    if (UNLIKELY(!lean_list_room(list, 16 + (c->count + 2) * row_size + 5 * c->count + c->constant_size +
                                           LEAN_SLACK)))
        return -1;
    uint8_t *const begin = list->bytes + list->used, *at = begin, *cells_at = begin;
    if (is_worth)
        at = order_put_head(at, core.day, plain_text(bytes, seps, c->occurrence));
    for (unsigned i = 0; i < c->count; i++) {
        const struct lean_column *const from = &c->texts[i];
        const struct span text =
            LIKELY(from->column >= 0) ? plain_text(bytes, seps, from->column) : from->constant;
        if (i == c->order_count)
            cells_at = at;
        if (i >= c->order_count && LIKELY(text.size < 255))
            *at++ = (uint8_t)text.size;
        else if (i >= c->order_count) {
            at = lean_put_cell(at, text);
            continue;
        } else {
            at = order_put_size(at, text.size);
        }
        if (LIKELY(from->column >= 0)) {
            at = plain_copy(at, text);
        } else {
            short_copy(at, text.data, text.size);
            at += text.size;
        }
    }
    if (c->count == c->order_count)
        cells_at = at;
    list->items[list->count++] = (struct lean){.amount_micro = core.amount,
                                               .at = list->used,
                                               .order_size = (uint32_t)(cells_at - begin),
                                               .cells_size = (uint32_t)(at - cells_at),
                                               .day = core.day,
                                               .currency = core.currency,
                                               .date_disagrees = core.date_disagrees};
    list->used += (size_t)(at - begin);
    return 1;
}

/* The tuple of `key` behind `first`, if that has bytes. Empty parts: no tuple, unless `may_be_empty`. */
static int put_tuple(const struct key_spec *key, struct span first, int may_be_empty, struct arena *arena,
                     struct full *f)
{
    struct span parts[1 + KEY_PARTS_MAX];
    size_t count = 0;
    if (first.size)
        parts[count++] = first;
    for (int i = 0; i < key->part_count; i++) {
        parts[count] = f->text[key->parts[i]];
        if (parts[count++].size == 0 && !may_be_empty) {
            f->key = (struct span){NULL, 0};
            return 1;
        }
    }
    f->key = length_prefixed(arena, parts, count);
    return f->key.data != NULL;
}

int normalize_key(const struct job *job, int key_index, struct arena *arena, struct full *f)
{
    return put_tuple(&job->match.keys[key_index], (struct span){NULL, 0}, 0, arena, f);
}

int normalize_first_key(const struct job *job, struct arena *arena, struct full *f)
{
    f->key = (struct span){NULL, 0};
    for (int key = 0; key < job->match.key_count; key++) {
        const char number = (char)(key + 1);
        if (!put_tuple(&job->match.keys[key], (struct span){&number, 1}, 0, arena, f))
            return 0;
        if (f->key.data) {
            f->key_no = (uint8_t)(key + 1);
            return 1;
        }
    }
    return 1;
}

int normalize_pool(const struct job *job, struct arena *arena, struct full *f)
{
    return put_tuple(&job->match.subset.by, f->text[FIELD_CURRENCY], 1, arena, f);
}

uint64_t normalize_later_print(const struct job *job, uint64_t seed, const struct full *f, int key_index)
{
    const struct key_spec *key = &job->match.keys[key_index];
    uint64_t hash = seed + (uint64_t)key_index;
    for (int i = 0; i < key->part_count; i++) {
        const struct span part = f->text[key->parts[i]];
        if (part.size == 0)
            return 0;
        hash = hash_bytes(part.data, part.size, hash + part.size);
    }
    return hash ? hash : 1;
}

uint64_t normalize_key_print(const struct norm_shared *shared, const struct full *f)
{
    const struct key_spec *key = &shared->job->match.keys[0];
    uint8_t bytes[RECORD_VAR_MAX];
    size_t used = 0;
    int text_parts = 0;
    uint64_t channel = 0;
    for (int i = 0; i < key->part_count; i++)
        text_parts += key->parts[i] != FIELD_CHANNEL_CODE;
    for (int i = 0; i < key->part_count; i++) {
        const struct span part = f->text[key->parts[i]];
        if (part.size == 0)
            return UINT64_MAX;
        if (field_is_odd(key->parts[i]))
            return 0;
        if (key->parts[i] == FIELD_CHANNEL_CODE) {
            channel = 1; /* norm_shared_open gives the job's own channel the first number */
            if (!shared->job->channel_code || !span_is(part, shared->job->channel_code))
                return 0;
            continue;
        }
        if (used + 2 + part.size > sizeof bytes)
            return 0;
        if (text_parts > 1) {
            put_u16(bytes + used, part.size);
            used += 2;
        }
        memcpy(bytes + used, part.data, part.size);
        used += part.size;
    }
    const uint64_t hash = hash_bytes(bytes, used, shared->hash_seed + channel);
    return hash == UINT64_MAX ? 0 : hash; /* looked at in vain once in 2^64 */
}
