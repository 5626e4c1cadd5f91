/* core/model/day.h: calendar days, times and time zones (SPEC.md section 1, Time and Bill date).
 *
 * A day is a number: days since 1970-01-01 plus DAY_BASE, so that 0 means "no date" and a uint16 holds 1900
 * to 2079. A wall time is microseconds since 1970-01-01 00:00 on a clock without zone; an epoch is the same
 * in UTC.
 *
 * Zones come from the C library's tz database: day_zone_open walks localtime_r once, before workers start,
 * and keeps the list of changes; afterwards everything is a table look-up that any thread may do. A wall time
 * that happens twice (clocks set back) means the first one; one that never happens (set forward) is taken
 * with the offset from before the gap.
 */
#ifndef TIEOUT_CORE_MODEL_DAY_H
#define TIEOUT_CORE_MODEL_DAY_H

#include "core/base/diag.h"
#include "core/base/span.h"
#include <stdint.h>

enum { DAY_NONE = 0, DAY_BASE = 25568, DAY_TEXT_MAX = 16, TIME_TEXT_MAX = 48 }; /* 1900-01-01 is day 1 */
#define TIME_NONE INT64_MIN

struct zone; /* immutable after day_zone_open */

/* Opens an IANA zone ("Asia/Shanghai", "UTC"). ERR_USAGE with a diag when there is no such zone, ERR_MACHINE where its file cannot be
 * read or is not whole: the C library would take it for UTC. Single-threaded. */
enum err day_zone_open(struct zone **out, const char *name, struct diag *diag);
void day_zone_close(struct zone *zone);
const char *day_zone_name(const struct zone *zone);

int64_t day_wall_to_epoch(const struct zone *zone, int64_t wall_us);
int64_t day_epoch_to_wall(const struct zone *zone, int64_t epoch_us);

/* Days from a civil date; proleptic Gregorian. day_from_civil gives DAY_NONE outside 1900..2078. */
int64_t day_count_civil(int year, int month, int day); /* days since 1970-01-01 */
int day_civil_valid(int year, int month, int day);
uint16_t day_from_civil(int year, int month, int day);
void day_to_civil(uint16_t day, int *year, int *month, int *mday);

/* Bill date of a wall time: the date of (wall + shift). `cut_minutes` 0..1439: from 12:00 on it shifts
 * forward (23:00: one hour), before that back (04:00: four hours). DAY_NONE when out of range. */
uint16_t day_of_wall(int64_t wall_us, int cut_minutes);

/* "2026-11-19", also 20261119 and 2026/11/19. DAY_NONE when it is not a date. */
uint16_t day_parse(const char *text, size_t size);
size_t day_print(char out[DAY_TEXT_MAX], uint16_t day); /* "" for DAY_NONE */

/* Reads a time: `YYYY-MM-DD[ T]HH:MM[:SS[.f{1,6}]]`, `/` or nothing between date parts, a date alone,
 * optionally Z or +HH[:MM]. Returns 0 if it is none; 1 with *wall_us for a naive time; 2 with *epoch_us where
 * the text has an offset. Second 60 and hour 24 are refused. */
int time_parse(const char *text, size_t size, int64_t *us);
/* RFC 3339 in the zone: 2026-01-05T23:59:58+08:00, with microseconds when there are some. "" for TIME_NONE.
 */
size_t time_print(char out[TIME_TEXT_MAX], const struct zone *zone, int64_t epoch_us);
/* What a clock without a zone shows: 2026-01-05 23:59:58, with microseconds when there are some. */
size_t clock_print(char out[TIME_TEXT_MAX], int64_t wall_us);

#endif
