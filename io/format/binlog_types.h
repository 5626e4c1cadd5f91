/* io/format/binlog_types.h: column values as row events hold them -> text or numbers. Private to io/format.
 *
 * Pure functions over a few bytes. Those that print return the length, or -1 when the bytes are no value of
 * the type, which a row event of a sound file never holds.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_TYPES_H
#define TIEOUT_IO_FORMAT_BINLOG_TYPES_H

#include "core/model/cell.h"
#include <stddef.h>
#include <stdint.h>

/* enum_field_types of both servers, as far as logs hold them. */
enum binlog_type {
    TYPE_DECIMAL = 0,
    TYPE_TINY = 1,
    TYPE_SHORT = 2,
    TYPE_LONG = 3,
    TYPE_FLOAT = 4,
    TYPE_DOUBLE = 5,
    TYPE_NULL = 6,
    TYPE_TIMESTAMP = 7,
    TYPE_LONGLONG = 8,
    TYPE_INT24 = 9,
    TYPE_DATE = 10,
    TYPE_TIME = 11,
    TYPE_DATETIME = 12,
    TYPE_YEAR = 13,
    TYPE_NEWDATE = 14,
    TYPE_VARCHAR = 15,
    TYPE_BIT = 16,
    TYPE_TIMESTAMP2 = 17,
    TYPE_DATETIME2 = 18,
    TYPE_TIME2 = 19,
    TYPE_TYPED_ARRAY = 20,
    TYPE_BLOB_COMPRESSED = 140, /* MariaDB */
    TYPE_VARCHAR_COMPRESSED = 141,
    TYPE_VECTOR = 242,
    TYPE_JSON = 245,
    TYPE_NEWDECIMAL = 246,
    TYPE_ENUM = 247,
    TYPE_SET = 248,
    TYPE_TINY_BLOB = 249,
    TYPE_MEDIUM_BLOB = 250,
    TYPE_LONG_BLOB = 251,
    TYPE_BLOB = 252,
    TYPE_VAR_STRING = 253,
    TYPE_STRING = 254,
    TYPE_GEOMETRY = 255
};

enum { DECIMAL_TEXT_MAX = 72, TIME_VALUE_TEXT_MAX = 32, FLOAT_TEXT_MAX = 40 };

/* Bytes of a DECIMAL(precision, scale); 0 when there is no such type. */
size_t decimal_bytes(unsigned precision, unsigned scale);
int decimal_print(char out[DECIMAL_TEXT_MAX], const uint8_t *p, unsigned precision, unsigned scale);
/* MySQL prints the shortest digits that read back as the same number. Text only: nothing computes with it. */
int float_print(char out[FLOAT_TEXT_MAX], float value);
int double_print(char out[FLOAT_TEXT_MAX], double value);

/* Dates and times fill a cell: CELL_WALL or CELL_EPOCH, or CELL_TEXT in `out` for a zero or impossible date.
 * `decimals` is 0..6 and says how many digits of the second are printed. Return 0 when the bytes are no value
 * of the type. */
int date_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p);
int datetime_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p);
int datetime2_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals);
int timestamp_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p);
int timestamp2_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals);
int time_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p);
/* MariaDB's from 5.3 to 10.0, and with mysql56_temporal_format=OFF: `decimals` is 1..6. One whole number, most significant byte
 * first, of as many bytes as the largest needs; a TIME's is counted from -838:59:59.999999, a TIMESTAMP's seconds and fraction
 * are apart. */
unsigned old_time_bytes(unsigned type, unsigned decimals);
int old_time_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals);
int old_datetime_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals);
int old_timestamp_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals);
int time2_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p, unsigned decimals);
int year_read(struct cell *cell, char out[TIME_VALUE_TEXT_MAX], const uint8_t *p);

/* Prints a CELL_WALL as DATE (`decimals` -1) or DATETIME. */
int wall_print(char out[TIME_VALUE_TEXT_MAX], int64_t wall_us, int decimals);

#endif
