/* tests/oracle/oracle_write.c: verdicts become the rows of the class files, counts and sums. */
#include "tests/oracle/oracle_inner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *oracle_class_word(int class_id)
{
    static const char *const words[O_CLASSES] = {"match",     "mismatch",  "missing",  "extra", "suspense",
                                                 "duplicate", "ambiguous", "excluded", "reject"};
    return words[class_id];
}

static const char *const reason_words[REASON_COUNT] = {
    "exact",           "tolerance",   "group",        "amount",         "currency",       "direction",
    "status",          "fee",         "timing",       "merchant",       "date_disagrees", "conflict",
    "suspected",       "dup_suspect", "non_monetary", "day_cut",        "partial",        "over",
    "under",           "group_sum",   "budget",       "netted",         "sampled",        "fx",
    "fx_rate_missing", "filtered",    "test",         "alien_merchant", "over_refund"};

static const char *slot_word(const struct oracle_job *job, int slot)
{
    return slot < O_FIELDS ? oracle_field_word(slot) : job->attrs[slot - O_FIELDS];
}

static void add_word(struct text *out, const char *prefix, const char *word)
{
    if (out->size)
        text_append(out, ";", 1);
    text_append(out, prefix, strlen(prefix));
    text_append(out, word, strlen(word));
}

static struct text reasons_text(const struct oracle_job *job, const struct orecord *r)
{
    struct text out = {0};
    text_append(&out, "", 0);
    for (int i = 0; i < REASON_COUNT; i++)
        if (r->reasons >> i & 1)
            add_word(&out, "", reason_words[i]);
    for (int f = 0; f < O_SLOTS; f++)
        if (r->attr_reasons >> f & 1)
            add_word(&out, "attr:", slot_word(job, f));
    return out;
}

/* A cell that a spreadsheet would run gets an apostrophe in front; so does one that looks as if it had got one. */
static struct text harmless(struct text cell)
{
    static const char *const runs[] = {
        "=", "+", "-", "@", "\t", "\r", "\n", "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"};
    size_t begin = 0;
    int run = 0;
    while (begin < cell.size && cell.data[begin] == '\'')
        begin++;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        size_t n = strlen(runs[i]);
        run |= cell.size - begin >= n && memcmp(cell.data + begin, runs[i], n) == 0;
    }
    if (!run)
        return text_copy(cell.data, cell.size);
    struct text out = {0};
    text_append(&out, "'", 1);
    text_append(&out, cell.data, cell.size);
    return out;
}

static struct text plain(struct text cell)
{
    return text_copy(cell.data, cell.size);
}

static struct text word_text(const char *word)
{
    return text_copy(word, strlen(word));
}

static struct text field_cell(const struct orecord *r, int slot)
{
    return slot == O_AMOUNT || slot == O_FEE ? plain(r->text[slot]) : harmless(r->text[slot]);
}

static int is_shown(const struct oracle_job *job, int slot)
{
    return slot != O_AMOUNT && slot != O_CURRENCY && slot != O_DIRECTION && job->is_compared[slot];
}

enum { WIDTH_MAX = 80 };
struct header {
    char words[WIDTH_MAX][96];
    const char *names[WIDTH_MAX];
    int width;
};

static void add_name(struct header *h, const char *prefix, const char *word)
{
    snprintf(h->words[h->width], sizeof h->words[0], "%s%s", prefix, word);
    h->names[h->width] = h->words[h->width];
    h->width++;
}

/* Members of sets stand among pairs. */
static int has_sets(const struct oracle_job *job)
{
    return job->splits || job->reversals || job->partials.is_given || job->group.is_given;
}

/* Any number will do that is equal for equal sets: FNV-1a of the key number and tuple. */
static struct text set_cell(struct text set)
{
    if (set.size == 0)
        return word_text("");
    uint64_t hash = 14695981039346656037ull;
    for (size_t i = 0; i < set.size; i++)
        hash = (hash ^ (unsigned char)set.data[i]) * 1099511628211ull;
    char digits[24];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)hash);
    return word_text(digits);
}

