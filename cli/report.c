/* cli/report.c: see report.h */
#include "cli/report.h"
#include "core/base/mem.h"
#include "core/model/currency.h"
#include "io/format/csv_scan.h"
#include "io/sink/cell_text.h"
#include "io/sink/digest.h"
#include <jansson.h>
#include <stdlib.h>
#include <sys/resource.h>

static json_t *money(money_total micro, int currency)
{
    char text[MONEY_TEXT_MAX];
    money_print(text, micro, currency_exponent((uint8_t)currency));
    return json_string(text);
}

/* Currencies that occur, in order of their codes. */
static int seen_currencies(const struct run_result *r, int out[CURRENCY_COUNT_MAX])
{
    int count = 0;
    for (int c = 1; c < currency_count(); c++)
        for (uint32_t i = 0; i < r->in.room; i++)
            if (r->in.rows[i].key && tally_currency(r->in.rows[i].key) == c && r->in.rows[i].count) {
                out[count++] = c;
                break;
            }
    return count; /* the table is sorted by code */
}

static money_total side_total(const struct run_result *r, int side, int currency)
{
    money_total sum = 0;
    for (int k = 0; k < CLASSES; k++)
        sum += r->totals.sums[k][side][currency];
    return sum;
}

static money_total class_delta(const struct run_result *r, int class_id, int currency)
{
    return r->totals.sums[class_id][CHANNEL][currency] - r->totals.sums[class_id][LOCAL][currency];
}

static money_total booked_total(const struct run_result *r, int currency)
{
    money_total sum = 0;
    for (int b = 0; b < BOOKINGS; b++)
        sum += r->booked[b][currency];
    return sum;
}

/* I6: what is left when every class is taken out of the difference. */
static money_total unexplained(const struct run_result *r, int currency)
{
    money_total in[SIDES] = {0, 0};
    for (uint32_t i = 0; i < r->in.room; i++)
        if (r->in.rows[i].key && tally_currency(r->in.rows[i].key) == currency)
            in[tally_side(r->in.rows[i].key)] += r->in.rows[i].sum;
    money_total rest = in[CHANNEL] - in[LOCAL] - booked_total(r, currency);
    for (int k = 0; k < CLASSES; k++)
        if (k != CLASS_MATCH)
            rest -= class_delta(r, k, currency);
    return rest;
}

static json_t *by_currency(const struct run_result *r, const int *currencies, int count,
                           money_total (*value)(const struct run_result *, int, int), int argument)
{
    json_t *o = json_object();
    for (int i = 0; i < count; i++)
        json_object_set_new(o, currency_code((uint8_t)currencies[i]),
                            money(value(r, argument, currencies[i]), currencies[i]));
    return o;
}

static money_total value_total(const struct run_result *r, int side, int currency)
{
    return side_total(r, side, currency);
}
static money_total value_difference(const struct run_result *r, int unused, int currency)
{
    (void)unused;
    return side_total(r, CHANNEL, currency) - side_total(r, LOCAL, currency);
}
static money_total value_booked(const struct run_result *r, int booking, int currency)
{
    return booking == BOOKINGS ? booked_total(r, currency) : r->booked[booking][currency];
}
static money_total value_unexplained(const struct run_result *r, int unused, int currency)
{
    (void)unused;
    return unexplained(r, currency);
}

static enum err dump(json_t *root, char **out, struct diag *diag)
{
    *out = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (!*out)
        return mem_fail(diag, 0, "a report");
    return OK;
}

static json_t *rolled(uint64_t count, money_total sum, int currency)
{
    json_t *one = json_object();
    json_object_set_new(one, "count", json_integer((json_int_t)count));
    json_object_set_new(one, "sum", money(sum, currency));
    return one;
}

static int carries(const struct carry_totals *t)
{
    return t->opening || t->opened || t->reopened;
}

