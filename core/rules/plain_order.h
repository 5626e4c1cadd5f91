/* core/rules/plain_order.h: where a usual row of a plain source stands in ≺ among rows of one key and sigma, as a number.
 *
 * Two such rows of one date, with the numbers x < y, stand in ≺ in that order; where the numbers are equal only the whole rows can tell. So of
 * very many rows those that come last are found without any of them being read again, but for the few whose number is the border's.
 *
 * Numbers say where a row parts from a row that all are held against, their base (of a run and side: of whichever row came first; which
 * one that is shows in no output), and six bytes of what it has there. Ids of one day begin alike, and so do merchants' numbers: their
 * own first bytes would tell hardly any apart. A row with an occurrence id has that of the id, one without that of its canonical
 * fields from channel_code to sub_merchant_no.
 *
 * Threads: bases are made by whoever comes first, and then stay.
 */
#ifndef TIEOUT_CORE_RULES_PLAIN_ORDER_H
#define TIEOUT_CORE_RULES_PLAIN_ORDER_H

#include "core/config/job.h"
#include "core/model/full.h"

enum { ORDER_FIELDS = FIELD_SUB_MERCHANT_NO + 1 };

struct plain_plan;
struct order_bases;

/* NULL when memory is out. */
struct order_bases *order_bases_open(void);
void order_bases_close(struct order_bases *bases); /* NULL is fine */

/* The fields that a number without an id is made of: those that K1 does not have. Their number. */
unsigned order_fields(const struct job *job, unsigned fields[ORDER_FIELDS]);

/* The number of the row whose separators are given; 0: there is none (the rows' texts are not what they say, or memory is out). `columns`:
 * 0 where no row ends with a carriage return. */
uint64_t plain_order(const struct plain_plan *plan, const uint8_t *bytes, const uint32_t *seps,
                     uint32_t columns);
/* The same of a record that has its occurrence id and the texts of order_fields. */
uint64_t full_order(struct order_bases *bases, const struct job *job, const struct full *row);

#endif
