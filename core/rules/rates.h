/* core/rules/rates.h: a table of exchange rates, by day and pair of currencies.
 *
 *     rates_open   reads the whole file, once, before workers start
 *       rates_find   any number of times
 *     rates_close
 *
 * The file is CSV: the header `date,from,to,rate`, then a row each, such as 2026-11-19,USD,CNY,7.1053. A rate is decimal
 * text of at most 18 digits, kept as it is written: numerator / denominator, no float anywhere. Threads: immutable
 * once opened.
 */
#ifndef TIEOUT_CORE_RULES_RATES_H
#define TIEOUT_CORE_RULES_RATES_H

#include "core/config/job.h"
#include <stdint.h>

struct rate {
    uint16_t day;
    uint8_t from, to;               /* currencies */
    int64_t numerator, denominator; /* denominator: a power of ten */
};
struct rates;

/* ERR_INPUT, with file and line, when the file is not there or anything in it is not as it should be. */
enum err rates_open(struct rates **out, const char *path, struct diag *diag);
/* Opens the table that the job names, for a bill date; the job then has it until rates_close. OK without a table where
 * the job names none. */
enum err rates_open_of(struct job *job, uint16_t date, struct diag *diag);
/* NULL: the table has no such rate. */
const struct rate *rates_find(const struct rates *rates, uint16_t day, uint8_t from, uint8_t to);
void rates_close(const struct rates *rates);

#endif
