/* core/model/words.h: the contract's words (SPEC.md sections 1, 3 and 4): sides, fields, classes, reasons. */
#ifndef TIEOUT_CORE_MODEL_WORDS_H
#define TIEOUT_CORE_MODEL_WORDS_H

#include <stdint.h>

enum side { LOCAL, CHANNEL, SIDES };
const char *side_name(enum side side); /* "local", "channel" */

/* The canonical fields, in the order of SPEC.md section 1, which is also their order in canonical bytes and
 * in output columns. attr columns follow them. */
enum field {
    FIELD_CHANNEL_CODE,
    FIELD_BIZ_TYPE,
    FIELD_BIZ_ORDER_NO,
    FIELD_CHANNEL_ORDER_NO,
    FIELD_MERCHANT_NO,
    FIELD_SUB_MERCHANT_NO,
    FIELD_BILL_DATE,
    FIELD_TRADE_TIME,
    FIELD_DIRECTION,
    FIELD_CURRENCY,
    FIELD_AMOUNT,
    FIELD_FEE,
    FIELD_STATUS,
    FIELDS,
    ATTRS_MAX = 16, /* attr columns a job may name */
    FIELD_ATTR0 = FIELDS,
    FIELD_SLOTS = FIELDS + ATTRS_MAX
};
const char *field_name(unsigned field); /* "biz_order_no"; attrs have their names in the job */
/* FIELDS when there is no such canonical field. */
unsigned field_find(const char *name);

enum class_id {
    CLASS_MATCH,
    CLASS_MISMATCH,
    CLASS_MISSING,
    CLASS_EXTRA,
    CLASS_SUSPENSE,
    CLASS_DUPLICATE,
    CLASS_AMBIGUOUS,
    CLASS_EXCLUDED,
    CLASSES
};
const char *class_name(enum class_id id); /* "match" */

/* A verdict's reasons: a bit each, printed in this order, joined by ';'. attr:<name> reasons are bits above
 * REASONS. */
enum reason {
    REASON_EXACT,
    REASON_TOLERANCE,
    REASON_GROUP,
    REASON_AMOUNT,
    REASON_CURRENCY,
    REASON_DIRECTION,
    REASON_STATUS,
    REASON_FEE,
    REASON_TIMING,
    REASON_MERCHANT,
    REASON_DATE_DISAGREES,
    REASON_CONFLICT,
    REASON_SUSPECTED,
    REASON_DUP_SUSPECT,
    REASON_NON_MONETARY,
    REASON_DAY_CUT,
    REASON_NEAR_CUT,
    REASON_CARRIED,
    REASON_SECOND_PASS,
    REASON_LATE,
    REASON_PARTIAL,
    REASON_OVER,
    REASON_UNDER,
    REASON_GROUP_SUM,
    REASON_BUDGET,
    REASON_NETTED,
    REASON_SAMPLED,
    REASON_MANUAL,
    REASON_FX,
    REASON_FX_RATE_MISSING,
    /* ours */
    REASON_VOIDED,         /* a row that the log says was deleted (P0) */
    REASON_FILTERED,       /* a kind of row, or rows, that the profile or the job sets aside (P0) */
    REASON_OTHER_DAY,      /* a log record of another bill date, not of this unit (P0) */
    REASON_TEST,           /* test data (P0) */
    REASON_ALIEN_MERCHANT, /* of a merchant that is none of ours (P0) */
    REASON_OVER_REFUND,    /* more given back than taken */
    REASON_REPEATED,       /* an earlier day of the book took it in already */
    REASONS
};
#define REASON_BIT(reason) (1ull << (reason))
/* A canonical field without a word of its own, or an attr: a bit behind the words. Fields from amount on have words. */
enum { REASON_ATTR_FIELDS = FIELD_BILL_DATE };
static inline unsigned reason_attr_number(unsigned slot)
{
    return slot < FIELDS ? slot : slot - FIELDS + REASON_ATTR_FIELDS;
}
static inline unsigned reason_attr_slot(unsigned number)
{
    return number < REASON_ATTR_FIELDS ? number : number - REASON_ATTR_FIELDS + FIELDS;
}
#define REASON_ATTR_BIT(slot) (1ull << (REASONS + reason_attr_number(slot)))
_Static_assert(REASONS + REASON_ATTR_FIELDS + ATTRS_MAX <= 64, "a reason is a bit");
const char *reason_name(enum reason reason);

#endif