/* I4, of each side and currency that has any. */
static json_t *roll_forward(const struct run_result *r)
{
    json_t *root = json_object();
    for (int side = 0; side < SIDES; side++) {
        json_t *both = json_object();
        for (int c = 0; c < CURRENCY_COUNT_MAX; c++) {
            const struct carry_totals *t = &r->carry[side][c];
            if (!carries(t))
                continue;
            json_t *one = json_object();
            json_object_set_new(one, "opening", rolled(t->opening, t->opening_sum, c));
            json_object_set_new(one, "opened", rolled(t->opened, t->opened_sum, c));
            json_object_set_new(one, "resolved", rolled(t->resolved, t->resolved_sum, c));
            json_object_set_new(one, "expired", rolled(t->expired, t->expired_sum, c));
            json_object_set_new(one, "reopened", rolled(t->reopened, t->reopened_sum, c));
            if (t->changed_sum)
                json_object_set_new(one, "changed", money(t->changed_sum, c));
            json_object_set_new(one, "closing", rolled(t->closing, t->closing_sum, c));
            json_object_set_new(both, currency_code((uint8_t)c), one);
        }
        json_object_set_new(root, side_name((enum side)side), both);
    }
    return root;
}

static void tell_roll_forward(const struct run_result *r, FILE *out)
{
    for (int side = 0; r->carry && side < SIDES; side++)
        for (int c = 0; c < CURRENCY_COUNT_MAX; c++) {
            const struct carry_totals *t = &r->carry[side][c];
            if (carries(t))
                fprintf(out,
                        "  suspense, %s %s: %llu opening + %llu opened - %llu resolved - %llu expired + %llu "
                        "reopened = "
                        "%llu closing\n",
                        side_name((enum side)side), currency_code((uint8_t)c), (unsigned long long)t->opening,
                        (unsigned long long)t->opened, (unsigned long long)t->resolved,
                        (unsigned long long)t->expired, (unsigned long long)t->reopened,
                        (unsigned long long)t->closing);
        }
}