static struct table *open_pairs(const struct oracle_job *job)
{
    static const char *const first[] = {"channel_code", "biz_order_no", "channel_order_no",
                                        "reasons",      "local_amount", "channel_amount",
                                        "delta",        "key_no"};
    struct header h = {.width = 0};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        add_name(&h, "", first[i]);
    if (has_sets(job))
        add_name(&h, "", "set_id");
    for (int f = 0; f < O_SLOTS; f++)
        if (is_shown(job, f)) {
            add_name(&h, "local_", slot_word(job, f));
            add_name(&h, "channel_", slot_word(job, f));
        }
    add_name(&h, "", "currency");
    add_name(&h, "", "local_bill_date");
    add_name(&h, "", "channel_bill_date");
    add_name(&h, "", "local_place");
    add_name(&h, "", "channel_place");
    return table_open(h.names, h.width);
}

/* The cell of a side's record, or nothing where the row has none of that side. */
static struct text side_cell(const struct orecord *r, int slot)
{
    return r ? field_cell(r, slot) : word_text("");
}

/* The first record that has the field; of members of sets there is only one. */
static struct text either_cell(const struct orecord *first, const struct orecord *second, int slot)
{
    return field_cell(first && (!second || first->text[slot].size) ? first : second, slot);
}

/* A pair, or a member of a set, on whose other side nothing stands. */
static void add_pair(struct table *t, const struct oracle_job *job, const struct orecord *r)
{
    const struct orecord *local = r->side == ORACLE_LOCAL ? r : NULL,
                         *channel = r->side == ORACLE_LOCAL ? r->partner : r;
    struct text *row = must_take((size_t)t->width * sizeof *row), *at = row;
    *at++ = either_cell(local, channel, O_CHANNEL_CODE);
    *at++ = either_cell(local, channel, O_BIZ_ORDER_NO);
    *at++ = either_cell(channel, local, O_CHANNEL_ORDER_NO);
    *at++ = reasons_text(job, r);
    *at++ = side_cell(local, O_AMOUNT);
    *at++ = side_cell(channel, O_AMOUNT);
    struct text delta = {0}, currency = {0};
    text_append(&delta, "", 0);
    text_append(&currency, r->text[O_CURRENCY].data, 3);
    if (!local || !channel || text_compare(local->text[O_CURRENCY], channel->text[O_CURRENCY]) == 0) {
        oracle_print_money(&delta, (channel ? (__int128)channel->amount : 0) - (local ? local->amount : 0),
                           currency.data);
    } else {
        text_append(&currency, "/", 1);
        text_append(&currency, channel->text[O_CURRENCY].data, 3);
    }
    *at++ = delta;
    char number[16];
    snprintf(number, sizeof number, "%d", r->key_no);
    *at++ = word_text(number);
    if (has_sets(job))
        *at++ = set_cell(r->set);
    for (int f = 0; f < O_SLOTS; f++)
        if (is_shown(job, f)) {
            *at++ = side_cell(local, f);
            *at++ = side_cell(channel, f);
        }
    *at++ = currency;
    *at++ = side_cell(local, O_BILL_DATE);
    *at++ = side_cell(channel, O_BILL_DATE);
    *at++ = local ? harmless(local->place) : word_text("");
    *at++ = channel ? harmless(channel->place) : word_text("");
    table_add(t, row);
}

int oracle_record_names(const struct oracle_job *job, const char *names[])
{
    int n = 0;
    names[n++] = "side";
    for (int f = 0; f < O_FIELDS + job->attr_count; f++)
        names[n++] = slot_word(job, f);
    names[n++] = "occurrence_id";
    return n;
}

struct text *oracle_record_cells(const struct oracle_job *job, const struct orecord *r, struct text *at)
{
    *at++ = word_text(r->side == ORACLE_LOCAL ? "local" : "channel");
    for (int f = 0; f < O_FIELDS + job->attr_count; f++)
        *at++ = field_cell(r, f);
    *at++ = harmless(r->occurrence);
    return at;
}

struct text oracle_place_cell(const struct orecord *r)
{
    return harmless(r->place);
}

