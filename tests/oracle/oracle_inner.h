/* tests/oracle/oracle_inner.h: what the oracle's own files share. */
#ifndef TIEOUT_TESTS_ORACLE_ORACLE_INNER_H
#define TIEOUT_TESTS_ORACLE_ORACLE_INNER_H

#include "tests/oracle/oracle.h"

/* Reasons in the order in which they are printed; attr:<name> ones, a bit per field slot, follow. */
enum {
    R_EXACT,
    R_TOLERANCE,
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
    int64_t day; /* since 1970-01-01 */

    int class_id, key_no; /* O_OPEN until a pass has decided */
    unsigned reasons, attr_reasons;
    int is_dup_suspect;
    struct orecord *partner;
    struct text set; /* ambiguous: key number and tuple; equal texts are one set */

    /* of the pass at hand */
    struct text tuple; /* empty: no key */
    int is_matched_in_pass;
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
    struct table *tables[O_CLASSES], *aggregate;
    const char *currencies[64];
};

/* The SPEC's ≺. */
int oracle_order(const struct orecord *a, const struct orecord *b);
void oracle_print_money(struct text *out, __int128 micro, const char *currency);
/* The currency's decimals, or -1 when there is no such code. */
int oracle_exponent(struct text code);
void oracle_write_tables(struct oracle *oracle);

#endif