enum err report_summary(const struct report *report, char **out, struct diag *diag)
{
    const struct run_result *r = report->result;
    int currencies[CURRENCY_COUNT_MAX], count = seen_currencies(r, currencies);
    json_t *root = json_object();
    json_object_set_new(root, "job", json_string(report->job->name ? report->job->name : "diff"));
    char day[DAY_TEXT_MAX];
    json_object_set_new(root, "bill_date", day_print(day, report->date) ? json_string(day) : json_null());
    json_t *classes = json_object();
    for (int k = 0; k < CLASSES; k++) {
        json_t *both = json_object();
        for (int side = 0; side < SIDES; side++) {
            json_t *one = json_object(), *sums = json_object();
            json_object_set_new(one, "count", json_integer((json_int_t)r->totals.count[k][side]));
            for (int i = 0; i < count; i++) {
                money_total in_class = r->totals.sums[k][side][currencies[i]];
                if (r->totals.rows[k][side][currencies[i]])
                    json_object_set_new(sums, currency_code((uint8_t)currencies[i]),
                                        money(in_class, currencies[i]));
            }
            json_object_set_new(one, "sums", sums);
            json_object_set_new(both, side_name((enum side)side), one);
        }
        json_object_set_new(classes, class_name((enum class_id)k), both);
    }
    json_object_set_new(root, "classes", classes);
    json_t *rejects = json_object(), *records = json_object();
    for (int side = 0; side < SIDES; side++) {
        uint64_t all = 0;
        for (int k = 0; k < CLASSES; k++)
            all += r->totals.count[k][side];
        json_object_set_new(rejects, side_name((enum side)side),
                            json_integer((json_int_t)r->counts[side].rejects));
        json_object_set_new(records, side_name((enum side)side), json_integer((json_int_t)all));
    }
    json_object_set_new(root, "records", records);
    json_object_set_new(root, "rejects", rejects);
    if (r->carry)
        json_object_set_new(root, "suspense", roll_forward(r));
    if (r->again[LOCAL] || r->again[CHANNEL])
        json_object_set_new(root, "again",
                            json_pack("{s:I,s:I}", "local", (json_int_t)r->again[LOCAL], "channel",
                                      (json_int_t)r->again[CHANNEL]));
    json_t *bridge = json_object();
    json_object_set_new(bridge, "local_total", by_currency(r, currencies, count, value_total, LOCAL));
    json_object_set_new(bridge, "channel_total", by_currency(r, currencies, count, value_total, CHANNEL));
    json_object_set_new(bridge, "difference", by_currency(r, currencies, count, value_difference, 0));
    json_object_set_new(bridge, "matched_deltas", by_currency(r, currencies, count, value_booked, BOOKINGS));
    static const char *const bookings[] = {"matched_tolerance", "matched_fees", "matched_fx",
                                           "matched_by_hand"};
    for (int b = 0; b < BOOKED_SETS; b++)
        if (b != BOOKED_TOLERANCE && (b == BOOKED_HAND ? r->reason_count[REASON_MANUAL] > 0
                                      : b == BOOKED_FX ? report->job->match.fx.path != NULL
                                                       : job_books_fees(report->job)))
            json_object_set_new(bridge, bookings[b], by_currency(r, currencies, count, value_booked, b));
    for (int k = CLASS_MISMATCH; k < CLASSES; k++)
        json_object_set_new(bridge, class_name((enum class_id)k),
                            by_currency(r, currencies, count, class_delta, k));
    json_object_set_new(bridge, "unexplained", by_currency(r, currencies, count, value_unexplained, 0));
    json_object_set_new(root, "bridge", bridge);
    json_t *schedule = json_array();
    for (uint32_t i = 0; i < r->schedule_count; i++) {
        const struct schedule_day *d = &r->schedule[i];
        json_t *one = json_object();
        json_object_set_new(one, "bill_date", json_string(day_print(day, d->day) ? day : ""));
        json_object_set_new(one, "currency", json_string(currency_code(d->currency)));
        json_object_set_new(one, "expected", money(d->expected, d->currency));
        json_object_set_new(one, "stated", money(d->stated, d->currency));
        json_object_set_new(one, "difference", money(d->stated - d->expected, d->currency));
        json_array_append_new(schedule, one);
    }
    if (report->job->match.fees == FEES_SCHEDULE_DAY)
        json_object_set_new(root, "fee_schedule", schedule);
    else
        json_decref(schedule);

    /* The digest: every class file without places, aggregate.csv, and all that stands above. */
    char *body = json_dumps(root, JSON_INDENT(2)), digest_text[DIGEST_TEXT];
    struct digest *digest = digest_open();
    if (!body || !digest) {
        free(body);
        digest_close(digest);
        json_decref(root);
        return mem_fail(diag, 0, "a report");
    }
    digest_begin(digest);
    digest_put(digest, report->digest_lines, strlen(report->digest_lines));
    digest_put(digest, body, strlen(body));
    digest_end(digest, digest_text);
    digest_close(digest);
    free(body);
    json_object_set_new(root, "digest", json_string(digest_text));
    return dump(root, out, diag);
}