static struct table *open_singles(const struct oracle_job *job)
{
    const char *names[WIDTH_MAX];
    int width = oracle_record_names(job, names);
    names[width++] = "set_id";
    if (job->partials.is_given)
        names[width++] = "remains";
    names[width++] = "reasons";
    names[width++] = "place";
    return table_open(names, width);
}

static void add_single(struct table *t, const struct oracle_job *job, const struct orecord *r)
{
    struct text *row = must_take((size_t)t->width * sizeof *row), *at = row;
    at = oracle_record_cells(job, r, at);
    *at++ = set_cell(r->set);
    if (job->partials.is_given)
        *at++ = plain(r->remains);
    *at++ = reasons_text(job, r);
    *at++ = harmless(r->place);
    table_add(t, row);
}

static int by_pair(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    return oracle_order(a, b);
}

/* What tells cells apart, behind the side; the hour has no field. */
enum { HOUR = -1, CELL_FIELDS = 8 };
static const int cell_fields[CELL_FIELDS] = {O_BILL_DATE,       HOUR,       O_CHANNEL_CODE, O_MERCHANT_NO,
                                             O_SUB_MERCHANT_NO, O_BIZ_TYPE, O_CURRENCY,     O_DIRECTION};

/* A run tells all apart, a diff only dates, currencies and directions. */
static struct text cell_text(const struct oracle_job *job, const struct orecord *r, int i)
{
    struct text none = {(char *)"", 0};
    int field = cell_fields[i];
    if (!job->unit_date && i > 0 && i < 6)
        return none;
    if (field != HOUR)
        return r->text[field].size ? r->text[field] : none;
    return r->text[O_TRADE_TIME].size ? (struct text){r->text[O_TRADE_TIME].data + 11, 2} : none;
}

/* Rows without an hour stand behind those of all hours. */
static int compare_cell_texts(struct text a, struct text b, int is_empty_last)
{
    if (is_empty_last && (a.size == 0) != (b.size == 0))
        return a.size == 0 ? 1 : -1;
    return text_compare(a, b);
}

static int by_cell(const void *pa, const void *pb)
{
    const struct orecord *a = *(struct orecord *const *)pa, *b = *(struct orecord *const *)pb;
    int c = (a->side > b->side) - (a->side < b->side);
    for (int i = 0; i < CELL_FIELDS && !c; i++)
        c = compare_cell_texts(cell_text(oracle_sorting_job, a, i), cell_text(oracle_sorting_job, b, i),
                               cell_fields[i] == HOUR);
    return c;
}

static struct table *write_aggregate(const struct oracle *oracle)
{
    static const char *const names[] = {"side",        "bill_date",       "hour",     "channel_code",
                                        "merchant_no", "sub_merchant_no", "biz_type", "currency",
                                        "direction",   "count",           "gross",    "fee",
                                        "net"};
    const struct oracle_job *job = oracle->job;
    struct table *t = table_open(names, 13);
    struct orecord **all = must_take((size_t)(oracle->count + 1) * sizeof *all);
    if (oracle->count > 0)
        memcpy(all, oracle->records, (size_t)oracle->count * sizeof *all);
    qsort(all, (size_t)oracle->count, sizeof *all, by_cell);
    for (int from = 0, to; from < oracle->count; from = to) {
        __int128 gross = 0, fee = 0;
        const struct orecord *first = all[from];
        const char *code = first->text[O_CURRENCY].data;
        for (to = from; to < oracle->count && by_cell(&all[from], &all[to]) == 0; to++) {
            gross += all[to]->amount;
            fee += all[to]->cost;
        }
        struct text *row = must_take(13 * sizeof *row), *at = row;
        char count[32];
        snprintf(count, sizeof count, "%d", to - from);
        *at++ = word_text(first->side == ORACLE_LOCAL ? "local" : "channel");
        for (int i = 0; i < CELL_FIELDS; i++)
            *at++ = harmless(cell_text(job, first, i));
        *at++ = word_text(count);
        oracle_print_money(at++, gross, code);
        int is_computed = first->side == ORACLE_LOCAL && job->fees == O_FEES_SCHEDULE;
        if (job->unit_date && (is_computed || job->sources[first->side].column[O_FEE])) {
            oracle_print_money(at++, fee, code);
            oracle_print_money(at++, gross - fee, code);
        } else {
            *at++ = word_text("");
            *at++ = word_text("");
        }
        table_add(t, row);
    }
    free(all);
    return t;
}

