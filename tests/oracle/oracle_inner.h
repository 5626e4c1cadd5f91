/* tests/oracle/oracle_inner.h: what the oracle's own files share. */
#ifndef TIEOUT_TESTS_ORACLE_ORACLE_INNER_H
#define TIEOUT_TESTS_ORACLE_ORACLE_INNER_H

#include "tests/oracle/oracle.h"

/* Reasons in the order in which they are printed; attr:<name> ones, a bit per field slot, follow. */
enum {
    R_EXACT,
    R_TOLERANCE,
    R_GROUP,
    R_AMOUNT,
    R_CURRENCY,
    R_DIRECTION,
    R_STATUS,
    R_FEE,
    R_TIMING,
    R_MERCHANT,
    R_DATE_DISAGREES,
    R_CONFLICT,
    R_SUSPECTED,
    R_DUP_SUSPECT,
    R_NON_MONETARY,
    R_DAY_CUT,
    R_PARTIAL,
    R_OVER,
    R_UNDER,
    R_GROUP_SUM,
    R_BUDGET,
    R_NETTED,
    R_SAMPLED,
    R_FX,
    R_FX_RATE_MISSING,
    R_FILTERED,
    R_TEST,
    R_ALIEN_MERCHANT,
    R_OVER_REFUND,
    REASON_COUNT
};

enum { O_OPEN = -1 };

struct orecord {
    int side, source;
    size_t offset;
    struct text text[O_SLOTS]; /* normalized, as printed; empty: absent */
    struct text occurrence, place;
    int64_t amount, fee; /* amount is signed by the direction */
    int is_out, has_fee, has_date, date_disagrees;
    int64_t day;    /* since 1970-01-01 */
    int64_t cost;   /* the fee, with the sign that a cost has */
    __int128 gross; /* what is compared: the amount, of net channel records with the cost */
    int is_filtered;

    int class_id, key_no; /* O_OPEN until a pass has decided */
    unsigned reasons, attr_reasons;
    int is_dup_suspect;
    struct orecord *partner;
    struct text set; /* key number and tuple, and what else tells it apart; equal texts are one set */
    struct text remains;

    /* of the pass at hand */
    struct text tuple; /* empty: no key */
    int is_matched_in_pass;
    __int128 converted;
    int has_converted;
};

struct orate {
    int64_t day;
    char from[4], to[4];
    __int128 digits, scale; /* the rate is digits / scale */
};

struct oreject {
    int side;
    const char *column;
    struct text raw, place;
};

struct oracle {
    const struct oracle_job *job;
    struct orecord **records;
    int count, room;
    struct oreject *rejects;
    int reject_count;
    long side_rejects[ORACLE_SIDES];
    int file_count;
    char refusal[300];
    struct table *tables[O_CLASSES], *aggregate, *proposals;
    struct orate *rates;
    int rate_count;
    int are_day_fees_off; /* a day's fees are not what the schedule says */
    const char *currencies[64];
};

/* The SPEC's ≺. */
int oracle_order(const struct orecord *a, const struct orecord *b);
void oracle_print_money(struct text *out, __int128 micro, const char *currency);
/* The currency's decimals, or -1 when there is no such code. */
int oracle_exponent(struct text code);
/* 1, or 0 when the text is no date. */
int oracle_date(struct text text, int64_t *day);
/* numerator / denominator (> 0), as a whole number. */
__int128 oracle_round(__int128 numerator, __int128 denominator, enum oracle_rounding rounding);
/* The cost of an amount, with the sign that a cost has; it may be too large for a record. */
__int128 oracle_schedule(const struct oracle_job *job, int64_t amount, const char *currency);
/* 1, or 0 when the table is none. */
int oracle_read_rates(struct oracle *oracle);

/* ---- the order of things, and verdicts (oracle.c) ---- */

/* The job at hand: qsort has no argument for it. */
extern const struct oracle_job *oracle_sorting_job;
int oracle_compare_numbers(__int128 a, __int128 b);
int oracle_compare_field(const struct orecord *a, const struct orecord *b, int field);
int oracle_is_in_sigma(int field);
int oracle_window_side(const struct orecord *local, const struct orecord *channel);
int oracle_is_monetary(const struct orecord *r);
int oracle_is_one_sigma(struct orecord **list, int count);
int oracle_keep_open(struct orecord **list, int count);
void oracle_decide(struct orecord *r, int class_id, unsigned reasons);
void oracle_decide_pair(struct orecord *local, struct orecord *channel, int class_id, unsigned reasons,
                        unsigned attr_reasons, int key);
unsigned oracle_day_cut(const struct orecord *local, const struct orecord *channel);
__int128 oracle_magnitude(__int128 value);

/* ---- the rules that see more than pairs (oracle_sets.c) ---- */

/* P0, of all records. */
void oracle_set_aside(struct oracle *oracle);
/* Of one key's open records, by the SPEC's order; partials and splits say whether they decided them all. */
void oracle_pass_fx(const struct oracle *oracle, struct orecord **local, int locals, struct orecord **channel,
                    int channels, int key);
/* 0 no rate, 1. */
int oracle_convert(const struct oracle *oracle, const struct orecord *local, const char *currency,
                   __int128 *converted);
int oracle_pass_partials(const struct oracle *oracle, struct orecord **local, int locals,
                         struct orecord **channel, int channels, int key);
int oracle_pass_splits(struct orecord **local, int locals, struct orecord **channel, int channels, int key);
void oracle_pass_settlement(struct orecord **group, int count);
/* After the last key. */
void oracle_pass_budget(struct oracle *oracle);
void oracle_pass_reversals(struct oracle *oracle);
void oracle_pass_proposals(struct oracle *oracle);
void oracle_check_day_fees(struct oracle *oracle);
struct text oracle_key_tuple(const struct orecord *r, int key);
/* A cell each of the one-sided files, from `side` to occurrence_id. */
int oracle_record_names(const struct oracle_job *job, const char *names[]);
struct text *oracle_record_cells(const struct oracle_job *job, const struct orecord *r, struct text *at);
struct text oracle_place_cell(const struct orecord *r);

void oracle_write_tables(struct oracle *oracle);

#endif