static uint64_t peak_rss(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

enum err report_stats(const struct report *report, char **out, struct diag *diag)
{
    const struct run_result *r = report->result;
    json_t *root = json_object();
    uint64_t rows = r->counts[LOCAL].rows + r->counts[CHANNEL].rows,
             bytes = r->counts[LOCAL].bytes + r->counts[CHANNEL].bytes;
    json_object_set_new(root, "seconds", json_real(report->seconds));
    json_object_set_new(root, "read_seconds", json_real(r->read_seconds));
    json_object_set_new(root, "resolve_seconds", json_real(r->resolve_seconds));
    json_object_set_new(root, "rows", json_integer((json_int_t)rows));
    json_object_set_new(root, "rows_per_second",
                        json_real(report->seconds > 0 ? (double)rows / report->seconds : 0));
    json_object_set_new(root, "bytes_read", json_integer((json_int_t)bytes));
    uint64_t spilled = report->spilled, read_back = 0, records = 0, ahead = 0;
    for (uint32_t i = 0; i < r->workers; i++) {
        spilled += r->worker[i].spill_written;
        ahead += r->worker[i].rows_ahead;
        read_back += r->worker[i].spill_read;
        records += r->worker[i].index.spilled;
    }
    json_object_set_new(root, "bytes_spilled", json_integer((json_int_t)spilled));
    json_object_set_new(root, "bytes_read_back", json_integer((json_int_t)read_back));
    json_object_set_new(root, "records_spilled", json_integer((json_int_t)records));
    json_object_set_new(root, "rows_read_ahead", json_integer((json_int_t)ahead));
    json_object_set_new(root, "matches_read_once", json_integer((json_int_t)report->matches_early));
    json_object_set_new(root, "matches_without_index", json_integer((json_int_t)report->matches_met));
    json_object_set_new(root, "peak_rss_bytes", json_integer((json_int_t)peak_rss()));
    json_object_set_new(root, "memory_budget_bytes", json_integer((json_int_t)report->memory));
    json_object_set_new(root, "threads", json_integer(report->threads));
    json_object_set_new(root, "io", json_string(report->io_name));
    json_object_set_new(root, "scanner", json_string(csv_scan_kernel_name()));
    json_t *sources = json_object();
    for (int side = 0; side < SIDES; side++) {
        const struct source_counts *c = &r->counts[side];
        json_t *one =
            json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "files", (json_int_t)c->files, "bytes",
                      (json_int_t)c->bytes, "rows", (json_int_t)c->rows, "records", (json_int_t)c->records,
                      "rejects", (json_int_t)c->rejects, "blank_rows", (json_int_t)c->blank_rows,
                      "images_replayed", (json_int_t)c->images_replayed, "groups_rolled_back",
                      (json_int_t)c->groups_rolled_back, "groups_unfinished",
                      (json_int_t)c->groups_unfinished, "events_ignored", (json_int_t)c->events_ignored);
        if (one && (side == LOCAL || r->images_superseded[side] + r->images_moved[side] > 0)) {
            json_object_set_new(one, "images_superseded",
                                json_integer((json_int_t)r->images_superseded[side]));
            json_object_set_new(one, "images_moved", json_integer((json_int_t)r->images_moved[side]));
        }
        json_object_set_new(sources, side_name((enum side)side), one ? one : json_null());
    }
    json_object_set_new(root, "sources", sources);
    json_t *workers = json_array();
    for (uint32_t i = 0; i < r->workers; i++) {
        const struct worker_times *w = &r->worker[i];
        json_array_append_new(
            workers,
            json_pack("{s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "core",
                      w->core, "scan_seconds", w->scan_seconds, "decode_seconds", w->decode_seconds,
                      "index_seconds", w->apply_seconds, "wait_seconds", w->wait_seconds, "settle_seconds",
                      w->settle_seconds, "read_seconds", w->read_seconds, "resolve_seconds",
                      w->resolve_seconds, "join_seconds", w->join_seconds, "match_seconds", w->match_seconds,
                      "chunks", (json_int_t)w->chunks, "idle_turns", (json_int_t)w->idle, "records",
                      (json_int_t)w->index.records, "waiting_max", (json_int_t)w->index.waiting_max,
                      "table_bytes", (json_int_t)w->index.table_bytes, "entry_bytes",
                      (json_int_t)w->index.entry_bytes, "pair_bytes", (json_int_t)w->index.pair_bytes));
    }
    json_object_set_new(root, "workers", workers);
    return dump(root, out, diag);
}

static const char *amount_text(money_total micro, int currency, char out[MONEY_TEXT_MAX])
{
    money_print(out, micro, currency_exponent((uint8_t)currency));
    return out;
}

static int by_tally_key(const void *a, const void *b)
{
    const struct tally_row *x = a, *y = b;
    unsigned xs = tally_side(x->key), ys = tally_side(y->key);
    if (xs != ys)
        return xs < ys ? -1 : 1;
    uint32_t xk = x->key & ~1u, yk = y->key & ~1u;
    return (xk > yk) - (xk < yk);
}