const struct table *oracle_proposals(const struct oracle *oracle)
{
    return oracle->proposals;
}

const struct table *oracle_aggregate(const struct oracle *oracle)
{
    return oracle->aggregate;
}

void oracle_write_tables(struct oracle *oracle)
{
    oracle->aggregate = write_aggregate(oracle);
    static const char *const reject_names[] = {"side", "column", "raw", "place"};
    for (int class_id = 0; class_id < O_REJECT; class_id++) {
        int is_pair = class_id == O_MATCH || class_id == O_MISMATCH;
        struct table *t = is_pair ? open_pairs(oracle->job) : open_singles(oracle->job);
        struct orecord **list = must_take((size_t)oracle->count * sizeof *list);
        int n = 0;
        for (int i = 0; i < oracle->count; i++) {
            struct orecord *r = oracle->records[i];
            if (r->class_id == class_id && (!is_pair || r->side == ORACLE_LOCAL || !r->partner))
                list[n++] = r;
        }
        if (is_pair)
            qsort(list, (size_t)n, sizeof *list, by_pair);
        for (int i = 0; i < n; i++) {
            if (is_pair)
                add_pair(t, oracle->job, list[i]);
            else
                add_single(t, oracle->job, list[i]);
        }
        free(list);
        oracle->tables[class_id] = t;
    }
    struct table *rejects = table_open(reject_names, 4);
    for (int i = 0; i < oracle->reject_count; i++) {
        const struct oreject *reject = &oracle->rejects[i];
        struct text *row = must_take(4 * sizeof *row);
        row[0] = word_text(reject->side == ORACLE_LOCAL ? "local" : "channel");
        row[1] = word_text(reject->column);
        row[2] = harmless(reject->raw);
        row[3] = harmless(reject->place);
        table_add(rejects, row);
    }
    oracle->tables[O_REJECT] = rejects;
    int n = 0;
    for (int i = 0; i < oracle->count; i++) {
        const char *code = oracle->records[i]->text[O_CURRENCY].data;
        int k = 0;
        while (k < n && strcmp(oracle->currencies[k], code) != 0)
            k++;
        if (k == n && n < 63)
            oracle->currencies[n++] = code;
    }
}

const struct table *oracle_table(const struct oracle *oracle, int class_id)
{
    return oracle->tables[class_id];
}

const char *const *oracle_currencies(const struct oracle *oracle)
{
    return oracle->currencies;
}

long oracle_count(const struct oracle *oracle, int class_id, int side)
{
    if (class_id == O_REJECT)
        return oracle->side_rejects[side];
    long n = 0;
    for (int i = 0; i < oracle->count; i++)
        n += oracle->records[i]->class_id == class_id && oracle->records[i]->side == side;
    return n;
}

struct text oracle_sum(const struct oracle *oracle, int class_id, int side, const char *currency)
{
    __int128 sum = 0;
    int any = 0;
    struct text out = {0};
    text_append(&out, "", 0);
    for (int i = 0; i < oracle->count; i++) {
        const struct orecord *r = oracle->records[i];
        if (r->class_id == class_id && r->side == side && text_is(r->text[O_CURRENCY], currency)) {
            sum += r->amount;
            any = 1;
        }
    }
    if (any)
        oracle_print_money(&out, sum, currency);
    return out;
}

int oracle_exit_code(const struct oracle *oracle)
{
    static const int open[] = {O_MISMATCH, O_MISSING, O_EXTRA, O_AMBIGUOUS, O_SUSPENSE, O_REJECT};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (oracle->tables[open[i]]->count)
            return 1;
    return oracle->are_day_fees_off;
}
