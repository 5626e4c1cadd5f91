/* tests/oracle/oracle.h: what every record's class must be, found the plain way.
 *
 *     oracle_open
 *       oracle_read      once per file
 *       oracle_match     once
 *       oracle_table, oracle_sums, ...
 *     oracle_close
 *
 * The oracle reads both sides wholly into memory, sorts, and walks; it follows SPEC.md sections 1 to 4 and
 * the decisions in core/README.md, and calls nothing of core/, io/ or index/. What they leave open is settled
 * in README.md here. Covered: P0 to P9 with all rules of SPEC.md section 3, for CSV sources.
 *
 * Memory: the job and all it points to outlive the oracle, and so do the texts given to oracle_read.
 */
#ifndef TIEOUT_TESTS_ORACLE_ORACLE_H
#define TIEOUT_TESTS_ORACLE_ORACLE_H

#include "tests/oracle/table.h"
#include <stdint.h>

enum { ORACLE_LOCAL, ORACLE_CHANNEL, ORACLE_SIDES };

/* The fields of SPEC.md section 1, in its order; attrs follow. */
enum oracle_field {
    O_CHANNEL_CODE,
    O_BIZ_TYPE,
    O_BIZ_ORDER_NO,
    O_CHANNEL_ORDER_NO,
    O_MERCHANT_NO,
    O_SUB_MERCHANT_NO,
    O_BILL_DATE,
    O_TRADE_TIME,
    O_DIRECTION,
    O_CURRENCY,
    O_AMOUNT,
    O_FEE,
    O_STATUS,
    O_FIELDS,
    O_ATTRS_MAX = 8,
    O_SLOTS = O_FIELDS + O_ATTRS_MAX
};
/* The canonical field of that name, or O_FIELDS. */
int oracle_field_find(const char *name);
const char *oracle_field_word(int field);

enum oracle_class {
    O_MATCH,
    O_MISMATCH,
    O_MISSING,
    O_EXTRA,
    O_SUSPENSE,
    O_DUPLICATE,
    O_AMBIGUOUS,
    O_EXCLUDED,
    O_REJECT,
    O_CLASSES
};
const char *oracle_class_word(int class_id);

struct oracle_map {
    const char *from, *to;
};

/* Rows whose cell in `column` is one of `words`, of which one may end in '*'. */
struct oracle_condition {
    const char *column; /* ends a list at NULL */
    const char *words[4];
};

/* A field of records, asked in the same way. */
struct oracle_test {
    int field;
    const char *words[4]; /* ends a list at words[0] == NULL */
};

enum oracle_rounding { O_HALF_UP, O_HALF_EVEN, O_DOWN, O_UP };
enum oracle_fees { O_FEES_AS_COMPARED, O_FEES_NET, O_FEES_SCHEDULE, O_FEES_SCHEDULE_DAY };

struct oracle_source {
    const char *column[O_SLOTS]; /* header names; NULL: this side has no such field */
    int is_optional[O_SLOTS]; /* diff: a canonical column that is not in the header is absent, not an error */
    const char *debit, *credit; /* instead of the amount's column; credit is IN */
    int amount_is_minor, fee_is_minor;
    const char *currency; /* a constant of this side; NULL: none */
    struct oracle_map direction_map[8],
        status_map[8];        /* ends at from == NULL; empty: the words as they are */
    const char *status_other; /* NULL: a word outside the map is a reject */
    struct oracle_map currency_map[8];
    const char *strip[O_SLOTS]; /* characters that are taken out of the cells of a field */
    const char *occurrence[4];  /* header names, ends at NULL */
    int occurrence_is_field;    /* the field channel_order_no is the occurrence id, as it is read */
    char delimiter;             /* 0: ',' */
    int has_no_quote;           /* a quote is a byte like any other */
    const char *comment;        /* what comment lines begin with */
    int skip_lines;             /* before the header */
    const char *columns[40];    /* no header: the columns' names; ends at NULL */
    const char *timezone;       /* NULL: the job's */
    int fee_is_signed;          /* the fee is money to the merchant: a cost is below 0 */
    struct oracle_condition where[3], exclude[3];
};

struct oracle_job {
    const char *channel_code, *biz_type; /* of records whose source names no column for them; NULL: none */
    const char *timezone;
    int cut_minutes;
    const char *unit_date; /* of records that have no date of their own; NULL (diff): they have none */
    const char *currency;  /* NULL: a row without one is a reject */
    struct oracle_source sources[ORACLE_SIDES];
    int key_parts[8][6], key_part_count[8], key_count; /* oracle_field, or O_FIELDS + attr */
    int is_compared[O_SLOTS];                          /* amount, direction and currency always are */
    const char
        *attrs[O_ATTRS_MAX]; /* in the order of their names, which outputs and canonical bytes follow */
    int attr_count;
    int64_t amount_tolerance_micro, amount_tolerance_ppm, fee_tolerance_micro, fee_tolerance_ppm;
    int has_window, window_before, window_after; /* days */
    int threshold[ORACLE_SIDES];    /* 0: P9 is final at once; above, what is left is in suspense */
    long max_rejects[ORACLE_SIDES]; /* of each file */

    int has_budget;
    int64_t budget_micro;
    enum oracle_fees fees;
    struct {
        int64_t rate_ppm, min_micro, max_micro; /* max 0: none */
        enum oracle_rounding rounding;
        int are_refunds_kept;
    } schedule;
    int splits, reversals;
    struct {
        int is_given, key, whole, is_over_refund_ignored;
    } partials;
    struct {
        int is_given, gross, count; /* gross -1: neither side; count -1, or the field. The key is key 0. */
    } group;
    struct {
        int is_given, by[6], by_count;
        long parts, work, pool;
    } subset;
    const char *rates; /* FX: the table's text; NULL: no such rule */
    enum oracle_rounding fx_rounding;
    struct oracle_test tests[4];
    const char *merchants[8]; /* ends at NULL; empty: all are ours */
    struct {
        int is_given, by[6], by_count;
        uint32_t ppm;
    } sampling;
};

struct oracle;
struct oracle *oracle_open(const struct oracle_job *job);
/* `name` is what places call the file. 0, or -1 with the reason in oracle_refusal(): the whole run is refused
 * (exit code 3). */
int oracle_read(struct oracle *oracle, int side, const char *name, const char *data, size_t size);
const char *oracle_refusal(const struct oracle *oracle);
void oracle_match(struct oracle *oracle);
/* The class file as tieout writes it. Reject rows have `side,column,raw,place`, in the order of reading. */
const struct table *oracle_table(const struct oracle *oracle, int class_id);
/* aggregate.csv: all records by side, bill date, currency and direction. */
const struct table *oracle_aggregate(const struct oracle *oracle);
/* proposal.csv, or NULL where the job has none. */
const struct table *oracle_proposals(const struct oracle *oracle);
long oracle_count(const struct oracle *oracle, int class_id, int side);
/* The signed sum in a currency, printed; "" when no record of that class, side and currency is there. */
struct text oracle_sum(const struct oracle *oracle, int class_id, int side, const char *currency);
/* The codes that appear, ends at NULL. */
const char *const *oracle_currencies(const struct oracle *oracle);
/* 0 or 1, as SPEC.md section 7 and 8 say. */
int oracle_exit_code(const struct oracle *oracle);
void oracle_close(struct oracle *oracle);

/* Reads an amount in units of 10^-6 of the major unit; `exponent` 0 for text in major units, the currency's
 * for minor ones. 1 or 0. */
int oracle_money(struct text text, int exponent, int64_t *micro);

#endif