/* A row's cells up to the direction: with texts of its own, or with what is the same in all rows of the side. */
static char *put_head(char *at, const struct report *report, enum side side, uint16_t bill_day, unsigned hour,
                      const struct span *texts, uint8_t currency, int out)
{
    char day[DAY_TEXT_MAX];
    day_print(day, bill_day);
    at += sprintf(at, "%s,%s,", side_name(side), day);
    if (hour < HOUR_NONE)
        at += sprintf(at, "%02u", hour);
    static const int order[AGGREGATE_DIMS] = {AGGREGATE_CHANNEL_CODE, AGGREGATE_MERCHANT,
                                              AGGREGATE_SUB_MERCHANT, AGGREGATE_BIZ_TYPE};
    for (int i = 0; i < AGGREGATE_DIMS; i++) {
        const char *constant = report->job->aggregate.dims[order[i]]
                                   ? report->job->sources[side].fields[job_aggregate_field(order[i])].constant
                                   : NULL;
        *at++ = ',';
        at = cell_write(at, texts ? aggregate_dim(*texts, order[i]) : span_of(constant ? constant : ""), 0);
    }
    return at + sprintf(at, ",%s,%s,", currency_code(currency), out ? "OUT" : "IN");
}

enum { AGGREGATE_PIECE = 64 * 1024, ROW_ROOM = 512 };

struct piece {
    char *text, *at;
    report_put_fn *put;
    void *context;
};

static enum err put_piece(struct piece *p, size_t least, struct diag *diag)
{
    const size_t size = (size_t)(p->at - p->text);
    if (size < least || !size)
        return OK;
    p->at = p->text;
    return p->put(p->context, p->text, size, diag);
}

static enum err put_cell(struct piece *p, const struct report *report, const struct aggregate_reader *reader,
                         struct diag *diag)
{
    char a[MONEY_TEXT_MAX], b[MONEY_TEXT_MAX], c[MONEY_TEXT_MAX];
    const struct aggregate_cell *cell = &reader->cell;
    const enum side side = (enum side)aggregate_side(cell);
    const uint8_t currency = aggregate_currency(cell);
    const int fees = job_has_fees(report->job, side);
    p->at = put_head(p->at, report, side, aggregate_day(cell), aggregate_hour(cell), &reader->texts, currency,
                     aggregate_out(cell));
    p->at += sprintf(p->at, "%lld,%s,%s,%s\n", (long long)cell->count, amount_text(cell->gross, currency, a),
                     fees ? amount_text(cell->cost, currency, b) : "",
                     fees ? amount_text(cell->gross - cell->cost, currency, c) : "");
    return put_piece(p, AGGREGATE_PIECE, diag);
}

/* A side that is not counted by more than day, currency and direction. */
static enum err put_plain_side(struct piece *p, const struct report *report, enum side side,
                               const struct tally_row *rows, uint32_t count, struct diag *diag)
{
    char a[MONEY_TEXT_MAX];
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        if (tally_side(rows[i].key) != (unsigned)side)
            continue;
        const uint8_t currency = tally_currency(rows[i].key);
        p->at = put_head(p->at, report, side, tally_day(rows[i].key), HOUR_NONE, NULL, currency,
                         tally_out(rows[i].key));
        p->at += sprintf(p->at, "%llu,%s,,\n", (unsigned long long)rows[i].count,
                         amount_text(rows[i].sum, currency, a));
        err = put_piece(p, AGGREGATE_PIECE, diag);
    }
    return err;
}

enum err report_aggregate(const struct report *report, report_put_fn *put, void *context, struct diag *diag)
{
    struct run_result *r = report->result;
    uint32_t row_count = 0;
    size_t room = AGGREGATE_PIECE + ROW_ROOM + 2 * AGGREGATE_NOTE_MAX;
    for (int side = 0; side < SIDES; side++)
        for (int dim = 0; dim < AGGREGATE_DIMS; dim++) {
            const char *constant = report->job->sources[side].fields[job_aggregate_field(dim)].constant;
            room += constant ? 2 * strlen(constant) : 0;
        }
    struct tally_row *rows = mem_take((r->in.room + 1) * sizeof *rows);
    struct piece p = {.text = mem_take(room), .put = put, .context = context};
    if (!rows || !p.text) {
        mem_give(rows);
        mem_give(p.text);
        return mem_fail(diag, room, "aggregate.csv");
    }
    for (uint32_t i = 0; i < r->in.room; i++)
        if (r->in.rows[i].key && r->in.rows[i].count &&
            !job_counts(report->job, (enum side)tally_side(r->in.rows[i].key)))
            rows[row_count++] = r->in.rows[i];
    qsort(rows, row_count, sizeof *rows, by_tally_key);
    p.at = p.text + sprintf(p.text,
                            "side,bill_date,hour,channel_code,merchant_no,sub_merchant_no,biz_type,currency,"
                            "direction,count,gross,fee,net\n");
    struct aggregate_reader reader;
    enum err err = aggregate_read(&reader, &r->aggregate, diag);
    if (err == OK)
        err = aggregate_next(&reader, diag);
    for (int side = 0; err == OK && side < SIDES; side++) {
        err = put_plain_side(&p, report, (enum side)side, rows, row_count, diag);
        while (err == OK && reader.cell.key && aggregate_side(&reader.cell) == (unsigned)side &&
               (err = put_cell(&p, report, &reader, diag)) == OK)
            err = aggregate_next(&reader, diag);
    }
    if (err == OK)
        err = put_piece(&p, 0, diag);
    aggregate_read_end(&reader);
    mem_give(rows);
    mem_give(p.text);
    return err;
}

/* Suspense counts as open: no later run of this version looks at it again (core/README.md, decision 22). */
void report_unit_warning(const struct run_result *r, FILE *out)
{
    static const int factors[] = {100, 10, 1000};
    for (int c = 1; c < currency_count(); c++) {
        const struct class_totals *t = &r->totals;
        const uint64_t pairs = t->rows[CLASS_MISMATCH][LOCAL][c];
        const money_total local = t->sums[CLASS_MISMATCH][LOCAL][c],
                          channel = t->sums[CLASS_MISMATCH][CHANNEL][c];
        /* One pair, or one that agrees, says nothing about the rest. */
        if (pairs < 2 || pairs != t->rows[CLASS_MISMATCH][CHANNEL][c] || t->rows[CLASS_MATCH][LOCAL][c] ||
            !local)
            continue;
        for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
            if (local == channel * factors[i] || channel == local * factors[i])
                fprintf(out,
                        "warning: in %s all %llu pairs differ, and the %s side's amounts are %d times the "
                        "other's: is the "
                        "unit of an amount declared wrong (unit: major, minor)?\n",
                        currency_code((uint8_t)c), (unsigned long long)pairs,
                        side_name(local == channel * factors[i] ? LOCAL : CHANNEL), factors[i]);
    }
}

int report_exit_code(const struct run_result *r, int is_task)
{
    for (uint32_t i = 0; i < r->schedule_count; i++)
        if (r->schedule[i].stated != r->schedule[i].expected)
            return 1;
    for (int side = 0; side < SIDES; side++)
        if (r->totals.count[CLASS_MISMATCH][side] || r->totals.count[CLASS_MISSING][side] ||
            r->totals.count[CLASS_EXTRA][side] || r->totals.count[CLASS_AMBIGUOUS][side] ||
            (r->totals.count[CLASS_SUSPENSE][side] && !is_task) || r->counts[side].rejects || r->again[side])
            return 1;
    return 0;
}

/* 1234567 -> "1 234 567", as the digits of a ledger are grouped. */
static const char *grouped(uint64_t value, char out[40])
{
    char plain[24];
    int n = snprintf(plain, sizeof plain, "%llu", (unsigned long long)value), at = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[at++] = ' ';
        out[at++] = plain[i];
    }
    out[at] = 0;
    return out;
}

void report_text(const struct report *report, struct results *results, FILE *out)
{
    const struct run_result *r = report->result;
    int currencies[CURRENCY_COUNT_MAX], count = seen_currencies(r, currencies);
    char a[MONEY_TEXT_MAX], b[MONEY_TEXT_MAX], n1[40], n2[40], day[DAY_TEXT_MAX];
    day_print(day, report->date);
    fprintf(out, "\n%s%s%s\n\n", report->job->name ? report->job->name : "diff", *day ? ", bill date " : "",
            day);
    fprintf(out, "  %-10s %14s %22s %14s %22s\n", "class", "local rows", "local amount", "channel rows",
            "channel amount");
    for (int k = 0; k < CLASSES; k++) {
        int printed = 0;
        for (int i = 0; i < count; i++) {
            money_total l = r->totals.sums[k][LOCAL][currencies[i]],
                        c = r->totals.sums[k][CHANNEL][currencies[i]];
            if (i && !r->totals.rows[k][LOCAL][currencies[i]] && !r->totals.rows[k][CHANNEL][currencies[i]])
                continue;
            fprintf(out, "  %-10s %14s %18s %3s %14s %18s %3s\n", printed ? "" : class_name((enum class_id)k),
                    printed ? "" : grouped(r->totals.count[k][LOCAL], n1), amount_text(l, currencies[i], a),
                    currency_code((uint8_t)currencies[i]),
                    printed ? "" : grouped(r->totals.count[k][CHANNEL], n2), amount_text(c, currencies[i], b),
                    currency_code((uint8_t)currencies[i]));
            printed = 1;
        }
    }
    if (count == 0)
        fprintf(out, "  no records on either side\n");
    if (r->counts[LOCAL].rejects || r->counts[CHANNEL].rejects)
        fprintf(out, "  %-10s %14s %22s %14s   (rows that could not be read; see reject.csv)\n", "reject",
                grouped(r->counts[LOCAL].rejects, n1), "", grouped(r->counts[CHANNEL].rejects, n2));
    tell_roll_forward(r, out);
    for (int i = 0; i < count; i++) {
        int c = currencies[i];
        fprintf(out, "\n  bridge, %s\n", currency_code((uint8_t)c));
        fprintf(out, "    %-42s %20s\n", "channel total", amount_text(side_total(r, CHANNEL, c), c, a));
        fprintf(out, "    %-42s %20s\n", "local total", amount_text(side_total(r, LOCAL, c), c, a));
        fprintf(out, "    %-42s %20s\n", "difference (channel - local)",
                amount_text(value_difference(r, 0, c), c, a));
        static const char *const labels[CLASSES] = {
            "of it: within tolerance",  "of it: mismatches",  "of it: missing from the bill",
            "of it: extra on the bill", "of it: in suspense", "of it: duplicates",
            "of it: ambiguous",         "of it: excluded"};
        for (int k = 0; k < CLASSES; k++) {
            money_total part = k == CLASS_MATCH ? r->booked[BOOKED_TOLERANCE][c] : class_delta(r, k, c);
            if (part)
                fprintf(out, "    %-42s %20s\n", labels[k], amount_text(part, c, a));
            if (k == CLASS_MATCH && r->booked[BOOKED_FEES][c])
                fprintf(out, "    %-42s %20s\n", "of it: fees of matches",
                        amount_text(r->booked[BOOKED_FEES][c], c, a));
            if (k == CLASS_MATCH && r->booked[BOOKED_FX][c])
                fprintf(out, "    %-42s %20s\n", "of it: matches of two currencies",
                        amount_text(r->booked[BOOKED_FX][c], c, a));
            if (k == CLASS_MATCH && r->booked[BOOKED_HAND][c])
                fprintf(out, "    %-42s %20s\n", "of it: accepted by hand",
                        amount_text(r->booked[BOOKED_HAND][c], c, a));
        }
        fprintf(out, "    %-42s %20s\n", "unexplained", amount_text(unexplained(r, c), c, a));
    }
    struct largest_break largest[LARGEST_MAX];
    uint32_t breaks = results_largest(results, largest);
    if (breaks)
        fprintf(out, "\n  largest breaks\n");
    for (uint32_t i = 0; i < breaks; i++)
        fprintf(out, "    %s\n", largest[i].text);
    uint64_t rows = r->counts[LOCAL].rows + r->counts[CHANNEL].rows,
             bytes = r->counts[LOCAL].bytes + r->counts[CHANNEL].bytes;
    fprintf(out, "\n  files in %s/\n", report->out_dir);
    fprintf(out, "  %s rows, %.1f MB in %.3f s: %.2f million rows/s, %u thread%s, peak memory %.1f MB\n",
            grouped(rows, n1), (double)bytes / 1e6, report->seconds,
            report->seconds > 0 ? (double)rows / report->seconds / 1e6 : 0.0, report->threads,
            report->threads == 1 ? "" : "s", (double)peak_rss() / 1e6);
    const uint64_t open = r->totals.count[CLASS_SUSPENSE][LOCAL] + r->totals.count[CLASS_SUSPENSE][CHANNEL];
    const uint64_t again = r->again[LOCAL] + r->again[CHANNEL];
    if (again)
        fprintf(out,
                "  %s record%s of earlier days %s missing or extra again, since the pair that was made by "
                "hand is no "
                "more; in\n  no class file of this day: see tieout errors list\n",
                grouped(again, n1), again == 1 ? "" : "s", again == 1 ? "is" : "are");
    if (report_exit_code(r, r->carry != NULL) != 0)
        fprintf(out, "  it does not tie out: see the class files (exit code 1)\n\n");
    else if (open)
        fprintf(out, "  what is final ties out; %s record%s in suspense and carried on\n\n",
                grouped(open, n1), open == 1 ? " is" : "s are");
    else
        fprintf(out, "  everything ties out\n\n");
}

int report_sides_differ(const struct run_result *r, FILE *out)
{
    int differ = 0;
    char a[MONEY_TEXT_MAX], b[MONEY_TEXT_MAX], day[DAY_TEXT_MAX];
    struct tally_row *rows = mem_take(((size_t)r->in.room + 1) * sizeof *rows);
    uint32_t count = 0;
    for (uint32_t i = 0; rows && i < r->in.room; i++)
        if (r->in.rows[i].key)
            rows[count++] = r->in.rows[i];
    if (!rows)
        return (int)ERR_MACHINE;
    qsort(rows, count, sizeof *rows, by_tally_key);
    for (uint32_t i = 0; i < count; i++) {
        const struct tally_row *row = &rows[i], *other = NULL;
        for (uint32_t k = 0; k < count && !other; k++)
            other = rows[k].key == (row->key ^ 1) ? &rows[k] : NULL;
        const int side = (int)tally_side(row->key), currency = tally_currency(row->key);
        if (other && side == CHANNEL)
            continue; /* told with the local side's */
        const uint64_t theirs = other ? other->count : 0;
        const money_total sum = other ? other->sum : 0;
        if (theirs == row->count && sum == row->sum)
            continue;
        day_print(day, tally_day(row->key));
        fprintf(out, "%s %s %s: local %llu rows, %s; channel %llu rows, %s\n", day,
                currency_code((uint8_t)currency), tally_out(row->key) ? "OUT" : "IN",
                (unsigned long long)(side == LOCAL ? row->count : theirs),
                amount_text(side == LOCAL ? row->sum : sum, currency, a),
                (unsigned long long)(side == LOCAL ? theirs : row->count),
                amount_text(side == LOCAL ? sum : row->sum, currency, b));
        differ = 1;
    }
    mem_give(rows);
    for (int side = 0; side < SIDES; side++)
        if (r->counts[side].rejects) {
            fprintf(out, "%llu rows of the %s side could not be read\n",
                    (unsigned long long)r->counts[side].rejects, side_name((enum side)side));
            differ = 1;
        }
    if (!differ)
        fprintf(out, "counts and sums of both sides agree; nothing was matched\n");
    return differ;
}
